"""``conversation show``: show who is in a conversation, who is muted, and who hears whom."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from voicectl.cli.arguments import Room
from voicectl.cli.context import App, current
from voicectl.cli.options import events as event_options
from voicectl.cli.output import hearing
from voicectl.cli.output.fields import find, parse_fields
from voicectl.cli.output.text import clean, remark, to_json
from voicectl.cli.output.views import CALL, PARTIES
from voicectl.cli.output.writer import Format, View
from voicectl.core.calls import conversations
from voicectl.core.calls.conversations import Hears, Participant, Participants
from voicectl.core.calls.live import live_calls
from voicectl.errors import ApiError, LegError, NotFoundError, TransportError, VoicectlError
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.core.calls.conversations import Heard
    from voicectl.voice.call import Call
    from voicectl.voice.conversation import Conversation

OF_MEMBERS = ("muted", "earmuffed", "member", "member_state", "hears", "hears_not", "hears_unknown")
"""The fields of a leg's record that come from its member record, which is read with one request per leg."""

LEG = View(
    columns=(*PARTIES, *OF_MEMBERS),
    more=tuple(path for path in CALL.fields if path not in PARTIES),
    times=frozenset({"start_time"}),
    table=("uuid", "status", "from", "to", "muted", "earmuffed", "direction"),
)

_HEARS = {Hears.YES: "hears", Hears.NO: "hears_not", Hears.UNKNOWN: "hears_unknown"}


def show(ctx: typer.Context, room: Room) -> None:
    """Show who is in a conversation, who is muted, and who hears whom.

    The command sends one request per leg, unless -q or --fields makes these requests unnecessary. On a terminal, a
    table shows who hears whom. Otherwise, each leg's line lists the legs that it hears, does not hear, or may or may
    not hear. The last list exists because the platform reports neither the canHear and canSpeak settings with which a
    leg entered, nor whether a moderated room has started. With -o json, the output is one object with 'legs', and
    'hears' for each pair of legs; --fields then selects fields of the legs and omits 'hears'.

    For a conversation that has ended, the command shows the legs that were in the conversation, according to call
    records and stored events.

    Examples:
      $ voicectl conversation show support-17
      $ voicectl conversation show support-17 -o json
    """
    app = current(ctx)
    options = app.options
    is_json = app.terminal.format in (Format.JSON, Format.JSONL) and not options.quiet
    with app.terminal.writer(LEG, is_many=not is_json) as out:
        paths = parse_fields(options.fields) if options.fields else []
        is_deep = not options.quiet and (
            not paths or any(path.partition(".")[0] in OF_MEMBERS for path in paths)
        )
        id_ = _known_id(app, room)
        seen = _seen(app, id_, is_deep=is_deep)
        if is_json:
            indent = 2 if app.terminal.format is Format.JSON else None
            app.terminal.write(to_json(_as_json(seen, paths), indent=indent) + "\n")
            return
        for leg in seen.participants.legs:
            out.add(_row(leg, seen.heard))
    if seen.heard and app.terminal.format.is_table and not app.options.fields:
        _draw(app, seen.participants)


class _Seen(NamedTuple):
    """A conversation's record or what is known of it, its participants, and which of them hear each other."""

    known: dict[str, Any]
    participants: Participants
    heard: list[tuple[Participant, Participant, Heard]]


def _known_id(app: App, room: str) -> str:
    """Return the id of the conversation that *room* names, even if only stored events know the room."""
    try:
        return conversations.conversation_id(app.conversations, room)
    except LegError:
        from voicectl.core.calls import conversation_events  # noqa: PLC0415 (for ended rooms only)

        store = event_options.usable_store(app)
        known = None if store is None else conversation_events.known_room(store, room)
        if known is None:
            raise
        return known


def _seen(app: App, id_: str, *, is_deep: bool) -> _Seen:
    """Return a conversation as it is now or, if it has ended, as call records and stored events report it.

    Args:
        is_deep: True to read the members, which takes one request for each, and to work out who hears whom.
    """
    conversation, fault = None, None
    try:
        conversation = app.conversations.get(id_)
    except (ApiError, TransportError) as exc:
        fault = exc
    cuts: list[bool] = []
    live = live_calls(app.api, conversation_uuid=id_, on_cut=lambda: cuts.append(True))
    if cuts:
        remark("warning: there are more legs than could be listed")
    if fault is not None:
        if not live and isinstance(fault, NotFoundError):
            return _ended(app, id_, fault)
        if is_deep:
            remark(
                f"It is unknown which legs are muted, because the Conversation API failed: {fault.message}"
            )
    known = {"id": id_} if conversation is None else conversation.raw
    if not is_deep:
        return _Seen(known, Participants(is_room=None, legs=[Participant(call=call) for call in live]), [])
    found = _participants(app, id_, conversation, live)
    return _Seen(known, found, list(found.matrix()))


def _ended(app: App, id_: str, fault: NotFoundError) -> _Seen:
    """Return the legs that were in a conversation of which the Conversation API has no record.

    Raises:
        NotFoundError: Call records and stored events know nothing of the conversation either.
    """
    from voicectl.core.calls.ended import ended  # noqa: PLC0415 (for ended conversations only)

    store = event_options.usable_store(app)
    try:
        found = ended(app.api, app.clock, app.action_log, store, id_)
    except LegError:
        fault.hint = f"Stored events do not mention the conversation either. {fault.hint}"
        raise fault from None
    for gap in found.gaps:
        remark(f"warning: {gap}")
    remark(
        "The Conversation API has no record of this conversation: it has ended, or is in another region. These legs"
        " were in it, according to call records and stored events."
    )
    known = {"id": id_} if found.name is None else {"id": id_, "name": found.name}
    return _Seen(known, Participants(is_room=None, legs=[Participant(call=leg) for leg in found.legs]), [])


def _participants(
    app: App, id_: str, conversation: Conversation | None, live: Sequence[Call]
) -> Participants:
    """Return the legs with their members, and report the legs whose members could not be read."""
    faults: list[VoicectlError] = []
    found = conversations.participants(
        app.conversations,
        id_,
        conversation,
        live,
        app.action_log.since(0),
        check=app.interrupts.check,
        on_fault=faults.append,
    )
    unknown = sum(leg.member is None for leg in found.legs)
    if faults and unknown:
        remark(
            f"Legs for which it is unknown whether they are muted: {unknown} of {len(found.legs)}. Their member"
            f" records could not be read: {faults[0].message}"
        )
    return found


def _as_json(seen: _Seen, paths: Sequence[str]) -> dict[str, Any]:
    """Return the record of a conversation, with the records of its legs added.

    If *paths* is empty, the legs have all fields, and "hears" is added. If not, the legs have the fields in *paths*.
    """
    legs = seen.participants.legs
    if paths:
        rows = [_row(leg, seen.heard) for leg in legs]
        return {**seen.known, "legs": [{path: find(row, path) for path in paths} for row in rows]}
    return {
        **seen.known,
        "legs": [_leg(leg) for leg in legs],
        "hears": [_pair(*each) for each in seen.heard],
    }


def _leg(leg: Participant) -> dict[str, Any]:
    member = leg.member
    return {
        **leg.call.raw,
        "muted": leg.muted,
        "earmuffed": leg.earmuffed,
        "member": None if member is None else member.raw,
        "member_state": None if member is None else member.state,
    }


def _row(leg: Participant, heard: list[tuple[Participant, Participant, Heard]]) -> dict[str, Any]:
    """Return the record of *leg*, including its member id and the ids of the legs that it hears."""
    member = None if leg.member is None else leg.member.id
    return {**_leg(leg), "member": member, **_ears(leg, heard)}


def _ears(leg: Participant, heard: list[tuple[Participant, Participant, Heard]]) -> dict[str, str]:
    """Return three fields with comma-separated leg ids: those that *leg* hears, does not hear, and may hear."""
    speakers = [(what.hears, speaker.call.uuid) for listener, speaker, what in heard if listener is leg]
    return {
        name: ",".join(uuid for hears, uuid in speakers if hears is each) for each, name in _HEARS.items()
    }


def _pair(listener: Participant, speaker: Participant, heard: Heard) -> dict[str, Any]:
    return {
        "listener": listener.call.uuid,
        "speaker": speaker.call.uuid,
        "hears": heard.hears,
        "why": heard.why or None,
    }


def _draw(app: App, participants: Participants) -> None:
    """Draw a table of who hears whom, with a row for each listener and a column for each speaker."""
    if len(participants.legs) < 2:
        return
    parties = [
        hearing.Party(clean(leg.call.uuid), clean(endpoint.far_end(leg.call) or "-"))
        for leg in participants.legs
    ]
    verdicts = [
        [
            hearing.SELF if one is other else participants.hears(one, other).hears
            for other in participants.legs
        ]
        for one in participants.legs
    ]
    width = shutil.get_terminal_size().columns
    colored, cut = app.terminal.may_color, app.terminal.cut
    shown = hearing.draw(parties, verdicts, width, is_colored=colored, cut=cut)
    app.terminal.write("\n" + shown)
