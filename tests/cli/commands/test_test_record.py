"""``test record``: a walked or real call becomes a scenario that passes, until the application changes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import StartRoom
from tests.support import kept
from tests.support.room import PERSON, Ran, Room
from tests.support.scenarios import MENU
from tests.support.waiting import eventually
from voicectl.core.scenarios import reading
from voicectl.core.scenarios.application import free_port
from voicectl.core.scenarios.recording import Recording
from voicectl.core.scenarios.writing import written
from voicectl.store.events import Route

RUN = f"{sys.executable} menu.py {{port}}"
LEG = "5f5f8f3afe61427c9295f5851afc33db"
CONVERSATION = "CON-e0de6b9d-6060-417e-881e-a1bd18ad4317"


class Walked:
    """A frozen sandbox whose application is the menu, and people who call it."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def ring(self, caller: str = PERSON) -> str:
        return self.do(f"sandbox ring --to 442079460000 --from {caller} -q").stdout.strip()

    def do(self, line: str) -> Ran:
        ran = self.room(line)
        assert ran.exit_code == 0, ran.stderr
        return ran

    def walk(self, leg: str, *acts: str) -> None:
        """Let people act: seconds to wait, or what the person on *leg* does, as in the commands of ``sandbox``."""
        for act in acts:
            verb, _, value = act.partition(" ")
            self.do(f"sandbox advance {act}" if act[0].isdigit() else f"sandbox {verb} {leg} {value}")

    def record(self, leg: str, options: str = "") -> dict[str, Any]:
        """Record a call as ``rec.call.toml``, and return what was written."""
        text = self.do(f"test record {leg} {options}").stdout
        (self.room.home / "rec.call.toml").write_text(text)
        return tomllib.loads(text)

    def test(self) -> Ran:
        self.room.environ.pop("VOICECTL_SANDBOX", None)
        return self.room.process(["test", "run", "rec.call.toml"])


@pytest.fixture
def walked(start_room: StartRoom) -> Iterator[Walked]:
    room, port = start_room(frozen=True), free_port()
    room.environ["VOICECTL_SANDBOX"] = room.url
    shutil.copy(MENU, room.home / MENU.name)
    with subprocess.Popen([sys.executable, str(MENU), str(port)], stdout=subprocess.DEVNULL) as menu:
        eventually(lambda: is_open(port))
        hooks = f"--answer http://127.0.0.1:{port}/answer --event http://127.0.0.1:{port}/event"
        assert room(f"app urls {hooks}").exit_code == 0
        yield Walked(room)
        menu.kill()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def steps_of(file: dict[str, Any]) -> list[dict[str, Any]]:
    (test,) = file["test"]
    found: list[dict[str, Any]] = test["steps"]
    return found


def test_a_walk_becomes_the_steps_that_a_person_would_write(walked: Walked) -> None:
    leg = walked.ring()
    walked.walk(leg, "3", "press 1", "8", "hangup")

    file = walked.record(leg)

    assert steps_of(file) == [
        {"hear": "Welcome to ACME. For"},
        {"press": "1"},
        {"hear": "Connecting you."},
        {"connected": "447700900002"},
        {"hangup": True},
    ]
    assert file["test"][0]["call"] == {"from": PERSON, "to": "442079460000"}
    assert file["test"][0]["expect"] == {"status": "completed"}
    assert file["app"]["answer_url"] == "/answer"
    assert file["app"]["url"].startswith("http://127.0.0.1:")


WALKS = {
    "silence": ["40"],
    "a wrong key first": ["2", "press 9", "5", "press 1", "10", "hangup"],
    "a key before anybody listens": ["1", "press 7", "1", "press 1", "9", "hangup"],
    "speech": ["3", "press 2", "4", "say 'my bill'", "30"],
    "a room": ["3", "press 3", "5", "hangup"],
    "music": ["3", "press 4", "40"],
    "a recording": ["3", "press 5", "40"],
    "a late key": ["9.5", "press 4", "40"],
    "hung up at once": ["1.5", "hangup"],
    "hung up after a long wait": ["3", "press 3", "25", "hangup"],
}


@pytest.mark.parametrize("walk", WALKS)
def test_a_recorded_call_passes_on_the_same_application(walked: Walked, walk: str) -> None:
    leg = walked.ring()
    walked.walk(leg, *WALKS[walk])
    walked.record(leg, f"--run '{RUN}'")

    tested = walked.test()

    assert tested.exit_code == 0, (walked.room.home / "rec.call.toml").read_text() + tested.stderr


def test_a_recorded_call_fails_once_the_application_says_something_else(walked: Walked) -> None:
    leg = walked.ring()
    walked.walk(leg, "3", "press 1", "8", "hangup")
    walked.record(leg, f"--run '{RUN}'")
    menu = walked.room.home / MENU.name
    menu.write_text(menu.read_text().replace("Connecting you.", "One moment."))

    tested = walked.test()

    assert tested.exit_code == 13
    assert "hear 'Connecting you.': not heard" in tested.stderr


def test_people_who_press_by_themselves_do_so_again(walked: Walked) -> None:
    leg = walked.ring("447700900114")
    walked.walk(leg, "40")
    file = walked.record(leg, f"--run '{RUN}'")

    assert not any("press" in step for step in steps_of(file))
    assert walked.test().exit_code == 0


def test_what_the_application_orders_becomes_steps_unless_it_is_refused(walked: Walked) -> None:
    leg = walked.ring()
    walked.walk(leg, "3", "press 3", "4")
    walked.do(f"mute {leg}")
    walked.do(f"move {leg} bridge")
    walked.walk(leg, "2")
    walked.do("sandbox fault add status 400 --on updateCall --times 1")
    assert walked.room(f"unmute {leg}").exit_code == 5
    walked.walk(leg, "2", "hangup")

    steps = steps_of(walked.record(leg))

    assert [step for step in steps if "muted" in step or "in_room" in step] == [
        {"in_room": "support"},
        {"muted": True},
        {"in_room": "bridge"},
    ]


def test_several_callers_in_a_room(walked: Walked) -> None:
    first = walked.ring()
    walked.walk(first, "3", "press 3", "4")
    second = walked.ring("447700900003")
    walked.walk(second, "3", "press 3", "4", "hangup")
    walked.walk(first, "2", "hangup")

    file = walked.record(first, f"--run '{RUN}'")

    assert file["test"][0]["callers"]["caller 2"]["from"] == "447700900003"
    assert {"in_room": "support", "as": "caller 2"} in steps_of(file)
    tested = walked.test()
    assert tested.exit_code == 0, tested.stderr


def test_the_last_call_and_a_call_that_goes_on(walked: Walked) -> None:
    walked.walk(walked.ring("447700900003"), "2", "hangup")
    walked.walk(walked.ring(), "3", "press 1", "8")

    ran = walked.do("test record --last --name 'to sales'")
    (test,) = tomllib.loads(ran.stdout)["test"]

    assert (test["name"], test["call"]["from"]) == ("to sales", PERSON)
    assert "expect" not in test
    assert "The call has not ended." in ran.stderr


def test_a_call_that_the_application_made_is_refused(walked: Walked) -> None:
    leg = walked.do(f"call create --to {PERSON} --talk Hello -q").stdout.strip()
    walked.walk(leg, "20")

    ran = walked.room(f"test record {leg}")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "Only calls to the application can be recorded." in ran.stderr


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("", 2, "Name one call: give either LEG or --last."),
        ("--last 12345678", 2, "Name one call: give either LEG or --last."),
        ("00000000-0000-4000-8000-000000000000", 4, "No leg"),
        ("--last", 2, "No one has called the application."),
    ],
)
def test_a_call_that_cannot_be_recorded_is_refused(
    walked: Walked, line: str, status: int, message: str
) -> None:
    ran = walked.room(f"test record {line}")

    assert (ran.exit_code, ran.stdout) == (status, "")
    assert message in ran.stderr


class TestFromKeptWebhooks:
    @pytest.fixture
    def called(self, voicectl: Room) -> Room:
        """A machine whose receiver has kept the webhooks of a real call."""
        caller = {"from": PERSON, "to": "442079460000", "direction": "inbound"}
        agent = {"from": "442079460000", "to": "447700900002", "direction": "outbound"}
        here = {"conversation_uuid": CONVERSATION}
        pressed = {"dtmf": {"digits": "1", "timed_out": False}, "speech": {"results": []}}
        greeting = {
            "type": "audio:say",
            "conversation_id": CONVERSATION,
            "timestamp": "2026-02-02T02:40:03.000Z",
            "body": {"text": "Welcome to ACME."},
        }
        kept.keep(
            voicectl,
            kept.status("started", leg=LEG, second=1, **caller, **here),
            kept.status("answered", leg=LEG, second=2, **caller, **here),
        )
        kept.keep(voicectl, greeting, route=Route.RTC)
        kept.keep(
            voicectl,
            {"uuid": LEG, "timestamp": "2026-02-02T02:40:06.000Z", **caller, **here, **pressed},
            kept.status("answered", leg=kept.LEG, second=9, **agent, **here),
            kept.status("completed", leg=LEG, second=12, disconnected_by="user", **caller, **here),
        )
        return voicectl

    def test_keys_texts_and_parties_become_steps(self, called: Room) -> None:
        ran = called(f"test record {LEG} --run '{RUN}'")

        assert ran.exit_code == 0, ran.stderr
        assert steps_of(tomllib.loads(ran.stdout)) == [
            {"hear": "Welcome to ACME."},
            {"press": "1"},
            {"connected": "447700900002"},
            {"hangup": True},
        ]

    def test_the_scenario_passes(self, called: Room) -> None:
        shutil.copy(MENU, called.home / MENU.name)
        (called.home / "rec.call.toml").write_text(called(f"test record --last --run '{RUN}'").stdout)

        tested = called.process(["test", "run", "rec.call.toml"])

        assert tested.exit_code == 0, tested.stderr

    def test_the_application_must_be_named(self, called: Room) -> None:
        ran = called(f"test record {LEG}")

        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "Give the command that starts it: --run" in ran.stderr

    def test_without_events_there_is_nothing_to_record(self, voicectl: Room) -> None:
        ran = voicectl("test record --last")

        assert ran.exit_code == 2
        assert "There are no stored events for this application." in ran.stderr


TEXT = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip())


@settings(deadline=None)
@given(name=TEXT, heard=TEXT, said=TEXT, caller=st.sampled_from([PERSON, "sip:ann@example.org", "anonymous"]))
def test_texts_of_any_kind_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, name: str, heard: str, said: str, caller: str
) -> None:
    recording = Recording(callers={LEG: (caller, "442079460000")}, steps=[{"hear": heard}, {"say": said}])
    path = tmp_path_factory.mktemp("any") / "any.call.toml"
    path.write_text(written(recording, name=name, run=RUN, url=None), "utf-8")

    (test,) = reading.read(path).tests

    assert (test.name, test.call.from_) == (name, caller)
    assert [test.steps[0].hear, test.steps[1].say] == [heard, said]
