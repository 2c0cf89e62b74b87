"""The files of recordings: made when one has ended, kept for its days, and found by their ids.

Source: Vonage documentation on recordings (formats, channels); what it leaves open is in docs/sandbox-choices.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from voicectl.sandbox.recordings import encoding
from voicectl.sandbox.recordings.espeak import INSTALLED
from voicectl.sandbox.recordings.recorded import PER_MS, Stopped, sound, split
from voicectl.sandbox.recordings.tones import WIDTH
from voicectl.sandbox.recordings.transcript import transcript
from voicectl.sandbox.telephony.flow import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from voicectl.sandbox.recordings.espeak import Espeak
    from voicectl.sandbox.telephony.recording import Recording

_MAX_CHANNELS_COMPRESSED = 2  # with more, a recording is WAV whatever was asked for
_DAY_MS = 86_400_000
_NO_LIBRARY = "{0} needs the extra: pip install 'voicectl[audio]'; the recording was kept as WAV instead"
_TOO_LONG = "a WAV file holds 4 GiB at most: the end of the recording was left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file.

    Attributes:
        application_id: Whose it is.
        region: Where it was made, as applications name it.
        media_type: ``audio/mpeg``, ``audio/wav``, ``audio/ogg`` or ``application/json``.
        size: Bytes.
        expires: Milliseconds of the call clock from which on it is gone.
    """

    path: Path
    application_id: str
    region: str
    media_type: str
    size: int
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of a recording.

    Attributes:
        size: Bytes of the audio file; 0 if it could not be written.
        remark: Why it is not all that was asked for; None if it is.
    """

    size: int
    media_type: str
    remark: str | None = None


class Files:
    """The files, in a directory of their own that only this user can read.

    Args:
        call_time: Tells milliseconds of the call clock.
        espeak: What speaks.
        find_library: Gives the module soundfile, if it is there.
    """

    def __init__(
        self,
        call_time: Callable[[], int],
        *,
        espeak: Espeak = INSTALLED,
        find_library: Callable[[], ModuleType | None] = encoding.find_library,
    ) -> None:
        self._call_time = call_time
        self._espeak = espeak
        self._find_library = find_library
        self._folder: Path | None = None
        self._files: dict[str, File] = {}
        self._cleared = Event()
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "recordings")

    async def make(self, recording: Recording) -> Made | None:
        """Make the files of *recording*, which has ended: the audio, and the transcription if it is to have one.

        Returns:
            What they are like; None if :meth:`clear` or :meth:`close` came before it was done.
        """
        cleared = self._cleared
        if cleared.is_set():
            return None
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="voicectl-recordings-"))  # of mode 0700
        self._delete_expired()
        loop = asyncio.get_running_loop()
        made, files = await loop.run_in_executor(self._threads, self._make, recording, self._folder, cleared)
        if cleared.is_set():
            _delete(files.values())
            return None
        self._files |= files
        return made

    def get(self, file_id: str) -> File | None:
        """The file *file_id*; None if there never was one, or it has expired."""
        self._delete_expired()
        return self._files.get(file_id)

    def clear(self) -> None:
        """Delete all files, those in the making too."""
        self._cleared.set()
        self._cleared = Event()
        _delete(self._files.values())
        self._files = {}

    def close(self) -> None:
        """Delete all files and the directory; no more can be made."""
        self._cleared.set()
        self._threads.shutdown(cancel_futures=True)
        self._files = {}
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _delete_expired(self) -> None:
        now = self._call_time()
        expired = [file_id for file_id, file in self._files.items() if file.expires <= now]
        _delete(self._files.pop(file_id) for file_id in expired)

    def _make(self, recording: Recording, folder: Path, cleared: Event) -> tuple[Made, dict[str, File]]:
        """Do it, in a thread; all or nothing is left in *folder*."""
        ended = recording.ended
        if ended is None:
            raise ValueError("the recording still goes on")
        channels = split(recording)
        format_, library, remark = self._format(recording.order.format, len(channels))
        until = ended
        if format_ is Format.WAV:
            until = min(
                ended, recording.started + encoding.MAX_WAV_BYTES // (len(channels) * WIDTH) // PER_MS
            )
            remark = remark if until == ended else _TOO_LONG
        media_type = encoding.MEDIA_TYPES[format_]
        media_types = {recording.file_id: media_type}
        try:
            encoding.write(
                folder / recording.file_id,
                lambda: sound(channels, recording.started, until, self._espeak, cleared.is_set),
                wanted=format_,
                channels=len(channels),
                frames=(until - recording.started) * PER_MS,
                library=library,
            )
            if recording.transcription_id is not None:
                media_types[recording.transcription_id] = "application/json"
                text = transcript(recording.transcription_id, channels, recording.started, until)
                (folder / recording.transcription_id).write_text(json.dumps(text))
        except (OSError, Stopped) as exc:
            for file_id in media_types:
                (folder / file_id).unlink(missing_ok=True)
            return Made(size=0, media_type=media_type, remark=f"it could not be written: {exc}"), {}
        files = {
            file_id: File(
                path=folder / file_id,
                application_id=recording.application_id,
                region=recording.region,
                media_type=each,
                size=(folder / file_id).stat().st_size,
                expires=ended + recording.retention_days * _DAY_MS,
            )
            for file_id, each in media_types.items()
        }
        return Made(size=files[recording.file_id].size, media_type=media_type, remark=remark), files

    def _format(self, wanted: Format, channels: int) -> tuple[Format, ModuleType | None, str | None]:
        """What it is written in, with what, and why that is not what was wanted."""
        if wanted is Format.WAV or channels > _MAX_CHANNELS_COMPRESSED:
            return Format.WAV, None, None
        library = self._find_library()
        if library is None:
            return Format.WAV, None, _NO_LIBRARY.format(wanted.upper())
        return wanted, library, None


def _delete(files: Iterable[File]) -> None:
    for file in files:
        file.path.unlink(missing_ok=True)
