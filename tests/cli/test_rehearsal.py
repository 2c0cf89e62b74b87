"""No command confuses the sandbox and the platform."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.desk import desk, shell
from tests.support.key_files import pkcs8
from tests.support.machines import machine
from tests.support.room import PERSON, Room
from tests.support.servers import Canned, Drip, reply
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.core.sandbox_control import ACT_SECONDS, SandboxControl
from voicectl.errors import TransportError
from voicectl.sandbox.account.identity import Identity

Application = tuple[Identity, RSAPrivateKey]

LIVE_APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"

POINTERS = {
    "-p prod": ("-p prod", {}),
    "VOICECTL_PROFILE": ("", {"VOICECTL_PROFILE": "prod"}),
    "VOICECTL_*": ("", {"VOICECTL_APPLICATION_ID": LIVE_APP, "VOICECTL_PRIVATE_KEY": "{key}"}),
    "VONAGE_*": ("", {"VONAGE_APPLICATION_ID": LIVE_APP, "VONAGE_PRIVATE_KEY": "{key}"}),
    "VOICECTL_BASE_URL": ("", {"VOICECTL_BASE_URL": "{live}"}),
    "VOICECTL_REGION": ("", {"VOICECTL_REGION": "eu-west"}),
    "--ca-file": ("--ca-file /nowhere", {}),
    "VOICECTL_FROM": ("", {"VOICECTL_FROM": "447700900999"}),
    "HTTPS_PROXY": ("", {"HTTPS_PROXY": "{live}", "HTTP_PROXY": "{live}", "http_proxy": "{live}"}),
}
"""Options and settings that would lead a command to the platform."""


@pytest.fixture
def live() -> Iterator[Canned]:
    """A server in place of the platform, which accepts any request and records it."""
    with Canned(reply(201, {"uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356"})) as server:
        yield server


@pytest.fixture
def stage(room: Room, live: Canned, application: Application) -> Room:
    """A machine whose profiles are all live, and a separate sandbox."""
    store = ProfileStore(room.config)
    profile = Profile(name="prod", application_id=LIVE_APP, base_url=live.url, from_="447700900888")
    store.add(profile, key=application[1])
    store.add(replace(profile, name="test"), key=application[1], replace=True)
    store.use("prod")
    identity, key = application
    own = Profile(
        name="sandbox",
        application_id=identity.application_id,
        base_url=room.url,
        from_=identity.number,
        api_key=identity.api_key,
    )
    store.add(own, key=key, api_secret=identity.api_secret, signature_secret=identity.signature_secret)
    return room


@pytest.mark.parametrize("pointers", [*itertools.combinations(POINTERS, 1), tuple(POINTERS)], ids="+".join)
def test_a_rehearsal_reaches_the_sandbox_whatever_the_other_settings(
    stage: Room, live: Canned, application: Application, pointers: tuple[str, ...]
) -> None:
    options, env = "", {"VOICECTL_SANDBOX": stage.url}
    for pointer in pointers:
        option, variables = POINTERS[pointer]
        options += f" {option}"
        filled = {name: value.replace("{live}", live.url) for name, value in variables.items()}
        env |= {
            name: value.replace("{key}", pkcs8(application[1]).decode()) for name, value in filled.items()
        }

    for line in (
        f"call create --to {PERSON} --talk Hi --wait answered",
        "call list",
        "hangup @last",
        "doctor",
    ):
        ran = stage(f"{line} {options}", env=env, terminal=True)

        assert ran.exit_code == 0, ran
        assert f"this acts on the sandbox at {stage.url}" in ran.stderr

    assert live.connections == 0
    (create,) = stage.requests("createCall")
    assert create["body"]["from"] == {"type": "phone", "number": application[0].number}
    shown = stage(f"profile show -o json {options}", env=env).json
    assert shown["application_id"] == application[0].application_id
    assert shown["base_url"] == stage.url
    assert set(shown["sources"].values()) == {"VOICECTL_SANDBOX"}


def test_without_a_rehearsal_the_same_commands_reach_the_platform(stage: Room, live: Canned) -> None:
    assert stage(f"call create --to {PERSON} --talk Hi").exit_code == 0

    assert live.connections == 1
    assert stage.requests() == []


FILE = "5d4c3b2a-1908-4f7e-8d6c-5b4a39281706"


@pytest.mark.parametrize("host", ["api.nexmo.com", "api-eu-3.vonage.com", "api-us-1.nexmo.com"])
def test_a_rehearsal_asks_the_sandbox_for_files_on_the_platform(stage: Room, live: Canned, host: str) -> None:
    env = {"VOICECTL_SANDBOX": stage.url, "HTTPS_PROXY": live.url, "https_proxy": live.url}

    ran = stage(f"recording download https://{host}/v1/files/{FILE} --dir {stage.home / 'files'}", env=env)

    assert ran.exit_code == 4, ran.stderr
    assert live.connections == 0
    (request,) = [each for each in stage.requests() if FILE in each["path"]]
    assert request["region"] == ("eu-west" if host == "api-eu-3.vonage.com" else None)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.nexmo.com",
        "https://api.nexmo.com:8443",
        "https://api.nexmo.com.",
        "https://api.nexmo.com.example.org",
        "https://x.api.nexmo.com",
        "https://user@api.nexmo.com",
        "https://api.nexmo.com@example.org",
        "https://rest.nexmo.com.example.org",
        "https://api-us-5.vonage.com",
        "https://example.org",
        "http://127.0.0.1:1",
    ],
)
def test_a_rehearsal_asks_no_other_host_for_files(stage: Room, live: Canned, url: str) -> None:
    env = {"VOICECTL_SANDBOX": stage.url, "HTTPS_PROXY": live.url, "https_proxy": live.url}

    ran = stage(f"recording download {url}/v1/files/{FILE} --dir {stage.home / 'files'}", env=env)

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert live.connections == 0
    assert [each for each in stage.requests() if FILE in each["path"]] == []


def test_the_dry_run_of_a_rehearsal_names_the_sandbox(stage: Room) -> None:
    ran = stage(f"call create --to {PERSON} --talk Hi --dry-run -p prod", env={"VOICECTL_SANDBOX": stage.url})

    assert stage.url in ran.stdout
    assert "-p prod" not in ran.stdout  # the token it asks for is the sandbox's


@pytest.mark.parametrize(
    "url",
    [
        "https://api.nexmo.com",
        "http://api.nexmo.com",
        "http://example.org:4010",
        "http://10.0.0.1",
        "http://0.0.0.0:{port}",
        "http://127.0.0.1.evil.org:{port}",
        "http://localhost.evil.org:{port}",
        "http://user@127.0.0.1:{port}",
        "http://127.0.0.1:{port}@evil.org",
        "http://127.0.0.1:{port}/v1",
        "http://evil.org#127.0.0.1:{port}",
        "http://[::ffff:10.0.0.1]",
        "ftp://127.0.0.1:{port}",
        "127.0.0.1:{port}",
        "nonsense",
        "http://[",
        " ",
    ],
)
def test_a_rehearsal_off_this_machine_is_refused(stage: Room, live: Canned, url: str) -> None:
    env = {"VOICECTL_SANDBOX": url.replace("{port}", str(live.port))}

    for line in ("call list", f"call create --to {PERSON} --talk Hi -p prod", "sandbox status"):
        ran = stage(line, env=env)

        assert (ran.exit_code, ran.stdout) == (3, "")
    assert live.connections == 0


@pytest.mark.parametrize(
    "line",
    [
        "stop",
        "reset",
        "ring --to 442079460000",
        "answer {leg}",
        "press {leg} 1",
        "say {leg} Hi",
        "hangup {leg}",
        "fault add region",
        "fault clear",
        "advance 1s",
    ],
)
def test_nothing_is_done_in_a_sandbox_of_another_user(
    room: Room, application: Application, line: str
) -> None:
    leg = room.call()
    own = "5a4db0c5-0000-4000-8000-000000000000"
    store = ProfileStore(room.config)
    profile = Profile(name="sandbox", application_id=own, base_url=room.url)
    store.add(profile, key=application[1], signature_secret="mine")
    before = room.sandbox and [*room.sandbox.log.since(0)]

    ran = room(f"sandbox {line.format(leg=leg)}")

    assert (ran.exit_code, ran.stdout) == (9, "")
    for named in (own, application[0].application_id, room.url):
        assert named in ran.stderr
    assert room.sandbox is not None
    assert [*room.sandbox.log.since(0)] == before
    assert room("sandbox status").exit_code == 0


def test_a_slow_sandbox_is_not_taken_for_a_missing_one() -> None:
    with Canned(lambda _request: Drip(b"HTTP/1.1 200 OK\r\n\r\n", pause=1.0)) as slow:
        control = SandboxControl(slow.url, source="the test")
        with pytest.raises(TransportError) as raised:
            control.post("/sandbox/ring", {}, timeout=0.2)

    assert "timed out" in raised.value.message
    assert raised.value.hint is not None
    assert "start" not in raised.value.hint
    assert ACT_SECONDS >= 60


def test_a_rehearsal_without_its_sandbox_fails_and_contacts_no_other_host(stage: Room, live: Canned) -> None:
    for line in ("call list", f"call create --to {PERSON} --talk Hi", "jwt create -p prod", "profile show"):
        ran = stage(line, env={"VOICECTL_SANDBOX": "http://127.0.0.1:1"})

        assert (ran.exit_code, ran.stdout) == (7, "")
        assert "No sandbox responds at http://127.0.0.1:1" in ran.stderr
    assert live.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"url": "http://127.0.0.1:1"},
        {"application_id": LIVE_APP, "regions": []},
        {"application_id": 1},
    ],
)
def test_another_kind_of_server_is_refused(stage: Room, answer: object) -> None:
    with Canned(reply(200, answer)) as impostor:
        ran = stage("call list", env={"VOICECTL_SANDBOX": impostor.url})

        assert (ran.exit_code, ran.stdout) == (7, "")
        assert "not a voicectl sandbox" in ran.stderr
        assert [request.path for request in impostor.requests] == ["/sandbox/identity"]
        assert not any("authorization" in request.headers for request in impostor.requests)


@pytest.mark.parametrize("application_id", [LIVE_APP, "x", "5a4db0c6-0000-4000-8000-000000000000"])
def test_a_sandbox_with_a_foreign_application_is_refused(stage: Room, application_id: str) -> None:
    answer = {"application_id": application_id, "private_key": "/nowhere", "from": "442079460000"}
    with Canned(reply(200, answer)) as impostor:
        ran = stage("call list", env={"VOICECTL_SANDBOX": impostor.url})

        assert ran.exit_code != 0
        assert [request.path for request in impostor.requests] == ["/sandbox/identity"]
        assert not any("authorization" in request.headers for request in impostor.requests)


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"VOICECTL_REGION": "eu-west"},
        {"VOICECTL_BASE_URL": "https://api.nexmo.com"},
    ],
)
@pytest.mark.parametrize("family", ["VOICECTL", "VONAGE"])
def test_a_sandbox_application_is_refused_off_this_machine(
    bare: Room, application: Application, family: str, env: dict[str, str]
) -> None:
    identity, key = application
    pair = {f"{family}_APPLICATION_ID": identity.application_id, f"{family}_PRIVATE_KEY": pkcs8(key).decode()}

    for line in (
        "call list",
        f"call create --to {PERSON} --talk Hi --from 442079460000",
        "jwt create",
        "doctor",
    ):
        ran = bare(line, env=pair | env)

        assert (ran.exit_code, ran.stdout) == (9, "")
        assert "belongs to a sandbox" in ran.stderr


def test_a_profile_of_a_sandbox_application_is_refused_off_this_machine_too(
    tmp_path: Path, application: Application
) -> None:
    home = machine(tmp_path, application, "https://api.nexmo.com")

    assert home("call list").exit_code == 9
    assert home("call list", env={"VOICECTL_REGION": "eu-west"}).exit_code == 9


def test_a_live_profile_inside_exec_reaches_only_the_sandbox(
    tmp_path: Path, live: Canned, application: Application
) -> None:
    script = (
        "set -euo pipefail; "
        f"LEG=$(voicectl -p prod call create --to {PERSON} --talk Hello -q); "
        "voicectl -p prod hangup $LEG -q; "
        "VOICECTL_PROFILE=prod voicectl call list --all -q"
    )
    with desk(tmp_path / "home", application) as room:
        profile = Profile(name="prod", application_id=LIVE_APP, base_url=live.url, from_="447700900888")
        ProfileStore(room.config).add(profile, key=application[1])

        ran = shell(room, f"voicectl sandbox exec -- bash -c '{script}'")

    assert ran.exit_code == 0, ran.stderr
    hung_up, listed = ran.stdout.splitlines()
    assert hung_up == listed
    assert live.connections == 0
    assert room.requests() == []  # nor the other sandbox


def test_a_sandbox_without_credentials_on_this_machine_is_refused(bare: Room, room: Room) -> None:
    env = {"VOICECTL_SANDBOX": room.url, "VOICECTL_CONFIG_DIR": str(room.home / "none")}

    for line in ("call list", "jwt create", "sandbox reset"):
        ran = bare(line, env=env)

        assert (ran.exit_code, ran.stdout) == (3, "")
        assert f"no credentials for a sandbox at {room.url}" in ran.stderr


@pytest.mark.parametrize(
    "line",
    [
        "profile remove prod --yes",
        "profile use test",
        f"profile add prod --replace --application-id {LIVE_APP} --private-key -",
        f"profile add new --application-id {LIVE_APP} --private-key -",
    ],
)
def test_a_rehearsal_does_not_change_the_configuration(
    stage: Room, application: Application, line: str
) -> None:
    def files() -> dict[Path, bytes]:
        return {each: each.read_bytes() for each in stage.config.rglob("*") if each.is_file()}

    before = files()
    key = pkcs8(application[1])

    by_hand = stage(line, env={"VOICECTL_SANDBOX": stage.url}, stdin=key.decode())
    executed = stage.process(
        ["sandbox", "exec", "--", sys.executable, "-m", "voicectl", *shlex.split(line)], stdin=key
    )

    for ran in (by_hand, executed):
        assert (ran.exit_code, ran.stdout) == (9, "")
        assert "a rehearsal changes nothing real" in ran.stderr
    assert files() == before


def test_a_started_sandbox_can_be_chosen_by_its_address(bare: Room) -> None:
    url = bare.process("sandbox start --detach --port 0 -q").stdout.strip()
    try:
        for env in ({"VOICECTL_SANDBOX": url}, {"VOICECTL_SANDBOX": url.replace("127.0.0.1", "localhost")}):
            ran = bare.process(f"call create --to {PERSON} --talk Hi -q", env=env)

            assert ran.exit_code == 0, ran.stderr
    finally:
        bare.process("sandbox stop")
