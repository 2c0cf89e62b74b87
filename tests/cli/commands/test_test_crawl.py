"""``test crawl``: exploring a menu, the faults that it finds, and the maps that it draws."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.room import Room
from voicectl.core.crawl.wording import normalized, offered

MENU = Path(__file__).parents[2] / "support" / "crawled.py"
TO = "442079460000"


def write(directory: Path, table: str) -> Path:
    shutil.copy(MENU, directory / MENU.name)
    path = directory / "menu.call.toml"
    run = f'run = ["{sys.executable}", "{MENU.name}", "{{port}}", "{table}"]'
    path.write_text(
        f'[app]\n{run}\nanswer_url = "/answer"\nevent_url = "/event"\n'  # a file without tests
    )
    return path


def test_the_planted_faults_are_found_and_nothing_else(bare: Room) -> None:
    ran = bare(f"test crawl {write(bare.home, 'faulty')} --to {TO} -o json")

    assert ran.exit_code == 13
    found = {(each["kind"], " ".join(each["path"])) for each in json.loads(ran.stdout)["findings"]}
    assert found == {("dead-end", "1 2"), ("dead-end", "1 3"), ("loop", "1 4"), ("unrouted", "2 7")}
    assert "offers 7, but the response to it is the same as to 1, which is not offered." in ran.stderr


def test_a_menu_without_faults_has_no_findings_and_a_map(bare: Room) -> None:
    drawn, text = bare.home / "menu.svg", bare.home / "menu.mmd"

    ran = bare(f"test crawl {write(bare.home, 'good')} --to {TO} --svg {drawn} --mermaid {text} -o json")

    assert (ran.exit_code, ran.stderr) == (0, "")
    states = json.loads(ran.stdout)["states"]
    assert [(each["kind"], each["path"]) for each in states] == [
        ("menu", []),
        ("menu", ["1"]),
        ("menu", ["2"]),
        ("ended", ["*"]),
        ("ended", ["silence"]),
        ("ended", ["1", "1"]),
    ]
    assert states[1]["answers"]["0"] == 1
    assert "Today is Tuesday" in "".join(ET.parse(drawn).getroot().itertext())
    assert 's1 -->|"*"| s4' in text.read_text()


def test_states_beyond_the_depth_are_left_out_and_this_is_said(bare: Room) -> None:
    ran = bare(f"test crawl {write(bare.home, 'good')} --to {TO} --depth 1 -o json")

    assert json.loads(ran.stdout)["complete"] is False
    assert "Give a larger --depth" in ran.stderr


def test_text_that_is_not_a_number_is_refused_before_anything_starts(bare: Room) -> None:
    ran = bare(f"test crawl {write(bare.home, 'good')} --to abc")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "'abc' is not a phone number" in ran.stderr
    assert "sandbox" not in ran.stderr


@pytest.mark.parametrize("table", ["faulty", "broken"])
def test_the_map_does_not_depend_on_the_number_of_jobs(bare: Room, table: str) -> None:
    path = write(bare.home, table)

    one, many = (bare(f"test crawl {path} --to {TO} -o json --jobs {jobs}") for jobs in (1, 4))

    assert one.exit_code == many.exit_code == 13
    assert json.loads(one.stdout) == json.loads(many.stdout)


def test_an_error_is_found_once_however_many_applications_make_it(bare: Room) -> None:
    ran = bare(f"test crawl {write(bare.home, 'broken')} --to {TO} -o json")

    (finding,) = json.loads(ran.stdout)["findings"]
    assert finding["kind"] == "error"
    assert "404" in finding["message"]
    assert "127.0.0.1" not in finding["message"]


def test_a_menu_that_never_ends_is_given_up(bare: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicectl.core.crawl.explore.MAX_STATES", 20)  # 1 000 take long

    ran = bare(f"test crawl {write(bare.home, 'endless')} --to {TO} --depth 50 -o json")

    found = json.loads(ran.stdout)
    assert (ran.exit_code, found["findings"], found["complete"]) == (0, [], False)
    assert 20 <= len(found["states"]) < 40


def test_an_application_that_dies_is_started_again_for_the_next_call(bare: Room) -> None:
    ran = bare(f"test crawl {write(bare.home, 'deadly')} --to {TO} -o json")

    (finding,) = json.loads(ran.stdout)["findings"]
    assert (finding["kind"], finding["path"]) == ("error", ["2"])
    assert finding["message"] == "The application has ended with exit status 3."
    assert json.loads(ran.stdout)["states"][0]["answers"]["3"] == 1


def test_a_drawing_that_cannot_be_saved_is_refused_before_any_call(bare: Room) -> None:
    ran = bare(f"test crawl {write(bare.home, 'good')} --to {TO} --svg {bare.home / 'no' / 'map.svg'}")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "map.svg cannot be written" in ran.stderr


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Your balance is £1,250.50.", "Your balance is £3."),
        ("It is due on Monday, 3rd March 2026.", "It is due on Friday, 1st May 2025."),
        ("WELCOME!", "Welcome."),
    ],
)
def test_numbers_and_dates_do_not_make_another_state(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)


def test_other_keys_make_another_state() -> None:
    assert normalized("Press 1 for more.") != normalized("Press 2 for more.")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("For sales, press 1. For support, press 2.", "12"),
        ("Press one or two, or press the star key.", "12*"),
        ("Press 1, 2 or 3; press # to end.", "123#"),
        ("Press 12 now. Enter your 4 digits. We have 3 offers.", ""),
    ],
)
def test_offered_keys_are_read_from_prompts(text: str, keys: str) -> None:
    assert offered(text) == set(keys)
