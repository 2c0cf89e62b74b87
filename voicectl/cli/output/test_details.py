"""The details of a failed test, as lines: the expectations, and what was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.scenarios.results import Result

OUTPUT_LINES = 20
WIDTH = 100
INDENT = "  "


def details(result: Result, *, width: int = WIDTH) -> Iterator[str]:
    """Yield lines that say what a failed test expected, what was heard, and what the application wrote.

    Args:
        width: The width of the ladder, in characters.
    """
    for failure in result.failures:
        where = f"{failure.where}: " if failure.where else ""
        first, *more = failure.message.splitlines()
        yield f"{where}{first} (after {failure.at:g} s)"
        yield from (f"  {line}" for line in more)
    if result.heard:
        yield "Heard:"
    for sound in result.heard:
        cut = " (cut off)" if sound.was_cut else ""
        yield f"  {sound.at:7.2f} s  {sound.party}  {sound.kind}  {sound.text}{cut}"
    yield from _ladder(result, width - len(INDENT))
    if result.output:
        yield "Output of the application:"
    yield from (f"  {line}" for line in result.output[-OUTPUT_LINES:])


def _ladder(result: Result, width: int) -> Iterator[str]:
    """Yield the ladder of the calls: their events in order, with a lane for each leg."""
    from voicectl.cli.output.ladder import ladder  # noqa: PLC0415 (for failed tests only)
    from voicectl.cli.output.ladder_text import draw  # noqa: PLC0415
    from voicectl.core.scenarios.ladder import traced  # noqa: PLC0415

    if result.log:
        yield "Calls:"
        yield from (
            f"{INDENT}{line}".rstrip() for line in draw(ladder(*traced(result.log)), width).splitlines()
        )
