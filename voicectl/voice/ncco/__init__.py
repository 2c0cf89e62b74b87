"""Functions that build NCCOs, and that find the endpoints dialled by an NCCO.

An NCCO (call control object) is a list of actions that a leg runs in order.

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
    """Return a ``talk`` action, which speaks *text*."""
    return _action("talk", text=text, language=language, style=style, premium=premium, loop=loop, level=level)


def stream(url: str, *, loop: int | None = None, level: float | None = None) -> Action:
    """Return a ``stream`` action, which plays the audio file at *url*."""
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
    """Return a ``conversation`` action, with which a leg joins the room *name*.

    If *can_hear* is ``[]``, the leg hears no other legs. If *can_speak* is ``[]``, no other legs hear the leg.
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
    """Return a ``connect`` action, which dials *to* and adds the callee to the leg's conversation.

    Args:
        to: The endpoint object to dial, in the format that :func:`voicectl.voice.endpoint.parse` returns.
        from_: The caller id: one of the account's numbers, as a string. (The REST API requires an object instead.)
        limit: The maximum duration of the connection, in seconds; at most 7200.
    """
    caller = {} if from_ is None else {"from": from_}
    return _action("connect", limit=limit) | caller | {"endpoint": [to]}


def dialled(ncco: object) -> Iterator[str]:
    """Yield the numbers, URIs, users and extensions that the ``connect`` actions in an NCCO dial, in order.

    Malformed actions are skipped. Fields that the endpoint's type does not use are ignored, such as a
    ``number`` in an endpoint of type ``sip``.
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
    """Return an action of type *action*, with the *options* that are not None."""
    return {"action": action} | {key: value for key, value in options.items() if value is not None}
