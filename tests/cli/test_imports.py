"""The modules that a command loads, since users wait for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.machines import machine
from tests.support.room import Room
from tests.support.servers import LEG, Canned, page, reply
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]

HEAVY = {
    "asyncio",
    "cryptography",
    "email.mime",
    "getpass",
    "http.client",
    "httpcore",
    "httpx",
    "jwt",
    "multiprocessing",
    "platformdirs",
    "pydantic",
    "requests",
    "rich",
    "sqlite3",
    "ssl",
    "starlette",
    "textual",
    "unittest",
    "urllib.request",
    "uvicorn",
    "voicectl.api",
    "voicectl.sandbox",
    "voicectl.store",
    "xml",
}
"""Modules whose import takes more than a millisecond or two."""

LOOK = """
import os, sys
leave = os._exit
def tell(status):
    sys.stdout.flush()
    print(status, *sys.modules, file=sys.stderr, flush=True)
    leave(status)
os._exit = tell
from voicectl.__main__ import main
try:
    main()
except SystemExit as exc:  # completion leaves so
    tell(exc.code or 0)
"""


def loaded(room: Room, *words: str, **env: str) -> set[str]:
    """The heavy modules that a command has loaded when it is done."""
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, *words],
        env=room.environ | env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    status, *modules = ran.stderr.splitlines()[-1].split()
    assert status == "0", ran.stderr
    return {
        heavy for heavy in HEAVY if any(name == heavy or name.startswith(f"{heavy}.") for name in modules)
    }


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Room]:
    record = {"uuid": LEG, "status": "answered", "id": application[0].application_id}
    record["numbers"] = []
    with Canned(reply(200, {**page(record), **record})) as server:
        room = machine(tmp_path_factory.mktemp("imports"), application, server.url)
        room.environ |= {"VOICECTL_API_KEY": "k", "VOICECTL_API_SECRET": "s"}
        yield room


NOTHING: set[str] = set()
REQUEST = {"cryptography", "http.client", "ssl", "voicectl.api", "voicectl.store"}
"""Modules needed to sign and send a request."""


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        ("--version", NOTHING),
        ("--help", NOTHING),
        ("-h", NOTHING),
        ("call --help", NOTHING),
        ("sandbox --help", NOTHING),
        ("completion bash", NOTHING),
        ("completion zsh", NOTHING),
        ("completion fish", NOTHING),
        (f"dtmf {LEG} 1234", REQUEST),
        (f"mute {LEG}", REQUEST),
        (f"hangup {LEG}", REQUEST),
        (f"talk {LEG} Hi", REQUEST),
        (f"conversation talk CON-{LEG} Hi", REQUEST),
        (f"call show {LEG}", REQUEST),
        ("call list --all", REQUEST),
        ("call list -o json", REQUEST),
        (f"transfer {LEG} --answer-url https://x.org", REQUEST),
        (f"wait {LEG} --for answered", REQUEST),
        (f"watch {LEG} --for answered", REQUEST),
        ("jwt create", REQUEST),
        ("profile show", REQUEST),
        ("profile list", REQUEST),
        ("app show", REQUEST),
        ("app urls", REQUEST),
        ("number list", REQUEST),
    ],
)
def test_a_command_loads_only_the_modules_it_needs(desk: Room, words: str, needs: set[str]) -> None:
    assert loaded(desk, *words.split()) - needs == set()


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("voicectl ", NOTHING),
        ("voicectl ca", NOTHING),
        ("voicectl sandbox fault ", NOTHING),
        ("voicectl dtmf --l", NOTHING),
        ("voicectl talk --l", NOTHING),
        ("voicectl -p ", {"voicectl.store"}),
        ("voicectl dtmf ", {"voicectl.store"}),
        ("voicectl call create --t", REQUEST | {"sqlite3"}),
    ],
)
def test_completion_loads_the_modules_of_the_command(desk: Room, line: str, needs: set[str]) -> None:
    assert loaded(desk, _VOICECTL_COMPLETE="bash", _VOICECTL_COMPLETE_LINE=line) - needs == set()


def test_a_table_of_plain_text_loads_no_rich(desk: Room) -> None:
    assert "rich" not in loaded(desk, "call", "list", "--all", "-o", "table")


def test_a_token_is_read_with_pyjwt_and_created_without_it(desk: Room, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(desk("jwt create").stdout)

    assert "jwt" in loaded(desk, "jwt", "show", str(token))


@pytest.mark.parametrize("extra", ["websockets", "soundfile", "numpy", "psycopg"])
def test_without_an_extra_everything_else_can_be_imported(extra: str) -> None:
    code = (
        f"import sys; sys.modules[{extra!r}] = None; import voicectl.sandbox.runner, voicectl.webhook.server"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
