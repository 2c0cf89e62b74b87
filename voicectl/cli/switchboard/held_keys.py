"""An application whose keys are held until it is certain that they are not pasted text."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from textual import events
from textual.app import App
from textual.widgets import Input

from voicectl.cli.switchboard.paste import HOLD_SECONDS, KeyGate

if TYPE_CHECKING:
    from collections.abc import Sequence

R = TypeVar("R")

NEVER_PASTED = frozenset({"up", "down", "left", "right", "pageup", "pagedown", "home", "end", "ctrl+c"})
"""Keys that are not held, because pasted text does not contain them and a held cursor key repeats fast."""


class HeldKeysApp(App[R]):
    """Passes keys through a :class:`.KeyGate`, once :meth:`hold_keys` was called.

    Pasted text that the terminal does not mark goes to the open input, without its line ends. Elsewhere, it is lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._gate: KeyGate[events.Key] | None = None

    def hold_keys(self) -> None:
        """Hold keys from now on."""
        self._gate = KeyGate(lambda key: key.is_printable and isinstance(self.focused, Input))

    @property
    def is_holding(self) -> bool:
        """True if a key that was pressed is still held."""
        return self._gate is not None and self._gate.is_holding

    async def on_event(self, event: events.Event) -> None:
        """Handle an event. A key may be held, and handled later."""
        gate = self._gate
        if gate is None or not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        if event.key in NEVER_PASTED and not gate.is_holding:
            await super().on_event(event)
            return
        await self._pass_on(gate.press(event, event.time))
        if gate.is_holding:
            self.set_timer(HOLD_SECONDS, self._release_keys)

    async def _release_keys(self) -> None:
        if self._gate is not None:
            await self._pass_on(self._gate.release(monotonic()))

    async def _pass_on(self, keys: Sequence[events.Key]) -> None:
        for key in keys:
            await super().on_event(key)
