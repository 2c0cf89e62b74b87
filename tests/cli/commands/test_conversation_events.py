"""``conversation events``: what the Conversation API lists, beside what webhooks reported."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import StartRoom
from tests.support.kept import CONVERSATION, LEG, EventfulClock, keep, status
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import Canned, Request, reply
from voicectl.store.events import Route

GONE = reply(404, {"title": "Not found.", "code": "conversation:error:not-found"})
REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "conversation_event.json").read_text())


def conversation_of(room: Room, leg: str) -> str:
    return str(room(f"call show {leg} -o json").json["conversation_uuid"])


def listed(ran: Ran) -> list[dict[str, Any]]:
    assert ran.exit_code == 0, ran.stderr
    return list(ran.json)


def webhook(event: dict[str, Any], conversation: str) -> dict[str, Any]:
    """Return the RTC webhook about an event that the API listed."""
    fields = {name: event[name] for name in ("id", "type", "from", "body", "timestamp") if name in event}
    return fields | {"conversation_id": conversation}


def rtc(number: int, type_: str, second: int = 0, **body: Any) -> dict[str, Any]:
    """Return an RTC webhook about :data:`CONVERSATION`."""
    timestamp = f"2026-02-02T02:40:{second:02}.000Z"
    fields = {"id": number, "type": type_, "body": body, "timestamp": timestamp}
    return fields | {"conversation_id": CONVERSATION}


def keep_rtc(room: Room, *events: dict[str, Any], **changes: Any) -> list[int]:
    return keep(room, *events, route=Route.RTC, **changes)


# the Conversation API alone


def test_the_events_of_a_room_are_listed_in_the_order_of_their_numbers(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    voicectl(f"mute {leg}")

    events = listed(voicectl("conversation events support-17 -o json"))

    assert [each["id"] for each in events] == [*range(1, len(events) + 1)]
    assert events[0]["type"] == "conversation:created"
    assert {each["source"] for each in events} == {"api"}
    assert {each["events"] for each in events} == {None}
    (muted,) = [each for each in events if each["type"] == "audio:mute:on"]
    assert (muted["uuid"], muted["body"]) == (leg, {"rtc_id": leg})
    assert muted["_embedded"]["from_member"] == {"id": muted["from"]}
    by_id = listed(voicectl(f"conversation events {conversation_of(voicectl, leg)} -o json"))
    assert by_id == events


def test_rows_have_the_columns_of_the_help(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")

    ran = voicectl("conversation events support-17")

    joined = next(row for row in ran.rows if row[2] == "member:joined")
    assert joined[1].startswith("2026-02-02T02:40:")
    assert joined[3] == leg
    assert joined[4].startswith("MEM-")
    assert joined[5:] == ["api", "-"]
    assert voicectl("conversation events support-17 -q").stdout.split() == [row[0] for row in ran.rows]
    assert voicectl("conversation events support-17 --limit 1").rows == ran.rows[-1:]


def test_all_pages_are_read(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    path = f"/v1/conversations/{conversation_of(voicectl, leg)}/events"
    assert voicectl.sandbox is not None
    for number in range(60):
        voicectl(f"{'un' if number % 2 else ''}mute {leg}")
        voicectl(f"{'un' if number % 2 else ''}earmuff {leg}")

    ids = [int(each) for each in voicectl("conversation events support-17 -q").stdout.split()]

    assert len(ids) > 120
    assert ids == [*range(1, len(ids) + 1)]
    assert len([each for each in voicectl.requests("listEvents") if each["path"].startswith(path)]) == 2


def test_since_leaves_out_what_happened_before(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    voicectl.clock.sleep(600)
    voicectl(f"mute {leg}")
    keep(voicectl, status("ringing", leg=leg, conversation_uuid=conversation_of(voicectl, leg)))

    events = listed(voicectl("conversation events support-17 --since 5m -o json"))

    assert [each["type"] for each in events] == ["audio:mute:on"]
    assert voicectl("conversation events support-17 --since nonsense").exit_code == 2


def test_bodies_are_shown_in_json_only(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    voicectl(f"dtmf {leg} 4711")

    assert "4711" not in voicectl("conversation events support-17").stdout
    assert "4711" not in voicectl("conversation events support-17", terminal=True).stdout


# beside stored events


def test_an_event_of_both_sources_is_listed_once(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    id_ = conversation_of(voicectl, leg)
    known = listed(voicectl("conversation events support-17 -o json"))
    stored = [
        keep_rtc(voicectl, webhook(each, id_), is_signed=number > 0) for number, each in enumerate(known)
    ]

    events = listed(voicectl("conversation events support-17 -o json"))

    assert [each["id"] for each in events] == [each["id"] for each in known]
    assert [each["events"] for each in events] == stored
    assert events[0]["source"] == "api, unsigned event"
    assert {each["source"] for each in events[1:]} == {"api, event"}
    assert all("_links" in each for each in events), "the API's record is kept"


def test_call_events_are_put_between_by_their_times(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    id_ = conversation_of(voicectl, leg)
    known = listed(voicectl("conversation events support-17 -o json"))
    joined = next(each for each in known if each["type"] == "member:joined")
    event = status("answered", leg=leg, conversation_uuid=id_, timestamp=joined["timestamp"])
    (number,) = keep(voicectl, event)

    events = listed(voicectl("conversation events support-17 -o json"))

    (own,) = [each for each in events if each["id"] is None]
    assert (own["type"], own["uuid"], own["source"], own["events"]) == ("answered", leg, "event", [number])
    assert own["body"] == event
    assert [each["id"] for each in events if each["id"]] == [each["id"] for each in known]
    before = events[events.index(own) - 1]
    assert before["timestamp"] == joined["timestamp"]
    assert "-" not in voicectl("conversation events support-17 -q").stdout


def test_an_event_that_only_claims_a_number_replaces_none(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    forged = rtc(1, "member:left") | {"conversation_id": conversation_of(voicectl, leg)}
    keep_rtc(voicectl, forged, is_signed=False)

    events = listed(voicectl("conversation events support-17 -o json"))

    assert [(each["type"], each["source"]) for each in events if each["id"] == 1] == [
        ("conversation:created", "api"),
        ("member:left", "unsigned event"),
    ]


# a conversation that has ended


def test_of_a_conversation_that_has_ended_the_stored_events_are_listed(voicectl: Room) -> None:
    leg = call(voicectl, PERSON)
    id_ = conversation_of(voicectl, leg)
    known = listed(voicectl(f"conversation events {id_} -o json"))
    voicectl(f"hangup {leg}")
    voicectl.clock.sleep(30)
    nothing = voicectl(f"conversation events {id_}")
    keep_rtc(voicectl, *(webhook(each, id_) for each in known))

    ran = voicectl(f"conversation events {id_} -o json")

    assert (nothing.exit_code, nothing.stdout) == (4, "")
    assert "Neither the API nor the event store has any events for this conversation." in nothing.stderr
    assert [(each["id"], each["type"]) for each in listed(ran)] == [(e["id"], e["type"]) for e in known]
    assert {each["source"] for each in ran.json} == {"event"}
    assert "it has ended, or is in another region" in ran.stderr
    later = voicectl(f"conversation events {id_} --since 1s -o json")
    assert (later.exit_code, later.json) == (0, [])


def test_a_room_that_has_ended_is_found_by_the_name_in_stored_events(room: Room) -> None:
    other = "CON-00000000-0000-4000-8000-000000000001"
    created = rtc(1, "conversation:created", name="support-17")
    keep_rtc(room, created | {"conversation_id": other}, created, rtc(2, "member:joined", 1))
    keep_rtc(room, rtc(3, "conversation:updated", 2, name="support-18"))

    for name in ("support-17", "support-18", CONVERSATION):
        events = listed(room(["conversation", "events", name, "-o", "json"]))
        assert [each["id"] for each in events] == [1, 2, 3], name
    assert room("conversation events support-19").exit_code == 4


def test_stored_events_without_a_number_or_a_time_are_kept(room: Room) -> None:
    keep_rtc(room, rtc(2, "member:joined", 5), rtc(1, "conversation:created", 9))
    keep_rtc(room, {"type": "ephemeral", "conversation_id": CONVERSATION, "body": {}})
    keep(room, status("answered", second=5), status("ringing", second=2))

    events = listed(room(f"conversation events {CONVERSATION} -o json"))

    assert [each["type"] for each in events] == [
        *("ephemeral", "ringing", "answered", "conversation:created", "member:joined")
    ]
    assert [each["id"] for each in events] == [None, None, None, 1, 2]


def test_an_event_without_a_time_follows_the_one_before_it(tmp_path: Path, application: Application) -> None:
    rows = [rtc(3, "c", 5), rtc(2, "b") | {"timestamp": None}, rtc(1, "a", 2)]

    with Canned(reply(200, {"_embedded": rows})) as server:
        room = machine(tmp_path, application, server.url)
        keep(room, status("ringing", second=4))
        events = listed(room(f"conversation events {CONVERSATION} -o json"))

    assert [each["type"] for each in events] == ["a", "b", "ringing", "c"]


# faults


@pytest.mark.parametrize("code", [400, 500])
def test_if_the_api_fails_the_stored_events_are_listed_with_a_warning(voicectl: Room, code: int) -> None:
    leg = voicectl.call(options="--join support-17")
    id_ = conversation_of(voicectl, leg)
    control = {"VOICECTL_SANDBOX": voicectl.url}
    voicectl(f"sandbox fault add status {code} --on listEvents", env=control)
    without = voicectl(f"conversation events {id_}")
    keep(voicectl, status("answered", leg=leg, conversation_uuid=id_))

    ran = voicectl(f"conversation events {id_} -o json")

    assert (without.exit_code, without.stdout) == (5 if code == 400 else 7, "")
    assert [each["type"] for each in listed(ran)] == ["answered"]
    assert ran.stderr.startswith("warning: The Conversation API failed: ")


def test_refused_credentials_are_not_hidden_by_stored_events(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    id_ = conversation_of(voicectl, leg)
    keep(voicectl, status("answered", leg=leg, conversation_uuid=id_))
    voicectl("sandbox fault add key-revoked --on listEvents", env={"VOICECTL_SANDBOX": voicectl.url})

    ran = voicectl(f"conversation events {id_}")

    assert (ran.exit_code, ran.stdout) == (3, "")


def test_a_broken_event_store_is_reported_and_the_api_is_asked(voicectl: Room) -> None:
    leg = voicectl.call(options="--join support-17")
    keep(voicectl, status("answered", leg=leg))
    for path in voicectl.state.rglob("events.db*"):
        path.write_bytes(b"no database" * 100)

    ran = voicectl("conversation events support-17 -q")

    assert ran.exit_code == 0
    assert ran.stdout.startswith("1\n2\n")
    assert "event store" in ran.stderr


@pytest.mark.parametrize("embedded", ["array", "events", "data"])
def test_events_are_read_in_every_documented_form(
    tmp_path: Path, application: Application, embedded: str
) -> None:
    event = REFERENCE["reply"]
    shown = {"array": [event], "events": {"events": [event]}, "data": {"data": {"events": [event]}}}[embedded]

    def answer(request: Request) -> bytes:
        assert request.path == f"/v1/conversations/{CONVERSATION}/events"
        return reply(200, {"page_size": 100, "_embedded": shown})

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(f"conversation events {CONVERSATION} -o json")

    (found,) = listed(ran)
    assert {name: found[name] for name in event} == event
    assert found["uuid"] == event["body"]["rtc_id"]


def test_rows_without_a_number_are_left_out(tmp_path: Path, application: Application) -> None:
    rows = [{"id": "x"}, {"id": True}, {}, 5, None, {"id": 3}, {"id": 3, "type": "again"}]

    with Canned(reply(200, {"_embedded": rows})) as server:
        ran = machine(tmp_path, application, server.url)(f"conversation events {CONVERSATION}")

    assert ran.rows == [["3", "-", "-", "-", "-", "api", "-"]]


# following


def call(room: Room, number: str) -> str:
    """Call a number, and talk to it until it hangs up. The conversation ends with the call."""
    flow = room.home / "flow.json"
    flow.write_text('[{"action": "talk", "text": "Hello", "loop": 0}]')
    return room.call(number, f"--ncco {flow}")


def following(start_room: StartRoom, *happenings: tuple[float, str], options: str = "-o json") -> Ran:
    """Follow a call of 20 s while commands run at the given times."""
    clock = EventfulClock()
    room = start_room(clock=clock)
    leg = call(room, "447700900520")
    for seconds, line in happenings:
        clock.after(seconds, partial(room, line.format(leg=leg)))
    return room(f"conversation events {conversation_of(room, leg)} --follow {options}")


def test_follow_goes_on_with_new_events_until_the_conversation_ends(start_room: StartRoom) -> None:
    ran = following(start_room, (3, "mute {leg}"), (6, "unmute {leg}"))

    assert ran.exit_code == 0, ran.stderr
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    ids = [each["id"] for each in events]
    assert ids == [*range(1, len(ids) + 1)], "each once, and in order"
    assert [each["type"] for each in events if each["type"].startswith("audio:mute")] == [
        "audio:mute:on",
        "audio:mute:off",
    ]
    assert ran.stderr.endswith("The conversation has ended.\n")


def test_follow_shows_webhooks_too_and_the_last_ones(start_room: StartRoom) -> None:
    clock = EventfulClock()
    room = start_room(clock=clock)
    leg = call(room, "447700900510")
    id_ = conversation_of(room, leg)
    last = status("completed", leg=leg, conversation_uuid=id_)
    clock.after(10.5, lambda: keep(room, last))
    clock.after(3, lambda: keep(room, status("human", leg=leg, conversation_uuid=id_)))

    ran = room(f"conversation events {id_} --follow")

    assert ran.exit_code == 0, ran.stderr
    assert [row[2] for row in ran.rows if row[0] == "-"] == ["human", "completed"]


def test_follow_shows_no_event_again_whose_webhook_comes_late(start_room: StartRoom) -> None:
    clock = EventfulClock()
    room = start_room(clock=clock)
    leg = call(room, "447700900510")
    id_ = conversation_of(room, leg)
    known = listed(room(f"conversation events {id_} -o json"))
    clock.after(3, lambda: keep_rtc(room, *(webhook(each, id_) for each in known)))

    ran = room(f"conversation events {id_} --follow -q")

    ids = [int(each) for each in ran.stdout.split()]
    assert ids == [*range(1, len(ids) + 1)]
    starts = [parse_qs(urlsplit(each["path"]).query).get("start_id") for each in room.requests("listEvents")]
    assert starts[2] == [str(len(known) + 1)], "the API is asked for later events only"


def test_follow_goes_on_while_the_api_fails_and_says_so_once(start_room: StartRoom) -> None:
    fault = "sandbox fault add status 500 --on listEvents --times 9"

    ran = following(start_room, (3, fault), (4, "mute {leg}"), options="-q")

    ids = [int(each) for each in ran.stdout.split()]
    assert ids == [*range(1, len(ids) + 1)]


def test_follow_for_people_writes_a_line_for_each_event(start_room: StartRoom) -> None:
    ran = following(start_room, options="-o table")

    assert all(len(line.split()) >= 3 for line in ran.stdout.splitlines())
    assert "conversation:created" in ran.stdout
    assert "─" not in ran.stdout


@pytest.mark.parametrize("option", ["--sort id", "--limit 3"])
def test_follow_cannot_be_sorted_or_limited(voicectl: Room, option: str) -> None:
    ran = voicectl(f"conversation events support-17 --follow {option}")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert not voicectl.requests()


def test_a_name_that_was_never_used_is_not_found(voicectl: Room) -> None:
    keep(voicectl, status("answered"))

    ran = voicectl("conversation events nowhere")

    assert (ran.exit_code, ran.stdout) == (4, "")
    assert "No conversation named nowhere was found" in ran.stderr
    assert LEG not in ran.stdout
