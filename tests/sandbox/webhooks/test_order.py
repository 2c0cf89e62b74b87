"""The order of webhooks: that of the call clock, and complete when ``advance`` returns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.conftest import Start
from tests.sandbox.parts import BUSY, HELLO, PERSON, ROOM, Client
from tests.support.servers import reply
from tests.support.waiting import FOR_EVER
from voicectl.sandbox.webhooks import queue

from .receiver import NEVER, Receiver, ncco, set_up

BASIC = {"machine_detection": "hangup"}
ADVANCED = {"advanced_machine_detection": {"behavior": "hangup", "mode": "detect"}}


@pytest.mark.parametrize("number", ["447700900300", "447700900301"])
@pytest.mark.parametrize("detection", [BASIC, ADVANCED], ids=["basic", "advanced"])
class TestHangupOfAMachine:
    def test_the_machine_is_reported_before_the_end(
        self, client: Client, receiver: Receiver, number: str, detection: dict[str, Any]
    ):
        set_up(client, event=receiver.url + "/event")
        client.call(number, ROOM, **detection)

        client.advance(10)

        statuses = [each.fields["status"] for each in receiver.at("/event") if "status" in each.fields]
        assert statuses == ["started", "ringing", "answered", "machine", "completed"]

    def test_the_machine_is_reported_before_the_end_after_a_connect_too(
        self, client: Client, receiver: Receiver, number: str, detection: dict[str, Any]
    ):
        set_up(client, event=receiver.url + "/event")
        camel = {
            "machine_detection": "machineDetection",
            "advanced_machine_detection": "advancedMachineDetection",
        }
        options = {camel[name]: value for name, value in detection.items()}
        client.call(
            PERSON, {"action": "connect", "endpoint": [{"type": "phone", "number": number}], **options}
        )

        client.advance(20)

        callee = [each.fields["status"] for each in receiver.at("/event") if each.fields.get("to") == number]
        assert callee[-2:] == ["machine", "completed"]


def test_all_events_have_arrived_in_order_when_advance_returns(client: Client, receiver: Receiver):
    flow = [{"action": "connect", "endpoint": [{"type": "phone", "number": PERSON}]}]
    set_up(client, answer=receiver.on("/answer", ncco(*flow)), event=receiver.url + "/event")
    assert client.control("ring", to="442079460000").status_code == 201

    client.advance(10)

    events = [each.fields for each in receiver.at("/event")]
    callee = [each["status"] for each in events if each["to"] == PERSON]
    caller = [each["status"] for each in events if each["to"] != PERSON]
    assert callee == ["started", "ringing", "answered"]
    assert caller == ["started", "ringing", "answered"]
    assert [each["timestamp"] for each in events] == sorted(each["timestamp"] for each in events)


def test_an_event_is_answered_before_later_tasks_run(client: Client, receiver: Receiver):
    """The application sees the state of the call as of the event."""
    seen: list[tuple[str, str]] = []

    def look(request: Any) -> bytes:
        fields = request.fields
        if "status" in fields:
            seen.append((fields["status"], client.status(fields["uuid"])))
        return reply(200, b"OK")

    set_up(client, event=receiver.on("/event", look))
    client.call(PERSON, HELLO)

    client.advance(10)

    assert seen == [(status, status) for status in ("started", "ringing", "answered", "completed")]


def test_a_receiver_that_never_answers_delays_advance_for_a_bounded_time(
    client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queue, "PATIENCE_SECONDS", 0.01)
    set_up(client, event=receiver.on("/event", NEVER))
    uuid = client.call(PERSON, HELLO)

    client.advance(10)

    assert client.status(uuid) == "completed"


RECORDED = [{"action": "record", "endOnSilence": 3}, HELLO]
CONNECTED = [{"action": "connect", "endpoint": [{"type": "phone", "number": PERSON}], "limit": 4}, HELLO]
NOTIFIED = [{"action": "notify", "payload": {}, "eventUrl": ["http://127.0.0.1:9/"]}, {"action": "wait"}]

CALLS = st.lists(
    st.tuples(
        st.sampled_from([PERSON, BUSY, "447700900201", "447700900403", "447700900501"]),
        st.sampled_from([[HELLO], RECORDED, CONNECTED, NOTIFIED]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=5,
)


def webhooks_at(url: str) -> dict[str, Any]:
    return {
        "name": "an application",
        "capabilities": {
            "voice": {"webhooks": {"event_url": {"address": url + "/event"}}},
            "rtc": {"webhooks": {"event_url": {"address": url + "/rtc"}}},
        },
    }


def two_applications(client: Client, *urls: str) -> list[dict[str, str]]:
    """Give two applications their webhooks at *urls*, and return the headers of their requests."""
    account = {"auth": (client.identity.api_key, client.identity.api_secret)}
    own = f"/v2/applications/{client.identity.application_id}"
    public = {"keys": {"public_key": client.identity.public_key}}
    assert client.http.put(own, json=webhooks_at(urls[0]), **account).status_code == 200
    made = client.http.post("/v2/applications", json=webhooks_at(urls[1]) | public, **account)
    assert made.status_code == 201, made.text
    other = client.token(application_id=made.json()["id"])
    return [{"Authorization": f"Bearer {token}"} for token in (client.token(), other)]


def test_webhooks_of_two_applications_arrive_in_the_order_of_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    """Events of calls and of conversations, of either application."""
    monkeypatch.setattr(queue, "PATIENCE_SECONDS", FOR_EVER)  # a busy machine may be slow to answer

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(calls=CALLS, steps=st.lists(st.floats(0.1, 6), min_size=1, max_size=4))
    def check(calls: list[tuple[str, list[dict[str, Any]], int]], steps: list[float]) -> None:
        arrived: list[tuple[str, str]] = []

        def keep(request: Any) -> bytes:
            arrived.append((request.fields["timestamp"], request.fields.get("status", "")))
            return reply(200, b"OK")

        client = start()
        with Receiver() as one, Receiver() as other:
            for each in (one, other):
                each.on("/event", keep)
                each.on("/rtc", keep)
            headers = two_applications(client, one.url, other.url)
            for number, ncco, which in calls:
                client.call(number, *ncco, headers=headers[which])
                client.advance(0.3)
            for seconds in (*steps, 30):
                client.advance(seconds)
                assert arrived == sorted(arrived, key=lambda each: each[0])

        assert sum(status == "started" for _, status in arrived) >= len(calls)

    check()
