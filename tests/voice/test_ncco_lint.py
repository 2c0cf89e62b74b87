"""The linter, as tables: the reference's examples are clean, and every range ends where the reference says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.flows import APP, CDN, CHOICES, EXAMPLES, FLAGS, FLOWS, LEG, PHONE, RANGES, paths, with_
from voicectl.voice import ncco
from voicectl.voice.json_places import show
from voicectl.voice.ncco.lint import first_error, lint, lint_file
from voicectl.voice.ncco.model import ACTION

OPTIONS = {
    "talk": "text bargeIn loop level language style premium voiceName provider providerOptions eventUrl eventMethod",
    "stream": "streamUrl level bargeIn loop eventUrl eventMethod",
    "record": "format split channels endOnSilence endOnKey timeOut beepStart eventUrl eventMethod transcription",
    "conversation": "name musicOnHoldUrl startOnEnter endOnExit record eventUrl eventMethod canSpeak canHear mute"
    " transcription",
    "connect": "endpoint from randomFromNumber eventType timeout limit machineDetection advancedMachineDetection"
    " advanced_machine_detection eventUrl eventMethod ringbackTone",
    "input": "type mode dtmf speech eventUrl eventMethod maxDigits timeOut submitOnHash",
    "notify": "payload eventUrl eventMethod",
    "wait": "timeout",
    "transfer": "conversationId conversation_id canHear canSpeak mute",
    "pay": "amount currency eventUrl prompts voice",
}


def findings(flow: object) -> list[tuple[str, str]]:
    return [(finding.severity.value, show(finding.path)) for finding in lint(flow)]


def errors(flow: object) -> list[str]:
    return [path for severity, path in findings(flow) if severity == "error"]


def test_the_model_has_exactly_the_actions_and_options_of_the_reference() -> None:
    assert {name: set(record.options) for name, record in ACTION.records.items()} == {
        name: set(options.split()) for name, options in OPTIONS.items()
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_reference_are_clean(name: str) -> None:
    assert findings(EXAMPLES[name]) == []
    assert lint_file(json.dumps(EXAMPLES[name]).encode()) == []


@pytest.mark.parametrize(("action", "option", "least", "most"), RANGES, ids=lambda each: str(each)[:40])
def test_ranges_end_where_the_reference_says(
    action: dict[str, Any], option: str, least: float, most: float | None
) -> None:
    path = f"$[0].{option}"
    step = 0.001 if "level" in option or least == 0.4 else 1

    for inside in (least, most if most is not None else 10**30):
        assert errors(with_(action, option, inside)) == []
        assert findings(with_(action, option, str(inside)))[0] == ("warning", path)
        assert errors(with_(action, option, str(inside))) == []
    for outside in (least - step, 10**30 if most is None else most + step):
        is_wrong = outside != 10**30
        assert errors(with_(action, option, outside)) == [path] * is_wrong
        assert errors(with_(action, option, str(outside))) == [path] * is_wrong
    for wrong in (True, [], {}, "x", "", "1e1", "0x1", "9" * 5000, float("inf"), float("nan")):
        assert errors(with_(action, option, wrong)) == [path]
    if step == 1:
        assert errors(with_(action, option, least + 0.5)) == [path]
        assert errors(with_(action, option, f"{least}.5")) == [path]
        assert errors(with_(action, option, float(least))) == []


@pytest.mark.parametrize("seconds", [0, 0.05, 7200.5, 1e9, -1, "0"])
def test_a_wait_out_of_range_is_clamped_and_therefore_a_warning(seconds: object) -> None:
    assert {severity for severity, _ in findings([{"action": "wait", "timeout": seconds}])} == {"warning"}
    assert findings([{"action": "wait", "timeout": 0.1}, {"action": "wait", "timeout": 7200}]) == []


@pytest.mark.parametrize(("action", "option"), FLAGS)
def test_flags_are_true_or_false_and_strings_are_tolerated(action: dict[str, Any], option: str) -> None:
    path = f"$[0].{option}"

    for value in (True, False):
        assert findings(with_(action, option, value)) == []
        assert findings(with_(action, option, str(value).lower())) == [("warning", path)]
    for wrong in (0, 1, "yes", "True", "", [], {}):
        assert errors(with_(action, option, wrong)) == [path]


@pytest.mark.parametrize(("action", "option", "values"), CHOICES)
def test_choices_are_those_of_the_reference(action: dict[str, Any], option: str, values: list[str]) -> None:
    for value in values:
        assert findings(with_(action, option, value)) == []
    for wrong in ("", "x", "Get", "12", True, 5, [values[0]]):
        assert errors(with_(action, option, wrong)) == [f"$[0].{option}"]


ARRAYS_OF_ONE_URL = [
    ({"action": "stream"}, "streamUrl"),
    ({"action": "conversation", "name": "r"}, "musicOnHoldUrl"),
    ({"action": "notify", "payload": {}}, "eventUrl"),
    *((EXAMPLES[name][0], "eventUrl") for name in ("talk", "record", "conversation", "connect", "input")),
]


@pytest.mark.parametrize(("action", "option"), ARRAYS_OF_ONE_URL)
def test_urls_are_arrays_of_one(action: dict[str, Any], option: str) -> None:
    path = f"$[0].{option}"

    for right in (APP, "http://127.0.0.1:8080", "HTTPS://a/?b=%C3%A9#c", f"{APP}/{'a' * 3000}"):
        assert findings(with_(action, option, [right])) == []
    for wrong in (APP, [APP, APP], {"0": APP}):
        assert errors(with_(action, option, wrong)) == [path]
    for wrong in (
        "ftp://a/b",
        "https://",
        "https:///a",
        "app.example.org",
        "https://a b",
        f"{APP}\n",
        f"{APP}/\u00e9",
        f"{APP}/{'a' * 8000}",
        "http://[x",
        "http://x:99999/",
        "",
        5,
        None,
    ):
        assert errors(with_(action, option, [wrong])) == [f"{path}[0]"]


@given(FLOWS)
@settings(max_examples=500, deadline=None, derandomize=True, database=None)
def test_no_json_is_too_odd_and_every_finding_names_an_existing_place(flow: Any) -> None:
    there = set(paths(flow))

    for finding in lint(flow):
        assert finding.path in there
        assert finding.message.endswith(".")
        assert finding.hint
    for finding, line, column in lint_file(json.dumps(flow, indent=1).encode()):
        assert finding.path in there
        assert line >= 1
        assert column >= 1


@given(FLOWS)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_a_file_gets_the_same_findings_as_its_value(flow: Any) -> None:
    placed = [finding for finding, _, _ in lint_file(json.dumps(flow).encode())]

    assert sorted(map(repr, placed)) == sorted(map(repr, lint(json.loads(json.dumps(flow)))))


WORD = st.text(alphabet="abc <>&\u00e9", min_size=1).filter(lambda text: text.strip() and "<" not in text)


@given(
    text=WORD,
    name=WORD,
    legs=st.lists(st.just(LEG), max_size=3) | st.none(),
    flag=st.booleans() | st.none(),
    limit=st.integers(1, 7200) | st.none(),
    level=st.integers(-10, 10).map(lambda tenths: tenths / 10) | st.none(),
    loop=st.integers(1, 9) | st.none(),
)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_flows_made_by_the_builders_are_clean(
    text: str,
    name: str,
    legs: list[str] | None,
    flag: bool | None,
    limit: int | None,
    level: float | None,
    loop: int | None,
) -> None:
    assert not lint(
        [
            ncco.talk(text, language="en-GB", style=1, premium=flag, loop=loop, level=level),
            ncco.stream(f"{CDN}/a.mp3", loop=loop, level=level),
            ncco.connect(PHONE, from_="447700900001", limit=limit),
            ncco.conversation(
                name, can_hear=legs, can_speak=legs, start_on_enter=flag, end_on_exit=flag, record=flag
            ),
        ]
    )


@given(FLOWS)
def test_the_first_error_is_the_first_of_all(flow: object) -> None:
    found = first_error(flow)
    assert (found and (found.path, found.message)) == next(
        ((each.path, each.message) for each in lint(flow) if each.is_error), None
    )


def test_suggestions_are_made_up_to_a_limit() -> None:
    """A guess takes as long as all the rest of an action."""
    hints = [finding.hint for finding in lint([{"action": "tolk"}] * 1000)]
    assert hints[0] == 'Did you mean "talk"?'
    assert 50 < hints.count(hints[0]) < 500
    assert len(hints) == 1000
