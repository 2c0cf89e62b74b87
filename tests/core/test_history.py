"""The history of a leg from its record and its events together."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.kept import LEG, status, stored
from voicectl.core.history import EventSummary, History, forms
from voicectl.store.events import Stored
from voicectl.voice.call import Call, CallStatus

LIVE_EVENTS = ["started", "ringing", "answered", "human", "machine", "disconnected", "a word from the future"]
ENDS = ["completed", "busy", "cancelled", "failed", "rejected", "timeout", "unanswered"]
AWAITED: list[Any] = [*CallStatus, "ended", "human"]


def record(status: str, **fields: Any) -> Call:
    return Call.from_json({"uuid": LEG, "status": status, **fields})


def summary(*events: Stored) -> EventSummary:
    found = EventSummary.read(LEG, events)
    assert found is not None
    return found


def merged(call: Call, *events: Stored) -> Call:
    return History.merged(call, EventSummary.read(LEG, events))


@pytest.mark.parametrize(
    ("api", "events", "expected", "source"),
    [
        ("ringing", ["answered"], "answered", "event"),
        ("answered", ["ringing"], "answered", "api"),
        ("answered", ["answered"], "answered", "api"),
        ("answered", ["human"], "human", "event"),
        ("machine", ["human", "machine"], "machine", "api"),
        ("answered", ["completed"], "completed", "event"),
        ("completed", ["answered"], "completed", "api"),
        ("busy", ["ringing"], "busy", "api"),
        ("completed", ["busy"], "busy", "event"),
        ("completed", ["completed", "busy"], "busy", "event"),
        ("busy", ["completed"], "busy", "api"),
        ("timeout", ["busy"], "timeout", "api"),
        ("a newer word", ["answered"], "a newer word", "api"),
        ("a newer word", ["completed"], "completed", "event"),
        ("ringing", ["a newer word"], "ringing", "api"),
        ("", ["ringing"], "ringing", "event"),
    ],
)
def test_the_later_status_counts(api: str, events: list[str], expected: str, source: str) -> None:
    seen = merged(record(api), *(stored(status(each)) for each in events))

    assert (seen.status, seen.raw["status"], seen.raw["status_source"]) == (expected, expected, source)


def test_a_call_that_was_answered_was_not_busy() -> None:
    assert merged(record("completed", duration="14"), stored(status("busy"))).status == "completed"
    assert (
        merged(record("completed"), stored(status("busy")), stored(status("answered"))).status == "completed"
    )


def test_details_known_only_from_events_are_added_and_nothing_is_overwritten() -> None:
    api = record("answered", rate="0.01", price=None, to={"type": "phone", "number": "447700900001"}, odd=1)
    end = status("completed", duration="14", price="0.02", rate="9", sip_code=200, disconnected_by="user")
    seen = merged(
        api, stored(status("human")), stored(end), stored(status("machine", second=9, sub_state="beep_start"))
    )

    assert seen.raw["rate"] == "0.01"
    assert seen.raw["to"] == {"type": "phone", "number": "447700900001"}
    assert seen.raw["from"] == {"type": "phone", "number": "442079460000"}
    assert seen.raw["odd"] == 1
    added = ("price", "duration", "sip_code", "disconnected_by", "detection", "sub_state", "detection_source")
    assert [seen.raw[name] for name in added] == ["0.02", "14", 200, "user", "machine", "beep_start", "event"]
    assert api.raw["price"] is None, "the record itself is left alone"


def test_the_reason_of_an_end_is_kept() -> None:
    seen = merged(
        record("completed"), stored(status("busy", sip_code=486)), stored(status("completed", duration="0"))
    )

    assert (seen.status, seen.raw["reason"], seen.raw["sip_code"]) == ("busy", "busy", 486)
    assert seen.has_reached("ended")
    assert seen.has_reached(CallStatus.COMPLETED)
    assert not seen.has_reached(CallStatus.ANSWERED)


def test_a_leg_known_only_from_events_has_a_record_too() -> None:
    seen = summary(stored(status("ringing")), stored(status("completed", second=9, duration="3"))).alone()

    assert (seen.uuid, seen.status, seen.direction) == (LEG, "completed", "outbound")
    assert seen.to == {"type": "phone", "number": "447700900001"}
    assert seen.was_answered
    assert seen.raw["status_source"] == "event"


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        ("447700900001", {"type": "phone", "number": "447700900001"}),
        ("sip:a@example.org", {"type": "sip", "uri": "sip:a@example.org"}),
        ("wss://example.org/socket", {"type": "websocket", "uri": "wss://example.org/socket"}),
        ("Unknown", {"number": "Unknown"}),
        ({"odd": 1}, {"odd": 1}),
    ],
)
def test_a_party_is_shown_as_in_api_records(to: object, shown: object) -> None:
    assert summary(stored(status("ringing", to=to))).alone().raw["to"] == shown


def test_an_unsigned_event_counts_and_is_named() -> None:
    signed, unsigned = stored(status("ringing")), stored(status("answered"), is_signed=False)
    seen = merged(record("started"), signed, unsigned)
    assert (seen.status, seen.raw["status_source"]) == ("answered", "unsigned event")

    seen = merged(record("started"), signed, stored(status("started"), is_signed=False))
    assert (seen.status, seen.raw["status_source"]) == ("ringing", "event"), "a signed one says the same"

    seen = merged(record("completed"), signed, stored(status("human"), is_signed=False))
    assert (seen.raw["status_source"], seen.raw["detection_source"]) == ("api", "unsigned event")


@pytest.mark.parametrize(
    ("api", "event", "contradicts"),
    [
        ("answered", "completed", True),
        ("busy", "timeout", True),
        ("completed", "busy", False),
        ("busy", "completed", False),
        ("busy", "busy", False),
        ("completed", "answered", False),
        ("ringing", "answered", False),
    ],
)
def test_additional_details_are_not_a_contradiction(api: str, event: str, contradicts: bool) -> None:
    found = summary(stored(status(event))).contradicts(record(api))

    assert (found is not None) is contradicts
    assert found is None or (api in found and event in found)


def test_a_full_id_is_looked_up_as_given_and_in_the_platform_s_forms() -> None:
    plain = LEG.replace("-", "")

    assert forms(LEG) == [LEG, plain]
    assert forms(LEG.upper()) == [LEG.upper(), LEG, plain]
    assert forms(plain) == [plain, LEG]
    assert forms("leg-1") == ["leg-1"]


@st.composite
def reported_events(draw: st.DrawFn) -> list[Stored]:
    name = draw(st.sampled_from(LIVE_EVENTS + ENDS))
    more = {"duration": draw(st.sampled_from(["0", "14", 14, None]))} if name == "completed" else {}
    fields = status(name, second=draw(st.integers(0, 3)), **more)
    return [stored(fields, is_signed=draw(st.booleans()))] * draw(st.integers(1, 2))


@st.composite
def records(draw: st.DrawFn) -> Call:
    """A record has a duration only if its call is completed, as the API reference says."""
    name = draw(st.sampled_from([*CallStatus, "a newer word"]))
    optional: dict[str, st.SearchStrategy[str | None]] = {"rate": st.just("0.01")}
    if name == CallStatus.COMPLETED:
        optional["duration"] = st.sampled_from(["0", "14", None])
    return record(name, **draw(st.fixed_dictionaries({}, optional=optional)))


@given(
    call=records(),
    events=st.lists(reported_events(), min_size=1, max_size=7).map(lambda groups: list(chain(*groups))),
    later=st.lists(reported_events(), max_size=3).map(lambda groups: list(chain(*groups))),
    data=st.data(),
)
def test_events_and_records_are_merged_in_any_order(
    call: Call, events: list[Stored], later: list[Stored], data: st.DataObject
) -> None:
    seen, state = merged(call, *events), summary(*events).state

    assert merged(call, *data.draw(st.permutations(events))) == seen
    assert seen.is_final == (call.is_final or state.is_final)
    assert seen.status in (call.status, state.status)
    assert merged(call, *events, *later).is_final >= seen.is_final
    for until in AWAITED:
        by_either = call.has_reached(until) or summary(*events).alone().has_reached(until)
        assert seen.has_reached(until) == by_either, until
    signed = [each for each in events if each.arrival.is_signed]
    by_signed = EventSummary.read(LEG, signed)
    if seen.status == call.status:
        assert seen.raw["status_source"] == "api"
    elif by_signed is not None and by_signed.state.status == seen.status:
        assert seen.raw["status_source"] == "event"
    else:
        assert seen.raw["status_source"] == "unsigned event"
    assert {
        name: seen.raw[name] for name in call.raw if name != "status" and call.raw[name] is not None
    }.items() <= (call.raw.items())
