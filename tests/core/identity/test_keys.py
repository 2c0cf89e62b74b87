"""Private keys: all usual forms work, others are refused in one line, and no byte of a key is repeated."""

from __future__ import annotations

import base64
import re
import shlex
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.key_files import FAILS, WORKS, pkcs1, pkcs8
from tests.support.waiting import ending
from voicectl import tokens
from voicectl.core.identity import keys
from voicectl.errors import ConfigError
from voicectl.sandbox.account.identity import Identity

WHERE = "the file"
SLOWEST = 1000
"""Longest time for other input, as a multiple of a usual key's; 64 KiB would expose a quadratic algorithm."""


@pytest.fixture(scope="session")
def key(application: tuple[Identity, RSAPrivateKey]) -> RSAPrivateKey:
    return application[1]


@pytest.mark.parametrize("form", WORKS)
def test_any_readable_rsa_key_works(key: RSAPrivateKey, form: str) -> None:
    found = keys.parse(WORKS[form](key), where=WHERE)

    keys.check(found, where=WHERE)
    token = tokens.mint({"form": form}, found)
    assert tokens.is_signed_by(token, found.public_key())


@pytest.mark.parametrize("form", ["PKCS#8", "PKCS#1 with CRLF", r"typed \n", "base64 of the PEM"])
def test_a_key_may_be_given_as_text(key: RSAPrivateKey, form: str) -> None:
    found = keys.parse(WORKS[form](key).decode(), where=WHERE)

    assert found.private_numbers() == key.private_numbers()


@pytest.fixture(scope="module")
def usual(key: RSAPrivateKey) -> float:
    """Return the processor time that a usual key takes."""
    took = []
    for _ in range(5):
        started = time.thread_time()
        keys.check(keys.parse(pkcs8(key), where=WHERE), where=WHERE)
        took.append(time.thread_time() - started)
    return min(took)


@pytest.mark.parametrize("form", FAILS)
def test_anything_else_is_refused_at_once_in_one_line(key: RSAPrivateKey, usual: float, form: str) -> None:
    make, reason = FAILS[form]
    content = make(key)
    started = time.thread_time()

    with pytest.raises(ConfigError) as refused:
        keys.check(keys.parse(content, where=WHERE), where=WHERE)

    assert time.thread_time() - started < SLOWEST * usual
    assert reason in refused.value.message
    assert "\n" not in refused.value.message
    assert_not_echoed(content, refused.value)


def test_a_key_whose_numbers_do_not_match_is_refused_when_it_is_stored(key: RSAPrivateKey) -> None:
    der = bytearray(key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    der[200] ^= 1  # in the modulus

    with pytest.raises(ConfigError, match="damaged"):
        keys.check(keys.parse(as_pem(der, "RSA PRIVATE KEY"), where=WHERE), where=WHERE)


@given(data=st.data())
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_a_damaged_file_either_works_or_is_refused(key: RSAPrivateKey, data: st.DataObject) -> None:
    label, pem = data.draw(st.sampled_from([("PRIVATE KEY", pkcs8(key)), ("RSA PRIVATE KEY", pkcs1(key))]))
    in_der = data.draw(st.booleans())
    content = bytearray(base64.b64decode(b"".join(pem.split(b"\n")[1:-2])) if in_der else pem)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        upto = at + data.draw(st.integers(0, 30))
        content[at:upto] = data.draw(st.binary(max_size=10))
    damaged = as_pem(content, label) if in_der else bytes(content)

    refusal = None
    try:
        found = keys.parse(damaged, where=WHERE)
        keys.check(found, where=WHERE)
    except ConfigError as exc:
        refusal = exc
    if refusal is None:
        assert tokens.is_signed_by(tokens.mint({}, found), found.public_key())
    else:
        assert "\n" not in refusal.message
        assert_not_echoed(damaged, refusal)


@given(st.binary(max_size=300) | st.text(max_size=300))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_an_invalid_key_is_refused(content: bytes | str) -> None:
    with pytest.raises(ConfigError):
        keys.parse(content, where=WHERE)


def test_the_check_for_echoes_detects_one(key: RSAPrivateKey) -> None:
    content = pkcs8(key)

    with pytest.raises(AssertionError):
        assert_not_echoed(content, ConfigError(f"It is not a key: {content[40:60].decode()}"))


def test_a_command_prints_the_key(tmp_path: Path, key: RSAPrivateKey) -> None:
    path = tmp_path / "a key.pem"
    path.write_bytes(pkcs1(key))

    assert keys.from_command(f"cat '{path}'").private_numbers() == key.private_numbers()


def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    planted = tmp_path / "planted"

    with pytest.raises(ConfigError):
        keys.from_command(f"echo hello; touch {planted} | $(touch {planted}) && touch {planted}")

    assert not planted.exists()


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(600)",
        "import os, time; os.close(1); time.sleep(600)",
        "import time\nwhile True: print('A', flush=True); time.sleep(0.1)",
        "import os, time\nos.fork() or (os.setsid(), time.sleep(20))",
    ],
    ids=["hangs", "closes its output and hangs", "drips", "leaves a child with its output"],
)
def test_a_command_that_does_not_end_is_killed(program: str) -> None:
    command = shlex.join([sys.executable, "-c", program])

    with pytest.raises(ConfigError, match=re.escape("took longer than 0.3 s")):
        ending(lambda: keys.from_command(command, within=0.3))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("while True: print('A' * 1000)", "more than 64 KiB"),
        ("import sys; sys.exit(3)", "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "exited with status -9"),
        ("print('no key')", "no PEM block"),
    ],
    ids=["floods", "fails", "dies", "prints text"],
)
def test_a_command_that_prints_no_key_is_reported(program: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        keys.from_command(shlex.join([sys.executable, "-c", program]))


def test_a_command_has_ten_seconds() -> None:
    assert keys.COMMAND_SECONDS == 10


@pytest.mark.parametrize("command", ["", "   ", "'unfinished", "/nowhere/command", "/", "nul\0"])
def test_an_invalid_command_is_reported(command: str) -> None:
    with pytest.raises(ConfigError, match="cannot be run"):
        keys.from_command(command)


def test_nothing_of_a_command_s_standard_error_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('hunter2', file=sys.stderr); sys.exit(1)"

    with pytest.raises(ConfigError) as refused:
        keys.from_command(shlex.join([sys.executable, "-c", program]))

    captured = capfd.readouterr()
    assert "hunter2" not in f"{captured.out}{captured.err}{refused.value.message}{refused.value.hint}"


def as_pem(der: bytes | bytearray, label: str) -> bytes:
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def assert_not_echoed(content: bytes, refused: ConfigError) -> None:
    """No 8 consecutive characters of a word in *content* are in the error, except the name of a missing part."""
    message = f"{refused.message} {refused.hint}".replace("-----BEGIN PRIVATE KEY-----", "")
    for word in set(re.findall(rb"[A-Za-z0-9+/=_-]{8,}", content[:100_000])):
        for start in range(0, len(word) - 7, 4):
            piece = word[start : start + 8].decode()
            assert piece not in message, piece
