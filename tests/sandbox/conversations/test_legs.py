"""Legs in the versions 0.1 and 0.3 of the Conversation API: listed, and hung up."""

from __future__ import annotations

import pytest

from tests.sandbox.parts import BUSY, PERSON, ROOM, Client

from .parts import refused


@pytest.fixture(name="legs", params=["v0.1", "v0.3"])
def the_route(request: pytest.FixtureRequest) -> str:
    return f"/{request.param}/legs"


def test_all_legs_of_the_application_are_listed(client: Client, legs: str):
    live, ended = client.answered(PERSON, ROOM), client.call(BUSY, ROOM)
    client.advance(5)

    page = client.get(f"{legs}?page_size=100").json()

    assert (page["count"], page["page_size"], page["record_index"]) == (2, 100, 0)
    assert page["_links"]["self"]["href"].startswith(f"{client.url}{legs}?")
    first, second = page["_embedded"]["legs"]
    assert (first["uuid"], second["uuid"]) == (live, ended)
    assert first == {
        "uuid": live,
        "type": "phone",
        "conversation_uuid": client.record(live)["conversation_uuid"],
        "status": "answered",
        "from": client.record(live)["from"],
        "to": {"type": "phone", "number": PERSON},
        "start_time": first["start_time"],
        "end_time": None,
        "rtc": {"session_id": first["rtc"]["session_id"], "state": "active"},
        "_links": {"self": {"href": f"{client.url}{legs}/{live}"}},
    }
    assert first["start_time"].endswith("Z")
    assert first["rtc"]["session_id"].startswith("SES-")
    assert (second["status"], second["start_time"], second["rtc"]["state"]) == ("busy", None, "terminated")
    assert second["end_time"].endswith("Z")


def test_they_come_in_pages(client: Client, legs: str):
    placed = [client.call(PERSON, ROOM) for _ in range(3)]

    first = client.get(f"{legs}?page_size=2").json()
    second = client.get(first["_links"]["next"]["href"]).json()

    shown = first["_embedded"]["legs"] + second["_embedded"]["legs"]
    assert [each["uuid"] for each in shown] == placed
    assert "next" not in second["_links"]


def test_a_deleted_leg_is_hung_up(client: Client, legs: str):
    leg = client.answered(PERSON, ROOM)

    deleted = client.api("DELETE", f"{legs}/{leg}")

    assert (deleted.status_code, deleted.json()) == (200, {})
    assert client.status(leg) == "completed"
    refused(client.api("DELETE", f"{legs}/{leg}"), 400, "leg:error:complete")


def test_an_unknown_leg_is_not_found(client: Client, legs: str):
    refused(client.api("DELETE", f"{legs}/x"), 404, "leg:error:not-found")


def test_errors_have_the_shape_of_this_api(client: Client, legs: str):
    refused(client.get(f"{legs}?page_size=0"), 400, "http:error:validation-fail")
    refused(client.http.get(legs, headers={"Authorization": "Bearer x"}), 401, "system:error:invalid-token")
