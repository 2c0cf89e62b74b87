"""Show webhook events on a terminal as they arrive: one aligned line for each, fitted to the terminal's width."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Self

from voicectl.cli.output.fit import columns, fitted
from voicectl.cli.output.styles import STYLES, styled
from voicectl.cli.output.text import clean, cut_for
from voicectl.core.calls.references import SHORTEST
from voicectl.core.timeline.entries import Source, of_event
from voicectl.store.events import Route
from voicectl.voice.event import Kind, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Any, TextIO

    from voicectl.store.events import Arrival, Stored

TIME_WIDTH, SHORT_TIME_WIDTH, ID_WIDTH, WHAT_WIDTH, RTC_WIDTH = 12, 8, 5, 12, 20
WIDE = 100
"""The smallest width of a terminal on which both parties of a leg are shown, in columns."""

GAP = "  "
LEAST_WIDTH = 60
"""The smallest width of a terminal on which the ids of events are shown, in columns."""

_SHOWN_APART = ("from", "to", "duration", "recording_uuid")


class EventLines:
    """Writes events as lines during a ``with`` block.

    RTC events repeat much of what call events report, so they are left out unless *all_events* is set.

    Args:
        local_time: A function that formats a time in Unix seconds.
    """

    def __init__(
        self, stream: TextIO | None, local_time: Callable[[float], str], *, all_events: bool, is_colored: bool
    ) -> None:
        self._stream = stream
        self._local_time = local_time
        self._all_events = all_events
        self._is_colored = is_colored
        self._cut = cut_for(stream)

    def __enter__(self) -> Self:
        """Start without writing anything."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Flush the stream, unless it is closed."""
        if not isinstance(value, OSError):
            self.flush()

    def add(self, stored: Stored) -> None:
        """Write the line of one event."""
        if self._stream is None:
            raise OSError("standard output is closed")
        if self._all_events or stored.arrival.route is not Route.RTC:
            width = shutil.get_terminal_size().columns
            self._stream.write(self._line(stored, width) + "\n")

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            self._stream.flush()

    def _line(self, stored: Stored, width: int) -> str:
        """Return the line of an event: its time, id, name, leg, and all that is known about it."""
        arrival = stored.arrival
        what = clean(arrival.status or arrival.kind if _is_named_by_status(stored) else arrival.kind)
        style = "red" if arrival.fault is not None else STYLES.get(what, "")
        time_width = TIME_WIDTH if width >= LEAST_WIDTH else SHORT_TIME_WIDTH
        parts = [(f"{self._local_time(arrival.received):{time_width}}", "dim")]
        if width >= LEAST_WIDTH:
            parts.append((f"{stored.id or '-':>{ID_WIDTH}}", "dim"))
        room = RTC_WIDTH if self._all_events else WHAT_WIDTH
        shown = fitted(what, room, self._cut)
        parts.append((shown + " " * (room - columns(shown)), style))
        if arrival.leg is not None:
            parts.append((f"{clean(arrival.leg)[:SHORTEST]:{SHORTEST}}", ""))
        parts += _facts(stored, is_wide=width >= WIDE)
        return self._fitted(parts, width)

    def _fitted(self, parts: list[tuple[str, str]], width: int) -> str:
        """Join the parts into one line, cut to the width of the terminal."""
        line, left = "", width
        for number, (text, style) in enumerate(parts):
            shown = fitted((GAP if number else "") + text, left, self._cut)
            left -= columns(shown)
            line += styled(shown, style) if self._is_colored else shown
        return line.rstrip()


def _is_named_by_status(stored: Stored) -> bool:
    return stored.arrival.kind in (Kind.STATUS, Route.RTC)


def _facts(stored: Stored, *, is_wide: bool) -> Iterator[tuple[str, str]]:
    """Yield the pieces of text that describe an event, each with its style."""
    arrival = stored.arrival
    event = of_event(stored)
    if parties := _parties(arrival, is_wide=is_wide):
        yield clean(parties), ""
    if Source.UNSIGNED in event.sources:
        yield "unsigned", "yellow"
    if arrival.kind == Kind.RECORD:
        yield clean(f"{event.facts.get('recording_uuid', '-')}{_length(arrival.fields)}"), ""
    facts = [f"{name} {value}" for name, value in event.facts.items() if name not in _SHOWN_APART]
    if "duration" in event.facts:
        facts.insert(0, f"{event.facts['duration']} s")
    if facts:
        yield clean(", ".join(facts)), ""
    if event.left is not None:
        yield clean(f"to {event.conversation}"), ""
    if arrival.fault is not None:
        yield clean(arrival.fault), "red"


def _parties(arrival: Arrival, *, is_wide: bool) -> str:
    """Return the leg's caller and callee or, on a narrow terminal, only the party at the other end."""
    from_, to = (arrival.fields.get(name) for name in ("from", "to"))
    if arrival.route is Route.RTC or not (isinstance(from_, str) and isinstance(to, str)):
        return ""
    if is_wide:
        return f"{from_} -> {to}"
    return f"<- {from_}" if arrival.fields.get("direction") == "inbound" else f"-> {to}"


def _length(fields: Mapping[str, Any]) -> str:
    """Return the length of a recording, for example ``  12 s``, or an empty string if the event does not give it."""
    began, ended = moment(fields.get("start_time")), moment(fields.get("end_time"))
    return "" if began is None or ended is None else f"  {ended - began:.0f} s"
