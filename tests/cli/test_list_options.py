"""``--sort`` and ``--limit`` on the commands that list, and the rooms and ages of ``call list``."""

from __future__ import annotations

import pytest

from tests.support.kept import keep, status
from tests.support.room import BUSY, BY_HAND, PERSON, Room
from voicectl.cli.commands.call import NAMES_SECONDS

LISTS = (
    "call list",
    "call reconcile",
    "conversation list",
    "conversation events x",
    "webhook list",
    "recording list",
    "profile list",
    "user list",
    "sandbox log",
    "sandbox hear x",
    "number list",
    "sandbox fault list",
    "commands",
)


def sorted_by(room: Room, field: str, options: str = "") -> list[str]:
    ran = room(f"call list --all --sort {field} --fields {field.lstrip('-')} {options}")
    assert ran.exit_code == 0, ran.stderr
    return [row[0] for row in ran.rows]


@pytest.mark.parametrize("command", LISTS)
def test_every_list_has_both_options(bare: Room, command: str) -> None:
    help_text = bare(f"{command} --help").stdout

    assert "--sort FIELD" in help_text
    assert "--limit N" in help_text


def test_a_list_is_sorted_by_a_field_and_a_minus_reverses_it(voicectl: Room) -> None:
    for number in ("447700900003", PERSON, "447700900002"):
        voicectl.call(number)

    ascending = [PERSON, "447700900002", "447700900003"]
    assert sorted_by(voicectl, "to") == sorted_by(voicectl, "to.number") == ascending
    assert sorted_by(voicectl, "-to") == ascending[::-1]
    assert [each["to"]["number"] for each in voicectl("call list --sort=-to -o json").json] == ascending[::-1]


def test_numbers_are_sorted_as_numbers_and_missing_values_come_last(voicectl: Room) -> None:
    for seconds in (5, 100, 20):
        leg = voicectl.call()
        voicectl.clock.sleep(seconds)
        voicectl(f"hangup {leg}")
    voicectl.call(BY_HAND, wait=None)

    found = sorted_by(voicectl, "duration")
    assert [len(each) for each in found] == [1, 2, 3, 1]
    assert found[-1] == sorted_by(voicectl, "-duration")[-1] == "-"
    assert sorted_by(voicectl, "-duration")[:3] == found[2::-1]


def test_the_limit_applies_after_sorting(voicectl: Room) -> None:
    for number in ("447700900003", PERSON, "447700900002"):
        voicectl.call(number)

    assert sorted_by(voicectl, "to", "--limit 2") == [PERSON, "447700900002"]
    assert len(voicectl("call list --limit 2").rows) == 2
    assert voicectl("call list --limit 0").exit_code == 2


@pytest.mark.parametrize(
    "line", ["call list --all", "conversation list", "webhook list", "commands", "profile list"]
)
def test_an_unknown_sort_field_is_refused(voicectl: Room, line: str) -> None:
    voicectl.call()
    keep(voicectl, status("ringing"))

    ran = voicectl(f"{line} --sort nmae")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "No such field: nmae." in ran.stderr


def test_a_list_that_ends_with_the_newest_is_limited_to_the_newest(voicectl: Room) -> None:
    keep(voicectl, status("ringing"), status("answered"), status("completed"))

    assert [row[0] for row in voicectl("webhook list --limit 2").rows] == ["2", "3"]
    assert [row[0] for row in voicectl("webhook list --limit 2 --sort id").rows] == ["1", "2"]
    env = {"VOICECTL_SANDBOX": voicectl.url}
    whole = [row[0] for row in voicectl("sandbox log", env=env).rows]
    assert [row[0] for row in voicectl("sandbox log --limit 2", env=env).rows] == whole[-2:]


def test_a_list_of_records_with_a_limit_reads_no_further(voicectl: Room) -> None:
    for _ in range(3):
        voicectl.call(BUSY, wait=None)

    voicectl("call list --all --limit 1")

    assert len(voicectl.requests("getCalls")) == 1


# rooms and ages


def test_room_and_age_are_shown_on_request(voicectl: Room) -> None:
    leg = voicectl.call(options="--talk Hello --join support-17")
    inbound = voicectl("sandbox ring -q", env={"VOICECTL_SANDBOX": voicectl.url}).stdout.strip()
    voicectl.clock.sleep(170)

    rows = {row[0]: row[1:] for row in voicectl("call list --fields uuid,room,age").rows}
    assert rows[leg] == ["support-17", "2m"]
    assert rows.get(inbound, ["-"])[0] == "-"
    (record,) = voicectl("call list --conversation support-17 -o json --fields room,age").json
    assert record == {"room": "support-17", "age": "2m"}
    assert (
        voicectl(["call", "list", "-o", "template={room} {age}\n", "--limit", "1"]).stdout
        == "support-17 2m\n"
    )


def test_room_and_age_cause_no_requests_otherwise(voicectl: Room) -> None:
    voicectl.call(options="--talk Hello --join support-17")
    before = len(voicectl.requests())

    record = voicectl("call list -o json").json[0]
    assert "room" not in record
    assert len(voicectl("call list").rows[0]) == 9
    assert voicectl("call list -q", terminal=True).exit_code == 0
    asked = voicectl.requests()[before:]
    assert {each["operation"] for each in asked} == {"getCalls"}

    voicectl("call list", terminal=True)
    named = [each for each in voicectl.requests() if each["path"].startswith("/v1/conversations")]
    assert len(named) == 1


def test_an_age_is_marked_if_only_a_lower_bound_is_known(voicectl: Room) -> None:
    leg = voicectl.call(BY_HAND, wait=None)
    next(voicectl.state.glob("*/journal.db")).unlink()
    assert voicectl("call list --fields age").stdout == ">0s\n"
    voicectl.clock.sleep(50)
    assert voicectl("call list --fields age").stdout == ">50s\n"

    keep(voicectl, status("started", leg=leg))
    assert voicectl("call list --fields age").stdout == "50s\n"


def test_legs_are_sorted_by_age(voicectl: Room) -> None:
    legs = []
    for seconds in (4000, 100, 30):
        legs.append(voicectl.call(options="--talk Hello --join r --length-timer 2h"))
        voicectl.clock.sleep(seconds)

    assert voicectl("call list --sort age -q").stdout.split() == legs[::-1]
    assert voicectl("call list --sort -age -q").stdout.split() == legs


def test_equal_looking_ages_are_sorted_by_the_second(voicectl: Room) -> None:
    legs = []
    for _ in range(3):
        legs.append(voicectl.call(options="--talk Hello --join r"))
        voicectl.clock.sleep(2)
    voicectl.clock.sleep(70)

    assert {row[0] for row in voicectl("call list --fields age").rows} == {"1m"}
    assert voicectl("call list --sort age -q").stdout.split() == legs[::-1]
    assert voicectl("call list --sort -age -q --limit 1").stdout.split() == legs[:1]


def test_a_summary_below_the_table_counts_live_legs_and_those_not_shown(voicectl: Room) -> None:
    def summary(options: str = "") -> str:
        ran = voicectl(f"call list {options}", terminal=True)
        assert ran.exit_code == 0
        return ran.stderr.splitlines()[-1]

    assert summary() == "No results."
    voicectl.call(options="--talk Hello --join a")
    assert summary() == "1 live leg in 1 room"
    voicectl.call("447700900002", "--talk Hello --join a")
    voicectl.call("447700900003", "--talk Hello --join b")
    assert summary() == "3 live legs in 2 rooms"
    assert summary("--limit 2") == "3 live legs in 2 rooms; 1 not shown"
    assert summary("--match-to '*3'") == summary("--conversation b") == "3 live legs in 2 rooms; 2 not shown"
    assert summary("--match-to '4477*2' --limit 1") == "3 live legs in 2 rooms; 2 not shown"
    assert summary("--conversation a --limit 1") == "3 live legs in 2 rooms; 2 not shown, 1 of which match"
    assert summary("--status ringing") == "3 live legs in 2 rooms; 3 not shown"
    assert summary("--since 1h") == "3 live legs in 2 rooms"
    assert summary("-o wide --limit 1") == "3 live legs in 2 rooms; 2 not shown"
    assert summary("--fields uuid") == "3 live legs in 2 conversations"
    voicectl.call(BY_HAND, "--talk Hello", wait=None)
    assert summary() == "4 live legs, 3 of them in 2 rooms"

    assert voicectl("call list").stderr == ""
    assert voicectl("call list --all", terminal=True).stderr == ""
    assert "live legs" not in voicectl("call list -o json", terminal=True).stderr


def test_without_the_conversation_api_the_legs_are_still_shown(voicectl: Room) -> None:
    leg = voicectl.call()
    assert voicectl.sandbox is not None
    voicectl.sandbox.faults.add({"what": "status", "code": 503, "on": "listConversations"})
    before = voicectl.clock.monotonic()

    ran = voicectl("call list", terminal=True, env={"NO_COLOR": "1"})

    assert ran.exit_code == 0
    assert leg[:8] in ran.stdout
    assert "Room names are unknown because the Conversation API failed" in ran.stderr
    assert ran.stderr.endswith("1 live leg in 1 conversation\n")
    assert voicectl.clock.monotonic() - before <= NAMES_SECONDS, "the legs come first"


def test_a_conversation_is_given_by_its_name_or_id(voicectl: Room) -> None:
    leg = voicectl.call(options="--talk Hello --join support-17")
    voicectl.call("447700900002", "--talk Hello --join other")
    id_ = voicectl(f"call show {leg} -o json").json["conversation_uuid"]

    for name in ("support-17", id_):
        for terminal in (False, True):
            ran = voicectl(f"call list --conversation {name} -q", terminal=terminal)
            assert ran.stdout == f"{leg}\n", (name, terminal)
        assert voicectl(f"call list --all --conversation {name} -q").stdout == f"{leg}\n"

    ran = voicectl("call list --conversation suport-17")
    assert ran.exit_code == 4
    assert "support-17" in ran.stderr
    assert voicectl("call list --conversation CON-nonsense").exit_code == 2
