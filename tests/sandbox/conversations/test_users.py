"""The Users API: user names are unique, and calls to unknown users are not answered."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import ROOM, Client

from .parts import refused

USERS = "/v1/users"


def make(client: Client, **body: object) -> dict:
    made = client.api("POST", USERS, body)
    assert made.status_code == 201, made.text
    return dict(made.json())


def names(client: Client, query: str = "") -> list[str]:
    return [user["name"] for user in client.get(f"{USERS}?{query}").json()["_embedded"]["users"]]


class TestCreating:
    def test_a_user_is_shown_as_created(self, client: Client):
        body = {
            "name": "alice",
            "display_name": "Alice",
            "image_url": "https://cdn.example.org/alice.png",
            "properties": {"custom_data": {"team": "blue"}},
            "channels": {
                "pstn": [{"number": 447700900001}],
                "websocket": [{"uri": "wss://app.example.org", "content-type": "audio/l16;rate=16000"}],
            },
        }

        user = make(client, **body)

        assert user["id"].startswith("USR-")
        assert {name: user[name] for name in body} == body
        assert user["_links"]["self"]["href"] == f"{client.url}/v1/users/{user['id']}"
        assert client.get(f"{USERS}/{user['id']}").json() == user

    def test_without_a_name_one_is_generated(self, client: Client):
        assert make(client)["name"].startswith("NAM-")
        assert (
            client.http.post(USERS, headers={"Authorization": f"Bearer {client.token()}"})
            .json()["name"]
            .startswith("NAM-")
        )

    def test_a_name_is_unique(self, client: Client):
        make(client, name="alice")

        refused(client.api("POST", USERS, {"name": "alice"}), 409, "user:error:duplicate-name")

    @pytest.mark.parametrize("name", ["me", "USR-", "USR-alice"])
    def test_names_that_look_like_ids_are_refused(self, client: Client, name):
        refused(client.api("POST", USERS, {"name": name}), 400, "user:error:invalid-user-name")

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({"name": ""}, "name"),
            ({"name": 1}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"display_name": "x" * 51}, "display_name"),
            ({"image_url": "x" * 2049}, "image_url"),
            ({"properties": []}, "properties"),
            ({"properties": {"custom_data": 1}}, "properties.custom_data"),
            ({"channels": {"fax": []}}, "channels.fax"),
            ({"channels": {"sip": {}}}, "channels.sip"),
            ({"channels": {"sip": [1]}}, "channels.sip[0]"),
            ([], "body"),
        ],
    )
    def test_an_error_names_the_field(self, client: Client, body, wrong):
        error = refused(client.api("POST", USERS, body), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]

    def test_a_user_token_cannot_create_users(self, client: Client):
        headers = {"Authorization": f"Bearer {client.token(sub='alice')}"}

        reply = client.http.post(USERS, json={"name": "bob"}, headers=headers)

        refused(reply, 403, "system:error:permission")

    def test_ids_follow_from_the_seed(self, start: Start):
        assert make(start(), name="alice")["id"] == make(start(), name="alice")["id"]


class TestFinding:
    def test_a_user_is_found_by_id_or_by_name(self, client: Client):
        user = make(client, name="alice")

        assert client.get(f"{USERS}/alice").json() == client.get(f"{USERS}/{user['id']}").json() == user

    @pytest.mark.parametrize("reference", ["bob", "USR-x", "%2e%2e", "me"])
    def test_unknown_users_are_not_found(self, client: Client, reference):
        make(client, name="alice")

        for path in ("", "/conversations", "/sessions"):
            refused(client.get(f"{USERS}/{reference}{path}"), 404, "user:error:not-found")

    def test_lists_are_paged_and_oldest_first(self, client: Client):
        made = [make(client, name=name, display_name=name.upper())["name"] for name in "abc"]

        first = client.get(f"{USERS}?page_size=2").json()
        second = client.get(first["_links"]["next"]["href"]).json()

        assert names(client) == names(client, "order=asc") == made
        assert names(client, "order=desc") == made[::-1]
        assert first["page_size"] == 2
        assert [each["name"] for each in first["_embedded"]["users"]] == ["a", "b"]
        assert [each["name"] for each in second["_embedded"]["users"]] == ["c"]
        assert set(first["_embedded"]["users"][0]) == {"id", "name", "display_name", "_links"}
        assert set(first["_links"]) == {"first", "self", "next"}
        assert set(second["_links"]) == {"first", "self", "prev"}

    def test_lists_are_filtered_by_name(self, client: Client):
        for name in "abc":
            make(client, name=name)

        assert names(client, "name=b") == ["b"]
        assert names(client, "name=B") == []

    @pytest.mark.parametrize("query", ["page_size=0", "page_size=101", "order=up"])
    def test_an_impossible_page_is_refused(self, client: Client, query):
        refused(client.get(f"{USERS}?{query}"), 400, "http:error:validation-fail")

    def test_a_cursor_of_another_list_is_refused(self, client: Client):
        refused(client.get(f"{USERS}?cursor=1"), 400, "paginator-builder:error:invalid-cursor")


class TestChanging:
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_given_fields_change_and_the_others_stay(self, client: Client, method):
        user = make(client, name="alice", display_name="Alice")

        changed = client.api(
            method, f"{USERS}/{user['id']}", {"name": "bob", "image_url": "https://x.example"}
        )

        assert changed.status_code == 200
        assert changed.json() == {**user, "name": "bob", "image_url": "https://x.example"}
        assert client.get(f"{USERS}/bob").json() == changed.json()
        assert client.get(f"{USERS}/alice").status_code == 404
        make(client, name="alice")

    def test_a_taken_name_is_refused_and_changes_nothing(self, client: Client):
        alice = make(client, name="alice")
        make(client, name="bob")

        reply = client.api("PATCH", f"{USERS}/{alice['id']}", {"name": "bob", "display_name": "B"})

        refused(reply, 409, "user:error:duplicate-name")
        assert client.get(f"{USERS}/alice").json() == alice

    def test_a_user_may_be_updated_with_its_own_name(self, client: Client):
        alice = make(client, name="alice")

        assert client.api("PATCH", f"{USERS}/{alice['id']}", {"name": "alice"}).status_code == 200

    def test_a_user_is_changed_by_id_only(self, client: Client):
        make(client, name="alice")

        refused(client.api("PATCH", f"{USERS}/alice", {}), 404, "user:error:not-found")
        refused(client.api("DELETE", f"{USERS}/alice"), 404, "user:error:not-found")

    def test_a_deleted_user_is_not_found(self, client: Client):
        alice = make(client, name="alice")

        gone = client.api("DELETE", f"{USERS}/{alice['id']}")

        assert (gone.status_code, gone.content) == (204, b"")
        refused(client.get(f"{USERS}/{alice['id']}"), 404, "user:error:not-found")
        make(client, name="alice")


class TestCalls:
    def dial(self, client: Client, user: str) -> str:
        made = client.create(ncco=[ROOM], to=[{"type": "app", "user": user}])
        assert made.status_code == 201, made.text
        client.advance(10)
        return client.status(made.json()["uuid"])

    def test_a_call_to_a_user_is_answered_and_one_to_an_unknown_user_is_not(self, client: Client):
        make(client, name="alice")

        assert self.dial(client, "alice") == "answered"
        assert self.dial(client, "bob") == "unanswered"

    def test_a_deleted_user_is_unknown(self, client: Client):
        alice = make(client, name="alice")
        client.api("DELETE", f"{USERS}/{alice['id']}")

        assert self.dial(client, "alice") == "unanswered"

    def test_a_user_s_call_is_its_session(self, client: Client):
        alice = make(client, name="alice")
        assert client.get(f"{USERS}/alice/sessions").json()["_embedded"]["sessions"] == []

        self.dial(client, "alice")

        [session] = client.get(f"{USERS}/{alice['id']}/sessions").json()["_embedded"]["sessions"]
        assert session["_embedded"] == {
            "user": {"id": alice["id"], "name": "alice"},
            "api_key": client.identity.api_key,
        }
        assert session["properties"]["ttl"] > 0

    def test_users_outlive_a_reset(self, client: Client):
        make(client, name="alice")

        client.control("reset")

        assert names(client) == ["alice"]
        assert self.dial(client, "alice") == "answered"


def test_names_are_unique_in_each_region(client: Client):
    region = client.sandbox.region_urls["eu-west"]
    ours = make(client, name="alice")
    theirs = client.api("POST", f"{region}{USERS}", {"name": "alice"}).json()

    assert ours["id"] != theirs["id"]
    assert names(client) == ["alice", "alice"]
    assert [each["id"] for each in client.get(f"{region}{USERS}").json()["_embedded"]["users"]] == [
        theirs["id"]
    ]
    assert client.get(f"{region}{USERS}/alice").json() == theirs
    assert theirs["_links"]["self"]["href"] == f"{region}{USERS}/{theirs['id']}"
    refused(client.get(f"{region}{USERS}/{ours['id']}"), 404, "user:error:not-found")


class TestRefusals:
    def test_a_request_without_a_token_is_refused(self, client: Client):
        refused(client.http.get(USERS), 401, "system:error:missing-token")

    def test_a_request_with_an_invalid_token_is_refused(self, client: Client):
        for token, code in (("x", "invalid-token"), (client.token(exp=1, iat=0), "expired-token")):
            reply = client.http.get(USERS, headers={"Authorization": f"Bearer {token}"})
            refused(reply, 401, f"system:error:{code}")

    def test_a_token_is_limited_by_its_acl(self, client: Client):
        token = client.token(acl={"paths": {"/*/conversations/**": {}}})

        refused(
            client.http.get(USERS, headers={"Authorization": f"Bearer {token}"}),
            403,
            "system:error:permission",
        )

    def test_a_body_other_than_json_gets_406(self, client: Client):
        headers = {"Authorization": f"Bearer {client.token()}", "Content-Type": "text/plain"}

        refused(
            client.http.post(USERS, content=b"{}", headers=headers), 406, "http:error:invalid-content-type"
        )

    def test_broken_json_is_refused(self, client: Client):
        headers = {"Authorization": f"Bearer {client.token()}", "Content-Type": "application/json"}

        refused(client.http.post(USERS, content=b"{", headers=headers), 400, "http:error:validation-fail")

    def test_a_wrong_method_and_an_unknown_route_are_refused(self, client: Client):
        reply = client.api("DELETE", USERS)
        refused(reply, 405, "http:error:method-not-allowed")
        assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}
        refused(client.get(f"{USERS}/x/y"), 404, "http:error:not-found")

    def test_too_many_requests_are_refused(self, client: Client):
        client.fault("rate-limit", on="listUsers", retry_after=3)

        reply = client.get(USERS)

        refused(reply, 429, "http:error:too-many-request")
        assert reply.headers["retry-after"] == "3"

    def test_a_fault_returns_its_status(self, client: Client):
        client.fault("status", on="listUsers", code=503)

        refused(client.get(USERS), 503, "system:error:internal")
