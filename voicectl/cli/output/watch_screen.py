"""The screen of ``watch``: a live table of legs that fills the terminal.

When the command ends, the last state of the table stays on the terminal.

The main thread waits for the API and passes each new frame to :meth:`Screen.show`, which only stores it. A second
thread draws when a frame has arrived, when the size of the terminal has changed, and at least once a second, so that
ages advance while the main thread waits. Two drawings are at least 0.2 s apart, which limits the CPU time if legs
change often. Only the main thread receives signals, so no signal can interrupt an escape sequence.

The time that a drawing takes depends on the number of rows on the screen, not on the number of legs, because the
newest legs that fit are chosen before any cell is formatted. If the columns do not fit, ids, numbers and headings are
shortened first. If the columns still do not fit, some are left out in the order of ``_DROPPED``. Finally, the status
is cut or left out.

While the screen is in use, remarks on standard error are collected. The latest remark is shown below the table, and
all remarks are printed when the screen is closed.
"""

from __future__ import annotations

import math
import signal
import sys
import textwrap
import time
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from voicectl import times
from voicectl.cli.output.held_remarks import HeldRemarks
from voicectl.cli.output.styles import STYLES
from voicectl.cli.output.text import clean, is_terminal, may_color, remark
from voicectl.core.watch.frame import Frame, age_text
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType, TracebackType

    from rich.console import ConsoleOptions, RenderResult

    from voicectl.clock import Clock
    from voicectl.core.watch.schedule import PollStatus
    from voicectl.core.watch.sight import Sight

LOOK_SECONDS = 0.25
"""The time between two checks of the terminal's size, in seconds."""

REDRAW_SECONDS = 1.0
LEAST_SECONDS = 0.2
"""The shortest time between two drawings, in seconds."""

MOST_FOOT_LINES = 4
MOST_PRINTED = 200
"""The greatest number of legs in the last state of the table, which stays on the terminal."""

SHORT_PARTY = 15
LONG_TEXT = 40
SHORT_STATUS = 12
SHORT_ID = 8

LEAST_STATUS = 3

_DROPPED = ("earmuffed", "muted", "direction", "conversation", "from", "age", "to")
"""The columns to leave out if the terminal is too narrow, in this order. The status is cut or left out last."""

_WIDE = ("conversation", "leg", "status", "direction", "from", "to", "age", "muted", "earmuffed")
_HEADS = {"direction": "dir", "muted": "mut", "earmuffed": "ear"}
"""The short headings of columns for narrow terminals."""


class Screen:
    """Shows frames on the alternate screen of a terminal for the duration of a ``with`` block.

    Inside the block, the latest remark on standard error is shown below the table. When the block ends, all remarks
    are written to standard error.

    Args:
        stream: The terminal.
        polling: The state of polling, which is shown below the table.
        title: The name of the target.
    """

    def __init__(
        self, stream: TextIO, environ: Mapping[str, str], clock: Clock, polling: PollStatus, *, title: str
    ) -> None:
        self._clock = clock
        self._polling = polling
        self._title = title
        self._is_colored = may_color(environ, stream)
        self._console = console(stream, environ, is_colored=self._is_colored)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._frame = Frame()
        self._remarks = HeldRemarks(clock)
        self._changed = Condition()
        self._drawing = Lock()
        self._is_dirty = True
        self._is_done = False
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="screen", daemon=True)
        self._closing = ExitStack()

    def __enter__(self) -> Screen:
        """Switch to the alternate screen and start drawing."""
        with _signals_blocked():
            if (before := signal.getsignal(signal.SIGTSTP)) is not signal.SIG_IGN:
                signal.signal(signal.SIGTSTP, self._suspend)
                self._closing.callback(signal.signal, signal.SIGTSTP, before)
            if is_terminal(sys.stderr):
                self._closing.enter_context(redirect_stderr(self._remarks))
            try:
                self._live.start()
                self._thread.start()
            except BaseException:
                self._closing.close()
                raise
        return self

    def show(self, frame: Frame) -> None:
        """Store *frame* for the next drawing.

        Raises:
            OSError: An earlier drawing failed because the terminal is closed.
        """
        with self._changed:
            self._frame = frame
            self._is_dirty = True
            self._changed.notify()
        if self._failure is not None:
            raise self._failure

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the alternate screen, and print the last frame and the remarks."""
        with _signals_blocked():
            with self._changed:
                self._is_done = True
                self._changed.notify()
            self._thread.join()
            self._closing.close()
            with suppress(OSError):  # the terminal is closed, which show reports
                self._live.stop()
                self._console.print(self._sheet(is_last=True))
            for line in self._remarks.lines:
                remark(line)

    def _suspend(self, _signum: int, _frame: FrameType | None) -> None:
        """Restore the terminal and suspend this process on Ctrl-Z, and draw again when it resumes."""
        with _signals_blocked(), self._drawing:
            with suppress(OSError):
                self._live.stop()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            # blocked signals would wait until the block ends, and the screen would be drawn before
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTSTP,))
            signal.raise_signal(signal.SIGTSTP)  # this returns once the shell continues the process
            signal.signal(signal.SIGTSTP, self._suspend)
            with suppress(OSError):
                self._live.start()
        self._is_dirty = True

    def _run(self) -> None:
        drawn, size = -math.inf, None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_dirty or self._is_done, timeout=LOOK_SECONDS)
                if self._is_done:
                    return
                is_dirty, self._is_dirty = self._is_dirty, False
            now, before = time.monotonic(), size  # real time, because a person watches the screen
            size = self._console.size
            if not is_dirty and size == before and now - drawn < REDRAW_SECONDS:
                continue
            try:
                with self._drawing:
                    self._live.update(self._sheet(), refresh=True)
            except Exception as exc:  # noqa: BLE001 (raised again by show, in the main thread)
                self._failure = exc
                return
            drawn = time.monotonic()
            with self._changed:
                self._changed.wait_for(lambda: self._is_done, timeout=LEAST_SECONDS)

    def _sheet(self, *, is_last: bool = False) -> Sheet:
        now = self._clock.monotonic()
        polling = self._polling
        is_bad = polling.is_bad(now)
        messages = [] if is_last and not is_bad else [polling.text(now)]
        if not is_last:
            messages += self._remarks.latest()
        return Sheet(
            frame=self._frame,
            now=self._clock.time(),
            title=self._title,
            messages=tuple(messages),
            is_bad=is_bad,
            is_colored=self._is_colored,
            most=MOST_PRINTED if is_last else None,
        )


_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold back signals for the duration of the ``with`` block, so that the screen is not left half restored.

    Threads that are started inside the block never receive these signals.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def console(stream: TextIO, environ: Mapping[str, str], *, is_colored: bool) -> Console:
    """Return a console that asks the terminal for its size, because ``COLUMNS`` may be out of date."""
    return Console(
        file=stream,
        force_terminal=True,
        color_system="standard" if is_colored else None,
        no_color=not is_colored,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
        _environ={name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One drawing: a heading, the table, and the messages below the table.

    Attributes:
        now: The current time, in Unix seconds.
        messages: The messages below the table.
        is_bad: True if the first message is a warning.
        most: The greatest number of legs to draw, or None to draw as many legs as fit on the screen.
    """

    frame: Frame
    now: float
    title: str
    messages: tuple[str, ...] = ()
    is_bad: bool = False
    is_colored: bool = False
    most: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the legs that fit on the screen or, if :attr:`most` is set, at most that many legs."""
        width = options.max_width
        height = None if self.most is not None else options.height or console.height
        cut = "…" if not options.ascii_only else "~"
        above = self._above(width)
        below = self._below(width)
        room = (self.most or 0) if height is None else max(height - len(above) - len(below) - 1, 0)
        rows, left_out = _newest(self.frame.groups, room)
        hidden = self.frame.hidden + left_out
        if hidden and height is not None and rows:  # the line with the number of hidden legs takes one row
            rows, left_out = _newest(self.frame.groups, room - 1)
            hidden = self.frame.hidden + left_out
        lines = [*above, *self._table(rows, width, cut)]
        if hidden:
            lines.append((f"and {counted(hidden, 'older leg')}" if rows else counted(hidden, "leg"), "dim"))
        if height is not None:
            lines += [("", "")] * (height - len(lines) - len(below))
        lines += below
        for number, line in enumerate(lines[:height]):
            if number:
                yield Segment.line()
            cells = line if isinstance(line, list) else [line]
            left = width
            for text, style in cells:
                shown = text if cell_len(text) <= left else set_cell_size(text, left)
                left -= cell_len(shown)
                yield Segment(shown, Style.parse(style) if self.is_colored and style else None)
        if height is None:
            yield Segment.line()

    def _above(self, width: int) -> list[_Line]:
        frame = self.frame
        counts = counted(frame.live, "live leg")
        more = f" in {counted(frame.conversations, 'conversation')}" if frame.live else ""
        over = f", {frame.over} ended" if frame.over else ""
        parts = [counts + more + over, counts + over, counts]
        clock = times.utc(self.now)[11:]
        for text in parts:
            for right in (f"{clean(self.title)}  {clock}", clock, ""):
                if cell_len(text) + cell_len(right) + 2 <= width:
                    return [[(text, "bold"), (right.rjust(width - cell_len(text)) if right else "", "dim")]]
        return [(parts[-1], "bold")]

    def _below(self, width: int) -> list[_Line]:
        messages: list[tuple[str, str]] = []
        if self.frame.disagreements:
            uuid, first = self.frame.disagreements[0]
            more = len(self.frame.disagreements) - 1
            others = f" And {counted(more, 'leg')} more." if more else ""
            messages.append((f"! {clean(uuid)[:SHORT_ID]}: {first}{others}", "red"))
        for number, text in enumerate(self.messages):
            messages.append((text, "bold red" if self.is_bad and number == 0 else "dim"))
        found: list[_Line] = [
            (line, style) for text, style in messages for line in textwrap.wrap(clean(text), max(width, 1))
        ]
        return found[-MOST_FOOT_LINES:] if self.most is None else found

    def _table(self, rows: Sequence[tuple[Sight, bool]], width: int, cut: str) -> list[_Line]:
        if not rows:
            return []
        cells = [_cells(sight, self.now, cut, is_first=is_first) for sight, is_first in rows]
        heads = {name: name for name in _WIDE}
        columns, widths, gap = list(_WIDE), _widths(heads, cells), 2
        if sum(widths.values()) + gap * (len(columns) - 1) > width:
            cells = [_shortened(each, cut) for each in cells]
            heads, gap = heads | _HEADS, 1
            widths = _widths(heads, cells)
        for name in _DROPPED:
            if sum(widths[each] for each in columns) + gap * (len(columns) - 1) <= width:
                break
            columns.remove(name)
        if columns == ["leg", "status"]:
            widths["status"] = min(widths["status"], width - widths["leg"] - gap)
            if widths["status"] < LEAST_STATUS:
                columns.remove("status")
        head = (" " * gap).join(set_cell_size(heads[name], widths[name]) for name in columns)
        lines: list[_Line] = [(head.rstrip(), "bold")]
        sizes = {name: widths[name] + gap for name in columns[:-1]} | {columns[-1]: widths[columns[-1]]}
        for (sight, _), each in zip(rows, cells, strict=True):
            lines.append(
                [(set_cell_size(each[name], size), _style_of(name, sight)) for name, size in sizes.items()]
            )
        return lines


_Line = tuple[str, str] | list[tuple[str, str]]
"""A line: a pair of text and style, or a list of such pairs."""


def counted(number: int, what: str) -> str:
    """Return *number* and *what* as text, such as ``1 leg`` or ``2 legs``."""
    return f"{number:,} {what}{'s' * (number != 1)}".replace(",", " ")


def _newest(groups: Sequence[Sequence[Sight]], room: int) -> tuple[list[tuple[Sight, bool]], int]:
    """Return the newest legs that fit in *room* rows, and the number of legs that are left out.

    Each leg is paired with a flag, which is True for the first leg of each conversation in the result.
    """
    rows: list[tuple[Sight, bool]] = []
    for group in groups:
        left = room - len(rows)
        if left <= 0:
            break
        rows += [(sight, number == 0) for number, sight in enumerate(group[-left:])]
    return rows, sum(map(len, groups)) - len(rows)


def _cells(sight: Sight, now: float, cut: str, *, is_first: bool) -> dict[str, str]:
    """Return the table cells for a leg, by column. Text from outside is escaped, and very long text is cut."""
    call = sight.call
    found = {
        "conversation": (call.conversation_uuid or "-") if is_first else "",
        "leg": call.uuid,
        "status": call.status or "-",
        "direction": call.direction or "-",
        "from": endpoint.label(call.from_) or "-",
        "to": endpoint.label(call.to) or "-",
        "age": age_text(sight.age(now), is_exact=sight.birth.is_exact),
        "muted": _known(sight.marks.muted),
        "earmuffed": _known(sight.marks.earmuffed),
    }
    cells = {name: clean(text) for name, text in found.items()}
    cells |= {name: _cut(cells[name], LONG_TEXT, cut) for name in ("from", "to", "status", "direction")}
    if sight.is_gone:  # this matters more than the last status
        cells["status"] = "gone"
    return cells | {"status": cells["status"] + ("!" if sight.disagreement else "")}


def _shortened(cells: dict[str, str], cut: str) -> dict[str, str]:
    """Return *cells* with their text shortened for a narrow terminal."""
    conversation = cells["conversation"]
    prefix = len("CON-") if conversation.startswith("CON-") else 0
    return cells | {
        "conversation": conversation[: prefix + SHORT_ID],
        "leg": cells["leg"][:SHORT_ID],
        "status": _cut(cells["status"], SHORT_STATUS, cut),
        "direction": {"inbound": "in", "outbound": "out"}.get(
            cells["direction"], _cut(cells["direction"], 3, cut)
        ),
        "from": _cut(cells["from"], SHORT_PARTY, cut),
        "to": _cut(cells["to"], SHORT_PARTY, cut),
    }


def _known(mark: bool | None) -> str:
    return "?" if mark is None else "yes" if mark else "no"


def _cut(text: str, width: int, mark: str) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + mark


def _widths(heads: Mapping[str, str], cells: Sequence[Mapping[str, str]]) -> dict[str, int]:
    return {
        name: max(cell_len(head), *(cell_len(each[name]) for each in cells)) for name, head in heads.items()
    }


def _style_of(name: str, sight: Sight) -> str:
    if sight.disagreement and name == "status":
        return "bold red"
    if sight.is_over:
        return "dim"
    return STYLES.get(sight.call.status, "") if name == "status" else ""
