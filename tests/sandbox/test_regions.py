"""Six regions, each on its own port: a call lives in one, and the other regions do not know it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.clock import FakeClock
from tests.support.ports import free_block
from tests.support.servers import Canned, reply
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import MAX_PORT, PortTaken, running

from .conftest import Start
from .parts import HELLO, PERSON, ROOM, Client

NAMES = ("na-east", "na-west", "eu-west", "eu-east", "apac-sng", "apac-australia")

CHANGES = [
    ("GET", "", None),
    ("PUT", "", {"action": "hangup"}),
    ("PUT", "", {"action": "mute"}),
    ("PUT", "", {"action": "transfer", "destination": {"type": "ncco", "ncco": [HELLO]}}),
    ("PUT", "/talk", {"text": "Hello"}),
    ("DELETE", "/talk", None),
    ("PUT", "/stream", {"stream_url": ["https://cdn.example.org/a.mp3"]}),
    ("DELETE", "/stream", None),
    ("PUT", "/dtmf", {"digits": "12"}),
    ("PUT", "/input/dtmf", {"event_url": ["https://app.example.org/keys"]}),
    ("DELETE", "/input/dtmf", None),
]

Host = Callable[[str], Client]


@pytest.fixture
def at(client: Client) -> Iterator[Host]:
    """A client of the same sandbox that asks the host of a region."""
    made: list[Client] = []

    def at(region: str) -> Client:
        made.append(Client(client.sandbox, client.sandbox.region_urls[region], client.key))
        return made[-1]

    yield at
    for each in made:
        each.http.close()


def test_each_region_has_a_loopback_port_of_its_own(client: Client):
    urls = client.http.get("/sandbox/status").json()["regions"]

    assert tuple(urls) == NAMES
    assert len({client.url, *urls.values()}) == 7
    assert all(url.startswith("http://127.0.0.1:") for url in urls.values())
    assert client.http.get("/sandbox/identity").json()["regions"] == urls


def test_with_a_port_given_the_regions_are_on_the_six_after_it(application):
    port = free_block(7)
    sandbox = Sandbox(application[0], Options(seed=1), clock=FakeClock())

    with running(sandbox, port=port) as url:
        assert url == f"http://127.0.0.1:{port}"
        assert list(sandbox.region_urls.values()) == [f"http://127.0.0.1:{port + n}" for n in range(1, 7)]
        for each in sandbox.region_urls.values():
            assert httpx.get(f"{each}/sandbox/status", trust_env=False).json()["url"] == url


@pytest.mark.parametrize("nth", [0, 1, 6])
def test_a_port_in_use_is_named_and_the_others_are_released(application, nth):
    port = free_block(7)
    sandbox = Sandbox(application[0], Options(seed=1), clock=FakeClock())

    with socket.create_server(("127.0.0.1", port + nth)):
        with pytest.raises(PortTaken) as refused, running(sandbox, port=port):
            pass

        assert refused.value.port == port + nth
    with running(sandbox, port=port) as url:
        assert httpx.get(f"{url}/sandbox/status", trust_env=False).status_code == 200


def test_the_highest_port_leaves_room_for_the_regions_and_https():
    assert MAX_PORT + len(NAMES) + 1 == 65_535


class TestALeg:
    def test_a_call_made_through_a_region_lives_there(self, client: Client, at: Host):
        uuid = at("eu-west").call()

        assert at("eu-west").status(uuid) == "started"
        assert client.status(uuid) == "started"

    @pytest.mark.parametrize(("method", "path", "body"), CHANGES)
    def test_a_leg_is_unknown_to_another_region(self, client: Client, at: Host, method, path, body):
        uuid = at("eu-west").call()
        client.advance(2.5)

        reply = at("eu-east").api(method, f"/v1/calls/{uuid}{path}", body)

        unknown = client.get("/v1/calls/00000000-0000-4000-8000-000000000000")
        assert reply.status_code == 404
        assert reply.json() | {"instance": ""} == unknown.json() | {"instance": ""}
        assert client.status(uuid) == "answered"

    @pytest.mark.parametrize(("method", "path", "body"), CHANGES)
    def test_a_leg_can_be_reached_in_its_region_and_through_the_global_host(
        self, client: Client, at: Host, method, path, body
    ):
        for host in (at("eu-west"), client):
            uuid = at("eu-west").call()
            client.advance(2.5)

            assert host.api(method, f"/v1/calls/{uuid}{path}", body).is_success

    def test_a_leg_lives_in_the_default_region_by_default(self, client: Client, at: Host):
        uuid = client.call()

        assert at("na-east").status(uuid) == "started"
        assert at("na-west").get(f"/v1/calls/{uuid}").status_code == 404

    def test_the_port_decides_the_region_whatever_the_host_header_says(self, client: Client, at: Host):
        uuid = client.call()
        host = at("na-east").url.removeprefix("http://")

        assert at("na-west").api("GET", f"/v1/calls/{uuid}", headers={"Host": host}).status_code == 404


def test_a_list_has_the_legs_of_the_region_and_links_to_its_own_host(client: Client, at: Host):
    here, there = at("eu-west").call(), client.call()

    page = at("eu-west").get("/v1/calls?page_size=1").json()

    assert (page["count"], [each["uuid"] for each in page["_embedded"]["calls"]]) == (1, [here])
    assert page["_links"]["self"]["href"].startswith(client.sandbox.region_urls["eu-west"])
    assert {each["uuid"] for each in client.get("/v1/calls").json()["_embedded"]["calls"]} == {here, there}
    assert at("apac-sng").get("/v1/calls").json()["count"] == 0


def test_a_room_of_the_same_name_in_another_region_is_another_room(client: Client, at: Host):
    here, also_here, there = at("eu-west").call(), at("eu-west").call(), at("eu-east").call()
    client.advance(2.5)

    room, same, other = (client.record(uuid)["conversation_uuid"] for uuid in (here, also_here, there))

    assert room == same
    assert room != other


def test_a_callee_of_connect_lives_in_the_region_of_the_caller(client: Client, at: Host):
    dial = {"action": "connect", "from": "447700900456", "endpoint": [{"type": "phone", "number": PERSON}]}
    at("eu-west").call(PERSON, dial)
    client.advance(2.5)

    assert at("eu-west").get("/v1/calls").json()["count"] == 2


def test_webhooks_name_the_host_of_the_call_s_region(client: Client, at: Host):
    with Canned(reply(200, [ROOM])) as app:
        for host in (at("eu-west"), client):
            host.call(answer_url=[f"{app.url}/answer"])
            client.advance(2.5)

        urls = [request.query["region_url"] for request in app.requests]

    assert urls == [client.sandbox.region_urls["eu-west"], client.sandbox.region_urls["na-east"]]


def test_a_call_rings_in_the_region_of_its_application(client: Client, at: Host):
    account = httpx.BasicAuth(client.identity.api_key, client.identity.api_secret)
    path = f"{client.url}/v2/applications/{client.identity.application_id}"
    with httpx.Client(auth=account, trust_env=False) as http:
        application = http.get(path).json()
        application["capabilities"]["voice"]["region"] = "apac-sng"
        assert http.put(path, json=application).status_code == 200

    client.control("ring", to="442079460000")

    assert at("apac-sng").get("/v1/calls").json()["count"] == 1
    assert at("na-east").get("/v1/calls").json()["count"] == 0


def test_a_conversation_is_unknown_to_another_region(client: Client, at: Host):
    uuid = at("eu-west").answered()
    path = f"/v1/conversations/{client.record(uuid)['conversation_uuid']}"

    found = [host.get(path).status_code for host in (client, at("eu-west"), at("eu-east"))]

    assert found == [200, 200, 404]


def test_limits_and_faults_are_the_same_on_every_host(start: Start):
    client = start(limits=True)
    other = Client(client.sandbox, client.sandbox.region_urls["eu-west"], client.key)
    for _ in range(3):
        client.call()
    refused = other.create()
    client.fault("status", code=503, on="getCalls")
    failed = other.get("/v1/calls")
    other.http.close()

    assert (refused.status_code, failed.status_code) == (429, 503)


def test_a_lost_reply_closes_the_connection_to_a_regional_host(client: Client, at: Host):
    client.fault("lost-reply", times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        at("eu-west").create()

    assert client.get("/v1/calls").json()["count"] == 1


def test_the_log_shows_the_requested_host(client: Client, at: Host):
    client.get("/v1/calls")
    at("apac-australia").get("/v1/calls")

    assert [entry["region"] for entry in client.log()] == [None, "apac-australia"]


def test_the_control_routes_are_served_on_every_port(client: Client, at: Host):
    uuid = at("eu-west").answered(PERSON, HELLO, ROOM)

    assert at("na-west").hear(uuid)[0]["text"] == "Hello"
