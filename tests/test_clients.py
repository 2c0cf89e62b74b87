"""``docs/clients.md``: the official clients run on the sandbox as the page says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.console import ROOT
from tests.support.node_packages import SDK, installed
from tests.support.room import PERSON, Ran, Room
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.sandbox.account.identity import NUMBER
from voicectl.sandbox.account.numbers import SPARE

PAGE = (ROOT / "docs" / "clients.md").read_text()


def block(heading: str, language: str) -> str:
    """Return the last block in *language* of a section of the page."""
    section = re.split(r"^#+ ", PAGE.partition(f" {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[-1]


@pytest.fixture
def machine(bare: Room) -> Room:
    """A machine on which ``voicectl`` and ``python`` are those of the tests."""
    programs = bare.home / "bin"
    programs.mkdir()
    for name in ("voicectl", "python"):
        module = ' -m voicectl "$@"' if name == "voicectl" else ' "$@"'
        (programs / name).write_text(f"#!/bin/sh\nexec {sys.executable}{module}\n")
        (programs / name).chmod(0o700)
    bare.environ["PATH"] = f"{programs}:{bare.environ['PATH']}"
    return bare


def intercepted(machine: Room, *command: str) -> Ran:
    ran = machine.process(["sandbox", "exec", "--intercept", "--", *command])
    assert ran.exit_code == 0, ran.stderr
    return ran


def test_the_python_sdk_of_the_page(machine: Room) -> None:
    (machine.home / "app.py").write_text(block("Python SDK", "python"))

    ran = intercepted(machine, "python", "app.py")

    assert (ran.stdout, ran.stderr) == ("started\n", "")


def test_the_node_sdk_of_the_page(machine: Room, tmp_path_factory: pytest.TempPathFactory) -> None:
    machine.environ["NODE_PATH"] = str(installed(tmp_path_factory, "sdk", *SDK))
    (machine.home / "app.js").write_text(block("Node SDK", "js"))

    ran = intercepted(machine, "node", "app.js")

    assert (ran.stdout, ran.stderr) == ("started\n", "")


LINK = f"""
vonage apps:link "$VONAGE_APPLICATION_ID" --number {SPARE}
voicectl number list --application -q
"""


def test_the_vonage_cli_of_the_page(machine: Room, tmp_path_factory: pytest.TempPathFactory) -> None:
    modules = installed(tmp_path_factory, "cli", "@vonage/cli")
    machine.environ["PATH"] = f"{modules / '.bin'}:{machine.environ['PATH']}"

    ran = intercepted(machine, "sh", "-ec", block("Vonage CLI", "sh") + LINK)

    assert "sandbox" in ran.stdout
    assert NUMBER in ran.stdout
    assert ran.stdout.splitlines()[-2:] == [NUMBER, SPARE]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_as_on_the_page(machine: Room) -> None:
    ran = intercepted(machine, "sh", "-ec", block("curl", "sh").replace("\n", "; echo\n"))

    numbers, calls = map(json.loads, ran.stdout.splitlines())
    assert numbers["numbers"][0]["msisdn"] == NUMBER
    assert calls["count"] == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_sandbox_that_keeps_running(machine: Room) -> None:
    commands = block("A sandbox that keeps running", "sh").replace("--detach", "--detach --port 0")
    script = block("A sandbox that keeps running", "python")
    (machine.home / "app.py").write_text(script)

    try:
        ran = subprocess.run(
            ["sh", "-ec", f"{commands}\necho\npython app.py"],
            env=machine.environ,
            cwd=machine.home,
            capture_output=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
    finally:
        machine.process("sandbox stop")

    assert ran.returncode == 0, ran.stderr
    listed, number = ran.stdout.decode().splitlines()[-2:]
    assert json.loads(listed)["numbers"][0]["msisdn"] == number == NUMBER


EVERYTHING = f"""
import json, os, subprocess
import vonage, vonage_numbers, vonage_users, vonage_voice as sdk

environ = os.environ
client = vonage.Vonage(vonage.Auth(
    application_id=environ["VONAGE_APPLICATION_ID"], private_key=environ["VONAGE_PRIVATE_KEY"],
    api_key=environ["VONAGE_API_KEY"], api_secret=environ["VONAGE_API_SECRET"],
))
voicectl = lambda *words: subprocess.run(["voicectl", *words], check=True, capture_output=True, text=True).stdout

record = sdk.Record(format="wav", timeOut=3, eventUrl=["http://127.0.0.1:9/recorded"])
request = sdk.CreateCallRequest(
    to=[sdk.ToPhone(number="{PERSON}")], from_=sdk.Phone(number="{NUMBER}"),
    ncco=[record, sdk.Talk(text="This is recorded"), sdk.Conversation(name="room")],
)
leg = client.voice.create_call(request).uuid
voicectl("sandbox", "advance", "10s")
print(client.voice.get_call(leg).status, [call.uuid for call in client.voice.list_calls()[0]] == [leg])
print(client.voice.play_tts_into_call(leg, sdk.TtsStreamOptions(text="One moment")).message)

log = voicectl("sandbox", "log", "--leg", leg, "-o", "json")
(url,) = {{each["recording_url"] for each in json.loads(log) if "recording_url" in each}}
client.voice.download_recording(url, "recording.wav")
print(url.split("/")[2], open("recording.wav", "rb").read(4))

update = vonage_numbers.UpdateNumberParams(
    country="GB", msisdn="{SPARE}", app_id=environ["VONAGE_APPLICATION_ID"]
)
print(client.numbers.update_number(update).error_code)
mine = vonage_numbers.ListOwnedNumbersFilter(has_application=True)
print([number.msisdn for number in client.numbers.list_owned_numbers(mine)[0]])

client.users.create_user(vonage_users.User(name="rose"))
print([user.name for user in client.users.list_users()[0]])
"""


def test_the_python_sdk_runs_unmodified_with_all_that_a_voice_application_needs(machine: Room) -> None:
    (machine.home / "app.py").write_text(EVERYTHING)

    ran = machine.process(["sandbox", "exec", "--intercept", "--frozen", "--", "python", "app.py"])

    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "answered True",
        "Talk started",
        "api-us-3.vonage.com b'RIFF'",
        "200",
        f"['{NUMBER}', '{SPARE}']",
        "['rose']",
    ]
