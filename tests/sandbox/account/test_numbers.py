"""The Numbers API: the account's owner lists numbers, and links them to applications."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.sandbox.account.test_applications import ask, make, own
from tests.sandbox.parts import HELLO, ROOM, Client
from tests.sandbox.webhooks.receiver import Receiver, ncco, set_up

OWN = "442079460000"
SPARE = "442079460001"
LIST = "/account/numbers"
UPDATE = "/number/update"
SUCCESS = {"error-code": "200", "error-code-label": "success"}


def listed(client: Client, **query: Any) -> list[dict[str, Any]]:
    reply = ask(client, "GET", LIST, params=query)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body.get("count", 0) == len(body.get("numbers", []))
    return list(body.get("numbers", []))


def named(client: Client, **query: Any) -> list[str]:
    return [each["msisdn"] for each in listed(client, **query)]


def update(client: Client, msisdn: str = SPARE, country: str = "GB", **fields: str) -> httpx.Response:
    return ask(client, "POST", UPDATE, data={"country": country, "msisdn": msisdn} | fields)


def refused(reply: httpx.Response, status: int, word: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.json().keys() == {"error-code", "error-code-label"}
    assert reply.json()["error-code"] == str(status)
    assert word in reply.json()["error-code-label"]


def test_there_are_two_numbers_and_one_is_linked_to_the_sandbox_s_own_application(client: Client) -> None:
    common = {"country": "GB", "type": "landline", "features": ["VOICE", "SMS"]}

    assert listed(client) == [
        common | {"msisdn": OWN, "app_id": client.identity.application_id},
        common | {"msisdn": SPARE},
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"pattern": "44207", "search_pattern": 0}, [OWN, SPARE]),
        ({"pattern": "0001", "search_pattern": 0}, []),
        ({"pattern": "46000", "search_pattern": 1}, [OWN, SPARE]),
        ({"pattern": "0001", "search_pattern": 2}, [SPARE]),
        ({"pattern": SPARE}, [SPARE]),
        ({"search_pattern": 2}, [OWN, SPARE]),
        ({"country": "gb"}, [OWN, SPARE]),
        ({"country": "US"}, []),
        ({"has_application": "true"}, [OWN]),
        ({"has_application": "False"}, [SPARE]),
        ({"application_id": "none"}, []),
    ],
)
def test_numbers_are_searched(client: Client, query: dict[str, Any], found: list[str]) -> None:
    assert named(client, **query) == found


def test_none_found_is_an_empty_object_and_a_page_has_the_count_of_all(client: Client) -> None:
    assert ask(client, "GET", LIST, params={"country": "US"}).json() == {}
    for index, found in ((1, [OWN]), (2, [SPARE]), (3, [])):
        page = ask(client, "GET", LIST, params={"size": 1, "index": index}).json()
        assert (page["count"], [each["msisdn"] for each in page["numbers"]]) == (2, found)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"size": 101}, "size"),
        ({"size": 0}, "size"),
        ({"index": "x"}, "index"),
        ({"search_pattern": 3, "pattern": "4"}, "search_pattern"),
        ({"has_application": "perhaps"}, "has_application"),
    ],
)
def test_a_wrong_search_fails(client: Client, query: dict[str, Any], word: str) -> None:
    refused(ask(client, "GET", LIST, params=query), 420, word)


def test_a_number_is_linked_and_unlinked(client: Client) -> None:
    application_id = make(client)["id"]

    linked = update(client, app_id=application_id.upper())

    assert (linked.status_code, linked.json()) == (200, SUCCESS)
    assert named(client, application_id=application_id) == [SPARE]
    assert update(client).json() == SUCCESS
    assert "app_id" not in listed(client, pattern=SPARE)[0]


def test_what_an_update_does_not_name_is_cleared(client: Client) -> None:
    kept = {
        "moHttpUrl": "https://x.org/sms",
        "voiceCallbackType": "tel",
        "voiceCallbackValue": "447700900001",
        "voiceStatusCallback": "https://x.org/done",
    }
    update(client, OWN, app_id=client.identity.application_id, **kept)
    (shown,) = listed(client, pattern=OWN)

    update(client, OWN, moHttpUrl="")

    del kept["voiceStatusCallback"]
    assert shown.items() > kept.items()
    assert "voiceStatusCallback" not in shown
    assert not listed(client, pattern=OWN)[0].keys() & {*kept, "app_id"}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"msisdn": "442079460999"}, "no such number"),
        ({"country": "US"}, "no such number in this country"),
        ({"msisdn": ""}, "msisdn is missing"),
        ({"country": ""}, "country is missing"),
        ({"app_id": "5a4db0c5-0000-4000-8000-000000000000"}, "no such application"),
        ({"voiceCallbackType": "sip"}, "must be given together"),
        ({"voiceCallbackValue": "447700900001"}, "must be given together"),
        ({"voiceCallbackType": "fax", "voiceCallbackValue": "1"}, "voiceCallbackType"),
    ],
)
def test_an_update_that_cannot_be_fails_is_logged_and_changes_nothing(
    client: Client, fields: dict[str, str], word: str
) -> None:
    before = listed(client)

    refused(update(client, **fields), 420, word)

    assert listed(client) == before
    entry = next(each for each in client.log() if each["operation"] == "updateANumber")
    assert (entry["status"], entry["body"]) == (420, {"country": "GB", "msisdn": SPARE} | fields)


def test_the_key_and_secret_are_taken_from_parameters_too_and_never_logged(client: Client) -> None:
    pair = {"api_key": client.identity.api_key, "api_secret": client.identity.api_secret}
    target = {"country": "GB", "msisdn": SPARE}

    assert client.http.get(LIST, params=pair).json()["count"] == 2
    assert client.http.post(UPDATE, params=pair, data=target).json() == SUCCESS
    assert client.http.post(UPDATE, data=pair | target).json() == SUCCESS
    assert client.identity.api_secret not in str(client.log())


def test_without_the_key_and_secret_nothing_is_shown(client: Client) -> None:
    refused(client.http.get(LIST), 401, "authentication failed")
    refused(client.get(LIST), 401, "authentication failed")  # a token
    wrong = {"api_key": client.identity.api_key, "api_secret": "wrong"}
    refused(client.http.get(LIST, params=wrong), 401, "authentication failed")
    refused(client.http.post(UPDATE, data=wrong | {"country": "GB", "msisdn": SPARE}), 401, "failed")


def test_an_update_may_be_sent_as_the_vendors_own_clients_do(client: Client) -> None:
    identity = client.identity
    target = {"country": "GB", "msisdn": SPARE, "app_id": identity.application_id}
    as_json = {"Content-Type": "application/json"}

    assert ask(client, "POST", UPDATE, content=urlencode(target).encode(), headers=as_json).json() == SUCCESS
    assert ask(client, "POST", UPDATE, params=target).json() == SUCCESS

    linked = ask(client, "GET", LIST, params={"application_id": identity.application_id}).json()
    assert linked["count"] == 2


def test_odd_bodies_methods_and_hosts_are_refused_in_the_same_form(client: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(ask(client, "POST", UPDATE, {"country": "GB", "msisdn": SPARE}), 415, "form")
    refused(ask(client, "POST", UPDATE, content=b"country=\xff", headers=form), 400, "form")
    refused(ask(client, "POST", UPDATE, content=b"a=1&" * 101, headers=form), 400, "form")
    refused(ask(client, "POST", UPDATE, content=b"a" * 2_000_000, headers=form), 413, "MiB")
    refused(ask(client, "POST", UPDATE), 420, "country is missing")
    refused(ask(client, "DELETE", LIST), 405, "method")
    region = client.sandbox.region_urls["eu-west"]
    refused(ask(client, "GET", f"{region}{LIST}"), 404, "global host")
    client.fault("status", on="updateANumber", code=503)
    refused(update(client), 503, "fault")


def test_a_deleted_application_leaves_its_numbers_without_a_link(client: Client) -> None:
    application_id = make(client)["id"]
    update(client, app_id=application_id, moHttpUrl="https://x.org/sms")

    ask(client, "DELETE", f"/v2/applications/{application_id}")
    ask(client, "DELETE", own(client))

    assert named(client, has_application="true") == []
    assert listed(client, pattern=SPARE)[0]["moHttpUrl"] == "https://x.org/sms"
    client.control("reset")
    assert named(client, application_id=client.identity.application_id) == [OWN]


def test_links_outlive_a_reset(client: Client) -> None:
    update(client, app_id=client.identity.application_id)

    client.control("reset")

    assert named(client, has_application="true") == [OWN, SPARE]


# Calls to the numbers


def other(client: Client, receiver: Receiver, path: str, *flow: dict[str, Any]) -> str:
    """Make another application, whose answer_url is *path* of the receiver, and return its id."""
    hooks = {"answer_url": {"address": receiver.on(path, ncco(*flow))}}
    return str(make(client, capabilities={"voice": {"webhooks": hooks, "region": "eu-west"}})["id"])


def test_a_call_to_a_linked_number_rings_its_application(client: Client, receiver: Receiver) -> None:
    update(client, app_id=other(client, receiver, "/other", HELLO))
    set_up(client, answer=receiver.on("/own"), event=receiver.url + "/event")

    uuid = client.call(SPARE, HELLO | {"loop": 0})
    client.advance(1.5)

    (asked,) = receiver.at("/other")
    assert receiver.at("/own") == []
    assert (asked.fields["from"], asked.fields["to"]) == ("447700900456", SPARE)
    assert asked.fields["uuid"] != uuid
    assert client.status(uuid) == "answered"
    client.advance(10)
    assert client.status(uuid) == "completed"
    assert receiver.statuses() == ["started", "ringing", "answered", "completed"]


def test_an_application_that_calls_itself_hears_its_own_keys(client: Client, receiver: Receiver) -> None:
    menu = {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1}}
    set_up(client, answer=receiver.on("/answer", ncco(HELLO, menu, ROOM)), event=receiver.url + "/event")

    uuid = client.call(OWN, {"action": "conversation", "name": "test"})
    client.advance(4)
    assert client.put(f"/v1/calls/{uuid}/dtmf", {"digits": "4"}).status_code == 200
    client.advance(1)

    (asked,) = receiver.at("/answer")
    events = [each.fields for each in receiver.at("/event")]
    (pressed,) = [event for event in events if "dtmf" in event]
    assert (pressed["uuid"], pressed["dtmf"]["digits"]) == (asked.fields["uuid"], "4")
    found = client.get("/v1/calls").json()["_embedded"]["calls"]
    assert [(each["direction"], each["status"]) for each in found] == [
        ("outbound", "answered"),
        ("inbound", "answered"),
    ]


def test_without_an_answer_url_the_call_joins_the_lobby(client: Client) -> None:
    uuid = client.call(OWN, ROOM)
    client.advance(1.5)

    assert client.status(uuid) == "answered"


@pytest.mark.parametrize("settings", [{}, {"voiceCallbackType": "tel", "voiceCallbackValue": "447700900200"}])
def test_a_number_without_a_link_or_with_another_callback_rings_no_application(
    client: Client, settings: dict[str, str]
) -> None:
    update(client, OWN, **settings)

    uuid = client.call(OWN, ROOM)
    client.advance(2.5)

    assert client.status(uuid) == "answered"
    assert client.get("/v1/calls").json()["count"] == 1


def test_ring_reaches_the_application_to_which_the_number_is_linked(
    client: Client, receiver: Receiver
) -> None:
    update(client, app_id=other(client, receiver, "/other", HELLO))

    rung = client.control("ring", to=SPARE)

    assert rung.status_code == 201
    assert "remark" not in rung.json()
    assert [each.fields["uuid"] for each in receiver.at("/other")] == [rung.json()["uuid"]]
    assert client.get("/v1/calls").json()["count"] == 0  # the leg is the other application's


@pytest.mark.parametrize(
    ("number", "remark"),
    [(SPARE, f"{SPARE} is not linked to an application"), ("12025550123", "has no number 12025550123")],
)
def test_ring_to_any_other_number_reaches_the_sandbox_s_own_with_a_remark(
    client: Client, number: str, remark: str
) -> None:
    rung = client.control("ring", to=number, ncco=[ROOM])

    assert rung.status_code == 201
    assert remark in rung.json()["remark"]
    assert client.status(rung.json()["uuid"]) == "ringing"
    assert [each["reason"] for each in client.log() if each["kind"] == "remark"] == [rung.json()["remark"]]


def test_ring_to_a_number_that_forwards_its_calls_is_refused(client: Client) -> None:
    update(client, OWN, voiceCallbackType="sip", voiceCallbackValue="sip:desk@example.org")

    rung = client.control("ring", to=OWN)

    assert rung.status_code == 409
    assert "forwards its calls to sip:desk@example.org" in rung.json()["detail"]
