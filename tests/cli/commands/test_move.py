"""``move`` and its checks: legs it would drop, legs that did not arrive, and a report after a failure."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import StartRoom
from tests.support.calls import PARTNER, connected
from tests.support.fault_proxy import FaultProxy, Side, cut
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, Request, page, reply
from tests.support.terminal import converse
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore

OTHER = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
OLD = "CON-00000000-0000-4000-8000-000000000001"
OWN = "CON-00000000-0000-4000-8000-000000000002"
NEW = "CON-00000000-0000-4000-8000-000000000003"
LATER = {"action": "talk", "text": "Goodbye", "loop": 0}


def status(room: Room, leg: str) -> str:
    return str(room(f"call show {leg}").rows[0][1])


def conversation(room: Room, leg: str) -> str:
    return str(room(f"call show {leg} -o json").json["conversation_uuid"])


def changes(room: Room) -> list[dict[str, Any]]:
    return [each for each in room.requests() if each["method"] != "GET" and each["path"].startswith("/v1/")]


def test_a_leg_joined_by_a_connect_is_named_before_and_after_its_call_is_lost(voicectl: Room) -> None:
    caller, callee = connected(voicectl)

    ran = voicectl(f"move {caller} support-17")

    assert ran.exit_code == 0
    assert ran.rows == [[caller, "move", "done"]]
    warned, message = ran.stderr.splitlines()
    assert warned.startswith(f"warning: {PARTNER} ({callee}) and {PERSON} ({caller}) are joined by a connect")
    assert "--with-partners" in warned
    assert message == f"{PARTNER} ({callee}) has ended: completed"


def test_a_dry_run_warns_and_moves_no_leg(voicectl: Room) -> None:
    caller, callee = connected(voicectl)
    before = changes(voicectl)

    ran = voicectl(f"move {callee} support-17 --dry-run")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("curl -X PUT")
    assert f"{PERSON} ({caller}) and {PARTNER} ({callee}) are joined" in ran.stderr
    assert changes(voicectl) == before


def test_no_warning_is_shown_if_no_leg_is_dropped(voicectl: Room) -> None:
    one, other = voicectl.call(), voicectl.call(PARTNER)  # both in a room
    alone = voicectl.call("447700900003", "--join alone")

    for leg in (one, alone):
        ran = voicectl(f"move {leg} support-17")
        assert (ran.exit_code, ran.stderr) == (0, "")

    assert status(voicectl, other) == "answered"


@pytest.mark.parametrize("named", [0, 1], ids=["the caller", "the callee"])
def test_with_partners_a_connected_pair_becomes_the_room_and_no_leg_is_dropped(
    voicectl: Room, named: int
) -> None:
    pair = connected(voicectl)

    ran = voicectl(f"move {pair[named]} support-17 --with-partners --yes -o json")

    assert ran.exit_code == 0, ran.stderr
    assert {each["uuid"] for each in ran.json} == set(pair)
    assert {each["outcome"] for each in ran.json} == {"done"}
    assert [each["operation"] for each in changes(voicectl)[1:]] == ["updateConversation"]
    voicectl.clock.sleep(60)
    assert [status(voicectl, leg) for leg in pair] == ["answered"] * 2
    joined = voicectl.call("447700900003", "--join support-17")
    assert {conversation(voicectl, leg) for leg in (*pair, joined)} == {conversation(voicectl, joined)}


def test_with_partners_legs_already_in_the_room_are_left_alone(voicectl: Room) -> None:
    pair = connected(voicectl)
    voicectl(f"move {pair[0]} support-17 --with-partners --yes")
    before = changes(voicectl)

    ran = voicectl(f"move {pair[0]} support-17 --with-partners")

    assert ran.rows == [[pair[0], "move", "already"]]
    assert changes(voicectl) == before


def test_a_pair_that_became_a_room_is_still_a_pair(voicectl: Room) -> None:
    pair = connected(voicectl)
    voicectl(f"move {pair[0]} support-17 --with-partners --yes")

    ran = voicectl(f"move {pair[0]} support-18 --dry-run")

    assert f"({pair[1]}) and {PERSON} ({pair[0]}) are joined" in ran.stderr


def test_a_called_party_moves_into_an_existing_room_before_its_caller(voicectl: Room) -> None:
    """The flow of the caller then continues; in the other order, the callee's call would end."""
    caller, callee = connected(voicectl, LATER)
    third = voicectl.call("447700900003", "--join support-17")

    ran = voicectl(f"move {caller} support-17 --with-partners --yes")

    assert ran.exit_code == 0, ran.stderr
    assert [row[0] for row in ran.rows] == [callee, caller]
    assert "moved one by one" in ran.stderr
    assert {conversation(voicectl, leg) for leg in (caller, callee)} == {conversation(voicectl, third)}


def test_a_partial_failure_shows_where_each_leg_is(voicectl: Room) -> None:
    caller, callee = connected(voicectl)  # no action follows: the caller's call ends with the callee's move
    voicectl.call("447700900003", "--join support-17")

    ran = voicectl(f"move {caller} support-17 --with-partners --yes")

    assert ran.exit_code == 10
    assert ran.rows == [[callee, "move", "done"]]
    assert ran.stderr.splitlines()[-1] == f"{PERSON} ({caller}) has ended: completed"


def test_partners_are_moved_after_consent_only(voicectl: Room) -> None:
    caller, callee = connected(voicectl)
    before = changes(voicectl)

    refused = voicectl(f"move {caller} support-17 --with-partners")
    bounded = voicectl(f"move {caller} support-17 --with-partners --yes --max 1")

    assert (refused.exit_code, bounded.exit_code) == (9, 9)
    assert all(leg in refused.stderr for leg in (caller, callee))
    assert refused.stdout == bounded.stdout == ""
    assert changes(voicectl) == before


def test_at_a_terminal_consent_is_asked_for(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock(), speed=50.0)
    room.clock = SystemClock()  # type: ignore[assignment]
    caller, _ = room.call(options="--join lobby"), room.call(PARTNER, "--join lobby")

    declined = converse(
        room,
        f"move {caller} support-17 --with-partners",
        [("Move 2 legs to support-17 on test? [y/N] ", "n\n")],
    )
    agreed = converse(
        room,
        f"move {caller} support-17 --with-partners",
        [("Move 2 legs to support-17 on test? [y/N] ", "y\n")],
    )

    assert (declined[0], declined[1]) == (9, "")
    assert agreed[0] == 0
    assert len(agreed[1].splitlines()) == 2


def test_a_dry_run_with_partners_shows_the_one_request(voicectl: Room) -> None:
    caller, callee = connected(voicectl)

    ran = voicectl(f"move {caller} support-17 --with-partners --dry-run")

    assert ran.exit_code == 0
    (line,) = ran.stdout.splitlines()
    assert "/v1/conversations/CON-" in line
    assert callee in ran.stderr


def test_terms_of_entry_apply_to_each_moved_leg_so_each_is_moved_alone(voicectl: Room) -> None:
    caller, _ = connected(voicectl, LATER)

    ran = voicectl(f"move {caller} support-17 --with-partners --yes --mute")

    assert ran.exit_code == 0, ran.stderr
    assert [each["operation"] for each in changes(voicectl)[-2:]] == ["updateCall"] * 2


@pytest.mark.parametrize("named", ["{0}", "{0} {1}"])
def test_terms_that_prevent_a_pair_from_becoming_a_new_room_are_reported_before_consent(
    voicectl: Room, named: str
) -> None:
    pair = connected(voicectl)
    before = changes(voicectl)

    ran = voicectl(f"move {named.format(*pair)} support-17 --with-partners --mute")

    assert (ran.exit_code, ran.stdout) == (9, "")
    warned, asked, *_ = ran.stderr.splitlines()
    assert warned.startswith(
        "warning: the given options must be set on each leg separately, so the legs of CON-"
    )
    assert asked == "Move 2 legs to support-17 on test:"
    assert changes(voicectl) == before


def test_an_existing_room_is_reported_before_consent(voicectl: Room) -> None:
    caller, _ = connected(voicectl)
    voicectl.call("447700900003", "--join support-17")
    before = changes(voicectl)

    ran = voicectl(f"move {caller} support-17 --with-partners")

    assert ran.exit_code == 9
    warned, asked, *_ = ran.stderr.splitlines()
    assert warned.startswith("warning: support-17 already exists, so the legs of CON-")
    assert asked == "Move 2 legs to support-17 on test:"
    assert changes(voicectl) == before


def test_legs_are_not_moved_one_by_one_into_a_room_created_meanwhile(voicectl: Room) -> None:
    caller, callee = connected(voicectl)
    voicectl.call("447700900003", "--join support-17")
    assert voicectl.sandbox is not None
    voicectl.sandbox.faults.add({"what": "status", "code": 403, "on": "listConversations"})

    ran = voicectl(f"move {caller} support-17 --with-partners --yes")

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert "A room named support-17 has been created in the meantime" in ran.stderr
    assert [status(voicectl, leg) for leg in (caller, callee)] == ["answered"] * 2


def test_with_partners_a_pair_that_became_a_room_becomes_another(voicectl: Room) -> None:
    pair = connected(voicectl)
    voicectl(f"move {pair[0]} support-17 --with-partners --yes")

    ran = voicectl(f"move {pair[0]} support-18 --with-partners --yes")

    assert ran.exit_code == 0, ran.stderr
    assert [each["operation"] for each in changes(voicectl)[1:]] == ["updateConversation"] * 2
    voicectl.clock.sleep(60)
    assert [status(voicectl, leg) for leg in pair] == ["answered"] * 2


def test_partners_are_not_moved_if_their_conversation_cannot_be_read(voicectl: Room) -> None:
    caller, _ = connected(voicectl)
    before = changes(voicectl)
    assert voicectl.sandbox is not None
    voicectl.sandbox.faults.add({"what": "status", "code": 503, "on": "getConversation"})

    ran = voicectl(f"move {caller} support-17 --with-partners --yes")

    assert (ran.exit_code, ran.stdout) == (7, "")
    assert changes(voicectl) == before


def test_partners_are_moved_after_a_warning_if_their_conversation_is_forbidden(voicectl: Room) -> None:
    caller, _ = connected(voicectl)
    assert voicectl.sandbox is not None
    voicectl.sandbox.faults.add({"what": "status", "code": 403, "on": "getConversation"})

    ran = voicectl(f"move {caller} support-17 --with-partners")

    assert ran.exit_code == 9
    warned, asked, *_ = ran.stderr.splitlines()
    assert warned.startswith("warning: the conversation cannot be read (")
    assert asked == "Move 2 legs to support-17 on test:"


def test_a_pair_that_may_have_become_a_room_is_still_a_pair(voicectl: Room) -> None:
    pair = connected(voicectl)
    assert voicectl.sandbox is not None
    voicectl.sandbox.faults.add({"what": "lost-reply", "on": "updateConversation"})
    lost = voicectl(f"move {pair[0]} support-17 --with-partners --yes")
    voicectl.sandbox.faults.clear()

    ran = voicectl(f"move {pair[0]} support-18 --dry-run")

    assert lost.exit_code == 7
    assert f"({pair[1]}) and {PERSON} ({pair[0]}) are joined" in ran.stderr


def test_a_list_is_moved_with_its_partners_after_one_consent(voicectl: Room) -> None:
    one = voicectl.call(options="--join lobby")
    other = voicectl.call(PARTNER, "--join lobby")

    ran = voicectl("move - support-17 --with-partners --yes", stdin=f"{one}\n")

    assert ran.exit_code == 0, ran.stderr
    assert {row[0] for row in ran.rows} == {one, other}


def test_no_wait_sends_only_the_move(voicectl: Room) -> None:
    caller, _ = connected(voicectl)
    before = len(voicectl.requests())

    ran = voicectl(f"move {caller} support-17 --no-wait")

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert len(voicectl.requests()) == before + 1


class Platform:
    """A server that accepts a move, then reports each of *seen* for the leg in turn, and repeats the last.

    Args:
        seen: Conversations, or the status of a leg that has ended.
        names: Names of conversations; the Conversation API refuses requests for others.
    """

    def __init__(self, *seen: str, names: dict[str, str], change: bytes | None = None) -> None:
        self.seen = list(seen)
        self.names = names
        self.change = change or reply(204)
        self.asked = ""
        self.at: list[str] = []

    def __call__(self, request: Request) -> bytes:
        if request.method == "PUT":
            return self.change
        if request.path == "/v1/calls":
            return reply(body=page(*self._listed(request.query)))
        if request.path == "/v1/conversations":
            return reply(403, {"title": "Forbidden"})
        id_ = request.path.rpartition("/")[2]
        if id_.startswith("CON-"):
            return reply(body={"id": id_, "name": self.names[id_]}) if id_ in self.names else reply(404)
        self.asked = id_
        word = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        self.at.append(word)
        is_up = word.startswith("CON-")
        where = {"conversation_uuid": word if is_up else OLD, "status": "answered" if is_up else word}
        return reply(body={"uuid": id_, "direction": "outbound", **where})

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """The leg that was requested last, alone in its conversation."""
        where = {"status": "answered", "conversation_uuid": query["conversation_uuid"]}
        return [{"uuid": self.asked, **where}] if query.get("status") == "answered" else []


@pytest.fixture
def moved(tmp_path: Path, application: Application) -> Callable[..., tuple[Ran, Platform, Room]]:
    """Moves a leg into ``support-17`` on such a platform."""

    def move(*seen: str, line: str = f"move {LEG} support-17", **platform: Any) -> tuple[Ran, Platform, Room]:
        names = platform.pop("names", {OLD: "NAM-" + OLD[4:], OWN: "NAM-" + OWN[4:], NEW: "support-17"})
        answers = Platform(*seen, names=names, **platform)
        with Canned(answers) as server:
            room = machine(tmp_path, application, server.url)
            return room(line), answers, room

    return move


Moved = Callable[..., tuple[Ran, Platform, Room]]


def test_it_waits_until_the_leg_is_in_the_room_even_through_another_conversation(moved: Moved) -> None:
    ran, platform, _ = moved(OLD, OLD, OWN, OWN, OWN, NEW)

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert platform.at == [OLD, OLD, OWN, OWN, OWN, NEW]


@pytest.mark.parametrize(
    ("last", "code", "message"),
    [
        (OLD, 8, f"after 5 s, the leg is in {OLD}"),
        (OWN, 8, f"after 5 s, the leg is in {OWN}"),
        ("completed", 11, "has ended: completed"),
    ],
)
def test_a_leg_that_does_not_reach_the_room_is_a_failure(
    moved: Moved, last: str, code: int, message: str
) -> None:
    ran, _, room = moved(OLD, last)

    assert ran.exit_code == code
    assert ran.rows == [[LEG, "move", "done"]]  # the platform took it, and it must not be sent again
    assert message in ran.stderr
    assert sum(room.clock.slept) < 6


def test_each_of_several_legs_that_do_not_arrive_is_named_and_sets_the_exit_status(moved: Moved) -> None:
    ran, _, _ = moved(OLD, line=f"move {LEG} {OTHER} support-17")

    assert ran.exit_code == 8
    assert [leg in ran.stderr for leg in (LEG, OTHER)] == [True, True]
    assert len(ran.rows) == 2


def test_if_no_name_can_be_read_it_says_so_and_waits_only_briefly(moved: Moved) -> None:
    ran, _, room = moved(OLD, NEW, names={})

    assert ran.exit_code == 0
    assert f"{LEG} is in {NEW}; voicectl cannot check whether this is support-17" in ran.stderr
    assert sum(room.clock.slept) < 3


def test_a_lost_reply_is_12_and_the_leg_is_looked_for(moved: Moved) -> None:
    ran, _, _ = moved(OLD, NEW, change=reply(500))

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert ran.stderr.splitlines()[0] == f"{LEG} is in the room, {NEW}"


def test_a_refused_move_moves_no_leg_and_shows_no_further_warning(moved: Moved) -> None:
    ran, _, _ = moved(OLD, change=reply(400, {"title": "Bad Request"}))

    assert (ran.exit_code, ran.stdout) == (5, "")


def test_a_failed_check_before_a_move_does_not_prevent_it(voicectl: Room, application: Application) -> None:
    caller, _ = connected(voicectl)
    with FaultProxy(voicectl.url) as line:
        line.fault = cut(Side.REPLY, 0, method="GET")
        room = machine(voicectl.home / "other", application, line.url)
        ran = room(f"move {caller} support-17")

    assert ran.rows == [[caller, "move", "done"]]
    assert ran.exit_code == 8
    assert f"The partners of {caller} could not be checked" in ran.stderr
    assert sum(request.method == "PUT" for request in line.requests) == 1


def test_a_room_of_the_same_name_in_another_region_is_another_room(start_room: StartRoom) -> None:
    room = start_room()
    assert room.sandbox is not None
    regions = dict(room.sandbox.region_urls)
    store = ProfileStore(room.config)
    store.add(
        replace(store.get("test"), regions=regions, base_url=regions["na-east"]), key=None, replace=True
    )
    legs = [
        httpx.post(
            f"{room.url}/sandbox/ring", json={"to": "442079460000", "from": PERSON, "region": region}
        ).json()["uuid"]
        for region in ("na-east", "eu-west")
    ]
    room.clock.sleep(3)

    ran = room(f"move {' '.join(legs)} support-17")

    assert ran.exit_code == 0, ran.stderr
    places = {conversation(room, leg) for leg in legs}
    assert len(places) == 2
    assert "warning: the legs moved to support-17 are in separate conversations" in ran.stderr
    assert all(place in ran.stderr for place in places)


@pytest.fixture
def away(start_room: StartRoom) -> tuple[Room, str, str]:
    """A pair in a region that the profile does not use: an inbound caller, and the leg connected to it."""
    room = start_room()
    assert room.sandbox is not None
    regions = dict(room.sandbox.region_urls)
    store = ProfileStore(room.config)
    flow = room.home / "flow.json"
    flow.write_text(
        json.dumps(
            [
                {
                    "action": "connect",
                    "from": "442079460000",
                    "endpoint": [{"type": "phone", "number": PARTNER}],
                }
            ]
        )
    )
    rung = room(
        f"sandbox ring --to 442079460000 --from {PERSON} --region eu-west --ncco {flow} -q",
        env={"VOICECTL_SANDBOX": room.url},
    )
    assert rung.exit_code == 0, rung.stderr
    caller = rung.stdout.strip()
    room.clock.sleep(4)
    (callee,) = [row[0] for row in room("call list").rows if row[0] != caller]
    store.add(
        replace(store.get("test"), regions=regions, base_url=regions["na-east"]), key=None, replace=True
    )
    room.sandbox.faults.add({"what": "region"})
    return room, caller, callee


def test_partners_count_as_unknown_if_the_list_lacks_the_leg(
    away: tuple[Room, str, str],
) -> None:
    room, caller, callee = away
    before = changes(room)

    refused = room(f"move {caller} support-17 --with-partners --yes")

    assert (refused.exit_code, refused.stdout) == (9, "")
    assert f"The partners of {caller} are not known: the leg is on http://" in refused.stderr
    assert changes(room) == before
    assert status(room, callee) == "answered"


def test_a_move_of_one_leg_causes_a_warning_if_the_list_lacks_it(
    away: tuple[Room, str, str],
) -> None:
    room, caller, _ = away

    ran = room(f"move {caller} support-17 --dry-run")

    assert ran.exit_code == 0
    assert f"warning: the partners of {caller} are not known: the leg is on http://" in ran.stderr


class Crowded(Platform):
    """A conversation with more records of legs that are over than fit a page."""

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        match query.get("status"):
            case "answered":
                found = [(LEG, "answered"), (OTHER, "answered")]
            case None:
                found = [(f"00000000-0000-4000-8000-{n:012}", "completed") for n in range(100)]
            case _:
                found = []
        return [{"uuid": leg, "status": word, "conversation_uuid": OLD} for leg, word in found]


def test_a_leg_that_would_be_left_alone_is_found_among_any_number_of_ended_legs(
    tmp_path: Path, application: Application
) -> None:
    with Canned(Crowded(OLD, NEW, names={OLD: "NAM-" + OLD[4:], NEW: "support-17"})) as server:
        ran = machine(tmp_path, application, server.url)(f"move {LEG} support-17")

    assert ran.exit_code == 0
    assert f"warning: {OTHER} and {LEG} are joined" in ran.stderr


@pytest.mark.parametrize(("option", "code"), [("", 0), ("--with-partners --yes", 9)])
def test_an_endless_list_leaves_the_partners_of_a_leg_unknown(
    tmp_path: Path, application: Application, option: str, code: int
) -> None:
    answers = Platform(OLD, NEW, names={OLD: "NAM-" + OLD[4:], NEW: "support-17"})
    count = 0

    def answer(request: Request) -> bytes:
        nonlocal count
        if request.path != "/v1/calls":
            return answers(request)
        count += 1
        where = {"status": "answered", "conversation_uuid": OLD}
        legs = [{"uuid": leg, **where} for leg in (LEG, f"00000000-0000-4000-8000-{count:012}")]
        return reply(body=page(*legs, following=None if count % 2 else "/v1/calls?status=answered&page=2"))

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"move {LEG} support-17 {option}")

    assert ran.exit_code == code
    assert "are not known: there may be more legs than voicectl could list" in ran.stderr


def test_all_checks_before_a_move_share_three_seconds(tmp_path: Path, application: Application) -> None:
    answers = Platform(OLD, NEW, names={OLD: "NAM-" + OLD[4:], NEW: "support-17"})
    moved: list[float] = []

    def answer(request: Request) -> bytes:
        room.clock.sleep(1.1)
        if request.method == "PUT":
            moved.append(room.clock.monotonic())
        return answers(request)

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)
        began = room.clock.monotonic()
        ran = room(f"move {LEG} support-17")

    assert ran.rows == [[LEG, "move", "done"]]
    assert f"The partners of {LEG} could not be checked: The API is responding too slowly" in ran.stderr
    assert moved[0] - began < 5


def test_after_a_failed_check_the_other_legs_are_moved_without_one(
    voicectl: Room, application: Application
) -> None:
    legs = [voicectl.call(), voicectl.call(PARTNER)]
    with FaultProxy(voicectl.url) as line:
        line.fault = cut(Side.REPLY, 0, method="GET")
        room = machine(voicectl.home / "other", application, line.url)
        ran = room(f"move {' '.join(legs)} support-17")

    assert [row[0] for row in ran.rows] == legs
    methods = [request.method for request in line.requests]
    assert "GET" not in methods[methods.index("PUT") : methods.index("PUT") + 2]
    assert f"The partners of {legs[1]} were not checked: " in ran.stderr


def test_a_leg_that_is_not_listed_may_be_in_another_region(voicectl: Room) -> None:
    for name in ("0a1b2c3d", "to:447700900999"):
        ran = voicectl(f"move {name} support-17")
        assert ran.exit_code == 4
        assert "To name a leg in another region, give its full id." in ran.stderr


def test_help_says_which_behaviour_is_documented(voicectl: Room) -> None:
    shown = " ".join(voicectl("move --help").stdout.split())
    assert "The platform's documentation implies, but does not state," in shown


def test_a_signal_during_the_wait_ends_it_after_the_move_was_reported(
    tmp_path: Path, application: Application
) -> None:
    answers = Platform(OLD, names={OLD: "NAM-" + OLD[4:]})
    with Canned(answers) as server:
        room = machine(tmp_path, application, server.url)
        with room.spawn(f"move {LEG} support-17") as child:
            eventually(lambda: len(answers.at) > 2)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=PATIENCE_SECONDS)

    assert (child.returncode, out) == (130, f"{LEG}\tmove\tdone\n".encode())
