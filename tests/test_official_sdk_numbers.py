"""The platform's official Python SDK, unmodified, lists the sandbox's numbers and links them."""

from __future__ import annotations

from pathlib import Path

import pytest
import vonage
import vonage_numbers as sdk
from vonage_http_client.errors import AuthenticationError, HttpRequestError

from tests.conftest import StartRoom
from tests.support.interception import intercepting
from tests.support.room import Room
from voicectl.sandbox.account.identity import Identity

OWN = "442079460000"
SPARE = "442079460001"


@pytest.fixture
def room(start_room: StartRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Room:
    return intercepting(start_room, monkeypatch, tmp_path)


@pytest.fixture
def identity(room: Room) -> Identity:
    assert room.sandbox is not None
    return room.sandbox.identity


def client(key: str, secret: str) -> sdk.Numbers:
    return vonage.Vonage(vonage.Auth(api_key=key, api_secret=secret)).numbers


@pytest.fixture
def numbers(identity: Identity) -> sdk.Numbers:
    return client(identity.api_key, identity.api_secret)


def found(numbers: sdk.Numbers, **search: object) -> list[str]:
    listed, count, following = numbers.list_owned_numbers(sdk.ListOwnedNumbersFilter(**search))
    assert (count, following) == (len(listed), None)
    return [str(each.msisdn) for each in listed]


def test_the_sdk_lists_and_searches_the_numbers(numbers: sdk.Numbers, identity: Identity) -> None:
    assert found(numbers) == [OWN, SPARE]
    assert found(numbers, has_application=True) == [OWN]
    assert found(numbers, has_application=False) == [SPARE]
    assert found(numbers, application_id=identity.application_id, country="GB") == [OWN]
    assert found(numbers, pattern="0001", search_pattern=2) == [SPARE]
    assert found(numbers, country="US") == []
    first, count, following = numbers.list_owned_numbers(sdk.ListOwnedNumbersFilter(size=1))
    assert ([each.msisdn for each in first], count, following) == ([OWN], 2, 2)


def test_the_sdk_links_a_number_and_voicectl_shows_it(
    voicectl: Room, numbers: sdk.Numbers, identity: Identity
) -> None:
    wanted = sdk.UpdateNumberParams(country="GB", msisdn=SPARE, app_id=identity.application_id)

    assert numbers.update_number(wanted).error_code == "200"

    assert voicectl("number list --application -q").stdout.split() == [OWN, SPARE]


def test_the_sdk_reads_the_refusals(numbers: sdk.Numbers) -> None:
    with pytest.raises(HttpRequestError, match="420"):
        numbers.update_number(sdk.UpdateNumberParams(country="GB", msisdn="442079460999"))
    with pytest.raises(AuthenticationError):
        client("abcd1234", "wrong").list_owned_numbers()
