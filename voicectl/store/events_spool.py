"""The spool, which keeps webhooks on disk while the event store cannot be used.

Each batch of arrivals is written to a separate file. The file contains one line for each arrival, followed by a line
with the number of arrivals. Each line begins with a hash of the rest of the line, so that the intact lines in an
incomplete or damaged file can be recovered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from voicectl.errors import ConfigError, StoreError
from voicectl.store import files
from voicectl.store.event_rows import COLUMNS
from voicectl.store.events import Arrival, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SUFFIX = ".spool"
DAMAGED = ".damaged"
HASH_CHARACTERS = 16

_BYTES = ("query", "body")


class Spool:
    """A spool, whose directory is created on first use. Several processes may use the same spool.

    Attributes:
        directory: The directory that contains the spool's files.
        damaged: The paths of the copies that this object has made of damaged files.
    """

    def __init__(self, directory: Path) -> None:
        self.damaged: list[Path] = []
        self.directory = directory

    def put(self, arrivals: Sequence[Arrival]) -> Path:
        """Write *arrivals* durably to a new file, and return the path of the file.

        Raises:
            StoreError: The file cannot be written, so no arrival has been spooled.
        """
        lines = [*map(_to_json, arrivals), {"count": len(arrivals)}]
        content = b"".join(_hashed(json.dumps(line).encode()) for line in lines)
        microseconds = round(max(arrivals[0].received, 0) * 1e6) if arrivals else 0
        path = self.directory / f"{microseconds:020d}-{secrets.token_hex(8)}{SUFFIX}"
        try:
            files.private_directory(self.directory)
            files.write_private(path, content)
        except ConfigError as exc:
            cause = exc.__cause__
            why = f"{cause.strerror}." if isinstance(cause, OSError) else exc.message
            raise StoreError(
                f"Events cannot be spooled in {self.directory}: {why}",
                hint="Free disk space, or set VOICECTL_STATE_DIR to another directory.",
            ) from exc
        return path

    def files(self) -> list[Path]:
        """Return the paths of the files in the spool, oldest first."""
        with _translated(self.directory), suppress(FileNotFoundError):
            return sorted(
                path for path in self.directory.iterdir() if path.suffix == SUFFIX and path.name[0] != "."
            )
        return []

    def load(self, path: Path) -> list[Arrival]:
        """Return the arrivals in the file *path*, or an empty list if another process has deleted the file.

        If the file is damaged, it is copied, the path of the copy is added to ``damaged``, and the intact arrivals
        are returned. In either case, the caller should then store the arrivals and :meth:`drop` the file.

        Raises:
            StoreError: The file cannot be read.
        """
        content = None
        with _translated(path), suppress(FileNotFoundError):
            content = path.read_bytes()
        if content is None:
            return []
        lines = [_whole(line) for line in content.split(b"\n")[:-1]]
        found = [each for line in lines if line is not None and (each := _from_json(line)) is not None]
        if (
            lines[-1:] != [{"count": len(found)}]
            or len(lines) != len(found) + 1
            or not content.endswith(b"\n")
        ):
            self._set_aside(path)
        return found

    def drop(self, path: Path) -> None:
        """Delete the file *path*, whose events are now in the store.

        Raises:
            StoreError: The file cannot be deleted. Loading it again later does no harm.
        """
        with _translated(path):
            path.unlink(missing_ok=True)

    def purge(self, before: float) -> int:
        """Delete the files written before the time *before*, including damaged files, and return their number.

        The time is in Unix seconds.

        Raises:
            StoreError: A file cannot be deleted.
        """
        count = 0
        for pattern in (f"[!.]*{SUFFIX}", f"[!.]*{DAMAGED}", f".*{SUFFIX}.*{files.NEW}"):
            for path in self.directory.glob(pattern):
                with _translated(path), suppress(FileNotFoundError):  # another process may delete the file
                    if path.stat().st_mtime < before:
                        path.unlink()
                        count += 1
        return count

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(path.name + DAMAGED)
        with _translated(path):
            try:
                aside.hardlink_to(path)
            except FileExistsError:
                pass  # an earlier load has set the file aside
            except FileNotFoundError:
                return  # another process has dropped the file
        if aside not in self.damaged:
            self.damaged.append(aside)


def _to_json(arrival: Arrival) -> dict[str, Any]:
    found = {name: getattr(arrival, name) for name in COLUMNS}
    found |= {name: base64.b64encode(found[name]).decode() for name in _BYTES}
    return found | ({"path": base64.b64encode(arrival.path).decode()} if arrival.path else {})


def _from_json(line: Any) -> Arrival | None:
    """Return the arrival that a decoded line contains, or None if it contains something else."""
    if not isinstance(line, dict) or set(line) - {"path"} != set(COLUMNS):
        return None
    path = base64.b64decode(line.pop("path", ""))
    line |= {name: base64.b64decode(line[name]) for name in _BYTES}
    arrival = Arrival(**line | {"route": Route(line["route"])})
    vars(arrival)["path"] = path
    return arrival


def _hashed(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:HASH_CHARACTERS].encode() + b" " + line + b"\n"


def _whole(line: bytes) -> Any:
    """Return the JSON value in *line*, or None if the line is damaged."""
    _, _, text = line.partition(b" ")
    return json.loads(text) if _hashed(text) == line + b"\n" else None


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(
            f"The spooled events in {path} cannot be used: {exc.strerror}.",
            hint="Correct the problem; the events are kept until they are in the store.",
        ) from exc
