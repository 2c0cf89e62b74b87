"""The control routes: acting as the outside party, the clock, the log."""

import os

import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import BY_HAND, HELLO, MACHINE, PERSON, Client
from tests.sandbox.webhooks.receiver import Receiver, ncco, set_up
from tests.support.clock import FakeClock
from voicectl.sandbox.log import Log
from voicectl.voice.call import plain


class TestStatus:
    def test_it_shows_the_settings_and_the_number_of_legs(self, start: Start):
        client = start(seed=7, settle=1.5, limits=True)
        client.answered()
        client.call("447700900200")
        client.advance(2)
        client.fault("lost-reply")

        assert client.http.get("/sandbox/status").json() == {
            "url": client.url,
            "tls_url": None,
            "regions": client.sandbox.region_urls,
            "pid": os.getpid(),
            "application_id": client.identity.application_id,
            "call_time": "2026-01-01T00:00:04.500Z",
            "speed": 1,
            "frozen": True,
            "seed": 7,
            "settle": 1.5,
            "limits": True,
            "legs_live": 1,
            "legs": 2,
            "conversations": 1,
            "faults": 1,
            "webhooks_pending": 0,
        }

    def test_the_identity_has_no_secrets(self, client: Client):
        reply = client.http.get("/sandbox/identity")

        assert reply.json() == {
            "url": client.sandbox.url,
            "tls_url": None,
            "application_id": client.identity.application_id,
            "regions": client.sandbox.region_urls,
            "answer_url": None,
        }
        assert client.identity.application_id.startswith("5a4db0c5-")

    def test_the_identity_shows_the_answer_url_without_its_password(self, client: Client):
        set_up(client, answer="http://me:secret@127.0.0.1:9/answer")

        assert client.http.get("/sandbox/identity").json()["answer_url"] == "http://127.0.0.1:9/answer"

    def test_an_identity_shows_no_secrets_when_printed(self, client: Client):
        assert client.identity.api_secret not in repr(client.identity)
        assert client.identity.signature_secret not in repr(client.identity)


class TestReset:
    def test_it_clears_calls_faults_limits_and_log_and_reuses_no_id(self, start: Start):
        client = start(limits=True)
        first = [client.call() for _ in range(3)]
        client.advance(5)
        client.fault("lost-reply")

        assert client.control("reset").json() == {}

        assert client.http.get("/sandbox/log").text == ""
        assert client.http.get("/sandbox/faults").json() == []
        status = client.http.get("/sandbox/status").json()
        assert (status["legs"], status["conversations"]) == (0, 0)
        assert status["call_time"] == "2026-01-01T00:00:00.000Z"
        assert not {client.call() for _ in range(3)} & set(first)


class TestRing:
    def test_it_rings_at_once_and_is_answered_a_second_later_in_the_lobby(self, client: Client):
        reply = client.control("ring", to="442079460000")

        assert reply.status_code == 201
        record = reply.json()
        assert (record["status"], record["direction"]) == ("ringing", "inbound")
        assert record["to"] == {"type": "phone", "number": "442079460000"}
        assert record["from"] == {"type": "phone", "number": "447700900000"}
        client.advance(0.9)
        assert client.status(record["uuid"]) == "ringing"
        client.advance(0.1)
        assert client.status(record["uuid"]) == "answered"

    def test_two_callers_meet_in_the_lobby(self, client: Client):
        uuids = [client.control("ring", to="442079460000").json()["uuid"] for _ in range(2)]
        client.advance(1)

        client.control("press", leg=uuids[0], digits="1")

        assert [heard["digits"] for heard in client.hear(uuids[1])] == ["1"]

    def test_it_accepts_an_app_user_a_caller_and_an_ncco(self, client: Client):
        reply = client.control(
            "ring", to="app:alice", **{"from": "+447700900502"}, ncco=[HELLO | {"loop": 0}]
        )
        uuid = reply.json()["uuid"]

        client.advance(10)

        assert reply.json()["to"] == {"type": "app", "user": "alice"}
        assert client.record(uuid)["from"]["number"] == "447700900502"
        assert [heard["seconds"] for heard in client.hear(uuid)] == [2]

    def test_it_requests_the_answer_url_if_the_application_has_one(self, client: Client, receiver: Receiver):
        set_up(client, answer=receiver.on("/answer", ncco(HELLO)))

        uuid = client.control(
            "ring",
            to="442079460000",
            sip_headers={"X-Queue": "gold", "User-to-User": "01;encoding=hex", "X-Nexmo-Id": "kept back"},
        ).json()["uuid"]
        client.advance(10)

        (asked,) = receiver.at("/answer")
        assert (asked.fields["from"], asked.fields["uuid"]) == ("447700900000", uuid)
        headers = {name: value for name, value in asked.fields.items() if name.startswith("SipHeader_")}
        assert headers == {"SipHeader_X-Queue": "gold", "SipHeader_User-to-User": "01;encoding=hex"}
        assert [heard["text"] for heard in client.hear(uuid)] == ["Hello"]
        assert client.status(uuid) == "completed"

    def test_it_requests_no_url_if_an_ncco_is_given(self, client: Client, receiver: Receiver):
        set_up(client, answer=receiver.on("/answer", ncco(HELLO)))

        client.control("ring", to="442079460000", ncco=[HELLO])
        client.advance(10)

        assert receiver.requests == []

    def test_it_lives_in_the_given_region(self, client: Client):
        uuid = client.control("ring", to="442079460000", region="eu-west").json()["uuid"]

        assert client.sandbox.exchange.legs[uuid].region == "eu-west"

    def test_the_caller_behaves_as_its_number_says(self, client: Client):
        keys = {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1}}
        words = {"action": "input", "type": ["speech"]}

        client.control("ring", to="442079460000", **{"from": "447700900142"}, ncco=[keys, keys])
        client.control("ring", to="442079460000", **{"from": "447700900705"}, ncco=[words])
        client.advance(20)

        results = [entry for entry in client.log() if entry["kind"] == "input"]
        by_keys = [entry["dtmf"]["digits"] for entry in results if entry["from"] == "447700900142"]
        by_words = [entry["speech"]["results"] for entry in results if entry["from"] == "447700900705"]
        assert by_keys == ["4", "2"]
        assert [said["text"] for said in by_words[0]] == ["sales"]

    def test_it_needs_the_sandbox_s_own_application(self, client: Client):
        del client.sandbox.applications.by_id[client.sandbox.applications.own]

        reply = client.control("ring", to="442079460000")

        assert reply.status_code == 409
        assert "a reset restores it" in reply.json()["detail"]

    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            ({}, "to: Missing required parameter"),
            ({"to": "bob"}, "'bob' is not a phone number."),
            ({"to": "sip:a@b"}, "An inbound call must be to a number or to app:USER."),
            (
                {"to": "442079460000", "ncco": [{"action": "dance"}]},
                'ncco[0].action: "dance" is not an action',
            ),
            ({"to": "442079460000", "ncco": []}, "ncco: Must hold at least one action"),
            ({"to": "442079460000", "region": "mars"}, "region: Must be one of na-east,"),
            ({"to": "442079460000", "sip_headers": []}, "sip_headers: Invalid type"),
            ({"to": "442079460000", "sip_headers": {"Via": "x"}}, "sip_headers.Via: Must begin with X-"),
            ({"to": "442079460000", "sip_headers": {"X-a": 1}}, "sip_headers.X-a: Invalid type"),
            ({"to": "442079460000", "sip_headers": {"X-a": "b\nc"}}, "sip_headers.X-a: Must be printable"),
            ({"to": "442079460000", "sip_headers": {"X-a": "b" * 257}}, "sip_headers.X-a: Must be printable"),
        ],
    )
    def test_an_invalid_call_is_refused(self, client: Client, body, detail):
        reply = client.http.post("/sandbox/ring", json=body)

        assert reply.status_code == 400
        assert reply.json()["detail"].startswith(detail)
        assert client.http.get("/sandbox/status").json()["legs"] == 0


class TestTheOutsideParty:
    def test_it_answers_on_request(self, client: Client):
        uuid = client.call(BY_HAND)
        client.advance(30)
        assert client.status(uuid) == "ringing"

        reply = client.control("answer", leg=uuid)

        assert (reply.status_code, reply.json()["status"]) == (200, "answered")

    def test_it_declines(self, client: Client):
        uuid = client.call(BY_HAND)
        client.advance(30)

        reply = client.control("hangup", leg=uuid)

        assert (reply.status_code, reply.json()["status"]) == (200, "rejected")

    def test_it_presses_keys(self, client: Client):
        presser, listener = client.answered(), client.answered()

        reply = client.control("press", leg=presser, digits="12#")

        assert (reply.status_code, reply.json()) == (200, client.record(presser))
        assert client.hear(presser) == []
        assert client.hear(listener) == [
            {"at": "2026-01-01T00:00:05.000Z", "kind": "keys", "from": presser, "digits": "12#", "seconds": 0}
        ]

    def test_it_speaks(self, client: Client):
        speaker, listener = client.answered(), client.answered()

        reply = client.control("say", leg=speaker, text="Hello there, all")

        assert (reply.status_code, reply.json()) == (200, client.record(speaker))
        client.advance(10)
        assert client.hear(speaker) == []
        (heard,) = client.hear(listener)
        assert (heard["kind"], heard["from"], heard["text"]) == ("speech", speaker, "Hello there, all")
        assert heard["seconds"] == pytest.approx(16 / 14, abs=0.001)

    @pytest.mark.parametrize(
        "body", [{}, {"text": ""}, {"text": " "}, {"text": "x" * 1501}, {"text": "\x1b[1m"}]
    )
    def test_it_speaks_only_words(self, client: Client, body):
        assert client.control("say", leg=client.answered(), **body).status_code == 400

    def test_it_is_not_heard_while_muted(self, client: Client):
        presser, listener = client.answered(), client.answered()
        client.change(presser, "mute")

        client.control("press", leg=presser, digits="1")

        assert client.hear(listener) == []

    @pytest.mark.parametrize("path", ["answer", "press", "say", "hangup"])
    def test_it_cannot_do_what_the_state_forbids(self, client: Client, path):
        started, over = client.call(), client.call("447700900200")
        client.advance(0.4)
        early = client.control(path, leg=started, digits="1", text="Hi")
        client.advance(1)
        late = client.control(path, leg=over, digits="1", text="Hi")

        assert (early.status_code, late.status_code) == (409, 409)
        assert set(early.json()) == {"title", "detail", "code"}
        assert early.json()["code"] == "too-early"
        assert set(late.json()) == {"title", "detail"}

    def test_it_has_the_keys_of_a_telephone(self, client: Client):
        assert client.control("press", leg=client.answered(), digits="1w").status_code == 400


class TestNamingALeg:
    def test_a_prefix_of_either_case_and_without_hyphens_is_enough(self, client: Client):
        uuid = client.call(BY_HAND)
        client.advance(1)

        assert client.control("answer", leg=uuid[:4].upper()).json()["uuid"] == uuid
        assert client.control("press", leg=uuid.upper(), digits="1").json()["uuid"] == uuid
        assert client.control("press", leg=plain(uuid), digits="1").json()["uuid"] == uuid
        assert client.control("press", leg=plain(uuid)[:20], digits="1").json()["uuid"] == uuid

    def test_live_legs_come_first(self, start: Start):
        client, prefix = self.with_two_alike(start)
        first, second = client.alike
        client.change(first, "hangup")

        assert client.control("hangup", leg=prefix).status_code == 409  # the second, which does not ring yet
        client.change(second, "hangup")
        reply = client.http.get(f"/sandbox/hear/{prefix}")
        assert reply.status_code == 404
        assert len(reply.json()["candidates"]) == 2

    def test_several_matches_are_listed(self, start: Start):
        client, prefix = self.with_two_alike(start)

        reply = client.control("answer", leg=prefix)

        assert reply.status_code == 404
        assert reply.json() == {
            "title": "Not Found",
            "detail": f"2 leg ids begin with {prefix}.",
            "candidates": [
                {
                    "uuid": uuid,
                    "status": "started",
                    "direction": "outbound",
                    "to": PERSON,
                    "from": "447700900456",
                }
                for uuid in client.alike
            ],
        }

    @pytest.mark.parametrize("reference", ["x", "ffff", "0" * 40, "../status"])
    def test_no_match_gets_404_with_the_live_legs(self, client: Client, reference):
        over, live = client.call(), client.call()
        client.change(over, "hangup")

        reply = client.control("press", leg=reference, digits="1")

        assert reply.status_code == 404
        assert reply.json()["detail"] == f"No leg id begins with {reference}."
        assert [leg["uuid"] for leg in reply.json()["candidates"]] == [live]

    def test_three_characters_are_not_enough(self, client: Client):
        uuid = client.answered()

        assert client.control("press", leg=uuid[:3], digits="1").status_code == 404

    def with_two_alike(self, start: Start) -> tuple[Client, str]:
        """Calls until two ids begin with the same four characters: with this seed, the first two do."""
        client = start(seed=287_990)
        seen: dict[str, str] = {}
        while True:
            uuid = client.call()
            if uuid[:4] in seen:
                client.alike = [seen[uuid[:4]], uuid]
                return client, uuid[:4]
            seen[uuid[:4]] = uuid


class TestLog:
    def test_it_shows_requests_and_their_effects_in_order(self, client: Client):
        uuid = client.call(MACHINE, HELLO)
        client.advance(60)
        client.http.get("/v1/calls")

        log = client.log()

        assert [entry["n"] for entry in log] == list(range(1, len(log) + 1))
        assert [(entry["kind"], entry["status"]) for entry in log] == [
            ("request", 201),
            ("status", "started"),
            ("status", "ringing"),
            ("status", "answered"),
            ("status", "completed"),
            ("request", 401),
        ]
        assert log[0] | {"host_time": "", "trace_id": ""} == {
            "n": 1,
            "kind": "request",
            "host_time": "",
            "call_time": "2026-01-01T00:00:00.000Z",
            "method": "POST",
            "path": "/v1/calls",
            "operation": "createCall",
            "body": {
                "to": [{"type": "phone", "number": MACHINE}],
                "from": {"type": "phone", "number": "447700900456"},
                "ncco": [HELLO],
            },
            "status": 201,
            "fault": None,
            "region": None,
            "trace_id": "",
        }
        assert log[3]["uuid"] == uuid
        assert log[3]["call_time"] == "2026-01-01T00:00:03.500Z"
        assert (log[4]["disconnected_by"], log[4]["direction"]) == ("platform", "outbound")

    def test_it_never_contains_a_token(self, client: Client):
        token = client.token()
        client.http.get("/v1/calls", headers={"Authorization": f"Bearer {token}"})

        text = client.http.get("/sandbox/log").text

        assert not any(part in text for part in token.split("."))

    def test_it_shows_operation_path_and_query(self, client: Client):
        client.get("/v1/calls?page_size=5&status=busy")
        client.get("/v1/calls/a%2Fb")
        client.get("/v2/nothing")

        assert [(entry["operation"], entry["path"]) for entry in client.log()] == [
            ("getCalls", "/v1/calls?page_size=5&status=busy"),
            (None, "/v1/calls/a%2Fb"),
            (None, "/v2/nothing"),
        ]

    def test_since_leaves_out_earlier_entries(self, client: Client):
        client.call()
        client.call()

        assert [entry["n"] for entry in client.log(since=2)] == [3, 4]
        assert client.log(since=4) == client.log(since=10**12) == []
        assert len(client.http.get("/sandbox/log?since=1&limit=2").text.splitlines()) == 2
        assert client.http.get("/sandbox/log?since=x").status_code == 400

    def test_the_oldest_entries_are_dropped_first(self, clock: FakeClock, monkeypatch):
        monkeypatch.setattr("voicectl.sandbox.log.KEPT", 3)
        log = Log(clock.time, lambda: 0)
        for _ in range(5):
            log.add("remark")

        assert [[entry["n"] for entry in log.since(n)] for n in (0, 3, 5)] == [[3, 4, 5], [4, 5], []]

    def test_it_shows_an_act_of_a_party_before_its_effects(self, client: Client):
        uuid = client.control("ring", to="442079460000", ncco=[{"action": "talk", "text": "x" * 500}]).json()[
            "uuid"
        ]
        client.advance(1)
        client.control("press", leg=uuid, digits="12#")
        client.control("say", leg=uuid, text="sales")
        client.control("hangup", leg=uuid)
        client.control("hangup", leg=uuid)  # refused
        called = client.call(BY_HAND)
        client.advance(1)
        client.control("answer", leg=called)

        logged = [
            (entry["kind"], entry.get("what") or entry.get("status"), entry.get("uuid"))
            for entry in client.log()
        ]
        assert logged[0] == ("party", "ring", uuid)
        assert [each[:2] for each in logged if each[2] == uuid][-6:] == [
            ("party", "press"),
            ("remark", None),  # nothing listens
            ("party", "say"),
            ("remark", None),
            ("party", "hangup"),
            ("status", "completed"),
        ]
        of_called = [each[:2] for each in logged if each[2] == called]
        assert of_called.index(("status", "answered")) == of_called.index(("party", "answer")) + 1
        pressed = next(entry for entry in client.log() if entry.get("what") == "press")
        assert pressed["digits"] == "12#"

    def test_it_does_not_contain_control_requests(self, client: Client):
        client.advance(1)
        client.http.get("/sandbox/status")

        assert client.log() == []


class TestHear:
    def test_it_works_for_a_finished_leg_too(self, client: Client):
        uuid = client.call(PERSON, HELLO)
        client.advance(60)

        assert [heard["text"] for heard in client.hear(uuid[:8])] == ["Hello"]

    def test_it_shows_options_as_given(self, client: Client):
        uuid = client.answered()
        client.put(
            f"/v1/calls/{uuid}/talk",
            {"text": "Hi", "loop": 2, "level": "0.4", "language": "en-GB", "style": 2},
        )
        client.put(f"/v1/calls/{uuid}/stream", {"stream_url": ["http://x/a.mp3"], "loop": 0, "level": -1})
        client.advance(4)

        assert client.hear(uuid) == [
            {
                "at": "2026-01-01T00:00:02.500Z",
                "kind": "speech",
                "from": "platform",
                "text": "Hi",
                "seconds": 0.286,
                "loop": 2,
                "level": "0.4",
                "language": "en-GB",
                "style": 2,
            },
            {
                "at": "2026-01-01T00:00:02.500Z",
                "kind": "audio",
                "from": "platform",
                "url": "http://x/a.mp3",
                "seconds": 4,
                "loop": 0,
                "level": -1,
            },
        ]


def test_a_webhook_handler_cannot_advance_a_clock_that_is_being_advanced(client: Client, receiver: Receiver):
    replies = []

    def answer(_request: object) -> bytes:
        replies.append(client.control("advance", seconds=1).status_code)
        return ncco(HELLO)

    client.call(answer_url=[receiver.on("/answer", answer)])

    client.advance(3)

    assert replies == [409]
