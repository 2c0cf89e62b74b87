"""Events of a conversation: listed, read, deleted and posted; posted audio events act on legs."""

from __future__ import annotations

import pytest

from tests.sandbox.parts import BY_HAND, PERSON, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver, set_up

from .parts import as_user, conversation_of, events, found, members, refused, types, user


@pytest.fixture(name="legs")
def two_legs(client: Client) -> list[str]:
    """Two legs in one room."""
    return [client.answered(PERSON, ROOM) for _ in range(2)]


@pytest.fixture(name="path")
def the_room(client: Client, legs: list[str]) -> str:
    """The path of their room."""
    return conversation_of(client, legs[0])


def post(client: Client, path: str, type_: str, **body: object):
    return client.api("POST", f"{path}/events", {"type": type_, "body": body})


def posted(client: Client, path: str, type_: str, **body: object) -> dict:
    made = post(client, path, type_, **body)
    assert made.status_code == 201, made.text
    return dict(made.json())


class TestReading:
    def test_an_event_is_shown_by_itself_as_in_the_list(self, client: Client, path: str):
        listed = events(client, path)

        assert [each["id"] for each in listed] == list(range(1, len(listed) + 1))
        for each in listed:
            assert client.get(f"{path}/events/{each['id']}").json() == each
            assert each["_links"]["self"]["href"] == f"{client.url}{path}/events/{each['id']}"

    def test_an_event_names_its_member(self, client: Client, path: str):
        [first, _] = members(client, path)

        joined = next(each for each in events(client, path) if each["type"] == "member:joined")

        assert joined["from"] == first["id"]
        assert joined["_embedded"] == {
            "from_user": {name: first["_embedded"]["user"][name] for name in ("id", "name")},
            "from_member": {"id": first["id"]},
        }

    def test_the_conversation_s_sequence_number_is_the_last_id(self, client: Client, path: str):
        posted(client, path, "custom:x")

        assert client.get(path).json()["sequence_number"] == events(client, path)[-1]["id"]

    def test_events_are_filtered_by_number(self, client: Client, path: str):
        def ids(query: str) -> list[int]:
            return [each["id"] for each in events(client, path, query)]

        last = ids("")[-1]
        assert ids("start_id=2") == list(range(2, last + 1))
        assert ids("end_id=3") == [1, 2, 3]
        assert ids("start_id=2&end_id=3") == [2, 3]
        assert ids("start_id=3&end_id=2") == ids("end_id=0") == ids(f"start_id={last + 1}") == []
        assert ids("order=desc&end_id=3") == [3, 2, 1]

    def test_events_are_filtered_by_type(self, client: Client, path: str):
        assert types(client, path, "event_type=member:joined") == ["member:joined"] * 2
        assert (
            types(client, path, "event_type=conversation:created,member:joined")[0] == "conversation:created"
        )
        assert types(client, path, "event_type=audio:say") == []

    @pytest.mark.parametrize(
        ("query", "wrong"),
        [
            ("event_type=a,b,c,d,e,f", "event_type"),
            ("event_type=custom:x", "event_type"),
            ("start_id=-1", "start_id"),
            ("end_id=x", "end_id"),
            ("exclude_deleted_events=1", "exclude_deleted_events"),
            ("page_size=0", "page_size"),
        ],
    )
    def test_an_invalid_parameter_is_named(self, client: Client, path: str, query, wrong):
        error = refused(client.get(f"{path}/events?{query}"), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]

    def test_pages_link_to_the_next(self, client: Client, path: str):
        listed = [each["id"] for each in events(client, path)]

        seen, url = [], f"{path}/events?page_size=2&start_id=2"
        while url:
            reply = client.get(url).json()
            assert isinstance(reply["_embedded"], list)
            seen += [each["id"] for each in reply["_embedded"]]
            url = reply["_links"].get("next", {}).get("href")

        assert seen == listed[1:]

    @pytest.mark.parametrize("number", ["0", "999", "x", "-1", "1.0", "9" * 5000])
    def test_unknown_events_are_not_found(self, client: Client, path: str, number):
        refused(client.get(f"{path}/events/{number}"), 404, "event:error:not-found")
        refused(client.api("DELETE", f"{path}/events/{number}"), 404, "event:error:not-found")


class TestEventsOfTheApplication:
    def test_custom_and_message_are_kept(self, client: Client, path: str):
        for type_ in ("custom:seat-taken", "message", "message:seen"):
            made = posted(client, path, type_, text="Hello", more={"a": [1]})

            assert (made["type"], made["body"]) == (type_, {"text": "Hello", "more": {"a": [1]}})
            assert client.get(f"{path}/events/{made['id']}").json() == made
            assert "from" not in made

    def test_ephemeral_events_are_sent_but_not_kept(self, client: Client, path: str):
        before = events(client, path)

        made = posted(client, path, "ephemeral", typing=True)

        assert (made["type"], made["body"]) == ("ephemeral", {"typing": True})
        assert "id" not in made
        assert events(client, path) == before

    def test_from_must_be_a_member(self, client: Client, path: str):
        [first, _] = members(client, path)

        made = client.api("POST", f"{path}/events", {"type": "custom:x", "from": first["id"]})

        assert made.json()["from"] == first["id"]
        reply = client.api("POST", f"{path}/events", {"type": "custom:x", "from": "MEM-x"})
        refused(reply, 400, "conversation:error:invalid-member")

    def test_a_user_token_posts_as_that_user_once_it_has_joined(self, client: Client, path: str):
        user(client)
        [first, _] = members(client, path)

        def post(**body: object):
            return client.http.post(
                f"{path}/events", json={"type": "custom:x"} | body, headers=as_user(client)
            )

        refused(post(), 403, "event:error:not-joined")
        made = client.api("POST", f"{path}/members", {"state": "invited", "user": {"name": "alice"}}).json()
        refused(post(), 403, "event:error:not-joined")
        client.api("PATCH", f"{path}/members/{made['id']}", {"state": "joined"})
        assert post().json()["from"] == post(**{"from": made["id"]}).json()["from"] == made["id"]
        refused(post(**{"from": first["id"]}), 403, "event:error:permission-denied")

    def test_they_can_be_deleted(self, client: Client, path: str):
        for type_ in ("custom:x", "message"):
            made = posted(client, path, type_, secret="x")

            gone = client.api("DELETE", f"{path}/events/{made['id']}")

            assert (gone.status_code, gone.content) == (204, b"")
            assert client.get(f"{path}/events/{made['id']}").json()["body"] == {}
            assert events(client, path)[-1]["type"] == "event:delete"
            assert events(client, path)[-1]["body"] == {"event_id": made["id"]}
            assert made["id"] in [each["id"] for each in events(client, path)]
            kept = events(client, path, "exclude_deleted_events=true")
            assert made["id"] not in [each["id"] for each in kept]
            refused(client.api("DELETE", f"{path}/events/{made['id']}"), 404, "event:error:not-found")

    def test_other_events_cannot_be_deleted(self, client: Client, path: str):
        refused(client.api("DELETE", f"{path}/events/1"), 403, "event:error:delete-not-allowed")

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, "type"),
            ({"type": "custom:"}, "type"),
            ({"type": "custom:a b"}, "type"),
            ({"type": "member:joined"}, "type"),
            ({"type": "audio:record:done"}, "type"),
            ({"type": "custom:x", "body": []}, "body"),
            ({"type": "custom:x", "from": 1}, "from"),
            ([], "body"),
        ],
    )
    def test_an_error_names_the_field(self, client: Client, path: str, body, wrong):
        before = events(client, path)

        error = refused(client.api("POST", f"{path}/events", body), 400, "http:error:validation-fail")

        assert [each["name"] for each in error["invalid_parameters"]] == [wrong]
        assert events(client, path) == before


class TestEventsThatActOnLegs:
    def test_say_is_heard_by_one_leg_or_by_all(self, client: Client, path: str, legs: list[str]):
        to_one = posted(client, path, "audio:say", text="You", rtc_id=legs[0])
        to_all = posted(client, path, "audio:say", text="All")

        assert to_one["body"]["text"] == "You"
        assert to_one["body"]["say_id"] != to_all["body"]["say_id"]
        heard = [[each["text"] for each in client.hear(leg)] for leg in legs]
        assert heard == [["You", "All"], ["All"]]

    def test_say_and_play_accept_numbers_as_text_as_the_voice_api_does(
        self, client: Client, path: str, legs: list[str]
    ):
        for kind, what in (
            ("audio:say", {"text": "You", "style": "2"}),
            ("audio:play", {"stream_url": ["http://x/a.mp3"]}),
        ):
            posted(client, path, kind, rtc_id=legs[0], loop="2", language=None, **what)

        assert len(client.hear(legs[0])) == 2

    def test_say_can_be_stopped(self, client: Client, path: str, legs: list[str]):
        for leg in ({"rtc_id": legs[0]}, {}):
            said = posted(client, path, "audio:say", text="On and on", loop=0, **leg)
            client.advance(5)
            stopped = posted(client, path, "audio:say:stop", **leg)

            assert stopped["body"]["say_id"] == said["body"]["say_id"]
            client.advance(5)
            assert client.hear(legs[0])[-1]["seconds"] == 5

    def test_play_is_heard_by_one_leg_or_by_all_and_can_be_stopped(
        self, client: Client, path: str, legs: list[str]
    ):
        url = "http://127.0.0.1:1/a.mp3"
        for leg, hearers in (({"rtc_id": legs[0]}, legs[:1]), ({}, legs)):
            played = posted(client, path, "audio:play", stream_url=[url], loop=0, **leg)
            client.advance(7)
            stopped = posted(client, path, "audio:play:stop", **leg)

            assert played["body"]["stream_url"] == [url]
            assert stopped["body"]["play_id"] == played["body"]["play_id"]
            for each in hearers:
                heard = client.hear(each)[-1]
                assert (heard["url"], heard["seconds"]) == (url, 7)

    def test_dtmf_is_heard_by_one_leg_or_by_all(self, client: Client, path: str, legs: list[str]):
        made = posted(client, path, "audio:dtmf", digit="1", rtc_id=legs[0])
        posted(client, path, "audio:dtmf", digits="23#")

        assert made["body"]["digit"] == "1"
        assert [[each["digits"] for each in client.hear(leg)] for leg in legs] == [["1", "23#"], ["23#"]]

    @pytest.mark.parametrize("what", ["mute", "earmuff"])
    def test_mute_and_earmuff_act_on_the_leg(self, client: Client, path: str, legs: list[str], what):
        on = posted(client, path, f"audio:{what}:on", rtc_id=legs[0])

        [first, second] = members(client, path)
        assert on["body"] == {"rtc_id": legs[0]}
        assert on["from"] == first["id"]
        assert first["media"]["audio_settings"][f"{what}{'d' if what == 'mute' else 'ed'}"] is True
        assert second["media"]["audio_settings"][f"{what}{'d' if what == 'mute' else 'ed'}"] is False

        again = posted(client, path, f"audio:{what}:on", rtc_id=legs[0])
        assert again["id"] == on["id"] + 1
        off = posted(client, path, f"audio:{what}:off", rtc_id=legs[0])
        assert off["id"] == on["id"] + 2
        assert set(members(client, path)[0]["media"]["audio_settings"].values()) == {True, False}
        client.http.post("/sandbox/press", json={"leg": legs[0], "digits": "5"})
        assert client.hear(legs[1])[-1]["digits"] == "5"

    def test_a_leg_muted_by_an_event_is_not_heard(self, client: Client, path: str, legs: list[str]):
        posted(client, path, "audio:mute:on", rtc_id=legs[0])

        client.control("press", leg=legs[0], digits="5")

        assert client.hear(legs[1]) == []

    def test_record_and_stop_act_on_the_conversation(self, client: Client, path: str):
        started = posted(client, path, "audio:record", format="wav", split="conversation")
        client.advance(2)
        stopped = posted(client, path, "audio:record:stop")

        assert (started["body"]["format"], started["body"]["split"]) == ("wav", "conversation")
        assert stopped["body"] == {"record_id": started["body"]["recording_id"]}
        done = events(client, path, "event_type=audio:record:done")[-1]
        assert done["body"]["recording_id"] == started["body"]["recording_id"]
        assert done["id"] > stopped["id"]
        refused(post(client, path, "audio:record:stop"), 404, "audio:error:not-found")

    def test_an_unknown_leg_or_one_of_another_conversation_is_refused(self, client: Client, path: str):
        elsewhere = client.answered(PERSON, ROOM | {"name": "elsewhere"})

        for leg in ("x", elsewhere):
            refused(post(client, path, "audio:mute:on", rtc_id=leg), 404, "leg:error:not-found")

    def test_an_unanswered_leg_is_refused(self, client: Client):
        leg = client.call(BY_HAND)
        client.advance(1)
        path = conversation_of(client, leg)

        for type_, body in (
            ("audio:mute:on", {}),
            ("audio:say", {"text": "x"}),
            ("audio:dtmf", {"digits": "1"}),
        ):
            refused(post(client, path, type_, rtc_id=leg, **body), 400, "leg:error:not-answered")

    @pytest.mark.parametrize(
        ("type_", "body", "wrong"),
        [
            ("audio:mute:on", {}, "body.rtc_id"),
            ("audio:mute:off", {}, "body.rtc_id"),
            ("audio:earmuff:on", {}, "body.rtc_id"),
            ("audio:earmuff:off", {"rtc_id": 1}, "body.rtc_id"),
            ("audio:say", {}, "body.text"),
            ("audio:say:stop", {"rtc_id": 1}, "body.rtc_id"),
            ("audio:play", {"stream_url": []}, "body.stream_url"),
            ("audio:dtmf", {"digits": "x"}, "body.digits"),
            ("audio:dtmf", {}, "body.digits"),
            ("audio:record", {"format": "ogg"}, "body.format"),
        ],
    )
    def test_an_error_names_the_field(self, client: Client, path: str, type_, body, wrong):
        before = events(client, path)

        error = refused(post(client, path, type_, **body), 400, "http:error:validation-fail")

        assert wrong in [each["name"] for each in error["invalid_parameters"]]
        assert events(client, path) == before


def test_applications_find_the_leg_in_the_channel_of_rtc_events(client: Client, receiver: Receiver):
    set_up(client, rtc=f"{receiver.url}/rtc")
    leg = client.answered(PERSON, {"action": "record", "endOnSilence": 3}, ROOM)
    client.advance(20)
    client.settle()

    sent = {each.fields["type"]: each.fields for each in receiver.at("/rtc")}
    assert sent["sip:ringing"]["body"]["channel"]["legs"] == [{"leg_id": leg, "status": "ringing"}]
    assert sent["sip:answered"]["body"]["channel"]["legs"] == [{"leg_id": leg, "status": "answered"}]
    recording, done = sent["audio:record"], sent["audio:record:done"]
    assert recording["body"]["channel"]["legs"][0]["leg_id"] == leg
    assert done["body"]["channel"]["id"] == leg
    assert done["body"]["event_id"] == recording["id"]
    assert done["body"]["recording_id"] == recording["body"]["recording_id"]


def test_a_recording_that_ends_with_its_call_is_an_event_of_the_conversation(
    client: Client, receiver: Receiver
):
    set_up(client, rtc=f"{receiver.url}/rtc")
    leg = client.answered(PERSON, {"action": "record"}, {"action": "talk", "text": "Goodbye"})
    client.advance(20)
    client.settle()

    sent = [each.fields for each in receiver.at("/rtc")]
    assert [each["type"] for each in sent][-2:] == ["audio:record:done", "conversation:deleted"]
    assert [each["id"] for each in sent] == list(range(1, len(sent) + 1))
    assert sent[-2]["body"]["channel"]["legs"] == [{"leg_id": leg, "status": "completed"}]


def test_a_recording_that_outlives_its_conversation_is_an_event_of_the_next_one(
    client: Client, receiver: Receiver
):
    set_up(client, rtc=f"{receiver.url}/rtc")
    leg = client.answered(PERSON, {"action": "record"}, ROOM)
    room = client.record(leg)["conversation_uuid"]
    client.change(leg, "hangup")
    client.settle()

    (done,) = (each.fields for each in receiver.at("/rtc") if each.fields["type"] == "audio:record:done")
    assert done["conversation_id"] == room
    assert done["body"]["channel"]["id"] == leg


def test_all_of_it_is_sent_to_the_rtc_webhook(client: Client, receiver: Receiver):
    set_up(client, rtc=f"{receiver.url}/rtc", signed=True)
    user(client)
    path = f"/v1/conversations/{found(client)['id']}"
    leg = client.answered(PERSON, ROOM)
    posted(client, path, "custom:x", a=1)
    posted(client, path, "ephemeral", b=2)
    client.api("POST", f"{path}/members", {"state": "joined", "user": {"name": "alice"}})
    client.change(leg, "hangup")
    kept = events(client, path)
    client.api("DELETE", path)

    client.settle()
    id_ = path.removeprefix("/v1/conversations/")
    sent = [
        each for each in (asked.fields for asked in receiver.at("/rtc")) if each["conversation_id"] == id_
    ]

    numbered = sorted((each for each in sent if "id" in each), key=lambda each: each["id"])
    assert [each["id"] for each in numbered] == list(range(1, len(numbered) + 1))
    assert [each["type"] for each in numbered] == [*(each["type"] for each in kept), "conversation:deleted"]
    assert [each["body"] for each in sent if each["type"] == "ephemeral"] == [{"b": 2}]
    assert {each["application_id"] for each in sent} == {client.identity.application_id}
    for webhook, event in zip(numbered, kept, strict=False):
        assert webhook.get("from") == event.get("from")
        assert webhook["timestamp"] == event["timestamp"]
    assert all(asked.token for asked in receiver.at("/rtc"))
    assert found(client)["id"] != id_


def test_without_an_rtc_webhook_nothing_is_sent(client: Client, receiver: Receiver):
    set_up(client, event=f"{receiver.url}/event")

    client.answered(PERSON, ROOM)

    client.settle()
    assert {asked.path for asked in receiver.requests} == {"/event"}
