"""Members: the legs of calls, and app users that the Conversation API adds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.parts import BY_HAND, HELLO, PERSON, ROOM, Client
from voicectl.sandbox.telephony import state as limits

from .parts import as_user, conversation_of, events, found, members, refused, types, user


@pytest.fixture(name="path")
def a_conversation(client: Client) -> str:
    """The path of an empty conversation, beside which a user alice exists."""
    user(client, "alice", display_name="Alice")
    return f"/v1/conversations/{found(client)['id']}"


def enrol(
    client: Client, path: str, state: str = "joined", name: str = "alice", **body: Any
) -> dict[str, Any]:
    """Create a member."""
    made = client.api("POST", f"{path}/members", {"state": state, "user": {"name": name}} | body)
    assert made.status_code == 201, made.text
    return dict(made.json())


def step(client: Client, path: str, member: dict[str, Any], state: str, method: str = "PATCH", **body: Any):
    return client.api(method, f"{path}/members/{member['id']}", {"state": state} | body)


class TestLegs:
    @pytest.fixture
    def leg(self, client: Client) -> str:
        return client.answered(PERSON, ROOM)

    def test_a_list_has_neither_channel_nor_media(self, client: Client, leg: str):
        path = conversation_of(client, leg)

        reply = client.get(f"{path}/members").json()

        [member] = reply["_embedded"]["members"]
        assert set(member) == {"id", "state", "_embedded", "_links"}
        assert member["state"] == "JOINED"
        its_user = member["_embedded"]["user"]
        assert set(its_user) == {"id", "name", "_links"}
        assert its_user["_links"]["self"]["href"] == f"{client.url}/v1/users/{its_user['id']}"
        assert reply["_links"]["self"]["href"] == f"{client.url}{path}/members"

    def test_a_full_member_names_its_leg(self, client: Client, leg: str):
        path = conversation_of(client, leg)

        [member] = members(client, path)

        assert member["conversation_id"] == path.removeprefix("/v1/conversations/")
        assert member["channel"]["id"] == leg
        assert member["channel"]["leg_ids"] == [leg]
        assert member["channel"]["type"] == "phone"
        assert member["channel"]["to"] == {"type": "phone", "number": PERSON}
        assert member["_embedded"]["user"]["name"].startswith("vapi-user-")
        assert member["media"]["audio_settings"] == {"enabled": True, "earmuffed": False, "muted": False}

    def test_a_member_shows_mutes_of_the_voice_api(self, client: Client, leg: str):
        path = conversation_of(client, leg)

        def settings() -> dict[str, bool]:
            return members(client, path)[0]["media"]["audio_settings"]

        client.change(leg, "mute")
        assert settings() == {"enabled": True, "earmuffed": False, "muted": True}
        client.change(leg, "earmuff")
        assert settings() == {"enabled": True, "earmuffed": True, "muted": True}
        client.change(leg, "unmute")
        client.change(leg, "unearmuff")
        assert settings() == {"enabled": True, "earmuffed": False, "muted": False}
        assert types(client, path)[-4:] == [
            "audio:mute:on",
            "audio:earmuff:on",
            "audio:mute:off",
            "audio:earmuff:off",
        ]

    def test_leaving_hangs_up_the_leg(self, client: Client, leg: str):
        path = conversation_of(client, leg)
        [member] = members(client, path)

        left = step(client, path, member, "left", reason={"code": "gone", "text": "It went"})

        assert left.status_code == 200
        assert left.json()["state"] == "LEFT"
        assert set(left.json()["timestamp"]) >= {"joined", "left"}
        assert client.status(leg) == "completed"
        assert events(client, path)[-1]["body"]["reason"] == {"code": "gone", "text": "It went"}

    def test_leaving_cancels_a_ringing_call(self, client: Client):
        leg = client.call(BY_HAND)
        client.advance(1)
        path = conversation_of(client, leg)

        assert step(client, path, members(client, path)[0], "left").status_code == 200
        assert client.status(leg) == "cancelled"

    def test_a_member_who_left_cannot_join_again(self, client: Client, leg: str):
        path = conversation_of(client, leg)
        [member] = members(client, path)
        client.change(leg, "hangup")

        for state in ("joined", "left"):
            refused(step(client, path, member, state), 400, "conversation:error:invalid-member-state")

    def test_a_moved_leg_leaves_as_one_member_and_joins_as_another(self, client: Client, leg: str):
        path = conversation_of(client, leg)

        client.transfer(leg, ROOM | {"name": "elsewhere"})

        [was], [now] = members(client, path), members(client, conversation_of(client, leg))
        assert (was["state"], now["state"]) == ("LEFT", "JOINED")
        assert was["id"] != now["id"]
        assert was["channel"]["id"] == now["channel"]["id"] == leg
        assert was["_embedded"] == now["_embedded"]
        refused(step(client, path, was, "left"), 400, "conversation:error:invalid-member-state")
        assert client.status(leg) == "answered"

    def test_pages_of_members_link_to_the_next(self, client: Client, leg: str):
        path = conversation_of(client, leg)
        for _ in range(2):
            client.answered(PERSON, ROOM)
        listed = [each["id"] for each in members(client, path)]

        first = client.get(f"{path}/members?page_size=2&order=desc").json()
        second = client.get(first["_links"]["next"]["href"]).json()

        seen = first["_embedded"]["members"] + second["_embedded"]["members"]
        assert [each["id"] for each in seen] == listed[::-1]

    def test_an_app_leg_is_the_user_s_member(self, client: Client, path: str):
        made = client.create(ncco=[ROOM], to=[{"type": "app", "user": "alice"}])
        client.advance(10)

        [member] = members(client, path)

        assert member["channel"]["id"] == made.json()["uuid"]
        assert member["_embedded"]["user"]["name"] == "alice"
        assert member["_embedded"]["user"]["display_name"] == "Alice"
        reply = client.http.get(f"{path}/members/me", headers=as_user(client))
        assert reply.json() == member


class TestGuests:
    def test_a_member_is_invited_joins_and_leaves(self, client: Client, path: str):
        media = {"audio": True, "audio_settings": {"enabled": True, "earmuffed": False, "muted": True}}
        invited = enrol(client, path, "invited", channel={"type": "app"}, media=media, knocking_id="KNO-1")

        assert invited["state"] == "INVITED"
        assert set(invited["timestamp"]) == {"invited"}
        assert invited["initiator"] == {"invited": {"is_system": True}}
        assert (invited["channel"], invited["media"]) == ({"type": "app"}, media)
        assert invited["knocking_id"] == "KNO-1"
        assert invited["_embedded"]["user"]["display_name"] == "Alice"

        joined = step(client, path, invited, "joined")
        assert (joined.status_code, joined.json()["state"]) == (200, "JOINED")

        left = step(client, path, invited, "left", method="PUT", reason={"code": "x", "text": "y"})
        assert (left.status_code, left.json()["state"]) == (200, "LEFT")
        assert set(left.json()["timestamp"]) == {"invited", "joined", "left"}
        assert left.json() == client.get(f"{path}/members/{invited['id']}").json()
        assert types(client, path) == [
            "conversation:created",
            "member:invited",
            "member:joined",
            "member:left",
        ]
        assert events(client, path)[-1]["body"]["reason"] == {"code": "x", "text": "y"}

    def test_a_member_can_be_created_as_joined(self, client: Client, path: str):
        joined = enrol(client, path)

        assert (joined["state"], set(joined["timestamp"])) == ("JOINED", {"joined"})

    def test_users_can_be_named_by_id(self, client: Client, path: str):
        alice = client.get("/v1/users/alice").json()

        made = client.api("POST", f"{path}/members", {"state": "joined", "user": {"id": alice["id"]}})

        assert made.json()["_embedded"]["user"]["id"] == alice["id"]

    def test_each_state_is_entered_once_and_in_order(self, client: Client, path: str):
        member = enrol(client, path)

        refused(step(client, path, member, "joined"), 400, "conversation:error:invalid-member-state")
        assert step(client, path, member, "left").status_code == 200
        for state in ("joined", "left"):
            refused(step(client, path, member, state), 400, "conversation:error:invalid-member-state")

    def test_a_user_is_a_member_only_once(self, client: Client, path: str):
        member = enrol(client, path, "invited")
        body = {"state": "joined", "user": {"name": "alice"}}

        refused(client.api("POST", f"{path}/members", body), 400, "conversation:error:member-already-invited")
        step(client, path, member, "joined")
        refused(client.api("POST", f"{path}/members", body), 400, "conversation:error:member-already-joined")
        step(client, path, member, "left")
        assert enrol(client, path)["id"] != member["id"]

    def test_an_unknown_user_cannot_be_invited(self, client: Client, path: str):
        body = {"state": "joined", "user": {"name": "bob"}}

        refused(client.api("POST", f"{path}/members", body), 404, "user:error:not-found")

    def test_members_invite_members(self, client: Client, path: str):
        user(client, "bob")
        alice = enrol(client, path)

        bob = enrol(client, path, "invited", "bob", member_id_inviting=alice["id"])

        assert bob["invited_by"] == alice["id"]
        body = {"state": "invited", "user": {"name": "bob"}, "member_id_inviting": "MEM-x"}
        refused(client.api("POST", f"{path}/members", body), 400, "conversation:error:invalid-member")

    def test_the_number_of_members_is_limited(self, client: Client, path: str, monkeypatch):
        monkeypatch.setattr("voicectl.sandbox.http.members.MAX_LEGS", 2)
        assert limits.MAX_LEGS == 200
        user(client, "bob")
        enrol(client, path)
        client.answered(PERSON, ROOM)

        body = {"state": "joined", "user": {"name": "bob"}}
        reply = client.api("POST", f"{path}/members", body)

        refused(reply, 400, "conversation:error:maximum-number-of-members")

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, "state"),
            ({"state": "left"}, "state"),
            ({"state": "JOINED"}, "state"),
            ({"user": {}}, "user.id"),
            ({"user": "alice"}, "user"),
            ({"channel": {}}, "channel.type"),
            ({"media": {"audio": 1}}, "media.audio"),
            ({"media": {"audio_settings": {"muted": "no"}}}, "media.audio_settings.muted"),
            ({"knocking_id": 1}, "knocking_id"),
        ],
    )
    def test_an_error_names_the_field(self, client: Client, path: str, body, wrong):
        good = {"state": "joined", "user": {"name": "alice"}} if body else {"user": {"name": "alice"}}

        error = refused(client.api("POST", f"{path}/members", good | body), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]
        assert members(client, path) == []

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, "state"),
            ({"state": "invited"}, "state"),
            ({"state": "left", "reason": {"code": 1}}, "reason.code"),
        ],
    )
    def test_an_error_in_a_state_change_names_the_field(self, client: Client, path: str, body, wrong):
        member = enrol(client, path)

        reply = client.api("PATCH", f"{path}/members/{member['id']}", body)

        error = refused(reply, 400, "http:error:validation-fail")
        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]

    def test_unknown_members_are_not_found(self, client: Client, path: str):
        other = f"/v1/conversations/{found(client, 'other')['id']}"
        member = enrol(client, other)

        for id_ in (member["id"], "MEM-x"):
            refused(client.get(f"{path}/members/{id_}"), 404, "conversation:error:member-not-found")
            refused(step(client, path, {"id": id_}, "left"), 404, "conversation:error:member-not-found")

    @pytest.mark.parametrize("version", ["v1", "v0.3"])
    def test_deleting_a_member_makes_it_leave(self, client: Client, path: str, version: str):
        member = f"{path}/members/{enrol(client, path)['id']}"

        deleted = client.api("DELETE", member.replace("/v1/", f"/{version}/"))

        assert (deleted.status_code, deleted.json()) == (200, {})
        assert client.get(member).json()["state"] == "LEFT"
        again = client.api("DELETE", member.replace("/v1/", f"/{version}/"))
        refused(again, 400, "conversation:error:invalid-member-state")
        other = client.api("DELETE", f"{path}/members/MEM-x".replace("/v1/", f"/{version}/"))
        refused(other, 404, "conversation:error:member-not-found")

    def test_a_deleted_member_s_leg_is_hung_up(self, client: Client, path: str):
        leg = client.answered(PERSON, ROOM)
        [member] = [each for each in members(client, path) if each["channel"].get("id") == leg]

        assert client.api("DELETE", f"{path}/members/{member['id']}").status_code == 200
        assert client.status(leg) == "completed"


class TestUserTokens:
    def test_me_is_the_user_of_the_token(self, client: Client, path: str):
        user(client, "bob")
        enrol(client, path, name="bob")
        alice = enrol(client, path, "invited")

        reply = client.http.get(f"{path}/members/me", headers=as_user(client))

        assert reply.status_code == 200
        assert reply.json() == alice

    def test_a_user_who_is_not_a_member_is_not_found(self, client: Client, path: str):
        reply = client.http.get(f"{path}/members/me", headers=as_user(client))

        refused(reply, 404, "conversation:error:member-not-found")

    def test_an_admin_token_has_no_member(self, client: Client, path: str):
        refused(client.get(f"{path}/members/me"), 400, "user:error:invalid-user-token")

    def test_events_name_the_acting_user(self, client: Client, path: str):
        alice = enrol(client, path, "invited")

        reply = client.http.patch(
            f"{path}/members/{alice['id']}", json={"state": "joined"}, headers=as_user(client)
        )

        by = {"is_system": False, "user_id": alice["_embedded"]["user"]["id"], "member_id": alice["id"]}
        assert reply.json()["initiator"] == {"invited": {"is_system": True}, "joined": by}


def test_a_leg_of_a_user_s_own_call_is_a_member_too(client: Client):
    leg = client.answered(PERSON, HELLO | {"loop": 0})

    [member] = members(client, conversation_of(client, leg))

    assert member["channel"]["id"] == leg
