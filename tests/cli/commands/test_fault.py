"""``sandbox fault``: the faults that can be added, and those that are refused."""

from __future__ import annotations

import pytest

from tests.support.room import Room


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("webhook-drop --on status --times 2", {"what": "webhook-drop", "on": "status", "times": 2}),
        (
            "webhook-duplicate --probability 0.5",
            {"what": "webhook-duplicate", "on": "any", "probability": 0.5},
        ),
        ("webhook-reorder --on rtc", {"what": "webhook-reorder", "on": "rtc"}),
        ("webhook-delay 1m30s --on answer", {"what": "webhook-delay", "on": "answer", "seconds": 90}),
        ("webhook-unsigned", {"what": "webhook-unsigned", "on": "any"}),
        ("webhook-completed", {"what": "webhook-completed", "on": "any"}),
        ("answer-timeout --on answer", {"what": "answer-timeout", "on": "answer"}),
        ("region --on getCall", {"what": "region", "on": "getCall"}),
        (
            "key-revoked --after 1s --lasting 5s",
            {"what": "key-revoked", "on": "any", "after": 1, "lasting": 5, "spent": False},
        ),
    ],
)
def test_a_fault_is_added_and_listed(voicectl: Room, words: str, shown: dict[str, object]) -> None:
    added = voicectl(f"sandbox fault add {words} -o json", env={"VOICECTL_SANDBOX": voicectl.url})

    assert added.exit_code == 0, added.stderr
    assert shown.items() <= added.json.items()
    assert voicectl("sandbox fault list -o json", env={"VOICECTL_SANDBOX": voicectl.url}).json == [added.json]


def test_the_list_shows_when_a_fault_applies_and_whether_it_still_does(voicectl: Room) -> None:
    voicectl.environ["VOICECTL_SANDBOX"] = voicectl.url
    voicectl("sandbox fault add status 503 --after 1m --lasting 90s")
    shown = "sandbox fault list --fields after,lasting,spent"

    assert voicectl(shown).rows == [["60.0", "90.0", "false"]]
    voicectl.clock.sleep(150)
    assert voicectl(shown).rows == [["60.0", "90.0", "true"]]


def test_one_fault_can_be_removed(voicectl: Room) -> None:
    voicectl.environ["VOICECTL_SANDBOX"] = voicectl.url
    first, second = (voicectl("sandbox fault add region -q").stdout.strip() for _ in range(2))

    assert voicectl(f"sandbox fault clear {first}").exit_code == 0

    assert voicectl("sandbox fault list -q").stdout.split() == [second]
    assert voicectl(f"sandbox fault clear {first}").exit_code == 4


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("webhook-delay", "The fault 'webhook-delay' needs a duration."),
        ("webhook-drop 3", "The fault 'webhook-drop' takes no value."),
        ("webhook-drop --on createCall", "on: Must be one of any, status,"),
        ("answer-timeout --on status", "on: Must be one of any, answer"),
        ("webhook-dorp", "what: Must be one of status,"),
    ],
)
def test_an_invalid_fault_is_refused_with_the_reason(voicectl: Room, words: str, why: str) -> None:
    ran = voicectl(f"sandbox fault add {words}", env={"VOICECTL_SANDBOX": voicectl.url})

    assert ran.exit_code == 2
    assert why in ran.stderr
    assert "sandbox fault add" in ran.stderr


def test_a_revoked_key_has_the_effect_that_a_runbook_would_see(voicectl: Room) -> None:
    leg = voicectl.call()
    voicectl("sandbox fault add key-revoked", env={"VOICECTL_SANDBOX": voicectl.url})

    assert voicectl(f"talk {leg} Hello").exit_code == 3
