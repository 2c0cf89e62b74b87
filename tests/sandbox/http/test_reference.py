"""The documented requests are accepted, and the replies have the documented shapes (tests/reference)."""

import json
import re
from pathlib import Path

import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import HELLO, Client

REFERENCE = Path(__file__).parents[2] / "reference"


def documented(name: str) -> dict:
    return json.loads((REFERENCE / f"{name}.json").read_text())


def shape(value: object) -> object:
    """Return names and types, with the pattern of each text; links may be relative or absolute."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    if isinstance(value, str):
        looks = re.sub(r"^http://127\.0\.0\.1:\d+", "", value)
        looks = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", looks)
        looks = re.sub(r"[0-9a-f]{32}", "<hex>", looks)
        return re.sub(r"\d", "9", looks)
    return type(value).__name__


def test_a_call_is_placed_as_documented(client: Client):
    example = documented("create_call")

    for request in (example["request"], example["full_request"]):
        reply = client.api("POST", "/v1/calls", request)

        assert reply.status_code == example["status"]
        assert shape(reply.json()) == shape(example["reply"])
        assert list(reply.json()) == list(example["reply"])


def test_a_live_record_has_no_times(client: Client):
    example = documented("call_record_live")
    client.control("ring", to="447700900456")
    client.advance(1)

    reply = client.get("/v1/calls").json()["_embedded"]["calls"][0]

    assert reply["status"] == "answered"
    assert shape({**reply, "uuid": "", "_links": ""}) == shape({**example["reply"], "uuid": "", "_links": ""})
    assert re.fullmatch(r"/v1/calls/[0-9a-f]{32}", reply["_links"]["self"]["href"])


def test_a_completed_record_has_times_and_price(client: Client):
    example = documented("call_record_completed")
    uuid = client.call("447700900514")
    client.advance(60)

    reply = client.record(uuid)

    assert shape(reply) == shape(example["reply"])
    same = ("status", "rate", "price", "duration", "network")
    assert {name: reply[name] for name in same} == {name: example["reply"][name] for name in same}
    assert reply["start_time"] == "2026-01-01T00:00:02.500Z"
    assert reply["end_time"] == "2026-01-01T00:00:16.500Z"


def test_a_page_has_links_in_both_directions(client: Client):
    example = documented("calls_page")
    for _ in range(3):
        client.call("447700900514")
    client.advance(60)

    reply = client.get("/v1/calls?page_size=1&record_index=1")

    assert reply.status_code == example["status"]
    assert shape(reply.json()) == shape(example["reply"])


def test_no_match_is_an_empty_page(client: Client):
    example = documented("calls_empty")

    reply = client.get("/v1/calls").json()

    reply["_links"]["self"]["href"] = reply["_links"]["self"]["href"].removeprefix(client.url)
    assert reply == example["reply"]


def test_every_change_gets_an_empty_reply(client: Client):
    example = documented("update_call")
    uuid = client.answered()

    for request in example["requests"]:
        reply = client.put(f"/v1/calls/{uuid}", request)

        assert (reply.status_code, reply.content) == (example["status"], b""), request
        if "url" in request.get("destination", {}):  # it is not fetched, and the call is over
            uuid = client.answered()


@pytest.mark.parametrize("media", ["talk", "stream"])
def test_sounds_are_started_and_stopped_as_documented(client: Client, media):
    example = documented(media)
    uuid = client.answered()

    for request in (example["request"], example["full_request"]):
        reply = client.put(f"/v1/calls/{uuid}/{media}", request)
        assert (reply.status_code, reply.json()) == (200, example["reply"] | {"uuid": uuid})

    reply = client.api("DELETE", f"/v1/calls/{uuid}/{media}")
    assert (reply.status_code, reply.json()) == (200, example["stop_reply"] | {"uuid": uuid})


def test_digits_are_sent_as_documented(client: Client):
    example = documented("dtmf")
    uuid = client.answered()

    reply = client.put(f"/v1/calls/{uuid}/dtmf", example["request"])

    assert (reply.status_code, reply.json()) == (200, example["reply"] | {"uuid": uuid})


def test_a_listener_for_digits_is_set_and_removed_with_empty_bodies(client: Client):
    example = documented("input_dtmf")
    uuid = client.answered()

    set_, removed = (
        client.put(f"/v1/calls/{uuid}/input/dtmf", example["request"]),
        client.api("DELETE", f"/v1/calls/{uuid}/input/dtmf"),
    )

    assert (set_.status_code, set_.content) == (removed.status_code, removed.content) == (200, b"")


class TestErrors:
    SHAPES = documented("errors")["shapes"]

    def test_a_body_that_breaks_the_rules_names_the_field(self, client: Client):
        reply = client.put(f"/v1/calls/{client.answered()}/stream", {"stream_url": "https://x/a.mp3"})

        assert (reply.status_code, reply.json()) == (400, self.SHAPES["A"]["reply"])

    def test_a_leg_in_the_wrong_state_is_refused(self, client: Client):
        reply = client.put(f"/v1/calls/{client.call()}/talk", {"text": "Hello"})

        assert (reply.status_code, reply.json()) == (400, self.SHAPES["B"]["reply"])

    def test_the_gateway_refuses(self, start: Start):
        client = start(limits=True)
        replies = [client.create("447700900001", HELLO) for _ in range(4)]

        assert replies[-1].status_code == 429
        example = self.SHAPES["C"]["reply"]
        assert list(replies[-1].json()) == list(example)
        assert shape(replies[-1].json()["instance"]) == shape(example["instance"])
        assert replies[-1].json()["type"] == example["type"]
        assert replies[-1].json()["title"] == example["title"]
        assert replies[-1].json()["instance"] == replies[-1].headers["x-nexmo-trace-id"]
        assert "retry-after" not in replies[-1].headers
