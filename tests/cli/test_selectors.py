"""Acting on legs that options select: the selection, the confirmation, and the end of the action."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from tests.support import kept
from tests.support.clock import FakeClock
from tests.support.desk import desk, shell
from tests.support.kept import EventfulClock
from tests.support.machines import Application, machine
from tests.support.room import BY_HAND, PERSON, Ran, Room
from tests.support.servers import Canned, Request, page, reply
from tests.support.terminal import converse
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock
from voicectl.store.rate_limiter import OTHERS_PER_SECOND, RateLimiter
from voicectl.voice import speech

OTHER = "447700900002"
THIRD = "447700900003"
CONVERSATION = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"
LEGS = [f"00000000-0000-4000-8000-{n:012}" for n in range(20)]
SELECTING = ("hangup", "mute", "unmute", "earmuff", "unearmuff")


def sandbox(room: Room, words: str) -> Ran:
    """Act as the other side."""
    ran = room(f"sandbox {words} -o json", env={"VOICECTL_SANDBOX": room.url})
    assert ran.exit_code == 0, ran.stderr
    return ran


def hear(room: Room, leg: str) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = sandbox(room, f"hear {leg}").json
    return heard


def is_heard(room: Room, speaker: str, listener: str, digit: str) -> bool:
    """Return True if *listener* hears a key that *speaker* presses; each digit is used once."""
    sandbox(room, f"press {speaker} {digit}")
    return digit in [each.get("digits") for each in hear(room, listener)]


def done(ran: Ran) -> list[str]:
    """The legs that a command acted on."""
    return [record["uuid"] for record in ran.json]


def statuses(room: Room, *legs: str) -> list[str]:
    return [room(f"call show {leg} -o json").json["status"] for leg in legs]


def add_fault(room: Room, **fault: object) -> None:
    assert room.sandbox is not None
    room.sandbox.faults.add(fault)


class Platform:
    """A server that lists answered legs of one conversation and performs every change.

    Args:
        on_change: Called for each change with the leg and the action; returns the answer.
    """

    def __init__(self, *legs: str, on_change: Callable[[str, str], bytes | None] = lambda *_: None) -> None:
        self.legs = list(legs)
        self.over: set[str] = set()
        self.on_change = on_change

    def record(self, leg: str) -> dict[str, Any]:
        status = "completed" if leg in self.over else "answered"
        return {
            "uuid": leg,
            "status": status,
            "direction": "outbound",
            "conversation_uuid": CONVERSATION,
            "from": {"type": "phone", "number": "442079460000"},
            "to": {"type": "phone", "number": PERSON},
        }

    def __call__(self, request: Request) -> bytes:
        leg = request.path.removeprefix("/v1/calls").strip("/")
        if request.method == "PUT":
            action = request.json["action"]
            answer = self.on_change(leg, action) or reply(204)
            if action == "hangup" and answer == reply(204):
                self.over.add(leg)
            return answer
        if leg:
            return reply(body=self.record(leg))
        is_asked = request.query["status"] == "answered"
        return reply(
            body=page(*(self.record(each) for each in self.legs if is_asked and each not in self.over))
        )


def changes(server: Canned) -> list[str]:
    return [request.path.rpartition("/")[2] for request in server.requests if request.method == "PUT"]


# Selecting legs


@pytest.fixture
def crowd(voicectl: Room) -> dict[str, str]:
    """Live legs: two in a room, one in another, one that rings, one that rang us."""
    legs = {
        "one": voicectl.call(),
        "two": voicectl.call(OTHER),
        "elsewhere": voicectl.call("12025550100", "--talk Hello --join elsewhere"),
        "ringing": voicectl.call(BY_HAND, wait="ringing"),
    }
    flow = voicectl.home / "flow.json"
    flow.write_text('[{"action": "conversation", "name": "lobby"}]')
    legs["inbound"] = sandbox(voicectl, f"ring --to 442079460000 --from 447700900777 --ncco {flow}").json[
        "uuid"
    ]
    voicectl.clock.sleep(2)
    return legs


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ("--conversation room", {"one", "two"}),
        ("--conversation room --except {one}", {"two"}),
        ("--conversation room --except {one} --except {two}", set()),
        ("--conversation room --match-to +447700900002", {"two"}),
        ("--status ringing", {"ringing"}),
        ("--status answered --direction outbound", {"one", "two", "elsewhere"}),
        ("--direction inbound", {"inbound"}),
        ("--match-to '1202*'", {"elsewhere"}),
        ("--match-from '447700900777'", {"inbound"}),
        ("--match-from '4420*' --match-to '4477*'", {"one", "two", "ringing"}),
        ("--all --except {inbound} --except {ringing}", {"one", "two", "elsewhere"}),
        ("--all", {"one", "two", "elsewhere", "ringing", "inbound"}),
    ],
)
def test_legs_are_selected_by_fields_of_their_records(
    voicectl: Room, crowd: dict[str, str], options: str, meant: set[str]
) -> None:
    ran = voicectl(f"hangup {options.format(**crowd)} --yes -o json")

    assert ran.exit_code == 0, ran.stderr
    assert set(done(ran)) == {crowd[name] for name in meant}
    live = {call["uuid"] for call in voicectl("call list -o json").json}
    assert live == {leg for name, leg in crowd.items() if name not in meant}


def test_a_conversation_is_selected_by_its_id_too(voicectl: Room, crowd: dict[str, str]) -> None:
    conversation = voicectl(f"call show {crowd['one']} -o json").json["conversation_uuid"]

    assert set(done(voicectl(f"mute --conversation {conversation} --yes -o json"))) == {
        crowd["one"],
        crowd["two"],
    }


@pytest.mark.parametrize("verb", SELECTING)
def test_every_verb_for_legs_accepts_selectors(voicectl: Room, verb: str) -> None:
    one, other = voicectl.call(), voicectl.call(OTHER)

    ran = voicectl(f"{verb} --conversation room --except {other[:8]} --yes -o json")

    assert ran.json == [{"uuid": one, "action": verb, "outcome": "done"}]
    assert ran.exit_code == 0


@pytest.fixture(scope="module")
def desk_alone(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Room]:
    """A machine whose platform must not receive requests."""
    with Canned(reply(500)) as server:
        yield machine(tmp_path_factory.mktemp("alone"), application, server.url)
        assert not server.requests


@pytest.mark.parametrize("verb", SELECTING)
@pytest.mark.parametrize(
    "options",
    [
        "",
        "{leg} --all",
        "{leg} --conversation room",
        "- --status ringing",
        "--except {leg}",
        "--all --status ringing",
        "--all --conversation room",
        "--status completed",
        "--status human",
        "--direction sideways",
        "--match-to ''",
        "--match-from ' '",
        "--conversation ''",
        "--conversation CON-x",
        "--older-than ''",
        "--older-than soon",
        "--all --except ''",
        "--all --max 0",
    ],
)
def test_empty_and_conflicting_selectors_are_refused(desk_alone: Room, verb: str, options: str) -> None:
    """An unset variable must never mean everybody."""
    ran = desk_alone(f"{verb} {options.format(leg=LEGS[0])} --yes")

    assert (ran.exit_code, ran.stdout) == (2, "")


@pytest.mark.parametrize(
    "words",
    [
        "mute {leg} --hold 10s",
        "mute --hold 10s",
        "mute --all --hold soon",
        "mute --all --undo --hold 10s",
        "mute --older-than 1h --hold 10s",
        "mute {leg} --all --undo",
        "unmute {leg} --undo",
        "unmute --all --hold 10s",
        "hangup {leg} --say ''",
        "hangup --all --hold 10s",
    ],
)
def test_invalid_selectors_are_refused(desk_alone: Room, words: str) -> None:
    assert desk_alone(f"{words.format(leg=LEGS[0])} --yes").exit_code == 2


@pytest.mark.parametrize("options", ["--conversation nowhere", f"--conversation room --except {LEGS[1][:8]}"])
def test_an_unknown_room_or_exception_is_4_and_nothing_is_done(voicectl: Room, options: str) -> None:
    voicectl.call()

    assert voicectl(f"mute {options} --yes").exit_code == 4
    assert not voicectl.requests("updateCall")


def test_an_exception_that_has_ended_is_reported(voicectl: Room) -> None:
    leg, over = voicectl.call(), voicectl.call("447700900501", wait="ended")

    ran = voicectl(f"mute --conversation room --except {over} --yes -o json")

    assert (ran.exit_code, done(ran)) == (0, [leg])
    assert f"{over} has ended" in ran.stderr


def test_an_empty_selection_is_an_empty_list_and_not_an_error(voicectl: Room) -> None:
    voicectl.call()

    ran = voicectl("hangup --status ringing -o json")

    assert (ran.exit_code, ran.stdout) == (0, "[]\n")
    assert "No live leg" in ran.stderr


# Confirmation


def test_without_confirmation_the_list_is_shown_and_nothing_is_done(
    voicectl: Room, crowd: dict[str, str]
) -> None:
    ran = voicectl("hangup --match-from '4420*' --status ringing")

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert f"Hang up 1 leg on test:\n  {crowd['ringing']}  ringing  outbound" in ran.stderr
    assert f"442079460000 -> {BY_HAND}" in ran.stderr
    assert "--yes" in ran.stderr
    assert not voicectl.requests("updateCall")


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 9), ("\n", 9)])
def test_on_a_terminal_a_selection_needs_confirmation(
    tmp_path: Path, application: Application, answer: str, status: int
) -> None:
    with Canned(Platform(LEGS[0])) as server:
        code, out, shown = converse(
            machine(tmp_path, application, server.url), "mute --all", [("[y/N] ", answer)]
        )

    assert code == status
    assert out == (f"{LEGS[0]}\tmute\tdone\n" if status == 0 else "")
    listed, question = shown.splitlines()[:2]
    assert listed.startswith(f"  {LEGS[0]}  answered")
    assert question.startswith("Mute 1 leg on test? [y/N] ")
    assert len(changes(server)) == (status == 0)


@pytest.mark.parametrize(
    ("command", "question"),
    [
        ("hangup --all", "Hang up 168 legs on test? [y/N] "),
        ("hangup --all --say Goodbye", "Hang up 168 legs after speaking the text to each, on test? [y/N] "),
        ("unearmuff --all", "Unearmuff 168 legs on test? [y/N] "),
        ("mute --all --hold 1m", "Mute 168 legs, and any others that match in the next 1m, on test? [y/N] "),
    ],
)
def test_the_question_shows_everything_and_is_the_last_line_before_the_cursor(
    tmp_path: Path, application: Application, command: str, question: str
) -> None:
    many = [f"00000000-0000-4000-8000-{n:012}" for n in range(168)]
    with Canned(Platform(*many)) as server:
        code, out, shown = converse(
            machine(tmp_path, application, server.url), f"{command} --max 200", [(question, "n\n")]
        )
        assert changes(server) == []

    assert (code, out) == (9, "")
    before, _, after = shown.partition(question)
    lines = before.splitlines()
    assert [line.split()[0] for line in lines[:20]] == many[:20]
    assert lines[20:] == ["  and 148 more"]
    assert all(len(line) <= 80 for line in lines)
    assert "Nothing was done." in after


def test_without_a_profile_the_question_names_the_application(
    tmp_path: Path, application: Application
) -> None:
    with Canned(Platform(LEGS[0])) as server:
        home = machine(tmp_path, application, server.url)
        key = home.config / "keys" / "test.pem"
        id_ = application[0].application_id
        home.environ |= {
            "VOICECTL_APPLICATION_ID": id_,
            "VOICECTL_PRIVATE_KEY": str(key),
            "VOICECTL_BASE_URL": server.url,
        }

        converse(home, "hangup --all", [(f"Hang up 1 leg on application {id_}? [y/N] ", "n\n")])


@pytest.mark.parametrize(("options", "status"), [("", 9), ("--max 11", 9), ("--max 12", 0)])
def test_the_size_of_a_selection_is_limited(
    tmp_path: Path, application: Application, options: str, status: int
) -> None:
    with Canned(Platform(*LEGS[:12])) as server:
        ran = machine(tmp_path, application, server.url)(f"hangup --all --yes -o json {options}")

    assert ran.exit_code == status
    assert changes(server) == (LEGS[:12] if status == 0 else [])
    assert "--max" in ran.stderr or status == 0
    assert all(f"  {leg}  answered" in ran.stderr for leg in LEGS[:12]), (
        "it is counted and listed in any case"
    )


def test_a_dry_run_lists_and_prints_each_request_as_curl(tmp_path: Path, application: Application) -> None:
    with desk(tmp_path, application) as room:
        one = room.call(wait=None)
        other = room.call(BY_HAND, wait=None)
        dry = room("hangup --all --say 'Good bye' --dry-run")

        assert dry.exit_code == 0
        lines = dry.stdout.splitlines()
        assert [line.rpartition(" -d ")[2] for line in lines] == [
            *['\'{"text": "Good bye"}\''] * 2,
            *['\'{"action": "hangup"}\''] * 2,
        ]
        assert one in dry.stderr
        assert other in dry.stderr
        assert room("hangup --all --dry-run", terminal=True).exit_code == 0, "and nothing is asked"
        assert not room.requests("updateCall")

        ran = shell(room, "\n".join(line for line in lines if other in line and "hangup" in line))
        assert ran.exit_code == 0, ran.stderr
        assert statuses(room, other) == ["cancelled"]


# Outcomes


def test_one_failure_among_several_is_10_and_the_others_are_done(voicectl: Room) -> None:
    legs = [voicectl.call(number) for number in (PERSON, OTHER, THIRD)]
    add_fault(voicectl, what="status", code=409, on="updateCall", times=1)

    ran = voicectl("mute --conversation room --yes -o json")

    assert ran.exit_code == 10
    assert done(ran) == legs[1:]
    assert ran.stderr.count('"code": "api"') == 1


def test_a_ringing_leg_cannot_be_muted_which_is_reported(voicectl: Room) -> None:
    leg, ringing = voicectl.call(), voicectl.call(BY_HAND, wait="ringing")

    ran = voicectl("mute --all --yes -o json")

    assert (ran.exit_code, done(ran)) == (10, [leg])
    assert ran.error["message"].startswith(ringing)
    assert "must be answered first" in ran.error["hint"]


@pytest.mark.parametrize(
    ("verb", "refusal", "first_line"),
    [
        ("hangup", 404, f"{LEGS[0]}\thangup\talready\n"),
        ("hangup", 400, f"{LEGS[0]}\thangup\talready\n"),
        ("mute", 404, ""),
        ("mute", 400, ""),
        ("unearmuff", 404, ""),
    ],
)
def test_a_leg_that_ends_between_the_list_and_its_turn_is_not_a_failure(
    tmp_path: Path, application: Application, verb: str, refusal: int, first_line: str
) -> None:
    def end(leg: str, action: str) -> bytes | None:
        if leg != LEGS[0]:
            return None
        platform.over.add(leg)
        return reply(refusal, {"title": "Gone"})

    platform = Platform(*LEGS[:2], on_change=end)
    with Canned(platform) as server:
        ran = machine(tmp_path, application, server.url)(f"{verb} --all --yes")

    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout == f"{first_line}{LEGS[1]}\t{verb}\tdone\n"
    assert (f"{LEGS[0]} has ended" in ran.stderr) is (verb != "hangup")


def test_a_named_leg_that_has_ended_is_still_a_failure(voicectl: Room) -> None:
    leg = voicectl.call("447700900501", wait="ended")

    assert voicectl(f"mute {leg}").exit_code == 4


def test_legs_that_join_meanwhile_are_ended_too(tmp_path: Path, application: Application) -> None:
    def redial(leg: str, action: str) -> None:
        if len(platform.legs) < 5:
            platform.legs.append(LEGS[len(platform.legs)])

    platform = Platform(*LEGS[:2], on_change=redial)
    with Canned(platform) as server:
        ran = machine(tmp_path, application, server.url)(
            "hangup --conversation " + CONVERSATION + " --yes -o json"
        )

    assert (ran.exit_code, done(ran)) == (0, LEGS[:5])
    assert f"Hang up 2 more legs:\n  {LEGS[2]}" in ran.stderr


@pytest.mark.parametrize("verb", ["hangup", "mute"])
def test_legs_that_join_count_towards_the_limit(tmp_path: Path, application: Application, verb: str) -> None:
    """A caller that redials for ever must not keep a command, or a carrier, busy for ever."""

    def redial(leg: str, action: str) -> None:
        platform.legs.append(LEGS[len(platform.legs)])

    platform = Platform(LEGS[0], on_change=redial)
    with Canned(platform) as server:
        ran = machine(tmp_path, application, server.url)(f"{verb} --all --yes --max 3 -o json")

    assert (ran.exit_code, done(ran)) == (10, LEGS[:3])
    assert f"{verb} would act on 1 more leg, " in ran.error["message"]
    assert changes(server) == LEGS[:3]


def test_a_leg_that_stays_listed_is_not_processed_again(tmp_path: Path, application: Application) -> None:
    """A muted leg is as live as before; one that was hung up may be listed for a while."""
    with Canned(Platform(*LEGS[:3])) as server:
        ran = machine(tmp_path, application, server.url)("earmuff --all --yes -o json")

    assert (ran.exit_code, changes(server)) == (0, LEGS[:3])


def test_it_says_so_if_further_legs_could_not_be_listed(tmp_path: Path, application: Application) -> None:
    platform = Platform(LEGS[0])

    def answer(request: Request) -> bytes:
        return reply(503) if platform.over and request.method == "GET" else platform(request)

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)("hangup --all --yes -o json")

    assert (ran.exit_code, done(ran)) == (10, LEGS[:1])
    assert "More legs may match by now" in ran.error["hint"]


def test_refused_credentials_stop_a_selection(tmp_path: Path, application: Application) -> None:
    with Canned(Platform(*LEGS[:3], on_change=lambda *_: reply(401))) as server:
        ran = machine(tmp_path, application, server.url)("mute --all --yes -o json")

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert changes(server) == LEGS[:1]


def fill_the_pace(room: Room, seconds: float) -> None:
    """Take the limiter for the given time, so that other processes wait."""
    assert room.sandbox is not None
    directory = room.state / room.sandbox.identity.application_id
    rate_limiter = RateLimiter(directory / "pace", room.clock, pytest.fail)
    rate_limiter._reserve(0, round(OTHERS_PER_SECOND * (seconds + 1)), urgent=True, budget=0)


@pytest.mark.parametrize(
    ("line", "is_first"),
    [
        ("hangup --conversation room --yes", True),
        ("hangup --status answered --older-than 1s --yes", True),
        ("hangup {leg:.8}", True),
        ("mute --conversation room --yes", False),
    ],
)
def test_hangups_and_their_look_ups_have_priority(voicectl: Room, line: str, is_first: bool) -> None:
    leg = voicectl.call()
    fill_the_pace(voicectl, 30)
    before = voicectl.clock.monotonic()

    ran = voicectl(line.format(leg=leg))

    assert leg in ran.stdout, ran.stderr
    assert (voicectl.clock.monotonic() - before < 1) is is_first


# --older-than


def test_only_legs_created_long_ago_are_ended(start_room: StartRoom) -> None:
    room = start_room()
    options = "--talk Hello --join room --length-timer 5h"
    stuck = [room.call(PERSON, options), room.call(OTHER, options)]
    room.clock.sleep(7300)
    young = room.call(THIRD, options)

    ran = room("hangup --conversation room --older-than 2h --yes -o json")

    assert (ran.exit_code, done(ran)) == (0, stuck), ran.stderr
    assert statuses(room, young) == ["answered"]


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_clock_that_is_wrong_by_an_hour_makes_no_leg_older(start_room: StartRoom, ahead: float) -> None:
    room = start_room()
    elsewhere = {"VOICECTL_STATE_DIR": str(room.home / "another machine")}
    leg = room(f"call create --to {PERSON} --talk Hello --join room -q", env=elsewhere).stdout.strip()
    room.clock.sleep(1900)
    ours = FakeClock(room.clock.time() + ahead)
    room("call list", clock=ours)  # which learns the difference of its clock

    assert room("hangup --older-than 1h --yes -o json", clock=ours).json == []
    assert done(room("hangup --older-than 31m --yes -o json", clock=ours)) == [leg]


class Undated(Platform):
    """A platform that dates every leg to a certain day long ago."""

    def __call__(self, request: Request) -> bytes:
        if request.method == "POST":
            return reply(201, {"uuid": LEGS[0], "status": "started", "direction": "outbound"})
        if "date_start" in request.query or request.query.get("date_end", "2") < "2001":
            return reply(body=page())
        return super().__call__(request)


def test_local_knowledge_of_a_younger_leg_excludes_it(tmp_path: Path, application: Application) -> None:
    """A call from here, and a leg whose start an event reported: the platform dates both to long ago."""
    with Canned(Undated(*LEGS[:3])) as server:
        room = machine(tmp_path, application, server.url)
        room(f"call create --to {PERSON} --talk Hello")
        began = kept.status("started", leg=LEGS[1], timestamp="2026-02-02T02:39:50.000Z")
        kept.keep(room, began)

        ran = room("mute --older-than 1h --yes -o json")
        assert (ran.exit_code, done(ran)) == (0, [LEGS[2]])

        room.clock.sleep(3700)
        assert done(room("mute --older-than 1h --yes -o json")) == LEGS[:3]


def test_an_unreadable_store_is_reported_and_skipped(tmp_path: Path, application: Application) -> None:
    with Canned(Undated(LEGS[0])) as server:
        room = machine(tmp_path, application, server.url)
        kept.keep(room, kept.status("started", leg=LEGS[1]))
        (path,) = room.state.rglob("events.db")
        path.write_bytes(b"not a database" * 1000)

        ran = room("mute --older-than 1h --yes -o json")

    assert (ran.exit_code, done(ran)) == (0, LEGS[:1])
    assert ran.stderr.count("warning: the ages of some legs may be missing or only minimums") == 1


# --say


def test_the_message_is_played_to_its_end_before_the_leg_is_hung_up(voicectl: Room) -> None:
    text = "This line is closed for maintenance now. Please call again in the morning."
    leg = voicectl.call()

    ran = voicectl(["hangup", leg, "--say", text])

    assert ran.rows == [[leg, "hangup", "done"]], ran.stderr
    heard = hear(voicectl, leg)[-1]
    assert (heard["text"], heard["seconds"]) == (text, pytest.approx(speech.seconds(text), abs=0.1))
    assert statuses(voicectl, leg) == ["completed"]


def test_all_legs_hear_it_at_once_and_are_then_hung_up(voicectl: Room) -> None:
    legs = [voicectl.call(number) for number in (PERSON, OTHER, THIRD)]
    before = voicectl.clock.monotonic()

    ran = voicectl("hangup --conversation room --say 'Good bye to all of you.' --yes -o json")

    assert (ran.exit_code, done(ran)) == (0, legs)
    order = [
        each["operation"] for each in voicectl.requests() if each["operation"] in ("startTalk", "updateCall")
    ]
    assert order == ["startTalk"] * 3 + ["updateCall"] * 3
    assert all(hear(voicectl, leg)[-1]["text"] == "Good bye to all of you." for leg in legs)
    assert voicectl.clock.monotonic() - before < 6


def test_a_ringing_leg_is_hung_up_at_once(voicectl: Room) -> None:
    leg, ringing = voicectl.call(), voicectl.call(BY_HAND, wait="ringing")
    text = "word " * 100

    ran = voicectl(["hangup", leg, ringing, "--say", text, "-o", "json"])

    assert (ran.exit_code, done(ran)) == (0, [ringing, leg]), ran.stderr
    assert f"{ringing} is not connected" in ran.stderr
    first, last = (each for each in voicectl.requests("updateCall") if each["status"] == 204)
    waited = _moment(last) - _moment(first)
    assert waited >= speech.seconds(text)


def _moment(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["host_time"]).timestamp()


def test_legs_that_have_left_are_not_waited_for(voicectl: Room) -> None:
    leg = voicectl.call("447700900505")  # hangs up 5 s after the answer
    before = voicectl.clock.monotonic()

    ran = voicectl(["hangup", leg, "--say", "word " * 250])

    assert ran.rows == [[leg, "hangup", "already"]]
    assert voicectl.clock.monotonic() - before < 10


def test_a_wait_ends_before_the_longest_pause(voicectl: Room) -> None:
    leg = voicectl.call()
    before = voicectl.clock.monotonic()

    ran = voicectl(["hangup", leg, "--say", "<speak>Good <break time='3600s'/> bye</speak>"])

    assert ran.exit_code == 0
    assert voicectl.clock.monotonic() - before < 185


def test_a_lost_reply_to_the_message_is_reported_and_the_leg_is_still_hung_up(voicectl: Room) -> None:
    leg = voicectl.call()
    add_fault(voicectl, what="lost-reply", on="startTalk", times=1)

    ran = voicectl(["hangup", leg, "--say", "Good bye then", "-o", "json"])

    assert ran.exit_code == 12
    assert ran.json == {"uuid": leg, "action": "hangup", "outcome": "done"}
    assert ran.error["code"] == "outcome_unknown"
    assert [hear(voicectl, leg)[-1]["text"], *statuses(voicectl, leg)] == ["Good bye then", "completed"]
    assert len(voicectl.requests("startTalk")) == 1


def test_a_message_that_cannot_be_sent_does_not_prevent_the_hangup(voicectl: Room) -> None:
    leg = voicectl.call()
    add_fault(voicectl, what="status", code=422, on="startTalk")

    ran = voicectl(["hangup", leg, "--say", "Good bye", "-o", "json"])

    assert (ran.exit_code, ran.json["outcome"]) == (10, "done")
    assert statuses(voicectl, leg) == ["completed"]


def test_the_message_may_be_read_from_standard_input(voicectl: Room) -> None:
    leg = voicectl.call()

    assert voicectl(["hangup", leg, "--say", "-"], stdin="Au revoir, à bientôt\n").exit_code == 0
    assert hear(voicectl, leg)[-1]["text"] == "Au revoir, à bientôt"
    assert voicectl(["hangup", "-", "--say", "-", "--yes"], stdin=leg).exit_code == 2


def test_ctrl_c_during_the_message_hangs_up_no_leg_and_says_so(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    leg = room.call(wait=None)
    sandbox(room, "advance 3s")
    with room.spawn(["hangup", leg, "--say", "word " * 200]) as child:
        eventually(lambda: room.requests("startTalk"))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 130
    assert f"Not hung up: {leg}" in err.decode()
    assert not room.requests("updateCall")


# --hold


def test_legs_that_join_during_a_hold_are_muted_too(voicectl: Room) -> None:
    speaker, listener = voicectl.call(), voicectl.call(OTHER)
    late = voicectl.call("447700900430", wait=None)  # answers after 30 s

    ran = voicectl(f"mute --conversation room --except {speaker} --hold 60s --yes -o json")

    assert (ran.exit_code, done(ran)) == (0, [listener, late]), ran.stderr
    assert is_heard(voicectl, speaker, late, "1")
    assert not is_heard(voicectl, listener, speaker, "2")
    assert not is_heard(voicectl, late, speaker, "3")
    asked = voicectl.requests("getCalls")
    assert 100 < len(asked) < 140, "two statuses, about once a second"
    assert "Still muted: 2 legs" in ran.stderr
    assert "voicectl mute --undo --conversation room" in ran.stderr

    undone = voicectl("mute --undo --conversation room --yes -o json")
    assert {each["uuid"] for each in undone.json} == {listener, late}
    assert is_heard(voicectl, late, speaker, "4")


def test_earmuffs_are_held_in_the_same_way(voicectl: Room) -> None:
    speaker, late = voicectl.call(), voicectl.call("447700900410", wait=None)

    ran = voicectl(f"earmuff --conversation room --except {speaker} --hold 20s --yes")

    assert ran.rows == [[late, "earmuff", "done"]]
    assert not is_heard(voicectl, speaker, late, "1")


def test_a_leg_that_could_not_be_muted_is_tried_again_and_reported_once(voicectl: Room) -> None:
    leg = voicectl.call()
    add_fault(voicectl, what="status", code=409, on="updateCall", times=5)

    ran = voicectl("mute --conversation room --hold 20s --yes -o json")

    assert (ran.exit_code, done(ran)) == (0, [leg])
    assert ran.stderr.count('"error"') == 1
    assert len(voicectl.requests("updateCall")) == 6


def test_a_leg_that_can_never_be_muted_counts_in_the_end(voicectl: Room) -> None:
    voicectl.call()
    add_fault(voicectl, what="status", code=409, on="updateCall")

    ran = voicectl("mute --conversation room --hold 5s --yes -o json")

    assert (ran.exit_code, ran.json) == (5, [])
    assert ran.stderr.count('"error"') == 1


def test_an_api_that_does_not_answer_for_a_while_does_not_end_a_hold(start_room: StartRoom) -> None:
    clock = EventfulClock()
    room = start_room(clock=clock)
    speaker = room.call()
    late = room.call("447700900440", wait=None)
    add_fault(room, what="status", code=503, on="getCalls", after=10, lasting=20)

    ran = room(f"mute --conversation room --except {speaker} --hold 90s --yes")

    assert ran.rows == [[late, "mute", "done"]], ran.stderr
    assert ran.stderr.count("new legs cannot be detected at the moment") == 1
    assert ran.exit_code == 0


def test_legs_that_join_count_towards_the_limit_of_a_hold(voicectl: Room) -> None:
    legs = [voicectl.call(), voicectl.call(OTHER)]
    voicectl.call("447700900410", wait=None)

    ran = voicectl("mute --conversation room --hold 60s --max 2 --yes -o json")

    assert (ran.exit_code, done(ran)) == (10, legs)
    assert "--max is 2" in ran.error["message"]


def test_a_hold_without_legs_needs_confirmation_too(voicectl: Room) -> None:
    leg = voicectl.call()
    options = f"mute --conversation room --except {leg} --hold 10s"

    assert voicectl(options).exit_code == 9
    assert "Mute any legs that match in the next 10s on test:" in voicectl(options).stderr
    assert voicectl(f"{options} --yes -o json").json == []


def test_the_command_to_undo_a_hold_names_the_given_profile(voicectl: Room) -> None:
    leg = voicectl.call()

    ran = voicectl("-p test mute --conversation room --hold 1s --yes")

    assert "To undo this: voicectl -p test mute --undo --conversation room" in ran.stderr
    assert voicectl("-p test mute --undo --conversation room --yes").rows == [[leg, "unmute", "done"]]


@pytest.mark.parametrize(
    ("options", "hint"),
    [("--all --undo", "Leave out --hold"), (LEGS[0], "select legs instead of naming them")],
)
def test_options_that_conflict_with_hold_have_their_own_hint(
    desk_alone: Room, options: str, hint: str
) -> None:
    ran = desk_alone(f"mute --hold 10s {options}")

    assert (ran.exit_code, hint in ran.stderr) == (2, True)


def test_ctrl_c_ends_a_hold_with_130_and_says_how_to_undo_it(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    leg = room.call(wait=None)
    sandbox(room, "advance 3s")
    with room.spawn("mute --conversation room --hold 1h --yes -o jsonl") as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["uuid"] == leg, "a record comes as it happens"
        eventually(lambda: len(room.requests("getCalls")) > 4)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE_SECONDS)

    assert child.returncode == 130
    assert "Still muted: 1 leg" in err.decode()
    assert "voicectl mute --undo --conversation room" in err.decode()


# --undo


def test_undo_reverses_only_actions_from_here(voicectl: Room) -> None:
    ours, theirs, free = (voicectl.call(number) for number in (PERSON, OTHER, THIRD))
    assert voicectl(f"mute {ours}").exit_code == 0
    elsewhere = {"VOICECTL_STATE_DIR": str(voicectl.home / "another machine")}
    assert voicectl(f"mute {theirs}", env=elsewhere).exit_code == 0

    assert voicectl("mute --undo").exit_code == 9, "it selects"
    ran = voicectl("mute --undo --yes -o json")

    assert ran.json == [{"uuid": ours, "action": "unmute", "outcome": "done"}]
    assert is_heard(voicectl, ours, free, "1")
    assert not is_heard(voicectl, theirs, free, "2")
    assert voicectl("mute --undo --yes -o json").json == []


def test_undo_of_named_legs_leaves_other_legs_and_foreign_actions_unchanged(voicectl: Room) -> None:
    one, two, theirs = (voicectl.call(number) for number in (PERSON, OTHER, THIRD))
    assert voicectl(f"earmuff {one} {two}").exit_code == 0
    voicectl(f"mute {two}")

    ran = voicectl(f"earmuff --undo {one} {theirs} -o json")

    assert ran.exit_code == 0
    assert ran.json == [{"uuid": one, "action": "unearmuff", "outcome": "done"}]
    assert f"{theirs} was not earmuffed by voicectl on this machine" in ran.stderr
    assert not is_heard(voicectl, one, two, "1")
    assert voicectl("earmuff --undo --match-to '*2' --yes -o json").json[0]["uuid"] == two
    assert is_heard(voicectl, one, two, "2")
    assert not is_heard(voicectl, two, one, "3"), "it stays muted"


def test_an_action_that_was_already_undone_is_not_undone_again(voicectl: Room) -> None:
    leg = voicectl.call()
    voicectl(f"mute {leg}")
    voicectl(f"unmute {leg}")

    assert voicectl("mute --undo --yes -o json").json == []


def test_a_mute_whose_reply_was_lost_is_reported_and_left_unchanged(
    tmp_path: Path, application: Application
) -> None:
    with Canned(Platform(LEGS[0], on_change=lambda *_: reply(503))) as server:
        room = machine(tmp_path, application, server.url)
        assert room(f"mute {LEGS[0]}").exit_code == 7

        ran = room("mute --undo --yes -o json")

    assert (ran.exit_code, ran.json) == (0, [])
    assert ran.stderr.count(f"{LEGS[0]} may or may not have been muted by voicectl on this machine") == 1


@pytest.mark.parametrize("uuid", ["aa6bec1f5c4a4bdc95aee8a4c1b7a1f0"])
def test_an_inbound_leg_with_a_plain_id_is_undone_too(
    tmp_path: Path, application: Application, uuid: str
) -> None:
    with Canned(Platform(uuid)) as server:
        room = machine(tmp_path, application, server.url)
        room("mute --all --yes")
        assert done(room("mute --undo --yes -o json")) == [uuid]
        assert done(room(f"mute --all --except {uuid.upper()} --yes -o json")) == []
