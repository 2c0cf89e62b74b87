"""``call reconcile``: resolving a call whose outcome is unknown."""

from __future__ import annotations

import pytest

from tests.support.room import BY_HAND, PERSON, Room
from tests.support.servers import LEG


def lose(room: Room, what: str, to: str = PERSON) -> str:
    """The reference of a call in doubt that was not found when it was lost."""
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": what, "on": "createCall", "times": 1})
    room.sandbox.faults.add({"what": "status", "code": 500, "on": "getCalls"})
    ran = room(f"call create --to {to} --talk Hello -o json")
    assert (ran.exit_code, ran.stdout) == (12, "")
    room.sandbox.faults.clear()
    (row,) = (row for row in room("call reconcile -o json").json if row["to"] == to)
    return str(row["reference"])


def legs(room: Room) -> list[str]:
    assert room.sandbox is not None
    return list(room.sandbox.exchange.legs)


def posts(room: Room) -> int:
    return len(room.requests("createCall"))


def test_without_arguments_it_lists_calls_in_doubt_oldest_first(room: Room) -> None:
    assert room("call reconcile -o json").json == []
    one, other = lose(room, "lost-request"), lose(room, "lost-reply", "447700900002")

    ran = room("call reconcile -o json")
    assert ran.exit_code == 0
    assert [row["reference"] for row in ran.json] == [one, other]
    row = ran.json[0]
    assert (row["state"], row["to"], row["from"]) == ("in-doubt", PERSON, "442079460000")
    assert (row["uuid"], row["certainty"]) == (None, None)
    assert "without a response" in row["reason"]
    assert row["asked_at"].endswith("Z")
    assert room("call reconcile -q").stdout == f"{one}\n{other}\n"


def test_it_lists_without_asking_the_api(room: Room) -> None:
    lose(room, "lost-request")
    before = len(room.requests())
    room("call reconcile")
    assert len(room.requests()) == before


def test_a_call_that_exists_is_found_and_the_doubt_is_resolved(room: Room) -> None:
    reference = lose(room, "lost-reply")
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert [ran.json["uuid"]] == legs(room)
    assert (ran.json["state"], ran.json["certainty"]) == ("created", "matched")
    assert room("call reconcile -o json").json == []
    assert room(f"call reconcile {reference} -o json").json == ran.json, "asked again it says the same"
    assert posts(room) == 1


def test_a_call_that_cannot_be_identified_is_12_and_stays_in_doubt(room: Room) -> None:
    reference = lose(room, "lost-request")
    for _ in range(2):
        ran = room(f"call reconcile {reference} -o json")
        assert (ran.exit_code, ran.stdout) == (12, "")
        assert "No record of the call was found" in ran.error["message"]
        assert f"call reconcile {reference} --assume not-created --reason TEXT" in ran.error["hint"]
    assert posts(room) == 1


def test_hangup_ends_the_call_if_it_is_found(room: Room) -> None:
    reference = lose(room, "lost-reply", BY_HAND)
    ran = room(f"call reconcile {reference} --hangup -o json")

    assert ran.exit_code == 0
    assert room(f"call show {ran.json['uuid']} -o json").json["status"] == "cancelled"


def test_hangup_of_a_call_found_earlier_ends_it_too(room: Room) -> None:
    reference = lose(room, "lost-reply", BY_HAND)
    uuid = room(f"call reconcile {reference} -o json").json["uuid"]

    assert room(f"call reconcile {reference} --hangup").exit_code == 0
    assert room(f"call show {uuid} -o json").json["status"] == "cancelled"


def test_hangup_hangs_up_no_leg_if_the_call_cannot_be_identified(room: Room) -> None:
    room("call create --to 447700900009 --talk Hi --join room -q")
    reference = lose(room, "lost-request")
    ran = room(f"call reconcile {reference} --hangup")

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert room.requests("updateCall") == []


def test_a_found_id_is_printed_also_if_hanging_up_fails(room: Room) -> None:
    reference = lose(room, "lost-reply")
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "code": 500, "on": "updateCall"})
    ran = room(f"call reconcile {reference} --hangup -o json")

    assert ran.exit_code == 7
    assert [ran.json["uuid"]] == legs(room)


def test_a_dry_run_searches_and_shows_the_hangup_request(room: Room) -> None:
    reference = lose(room, "lost-reply")
    ran = room(f"call reconcile {reference} --hangup --dry-run")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("curl -X PUT")
    (request,) = room(f"call reconcile {reference} --hangup --dry-run -o json").json
    assert request["body"] == {"action": "hangup"}
    assert room.requests("updateCall") == []


def test_assume_not_created_resolves_the_doubt_with_its_reason(room: Room) -> None:
    reference = lose(room, "lost-request")
    ran = room(f"call reconcile {reference} --assume not-created --reason 'asked the customer' -o json")

    assert ran.exit_code == 0
    assert (ran.json["state"], ran.json["reason"]) == ("not-created", "asked the customer")
    assert room("call reconcile -o json").json == []


def test_assume_a_leg_resolves_the_doubt_if_the_leg_exists(room: Room) -> None:
    reference = lose(room, "lost-reply")
    (leg,) = legs(room)

    assert room(f"call reconcile {reference} --assume {LEG} --reason guess").exit_code == 4
    ran = room(f"call reconcile {reference} --assume {leg} --reason 'seen on the bill' -o json")
    assert ran.exit_code == 0
    assert (ran.json["uuid"], ran.json["certainty"]) == (leg, "assumed")
    assert ran.json["reason"] == "seen on the bill"


def test_a_leg_belongs_to_one_call(room: Room) -> None:
    taken = room(f"call create --to {PERSON} --talk Hi -q").stdout.strip()
    reference = lose(room, "lost-request", "447700900002")

    ran = room(f"call reconcile {reference} --assume {taken} --reason guess")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert len(room("call reconcile -o json").json) == 1


def test_a_resolved_doubt_cannot_be_resolved_otherwise(room: Room) -> None:
    reference = room(f"call create --to {PERSON} --talk Hi -o json").json["reference"]
    ran = room(f"call reconcile {reference} --assume not-created --reason 'I say so'")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert room(f"call reconcile {reference} -o json").json["state"] == "created"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ("--hangup", 2),
        ("--assume not-created", 2),
        ("--reason x", 2),
        ("vc-1234567890abcdef", 4),
        ("REF --assume not-created", 2),
        ("REF --reason x", 2),
        ("REF --assume maybe --reason x", 2),
        ("REF --assume created --reason x", 2),
        ("REF --assume not-created --reason x --hangup", 2),
        ("REF --assume ../../x --reason x", 2),
    ],
)
def test_invalid_arguments_change_nothing(room: Room, options: str, status: int) -> None:
    reference = lose(room, "lost-request")
    before = len(room.requests())
    ran = room("call reconcile " + options.replace("REF", reference))

    assert (ran.exit_code, ran.stdout) == (status, "")
    assert len(room.requests()) == before
    assert room("call reconcile -q").stdout == f"{reference}\n"


@pytest.mark.parametrize(("code", "word"), [(401, "credentials"), (500, "No usable response")])
def test_a_failed_search_says_why_and_decides_nothing(room: Room, code: int, word: str) -> None:
    reference = lose(room, "lost-reply")
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "code": code, "on": "getCalls"})
    ran = room(f"call reconcile {reference} -o json")

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert "Looking for the call failed" in ran.error["message"]
    assert word in ran.error["message"]


def test_it_waits_for_a_slow_network(room: Room) -> None:
    reference = lose(room, "lost-reply")
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "delay", "seconds": 1.2, "on": "getCalls", "times": 1})

    assert room(f"call reconcile {reference}").exit_code == 0


# Calls that match the request


def test_two_matching_calls_are_not_distinguished(room: Room) -> None:
    """The other call was made by another program to the same number, from the same caller, at the same time."""
    reference = lose(room, "lost-reply")
    room(f"call create --to {PERSON} --talk Hello --no-journal")
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 12
    assert "2 calls match" in ran.error["message"]


@pytest.mark.parametrize(
    "other",
    [
        "call create --to 447700900002 --talk Hello",
        f"call create --to {PERSON} --from 442079460001 --talk Hello",
        f"sandbox ring --to 442079460000 --from {PERSON}",
        f"sandbox ring --to {PERSON} --from 442079460000",
        f"call create --to sip:{PERSON}@example.org --talk Hello",
    ],
)
def test_a_call_with_another_endpoint_number_or_caller_does_not_match(room: Room, other: str) -> None:
    reference = lose(room, "lost-request")
    assert room(f"{other} {'--no-journal' if 'create' in other else ''}", env=as_sandbox(room)).exit_code == 0

    assert room(f"call reconcile {reference}").exit_code == 12


def test_a_call_known_to_the_journal_does_not_match(room: Room) -> None:
    reference = lose(room, "lost-request")
    assert room(f"call create --to {PERSON} --talk Hello").exit_code == 0

    assert room(f"call reconcile {reference}").exit_code == 12


def test_the_only_call_unknown_to_the_journal_matches(room: Room) -> None:
    known = room(f"call create --to {PERSON} --talk Hello -q").stdout.strip()
    reference = lose(room, "lost-reply")
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert [known, ran.json["uuid"]] == legs(room)


def test_a_call_of_more_than_a_minute_before_does_not_match(room: Room) -> None:
    room(f"call create --to {PERSON} --talk Hello --no-journal")
    room.clock.sleep(61)
    reference = lose(room, "lost-request")
    assert room(f"call reconcile {reference}").exit_code == 12

    asked = room.requests("getCalls")[-1]["path"]
    assert "date_start=2026-02-02T02%3A40%3A" in asked
    assert "date_end" not in asked
    assert "status" not in asked


def test_an_ended_call_matches_too(room: Room) -> None:
    reference = lose(room, "lost-reply", "447700900200")
    room.clock.sleep(60)
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert room(f"call show {ran.json['uuid']} -o json").json["status"] == "busy"


def as_sandbox(room: Room) -> dict[str, str]:
    return {"VOICECTL_SANDBOX": room.url}
