"""The wire: the hosts that a token may reach, and the time limits of requests."""

from __future__ import annotations

import asyncio
import base64
import http.client
import math
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Room
from tests.support.servers import (
    LEG,
    Canned,
    Drip,
    Eavesdropper,
    Listener,
    Request,
    page,
    read_request,
    reply,
)
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.api.connection import Connection, Proxy, connect, proxy_for, tls_context
from voicectl.core.identity.policy import Policy
from voicectl.errors import NoAnswer, NotSent

REAL_ID = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
RECORD = reply(body={"uuid": LEG, "status": "answered"})
READ = f"call show {LEG}"
CREATE = f"call create --to {PERSON} --talk Hello"
COMMANDS = [READ, CREATE, f"dtmf {LEG} 12", f"mute {LEG}", f"hangup {LEG}"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def masked(command: str) -> str:
    return command.replace(LEG, "LEG")


# Redirects


@pytest.fixture
def elsewhere() -> Iterator[Canned]:
    """The target of a redirect, which no request may reach."""
    with Canned(RECORD) as server:
        yield server


LOCATIONS = [
    "http://127.0.0.1:{port}/v1/calls",
    "https://127.0.0.1:{port}/v1/calls",
    "//127.0.0.1:{port}/v1/calls",
    "http://api.nexmo.com@127.0.0.1:{port}/",
    "/v1/calls",
    "",
]


REDIRECTS = [
    (status, location, COMMANDS[index % len(COMMANDS)])
    for index, (location, status) in enumerate(product(LOCATIONS, (301, 302, 303, 307, 308, 300)))
]


@pytest.mark.parametrize(("status", "location", "command"), REDIRECTS)
def test_a_redirect_is_never_followed(
    tmp_path: Path, application: Application, elsewhere: Canned, status: int, location: str, command: str
) -> None:
    with Canned(reply(status, location=location.format(port=elsewhere.port))) as server:
        room = machine(tmp_path, application, server.url)
        ran = room(command + " -o json")

        assert (ran.exit_code, ran.stdout) == (7, "")
        assert f"redirect ({status})" in ran.error["message"]
        assert len(server.requests) == 1
        assert elsewhere.connections == 0
        assert room("call reconcile -o json").json == []


# Other settings of the machine that could redirect a request


def test_netrc_is_never_used(tmp_path: Path, application: Application) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password secret\ndefault login m password s\n")
    netrc.chmod(0o600)
    with Canned(RECORD) as server:
        ran = machine(tmp_path, application, server.url)(READ, env={"NETRC": str(netrc)})

    assert ran.exit_code == 0
    (request,) = server.requests
    assert request.headers["authorization"].startswith("Bearer ")


class ConnectProxy(Listener):
    """An HTTP proxy that opens all tunnels to one loopback port, or refuses them.

    Attributes:
        heads: The requests for tunnels.
        overheard: The bytes that went through the tunnel to the server.
    """

    def __init__(self, port: int = 0, *, refusal: bytes = b"") -> None:
        super().__init__()
        self._port = port
        self._refusal = refusal
        self.heads: list[str] = []
        self.overheard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if request is None:
            return
        self.heads.append(request.raw.decode("latin-1"))
        if self._refusal or not self._port:
            writer.write(self._refusal)
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self.adopt(to_server)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")

        async def back() -> None:
            while part := await from_server.read(65_536):
                writer.write(part)

        task = asyncio.create_task(back())
        while part := await reader.read(65_536):
            self.overheard += part
            to_server.write(part)
        task.cancel()
        to_server.close()


@pytest.fixture
def platform(authority: Authority) -> Iterator[Canned]:
    """A server with the platform's host name."""
    with Canned(RECORD, tls=authority.context("api.nexmo.com")) as server:
        yield server


def behind(proxy: Listener, user: str = "") -> dict[str, str]:
    return {"HTTPS_PROXY": f"http://{user}127.0.0.1:{proxy.port}"}


@pytest.fixture
def off_loopback(tmp_path: Path, application: Application, authority: Authority) -> Room:
    """A machine whose profile is of the platform itself."""
    return machine(
        tmp_path,
        application,
        "https://api.nexmo.com",
        application_id=REAL_ID,
        ca_file=str(authority.ca_file),
    )


def test_a_proxy_is_asked_for_a_tunnel_and_sees_nothing_inside_it(
    off_loopback: Room, platform: Canned
) -> None:
    with ConnectProxy(platform.port) as proxy:
        ran = off_loopback(READ, env=behind(proxy, "ann:hunter2%21@"))

    assert ran.exit_code == 0, ran.stderr
    pair = base64.b64encode(b"ann:hunter2!").decode()
    assert proxy.heads == [
        "CONNECT api.nexmo.com:443 HTTP/1.1\r\nHost: api.nexmo.com:443\r\n"
        f"Proxy-Authorization: Basic {pair}\r\n\r\n"
    ]
    assert b"Bearer" not in proxy.overheard
    assert LEG.encode() not in proxy.overheard
    (request,) = platform.requests
    assert request.headers["authorization"].startswith("Bearer ")
    assert request.headers["host"] == "api.nexmo.com"
    assert not {"proxy-authorization", "proxy-connection"} & set(request.headers)


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\n\r\n<html>",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 \r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}",
        b"",
    ],
    ids=lambda refusal: refusal[:13],
)
@pytest.mark.parametrize("command", [READ, CREATE], ids=masked)
def test_a_proxy_that_refuses_is_reported_without_its_password_and_nothing_was_sent(
    off_loopback: Room, refusal: bytes, command: str
) -> None:
    with ConnectProxy(refusal=refusal) as proxy:
        ran = off_loopback(f"{command} --debug -o json", env=behind(proxy, "ann:hunter2%21@"))

    assert (ran.exit_code, ran.stdout) == (7, "")
    assert ran.error["code"] == "transport"
    assert "hunter2" not in ran.stderr
    assert base64.b64encode(b"ann:hunter2!").decode() not in ran.stderr
    assert not any("Bearer" in head for head in proxy.heads)
    assert off_loopback("call reconcile -o json").json == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "refused the connection (407)"),
        (b"HTTP/1.1 301 Moved\r\n\r\n", "refused the connection (301)"),
        (b"SSH-2.0-x\r\n\r\n", "refused the connection (no status)"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, "gave no response"),
        (b"HTTP/1.1 200 OK\r\n", "gave no response"),
        (b"", "gave no response"),
    ],
    ids=lambda text: str(text)[:20],
)
def test_the_answer_of_a_proxy_is_named(off_loopback: Room, refusal: bytes, said: str) -> None:
    with ConnectProxy(refusal=refusal) as proxy:
        ran = off_loopback(f"{READ} -o json", env=behind(proxy))

    assert f"the proxy 127.0.0.1:{proxy.port} {said}." in ran.error["message"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, Proxy("proxy.example", 3128, None)),
        ({"https_proxy": "http://proxy.example"}, Proxy("proxy.example", 80, None)),
        ({"HTTPS_PROXY": "proxy.example:3128"}, Proxy("proxy.example", 3128, None)),
        ({"HTTPS_PROXY": "http://[::1]:1", "https_proxy": "http://x"}, Proxy("::1", 1, None)),
        ({"HTTPS_PROXY": "http://a%40b@h:1"}, Proxy("h", 1, "Basic YUBiOg==")),
        ({"HTTPS_PROXY": "http://:%3a@h:1"}, Proxy("h", 1, "Basic Ojo=")),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://h:1"}, None),
        ({"HTTPS_PROXY": "http://h:1", "NO_PROXY": "example.org"}, None),
        ({"HTTPS_PROXY": "http://h:1", "no_proxy": "api.example.org"}, None),
        ({"HTTPS_PROXY": "http://h:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://h:1", "NO_PROXY": "api.example.org.uk"}, Proxy("h", 1, None)),
    ],
)
def test_the_environment_names_the_proxy(environ: dict[str, str], expected: Proxy | None) -> None:
    assert proxy_for("api.example.org", environ) == expected


def test_a_proxy_that_intercepts_tls_is_refused(
    tmp_path: Path, application: Application, platform: Canned
) -> None:
    """It has its own certificate for every host, which only --ca-file would make trusted."""
    room = machine(tmp_path, application, "https://api.nexmo.com", application_id=REAL_ID)
    with ConnectProxy(platform.port) as proxy:
        ran = room(CREATE, env=behind(proxy))

    assert (ran.exit_code, ran.stdout) == (7, "")
    assert platform.requests == []


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:9", "http://[", "http://:80", "http://h:port", "ftp://h"]
)
def test_an_invalid_proxy_is_named_without_its_value(off_loopback: Room, value: str) -> None:
    ran = off_loopback(READ, env={"HTTPS_PROXY": value})

    assert ran.exit_code == 3
    assert "HTTPS_PROXY" in ran.stderr
    assert value not in ran.stderr


def test_no_proxy_names_hosts_that_are_connected_directly(tmp_path: Path, application: Application) -> None:
    room = machine(
        tmp_path,
        application,
        "https://voice.invalid",
        application_id=REAL_ID,
        policy=Policy(hosts=("voice.invalid",)),
    )
    with ConnectProxy(refusal=b"HTTP/1.1 403 No\r\n\r\n") as proxy:
        through = room(READ, env=behind(proxy))
        asked = proxy.connections
        past = room(f"{READ} --request-timeout 0.3", env=behind(proxy) | {"NO_PROXY": "x.org,.invalid"})

    assert (through.exit_code, past.exit_code) == (7, 7)
    assert asked == 3
    assert proxy.connections == asked
    assert "voice.invalid could not be looked up" in past.stderr


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_loopback_is_always_connected_directly(
    tmp_path: Path, application: Application, authority: Authority, variable: str
) -> None:
    with ConnectProxy() as proxy:
        environ = {variable: f"http://127.0.0.1:{proxy.port}"}
        for tls in (None, authority.context()):
            with Canned(RECORD, tls=tls) as server:
                room = machine(
                    tmp_path / str(tls is None), application, server.url, ca_file=str(authority.ca_file)
                )
                assert room(READ, env=environ).exit_code == 0
        assert proxy.connections == 0


# TLS


def old_tls(authority: Authority) -> ssl.SSLContext:
    context = authority.context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


BAD_SERVERS = {
    "expired": (lambda ca: ca.context(days=-1), "expired"),
    "another host's": (lambda ca: ca.context("api.nexmo.com"), "127.0.0.1"),
    "self-signed": (lambda ca: ca.context(self_signed=True), "self-signed"),
    "of an old TLS": (old_tls, ""),
}


@pytest.mark.parametrize("command", COMMANDS, ids=masked)
@pytest.mark.parametrize("kind", BAD_SERVERS)
def test_a_server_without_a_valid_certificate_receives_no_byte_of_a_request(
    tmp_path: Path, application: Application, authority: Authority, kind: str, command: str
) -> None:
    make, why = BAD_SERVERS[kind]
    with Eavesdropper(tls=make(authority)) as server:
        room = machine(tmp_path, application, server.url, ca_file=str(authority.ca_file))
        ran = room(command + " -o json")

        assert server.read == b""
        assert (ran.exit_code, ran.stdout) == (7, "")
        assert "no secure connection" in ran.error["message"]
        assert why in ran.error["message"]
        assert room("call reconcile -o json").json == []


@pytest.mark.parametrize("command", COMMANDS, ids=masked)
def test_a_server_without_tls_receives_no_byte_of_a_request(
    tmp_path: Path, application: Application, command: str
) -> None:
    with Eavesdropper() as listener:
        room = machine(tmp_path, application, listener.url.replace("http:", "https:"))
        ran = room(command)

    assert (ran.exit_code, ran.stdout) == (7, "")
    assert listener.read
    for text in (b"HTTP/1", b"Bearer", b"/v1/calls", LEG.encode()):
        assert text not in listener.read


def test_an_unknown_authority_is_trusted_only_if_it_is_named(
    tmp_path: Path, application: Application, authority: Authority
) -> None:
    with Canned(RECORD, tls=authority.context()) as server:
        room = machine(tmp_path, application, server.url)

        assert room(READ).exit_code == 7
        assert server.requests == []
        assert room(f"{READ} --ca-file {authority.ca_file}").exit_code == 0
        assert room(READ, env={"SSL_CERT_FILE": str(authority.ca_file)}).exit_code == 0


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_ca_file_without_certificates_is_a_configuration_error(
    tmp_path: Path, application: Application, authority: Authority, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with Canned(RECORD, tls=authority.context()) as server:
        ran = machine(tmp_path / "home", application, server.url)(f"{CREATE} --ca-file {path} -o json")

    assert ran.exit_code == 3
    assert str(path) in ran.error["message"]
    assert server.requests == []


def authorities(context: ssl.SSLContext) -> int:
    return len(context.get_ca_certs())


def test_without_certificates_of_the_system_those_of_a_package_are_trusted(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    for content, expected in ((b"", range(50, 1000)), (authority.ca_file.read_bytes(), range(1, 2))):
        path = tmp_path / "system.pem"
        path.write_bytes(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert authorities(tls_context(None, {"SSL_CERT_DIR": str(tmp_path)})) in expected


def test_a_directory_of_hashed_certificates_is_read_on_demand(
    tmp_path: Path, application: Application, authority: Authority
) -> None:
    (tmp_path / authority.hashed_name).write_bytes(authority.ca_file.read_bytes())
    context = tls_context(None, {"SSL_CERT_DIR": str(tmp_path)})
    assert authorities(context) == 0
    with Canned(RECORD, tls=authority.context()) as server:
        room = machine(tmp_path / "home", application, server.url)
        assert room(READ, env={"SSL_CERT_DIR": str(tmp_path)}).exit_code == 0


@pytest.mark.parametrize("option", ["--insecure", "-k", "--no-verify"])
def test_there_is_no_option_to_disable_verification(bare: Room, option: str) -> None:
    assert bare(f"call list {option}").exit_code == 2


# Time


@pytest.mark.parametrize(("seconds", "exit_code", "tries"), [(2 * PATIENCE_SECONDS, 7, 3), (0, 0, 1)])
def test_a_request_ends_at_its_deadline_however_slowly_the_reply_arrives(
    tmp_path: Path,
    application: Application,
    pass_by: Callable[[float], None],
    seconds: float,
    exit_code: int,
    tries: int,
) -> None:
    """It drips less often than the deadline allows, while *seconds* pass from the first byte on."""

    def answer(_: Request) -> Drip:
        pass_by(seconds)
        return Drip(RECORD, pause=0.02, step=64)

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"{READ} --request-timeout {PATIENCE_SECONDS}")

    assert ran.exit_code == exit_code
    assert len(server.requests) == tries


def test_a_create_ends_at_its_deadline_too(
    tmp_path: Path, application: Application, pass_by: Callable[[float], None]
) -> None:
    def answer(request: Request) -> bytes | Drip:
        if request.method != "POST":
            return reply(body=page())
        pass_by(2 * PATIENCE_SECONDS)
        return Drip(reply(201, {"uuid": LEG}), pause=0.02)

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"{CREATE} --request-timeout {PATIENCE_SECONDS}")

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert "timed out" in ran.stderr
    assert [request.method for request in server.requests].count("POST") == 1


@pytest.mark.parametrize("command", [READ, CREATE], ids=masked)
def test_a_stalled_handshake_ends_at_the_deadline_and_nothing_was_sent(
    tmp_path: Path, application: Application, command: str
) -> None:
    class Mute(Listener):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            await asyncio.sleep(FOR_EVER)

    with Mute() as server:
        room = machine(tmp_path, application, server.url.replace("http:", "https:"))
        ran = ending(lambda: room(f"{command} --request-timeout 0.1"))
        eventually(lambda: server.connections == 3)

    assert ran.exit_code == 7


def test_a_name_that_is_not_resolved_in_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver itself has no time limit."""
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(PATIENCE_SECONDS) and [])
    try:
        with pytest.raises(NotSent, match=r"the name voice\.invalid could not be looked up in time"):
            connect("voice.invalid", 443, time.monotonic() + 0.01)
    finally:
        done.set()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([], "no connection to voice.invalid:443: the name resolves to no address"),
        (OSError(socket.EAI_NONAME, "Name or service not known"), "looked up: name or service not known"),
        (UnicodeError("label too long"), "looked up: not a host name"),
    ],
    ids=["no address", "no name", "no host name"],
)
def test_a_name_without_an_address_is_reported(
    monkeypatch: pytest.MonkeyPatch, answer: object, why: str
) -> None:
    def look_up(*_: object, **__: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(NotSent, match=why):
        connect("voice.invalid", 443, time.monotonic() + PATIENCE_SECONDS)


def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener() as closed:
        pass
    with Eavesdropper() as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each.port)) for each in (closed, server)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        connect("voice.invalid", 443, time.monotonic() + PATIENCE_SECONDS).close()
        eventually(lambda: server.connections == 1)


@pytest.mark.parametrize("is_public", [True, False])
def test_one_private_address_among_several_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch, is_public: bool
) -> None:
    """Otherwise, a name could lead a request to this network."""
    hosts = ["192.88.98.1", "8.8.8.8" if is_public else "10.0.0.1"]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 443)) for host in hosts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: None)
    if is_public:
        connect("x.org", 443, time.monotonic() + PATIENCE_SECONDS, is_public_only=True).close()
        return
    with pytest.raises(NotSent, match=r"x\.org is not on the public internet"):
        connect("x.org", 443, time.monotonic() + PATIENCE_SECONDS, is_public_only=True)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (TimeoutError(), "timed out"),
        (http.client.RemoteDisconnected(""), "the connection was closed without a response"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "the connection was closed without a response",
        ),
        (BrokenPipeError(32, "Broken pipe"), "the connection was closed without a response"),
        (http.client.IncompleteRead(b"secret"), "the response was cut short"),
        (http.client.BadStatusLine("secret"), "the response is not valid HTTP"),
        (ValueError("secret"), "the response is not valid HTTP"),
        (OSError(101, "Network is unreachable"), "network is unreachable"),
        (OSError("secret"), "OSError"),
        (ConnectionRefusedError(), "ConnectionRefusedError"),
    ],
)
def test_a_failure_of_the_connection_is_described_without_its_content(
    failure: Exception, reason: str
) -> None:
    with socket.socket() as unused:
        connection = Connection(unused, math.inf)
        with (
            pytest.raises(NotSent, match=f"^the request could not be sent: {reason}$"),
            connection.failures(),
        ):
            raise failure
        connection.has_sent = True
        with pytest.raises(NoAnswer, match=f"^{reason}$"), connection.failures():
            raise failure


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "601", "x"])
def test_a_deadline_is_a_sensible_number(tmp_path: Path, application: Application, seconds: str) -> None:
    room = machine(tmp_path, application, "http://127.0.0.1:9")

    assert room(f"call list --request-timeout {seconds}").exit_code == 2
