"""``user``: the app users of an application are listed, created, shown and deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import Application, machine
from tests.support.room import Room
from tests.support.servers import Canned, Request, reply

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "user.json").read_text())
ALICE: dict[str, Any] = REFERENCE["reply"]
ID: str = ALICE["id"]


def create(room: Room, *names: str) -> list[str]:
    return [room(f"user create {name} -q").stdout.strip() for name in names]


def test_a_created_user_is_shown_as_it_was_created(voicectl: Room) -> None:
    ran = voicectl("user create alice --display-name 'Alice Jones' --image-url https://x.org/a.png")

    ((id_, *rest),) = ran.rows
    assert id_.startswith("USR-")
    assert rest == ["alice", "Alice Jones", "https://x.org/a.png"]
    for reference in ("alice", id_, f" {id_} "):
        assert voicectl(["user", "show", reference]).rows == ran.rows
    shown = voicectl("user show alice -o json").json
    assert (shown["id"], shown["display_name"]) == (id_, "Alice Jones")
    assert shown["_links"]["self"]["href"].endswith(id_)


def test_a_user_without_a_name_gets_one(voicectl: Room) -> None:
    ((id_, name, *_),) = voicectl("user create").rows

    assert name.startswith("NAM-")
    assert voicectl(f"user show {name} -q").stdout == f"{id_}\n"


def test_a_call_reaches_a_user_once_it_exists(voicectl: Room) -> None:
    call = "call create --to app:alice --talk Hello --wait answered"
    before = voicectl(call)
    create(voicectl, "alice")

    assert (before.exit_code, voicectl(call).exit_code) == (11, 0)


def test_the_list_has_the_newest_first(voicectl: Room) -> None:
    ids = create(voicectl, "alice", "bob", "carol")

    assert [row[:2] for row in voicectl("user list").rows] == [
        [ids[2], "carol"],
        [ids[1], "bob"],
        [ids[0], "alice"],
    ]
    assert [each["name"] for each in voicectl("user list -o json").json] == ["carol", "bob", "alice"]
    assert voicectl("user list -q --sort name --limit 1").stdout.split() == ids[:1]


def test_without_users_the_list_is_empty(voicectl: Room) -> None:
    assert voicectl("user list -o json").json == []
    assert voicectl("user list").stdout == ""


def test_all_pages_of_the_list_are_read(voicectl: Room) -> None:
    assert voicectl.sandbox is not None
    identity = voicectl.sandbox.identity
    for number in range(150):
        voicectl.sandbox.users.add(
            f"user-{number}", {}, application_id=identity.application_id, region="na-east"
        )

    assert len(voicectl("user list -q").stdout.split()) == 150


def test_a_removed_user_is_gone(voicectl: Room) -> None:
    alice, bob = create(voicectl, "alice", "bob")

    removed = [voicectl(f"user remove {reference}") for reference in ("alice", bob)]

    assert [ran.rows for ran in removed] == [[[alice, "remove", "done"]], [[bob, "remove", "done"]]]
    assert voicectl("user list").stdout == ""


@pytest.mark.parametrize("verb", ["show", "remove"])
def test_an_unknown_user_is_not_found(voicectl: Room, verb: str) -> None:
    create(voicectl, "alice")

    for reference in ("alicia", ID):
        ran = voicectl(f"user {verb} {reference}")
        assert (ran.exit_code, ran.stdout) == (4, "")
        assert reference in ran.stderr
        assert "voicectl user list" in ran.stderr
    assert not voicectl.requests("deleteUser")


@pytest.mark.parametrize("name", ["me", "USR-x", "", " ", "-", "a\nb", "a" * 101])
@pytest.mark.parametrize("verb", ["create", "show", "remove"])
def test_names_that_no_user_can_have_are_refused_here(voicectl: Room, verb: str, name: str) -> None:
    ran = voicectl(["user", verb, name])

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert not voicectl.requests()


def test_a_name_that_is_taken_is_refused_and_the_hint_shows_its_user(voicectl: Room) -> None:
    create(voicectl, "alice")

    ran = voicectl("user create alice")

    assert (ran.exit_code, ran.stdout) == (5, "")
    assert "409 Conflict: A user of this name already exists." in ran.stderr
    assert "voicectl user show alice" in ran.stderr


@pytest.mark.parametrize("name", ["Zoë O'Neill", "a/b", "..", "50%", "a?b#c", "山田"])
def test_any_other_name_is_found_again(voicectl: Room, name: str) -> None:
    ((id_, *_),) = voicectl(["user", "create", name]).rows

    assert voicectl(["user", "show", name, "-q"]).stdout == f"{id_}\n"
    assert voicectl(["user", "remove", name]).rows == [[id_, "remove", "done"]]


def test_what_a_user_is_called_is_shown_harmlessly(voicectl: Room) -> None:
    voicectl(["user", "create", "eve", "--display-name", "\x1b[31mEve\u202e"])

    for line in ("user list", "user show eve"):
        ran = voicectl(line)
        assert "\\x1b[31mEve\\u202e" in ran.stdout
        assert "\x1b" not in ran.stdout


def test_a_dry_run_shows_the_request_and_sends_nothing(voicectl: Room) -> None:
    (alice,) = create(voicectl, "alice")
    before = [each for each in voicectl.requests() if each["method"] != "GET"]

    made = voicectl("user create bob --display-name Bob --dry-run")
    (removed,) = voicectl("user remove alice --dry-run -o json").json

    assert made.stdout.startswith(f"curl -X POST {voicectl.url}/v1/users ")
    assert """'{"name": "bob", "display_name": "Bob"}'""" in made.stdout
    assert (removed["method"], removed["url"]) == ("DELETE", f"{voicectl.url}/v1/users/{alice}")
    assert [each for each in voicectl.requests() if each["method"] != "GET"] == before


def test_a_create_whose_reply_is_lost_is_not_sent_again(voicectl: Room) -> None:
    voicectl("sandbox fault add lost-reply --on createUser", env={"VOICECTL_SANDBOX": voicectl.url})

    ran = voicectl("user create alice")

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert "voicectl user show alice" in ran.stderr
    assert len(voicectl.requests("createUser")) == 1
    assert voicectl("user show alice").exit_code == 0


def test_a_removal_whose_reply_is_lost_is_repeated(voicectl: Room) -> None:
    (alice,) = create(voicectl, "alice")
    control = {"VOICECTL_SANDBOX": voicectl.url}
    voicectl("sandbox fault add lost-reply --on deleteUser --times 1", env=control)

    ran = voicectl("user remove alice")

    assert (ran.exit_code, ran.rows) == (0, [[alice, "remove", "already"]])


def test_a_reply_about_another_user_is_no_answer(tmp_path: Path, application: Application) -> None:
    with Canned(reply(200, ALICE)) as server:
        room = machine(tmp_path, application, server.url)

        assert room("user show alice").exit_code == 0
        assert room(f"user show {ID.upper()}").exit_code == 0
        assert room("user show bob").exit_code == 7
        assert room("user remove bob").exit_code == 7
    assert {request.method for request in server.requests} == {"GET"}


def test_the_documented_replies_are_read(tmp_path: Path, application: Application) -> None:
    def answer(request: Request) -> bytes:
        if request.path == "/v1/users" and request.method == "GET":
            return reply(200, REFERENCE["page_reply"])
        return reply(201 if request.method == "POST" else 200, ALICE)

    with Canned(answer) as server:
        room = machine(tmp_path, application, server.url)
        line = "user create alice --display-name Alice --image-url https://cdn.example.org/alice.png -o json"
        ran = room(line)
        listed = room("user list -o json")

    assert ran.json == ALICE
    assert listed.json == REFERENCE["page_reply"]["_embedded"]["users"]
    sent = server.requests[0].json
    assert sent == {name: REFERENCE["request"][name] for name in ("name", "display_name", "image_url")}


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id": ""}', b'{"id": 5}', b"<html>"])
def test_a_broken_reply_is_no_answer(tmp_path: Path, application: Application, body: bytes) -> None:
    with Canned(reply(200, body)) as server:
        room = machine(tmp_path, application, server.url)

        assert room("user show alice").exit_code == 7
        assert room("user create alice").exit_code == 12
