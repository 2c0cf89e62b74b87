"""The calls of a batch: each person's order, made from the batch's settings and the person's row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.core.batch.people import LANGUAGE
from voicectl.core.calls.order import CallOrder
from voicectl.errors import InputError
from voicectl.store.events import BATCH_PATH
from voicectl.voice import endpoint, speech, templates
from voicectl.voice.json_places import show, texts
from voicectl.voice.templates import TemplateError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from voicectl.core.batch.settings import Settings
    from voicectl.voice.ncco import Action, Ncco
    from voicectl.voice.templates import Template

KEY_SECONDS = 10
"""How long a person has to press a key after the message, in seconds."""

SETTLING_SECONDS = 8.0
"""How long a call that voicectl's own message answers lasts at least, in seconds, so that a machine is detected."""

_BEEP_SECONDS = 45


class Message:
    """Makes the orders of a batch.

    Args:
        columns: The columns of the list, which talk texts may contain in braces.

    Raises:
        InputError: A text names a column that the list does not have, or a column is used outside a talk text.
    """

    def __init__(self, settings: Settings, columns: Collection[str]) -> None:
        self._settings = settings
        self._actions: list[tuple[Action, Template | None]] = []
        for index, action in enumerate(settings.ncco or ()):
            text = action.get("text") if action.get("action") == "talk" else None
            self._check_slots(action, index, columns)
            self._actions.append((action, _template(text, index, columns) if isinstance(text, str) else None))

    def order(self, to: str, row: Mapping[str, str], token: str) -> CallOrder:
        """Return the order for a call to *to*.

        Args:
            row: The values of the person's row, by column.
            token: The unguessable part of the URLs of this attempt.
        """
        settings, called = self._settings, endpoint.parse(to)
        detects = self.detects(to)
        return CallOrder(
            to=called,
            from_=settings.from_,
            ncco=None if settings.ncco is None else self._flow(row, token, detects=detects),
            answer_url=settings.answer_url,
            machine_detection="continue" if detects and not settings.leaves_message else None,
            advanced_machine_detection=(
                {"behavior": "continue", "mode": "detect_beep", "beep_timeout": _BEEP_SECONDS}
                if detects and settings.leaves_message
                else None
            ),
            ringing_timer=settings.ringing_timer,
            length_timer=settings.length_timer,
        )

    def detects(self, to: str) -> bool:
        """Return True if a machine that answers a call to *to* is detected. The platform does so for phones only."""
        return self._settings.detects and endpoint.parse(to)["type"] == "phone"

    def _flow(self, row: Mapping[str, str], token: str, *, detects: bool) -> Ncco:
        settings = self._settings
        flow = [_filled(action, template, row) for action, template in self._actions]
        if not settings.is_own_flow:
            return flow
        talk = flow[0]
        if language := row.get(LANGUAGE, "").strip():
            talk["language"] = language
        if settings.asks_for_keys:
            listening: Action = {
                "action": "input",
                "type": ["dtmf"],
                "dtmf": {"maxDigits": 1, "timeOut": KEY_SECONDS},
                "eventUrl": [f"{settings.public_url}{BATCH_PATH}{token}"],
            }
            return [talk | {"bargeIn": True}, listening, *flow[1:]]
        left = SETTLING_SECONDS - speech.seconds(talk["text"])
        return [*flow, {"action": "wait", "timeout": round(left, 1)}] if detects and left > 0 else flow

    @staticmethod
    def _check_slots(action: Action, index: int, columns: Collection[str]) -> None:
        for path, text in texts(action, (index,)):
            if path == (index, "text") and action.get("action") == "talk":
                continue
            used = next((name for name in columns if name and f"{{{name}}}" in text), None)
            if used is not None:
                raise InputError(
                    f"{show(path)} contains the column {used!r}; only the text of a talk action may contain a"
                    " column.",
                    hint="Values from the list are not trusted, so they may only be spoken.",
                )


def _template(text: str, index: int, columns: Collection[str]) -> Template:
    try:
        return templates.read(text, columns=columns)
    except TemplateError as exc:
        raise InputError(f"{show((index, 'text'))}: {exc.message}", hint=exc.hint) from exc


def _filled(action: Action, template: Template | None, row: Mapping[str, str]) -> Action:
    return dict(action) if template is None else action | {"text": template.fill(row)}
