"""The manifest ``SHA256SUMS``, which lists the complete files in a directory in the format of ``sha256sum -c``.

Lines are added but never changed. Each line is written to disk before its file is reported as fetched. Several
processes may use the same manifest. If there are two lines for a recording, the later line counts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from voicectl.core.recordings.announcement import Name
from voicectl.errors import GuardError, UnwritableError
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voicectl.core.recordings.announcement import Recording

MANIFEST = "SHA256SUMS"

_LINE = re.compile(rb"([0-9a-f]{64}) [ *]([^\n]+)")
_BEGUN = re.compile(rb"[0-9a-f]{0,64}|[0-9a-f]{64} {1,2}(?:[0-9]{0,8}|[0-9]{8}T[^\n]*)")
"""A pattern that matches every beginning of a line that voicectl writes."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry in the manifest, for a complete file.

    Attributes:
        name: The file's name, without a directory.
        sha256: The file's SHA-256, in hexadecimal.
    """

    name: str
    sha256: str


class Manifest:
    """The manifest of the files in a directory. Several threads can use the same instance.

    Args:
        directory: The directory, which must exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / MANIFEST
        self._threads = Lock()
        self._file = (0, 0)  # device and inode of the file that was read
        self._end = 0  # position up to which the file was read
        self._listed: dict[tuple[str, bool], Listed] = {}

    def find(self, uuid: str, is_transcription: bool | None) -> Listed | None:
        """Return the entry for the recording *uuid* or for its transcription, or None if there is no such entry.

        Args:
            uuid: The recording's id.
            is_transcription: True to find the transcription, False to find the recording, or None to find either.

        Raises:
            UnwritableError: The manifest cannot be read.
        """
        with self._threads, self._file_errors():
            try:
                with files.opened(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as handle:
                    self._read(handle)
            except FileNotFoundError:
                self._forget()
                return None
            kinds = (False, True) if is_transcription is None else (is_transcription,)
            return next((found for kind in kinds if (found := self._listed.get((uuid, kind)))), None)

    def file_of(self, recording: Recording, uuid: str, *, is_wanted: bool = False) -> Listed | None:
        """Return the entry for the file of *recording*, whose id is *uuid*, or None if the file must be fetched.

        A listed file must be fetched again in two cases: if it was removed and *is_wanted* is true, or if it is
        unchanged and a verified event announces a different size. In the second case, the file was fetched because
        of an unsigned event that announced a wrong size. A file that someone has changed is not fetched again.

        Raises:
            UnwritableError: The manifest, or the file, cannot be read.
        """
        listed = self.find(uuid, recording.is_transcription)
        if listed is None:
            return None
        with self._file_errors():
            try:
                found = (self._directory / listed.name).lstat()
            except FileNotFoundError:
                return None if is_wanted else listed
            if not recording.is_signed or recording.size is None:
                return listed
            if not stat.S_ISREG(found.st_mode) or found.st_size == recording.size:
                return listed
            return None if hash_file(self._directory / listed.name)[1] == listed.sha256 else listed

    def add(self, name: Name, sha256: str) -> None:
        """Add an entry for a file. The line has been written to disk when this method returns.

        Raises:
            UnwritableError: The manifest cannot be written to.
        """
        with self._threads, self._file_errors(), self._alone() as handle:
            self._read(handle)
            listed = self._listed.get((name.uuid, name.is_transcription))
            if listed is not None and listed.name == str(name):
                return
            end = os.fstat(handle).st_size
            line = f"{sha256}  {name}\n".encode()
            if end > self._end:  # a writer was killed, or an editor omitted the newline
                if _is_torn(os.pread(handle, end - self._end, self._end)):
                    os.ftruncate(handle, self._end)
                else:
                    line = b"\n" + line
            begun = os.fstat(handle).st_size
            try:
                files.write_whole(handle, line)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, begun)
                raise
            if not begun:
                files.sync_directory(self._directory)
            self._read(handle)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Open the manifest (creating it if necessary), lock it exclusively, and yield its file descriptor."""
        while True:
            with files.opened(self._path, files.OWN | os.O_APPEND | os.O_NONBLOCK) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)  # each process holds the lock only for a moment
                if is_at(handle, self._path):  # if not, an editor has replaced the file meanwhile
                    yield handle
                    return

    def _read(self, handle: int) -> None:
        """Read the complete lines that were added since the last read, or all lines if the file was replaced."""
        found = os.fstat(handle)
        if (found.st_dev, found.st_ino) != self._file or found.st_size < self._end:
            self._forget()
            self._file = (found.st_dev, found.st_ino)
        content = os.pread(handle, found.st_size - self._end, self._end)
        whole, newline, _ = content.rpartition(b"\n")
        self._end += len(whole) + len(newline)
        for line in whole.split(b"\n"):
            match = _LINE.fullmatch(line)
            name = None if match is None else Name.parse(match[2].decode("utf-8", "replace"))
            if match is not None and name is not None:
                listed = Listed(str(name), match[1].decode())
                self._listed[name.uuid, name.is_transcription] = listed

    def _forget(self) -> None:
        self._file, self._end = (0, 0), 0
        self._listed = {}

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise unwritable(self._path, exc) from exc


def _is_torn(tail: bytes) -> bool:
    """Return True if *tail* is an incomplete line that voicectl may have written."""
    found = _LINE.fullmatch(tail)
    is_whole = found is not None and Name.parse(found[2].decode("utf-8", "replace")) is not None
    return not is_whole and _BEGUN.fullmatch(tail) is not None


def unwritable(path: Path, exc: OSError) -> UnwritableError:
    """Return the error to raise if *path* cannot be used because of *exc*."""
    return UnwritableError(
        f"{path} cannot be used: {exc.strerror}.",
        hint="Check the free disk space, and the owner of the directory.",
    )


def taken(path: Path, why: str) -> GuardError:
    """Return the error to raise if something else already exists at *path*.

    Args:
        why: The part of the error message that follows the path, for example ``is not a regular file``.
    """
    return GuardError(
        f"{path} {why}.", hint="Nothing was overwritten. Move it elsewhere, or choose another --dir."
    )


def hash_file(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes, and its SHA-256 in hexadecimal.

    Raises:
        GuardError: *path* is not a regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise taken(path, f"is not a regular file ({exc.strerror})") from exc
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise taken(path, "is not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return found.st_size, hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Return True if *path* still refers to the file that is open as *handle*.

    The file may have been removed or replaced since it was opened.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle))
