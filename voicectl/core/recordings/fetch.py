"""Fetches a recording into a directory. The file gets its final name only when it is complete.

The file is first written to a part: a file with the suffix ``.part``, which only one process at a time can lock. If
that process is killed, another process can resume the download of the part, provided that the part came from the same
URL. The last bytes of the part are then fetched again and compared. Since the platform documents no ETag or similar
header, only the URL, which is different for each file, shows that the earlier bytes belong to the same file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from voicectl import times
from voicectl.core.recordings.announcement import AUDIO, TRANSCRIPT, Name
from voicectl.core.recordings.checksums import (
    Manifest,
    hash_file,
    is_at,
    taken,
    unwritable,
)
from voicectl.core.recordings.file_urls import file_url
from voicectl.errors import GuardError, InputError, NoAnswer, TransportError
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voicectl.api.files import FileApi
    from voicectl.api.replies import Incoming
    from voicectl.core.hosts import Hosts
    from voicectl.core.recordings.announcement import Recording
    from voicectl.core.recordings.checksums import Listed
    from voicectl.core.recordings.file_urls import FileUrl

    Progress = Callable[[int, int | None], None]

DONE = "done"
ALREADY = "already"

BLOCK_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 31
MAX_TRANSCRIPT_BYTES = 1 << 26
OVERLAP_BYTES = 1 << 18
"""The number of bytes at the end of a part that are fetched again when the part is resumed.

The part is written through to disk so often that a crash can lose at most this number of bytes.
"""

LOCK_POLL_SECONDS = 0.05

_TYPES = dict.fromkeys(("audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/mpeg3"), "mp3")
_TYPES |= dict.fromkeys(("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), "wav")
_TYPES |= dict.fromkeys(("audio/ogg", "application/ogg"), "ogg")
_TYPES |= {"application/json": TRANSCRIPT}
_ANY_TYPE = frozenset({"application/octet-stream", "binary/octet-stream"})
"""Media types that say nothing about the content. For these, the file's first bytes determine the type."""

_NOTE = ".origin"
"""The suffix of the file that records from which URL a part was fetched. It replaces the suffix ``.part``."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A complete file in the directory for recordings.

    Attributes:
        uuid: The recording's id.
        name: The file's name, without a directory.
        size: The file's size in bytes, or None if the file is listed but has been removed.
        sha256: The file's SHA-256, in hexadecimal.
        outcome: ``done`` if the file was fetched just now, or ``already`` if it existed before.
    """

    uuid: str
    name: str
    size: int | None
    sha256: str
    outcome: str

    @property
    def is_new(self) -> bool:
        """True if the file was fetched just now."""
        return self.outcome == DONE


class Fetcher:
    """Fetches files into a directory. Each thread needs a fetcher of its own.

    Args:
        directory: The directory, which must exist.
        on_progress: Called with the number of bytes fetched so far, and with the file's size, which is None if
            unknown. It is also called while another process fetches the same file. An exception that it raises stops
            the download.
        overlap: How many bytes to fetch again when a part is resumed, as for :data:`OVERLAP_BYTES`. A part is resumed
            only if the complete file is larger than this.
    """

    def __init__(
        self,
        directory: Path,
        files: FileApi,
        hosts: Hosts,
        *,
        on_progress: Progress | None = None,
        overlap: int = OVERLAP_BYTES,
    ) -> None:
        self._directory = directory
        self._files = files
        self._hosts = hosts
        self._on_progress = on_progress or _ignore_progress
        self._overlap = overlap
        self._manifest = Manifest(directory)

    def fetch(self, recording: Recording, *, is_wanted: bool = False) -> Saved:
        """Fetch the file of *recording* into the directory, unless the manifest lists it.

        Args:
            is_wanted: True to fetch a listed file again if it was removed.

        Raises:
            GuardError: No token may be sent to the file's URL, the file is too large, or its name is taken, for
                example by a file with other content.
            NotFoundError: The file has expired.
            ApiError: The platform refused the request.
            TransportError: There was no usable response, or the response is not the announced file.
            UnwritableError: The directory cannot be written to.
        """
        place = file_url(recording.url, self._hosts)
        if (recording.size or 0) > MAX_FILE_BYTES:
            raise GuardError(
                f"The recording is too large: its announced size is {recording.size} bytes, and the limit is 2 GiB."
            )
        uuid = recording.uuid or place.file_id
        path = self._directory / f"{uuid}{'.transcript' * bool(recording.is_transcription)}.part"
        try:
            while (listed := self._manifest.file_of(recording, uuid, is_wanted=is_wanted)) is None:
                with _held(path) as handle:
                    if handle is None:  # another process is fetching the file
                        self._on_progress(0, recording.size)
                        time.sleep(LOCK_POLL_SECONDS)
                    elif self._manifest.file_of(recording, uuid, is_wanted=is_wanted) is None:
                        return self._fetch(handle, path, recording, place, uuid)
                    else:
                        _clear(path)
        except OSError as exc:
            raise unwritable(path, exc) from exc
        return self._already(listed, uuid)

    def _already(self, listed: Listed, uuid: str) -> Saved:
        try:
            size = (self._directory / listed.name).lstat().st_size
        except OSError:
            size = None
        return Saved(uuid=uuid, name=listed.name, size=size, sha256=listed.sha256, outcome=ALREADY)

    def _fetch(self, handle: int, path: Path, recording: Recording, place: FileUrl, uuid: str) -> Saved:
        self._check_there(recording, uuid)
        can_resume = recording.size is not None and recording.size > self._overlap
        origin = f"{place.origin}{place.path} {recording.size}\n" if can_resume else None
        _claim(handle, path, origin)
        intake = _Intake(handle, recording, self._on_progress, self._overlap)
        extension, size, sha256 = self._files.get(
            place.origin, place.path, intake.take, headers=intake.headers
        )
        if recording.start is None:
            recording = replace(recording, start=intake.made)
        name = self._name(recording, uuid, extension)
        outcome = self._put(path, self._directory / str(name), sha256)
        self._manifest.add(name, sha256)
        _clear(path)
        return Saved(uuid=uuid, name=str(name), size=size, sha256=sha256, outcome=outcome)

    def _check_there(self, recording: Recording, uuid: str) -> None:
        """Check, before a file is downloaded, that no other file has one of the names that the file may get.

        If an existing file with such a name has the right size, its content is compared after the download.

        Raises:
            GuardError: A name that *recording* may get is taken by a file of another size, or by something else.
        """
        if recording.size is None:
            return
        for name in (self._name(recording, uuid, each) for each in (TRANSCRIPT, *AUDIO)):
            path = self._directory / str(name)
            if recording.is_transcription not in (None, name.is_transcription) or not os.path.lexists(path):
                continue
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                raise taken(path, "is not a regular file")
            if found.st_size not in (0, recording.size):
                raise taken(path, f"has {found.st_size} bytes, not {recording.size}")

    def _name(self, recording: Recording, uuid: str, extension: str) -> Name:
        """Return the name for *recording*'s file. A transcription is named after its recording if that is listed."""
        name = Name.of(recording, uuid, extension)
        listed = self._manifest.find(uuid, is_transcription=False) if name.is_transcription else None
        audio = None if listed is None else Name.parse(listed.name)
        return name if audio is None else replace(audio, extension=extension)

    def _put(self, path: Path, final: Path, sha256: str) -> str:
        """Rename the partial file of a complete download to its final name, and return the outcome.

        An existing file of that name is not overwritten unless it is empty. A process that is killed on a file
        system without hard links can leave an empty file behind.
        """
        outcome = DONE
        try:
            os.link(path, final)
        except FileExistsError:
            size, found = hash_file(final)
            if found == sha256:
                outcome = ALREADY
            elif size:
                raise taken(final, "already exists with different content") from None
            else:
                path.replace(final)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            try:  # a file system without hard links: first create an empty file, then replace it
                os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                raise taken(final, "was created in the meantime") from None
            path.replace(final)
        files.sync_directory(self._directory)
        return outcome


@dataclass(slots=True)
class _Intake:
    """The download of one recording into an open file, in one or more attempts.

    Attributes:
        made: The time at which the file was made, according to the server, in Unix seconds, or None.
    """

    handle: int
    recording: Recording
    on_progress: Progress
    overlap: int
    made: float | None = None
    _may_resume: bool = True
    _begin: int = 0

    def headers(self) -> dict[str, str]:
        """Return the headers for the next request, which resumes the download if the file's total size is known."""
        size = self.recording.size
        self._begin = 0
        if size is not None and self._may_resume:
            self._begin = max(min(os.fstat(self.handle).st_size, size) - self.overlap, 0)
        return {"Accept": "*/*"} | ({"Range": f"bytes={self._begin}-"} if self._begin else {})

    def take(self, answer: Incoming) -> tuple[str, int, str]:
        """Write the body of *answer* to the file. Return the file's extension, its size in bytes and its SHA-256."""
        begin = self._judge_status(answer)
        media_type = self._judge_type(answer)
        expected = self._judge_length(answer, begin)
        self.made = _http_date(answer.headers.get("Last-Modified"))
        most = MAX_TRANSCRIPT_BYTES if self.recording.is_transcription else MAX_FILE_BYTES
        os.ftruncate(self.handle, min(os.fstat(self.handle).st_size, expected or 0) if begin else 0)
        digest = hashlib.sha256()
        for block in _blocks(self.handle, begin):
            digest.update(block)
        done = durable = begin
        for part in answer.parts():
            there = os.pread(self.handle, len(part), done)
            if there != part[: len(there)]:
                os.ftruncate(self.handle, 0)
                raise NoAnswer("the partial download on disk differs from the file on the server")
            if done + len(part) - durable > self.overlap:
                os.fsync(self.handle)
                durable = done
            done += len(part)
            if done > (most if expected is None else expected):
                os.ftruncate(self.handle, 0)
                raise _not_it("it is larger than announced" if expected is not None else "it is too large")
            files.write_whole(self.handle, part)
            digest.update(part)
            self.on_progress(done, expected)
        if expected is not None and done < expected:
            raise NoAnswer("the file was cut short")
        os.fsync(self.handle)
        extension = _TYPES.get(media_type) or _sniff(os.pread(self.handle, 12, 0))
        if extension is None or self.recording.is_transcription not in (None, extension == TRANSCRIPT):
            os.ftruncate(self.handle, 0)
            raise _not_it("its content has an unexpected type")
        return extension, done, digest.hexdigest()

    def _judge_status(self, answer: Incoming) -> int:
        """Return the position in the file, in bytes, at which the response's content begins.

        Raises:
            NoAnswer: The response is not the requested range. The next attempt requests the whole file.
        """
        size = self.recording.size
        if answer.status == 200:
            return 0
        if answer.status == 206 and self._begin and size is not None:
            expected_range = f"bytes {self._begin}-{size - 1}/{size}"
            if answer.headers.get("Content-Range") == expected_range:
                return self._begin
        self._may_resume = False
        raise NoAnswer("the response is not the requested range")

    def _judge_type(self, answer: Incoming) -> str:
        media_type = answer.headers.get_content_type()
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise _not_it("it is compressed, although the request did not allow that")
        extension = _TYPES.get(media_type)
        is_right = self.recording.is_transcription in (None, extension == TRANSCRIPT)
        if media_type in _ANY_TYPE or (extension is not None and is_right):
            return media_type
        raise _not_it(f"it is {media_type[:80]}")

    def _judge_length(self, answer: Incoming, begin: int) -> int | None:
        """Return the size of the whole file in bytes, or None if the size is not known in advance."""
        total = None if answer.length is None else begin + answer.length
        size = self.recording.size
        if size is not None and total not in (None, size):
            raise _not_it(f"it has {total} bytes, not {size}")
        if size is None and not answer.is_framed:
            raise _not_it("its size is not known")
        most = MAX_TRANSCRIPT_BYTES if self.recording.is_transcription else MAX_FILE_BYTES
        if (total or 0) > most:
            raise _not_it("it is too large")
        return total if size is None else size


@contextmanager
def _held(path: Path) -> Iterator[int | None]:
    """Open or create the file at *path*, lock it, and yield its file descriptor.

    If another process has locked the file or has just removed it, None is yielded.

    Raises:
        GuardError: *path* is not a regular file of this user.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            handle = os.open(path, flags)
        except FileNotFoundError:
            handle = None
        except OSError as exc:
            raise taken(path, f"is not a regular file ({exc.strerror})") from exc
    if handle is None:  # another process has just finished the download and removed the part
        yield None
        return
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise taken(path, "is not a regular file that you own")
        if not files.try_lock(handle):
            yield None
            return
        if (
            os.fstat(handle).st_nlink > 1
        ):  # the file also has its final name: a process was killed just after it linked the file to this name
            path.unlink(missing_ok=True)
        yield handle if is_at(handle, path) else None
    finally:
        os.close(handle)


def _claim(handle: int, path: Path, origin: str | None) -> None:
    """Empty the part that is open as *handle*, unless it came from *origin*.

    The origin is recorded in a file next to the part. This file is on disk before any of the part is written.

    Args:
        origin: The URL and the size of the file to fetch, or None if the part must not be resumed later.

    Raises:
        GuardError: The path of the file that records the origin is taken by something else.
    """
    note = path.with_suffix(_NOTE)
    known = hash_file(note)[1] if os.path.lexists(note) else None
    if known == (None if origin is None else hashlib.sha256(origin.encode()).hexdigest()):
        return
    os.ftruncate(handle, 0)
    os.fsync(handle)
    note.unlink(missing_ok=True)
    if origin is not None:
        with files.opened(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as new:
            files.write_whole(new, origin.encode())
            os.fsync(new)
    files.sync_directory(path.parent)


def _clear(path: Path) -> None:
    """Remove the partial file of a download that is finished, and the record of where it came from.

    The caller must have locked the partial file.
    """
    path.unlink(missing_ok=True)
    path.with_suffix(_NOTE).unlink(missing_ok=True)


def _blocks(handle: int, size: int) -> Iterator[bytes]:
    """Yield the first *size* bytes of an open file in blocks, and leave the file positioned after these bytes."""
    os.lseek(handle, 0, os.SEEK_SET)
    while size > 0 and (block := os.read(handle, min(size, BLOCK_BYTES))):
        size -= len(block)
        yield block


def _http_date(text: str | None) -> float | None:
    """Return the time in an HTTP header, in Unix seconds, or None if there is no valid time."""
    try:
        found = parsedate_to_datetime(text or "").timestamp()
        times.utc(found)
    except (ValueError, OverflowError, InputError):
        return None
    return found


def _sniff(begin: bytes) -> str | None:
    """Return the extension for a file whose first bytes are *begin*, or None if the type is not recognized."""
    if begin.startswith(b"RIFF") and begin[8:12] == b"WAVE":
        return "wav"
    if begin.startswith(b"OggS"):
        return "ogg"
    if begin.startswith(b"ID3") or (len(begin) > 1 and begin[0] == 0xFF and begin[1] & 0xE0 == 0xE0):
        return "mp3"
    return TRANSCRIPT if begin.lstrip().startswith(b"{") else None


def _not_it(why: str) -> TransportError:
    return TransportError(
        f"The file that the server sent is not the expected one: {why}.",
        hint="The file was not saved. Try again; a proxy may have responded instead of the platform.",
    )


def _ignore_progress(_done: int, _all: int | None) -> None:
    return
