"""The NCCO linter, which finds the faults in a JSON value or in a file.

For a file, the linter also reports lines and columns. It sends no requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.voice import json_places
from voicectl.voice.json_places import BadJson, Lines
from voicectl.voice.ncco import flow, values
from voicectl.voice.ncco.findings import Finding, Findings
from voicectl.voice.ncco.model import NCCO
from voicectl.voice.ncco.verdicts import Fault

if TYPE_CHECKING:
    from voicectl.voice.json_places import Path

_BOM = "\ufeff"

_OF_REQUESTS = frozenset(
    ("to", "from", "answer_url", "event_url", "destination", "stream_url", "text", "digits", "action")
)
"""Field names by which the linter recognizes a request to the Voice API that was given instead of an NCCO."""

_VERBS = frozenset(("hangup", "mute", "unmute", "earmuff", "unearmuff"))
"""The values of ``action`` in requests that change a leg, except for ``transfer``, which is also an action."""


class Placed(NamedTuple):
    """A finding in a file, with the line and column numbers, both of which start at 1."""

    finding: Finding
    line: int
    column: int


def lint(value: Any) -> list[Finding]:
    """Return all findings about a JSON value, which should be an array of actions."""
    found = Findings()
    _look(value, found)
    return found.all


def first_error(value: Any) -> Finding | None:
    """Check *value* only up to its first error. Return that error, or None if *value* has no errors."""
    try:
        _look(value, _FirstError())
    except _Enough as exc:
        return exc.finding
    return None


def lint_file(content: bytes) -> list[Placed]:
    """Return the findings about a file, sorted by position. Content that is not JSON yields a single finding."""
    try:
        text = content.decode()
    except UnicodeDecodeError as exc:
        before = content[: exc.start].decode()
        return [_unreadable(before, len(before), "The file is not UTF-8.", "Save the file as UTF-8.")]
    marked = text.startswith(_BOM)
    text = text.removeprefix(_BOM)
    try:
        document = json_places.read(text)
    except BadJson as exc:
        return [_unreadable(text, exc.offset, exc.message, "Write an NCCO as JSON: an array of actions.")]
    lines = Lines(text)
    placed = [(document.offsets[finding.path], finding) for finding in lint(document.value)]
    placed += [
        (offset, Finding(Fault.REPEATED_KEY, path, "This key occurs twice.", "Remove one of the two."))
        for path, offset in document.repeated
    ]
    if marked:
        mark = Finding(
            Fault.BYTE_ORDER_MARK,
            (),
            "The file begins with a byte order mark.",
            "Save the file as UTF-8 without one.",
        )
        placed.append((0, mark))
    placed.sort(key=lambda each: each[0])
    return [Placed(finding, *lines.place(offset)) for offset, finding in placed]


class _Enough(Exception):
    """Raised to end the check when the first error is found."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class _FirstError(Findings):
    """A collection that ignores warnings, and that raises :class:`_Enough` at the first error."""

    def add(self, fault: Fault, path: Path, message: str, hint: str) -> None:
        finding = Finding(fault, path, message, hint)
        if finding.is_error:
            raise _Enough(finding)

    def may_guess(self) -> bool:
        return False


def _look(value: Any, found: Findings) -> None:
    mix_up = _mix_up(value) if isinstance(value, dict) else None
    if mix_up is not None:
        found.add(Fault.WRONG_TYPE, (), *mix_up)
        return
    values.check(NCCO, value, (), found)
    if isinstance(value, list):
        flow.check([values.given(each) if isinstance(each, dict) else each for each in value], found)


def _mix_up(value: dict[str, Any]) -> tuple[str, str] | None:
    """Describe an object that was given instead of an NCCO.

    Returns:
        What the object is, and advice on what to write instead. None if the object is not recognized.
    """
    name = value.get("action")
    if isinstance(name, str) and "destination" not in value and name not in _VERBS:
        return "This is a single action.", "Put it into an array of actions: [{...}]."
    request = "This is the body of a request to the API, not an NCCO."
    for holder, field in ((value, "ncco"), (value.get("destination"), "destination.ncco")):
        if isinstance(holder, dict) and "ncco" in holder:
            return request, f"Keep only the value of {field}, which is an array of actions."
    if value.keys() & _OF_REQUESTS:
        return request, "Write an array of actions."
    return None


def _unreadable(text: str, offset: int, message: str, hint: str) -> Placed:
    return Placed(Finding(Fault.UNREADABLE, (), message, hint), *Lines(text).place(offset))
