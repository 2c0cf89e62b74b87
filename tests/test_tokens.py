"""The token of a signed webhook, checked by another implementation."""

import hashlib
import re
import uuid
from unittest import mock

import jwt
import pytest
from cryptography.exceptions import InternalError
from hypothesis import given
from hypothesis import strategies as st

from voicectl import tokens
from voicectl.errors import ConfigError

SECRET = "a signature secret of 32 bytes or more"
APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
NOW = 1_770_000_000.9


def token(payload: bytes, secret: str = SECRET) -> str:
    return tokens.webhook_token(payload, secret=secret, api_key="a1b2c3d4", application_id=APP, now=NOW)


@given(st.binary(max_size=200))
def test_the_token_of_a_webhook_has_the_documented_claims(payload: bytes):
    made = token(payload)

    claims = jwt.decode(made, SECRET, algorithms=["HS256"], options={"verify_iat": False})
    assert jwt.get_unverified_header(made) == {"alg": "HS256", "typ": "JWT"}
    assert uuid.UUID(claims.pop("jti")).version == 4
    assert claims == {
        "iat": 1_770_000_000,
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(payload).hexdigest(),
        "api_key": "a1b2c3d4",
        "application_id": APP,
    }


def test_the_hash_equals_the_documented_example():
    claims = jwt.decode(token(b"test"), options={"verify_signature": False})

    assert claims["payload_hash"] == "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_no_two_tokens_are_equal():
    assert token(b"") != token(b"")


@pytest.mark.parametrize("failure", [ValueError("odd"), InternalError("odd", [])])
def test_a_damaged_key_of_tokens_is_a_configuration_error(failure: Exception):
    """What OpenSSL raises depends on its version."""
    key = mock.Mock(sign=mock.Mock(side_effect=failure))
    with pytest.raises(ConfigError, match="damaged") as refused:
        tokens.mint({}, key)
    assert "Store it again" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": 7, "iat": 1}, 7),
        ({"exp": 7.5}, 7.5),
        ({"exp": "7", "iat": 1}, 901),
        ({"exp": True, "iat": 1}, 901),
        ({"iat": False}, None),
        ({}, None),
    ],
)
def test_tokens_without_an_end_last_fifteen_minutes(claims: dict[str, object], expected: float | None):
    assert tokens.expiry(claims) == expected


@pytest.mark.parametrize(
    ("acl", "is_allowed"),
    [
        (None, True),
        ({"paths": {"/*/calls/**": {}}}, True),
        ({"paths": {"/*/calls/**": None}}, True),
        ({"paths": {"/*/calls/**": {"methods": ["GET"]}}}, True),
        ({"paths": {"/*/calls/**": {"methods": ["POST", "GET"]}}}, True),
        ({"paths": {"/*/calls/**": {"methods": ["POST"]}}}, False),
        ({"paths": {"/*/calls/**": {"methods": []}}}, False),
        ({"paths": {"/*/calls/**": {"methods": "GETTER"}}}, False),
        ({"paths": {"/*/calls/**": {"methods": ["POST"]}, "/v1/**": {}}}, True),
        ({"paths": {"/*/users/**": {}}}, False),
        ({"paths": {}}, False),
        ({"paths": []}, False),
        ({}, False),
        ([], False),
        ("", False),
    ],
)
def test_tokens_permit_what_their_acl_lists(acl: object, is_allowed: bool):
    for path in ("/v1/calls", "/v1/calls/x", "/v1/calls/x/talk"):
        assert tokens.allows(acl, "GET", path) == is_allowed


def test_another_secret_does_not_verify_it():
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token(b""), SECRET[::-1], algorithms=["HS256"])


@given(st.text("a/*", max_size=8), st.text("a/b", max_size=8))
def test_a_pattern_matches_like_the_equivalent_regular_expression(pattern: str, path: str):
    def means(pattern: str) -> str:
        parts = re.split(r"(\*\*|\*)", pattern)
        return "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)

    forms = {pattern, pattern.removesuffix("/**")}  # which matches the collection itself, too
    expected = any(re.fullmatch(means(form), path) for form in forms)
    assert tokens.allows({"paths": {pattern: {}}}, "GET", path) == expected


def test_a_pattern_with_many_stars_is_matched_quickly():
    assert not tokens.allows({"paths": {"**a" * 40 + "**b": {}}}, "GET", "/" + "a" * 500)
