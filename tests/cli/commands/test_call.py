"""Creating calls, reading them and waiting for them."""

from __future__ import annotations

import json

import pytest

from tests.support.room import BUSY, BY_HAND, DECLINES, PERSON, RINGS, Room


def test_create_prints_the_leg_and_its_reference(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {PERSON} --talk Hello -o json")

    assert ran.exit_code == 0
    assert ran.json["status"] == "started"
    assert ran.json["direction"] == "outbound"
    assert ran.json["reference"].startswith("vc-")
    assert ran.json["to"] == {"type": "phone", "number": PERSON}
    assert voicectl(f"call show {ran.json['uuid']} -o json").json["to"] == {"type": "phone", "number": PERSON}


def test_the_flow_is_talk_then_stream_then_join(voicectl: Room) -> None:
    voicectl(
        f"call create --to {PERSON} --talk Hi --stream https://cdn.example.org/a.mp3 --join r --language en-GB"
    )

    (create,) = voicectl.requests("createCall")
    assert create["body"]["ncco"] == [
        {"action": "talk", "text": "Hi", "language": "en-GB"},
        {"action": "stream", "streamUrl": ["https://cdn.example.org/a.mp3"]},
        {"action": "conversation", "name": "r"},
    ]
    assert create["body"]["from"] == {"type": "phone", "number": "442079460000"}


def test_each_option_sets_the_field_of_its_name(voicectl: Room) -> None:
    ran = voicectl(
        f"call create --to +{PERSON} --talk Hi --event-url http://127.0.0.1:9/e?order=17 --event-method GET"
        " --advanced-machine-detection mode=detect_beep,behavior=continue,beep_timeout=60 --random-from-number"
        " --ringing-timer 45 --length-timer 30m --dtmf-answer pp22#"
    )

    assert ran.exit_code == 0, ran.stderr
    (create,) = voicectl.requests("createCall")
    assert create["body"] == {
        "to": [{"type": "phone", "number": PERSON, "dtmfAnswer": "pp22#"}],
        "random_from_number": True,
        "ncco": [{"action": "talk", "text": "Hi"}],
        "event_url": ["http://127.0.0.1:9/e?order=17"],
        "event_method": "GET",
        "advanced_machine_detection": {"mode": "detect_beep", "behavior": "continue", "beep_timeout": 60},
        "ringing_timer": 45,
        "length_timer": 1800,
    }


@pytest.mark.parametrize("to", ["+44 7700 900001", "44.7700.900001", "+44 (7700) 900-001", "447700900001\n"])
def test_numbers_may_contain_the_usual_separators(voicectl: Room, to: str) -> None:
    create = ["call", "create", "--to", to, "--talk", "Hi"]
    by_option = voicectl([*create, "--from", "+44 20 7946 0000"])
    by_setting = voicectl(create, env={"VOICECTL_PROFILE": "", "VOICECTL_FROM": "+44 20 7946 0000"})

    assert (by_option.exit_code, by_setting.exit_code) == (0, 0)
    for request in voicectl.requests("createCall"):
        assert request["body"]["to"] == [{"type": "phone", "number": "447700900001"}]
        assert request["body"]["from"] == {"type": "phone", "number": "442079460000"}


@pytest.mark.parametrize(
    "words",
    [
        ["--to", "+44 (0)7700 900001"],
        ["--to", "07700900001"],
        ["--to", "00447700900001"],
        ["--to", PERSON, "--from", "020 7946 0000"],
        ["--to", PERSON, "--to", "+44 7700 900001"],
    ],
)
def test_no_number_is_guessed_and_none_is_called_twice(voicectl: Room, words: list[str]) -> None:
    ran = voicectl(["call", "create", *words, "--talk", "Hi"])

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert voicectl.requests("createCall") == []


def test_the_reference_is_in_an_event_url_that_is_posted_to(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {PERSON} --talk Hi --event-url http://127.0.0.1:9/e?a=b -o json")

    (create,) = voicectl.requests("createCall")
    assert create["body"]["event_url"] == [f"http://127.0.0.1:9/e?a=b&vc={ran.json['reference']}"]


def test_several_callees_get_a_call_each_and_a_failed_one_does_not_stop_the_others(voicectl: Room) -> None:
    voicectl("sandbox fault add status 400 --on createCall --times 1", env=as_sandbox(voicectl))

    ran = voicectl(f"call create --to {PERSON} --to 447700900002 --to 447700900003 --talk Hi -o json")

    assert ran.exit_code == 10
    assert len(ran.json) == 2
    assert PERSON in ran.stderr
    assert len(voicectl.requests("createCall")) == 3


def test_wait_prints_the_id_first_and_the_changes_on_standard_error(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {PERSON} --talk Hi --join r -q --wait answered")

    assert ran.exit_code == 0
    uuid = ran.stdout.strip()
    assert [line.split() for line in ran.stderr.splitlines()] == [
        [uuid, "started"],
        [uuid, "ringing"],
        [uuid, "answered"],
    ]


def test_wait_ends_in_11_when_the_call_ends_another_way(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {BUSY} --talk Hi --wait answered -o json")

    assert ran.exit_code == 11
    assert ran.json["status"] == "busy"
    assert ran.json["reference"]
    assert ran.error["code"] == "wait_ended"


def test_wait_exits_with_8_and_hangs_up_only_on_request(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {BY_HAND} --talk Hi --wait answered --timeout 5 -o json")
    assert ran.exit_code == 8
    assert voicectl(f"call show {ran.json['uuid']} -o json").json["status"] == "ringing"

    ran = voicectl(
        f"call create --to {BY_HAND} --talk Hi --wait answered --timeout 5 --hangup-on-timeout -o json"
    )
    assert ran.exit_code == 8
    assert voicectl(f"call show {ran.json['uuid']} -o json").json["status"] == "cancelled"


def test_without_a_room_the_call_ends_when_the_speech_does(voicectl: Room) -> None:
    leg = voicectl.call(options="--talk Hello")

    ran = voicectl(f"wait {leg} --for completed --timeout 10 -o json")

    assert ran.exit_code == 0
    assert ran.json["status"] == "completed"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--to sip:desk@sip.example.org --dtmf-answer zz", "--dtmf-answer is for phone endpoints, not sip."),
        (f"--to {PERSON} --header X-A", "--header is for sip and websocket endpoints, not phone."),
    ],
)
def test_an_option_of_another_endpoint_is_refused_before_its_value(
    voicectl: Room, options: str, named: str
) -> None:
    ran = voicectl(f"call create --talk Hi {options}")

    assert ran.exit_code == 2
    assert named in ran.stderr


SIP = "sip:desk@sip.example.org"


def callee(room: Room) -> dict[str, object]:
    """Return the endpoint that the one request for a call asked for."""
    (create,) = room.requests("createCall")
    (to,) = create["body"]["to"]
    return dict(to)


def test_headers_of_a_sip_endpoint_lose_the_prefix_that_the_platform_adds(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {SIP} --talk Hi --header X-Queue=gold --header x-id=7 --header Plain=1")

    assert ran.exit_code == 0
    assert callee(voicectl) == {
        "type": "sip",
        "uri": SIP,
        "headers": {"Queue": "gold", "id": "7", "Plain": "1"},
    }
    assert (
        "--header X-Queue is sent to the platform as Queue, because the platform adds the X-." in ran.stderr
    )
    assert "Plain" not in ran.stderr


@pytest.mark.parametrize(
    ("uri", "is_right"),
    [
        ("sip:b.example.org", True),
        ("sips:10.0.0.202:5061;transport=tls", True),
        ("SIP:desk@b.example.org", True),
        ("sip:", False),
        ("sip:desk@", False),
        ("sip:@b.example.org", False),
        ("sip:dé@b.example.org", False),
    ],
)
def test_all_parts_of_the_product_accept_the_same_sip_uris(voicectl: Room, uri: str, is_right: bool) -> None:
    leg = voicectl.call()
    to = {"type": "sip", "uri": uri}
    flow = json.dumps([{"action": "connect", "endpoint": [to]}])

    linted = voicectl("ncco lint -", stdin=flow).exit_code == 0
    called = voicectl(["call", "create", "--to", uri, "--talk", "Hi"]).exit_code == 0
    from_caller = voicectl(["call", "create", "--to", PERSON, "--from", uri, "--talk", "Hi"]).exit_code == 0
    connected = voicectl(["transfer", leg, "--connect", uri]).exit_code == 0
    moved = voicectl(f"transfer {leg} --ncco - --no-lint", stdin=flow).exit_code == 0

    assert (linted, called, from_caller, connected, moved) == (is_right,) * 5


def test_a_sip_uri_without_a_user_is_called_with_a_warning(voicectl: Room) -> None:
    ran = voicectl("call create --to sip:10.0.0.200 --talk Hi -o json")

    assert (ran.exit_code, callee(voicectl)) == (0, {"type": "sip", "uri": "sip:10.0.0.200"})
    assert ran.stderr.count("warning: sip:10.0.0.200 names no user") == 1
    voicectl.clock.sleep(10)
    assert voicectl(f"call show {ran.json['uuid']} -o json").json["status"] == "completed", (
        "a user 200 is busy"
    )
    assert "names no user" not in voicectl(f"call create --to {SIP} --talk Hi").stderr


@pytest.mark.parametrize("header", ["X-=1", "x-=", " X- =1"])
def test_a_header_of_a_sip_endpoint_without_a_name_is_refused(voicectl: Room, header: str) -> None:
    ran = voicectl(["call", "create", "--to", SIP, "--talk", "Hi", "--header", header])

    assert (ran.exit_code, voicectl.requests()) == (2, [])
    assert "has no header name after X-" in ran.stderr


@pytest.mark.parametrize("option", ["--user-to-user", "--header User-to-User=", "--header user-to-user="])
def test_user_to_user_is_a_standard_header(voicectl: Room, option: str) -> None:
    gap = "" if option.endswith("=") else " "
    ran = voicectl(f"call create --to {SIP} --talk Hi --header Queue=gold {option}{gap}01ab;encoding=hex")

    assert ran.exit_code == 0
    assert callee(voicectl) == {
        "type": "sip",
        "uri": SIP,
        "headers": {"Queue": "gold"},
        "standard_headers": {"User-to-User": "01ab;encoding=hex"},
    }
    assert ("as with --user-to-user" in ran.stderr) == ("--header user" in f"{option}".lower())


def test_user_to_user_is_given_once(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {SIP} --talk Hi --header User-to-User=01 --user-to-user 02")

    assert ran.exit_code == 2
    assert "given twice" in ran.stderr


def test_headers_of_a_websocket_are_unchanged(voicectl: Room) -> None:
    ran = voicectl(
        "call create --to ws://127.0.0.1:9/s --talk Hi --header X-Queue=gold --header User-to-User=01"
    )

    assert callee(voicectl)["headers"] == {"X-Queue": "gold", "User-to-User": "01"}
    assert "X-Queue" not in ran.stderr


def test_a_call_may_be_signed(voicectl: Room) -> None:
    voicectl(f"call create --to {PERSON} --talk Hi --shaken abc;alg=ES256")

    assert callee(voicectl)["shaken"] == "abc;alg=ES256"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (f"--to {SIP} --user-to-user {'a' * 257}", "$.to[0].standardHeaders['User-to-User']"),
        ("--to ws://127.0.0.1:9/s --content-type audio/l16;rate=44100", "$.to[0]['content-type']"),
    ],
)
def test_the_rules_of_an_ncco_apply_to_the_callee_too(voicectl: Room, options: str, words: str) -> None:
    ran = voicectl(f"call create --talk Hi {options}")

    assert ran.exit_code == 2
    assert f"error: {words}" in ran.stderr
    assert not voicectl.requests("createCall")
    assert voicectl(f"call create --talk Hi {options} --no-lint --dry-run").exit_code == 0


@pytest.mark.parametrize("command", ["wait {leg}", "watch {leg}"])
def test_the_api_is_asked_once_more_when_the_time_is_up(voicectl: Room, command: str) -> None:
    leg = voicectl.call(wait=None)  # answered after 2.5 s, asked for at 0, 1 and 2

    ran = voicectl(f"{command.format(leg=leg)} --for answered --timeout 2.7")

    assert ran.exit_code == 0
    assert "answered" in ran.stdout


def test_wait_for_several_legs_needs_all_of_them(voicectl: Room) -> None:
    one, other = voicectl.call(), voicectl.call(DECLINES, wait=None)

    ran = voicectl(f"wait {one} {other} --for answered -o json")

    assert ran.exit_code == 11
    assert [record["status"] for record in ran.json] == ["answered", "rejected"]


def test_ended_is_any_final_status(voicectl: Room) -> None:
    leg = voicectl.call(RINGS, "--talk Hi --ringing-timer 20", wait=None)

    ran = voicectl(f"wait {leg} --for ended")

    assert ran.exit_code == 0
    assert ran.rows[0][:2] == [leg, "timeout"]


def test_list_shows_live_legs_and_all_shows_every_record_newest_first(voicectl: Room) -> None:
    over, live = voicectl.call(BUSY, wait="ended"), voicectl.call()

    assert [row[0] for row in voicectl("call list").rows] == [live]
    assert [row[0] for row in voicectl("call list --all").rows] == [live, over]
    assert [row[0] for row in voicectl("call list --status busy").rows] == [over]
    assert voicectl("call list --all -q").stdout == f"{live}\n{over}\n"


def test_list_filters_numbers_by_glob_and_has_a_limit(voicectl: Room) -> None:
    legs = [voicectl.call(f"4477009000{index:02}") for index in range(1, 5)]

    assert [row[0] for row in voicectl("call list --match-to '*3'").rows] == [legs[2]]
    assert voicectl("call list --match-to '+4477009*' --limit 2 -o json").json[1]["uuid"] == legs[1]
    assert voicectl("call list --match-from '1*'").stdout == ""
    assert voicectl("call list --match-from '1*' -o json").stdout == "[]\n"


def test_list_accepts_times_as_dates_and_as_ages(voicectl: Room) -> None:
    old = voicectl.call()
    voicectl.clock.sleep(7200)
    new = voicectl.call("447700900002")

    assert [row[0] for row in voicectl("call list --all --since 1h").rows] == [new]
    assert [row[0] for row in voicectl("call list --all --before 1h").rows] == [old]
    assert [row[0] for row in voicectl("call list --all --since 2026-02-02T00:00:00+01:00").rows] == [
        new,
        old,
    ]


def test_list_filters_by_conversation(voicectl: Room) -> None:
    legs = {voicectl.call(), voicectl.call("447700900002")}
    voicectl.call("447700900003", "--talk Hi --join other")
    conversation = voicectl(f"call show {min(legs)} -o json").json["conversation_uuid"]

    assert {row[0] for row in voicectl(f"call list --conversation {conversation}").rows} == legs


def test_a_list_of_many_pages_shows_each_leg_once(voicectl: Room) -> None:
    assert voicectl.sandbox is not None
    for room in ("red", "green", "blue"):
        voicectl(
            [
                "call",
                "create",
                *(word for n in range(90) for word in ("--to", f"4477009{n:05}")),
                "--join",
                room,
            ]
        )

    assert len({row[0] for row in voicectl("call list").rows}) == 270
    rows = voicectl("call list --all").rows
    assert len(rows) == len({row[0] for row in rows}) == 270


def test_show_accepts_the_beginning_of_an_id_also_for_an_ended_leg(voicectl: Room) -> None:
    leg = voicectl.call(BUSY, wait="ended")

    assert voicectl(f"call show {leg[:8].upper()} -q").stdout == f"{leg}\n"


def test_output_formats(voicectl: Room) -> None:
    leg = voicectl.call()

    assert json.loads(voicectl("call list -o jsonl").stdout)["uuid"] == leg
    header, row = voicectl("call list -o csv").stdout.splitlines()
    assert header.startswith("uuid,status,direction,from,to,")
    assert row.startswith(f"{leg},answered,outbound,442079460000,{PERSON},")
    assert voicectl("call list --fields uuid,to.number,price").stdout == f"{leg}\t{PERSON}\t-\n"
    assert voicectl("call list -o json --fields to.number").json == [{"to.number": PERSON}]
    assert "conversation_uuid" in voicectl("call list --fields help").stdout.split()


def as_sandbox(room: Room) -> dict[str, str]:
    """The environment in which ``sandbox ...`` commands find the room's sandbox."""
    return {"VOICECTL_SANDBOX": room.url}
