"""One recording into a directory: whole and listed, or not there under its name at all.

It is written to a ``.part`` file, which one process at a time may hold. What a killed one left there is gone on with
if it came from the same URL, and its end is fetched again and compared. The platform promises no ETag or the like:
that what precedes the end is of the same file cannot be known, only that each file has a URL of its own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voicectl.core.recordings.announcement import AUDIO, TRANSCRIPT, Name
from voicectl.core.recordings.checksums import (
    Manifest,
    hash_file,
    is_at,
    taken,
    unwritable,
)
from voicectl.core.recordings.file_urls import file_url
from voicectl.errors import GuardError, NoAnswer, TransportError
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
"""How much at the end of what is there is fetched again; no more than that is ever written and not durable."""

LOCK_POLL_SECONDS = 0.05

_TYPES = dict.fromkeys(("audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/mpeg3"), "mp3")
_TYPES |= dict.fromkeys(("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), "wav")
_TYPES |= dict.fromkeys(("audio/ogg", "application/ogg"), "ogg")
_TYPES |= {"application/json": TRANSCRIPT}
_ANY_TYPE = frozenset({"application/octet-stream", "binary/octet-stream"})
"""What stores of files say who do not know: the first bytes tell then."""

_NOTE = ".origin"
"""How the record of where a part comes from ends, in place of ``.part``."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A file that is in the directory, whole.

    Attributes:
        uuid: The recording's.
        name: The file's, without a directory.
        size: Bytes; None if the file was listed and has been taken away since.
        outcome: ``done``, or ``already`` if it was there.
    """

    uuid: str
    name: str
    size: int | None
    sha256: str
    outcome: str

    @property
    def is_new(self) -> bool:
        """Whether it came just now."""
        return self.outcome == DONE


class Fetcher:
    """Fetches files into a directory, for one thread.

    Args:
        directory: It exists.
        on_progress: Told of the bytes that are there and, if known, of all; also while another process is waited for
            that fetches the same file. What it raises ends the work.
        overlap: Bytes, see :data:`OVERLAP_BYTES`; a file that has no more is never gone on with.
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
        self._on_progress = on_progress or _tell_nobody
        self._overlap = overlap
        self._manifest = Manifest(directory)

    def fetch(self, recording: Recording, *, is_wanted: bool = False) -> Saved:
        """Have the file of *recording* in the directory; what the manifest lists is not fetched again.

        Args:
            is_wanted: It is fetched again if it was removed.

        Raises:
            GuardError: Its URL is none that a token may go to, it is too large, or something else has its name:
                a file of another content, say, which is never listed.
            ApiError: It was refused; NotFoundError: it has expired.
            TransportError: No usable answer, or not the file that was announced.
            UnwritableError: It cannot be written.
        """
        place = file_url(recording.url, self._hosts)
        if (recording.size or 0) > MAX_FILE_BYTES:
            raise GuardError(f"The recording is said to have {recording.size} bytes: more than 2 GiB.")
        uuid = recording.uuid or place.file_id
        path = self._directory / f"{uuid}{'.transcript' * bool(recording.is_transcription)}.part"
        try:
            while (listed := self._manifest.file_of(recording, uuid, is_wanted=is_wanted)) is None:
                with _held(path) as handle:
                    if handle is None:  # another process is at it
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
        name = self._name(recording, uuid, extension)
        outcome = self._put(path, self._directory / str(name), sha256)
        self._manifest.add(name, sha256)
        _clear(path)
        return Saved(uuid=uuid, name=str(name), size=size, sha256=sha256, outcome=outcome)

    def _check_there(self, recording: Recording, uuid: str) -> None:
        """Refuse at once what would be refused in the end; what may be the file itself is compared with what comes.

        Raises:
            GuardError: What has a name that *recording* may get is no file, or of another size.
        """
        if recording.size is None:
            return
        for name in (self._name(recording, uuid, each) for each in (TRANSCRIPT, *AUDIO)):
            path = self._directory / str(name)
            if recording.is_transcription not in (None, name.is_transcription) or not os.path.lexists(path):
                continue
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                raise taken(path, "is there, and is not a file")
            if found.st_size not in (0, recording.size):
                raise taken(path, f"has {found.st_size} bytes, not {recording.size}")

    def _name(self, recording: Recording, uuid: str, extension: str) -> Name:
        """Its name; a transcription's is that of its recording, if that is there."""
        name = Name.of(recording, uuid, extension)
        listed = self._manifest.find(uuid, is_transcription=False) if name.is_transcription else None
        audio = None if listed is None else Name.parse(listed.name)
        return name if audio is None else replace(audio, extension=extension)

    def _put(self, path: Path, final: Path, sha256: str) -> str:
        """Give the whole file its name, whatever happens never that of another; ``done`` or ``already``.

        An empty file is none: whoever was killed where there are no links has left it.
        """
        outcome = DONE
        try:
            os.link(path, final)
        except FileExistsError:
            size, found = hash_file(final)
            if found == sha256:
                outcome = ALREADY
            elif size:
                raise taken(final, "holds something else") from None
            else:
                path.replace(final)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            try:  # a file system without links: the name is taken first, then given
                os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                raise taken(final, "came there meanwhile") from None
            path.replace(final)
        files.sync_directory(self._directory)
        return outcome


@dataclass(slots=True)
class _Intake:
    """What comes of one file, over one or more tries, into one open file."""

    handle: int
    recording: Recording
    on_progress: Progress
    overlap: int
    _may_resume: bool = True
    _begin: int = 0

    def headers(self) -> dict[str, str]:
        """Ask for what is missing, and for the end of what is there, if it was told how much there is in all."""
        size = self.recording.size
        self._begin = 0
        if size is not None and self._may_resume:
            self._begin = max(min(os.fstat(self.handle).st_size, size) - self.overlap, 0)
        return {"Accept": "*/*"} | ({"Range": f"bytes={self._begin}-"} if self._begin else {})

    def take(self, answer: Incoming) -> tuple[str, int, str]:
        """Write what comes; the extension of its type, the bytes of the whole file and their SHA-256."""
        begin = self._judge_status(answer)
        media_type = self._judge_type(answer)
        expected = self._judge_length(answer, begin)
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
                raise NoAnswer("what was there is not the beginning of the file")
            if done + len(part) - durable > self.overlap:
                os.fsync(self.handle)
                durable = done
            done += len(part)
            if done > (most if expected is None else expected):
                os.ftruncate(self.handle, 0)
                raise _not_it("it goes on after its end" if expected is not None else "it is too long")
            files.write_whole(self.handle, part)
            digest.update(part)
            self.on_progress(done, expected)
        if expected is not None and done < expected:
            raise NoAnswer("the file was cut short")
        os.fsync(self.handle)
        extension = _TYPES.get(media_type) or _sniff(os.pread(self.handle, 12, 0))
        if extension is None or self.recording.is_transcription not in (None, extension == TRANSCRIPT):
            os.ftruncate(self.handle, 0)
            raise _not_it("its content is of another kind")
        return extension, done, digest.hexdigest()

    def _judge_status(self, answer: Incoming) -> int:
        """Where in the file the answer begins.

        Raises:
            NoAnswer: It answers another question; the next try asks for all.
        """
        size = self.recording.size
        if answer.status == 200:
            return 0
        if answer.status == 206 and self._begin and size is not None:
            told = f"bytes {self._begin}-{size - 1}/{size}"
            if answer.headers.get("Content-Range") == told:
                return self._begin
        self._may_resume = False
        raise NoAnswer("the answer is not the part that was asked for")

    def _judge_type(self, answer: Incoming) -> str:
        media_type = answer.headers.get_content_type()
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise _not_it("it is compressed, which was not asked for")
        extension = _TYPES.get(media_type)
        is_right = self.recording.is_transcription in (None, extension == TRANSCRIPT)
        if media_type in _ANY_TYPE or (extension is not None and is_right):
            return media_type
        raise _not_it(f"it is {media_type[:80]}")

    def _judge_length(self, answer: Incoming, begin: int) -> int | None:
        """Bytes of the whole file; None if only its end tells."""
        total = None if answer.length is None else begin + answer.length
        size = self.recording.size
        if size is not None and total not in (None, size):
            raise _not_it(f"it has {total} bytes, not {size}")
        if size is None and not answer.is_framed:
            raise _not_it("nobody says how long it is")
        most = MAX_TRANSCRIPT_BYTES if self.recording.is_transcription else MAX_FILE_BYTES
        if (total or 0) > most:
            raise _not_it("it is too long")
        return total if size is None else size


@contextmanager
def _held(path: Path) -> Iterator[int | None]:
    """Open the file at *path* for this process alone, made if need be; None if another one holds it.

    Raises:
        GuardError: What is there is no file of this user.
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
            raise taken(path, f"is there, and is not a file ({exc.strerror})") from exc
    if handle is None:  # it has just been finished
        yield None
        return
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise taken(path, "is there, and is no file of yours")
        if not files.try_lock(handle):
            yield None
            return
        if os.fstat(handle).st_nlink > 1:  # it has its name already: whoever gave it that was killed
            path.unlink(missing_ok=True)
        yield handle if is_at(handle, path) else None
    finally:
        os.close(handle)


def _claim(handle: int, path: Path, origin: str | None) -> None:
    """Leave in the part at *path* only what came from *origin*, if anything may be gone on with.

    The origin is recorded beside the part, durable before any of it is written.

    Raises:
        GuardError: Something else has the name of that record.
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
    """Remove a part that is done with, which the caller holds."""
    path.unlink(missing_ok=True)
    path.with_suffix(_NOTE).unlink(missing_ok=True)


def _blocks(handle: int, size: int) -> Iterator[bytes]:
    """The first *size* bytes of a file, after which it is written to."""
    os.lseek(handle, 0, os.SEEK_SET)
    while size > 0 and (block := os.read(handle, min(size, BLOCK_BYTES))):
        size -= len(block)
        yield block


def _sniff(begin: bytes) -> str | None:
    """The extension of what begins so; None if it is of no kind that is recorded."""
    if begin.startswith(b"RIFF") and begin[8:12] == b"WAVE":
        return "wav"
    if begin.startswith(b"OggS"):
        return "ogg"
    if begin.startswith(b"ID3") or (len(begin) > 1 and begin[0] == 0xFF and begin[1] & 0xE0 == 0xE0):
        return "mp3"
    return TRANSCRIPT if begin.lstrip().startswith(b"{") else None


def _not_it(why: str) -> TransportError:
    return TransportError(
        f"What came is not the file that was announced: {why}.",
        hint="Nothing was kept under its name. Try again; a proxy may answer in the platform's place.",
    )


def _tell_nobody(_done: int, _all: int | None) -> None:
    return
