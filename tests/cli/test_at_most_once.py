"""A call is created at most once wherever the connection breaks; the tests count POSTs for each kind of break."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.fault_proxy import Fault, FaultProxy, Side, What, cut
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, page, reply

SEED = 20_260_202


@pytest.fixture
def line(room: Room) -> Iterator[FaultProxy]:
    """The line between the machine and its sandbox."""
    with FaultProxy(room.url) as proxy:
        room.environ["VOICECTL_BASE_URL"] = proxy.url
        yield proxy


def create(room: Room, to: str = PERSON, options: str = "") -> Ran:
    return room(f"call create --to {to} --talk Hello -o json {options}")


def legs_to(room: Room, number: str) -> list[str]:
    assert room.sandbox is not None
    legs = room.sandbox.exchange.legs.values()
    return [leg.uuid for leg in legs if leg.to.get("number") == number]


def sent_to(line: FaultProxy, number: str) -> int:
    """Return the number of POSTs for *number* that reached the proxy."""
    return sum(request.json["to"][0].get("number") == number for request in line.posts)


def assert_explains_how_to_go_on(ran: Ran) -> None:
    """Check for exit status 12, an empty standard output, and the three ways to proceed."""
    assert ran.exit_code == 12, ran
    assert ran.stdout == ""
    error = ran.error
    assert error["code"] == "outcome_unknown"
    assert error["retryable"] is False
    command, *_ = error["hint"].removeprefix("Look again: ").split(". ")
    assert command.startswith("voicectl call reconcile vc-")
    assert f"{command} --hangup" in error["hint"]
    assert f"{command} --assume not-created --reason TEXT" in error["hint"]


def assert_sent_once(line: FaultProxy, number: str = PERSON) -> None:
    assert sent_to(line, number) == 1, f"{sent_to(line, number)} POSTs reached the line"


def offsets(size: int, boundaries: set[int], *, more: int) -> list[int]:
    """Places to cut: the first and last bytes, around each boundary, and *more* at random."""
    near = {at + step for at in boundaries | {0, size} for step in (-1, 0, 1)}
    chance = random.Random(SEED).sample(range(size), more)
    return sorted(at for at in near | set(chance) if 0 <= at < size)


def test_a_request_cut_at_any_byte_is_sent_once_and_in_doubt(room: Room, line: FaultProxy) -> None:
    assert create(room).exit_code == 0
    (request,) = line.posts
    head = len(request.raw) - len(request.body)

    for index, at in enumerate(offsets(len(request.raw), {head, head // 2}, more=20)):
        to = f"4477008{index:05}"
        line.fault = cut(Side.REQUEST, at, abrupt=bool(index % 2))
        ran = create(room, to)

        assert_explains_how_to_go_on(ran)
        assert_sent_once(line, to)
        assert legs_to(room, to) == [], f"cut at {at} of the request"


def test_a_reply_cut_at_any_byte_is_looked_up_and_the_request_is_never_sent_again(
    room: Room, line: FaultProxy
) -> None:
    create(room)
    (size,) = line.reply_sizes[:1]

    for index, at in enumerate(offsets(size, {size - 120, 15}, more=40)):
        to = f"4477008{index:05}"
        line.fault = cut(Side.REPLY, at, abrupt=bool(index % 2))
        ran = create(room, to)

        assert_sent_once(line, to)
        assert ran.exit_code == 0, f"cut at {at} of the reply (seed {SEED}): {ran.stderr}"
        assert legs_to(room, to) == [ran.json["uuid"]]
        assert ran.json["certainty"] == "matched"
        assert ran.json["reference"].startswith("vc-")


def test_a_complete_reply_counts_even_if_the_connection_breaks_after_it(room: Room, line: FaultProxy) -> None:
    create(room)
    line.fault = cut(Side.REPLY, line.reply_sizes[0], abrupt=True)
    ran = create(room, "447700900002")

    assert ran.exit_code == 0
    assert "certainty" not in ran.json


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(What.STALL, Side.REPLY, at), id=f"the reply stops at byte {at}")
        for at in (0, 1, 80, 250)
    ]
    + [pytest.param(Fault(What.SLICE, Side.REPLY, 30, seconds=0.1), id="the reply drips")],
)
def test_a_reply_that_misses_the_deadline_counts_as_lost(room: Room, line: FaultProxy, fault: Fault) -> None:
    line.fault = fault
    ran = create(room, options="--request-timeout 1")

    assert_sent_once(line)
    assert ran.exit_code == 0, ran.stderr
    assert ran.json["certainty"] == "matched"
    assert legs_to(room, PERSON) == [ran.json["uuid"]]


@pytest.mark.parametrize("at", [0, 300])
def test_a_request_that_gets_stuck_is_in_doubt(room: Room, line: FaultProxy, at: int) -> None:
    line.fault = Fault(What.STALL, Side.REQUEST, at)
    ran = create(room, options="--request-timeout 1")

    assert_sent_once(line)
    assert_explains_how_to_go_on(ran)


def test_a_call_in_doubt_is_looked_for_each_second_for_eight_seconds(room: Room) -> None:
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "lost-request", "on": "createCall"})

    assert_explains_how_to_go_on(create(room))
    assert room.clock.slept == [1.0] * 8
    assert len(room.requests("getCalls")) == 9


def test_a_lost_reply_whose_look_up_fails_too_is_in_doubt(room: Room, line: FaultProxy) -> None:
    line.fault = cut(Side.REPLY, 0, method="")
    ran = create(room)

    assert_sent_once(line)
    assert_explains_how_to_go_on(ran)
    assert len(legs_to(room, PERSON)) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_an_ambiguous_reply_is_in_doubt(room: Room, status: int) -> None:
    sandbox = room.sandbox
    assert sandbox is not None
    sandbox.faults.add({"what": "status", "code": status, "on": "createCall"})
    ran = create(room)

    assert_explains_how_to_go_on(ran)
    assert len(room.requests("createCall")) == 1


@pytest.mark.parametrize("status", [400, 402, 404, 409, 410, 418, 422, 499])
def test_a_complete_refusal_is_final_and_leaves_nothing_in_doubt(room: Room, status: int) -> None:
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "code": status, "on": "createCall", "times": 1})
    ran = create(room)

    assert ran.exit_code == (4 if status == 404 else 5)
    assert ran.stdout == ""
    assert len(room.requests("createCall")) == 1
    assert room("call reconcile -o json").json == []


def test_a_call_whose_connection_is_refused_may_be_tried_again(room: Room) -> None:
    with FaultProxy(room.url) as gone:
        pass
    ran = room(
        f"call create --to {PERSON} --talk Hello -o json --idempotency-key k",
        env={"VOICECTL_BASE_URL": gone.url},
    )
    assert ran.exit_code == 7
    assert ran.error["retryable"] is True
    assert len(room.clock.slept) == 2, "tried three times"

    ran = create(room, options="--idempotency-key k")
    assert ran.exit_code == 0
    assert "replayed" not in ran.json


def test_the_setup_detects_a_client_that_sends_again(room: Room, line: FaultProxy) -> None:
    """The control: these counts would expose a naive client."""
    create(room)
    (request,) = line.posts
    line.requests.clear()
    line.fault = cut(Side.REPLY, 0)
    host = urlsplit(line.url).netloc

    for _ in range(3):
        connection = http.client.HTTPConnection(host)
        try:
            connection.request("POST", request.target, request.body, request.headers)
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()

    with pytest.raises(AssertionError, match="3 POSTs"):
        assert_sent_once(line)
    assert len(legs_to(room, PERSON)) == 4


def test_with_one_of_several_calls_in_doubt_the_others_are_printed_and_it_exits_with_12(
    room: Room, line: FaultProxy
) -> None:
    lost = "447700900002"
    line.on_request = lambda request: setattr(
        line, "fault", cut(Side.REQUEST, 0) if request.method == "GET" else None
    )
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "code": 500, "on": "createCall", "times": 1})
    ran = room(f"call create --to {lost} --to {PERSON} --to 447700900003 --talk Hello -o json")

    assert ran.exit_code == 12
    assert [record["uuid"] for record in ran.json] == legs_to(room, PERSON) + legs_to(room, "447700900003")
    assert lost in ran.error["message"]
    assert json.loads(room("call reconcile -o json").stdout)[0]["to"] == lost


def test_two_lost_replies_to_one_number_are_never_matched_to_each_others_call(
    room: Room, line: FaultProxy
) -> None:
    """The first cannot be found; while it is in doubt, a record to that number may be its call or the other's."""
    line.fault = cut(Side.REQUEST, 10)
    assert_explains_how_to_go_on(create(room))
    line.fault = cut(Side.REPLY, 10)
    assert_explains_how_to_go_on(create(room))
    first, second = (row["reference"] for row in room("call reconcile -o json").json)

    assert room(f"call reconcile {second}").exit_code == 12
    assert room(f"call reconcile {first} --assume not-created --reason 'it was cut'").exit_code == 0
    ran = room(f"call reconcile {second} -o json")
    assert ran.exit_code == 0
    assert [ran.json["uuid"]] == legs_to(room, PERSON)
    assert ran.json["certainty"] == "matched"


def test_without_the_journal_a_lost_reply_is_12_and_names_no_reference(room: Room, line: FaultProxy) -> None:
    line.fault = cut(Side.REPLY, 0)
    ran = create(room, options="--no-journal")

    assert_sent_once(line)
    assert (ran.exit_code, ran.stdout) == (12, "")
    assert "The journal is off" in ran.stderr
    assert "vc-" not in ran.stderr
    assert room("call reconcile -o json").json == []


@pytest.mark.parametrize(
    "action",
    [
        "dtmf {leg} 12",
        "talk {leg} Hello",
        "stream {leg} https://cdn.example.org/a.mp3",
        "transfer {leg} --connect 447700900005",
        "move {leg} room",
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_a_sound_that_would_be_heard_twice_is_sent_once(
    room: Room, line: FaultProxy, action: str, side: Side
) -> None:
    leg = room.call()
    line.fault = cut(side, 20, method="PUT")
    ran = room(action.format(leg=leg) + " -o json")

    assert sum(request.method == "PUT" for request in line.requests) == 1
    assert (ran.exit_code, ran.stdout) == (12, "")
    assert ran.error["code"] == "outcome_unknown"


@pytest.mark.parametrize(
    ("action", "tries"),
    [
        ("mute {leg}", 3),
        ("unearmuff {leg}", 3),
        ("talk {leg} --stop", 3),
        ("stream {leg} --stop", 3),
        ("dtmf {leg} --listen https://app.example.org/keys", 3),
        ("dtmf {leg} --no-listen", 3),
    ],
)
def test_a_harmless_request_is_repeated_within_three_seconds(
    room: Room, line: FaultProxy, action: str, tries: int
) -> None:
    leg = room.call()
    started = room.clock.monotonic()
    line.fault = cut(Side.REPLY, 0, method="DELETE" if action.endswith(("--stop", "--no-listen")) else "PUT")
    ran = room(action.format(leg=leg) + " -o json")

    assert ran.exit_code == 7
    assert sum(request.method in ("PUT", "DELETE") for request in line.requests) == tries
    assert room.clock.monotonic() - started <= 3


def test_a_change_that_must_not_repeat_uses_a_new_connection(room: Room, line: FaultProxy) -> None:
    """So a connection that was closed while idle is never taken for a request that was lost."""
    before = line.connections
    ran = room(f"call create --to {PERSON} --to 447700900002 --talk Hi --wait answered -o json")
    assert ran.exit_code == 0

    polls = sum(request.method == "GET" for request in line.requests)
    assert polls > 4
    assert line.connections - before == 2 + 1, "one for each call, one for all reads"
    assert all(request.headers["connection"] == "close" for request in line.posts)


def test_a_kept_connection_that_the_server_closed_does_not_fail_a_read(
    tmp_path: Path, application: Application
) -> None:
    record = {"uuid": LEG, "status": "answered"}
    with Canned(reply(body=page(record)), reply(body=page()), keeps=False) as server:
        ran = machine(tmp_path, application, server.url)("call list -q")

    assert (ran.exit_code, ran.stdout) == (0, f"{LEG}\n")
    assert [request.query["status"] for request in server.requests] == [
        "started",
        "ringing",
        "answered",
        "machine",
    ]
    assert server.connections == 4


@pytest.mark.parametrize(("line", "status"), [(f"call show {LEG}", 7), (f"dtmf {LEG} 1", 12)])
def test_an_error_contains_the_status_and_trace_id_of_an_unusable_reply(
    tmp_path: Path, application: Application, line: str, status: int
) -> None:
    answer = reply(503, {"title": "Unavailable"}, x_nexmo_trace_id="abc123")
    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"{line} -o json")

    assert ran.exit_code == status
    assert (ran.error["http_status"], ran.error["trace_id"]) == (503, "abc123")
