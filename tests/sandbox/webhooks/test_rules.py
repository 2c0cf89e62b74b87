"""Second attempts, time-outs and the use of the fallback, for each kind of webhook."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import BUSY, HELLO, PERSON, ROOM, Client
from tests.support.servers import Drip, reply
from tests.support.waiting import FOR_EVER, eventually
from voicectl.sandbox.destinations import Destinations

from .receiver import HANG_UP, NEVER, OK, Receiver, ncco, set_up, webhooks

BAD = ncco({"action": "tlak"})
CLOSED, TIMED_OUT = "Connection closed.", "Read timed out."
HTML = reply(200, [HELLO], content_type="text/html; charset=utf-8")
HELP = ncco(HELLO | {"text": "Fallback"})


def hook(url: str) -> dict[str, object]:
    """Return a webhook with a short time-out."""
    return {"address": url, "connect_timeout": 1000, "socket_timeout": 1000}


def patient(url: str) -> dict[str, object]:
    """Return a webhook with an endless time-out."""
    return {"address": url, "connect_timeout": FOR_EVER * 1000, "socket_timeout": FOR_EVER * 1000}


def attempts(client: Client, event: str) -> list[object]:
    """Return the results of the only webhook of a kind, one for each attempt; ``fallback`` precedes its own."""
    (entry,) = webhooks(client, event)
    shown: list[object] = []
    for attempt in entry["attempts"]:
        if "url" in attempt and "fallback" not in shown:
            shown.append("fallback")
        shown.append(attempt.get("status", attempt.get("reason")))
    return shown


def texts(client: Client, uuid: str) -> list[str]:
    return [heard["text"] for heard in client.hear(uuid)]


class TestAnswerUrl:
    @pytest.mark.parametrize(
        ("kinds", "tried", "says"),
        [
            # a temporary failure: one more attempt
            ([HANG_UP, ncco(HELLO)], [CLOSED, 200], "Hello"),
            ([NEVER, ncco(HELLO)], [TIMED_OUT, 200], "Hello"),
            ([reply(429), ncco(HELLO)], [429, 200], "Hello"),
            ([reply(503), ncco(HELLO)], [503, 200], "Hello"),
            ([reply(504), ncco(HELLO)], [504, 200], "Hello"),
            # and not a third
            ([HANG_UP], [CLOSED, CLOSED, "fallback", 200], "Fallback"),
            ([reply(503)], [503, 503, "fallback", 200], "Fallback"),
            ([NEVER], [TIMED_OUT, TIMED_OUT, "fallback", 200], "Fallback"),
            # a permanent failure
            ([reply(404)], [404, "fallback", 200], "Fallback"),
            ([reply(500)], [500, "fallback", 200], "Fallback"),
            ([reply(302, location="/")], [302, "fallback", 200], "Fallback"),
            ([reply(206, b"[]")], [206, "fallback", 200], "Fallback"),
            ([BAD], [200, "fallback", 200], "Fallback"),
            ([HTML], [200, "fallback", 200], "Fallback"),
            # no failure
            ([ncco(HELLO)], [200], "Hello"),
            ([reply(203, b'[{"action": "talk", "text": "Hello"}]')], [203], "Hello"),
        ],
    )
    def test_attempts_for_each_reply(self, client: Client, receiver: Receiver, kinds, tried, says):
        url = receiver.on("/answer", *kinds)
        set_up(client, answer=hook(url), fallback=hook(receiver.on("/fallback", HELP)))
        uuid = client.call(answer_url=[url])

        client.advance(3)

        assert attempts(client, "answer") == tried
        assert texts(client, uuid) == [says]

    @pytest.mark.parametrize(
        ("kinds", "tried"),
        [
            ([reply(503)], [500, "fallback", 503, 503]),
            ([reply(503), HELP], [500, "fallback", 503, 200]),
            ([reply(500)], [500, "fallback", 500]),
            ([BAD], [500, "fallback", 200]),
            ([HTML], [500, "fallback", 200]),
        ],
    )
    def test_the_fallback_follows_the_same_rules_and_then_the_call_ends(
        self, client: Client, receiver: Receiver, kinds, tried
    ):
        set_up(client, fallback=hook(receiver.on("/fallback", *kinds)))
        uuid = client.call(answer_url=[receiver.on("/answer", reply(500))])

        client.advance(20)

        assert attempts(client, "answer") == tried
        assert texts(client, uuid) == (["Fallback"] if HELP in kinds else [])
        assert client.status(uuid) == "completed"

    def test_without_a_fallback_the_call_ends(self, client: Client, receiver: Receiver):
        uuid = client.call(answer_url=[receiver.on("/answer", reply(503))])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert len(receiver.requests) == 2

    def test_the_fallback_gets_the_original_request_and_its_error(self, client: Client, receiver: Receiver):
        url = receiver.on("/answer", HANG_UP)
        set_up(client, fallback=receiver.on("/fallback", HELP))
        client.call(answer_url=[url])

        client.advance(3)

        (asked,) = receiver.at("/fallback")
        before = receiver.at("/answer")[0].query
        assert asked.method == "GET"
        assert asked.query == before | {
            "reason": "Connection closed.",
            "original_request": f'{{"url":"{url}","type":"answer"}}',
        }

    def test_a_closed_port_counts_as_a_failure(self, client: Client):
        uuid = client.call(answer_url=["http://127.0.0.1:1/"])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert attempts(client, "answer") == ["Connection refused.", "Connection refused."]

    def test_an_unknown_host_name_counts_as_a_failure(self, start: Start):
        client = start(destinations=Destinations(allowed=frozenset({"1.2.3.4.5"})))
        client.call(answer_url=["http://1.2.3.4.5/"])

        client.advance(3)

        assert attempts(client, "answer") == ["The name cannot be resolved."] * 2

    def test_the_fallback_is_requested_whatever_is_wrong_with_an_ncco(
        self, client: Client, receiver: Receiver
    ):
        set_up(client, fallback=receiver.on("/fallback", HELP))
        client.call(answer_url=[receiver.on("/answer", ncco(*[5] * 5000))])

        client.advance(3)

        (asked,) = receiver.at("/fallback")
        assert 400 < len(asked.query["reason"]) < 600

    def test_a_slowly_dripping_reply_gets_no_extra_time(self, client: Client, receiver: Receiver):
        url = receiver.on("/answer", Drip(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 5000, pause=0.02))
        set_up(client, answer=hook(url) | {"connect_timeout": 1900, "socket_timeout": 100})
        uuid = client.call(answer_url=[url])

        client.advance(3)

        assert attempts(client, "answer") == [TIMED_OUT, TIMED_OUT]
        assert client.status(uuid) == "completed"


class TestEventsThatMayBringAnNcco:
    @pytest.mark.parametrize(
        ("kinds", "tried", "says"),
        [
            ([HANG_UP, OK], [CLOSED, 200], "Hello"),
            ([reply(503), OK], [503, 200], "Hello"),
            ([reply(503)], [503, 503, "fallback", 200], "Fallback"),
            ([NEVER], [TIMED_OUT, TIMED_OUT, "fallback", 200], "Fallback"),
            ([reply(500)], [500], "Hello"),
            ([reply(404)], [404], "Hello"),
            ([BAD], [200], "Hello"),
            ([HTML], [200], "Hello"),
            ([OK], [200], "Hello"),
        ],
    )
    def test_attempts_for_each_reply(self, client: Client, receiver: Receiver, kinds, tried, says):
        set_up(client, event=hook(receiver.url + "/event"), fallback=receiver.on("/fallback", HELP))
        url = receiver.on("/notify", *kinds)
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert attempts(client, "notify") == tried
        assert texts(client, uuid) == [says]

    def test_a_failed_fallback_lets_the_call_continue(self, client: Client, receiver: Receiver):
        set_up(client, fallback=receiver.on("/fallback", reply(503)))
        url = receiver.on("/notify", HANG_UP)
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert attempts(client, "notify") == [CLOSED, CLOSED, "fallback", 503, 503]
        assert texts(client, uuid) == ["Hello"]

    def test_the_fallback_is_sent_the_type_event(self, client: Client, receiver: Receiver):
        set_up(client, fallback={"address": receiver.on("/fallback", OK), "http_method": "POST"})
        url = receiver.on("/notify", HANG_UP)
        client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        fields = receiver.at("/fallback")[0].fields
        assert fields["payload"] == {"n": 1}
        assert fields["reason"] == "Connection closed."
        assert fields["original_request"] == {"url": url, "type": "event"}


class TestPlainEvents:
    @pytest.mark.parametrize(
        ("kinds", "tried", "outcome"),
        [
            ([OK], [200], "delivered"),
            ([reply(204)], [204], "delivered"),
            ([NEVER, OK], [TIMED_OUT, 200], "delivered"),
            ([NEVER], [TIMED_OUT, TIMED_OUT], "failed: Read timed out."),
            ([HANG_UP], [CLOSED], "failed: Connection closed."),
            ([reply(503)], [503], "failed: answered with status 503"),
            ([reply(500)], [500], "failed: answered with status 500"),
            ([reply(301, location="/")], [301], "failed: answered with status 301"),
            ([ncco(HELLO)], [200], "delivered"),
            ([reply(200, b"x" * 10_000_000)], [200], "delivered"),
        ],
    )
    def test_only_a_timed_out_event_is_sent_again(
        self, client: Client, receiver: Receiver, kinds, tried, outcome
    ):
        set_up(client, event=hook(receiver.on("/event", *kinds)), fallback=receiver.url)
        client.call()

        assert attempts(client, "status") == tried
        assert webhooks(client)[0]["outcome"] == outcome
        assert receiver.at("/") == []

    def test_an_event_whose_receiver_accepts_no_connection_is_sent_again(self, client: Client):
        with full() as url:
            set_up(client, event=hook(url) | {"connect_timeout": 100})
            client.call()

            assert attempts(client, "status") == ["Connection timed out.", "Connection timed out."]


class TestDeadReceiver:
    def test_it_does_not_block_events_to_others(self, client: Client, receiver: Receiver):
        with full() as dead:
            set_up(client, event=patient(receiver.url + "/event"))
            for _ in range(20):
                client.call(PERSON, HELLO, event_url=[dead])
                client.call(PERSON, HELLO)

            client.advance(10)
            eventually(lambda: len(receiver.requests) == 80)

            assert sorted(receiver.statuses()) == sorted(["started", "ringing", "answered", "completed"] * 20)

    def test_it_does_not_block_the_exchange(self, client: Client):
        with full() as dead:
            set_up(client, event=patient(dead))

            uuids = [client.call(PERSON, HELLO) for _ in range(10)]
            client.advance(10)

            assert {client.status(uuid) for uuid in uuids} == {"completed"}

    def test_it_delays_an_answer_from_the_same_receiver_only_for_a_moment(
        self, client: Client, receiver: Receiver
    ):
        set_up(client, event=patient(receiver.on("/event", NEVER)))
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(ROOM))])

        client.advance(3)

        assert client.status(uuid) == "answered"

    def test_waiting_events_are_dropped_by_a_reset(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.on("/event", NEVER))
        client.call(BUSY, HELLO)
        client.advance(3)

        client.control("reset")

        assert client.log() == []
        receiver.on("/event", OK)
        client.call(PERSON)
        assert [entry["outcome"] for entry in webhooks(client)] == ["delivered"]


@contextlib.contextmanager
def full() -> Iterator[str]:
    """The URL of a server with a full queue that accepts no connection."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
