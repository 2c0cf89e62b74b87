"""The steps of scenario files: each passes on an application that does what it says, and fails on another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.room import Room
from tests.support.scenarios import one_test, write
from voicectl.clock import SystemClock

CREATE = "create = { path = '/call', json = { to = '447700900003', name = 'Ann' } }"
TWO = "callers = { customer = { from = '447700900001' }, agent = { from = '447700900004' } }"

PASSING = {
    "hear ignores case, punctuation and markup": ["{ press = '2' }", "{ hear = 'WHAT, is it about' }"],
    "hear goes on after what was heard": ["{ hear = 'press 1' }", "{ hear = 'press 2' }"],
    "hear spans prompts": ["{ press = '9' }", "{ hear = 'sorry welcome to acme' }"],
    "hear takes amounts and names as spoken": [
        "{ press = '2' }",
        "{ say = 'billing' }",
        "{ hear = 'you said billing your balance is 1250.50 mr oneil' }",
    ],
    "hear exactly": ["{ hear_exactly = 'Welcome to ACME. For sales, press 1. For support, press 2.' }"],
    "hear matching": ["{ hear_matching = 'for \\w+, press 2' }"],
    "hear audio": ["{ press = '4' }", "{ hear_audio = 'hold.wav' }", "{ hear = 'goodbye' }"],
    "not hear": ["{ press = '1' }", "{ not_hear = 'sorry', within = '5s' }"],
    "wait": ["{ wait = '2s' }", "{ hear = 'press 1', within = 0 }"],
    "keys of another party": [
        "{ press = '1' }",
        "{ connected = '447700900002' }",
        "{ press = '12', as = '447700900002' }",
        "{ keys_heard = '12' }",
    ],
    "another party speaks and hangs up": [
        "{ press = '1' }",
        "{ connected = '447700900002' }",
        "{ say = 'Hello, this is Ann', as = '447700900002' }",
        "{ hear = 'this is ann' }",
        "{ hangup = true, as = '447700900002' }",
        "{ event = { status = 'completed', direction = 'inbound' } }",
    ],
    "a room": ["{ press = '3' }", "{ moved = true }", "{ in_room = 'support' }"],
    "a command of voicectl": [
        "{ hear = 'welcome' }",
        "{ run = 'voicectl mute {leg} -q' }",
        "{ muted = true }",
        "{ run = ['voicectl', 'unmute', '{leg}', '-o', 'json'], output = 'unmute' }",
        "{ muted = false }",
        "{ run = 'voicectl move {leg} vip' }",
        "{ in_room = 'vip' }",
    ],
    "an event by dotted path": [
        "{ press = '9' }",
        "{ event = { 'dtmf.digits' = 9, 'dtmf.timed_out' = false } }",
    ],
    "a fault": [
        "{ hear = 'welcome' }",
        "{ fault = 'status 503 --on updateCall' }",
        "{ run = 'voicectl mute {leg}', exit = 7 }",
    ],
    "variables": ["{ press = '{key}' }", "{ hear = '{answer}' }"],
    "a sequence": ["{ include = 'to support' }", "{ say = 'x' }", "{ hear = 'you said x' }"],
}
FAILING = {
    "hear something else": (["{ hear = 'welcome to umbrella' }"], "not heard within 10 s"),
    "hear it in another order": (
        ["{ hear = 'press 2' }", "{ hear = 'press 1', within = '1s' }"],
        "not heard within 1 s",
    ),
    "hear part of a word": (["{ hear = 'welcome to ac', within = '3s' }"], "not heard within 3 s"),
    "hear in time": (["{ hear = 'welcome', within = '500ms' }"], "not heard within 0.5 s"),
    "hear what was cut off": (
        ["{ wait = '1500ms' }", "{ press = '9' }", "{ hear = 'for sales', within = '0s' }"],
        "not heard",
    ),
    "not hear": (["{ press = '9' }", "{ not_hear = 'sorry', within = '5s' }"], "it was heard"),
    "speak to nothing": (["{ say = 'hello', within = '2s' }"], "nothing listened for speech within 2 s"),
    "press after the end": (
        ["{ press = '4' }", "{ hear = 'goodbye' }", "{ press = '1' }"],
        "nothing listened for keys",
    ),
    "connected to no one": (["{ connected = '447700900002', within = '3s' }"], "Other legs: none"),
    "another room": (
        ["{ press = '3' }", "{ in_room = 'sales', within = '5s' }"],
        "The party is in 'support'.",
    ),
    "muted": (["{ muted = true, within = '1s' }"], "The party is not muted."),
    "no such event": (
        ["{ event = { status = 'busy' }, within = '2s' }"],
        "not seen within 2 s. Events sent: ",
    ),
    "an event instead of another": (["{ event = { status = 'busy' }, within = '2s' }"], ", answered."),
    "somebody who is not called": (
        ["{ as = '447700900008', hear = 'hello', within = '3s' }"],
        "there was no call with 447700900008 within 3 s.",
    ),
    "another exit status": (["{ run = 'voicectl mute 00000000', exit = 0 }"], "exit status 4 instead of 0"),
    "no such command": (["{ run = 'no-such-command' }"], "no-such-command cannot be run"),
    "a regular expression that explodes": (
        ["{ hear_matching = '^(?:[a-z .,]|[a-z .,])*[;:]$' }"],
        "took more than 0.5 s",
    ),
}
VARIABLES = """
[variables]
key = 2
answer = "what is it about"

[sequences]
"to support" = [ { press = "{key}" }, { hear = "{answer}" } ]
"""


def results(room: Room, *tests: str, more: str = "", app: str | None = None) -> dict[str, dict[str, Any]]:
    path = (
        write(room.home, VARIABLES, *tests) if app is None else write(room.home, VARIABLES, *tests, app=app)
    )
    ran = room(f"test run {path} -o jsonl {more}")
    assert ran.exit_code in (0, 13), ran.stderr
    return {each["name"]: each for each in map(json.loads, ran.stdout.splitlines())}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The results of all steps, each in a test of its own, in one run."""
    room = Room(tmp_path_factory.mktemp("steps"), SystemClock())  # type: ignore[arg-type] # commands of the tests use it
    passing = [one_test(*steps, name=name) for name, steps in PASSING.items()]
    failing = [one_test(*steps, name=f"not: {name}") for name, (steps, _) in FAILING.items()]
    return results(room, *passing, *failing)


@pytest.mark.parametrize("name", PASSING)
def test_a_step_passes(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    found = outcomes[name]

    assert found["failures"] == []
    assert found["outcome"] == "passed"


@pytest.mark.parametrize("name", FAILING)
def test_a_step_fails(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    found = outcomes[f"not: {name}"]

    assert found["outcome"] == "failed"
    assert FAILING[name][1] in found["message"]


def test_a_step_waits_as_long_as_it_says_until_its_party_is_called(bare: Room) -> None:
    steps = (
        "{ press = '1', within = '5s' }",
        "{ as = '447700900002', connected = '447700900001', within = '5s' }",
    )

    found = results(bare, one_test(*steps, more="defaults = { within = '500ms' }"))

    assert found["a test"]["failures"] == []


def test_two_callers_talk_in_a_room(bare: Room) -> None:
    steps = (
        "{ press = '3' }",
        "{ in_room = 'support' }",
        "{ press = '3', as = 'agent' }",
        "{ connected = '447700900004' }",
        "{ say = 'How can I help?', as = 'agent' }",
        "{ hear = 'how can i help' }",
        "{ hangup = true, as = 'agent' }",
    )

    found = results(bare, one_test(*steps, call=TWO, more="expect = { legs = 2 }"))

    assert found["a test"]["failures"] == []


def test_a_request_makes_the_application_call_somebody(bare: Room) -> None:
    room = Room(bare.home, SystemClock())  # type: ignore[arg-type] # the application uses it, too
    steps = "{ hear = 'hello ann' }", "{ hear = 'your parcel is here' }"
    expect = "expect = { status = 'completed', events = ['started', 'ringing', 'answered', 'completed'] }"

    found = results(
        room,
        one_test(*steps, call=CREATE, more=expect),
        one_test(call="create = { path = '/missing', method = 'GET' }", name="not found"),
    )

    assert found["a test"]["failures"] == []
    assert found["not found"]["message"] == "GET /missing was answered with 404 instead of 2xx."


def test_a_test_runs_once_for_each_row_of_inputs(bare: Room) -> None:
    pairs = {"2": "what is it", "4": "goodbye", "9": "bye"}
    rows = ", ".join(f"{{ key = '{key}', answer = '{answer}' }}" for key, answer in pairs.items())

    found = results(
        bare,
        one_test("{ press = '{key}' }", "{ hear = '{answer}' }", name="key {key}", more=f"each = [{rows}]"),
    )

    assert {name: each["outcome"] for name, each in found.items()} == {
        "key 2": "passed",
        "key 4": "passed",
        "key 9": "failed",
    }


def test_files_share_an_application_and_sequences(bare: Room) -> None:
    common = bare.home / "common.toml"
    write(
        bare.home,
        '[sequences]\ngreeted = [ { hear = "welcome to {company}" } ]\n[variables]\ncompany = "acme"\n',
    )
    (bare.home / "menu.call.toml").rename(common)
    path = write(bare.home, one_test("{ include = 'greeted' }"), app='include = ["common.toml"]\n')

    assert bare(f"test run {path}").exit_code == 0

    common.write_text(common.read_text().replace("greeted = [", "greeted = [ { hare = 1 },"))
    ran = bare(f"test run {path}")
    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"{common}:6:15: There is no step 'hare'. Did you mean 'hear'?\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('include = ["menu.call.toml"]', "menu.call.toml:1:12: Including menu.call.toml forms a cycle."),
        ('include = ["missing.toml"]', "missing.toml cannot be read: No such file or directory."),
        ("[app", "menu.call.toml:1:5: "),
        ("[sequences]\na = [{ include = 'a' }]", "menu.call.toml:2:8: The sequence 'a' includes itself."),
        ("[variables]\nx = 1", "There is no test."),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(bare: Room, text: str, message: str) -> None:
    path = write(bare.home, app=text)

    ran = bare(f"test run {path}")

    assert ran.exit_code == 2
    assert message in ran.stderr
