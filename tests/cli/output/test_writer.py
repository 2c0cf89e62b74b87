"""The output formats; no output controls the terminal, hides text or reorders it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile import HOSTILE, unsafe
from tests.support.machines import machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, Request, page, reply
from voicectl.cli.output import views
from voicectl.cli.output.text import block, clean, cut_for, remark, to_json
from voicectl.cli.output.writer import Format, View, Writer
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]
Serve = Callable[..., Ran]

FORMATS = [*Format, "quiet", "fields"]
SGR = re.compile(r"\x1b\[[0-9;]*m")
"""The only escape sequences that rich may write: those for colours."""


def options(form: str) -> str:
    own = {
        "quiet": "-q",
        "fields": "--fields uuid,network,to.number,_links.x",
        Format.TEMPLATE: "-o template={uuid}{to}{_links.x}",
    }
    return own.get(form, f"-o {form}")


def record(text: str, **more: Any) -> dict[str, Any]:
    """A call record with *text* in every field that can contain text."""
    names = ("status", "direction", "conversation_uuid", "start_time", "end_time", "rate", "price", "network")
    return {
        "uuid": LEG,
        **dict.fromkeys(names, text),
        "duration": text,
        "from": {"type": "phone", "number": text},
        "to": {"type": "app", "user": text, "number": text},
        "_links": {"x": text, text: [text, {text: text}]},
        text: text,
        **more,
    }


def refusals(text: str) -> list[bytes]:
    """Error replies of every documented shape, with *text* in each field."""
    trace = text.encode("ascii", "ignore").decode()
    trace = "".join(character for character in trace if character.isprintable()) or "x"
    return [
        reply(400, {"type": text, "title": text, "detail": text, "instance": text}),
        reply(400, {"title": text, "invalid_parameters": [{"name": text, "reason": text}, text]}),
        reply(409, {"error_title": text, "msg_error": text}),
        reply(404, {"title": text, "detail": text}, x_nexmo_trace_id=trace),
        reply(401, {"Error": text}),
        reply(403, text.encode("utf-8", "surrogatepass")),
        reply(500, {"error": text}),
        reply(200, text.encode("utf-8", "surrogatepass")),
    ]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Serve]:
    """Return a function that runs a command against a server with the given answers."""
    current: list[Any] = []

    def answer(request: Request) -> Any:
        return current[0](request) if callable(current[0]) else current[0]

    with Canned(answer) as server:
        home = machine(tmp_path_factory.mktemp("output"), application, server.url)

        def run(line: str | list[str], answer: Any, **settings: Any) -> Ran:
            current[:] = [answer]
            return home(line, **settings)

        yield run


@pytest.mark.parametrize("form", FORMATS)
def test_text_from_outside_is_escaped_on_a_terminal(serve: Serve, form: str) -> None:
    records = [record(text, uuid=f"{text}{number}") for number, text in enumerate(HOSTILE.values())]
    answer = reply(200, page(*records))
    one = reply(200, record("".join(HOSTILE.values())))

    for terminal in (False, True):
        for line, sent in (("call list --all", answer), (f"call show {LEG}", one)):
            ran = serve(f"{line} {options(form)}", sent, terminal=terminal)

            assert ran.exit_code == 0
            assert not unsafe(ran.stderr + (SGR.sub("", ran.stdout) if terminal else ran.stdout))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_in_an_error_is_escaped_too(serve: Serve, text: str) -> None:
    for answer in refusals(text):
        ran = serve(f"mute {LEG}", answer)

        assert not unsafe(ran.stdout + ran.stderr)
        assert len(ran.stderr.splitlines()) <= 3


@pytest.mark.parametrize(
    "line", [f"call create --to {PERSON} --talk Hi", "call list", f"wait {LEG} --for ended", "doctor"]
)
@pytest.mark.parametrize("shape", range(8))
def test_text_in_the_output_of_other_commands_is_escaped_too(serve: Serve, line: str, shape: int) -> None:
    for answer in (
        refusals(text)[shape] for text in ("\x1b]0;x\x07\x9b31m\r\0", "\u202e\u200b\ufeff\u2028\ud800")
    ):
        for form in ("", " -o json"):
            ran = serve(line + form, answer)

            assert not unsafe(ran.stdout + ran.stderr)


@pytest.mark.parametrize("text", [text for name, text in HOSTILE.items() if unsafe(text)])
def test_the_check_detects_unescaped_text(text: str) -> None:
    assert unsafe(f"uuid\t{text}\n")
    assert not unsafe(clean(text))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_contains_every_field_unchanged(serve: Serve, text: str) -> None:
    sent = record(text)

    assert serve(f"call show {LEG} -o json", reply(200, sent)).json == sent
    assert serve("call list --all -o json", reply(200, page(sent))).json == [sent]
    assert json.loads(serve("call list --all -o jsonl", reply(200, page(sent))).stdout) == sent


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_tsv_and_csv_have_fixed_columns(serve: Serve, text: str) -> None:
    answer = reply(200, page(record(text), record(text, uuid=LEG[:-1] + "0")))
    width = len(views.CALL.columns)  # the columns of the help

    rows = serve("call list --all", answer).rows
    assert [len(row) for row in rows] == [width, width]
    assert [row[0] for row in rows] == [LEG, LEG[:-1] + "0"]
    header, *cells = csv.reader(io.StringIO(serve("call list --all -o csv", answer).stdout))
    assert [len(row) for row in (header, *cells)] == [width] * 3
    dangerous = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
    assert not [cell for row in cells for cell in row if cell.startswith(dangerous) and cell != "-"]


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_csv_cell_that_a_spreadsheet_would_calculate_is_text(serve: Serve, beginning: str) -> None:
    answer = reply(200, record("x", network=f"{beginning}1+1"))

    shown = serve(f"call show {LEG} -o csv --fields uuid,network", answer).stdout

    assert shown == f"uuid,network\n{LEG},'{beginning}1+1\n"


@pytest.mark.parametrize("absent", [{}, {"network": None}, {"network": ""}, {"network": {"type": "phone"}}])
@pytest.mark.parametrize(("form", "shown"), [("tsv", f"{LEG}\t-\n"), ("csv", f"uuid,network\n{LEG},-\n")])
def test_a_cell_without_a_value_is_a_hyphen(
    serve: Serve, absent: dict[str, object], form: str, shown: str
) -> None:
    answer = reply(200, {"uuid": LEG, "status": "answered"} | absent)

    assert serve(f"call show {LEG} -o {form} --fields uuid,network", answer).stdout == shown


def test_an_empty_list_as_csv_is_its_header_and_a_failed_one_is_nothing(serve: Serve) -> None:
    line = "call list --all -o csv --fields uuid,status"

    empty, failed = serve(line, reply(200, page())), serve(line, reply(400, {"title": "Bad Request"}))

    assert (empty.exit_code, empty.stdout) == (0, "uuid,status\n")
    assert (failed.exit_code, failed.stdout) == (5, "")


@pytest.mark.parametrize("value", ["1e308", "1" * 400, "0.1", "true", "null", '"\\ud800"', "[]", "{}"])
@pytest.mark.parametrize("form", ["json", "jsonl", "tsv", "csv", "table"])
def test_json_output_is_valid_whatever_came_in(serve: Serve, value: str, form: str) -> None:
    body = f'{{"uuid": "{LEG}", "status": "answered", "price": {value}, "to": {{"number": {value}}}}}'

    ran = serve(f"call show {LEG} -o {form}", reply(200, body.encode()))

    assert ran.exit_code == 0
    if form.startswith("json"):
        assert json.loads(ran.stdout, parse_constant=pytest.fail)["status"] == "answered"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    records=st.lists(
        st.dictionaries(st.sampled_from(["uuid", "status", "to", "from", "start_time"]), ANYTHING), max_size=3
    ),
    form=st.sampled_from(list(Format)),
    is_many=st.booleans(),
    is_quiet=st.booleans(),
)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_output_has_no_control_byte_but_line_ends_and_tabs(
    records: list[dict[str, Any]], form: Format, is_many: bool, is_quiet: bool
) -> None:
    out = io.StringIO()
    view = View(columns=("uuid", "status", "to", "from", "start_time"), times=frozenset({"start_time"}))
    shown = records if is_many else records[:1]
    with Writer(out, view, form, is_many=is_many, fields=None, is_quiet=is_quiet) as writer:
        for each in shown:
            writer.add(each)

    text = out.getvalue()
    assert not unsafe(text)
    assert not text or text.endswith("\n")
    if form is Format.JSON and not is_quiet and (is_many or shown):
        found = json.loads(text, parse_constant=pytest.fail)
        assert len(found) == len(shown) if is_many else isinstance(found, dict)
    elif form is Format.TSV and not is_quiet:
        assert [line.count("\t") for line in text.splitlines()] == [4] * len(shown)


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_cleaning_is_safe_idempotent_and_keeps_harmless_text(text: str) -> None:
    cleaned = clean(text)

    assert not unsafe(cleaned)
    assert "\n" not in cleaned
    assert clean(cleaned) == cleaned
    assert cleaned == text or unsafe(text) or set("\n\t") & set(text)


def test_each_unsafe_character_is_escaped_alone() -> None:
    assert not [f"{code:x}" for code in range(0x110000) if unsafe(clean(chr(code)))]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\rd", r"a\tb\nc\rd"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b", r"\x9b"),
        ("\u202e", r"\u202e"),
        ("\U000e0001", r"\U000e0001"),
        ("\ud800", r"\ud800"),
        ("Zoë 山田", "Zoë 山田"),
    ],
)
def test_unsafe_characters_are_shown_escaped(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("form", "is_many", "shown"),
    [
        (Format.TABLE, True, "b a\n2 1\n3 -\n"),
        (Format.TABLE, False, "a  1\nb  2\nc  7\n"),
        (Format.WIDE, True, "b a c\n2 1 7\n3 - -\n"),
        (Format.TSV, True, "1\t2\t7\n-\t3\t-\n"),
        (Format.TSV, False, "1\t2\t7\n"),
        (Format.CSV, True, "a,b,c\n1,2,7\n-,3,-\n"),
    ],
)
def test_a_writer_shows_the_columns_of_the_view(form: Format, is_many: bool, shown: str) -> None:
    out = io.StringIO()
    view = View(columns=("a", "b", "c"), table=("b", "a"))
    with Writer(out, view, form, is_many=is_many, fields=None, is_quiet=False) as writer:
        for each in ({"a": 1, "b": 2, "c": 7}, {"b": 3})[: 2 if is_many else 1]:
            writer.add(each)
        assert [writer.shows(path) for path in ("a", "c", "d")] == [True, "7" in shown, False]

    written = out.getvalue()
    if form.is_table and is_many:  # neither the line below the header nor the width of the columns matters
        written = re.sub(" +", " ", re.sub("\u2500+\n", "", written))
    assert written == shown


def test_a_writer_flushes_its_stream_at_the_end() -> None:
    stream = mock.Mock(spec=io.StringIO)
    view = View(columns=("a",))
    for each in (stream, None):
        with Writer(each, view, Format.TSV, is_many=True, fields=None, is_quiet=False) as writer:
            writer.flush()
    assert stream.flush.call_count == 2
    with (
        pytest.raises(OSError, match="closed"),
        Writer(None, view, Format.TSV, is_many=True, fields=None, is_quiet=False) as writer,
    ):
        writer.add({"a": 1})


@pytest.mark.parametrize("indent", [None, 2])
def test_an_infinite_number_is_null_in_json_text(indent: int | None) -> None:
    value = {"a": [math.inf, {"b": -math.inf, "c": math.nan}], "d": 1.5, "e": "\x7f", "f": None, "g": "inf"}
    plain = {"a": [None, {"b": None, "c": None}], "d": 1.5, "e": "DEL", "f": None, "g": "inf"}

    assert to_json(value, indent=indent) == json.dumps(plain, indent=indent).replace("DEL", "\\u007f")
    assert to_json(plain, indent=indent) == json.dumps(plain, indent=indent)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", "\u2026"), ("ascii", "~"), ("latin-1", "~"), ("unheard-of", "~"), (None, "\u2026")],
)
def test_the_mark_of_cut_text_fits_the_encoding(encoding: str | None, mark: str) -> None:
    stream = mock.Mock(encoding=encoding)

    assert cut_for(stream) == mark


def test_a_block_of_text_leaves_out_columns_without_a_value() -> None:
    assert block(("uuid", "to", "x"), ("1", "-", "22")) == "uuid  1\nx     22\n"
    assert block(("uuid",), ("-",)) == ""


def test_a_remark_of_text_needs_no_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, mock.Mock(write=mock.Mock(side_effect=OSError))):
        monkeypatch.setattr(sys, "stderr", stream)
        remark("a")
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    remark("b\x1b")
    assert out.getvalue() == "b\\x1b\n"


def test_the_help_lists_the_formats(bare: Room) -> None:
    shown = " ".join(bare("help options").stdout.split())

    assert "Output format: auto, table, wide, json, jsonl, csv, tsv or template=TEXT" in shown


@pytest.mark.parametrize(
    ("env", "terminal", "is_colored"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"CLICOLOR_FORCE": ""}, False, False),
        ({"CLICOLOR_FORCE": "0"}, True, True),
    ],
)
def test_colours_are_used_only_on_terminals_unless_forced(
    serve: Serve, env: dict[str, str], terminal: bool, is_colored: bool
) -> None:
    answer = reply(200, page({"uuid": LEG, "status": "answered"}, {"uuid": LEG[:-1] + "0", "status": "busy"}))

    ran = serve("call list --all --fields uuid,status -o table", answer, env=env, terminal=terminal)

    assert ("\x1b" in ran.stdout) == is_colored
    assert LEG in ran.stdout
    assert "\x1b" not in serve("call list --all -o tsv", answer, env=env, terminal=terminal).stdout


@pytest.mark.parametrize("columns", ["5", "20", "40", "80", "200"])
def test_a_table_never_truncates_an_id(serve: Serve, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    records = [{"uuid": LEG[:-1] + digit, "to": {"number": "x" * 100}} for digit in "123"]

    shown = serve("call list --all -o table", reply(200, page(*records))).stdout

    assert all(each["uuid"] in shown for each in records)
    assert shown.count("x") == 300


def test_a_pipe_gets_no_header_whole_values_and_a_dash_for_missing_values(serve: Serve) -> None:
    sent = {
        "uuid": LEG,
        "to": {"type": "sip", "uri": "sip:" + "x" * 300},
        "start_time": "2026-02-03 09:15:02",
        "from": {},
    }

    (row,) = serve("call list --all", reply(200, page(sent))).rows

    assert row == [LEG, "-", "-", "-", "sip:" + "x" * 300, "-", "2026-02-03T09:15:02Z", "-", "-"]


COLUMNS = {
    "call create": "uuid status direction conversation_uuid to reference certainty replayed",
    "call list": "uuid status direction from to conversation_uuid start_time end_time duration",
    "call show": "uuid status direction from to conversation_uuid start_time end_time duration",
    "call reconcile": "reference asked_at to from state uuid certainty reason",
    "wait": "uuid status direction from to conversation_uuid start_time end_time duration",
    "hangup": "uuid action outcome",
    "profile add": "name default application_id base_url from fingerprint",
    "profile list": "name default application_id base_url from fingerprint",
    "profile show": "name default application_id base_url from fingerprint sources",
    "jwt show": "application_id issued not_before expires state signature sub jti",
    "app show": "id name capabilities.voice.webhooks.answer_url.address"
    " capabilities.voice.webhooks.fallback_answer_url.address capabilities.voice.webhooks.event_url.address"
    " capabilities.voice.signed_callbacks capabilities.voice.region capabilities.voice.conversations_ttl"
    " capabilities.voice.leg_persistence_time capabilities.rtc.webhooks.event_url.address"
    " capabilities.rtc.signed_callbacks privacy.improve_ai",
    "app urls": "webhook address http_method connect_timeout socket_timeout signed_callbacks",
    "doctor": "check outcome detail fix",
    "sandbox status": "url application_id call_time legs_live legs conversations faults webhooks_pending"
    " speed frozen",
    "sandbox log": "n call_time kind uuid what",
    "sandbox fault list": "id what on times code seconds retry_after probability after lasting struck spent",
}
"""The columns that scripts read by position: new ones are added at the end only."""


@pytest.mark.parametrize(("command", "columns"), COLUMNS.items())
def test_the_columns_of_tsv_are_in_the_help_and_do_not_change(bare: Room, command: str, columns: str) -> None:
    help_text = " ".join(bare(f"{command} --help").stdout.split())

    assert f"TSV columns: {', '.join(columns.split())}" in help_text


def test_fields_are_chosen_by_dotted_paths(serve: Serve) -> None:
    answer = reply(200, page({"uuid": LEG, "to": {"type": "phone", "number": PERSON}, "x": {"y": {"z": 1}}}))

    assert serve("call list --all --fields to.number,x.y.z,uuid", answer).stdout == f"{PERSON}\t1\t{LEG}\n"
    assert serve("call list --all --fields to.number,x.y -o json", answer).json == [
        {"to.number": PERSON, "x.y": {"z": 1}}
    ]
    assert serve("call list --all --fields to.number -o csv", answer).stdout == f"to.number\n{PERSON}\n"
    assert "to.number" in serve("call list --fields help", answer).stdout.splitlines()


@pytest.mark.parametrize("fields", ["", ",", "uuid,", "uuid,,to", "\x1b[31m", "uuid,a\nb", "\u202euuid"])
def test_a_field_must_have_a_printable_name(serve: Serve, fields: str) -> None:
    for form in Format:
        ran = serve(["call", "list", "-o", form, f"--fields={fields}"], reply(200, page(record("x"))))

        assert (ran.exit_code, ran.stdout) == (2, "")


@pytest.mark.parametrize("form", Format)
def test_a_failed_list_is_not_an_empty_one(serve: Serve, form: str) -> None:
    ran = serve(f"call list --all {options(form)}", reply(403, {"title": "Forbidden"}))

    assert ran.exit_code == 3
    assert "[]" not in ran.stdout
    assert serve(f"call list --all {options(form)}", reply(200, page())).exit_code == 0
    assert serve("call list --all -o json", reply(200, page())).stdout == "[]\n"


def test_output_before_a_failure_stays_valid(serve: Serve) -> None:
    following = "http://elsewhere.example/v1/calls?page=2"

    def answer(request: Request) -> bytes:
        return reply(403) if "page" in request.query else reply(200, page({"uuid": LEG}, following=following))

    ran = serve("call list --all -o json", answer)

    assert (ran.exit_code, ran.json) == (3, [{"uuid": LEG}])
