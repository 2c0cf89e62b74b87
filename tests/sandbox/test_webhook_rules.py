"""Which webhook is tried again, for how long each is waited for, and when the fallback is asked."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from .parts import BUSY, HELLO, PERSON, ROOM, Client
from .receiver import OK, Answer, Receiver, hang_up, ncco, raw, set_up, webhooks

BAD = ncco({"action": "tlak"})
CLOSED, TIMED_OUT = "Connection closed.", "Read timed out."
HELP = ncco(HELLO | {"text": "Fallback"})


def hook(url: str) -> dict[str, object]:
    """A webhook that is not waited for long."""
    return {"address": url, "connect_timeout": 300, "socket_timeout": 400}


def attempts(client: Client, event: str) -> list[object]:
    """What came of each attempt of the one webhook of a kind; ``fallback`` stands before those of the fallback."""
    (entry,) = webhooks(client, event)
    shown: list[object] = []
    for attempt in entry["attempts"]:
        if "url" in attempt and "fallback" not in shown:
            shown.append("fallback")
        shown.append(attempt.get("status", attempt.get("reason")))
    return shown


def answers(receiver: Receiver, *kinds: Answer | str) -> list[Answer]:
    return [receiver.never if kind == "never" else kind for kind in kinds]  # type: ignore[misc]


def texts(client: Client, uuid: str) -> list[str]:
    return [heard["text"] for heard in client.hear(uuid)]


class TestAnswerUrl:
    @pytest.mark.parametrize(
        ("kinds", "tried", "says"),
        [
            # trouble that may pass: one more attempt
            ([hang_up, ncco(HELLO)], [CLOSED, 200], "Hello"),
            (["never", ncco(HELLO)], [TIMED_OUT, 200], "Hello"),
            ([raw(429), ncco(HELLO)], [429, 200], "Hello"),
            ([raw(503), ncco(HELLO)], [503, 200], "Hello"),
            ([raw(504), ncco(HELLO)], [504, 200], "Hello"),
            # and not a third
            ([hang_up], [CLOSED, CLOSED, "fallback", 200], "Fallback"),
            ([raw(503)], [503, 503, "fallback", 200], "Fallback"),
            (["never"], [TIMED_OUT, TIMED_OUT, "fallback", 200], "Fallback"),
            # trouble that stays
            ([raw(404)], [404, "fallback", 200], "Fallback"),
            ([raw(500)], [500, "fallback", 200], "Fallback"),
            ([raw(302, Location="/")], [302, "fallback", 200], "Fallback"),
            ([raw(206, b"[]")], [206, "fallback", 200], "Fallback"),
            ([BAD], [200, "fallback", 200], "Fallback"),
            # no trouble
            ([ncco(HELLO)], [200], "Hello"),
            ([raw(203, b'[{"action": "talk", "text": "Hello"}]')], [203], "Hello"),
        ],
    )
    def test_what_is_tried(self, client: Client, receiver: Receiver, kinds, tried, says):
        url = receiver.on("/answer", *answers(receiver, *kinds))
        set_up(client, answer=hook(url), fallback=hook(receiver.on("/fallback", HELP)))
        uuid = client.call(answer_url=[url])

        client.advance(3)

        assert attempts(client, "answer") == tried
        assert texts(client, uuid) == [says]

    @pytest.mark.parametrize(
        ("kinds", "tried"),
        [
            ([raw(503)], [500, "fallback", 503, 503]),
            ([raw(503), HELP], [500, "fallback", 503, 200]),
            ([raw(500)], [500, "fallback", 500]),
            ([BAD], [500, "fallback", 200]),
        ],
    )
    def test_the_fallback_is_tried_by_the_same_rules_and_then_the_call_ends(
        self, client: Client, receiver: Receiver, kinds, tried
    ):
        set_up(client, fallback=hook(receiver.on("/fallback", *kinds)))
        uuid = client.call(answer_url=[receiver.on("/answer", raw(500))])

        client.advance(20)

        assert attempts(client, "answer") == tried
        assert texts(client, uuid) == (["Fallback"] if HELP in kinds else [])
        assert client.status(uuid) == "completed"

    def test_without_a_fallback_the_call_ends(self, client: Client, receiver: Receiver):
        uuid = client.call(answer_url=[receiver.on("/answer", raw(503))])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert len(receiver.asked) == 2

    def test_the_fallback_is_told_what_was_asked_of_whom_and_what_went_wrong(
        self, client: Client, receiver: Receiver
    ):
        url = receiver.on("/answer", hang_up)
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

    def test_nobody_there(self, client: Client):
        uuid = client.call(answer_url=["http://127.0.0.1:1/"])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert attempts(client, "answer") == ["Connection refused.", "Connection refused."]

    def test_a_reply_that_comes_in_drops_is_not_waited_for_longer(self, client: Client, receiver: Receiver):
        def drip(handler) -> None:
            handler.send_response(200)
            handler.end_headers()
            with contextlib.suppress(OSError):
                while not receiver.closing.wait(0.02):
                    handler.wfile.write(b" ")
            handler.close_connection = True

        url = receiver.on("/answer", drip)
        set_up(client, answer=hook(url))
        uuid = client.call(answer_url=[url])

        client.advance(3)

        assert attempts(client, "answer") == [TIMED_OUT, TIMED_OUT]
        assert client.status(uuid) == "completed"


class TestEventsThatMayBringAnNcco:
    @pytest.mark.parametrize(
        ("kinds", "tried", "says"),
        [
            ([hang_up, OK], [CLOSED, 200], "Hello"),
            ([raw(503), OK], [503, 200], "Hello"),
            ([raw(503)], [503, 503, "fallback", 200], "Fallback"),
            (["never"], [TIMED_OUT, TIMED_OUT, "fallback", 200], "Fallback"),
            ([raw(500)], [500], "Hello"),
            ([raw(404)], [404], "Hello"),
            ([BAD], [200], "Hello"),
            ([OK], [200], "Hello"),
        ],
    )
    def test_what_is_tried(self, client: Client, receiver: Receiver, kinds, tried, says):
        set_up(client, event=hook(receiver.url + "/event"), fallback=receiver.on("/fallback", HELP))
        url = receiver.on("/notify", *answers(receiver, *kinds))
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert attempts(client, "notify") == tried
        assert texts(client, uuid) == [says]

    def test_the_fallback_has_nothing_to_say_and_the_call_goes_on(self, client: Client, receiver: Receiver):
        set_up(client, fallback=receiver.on("/fallback", raw(503)))
        url = receiver.on("/notify", hang_up)
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert attempts(client, "notify") == [CLOSED, CLOSED, "fallback", 503, 503]
        assert texts(client, uuid) == ["Hello"]

    def test_the_fallback_is_told_that_it_was_an_event(self, client: Client, receiver: Receiver):
        set_up(client, fallback={"address": receiver.on("/fallback", OK), "http_method": "POST"})
        url = receiver.on("/notify", hang_up)
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
            ([raw(204)], [204], "delivered"),
            (["never", OK], [TIMED_OUT, 200], "delivered"),
            (["never"], [TIMED_OUT, TIMED_OUT], "failed: Read timed out."),
            ([hang_up], [CLOSED], "failed: Connection closed."),
            ([raw(503)], [503], "failed: answered with status 503"),
            ([raw(500)], [500], "failed: answered with status 500"),
            ([raw(301, Location="/")], [301], "failed: answered with status 301"),
            ([ncco(HELLO)], [200], "delivered"),
            ([raw(200, b"x" * 10_000_000)], [200], "delivered"),
        ],
    )
    def test_only_one_that_took_too_long_is_sent_again(
        self, client: Client, receiver: Receiver, kinds, tried, outcome
    ):
        set_up(client, event=hook(receiver.on("/event", *answers(receiver, *kinds))), fallback=receiver.url)
        client.call()

        assert attempts(client, "status") == tried
        assert webhooks(client)[0]["outcome"] == outcome
        assert receiver.at("/") == []

    def test_one_whose_receiver_takes_no_connection_is_sent_again(self, client: Client):
        with full() as url:
            set_up(client, event=hook(url) | {"connect_timeout": 100})
            client.call()

            assert attempts(client, "status") == ["Connection timed out.", "Connection timed out."]


class TestAReceiverThatIsDead:
    def test_does_not_keep_the_events_of_others_from_arriving(self, client: Client, receiver: Receiver):
        with full() as dead:
            set_up(client, event=receiver.url + "/event")
            for _ in range(20):
                client.call(PERSON, HELLO, event_url=[dead])
                client.call(PERSON, HELLO)
            before = time.monotonic()

            client.advance(10)
            while len(receiver.asked) < 80 and time.monotonic() < before + 5:
                time.sleep(0.005)

            assert sorted(receiver.statuses()) == sorted(["started", "ringing", "answered", "completed"] * 20)

    def test_does_not_hold_the_exchange_up(self, client: Client):
        with full() as dead:
            set_up(client, event=dead)
            before = time.monotonic()

            uuids = [client.call(PERSON, HELLO) for _ in range(10)]
            client.advance(10)

            assert {client.status(uuid) for uuid in uuids} == {"completed"}
            assert time.monotonic() - before < 5

    def test_keeps_an_answer_from_the_same_receiver_for_a_moment_only(
        self, client: Client, receiver: Receiver
    ):
        set_up(client, event=receiver.on("/event", receiver.never))
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(ROOM))])
        before = time.monotonic()

        client.advance(3)

        assert client.status(uuid) == "answered"
        assert time.monotonic() - before < 5

    def test_is_left_behind_by_a_reset(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.on("/event", receiver.never))
        client.call(BUSY, HELLO)
        client.advance(3)

        client.control("reset")

        assert client.log() == []
        receiver.on("/event", OK)
        client.call(PERSON)
        assert [entry["outcome"] for entry in webhooks(client)] == ["delivered"]


@contextlib.contextmanager
def full() -> Iterator[str]:
    """The URL of a server that accepts nobody and has a full queue."""
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
