"""The operations of the Voice API over HTTP: states, errors, lists."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.sandbox.conftest import Start
from tests.sandbox.parts import BUSY, HELLO, PERSON, ROOM, Client

UNKNOWN = "3c1f7c5e-9a6b-4d0e-8f7a-5a2b1c0d9e8f"
CHANGES = {
    "hangup": ("PUT", "", {"action": "hangup"}),
    "mute": ("PUT", "", {"action": "mute"}),
    "earmuff": ("PUT", "", {"action": "earmuff"}),
    "transfer": ("PUT", "", {"action": "transfer", "destination": {"type": "ncco", "ncco": [ROOM]}}),
    "talk": ("PUT", "/talk", {"text": "Hello"}),
    "stop talk": ("DELETE", "/talk", None),
    "stream": ("PUT", "/stream", {"stream_url": ["http://x/a.mp3"]}),
    "stop stream": ("DELETE", "/stream", None),
    "dtmf": ("PUT", "/dtmf", {"digits": "1"}),
    "listen": ("PUT", "/input/dtmf", {"event_url": ["http://x"]}),
    "stop listening": ("DELETE", "/input/dtmf", None),
}
SHAPE_B = {"type": "BAD_REQUEST", "error_title": "Bad Request"}


def change(client: Client, uuid: str, name: str):
    method, path, body = CHANGES[name]
    return client.api(method, f"/v1/calls/{uuid}{path}", body)


class TestStates:
    @pytest.mark.parametrize("name", sorted(set(CHANGES) - {"hangup"}))
    @pytest.mark.parametrize("seconds", [0.1, 1])
    def test_a_change_before_the_answer_gets_400(self, client: Client, name, seconds):
        uuid = client.call()
        client.advance(seconds)

        reply = change(client, uuid, name)

        assert (reply.status_code, reply.json()) == (400, SHAPE_B)

    @pytest.mark.parametrize("name", CHANGES)
    def test_a_change_after_the_end_gets_404(self, client: Client, name):
        uuid = client.call(BUSY)
        client.advance(2)

        reply = change(client, uuid, name)

        assert reply.status_code == 404
        assert reply.json()["type"].endswith("#not-found")

    @pytest.mark.parametrize("name", CHANGES)
    def test_a_change_of_an_unknown_leg_gets_404(self, client: Client, name):
        assert change(client, UNKNOWN, name).status_code == 404

    @pytest.mark.parametrize("name", CHANGES)
    def test_an_answered_leg_can_be_changed(self, client: Client, name):
        assert change(client, client.answered(), name).status_code in (200, 204)

    def test_a_ringing_leg_can_be_hung_up(self, client: Client):
        uuid = client.call()
        client.advance(1)

        assert change(client, uuid, "hangup").status_code == 204
        assert client.status(uuid) == "cancelled"

    def test_repeating_mute_is_not_an_error(self, client: Client):
        uuid = client.answered()

        assert [change(client, uuid, "mute").status_code for _ in range(2)] == [204, 204]

    @pytest.mark.parametrize("name", CHANGES)
    def test_a_leg_that_has_just_been_created_refuses_any_change(self, start: Start, name):
        client = start(settle=2)
        uuid = client.call("447700900400")  # answers at once when it rings
        client.advance(1.9)
        assert client.status(uuid) == "answered"

        young = change(client, uuid, name)
        client.advance(0.1)

        assert (young.status_code, young.json()) == (400, SHAPE_B)
        assert change(client, uuid, name).status_code in (200, 204)

    def test_a_leg_that_ended_while_new_is_over(self, start: Start):
        client = start(settle=2)
        uuid = client.call(BUSY)
        client.advance(1)

        assert change(client, uuid, "hangup").status_code == 404

    def test_an_invalid_body_is_reported_before_the_state(self, client: Client):
        reply = client.put(f"/v1/calls/{client.call()}/talk", {"text": ""})

        assert reply.json()["invalid_parameters"] == [{"name": "text", "reason": "Must not be empty"}]

    def test_an_ncco_with_an_unknown_action_changes_nothing(self, client: Client):
        uuid = client.answered()
        before = client.record(uuid)

        reply = client.transfer(uuid, HELLO, {"action": "dance"})

        assert reply.status_code == 400
        assert [each["name"] for each in reply.json()["invalid_parameters"]] == ["destination.ncco[1].action"]
        assert client.record(uuid) == before
        assert client.get("/v1/calls").json()["count"] == 1

    def test_a_payment_is_skipped(self, client: Client):
        uuid = client.answered(PERSON, {"action": "pay", "amount": 9.99}, ROOM)

        assert client.status(uuid) == "answered"

    @pytest.mark.parametrize(
        ("endpoint", "caller"),
        [
            ({"type": "phone", "number": PERSON}, "unknown"),
            ({"type": "app", "user": "alice"}, "Vonage"),
        ],
    )
    def test_a_connect_may_have_a_name_as_its_caller(self, client: Client, endpoint, caller):
        """The first WebSocket tutorial does, and a phone shows such a caller as unknown."""
        client.answered(PERSON, {"action": "connect", "from": "Vonage", "endpoint": [endpoint]})

        called = client.get("/v1/calls?order=desc").json()["_embedded"]["calls"][0]
        assert called["from"] == {"type": "phone", "number": caller}

    def test_null_in_a_body_counts_as_absent(self, client: Client):
        uuid = client.answered(machine_detection=None, answer_method=None, event_url=None)

        assert (
            client.put(f"/v1/calls/{uuid}/talk", {"text": "Hi", "style": "2", "loop": None}).status_code
            == 200
        )


def persist(client: Client, *, days: int) -> None:
    """Keep the records of the application's legs for the given number of days."""
    applications = client.sandbox.applications
    own = applications.by_id[applications.own]
    applications.by_id[own.id] = replace(own, capabilities={"voice": {"leg_persistence_time": days}})


class TestRecords:
    def test_only_completed_calls_have_times_and_a_price(self, client: Client):
        uuids = [client.call(number) for number in (BUSY, "447700900201", "447700900203", PERSON)]
        client.advance(10)

        for uuid in uuids:
            assert set(client.record(uuid)) == {
                *("uuid", "conversation_uuid", "status", "direction", "to", "from", "_links")
            }

    def test_started_seconds_are_counted(self, client: Client):
        uuid = client.call("447700900500")
        client.advance(3)

        record = client.record(uuid)
        assert (record["status"], record["duration"], record["price"]) == ("completed", "1", "0.00021167")

    def test_the_conversation_changes_with_a_transfer(self, client: Client):
        first, second = client.answered(), client.answered()

        client.transfer(first, ROOM | {"name": "other"})
        client.transfer(second, ROOM | {"name": "other"})

        ids = {client.record(uuid)["conversation_uuid"] for uuid in (first, second)}
        assert len(ids) == 1

    def test_a_record_is_kept_for_two_days_after_the_call(self, client: Client):
        over = client.call(BUSY)
        client.advance(86_400)
        later = client.call(BUSY)

        client.advance(86_400)
        assert client.status(over) == "busy"
        client.advance(2)

        assert client.get(f"/v1/calls/{over}").status_code == 404
        assert client.change(over, "hangup").status_code == 404
        assert [record["uuid"] for record in client.get("/v1/calls").json()["_embedded"]["calls"]] == [later]

    def test_the_application_sets_how_long_a_record_is_kept(self, client: Client):
        persist(client, days=31)
        uuid = client.call(BUSY)

        client.advance(31 * 86_400)
        assert client.status(uuid) == "busy"
        client.advance(2)
        assert client.get("/v1/calls").json()["count"] == 0

    def test_the_authorization_of_a_websocket_is_never_shown(self, client: Client):
        socket = {
            "type": "websocket",
            "uri": "ws://127.0.0.1:1/",
            "content-type": "audio/l16;rate=8000",
            "headers": {"caller": "447700900789"},
        }
        secret = {"authorization": {"type": "custom", "value": "Bearer canary"}}

        uuid = client.create(to=[socket | secret]).json()["uuid"]

        assert client.record(uuid)["to"] == socket
        assert "canary" not in client.get("/v1/calls").text

    def test_a_random_number_is_one_of_the_account_s(self, client: Client):
        body = {"to": [{"type": "phone", "number": PERSON}], "random_from_number": True, "ncco": [HELLO]}

        made = client.api("POST", "/v1/calls", body)

        assert client.record(made.json()["uuid"])["from"] == {"type": "phone", "number": "442079460000"}

    @pytest.mark.parametrize("uuid", [UNKNOWN, "x", "..%2F..%2Fv2", "%2e%2e", UNKNOWN.upper(), "3c1f"])
    def test_other_ids_are_unknown(self, client: Client, uuid):
        client.call()

        assert client.get(f"/v1/calls/{uuid}").status_code == 404


class TestLists:
    def uuids(self, client: Client, query: str = "") -> list[str]:
        reply = client.get(f"/v1/calls?page_size=100&{query}")
        assert reply.status_code == 200, reply.text
        return [call["uuid"] for call in reply.json()["_embedded"]["calls"]]

    def test_they_are_listed_oldest_first_by_default(self, client: Client):
        made = [client.call() for _ in range(3)]

        assert self.uuids(client) == self.uuids(client, "order=asc") == made
        assert self.uuids(client, "order=desc") == made[::-1]

    def test_they_are_filtered_by_status(self, client: Client):
        busy, person = client.call(BUSY), client.call()
        client.advance(5)

        assert self.uuids(client, "status=busy") == [busy]
        assert self.uuids(client, "status=answered") == [person]
        assert self.uuids(client, "status=ringing") == []

    def test_they_are_filtered_by_conversation(self, client: Client):
        legs = [client.answered() for _ in range(2)]
        client.call()
        room = client.record(legs[0])["conversation_uuid"]

        assert self.uuids(client, f"conversation_uuid={room}") == legs
        assert self.uuids(client, "conversation_uuid=CON-x") == []

    def test_they_are_filtered_by_the_host_time_of_the_record(self, client: Client):
        def at(offset: float) -> str:
            moment = datetime.fromtimestamp(client.clock.time() + offset, UTC)
            return moment.isoformat().replace("+00:00", "Z")

        first = client.call()
        client.advance(3600)  # of the call clock, which does not count here
        client.clock.sleep(10)
        second = client.call()

        assert self.uuids(client, f"date_start={at(-10)}") == [first, second]
        assert self.uuids(client, f"date_start={at(0)}") == [second]
        assert self.uuids(client, f"date_end={at(0)}") == [first]
        assert self.uuids(client, f"date_start={at(-5)}&date_end={at(0)}") == []

    def test_pages_link_to_each_other(self, client: Client):
        made = [client.call() for _ in range(25)]
        client.call(BUSY)
        client.advance(2)

        seen, url = [], "/v1/calls?status=ringing&order=desc"
        while url:
            reply = client.get(url).json()
            seen += [call["uuid"] for call in reply["_embedded"]["calls"]]
            assert reply["count"] == 25
            url = reply["_links"].get("next", {}).get("href")
            assert url is None or url.startswith(
                f"{client.url}/v1/calls?status=ringing&order=desc&page_size=10"
            )

        assert seen == made[::-1]

    def test_the_first_and_the_last_page_have_fewer_links(self, client: Client):
        for _ in range(3):
            client.call()

        pages = [client.get(f"/v1/calls?page_size=1&record_index={n}").json()["_links"] for n in (0, 1, 2, 9)]

        assert [set(links) for links in pages] == [
            {"self", "first", "next", "last"},
            {"self", "first", "prev", "next", "last"},
            {"self", "first", "prev", "last"},
            {"self", "first", "prev", "last"},
        ]
        assert pages[-1]["prev"] == pages[-1]["last"]
        assert {links["first"]["href"] for links in pages} == {f"{client.url}/v1/calls?page_size=1"}
        assert {links["last"]["href"] for links in pages} == {
            f"{client.url}/v1/calls?page_size=1&record_index=2"
        }

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("status=human", "status"),
            ("status=", "status"),
            ("page_size=0", "page_size"),
            ("page_size=101", "page_size"),
            ("page_size=ten", "page_size"),
            ("page_size=%D9%A1", "page_size"),
            ("page_size=" + "9" * 5000, "page_size"),
            ("record_index=-1", "record_index"),
            ("order=up", "order"),
            ("date_start=yesterday", "date_start"),
            ("date_start=2026-01-31T07:45:14", "date_start"),
            ("date_start=2026-02-31T07:45:14Z", "date_start"),
            ("date_end=2026-01-31", "date_end"),
        ],
    )
    def test_an_invalid_parameter_is_named(self, client: Client, query, name):
        reply = client.get(f"/v1/calls?{query}")

        assert reply.status_code == 400
        assert [wrong["name"] for wrong in reply.json()["invalid_parameters"]] == [name]

    def test_an_offset_may_be_given_instead_of_z(self, client: Client):
        uuid = client.call()

        assert self.uuids(client, "date_start=2026-02-02T02:40:00.000%2B00:00") == [uuid]


class TestEveryReply:
    def test_it_has_a_trace_id_and_the_date_of_the_host_clock(self, client: Client):
        client.clock.sleep(86_400)

        for reply in (
            client.get("/v1/calls"),
            client.get("/v1/calls/x"),
            client.get("/v1/nothing"),
            client.api("PATCH", "/v1/calls"),
            client.http.get("/v1/calls"),
        ):
            assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-nexmo-trace-id"])
            date = parsedate_to_datetime(reply.headers.get_list("date")[0]).timestamp()
            assert date == int(client.clock.time())
            assert len(reply.headers.get_list("date")) == 1

    @pytest.mark.parametrize(
        "path", ["/", "/v1", "/v1/calls/", "/v2/calls", "/v1/calls/x/y", "/sandbox", "/sandbox/"]
    )
    def test_an_unknown_route_gets_404(self, client: Client, path):
        reply = client.get(path)

        assert reply.status_code == 404
        assert reply.json()["type"].endswith("#not-found")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PATCH", "/v1/calls"),
            ("DELETE", "/v1/calls/x"),
            ("GET", "/v1/calls/x/talk"),
            ("POST", "/v1/calls/x/dtmf"),
        ],
    )
    def test_a_wrong_method_gets_405(self, client: Client, method, path):
        reply = client.api(method, path)

        assert reply.status_code == 405
        assert reply.json()["type"].endswith("#wrong-verb")


def test_the_log_does_not_show_the_credentials_of_a_websocket(client: Client):
    authorization = {"type": "custom", "value": "Bearer hush"}
    endpoint = {"type": "websocket", "uri": "ws://127.0.0.1:1/", "content-type": "audio/l16;rate=8000"}
    endpoint |= {"authorization": authorization}
    client.create(PERSON, {"action": "connect", "endpoint": [endpoint]})
    client.create(to=[endpoint])

    log = client.http.get("/sandbox/log").text

    assert "hush" not in log
    assert log.count('"authorization": "***"') == 2
