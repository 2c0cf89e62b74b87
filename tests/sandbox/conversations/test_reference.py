"""The documented requests of the Conversation and Users APIs are accepted, and replies match the documents."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.sandbox.http.test_reference import documented, shape
from tests.sandbox.parts import PERSON, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver, set_up

from .parts import conversation_of, members, user

ALL = "/v1/conversations"


def looks(value: object) -> object:
    """Return the shape of *value*: cursors are only present or absent, and API keys are left out."""
    if isinstance(value, dict):
        return {name: looks(each) for name, each in value.items() if name != "api_key"}
    if isinstance(value, list):
        return [looks(each) for each in value]
    if isinstance(value, str):
        return shape(re.sub(r"cursor=[\w-]+", "cursor=*", value))
    return shape(value)


def test_a_conversation_is_created_as_documented(client: Client):
    example = documented("conversation")

    minimal = client.api("POST", ALL, example["minimal_request"])
    full = client.api("POST", ALL, example["request"])

    assert minimal.status_code == full.status_code == example["status"]
    assert looks(minimal.json()) == looks(example["reply"])
    assert looks(full.json()) == looks(example["reply"] | example["request"])


def test_a_page_of_conversations_has_links_in_both_directions(client: Client):
    example = documented("conversations_page")
    for n in (16, 17, 18):
        client.api("POST", ALL, {"name": f"room-{n}"})

    first = client.get(f"{ALL}?page_size=1").json()
    middle = client.get(first["_links"]["next"]["href"])

    assert middle.status_code == example["status"]
    assert looks(middle.json()) == looks(example["reply"])


@pytest.fixture(name="leg")
def a_leg_in_a_room(client: Client) -> str:
    return client.answered(PERSON, ROOM)


def test_members_work_as_documented(client: Client, leg: str):
    example = documented("member")
    path = conversation_of(client, leg)

    [listed] = client.get(f"{path}/members").json()["_embedded"]["members"]
    [member] = members(client, path)

    assert looks(listed) == looks(example["listed"])
    assert looks(member) == looks(example["reply"])
    for name, request in zip(("alice", "bob"), example["requests"], strict=True):
        user(client, name)
        made = client.api("POST", f"{path}/members", request)
        assert (made.status_code, made.json()["state"]) == (201, request["state"].upper())
        for change in example["changes"][request["state"] == "joined" :]:
            changed = client.api("PATCH", f"{path}/members/{made.json()['id']}", change)
            assert (changed.status_code, changed.json()["state"]) == (200, change["state"].upper())


def test_events_work_as_documented(client: Client, leg: str, receiver: Receiver):
    example = documented("conversation_event")
    set_up(client, rtc=f"{receiver.url}/rtc")
    path = conversation_of(client, leg)

    reply = client.api("POST", f"{path}/events", {**example["request"], "body": {"rtc_id": leg}})
    page = client.get(f"{path}/events?start_id={reply.json()['id']}")

    assert reply.status_code == example["status"]
    assert looks(reply.json()) == looks(example["reply"])
    assert page.json()["_embedded"] == [reply.json()]
    assert set(page.json()) == set(example["page_reply"])
    client.settle()
    assert looks(receiver.at("/rtc")[-1].fields) == looks(example["webhook"])


def test_whole_conversations_hear_sounds_and_are_recorded_as_documented(client: Client, leg: str):
    example = documented("conversation_media")
    path = conversation_of(client, leg)

    for what in ("talk", "stream"):
        started = client.put(f"{path}/{what}", example[what]["request"])
        assert (started.status_code, looks(started.json())) == (200, looks(example[what]["reply"]))
    stopped = client.api("DELETE", f"{path}/talk")
    assert looks(stopped.json()) == looks(example["talk"]["stop_reply"])
    for request in example["record"]["requests"]:
        assert client.put(f"{path}/record", request).status_code == example["record"]["status"]


def test_users_work_as_documented(client: Client):
    example = documented("user")

    made = client.api("POST", "/v1/users", example["request"])

    assert made.status_code == example["status"]
    assert looks(made.json()) == looks(example["reply"])
    assert looks(client.get("/v1/users").json()) == looks(example["page_reply"])
    client.create(ncco=[ROOM], to=[{"type": "app", "user": "alice"}])
    client.advance(5)
    [session] = client.get("/v1/users/alice/sessions").json()["_embedded"]["sessions"]
    assert looks(session) == looks(example["session"])


def test_refusals_have_the_shape_of_these_apis(client: Client):
    example: dict[str, Any] = documented("errors")["shapes"]["D"]

    reply = client.get(f"{ALL}/CON-x")

    assert reply.status_code == example["status"]
    assert reply.json() == example["reply"] | {"instance": reply.headers["x-nexmo-trace-id"]}
