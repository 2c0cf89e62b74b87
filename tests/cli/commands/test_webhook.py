"""``webhook list|tail|replay|purge|verify``: kept events are listed, sent again, deleted and verified."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import StartRoom
from tests.support import kept
from tests.support.kept import CONVERSATION, LEG, keep, status
from tests.support.machines import forget_signature_secret
from tests.support.postgres import Postgres
from tests.support.room import Ran, Room
from tests.support.servers import Canned, reply
from tests.support.waiting import PATIENCE_SECONDS
from tests.webhook import signing
from voicectl.clock import SystemClock
from voicectl.store.events import Route
from voicectl.store.events_spool import Spool

OTHER = "9a8b1111-5e6f-4788-99aa-bbccddeeff00"
INPUT = {
    "speech": {"results": []},
    "dtmf": {"digits": "42", "timed_out": False},
    "uuid": LEG,
    "conversation_uuid": CONVERSATION,
    "timestamp": "2026-02-02T02:40:05.000Z",
}
RECORD = {"recording_url": "https://api.nexmo.com/v1/files/x", "conversation_uuid": CONVERSATION}
MOVED = {"conversation_uuid_from": CONVERSATION, "conversation_uuid_to": "CON-other", "uuid": OTHER}


def ids(ran: Ran) -> list[str]:
    assert ran.exit_code == 0, ran.stderr
    return [row[0] for row in ran.rows]


# list


@pytest.fixture
def full(room: Room) -> Room:
    """A machine with events 1 to 6."""
    keep(room, status("ringing"), status("answered", second=2))
    keep(room, INPUT, RECORD)
    room.clock.sleep(3600)
    keep(room, status("busy", leg=OTHER, conversation_uuid="CON-third"), MOVED)
    return room


def test_list_shows_stored_events_newest_last(full: Room) -> None:
    ran = full("webhook list -o json")

    assert [each["id"] for each in ran.json] == [1, 2, 3, 4, 5, 6]
    first = ran.json[0]
    assert first["event"]["status"] == first["status"] == "ringing"
    assert (first["kind"], first["route"], first["uuid"]) == ("status", "event", LEG)
    assert (first["received_at"], first["signed"], first["repeats"]) == ("2026-02-02T02:40:00.000Z", True, 0)
    assert full("webhook list").rows[2] == [
        *("3", "2026-02-02T02:40:00.000Z", "event", "input", "-", LEG, CONVERSATION, "-", "-", "true", "0"),
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (f"--leg {LEG}", "1 2 3"),
        (f"--leg {LEG.upper()}", "1 2 3"),
        (f"--leg {LEG.replace('-', '')}", "1 2 3"),
        ("--leg 9a8b7c", "1 2 3"),
        ("--leg 9A8B11", "5 6"),
        (f"--conversation {CONVERSATION}", "1 2 3 4 6"),
        ("--status busy", "5"),
        ("--kind status", "1 2 5"),
        ("--kind input --kind record", "3 4"),
        ("--since 30m", "5 6"),
        ("--before 30m", "1 2 3 4"),
        ("--since 2026-02-02T02:40:00Z --before 2026-02-02T03:40:00Z", "1 2 3 4"),
        ("--limit 2", "5 6"),
        ("--kind status --limit 2", "2 5"),
        ("--status nonsense", ""),
        ("--leg 11111111-5e6f-4788-99aa-bbccddeeff00", ""),
    ],
)
def test_list_filters(full: Room, options: str, found: str) -> None:
    assert ids(full(f"webhook list {options}")) == found.split()


@pytest.mark.parametrize("leg", ["leg_01", "9a8b", "NEXMO-7/../x", "é 1"])
def test_an_id_in_another_form_matches_the_leg_too(full: Room, leg: str) -> None:
    keep(full, status("busy", leg=leg, sip_code=486))

    assert ids(full(["webhook", "list", "--leg", leg])) == ["7"]
    traced = full(["trace", leg, "-o", "json"])
    assert [each["what"] for each in traced.json["entries"] if each["uuid"] == leg] == ["busy"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--leg 9a8b", 4),
        ("--leg 1234", 4),
        ("--leg 9a8", 2),
        ("--leg ../x", 2),
        ("--leg '9a8b%'", 2),
        ("--leg @last", 2),
        ("--kind nonsense", 2),
        ("--since yesterday", 2),
        ("--limit 0", 2),
    ],
)
def test_list_refuses_invalid_options(full: Room, options: str, code: int) -> None:
    ran = full(f"webhook list {options}")

    assert (ran.exit_code, ran.stdout) == (code, "")


def test_an_ambiguous_leg_lists_the_candidates(full: Room) -> None:
    ran = full("webhook list --leg 9a8b")

    assert LEG in ran.stderr
    assert f"{OTHER} (busy, to 447700900001)" in ran.stderr


def test_without_stored_events_nothing_is_listed_or_created(room: Room) -> None:
    ran = room("webhook list -o json")

    assert (ran.exit_code, ran.json) == (0, [])
    assert "voicectl webhook serve" in ran.stderr
    assert room("webhook purge --before 1d -o json").json["events"] == 0
    assert not list(room.state.rglob("events.db"))


def test_an_unreadable_event_is_shown_as_received(room: Room) -> None:
    keep(room, b'{"uuid": NaN}', b"\xff\x00\x1b[31m", status("a\x1b[31m\u202eword"), is_signed=False)

    one, other, third = room("webhook list -o json").json
    assert (one["kind"], one["body"], one["signed"]) == ("unknown", '{"uuid": NaN}', False)
    assert "JSON" in one["fault"]
    assert other["body"] == "\\xff\x00\x1b[31m"
    assert third["event"]["status"] == "a\x1b[31m\u202eword"
    plain = {"NO_COLOR": "1"}
    for output in (
        room("webhook list"),
        room("webhook list", terminal=True, env=plain),
        room("webhook list -o csv"),
    ):
        assert output.exit_code == 0
        assert "\x1b" not in output.stdout
        assert "\u202e" not in output.stdout


def test_a_formula_in_a_number_is_neutralized_in_csv(room: Room) -> None:
    keep(room, status("ringing", **{"from": "=1+1"}))

    assert next(csv.DictReader(io.StringIO(room("webhook list -o csv").stdout)))["event.from"] == "'=1+1"


def test_a_password_on_the_command_line_is_refused_and_not_repeated(room: Room) -> None:
    for store in ("postgresql://me:hunter2@db/x", "postgresql://me@db/x?password=hunter2"):
        for command in ("list", "tail", "purge --before 1d", "replay 1 --to http://127.0.0.1:9"):
            ran = room(f"webhook {command} --store {store}")
            assert (ran.exit_code, ran.stdout) == (2, "")
            assert "visible to every user of this host" in ran.stderr
            assert "hunter2" not in ran.stderr
    assert room("webhook list --store nonsense").exit_code == 2


# tail


@contextmanager
def tailing(
    room: Room, options: str = "", *, remarks: int = 0, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``webhook tail`` inside the block, end it as Ctrl-C does, and expect the given number of *remarks*."""
    room.clock = SystemClock()  # type: ignore[assignment]
    with room.spawn(f"webhook tail {options}", env=env, bufsize=0) as child:
        try:
            yield child
            child.send_signal(signal.SIGINT)
            assert child.wait(PATIENCE_SECONDS) == 130
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.read() == b"", "each event once: a repetition is not a new one"
            assert child.stderr.read().count(b"\n") == remarks
        finally:
            child.kill()


def line(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    assert select.select([child.stdout], [], [], PATIENCE_SECONDS)[0], "nothing was shown"
    return child.stdout.readline().decode()


def test_tail_starts_with_the_latest_events_and_continues_with_new_ones(full: Room) -> None:
    with tailing(full, "-n 2 -o jsonl") as child:
        assert [json.loads(line(child))["id"] for _ in range(2)] == [5, 6]
        keep(full, status("completed", second=9))
        assert json.loads(line(child))["status"] == "completed"
        keep(full, status("completed", second=9))
        keep(full, *(status("ringing", second=each) for each in range(10, 40)))
        assert [json.loads(line(child))["id"] for _ in range(30)] == [*range(8, 38)]


def test_tail_filters(full: Room) -> None:
    with tailing(full, f"--leg {LEG} --kind status -o json --fields id,status") as child:
        assert [json.loads(line(child)) for _ in range(2)] == [
            {"id": 1, "status": "ringing"},
            {"id": 2, "status": "answered"},
        ]
        keep(
            full, INPUT | {"dtmf": {}}, status("ringing", leg=OTHER, second=3), status("completed", second=9)
        )
        assert json.loads(line(child))["status"] == "completed"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("-o table", ["answered", "ringing"]),
        ("-o table --all-events", ["member:left", "ringing"]),
        ("-o table --kind rtc", ["member:left"]),
        ("", ["rtc", "status"]),
    ],
)
def test_tail_on_a_terminal_omits_rtc_events_by_default(room: Room, options: str, shown: list[str]) -> None:
    keep(room, status("answered"))
    keep(room, {"type": "member:left", "body": {"channel": {"id": LEG}}}, route=Route.RTC)
    keep(room, status("ringing"))
    with tailing(room, f"-n 2 {options}") as child:
        assert [line(child).split()[2 if options else 3] for _ in shown] == shown


def test_tail_waits_for_the_first_event(room: Room) -> None:
    with tailing(room) as child:
        keep(room, status("ringing"))
        first = line(child).rstrip("\n").split("\t")
        assert first[3:6] == ["status", "ringing", LEG]


def test_tail_of_zero_events_shows_only_new_ones(full: Room) -> None:
    with tailing(full, "-n 0 -o json") as child:
        newest = 0
        while not select.select([child.stdout], [], [], 0.2)[0]:  # it takes a moment to begin
            (newest,) = keep(full, status("answered", attempt=newest))
            assert newest < 1000
        shown = [json.loads(line(child))["id"]]
        while shown[-1] < newest:
            shown.append(json.loads(line(child))["id"])
        assert shown == [*range(shown[0], newest + 1)]
        assert shown[0] > 6


def test_a_closed_output_ends_tail_quietly(full: Room) -> None:
    full.clock = SystemClock()  # type: ignore[assignment]
    with full.spawn("webhook tail -n 1") as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        keep(full, status("completed", second=9))
        assert child.wait(PATIENCE_SECONDS) == 0
        assert child.stderr is not None
        assert child.stderr.read() == b""


def test_one_tail_shows_events_of_several_receivers_in_postgresql(room: Room, postgres: Postgres) -> None:
    keep(room, status("ringing"), url=postgres.url)
    with tailing(room, "-o json", remarks=1, VOICECTL_STORE=postgres.url) as child:
        assert json.loads(line(child))["status"] == "ringing"
        for second in range(1, 6):
            keep(room, status("answered", second=second), url=postgres.url)
            assert json.loads(line(child))["event"]["timestamp"].endswith(f":0{second}.000Z")
        with psycopg.connect(postgres.url, autocommit=True) as link:  # the server closes all connections
            link.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'voicectl' AND pid <> pg_backend_pid()"
            )
        keep(room, status("completed", second=6), url=postgres.url)
        assert json.loads(line(child))["status"] == "completed"
    room.clock.sleep(1)
    assert ids(room(f"webhook list --leg 9a8b --limit 1 --store {postgres.url}")) != []
    assert room(f"webhook purge --before 0 --store {postgres.url} -o json").json["events"] == 7


# replay


def replay(room: Room, options: str, *answers: bytes) -> tuple[Ran, list[Any]]:
    with Canned(*(answers or (reply(200),))) as server:
        ran = room(f"webhook replay {options} --to {server.url}/hook")
    return ran, server.requests


def test_replay_sends_each_event_unchanged_and_in_order(room: Room) -> None:
    body = b'{ "uuid": "x",\n "odd": "\xc3\xab" }'
    keep(room, body, query=b"vc=vc-1&a=%20b")
    keep(room, b"", method="GET", query=b"uuid=1&dtmf=%7B%22digits%22%3A%2242%22%7D", route=Route.ANSWER)
    keep(room, status("busy"))
    ran, requests = replay(room, "3 1 2 -o json")

    assert ran.exit_code == 0
    assert [each.method for each in requests] == ["POST", "GET", "POST"]
    assert requests[0].target == "/hook?vc=vc-1&a=%20b"
    assert requests[0].body == body
    assert requests[0].headers["content-type"] == "application/json"
    assert requests[1].target == "/hook?uuid=1&dtmf=%7B%22digits%22%3A%2242%22%7D"
    assert "content-type" not in requests[1].headers
    assert all("authorization" not in each.headers for each in requests)
    assert ran.json[2] == {
        "id": 3,
        "kind": "status",
        "status": "busy",
        "uuid": LEG,
        "outcome": "done",
        "http_status": 200,
    }


def test_replay_selects_like_list(full: Room) -> None:
    ran, requests = replay(full, "--leg 9a8b7 --kind status")

    assert ran.rows == [["1", "status", LEG, "done", "200"], ["2", "status", LEG, "done", "200"]]
    assert [each.json["status"] for each in requests] == ["ringing", "answered"]


def test_the_query_of_the_url_is_kept(room: Room) -> None:
    keep(room, status("busy"), query=b"b=2")
    with Canned(reply(204)) as server:
        assert room(f"webhook replay 1 --to {server.url}?a=1").exit_code == 0
    assert server.requests[0].target == "/?a=1&b=2"


def test_a_refused_event_is_reported_and_the_others_are_sent(full: Room) -> None:
    ran, requests = replay(
        full, "1 2 3 -o json", reply(200), reply(503), reply(302, location="/x"), reply(200)
    )

    assert ran.exit_code == 10
    assert [(each["outcome"], each["http_status"]) for each in ran.json] == [
        ("done", 200),
        ("failed", 503),
        ("failed", 302),
    ]
    assert len(requests) == 3, "no redirect is followed"
    assert ran.error["message"].startswith("event 2: the receiver returned 503")

    ran, _ = replay(full, "1 2", reply(500))
    assert ran.exit_code == 7


def test_a_closed_port_is_7(full: Room) -> None:
    ran = full("webhook replay 1 --to http://127.0.0.1:1/x")

    assert (ran.exit_code, ran.rows) == (7, [["1", "status", LEG, "failed", "-"]])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--to http://127.0.0.1:9/x", 2),
        ("1", 2),
        ("1 --to ftp://127.0.0.1/x", 2),
        ("1 --to 127.0.0.1:9", 2),
        ("1 --to http://me:pw@127.0.0.1:9/x", 2),
        ("0 --to http://127.0.0.1:9/x", 2),
        ("x --to http://127.0.0.1:9/x", 2),
        ("1 77 --to http://127.0.0.1:9/x", 4),
        ("1 99999999999999999999 --to http://127.0.0.1:9/x", 4),
        ("1 --sign --to http://127.0.0.1:9/x", 3),
    ],
)
def test_replay_refuses_invalid_options(full: Room, options: str, code: int) -> None:
    forget_signature_secret(full)

    ran = full(f"webhook replay {options}")

    assert (ran.exit_code, ran.stdout) == (code, "")


def test_a_rehearsal_reaches_no_other_host(full: Room) -> None:
    env = {
        "VOICECTL_SANDBOX": full.url,
        "VOICECTL_STORE": "postgresql://192.0.2.1/events",
        "VOICECTL_SIGNATURE_SECRET": "secret",
    }
    for words in ("replay 1 --to https://app.example.org/x", "serve --forward-to https://app.example.org"):
        ran = full(f"webhook {words}", env=env)
        assert (ran.exit_code, ran.stdout) == (9, "")

    ran = full("webhook list --store postgresql://192.0.2.1/other", env=env)
    assert (ran.exit_code, len(ran.rows)) == (0, 6)
    assert "so events are stored on this machine, not in the configured store" in ran.stderr
    assert full("webhook list", env=env).exit_code == 0


def test_events_signed_again_equal_those_of_the_platform(room: Room) -> None:
    keep(room, status("busy"))
    keep(room, b"", method="GET", query=b"a=1&b=%C3%AB&a=2")
    env = {"VOICECTL_SIGNATURE_SECRET": "old-secret-0123456789abcdef012345\nnew"}
    with Canned(reply(200)) as server:
        assert room(f"webhook replay 1 2 --sign --to {server.url}/hook?x=0", env=env).exit_code == 0
    for request in server.requests:
        checked = room("webhook verify -", stdin=request.raw, env=env)
        assert checked.exit_code == 0, checked.stdout + checked.stderr


def test_a_dry_run_prints_equivalent_curl_commands(room: Room) -> None:
    bodies = [b"{}", b"@file", b"it's", b'{"a": "\x00\xff\\n%"}\r\n', json.dumps(status("busy")).encode()]
    keep(room, *bodies, query=b"vc=1&x='y'")
    keep(room, b"", method="GET", query=b"uuid=%27")
    with Canned(reply(200)) as server:
        ran = room(f"webhook replay --since 1h --to {server.url}/hook --dry-run")
        assert (ran.exit_code, server.requests) == (0, [])
        subprocess.run(["sh", "-ec", ran.stdout], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        dry = [(each.method, each.target, each.body) for each in server.requests]
        server.requests.clear()
        room(f"webhook replay --since 1h --to {server.url}/hook")
        assert dry == [(each.method, each.target, each.body) for each in server.requests]

    shown = room(f"webhook replay --since 1h --to {server.url}/hook --dry-run -o json").json
    assert [each["body"] for each in shown][:3] == [{}, "@file", "it's"]
    assert [each["body"] for each in shown][-2:] == [status("busy"), None]
    assert "".join(f"{each['curl']}\n" for each in shown) == ran.stdout


# purge


def test_purge_deletes_older_events_also_from_the_disk(full: Room) -> None:
    keep(full, status("timeout", leg="22222222-5e6f-4788-99aa-bbccddeeff00", to="447700900999"), received=1.0)
    ran = full("webhook purge --before 30m --dry-run -o json")
    assert ran.json == {"before": "2026-02-02T03:10:00Z", "events": 5, "outcome": "counted"}
    assert len(full("webhook list").rows) == 7

    ran = full("webhook purge --before 30m")
    assert (ran.exit_code, ran.rows) == (0, [["2026-02-02T03:10:00Z", "5", "deleted"]])
    assert ids(full("webhook list")) == ["5", "6"]
    assert not any(b"447700900999" in path.read_bytes() for path in full.state.rglob("events.db*"))
    assert full("webhook purge --before 30m -q").stdout == "0\n"

    aside = Spool(next(full.state.rglob("events.db")).parent / "spool").put([kept.arrival(status("busy"))])
    assert "aside" not in full("webhook purge --before 2000-01-01T00:00:00Z").stderr
    os.utime(aside, (1.0, 1.0))
    assert (
        "Files with events waiting for the store were deleted too: 1"
        in full("webhook purge --before 0").stderr
    )
    assert not aside.exists()


def test_purge_accepts_no_future_time(full: Room) -> None:
    assert full("webhook purge --before 2100-01-01T00:00:00Z").exit_code == 2
    assert len(ids(full("webhook list"))) == 6
    assert full("webhook purge").exit_code == 2


# verify


@pytest.fixture
def judge(start_room: StartRoom) -> Room:
    """A machine that knows the signature secret of its sandbox's account."""
    room = start_room()
    assert room.sandbox is not None
    identity = room.sandbox.identity
    room.environ |= {
        "VOICECTL_API_KEY": identity.api_key,
        "VOICECTL_API_SECRET": identity.api_secret,
        "VOICECTL_SIGNATURE_SECRET": identity.signature_secret,
    }
    return room


def token(room: Room, payload: bytes, **changes: Any) -> str:
    assert room.sandbox is not None
    identity = room.sandbox.identity
    usual = {
        "secret": identity.signature_secret,
        "api_key": identity.api_key,
        "application_id": identity.application_id,
        "now": room.clock.time(),
    }
    return signing.token(payload, **(usual | changes))


def http_request(
    token: str | None, body: bytes, *more: str, ends: str = "\r\n", length: bool = True
) -> bytes:
    """Return the content of a file with a request."""
    head = ["POST /webhooks/event?vc=1 HTTP/1.1", "Host: app.example.org"]
    head += [f"Content-Length: {len(body)}"] * length
    head += [f"Authorization: Bearer {token}"] * (token is not None)
    return ends.join([*head, *more, "", ""]).encode() + body


BODY = signing.event()


def findings(ran: Ran) -> dict[str, str]:
    """Return the outcome of each check."""
    return {row[0]: row[1] for row in ran.rows}


def test_verify_lists_each_claim_and_accepts_a_valid_request(judge: Room) -> None:
    ran = judge("webhook verify - -o json", stdin=http_request(token(judge, BODY), BODY))

    assert ran.exit_code == 0, ran.stderr
    assert [each["check"] for each in ran.json] == [
        *(
            "request",
            "token",
            "algorithm",
            "account",
            "signature",
            "issuer",
            "application",
            "payload",
            "time",
            "id",
        )
    ]
    assert [each["outcome"] for each in ran.json] == ["-", *["ok"] * 9]


def test_verify_shows_what_it_compared(judge: Room) -> None:
    made = token(judge, BODY, jti="5f0c9d8e", now=judge.clock.time() - 7)
    ran = judge("webhook verify -", stdin=http_request(made, BODY))

    digest = hashlib.sha256(BODY).hexdigest()
    ours = judge.sandbox.identity  # type: ignore[union-attr]
    assert [row[2] for row in ran.rows] == [
        "POST /webhooks/event",
        "Bearer, with 6 claims",
        "HS256, expected HS256",
        f"api_key {ours.api_key}: a signature secret is known for it",
        "made with a known signature secret",
        "iss Vonage, expected Vonage",
        f"{ours.application_id}; this profile's is {ours.application_id}",
        f"payload_hash {digest}; the body, {len(BODY)} bytes, has the hash {digest}",
        "issued 2026-02-02T02:39:53Z, 7 s ago; accepted: up to 300 s ago, or 60 s in the future",
        "jti 5f0c9d8e",
    ]


def test_verify_shows_what_differs(judge: Room) -> None:
    changes = {"api_key": "unknown", "application_id": signing.GONE, "iss": signing.GONE, "jti": "x" * 201}
    made = token(judge, b"{}", **changes, now=judge.clock.time() + 61)
    ran = judge("webhook verify -", stdin=http_request(made, b"[]"))

    ours = judge.sandbox.identity  # type: ignore[union-attr]
    assert [row[1:] for row in ran.rows[3:]] == [
        ["fail", "api_key unknown: no signature secret is known for it"],
        ["fail", "not made with a known signature secret"],
        ["fail", "iss None, expected Vonage"],
        ["ok", f"no application_id; this profile's is {ours.application_id}"],
        [
            "fail",
            f"payload_hash {hashlib.sha256(b'{}').hexdigest()}; the body, 2 bytes, has the hash"
            f" {hashlib.sha256(b'[]').hexdigest()}",
        ],
        [
            "fail",
            "issued 2026-02-02T02:41:01Z, 61 s in the future; accepted: up to 300 s ago, or 60 s in the future",
        ],
        ["fail", f"jti {'x' * 77}..."],
    ]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"secret": "another"}, "signature"),
        ({"api_key": "unknown"}, "account"),
        ({"iss": "vonage"}, "issuer"),
        ({"application_id": signing.APPLICATION}, "application"),
        ({"payload_hash": "0" * 64}, "payload"),
        ({"payload_hash": signing.GONE}, "payload"),
        ({"now": 1_770_000_000 - 301}, "time"),
        ({"now": 1_770_000_000 + 61}, "time"),
        ({"iat": "soon"}, "time"),
        ({"jti": signing.GONE}, "id"),
    ],
)
def test_verify_names_the_failed_check(judge: Room, changes: dict[str, Any], check: str) -> None:
    ran = judge("webhook verify -", stdin=http_request(token(judge, BODY, **changes), BODY))

    assert ran.exit_code == 2
    assert findings(ran)[check] == "fail"
    assert ran.stderr.startswith("voicectl")


@pytest.mark.parametrize("content", [b"", b"x", b"a.b.c", b"\xff"])
def test_verify_reports_an_invalid_token(judge: Room, content: bytes) -> None:
    ran = judge("webhook verify -", stdin=http_request(content.decode("latin-1"), BODY))

    assert (ran.exit_code, findings(ran)["token"]) == (2, "fail")


def test_verify_reports_an_unsigned_request(judge: Room) -> None:
    ran = judge("webhook verify -", stdin=http_request(None, BODY))
    assert (ran.exit_code, findings(ran)) == (2, {"request": "-", "token": "fail"})
    assert ran.rows[1][2] == "no Authorization headers"
    assert "not signed" in ran.stderr

    ran = judge(
        "webhook verify -",
        stdin=http_request(token(judge, BODY), BODY, f"authorization: Bearer {token(judge, BODY)}"),
    )
    assert (ran.exit_code, findings(ran)["token"]) == (2, "fail")
    assert ran.rows[1][2] == "2 Authorization headers"


@pytest.mark.parametrize(("scheme", "code"), [("bearer", 0), ("BEARER", 0), ("Basic", 2)])
def test_verify_shows_the_scheme(judge: Room, scheme: str, code: int) -> None:
    request = http_request(token(judge, BODY), BODY).replace(b"Bearer ", f"{scheme} \t".encode())
    ran = judge("webhook verify -", stdin=request)

    assert ran.exit_code == code
    assert ran.rows[1][1:] == ["fail" if code else "ok", f"{scheme}, with 6 claims"]


def test_an_old_request_can_be_checked_as_of_its_time(judge: Room, tmp_path: Path) -> None:
    path = tmp_path / "request"
    path.write_bytes(http_request(token(judge, BODY), BODY))
    judge.clock.sleep(86_400)

    ran = judge(f"webhook verify {path}")
    assert ran.exit_code == 2
    assert "--at TIME" in ran.stderr
    assert judge(f"webhook verify {path} --at 24h").exit_code == 0
    assert judge(f"webhook verify {path} --at 2026-02-02T02:42:00Z").exit_code == 0
    assert judge(f"webhook verify {path} --at 2026-02-02T02:46:00Z").exit_code == 2


@pytest.mark.parametrize(
    ("query", "payload", "detail"),
    [
        ("order=17&uuid=x", b'{"uuid":"x"}', "it does not cover order"),
        (
            "uuid=x&headers={}",
            b'{"uuid":"x","headers":{}}',
            "it covers the query, decoded into nested objects",
        ),
    ],
)
def test_verify_names_unsigned_parameters(judge: Room, query: str, payload: bytes, detail: str) -> None:
    head = f"GET /webhooks/answer?{query} HTTP/1.1\r\nAuthorization: Bearer {token(judge, payload)}\r\n\r\n"
    ran = judge("webhook verify - -o json", stdin=head.encode())

    assert ran.exit_code == 0
    (found,) = (each for each in ran.json if each["check"] == "payload")
    assert (found["outcome"], found["detail"].partition("; ")[2]) == ("ok", detail)


@pytest.mark.parametrize("length", [b"7", b"4000", b"x", b""])
def test_a_body_that_contradicts_its_length_is_checked_as_a_whole(judge: Room, length: bytes) -> None:
    request = http_request(token(judge, BODY), BODY).replace(
        f"Length: {len(BODY)}\r".encode(), b"Length: %s\r" % length
    )
    ran = judge("webhook verify -", stdin=request)

    assert ran.exit_code == 0
    assert f"the body, {len(BODY)} bytes," in ran.rows[7][2]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("extra", [b"", b"\n", b"\r\n"])
def test_changed_line_endings_do_not_matter(judge: Room, ends: str, length: bool, extra: bytes) -> None:
    request = http_request(token(judge, BODY), BODY, ends=ends, length=length) + extra
    assert judge("webhook verify -", stdin=request).exit_code == 0


def test_a_newline_that_was_signed_is_part_of_the_body(judge: Room) -> None:
    body = BODY + b"\n"
    for length in (True, False):
        request = http_request(token(judge, body), body, length=length)
        assert judge("webhook verify -", stdin=request).exit_code == 0
    assert judge("webhook verify -", stdin=http_request(token(judge, body), BODY)).exit_code == 2


def test_output_of_curl_with_a_separate_body_is_accepted(judge: Room, tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(BODY)
    head = http_request(token(judge, BODY), BODY).partition(b"\r\n\r\n")[0].decode()
    shown = "*   Trying 127.0.0.1:80...\n* Connected\n" + "".join(
        f"> {each}\n" for each in head.split("\r\n")
    )
    shown += '> \n* upload completely sent off\n< HTTP/1.1 401 Unauthorized\n< \n{"no": 1}\n'

    assert judge(f"webhook verify - --body {path}", stdin=shown).exit_code == 0
    ran = judge("webhook verify -", stdin=shown)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "--body FILE" in ran.stderr
    path.write_bytes(BODY + b"\n")
    assert judge(f"webhook verify - --body {path}", stdin=shown).exit_code == 2


@pytest.mark.parametrize("length", ["", "> Content-Length: 0\r\n"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_output_of_curl_without_a_body_needs_no_file(judge: Room, method: str, length: str) -> None:
    payload = b'{"uuid":"x"}' if method == "GET" else b""
    shown = (
        f"> {method} /e?uuid=x HTTP/1.1\r\n{length}> Authorization: Bearer {token(judge, payload)}\r\n>\r\n"
    )
    ran = judge("webhook verify -", stdin=f"{shown}< HTTP/1.1 401 Unauthorized\n< \n> no\n")

    assert ran.exit_code == 0, ran.stdout


def test_a_get_is_verified_by_its_query(judge: Room) -> None:
    payload = b'{"status":"busy","dtmf":"{\\"digits\\":\\"3\\"}","a":["1","2"]}'
    line = "GET /e?status=busy&dtmf=%7B%22digits%22%3A%223%22%7D&a=1&a=2 HTTP/1.1\r\n"
    header = f"Authorization: Bearer {token(judge, payload)}\r\n\r\n"

    ran = judge("webhook verify -", stdin=line + header)
    assert ran.exit_code == 0
    digest = hashlib.sha256(payload).hexdigest()
    assert ran.rows[7][2] == f"payload_hash {digest}; the query as JSON has the hash {digest}"
    assert judge("webhook verify -", stdin=line.replace("busy", "free") + header).exit_code == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file contains no request."),
        (b"\n\n", "The file contains no request."),
        (b"hello", "Line 1 is not the request line of a GET or a POST."),
        (b"\r\n\r\nPUT / HTTP/1.1\n\n", "Line 3 is not the request line of a GET or a POST."),
        (b"POST / HTTP/1.1\nno header\n\n", "Line 2 is not a header."),
        (b"POST /\nA: b\nA B: c\n\n", "Line 3 is not a header."),
        (b"* Connected\n> POST / HTTP/1.1\n> A: b\n* x\n> A B: c\n>\n", "Line 5 is not a header."),
        (b"* Connected\n< HTTP/1.1 401\n", "The file contains no request."),
        (b"\xff\xfe", "Line 1 is not the request line of a GET or a POST."),
    ],
)
def test_a_file_without_a_request_is_reported(judge: Room, content: bytes, said: str) -> None:
    ran = judge("webhook verify -", stdin=content)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert "a request line, headers, an empty line and the body" in ran.stderr


def test_verify_needs_a_secret_and_never_shows_it(judge: Room) -> None:
    secret = judge.environ.pop("VOICECTL_SIGNATURE_SECRET")
    forget_signature_secret(judge)
    request = http_request(token(judge, BODY), BODY)
    ran = judge("webhook verify -", stdin=request)
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "VOICECTL_SIGNATURE_SECRET" in ran.stderr

    env = {"VOICECTL_SIGNATURE_SECRET": secret}
    ran = judge("webhook verify - -o json --debug", stdin=request, env=env)
    signed = request.partition(b"Bearer ")[2].partition(b"\r")[0].decode()
    assert ran.exit_code == 0
    for part in (secret, signed, signed.rpartition(".")[2]):
        assert part not in ran.stdout + ran.stderr


CHANGES: list[tuple[str, Any]] = [
    ("secret", "another"),
    *(("api_key", value) for value in ("unknown", 7, None)),
    *(("iss", value) for value in ("vonage", None, signing.GONE)),
    *(("application_id", value) for value in (signing.APPLICATION, None, signing.GONE)),
    *(("payload_hash", value) for value in ("0" * 64, None, signing.GONE, 7)),
    *(("iat", 1_770_000_000 + seconds) for seconds in (-301, -300, 60, 61, 10**30)),
    *(("iat", value) for value in (1e400, True, "x", signing.GONE, 10**400, -(10**400), 253_402_300_800)),
    *(("exp", value) for value in (1_770_000_000, 1_770_000_001, "x", None)),
    *(("nbf", value) for value in (1_770_000_060, 1_770_000_061, "x")),
    *(("jti", value) for value in ("", "x", "x" * 200, "x" * 201, 7, signing.GONE)),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]} {str(change[1])[:20]}")
def test_its_verdict_agrees_with_the_receiver(judge: Room, change: tuple[str, Any]) -> None:
    ran = judge("webhook verify -", stdin=http_request(token(judge, BODY, **dict([change])), BODY))

    assert ran.exit_code == (2 if "fail" in findings(ran).values() else 0)


@pytest.mark.parametrize(
    "claim", ["iat", "exp", "nbf", "jti", "iss", "api_key", "application_id", "payload_hash"]
)
@pytest.mark.parametrize("value", [10**400, "x" * 100_000, ["x" * 100_000]], ids=["number", "text", "array"])
def test_an_overlong_claim_is_shown_in_one_short_line(judge: Room, claim: str, value: Any) -> None:
    ran = judge("webhook verify - -o json", stdin=http_request(token(judge, BODY, **{claim: value}), BODY))

    assert ran.exit_code == (0 if (claim, value) == ("exp", 10**400) else 2)
    assert max(len(each["detail"]) for each in ran.json) < 300
    assert len(ran.stderr) < 1000


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://[::1", ""),
        ("http://[::1/a", "/a"),
        ("//[", "//["),
        ("http://[x]y/z?vc=1", "/z"),
        ("https://app.example.org/e#?vc=1", "/e"),
        ("/e?next=http://x.org/y", "/e"),
        ("/" + "x" * 100, "/" + "x" * 76 + "..."),
    ],
)
def test_a_request_line_with_an_odd_url_is_recognized(judge: Room, url: str, path: str) -> None:
    signed = token(judge, BODY)
    request = f"POST {url} HTTP/1.1\nAuthorization: Bearer {signed}\n\n".encode() + BODY
    ran = judge("webhook verify -", stdin=request)

    assert ran.exit_code == 0, ran.stderr
    assert ran.rows[0] == ["request", "-", f"POST {path}"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.sampled_from(CHANGES), min_size=2, max_size=4).map(dict))
def test_its_verdict_agrees_for_several_faults_at_once_too(judge: Room, changes: dict[str, Any]) -> None:
    ran = judge("webhook verify -", stdin=http_request(token(judge, BODY, **changes), BODY))

    assert ran.exit_code == (2 if "fail" in findings(ran).values() else 0)


def test_the_named_kinds_exist() -> None:
    assert kept.arrival(MOVED).kind == "transfer"
    assert kept.arrival(b"{}", route=Route.RTC).kind == "rtc"
