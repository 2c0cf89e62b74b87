"""Listing legs while they move, page by page, including malformed ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.machines import Application, client, machine
from tests.support.room import Ran
from tests.support.servers import LEG, Canned, Request, page, reply
from voicectl.core.calls.live import live_calls
from voicectl.voice.call import CallStatus


def leg(number: int, status: str = "answered", **more: Any) -> dict[str, Any]:
    return {"uuid": f"00000000-0000-4000-8000-{number:012}", "status": status, **more}


def numbers(ran: Ran) -> list[int]:
    return [int(record["uuid"][-12:]) for record in ran.json]


def listing(
    tmp_path: Path,
    application: Application,
    answer: Callable[[Request], dict[str, Any]],
    line: str = "call list --all",
) -> tuple[Ran, list[Request]]:
    with Canned(lambda request: reply(body=answer(request))) as server:
        ran = machine(tmp_path, application, server.url)(f"{line} -o json")
    return ran, server.requests


# Legs whose status changes


def test_a_leg_that_changes_meanwhile_is_shown_once_as_last_seen(
    tmp_path: Path, application: Application
) -> None:
    shown = {"started": [1, 2], "ringing": [2, 3], "answered": [1, 3, 4], "machine": [4]}

    def answer(request: Request) -> dict[str, Any]:
        status = request.query["status"]
        return page(*(leg(number, status) for number in shown[status]))

    ran, requests = listing(tmp_path, application, answer, "call list")

    assert {int(record["uuid"][-12:]): record["status"] for record in ran.json} == {
        1: "answered",
        2: "ringing",
        3: "answered",
        4: "machine",
    }
    assert len(ran.json) == 4
    assert len(requests) == 4


class Moving:
    """A list of ringing legs of which some leave it between two pages.

    Args:
        leaving: How many leave, one after each page that is not a first one.
        arriving: Whether one comes with every page.
    """

    def __init__(self, count: int, *, leaving: int = 0, arriving: bool = False) -> None:
        self.legs = list(range(count))
        self._leaving = leaving
        self._arriving = arriving

    def __call__(self, request: Request) -> dict[str, Any]:
        if request.query["status"] != "ringing":
            return page()
        index, size = int(request.query.get("record_index", 0)), int(request.query["page_size"])
        if index and self._leaving:
            self._leaving -= 1
            del self.legs[0]
        if self._arriving:
            self.legs.append(self.legs[-1] + 1)
        following = f"/v1/calls?status=ringing&page_size={size}&record_index={index + 1}"
        shown = self.legs[index * size : (index + 1) * size]
        is_last = (index + 1) * size >= len(self.legs)
        return page(*(leg(number, "ringing") for number in shown), following=None if is_last else following)


def test_a_leg_displaced_by_another_one_is_found_by_asking_again(
    tmp_path: Path, application: Application
) -> None:
    ran, requests = listing(tmp_path, application, Moving(250, leaving=2), "call list")

    assert sorted(numbers(ran)) == list(range(250))
    ringing = [request for request in requests if request.query["status"] == "ringing"]
    assert len(ringing) == 3 + 3 + 3, "three pages, again with two that were missed, again with nothing new"


def test_a_status_with_one_page_is_requested_once(tmp_path: Path, application: Application) -> None:
    _, requests = listing(tmp_path, application, Moving(100), "call list")
    assert len(requests) == 4


def test_an_ever_changing_list_ends_nevertheless(tmp_path: Path, application: Application) -> None:
    """A busy platform has a new leg in every page, and the user still needs an answer."""
    ran, requests = listing(tmp_path, application, Moving(150, arriving=True), "call list")

    assert ran.exit_code == 0
    assert set(range(150)) <= set(numbers(ran))
    assert len(requests) < 60


def test_one_live_status_is_listed_in_the_same_way(tmp_path: Path, application: Application) -> None:
    ran, requests = listing(
        tmp_path, application, Moving(250, leaving=1), "call list --status ringing --match-to '*'"
    )
    assert sorted(numbers(ran)) == list(range(250))
    assert {request.query["status"] for request in requests} == {"ringing"}


def test_the_requested_statuses_are_those_of_the_caller(application: Application) -> None:
    with (
        Canned(lambda request: reply(body=page(leg(1, request.query["status"])))) as server,
        client(server.url, application, FakeClock()) as api,
    ):
        found = live_calls(api, statuses=[CallStatus.ANSWERED, CallStatus.MACHINE], conversation_uuid="CON-1")

    assert [call.status for call in found] == ["machine"]
    assert [request.query["conversation_uuid"] for request in server.requests] == ["CON-1"] * 2


# Pages


@pytest.mark.parametrize(
    "href",
    [
        "/v1/calls?page_size=1&record_index=1",
        "/calls?page_size=1&record_index=1",
        "?page_size=1&record_index=1",
        "https://api.nexmo.com/v1/calls?page_size=1&record_index=1",
        "http://127.0.0.1:9/v1/calls?page_size=1&record_index=1",
        "//198.51.100.7/v1/applications?page_size=1&record_index=1#x",
        "http://mallory:secret@198.51.100.7/../../v2/applications?page_size=1&record_index=1",
        "ftp://198.51.100.7/?page_size=1&record_index=1",
    ],
)
def test_only_the_query_of_the_next_link_is_used(tmp_path: Path, application: Application, href: str) -> None:
    def answer(request: Request) -> dict[str, Any]:
        return page(leg(2)) if "record_index" in request.query else page(leg(1), following=href)

    ran, requests = listing(tmp_path, application, answer)

    assert numbers(ran) == [1, 2]
    assert [request.target for request in requests[1:]] == ["/v1/calls?page_size=1&record_index=1"]


def test_a_query_cannot_change_the_rest_of_the_url(tmp_path: Path, application: Application) -> None:
    following = "?cursor=a%20b%0d%0aX-Evil:%201&x=%23%26%3d/../ü"

    def answer(request: Request) -> dict[str, Any]:
        return page(leg(2)) if "cursor" in request.query else page(leg(1), following=following)

    ran, requests = listing(tmp_path, application, answer)

    assert numbers(ran) == [1, 2]
    assert requests[1].query == {"cursor": "a b\r\nX-Evil: 1", "x": "#&=/../ü"}
    assert requests[1].path == "/v1/calls"
    assert "x-evil" not in requests[1].headers


def test_a_leg_that_two_pages_show_is_listed_once(tmp_path: Path, application: Application) -> None:
    def answer(request: Request) -> dict[str, Any]:
        if "record_index" in request.query:
            return page(leg(2), leg(3), leg(1))
        return page(leg(1), leg(2), leg(2), following="?record_index=1")

    assert numbers(listing(tmp_path, application, answer)[0]) == [1, 2, 3]


@pytest.mark.parametrize(
    "following",
    [
        lambda _: "?page_size=100&order=desc",
        lambda request: request.target,
        lambda request: "?a=1" if "b" in request.query else "?b=1",
        lambda request: f"?record_index={int(request.query.get('record_index', 0)) + 1}",
        lambda request: f"?cursor={'x' * len(request.target)}",
    ],
    ids=["to the first page", "to itself", "in a circle", "on and on", "longer and longer"],
)
def test_links_that_lead_nowhere_end_the_list(
    tmp_path: Path, application: Application, following: Callable[[Request], str]
) -> None:
    ran, requests = listing(
        tmp_path, application, lambda request: page(leg(1), leg(2), following=following(request))
    )

    assert ran.exit_code == 0
    assert numbers(ran) == [1, 2]
    assert len(requests) <= 5


@pytest.mark.parametrize(
    "links", [None, [], {"next": None}, {"next": {"href": 7}}, {"next": {"href": ""}}, {}]
)
def test_without_a_readable_link_there_is_no_next_page(
    tmp_path: Path, application: Application, links: object
) -> None:
    ran, requests = listing(tmp_path, application, lambda _: page(leg(1)) | {"_links": links})

    assert (ran.exit_code, numbers(ran)) == (0, [1])
    assert len(requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"_embedded": None},
        {"_embedded": {"calls": {}}},
        {"_embedded": {"calls": None}},
        {"count": 1, "_embedded": []},
        page(leg(1), following="http://[::1"),
    ],
)
def test_an_invalid_page_is_not_a_usable_reply(
    tmp_path: Path, application: Application, body: dict[str, Any]
) -> None:
    assert listing(tmp_path, application, lambda _: body)[0].exit_code == 7


def test_a_limit_requests_no_more_than_it_needs(tmp_path: Path, application: Application) -> None:
    ran, requests = listing(tmp_path, application, Endless(), "call list --all --limit 3")
    assert numbers(ran) == [0, 1, 2]
    assert len(requests) == 1


class Endless:
    """Pages without end, each with new records."""

    def __call__(self, request: Request) -> dict[str, Any]:
        index = int(request.query.get("record_index", 0))
        return page(
            *(leg(index * 100 + number) for number in range(100)), following=f"?record_index={index + 1}"
        )


# Odd legs


ODD: dict[str, dict[str, Any]] = {
    "an anonymous caller": {"from": {"type": "phone"}, "direction": "inbound"},
    "an extension": {"to": {"type": "vbc", "extension": "1234"}},
    "an app user": {"to": {"type": "app", "user": "jamie"}},
    "a SIP URI": {"to": {"type": "sip", "uri": "sip:a@example.org"}},
    "a WebSocket": {"to": {"type": "websocket", "uri": "wss://example.org/x", "content-type": "audio/l16"}},
    "no to": {"from": {"type": "phone", "number": "447700900001"}},
    "to null": {"to": None, "from": None},
    "to a text": {"to": "447700900001"},
    "to an array": {"to": [{"type": "phone", "number": "447700900001"}]},
    "to an empty array": {"to": [], "from": 7},
    "a number that is a number": {"to": {"type": "phone", "number": 447700900001}},
    "fields that are new": {"quality": {"mos": 4.1}, "tags": ["a", ["b"]], "x\u202e": "\x1b[2J"},
    "a status that is new": {"status": "on-hold"},
    "no status": {"status": None},
    "a status that is a number": {"status": 7, "direction": [], "duration": 5},
    "times of every form": {"start_time": "2024-04-19 01:34:18", "end_time": "later", "price": None},
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_leg_is_shown_with_all_its_fields(tmp_path: Path, application: Application, kind: str) -> None:
    record = {"uuid": LEG, "status": "answered"} | ODD[kind]
    with Canned(reply(body=page(leg(1), record, leg(2)))) as server:
        room = machine(tmp_path, application, server.url)
        assert room("call list --all -o json").json[1] == record
        assert json.loads(room("call list --all -o jsonl").stdout.splitlines()[1]) == record
        rows = room("call list --all").rows
        assert [row[0] for row in rows] == [leg(1)["uuid"], LEG, leg(2)["uuid"]]
        assert len({len(row) for row in rows}) == 1
        assert room("call list -q").exit_code == 0
        assert room("call list --all --match-to '4477*' --match-from '*'").exit_code == 0


def test_an_id_of_32_hex_digits_is_valid(tmp_path: Path, application: Application) -> None:
    plain = "aa6bec1f5c4a4bdc95aee8a4c1b7a1f0"
    with Canned(reply(body=page({"uuid": plain, "status": "answered"})), reply(204)) as server:
        room = machine(tmp_path, application, server.url)
        ids = room("call list --all -q").stdout
        assert ids == f"{plain}\n"
        assert room("mute - --yes -q", stdin=ids).stdout == f"{plain}\n"
    assert server.requests[-1].target == f"/v1/calls/{plain}"


def test_an_object_without_an_id_is_not_a_leg_and_hides_no_other(
    tmp_path: Path, application: Application
) -> None:
    odd: list[Any] = [{"status": "answered"}, {"uuid": None}, {"uuid": 7}, {"uuid": ""}, [], None, "x"]
    ran, _ = listing(tmp_path, application, lambda _: page(leg(1), *odd, leg(2)))
    assert numbers(ran) == [1, 2]


def test_an_id_that_is_a_path_is_shown_escaped_and_never_used(
    tmp_path: Path, application: Application
) -> None:
    evil = "abcd/../../v2/applications\x1b[2J"
    with Canned(reply(body=page({"uuid": evil, "status": "answered"}))) as server:
        room = machine(tmp_path, application, server.url)
        ids = room("call list --all -q").stdout
        assert "\x1b" not in ids
        assert room("hangup - --yes", stdin=ids).exit_code == 2
        assert room("hangup abcd").exit_code != 0
    assert {request.path for request in server.requests} == {"/v1/calls"}
