"""Any request to the Conversation and Users APIs is accepted or refused, and none breaks the sandbox."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.parts import PERSON, ROOM, Client
from voicectl.sandbox.conversations import requests, searches
from voicectl.sandbox.parsing.fields import Invalid
from voicectl.sandbox.problems import Problem
from voicectl.sandbox.telephony.actions import Format, Record, Transcription, Webhook

from .parts import conversation_of, events, user

NAMES = (
    *("name", "display_name", "image_url", "properties", "ttl", "custom_data", "custom_sort_key", "numbers"),
    *(
        "callback",
        "url",
        "method",
        "event_mask",
        "params",
        "channels",
        "sip",
        "state",
        "user",
        "id",
        "channel",
    ),
    *(
        "type",
        "media",
        "audio",
        "audio_settings",
        "muted",
        "from",
        "reason",
        "code",
        "text",
        "body",
        "rtc_id",
    ),
    *("action", "split", "format", "timeout", "retention_ttl", "transcription", "event_url", "language"),
)
WORDS = (
    *("joined", "left", "invited", "start", "stop", "conversation", "wav", "vorbis", "POST", "alice", "me"),
    *("audio:say", "audio:mute:on", "audio:dtmf", "custom:x", "ephemeral", "message", "phone", "http://a/b"),
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(WORDS)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(NAMES), anything, max_size=8) | anything
queries = st.dictionaries(
    st.sampled_from(
        ["page_size", "order", "cursor", "date_start", "date_end", "state", "order_by", "start_id", "end_id"]
    ),
    st.text() | st.sampled_from(["asc", "1", "2026-01-01T00:00:00Z", "INVITED", "created"]),
)

READERS = [
    requests.read_conversation,
    requests.read_new_member,
    requests.read_member_change,
    requests.read_user,
    requests.read_event,
    requests.read_recording_change,
]
SEARCHES = [
    searches.read_conversation_search,
    lambda query: searches.read_conversation_search(query, of_user=True),
    searches.read_event_search,
    searches.read_list,
]


@pytest.mark.parametrize("read", READERS)
@given(body=bodies)
def test_any_json_is_accepted_or_refused(read: Callable[[object], object], body: object):
    with contextlib.suppress(Invalid):
        read(body)


@pytest.mark.parametrize("read", SEARCHES)
@given(query=queries)
def test_any_query_is_accepted_or_refused(read: Callable[[dict[str, str]], object], query: dict[str, str]):
    with contextlib.suppress(Invalid, Problem):
        read(query)


def test_recording_options_use_the_names_of_this_api():
    body = {
        "action": "start",
        "event_url": ["https://app.example.org/rec"],
        "event_method": "GET",
        "split": "conversation",
        "format": "vorbis",
        "retention_ttl": 400,
        "timeout": 60,
        "transcription": {
            "language": "en-GB",
            "sentiment_analysis": True,
            "event_url": ["https://app.example.org/tr"],
        },
    }

    recorder = requests.read_recording_change(body)

    assert recorder.retention_days == 400
    assert recorder.order == Record(
        format=Format.OGG,
        is_split=True,
        channels=2,
        time_out=60,
        transcription=Transcription(
            language="en-GB",
            sentiment_analysis=True,
            events=Webhook(url="https://app.example.org/tr", method="POST"),
        ),
        events=Webhook(url="https://app.example.org/rec", method="GET"),
    )


def test_the_defaults_of_a_recording_are_as_documented():
    recorder = requests.read_recording_change({"action": "start"})

    assert recorder.retention_days == 31
    assert recorder.order == Record(format=Format.MP3, time_out=7200)
    assert requests.read_recording_change({"action": "stop"}).order is None


def test_no_request_stops_the_sandbox(client: Client):
    user(client)
    path = conversation_of(client, client.answered(PERSON, ROOM))
    routes = [
        ("POST", "/v1/conversations"),
        ("PUT", path),
        ("POST", f"{path}/members"),
        ("POST", f"{path}/events"),
        ("PUT", f"{path}/talk"),
        ("PUT", f"{path}/stream"),
        ("PUT", f"{path}/record"),
        ("POST", "/v1/users"),
    ]
    headers = {"Authorization": f"Bearer {client.token()}", "Content-Type": "application/json"}

    @given(route=st.sampled_from(routes), body=bodies)
    def anything_comes(route: tuple[str, str], body: object) -> None:
        content = json.dumps(body).encode()
        reply = client.http.request(*route, content=content, headers=headers)
        assert reply.status_code < 500, (route, body)

    anything_comes()
    assert events(client, path)
    assert client.get("/v1/conversations?page_size=100").status_code == 200
    assert client.get("/v1/users?page_size=100").status_code == 200
