"""The keys of the switchboard that act on legs, pressed on the real screen over a real sandbox."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from tests.support.fault_proxy import FaultProxy, Side, cut
from tests.support.hostile import HOSTILE, unsafe
from tests.support.room import PERSON, Room
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.cli.context import App
from voicectl.cli.switchboard import run
from voicectl.cli.switchboard.acting import KEYS
from voicectl.cli.switchboard.actions import Desk
from voicectl.cli.switchboard.app import Switchboard
from voicectl.cli.switchboard.dialogs import Question, Reading
from voicectl.cli.switchboard.table.roster import Roster
from voicectl.core.watch.board import Board
from voicectl.core.watch.schedule import PollStatus
from voicectl.interrupts import Interrupts
from voicectl.voice.call import Call

ENGINEER = "447700900002"


class Seat:
    """A user in front of the switchboard. The screen shows what :meth:`look` last saw."""

    def __init__(self, room: Room, *, limit: int = 10, **options: Any) -> None:
        self.room = room
        self.app = App(clock=room.clock, environ=room.environ, interrupts=Interrupts())
        for name, value in options.items():
            setattr(self.app.options, name, value)
        self.desk = Desk(self.app, limit=limit)
        status = PollStatus(began=room.clock.monotonic(), pause=2.0, has_events=False)
        self.screen: Switchboard = run.switchboard(self.app, Roster(), status, self.desk)
        self._board = Board()
        self._pilot: Pilot[Any] | None = None

    @property
    def pilot(self) -> Pilot[Any]:
        assert self._pilot is not None
        return self._pilot

    @asynccontextmanager
    async def shown(self, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Seat]:
        """Show the screen, with all live legs and the cursor on the first of them."""
        with self.app.closing:
            async with self.screen.run_test(size=size) as self._pilot:
                self.look()
                await self.press("down")
                yield self

    def look(self) -> None:
        """Let the screen show the legs as they are now."""
        uuids = [each.uuid for each in self.legs] or self.room("call list -q").stdout.split()
        calls = [self.app.api.get_call(uuid) for uuid in uuids]
        self.screen.receive(self._board.records(calls, self.room.clock.time()))
        self.screen.arrange()

    @property
    def legs(self) -> list[Call]:
        return [sight.call for sight in self.screen.roster.sights.values()]

    async def press(self, *keys: str) -> None:
        """Press keys one after another, each when the one before has had its effect."""
        for key in keys:
            await self.pilot.press(key)
            await self.until(lambda: not self.screen.is_holding)
            await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Set the text of the open input."""
        line = self.screen.screen.query_one(Input)
        line.value = text
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object]) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < give_up, self.text
            await self.pilot.pause(0.005)

    async def over(self) -> None:
        """Wait for the end of the action that was begun last."""
        await self.until(lambda: self.desk.actions and not self.desk.running)
        await self.pilot.pause()

    @property
    def text(self) -> str:
        """The screen as the user sees it."""
        strips = self.screen.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    @property
    def question(self) -> str | None:
        """The question that is open, or None."""
        if not isinstance(self.screen.screen, Question):
            return None
        return next((line.strip() for line in self.text.splitlines() if line.endswith("[y/N]")), None)


def at(seat: Seat, steps: Callable[[Seat], Awaitable[None]], size: tuple[int, int] = (80, 24)) -> None:
    """Run the steps of a user at the screen."""

    async def act() -> None:
        async with seat.shown(size):
            await steps(seat)

    asyncio.run(act())


def changes(room: Room) -> list[tuple[str, Any]]:
    """The changes of legs that the sandbox was asked for: their operations and bodies."""
    return [(each["operation"], each["body"]) for each in room.requests() if each["method"] == "PUT"]


def mark_production(room: Room) -> None:
    path = room.config / "profiles.json"
    content = json.loads(path.read_text())
    content["profiles"]["test"]["guards"] = {"production": True}
    path.write_text(json.dumps(content))


# One key


@pytest.mark.parametrize(
    ("key", "action"), [("m", "mute"), ("u", "unmute"), ("e", "earmuff"), ("r", "unearmuff")]
)
def test_a_key_changes_the_leg_under_the_cursor_at_once(room: Room, key: str, action: str) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        await seat.press(key)
        await seat.over()
        assert f"{action} {PERSON}: done" in seat.text

    at(Seat(room), steps)
    assert changes(room) == [("updateCall", {"action": action})]


@pytest.mark.parametrize(
    ("key", "text", "operation", "body"),
    [
        ("t", "One moment.", "startTalk", {"text": "One moment."}),
        ("d", "12#", "startDTMF", {"digits": "12#"}),
    ],
)
def test_what_is_to_be_said_or_pressed_is_asked_for(
    room: Room, key: str, text: str, operation: str, body: dict[str, str]
) -> None:
    leg = room.call()

    async def steps(seat: Seat) -> None:
        await seat.press(key)
        assert PERSON in seat.text.splitlines()[-3]
        await seat.type(text)
        await seat.press("enter")
        await seat.over()
        assert f"{PERSON}: done" in seat.text
        assert text not in seat.text
        assert text in seat.desk.deeds(leg)[0]

    at(Seat(room), steps)
    assert changes(room) == [(operation, body)]


@pytest.mark.parametrize("key", ["t", "d", "v", "x", "w"])
def test_escape_leaves_a_dialog_and_nothing_is_done(room: Room, key: str) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        await seat.press(key)
        await seat.type("447700900009")
        await seat.press("escape")
        assert seat.screen.screen is seat.screen.screen_stack[0]
        assert seat.desk.actions == []

    at(Seat(room), steps)
    assert changes(room) == []


def test_an_input_that_is_refused_says_why_and_stays_open(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("d")
        await seat.type("12a")
        await seat.press("enter")
        assert "Character 3 of the digits is not a telephone key." in seat.text
        await seat.type("12#")
        assert "Character 3" not in seat.text
        await seat.press("enter")
        await seat.over()

    at(Seat(room), steps)
    assert changes(room) == [("startDTMF", {"digits": "12#"})]


def test_the_name_of_a_room_is_completed(room: Room) -> None:
    room.call(options="--talk Hi --join support-17")

    async def steps(seat: Seat) -> None:
        seat.screen.receive_names({seat.legs[0].conversation_uuid: "support-17"})
        await seat.press("v", "s", "u", "tab")
        assert seat.screen.screen.query_one(Input).value == "support-17"
        await seat.press("1", "enter")
        await seat.over()

    at(Seat(room), steps)
    ((_, body),) = changes(room)
    assert body["destination"]["ncco"] == [{"action": "conversation", "name": "support-171"}]


@pytest.mark.parametrize(
    ("keys", "question", "operations"),
    [
        ("h", "Hang up 1 leg on test? [y/N]", ["updateCall"]),
        ("w", "Hang up 1 leg after speaking the text to each, on test? [y/N]", ["startTalk", "updateCall"]),
        ("x", "Transfer 1 leg to 447700900009 on test? [y/N]", ["updateCall"]),
    ],
)
def test_hanging_up_and_transferring_asks_first(
    room: Room, keys: str, question: str, operations: list[str]
) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        async def ask() -> None:
            await seat.press(keys)
            if keys != "h":
                await seat.type("447700900009")
                await seat.press("enter")
            await seat.until(lambda: seat.question)
            assert seat.question == question

        for no in ("n", "escape", "enter", "m", "q"):
            if seat.question is None:
                await ask()
            await seat.press(no)
        assert changes(room) == []
        await seat.until(lambda: seat.question is None)
        await ask()
        await seat.press("y")
        await seat.over()

    at(Seat(room), steps)
    assert [operation for operation, _ in changes(room)] == operations


# Several legs


def test_a_change_of_several_legs_asks_first_and_lists_them(room: Room) -> None:
    room.call()
    room.call(ENGINEER)

    async def steps(seat: Seat) -> None:
        await seat.press("asterisk", "m")
        assert seat.question == "Mute 2 legs on test? [y/N]"
        assert f"{PERSON}  answered" in seat.text
        assert f"{ENGINEER}  answered" in seat.text
        await seat.press("y")
        await seat.over()
        assert "mute 2 legs: 2 done" in seat.text

    at(Seat(room), steps)
    assert [body for _, body in changes(room)] == [{"action": "mute"}] * 2


def test_legs_for_which_an_action_is_done_are_no_longer_marked(room: Room) -> None:
    room.call("447700900202", "--talk Hi --ringing-timer 120", wait="ringing")
    room.call(ENGINEER)

    async def steps(seat: Seat) -> None:
        await seat.press("asterisk", "m", "y")
        await seat.over()
        (left,) = seat.screen.table.marked
        assert seat.screen.roster.sights[left].call.to["number"] == "447700900202"

    at(Seat(room), steps)


def test_more_legs_than_max_are_refused_before_anything_is_asked(room: Room) -> None:
    room.call()
    room.call(ENGINEER)

    async def steps(seat: Seat) -> None:
        for key in "mtvhw":
            await seat.press("escape", "asterisk", key)
            assert "2 legs, but --max is 1." in seat.text
            assert len(seat.screen.screen_stack) == 1

    at(Seat(room, limit=1), steps)
    assert changes(room) == []


def test_undo_takes_back_the_last_mute(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("z")
        assert "There is nothing to undo" in seat.text
        await seat.press("m")
        await seat.over()
        await seat.press("z")
        await seat.until(lambda: len(seat.desk.actions) == 2)
        await seat.over()
        assert f"undo {PERSON}: done" in seat.text

    at(Seat(room), steps)
    assert [body["action"] for _, body in changes(room)] == ["mute", "unmute"]


# Guards


def test_yes_answers_no_question(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("h")
        assert seat.question == "Hang up 1 leg on test? [y/N]"

    at(Seat(room, yes=True), steps)
    assert changes(room) == []


@pytest.mark.parametrize("key", ["m", "t", "d", "v"])
def test_every_change_on_a_production_profile_is_asked_for(room: Room, key: str) -> None:
    mark_production(room)
    room.call()

    async def steps(seat: Seat) -> None:
        assert seat.screen.query("TitleBar.-production")
        await seat.press(key)
        if key != "m":
            await seat.type("12")
            await seat.press("enter")
        await seat.until(lambda: seat.question)
        assert seat.question is not None
        assert seat.question.endswith("on test? [y/N]")

    at(Seat(room), steps)
    assert changes(room) == []


def test_a_read_only_screen_has_no_keys_that_act(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        for key in KEYS:
            await seat.press(key.key)
            assert len(seat.screen.screen_stack) == 1
        assert seat.desk.actions == []
        bound = {binding.action for _, binding, *_ in seat.screen.active_bindings.values()}
        assert not any(each.startswith("act(") for each in bound)

    at(Seat(room, limit=0), steps)
    assert changes(room) == []


def test_a_dry_run_shows_the_request_as_curl_and_sends_nothing(room: Room) -> None:
    leg = room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("h")
        await seat.until(lambda: isinstance(seat.screen.screen, Reading))
        assert "curl -X PUT" in seat.text
        assert leg in "".join(seat.text.split())
        await seat.press("escape")
        assert "not sent" in seat.text

    at(Seat(room, dry_run=True), steps)
    assert changes(room) == []


# Pasted text


def test_text_that_the_terminal_marks_as_pasted_goes_to_the_open_input_only(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        seat.screen.post_message(events.Paste("mhy\nhy"))
        await seat.pilot.pause()
        assert (len(seat.screen.screen_stack), seat.desk.actions) == (1, [])
        await seat.press("t")
        seat.screen.post_message(events.Paste("Please hold.\nhy"))
        await seat.pilot.pause()
        assert seat.screen.screen.query_one(Input).value == "Please hold."
        assert seat.desk.actions == []
        await seat.press("escape", "h")
        seat.screen.post_message(events.Paste("y\n"))
        await seat.pilot.pause()
        assert seat.question is not None

    at(Seat(room), steps)
    assert changes(room) == []


def test_text_that_the_terminal_does_not_mark_acts_nowhere(room: Room) -> None:
    room.call()

    def paste(seat: Seat, text: str) -> None:
        driver = seat.screen._driver
        assert driver is not None
        for character in text:
            name = "enter" if character == "\n" else character
            driver.send_message(events.Key(name, "\r" if character == "\n" else character))

    async def steps(seat: Seat) -> None:
        paste(seat, "mmhy")
        await seat.until(lambda: not seat.screen.is_holding)
        assert (len(seat.screen.screen_stack), seat.desk.actions) == (1, [])
        await asyncio.sleep(0.3)  # the keys of a person come after a pause
        await seat.press("t")
        paste(seat, "hold\n")
        await seat.until(lambda: seat.screen.screen.query_one(Input).value == "hold")
        assert seat.desk.actions == []

    at(Seat(room), steps)
    assert changes(room) == []


# What may go wrong


def test_a_lost_reply_is_shown_as_unknown_and_nothing_is_sent_again(room: Room) -> None:
    leg = room.call()
    with FaultProxy(room.url) as line:
        room.environ["VOICECTL_BASE_URL"] = line.url

        async def steps(seat: Seat) -> None:
            line.fault = cut(Side.REPLY, 0, method="PUT")
            await seat.press("t")
            await seat.type("Hello.")
            await seat.press("enter")
            await seat.over()
            assert f"talk {PERSON}: unknown" in seat.text
            assert "unknown" in seat.desk.deeds(leg)[0]

        at(Seat(room), steps)
        assert len([each for each in line.requests if each.method == "PUT"]) == 1


def test_a_leg_that_ends_under_the_cursor_is_left_alone(room: Room) -> None:
    leg = room.call()

    async def steps(seat: Seat) -> None:
        room(f"hangup {leg}")
        await seat.press("m")
        await seat.over()
        assert f"mute {PERSON}: unchanged" in seat.text
        assert "has ended" in seat.text
        seat.look()
        await seat.press("h", "y")
        await seat.until(lambda: len(seat.desk.actions) == 2)
        await seat.over()
        assert f"hangup {PERSON}: already" in seat.text

    at(Seat(room), steps)


def test_a_question_is_about_the_leg_that_was_chosen_wherever_the_cursor_is_then(room: Room) -> None:
    first = room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("h")
        room.call(ENGINEER)
        seat.look()
        await seat.press("y")
        await seat.over()

    at(Seat(room), steps)
    assert [row[0] for row in room("call list").rows] != [first]


def test_refused_credentials_in_the_middle_are_shown_and_the_screen_stays(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        assert room.sandbox is not None
        room.sandbox.faults.add({"what": "status", "on": "updateCall", "code": 401})
        await seat.press("m")
        await seat.over()
        assert f"mute {PERSON}: failed" in seat.text
        await seat.press("u")
        await seat.until(lambda: len(seat.desk.actions) == 2)
        await seat.over()

    at(Seat(room), steps)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_are_escaped_in_every_dialog(room: Room, text: str) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        call = seat.legs[0]
        hostile = Call.from_json(call.raw | {"to": {"type": "app", "user": text}})
        seat.screen.receive(seat._board.records([hostile], room.clock.time() + 1))
        seat.screen.receive_names({call.conversation_uuid: text})
        seat.screen.arrange()
        for key in "htvm":
            await seat.press("down", key)
            assert unsafe(seat.text) == set()
            await seat.press("escape")

    at(Seat(room), steps)


def test_two_switchboards_at_once_see_each_other_s_changes(room: Room) -> None:
    leg = room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("m")
        await seat.over()
        other = Seat(room)
        async with other.shown():
            await other.press("u")
            await other.over()
        await seat.press("z")
        await seat.until(lambda: len(seat.desk.actions) == 2)
        await seat.over()
        assert "was not muted by voicectl" in " ".join(seat.text.split())
        assert seat.app.action_log.marks()[leg].muted is False

    at(Seat(room), steps)


def test_the_smallest_screen_shows_the_question(room: Room) -> None:
    room.call()

    async def steps(seat: Seat) -> None:
        await seat.press("h")
        assert "[y/N]" in seat.text

    at(Seat(room), steps, size=(20, 5))
