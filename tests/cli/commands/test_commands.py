"""``commands``: the command tree as data agrees with ``--help``."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.room import Room
from voicectl import errors
from voicectl.cli.errors import exit_status
from voicectl.cli.tree import all_commands

WORDS = [" ".join(words) for words in all_commands()]


@pytest.fixture
def tree(bare: Room) -> dict[str, Any]:
    found: dict[str, Any] = bare("commands -o json").json
    return found


def test_every_command_is_listed_once(bare: Room, tree: dict[str, Any]) -> None:
    assert [each["command"] for each in tree["commands"]] == WORDS
    assert bare("commands -q").stdout.splitlines() == WORDS
    assert [row[0] for row in bare("commands").rows] == WORDS


def test_the_tree_agrees_with_the_help_of_every_command(bare: Room, tree: dict[str, Any]) -> None:
    for command in tree["commands"]:
        shown = bare(f"{command['command']} --help").stdout
        options = re.search(r"^Options:\n((?:  .*\n)+)", shown, re.MULTILINE)
        assert options is not None
        named = re.findall(r"^  (-.+?)(?:  |$)", options[1], re.MULTILINE)
        in_help = {name for names in named for name in re.findall(r"(?<!\S)--?[\w-]+", names)} - {
            "-h",
            "--help",
        }
        assert {name for each in command["options"] for name in each["options"]} == in_help
        for each in command["options"]:
            assert each["type"] == "flag" or f"{each['options'][-1]} {each['metavar']}" in shown
            assert " ".join(each["help"].split()[:3]) in " ".join(shown.split())
        for each in command["arguments"]:
            assert each["metavar"] in shown
            assert each["required"] == (f"{each['metavar']}" in shown and f"[{each['metavar']}" not in shown)
        columns = re.search(r"TSV columns: (.*?)\.\n", shown, re.DOTALL)
        assert command["columns"] == (columns and " ".join(columns[1].split()).split(", "))
        assert command["summary"].rstrip(".") in " ".join(shown.split())


def test_the_groups_have_the_help_that_they_print(bare: Room, tree: dict[str, Any]) -> None:
    shown = {
        name: bare(f"{name} --help").stdout for name in ["", *(each["group"] for each in tree["groups"])]
    }

    assert {"call", "sandbox", "sandbox fault", "batch store"} < shown.keys()
    for each in [{"group": "", "help": tree["help"]}, *tree["groups"]]:
        assert " ".join(each["help"].split()) in " ".join(shown[each["group"]].split())


def test_the_options_of_every_command_are_those_of_the_help_topic(bare: Room, tree: dict[str, Any]) -> None:
    named = re.findall(r"^  (-.+?)(?: [A-Z]+)?  ", bare("help options").stdout, re.MULTILINE)
    assert [", ".join(each["options"]) for each in tree["options_of_every_command"]] == named


def test_the_fields_are_those_of_the_fields_option(voicectl: Room, tree: dict[str, Any]) -> None:
    [listing] = [each for each in tree["commands"] if each["command"] == "call list"]
    assert voicectl("call list --fields help").stdout.split() == listing["fields"]
    assert listing["id"] == "uuid"


def kinds(of: type[errors.VoicectlError] = errors.VoicectlError) -> set[type[errors.VoicectlError]]:
    return {of}.union(*(kinds(each) for each in of.__subclasses__()))


def test_error_codes_are_documented_and_each_has_one_meaning(bare: Room, tree: dict[str, Any]) -> None:
    codes = [each["code"] for each in tree["error_codes"]]
    statuses = {each["status"] for each in tree["exit_statuses"]}
    topic = bare("help exit-statuses").stdout

    assert codes == sorted(set(codes))
    assert {"not_found", "ambiguous", "outcome_unknown", "internal"} <= set(codes)
    assert {each["exit_status"] for each in tree["error_codes"]} <= statuses
    for each in tree["error_codes"]:
        assert re.search(rf"^  {each['code']} +{each['exit_status']} ", topic, re.MULTILINE)


def test_each_error_code_has_one_exit_status(voicectl: Room, tree: dict[str, Any]) -> None:
    statuses = {each["code"]: each["exit_status"] for each in tree["error_codes"]}
    for line in (
        "mute beef",
        "call show 63f61863-4a51-4f6b-86e1-46edebcf9356",
        "hangup -",
        "-p nope call list",
        "dtmf",
    ):
        ran = voicectl(f"{line} -o json", stdin=voicectl.call())
        assert statuses[ran.error["code"]] == ran.exit_code, line


def test_a_missing_object_has_one_code_however_it_is_named(voicectl: Room) -> None:
    voicectl.call()
    codes = {
        line: voicectl(f"{line} -o json").error["code"]
        for line in (
            "mute 63f61863-4a51-4f6b-86e1-46edebcf9356",
            "mute 63f6",
            "mute to:4420",
            "conversation show nowhere",
            "call reconcile vc-none",
        )
    }
    assert set(codes.values()) == {"not_found"}, codes


def test_an_ambiguous_name_has_a_code_of_its_own(voicectl: Room) -> None:
    voicectl.call("447700900001")
    voicectl.call("447700900003")

    ran = voicectl("mute to:4477 -o json")

    assert (ran.exit_code, ran.error["code"]) == (4, "ambiguous")


def test_each_kind_of_error_has_an_exit_status(tree: dict[str, Any]) -> None:
    statuses = {each["status"] for each in tree["exit_statuses"]}
    made = {kind: kind.__new__(kind) for kind in kinds() - {errors.Interrupted}}
    assert {exit_status(exc) for exc in made.values()} <= statuses
