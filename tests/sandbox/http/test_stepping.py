"""``POST /sandbox/step``: the frozen clock goes from due time to due time, once the application has answered."""

from __future__ import annotations

from typing import Any

from tests.apps import ivr
from tests.sandbox.parts import Client
from tests.support.room import PERSON
from tests.support.web import serving


def step(client: Client, **fields: Any) -> dict[str, Any]:
    reply = client.control("step", **fields)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_step_goes_to_the_next_due_time_and_no_further(client: Client):
    leg = client.call(PERSON, {"action": "talk", "text": "x" * 14})

    moments = []
    while (found := step(client, within=60))["due"]:
        moments.append((found["call_time"][17:23], found["legs"][0]["status"]))

    assert moments == [("00.500", "ringing"), ("02.500", "answered"), ("03.500", "completed")]
    assert found["call_time"][14:19] == "01:03"
    assert found["legs"][0]["uuid"] == leg


def test_a_step_without_a_bound_lets_no_time_pass(client: Client):
    client.call()

    assert step(client)["call_time"].endswith("00:00.000Z")
    assert step(client)["next_due"].endswith("00:00.500Z")


def test_a_step_returns_the_entries_of_the_log_after_a_cursor(client: Client):
    client.call()

    first = step(client)
    second = step(client, within=1, since=first["cursor"])

    assert [each["status"] for each in first["entries"] if each["kind"] == "status"] == ["started"]
    assert [each["status"] for each in second["entries"] if each["kind"] == "status"] == ["ringing"]
    assert step(client, since=second["cursor"])["entries"] == []


def test_the_reply_of_the_application_is_there_before_the_step_ends(client: Client):
    with serving(ivr.application) as app:
        leg = client.call(answer_url=[f"{app.url}/answer"])
        for _ in range(2):  # it rings, and is answered
            step(client, within=10)
        found = step(client, within=10)

    (answered,) = found["legs"]
    assert answered["uuid"] == leg
    assert [each["text"] for each in answered["heard"]] == [ivr.GREETING]
    assert answered["listens"] == ["dtmf"]
    webhook = next(each for each in found["entries"] if each["kind"] == "webhook")
    assert webhook["ncco"][0]["text"] == ivr.GREETING


def test_an_act_with_a_step_returns_what_followed_from_it(client: Client):
    with serving(ivr.application) as app:
        leg = client.call(answer_url=[f"{app.url}/answer"])
        for _ in range(3):  # it rings, is answered, and hears the greeting
            since = step(client, within=10)["cursor"]
        found = client.control("press", leg=leg, digits="1", step={"since": since}).json()

    assert found["reply"]["uuid"] == leg
    assert found["step"]["due"] is False
    assert [each["kind"] for each in found["step"]["entries"]][:2] == ["party", "input"]
    assert found["step"]["legs"][0]["heard"][-1]["url"] == ivr.HOLD_MUSIC


def test_an_act_that_is_refused_does_no_step(client: Client):
    refused = client.control("press", leg="00000000", digits="1", step={"within": 5})

    assert refused.status_code == 404
    assert step(client)["call_time"].endswith("00:00.000Z")


def test_a_prompt_that_is_cut_leaves_no_due_time(client: Client):
    listen = {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1, "timeOut": 10}}
    menu = [
        {"action": "talk", "text": "x" * 140, "bargeIn": True},
        listen,
        {"action": "talk", "text": "x" * 14},
    ]
    leg = client.control("ring", to="442079460000", ncco=menu).json()["uuid"]
    step(client, within=10)
    client.control("press", leg=leg, digits="1")

    assert step(client, within=60)["legs"][0]["status"] == "completed"
    assert step(client)["next_due"] is None


def test_a_clock_that_runs_cannot_be_stepped(start: Any):
    refused = start(frozen=False).control("step", within=1)

    assert refused.status_code == 409
    assert "Only a frozen clock can be stepped." in refused.text
