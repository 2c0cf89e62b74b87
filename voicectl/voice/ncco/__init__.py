"""NCCOs, lists of actions that a leg runs in order: functions that build NCCOs and find the endpoints dialled.

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
    """Return the action that speaks *text*."""
    return _action("talk", text=text, language=language, style=style, premium=premium, loop=loop, level=level)


def stream(url: str, *, loop: int | None = None, level: float | None = None) -> Action:
    """Return the action that plays the audio file at *url*."""
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
    """Return the action that joins the room *name*.

    An empty list for *can_hear* or *can_speak* means no legs.
    """
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
    """Return the action that dials *to* into the leg's conversation.

    Args:
        to: An endpoint object, as :func:`voicectl.voice.endpoint.parse` returns it.
        from_: One of the account's numbers, as a string. (The REST API requires an object instead.)
        limit: The time after which the platform ends the connection, in seconds, at most 7200.
    """
    caller = {} if from_ is None else {"from": from_}
    return _action("connect", limit=limit) | caller | {"endpoint": [to]}


def dialled(ncco: object) -> Iterator[str]:
    """Yield the numbers, URIs, users and extensions that the ``connect`` actions of an NCCO dial, in order.

    Malformed actions are skipped. Fields that an endpoint of that type does not use are ignored, such as a
    ``number`` beside the ``uri`` of a SIP endpoint.
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
    """Return an action with the options that are not None."""
    return {"action": action} | {key: value for key, value in options.items() if value is not None}
