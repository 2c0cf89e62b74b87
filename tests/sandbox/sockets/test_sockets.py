"""WebSocket endpoints: the messages that a bot gets, and the sounds that others hear from it."""

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from websockets.asyncio.server import ServerConnection

from tests.sandbox.conftest import Start
from tests.sandbox.parts import HELLO, PERSON, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver, set_up
from tests.support.bots import Bot, echo, saying
from tests.support.certificates import Authority
from tests.support.clock import FakeClock
from tests.support.servers import Listener
from tests.support.waiting import eventually
from voicectl.sandbox.destinations import Destinations
from voicectl.sandbox.recordings.audio import mix

SOUND = b"\x10\x20" * 320
"""A frame at 16,000 samples a second."""

StartBot = Callable[..., Bot]


@pytest.fixture
def start_bot() -> Iterator[StartBot]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Bot(**options))


@pytest.fixture
def bot(start_bot: StartBot) -> Bot:
    """A bot that listens."""
    return start_bot()


def endpoint(uri: str, rate: int = 16_000, **options: Any) -> dict[str, Any]:
    return {"type": "websocket", "uri": uri, "content-type": f"audio/l16;rate={rate}", **options}


def connect(uri: str, rate: int = 16_000, **options: Any) -> dict[str, Any]:
    return {"action": "connect", "endpoint": [endpoint(uri, rate, **options)]}


def order(uri: str) -> dict[str, Any]:
    """The body of a call that brings a bot into the room."""
    return {"to": [endpoint(uri)], "from": {"type": "phone", "number": "447700900456"}, "ncco": [ROOM]}


def meet(client: Client, uri: str, rate: int = 16_000, **options: Any) -> tuple[str, str]:
    """Connect a person, who stays after the bot has left, to a bot; return both legs."""
    person = client.answered(PERSON, connect(uri, rate, **options), ROOM)
    return person, leg_of(client, uri)


def leg_of(client: Client, uri: str) -> str:
    calls = client.get("/v1/calls").json()["_embedded"]["calls"]
    return next(call["uuid"] for call in calls if call["to"].get("uri") == uri)


def entries(client: Client, uuid: str | None = None) -> list[dict[str, Any]]:
    found = [entry for entry in client.log() if entry["kind"] == "websocket"]
    return [entry for entry in found if uuid in (None, entry["uuid"])]


def logged_events(client: Client, uuid: str, event: str) -> list[dict[str, Any]]:
    return [entry for entry in entries(client, uuid) if entry["event"] == event]


def statuses(client: Client, uuid: str) -> list[str]:
    return [entry["status"] for entry in client.log() if entry["kind"] == "status" and entry["uuid"] == uuid]


def comes(client: Client, uuid: str, event: str) -> dict[str, Any]:
    """Wait for the first log entry of this event, and return it."""
    Bot().until(lambda: logged_events(client, uuid, event))
    return logged_events(client, uuid, event)[0]


class TestConnecting:
    def test_the_first_message_contains_the_content_type_and_the_headers(self, client: Client, bot: Bot):
        meet(client, bot.url, 8000, headers={"caller": "447700900456", "order": {"id": 17}, "event": "mine"})

        eventually(lambda: bot.events)
        assert bot.events == [
            {
                "event": "websocket:connected",
                "content-type": "audio/l16;rate=8000",
                "caller": "447700900456",
                "order": {"id": 17},
            }
        ]

    def test_the_leg_is_answered_without_ringing(self, client: Client, bot: Bot):
        _, leg = meet(client, bot.url)

        assert statuses(client, leg) == ["started", "answered"]

    def test_a_call_can_be_placed_to_a_websocket(self, client: Client, bot: Bot):
        made = client.api("POST", "/v1/calls", order(bot.url))

        assert client.status(made.json()["uuid"]) == "answered"

    def test_the_handshake_carries_a_signed_token(self, client: Client, bot: Bot):
        meet(client, bot.url)

        scheme, _, token = bot.handshakes[0].headers["Authorization"].partition(" ")
        claims = jwt.decode(
            token,
            client.identity.signature_secret,
            algorithms=["HS256"],
            options={"verify_iat": False},  # the clock of this test is not the machine's
        )
        assert scheme == "Bearer"
        assert (claims["iss"], claims["api_key"]) == ("Vonage", client.identity.api_key)
        assert claims["application_id"] == client.identity.application_id
        assert claims["iat"] == int(client.clock.time())

    def test_a_given_authorization_is_sent_instead_and_never_logged(self, client: Client, bot: Bot):
        _, leg = meet(client, bot.url, authorization={"type": "custom", "value": "Key s3cret"})

        assert bot.handshakes[0].headers["Authorization"] == "Key s3cret"
        assert "s3cret" not in json.dumps(
            [entry for entry in client.log() if entry["kind"] != "request"]  # a request is logged as it came
        )
        assert "s3cret" not in json.dumps(client.record(leg))

    def test_no_extension_or_subprotocol_is_requested(self, client: Client, bot: Bot):
        meet(client, bot.url)

        names = {name.lower() for name in bot.handshakes[0].headers}
        assert not names & {"sec-websocket-extensions", "sec-websocket-protocol", "origin"}

    def test_tls_is_used_with_servers_that_the_machine_trusts(
        self, client: Client, start_bot: StartBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        authority = Authority(tmp_path)
        bot = start_bot(tls=authority.context())
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))

        meet(client, bot.url)

        assert bot.events[0]["event"] == "websocket:connected"


class TestMappedHosts:
    @pytest.mark.parametrize("uri", ["ws://demo.example.com/bot?a=1", "wss://Demo.example.com:8443/bot?a=1"])
    def test_a_socket_of_a_mapped_host_is_opened_on_this_machine(self, start: Start, bot: Bot, uri: str):
        client = start(destinations=Destinations(mapped={"demo.example.com": origin(bot)}))

        _, leg = meet(client, uri)

        (handshake,) = bot.handshakes
        assert handshake.path == "/bot?a=1"
        assert handshake.headers.get_all("Host") == [urlsplit(uri).netloc.lower()]
        (logged,) = logged_events(client, leg, "connected")
        assert (logged["url"], logged["address"]) == (uri, bot.url + "?a=1")

    def test_a_mapped_host_can_be_served_with_tls(
        self, start: Start, start_bot: StartBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        authority = Authority(tmp_path)
        bot = start_bot(tls=authority.context("127.0.0.1"))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        client = start(destinations=Destinations(mapped={"demo.example.com": origin(bot)}))

        meet(client, "ws://demo.example.com/bot")

        assert bot.handshakes[0].headers["Host"] == "demo.example.com"

    @pytest.mark.parametrize("host", ["a.demo.example.com", "demo.example.com.example.org"])
    def test_only_the_whole_name_is_mapped(self, start: Start, bot: Bot, host: str):
        client = start(destinations=Destinations(mapped={"demo.example.com": origin(bot)}))

        _, leg = meet(client, f"ws://{host}/bot")

        assert statuses(client, leg) == ["started", "failed"]
        assert bot.handshakes == []


def origin(bot: Bot) -> str:
    return bot.url.removesuffix("/bot").replace("ws", "http", 1)


class TestRefused:
    def refused(self, client: Client, uri: str) -> str:
        """Return why the call to *uri* failed."""
        _, leg = meet(client, uri)
        assert statuses(client, leg) == ["started", "failed"]
        return str(logged_events(client, leg, "not connected")[0]["reason"])

    def test_a_port_without_a_server_is_refused(self, client: Client):
        with Listener() as gone:
            port = gone.port

        assert "Connect call failed" in self.refused(client, f"ws://127.0.0.1:{port}/")

    @pytest.mark.parametrize("uri", ["ws://example.org/", "wss://192.0.2.1/", "ws://127.0.0.1.example.org/"])
    def test_hosts_that_are_not_allowed_are_refused(self, client: Client, uri):
        assert (
            self.refused(client, uri)
            == "the host is not on this machine, and neither --allow-host nor --map-host names it"
        )

    def test_a_host_that_is_allowed_is_connected_to(self, start: Start):
        client = start(destinations=Destinations(allowed=frozenset({"allowed.invalid"})))

        assert "allowed" not in self.refused(client, "ws://allowed.invalid/")

    def test_a_password_in_the_uri_is_refused(self, client: Client, bot: Bot):
        assert "password" in self.refused(client, bot.url.replace("//", "//me:s3cret@"))

    @pytest.mark.parametrize("status", [200, 401, 503])
    def test_a_server_with_another_response_is_refused(self, client: Client, start_bot: StartBot, status):
        bot = start_bot(answer=(status, {}))

        assert str(status) in self.refused(client, bot.url)

    def test_a_redirect_is_not_followed(self, client: Client, bot: Bot, start_bot: StartBot):
        away = start_bot(answer=(302, {"Location": bot.url}))

        assert "302" in self.refused(client, away.url)
        assert bot.handshakes == []

    def test_a_server_that_does_not_speak_http_is_refused(self, client: Client):
        class Mail(Listener):
            async def serve(self, reader: Any, writer: Any) -> None:
                writer.write(b"220 mail.example.org ESMTP\r\n" * 3)

        with Mail() as mail:
            self.refused(client, f"ws://127.0.0.1:{mail.port}/")

    def test_an_untrusted_certificate_is_refused(self, client: Client, start_bot: StartBot, tmp_path: Path):
        bot = start_bot(tls=Authority(tmp_path).context())

        assert "certificate" in self.refused(client, bot.url).lower()

    def test_a_server_that_never_responds_is_given_up(self, client: Client):
        client.sandbox.sockets.connect_seconds = 0.1
        with Deaf() as deaf:
            assert "timed out" in self.refused(client, f"ws://127.0.0.1:{deaf.port}/")

    def test_without_the_extra_the_error_names_it(
        self, client: Client, bot: Bot, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(sys.modules, "voicectl.sandbox.sockets.websocket", None)

        assert "voicectl[websocket]" in self.refused(client, bot.url)

    def test_a_call_that_ends_first_does_not_wait_for_the_connection(self, start: Start):
        client = start(frozen=False)
        with Deaf() as deaf:
            uri = f"ws://127.0.0.1:{deaf.port}/"
            leg = client.api("POST", "/v1/calls", order(uri)).json()["uuid"]

            assert client.change(leg, "hangup").status_code == 204

            assert (
                comes(client, leg, "not connected")["reason"]
                == "the call ended before the connection was open"
            )
            assert statuses(client, leg) == ["started", "cancelled"]


class Deaf(Listener):
    """A server that accepts connections and never responds."""

    async def serve(self, reader: Any, writer: Any) -> None:
        await reader.read()


class TestHearing:
    @pytest.mark.parametrize(("rate", "size"), [(8000, 320), (16_000, 640), (24_000, 960)])
    def test_a_frame_arrives_for_each_20_ms_of_the_call(self, client: Client, bot: Bot, rate, size):
        meet(client, bot.url, rate)
        assert bot.frames == []

        client.advance(3)

        assert [len(frame) for frame in bot.frames] == [size] * 150

    def test_frames_contain_speech_and_silence_is_zeros(self, client: Client, bot: Bot):
        person, leg = meet(client, bot.url)
        client.advance(1)
        client.control("say", leg=person, text="Hello there, bot")
        client.advance(3)

        heard = client.sandbox.exchange.legs[leg].audio.heard
        begin, end = heard[0].at, heard[0].until or 0
        first = bot.frames[:50]
        assert first == [bytes(640)] * 50
        assert b"".join(bot.frames[50:]) == mix(heard, begin, begin + 3000, 16_000)
        assert any(b"".join(bot.frames[50:]))
        assert not any(b"".join(bot.frames[50 + (end - begin) // 20 + 1 :]))

    def test_frames_contain_prompts_of_the_platform(self, client: Client, bot: Bot):
        _, leg = meet(client, bot.url)
        client.put(f"/v1/calls/{leg}/talk", {"text": "Only for you"})
        client.advance(1)

        assert any(b"".join(bot.frames))

    def test_an_earmuffed_bot_hears_silence(self, client: Client, bot: Bot):
        person, leg = meet(client, bot.url)
        client.change(leg, "earmuff")
        client.control("say", leg=person, text="Hello there, bot")
        client.advance(1)

        assert not any(b"".join(bot.frames))

    def test_keys_also_arrive_as_messages(self, client: Client, bot: Bot):
        person, _ = meet(client, bot.url)
        client.control("press", leg=person, digits="5p#")
        bot.until(lambda: len(bot.events) == 2)
        client.advance(2)

        assert bot.events[1:] == [
            {"event": "websocket:dtmf", "digit": "5", "duration": 260},
            {"event": "websocket:dtmf", "digit": "#", "duration": 260},
        ]
        assert isinstance(bot.messages[1], str)  # the first of them before any sound
        assert any(b"".join(bot.frames))  # the tones are heard as well

    def test_keys_pressed_by_rest_arrive_as_messages(self, client: Client, bot: Bot):
        _, leg = meet(client, bot.url)

        client.put(f"/v1/calls/{leg}/dtmf", {"digits": "7"})

        bot.until(lambda: len(bot.events) == 2)
        assert bot.events[1]["digit"] == "7"

    def test_a_running_clock_sends_frames_by_itself(self, start: Start, bot: Bot, clock: FakeClock):
        client = start(frozen=False)
        client.call(PERSON, connect(bot.url))
        client.advance(2.5)
        bot.until(lambda: bot.events)
        begun = len(bot.frames)

        clock.sleep(1)

        bot.until(lambda: len(bot.frames) - begun >= 50)
        assert len(bot.frames) - begun == 50

    def test_advance_sends_every_frame_however_far_it_goes(self, client: Client, bot: Bot):
        meet(client, bot.url)

        client.advance(45)

        assert len(bot.frames) == 2250


class TestSpeaking:
    def test_the_others_hear_the_bot(self, client: Client, start_bot: StartBot):
        bot = start_bot(on_open=saying(*[SOUND] * 100))
        person, leg = meet(client, bot.url)
        comes(client, leg, "first audio")
        client.advance(5)

        heard = client.hear(person)
        assert [(each["kind"], each["from"], each["url"]) for each in heard] == [("audio", leg, bot.url)]
        assert heard[0]["seconds"] == pytest.approx(2)
        sound = client.sandbox.exchange.legs[person].audio.heard
        assert mix(sound, sound[0].at, sound[0].at + 2000, 16_000) == SOUND * 100

    def test_another_bot_hears_the_bot(self, client: Client, bot: Bot, start_bot: StartBot):
        speaker = start_bot(on_open=saying(*[SOUND] * 100))
        client.call(PERSON, ROOM)
        for each in (bot, speaker):
            client.api("POST", "/v1/calls", order(each.url))
        comes(client, leg_of(client, speaker.url), "first audio")
        client.advance(5)

        assert b"".join(bot.frames).strip(b"\0") == SOUND * 100
        assert not any(b"".join(speaker.frames))

    def test_an_echo_is_heard_a_little_later_and_runs_are_reproducible(
        self, start: Start, start_bot: StartBot
    ):
        runs = []
        for _ in range(2):
            client, bot = start(), start_bot(on_message=echo)
            person, _ = meet(client, bot.url)
            client.advance(1)
            client.control("say", leg=person, text="Hello there, bot")
            client.advance(5)
            heard = client.hear(person)
            runs.append([(each["at"], each["seconds"]) for each in heard])

        assert runs[0] == runs[1]
        assert [at for at, _ in runs[0]] == ["2026-01-01T00:00:03.520Z"]

    def test_a_muted_bot_is_not_heard(self, client: Client, start_bot: StartBot):
        bot = start_bot(on_message=echo)
        person, leg = meet(client, bot.url)
        client.change(leg, "mute")
        client.control("say", leg=person, text="Hello there, bot")
        client.advance(5)

        assert client.hear(person) == []

    def test_audio_sent_far_ahead_is_cut_to_the_buffer(self, client: Client, start_bot: StartBot):
        bot = start_bot(on_open=saying(*[SOUND] * 5000))
        person, leg = meet(client, bot.url)
        reason = comes(client, leg, "overflow")["reason"]
        client.advance(70)

        assert "at least 640 bytes were dropped" in reason
        assert sum(heard["seconds"] for heard in client.hear(person)) <= 3150 * 0.02
        assert len(logged_events(client, leg, "overflow")) == 1

    def test_messages_of_other_sizes_are_heard_with_a_remark(self, client: Client, start_bot: StartBot):
        bot = start_bot(on_open=saying(SOUND * 5 + b"\x01", b"", b"\x01", SOUND[:100]))
        person, leg = meet(client, bot.url)
        remark = comes(client, leg, "odd size")
        client.advance(2)

        assert remark["reason"] == "a message has 3201 bytes; the platform expects 640 (20 ms)"
        assert client.hear(person)[0]["seconds"] == pytest.approx(0.1, abs=0.02)

    def test_three_thousand_messages_are_buffered(self, client: Client, start_bot: StartBot):
        bot = start_bot(on_open=saying(*[SOUND] * 1500, '{"action":"notify","payload":{}}'))
        person, leg = meet(client, bot.url)
        comes(client, leg, "notify")
        client.advance(31)

        assert client.hear(person)[0]["seconds"] == pytest.approx(30, abs=0.04)
        assert logged_events(client, leg, "overflow") == []


CLEAR = '{"action":"clear"}'


def notify(**payload: Any) -> str:
    return json.dumps({"action": "notify", "payload": payload})


def answers(bot: Bot) -> list[dict[str, Any]]:
    """Return the replies to the bot's control messages."""
    return [each for each in bot.events if each["event"] in ("websocket:cleared", "websocket:notify")]


def notified(**payload: Any) -> dict[str, Any]:
    return {"event": "websocket:notify", "payload": payload}


class TestControlMessages:
    def interrupted(
        self, client: Client, start_bot: StartBot, *messages: str | bytes
    ) -> tuple[Bot, str, str]:
        """Meet a bot that sends 8 s of audio, and *messages* when the person presses a key after 1.5 s."""

        async def on_message(connection: ServerConnection, message: bytes | str) -> None:
            if isinstance(message, str) and "websocket:dtmf" in message:
                for each in messages:
                    await connection.send(each)

        bot = start_bot(on_open=saying(*[SOUND] * 400), on_message=on_message)
        person, leg = meet(client, bot.url)
        comes(client, leg, "first audio")
        client.advance(1.5)
        client.control("press", leg=person, digits="1")
        client.advance(0.5)
        return bot, person, leg

    def test_clear_cuts_the_sound_within_a_frame(self, client: Client, start_bot: StartBot):
        bot, person, leg = self.interrupted(client, start_bot, CLEAR)
        client.advance(10)

        assert [round(heard["seconds"], 2) for heard in client.hear(person)] == [pytest.approx(1.5, abs=0.04)]
        assert answers(bot) == [{"event": "websocket:cleared"}]
        assert [entry["text"] for entry in logged_events(client, leg, "clear")] == [CLEAR]

    def test_without_clear_the_caller_hears_everything(self, client: Client, start_bot: StartBot):
        _, person, _ = self.interrupted(client, start_bot)
        client.advance(10)

        assert sum(heard["seconds"] for heard in client.hear(person)) == pytest.approx(8, abs=0.04)

    def test_audio_after_clear_is_heard_at_once(self, client: Client, start_bot: StartBot):
        _, person, _ = self.interrupted(client, start_bot, CLEAR, *[SOUND] * 50)
        client.advance(10)

        assert sum(heard["seconds"] for heard in client.hear(person)) == pytest.approx(2.5, abs=0.06)

    def test_notify_is_answered_when_the_audio_before_it_has_been_played(
        self, client: Client, start_bot: StartBot
    ):
        bot = start_bot(on_open=saying(*[SOUND] * 100, notify(reply="r1")))
        _, leg = meet(client, bot.url)
        comes(client, leg, "notify")

        client.advance(1.9)
        assert answers(bot) == []
        client.advance(0.2)
        assert answers(bot) == [notified(reply="r1")]

    def test_notify_is_answered_even_if_more_audio_follows(self, client: Client, start_bot: StartBot):
        bot = start_bot(on_open=saying(*[SOUND] * 50, notify(n=1), *[SOUND] * 50, notify(n=2), notify(n=3)))
        _, leg = meet(client, bot.url)
        Bot().until(lambda: len(logged_events(client, leg, "notify")) == 3)

        client.advance(1.1)
        assert answers(bot) == [notified(n=1)]
        client.advance(1)
        assert answers(bot) == [notified(n=1), notified(n=2), notified(n=3)]

    def test_notify_is_answered_at_once_if_there_is_nothing_to_play(
        self, client: Client, start_bot: StartBot
    ):
        bot = start_bot(on_open=saying(notify(a={"b": [1, None, "ü"]})))
        meet(client, bot.url)

        bot.until(lambda: answers(bot))
        assert answers(bot) == [notified(a={"b": [1, None, "ü"]})]

    def test_clear_discards_waiting_notifications(self, client: Client, start_bot: StartBot):
        bot, _, _ = self.interrupted(client, start_bot, notify(n=1), CLEAR, notify(n=2))
        client.advance(10)

        assert answers(bot) == [{"event": "websocket:cleared"}, notified(n=2)]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "clear",
            '"clear"',
            '["clear"]',
            '{"action":"Clear"}',
            '{"action":["clear"]}',
            '{"action":"hangup"}',
            '{"action":"notify"}',
            '{"action":"notify","payload":"r1"}',
            '{"action":"notify","payload":{"n":NaN}}',
            '{"action":"clear"',
            '{"action":"clear","x":"' + "x" * 100_000 + '"}',
            '{"action":"notify","payload":{"x":"' + "x" * 1024 * 1024 + '"}}',
            '{"audio":"' + base64.b64encode(SOUND).decode() + '"}',
            base64.b64encode(SOUND).decode(),
            '{"action":"clear","x":' + "[" * 20_000 + "]" * 20_000 + "}",
            "\0\U0001f600",
        ],
        ids=lambda text: text[:40],
    )
    def test_other_text_has_no_effect_and_is_logged(self, client: Client, start_bot: StartBot, text: str):
        bot = start_bot(on_open=saying(*[SOUND] * 50, text, notify(last=True)))
        person, leg = meet(client, bot.url)
        comes(client, leg, "notify")
        client.advance(2)

        assert client.hear(person)[0]["seconds"] == pytest.approx(1, abs=0.04)
        assert answers(bot) == [notified(last=True)]
        assert len(logged_events(client, leg, "text ignored")[0]["text"]) <= 210

    def test_a_control_message_in_binary_counts_as_audio_with_a_remark(
        self, client: Client, start_bot: StartBot
    ):
        bot, person, leg = self.interrupted(client, start_bot, CLEAR.encode())
        client.advance(10)

        assert sum(heard["seconds"] for heard in client.hear(person)) == pytest.approx(8, abs=0.04)
        assert answers(bot) == []
        assert "send JSON as a text message" in logged_events(client, leg, "text in binary")[0]["reason"]

    @pytest.mark.parametrize("message", [b"{", b"{}" * 320, b"{\xff\xfe" * 200, SOUND], ids=repr)
    def test_audio_that_begins_like_json_causes_no_remark(
        self, client: Client, start_bot: StartBot, message: bytes
    ):
        bot = start_bot(on_open=saying(message, notify(last=True)))
        _, leg = meet(client, bot.url)
        client.advance(1)

        assert answers(bot) == [notified(last=True)]
        assert logged_events(client, leg, "text in binary") == []

    def test_a_flood_of_control_messages_is_answered_and_only_its_start_is_logged(
        self, client: Client, start_bot: StartBot
    ):
        bot = start_bot(on_open=saying(*[CLEAR] * 2000, notify(last=True)))
        meet(client, bot.url)

        bot.until(lambda: len(answers(bot)) == 2001)
        texts = [entry for entry in entries(client) if entry["event"] in ("clear", "notify", "many texts")]
        assert len(texts) == 21
        assert texts[-1]["reason"] == "further text messages are not logged"

    def test_a_server_that_floods_and_does_not_read_blocks_no_other(
        self, client: Client, start_bot: StartBot
    ):
        bot = start_bot(on_open=saying(*[notify(x="x" * 500)] * 20_000), reads=False)
        _, leg = meet(client, bot.url)
        bot.read()

        assert client.record(leg)["status"] == "answered"


class TestEnding:
    def test_a_close_by_the_server_is_reported_as_disconnected_and_ends_the_leg(
        self, client: Client, start_bot: StartBot
    ):
        bot = start_bot(on_open=saying(SOUND, then=1000))
        _, leg = meet(client, bot.url)

        closed = comes(client, leg, "closed")

        assert (closed["by"], closed["code"]) == ("server", 1000)
        client.until(leg, "completed")
        assert statuses(client, leg)[-2:] == ["disconnected", "completed"]

    def test_after_a_close_during_advance_the_flow_continues_at_that_moment(
        self, client: Client, start_bot: StartBot, receiver: Receiver
    ):
        async def leave(connection: ServerConnection, message: bytes | str) -> None:
            if isinstance(message, str) and "websocket:notify" in message:
                await connection.close()

        set_up(client, event=receiver.url + "/event")
        bot = start_bot(on_open=saying(*[SOUND] * 50, notify(last=True)), on_message=leave)
        person = client.call(PERSON, connect(bot.url), HELLO)
        client.advance(2.5)
        comes(client, leg_of(client, bot.url), "notify")

        client.advance(10)

        sound, talk = client.hear(person)
        assert (sound["kind"], sound["seconds"]) == ("audio", 1)
        assert (talk["text"], talk["at"]) == (HELLO["text"], "2026-01-01T00:00:03.500Z")
        assert client.status(person) == "completed"

    def test_a_lost_connection_is_handled_like_a_close(self, client: Client, start_bot: StartBot):
        async def vanish(connection: ServerConnection) -> None:
            connection.transport.abort()

        bot = start_bot(on_open=vanish)
        _, leg = meet(client, bot.url)

        assert comes(client, leg, "closed")["by"] == "network"
        client.until(leg, "completed")

    @pytest.mark.parametrize("message", [bytes(10_000_000), "x" * 10_000_000], ids=["binary", "text"])
    def test_a_message_of_ten_megabytes_ends_the_connection(
        self, client: Client, start_bot: StartBot, message
    ):
        bot = start_bot(on_open=saying(message))
        _, leg = meet(client, bot.url)

        assert comes(client, leg, "closed")["code"] == 1009
        client.until(leg, "completed")

    @pytest.mark.parametrize(
        ("garbage", "code"),
        [
            pytest.param(b"\xff" * 5000, 1002, id="an unknown opcode"),
            pytest.param(b"\x82\x81mask.", 1002, id="a masked frame"),
            pytest.param(b"\x80\x01.", 1002, id="the rest of nothing"),
            pytest.param(b"\x88\x02\x00\x01", 1002, id="a close with no code of this protocol"),
            pytest.param(b"\x81\x02\xff\xfe", 1007, id="text that is not UTF-8"),
            pytest.param(
                b"\x02\x00" + (b"\x00\x7e\xff\xff" + bytes(65_535)) * 65, 1009, id="too much in parts"
            ),
            pytest.param(b"\x02\x00" + b"\x00\x00" * 300_000, 1009, id="parts without end"),
        ],
    )
    def test_an_invalid_frame_ends_the_connection(self, client: Client, start_bot: StartBot, garbage, code):
        async def babble(connection: ServerConnection) -> None:
            connection.transport.write(garbage)

        bot = start_bot(on_open=babble)
        _, leg = meet(client, bot.url)

        assert comes(client, leg, "closed")["code"] == code
        client.until(leg, "completed")

    def test_a_hangup_by_rest_closes_the_connection_without_disconnected(self, client: Client, bot: Bot):
        _, leg = meet(client, bot.url)
        client.advance(1)

        assert client.change(leg, "hangup").status_code == 204

        bot.until(lambda: bot.closed)
        assert bot.closed == [1000]
        assert statuses(client, leg) == ["started", "answered", "completed"]
        assert len(bot.frames) == 50

    def test_a_hangup_by_the_caller_closes_the_connection(self, client: Client, bot: Bot):
        person, leg = meet(client, bot.url)

        client.control("hangup", leg=person)

        bot.until(lambda: bot.closed)
        assert (bot.closed, statuses(client, leg)[-1]) == ([1000], "completed")

    def test_reset_closes_all_connections(self, client: Client, bot: Bot):
        meet(client, bot.url)

        assert client.control("reset").status_code == 200

        bot.until(lambda: bot.closed)
        assert bot.closed == [1001]
        assert entries(client) == []

    def test_the_end_of_the_sandbox_closes_all_connections(self, client: Client, bot: Bot):
        meet(client, bot.url)

        client.control("stop")

        bot.until(lambda: bot.closed)
        assert bot.closed == [1001]


class TestBadServers:
    def test_a_server_that_does_not_read_is_not_waited_for_twice_and_loses_the_oldest_frames(
        self, client: Client, start_bot: StartBot, bot: Bot
    ):
        client.sandbox.sockets.patience_seconds = 2.0
        stuck = start_bot(reads=False)
        _, leg = meet(client, stuck.url, 24_000)
        meet(client, bot.url, 24_000)

        client.advance(60)

        bot.until(lambda: len(bot.frames) >= 3000)
        assert len(bot.frames) == 3000  # the other one misses nothing
        stuck.read()
        reason = comes(client, leg, "fell behind")["reason"]
        assert reason.startswith("the server is reading too slowly")
        client.advance(1)
        assert 1024 < len(stuck.frames) < 2500

    def test_a_server_that_never_reads_can_still_be_hung_up_on(self, client: Client, start_bot: StartBot):
        client.sandbox.sockets.patience_seconds = 0.2
        stuck = start_bot(reads=False)
        _, leg = meet(client, stuck.url, 24_000)
        client.advance(30)

        assert client.change(leg, "hangup").status_code == 204

        closed = comes(client, leg, "closed")
        assert (closed["by"], closed["code"]) == ("sandbox", 1000)
        stuck.read()

    @pytest.mark.parametrize(
        "message", [CLEAR, notify(n=1), notify(x="x" * 1_000_000)], ids=["clear", "notify", "1 MB"]
    )
    def test_a_server_that_floods_with_text_does_not_delay_advance(
        self, client: Client, start_bot: StartBot, bot: Bot, message: str
    ):
        async def flood(connection: ServerConnection) -> None:
            while True:
                await connection.send(message)
                await asyncio.sleep(0)

        meet(client, bot.url)
        _, leg = meet(client, start_bot(on_open=flood).url)
        comes(client, leg, "many texts")
        begun = len(bot.frames)

        client.advance(0.06)

        assert len(bot.frames) - begun == 3
        assert client.change(leg, "hangup").status_code == 204
        assert comes(client, leg, "closed")["by"] == "sandbox"
        logged = [each["event"] for each in entries(client, leg)]
        assert sum(logged.count(event) for event in ("clear", "notify", "text ignored")) == 20

    def test_a_server_that_floods_does_not_block_others(self, client: Client, start_bot: StartBot):
        async def flood(connection: ServerConnection) -> None:
            while True:
                await connection.send(SOUND * 20)
                await asyncio.sleep(
                    0
                )  # sending alone would keep the bot from reading, and from answering pings

        bot = start_bot(on_open=flood)
        person, leg = meet(client, bot.url)
        comes(client, leg, "overflow")

        client.advance(0.5)

        assert client.hear(person)[0]["seconds"] == pytest.approx(0.5, abs=0.05)
        assert client.change(leg, "hangup").status_code == 204
        assert comes(client, leg, "closed")["by"] == "sandbox"
