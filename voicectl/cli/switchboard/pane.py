"""The pane with the details of the leg under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from voicectl.cli.output.text import clean
from voicectl.cli.switchboard.table.columns import known
from voicectl.core.history import leg_key
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from textual.app import ComposeResult

    from voicectl.cli.switchboard.detail import Detail
    from voicectl.cli.switchboard.table.roster import Roster
    from voicectl.clock import Clock
    from voicectl.core.watch.sight import Sight

_FIELDS = ("start_time", "end_time", "duration", "rate", "price", "network", "status_source")
"""Fields of a record that are shown if the record has them."""


class Pane(VerticalScroll, can_focus=False):
    """The details of one leg: its record, who hears whom, its last events, and what was done to it.

    Args:
        deeds: A function that returns what was done to a leg from this screen, as lines of text.
        show_time: A function that returns a time in Unix seconds as text.
    """

    DEFAULT_CSS = """
    Pane { height: 45%; width: 1fr; border-top: solid $primary; display: none; }
    Pane.-beside { height: 1fr; width: 45%; border-top: none; border-left: solid $primary; }
    """

    def __init__(self, roster: Roster, clock: Clock, show_time: Callable[[float], str]) -> None:
        super().__init__()
        self.deeds: Callable[[str], Sequence[str]] = lambda _: ()
        self._roster = roster
        self._clock = clock
        self._show_time = show_time
        self._key: str | None = None
        self._detail: Detail | None = None
        self._text = Static(markup=False)

    def compose(self) -> ComposeResult:
        """Yield the text."""
        yield self._text

    def show_leg(self, sight: Sight | None) -> None:
        """Show what is known of a leg without asking."""
        key = None if sight is None else leg_key(sight.call.uuid)
        if key != self._key:
            self._key, self._detail = key, None
            self.scroll_home(animate=False)
        self.draw()

    def show_detail(self, key: str, detail: Detail) -> None:
        """Show what was read about a leg, if that leg is still the one that is shown."""
        if key == self._key:
            self._detail = detail
            self.draw()

    def draw(self) -> None:
        """Draw the pane again, if it is shown and something has changed."""
        if not self.display:
            return
        sight = None if self._key is None else self._roster.sights.get(self._key)
        lines = ["Move the cursor to a leg to see its details."] if sight is None else self._lines(sight)
        content = Content("\n".join(clean(line) for line in lines))
        if content != self._text.content:
            self._text.update(content)

    def _lines(self, sight: Sight) -> Iterator[str]:
        call, roster = sight.call, self._roster
        name = roster.names.get(call.conversation_uuid)
        marks = roster.marks(sight, self._clock.time())
        yield call.uuid
        rows = {
            "status": "gone: the API has no record of it" if sight.is_gone else call.status,
            "conversation": call.conversation_uuid if name is None else f"{name}, {call.conversation_uuid}",
            "direction": call.direction,
            "from": endpoint.label(call.from_),
            "to": endpoint.label(call.to),
            "muted": known(marks.muted),
            "earmuffed": known(marks.earmuffed),
            "began": f"{self._show_time(sight.birth.at)}, according to the {sight.birth.source}"
            if sight.birth.is_exact
            else f"before {self._show_time(sight.birth.at)}",
        } | {name: str(call.raw[name]) for name in _FIELDS if call.raw.get(name) is not None}
        for label, value in rows.items():
            yield f"{label:13} {value or '-'}"
        if sight.disagreement:
            yield f"! {sight.disagreement}"
        yield from self._read(call.uuid)

    def _read(self, uuid: str) -> Iterator[str]:
        """Yield what was read about the leg, and what was done to it."""
        detail = self._detail
        if detail is None:
            yield ""
            yield "Reading who hears whom and the events…"
        done = [] if detail is None else [f"{self._show_time(at)}  {text}" for at, text in detail.notes]
        sections = {
            "Hearing": [] if detail is None else detail.hearing,
            "Last events": []
            if detail is None
            else [f"{self._show_time(at)}  {text}" for at, text in detail.events],
            "Done from this machine": done,
            "Done from this screen": list(self.deeds(uuid)),
            "Not known": [] if detail is None else detail.troubles,
        }
        for title, lines in sections.items():
            if lines:
                yield ""
                yield title
                yield from (f"  {line}" for line in lines)
