"""A leg that lives in another region or belongs to another application; and a leg named by its number."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartRoom
from tests.support.kept import keep, status
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Room
from tests.support.servers import LEG, Canned, Eavesdropper, reply
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending
from voicectl.core.calls import regions
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.store.events import Route
from voicectl.voice.call import hyphenated

HOME = "na-east"
AWAY = "eu-west"
OTHER_APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"

CHANGES = [
    "talk {leg} Hello",
    "talk {leg} --stop",
    "stream {leg} https://cdn.example.org/a.mp3",
    "stream {leg} --stop",
    "dtmf {leg} 12",
    "dtmf {leg} --listen https://app.example.org/keys",
    "dtmf {leg} --no-listen",
    "mute {leg}",
    "unmute {leg}",
    "earmuff {leg}",
    "unearmuff {leg}",
    "hangup {leg}",
    "transfer {leg} --answer-url https://app.example.org/answer",
    "move {leg} support-17 --no-wait",
]

GONE = reply(404, {"title": "Not Found"})


@pytest.fixture
def room(start_room: StartRoom) -> Room:
    """A machine whose profile asks one region of a sandbox, and knows the others."""
    room = start_room()
    set_up(room)
    return room


def set_up(room: Room, **changes: object) -> None:
    """Have the profile ask one region, and know them all, but for the *changes*.

    The profile ``sandbox`` stays as the sandbox itself stores it.
    """
    assert room.sandbox is not None
    regions = dict(room.sandbox.region_urls)
    store = ProfileStore(room.config)
    own_profile(room)
    settings: dict[str, object] = {"regions": regions, "base_url": regions[HOME]} | changes
    store.add(replace(store.get("test"), **settings), key=None, replace=True)  # type: ignore[arg-type]


def own_profile(room: Room) -> None:
    """Add the profile that ``sandbox start`` would write."""
    assert room.sandbox is not None
    store = ProfileStore(room.config)
    own = replace(store.get("test"), name="sandbox", base_url=room.url, regions=room.sandbox.region_urls)
    key = keys.parse(store.key_path("test").read_text(), where="the test")
    secret = store.secret("test", "signature-secret")
    store.add(own, key=key, signature_secret=secret, replace=True)


def ring(room: Room, region: str = AWAY) -> str:
    """The id of an inbound call that lives in *region*."""
    made = httpx.post(
        f"{room.url}/sandbox/ring", json={"to": "442079460000", "from": PERSON, "region": region}
    )
    room.clock.sleep(2)
    return str(made.raise_for_status().json()["uuid"])


def url(room: Room, region: str) -> str:
    assert room.sandbox is not None
    return room.sandbox.region_urls[region]


class Watch:
    """Return the requests that the sandbox receives from now on."""

    def __init__(self, room: Room) -> None:
        for thread in threading.enumerate():
            if thread.name == "beside":  # it asks a region whose answer is no longer needed
                thread.join()
        self._room = room
        self._before = len(room.requests())

    @property
    def asked(self) -> list[tuple[str, str | None, int]]:
        """Method, region and status of each request, in order."""
        entries = self._room.requests()[self._before :]
        return [
            (each["method"], each["region"], each["status"])
            for each in entries
            if each["path"].startswith("/v1/")
        ]

    @property
    def changes(self) -> list[tuple[str, str | None, int]]:
        return [each for each in self.asked if each[0] != "GET"]


@pytest.mark.parametrize("line", CHANGES)
def test_a_change_is_made_once_in_the_region_of_the_leg(room: Room, line: str) -> None:
    leg, watch = ring(room), Watch(room)

    ran = room(line.format(leg=leg))

    assert ran.exit_code == 0, ran.stderr
    refused, made = watch.changes
    assert refused[1:] == (HOME, 404)
    assert (made[1], made[2] // 100) == (AWAY, 2)
    assert len(watch.asked) <= 2 + 8
    assert f"Leg {leg} is on {url(room, AWAY).removeprefix('http://')}" in ran.stderr


def test_the_region_is_remembered_and_the_next_request_goes_only_there(room: Room) -> None:
    leg = ring(room)
    room(f"mute {leg}")
    watch = Watch(room)

    assert room(f"dtmf {leg} 12").exit_code == 0
    assert room(f"call show {leg} -q").exit_code == 0

    assert watch.asked == [("PUT", AWAY, 200), ("GET", AWAY, 200)]


@pytest.mark.parametrize("line", ["call show {leg} -o json", "wait {leg} --for ringing -o json"])
def test_a_record_is_found_in_any_region(room: Room, line: str) -> None:
    leg, watch = ring(room), Watch(room)

    ran = room(line.format(leg=leg))

    assert ran.exit_code == 0, ran.stderr
    assert ran.json["uuid"] == leg
    assert watch.changes == []


def test_if_the_global_host_loses_its_legs_the_regions_have_them(room: Room) -> None:
    set_up(room, base_url=room.url)
    leg = room.call()
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "region"})
    watch = Watch(room)

    assert room(f"dtmf {leg} 12").exit_code == 0

    assert watch.changes == [("PUT", None, 404), ("PUT", HOME, 200)]


def test_a_leg_of_the_first_host_costs_one_request(room: Room) -> None:
    leg, watch = ring(room, HOME), Watch(room)

    assert room(f"dtmf {leg} 12").exit_code == 0

    assert watch.asked == [("PUT", HOME, 200)]


@pytest.mark.parametrize("line", [*CHANGES, "call show {leg}", "wait {leg} --for ringing"])
def test_the_other_spelling_of_an_id_is_asked_in_every_region(room: Room, line: str) -> None:
    leg, watch = ring(room), Watch(room)

    ran = room(line.format(leg=hyphenated(leg)) + " -o json")

    assert (ran.exit_code, ran.json["uuid"]) == (0, leg), ran.stderr
    assert len([each for each in watch.changes if each[2] < 400]) == line.startswith(tuple(CHANGES))
    assert f"The API knows leg {hyphenated(leg)} as {leg}" in ran.stderr


def test_a_leg_that_is_nowhere_is_reported_with_all_requested_hosts(room: Room) -> None:
    watch = Watch(room)

    ran = room(f"mute {LEG} -o json")

    assert ran.exit_code == 4
    assert len(ran.stderr.splitlines()) == 1
    assert room.sandbox is not None
    for each in room.sandbox.region_urls.values():
        assert each.removeprefix("http://") in ran.error["message"]
    assert ProfileStore(room.config).get("test").application_id in ran.error["message"]
    assert ran.error["http_status"] == 404
    assert len(watch.changes) == 1
    assert len(watch.asked) == 1 + 2 * 6  # by both spellings of the id


def test_several_legs_that_are_nowhere_are_looked_up_once_each(room: Room) -> None:
    watch = Watch(room)

    ran = room(f"hangup {LEG} {LEG[:-1]}7")

    assert ran.exit_code == 4
    assert len(watch.changes) == 2
    assert len(watch.asked) == 2 * (1 + 2 * 6)


def test_a_leg_that_has_ended_is_reported_as_ended(room: Room) -> None:
    leg = ring(room)
    room(f"hangup {leg}")
    watch = Watch(room)

    ran = room(f"mute {leg} -o json")

    assert ran.exit_code == (4 if ran.error["http_status"] == 404 else 5)
    assert {region for _, region, _ in watch.asked} == {AWAY}


def test_hanging_up_a_leg_that_ended_elsewhere_is_already_done(room: Room) -> None:
    leg = ring(room)
    assert room(f"hangup {leg} -o json").json["outcome"] == "done"
    assert room(f"hangup {leg} -o json").json["outcome"] == "already"
    (room.state / ProfileStore(room.config).get("test").application_id / "notes").unlink()

    ran = room(f"hangup {leg} -o json")

    assert (ran.exit_code, ran.json["outcome"]) == (0, "already")


def test_a_leg_that_is_nowhere_but_ended_by_a_signed_event_is_already_done(room: Room) -> None:
    keep(room, status("completed", leg=LEG))

    ran = room(f"hangup {LEG} -o json")

    assert (ran.exit_code, ran.json["outcome"]) == (0, "already")


def test_a_lost_reply_of_the_region_is_an_unknown_outcome_and_is_not_repeated(room: Room) -> None:
    leg = ring(room)
    room(f"mute {leg}")
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "lost-reply", "on": "startDTMF", "times": 1})
    watch = Watch(room)

    ran = room(f"dtmf {leg} 12")

    assert ran.exit_code == 12
    assert f"voicectl call show {leg}" in ran.stderr
    assert [each[:2] for each in watch.asked] == [("PUT", AWAY)]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> str:
    """The option that makes a search wait forever for a host that does not answer."""
    for name in ("SECONDS", "REGIONS_SECONDS"):
        monkeypatch.setattr(regions, name, FOR_EVER)
    return "--request-timeout 600"


def test_a_region_that_does_not_answer_is_unknown_and_does_not_delay_the_others(
    room: Room, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leg = ring(room)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        known = {name: url(room, name) for name in (HOME, AWAY)} | {"apac-sng": f"http://{name}"}
        set_up(room, regions=known)

        found = ending(lambda: room(f"mute {leg} {patient}"))
        monkeypatch.setattr(regions, "REGIONS_SECONDS", 1.0)
        missing = room(f"mute {LEG} -o json")

    assert (found.exit_code, missing.exit_code) == (0, 7)
    absent, unknown = missing.error["message"].split("It may be on")
    assert name in unknown
    assert name not in absent
    assert url(room, AWAY).removeprefix("http://") in absent


@pytest.mark.parametrize("line", ["talk {leg} Hi", "mute {leg}", "move {leg} support-17", "hangup {leg}"])
def test_a_leg_is_not_reported_as_missing_if_no_host_answered(room: Room, line: str) -> None:
    leg = ring(room)
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "on": "getCall", "code": 503})

    ran = room(line.format(leg=leg) + " -o json")

    assert (ran.exit_code, ran.error["retryable"]) == (7, True)
    if not line.startswith(("move", "hangup")):
        home, away = (url(room, each).removeprefix("http://") for each in (HOME, AWAY))
        absent, unknown = ran.error["message"].split("It may be on")
        assert home in absent  # it did answer its request
        assert home not in unknown
        assert away in unknown

    room.sandbox.faults.clear()
    assert room(line.format(leg=leg)).exit_code == 0


def test_a_profile_that_has_the_leg_is_named_though_a_region_is_silent(
    room: Room, application: Application
) -> None:
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "on": "getCall", "code": 503})
    with Canned(reply(200, {"uuid": LEG, "status": "answered"})) as theirs:
        other_profile(room, application, theirs.url)
        ran = room(f"mute {LEG} -o json")

    assert ran.exit_code == 4
    assert "Profile staging has it" in ran.error["message"]


def test_hanging_up_a_leg_that_ended_by_a_signed_event_is_already_done_though_no_region_answers(
    room: Room,
) -> None:
    keep(room, status("completed", leg=LEG))
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "on": "getCall", "code": 503})

    ran = room(f"hangup {LEG} -o json")

    assert (ran.exit_code, ran.json["outcome"]) == (0, "already")


@pytest.mark.parametrize(("seconds", "exit_code"), [(10, 7), (40, 0)])
def test_a_longer_request_timeout_applies_to_a_slow_region_too(
    room: Room, monkeypatch: pytest.MonkeyPatch, seconds: int, exit_code: int
) -> None:
    monkeypatch.setattr(regions, "REGIONS_SECONDS", 1.0)
    leg = ring(room)
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "delay", "on": "getCall", "seconds": 2})

    assert room(f"talk {leg} Hi --request-timeout {seconds}s").exit_code == exit_code


def test_legs_of_one_region_are_looked_up_there_first_and_it_is_reported_once(room: Room) -> None:
    legs, watch = [ring(room) for _ in range(5)], Watch(room)

    ran = room("mute - --yes", stdin="\n".join(legs))

    assert ran.exit_code == 0, ran.stderr
    Watch(room)
    reads = Counter(region for method, region, _ in watch.asked if method == "GET")
    assert reads.pop(AWAY) == 5
    assert reads.pop(HOME) == 2  # by both spellings of the id
    assert set(reads.values()) == {1}, "all hosts are asked for the first leg, even slow ones"
    assert ran.stderr.count(" is on ") == 1


def test_a_leg_of_a_third_region_is_found_after_one_of_the_second(room: Room) -> None:
    legs = [ring(room), ring(room, "apac-sng"), ring(room, HOME), ring(room)]
    watch = Watch(room)

    ran = room(f"mute {' '.join(legs)}")

    assert ran.exit_code == 0, ran.stderr
    made = [region for _, region, status in watch.changes if status < 300]
    assert made == [AWAY, "apac-sng", HOME, AWAY]
    assert ran.stderr.count(" is on ") == 2


def test_debug_lines_name_the_host_that_was_asked(room: Room) -> None:
    leg = ring(room)

    stderr = room(f"mute {leg} --debug").stderr

    assert f"PUT {url(room, HOME)}/v1/calls/{leg}: 404" in stderr
    assert f"PUT {url(room, AWAY)}/v1/calls/{leg}: 204" in stderr


def test_an_interrupt_ends_the_search_at_once_and_leaves_nothing_in_doubt(
    tmp_path: Path, application: Application
) -> None:
    with Canned(GONE) as home, socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_SECONDS)
        regions = {AWAY: f"http://127.0.0.1:{silent.getsockname()[1]}"}
        room = machine(tmp_path, application, home.url, regions=regions)
        with room.spawn(f"dtmf {LEG} 12") as child:
            connection, _ = silent.accept()
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=PATIENCE_SECONDS)
        connection.close()

    assert (child.returncode, err) == (130, b"")  # a finished search would name the requested hosts
    assert [each.method for each in home.requests] == ["PUT", "GET", "GET"]


def test_a_dry_run_shows_the_host_of_the_leg_and_sends_no_request(room: Room) -> None:
    leg = ring(room)
    room(f"mute {leg}")
    watch = Watch(room)

    ran = room(f"unmute {leg} --dry-run")

    assert f"{url(room, AWAY)}/v1/calls/{leg}" in ran.stdout
    assert watch.asked == []


def test_no_token_goes_to_a_host_named_by_a_note_or_an_event_unless_the_profile_lists_it(room: Room) -> None:
    leg = ring(room)
    with Canned(reply(200, {"uuid": leg, "status": "answered"})) as stranger:
        directory = room.state / ProfileStore(room.config).get("test").application_id
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "notes").write_text(json.dumps([0, leg, "region", "done", {"url": stranger.url}]) + "\n")
        keep(room, {"uuid": leg, "region_url": stranger.url, "to": "1", "from": "2"}, route=Route.ANSWER)

        assert room(f"mute {leg}").exit_code == 0

        assert stranger.requests == []


def other_profile(room: Room, application: Application, base_url: str, name: str = "staging") -> None:
    profile = Profile(name=name, application_id=OTHER_APP, base_url=base_url)
    ProfileStore(room.config).add(profile, key=application[1])


@pytest.mark.parametrize("line", ["dtmf {leg} 12", "hangup {leg}", "call show {leg}"])
def test_the_profile_of_the_leg_is_named_and_the_leg_is_not_changed(
    room: Room, application: Application, line: str
) -> None:
    with Canned(reply(200, {"uuid": LEG, "status": "answered"})) as theirs, Canned(GONE) as nobodys:
        other_profile(room, application, theirs.url)
        other_profile(room, application, nobodys.url, "lab")
        ran = room(line.format(leg=LEG) + " -o json")

    assert ran.exit_code == 4
    assert "Profile staging has it" in ran.error["message"]
    assert "-p staging" in ran.error["hint"]
    assert [(each.method, each.path) for each in theirs.requests] == [("GET", f"/v1/calls/{LEG}")]
    assert all(each.method == "GET" for each in nobodys.requests)
    (request,) = theirs.requests
    assert OTHER_APP in room("jwt show - -o json", stdin=str(request.token)).stdout


def test_a_profile_that_has_the_leg_is_named_without_waiting_for_a_silent_one(
    room: Room, application: Application, patient: str
) -> None:
    with (
        Canned(reply(200, {"uuid": LEG, "status": "answered"})) as theirs,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        other_profile(room, application, theirs.url)
        other_profile(room, application, f"http://127.0.0.1:{silent.getsockname()[1]}", "dead")
        ran = ending(lambda: room(f"mute {LEG} {patient} -o json"))

    assert "Profile staging has it" in ran.error["message"]


def test_profiles_that_do_not_know_the_leg_either_are_named(room: Room, application: Application) -> None:
    with Canned(GONE) as lab, Canned(reply(401)) as refused:
        other_profile(room, application, lab.url, "lab")
        other_profile(room, application, refused.url, "old")
        ran = room(f"mute {LEG} -o json")

    assert ran.exit_code == 4
    assert "Profile lab does not have it either" in ran.error["hint"]
    assert "Profile old was not checked" in ran.error["hint"]


def test_profiles_of_the_platform_are_not_tried_from_a_sandbox_or_vice_versa(
    room: Room, application: Application
) -> None:
    with Eavesdropper() as proxy, Canned(reply(200, {"uuid": LEG, "status": "answered"})) as here:
        other_profile(room, application, "https://api.nexmo.com", "prod")
        environ = {"HTTPS_PROXY": proxy.url, "https_proxy": proxy.url}
        from_sandbox = room(f"mute {LEG} -o json", env=environ)
        assert (from_sandbox.exit_code, proxy.connections) == (4, 0)

        other_profile(room, application, here.url, "local")
        from_platform = room(f"call show {LEG} -p prod --request-timeout 1 -o json", env=environ)

    assert from_platform.exit_code == 7
    assert proxy.connections > 0
    assert here.requests == []


def test_a_key_command_is_not_run_for_a_look_up(room: Room, application: Application) -> None:
    marker = room.home / "was-run"
    with Canned(reply(200, {"uuid": LEG, "status": "answered"})) as theirs:
        profile = Profile(
            name="vault",
            application_id=OTHER_APP,
            base_url=theirs.url,
            key_command=f"touch {marker}",
        )
        ProfileStore(room.config).add(profile, key=None)
        ran = room(f"mute {LEG} -o json")

    assert theirs.requests == []
    assert not marker.exists()
    assert "Profile vault was not checked" in ran.error["hint"]


def test_a_rehearsal_uses_its_sandbox_s_regions_and_tries_no_profile(
    room: Room, application: Application
) -> None:
    leg = ring(room)
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "region"})
    set_up(room, base_url=room.url, regions={})
    environ = {"VOICECTL_SANDBOX": room.url}
    with Canned(reply(200, {"uuid": LEG, "status": "answered"})) as theirs:
        other_profile(room, application, theirs.url)

        assert room(f"mute {leg}", env=environ).exit_code == 0
        assert room(f"mute {LEG}", env=environ).exit_code == 4

        assert theirs.requests == []


def test_the_profile_that_sandbox_start_writes_finds_its_legs(start_room: StartRoom) -> None:
    room = start_room()
    assert room.sandbox is not None
    own_profile(room)
    leg = ring(room, "apac-sng")
    room.sandbox.faults.add({"what": "region"})

    assert room(f"mute {leg} -p sandbox").exit_code == 0


# to: and from:

OTHER = "447700900002"


@pytest.fixture
def three(start_room: StartRoom) -> tuple[Room, dict[str, str]]:
    """Calls to two people, and one from a third."""
    room = start_room()
    calls = {"one": room.call(PERSON), "other": room.call(OTHER), "inbound": ring(room, HOME)}
    return room, calls


@pytest.mark.parametrize(
    ("text", "leg"),
    [
        (f"to:{PERSON}", "one"),
        (f"to:+{OTHER}", "other"),
        ("to:44770090000", None),
        ("to:4477009000", None),
        (f"from:{PERSON}", "inbound"),
        ("from:4477", "inbound"),
        ("to:4420", "inbound"),
        ("to:9999", None),
    ],
)
def test_a_number_names_the_only_leg_that_has_it_or_begins_with_it(
    three: tuple[Room, dict[str, str]], text: str, leg: str | None
) -> None:
    room, calls = three
    watch = Watch(room)

    ran = room(f"mute {text} -o json")

    if leg is None:
        assert ran.exit_code == 4
        assert watch.changes == []
        if text != "to:9999":
            assert calls["one"] in ran.error["hint"]
            assert calls["other"] in ran.error["hint"]
    else:
        assert (ran.exit_code, ran.json["uuid"]) == (0, calls[leg])


def test_a_complete_number_takes_precedence_over_a_longer_one(room: Room) -> None:
    set_up(room, base_url=room.url)
    short = room.call("44770090000")
    room.call("447700900001")

    assert room("mute to:44770090000 -q").stdout.strip() == short


@pytest.mark.parametrize(
    "text", ["to:447", "to:", "from:alice", "to:4477*", "to:4477x0090", "via:447700900001"]
)
def test_text_that_is_not_a_number_names_no_leg(room: Room, text: str) -> None:
    watch = Watch(room)

    ran = room(["mute", text])

    assert ran.exit_code == 2
    assert watch.asked == []


def test_a_number_is_not_a_room(room: Room) -> None:
    assert room(f"move {LEG} to:447700900001").exit_code == 2
