"""The model of scenario files: its JSON Schema, the places of values, and the comparison of words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.commands.test_test_steps import FAILING, PASSING, VARIABLES
from tests.support.scenarios import APP, SALES, one_test
from voicectl.core.scenarios import matching, reading
from voicectl.core.scenarios.places import places
from voicectl.core.scenarios.stage import Heard

SCHEMA = jsonschema.Draft202012Validator(reading.schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(reading.schema())


@pytest.mark.parametrize("steps", [*PASSING.values(), *(steps for steps, _ in FAILING.values())])
def test_the_schema_accepts_what_the_reader_accepts(steps: list[str]) -> None:
    SCHEMA.validate(tomllib.loads(APP + VARIABLES + SALES + one_test(*steps)))


@pytest.mark.parametrize(
    "text",
    [
        "[app]\nrun = 5",
        "[app]\nruns = 'x'",
        "[[test]]\nname = 'x'\nsteps = [{ haer = 'x' }]",
        "[[test]]\nname = 'x'\nsteps = [{ press = '1x' }]",
        "[[test]]\nname = 'x'\nsteps = [{ wait = '4 parsecs' }]",
        "[[test]]\ncall = {}",
        "[[test]]\nname = 'x'\nexpect = { duration = 'short' }",
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.call.toml"
    path.write_text(text)

    with pytest.raises(reading.ScenarioError):
        reading.read(path)
    assert not SCHEMA.is_valid(tomllib.loads(text))


TOML = '''\
# a comment
title = "a \\"quoted\\" # text"
[app] # another
run.first = 1
"odd key" = """
[not.a.table]
x = 1"""
list = [
  1, "]", # comment ]
  { a = '}', b.c = [[2], []] },
]
[[test]]
name = 1979-05-27 07:32:00
[[test.steps]]
x = 1
[[test]]
  [[test.steps]]
  [test.steps.deep]
    y = 1e3
'''


def test_the_places_of_all_values_are_found() -> None:
    found = places(TOML)

    assert found["title",] == (2, 1)
    assert found["app", "run", "first"] == (4, 1)
    assert found["app", "odd key"] == (5, 1)
    assert found["app", "list", 1] == (9, 6)
    assert found["app", "list", 2, "b", "c"] == (10, 14)
    assert found["app", "list", 2, "b", "c", 0, 0] == (10, 22)
    assert found["test", 0, "name"] == (13, 1)
    assert found["test", 0, "steps", 0, "x"] == (15, 1)
    assert found["test", 1, "steps", 0, "deep", "y"] == (19, 5)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return {path}.union(*(leaves(each, (*path, key)) for key, each in children))


def test_every_value_has_a_place() -> None:
    assert leaves(tomllib.loads(TOML)) <= places(TOML).keys()


@given(
    st.text(st.characters(exclude_characters="\u0345", exclude_categories=("Cs",)))
)  # a mark that is a letter in capitals
def test_words_are_compared_as_they_are_spoken(text: str) -> None:
    spoken = [word.text for word in matching.spoken(text)]

    assert matching.words(text.upper().lower()) == matching.words(text.lower())
    assert all(word == word.strip() and word for word in spoken)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Press 1 for sales!", "press 1... FOR sales"),
        ("<speak>Hello <break time='1s'/>there</speak>", "hello there"),
        ("It's £1,250.50", "its 1250.50"),
        ("Mr O\u2019Neil", "mr o'neil"),
        ("Straße", "STRASSE"),
        ("e-mail", "e mail"),
    ],
)
def test_texts_that_sound_alike_have_the_same_words(one: str, other: str) -> None:
    assert matching.words(one) == matching.words(other)


def test_words_that_do_not_follow_one_another_are_not_found() -> None:
    heard = matching.words("Welcome to ACME. For sales, press 1.")

    assert matching.find(matching.words("acme for sales"), heard) == 5
    assert matching.find(matching.words("welcome sales"), heard) is None
    assert matching.find(matching.words("press 10"), heard) is None
    assert matching.find(matching.words("welcome"), heard, 1) is None


@given(st.integers(0, 10**7), st.integers(1, 100))
def test_a_text_has_been_spoken_at_a_time_that_the_clock_can_show(at_ms: int, length: int) -> None:
    """A time between two milliseconds would be waited for without end."""
    heard = Heard(at=at_ms / 1000, kind="speech", source="platform", text="x" * 100, was_cut=False)

    assert heard.spoken_by(length) == round(heard.spoken_by(length), 3)
