"""Secrets: no option takes one, no output shows one, and only its own file holds one."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.clock import FakeClock
from tests.support.key_files import pkcs1, pkcs8
from tests.support.machines import machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, Request, page, reply
from voicectl import tokens
from voicectl.cli.context import App
from voicectl.interrupts import Interrupts
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]

APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
DIGITS = "8675309#42"
API_SECRET = "canary-of-the-account"
SIGNATURE_SECRET = "canary-of-the-webhooks"
AUTHORIZATION = "Basic canary-of-the-socket"


@pytest.fixture
def key(application: Application) -> RSAPrivateKey:
    return application[1]


def forms(secret: bytes) -> set[str]:
    """*secret* as it might be found in a file or on a screen."""
    shapes = {
        secret.hex(),
        secret.hex().upper(),
        secret.hex(":"),
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        str(int.from_bytes(secret, "big")),
        "".join(f"\\x{byte:02x}" for byte in secret),
        secret[::-1].decode("latin-1"),
    }
    for start in range(3):  # base64 of a text that contains it
        whole = base64.b64encode(bytes(start) + secret).decode()
        middle = whole[(start * 8 + 5) // 6 : len(whole.rstrip("=")) - 1]
        shapes |= {middle, middle.replace("+", "-").replace("/", "_")}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return shapes
    return shapes | {text, json.dumps(text)[1:-1], repr(text)[1:-1]}


def canaries(key: RSAPrivateKey, *more: str) -> set[str]:
    """Every form of every secret that the tests below know."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    numbers = key.private_numbers()
    private = [each.to_bytes(256, "big").lstrip(b"\0") for each in (numbers.d, numbers.p, numbers.q)]
    found = {line.decode() for pem in (pkcs8(key), pkcs1(key)) for line in pem.splitlines()[1:-1]}
    found |= {piece.hex() for whole in (der, *private) for piece in (whole[64:80], whole[-16:])}
    found |= {str(number) for number in (numbers.d, numbers.p, numbers.q)}
    for secret in (DIGITS, API_SECRET, SIGNATURE_SECRET, AUTHORIZATION, *more):
        found |= forms(secret.encode())
    return {each for each in found if len(each) >= 8}


def seen_in(text: str, secrets: Iterable[str]) -> list[str]:
    return [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("form", ["%s", "x=%s;", "base64", "hex", "url", "json"])
def test_the_search_detects_a_secret(key: RSAPrivateKey, form: str) -> None:
    make = {
        "base64": lambda text: base64.b64encode(f"ab{text}".encode()).decode(),
        "hex": lambda text: text.encode().hex(),
        "url": lambda text: quote(text, safe=""),
        "json": json.dumps,
    }.get(form, lambda text: form % text)

    for secret in (DIGITS, API_SECRET, AUTHORIZATION):
        assert seen_in(make(secret), canaries(key))
    assert seen_in(f"key: {pkcs8(key).decode()}", canaries(key))


COMMANDS = [
    f"call create --to {PERSON} --dtmf-answer {DIGITS} --talk Hi",
    f"call create --to {PERSON} --talk Hi --idempotency-key k",
    "call create --to wss://example.org/s --authorization {socket} --talk Hi",
    f"dtmf {LEG} {DIGITS}",
    f"dtmf {LEG} {DIGITS}x",
    f"dtmf {LEG} - ",
    f"mute {LEG}",
    f"talk {LEG} Hi",
    f"call show {LEG}",
    "call list --all",
    "call reconcile",
    "app show",
    "app urls --event https://example.org/e",
    "number list",
    "number link 442079460001",
    "profile list",
    "profile show",
    "profile show test",
    "doctor",
    "-p other call list",
    "-p broken call list",
]

ANSWERS = {
    "done": lambda request: (
        reply(201, {"uuid": LEG, "status": "started"})
        if request.method == "POST"
        else reply(200, page({"uuid": LEG, "status": "answered"}))
        if request.path == "/v1/calls"
        else reply(200, {"uuid": LEG, "status": "answered"})
    ),
    "refused": lambda _: reply(400, {"title": "Bad Request", "detail": "no"}),
    "wrong key": lambda _: reply(401, {"title": "Unauthorized"}),
    "unknown": lambda _: reply(404, {"title": "Not Found"}),
    "broken": lambda _: reply(500, b"<html>"),
    "no HTTP": lambda _: b"SSH-2.0-x\r\n",
    "unfit": lambda _: reply(200, [1, 2, 3]),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_no_output_and_no_file_holds_a_secret(
    tmp_path: Path, application: Application, key: RSAPrivateKey, how: str
) -> None:
    with Canned(ANSWERS[how]) as server:
        home = with_secrets(tmp_path / "home", application, server.url)
        printed = "".join(
            output(home(command.format(socket=home.home / "socket") + f" {option}", stdin=DIGITS))
            for command in COMMANDS
            for option in ("--debug", "-o json")
        )

        sent = {request.headers.get("authorization", "") for request in server.requests}
        secrets = canaries(key, *(token.removeprefix("Bearer ") for token in sent if token))

    assert not seen_in(printed, secrets)
    assert not re.search(r"debug: .*\b447700900001\b", printed)
    assert len(sent) > 1
    for path in home.home.rglob("*"):
        if path.is_file() and path.name not in ("socket", "api-secret", "signature-secret"):
            kept = path.read_bytes().decode("latin-1")
            own = path.parent == home.config / "keys"
            assert own or not seen_in(kept, secrets), path
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    "number", ["447700900001", "+447700900001", "1234567", "to=447700900001&x", "447700900001."]
)
def test_debug_masks_numbers_and_leaves_ids_and_times(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App(clock=FakeClock(), environ={}, interrupts=Interrupts())
    line = f"GET /v1/calls/{LEG}?date_start=2026-02-02T02:40:00Z {{}}: 200 after 12 ms"

    app.terminal.debug(line.format(number))
    app.options.debug = True
    app.terminal.debug(line.format(number))

    masked = re.sub(r"\+?[0-9]{7,}", "<number>", number)
    assert capsys.readouterr().err == f"debug: {line.format(masked)}\n"


def test_an_internal_error_shows_no_secret_either(
    tmp_path: Path, application: Application, key: RSAPrivateKey
) -> None:
    """Neither in its line nor in the traceback that ``--debug`` shows."""
    with Canned(ANSWERS["done"]) as server:
        home = with_secrets(tmp_path / "home", application, server.url)
        script = f"""
import sys
from voicectl.api.wire import Wire
def fail(self, *args, **kwargs): raise KeyError("a bug")
Wire.exchange = fail
from voicectl.__main__ import main
sys.argv = ["voicectl", "dtmf", {LEG!r}, {DIGITS!r}] + sys.argv[1:]
main()
"""
        runs = [
            subprocess.run(
                [sys.executable, "-c", script, *more], env=home.environ, capture_output=True, check=False
            )
            for more in ([], ["--debug"])
        ]

    assert [ran.returncode for ran in runs] == [1, 1]
    assert b"unexpected internal error: KeyError" in runs[0].stderr
    assert b"Traceback" not in runs[0].stderr
    assert b"Traceback" in runs[1].stderr
    assert not seen_in("".join((ran.stdout + ran.stderr).decode() for ran in runs), canaries(key))


def test_a_dry_run_prints_the_request_without_a_token(
    tmp_path: Path, application: Application, key: RSAPrivateKey
) -> None:
    with Canned(ANSWERS["done"]) as server:
        home = with_secrets(tmp_path / "home", application, server.url)
        printed = output(home(f"dtmf {LEG} {DIGITS} --dry-run --debug"))

    assert DIGITS in printed  # otherwise the curl command would not work
    assert "$(voicectl jwt create -p test)" in printed
    assert "eyJ" not in printed
    assert not [secret for secret in seen_in(printed, canaries(key)) if secret not in forms(DIGITS.encode())]
    assert server.requests == []


SECRETS = {
    "PKCS#8": lambda key: pkcs8(key).decode(),
    "PKCS#1": lambda key: pkcs1(key).decode(),
    r"with \n": lambda key: pkcs8(key).decode().replace("\n", r"\n"),
    "half": lambda key: pkcs8(key).decode()[:800],
    "base64": lambda key: base64.b64encode(pkcs8(key)).decode(),
    "without its dashes": lambda key: "".join(pkcs8(key).decode().splitlines()[1:-1]),
    "a token": lambda key: tokens.mint({"application_id": APP}, key),
    "a Bearer header": lambda key: f"Bearer {tokens.mint({'application_id': APP}, key)}",
}

SLOTS = [
    "profile add x --application-id {app} --private-key",
    "profile add x --application-id {app} --key-command",
    "profile add x --private-key k.pem --application-id",
    "profile add x --application-id {app} --api-secret-file",
    "profile add x --application-id {app} --signature-secret-file",
    "profile add",
    "jwt show",
    "jwt create --acl",
    "-p",
    "call list --ca-file",
    "talk {leg} --file",
    "mute",
    "frobnicate",
]


@pytest.mark.parametrize("what", SECRETS)
def test_a_key_or_token_as_an_argument_is_refused_and_not_repeated(
    bare: Room, key: RSAPrivateKey, what: str
) -> None:
    secret = SECRETS[what](key)

    for slot in SLOTS:
        words = [*slot.format(app=APP, leg=LEG).split(), secret]
        for extra in ([], ["-o", "json"], ["--debug"]):
            ran = bare([*extra, *words])

            assert (ran.exit_code, ran.stdout) == (2, "")
            assert "visible to every user of this host" in ran.stderr
            assert not [piece for piece in re.findall(r"[\w+/=-]{20,}", secret) if piece[:20] in ran.stderr]


HARMLESS = """
https://example.org/?jwt=eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJlc2lnbmF0dXJl
eyes.wide.shut
MII
MIIchael is on the line, please hold.
a.b.c
-----BEGIN CERTIFICATE-----
BEGIN PRIVATE KEY
"""


@pytest.mark.parametrize("word", [*HARMLESS.strip().splitlines(), "M" * 300])
def test_an_argument_that_only_resembles_one_is_accepted(bare: Room, word: str) -> None:
    ran = bare(["talk", "--", LEG, word])

    assert "visible to every user" not in ran.stderr


def test_no_option_takes_the_value_of_a_secret(bare: Room) -> None:
    text = (
        bare("profile add --help").stdout
        + bare("call create --help").stdout
        + bare("jwt create --help").stdout
    )

    named = set(re.findall(r"--[a-z-]*(?:secret|key|token|password|authorization)[a-z-]*", text))
    assert named == {
        "--private-key",  # FILE
        "--key-command",  # CMD
        "--api-key",  # names the account, as a user name does
        "--api-secret-file",
        "--signature-secret-file",
        "--authorization",  # 'vonage', or a FILE
        "--idempotency-key",  # chosen by the caller
    }


@pytest.fixture
def sandbox(bare: Room) -> Iterator[tuple[Room, int]]:
    """A machine with a detached sandbox, and the sandbox's process."""
    ran = bare.process("sandbox start --detach --port 0 -o json")
    assert ran.exit_code == 0, ran.stderr
    pid = ran.json["pid"]
    yield bare, pid
    bare.process("sandbox stop")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_no_process_has_a_secret_among_its_arguments(sandbox: tuple[Room, int], tmp_path: Path) -> None:
    room, pid = sandbox
    stored = room.config / "keys"
    secrets = {path.read_text().strip() for path in stored.glob("sandbox.*secret")}
    secrets |= set((stored / "sandbox.pem").read_text().splitlines()[1:-1])
    record = tmp_path / "cmdlines"
    watcher = f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> {record}"
    run = f"{sys.executable} -m voicectl"
    script = f"{watcher}; {run} jwt create | {run} jwt show - & {watcher}"
    room.process(["sandbox", "exec", "--", "bash", "-c", script])
    words = record.read_text() + Path(f"/proc/{pid}/cmdline").read_text()

    assert "voicectl" in words
    assert len(secrets) > 20
    assert not [secret for secret in secrets if secret in words]
    assert "eyJ" not in words


def with_secrets(home: Path, application: Application, url: str) -> Room:
    """A machine whose profiles ``test`` and ``other`` have every kind of secret; ``broken`` has a damaged key."""
    room = machine(home, application, url)
    for name, content in (
        ("api-secret", API_SECRET),
        ("signature-secret", SIGNATURE_SECRET),
        ("socket", AUTHORIZATION),
    ):
        (room.home / name).write_text(content)
        (room.home / name).chmod(0o600)
    for name, replace in (("test", "--replace"), ("other", ""), ("broken", "")):
        ran = room(
            f"profile add {name} {replace} --application-id {application[0].application_id} --private-key -"
            f" --base-url {url} --from 442079460000 --api-key abcd1234 --api-secret-file {room.home}/api-secret"
            f" --signature-secret-file {room.home}/signature-secret",
            stdin=pkcs8(application[1]),
        )
        assert ran.exit_code == 0, ran.stderr
    stored = room.config / "keys" / "broken.pem"
    stored.write_bytes(stored.read_bytes()[:900])
    return room


def output(ran: Ran) -> str:
    assert ran.exit_code != 1
    return ran.stdout + ran.stderr


def test_the_failures_differ_from_each_other() -> None:
    """The failures above must differ, or the search would examine only one of them."""
    requests = [Request(b"GET /v1/calls HTTP/1.1\r\n\r\n"), Request(b"POST /v1/calls HTTP/1.1\r\n\r\n")]

    assert len({answer(request) for answer in ANSWERS.values() for request in requests}) == len(ANSWERS) + 1
