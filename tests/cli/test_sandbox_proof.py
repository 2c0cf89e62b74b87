"""Another program on the port of a sandbox gets nothing of value, whatever it replies."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, Request, reply
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.sandbox.account.identity import Identity
from voicectl.sandbox_proof import proof

Application = tuple[Identity, RSAPrivateKey]

LIVE_APP = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"

SENDING = (
    f"call create --to {PERSON} --talk Hi",
    f"call create --to {PERSON} --talk Hi --no-journal",
    "call list",
    f"call show {LEG}",
    f"hangup {LEG}",
    f"talk {LEG} Hi",
    f"dtmf {LEG} 1",
    "app show",
    "app urls --answer http://127.0.0.1:1/answer",
    "conversation list",
    "sandbox ring --to 442079460000",
    f"sandbox answer {LEG}",
    f"sandbox say {LEG} Hi",
    f"sandbox press {LEG} 1",
    f"sandbox hangup {LEG}",
    "sandbox reset",
    "sandbox advance 1s",
    "sandbox fault add region",
    "sandbox fault clear",
)

LOCAL = (
    "jwt create",
    "profile show",
    f"call create --to {PERSON} --talk Hi --dry-run",
    "doctor",
)
"""Commands that need no server outside a rehearsal, or that report what is wrong with it."""

CHOICES = ("VOICECTL_SANDBOX", "-p sandbox")


LIES = ("production's", "the sandbox's", "the sandbox's, with a real key")


@pytest.fixture
def stage(room: Room, application: Application) -> Room:
    """A machine with a running sandbox of its own, and a production profile."""
    identity, key = application
    store = ProfileStore(room.config)
    live = Profile(
        name="prod", application_id=LIVE_APP, base_url="https://api.nexmo.com", from_="447700900888"
    )
    store.add(live, key=key)
    store.add(
        replace(store.get("test"), name="sandbox"),
        key=key,
        api_secret=identity.api_secret,
        signature_secret=identity.signature_secret,
    )
    return room


def run(stage: Room, choice: str, url: str, line: str) -> Ran:
    """Run *line* on the sandbox, whose port another program has taken over at *url*."""
    store = ProfileStore(stage.config)
    store.add(replace(store.get("sandbox"), base_url=url), key=None, replace=True)
    if choice == "VOICECTL_SANDBOX":
        return stage(line, env={"VOICECTL_SANDBOX": url})
    return stage(line if line.startswith("sandbox ") else f"-p sandbox {line}")


def got_nothing(impostor: Canned) -> bool:
    """Return True if the server was sent nothing but requests for its identity."""
    return all(
        (each.method, each.path, each.body) == ("GET", "/sandbox/identity", b"")
        and "authorization" not in each.headers
        for each in impostor.requests
    )


def identity_of(whose: str, stage: Room, identity: Identity) -> dict[str, object]:
    """Return what an impostor says of itself."""
    production_key = str(ProfileStore(stage.config).key_path("prod"))
    said = {"from": "447700900888", "private_key": production_key, "proof": "0" * 64, "regions": {}}
    if whose == "production's":
        return said | {"application_id": LIVE_APP, "api_key": "abcd1234"}
    if whose == "the sandbox's":
        said["private_key"] = str(ProfileStore(stage.config).key_path("sandbox"))
    return said | {"application_id": identity.application_id, "api_key": identity.api_key}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("whose", LIES)
def test_an_impostor_gets_no_signature_secret_number_or_text(
    stage: Room, application: Application, whose: str, choice: str
) -> None:
    said = identity_of(whose, stage, application[0])

    def lie(_request: Request) -> bytes:
        return reply(200, said | {"url": impostor.url})

    with Canned(lie) as impostor:
        for line in SENDING:
            ran = run(stage, choice, impostor.url, line)

            assert (ran.exit_code, ran.stdout) == (9, ""), (line, ran)
            assert "does not prove that it is your sandbox" in ran.stderr
            assert "447700900888" not in ran.stderr
    assert impostor.requests
    assert got_nothing(impostor)


def test_a_rehearsal_with_an_impostor_does_nothing_at_all(stage: Room, application: Application) -> None:
    said = identity_of("the sandbox's", stage, application[0])
    with Canned(reply(200, said)) as impostor:
        for line in LOCAL:
            ran = run(stage, "VOICECTL_SANDBOX", impostor.url, line)

            assert (ran.exit_code, ran.stdout) == (9, ""), (line, ran)
    assert got_nothing(impostor)


@pytest.mark.parametrize(
    "answer",
    [
        reply(404, b"<h1>Not Found</h1>"),
        reply(404, []),
        reply(404, {"candidates": 5}),
        reply(404, {"candidates": [5]}),
        reply(200, b"[" * 100_000),
        reply(200, {"application_id": LIVE_APP, "proof": ["a"], "url": 5}),
        reply(200, b'{"application_id": "x", "proof": "\\ud800"}'),
    ],
)
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("line", ["call list", f"sandbox say {LEG} Hi"])
def test_a_server_that_is_no_sandbox_at_all_gets_nothing_either(
    stage: Room, choice: str, line: str, answer: bytes
) -> None:
    with Canned(answer) as server:
        ran = run(stage, choice, server.url, line)

    assert ran.exit_code in (7, 9), ran.stderr
    assert "is not a voicectl sandbox" in ran.stderr or "does not prove" in ran.stderr
    assert got_nothing(server)


READING = ("sandbox status", f"sandbox hear {LEG}", "sandbox log", "sandbox fault list")


@pytest.mark.parametrize("answer", [reply(200, {}), reply(200, []), reply(404, {}), reply(200, b"<html>")])
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("line", READING)
def test_nothing_is_shown_of_a_server_that_is_no_sandbox(
    stage: Room, choice: str, line: str, answer: bytes
) -> None:
    with Canned(answer) as server:
        ran = run(stage, choice, server.url, line)

    assert (ran.exit_code, ran.stdout) == (7, ""), ran.stderr
    assert "is not a voicectl sandbox" in ran.stderr


@pytest.mark.parametrize("answer", [5, "x", None, [5], [[]]])
@pytest.mark.parametrize("line", READING)
def test_what_a_sandbox_would_not_say_is_not_shown(stage: Room, line: str, answer: object) -> None:
    def odd(request: Request) -> bytes:
        is_identity = request.path == "/sandbox/identity"
        return reply(200, {"application_id": LIVE_APP} if is_identity else answer)

    with Canned(odd) as server:
        ran = run(stage, "VOICECTL_SANDBOX", server.url, line)

    assert (ran.exit_code, ran.stdout) == (7, ""), ran.stderr
    assert "is not a voicectl sandbox" in ran.stderr


def test_doctor_reports_an_impostor_and_sends_it_no_token(stage: Room, application: Application) -> None:
    said = identity_of("the sandbox's", stage, application[0])
    with Canned(reply(200, said)) as impostor:
        ran = run(stage, "-p sandbox", impostor.url, "doctor")

        assert ran.exit_code == 7
        assert "does not prove that it is your sandbox" in ran.stdout
    assert not any("authorization" in each.headers for each in impostor.requests)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("line", ["call list", f"sandbox say {LEG} Hi"])
@pytest.mark.parametrize("alters", [False, True], ids=["as it is", "with its own address"])
def test_a_proof_that_another_address_passes_on_is_refused(
    stage: Room, choice: str, line: str, alters: bool
) -> None:
    def relayed(request: Request) -> bytes:
        found = httpx.get(stage.url + request.target, trust_env=False).json()
        return reply(200, found | ({"url": relay.url} if alters else {}))

    with Canned(relayed) as relay:
        ran = run(stage, choice, relay.url, line)

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert relay.requests
    assert got_nothing(relay)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("line", ["call list", f"sandbox say {LEG} Hi"])
def test_a_proof_that_the_sandbox_gave_earlier_is_refused(
    stage: Room, application: Application, choice: str, line: str
) -> None:
    def repeated(_request: Request) -> bytes:
        said = {"url": thief.url, "application_id": application[0].application_id, "regions": {}}
        return reply(200, said | {"proof": proof(application[0].signature_secret, "00", said)})

    with Canned(repeated) as thief:
        ran = run(stage, choice, thief.url, line)

    assert (ran.exit_code, ran.stdout) == (9, "")
    assert got_nothing(thief)


def test_a_server_that_is_not_one_of_the_sandboxs_regions_gets_nothing(stage: Room) -> None:
    assert stage.sandbox is not None
    store = ProfileStore(stage.config)
    with Canned(reply(200, {"uuid": LEG, "status": "answered"})) as impostor:
        regions = dict.fromkeys(stage.sandbox.region_urls, impostor.url)
        store.add(replace(store.get("sandbox"), regions=regions), key=None, replace=True)

        assert stage(f"-p sandbox mute {LEG}").exit_code == 7  # it cannot be asked
    assert impostor.requests == []


def test_the_address_in_the_profile_is_used_for_every_name_of_this_machine(stage: Room) -> None:
    port = stage.url.rpartition(":")[2]
    for host in ("localhost", "127.0.0.2", "[::1]"):
        ran = stage("call list", env={"VOICECTL_SANDBOX": f"http://{host}:{port}"})

        assert ran.exit_code == 0, ran.stderr


@pytest.mark.parametrize("choice", CHOICES)
def test_a_sandbox_of_an_earlier_version_can_be_stopped(
    stage: Room, application: Application, choice: str
) -> None:
    said = {
        "application_id": application[0].application_id,
        "private_key": "/nowhere",
        "from": "442079460000",
    }
    with Canned(reply(200, said)) as old:
        refused = run(stage, choice, old.url, "sandbox reset")
        stopped = run(stage, choice, old.url, "sandbox stop")

    assert refused.exit_code == 9
    assert "voicectl sandbox stop" in refused.stderr
    assert stopped.exit_code == 0
    assert (old.requests[-1].path, old.requests[-1].json) == ("/sandbox/stop", {})


@pytest.mark.parametrize("choice", CHOICES)
def test_what_serves_another_application_is_not_stopped(stage: Room, choice: str) -> None:
    with Canned(reply(200, {"application_id": LIVE_APP})) as other:
        assert run(stage, choice, other.url, "sandbox stop").exit_code == 9
    assert got_nothing(other)
