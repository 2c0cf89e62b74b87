"""Checking the whole list of a batch, row by row, while it is written to a new batch."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from voicectl.core.batch.attempts import Outcome
from voicectl.core.batch.people import BadRow, PeopleList, normal
from voicectl.errors import GuardError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from voicectl.core.batch.people import Columns
    from voicectl.core.identity.policy import Policy
    from voicectl.store.batches.directory import NewBatch
    from voicectl.store.batches.records import Person

MAX_EXCLUDE_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A list that has been checked and written to a new batch.

    Attributes:
        columns: The names of the list's columns.
        digest: The SHA-256 hash of the list's bytes.
        duplicates: The number of rows and second numbers left out because an earlier row has the same number.
    """

    columns: tuple[str, ...]
    digest: str
    duplicates: int


class Screen:
    """Decides who must not be called: by the profile's guards, by a file of numbers, or by the person's own wish.

    Args:
        exclude: The file with the numbers, or None. It is read again whenever it has changed.
        opted_out: The numbers whose owners have asked not to be called.
    """

    def __init__(self, policy: Policy, exclude: Path | None, opted_out: Container[str]) -> None:
        self._policy = policy
        self._exclude = exclude
        self._opted_out = opted_out
        self._stamp: tuple[int, int, int] | None = None
        self._excluded: frozenset[str] = frozenset()

    def refusal(self, to: str) -> tuple[str, str] | None:
        """Return the outcome and detail of a person with the number *to* who must not be called, or None.

        Raises:
            InputError: The file of numbers cannot be read.
        """
        if to in self._opted_out:
            return Outcome.OPTED_OUT, "asked not to be called"
        self._read_excluded()
        if to in self._excluded:
            return Outcome.REFUSED, "excluded"
        try:
            self._policy.check_dialled([to])
        except GuardError as exc:
            return Outcome.REFUSED, exc.message
        return None

    def _read_excluded(self) -> None:
        if self._exclude is None:
            return
        try:
            found = self._exclude.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            if found.st_size > MAX_EXCLUDE_BYTES:
                raise InputError(f"--exclude {self._exclude} is over 256 MiB.", hint="Give a shorter list.")
            content = self._exclude.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise InputError(
                f"--exclude {self._exclude} cannot be read: {why}.",
                hint="No call is made while it is unknown who must not be called.",
            ) from exc
        self._excluded = frozenset(_numbers(content, self._exclude))
        self._stamp = stamp


class DigestReader(io.RawIOBase):
    """A file that hashes the bytes read from it.

    Args:
        file: The file to read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Return True, since the file can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into *buffer*, and return how many."""
        view = memoryview(buffer)
        content = self._file.read(len(view))
        view[: len(content)] = content
        self._hash.update(content)
        return len(content)

    def digest(self) -> str:
        """Return the hash of all bytes read so far, in hexadecimal."""
        return self._hash.hexdigest()


def load(
    file: IO[bytes],
    where: str,
    columns: Columns,
    new: NewBatch,
    screen: Screen,
    on_fault: Callable[[BadRow], None],
) -> Loaded:
    """Read the list in *file*, check every row, and add the people to *new*.

    Args:
        where: The name of the list for error messages.
        on_fault: A function that is called with each fault.

    Raises:
        InputError: The list has faults, or contains no people.
    """
    source = DigestReader(file)
    people = PeopleList(io.BufferedReader(source, 1 << 16), columns, where)
    faults = count = 0
    for row in people:
        if isinstance(row, BadRow):
            faults += 1
            on_fault(row)
        elif not faults:
            count += 1
            new.add(_screened(row, screen))
    if faults:
        raise InputError(
            f"{where} has {faults} bad row{'s' * (faults != 1)}.", hint="Correct the list. No call was made."
        )
    if not count:
        raise InputError(f"{where} has a header, but no people.", hint="Add a row for each person.")
    return Loaded(columns=people.names, digest=source.digest(), duplicates=new.settle())


def _screened(person: Person, screen: Screen) -> Person:
    if person.refusal is None and (refusal := screen.refusal(person.to)) is not None:
        return replace(person, refusal=refusal)
    return person


def _numbers(content: str, path: Path) -> list[str]:
    """Return the numbers in a file with one number per line, in which ``#`` begins a comment."""
    found = []
    for line, text in enumerate(content.splitlines(), 1):
        word = text.partition("#")[0].strip().strip('"')
        if not word:
            continue
        try:
            found.append(normal(word))
        except InputError as exc:
            if line == 1:  # the header of a CSV file
                continue
            raise InputError(f"--exclude {path}, line {line}: {exc.message}", hint=exc.hint) from exc
    return found
