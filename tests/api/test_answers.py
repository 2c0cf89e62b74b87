"""Answers that are too damaged to use exit with 7 on a read and 12 on a create, and do no harm."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.machines import Application, Unpaced, client, machine
from tests.support.room import PERSON, Ran
from tests.support.servers import LEG, Canned, Listener, Request, page, read_request, reply
from voicectl.api.auth import Bearer
from voicectl.api.conversations import ConversationApi
from voicectl.api.session import Session
from voicectl.api.wire import Wire
from voicectl.errors import OutcomeUnknown, RateLimitedError, TransportError
from voicectl.voice.conversation import Conversation

CREATE = f"call create --to {PERSON} --talk Hello -o json"
SHOW = f"call show {LEG} -o json"


def with_uuid(uuid: Any) -> bytes:
    return reply(201, {"uuid": uuid, "status": "started"})


def with_text(text: str) -> bytes:
    return reply(201, text.encode())


FINE = json.dumps({"uuid": LEG, "status": "started"}).encode()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(FINE), FINE)


def framed(*headers: str, content: bytes = FINE) -> bytes:
    """Return a reply with exactly these headers."""
    return "\r\n".join(["HTTP/1.1 201 Created", *headers, "", ""]).encode() + content


def in_chunks(content: bytes) -> bytes:
    """Return a reply whose body *content* is said to be chunked."""
    return framed("Transfer-Encoding: chunked", content=content)


DEEP_KEY = '{"a":'
UNUSABLE: dict[str, bytes] = {
    "a page of HTML": reply(200, b"<!doctype html><title>Sign in</title>", content_type="text/html"),
    "nothing": reply(201),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "blanks": reply(201, b" \r\n"),
    "text": reply(201, b"OK"),
    "null": with_text("null"),
    "an array": with_text(f'[{{"uuid": "{LEG}"}}]'),
    "a string": with_text(f'"{LEG}"'),
    "NaN": with_text(f'{{"uuid": "{LEG}", "price": NaN}}'),
    "infinity": with_text(f'{{"uuid": "{LEG}", "price": -Infinity}}'),
    "infinity in disguise": with_text(f'{{"uuid": "{LEG}", "price": 1e999}}'),
    "a key twice": with_text(f'{{"uuid": "{LEG}", "uuid": "{LEG.replace("6", "7")}"}}'),
    "a key twice further down": with_text(f'{{"uuid": "{LEG}", "to": {{"a": 1, "a": 2}}}}'),
    "100 000 brackets": with_text(f'{{"uuid": "{LEG}", "x": {"[" * 100_000}1{"]" * 100_000}}}'),
    "100 000 braces": with_text(f'{{"uuid": "{LEG}", "x": {DEEP_KEY * 100_000}1{"}" * 100_000}}}'),
    "deeper than can be written again": with_text(f'{{"uuid": "{LEG}", "x": {"[" * 900}1{"]" * 900}}}'),
    "brackets that do not close": with_text("[" * 100_000),
    "an integer of 5 000 digits": with_text(f'{{"uuid": "{LEG}", "x": {"9" * 5000}}}'),
    "half of it": with_text(f'{{"uuid": "{LEG}", "sta'),
    "bytes that are no text": reply(201, b'{"uuid": "\xff\xfe"}'),
    "compressed JSON": reply(201, gzip.compress(f'{{"uuid": "{LEG}"}}'.encode()), content_encoding="gzip"),
    "a compressed gigabyte": reply(201, gzip.compress(b" " * 10_000_000), content_encoding="gzip"),
    "more than a mebibyte": reply(201, f'{{"uuid": "{LEG}"}}'.encode() + b" " * (1 << 20)),
    "less than it announces": reply(201, f'{{"uuid": "{LEG}"}}'.encode(), content_length="4000"),
    "a length of 5 000 digits": reply(201, FINE, content_length="9" * 5000),
    "a length of 5 000 zeros": reply(201, FINE, content_length="0" * 5000),
    "a length with a sign": reply(201, FINE, content_length=f"+{len(FINE)}"),
    "a negative length": reply(201, FINE, content_length="-1"),
    "a length with an underscore": reply(201, FINE, content_length=f"{len(FINE) // 10}_{len(FINE) % 10}"),
    "a length that is empty": reply(201, FINE, content_length=""),
    "two lengths in one header": reply(201, FINE, content_length=f"{len(FINE)}, {len(FINE)}"),
    "two lengths that differ": framed(f"Content-Length: {len(FINE)}", "Content-Length: 7"),
    "a length and chunks": framed(
        f"Content-Length: {len(FINE)}", "Transfer-Encoding: chunked", content=CHUNKED
    ),
    "chunks twice": framed("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", content=CHUNKED),
    "an unknown transfer coding": framed("Transfer-Encoding: gzip, chunked", content=CHUNKED),
    "a transfer coding of no change": framed("Transfer-Encoding: identity"),
    "a header without a colon": framed("Some words", f"Content-Length: {len(FINE)}"),
    "a first header that continues another": framed(" X: y", f"Content-Length: {len(FINE)}"),
    "a blank before the colon": framed(f"Content-Length : {len(FINE)}"),
    "a chunk of negative length": in_chunks(b"-1\r\n" + FINE),
    "a chunk of negative length and its end": in_chunks(b"-1\r\n" + FINE + b"\r\n0\r\n\r\n"),
    "a chunk's length with a sign": in_chunks(b"+" + CHUNKED),
    "a chunk's length with an underscore": in_chunks(b"%x_%x" % divmod(len(FINE), 16) + CHUNKED[2:]),
    "a chunk's length with a prefix": in_chunks(b"0x" + CHUNKED),
    "a chunk's length after a blank": in_chunks(b" " + CHUNKED),
    "a chunk's length of 5 000 digits": in_chunks(b"f" * 5000 + CHUNKED[2:]),
    "a chunk's length of 5 000 zeros": in_chunks(b"0" * 5000 + CHUNKED),
    "a chunk's length of a mebibyte": in_chunks(b"0" * (1 << 20) + CHUNKED),
    "a chunk of no length": in_chunks(b";x" + CHUNKED[2:]),
    "a chunk longer than its length": in_chunks(b"%x\r\n%s \r\n0\r\n\r\n" % (len(FINE), FINE)),
    "a chunk without its end": in_chunks(b"%x\r\n%s0\r\n\r\n" % (len(FINE), FINE)),
    "chunks with bare line feeds": in_chunks(CHUNKED.replace(b"\r\n", b"\n")),
    "a chunk's extension of a mebibyte": in_chunks(CHUNKED[:2] + b";" + b"x" * (1 << 20) + CHUNKED[2:]),
    "trailers without end": in_chunks(CHUNKED[:-2] + b"X: y\r\n" * 1000),
    "a trailer without end": in_chunks(CHUNKED[:-2] + b"X: " + b"y" * (1 << 20)),
    "no HTTP": b"+OK ready\r\n",
    "an old HTTP": b'{"uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356"}',
    "a status that is none": b"HTTP/1.1 20 Created\r\n\r\n{}",
    "a status with a sign": framed(content=FINE).replace(b"201", b"+201", 1),
    "a status with an underscore": framed(content=FINE).replace(b"201", b"2_01", 1),
    "a status with a zero": framed(content=FINE).replace(b"201", b"0201", 1),
    "a status with more to it": framed(content=FINE).replace(b"201", b"201.5", 1),
    "an unknown version": framed(content=FINE).replace(b"1.1", b"1.x", 1),
    "headers without end": b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 1000,
    "a header without end": b"HTTP/1.1 201 Created\r\nX: " + b"y" * 100_000,
    "a chunk too few": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}   \r\n",
    "chunks of no length": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no uuid": reply(201, {"status": "started"}),
    "uuid null": with_uuid(None),
    "uuid a number": with_uuid(7),
    "uuid a list": with_uuid([LEG]),
    "uuid empty": with_uuid(""),
    "uuid a path": with_uuid("../../v2/applications/x"),
    "uuid with a tail": with_uuid(LEG + "/talk"),
    "uuid with a line end": with_uuid(LEG + "\n"),
    "uuid with an escape": with_uuid("\x1b[2J" + LEG),
    "uuid of other digits": with_uuid(LEG.replace("6", "٦")),
    "uuid of half a pair": with_uuid("\ud800" * 32),
    "uuid of 33 digits": with_uuid("a" * 33),
}


def ask(tmp_path: Path, application: Application, answer: bytes, line: str) -> tuple[Ran, list[Request]]:
    """Run a command whose look-ups, if it is a create, find nothing."""

    def choose(request: Request) -> bytes:
        return answer if request.method == "POST" or request.path != "/v1/calls" else reply(body=page())

    with Canned(choose, keeps=False) as server:
        return machine(tmp_path, application, server.url)(line), server.requests


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_create_with_an_unusable_reply_is_in_doubt(
    tmp_path: Path, application: Application, kind: str
) -> None:
    ran, requests = ask(tmp_path, application, UNUSABLE[kind], CREATE)

    assert (ran.exit_code, ran.stdout) == (12, ""), ran
    assert ran.error["code"] == "outcome_unknown"
    assert [request.method for request in requests].count("POST") == 1


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_read_with_an_unusable_reply_is_tried_three_times(
    tmp_path: Path, application: Application, kind: str
) -> None:
    ran, requests = ask(tmp_path, application, UNUSABLE[kind], SHOW)

    assert (ran.exit_code, ran.stdout) == (7, ""), ran
    assert ran.error["code"] == "transport"
    assert len(requests) == 3


@pytest.mark.parametrize("body", [b"[]", b'"done"', b"7", b"OK"])
@pytest.mark.parametrize(
    ("line", "code"), [(f"dtmf {LEG} 1", 12), (f"mute {LEG}", 7), (f"talk {LEG} --stop", 7)]
)
def test_a_change_is_not_done_if_the_reply_is_not_the_api_s(
    tmp_path: Path, application: Application, line: str, code: int, body: bytes
) -> None:
    ran, _ = ask(tmp_path, application, reply(200, body), line)
    assert ran.exit_code == code


@pytest.mark.parametrize("uuid", [LEG.replace("6", "7"), LEG[:-1], 7, None])
def test_a_record_of_another_leg_is_not_usable(
    tmp_path: Path, application: Application, uuid: object
) -> None:
    ran, _ = ask(tmp_path, application, reply(body={"uuid": uuid, "status": "completed"}), SHOW)
    assert ran.exit_code == 7


def test_an_id_may_be_returned_in_another_form(tmp_path: Path, application: Application) -> None:
    ran, _ = ask(
        tmp_path, application, reply(body={"uuid": LEG.replace("-", "").upper(), "status": "answered"}), SHOW
    )
    assert ran.exit_code == 0


@pytest.mark.parametrize(
    "content",
    [
        f'\ufeff{{"uuid": "{LEG}"}}'.encode(),
        json.dumps(
            {"uuid": LEG, "new": {"deep": [[1], {"a": None}]}, "big": 10**400, "small": 1e-300}
        ).encode(),
        json.dumps({"uuid": LEG, "from": "\ud83d\x00"}).encode(),
    ],
)
def test_odd_but_readable_replies_are_accepted(
    tmp_path: Path, application: Application, content: bytes
) -> None:
    for line in (CREATE, SHOW):
        ran, _ = ask(tmp_path / line[5:9], application, reply(201, content), line)
        assert ran.exit_code == 0, ran
        assert ran.json["uuid"] == LEG


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b'{"uuid": "', LEG.encode(), b'"}'))
        + b"0\r\n\r\n",
        b'HTTP/1.1 201 Created\r\n\r\n{"uuid": "' + LEG.encode() + b'"}',
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(201, {"uuid": LEG}),
        b'HTTP/1.0 201\r\n\r\n{"uuid": "' + LEG.encode() + b'"}',
        framed(f"Content-Length: {len(FINE)}", f"content-length: {len(FINE)}"),
        framed("Transfer-Encoding:  Chunked", content=CHUNKED),
        in_chunks(b"000" + CHUNKED.upper()[:2] + b' ; name="a;b"' + CHUNKED[2:]),
        in_chunks(CHUNKED[:-5] + b"00;last\r\nX: y\r\n\r\n"),
        in_chunks(CHUNKED[:-2]),
        reply(201, FINE, content_type="multipart/mixed; boundary=x"),
    ],
    ids=[
        "in chunks",
        "up to the end",
        "after a 100",
        "of an older HTTP",
        "one length twice",
        "capitals",
        "a chunk's extension",
        "a trailer",
        "no line after the last chunk",
        "another content type",
    ],
)
def test_a_reply_may_be_framed_in_any_way_that_http_allows(
    tmp_path: Path, application: Application, answer: bytes
) -> None:
    ran, _ = ask(tmp_path, application, answer, CREATE)
    assert ran.exit_code == 0
    assert "certainty" not in ran.json


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(200, b"{}", content_encoding="gzip"), "is compressed"),
        (reply(200, b"{}", content_encoding="identity"), "is a call record without a uuid"),
        (reply(200, b"{"), "is not valid JSON"),
        (reply(200, b"[]"), "is not an object"),
        (reply(200, b'{"a":' * 70 + b"1" + b"}" * 70), "is nested more than 64 levels deep"),
        (reply(200, b"{}", content_length="9"), "was cut short"),
        (reply(200, b"{}" + b" " * (1 << 20)), "is too long"),
        (reply(200, b"{}", content_length="x"), "has an invalid Content-Length"),
        (framed(f"Content-Length: {len(FINE)}", "Content-Length: 7"), "states its length in two ways"),
        (framed("Transfer-Encoding: identity"), "has an unknown Transfer-Encoding"),
        (framed("Some words"), "has malformed headers"),
        (in_chunks(b"x\r\n"), "is not valid HTTP"),
        (in_chunks(CHUNKED[:-7]), "was cut short"),
        (in_chunks(CHUNKED[:-6]), "was cut short"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "was cut short"),
        (b"+OK ready\r\n", "is not valid HTTP"),
    ],
)
def test_an_unusable_reply_is_described(
    tmp_path: Path, application: Application, answer: bytes, reason: str
) -> None:
    ran, _ = ask(tmp_path, application, answer, SHOW)

    assert f"the response {reason}" in ran.error["message"]


class Flood(Listener):
    """Sends the beginning of a reply and then up to 100 MB, as much of it as is read."""

    def __init__(self, begin: bytes, block: bytes) -> None:
        super().__init__()
        self._begin = b"HTTP/1.1 200 OK\r\n" + begin
        self._block = block * (65_536 // len(block))
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(self._begin)
        while self.sent < 100_000_000:
            writer.write(self._block)
            await writer.drain()
            self.sent += len(self._block)


@pytest.mark.parametrize(
    ("begin", "block"),
    [
        (b"Content-Length: 100000000\r\n\r\n", b" "),
        (b"\r\n", b" "),
        (b"Transfer-Encoding: chunked\r\n\r\n5f5e100\r\n", b" "),
        (b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b" "),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b" " * 1024 + b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"f"),
        (b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n"),
        (b"", b"X: y\r\n"),
        (b"X: ", b"y"),
    ],
    ids=[
        "a length",
        "no length",
        "one chunk",
        "a chunk of negative length",
        "small chunks",
        "a chunk's length",
        "an extension",
        "trailers",
        "headers",
        "a header",
    ],
)
def test_a_reply_of_100_mb_is_abandoned_at_the_limit(
    tmp_path: Path, application: Application, begin: bytes, block: bytes
) -> None:
    with Flood(begin, block) as server:
        room = machine(tmp_path, application, server.url)
        room("call list --dry-run")  # loads the modules first
        tracemalloc.start()
        try:
            ran = room(SHOW)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert ran.exit_code == 7
    assert peak < 6 << 20
    assert server.sent < 60_000_000


# Refusals


SHAPES: list[tuple[bytes, dict[str, str], list[str]]] = [
    (
        b'{"type":400,"title":"Bad Request","invalid_parameters":'
        b'[{"name":"stream_url","reason":"Invalid type parameter provided"},"odd"]}',
        {},
        ["400 Bad Request", "stream_url: Invalid type parameter provided", "odd"],
    ),
    (b'{"type":"BAD_REQUEST","error_title":"Bad Request"}', {}, ["400 Bad Request"]),
    (
        b'{"type":"https://developer.vonage.com/x","title":"Not Good","detail":"No more.","instance":"bf0c-1"}',
        {},
        ["400 Not Good: No more", "bf0c-1"],
    ),
    (
        b'{"code":"http:error:validation-fail","title":"Bad","detail":"d","invalid_parameters":null}',
        {},
        ["400 Bad: d"],
    ),
    (b'{"msg_error":"Unexpected error"}', {"x_nexmo_trace_id": "abc"}, ["Unexpected error", "abc"]),
    (b'{"Error":"Bad Request"}', {}, ["Bad Request"]),
    (b"", {}, ["400"]),
    (b"no JSON at all", {}, ["no JSON at all"]),
    (b"<html><script>alert(1)</script>", {}, ["400"]),
    (b'{"title": {"a": ["b"]}, "detail": 7}', {}, ["400"]),
    (b'{"title":"T","detail":"\\u001b[2J\\ud800\\u0000\\nx"}', {}, ["T", "\\x1b[2J", "\\ud800"]),
    (b'{"title":"T","detail":"' + b"long " * 20_000 + b'"}', {}, ["long long"]),
]


@pytest.mark.parametrize(("body", "headers", "words"), SHAPES, ids=[str(body[:40]) for body, *_ in SHAPES])
def test_a_refusal_is_reported_in_the_words_of_the_api_in_three_lines(
    tmp_path: Path, application: Application, body: bytes, headers: dict[str, str], words: list[str]
) -> None:
    ran, requests = ask(tmp_path, application, reply(400, body, **headers), CREATE.removesuffix(" -o json"))

    assert (ran.exit_code, ran.stdout) == (5, "")
    assert len(requests) == 1
    lines = ran.stderr.splitlines()
    assert 2 <= len(lines) <= 3
    assert all(word in ran.stderr for word in words)
    assert not [letter for letter in ran.stderr if not letter.isprintable() and letter != "\n"]
    assert len(ran.stderr) < 2000
    assert "<script>" not in ran.stderr


@pytest.mark.parametrize("field", ["detail", "msg_error", "Error", "error", "error-code-label"])
@pytest.mark.parametrize("title", ["title", "error_title"])
def test_a_refusal_is_read_from_each_field_that_the_api_uses(
    tmp_path: Path, application: Application, title: str, field: str
) -> None:
    ran, _ = ask(
        tmp_path, application, reply(400, {title: "Bad", field: "No more.", "instance": "i-1"}), CREATE
    )

    assert ran.error["message"] == "The API refused the request: 400 Bad: No more."
    assert (ran.error["http_status"], ran.error["trace_id"]) == (400, "i-1")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            [{"name": "to", "reason": "is missing"}, {"name": "from"}, {"reason": "odd"}],
            "to: is missing; from; odd",
        ),
        (["to", 7, True, None, ["x"], {}], "to; 7"),
        ([*range(12)], "; ".join(map(str, range(10)))),
        ({"name": "to"}, ""),
    ],
)
def test_the_invalid_parameters_follow_the_detail(
    tmp_path: Path, application: Application, parameters: object, words: str
) -> None:
    answer = reply(400, {"title": "Bad", "detail": "No", "invalid_parameters": parameters})
    ran, _ = ask(tmp_path, application, answer, CREATE)

    assert ran.error["message"].removeprefix("The API refused the request: 400 Bad: No") == (
        f"; {words}." if words else "."
    )


@pytest.mark.parametrize(
    ("line", "answer", "words"),
    [
        (f"talk {LEG} Hi", reply(400, {"title": "Bad"}), f"voicectl wait {LEG} --for answered"),
        (f"talk {LEG} Hi", reply(400, {"title": "Bad", "detail": "No"}), "Correct the request"),
        (f"talk {LEG} Hi", reply(409, {"title": "Bad"}), "Correct the request"),
        (CREATE, reply(400, {"title": "Bad"}), "Correct the request"),
        (f"talk {LEG} Hi", reply(403), "ask its owner"),
        (f"talk {LEG} Hi", reply(404), "voicectl call list --all"),
        (f"talk {LEG} Hi", reply(429, retry_after="700"), "Nothing was changed. Try again in 700 s."),
        (f"talk {LEG} Hi", reply(429), "Nothing was changed. Try again in a minute."),
        (f"talk {LEG} Hi", reply(429, retry_after="0"), "Nothing was changed. Try again in a minute."),
        (f"talk {LEG} Hi", reply(302, location="/x"), "voicectl doctor"),
    ],
)
def test_the_hint_of_a_refusal_says_what_to_do(
    tmp_path: Path, application: Application, line: str, answer: bytes, words: str
) -> None:
    ran, _ = ask(tmp_path, application, answer, line if line.endswith("json") else f"{line} -o json")

    assert words in ran.error["hint"]


# Retry-After


def waits_for(
    header: str | None, application: Application, **headers: str
) -> tuple[list[float], Exception | None, int]:
    """Return the waits, the error and the number of requests of a create that gets 429 with this header."""
    clock = FakeClock()
    more = headers if header is None else headers | {"retry_after": header}
    answer = reply(429, {"title": "Rate Limit Hit"}, **more)
    with Canned(answer) as server, client(server.url, application, clock) as api:
        try:
            api.create_call({})
        except RateLimitedError as exc:
            return clock.slept, exc, len(server.requests)
    return clock.slept, None, len(server.requests)


def moments() -> st.SearchStrategy[str]:
    return st.datetimes().map(lambda moment: email.utils.format_datetime(moment, usegmt=False))


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(
        st.integers(-100, 10**30).map(str),
        st.integers(0, 90).map(str),
        st.integers(0, 9).map(lambda seconds: f" {seconds:030} "),
        st.floats().map(str),
        moments(),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85")),
        st.none(),
    )
)
def test_the_wait_for_a_rate_limit_is_the_requested_one_or_grows_up_to_a_minute(
    application: Application, header: str | None
) -> None:
    waits, exc, requests = waits_for(header, application)

    assert isinstance(exc, RateLimitedError)
    assert all(wait >= 0 for wait in waits)
    assert sum(waits) <= 60
    assert requests == len(waits) + 1 <= 3
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        asked = int(text)
        assert waits == [asked] * min(2, 60 // asked if asked else 2)
        if asked:
            assert "Try again in" in str(exc.hint)
    else:
        assert [low <= wait <= high for wait, (low, high) in zip(waits, BACKOFF, strict=True)] == [True] * 2


BACKOFF = [(0.75, 1.25), (1.5, 2.5)]


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is nine hours ahead of UTC."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Tue, 01 Jan 2030 00:00:07 GMT", [7, 7]),
        ("Tuesday, 01-Jan-30 00:00:07 GMT", [7, 7]),
        ("Tue Jan  1 00:00:07 2030", [7, 7]),
        ("Tue, 01 Jan 2030 02:30:07 +0230", [7, 7]),
        ("Tue, 01 Jan 2030 00:00:07 -0000", [7, 7]),
        ("Tue, 01 Jan 2030 00:00:40 GMT", [40]),
        ("Tue, 01 Jan 2030 01:00:00 GMT", []),
        ("Mon, 31 Dec 2029 23:59:00 GMT", [0, 0]),
    ],
)
def test_a_date_is_counted_from_the_date_of_the_reply(
    application: Application, header: str, expected: list[float]
) -> None:
    waits, exc, requests = waits_for(header, application, date="Tue, 01 Jan 2030 00:00:00 GMT")

    assert isinstance(exc, RateLimitedError)
    assert (waits, requests) == (expected, len(expected) + 1)


@pytest.mark.parametrize("header", ["²", "³0", "1.5", "-1", "+7", "1_0", "Tue, 01 Jan 2030 00:00:07 GMT"])
def test_an_invalid_retry_after_beside_a_date_header_is_ignored(
    application: Application, header: str
) -> None:
    waits, exc, requests = waits_for(header, application)

    assert isinstance(exc, RateLimitedError)
    assert requests == 3
    assert [low <= wait <= high for wait, (low, high) in zip(waits, BACKOFF, strict=True)] == [True] * 2


@pytest.mark.parametrize("digits", [8, 20, 5000])
def test_a_call_is_created_whatever_the_date_of_the_reply(
    tmp_path: Path, application: Application, digits: int
) -> None:
    date = f"Mon, 01 Jan {'9' * digits} 00:00:00 GMT"
    ran, requests = ask(tmp_path, application, reply(201, {"uuid": LEG}, date=date), CREATE)

    assert (ran.exit_code, ran.json["uuid"], len(requests)) == (0, LEG, 1)


def test_after_a_429_the_call_is_placed_once(tmp_path: Path, application: Application) -> None:
    with Canned(reply(429, retry_after="7"), reply(201, {"uuid": LEG})) as server:
        room = machine(tmp_path, application, server.url)
        ran = room(CREATE)

    assert (ran.exit_code, ran.json["uuid"]) == (0, LEG)
    assert 7 in room.clock.slept
    assert len(server.requests) == 2


def test_a_rate_limit_that_persists_is_6_and_leaves_nothing_in_doubt(
    tmp_path: Path, application: Application
) -> None:
    with Canned(reply(429, {"title": "Rate Limit Hit"}, retry_after="3600")) as server:
        room = machine(tmp_path, application, server.url)
        ran = room(CREATE)
        assert (ran.exit_code, ran.stdout) == (6, "")
        assert "Try again in 3600 s." in ran.error["hint"]
        assert len(server.requests) == 1
        assert room("call reconcile -o json").json == []


# Repetition


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([200, 500, 503, 408, 429, 0]), min_size=4, max_size=4))
def test_a_read_is_tried_three_times_whatever_the_failures(
    application: Application, statuses: list[int]
) -> None:
    """A 0 stands for an unusable reply; a 429 is waited for and does not count as a failure."""
    answers = [
        b"?\r\n" if status == 0 else reply(status, {"uuid": LEG, "status": "answered"}) for status in statuses
    ]
    clock = FakeClock()
    last = reply(body={"uuid": LEG})
    with Canned(*answers, last) as server, client(server.url, application, clock) as api:
        try:
            api.get_call(LEG)
            end = None
        except (TransportError, RateLimitedError) as exc:
            end = type(exc)

    used = statuses[: len(server.requests)]
    failures = [status for status in used if status not in (200, 429)]
    assert (end is TransportError) == (len(failures) == 3)
    assert (end is RateLimitedError) == (used.count(429) == 3)
    assert len(failures) <= 3
    assert len(clock.slept) == len(server.requests) - 1
    assert all(pause <= 8 for pause in clock.slept)


@pytest.mark.parametrize("status", [500, 503, 408, 199, 600, 999])
def test_a_request_that_must_not_repeat_is_not_repeated_whatever_the_status(
    application: Application, status: int
) -> None:
    with Canned(reply(status)) as server, client(server.url, application, FakeClock()) as api:
        for change in (
            lambda: api.create_call({}),
            lambda: api.send_dtmf(LEG, "1"),
            lambda: api.start_talk(LEG, {}),
            lambda: api.start_stream(LEG, {}),
            lambda: api.transfer(LEG, {}),
        ):
            with pytest.raises(OutcomeUnknown):
                change()
        assert len(server.requests) == 5


def test_a_conversation_may_be_renamed_twice(application: Application) -> None:
    """The same name twice has the effect of once."""
    conversation = Conversation.from_json({"id": "CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0", "name": "a"})
    identity, key = application
    clock = FakeClock()
    with Canned(reply(503)) as server:
        wire = Wire(server.url, environ={})
        bearer = Bearer(identity.application_id, lambda: key, clock)
        api = ConversationApi(Session(wire, bearer, Unpaced(), clock))
        with pytest.raises(TransportError):
            api.rename(conversation, "b")
        wire.close()

    assert len(server.requests) == 3
    assert all(0.2 <= pause <= 1 for pause in clock.slept)
