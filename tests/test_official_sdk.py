"""The platform's official Python SDK, unmodified, uses the sandbox for all its operations on calls."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
import vonage
import vonage_voice as sdk
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from vonage_http_client.errors import AuthenticationError, HttpRequestError
from vonage_voice.models.common import WebsocketAuthorization

from tests.conftest import StartRoom
from tests.support.interception import intercepting
from tests.support.room import PERSON, Room
from tests.support.servers import Canned, Request, reply
from tests.support.waiting import eventually
from voicectl import tokens
from voicectl.core.identity import keys
from voicectl.sandbox.account.identity import Identity


@pytest.fixture
def room(start_room: StartRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Room:
    return intercepting(start_room, monkeypatch, tmp_path, frozen=True)


@pytest.fixture
def voice(room: Room, application: tuple[Identity, RSAPrivateKey], tmp_path: Path) -> sdk.Voice:
    identity, key = application
    pem = tmp_path / "sandbox.pem"
    pem.write_bytes(keys.to_pem(key))
    client = vonage.Vonage(
        vonage.Auth(application_id=identity.application_id, private_key=str(pem)),
    )
    return client.voice


def advance(room: Room, seconds: float) -> None:
    assert room(f"sandbox advance {seconds}", env={"VOICECTL_SANDBOX": room.url}).exit_code == 0


def until(room: Room, voice: sdk.Voice, leg: str, status: str) -> None:
    """Let time pass until *leg* has come so far; webhooks are asked on the way."""
    for _ in range(100):
        if voice.get_call(leg).status == status:
            return
        advance(room, 0.5)
    raise AssertionError(f"{leg} never became {status}")


def call(voice: sdk.Voice, *ncco: sdk.NccoAction, **more: object) -> str:
    """The id of a new call to a person."""
    to, caller = [sdk.ToPhone(number=PERSON)], sdk.Phone(number="442079460000")
    request = sdk.CreateCallRequest(to=to, from_=caller, ncco=list(ncco), **more)
    return str(voice.create_call(request).uuid)


def first(webhook: Canned, path: str) -> Request:
    """The first request for *path* that *webhook* received, or receives soon."""
    return eventually(lambda: [request for request in webhook.requests if request.path == path])[0]


def test_the_sdk_creates_shows_talks_presses_mutes_transfers_and_hangs_up(
    room: Room, voice: sdk.Voice
) -> None:
    created = voice.create_call(
        sdk.CreateCallRequest(
            to=[sdk.ToPhone(number=PERSON)],
            from_=sdk.Phone(number="442079460000"),
            ncco=[sdk.Talk(text="Hello"), sdk.Conversation(name="room")],
        )
    )
    assert created.status == "started"
    room("sandbox advance 3s", env={"VOICECTL_SANDBOX": room.url})

    leg = created.uuid
    assert voice.get_call(leg).status == "answered"
    calls, following = voice.list_calls()
    assert [call.uuid for call in calls] == [leg]
    assert following is None

    talk = voice.play_tts_into_call(leg, sdk.TtsStreamOptions(text="One moment", level=0.5, loop=0))
    assert talk.message == "Talk started"
    assert voice.stop_tts(leg).message == "Talk stopped"
    stream = voice.play_audio_into_call(
        leg, sdk.AudioStreamOptions(stream_url=["https://cdn.example.org/a.mp3"])
    )
    assert stream.message == "Stream started"
    assert voice.stop_audio_stream(leg).message == "Stream stopped"
    assert voice.play_dtmf_into_call(leg, "1234").message == "DTMF sent"

    for change in (voice.mute, voice.unmute, voice.earmuff, voice.unearmuff):
        change(leg)
    before = voice.get_call(leg).conversation_uuid
    voice.transfer_call_ncco(leg, [sdk.Conversation(name="other")])
    assert voice.get_call(leg).conversation_uuid != before

    voice.hangup(leg)
    ended = voice.get_call(leg)
    assert ended.status == "completed"
    assert ended.price is not None
    heard = room(f"sandbox hear {leg} -o json", env={"VOICECTL_SANDBOX": room.url}).json
    assert [each["kind"] for each in heard] == ["speech", "speech", "audio", "keys"]


def test_the_sdk_runs_flows_that_a_webhook_returns(room: Room, voice: sdk.Voice) -> None:
    ncco = [{"action": "conversation", "name": "from the webhook"}]
    with Canned(reply(200, ncco)) as webhook:
        created = voice.create_call(
            sdk.CreateCallRequest(
                to=[sdk.ToPhone(number=PERSON, dtmf_answer="1p2")],
                random_from_number=True,
                answer_url=[f"{webhook.url}/answer"],
                answer_method="POST",
                event_method="POST",
                machine_detection="continue",
                length_timer=600,
                ringing_timer=30,
            )
        )
        until(room, voice, created.uuid, "answered")
        before = voice.get_call(created.uuid).conversation_uuid
        voice.transfer_call_answer_url(created.uuid, f"{webhook.url}/transfer")
        first(webhook, "/transfer")

    assert [request.path for request in webhook.requests] == ["/answer", "/transfer"]
    advance(room, 1)
    assert before == voice.get_call(created.uuid).conversation_uuid  # both name the same room


ENDPOINTS = {
    "phone": sdk.ToPhone(number=PERSON),
    "sip": sdk.Sip(
        uri="sip:rose@example.org",
        headers={"order": "17"},
        standard_headers={"User-to-User": "342342ef34;encoding=hex"},
    ),
    "websocket": sdk.Websocket(
        uri="ws://127.0.0.1:1/socket",
        content_type="audio/l16;rate=8000",
        headers={"order": 17},
        authorization=WebsocketAuthorization(type="custom", value="Bearer abc"),
    ),
    "vbc": sdk.Vbc(extension="1234"),
}
"""One of each kind that the SDK can call."""


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_the_sdk_reads_records_of_every_kind_of_endpoint(room: Room, voice: sdk.Voice, kind: str) -> None:
    created = voice.create_call(
        sdk.CreateCallRequest(
            to=[ENDPOINTS[kind]], from_=sdk.Phone(number="442079460000"), ncco=[sdk.Talk(text="Hello")]
        )
    )

    record = voice.get_call(created.uuid)
    (listed,), _ = voice.list_calls()
    with suppress(HttpRequestError):
        voice.hangup(created.uuid)
    ended = voice.get_call(created.uuid)

    assert record.to.type == listed.to.type == ended.to.type == kind
    assert record.from_.type == "phone"
    assert record.link == f"/v1/calls/{created.uuid}"
    shown = ENDPOINTS[kind].model_dump(include={"number", "uri", "extension"})
    assert record.to.model_dump(include={"number", "uri", "extension"}) == shown


FLOWS: dict[str, list[sdk.NccoAction]] = {
    "talk": [
        sdk.Talk(text="Hello", bargeIn=False, loop=2, level=0.5, language="en-GB", style=1, premium=True)
    ],
    "stream": [sdk.Stream(streamUrl=["https://cdn.example.org/a.mp3"], level=-0.5, loop=1)],
    "input": [
        sdk.Talk(text="Press a key", bargeIn=True),
        sdk.Input(
            type=["dtmf", "speech"],
            dtmf=sdk.Dtmf(timeOut=5, maxDigits=4, submitOnHash=True),
            speech=sdk.Speech(language="en-GB", context=["yes", "no"], startTimeout=5, maxDuration=10),
            eventUrl=["http://127.0.0.1:1/input"],
            eventMethod="POST",
        ),
    ],
    "record": [
        sdk.Record(
            format="wav",
            channels=2,
            endOnSilence=3,
            endOnKey="#",
            timeOut=60,
            beepStart=True,
            eventUrl=["http://127.0.0.1:1/record"],
        )
    ],
    "notify": [sdk.Notify(payload={"order": 17}, eventUrl=["http://127.0.0.1:1/notify"], eventMethod="POST")],
    "wait": [sdk.Wait(timeout=0.5)],
    "conversation": [
        sdk.Conversation(
            name="room",
            musicOnHoldUrl=["https://cdn.example.org/hold.mp3"],
            startOnEnter=True,
            endOnExit=True,
            record=False,
            canSpeak=[],
            canHear=[],
        )
    ],
    "connect a phone": [
        sdk.Connect(
            endpoint=[sdk.PhoneEndpoint(number="447700900002", dtmfAnswer="12")],
            from_="442079460000",
            timeout=20,
            limit=600,
            machineDetection="hangup",
            ringbackTone=["https://cdn.example.org/ring.mp3"],
        )
    ],
    "connect by SIP": [
        sdk.Connect(endpoint=[sdk.SipEndpoint(uri="sip:rose@example.org")], randomFromNumber=True)
    ],
    "connect an app": [sdk.Connect(endpoint=[sdk.AppEndpoint(user="rose")], from_="442079460000")],
    "connect an extension": [sdk.Connect(endpoint=[sdk.VbcEndpoint(extension="1234")], from_="442079460000")],
    "connect a websocket": [
        sdk.Connect(
            endpoint=[
                sdk.WebsocketEndpoint(uri="ws://127.0.0.1:1/socket", contentType="audio/l16;rate=16000")
            ],
            from_="442079460000",
        )
    ],
}
"""Each action that the SDK can write, with all its options."""


@pytest.mark.parametrize("flow", FLOWS)
def test_every_action_that_the_sdk_can_write_is_accepted(room: Room, voice: sdk.Voice, flow: str) -> None:
    leg = call(voice, sdk.Conversation(name="lobby"))
    advance(room, 3)

    voice.transfer_call_ncco(leg, FLOWS[flow])

    (change,) = room.requests("updateCall")
    assert change["status"] == 204


def test_the_sdk_moves_all_legs_into_another_conversation(room: Room, voice: sdk.Voice) -> None:
    here, there = call(voice, sdk.Conversation(name="here")), call(voice, sdk.Conversation(name="there"))
    advance(room, 3)
    target = voice.get_call(there).conversation_uuid

    voice.transfer_call_ncco(here, [sdk.Transfer(conversationId=target)])

    assert voice.get_call(here).conversation_uuid == target


def test_the_sdk_downloads_a_recording(room: Room, voice: sdk.Voice, tmp_path: Path) -> None:
    with Canned(reply(204)) as webhook:
        record = sdk.Record(format="wav", timeOut=3, eventUrl=[f"{webhook.url}/record"])
        call(voice, record, sdk.Talk(text="Hello, this is recorded."))
        advance(room, 30)
        recorded = first(webhook, "/record")

    voice.download_recording(recorded.json["recording_url"], str(tmp_path / "recording.wav"))

    content = (tmp_path / "recording.wav").read_bytes()
    assert len(content) == recorded.json["size"]
    assert content.startswith(b"RIFF")


def test_the_sdk_verifies_our_signed_webhooks_and_refuses_altered_ones(
    room: Room, voice: sdk.Voice, application: tuple[Identity, RSAPrivateKey]
) -> None:
    secret = application[0].signature_secret
    with Canned(reply(204)) as webhook:
        call(voice, sdk.Talk(text="Hello"), event_url=[f"{webhook.url}/event"])
        event = first(webhook, "/event")
    token = event.headers["authorization"].removeprefix("Bearer ")
    header, _, signature = token.split(".")
    others = {"payload_hash": "0" * 64}
    altered = (
        base64.urlsafe_b64encode(json.dumps(tokens.read(token)[1] | others).encode()).rstrip(b"=").decode()
    )

    assert voice.verify_signature(token, secret) is True
    assert voice.verify_signature(token, secret + "x") is False
    assert voice.verify_signature(f"{header}.{altered}.{signature}", secret) is False
    assert tokens.read(token)[1]["payload_hash"] == hashlib.sha256(event.body).hexdigest()


def test_the_sdk_pages_through_a_list(room: Room, voice: sdk.Voice) -> None:
    for _ in range(5):
        call(voice, sdk.Talk(text="Hello"))

    first, index = voice.list_calls(sdk.ListCallsFilter(page_size=2))
    rest: list[object] = []
    while index is not None:
        page, index = voice.list_calls(sdk.ListCallsFilter(page_size=2, record_index=index))
        rest += page

    assert len(first) == 2
    assert len({call.uuid for call in [*first, *rest]}) == 5  # type: ignore[attr-defined]


def test_the_sdk_reports_a_wrong_key(
    room: Room, voice: sdk.Voice, application: tuple[Identity, RSAPrivateKey], tmp_path: Path
) -> None:
    pem = tmp_path / "wrong.pem"
    pem.write_bytes(keys.to_pem(rsa.generate_private_key(65537, 2048)))
    client = vonage.Vonage(
        vonage.Auth(application_id=application[0].application_id, private_key=str(pem)),
    )

    with pytest.raises(AuthenticationError):
        client.voice.list_calls()
