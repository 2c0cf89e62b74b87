"""``number``: the account's phone numbers, and the applications to which they are linked."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.api.test_wire import ConnectProxy
from tests.cli.commands.test_application import REAL_ID, SECRET, with_account
from tests.cli.test_streams import BROKEN, tell
from tests.support.certificates import Authority
from tests.support.desk import desk, shell
from tests.support.machines import Application
from tests.support.room import Ran, Room
from tests.support.servers import Canned, Request, reply
from voicectl.core.identity.profiles import Profile, ProfileStore

OWN = "442079460000"
SPARE = "442079460001"
OTHER_ID = "2d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
THIRD_ID = "3d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
SUCCESS = {"error-code": "200", "error-code-label": "success"}

KEPT = {
    "moHttpUrl": "https://x.org/sms?a=1&b=\u00e9",
    "voiceCallbackType": "tel",
    "voiceCallbackValue": "447700900001",
    "messagesCallbackType": "app",
    "messagesCallbackValue": OTHER_ID,
    "laterSetting": "on",
}
RECORD = {"country": "GB", "msisdn": SPARE, "type": "mobile-lvn", "features": ["SMS", "VOICE"]}


class Keeper:
    """A server that keeps numbers, as the platform does.

    Attributes:
        replies: Answers to updates, each used once; None closes the connection after the update is done.
        updates: The forms of the updates.
        meanwhile: A function that is called with the numbers after each update.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, dict[str, Any]] = {SPARE: dict(RECORD)}
        self.replies: list[bytes | None] = []
        self.updates: list[dict[str, str]] = []
        self.meanwhile: Callable[[dict[str, dict[str, Any]]], None] = lambda _: None

    def __call__(self, request: Request) -> bytes:
        if request.method == "GET":
            return self.page(request)
        assert request.path == "/number/update"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        self.updates.append(dict(parse_qsl(request.body.decode(), keep_blank_values=True)))
        answer = self.replies.pop(0) if self.replies else reply(200, SUCCESS)
        if answer is None or b"success" in answer:
            form = dict(self.updates[-1])
            fixed = {name: RECORD[name] for name in ("type", "features")}
            self.numbers[form["msisdn"]] = form | fixed
            self.meanwhile(self.numbers)
        return b"" if answer is None else answer

    def page(self, request: Request) -> bytes:
        assert request.path == "/account/numbers"
        query = request.query
        assert ("pattern" in query) == ("search_pattern" in query)
        found = [
            number
            for number in self.numbers.values()
            if number["msisdn"].startswith(query.get("pattern", ""))
            and query.get("application_id") in (None, number.get("app_id"))
        ]
        size, index = int(query["size"]), int(query["index"])
        shown = found[(index - 1) * size : index * size]
        return reply(200, {"count": len(found), "numbers": shown} if found else {})


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def office(keeper: Keeper, tmp_path: Path, application: Application) -> Iterator[Room]:
    """A machine whose profile has an account, and a server that keeps the account's numbers."""
    with Canned(keeper) as server:
        yield with_account(tmp_path / "office", application, server.url)


def own_id(room: Room) -> str:
    assert room.sandbox is not None
    return room.sandbox.identity.application_id


def links(room: Room) -> dict[str, str]:
    ran = room("number list --fields msisdn,app_id")
    assert ran.exit_code == 0, ran.stderr
    return {row[0]: row[1] for row in ran.rows}


# Listing


def test_list_shows_the_numbers_and_their_applications(voicectl: Room) -> None:
    ran = voicectl("number list")

    assert ran.exit_code == 0, ran.stderr
    assert [row[:5] for row in ran.rows] == [
        [OWN, "GB", "landline", '["VOICE", "SMS"]', own_id(voicectl)],
        [SPARE, "GB", "landline", '["VOICE", "SMS"]', "-"],
    ]
    assert voicectl("number list -o json").json[1] == {
        "country": "GB",
        "msisdn": SPARE,
        "type": "landline",
        "features": ["VOICE", "SMS"],
    }


def test_list_can_be_of_the_application_alone(voicectl: Room) -> None:
    assert voicectl("number list --application -q").stdout == f"{OWN}\n"
    voicectl(f"number unlink {OWN}")
    assert voicectl("number list --application -o json").json == []


def test_list_reads_all_pages_and_shows_what_the_api_sent(office: Room, keeper: Keeper) -> None:
    numbers = [str(447700900000 + n) for n in range(250)]
    keeper.numbers = {each: {"country": "GB", "msisdn": each, "later": [1]} for each in numbers}

    assert office("number list -q").stdout.split() == numbers
    assert office("number list --limit 2 -o json").json[1] == keeper.numbers[numbers[1]]
    assert office("number list --sort -msisdn --limit 1 -q").stdout == f"{numbers[-1]}\n"


def test_an_account_without_numbers_has_an_empty_list(office: Room, keeper: Keeper) -> None:
    keeper.numbers = {}

    assert office("number list -o json").json == []
    assert (office("number list").exit_code, office("number list").stdout) == (0, "")


def test_numbers_of_other_applications_are_left_out_even_if_the_api_sends_them(
    tmp_path: Path, application: Application
) -> None:
    numbers = [RECORD | {"app_id": REAL_ID}, RECORD | {"msisdn": OWN, "app_id": OTHER_ID}]
    with Canned(reply(200, {"count": 2, "numbers": numbers})) as server:
        room = with_account(tmp_path / "home", application, server.url)

        assert room("number list --application -q").stdout == f"{SPARE}\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"null",
        {"numbers": {}},
        {"count": "2", "numbers": []},
        {"count": 1, "numbers": [{"msisdn": 7}]},
    ],
)
def test_an_answer_that_is_no_list_of_numbers_is_none(
    tmp_path: Path, application: Application, answer: Any
) -> None:
    with Canned(reply(200, answer)) as server:
        room = with_account(tmp_path / "home", application, server.url)

        for line in ("list", f"link {SPARE}", f"unlink {SPARE}"):
            assert (room(f"number {line}").exit_code, room(f"number {line}").stdout) == (7, "")
        assert {request.method for request in server.requests} == {"GET"}


# Linking


def test_link_and_unlink_say_what_they_changed_and_print_the_number(voicectl: Room) -> None:
    linked = voicectl(f"number link {SPARE} -o json")
    unlinked = voicectl(f"number unlink {OWN}")

    assert (linked.exit_code, unlinked.exit_code) == (0, 0)
    assert linked.json == {
        "country": "GB",
        "msisdn": SPARE,
        "type": "landline",
        "features": ["VOICE", "SMS"],
        "app_id": own_id(voicectl),
    }
    assert linked.stderr == f"app_id: none -> {own_id(voicectl)}\n"
    assert unlinked.stderr == f"app_id: {own_id(voicectl)} -> none\n"
    assert unlinked.rows[0][:5] == [OWN, "GB", "landline", '["VOICE", "SMS"]', "-"]
    assert links(voicectl) == {OWN: "-", SPARE: own_id(voicectl)}


def test_a_number_is_written_as_people_write_it(voicectl: Room) -> None:
    assert voicectl("number link '+44 20 7946 0001' -q").stdout == f"{SPARE}\n"
    assert voicectl("number link 020 7946 0001").exit_code == 2
    assert voicectl("number link desk").exit_code == 2


def test_a_call_reaches_the_application_to_which_its_number_was_linked(voicectl: Room) -> None:
    voicectl.environ["VOICECTL_SANDBOX"] = voicectl.url
    voicectl(f"number link {SPARE}")

    rung = voicectl(f"sandbox ring --to {SPARE}")
    before = voicectl(f"sandbox ring --to {OWN[:-1]}9")

    assert "not linked" not in rung.stderr
    assert f"has no number {OWN[:-1]}9, so the call reaches the sandbox's own application" in before.stderr
    assert len(voicectl("call list -q").stdout.split()) == 2


@pytest.mark.parametrize(("line", "linked"), [(f"link {OWN}", True), (f"unlink {SPARE}", False)])
def test_what_is_so_already_sends_nothing(voicectl: Room, line: str, linked: bool) -> None:
    ran = voicectl(f"number {line}")

    assert ran.exit_code == 0
    assert "nothing was sent" in ran.stderr
    assert (ran.rows[0][4] != "-") == linked
    assert voicectl.requests("updateANumber") == []


@pytest.mark.parametrize("line", ["link", "unlink"])
def test_what_stands_in_the_number_is_kept(office: Room, keeper: Keeper, line: str) -> None:
    before = {} if line == "link" else {"app_id": REAL_ID}
    keeper.numbers[SPARE] |= KEPT | before

    assert office(f"number {line} {SPARE}").exit_code == 0

    wanted = {"country": "GB", "msisdn": SPARE, **KEPT} | ({"app_id": REAL_ID} if line == "link" else {})
    assert keeper.updates == [wanted]


def test_an_outdated_link_is_not_kept(office: Room, keeper: Keeper) -> None:
    keeper.numbers[SPARE] |= {"voiceCallbackType": "app", "voiceCallbackValue": OTHER_ID}

    office(f"number link {SPARE}")

    assert keeper.updates == [{"country": "GB", "msisdn": SPARE, "app_id": REAL_ID}]


def test_a_number_that_forwards_its_calls_is_linked_with_a_warning(office: Room, keeper: Keeper) -> None:
    keeper.numbers[SPARE] |= KEPT

    ran = office(f"number link {SPARE}")

    assert ran.exit_code == 0
    assert "warning: calls to the number are forwarded to 447700900001" in ran.stderr


def test_a_link_to_another_application_is_replaced_but_not_removed(office: Room, keeper: Keeper) -> None:
    keeper.numbers[SPARE]["app_id"] = OTHER_ID

    kept = office(f"number unlink {SPARE}")
    assert (kept.exit_code, kept.stdout, keeper.updates) == (9, "", [])
    assert f"linked to another application, {OTHER_ID}" in kept.stderr

    replaced = office(f"number link {SPARE}")
    assert replaced.exit_code == 0
    assert f"app_id: {OTHER_ID} -> {REAL_ID}" in replaced.stderr


@pytest.mark.parametrize("line", ["link", "unlink"])
def test_a_number_that_is_not_ours_is_not_found(voicectl: Room, line: str) -> None:
    ran = voicectl(f"number {line} 44207946000")  # the beginning of those that are

    assert (ran.exit_code, ran.stdout) == (4, "")
    assert "44207946000 is not a number of this account" in ran.stderr
    assert voicectl.requests("updateANumber") == []


def test_a_terminal_is_told_on_whom_it_acts(voicectl: Room) -> None:
    whom = f"profile test: application {own_id(voicectl)} on {voicectl.url}"

    assert voicectl(f"number link {SPARE}", terminal=True).stderr.startswith(whom)
    assert whom not in voicectl("number list", terminal=True).stderr


@pytest.mark.parametrize("how", BROKEN)
def test_a_change_that_cannot_be_printed_is_told_elsewhere(voicectl: Room, how: str) -> None:
    ran = tell(voicectl, f"number link {SPARE}", how)

    assert ran.exit_code == 1
    assert f"{SPARE}: done, but the result could not be written to standard output" in ran.stderr


# Refusals, lost answers, and others who change it


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(420, "420", 5), (200, "420", 5), (401, "401", 3), (200, "500", 7), (500, "500", 7), (200, "", 7)],
)
def test_a_refusal_is_told_in_the_api_s_words(
    office: Room, keeper: Keeper, status: int, code: str, exit_code: int
) -> None:
    refusal = reply(status, {"error-code": code, "error-code-label": "method failed"})
    keeper.replies = [refusal] * 9

    ran = office(f"number link {SPARE}")

    assert (ran.exit_code, ran.stdout) == (exit_code, "")
    assert exit_code == 7 or "method failed" in ran.stderr
    assert len(keeper.updates) == (3 if exit_code == 7 else 1)
    assert "leg" not in ran.stderr.lower()


def test_a_lost_answer_is_looked_up_and_not_sent_again(office: Room, keeper: Keeper) -> None:
    keeper.replies = [None]

    ran = office(f"number link {SPARE}")

    assert ran.exit_code == 0, ran.stderr
    assert f"app_id: none -> {REAL_ID}" in ran.stderr
    assert len(keeper.updates) == 1


def test_what_others_changed_before_a_repeat_is_kept(office: Room, keeper: Keeper) -> None:
    def later(numbers: dict[str, dict[str, Any]]) -> None:
        if len(keeper.updates) == 1:
            numbers[SPARE] = RECORD | {"moHttpUrl": "https://x.org/new"}

    keeper.meanwhile = later
    keeper.replies = [None]

    assert office(f"number link {SPARE}").exit_code == 0
    assert keeper.updates[1]["moHttpUrl"] == "https://x.org/new"


def test_a_link_by_somebody_else_at_the_same_time_is_told(office: Room, keeper: Keeper) -> None:
    keeper.meanwhile = lambda numbers: numbers[SPARE].update(app_id=THIRD_ID)

    ran = office(f"number link {SPARE}")

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert f"linked to another application, {THIRD_ID}, by someone else at the same time" in ran.stderr


def test_a_change_that_does_not_show_is_told(office: Room, keeper: Keeper) -> None:
    keeper.meanwhile = lambda numbers: numbers[SPARE].pop("app_id")

    ran = office(f"number link {SPARE}")

    assert ran.exit_code == 0
    assert "warning: the API accepted the change, but still shows the old link" in ran.stderr


def test_two_links_at_once_leave_one_and_break_nothing(voicectl: Room, application: Application) -> None:
    assert voicectl.sandbox is not None
    identity = voicectl.sandbox.identity
    lines = [f"number link {SPARE}", f"number link {SPARE}", f"number unlink {OWN}", f"number link {OWN}"]

    with ThreadPoolExecutor(len(lines)) as pool:
        ran: list[Ran] = list(pool.map(voicectl.process, lines))

    assert {each.exit_code for each in ran} == {0}, [each.stderr for each in ran]
    assert links(voicectl)[SPARE] == identity.application_id


# The account, the platform, dry runs


def test_without_a_key_and_secret_nothing_is_asked(tmp_path: Path, application: Application) -> None:
    with Canned(Keeper()) as server:
        room = with_account(tmp_path / "home", application, server.url, api_key=None)

        for line in ("list", f"link {SPARE}", f"unlink {SPARE}"):
            ran = room(f"number {line}")
            assert (ran.exit_code, ran.stdout) == (3, "")
            assert "VOICECTL_API_SECRET" in ran.stderr
        assert server.requests == []


def test_a_wrong_secret_is_explained(voicectl: Room) -> None:
    ran = voicectl("number list", env={"VOICECTL_API_KEY": "abcd1234", "VOICECTL_API_SECRET": SECRET})

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "authentication failed" in ran.stderr
    assert "API key abcd1234, from VOICECTL_API_KEY." in ran.stderr


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_the_secret_goes_to_the_host_for_numbers_whatever_the_region(
    tmp_path: Path, application: Application, keeper: Keeper, authority: Authority
) -> None:
    url = "https://api-eu-3.vonage.com"
    room = with_account(tmp_path / "abroad", application, url, ca_file=str(authority.ca_file))
    with (
        Canned(keeper, tls=authority.context("rest.nexmo.com")) as platform,
        ConnectProxy(platform.port) as proxy,
    ):
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        ran = room(f"number link {SPARE}", env=env, terminal=True)

    assert ran.exit_code == 0, ran.stderr
    assert {head.split()[1] for head in proxy.heads} == {"rest.nexmo.com:443"}
    assert b"Basic" not in proxy.overheard
    assert all(request.headers["authorization"].startswith("Basic ") for request in platform.requests)
    assert ran.stderr.startswith(f"profile test: application {REAL_ID} on https://rest.nexmo.com\n")


def test_a_dry_run_changes_nothing_and_prints_curl_without_the_secret(office: Room, keeper: Keeper) -> None:
    keeper.numbers[SPARE] |= {"moHttpUrl": "https://x.org/it's?a=1&b=2"}

    ran = office(f"number link {SPARE} --dry-run")

    assert (ran.exit_code, keeper.updates) == (0, [])
    words = shlex.split(ran.stdout)
    assert words[4:10] == ["|", "curl", "-K", "-", "-X", "POST"]
    assert words[10].endswith("/number/update")
    assert words[11] == "-d"
    form = {"country": "GB", "msisdn": SPARE, "moHttpUrl": "https://x.org/it's?a=1&b=2", "app_id": REAL_ID}
    assert dict(parse_qsl(words[12])) == form
    assert SECRET not in ran.stdout + ran.stderr
    (request,) = office(f"number link {SPARE} --dry-run -o json").json
    assert (request["method"], request["body"]) == ("POST", form)
    assert request["curl"] == ran.stdout.rstrip("\n")
    assert office(f"number unlink {SPARE} --dry-run -o json").json == []


def test_what_a_dry_run_prints_runs(tmp_path: Path, application: Application) -> None:
    identity, key = application
    with desk(tmp_path / "it's home", application) as room:
        mine = Profile(
            name="mine", application_id=identity.application_id, base_url=room.url, api_key=identity.api_key
        )
        ProfileStore(room.config).add(mine, key=key, api_secret=identity.api_secret)

        dry = f"voicectl -p mine number link {SPARE} --dry-run"
        ran = shell(room, f'set -euo pipefail; eval "$({dry}) -fsS"')

        assert ran.exit_code == 0, ran.stderr
        assert json.loads(ran.stdout) == SUCCESS
        assert room("-p mine number list --application -q").stdout.split() == [OWN, SPARE]


def test_it_works_inside_sandbox_exec(bare: Room) -> None:
    script = f"voicectl number link {SPARE} -q && voicectl -p prod number list --application -q"
    with_path = {"PATH": f"{Path(sys.executable).parent}:{bare.environ['PATH']}"}

    ran = bare.process(["sandbox", "exec", "--", "bash", "-c", script], env=with_path)

    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.split() == [SPARE, OWN, SPARE]
