"""NCCOs from webhooks: answer_url, and transfers by URL."""

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import Start
from .parts import HELLO, ROOM, Client

Answer = Callable[[BaseHTTPRequestHandler], None]


class Webhook:
    """A web server that answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.answer: Answer = ncco([HELLO])
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                webhook.asked.append((self.command, self.path, body))
                webhook.answer(self)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def parameters(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.asked[-1][1]).query).items()}


def raw(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def ncco(actions: object) -> Answer:
    return raw(200, json.dumps(actions).encode())


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    thread = threading.Thread(target=webhook.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield webhook
    webhook.server.shutdown()
    thread.join()
    webhook.server.server_close()


def reasons(client: Client) -> list[str]:
    return [entry["reason"] for entry in client.log() if entry["kind"] == "remark"]


def test_it_is_asked_at_the_answer_with_the_answer_parameters(client: Client, webhook: Webhook):
    uuid = client.call(answer_url=[f"{webhook.url}/answer?order=17&a="])
    own = client.record(uuid)["conversation_uuid"]
    client.advance(2)
    assert webhook.asked == []

    client.advance(0.5)

    method, path, _ = webhook.asked[0]
    assert method == "GET"
    assert path.startswith("/answer?order=17&a=&")
    assert webhook.parameters() == {
        "order": "17",
        "to": "447700900001",
        "from": "447700900456",
        "uuid": uuid,
        "conversation_uuid": own,
        "endpoint_type": "phone",
    }


def test_its_ncco_runs(client: Client, webhook: Webhook):
    uuid = client.call(answer_url=[webhook.url])

    client.advance(10)

    assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
    assert client.status(uuid) == "completed"


def test_post_sends_the_parameters_as_json(client: Client, webhook: Webhook):
    uuid = client.call(answer_url=[f"{webhook.url}/answer?order=17"], answer_method="POST")

    client.advance(3)

    method, path, body = webhook.asked[0]
    assert (method, path) == ("POST", "/answer?order=17")
    assert json.loads(body)["uuid"] == uuid


def test_a_transfer_by_url_runs_what_comes(client: Client, webhook: Webhook):
    uuid = client.answered()
    webhook.answer = ncco([ROOM | {"name": "other"}])
    before = client.record(uuid)["conversation_uuid"]

    reply = client.change(uuid, "transfer", destination={"type": "ncco", "url": [f"{webhook.url}/survey"]})

    assert reply.status_code == 204
    assert webhook.parameters()["uuid"] == uuid
    assert client.record(uuid)["conversation_uuid"] != before


def test_without_frozen_it_is_asked_in_the_background(start: Start, webhook: Webhook):
    client = start(frozen=False)
    uuid = client.call(answer_url=[webhook.url])
    client.clock.sleep(2.5)
    client.status(uuid)  # time has passed for the sandbox too
    for _ in range(400):
        if client.hear(uuid):
            break
        time.sleep(0.005)

    client.clock.sleep(1)

    assert client.status(uuid) == "completed"
    assert len(webhook.asked) == 1


def test_a_handler_may_use_the_api_meanwhile(client: Client, webhook: Webhook):
    statuses = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        statuses.append(client.status(uuid))
        ncco([HELLO])(handler)

    webhook.answer = answer
    uuid = client.call(answer_url=[webhook.url])

    client.advance(3)

    assert statuses == ["answered"]


def test_several_are_asked_at_once_and_go_on_in_order(client: Client, webhook: Webhook):
    together = threading.Barrier(3, timeout=5)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        together.wait()
        ncco([ROOM])(handler)

    webhook.answer = answer
    uuids = [client.call(answer_url=[webhook.url]) for _ in range(3)]

    client.advance(3)

    moved = [entry["uuid"] for entry in client.log() if entry["kind"] == "transfer"]
    assert moved == uuids


def test_an_answer_that_comes_after_a_reset_is_dropped(client: Client, webhook: Webhook):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        client.control("reset")
        ncco([HELLO])(handler)

    webhook.answer = answer
    client.call(answer_url=[webhook.url])

    client.advance(3)

    assert client.log() == []
    assert client.http.get("/sandbox/status").json()["call_time"] == "2026-01-01T00:00:00.000Z"


class TestWhatEndsTheCall:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (raw(404, b"[]"), "answered with status 404"),
            (raw(500, b"[]"), "answered with status 500"),
            (raw(302, b"", Location="http://127.0.0.1:1/"), "answered with status 302"),
            (raw(204, b""), "answered with status 204"),
            (raw(200, b""), "not JSON"),
            (raw(200, b"<html>"), "not JSON"),
            (raw(200, b"[" * 100_000), "not JSON"),
            (raw(200, b"[" * 100 + b"]" * 100), "nested more than 64 deep"),
            (raw(200, b'"' + b"x" * 1_100_000 + b'"'), "larger than 1048576 bytes"),
            (raw(200, gzip.compress(b"[]"), Content_Encoding="gzip"), "not JSON"),
            (ncco({"action": "talk"}), "ncco: Invalid type parameter provided"),
            (ncco([{"action": "talk"}]), "ncco[0].text: Missing required parameter"),
            (
                ncco([HELLO, {"action": "record"}]),
                'ncco[1].action: "record" is not served here: only talk, stream, conversation, connect are',
            ),
        ],
    )
    def test_an_answer_that_is_no_ncco(self, client: Client, webhook: Webhook, answer, reason):
        webhook.answer = answer
        uuid = client.call(answer_url=[webhook.url])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert client.hear(uuid) == []
        assert len(webhook.asked) == 1
        assert reasons(client) == [f"answer webhook: {reason}"]

    def test_an_answer_without_end(self, client: Client, webhook: Webhook):
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    handler.wfile.write(b" " * 65_536)
            handler.close_connection = True

        webhook.answer = answer
        uuid = client.call(answer_url=[webhook.url])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert reasons(client) == ["answer webhook: larger than 1048576 bytes"]

    def test_an_empty_ncco(self, client: Client, webhook: Webhook):
        webhook.answer = ncco([])
        uuid = client.call(answer_url=[webhook.url])

        client.advance(3)

        assert client.status(uuid) == "completed"

    @pytest.mark.parametrize("status", [429, 503, 504])
    def test_trouble_that_may_pass_is_met_with_a_second_attempt(
        self, client: Client, webhook: Webhook, status
    ):
        def answer(handler: BaseHTTPRequestHandler) -> None:
            (ncco([ROOM]) if len(webhook.asked) == 2 else raw(status, b""))(handler)

        webhook.answer = answer
        uuid = client.call(answer_url=[webhook.url])

        client.advance(3)

        assert client.status(uuid) == "answered"
        assert [entry["status"] for entry in client.log() if entry["kind"] == "fetch"] == [status, 200]

    def test_and_not_with_a_third(self, client: Client, webhook: Webhook):
        webhook.answer = raw(503, b"")
        uuid = client.call(answer_url=[webhook.url])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert len(webhook.asked) == 2

    def test_parameters_that_cannot_be_sent(self, client: Client, webhook: Webhook):
        body = rb'{"to":[{"type":"app","user":"\ud800"}],"random_from_number":true,"answer_url":["%s"]}'
        made = client.api(
            "POST",
            "/v1/calls",
            content=body % webhook.url.encode(),
            headers={"Content-Type": "application/json"},
        )

        client.advance(3)

        assert client.status(made.json()["uuid"]) == "completed"
        assert webhook.asked == []

    def test_nobody_there(self, client: Client, webhook: Webhook):
        uuid = client.call(answer_url=["http://127.0.0.1:1/"])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert len([entry for entry in client.log() if entry["kind"] == "fetch"]) == 2

    @pytest.mark.parametrize(
        "url",
        [
            "https://app.example.org/answer",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.org/",
            "http://127.0.0.1@example.org/",
            "http://0.0.0.0:1/",
            "http://[2001:db8::1]/",
        ],
    )
    def test_hosts_off_loopback_are_not_asked(self, client: Client, url):
        uuid = client.call(answer_url=[url])

        client.advance(3)

        assert client.status(uuid) == "completed"
        (entry,) = [entry for entry in client.log() if entry["kind"] == "fetch"]
        assert entry["url"] == url
        assert entry["reason"] == "not delivered: the host is neither loopback nor allowed"


class TestWhoElseIsAsked:
    def test_loopback_by_name(self, client: Client, webhook: Webhook):
        url = webhook.url.replace("127.0.0.1", "localhost")
        uuid = client.call(answer_url=[url])

        client.advance(2.5)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]

    def test_a_host_that_is_allowed(self, start: Start, webhook: Webhook):
        client = start(allow_hosts=("0.0.0.0",))
        uuid = client.call(answer_url=[webhook.url.replace("127.0.0.1", "0.0.0.0")])

        client.advance(2.5)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
