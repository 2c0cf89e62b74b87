"""Posted events are from the member that the request names, as in the reply, the list and the webhook."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.parts import PERSON, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver, set_up

from .parts import conversation_of, events, members

SOUND = {"stream_url": ["https://cdn.example.org/a.mp3"]}


@pytest.mark.parametrize("names_leg", [False, True], ids=["to all", "to one leg"])
@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("custom:x", {"n": 1}),
        ("audio:say", {"text": "Hello"}),
        ("audio:play", SOUND),
        ("audio:dtmf", {"digits": "1"}),
        ("audio:record", {}),
        ("audio:mute:on", {}),
        ("audio:earmuff:off", {}),
    ],
)
def test_an_event_is_from_the_member_named_in_the_request(
    client: Client, receiver: Receiver, type_: str, body: dict[str, Any], names_leg: bool
):
    set_up(client, rtc=f"{receiver.url}/rtc")
    legs = [client.answered(PERSON, ROOM) for _ in range(2)]
    path = conversation_of(client, legs[0])
    first, second = members(client, path)
    whose = {"rtc_id": legs[0]} if names_leg or "mute" in type_ or "muff" in type_ else {}

    made = client.api("POST", f"{path}/events", {"type": type_, "from": second["id"], "body": body | whose})

    assert made.status_code == 201, made.text
    assert made.json()["from"] == second["id"] != first["id"]
    assert made.json()["_embedded"]["from_member"] == {"id": second["id"]}
    [listed] = [each for each in events(client, path) if each["id"] == made.json()["id"]]
    assert listed == made.json()
    client.settle()
    sent = [each.fields for each in receiver.at("/rtc") if each.fields["type"] == type_]
    assert {each["from"] for each in sent} == {second["id"]}


@pytest.mark.parametrize("type_", ["audio:say:stop", "audio:play:stop", "audio:record:stop"])
def test_the_event_of_a_stop_is_from_the_named_member_too(client: Client, type_: str):
    path = conversation_of(client, client.answered(PERSON, ROOM))
    client.answered(PERSON, ROOM)
    _, second = members(client, path)
    start = type_.removesuffix(":stop")
    body = {"audio:say": {"text": "Hello", "loop": 0}, "audio:play": SOUND}.get(start, {})
    assert client.api("POST", f"{path}/events", {"type": start, "body": body}).status_code == 201

    made = client.api("POST", f"{path}/events", {"type": type_, "from": second["id"], "body": {}})

    assert made.json()["from"] == second["id"]


def test_without_from_a_sound_for_all_has_no_member(client: Client):
    path = conversation_of(client, client.answered(PERSON, ROOM))

    made = client.api("POST", f"{path}/events", {"type": "audio:say", "body": {"text": "Hello"}})

    assert "from" not in made.json()
