"""The order of rows, the filter, and the columns that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicectl.cli.switchboard.table.columns import Columns
from voicectl.cli.switchboard.table.filters import Filter
from voicectl.cli.switchboard.table.roster import LegRow, Order, RoomRow, Roster
from voicectl.core.calls.selection import Selection
from voicectl.core.watch.board import FORGET_SECONDS, SHOWN_SECONDS, Board
from voicectl.core.watch.sight import Change, ChangeKind
from voicectl.store.action_log import Marks
from voicectl.voice.call import Call

T0 = 1_770_000_000.0


def call(number: int, room: int = 0, **fields: object) -> Call:
    return Call.from_json(
        {
            "uuid": f"{number:08x}-4a51-4f6b-86e1-46edebcf9356",
            "conversation_uuid": f"CON-{room:08x}-5e6f-4788-99aa-bbccddeeff00",
            "status": "answered",
            "direction": "outbound",
            "to": {"type": "phone", "number": f"4477009000{number:02}"},
            "from": {"type": "phone", "number": "442079460000"},
        }
        | fields
    )


def filled(*calls: Call, **settings: object) -> tuple[Roster, Board]:
    """Return a roster of legs that were first seen a second apart."""
    roster, board = Roster(**settings), Board()  # type: ignore[arg-type]
    for second, each in enumerate(calls):
        roster.take(board.records([each], T0 + second))
    return roster, board


def shown(roster: Roster, now: float = T0 + 60) -> list[int]:
    """Return the numbers of the legs that are listed."""
    return [int(row.key[:8], 16) for row in roster.arrange(now) if isinstance(row, LegRow)]


def test_the_room_with_the_newest_leg_comes_first_and_begins_with_its_oldest() -> None:
    roster, _ = filled(call(1, 1), call(2, 2), call(3, 3), call(4, 1))

    assert shown(roster) == [1, 4, 3, 2]
    roster.is_reversed = True
    assert shown(roster) == [1, 4, 2, 3]


@pytest.mark.parametrize(
    ("order", "legs"),
    [(Order.STATUS, [2, 3, 1]), (Order.TO, [1, 2, 3]), (Order.DIRECTION, [3, 1, 2]), (Order.ROOM, [2, 1, 3])],
)
def test_rows_are_sorted_by_a_column(order: Order, legs: list[int]) -> None:
    roster, _ = filled(
        call(1, 1, status="ringing"),
        call(2, 2),
        call(3, 3, direction="inbound", status="machine"),
        order=order,
    )
    roster.names = {call(2, 2).conversation_uuid: "alpha"}  # rooms without a name come last

    assert shown(roster) == legs


def test_a_leg_alone_in_a_conversation_without_a_name_needs_no_row_for_it() -> None:
    roster, _ = filled(call(1, 1), call(2, 2), call(3, 2))

    assert [type(row) for row in roster.arrange(T0)] == [RoomRow, LegRow, LegRow, LegRow]


@pytest.mark.parametrize(
    ("text", "legs"),
    [
        ("", [1, 2, 3]),
        ("0001", [1]),
        ("0001 ringing", []),
        ("RINGING", [2]),
        ("to:447700900003", [3]),
        ("to:4477009000", []),
        ("to:4477* status:answered", [1, 3]),
        ("direction:inbound", [3]),
        ("room:sup*", [1]),
        ("support", [1]),
        ("00000002-4a51", [2]),
        ("age:59", [1]),
        ("age:never", []),
        ("to:", []),
    ],
)
def test_a_filter_lists_the_legs_that_meet_all_its_words(text: str, legs: list[int]) -> None:
    roster, _ = filled(
        call(1, 1), call(2, 2, status="ringing"), call(3, 3, direction="inbound"), filter=Filter.parse(text)
    )
    roster.names = {call(1, 1).conversation_uuid: "support-17"}

    assert sorted(shown(roster, T0 + 59.5)) == legs


def test_only_a_change_that_may_move_a_row_needs_a_new_arrangement() -> None:
    roster, board = filled(call(1, status="ringing"))

    assert not roster.take(board.records([call(1)], T0 + 9))
    assert roster.take(board.records([call(1, room=5)], T0 + 10))
    assert roster.take(board.records([call(1, room=5, status="completed")], T0 + 11))
    assert roster.take(board.records([call(2)], T0 + 12))
    roster.order = Order.STATUS
    assert roster.take(board.records([call(2, status="machine")], T0 + 13))


def test_a_leg_that_has_ended_is_hidden_then_forgotten_unless_it_is_kept() -> None:
    roster, board = filled(call(1), call(2))
    roster.take(board.records([call(1, status="completed")], T0 + 2))
    key = call(1).uuid

    assert shown(roster, T0 + 1 + SHOWN_SECONDS) == [1, 2]
    assert roster.next_expiry == T0 + 2 + SHOWN_SECONDS
    assert shown(roster, T0 + 3 + SHOWN_SECONDS) == [2]
    roster.arrange(T0 + 3 + SHOWN_SECONDS, kept={key})
    assert key in {row.key for row in roster.rows}
    assert (roster.live, roster.over) == (1, 1)
    roster.arrange(T0 + 3 + FORGET_SECONDS)
    assert key not in roster.sights


def test_a_leg_that_leaves_the_watched_conversation_is_removed() -> None:
    here = call(1).conversation_uuid
    roster, board = filled(call(1), only=Selection(conversation=here))

    assert roster.take(board.records([call(1, room=9)], T0 + 5))

    assert shown(roster) == []


@pytest.mark.parametrize("width", range(1, 220))
def test_columns_fit_into_every_width(width: int) -> None:
    columns = Columns.fitting(width, 8)

    size = sum(columns.widths.values()) + columns.gap * (len(columns.widths) - 1)
    assert size <= max(width, 8)
    assert "leg" in columns.widths
    assert ("muted" in columns.widths) is (width >= 64)


def test_an_action_changes_only_its_own_state_of_those_that_were_read() -> None:
    roster, _ = filled(call(1))
    (key, sight), *_ = roster.sights.items()
    roster.take_marks({key: Marks(muted=False, earmuffed=False)}, T0)

    muted = replace(sight, marks=Marks(muted=True))
    roster.take([Change(T0 + 1, ChangeKind.MARKS, muted)])

    assert roster.marks(muted, T0 + 1) == Marks(muted=True, earmuffed=False)
