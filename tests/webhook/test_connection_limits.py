"""W6, W7: requests that are too long, too slow, too many or ambiguous, in bytes over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from voicectl.webhook.connection_limits import LIMITS, Limits

from .serving import Client, Held, Serving, request, serving, signed_request
from .signing import bearer, event

SMALL = Limits(connections=6, per_address=3, linger_seconds=5)
HEAD = b"POST /webhooks/event HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as found:
        yield found


def ended(client: Client) -> bool:
    """Return True if the connection ends, after any reply."""
    with suppress(ConnectionResetError):
        while client.sock.recv(65_536):
            pass
    return True


class TestTooMuch:
    @pytest.mark.parametrize(
        ("content", "status"),
        [
            (HEAD + b"Content-Length: 10000000\r\n\r\n" + b"x" * 1_000_000, 413),
            (HEAD + b"Content-Length: 65537\r\n\r\n", 413),
            (HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
            (HEAD + b"Content-Length: -1\r\n\r\n", 400),
            (HEAD + b"Content-Length: 1_0\r\n\r\n", 400),
            (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
            (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
            (HEAD + b"Content-Length: 2, 2\r\n\r\n{}", 400),
            (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
            (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
            (CHUNKED + b"10000\r\n" + b"x" * 65_536 + b"\r\n1\r\nx\r\n", 413),
            (CHUNKED + b"1;" + b"e" * 700_000, 413),
            (CHUNKED + b"xyz\r\n", 400),
            (CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n", 400),
            (HEAD + b"A: " + b"x" * 16_384 + b"\r\n\r\n", 431),
            (HEAD + b"A: " + b"x" * 1_000_000, 431),
            (b"POST /" + b"x" * 16_384 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
            (HEAD + b"".join(b"A%d: b\r\n" % number for number in range(64)) + b"\r\n", 431),
            (HEAD + b"A: b\r\n" * 100_000, 431),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (b"GET http://127.0.0.1 HTTP/1.1\r\n\r\n", 400),
            (b"POST /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ],
        ids=range(29),
    )
    def test_a_request_over_a_limit_is_refused_and_the_connection_ends(
        self, receiver: Serving, capfd: pytest.CaptureFixture[str], content: bytes, status: int
    ) -> None:
        with receiver.client() as client:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.send(content)

            found = client.reply()

            assert found.status == status, found.body
            assert found.headers["connection"] == "close"
            assert client.is_closed()
        assert receiver.stored() == []
        assert "Traceback" not in capfd.readouterr().err

    def test_a_request_just_within_the_limits_is_accepted(self, receiver: Serving) -> None:
        body = event(more="x" * 65_000)
        body += b" " * (LIMITS.body_bytes - len(body))
        more = [(f"X-{number}", "y") for number in range(LIMITS.headers - 3)]

        assert receiver.ask(signed_request(body, headers=more)).status == 200
        long = HEAD + b"A: " + b"x" * (LIMITS.head_bytes - 200) + b"\r\nContent-Length: 0\r\n\r\n"
        assert receiver.ask(long).status == 503  # unsigned, and read

    def test_a_head_in_pieces_is_not_counted_twice(self, receiver: Serving) -> None:
        content = HEAD + b"A: " + b"x" * 12_000 + b"\r\nContent-Length: 0\r\n\r\n"
        with receiver.client() as client:
            for start in range(0, len(content), 3_000):
                client.send(content[start : start + 3_000])

            assert client.reply().status == 503

    def test_a_chunked_body_is_accepted(self, receiver: Serving) -> None:
        body = event()
        whole = signed_request(body, headers=[("Transfer-Encoding", "chunked")])
        head = whole[: -len(body)]
        with receiver.client() as client:
            client.send(head + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

            assert client.reply().status == 200
            assert client.ask().status == 503  # the connection stays open
        assert [each.arrival.body for each in receiver.stored()] == [body]

    def test_identity_is_not_an_encoding(self, receiver: Serving) -> None:
        assert receiver.ask(signed_request(headers=[("Content-Encoding", "identity")])).status == 200

    def test_a_content_length_that_is_too_short_starts_no_second_request(self, receiver: Serving) -> None:
        hidden = signed_request()
        with receiver.client() as client:
            client.send(HEAD + b"Content-Length: 5\r\n\r\n{}xxx" + b"y" + hidden)

            assert client.reply().status == 503
            assert client.is_closed()
        assert receiver.stored() == []

    def test_pipelined_requests_are_answered_in_order_up_to_a_limit(self, receiver: Serving) -> None:
        with receiver.client() as client:
            client.send(
                signed_request(event(status="started")) + request("GET", "/nowhere") + signed_request()
            )
            assert [client.reply().status for _ in range(3)] == [200, 404, 200]

        with receiver.client() as client:
            with suppress(ConnectionResetError, BrokenPipeError):
                client.send(request("GET", "/nowhere") * 1_000)
            assert ended(client)

    def test_an_upgrade_is_not_performed(self, receiver: Serving) -> None:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "h2c")]
        query = "a=1"
        signed = ("Authorization", bearer(b'{"a":"1"}')[0])
        with receiver.client() as client:
            assert client.ask("GET", f"/webhooks/event?{query}", headers=[signed, *upgrade]).status == 200
            assert client.is_closed()
        with receiver.client() as client:
            assert client.send(signed_request(headers=upgrade)).reply().status == 400  # not half of it

    def test_expect_100_continue_is_answered(self, receiver: Serving) -> None:
        whole = signed_request(headers=[("Expect", "100-continue")])
        head, _, body = whole.partition(b"\r\n\r\n")
        with receiver.client() as client:
            assert client.send(head + b"\r\n\r\n").reply().status == 100
            assert client.send(body).reply().status == 200


class TestTooSlow:
    @pytest.mark.parametrize(
        ("content", "state", "seconds"),
        [
            (b"P", "head", LIMITS.head_seconds),
            (b"\r\n", "head", LIMITS.head_seconds),
            (HEAD, "head", LIMITS.head_seconds),
            (HEAD + b"Content-Length: 9\r\n\r\n{", "body", LIMITS.body_seconds),
            (CHUNKED, "body", LIMITS.body_seconds),
        ],
    )
    def test_an_unfinished_request_times_out(
        self, receiver: Serving, content: bytes, state: str, seconds: float
    ) -> None:
        with receiver.client() as client:
            client.send(content)
            eventually(lambda: receiver.limiter.states() == [state])
            receiver.clock.sleep(seconds + 0.01)

            assert client.reply().status == 408
            assert client.is_closed()

    def test_sending_slowly_gains_no_time(self, receiver: Serving) -> None:
        with receiver.client() as client:
            client.send(HEAD)
            eventually(lambda: receiver.limiter.states() == ["head"])
            receiver.clock.sleep(LIMITS.head_seconds - 1)
            client.send(b"A: b\r\n")
            receiver.clock.sleep(1.01)

            assert client.reply().status == 408

    @pytest.mark.parametrize(
        "before", [b"", request("GET", "/nowhere")], ids=["from the start", "after a request"]
    )
    def test_an_idle_connection_times_out(self, receiver: Serving, before: bytes) -> None:
        with receiver.client() as client:
            if before:
                assert client.send(before).reply().status == 404
            eventually(lambda: receiver.limiter.states() == ["quiet"])
            receiver.clock.sleep(LIMITS.idle_seconds + 0.01)

            assert client.is_closed()

    def test_a_connection_in_use_stays(self, receiver: Serving) -> None:
        with receiver.client() as client:
            for _ in range(5):
                assert client.ask("GET", "/nowhere").status == 404
                eventually(lambda: receiver.limiter.states() == ["quiet"])
                receiver.clock.sleep(LIMITS.idle_seconds - 1)

    @pytest.mark.parametrize("content", [b"", b"P", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"])
    def test_half_closed_connections_end(self, receiver: Serving, content: bytes) -> None:
        with receiver.client() as client:
            client.send(content)
            client.sock.shutdown(socket.SHUT_WR)

            assert ended(client)
        eventually(lambda: receiver.limiter.connections == 0)

    def test_a_request_sent_before_is_still_answered(self, receiver: Serving) -> None:
        with receiver.client() as client:
            client.send(signed_request())
            client.sock.shutdown(socket.SHUT_WR)

            assert client.reply().status == 200
            assert client.is_closed()


def is_here(address: str) -> bool:
    """Return True for 127.0.0.1 only, so that other loopback addresses count as another network."""
    return address == "127.0.0.1"


class TestTooMany:
    def test_the_connection_longest_without_a_request_is_closed(self, tmp_path: Path) -> None:
        with serving(tmp_path, limits=SMALL) as receiver, ExitStack() as stack:
            clients = []
            for number in range(SMALL.connections):
                clients.append(stack.enter_context(receiver.client()).send(HEAD))
                eventually(lambda: receiver.limiter.states().count("head") == number + 1)  # noqa: B023
                receiver.clock.sleep(0.1)

            with receiver.client() as new:
                assert new.send(signed_request()).reply().status == 200

            assert ended(clients[0])
            assert receiver.limiter.states().count("head") == SMALL.connections - 1

    def test_a_connection_with_a_request_is_kept_before_those_without(self, tmp_path: Path) -> None:
        with serving(tmp_path, limits=SMALL) as receiver, ExitStack() as stack:
            steady = stack.enter_context(receiver.client())
            assert steady.ask("GET", "/nowhere").status == 404
            for _ in range(30):
                receiver.clock.sleep(0.01)
                stack.enter_context(receiver.client()).send(HEAD)

            assert steady.send(signed_request()).reply().status == 200
            eventually(lambda: receiver.limiter.connections <= SMALL.connections)

    def test_a_new_connection_is_kept_before_those_with_unfinished_requests(self, tmp_path: Path) -> None:
        with serving(tmp_path, limits=SMALL) as receiver, ExitStack() as stack:
            quiet = stack.enter_context(receiver.client())
            eventually(lambda: receiver.limiter.states() == ["quiet"])
            for _ in range(SMALL.connections * 2):
                receiver.clock.sleep(0.01)
                count = receiver.limiter.connections
                stack.enter_context(receiver.client()).send(HEAD)
                eventually(
                    lambda: receiver.limiter.states().count("head") == min(count, SMALL.connections - 1)  # noqa: B023
                )

            assert quiet.send(signed_request()).reply().status == 200

    def test_a_connection_being_answered_is_never_closed_for_others(self, tmp_path: Path) -> None:
        held = Held()
        with serving(tmp_path, limits=SMALL, open_store=lambda: held) as receiver, ExitStack() as stack:
            busy = [
                stack.enter_context(receiver.client()).send(signed_request())
                for _ in range(SMALL.connections)
            ]
            eventually(lambda: receiver.limiter.states() == ["answering"] * SMALL.connections)

            assert ended(stack.enter_context(receiver.client()))

            held.go()
            assert [client.reply().status for client in busy] == [200] * len(busy)

    def test_an_address_has_a_limited_share(self, tmp_path: Path) -> None:
        with serving(tmp_path, limits=SMALL, is_local=is_here) as receiver, ExitStack() as stack:
            other = stack.enter_context(receiver.client(source="127.0.0.2"))
            for _ in range(SMALL.per_address * 2):
                stack.enter_context(receiver.client(source="127.0.0.3")).send(HEAD)
            eventually(lambda: receiver.limiter.connections == SMALL.per_address + 1)

            assert other.send(signed_request()).reply().status == 200

    @pytest.mark.parametrize(("source", "proxies"), [("127.0.0.1", []), ("127.0.0.3", ["::ffff:127.0.0.3"])])
    def test_a_proxy_has_a_larger_share(self, tmp_path: Path, source: str, proxies: list[str]) -> None:
        with (
            serving(tmp_path, limits=SMALL, proxies=proxies, is_local=is_here) as receiver,
            ExitStack() as stack,
        ):
            for _ in range(SMALL.connections):
                stack.enter_context(receiver.client(source=source)).send(HEAD)

            eventually(lambda: receiver.limiter.connections == SMALL.connections)

    def test_events_are_kept_during_500_slow_connections_which_all_end(self, receiver: Serving) -> None:
        with ExitStack() as stack, receiver.client() as steady:
            steady.ask("GET", "/nowhere")
            drippers = [stack.enter_context(receiver.client()).send(HEAD) for _ in range(500)]
            for number in range(20):
                for dripper in drippers[number::20]:
                    with suppress(OSError):
                        dripper.send(b"A")
                assert steady.send(signed_request(event(timestamp=str(number)))).reply().status == 200
                assert receiver.ask(signed_request(event(timestamp=f"{number} anew"))).status == 200
            assert receiver.limiter.connections <= LIMITS.connections

            receiver.clock.sleep(LIMITS.idle_seconds + 1)

            assert all(map(ended, drippers))
        assert len(receiver.stored()) == 40
