"""``jwt``: creating and reading tokens."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hostile import unsafe
from tests.support.key_files import pkcs8
from tests.support.room import Room
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
    """The claims of a token, by another implementation's judgement."""
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
def test_no_option_changes_that(signed_in: Room, options: str) -> None:
    ran = signed_in(f"jwt create {options}")

    assert ran.exit_code == 0
    assert len(ran.stdout.split(".")) == 3
    assert len(ran.stdout.splitlines()) == 1


def test_no_two_tokens_are_the_same(signed_in: Room, key: RSAPrivateKey) -> None:
    assert len({verified(signed_in("jwt create").stdout.strip(), key)["jti"] for _ in range(5)}) == 5


def test_a_token_is_never_of_the_future(signed_in: Room, key: RSAPrivateKey) -> None:
    signed_in.clock.sleep(0.999)

    assert verified(signed_in("jwt create").stdout.strip(), key)["iat"] == NOW


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("30", 30), ("30s", 30), ("15m", 900), ("1h", 3600), ("24h", 86_400)]
)
def test_a_token_lives_as_long_as_is_asked(
    signed_in: Room, key: RSAPrivateKey, ttl: str, seconds: int
) -> None:
    claims = verified(signed_in(f"jwt create --ttl {ttl}").stdout.strip(), key)

    assert claims["exp"] == NOW + seconds


@pytest.mark.parametrize("ttl", ["0", "29", "29.9", "30.5", "86401", "24h1s", "2d", "-1", "x", "''", "1e3"])
def test_a_token_lives_from_half_a_minute_to_a_day(signed_in: Room, ttl: str) -> None:
    ran = signed_in(f"jwt create --ttl={ttl}")

    assert (ran.exit_code, ran.stdout) == (2, "")


def test_a_user_s_token_names_the_user_and_what_it_may_do(signed_in: Room, key: RSAPrivateKey) -> None:
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
def test_a_user_has_a_name(signed_in: Room, sub: str) -> None:
    assert signed_in(["jwt", "create", "--sub", sub]).exit_code == 2


def test_show_tells_the_times_and_whose_key_made_it(signed_in: Room) -> None:
    token = signed_in("jwt create --sub alice").stdout

    shown = signed_in("jwt show - -o json", stdin=token).json

    assert shown["application_id"] == APP
    assert (shown["issued"], shown["expires"]) == ("2026-02-02T02:40:00Z", "2026-02-02T02:55:00Z")
    assert shown["state"] == "valid for 900 s"
    assert shown["signature"] == "by the key of VOICECTL_APPLICATION_ID"
    assert shown["header"] == {"alg": "RS256", "typ": "JWT"}
    assert shown["claims"]["sub"] == shown["sub"] == "alice"


def test_show_reads_no_pipe_unasked(signed_in: Room) -> None:
    token = signed_in("jwt create").stdout

    ran = signed_in("jwt show", stdin=token)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "- to read it from standard input" in ran.stderr


@pytest.mark.parametrize(
    ("claims", "state"),
    [
        ({"iat": NOW, "exp": NOW + 60}, "valid for 60 s"),
        ({"iat": NOW}, "valid for 900 s"),
        ({"iat": NOW - 901}, "expired 1 s ago"),
        ({"iat": NOW, "exp": NOW}, "expired 0 s ago"),
        ({"iat": NOW + 10}, "valid in 10 s"),
        ({"iat": NOW, "nbf": NOW + 5, "exp": NOW + 60}, "valid in 5 s"),
        ({}, "no times"),
        ({"iat": "soon", "exp": "later"}, "no times"),
        ({"iat": NOW, "exp": 1e300}, "times out of range"),
    ],
)
def test_show_tells_whether_it_is_good_now(
    signed_in: Room, key: RSAPrivateKey, claims: dict[str, object], state: str
) -> None:
    assert signed_in("jwt show - -o json", stdin=tokens.mint(claims, key)).json["state"] == state


def test_show_tells_another_key_s_token_from_ours(signed_in: Room, key: RSAPrivateKey) -> None:
    ours = tokens.mint({"iat": NOW, "sub": 5, "aud": "x", "iss": ["x"], "exp": 1}, key)
    head, body, signature = ours.split(".")
    altered = base64.urlsafe_b64encode(b'{"iat":1}').rstrip(b"=").decode()
    by_secret = jwt.encode({"iat": NOW}, "s" * 32, "HS256")
    unsigned = jwt.encode({"iat": NOW}, None, "none")

    def signature_of(token: str) -> str:
        found: str = signed_in("jwt show - -o json", stdin=token).json["signature"]
        return found.partition(" the key of")[0]

    assert signature_of(ours) == "by"  # whatever its claims are
    assert signature_of(f"{head}.{altered}.{signature}") == "not by"
    assert signature_of(f"{head}.{body}.{signature[:-4]}AAAA") == "not by"
    assert signature_of(by_secret) == "not by"
    assert signature_of(unsigned) == "not by"


def test_show_reads_a_token_where_nothing_is_set_up(bare: Room, key: RSAPrivateKey) -> None:
    token = tokens.mint({"application_id": APP, "iat": NOW}, key)
    (bare.home / "token").write_text(f"Bearer {token}\n")

    ran = bare(["jwt", "show", str(bare.home / "token"), "-o", "json"])

    assert ran.exit_code == 0
    assert ran.json["application_id"] == APP
    assert ran.json["signature"].startswith("not checked: ")


@pytest.mark.parametrize(
    "content",
    ["", "x", "a.b.c", "a.b", "....", "eyJhbGciOiJub25lIn0.W10.", "\xff\xfe", "é" * 50, "a" * 100_000],
)
def test_what_is_no_token_is_refused(signed_in: Room, content: str) -> None:
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


def test_a_key_whose_numbers_do_not_fit_is_told_and_no_internal_error(bare: Room, key: RSAPrivateKey) -> None:
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

    assert ran.exit_code in (0, 3)  # what OpenSSL makes of it is its affair
    assert "internal" not in ran.stderr
