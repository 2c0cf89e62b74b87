"""Events of calls: their kinds, and the state of a leg from any of its events in any order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.voice.call import FINAL
from voicectl.voice.event import (
    Kind,
    LegState,
    conversation_of,
    fold,
    from_query,
    kind_of,
    leg_of,
    moment,
    rtc_of,
    time_of,
)

LEG = "9a8b7c6d-5e4f-4321-8fed-cba987654321"
CONVERSATION = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"
OTHER = "CON-9f8e7d6c-5b4a-4392-8170-6f5e4d3c2b1a"
BASE = {"from": "447700900456", "to": "447700900123", "conversation_uuid": CONVERSATION}

SAMPLES: dict[str, tuple[dict[str, Any], Kind, str | None, str | None]] = {
    "ringing": (
        BASE
        | {
            "uuid": LEG,
            "status": "ringing",
            "direction": "outbound",
            "timestamp": "2026-02-03T09:15:00.120Z",
        },
        Kind.STATUS,
        LEG,
        CONVERSATION,
    ),
    "completed": (
        BASE
        | {
            "headers": {},
            "uuid": LEG,
            "status": "completed",
            "direction": "outbound",
            "start_time": "2026-02-03T09:15:02.000Z",
            "end_time": "2026-02-03T09:15:16.000Z",
            "duration": "14",
            "rate": "0.01270000",
            "price": "0.00296333",
            "network": "23410",
            "disconnected_by": "user",
            "sip_code": 200,
            "timestamp": "2026-02-03T09:15:16.310Z",
        },
        Kind.STATUS,
        LEG,
        CONVERSATION,
    ),
    "failed": (
        BASE | {"uuid": LEG, "status": "failed", "detail": "cannot_route", "sip_code": 404},
        Kind.STATUS,
        LEG,
        CONVERSATION,
    ),
    "machine": (
        BASE | {"call_uuid": LEG, "status": "machine", "sub_state": "beep_start"},
        Kind.STATUS,
        LEG,
        CONVERSATION,
    ),
    "machine with both ids": (
        {"call_uuid": LEG.replace("9", "8"), "uuid": LEG, "status": "machine"},
        Kind.STATUS,
        LEG,
        None,
    ),
    "human": (BASE | {"call_uuid": LEG, "status": "human"}, Kind.STATUS, LEG, CONVERSATION),
    "disconnected": (
        BASE
        | {
            "uuid": LEG,
            "status": "disconnected",
            "to": "wss://app.example.org/socket",
            "headers": {"a": "b"},
        },
        Kind.STATUS,
        LEG,
        CONVERSATION,
    ),
    "record": (
        {
            "start_time": "2026-02-03T09:15:00Z",
            "end_time": "2026-02-03T09:16:00Z",
            "recording_url": "https://api-eu.nexmo.com/v1/files/5d4c3b2a-1908-4f7e-8d6c-5b4a39281706",
            "recording_uuid": "0f1e2d3c-4b5a-4697-8879-a0b1c2d3e4f5",
            "size": 240128,
            "conversation_uuid": CONVERSATION,
            "timestamp": "2026-02-03T09:16:01.500Z",
        },
        Kind.RECORD,
        None,
        CONVERSATION,
    ),
    "transcribed": (
        {
            "conversation_uuid": CONVERSATION,
            "type": "record",
            "recording_uuid": "0f1e2d3c-4b5a-4697-8879-a0b1c2d3e4f5",
            "status": "transcribed",
            "transcription_url": "https://api.nexmo.com/v1/files/77aa66bb-55cc-44dd-83ee-22ff11002233",
        },
        Kind.TRANSCRIBED,
        None,
        CONVERSATION,
    ),
    "dtmf": (
        BASE | {"uuid": LEG, "speech": {"results": []}, "dtmf": {"digits": "42", "timed_out": False}},
        Kind.INPUT,
        LEG,
        CONVERSATION,
    ),
    "dtmf of old": (BASE | {"uuid": LEG, "dtmf": "42"}, Kind.INPUT, LEG, CONVERSATION),
    "speech": (
        BASE
        | {
            "uuid": LEG,
            "speech": {
                "results": [{"text": "sales please", "confidence": "0.91"}],
                "recording_url": "https://x",
            },
            "dtmf": {"digits": None, "timed_out": False},
        },
        Kind.INPUT,
        LEG,
        CONVERSATION,
    ),
    "transfer": (
        {
            "conversation_uuid_from": CONVERSATION,
            "conversation_uuid_to": OTHER,
            "uuid": LEG,
            "type": "transfer",
        },
        Kind.TRANSFER,
        LEG,
        OTHER,
    ),
    "notify": (
        {"payload": {"step": "greeted"}, "conversation_uuid": CONVERSATION},
        Kind.NOTIFY,
        None,
        CONVERSATION,
    ),
    "error": (
        {"reason": "Syntax error in NCCO. Invalid value type or action.", "conversation_uuid": CONVERSATION},
        Kind.ERROR,
        None,
        CONVERSATION,
    ),
    "status with a reason": (
        {"uuid": LEG, "status": "a word from the future", "reason": "x"},
        Kind.STATUS,
        LEG,
        None,
    ),
    "an id of another form": ({"uuid": "leg_01 x", "status": "ringing"}, Kind.STATUS, "leg_01 x", None),
    "ids that are none": ({"uuid": 7, "call_uuid": "", "conversation_uuid": 7}, Kind.UNKNOWN, None, None),
    "a fallback that repeats nothing": (
        {"reason": "Connection closed.", "original_request": {"url": "https://x/e", "type": "event"}},
        Kind.UNKNOWN,
        None,
        None,
    ),
    "a fallback that repeats an event": (
        {"reason": "x", "original_request": {"type": "event"}, "dtmf": {"digits": "1"}},
        Kind.INPUT,
        None,
        None,
    ),
    "nothing": ({}, Kind.UNKNOWN, None, None),
}
"""Of the webhook reference: fields, kind, leg and conversation."""


@pytest.mark.parametrize("name", SAMPLES)
def test_an_event_has_a_kind_and_names_its_leg(name: str) -> None:
    fields, kind, leg, conversation = SAMPLES[name]
    assert (kind_of(fields), leg_of(fields), conversation_of(fields)) == (kind, leg, conversation)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-02-03T09:15:00Z", 1770110100.0),
        ("2026-02-03T09:15:00.120Z", 1770110100.12),
        ("2026-02-03T09:15:00", 1770110100.0),
        ("2026-02-03T10:15:00+01:00", 1770110100.0),
        ("2016-12-31T23:59:60Z", None),
        ("soon", None),
        ("", None),
        ("\0", None),
        ("99999-01-01T00:00:00Z", None),
        (1770110100, None),
        (None, None),
    ],
)
def test_an_unreadable_time_is_read_as_no_time(text: object, seconds: float | None) -> None:
    assert moment(text) == time_of({"timestamp": text}) == seconds


def test_a_query_holds_strings_and_json_objects() -> None:
    pairs = [
        ("to", "447700900456"),
        ("uuid", LEG),
        ("dtmf", '{"digits":"3","timed_out":true}'),
        ("from", '{"not":"nested"}'),
        ("speech", '{"results":[NaN]}'),
        ("payload", "{" * 5000),
        ("headers", '{"a":' + "[" * 200 + "]" * 200 + "}"),
        ("custom_data", ""),
    ]
    expected = dict(pairs) | {"dtmf": {"digits": "3", "timed_out": True}}
    assert from_query(pairs) == expected
    assert json.dumps(from_query(pairs), allow_nan=False)


@pytest.mark.parametrize(
    ("pairs", "fields"),
    [
        ([("sip_code", "486"), ("size", "0"), ("id", "7")], {"sip_code": 486, "size": 0, "id": 7}),
        (
            [("sip_code", ""), ("size", "0x1"), ("id", "07"), ("duration", "14")],
            {"sip_code": "", "size": "0x1", "id": "07", "duration": "14"},
        ),
        ([("sip_code", "9" * 5000)], {"sip_code": "9" * 5000}),
        (
            [("dtmf[digits]", "3"), ("dtmf[timed_out]", "true")],
            {"dtmf": {"digits": "3", "timed_out": "true"}},
        ),
        (
            [("speech[results][0][text]", "sales"), ("speech[results][1][text]", "sails")],
            {"speech": {"results": [{"text": "sales"}, {"text": "sails"}]}},
        ),
        ([("order[17]", "x"), ("dtmf[", "y"), ("dtmf", "1")], {"order[17]": "x", "dtmf[": "y", "dtmf": "1"}),
        ([("dtmf", "1"), ("dtmf[digits]", "2")], {"dtmf": {"digits": "2"}}),
        ([("body", '{"leg_id":"x"}')], {"body": {"leg_id": "x"}}),
    ],
)
def test_a_query_and_a_body_give_the_same_event(pairs: list[tuple[str, str]], fields: dict[str, Any]) -> None:
    assert from_query(pairs) == fields


# The state of a leg from its events


def at(second: int, status: str, **more: Any) -> dict[str, Any]:
    return BASE | {"uuid": LEG, "status": status, "timestamp": f"2026-02-03T09:15:{second:02d}.000Z"} | more


STARTED, RINGING, ANSWERED = at(0, "started"), at(0, "ringing"), at(3, "answered", start_time=None)
HUMAN = {"call_uuid": LEG, "status": "human", "timestamp": "2026-02-03T09:15:05.000Z"}
MACHINE = {"call_uuid": LEG, "status": "machine", "timestamp": "2026-02-03T09:15:05.000Z"}
BEEP = MACHINE | {"sub_state": "beep_start", "timestamp": "2026-02-03T09:15:09.000Z"}
COMPLETED = at(20, "completed", duration="17", price="0.01")
NO_ANSWER = at(20, "completed", duration="0")
BUSY = at(4, "busy", sip_code=486)
MOVED = {
    "uuid": LEG,
    "conversation_uuid_from": CONVERSATION,
    "conversation_uuid_to": OTHER,
    "timestamp": "2026-02-03T09:15:08.000Z",
}

FOLDS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "rings": ([STARTED, RINGING], {"status": "ringing", "was_answered": False, "is_final": False}),
    "answered": (
        [STARTED, RINGING, ANSWERED],
        {"status": "answered", "was_answered": True, "is_final": False},
    ),
    "a person": (
        [STARTED, RINGING, ANSWERED, HUMAN],
        {"status": "human", "detection": "human", "was_answered": True},
    ),
    "a machine, then a beep": (
        [STARTED, RINGING, ANSWERED, MACHINE, BEEP],
        {"status": "machine", "detection": "machine", "sub_state": "beep_start"},
    ),
    "answered and over": (
        [STARTED, RINGING, ANSWERED, HUMAN, COMPLETED],
        {"status": "completed", "reason": None, "was_answered": True, "detection": "human", "is_final": True},
    ),
    "a machine, a beep and its end": (
        [STARTED, RINGING, ANSWERED, MACHINE, BEEP, COMPLETED],
        {"status": "completed", "detection": "machine", "sub_state": "beep_start", "was_answered": True},
    ),
    "only its end came": ([COMPLETED], {"status": "completed", "was_answered": True, "is_final": True}),
    "only its end came, and it was not answered": (
        [NO_ANSWER],
        {"status": "completed", "was_answered": False},
    ),
    "busy, then completed": (
        [STARTED, RINGING, BUSY, NO_ANSWER],
        {"status": "busy", "reason": "busy", "was_answered": False, "is_final": True},
    ),
    "answered, and its end tells nothing": (
        [ANSWERED, at(20, "completed", duration=None)],
        {"status": "completed", "was_answered": True},
    ),
    "moved": (
        [STARTED, ANSWERED, MOVED],
        {"status": "answered", "conversation_uuid": OTHER},
    ),
    "a word from the future": (
        [STARTED, at(9, "parked")],
        {"status": "started", "is_final": False},
    ),
    "only a word from the future": ([at(9, "parked")], {"status": "parked", "is_final": False}),
    "without times": (
        [{"uuid": LEG, "status": status} for status in ("started", "ringing", "answered", "completed")],
        {"status": "completed", "was_answered": True},
    ),
}


def seen(state: LegState | None) -> LegState:
    assert state is not None
    return state


@pytest.mark.parametrize("name", FOLDS)
def test_events_in_any_order_and_repetition_give_the_same_state(name: str) -> None:
    events, expected = FOLDS[name]
    state = seen(fold(LEG, events))
    assert {field: getattr(state, field) for field in expected} == expected

    for order in itertools.permutations(events):
        assert fold(LEG, order) == state
        for again in events:
            assert fold(LEG, [*order, again]) == state


def test_any_six_events_in_any_order_give_the_same_state() -> None:
    events = [STARTED, RINGING, ANSWERED, MACHINE, BEEP, COMPLETED, BUSY, NO_ANSWER, MOVED, at(9, "parked")]
    for some in itertools.combinations(events, 6):
        first, *others = (
            fold(LEG, order) for order in itertools.islice(itertools.permutations(some), 0, None, 31)
        )
        assert all(other == first for other in others)


def test_the_status_has_its_time_and_every_field_has_its_latest_value() -> None:
    state = seen(fold(LEG, [COMPLETED, ANSWERED, STARTED | {"headers": {}}]))
    assert state.fields == COMPLETED | {"headers": {}}  # and no value that is null


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([BUSY, NO_ANSWER | {"sip_code": 200, "detail": "ok"}], ("busy", 486, None)),
        ([at(4, "busy"), NO_ANSWER | {"sip_code": 200, "detail": "ok"}], ("busy", None, None)),
        (
            [at(4, "failed", sip_code=404, detail="cannot_route"), at(4, "completed", sip_code=200)],
            ("failed", 404, "cannot_route"),
        ),
        ([BUSY, ANSWERED, COMPLETED | {"sip_code": 200, "detail": "ok"}], ("completed", 200, "ok")),
        ([BUSY, at(5, "busy", detail="x")], ("busy", 486, "x")),
    ],
)
def test_detail_and_sip_code_are_those_of_the_status(
    events: list[dict[str, Any]], expected: tuple[str, int | None, str | None]
) -> None:
    for order in itertools.permutations(events):
        state = seen(fold(LEG, order))
        assert (state.status, state.fields.get("sip_code"), state.fields.get("detail")) == expected


def test_events_of_other_legs_and_without_a_status_give_no_state() -> None:
    other = LEG.replace("9", "8")
    assert fold(LEG, []) is None
    assert fold(LEG, [STARTED | {"uuid": other}, MOVED, {"uuid": LEG, "status": 7}]) is None


@pytest.mark.parametrize(
    ("duration", "is_proof"),
    [
        ("7", True),
        (7, True),
        ("0.5", True),
        ("0", False),
        (0, False),
        ("", False),
        (None, False),
        ("soon", False),
        ("NaN", False),
        ([], False),
        ({"a": 1}, False),
        (10**400, False),
    ],
)
def test_an_end_proves_an_answer_only_by_its_duration(duration: object, is_proof: bool) -> None:
    assert seen(fold(LEG, [at(20, "completed", duration=duration)])).was_answered == is_proof


STATUSES = [
    "started", "ringing", "answered", "human", "machine", "disconnected", "completed", "busy", "cancelled", "failed",
    "rejected", "timeout", "unanswered", "parked", "", "Completed", "\ud800",
]  # fmt: skip
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["0", "7", 2**63, 10**400])
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"status": st.sampled_from(STATUSES) | VALUES},
        optional={
            "uuid": st.sampled_from([LEG, "x", None]),
            "call_uuid": st.just(LEG),
            "timestamp": st.sampled_from(
                [*(at(second, "")["timestamp"] for second in range(3)), "soon", None]
            ),
            "duration": VALUES,
            "sub_state": st.sampled_from(["beep_start", "beep_timeout"]) | VALUES,
            "conversation_uuid": st.sampled_from([CONVERSATION, OTHER, ""]) | VALUES,
            "conversation_uuid_to": VALUES,
            "headers": st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
        },
    ),
    max_size=10,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_events_change_nothing_and_final_statuses_stay_final(
    events: list[dict[str, Any]], chance: Any
) -> None:
    state = fold(LEG, events)
    shuffled = [*events, chance.choice(events)] if events else []
    chance.shuffle(shuffled)
    assert fold(LEG, shuffled) == state

    was_final, was_answered = False, False
    for count in range(1, len(shuffled) + 1):
        now = fold(LEG, shuffled[:count])
        if now is None:
            continue
        assert now.is_final >= was_final
        assert now.was_answered >= was_answered
        assert now.is_final == (now.status in FINAL)
        was_final, was_answered = now.is_final, now.was_answered


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (
            {
                "type": "audio:dtmf",
                "conversation_id": CONVERSATION,
                "body": {"channel": {"id": LEG, "type": "phone"}, "digit": "1"},
            },
            ("audio:dtmf", LEG, CONVERSATION),
        ),
        (
            {"event_type": "conversation:created", "conversation_id": CONVERSATION},
            ("conversation:created", None, CONVERSATION),
        ),
        (
            {"type": "audio:record:done", "body": {"channel": {"id": "x", "legs": [{"leg_id": LEG}]}}},
            ("audio:record:done", LEG, None),
        ),
        ({"type": "leg:status:update", "body": {"leg_id": LEG}}, ("leg:status:update", LEG, None)),
        ({"type": "audio:mute:on", "body": {"rtc_id": LEG}}, ("audio:mute:on", LEG, None)),
        ({"type": "audio:earmuff:off", "body": {"rtc_id": LEG}}, ("audio:earmuff:off", LEG, None)),
        ({"type": "audio:say", "body": {"rtc_id": LEG, "leg_id": LEG}}, ("audio:say", None, None)),
        ({"type": "member:left", "body": {"channel": {"legs": [[LEG]]}}}, ("member:left", None, None)),
        ({"type": "member:left", "body": {"channel": {"legs": {}}}}, ("member:left", None, None)),
        ({"type": ["x"], "conversation_id": 1, "body": {"channel": {"id": 7}}}, (None, None, None)),
        (
            {"type": "leg:status:update", "body": {"leg_id": LEG, "channel": {"id": "another"}}},
            ("leg:status:update", LEG, None),
        ),
        (
            {"type": "audio:mute:on", "body": {"rtc_id": LEG, "channel": {"id": "another"}}},
            ("audio:mute:on", LEG, None),
        ),
        ({"type": "audio:mute:on", "body": {"channel": {"id": LEG}}}, ("audio:mute:on", LEG, None)),
        (
            {"type": "audio:record:done", "body": {"channel": {"legs": [{"leg_id": LEG}, {"leg_id": "x"}]}}},
            ("audio:record:done", LEG, None),
        ),
        (
            {"type": "audio:say", "body": {"leg_id": "x", "rtc_id": "x", "channel": {"legs": []}}},
            ("audio:say", None, None),
        ),
        (
            {"type": "member:joined", "body": {"channel": {"id": LEG, "legs": [7]}}},
            ("member:joined", LEG, None),
        ),
        ({"type": "member:left", "body": {"channel": LEG}}, ("member:left", None, None)),
        ({"body": "text"}, (None, None, None)),
        ({}, (None, None, None)),
    ],
)
def test_an_rtc_event_names_its_type_leg_and_conversation(
    fields: dict[str, Any], found: tuple[str | None, str | None, str | None]
) -> None:
    assert rtc_of(fields) == found
