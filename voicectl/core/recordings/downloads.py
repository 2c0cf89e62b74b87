"""Downloads an application's recordings when they are announced. Recordings that were missed are downloaded later.

The platform sends the event about a recording once, and keeps the file for about a month. Missed recordings are found
from the events in the event store.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TYPE_CHECKING

from voicectl.core.recordings.announcement import announced, named_after, of_event
from voicectl.core.recordings.checksums import Manifest
from voicectl.errors import (
    AuthError,
    ConfigError,
    InputError,
    NotFoundError,
    RateLimitedError,
    TransportError,
    UnwritableError,
    VoicectlError,
)
from voicectl.store.events import Query
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voicectl.clock import Clock
    from voicectl.core.recordings.announcement import Recording
    from voicectl.core.recordings.fetch import Fetcher, Progress, Saved
    from voicectl.store.events import EventStore, Stored

KINDS: tuple[str, ...] = (Kind.RECORD, Kind.TRANSCRIBED)

KEPT_SECONDS = 31 * 86_400.0
"""How long the platform keeps a recording's file by default, in seconds."""

NOT_YET_SECONDS = 60.0
"""How long after its announcement a file may still be unavailable, in seconds."""

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 300.0
MAX_TRIES = 12
MAX_REMEMBERED = 10_000
LOOK_SECONDS = 0.25

_MAY_PASS = (TransportError, RateLimitedError, UnwritableError)


def directory_for(path: Path) -> Path:
    """Create the directory *path* for recordings, with any missing parent directories, and return *path*.

    Raises:
        InputError: The directory cannot be created.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(
            f"The directory {path} cannot be created: {exc.strerror}.", hint="Choose another directory."
        ) from exc
    return path


def missed(
    store: EventStore, directory: Path, *, since: float | None = None, allow_unsigned: bool = False
) -> list[Recording]:
    """Return the recordings that events in the store announce but that the manifest of *directory* does not list.

    Args:
        since: Use only events received at this time or later, in Unix seconds; None to use all events.
        allow_unsigned: True to use unsigned events as well.
    """
    manifest = Manifest(directory)
    return [
        each
        for each in announced(store.find(Query(kinds=KINDS, since=since)))
        if (each.is_signed or allow_unsigned) and not (each.id and manifest.file_of(each, each.id))
    ]


@dataclass(order=True, slots=True)
class _Task:
    due: float
    number: int
    recording: Recording = field(compare=False)
    announced: float = field(compare=False)
    tries: int = field(default=0, compare=False)


class _Stopped(Exception):
    """Raised to stop a download because the receiver is stopping. The download is resumed at the next start."""


class Downloader:
    """Fetches recordings, in its own threads, when they are announced. Tries again after temporary errors.

    Args:
        directory: The directory for the files, which must exist.
        fetcher: A function that takes a progress callback and returns a new fetcher, for use in one thread.
        remark: Called with a one-line message about each final error, from any of the threads.
        on_saved: Called with each newly fetched file, from any of the threads.
        allow_unsigned: True to fetch recordings that unsigned events announce as well.
        threads: The number of threads.
    """

    def __init__(
        self,
        directory: Path,
        fetcher: Callable[[Progress], Fetcher],
        clock: Clock,
        *,
        remark: Callable[[str], None],
        on_saved: Callable[[Saved], None] | None = None,
        allow_unsigned: bool = False,
        threads: int = 2,
    ) -> None:
        self._directory = directory
        self._new_fetcher = fetcher
        self._clock = clock
        self._remark = remark
        self._on_saved = on_saved
        self._allow_unsigned = allow_unsigned
        self._changed = Condition()
        self._tasks: list[_Task] = []
        self._wanted: dict[tuple[str, bool | None], Recording] = {}
        self._audio: OrderedDict[str, Recording] = OrderedDict()
        self._number = 0
        self._is_closing = self._is_stopping = self._is_refused = False
        self._threads = [Thread(target=self._work, name="recordings", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of recordings that are being fetched or are still to be fetched."""
        with self._changed:
            return len(self._wanted)

    def add_missed(self, store: EventStore) -> None:
        """Schedule downloads of the recent recordings that *store* has events about but that the manifest lacks."""
        since = self._clock.time() - KEPT_SECONDS
        try:
            for each in missed(store, self._directory, since=since, allow_unsigned=self._allow_unsigned):
                self.add(each)
        except VoicectlError as exc:  # the receiver must still answer calls
            self._remark(
                f"warning: {exc.message} Fetch missed recordings with 'voicectl recording download'."
            )

    def announce(self, stored: Stored) -> None:
        """Schedule the recording or transcription that an event announces; do nothing if it announces none."""
        recording = of_event(stored)
        if recording is None or not (recording.is_signed or self._allow_unsigned):
            return
        with self._changed:
            if recording.uuid is not None and recording.is_transcription:
                recording = named_after(recording, self._audio.get(recording.uuid))
            elif recording.uuid is not None and _counts(recording, self._audio.get(recording.uuid)):
                self._audio[recording.uuid] = recording
                if len(self._audio) > MAX_REMEMBERED:
                    self._audio.popitem(last=False)
        self.add(recording)

    def add(self, recording: Recording) -> None:
        """Schedule *recording*, unless it is scheduled already. A signed event replaces an unsigned one."""
        now = self._clock.monotonic()
        with self._changed:
            if self._is_closing or self._is_refused:
                return
            if not _counts(recording, self._wanted.get(recording.key)):
                return
            self._wanted[recording.key] = recording
            self._number += 1
            heapq.heappush(self._tasks, _Task(now, self._number, recording, now))
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Wait up to *seconds* for the downloads that are due, and stop. Others are left for the next start."""
        give_up = time.monotonic() + seconds  # threads take real time, so the real clock measures it
        now = self._clock.monotonic()
        with self._changed:
            self._is_closing = True
            self._tasks = [task for task in self._tasks if task.due <= now]
            heapq.heapify(self._tasks)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(give_up - time.monotonic(), 0))
        self._is_stopping = True
        for thread in self._threads:
            thread.join(LOOK_SECONDS)
        if left := self.waiting:
            self._remark(
                f"{left} recording{'s' * (left != 1)} not fetched yet: start the receiver again, or use 'voicectl"
                " recording download'."
            )

    def _work(self) -> None:
        fetcher = None
        while (task := self._next()) is not None:
            try:
                fetcher = fetcher or self._new_fetcher(self._check)
                saved = fetcher.fetch(task.recording)
            except _Stopped:
                return
            except (AuthError, ConfigError) as exc:
                self._refuse(exc)
            except VoicectlError as exc:
                self._failed(task, exc)
            except Exception as exc:  # noqa: BLE001 (the other recordings must still be fetched)
                self._give_up(task, f"unexpected internal error: {type(exc).__name__}")
            else:
                self._drop(task)
                if self._on_saved and saved.is_new:
                    self._on_saved(saved)

    def _next(self) -> _Task | None:
        """Wait for the next task that is due and return it, or return None if there are no more tasks."""
        while True:
            with self._changed:
                while not self._tasks and not self._is_closing:
                    self._changed.wait()
                if not self._tasks or self._is_stopping:
                    return None
                pause = self._tasks[0].due - self._clock.monotonic()
                if pause <= 0:
                    task = heapq.heappop(self._tasks)
                    if self._is_wanted(task):
                        return task
                    continue
            self._clock.sleep(min(pause, LOOK_SECONDS))

    def _check(self, _done: int, _all: int | None) -> None:
        if self._is_stopping:
            raise _Stopped

    def _failed(self, task: _Task, exc: VoicectlError) -> None:
        """Schedule another attempt at a failed download, or give up if another attempt cannot succeed."""
        now = self._clock.monotonic()
        task.tries += 1
        may_pass = isinstance(exc, _MAY_PASS) or (
            isinstance(exc, NotFoundError) and now - task.announced < NOT_YET_SECONDS
        )
        if not may_pass or task.tries >= MAX_TRIES:
            self._give_up(task, exc.message)
            return
        task.due = now + min(FIRST_PAUSE_SECONDS * 2.0 ** (task.tries - 1), LONGEST_PAUSE_SECONDS)
        with self._changed:
            if not self._is_closing and self._is_wanted(task):
                heapq.heappush(self._tasks, task)
                self._changed.notify()

    def _refuse(self, exc: VoicectlError) -> None:
        """Stop all downloads, since credentials that fail for one file fail for all files. Report this only once."""
        with self._changed:
            is_first, self._is_refused = not self._is_refused, True
            self._tasks.clear()
            self._wanted.clear()
        if is_first:
            self._remark(f"Downloads of recordings stopped: {exc.message} {exc.hint or ''}".rstrip())
            self._remark("After correcting this, fetch the missing ones with 'voicectl recording download'.")

    def _give_up(self, task: _Task, why: str) -> None:
        if not self._drop(task):
            return
        what = "transcription" if task.recording.is_transcription else "recording"
        self._remark(f"{what} {task.recording.id} was not fetched: {why}")

    def _drop(self, task: _Task) -> bool:
        """Remove *task*, and return True. If another announcement has replaced the task's, return False instead."""
        with self._changed:
            is_wanted = self._is_wanted(task)
            if is_wanted:
                del self._wanted[task.recording.key]
            return is_wanted

    def _is_wanted(self, task: _Task) -> bool:
        """Return True if no other announcement has replaced the task's announcement."""
        return self._wanted.get(task.recording.key) is task.recording


def _counts(recording: Recording, known: Recording | None) -> bool:
    """Return True if the announcement *recording* takes precedence over *known*, the announcement used so far.

    See :func:`.announced` for the rule.
    """
    return known is None or recording.is_signed > known.is_signed
