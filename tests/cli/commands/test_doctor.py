"""``doctor``: a line for each check, and advice for each one that fails."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.machines import machine
from tests.support.room import Ran, Room
from tests.support.servers import Canned, Request, page, reply
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]

CHECKS = ["application", "key", "network", "clock", "read", "limiter", "journal"]


def outcomes(ran: Ran) -> dict[str, str]:
    return {row[0]: row[1] for row in ran.rows}


def test_each_passed_check_is_one_line(voicectl: Room, application: Application) -> None:
    ran = voicectl("doctor")

    assert ran.exit_code == 0
    assert [row[0] for row in ran.rows] == CHECKS
    assert {row[1] for row in ran.rows} == {"ok"}
    assert {row[3] for row in ran.rows} == {"-"}
    assert application[0].application_id in ran.stdout
    assert "SHA256:" in ran.stdout
    assert [finding["check"] for finding in voicectl("doctor -o json").json] == CHECKS
    assert voicectl("doctor -q").stdout.split() == CHECKS


def test_on_a_terminal_outcomes_are_colored_and_columns_aligned(voicectl: Room) -> None:
    key_open(voicectl)
    ran = voicectl("doctor", terminal=True)
    plain = voicectl("doctor", terminal=True, env={"NO_COLOR": "1"})

    assert "\x1b[32mok      \x1b[0mapplication  " in ran.stdout
    assert "\x1b[31mfail    \x1b[0mkey          " in ran.stdout
    assert re.sub("\x1b\\[[0-9;]*m", "", ran.stdout) == plain.stdout


def test_it_places_no_call_and_changes_nothing(voicectl: Room) -> None:
    voicectl("doctor")

    assert {entry["method"] for entry in voicectl.requests()} == {"GET"}
    assert {entry["operation"] for entry in voicectl.requests()} <= {"getCalls", None}


def key_open(room: Room) -> None:
    (room.config / "keys" / "test.pem").chmod(0o644)


def key_gone(room: Room) -> None:
    (room.config / "keys" / "test.pem").unlink()


def key_cut(room: Room) -> None:
    path = room.config / "keys" / "test.pem"
    path.write_bytes(path.read_bytes()[:900])


def journal_damaged(room: Room) -> None:
    room("call list")
    (path,) = room.state.iterdir()
    (path / "journal.db").write_bytes(b"this is no database" * 100)


def journal_newer(room: Room) -> None:
    room("call reconcile")
    (path,) = room.state.glob("*/journal.db")
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 999")
    database.close()


def limiter_blocked(room: Room) -> None:
    room("call list")
    (path,) = room.state.iterdir()
    (path / "pace").unlink(missing_ok=True)
    (path / "pace").mkdir()


def sandbox_busy(room: Room) -> None:
    room("sandbox fault add status 503 --on getCalls --times 9", env={"VOICECTL_SANDBOX": room.url})


def sandbox_wrong_key(room: Room) -> None:
    room("sandbox fault add status 401 --on getCalls --times 9", env={"VOICECTL_SANDBOX": room.url})


@pytest.mark.parametrize(
    ("harm", "failed", "skipped", "fix", "status"),
    [
        (key_open, "key", "read", "chmod 600 ", 3),
        (key_gone, "key", "read", "Check the path", 3),
        (key_cut, "key", "read", "private key generated with the application", 3),
        (sandbox_wrong_key, "read", None, "private key belongs to this application", 3),
        (sandbox_busy, "read", None, "doctor", 7),
        (limiter_blocked, "limiter", None, "VOICECTL_STATE_DIR", 1),
        (journal_damaged, "journal", None, ".recover", 1),
        (journal_newer, "journal", None, "VOICECTL_STATE_DIR", 1),
    ],
)
def test_a_failed_check_is_one_line_with_a_fix_and_the_others_run_too(
    voicectl: Room, harm: Callable[[Room], None], failed: str, skipped: str | None, fix: str, status: int
) -> None:
    harm(voicectl)

    ran = voicectl("doctor")

    assert ran.exit_code == status
    expected = dict.fromkeys(CHECKS, "ok") | {failed: "fail"} | ({skipped: "skipped"} if skipped else {})
    assert outcomes(ran) == expected
    (row,) = (row for row in ran.rows if row[0] == failed)
    assert fix in row[3]
    assert "Traceback" not in ran.stderr


def test_a_host_that_does_not_answer_is_7(voicectl: Room) -> None:
    ran = voicectl("doctor", env={"VOICECTL_BASE_URL": "http://127.0.0.1:1"})

    assert ran.exit_code == 7
    found = outcomes(ran)
    assert (found["key"], found["network"], found["read"], found["journal"]) == (
        "ok",
        "fail",
        "skipped",
        "ok",
    )
    assert "127.0.0.1:1" in ran.stdout


def test_an_unwritable_state_directory_is_reported_in_two_lines(voicectl: Room) -> None:
    (voicectl.home / "file").write_text("")

    ran = voicectl("doctor", env={"VOICECTL_STATE_DIR": str(voicectl.home / "file")})

    assert ran.exit_code == 1
    found = outcomes(ran)
    assert (found["read"], found["limiter"], found["journal"]) == ("ok", "fail", "fail")


def test_errors_of_credentials_outrank_those_of_the_network_and_the_state(voicectl: Room) -> None:
    limiter_blocked(voicectl)
    assert voicectl("doctor", env={"VOICECTL_BASE_URL": "http://127.0.0.1:1"}).exit_code == 7
    key_open(voicectl)
    assert voicectl("doctor", env={"VOICECTL_BASE_URL": "http://127.0.0.1:1"}).exit_code == 3


@pytest.mark.parametrize(
    ("ahead", "outcome", "message"),
    [
        (0, "ok", "within"),
        (20, "ok", "within"),
        (-20, "ok", "within"),
        (432, "fail", "432 s behind"),
        (-432, "fail", "432 s ahead of"),
        (86_400, "fail", "86400 s behind"),
        (None, "skipped", "no Date"),
    ],
)
def test_the_clock_is_compared_with_the_server_s(
    tmp_path: Path, application: Application, ahead: int | None, outcome: str, message: str
) -> None:
    def answer(request: Request) -> bytes:
        date = {} if ahead is None else {"date": formatdate(room.clock.time() + ahead, usegmt=True)}
        return reply(200, page(), **date)

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)

        ran = room("doctor")

    assert outcomes(ran)["clock"] == outcome
    assert message in next(row[2] for row in ran.rows if row[0] == "clock")
    assert ran.exit_code == (3 if outcome == "fail" else 0)


def test_without_any_setup_it_says_how_to_start(bare: Room) -> None:
    ran = bare("doctor")

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "voicectl profile add" in ran.stderr
    assert "voicectl demo" in ran.stderr


def test_calls_in_doubt_are_mentioned(voicectl: Room) -> None:
    voicectl(
        "sandbox fault add lost-request --on createCall --times 1", env={"VOICECTL_SANDBOX": voicectl.url}
    )
    assert voicectl("call create --to 447700900001 --talk Hi").exit_code == 12

    ran = voicectl("doctor")

    assert ran.exit_code == 0
    assert "1 call in doubt. To see more: voicectl call reconcile" in ran.rows[-1][2]
