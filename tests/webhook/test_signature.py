"""Webhooks that are accepted: those that the platform signed for this application just now, and no others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from vonage_jwt.verify_jwt import verify_signature

from voicectl import tokens
from voicectl.errors import SignatureError
from voicectl.store.events import Arrival, Route
from voicectl.webhook.signature import MAX_AGE_SECONDS, MAX_AHEAD_SECONDS, Verified, Verifier, signed_content

from .signing import API_KEY, APPLICATION, GONE, NOW, SECRET, bearer, claims, event, segment, signed, token

BODY = event()
QUERY = b"to=447700900456&from=447700900789&uuid=x%20y&a=1&a=2&empty="
PUBLIC_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key()
PEM = PUBLIC_KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

PLATFORM_S_NAMES = [
    "to",
    "from",
    "from_user",
    "uuid",
    "call_uuid",
    "conversation_uuid",
    "conversation_uuid_from",
    "conversation_uuid_to",
    "status",
    "sub_state",
    "direction",
    "timestamp",
    "start_time",
    "end_time",
    "duration",
    "detail",
    "sip_code",
    "dtmf",
    "speech",
    "payload",
    "reason",
    "original_request",
    "recording_url",
    "recording_uuid",
    "transcription_url",
    "custom_data",
    "endpoint_type",
    "region_url",
    "body",
    "channel",
]

Secrets = Mapping[str | None, tuple[str, ...]]


def verifier(secrets: Secrets | None = None, *, now: float = NOW) -> Verifier:
    known = {API_KEY: (SECRET,)} if secrets is None else secrets
    return Verifier(lambda: known, application_id=APPLICATION, now=lambda: now)


def verify(
    authorization: list[str],
    body: bytes = BODY,
    *,
    secrets: Secrets | None = None,
    now: float = NOW,
    method: str = "POST",
    query: bytes = b"",
) -> Verified:
    return verifier(secrets, now=now).verify(
        method=method, query=query, body=body, authorization=authorization
    )


def refusal(authorization: list[str], body: bytes = BODY, **options: object) -> SignatureError:
    with pytest.raises(SignatureError) as caught:
        verify(authorization, body, **options)  # type: ignore[arg-type]
    return caught.value


def test_webhooks_signed_by_the_platform_are_accepted() -> None:
    found = verify(bearer(BODY, jti="5f0c9d8e"))

    assert found == Verified(jti="5f0c9d8e", iat=NOW, api_key=API_KEY)


def test_webhooks_signed_by_the_sandbox_are_accepted() -> None:
    made = tokens.webhook_token(
        BODY, secret=SECRET, api_key=API_KEY, application_id=APPLICATION, now=NOW + 0.9
    )

    assert verify([f"Bearer {made}"]).iat == NOW


def test_the_official_library_accepts_the_same_token() -> None:
    made = token(BODY)

    assert verify_signature(made, SECRET)
    assert verify([f"Bearer {made}"])
    assert not verify_signature(made, "another" * 5)


def test_the_hash_covers_the_documented_bytes() -> None:
    documented = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

    assert verify(bearer(b"", payload_hash=documented), b"test")


class TestAcceptance:
    """W1, W3: each class of forgery, with its message."""

    @pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
    def test_the_scheme_may_have_any_case(self, scheme: str) -> None:
        assert verify([f"{scheme} {token(BODY)}"])

    def test_a_missing_header_counts_as_unsigned(self) -> None:
        assert refusal([]).is_unsigned

    @pytest.mark.parametrize(
        ("authorization", "said"),
        [
            (["Basic azE6czI="], "no Bearer token"),
            ([""], "no Bearer token"),
            (["Bearer"], "not a JWT"),
            (["Bearer a.b"], "not a JWT"),
            (["Bearer a.b.c.d"], "not a JWT"),
            (["Bearer é.é.é"], "not a JWT"),
            (["Bearer a a a"], "not a JWT"),
            ([f"Bearer {'a' * 8193}"], "over 8 KiB"),
            (bearer(BODY) * 2, "2 Authorization headers"),
            ([f"{bearer(BODY)[0]}, {bearer(BODY)[0]}"], "not a JWT"),
        ],
    )
    def test_odd_headers_are_refused(self, authorization: list[str], said: str) -> None:
        found = refusal(authorization)

        assert said in found.message
        assert not found.is_unsigned

    @pytest.mark.parametrize(
        "header",
        [
            {},
            {"alg": "none"},
            {"alg": "None"},
            {"alg": ""},
            {"alg": None},
            {"alg": "hs256"},
            {"alg": "HS384"},
            {"alg": "HS512"},
            {"alg": "RS256"},
            {"alg": ["HS256"]},
        ],
    )
    def test_any_other_algorithm_is_refused(self, header: dict[str, object]) -> None:
        for digest in ("sha256", "sha384", "sha512"):
            assert (
                "algorithm"
                in refusal([f"Bearer {signed(claims(BODY), header=header, digest=digest)}"]).message
            )

    def test_a_missing_signature_is_refused(self) -> None:
        whole = token(BODY)
        head = segment({"alg": "none"})
        for made in (whole.rpartition(".")[0] + ".", f"{head}.{whole.split('.')[1]}.", f"{whole}="):
            refusal([f"Bearer {made}"])

    @pytest.mark.parametrize(
        "header",
        [
            {"alg": "HS256", "crit": ["exp"]},
            {"alg": "HS256", "crit": []},
            {"alg": "HS256", "crit": None},
            {"alg": "HS256", "crit": ["b64"], "b64": False},
            {"alg": "HS256", "b64": False},
            {"alg": "HS256", "kid": 7},
            b'{"alg":"none","alg":"HS256"}',
            b'["HS256"]',
            b'{"alg":"HS256"',
            b"\xff\xfe",
            b"[" * 5000,
        ],
    )
    def test_unknown_critical_headers_are_refused(self, header: object) -> None:
        refusal([f"Bearer {signed(claims(BODY), header=header)}"])

    def test_a_key_in_the_header_is_not_used(self) -> None:
        own = "attacker" * 4
        for more in (
            {"jwk": {"kty": "oct", "k": segment(own.encode())}},
            {"kid": "/dev/null"},
            {"jku": "http://x"},
        ):
            made = signed(claims(BODY), secret=own, header={"alg": "HS256"} | more)
            assert "not signed with" in refusal([f"Bearer {made}"]).message

    def test_the_application_s_public_key_is_not_a_secret(self) -> None:
        assert "not signed with" in refusal([f"Bearer {token(BODY, secret=PEM)}"]).message

    def test_a_short_secret_works(self) -> None:
        assert verify(bearer(BODY, secret="abcd"), secrets={API_KEY: ("abcd",)})

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"[]", "not a JWT"),
            (b"{", "not a JWT"),
            (b'"x"', "not a JWT"),
            (b'{"iat":1e999}', "not a JWT"),
            (b'{"iss":"Vonage","iss":"Vonage"}', "not a JWT"),
            ({}, "'api_key'"),
        ],
    )
    def test_invalid_claims_are_refused(self, content: object, said: str) -> None:
        assert said in refusal([f"Bearer {signed(content)}"]).message

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"iss": GONE}, "'iss'"),
            ({"iss": "vonage"}, "'iss'"),
            ({"iss": None}, "'iss'"),
            ({"iss": ["Vonage"]}, "'iss'"),
            ({"application_id": "1d2c3b4a-0000-4776-8594-a3b2c1d0e9f8"}, "another application"),
            ({"application_id": None}, "another application"),
            ({"application_id": ""}, "another application"),
            ({"api_key": GONE}, "'api_key'"),
            ({"api_key": None}, "'api_key'"),
            ({"api_key": [API_KEY]}, "'api_key'"),
            ({"api_key": "ffffffff"}, "another account"),
            ({"api_key": f"../keys/{API_KEY}"}, "another account"),
            ({"api_key": f"{API_KEY}\0"}, "another account"),
            ({"payload_hash": GONE}, "'payload_hash'"),
            ({"payload_hash": None}, "'payload_hash'"),
            ({"payload_hash": ""}, "'payload_hash'"),
            ({"payload_hash": hashlib.sha256(BODY).hexdigest().upper()}, "'payload_hash'"),
            ({"payload_hash": hashlib.sha256(BODY).hexdigest()[:32]}, "'payload_hash'"),
            ({"payload_hash": hashlib.sha256(BODY).hexdigest() + "\n"}, "'payload_hash'"),
            ({"payload_hash": [hashlib.sha256(BODY).hexdigest()]}, "'payload_hash'"),
            ({"payload_hash": "0" * 64}, "not the one that was signed"),
            ({"iat": GONE}, "'iat'"),
            ({"iat": None}, "'iat'"),
            ({"iat": True}, "'iat'"),
            ({"iat": str(NOW)}, "'iat'"),
            ({"iat": float(NOW)}, "'iat'"),
            ({"iat": 0}, "stale"),
            ({"iat": -(10**300)}, "stale"),
            ({"iat": 10**300}, "future"),
            ({"exp": NOW}, "expired"),
            ({"exp": NOW - 1}, "expired"),
            ({"exp": "soon"}, "'exp'"),
            ({"exp": True}, "'exp'"),
            ({"nbf": NOW + MAX_AHEAD_SECONDS + 1}, "not valid yet"),
            ({"nbf": None}, "'nbf'"),
            ({"jti": GONE}, "'jti'"),
            ({"jti": ""}, "'jti'"),
            ({"jti": 7}, "'jti'"),
            ({"jti": "x" * 201}, "'jti'"),
        ],
    )
    def test_missing_odd_and_stale_claims_are_refused(self, changes: dict[str, object], said: str) -> None:
        assert said in refusal(bearer(BODY, **changes)).message

    @pytest.mark.parametrize(
        "changes", [{"application_id": GONE}, {"exp": NOW + 1}, {"nbf": NOW}, {"more": [1]}]
    )
    def test_optional_claims_may_differ(self, changes: dict[str, object]) -> None:
        assert verify(bearer(BODY, **changes))

    @pytest.mark.parametrize(
        ("age", "is_good"),
        [(0, True), (MAX_AGE_SECONDS, True), (MAX_AGE_SECONDS + 1, False), (-60, True), (-61, False)],
    )
    def test_a_token_is_valid_for_some_minutes(self, age: int, is_good: bool) -> None:
        authorization = bearer(BODY)
        if is_good:
            assert verify(authorization, now=NOW + age)
        else:
            assert "clock" in (refusal(authorization, now=NOW + age).hint or "")

    def test_messages_contain_no_secret(self) -> None:
        for changes in (
            {"secret": "x" * 32},
            {"payload_hash": "0" * 64},
            {"api_key": "ffffffff"},
            {"iat": 0},
        ):
            made = token(BODY, **changes)  # type: ignore[arg-type]
            found = refusal([f"Bearer {made}"])
            said = f"{found.message} {found.hint} {found.__cause__!r}"
            assert not any(part in said for part in (SECRET, *made.split("."), "ffffffff"))


class TestBody:
    def test_spaces_in_json_matter(self) -> None:
        spaced = json.dumps(json.loads(BODY), indent=1).encode()

        assert "The body is not the one that was signed" in refusal(bearer(BODY), spaced).message

    @given(st.binary(max_size=200))
    def test_any_body_is_verified_byte_for_byte(self, body: bytes) -> None:
        assert verify(bearer(body), body)
        refusal(bearer(body), body + b" ")


class TestGet:
    """The documented ordered form: the parameters as one object of JSON, without spaces."""

    def test_the_documented_form_is_hashed(self) -> None:
        assert signed_content("GET", QUERY, b"") == (
            b'{"to":"447700900456","from":"447700900789","uuid":"x y","a":["1","2"],"empty":""}'
        )

    def test_a_signed_get_is_accepted(self) -> None:
        assert verify(bearer(signed_content("GET", QUERY, b"")), b"", method="GET", query=QUERY)

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            (b"name=Zo%C3%AB", "Zo\u00eb"),
            (b"name=Zo%c3%ab", "Zo\u00eb"),
            (b"name=%E5%B1%B1+%F0%9F%93%9E", "\u5c71 \U0001f4de"),
            (b"name=Zo\xeb", "Zo\u00eb"),  # raw bytes are letters of Latin-1, as in headers
            (b"name=Zo\xc3\xab", "Zo\u00c3\u00ab"),
            (b"name=Zo%EB", "Zo\ufffd"),
            (b"name=%ED%A0%80", "\ufffd" * 3),
            (b"name=%00%1f%22%5C%7F", '\0\x1f"\\\x7f'),
        ],
    )
    def test_other_letters_are_hashed_as_they_are_read(self, query: bytes, name: str) -> None:
        content = json.dumps({"name": name}, separators=(",", ":"), ensure_ascii=False).encode()

        assert signed_content("GET", query, b"") == content
        assert verify(bearer(content), b"", method="GET", query=query).uncovered == ()
        read = Arrival.read(
            received=NOW, route=Route.EVENT, method="GET", query=query, body=b"", is_signed=True
        )
        assert read.fields == {"name": name}

    def test_a_raw_byte_is_not_taken_for_what_was_signed(self) -> None:
        authorization = bearer('{"name":"Zo\u00eb"}'.encode())
        for query in (b"name=Zo\xc3\xab", b"name=Zo\xff", b"name=Zo%EB", b"name=Zo%C3", b"name=Zoe"):
            assert "query" in refusal(authorization, b"", method="GET", query=query).message

    def test_order_and_values_matter(self) -> None:
        authorization = bearer(signed_content("GET", b"a=1&b=2", b""))
        for query in (b"b=2&a=1", b"a=1", b"a=1&b=3", b"a=1&b=2&c="):
            assert "query" in refusal(authorization, b"", method="GET", query=query).message

    @pytest.mark.parametrize(
        ("query", "content"),
        [
            (b"uuid=x&dtmf=%7B%22digits%22:%223%22%7D", b'{"uuid":"x","dtmf":{"digits":"3"}}'),
            (
                b"dtmf=%7B%22digits%22%3A+%223%22,%22timed_out%22:true%7D&to=4",
                b'{"dtmf":{"digits":"3","timed_out":true},"to":"4"}',
            ),
            (b"dtmf[digits]=3&dtmf%5Btimed_out%5D=true", b'{"dtmf":{"digits":"3","timed_out":"true"}}'),
            (b"speech[results][0][text]=hi&to=4", b'{"speech":{"results":[{"text":"hi"}]},"to":"4"}'),
            (b"uuid=x&sip_code=486&headers=%7B%7D", b'{"uuid":"x","sip_code":486,"headers":{}}'),
            (b"uuid=x&status=caf%C3%A9", '{"uuid":"x","status":"café"}'.encode()),
            (b"dtmf[digits]=%C3%AB&to=4", '{"dtmf":{"digits":"\u00eb"},"to":"4"}'.encode()),
            (b"dtmf=%7B%22digits%22:%22%5Cud83d%22%7D", rb'{"dtmf":{"digits":"\ud83d"}}'),
        ],
    )
    def test_a_hash_over_nested_objects_is_equivalent(self, query: bytes, content: bytes) -> None:
        assert verify(bearer(content), b"", method="GET", query=query).uncovered == ()

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            (b"order=17&to=447700900456&uuid=x", ("order",)),
            (b"order=17&vc=1&order=18&to=447700900456&uuid=x", ("order", "vc")),
            (b"to=447700900456&uuid=x&id=17", ("id",)),
        ],
    )
    def test_parameters_of_the_configured_url_may_be_unsigned(
        self, query: bytes, names: tuple[str, ...]
    ) -> None:
        content = b'{"to":"447700900456","uuid":"x"}'
        assert verify(bearer(content), b"", method="GET", query=query).uncovered == names

    def test_they_may_be_unsigned_beside_nested_objects_too(self) -> None:
        content = b'{"uuid":"x","dtmf":{"digits":"3"}}'
        query = b"order=17&uuid=x&dtmf=%7B%22digits%22:%223%22%7D"
        assert verify(bearer(content), b"", method="GET", query=query).uncovered == ("order",)

    @pytest.mark.parametrize(
        "query",
        [
            b"status=completed&to=447700900456&uuid=x",
            b"dtmf[digits]=1&to=447700900456&uuid=x",
            b"SipHeader_X-Queue=gold&to=447700900456&uuid=x",
            b"uuid=y&to=447700900456&uuid=x",
            b"to=447700900456&uuid=x&uuid=y",
            b"to=447700900456&order=17&uuid=x",
            b"order=17&to=447700900456",
            b"order=17&to=447700900456&uuid=y",
            b"&".join([b"a%d=1" % number for number in range(17)]) + b"&to=447700900456&uuid=x",
        ],
    )
    def test_parameters_that_describe_the_event_must_be_signed(self, query: bytes) -> None:
        content = b'{"to":"447700900456","uuid":"x"}'
        assert "query" in refusal(bearer(content), b"", method="GET", query=query).message

    @pytest.mark.parametrize("name", [*PLATFORM_S_NAMES, "SipHeader_X-Queue"])
    def test_each_parameter_of_the_platform_must_be_signed(self, name: str) -> None:
        other = "status" if name == "uuid" else "uuid"
        authorization = bearer(f'{{"{other}":"x"}}'.encode())
        for added in (name, f"{name}[a]"):
            for query in (f"{added}=1&{other}=x", f"{other}=x&{added}=1"):
                assert (
                    "The query is not the one that was signed"
                    in refusal(authorization, b"", method="GET", query=query.encode()).message
                )

    @pytest.mark.parametrize(
        ("query", "content"),
        [
            (b"uuid=x&dtmf=9&dtmf[digits]=3", b'{"uuid":"x","dtmf":{"digits":"3"}}'),
            (b"uuid=x&dtmf[digits]=3&dtmf=9", b'{"uuid":"x","dtmf":"9"}'),
            (b"uuid=y&uuid=x&dtmf=%7B%7D", b'{"uuid":"x","dtmf":{}}'),
            (b"uuid=y&uuid=x", b'{"uuid":"x"}'),
        ],
    )
    def test_a_parameter_added_beside_one_of_the_same_name_is_noticed(
        self, query: bytes, content: bytes
    ) -> None:
        assert "query" in refusal(bearer(content), b"", method="GET", query=query).message

    @given(
        st.lists(
            st.tuples(st.sampled_from(["dtmf", "dtmf[a]", "dtmf[a][b]", "to", "x", "body[0]"]), st.text())
        )
    )
    def test_any_query_is_hashed_or_refused(self, pairs: list[tuple[str, str]]) -> None:
        query = urlencode(pairs, errors="replace").encode()
        assert (
            verify(bearer(signed_content("GET", query, b"")), b"", method="GET", query=query).uncovered == ()
        )
        assert refusal(bearer(b"{}x"), b"", method="GET", query=query)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [({}, "covers an empty body"), ({"payload_hash": GONE}, "does not cover the content")],
    )
    def test_a_hash_that_covers_nothing_is_refused_with_a_suggestion(
        self, changes: dict[str, object], said: str
    ) -> None:
        found = refusal(bearer(b"", **changes), b"", method="GET", query=QUERY)

        assert said in found.message
        assert "to POST" in (found.hint or "")
        assert refusal(bearer(BODY, payload_hash=GONE)).hint is None


class TestRotation:
    """W4: two secrets of an account at once, found by the account's key and not by a path."""

    def test_both_secrets_are_accepted(self) -> None:
        both = {API_KEY: ("new" * 11, SECRET)}

        assert verify(bearer(BODY), secrets=both)
        assert verify(bearer(BODY, secret="new" * 11), secrets=both)
        refusal(bearer(BODY, secret="old" * 11), secrets=both)

    def test_a_secret_without_a_known_account_serves_any_account(self) -> None:
        assert verify(bearer(BODY, api_key="whoever"), secrets={None: (SECRET,)}).api_key == "whoever"

    def test_the_secret_of_one_account_does_not_serve_another(self) -> None:
        secrets: Secrets = {API_KEY: (SECRET,), "other": ("o" * 32,)}

        assert "not signed with" in refusal(bearer(BODY, api_key="other"), secrets=secrets).message

    def test_without_any_secret_every_webhook_is_refused(self) -> None:
        assert refusal(bearer(BODY), secrets={})


def bits(text: str) -> st.SearchStrategy[str]:
    """*text* with one character changed, dropped or doubled."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "
    place = st.integers(0, len(text) - 1)
    changed = st.tuples(place, st.sampled_from(letters)).map(
        lambda found: text[: found[0]] + found[1] + text[found[0] + 1 :]
    )
    dropped = place.map(lambda index: text[:index] + text[index + 1 :])
    doubled = place.map(lambda index: text[: index + 1] + text[index:])
    return (changed | dropped | doubled).filter(lambda made: made != text)


GOOD = token(BODY, jti="fixed")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class TestForgeries:
    """No forgery without the secret is accepted; and a naive verifier accepts some."""

    @given(bits(GOOD))
    def test_a_token_altered_anywhere_is_refused(self, made: str) -> None:
        if made.strip() != GOOD:
            refusal([f"Bearer {made}"])

    @given(
        st.dictionaries(st.sampled_from([*claims(BODY), "exp", "nbf"]), json_values), st.binary(max_size=40)
    )
    def test_forged_claims_and_headers_are_refused(self, changes: dict[str, object], secret: bytes) -> None:
        content = claims(BODY) | changes
        made = signed(content, secret=secret.hex())
        refusal([f"Bearer {made}"])
        refusal([f"Bearer {GOOD.rpartition('.')[0]}.{made.rpartition('.')[2]}"])

    @given(st.text())
    def test_any_other_header_is_refused(self, header: str) -> None:
        refusal([header])

    @given(st.sampled_from(["iss", "payload_hash", "iat", "jti", "api_key"]), json_values)
    def test_signed_claims_of_any_type_raise_no_other_exception(self, claim: str, value: object) -> None:
        try:
            found = verify(bearer(BODY, **{claim: value}))
        except SignatureError:
            return
        assert isinstance(found.jti, str)
        assert isinstance(found.iat, int)

    @pytest.mark.parametrize(
        ("judge", "is_fooled"),
        [
            (lambda made, _: verify_signature(made, SECRET), True),
            (lambda made, body: verify([f"Bearer {made}"], body), False),
        ],
        ids=["a verifier that skips the hash", "ours"],
    )
    def test_a_verifier_that_skips_the_hash_accepts_the_same_token_with_another_body(
        self, judge: Callable[[str, bytes], object], is_fooled: bool
    ) -> None:
        altered = BODY.replace(b"ringing", b"answered")
        if is_fooled:
            assert judge(GOOD, altered)
        else:
            with pytest.raises(SignatureError):
                judge(GOOD, altered)
