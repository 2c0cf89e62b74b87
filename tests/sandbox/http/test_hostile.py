"""Any malformed request gets a complete refusal, and the next request is served."""

import json
import socket

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.parts import Client
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.sandbox.bodies import UnreadableBody, parse_json

JSON = {"Content-Type": "application/json"}
NAMES = """
    to from ncco type number uri user action text digits stream_url destination url loop level name endpoint
    answer_url timeout leg seconds what code
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=5)
    ),
    max_leaves=12,
)


def send(client: Client, head: str, body: bytes = b"") -> bytes:
    """Send a request over a new socket, and return the whole reply."""
    url = httpx.URL(client.url)
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_SECONDS) as sock:
        sock.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        received = b""
        while part := sock.recv(65_536):
            received += part
        return received


@pytest.mark.parametrize("path", ["/v1/calls", "/sandbox/ring", "/sandbox/faults"])
class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"[" * 200 + b"]" * 200,
            b"{",
            b"nonsense",
            b"\xff\xfe",
            b'"\xed\xa0\x80"',
            b'{"level":NaN}',
            b'{"level":Infinity}',
            b'{"n":' + b"9" * 5000 + b"}",
            b"null",
            b"[]",
            b'"text"',
            b"7",
        ],
    )
    def test_a_body_that_is_not_an_object_gets_400(self, client: Client, path, body):
        reply = client.api("POST", path, content=body, headers=JSON)

        assert reply.status_code == 400
        assert reply.headers["content-type"] == "application/json"
        assert client.get("/v1/calls").status_code == 200

    def test_a_body_that_is_too_large_gets_413(self, client: Client, path):
        reply = client.api("POST", path, content=b" " * 1_048_577, headers=JSON)

        assert reply.status_code == 413
        assert client.get("/v1/calls").status_code == 200

    def test_an_endless_chunked_body_gets_413(self, client: Client, path):
        def chunks():
            for _ in range(200):
                yield b" " * 65_536

        try:
            reply = client.api("POST", path, content=chunks(), headers=JSON)
        except httpx.WriteError:  # closed while we were still sending
            return
        assert reply.status_code == 413

    def test_the_content_type_must_be_json(self, client: Client, path):
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            reply = client.api("POST", path, content=b"{}", headers={"Content-Type": content_type})
            assert reply.status_code == 415

    def test_the_content_type_may_have_a_charset(self, client: Client, path):
        reply = client.api(
            "POST", path, content=b"{}", headers={"Content-Type": "application/json; charset=utf-8"}
        )

        assert reply.status_code == 400  # since required fields are missing

    def test_half_a_surrogate_pair_is_accepted_as_text(self, client: Client, path):
        body = rb'{"what":"\ud800","to":[{"type":"\ud800"}],"ncco":[{"action":"\ud800"}]}'

        assert client.api("POST", path, content=body, headers=JSON).status_code == 400
        assert client.http.get("/sandbox/log").status_code == 200


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_json_extensions_of_python_are_refused(constant):
    with pytest.raises(UnreadableBody):
        parse_json(b'{"unknown": ' + constant + b"}")


def test_received_text_can_be_heard_and_logged(client: Client):
    uuid = client.answered()
    body = rb'{"text":"\ud800 \u0000 \u202e \ud83d\ude00"}'

    assert client.api("PUT", f"/v1/calls/{uuid}/talk", content=body, headers=JSON).status_code == 200

    assert client.hear(uuid)[0]["text"] == json.loads(body)["text"]
    assert client.log()[-1]["body"] == json.loads(body)


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "127.0.0.1.example.org",
        "localhost.example.org",
        "evil@127.0.0.1",
        "127.0.0.1:80:80",
        "127.0.0.2",
        "2130706433",
        "::1",
        "",
        "nexmo.com",
        "x.api.nexmo.com",
        "api.nexmo.com.example.org",
        "api.nexmo.com.",
        "api.nexmo.com:80",
    ],
)
@pytest.mark.parametrize("path", ["/v1/calls", "/sandbox/status", "/nothing"])
def test_a_host_that_is_not_loopback_is_refused_everywhere(client: Client, host, path):
    reply = client.api("GET", path, headers={"Host": host})

    assert reply.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:4010", "[::1]", "[::1]:4010"])
def test_names_of_loopback_are_accepted(client: Client, host):
    assert client.api("GET", "/v1/calls", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["api.nexmo.com", "API.nexmo.com:443", "api-eu-3.vonage.com"])
def test_the_platforms_hosts_are_accepted_except_by_control_routes(client: Client, host):
    assert client.api("GET", "/v1/calls", headers={"Host": host}).status_code == 200
    for path in ("status", "identity?nonce=x", "log"):
        assert client.api("GET", f"/sandbox/{path}", headers={"Host": host}).status_code == 403


def test_a_form_of_another_site_cannot_change_anything(client: Client):
    for content_type in ("application/x-www-form-urlencoded", "text/plain", ""):
        for path in ("reset", "stop", "ring", "advance", "faults", "press"):
            reply = client.http.post(
                f"/sandbox/{path}", content=b"{}", headers={"Content-Type": content_type}
            )
            assert reply.status_code == 415

    assert client.http.get("/sandbox/status").status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /v1/calls HTTP/1.0\nConnection: close", b"403"),
        ("GET /v1/calls HTTP/1.1\nConnection: close", b"400"),
        ("nonsense", b"400"),
        ("GET /v1/calls HTTP/1.1\nHost: 127.0.0.1\nX: " + "x" * 5_000_000, b"400"),
        ("POST /v1/calls HTTP/1.1\nHost: 127.0.0.1\nContent-Length: -1", b"400"),
        ("GET /%ff%00 HTTP/1.1\nHost: 127.0.0.1\nConnection: close", b"404"),
        ("GET /v1/calls/%ED%A0%80 HTTP/1.1\nHost: 127.0.0.1\nConnection: close", b"401"),
        ("GET /v1/calls?status=%ff HTTP/1.1\nHost: 127.0.0.1\nConnection: close", b"401"),
    ],
)
def test_odd_requests_are_served_or_refused_without_harm(client: Client, head, status):
    try:
        received = send(client, head)
    except ConnectionResetError:  # it closed the connection while we were still sending
        received = b""

    assert received == b"" or received.split(b" ")[1] == status
    assert client.get("/v1/calls").status_code == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=VALUES,
    where=st.sampled_from(
        [
            ("POST", "/v1/calls"),
            *[("PUT", f"/v1/calls/LEG{path}") for path in ("", "/talk", "/stream", "/dtmf", "/input/dtmf")],
            *[
                ("POST", f"/sandbox/{path}")
                for path in ("ring", "answer", "press", "hangup", "advance", "faults")
            ],
        ]
    ),
)
def test_any_json_gets_a_complete_reply(client: Client, body, where):
    """One sandbox and one clock for all examples, so that the state they leave is part of the test."""
    uuid = client.call()
    client.advance(2.5)
    method, path = where

    reply = client.api(method, path.replace("LEG", uuid), content=json.dumps(body), headers=JSON)

    assert reply.status_code in (200, 201, 204, 400, 404, 409)


def test_a_client_that_disconnects_during_its_body_is_not_an_internal_error(client: Client, caplog):
    client.log()
    known, url = set(client.sandbox.connections), httpx.URL(client.url)

    with socket.create_connection((url.host, url.port)) as sock:
        sock.sendall(b"POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        eventually(client.log)
    eventually(lambda: set(client.sandbox.connections) == known)

    assert client.get("/v1/calls").status_code == 200
    assert caplog.text == ""


def test_an_internal_error_gets_500_with_a_trace_id(client: Client, monkeypatch, caplog):
    monkeypatch.setattr(type(client.sandbox.exchange), "create", lambda *_, **__: 1 / 0)

    reply = client.create()

    assert reply.status_code == 500
    assert reply.json()["instance"] == reply.headers["x-nexmo-trace-id"]
    assert client.get("/v1/calls").status_code == 200
    assert "ZeroDivisionError" in caplog.text
