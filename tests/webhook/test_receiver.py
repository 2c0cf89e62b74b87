"""The response to each request, and the events in the store afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vonage_jwt.verify_jwt import verify_signature

from tests.support.servers import Canned, Request, reply
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually
from voicectl.errors import StoreError
from voicectl.store.events import Arrival, EventStore, Kept, Outcome, Query, Route, Stored
from voicectl.store.events_spool import Spool
from voicectl.webhook.answers import Answers
from voicectl.webhook.forward import Forwarder
from voicectl.webhook.settings import Bounds
from voicectl.webhook.warnings import Warnings

from .serving import Held, Serving, open_store, request, serving, signed_request
from .signing import API_KEY, GONE, LEG, SECRET, bearer, event, token

HELLO = [{"action": "talk", "text": "Hello"}]
SORRY = [{"action": "talk", "text": "Sorry"}]
CALL = json.dumps(
    {"to": "442079460000", "from": "447700900789", "uuid": LEG, "endpoint_type": "phone"}
).encode()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as found:
        yield found


def answers(directory: Path, flow: object = HELLO) -> Answers:
    path = directory / "answer.json"
    path.write_text(json.dumps(flow))
    return Answers(path, lambda _: None)


class TestEvents:
    def test_a_signed_event_is_acknowledged_and_kept_byte_for_byte(self, receiver: Serving) -> None:
        body = b" " + event() + b"\n"

        found = receiver.ask(signed_request(body, jti="one"))

        assert (found.status, found.body) == (200, b"")
        (stored,) = receiver.stored()
        assert (stored.arrival.body, stored.arrival.is_signed, stored.arrival.jti) == (body, True, "one")
        assert [kept.outcome for _, kept in receiver.kept] == [Outcome.NEW]

    @pytest.mark.parametrize("route", ["event", "rtc"])
    def test_get_and_post_are_accepted(self, receiver: Serving, route: str) -> None:
        signed_get = [("Authorization", bearer(b'{"status":"started","uuid":"%s"}' % LEG.encode())[0])]
        get = request("GET", f"/webhooks/{route}?status=started&uuid={LEG}", headers=signed_get)

        assert receiver.ask(get).status == 200
        assert receiver.ask(signed_request(route=route)).status == 200
        assert [each.arrival.method for each in receiver.stored()] == ["GET", "POST"]

    def test_a_reference_in_the_url_comes_back(self, receiver: Serving) -> None:
        body = event()
        authorization = [("Authorization", bearer(body)[0])]
        receiver.ask(request("POST", "/webhooks/event?vc=abc", body, authorization))

        assert receiver.stored()[0].arrival.reference == "abc"

    def test_a_get_with_a_body_is_refused_since_no_signature_covers_both(self, receiver: Serving) -> None:
        assert receiver.ask(request("GET", "/webhooks/event?a=1", b"{}")).status == 400
        assert receiver.stored() == []

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_other_methods_are_refused(self, receiver: Serving, method: str) -> None:
        found = receiver.ask(request(method))

        assert (found.status, found.headers["allow"]) == (405, "GET, POST")

    @pytest.mark.parametrize(
        "path", ["/", "/webhooks", "/webhooks/", "/webhooks/Event", "/webhooks/event/", "/..", "/docs"]
    )
    def test_other_paths_are_not_found(self, receiver: Serving, path: str) -> None:
        assert receiver.ask(request("POST", path)).status == 404


class TestTrust:
    """W1, W5: the right status, and nothing kept as trusted."""

    def test_an_unsigned_event_gets_503_so_that_a_signed_copy_can_come(self, receiver: Serving) -> None:
        assert receiver.ask(request(body=event())).status == 503
        assert receiver.ask(signed_request()).status == 200
        assert len(receiver.stored()) == 1

    @pytest.mark.parametrize("route", ["event", "answer", "fallback", "rtc"])
    @pytest.mark.parametrize(
        "changes", [{"secret": "x" * 32}, {"payload_hash": GONE}, {"payload_hash": "0" * 64}, {"iat": 1}]
    )
    def test_a_forged_event_gets_401_and_is_not_kept(
        self, receiver: Serving, route: str, changes: dict[str, Any]
    ) -> None:
        found = receiver.ask(signed_request(route=route, **changes))

        assert found.status == 401
        assert receiver.stored() == []
        assert SECRET not in "".join(receiver.warnings)

    def test_the_reason_is_shown_here_but_not_to_the_forger_and_not_every_time(
        self, receiver: Serving
    ) -> None:
        for _ in range(5):
            assert receiver.ask(signed_request(secret="x" * 32)).body == b"Unauthorized\n"

        (line,) = receiver.warnings
        assert "not signed with the signature secret" in line
        receiver.clock.sleep(11)
        receiver.ask(signed_request(secret="x" * 32, now=receiver.clock.time()))
        assert receiver.warnings[1].endswith("(4 more like this since the last warning)")

    def test_a_request_with_two_tokens_is_refused(self, receiver: Serving) -> None:
        more = ("authorization", bearer(event())[0])

        assert receiver.ask(signed_request(headers=[more])).status == 401

    def test_unsigned_events_are_kept_and_marked_if_they_are_allowed(self, tmp_path: Path) -> None:
        with serving(tmp_path, is_unsigned_allowed=True) as receiver:
            assert receiver.ask(request(body=event())).status == 200
            assert receiver.ask(signed_request(event(status="answered"))).status == 200
            assert receiver.ask(signed_request(event(status="busy"), secret="x" * 32)).status == 401
            assert [each.arrival.is_signed for each in receiver.stored()] == [False, True]
            assert "unsigned request" in receiver.warnings[0]

    def test_without_a_known_secret_every_event_is_refused(self, tmp_path: Path) -> None:
        with serving(tmp_path, is_unsigned_allowed=True, is_verified=False) as receiver:
            assert receiver.ask(signed_request()).status == 200
            assert receiver.stored()[0].arrival.is_signed is False


class TestReplay:
    """W2: an exact repeat changes nothing, also after a restart; a token with something else is refused."""

    def test_an_exact_repeat_changes_nothing(self, tmp_path: Path) -> None:
        content = signed_request()
        with serving(tmp_path) as receiver:
            assert [receiver.ask(content).status for _ in range(3)] == [200, 200, 200]
        with serving(tmp_path) as receiver:
            assert receiver.ask(content).status == 200
            (stored,) = receiver.stored()
            assert stored.repeats == 3
            assert [kept.outcome for _, kept in receiver.kept] == [Outcome.REPEATED]

    def test_the_same_event_with_another_token_changes_nothing(self, receiver: Serving) -> None:
        assert [receiver.ask(signed_request()).status for _ in range(2)] == [200, 200]
        assert len(receiver.stored()) == 1

    def test_the_same_token_with_another_body_is_refused(self, tmp_path: Path) -> None:
        with serving(tmp_path) as receiver:
            assert receiver.ask(signed_request(jti="one")).status == 200
        with serving(tmp_path) as receiver:
            assert receiver.ask(signed_request(event(status="busy"), jti="one")).status == 401
            assert len(receiver.stored()) == 1

    def test_an_old_token_is_refused(self, receiver: Serving) -> None:
        content = signed_request()
        assert receiver.ask(content).status == 200
        receiver.clock.sleep(301)

        assert receiver.ask(content).status == 401


class TestRotation:
    def test_under_load_none_is_rejected(self, tmp_path: Path) -> None:
        """W4: the new secret is added, the platform changes over, the old one goes."""
        new = "n" * 32
        known: dict[str | None, tuple[str, ...]] = {API_KEY: (SECRET,)}
        statuses: list[int] = []
        with serving(tmp_path, secrets=lambda: known) as receiver:

            def send(secret: str) -> None:
                with receiver.client() as client:
                    for number in range(40):
                        body = event(timestamp=f"{secret[0]}{number}{threading.get_ident()}")
                        statuses.append(client.send(signed_request(body, secret=secret)).reply().status)

            old_senders = [threading.Thread(target=send, args=(SECRET,)) for _ in range(3)]
            new_senders = [threading.Thread(target=send, args=(new,)) for _ in range(3)]
            for thread in old_senders:
                thread.start()
            known[API_KEY] = (new, SECRET)
            for thread in new_senders:
                thread.start()
            for thread in old_senders:
                thread.join()
            known[API_KEY] = (new,)
            for thread in new_senders:
                thread.join()

            assert statuses == [200] * 240
            assert receiver.ask(signed_request()).status == 401


hostile = st.one_of(
    st.sampled_from(
        [
            b'{"status":"\\u0000","uuid":"\\u0000"}',
            b'{"status":"\\ud800"}',
            b'{"dtmf":{"digits":"\\udfff"},"timestamp":"\\ud83d"}',
            b'{"status":"started","duration":9223372036854775808}',
            b'{"n":' + b"9" * 5000 + b"}",
            b'{"price":NaN}',
            b'{"price":1e999}',
            b'{"timestamp":"2016-12-31T23:59:60Z","status":"x"}',
            b'{"status":"never-heard-of","call_uuid":"' + LEG.encode() + b'"}',
            b'{"status":["answered"],"uuid":{"a":1},"timestamp":7}',
            b'{"a":1,"a":2}',
            b"[" * 2_000,
            b'{"a":' * 2_000,
            b"",
            b"null",
            b"[]",
            b"\xff\xfe\x00",
            b"\xef\xbb\xbf{}",
        ]
    ),
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["status", "uuid", "timestamp", "dtmf", "original_request", "direction", "to", "from"]
                )
                | st.text(max_size=5),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One receiver for many examples."""
    directory = tmp_path_factory.mktemp("hostile")
    flow = [{"action": "talk", "text": "Hello {from} {uuid}"}]
    with serving(directory, answers=answers(directory, flow)) as found:
        yield found


class TestHostile:
    """W11: a signed event with any content is kept byte for byte, and never causes a 500."""

    @settings(deadline=None)
    @given(hostile, st.sampled_from(["event", "rtc", "answer", "fallback"]))
    def test_events_are_kept_byte_for_byte(self, answering: Serving, body: bytes, route: str) -> None:
        found = answering.ask(signed_request(body, route))

        assert found.status in (200, 400), found
        if route in ("event", "rtc"):
            assert any(each.arrival.body == body for each in answering.stored())
        assert not any("wrong" in line for line in answering.warnings)

    def test_no_request_causes_a_traceback(
        self, answering: Serving, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for body in (b"[" * 60_000, b'{"a":' * 13_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"\xff", b"{}"):
            assert answering.ask(signed_request(body)).status in (200, 400)
        assert capfd.readouterr().err == ""

    def test_an_unreadable_event_is_kept_and_reported(self, receiver: Serving) -> None:
        assert receiver.ask(signed_request(b"{'a': 1}")).status == 400

        (stored,) = receiver.stored()
        assert stored.arrival.body == b"{'a': 1}"
        assert stored.arrival.fault is not None
        assert "cannot be read" in receiver.warnings[0]


class Failing:
    """A wrapper around a store that fails until the test stops it."""

    def __init__(self, directory: Path) -> None:
        self.warnings: list[str] = []
        self.is_broken = True
        self._store: EventStore = open_store(directory)

    def add(self, arrivals: Any) -> list[Kept]:
        if self.is_broken:
            raise StoreError("The disk is full.")
        return self._store.add(arrivals)

    def find(self, query: Query) -> Iterator[Stored]:
        return self._store.find(query)

    def close(self) -> None:
        self._store.close()


class TestStoreTrouble:
    """W8: an event goes to the spool, then 200; an answer waits for nothing."""

    def test_events_are_spooled_while_the_database_is_locked(self, tmp_path: Path) -> None:
        with (
            serving(tmp_path) as receiver,
            closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as db,
        ):
            assert receiver.ask(signed_request(event(status="started"))).status == 200
            db.execute("BEGIN IMMEDIATE")

            assert receiver.ask(signed_request()).status == 200

            assert len(receiver.spooled()) == 1
            assert len(receiver.stored()) == 1
            db.execute("ROLLBACK")
            eventually(lambda: not receiver.spooled())
            assert [each.arrival.status for each in receiver.stored()] == ["started", "ringing"]
            assert [kept.id > 0 for _, kept in receiver.kept] == [True, False]
            eventually(lambda: "works again" in receiver.warnings[-1])

    def test_events_are_spooled_while_the_disk_of_the_store_is_full(self, tmp_path: Path) -> None:
        store = Failing(tmp_path)
        with serving(tmp_path, open_store=lambda: store) as receiver:
            assert [receiver.ask(signed_request(event(timestamp=str(n)))).status for n in range(3)] == [
                200
            ] * 3

            def health() -> tuple[str, str, int]:
                document = receiver.ask(request("GET", "/healthz")).json
                return document["status"], document["store"], document["spooled"]

            eventually(lambda: health() == ("spooling", "down", 3))  # fewer while they are tried again
            assert sum("full" in line for line in receiver.warnings) == 1

            store.is_broken = False

            eventually(lambda: not receiver.spooled())
            assert len(receiver.stored()) == 3
            eventually(lambda: health()[1] == "up")

    def test_a_full_disk_under_load_is_reported_once_for_each_kind_of_error(self, tmp_path: Path) -> None:
        with small_disk(tmp_path), serving(tmp_path) as receiver:
            statuses = set()
            for number in range(200):
                body = event(timestamp=str(number), text="x" * 20_000)
                statuses.add(receiver.ask(signed_request(body, jti=str(number))).status)
            assert statuses == {200, 503}

            eventually(lambda: any(line.startswith("refused an event") for line in receiver.warnings))
            warnings = [line for line in receiver.warnings if line != "The event store works again."]
            assert len(warnings) == 3
            assert "events.db cannot be used: no space left on the disk. Free disk space" in warnings[0]
            assert f"Events cannot be spooled in {tmp_path / 'spool'}: No space left" in warnings[1]
            assert not any(".spool " in line for line in warnings)

            receiver.clock.sleep(11)
            receiver.ask(signed_request(event(text="x" * 60_000)))
            eventually(lambda: any("more like this" in line for line in receiver.warnings))

    def test_events_are_spooled_if_the_store_cannot_be_opened(self, tmp_path: Path) -> None:
        def refuse() -> EventStore:
            raise StoreError("There is no PostgreSQL.")

        with serving(tmp_path, open_store=refuse) as receiver:
            assert receiver.ask(signed_request()).status == 200
        assert len(receiver.spooled()) == 1
        with serving(tmp_path) as receiver:  # the next start loads and reports it
            eventually(lambda: receiver.kept)
            assert not receiver.spooled()
            assert [each.arrival.status for each in receiver.stored()] == ["ringing"]

    def test_without_store_and_spool_an_event_is_refused_so_that_it_comes_again(self, tmp_path: Path) -> None:
        (tmp_path / "spool").write_text("no directory")
        store = Failing(tmp_path)
        with serving(tmp_path, open_store=lambda: store, answers=answers(tmp_path)) as receiver:
            assert receiver.ask(signed_request()).status == 503
            assert receiver.ask(signed_request(CALL, "answer")).json == HELLO

    def test_a_bug_in_the_store_loses_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        class Buggy(Failing):
            def add(self, arrivals: Any) -> list[Kept]:
                raise ZeroDivisionError

        with serving(tmp_path, open_store=lambda: Buggy(tmp_path)) as receiver:  # type: ignore[arg-type]
            assert receiver.ask(signed_request()).status == 200
        assert len(receiver.spooled()) == 1
        assert "ZeroDivisionError" in caplog.text

    def test_an_answer_does_not_wait_for_the_store(self, tmp_path: Path) -> None:
        store = Held()
        with (
            serving(tmp_path, open_store=lambda: store, answers=answers(tmp_path)) as receiver,
            receiver.client() as waiting,
        ):
            waiting.send(signed_request())
            eventually(lambda: receiver.limiter.states() == ["answering"])

            assert (
                receiver.ask(signed_request(CALL, "answer")).json == HELLO
            )  # the store is held all the while

            store.go()
            assert waiting.reply().status == 200
        assert [each.route for each in store.arrivals] == ["event", "answer"]

    def test_events_that_a_stuck_store_does_not_accept_are_spooled_at_the_end(self, tmp_path: Path) -> None:
        store = Held()
        with serving(
            tmp_path, open_store=lambda: store, answers=answers(tmp_path), grace_seconds=0.1
        ) as receiver:
            for number in range(3):
                receiver.ask(signed_request(CALL, "answer", jti=str(number)))
        assert len(receiver.spooled()) == 1
        store.go()


class TestAnswers:
    def test_a_call_is_answered_from_memory_and_kept(self, tmp_path: Path) -> None:
        with serving(tmp_path, answers=answers(tmp_path)) as receiver:
            found = receiver.ask(signed_request(CALL, "answer"))

            assert (found.status, found.headers["content-type"], found.json) == (
                200,
                "application/json",
                HELLO,
            )
        assert [(each.arrival.kind, each.arrival.leg) for each in receiver.stored()] == [("answer", LEG)]

    def test_a_get_request_is_answered(self, tmp_path: Path) -> None:
        with serving(tmp_path, answers=answers(tmp_path)) as receiver:
            payload = b'{"to":"442079460000","uuid":"%s"}' % LEG.encode()
            content = request(
                "GET",
                f"/webhooks/answer?to=442079460000&uuid={LEG}",
                headers=[("Authorization", bearer(payload)[0])],
            )
            assert receiver.ask(content).json == HELLO

    def test_rules_use_the_direction_from_earlier_events_of_the_leg(self, tmp_path: Path) -> None:
        rules = tmp_path / "rules.toml"
        rules.write_text(
            "[[rule]]\ndirection = 'outbound'\nanswer = [{action = 'talk', text = 'Hello'}]\n"
            "[[rule]]\nanswer = [{action = 'talk', text = 'Sorry'}]\n"
        )
        with serving(tmp_path, answers=Answers(rules, lambda _: None)) as receiver:
            assert receiver.ask(signed_request(CALL, "answer")).json == SORRY
            assert receiver.ask(signed_request(event(direction="outbound"))).status == 200
            assert receiver.ask(signed_request(CALL, "answer")).json == HELLO

    def test_without_a_flow_it_is_404_and_reported(self, receiver: Serving) -> None:
        assert receiver.ask(signed_request(CALL, "answer")).status == 404
        assert "neither --answer nor --forward-to" in receiver.warnings[0]

    def test_an_exact_repeat_gets_the_same_answer_even_if_the_file_changed(self, tmp_path: Path) -> None:
        found = answers(tmp_path)
        content = signed_request(CALL, "answer")
        with serving(tmp_path, answers=found) as receiver:
            assert receiver.ask(content).json == HELLO
        with serving(tmp_path, answers=found) as receiver:
            first = receiver.ask(content).json
            answers(tmp_path, SORRY)
            assert receiver.ask(content).json == first

    @pytest.mark.parametrize(("kind", "flow"), [("event", None), ("answer", HELLO)])
    def test_a_fallback_of_an_event_has_no_flow(self, tmp_path: Path, kind: str, flow: object) -> None:
        body = json.dumps(json.loads(CALL) | {"reason": "x", "original_request": {"url": "x", "type": kind}})
        with serving(tmp_path, answers=answers(tmp_path)) as receiver:
            found = receiver.ask(signed_request(body.encode(), "fallback"))

            assert found.status == 200
            assert (found.json if found.body else None) == flow

    def test_a_fallback_without_an_earlier_request_is_kept_as_a_fallback(self, tmp_path: Path) -> None:
        body = {"reason": "Connection closed.", "original_request": {"url": "https://x/e", "type": "event"}}
        with serving(tmp_path) as receiver:
            assert receiver.ask(signed_request(json.dumps(body).encode(), "fallback")).status == 200
            ((_, kept, _),) = receiver.stored()
        assert (kept.route, kept.kind) == ("fallback", "fallback")

    def test_a_fallback_of_an_event_is_acknowledged_once_it_is_kept(self, tmp_path: Path) -> None:
        store = Held()
        body = event(status="machine", original_request={"url": "x", "type": "event"})
        with serving(tmp_path, open_store=lambda: store) as receiver, receiver.client() as waiting:
            waiting.send(signed_request(body, "fallback"))
            eventually(lambda: receiver.limiter.states() == ["answering"])
            assert store.arrivals == []

            store.go()
            assert waiting.reply().status == 200
        (kept,) = store.arrivals
        assert (kept.route, kept.kind, kept.leg) == ("fallback", "status", LEG)

    def test_a_token_used_for_one_request_is_refused_for_another(self, tmp_path: Path) -> None:
        """W2: a call's token comes again, with something else; also after a restart."""
        found = answers(tmp_path)
        jti = "9e107d9d-0000-4000-8000-000000000000"
        content = signed_request(CALL, "answer", jti=jti)
        elsewhere = [signed_request(CALL, "fallback", jti=jti), content.replace(b"/answer ", b"/answer?a=1 ")]
        with serving(tmp_path, answers=found) as receiver:
            assert receiver.ask(content).status == 200
            assert [receiver.ask(each).status for each in elsewhere] == [401, 401]
            assert receiver.ask(content).status == 200
        with serving(tmp_path, answers=found) as receiver:
            assert receiver.ask(signed_request()).status == 200  # its store is open by then
            assert [receiver.ask(each).status for each in elsewhere] == [401, 401]
            assert receiver.ask(content).status == 200

    def test_an_unsigned_parameter_causes_a_warning(self, tmp_path: Path) -> None:
        signed = token(b'{"uuid":"x","to":"442079460000"}')
        authorization = ("Authorization", f"Bearer {signed}")
        content = request("GET", "/webhooks/answer?order=17&uuid=x&to=442079460000", headers=[authorization])
        with serving(tmp_path, answers=answers(tmp_path)) as receiver:
            assert receiver.ask(content).json == HELLO
            (line,) = receiver.warnings
        assert line.startswith("warning: ")
        assert "'order'" in line

    def test_the_hash_covers_the_answer_request_too(self, tmp_path: Path) -> None:
        with serving(tmp_path, answers=answers(tmp_path)) as receiver:
            altered = signed_request(CALL, "answer").replace(b"442079460000", b"442079460001")
            assert receiver.ask(altered).status == 401


@pytest.mark.parametrize(
    "path", ["/webhooks%2fevent", "/webhooks/%65vent", "/webhooks//event", "/webhooks/event/"]
)
def test_a_path_is_matched_as_sent(receiver: Serving, path: str) -> None:
    content = signed_request().replace(b"/webhooks/event ", f"{path} ".encode())
    assert receiver.ask(content).status == 404
    assert receiver.stored() == []


@pytest.mark.parametrize(
    "header", [("Origin", "https://evil.example.org"), ("oRigin", "null"), ("Sec-Fetch-Site", "none")]
)
@pytest.mark.parametrize("route", ["event", "answer", "rtc"])
def test_a_browser_is_always_refused(tmp_path: Path, header: tuple[str, str], route: str) -> None:
    with serving(tmp_path, is_unsigned_allowed=True, answers=answers(tmp_path)) as receiver:
        assert receiver.ask(request("POST", f"/webhooks/{route}", event(), [header])).status == 403
        assert receiver.ask(signed_request(route=route, headers=[header])).status == 403
        assert receiver.ask(request("POST", f"/webhooks/{route}", event())).status == 200
        assert len(receiver.stored()) <= 1


def test_a_websocket_is_refused_with_a_reason(tmp_path: Path) -> None:
    handshake = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    with Canned(reply(200)) as app, serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
        assert receiver.ask(request("GET", "/socket", b"", handshake)).status == 501

        assert receiver.stored() == []
        assert app.requests == []
    assert "use the address at which your server itself can be reached" in receiver.warnings[0]


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:3000", True),
        ("localhost", True),
        ("[::1]:3000", True),
        ("voice.example.org", True),
        ("Voice.Example.org:443", True),
        ("evil.example.org", False),
        ("localhost.evil.example.org", False),
        ("voice.example.org@evil.example.org", False),
        ("[", False),
        ("", False),
    ],
)
def test_an_unsigned_request_must_be_addressed_to_this_machine(
    tmp_path: Path, host: str, is_ours: bool
) -> None:
    with serving(tmp_path, is_unsigned_allowed=True, public_host="voice.example.org") as receiver:
        content = request("POST", "/webhooks/event", event(), host=host)
        assert receiver.ask(content).status == (200 if is_ours else 403)
        signed = signed_request().replace(b"Host: 127.0.0.1", f"Host: {host}".encode())
        assert receiver.ask(signed).status == 200, "a tunnel passes on the public host"


class App(Canned):
    """The user's own app, which can be made to wait."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(*replies)
        self.may_answer = threading.Event()
        self.may_answer.set()

    async def answer(self, request: Request) -> Any:
        while not self.may_answer.is_set():
            await asyncio.sleep(0.005)
        return await super().answer(request)


def reporting(url: str, lines: list[str]) -> dict[str, Any]:
    """Return the settings of a receiver in front of the app at *url* that adds each new warning to *lines*."""
    warn = Warnings(lines.append, monotonic=lambda: 0.0)
    return {"warn": warn, "forwarder": Forwarder(url, on_trouble=lambda line: warn(line, line))}


class TestForwarding:
    def test_a_fallback_of_an_event_may_have_another_ncco(self, tmp_path: Path) -> None:
        body = event(dtmf={"digits": "1"}, original_request={"url": "x", "type": "event"})
        with (
            App(reply(200, SORRY)) as app,
            serving(tmp_path, forwarder=Forwarder(app.url)) as receiver,
        ):
            assert receiver.ask(signed_request(body, "fallback")).json == SORRY
            assert [request.target for request in app.requests] == ["/fallback"]
            metrics = receiver.ask(request("GET", "/metrics")).body.decode()
        assert 'voicectl_webhook_forwards_total{outcome="answered",route="fallback"} 1.0' in metrics

    def test_the_answer_of_the_app_is_passed_on(self, tmp_path: Path) -> None:
        with (
            App(reply(200, HELLO)) as app,
            serving(tmp_path, forwarder=Forwarder(f"{app.url}/voice")) as receiver,
        ):
            content = signed_request(CALL, "answer")
            assert receiver.ask(content).json == HELLO
            assert receiver.ask(content).json == HELLO  # and is not requested twice

            (asked,) = app.requests
            assert (asked.path, asked.body, asked.headers["x-forwarded-for"]) == (
                "/voice/answer",
                CALL,
                "127.0.0.1",
            )
            assert "authorization" in asked.headers

    @pytest.mark.parametrize(
        "said",
        [
            reply(500, b"Oops", content_type="text/plain"),
            reply(404),
            reply(503, retry_after="3"),
            reply(302, location="/login"),
            reply(200, {"no": "ncco"}),
            reply(200, b"{bad"),
            reply(200, b"<html>login</html>", content_type="text/html"),
            reply(200, b"<Response/>", content_type="application/xml"),
            reply(200, HELLO, content_type="Text/HTML; charset=utf-8"),
            reply(200, HELLO, content_type="text/xml; charset=utf-8"),
            reply(200, HELLO, content_type="application/xhtml+xml"),
            reply(200, HELLO, content_type="application/soap+XML"),
            reply(200, b"x", content_encoding="gzip"),
        ],
    )
    def test_a_response_without_an_ncco_is_reported_and_passed_on_unless_a_rule_answers_instead(
        self, tmp_path: Path, said: bytes
    ) -> None:
        lines: list[str] = []
        with App(said) as app:
            with serving(tmp_path, **reporting(app.url, lines), answers=answers(tmp_path, SORRY)) as receiver:
                assert receiver.ask(signed_request(CALL, "answer")).json == SORRY
                assert len(lines) == 1
            with serving(tmp_path, **reporting(app.url, lines)) as receiver:
                found = receiver.ask(signed_request(CALL, "answer", jti="other"))
        assert len(lines) == 2
        head, _, body = said.decode().partition("\r\n\r\n")
        assert (str(found.status), found.body.decode()) == (head.split()[1], body)
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            assert found.headers[name.lower()] == value

    def test_no_complete_response_is_replaced_by_a_rule_or_by_504(self, tmp_path: Path) -> None:
        with (
            App(b"nonsense") as app,
            serving(tmp_path, forwarder=Forwarder(app.url), answers=answers(tmp_path, SORRY)) as receiver,
        ):
            assert receiver.ask(signed_request(CALL, "answer")).json == SORRY
        with App(b"nonsense") as app, serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
            assert receiver.ask(signed_request(CALL, "answer")).status == 504

    def test_a_failed_request_is_sent_again_if_it_is_repeated(self, tmp_path: Path) -> None:
        with App(reply(503), reply(200, HELLO)) as app:
            with serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
                content = signed_request(CALL, "answer")
                assert [receiver.ask(content).status for _ in range(3)] == [503, 200, 200]
            assert len(app.requests) == 2

    @pytest.mark.parametrize(
        "said",
        [
            reply(200, b""),
            reply(200, b"\r\n", content_type="text/html"),
            reply(204),
            reply(200, []),
            reply(200, HELLO, content_type="text/plain"),
            b"HTTP/1.0 200 OK\r\n\r\n[]",
        ],
    )
    def test_no_actions_and_any_type_but_html_and_xml_are_passed_on_without_a_remark(
        self, tmp_path: Path, said: bytes
    ) -> None:
        with (
            App(said) as app,
            serving(tmp_path, forwarder=Forwarder(app.url), answers=answers(tmp_path, SORRY)) as receiver,
        ):
            found = receiver.ask(signed_request(CALL, "answer"))
            assert receiver.warnings == []
        head, _, body = said.decode().partition("\r\n\r\n")
        assert (str(found.status), found.body.decode()) == (head.split()[1], body)
        assert ("content-type" in found.headers) == ("Content-Type" in head)
        assert found.headers.get("content-type", "") in head

    def test_a_request_to_a_url_of_the_app_is_forwarded_verified_and_kept(self, tmp_path: Path) -> None:
        body = event(dtmf={"digits": "1"})
        with (
            App(reply(200, SORRY)) as app,
            serving(tmp_path, forwarder=Forwarder(f"{app.url}/voice")) as receiver,
        ):
            content = signed_request(body, jti="one").replace(b"/webhooks/event ", b"/menu%2f1?order=17 ")
            assert receiver.ask(content).json == SORRY
            assert receiver.ask(content).json == SORRY  # and is not requested twice
            assert [(each.target, each.body) for each in app.requests] == [("/menu%2f1?order=17", body)]
            (stored,) = receiver.stored()
            assert (stored.arrival.kind, stored.arrival.is_signed, stored.repeats) == ("input", True, 1)

            elsewhere = content.replace(b"/menu", b"/other")
            assert receiver.ask(elsewhere).status == 401, "its token is for another URL"
            altered = content.replace(b'"1"', b'"2"')
            assert [receiver.ask(each).status for each in (altered, request("GET", "/menu"))] == [401, 503]
            assert len(app.requests) == 1

    @pytest.mark.parametrize(
        ("earlier", "targets"),
        [
            ({}, ["/event", "/rtc"]),
            ({"answer": "http://x/webhooks/answer"}, []),
            ({"answer": "http://x/answer", "rtc": "http://x/webhooks/rtc"}, ["/webhooks/rtc"]),
        ],
    )
    def test_events_that_the_app_would_not_get_alone_are_not_forwarded(
        self, tmp_path: Path, earlier: dict[str, str], targets: list[str]
    ) -> None:
        with App(reply(200)) as app:
            forwarder = Forwarder(app.url)
            forwarder.follow(earlier)
            with serving(tmp_path, forwarder=forwarder) as receiver:
                assert [receiver.ask(signed_request(route=route)).status for route in ("event", "rtc")] == [
                    200,
                    200,
                ]
                assert len(receiver.stored()) == 2
            assert sorted(each.target for each in app.requests) == targets

    def test_an_app_without_a_fallback_webhook_is_not_asked_for_a_fallback(self, tmp_path: Path) -> None:
        call = json.dumps(
            json.loads(CALL) | {"reason": "x", "original_request": {"url": "x", "type": "answer"}}
        )
        about_event = event(dtmf={"digits": "1"}, original_request={"url": "x", "type": "event"})
        fallbacks = [signed_request(each, "fallback") for each in (call.encode(), about_event)]
        with App(reply(200, HELLO)) as app:
            forwarder = Forwarder(app.url)
            forwarder.follow({"answer": "http://x/answer", "event": "http://x/event"})
            with serving(tmp_path, forwarder=forwarder) as receiver:
                found = [receiver.ask(each) for each in fallbacks]
                assert [(each.status, each.body) for each in found] == [(404, b"Not Found\n"), (200, b"")]
                assert "your application has no fallback webhook" in receiver.warnings[0]
            with serving(tmp_path, forwarder=forwarder, answers=answers(tmp_path, SORRY)) as receiver:
                assert receiver.ask(fallbacks[0]).json == SORRY
            assert app.requests == []

    def test_the_spool_keeps_the_path_of_a_token(self, tmp_path: Path) -> None:
        arrival = Arrival.read(
            received=0.0,
            route=Route.EVENT,
            method="POST",
            query=b"",
            body=b"{}",
            is_signed=True,
            path=b"/menu",
        )
        spool = Spool(tmp_path / "spool")
        (loaded,) = spool.load(spool.put([arrival]))
        assert (loaded, loaded.path, loaded.key) == (arrival, arrival.path, arrival.key)

    def test_each_reason_for_a_refused_answer_is_reported_once(self, tmp_path: Path) -> None:
        unknown = [reply(200, [{"action": each}]) for each in ("tlak", "sing", "dance")]
        page, missing = reply(200, b"<b>x", content_type="text/html"), reply(200, [{"action": "talk"}])
        said = [
            reply(200, b"{bad"),
            page,
            *unknown,
            reply(500),
            reply(404),
            missing,
            unknown[0],
            reply(302),
            page,
        ]
        reasons = ["not JSON", "text/html", '"tlak"', '"sing"', '"dance"', "500", "404", "no text", "302"]
        lines: list[str] = []
        with App(*said) as app, serving(tmp_path, **reporting(app.url, lines)) as receiver:
            for number in range(len(said)):
                receiver.ask(signed_request(CALL, "answer", jti=str(number)))
        for reason, line in zip(reasons, lines, strict=True):
            assert reason in line

    def test_a_late_answer_is_replaced(self, tmp_path: Path) -> None:
        bounds = Bounds(answer_seconds=0.05)
        with App(reply(200, HELLO)) as app:
            app.may_answer.clear()
            with serving(
                tmp_path, forwarder=Forwarder(app.url), answers=answers(tmp_path, SORRY), bounds=bounds
            ) as receiver:
                assert receiver.ask(signed_request(CALL, "answer")).json == SORRY
            app.may_answer.set()

    def test_identical_requests_at_once_are_forwarded_once(self, tmp_path: Path) -> None:
        with App(reply(200, HELLO)) as app, serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
            app.may_answer.clear()
            content = signed_request(CALL, "answer")
            with receiver.client() as one, receiver.client() as other:
                one.send(content)
                other.send(content)
                eventually(lambda: app.requests and receiver.limiter.states() == ["answering"] * 2)
                app.may_answer.set()
                assert one.reply().json == other.reply().json == HELLO
            assert len(app.requests) == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"dtmf": {"digits": "1"}, "status": GONE},
            {"payload": {"a": 1}, "status": GONE},
            *(
                {"status": status}
                for status in ("human", "machine", "disconnected", "timeout", "busy", "failed")
            ),
            *({"status": status} for status in ("rejected", "unanswered")),
        ],
    )
    def test_an_event_that_an_ncco_may_follow_is_kept_and_answered_by_the_app(
        self, tmp_path: Path, fields: dict[str, Any]
    ) -> None:
        payload = {name: value for name, value in (json.loads(event()) | fields).items() if value is not GONE}
        body = json.dumps(payload).encode()
        with (
            App(reply(200, SORRY), reply(500)) as app,
            serving(tmp_path, forwarder=Forwarder(app.url)) as receiver,
        ):
            assert receiver.ask(signed_request(body)).json == SORRY
            assert receiver.ask(signed_request(body)).json == SORRY  # sent again, but not asked again
            assert len(app.requests) == 1
            assert receiver.ask(signed_request(body + b" ")).status == 500, "as the app answered"
            assert len(receiver.stored()) == 2

    def test_any_other_event_is_acknowledged_first_and_forwarded_later(self, tmp_path: Path) -> None:
        with App(reply(200)) as app, serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
            app.may_answer.clear()
            assert receiver.ask(signed_request(event(status="answered"))).status == 200
            assert (
                receiver.ask(signed_request(event(status="answered"))).status == 200
            )  # a repeat is not forwarded
            assert receiver.ask(signed_request(route="rtc")).status == 200
            app.may_answer.set()
            eventually(lambda: len(app.requests) == 2)
        assert sorted(each.path for each in app.requests) == ["/event", "/rtc"]

    def test_a_slow_app_does_not_cause_a_growing_queue_of_events(self, tmp_path: Path) -> None:
        bounds = Bounds(behind=3)
        with (
            App(reply(200)) as app,
            serving(tmp_path, forwarder=Forwarder(app.url), bounds=bounds) as receiver,
        ):
            app.may_answer.clear()
            for number in range(5):
                assert receiver.ask(signed_request(event(timestamp=str(number)))).status == 200
            assert "too slow" in receiver.warnings[0]
            assert len(receiver.stored()) == 5
            app.may_answer.set()
        assert len(app.requests) == 3

    def test_refused_requests_are_not_forwarded(self, tmp_path: Path) -> None:
        with App(reply(200)) as app, serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
            receiver.ask(signed_request(secret="x" * 32))
            receiver.ask(request(body=event()))
        assert app.requests == []


class TestStatusPages:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.0.0.1:3000", "localhost:3000", "[::1]:3000", "10.1.2.3", "[::1]"]
    )
    def test_they_are_served_to_requests_for_a_loopback_address(self, receiver: Serving, host: str) -> None:
        assert receiver.ask(request("GET", "/healthz", host=host)).json["status"] == "ok"
        assert receiver.ask(request("GET", "/metrics", host=host)).status == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1].a:1"]
    )
    def test_requests_for_other_hosts_are_refused(self, receiver: Serving, host: str) -> None:
        """W12."""
        for path in ("/healthz", "/metrics"):
            assert receiver.ask(request("GET", path, host=host)).status == 403
        assert (
            receiver.ask(signed_request().replace(b"Host: 127.0.0.1", b"Host: " + host.encode())).status
            == 200
        )

    def test_two_host_headers_and_none_are_refused(self, receiver: Serving) -> None:
        assert receiver.ask(request("GET", "/healthz", headers=[("Host", "127.0.0.1")])).status == 403
        assert receiver.ask(b"GET /healthz HTTP/1.0\r\n\r\n").status == 403

    def test_they_are_read_only(self, receiver: Serving) -> None:
        assert receiver.ask(request("POST", "/healthz")).status == 405
        assert receiver.ask(request("DELETE", "/metrics")).status == 405

    def test_metrics_count_requests(self, receiver: Serving) -> None:
        receiver.ask(signed_request())
        receiver.ask(request(body=event()))
        receiver.ask(b"nonsense\r\n\r\n")

        lines = receiver.ask(request("GET", "/metrics")).body.decode().splitlines()

        assert 'voicectl_webhook_requests_total{route="event",status="200"} 1.0' in lines
        assert 'voicectl_webhook_requests_total{route="event",status="503"} 1.0' in lines
        assert 'voicectl_webhook_events_total{outcome="new"} 1.0' in lines
        assert "voicectl_webhook_refused 1.0" in lines
        assert "voicectl_webhook_store_up 1.0" in lines


def test_a_request_that_an_official_application_verifies_is_forwarded_unchanged(tmp_path: Path) -> None:
    body = event(status="answered")
    with App(reply(200)) as app, serving(tmp_path, forwarder=Forwarder(app.url)) as receiver:
        made = token(body)
        headers = [("Authorization", f"Bearer {made}")]
        assert receiver.ask(request("POST", "/webhooks/event?vc=1", body, headers)).status == 200
        eventually(lambda: app.requests)
    assert app.requests[0].target == "/event?vc=1"
    assert app.requests[0].token == made
    assert verify_signature(made, SECRET)
