"""The Application API: the account's owner creates, reads, replaces and deletes applications."""

import base64
import json
import uuid
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.conftest import Start
from tests.sandbox.parts import HELLO, PERSON, ROOM, Client
from voicectl import tokens
from voicectl.core.identity import keys
from voicectl.sandbox.account.application_body import read_application
from voicectl.sandbox.parsing.fields import Invalid
from voicectl.voice.call import Region

PATH = "/v2/applications"
ERRORS = "https://developer.vonage.com/api-errors"

FULL = {
    "name": "desk-line",
    "privacy": {"improve_ai": False},
    "capabilities": {
        "voice": {
            "webhooks": {
                "answer_url": {
                    "address": "https://ops.example.com/answer",
                    "http_method": "POST",
                    "connect_timeout": 500,
                    "socket_timeout": 3000,
                },
                "fallback_answer_url": {
                    "address": "https://backup.example.com/answer",
                    "http_method": "GET",
                    "connect_timeout": 500,
                    "socket_timeout": 3000,
                },
                "event_url": {
                    "address": "https://ops.example.com/event",
                    "http_method": "POST",
                    "connect_timeout": 800,
                    "socket_timeout": 8000,
                },
            },
            "signed_callbacks": True,
            "conversations_ttl": 24,
            "leg_persistence_time": 5,
            "region": "eu-west",
        },
        "rtc": {
            "webhooks": {"event_url": {"address": "https://ops.example.com/rtc", "http_method": "POST"}},
            "signed_callbacks": True,
        },
        "vbc": {},
    },
}


def ask(client: Client, method: str, path: str = PATH, body: object = None, **more):
    """A request with the account's key and secret."""
    identity = client.identity
    more.setdefault("auth", (identity.api_key, identity.api_secret))
    return client.http.request(method, path, json=body, **more)


def make(client: Client, **body) -> dict:
    made = ask(client, "POST", PATH, {"name": "desk-line"} | body)
    assert made.status_code == 201, made.text
    return made.json()


def own(client: Client) -> str:
    return f"{PATH}/{client.identity.application_id}"


def refused(reply, status: int, kind: str, title: str) -> dict:
    body = reply.json()
    assert (reply.status_code, body["title"]) == (status, title)
    assert body["type"] == ERRORS + kind
    assert body["instance"] == reply.headers["x-nexmo-trace-id"]
    assert set(body) - {"invalid_parameters"} == {"type", "title", "detail", "instance"}
    return body


def unauthorized(reply) -> None:
    refused(reply, 401, "#unauthorized", "Invalid credentials supplied")


def errors(reply) -> list[str]:
    """Return the dotted paths of the wrong fields in a refused body."""
    body = refused(reply, 400, "/application#payload-validation", "Bad Request")
    assert all(each["reason"] for each in body["invalid_parameters"])
    return [each["name"] for each in body["invalid_parameters"]]


def voice(webhook: str = "answer_url", **fields) -> dict:
    return {"capabilities": {"voice": {"webhooks": {webhook: {"address": "https://x.org"} | fields}}}}


def public_pem(key) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def header(client: Client, application: dict) -> dict[str, str]:
    """The token of an application that was just made."""
    key = keys.parse(application["keys"]["private_key"], where="the answer")
    claims = tokens.application_claims(application["id"], now=client.clock.time())
    return {"Authorization": f"Bearer {tokens.mint(claims, key)}"}


# The initial application


def test_the_sandbox_s_own_application_is_there_with_no_webhooks(client: Client):
    shown = ask(client, "GET", own(client)).json()

    assert shown == {
        "id": client.identity.application_id,
        "name": "sandbox",
        "keys": {"public_key": client.identity.public_key},
        "privacy": {"improve_ai": True},
        "capabilities": {
            "voice": {
                "webhooks": {},
                "signed_callbacks": True,
                "conversations_ttl": 48,
                "leg_persistence_time": 2,
            },
            "rtc": {"webhooks": {}, "signed_callbacks": True},
        },
        "_links": {"self": {"href": f"/v2/applications/{client.identity.application_id}"}},
    }


# Creating and showing


def test_a_name_is_enough_and_the_private_key_is_shown_once(client: Client):
    made = ask(client, "POST", PATH, {"name": "desk-line"})

    body = made.json()
    assert made.status_code == 201
    assert body["name"] == "desk-line"
    assert body["privacy"] == {"improve_ai": True}
    assert body["capabilities"] == {}
    assert body["id"].startswith("5a4db0c5-")
    assert uuid.UUID(body["id"]).version == 4
    assert body["_links"]["self"]["href"] == f"{PATH}/{body['id']}"
    private = keys.parse(body["keys"].pop("private_key"), where="the answer")
    assert public_pem(private) == body["keys"]["public_key"]
    assert ask(client, "GET", f"{PATH}/{body['id']}").json() == body
    assert ask(client, "GET", PATH).json()["_embedded"]["applications"][-1] == body


def test_all_sent_fields_are_shown(client: Client):
    made = make(client, **FULL)

    assert {name: made[name] for name in FULL} == FULL


def test_an_application_with_its_own_public_key_gets_no_private_key(client: Client):
    key = rsa.generate_private_key(65_537, 2048)

    made = make(client, keys={"public_key": public_pem(key)})

    assert made["keys"] == {"public_key": public_pem(key)}
    made["keys"]["private_key"] = keys.to_pem(key)
    assert client.http.get("/v1/calls", headers=header(client, made)).status_code == 200


def test_unknown_fields_are_kept(client: Client):
    sent = {
        "name": "x",
        "label": ["a", None],
        "privacy": {"improve_ai": True, "region": "eu"},
        "capabilities": {
            "voice": {
                "webhooks": {"answer_url": {"address": "", "secret_header": 1}, "other_url": {"x": 1}},
                "signed_callbacks": False,
                "conversations_ttl": 48,
                "leg_persistence_time": 2,
                "payment_enabled": True,
            },
            "network_apis": {"network_application_id": "n"},
        },
    }
    made = make(client, **sent)

    assert {name: made[name] for name in sent} == sent


def test_the_older_name_of_the_connect_timeout_is_accepted(client: Client):
    def kept(**timeouts) -> dict:
        shown = make(client, **voice(**timeouts))["capabilities"]["voice"]["webhooks"]["answer_url"]
        return {name: value for name, value in shown.items() if name != "address"}

    assert kept(connection_timeout=400) == {"connect_timeout": 400}
    assert kept(connection_timeout=400, connect_timeout=500) == {"connect_timeout": 500}


def test_ids_follow_from_the_seed(start: Start):
    first, again, other = (make(start(seed=seed))["id"] for seed in (7, 7, 8))

    assert first == again != other


# Replacing and deleting


def test_a_put_replaces_the_whole_and_drops_what_it_leaves_out(client: Client):
    made = make(client, **FULL)

    replaced = ask(
        client, "PUT", f"{PATH}/{made['id']}", {"name": "other", "capabilities": {"rtc": {"webhooks": {}}}}
    )

    assert replaced.status_code == 200
    assert replaced.json() == {
        "id": made["id"],
        "name": "other",
        "keys": {"public_key": made["keys"]["public_key"]},
        "privacy": {"improve_ai": True},
        "capabilities": {"rtc": {"webhooks": {}, "signed_callbacks": True}},
        "_links": made["_links"],
    }
    assert ask(client, "GET", f"{PATH}/{made['id']}").json() == replaced.json()


def test_the_reply_to_a_get_can_be_put_back_unchanged(client: Client):
    path = f"{PATH}/{make(client, **FULL)['id']}"
    shown = ask(client, "GET", path).json()

    assert ask(client, "PUT", path, shown).json() == shown


def test_a_new_public_key_takes_the_place_of_the_old_one(client: Client):
    made = make(client)
    key = rsa.generate_private_key(65_537, 2048)
    ask(client, "PUT", f"{PATH}/{made['id']}", {"name": "x", "keys": {"public_key": public_pem(key)}})

    assert client.http.get("/v1/calls", headers=header(client, made)).status_code == 401
    made["keys"]["private_key"] = keys.to_pem(key)
    assert client.http.get("/v1/calls", headers=header(client, made)).status_code == 200


def test_a_deleted_application_is_gone_and_its_tokens_with_it(client: Client):
    made = make(client)
    signed = header(client, made)
    path = f"{PATH}/{made['id']}"

    gone = ask(client, "DELETE", path)

    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "PUT", "DELETE"):
        refused(ask(client, method, path, {"name": "x"}), 404, "#not-found", "Not Found")
    assert client.http.get("/v1/calls", headers=signed).status_code == 401


def test_a_reset_keeps_applications_and_restores_the_sandbox_s_own(client: Client):
    kept = make(client, **FULL)["id"]
    ask(client, "PUT", own(client), {"name": "mine", **voice()})
    client.control("reset")

    assert ask(client, "GET", own(client)).json()["name"] == "mine"
    assert ask(client, "DELETE", own(client)).status_code == 204
    assert client.get("/v1/calls").status_code == 401

    client.control("reset")

    assert client.get("/v1/calls").status_code == 200
    listed = ask(client, "GET", PATH).json()["_embedded"]["applications"]
    assert [each["name"] for each in listed] == ["sandbox", "desk-line"]
    assert listed[1]["id"] == kept


# Calls of an application


def test_the_calls_of_an_application_are_visible_to_it_alone(client: Client):
    other = make(client)
    signed = header(client, other)
    body = {
        "to": [{"type": "phone", "number": PERSON}],
        "from": {"type": "phone", "number": "447700900456"},
        "ncco": [HELLO, ROOM],
    }
    theirs = client.http.post("/v1/calls", json=body, headers=signed).json()["uuid"]
    ours = client.call(PERSON)

    assert client.get(f"/v1/calls/{theirs}").status_code == 404
    assert client.change(theirs, "hangup").status_code == 404
    assert client.http.get(f"/v1/calls/{ours}", headers=signed).status_code == 404
    listed = client.http.get("/v1/calls", headers=signed).json()["_embedded"]["calls"]
    assert [call["uuid"] for call in listed] == [theirs]


# Lists


def test_a_list_of_one_page_links_to_itself_only(client: Client):
    body = ask(client, "GET", f"{PATH}?page_size=100").json()

    assert {name: body[name] for name in ("page_size", "page", "total_items", "total_pages")} == {
        "page_size": 100,
        "page": 1,
        "total_items": 1,
        "total_pages": 1,
    }
    assert body["_links"] == {"self": {"href": f"{PATH}?page_size=100&page=1"}}


def test_a_page_in_the_middle_links_to_the_pages_around_it(client: Client):
    for number in range(4):
        make(client, name=str(number), keys={"public_key": client.identity.public_key})

    body = ask(client, "GET", f"{PATH}?page_size=2&page=2").json()

    assert [each["name"] for each in body["_embedded"]["applications"]] == ["1", "2"]
    assert (body["total_items"], body["total_pages"]) == (5, 3)
    assert {name: link["href"] for name, link in body["_links"].items()} == {
        "self": f"{PATH}?page_size=2&page=2",
        "first": f"{PATH}?page_size=2",
        "prev": f"{PATH}?page_size=2&page=1",
        "next": f"{PATH}?page_size=2&page=3",
        "last": f"{PATH}?page_size=2&page=3",
    }
    assert "prev" not in ask(client, "GET", f"{PATH}?page_size=2").json()["_links"]
    assert "next" not in ask(client, "GET", f"{PATH}?page_size=2&page=3").json()["_links"]
    beyond = ask(client, "GET", f"{PATH}?page_size=2&page=9").json()
    assert beyond["_embedded"]["applications"] == []
    assert beyond["_links"]["prev"]["href"] == f"{PATH}?page_size=2&page=3"


def test_ten_are_on_a_page_by_default(client: Client):
    assert ask(client, "GET", PATH).json()["page_size"] == 10


@pytest.mark.parametrize("query", ["page_size=0", "page_size=101", "page_size=x", "page=0", "page=-1"])
def test_an_impossible_page_is_refused(client: Client, query: str):
    body = refused(ask(client, "GET", f"{PATH}?{query}"), 400, "/application#list-validation", "Bad Request")

    assert [each["name"] for each in body["invalid_parameters"]] == [query.partition("=")[0]]


# Refusals

WEBHOOK = "capabilities.voice.webhooks.answer_url"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"keys": "x"}, "keys"),
        ({"keys": {"public_key": "x"}}, "keys.public_key"),
        ({"keys": {"public_key": ""}}, "keys.public_key"),
        ({"keys": {"public_key": 7}}, "keys.public_key"),
        ({"privacy": {"improve_ai": "yes"}}, "privacy.improve_ai"),
        ({"capabilities": []}, "capabilities"),
        ({"capabilities": {"voice": True}}, "capabilities.voice"),
        ({"capabilities": {"voice": {"webhooks": 1}}}, "capabilities.voice.webhooks"),
        ({"capabilities": {"voice": {"webhooks": {"answer_url": "https://x.org"}}}}, WEBHOOK),
        (voice(address="x.org"), f"{WEBHOOK}.address"),
        (voice(address="ftp://x.org"), f"{WEBHOOK}.address"),
        (voice(address="https://"), f"{WEBHOOK}.address"),
        (voice(address="https://x.org/a b"), f"{WEBHOOK}.address"),
        (voice(address=["https://x.org"]), f"{WEBHOOK}.address"),
        (voice(http_method="PUT"), f"{WEBHOOK}.http_method"),
        (voice(http_method="get"), f"{WEBHOOK}.http_method"),
        (voice(connect_timeout=299), f"{WEBHOOK}.connect_timeout"),
        (voice(connect_timeout=1001), f"{WEBHOOK}.connect_timeout"),
        (voice(connection_timeout=299), f"{WEBHOOK}.connection_timeout"),
        (voice(socket_timeout=999), f"{WEBHOOK}.socket_timeout"),
        (voice(socket_timeout=5001), f"{WEBHOOK}.socket_timeout"),
        (voice(socket_timeout="1000"), f"{WEBHOOK}.socket_timeout"),
        (
            voice("fallback_answer_url", socket_timeout=5001),
            "capabilities.voice.webhooks.fallback_answer_url.socket_timeout",
        ),
        (
            voice("event_url", socket_timeout=10_001),
            "capabilities.voice.webhooks.event_url.socket_timeout",
        ),
        *(
            ({"capabilities": {"voice": {name: value}}}, f"capabilities.voice.{name}")
            for name, value in (
                ("signed_callbacks", "true"),
                ("conversations_ttl", 0),
                ("conversations_ttl", 9001),
                ("leg_persistence_time", 0),
                ("leg_persistence_time", 32),
                ("region", "us"),
                ("region", "EU-WEST"),
            )
        ),
        (
            {"capabilities": {"rtc": {"webhooks": {"event_url": {"address": "x"}}}}},
            "capabilities.rtc.webhooks.event_url.address",
        ),
        ({"capabilities": {"rtc": {"signed_callbacks": 1}}}, "capabilities.rtc.signed_callbacks"),
        (
            {"capabilities": {"messages": {"webhooks": {"inbound_url": {"http_method": "GET"}}}}},
            "capabilities.messages.webhooks.inbound_url.http_method",
        ),
        (
            {"capabilities": {"verify": {"webhooks": {"status_url": {"http_method": "GET"}}}}},
            "capabilities.verify.webhooks.status_url.http_method",
        ),
        ({"capabilities": {"vbc": {"x": 1}}}, "capabilities.vbc.x"),
    ],
)
def test_an_error_is_named_by_its_path_and_changes_nothing(client: Client, body: dict, name: str):
    before = ask(client, "GET", PATH).json()

    assert errors(ask(client, "POST", PATH, {"name": "x"} | body)) == [name]
    assert errors(ask(client, "PUT", own(client), {"name": "x"} | body)) == [name]

    assert ask(client, "GET", PATH).json() == before


@pytest.mark.parametrize(
    "body",
    [
        voice(connect_timeout=300, socket_timeout=1000),
        voice(connect_timeout=1000, socket_timeout=5000),
        voice("event_url", connect_timeout=1000, socket_timeout=10_000),
        voice(address=""),
        voice(address="http://127.0.0.1:8080/answer?a=b"),
        {"capabilities": {"voice": {"conversations_ttl": 1, "leg_persistence_time": 1}}},
        {"capabilities": {"voice": {"conversations_ttl": 9000, "leg_persistence_time": 31}}},
        *({"capabilities": {"voice": {"region": region}}} for region in Region),
        {"capabilities": {"voice": {}, "rtc": {}, "messages": {}, "verify": {}, "vbc": {}}},
    ],
)
def test_the_limits_themselves_are_allowed(client: Client, body: dict):
    assert ask(client, "PUT", own(client), {"name": "x"} | body).status_code == 200


def test_all_errors_are_reported_at_once(client: Client):
    body = {"capabilities": {"voice": {"region": "x", "webhooks": {"event_url": {"http_method": "PUT"}}}}}

    assert sorted(errors(ask(client, "POST", PATH, body))) == [
        "capabilities.voice.region",
        "capabilities.voice.webhooks.event_url.http_method",
        "name",
    ]
    assert errors(ask(client, "POST", PATH)) == ["name"]
    assert errors(ask(client, "POST", PATH, [])) == ["body"]


def test_a_key_that_is_weak_or_not_rsa_is_refused(client: Client):
    for key in (rsa.generate_private_key(65_537, 1024), ec.generate_private_key(ec.SECP256R1())):
        made = ask(client, "POST", PATH, {"name": "x", "keys": {"public_key": public_pem(key)}})

        assert errors(made) == ["keys.public_key"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)
places = st.sampled_from(
    [
        (),
        ("keys",),
        ("keys", "public_key"),
        ("privacy",),
        ("capabilities",),
        *(("capabilities", name) for name in ("voice", "rtc", "messages", "verify", "vbc", "bulk")),
        ("capabilities", "voice", "webhooks"),
        ("capabilities", "voice", "webhooks", "event_url"),
        ("capabilities", "voice", "webhooks", "event_url", "connection_timeout"),
        ("capabilities", "rtc", "webhooks", "event_url", "address"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(places, json_values)
def test_any_json_is_accepted_or_refused(place: tuple[str, ...], value: object):
    body: object = value
    for name in reversed(place):
        body = {name: body}
    if isinstance(body, dict):
        body = {"name": "x"} | body
    with suppress(Invalid):
        draft = read_application(body)
        again = {"name": draft.name, "capabilities": draft.capabilities, **draft.more}
        assert read_application(again) == draft


def test_a_wrong_secret_and_a_token_are_no_credentials(client: Client):
    identity = client.identity
    for auth in (
        (identity.api_key, "wrong"),
        ("wrong", identity.api_secret),
        (identity.api_key, ""),
        ("", ""),
        (identity.api_key, identity.api_secret + " "),
    ):
        unauthorized(ask(client, "GET", auth=auth))
    unauthorized(ask(client, "GET", auth=None))
    unauthorized(client.get(PATH))
    unauthorized(client.put(own(client), {"name": "x"}))
    for sent in ("Basic", "Basic !!", "Basic azE6czI=x", "Basic azE=", "Bearer azE6czI="):
        unauthorized(ask(client, "GET", auth=None, headers={"Authorization": sent}))
    pair = base64.b64encode(f"{identity.api_key}:{identity.api_secret}".encode()).decode()
    assert ask(client, "GET", auth=None, headers={"Authorization": f"basic {pair}"}).status_code == 200


def test_two_kinds_of_credentials_at_once_are_refused(client: Client):
    identity = client.identity
    query = f"?api_key={identity.api_key}&api_secret={identity.api_secret}"
    token = f"Bearer {client.token()}"

    for reply in (
        ask(client, "GET", PATH + query),
        ask(client, "GET", PATH + query, auth=None, headers={"Authorization": token}),
        ask(client, "GET", headers=[("Authorization", token)], auth=None, params={"api_key": "x"}),
        ask(client, "GET", headers=[("Authorization", token), ("Authorization", token)], auth=None),
    ):
        refused(reply, 401, "#multiple-auth-methods", "Multiple authentication methods")
    unauthorized(ask(client, "GET", PATH + query, auth=None))


def test_an_unsupported_method_is_refused(client: Client):
    for method, path, allowed in (
        ("PUT", PATH, "GET, POST"),
        ("DELETE", PATH, "GET, POST"),
        ("POST", own(client), "GET, PUT, DELETE"),
        ("PATCH", own(client), "GET, PUT, DELETE"),
    ):
        reply = ask(client, method, path, {"name": "x"})

        refused(reply, 405, "#wrong-verb", "Request method not allowed")
        assert reply.headers["Allow"] == allowed


@pytest.mark.parametrize(
    ("accept", "is_served"),
    [
        ("application/json", True),
        ("text/html, application/json;q=0.9", True),
        ("*/*", True),
        ("application/*", True),
        ("text/html", False),
        ("text/html, application/json;q=0", False),
        ("application/xml", False),
    ],
)
def test_only_json_is_served(client: Client, accept: str, is_served: bool):
    reply = ask(client, "GET", headers={"Accept": accept})

    if is_served:
        assert reply.status_code == 200
    else:
        refused(reply, 406, "#accept-header", "Invalid Accept header")


def test_only_json_is_accepted(client: Client):
    body = json.dumps({"name": "x"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        reply = ask(client, "POST", content=body, headers={"Content-Type": kind})

        refused(reply, 415, "#content-type-header", "Unsupported Content-Type header")
    for content in (b"{", b"\xff", b"[" * 100_000):
        reply = ask(client, "POST", content=content, headers={"Content-Type": "application/json"})

        refused(reply, 400, "#invalid-json", "Bad Request")


def test_an_unknown_application_is_not_found(client: Client):
    for path in (f"{PATH}/{uuid.uuid4()}", f"{PATH}/x", f"{PATH}/%2e%2e"):
        refused(ask(client, "GET", path), 404, "#not-found", "Not Found")
    assert ask(client, "GET", own(client).upper().replace("/V2/APPLICATIONS", PATH)).status_code == 200


def test_regional_hosts_keep_no_applications(client: Client):
    for url in client.sandbox.region_urls.values():
        refused(ask(client, "GET", url + PATH), 404, "#not-found", "Not Found")


# Faults and the log


@pytest.mark.parametrize(
    ("operation", "method"),
    [
        ("listApplications", "GET"),
        ("createApplication", "POST"),
        ("getApplication", "GET"),
        ("updateApplication", "PUT"),
        ("deleteApplication", "DELETE"),
    ],
)
def test_faults_apply_by_the_name_of_the_operation(client: Client, operation: str, method: str):
    path = PATH if operation in ("listApplications", "createApplication") else own(client)
    client.fault("status", code=503, on=operation, times=1)

    assert ask(client, method, path, {"name": "x"}).status_code == 503
    assert client.log()[-1]["operation"] == operation
    assert client.log()[-1]["fault"] == "status"
    assert ask(client, method, path, {"name": "x"}).status_code < 300


def test_the_log_holds_requests_and_no_secrets(client: Client):
    identity = client.identity
    made = make(client, **FULL)
    private = made["keys"]["private_key"]
    ask(client, "PUT", f"{PATH}/{made['id']}", made)
    ask(client, "PUT", f"{PATH}/{made['id']}", made, auth=None)
    ask(
        client, "GET", f"{PATH}?api_key={identity.api_key}&api_secret={identity.api_secret}&page=1", auth=None
    )

    text = client.http.get("/sandbox/log").text
    entries = [entry for entry in client.log() if entry["kind"] == "request"]
    assert [(entry["operation"], entry["status"]) for entry in entries] == [
        ("createApplication", 201),
        ("updateApplication", 200),
        ("updateApplication", 401),
        ("listApplications", 401),
    ]
    assert entries[0]["body"] == FULL
    assert entries[1]["body"]["keys"]["public_key"] == made["keys"]["public_key"]
    assert identity.api_secret not in text
    assert "PRIVATE KEY" not in text
    assert private.splitlines()[1] not in text
