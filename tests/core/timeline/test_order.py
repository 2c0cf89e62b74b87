"""Reports of the same legs from several sources, merged into one order."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.kept import CONVERSATION, LEG, arrival
from voicectl.core.history import EventSummary
from voicectl.core.timeline.entries import Happening, Sort, Source, of_call, of_event, of_intent, of_note
from voicectl.core.timeline.gaps import Gap
from voicectl.core.timeline.order import Trace, trace
from voicectl.store.action_log import Note
from voicectl.store.events import Route, Stored
from voicectl.store.journal import Intent, IntentState
from voicectl.voice.call import Call
from voicectl.voice.event import rank

OTHER = "11111111-5e6f-4788-99aa-bbccddeeff00"
ELSEWHERE = "CON-9f8e3c4d-5e6f-4788-99aa-bbccddeeff00"
BEGAN = 1_770_000_000.0
RANKED = ["started", "ringing", "answered", "human", "machine", "disconnected", "completed", "busy"]
STATUSES = [*RANKED, "a word from the future"]


def iso(second: float) -> str:
    found = datetime.fromtimestamp(BEGAN + second, UTC).isoformat(timespec="milliseconds")
    return found.replace("+00:00", "Z")


def event(number: int, status: str | None = None, second: float | None = 0, **fields: Any) -> Stored:
    """Return a stored event; without a *status*, its *fields* determine its kind."""
    content: dict[str, Any] = {"uuid": LEG} | ({} if status is None else {"status": status})
    content |= {} if second is None else {"timestamp": iso(second)}
    content |= {} if "conversation_uuid_to" in fields else {"conversation_uuid": CONVERSATION}
    is_signed = fields.pop("is_signed", True)
    return Stored(number, arrival(content | fields, is_signed=is_signed, received=BEGAN + 500), 0)


def moved(number: int, second: float, left: str = CONVERSATION, to: str = ELSEWHERE) -> Stored:
    return event(number, None, second, conversation_uuid_from=left, conversation_uuid_to=to)


def note(what: str, second: float, outcome: str = "done", uuid: str = LEG, **detail: Any) -> Note:
    return Note(at=BEGAN + second, uuid=uuid, what=what, outcome=outcome, detail=detail)


def intent(second: float, state: IntentState = IntentState.CREATED, uuid: str | None = LEG) -> Intent:
    return Intent(
        reference="vc-1",
        asked_at=BEGAN + second,
        pid=1,
        to="447700900001",
        from_=None,
        body_hash="",
        key=None,
        state=state,
        uuid=uuid,
        reply={},
        certainty=None,
        reason=None,
        settled_at=BEGAN + second + 0.5,
    )


def record(status: str, **fields: Any) -> Call:
    return Call.from_json({"uuid": LEG, "status": status, "conversation_uuid": CONVERSATION, **fields})


def traced(
    *stored: Stored,
    call: Call | None = None,
    ours: Iterable[Note | Intent] = (),
    is_gone: bool = False,
    has_events: bool = True,
    all_events: bool = False,
    has_entered: bool = False,
) -> Trace:
    happenings = [of_event(each) for each in stored]
    happenings += [] if call is None else of_call(call, BEGAN + 900)
    for each in ours:
        happenings += [of_note(each)] if isinstance(each, Note) else of_intent(each, LEG)
    found = EventSummary.read(LEG, [each for each in stored if each.arrival.leg == LEG])
    return trace(
        happenings,
        calls={} if call is None else {LEG: call},
        reported={} if found is None else {LEG: found},
        gone={LEG: "No leg there. Profile other has it."} if is_gone else {},
        entered={LEG} if has_entered else (),
        has_events=has_events,
        all_events=all_events,
    )


def rtc(number: int, type_: str, second: float, of: int, where: str = CONVERSATION, **body: Any) -> Stored:
    """An RTC event in a store: the event *of* its conversation."""
    fields = {"type": type_, "id": of, "conversation_id": where, "timestamp": iso(second), "body": body}
    return Stored(number, arrival(fields, route=Route.RTC, received=BEGAN + 500), 0)


CHANNEL = {"id": LEG, "type": "phone"}


def joined_by_create(late: float = 0.0) -> list[Stored]:
    """All events of a leg that ``call create --join`` moved from its own conversation into a room.

    Args:
        late: How much later each further report of the move is, in seconds.
    """
    base = {"channel": CHANNEL}
    return [
        rtc(1, "conversation:created", 0, 1, id=CONVERSATION, name="NAM-1"),
        event(2, "started", 0),
        rtc(3, "member:invited", 0, 2, **base),
        rtc(4, "leg:status:update", 0, 3, leg_id=LEG, status="started"),
        event(5, "ringing", 1),
        rtc(6, "leg:status:update", 1, 4, leg_id=LEG, status="ringing"),
        rtc(7, "sip:ringing", 1, 5, **base),
        event(8, "answered", 3),
        rtc(9, "leg:status:update", 3, 6, leg_id=LEG, status="answered"),
        rtc(10, "sip:answered", 3, 7, **base),
        rtc(11, "member:joined", 3, 8, member_id="MEM-1", **base),
        rtc(12, "member:joined", 3, 2, ELSEWHERE, member_id="MEM-2", **base),
        moved(13, 3 + late),
        rtc(14, "member:left", 3 + 2 * late, 9, reason={"code": "ok", "text": "transferred"}, **base),
        rtc(15, "rtc:transfer", 3 + 3 * late, 3, ELSEWHERE, transferred_from=CONVERSATION, **base),
        rtc(16, "conversation:deleted", 3 + 3 * late, 10, id=CONVERSATION, name="NAM-1"),
        rtc(17, "audio:mute:on", 8, 4, ELSEWHERE, rtc_id=LEG),
        event(18, "completed", 20, conversation_uuid=ELSEWHERE, duration="17"),
        rtc(19, "leg:status:update", 20, 5, ELSEWHERE, leg_id=LEG, status="completed"),
        rtc(20, "sip:hangup", 20, 6, ELSEWHERE, reason={"text": "completed"}, **base),
        rtc(21, "sip:status", 20, 7, ELSEWHERE, status="completed", **base),
        rtc(22, "member:left", 20, 8, ELSEWHERE, **base),
    ]


def whats(found: Trace) -> list[str]:
    return [step.happening.what for step in found.steps]


def gaps(found: Trace) -> list[tuple[int | None, str]]:
    return [(place, gap.what) for place, gap in found.gaps]


# RTC events


@pytest.mark.parametrize("all_events", [False, True])
@pytest.mark.parametrize("late", [0.0, 0.001, 0.2])
def test_leaving_and_joining_at_once_is_one_move_and_no_gap(late: float, all_events: bool) -> None:
    events = joined_by_create(late)
    record_there = record("completed", conversation_uuid=ELSEWHERE, duration="17")

    assert gaps(traced(*events, call=record_there, all_events=all_events)) == []
    without_call_event = [each for each in events if each.arrival.kind != "transfer"]
    assert gaps(traced(*without_call_event, call=record_there, all_events=all_events)) == []


def test_an_event_that_repeats_another_is_folded_into_it() -> None:
    found = traced(*joined_by_create())
    events = {step.happening.what: step.happening.events for step in found.steps}

    assert whats(found) == [
        *("started", "conversation:created", "ringing", "answered", "transfer", "conversation:deleted"),
        *("audio:mute:on", "completed"),
    ]
    assert events["started"] == (2, 3, 4)
    assert events["answered"] == (8, 9, 10, 11)
    assert events["transfer"] == (12, 13, 14, 15)
    assert events["completed"] == (18, 19, 20, 21, 22)
    assert sorted(number for each in events.values() for number in each) == list(range(1, 23)), (
        "every event is in one entry"
    )


def test_all_events_are_listed_separately_on_request() -> None:
    found = traced(*joined_by_create(), all_events=True)

    assert [step.happening.events for step in found.steps if step.happening.number] == [
        *((1,), (3,), (4,), (6,), (7,)),
        *((12,), (15,), (9,), (10,), (11,), (14,), (16,)),
        *((17,), (19,), (20,), (21,), (22,)),
    ]


def test_rtc_events_of_the_same_time_are_in_the_order_of_their_numbers_then_of_arrival() -> None:
    events = [
        rtc(number, f"custom:{number}", 5, of, channel=CHANNEL)
        for number, of in ((1, 7), (2, 10), (4, 9), (3, 9))
    ]
    events[0], events[2] = events[2], events[0]

    assert whats(traced(*events)) == ["custom:1", "custom:3", "custom:4", "custom:2"]


def test_an_rtc_event_stands_in_for_a_missing_call_event() -> None:
    """A status that only an RTC event reports is not a gap."""
    found = traced(
        rtc(1, "leg:status:update", 0, 1, leg_id=LEG, status="started"),
        rtc(2, "sip:answered", 3, 2, channel=CHANNEL),
        event(3, "completed", 20, duration="17"),
    )

    assert whats(found) == ["leg:status:update", "sip:answered", "completed"]
    assert gaps(found) == []


def test_a_move_that_rtc_events_alone_report_is_one_entry() -> None:
    found = traced(
        event(1, "started", 0),
        event(2, "answered", 3),
        rtc(3, "member:joined", 9, 1, ELSEWHERE, channel=CHANNEL),
        rtc(4, "member:left", 9, 5, channel=CHANNEL),
        event(5, "completed", 20, conversation_uuid=ELSEWHERE),
    )
    (move,) = (step.happening for step in found.steps if step.happening.what.startswith("member:"))

    assert (move.events, move.left, move.conversation) == ((3, 4), CONVERSATION, ELSEWHERE)
    assert gaps(found) == []


def test_a_leg_found_elsewhere_without_a_reported_move_is_still_a_gap() -> None:
    events = [each for each in joined_by_create() if each.id not in (12, 13, 15)]

    assert gaps(traced(*events)) == [(6, "transfer")]
    assert gaps(traced(*events, all_events=True))[0][1] == "transfer"


def test_a_record_is_listed_once() -> None:
    found = traced(
        event(1, None, 30, recording_url="https://api.nexmo.com/v1/files/x", recording_uuid="r-1", uuid=None),
        rtc(2, "audio:record:done", 30.5, 9, recording_id="r-1"),
        rtc(3, "audio:record:done", 30.5, 10, recording_id="r-2"),
    )

    assert [(step.happening.what, step.happening.events) for step in found.steps] == [
        ("record", (1, 2)),
        ("audio:record:done", (3,)),
    ]


@given(st.randoms())
def test_the_order_in_which_rtc_events_are_read_does_not_matter(source: random.Random) -> None:
    events = joined_by_create()
    shuffled = [*events]
    source.shuffle(shuffled)

    assert traced(*shuffled) == traced(*events)
    assert traced(*shuffled, all_events=True) == traced(*events, all_events=True)


# Order


def test_entries_are_in_the_order_of_their_times() -> None:
    found = traced(
        event(1, "completed", 20, duration="14"),
        event(2, "answered", 6),
        event(3, "started", 1),
        event(4, None, 9, dtmf={"digits": "1234", "timed_out": False}),
        ours=[note("mute", 8), intent(0)],
    )

    assert whats(found) == ["create", "created", "started", "answered", "mute", "input", "completed"]
    assert found.steps[5].happening.facts == {"keys": "4"}, "the trace shows no other detail of the keys"
    assert gaps(found) == []


@pytest.mark.parametrize("ahead", [-7200.0, -30.0, 0.0, 5.0, 3600.0])
def test_no_clock_puts_an_effect_before_its_cause(ahead: float) -> None:
    """This machine's clock is *ahead* seconds ahead of the platform's."""
    found = traced(
        event(1, "started", 1),
        event(2, "answered", 6),
        moved(3, 10),
        event(4, "completed", 20, conversation_uuid=ELSEWHERE),
        ours=[
            intent(0.2 + ahead),
            note("mute", 8 + ahead),
            note("move", 10.1 + ahead, room="r"),
            note("hangup", 20.2 + ahead),
        ],
    )
    order = whats(found)

    for earlier, later in [
        ("create", "started"),
        ("started", "mute"),
        ("mute", "move"),
        ("move", "transfer"),
        ("hangup", "completed"),
    ]:
        assert order.index(earlier) < order.index(later), order
    assert [what for _, what in gaps(found)] == (["clock"] if abs(ahead) > 10 or ahead > 2 else [])


def test_long_actions_prove_no_clock_difference() -> None:
    """A hang-up is repeated for up to 20 s, and noted when it is done."""
    stored = [event(1, "started", 1), event(2, "answered", 3), event(3, "completed", 20, duration="17")]
    found = traced(*stored, ours=[note("mute", 2), note("hangup", 32)])

    assert whats(found) == ["started", "mute", "answered", "hangup", "completed"]
    assert gaps(found) == []


def test_a_clock_difference_is_reported() -> None:
    (gap,) = (gap for _, gap in traced(event(1, "started", 1), ours=[intent(61)]).gaps)
    assert (
        gap.detail
        == "This machine's clock was 60.0 s ahead of the platform's; the order of events allows for this."
    )


def test_statuses_of_one_leg_are_in_their_legal_order_whatever_their_times() -> None:
    found = traced(event(1, "answered", 3), event(2, "ringing", 5), event(3, "started", 5))

    assert whats(found) == ["started", "ringing", "answered"]
    assert [step.is_reordered for step in found.steps] == [True, True, False]


def test_an_entry_without_a_time_is_placed_when_it_was_known_or_before_its_effect() -> None:
    found = traced(
        event(1, "ringing", None),
        event(2, "answered", 6),
        event(3, "transcribed", None, recording_uuid="r", transcription_url="https://x/1"),
    )

    assert whats(found) == ["ringing", "answered", "transcribed"]
    assert [step.happening.at for step in found.steps] == [None, BEGAN + 6, None]
    assert found.steps[2].happening.by == BEGAN + 500


def test_of_several_moves_each_comes_before_its_transfer() -> None:
    stored = [moved(1, 10), moved(2, 20, ELSEWHERE, CONVERSATION), event(3, "started", 1)]
    found = traced(*stored, ours=[note("move", 10.2, room="a"), note("transfer", 20.2)])

    assert whats(found) == ["started", "move", "transfer", "transfer", "transfer"]
    assert [step.happening.sort for step in found.steps][1:] == [Sort.ACTION, Sort.OTHER] * 2


def test_a_transfer_by_another_program_is_not_the_effect_of_our_move() -> None:
    stored = [event(1, "started", 1), moved(2, 5), moved(3, 3000, ELSEWHERE, CONVERSATION)]
    found = traced(*stored, ours=[note("move", 2999.9, room="a")])

    assert [step.happening.sources[0] for step in found.steps] == ["event", "event", "here", "event"]


ENTRY = moved(2, 5)
BY_US = moved(3, 42, ELSEWHERE, "CON-x")
THERE = "CON-y"


def named(number: int, where: str, name: str) -> Stored:
    return rtc(number, "conversation:created", 0, 1, where, id=where, name=name)


@pytest.mark.parametrize("has_entered", [False, True])
@pytest.mark.parametrize("late", [-0.5, 0.001, 15])
def test_a_move_is_paired_with_the_nearest_transfer_not_with_the_entry_by_a_flow(
    late: float, has_entered: bool
) -> None:
    found = traced(
        *(event(1, "started", 1), ENTRY, BY_US),
        ours=[note("move", 42 + late, room="blue")],
        has_entered=has_entered,
    )

    assert [step.happening.events for step in found.steps] == [(1,), (2,), (), (3,)]
    assert gaps(found) == []


@pytest.mark.parametrize("ahead", [0.0, 30.0, 3600.0])
def test_a_noted_entry_is_left_out_whatever_the_clocks_show(ahead: float) -> None:
    found = traced(
        *(event(1, "started", 1), ENTRY, BY_US),
        ours=[intent(0.5 + ahead), note("move", 42.1 + ahead, room="blue")],
        has_entered=True,
    )

    order = [what for what in whats(found) if what != "created"]
    assert order == ["create", "started", "transfer", "move", "transfer"]
    assert [what for _, what in gaps(found)] == (["clock"] if ahead else [])


def test_a_noted_entry_and_a_move_show_a_clock_difference_if_there_are_two_transfers() -> None:
    found = traced(ENTRY, BY_US, ours=[note("move", 642, room="blue")], has_entered=True)

    assert whats(found) == ["transfer", "move", "transfer"]
    assert [what for _, what in gaps(found)] == ["clock"]


@pytest.mark.parametrize("has_entered", [False, True])
def test_the_entry_by_a_flow_shows_no_clock_difference_though_our_transfer_is_missing(
    has_entered: bool,
) -> None:
    ours = [note("move", 42.1, room="blue")]
    found = traced(event(1, "started", 1), ENTRY, ours=ours, has_entered=has_entered)

    assert whats(found) == ["started", "transfer", "move"]
    assert gaps(found) == []


def test_a_leg_moved_before_its_flow_reaches_the_room_was_moved_by_us() -> None:
    found = traced(
        event(1, "started", 1), moved(2, 5), ours=[note("move", 5.1, room="blue")], has_entered=True
    )

    assert whats(found) == ["started", "move", "transfer"]


def test_of_two_moves_one_of_which_has_no_event_the_other_has_the_transfer() -> None:
    """The first transfer is by a flow without a note, so there are as many transfers as moves."""
    ours = [note("move", 42.1, room="blue"), note("move", 52, room="green")]
    found = traced(event(1, "started", 1), ENTRY, BY_US, ours=ours)

    assert [step.happening.events for step in found.steps] == [(1,), (2,), (), (3,), ()]
    assert gaps(found) == []


def test_quick_moves_after_a_noted_entry_are_not_paired_with_it() -> None:
    ours = [note("move", 8.1, room="blue"), note("move", 12, room="green")]
    stored = [event(1, "started", 1), ENTRY, moved(3, 8, ELSEWHERE, "CON-x")]
    found = traced(*stored, ours=ours, has_entered=True)

    assert [step.happening.events for step in found.steps] == [(1,), (2,), (), (3,), ()]


def test_moves_in_quick_succession_have_their_own_transfers() -> None:
    """This machine's clock is ahead by as much as the time between the moves."""
    stored = [event(1, "started", 1), moved(2, 30), moved(3, 31.5, ELSEWHERE, "CON-x")]
    found = traced(*stored, ours=[note("move", 31.5, room="a"), note("move", 33, room="b")])

    assert [step.happening.events for step in found.steps] == [(1,), (), (2,), (), (3,)]


@pytest.mark.parametrize("ahead", [0.0, 3600.0])
def test_a_move_is_paired_with_the_transfer_to_its_room(ahead: float) -> None:
    """Another program moved the leg at the same time, and RTC events gave the names of the rooms."""
    rooms = [named(4, ELSEWHERE, "red"), named(5, "CON-x", "blue"), named(6, THERE, "green")]
    events = [
        event(1, "started", 1),
        moved(2, 41.9),
        moved(3, 42, ELSEWHERE, "CON-x"),
        moved(7, 42.1, "CON-x", THERE),
    ]
    found = traced(*events, *rooms, ours=[intent(0.5 + ahead), note("move", 42.2 + ahead, room="blue")])

    order = [step.happening.events for step in found.steps if step.happening.what in ("move", "transfer")]
    assert order == [(2,), (), (3,), (7,)]


# Duplicates


def test_a_status_from_two_sources_is_listed_once_and_names_both() -> None:
    call = record("completed", start_time=iso(6), end_time=iso(20), duration="14")
    found = traced(event(1, "started", 0), event(2, "answered", 6), event(3, "completed", 20.3), call=call)

    assert whats(found) == ["started", "answered", "completed"]
    assert [step.happening.sources for step in found.steps] == [
        ("event",),
        ("api", "event"),
        ("api", "event"),
    ]
    assert found.steps[2].happening.at == BEGAN + 20.3, "the time is the event's; a record reports it later"
    assert found.steps[2].happening.facts["duration"] == "14"


def test_a_record_joins_the_first_event_with_its_status() -> None:
    early, late = event(1, "answered", 3), event(2, "answered", 9)
    for stored in ([early, late], [late, early]):
        found = traced(*stored, call=record("answered"))
        assert [step.happening.sources for step in found.steps] == [("api", "event"), ("event",)]


def test_an_event_that_also_went_to_the_fallback_is_listed_once() -> None:
    fields = {"dtmf": {"digits": "1"}}
    again = {**fields, "reason": "x", "original_request": {"type": "event", "url": "https://x.org"}}
    found = traced(event(1, None, 5, **fields), event(2, None, 5, **again))

    assert [step.happening.events for step in found.steps] == [(1, 2)]


def test_a_machine_and_its_beep_are_two_entries() -> None:
    stored = [event(1, "machine", 5), event(2, "machine", 5, sub_state="beep_start"), event(3, "machine", 5)]
    assert [step.happening.events for step in traced(*stored).steps] == [(1, 3), (2,)]


def test_the_creation_of_a_call_is_in_the_journal_and_in_the_notes() -> None:
    found = traced(event(1, "started", 1), ours=[intent(0), note("create", 0.6)])

    assert whats(found) == ["create", "created", "started"]
    assert found.steps[1].happening.sources == ("journal", "here")


def test_an_unsigned_event_is_marked() -> None:
    found = traced(event(1, "started", 1), event(2, "answered", 2, is_signed=False))
    assert [step.happening.sources for step in found.steps] == [("event",), ("unsigned event",)]


# Gaps


def test_an_end_after_a_missing_answer_is_a_gap() -> None:
    found = traced(event(1, "ringing", 1), event(2, "completed", 20, duration="14", start_time=iso(6)))
    ((place, gap),) = found.gaps

    assert (place, gap.what, gap.uuid, gap.at) == (1, "answered", LEG, BEGAN + 6)


@pytest.mark.parametrize(
    ("stored", "call", "expected"),
    [
        ([event(1, "ringing", 1), event(2, "busy", 2)], None, []),
        ([event(1, "ringing", 1), event(2, "completed", 2, duration="0")], None, []),
        ([event(1, "ringing", 1), event(2, "human", 2)], None, [(1, "answered")]),
        ([event(1, "answered", 1)], None, [(0, "started")]),
        ([event(1, "started", 1)], record("answered"), []),
        ([], record("answered"), [(0, "events")]),
        (
            [event(1, "started", 1), event(2, "busy", 2)],
            record("completed", duration="5"),
            [(1, "answered"), (3, "contradiction")],
        ),
        ([event(1, "started", 1), moved(2, 5)], record("started", conversation_uuid=ELSEWHERE), []),
        (
            [event(1, "started", 1), event(2, "answered", 5, conversation_uuid=ELSEWHERE)],
            None,
            [(1, "transfer")],
        ),
        ([event(1, "started", 1), moved(2, 5, "CON-x", ELSEWHERE)], None, [(1, "transfer")]),
        ([event(1, "started", 1)], record("ringing", conversation_uuid=ELSEWHERE), [(2, "transfer")]),
    ],
)
def test_a_necessary_event_that_no_source_reports_is_a_gap(
    stored: list[Stored], call: Call | None, expected: list[tuple[int, str]]
) -> None:
    assert gaps(traced(*stored, call=call)) == expected


def test_a_leg_without_a_record_and_without_an_end_has_a_gap_at_its_end() -> None:
    assert gaps(traced(event(1, "started", 1), is_gone=True)) == [(1, "end")]
    assert gaps(traced(event(1, "started", 1), event(2, "busy", 2), is_gone=True)) == []
    assert gaps(traced(call=record("answered"), has_events=False)) == [], (
        "without stored events, no event is missing"
    )


def test_the_api_s_error_for_a_leg_without_a_record_is_shown_even_if_other_sources_know_the_leg() -> None:
    for has_events, kept in [(True, ["events", "end"]), (False, ["end"])]:
        found = traced(ours=[note("mute", 5)], is_gone=True, has_events=has_events)
        assert [gap.what for _, gap in found.gaps] == kept
        assert "Profile other has it." in found.gaps[-1][1].detail


def seen_in(second: float, conversation: str) -> Stored:
    return event(int(second * 10), None, second, dtmf={"digits": "1"}, conversation_uuid=conversation)


@pytest.mark.parametrize(
    ("deed", "is_explained"),
    [
        (note("move", 5, room="r"), True),
        (note("transfer", 5), True),
        (
            note("move", 7.4, room="r"),
            True,
        ),  # noted once it was answered, when its effect was already reported
        (note("move", 40, room="r"), False),
        (note("move", 1, room="r"), False),
        (note("move", 5, "failed", room="r"), False),
        (note("mute", 5), False),
    ],
)
def test_a_move_from_here_explains_a_change_that_no_event_reported(deed: Note, is_explained: bool) -> None:
    stored = [event(1, "started", 0), seen_in(3, CONVERSATION), seen_in(7, ELSEWHERE)]
    assert ("transfer" in {gap.what for _, gap in traced(*stored, ours=[deed]).gaps}) != is_explained


def test_a_move_from_here_explains_the_conversation_of_the_record_and_only_one_change() -> None:
    stored = [event(1, "started", 0), event(2, "answered", 1)]
    ours = [note("move", 5, room="r"), note("hangup", 9)]
    ended = record("completed", conversation_uuid=ELSEWHERE, end_time=iso(9.5), duration="8")

    assert gaps(traced(*stored, call=ended, ours=ours)) == []
    assert [what for _, what in gaps(traced(*stored, call=ended, ours=ours[1:]))] == ["transfer"]
    again = [*stored, seen_in(7, ELSEWHERE), seen_in(8, "CON-x")]
    assert [what for _, what in gaps(traced(*again, ours=ours))] == ["transfer"], "one of the two"
    late = [note("move", 8.5, room="r")]
    assert [what for _, what in gaps(traced(*again, ours=late))] == ["transfer"], "one of the two"


def test_a_move_with_a_reported_transfer_explains_nothing_else() -> None:
    deed = note("move", 5.1, room="r")
    after = [event(1, "started", 0), moved(2, 5), seen_in(7, "CON-x")]
    before = [event(1, "started", 0), seen_in(4, ELSEWHERE), moved(2, 5, ELSEWHERE, "CON-x")]
    for stored in (after, before):
        assert [what for _, what in gaps(traced(*stored, ours=[deed]))] == ["transfer"]


def test_an_action_with_an_unknown_outcome_is_a_gap() -> None:
    found = traced(event(1, "started", 1), ours=[note("dtmf", 5, "unknown", keys=4)])

    assert found.steps[1].happening.facts == {"outcome": "unknown", "keys": "4"}
    assert gaps(found) == [(2, "dtmf")]
    assert [line.what if isinstance(line, Gap) else line.happening.what for line in found.lines()] == [
        "started",
        "dtmf",
        "dtmf",
    ]


def test_a_call_in_doubt_is_proved_by_its_events() -> None:
    doubtful = intent(0, IntentState.IN_DOUBT, None)
    found = traced(event(1, "started", 1), ours=[doubtful])
    alone = trace(of_intent(doubtful, None), calls={}, reported={}, has_events=True)

    assert whats(found) == ["create", "in-doubt", "started"]
    assert gaps(found) == []
    assert gaps(alone) == [(2, "in-doubt")]


# Properties of any set of reports


times = st.one_of(st.none(), st.floats(-30, 300).map(lambda second: round(second, 1)))


@st.composite
def worlds(draw: st.DrawFn) -> list[Happening]:
    """Draw reports of two legs from all sources, on clocks that differ."""
    ahead = draw(st.sampled_from([-4000.0, -3.0, 0.0, 0.4, 90.0]))
    found: list[Happening] = []
    for number in range(draw(st.integers(0, 14))):
        uuid = draw(st.sampled_from([LEG, OTHER]))
        if draw(st.booleans()):
            status = draw(st.sampled_from(STATUSES))
            stored = event(number, status, draw(times), uuid=uuid, is_signed=draw(st.booleans()))
        else:
            conversations = st.sampled_from([CONVERSATION, ELSEWHERE])
            stored = moved(number, draw(st.floats(-30, 300)), draw(conversations), draw(conversations))
        found.append(of_event(stored))
    verbs = st.sampled_from(["mute", "move", "transfer", "hangup", "dtmf", "create", "region"])
    outcomes = st.sampled_from(["done", "already", "unknown", "failed"])
    for _ in range(draw(st.integers(0, 5))):
        done = note(
            draw(verbs),
            draw(st.floats(-30, 300)) + ahead,
            draw(outcomes),
            draw(st.sampled_from([LEG, OTHER])),
        )
        found.append(of_note(done))
    if draw(st.booleans()):
        found += of_intent(intent(draw(st.floats(-30, 300)) + ahead, draw(st.sampled_from(IntentState))), LEG)
    if draw(st.booleans()):
        call = record(draw(st.sampled_from(STATUSES)), start_time=iso(3), end_time=iso(40), duration="9")
        found += of_call(call, BEGAN + 300)
    return found


def ordered(happenings: Iterable[Happening]) -> Trace:
    return trace(happenings, calls={}, reported={}, entered={LEG}, has_events=True)


@given(worlds(), st.randoms(use_true_random=False))
def test_reports_in_any_order_and_repetition_give_the_same_trace(
    happenings: list[Happening], chance: random.Random
) -> None:
    again = happenings + chance.choices(happenings, k=3) if happenings else []
    chance.shuffle(again)

    assert ordered(again) == ordered(happenings)


@given(worlds())
def test_no_report_is_lost(happenings: list[Happening]) -> None:
    found = [step.happening for step in ordered(happenings).steps]

    assert sorted(number for each in found for number in each.events) == [
        number for each in happenings for number in each.events
    ]
    for each in happenings:
        assert any(
            (same.uuid, same.what) == (each.uuid, each.what) and set(each.sources) <= set(same.sources)
            for same in found
        ) or (each.what, each.sources) == ("create", (Source.HERE,))
    assert len(found) <= len(happenings)


@given(worlds())
def test_causes_come_before_effects(happenings: list[Happening]) -> None:
    found = ordered(happenings)
    for leg in found.legs:
        own = [step.happening for step in found.steps if step.happening.uuid == leg]
        ranks = [rank(each.what) for each in own if each.sort is Sort.STATUS and rank(each.what)]
        assert ranks == sorted(ranks)
        asked = [place for place, each in enumerate(own) if each.sort is Sort.ASKED]
        assert asked in ([], [0])
        deeds = [
            place for place, each in enumerate(own) if each.sort is Sort.ACTION and each.outcome == "done"
        ]
        begun = [
            place for place, each in enumerate(own) if each.sort is Sort.STATUS and 0 < rank(each.what) < 3
        ]
        assert not deeds or not begun or begun[-1] < deeds[0]
        hangups = [place for place in deeds if own[place].what == "hangup"]
        ends = [
            place
            for place, each in enumerate(own)
            if each.sort is Sort.STATUS and each.what in ("completed", "busy")
        ]
        if len(hangups) == 1 and ends:
            assert hangups[0] < ends[-1]


@given(worlds())
def test_reports_of_one_clock_about_different_legs_keep_their_order(happenings: list[Happening]) -> None:
    """The control of the test above: without a constraint, the times decide."""
    free = [each for each in happenings if each.sort is Sort.OTHER and each.events and each.at is not None]
    found = [step.happening.at for step in ordered(free).steps]

    assert found == sorted(found, key=lambda at: math.inf if at is None else at)


def test_ten_thousand_events_of_a_hundred_legs_are_ordered() -> None:
    legs = [f"{number:08x}-5e6f-4788-99aa-bbccddeeff00" for number in range(100)]
    found = ordered(
        of_event(event(number, STATUSES[number // 100 % 9], number / 50, uuid=legs[number % 100]))
        for number in range(10_000)
    )

    assert len(found.steps) == 10_000
    assert len(found.legs) == 100
