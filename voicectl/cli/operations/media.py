"""Speak text and press keys on legs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicectl.cli.targets import LegOperation

if TYPE_CHECKING:
    from voicectl.cli.context import App


class Talk(LegOperation):
    """Speaks text on legs.

    Args:
        body: The body of the request; its field ``text`` is the text.
    """

    def __init__(self, app: App, body: dict[str, Any]) -> None:
        super().__init__(app, "talk", {"characters": len(body["text"])})
        self._body = body

    def run(self, uuid: str) -> bool:
        """Start to speak the text on a leg."""
        self.app.api.start_talk(uuid, self._body)
        return True


class PressKeys(LegOperation):
    """Presses keys on legs.

    Args:
        keys: The keys, in the form that :func:`voicectl.voice.dtmf.check` returns.
    """

    def __init__(self, app: App, keys: str) -> None:
        super().__init__(app, "dtmf", {"keys": len(keys)})
        self._keys = keys

    def run(self, uuid: str) -> bool:
        """Press the keys on a leg."""
        self.app.api.send_dtmf(uuid, self._keys)
        return True
