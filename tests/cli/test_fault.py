"""``sandbox fault``: what can be asked for, and what is refused."""

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
        ("key-revoked --after 1s --lasting 5s", {"what": "key-revoked", "on": "any"}),
    ],
)
def test_a_fault_is_added_and_listed(voicectl: Room, words: str, shown: dict[str, object]) -> None:
    added = voicectl(f"sandbox fault add {words} -o json", env={"VOICECTL_SANDBOX": voicectl.url})

    assert added.exit_code == 0, added.stderr
    assert shown.items() <= added.json.items()
    assert voicectl("sandbox fault list -o json", env={"VOICECTL_SANDBOX": voicectl.url}).json == [added.json]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("webhook-delay", "How long?"),
        ("webhook-drop 3", "webhook-drop takes no value."),
        ("webhook-drop --on createCall", "on: Must be one of any, status,"),
        ("answer-timeout --on status", "on: Must be one of any, answer"),
        ("webhook-dorp", "what: Must be one of status,"),
    ],
)
def test_what_is_no_fault_is_refused_and_says_why(voicectl: Room, words: str, why: str) -> None:
    ran = voicectl(f"sandbox fault add {words}", env={"VOICECTL_SANDBOX": voicectl.url})

    assert ran.exit_code == 2
    assert why in ran.stderr


def test_a_revoked_key_is_what_a_runbook_would_meet(voicectl: Room) -> None:
    leg = voicectl.call()
    voicectl("sandbox fault add key-revoked", env={"VOICECTL_SANDBOX": voicectl.url})

    assert voicectl(f"talk {leg} Hello").exit_code == 3
