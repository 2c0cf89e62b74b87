"""Standard output that is closed, full or broken; locales that lack letters; and hostile directories."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.desk import desk, shell
from tests.support.hostile import unsafe
from tests.support.room import PERSON, Ran, Room, Stream
from voicectl.cli.app import run
from voicectl.sandbox.account.identity import Identity
from voicectl.voice.call import plain

Application = tuple[Identity, RSAPrivateKey]

BROKEN = ["closed", "full", "without a reader"]

READING = [
    "call list",
    "call list -o json",
    "call list -o csv",
    "call list -o table",
    "call list -q",
    "call show {leg}",
    "wait {leg} --for started",
    "profile list",
    "profile show",
    "jwt create",
    "doctor",
    "completion bash",
    "call list --fields help",
    "mute {leg} --dry-run",
    "--help",
]
CHANGING = [
    "mute {leg}",
    "mute {leg} -o json",
    "mute {leg} -q",
    "mute {leg} {leg} -o json",
    "mute {leg} {leg} -o csv",
    "talk {leg} Hi",
    "stream {leg} https://x.org/a.mp3",
    "dtmf {leg} 1",
    "transfer {leg} --connect 447700900002",
    "move {leg} room -o jsonl",
    "hangup {leg}",
    "hangup - --yes",
    "call create --to {person} --talk Hi",
    "call create --to {person} --talk Hi -q",
    "call create --to {person} --talk Hi --wait answered",
    "call create --to {person} --to 447700900002 --talk Hi -o json",
]


@contextmanager
def standard_output(how: str) -> Iterator[TextIO | None]:
    """A standard output that fails as *how* says."""
    if how == "closed":
        yield None
        return
    ours, theirs = os.pipe()
    os.close(ours)
    with open("/dev/full" if how == "full" else theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123
        yield stream
    if how == "full":
        os.close(theirs)


def tell(room: Room, line: str, how: str, stdin: str = "") -> Ran:
    """Run a command whose standard output fails."""
    err = Stream()
    with (
        standard_output(how) as out,
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stdin", Stream(stdin.encode())),
        redirect_stderr(err),
    ):
        code = run(shlex.split(line), clock=room.clock, environ=room.environ)
    return Ran(code, "", err.text())


@pytest.mark.parametrize("how", BROKEN)
def test_a_reading_command_fails_with_one_line_and_succeeds_without_a_reader(
    voicectl: Room, how: str
) -> None:
    leg = voicectl.call()

    for line in READING[
        : -1 if how == "closed" else None
    ]:  # Typer ignores a closed output when it writes help
        ran = tell(voicectl, line.format(leg=leg), how)

        assert ran.exit_code == (0 if how == "without a reader" else 1), (line, ran)
        messages = [
            each for each in ran.stderr.splitlines() if not each.startswith(leg)
        ]  # without the changes that wait reports
        assert len(messages) == (0 if how == "without a reader" else 1), (line, ran)


@pytest.mark.parametrize("line", CHANGING)
def test_a_changing_command_prints_the_leg_elsewhere(voicectl: Room, line: str) -> None:
    for how in BROKEN:
        leg = voicectl.call()
        before = len(changes(voicectl))

        ran = tell(voicectl, line.format(leg=leg, person=PERSON), how, stdin=leg)

        assert ran.exit_code == 1
        made = changes(voicectl)[before:]
        if not made:  # it saw at once that no output was possible
            assert (how, "-o csv" in line) == ("closed", True)
            continue
        if line.startswith("call create"):
            leg = voicectl("call show @last -q", terminal=True).stdout.strip()
            assert len(made) == 1  # and no other phone rings
        assert f"{leg}: done, but the result could not be written to standard output" in ran.stderr
        assert voicectl("call reconcile").stdout == ""  # the journal knows


@pytest.mark.parametrize("how", BROKEN)
def test_a_hangup_of_several_legs_continues_without_any_output(voicectl: Room, how: str) -> None:
    legs = [voicectl.call(f"44770090000{digit}") for digit in range(3)]

    ran = tell(voicectl, f"hangup {' '.join(legs)}", how)

    assert ran.exit_code == 1
    assert [voicectl(f"call show {leg}").rows[0][1] for leg in legs] == ["completed"] * 3
    assert all(leg in ran.stderr for leg in legs)


def changes(room: Room) -> list[dict[str, Any]]:
    return [entry for entry in room.requests() if entry["method"] != "GET"]


def test_a_closed_reader_is_not_an_error_of_a_long_list_either(voicectl: Room) -> None:
    numbers = [word for n in range(90) for word in ("--to", f"4477009{n:05}")]
    voicectl(["call", "create", *numbers, "--join", "r"])

    assert tell(voicectl, "call list -o json", "without a reader") == Ran(0, "", "")
    assert tell(voicectl, "call list -o json", "full").exit_code == 1


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Room]:
    """A machine for separate processes."""
    with desk(tmp_path_factory.mktemp("desk"), application) as room:
        yield room


def test_real_processes_behave_in_the_same_way(processes: Room) -> None:
    leg, other = processes.call(wait=None), processes.call(wait=None)

    for line in ("voicectl call list", "voicectl --version", "voicectl jwt create"):
        assert shell(processes, f"exec {line} >&-").exit_code == 1, line
        assert shell(processes, f"exec {line} >/dev/full").exit_code == 1, line
    ran = shell(processes, f"exec voicectl talk {leg} Hi >&-")
    assert (ran.exit_code, "standard output" in ran.stderr) == (
        5,
        False,
    )  # the leg rings: the refusal is reported
    ran = shell(processes, f"exec voicectl hangup {leg} >/dev/full")
    assert (ran.exit_code, leg in ran.stderr) == (1, True)
    assert shell(processes, f"exec voicectl hangup {other} >&- 2>&-").exit_code == 1
    assert [processes(f"call show {each}").rows[0][1] for each in (leg, other)] == ["cancelled", "cancelled"]


def test_a_remark_is_lost_without_standard_error_and_the_result_is_not(processes: Room) -> None:
    leg = processes.call(wait=None)
    line = f"exec voicectl call show {plain(leg)} -q"  # with a remark on the spelling of the id

    usual, closed = shell(processes, line), shell(processes, f"{line} 2>&-")

    assert leg in usual.stderr
    assert (closed.exit_code, closed.stdout, closed.stderr) == (0, f"{leg}\n", "")


def test_a_pipe_that_is_closed_early_causes_no_message(processes: Room) -> None:
    ran = shell(
        processes,
        "voicectl --help | head -0; voicectl call list | head -0; voicectl --version | head -0; echo ok",
    )

    assert (ran.stdout, ran.stderr) == ("ok\n", "")


LOCALES = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "cp1252:strict"},
]


@pytest.mark.parametrize(
    "locale", LOCALES, ids=lambda locale: "+".join(f"{k}={v}" for k, v in locale.items())
)
def test_characters_that_the_locale_lacks_are_escaped(processes: Room, locale: dict[str, str]) -> None:
    leg = processes(
        ["call", "create", "--to", "app:Zo\u00eb \u5c71\u7530", "--join", "r", "-q"]
    ).stdout.strip()

    ran = shell(
        processes,
        f"voicectl call show {leg}; voicectl talk {leg} 'H\u00e9' >&2; voicectl mute \u00eb",
        **locale,
    )

    assert leg in ran.stdout
    assert "Zo" in ran.stdout
    assert "Traceback" not in ran.stderr
    assert "not a leg id" in ran.stderr
    processes(f"hangup {leg}")


def test_arguments_that_are_not_valid_text_are_refused_or_escaped(processes: Room) -> None:
    for line in (
        r"voicectl $'\xff'",
        r"voicectl mute $'\xff\xfe'",
        r"voicectl -p $'\xff' call list",
        r"voicectl talk 63f61863-4a51-4f6b-86e1-46edebcf9356 $'a\xffb'",
    ):
        ran = shell(processes, line)

        assert ran.exit_code == 2, ran
        assert "Traceback" not in ran.stderr
        assert "internal" not in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["call", "reconcile", "\udcff"],
        ["call", "reconcile", "x", "--assume", "\udcff", "--reason", "\udcff"],
        ["call", "create", "--to", PERSON, "--talk", "\udcff"],
        ["call", "create", "--to", PERSON, "--talk", "x", "--idempotency-key", "\udcff"],
        ["call", "create", "--to", PERSON, "--join", "\udcff"],
        ["call", "create", "--to", "app:\udcff", "--talk", "x"],
        ["call", "create", "--to", "\udcff", "--talk", "x"],
        ["call", "create", "--to", "sip:a@b", "--talk", "x", "--header", "X=\udcff"],
        ["call", "create", "--to", PERSON, "--talk", "x", "--from", "\udcff"],
        ["call", "create", "--to", PERSON, "--ncco", "\udcff"],
        ["call", "list", "--since", "\udcff"],
        ["call", "list", "--conversation", "\udcff"],
        ["call", "list", "--fields", "\udcff"],
        ["call", "list", "-o", "\udcff"],
        ["jwt", "show", "\udcff"],
        ["jwt", "create", "--sub", "\udcff"],
        ["profile", "show", "\udcff"],
        ["stream", "x", "https://\udcff"],
        ["\udcff"],
        ["--\udcff"],
    ],
    ids=lambda words: " ".join(words).replace("\udcff", "?"),
)
def test_no_invalid_text_in_arguments_causes_an_internal_error(voicectl: Room, words: list[str]) -> None:
    ran = voicectl(words)

    assert ran.exit_code in (2, 4)
    assert not unsafe(ran.stderr)
    assert "internal" not in ran.stderr
    assert voicectl.requests("createCall") == []


MODULES = (
    "json.py typer.py re.py ssl.py sitecustomize.py usercustomize.py conftest.py httpx.py platformdirs.py"
    " voicectl/__init__.py voicectl/__main__.py cryptography/__init__.py"
)
PLANTED = dict.fromkeys(MODULES.split(), "open('{marker}', 'w').close()\n") | {
    "profiles.json": '{"profiles": {"prod": {"application_id": "9b8a7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d",'
    ' "key_command": "touch {marker}", "base_url": "http://127.0.0.1:1"}}, "default": "prod"}',
    ".env": "VOICECTL_BASE_URL=http://127.0.0.1:1\nVOICECTL_PROFILE=prod\n",
    ".voicectl.json": '{"yes": true}',
    "voicectl.toml": "yes = true\n",
    "pyproject.toml": "[tool.voicectl]\nyes = true\n",
    ".netrc": "default login x password y\n",
    "private.key": "-----BEGIN PRIVATE KEY-----\n",
    "sandbox.pem": "-----BEGIN PRIVATE KEY-----\n",
    "cacert.pem": "",
}


def test_files_of_the_working_directory_change_nothing(processes: Room, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    hostile = tmp_path / "hostile"
    for directory in (hostile, hostile / ".config" / "voicectl", hostile / "config"):
        for name, content in PLANTED.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace("{marker}", str(marker)))
    leg = processes.call(wait=None)
    script = (
        f"voicectl profile show -o json; voicectl call show {leg} -q; echo {leg} | voicectl hangup -; echo $?"
    )

    here, there = shell(processes, script), shell(processes, f"cd {hostile} && {{ {script}; }}")

    assert there.stdout.splitlines() == here.stdout.splitlines()
    assert there == here
    assert leg in here.stdout
    assert here.stdout.endswith("\n9\n")  # without consent
    assert not marker.exists()
    assert json.loads(here.stdout[: here.stdout.index("}\n}") + 3])["name"] == "test"
