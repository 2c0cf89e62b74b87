"""Each fault that is planted in a telephone bank fails one of its tests, and the bank without faults passes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.room import Ran, Room

HERE = Path(__file__).parent
BANK = (HERE / "bank.py").read_text()
TESTS = (HERE / "bank.call.toml").read_text()
MENU = 'return [say(MENU, bargeIn=True), keys("menu", 1)]'


@dataclass(frozen=True)
class Planted:
    """A fault of the bank.

    Attributes:
        old: A part of the bank's source, which occurs once.
        new: The part that replaces it.
        test: The name of the test that fails, for one.
        found: The words with which the report says so.
    """

    old: str
    new: str
    test: str
    found: str


FAULTS = {
    "a prompt says something else": Planted(
        'say("Please hold.")', 'say("Hold on.")', "an agent answers", "hear 'please hold': not heard"
    ),
    "a prompt is missing": Planted(
        'say("Enter your account number, then hash."), ',
        "",
        "the balance of an account",
        "then hash': not heard",
    ),
    "two choices are confused": Planted('case "3":', 'case "4":', "markup is spoken", "hear_exactly"),
    "a choice leads nowhere": Planted(
        'return [say("<speak>Rates',
        'return [] and [say("<speak>Rates',
        "the menu can be interrupted",
        "rates rise",
    ),
    "the menu cannot be interrupted": Planted(
        "say(MENU, bargeIn=True)",
        "say(MENU)",
        "the menu can be interrupted",
        "nothing listened for keys within 1 s",
    ),
    "too few keys are read": Planted(
        'keys("account", 8)', 'keys("account", 7)', "the balance of an account", "7 8"
    ),
    "the hash does not end the input": Planted(
        '"submitOnHash": True',
        '"submitOnHash": False',
        "an account number that is too short",
        "expected duration <8s",
    ),
    "silence is waited for too long": Planted(
        '"timeOut": 5', '"timeOut": 10', "a wrong key, then silence", "hear 'goodbye': not heard within 8 s"
    ),
    "silence repeats the menu without end": Planted(
        'case "":\n            return [say("Goodbye.")]',
        'case "":\n            return answer({"from": ""})',
        "a wrong key, then silence",
        "goodbye",
    ),
    "a wrong key ends the call": Planted(
        '*answer({"from": ""})]', "]", "a wrong key, then silence", "The call ended at"
    ),
    "a number is spoken without its pauses": Planted(
        'spoken = " ".join(digits[-2:])', "spoken = digits[-2:]", "the balance of an account", "hear_matching"
    ),
    "an amount lacks its pence": Planted(
        "£1,250.50", "£1,250.5", "the balance of an account", "hear_matching"
    ),
    "markup is broken": Planted("<break time='1s'/>", "<break time='1s'>", "markup is spoken", "well-formed"),
    "an option is misspelt": Planted(
        "bargeIn=True", "bargein=True", "the menu can be interrupted", "nothing listened"
    ),
    "an option is of the wrong type": Planted(
        '"maxDigits": count', '"maxDigits": "many"', "markup is spoken", "maxDigits"
    ),
    "the wrong person is called": Planted(
        'AGENT = "447700900002"', 'AGENT = "447700900003"', "an agent answers", "connected '447700900002'"
    ),
    "the caller id is that of the caller": Planted(
        '"from": NUMBER', '"from": event["from"]', "an agent answers", "event"
    ),
    "the music is not there": Planted(
        'url.path == "/hold.wav"', 'url.path == "/music.wav"', "an agent answers", "hold.wav"
    ),
    "the music is another": Planted(
        '[f"{BASE}/hold.wav"]', '[f"{BASE}/answer"]', "an agent answers", "hold.wav"
    ),
    "a busy agent ends the call": Planted(
        '"eventType": "synchronous",', "", "no agent answers", "nobody is free"
    ),
    "the agent is rung for too long": Planted(
        '"timeout": 20', '"timeout": 50', "no agent answers", "not heard within 40 s"
    ),
    "the message is not recorded": Planted(
        ", record, say(", ", say(", "no agent answers", "expected recordings 1, but it is 0"
    ),
    "the event webhook fails": Planted(
        "flows[self.path](event) if self.path in flows else {}",
        "flows[self.path](event)",
        "markup is spoken",
        "/event",
    ),
    "the answer is not an NCCO": Planted(MENU, 'return {"say": MENU}', "markup is spoken", "NCCO"),
    "the application ends in the middle": Planted(
        "digits = event",
        "sys.stdout.flush(); __import__('os')._exit(3); digits = event",
        "the balance of an account",
        "exit status 3",
    ),
    "a room has another name": Planted(
        '"name": "night"', '"name": "day"', "at night callers wait in a room", "in_room 'night'"
    ),
    "night is like day": Planted(
        "if query", "if not query", "at night callers wait in a room", "we are closed"
    ),
    "the call goes on after the goodbye": Planted(
        'is £1,250.50."), say("Goodbye.")]',
        'is £1,250.50."), say("Goodbye."), {"action": "wait", "timeout": 30}]',
        "the balance of an account",
        "expected duration <20s",
    ),
}


def run(room: Room, source: str, tests: str, *options: str) -> Ran:
    """Run *tests* against a bank with this source."""
    (room.home / "bank.py").write_text(source)
    (room.home / "bank.call.toml").write_text(tests)
    return room(["test", "run", str(room.home / "bank.call.toml"), *options])


def planted(fault: Planted) -> str:
    assert BANK.count(fault.old) == 1
    return BANK.replace(fault.old, fault.new)


def without_checks() -> str:
    """Return the file with the same calls, in which callers expect nothing and everything is allowed."""
    calls = re.sub(r"(?ms)^steps = .*?\]\s*$\n(?:^expect = .*$\n)?", 'steps = [{ wait = "30s" }]\n', TESTS)
    return calls + "\n[defaults]\nchecks = false\nloops = 0\n"


def test_the_bank_without_faults_passes(bare: Room) -> None:
    ran = run(bare, BANK, TESTS)

    assert ran.exit_code == 0, ran.stderr
    assert len(ran.rows) == TESTS.count("[[test]]")


def test_there_are_at_least_twenty_faults_that_differ() -> None:
    assert len({planted(fault) for fault in FAULTS.values()}) == len(FAULTS) >= 20


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_caught(bare: Room, name: str) -> None:
    fault = FAULTS[name]

    ran = run(bare, planted(fault), TESTS, "-k", fault.test)

    assert ran.exit_code == 13
    assert f"bank.call.toml: {fault.test}\n" in ran.stderr
    assert fault.found in ran.stderr


@pytest.mark.parametrize("name", FAULTS)
def test_without_the_checks_no_fault_is_caught(bare: Room, name: str) -> None:
    ran = run(bare, planted(FAULTS[name]), without_checks())

    assert ran.exit_code == 0, ran.stderr
