"""``--dry-run``: nothing changes, and the printed commands run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.desk import desk, shell
from tests.support.machines import machine
from tests.support.room import PERSON, Room
from tests.support.servers import LEG, Canned, Request, page, reply
from voicectl.core.identity.policy import Policy
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]

CHANGES = [
    f"call create --to {PERSON} --talk Hi",
    f"call create --to {PERSON} --to 447700900002 --talk Hi --wait answered",
    f"call create --to {PERSON} --talk Hi --idempotency-key k",
    f"call create --to {PERSON} --talk Hi --no-journal",
    "talk {leg} Hi",
    "talk {leg} --stop",
    "stream {leg} https://x.org/a.mp3",
    "stream {leg} --stop",
    "dtmf {leg} 12#",
    "dtmf {leg} --listen https://x.org/keys",
    "dtmf {leg} --no-listen",
    "mute {leg}",
    "unmute {leg}",
    "earmuff {leg}",
    "unearmuff {leg} {leg}",
    "hangup {leg}",
    "hangup -",
    "transfer {leg} --connect 447700900002",
    "transfer {leg} --answer-url https://x.org/ncco",
    "move {leg} room",
    "move {leg} room --mute --record --can-hear {leg}",
]


def legs(request: Request) -> bytes:
    shown = page({"uuid": LEG, "status": "answered"})
    return reply(200, shown if request.path == "/v1/calls" else {"uuid": LEG, "status": "answered"})


@pytest.mark.parametrize("leg", [LEG, LEG[:8]])
@pytest.mark.parametrize("line", CHANGES)
def test_a_dry_run_sends_nothing_that_changes_anything(
    tmp_path: Path, application: Application, line: str, leg: str
) -> None:
    with Canned(legs) as server:
        home = machine(tmp_path, application, server.url)

        ran = home(line.format(leg=leg) + " --dry-run", stdin=LEG)

        assert ran.exit_code == 0
        assert {request.method for request in server.requests} <= {"GET"}
        assert all(
            each.startswith(("curl -X PUT ", "curl -X POST ", "curl -X DELETE "))
            for each in ran.stdout.splitlines()
        )
        assert len(ran.stdout.splitlines()) == (2 if line.count("--to") == 2 else 1)
        assert home("call reconcile").stdout == ""
        assert home("mute @last", terminal=True).exit_code == 4
        assert not list(home.state.rglob("*.lock"))


@pytest.mark.parametrize("line", CHANGES)
def test_a_dry_run_in_json_is_an_array_of_requests(
    tmp_path: Path, application: Application, line: str
) -> None:
    with Canned(legs) as server:
        home = machine(tmp_path, application, server.url)
        dry = line.format(leg=LEG) + " --dry-run"
        curls = home(dry, stdin=LEG).stdout.splitlines()

        whole = home(f"{dry} -o json", stdin=LEG)
        by_line = home(f"{dry} -o jsonl", stdin=LEG)
        on_terminal = home(f"{dry} -o table", stdin=LEG, terminal=True)

    assert (whole.exit_code, by_line.exit_code) == (0, 0)
    requests = whole.json
    assert [list(request) for request in requests] == [["method", "url", "body", "curl"]] * len(curls)
    assert [request["curl"] for request in requests] == curls
    for request in requests:
        words = shlex.split(request["curl"])
        assert words[2:4] == [request["method"], request["url"]]
        assert request["body"] == (json.loads(words[-1]) if "-d" in words else None)
    assert list(map(json.loads, by_line.stdout.splitlines())) == requests
    assert on_terminal.stdout.splitlines() == curls
    assert "No results" not in on_terminal.stderr


@pytest.mark.parametrize("line", ["hangup --all", "mute --status ringing", "unmute -", "earmuff --undo"])
def test_a_dry_run_of_nothing_is_an_empty_array(tmp_path: Path, application: Application, line: str) -> None:
    with Canned(reply(200, page())) as server:
        home = machine(tmp_path, application, server.url)

        for form, stdout in (("json", "[]\n"), ("jsonl", ""), ("csv", ""), ("tsv", "")):
            ran = home(f"{line} --dry-run -o {form}")
            assert (ran.exit_code, ran.stdout) == (0, stdout)


def test_a_dry_run_that_fails_has_no_array(tmp_path: Path, application: Application) -> None:
    with Canned(legs) as server:
        ran = machine(tmp_path, application, server.url)(f"mute {LEG} not-a-leg --dry-run -o json")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.error["code"] == "input"


@pytest.mark.parametrize(
    "line",
    ["press {leg} 1", "say {leg} Hi", "answer {leg}", "ring --to 442079460000", "advance 5s", "reset", "stop",
     "fault add lost-reply", "fault clear"],
)  # fmt: skip
def test_a_dry_run_of_a_sandbox_command_is_an_array_too(voicectl: Room, line: str) -> None:
    leg = voicectl.call()
    entries = voicectl("sandbox log", env={"VOICECTL_SANDBOX": voicectl.url}).stdout

    ran = voicectl(
        f"sandbox {line.format(leg=leg)} --dry-run -o json", env={"VOICECTL_SANDBOX": voicectl.url}
    )

    (request,) = ran.json
    assert request["url"].startswith(f"{voicectl.url}/sandbox/")
    assert request["curl"].startswith(f"curl -X {request['method']} ")
    assert voicectl("sandbox log", env={"VOICECTL_SANDBOX": voicectl.url}).stdout == entries


@pytest.mark.parametrize(
    "line", ["call list", f"call show {LEG}", "wait {leg} --for answered", "profile list", "jwt create"]
)
def test_a_reading_command_is_unaffected_by_dry_run(
    tmp_path: Path, application: Application, line: str
) -> None:
    with Canned(legs) as server:
        ran = machine(tmp_path, application, server.url)(line.format(leg=LEG) + " --dry-run")

        assert ran.exit_code == 0
        assert "curl" not in ran.stdout


def test_a_dry_run_names_the_profile_that_signs(tmp_path: Path, application: Application) -> None:
    with Canned(legs) as server:
        home = machine(tmp_path, application, server.url)

        ran = home(["talk", LEG, 'it\'s $HOME `x` "y" \\ é \u202e', "--dry-run"])

    words = shlex.split(ran.stdout)
    assert words[:4] == ["curl", "-X", "PUT", f"{server.url}/v1/calls/{LEG}/talk"]
    assert words[4:8] == [
        "-H",
        "Authorization: Bearer $(voicectl jwt create -p test)",
        "-H",
        "Content-Type: application/json",
    ]
    assert words[8] == "-d"
    assert json.loads(words[9]) == {"text": 'it\'s $HOME `x` "y" \\ é \u202e'}
    assert ran.stdout.isascii()


@pytest.mark.parametrize("guards", [{"deny": ("44",)}, {"length_timer": 5}])
def test_a_dry_run_obeys_the_guards(
    tmp_path: Path, application: Application, guards: dict[str, object]
) -> None:
    with Canned(legs) as server:
        home = machine(tmp_path, application, server.url, policy=Policy(**guards))  # type: ignore[arg-type]

        ran = home(f"call create --to {PERSON} --talk Hi --length-timer 60 --dry-run")

        assert (ran.exit_code, ran.stdout) == (9, "")


def test_a_dry_run_counts_nothing(tmp_path: Path, application: Application) -> None:
    with Canned(legs) as server:
        home = machine(tmp_path, application, server.url, policy=Policy(max_calls_per_hour=1))

        for line in (f"call create --to {PERSON} --talk Hi", f"transfer {LEG} --connect {PERSON}") * 2:
            assert home(f"{line} --dry-run").exit_code == 0
        assert home(f"transfer {LEG} --connect {PERSON}").exit_code == 0


def test_the_printed_commands_work(tmp_path: Path, application: Application) -> None:
    with desk(tmp_path / "home", application) as room:
        text = 'It\'s "quoted" & $(touch planted) `touch planted` \\ zoë 山'
        (room.home / "text").write_text(text)
        (room.home / "flow.json").write_text(json.dumps([{"action": "conversation", "name": "it's"}]))
        dry = "voicectl call create --to 447700900400 --ncco flow.json --dry-run"

        made = shell(room, f'set -euo pipefail; eval "$({dry})"')

        assert made.exit_code == 0, made.stderr
        leg = json.loads(made.stdout)["uuid"]
        assert room("sandbox advance 10", env={"VOICECTL_SANDBOX": room.url}).exit_code == 0
        assert room(f"wait {leg} --for answered").exit_code == 0
        script = "set -euo pipefail\n" + "".join(
            f'eval "$(voicectl {line.format(leg=leg)} --dry-run) -fsS"\n'
            for line in (
                "talk {leg} --file text",
                "dtmf {leg} '1*#p'",
                "move {leg} 'room;1'",
                "hangup {leg}",
            )
        )

        ran = shell(room, script)

        assert ran.exit_code == 0, ran.stderr
        assert not (room.home / "planted").exists()
        assert room.requests("startTalk")[0]["body"] == {"text": text}
        assert room.requests("startDTMF")[0]["body"] == {"digits": "1*#p"}
        done = [entry["body"]["action"] for entry in room.requests("updateCall")]
        assert done == ["transfer", "hangup"]
        assert all(entry["status"] < 300 for entry in room.requests() if entry["method"] != "GET")
