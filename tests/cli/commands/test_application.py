"""``app``: the application as the platform stores it, and the URLs of its webhooks."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_wire import ConnectProxy
from tests.cli.test_streams import BROKEN, tell
from tests.support.certificates import Authority
from tests.support.desk import desk, shell
from tests.support.machines import Application, machine
from tests.support.room import Ran, Room
from tests.support.servers import Canned, Request, reply
from voicectl.core.identity.profiles import Profile, ProfileStore

REAL_ID = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
ANSWER = "http://127.0.0.1:8080/answer"
EVENT = "http://127.0.0.1:8080/event"
SECRET = "Canary4TheAccount"

WHOLE: dict[str, Any] = {
    "id": REAL_ID,
    "name": "desk-line",
    "label": ["of", {"a": "newer"}, None],
    "keys": {"public_key": "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "rotation": 1},
    "privacy": {"improve_ai": False},
    "capabilities": {
        "voice": {
            "webhooks": {
                "answer_url": {
                    "address": "https://ops.example.com/answer",
                    "http_method": "POST",
                    "connect_timeout": 500,
                    "later": True,
                },
                "other_url": {"address": "https://ops.example.com/other"},
            },
            "region": "eu-west",
            "payments": {"gateways": []},
        },
        "messages": {"webhooks": {"inbound_url": {"address": "https://ops.example.com/in"}}},
        "vbc": {},
    },
    "_links": {"self": {"href": f"/v2/applications/{REAL_ID}"}},
}


def changed(address: str = "https://new.example.com/answer", **more: Any) -> dict[str, Any]:
    """Return a copy of the application with another answer URL, and *more* fields in its webhook."""
    copy: dict[str, Any] = json.loads(json.dumps(WHOLE))
    copy["capabilities"]["voice"]["webhooks"]["answer_url"] |= {"address": address, **more}
    return copy


class Keeper:
    """A server that keeps one application, as the platform does, and that can change it by itself.

    Attributes:
        meanwhile: The application that replaces it, by the number of earlier reads.
        replies: Answers to PUTs, each used once, in place of the application.
        puts: The bodies of the PUTs.
    """

    def __init__(self, application: dict[str, Any] = WHOLE) -> None:
        self.application = application
        self.meanwhile: dict[int, dict[str, Any]] = {}
        self.replies: list[bytes] = []
        self.puts: list[dict[str, Any]] = []
        self.reads = 0

    def __call__(self, request: Request) -> bytes:
        assert request.path == f"/v2/applications/{REAL_ID}"
        if request.method == "GET":
            self.reads += 1
            shown = reply(200, self.application)
            self.application = self.meanwhile.get(self.reads, self.application)
            return shown
        self.puts.append(request.json)
        self.application = {"id": WHOLE["id"], **request.json, "_links": WHOLE["_links"]}
        return self.replies.pop(0) if self.replies else reply(200, self.application)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def office(keeper: Keeper, tmp_path: Path, application: Application) -> Iterator[Room]:
    """A machine whose profile has an account, and a server that keeps its application."""
    with Canned(keeper) as server:
        yield with_account(tmp_path / "office", application, server.url)


def with_account(home: Path, application: Application, url: str, **profile: Any) -> Room:
    room = machine(home, application, url)
    settings = {"application_id": REAL_ID, "api_key": "abcd1234"} | profile
    ProfileStore(room.config).add(
        Profile(name="test", base_url=url, **settings), key=application[1], api_secret=SECRET, replace=True
    )
    return room


def kept(room: Room) -> dict[str, Any]:
    """The application as the sandbox has it."""
    assert room.sandbox is not None
    identity = room.sandbox.identity
    found = httpx.get(
        f"{room.url}/v2/applications/{identity.application_id}",
        auth=(identity.api_key, identity.api_secret),
        trust_env=False,
    )
    return dict(found.json())


def addresses(ran: Ran) -> dict[str, str]:
    assert ran.exit_code == 0, ran.stderr
    return {row[0]: row[1] for row in ran.rows}


# Showing


def test_a_change_has_a_connection_of_its_own(
    keeper: Keeper, tmp_path: Path, application: Application
) -> None:
    """So a connection that was closed while idle is never taken for a change that was lost."""
    with Canned(keeper) as server:
        ran = with_account(tmp_path / "office", application, server.url)(f"app urls --answer {ANSWER}")

        assert ran.exit_code == 0, ran.stderr
        assert server.connections == 2, "one for the change, one for all reads"
        closing = [request.method for request in server.requests if "connection" in request.headers]
        assert closing == ["PUT"]


def test_show_prints_the_application_as_the_api_sent_it(voicectl: Room) -> None:
    assert voicectl("app show -o json").json == kept(voicectl)
    assert voicectl("app show -q").stdout == f"{kept(voicectl)['id']}\n"


def test_a_table_shows_the_name_and_the_webhooks(voicectl: Room) -> None:
    voicectl(f"app urls --answer {ANSWER}")

    shown = voicectl("app show", terminal=True).stdout

    lines = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert lines["name"] == "sandbox"
    assert lines["capabilities.voice.webhooks.answer_url.address"] == ANSWER
    assert "capabilities.voice.webhooks.event_url.address" not in lines


def test_a_private_key_is_never_printed(office: Room, keeper: Keeper) -> None:
    keeper.application = WHOLE | {"keys": WHOLE["keys"] | {"private_key": "-----BEGIN PRIVATE KEY-----\nAA"}}

    for line in ("app show -o json", "app show", "app show --fields keys", "app urls --event '' -o json"):
        for extra in ("", "--debug"):
            ran = office(f"{line} {extra}")

            assert ran.exit_code == 0
            assert "PRIVATE" not in ran.stdout + ran.stderr
    office("app urls --event https://x.org/e")
    assert keeper.puts[0]["keys"] == WHOLE["keys"]


def test_urls_without_options_lists_all_four(voicectl: Room) -> None:
    assert addresses(voicectl("app urls")) == dict.fromkeys(
        ("voice.answer_url", "voice.fallback_answer_url", "voice.event_url", "rtc.event_url"), "-"
    )
    assert [request["method"] for request in voicectl.requests()] == ["GET"]
    assert voicectl("app urls -o json").json[0] == {
        "webhook": "voice.answer_url",
        "address": None,
        "signed_callbacks": True,
    }


# Setting


def test_urls_are_set_reported_and_printed(voicectl: Room) -> None:
    ran = voicectl(f"app urls --answer {ANSWER} --event {EVENT}")

    assert addresses(ran) == {
        "voice.answer_url": ANSWER,
        "voice.fallback_answer_url": "-",
        "voice.event_url": EVENT,
        "rtc.event_url": "-",
    }
    assert ran.stderr.splitlines() == [
        f"voice.answer_url: none -> {ANSWER} (GET)",
        f"voice.event_url: none -> {EVENT} (POST)",
    ]
    assert kept(voicectl)["capabilities"]["voice"]["webhooks"] == {
        "answer_url": {"address": ANSWER, "http_method": "GET"},
        "event_url": {"address": EVENT, "http_method": "POST"},
    }


def test_each_webhook_can_be_set_with_its_method_and_removed(voicectl: Room) -> None:
    options = {
        "--answer": ("voice", "answer_url", "POST"),
        "--fallback": ("voice", "fallback_answer_url", "POST"),
        "--event": ("voice", "event_url", "GET"),
        "--rtc-event": ("rtc", "event_url", "get"),
    }
    for option, (capability, name, method) in options.items():
        assert voicectl(f"app urls {option} {EVENT} {option}-method {method}").exit_code == 0
        hook = {"address": EVENT, "http_method": method.upper()}
        assert kept(voicectl)["capabilities"][capability]["webhooks"][name] == hook
    for option, (capability, name, _) in options.items():
        ran = voicectl(["app", "urls", option, ""])
        assert f"{capability}.{name}: {EVENT}" in ran.stderr
        assert ran.stderr.strip().endswith("-> none")
        assert name not in kept(voicectl)["capabilities"][capability]["webhooks"]


def test_signing_is_set_for_voice_and_rtc(voicectl: Room) -> None:
    for option, signed, change in (("--unsigned", False, "yes -> no"), ("--signed", True, "no -> yes")):
        ran = voicectl(f"app urls {option}")

        assert ran.stderr.splitlines() == [f"voice signed: {change}", f"rtc signed: {change}"]
        capabilities = kept(voicectl)["capabilities"]
        assert {each["signed_callbacks"] for each in capabilities.values()} == {signed}


def test_an_unchanged_setting_is_not_sent(voicectl: Room) -> None:
    lines = [
        f"app urls --answer {ANSWER} --answer-method POST --signed",
        f"app urls --answer {ANSWER}",
        "app urls --answer-method POST",
        "app urls --event ''",
        "app urls --signed",
    ]
    voicectl(lines[0])

    for line in lines:
        ran = voicectl(line)

        assert ran.stderr == "The application already has these settings; nothing was sent.\n"
        assert addresses(ran)["voice.answer_url"] == ANSWER
    assert len(voicectl.requests("updateApplication")) == 1


def test_all_other_settings_are_sent_back_as_read(office: Room, keeper: Keeper) -> None:
    ran = office("app urls --answer https://new.example.com/answer")

    assert ran.exit_code == 0, ran.stderr
    sent = {name: value for name, value in changed().items() if name not in ("id", "_links")}
    assert keeper.puts == [sent]


def test_a_missing_capability_is_created(office: Room, keeper: Keeper) -> None:
    keeper.application = {
        "id": REAL_ID,
        "name": "x",
        "keys": {"public_key": "k"},
        "capabilities": {"rtc": None},
    }

    assert office(f"app urls --answer {ANSWER} --rtc-event {EVENT} --unsigned").exit_code == 0

    assert keeper.puts[0]["capabilities"] == {
        "voice": {
            "webhooks": {"answer_url": {"address": ANSWER, "http_method": "GET"}},
            "signed_callbacks": False,
        },
        "rtc": {
            "webhooks": {"event_url": {"address": EVENT, "http_method": "POST"}},
            "signed_callbacks": False,
        },
    }


@pytest.mark.parametrize(
    "line",
    [
        "--answer x.org",
        "--answer ftp://x.org",
        "--event 'https://x.org/a b'",
        "--fallback https://",
        "--rtc-event mailto:a@x.org",
        "--answer-method PUT",
        "--event-method GET",
        "--event '' --event-method GET",
    ],
)
def test_invalid_settings_are_refused_before_anything_is_changed(voicectl: Room, line: str) -> None:
    ran = voicectl(f"app urls {line}")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert voicectl.requests("updateApplication") == []


def test_signing_without_webhooks_is_refused(office: Room, keeper: Keeper) -> None:
    keeper.application = WHOLE | {"capabilities": {"vbc": {}}}

    assert office("app urls --signed").exit_code == 2
    assert keeper.puts == []


@pytest.mark.parametrize("how", BROKEN)
def test_a_change_that_cannot_be_printed_is_reported_elsewhere(voicectl: Room, how: str) -> None:
    ran = tell(voicectl, f"app urls --answer {ANSWER}", how)

    assert ran.exit_code == 1
    application_id = kept(voicectl)["id"]
    assert f"{application_id}: done, but the result could not be written to standard output" in ran.stderr


def test_a_terminal_shows_the_application_that_is_changed(voicectl: Room) -> None:
    whom = f"profile test: application {kept(voicectl)['id']} on {voicectl.url}"

    assert voicectl(f"app urls --answer {ANSWER}", terminal=True).stderr.startswith(whom)
    assert whom not in voicectl("app urls", terminal=True).stderr


# Concurrent changes, and replies that do not arrive


def test_a_concurrent_change_is_kept(office: Room, keeper: Keeper) -> None:
    keeper.meanwhile = {1: WHOLE | {"name": "renamed"}}

    assert office("app urls --answer https://new.example.com/answer").exit_code == 0

    (sent,) = keeper.puts
    assert sent["name"] == "renamed"
    assert sent["capabilities"] == changed()["capabilities"]


def test_an_application_that_changes_all_the_time_is_left_alone(office: Room, keeper: Keeper) -> None:
    keeper.meanwhile = {reads: WHOLE | {"name": str(reads)} for reads in range(1, 100)}

    ran = office("app urls --answer https://new.example.com/answer")

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert "is being changed repeatedly by someone else" in ran.stderr
    assert keeper.puts == []


def test_an_application_whose_public_key_is_missing_is_not_put_back(office: Room, keeper: Keeper) -> None:
    keeper.application = {name: value for name, value in WHOLE.items() if name != "keys"}

    assert office("app urls --answer https://new.example.com/answer").exit_code == 9
    assert keeper.puts == []


def test_a_lost_reply_is_looked_up_and_not_sent_again(voicectl: Room) -> None:
    voicectl("sandbox fault add lost-reply --on updateApplication", env={"VOICECTL_SANDBOX": voicectl.url})

    ran = voicectl(f"app urls --answer {ANSWER}")

    assert addresses(ran)["voice.answer_url"] == ANSWER
    assert f"none -> {ANSWER}" in ran.stderr
    assert len(voicectl.requests("updateApplication")) == 1


@pytest.mark.parametrize("fault", ["lost-request", "status 503"])
def test_a_lost_request_is_sent_again(voicectl: Room, fault: str) -> None:
    control = {"VOICECTL_SANDBOX": voicectl.url}
    voicectl(f"sandbox fault add {fault} --on updateApplication --times 2", env=control)

    assert addresses(voicectl(f"app urls --answer {ANSWER}"))["voice.answer_url"] == ANSWER
    assert len(voicectl.requests("updateApplication")) == 3


def test_three_losses_are_reported_as_no_answer(voicectl: Room) -> None:
    voicectl("sandbox fault add lost-request --on updateApplication", env={"VOICECTL_SANDBOX": voicectl.url})

    ran = voicectl(f"app urls --answer {ANSWER}")

    assert (ran.exit_code, ran.stdout) == (7, "")
    assert len(voicectl.requests("updateApplication")) == 3


def test_a_reply_with_other_webhooks_is_reported(office: Room, keeper: Keeper) -> None:
    keeper.replies = [reply(200, WHOLE)]

    ran = office("app urls --answer https://new.example.com/answer")

    assert ran.exit_code == 0
    assert addresses(ran)["voice.answer_url"] == "https://ops.example.com/answer"
    assert "warning" in ran.stderr


def test_defaults_filled_in_by_the_api_do_not_count_as_other_webhooks(office: Room, keeper: Keeper) -> None:
    whole = changed("https://new.example.com/answer", socket_timeout=5000)
    whole["capabilities"]["voice"]["signed_callbacks"] = True
    keeper.replies = [reply(200, whole)]

    assert "warning" not in office("app urls --answer https://new.example.com/answer").stderr


def test_an_application_with_odd_values_is_shown(office: Room, keeper: Keeper) -> None:
    voice = {
        "webhooks": {"answer_url": {"address": ["x"], "http_method": 7, "webhook": []}, "event_url": None},
        "signed_callbacks": [],
    }
    keeper.application = WHOLE | {"capabilities": {"voice": voice, "rtc": None}}

    assert office("app show").exit_code == 0
    assert office("app urls").rows[0][:3] == ["voice.answer_url", '["x"]', "7"]
    assert office("app urls --answer https://x.org --signed").exit_code == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"{}",
        b"null",
        {"id": 7},
        WHOLE | {"id": "2d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"},
        WHOLE | {"capabilities": []},
        WHOLE | {"capabilities": {"voice": 1}},
        WHOLE | {"capabilities": {"voice": {"webhooks": {"answer_url": "https://x.org"}}}},
        WHOLE | {"keys": "x"},
    ],
)
def test_a_reply_without_an_application_is_not_usable(
    tmp_path: Path, application: Application, answer: Any
) -> None:
    with Canned(reply(200, answer)) as server:
        room = with_account(tmp_path / "home", application, server.url)

        for line in ("app show", f"app urls --event {EVENT}"):
            ran = room(line)

            assert (ran.exit_code, ran.stdout) == (7, "")
        assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize(("status", "code"), [(400, 5), (403, 3), (404, 4), (409, 5), (422, 5), (429, 6)])
def test_a_refusal_is_reported_in_the_api_s_words_and_changes_nothing(
    office: Room, keeper: Keeper, status: int, code: int
) -> None:
    wrong = {"name": "capabilities.voice.webhooks.answer_url.address", "reason": "must be a URL"}
    refusal = reply(status, {"title": "No", "detail": "not so", "invalid_parameters": [wrong]})
    keeper.replies = [refusal] * 9

    ran = office("app urls --answer https://new.example.com/answer")

    assert (ran.exit_code, ran.stdout) == (code, "")
    assert "not so; capabilities.voice.webhooks.answer_url.address: must be a URL" in ran.stderr
    assert "leg" not in ran.stderr.lower()


# Credentials of the account


def test_an_application_of_another_account_is_not_found(voicectl: Room, application: Application) -> None:
    assert voicectl.sandbox is not None
    other = Profile(
        name="other",
        application_id=f"5a4db0c5-{REAL_ID[9:]}",
        base_url=voicectl.url,
        api_key=application[0].api_key,
    )
    ProfileStore(voicectl.config).add(other, key=application[1], api_secret=application[0].api_secret)

    ran = voicectl("-p other app show")

    assert ran.exit_code == 4
    assert f"API key {application[0].api_key}" in ran.stderr
    assert "another account" in ran.stderr


def test_a_wrong_secret_is_explained(voicectl: Room) -> None:
    env = {"VOICECTL_API_KEY": "abcd1234", "VOICECTL_API_SECRET": SECRET}

    ran = voicectl("app show", env=env)

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "Invalid credentials supplied" in ran.stderr
    assert (
        "Check that the secret belongs to this API key. API key abcd1234, from VOICECTL_API_KEY."
        in ran.stderr
    )
    assert voicectl("app show -o json", env=env).error["http_status"] == 401


@pytest.fixture
def desk_without_account(tmp_path: Path, application: Application) -> Iterator[tuple[Room, Canned]]:
    with Canned(Keeper()) as server:
        yield machine(tmp_path / "home", application, server.url, application_id=REAL_ID), server


def test_without_a_key_and_secret_no_request_is_sent(desk_without_account: tuple[Room, Canned]) -> None:
    room, server = desk_without_account

    for line in ("app show", "app urls", f"app urls --event {EVENT}"):
        ran = room(line)

        assert (ran.exit_code, ran.stdout) == (3, "")
        assert "--api-secret-file" in ran.stderr
        assert "VOICECTL_API_SECRET" in ran.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({"VOICECTL_API_KEY": "k"}, "VOICECTL_API_SECRET"),
        ({"VOICECTL_API_SECRET": SECRET}, "VOICECTL_API_KEY"),
        ({"VONAGE_API_KEY": "k"}, "VONAGE_API_SECRET"),
        ({"VONAGE_API_SECRET": SECRET}, "VONAGE_API_KEY"),
        (
            {"VOICECTL_API_KEY": "k", "VONAGE_API_KEY": "k", "VONAGE_API_SECRET": SECRET},
            "VOICECTL_API_SECRET",
        ),
        ({"VONAGE_API_KEY": "a:b", "VONAGE_API_SECRET": SECRET}, "VONAGE_API_KEY"),
        ({"VONAGE_API_KEY": "a\nb", "VONAGE_API_SECRET": SECRET}, "VONAGE_API_KEY"),
        ({"VONAGE_API_KEY": "k", "VONAGE_API_SECRET": f"{SECRET}\u20ac"}, "VONAGE_API_KEY"),
    ],
)
def test_an_incomplete_pair_is_reported_and_does_not_stop_other_commands(
    desk_without_account: tuple[Room, Canned], env: dict[str, str], missing: str
) -> None:
    room, server = desk_without_account

    ran = room("app show", env=env)

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert missing in ran.stderr
    assert SECRET not in ran.stderr
    assert room("jwt create", env=env).exit_code == 0
    assert server.requests == []


PAIRS = {
    "profile": ("abcd1234", SECRET),
    "VOICECTL": ("ours", "ours-secret"),
    "VONAGE": ("theirs", "theirs-secret"),
}


@pytest.mark.parametrize(
    ("option", "families", "whose"),
    [
        ("", "", "profile"),
        ("", "VONAGE", "VONAGE"),
        ("", "VOICECTL VONAGE", "VOICECTL"),
        ("-p test", "VOICECTL VONAGE", "profile"),
        ("-p bare", "VOICECTL VONAGE", "VOICECTL"),
        ("-p bare", "VONAGE", "VONAGE"),
    ],
)
def test_the_pair_comes_from_the_chosen_profile_the_environment_or_the_default_profile(
    tmp_path: Path, application: Application, option: str, families: str, whose: str
) -> None:
    with Canned(Keeper()) as server:
        room = with_account(tmp_path / "home", application, server.url)
        bare = Profile(name="bare", application_id=REAL_ID, base_url=server.url)
        ProfileStore(room.config).add(bare, key=application[1])
        env = {}
        for family in families.split():
            key, secret = PAIRS[family]
            env |= {f"{family}_API_KEY": key, f"{family}_API_SECRET": f" {secret}\n"}

        ran = room(f"app show {option} --debug", env=env)

        assert ran.exit_code == 0, ran.stderr
        expected = "Basic " + base64.b64encode(":".join(PAIRS[whose]).encode()).decode()
        assert [request.headers["authorization"] for request in server.requests] == [expected]
        assert PAIRS[whose][1] not in ran.stderr
        assert expected.removeprefix("Basic ") not in ran.stderr
        name = "profile" if whose == "profile" else f"{whose}_API_KEY"
        assert f"api_key: from {name}" in ran.stderr
        assert room(f"profile show {option} -o json", env=env).json["sources"]["api_key"].startswith(name)


def test_a_profile_without_a_secret_uses_no_other_secret(office: Room) -> None:
    (office.config / "keys" / "test.api-secret").unlink()

    ran = office("-p test app show", env={"VONAGE_API_KEY": "abcd1234", "VONAGE_API_SECRET": SECRET})

    assert ran.exit_code == 3
    assert "No secret is stored for the API key of profile test" in ran.stderr


def test_a_secret_that_others_can_read_is_refused(office: Room) -> None:
    path = office.config / "keys" / "test.api-secret"
    path.chmod(0o644)

    ran = office("app show")

    assert ran.exit_code == 3
    assert f"chmod 600 {path}" in ran.stderr


def test_a_rehearsal_uses_the_account_of_its_sandbox(voicectl: Room, application: Application) -> None:
    env = {
        "VOICECTL_SANDBOX": voicectl.url,
        "VOICECTL_API_KEY": "real",
        "VOICECTL_API_SECRET": SECRET,
        "VONAGE_API_KEY": "real",
        "VONAGE_API_SECRET": SECRET,
    }
    real = Profile(name="real", application_id=REAL_ID, api_key="real")
    ProfileStore(voicectl.config).add(real, key=application[1], api_secret=SECRET)

    ran = voicectl(f"-p real app urls --answer {ANSWER}", env=env)

    assert ran.exit_code == 0, ran.stderr
    assert kept(voicectl)["capabilities"]["voice"]["webhooks"]["answer_url"]["address"] == ANSWER


# Profiles of the platform


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def abroad(tmp_path: Path, application: Application, authority: Authority) -> Room:
    """A machine whose profile is of a region of the platform."""
    url = "https://api-eu-3.vonage.com"
    return with_account(tmp_path / "abroad", application, url, ca_file=str(authority.ca_file))


def test_the_secret_goes_to_the_global_host_whatever_the_region(
    abroad: Room, keeper: Keeper, authority: Authority
) -> None:
    with (
        Canned(keeper, tls=authority.context("api.nexmo.com")) as platform,
        ConnectProxy(platform.port) as proxy,
    ):
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        ran = abroad(f"app urls --answer {ANSWER} --event http://ops.example.com/e", env=env, terminal=True)

    assert ran.exit_code == 0, ran.stderr
    assert {head.split()[1] for head in proxy.heads} == {"api.nexmo.com:443"}
    assert b"Basic" not in proxy.overheard
    assert ran.stderr.splitlines()[:3] == [
        f"profile test: application {REAL_ID} on https://api.nexmo.com",
        f"warning: {ANSWER} is on this machine: the platform cannot reach it",
        "warning: http://ops.example.com/e is not https: requests to it can be read and changed in transit",
    ]


def test_a_sandbox_warns_only_of_a_url_that_it_may_not_reach(voicectl: Room) -> None:
    near = voicectl(f"app urls --answer {ANSWER} --event {EVENT}")
    far = voicectl("app urls --event https://ops.example.com/e")

    assert "warning" not in near.stderr
    assert far.exit_code == 0
    assert far.stderr.startswith("warning: https://ops.example.com/e is not on this machine")
    assert "--allow-host ops.example.com" in far.stderr


# A dry run


def test_a_dry_run_changes_nothing_and_prints_curl_without_the_secret(office: Room, keeper: Keeper) -> None:
    ran = office("app urls --answer https://new.example.com/answer --dry-run")

    assert (ran.exit_code, keeper.puts) == (0, [])
    path = office.config / "keys" / "test.api-secret"
    words = shlex.split(ran.stdout)
    assert words[:4] == ["printf", "user = %s:%s\\n", "abcd1234", f"$(cat {path})"]
    assert words[4:10] == ["|", "curl", "-K", "-", "-X", "PUT"]
    assert words[10].endswith(f"/v2/applications/{REAL_ID}")
    assert words[11:14] == ["-H", "Content-Type: application/json", "-d"]
    assert json.loads(words[14])["capabilities"] == changed()["capabilities"]
    assert SECRET not in ran.stdout + ran.stderr
    env = {"VONAGE_API_KEY": "k", "VONAGE_API_SECRET": SECRET}
    dry = office("app urls --event https://x.org/e --dry-run", env=env).stdout
    assert dry.startswith("printf 'user = %s:%s\\n' k \"$VONAGE_API_SECRET\" | curl -K - -X PUT ")
    (request,) = office("app urls --answer https://new.example.com/answer --dry-run -o json").json
    assert (request["method"], request["curl"]) == ("PUT", ran.stdout.rstrip("\n"))
    assert request["body"]["capabilities"] == changed()["capabilities"]


def test_a_dry_run_of_an_unchanged_setting_prints_no_request(office: Room) -> None:
    for form, stdout in (("", ""), ("-o json", "[]\n")):
        ran = office(f"app urls --answer https://ops.example.com/answer --dry-run {form}")

        assert (ran.exit_code, ran.stdout) == (0, stdout)
        assert "already has these settings" in ran.stderr


def test_the_printed_commands_of_a_dry_run_work(tmp_path: Path, application: Application) -> None:
    identity, key = application
    environment = {"VONAGE_API_KEY": identity.api_key, "VONAGE_API_SECRET": identity.api_secret}
    with desk(tmp_path / "it's home", application) as room:
        mine = Profile(
            name="mine",
            application_id=identity.application_id,
            base_url=room.url,
            api_key=identity.api_key,
        )
        ProfileStore(room.config).add(mine, key=key, api_secret=identity.api_secret)
        for option, env in (("-p mine", {}), ("-p test", environment)):
            odd = f"https://x.org/it's{option[-4:]}?a=$(touch%20planted)&b=`touch`;"
            dry = f"voicectl {option} app urls --dry-run --answer {shlex.quote(odd)}"

            ran = shell(room, f'set -euo pipefail; eval "$({dry}) -fsS"', **env)

            assert ran.exit_code == 0, ran.stderr
            assert kept(room)["capabilities"]["voice"]["webhooks"]["answer_url"]["address"] == odd


# Whole processes


def test_it_works_inside_sandbox_exec(bare: Room) -> None:
    script = f"voicectl app urls --answer {ANSWER} -q && voicectl -p prod app show -o json"
    with_path = {"PATH": f"{Path(sys.executable).parent}:{bare.environ['PATH']}"}

    ran = bare.process(["sandbox", "exec", "--", "bash", "-c", script], env=with_path)

    assert ran.exit_code == 0, ran.stderr
    shown = json.loads(ran.stdout[ran.stdout.index("{") :])
    assert shown["capabilities"]["voice"]["webhooks"]["answer_url"]["address"] == ANSWER


def test_it_works_against_a_detached_sandbox(bare: Room) -> None:
    started = bare.process("sandbox start --detach --port 0 -q")
    assert started.exit_code == 0, started.stderr
    try:
        ran = bare(f"-p sandbox app urls --answer {ANSWER} --event {EVENT}")

        assert addresses(ran)["voice.answer_url"] == ANSWER
        assert bare("sandbox reset").exit_code == 0
        assert addresses(bare("-p sandbox app urls"))["voice.event_url"] == EVENT
        log = httpx.get(f"{started.stdout.strip()}/sandbox/log", trust_env=False).text
        assert "getApplication" in log
        assert (bare.config / "keys" / "sandbox.api-secret").read_text() not in log
    finally:
        bare.process("sandbox stop")
