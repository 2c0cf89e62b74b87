"""The platform's official Python SDK, unmodified, manages the sandbox's applications, and a new one creates calls."""

from __future__ import annotations

from pathlib import Path

import pytest
import vonage
import vonage_application as sdk
import vonage_voice
from vonage_http_client.errors import AuthenticationError, HttpRequestError, NotFoundError

from tests.conftest import StartRoom
from tests.support.interception import intercepting
from tests.support.room import PERSON, Room
from voicectl.sandbox.account.identity import Identity


@pytest.fixture
def room(start_room: StartRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Room:
    return intercepting(start_room, monkeypatch, tmp_path)


@pytest.fixture
def identity(room: Room) -> Identity:
    assert room.sandbox is not None
    return room.sandbox.identity


def client(identity: Identity, *, secret: str) -> sdk.Application:
    return vonage.Vonage(vonage.Auth(api_key=identity.api_key, api_secret=secret)).application


@pytest.fixture
def applications(room: Room, identity: Identity) -> sdk.Application:
    return client(identity, secret=identity.api_secret)


def config(name: str = "desk-line") -> sdk.ApplicationConfig:
    """An application with everything that the SDK knows of voice."""
    hook = sdk.VoiceUrl(
        address="https://ops.example.com/answer", http_method="POST", connect_timeout=500, socket_timeout=3000
    )
    return sdk.ApplicationConfig(
        name=name,
        privacy=sdk.Privacy(improve_ai=False),
        capabilities=sdk.Capabilities(
            voice=sdk.Voice(
                webhooks=sdk.VoiceWebhooks(answer_url=hook, fallback_answer_url=hook, event_url=hook),
                signed_callbacks=True,
                conversations_ttl=24,
                leg_persistence_time=5,
                region=sdk.Region.EU_WEST,
            ),
            rtc=sdk.Rtc(
                webhooks=sdk.RtcWebhooks(
                    event_url=sdk.ApplicationUrl(address="https://ops.example.com/rtc", http_method="POST")
                ),
                signed_callbacks=False,
            ),
            messages=sdk.Messages(
                webhooks=sdk.MessagesWebhooks(
                    inbound_url=sdk.ApplicationUrl(address="https://ops.example.com/in", http_method="POST")
                ),
                version="v1",
                authenticate_inbound_media=True,
            ),
            vbc=sdk.Vbc(),
        ),
    )


def test_the_sdk_creates_shows_replaces_and_deletes_an_application(applications: sdk.Application) -> None:
    made = applications.create_application(config())

    assert made.link == f"/v2/applications/{made.id}"
    shown = applications.get_application(made.id)
    assert shown.capabilities == made.capabilities == config().capabilities
    assert shown.privacy == config().privacy
    assert shown.keys is not None
    assert made.keys is not None
    assert shown.keys.public_key == made.keys.public_key

    replaced = applications.update_application(made.id, sdk.ApplicationConfig(name="other"))
    assert replaced.name == "other"
    assert replaced.capabilities == sdk.Capabilities()
    assert replaced.keys == shown.keys

    applications.delete_application(made.id)
    with pytest.raises(NotFoundError):
        applications.get_application(made.id)


def test_an_application_that_the_sdk_made_places_calls_with_its_own_key(
    room: Room, applications: sdk.Application, tmp_path: Path
) -> None:
    made = applications.create_application(config())
    assert made.keys is not None
    pem = tmp_path / "private.pem"
    pem.write_text(made.keys.model_dump()["private_key"])
    voice = vonage.Vonage(vonage.Auth(application_id=made.id, private_key=str(pem))).voice

    call = voice.create_call(
        vonage_voice.CreateCallRequest(
            to=[vonage_voice.ToPhone(number=PERSON)],
            from_=vonage_voice.Phone(number="442079460000"),
            ncco=[vonage_voice.Talk(text="Hello")],
        )
    )

    assert voice.get_call(call.uuid).uuid == call.uuid
    assert room("call list --all -q").stdout == ""


def test_the_sdk_pages_through_a_list(applications: sdk.Application, identity: Identity) -> None:
    for number in range(4):
        keys = sdk.Keys(public_key=identity.public_key)
        applications.create_application(sdk.ApplicationConfig(name=str(number), keys=keys))

    names: list[str] = []
    page: int | None = 1
    while page is not None:
        found, following = applications.list_applications(sdk.ListApplicationsFilter(page_size=2, page=page))
        names += [each.name for each in found]
        page = None if following is None else int(following)

    assert names == ["sandbox", "0", "1", "2", "3"]
    everything, following = applications.list_applications()
    assert (len(everything), following) == (5, None)


def test_the_sdk_reports_a_wrong_secret_and_the_errors_of_a_body(
    room: Room, identity: Identity, applications: sdk.Application
) -> None:
    with pytest.raises(AuthenticationError):
        client(identity, secret="wrong").list_applications()
    with pytest.raises(HttpRequestError) as refused:
        applications.create_application()
    assert refused.value.response.json()["invalid_parameters"][0]["name"] == "name"
