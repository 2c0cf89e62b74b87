"""``jwt``: creating and reading tokens."""

from __future__ import annotations

import base64
import json

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hostile import unsafe
from tests.support.key_files import pkcs8
from tests.support.room import Ran, Room
from voicectl import tokens
from voicectl.sandbox.account.identity import Identity

NOW = 1_770_000_000
APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"


@pytest.fixture
def key(application: tuple[Identity, RSAPrivateKey]) -> RSAPrivateKey:
    return application[1]


@pytest.fixture
def signed_in(bare: Room, key: RSAPrivateKey) -> Room:
    """A machine whose environment holds an application."""
    bare.environ |= {"VOICECTL_APPLICATION_ID": APP, "VOICECTL_PRIVATE_KEY": pkcs8(key).decode()}
    return bare


def verified(token: str, key: RSAPrivateKey) -> dict[str, object]:
    """Return the claims of a token, verified by another implementation."""
    options = {"verify_exp": False, "verify_iat": False}
    claims: dict[str, object] = jwt.decode(token, key.public_key(), algorithms=["RS256"], options=options)  # type: ignore[arg-type]
    return claims


def test_create_prints_the_token_and_a_newline_exactly(signed_in: Room, key: RSAPrivateKey) -> None:
    ran = signed_in("jwt create")

    assert (ran.exit_code, ran.stderr) == (0, "")
    token = ran.stdout.removesuffix("\n")
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}
    claims = verified(token, key)
    assert claims.pop("jti")
    assert claims == {"application_id": APP, "iat": NOW, "exp": NOW + 900}


@pytest.mark.parametrize("options", ["-q", "-o json", "-o csv", "--dry-run", "--debug", "--fields x"])
def test_no_option_changes_its_output(signed_in: Room, options: str) -> None:
    ran = signed_in(f"jwt create {options}")

    assert ran.exit_code == 0
    assert len(ran.stdout.split(".")) == 3
    assert len(ran.stdout.splitlines()) == 1


def test_no_two_tokens_are_equal(signed_in: Room, key: RSAPrivateKey) -> None:
    assert len({verified(signed_in("jwt create").stdout.strip(), key)["jti"] for _ in range(5)}) == 5


def test_a_token_is_never_issued_in_the_future(signed_in: Room, key: RSAPrivateKey) -> None:
    signed_in.clock.sleep(0.999)

    assert verified(signed_in("jwt create").stdout.strip(), key)["iat"] == NOW


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("30", 30), ("30s", 30), ("15m", 900), ("1h", 3600), ("24h", 86_400)]
)
def test_a_token_is_valid_as_long_as_requested(
    signed_in: Room, key: RSAPrivateKey, ttl: str, seconds: int
) -> None:
    claims = verified(signed_in(f"jwt create --ttl {ttl}").stdout.strip(), key)

    assert claims["exp"] == NOW + seconds


@pytest.mark.parametrize("ttl", ["0", "29", "29.9", "30.5", "86401", "24h1s", "2d", "-1", "x", "''", "1e3"])
def test_a_token_is_valid_from_half_a_minute_to_a_day(signed_in: Room, ttl: str) -> None:
    ran = signed_in(f"jwt create --ttl={ttl}")

    assert (ran.exit_code, ran.stdout) == (2, "")


def test_a_user_s_token_names_the_user_and_its_permissions(signed_in: Room, key: RSAPrivateKey) -> None:
    acl = {"paths": {"/*/users/**": {}, "/*/conversations/**": {"methods": ["GET"]}}}

    claims = verified(signed_in("jwt create --sub alice --acl -", stdin=json.dumps(acl)).stdout.strip(), key)

    assert (claims["sub"], claims["acl"]) == ("alice", acl)


@pytest.mark.parametrize(
    "acl", ["", "{", "[]", "{}", '{"paths": []}', '{"paths": {"/**": NaN}}', "\xff", "[" * 100_000, '"x"']
)
def test_an_acl_is_json_with_paths(signed_in: Room, acl: str) -> None:
    ran = signed_in("jwt create --acl -", stdin=acl.encode("latin-1"))

    assert (ran.exit_code, ran.stdout) == (2, "")


@pytest.mark.parametrize("sub", ["", " ", "a\nb", "a\x1b[31m"])
def test_a_user_must_have_a_name(signed_in: Room, sub: str) -> None:
    assert signed_in(["jwt", "create", "--sub", sub]).exit_code == 2


def test_show_prints_the_times_and_the_signing_key(signed_in: Room) -> None:
    token = signed_in("jwt create --sub alice").stdout

    shown = signed_in("jwt show - -o json", stdin=token).json

    assert shown["application_id"] == APP
    assert (shown["issued"], shown["expires"]) == ("2026-02-02T02:40:00Z", "2026-02-02T02:55:00Z")
    assert shown["state"] == "valid for 900 s"
    assert shown["signature"] == "made with the key of VOICECTL_APPLICATION_ID"
    assert shown["header"] == {"alg": "RS256", "typ": "JWT"}
    assert shown["claims"]["sub"] == shown["sub"] == "alice"


def test_show_does_not_read_a_pipe_without_a_request(signed_in: Room) -> None:
    token = signed_in("jwt create").stdout

    ran = signed_in("jwt show", stdin=token)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "- to read it from standard input" in ran.stderr


GOOD: dict[str, object] = {"application_id": APP, "iat": NOW, "exp": NOW + 60, "jti": "a"}
CALLS = {"paths": {"/*/calls/**": {}}}


def shown(room: Room, key: RSAPrivateKey, changes: dict[str, object]) -> Ran:
    """Show a good token with *changes* to its claims; None removes a claim."""
    claims = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return room("jwt show - -o json", stdin=tokens.mint(claims, key))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "valid for 60 s"),
        ({"exp": None}, "valid for 900 s"),
        ({"exp": NOW + 86_400}, "valid for 86400 s"),
        ({"iat": NOW + 10}, "becomes valid in 10 s"),
        ({"nbf": NOW}, "valid for 60 s"),
        ({"acl": CALLS}, "valid for 60 s"),
        ({"acl": {"paths": {"/v1/calls": {"methods": ["POST"]}}}}, "valid for 60 s"),
        ({"acl": {"paths": {"/*/calls/*/talk": {"methods": ["PUT"]}}}}, "valid for 60 s"),
        ({"acl": {"paths": {f"/*/calls/{APP}": {}}}}, "valid for 60 s"),
        ({"acl": {"paths": {"/**": {}}}}, "valid for 60 s"),
        ({"sub": "alice", "acl": {"paths": {"/*/users/**": {}}}}, "valid for 60 s"),
    ],
)
def test_a_valid_token_is_shown_with_its_remaining_time(
    signed_in: Room, key: RSAPrivateKey, changes: dict[str, object], state: str
) -> None:
    ran = shown(signed_in, key, changes)

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert (ran.json["state"], ran.json["faults"]) == (state, [])


@pytest.mark.parametrize(
    ("changes", "state", "fault"),
    [
        ({"iat": NOW - 901, "exp": None}, "expired 1 s ago", "has expired"),
        ({"iat": NOW - 1, "exp": NOW}, "expired 0 s ago", "has expired"),
        ({"nbf": NOW + 5}, "becomes valid in 5 s", "is not valid yet"),
    ],
)
def test_an_expired_or_future_token_is_shown_as_such(
    signed_in: Room, key: RSAPrivateKey, changes: dict[str, object], state: str, fault: str
) -> None:
    ran = shown(signed_in, key, changes)

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert (ran.json["state"], ran.json["faults"]) == (state, [fault])


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"iat": NOW + 90_000, "exp": None}, ["was issued in the future"]),
        ({"exp": NOW + 90_000}, ["is valid for more than 24 hours"]),
        ({"iat": None}, ["has no iat"]),
        ({"jti": None}, ["has no jti"]),
        ({"jti": ""}, ["has no jti"]),
        ({"jti": 7}, ["has a jti that is not text"]),
        ({"application_id": None}, ["has no application_id"]),
        ({"iat": str(NOW)}, ["has an iat that is text; it must be a number of seconds"]),
        ({"exp": str(NOW + 60)}, ["has an exp that is text; it must be a number of seconds"]),
        ({"exp": True}, ["has an exp that is not a number; it must be a number of seconds"]),
        ({"exp": 10**16}, ["has an exp that is out of range"]),
        (
            {"iat": NOW * 1000, "exp": (NOW + 60) * 1000},
            [
                "has an iat in milliseconds; it must be in seconds",
                "has an exp in milliseconds; it must be in seconds",
            ],
        ),
        ({"nbf": NOW * 1000}, ["has an nbf in milliseconds; it must be in seconds"]),
        (
            {"nbf": NOW + 61},
            ["is valid only after it expires: its nbf is not before its exp", "is not valid yet"],
        ),
        ({"iat": NOW + 60, "exp": NOW + 60}, ["expires before it is issued"]),
        ({"acl": {"paths": {}}}, ["has an acl that permits no Voice API requests"]),
        ({"acl": []}, ["has an acl that permits no Voice API requests"]),
        (
            {"acl": {"paths": {"/*/users/**": {}}}},
            ["has an acl that permits no Voice API requests"],
        ),
        (
            {"acl": {"paths": {"/*/calls/**": {"methods": []}}}},
            ["has an acl that permits no Voice API requests"],
        ),
        (
            {"sub": "alice", "acl": {"paths": {}}},
            ["has an acl that permits no Voice API requests"],
        ),
        (
            {"jti": None, "exp": NOW - 1},
            ["has no jti", "has expired", "expires before it is issued"],
        ),
    ],
)
def test_show_names_each_fault_of_a_token_that_the_api_refuses(
    signed_in: Room, key: RSAPrivateKey, changes: dict[str, object], faults: list[str]
) -> None:
    ran = shown(signed_in, key, changes)

    assert ran.exit_code == 2
    assert (ran.json["state"], ran.json["faults"]) == ("not valid", faults)
    assert ran.error["code"] == "input"
    assert all(f"it {fault}" in ran.error["message"] for fault in faults)


def test_show_refuses_a_webhook_s_token(signed_in: Room) -> None:
    token = tokens.webhook_token(b"", secret="s" * 32, api_key="a1b2c3d4", application_id=APP, now=NOW)

    ran = signed_in("jwt show - -o json", stdin=token)

    assert (ran.exit_code, ran.json["faults"]) == (2, ["is not signed with RS256"])


@pytest.mark.parametrize(
    "changes",
    [{}, {"exp": None}, {"iat": NOW + 60}, {"iat": NOW + 61}, {"exp": NOW + 86_401}, {"exp": NOW}]
    + [{claim: value} for claim in ("iat", "exp", "nbf") for value in (str(NOW), NOW * 1000, NOW + 30, True)]
    + [{claim: value} for claim in ("jti", "application_id") for value in (None, "", 7)],
)
def test_show_and_the_sandbox_give_one_verdict(
    room: Room, key: RSAPrivateKey, changes: dict[str, object]
) -> None:
    assert room.sandbox is not None
    application = room.sandbox.identity.application_id
    claims = {"application_id": application, "iat": NOW, "jti": "a", "exp": NOW + 60} | changes
    token = tokens.mint({name: value for name, value in claims.items() if value is not None}, key)

    faults = room("jwt show - -o json", stdin=token).json["faults"]
    status = httpx.get(f"{room.url}/v1/calls", headers={"Authorization": f"Bearer {token}"}).status_code

    assert status == (401 if faults else 200)


def test_show_distinguishes_tokens_of_another_key(signed_in: Room, key: RSAPrivateKey) -> None:
    ours = tokens.mint({"iat": NOW, "sub": 5, "aud": "x", "iss": ["x"], "exp": 1}, key)
    head, body, signature = ours.split(".")
    altered = base64.urlsafe_b64encode(b'{"iat":1}').rstrip(b"=").decode()
    by_secret = jwt.encode({"iat": NOW}, "s" * 32, "HS256")
    unsigned = jwt.encode({"iat": NOW}, None, "none")

    def signature_of(token: str) -> str:
        found: str = signed_in("jwt show - -o json", stdin=token).json["signature"]
        return found.partition(" the key of")[0]

    assert signature_of(ours) == "made with"  # with any claims
    assert signature_of(f"{head}.{altered}.{signature}") == "not made with"
    assert signature_of(f"{head}.{body}.{signature[:-4]}AAAA") == "not made with"
    assert signature_of(by_secret) == "not made with"
    assert signature_of(unsigned) == "not made with"


def test_show_reads_a_token_without_any_setup(bare: Room, key: RSAPrivateKey) -> None:
    token = tokens.mint({"application_id": APP, "iat": NOW, "jti": "a"}, key)
    (bare.home / "token").write_text(f"Bearer {token}\n")

    ran = bare(["jwt", "show", str(bare.home / "token"), "-o", "json"])

    assert ran.exit_code == 0
    assert ran.json["application_id"] == APP
    assert ran.json["signature"].startswith("not checked: ")


@pytest.mark.parametrize(
    "content",
    ["", "x", "a.b.c", "a.b", "....", "eyJhbGciOiJub25lIn0.W10.", "\xff\xfe", "é" * 50, "a" * 100_000],
)
def test_an_invalid_token_is_refused(signed_in: Room, content: str) -> None:
    ran = signed_in("jwt show -", stdin=content)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "not a JWT" in ran.stderr


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["iat", "exp", "nbf", "sub", "jti", "application_id", "acl", "aud", "iss"]), JSON
)


@given(
    claims=CLAIMS, header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x"]), JSON)
)
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_token_is_too_odd_to_show_or_to_refuse(
    signed_in: Room, claims: dict[str, object], header: dict[str, object]
) -> None:
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"} | header, claims)]
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature"])

    for form in ("json", "tsv"):
        ran = signed_in(f"jwt show - -o {form}", stdin=token)

        assert ran.exit_code in (0, 2)
        assert not unsafe(ran.stdout)
        assert form != "json" or ran.exit_code or json.loads(ran.stdout, parse_constant=pytest.fail)


def test_a_key_whose_numbers_do_not_match_is_reported_without_an_internal_error(
    bare: Room, key: RSAPrivateKey
) -> None:
    numbers = key.private_numbers()
    odd = type(numbers)(
        numbers.p,
        numbers.q,
        numbers.d,
        numbers.dmp1 + 2,
        numbers.dmq1 + 2,
        numbers.iqmp + 1,
        numbers.public_numbers,
    )
    damaged = odd.private_key(unsafe_skip_rsa_key_validation=True)

    ran = bare(
        "jwt create",
        env={"VOICECTL_APPLICATION_ID": APP, "VOICECTL_PRIVATE_KEY": pkcs8(damaged).decode()},
    )

    assert ran.exit_code in (0, 3)  # OpenSSL may accept it
    assert "internal" not in ran.stderr
