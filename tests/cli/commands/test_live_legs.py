"""Acting on live legs, and the sounds that the other party hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from tests.support.desk import desk, shell
from tests.support.machines import Application
from tests.support.room import BUSY, BY_HAND, PERSON, Room

OTHER = "447700900002"
LEG = "63f61863-4a51-4f6b-86e1-46edebcf9356"
OTHER_LEG = "63f61863-4a51-4f6b-86e1-46edebcf9357"


def hear(room: Room, leg: str) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = room(f"sandbox hear {leg} -o json", env={"VOICECTL_SANDBOX": room.url}).json
    return heard


def as_party(room: Room, words: str) -> None:
    """Act as the other side."""
    ran = room(f"sandbox {words}", env={"VOICECTL_SANDBOX": room.url})
    assert ran.exit_code == 0, ran.stderr


def test_talk_is_heard_only_by_the_leg_with_its_options(voicectl: Room) -> None:
    leg, other = voicectl.call(), voicectl.call(OTHER)

    ran = voicectl(
        f"talk {leg} 'Your table is ready.' --language en-GB --style 2 --premium --loop 2 --level -0.4"
    )

    assert (ran.exit_code, ran.stdout) == (0, f"{leg}\ttalk\tdone\n")
    assert voicectl.requests("startTalk")[0]["body"] == {
        "text": "Your table is ready.",
        "language": "en-GB",
        "style": 2,
        "premium": True,
        "loop": 2,
        "level": "-0.4",
    }
    voicectl.clock.sleep(10)
    assert [each["text"] for each in hear(voicectl, leg)] == ["Hello", "Your table is ready."]
    assert [each["text"] for each in hear(voicectl, other)] == ["Hello"]


@pytest.mark.parametrize("words", ["talk {leg} -", "talk {leg} --file -"])
def test_talk_reads_its_text(voicectl: Room, words: str) -> None:
    leg = voicectl.call()

    ran = voicectl(words.format(leg=leg), stdin="Une moment, s'il vous plaît.\n")

    assert ran.exit_code == 0, ran.stderr
    assert voicectl.requests("startTalk")[0]["body"] == {"text": "Une moment, s'il vous plaît."}


def test_talk_asks_for_its_text_on_a_terminal(voicectl: Room) -> None:
    leg = voicectl.call()

    ran = voicectl(f"talk {leg}", stdin="Hello again\n", terminal=True)

    assert ran.exit_code == 0, ran.stderr
    assert voicectl.requests("startTalk")[0]["body"] == {"text": "Hello again"}


@pytest.mark.parametrize("command", ["talk {leg}", "conversation talk room"])
def test_a_pipe_is_not_read_without_a_request(voicectl: Room, command: str) -> None:
    leg, other = voicectl.call(), voicectl.call("447700900002")

    for line in (command, f"{command} --file ''"):
        ran = voicectl(line.format(leg=leg), stdin=f"{other}\n")

        assert (ran.exit_code, ran.stdout) == (2, "")
    assert voicectl.requests("startTalk") == []


def test_a_loop_over_ids_does_not_lose_ids(tmp_path: Path, application: Application) -> None:
    with desk(tmp_path / "home", application) as room:
        script = 'while read -r leg; do voicectl talk "$leg" || true; echo "$leg"; done'

        ran = shell(room, f"printf '%s\\n' {LEG} {OTHER_LEG} | {script}")

        assert ran.stdout.split() == [LEG, OTHER_LEG]
        assert room.requests("startTalk") == []


@pytest.mark.parametrize("command", ["transfer {leg} --ncco ''", "call create --to 447700900003 --ncco ''"])
def test_an_empty_file_name_is_not_standard_input(voicectl: Room, command: str) -> None:
    leg = voicectl.call(options="--join room")

    ran = voicectl(command.format(leg=leg), stdin='[{"action":"talk","text":"Hi"}]')

    assert (ran.exit_code, "is empty" in ran.stderr) == (2, True)


def test_on_a_terminal_talk_checks_the_leg_before_it_asks_for_the_text(voicectl: Room) -> None:
    leg = voicectl.call()
    voicectl(f"hangup {leg}")
    voicectl.clock.sleep(1)

    for named, status in ((leg, 4), (LEG, 4), ("abcd", 4), ("x", 2)):
        ran = voicectl(f"talk {named}", stdin="Hello\n", terminal=True)

        assert ran.exit_code == status
        assert "Text to say" not in ran.stderr
    assert "completed" in voicectl(f"talk {leg}", stdin="Hello\n", terminal=True).stderr
    assert voicectl.requests("startTalk") == []
    ran = voicectl("conversation talk nowhere", stdin="Hello\n", terminal=True)
    assert (ran.exit_code, "Text to say" in ran.stderr) == (4, False)


def test_stop_ends_the_speech(voicectl: Room) -> None:
    leg = voicectl.call()
    voicectl(f"talk {leg} 'For ever' --loop 0")
    voicectl.clock.sleep(7)

    ran = voicectl(f"talk {leg} --stop")

    assert ran.rows == [[leg, "talk --stop", "done"]]
    assert hear(voicectl, leg)[-1]["seconds"] == 7
    assert voicectl(f"talk {leg} 'x' --stop").exit_code == 2


def test_stream_plays_a_file_until_it_is_stopped(voicectl: Room) -> None:
    leg = voicectl.call()

    assert voicectl(f"stream {leg} https://cdn.example.org/hold.mp3 --loop 0 --level 0.5").exit_code == 0
    assert voicectl.requests("startStream")[0]["body"] == {
        "stream_url": ["https://cdn.example.org/hold.mp3"],
        "loop": 0,
        "level": "0.5",
    }
    voicectl.clock.sleep(30)
    assert voicectl(f"stream {leg} --stop").exit_code == 0

    (played,) = [each for each in hear(voicectl, leg) if each["kind"] == "audio"]
    assert (played["url"], played["seconds"]) == ("https://cdn.example.org/hold.mp3", 30)
    assert voicectl(f"stream {leg} ftp://x/y").exit_code == 2
    assert voicectl(f"stream {leg}").exit_code == 2


def test_dtmf_is_heard_as_keys_and_may_be_read_from_standard_input(voicectl: Room) -> None:
    leg = voicectl.call()

    assert voicectl(["dtmf", leg, "*9#"]).stdout == f"{leg}\tdtmf\tdone\n"
    assert voicectl(["dtmf", leg, "-"], stdin="12p3\n").exit_code == 0

    voicectl.clock.sleep(20)
    assert [each["digits"] for each in hear(voicectl, leg) if each["kind"] == "keys"] == ["*9#", "12p3"]


def test_dtmf_can_send_the_keys_of_a_leg_to_a_url(voicectl: Room) -> None:
    leg = voicectl.call()

    assert voicectl(f"dtmf {leg} --listen http://127.0.0.1:9/keys").exit_code == 0
    assert voicectl(f"dtmf {leg} --no-listen").exit_code == 0
    assert voicectl(f"dtmf {leg} 12 --no-listen").exit_code == 2

    assert voicectl.requests()[-2]["body"] == {"event_url": ["http://127.0.0.1:9/keys"]}


def test_a_muted_leg_is_not_heard_and_an_earmuffed_one_does_not_hear(voicectl: Room) -> None:
    speaker, listener = voicectl.call(), voicectl.call(OTHER)

    def keys_heard_after(change: str, digit: str) -> bool:
        assert voicectl(change).exit_code == 0
        as_party(voicectl, f"press {speaker} {digit}")
        return digit in [each.get("digits") for each in hear(voicectl, listener)]

    assert keys_heard_after("call list", "1")
    assert not keys_heard_after(f"mute {speaker}", "2")
    assert keys_heard_after(f"unmute {speaker}", "3")
    assert not keys_heard_after(f"earmuff {listener}", "4")
    assert keys_heard_after(f"unearmuff {listener}", "5")


def test_several_legs_get_a_record_each(voicectl: Room) -> None:
    one, other = voicectl.call(), voicectl.call(OTHER)

    assert voicectl(f"mute {one} {other} -o json").json == [
        {"uuid": one, "action": "mute", "outcome": "done"},
        {"uuid": other, "action": "mute", "outcome": "done"},
    ]
    assert voicectl(f"unmute {one} -o json").json == {"uuid": one, "action": "unmute", "outcome": "done"}


def test_hangup_ends_a_leg_and_an_ended_leg_is_already_done(voicectl: Room) -> None:
    up, ringing, over = (
        voicectl.call(),
        voicectl.call(BY_HAND, wait="ringing"),
        voicectl.call(BUSY, wait="ended"),
    )

    ran = voicectl(f"hangup {up} {ringing} {over}")

    assert ran.exit_code == 0, ran.stderr
    assert ran.rows == [[up, "hangup", "done"], [ringing, "hangup", "done"], [over, "hangup", "already"]]
    assert [voicectl(f"call show {leg}").rows[0][1] for leg in (up, ringing, over)] == [
        "completed",
        "cancelled",
        "busy",
    ]


def test_hangup_retries_on_a_leg_that_is_too_new(start_room: StartRoom) -> None:
    room = start_room(settle=2.0)
    leg = room.call(wait=None)

    ran = room(f"hangup {leg}")

    assert ran.rows == [[leg, "hangup", "done"]]
    assert len(room.requests("updateCall")) > 1


def test_talk_on_a_ringing_leg_is_refused_and_on_an_ended_one_not_found(voicectl: Room) -> None:
    ringing, over = voicectl.call(BY_HAND, wait="ringing"), voicectl.call(BUSY, wait="ended")

    assert voicectl(f"talk {ringing} Hi").exit_code == 5
    assert voicectl(f"talk {over} Hi").exit_code == 4
    assert len(voicectl.requests("startTalk")) == 2


def test_transfer_runs_another_flow_in_a_conversation_of_its_own(voicectl: Room) -> None:
    leg = voicectl.call()
    before = voicectl(f"call show {leg} -o json").json["conversation_uuid"]

    ran = voicectl(f"transfer {leg} --ncco -", stdin='[{"action":"talk","text":"Goodbye"}]')

    assert ran.rows == [[leg, "transfer", "done"]]
    assert voicectl(f"call show {leg} -o json").json["conversation_uuid"] != before
    voicectl.clock.sleep(5)
    assert hear(voicectl, leg)[-1]["text"] == "Goodbye"
    assert voicectl(f"call show {leg}").rows[0][1] == "completed"


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (
            "sip:desk@sip.example.org --user-to-user 01ab",
            {
                "type": "sip",
                "uri": "sip:desk@sip.example.org",
                "standardHeaders": {"User-to-User": "01ab"},
            },
        ),
        (f"{OTHER} --shaken abc", {"type": "phone", "number": OTHER, "shaken": "abc"}),
    ],
)
def test_transfer_connects_with_the_options_of_the_endpoint(
    voicectl: Room, options: str, fields: dict[str, object]
) -> None:
    leg = voicectl.call()

    assert voicectl(f"transfer {leg} --connect {options}").exit_code == 0

    (flow,) = voicectl.requests("updateCall")[-1]["body"]["destination"]["ncco"]
    assert flow["endpoint"] == [fields]


def test_transfer_takes_options_of_an_endpoint_only_with_one(voicectl: Room) -> None:
    leg = voicectl.call()

    for options in (f"--connect {OTHER} --user-to-user 01", "--ncco - --shaken abc"):
        assert voicectl(f"transfer {leg} {options}", stdin="[]").exit_code == 2


def test_transfer_connects_to_another_party(voicectl: Room) -> None:
    leg = voicectl.call()

    assert voicectl(f"transfer {leg} --connect +{OTHER} --from 447700900777").exit_code == 0

    voicectl.clock.sleep(3)
    calls = voicectl("call list -o json").json
    assert {call["to"]["number"] for call in calls} == {PERSON, OTHER}
    assert len({call["conversation_uuid"] for call in calls}) == 1
    assert next(call for call in calls if call["uuid"] != leg)["from"]["number"] == "447700900777"


def test_move_joins_legs_of_two_calls(voicectl: Room) -> None:
    one, other = voicectl.call(), voicectl.call(OTHER, "--talk Hi --join elsewhere")

    ran = voicectl(f"move {one} {other} meeting --mute --no-start-on-enter --end-on-exit")

    assert ran.exit_code == 0, ran.stderr
    assert len({call["conversation_uuid"] for call in voicectl("call list -o json").json}) == 1
    (action,) = voicectl.requests("updateCall")[0]["body"]["destination"]["ncco"]
    assert action == {
        "action": "conversation",
        "name": "meeting",
        "mute": True,
        "startOnEnter": False,
        "endOnExit": True,
    }


def test_move_says_who_hears_whom(voicectl: Room) -> None:
    agent, caller, coach = voicectl.call(), voicectl.call(OTHER), voicectl.call("447700900003")

    assert (
        voicectl(
            f"move {coach} room --can-hear {agent[:8]} --can-hear {caller} --can-speak {agent}"
        ).exit_code
        == 0
    )
    as_party(voicectl, f"press {coach} 7")

    assert "7" in [each.get("digits") for each in hear(voicectl, agent)]
    assert "7" not in [each.get("digits") for each in hear(voicectl, caller)]
    assert voicectl(f"move {coach} room --can-hear none").exit_code == 0
    assert voicectl.requests("updateCall")[-1]["body"]["destination"]["ncco"][0]["canHear"] == []
    assert voicectl(f"move {coach} room --mute --can-speak {agent}").exit_code == 2
