"""Each operation of the Conversation API sends what the reference documents, and reads its replies liberally.

Source: Conversation API reference, sections 2, 3 and 6.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.fault_proxy import FaultProxy, Side, cut
from tests.support.machines import Application, Unpaced, machine
from tests.support.room import Room
from tests.support.servers import LEG, Canned, Request, reply
from voicectl.api.auth import Bearer
from voicectl.api.conversations import ConversationApi
from voicectl.api.pages import MAX_PAGES
from voicectl.api.session import Session
from voicectl.api.wire import Wire
from voicectl.errors import NotFoundError, TransportError
from voicectl.voice.conversation import Member

REFERENCE = Path(__file__).parent.parent / "reference"
ROOM = "CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"
MEMBER = "MEM-1b2c3d4e-5f60-4718-8293-a4b5c6d7e8f9"
MEDIA = json.loads((REFERENCE / "conversation_media.json").read_text())
START = MEDIA["record"]["requests"][1]

OPERATIONS: list[tuple[str, str, str, Any]] = [
    (f"talk {ROOM} Hello", "PUT", "/talk", MEDIA["talk"]["request"]),
    (
        f"talk {ROOM} Hello --language en-GB --style 2 --premium --loop 2 --level -0.3",
        "PUT",
        "/talk",
        {"text": "Hello", "language": "en-GB", "style": 2, "premium": True, "loop": 2, "level": "-0.3"},
    ),
    (f"talk {ROOM} --stop", "DELETE", "/talk", None),
    (f"stream {ROOM} https://cdn.example.org/wait.mp3", "PUT", "/stream", MEDIA["stream"]["request"]),
    (f"stream {ROOM} --stop", "DELETE", "/stream", None),
    (f"record {ROOM}", "PUT", "/record", {"action": "start"}),
    (
        f"record {ROOM} --event-url https://app.example.org/rec --event-method post --split --format wav"
        " --retention-ttl 7 --limit 1h --transcription-language en-GB --transcription-sentiment-analysis"
        " --transcription-event-url https://app.example.org/tr --transcription-event-method POST",
        "PUT",
        "/record",
        START,
    ),
    (f"record {ROOM} --stop", "PUT", "/record", {"action": "stop"}),
]


@pytest.fixture
def ask(application: Application) -> Iterator[Callable[[str], ConversationApi]]:
    """Return a client of the API at a URL."""
    identity, key = application
    with ExitStack() as stack:

        def client(url: str) -> ConversationApi:
            clock = FakeClock()
            bearer = Bearer(identity.application_id, lambda: key, clock)
            wire = Wire(url, environ={})
            stack.callback(wire.close)
            return ConversationApi(Session(wire, bearer, Unpaced(), clock))

        yield client


Ask = Callable[[str], ConversationApi]


def test_events_end_at_the_last_known_one_even_if_the_server_lists_more(ask: Ask) -> None:
    rows = [{"id": number, "type": "custom:x"} for number in (4, 3, 2, 1)]

    with Canned(reply(200, {"_embedded": rows})) as server:
        found = [event.number for event in ask(server.url).events(ROOM, after=2)]
        assert [event.number for event in ask(server.url).events(ROOM)] == [4, 3, 2, 1]

    assert found == [4, 3]
    assert [request.query.get("start_id") for request in server.requests] == ["3", None]


def conversation(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"CON-00000000-0000-4000-8000-{number:012}", "name": f"room-{number}", **more}


def paged(rows: list[dict[str, Any]], cursor: str | None = None, name: str = "conversations") -> bytes:
    links = (
        {"next": {"href": f"https://elsewhere.example.org/x?cursor={cursor}&page_size=7"}} if cursor else {}
    )
    return reply(body={"page_size": 100, "_embedded": {name: rows}, "_links": links})


@pytest.mark.parametrize(
    ("line", "method", "below", "body"),
    OPERATIONS,
    ids=[line.replace(ROOM, "CON") for line, *_ in OPERATIONS],
)
def test_an_operation_is_one_documented_request(
    tmp_path: Path, application: Application, line: str, method: str, below: str, body: Any
) -> None:
    with Canned(reply(200, {"message": "Done", "uuid": ROOM})) as server:
        ran = machine(tmp_path, application, server.url)(f"conversation {line}")

    assert ran.exit_code == 0, ran.stderr
    (request,) = server.requests
    assert (request.method, request.target, request.json) == (
        method,
        f"/v1/conversations/{ROOM}{below}",
        body,
    )


@pytest.mark.parametrize("line", [f"record {ROOM}", f"record {ROOM} --stop", f"talk {ROOM} --stop"])
def test_an_empty_reply_of_the_2021_version_is_a_success(
    tmp_path: Path, application: Application, line: str
) -> None:
    with Canned(reply(204)) as server:
        assert machine(tmp_path, application, server.url)(f"conversation {line}").exit_code == 0


def test_a_list_is_read_newest_first_and_only_the_cursor_of_a_link_is_used(ask: Ask) -> None:
    pages = [paged([conversation(3), conversation(2)], "a=b"), paged([conversation(2), conversation(1)])]
    with Canned(*pages) as server:
        found = list(ask(server.url).list())

    assert [each.name for each in found] == ["room-3", "room-2", "room-1"]
    assert [request.path for request in server.requests] == ["/v1/conversations"] * 2
    first, second = (request.query for request in server.requests)
    assert first == {"page_size": "100", "order": "desc"}
    assert second == first | {"cursor": "a=b"}


def test_a_list_that_links_to_itself_ends(ask: Ask) -> None:
    with Canned(paged([conversation(1)], "same")) as server:
        assert len(list(ask(server.url).list())) == 1
    assert len(server.requests) == 2


def test_an_endless_list_is_abandoned_and_reported(ask: Ask) -> None:
    def more(request: Request) -> bytes:
        number = int(request.query.get("cursor", "0"))
        return paged([conversation(number)], str(number + 1))

    cut_off: list[bool] = []
    with Canned(more) as server:
        found = list(ask(server.url).list(on_cut=lambda: cut_off.append(True)))

    assert (len(found), cut_off) == (MAX_PAGES, [True])


def test_rows_of_the_2021_version_are_read_and_rows_without_an_id_are_skipped(ask: Ask) -> None:
    rows = [conversation(1), {"name": "none"}, "x", {"id": 7}]
    with Canned(reply(body={"_embedded": {"data": {"conversations": rows}}})) as server:
        assert [each.name for each in ask(server.url).list()] == ["room-1"]


def test_a_name_is_found_without_reading_further_and_a_deleted_conversation_does_not_count(ask: Ask) -> None:
    gone = conversation(9, name="support", state="DELETED")
    with Canned(paged([gone, conversation(8)], "1"), paged([conversation(7, name="support")], "2")) as server:
        found = ask(server.url).find("support")
        assert found is not None
        assert found.id == conversation(7)["id"]
        assert len(server.requests) == 2
    with Canned(paged([gone])) as server:
        assert ask(server.url).find("support") is None


def test_a_member_is_read_as_documented(ask: Ask) -> None:
    documented = json.loads((REFERENCE / "member.json").read_text())
    with Canned(paged([documented["listed"]], name="members"), reply(body=documented["reply"])) as server:
        api = ask(server.url)
        (listed,) = api.members(ROOM)
        member = api.member(ROOM, MEMBER)

    assert (listed.leg_uuid, listed.muted, listed.is_present) == (None, None, True)
    assert (member.leg_uuid, member.muted, member.earmuffed) == (
        "3c1f7c5e-9a6b-4d0e-8f7a-5a2b1c0d9e8f",
        False,
        False,
    )
    assert [request.path for request in server.requests] == [
        f"/v1/conversations/{ROOM}/members",
        f"/v1/conversations/{ROOM}/members/{MEMBER}",
    ]


@pytest.mark.parametrize(
    ("raw", "leg"),
    [
        ({"channel": {"leg_ids": [LEG.upper()]}}, LEG),
        ({"channel": {"id": LEG.replace("-", "")}}, LEG),
        ({"channel": {"leg_ids": "x", "id": 7}}, None),
        ({"channel": [], "media": "x"}, None),
        ({"media": {"audio_settings": {"muted": "yes"}}}, None),
    ],
)
def test_an_odd_member_is_read_as_far_as_possible(raw: dict[str, Any], leg: str | None) -> None:
    member = Member.from_json({"id": MEMBER, "state": "joined"} | raw)

    assert (member.leg_uuid, member.muted, member.earmuffed, member.state) == (leg, None, None, "JOINED")


@pytest.mark.parametrize("body", [[], {}, {"_embedded": 1}, {"_embedded": {"conversations": {}}}, "x"])
def test_an_invalid_list_is_not_a_usable_reply(ask: Ask, body: Any) -> None:
    with Canned(reply(body=body)) as server, pytest.raises(TransportError):
        list(ask(server.url).list())
    assert len(server.requests) == 3


def test_a_reply_about_another_object_is_not_usable(ask: Ask) -> None:
    with Canned(reply(body=conversation(1))) as server:
        api = ask(server.url)
        with pytest.raises(TransportError):
            api.get(ROOM)
        with pytest.raises(TransportError):
            api.member(ROOM, MEMBER)


def test_a_404_names_the_conversation(ask: Ask) -> None:
    with Canned(reply(404, {"title": "Not found."})) as server, pytest.raises(NotFoundError) as refused:
        ask(server.url).get(ROOM)
    assert "conversation list" in (refused.value.hint or "")


def test_a_rename_keeps_the_other_fields_of_a_conversation(room: Room, ask: Ask) -> None:
    api = ask(room.url)
    room.call(options="--join lobby")
    found = api.find("lobby")
    assert found is not None
    found.raw["properties"] = {"ttl": 60}

    api.rename(found, "support-17")

    now = api.get(found.id)
    assert (now.name, now.raw["properties"]) == ("support-17", {"ttl": 60})


@pytest.mark.parametrize("line", ["talk {room} Hello", "stream {room} https://x.org/a.mp3", "record {room}"])
@pytest.mark.parametrize("side", list(Side))
def test_a_sound_or_event_that_must_not_repeat_is_sent_once(
    room: Room, application: Application, line: str, side: Side
) -> None:
    room.call(options="--join support-17")
    with FaultProxy(room.url) as proxy:
        proxy.fault = cut(side, 20, method="PUT")
        other = machine(room.home / "other", application, proxy.url)
        ran = other(f"conversation {line.format(room='support-17')} -o json")

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert "conversation show CON-" in ran.error["hint"]
    assert sum(request.method == "PUT" for request in proxy.requests) == 1


@pytest.mark.parametrize("line", ["talk {room} --stop", "stream {room} --stop", "record {room} --stop"])
def test_a_stop_is_repeated(room: Room, application: Application, line: str) -> None:
    room.call(options="--join support-17")
    id_ = room("conversation list -q").stdout.strip()  # a name is looked up, on the same connection
    method = "PUT" if line.startswith("record") else "DELETE"
    with FaultProxy(room.url) as proxy:
        proxy.fault = cut(Side.REPLY, 0, method=method)
        other = machine(room.home / "other", application, proxy.url)
        ran = other(f"conversation {line.format(room=id_)}")

    assert ran.exit_code == 7
    assert sum(request.method == method for request in proxy.requests) == 3


def test_a_recording_whose_stop_lost_its_reply_is_already_stopped(
    room: Room, application: Application
) -> None:
    room.call(options="--join support-17")
    id_ = room("conversation list -q").stdout.strip()  # a name is looked up, on the same connection
    room("conversation record support-17")
    with FaultProxy(room.url) as proxy:
        proxy.fault = cut(Side.REPLY, 0, method="PUT")

        def mend(request: Request) -> None:
            if sum(each.method == "PUT" for each in proxy.requests) > 1:
                proxy.fault = None

        proxy.on_request = mend
        other = machine(room.home / "other", application, proxy.url)
        ran = other(f"conversation record {id_} --stop -o json")

    assert ran.exit_code == 0, ran.stderr
    assert ran.json["outcome"] == "already"
