"""An exchange with conversation logs but without HTTP, and requests to the Conversation API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.sandbox.parts import APPLICATION, Client, Line, line
from voicectl.sandbox.conversations.conversation_log import ConversationLog, Member
from voicectl.sandbox.conversations.log import ConversationLogs
from voicectl.sandbox.conversations.users import Users
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.state import Leg


@dataclass
class Desk:
    """An exchange, the logs of its conversations, and the events of RTC webhooks."""

    line: Line
    users: Users
    logs: ConversationLogs
    rtc_events: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> None:
        """Log the notes of the exchange."""
        for effect in self.line.exchange.collect():
            if isinstance(effect, Note):
                self.add(effect)

    def add(self, note: Note) -> None:
        rtc_event = self.logs.write(note)
        if rtc_event is not None:
            self.rtc_events.append(rtc_event)

    def wait(self, seconds: float) -> None:
        self.line.wait(seconds)
        self.write()

    def page(self, leg: Leg) -> ConversationLog:
        self.write()
        page = self.logs.get(leg.conversation.uuid)
        assert page is not None
        return page

    def member(self, leg: Leg) -> Member:
        member = self.page(leg).member(leg.uuid)
        assert member is not None
        return member

    def events(self, page: ConversationLog) -> list[dict[str, Any]]:
        return [self.logs.event(page, number, note, "http://host/v1") for number, note in page.events()]

    def event(self, page: ConversationLog, type_: str) -> dict[str, Any]:
        """Return the last event of a type."""
        return [event for event in self.events(page) if event["type"] == type_][-1]


def desk(*, seed: int = 1, has_rtc_webhook: bool = True, users: Users | None = None) -> Desk:
    users = users or Users(str(seed))
    its = line(seed=seed, knows_user=users.knows)
    logs = ConversationLogs(
        str(seed), its.exchange, find_user=users.find, has_rtc_webhook=lambda _: has_rtc_webhook
    )
    return Desk(its, users, logs)


def note(page: ConversationLog, type_: str, author: str | None = None, at: int = 0, **body: Any) -> Note:
    return Note(
        at=at,
        application_id=APPLICATION,
        conversation_uuid=page.conversation.uuid,
        type=type_,
        uuid=author,
        body=body,
    )


def refused(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the answer, after checking that it has the shape of this API."""
    body = reply.json()
    assert (reply.status_code, body["code"]) == (status, code)
    assert body["type"] == f"https://developer.nexmo.com/api/conversation#{code}"
    assert body["instance"] == reply.headers["x-nexmo-trace-id"]
    assert body["title"].endswith(".")
    return dict(body)


def found(client: Client, name: str | None = "room", **body: Any) -> dict[str, Any]:
    """Create a conversation."""
    made = client.api("POST", "/v1/conversations", body | ({} if name is None else {"name": name}))
    assert made.status_code == 201, made.text
    return dict(made.json())


def conversation_of(client: Client, leg: str) -> str:
    """Return the path of a leg's conversation."""
    return f"/v1/conversations/{client.record(leg)['conversation_uuid']}"


def members(client: Client, conversation: str) -> list[dict[str, Any]]:
    """Return the full records of a conversation's members."""
    listed = client.get(f"{conversation}/members?page_size=100").json()["_embedded"]["members"]
    return [client.get(f"{conversation}/members/{each['id']}").json() for each in listed]


def events(client: Client, conversation: str, query: str = "") -> list[dict[str, Any]]:
    """Return the first hundred events of a conversation."""
    reply = client.get(f"{conversation}/events?page_size=100&{query}")
    assert reply.status_code == 200, reply.text
    return list(reply.json()["_embedded"])


def types(client: Client, conversation: str, query: str = "") -> list[str]:
    return [event["type"] for event in events(client, conversation, query)]


def user(client: Client, name: str = "alice", **body: Any) -> dict[str, Any]:
    """Create an app user."""
    made = client.api("POST", "/v1/users", {"name": name} | body)
    assert made.status_code == 201, made.text
    return dict(made.json())


def as_user(client: Client, name: str = "alice") -> dict[str, str]:
    """Return the headers of a request with a user's token."""
    return {"Authorization": f"Bearer {client.token(sub=name)}"}
