"""The JSON Schema agrees with the linter on types, ranges and rules within an object: both use one model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given, settings
from jsonschema import Draft202012Validator

from tests.support.flows import APP, CON, EXAMPLES, FLOWS, PHONE
from voicectl.voice.ncco import lint, values
from voicectl.voice.ncco.findings import Findings
from voicectl.voice.ncco.model import NCCO
from voicectl.voice.ncco.schema import schema
from voicectl.voice.ncco.verdicts import Fault

SCHEMA = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def is_valid(flow: object) -> bool:
    return bool(VALIDATOR.is_valid(flow))


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_reference_are_valid(name: str) -> None:
    assert is_valid(EXAMPLES[name])


@given(FLOWS)
@example([{"action": "input"}])
@example([{"action": "talk", "text": None}])
@example([{"action": "transfer", "conversationId": None, "conversation_id": CON}])
@example([{"action": "transfer", "conversationId": None}])
@example([{"action": "conversation", "name": "r", "mute": True, "canSpeak": None}])
@example([{"action": "conversation", "name": "r", "transcription": {}, "record": None}])
@example([{"action": "conversation", "name": "r", "transcription": None}])
@example([{"action": "connect", "endpoint": [PHONE], "ringbackTone": [APP], "eventUrl": []}])
@example([{"action": "input", "type": ["dtmf"], "mode": "asynchronous", "dtmf": {"timeOut": None}}])
@example([{"action": "input", "maxDigits": 4}])
@example([{"action": "transfer", "conversation_id": CON}])
@example([{"action": "conversation", "name": "r", "mute": "true", "canSpeak": []}])
@example([{"action": "conversation", "name": "r", "transcription": {}, "record": 1}])
@example([{"action": "input", "type": ["dtmf"], "mode": "asynchronous", "dtmf": {}}])
@example([{"action": "connect", "endpoint": [{"type": "sip", "user": "a"}]}])
@settings(max_examples=700, deadline=None, derandomize=True, database=None)
def test_the_schema_refuses_exactly_the_errors_of_shape(flow: Any) -> None:
    errors = [finding for finding in lint.lint(flow) if finding.is_error]

    if not is_valid(flow):
        assert errors
    elif errors:
        assert not shape_errors(flow)


def shape_errors(flow: Any) -> list[str]:
    """Return the errors of shape, without those a schema cannot express: sizes, and ranges of numbers in texts."""
    found = Findings()
    values.check(NCCO, flow, (), found)
    as_text = {finding.path for finding in found.all if finding.fault is Fault.AS_TEXT}
    return [
        finding.message
        for finding in found.all
        if finding.is_error
        and finding.path not in as_text
        and finding.fault is not Fault.MALFORMED  # hosts and ports of URLs
        and "has no option" not in finding.message
    ]


@pytest.mark.parametrize(
    "flow",
    [
        [],
        [{"action": "tlak"}],
        [{"action": "talk"}],
        [{"action": "talk", "text": "a", "loop": -1}],
        [{"action": "stream", "streamUrl": APP}],
        [{"action": "record", "channels": 2}],
        [{"action": "connect", "endpoint": [PHONE, PHONE]}],
        [{"action": "connect", "endpoint": [PHONE], "from": "447700900001", "randomFromNumber": True}],
        [{"action": "connect", "endpoint": [{"type": "sip", "uri": "sip:a@b", "user": "a", "domain": "b"}]}],
        [{"action": "input", "type": ["dtmf"], "mode": "asynchronous", "dtmf": {"timeOut": 1}}],
    ],
)
def test_it_refuses_invalid_flows(flow: object) -> None:
    assert not is_valid(flow)
    assert shape_errors(flow)


def test_a_schema_that_lacks_a_limit_is_detected() -> None:
    """The control of the comparison above: it sees a difference of one bound."""
    lax = copy.deepcopy(SCHEMA)
    del lax["$defs"]["action.record"]["properties"]["timeOut"]["anyOf"][0]["anyOf"][0]["maximum"]
    flow = [{"action": "record", "timeOut": 7201}]

    assert shape_errors(flow)
    assert not is_valid(flow)
    assert Draft202012Validator(lax).is_valid(flow)


def test_editors_show_the_description_of_an_option_and_whether_it_is_deprecated() -> None:
    talk = SCHEMA["$defs"]["action.talk"]["properties"]

    assert talk["loop"]["default"] == 1
    assert "charged" in talk["premium"]["description"]
    assert talk["voiceName"]["deprecated"] is True
    assert "en-GB" in talk["language"]["examples"]
    assert SCHEMA["$defs"]["action.pay"]["deprecated"] is True
