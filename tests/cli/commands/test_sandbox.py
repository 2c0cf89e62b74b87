"""Running a sandbox, rehearsing in it, and acting as the other party."""

from __future__ import annotations

import json
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.ports import free_block
from tests.support.room import BY_HAND, PERSON, Room
from tests.support.servers import Canned, reply
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.core.identity.profiles import ProfileStore
from voicectl.core.sandbox_control import SandboxControl
from voicectl.errors import TransportError


@pytest.fixture
def party(voicectl: Room) -> Room:
    """The room, acting on its own sandbox."""
    voicectl.environ["VOICECTL_SANDBOX"] = voicectl.url
    return voicectl


def test_ring_creates_an_inbound_call_that_joins_the_lobby(party: Room) -> None:
    ran = party("sandbox ring --to 442079460000 --from 447700900042 -o json")

    assert ran.exit_code == 0, ran.stderr
    assert ran.json["direction"] == "inbound"
    assert len(ran.json["uuid"]) == 32
    party.clock.sleep(2)
    (leg,) = party("call list -o json").json
    assert (leg["status"], leg["from"]["number"]) == ("answered", "447700900042")


def test_ring_runs_an_ncco(party: Room) -> None:
    leg = party(
        "sandbox ring --to 442079460000 --ncco - -q", stdin='[{"action":"talk","text":"Welcome"}]'
    ).stdout.strip()

    party.clock.sleep(10)

    assert party(f"sandbox hear {leg} --fields text").stdout == "Welcome\n"
    assert party(f"call show {leg}").rows[0][1] == "completed"


def test_ring_requests_the_answer_url_of_the_application(start_room: StartRoom) -> None:
    party = start_room(frozen=True)
    party.environ["VOICECTL_SANDBOX"] = party.url
    flow = [{"action": "talk", "text": "Welcome"}]
    with Canned(reply(200, flow)) as app:
        assert party(f"app urls --answer {app.url}/answer").exit_code == 0

        leg = party(
            "sandbox ring --to 442079460000 --sip-header X-Queue=gold --sip-header User-to-User=01 -q"
        ).stdout.strip()
        assert party("sandbox advance 10s").exit_code == 0

    assert party(f"sandbox hear {leg} --fields text").stdout == "Welcome\n"
    (asked,) = app.requests
    assert b"SipHeader_X-Queue=gold&SipHeader_User-to-User=01" in asked.raw


def test_ring_can_name_the_region_of_the_call(party: Room) -> None:
    assert party.sandbox is not None
    leg = party("sandbox ring --to 442079460000 --region eu-west -q").stdout.strip()
    party.clock.sleep(2)

    assert party.sandbox.exchange.legs[leg].region == "eu-west"
    assert party("sandbox ring --to 442079460000 --region mars").exit_code == 2
    assert party("sandbox ring --to 442079460000 --sip-header Queue=gold").exit_code == 2


def test_a_table_of_what_was_heard_shows_that_a_prompt_was_cut(party: Room) -> None:
    leg = party.call()
    party.clock.sleep(5)
    assert party(["talk", leg, "Welcome to the first of two announcements"]).exit_code == 0
    party.clock.sleep(1)
    assert party(f"talk {leg} --stop").exit_code == 0
    assert party(["talk", leg, "Whole"]).exit_code == 0
    party.clock.sleep(9)

    header, _, *rows = party(f"sandbox hear {leg} -o table").stdout.splitlines()

    (cut,) = [row for row in rows if "Welcome to" in row]
    (whole,) = [row for row in rows if "Whole" in row]
    at = header.index("cut")
    assert (cut[at:].split()[0], whole[at:].split()[0]) == ("true", "-")


def test_say_is_heard_by_the_others(party: Room) -> None:
    speaker, listener = party.call(), party.call()

    ran = party(["sandbox", "say", speaker[:8], "I need help", "-o", "json"])

    assert ran.json["uuid"] == speaker
    party.clock.sleep(5)
    assert party(f"sandbox hear {listener} --fields kind,from,text").rows[-1] == [
        "speech",
        speaker,
        "I need help",
    ]
    assert party(["sandbox", "say", speaker, " "]).exit_code == 2


def test_a_leg_of_32_digits_is_a_full_id_everywhere(party: Room) -> None:
    leg = party("sandbox ring --to 442079460000 -q").stdout.strip()
    party.clock.sleep(2)

    assert party(f"talk {leg} Hello").exit_code == 0
    assert party(f"hangup {leg}").exit_code == 0


def test_answer_press_and_hangup_act_for_the_other_party(party: Room) -> None:
    leg = party(f"call create --to {BY_HAND} --talk Hi --join r -q --wait ringing").stdout.strip()
    early = party(["sandbox", "press", leg, "1"])
    assert early.exit_code == 2
    assert "Wait, or advance the clock" in early.stderr

    assert party(f"sandbox answer {leg[:6]} -o json").json["status"] == "answered"
    assert party(["sandbox", "press", leg, "12#"]).exit_code == 0
    assert party(f"sandbox hangup {leg} -o json").json["status"] == "completed"
    ran = party(f"sandbox answer {leg}")
    assert ran.exit_code == 2
    assert "refused" in ran.stderr
    assert "Wait" not in ran.stderr


def test_a_callee_who_hangs_up_before_the_answer_declines(party: Room) -> None:
    leg = party(f"call create --to {BY_HAND} --talk Hi -q --wait ringing").stdout.strip()

    assert party(f"sandbox hangup {leg} -o json").json["status"] == "rejected"


def test_an_unknown_leg_lists_the_candidates(party: Room) -> None:
    leg = party.call()

    ran = party("sandbox hear 00000000")

    assert ran.exit_code == 4
    assert leg in ran.stderr


def test_advance_runs_a_frozen_clock_through_all_due_tasks(start_room: StartRoom) -> None:
    room = start_room(frozen=True)
    room.environ["VOICECTL_SANDBOX"] = room.url
    leg = room(f"call create --to {PERSON} --talk Hello -q").stdout.strip()
    room.clock.sleep(60)
    assert room(f"call show {leg}").rows[0][1] == "started"

    assert room("sandbox advance 1m").stdout.startswith("2026-")

    assert room(f"call show {leg}").rows[0][1] == "completed"


def test_the_log_and_the_status_show_what_happened(party: Room) -> None:
    leg = party.call()

    entries = [json.loads(line) for line in party("sandbox log -o jsonl").stdout.splitlines()]
    status = party("sandbox status -o json").json

    assert [e["status"] for e in entries if e["kind"] == "status" and e["uuid"] == leg] == [
        "started",
        "ringing",
        "answered",
    ]
    assert "Bearer" not in json.dumps(entries)
    assert (status["legs_live"], status["legs"]) == (1, 1)


def test_a_log_of_any_length_is_printed_completely(party: Room) -> None:
    assert party.sandbox is not None
    for _ in range(3000):
        party.sandbox.log.add("remark", reason="x" * 500)

    for output in ("tsv", "jsonl"):
        assert len(party(f"sandbox log -o {output}").stdout.splitlines()) >= 3000


def test_the_log_summarizes_each_entry(start_room: StartRoom) -> None:
    party = start_room(frozen=True)
    party.environ["VOICECTL_SANDBOX"] = party.url
    with Canned(reply(200, [{"action": "talk", "text": "Welcome"}])) as app:
        assert party(f"app urls --answer {app.url}/answer --event https://example.org/e").exit_code == 0
        leg = party("sandbox ring --to 442079460000 -q").stdout.strip()
        party("sandbox advance 1s")
        party(["sandbox", "press", leg, "12#"])
        party(["sandbox", "say", leg, "sales please"])
        party("sandbox fault add status 503 --on getCall")
        party(f"call show {leg}")
        party(f"sandbox hangup {leg}")
        rows = party("sandbox log").rows

        whole = [json.loads(line) for line in party("sandbox log -o jsonl").stdout.splitlines()]

    assert {len(row) for row in rows} == {5}
    entries = [(kind, what) for _, _, kind, uuid, what in rows if uuid == leg]
    for line in (
        ("party", "ring 447700900000 442079460000"),
        ("status", "ringing"),
        ("webhook", f"answer GET {app.url}/answer: delivered; the response was an NCCO"),
        (
            "webhook",
            "status POST https://example.org/e:"
            " not delivered: the host is not on this machine, and neither --allow-host nor --map-host names it",
        ),
        ("party", "press 12#"),
        ("party", "say sales please"),
        ("party", "hangup"),
    ):
        assert line in entries
    assert ("request", f"GET /v1/calls/{leg} -> 503 status") in [(kind, what) for _, _, kind, _, what in rows]
    assert whole[0]["n"] == 1
    assert "what" not in whole[0]
    assert {"headers", "direction"} <= next(each for each in whole if each["kind"] == "status").keys()
    assert party("sandbox log -q").stdout.splitlines() == [str(each["n"]) for each in whole]
    assert party("sandbox log --fields kind,what").rows[0] == rows[0][2:5:2]
    assert party("sandbox log -o json").json == whole


def test_the_log_of_one_leg_contains_its_entries(party: Room) -> None:
    leg, other = party.call(), party.call()
    party(f"talk {leg} Hello")

    rows = party(f"sandbox log --leg {leg[:8].upper()}").rows

    assert {row[3] for row in rows} == {leg, "-"}
    assert any(row[4].startswith(f"PUT /v1/calls/{leg}/talk -> 200") for row in rows)
    assert not any(other in "".join(row) for row in rows)
    unknown = party("sandbox log --leg nobody")
    assert (unknown.exit_code, unknown.stdout) == (4, "")
    assert leg in unknown.stderr


def test_ring_explains_why_a_call_is_not_answered(party: Room) -> None:
    rung = party("sandbox ring --to 442079460000 -q")
    with_flow = party(
        "sandbox ring --to 442079460000 --ncco - -q", stdin='[{"action":"talk","text":"Welcome"}]'
    )

    assert "the room 'lobby'" in rung.stderr
    assert "app urls --answer" in rung.stderr
    assert "lobby" not in with_flow.stderr


@pytest.mark.parametrize(
    ("caller", "shown", "kind"),
    [
        ("anonymous", "anonymous", "phone"),
        ("Unknown", "Unknown", "phone"),
        ("07700900001", "07700900001", "phone"),
        ("1001", "1001", "phone"),
        ("+44 7700 900001", "447700900001", "phone"),
        ("sip:alice@pbx.example.org", "sip:alice@pbx.example.org", "sip"),
        ("SIP:anonymous@anonymous.invalid;user=phone", "SIP:anonymous@anonymous.invalid;user=phone", "sip"),
    ],
)
def test_callers_have_the_numbers_that_networks_show(party: Room, caller: str, shown: str, kind: str) -> None:
    with Canned(reply(200, [{"action": "talk", "text": "x" * 900}])) as app:
        assert party(f"app urls --answer {app.url}/answer --event {app.url}/event").exit_code == 0

        ran = party(
            [
                "sandbox",
                "ring",
                "--to",
                "442079460000",
                "--from",
                caller,
                "--sip-header",
                "X-Queue=gold",
                "-o",
                "json",
            ]
        )
        assert ran.exit_code == 0
        leg = ran.json["uuid"]
        assert party("sandbox advance 1s").exit_code == 0
        rows = [json.loads(line) for line in party("sandbox log -o jsonl").stdout.splitlines()]

    (asked,) = [row["body"] for row in rows if row["kind"] == "webhook" and row["event"] == "answer"]
    assert (asked["from"], asked["endpoint_type"]) == (shown, kind)
    events = [row for row in rows if row["kind"] == "status" and row["uuid"] == leg]
    assert events
    assert {event["from"] for event in events} == {shown}
    assert all(event["headers"] == {"X-Queue": "gold"} for event in events)
    assert party(f"call show {leg} --fields from").stdout == f"{shown}\n"


@pytest.mark.parametrize("caller", ["", " ", "x" * 300, "a\x1b[31m"])
def test_an_impossible_caller_is_refused(party: Room, caller: str) -> None:
    ran = party(["sandbox", "ring", "--to", "442079460000", "--from", caller])

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "\x1b" not in ran.stderr


def test_a_webhook_off_this_machine_causes_a_warning(party: Room) -> None:
    ran = party("app urls --answer https://example.org/a --event http://127.0.0.1:9/e")

    assert ran.exit_code == 0
    assert ran.stderr.count("warning:") == 1
    assert "sandbox start --allow-host example.org" in ran.stderr


def test_a_mapped_host_stands_for_an_application_on_this_machine(bare: Room) -> None:
    with Canned(reply(200, [{"action": "talk", "text": "Welcome"}])) as app:
        script = f"""
            set -e
            v() {{ {sys.executable} -m voicectl "$@" 2>/dev/null; }}
            v app urls --answer https://demo.example.com/answer -q
            LEG=$(v sandbox ring --to 442079460000 -q)
            v sandbox advance 10s
            v sandbox hear "$LEG" --fields text
        """

        mapped = f"Demo.example.com={app.url}/"
        ran = bare.process(
            ["sandbox", "exec", "--frozen", "--map-host", mapped, "--", "bash", "-c", script],
        )

    assert ran.stdout.splitlines()[-1] == "Welcome"
    assert [request.headers["host"] for request in app.requests] == ["demo.example.com"]


def test_a_detached_sandbox_maps_hosts_too(bare: Room) -> None:
    with Canned(reply(200, [{"action": "talk", "text": "Welcome"}])) as app:
        bare.process(f"sandbox start --detach --port 0 --frozen --map-host demo.example.com={app.url}")
        try:
            bare("-p sandbox app urls --answer https://demo.example.com/answer")
            assert bare("sandbox ring --to 442079460000").exit_code == 0
        finally:
            bare("sandbox stop")

    assert [request.headers["host"] for request in app.requests] == ["demo.example.com"]


@pytest.mark.parametrize(
    ("mapping", "fault"),
    [
        ("demo.example.com", "http or https URL"),
        ("demo.example.com=", "http or https URL"),
        ("demo.example.com=127.0.0.1:3000", "http or https URL"),
        ("demo.example.com=ws://127.0.0.1:3000", "WebSockets go to the same place"),
        ("demo.example.com=http://127.0.0.1:99999", "http or https URL"),
        ("demo.example.com=http://127.0.0.1:3000/hooks", "end after the port"),
        ("demo.example.com=http://127.0.0.1:3000?a=1", "end after the port"),
        ("demo.example.com=http://127.0.0.1:3000#a", "end after the port"),
        ("demo.example.com=http://me:s3cret@127.0.0.1:3000", "end after the port"),
        ("=http://127.0.0.1:3000", "the name of a host"),
        ("*.example.com=http://127.0.0.1:3000", "the name of a host"),
        ("demo.example.com\n=http://127.0.0.1:3000", "the name of a host"),
        ("demo.example.com:443=http://127.0.0.1:3000", "the name of a host"),
        ("https://demo.example.com=http://127.0.0.1:3000", "the name of a host"),
        ("127.0.0.1=http://127.0.0.1:3000", "127.0.0.1 is this machine"),
        ("localhost=http://127.0.0.1:3000", "localhost is this machine"),
        ("demo.example.com=http://demo.example.com", "demo.example.com is not on this machine"),
        ("demo.example.com=https://example.org", "example.org is not on this machine"),
        ("demo.example.com=http://10.0.0.1:3000", "10.0.0.1 is not on this machine"),
        ("demo.example.com=http://0.0.0.0:3000", "0.0.0.0 is not on this machine"),
        ("demo.example.com=http://127.0.0.1.example.org", "127.0.0.1.example.org is not on this machine"),
    ],
)
@pytest.mark.parametrize("words", ["start --port 0", "exec"])
def test_a_mapping_that_is_malformed_or_leaves_this_machine_is_refused(
    bare: Room, words: str, mapping: str, fault: str
) -> None:
    ran = bare(
        ["sandbox", *words.split(), "--map-host", mapping, *(["--", "true"] if words == "exec" else [])]
    )

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert fault in ran.stderr
    assert "--map-host demo.example.com=http://127.0.0.1:3000" in ran.stderr
    assert "s3cret" not in ran.stderr


def test_a_host_is_mapped_only_once(bare: Room) -> None:
    ran = bare(
        "sandbox exec --map-host a.example=http://127.0.0.1:1 --map-host A.example=http://127.0.0.1:2 -- true"
    )

    assert ran.exit_code == 2
    assert "a.example is mapped twice" in ran.stderr


@pytest.mark.parametrize("words", ["answer ''", "hear ' '", "say '' Hello"])
def test_an_empty_leg_is_refused(party: Room, words: str) -> None:
    ran = party(f"sandbox {words}")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "LEG argument is empty" in ran.stderr


@pytest.mark.parametrize("verb", ["press {leg} 1", "say {leg} Hi"])
def test_acting_too_early_suggests_the_next_step(party: Room, verb: str) -> None:
    leg = party(f"call create --to {BY_HAND} --talk Hi -q").stdout.strip()

    ran = party(f"sandbox {verb.format(leg=leg)}")

    assert ran.exit_code == 2
    assert "voicectl sandbox advance" in ran.stderr


LISTENING = {
    "keys": ({"action": "input", "type": ["dtmf"]}, "press {leg} 1", "say {leg} Hi"),
    "speech": ({"action": "input", "type": ["speech"]}, "say {leg} Hi", "press {leg} 1"),
    "a recording": ({"action": "record"}, "say {leg} Hi", "press {leg} 1"),
    "a recording that a key ends": ({"action": "record", "endOnKey": "1"}, "press {leg} 1", "press {leg} 2"),
}


@pytest.mark.parametrize("name", LISTENING)
def test_an_action_of_the_party_that_has_no_effect_causes_a_remark(start_room: StartRoom, name: str) -> None:
    action, heard, lost = LISTENING[name]
    party = start_room(frozen=True)
    party.environ["VOICECTL_SANDBOX"] = party.url
    flow = json.dumps([action, {"action": "talk", "text": "x" * 900}])
    leg = party("sandbox ring --to 442079460000 --ncco - -q", stdin=flow).stdout.strip()
    party("sandbox advance 1s")

    ran = party(f"sandbox {lost.format(leg=leg)} -o json")

    assert ran.exit_code == 0
    assert ran.json["uuid"] == leg
    assert "remark" not in ran.json
    assert "The sandbox says: No input action" in ran.stderr
    assert [row[4] for row in party("sandbox log").rows if row[2] == "remark"] == [
        ran.stderr.strip().removeprefix("The sandbox says: ")
    ]
    assert party(f"sandbox {heard.format(leg=leg)}").stderr == ""


def test_an_action_that_another_leg_or_a_dtmf_listener_receives_causes_no_remark(party: Room) -> None:
    leg = party.call()
    assert "No input action" in party(f"sandbox press {leg} 1").stderr

    assert party(f"dtmf {leg} --listen http://127.0.0.1:9/keys").exit_code == 0
    assert party(f"sandbox press {leg} 1").stderr == ""

    one, _ = [party.call(number, options="--talk Hi --join r") for number in ("447700900001", "447700900002")]
    assert party("sandbox advance 5s").exit_code == 0
    assert party(f"sandbox say {one} Hello").stderr == ""


def test_ring_show_and_the_error_explain_why_an_inbound_call_was_not_answered(party: Room) -> None:
    with Canned(reply(200)) as gone:
        url = gone.url
    assert party(f"app urls --answer {url}/answer --event {url}/event").exit_code == 0

    rung = party("sandbox ring --to 442079460000 -q")
    leg = rung.stdout.strip()
    shown, said = party(f"call show {leg}"), party(f"sandbox say {leg} Hello")

    assert rung.exit_code == shown.exit_code == 0
    assert rung.stderr.splitlines() == ["The sandbox says: answer webhook: Connection refused."]
    assert shown.stderr.splitlines()[1:] == rung.stderr.splitlines()  # the first is about the rehearsal
    assert shown.rows[0][1] == "cancelled"
    assert said.exit_code == 2
    assert "The leg has ended: its status is cancelled (answer webhook: Connection refused)." in said.stderr
    assert "voicectl sandbox log" in said.stderr


def test_a_leg_that_ended_normally_has_no_explanation(party: Room) -> None:
    leg = party.call()
    assert party(f"hangup {leg}").exit_code == 0

    assert "The sandbox says" not in party(f"call show {leg}").stderr


def test_the_help_of_press_and_its_error_name_the_same_keys(party: Room) -> None:
    assert "0-9, *, # and p" in party("sandbox press --help").stdout
    assert "0-9, *, # and p" in party(["sandbox", "press", party.call(), "x"]).stderr
    assert party(["sandbox", "press", party.call(), "0*#p9"]).exit_code == 0


def test_reset_clears_calls_and_faults_and_keeps_the_keys(party: Room) -> None:
    party.call()
    party("sandbox fault add status 503")

    assert party("sandbox reset").exit_code == 0

    assert party("sandbox fault list").stdout == ""
    assert party("call list --all").stdout == ""


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [("status 503", 12), ("status 400", 5), ("lost-reply", 12), ("lost-request", 12), ("rate-limit", 6)],
)
def test_a_fault_has_its_effect_until_it_is_cleared(party: Room, fault: str, exit_code: int) -> None:
    leg = party.call()
    added = party(f"sandbox fault add {fault} --on startTalk -o json")
    assert added.exit_code == 0, added.stderr

    assert party(f"talk {leg} Hello").exit_code == exit_code

    assert [row[1] for row in party("sandbox fault list").rows] == [fault.split()[0]]
    assert party("sandbox fault clear").exit_code == 0
    assert party(f"talk {leg} Hello").exit_code == 0


def test_a_late_reply_is_an_unknown_outcome(party: Room) -> None:
    leg = party.call()
    party("sandbox fault add delay 600s --on startDTMF --times 1")

    ran = party(f"--request-timeout 1 dtmf {leg} 12")

    assert ran.exit_code == 12
    assert len(party.requests("startDTMF")) == 1


@pytest.mark.parametrize("words", ["status", "status 99", "delay", "delay x", "lost-reply 3", "nonsense"])
def test_an_invalid_fault_is_refused(party: Room, words: str) -> None:
    assert party(f"sandbox fault add {words}").exit_code == 2


def test_start_creates_the_profile_once_and_stop_ends_the_sandbox(bare: Room) -> None:
    assert bare.process("sandbox start --detach --port 0").exit_code == 0
    first = bare("profile show sandbox -o json").json
    assert bare.process("-p sandbox call list").exit_code == 0
    assert bare("profile list -o json").json[0]["default"] is False
    assert bare.process("sandbox stop").exit_code == 0
    assert bare("-p sandbox call list", env={"VOICECTL_REQUEST_TIMEOUT": "1"}).exit_code == 7

    assert bare.process("sandbox start --detach --port 0 --speed 5").exit_code == 0
    second = bare("profile show sandbox -o json").json
    bare.process("sandbox stop")

    assert first["application_id"] == second["application_id"]
    assert first["fingerprint"] == second["fingerprint"]
    assert first["base_url"] != second["base_url"]
    assert len({first["base_url"], *first["regions"].values()}) == 7
    assert first["regions"].keys() == second["regions"].keys()
    assert first["regions"] != second["regions"]


def test_a_second_start_of_the_own_sandbox_is_refused(bare: Room) -> None:
    started = bare.process("sandbox start --detach --port 0 -q")
    assert started.exit_code == 0
    profile = bare("profile show sandbox -o json").json

    for words in ("sandbox start --port 0", "sandbox start --detach --port 0"):
        ran = bare.process(words)
        assert ran.exit_code == 2
        assert "voicectl sandbox stop" in ran.stderr
    assert bare("profile show sandbox -o json").json == profile

    assert bare.process("sandbox stop").exit_code == 0


def test_stop_without_a_running_sandbox_is_already_done(bare: Room) -> None:
    never = bare("sandbox stop")
    bare.process("sandbox start --detach --port 0")
    bare.process("sandbox stop")

    for ran in (never, bare("sandbox stop")):
        assert (ran.exit_code, ran.stdout) == (0, "")
        assert ran.stderr.startswith("No sandbox")


def test_without_a_chosen_profile_it_says_how_to_use_the_sandbox(bare: Room) -> None:
    bare.process("sandbox start --detach --port 0")
    bare.process("sandbox stop")

    ran = bare("call list")

    assert ran.exit_code == 3
    assert "export VOICECTL_PROFILE=sandbox" in ran.stderr
    assert "profile use" not in ran.stderr


def test_the_profile_of_a_running_sandbox_cannot_be_removed(bare: Room) -> None:
    bare.process("sandbox start --detach --port 0")

    ran = bare("profile remove sandbox")

    assert ran.exit_code == 2
    assert "Stop it first: voicectl sandbox stop" in ran.stderr
    assert bare.process("-p sandbox call list").exit_code == 0
    bare.process("sandbox stop")
    assert bare("profile remove sandbox").exit_code == 0
    assert bare("profile remove sandbox").exit_code == 3


def test_stop_finds_a_running_sandbox_whose_profile_is_missing(bare: Room) -> None:
    url = bare.process("sandbox start --detach --port 0 -q").stdout.strip()
    (bare.config / "profiles.json").unlink()

    second = bare.process("sandbox start --port 0")
    assert second.exit_code == 2
    assert url in second.stderr
    ran = bare("sandbox stop")

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert bare("sandbox status", env={"VOICECTL_SANDBOX": url}).exit_code == 7
    assert bare("sandbox stop").stderr.startswith("No sandbox")


@pytest.mark.parametrize("record", [b"", b"null", b'{"url": "http://127.0.0.1:1"}', b"\xff"])
def test_an_unreadable_record_of_a_sandbox_counts_as_missing(bare: Room, record: bytes) -> None:
    bare.state.mkdir(parents=True)
    (bare.state / "sandbox.json").write_bytes(record)

    assert bare("sandbox stop").stderr == "No sandbox has been started on this machine yet.\n"


def test_stop_does_not_stop_another_sandbox_at_the_recorded_address(room: Room) -> None:
    room.state.mkdir(parents=True, exist_ok=True)
    record = {"url": room.url, "application_id": "5a4db0c5-0000-4000-8000-000000000000"}
    (room.state / "sandbox.json").write_text(json.dumps(record))
    (room.state / "sandbox.json").chmod(0o600)

    assert room("sandbox stop").exit_code == 9
    assert room("sandbox status", env={"VOICECTL_SANDBOX": room.url}).exit_code == 0


def test_stop_finds_the_running_sandbox_if_the_profile_names_another(bare: Room) -> None:
    url = bare.process("sandbox start --detach --port 0 -q").stdout.strip()
    store = ProfileStore(bare.config)
    store.add(replace(store.get("sandbox"), base_url="http://127.0.0.1:1"), key=None, replace=True)

    assert bare.process("sandbox start --port 0").exit_code == 2
    assert (bare("sandbox stop").exit_code, bare("sandbox stop").exit_code) == (0, 0)
    assert bare("sandbox status", env={"VOICECTL_SANDBOX": url}).exit_code == 7


def test_a_profile_whose_sandbox_was_stopped_says_how_to_start_it(bare: Room) -> None:
    bare.process("sandbox start --detach --port 0")
    bare.process("sandbox stop")

    for words in ("call list", f"call create --to {PERSON} --talk Hi --no-journal"):
        ran = bare(f"-p sandbox {words}")
        assert ran.exit_code == 7
        assert "voicectl sandbox start --detach" in ran.stderr


def test_a_clock_can_be_fast_or_frozen(bare: Room) -> None:
    for words in ("start --port 0", "exec"):
        tail = " -- true" if words == "exec" else ""
        assert bare(f"sandbox {words} --speed 2 --frozen{tail}").exit_code == 2


def test_start_serves_until_it_is_interrupted(bare: Room) -> None:
    with bare.spawn("sandbox start --port 0 -q") as served:
        assert served.stdout is not None
        url = served.stdout.readline().decode().strip()
        assert bare("sandbox status -o json", env={"VOICECTL_SANDBOX": url}).json["url"] == url
        served.send_signal(signal.SIGINT)
        assert served.wait(PATIENCE_SECONDS) == 130


def test_a_port_in_use_is_named(bare: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for detach in ("", "--detach"):
            ran = bare.process(f"sandbox start --port {port} {detach}")
            assert ran.exit_code == 2
            assert str(port) in ran.stderr


def test_a_port_of_another_sandbox_is_left_alone(room: Room) -> None:
    ran = room.process(f"sandbox start --port {room.url.rpartition(':')[2]}")

    assert ran.exit_code == 2
    assert "Another sandbox is using this port" in ran.stderr
    assert "sandbox stop" not in ran.stderr
    assert room("sandbox status", env={"VOICECTL_SANDBOX": room.url}).exit_code == 0


def test_a_port_of_a_region_in_use_is_named_too(bare: Room) -> None:
    port = free_block(7)
    with socket.create_server(("127.0.0.1", port + 3)):
        ran = bare.process(f"sandbox start --port {port}")

    assert ran.exit_code == 2
    assert f"Port {port + 3} cannot be used" in ran.stderr


def test_a_port_without_room_for_the_regional_ports_is_refused(bare: Room) -> None:
    assert bare("sandbox start --port 65530").exit_code == 2


def test_status_and_the_profile_in_use_show_the_regions(party: Room) -> None:
    assert party.sandbox is not None
    regions = party.sandbox.region_urls

    assert party("sandbox status -o json").json["regions"] == regions
    assert party("profile show -o json").json["regions"] == regions
    assert party("profile show --fields regions.eu-west").stdout == f"{regions['eu-west']}\n"


def test_a_profile_can_act_through_the_host_of_a_region(party: Room) -> None:
    assert party.sandbox is not None
    del party.environ["VOICECTL_SANDBOX"]
    elsewhere = {"VOICECTL_BASE_URL": party.sandbox.region_urls["eu-west"]}
    leg = party.call()

    assert party(f"call show {leg}", env=elsewhere).exit_code == 4
    assert party("profile show -o json", env=elsewhere).json["regions"] == {}


def test_exec_gives_a_command_a_private_sandbox_and_returns_its_status(bare: Room) -> None:
    ran = bare.process(
        ["sandbox", "exec", "--", "bash", "-c", "env | grep -E '^(VONAGE|VOICECTL)_' | sort; exit 7"]
    )

    assert ran.exit_code == 7
    names = [line.partition("=")[0] for line in ran.stdout.splitlines()]
    assert names == [
        "VOICECTL_CONFIG_DIR",
        "VOICECTL_SANDBOX",
        "VOICECTL_STATE_DIR",
        "VONAGE_API_HOST",
        "VONAGE_API_KEY",
        "VONAGE_API_SECRET",
        "VONAGE_APPLICATION_ID",
        "VONAGE_PRIVATE_KEY",
        "VONAGE_SIGNATURE_SECRET",
    ]
    assert list(bare.home.iterdir()) == []


def test_exec_passes_on_only_the_credentials_of_the_sandbox(bare: Room) -> None:
    real = {
        "VOICECTL_APPLICATION_ID": "real-1",
        "VOICECTL_PRIVATE_KEY": "real-2",
        "VOICECTL_API_KEY": "real-3",
        "VOICECTL_API_SECRET": "real-4",
        "VOICECTL_SIGNATURE_SECRET": "real-5",
        "VOICECTL_STORE": "postgresql://me:real-6@db/events",
        "VOICECTL_BASE_URL": "https://real-7",
        "VONAGE_APPLICATION_ID": "real-8",
        "VONAGE_PRIVATE_KEY": "real-9",
        "VONAGE_PRIVATE_KEY_PATH": "real-10",
        "VONAGE_APPLICATION_PRIVATE_KEY_PATH": "real-11",
        "VONAGE_APPLICATION_PRIVATE_KEY": "real-12",
        "VONAGE_APP_ID": "real-13",
        "VONAGE_API_SIGNATURE_SECRET": "real-14",
        "VONAGE_SIGNATURE_METHOD": "real-15",
        "VONAGE_JWT": "real-16",
        "VONAGE_API_HOST": "real-17",
        "NEXMO_API_KEY": "real-18",
        "NEXMO_API_SECRET": "real-19",
        "NEXMO_PRIVATE_KEY": "real-20",
        "NEXMO_SIGNATURE_SECRET": "real-21",
        "API_KEY": "real-22",
        "PRIVATE_KEY_PATH": "real-23",
        "VCR_API_ACCOUNT_ID": "real-24",
        "VCR_API_ACCOUNT_SECRET": "real-25",
        "VCR_API_APPLICATION_ID": "real-26",
        "VCR_PRIVATE_KEY": "real-27",
        "VONAGE_PRIVATE_KEY64": "real-28",
        "VONAGE_KEY": "real-29",
        "VONAGE_SECRET": "real-30",
        "VITE_VONAGE_API_SECRET": "real-31",
        "OPENTOK_API_SECRET": "real-32",
        "APP_ID": "real-33",
        "vonage__Application.Key": "real-34",
    }
    bare.environ |= real | {"VOICECTL_OUTPUT": "json", "VONAGE_NUMBER": "447700900123", "EDITOR": "vi"}

    ran = bare.process(["sandbox", "exec", "--", "env"])

    assert ran.exit_code == 0, ran.stderr
    assert "real-" not in ran.stdout
    found = dict(line.partition("=")[::2] for line in ran.stdout.splitlines())
    assert (found["VOICECTL_OUTPUT"], found["VONAGE_NUMBER"], found["EDITOR"]) == (
        "json",
        "447700900123",
        "vi",
    )
    for alias, usual in (
        ("VONAGE_APP_ID", "VONAGE_APPLICATION_ID"),
        ("VONAGE_PRIVATE_KEY_PATH", "VONAGE_PRIVATE_KEY"),
        ("VONAGE_APPLICATION_PRIVATE_KEY_PATH", "VONAGE_PRIVATE_KEY"),
        ("NEXMO_API_SECRET", "VONAGE_API_SECRET"),
        ("NEXMO_SIGNATURE_SECRET", "VONAGE_SIGNATURE_SECRET"),
        ("API_KEY", "VONAGE_API_KEY"),
        ("VCR_API_ACCOUNT_ID", "VONAGE_API_KEY"),
        ("VCR_API_ACCOUNT_SECRET", "VONAGE_API_SECRET"),
        ("VCR_API_APPLICATION_ID", "VONAGE_APPLICATION_ID"),
        ("VCR_PRIVATE_KEY", "VONAGE_PRIVATE_KEY"),
        ("VONAGE_KEY", "VONAGE_API_KEY"),
        ("VITE_VONAGE_API_SECRET", "VONAGE_API_SECRET"),
    ):
        assert found[alias] == found[usual]


def test_exec_says_when_the_command_cannot_be_run(bare: Room) -> None:
    assert bare.process("sandbox exec -- ./no-such-command").exit_code == 2


def test_exec_passes_on_a_termination_and_leaves_nothing_behind(bare: Room) -> None:
    with bare.spawn(
        ["sandbox", "exec", "--", "bash", "-c", "echo $VOICECTL_STATE_DIR; exec sleep 600"]
    ) as running:
        assert running.stdout is not None
        state = running.stdout.readline().decode().strip()
        running.terminate()
        assert running.wait(PATIENCE_SECONDS) == 143
    assert not Path(state).exists()


def test_exec_stops_a_sandbox_that_the_command_started(bare: Room) -> None:
    script = f"""
        set -e
        v() {{ {sys.executable} -m voicectl "$@" 2>/dev/null; }}
        v sandbox stop
        v sandbox start --detach --port 0 --fields url
    """

    ran = bare.process(["sandbox", "exec", "--", "bash", "-c", script])

    assert ran.exit_code == 0, ran.stderr
    with pytest.raises(TransportError, match="No sandbox responds"):
        SandboxControl(ran.stdout.strip(), source="The test's sandbox").identity()


def test_a_script_with_pipefail_runs_a_call_from_end_to_end(bare: Room) -> None:
    script = f"""
        set -euo pipefail
        v() {{ {sys.executable} -m voicectl "$@" 2>/dev/null; }}
        LEG=$(v call create --to {PERSON} --talk Hello --join demo --wait answered -q)
        v call list -q | grep -qx "$LEG"
        v talk "$LEG" "One moment"
        v dtmf "$LEG" '*9#'
        v mute "$LEG"
        v move "$LEG" other
        v call show "$LEG" --fields status
        v hangup "$LEG"
        v call list --all --fields uuid,status
    """

    ran = bare.process(["sandbox", "exec", "--speed", "20", "--", "bash", "-c", script])

    assert ran.exit_code == 0, ran.stderr
    assert [row[1:] for row in ran.rows[:4]] == [[verb, "done"] for verb in ("talk", "dtmf", "mute", "move")]
    assert ran.rows[4] == ["answered"]
    assert ran.rows[6][1] == "completed"
