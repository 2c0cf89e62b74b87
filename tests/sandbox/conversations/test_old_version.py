"""Version 0.3 of the Conversation and Users APIs, as the vendor's earlier command-line tool calls it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.parts import PERSON, ROOM, Client

from .parts import refused

USERS, CONVERSATIONS = "/v0.3/users", "/v0.3/conversations"


def made(client: Client, path: str, **body: Any) -> dict[str, Any]:
    reply = client.api("POST", path, body)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def listed(client: Client, path: str, name: str) -> list[dict[str, Any]]:
    reply = client.get(path)
    assert reply.status_code == 200, reply.text
    return list(reply.json()["_embedded"][name])


def hrefs(value: object) -> list[str]:
    """Return all links in a reply."""
    if isinstance(value, list):
        return [href for each in value for href in hrefs(each)]
    if not isinstance(value, dict):
        return []
    own = [value["href"]] if isinstance(value.get("href"), str) else []
    return own + [href for each in value.values() for href in hrefs(each)]


def test_users_are_created_listed_changed_and_deleted(client: Client):
    alice = made(client, USERS, name="alice", display_name="Alice")
    made(client, USERS, name="bob")

    assert client.get(f"{USERS}/{alice['id']}").json() == alice
    assert [each["name"] for each in listed(client, USERS, "users")] == ["alice", "bob"]
    assert [each["id"] for each in listed(client, f"{USERS}?name=alice", "users")] == [alice["id"]]
    changed = client.api("PATCH", f"{USERS}/{alice['id']}", {"userID": alice["id"], "display_name": "A."})
    assert (changed.status_code, changed.json()["display_name"]) == (200, "A.")
    assert client.api("DELETE", f"{USERS}/{alice['id']}").status_code == 204
    refused(client.get(f"{USERS}/{alice['id']}"), 404, "user:error:not-found")


def test_conversations_are_created_listed_changed_and_deleted(client: Client):
    room = made(client, CONVERSATIONS, name="support-17")
    path = f"{CONVERSATIONS}/{room['id']}"

    assert client.get(path).json()["name"] == "support-17"
    assert [each["id"] for each in listed(client, CONVERSATIONS, "conversations")] == [room["id"]]
    assert client.api("PUT", path, {"display_name": "Support"}).json()["display_name"] == "Support"
    assert client.api("DELETE", path).status_code == 204
    refused(client.get(path), 404, "conversation:error:not-found")


def test_members_join_and_leave(client: Client):
    alice = made(client, USERS, name="alice")
    path = f"{CONVERSATIONS}/{made(client, CONVERSATIONS, name='support-17')['id']}/members"

    member = made(client, path, state="joined", user={"id": alice["id"]}, channel={"type": "app"})

    assert client.get(f"{path}/{member['id']}").json() == member
    assert [each["id"] for each in listed(client, path, "members")] == [member["id"]]
    # the tool ends this path with a slash
    rooms = listed(client, f"{USERS}/{alice['id']}/conversations/", "conversations")
    assert [each["name"] for each in rooms] == ["support-17"]
    left = client.api("PATCH", f"{path}/{member['id']}", {"state": "left"})
    assert (left.status_code, left.json()["state"]) == (200, "LEFT")


def test_events_are_those_of_version_1(client: Client):
    client.answered(PERSON, ROOM)
    [room] = [each for each in listed(client, CONVERSATIONS, "conversations") if each["name"] == ROOM["name"]]
    path = f"{CONVERSATIONS}/{room['id']}/events"

    posted = made(client, path, type="custom:note", body={"text": "hello"})

    events = client.get(f"{path}?page_size=100").json()["_embedded"]
    assert events[-1] == posted
    newer = client.get(f"/v1/conversations/{room['id']}/events?page_size=100").json()["_embedded"]
    assert [each["id"] for each in events] == [each["id"] for each in newer]
    assert client.get(f"{path}/{posted['id']}").json() == posted


@pytest.mark.parametrize("version", ["v1", "v0.3"])
def test_links_lead_to_the_version_that_was_asked(client: Client, version: str):
    """An application that deletes whatever a list links to stays with one version."""
    user = made(client, f"/{version}/users", name="alice")
    room = made(client, f"/{version}/conversations", name="support-17")
    path = f"/{version}/conversations/{room['id']}"
    member = made(client, f"{path}/members", state="joined", user={"name": "alice"}, channel={"type": "app"})
    lists = [f"/{version}/users", f"/{version}/conversations", f"{path}/members", f"{path}/events"]
    lists += [f"/{version}/users/{user['id']}/conversations", f"/{version}/users/{user['id']}/sessions"]

    links = [href for each in lists for href in hrefs(client.get(f"{each}?page_size=1").json())]
    links += hrefs([user, room, member])

    assert len(links) > len(lists)
    assert {href.removeprefix(f"{client.url}/").split("/")[0] for href in links} == {version}
    assert all(client.get(href).status_code == 200 for href in links)


def test_errors_have_the_same_form(client: Client):
    refused(client.get(f"{USERS}/no-such-user"), 404, "user:error:not-found")
    reply = client.http.get(USERS)
    refused(reply, 401, "system:error:missing-token")
    body = {
        "content": b"name=x",
        "headers": {"Authorization": f"Bearer {client.token()}", "Content-Type": "x/y"},
    }
    assert client.http.post(USERS, **body).status_code == 406
    assert client.http.post(CONVERSATIONS, **body).status_code == 415


@pytest.mark.parametrize("media", ["talk", "stream"])
def test_media_for_a_whole_conversation_exist_only_in_version_1(client: Client, media: str):
    room = made(client, CONVERSATIONS, name="support-17")

    assert client.api("PUT", f"{CONVERSATIONS}/{room['id']}/{media}", {}).status_code == 404
