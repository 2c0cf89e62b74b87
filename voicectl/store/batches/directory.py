"""The batches of one application on this machine: listing, opening and creating them."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from voicectl.errors import InputError, LegError, StoreError
from voicectl.store import files
from voicectl.store.batches import file
from voicectl.store.batches.file import usable
from voicectl.store.batches.process import is_running, mark
from voicectl.store.batches.sqlite import SqliteBatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.store.batches.records import BatchHead, Person

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUFFIX = ".db"
_NEW = re.compile(rf"\..+\.(?P<process>[^.]+){re.escape(files.NEW)}(-journal|-wal|-shm)?")
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode

ROWS_AT_ONCE = 5000

_REMOVE_DUPLICATES = """
CREATE TEMP TABLE again AS SELECT id FROM people AS own WHERE "to" IN
    (SELECT "to" FROM people GROUP BY "to" HAVING count(*) > 1)
    AND EXISTS (SELECT 1 FROM people WHERE "to" = own."to" AND id < own.id);
INSERT INTO duplicates SELECT line, "to" FROM people WHERE id IN (SELECT id FROM again);
DELETE FROM people WHERE id IN (SELECT id FROM again);
CREATE INDEX people_by_second ON people (second) WHERE second IS NOT NULL;
CREATE TEMP TABLE shared AS SELECT id FROM people AS own WHERE second IS NOT NULL
    AND (EXISTS (SELECT 1 FROM people WHERE "to" = own.second)
    OR EXISTS (SELECT 1 FROM people WHERE second = own.second AND id < own.id));
INSERT INTO duplicates SELECT line, second FROM people WHERE id IN (SELECT id FROM shared);
UPDATE people SET second = NULL WHERE id IN (SELECT id FROM shared);
"""


class NewBatch:
    """A batch that is being filled, in a file under a temporary name.

    Args:
        path: The temporary name.
        final: The name under which the batch is kept.
    """

    def __init__(self, path: Path, final: Path) -> None:
        self._path = path
        self._final = final
        self._rows: list[tuple[Any, ...]] = []
        with usable(path):
            self._db = file.create(path)

    def add(self, person: Person) -> None:
        """Add the person of the next row."""
        outcome, detail = person.refusal or (None, None)
        self._rows.append(
            (
                person.line,
                person.to,
                person.second,
                _encode(person.fields),
                outcome,
                detail,
                None if outcome else 0.0,
            )
        )
        if len(self._rows) == ROWS_AT_ONCE:
            self._write_rows()

    def settle(self) -> int:
        """Complete the list, and return the number of duplicates.

        Of the rows with one number, the first is kept, and the others are noted as duplicates. Each second number
        that another row has too is noted and removed, so that no number belongs to two people.
        """
        self._write_rows()
        with usable(self._path):
            self._db.execute(
                file.INDEX_BY_NUMBER
            )  # much faster than an index that is kept while rows are added
            self._db.executescript(_REMOVE_DUPLICATES)
        return int(self._one("SELECT count(*) FROM duplicates"))

    def count(self, *, waiting: bool = False) -> int:
        """Return the number of people, or of those who may be called if *waiting*."""
        return int(self._one(f"SELECT count(*) FROM people{' WHERE outcome IS NULL' * waiting}"))

    def outcomes(self) -> dict[str, int]:
        """Return how many people must not be called, by outcome."""
        with usable(self._path):
            rows = self._db.execute(
                "SELECT outcome, count(*) FROM people WHERE outcome IS NOT NULL GROUP BY outcome"
            )
            return dict(tuple(row) for row in rows)

    def first(self, limit: int) -> list[tuple[int, str, str | None, dict[str, str]]]:
        """Return the line, number, second number and fields of the first people who may be called."""
        with usable(self._path):
            rows = self._db.execute(
                'SELECT line, "to", second, fields FROM people WHERE outcome IS NULL ORDER BY id LIMIT ?',
                (limit,),
            )
            return [(line, to, second, json.loads(text)) for line, to, second, text in rows]

    def duplicates(self, limit: int) -> list[tuple[int, str]]:
        """Return the line and number of the first rows that were left out as duplicates."""
        with usable(self._path):
            rows = self._db.execute('SELECT line, "to" FROM duplicates ORDER BY line LIMIT ?', (limit,))
            return [tuple(row) for row in rows]

    def keep(self, head: BatchHead) -> None:
        """Flush the batch to disk, and give it its name.

        Raises:
            StoreError: The batch cannot be written, or another batch was just given the name.
        """
        with usable(self._path):
            self._db.execute(
                "INSERT INTO batch (name, application_id, base_url, created_at, settings, columns, digest)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    head.name,
                    head.application_id,
                    head.base_url,
                    head.created_at,
                    json.dumps(head.settings),
                    json.dumps(head.columns),
                    head.digest,
                ),
            )
            self._db.execute("UPDATE people SET settled_at = ? WHERE outcome IS NOT NULL", (head.created_at,))
            self.finish()
            self._db.close()
            with files.opened(self._path, os.O_RDWR) as handle:
                os.fsync(handle)
        try:
            os.link(self._path, self._final)  # fails if the name is taken, unlike a rename
            files.sync_directory(self._final.parent)
        except FileExistsError as exc:
            raise just_created(head.name) from exc
        except OSError as exc:
            raise StoreError(f"The batch {self._final} cannot be created: {exc.strerror}.") from exc

    def finish(self) -> Path:
        """Commit what was added so that another connection can read it, and return the path of the file."""
        with usable(self._path):
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        return self._path

    def close(self) -> None:
        """Delete the temporary file."""
        self._db.close()
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _write_rows(self) -> None:
        rows, self._rows = self._rows, []
        with usable(self._path):
            self._db.executemany(
                'INSERT INTO people (line, "to", second, fields, outcome, detail, due_at)'
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def _one(self, sql: str) -> Any:
        with usable(self._path):
            return self._db.execute(sql).fetchone()[0]


N = TypeVar("N", bound=NewBatch)


class SqliteBatches:
    """The batches in one directory.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "batches"

    def names(self) -> list[str]:
        """Return the names of all batches, in alphabetical order."""
        try:
            found = [path.stem for path in self._directory.iterdir() if path.suffix == _SUFFIX]
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise StoreError(f"The batches in {self._directory} cannot be listed: {exc.strerror}.") from exc
        return sorted(name for name in found if _NAME.fullmatch(name))

    def exists(self, name: str) -> bool:
        """Return True if there is a batch called *name*."""
        return os.path.lexists(self._path(name))

    def open(self, name: str) -> SqliteBatch:
        """Open a batch.

        Raises:
            LegError: There is no such batch.
            StoreError: The batch cannot be used.
        """
        if not self.exists(name):
            raise not_found(name, "voicectl batch list")
        return SqliteBatch(self._path(name))

    @contextmanager
    def new(self, name: str) -> Iterator[NewBatch]:
        """Yield a batch that can be filled. It is deleted after the ``with`` block unless it is kept.

        Raises:
            StoreError: The file cannot be written.
        """
        with self.filling(name, NewBatch) as new:
            yield new

    @contextmanager
    def filling(self, name: str, kind: type[N]) -> Iterator[N]:
        """Yield a batch as :meth:`new` does, of the class *kind*, which decides where it is kept."""
        path = self._path(name)
        files.private_directory(self._directory)
        self._remove_left()
        new = kind(path.with_name(f".{path.name}.{os.urandom(4).hex()}.{mark()}{files.NEW}"), path)
        try:
            yield new
        finally:
            new.close()

    def _remove_left(self) -> None:
        """Delete the files of loads whose process was killed."""
        for path in self._directory.iterdir():
            if (found := _NEW.fullmatch(path.name)) and not is_running(found["process"]):
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{check_name(name)}{_SUFFIX}"


def check_name(name: str) -> str:
    """Return *name* if it can be the name of a batch.

    Raises:
        InputError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:120]!r} is not a valid batch name.",
            hint="Use at most 100 letters, digits, dots, underscores and hyphens, such as outage-17.",
        )
    return name


def not_found(name: str, command: str) -> LegError:
    """Return the error for a batch that does not exist. *command* lists those that do."""
    return LegError(f"There is no batch {name!r} of this application.", hint=f"List them: {command}")


def just_created(name: str) -> StoreError:
    """Return the error for a batch whose name another process has just used."""
    return StoreError(
        f"Another batch called {name!r} was just created.", hint="No call was made. Run the command again."
    )
