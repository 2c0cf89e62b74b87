"""What can be learned about one leg, read for the pane with the details."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicectl.core.calls.conversations import Hears, participants
from voicectl.core.history import forms, leg_key
from voicectl.errors import ApiError, StoreError, TransportError, VoicectlError
from voicectl.store.action_log import ENTERS, REGION, Marks
from voicectl.store.events import Query
from voicectl.voice import endpoint
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voicectl.cli.context import App
    from voicectl.core.calls.conversations import Heard, Participant, Participants
    from voicectl.store.action_log import Note
    from voicectl.voice.call import Call

MOST_MEMBERS = 20
"""The number of legs up to which it is read who hears whom. Reading it takes one request per leg."""

MOST_EVENTS = 8
MOST_NOTES = 8
WITHIN_SECONDS = 3.0

_EVENTS = (Kind.STATUS, Kind.TRANSFER)


@dataclass(slots=True)
class Detail:
    """What was read about one leg.

    Attributes:
        hearing: Sentences about whom the leg hears and who hears it.
        events: The last events of the leg, each with its time in Unix seconds.
        notes: What was done to the leg from this machine, each with its time in Unix seconds.
        marks: The mute and earmuff states of the legs in the conversation, by key.
        troubles: The reasons why something could not be read.
    """

    hearing: list[str] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)
    marks: dict[str, Marks] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def read_detail(parts: App, call: Call, together: Sequence[Call]) -> Detail:
    """Return what the API, the event store and the action log know about a leg.

    Args:
        parts: The parts of the thread that reads.
        together: The live legs of the leg's conversation, including the leg itself if it is live.
    """
    detail = Detail()
    detail.notes = [(note.at, text) for note, text in _notes(parts, call.uuid)][-MOST_NOTES:]
    try:
        detail.events = _events(parts, call.uuid)
    except StoreError as exc:
        detail.troubles.append(f"Stored events cannot be read: {exc.message}")
    if call.conversation_uuid and not call.is_final:
        _read_hearing(parts, call, together, detail)
    return detail


def _events(parts: App, uuid: str) -> list[tuple[float, str]]:
    store = parts.event_store
    for name in forms(uuid) if store is not None else ():
        found = list(store.find(Query(leg=name, kinds=_EVENTS, last=MOST_EVENTS)))  # type: ignore[union-attr]
        if found:
            return [
                (
                    each.arrival.received if each.arrival.told is None else each.arrival.told,
                    (each.arrival.status or each.arrival.kind)
                    + ("" if each.arrival.is_signed else " (unsigned)"),
                )
                for each in found
            ]
    return []


def _notes(parts: App, uuid: str) -> Iterator[tuple[Note, str]]:
    for note in parts.action_log.of(uuid):
        if note.what not in (REGION, ENTERS):
            room = f" to {note.detail['room']}" if isinstance(note.detail.get("room"), str) else ""
            yield note, f"{note.what}{room}: {note.outcome}"


def _read_hearing(parts: App, call: Call, together: Sequence[Call], detail: Detail) -> None:
    """Read the members of the leg's conversation, and add who hears whom."""
    if len(together) > MOST_MEMBERS:
        detail.hearing = [f"{len(together)} legs. See: voicectl conversation show {call.conversation_uuid}"]
        return
    faults: list[VoicectlError] = []
    try:
        conversation = parts.conversations.get(call.conversation_uuid, within=WITHIN_SECONDS)
    except (ApiError, TransportError) as exc:
        detail.troubles.append(f"It is unknown who is muted: {exc.message}")
        return
    found = participants(
        parts.conversations,
        call.conversation_uuid,
        conversation,
        together,
        parts.action_log.since(0),
        check=parts.interrupts.check,
        on_fault=faults.append,
    )
    detail.troubles += [f"A member record could not be read: {faults[0].message}"] if faults else []
    detail.marks = {
        leg_key(leg.call.uuid): Marks(muted=leg.muted, earmuffed=leg.earmuffed)
        for leg in found.legs
        if leg.member is not None
    }
    detail.hearing = list(_hearing(found, leg_key(call.uuid)))


def _hearing(found: Participants, key: str) -> Iterator[str]:
    me = next((leg for leg in found.legs if leg_key(leg.call.uuid) == key), None)
    if me is None:
        return
    if len(found.legs) < 2:
        yield "No other leg is in the conversation."
    for other in found.legs:
        if other is not me:
            yield f"hears {_named(other)}: {_verdict(found.hears(me, other))}"
            yield f"is heard by {_named(other)}: {_verdict(found.hears(other, me))}"


def _named(leg: Participant) -> str:
    return f"{endpoint.far_end(leg.call) or '-'} ({leg.call.uuid[:8]})"


def _verdict(heard: Heard) -> str:
    if heard.hears is Hears.UNKNOWN:
        return heard.why
    return f"{heard.hears}, {heard.why}" if heard.why else heard.hears.value
