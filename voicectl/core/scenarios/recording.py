"""A scenario from a call that took place: in the sandbox, or on the platform with its webhooks kept.

Both are reduced to the same facts, in order. The steps of the scenario follow from these:

- What the application let somebody hear becomes ``hear``, ``hear_audio`` or ``keys_heard``. A prompt that was cut off
  is expected up to the last whole word, so that the keys that cut it off are pressed at the same place again.
- What people did becomes ``press``, ``say`` or ``hangup``. These steps wait until the application listens; only keys
  and words that had no effect are pressed and spoken at once.
- Two answered legs in one conversation become ``connected``, a named conversation becomes ``in_room``.

In the sandbox, the log has every act of a person and :func:`hear` every sound. Kept webhooks have neither: ``input``
events say which keys were pressed and which words were recognised, and RTC events what was said. Without RTC events,
nothing is known of what was heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl import strict_json
from voicectl.core.timeline.sources import MAX_EVENTS
from voicectl.store.events import Query
from voicectl.voice.call import FINAL, CallStatus
from voicectl.voice.event import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from voicectl.core.sandbox_control import SandboxControl
    from voicectl.store.events import EventStore, Stored

PLATFORM = "platform"
PATIENCE_SECONDS = 8.0
"""The longest time between two steps, in seconds, for which the default of ``within`` is enough."""

LINGER_SECONDS = 50.0
"""The longest time, in seconds, from the last step to the end of the call for which no ``wait`` is added."""

CUT_SECONDS = 0.05
"""How long a prompt is said to have ended, in seconds, before the keys that cut it off were pressed."""

BY_HAND = "600"
"""The end of the numbers whose parties answer only when ``sandbox answer`` says so."""

_SOUNDS = {"speech": ("hear", "text"), "audio": ("hear_audio", "url"), "keys": ("keys_heard", "digits")}


class Fact(NamedTuple):
    """Something that happened.

    Attributes:
        at: The time, in Unix seconds of the call clock.
        uuid: The id of the leg, or an empty text if only the conversation is known.
        kind: A kind of event, the verb of a person's act, or the verb with which something is expected.
        value: The keys, the words, the end of the URL, or the name of a room.
        fields: The fields of the event.
    """

    at: float
    uuid: str
    kind: str
    value: str = ""
    fields: Mapping[str, Any] = {}


class Hook(NamedTuple):
    """A webhook of the application: its URL, and the HTTP method."""

    url: str
    method: str


@dataclass(slots=True)
class Recording:
    """A call, as a scenario tells it.

    Attributes:
        callers: The number and the called number of each person who called, by the id of the leg, in order.
        steps: The steps, without what :mod:`.writing` adds.
        status: The last status of the first caller's leg, or None if the call has not ended.
        recordings: The number of recordings.
        answer: The answer webhook, if it was requested.
        event: The event webhook, if it was requested.
        answered_by_hand: The numbers of the parties that ``sandbox answer`` let answer.
    """

    callers: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    status: str | None = None
    recordings: int = 0
    answer: Hook | None = None
    event: Hook | None = None
    answered_by_hand: list[str] = field(default_factory=list)


def callers_of_log(log: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids of the legs of people who called, from the sandbox's log, in order."""
    return [entry["uuid"] for entry in log if entry["kind"] == "party" and entry["what"] == "ring"]


def callers_of_events(events: EventStore) -> list[str]:
    """Return the ids of the legs of people who called, from the latest kept webhooks, in order."""
    found = events.find(Query(kinds=(Kind.STATUS,), last=MAX_EVENTS))
    inbound = (each.arrival.leg for each in found if each.arrival.fields.get("direction") == "inbound")
    return list(dict.fromkeys(leg for leg in inbound if leg is not None))


def of_sandbox(control: SandboxControl, uuid: str) -> Recording:
    """Return the recording of a leg's call in the sandbox. It has no callers if the application called."""
    log = list(control.log())
    legs = _together(_events_of_log(log), uuid)
    facts = [fact for fact in _events_of_log(log) if fact.uuid in legs]
    for entry in log:
        if entry["kind"] == "party" and entry.get("uuid") in legs:
            facts.append(_act(entry))
        facts += _orders(entry, legs)
    for leg in legs:
        facts += filter(None, (_sound(leg, each) for each in control.hear(leg)))
    found = _recorded(facts, uuid)
    for entry in log:
        if entry["kind"] == "webhook" and entry.get("uuid") in legs:
            hook = Hook(entry["url"], entry["method"])
            if entry["event"] == "answer":
                found.answer = found.answer or hook
            elif entry["event"] == Kind.STATUS:
                found.event = found.event or hook
    return found


def of_events(events: Iterable[Stored], uuid: str) -> Recording:
    """Return the recording of a leg's call from kept webhooks. It has no callers if the application called."""
    kept = sorted(events, key=lambda each: (each.arrival.told or each.arrival.received, each.id))
    known = [fact for each in kept for fact in _facts_of_event(each)]
    legs = _together(known, uuid)
    return _recorded([fact for fact in known if fact.uuid in legs or not fact.uuid], uuid)


def _events_of_log(log: Sequence[dict[str, Any]]) -> Iterator[Fact]:
    for entry in log:
        if entry["kind"] in (Kind.STATUS, Kind.INPUT, Kind.TRANSFER, Kind.RECORD) and entry.get("uuid"):
            yield Fact(_time(entry["call_time"]), entry["uuid"], entry["kind"], fields=entry)


def _act(entry: dict[str, Any]) -> Fact:
    value = entry.get("digits") or entry.get("text") or ""
    return Fact(_time(entry["call_time"]), entry["uuid"], entry["what"], value, entry)


def _orders(entry: dict[str, Any], legs: set[str]) -> Iterator[Fact]:
    """Yield what the application ordered for a leg with an entry of the log: a room to join, or muting."""
    leg = entry.get("uuid") or str(entry.get("path", "")).rpartition("/")[2]
    was_refused = entry["kind"] == "request" and (entry["status"] or 500) >= 400
    if leg not in legs or was_refused:
        return
    at, body = _time(entry["call_time"]), strict_json.fields(entry.get("body"))
    for action in (entry.get("ncco") or (), strict_json.fields(body.get("destination")).get("ncco") or ()):
        yield from (Fact(at, leg, "room", str(each["name"])) for each in action if _is_room(each))
    if entry["kind"] == "request" and body.get("action") in ("mute", "unmute"):
        yield Fact(at, leg, "muted", fields={"muted": body["action"] == "mute"})


def _is_room(action: object) -> bool:
    return isinstance(action, dict) and action.get("action") == "conversation" and "name" in action


def _sound(leg: str, heard: dict[str, Any]) -> Fact | None:
    """Return what was heard as a fact at the time of its end, or None if a scenario cannot expect it."""
    if heard["from"] != PLATFORM or heard["kind"] not in _SOUNDS:
        return None
    verb, name = _SOUNDS[heard["kind"]]
    value = str(heard[name])
    if heard.get("cut") and verb == "hear":
        value = value.rpartition(" ")[0]
    if verb == "hear_audio":
        value = value.partition("?")[0].rpartition("/")[2]
    at = _time(heard["at"]) + float(heard.get("seconds") or 0) - (CUT_SECONDS if heard.get("cut") else 0)
    return Fact(at, leg, verb, value) if value else None


def _facts_of_event(stored: Stored) -> Iterator[Fact]:
    arrival = stored.arrival
    fields, leg, at = arrival.fields, arrival.leg, arrival.told or arrival.received
    if leg is not None and arrival.kind in (Kind.STATUS, Kind.TRANSFER, Kind.RECORD):
        yield Fact(at, leg, arrival.kind, fields=fields)
        if fields.get("status") in FINAL and fields.get("disconnected_by") == "user":
            yield Fact(at, leg, "hangup")
    elif leg is not None and arrival.kind == Kind.INPUT:
        if keys := _keys(fields):
            yield Fact(at, leg, "press", keys)
        if words := _words(fields):
            yield Fact(at, leg, "say", words)
        yield Fact(at, leg, Kind.INPUT, fields=fields)
    elif arrival.status == "audio:say" and (text := strict_json.fields(fields.get("body")).get("text")):
        yield Fact(at, leg or "", "hear", str(text), {"conversation_uuid": arrival.conversation})


def _together(facts: Iterable[Fact], uuid: str) -> set[str]:
    """Return the legs that shared a conversation with a leg, or with another of these legs."""
    conversations: dict[str, set[str]] = {}
    for fact in facts:
        found = conversations.setdefault(fact.uuid, set()) if fact.uuid else set()
        found.update(str(fact.fields[name]) for name in _CONVERSATIONS if fact.fields.get(name))
    legs, shared = {uuid}, set(conversations.get(uuid, ()))
    while more := {leg for leg, own in conversations.items() if own & shared} - legs:
        legs |= more
        shared = shared.union(*(conversations[leg] for leg in more))
    return legs


_ORDERED = (Kind.INPUT, Kind.STATUS, Kind.TRANSFER)
"""The kinds of events that follow from the acts at the same time."""

_CONVERSATIONS = ("conversation_uuid", "conversation_uuid_from", "conversation_uuid_to")


def _recorded(facts: list[Fact], uuid: str) -> Recording:
    return _Recorder(sorted(facts, key=lambda fact: (fact.at, fact.kind in _ORDERED))).recording(uuid)


class _Recorder:
    """Turns facts into steps, one after another."""

    def __init__(self, facts: list[Fact]) -> None:
        self._facts = facts
        self._numbers: dict[str, str] = {}
        self._conversations: dict[str, str] = {}
        self._up: dict[str, None] = {}
        self._connected: set[frozenset[str]] = set()
        self._rooms: dict[str, str] = {}
        self._since = 0.0
        self._made = Recording()

    def recording(self, uuid: str) -> Recording:
        """Return the recording of the call in which *uuid* took part."""
        made = self._made
        for fact in self._facts:
            if fact.kind == Kind.STATUS and fact.fields.get("direction") == "inbound":
                made.callers.setdefault(fact.uuid, (str(fact.fields.get("from")), str(fact.fields.get("to"))))
        if not made.callers:
            return made
        useless = self._useless()
        self._since = self._facts[0].at
        for index, fact in enumerate(self._facts):
            self._take(fact, at_once=index in useless)
        first = uuid if uuid in made.callers else next(iter(made.callers))
        ends = [fact for fact in self._facts if fact.uuid == first and fact.fields.get("status") in FINAL]
        if ends:
            made.status = str(ends[-1].fields["status"])
            if (rest := ends[-1].at - self._since) > LINGER_SECONDS:
                made.steps.append({"wait": f"{math.ceil(rest) + 1}s"})
        return made

    def _take(self, fact: Fact, *, at_once: bool) -> None:
        match fact.kind:
            case Kind.STATUS:
                self._status(fact)
            case Kind.TRANSFER:
                self._conversations[fact.uuid] = str(fact.fields.get("conversation_uuid_to"))
                if fact.uuid in self._made.callers:
                    room = self._rooms.pop(fact.uuid, None)
                    self._step(fact, *(("moved", True) if room is None else ("in_room", room)))
                self._connect(fact)
            case "room":
                self._rooms[fact.uuid] = fact.value
            case "muted":
                self._step(fact, "muted", fact.fields["muted"])
            case Kind.RECORD:
                self._made.recordings += 1
            case "press" | "say" | "hangup":
                value = True if fact.kind == "hangup" else fact.value
                self._step(fact, fact.kind, value, **({"at_once": True} if at_once else {}))
            case "answer":
                self._made.answered_by_hand.append(self._numbers.get(fact.uuid, ""))
            case "hear" | "hear_audio" | "keys_heard":
                for leg in [fact.uuid] if fact.uuid else self._listeners(fact):
                    self._step(fact._replace(uuid=leg), fact.kind, fact.value)

    def _listeners(self, fact: Fact) -> Iterator[str]:
        """Yield the callers who are in the conversation in which something was said."""
        here = fact.fields.get("conversation_uuid")
        return (leg for leg in self._made.callers if leg in self._up and self._conversations.get(leg) == here)

    def _status(self, fact: Fact) -> None:
        fields = fact.fields
        self._numbers[fact.uuid] = str(fields.get("from" if fields.get("direction") == "inbound" else "to"))
        if fields.get("conversation_uuid"):
            self._conversations[fact.uuid] = str(fields["conversation_uuid"])
        if fields.get("status") == CallStatus.ANSWERED:
            self._up[fact.uuid] = None
            self._connect(fact)
        elif fields.get("status") in FINAL:
            self._up.pop(fact.uuid, None)

    def _connect(self, fact: Fact) -> None:
        """Add a step for each caller who has come together with another party."""
        for caller in self._made.callers:
            for other in self._up:
                pair = frozenset({caller, other})
                is_one = self._conversations.get(caller) == self._conversations.get(other)
                if caller in self._up and caller != other and is_one and pair not in self._connected:
                    self._connected.add(pair)
                    self._step(fact._replace(uuid=caller), "connected", self._numbers[other])

    def _step(self, fact: Fact, verb: str, value: Any, **more: Any) -> None:
        step = {verb: value, **more}
        if fact.uuid not in self._made.callers:
            step["as"] = self._numbers.get(fact.uuid, "")
        elif len(self._made.callers) > 1:
            step["as"] = caller_name(list(self._made.callers).index(fact.uuid))
        gap = fact.at - self._since
        does_not_wait = verb == "hangup" or bool(more)
        if does_not_wait and (gap > PATIENCE_SECONDS or not self._made.steps):
            self._made.steps.append({"wait": f"{gap:.1f}s"})
        elif gap > PATIENCE_SECONDS:
            step["within"] = f"{math.ceil(gap) + 5}s"
        self._since = max(self._since, fact.at)
        self._made.steps.append(step)

    def _useless(self) -> set[int]:
        """Return the indices of keys pressed and words spoken to which the application did not listen."""
        waiting: dict[str, list[int]] = {}
        useless: set[int] = set()
        for index, fact in enumerate(self._facts):
            if fact.kind in ("press", "say"):
                waiting.setdefault(fact.uuid, []).append(index)
            elif fact.kind == Kind.INPUT:
                keys, words = _keys(fact.fields), _words(fact.fields)
                for each in reversed(waiting.pop(fact.uuid, [])):
                    act = self._facts[each]
                    typed = act.value.replace("p", "").rstrip("#")
                    if act.kind == "say" and words:
                        words = ""
                    elif act.kind == "press" and typed and keys.endswith(typed):
                        keys = keys.removesuffix(typed)
                    elif act.kind == "say" or typed:
                        useless.add(each)
        return useless | {each for rest in waiting.values() for each in rest}


def caller_name(index: int) -> str:
    """Return the name of a caller in a scenario with several, from 0."""
    return f"caller {index + 1}"


def _keys(fields: Mapping[str, Any]) -> str:
    dtmf = fields.get("dtmf")
    return str(dtmf.get("digits") or "") if isinstance(dtmf, dict) else str(dtmf or "")


def _words(fields: Mapping[str, Any]) -> str:
    speech = fields.get("speech")
    results = speech.get("results") if isinstance(speech, dict) else None
    first = results[0] if isinstance(results, list) and results else None
    return str(first.get("text") or "") if isinstance(first, dict) else ""


def _time(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
