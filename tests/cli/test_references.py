"""LEG: a full id, the beginning of one, ``@last`` or ``-``; nothing else becomes part of a URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.kept import keep, status
from tests.support.machines import machine
from tests.support.room import BUSY, PERSON, Room
from tests.support.servers import Canned, Request, page, reply
from voicectl.sandbox.account.identity import Identity
from voicectl.store.journal import Journal
from voicectl.voice.call import hyphenated, plain

Application = tuple[Identity, RSAPrivateKey]

LEGS = [
    "aaaa1111-0000-4000-8000-000000000001",
    "aaaa1111-0000-4000-8000-000000000002",
    "aaaa2222-0000-4000-8000-000000000003",
    "bbbb333300004000800000000000000a",
]


def legs(*ids: str, status: str = "answered") -> Callable[[Request], bytes]:
    """Return the answer of a server with the legs *ids*, all in *status*."""

    def answer(request: Request) -> bytes:
        if request.method != "GET":
            return reply(200, {})
        if request.path != "/v1/calls":
            return reply(200, {"uuid": request.path.rpartition("/")[2], "status": status})
        shown = ids if request.query.get("status", status) == status else ()
        to = {"type": "phone", "number": PERSON}
        return reply(200, page(*({"uuid": each, "status": status, "to": to} for each in shown)))

    return answer


def ring(room: Room) -> str:
    """The id, 32 hex digits, of an inbound call that was answered."""
    made = httpx.post(f"{room.url}/sandbox/ring", json={"to": "442079460000", "from": PERSON})
    room.clock.sleep(3)
    return str(made.raise_for_status().json()["uuid"])


def changed(server: Canned) -> list[str]:
    """The legs that the server was asked to change."""
    return [request.path.split("/")[3] for request in server.requests if request.method != "GET"]


@pytest.mark.parametrize("leg", [LEGS[0], LEGS[0].upper(), LEGS[3], LEGS[3].upper()])
def test_a_full_id_is_used_without_a_look_up(tmp_path: Path, application: Application, leg: str) -> None:
    with Canned(legs()) as server:
        assert machine(tmp_path, application, server.url)(f"mute {leg}").exit_code == 0

        assert [(request.method, request.path) for request in server.requests] == [
            ("PUT", f"/v1/calls/{leg}")
        ]


def respelled(leg: str) -> list[str]:
    """The other ways to write the id *leg*."""
    written = (plain(leg), hyphenated(leg))
    return [each for each in (*written, *map(str.upper, written)) if each != leg]


@pytest.mark.parametrize("form", range(3))
@pytest.mark.parametrize("is_inbound", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        "talk {} Hello",
        "stream {} --stop",
        "dtmf {} 12",
        "mute {}",
        "hangup {}",
        "transfer {} --answer-url https://app.example.org/answer",
        "move {} support-17",
        "wait {} --for answered",
        "call show {}",
    ],
)
def test_an_id_that_the_api_does_not_know_is_asked_in_its_other_spellings(
    voicectl: Room, line: str, is_inbound: bool, form: int
) -> None:
    leg = ring(voicectl) if is_inbound else voicectl.call(wait="answered")
    typed = respelled(leg)[form]

    ran = voicectl(f"{line.format(typed)} -o json")

    assert (ran.exit_code, ran.json["uuid"]) == (0, leg), ran.stderr
    assert f"The API knows leg {typed} as {leg}" in ran.stderr
    changes = [each for each in voicectl.requests() if each["method"] != "GET" and leg in each["path"]]
    assert len(changes) == (line.split()[0] not in ("wait", "call"))


def test_a_leg_in_another_spelling_is_its_own_only_partner(voicectl: Room) -> None:
    leg = ring(voicectl)

    ran = voicectl(f"move {hyphenated(leg)} support-17 --with-partners -q")

    assert (ran.exit_code, ran.stdout) == (0, f"{leg}\n"), ran.stderr  # a move of other legs needs --yes


@pytest.mark.parametrize("typed", [*respelled(LEGS[3]), "bbbb3333-00", "BBBB33330"])
def test_events_are_found_by_every_spelling_of_a_leg(voicectl: Room, typed: str) -> None:
    keep(voicectl, status("answered", leg=LEGS[3]), status("answered", leg=LEGS[0]))

    assert [row[0] for row in voicectl(f"webhook list --leg {typed}").rows] == ["1"]


@pytest.mark.parametrize("typed", [*respelled(LEGS[2]), "aaaa22220", "AAAA2222-0"])
def test_stored_events_are_found_by_every_beginning(voicectl: Room, typed: str) -> None:
    keep(voicectl, status("answered", leg=LEGS[2]), status("answered", leg=LEGS[0]))

    assert [row[0] for row in voicectl(f"webhook list --leg {typed}").rows] == ["1"]


@pytest.mark.parametrize("form", range(3))
def test_a_trace_of_an_id_in_another_spelling_has_everything_that_is_known(voicectl: Room, form: int) -> None:
    leg = ring(voicectl)
    voicectl(f"mute {leg}")
    keep(voicectl, status("answered", leg=leg))

    whole, typed = (voicectl(f"trace {each} -o json") for each in (leg, respelled(leg)[form]))

    assert whole.json["legs"][0]["uuid"] == leg
    assert typed.json == whole.json


UNUSUAL = ["PAR-77", "abcd1234", "4477", "leg/7", "Küche 7"]


@pytest.mark.parametrize("leg", UNUSUAL)
def test_an_id_of_any_form_is_accepted_if_stored_events_mention_it(voicectl: Room, leg: str) -> None:
    longer = status("ringing", leg=f"{leg}-longer", conversation_uuid="CON-other")
    keep(voicectl, status("answered", leg=leg), longer)

    shown = voicectl(["call", "show", leg, "-o", "json"])
    awaited = voicectl(["wait", leg, "--for", "ringing", "-o", "json"])
    traced = voicectl(["trace", leg, "-q"])
    listed = voicectl(["webhook", "list", "--leg", leg, "-o", "json", "--fields", "uuid"])

    assert (shown.exit_code, shown.json["uuid"], shown.json["status"]) == (0, leg, "answered"), shown.stderr
    assert (awaited.exit_code, awaited.json["uuid"]) == (0, leg), awaited.stderr
    assert (traced.exit_code, traced.rows) == (0, [[leg]]), traced.stderr
    assert (listed.exit_code, listed.json) == (0, [{"uuid": leg}]), listed.stderr


@pytest.mark.parametrize(
    "line", ["call show {}", "wait {} --for ringing", "trace {}", "webhook list --leg {}"]
)
@pytest.mark.parametrize("leg", ["PAR-78", "par-77", "PAR", ".", ".."])
def test_any_other_text_is_still_not_a_leg_id(voicectl: Room, line: str, leg: str) -> None:
    keep(
        voicectl, status("answered", leg="PAR-77"), status("answered", leg=".."), status("answered", leg=".")
    )

    ran = voicectl(line.format(leg))

    assert (ran.exit_code, ran.stdout) == (2, ""), ran.stderr
    assert voicectl.requests() == []


@pytest.mark.parametrize("line", ["mute {}", "hangup {}", "dtmf {} 12"])
def test_an_id_of_any_form_reaches_the_api_as_it_is(
    tmp_path: Path, application: Application, line: str
) -> None:
    with Canned(legs()) as server:
        room = machine(tmp_path, application, server.url)
        keep(room, status("answered", leg="PAR-77"))

        ran = room(line.format("PAR-77") + " -o json")

        assert (ran.exit_code, ran.json["uuid"]) == (0, "PAR-77"), ran.stderr
        assert changed(server) == ["PAR-77"]
        assert ("here", line.split()[0]) in [
            (each["source"], each["what"]) for each in room("trace PAR-77 -o json").json["entries"]
        ]


def test_an_event_cannot_change_what_other_references_mean(tmp_path: Path, application: Application) -> None:
    number = f"to:{PERSON}"
    with Canned(legs(LEGS[0])) as server:
        room = machine(tmp_path, application, server.url)
        keep(room, status("answered", leg=number), status("answered", leg="@last"))

        for line in (f"call show {number} -q", f"trace {number} -q", f"mute {number} -q"):
            assert room(line).rows[0] == [LEGS[0]]
        assert room("trace @last").exit_code == 2


def test_an_unusual_id_that_no_host_knows_is_asked_for_once(tmp_path: Path, application: Application) -> None:
    with Canned(lambda _: reply(404, {"title": "Not Found"})) as server:
        room = machine(tmp_path, application, server.url)
        keep(room, status("answered", leg="PAR-77"))

        assert room("call show PAR-77").exit_code == 0
        assert [request.path for request in server.requests] == ["/v1/calls/PAR-77"]


def test_a_spelling_is_asked_once_for_several_requests(voicectl: Room) -> None:
    leg = ring(voicectl)

    ran = voicectl(f"hangup {hyphenated(leg)} --say Bye")

    assert ran.exit_code == 0, ran.stderr
    assert [each["status"] for each in voicectl.requests()].count(404) <= 2
    assert ran.stderr.count("The API knows") == 1


@pytest.mark.parametrize(
    ("text", "leg"),
    [
        ("aaaa2", LEGS[2]),
        ("aaaa22220000", LEGS[2]),
        ("BBBB3333-0000-4", LEGS[3]),
        ("AAAA2222-", LEGS[2]),
        ("bbbb", LEGS[3]),
        ("BbBb3333", LEGS[3]),
        (LEGS[0][:-1] + "1", LEGS[0]),
    ],
)
def test_the_beginning_of_an_id_names_the_only_matching_live_leg(
    tmp_path: Path, application: Application, text: str, leg: str
) -> None:
    with Canned(legs(*LEGS)) as server:
        ran = machine(tmp_path, application, server.url)(f"mute {text}")

        assert (ran.exit_code, ran.stdout) == (0, f"{leg}\tmute\tdone\n")
        assert changed(server) == [leg]


@pytest.mark.parametrize(
    "line", ["mute", "wait --for answered", "talk --stop", "call show", "move --no-wait"]
)
@pytest.mark.parametrize(
    "pasted", [f"{LEGS[0]}\n", f"\n{LEGS[0]}", f" {LEGS[0]}", f"\t{LEGS[0]}\r\n", f"\u00a0{LEGS[0]} "]
)
def test_blanks_around_an_id_are_trimmed(
    tmp_path: Path, application: Application, line: str, pasted: str
) -> None:
    with Canned(legs(*LEGS)) as server:
        words = [*line.split(), pasted, *(["room"] if line.startswith("move") else [])]

        ran = machine(tmp_path, application, server.url)(words)

        assert (ran.exit_code, ran.stdout.split("\t")[0]) == (0, LEGS[0])
        assert {request.path.split("/")[3] for request in server.requests} == {LEGS[0]}


@pytest.mark.parametrize("pasted", [" CON-{}", "CON-{}\n"])
@pytest.mark.parametrize("line", ["conversation talk {} Hi", "trace {}", "call list --conversation={}"])
def test_blanks_around_the_id_of_a_conversation_are_trimmed(voicectl: Room, line: str, pasted: str) -> None:
    leg = voicectl.call()
    id_ = voicectl(f"call show {leg} -o json").json["conversation_uuid"].removeprefix("CON-")

    assert voicectl([word.replace("{}", pasted.format(id_)) for word in line.split()]).exit_code == 0


@pytest.mark.parametrize(
    "reference",
    ["to:+447700900001", "to:+44 7700 900001", "to:44-7700-9", "to: 44.7700.900001", " to:(+44) 7700 900001"],
)
def test_a_leg_is_named_by_its_number_with_separators(
    tmp_path: Path, application: Application, reference: str
) -> None:
    with Canned(legs(LEGS[0])) as server:
        ran = machine(tmp_path, application, server.url)(["mute", reference])

        assert (ran.exit_code, changed(server)) == (0, [LEGS[0]])


@pytest.mark.parametrize(
    ("reference", "status", "form"),
    [
        ("to:+44 (0)7700 900001", 2, "+447700900001"),
        ("to:07700 900001", 4, "country code"),
        ("+44 7700 900001", 2, "to:447700900001"),
        ("447700900001", 4, "to:447700900001"),
    ],
)
def test_a_number_in_another_form_is_refused_with_a_suggestion(
    tmp_path: Path, application: Application, reference: str, status: int, form: str
) -> None:
    with Canned(legs(LEGS[0])) as server:
        ran = machine(tmp_path, application, server.url)(["mute", reference])

        assert (ran.exit_code, changed(server)) == (status, [])
        assert form in ran.stderr


def test_an_ambiguous_beginning_lists_the_candidates_and_does_nothing(
    tmp_path: Path, application: Application
) -> None:
    with Canned(legs(*LEGS)) as server:
        home = machine(tmp_path, application, server.url)

        ran = home("mute aaaa1")

        assert (ran.exit_code, ran.stdout) == (4, "")
        assert LEGS[0] in ran.stderr
        assert LEGS[1] in ran.stderr
        assert LEGS[2] not in ran.stderr
        assert PERSON in ran.stderr
        assert len(ran.stderr.splitlines()) <= 3
        assert changed(server) == []


def test_many_candidates_are_not_all_listed(tmp_path: Path, application: Application) -> None:
    with Canned(legs(*(f"aaaa1111-0000-4000-8000-{n:012}" for n in range(50)))) as server:
        ran = machine(tmp_path, application, server.url)("mute aaaa")

        assert ran.exit_code == 4
        assert ran.stderr.count("aaaa1111") <= 12


def test_an_unknown_beginning_does_nothing(tmp_path: Path, application: Application) -> None:
    with Canned(legs(*LEGS)) as server:
        ran = machine(tmp_path, application, server.url)("mute cccc")

        assert (ran.exit_code, ran.stdout) == (4, "")
        assert changed(server) == []


@pytest.mark.parametrize("line", ["mute {}", "wait {} --for ended", "talk {} Hi", "dtmf {} 1", "move {} r"])
def test_the_beginning_of_the_id_of_an_ended_leg_names_it_only_for_show(
    tmp_path: Path, application: Application, line: str
) -> None:
    with Canned(legs(*LEGS, status="completed")) as server:
        home = machine(tmp_path, application, server.url)

        assert home(line.format("bbbb")).exit_code == 4
        assert home("call show bbbb -q").stdout == f"{LEGS[3]}\n"


def test_last_is_the_call_created_last_and_only_on_a_terminal(voicectl: Room) -> None:
    voicectl.call(BUSY, wait="ended")
    newest = voicectl.call()

    assert voicectl("mute @last", terminal=True).stdout.split()[0] == newest
    assert voicectl("mute @last").exit_code == 2
    assert voicectl("hangup @last", terminal=True).exit_code == 0
    assert voicectl("call show @last -q", terminal=True).stdout == f"{newest}\n"  # ended, and still the last


def test_of_two_calls_at_the_same_time_last_is_the_later_one(voicectl: Room) -> None:
    ran = voicectl(f"call create --to {BUSY} --to {PERSON} --talk Hello --join room -q")
    newest = ran.stdout.split()[-1]
    with closing(Journal(next(voicectl.state.iterdir()), voicectl.clock)) as journal:
        intents = [journal.by_leg(uuid) for uuid in ran.stdout.split()]
    assert len({intent.asked_at for intent in intents if intent}) == 1

    assert voicectl("call show @last -q", terminal=True).stdout == f"{newest}\n"


def test_last_is_not_a_call_that_was_only_seen_or_refused(voicectl: Room) -> None:
    assert voicectl("mute @last", terminal=True).exit_code == 4
    voicectl("sandbox ring --to 442079460000", env={"VOICECTL_SANDBOX": voicectl.url})
    assert voicectl("mute @last", terminal=True).exit_code == 4

    mine = voicectl.call()
    voicectl("sandbox fault add status 400 --on createCall", env={"VOICECTL_SANDBOX": voicectl.url})
    assert voicectl(f"call create --to {PERSON} --talk Hi").exit_code == 5
    assert voicectl("mute @last", terminal=True).stdout.split()[0] == mine


def test_other_spellings_of_last_are_refused(voicectl: Room) -> None:
    voicectl.call()

    for text in ("@LAST", "@", "@ last", "last", "@last1"):
        assert voicectl(["mute", text], terminal=True).exit_code == 2


@pytest.mark.parametrize(
    "name",
    [
        LEGS[0],
        LEGS[3],
        f" {LEGS[0]}",
        "to:44 7700",
        "CON-" + LEGS[0],
        " CON-" + LEGS[0],
        "con-x",
        "CON-",
        "-",
        "@last",
        "",
        " ",
        "a\nb",
        "a\x1b",
    ],
)
def test_a_room_is_a_name_and_not_a_leg(voicectl: Room, name: str) -> None:
    leg = voicectl.call()
    before = len(voicectl.requests())

    assert voicectl(["move", leg, name]).exit_code == 2
    assert voicectl(["call", "create", "--to", PERSON, "--join", name]).exit_code == 2
    assert len(voicectl.requests()) == before


@pytest.mark.parametrize("name", ["support-17", "Küche", "a b", "1234", "abcd1234", "CONFERENCE", "../x"])
def test_a_room_may_have_any_name(voicectl: Room, name: str) -> None:
    leg = voicectl.call()

    assert voicectl(["move", leg, name]).exit_code == 0
    sent = voicectl.requests("updateCall")[0]["body"]["destination"]["ncco"]
    assert sent == [{"action": "conversation", "name": name}]


SLOTS = [
    "talk {} Hi",
    "talk {} --stop",
    "stream {} https://x.org/a.mp3",
    "stream {} --stop",
    "dtmf {} 1",
    "dtmf {} --listen https://x.org",
    "dtmf {} --no-listen",
    "mute {}",
    "unmute {}",
    "earmuff {}",
    "unearmuff {}",
    "hangup {}",
    "transfer {} --connect 447700900002",
    "move {} room",
    f"move {LEGS[0]} room --can-hear={{}}",
    f"move {LEGS[0]} room --can-speak={{}}",
    "wait {} --for ended",
    "call show {}",
    "recording list --conversation={}",
    "call reconcile {}",
    "call reconcile vc-1 --reason x --assume={}",
    "jwt create --profile={}",
    "profile show {}",
    "profile use {}",
    "profile remove {}",
]
"""Commands that take ids or names."""

HOSTILE_IDS = [
    "../../v2/applications/x",
    "..",
    ".",
    "../x",
    "%2e%2e",
    "%2e%2e%2fv2",
    "?a=b",
    "#a",
    "a/b",
    f"{LEGS[0]}/talk",
    f"{LEGS[0]}?x=1",
    f"{LEGS[0]}#",
    f"{LEGS[0]}\r\nX-Evil: 1",
    f"{LEGS[0]}\0",
    f"{LEGS[0]}%00",
    f"{LEGS[0]},{LEGS[1]}",
    f"{{{LEGS[0]}}}",
    f"urn:uuid:{LEGS[0]}",
    LEGS[0].replace("-", "_"),
    LEGS[0].replace("a", "\u0430"),
    LEGS[0].replace("1", "\u0661"),
    LEGS[3][:-1] + "g",
    "CON-" + LEGS[0] + "/members",
    "CON-../x",
    "con-" + LEGS[0],
    "a\udc80b",
    "\u202eabcd",
    "",
]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, application: Application
) -> Iterator[tuple[Room, Canned]]:
    """A machine, and a server that accepts every request."""
    with Canned(legs(*LEGS)) as server:
        yield machine(tmp_path_factory.mktemp("ids"), application, server.url), server


@pytest.mark.parametrize("slot", SLOTS)
def test_an_invalid_id_is_refused_before_any_request(world: tuple[Room, Canned], slot: str) -> None:
    home, server = world
    before = len(server.requests)
    allowed = (
        (2, 4) if "reconcile" in slot else (2, 3) if "profile" in slot else (2,)
    )  # well-formed names are unknown

    for text in HOSTILE_IDS:
        ran = home(fill(slot, text))

        assert ran.exit_code in allowed, (text, ran)
        assert ran.stdout == ""
        assert "Traceback" not in ran.stderr
    assert len(server.requests) == before


@given(
    text=st.text(max_size=40) | st.from_regex(r"[0-9a-fA-F-]{0,3}[./?#%@ a-f0-9-]{0,40}", fullmatch=True),
    data=st.data(),
)
@example(text="a" * 37, data=None)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_only_paths_of_known_shapes_are_requested(
    world: tuple[Room, Canned], text: str, data: st.DataObject | None
) -> None:
    home, server = world
    slot = data.draw(st.sampled_from(SLOTS)) if data else SLOTS[7]
    del server.requests[:]

    ran = home(fill(slot, text), stdin=text)

    assert ran.exit_code in (0, 2, 3, 4, 8, 10), ran
    identifier = r"([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})"
    shape = rf"/v1/calls(/{identifier}(/talk|/stream|/dtmf|/input/dtmf)?)?(\?[a-zA-Z0-9_=&.%+-]*)?"
    assert all(re.fullmatch(shape, request.target) for request in server.requests)


def fill(slot: str, text: str) -> list[str]:
    """The words of a command with *text* in its slot, also if it looks like an option."""
    words = [word.replace("{}", text) for word in slot.split(" ")]
    if text.startswith("-") and any(word == text for word in words):
        words.remove(text)
        options = [word for word in words[1:] if word.startswith("--")]
        return [words[0], *options, "--", text, *(word for word in words[1:] if not word.startswith("--"))]
    return words
