"""Every command has help with an example, and every example runs."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support import batches, kept, scenarios
from tests.support.postgres_batches import prepared
from tests.support.room import BY_HAND, PERSON, Room
from tests.support.servers import Canned, reply
from tests.support.waiting import PATIENCE_SECONDS, eventually
from tests.webhook import signing
from voicectl.cli.tree import COMMANDS, Entry, all_commands
from voicectl.clock import SystemClock
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.store.journal import IntentState, Journal

WORDS = [" ".join(words) for words in all_commands()]
ENDLESS = {"webhook tail": ("ringing", 130), "webhook serve": ("Receiving at ", 0)}
"""Those that end by Ctrl-C: what each shows once it has begun, and its exit status then."""

LEGS = {"LEG": PERSON, "OTHER": "447700900002", "RINGING": BY_HAND, "SHORT_CALL": "447700900503"}


def entry(words: str) -> Entry:
    found = COMMANDS
    for word in words.split():
        found = found[word]  # type: ignore[assignment,index]
    assert isinstance(found, Entry)
    return found


def docstring(words: str) -> str:
    module, _, function = entry(words).function.partition(":")
    return inspect.getdoc(getattr(import_module(f"voicectl.cli.commands.{module}"), function)) or ""


def examples(words: str) -> list[str]:
    return re.findall(r"^ +\$ ((?:.*\\\n)*.*)$", docstring(words), re.MULTILINE)


@pytest.mark.parametrize("words", WORDS)
def test_help_shows_an_example_and_the_summary_of_the_list(bare: Room, words: str) -> None:
    ran = bare(f"{words} --help")

    assert ran.exit_code == 0
    assert f"voicectl {words}" in ran.stdout
    assert docstring(words).startswith(entry(words).summary.rstrip("."))
    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []


@pytest.fixture(scope="module")
def app_url() -> Iterator[str]:
    """The URL of a user's application that accepts any request."""
    with Canned(reply(200)) as server:
        yield server.url


@pytest.mark.parametrize("words", WORDS)
def test_the_examples_of_the_help_run(
    start_room: StartRoom, app_url: str, words: str, request: pytest.FixtureRequest
) -> None:
    room = start_room(clock=SystemClock())
    environ = prepare(room, words) | {"APP_URL": app_url}

    for example in examples(words):
        if "$STORE" in example:
            environ |= {"STORE": prepared(request.getfixturevalue("database"))}
        environ |= named_in(example, room, environ.get("STORE"))
        sign, status = ENDLESS.get(words, ("", 0))
        with subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", on_a_free_port(example)],
            env=environ,
            cwd=room.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            shown = interrupted(child, sign, room) if sign else b""
            shown += child.communicate(timeout=2 * PATIENCE_SECONDS)[0]
        if words == "sandbox start":
            subprocess.run(["bash", "-c", "voicectl sandbox stop"], env=environ, check=True)
        assert child.returncode == status, f"{example}\n{shown.decode()}"


def interrupted(child: subprocess.Popen[bytes], sign: str, room: Room) -> bytes:
    """Run a command while events arrive, send it Ctrl-C once it shows *sign*, and return its output."""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    shown = b""

    def has_begun() -> bool:
        nonlocal shown
        kept.keep(room, kept.status("ringing", shown=len(shown), at=time.monotonic()))
        shown += child.stdout.read() or b"" if child.stdout else b""
        return sign.encode() in shown or child.poll() is not None

    eventually(has_begun)
    os.killpg(child.pid, signal.SIGINT)
    os.set_blocking(child.stdout.fileno(), True)
    return shown


def on_a_free_port(example: str) -> str:
    return example.replace("webhook serve", "webhook serve --port 0")  # the default port may be in use


def prepare(room: Room, words: str) -> dict[str, str]:
    """Create the profiles, the key file and the call in doubt that the examples need."""
    assert room.sandbox is not None
    identity, store = room.sandbox.identity, ProfileStore(room.config)
    test = store.get("test")
    if words.startswith("test ") and words != "test init":
        scenarios.write(room.home, scenarios.SALES, name="ivr.call.toml")
    room.home.joinpath("private.pem").write_bytes(store.key_path("test").read_bytes())
    room.home.joinpath("private.pem").chmod(0o600)
    key = keys.parse(store.key_path("test").read_bytes(), where="the test")
    few = {"sandbox start": [], "profile add": ["sandbox"]}  # these create what the other examples need
    names = few.get(words, ["sandbox", "prod", "eu"])
    for name in names:
        profile = Profile(
            name=name, application_id=test.application_id, base_url=room.url, from_=test.from_, api_key="k"
        )
        store.add(profile, key=key, api_secret="a", signature_secret=identity.signature_secret)
    body = signing.event()
    signed = {"api_key": identity.api_key, "application_id": identity.application_id}
    token = signing.token(body, secret=identity.signature_secret, now=room.clock.time(), **signed)
    head = f"POST /webhooks/event HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    room.home.joinpath("sorry.json").write_text('[{"action": "talk", "text": "Sorry"}]')
    room.home.joinpath("answer.toml").write_text('[[rule]]\nncco = "sorry.json"\n')
    room.home.joinpath("people.csv").write_text("name,to\nAnn,447700900205\n")
    room.home.joinpath("flow.json").write_text('[{"action": "talk", "text": "Hello"}]')
    room.home.joinpath("request.txt").write_bytes(head.encode() + body)
    return room.environ | {
        "VOICECTL_SIGNATURE_SECRET": identity.signature_secret,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "APP_ID": "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8",
        "VONAGE_API_HOST": room.url,
    }


def named_in(example: str, room: Room, store: str | None) -> dict[str, str]:
    """The legs that an example names, in the state that it means, and the reference of a call in doubt."""
    if "alice" in example and "user create" not in example:
        room("user create alice")
    if "$FAULT" in example:
        return {"FAULT": room("sandbox fault add region -q").stdout.strip()}
    if "$BATCH" in example:
        name = f"batch-{len(batches.names(room))}"
        batches.make(room, name, "447700900205", store=store)
        return {"BATCH": name}
    if "test record" in example:
        return {"CALLER": room("sandbox ring --to 442079460000 -q").stdout.strip()}
    if "$EVENT" in example:
        return {"EVENT": str(kept.keep(room, kept.status("answered"))[0])}
    made = {name: room.call(number, wait=None) for name, number in LEGS.items() if f"${name}" in example}
    is_room_there = example.startswith("voicectl conversation ") and "support-17" in example
    if is_room_there:
        room.call(options="--talk Hello --join support-17", wait=None)
    if made or is_room_there:
        assert room("sandbox advance 3s").exit_code == 0
    if "$CONVERSATION" in example:
        made["CONVERSATION"] = room(f"call show {room.call()} --fields conversation_uuid").stdout.strip()
    if "$REF" in example:
        assert room.sandbox is not None
        journal = Journal(room.state / room.sandbox.identity.application_id, SystemClock())
        journal.intend("vc-doubt", to="447700900009", from_=None, body_hash="", key=None, dialled=[])
        journal.settle("vc-doubt", IntentState.IN_DOUBT, "lost")
        journal.close()
        made["REF"] = "vc-doubt"
    return made
