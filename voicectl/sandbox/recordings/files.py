"""The storage for the files of recordings.

Files are created when a recording ends, and are kept for the recording's retention time. They can be retrieved by id.

Source: Vonage documentation on recordings (formats, channels); see also docs/sandbox-choices.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from types import ModuleType

from voicectl.sandbox.call_clock import DAY_MS
from voicectl.sandbox.recordings import encoding
from voicectl.sandbox.recordings.espeak import INSTALLED, Espeak
from voicectl.sandbox.recordings.recorded import PER_MS, Stopped, sound, split
from voicectl.sandbox.recordings.tones import WIDTH
from voicectl.sandbox.recordings.transcript import transcript
from voicectl.sandbox.telephony.actions import Format
from voicectl.sandbox.telephony.recording import Recording

MOST_BYTES = 2 * 10**9
"""The maximum total size of a sandbox's files on disk, in bytes. Silence takes up almost no space."""

_NAME = "voicectl-recordings-{pid}-"
_MAX_CHANNELS_COMPRESSED = 2  # a recording with more channels is always WAV
_NO_LIBRARY = "the recording was saved as WAV: {0} needs the extra 'audio' (pip install 'voicectl[audio]')"
_TOO_LONG = "the end of the recording was cut off: a WAV file can hold at most 4 GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A stored file: an audio file or a transcription.

    Attributes:
        application_id: The id of the application that owns the file.
        region: The region of the recording, such as ``na-east``.
        media_type: ``audio/mpeg``, ``audio/wav``, ``audio/ogg`` or ``application/json``.
        taken: The number of bytes that the file takes up on disk. They count towards the maximum total size of all
            files.
        expires: The time at which the file is deleted, in milliseconds on the call clock.
    """

    path: Path
    application_id: str
    region: str
    media_type: str
    taken: int
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingResult:
    """The result of an attempt to create a recording's files.

    Attributes:
        size: The size of the audio file in bytes, or 0 if the file could not be written.
        remark: The reason why the audio file is missing or is not as requested, or None if it is as requested.
    """

    size: int
    remark: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class _Budget:
    """A limit on the number of bytes that may be written. Several threads share the limit."""

    left: int
    most: int
    lock: Lock = field(default_factory=Lock)

    def take(self, size: int) -> None:
        with self.lock:
            if size > self.left:
                raise _OverBudget(
                    f"a sandbox's recordings may take up at most {self.most / 1e9:g} GB in total"
                )
            self.left -= size

    def give_back(self, size: int) -> None:
        with self.lock:
            self.left += size


class _OverBudget(OSError):
    """Raised if a file is larger than the space that remains."""


class Files:
    """The files of a sandbox's recordings, in a directory that only this user can read.

    Args:
        call_time: A function that returns the time on the call clock, in milliseconds.
        espeak: The speech synthesizer that speaks the text of prompts.
        find_library: A function that returns the module ``soundfile``, or None if the module is not installed.
        most_bytes: The maximum size of all files together, in bytes. The default is :data:`MOST_BYTES`.
    """

    def __init__(
        self,
        call_time: Callable[[], int],
        *,
        espeak: Espeak = INSTALLED,
        find_library: Callable[[], ModuleType | None] = encoding.find_library,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._call_time = call_time
        self._espeak = espeak
        self._find_library = find_library
        self._budget = _Budget(left=most_bytes, most=most_bytes)
        self._folder: Path | None = None
        self._files: dict[str, File] = {}
        self._cleared = Event()
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "recordings")

    async def make(self, recording: Recording) -> RecordingResult | None:
        """Create the files of *recording*, which must have ended.

        The files are an audio file and, if a transcription was requested, a file with the transcription.

        Returns:
            The result, or None if :meth:`clear` or :meth:`close` was called before the files were complete.
        """
        cleared = self._cleared
        if cleared.is_set():
            return None
        self._delete_expired()
        try:
            folder = self._open()
        except OSError as exc:
            return RecordingResult(size=0, remark=_unwritten(exc))
        loop = asyncio.get_running_loop()
        made, files = await loop.run_in_executor(self._threads, self._make, recording, folder, cleared)
        if cleared.is_set():
            self._delete(files.values())
            return None
        self._files |= files
        return made

    def get(self, file_id: str) -> File | None:
        """Return the file with the id *file_id*, or None if the file does not exist or has expired."""
        self._delete_expired()
        file = self._files.get(file_id)
        if file is not None and not file.path.exists():  # another program has deleted the file
            self._delete([self._files.pop(file_id)])
            return None
        return file

    def clear(self) -> None:
        """Delete all files, including those that are being created."""
        self._cleared.set()
        self._cleared = Event()
        self._delete(self._files.values())
        self._files = {}

    def close(self) -> None:
        """Delete all files and their directory. After this call, no more files can be created."""
        self._cleared.set()
        self._threads.shutdown(cancel_futures=True)
        self._files = {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _delete_expired(self) -> None:
        now = self._call_time()
        expired = [file_id for file_id, file in self._files.items() if file.expires <= now]
        self._delete(self._files.pop(file_id) for file_id in expired)

    def _delete(self, files: Iterable[File]) -> None:
        for file in files:
            file.path.unlink(missing_ok=True)
            self._budget.give_back(file.taken)

    def _open(self) -> Path:
        """Return the directory for the files. If it does not exist, create it."""
        if self._folder is None:
            self._threads.submit(_sweep)
        if self._folder is None or not _is_own(self._folder):
            self._folder = Path(tempfile.mkdtemp(prefix=_NAME.format(pid=os.getpid())))  # with mode 0700
        return self._folder

    def _make(
        self, recording: Recording, folder: Path, cleared: Event
    ) -> tuple[RecordingResult, dict[str, File]]:
        """Create all files of *recording* in *folder*.

        If an error occurs, create no files. This method runs in a thread.
        """
        if recording.ended is None:
            raise ValueError("the recording has not ended")
        channels, expires = split(recording), recording.ended + recording.retention_days * DAY_MS
        format_, library, until, remark = self._plan(recording, recording.ended, len(channels))
        media_types = {recording.file_id: encoding.MEDIA_TYPES[format_]}
        if recording.transcription_id is not None:
            media_types[recording.transcription_id] = "application/json"
        path, taken = folder / recording.file_id, Counter[str]()

        def take(file_id: str, size: int) -> None:
            self._budget.take(size)
            taken[file_id] += size

        def audio() -> Iterator[bytes | int]:
            for block in sound(channels, recording.started, until, self._espeak, cleared.is_set):
                if format_ is Format.WAV and isinstance(block, bytes):
                    take(recording.file_id, len(block))
                yield block

        try:
            frames = (until - recording.started) * PER_MS
            encoding.write(
                path, audio, wanted=format_, channels=len(channels), frames=frames, library=library
            )
            if format_ is not Format.WAV:
                take(recording.file_id, path.stat().st_size)
            if recording.transcription_id is not None:
                text = json.dumps(transcript(recording.transcription_id, channels, recording.started, until))
                take(recording.transcription_id, len(text))
                (folder / recording.transcription_id).write_text(text)
            made = RecordingResult(size=path.stat().st_size, remark=remark)
        except (OSError, Stopped) as exc:
            for file_id in media_types:
                (folder / file_id).unlink(missing_ok=True)
            self._budget.give_back(taken.total())
            return RecordingResult(size=0, remark=_unwritten(exc)), {}
        return made, {
            file_id: File(
                path=folder / file_id,
                application_id=recording.application_id,
                region=recording.region,
                media_type=media_type,
                taken=taken[file_id],
                expires=expires,
            )
            for file_id, media_type in media_types.items()
        }

    def _plan(
        self, recording: Recording, ended: int, channels: int
    ) -> tuple[Format, ModuleType | None, int, str | None]:
        """Choose the format, the library that writes the format, and the end of the sound, in milliseconds.

        If the recording cannot be written as requested, also return a remark that gives the reason.
        """
        wanted, remark = recording.order.format, None
        if wanted is not Format.WAV and channels <= _MAX_CHANNELS_COMPRESSED:
            library = self._find_library()
            if library is not None:
                return wanted, library, ended, None
            remark = _NO_LIBRARY.format(wanted.upper())
        longest = recording.started + encoding.MAX_WAV_BYTES // (channels * WIDTH) // PER_MS
        if longest < ended:
            return Format.WAV, None, longest, _TOO_LONG
        return Format.WAV, None, ended, remark


def _unwritten(exc: Exception) -> str:
    return f"the file could not be written: {exc}"


def _is_own(folder: Path) -> bool:
    """Return True if *folder* is a directory that belongs to this user. Return False for a link to a directory."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _sweep() -> None:
    """Delete the directories of sandboxes that were killed before they could clean up."""
    for folder in Path(tempfile.gettempdir()).glob(_NAME.format(pid="*") + "*"):
        named = re.match(_NAME.format(pid="([0-9]+)"), folder.name)
        if named is not None and _is_own(folder) and not _is_running(int(named[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's process, or a number that is not a pid
    return True
