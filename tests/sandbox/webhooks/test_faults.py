"""Webhook faults on demand, each compared with a delivery without the fault."""

import time

import jwt
import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import BUSY, HELLO, PERSON, Client
from tests.support.servers import reply
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, eventually
from voicectl.sandbox.webhooks import queue, sender

from .receiver import OK, Receiver, ncco, set_up, webhooks

WHOLE = ["started", "ringing", "answered", "completed"]


@pytest.fixture(autouse=True)
def _order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep events in order however late a reply is."""
    monkeypatch.setattr(queue, "PATIENCE_SECONDS", PATIENCE_SECONDS)


def called(client: Client, receiver: Receiver, number: str = PERSON, **options: object) -> list[str]:
    """Run a call from start to end, and return the statuses that the receiver got."""
    set_up(client, event=receiver.url + "/event", **options)  # type: ignore[arg-type]
    client.call(number, HELLO)
    client.advance(10)
    client.settle()
    return receiver.statuses()


def test_the_control_without_a_fault_all_events_arrive_in_order(client: Client, receiver: Receiver):
    assert called(client, receiver) == WHOLE
    assert {entry["fault"] for entry in webhooks(client)} == {None}


class TestDrop:
    def test_an_event_never_arrives(self, client: Client, receiver: Receiver):
        client.fault("webhook-drop", on="status", times=1)

        assert called(client, receiver) == WHOLE[1:]
        dropped, *others = webhooks(client)
        assert (dropped["fault"], dropped["outcome"]) == ("webhook-drop", "failed: Read timed out.")
        assert {entry["outcome"] for entry in others} == {"delivered"}

    def test_a_dropped_answer_request_goes_to_the_fallback(self, client: Client, receiver: Receiver):
        set_up(client, fallback=receiver.on("/fallback", ncco(HELLO)))
        client.fault("webhook-drop", on="answer")
        uuid = client.call(answer_url=[receiver.url + "/answer"])

        client.advance(3)

        assert receiver.at("/answer") == []
        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]


def test_a_duplicate_has_the_same_bytes_and_token(client: Client, receiver: Receiver):
    client.fault("webhook-duplicate", on="status", times=1)

    assert called(client, receiver, signed=True) == ["started", *WHOLE]

    first, second, third, *_ = receiver.requests
    assert (first.body, first.token) == (second.body, second.token)
    assert second.token != third.token
    assert webhooks(client)[0]["attempts"] == [{"status": 200}, {"status": 200, "duplicate": True}]


class TestReorder:
    @pytest.fixture(autouse=True)
    def _patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wait for the next event of a leg for any time."""
        monkeypatch.setattr(sender, "REORDER_SECONDS", FOR_EVER)

    def test_an_event_arrives_after_the_next_one_of_its_leg(self, client: Client, receiver: Receiver):
        client.fault("webhook-reorder", times=1)

        assert called(client, receiver) == ["ringing", "started", "answered", "completed"]

    def test_a_permanent_fault_swaps_events_in_pairs(self, client: Client, receiver: Receiver):
        client.fault("webhook-reorder")

        assert called(client, receiver) == ["ringing", "started", "completed", "answered"]

    def test_the_last_event_arrives_late(
        self, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(sender, "REORDER_SECONDS", 0.2)
        set_up(client, event=receiver.url + "/event")
        client.fault("webhook-reorder", times=1)
        before = time.monotonic()

        client.call()
        client.settle()

        assert receiver.statuses() == ["started"]
        assert time.monotonic() - before >= 0.2

    def test_events_of_other_legs_are_not_waited_for(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.fault("webhook-reorder", times=1)
        first, second = client.call(), client.call()
        client.advance(1)
        client.settle()

        order = [(asked.fields["uuid"], asked.fields["status"]) for asked in receiver.requests]

        assert [status for uuid, status in order if uuid == first] == ["ringing", "started"]
        assert [status for uuid, status in order if uuid == second] == ["started", "ringing"]


class TestDelay:
    def test_an_event_arrives_later_and_others_overtake_it(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.fault("webhook-delay", seconds=600, times=1)
        client.call(PERSON, HELLO)
        client.advance(10)

        eventually(lambda: client.pending == 1)
        assert receiver.statuses() == WHOLE[1:]

    def test_a_delayed_event_arrives_even_at_the_end(self, client: Client, receiver: Receiver):
        client.fault("webhook-delay", seconds=0.05, times=1)

        assert sorted(called(client, receiver)) == sorted(WHOLE)

    def test_an_answer_request_is_delayed_too_and_the_call_waits(self, client: Client, receiver: Receiver):
        client.fault("webhook-delay", seconds=0.2, on="answer")
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(HELLO))])
        before = time.monotonic()

        client.advance(3)

        assert time.monotonic() - before > 0.2
        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]

    def test_delayed_webhooks_are_dropped_by_a_reset(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.fault("webhook-delay", seconds=600)
        client.call()
        assert client.pending == 1

        client.control("reset")

        assert client.pending == 0
        assert receiver.requests == []


class TestUnsigned:
    def test_a_webhook_has_no_token(self, client: Client, receiver: Receiver):
        client.fault("webhook-unsigned", on="status", times=1)

        called(client, receiver, signed=True)

        assert [asked.token is None for asked in receiver.requests] == [True, False, False, False]
        assert webhooks(client)[0]["attempts"] == [{"signed": False, "status": 200}]

    @pytest.mark.parametrize("status", [500, 503])
    def test_after_a_server_error_it_is_sent_again_signed(
        self, client: Client, receiver: Receiver, status: int
    ):
        client.fault("webhook-unsigned", on="status", times=1)
        receiver.on("/event", reply(status), OK)

        assert called(client, receiver, signed=True) == ["started", *WHOLE]

        claims = jwt.decode(
            receiver.requests[1].token or "", client.identity.signature_secret, algorithms=["HS256"]
        )
        assert claims["api_key"] == client.identity.api_key
        assert webhooks(client)[0]["attempts"] == [{"signed": False, "status": status}, {"status": 200}]

    def test_after_a_401_it_is_not_sent_again(self, client: Client, receiver: Receiver):
        client.fault("webhook-unsigned", on="status", times=1)
        receiver.on("/event", reply(401), OK)

        assert called(client, receiver, signed=True) == WHOLE

    def test_an_answer_request_refused_by_503_is_sent_again_signed(self, client: Client, receiver: Receiver):
        set_up(client, signed=True)
        client.fault("webhook-unsigned", on="answer")
        client.call(answer_url=[receiver.on("/answer", reply(503), ncco(HELLO))])

        client.advance(3)

        assert [asked.token is None for asked in receiver.requests] == [True, False]


class TestCompleted:
    def test_completed_follows_a_call_that_was_never_answered(self, client: Client, receiver: Receiver):
        client.fault("webhook-completed")

        assert called(client, receiver, BUSY)[-2:] == ["busy", "completed"]

        busy, completed = (asked.fields for asked in receiver.requests[-2:])
        assert completed == {name: value for name, value in busy.items() if name != "detail"} | {
            "status": "completed",
            "start_time": None,
            "end_time": busy["timestamp"],
            "duration": "0",
            "rate": "0.01270000",
            "price": "0.00000000",
            "network": "23410",
            "disconnected_by": "user",
        }

    def test_the_record_keeps_its_first_final_status(self, client: Client, receiver: Receiver):
        client.fault("webhook-completed")
        set_up(client, event=receiver.url)
        uuid = client.call(BUSY)
        client.advance(3)

        assert client.status(uuid) == "busy"

    def test_the_control_without_a_fault_completed_does_not_follow(self, client: Client, receiver: Receiver):
        assert called(client, receiver, BUSY)[-1] == "busy"

    def test_completed_is_not_sent_twice_for_an_answered_call(self, client: Client, receiver: Receiver):
        client.fault("webhook-completed")

        assert called(client, receiver) == WHOLE

    def test_another_fault_can_apply_to_it(self, client: Client, receiver: Receiver):
        client.fault("webhook-completed")
        client.fault("webhook-duplicate")

        assert called(client, receiver, BUSY)[-4:] == ["busy", "busy", "completed", "completed"]


class TestAnswerTimeout:
    def test_the_reply_is_too_late_twice_and_the_fallback_is_requested(
        self, client: Client, receiver: Receiver
    ):
        set_up(client, fallback=receiver.on("/fallback", ncco(HELLO | {"text": "Fallback"})))
        client.fault("answer-timeout", times=1)
        url = receiver.on("/answer", ncco(HELLO))
        first = client.call(answer_url=[url])
        client.advance(3)
        second = client.call(answer_url=[url])
        client.advance(3)

        assert [heard["text"] for heard in client.hear(first)] == ["Fallback"]
        assert [heard["text"] for heard in client.hear(second)] == ["Hello"]
        assert len(receiver.at("/answer")) == 3
        assert receiver.at("/fallback")[0].query["reason"] == "Read timed out."
        assert webhooks(client, "answer")[0]["attempts"] == [
            {"reason": "Read timed out."},
            {"reason": "Read timed out."},
            {"url": receiver.url + "/fallback", "status": 200},
        ]

    def test_the_timeout_takes_no_real_time(self, client: Client, receiver: Receiver):
        set_up(client, answer={"address": receiver.url, "socket_timeout": FOR_EVER * 1000})
        client.fault("answer-timeout")
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(HELLO))])

        client.advance(3)

        assert client.status(uuid) == "completed"


class TestSelectingWebhooks:
    def test_a_fault_can_be_limited_to_a_kind_of_event(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.fault("webhook-drop", on="notify")
        client.call(
            PERSON, {"action": "notify", "payload": {}, "eventUrl": [receiver.url + "/notify"]}, HELLO
        )

        client.advance(10)
        client.settle()

        assert receiver.at("/notify") == []
        assert receiver.statuses() == WHOLE

    def test_requests_to_the_api_are_not_affected(self, client: Client, receiver: Receiver):
        client.fault("webhook-drop", times=1)

        assert client.get("/v1/calls").status_code == 200
        assert client.http.get("/sandbox/faults").json()[0]["struck"] == 0

    def test_webhooks_are_not_affected_by_faults_of_requests(self, client: Client, receiver: Receiver):
        client.fault("delay", seconds=0)

        assert called(client, receiver) == WHOLE
        assert {entry["fault"] for entry in webhooks(client)} == {None}

    def test_probability_follows_the_seed(self, start: Start, receiver: Receiver):
        runs = []
        for seed in (5, 5, 6):
            client = start(seed=seed)
            client.fault("webhook-drop", probability=0.5)
            set_up(client, event=receiver.url + "/event")
            for _ in range(20):
                client.call()
            runs.append([entry["fault"] for entry in webhooks(client)])

        assert runs[0] == runs[1] != runs[2]
        assert 3 < runs[0].count("webhook-drop") < 17

    def test_the_probability_of_one_fault_does_not_depend_on_another(self, start: Start, receiver: Receiver):
        runs = []
        for others in (0, 3):
            client = start()
            client.fault("webhook-drop", probability=0.5)
            client.fault("status", code=500, probability=0.5, on="getCalls")
            set_up(client, event=receiver.url + "/event")
            for _ in range(20):
                for _ in range(others):
                    client.get("/v1/calls")
                client.call()
            runs.append([entry["fault"] for entry in webhooks(client)])

        assert runs[0] == runs[1]
