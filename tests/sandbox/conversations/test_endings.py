"""The last RTC events of a conversation: recordings and speech are reported before it is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.parts import HELLO, PERSON, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver, set_up

from .parts import found

RECORDED = {"action": "record", "format": "wav"}
CALLEE = {"type": "phone", "number": PERSON}
LONG = HELLO | {"loop": 0}


def reported(receiver: Receiver) -> dict[str, list[dict[str, Any]]]:
    """Return the RTC events of each conversation, in the order of their ids."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for each in receiver.at("/rtc"):
        by_id.setdefault(each.fields["conversation_id"], []).append(each.fields)
    return {id_: sorted(its, key=lambda event: event["id"]) for id_, its in by_id.items()}


@pytest.mark.parametrize(
    "flow",
    [
        (RECORDED, LONG),
        (RECORDED | {"endOnSilence": 10}, LONG),
        (RECORDED | {"split": "conversation"}, {"action": "connect", "endpoint": [CALLEE]}),
        ({"action": "input", "type": ["speech"], "speech": {"saveAudio": True, "endOnSilence": 10}},),
    ],
    ids=["in the background", "synchronous", "of two legs", "saveAudio"],
)
def test_a_recording_that_ends_with_its_call_is_reported_before_the_conversation_is_deleted(
    client: Client, receiver: Receiver, flow
):
    set_up(client, rtc=f"{receiver.url}/rtc")
    leg = client.answered(PERSON, *flow)
    client.advance(5)
    client.change(leg, "hangup")
    client.settle()

    [its] = reported(receiver).values()
    of = {each["type"]: each for each in its}
    done = of["audio:record:done"]
    assert [each["type"] for each in its[-3:]] == [
        "member:left",
        "audio:record:done",
        "conversation:deleted",
    ]
    assert done["body"]["channel"]["legs"][0]["leg_id"] == leg
    assert done["body"]["event_id"] == of["audio:record"]["id"]
    assert done["body"]["destination_url"]


def test_deleting_a_room_ends_its_recordings(client: Client, receiver: Receiver):
    set_up(client, rtc=f"{receiver.url}/rtc")
    path = f"/v1/conversations/{found(client)['id']}"
    client.answered(PERSON, ROOM)
    for _ in range(2):
        assert client.api("PUT", f"{path}/record", {"action": "start"}).status_code == 200

    assert client.api("DELETE", path).status_code == 204
    assert client.get(path).status_code == 404

    client.settle()
    its = reported(receiver)[path.removeprefix("/v1/conversations/")]
    assert [each["type"] for each in its[-3:]] == [*["audio:record:done"] * 2, "conversation:deleted"]


def test_a_recording_whose_leg_moved_is_reported_in_the_new_conversation(client: Client, receiver: Receiver):
    set_up(client, rtc=f"{receiver.url}/rtc")
    leg = client.answered(PERSON, RECORDED, LONG)
    client.transfer(leg, ROOM)
    room = client.record(leg)["conversation_uuid"]
    client.change(leg, "hangup")
    client.settle()

    [done] = [each.fields for each in receiver.at("/rtc") if each.fields["type"] == "audio:record:done"]
    assert done["conversation_id"] == room
    assert done["body"]["channel"]["id"] == leg


@pytest.mark.parametrize("end", ["hangup", "transfer"])
def test_a_party_speaking_at_the_end_stops_speaking_before_it_leaves(client: Client, receiver: Receiver, end):
    set_up(client, rtc=f"{receiver.url}/rtc")
    leg = client.answered(PERSON, LONG)
    client.control("say", leg=leg, text="one two three four five six seven eight nine ten")
    client.advance(1)
    if end == "hangup":
        client.change(leg, "hangup")
    else:
        client.transfer(leg, ROOM)
    client.settle()

    its = [each["type"] for each in next(iter(reported(receiver).values()))]
    assert its.count("audio:speaking:on") == its.count("audio:speaking:off") == 1
    assert its.index("audio:speaking:off") < its.index("member:left")
    assert its[-1] == "conversation:deleted"
