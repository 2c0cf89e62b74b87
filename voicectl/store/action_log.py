"""The action log: a file with one line for each action on a leg and each fact learned about a leg.

Lines are appended, and never changed. The ``trace`` command shows the log, ``watch`` uses the log to find muted legs,
and other commands use it to find the region of a leg. The log never makes a command fail or wait: read and write
errors are ignored, and writes are not flushed to disk. Spoken texts and DTMF digits may be secret, so the log
contains only their lengths.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from voicectl.store import files
from voicectl.voice.call import CONVERSATION_PREFIX, hyphenated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_BYTES = 1 << 20
"""The size at which the log is rotated, in bytes. The file that the previous rotation left is then deleted."""

TAIL_BYTES = 1 << 16
"""The number of bytes that :meth:`ActionLog.latest` reads from the end of the log."""

REGION = "region"
"""The type of a note that records a leg's region. The detail ``url`` is the region's base URL."""

ENTERS = "enters"
"""The type of a note that records which room a new leg enters. The details also say whom the leg hears there."""

_MARKS = {
    "mute": ("muted", True),
    "unmute": ("muted", False),
    "earmuff": ("earmuffed", True),
    "unearmuff": ("earmuffed", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A record of one action on a leg or conversation, or of one fact learned about a leg.

    Attributes:
        at: The time of the action, or the time at which the fact was learned, in Unix seconds.
        uuid: The id of the leg, hyphenated and in lower case, or the id of the conversation (``CON-...``).
        what: The action, such as ``mute`` or ``transfer``; or the type of fact, such as :data:`REGION`.
        outcome: The outcome of the action: ``done``, ``already``, ``unknown`` or ``failed``.
        detail: Details as a JSON object, such as ``{"room": "support-17"}``.
    """

    at: float
    uuid: str
    what: str
    outcome: str = "done"
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, line: bytes) -> Self | None:
        """Return the note that *line* contains, or None if the line is incomplete or not a note."""
        with suppress(ValueError, TypeError, RecursionError):
            at, uuid, what, outcome, detail = json.loads(line)
            if all(isinstance(each, str) for each in (uuid, what, outcome)) and isinstance(detail, dict):
                return cls(at=float(at), uuid=uuid, what=what, outcome=outcome, detail=detail)
        return None

    @property
    def line(self) -> bytes:
        """The note, encoded as a line for the log file."""
        return json.dumps([self.at, self.uuid, self.what, self.outcome, self.detail]).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The mute and earmuff states of a leg, as set by this machine. Unknown states are None."""

    muted: bool | None = None
    earmuffed: bool | None = None


class ActionLog:
    """The action log of one application. Several processes may use the same log.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "notes"
        self._old = directory / "notes.old"

    def add(
        self, at: float, uuid: str, what: str, outcome: str = "done", detail: dict[str, Any] | None = None
    ) -> None:
        """Append a note about the action *what* on the leg or conversation *uuid*. Write errors are ignored."""
        note = Note(at=at, uuid=_name(uuid), what=what, outcome=outcome, detail=detail or {})
        with suppress(OSError), files.opened(self._path, files.OWN | os.O_APPEND) as handle:
            os.write(handle, note.line)
            if os.fstat(handle).st_size > MAX_BYTES:
                self._begin_anew(handle)

    @property
    def stamp(self) -> tuple[int, int]:
        """A value that changes when a note is added, so that callers can tell whether to read the log again."""
        with suppress(OSError):
            found = self._path.stat()
            return found.st_mtime_ns, found.st_size
        return 0, 0

    def of(self, uuid: str) -> list[Note]:
        """Return the notes about one leg, or about one conversation as a whole, oldest first."""
        name = _name(uuid)
        return [note for note in self._read(name.encode()) if note.uuid == name]

    def since(self, at: float) -> Iterator[Note]:
        """Yield the notes that were added since the time *at* (in Unix seconds), oldest first."""
        return (note for note in self._read(b"") if note.at >= at)

    def latest(self, word: str) -> Iterator[Note]:
        """Yield the notes with *word* (an action or a detail's name) in the last :data:`TAIL_BYTES`, oldest first."""
        content = b""
        for path in (self._path, self._old):
            content = _tail(path, TAIL_BYTES - len(content)) + content
        return _notes(content, json.dumps(word).encode())

    def region(self, uuid: str) -> str | None:
        """Return the base URL that was last recorded for a leg, or None if no URL was recorded."""
        found = [note.detail.get("url") for note in self.of(uuid) if note.what == REGION]
        return found[-1] if found and isinstance(found[-1], str) else None

    def marks(self, notes: Iterable[Note] | None = None) -> dict[str, Marks]:
        """Return the mute and earmuff states of the legs in *notes* (by default, in the whole log), by leg id."""
        found: dict[str, dict[str, bool | None]] = {}
        for note in self._read(b"") if notes is None else notes:
            if note.what in _MARKS and note.outcome != "failed":
                name, is_so = _MARKS[note.what]
                found.setdefault(note.uuid, {})[name] = None if note.outcome == "unknown" else is_so
        return {uuid: Marks(**each) for uuid, each in found.items()}

    def _read(self, wanted: bytes) -> Iterator[Note]:
        """Yield the notes whose lines contain *wanted*, oldest first."""
        for path in (self._old, self._path):
            content = b""
            with suppress(OSError):
                content = path.read_bytes()
            if wanted in content:
                yield from _notes(content, wanted)

    def _begin_anew(self, handle: int) -> None:
        """Rotate the log, unless another process has just done so. Processes may still write to the old file."""
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), self._path.stat()):
                self._path.replace(self._old)


def _notes(content: bytes, wanted: bytes) -> Iterator[Note]:
    lines = (line for line in content.split(b"\n") if wanted in line)
    return (note for line in lines if (note := Note.read(line)) is not None)


def _tail(path: Path, size: int) -> bytes:
    """Return the last *size* bytes of a file. The first line may be incomplete.

    If the file cannot be read, return ``b""``.
    """
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - size, 0))
        return file.read(size)
    return b""


def _name(uuid: str) -> str:
    return uuid if uuid.startswith(CONVERSATION_PREFIX) else hyphenated(uuid)
