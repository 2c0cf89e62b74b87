"""NCCOs: built by a serializer, so that no text adds an action; and read to find the numbers they dial."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicectl.voice import ncco

METACHARACTERS = st.text(alphabet="\"\\{}[],:<>&'\n\r\t\0/%$`;action onect")


@given(st.text() | METACHARACTERS)
@example('"},{"action":"connect","endpoint":[{"type":"phone","number":"447700900999"}]},{"x":"')
@example("</speak><speak>")
@example("\ud800")
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
def test_no_text_adds_or_changes_an_action(text: str) -> None:
    flow = [
        ncco.talk(text, language=text),
        ncco.stream(text),
        ncco.conversation(text, music=text, can_hear=[text]),
        ncco.connect({"type": "app", "user": text}, from_=text),
    ]

    sent = json.loads(json.dumps(flow))

    assert [sorted(action) for action in sent] == [
        ["action", "language", "text"],
        ["action", "streamUrl"],
        ["action", "canHear", "musicOnHoldUrl", "name"],
        ["action", "endpoint", "from"],
    ]
    assert [action["action"] for action in sent] == ["talk", "stream", "conversation", "connect"]
    assert sent[0]["text"] == sent[2]["name"] == sent[3]["endpoint"][0]["user"] == text


def test_options_that_were_not_given_are_not_sent() -> None:
    assert ncco.talk("Hi") == {"action": "talk", "text": "Hi"}
    assert ncco.talk("Hi", loop=0, level=0.0, premium=False) == {
        "action": "talk",
        "text": "Hi",
        "loop": 0,
        "level": 0.0,
        "premium": False,
    }
    assert ncco.conversation("r", can_hear=[]) == {"action": "conversation", "name": "r", "canHear": []}


def connect(*endpoints: object) -> dict[str, Any]:
    return {"action": "connect", "endpoint": list(endpoints)}


@pytest.mark.parametrize(
    ("flow", "dialled"),
    [
        ([], []),
        ([{"action": "talk", "text": "447700900001"}], []),
        ([connect({"type": "phone", "number": "447700900001"})], ["447700900001"]),
        ([connect({"type": "phone", "number": 447700900001})], ["447700900001"]),
        ([connect({"type": "phone", "number": "1"}), connect({"type": "phone", "number": "2"})], ["1", "2"]),
        ([connect({"type": "phone", "number": "1"}, {"type": "phone", "number": "2"})], ["1", "2"]),
        ([{"action": "connect", "endpoint": {"type": "phone", "number": "1"}}], ["1"]),
        ([connect({"type": "sip", "uri": "sip:a@b"})], ["sip:a@b"]),
        ([connect({"type": "websocket", "uri": "wss://a"})], ["wss://a"]),
        ([connect({"type": "app", "user": "alice"})], ["alice"]),
        ([connect({"type": "vbc", "extension": "12"})], ["12"]),
        # options that the type of an endpoint does not use are ignored
        ([connect({"type": "sip", "uri": "sip:900@gateway", "number": "447700900001"})], ["sip:900@gateway"]),
        ([connect({"type": "phone", "number": "9791234567", "uri": "sip:a@b"})], ["9791234567"]),
        ([connect({"type": "app", "user": "alice", "number": "447700900001"})], ["alice"]),
        ([connect({"type": "sip", "user": "a", "domain": "b"})], ["a"]),
        ([connect({"number": "447700900001"})], ["447700900001"]),
        ([connect({"type": ["phone"], "number": "447700900001"})], ["447700900001"]),
        ([connect({"type": "phone"}), connect({}), connect("447700900001"), connect(None)], []),
        ([{"action": "connect"}, {"endpoint": [{"number": "1"}]}, None, "x", 1], []),
        ({"action": "connect"}, []),
        (None, []),
        ("text", []),
    ],
)
def test_the_numbers_that_a_flow_dials_are_read_from_any_flow(flow: object, dialled: list[str]) -> None:
    assert list(ncco.dialled(flow)) == dialled


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["action", "endpoint", "type", "number", "uri", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
def test_no_flow_is_too_odd_to_read(flow: object) -> None:
    assert all(isinstance(each, str) and each for each in ncco.dialled(flow))
