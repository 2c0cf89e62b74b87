"""The actions of the switchboard run the operations of the commands, and say what became of each leg."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_proxy import Fault, FaultProxy, Side, What, cut
from tests.support.room import PERSON, Room
from tests.support.servers import Request
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.cli.context import App
from voicectl.cli.switchboard.actions import Action, Desk, Kind, Verb
from voicectl.core.identity.profiles import ProfileStore
from voicectl.errors import GuardError, InputError, OutcomeUnknown
from voicectl.interrupts import Interrupts
from voicectl.voice.call import Call

ENGINEER = "447700900002"
TEXTS = {
    Verb.TALK: "One moment.",
    Verb.DTMF: "12*p#",
    Verb.MOVE: "war-room",
    Verb.SAY_AND_HANG_UP: "Goodbye.",
}
ON_ONE_LEG = [
    Verb.MUTE,
    Verb.UNMUTE,
    Verb.EARMUFF,
    Verb.UNEARMUFF,
    Verb.TALK,
    Verb.DTMF,
    Verb.MOVE,
    Verb.TRANSFER,
    Verb.HANGUP,
    Verb.SAY_AND_HANG_UP,
]


class Operator:
    """A user at a switchboard on the machine *room*."""

    def __init__(self, room: Room, *, limit: int = 10, dry_run: bool = False) -> None:
        self.app = App(clock=room.clock, environ=room.environ, interrupts=Interrupts())
        self.app.options.dry_run = dry_run
        self.desk = Desk(self.app, limit=limit)

    def legs(self, *uuids: str) -> list[Call]:
        """The legs as the screen would show them."""
        return [self.app.api.get_call(uuid) for uuid in uuids]

    def prepare(self, verb: Verb, *uuids: str, text: str = "") -> Action:
        return self.desk.prepare(verb, self.legs(*uuids), text)

    def do(self, verb: Verb, *uuids: str, text: str = "") -> Action:
        """Run an action to its end, and answer its question with yes."""
        return self.run(self.prepare(verb, *uuids, text=text))

    def run(self, action: Action) -> Action:
        self.desk.start(action).result(PATIENCE_SECONDS)
        return action


Operate = Callable[..., Operator]


@pytest.fixture
def operate() -> Iterator[Operate]:
    """Return a function that sits a user down at a switchboard on a machine."""
    with ExitStack() as stack:

        def start(room: Room, **options: Any) -> Operator:
            operator = Operator(room, **options)
            stack.enter_context(operator.app.closing)
            return operator

        yield start


@pytest.fixture
def operator(room: Room, operate: Operate) -> Operator:
    return operate(room)


@pytest.fixture
def line(room: Room) -> Iterator[FaultProxy]:
    """The line between the machine and its sandbox."""
    with FaultProxy(room.url) as proxy:
        room.environ["VOICECTL_BASE_URL"] = proxy.url
        yield proxy


def kinds(action: Action) -> list[Kind]:
    return [each.kind for each in action.outcomes.values()]


def bodies(room: Room, operation: str = "updateCall") -> list[Any]:
    return [entry["body"] for entry in room.requests(operation)]


def notes(room: Room) -> list[list[Any]]:
    """The entries of the action log."""
    (path,) = room.state.rglob("notes")
    return [json.loads(each) for each in path.read_text().splitlines()]


def mark_production(room: Room, **guards: Any) -> None:
    path = room.config / "profiles.json"
    content = json.loads(path.read_text())
    content["profiles"]["test"]["guards"] = {"production": True} | guards
    path.write_text(json.dumps(content))


# Each action


@pytest.mark.parametrize("verb", [Verb.MUTE, Verb.UNMUTE, Verb.EARMUFF, Verb.UNEARMUFF])
def test_marks_are_set_and_logged_as_by_the_command(room: Room, operator: Operator, verb: Verb) -> None:
    leg = room.call()

    action = operator.do(verb, leg)

    assert bodies(room) == [{"action": verb}]
    assert action.summary() == f"{verb} {PERSON}: done"
    assert [note[1:4] for note in notes(room)][-1] == [leg, verb, "done"]


def test_text_is_spoken_and_only_its_length_is_logged(room: Room, operator: Operator) -> None:
    leg = room.call()

    action = operator.do(Verb.TALK, leg, text="The code is 4711.")

    assert bodies(room, "startTalk") == [{"text": "The code is 4711."}]
    assert kinds(action) == [Kind.DONE]
    assert notes(room)[-1][1:] == [leg, "talk", "done", {"characters": 17}]
    assert "4711" not in action.summary()
    assert not any(
        "4711" in path.read_text(errors="replace") for path in room.state.rglob("*") if path.is_file()
    )


def test_keys_are_pressed_and_only_their_number_is_logged(room: Room, operator: Operator) -> None:
    leg = room.call()

    operator.do(Verb.DTMF, leg, text="12*p#")

    assert bodies(room, "startDTMF") == [{"digits": "12*p#"}]
    assert notes(room)[-1][1:] == [leg, "dtmf", "done", {"keys": 5}]


def test_what_is_said_and_pressed_is_shown_in_this_session_only(
    room: Room, operator: Operator, operate: Operate
) -> None:
    leg = room.call()
    operator.do(Verb.TALK, leg, text="The code is 4711.")
    operator.do(Verb.DTMF, leg, text="0815")

    said, pressed = operator.desk.deeds(leg)

    assert said.endswith("talk The code is 4711.: done")
    assert pressed.endswith("dtmf 0815: done")
    assert operate(room).desk.deeds(leg) == []


def test_legs_are_moved_into_a_room_and_where_they_arrived_is_checked(room: Room, operator: Operator) -> None:
    legs = room.call(), room.call(ENGINEER, "--talk Hi --join other")

    action = operator.do(Verb.MOVE, *legs, text=" war-room ")

    assert kinds(action) == [Kind.DONE, Kind.DONE]
    assert action.summary() == "move 2 legs to war-room: 2 done"
    names = {row[0]: row[1] for row in room("conversation show war-room").rows}
    assert set(names) == set(legs)


def test_a_leg_is_transferred_to_an_endpoint_which_the_journal_counts(room: Room, operator: Operator) -> None:
    mark_production(room, max_calls_per_hour=1)
    leg = room.call(options="--join room")  # one call of this hour

    action = operator.do(Verb.TRANSFER, leg, text="+44 7700 900002")

    assert kinds(action) == [Kind.FAILED]
    assert "allows 1 call per hour" in action.summary()
    assert bodies(room) == []


def test_a_leg_is_transferred_to_an_ncco_in_a_file(room: Room, operator: Operator) -> None:
    flow = [{"action": "talk", "text": "Please hold."}]
    (room.home / "hold.json").write_text(json.dumps(flow))
    leg = room.call()

    action = operator.prepare(Verb.TRANSFER, leg, text=str(room.home / "hold.json"))

    assert operator.desk.question(action) == "Transfer 1 leg to the NCCO in hold.json on test?"
    operator.run(action)
    assert bodies(room) == [{"action": "transfer", "destination": {"type": "ncco", "ncco": flow}}]
    assert action.summary() == f"transfer {PERSON} to the NCCO in hold.json: done"


def test_legs_are_hung_up_and_one_that_has_ended_counts_as_such(room: Room, operator: Operator) -> None:
    ended, live = room.call(), room.call(ENGINEER)
    legs = operator.legs(ended, live)
    assert room(f"hangup {ended}").exit_code == 0

    action = operator.run(operator.desk.prepare(Verb.HANGUP, legs))

    assert kinds(action) == [Kind.ALREADY, Kind.DONE]
    assert action.summary() == "hangup 2 legs: 1 done, 1 already"
    assert not action.is_bad
    assert room("call list -q").stdout == ""


def test_a_goodbye_is_said_in_full_before_a_leg_is_hung_up(room: Room, operator: Operator) -> None:
    leg = room.call()

    action = operator.do(Verb.SAY_AND_HANG_UP, leg, text="Goodbye.")

    assert kinds(action) == [Kind.DONE]
    assert [each["operation"] for each in room.requests() if each["method"] == "PUT"] == [
        "startTalk",
        "updateCall",
    ]
    (heard,) = room(f"sandbox hear {leg} -o json", env={"VOICECTL_SANDBOX": room.url}).json[-1:]
    assert not heard.get("cut")


# Undo


def test_undo_takes_back_the_last_mute_or_earmuff_and_then_the_one_before(
    room: Room, operator: Operator
) -> None:
    one, other = room.call(), room.call(ENGINEER)
    operator.do(Verb.MUTE, one, other)
    operator.do(Verb.EARMUFF, one)
    operator.do(Verb.TALK, one, text="Hello.")

    first, second = operator.do(Verb.UNDO), operator.do(Verb.UNDO)

    assert (first.summary(), second.summary()) == (f"undo {PERSON}: done", "undo 2 legs: 2 done")
    assert [each["action"] for each in bodies(room)][-3:] == ["unearmuff", "unmute", "unmute"]
    with pytest.raises(InputError, match="nothing to undo"):
        operator.prepare(Verb.UNDO)


def test_undo_leaves_a_leg_that_another_switchboard_has_unmuted(
    room: Room, operator: Operator, operate: Operate
) -> None:
    leg, other = room.call(), operate(room)
    operator.do(Verb.MUTE, leg)
    other.do(Verb.UNMUTE, leg)

    action = operator.do(Verb.UNDO)

    assert kinds(action) == [Kind.UNCHANGED]
    assert "was not muted by voicectl" in action.summary()
    assert [each["action"] for each in bodies(room)] == ["mute", "unmute"]


def test_undo_concerns_only_what_was_done_from_this_screen(
    room: Room, operator: Operator, operate: Operate
) -> None:
    leg = room.call()
    operate(room).do(Verb.MUTE, leg)

    with pytest.raises(InputError, match="from this screen"):
        operator.prepare(Verb.UNDO)


# Guards


@pytest.mark.parametrize("verb", [Verb.HANGUP, Verb.SAY_AND_HANG_UP, Verb.TRANSFER])
def test_hanging_up_and_transferring_one_leg_is_asked_for(room: Room, operator: Operator, verb: Verb) -> None:
    text = {Verb.TRANSFER: ENGINEER}.get(verb, "Goodbye.")

    question = operator.desk.question(operator.prepare(verb, room.call(), text=text))

    assert question is not None
    assert question.endswith(" on test?")
    assert " 1 leg" in question


@pytest.mark.parametrize("verb", [Verb.MUTE, Verb.UNEARMUFF, Verb.TALK, Verb.DTMF, Verb.MOVE])
def test_any_other_change_is_asked_for_only_if_it_concerns_several_legs(
    room: Room, operator: Operator, verb: Verb
) -> None:
    one, other = room.call(), room.call(ENGINEER)
    text = TEXTS.get(verb, "")

    assert operator.desk.question(operator.prepare(verb, one, text=text)) is None
    question = operator.desk.question(operator.prepare(verb, one, other, text=text))
    assert question is not None
    assert " 2 legs " in question
    assert question.endswith(" on test?")


@pytest.mark.parametrize("verb", [Verb.MUTE, Verb.TALK, Verb.DTMF, Verb.MOVE])
def test_every_change_on_a_production_profile_is_asked_for(room: Room, verb: Verb, operate: Operate) -> None:
    mark_production(room)
    operator = operate(room)
    operator.app.options.yes = True  # does not answer these questions

    assert operator.desk.question(operator.prepare(verb, room.call(), text=TEXTS.get(verb, ""))) is not None


def test_an_undo_on_a_production_profile_is_asked_for(room: Room, operate: Operate) -> None:
    mark_production(room)
    operator = operate(room)
    operator.do(Verb.MUTE, room.call())

    assert operator.desk.question(operator.prepare(Verb.UNDO)) == "Unmute 1 leg on test?"


def test_more_legs_than_max_are_refused_and_nothing_is_sent(room: Room, operate: Operate) -> None:
    operator = operate(room, limit=1)
    legs = room.call(), room.call(ENGINEER)

    with pytest.raises(GuardError, match=r"hangup would act on 2 legs, but --max is 1\."):
        operator.prepare(Verb.HANGUP, *legs)

    assert bodies(room) == []


def test_a_read_only_screen_refuses_every_action(room: Room, operate: Operate) -> None:
    operator = operate(room, limit=0)

    with pytest.raises(GuardError, match="read-only"):
        operator.prepare(Verb.MUTE, room.call())


@pytest.mark.parametrize(
    ("verb", "text", "message"),
    [
        (Verb.TALK, "  ", "The text is empty."),
        (Verb.TALK, "x" * 1501, "1501 characters"),
        (Verb.DTMF, "12a", "Character 3"),
        (Verb.DTMF, "", "no digits"),
        (Verb.MOVE, "CON-4cd42a9a-3fb9-4cd8-8a5a-2b8a3a4b5c6d", "not by its conversation id"),
        (Verb.MOVE, "", "not a valid room name"),
        (Verb.TRANSFER, "07700 900001", "country code is missing"),
        (Verb.TRANSFER, "nowhere.json", "cannot be read"),
        (Verb.TRANSFER, "-", "not the name of a file"),
        (Verb.SAY_AND_HANG_UP, "", "The text is empty."),
    ],
)
def test_invalid_input_is_refused_before_anything_is_asked(
    room: Room, operator: Operator, verb: Verb, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        operator.prepare(verb, room.call(), text=text)

    assert message in caught.value.message


def test_an_ncco_with_errors_is_refused_and_the_errors_are_named(room: Room, operator: Operator) -> None:
    (room.home / "bad.json").write_text('[{"action": "talk"}]')

    with pytest.raises(InputError) as caught:
        operator.prepare(Verb.TRANSFER, room.call(), text=str(room.home / "bad.json"))

    assert "bad.json:1:" in caught.value.message
    assert "has 1 error" in caught.value.message


def test_a_transfer_to_a_number_that_the_profile_denies_is_refused(room: Room, operate: Operate) -> None:
    mark_production(room, deny=["4490"])

    with pytest.raises(GuardError, match="begin with 4490"):
        operate(room).prepare(Verb.TRANSFER, room.call(), text="449012345678")


@pytest.mark.parametrize("verb", ON_ONE_LEG)
def test_a_dry_run_shows_each_request_as_curl_and_sends_none(
    room: Room, verb: Verb, operate: Operate
) -> None:
    operator = operate(room, dry_run=True)
    leg = room.call()
    text = TEXTS.get(verb, ENGINEER)

    prepared = operator.prepare(verb, leg, text=text)
    assert operator.desk.question(prepared) is None
    action = operator.run(prepared)

    assert kinds(action) == [Kind.NOT_SENT]
    assert action.requests
    assert all(f"/v1/calls/{leg}" in each and each.startswith("curl -X PUT ") for each in action.requests)
    assert not [each for each in room.requests() if each["method"] == "PUT"]


def test_nothing_is_written_to_the_terminal(room: Room, operator: Operator) -> None:
    leg = room.call()
    out, err = StringIO(), StringIO()

    with redirect_stdout(out), redirect_stderr(err):
        for verb in ON_ONE_LEG:
            operator.do(verb, leg, text=TEXTS.get(verb, ENGINEER))
        operator.do(Verb.MUTE, leg)

    assert out.getvalue() + err.getvalue() == ""


# What may go wrong


@pytest.mark.parametrize(
    ("verb", "path"),
    [(Verb.TALK, "/talk"), (Verb.DTMF, "/dtmf"), (Verb.MOVE, ""), (Verb.TRANSFER, "")],
)
def test_an_action_whose_reply_is_lost_is_unknown_and_never_sent_again(
    room: Room, line: FaultProxy, verb: Verb, path: str, operate: Operate
) -> None:
    leg = room.call()
    operator = operate(room)
    prepared = operator.prepare(verb, leg, text=TEXTS.get(verb, ENGINEER))
    line.fault = cut(Side.REPLY, 0, method="PUT")

    action = operator.run(prepared)

    assert kinds(action) == [Kind.UNKNOWN]
    assert action.is_unknown
    assert "unknown" in action.summary()
    assert "may or may not have been carried out" in action.summary()
    assert (
        len([each for each in line.requests if each.method == "PUT" and each.path.endswith(leg + path)]) == 1
    )
    assert notes(room)[-1][3] == "unknown"


def test_a_mute_whose_replies_are_lost_is_repeated_and_then_unknown(
    room: Room, line: FaultProxy, operate: Operate
) -> None:
    leg = room.call()
    operator = operate(room)
    prepared = operator.prepare(Verb.MUTE, leg)
    line.fault = cut(Side.REPLY, 0, method="PUT")

    action = operator.run(prepared)

    assert kinds(action) == [Kind.UNKNOWN]
    assert len([each for each in line.requests if each.method == "PUT"]) == 3


def test_a_text_that_could_not_be_sent_is_not_unknown(
    room: Room, operator: Operator, operate: Operate
) -> None:
    legs = operator.legs(room.call())
    room.environ["VOICECTL_BASE_URL"] = "http://127.0.0.1:9"  # nothing listens there
    cut_off = operate(room)

    action = cut_off.run(cut_off.desk.prepare(Verb.TALK, legs, "Hello."))

    assert kinds(action) == [Kind.FAILED]


def test_a_goodbye_whose_reply_is_lost_is_unknown_although_the_leg_is_hung_up(
    room: Room, line: FaultProxy, operate: Operate
) -> None:
    leg = room.call()
    operator = operate(room)
    prepared = operator.prepare(Verb.SAY_AND_HANG_UP, leg, text="Goodbye.")
    line.fault = cut(Side.REPLY, 0, method="PUT")

    def heal(request: Request) -> None:
        if not request.path.endswith("/talk"):
            line.fault = None

    line.on_request = heal

    action = operator.run(prepared)

    assert action.is_unknown
    assert "saying the text" in action.summary()
    assert room("call list -q").stdout == ""


def test_a_leg_that_has_ended_is_said_to_have_ended(room: Room, operator: Operator) -> None:
    leg = room.call()
    legs = operator.legs(leg)
    room(f"hangup {leg}")

    muted = operator.run(operator.desk.prepare(Verb.MUTE, legs))
    action = operator.run(operator.desk.prepare(Verb.TALK, legs, "Hello."))

    assert kinds(muted) == [Kind.UNCHANGED]
    assert "has ended" in muted.summary()
    assert kinds(action) == [Kind.FAILED]


def test_refused_credentials_stop_an_action_in_the_middle(
    room: Room, line: FaultProxy, operate: Operate
) -> None:
    first, second, third = room.call(), room.call(ENGINEER), room.call("447700900003")
    operator = operate(room)
    prepared = operator.prepare(Verb.TALK, first, second, third, text="Hello.")
    sandbox = room.sandbox
    assert sandbox is not None

    def revoke(request: Request) -> None:
        if second in request.path and request.method == "PUT":
            sandbox.faults.add({"what": "status", "on": "startTalk", "code": 401})

    line.on_request = revoke

    action = operator.run(prepared)

    assert kinds(action) == [Kind.DONE, Kind.FAILED, Kind.FAILED]
    assert len(room.requests("startTalk")) == 2
    assert "401" in action.summary()


def test_one_leg_s_failure_leaves_the_others(room: Room, operator: Operator) -> None:
    ringing = room.call("447700900202", "--talk Hi --ringing-timer 60", wait="ringing")
    answered = room.call(ENGINEER)

    action = operator.do(Verb.MUTE, ringing, answered)

    assert kinds(action) == [Kind.FAILED, Kind.DONE]
    assert "447700900202: failed" in action.summary()
    assert "must be answered first" in action.summary()


def test_closing_lets_a_request_in_flight_end_and_begins_no_other(
    room: Room, line: FaultProxy, operate: Operate
) -> None:
    one, other = room.call(), room.call(ENGINEER)
    operator = operate(room)
    prepared = operator.prepare(Verb.TALK, one, other, text="Hello.")
    line.fault = Fault(What.STALL, Side.REPLY, method="PUT")
    asked: list[str] = []
    line.on_request = lambda request: asked.append(request.method)
    operator.desk.start(prepared)
    eventually(lambda: "PUT" in asked)

    with pytest.raises(OutcomeUnknown, match=r"talk 2 legs\. This may or may not have been carried out"):
        operator.desk.close(0.0)

    line.drop()
    operator.desk.close(PATIENCE_SECONDS)
    assert kinds(prepared) == [Kind.UNKNOWN, Kind.FAILED]
    assert asked.count("PUT") == 1
    assert operator.desk.running == []


def test_an_undo_waits_for_the_end_of_the_action(room: Room, line: FaultProxy, operate: Operate) -> None:
    operator = operate(room)
    prepared = operator.prepare(Verb.MUTE, room.call())
    line.fault = Fault(What.STALL, Side.REPLY, method="PUT")
    operator.desk.start(prepared)

    with pytest.raises(InputError, match="still in progress"):
        operator.prepare(Verb.UNDO)

    line.fault = None
    line.drop()
    operator.desk.close(PATIENCE_SECONDS)


def test_hostile_names_are_taken_as_they_are(room: Room, operator: Operator, tmp_path: Path) -> None:
    name = "x\x1b[31m[bold]\u202e"
    with pytest.raises(InputError):
        operator.prepare(Verb.MOVE, room.call(), text=name)


def test_the_profiles_guards_are_read(room: Room, operate: Operate) -> None:
    mark_production(room)

    assert operate(room).desk.is_production
    assert ProfileStore(room.config).get("test").policy.production
