"""One verdict for one rule: the linter finds an error exactly where the sandbox refuses.

The two read an NCCO independently. The tests compare every documented form, an example of each fault in the
table of verdicts, and generated NCCOs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.support.flows import (
    APP,
    CHOICES,
    CON,
    EXAMPLES,
    FLAGS,
    FLOWS,
    LEG,
    PHONE,
    RANGES,
    TOLERATED,
    paths,
    with_,
)
from voicectl.sandbox.parsing.ncco import read_ncco
from voicectl.voice.ncco.endpoints import ENDPOINT
from voicectl.voice.ncco.lint import lint
from voicectl.voice.ncco.model import ACTION
from voicectl.voice.ncco.verdicts import VERDICTS, Fault, Severity

TALK = {"action": "talk", "text": "Hello"}
STREAM = {"action": "stream", "streamUrl": [APP]}
RECORD = {"action": "record"}
CONVERSATION = {"action": "conversation", "name": "r"}
CONNECT = {"action": "connect", "endpoint": [PHONE]}
INPUT = {"action": "input", "type": ["dtmf"]}
TRANSFER = {"action": "transfer", "conversationId": CON}
SIP = {"type": "sip", "uri": "sip:desk@example.org"}
SOCKET = {"type": "websocket", "uri": "wss://example.org/a", "content-type": "audio/l16;rate=16000"}

Verdicts = Mapping[Fault, Severity]


def refusals(flow: object) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    read_ncco(flow, found)
    return found


def is_agreed(
    flow: object,
    *,
    verdicts: Verdicts = VERDICTS,
    refused: Callable[[object], list[dict[str, str]]] = refusals,
) -> bool:
    """Return True if the linter, by *verdicts*, finds an error exactly if the sandbox refuses *flow*."""
    has_error = any(verdicts[finding.fault] is Severity.ERROR for finding in lint(flow))
    return has_error == bool(refused(flow))


def connect(endpoint: dict[str, Any]) -> dict[str, Any]:
    return {"action": "connect", "endpoint": [endpoint]}


ONE_OF_EACH: dict[Fault, list[Any]] = {
    Fault.WRONG_TYPE: [
        [TALK | {"text": 5}],
        [TALK | {"loop": True}],
        [STREAM | {"streamUrl": APP}],
        [CONNECT | {"from": 447700900001}],
        [CONVERSATION | {"canHear": [None]}],
        [INPUT | {"type": "dtmf"}],
        ["talk"],
        {"ncco": [TALK]},
        TALK,
        None,
    ],
    Fault.NO_KIND: [[{}], [{"action": None}], [connect({"number": "447700900123"})]],
    Fault.UNKNOWN_KIND: [
        [{"action": "hangup"}],
        [{"action": "websocket"}],
        [{"action": "Talk"}],
        [connect({"type": "fax"})],
    ],
    Fault.MISSING: [[{"action": "talk"}], [{"action": "talk", "text": None}], [connect({"type": "sip"})]],
    Fault.NOT_A_CHOICE: [[RECORD | {"format": "aac"}], [CONNECT | {"eventMethod": "post"}]],
    Fault.MALFORMED: [
        [TALK | {"text": " "}],
        [STREAM | {"streamUrl": ["ftp://a"]}],
        [STREAM | {"streamUrl": ["http://x:99999"]}],
        [connect(PHONE | {"number": "0123"})],
        [connect(SIP | {"uri": "desk@example.org"})],
        [RECORD | {"endOnKey": "12"}],
        [connect(SOCKET | {"authorization": {"type": "custom", "value": "a\nb"}})],
    ],
    Fault.TOO_LONG: [
        [TALK | {"text": "a" * 1501}],
        [connect(SIP | {"standardHeaders": {"User-to-User": "a" * 257}})],
    ],
    Fault.OUT_OF_RANGE: [[TALK | {"level": 2}], [INPUT | {"dtmf": {"maxDigits": 21}}]],
    Fault.WRONG_COUNT: [
        [],
        [CONNECT | {"endpoint": []}],
        [STREAM | {"streamUrl": [APP, APP]}],
        [STREAM | {"streamUrl": []}],
        [INPUT | {"type": []}],
    ],
    Fault.CONTRADICTION: [
        [RECORD | {"channels": 2}],
        [CONVERSATION | {"mute": True, "canSpeak": []}],
        [CONNECT | {"from": "447700900001", "randomFromNumber": True}],
        [CONVERSATION | {"transcription": {}}],
        [INPUT | {"mode": "asynchronous", "dtmf": {"timeOut": 1}}],
        [connect({"type": "sip", "user": "a"})],
    ],
    Fault.BARGE_IN_WITHOUT_INPUT: [[TALK | {"bargeIn": True}], [STREAM | {"bargeIn": True}, RECORD]],
    Fault.BAD_SSML: [[TALK | {"text": "<speak>a & b</speak>"}]],
    Fault.NULL: [[TALK | {"language": None}], [connect(SIP | {"headers": {"a": None}})]],
    Fault.AS_TEXT: [[TALK | {"loop": "2"}], [TALK | {"premium": "true"}]],
    Fault.PLUS: [[connect({"type": "phone", "number": "+447700900001"})]],
    Fault.IN_ARRAY: [
        [CONNECT | {"ringbackTone": [APP]}],
        [connect(PHONE | {"onAnswer": {"url": APP, "ringbackTone": [APP]}})],
    ],
    Fault.NO_URL: [[CONNECT | {"eventUrl": []}]],
    Fault.CLAMPED: [[{"action": "wait", "timeout": 0}]],
    Fault.ODD_STEP: [[STREAM | {"level": 0.25}]],
    Fault.UNKNOWN_CALLER: [[CONNECT | {"from": "Vonage"}], [connect(SOCKET) | {"from": "Vonage"}]],
    Fault.OTHER_ID: [
        [CONVERSATION | {"canSpeak": ["PAR-123"]}],
        [{"action": "input", "type": ["speech"], "speech": {"uuid": ["aaaa-bbbb"]}}],
        [{"action": "transfer", "conversationId": "r"}],
    ],
    Fault.LONG_URI: [[connect(SIP | {"uri": "sip:a@" + "b" * 300})]],
    Fault.NO_SIP_USER: [[connect(SIP | {"uri": "sip:example.org"})]],
    Fault.PREFIXED_HEADER: [[connect(SIP | {"headers": {"X-Queue": "gold"}})]],
    Fault.BIG_HEADERS: [[connect(SOCKET | {"headers": {"a": "b" * 700}})]],
    Fault.NO_INPUT_TYPE: [[{"action": "input", "eventUrl": [APP]}], [{"action": "input", "speech": {}}]],
    Fault.UNKNOWN_OPTION: [[TALK | {"colour": "red"}]],
    Fault.MISSPELT_OPTION: [[TALK | {"event_url": APP}]],
    Fault.OTHER_SPELLING: [[{"action": "transfer", "conversation_id": CON}]],
    Fault.DEPRECATED: [[{"action": "pay", "amount": 1}], [{"action": "input", "maxDigits": 1}]],
    Fault.NO_EFFECT: [[INPUT | {"speech": {}}]],
    Fault.UNKNOWN_LANGUAGE: [[TALK | {"language": "tlh"}]],
    Fault.UNKNOWN_STYLE: [[TALK | {"style": 99}]],
    Fault.ODD_SSML: [[TALK | {"text": "<speak><shout>a</shout></speak>"}]],
    Fault.BARGE_IN_STAYS: [[TALK | {"bargeIn": True}, STREAM | {"bargeIn": False}, INPUT]],
    Fault.NEVER_RUNS: [[CONVERSATION, TALK]],
    Fault.RECORD_TOO_LATE: [[CONNECT, RECORD]],
}
"""For each fault, NCCOs that have this fault and no other."""

OF_FILES = {Fault.UNREADABLE, Fault.REPEATED_KEY, Fault.BYTE_ORDER_MARK}
"""Faults of a file, which no NCCO in a request can have."""


def test_every_fault_in_the_table_has_an_example() -> None:
    assert ONE_OF_EACH.keys() | OF_FILES == set(Fault)


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: fault.name)
def test_the_sandbox_refuses_a_fault_exactly_if_its_verdict_is_an_error(fault: Fault) -> None:
    for flow in ONE_OF_EACH[fault]:
        assert [finding.fault for finding in lint(flow)] == [fault], flow
        assert bool(refusals(flow)) == (VERDICTS[fault] is Severity.ERROR), flow


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_documented_form_is_accepted(name: str) -> None:
    assert lint(EXAMPLES[name]) == []
    assert refusals(EXAMPLES[name]) == []


@pytest.mark.parametrize("name", TOLERATED)
def test_requests_of_official_samples_and_clients_cause_at_most_a_warning(name: str) -> None:
    assert {finding.severity for finding in lint(TOLERATED[name])} <= {Severity.WARNING}
    assert refusals(TOLERATED[name]) == []


def tried(values: list[Any]) -> list[Any]:
    """Values at the limits, as numbers and as text."""
    return values + [str(each).lower() for each in values if isinstance(each, bool | int | float)]


EDGES: list[tuple[dict[str, Any], str, list[Any]]] = [
    *(
        (action, option, [least, least - 1, most or 9, (most or 9) + 1, 2.0])
        for action, option, least, most in RANGES
    ),
    *((action, option, [True, False, "yes"]) for action, option in FLAGS),
    *((action, option, [*values, "x"]) for action, option, values in CHOICES),
    (CONVERSATION, "canSpeak", [[], [LEG], ["PAR-1"], [None], "x"]),
    (CONVERSATION, "transcription", [{}, {"language": "xx"}, {"eventUrl": [APP]}, None]),
    (CONVERSATION, "musicOnHoldUrl", [[APP], APP, []]),
    (CONNECT, "from", ["447700900456", "+447700900456", "00447700900456", "Vonage", "", 447700900456]),
    (CONNECT, "eventUrl", [[APP], [], [APP, APP]]),
    (CONNECT, "ringbackTone", [APP, [APP], "x", ["x"], [APP, APP], []]),
    (TALK, "bargeIn", [True, False]),
    (TALK, "text", ["<speak>a</speak>", "<speak>a", "a" * 1501, " "]),
    (TALK, "provider", ["google", 5]),
    (TALK, "providerOptions", [{}, {"a": None}, "x"]),
    ({"action": "pay"}, "amount", [0, -1, "9.99"]),
    ({"action": "pay"}, "prompts", [[], [{"type": "CardNumber"}], [{"type": "x"}], [{"errors": 1}], [1], 1]),
    ({"action": "pay"}, "voice", [{}, {"style": "1"}, {"style": -1}, {"language": 1}]),
    ({"action": "pay"}, "eventUrl", [[APP], []]),
    (CONNECT, "advanced_machine_detection", [{}, {"beep_timeout": "45"}, {"beep_timeout": 29}]),
    (INPUT, "type", [["dtmf"], ["speech"], ["speech", "dtmf", "dtmf"], [], ["fax"]]),
    (INPUT, "dtmf", [{}, {"maxDigits": "20"}, {"maxDigits": 21}]),
    (INPUT, "speech", [{}, {"uuid": ["x"]}, {"uuid": []}, {"context": []}, {"provider": 1}]),
    ({"action": "input"}, "speech", [{}, {"maxDuration": 61}]),
    ({"action": "input"}, "dtmf", [{}, {"maxDigits": 21}]),
    *((INPUT, option, [1, 11, 21]) for option in ("maxDigits", "timeOut", "submitOnHash")),
    ({"action": "wait"}, "timeout", [0, 10**9, "x"]),
    ({"action": "transfer"}, "conversationId", [CON, "CON-x", " "]),
    ({"action": "transfer"}, "conversation_id", [CON, "x", " "]),
    *(
        (action, "eventUrl", [[APP], APP])
        for action in (TALK, RECORD, CONNECT, INPUT, {"action": "wait"}, TRANSFER)
    ),
    *(
        (action, "eventMethod", ["GET", "PUT"])
        for action in (STREAM, CONVERSATION, {"action": "wait"}, TRANSFER)
    ),
    *(
        ({"action": "connect"}, "endpoint", [[endpoint | {option: value} for value in [value]]])
        for endpoint, option, values in (
            (PHONE, "dtmfAnswer", ["1p", "1w", ""]),
            (PHONE, "onAnswer", [{}, {"url": APP}, {"url": APP, "ringback": APP}, {"url": [APP]}]),
            (SIP, "onAnswer", [{}]),
            (SIP, "uri", ["sip:", "SIP:a", "sip:a@", "sip:@a", "sip:a@" + "b" * 300, "sip:\u00e9@a"]),
            (SIP, "user", ["a"]),
            (SIP, "standardHeaders", [{}, {"User-to-User": "x" * 257}]),
            (
                SOCKET,
                "authorization",
                [{}, {"type": "custom"}, {"type": "custom", "value": ""}, {"value": "\n"}],
            ),
            (SOCKET, "headers", [{"a": "x" * 504}, {"a": "x" * 505}]),
            (SOCKET, "uri", ["WS://a", "ws://", "http://a", "ws://a:0"]),
            (SIP, "headers", [{"a": None}, {"X-A": "a"}, {"a": 1}]),
        )
        for value in values
    ),
]


def edge(action: dict[str, Any], option: str, value: object) -> list[dict[str, Any]]:
    """Return a flow of *action* with *value* at *option*, in an object that is made if the action lacks it."""
    holder = option.partition(".")[0]
    if "." in option and not isinstance(action.get(holder), dict):
        action = action | {holder: {}}
    return with_(action, option, value)


@pytest.mark.parametrize(("action", "option", "values"), EDGES, ids=lambda each: str(each)[:40])
def test_both_have_the_same_limits(action: dict[str, Any], option: str, values: list[Any]) -> None:
    for value in tried(values):
        flow = edge(action, option, value)
        assert is_agreed(flow), (lint(flow), refusals(flow))


@st.composite
def edged(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An action with several options at once, most of them right."""
    kind = draw(st.sampled_from(sorted({action["action"] for action, _, _ in EDGES})))
    flow: list[dict[str, Any]] = []
    of_kind = [each for each in EDGES if each[0]["action"] == kind]
    for action, option, values in draw(st.lists(st.sampled_from(of_kind), min_size=1, max_size=4)):
        base = {**action, **(flow[0] if flow else {})}
        flow = edge(base, option, draw(st.sampled_from(tried(values))))
    return flow


KNOWN = sorted(
    {name for record in ACTION.records.values() for name in record.options}
    | {name for record in ENDPOINT.records.values() for name in record.options}
    | {
        "maxDuration",
        "saveAudio",
        "beep_timeout",
        "behavior",
        "sentimentAnalysis",
        "ringback",
        "User-to-User",
        "context",
        "sensitivity",
        "startTimeout",
        "uuid",
        "url",
        "value",
    }
)
"""The options of every action and endpoint, and of the objects inside them."""


GENERATED = FLOWS | edged()


@given(GENERATED)
@example([{"action": "input", "type": ["dtmf"], "mode": "asynchronous", "maxDigits": 1}])
@example([CONNECT | {"advancedMachineDetection": {}, "advanced_machine_detection": {"mode": "x"}}])
@example([TRANSFER | {"conversation_id": 1}])
@example([TALK | {"loop": "9" * 400}])
@example([TALK | {"loop": "9" * 5000}])
@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
def test_the_linter_finds_an_error_exactly_if_the_sandbox_refuses(flow: Any) -> None:
    assert is_agreed(flow), (lint(flow), refusals(flow))


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: fault.name)
def test_a_changed_verdict_is_detected(fault: Fault) -> None:
    """The control of the comparison, on the side of the linter."""
    changed = VERDICTS | {fault: ({*Severity} - {VERDICTS[fault]}).pop()}

    assert not any(is_agreed(flow, verdicts=changed) for flow in ONE_OF_EACH[fault])


@pytest.mark.parametrize(
    "name", ["text", "loop", "endpoint", "number", "bargeIn", "dtmf", "type", "streamUrl"]
)
def test_a_rule_that_the_sandbox_lacks_is_detected(name: str) -> None:
    """The control of the comparison, on the side of the sandbox."""

    def lax(flow: object) -> list[dict[str, str]]:
        return [error for error in refusals(flow) if error["name"].rpartition(".")[2] != name]

    flows = [flow for each in ONE_OF_EACH.values() for flow in each]
    assert not all(is_agreed(flow, refused=lax) for flow in flows)


@st.composite
def with_nulls(draw: st.DrawFn) -> tuple[Any, Any]:
    """An NCCO that the sandbox accepts, without and with options that are null."""
    plain: Any = copy.deepcopy(draw(st.sampled_from([*EXAMPLES.values(), *TOLERATED.values()]) | GENERATED))
    assume(not refusals(plain))
    nulled = copy.deepcopy(plain)
    for path in paths(plain):
        if {"payload", "providerOptions", "headers"} & set(path):
            continue  # data of the application, in which null is a value
        holder = nulled
        for step in path:
            holder = holder[step]
        if isinstance(holder, dict):
            absent = [name for name in KNOWN if name not in holder]
            holder.update(dict.fromkeys(draw(st.lists(st.sampled_from(absent), max_size=4))))
    return plain, nulled


@given(with_nulls())
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_options_that_are_null_count_as_absent(pair: tuple[Any, Any]) -> None:
    plain, nulled = pair

    assert read_ncco(nulled, errors := []) == read_ncco(plain, [])
    assert errors == []
    not_new = {Fault.NULL, Fault.UNKNOWN_OPTION, Fault.MISSPELT_OPTION}
    assert [each for each in lint(nulled) if each.fault not in not_new] == [
        each for each in lint(plain) if each.fault not in not_new
    ]
