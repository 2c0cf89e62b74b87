"""The platform's official Python SDK, unmodified, manages the sandbox's app users."""

from __future__ import annotations

from pathlib import Path

import pytest
import vonage
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from vonage_http_client.errors import HttpRequestError
from vonage_users import ListUsersFilter, User, Users

from tests.conftest import StartRoom
from tests.support.interception import intercepting
from voicectl.core.identity import keys
from voicectl.sandbox.account.identity import Identity


@pytest.fixture
def users(
    start_room: StartRoom,
    monkeypatch: pytest.MonkeyPatch,
    application: tuple[Identity, RSAPrivateKey],
    tmp_path: Path,
) -> Users:
    intercepting(start_room, monkeypatch, tmp_path)
    identity, key = application
    pem = tmp_path / "sandbox.pem"
    pem.write_bytes(keys.to_pem(key))
    return vonage.Vonage(vonage.Auth(application_id=identity.application_id, private_key=str(pem))).users


def test_the_sdk_creates_finds_changes_and_deletes_users(users: Users) -> None:
    made = users.create_user(User(name="alice", display_name="Alice", properties={"custom_data": {"a": 1}}))
    nameless = users.create_user()
    changed = users.update_user(made.id, User(display_name="Al"))

    assert made.link == f"https://api.nexmo.com/v1/users/{made.id}"
    assert (changed.name, changed.display_name, changed.properties.custom_data) == ("alice", "Al", {"a": 1})
    assert users.get_user("alice") == changed
    first, cursor = users.list_users(ListUsersFilter(page_size=1, order="DESC"))
    second, end = users.list_users(ListUsersFilter(page_size=1, order="DESC", cursor=cursor))
    assert [each.id for each in first + second] == [nameless.id, made.id]
    assert end is None
    users.delete_user(made.id)
    with pytest.raises(HttpRequestError):
        users.get_user(made.id)
