"""Show the progress of a crawl on a terminal, in one line that is removed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.status import Status

from voicectl.cli.output.progress import plain_console

if TYPE_CHECKING:
    from voicectl.core.crawl.menus import Map


class CrawlLine(Status):
    """The number of calls, states and errors so far."""

    def __init__(self, stream: TextIO, *, is_colored: bool) -> None:
        super().__init__("Starting", console=plain_console(stream, is_colored=is_colored))

    def show(self, menu: Map) -> None:
        """Show the current counts."""
        self.update(f"{menu.walks} calls, {len(menu.states)} states, {len(menu.findings)} errors")
