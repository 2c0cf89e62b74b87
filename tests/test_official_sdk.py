"""The platform's official Python SDK drives the sandbox through the operations it has for calls."""

from __future__ import annotations

from pathlib import Path

import pytest
import vonage
import vonage_voice as sdk
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from requests.adapters import HTTPAdapter
from vonage_http_client import HttpClientOptions
from vonage_http_client.errors import AuthenticationError

from tests.conftest import StartRoom
from tests.support.room import PERSON, Room
from voicectl.clock import SystemClock
from voicectl.core import keys
from voicectl.sandbox.identity import Identity


class Plain(HTTPAdapter):
    """The SDK speaks https only; the sandbox, on loopback, speaks http."""

    def send(self, request, **options):  # type: ignore[no-untyped-def]
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


@pytest.fixture
def room(start_room: StartRoom) -> Room:
    return start_room(clock=SystemClock())  # the SDK makes its tokens by the machine's own clock


@pytest.fixture
def voice(room: Room, application: tuple[Identity, RSAPrivateKey], tmp_path: Path) -> sdk.Voice:
    identity, key = application
    pem = tmp_path / "sandbox.pem"
    pem.write_bytes(keys.to_pem(key))
    client = vonage.Vonage(
        vonage.Auth(application_id=identity.application_id, private_key=str(pem)),
        HttpClientOptions(api_host=room.url.removeprefix("http://")),
    )
    client.http_client._session.mount("https://", Plain())
    return client.voice


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


def test_the_sdk_pages_through_a_list(room: Room, voice: sdk.Voice) -> None:
    for number in range(5):
        room.call(f"44770090000{number}", wait=None)

    first, index = voice.list_calls(sdk.ListCallsFilter(page_size=2))
    rest: list[object] = []
    while index is not None:
        page, index = voice.list_calls(sdk.ListCallsFilter(page_size=2, record_index=index))
        rest += page

    assert len(first) == 2
    assert len({call.uuid for call in [*first, *rest]}) == 5  # type: ignore[attr-defined]


def test_the_sdk_is_told_of_a_wrong_key(
    room: Room, voice: sdk.Voice, application: tuple[Identity, RSAPrivateKey], tmp_path: Path
) -> None:
    pem = tmp_path / "wrong.pem"
    pem.write_bytes(keys.to_pem(rsa.generate_private_key(65537, 2048)))
    client = vonage.Vonage(
        vonage.Auth(application_id=application[0].application_id, private_key=str(pem)),
        HttpClientOptions(api_host=room.url.removeprefix("http://")),
    )
    client.http_client._session.mount("https://", Plain())

    with pytest.raises(AuthenticationError):
        client.voice.list_calls()
