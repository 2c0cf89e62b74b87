"""Requests that are forwarded to the user's application, and the answers accepted from it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.certificates import Authority
from tests.support.servers import LOOPBACK, Canned, Drip, Eavesdropper, Listener, read_request, reply
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending
from voicectl.errors import InputError
from voicectl.store.events import Route
from voicectl.webhook.forward import LANE_WIDTH, LANES, Forwarder, ncco_fault
from voicectl.webhook.messages import Request, Response

T = TypeVar("T")

NCCO = [{"action": "talk", "text": "Hello"}]
GOOD = reply(200, NCCO)


class App:
    """A forwarder, its warnings, and a way to send it one request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.warnings: list[str] = []
        self.scheme: str | None = None

    def ask(self, *args: Any, **options: Any) -> Response | None:
        async def once(forwarder: Forwarder) -> Response | None:
            return await ask(forwarder, *args, **options)

        return self.run(once)

    def run(self, work: Callable[[Forwarder], Awaitable[T]]) -> T:
        async def main() -> T:
            forwarder = Forwarder(self.url, on_trouble=self.warnings.append, scheme=self.scheme)
            try:
                return await work(forwarder)
            finally:
                await forwarder.close()

        return asyncio.run(main())


async def ask(
    forwarder: Forwarder,
    route: str = "answer",
    method: str = "POST",
    query: bytes = b"",
    headers: Any = (),
    body: bytes = b"{}",
    within: float = PATIENCE_SECONDS,
    peer: str | None = None,
    path: bytes = b"",
) -> Response | None:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return await forwarder.ask(Request(Route(route), method, query, pairs, body, peer, path), within=within)


# Forwarded requests


@pytest.mark.parametrize("path", ["", "/", "/voice", "/voice/", "/a%20b/voice"])
@pytest.mark.parametrize("route", ["answer", "event", "fallback", "rtc"])
def test_a_request_goes_to_its_route_below_the_base_url(path: str, route: str) -> None:
    with Canned(GOOD) as server:
        assert App(server.url + path).ask(route) is not None
        assert server.requests[0].target == f"{path.rstrip('/')}/{route}"


def test_method_query_and_body_are_forwarded_unchanged() -> None:
    query = b'to=447700900456&from=%2b44&dtmf={"digits":"3"}&a=b;c&x=%zz&e=%C3%AB&vc=\'!()*~|'
    body = b'{"a" :  "\xff\\u0000", "a": 1}'
    with Canned(GOOD) as server:
        app = App(server.url)
        app.ask("answer", "GET", query, body=b"")
        app.ask("event", "POST", query, body=body)
        app.ask("event", "POST", b"", body=b"")
        app.ask("event", "GET", b"", body=b"x")

        assert [(each.method, each.target, each.body) for each in server.requests] == [
            ("GET", "/answer?" + query.decode(), b""),
            ("POST", "/event?" + query.decode(), body),
            ("POST", "/event", b""),
            ("GET", "/event", b"x"),
        ]
        assert app.warnings == []


@pytest.mark.parametrize(
    ("below", "earlier", "targets"),
    [
        (
            "",
            {"answer": "https://x.example.org/webhooks/answer", "event": "http://y:3000/webhooks/events?a=1"},
            ["/webhooks/answer?to=4", "/webhooks/events?a=1&to=4", "/fallback?to=4", "/rtc?to=4"],
        ),
        (
            "/",
            {"answer": "https://x.example.org", "event": "no URL"},
            ["/?to=4", "/event?to=4", "/fallback?to=4", "/rtc?to=4"],
        ),
        (
            "/voice",
            {"answer": "https://x.example.org/voice/a%20b", "event": "https://x.example.org/voices/e"},
            ["/voice/a%20b?to=4", "/voice/event?to=4", "/voice/fallback?to=4", "/voice/rtc?to=4"],
        ),
        ("/webhooks", {"answer": "https://x/webhooks/answer"}, [f"/webhooks/{each}?to=4" for each in Route]),
    ],
)
def test_a_request_goes_to_the_path_that_its_webhook_had_before(
    below: str, earlier: dict[str, str], targets: list[str]
) -> None:
    async def each(forwarder: Forwarder) -> None:
        forwarder.follow(earlier)
        for route in ("answer", "event", "fallback", "rtc"):
            await ask(forwarder, route, query=b"to=4")

    with Canned(GOOD) as server:
        App(server.url + below).run(each)
        assert sorted(each.target for each in server.requests) == sorted(targets)


@pytest.mark.parametrize("below", ["", "/voice"])
def test_a_request_to_an_extra_path_goes_to_the_same_path(below: str) -> None:
    with Canned(GOOD) as server:
        App(server.url + below).ask("event", "GET", b"digits=1", body=b"", path=b"/menu%2f1")
        assert server.requests[0].target == "/menu%2f1?digits=1"


def test_the_host_is_the_requested_one_and_the_scheme_the_public_one() -> None:
    async def each(forwarder: Forwarder) -> None:
        await ask(forwarder, headers=[("Host", "voice.example.org")])
        proxied = [("X-Forwarded-Host", "a.example.org"), ("X-Forwarded-Proto", "http")]
        await ask(forwarder, headers=[("Host", "127.0.0.1:3000"), *proxied])

    with Canned(GOOD) as server:
        app = App(server.url)
        app.scheme = "https"
        app.run(each)
        found = [
            [request.headers[name] for name in ("host", "x-forwarded-host", "x-forwarded-proto")]
            for request in server.requests
        ]
    assert found == [
        ["voice.example.org", "voice.example.org", "https"],
        ["127.0.0.1:3000", "a.example.org", "http"],
    ]


def test_only_headers_for_the_application_are_forwarded() -> None:
    headers = [
        ("Host", "public.example.org"),
        ("content-type", "application/json; charset=utf-8"),
        ("AUTHORIZATION", "Bearer eyJ.x.y"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("x-forwarded-for", "198.51.100.1"),
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close, X-Odd"),
        ("Expect", "100-continue"),
        ("Upgrade", "websocket"),
        ("TE", "trailers"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Accept-Encoding", "gzip"),
        ("Cookie", "a=b"),
        ("X-Odd", "1"),
        ("X-Even", "2"),
        ("x-even", "3"),
    ]
    with Canned(GOOD) as server:
        App(server.url).ask(headers=headers, body=b'{"a": 1}', peer="192.0.2.9")
        sent = dict(server.requests[0].headers)

        assert sent.pop("user-agent").startswith("voicectl/")
        assert sent == {
            "host": "public.example.org",
            "x-forwarded-host": "public.example.org",
            "cookie": "a=b",
            "x-even": "3",
            "content-type": "application/json; charset=utf-8",
            "authorization": "Bearer eyJ.x.y",
            "x-forwarded-for": "203.0.113.7, 198.51.100.1, 192.0.2.9",
            "content-length": "8",
            "connection": "keep-alive",
            "accept": "application/json, */*",
            "accept-encoding": "identity",
        }


def test_a_cookie_of_the_application_does_not_come_back() -> None:
    with Canned(reply(200, NCCO, set_cookie="session=1; Path=/")) as server:

        async def twice(forwarder: Forwarder) -> None:
            await ask(forwarder)
            await ask(forwarder)

        App(server.url).run(twice)
        assert ["cookie" in each.headers for each in server.requests] == [False, False]


# Answers


@pytest.mark.parametrize("status", range(200, 206))
def test_a_response_that_the_platform_accepts_is_an_answer(status: int) -> None:
    with Canned(reply(status, b"" if status in (204, 205) else NCCO)) as server:
        got = App(server.url).ask()

    content = b"" if status in (204, 205) else json.dumps(NCCO).encode()
    assert got == Response(status=status, content_type="application/json", body=content)


def test_a_response_without_a_type_or_a_length_is_an_answer() -> None:
    with Canned(b"HTTP/1.0 200 OK\r\n\r\n[]") as server:
        assert App(server.url).ask() == Response(status=200, content_type=None, body=b"[]")


MIB = 1 << 20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "server error": (reply(500, b"Oops", content_type="text/html"), 500, "returned 500"),
    "unavailable": (reply(503, retry_after="3"), 503, "returned 503"),
    "not found": (reply(404), 404, "returned 404"),
    "a redirect": (reply(302, location="/x"), 302, "returned 302, a redirect, which is not followed"),
    "not modified": (reply(304), 304, "returned 304"),
    "beyond the range": (reply(206, NCCO), 206, "returned 206"),
    "a status that no server may send": (reply(700), 502, "returned 700"),
    "compressed": (
        reply(200, b"x", content_encoding="gzip"),
        200,
        "compressed its response, although the request did not allow that",
    ),
    "too big, and says so": (reply(200, b" " * (MIB + 2)), 200, "returned more than 1 MiB"),
    "too big, without an end": (HEAD + b"\r\n" + b" " * (2 * MIB), 200, "returned more than 1 MiB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_response_that_the_platform_refuses_is_reported_and_returned_as_it_came(case: str) -> None:
    answer, status, fault = REFUSED[case]
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = [line.partition(b": ") for line in head.lower().split(b"\r\n")[1:]]
    returned = (b"location", b"retry-after", b"content-encoding")
    with Canned(answer, keeps=False) as server:
        app = App(server.url)

        found = app.ask()
        assert len(server.requests) == 1
    assert found == Response(
        status,
        body[: MIB + 1],
        next(value.decode() for name, _, value in headers if name == b"content-type"),
        tuple((name, value) for name, _, value in headers if name in returned),
        fault,
    )
    assert app.warnings == [f"answer: {server.url.removeprefix('http://')} {fault}"]


BROKEN = {
    "nothing": b"",
    "a part of the head": HEAD,
    "a part of the body": HEAD + b"Content-Length: 50\r\n\r\n[",
    "a part of a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[",
    "chunks without an end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]x",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_response_is_not_an_answer(case: str) -> None:
    with Canned(BROKEN[case], keeps=False) as server:
        app = App(server.url)

        assert app.ask() is None
        assert len(server.requests) == 1
    assert len(app.warnings) == 1
    assert app.warnings[0].startswith(
        f"answer: {server.url.removeprefix('http://')} gave no usable response: "
    )
    assert "closed" in app.warnings[0]


def test_the_largest_response_is_an_answer() -> None:
    with Canned(reply(200, b" " * MIB)) as server:
        got = App(server.url).ask()

    assert got is not None
    assert len(got.body) == MIB


@pytest.mark.parametrize(
    "answer",
    [
        Drip(reply(200, NCCO) + b" " * 10_000, 0.05),
        Drip(HEAD + b"\r\n" + b" " * 100_000, 0.05, step=40),
    ],
    ids=["the head drips", "the body drips"],
)
def test_one_deadline_covers_the_whole_exchange(answer: Drip) -> None:
    with Canned(answer) as server:
        app = App(server.url)
        ending(lambda: asyncio.run(late(app, within=0.3)))

    assert app.warnings[0].endswith("it was not complete within 0.3 s")


async def late(app: App, within: float) -> None:
    """Ask an app that does not answer in time."""
    forwarder = Forwarder(app.url, on_trouble=app.warnings.append)
    assert await ask(forwarder, within=within) is None
    await forwarder.close()


class Deaf(Listener):
    """A server that accepts connections, and neither reads nor answers until it may.

    Attributes:
        hears: True once it may answer.
    """

    hears = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.hears:
            await asyncio.Event().wait()
        while await read_request(reader):
            writer.write(GOOD)
            await writer.drain()


def test_a_server_that_does_not_answer_is_given_up_on_in_time() -> None:
    with Deaf() as server:
        app = App(server.url)
        ending(lambda: asyncio.run(late(app, within=0.2)))
    assert app.warnings[0].endswith("it was not complete within 0.2 s")


def test_a_closed_port_is_reported_at_once() -> None:
    with closed_port() as port:
        app = App(f"http://{LOOPBACK}:{port}")

        assert app.ask() is None
    assert app.warnings[0].endswith("the connection was refused")


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is taken, and refuses."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (b"a=\xff", ()),
        (b"a b", ()),
        (b"a\r\nX: y", ()),
        (b"", [("Authorization", "Bearer x\0")]),
        (b"", [("Authorization", "Bearer x\r\nX-Evil: y")]),
    ],
)
def test_a_request_that_http_cannot_express_is_not_forwarded(query: bytes, headers: Any) -> None:
    with Canned(GOOD) as server:
        app = App(server.url)

        assert app.ask(query=query, headers=headers) is None
        assert server.requests == []
    assert app.warnings[0].endswith("cannot be passed on unchanged")


def test_warnings_contain_nothing_of_the_request() -> None:
    canary = "447700900789-canary"
    with Canned(reply(500)) as server:
        app = App(server.url)
        app.ask(
            query=canary.encode(),
            headers=[("Authorization", f"Bearer {canary}\n"), ("Content-Type", canary)],
            body=canary.encode(),
        )
        app.ask(query=canary.encode(), body=canary.encode())

    assert len(app.warnings) == 2
    assert canary not in str(app.warnings)


# Connections


@pytest.fixture
def _connections_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicectl.webhook.forward.KEEP_SECONDS", FOR_EVER)


@pytest.mark.usefixtures("_connections_are_kept")
def test_consecutive_requests_use_one_connection() -> None:
    with Canned(GOOD) as server:

        async def several(forwarder: Forwarder) -> None:
            for _ in range(5):
                assert await ask(forwarder) is not None

        App(server.url).run(several)
        assert (len(server.requests), server.connections) == (5, 1)


class Forgetful(Listener):
    """Answers the first request of a connection, and closes it when the second one has arrived.

    Attributes:
        requests: Number of requests received.
    """

    requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (GOOD, b""):
            if await read_request(reader):
                self.requests += 1
                writer.write(answer)
                await writer.drain()


@pytest.mark.usefixtures("_connections_are_kept")
def test_a_kept_connection_that_is_closed_during_a_request_is_not_a_failure() -> None:
    with Forgetful() as server:

        async def several(forwarder: Forwarder) -> list[Response | None]:
            crowd = [await asyncio.gather(*(ask(forwarder) for _ in range(LANE_WIDTH))) for _ in range(2)]
            return [each for asked in crowd for each in asked]

        app = App(server.url)
        assert all(app.run(several))
        assert app.warnings == []
        assert 2 * LANE_WIDTH < server.requests <= 4 * LANE_WIDTH  # each was sent at most once more


class Gate(Listener):
    """A server that answers only once the given number of requests are waiting.

    Attributes:
        most: Highest number of simultaneous requests.
    """

    def __init__(self, opens_at: int) -> None:
        super().__init__()
        self._opens_at = opens_at
        self._asking = 0
        self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking += 1
        self.most = max(self.most, self._asking)
        await reader.readuntil(b"\r\n\r\n{}")
        while self.most < self._opens_at:
            await asyncio.sleep(0.005)
        self._asking -= 1
        writer.write(reply(200, NCCO, connection="close"))
        await writer.drain()


def test_many_requests_are_sent_at_once_up_to_a_limit() -> None:
    bound = LANES * LANE_WIDTH
    with Gate(bound) as server:

        async def crowd(forwarder: Forwarder) -> list[Response | None]:
            return await asyncio.gather(*(ask(forwarder) for _ in range(2 * bound)))

        got = App(server.url).run(crowd)
        assert all(got)
        assert server.most == bound


def test_after_many_late_answers_the_next_requests_are_answered() -> None:
    bound = LANES * LANE_WIDTH
    with Deaf() as server:

        async def crowds(forwarder: Forwarder) -> tuple[list[Response | None], list[Response | None]]:
            late = await asyncio.gather(*(ask(forwarder, within=0.3) for _ in range(2 * bound)))
            server.hears = True
            return late, await asyncio.gather(*(ask(forwarder) for _ in range(2 * bound)))

        late, heard = App(server.url).run(crowds)
    assert not any(late)
    assert all(heard)


def test_cancelled_requests_free_their_places() -> None:
    with Deaf() as server:

        async def several(forwarder: Forwarder) -> Response | None:
            for pause in (0, 0.001):
                tasks = [asyncio.create_task(ask(forwarder)) for _ in range(LANES * LANE_WIDTH)]
                await asyncio.sleep(pause)
                for task in tasks:
                    task.cancel()
                assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
                    asyncio.CancelledError
                ] * len(tasks)
            server.hears = True
            return await ask(forwarder)

        assert App(server.url).run(several) is not None


def test_a_connection_is_not_lost_wherever_its_request_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicectl.webhook.forward.LANES", 1)
    monkeypatch.setattr("voicectl.webhook.forward.LANE_WIDTH", 1)
    with Deaf() as server:

        async def several(forwarder: Forwarder) -> Response | None:
            for steps in range(60):  # of the event loop: after some, it is connected and nothing is sent yet
                task = asyncio.create_task(ask(forwarder))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            server.hears = True
            return await ask(forwarder)

        assert App(server.url).run(several) is not None


def test_https_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with Canned(GOOD, tls=authority.context()) as server:
        app = App(server.url)
        assert app.ask() is None
        assert "certificate is not trusted" in app.warnings[0]
        assert server.requests == []

        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        assert app.ask() is not None


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Eavesdropper() as proxy, Canned(GOOD) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        assert App(server.url).ask() is not None
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:5000",
        "ftp://x.org",
        "http://",
        "http:///x",
        "http://x.org:0",
        "http://x.org:99999",
        "http://[::1",
        "http://x.org/a b",
        "http://x.org/\n",
        "http://user:secret@x.org",
        "http://x.org/?a=b",
        "http://x.org/?",
        "http://x.org/#a",
    ],
)
def test_an_invalid_url_or_one_with_credentials_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Forwarder(url)
    assert "secret" not in caught.value.message


# The NCCO of an application


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[]", None),
        (b' [{"action": "talk", "text": "Hello"}]\n', None),
        (b'[{"action": "talk", "text": "Hello", "loop": "2"}]', None),
        (b"", "it is not JSON"),
        (b"OK", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b"\xff", "it is not UTF-8"),
        (b"[NaN]", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[" * 500 + b"]" * 500, "it is not JSON"),
        (b"null", "$: This is null."),
        (b'{"action": "talk", "text": "Hello"}', "$: This is a single action."),
        (b'[{"action": "tlak"}]', '$[0].action: "tlak" is not a known action.'),
        (b'[{"action": "talk"}]', "$[0]: This talk has no text."),
        (b'[{"action": "record", "timeOut": 1}]', "$[0].timeOut: 1 is less than 3."),
    ],
)
def test_an_ncco_is_checked_by_the_linter(body: bytes, fault: str | None) -> None:
    assert ncco_fault(body) == fault
