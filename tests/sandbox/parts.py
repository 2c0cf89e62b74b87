"""Shared parts of the sandbox's tests: a clock, an exchange without HTTP, and a client for one with HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl import tokens
from voicectl.sandbox.account.identity import Identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.telephony.actions import Dial, Flow, Join, Order, Play
from voicectl.sandbox.telephony.effects import Effect, Event, Fetch, Kind, SaveRecording
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.sounds import Prompt, speech
from voicectl.sandbox.telephony.state import Leg

PERSON = "447700900001"
BUSY = "447700900200"
MACHINE = "447700900300"
BY_HAND = "447700900600"

APPLICATION = "5a4db0c5-0000-4000-8000-000000000000"

HELLO = {"action": "talk", "text": "Hello"}
ROOM = {"action": "conversation", "name": "room"}


def say(text: str = "Hello", *, barge: bool = False, **options: Any) -> Play:
    return Play(prompt=saying(text, **options), barge_in=barge)


def saying(text: str = "Hello", **options: Any) -> Prompt:
    return speech(text, loop=options.get("loop", 1), options=options)


def phone(number: str = PERSON, **options: Any) -> Dial:
    return dial(options.pop("endpoint", {"type": "phone", "number": number}), **options)


def dial(
    endpoint: dict[str, Any], *, caller=None, ringback=None, timeout=60, limit=7200, **terms: Any
) -> Dial:
    order = Order(to=endpoint, ringing_timer=timeout, length_timer=limit, **terms)
    return Dial(order=order, caller=caller, ringback=ringback)


def room(name: str = "room", **options: Any) -> Join:
    return Join(name=name, **options)


INTO_A_ROOM = (room(),)


@dataclass
class Line:
    """An exchange without HTTP, and all effects that it has returned."""

    exchange: Exchange
    effects: list[Effect] = field(default_factory=list)

    def call(self, number: str = PERSON, flow: Flow = INTO_A_ROOM, **options: Any) -> Leg:
        caller = {"type": "phone", "number": "447700900456"}
        to = options.pop("to", {"type": "phone", "number": number})
        place = {"application_id": APPLICATION} | {
            name: options.pop(name) for name in ("application_id", "region") if name in options
        }
        return self.exchange.create(Order(to=to, from_=caller, flow=flow, **options), **place)

    def answered(self, number: str = PERSON, flow: Flow = INTO_A_ROOM, **options: Any) -> Leg:
        leg = self.call(number, flow, **options)
        self.wait(2.5)
        assert leg.is_up
        return leg

    def wait(self, seconds: float) -> None:
        self.exchange.run(self.exchange.now + round(seconds * 1000))

    def pass_by(self, seconds: float) -> None:
        """Advance the clock; webhooks answer at once, without content, and files are made at once."""
        target = self.exchange.now + round(seconds * 1000)
        self._answer_all()
        while (due := self.exchange.next_due) is not None and due <= target:
            self.exchange.run(due)
            self._answer_all()
        self.exchange.run(target)

    def _answer_all(self) -> None:
        while effects := self.exchange.collect():
            self.effects += effects
            for effect in effects:
                if isinstance(effect, Event) and effect.may_bring_ncco:
                    self.exchange.replied(effect, None)
                elif isinstance(effect, SaveRecording):
                    self.exchange.media.recorded(effect.recording, url="http://files/1", size=1)

    def collect(self) -> list[Effect]:
        self.effects += self.exchange.collect()
        return self.effects

    def fetches(self) -> list[Fetch]:
        return [effect for effect in self.collect() if isinstance(effect, Fetch)]

    def reports(self, leg: Leg) -> list[tuple[float, str]]:
        """Return the time of each status, in seconds from the creation of *leg*."""
        return [
            ((event.at - leg.created) / 1000, event.fields["status"])
            for event in self.events_about(leg, Kind.STATUS)
        ]

    def last_report(self, leg: Leg) -> dict[str, Any]:
        return self.events_about(leg, Kind.STATUS)[-1].fields

    def events_about(self, leg: Leg, kind: Kind) -> list[Event]:
        """Return the events of one kind about *leg*."""
        events = [each for each in self.collect() if isinstance(each, Event)]
        return [event for event in events if event.uuid == leg.uuid and event.kind is kind]

    def heard(self, leg: Leg) -> list[tuple[str, str, float]]:
        """Return the sounds that the party of *leg* heard: kind, content and length."""
        shown = [heard.to_json(self.exchange.now) for heard in leg.audio.heard]
        return [(each["kind"], _content(each), each["seconds"]) for each in shown]


def line(*, seed: int = 1, **options: Any) -> Line:
    return Line(Exchange(seed=seed, number="442079460000", now=0, host_time=lambda: 0.0, **options))


def _content(heard: dict[str, Any]) -> str:
    return next(heard[name] for name in ("text", "url", "digits", "beep") if name in heard)


class Client:
    """A client of one sandbox, with the application's key."""

    def __init__(self, sandbox: Sandbox, url: str, key: RSAPrivateKey) -> None:
        self.sandbox = sandbox
        self.url = url
        self.key = key
        self.clock = sandbox.clock
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS, verify=False)

    @property
    def identity(self) -> Identity:
        return self.sandbox.identity

    def token(self, **claims: Any) -> str:
        """Return a token of the application with *claims* changed; None removes a claim."""
        made = tokens.application_claims(self.identity.application_id, now=self.clock.time()) | claims
        return tokens.mint({name: value for name, value in made.items() if value is not None}, self.key)

    def api(self, method: str, path: str, json: object = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token()}"} | more.pop("headers", {})
        return self.http.request(method, path, json=json, headers=headers, **more)

    def get(self, path: str) -> httpx.Response:
        return self.api("GET", path)

    def put(self, path: str, json: object) -> httpx.Response:
        return self.api("PUT", path, json)

    def create(self, number: str = PERSON, *ncco: dict[str, Any], **more: Any) -> httpx.Response:
        body = {
            "to": [{"type": "phone", "number": number}],
            "from": {"type": "phone", "number": "447700900456"},
        }
        if "answer_url" not in more:
            body["ncco"] = list(ncco) or [ROOM]
        headers = more.pop("headers", {})
        return self.api("POST", "/v1/calls", body | more, headers=headers)

    def call(self, number: str = PERSON, *ncco: dict[str, Any], **more: Any) -> str:
        """Create a call and return its uuid."""
        made = self.create(number, *ncco, **more)
        assert made.status_code == 201, made.text
        return str(made.json()["uuid"])

    def answered(self, number: str = PERSON, *ncco: dict[str, Any], **more: Any) -> str:
        """Create a call, let it be answered, and return its uuid."""
        uuid = self.call(number, *ncco, **more)
        self.advance(2.5)
        assert self.status(uuid) == "answered"
        return uuid

    def record(self, uuid: str) -> dict[str, Any]:
        found = self.get(f"/v1/calls/{uuid}")
        assert found.status_code == 200, found.text
        return dict(found.json())

    def status(self, uuid: str) -> str:
        return str(self.record(uuid)["status"])

    def until(self, uuid: str, status: str) -> None:
        """Wait, in real time, for the effect of a webhook in the background."""
        eventually(lambda: self.status(uuid) == status, f"{uuid} never became {status}")

    def change(self, uuid: str, action: str, **more: Any) -> httpx.Response:
        return self.put(f"/v1/calls/{uuid}", {"action": action, **more})

    def transfer(self, uuid: str, *ncco: dict[str, Any]) -> httpx.Response:
        return self.change(uuid, "transfer", destination={"type": "ncco", "ncco": list(ncco)})

    def control(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(f"/sandbox/{path}", json=body)

    def advance(self, seconds: float) -> None:
        assert self.control("advance", seconds=seconds).status_code == 200

    def fault(self, what: str, **more: Any) -> None:
        made = self.control("faults", what=what, **more)
        assert made.status_code == 201, made.text

    def hear(self, uuid: str) -> list[dict[str, Any]]:
        return list(self.http.get(f"/sandbox/hear/{uuid}").json())

    @property
    def pending(self) -> int:
        """Return the number of webhooks that wait or are under way."""
        return int(self.http.get("/sandbox/status").json()["webhooks_pending"])

    def settle(self) -> None:
        """Wait until all webhooks are sent or have failed."""
        eventually(lambda: not self.pending, "a webhook was never sent nor given up")

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        lines = self.http.get("/sandbox/log", params={"since": since})
        return [httpx.Response(200, content=each).json() for each in lines.text.splitlines()]
