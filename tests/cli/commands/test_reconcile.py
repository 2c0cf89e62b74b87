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


def test_alone_it_lists_what_is_in_doubt_oldest_first(room: Room) -> None:
    assert room("call reconcile -o json").json == []
    one, other = lose(room, "lost-request"), lose(room, "lost-reply", "447700900002")

    ran = room("call reconcile -o json")
    assert ran.exit_code == 0
    assert [row["reference"] for row in ran.json] == [one, other]
    row = ran.json[0]
    assert (row["state"], row["to"], row["from"]) == ("in-doubt", PERSON, "442079460000")
    assert (row["uuid"], row["certainty"]) == (None, None)
    assert "without an answer" in row["reason"]
    assert row["asked_at"].endswith("Z")
    assert room("call reconcile -q").stdout == f"{one}\n{other}\n"


def test_it_lists_without_asking_the_api(room: Room) -> None:
    lose(room, "lost-request")
    before = len(room.requests())
    room("call reconcile")
    assert len(room.requests()) == before


def test_a_call_that_exists_is_found_and_the_matter_is_closed(room: Room) -> None:
    reference = lose(room, "lost-reply")
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert [ran.json["uuid"]] == legs(room)
    assert (ran.json["state"], ran.json["certainty"]) == ("created", "matched")
    assert room("call reconcile -o json").json == []
    assert room(f"call reconcile {reference} -o json").json == ran.json, "asked again it says the same"
    assert posts(room) == 1


def test_a_call_that_cannot_be_told_is_12_and_stays(room: Room) -> None:
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


def test_hangup_of_a_call_that_was_found_before_ends_it_too(room: Room) -> None:
    reference = lose(room, "lost-reply", BY_HAND)
    uuid = room(f"call reconcile {reference} -o json").json["uuid"]

    assert room(f"call reconcile {reference} --hangup").exit_code == 0
    assert room(f"call show {uuid} -o json").json["status"] == "cancelled"


def test_hangup_hangs_nobody_up_where_it_cannot_be_told(room: Room) -> None:
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


def test_a_dry_run_looks_and_shows_the_hang_up(room: Room) -> None:
    reference = lose(room, "lost-reply")
    ran = room(f"call reconcile {reference} --hangup --dry-run")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("curl -X PUT")
    (request,) = room(f"call reconcile {reference} --hangup --dry-run -o json").json
    assert request["body"] == {"action": "hangup"}
    assert room.requests("updateCall") == []


def test_assume_not_created_closes_the_matter_with_its_reason(room: Room) -> None:
    reference = lose(room, "lost-request")
    ran = room(f"call reconcile {reference} --assume not-created --reason 'asked the customer' -o json")

    assert ran.exit_code == 0
    assert (ran.json["state"], ran.json["reason"]) == ("not-created", "asked the customer")
    assert room("call reconcile -o json").json == []


def test_assume_a_leg_closes_the_matter_if_the_leg_exists(room: Room) -> None:
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


def test_what_is_settled_cannot_be_assumed_otherwise(room: Room) -> None:
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
def test_what_is_not_said_well_changes_nothing(room: Room, options: str, status: int) -> None:
    reference = lose(room, "lost-request")
    before = len(room.requests())
    ran = room("call reconcile " + options.replace("REF", reference))

    assert (ran.exit_code, ran.stdout) == (status, "")
    assert len(room.requests()) == before
    assert room("call reconcile -q").stdout == f"{reference}\n"


@pytest.mark.parametrize(("code", "word"), [(401, "credentials"), (500, "No usable answer")])
def test_a_look_that_fails_says_why_and_decides_nothing(room: Room, code: int, word: str) -> None:
    reference = lose(room, "lost-reply")
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "code": code, "on": "getCalls"})
    ran = room(f"call reconcile {reference} -o json")

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert "Looking for the call failed" in ran.error["message"]
    assert word in ran.error["message"]


def test_it_has_time_for_a_slow_network(room: Room) -> None:
    reference = lose(room, "lost-reply")
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "delay", "seconds": 1.2, "on": "getCalls", "times": 1})

    assert room(f"call reconcile {reference}").exit_code == 0


# What counts as the call that was asked for


def test_two_that_fit_are_not_told_apart(room: Room) -> None:
    """One that another program made to the same number, from the same, at the same time."""
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
def test_a_call_of_another_kind_to_number_or_caller_is_not_it(room: Room, other: str) -> None:
    reference = lose(room, "lost-request")
    assert room(f"{other} {'--no-journal' if 'create' in other else ''}", env=as_sandbox(room)).exit_code == 0

    assert room(f"call reconcile {reference}").exit_code == 12


def test_a_call_that_the_journal_knows_is_not_it(room: Room) -> None:
    reference = lose(room, "lost-request")
    assert room(f"call create --to {PERSON} --talk Hello").exit_code == 0

    assert room(f"call reconcile {reference}").exit_code == 12


def test_among_calls_that_the_journal_knows_the_one_that_it_does_not_is_it(room: Room) -> None:
    known = room(f"call create --to {PERSON} --talk Hello -q").stdout.strip()
    reference = lose(room, "lost-reply")
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert [known, ran.json["uuid"]] == legs(room)


def test_a_call_of_more_than_a_minute_before_is_not_it(room: Room) -> None:
    room(f"call create --to {PERSON} --talk Hello --no-journal")
    room.clock.sleep(61)
    reference = lose(room, "lost-request")
    assert room(f"call reconcile {reference}").exit_code == 12

    asked = room.requests("getCalls")[-1]["path"]
    assert "date_start=2026-02-02T02%3A40%3A" in asked
    assert "date_end" not in asked
    assert "status" not in asked


def test_a_call_that_is_over_is_it_all_the_same(room: Room) -> None:
    reference = lose(room, "lost-reply", "447700900200")
    room.clock.sleep(60)
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert room(f"call show {ran.json['uuid']} -o json").json["status"] == "busy"


def as_sandbox(room: Room) -> dict[str, str]:
    return {"VOICECTL_SANDBOX": room.url}
