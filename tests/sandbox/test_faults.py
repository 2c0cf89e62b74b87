"""Faults on demand."""

import asyncio
import json
import socket
import time

import httpx
import pytest

from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.sandbox.http.front import DropConnection

from .conftest import Start
from .parts import Client


def raw(client: Client, method: str, path: str, call: object = None) -> bytes:
    """Send a request over a new socket, and return all bytes until the other side closes."""
    body = b"" if call is None else json.dumps(call).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client.token()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    url = httpx.URL(client.url)
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_SECONDS) as sock:
        sock.sendall(head.encode() + body)
        received = b""
        while part := sock.recv(65_536):
            received += part
        return received


CALL = {
    "to": [{"type": "phone", "number": "447700900001"}],
    "random_from_number": True,
    "ncco": [{"action": "talk", "text": "Hello"}],
}


class TestLost:
    def test_a_disconnected_client_is_ignored(self, client: Client):
        scope = {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}

        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        asyncio.run(DropConnection(client.sandbox)(scope, receive, pytest.fail))

    def test_a_lost_reply_performs_the_operation_and_closes_without_a_byte(self, client: Client):
        client.fault("lost-reply", on="createCall")

        assert raw(client, "POST", "/v1/calls", CALL) == b""

        eventually(lambda: client.get("/v1/calls").json()["count"] == 1)
        (entry,) = [each for each in client.log() if each.get("operation") == "createCall"]
        assert (entry["fault"], entry["status"]) == ("lost-reply", None)

    def test_a_lost_request_closes_without_performing_the_operation(self, client: Client):
        client.fault("lost-request", on="createCall")

        assert raw(client, "POST", "/v1/calls", CALL) == b""

        assert client.get("/v1/calls").json()["count"] == 0

    def test_a_refusal_can_be_lost_too(self, client: Client):
        client.fault("lost-reply")

        assert raw(client, "GET", "/v1/calls/x") == b""

    def test_the_server_keeps_running(self, client: Client):
        client.fault("lost-reply", times=20)
        for _ in range(20):
            with pytest.raises(httpx.RemoteProtocolError):
                client.get("/v1/calls")

        assert client.get("/v1/calls").status_code == 200

    def test_other_connections_stay_open(self, client: Client):
        assert client.get("/v1/calls").status_code == 200  # on a connection that is kept
        client.fault("lost-request", times=1)

        assert raw(client, "GET", "/v1/calls") == b""

        assert client.get("/v1/calls").status_code == 200


class TestAnswers:
    def test_a_status_is_returned_instead(self, client: Client):
        client.fault("status", code=503, on="createCall", times=1)

        reply = client.create()

        assert reply.status_code == 503
        assert set(reply.json()) == {"type", "title", "detail", "instance"}
        assert client.create().status_code == 201
        eventually(lambda: client.get("/v1/calls").json()["count"] == 1)

    def test_a_rate_limit_may_say_when_to_retry(self, client: Client):
        client.fault("rate-limit", times=1)
        client.fault("rate-limit", retry_after=7, times=1)

        first, second, third = (client.get("/v1/calls") for _ in range(3))

        assert (first.status_code, first.headers.get("retry-after")) == (429, None)
        assert (second.status_code, second.headers.get("retry-after")) == (429, "7")
        assert first.json()["type"].endswith("#rate-limit")
        assert third.status_code == 200

    def test_a_delay_holds_back_the_reply_but_not_the_operation(self, client: Client):
        client.fault("delay", seconds=0.05, on="createCall")
        before = time.monotonic()

        assert client.create().status_code == 201

        assert time.monotonic() - before >= 0.05

    def test_a_delayed_reply_does_not_block_others(self, client: Client):
        client.fault("delay", seconds=600, on="createCall")

        with pytest.raises(httpx.ReadTimeout):
            client.api("POST", "/v1/calls", CALL, timeout=0.1)

        eventually(lambda: client.get("/v1/calls").json()["count"] == 1)


class TestRegion:
    def test_only_its_own_regional_host_knows_a_leg(self, client: Client):
        uuid = client.call()
        client.fault("region")

        assert client.get(f"/v1/calls/{uuid}").status_code == 404
        assert client.change(uuid, "hangup").status_code == 404
        assert client.get("/v1/calls").json()["count"] == 0
        regions = client.sandbox.region_urls
        assert client.api("GET", f"{regions['na-east']}/v1/calls/{uuid}").json()["uuid"] == uuid
        assert client.api("GET", f"{regions['eu-west']}/v1/calls/{uuid}").status_code == 404

    def test_the_control_without_the_fault_the_global_host_knows_it(self, client: Client):
        uuid = client.call()

        assert client.get(f"/v1/calls/{uuid}").status_code == 200

    def test_creating_calls_does_not_use_up_the_fault(self, client: Client):
        client.fault("region", times=1)
        uuid = client.call()

        assert client.get(f"/v1/calls/{uuid}").status_code == 404
        assert client.get(f"/v1/calls/{uuid}").status_code == 200


class TestKeyRevoked:
    def test_tokens_are_refused(self, client: Client):
        client.fault("key-revoked", after=5)
        before = client.get("/v1/calls")
        client.clock.sleep(5)

        reply = client.get("/v1/calls")

        assert (before.status_code, reply.status_code) == (200, 401)
        assert reply.json()["type"].endswith("#unauthorized")

    def test_it_may_apply_to_one_operation_only(self, client: Client):
        client.fault("key-revoked", on="createCall", times=1)

        assert client.get("/v1/calls").status_code == 200
        assert client.create().status_code == 401
        assert client.create().status_code == 201


class TestWhenTheyApply:
    def hit(self, client: Client) -> bool:
        return client.get("/v1/calls").status_code == 500

    def test_on_names_the_operation(self, client: Client):
        client.fault("status", code=500, on="getCall")
        uuid = client.call()

        assert client.get(f"/v1/calls/{uuid}").status_code == 500
        assert client.get("/v1/calls").status_code == 200

    def test_times_limits_how_often_it_applies(self, client: Client):
        client.fault("status", code=500, times=2)

        assert [self.hit(client) for _ in range(3)] == [True, True, False]

    def test_after_and_lasting_use_the_host_clock(self, client: Client):
        client.fault("status", code=500, after=10, lasting=5)
        client.advance(12)  # of the call clock

        struck = []
        for _ in range(4):
            struck.append(self.hit(client))
            client.clock.sleep(5)

        assert struck == [False, False, True, False]

    def test_probability_follows_the_seed(self, start: Start):
        runs = []
        for seed in (5, 5, 6):
            client = start(seed=seed)
            client.fault("status", code=500, probability=0.5)
            runs.append([self.hit(client) for _ in range(40)])

        assert runs[0] == runs[1] != runs[2]
        assert 5 < sum(runs[0]) < 35

    def test_the_first_matching_fault_applies(self, client: Client):
        client.fault("status", code=500, times=1)
        client.fault("status", code=503, times=1)

        assert [client.get("/v1/calls").status_code for _ in range(3)] == [500, 503, 200]

    def test_requests_without_a_token_meet_no_fault(self, client: Client):
        client.fault("status", code=500)

        assert client.http.get("/v1/calls").status_code == 401
        assert client.http.get("/sandbox/status").json()["faults"] == 1


class TestList:
    def test_it_shows_each_fault_and_how_often_it_applied(self, client: Client):
        client.fault("status", code=500, on="getCalls", times=1)
        client.fault("delay", seconds=2)
        client.get("/v1/calls")

        assert client.http.get("/sandbox/faults").json() == [
            {
                "id": 1,
                "what": "status",
                "on": "getCalls",
                "code": 500,
                "times": 1,
                "probability": 1,
                "struck": 1,
                "spent": True,
            },
            {
                "id": 2,
                "what": "delay",
                "on": "any",
                "seconds": 2,
                "probability": 1,
                "struck": 0,
                "spent": False,
            },
        ]

    def test_a_304_reply_has_no_body(self, client: Client):
        client.fault("status", code=304, times=1)
        answer = client.get("/v1/calls")

        assert (answer.status_code, answer.content) == (304, b"")
        assert client.get("/v1/calls").status_code == 200

    def test_faults_can_be_cleared(self, client: Client):
        client.fault("status", code=500)

        assert client.http.delete("/sandbox/faults").json() == {}

        assert client.http.get("/sandbox/faults").json() == []
        assert client.get("/v1/calls").status_code == 200

    @pytest.mark.parametrize(
        ("fault", "detail"),
        [
            ({}, "what: Missing required parameter"),
            (
                {"what": "earthquake"},
                "what: Must be one of status, lost-reply, lost-request, delay, rate-limit, region, key-revoked, "
                "webhook-drop, webhook-duplicate, webhook-reorder, webhook-delay, webhook-unsigned, "
                "webhook-completed, answer-timeout",
            ),
            ({"what": "status"}, "code: Missing required parameter"),
            ({"what": "status", "code": 200}, "code: Must be between 300 and 599"),
            ({"what": "delay"}, "seconds: Missing required parameter"),
            ({"what": "delay", "seconds": -1}, "seconds: Must be between 0 and 2678400"),
            ({"what": "delay", "seconds": 1, "code": 500}, "code: Is allowed only with status"),
            ({"what": "webhook-delay"}, "seconds: Missing required parameter"),
            ({"what": "webhook-drop", "seconds": 1}, "seconds: Is allowed only with delay or webhook-delay"),
            ({"what": "webhook-completed", "on": "input"}, "on: Must be one of any, status"),
            ({"what": "answer-timeout", "on": "getCall"}, "on: Must be one of any, answer"),
            (
                {"what": "webhook-reorder", "on": "answer"},
                "on: Must be one of any, status, transfer, input, record, transcribed, notify, error, rtc",
            ),
            ({"what": "lost-reply", "times": 0}, "times: Must be 1 or more"),
            ({"what": "lost-reply", "probability": 1.5}, "probability: Must be between 0 and 1"),
            ({"what": "lost-reply", "after": "soon"}, "after: Invalid type parameter provided"),
        ],
    )
    def test_an_invalid_fault_is_refused(self, client: Client, fault, detail):
        reply = client.http.post("/sandbox/faults", json=fault)

        assert (reply.status_code, reply.json()["detail"]) == (400, detail)

    @pytest.mark.parametrize("operation", ["dial", "status"])
    def test_an_unknown_operation_is_refused(self, client: Client, operation: str):
        reply = client.control("faults", what="lost-reply", on=operation)

        assert reply.status_code == 400
        assert "createCall" in reply.json()["detail"]
