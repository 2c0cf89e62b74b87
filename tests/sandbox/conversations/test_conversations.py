"""The Conversation API on the conversations of calls: created, found, changed, deleted, and played to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import APPLICATION, HELLO, PERSON, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver

from .parts import conversation_of, events, found, members, refused, types, user

ALL = "/v1/conversations"
MISSING = f"{ALL}/CON-00000000-0000-4000-8000-000000000000"


def names(client: Client, query: str = "") -> list[str]:
    reply = client.get(f"{ALL}?page_size=100&{query}")
    assert reply.status_code == 200, reply.text
    return [each["name"] for each in reply.json()["_embedded"]["conversations"]]


class TestCreating:
    def test_a_conversation_is_shown_as_created(self, client: Client):
        body = {
            "name": "room-17",
            "display_name": "Room 17",
            "image_url": "https://cdn.example.org/17.png",
            "properties": {"ttl": 60, "type": "quick", "custom_sort_key": "k", "custom_data": {"a": 1}},
            "numbers": [{"type": "phone", "number": "447700900001"}],
            "callback": {
                "url": "https://app.example.org/callback",
                "event_mask": "member:joined,member:left",
                "method": "POST",
                "params": {"applicationId": APPLICATION, "ncco_url": "https://app.example.org/ncco"},
            },
        }

        made = client.api("POST", ALL, body)

        shown = made.json()
        assert made.status_code == 201
        assert {name: shown[name] for name in body} == body
        assert shown["id"].startswith("CON-")
        assert (shown["state"], shown["sequence_number"]) == ("ACTIVE", 0)
        assert shown["timestamp"] == {"created": "2026-01-01T00:00:00.000Z"}
        assert shown["_links"]["self"]["href"] == f"{client.url}{ALL}/{shown['id']}"
        assert client.get(f"{ALL}/{shown['id']}").json() == shown | {"sequence_number": 1}

    def test_without_a_name_one_is_generated(self, client: Client):
        assert found(client, None)["name"].startswith("NAM-")

    def test_a_name_is_unique(self, client: Client):
        found(client, "room")

        refused(client.api("POST", ALL, {"name": "room"}), 409, "conversation:error:duplicate-name")

    def test_a_room_created_by_a_call_has_its_name(self, client: Client):
        client.answered(PERSON, ROOM)

        refused(client.api("POST", ALL, {"name": "room"}), 409, "conversation:error:duplicate-name")

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"display_name": "x" * 51}, "display_name"),
            ({"image_url": "x" * 2049}, "image_url"),
            ({"properties": {"ttl": 0}}, "properties.ttl"),
            ({"properties": {"ttl": "60"}}, "properties.ttl"),
            ({"properties": {"custom_data": []}}, "properties.custom_data"),
            ({"numbers": {}}, "numbers"),
            ({"numbers": [{"type": "fax"}]}, "numbers[0].type"),
            ({"callback": {"method": "PUT"}}, "callback.method"),
            ({"callback": {"url": "ftp://x"}}, "callback.url"),
            ({"callback": {"event_mask": "x" * 201}}, "callback.event_mask"),
            ("room", "body"),
        ],
    )
    def test_an_error_names_the_field(self, client: Client, body, wrong):
        error = refused(client.api("POST", ALL, body), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]

    def test_ids_follow_from_the_seed(self, start: Start):
        assert found(start())["id"] == found(start())["id"]


class TestCalls:
    def test_a_call_has_a_conversation_with_a_generated_name(self, client: Client):
        leg = client.answered(PERSON, HELLO | {"loop": 0})

        shown = client.get(conversation_of(client, leg)).json()

        assert shown["id"] == client.record(leg)["conversation_uuid"]
        assert shown["name"].startswith("NAM-")
        assert shown["sequence_number"] == events(client, conversation_of(client, leg))[-1]["id"]

    def test_the_conversation_of_a_call_disappears_with_it(self, client: Client):
        leg = client.answered(PERSON, HELLO | {"loop": 0})
        path = conversation_of(client, leg)

        client.change(leg, "hangup")

        refused(client.get(path), 404, "conversation:error:not-found")
        assert names(client) == []

    def test_a_room_stays_when_all_have_left(self, client: Client):
        leg = client.answered(PERSON, ROOM)
        path = conversation_of(client, leg)

        client.change(leg, "hangup")

        assert client.get(path).json()["name"] == "room"
        assert [each["state"] for each in members(client, path)] == ["LEFT"]

    def test_a_call_joins_a_room_created_through_the_api(self, client: Client):
        made = found(client, "room")

        leg = client.answered(PERSON, ROOM)

        assert client.record(leg)["conversation_uuid"] == made["id"]

    def test_a_call_joins_a_room_with_a_generated_name(self, client: Client):
        made = found(client, None)

        leg = client.answered(PERSON, ROOM | {"name": made["name"]})

        assert client.record(leg)["conversation_uuid"] == made["id"]


class TestLists:
    def test_they_are_listed_oldest_first_by_default(self, client: Client):
        for name in "abc":
            found(client, name)

        assert names(client) == names(client, "order=asc") == ["a", "b", "c"]
        assert names(client, "order=desc") == ["c", "b", "a"]

    def test_pages_link_to_the_next(self, client: Client):
        made = [found(client, f"room-{n}")["name"] for n in range(25)]

        seen, url = [], f"{ALL}?order=desc"
        while url:
            reply = client.get(url).json()
            assert reply["page_size"] == 10
            seen += [each["name"] for each in reply["_embedded"]["conversations"]]
            url = reply["_links"].get("next", {}).get("href")
            assert url is None or url.startswith(f"{client.url}{ALL}?order=desc&cursor=")

        assert seen == made[::-1]

    def test_they_are_filtered_by_the_host_time_of_creation(self, client: Client):
        def at(offset: float) -> str:
            moment = datetime.fromtimestamp(client.clock.time() + offset, UTC)
            return moment.isoformat().replace("+00:00", "Z")

        found(client, "first")
        client.advance(3600)  # of the call clock, which does not count here
        client.clock.sleep(10)
        found(client, "second")

        assert names(client, f"date_start={at(-10)}") == ["first", "second"]
        assert names(client, f"date_start={at(0)}") == ["second"]
        assert names(client, f"date_end={at(0)}") == ["first"]

    @pytest.mark.parametrize(
        ("query", "wrong"),
        [
            ("page_size=0", "page_size"),
            ("page_size=101", "page_size"),
            ("order=up", "order"),
            ("date_start=yesterday", "date_start"),
            ("date_end=2026-02-31T00:00:00Z", "date_end"),
        ],
    )
    def test_an_invalid_parameter_is_named(self, client: Client, query, wrong):
        error = refused(client.get(f"{ALL}?{query}"), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]

    def test_a_cursor_of_another_list_is_refused(self, client: Client):
        refused(client.get(f"{ALL}?cursor=abc"), 400, "paginator-builder:error:invalid-cursor")


class TestChanging:
    def test_given_fields_change_and_the_others_stay(self, client: Client):
        made = found(client, "room", display_name="One", properties={"ttl": 900})
        path = f"{ALL}/{made['id']}"
        client.advance(60)

        changed = client.put(path, {"display_name": "Two"})

        assert changed.status_code == 200
        assert changed.json()["display_name"] == "Two"
        assert changed.json()["properties"] == {"ttl": 900}
        assert changed.json()["timestamp"]["updated"] == "2026-01-01T00:01:00.000Z"
        assert types(client, path) == ["conversation:created", "conversation:updated"]

    def test_calls_join_it_by_its_new_name(self, client: Client):
        made = found(client, "room")
        assert client.put(f"{ALL}/{made['id']}", {"name": "hall"}).json()["name"] == "hall"

        leg = client.answered(PERSON, ROOM | {"name": "hall"})
        other = client.answered(PERSON, ROOM)

        assert client.record(leg)["conversation_uuid"] == made["id"]
        assert client.record(other)["conversation_uuid"] != made["id"]

    def test_a_taken_name_is_refused_and_changes_nothing(self, client: Client):
        found(client, "hall")
        path = f"{ALL}/{found(client, 'room')['id']}"
        before = client.get(path).json()

        refused(
            client.put(path, {"name": "hall", "display_name": "X"}), 409, "conversation:error:duplicate-name"
        )
        refused(client.put(path, {"name": "other", "display_name": 1}), 400, "http:error:validation-fail")

        assert client.get(path).json() == before

    def test_the_reply_to_a_get_can_be_sent_back(self, client: Client):
        leg = client.answered(PERSON, HELLO | {"loop": 0})
        path = conversation_of(client, leg)
        shown = client.get(path).json()

        assert client.put(path, {"name": shown["name"], "display_name": "Call"}).status_code == 200

        client.change(leg, "hangup")
        assert client.get(path).status_code == 404

    def test_naming_a_call_s_own_conversation_makes_it_a_room(self, client: Client):
        leg = client.answered(PERSON, HELLO | {"loop": 0})
        path = conversation_of(client, leg)
        client.put(path, {"name": "kept"})

        client.change(leg, "hangup")

        assert client.get(path).json()["name"] == "kept"

    def test_deleting_a_conversation_ends_its_legs(self, client: Client):
        legs = [client.answered(PERSON, ROOM) for _ in range(2)]
        path = conversation_of(client, legs[0])

        gone = client.api("DELETE", path)

        assert (gone.status_code, gone.content) == (204, b"")
        assert [client.status(leg) for leg in legs] == ["completed"] * 2
        refused(client.get(path), 404, "conversation:error:not-found")
        found(client, "room")

    def test_an_empty_conversation_is_deleted_after_its_ttl(self, client: Client):
        path = f"{ALL}/{found(client, 'room', properties={'ttl': 60})['id']}"
        client.advance(59)
        leg = client.answered(PERSON, ROOM)
        client.advance(100)
        assert client.get(path).status_code == 200

        client.change(leg, "hangup")
        client.advance(59)
        assert client.get(path).status_code == 200
        client.advance(1)

        assert names(client) == []
        refused(client.get(path), 404, "conversation:error:not-found")
        assert found(client, "room")["id"] not in path


class TestWholeConversation:
    @pytest.fixture
    def legs(self, client: Client) -> list[str]:
        return [client.answered(PERSON, ROOM) for _ in range(2)]

    def test_all_hear_talk_until_it_is_stopped(self, client: Client, legs: list[str]):
        path = conversation_of(client, legs[0])

        started = client.put(f"{path}/talk", {"text": "Hello all", "loop": 0})
        client.advance(7)
        stopped = client.api("DELETE", f"{path}/talk")

        assert started.json() == {"message": "Talk started", "uuid": path.removeprefix(f"{ALL}/")}
        assert stopped.json() == {"message": "Talk stopped", "uuid": path.removeprefix(f"{ALL}/")}
        assert started.status_code == stopped.status_code == 200
        for leg in legs:
            heard = client.hear(leg)[-1]
            assert (heard["kind"], heard["text"], heard["seconds"]) == ("speech", "Hello all", 7)
        assert types(client, path)[-2:] == ["audio:say", "audio:say:stop"]

    def test_all_hear_a_stream_until_it_is_stopped(self, client: Client, legs: list[str]):
        path = conversation_of(client, legs[0])

        started = client.put(f"{path}/stream", {"stream_url": ["http://127.0.0.1:1/a.mp3"], "loop": 0})
        client.advance(7)
        stopped = client.api("DELETE", f"{path}/stream")

        assert (started.status_code, started.json()["message"]) == (200, "Stream started")
        assert (stopped.status_code, stopped.json()["message"]) == (200, "Stream stopped")
        for leg in legs:
            heard = client.hear(leg)[-1]
            assert (heard["kind"], heard["url"], heard["seconds"]) == ("audio", "http://127.0.0.1:1/a.mp3", 7)

    def test_stopping_without_a_sound_is_not_an_error(self, client: Client, legs: list[str]):
        path = conversation_of(client, legs[0])

        assert client.api("DELETE", f"{path}/talk").status_code == 200
        assert client.api("DELETE", f"{path}/stream").status_code == 200

    def test_it_is_recorded(self, client: Client, legs: list[str], receiver: Receiver):
        path = conversation_of(client, legs[0])
        body = {"action": "start", "event_url": [f"{receiver.url}/rec"], "format": "wav", "retention_ttl": 7}

        started = client.put(f"{path}/record", body)
        client.put(f"{path}/talk", {"text": "Hello all"})
        client.advance(3)
        stopped = client.put(f"{path}/record", {"action": "stop"})

        assert (started.status_code, stopped.status_code) == (200, 200)
        client.settle()
        event = receiver.at("/rec")[-1].fields
        assert event["conversation_uuid"] == path.removeprefix(f"{ALL}/")
        audio = client.get(event["recording_url"])
        assert (audio.status_code, len(audio.content)) == (200, event["size"])
        assert {"audio:record", "audio:record:stop", "audio:record:done"} <= set(types(client, path))

    def test_a_recording_stops_at_its_limits(self, client: Client, legs: list[str], receiver: Receiver):
        path = conversation_of(client, legs[0])
        body = {"action": "start", "event_url": [f"{receiver.url}/rec"], "format": "wav", "timeout": 2}

        client.put(f"{path}/record", body)
        client.advance(5)

        client.settle()
        event = receiver.at("/rec")[-1].fields
        assert (event["start_time"], event["end_time"]) == (
            "2026-01-01T00:00:05.000Z",
            "2026-01-01T00:00:07.000Z",
        )

    def test_the_full_body_of_record_is_accepted(self, client: Client, legs: list[str]):
        body = {
            "action": "start",
            "event_url": ["http://127.0.0.1:1/rec"],
            "event_method": "POST",
            "split": "conversation",
            "format": "wav",
            "retention_ttl": 7,
            "timeout": 3600,
            "transcription": {
                "language": "en-GB",
                "sentiment_analysis": True,
                "event_url": ["http://127.0.0.1:1/tr"],
                "event_method": "POST",
            },
        }

        assert client.put(f"{conversation_of(client, legs[0])}/record", body).status_code == 200

    def test_an_empty_conversation_cannot_be_recorded(self, client: Client):
        path = f"{ALL}/{found(client)['id']}"

        refused(client.put(f"{path}/record", {"action": "start"}), 400, "leg:error:not-answered")

    def test_without_a_recording_there_is_nothing_to_stop(self, client: Client, legs: list[str]):
        path = conversation_of(client, legs[0])

        refused(client.put(f"{path}/record", {"action": "stop"}), 404, "audio:error:not-found")

    @pytest.mark.parametrize(
        ("what", "body", "wrong"),
        [
            ("talk", {}, "text"),
            ("talk", {"text": "x", "level": 2}, "level"),
            ("stream", {"stream_url": "x"}, "stream_url"),
            ("record", {}, "action"),
            ("record", {"action": "pause"}, "action"),
            ("record", {"action": "start", "format": "ogg"}, "format"),
            ("record", {"action": "start", "split": "leg"}, "split"),
            ("record", {"action": "start", "retention_ttl": 401}, "retention_ttl"),
            ("record", {"action": "start", "timeout": 7201}, "timeout"),
            ("record", {"action": "start", "event_method": "PUT"}, "event_method"),
            ("record", {"action": "start", "transcription": {"language": 1}}, "transcription.language"),
        ],
    )
    def test_an_error_names_the_field(self, client: Client, what, body, wrong):
        path = f"{ALL}/{found(client)['id']}/{what}"

        error = refused(client.put(path, body), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]


class TestConversationsOfAUser:
    def join(self, client: Client, made: dict, state: str = "joined") -> None:
        body = {"state": state, "user": {"name": "alice"}, "channel": {"type": "app"}}
        joined = client.api("POST", f"{ALL}/{made['id']}/members", body)
        assert joined.status_code == 201, joined.text

    def names(self, client: Client, query: str = "", of: str = "alice") -> list[str]:
        reply = client.get(f"/v1/users/{of}/conversations?{query}")
        assert reply.status_code == 200, reply.text
        return [each["name"] for each in reply.json()["_embedded"]["conversations"]]

    def test_the_conversations_that_the_user_is_or_was_in_are_listed(self, client: Client):
        alice = user(client)
        for name, state in (("a", "joined"), ("b", "invited")):
            self.join(client, found(client, name), state)
        found(client, "c")

        assert self.names(client) == self.names(client, of=alice["id"]) == ["a", "b"]
        assert self.names(client, "order=desc") == ["b", "a"]
        assert self.names(client, "state=INVITED") == self.names(client, "state=invited") == ["b"]
        assert self.names(client, "state=LEFT") == []

    def test_they_are_sorted_by_a_key_of_the_application_s(self, client: Client):
        user(client)
        for name, key in (("a", "2"), ("b", "1")):
            self.join(
                client, found(client, name, properties={"custom_sort_key": key, "custom_data": {"n": 1}})
            )

        assert self.names(client, "order_by=created") == ["a", "b"]
        assert self.names(client, "order_by=custom_sort_key") == ["b", "a"]
        first = client.get("/v1/users/alice/conversations?order_by=custom_sort_key&page_size=1").json()
        second = client.get(first["_links"]["next"]["href"]).json()
        assert second["_embedded"]["conversations"][0]["name"] == "a"

    def test_custom_data_is_included_on_request(self, client: Client):
        user(client)
        self.join(client, found(client, "a", properties={"custom_data": {"n": 1}}))

        def properties(query: str) -> dict:
            reply = client.get(f"/v1/users/alice/conversations?{query}")
            return reply.json()["_embedded"]["conversations"][0]["properties"]

        assert properties("") == properties("include_custom_data=false") == {}
        assert properties("include_custom_data=true") == {"custom_data": {"n": 1}}

    @pytest.mark.parametrize(
        "query", ["state=gone", "order_by=name", "include_custom_data=yes", "page_size=0"]
    )
    def test_an_invalid_parameter_is_refused(self, client: Client, query):
        user(client)

        reply = client.get(f"/v1/users/alice/conversations?{query}")

        refused(reply, 400, "http:error:validation-fail")


class TestAccess:
    def test_each_region_has_its_own_conversations(self, client: Client):
        region = client.sandbox.region_urls["eu-west"]
        ours = found(client, "room")
        theirs = client.api("POST", f"{region}{ALL}", {"name": "room"})

        assert theirs.status_code == 201
        assert names(client) == ["room", "room"]
        listed = client.get(f"{region}{ALL}").json()["_embedded"]["conversations"]
        assert [each["id"] for each in listed] == [theirs.json()["id"]]
        refused(client.get(f"{region}{ALL}/{ours['id']}"), 404, "conversation:error:not-found")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("PUT", "/talk"),
            ("DELETE", "/talk"),
            ("PUT", "/stream"),
            ("DELETE", "/stream"),
            ("PUT", "/record"),
            ("GET", "/members"),
            ("POST", "/members"),
            ("GET", "/members/me"),
            ("GET", "/members/MEM-x"),
            ("PATCH", "/members/MEM-x"),
            ("GET", "/events"),
            ("POST", "/events"),
            ("GET", "/events/1"),
            ("DELETE", "/events/1"),
        ],
    )
    def test_every_route_refuses_a_missing_token_and_an_unknown_conversation(
        self, client: Client, method, path
    ):
        bodies = {
            "/talk": {"text": "x"},
            "/stream": {"stream_url": ["http://127.0.0.1:1/a"]},
            "/record": {"action": "start"},
            "/members": {"state": "joined", "user": {"name": "x"}},
            "/members/MEM-x": {"state": "left"},
            "/events": {"type": "custom:x"},
        }
        body = bodies.get(path, {}) if method in ("PUT", "POST", "PATCH") else None

        refused(client.http.request(method, MISSING + path, json=body), 401, "system:error:missing-token")
        refused(client.api(method, MISSING + path, body), 404, "conversation:error:not-found")

    def test_a_body_other_than_json_gets_415(self, client: Client):
        headers = {"Authorization": f"Bearer {client.token()}", "Content-Type": "text/plain"}

        refused(
            client.http.post(ALL, content=b"{}", headers=headers), 415, "http:error:unsupported-media-type"
        )

    def test_a_wrong_method_and_an_unknown_route_are_refused(self, client: Client):
        refused(client.api("PATCH", ALL), 405, "http:error:method-not-allowed")
        refused(client.get(f"{MISSING}/x"), 404, "http:error:not-found")

    def test_other_apis_keep_their_shape(self, client: Client):
        assert "code" not in client.get("/v1/conversationsx").json()
        assert "code" not in client.get("/v1/calls/x").json()

    def test_faults_apply_by_the_name_of_the_operation(self, client: Client):
        client.fault("status", on="createConversation", code=500)

        refused(client.api("POST", ALL, {}), 500, "system:error:internal")
        assert names(client) == []
