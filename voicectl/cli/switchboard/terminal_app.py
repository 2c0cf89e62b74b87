"""An application that treats the terminal as other commands do: signals, Ctrl-C, Ctrl-Z, and colors."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.filter import Monochrome, NoColor

from voicectl.cli.switchboard.held_keys import HeldKeysApp
from voicectl.errors import Interrupted

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Sequence

    from textual.filter import LineFilter

THEMES = ("ansi-dark", "textual-light", "textual-dark")
"""The terminal's own colors, and a light and a dark theme that do not depend on them."""


class TerminalApp(HeldKeysApp[BaseException | None]):
    """An application that gives the terminal back however it ends.

    The result of :meth:`run` is the error that ends the command, or None if the user has left.

    Args:
        is_colored: False to use no colors.
    """

    ENABLE_COMMAND_PALETTE = False
    NOTIFICATION_TIMEOUT = 10

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "theme", "Switch between three themes: the terminal's colours, light, dark"),
        Binding("q", "leave", "Leave"),
        Binding("ctrl+c", "interrupt", "Leave, with exit status 130", priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", priority=True),
    ]

    def __init__(self, *, is_colored: bool) -> None:
        super().__init__()
        self.theme = THEMES[0]
        self._is_colored = is_colored
        self._loop_of_keys: AbstractEventLoop | None = None

    def on_load(self) -> None:
        """Remember the event loop, which is needed to end the application when a signal arrives."""
        self._loop_of_keys = asyncio.get_running_loop()

    def interrupt(self, signum: int) -> None:
        """End the application because a signal arrived. Only a signal handler may call this method.

        Raises:
            Interrupted: The application has not started.
        """
        if self._loop_of_keys is None:
            raise Interrupted(signum)
        if not self._loop_of_keys.is_closed():
            self._loop_of_keys.call_soon_threadsafe(self.exit, Interrupted(signum))

    def action_leave(self) -> None:
        """Leave, with exit status 0."""
        self.exit(None)

    def action_interrupt(self) -> None:
        """Leave, with exit status 130."""
        self.exit(Interrupted(signal.SIGINT))

    def action_suspend_process(self) -> None:
        """Suspend this process and those that started it, as Ctrl-Z does. The screen is drawn again on ``fg``.

        Without a shell that could continue it, the signal has no effect.
        """
        with self.suspend():
            before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(0, signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, before)

    def action_theme(self) -> None:
        """Change between the terminal's own colors, a light and a dark theme."""
        self.theme = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filters of all output: without colors, :class:`textual.filter.NoColor` takes them away."""
        filters = [each for each in super().get_line_filters() if not isinstance(each, Monochrome | NoColor)]
        return filters if self._is_colored else [*filters, NoColor()]

    @property
    def failure(self) -> BaseException | None:
        """The unexpected error that ended the application, or None."""
        return self._exception

    def _fatal_error(self) -> None:
        """End without the traceback that Textual would print, which could show secrets."""
        self._close_messages_no_wait()
