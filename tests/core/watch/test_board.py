"""One stream of changes from the API's lists and from events, in any order of the two."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kept import CONVERSATION, LEG, arrival, status
from voicectl.core.calls.selection import Selection
from voicectl.core.watch.board import FORGET_SECONDS, LOST_SECONDS, Board
from voicectl.core.watch.sight import Change, ChangeKind, Since
from voicectl.store.action_log import Marks
from voicectl.store.events import Stored
from voicectl.voice.call import FINAL, Call
from voicectl.voice.event import rank

OTHER = "1a8b1111-5e6f-4788-99aa-bbccddeeff00"
THIRD = "2a8b1111-5e6f-4788-99aa-bbccddeeff00"
ROOM = "CON-99999999-5e6f-4788-99aa-bbccddeeff00"
T0 = 1_770_000_000.0  # the minute in which kept.status() has its events


def record(status: str, uuid: str = LEG, **fields: Any) -> Call:
    return Call.from_json(
        {"uuid": uuid, "status": status, "direction": "outbound", "conversation_uuid": CONVERSATION} | fields
    )


def stored(number: int, reported: str, *, leg: str = LEG, second: int = 0, **fields: Any) -> Stored:
    return Stored(number, arrival(status(reported, leg=leg, second=second, **fields)), 0)


def statuses(changes: list[Change]) -> list[str]:
    return [each.sight.call.status for each in changes if each.kind in (ChangeKind.SEEN, ChangeKind.STATUS)]


# Properties of any order of reports

LIVES = (
    ("started", "ringing", "answered", "completed"),
    ("started", "ringing", "busy"),
    ("started", "ringing", "timeout", "completed"),
    ("started", "ringing", "answered", "human", "completed"),
    ("started", "answered", "machine", "completed"),
    ("started", "failed"),
    ("started", "ringing"),
)


def records_of(life: tuple[str, ...], uuid: str) -> list[Call]:
    """Return the API's records of a leg with this life; no record says human, and an answered call has a duration."""
    shown = [each for each in life if each != "human"]
    was_answered = "answered" in life
    more = {"duration": "7"} if was_answered else {}
    return [record(each, uuid, **(more if each == "completed" else {})) for each in shown]


def events_of(life: tuple[str, ...], uuid: str, first: int) -> list[Stored]:
    more = {"duration": "7"} if "answered" in life else {}
    return [
        stored(first + number, each, leg=uuid, second=number, **(more if each == "completed" else {}))
        for number, each in enumerate(life)
    ]


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Call | Stored], list[Call | Stored]]:
    """Draw API records and events of two legs: in their true order, and in a possible order of arrival."""
    lives = [draw(st.sampled_from(LIVES)) for _ in (LEG, OTHER)]
    whole: list[Call | Stored] = []
    for number, (life, uuid) in enumerate(zip(lives, (LEG, OTHER), strict=True)):
        whole += records_of(life, uuid)
        whole += events_of(life, uuid, 1 + 10 * number)
    kept = [each for each in whole if draw(st.integers(0, 5))]  # some never arrive
    again = [each for each in kept if not draw(st.integers(0, 3))]  # some arrive twice
    return kept, draw(st.permutations(kept + again))


def play(board: Board, come: list[Call | Stored], *, together: random.Random | None = None) -> list[Change]:
    changes: list[Change] = []
    waiting: list[Stored] = []
    for number, each in enumerate(come):
        at = T0 + 60 + number
        if isinstance(each, Call):
            changes += board.records([each], at)
        elif together is not None and together.random() < 0.5:
            waiting.append(each)
        else:
            changes += board.events([each, *waiting], at)
            waiting = []
    return changes + board.events(waiting, T0 + 60 + len(come))


def end_of(board: Board) -> dict[str, tuple[str, str, bool]]:
    """Return the final knowledge about each leg: its status, its detection, and whether it is over."""
    return {
        sight.call.uuid: (sight.call.status, str(sight.call.raw.get("detection")), sight.is_over)
        for sight in board.sights()
    }


@settings(max_examples=300, deadline=None)
@given(arrivals(), st.integers(0, 1000))
def test_any_interleaving_gives_one_ordered_stream_without_repeats(
    both: tuple[list[Call | Stored], list[Call | Stored]], seed: int
) -> None:
    in_order, come = both
    board, usual = Board(), Board()

    changes = play(board, come, together=random.Random(seed))
    play(usual, in_order)

    assert [each.at for each in changes] == sorted(each.at for each in changes)
    for uuid in (LEG, OTHER):
        shown = statuses([each for each in changes if each.sight.call.uuid == uuid])
        assert [rank(each) for each in shown] == sorted(rank(each) for each in shown)
        assert len(set(shown)) == len(shown)
        assert not any(each in FINAL for each in shown[:-2])
        seen = [each.kind for each in changes if each.sight.call.uuid == uuid]
        assert seen.count(ChangeKind.SEEN) == bool(shown)
    assert end_of(board) == end_of(usual)


@settings(max_examples=100, deadline=None)
@given(arrivals())
def test_repeated_reports_change_nothing(both: tuple[list[Call | Stored], list[Call | Stored]]) -> None:
    _, come = both
    board = Board()
    play(board, come)

    assert not [each for each in play(board, come) if each.kind is not ChangeKind.DISAGREEMENT]


def test_without_the_guard_against_late_records_a_leg_would_go_back() -> None:
    """The control: the faults that the properties above would find."""
    come = [record("answered"), record("ringing")]
    naive = [each.status for each in come]

    assert [rank(each) for each in naive] != sorted(rank(each) for each in naive)
    assert statuses(play(Board(), list(come))) == ["answered"]


def test_reports_that_arrive_together_are_shown_in_the_order_of_their_times() -> None:
    late = [stored(1, "completed", second=9), stored(2, "answered", second=5), stored(3, "ringing", second=2)]
    other = [stored(4, "ringing", leg=OTHER, second=3), stored(5, "answered", leg=OTHER, second=7)]

    changes = Board().events([*late, *other], T0 + 60)

    assert [(each.sight.call.uuid, each.sight.call.status) for each in changes] == [
        (LEG, "ringing"),
        (OTHER, "ringing"),
        (LEG, "answered"),
        (OTHER, "answered"),
        (LEG, "completed"),
    ]


def test_unknown_statuses_are_shown_and_end_nothing() -> None:
    come = [record("answered"), record("parked"), record("ringing"), record("completed"), record("parked")]

    assert statuses(play(Board(), come)) == ["answered", "parked", "completed"]


def test_a_clock_that_is_set_back_does_not_reverse_the_stream() -> None:
    board = Board()

    changes = board.records([record("ringing")], T0) + board.records([record("answered")], T0 - 100)

    assert [each.at for each in changes] == [T0, T0]


# Which legs are watched


def test_a_leg_is_the_same_in_any_form_of_its_id() -> None:
    board = Board()
    plain = LEG.replace("-", "").upper()

    changes = board.records([record("ringing", plain)], T0) + board.events([stored(1, "answered")], T0 + 1)

    assert statuses(changes) == ["ringing", "answered"]
    assert len(board.sights()) == 1
    assert board.sight(plain) == board.sight(LEG) is not None


def test_only_named_legs_are_watched() -> None:
    board = Board(named=[LEG.upper()])

    board.records([record("ringing"), record("ringing", OTHER)], T0)
    board.events([stored(1, "answered", leg=OTHER)], T0)

    assert [each.call.uuid for each in board.sights()] == [LEG]


def test_only_legs_of_the_conversation_are_watched_and_one_that_leaves_is_reported() -> None:
    board = Board(selection=Selection(conversation=CONVERSATION))
    board.records([record("answered"), record("answered", OTHER, conversation_uuid=ROOM)], T0)
    board.events([stored(1, "answered", leg=OTHER, conversation_uuid=ROOM)], T0)

    (left,) = board.records([record("answered", conversation_uuid=ROOM)], T0 + 2)

    assert (left.kind, left.sight.call.conversation_uuid) == (ChangeKind.CONVERSATION, ROOM)
    assert board.sights() == []
    (came,) = board.records([record("answered", OTHER)], T0 + 3)
    assert (came.kind, came.sight.call.uuid) == (ChangeKind.SEEN, OTHER)


def test_a_leg_that_is_no_longer_listed_has_to_be_requested() -> None:
    board = Board()
    board.records([record("answered"), record("ringing", OTHER)], T0)

    assert board.unlisted({LEG}) == [OTHER]
    assert board.gone(OTHER, T0 + 1)[0].kind is ChangeKind.GONE
    assert board.unlisted(set()) == [LEG]
    assert board.is_closed(OTHER)


def test_a_leg_reported_by_an_event_is_not_gone_before_the_api_could_know_it() -> None:
    board = Board()
    board.events([stored(1, "ringing")], T0)

    assert board.gone(LEG, T0 + LOST_SECONDS - 1) == []
    assert board.gone(LEG, T0 + LOST_SECONDS + 1)[0].sight.is_over


def test_a_leg_that_was_gone_and_comes_back_is_live() -> None:
    board = Board()
    board.records([record("answered")], T0)
    board.gone(LEG, T0 + 1)

    (again,) = board.records([record("answered")], T0 + 2)

    assert (again.kind, again.sight.is_over) == (ChangeKind.STATUS, False)


def test_a_late_event_does_not_revive_a_leg_that_has_ended() -> None:
    board = Board()
    board.records([record("answered")], T0)
    board.events([stored(1, "completed", second=3)], T0 + 3)
    board.forget(T0 + 3 + FORGET_SECONDS)

    assert board.events([stored(2, "answered", second=1)], T0 + 60) == []
    board.forget(T0 + 4 + FORGET_SECONDS)
    assert board.sights() == []


# The age of a leg


@pytest.mark.parametrize(
    ("board", "reported", "birth"),
    [
        (Board(born=lambda _: T0 - 90), [], (T0 - 90, Since.JOURNAL, True)),
        (Board(born=lambda _: T0 - 90), ["started"], (T0 - 90, Since.JOURNAL, True)),
        (Board(past=lambda _: [stored(9, "started")]), [], (T0, Since.EVENT, True)),
        (Board(past=lambda _: [stored(9, "answered")]), [], (T0, Since.EVENT, False)),
        (Board(), ["started", "ringing"], (T0, Since.EVENT, True)),
        (Board(offset=5.0), ["started"], (T0 - 5, Since.EVENT, True)),
        (Board(), [], (T0 + 30, Since.FIRST_SIGHT, False)),
    ],
)
def test_the_start_of_a_leg_is_known_from_its_best_source(
    board: Board, reported: list[str], birth: tuple[float, Since, bool]
) -> None:
    board.records([record("answered")], T0 + 30)
    board.events([stored(number, each) for number, each in enumerate(reported, 1)], T0 + 31)

    (sight,) = board.sights()

    assert tuple(sight.birth) == birth


def test_a_leg_that_had_ended_before_has_the_age_of_its_record() -> None:
    board = Board()
    times = {"start_time": "2026-02-02T02:00:00Z", "end_time": "2026-02-02 02:03:00"}

    board.records([record("completed", **times)], T0)

    (sight,) = board.sights()
    assert (sight.birth.source, sight.age(T0 + 999)) == (Since.RECORD, 180.0)


def test_an_impossible_time_is_not_a_start() -> None:
    board = Board()

    board.events([stored(1, "started", timestamp="0001-01-01T00:00:00Z")], T0)
    board.events([stored(2, "started", leg=OTHER, timestamp="9999-12-31T23:59:59Z")], T0)

    board.records([record("completed", THIRD, start_time="0001-01-01", end_time="9999-12-31T23:59:59Z")], T0)

    assert [each.birth.at for each in board.sights()] == [T0, T0, T0]
    assert board.sights()[-1].ended == T0


def test_the_age_of_a_leg_stops_at_its_end() -> None:
    board = Board()
    board.records([record("answered")], T0)
    board.records([record("completed")], T0 + 40)

    assert [each.age(T0 + 100) for each in board.sights()] == [40.0]


# Marks: muted legs, and contradictions between the sources


def test_marks_are_shown_from_the_first_sight_and_reported_when_they_change() -> None:
    board = Board()
    assert board.mark({LEG: Marks(muted=True)}, T0) == []
    (seen,) = board.records([record("answered")], T0)
    assert seen.sight.marks == Marks(muted=True)

    (change,) = board.mark({LEG: Marks(muted=False, earmuffed=True)}, T0 + 1)

    assert (change.kind, change.sight.marks) == (ChangeKind.MARKS, Marks(muted=False, earmuffed=True))
    assert board.mark({LEG: Marks(muted=False, earmuffed=True)}, T0 + 2) == []
    assert [each.sight.marks for each in board.mark({}, T0 + 3)] == [Marks()]


def test_a_disagreement_is_marked_once_it_has_lasted() -> None:
    board = Board()
    board.records([record("answered")], T0)
    board.events([stored(1, "completed", second=1)], T0 + 1)

    assert board.records([record("answered")], T0 + 2) == []  # the API may be behind
    (change,) = board.records([record("answered")], T0 + 5)

    assert change.kind is ChangeKind.DISAGREEMENT
    assert change.sight.disagreement == "The API reports answered, but an event reports completed."
    (settled,) = board.records([record("completed", duration="4")], T0 + 7)
    assert (settled.kind, settled.sight.disagreement) == (ChangeKind.DISAGREEMENT, None)
