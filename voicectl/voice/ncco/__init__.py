"""NCCO: the actions that a leg runs, first to last. Building them, and reading out whom they dial.

Source: NCCO reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

Action = dict[str, Any]
Ncco = list[Action]


def talk(
    text: str,
    *,
    language: str | None = None,
    style: int | None = None,
    premium: bool | None = None,
    loop: int | None = None,
    level: float | None = None,
) -> Action:
    """Say *text*."""
    return _action("talk", text=text, language=language, style=style, premium=premium, loop=loop, level=level)


def stream(url: str, *, loop: int | None = None, level: float | None = None) -> Action:
    """Play the audio file at *url*."""
    return _action("stream", streamUrl=[url], loop=loop, level=level)


def conversation(
    name: str,
    *,
    mute: bool | None = None,
    can_hear: list[str] | None = None,
    can_speak: list[str] | None = None,
    start_on_enter: bool | None = None,
    end_on_exit: bool | None = None,
    record: bool | None = None,
    music: str | None = None,
) -> Action:
    """Join the room *name*; ``[]`` for *can_hear* or *can_speak* means nobody."""
    return _action(
        "conversation",
        name=name,
        mute=mute,
        canHear=can_hear,
        canSpeak=can_speak,
        startOnEnter=start_on_enter,
        endOnExit=end_on_exit,
        record=record,
        musicOnHoldUrl=None if music is None else [music],
    )


def connect(to: dict[str, Any], *, from_: str | None = None, limit: int | None = None) -> Action:
    """Dial *to*, an endpoint object, into the leg's conversation.

    Args:
        to: As :func:`voicectl.voice.endpoint.parse` makes it.
        from_: One of your numbers; a text here, not the object of REST.
        limit: Seconds after which the platform ends it, at most 7200.
    """
    caller = {} if from_ is None else {"from": from_}
    return _action("connect", limit=limit) | caller | {"endpoint": [to]}


def dialled(ncco: object) -> Iterator[str]:
    """Whom the ``connect`` actions of an NCCO dial: numbers, URIs, users and extensions, in order.

    Reads whatever is there: a malformed action dials nobody. What an endpoint's type does not use is not looked at:
    a harmless ``number`` beside the ``uri`` of a SIP endpoint is nobody's.
    """
    if not isinstance(ncco, list):
        return
    for action in ncco:
        if not isinstance(action, dict) or action.get("action") != "connect":
            continue
        endpoints = action.get("endpoint")
        for each in endpoints if isinstance(endpoints, list) else [endpoints]:
            shown = endpoint.dialled(each) if isinstance(each, dict) else None
            if shown:
                yield shown


def _action(action: str, /, **options: Any) -> Action:
    """An action with the options that were given."""
    return {"action": action} | {key: value for key, value in options.items() if value is not None}
