"""The platform's official Node SDK, unmodified, uses the sandbox for calls, users, conversations and numbers.

Runs where ``node`` and ``npm`` are and the registry can be asked for the SDK.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.conftest import StartRoom
from tests.support.interception import intercepting
from tests.support.node_packages import SDK, installed
from tests.support.room import PERSON, Room
from tests.support.servers import Canned, reply
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.core.identity import keys
from voicectl.sandbox.account.identity import Identity
from voicectl.sandbox.account.numbers import SPARE

NUMBER = "442079460000"

PROLOGUE = """
const { Auth } = require("@vonage/auth");
const sdk = require("@vonage/voice");
const { Conversations } = require("@vonage/conversations");
const { Numbers } = require("@vonage/numbers");
const { Users } = require("@vonage/users");
const [url, applicationId, privateKey, apiKey, apiSecret] = process.argv.slice(1);
const auth = new Auth({ applicationId, privateKey, apiKey, apiSecret });
const voice = new sdk.Voice(auth);
const from = { type: "phone", number: "%(number)s" };
const person = { type: "phone", number: "%(person)s" };
async function advance(seconds) {
  const body = JSON.stringify({ seconds });
  await fetch(`${url}/sandbox/advance`, { method: "POST", headers: { "content-type": "application/json" }, body });
}
async function answered(...ncco) {
  const { uuid } = await voice.createOutboundCall({ to: [person], from, ncco });
  await advance(3);
  return uuid;
}
"""
"""Prelude of each script; ``url`` is that of the sandbox, for its control routes."""

EPILOGUE = """
.then((made) => console.log(JSON.stringify(made)))
.catch(async (error) => {
  console.error(error.stack, error.response ? await error.response.text() : "");
  process.exitCode = 1;
});
"""

Script = Callable[..., Any]


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the SDK was installed into, once for all tests."""
    return installed(tmp_path_factory, "sdk", *SDK)


@pytest.fixture
def room(start_room: StartRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Room:
    return intercepting(start_room, monkeypatch, tmp_path, frozen=True)


@pytest.fixture
def node(modules: Path, room: Room, application: tuple[Identity, RSAPrivateKey], tmp_path: Path) -> Script:
    """Return a function that runs the body of an async function and returns its result, parsed from JSON."""
    identity, key = application
    account = (identity.api_key, identity.api_secret)
    pem = tmp_path / "sandbox.pem"
    pem.write_bytes(keys.to_pem(key))

    def node(body: str, *, key: Path = pem) -> Any:
        prologue = PROLOGUE % {"number": NUMBER, "person": PERSON}
        script = f"{prologue}\n(async () => {{\n{body}\n}})(){EPILOGUE}"
        ran = subprocess.run(
            ["node", "-e", script, room.url, identity.application_id, str(key), *account],
            env=os.environ | {"NODE_PATH": str(modules)},
            cwd=tmp_path,
            capture_output=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr.decode(errors="replace")
        return json.loads(ran.stdout)

    return node


@pytest.fixture
def flow() -> Iterator[Canned]:
    """A webhook that answers with an NCCO."""
    with Canned(reply(200, [{"action": "conversation", "name": "from the webhook"}])) as server:
        yield server


def heard(room: Room, leg: str) -> list[str]:
    ran = room(f"sandbox hear {leg} -o json", env={"VOICECTL_SANDBOX": room.url})
    return [each["kind"] for each in ran.json]


def test_the_sdk_creates_a_call_and_shows_it(room: Room, node: Script) -> None:
    made, ringing, shown = node("""
        const made = await voice.createOutboundCall({
            to: [person], from, ncco: [new sdk.Talk("Hello"), new sdk.Conversation("room")],
        });
        await advance(1);
        const ringing = await voice.getCall(made.uuid);
        await advance(2);
        return [made, ringing, await voice.getCall(made.uuid)];
    """)

    assert (made["status"], made["direction"]) == ("started", "outbound")
    assert [each["status"] for each in (ringing, shown)] == ["ringing", "answered"]
    assert shown["uuid"] == made["uuid"]
    assert made["conversationUUID"].startswith("CON-")
    assert ringing["conversationUUID"] == made["conversationUUID"]
    assert shown["conversationUUID"] != made["conversationUUID"]  # it is in the room now
    assert shown["to"] == {"type": "phone", "number": PERSON}
    assert shown["from"] == {"type": "phone", "number": NUMBER}
    assert room.requests("createCall")[0]["status"] == 201


def test_the_sdk_changes_a_call_until_it_hangs_up(room: Room, node: Script) -> None:
    leg, ended = node("""
        const leg = await answered({ action: "conversation", name: "room" });
        for (const change of ["muteCall", "unmuteCall", "earmuffCall", "unearmuffCall"]) await voice[change](leg);
        await voice.hangupCall(leg);
        return [leg, await voice.getCall(leg)];
    """)

    assert ended["status"] == "completed"
    assert (ended["duration"], ended["network"]) == ("1", "23410")
    changes = [entry["body"]["action"] for entry in room.requests("updateCall")]
    assert changes == ["mute", "unmute", "earmuff", "unearmuff", "hangup"]
    assert heard(room, leg) == []


def test_the_sdk_talks_streams_and_presses_keys(room: Room, node: Script) -> None:
    leg, *said = node("""
        const leg = await answered({ action: "conversation", name: "room" });
        return [
            leg,
            await voice.playTTS(leg, { text: "One moment", language: "en-GB", style: 1, level: 0.5, loop: 1 }),
            await voice.stopTTS(leg),
            await voice.streamAudio(leg, "https://cdn.example.org/a.mp3", 2, 0.5),
            await voice.stopStreamAudio(leg),
            await voice.playDTMF(leg, "12p3#"),
        ];
    """)

    assert [each["message"] for each in said] == [
        "Talk started",
        "Talk stopped",
        "Stream started",
        "Stream stopped",
        "DTMF sent",
    ]
    assert {each["uuid"] for each in said} == {leg}
    assert heard(room, leg) == ["speech", "audio", "keys"]


def test_the_sdk_listens_to_keys_and_stops_listening(room: Room, node: Script, flow: Canned) -> None:
    made = node(f"""
        const leg = await answered({{ action: "conversation", name: "room" }});
        return [
            await voice.subscribeDTMF(leg, "{flow.url}/keys") ?? null,
            await voice.unsubscribeDTMF(leg) ?? null,
        ];
    """)

    assert made == [None, None]
    assert [entry["status"] for entry in room.requests("subscribeDTMF")] == [200]
    assert [entry["status"] for entry in room.requests("unsubscribeDTMF")] == [200]


def test_the_sdk_transfers_a_call_by_ncco_and_by_url(room: Room, node: Script, flow: Canned) -> None:
    rooms = node(f"""
        const leg = await answered({{ action: "conversation", name: "room" }});
        const rooms = [await voice.getCall(leg)];
        await voice.transferCallWithNCCO(leg, [{{ action: "conversation", name: "other" }}]);
        rooms.push(await voice.getCall(leg));
        await voice.transferCallWithURL(leg, "{flow.url}/transfer");
        await advance(1);
        rooms.push(await voice.getCall(leg));
        return rooms.map((call) => call.conversationUUID);
    """)

    assert len(set(rooms)) == 3
    assert [request.path for request in flow.requests] == ["/transfer"]


def test_the_sdk_creates_a_call_whose_answer_url_brings_the_flow(
    room: Room, node: Script, flow: Canned
) -> None:
    status = node(f"""
        const {{ uuid }} = await voice.createOutboundCall({{
            to: [person], from, answerUrl: ["{flow.url}/answer"], answerMethod: "POST",
            machineDetection: "continue", lengthTimer: 600, ringingTimer: 30,
        }});
        await advance(3);
        return (await voice.getCall(uuid)).status;
    """)

    assert status == "answered"
    assert [(request.method, request.path) for request in flow.requests] == [("POST", "/answer")]


def test_the_sdk_pages_through_all_calls_and_searches(room: Room, node: Script) -> None:
    legs, listed, page, none = node("""
        const legs = [];
        for (let n = 0; n < 5; n++) {
            const ncco = [{ action: "talk", text: "Hello" }];
            legs.push((await voice.createOutboundCall({ to: [person], from, ncco })).uuid);
        }
        const listed = [];
        for await (const call of voice.getAllCalls({ pageSize: 2 })) listed.push(call.uuid);
        const page = await voice.getCallsPage({ pageSize: 2, recordIndex: 1, order: "desc" });
        return [legs, listed, page, await voice.search({ status: "completed" })];
    """)

    assert listed == legs
    assert (page["count"], page["page_size"], page["record_index"]) == (5, 2, 1)
    assert [call["uuid"] for call in page["_embedded"]["calls"]] == legs[1:3][::-1]
    assert (none["count"], none["_embedded"]["calls"]) == (0, [])


ENDPOINTS = {
    "phone": ({"type": "phone", "number": PERSON, "dtmfAnswer": "1p2"}, {"type": "phone", "number": PERSON}),
    "sip": ({"type": "sip", "uri": "sip:rose@example.org"}, {"type": "sip", "uri": "sip:rose@example.org"}),
    "sip with headers": (
        {
            "type": "sip",
            "uri": "sip:rose@example.org",
            "headers": {"order": "17"},
            "standardHeaders": {"userToUser": "56a390f3d2b7310023a2;encoding=hex"},
        },
        {"type": "sip", "uri": "sip:rose@example.org"},
    ),
    "websocket": (
        {
            "type": "websocket",
            "uri": "ws://127.0.0.1:1/socket",
            "content-type": "audio/l16;rate=16000",
            "headers": {"order": 17},
        },
        {"type": "websocket", "uri": "ws://127.0.0.1:1/socket"},
    ),
    "vbc": ({"type": "vbc", "extension": "1234"}, {"type": "vbc", "extension": "1234"}),
    "app": ({"type": "app", "user": "rose"}, {"type": "app", "user": "rose"}),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_sdk_calls_every_kind_of_endpoint(room: Room, node: Script, endpoint: str) -> None:
    asked, shown = ENDPOINTS[endpoint]

    made, record = node(f"""
        const ncco = [{{ action: "talk", text: "Hello" }}];
        const made = await voice.createOutboundCall({{ to: [{json.dumps(asked)}], from, ncco }});
        return [made, await voice.getCall(made.uuid)];
    """)

    assert made["status"] == "started"
    assert record["uuid"] == made["uuid"]
    assert shown.items() <= record["to"].items()


def test_every_action_that_the_sdk_can_build_is_accepted(room: Room, node: Script, flow: Canned) -> None:
    leg = node(f"""
        const hook = "{flow.url}/event";
        const builder = new sdk.NCCOBuilder();
        builder.addAction(new sdk.Talk("Welcome", true, 1, "0.2", "en-GB", "1", true));
        builder.addAction(new sdk.Input({{ maxDigits: 1, timeOut: 3 }}, {{ language: "en-GB" }}, hook, "POST"));
        builder.addAction(new sdk.Input({{ maxDigits: 1 }}, null, hook, "POST", "asynchronous"));
        builder.addAction(new sdk.Stream("https://cdn.example.org/a.mp3", 0.5, false, 1));
        builder.addAction(new sdk.Notify({{ order: "17" }}, hook));
        builder.addAction(new sdk.Wait(0.5));
        builder.addAction(new sdk.Record("wav", "conversation", 2, 3, "#", 60, true, hook));
        builder.addAction(new sdk.Connect({{ type: "phone", number: "447700900501" }}, from.number));
        builder.addAction(new sdk.Connect({{ type: "sip", uri: "sip:rose@example.org" }}, from.number));
        builder.addAction(new sdk.Conversation("room", "https://cdn.example.org/hold.mp3", true, false, false));
        const made = await voice.createOutboundCall({{ to: [person], from, ncco: builder.build() }});
        await voice.getCall(made.uuid);
        return made.uuid;
    """)

    assert [entry["status"] for entry in room.requests("createCall")] == [201]
    assert leg


def test_the_sdk_reports_a_wrong_key_and_an_unknown_leg(room: Room, node: Script, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(keys.to_pem(rsa.generate_private_key(65537, 2048)))
    script = """
        return await voice.getCall("00000000-0000-4000-8000-000000000000").catch((error) => error.response.status);
    """

    assert node(script, key=wrong) == 401
    assert node(script) == 404


def test_the_sdk_downloads_a_recording_from_the_url_that_its_event_names(
    room: Room, node: Script, flow: Canned, tmp_path: Path
) -> None:
    node(f"""
        await answered(
            {{ action: "record", format: "wav", timeOut: 3, eventUrl: ["{flow.url}/recorded"] }},
            {{ action: "talk", text: "Hello, this is recorded." }},
        );
        await advance(30);
        return null;
    """)
    (recorded,) = eventually(lambda: [each for each in flow.requests if each.path == "/recorded"])
    url = recorded.json["recording_url"]

    node(f'await voice.downloadRecording("{url}", "recording.wav"); return null;')

    assert url.startswith("https://api-us-3.vonage.com/v1/files/")
    content = (tmp_path / "recording.wav").read_bytes()
    assert len(content) == recorded.json["size"]
    assert content.startswith(b"RIFF")


def test_the_sdk_creates_finds_and_deletes_a_user(node: Script) -> None:
    made, found, names, after = node("""
        const users = new Users(auth);
        const names = async () => (await users.getUserPage())._embedded.users.map((user) => user.name);
        const made = await users.createUser({ name: "rose", displayName: "Rose" });
        const found = await users.getUser(made.id);
        const before = await names();
        await users.deleteUser(made.id);
        return [made, found, before, await names()];
    """)

    assert made["id"].startswith("USR-")
    assert (found["id"], found["displayName"]) == (made["id"], "Rose")
    assert (names, after) == (["rose"], [])


def test_the_sdk_creates_a_conversation_and_lists_it(node: Script) -> None:
    made, found, listed = node("""
        const conversations = new Conversations(auth);
        const made = await conversations.createConversation({ name: "desk", displayName: "The desk" });
        const { conversations: listed } = await conversations.getConversationPage();
        return [made, await conversations.getConversation(made.id), listed];
    """)

    assert made["id"].startswith("CON-")
    assert (found["id"], found["name"], found["displayName"]) == (made["id"], "desk", "The desk")
    assert [each["id"] for each in listed] == [made["id"]]


def test_the_sdk_lists_and_links_numbers(room: Room, node: Script) -> None:
    before, linked, after = node(f"""
        const numbers = new Numbers(auth);
        const mine = async () => (await numbers.getOwnedNumbers({{ applicationId }})).numbers.map((n) => n.msisdn);
        const before = await mine();
        const linked = await numbers.updateNumber({{ country: "GB", msisdn: "{SPARE}", appId: applicationId }});
        return [before, linked, await mine()];
    """)

    assert linked["errorCode"] == "200"
    assert (before, after) == ([NUMBER], [NUMBER, SPARE])
    assert room("number list --application -q").stdout.split() == [NUMBER, SPARE]
