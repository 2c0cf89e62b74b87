"""``conversation``: the members of each, who hears whom, and media played to all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.calls import PARTNER, connected
from tests.support.kept import keep, status
from tests.support.machines import Application, machine
from tests.support.room import BY_HAND, PERSON, Room
from tests.support.servers import Canned, Request, page, reply
from voicectl.store.events import Route

THIRD = "447700900003"
CON = "CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"
LEGS = [f"00000000-0000-4000-8000-{number:012}" for number in range(4)]


def hear(room: Room, leg: str) -> list[dict[str, Any]]:
    return list(room(f"sandbox hear {leg} -o json", env={"VOICECTL_SANDBOX": room.url}).json)


def test_list_has_the_conversations_with_live_legs(voicectl: Room) -> None:
    one, other = voicectl.call(options="--join support-17"), voicectl.call(PARTNER, "--join support-17")
    voicectl.call(BY_HAND, wait="ringing")
    over = voicectl.call(THIRD, "--join left-over")
    voicectl(f"hangup {over}")

    rows = {row[1]: row for row in voicectl("conversation list").rows}

    room = rows.pop("support-17")
    assert room[0] == voicectl(f"call show {one} -o json").json["conversation_uuid"]
    assert room[2:4] == ["2", "answered:2"]
    assert room[4].startswith("2026-02-02T02:40:")
    assert room[5] == "ACTIVE"
    ((name, own),) = rows.items()
    assert name.startswith("NAM-")
    assert own[2:4] == ["1", "ringing:1"]
    assert voicectl("conversation list --fields name -q").stdout.count("CON-") == 2
    assert other


def test_list_all_includes_empty_conversations(voicectl: Room) -> None:
    voicectl(f"hangup {voicectl.call(options='--join support-17')}")

    assert voicectl("conversation list").stdout == ""
    assert voicectl("conversation list -o json").json == []
    (record,) = voicectl("conversation list --all -o json").json
    assert (record["name"], record["legs"], record["statuses"]) == ("support-17", 0, "")


@pytest.mark.parametrize("status", [403, 404, 400])
@pytest.mark.parametrize("line", ["conversation list", "conversation list --all"])
def test_without_the_conversation_api_the_live_legs_are_shown(
    tmp_path: Path, application: Application, line: str, status: int
) -> None:
    def answer(request: Request) -> bytes:
        if request.path != "/v1/calls":
            return reply(status, {"title": "No"})
        legs = [{"uuid": LEGS[0], "status": "answered", "conversation_uuid": CON}]
        return reply(body=page(*(legs if request.query.get("status") == "answered" else [])))

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(line)

    assert ran.exit_code == 0
    assert ran.rows == [[CON, "-", "1", "answered:1", "-", "-"]]
    assert "Room names are unknown" in ran.stderr


def test_show_prints_who_hears_whom(voicectl: Room) -> None:
    caller, callee = connected(voicectl)
    voicectl(f"mute {caller}")
    id_ = voicectl(f"call show {caller} -o json").json["conversation_uuid"]

    rows = {row[0]: row for row in voicectl(f"conversation show {id_}").rows}
    shown = voicectl(f"conversation show {id_} -o json").json

    assert rows[caller][1:7] == ["answered", "outbound", "442079460000", PERSON, "true", "false"]
    assert rows[caller][7].startswith("MEM-")
    assert rows[caller][8:] == ["JOINED", callee, "-", "-"]
    assert rows[callee][9:] == ["-", caller, "-"]
    assert shown["id"] == id_
    assert {leg["uuid"]: leg["muted"] for leg in shown["legs"]} == {caller: True, callee: False}
    assert shown["hears"] == [
        {"listener": caller, "speaker": callee, "hears": "yes", "why": None},
        {"listener": callee, "speaker": caller, "hears": "no", "why": "the speaker is muted"},
    ]
    assert voicectl(f"conversation show {id_} -q").stdout.split() == [caller, callee]


def test_the_audibility_of_legs_moved_into_a_room_from_here_is_known(voicectl: Room) -> None:
    """No source reports the third leg or what its flow let it hear."""
    agent, caller, third = voicectl.call(), voicectl.call(PARTNER), voicectl.call(THIRD, "--join support-17")
    for path in voicectl.state.rglob("notes"):
        path.unlink()  # as if another machine had made the calls
    assert voicectl(f"move {agent} {caller} support-17").exit_code == 0
    coach = voicectl.call("447700900004")
    assert voicectl(f"move {coach} support-17 --can-speak {agent}").exit_code == 0

    shown = voicectl("conversation show support-17 -o json").json
    hears = {(each["listener"], each["speaker"]): each["hears"] for each in shown["hears"]}

    assert shown["name"] == "support-17"
    assert (
        hears[agent, caller] == hears[caller, agent] == hears[agent, coach] == hears[coach, caller] == "yes"
    )
    assert hears[caller, coach] == "no"
    assert hears[agent, third] == hears[third, agent] == "?"
    assert len(hears) == 12


def test_the_shown_audibility_is_correct(voicectl: Room) -> None:
    legs = [voicectl.call(f"44770090000{n}") for n in range(1, 5)]
    voicectl(f"move {legs[0]} {legs[1]} support-17")
    voicectl(f"move {legs[2]} support-17 --can-hear {legs[0]}")
    voicectl(f"move {legs[3]} support-17 --mute")
    voicectl(f"earmuff {legs[1]}")

    shown = voicectl("conversation show support-17 -o json").json["hears"]

    for number, speaker in enumerate(legs):
        voicectl(f"sandbox press {speaker} {number}", env={"VOICECTL_SANDBOX": voicectl.url})
    for each in shown:
        digits = [heard.get("digits") for heard in hear(voicectl, each["listener"])]
        assert (str(legs.index(each["speaker"])) in digits) == (each["hears"] == "yes"), each


def test_a_ringing_leg_hears_no_other(voicectl: Room) -> None:
    caller, callee = connected(voicectl, to=BY_HAND)
    id_ = voicectl(f"call show {caller} -o json").json["conversation_uuid"]

    shown = voicectl(f"conversation show {id_} -o json").json["hears"]

    assert {(each["hears"], each["why"]) for each in shown} == {
        ("no", "the listener has not answered"),
        ("no", "the speaker has not answered"),
    }
    assert callee in {each["listener"] for each in shown}


def test_a_terminal_shows_a_table_of_who_hears_whom(voicectl: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    caller, callee = connected(voicectl)
    voicectl(f"mute {caller}")
    id_ = voicectl(f"call show {caller} -o json").json["conversation_uuid"]

    ran = voicectl(f"conversation show {id_}", terminal=True, env={"NO_COLOR": "1"})

    lines = [line.split() for line in ran.stdout.splitlines()]
    assert lines[-7:] == [
        ["hears", "1", "2"],
        [caller[:8], callee[:8]],
        [PERSON, PARTNER],
        ["1", caller[:8], PERSON, ".", "yes"],
        ["2", callee[:8], PARTNER, "no", "."],
        [],
        [".", "the", "leg", "itself"],
    ]
    assert "\x1b" not in ran.stdout


def test_the_terms_of_a_leg_that_a_call_from_here_brought_into_a_room_are_known(voicectl: Room) -> None:
    """Its flow sets whom it hears, and a room without further terms has started."""
    agent, caller = (voicectl.call(number, "--join support-17") for number in (PERSON, PARTNER))
    flow = voicectl.home / "coach.json"
    action = {"action": "conversation", "name": "support-17", "canSpeak": [agent]}
    flow.write_text(json.dumps([{"action": "talk", "text": "Hi"}, action]))
    coach = voicectl.call(THIRD, f"--ncco {flow}")
    voicectl.clock.sleep(5)

    shown = voicectl("conversation show support-17 -o json").json
    hears = {(each["listener"], each["speaker"]): each["hears"] for each in shown["hears"]}

    assert hears == {
        **dict.fromkeys(
            [(agent, caller), (caller, agent), (agent, coach), (coach, agent), (coach, caller)], "yes"
        ),
        (caller, coach): "no",
    }
    assert "enters" not in voicectl(f"trace {agent}").stdout


def test_if_the_members_cannot_be_read_it_says_why_mute_is_unknown(voicectl: Room) -> None:
    for number in (PERSON, PARTNER):
        voicectl.call(number, "--join support-17")
    control = {"VOICECTL_SANDBOX": voicectl.url}
    voicectl("sandbox fault add status 500 --on getMember --times 1", env=control)
    some = voicectl("conversation show support-17")
    voicectl("sandbox fault add status 403 --on listMembers", env=control)
    none = voicectl("conversation show support-17")
    quiet = voicectl("conversation show support-17 -q")

    assert (some.exit_code, none.exit_code, quiet.exit_code) == (0, 0, 0)
    assert {row[5] for row in none.rows} == {"-"}
    assert none.stderr.startswith(
        "Legs for which it is unknown whether they are muted: 2 of 2. Their member records could not be read: "
    )
    assert quiet.stderr == ""


def test_show_requests_each_member_that_has_not_left_once(voicectl: Room) -> None:
    gone = [voicectl.call(options="--join support-17") for _ in range(3)]
    voicectl(f"hangup {' '.join(gone)}")
    legs = [voicectl.call(number, "--join support-17") for number in (PERSON, PARTNER)]
    before = len(voicectl.requests("getMember"))

    assert [row[0] for row in voicectl("conversation show support-17").rows] == legs

    assert len(voicectl.requests("getMember")) - before == len(legs)


@pytest.mark.parametrize(
    "options", ["-q", "-q -o json", "--fields uuid,status", "--fields uuid,to.number -o json"]
)
def test_show_requests_no_member_if_none_is_shown(voicectl: Room, options: str) -> None:
    leg = voicectl.call(options="--join support-17")

    ran = voicectl(f"conversation show support-17 {options}")

    assert ran.exit_code == 0
    assert leg in ran.stdout
    assert not voicectl.requests("getMember") + voicectl.requests("listMembers")


def test_the_fields_of_show_are_those_of_its_legs_also_in_json(voicectl: Room) -> None:
    caller, callee = connected(voicectl)
    id_ = voicectl(f"call show {caller} -o json").json["conversation_uuid"]
    line = f"conversation show {id_} --fields uuid,status,muted,hears,to.number"

    shown, streamed, rows = (voicectl(f"{line} {o}") for o in ("-o json", "-o jsonl", "-o tsv"))

    assert shown.json["id"] == id_
    assert "hears" not in shown.json
    assert [
        [str(each).lower() if each is False else each for each in leg.values()] for leg in shown.json["legs"]
    ] == (rows.rows)
    assert shown.json["legs"][0] == {
        "uuid": caller,
        "status": "answered",
        "muted": False,
        "hears": callee,
        "to.number": PERSON,
    }
    assert streamed.json == shown.json
    assert streamed.stdout.count("\n") == 1


def test_show_says_that_not_all_legs_could_be_listed(tmp_path: Path, application: Application) -> None:
    count = 0

    def answer(request: Request) -> bytes:
        nonlocal count
        if request.path != "/v1/calls":
            return reply(403, {"title": "Forbidden"})
        count += 1
        leg = {"uuid": f"00000000-0000-4000-8000-{count:012}", "status": "answered"}
        return reply(body=page(leg, following=None if count % 2 else "/v1/calls?page=2"))

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"conversation show {CON} -q")

    assert "warning: there are more legs than could be listed" in ran.stderr


def test_show_without_the_conversation_api_prints_the_legs_with_less_detail(
    tmp_path: Path, application: Application
) -> None:
    def answer(request: Request) -> bytes:
        if request.path != "/v1/calls":
            return reply(403, {"title": "Forbidden"})
        legs = [{"uuid": leg, "status": "answered", "conversation_uuid": CON} for leg in LEGS[:2]]
        return reply(body=page(*(legs if request.query.get("status") == "answered" else [])))

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)
        ran = room(f"conversation show {CON} -o json")
        named = room("conversation show support-17")

    assert ran.exit_code == 0
    assert [leg["muted"] for leg in ran.json["legs"]] == [None, None]
    assert {each["hears"] for each in ran.json["hears"]} == {"?"}
    assert "It is unknown which legs are muted" in ran.stderr
    assert named.exit_code == 3


@pytest.mark.parametrize("command", ["show {}", "talk {} Hi", "stream {} https://x.org/a.mp3", "record {}"])
def test_an_unknown_room_is_4_and_similar_names_are_suggested(voicectl: Room, command: str) -> None:
    voicectl.call(options="--join support-17")

    ran = voicectl(f"conversation {command.format('suport-17')}")

    assert (ran.exit_code, ran.stdout) == (4, "")
    assert "support-17" in ran.stderr
    assert voicectl.url.removeprefix("http://") in ran.stderr
    assert "application " in ran.stderr
    assert "The room may be in another region" in ran.stderr
    assert voicectl(f"conversation {command.format(CON)}").exit_code == 4
    for text in ("CON-x", "con-1", "''", "-"):
        assert voicectl(f"conversation {command.format(text)}").exit_code == 2


def test_talk_is_heard_by_all_and_stops(voicectl: Room) -> None:
    legs = [voicectl.call(number, "--join support-17") for number in (PERSON, PARTNER)]

    ran = voicectl("conversation talk support-17 -", stdin="The engineer is here.\n")
    voicectl.clock.sleep(20)
    voicectl("conversation talk support-17 'For ever' --loop 0")
    voicectl.clock.sleep(7)
    stopped = voicectl("conversation talk support-17 --stop -o json")
    voicectl.clock.sleep(7)

    assert [row[1:] for row in ran.rows] == [["talk", "done"]]
    assert stopped.json["action"] == "talk --stop"
    for leg in legs:
        said, endless = [each for each in hear(voicectl, leg) if each["kind"] == "speech"]
        assert said["text"] == "The engineer is here."
        assert (endless["text"], endless["seconds"]) == ("For ever", 7)
    assert voicectl("conversation talk support-17 x --stop").exit_code == 2


def test_stream_is_heard_by_all_and_stops(voicectl: Room) -> None:
    legs = [voicectl.call(number, "--join support-17") for number in (PERSON, PARTNER)]

    assert voicectl("conversation stream support-17 https://cdn.example.org/a.mp3 --loop 0").exit_code == 0
    voicectl.clock.sleep(30)
    assert voicectl("conversation stream support-17 --stop").exit_code == 0

    for leg in legs:
        assert [each["seconds"] for each in hear(voicectl, leg) if each["kind"] == "audio"] == [30]
    assert voicectl("conversation stream support-17").exit_code == 2
    assert voicectl("conversation stream support-17 ftp://x/y").exit_code == 2


def test_record_starts_and_stops_and_a_second_stop_is_already_done(voicectl: Room) -> None:
    voicectl.call(options="--join support-17")

    started = voicectl("conversation record support-17 --format wav --split --limit 10m")
    stopped = [voicectl("conversation record support-17 --stop") for _ in range(2)]

    assert [ran.rows[0][1:] for ran in (started, *stopped)] == [
        ["record", "done"],
        ["record --stop", "done"],
        ["record --stop", "already"],
    ]
    (first, *_) = voicectl.requests("recordConversation")
    assert first["body"] == {"action": "start", "format": "wav", "split": "conversation", "timeout": 600}


@pytest.mark.parametrize(
    "options",
    [
        "--format flac",
        "--retention-ttl 0",
        "--retention-ttl 401",
        "--limit 3h",
        "--limit 0s",
        "--event-url ftp://x/y",
        "--transcription-event-url x",
        "--event-method PUT",
        "--stop --split",
        "--stop --transcription-language en-GB",
    ],
)
def test_invalid_recording_options_are_refused_locally(voicectl: Room, options: str) -> None:
    assert voicectl(f"conversation record {CON} {options}").exit_code == 2
    assert not voicectl.requests("recordConversation")


@pytest.mark.parametrize(
    "option",
    ["--retention-ttl 5", "--event-url https://x.org/e", "--limit 1m", "--transcription-language en-GB"],
)
def test_a_refused_option_is_named(voicectl: Room, option: str) -> None:
    ran = voicectl(f"conversation record {CON} --stop {option}")

    assert f"--stop cannot be used together with {option.split()[0]}." in ran.stderr


def test_an_empty_conversation_cannot_be_recorded(voicectl: Room) -> None:
    voicectl(f"hangup {voicectl.call(options='--join support-17')}")

    assert voicectl("conversation record support-17").exit_code == 5


@pytest.mark.parametrize(
    "command",
    [
        "talk {} Hi",
        "talk {} --stop",
        "stream {} https://x.org/a.mp3",
        "stream {} --stop",
        "record {}",
        "record {} --stop",
    ],
)
def test_a_dry_run_shows_the_request_and_sends_nothing(voicectl: Room, command: str) -> None:
    voicectl.call(options="--join support-17")
    before = [each for each in voicectl.requests() if each["method"] != "GET"]

    ran = voicectl(f"conversation {command.format('support-17')} --dry-run")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("curl -X ")
    assert "/v1/conversations/CON-" in ran.stdout
    (request,) = voicectl(f"conversation {command.format('support-17')} --dry-run -o json").json
    assert request["curl"] == ran.stdout.rstrip("\n")
    assert [each for each in voicectl.requests() if each["method"] != "GET"] == before


def test_names_from_outside_are_shown_harmlessly(voicectl: Room) -> None:
    voicectl.call(options="--join 'evil room'")
    assert voicectl.sandbox is not None
    (log,) = list(voicectl.sandbox.conversations)
    voicectl.sandbox.exchange.rooms.rename(log.conversation, "evil\x1b[31m\u202eroom")

    ran = voicectl("conversation list")

    assert "\x1b" not in ran.stdout
    assert "\\x1b[31m\\u202eroom" in ran.stdout
    ran = voicectl("conversation show nope")
    assert "\x1b" not in ran.stderr


def test_actions_on_a_conversation_are_noted_without_the_spoken_text(voicectl: Room) -> None:
    voicectl.call(options="--join support-17")
    (row,) = voicectl("conversation talk support-17 'My PIN is 1234'").rows

    notes = next(voicectl.state.rglob("notes")).read_text()

    assert row[0] in notes
    assert '"characters": 14' in notes
    assert "1234" not in notes


# show, after the end


def ended(room: Room) -> tuple[str, list[str]]:
    """A call with two legs that is over, and the id of its conversation, which the API no longer has."""
    caller, callee = connected(room)
    id_ = room(f"call show {caller} -o json").json["conversation_uuid"]
    room(f"hangup {caller} {callee}")
    room.clock.sleep(5)
    assert room.requests("getConversation") == []
    return id_, [caller, callee]


def test_show_of_an_ended_conversation_has_the_legs_that_were_in_it(voicectl: Room) -> None:
    id_, legs = ended(voicectl)

    rows, shown = voicectl(f"conversation show {id_}"), voicectl(f"conversation show {id_} -o json").json

    assert rows.exit_code == 0
    assert {row[0]: row[1] for row in rows.rows} == dict.fromkeys(legs, "completed")
    assert {field for row in rows.rows for field in row[5:]} == {"-"}
    assert rows.stderr.startswith(
        "The Conversation API has no record of this conversation: it has ended, or is in"
    )
    assert shown["id"] == id_
    assert {leg["uuid"] for leg in shown["legs"]} == set(legs)
    assert (shown["hears"], "name" in shown) == ([], False)
    assert set(voicectl(f"conversation show {id_} -q").stdout.split()) == set(legs)


def test_show_says_what_stored_events_know_where_the_api_has_nothing(
    tmp_path: Path, application: Application
) -> None:
    leg, other = LEGS[:2]
    happened = [
        status("ringing", leg=leg, conversation_uuid=CON),
        status("answered", leg=leg, conversation_uuid=CON, second=2),
        status("completed", leg=leg, conversation_uuid=CON, second=9, duration="7"),
        status("busy", leg=other, conversation_uuid=CON, second=4, to="447700900002"),
    ]
    created = {
        "id": 1,
        "type": "conversation:created",
        "conversation_id": CON,
        "body": {"name": "support-17"},
    }

    def answer(request: Request) -> bytes:
        listed = {"/v1/calls": page(), "/v1/conversations": {"_embedded": {"conversations": []}}}
        found = listed.get(request.path)
        return reply(404, {"title": "Not Found"}) if found is None else reply(200, found)

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)
        before = room(f"conversation show {CON}")
        keep(room, *happened)
        keep(room, created, route=Route.RTC)
        by_id, by_name = room(f"conversation show {CON} -o json"), room("conversation show support-17")
        seen = room("conversation show support-17", terminal=True, env={"NO_COLOR": "1"})
        unknown = room("conversation show support-18")

    assert (before.exit_code, before.stdout) == (4, "")
    assert "Stored events do not mention the conversation either." in before.stderr
    assert (by_id.json["id"], by_id.json["name"]) == (CON, "support-17")
    assert {each["uuid"]: (each["status"], each["status_source"]) for each in by_id.json["legs"]} == {
        leg: ("completed", "event"),
        other: ("busy", "event"),
    }
    assert [row[:2] for row in by_name.rows] == [[leg, "completed"], [other, "busy"]]
    assert "hears" not in seen.stdout
    assert unknown.exit_code == 4


def test_show_of_an_ended_conversation_does_without_a_broken_event_store(voicectl: Room) -> None:
    id_, legs = ended(voicectl)
    keep(voicectl, status("ringing"))
    for path in voicectl.state.rglob("events.db*"):
        path.write_bytes(b"no database" * 100)

    ran = voicectl(f"conversation show {id_} -q")

    assert set(ran.stdout.split()) == set(legs)
    assert "warning: " in ran.stderr
