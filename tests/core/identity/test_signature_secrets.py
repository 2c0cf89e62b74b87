"""The sources of the secrets that verify webhooks, and changes of them while a receiver runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.machines import Application, forget_signature_secret, machine
from tests.support.room import Room
from voicectl.core.identity import signature_secrets, target
from voicectl.core.identity.profiles import ProfileStore
from voicectl.errors import ConfigError

OURS = {"VOICECTL_SIGNATURE_SECRET": "ours", "VOICECTL_API_KEY": "a1"}
THEIRS = {"VONAGE_SIGNATURE_SECRET": "theirs"}


@pytest.fixture
def desk(tmp_path: Path, application: Application) -> Room:
    room = machine(tmp_path, application, "http://127.0.0.1:9", api_key="b2")
    forget_signature_secret(room)
    return room


def keep(desk: Room, secrets: str) -> None:
    store = ProfileStore(desk.config)
    store.add(store.get("test"), key=None, signature_secret=secrets, replace=True)


def source(desk: Room, environ: dict[str, str], profile: str | None = None) -> object:
    resolved = target.resolve(desk.environ | environ, ProfileStore(desk.config), profile=profile)
    found = signature_secrets.load(resolved.signature)
    return found and found()


def test_there_may_be_no_secret(desk: Room) -> None:
    assert source(desk, {}) is None


def test_secrets_belong_to_the_account_of_the_same_source(desk: Room) -> None:
    keep(desk, "stored")

    assert source(desk, {}) == {"b2": ("stored",)}
    assert source(desk, OURS) == {"a1": ("ours",)}
    assert source(desk, THEIRS) == {None: ("theirs",)}


@pytest.mark.parametrize(
    ("profile", "environ", "expected"),
    [
        (None, OURS | THEIRS, "ours"),  # the default profile comes last
        (None, THEIRS, "theirs"),
        ("test", OURS | THEIRS, "stored"),  # one that was named comes first
    ],
)
def test_the_order_of_the_sources(
    desk: Room, profile: str | None, environ: dict[str, str], expected: str
) -> None:
    keep(desk, "stored")

    found = source(desk, environ, profile)

    assert isinstance(found, dict)
    assert list(found.values()) == [(expected,)]


def test_an_application_of_the_environment_uses_the_environment_s_secrets(
    desk: Room, application: Application
) -> None:
    keep(desk, "stored")
    own = {
        "VONAGE_APPLICATION_ID": application[0].application_id,
        "VONAGE_PRIVATE_KEY": str(desk.config / "keys" / "test.pem"),
        "VOICECTL_BASE_URL": "http://127.0.0.1:9",
    }

    assert source(desk, own) is None
    assert source(desk, own | THEIRS) == {None: ("theirs",)}


def test_a_rehearsal_uses_only_its_sandbox_s_secrets(room: Room, application: Application) -> None:
    identity = application[0]

    found = source(room, OURS | {"VOICECTL_SANDBOX": room.url})

    assert found == {identity.api_key: (identity.signature_secret,)}


@pytest.mark.parametrize("text", ["one\ntwo", " one \r\n\n two\n"])
def test_two_secrets_are_valid_at_once(desk: Room, text: str) -> None:
    keep(desk, text)

    assert source(desk, {}) == {"b2": ("one", "two")}
    assert source(desk, {"VOICECTL_SIGNATURE_SECRET": text}) == {None: ("one", "two")}


@pytest.mark.parametrize("text", ["one\ntwo\nthree", " \n", "\x00", "z\u00ebro"])
def test_invalid_secrets_are_refused(desk: Room, text: str) -> None:
    keep(desk, text)

    with pytest.raises(ConfigError) as caught:
        source(desk, {})
    assert "two\nthree" not in caught.value.message


def test_a_change_is_picked_up_and_an_unreadable_file_changes_nothing(desk: Room) -> None:
    keep(desk, "old")
    found = signature_secrets.load(target.resolve(desk.environ, ProfileStore(desk.config)).signature)
    assert found is not None
    path = desk.config / "keys" / "test.signature-secret"
    assert found() == {"b2": ("old",)}

    keep(desk, "new\nold")
    assert found() == {"b2": ("new", "old")}
    path.unlink()
    assert found() == {"b2": ("new", "old")}
    keep(desk, "one\ntwo\nthree")
    assert found() == {"b2": ("new", "old")}
    keep(desk, "new")
    assert found() == {"b2": ("new",)}
    path.chmod(0o644)
    assert found() == {"b2": ("new",)}
