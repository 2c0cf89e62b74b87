"""``ncco lint`` and ``ncco schema``; no flow with errors is sent unless the user insists."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.flows import TOLERATED
from tests.support.room import PERSON, Room

CLEAN = '[{"action": "talk", "text": "Hello"}]'
DOUBTFUL = '[{"action": "talk", "text": "Hello", "loop": "2"}]'
WRONG = '[\n  {"action": "talk", "text": "Hello", "loop": -1, "event_url": ["https://a.example.org"]}\n]\n'


def write(room: Room, content: str | bytes, name: str = "flow.json") -> Path:
    path = room.home / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_clean_flow_prints_nothing(bare: Room) -> None:
    path = write(bare, CLEAN)

    ran = bare(f"ncco lint {path}")

    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", "")
    assert bare(f"ncco lint {path} -o json").stdout == "[]\n"
    on_terminal = bare(f"ncco lint {path}", terminal=True)
    assert (on_terminal.exit_code, on_terminal.stdout) == (0, "")
    assert on_terminal.stderr == f"{path}: no problems found.\n"


def test_each_fault_is_a_row_and_errors_are_status_2(bare: Room) -> None:
    ran = bare(f"ncco lint {write(bare, WRONG)}")

    assert ran.exit_code == 2
    assert ran.rows == [
        ["2", "47", "error", "$[0].loop", "-1 is less than 0.", "Write a whole number, 0 or more."],
        ["2", "64", "warning", "$[0].event_url", 'talk has no option "event_url".', "Write eventUrl."],
    ]
    assert ran.stderr == ""


def test_warnings_alone_exit_with_0(bare: Room) -> None:
    ran = bare("ncco lint -", stdin=DOUBTFUL)

    assert ran.exit_code == 0
    assert [row[2:4] for row in ran.rows] == [["warning", "$[0].loop"]]


def test_json_is_an_array_of_findings(bare: Room) -> None:
    ran = bare("ncco lint - -o json", stdin=WRONG)

    assert ran.exit_code == 2
    assert ran.json[0] == {
        "line": 2,
        "column": 47,
        "severity": "error",
        "path": "$[0].loop",
        "message": "-1 is less than 0.",
        "hint": "Write a whole number, 0 or more.",
    }


def test_on_a_terminal_each_finding_is_a_line_that_editors_can_parse(bare: Room) -> None:
    path = write(bare, WRONG, "{a}.json")

    ran = bare(["ncco", "lint", str(path)], terminal=True, env={"NO_COLOR": "1"})

    assert ran.exit_code == 2
    assert ran.stdout.splitlines() == [
        f"{path}:2:47: error: $[0].loop: -1 is less than 0. Write a whole number, 0 or more.",
        f'{path}:2:64: warning: $[0].event_url: talk has no option "event_url". Write eventUrl.',
    ]


def test_on_a_terminal_errors_are_red_and_warnings_yellow(bare: Room) -> None:
    wrong, doubtful = write(bare, WRONG), write(bare, DOUBTFUL, "doubtful.json")

    assert ":2:47: \x1b[31merror\x1b[0m: $[0].loop: " in bare(f"ncco lint {wrong}", terminal=True).stdout
    assert " \x1b[33mwarning\x1b[0m: " in bare(f"ncco lint {doubtful}", terminal=True).stdout
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in bare(f"ncco lint {wrong}", terminal=True, env=env).stdout
    assert "\x1b" not in bare(f"ncco lint {wrong}").stdout


def test_only_paths_or_chosen_fields_can_be_printed(bare: Room) -> None:
    path = write(bare, WRONG)

    assert bare(f"ncco lint {path} -q").stdout == "$[0].loop\n$[0].event_url\n"
    assert bare(f"ncco lint {path} --fields line,severity").rows == [["2", "error"], ["2", "warning"]]
    assert bare(f"ncco lint {path} -o csv").stdout.splitlines()[0] == "line,column,severity,path,message,hint"
    assert bare(f"ncco lint {path} --fields help").stdout.split() == [
        "line",
        "column",
        "severity",
        "path",
        "message",
        "hint",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ends"),
        (b"[", "ends"),
        (b'[{"action": NaN}]', "number"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"\xef\xbb\xbf" + CLEAN.encode(), "byte order mark"),
        (b'["caf\xe9"]', "UTF-8"),
        (CLEAN.encode("utf-16"), "UTF-8"),
        (b'[{"action": "talk", "text": "a", "text": "b"}]', "twice"),
        (b"[" + b"9" * 5000 + b"]", "number"),
    ],
)
def test_invalid_json_is_one_error_with_its_place(bare: Room, content: bytes, words: str) -> None:
    ran = bare("ncco lint - -o json", stdin=content)

    (finding,) = ran.json
    assert ran.exit_code == 2
    assert finding["severity"] == "error"
    assert words in finding["message"]
    assert finding["line"] == 1
    assert ran.stderr == ""


def test_an_unreadable_file_is_an_error_of_the_command(bare: Room) -> None:
    write(bare, b" " * ((1 << 20) + 1), "big.json")

    assert "1 MiB" in bare(f"ncco lint {bare.home}/big.json").stderr
    for name in ("big.json", "missing.json", "."):
        ran = bare(f"ncco lint {bare.home}/{name}")
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert len(ran.stderr.splitlines()) <= 3


def test_text_from_a_flow_is_escaped_on_a_terminal(bare: Room) -> None:
    flow = json.dumps([{"action": "talk", "text": "a", "\x1b[2J\u202e": 1, "language": "\x1b]0;x\x07"}])

    ran = bare("ncco lint -", stdin=flow, terminal=True, env={"NO_COLOR": "1"})

    assert "\x1b" not in ran.stdout
    assert "\u202e" not in ran.stdout
    assert len(ran.stdout.splitlines()) == 2


def test_the_schema_is_json_indented_by_two_spaces(bare: Room) -> None:
    ran = bare("ncco schema")

    assert ran.exit_code == 0
    assert ran.stdout.startswith('{\n  "$schema": "https://json-schema.org/draft/2020-12/schema",\n')
    assert ran.json["type"] == "array"


@pytest.fixture
def leg(voicectl: Room) -> str:
    return voicectl.call()


SENDING = ["call create --to 447700900002 --ncco {path}", "transfer {leg} --ncco {path}"]


@pytest.mark.parametrize("line", SENDING)
def test_a_flow_with_errors_is_not_sent(voicectl: Room, leg: str, line: str) -> None:
    path = write(voicectl, WRONG)
    before = len(voicectl.requests())

    ran = voicectl(line.format(path=path, leg=leg))

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.splitlines() == [
        f"{path}:2:47: error: $[0].loop: -1 is less than 0. Write a whole number, 0 or more.",
        f"voicectl: {path} has 1 error.",
        "  Nothing was sent. Add --no-lint to send it unchecked.",
    ]
    assert len(voicectl.requests()) == before


@pytest.mark.parametrize("line", SENDING)
def test_without_the_check_it_is_sent_unchanged(voicectl: Room, leg: str, line: str) -> None:
    path = write(voicectl, '[{"action": "talk", "text": "Hello", "event_url": 1}, {"action": "stream"}]')

    voicectl(line.format(path=path, leg=leg) + " --no-lint")

    body = voicectl.requests()[-1]["body"]
    assert (body.get("ncco") or body["destination"]["ncco"]) == json.loads(path.read_text())


@pytest.mark.parametrize("line", SENDING)
def test_warnings_are_shown_only_on_a_terminal_and_the_flow_is_sent(
    voicectl: Room, leg: str, line: str
) -> None:
    path = write(voicectl, '[{"action": "talk", "text": "Hello", "voiceName": "Amy"}]')

    silent = voicectl(line.format(path=path, leg=leg))
    on_terminal = voicectl(line.format(path=path, leg=leg), terminal=True)

    assert silent.exit_code == on_terminal.exit_code == 0
    assert "warning" not in silent.stderr
    assert f"{path}:1:51: warning: $[0].voiceName: voiceName is deprecated." in on_terminal.stderr


def test_ten_errors_are_shown_and_the_others_are_counted(voicectl: Room) -> None:
    path = write(voicectl, json.dumps([{"action": "talk", "text": ""}] * 25))

    ran = voicectl(f"call create --to {PERSON} --ncco {path}")

    assert ran.stderr.count("error: $[") == 10
    assert "... and 15 more errors" in ran.stderr
    assert "25 errors" in ran.stderr


def test_in_json_the_findings_are_in_the_single_error(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {PERSON} --ncco - -o json", stdin=WRONG, terminal=False)

    assert ran.exit_code == 2
    assert len(ran.stderr.splitlines()) == 1
    assert "Standard input:2:47: error: $[0].loop" in ran.error["message"]


def test_a_flow_built_from_options_is_checked_too(voicectl: Room) -> None:
    line = ["call", "create", "--to", PERSON, "--talk", "<speak>Tom & Jerry</speak>"]

    ran = voicectl(line)

    assert ran.exit_code == 2
    assert "error: $[0].text: This SSML cannot be read" in ran.stderr
    assert not voicectl.requests("createCall")
    voicectl([*line, "--no-lint"])
    assert len(voicectl.requests("createCall")) == 1


def test_move_and_connect_send_valid_flows(voicectl: Room, leg: str) -> None:
    assert voicectl(f"move {leg} support --record --no-start-on-enter --can-hear none").exit_code == 0
    assert voicectl(f"transfer {leg} --connect 447700900002").exit_code == 0
    assert voicectl(f"transfer {leg} --connect {LONG_SIP}").exit_code == 0


LONG_SIP = "sip:desk@sip.example.org;transport=tls;media=srtp;x=yyy"


def test_the_same_rule_for_a_sip_uri_applies_to_every_command_and_the_sandbox(
    voicectl: Room, leg: str
) -> None:
    flow = json.dumps([{"action": "connect", "endpoint": [{"type": "sip", "uri": LONG_SIP}]}])

    assert voicectl("ncco lint -", stdin=flow).stdout == ""
    assert voicectl(["call", "create", "--to", LONG_SIP, "--talk", "Hello"]).exit_code == 0
    assert voicectl("call create --to 447700900002 --ncco -", stdin=flow).exit_code == 0
    assert voicectl(["transfer", leg, "--ncco", "-"], stdin=flow).exit_code == 0


@pytest.mark.parametrize("name", TOLERATED)
def test_flows_of_official_samples_run(voicectl: Room, leg: str, name: str) -> None:
    flow = json.dumps(TOLERATED[name])

    linted = voicectl("ncco lint -", stdin=flow)
    sent = voicectl(["transfer", leg, "--ncco", "-"], stdin=flow)

    assert (linted.exit_code, sent.exit_code) == (0, 0)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"to": [], "ncco": [{"action": "talk", "text": "a"}]}', "the body of a request"),
        ('{"action": "transfer", "destination": {"type": "ncco", "ncco": []}}', "the body of a request"),
        ('{"action": "hangup"}', "the body of a request"),
        ('{"action": "talk", "text": "a"}', "a single action"),
        ('{"action": "transfer", "conversationId": "CON-1"}', "a single action"),
        ('{"action": "websocket", "uri": "wss://a"}', "a single action"),
    ],
)
def test_a_common_mistake_in_place_of_an_ncco_is_named(bare: Room, content: str, what: str) -> None:
    ran = bare("ncco lint - -o json", stdin=content)

    (finding,) = ran.json
    assert ran.exit_code == 2
    assert finding["message"].startswith(f"This is {what}")


def test_only_commands_that_send_a_flow_load_the_linter() -> None:
    """The control: commands that send a flow do load it."""
    script = (
        "import sys; from voicectl.cli.app import run; run({words!r});"
        "print(sorted(m for m in sys.modules if m.startswith('voicectl.voice.ncco.')), file=sys.stderr)"
    )

    def loaded(*words: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", script.format(words=list(words))],
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stderr.splitlines()[-1]

    for words in (["--help"], ["dtmf", "--help"], ["call", "create", "--help"], ["transfer", "--help"]):
        assert loaded(*words) == "[]"
    assert "voicectl.voice.ncco.lint" in loaded("ncco", "schema")
