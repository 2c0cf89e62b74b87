"""The proxy that answers for the platform's hosts, and for nothing else."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.sandbox.parts import Client
from tests.support.servers import Canned, reply
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock
from voicectl.sandbox.account.identity import Identity, Options
from voicectl.sandbox.log import Log
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running
from voicectl.sandbox.tls.authority import Authority
from voicectl.sandbox.tls.proxy import Proxy
from voicectl.voice.hosts import PLATFORM_HOSTS, REGION_HOSTS

HOST = "api.nexmo.com"

reached: list[tuple[str, object]] = []
"""Every host that a sandbox of this process has looked up or connected to."""


def _watch(event: str, args: tuple[object, ...]) -> None:
    is_reaching = event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
    if is_reaching and threading.current_thread().name.startswith("server"):
        reached.append((event, args[-1] if event == "socket.connect" else args[0]))


sys.addaudithook(_watch)


class Intercepted:
    """A sandbox with a proxy, and a client that reaches the platform's hosts through the proxy.

    Attributes:
        client: A client of the sandbox's own URL.
    """

    def __init__(self, client: Client, authority: Authority) -> None:
        self.client = client
        self.url = client.sandbox.proxy_url or ""
        self.trust = ssl.create_default_context(cadata=authority.certificate.decode())
        self.http = httpx.Client(proxy=self.url, verify=self.trust, trust_env=False, timeout=PATIENCE_SECONDS)

    def connect(self) -> socket.socket:
        address = urlsplit(self.url)
        return socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS)

    def ask(self, content: bytes) -> bytes:
        """Send *content* to the proxy, and return all that it sends until it closes the connection."""
        with self.connect() as sock:
            sock.sendall(content)
            return b"".join(iter(lambda: sock.recv(65_536), b""))

    def tunnel(self, host: str = HOST) -> socket.socket:
        sock = self.connect()
        sock.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")
        return sock

    @property
    def refusals(self) -> list[dict[str, object]]:
        return [entry for entry in self.client.log() if entry["kind"] == "proxy"]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new(SystemClock().time)


@pytest.fixture
def intercepted(application: tuple[Identity, RSAPrivateKey], authority: Authority) -> Iterator[Intercepted]:
    identity, key = application
    options = Options(seed=1, frozen=True, limits=False)
    sandbox = Sandbox(
        identity, options, clock=SystemClock()
    )  # clients check certificates by the machine's clock
    with running(sandbox, intercept=authority) as url:
        made = Intercepted(Client(sandbox, url, key), authority)
        yield made
        made.http.close()
        made.client.http.close()


@pytest.mark.parametrize("host", sorted(PLATFORM_HOSTS))
def test_each_host_of_the_platform_is_answered_with_a_certificate_of_its_own(
    intercepted: Intercepted, host: str
) -> None:
    token = intercepted.client.token()

    answer = intercepted.http.get(f"https://{host}/v1/calls", headers={"Authorization": f"Bearer {token}"})

    assert answer.json()["_links"]["self"]["href"].startswith(f"https://{host}/v1/calls?")
    (request,) = [entry for entry in intercepted.client.log() if entry["kind"] == "request"]
    assert REGION_HOSTS.get(request["region"] or "") == (host if host in REGION_HOSTS.values() else None)


def test_the_certificate_is_for_the_requested_host_alone(intercepted: Intercepted) -> None:
    with intercepted.tunnel() as sock, pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        intercepted.trust.wrap_socket(sock, server_hostname="api-eu-3.vonage.com")


def test_a_client_that_does_not_trust_the_authority_refuses_the_certificate(intercepted: Intercepted) -> None:
    with intercepted.tunnel() as sock, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(sock, server_hostname=HOST)

    assert intercepted.http.get(f"https://{HOST}/v1/calls").status_code == 401


def test_a_region_of_the_platform_has_only_its_own_calls(intercepted: Intercepted) -> None:
    leg = intercepted.client.call()
    headers = {"Authorization": f"Bearer {intercepted.client.token()}"}

    found = {
        host: intercepted.http.get(f"https://{host}/v1/calls/{leg}", headers=headers).status_code
        for host in (HOST, *REGION_HOSTS.values())
    }

    assert sorted(found.values()) == [200, 200, *[404] * 5]
    assert found[HOST] == 200


def test_files_and_regions_have_urls_on_the_platforms_hosts(intercepted: Intercepted) -> None:
    flow = [
        {"action": "record", "timeOut": 3, "eventUrl": ["http://127.0.0.1:9/recorded"]},
        {"action": "wait"},
    ]
    with Canned(reply(200, flow)) as app:
        intercepted.client.call(answer_url=[f"{app.url}/answer"])
        intercepted.client.advance(20)

    answer, *_ = app.requests
    assert "region_url=https%3A%2F%2Fapi-us-3.vonage.com" in answer.target
    (recorded,) = [entry for entry in intercepted.client.log() if entry["kind"] == "record"]
    url = str(recorded["recording_url"])
    assert url.startswith("https://api-us-3.vonage.com/v1/files/")
    headers = {"Authorization": f"Bearer {intercepted.client.token()}"}
    assert len(intercepted.http.get(url, headers=headers).content) == recorded["size"]


def test_the_control_routes_are_not_on_the_platforms_hosts(intercepted: Intercepted) -> None:
    assert intercepted.http.get(f"https://{HOST}/sandbox/status").status_code == 403
    assert intercepted.http.post(f"https://{HOST}/sandbox/stop", json={}).status_code == 403


def test_a_fault_that_closes_the_connection_closes_the_tunnel(intercepted: Intercepted) -> None:
    intercepted.client.fault("lost-reply")

    with pytest.raises(httpx.RemoteProtocolError):
        intercepted.http.get(
            f"https://{HOST}/v1/calls", headers={"Authorization": f"Bearer {intercepted.client.token()}"}
        )


ELSEWHERE = [
    "example.org:443",
    "api.nexmo.com:80",
    "api.nexmo.com:0443",
    "api.nexmo.com:4430",
    "api.nexmo.com:0",
    "api.nexmo.com:-443",
    "api.nexmo.com:99999",
    "api.nexmo.com:",
    "api.nexmo.com",
    "api.nexmo.com.:443",
    ".api.nexmo.com:443",
    "api.nexmo.com.example.org:443",
    "evil-api.nexmo.com:443",
    "x.api.nexmo.com:443",
    "*.nexmo.com:443",
    "nexmo.com:443",
    "vonage.com:443",
    "www.vonage.com:443",
    "api-us-5.vonage.com:443",
    "api.nexmo.com:443:443",
    "api.nexmo.com:443@example.org:443",
    "user:secret@api.nexmo.com:443",
    "api.nexmo.com:443/",
    "api.nexmo.com:443?x=1",
    "api.nexmo.com%00.example.org:443",
    "api.nexmo.com%0d%0a:443",
    "api.nexmo.com,example.org:443",
    "https://api.nexmo.com:443",
    "//api.nexmo.com:443",
    "xn--api-nexmo-com.example:443",
    "localhost:443",
    "localhost:{port}",
    "127.0.0.1:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f000001:{port}",
    "0177.0.0.1:{port}",
    "0.0.0.0:{port}",
    "[::1]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "10.0.0.1:443",
    "169.254.169.254:80",
    "192.0.2.1:443",
    "[2001:db8::1]:443",
    "[api.nexmo.com]:443",
    ":443",
    "443",
    "*",
    "/",
]
"""Targets of CONNECT that are not a host of the platform."""

NOT_CONNECT = [
    "GET http://api.nexmo.com/v1/calls?api_secret=secret",
    "GET http://user:secret@example.org/",
    "GET https://example.org/",
    "GET https://api.nexmo.com:8443/v1/calls",
    "GET https://api.nexmo.com@example.org/",
    "GET https://api.nexmo.com",
    "GET http://127.0.0.1:{port}/",
    "GET ftp://example.org/",
    "GET /v1/calls",
    "POST http://example.org/",
    "OPTIONS *",
    "connect api.nexmo.com:443",
    "GET api.nexmo.com:443",
    "TRACE http://example.org/",
]


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_request_for_an_https_url_of_the_platform_needs_no_tunnel(
    intercepted: Intercepted, connection: str
) -> None:
    identity = intercepted.client.identity
    auth = base64.b64encode(f"{identity.api_key}:{identity.api_secret}".encode()).decode()
    form = f"country=GB&msisdn=442079460001&app_id={identity.application_id}"
    head = (
        "POST https://REST.nexmo.com/number/update HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"
        f"Authorization: Basic {auth}\r\nProxy-Authorization: Basic eA==\r\nConnection: {connection}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    )

    answer = intercepted.ask((head + form).encode())  # to the end, so the connection was closed

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"error-code":"200"' in answer.replace(b" ", b"")
    assert intercepted.refusals == []


def test_the_control_routes_are_not_passed_on(intercepted: Intercepted) -> None:
    answer = intercepted.ask(f"POST https://{HOST}/sandbox/stop HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("line", [*(f"CONNECT {target}" for target in ELSEWHERE), *NOT_CONNECT])
def test_every_other_request_is_refused_and_reaches_no_host(intercepted: Intercepted, line: str) -> None:
    reached.clear()
    with Canned(reply(200)) as here:
        line = line.replace("{port}", str(here.port))

        answer = intercepted.ask(f"{line} HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())

        assert here.connections == 0
    assert answer.split(b" ")[1] == b"403"
    assert b"voicectl sandbox: " in answer
    assert reached == []
    (refusal,) = intercepted.refusals
    assert refusal["status"] == 403
    assert "secret" not in str(refusal)


def test_a_host_is_asked_for_in_either_case(intercepted: Intercepted) -> None:
    with intercepted.trust.wrap_socket(intercepted.tunnel("API.Nexmo.COM"), server_hostname=HOST) as tls:
        assert tls.version() == "TLSv1.3"


def test_the_log_keeps_only_the_beginning_of_a_target(intercepted: Intercepted) -> None:
    intercepted.ask(f"CONNECT {'x' * 5000}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    (refusal,) = intercepted.refusals
    assert refusal["target"] == "x" * 200


def test_the_sandbox_itself_is_seen_to_reach_hosts(intercepted: Intercepted) -> None:
    reached.clear()
    with Canned(reply(200, [])) as app:
        intercepted.client.call(answer_url=[f"{app.url}/answer"])
        intercepted.client.advance(5)

    assert ("socket.connect", ("127.0.0.1", app.port)) in reached


BROKEN = {
    "a space in the host": b"CONNECT api.nexmo.com example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a newline in the host": b"CONNECT api.nexmo.com\n.example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the host": b"CONNECT api.nexmo.com\x00:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a letter that is not ASCII": "CONNECT api.n\u0435xmo.com:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "no host header": b"CONNECT api.nexmo.com:443 HTTP/1.1\r\n\r\n",
    "a handshake without CONNECT": b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    "a long host": b"CONNECT " + b"a" * 40_000 + b":443 HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "nonsense": b"\xff\xfe\r\n\r\n",
    "data that follows at once": b"CONNECT api.nexmo.com:443 HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_malformed_request_is_refused_and_logged(intercepted: Intercepted, name: str) -> None:
    try:
        answer = intercepted.ask(BROKEN[name])
    except ConnectionResetError:  # the proxy closed the connection while we were still sending
        answer = b""

    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"403", b"431")
    (refusal,) = eventually(lambda: intercepted.refusals)
    assert refusal["status"] in (400, 403, 431)
    assert intercepted.http.get(f"https://{HOST}/v1/calls").status_code == 401


def test_a_client_that_does_not_begin_a_handshake_is_logged(intercepted: Intercepted) -> None:
    with intercepted.tunnel() as sock:
        sock.sendall(b"GET /v1/calls HTTP/1.1\r\n\r\n")
        eventually(lambda: intercepted.refusals)
    intercepted.tunnel().close()

    eventually(lambda: len(intercepted.refusals) == 2)
    assert {entry["status"] for entry in intercepted.refusals} == {None}
    assert intercepted.http.get(f"https://{HOST}/v1/calls").status_code == 401


@pytest.mark.parametrize(
    ("content", "logged"),
    [
        (b"", False),
        (b"CONNECT api.nexmo.com:443 HT", False),
        (b"CONNECT api.nexmo.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", True),
    ],
)
def test_a_client_that_sends_no_more_is_disconnected(
    authority: Authority, content: bytes, logged: bool
) -> None:
    log = Log(lambda: 0.0, lambda: 0)
    proxy = Proxy(authority, asyncio.Protocol, lambda: log, patience=0.5)

    async def until_the_end() -> None:
        server = await asyncio.get_running_loop().create_server(proxy.new_connection, "127.0.0.1", 0)
        async with server:
            while True:  # once, unless the machine is too slow for the request to arrive in time
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(content)
                with suppress(ConnectionResetError):
                    await reader.read()
                writer.close()
                await asyncio.sleep(0.01)
                if any(log.since(0)) or not logged:
                    return

    asyncio.run(until_the_end())
    assert all("longer than 0.5 seconds" in entry["reason"] for entry in log.since(0))


def test_the_sandbox_stops_while_connections_wait_in_each_stage(
    application: tuple[Identity, RSAPrivateKey], authority: Authority
) -> None:
    sandbox = Sandbox(application[0], Options(seed=1), clock=SystemClock())
    with running(sandbox, intercept=authority) as url:
        made = Intercepted(Client(sandbox, url, application[1]), authority)
        silent, handshaking = made.connect(), made.tunnel()
        idle = made.trust.wrap_socket(made.tunnel(), server_hostname=HOST)

    assert [entry for entry in sandbox.log.since(0) if entry["kind"] == "proxy"] == []
    for sock in (silent, handshaking, idle):
        with sock:
            assert _end_of(sock) == b""


def _end_of(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1)
    except ConnectionResetError:
        return b""
