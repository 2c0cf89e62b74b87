"""Guards of a profile: numbers, rates and lengths of calls; and texts that add no action to a flow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.machines import machine
from tests.support.room import Ran, Room
from tests.support.servers import LEG, Canned, Request, reply
from voicectl.core.identity.policy import Policy
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]

HOME, JAMAICA, PREMIUM, MOBILE = "447700900001", "18765550100", "449012345678", "14155550100"


def answer(request: Request) -> bytes:
    """A platform that accepts every request."""
    answer.counter += 1  # type: ignore[attr-defined]
    if request.method == "POST":
        uuid = f"{LEG[:-12]}{answer.counter:012}"  # type: ignore[attr-defined]
        return reply(201, {"uuid": uuid, "status": "started", "direction": "outbound"})
    return reply(200, {"message": "done"})


answer.counter = 0  # type: ignore[attr-defined]


@pytest.fixture
def platform() -> Iterator[Canned]:
    with Canned(answer) as server:
        yield server


class Caller:
    """A machine with a profile that has guards."""

    def __init__(self, home: Path, application: Application, server: Canned, **guards: Any) -> None:
        self.room: Room = machine(home, application, server.url, policy=Policy(**guards))
        self.server = server

    def __call__(self, line: str | list[str], flow: object = None) -> Ran:
        return self.room(line, stdin=json.dumps(flow))

    @property
    def sent(self) -> list[Any]:
        return [request.json for request in self.server.requests if request.method != "GET"]


def connect(*numbers: str) -> list[dict[str, Any]]:
    return [{"action": "connect", "endpoint": [{"type": "phone", "number": number}]} for number in numbers]


BRITISH = {"allow": ("44", "1"), "deny": ("4490", "1876")}


@pytest.mark.parametrize(
    ("line", "flow"),
    [
        (f"call create --to {JAMAICA} --talk Hi", None),
        (f"call create --to +{JAMAICA} --talk Hi", None),
        (f"call create --to {PREMIUM} --talk Hi", None),
        ("call create --to 4915112345678 --talk Hi", None),
        ("call create --to sip:447700900001@gateway.example.org --talk Hi", None),
        ("call create --to app:alice --talk Hi", None),
        (f"call create --to {HOME} --to {JAMAICA} --talk Hi", None),
        (f"call create --to {HOME} --ncco -", connect(PREMIUM)),
        (f"call create --to {HOME} --ncco -", [{"action": "talk", "text": "x"}, *connect(HOME, PREMIUM)]),
        (f"call create --to {HOME} --ncco -", connect("0044 7700 900001")),
        (
            f"call create --to {HOME} --ncco -",
            [{"action": "connect", "endpoint": {"type": "phone", "number": PREMIUM}}],
        ),
        (
            f"call create --to {HOME} --ncco -",
            [{"action": "connect", "endpoint": [{"type": "sip", "uri": "sip:900@gw", "number": HOME}]}],
        ),
        (f"transfer {LEG} --connect {PREMIUM}", None),
        (f"transfer {LEG} --connect +{JAMAICA}", None),
        (f"transfer {LEG} --ncco -", connect(PREMIUM)),
        (f"transfer {LEG} --ncco -", connect(HOME, HOME, JAMAICA)),
        (f"call create --to {JAMAICA} --talk Hi --dry-run", None),
        (f"call create --to {JAMAICA} --talk Hi --yes", None),
        (f"transfer {LEG} --connect {PREMIUM} --dry-run", None),
    ],
)
def test_numbers_that_the_profile_does_not_allow_are_not_rung(
    tmp_path: Path, application: Application, platform: Canned, line: str, flow: object
) -> None:
    caller = Caller(tmp_path, application, platform, **BRITISH)

    ran = caller(line, flow)

    assert ran.exit_code in (2, 9)  # 2: it is not a valid NCCO either
    assert ran.exit_code == 2 or "does not allow" in ran.stderr
    assert ran.stdout == ""
    assert platform.requests == []


@pytest.mark.parametrize(
    ("line", "flow"),
    [
        (f"call create --to {HOME} --talk Hi", None),
        (f"call create --to +{HOME} --to {MOBILE} --talk Hi", None),
        (f"call create --to {HOME} --ncco -", connect(MOBILE)),
        (f"call create --to {HOME} --answer-url https://example.org/ncco", None),
        (f"transfer {LEG} --connect {MOBILE}", None),
        (f"transfer {LEG} --ncco -", [{"action": "talk", "text": JAMAICA}]),
        (f"transfer {LEG} --answer-url https://example.org/ncco", None),
        (f"move {LEG} {JAMAICA} --no-wait", None),
    ],
)
def test_allowed_numbers_are_rung(
    tmp_path: Path, application: Application, platform: Canned, line: str, flow: object
) -> None:
    caller = Caller(tmp_path, application, platform, **BRITISH)

    assert caller(line, flow).exit_code == 0
    assert caller.sent


def test_a_profile_rings_a_limited_number_of_phones_in_an_hour(
    tmp_path: Path, application: Application, platform: Canned
) -> None:
    caller = Caller(tmp_path, application, platform, max_calls_per_hour=3)
    create = f"call create --to {HOME} --talk Hi"

    assert caller(create).exit_code == 0
    assert caller(f"transfer {LEG} --connect {HOME}").exit_code == 0
    assert caller(f"call create --to {HOME} --ncco -", connect(HOME)).exit_code == 9  # would ring two
    caller.room.clock.sleep(1800)
    assert caller(create).exit_code == 0
    assert caller(create).exit_code == 9
    assert caller(f"transfer {LEG} --connect {HOME}").exit_code == 9
    assert caller(f"move {LEG} room --no-wait").exit_code == 0  # rings no phone
    caller.room.clock.sleep(1801)
    assert caller(create).exit_code == 0
    assert len(caller.sent) == 5


@pytest.mark.parametrize("option", ["", "--no-journal"])
def test_each_phone_that_a_created_call_rings_takes_a_turn(
    tmp_path: Path, application: Application, platform: Canned, option: str
) -> None:
    caller = Caller(tmp_path, application, platform)

    assert caller(f"call create --to {HOME} --ncco - {option}", connect(HOME, MOBILE)).exit_code == 0
    assert caller(f"call create --to {HOME} --talk Hi {option}").exit_code == 0
    assert sum(caller.room.clock.slept) == pytest.approx(1, abs=0.01), "three of three in a second"


MANY = ["call", "create", *(word for n in range(4) for word in ("--to", f"44770090000{n}")), "--talk", "Hi"]


def test_of_several_callees_beyond_the_limit_none_is_called(
    tmp_path: Path, application: Application, platform: Canned
) -> None:
    caller = Caller(tmp_path, application, platform, max_calls_per_hour=4)
    assert caller(f"call create --to {HOME} --talk Hi").exit_code == 0

    ran = caller(MANY)

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert "allows 4 calls per hour; 1 was made" in ran.stderr
    assert len(caller.sent) == 1
    caller.room.clock.sleep(3601)
    assert caller(MANY).exit_code == 0
    assert len(caller.sent) == 5


@pytest.mark.parametrize("line", [f"call create --to {HOME} --talk Hi", f"transfer {LEG} --connect {HOME}"])
def test_a_dry_run_reports_the_limit_and_counts_nothing(
    tmp_path: Path, application: Application, platform: Canned, line: str
) -> None:
    caller = Caller(tmp_path, application, platform, max_calls_per_hour=1)
    for _ in range(2):
        assert caller(f"{line} --dry-run").exit_code == 0
    assert caller([*MANY, "--dry-run"]).exit_code == 9
    assert caller(f"call create --to {HOME} --talk Hi").exit_code == 0

    ran = caller(f"{line} --dry-run")
    assert (ran.exit_code, ran.stdout) == (9, "")
    assert "allows 1 call per hour; 1 was made" in ran.stderr
    assert len(caller.sent) == 1


def test_without_a_journal_the_limit_cannot_be_avoided(
    tmp_path: Path, application: Application, platform: Canned
) -> None:
    caller = Caller(tmp_path, application, platform, max_calls_per_hour=3)

    assert caller(f"call create --to {HOME} --talk Hi --no-journal").exit_code == 9
    assert caller.sent == []


def test_a_limit_of_zero_allows_no_call(tmp_path: Path, application: Application, platform: Canned) -> None:
    caller = Caller(tmp_path, application, platform, max_calls_per_hour=0)

    assert caller(f"call create --to {HOME} --talk Hi").exit_code == 9
    assert caller(f"transfer {LEG} --connect {HOME}").exit_code == 9


@pytest.mark.parametrize(
    ("guards", "options", "sent"),
    [
        ({}, "", None),
        ({}, "--length-timer 1h", 3600),
        ({"length_timer": 600}, "", 600),
        ({"length_timer": 600}, "--length-timer 60", 60),
        ({"length_timer": 600}, "--length-timer 10m", 600),
    ],
)
def test_the_length_of_a_call_is_limited_by_its_profile(
    tmp_path: Path,
    application: Application,
    platform: Canned,
    guards: dict[str, int],
    options: str,
    sent: int | None,
) -> None:
    caller = Caller(tmp_path, application, platform, **guards)

    assert caller(f"call create --to {HOME} --talk Hi {options}").exit_code == 0
    assert caller.sent[0].get("length_timer") == sent


def test_a_longer_call_is_refused(tmp_path: Path, application: Application, platform: Canned) -> None:
    caller = Caller(tmp_path, application, platform, length_timer=600)

    assert caller(f"call create --to {HOME} --talk Hi --length-timer 601").exit_code == 9
    assert caller.sent == []


@pytest.mark.parametrize(("timer", "limit"), [(None, None), (600, 600), (86_400, 7200)])
def test_the_length_of_a_connect_is_limited_too(
    tmp_path: Path, application: Application, platform: Canned, timer: int | None, limit: int | None
) -> None:
    caller = Caller(tmp_path, application, platform, length_timer=timer)

    assert caller(f"transfer {LEG} --connect {HOME}").exit_code == 0
    (action,) = caller.sent[0]["destination"]["ncco"]
    assert action.get("limit") == limit


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Caller]:
    with Canned(answer) as server:
        yield Caller(tmp_path_factory.mktemp("texts"), application, server)


METACHARACTERS = st.text(alphabet="\"\\{}[],:<>&'/%$`;!#~action ", max_size=40)


@given(st.text(max_size=40) | METACHARACTERS)
@example('"},{"action":"connect","endpoint":[{"type":"phone","number":"447700900999"}]},{"x":"')
@example("</speak><speak><audio src='x'/>")
@example("$(touch /tmp/x) `touch /tmp/x` ${IFS}")
@example("{{caller}} %s %(x)s {0}")
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_text_changes_the_list_of_actions(texts: Caller, text: str) -> None:
    texts.server.requests.clear()

    made = texts(["call", "create", "--to", HOME, f"--talk={text}", "--join", "room"])
    said = texts(["talk", LEG, "--", text])
    moved = texts(["move", LEG, "--", text])

    assert made.exit_code == said.exit_code == (0 if text.strip() else 2)
    sent = {request.path: request.json for request in texts.server.requests}
    if made.exit_code == 0:
        assert sent["/v1/calls"]["ncco"] == [
            {"action": "talk", "text": text},
            {"action": "conversation", "name": "room"},
        ]
        assert text == "-" or sent[f"/v1/calls/{LEG}/talk"] == {"text": text}
    if moved.exit_code == 0:
        (action,) = sent[f"/v1/calls/{LEG}"]["destination"]["ncco"]
        assert action == {"action": "conversation", "name": text}
