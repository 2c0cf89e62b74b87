"""Tokens that are accepted and refused; times are compared with the host clock."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.sandbox.parts import HELLO, PERSON, Client
from voicectl import tokens


def ask(client: Client, authorization: str | None, method: str = "GET", path: str = "/v1/calls"):
    headers = {} if authorization is None else {"Authorization": authorization}
    return client.http.request(method, path, headers=headers)


def refused(reply, anchor: str = "unauthorized", status: int = 401) -> None:
    body = reply.json()
    assert reply.status_code == status
    assert body["type"] == f"https://developer.vonage.com/api-errors#{anchor}"
    assert body["instance"] == reply.headers["x-nexmo-trace-id"]
    assert set(body) == {"type", "title", "detail", "instance"}


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_the_application_s_own_token_is_accepted(client: Client):
    assert ask(client, f"Bearer {client.token()}").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer  x", "bearer x.y.z", "Basic azE6czI=", "Bearer x", "Bearer a.b.c"],
)
def test_a_text_that_is_not_a_token_is_refused(client: Client, authorization):
    refused(ask(client, authorization))


def test_a_token_signed_with_another_key_is_refused(client: Client):
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    claims = tokens.application_claims(client.identity.application_id, now=client.clock.time())

    refused(ask(client, f"Bearer {tokens.mint(claims, key)}"))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512"])
def test_other_algorithms_are_refused(client: Client, algorithm):
    claims = tokens.application_claims(client.identity.application_id, now=client.clock.time())
    if algorithm == "RS512":
        token = jwt.encode(claims, client.key, algorithm="RS512")
    else:
        token = f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{segment(claims)}.c2lnbmF0dXJl"

    refused(ask(client, f"Bearer {token}"))


def test_a_claim_changed_after_signing_is_refused(client: Client):
    header, _, signature = client.token().split(".")
    claims = tokens.application_claims(client.identity.application_id, now=client.clock.time(), ttl=901)

    refused(ask(client, f"Bearer {header}.{segment(claims)}.{signature}"))


@pytest.mark.parametrize(
    "claims",
    [
        {"application_id": "5a4db0c5-0000-4000-8000-000000000000"},
        {"application_id": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"iat": None},
        {"iat": "1770000000"},
        {"exp": "1770000900"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": "soon"},
        {"iat": True},
        {"exp": True},
        {"nbf": True},
    ],
)
def test_missing_and_malformed_claims_are_refused(client: Client, claims):
    refused(ask(client, f"Bearer {client.token(**claims)}"))


@pytest.mark.parametrize(
    ("offsets", "lets_in"),
    [
        ({"iat": -900, "exp": 1}, True),
        ({"iat": -900, "exp": 0}, False),
        ({"iat": -900, "exp": -1}, False),
        ({"iat": -899, "exp": None}, True),
        ({"iat": -900, "exp": None}, False),
        ({"iat": 0, "exp": 86_400}, True),
        ({"iat": 0, "exp": 86_401}, False),
        ({"iat": 60, "exp": 900}, True),
        ({"iat": 61, "exp": 900}, False),
        ({"nbf": 0}, True),
        ({"nbf": 1}, False),
    ],
)
def test_times_are_compared_with_the_host_clock(client: Client, offsets, lets_in):
    now = int(client.clock.time())
    claims = {name: None if offset is None else now + offset for name, offset in offsets.items()}

    assert (ask(client, f"Bearer {client.token(**claims)}").status_code == 200) is lets_in


def test_an_expired_token_has_its_own_error(client: Client):
    token = client.token()
    client.clock.sleep(901)

    refused(ask(client, f"Bearer {token}"), "jwt-expired")


@pytest.mark.parametrize(
    ("acl", "method", "path", "lets_in"),
    [
        ({"paths": {"/*/calls/**": {}, "/*/calls": {}}}, "GET", "/v1/calls", True),
        ({"paths": {"/*/calls": {"methods": ["GET"]}}}, "GET", "/v1/calls", True),
        ({"paths": {"/*/calls": {"methods": ["POST"]}}}, "GET", "/v1/calls", False),
        ({"paths": {"/*/calls/**": {}}}, "GET", "/v1/calls", True),
        ({"paths": {"/*/users/**": {}}}, "GET", "/v1/users", True),
        ({"paths": {"/*/conversations/**": {}}}, "GET", "/v1/conversations", True),
        ({"paths": {"/*/calls/**": {"methods": ["POST"]}}}, "GET", "/v1/calls", False),
        ({"paths": {"/*/call/**": {}}}, "GET", "/v1/calls", False),
        ({"paths": {"/*/users/**": {}}}, "GET", "/v1/calls", False),
        ({"paths": {}}, "GET", "/v1/calls", False),
        ({"paths": {"/*/calls": None}}, "GET", "/v1/calls", True),
        ({"paths": {"/*/calls": {"methods": "GETTER"}}}, "GET", "/v1/calls", False),
        ([], "GET", "/v1/calls", False),
    ],
)
def test_an_acl_limits_the_use_of_a_token(client: Client, acl, method, path, lets_in):
    reply = ask(client, f"Bearer {client.token(acl=acl)}", method, path)

    if lets_in:
        assert reply.status_code == 200
    else:
        refused(reply, "forbidden", 403)


def test_a_refused_request_does_nothing(client: Client):
    body = {
        "to": [{"type": "phone", "number": PERSON}],
        "from": {"type": "phone", "number": PERSON},
        "ncco": [HELLO],
    }

    refused(client.http.post("/v1/calls", json=body))

    assert client.get("/v1/calls").json()["count"] == 0


def test_every_operation_requires_a_token(client: Client):
    uuid = client.answered()

    for method, path in [
        ("GET", ""),
        ("PUT", ""),
        *[(method, media) for method in ("PUT", "DELETE") for media in ("/talk", "/stream", "/input/dtmf")],
        ("PUT", "/dtmf"),
    ]:
        refused(ask(client, None, method, f"/v1/calls/{uuid}{path}"))


def test_no_odd_token_crashes_it(client: Client):
    deep = "[" * 5_000
    for payload in (deep, f'{{"a":{deep}', '{"exp":' + "9" * 5000 + "}", "\ud800", "null", '"x"', "[]"):
        encoded = base64.urlsafe_b64encode(payload.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()

        refused(ask(client, f"Bearer {segment({'alg': 'RS256', 'typ': 'JWT'})}.{encoded}.c2ln"))


@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
def test_a_time_out_of_range_is_refused(client: Client, claim: str):
    refused(ask(client, f"Bearer {client.token(**{claim: 10**400})}"))


def test_requests_without_a_valid_token_are_not_logged_with_their_content(client: Client):
    client.http.post("/v1/calls", json={"to": "anybody"})

    assert [entry["body"] for entry in client.log()] == [None]


def test_a_long_body_is_not_kept_in_the_log(client: Client):
    client.api("POST", "/v1/calls", {"to": "x" * 20_000})

    assert "bytes, not kept" in client.log()[0]["body"]
