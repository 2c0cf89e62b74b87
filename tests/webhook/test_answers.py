"""Answers to calls: rules, texts with variables from untrusted requests, and changes of the files."""

from __future__ import annotations

import json
import os
import resource
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.hostile import HOSTILE
from voicectl.errors import GuardError, InputError
from voicectl.voice import speech
from voicectl.voice.ncco.lint import lint
from voicectl.webhook.answers import LOOK_SECONDS, Answers

LEG = "9a8b7c6d-5e4f-4321-8fed-cba987654321"
CALL = {
    "to": "447700900456",
    "from": "447700900789",
    "uuid": LEG,
    "conversation_uuid": "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00",
    "endpoint_type": "phone",
    "region_url": "https://api-eu-3.vonage.com",
    "SipHeader_X-Queue": "gold",
    "custom_data": {"name": "Zoë", "count": 3, "is_new": True, "list": [1]},
}
SSML = "<speak>Hello <s>{from}</s>, <say-as interpret-as='digits'>{SipHeader_X-Queue}</say-as></speak>"
PLAIN = "Hello {from}, {SipHeader_X-Queue}"


class Desk:
    """A directory of answer files that are edited, with its own clock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.warnings: list[str] = []

    def write(self, name: str, content: object) -> Path:
        """Write a file whose modification time differs from that of the previous one."""
        path = self.directory / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        self.clock.sleep(1)
        os.utime(path, (self.clock.time(), self.clock.time()))
        return path

    def open(self, content: object, name: str = "answers.toml", **options: Any) -> Answers:
        path = self.write(name, content)
        return Answers(path, self.warnings.append, monotonic=self.clock.monotonic, **options)

    def refusal(self, content: object, name: str = "answers.toml") -> str:
        """Return the message and the hint of the refusal of such a file."""
        with pytest.raises(InputError) as caught:
            self.open(content, name)
        return f"{caught.value.message} {caught.value.hint}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def ask(answers: Answers, fields: dict[str, Any] | None = None, direction: str = "inbound") -> Any:
    answer = answers.answer(CALL if fields is None else fields, direction=direction)
    return None if answer is None else json.loads(answer)


def talk(text: str, **options: Any) -> dict[str, Any]:
    return {"action": "talk", "text": text} | options


def rule(text: str, *conditions: str) -> str:
    return "\n".join(["[[rule]]", *conditions, f'answer = [{{ action = "talk", text = "{text}" }}]', ""])


# The content of the file


@pytest.mark.parametrize("name", ["hello.json", "hello", "hello.toml"])
def test_an_ncco_answers_every_call(desk: Desk, name: str) -> None:
    flow = [talk("Hello"), {"action": "stream", "streamUrl": ["https://app.example.org/a.mp3"]}]

    assert ask(desk.open(flow, name)) == flow
    assert desk.warnings == []


def test_the_first_matching_rule_answers(desk: Desk) -> None:
    desk.write("welcome.json", [talk("Welcome")])
    answers = desk.open(
        """
        [[rule]]
        to = "44207946*"
        from = ["+4477*", "Unknown"]
        direction = "inbound"
        endpoint_type = "phone"
        ncco = "welcome.json"

        """
        + rule("VIP", 'from = "447700900001"')
        + rule("Everybody else")
    )

    def said(direction: str = "inbound", **fields: Any) -> str:
        return str(ask(answers, fields, direction)[0]["text"])

    call = {"to": "442079460000", "from": "447700900001", "endpoint_type": "phone"}
    assert said(**call) == "Welcome"
    assert said(**call | {"to": "+442079460000", "from": "+447700900001"}) == "Welcome"
    assert said(**call | {"from": "unknown"}) == "Welcome"
    assert said("outbound", **call) == "VIP"
    assert said(**call | {"endpoint_type": "sip"}) == "VIP"
    assert said(**call | {"to": "442079470000"}) == "VIP"
    assert said(**call | {"to": "442079470000", "from": "4477009000012"}) == "Everybody else"
    assert said() == "Everybody else"


def test_a_call_that_no_rule_matches_has_no_answer(desk: Desk) -> None:
    answers = desk.open(rule("Hello", 'to = "442079460000"'))

    assert ask(answers, {"to": "442079460001"}) is None
    assert ask(answers, {}) is None


def test_a_missing_field_counts_as_empty(desk: Desk) -> None:
    answers = desk.open(rule("no number", 'from = ""') + rule("withheld", 'from = "Unknown"') + rule("other"))

    assert [ask(answers, fields)[0]["text"] for fields in ({}, {"from": "Unknown"}, {"from": "4477"})] == [
        "no number",
        "withheld",
        "other",
    ]


def test_a_pattern_is_not_a_regular_expression(desk: Desk) -> None:
    answers = desk.open(rule("a", 'to = "sip:[a-z].?@x.org"') + rule("b"))

    assert ask(answers, {"to": "sip:[a-z].9@x.org"})[0]["text"] == "a"
    assert ask(answers, {"to": "sip:q.9@x.org"})[0]["text"] == "b"
    assert ask(answers, {"to": "sip:[a-z]99@x.org"})[0]["text"] == "b"
    assert ask(answers, {"to": "sip:[a-z].9@x.org\n"})[0]["text"] == "b"


@pytest.mark.parametrize(
    ("content", "mentioned"),
    [
        ("", ["answers.toml has no rule", "[[rule]]"]),
        ("[[rule]", ["neither an NCCO nor TOML", "line 1"]),
        ("a = [" * 3000, ["neither an NCCO nor TOML"]),
        ("x = " + "9" * 5000, ["neither an NCCO nor TOML"]),
        ("[rule]\nto = '1'", ["double brackets"]),
        ("rule = 3", ["double brackets"]),
        ("rules = []", ["'rules'"]),
        ("[[rule]]\nanswer = []", ["rule 1 (line 1): answer", "array has no items"]),
        ("[[rule]]\n", ["rule 1 (line 1)", "neither ncco nor answer"]),
        ("[[rule]]\nncco = 'a'\nanswer = []", ["both ncco and answer"]),
        (rule("a", "form = '1'"), ["'form'", "Did you mean from?"]),
        (rule("a", "Endpoint-Type = 'sip'"), ["'Endpoint-Type'", "Did you mean endpoint_type?"]),
        (rule("a", "zzz = '1'"), ["'zzz'", "Keys: to, from"]),
        (rule("a", "to = 4477"), ["to is not a string", "quotes"]),
        (rule("a", "to = ['4477', 1]"), ["to is not a string"]),
        (rule("a", "to = []"), ["to is not a string"]),
        (rule("a", f"to = '{'*' * 300}'"), ["at most 256"]),
        (rule("a", "direction = 'inbond'"), ["'inbond'", 'mean "inbound"?']),
        (rule("a", "endpoint_type = 'fax'"), ["'fax'", "phone"]),
        ("\n\n" + rule("a") + rule("b"), ["rule 2 (line 5) is never reached", "rule 1"]),
        (rule("a", "to = '1'") * 501, ["501 rules"]),
        ("[[rule]]\nncco = 3", ["not a file name"]),
        ("[[rule]]\nncco = 'no.json'", ["rule 1 (line 1)", "no.json cannot be read: No such file"]),
        ("[[rule]]\nncco = '.'", ["is not a file"]),
        ('[[rule]]\nncco = "a\\u0000b"', ["cannot be read"]),
        ("[[rule]]\nanswer = 'Hello'", ["rule 1 (line 1): answer", "$: This is a string"]),
        (
            "[[rule]]\nanswer = [{ action = 'talk', text = 2026-01-01 }]",
            ["2026-01-01", "JSON does not support"],
        ),
        ("[[rule]]\nanswer = [{ action = 'wait', timeout = inf }]", ["inf", "JSON does not support"]),
        ("[[rule]]\nanswer = [{ action = 'tlak', text = 'a' }]", ["$[0].action", 'mean "talk"?']),
        ("\udcff", ["not UTF-8"]),
        ("x = '" + "a" * (1 << 20) + "'", ["too large", "at most 1 MiB"]),
        ('[{"action": "talk"}]', ["error: $[0]", '"text"']),
        ('{"action": "talk", "text": "a"}', ["$: This is a single action"]),
        ('\n [ {"action": "talk", "text": "a",}]', [":2:34: ", "There is an extra comma"]),
    ],
)
def test_an_error_is_reported_with_its_place(desk: Desk, content: str, mentioned: list[str]) -> None:
    refusal = desk.refusal(content)

    assert [each for each in mentioned if each not in refusal] == [], refusal


def test_an_error_in_the_ncco_of_a_rule_has_its_line_and_column(desk: Desk) -> None:
    desk.write("bad.json", '[\n  {"action": "talk", "text": "a", "loop": -1}\n]')

    refusal = desk.refusal(rule("a", 'to = "1"') + '[[rule]]\nncco = "bad.json"\n')
    assert "rule 2 (line 4)" in refusal
    assert "bad.json:2:43: error: $[0].loop: -1 is less than 0" in refusal


def test_all_errors_of_an_ncco_are_reported_up_to_a_limit(desk: Desk) -> None:
    refusal = desk.refusal([{"action": "talk"}] * 13, "a.json")

    assert refusal.count("has no text") == 10
    assert "and 3 more" in refusal


def test_a_warning_is_reported_and_the_answer_is_served(desk: Desk) -> None:
    flow = [talk("Hello", loop="2")]

    assert ask(desk.open(flow, "a.json")) == flow
    assert len(desk.warnings) == 1
    assert "warning: $[0].loop" in desk.warnings[0]


def test_a_pipe_is_refused_at_once(desk: Desk) -> None:
    os.mkfifo(desk.directory / "pipe")

    with pytest.raises(InputError, match="is not a file"):
        Answers(desk.directory / "pipe", desk.warnings.append)
    assert "pipe is not a file" in desk.refusal("[[rule]]\nncco = 'pipe'")


def test_an_ncco_that_the_policy_forbids_is_not_served(desk: Desk) -> None:
    def allows(flow: list[dict[str, Any]]) -> None:
        if any(action["action"] == "connect" for action in flow):
            raise GuardError("no connects")

    flow = [{"action": "connect", "endpoint": [{"type": "phone", "number": "447700900001"}]}]
    with pytest.raises(GuardError):
        desk.open(flow, "a.json", allows=allows)
    answers = desk.open([talk("Hello")], "a.json", allows=allows)
    desk.write("a.json", flow)

    assert ask(answers) == [talk("Hello")]
    assert desk.warnings == ["the changed answers are not used, and the old ones remain in use: no connects"]


# Variables


def test_a_text_contains_values_of_the_request(desk: Desk) -> None:
    text = (
        "{from} {to} {uuid} {conversation_uuid} {endpoint_type} {region_url} {SipHeader_X-Queue} "
        "{custom_data.name} {custom_data.count} {custom_data.is_new} {{from}} {{{to}}}"
    )
    said = ask(desk.open([talk(text)], "a.json"))[0]["text"]

    assert said == (
        f"447700900789 447700900456 {LEG} CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00 phone"
        " https://api-eu-3.vonage.com gold Zoë 3 true {from} {447700900456}"
    )


def test_rules_and_their_files_may_use_variables_too(desk: Desk) -> None:
    desk.write("a.json", [talk("From a file: {from}")])
    answers = desk.open("[[rule]]\nto = '1'\nncco = 'a.json'\n" + rule("Inline: {from}"))

    assert ask(answers, {"to": "1", "from": "2"})[0]["text"] == "From a file: 2"
    assert ask(answers, {"from": "2"})[0]["text"] == "Inline: 2"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"from": None, "custom_data": None},
        {"from": [], "custom_data": "x"},
        {"from": {"number": "1"}, "custom_data": {"name": {}}},
        {"from": 10**5000, "custom_data": [1]},
        {"from": float("nan"), "custom_data": {"name": None}},
        {"from": "\0\x1b\ud800", "custom_data": {"name": ""}},
    ],
)
def test_missing_and_non_text_values_are_replaced_by_nothing(desk: Desk, fields: dict[str, Any]) -> None:
    answers = desk.open([talk("Hello {from}{custom_data.name}!")], "a.json")

    assert ask(answers, fields) == [talk("Hello !")]


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("Hello {form}", ["{form}", "Did you mean {from}?"]),
        ("Hello {zzz}", ["{zzz}", "{from}, {to}", "{SipHeader_NAME}"]),
        ("Hello {}", ["no variable {}"]),
        ("Hello {from!r}", ["no variable {from!r}"]),
        ("Hello {custom_data}", ["no variable {custom_data}"]),
        ("Hello {custom_data.}", ["no variable {custom_data.}"]),
        ("Hello {SipHeader_}", ["no variable {SipHeader_}"]),
        ("Hello {", ["a single { at character 7", "Write {{"]),
        ("Hello } you", ["a single }", "Write }}"]),
        ("{from} {to}", ["has only variables"]),
        ("Hello <b>{from}</b>", ["is not SSML"]),
        ("{from}<speak>Hello</speak>", ["is not SSML"]),
        ("<spe{from}ak>Hello</speak>", ["$[0].text"]),
        ("<speak{from}>Hello</speak>", ["$[0].text"]),
        ("<speak>Hello <{from}/></speak>", ["$[0].text"]),
        ("<speak>Hello <break time='{from}'/></speak>", ["inside a tag"]),
        ("<speak>Hello <!-- {from} --></speak>", ["inside a tag, a comment"]),
        ("<speak>Hello <![CDATA[{from}]]></speak>", ["CDATA"]),
        ("<speak>Hello <?pi {from}?></speak>", ["inside a tag"]),
        ("<speak>Hello &{from};</speak>", ["$[0].text"]),
        ("<speak>Hello &#{from};</speak>", ["$[0].text"]),
        ("<speak>{from}</speak>x", ["$[0].text"]),
        ("a" * 1400 + "{from}{to}{uuid}", ["left for each: 33", "1500"]),
        ("a" * 1501, ["1501 characters"]),
    ],
)
def test_a_text_that_cannot_be_filled_safely_is_refused(desk: Desk, text: str, mentioned: list[str]) -> None:
    refusal = desk.refusal([talk(text)], "a.json")

    assert [each for each in [*mentioned, "$[0]"] if each not in refusal] == [], refusal


NOT_TEXT: list[Any] = [
    {"action": "connect", "endpoint": [{"type": "app", "user": "{from}"}]},
    {"action": "conversation", "name": "room-{SipHeader_X-Queue}"},
    {"action": "stream", "streamUrl": ["https://app.example.org/{uuid}.mp3"]},
    {"action": "notify", "payload": {"a": [{"b": "{from}"}]}, "eventUrl": ["https://app.example.org"]},
    {"action": "notify", "payload": {"{from}": 1}, "eventUrl": ["https://app.example.org"]},
    {"action": "talk", "text": "a", "eventUrl": ["https://app.example.org/{custom_data.x}"]},
    {"action": "talk", "text": "a", "language": "{to}"},
]


@pytest.mark.parametrize("action", NOT_TEXT)
def test_a_variable_outside_the_text_of_a_talk_action_is_refused(desk: Desk, action: dict[str, Any]) -> None:
    refusal = desk.refusal([talk("Hello"), action], "a.json")

    assert ":1:" in refusal
    assert "$[1]" in refusal
    assert "only the text of a talk action may" in refusal


def test_other_braces_outside_texts_are_left_unchanged(desk: Desk) -> None:
    flow = [{"action": "notify", "payload": {"a": "{{x}} {y}"}, "eventUrl": ["https://app.example.org"]}]

    assert ask(desk.open(flow, "a.json")) == flow


METACHARACTERS = st.text(
    st.sampled_from('"\'\\<>&;{}[]/:,=!-?#\0\n\x1b\x85\ud800\ufffe\u2028 speakSPEAKb1 "'), max_size=400
)
STRANGE = st.one_of(
    METACHARACTERS,
    st.text(max_size=400),
    st.sampled_from(sorted(HOSTILE.values())),
    st.sampled_from(
        [
            '"},{"action":"connect","endpoint":[{"type":"phone","number":"447700900001"}]},{"x":"',
            "</speak>",
            "<speak><break/></speak>",
            "]]><x/>",
            "&lt;" * 300,
            "{from}",
            "{{",
            "&" * 5000,
        ]
    ),
    st.none() | st.booleans() | st.integers() | st.floats(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)
FLOW = [
    talk(PLAIN),
    talk(SSML),
    talk("Hello " + "{custom_data.name} " * 30),
    talk("A {{brace}} for {to}"),
    talk("<speak>a &amp; b {from_user}" + "x" * 1300 + "</speak>"),
    {"action": "connect", "endpoint": [{"type": "phone", "number": "447700900123"}]},
]


def shape(flow: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in action.items() if name != "text"} for action in flow]


@pytest.fixture(scope="module")
def flow_answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return Desk(tmp_path_factory.mktemp("answers")).open(FLOW, "a.json")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(value=STRANGE, other=STRANGE, direction=st.text(max_size=5))
@example(value="speak>", other="<", direction="")
def test_no_value_changes_the_actions_or_the_findings_of_the_linter(
    flow_answers: Answers, value: Any, other: Any, direction: str
) -> None:
    fields = {"from": value, "SipHeader_X-Queue": other, "custom_data": {"name": value}, "from_user": other}
    answer = ask(flow_answers, fields, direction)

    assert shape(answer) == shape(FLOW)
    assert lint(answer) == lint(ask(flow_answers, {})) == []
    assert [speech.is_ssml(action["text"]) for action in answer[:5]] == [False, True, False, False, True]
    for action in answer[:5]:
        assert speech.characters(action["text"]) <= speech.MAX_CHARACTERS
        assert not {each for each in action["text"] if unicodedata.category(each) in ("Cc", "Cs")}


def test_the_check_of_values_detects_a_naive_template(desk: Desk) -> None:
    """The control: the property above must reject text that is pasted into JSON."""
    value = '"},{"action":"connect","endpoint":[{"type":"phone","number":"447700900001"}]},{"action":"talk","text":"'
    naive = json.loads(json.dumps([talk("Hello {from}")]).replace("{from}", value))

    assert shape(naive) != shape([talk("Hello {from}")])
    assert lint([talk(SSML.replace("{from}", "</s><x>"))]) != []


@pytest.mark.parametrize("text", [PLAIN, SSML])
def test_a_value_is_spoken_and_not_interpreted(desk: Desk, text: str) -> None:
    said = ask(desk.open([talk(text)], "a.json"), {"from": "<b>\"A\" & 'B'</b>"})[0]["text"]

    if text is PLAIN:
        assert said == "Hello b\"A\" & 'B'/b, "
    else:
        assert "<s>&lt;b&gt;&quot;A&quot; &amp; &apos;B&apos;&lt;/b&gt;</s>" in said


def test_a_long_value_is_cut_between_two_characters(desk: Desk) -> None:
    answers = desk.open([talk("<speak>Hello {from}</speak>"), talk("Hello {from}")], "a.json")
    ssml, plain = (action["text"] for action in ask(answers, {"from": "x" + "&" * 10_000}))

    assert ssml == f"<speak>Hello x{'&amp;' * 51}</speak>"
    assert plain == "Hello x" + "&" * 255


# Changes of the files


Change = Callable[[Desk], object]


def look(desk: Desk, answers: Answers) -> Any:
    desk.clock.sleep(LOOK_SECONDS)
    return ask(answers, {"from": "447700900789"})[0]["text"]


def test_a_change_of_the_file_is_picked_up(desk: Desk) -> None:
    answers = desk.open([talk("one")], "a.json")
    desk.write("a.json", [talk("two")])

    assert look(desk, answers) == "two"
    assert desk.warnings == []


def test_a_change_of_a_file_that_a_rule_names_is_picked_up(desk: Desk) -> None:
    desk.write("a.json", [talk("one")])
    answers = desk.open("[[rule]]\nncco = 'a.json'")
    desk.write("a.json", [talk("two", loop="2")])

    assert look(desk, answers) == "two"
    assert len(desk.warnings) == 1
    assert "warning" in desk.warnings[0]


def test_a_replacement_file_of_the_same_time_and_size_is_picked_up(desk: Desk) -> None:
    answers = desk.open([talk("one")], "a.json")
    path, new = desk.directory / "a.json", desk.directory / "b.json"
    before = path.stat()
    new.write_text(json.dumps([talk("two")]))
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)

    assert look(desk, answers) == "two"


def test_the_files_are_checked_only_a_few_times_a_second(desk: Desk) -> None:
    answers = desk.open([talk("one")], "a.json")
    assert look(desk, answers) == "one"
    path = desk.directory / "a.json"
    path.write_text(json.dumps([talk("another")]))

    assert ask(answers)[0]["text"] == "one"
    assert look(desk, answers) == "another"


BROKEN: dict[str, tuple[Change, str]] = {
    "the rules are no TOML": (lambda desk: desk.write("answers.toml", "[[rule"), "TOML"),
    "a rule is wrong": (lambda desk: desk.write("answers.toml", rule("x", "form = ''")), "'form'"),
    "the rules are gone": (lambda desk: (desk.directory / "answers.toml").unlink(), "No such file"),
    "the NCCO is broken": (lambda desk: desk.write("a.json", [{"action": "tlak"}]), "$[0].action"),
    "the NCCO is cut": (lambda desk: desk.write("a.json", '[{"action": "ta'), ":1:"),
    "the NCCO is gone": (lambda desk: (desk.directory / "a.json").unlink(), "No such file"),
    "another file is named": (
        lambda desk: desk.write("answers.toml", "[[rule]]\nncco = 'b.json'"),
        "b.json cannot be read",
    ),
}


NOTIFY = '[[rule]]\nanswer = [{ action = "notify", eventUrl = ["https://x.org/"], payload = { %s } }]'
UNSENDABLE = {
    "a number of 20000 bits": (NOTIFY % f"a = 0x{'f' * 5000}", "20000 bits"),
    "keys nested 1500 deep": (NOTIFY % f"{'.'.join('a' * 1500)} = 1", "deep"),
    "arrays nested 200 deep": (NOTIFY % f"a = {'[' * 200}{']' * 200}", "deep"),
    "a talk with a variable": (
        f'[[rule]]\nanswer = [{{ action = "talk", text = "I {{from}}", x.{".".join("a" * 1500)} = 1 }}]',
        "deep",
    ),
    "a key of 100000 letters": (f"[[rule]]\n{'k' * 100_000} = 1", "unknown key"),
}


@pytest.mark.parametrize("case", UNSENDABLE)
def test_an_invalid_flow_is_refused_at_the_start_and_in_a_change(desk: Desk, case: str) -> None:
    content, why = UNSENDABLE[case]
    refusal_text = desk.refusal(content, "other.toml")
    assert why in refusal_text
    assert len(refusal_text) < 1000

    answers = desk.open([talk("old")])
    desk.write("answers.toml", content)
    assert [look(desk, answers) for _ in range(3)] == ["old"] * 3
    assert len(desk.warnings) == 1
    assert why in desk.warnings[0]


def test_the_old_answers_stay_whatever_goes_wrong_with_a_change(desk: Desk) -> None:
    def allow(flow: Any) -> None:
        if flow[0]["text"] != "old":
            raise RuntimeError("a bug of ours")

    answers = desk.open([talk("old")], "a.json", allows=allow)
    desk.write("a.json", [talk("new")])

    assert [look(desk, answers) for _ in range(3)] == ["old"] * 3
    assert len(desk.warnings) == 1
    assert "RuntimeError" in desk.warnings[0]


def test_a_change_of_the_same_time_and_size_is_picked_up(desk: Desk) -> None:
    answers = desk.open([talk("one")], "a.json")
    path = desk.directory / "a.json"
    before = path.stat()
    time.sleep(0.02)  # the clock of a file system ticks
    path.write_text(json.dumps([talk("two")]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert look(desk, answers) == "two"


def test_a_file_that_could_not_be_opened_is_tried_again_and_reported_once(desk: Desk) -> None:
    answers = desk.open([talk("one")], "a.json")
    desk.write("a.json", [talk("two")])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), before[1]))
        try:
            said = [look(desk, answers) for _ in range(3)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert said == ["one"] * 3
    assert len(desk.warnings) == 1
    assert "Too many open files" in desk.warnings[0]
    assert look(desk, answers) == "two"


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_change_is_reported_once_and_the_old_answers_stay(desk: Desk, case: str) -> None:
    desk.write("a.json", [talk("old")])
    answers = desk.open("[[rule]]\nncco = 'a.json'")
    change, cause = BROKEN[case]
    change(desk)

    assert [look(desk, answers) for _ in range(3)] == ["old"] * 3
    assert len(desk.warnings) == 1
    assert cause in desk.warnings[0]

    desk.write("a.json", [talk("mended")])
    desk.write("b.json", [talk("mended")])
    if case in ("the rules are no TOML", "a rule is wrong", "the rules are gone"):
        assert look(desk, answers) == "old"
        desk.write("answers.toml", "[[rule]]\nncco = 'a.json'")
    assert look(desk, answers) == "mended"
    assert len(desk.warnings) == 1


@pytest.mark.parametrize(
    ("written", "right"),
    [("+44 20 7946 0000", "442079460000"), ("44-7700-9*", "4477009*"), ("1 (212) 5", "12125")],
)
def test_a_number_with_separators_is_refused_since_it_matches_nothing(
    desk: Desk, written: str, right: str
) -> None:
    rule = f'[[rule]]\nto = "{written}"\nanswer = [{{action = "talk", text = "Hi"}}]\n'
    assert f'Write it as "{right}"' in desk.refusal(rule)


@pytest.mark.parametrize(
    "name", ["John Smith", "447700900001", "+447700900001", "4477*", "agent-7", "7 of 9"]
)
def test_a_pattern_that_may_be_a_name_or_a_number_is_accepted(desk: Desk, name: str) -> None:
    desk.open(f'[[rule]]\nfrom = "{name}"\nanswer = [{{action = "talk", text = "Hi"}}]\n', "answers.toml")
