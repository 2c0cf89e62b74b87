"""Downloads on the wire: their time limits, their ends, and the addresses that count as the open internet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.clock import FakeClock
from tests.support.machines import Application
from tests.support.recordings import FILE_ID, SOUND, file_api, ranged
from tests.support.servers import Canned, Drip, Eavesdropper, Request, reply
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS
from voicectl.api.replies import Incoming
from voicectl.api.wire import Wire
from voicectl.errors import NoAnswer, NotSent, RateLimitedError
from voicectl.loopback import is_public

PATH = f"/v1/files/{FILE_ID}"
LIMITS = {"headers": {}, "timeout": PATIENCE_SECONDS, "silence": PATIENCE_SECONDS, "within": PATIENCE_SECONDS}


def whole(answer: Incoming) -> bytes:
    return b"".join(answer.parts())


def test_a_body_arrives_in_parts_and_the_connection_closes_with_it() -> None:
    with Canned(ranged(SOUND * 100)) as server:
        with Wire(server.url, environ={}).download(PATH, **LIMITS) as answer:
            parts = list(answer.parts())

        assert (answer.status, answer.length) == (200, len(SOUND) * 100)
        assert len(parts) > 10
        assert b"".join(parts) == SOUND * 100
        assert server.requests[0].headers["connection"] == "close"
        assert server.requests[0].headers["accept-encoding"] == "identity"


def got(url: str, **limits: float) -> bytes:
    """Return the body of the file."""
    with Wire(url, environ={}).download(PATH, **LIMITS | limits) as answer:
        return whole(answer)


@pytest.mark.parametrize("cut", [1, 9, 30, 60, 61, 70, 80])
def test_a_truncated_body_is_an_error(cut: int) -> None:
    content = reply(200, b"0123456789", content_type="audio/mpeg")
    with Canned(content[: len(content) - cut], keeps=False) as server, pytest.raises(NoAnswer):
        got(server.url)


def test_the_header_uses_the_request_timeout_and_the_body_has_its_own(
    pass_by: Callable[[float], None],
) -> None:
    head, _, body = reply(200, b"0123456789" * 3).partition(b"\r\n\r\n")
    with Canned(head + b"\r\n\r\n" + body, keeps=False) as server:
        limits = LIMITS | {"silence": FOR_EVER, "within": FOR_EVER}
        with Wire(server.url, environ={}).download(PATH, **limits) as answer:
            pass_by(2 * PATIENCE_SECONDS)
            assert whole(answer) == body
    with Canned(Drip(head, pause=0.05, step=10)) as server, pytest.raises(NoAnswer, match="timed out"):
        got(server.url, timeout=0.15)


def test_an_error_of_the_caller_is_not_taken_for_a_network_error() -> None:
    with (
        Canned(ranged()) as server,
        pytest.raises(OSError, match="disk"),
        Wire(server.url, environ={}).download(PATH, **LIMITS),
    ):
        raise OSError(28, "disk")


def test_the_clock_of_the_api_is_learnt_before_a_long_body(application: Application) -> None:
    clock = FakeClock()
    learnt: list[float] = []
    answer = reply(200, SOUND, content_type="audio/mpeg", date="Mon, 02 Feb 2026 02:40:00 GMT")

    def take(incoming: Incoming) -> bytes:
        clock.sleep(600)
        return whole(incoming)

    with Canned(answer) as server:
        files = file_api(application, clock, on_clock_offset=learnt.append)
        assert files.get(server.url, PATH, take, headers=dict) == SOUND
        assert files.get(server.url, PATH, take, headers=dict) == SOUND

    assert learnt == [-600.0]  # of the second one, whose header equals that of the first


def test_a_rate_limit_is_waited_out(application: Application) -> None:
    clock = FakeClock()
    with Canned(reply(429, b"", retry_after="7"), ranged()) as server:
        assert file_api(application, clock).get(server.url, PATH, whole, headers=dict) == SOUND
        assert clock.slept == [7]
    with Canned(reply(429, b"", retry_after="700")) as server, pytest.raises(RateLimitedError):
        file_api(application, clock).get(server.url, PATH, whole, headers=dict)


def test_each_attempt_sends_its_own_request(application: Application) -> None:
    asked = iter(range(9))
    content = ranged()(Request(b"GET / HTTP/1.1\r\n\r\n"))
    with Canned(reply(503, b""), content[:5000], content, keeps=False) as server:
        found = file_api(application, FakeClock()).get(
            server.url, PATH, whole, headers=lambda: {"X-Try": str(next(asked))}
        )

    assert found == SOUND
    assert [each.headers["x-try"] for each in server.requests] == ["0", "1", "2"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f000001", "127.1"])
def test_a_name_that_resolves_to_this_machine_is_not_on_the_open_internet(host: str) -> None:
    with Eavesdropper() as listener:
        wire = Wire(f"http://{host}:{listener.port}", environ={}, is_public_only=True)
        with (
            pytest.raises(NotSent, match=r"not on the public internet|could not be looked up"),
            wire.download(PATH, **LIMITS),
        ):
            pass

        assert listener.connections == 0


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("240.0.0.1", False),
        ("192.0.2.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("8.8.8.8.", False),
        ("8.8.8", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_addresses_of_the_open_internet(address: str, public: bool) -> None:
    assert is_public(address) is public
