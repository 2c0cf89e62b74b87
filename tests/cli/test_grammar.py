"""The command line: accepted and refused arguments, and the formats of the output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.conftest import StartRoom
from tests.support.machines import machine
from tests.support.room import BY_HAND, PERSON, Ran, Room
from tests.support.servers import Canned, Request, reply
from tests.support.terminal import END_OF_INPUT, converse
from voicectl.sandbox.account.identity import Identity

UNKNOWN = "63f61863-4a51-4f6b-86e1-46edebcf9356"
Application = tuple[Identity, RSAPrivateKey]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("call hangup x", "voicectl hangup"),
        ("hangpu x", "voicectl hangup"),
        ("call lits", "voicectl call list"),
        ("lits", "voicectl call list"),
        ("list", "voicectl call list"),
        ("calls list", "voicectl call"),
        ("create --to 1", "voicectl call create"),
        ("reconcile", "voicectl call reconcile"),
        ("profiles list", "voicectl profile"),
        ("call mute x", "voicectl mute"),
        ("press x", "voicectl sandbox press"),
        ("sandbox fault ad", "voicectl sandbox fault add"),
    ],
)
def test_an_unknown_command_is_refused_with_a_suggestion(bare: Room, line: str, meant: str) -> None:
    ran = bare(line)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "No such command" in ran.stderr
    assert f"Did you mean '{meant}'?" in ran.stderr


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("version", "voicectl --version"),
        ("ls", "voicectl call list"),
        ("leg", "Act on a leg with a verb, such as 'voicectl hangup LEG'"),
        ("legs list", "Act on a leg with a verb"),
        ("login", "voicectl profile add"),
        ("profile ls", "voicectl profile list"),
        ("-V", "--version"),
        ("call list --json", "-o json"),
        ("--json call list", "-o json"),
        ("hangup x --force", "--yes"),
        ("call list -v", "--debug"),
        ("call list --number 4477", "--match-to"),
        ("hangup --room alpha", "--conversation"),
    ],
)
def test_commands_of_other_tools_are_refused_with_ours(bare: Room, line: str, advice: str) -> None:
    ran = bare(line)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert advice in ran.stderr.splitlines()[0]


def test_an_unrecognizable_command_is_refused_without_a_suggestion(bare: Room) -> None:
    ran = bare("frobnicate")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == "voicectl: No such command 'frobnicate'.\n  See 'voicectl --help'.\n"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("call list --statuss x", "--status"),
        ("call create --too x", "--to"),
        ("call create --talks x", "--talk"),
        ("--profil x call list", "--profile"),
        ("call list --profil x", "--profile"),
        ("hangup x --dryrun", "--dry-run"),
        ("wait x --timeuot 5", "--timeout"),
        ("call list --frobnicate", None),
        ("call list -z", None),
    ],
)
def test_an_unknown_option_is_refused_with_a_suggestion(bare: Room, line: str, meant: str | None) -> None:
    ran = bare(line)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "No such option" in ran.stderr
    assert meant is None or meant in ran.stderr.splitlines()[0].partition("No such option")[2][2:]


MEANINGLESS = """
hangup
dtmf
talk
stream x
wait x
wait x --for
wait x --for human
wait x --for answered --timeout soon
call create
call show
call show x y
call list x
call list --limit 0
call list --limit x
call list --status human
call list --all --status busy
call list --since yesterday
call list --conversation CON-x
call reconcile --hangup
call reconcile x --assume not-created
move x
transfer x
transfer x --connect 447700900001 --answer-url https://x.org
transfer x --answer-url https://x.org --from 447700900001
dtmf x
dtmf x 1 2
dtmf x 1 --no-listen
dtmf x --listen ftp://x.org
hangup x --max 0
-o xml call list
talk x hi --stop
talk x hi --file f
talk x hi --style -1
talk x hi --level 2
talk x hi --level nan
talk x ''
stream x ftp://x.org/a.mp3
stream x https://
call create --to 447700900001
call create --to 0044 --talk x
call create --to 447700900001 --talk x --answer-url https://x.org
call create --to 447700900001 --talk x --from 442079460000 --random-from-number
call create --to 447700900001 --talk x --ringing-timer 121
call create --to 447700900001 --talk x --ringing-timer 1.5
call create --to 447700900001 --talk x --length-timer 25h
call create --to 447700900001 --talk x --machine-detection maybe
call create --to 447700900001 --talk x --machine-detection hangup --advanced-machine-detection mode=detect
call create --to 447700900001 --talk x --event-method GET
call create --to 447700900001 --talk x --header X=1
call create --to sip:a@b --talk x --dtmf-answer 1
call create --to 447700900001 --talk x --dtmf-answer 1x
call create --to 447700900001 --language en-GB --join r
call create --to 447700900001 --join CON-63f61863-4a51-4f6b-86e1-46edebcf9356
call create --to 447700900001 --talk x --idempotency-key k --no-journal
call create --to 447700900001 --to 447700900002 --talk x --idempotency-key k
call create --to 447700900001 --talk x --wait human
profile add
jwt show x y
completion tcsh
"""


@pytest.fixture(scope="module")
def quiet(
    tmp_path_factory: pytest.TempPathFactory, application: Application
) -> Iterator[tuple[Room, Canned]]:
    """A machine, and a server that must not receive requests."""
    with Canned(reply(500)) as server:
        yield machine(tmp_path_factory.mktemp("quiet"), application, server.url), server


@pytest.mark.parametrize("line", MEANINGLESS.strip().splitlines())
def test_invalid_combinations_are_refused(quiet: tuple[Room, Canned], line: str) -> None:
    home, server = quiet

    ran = home(line)

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr
    assert server.requests == []


def test_a_group_alone_shows_its_help(bare: Room) -> None:
    for line in ("", "call", "profile", "jwt", "sandbox", "sandbox fault", "completion"):
        ran = bare(line)

        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "Usage: voicectl" in ran.stderr
        assert bare(f"{line} --help").stdout == ran.stderr


COMMON = (
    "-p test|--profile test|-o json|--output json|-q|--quiet|--fields uuid|--request-timeout 5|--dry-run|-y|--yes"
    "|--debug"
)


@pytest.mark.parametrize("options", COMMON.split("|"))
def test_common_options_may_be_before_or_after_the_command(voicectl: Room, options: str) -> None:
    leg = voicectl.call()

    after, before = voicectl(f"mute {leg} {options}"), voicectl(f"{options} mute {leg}")

    assert after.exit_code == before.exit_code == 0
    assert after.stdout == before.stdout
    assert voicectl(f"call {options} list").stdout == voicectl(f"call list {options}").stdout


def test_the_last_value_of_an_option_counts(voicectl: Room) -> None:
    leg = voicectl.call()

    assert voicectl("-o json call list -o tsv").rows[0][0] == leg
    assert voicectl("-p nope call list -p test").exit_code == 0


TWICE = [
    "talk - -",
    "talk -",  # its text is on standard input too
    "dtmf - -",
    "mute - -",
    "hangup - - --yes",
    "wait - - --for ended",
    "move - - room --yes",
    "transfer - --ncco -",
    "talk - --file -",
    "profile add x --application-id 1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8 --private-key - --signature-secret-file -",
]


@pytest.mark.parametrize("line", TWICE)
def test_standard_input_is_read_for_only_one_purpose(
    voicectl: Room, application: Application, line: str
) -> None:
    leg = voicectl.call()
    before = len(voicectl.requests())

    ran = voicectl(line, stdin=f"{leg}\n")

    assert ran.exit_code in (2, 3)  # 3: a leg's id is not a key
    assert ran.stdout == ""
    assert len(voicectl.requests()) == before


def test_a_list_uses_the_first_field_of_each_line(voicectl: Room) -> None:
    legs = [voicectl.call(f"44770090000{n}") for n in (1, 2, 3)]
    listed = "".join(f"{leg}\tanswered\toutbound\n" for leg in legs[:2]) + f"\n  \n{legs[2]}\r\n{legs[0]}\n"

    ran = voicectl("mute - --yes", stdin=listed)

    assert ran.exit_code == 0
    assert [row[0] for row in ran.rows] == legs  # each once


def test_a_pipe_from_list_to_hangup(voicectl: Room) -> None:
    legs = {voicectl.call(f"44770090000{n}") for n in (1, 2, 3)}

    ran = voicectl("hangup - --yes", stdin=voicectl("call list").stdout)

    assert ran.exit_code == 0
    assert {row[0] for row in ran.rows} == legs
    assert voicectl("call list").stdout == ""
    assert voicectl("hangup - --yes -o json", stdin="").stdout == "[]\n"


def test_a_list_needs_confirmation(voicectl: Room) -> None:
    leg = voicectl.call()

    ran = voicectl("hangup -", stdin=leg)

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert leg in ran.stderr
    assert "--yes" in ran.stderr
    assert voicectl(f"call show {leg}").rows[0][1] == "answered"


@pytest.mark.parametrize(
    ("answer", "status"), [("y\n", 0), ("Yes\n", 0), ("n\n", 9), ("\n", 9), ("yeah\n", 9)]
)
def test_on_a_terminal_confirmation_is_asked_for(
    tmp_path: Path, application: Application, answer: str, status: int
) -> None:
    with Canned(reply(204)) as server:
        home = machine(tmp_path, application, server.url)

        ran = converse(
            home, "mute -", [("", f"{UNKNOWN}\n{END_OF_INPUT}"), ("Mute 1 leg on test? [y/N] ", answer)]
        )

        assert ran[0] == status
        assert ran[1] == (f"{UNKNOWN}\tmute\tdone\n" if status == 0 else "")
        assert f"  {UNKNOWN}\r\nMute 1 leg on test?" in ran[2]
        assert len(server.requests) == (status == 0)


@pytest.mark.parametrize(("options", "status"), [("", 9), ("--max 12", 0), ("--max 11", 9)])
def test_the_length_of_a_list_is_limited(voicectl: Room, options: str, status: int) -> None:
    ids = [f"63f61863-4a51-4f6b-86e1-{n:012}" for n in range(12)]

    ran = voicectl(f"hangup - --yes --dry-run {options}", stdin="\n".join(ids))

    assert ran.exit_code == status
    assert len(ran.stdout.splitlines()) == (12 if status == 0 else 0)
    assert "--max" in ran.stderr or status == 0


def test_a_command_with_named_legs_asks_no_confirmation(voicectl: Room) -> None:
    legs = [voicectl.call(f"4477009000{n:02}") for n in range(1, 13)]

    ran = voicectl(["mute", *legs], terminal=True)

    assert ran.exit_code == 0
    assert "?" not in ran.stderr


def test_a_list_with_an_invalid_line_is_refused_as_a_whole(voicectl: Room) -> None:
    leg = voicectl.call()

    ran = voicectl("mute - --yes", stdin=f"{leg}\n../x\n")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "../x is not a leg id" in ran.stderr
    assert voicectl.requests("updateCall") == []

    assert voicectl("mute - --yes", stdin=f"{leg}\n-\n").exit_code == 2
    assert voicectl("mute - --yes", stdin=b"\xff\xfe\n").exit_code == 2
    assert voicectl("mute - --yes", stdin="x" * (1 << 20) + "\n").exit_code == 2


SHAPES = [
    ("call list", list),
    ("call list --match-to '1*'", list),
    ("call reconcile", list),
    ("profile list", list),
    ("doctor", list),
    ("call show {leg}", dict),
    ("profile show", dict),
    ("profile show test", dict),
    ("jwt show -", dict),
    ("mute {leg}", dict),
    ("mute {leg} {leg}", list),
    ("mute -", list),
    ("hangup {other}", dict),
    ("move {leg} room", dict),
    ("move {leg} {other} room", list),
    ("move - room", list),
    ("wait {leg} --for started", dict),
    ("wait {leg} {other} --for started", list),
    ("wait - --for started", list),
    ("talk {leg} Hi", dict),
    ("stream {leg} https://cdn.example.org/a.mp3", dict),
    ("dtmf {leg} 1", dict),
    ("transfer {leg} --connect 447700900002", dict),
    (f"call create --to {PERSON} --talk Hi", dict),
    (f"call create --to {PERSON} --to 447700900002 --talk Hi", list),
]


@pytest.mark.parametrize(("line", "shape"), SHAPES)
def test_the_command_line_decides_between_a_json_object_and_an_array(
    voicectl: Room, line: str, shape: type
) -> None:
    leg, other = voicectl.call(), voicectl.call("447700900002")
    stdin = voicectl("jwt create").stdout if line == "jwt show -" else leg

    ran = voicectl(line.format(leg=leg, other=other) + " -o json --yes", stdin=stdin)

    assert ran.exit_code == 0, ran.stderr
    assert isinstance(ran.json, shape)
    lines = voicectl(line.format(leg=leg, other=leg) + " -o jsonl --yes", stdin=stdin).stdout.splitlines()
    assert all(isinstance(json.loads(each), dict) for each in lines)


def test_an_array_stays_one_when_nothing_was_done(voicectl: Room) -> None:
    assert voicectl(f"mute {UNKNOWN} {UNKNOWN[:-1]}0 -o json").stdout == "[]\n"
    assert voicectl(f"mute {UNKNOWN} -o json").stdout == ""


def test_a_leg_verb_prints_one_record_for_each_leg_done(voicectl: Room) -> None:
    leg, over = voicectl.call(), voicectl.call("447700900002")
    voicectl(f"hangup {over}")

    ran = voicectl(f"hangup {leg} {over} -o json")

    assert ran.json == [
        {"uuid": leg, "action": "hangup", "outcome": "done"},
        {"uuid": over, "action": "hangup", "outcome": "already"},
    ]


def test_several_targets_with_the_same_failure_exit_with_its_status_and_mixed_ones_with_10(
    voicectl: Room,
) -> None:
    leg = voicectl.call()

    assert voicectl(f"mute {UNKNOWN} {UNKNOWN[:-1]}0").exit_code == 4
    assert voicectl(f"mute {UNKNOWN} {UNKNOWN}").exit_code == 4
    assert voicectl("mute x/ y/").exit_code == 2
    ran = voicectl(f"mute {UNKNOWN} {leg}")
    assert (ran.exit_code, ran.rows) == (10, [[leg, "mute", "done"]])
    assert voicectl(f"mute {UNKNOWN} ../x").exit_code == 2


def test_an_unknown_outcome_outranks_the_others(voicectl: Room) -> None:
    one, other = voicectl.call(), voicectl.call("447700900002")
    fault(voicectl, "lost-reply --on updateCall --times 1")

    ran = voicectl(f"move {one} {UNKNOWN} {other} room")

    assert ran.exit_code == 12
    assert [row[0] for row in ran.rows] == [other]  # it continued after both


def test_refused_credentials_stop_the_others(tmp_path: Path, application: Application) -> None:
    def answer(request: Request) -> bytes:
        return reply(204) if len(server.requests) == 1 else reply(401, {"title": "Unauthorized"})

    with Canned(answer) as server:
        ran = machine(tmp_path, application, server.url)(
            ["mute", *(f"{UNKNOWN[:-1]}{n}" for n in range(4)), "-o", "json"]
        )

        assert ran.exit_code == 3
        assert len(server.requests) == 2
        assert [record["uuid"] for record in ran.json] == [f"{UNKNOWN[:-1]}0"]


FAULTY = [
    f"mute {UNKNOWN}",
    f"talk {UNKNOWN} Hi",
    "mute ../x",
    "mute ffff",
    "call list --status nope",
    "frobnicate",
    "call show",
    "hangup --frobnicate",
    "-p nope call list",
    "jwt create --ttl 1",
    "jwt show",
]


@pytest.mark.parametrize("line", FAULTY)
def test_an_error_is_three_lines_at_most_or_one_of_json(voicectl: Room, line: str) -> None:
    plain, as_json = voicectl(line), voicectl(f"{line} -o json")

    assert plain.exit_code == as_json.exit_code != 0
    assert plain.stdout == as_json.stdout == ""
    assert 1 <= len(plain.stderr.splitlines()) <= 3
    assert plain.stderr.startswith("voicectl")
    assert len(as_json.stderr.splitlines()) == 1
    error = as_json.error
    assert list(error) == ["code", "message", "hint", "retryable", "http_status", "trace_id", "profile"]
    assert error["message"] in plain.stderr
    assert (
        voicectl(f"{line} --output=jsonl").error["code"]
        == voicectl(f"-ojson {line}").error["code"]
        == error["code"]
    )


def test_an_error_of_the_api_includes_its_message(voicectl: Room, application: Application) -> None:
    ran = voicectl(f"mute {UNKNOWN} -o json")

    error = ran.error
    assert (ran.exit_code, error["code"], error["http_status"]) == (4, "not_found", 404)
    assert error["retryable"] is False
    assert error["trace_id"]
    assert application[0].application_id in error["message"]  # which one was asked
    assert "127.0.0.1" in error["message"]  # and where


def fault(room: Room, words: str) -> None:
    """Add a fault to the sandbox."""
    assert room(f"sandbox fault add {words}", env={"VOICECTL_SANDBOX": room.url}).exit_code == 0


def of_0(room: Room) -> Ran:
    return room(f"hangup {room.call(wait=None)}")


def of_1(room: Room) -> Ran:
    (room.home / "file").write_text("")
    return room(f"call create --to {PERSON} --talk Hi", env={"VOICECTL_STATE_DIR": str(room.home / "file")})


def of_2(room: Room) -> Ran:
    return room("mute ../x")


def of_3(room: Room) -> Ran:
    return room("call list", env={"VOICECTL_PROFILE": "nope"})


def of_4(room: Room) -> Ran:
    return room("call show ffff")


def of_5(room: Room) -> Ran:
    fault(room, "status 400 --on createCall")
    return room(f"call create --to {PERSON} --talk Hi")


def of_6(room: Room) -> Ran:
    fault(room, "rate-limit --on createCall --times 9")
    return room(f"call create --to {PERSON} --talk Hi")


def of_7(room: Room) -> Ran:
    return room("call list", env={"VOICECTL_BASE_URL": "http://127.0.0.1:1"})


def of_8(room: Room) -> Ran:
    return room(f"wait {room.call(BY_HAND, wait=None)} --for answered --timeout 3")


def of_9(room: Room) -> Ran:
    return room("hangup -", stdin=UNKNOWN)


def of_10(room: Room) -> Ran:
    return room(f"mute {room.call()} {UNKNOWN}")


def of_11(room: Room) -> Ran:
    return room(f"wait {room.call('447700900200', wait=None)} --for answered")


def of_12(room: Room) -> Ran:
    leg = room.call()
    fault(room, "lost-reply --on startDTMF")
    return room(f"dtmf {leg} 1234")


@pytest.mark.parametrize("status", range(13))
def test_every_exit_status_is_reached(voicectl: Room, status: int) -> None:
    ran = globals()[f"of_{status}"](voicectl)

    assert ran.exit_code == status, ran


def test_a_wrong_key_is_explained(start_room: StartRoom, application: Application) -> None:
    room = start_room()
    other = machine(
        room.home / "other", application, room.url, application_id="1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
    )

    ran = other("call list -o json")

    assert ran.exit_code == 3
    assert ran.error["http_status"] == 401
    assert "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8" in ran.error["hint"]
    assert "SHA256:" in ran.error["hint"]
