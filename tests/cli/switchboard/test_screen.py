"""The keys of the switchboard and what it shows, against a real sandbox on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kept import keep, status
from tests.support.machines import Application, machine
from tests.support.room import BY_HAND, PERSON, Room
from tests.support.servers import Canned, page, reply
from tests.support.switchboard import Screen, look
from voicectl.cli.switchboard.table.filters import Filter
from voicectl.cli.switchboard.table.roster import Order, Roster
from voicectl.core.calls.conversations import conversation_id
from voicectl.core.watch.board import SHOWN_SECONDS
from voicectl.voice.call import LegAction

CALLEE, OTHER = "447700900031", "447700900042"


def control(room: Room, words: str) -> None:
    ran = room(f"sandbox {words}", env={"VOICECTL_SANDBOX": room.url})
    assert ran.exit_code == 0, ran.stderr


@pytest.fixture
def rooms(room: Room) -> tuple[Room, list[str]]:
    """A machine with two legs in the room support-17, and one in sales, from the oldest to the newest."""
    legs = [
        room.call(CALLEE, "--talk Hello --join support-17"),
        room.call(PERSON, "--talk Hello --join sales"),
        room.call(OTHER, "--talk Hello --join support-17"),
    ]
    room.clock.sleep(20)
    return room, legs


def record(number: int, **fields: object) -> dict[str, object]:
    return {
        "uuid": f"{number:08x}-4a51-4f6b-86e1-46edebcf9356",
        "conversation_uuid": f"CON-{number:08x}-5e6f-4788-99aa-bbccddeeff00",
        "status": "answered",
        "direction": "outbound",
        "to": {"type": "phone", "number": PERSON},
        "from": {"type": "phone", "number": "442079460000"},
    } | fields


# What is listed


def test_legs_are_listed_below_the_names_of_their_rooms(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        assert (
            str(screen.board.roster.rows[0].key) in screen.text
        )  # the whole id, until the names have been read
        await screen.read_names()

        assert screen.order("support-17", legs[0][:8], legs[2][:8], "sales", legs[1][:8]) == [
            "support-17",
            legs[0][:8],
            legs[2][:8],
            "sales",
            legs[1][:8],
        ]
        assert "CON-" not in screen.text
        assert "2 answered" in screen.line("support-17")
        leg = screen.line(legs[0][:8]).split()
        assert leg[1:5] == ["answered", "out", "442079460000", CALLEE]
        assert leg[6:] == ["?", "?"]
        assert screen.lines[0].startswith("3 live legs in 2 conversations")
        assert "profile test" in screen.lines[0]

    look(room, see)


def test_an_age_grows_and_an_unknown_age_or_mute_state_says_so(
    tmp_path: Path, application: Application
) -> None:
    with Canned(reply(200, page(record(1)))) as server:
        room = machine(tmp_path, application, server.url)

        async def see(screen: Screen) -> None:
            await screen.poll()
            assert screen.line("00000001").split()[-3:] == [">0s", "?", "?"]
            await screen.wait(190)
            assert screen.line("00000001").split()[-3:] == [">3m", "?", "?"]

        look(room, see)


def test_what_this_machine_muted_is_shown_at_once(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        room(f"mute {legs[0]}")
        await screen.poll()
        assert screen.line(legs[0][:8]).split()[-2:] == ["yes", "?"]

    look(room, see)


def test_a_leg_that_has_ended_is_shown_for_some_seconds(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        control(room, f"hangup {legs[1]}")
        await screen.poll()
        assert "completed" in screen.line(legs[1][:8])
        assert screen.lines[0].startswith("2 live legs in 1 conversation, 1 ended")
        await screen.wait(SHOWN_SECONDS + 1)
        assert legs[1][:8] not in screen.text

    look(room, see)


def test_ids_that_begin_alike_are_shown_until_they_differ(tmp_path: Path, application: Application) -> None:
    alike = [record(7, uuid=f"00000007-4a51-4f6b-86e1-46edebcf935{digit}") for digit in "1234"]
    different = record(7, uuid="00000007-5a51-4f6b-86e1-46edebcf9351")
    with Canned(reply(200, page(*alike[:1], different))) as server:
        room = machine(tmp_path, application, server.url)

        async def see(screen: Screen) -> None:
            await screen.poll()
            assert "00000007-4 " in screen.text
            assert "00000007-5 " in screen.text

        look(room, see)


def test_hostile_text_is_escaped(tmp_path: Path, application: Application) -> None:
    hostile = record(
        1,
        status="a\x1b[31m\u202eword",
        direction="[red]\x07",
        to={"type": "sip", "uri": "sip:\x1b[2J\u200b@x"},
        **{"from": {"user": "名前" * 30}},
    )
    with Canned(reply(200, page(hostile))) as server:
        room = machine(tmp_path, application, server.url)

        async def see(screen: Screen) -> None:
            await screen.poll()
            screen.board.receive_names({str(hostile["conversation_uuid"]): "\x1b]0;x\x07[bold]support"})
            await screen.show()
            await screen.go_to(str(hostile["uuid"]))
            await screen.press("enter")
            assert "\\x1b]0;x\\x07[bold]support" in screen.text
            assert "a\\x1b[31m" in screen.text
            assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(screen.text)

        look(room, see)


# The cursor and marks


def test_there_is_no_cursor_until_the_user_moves_it(rooms: tuple[Room, list[str]]) -> None:
    room, _ = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        assert screen.board.chosen() == []
        await screen.press("down", "down")
        assert len(screen.board.chosen()) == 1

    look(room, see)


def test_the_cursor_stays_on_its_leg_and_on_its_line(tmp_path: Path, application: Application) -> None:
    listed = [record(number) for number in range(40)]
    uuid = str(listed[20]["uuid"])
    with Canned(lambda request: reply(200, page(*listed))) as server:
        room = machine(tmp_path, application, server.url)

        async def see(screen: Screen) -> None:
            await screen.poll()
            await screen.go_to(uuid)
            at = screen.lines.index(screen.line(uuid[:8]))
            listed.extend(record(number) for number in range(100, 150))  # newer calls come first
            await screen.poll()
            assert [each.call.uuid for each in screen.board.chosen()] == [uuid]
            assert screen.lines.index(screen.line(uuid[:8])) == at

        look(room, see, size=(100, 20))


def test_a_leg_that_ends_under_the_cursor_stays_until_the_cursor_leaves(
    rooms: tuple[Room, list[str]],
) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.go_to(legs[1])
        control(room, f"hangup {legs[1]}")
        await screen.poll()
        await screen.wait(10 * SHOWN_SECONDS)
        assert [each.call.uuid for each in screen.board.chosen()] == [legs[1]]  # and not its neighbor
        assert "completed" in screen.line(legs[1][:8])
        await screen.press("up")
        assert legs[1][:8] not in screen.text

    look(room, see)


def test_legs_are_marked_one_by_one_by_room_and_all(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        def marked() -> list[str]:
            return [each.call.uuid for each in screen.board.chosen()]

        await screen.poll()
        await screen.go_to(legs[2])
        await screen.press("space")
        await screen.go_to(legs[1])
        await screen.press("space")
        assert marked() == [legs[2], legs[1]]
        assert screen.line(legs[1][:8]).startswith("*")
        assert "2 marked" in screen.lines[-1]
        await screen.press("home", "space")  # the row of the first room
        assert marked() == [legs[2], legs[1], legs[0]]
        await screen.press("asterisk")
        assert marked() != legs  # all were marked, so none is now
        await screen.press("asterisk")
        assert set(marked()) == set(legs)
        await screen.press("escape")
        assert "marked" not in screen.lines[-1]

    look(room, see)


def test_all_that_the_filter_lists_are_marked_also_in_folded_rooms(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.read_names()
        await screen.press("minus")
        screen.board.set_filter("room:support*")
        await screen.press("asterisk")
        assert {each.call.uuid for each in screen.board.chosen()} == {legs[0], legs[2]}

    look(room, see)


def test_a_leg_is_followed_into_another_room(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.read_names()
        await screen.go_to(legs[1])
        await screen.press("f")
        assert screen.line(legs[1][:8]).startswith(">")
        for _ in range(30):
            room.call(PERSON, "--talk Hello --join other", wait=None)
        room(f"move {legs[1]} support-17")
        await screen.poll()
        assert legs[1][:8] in screen.text
        await screen.press("f")
        assert not screen.line(legs[1][:8]).startswith(">")

    look(room, see, size=(100, 15))


def test_a_click_moves_the_cursor_and_a_second_one_opens_the_details(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        at = screen.lines.index(screen.line(legs[1][:8]))
        await screen.pilot.click(offset=(10, at))
        assert [each.call.uuid for each in screen.board.chosen()] == [legs[1]]
        await screen.pilot.click(offset=(10, at), times=2)
        await screen.show()
        assert f"{legs[1]}\n" in screen.text
        await screen.pilot.click(offset=(0, at))
        await screen.show()
        assert screen.line(legs[1][:8]).startswith("*")

    look(room, see)


# Rooms


def test_rooms_are_folded_and_stay_folded_when_they_are_renamed(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.read_names()
        await screen.go_to(legs[0])
        await screen.press("left")
        assert screen.order(*legs) == []
        assert screen.order(legs[0][:8], legs[1][:8], legs[2][:8]) == [legs[1][:8]]
        assert "2 answered" in screen.line("support-17")

        conversations = screen.app.conversations
        conversations.rename(conversations.get(conversation_id(conversations, "support-17")), "board")
        await screen.read_names()
        assert "2 answered" in screen.line("board")
        assert "support-17" not in screen.text
        assert legs[0][:8] not in screen.text

        await screen.press("right")
        assert screen.order("board", legs[0][:8]) == ["board", legs[0][:8]]
        await screen.press("minus")
        assert screen.order(legs[0][:8], legs[1][:8]) == []

    look(room, see)


# Order and filter


def test_rows_are_sorted_by_each_column_and_back(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.read_names()
        assert screen.order("support-17", "sales") == ["support-17", "sales"]  # with the newest leg
        await screen.press("s")
        assert screen.board.roster.order is Order.ROOM
        assert screen.order("support-17", "sales") == ["sales", "support-17"]
        await screen.press("S")
        assert screen.order("support-17", "sales") == ["support-17", "sales"]
        at = screen.lines[1].index("to")
        await screen.pilot.click(offset=(at, 1))
        await screen.show()
        assert screen.board.roster.order is Order.TO
        assert screen.order("support-17", "sales") == ["sales", "support-17"]
        await screen.pilot.click(offset=(at, 1))
        await screen.show()
        assert screen.order(legs[0][:8], legs[2][:8]) == [legs[2][:8], legs[0][:8]]

    look(room, see)


def test_the_filter_is_applied_while_it_is_typed(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.press("slash")
        await screen.type("0042")
        assert screen.order(*(leg[:8] for leg in legs)) == [legs[2][:8]]
        await screen.press("enter")
        assert "/0042: 1 listed" in screen.lines[0]
        assert screen.board.current is not None
        assert screen.board.current.call.uuid == legs[2]  # the next key acts on it
        await screen.press("slash")
        await screen.type(" q")  # a letter here, and not a key
        assert screen.order(*(leg[:8] for leg in legs)) == []
        await screen.press("escape")
        assert screen.order(*(leg[:8] for leg in legs)) == [legs[2][:8]]
        await screen.press("escape")
        assert len(screen.order(*(leg[:8] for leg in legs))) == 3

    look(room, see)


def test_a_filter_by_age_follows_the_time(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        screen.board.set_filter("age:5m")
        await screen.show()
        assert screen.order(*(leg[:8] for leg in legs)) == []
        await screen.wait(400)
        assert len(screen.order(*(leg[:8] for leg in legs))) == 3

    look(room, see)


# Details


def test_the_details_show_the_record_the_events_the_hearing_and_what_was_done(
    rooms: tuple[Room, list[str]],
) -> None:
    room, legs = rooms
    keep(room, status("started", leg=legs[0]), status("answered", leg=legs[0], second=4))
    room(f"earmuff {legs[0]}")
    room(f"talk {legs[0]} 'The code is 4711'")

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.go_to(legs[0])
        await screen.press("enter")
        await screen.read_details()
        shown = screen.text
        assert legs[0] in shown
        assert "earmuffed     yes" in shown
        assert f"hears {OTHER} ({legs[2][:8]}): no, the listener is earmuffed" in shown
        assert "Last events" in shown
        assert "started" in shown
        assert "earmuff: done" in shown
        assert "talk: done" in shown
        assert "4711" not in shown  # what was said is not kept
        await screen.press("enter")
        assert "Last events" not in screen.text

    look(room, see, size=(180, 45))


def test_reading_the_members_of_a_room_shows_who_is_muted_elsewhere(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        screen.app.api.modify(legs[0], LegAction.MUTE)  # as another machine would, which leaves no note here
        await screen.go_to(legs[2])
        await screen.read_details()
        assert screen.line(legs[0][:8]).split()[-2:] == ["yes", "no"]
        assert screen.line(legs[2][:8]).split()[-2:] == ["no", "no"]
        await screen.wait(61)
        assert screen.line(legs[0][:8]).split()[-2:] == ["?", "?"]  # another machine may have changed it

    look(room, see)


# Trouble


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(503), "The API has not responded for "),
        (reply(429, {"title": "Too many"}, retry_after="59"), "Rate limited: no data from the API for "),
    ],
)
def test_the_status_line_says_since_when_the_api_gives_no_answer(
    tmp_path: Path, application: Application, answer: bytes, said: str
) -> None:
    is_down = False

    def answers(_: object) -> bytes:
        return answer if is_down else reply(200, page(record(1)))

    with Canned(answers) as server:
        room = machine(tmp_path, application, server.url)

        async def see(screen: Screen) -> None:
            nonlocal is_down
            await screen.poll()
            assert "Updated 0 s ago" in screen.text
            is_down = True
            await screen.poll()
            await screen.wait(60)
            seconds = int(screen.text.partition(said)[2].split()[0])
            assert seconds >= 60
            assert "00000001" in screen.text  # the last known state stays
            is_down = False
            await screen.poll()
            assert "Updated 0 s ago" in screen.text

        look(room, see)


def test_the_status_line_says_that_no_receiver_runs_and_since_when(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms
    keep(room, status("answered", leg=legs[0]))

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.wait(120)
        said = "No receiver ('webhook serve') is running on this machine; the last event came 2m ago."
        assert said in " ".join(screen.lines)

    look(room, see)


# Other keys


def test_y_copies_the_whole_id(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms

    async def see(screen: Screen) -> None:
        await screen.poll()
        await screen.go_to(legs[1])
        await screen.press("y")
        assert screen.board.clipboard == legs[1]
        assert f"Copied {legs[1]}" in screen.text

    look(room, see)


def test_question_mark_lists_every_key(rooms: tuple[Room, list[str]]) -> None:
    room, _ = rooms

    async def see(screen: Screen) -> None:
        await screen.press("question_mark")
        for text in ("PgDn", "Filter", "Mark or unmark", "Copy the id", "Follow", "Leave", "ctrl+z"):
            assert text in screen.text
        await screen.press("q")  # closes the list only
        assert "PgDn" not in screen.text
        assert screen.board.is_running

    look(room, see, size=(100, 45))


def test_l_changes_the_theme(rooms: tuple[Room, list[str]]) -> None:
    room, _ = rooms

    async def see(screen: Screen) -> None:
        seen = [screen.board.theme]
        for _ in range(3):
            await screen.press("l")
            seen.append(screen.board.theme)
        assert seen == ["ansi-dark", "textual-light", "textual-dark", "ansi-dark"]

    look(room, see)


def test_options_set_the_filter(rooms: tuple[Room, list[str]]) -> None:
    room, legs = rooms
    roster = Roster(filter=Filter.of({"to": "44770090003*", "status": None}))

    async def see(screen: Screen) -> None:
        await screen.poll()
        assert screen.order(*(leg[:8] for leg in legs)) == [legs[0][:8]]
        assert "/to:44770090003*" in screen.lines[0]

    look(room, see, roster=roster)


def test_a_ringing_leg_is_updated_in_place(room: Room) -> None:
    leg = room.call(BY_HAND, wait=None)
    room.clock.sleep(2)

    async def see(screen: Screen) -> None:
        await screen.poll()
        assert "ringing" in screen.line(leg[:8])
        control(room, f"answer {leg}")
        await screen.poll()
        assert "answered" in screen.line(leg[:8])

    look(room, see)
