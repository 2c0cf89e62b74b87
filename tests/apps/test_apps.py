"""Whole applications, called from the sandbox and followed to the end on the call clock."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.apps import ivr, reception, survey, voicemail
from tests.sandbox.parts import Client
from tests.support.web import Served, serving
from voicectl.voice.call import NEXT, CallStatus

NUMBER = "442079460000"
SILENT = "447700900001"


class Desk:
    """A sandbox whose application is *served*, and its outside parties."""

    def __init__(self, client: Client, served: Served) -> None:
        self.client = client
        self.served = served
        hooks = {"answer_url": "/answer", "event_url": "/event"}
        self.register({name: {"address": served.url + path} for name, path in hooks.items()})

    def register(self, webhooks: dict[str, Any], rtc: dict[str, Any] | None = None) -> None:
        identity = self.client.identity
        body = {
            "name": "sandbox",
            "capabilities": {"voice": {"webhooks": webhooks}, "rtc": {"webhooks": rtc or {}}},
        }
        auth = (identity.api_key, identity.api_secret)
        changed = self.client.http.put(f"/v2/applications/{identity.application_id}", json=body, auth=auth)
        assert changed.status_code == 200, changed.text

    def ring(self, from_: str = SILENT) -> str:
        rung = self.client.control("ring", **{"to": NUMBER, "from": from_})
        assert rung.status_code == 201, rung.text
        return str(rung.json()["uuid"])

    def heard(self, leg: str) -> list[str]:
        found = self.client.hear(leg)
        return [
            next(each[name] for name in ("text", "url", "digits", "beep") if name in each) for each in found
        ]

    def wait(self, seconds: float) -> None:
        """Advance the call clock, and wait until all webhooks are sent."""
        self.client.advance(seconds)
        self.client.log()

    def statuses(self, leg: str) -> list[str]:
        """Return the events of a leg that the application received, in the order of their timestamps."""
        events = [each for path, each in self.served.asked if path == "/event" and each.get("uuid") == leg]
        return [
            each["status"] for each in sorted(events, key=lambda each: each["timestamp"]) if "status" in each
        ]


@pytest.fixture
def open_desk(client: Client) -> Iterator[Any]:
    with ExitStack() as stack:
        yield lambda make: Desk(client, stack.enter_context(serving(make)))


def assert_legal(statuses: list[str]) -> None:
    for before, after in pairwise(statuses):
        assert CallStatus(after) in NEXT[CallStatus(before)]


class TestIvr:
    @pytest.fixture
    def desk(self, open_desk: Any) -> Desk:
        return open_desk(ivr.application)

    def test_a_caller_waits_for_support_and_talks_to_an_agent(self, desk: Desk):
        caller = desk.ring()
        desk.wait(2)
        assert desk.heard(caller) == [ivr.GREETING]
        desk.client.control("press", leg=caller, digits="1")
        desk.wait(1)
        cut = desk.heard(caller)[0]
        assert ivr.GREETING.startswith(cut)
        assert desk.heard(caller) == [cut, ivr.HOLD_MUSIC]

        agent = desk.client.call(answer_url=[f"{desk.served.url}/agent"])
        desk.wait(10)
        desk.client.control("say", leg=caller, text="My line is dead.")
        desk.client.control("say", leg=agent, text="It is not.")
        assert desk.heard(agent) == ["A caller waits.", "My line is dead."]
        assert desk.heard(caller) == [cut, ivr.HOLD_MUSIC, "It is not."]

        desk.client.control("hangup", leg=agent)
        desk.wait(5)
        assert desk.heard(caller)[-1] == ivr.GOODBYE
        for leg in (caller, agent):
            statuses = desk.statuses(leg)
            assert statuses == ["started", "ringing", "answered", "completed"]
            assert_legal(statuses)
        (answered,) = desk.served.fields("/answer")
        assert (answered["uuid"], answered["from"], answered["to"]) == (caller, SILENT, NUMBER)
        moves = [each for each in desk.served.fields("/event") if each.get("type") == "transfer"]
        assert {each["uuid"] for each in moves} >= {caller, agent}

    def test_a_caller_who_presses_nothing_is_asked_again(self, desk: Desk):
        caller = desk.ring()

        desk.wait(12)

        assert desk.heard(caller)[:3] == [ivr.GREETING, ivr.AGAIN, ivr.GREETING]
        assert desk.served.fields("/menu")[0]["dtmf"] == {"digits": "", "timed_out": True}

    def test_a_busy_operator_is_reported(self, desk: Desk):
        caller = desk.ring("447700900120")  # presses 2 at the first input

        desk.wait(10)

        assert desk.heard(caller) == ["Welcome to Exa", "The operator is busy."]
        assert desk.client.status(caller) == "completed"
        assert [each["status"] for each in desk.served.fields("/operator")] == ["started", "busy"]

    def test_the_example_of_the_platform_s_documentation(self, desk: Desk):
        """A phone rings in and is connected to an app user; both share a conversation; two streams of events."""
        hooks = {"answer_url": "/answer", "event_url": "/event"}
        with serving(reception.application) as phone_app:
            voice = {name: {"address": phone_app.url + path} for name, path in hooks.items()}
            desk.register(voice, rtc={"event_url": {"address": desk.served.url + "/rtc"}})
            assert desk.client.api("POST", "/v1/users", {"name": "alice"}).status_code == 201
            caller = desk.ring()
            desk.wait(5)
            calls = desk.client.get("/v1/calls").json()["_embedded"]["calls"]

        assert [(each["direction"], each["status"]) for each in calls] == [
            ("inbound", "answered"),
            ("outbound", "answered"),
        ]
        assert calls[1]["to"] == {"type": "app", "user": "alice"}
        assert len({each["conversation_uuid"] for each in calls}) == 1
        legs = {each["uuid"] for each in calls}
        assert {each["uuid"] for each in phone_app.fields("/event")} == legs
        assert desk.served.fields("/event") == []
        rtc = desk.served.fields("/rtc")
        assert {each["conversation_id"] for each in rtc} == {calls[0]["conversation_uuid"]}
        assert [each["id"] for each in rtc] == list(range(1, len(rtc) + 1))
        assert {"conversation:created", "member:joined", "leg:status:update", "rtc:answered"} <= {
            each["type"] for each in rtc
        }
        assert caller in legs


class TestVoicemail:
    def test_a_message_is_recorded_reported_and_fetched(self, open_desk: Any):
        messages: list[dict[str, Any]] = []
        transcripts: list[dict[str, Any]] = []
        desk = open_desk(lambda base: voicemail.application(base, messages, transcripts))
        caller = desk.ring("447700900709")

        desk.wait(30)

        assert desk.heard(caller) == [voicemail.PROMPT, "1000 Hz", voicemail.THANKS]
        (message,) = messages
        audio = desk.client.get(
            message["recording_url"].partition(desk.client.url)[2] or message["recording_url"]
        )
        assert audio.headers["content-type"] == "audio/wav"
        assert len(audio.content) == message["size"]
        with wave.open(io.BytesIO(audio.content)) as file:
            seconds = file.getnframes() / file.getframerate()
        spoken = len("please call me back tomorrow") / 14
        assert seconds == pytest.approx(1 + spoken + 3, abs=0.01)
        (transcript,) = transcripts
        text = desk.client.get(transcript["transcription_url"]).json()
        sentences = [each["sentence"] for each in text["channels"][0]["transcript"]]
        assert " ".join(sentences).lower().rstrip(".") == "please call me back tomorrow"
        stranger = httpx.get(message["recording_url"], trust_env=False)
        assert stranger.status_code == 401


class TestSurvey:
    def test_callers_are_called_back_and_asked(self, open_desk: Any):
        answers: dict[str, dict[str, Any]] = {}
        placed: list[int] = []
        desk: Desk

        async def dial(order: dict[str, Any]) -> None:
            async with httpx.AsyncClient(trust_env=False) as http:
                headers = {"Authorization": f"Bearer {desk.client.token()}"}
                made = await http.post(f"{desk.client.url}/v1/calls", json=order, headers=headers)
                placed.append(made.status_code)

        desk = open_desk(lambda base: survey.application(base, answers, dial))
        desk.ring("447700900157")

        desk.wait(10)  # the call ends, and the other is placed
        assert placed == [201]
        desk.wait(6)  # it is answered and asks; 5 is pressed
        (call,) = [
            each
            for each in desk.client.get("/v1/calls").json()["_embedded"]["calls"]
            if each["direction"] == "outbound"
        ]
        desk.wait(1)
        desk.client.control("say", leg=call["uuid"], text="It was short")
        desk.wait(20)

        assert answers == {"447700900157": {"mark": "5", "reason": "It was short"}}
        assert desk.heard(call["uuid"]) == [survey.QUESTION, survey.WHY, survey.THANKS]
        assert desk.client.status(call["uuid"]) == "completed"
        assert desk.statuses(call["uuid"]) == ["started", "ringing", "answered", "completed"]
