"""``call show``, ``wait``, ``call reconcile`` and ``hangup`` with events of legs in a store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands.test_reconcile import lose
from tests.support.kept import CONVERSATION, LEG, EventfulClock, keep, status
from tests.support.machines import Application, machine
from tests.support.room import BUSY, BY_HAND, PERSON, Ran, Room
from tests.support.servers import Answer, Canned, page, reply

GONE = reply(404, {"title": "Not Found"})


def says(status: str, **fields: Any) -> bytes:
    """Return the API's answer about the leg."""
    return reply(body={"uuid": LEG, "status": status, **fields})


def run(
    tmp_path: Path,
    application: Application,
    line: str,
    *answers: Answer,
    before: Callable[[Room], object] = lambda room: None,
    later: tuple[tuple[float, Callable[[Room], object]], ...] = (),
    **options: Any,
) -> tuple[Ran, list[str], float]:
    """Run a command against canned answers, and return its result, the requests and the time taken.

    Args:
        before: Called before the command.
        later: Functions, each called after the given number of seconds.
    """
    with Canned(*answers) as server:
        room = machine(tmp_path, application, server.url)
        clock = EventfulClock(*((after, lambda happen=happen: happen(room)) for after, happen in later))
        room.clock = clock
        before(room)
        ran = room(line, **options)
    return ran, [request.method for request in server.requests], clock.passed


def kept(*events: dict[str, Any], **changes: Any) -> Callable[[Room], object]:
    return lambda room: keep(room, *events, **changes)


# call show


def test_show_prints_the_status_of_an_event_that_the_api_does_not_know_yet(room: Room) -> None:
    leg = room.call(BY_HAND, wait=None)
    keep(room, status("answered", leg=leg, sip_code=200))
    ran = room(f"call show {leg} -o json")

    assert ran.exit_code == 0
    assert (ran.json["status"], ran.json["status_source"], ran.json["sip_code"]) == ("answered", "event", 200)
    assert ran.json["to"] == {"type": "phone", "number": BY_HAND}, "the API's own"
    assert room(f"call show {leg}").rows[0][-1] == "event"
    assert room(f"call show {leg} --fields status,status_source").stdout == "answered\tevent\n"


def test_show_names_the_api_as_the_source_of_its_status(room: Room) -> None:
    leg = room.call(BUSY, wait="ended")
    keep(room, status("ringing", leg=leg))

    assert room(f"call show {leg} -o json").json["status_source"] == "api"
    assert room(f"call show {room.call()} -o json").json["status_source"] == "api", "no event of this one"


def test_without_a_store_nothing_is_added(room: Room) -> None:
    leg = room.call(BUSY, wait="ended")

    assert "status_source" not in room(f"call show {leg} -o json").json
    assert room(f"call show {leg}").rows[0][-1] == "-"
    assert not list(room.state.rglob("events.db*"))


def test_a_leg_whose_record_is_gone_is_shown_from_its_events(
    tmp_path: Path, application: Application
) -> None:
    end = status("completed", second=20, duration="14")
    ran, *_ = run(
        tmp_path, application, f"call show {LEG} -o json", GONE, before=kept(status("answered"), end)
    )

    assert ran.exit_code == 0
    assert (ran.json["status"], ran.json["duration"], ran.json["status_source"]) == (
        "completed",
        "14",
        "event",
    )
    assert (ran.json["conversation_uuid"], ran.json["direction"]) == (CONVERSATION, "outbound")
    assert ran.json["to"] == {"type": "phone", "number": PERSON}
    assert "no record of this leg" in ran.stderr


@pytest.mark.parametrize("form", [LEG.upper(), LEG.replace("-", "")])
def test_a_leg_is_found_by_any_form_of_its_id(tmp_path: Path, application: Application, form: str) -> None:
    ran, *_ = run(tmp_path, application, f"call show {form} -o json", GONE, before=kept(status("busy")))

    assert (ran.exit_code, ran.json["status"]) == (0, "busy")


def test_a_leg_unknown_to_both_is_4(tmp_path: Path, application: Application) -> None:
    other = status("busy", leg="11111111-5e6f-4788-99aa-bbccddeeff00")
    ran, *_ = run(tmp_path, application, f"call show {LEG}", GONE, before=kept(other))

    assert (ran.exit_code, ran.stdout) == (4, "")


def test_a_terminal_shows_a_contradiction_between_api_and_events(
    tmp_path: Path, application: Application
) -> None:
    line = f"call show {LEG}"
    ran, *_ = run(
        tmp_path,
        application,
        line,
        says("answered"),
        before=kept(status("completed"), is_signed=False),
        terminal=True,
    )
    assert "The API reports answered, but an unsigned event reports completed." in ran.stderr
    assert "unsigned event" in ran.stdout

    ran, *_ = run(tmp_path / "b", application, line, says("answered"), before=kept(status("completed")))
    assert ran.stderr == "", "a script compares for itself"


@pytest.mark.parametrize("content", [b"no database", b""])
def test_an_unusable_store_is_skipped(tmp_path: Path, application: Application, content: bytes) -> None:
    def spoil(room: Room) -> None:
        keep(room, status("completed"))
        (path,) = room.state.rglob("events.db")
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 1000")
        db.close()
        if content:
            path.write_bytes(content)

    ran, *_ = run(tmp_path, application, f"call show {LEG} -o json", says("answered"), before=spoil)
    assert (ran.exit_code, ran.json["status"], ran.json["status_source"]) == (0, "answered", "api")
    assert ran.stderr.count("continuing without the event store") == 1

    ran, *_ = run(tmp_path / "b", application, f"wait {LEG} --for ringing", says("answered"), before=spoil)
    assert ran.exit_code == 0
    assert ran.stderr.count("continuing without the event store") == 1

    ran, methods, _ = run(
        tmp_path / "c", application, f"wait {LEG} --for human", says("answered"), before=spoil
    )
    assert (ran.exit_code, methods) == (1, []), "no other source reports it"


def test_an_invalid_store_stops_no_command_that_works_without_one(room: Room) -> None:
    leg = room.call()
    env = {"VOICECTL_STORE": "mysql://somewhere/else"}
    ran = room(f"call show {leg} -o json", env=env)
    assert (ran.exit_code, ran.json["status"]) == (0, "answered")
    assert "is not a PostgreSQL URL" in ran.stderr
    assert room(f"hangup {leg}", env=env).exit_code == 0


# wait


def test_wait_checks_the_events_first_and_sends_no_request(tmp_path: Path, application: Application) -> None:
    ran, methods, took = run(
        tmp_path,
        application,
        f"wait {LEG} --for answered -o json",
        says("ringing"),
        before=kept(status("answered")),
    )

    assert (ran.exit_code, ran.json["status"], ran.json["status_source"]) == (0, "answered", "event")
    assert (methods, took) == ([], 0)
    assert ran.stderr == f"{LEG} answered (event)\n"


def test_an_event_ends_the_wait_before_the_api_is_asked_again(
    tmp_path: Path, application: Application
) -> None:
    ran, methods, took = run(
        tmp_path,
        application,
        f"wait {LEG} --for answered -o json",
        says("ringing"),
        before=kept(status("started")),
        later=((1.5, kept(status("answered", second=1))),),
    )

    assert (ran.exit_code, ran.json["status_source"]) == (0, "event")
    assert len(methods) == 2
    assert 1.5 <= took < 1.8
    assert ran.stderr.splitlines() == [
        f"{LEG} started (event)",
        f"{LEG} ringing (api)",
        f"{LEG} answered (event)",
    ]


def test_the_api_is_still_asked_since_an_event_may_be_lost(tmp_path: Path, application: Application) -> None:
    ran, methods, _ = run(
        tmp_path,
        application,
        f"wait {LEG} --for answered -o json",
        says("ringing"),
        says("ringing"),
        says("answered"),
        before=kept(status("ringing")),
    )

    assert (ran.exit_code, ran.json["status_source"]) == (0, "api")
    assert len(methods) == 3


def test_the_status_of_several_legs_comes_from_either_source(room: Room) -> None:
    one, other = room.call(BY_HAND, wait=None), room.call()
    keep(room, status("answered", leg=one))
    ran = room(f"wait {one} {other} --for answered -o json")

    assert ran.exit_code == 0
    assert [record["status_source"] for record in ran.json] == ["event", "api"]


@pytest.mark.parametrize("detection", ["human", "machine"])
def test_events_report_the_result_of_machine_detection(
    tmp_path: Path, application: Application, detection: str
) -> None:
    ran, _, took = run(
        tmp_path,
        application,
        f"wait {LEG} --for {detection} -o json",
        says("answered"),
        before=kept(status("answered")),
        later=((2.1, kept(status(detection, second=2))),),
    )

    assert (ran.exit_code, ran.json["status"], ran.json["detection"]) == (0, detection, detection)
    assert took < 2.5


@pytest.mark.parametrize(("found", "until"), [("machine", "human"), ("human", "machine")])
def test_a_leg_found_to_be_a_machine_will_not_become_human(
    tmp_path: Path, application: Application, found: str, until: str
) -> None:
    line = f"wait {LEG} --for {until} -q"
    ran, _, seconds = run(
        tmp_path, application, line, says("answered"), later=((3.0, kept(status(found))),), before=kept()
    )

    assert (ran.exit_code, ran.stdout) == (11, f"{LEG}\n")
    assert f"was answered by a {'person' if found == 'human' else 'machine'}, not a" in ran.stderr
    assert seconds < 5


def test_events_are_read_while_the_api_does_not_answer(tmp_path: Path, application: Application) -> None:
    down = [reply(503)] * 60
    line = f"wait {LEG} --for completed -o json"
    ran, _, seconds = run(
        tmp_path,
        application,
        line,
        *down,
        before=kept(status("ringing")),
        later=((40.0, kept(status("completed", duration="9", second=30))),),
    )

    assert (ran.exit_code, ran.json["status"], ran.json["status_source"]) == (0, "completed", "event")
    assert ran.stderr.count("continuing with stored events only") == 1
    assert seconds < 50


def test_a_human_who_hung_up_was_a_human(tmp_path: Path, application: Application) -> None:
    events = status("human", second=2), status("completed", second=3, duration="1")
    ran, *_ = run(
        tmp_path, application, f"wait {LEG} --for human -o json", says("completed"), before=kept(*events)
    )

    assert (ran.exit_code, ran.json["status"], ran.json["detection"]) == (0, "completed", "human")
    assert ran.stderr == f"{LEG} completed (event), human (event)\n"


def test_an_event_may_arrive_shortly_after_the_api_s_record(tmp_path: Path, application: Application) -> None:
    """The call has ended by its record, and the event with the human is on its way."""
    ran, _, took = run(
        tmp_path,
        application,
        f"wait {LEG} --for human -o json",
        says("completed", duration="2"),
        before=kept(status("answered")),
        later=((0.5, kept(status("human", second=2))),),
    )
    assert ran.exit_code == 0
    assert took < 1


def test_a_record_that_lags_behind_its_events_may_still_show_the_answer(
    tmp_path: Path, application: Application
) -> None:
    ran, *_ = run(
        tmp_path,
        application,
        f"wait {LEG} --for answered -o json",
        says("ringing"),
        says("completed", duration="2"),
        before=kept(status("completed")),
    )
    assert (ran.exit_code, ran.json["duration"]) == (0, "2")


def test_a_call_that_ended_without_the_awaited_status_is_11(tmp_path: Path, application: Application) -> None:
    for at, (answer, events) in enumerate(
        [
            (says("completed", duration="2"), [status("completed", duration="2")]),
            (says("completed", duration="2"), [status("answered")]),
            (says("answered"), [status("completed", duration="2")]),
            (GONE, [status("completed", duration="2")]),
        ]
    ):
        line = f"wait {LEG} --for human -o json"
        ran, _, took = run(tmp_path / str(at), application, line, answer, before=kept(*events))
        assert (ran.exit_code, ran.json["status"]) == (11, "completed"), at
        assert took < 1.5, "a lost event delays nothing"


def test_a_wait_that_times_out_prints_the_known_state(tmp_path: Path, application: Application) -> None:
    ran, _, took = run(
        tmp_path,
        application,
        f"wait {LEG} --for human --timeout 5 -o json",
        says("answered"),
        before=kept(status("answered", second=1)),
    )
    assert (ran.exit_code, ran.json["status"]) == (8, "answered")
    assert took == pytest.approx(5)


def test_an_unsigned_event_counts_and_is_marked(tmp_path: Path, application: Application) -> None:
    ran, *_ = run(
        tmp_path,
        application,
        f"wait {LEG} --for human -o json",
        says("answered"),
        before=kept(status("human"), is_signed=False),
    )
    assert (ran.exit_code, ran.json["status_source"]) == (0, "unsigned event")
    assert ran.stderr == f"{LEG} human (unsigned event)\n"


@pytest.mark.parametrize(
    "line", [f"wait {LEG} --for human", f"call create --to {PERSON} --talk Hi --wait human"]
)
def test_without_stored_events_humans_cannot_be_detected(room: Room, line: str) -> None:
    ran = room(f"{line} -o json")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "there is no event store" in ran.error["message"]
    assert "voicectl webhook serve" in ran.error["hint"]
    assert room.requests() == []


def test_create_waits_for_a_human(room: Room) -> None:
    keep(room, status("ringing"))
    clock = EventfulClock((3, lambda: keep(room, status("human", leg=leg_of(room)))))
    room.sandbox.clock = room.clock = clock  # type: ignore[union-attr]
    ran = room(
        f"call create --to {PERSON} --talk Hi --join r --machine-detection continue --wait human -o json"
    )

    assert (ran.exit_code, ran.json["status"], ran.json["status_source"]) == (0, "human", "event")
    assert ran.json["reference"].startswith("vc-")


def leg_of(room: Room) -> str:
    assert room.sandbox is not None
    return next(iter(room.sandbox.exchange.legs))


# call reconcile, and the look-up of call create


def proof(reference: str, leg: str = LEG, **fields: Any) -> Callable[[Room], object]:
    return kept(status("started", leg=leg, **fields), query=f"vc={reference}&a=b".encode())


def test_an_event_with_our_reference_proves_the_call_without_the_api(room: Room) -> None:
    reference = lose(room, "lost-reply")
    proof(reference)(room)
    before = len(room.requests())
    ran = room(f"call reconcile {reference} -o json")

    assert ran.exit_code == 0
    assert (ran.json["uuid"], ran.json["state"], ran.json["certainty"]) == (LEG, "created", None)
    assert ran.json["reason"] == "an event carried its reference"
    assert len(room.requests()) == before
    assert room("call reconcile -o json").json == []
    assert room(f"call reconcile {reference} -o json").json == ran.json


def test_an_event_distinguishes_calls_that_a_search_cannot(room: Room) -> None:
    one, other = lose(room, "lost-reply"), lose(room, "lost-reply", "447700900002")
    room(f"call create --to {PERSON} --talk Hello --no-journal")
    assert room(f"call reconcile {one}").exit_code == 12, "two calls match"
    proof(one, leg_of(room))(room)

    assert room(f"call reconcile {one} -q").stdout == f"{one}\n"
    assert room(f"call reconcile {one} -o json").json["uuid"] == leg_of(room)
    assert room(f"call reconcile {other} -o json").json["certainty"] == "matched"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"is_signed": False}, id="unsigned"),
        pytest.param({"query": b"vc=vc-0000000000000000"}, id="another call's"),
        pytest.param({"query": b""}, id="no reference"),
    ],
)
def test_events_that_prove_nothing(room: Room, changes: dict[str, Any]) -> None:
    reference = lose(room, "lost-request")
    keep(room, status("started"), **({"query": f"vc={reference}".encode()} | changes))

    assert room(f"call reconcile {reference}").exit_code == 12


def test_a_leg_that_the_call_connected_to_is_not_the_call(room: Room) -> None:
    reference = lose(room, "lost-request")
    proof(reference, "11111111-5e6f-4788-99aa-bbccddeeff00", to="447700900002")(room)
    proof(reference, "22222222-5e6f-4788-99aa-bbccddeeff00", direction="inbound")(room)
    proof(reference)(room)

    assert room(f"call reconcile {reference} -o json").json["uuid"] == LEG


def test_two_possible_calls_prove_nothing(room: Room) -> None:
    reference = lose(room, "lost-request")
    proof(reference, "11111111-5e6f-4788-99aa-bbccddeeff00")(room)
    proof(reference)(room)

    assert room(f"call reconcile {reference}").exit_code == 12


def test_create_finds_its_call_by_an_event(room: Room) -> None:
    """The reply is lost, nothing can be listed, and the first webhook arrives a moment later."""

    def arrive() -> None:
        (create,) = room.requests("createCall")
        keep(room, status("started"), query=create["body"]["event_url"][0].partition("?")[2].encode())

    assert room.sandbox is not None
    keep(room, status("started", leg="11111111-5e6f-4788-99aa-bbccddeeff00"))
    room.sandbox.clock = room.clock = EventfulClock((2, arrive))
    room.sandbox.faults.add({"what": "lost-request", "on": "createCall", "times": 1})
    ran = room(f"call create --to {PERSON} --talk Hi --event-url http://127.0.0.1:9/e -o json")

    assert ran.exit_code == 0, ran.stderr
    assert (ran.json["uuid"], ran.json["status"]) == (LEG, "started")
    assert "certainty" not in ran.json
    assert len(room.requests("createCall")) == 1
    assert room(f"call reconcile {ran.json['reference']} -o json").json["state"] == "created"


# hangup


@pytest.mark.parametrize("end", ["completed", "busy", "timeout"])
def test_a_leg_unknown_to_the_api_that_ended_by_its_events_is_already_done(
    tmp_path: Path, application: Application, end: str
) -> None:
    ran, methods, _ = run(tmp_path, application, f"hangup {LEG} -o json", GONE, before=kept(status(end)))

    assert (ran.exit_code, ran.json["outcome"]) == (0, "already")
    assert methods == ["PUT", "GET", "GET"]  # by both spellings of the id


def test_a_leg_unknown_to_the_api_that_is_live_by_its_events_is_4(
    tmp_path: Path, application: Application
) -> None:
    ran, *_ = run(tmp_path, application, f"hangup {LEG}", GONE, before=kept(status("answered")))

    assert (ran.exit_code, ran.stdout) == (4, "")


def test_an_unsigned_event_does_not_stop_a_hangup(tmp_path: Path, application: Application) -> None:
    ran, *_ = run(
        tmp_path, application, f"hangup {LEG}", GONE, before=kept(status("completed"), is_signed=False)
    )

    assert (ran.exit_code, ran.stdout) == (4, "")


def test_hangup_uses_the_api_if_it_knows_the_leg(tmp_path: Path, application: Application) -> None:
    ran, methods, _ = run(
        tmp_path, application, f"hangup {LEG} -o json", reply(204), before=kept(status("completed"))
    )
    assert (ran.json["outcome"], methods) == ("done", ["PUT"])


def test_list_uses_only_the_api(tmp_path: Path, application: Application) -> None:
    answer = reply(body=page(json.loads(says("answered").partition(b"\r\n\r\n")[2])))
    ran, *_ = run(tmp_path, application, "call list -o json", answer, before=kept(status("completed")))

    assert "status_source" not in ran.json[0]
