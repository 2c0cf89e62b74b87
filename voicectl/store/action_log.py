"""What this machine did to legs, and learnt of them: a line each, in a file that is only appended to.

``trace`` tells it, ``watch`` shows who is muted by it, and a leg's region is found by it. It stands beside the work,
never in its way: a note that cannot be written or read is done without, and none waits for the disk. What was said or
pressed may be a secret: only how much it was is kept.
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
"""How long the file may grow before it becomes the old one; what was the old one is gone then."""

TAIL_BYTES = 1 << 16
"""How far back :meth:`Notes.latest` looks."""

REGION = "region"
"""What a note is called that tells where a leg's control requests go: ``detail["url"]``."""

_MARKS = {
    "mute": ("muted", True),
    "unmute": ("muted", False),
    "earmuff": ("earmuffed", True),
    "unearmuff": ("earmuffed", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that was done to a leg, or learnt of it.

    Attributes:
        at: Unix seconds.
        uuid: The leg, hyphenated and in lower case; or a conversation, ``CON-...``.
        what: The verb: ``mute``, ``transfer``; or :data:`REGION`.
        outcome: ``done``, ``already``, ``unknown`` or ``failed``.
        detail: More of it, as JSON has it: ``{"room": "support-17"}``.
    """

    at: float
    uuid: str
    what: str
    outcome: str = "done"
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, line: bytes) -> Self | None:
        """What a line tells; None if it is torn or somebody else's."""
        with suppress(ValueError, TypeError, RecursionError):
            at, uuid, what, outcome, detail = json.loads(line)
            if all(isinstance(each, str) for each in (uuid, what, outcome)) and isinstance(detail, dict):
                return cls(at=float(at), uuid=uuid, what=what, outcome=outcome, detail=detail)
        return None

    @property
    def line(self) -> bytes:
        """The note as the file has it."""
        return json.dumps([self.at, self.uuid, self.what, self.outcome, self.detail]).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Whether a leg is muted and earmuffed, as far as it was done from here; None: nobody knows."""

    muted: bool | None = None
    earmuffed: bool | None = None


class Notes:
    """The notes of one application; several processes may share them.

    Args:
        directory: The application's state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "notes"
        self._old = directory / "notes.old"

    def add(
        self, at: float, uuid: str, what: str, outcome: str = "done", detail: dict[str, Any] | None = None
    ) -> None:
        """Note that *what* was done to leg (or conversation) *uuid*; where that fails it is done without."""
        note = Note(at=at, uuid=_name(uuid), what=what, outcome=outcome, detail=detail or {})
        with suppress(OSError), files.opened(self._path, files.OWN | os.O_APPEND) as handle:
            os.write(handle, note.line)
            if os.fstat(handle).st_size > MAX_BYTES:
                self._begin_anew(handle)

    @property
    def stamp(self) -> tuple[int, int]:
        """Another one after each note, so that they need not be read again before."""
        with suppress(OSError):
            found = self._path.stat()
            return found.st_mtime_ns, found.st_size
        return 0, 0

    def of(self, uuid: str) -> list[Note]:
        """What is noted of one leg, or of one conversation as a whole, oldest first."""
        name = _name(uuid)
        return [note for note in self._read(name.encode()) if note.uuid == name]

    def since(self, at: float) -> Iterator[Note]:
        """What is noted of every leg from then on, in Unix seconds, oldest first."""
        return (note for note in self._read(b"") if note.at >= at)

    def latest(self, word: str) -> Iterator[Note]:
        """The latest notes that hold *word* (a verb, or a key of the detail), oldest first: at once, however many."""
        content = b""
        for path in (self._path, self._old):
            content = _tail(path, TAIL_BYTES - len(content)) + content
        return _notes(content, json.dumps(word).encode())

    def region(self, uuid: str) -> str | None:
        """The base URL where a leg was found; None if it is where all legs are looked for."""
        found = [note.detail.get("url") for note in self.of(uuid) if note.what == REGION]
        return found[-1] if found and isinstance(found[-1], str) else None

    def marks(self, notes: Iterable[Note] | None = None) -> dict[str, Marks]:
        """Who is muted or earmuffed, of the legs that *notes* (all of them) are about."""
        found: dict[str, dict[str, bool | None]] = {}
        for note in self._read(b"") if notes is None else notes:
            if note.what in _MARKS and note.outcome != "failed":
                name, is_so = _MARKS[note.what]
                found.setdefault(note.uuid, {})[name] = None if note.outcome == "unknown" else is_so
        return {uuid: Marks(**each) for uuid, each in found.items()}

    def _read(self, wanted: bytes) -> Iterator[Note]:
        """The notes with *wanted* in their lines; a file without it is not taken apart."""
        for path in (self._old, self._path):
            content = b""
            with suppress(OSError):
                content = path.read_bytes()
            if wanted in content:
                yield from _notes(content, wanted)

    def _begin_anew(self, handle: int) -> None:
        """Let the file become the old one; one process does, and whoever has it open still writes to it."""
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), self._path.stat()):
                self._path.replace(self._old)


def _notes(content: bytes, wanted: bytes) -> Iterator[Note]:
    lines = (line for line in content.split(b"\n") if wanted in line)
    return (note for line in lines if (note := Note.read(line)) is not None)


def _tail(path: Path, size: int) -> bytes:
    """The last *size* bytes of a file, which may begin within a line; nothing if it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - size, 0))
        return file.read(size)
    return b""


def _name(uuid: str) -> str:
    return uuid if uuid.startswith(CONVERSATION_PREFIX) else hyphenated(uuid)
