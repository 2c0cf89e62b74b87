"""Choosing the place where batches are kept."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from voicectl.core.batch.place import Place
from voicectl.errors import StoreError
from voicectl.store.batches.directory import SqliteBatches
from voicectl.store.batches.opt_outs import OptOuts
from voicectl.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from voicectl.clock import Clock
    from voicectl.store.batches.records import BatchStore


def local(directory: Path, clock: Clock) -> Place:
    """Return the files of this machine.

    Args:
        directory: The application's state directory.
    """
    batches = SqliteBatches(directory)
    return Place(
        batches=batches,
        opt_outs=OptOuts(directory),
        clock=clock,
        open_journal=lambda: Journal(directory, clock),
        open=batches.open,
        hand_out=_nothing,
        close=lambda: None,
    )


def shared(url: str, directory: Path, application_id: str, clock: Clock) -> Place:
    """Return a PostgreSQL database.

    Args:
        url: A URL that libpq accepts.
        directory: The application's state directory.

    Raises:
        InputError: *url* is malformed.
        StoreError: A package is missing, or the database cannot be used.
    """
    found: Place = _sharing().place(url, directory, application_id, clock)
    return found


def prepare(url: str, *, is_new: bool) -> bool:
    """Create the tables for batches in a database, or upgrade them. Return False if there was nothing to do.

    The errors are those of :func:`shared`.
    """
    is_changed: bool = _sharing().prepare(url, is_new=is_new)
    return is_changed


def _sharing() -> ModuleType:
    try:
        from voicectl.core.batch import sharing  # noqa: PLC0415 (loads psycopg and Procrastinate, an extra)
    except ImportError as exc:
        raise StoreError(
            f"Batches in PostgreSQL need {exc.name}, which is not installed.",
            hint="Install it: pip install 'voicectl[batch]'",
        ) from exc
    return sharing


@contextmanager
def _nothing(_store: BatchStore, _calls: int) -> Iterator[None]:
    yield
