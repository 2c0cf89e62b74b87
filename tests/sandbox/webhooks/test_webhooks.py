"""Webhooks: the URLs that the sandbox sends events and NCCO requests to, their form, and their replies."""

import asyncio
import gzip
import hashlib
import json
import threading
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import BUSY, HELLO, PERSON, ROOM, Client
from tests.support.servers import Canned, Drip, reply
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.sandbox.account.applications import Hook
from voicectl.sandbox.destinations import Destinations
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.webhooks import queue
from voicectl.sandbox.webhooks.request import Unsendable, build
from voicectl.sandbox.webhooks.sender import Webhooks

from .receiver import HANG_UP, OK, Receiver, ncco, set_up, webhooks

NOT_DELIVERED = (
    "not delivered: the host is not on this machine, and neither --allow-host nor --map-host names it"
)
BAD_NCCO = "Syntax error in NCCO. Invalid value type or action."


def reasons(client: Client) -> list[str]:
    return [entry["reason"] for entry in client.log() if entry["kind"] == "remark"]


def attempts(client: Client, event: str = "answer") -> list[object]:
    """Return the result of each attempt of the only webhook of a kind."""
    (entry,) = webhooks(client, event)
    return [attempt.get("status", attempt.get("reason")) for attempt in entry["attempts"]]


class TestAnswer:
    def test_the_answer_url_is_requested_at_the_answer_with_the_documented_parameters(
        self, client: Client, receiver: Receiver
    ):
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(HELLO)) + "?order=17&a="])
        own = client.record(uuid)["conversation_uuid"]
        client.advance(2)
        assert receiver.requests == []

        client.advance(0.5)

        (asked,) = receiver.requests
        assert asked.method == "GET"
        assert asked.target.startswith("/answer?order=17&a=&")
        assert asked.query == {
            "order": "17",
            "a": "",
            "to": "447700900001",
            "from": "447700900456",
            "uuid": uuid,
            "conversation_uuid": own,
            "endpoint_type": "phone",
            "region_url": client.sandbox.region_urls["na-east"],
        }

    def test_the_returned_ncco_runs(self, client: Client, receiver: Receiver):
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(HELLO))])

        client.advance(10)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
        assert client.status(uuid) == "completed"

    def test_post_sends_the_parameters_as_json(self, client: Client, receiver: Receiver):
        uuid = client.call(
            answer_url=[receiver.on("/answer", ncco(HELLO)) + "?order=17"], answer_method="POST"
        )

        client.advance(3)

        (asked,) = receiver.requests
        assert (asked.method, asked.target) == ("POST", "/answer?order=17")
        assert asked.headers["content-type"] == "application/json"
        assert json.loads(asked.body)["uuid"] == uuid

    def test_a_parameter_of_the_url_gives_way_to_one_of_the_same_name(
        self, client: Client, receiver: Receiver
    ):
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(HELLO)) + "?uuid=mine&b=1&b=2"])

        client.advance(3)

        pairs = parse_qsl(urlsplit(receiver.requests[0].target).query)
        assert [pair for pair in pairs if pair[0] in ("uuid", "b")] == [
            ("b", "1"),
            ("b", "2"),
            ("uuid", uuid),
        ]

    def test_a_transfer_by_url_runs_the_returned_ncco(self, client: Client, receiver: Receiver):
        uuid = client.answered()
        before = client.record(uuid)["conversation_uuid"]
        url = receiver.on("/survey", ncco(ROOM | {"name": "other"}))

        reply = client.change(uuid, "transfer", destination={"type": "ncco", "url": [url]})

        assert reply.status_code == 204
        assert receiver.requests[0].query["uuid"] == uuid
        assert client.record(uuid)["conversation_uuid"] != before

    def test_without_frozen_it_is_requested_in_the_background(self, start: Start, receiver: Receiver):
        client = start(frozen=False)
        uuid = client.call(answer_url=[receiver.on("/answer", ncco(HELLO))])
        client.clock.sleep(2.5)
        client.status(uuid)  # time has passed for the sandbox too
        eventually(lambda: client.hear(uuid))

        client.clock.sleep(1)

        assert client.status(uuid) == "completed"
        assert len(receiver.requests) == 1

    def test_a_handler_may_use_the_api_during_the_request(self, client: Client, receiver: Receiver):
        statuses = []

        def answer(_request):
            statuses.append(client.status(uuid))
            return ncco(HELLO)

        uuid = client.call(answer_url=[receiver.on("/answer", answer)])

        client.advance(3)

        assert statuses == ["answered"]

    def test_several_answer_urls_are_requested_at_once_and_the_calls_continue_in_order(
        self, client: Client, receiver: Receiver
    ):
        together = threading.Barrier(12, timeout=PATIENCE_SECONDS)

        def answer(_request):
            together.wait()
            return ncco(ROOM)

        url = receiver.on("/answer", answer)
        uuids = [client.call(answer_url=[url]) for _ in range(12)]

        client.advance(3)

        assert [entry["uuid"] for entry in client.log() if entry["kind"] == "transfer"] == uuids

    def test_a_reply_after_a_reset_is_dropped(self, client: Client, receiver: Receiver):
        def answer(_request):
            client.control("reset")
            return ncco(HELLO)

        client.call(answer_url=[receiver.on("/answer", answer)])

        client.advance(3)

        assert client.log() == []
        assert client.http.get("/sandbox/status").json()["call_time"] == "2026-01-01T00:00:00.000Z"


class TestRepliesWithoutAnNcco:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (reply(200, b"<html>"), "not JSON"),
            (reply(200, b"[" * 100_000), "not JSON"),
            (reply(200, b"[" * 100 + b"]" * 100), "nested more than 64 levels deep"),
            (reply(200, b'"' + b"x" * 10_000_000 + b'"'), "larger than 1048576 bytes"),
            (reply(200, gzip.compress(b"[]"), content_encoding="gzip"), "not JSON"),
            (
                reply(200, b'{"action": "talk"}'),
                "ncco: Invalid type parameter provided: this is a single action; an NCCO is an array of actions",
            ),
            (ncco({"action": "talk"}), "ncco[0].text: Missing required parameter"),
            (ncco(7), "ncco[0]: Invalid type parameter provided"),
        ],
        ids=["HTML", "never closed", "deep", "long", "compressed", "no list", "no text", "a number"],
    )
    def test_they_end_the_call_and_are_reported(self, client: Client, receiver: Receiver, answer, reason):
        set_up(client, event=receiver.url + "/event")
        uuid = client.call(answer_url=[receiver.on("/answer", answer)])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert client.hear(uuid) == []
        assert len(receiver.at("/answer")) == 1
        assert reasons(client) == [f"answer webhook: {reason}"]
        assert webhooks(client, "answer")[0]["outcome"] == f"bad NCCO: {reason}"
        assert [each.fields["reason"] for each in receiver.at("/event") if "reason" in each.fields] == [
            BAD_NCCO
        ]

    @pytest.mark.parametrize(
        "media_type",
        ["text/html", "application/xml", "text/xml", "application/xhtml+xml", "Text/HTML; charset=utf-8"],
    )
    def test_a_reply_served_as_html_or_xml_is_a_failed_download(
        self, client: Client, receiver: Receiver, media_type
    ):
        set_up(client, event=receiver.url + "/event")
        served = reply(200, [HELLO], content_type=media_type)
        uuid = client.call(answer_url=[receiver.on("/answer", served)])

        client.advance(3)

        reason = f"served as {media_type.lower().partition(';')[0]}, not as application/json"
        assert client.status(uuid) == "completed"
        assert client.hear(uuid) == []
        assert len(receiver.at("/answer")) == 1
        assert reasons(client) == [f"answer webhook: {reason}"]
        assert [each.fields["reason"] for each in receiver.at("/event") if "reason" in each.fields] == [
            f"Failed to download the NCCO: it is {reason}."
        ]

    @pytest.mark.parametrize(
        "media_type",
        ["application/json; charset=utf-8", "application/problem+json", "text/plain", "text/json", ""],
    )
    def test_a_reply_of_another_type_or_without_one_is_read(
        self, client: Client, receiver: Receiver, media_type
    ):
        served = reply(200, [HELLO], content_type=media_type)
        uuid = client.call(answer_url=[receiver.on("/answer", served)])

        client.advance(3)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]

    def test_an_event_reply_served_as_html_does_not_take_over(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        url = receiver.on("/notify", reply(200, [HELLO | {"text": "Changed"}], content_type="text/html"))
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
        assert [entry["body"]["reason"] for entry in webhooks(client, "error")] == [
            "Failed to download the NCCO: it is served as text/html, not as application/json."
        ]

    def test_the_control_an_ncco_causes_no_error_event(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.call(answer_url=[receiver.on("/answer", ncco(HELLO))])

        client.advance(3)

        assert webhooks(client, "error") == []

    def test_an_endless_reply_is_refused(self, client: Client, receiver: Receiver):
        blanks = Drip(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_000_000, pause=0, step=65_536)
        uuid = client.call(answer_url=[receiver.on("/answer", blanks)])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert reasons(client) == ["answer webhook: larger than 1048576 bytes"]

    @pytest.mark.parametrize(
        "answer", [ncco(), reply(200), reply(204), reply(205)], ids=["[]", "200", "204", "205"]
    )
    def test_an_empty_ncco_ends_the_call(self, client: Client, receiver: Receiver, answer):
        uuid = client.call(answer_url=[receiver.on("/answer", answer)])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert reasons(client) == []

    @pytest.mark.parametrize(
        "answer",
        [OK, reply(200), reply(204), ncco(), reply(200, b'{"ok": true}'), reply(200, b"x" * 10_000_000)],
        ids=["OK", "200", "204", "[]", "an object", "10 MB"],
    )
    def test_an_event_reply_other_than_an_array_of_actions_lets_the_call_continue(
        self, client: Client, receiver: Receiver, answer
    ):
        notify = {"action": "notify", "payload": {"n": 1}, "eventUrl": [receiver.on("/notify", answer)]}
        uuid = client.call(PERSON, notify, HELLO)

        client.advance(3)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
        assert webhooks(client, "notify")[0]["outcome"] == "delivered"
        assert [entry for entry in client.log() if entry["kind"] == "error"] == []

    def test_an_ncco_in_an_event_reply_takes_over(self, client: Client, receiver: Receiver):
        url = receiver.on("/notify", ncco(HELLO | {"text": "Changed"}))
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Changed"]
        assert receiver.at("/notify")[0].fields["payload"] == {"n": 1}
        assert webhooks(client, "notify")[0]["outcome"] == "delivered; the response was an NCCO"

    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            (ncco({"action": "tlak"}), "bad NCCO: ncco[0].action: "),
            (reply(200, b"[" + b" " * 10_000_000 + b"]"), "bad NCCO: larger than 1048576 bytes"),
        ],
        ids=["an unknown action", "10 MB"],
    )
    def test_an_invalid_ncco_in_an_event_reply_is_reported_and_the_call_continues(
        self, client: Client, receiver: Receiver, answer, outcome
    ):
        set_up(client, event=receiver.url + "/event", fallback=receiver.url + "/fallback")
        url = receiver.on("/notify", answer)
        uuid = client.call(PERSON, {"action": "notify", "payload": {"n": 1}, "eventUrl": [url]}, HELLO)

        client.advance(3)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
        assert webhooks(client, "notify")[0]["outcome"].startswith(outcome)
        assert [entry["body"]["reason"] for entry in webhooks(client, "error")] == [BAD_NCCO]
        assert receiver.at("/fallback") == []


class TestEvents:
    @pytest.fixture(autouse=True)
    def _order_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keep events in order however late a reply is."""
        monkeypatch.setattr(queue, "PATIENCE_SECONDS", PATIENCE_SECONDS)

    def test_events_go_to_the_application_s_event_url_in_order(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event?key=1")
        uuid = client.call(PERSON, HELLO)

        client.advance(10)
        entries = webhooks(client)

        assert receiver.statuses() == ["started", "ringing", "answered", "completed"]
        assert {asked.method for asked in receiver.requests} == {"POST"}
        assert {asked.target for asked in receiver.requests} == {"/event?key=1"}
        assert {asked.fields["uuid"] for asked in receiver.requests} == {uuid}
        assert [entry["body"] for entry in entries] == [asked.fields for asked in receiver.requests]

    def test_events_of_a_call_with_its_own_event_url_go_there(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.call(event_url=[receiver.url + "/own"], event_method="GET")

        client.advance(3)
        client.settle()

        assert receiver.at("/event") == []
        statuses = [asked.query.get("status", asked.query.get("type")) for asked in receiver.at("/own")]
        assert statuses == ["started", "ringing", "answered", "transfer"]

    def test_without_a_url_no_events_are_sent(self, client: Client):
        uuid = client.answered(PERSON, ROOM)

        assert webhooks(client) == []
        assert client.status(uuid) == "answered"

    def test_events_of_many_legs_keep_the_order_of_each_leg(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        uuids = [client.call(PERSON, HELLO) for _ in range(30)]

        client.advance(10)
        client.settle()

        for uuid in uuids:
            mine = [asked.fields["status"] for asked in receiver.requests if asked.fields["uuid"] == uuid]
            assert mine == ["started", "ringing", "answered", "completed"]

    def test_the_log_shows_each_webhook_once_it_is_queued(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.on("/event", reply(500), OK))
        uuid = client.call(BUSY, HELLO)

        client.advance(3)

        started, *_ = webhooks(client)
        assert {name: started[name] for name in started if name not in ("n", "host_time", "body")} == {
            "kind": "webhook",
            "call_time": "2026-01-01T00:00:00.000Z",
            "uuid": uuid,
            "event": "status",
            "method": "POST",
            "url": receiver.url + "/event",
            "signed": False,
            "fault": None,
            "attempts": [{"status": 500}],
            "outcome": "failed: answered with status 500",
        }

    def test_the_log_of_one_run_equals_that_of_the_next(self, start: Start, receiver: Receiver):
        runs = []
        for _ in range(2):
            client = start()
            set_up(client, event=receiver.on("/event", OK), answer=receiver.on("/answer", ncco(HELLO)))
            for _ in range(10):
                client.call(answer_url=[receiver.url + "/answer"])
            client.advance(20)
            lines = [
                {name: value for name, value in entry.items() if name != "host_time"}
                for entry in client.log()
            ]
            runs.append(json.dumps(lines).replace(client.sandbox.region_urls["na-east"], ""))

        assert runs[0] == runs[1]

    def test_a_password_in_the_url_is_not_logged(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url.replace("//", "//me:secret@") + "/event")
        client.call()

        assert "secret" not in json.dumps(client.log())
        assert webhooks(client)[0]["url"] == receiver.url + "/event"


class TestForms:
    def hook(self, method: str, url: str = "http://127.0.0.1/e") -> Hook:
        return Hook(url=url, method=method, read_seconds=1)

    def test_a_query_contains_scalars_as_text_and_other_values_as_json(self):
        fields = {
            "dtmf": {"digits": "3", "timed_out": True},
            "results": [],
            "size": 17,
            "ok": False,
            "start_time": None,
            "name": "Zoë & co",
        }

        request = build(self.hook("GET", "http://127.0.0.1/e?a=b%20c"), fields, None)

        assert parse_qsl(request.url.query.decode(), keep_blank_values=True) == [
            ("a", "b c"),
            ("dtmf", '{"digits":"3","timed_out":true}'),
            ("results", "[]"),
            ("size", "17"),
            ("ok", "false"),
            ("start_time", ""),
            ("name", "Zoë & co"),
        ]
        assert request.content == b""

    def test_a_body_is_compact_json_in_utf_8(self):
        request = build(self.hook("POST"), {"name": "Zoë", "half": "\ud800", "n": None}, None)

        assert request.content == '{"name":"Zoë","half":"\\ud800","n":null}'.encode()

    @pytest.mark.parametrize(
        ("url", "fields"), [("http://127.0.0.1/e", {"user": "\ud800"}), ("http://127.0.0.1:x/e", {})]
    )
    def test_a_url_that_makes_no_valid_request_is_refused(self, url: str, fields: dict[str, str]):
        with pytest.raises(Unsendable, match="cannot be sent"):
            build(self.hook("GET", url), fields, None)


class TestSignatures:
    def verified(self, client: Client, token: str | None) -> dict[str, object]:
        return dict(jwt.decode(token or "", client.identity.signature_secret, algorithms=["HS256"]))

    def test_a_signed_post_contains_a_hash_of_its_body(self, client: Client, receiver: Receiver):
        set_up(client, signed=True, event=receiver.url + "/event")
        client.call()
        assert [entry["signed"] for entry in webhooks(client)] == [True]

        (asked,) = receiver.requests

        claims = self.verified(client, asked.token)
        assert claims == {
            "iat": int(client.clock.time()),
            "jti": claims["jti"],
            "iss": "Vonage",
            "payload_hash": hashlib.sha256(asked.body).hexdigest(),
            "api_key": client.identity.api_key,
            "application_id": client.identity.application_id,
        }
        assert claims["payload_hash"] != hashlib.sha256(asked.body + b" ").hexdigest()

    def test_a_signed_get_contains_a_hash_of_its_parameters_as_an_ordered_object(
        self, client: Client, receiver: Receiver
    ):
        set_up(client, signed=True, answer=receiver.url)
        client.call(answer_url=[receiver.on("/answer", ncco(HELLO)) + "?order=17"])
        client.advance(3)

        (asked,) = receiver.requests

        payload = json.dumps(asked.query, separators=(",", ":"), ensure_ascii=False).encode()
        assert payload.startswith(b'{"order":"17","to":"447700900001","from":')
        assert self.verified(client, asked.token)["payload_hash"] == hashlib.sha256(payload).hexdigest()

    def test_another_secret_does_not_verify_it(self, client: Client, receiver: Receiver):
        set_up(client, signed=True, event=receiver.url + "/event")
        client.call()
        client.settle()

        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(
                receiver.requests[0].token or "", "another secret of 32 bytes or more", algorithms=["HS256"]
            )

    def test_the_official_verifier_accepts_it_and_refuses_altered_ones(
        self, client: Client, receiver: Receiver
    ):
        verify_signature = pytest.importorskip("vonage_jwt").verify_signature
        set_up(client, signed=True, event=receiver.url + "/event")
        client.call()
        client.settle()
        token, secret = receiver.requests[0].token or "", client.identity.signature_secret
        head, claims, signature = token.split(".")

        assert verify_signature(token, secret)
        assert not verify_signature(
            f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}", secret
        )

    def test_there_is_no_token_if_the_application_disables_signing(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.call()
        client.settle()

        assert receiver.requests[0].token is None

    def test_no_token_is_in_the_log(self, client: Client, receiver: Receiver):
        set_up(client, signed=True, event=receiver.url + "/event")
        client.call()
        log = json.dumps(client.log())

        assert receiver.requests[0].token is not None
        assert receiver.requests[0].token not in log
        assert client.identity.signature_secret not in log

    def test_each_attempt_is_signed_anew(self, client: Client, receiver: Receiver):
        set_up(client, signed=True)
        client.call(answer_url=[receiver.on("/answer", reply(503), ncco(HELLO))])
        client.advance(3)

        first, second = (self.verified(client, asked.token) for asked in receiver.requests)

        assert first["jti"] != second["jti"]
        assert first["payload_hash"] == second["payload_hash"]


class TestAllowedHosts:
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
    def test_hosts_off_loopback_are_not_requested(self, client: Client, url):
        set_up(client, event=url)
        uuid = client.call(answer_url=[url])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert {entry["event"] for entry in webhooks(client)} == {"answer", "status"}
        for entry in webhooks(client):
            assert entry["outcome"] == NOT_DELIVERED
            assert entry["attempts"] == []

    def test_a_fallback_off_loopback_is_not_requested(self, client: Client, receiver: Receiver):
        set_up(client, answer=receiver.on("/answer", reply(500)), fallback="https://app.example.org/fallback")
        client.call(answer_url=[receiver.url + "/answer"])

        client.advance(3)

        (entry,) = webhooks(client, "answer")
        assert entry["attempts"][1] == {
            "url": "https://app.example.org/fallback",
            "reason": NOT_DELIVERED,
        }

    def test_a_name_of_loopback_is_requested(self, client: Client, receiver: Receiver):
        url = receiver.on("/answer", ncco(HELLO)).replace("127.0.0.1", "localhost")
        uuid = client.call(answer_url=[url])

        client.advance(2.5)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]

    def test_an_allowed_host_is_requested(self, start: Start, receiver: Receiver):
        client = start(destinations=Destinations(allowed=frozenset({"0.0.0.0"})))
        url = receiver.on("/answer", ncco(HELLO)).replace("127.0.0.1", "0.0.0.0")
        uuid = client.call(answer_url=[url])

        client.advance(2.5)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_requests_to_a_mapped_host_go_to_this_machine(self, start: Start, receiver: Receiver, method):
        client = start(destinations=Destinations(mapped={"demo.example.com": receiver.url}))
        receiver.on("/answer", ncco(HELLO))
        set_up(client, event="https://demo.example.com:8443/event", signed=True)
        uuid = client.call(answer_url=["https://DEMO.example.com/answer?a=1"], answer_method=method)

        client.advance(2.5)

        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
        (asked,) = receiver.at("/answer")
        assert (asked.method, asked.headers["host"]) == (method, "demo.example.com")
        assert "a=1" in asked.target
        assert {event.headers["host"] for event in receiver.at("/event")} == {"demo.example.com:8443"}
        (entry,) = webhooks(client, "answer")
        assert entry["url"] == "https://DEMO.example.com/answer?a=1"
        assert entry["address"] == receiver.url + "/answer?a=1"

    def test_a_fallback_and_conversation_events_of_a_mapped_host_go_to_this_machine(
        self, start: Start, receiver: Receiver
    ):
        client = start(destinations=Destinations(mapped={"demo.example.com": receiver.url}))
        receiver.on("/answer", reply(500))
        receiver.on("/fallback", ncco(HELLO))
        rtc = "http://me:s3cret@demo.example.com/rtc"
        set_up(client, fallback="http://demo.example.com/fallback", rtc=rtc)
        client.call(answer_url=["http://demo.example.com/answer"])

        client.advance(3)

        for path in ("/answer", "/fallback", "/rtc"):
            assert {request.headers["host"] for request in receiver.at(path)} == {"demo.example.com"}
        assert "s3cret" not in str(webhooks(client))

    def test_a_mapped_host_is_not_reached_even_if_it_is_allowed(self, start: Start, receiver: Receiver):
        with Canned(reply(200)) as outside:
            rules = Destinations(allowed=frozenset({"localhost"}), mapped={"localhost": receiver.url})
            client = start(destinations=rules)
            set_up(client, event=outside.url.replace("127.0.0.1", "localhost") + "/event")
            client.call()
            client.settle()

        assert outside.requests == []
        assert receiver.statuses() == ["started"]

    def test_a_redirect_is_not_followed(self, client: Client, receiver: Receiver):
        answer = reply(302, location=receiver.on("/elsewhere", ncco(HELLO)))
        uuid = client.call(answer_url=[receiver.on("/answer", answer)])

        client.advance(3)

        assert client.status(uuid) == "completed"
        assert receiver.at("/elsewhere") == []
        assert attempts(client) == [302]

    def test_a_connection_is_not_reused(self, client: Client, receiver: Receiver):
        set_up(client, event=receiver.url + "/event")
        client.call()
        client.settle()

        assert receiver.requests[0].headers["connection"] == "close"


def test_the_events_of_conversations_go_to_the_rtc_webhook(client: Client, receiver: Receiver):
    set_up(client, event=receiver.url + "/event", rtc=receiver.url + "/rtc", signed=True)
    sandbox = client.sandbox
    note = Note(
        at=0,
        application_id=client.identity.application_id,
        conversation_uuid="CON-1",
        type="member:joined",
        uuid="63f6",
        body={},
    )

    async def publish() -> None:
        webhooks = Webhooks(
            applications=sandbox.applications,
            sign=lambda payload, application_id: f"{application_id} {len(payload)}",
            faults=sandbox.faults,
            log=sandbox.log,
            destinations=sandbox.options.destinations,
            region_url=lambda region: region,
        )
        webhooks.publish(note, {"type": "member:joined", "conversation_id": "CON-1"})
        assert webhooks.pending == 1
        await webhooks.quiet(5)
        await webhooks.close()

    asyncio.run(publish())

    (asked,) = receiver.requests
    assert asked.path == "/rtc"
    assert asked.fields == {"type": "member:joined", "conversation_id": "CON-1"}
    assert asked.token == f"{client.identity.application_id} {len(asked.body)}"
    (entry,) = webhooks(client, "rtc")
    assert (entry["uuid"], entry["outcome"], entry["signed"]) == ("63f6", "delivered", True)


def test_a_connection_closed_without_a_reply_is_a_failure(client: Client, receiver: Receiver):
    client.call(answer_url=[receiver.on("/answer", HANG_UP, ncco(HELLO))])

    client.advance(3)

    assert attempts(client) == ["Connection closed.", 200]
