"""A client for the part of the Conversation API that voicectl uses, with one method per operation.

Source: Conversation API reference, sections 2, 3, 5 and 6.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from voicectl.api.pages import rows
from voicectl.api.repetition import Repeat, Request
from voicectl.api.replies import done, record, whole_object
from voicectl.errors import NoAnswer
from voicectl.voice.conversation import Conversation, ConversationEvent, ConversationState, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.api.session import Session

T = TypeVar("T")

_SETTINGS = ("display_name", "image_url", "properties", "numbers", "callback")
"""The names of a conversation's settings, except ``name``. A PUT request deletes every setting that it omits."""

_ALL = "/v1/conversations"
_GONE = (
    "The conversation may have ended, or may be in another region or belong to another application. Look for it:"
    " voicectl conversation list"
)


class ConversationApi:
    """A client for operations on conversations, their members and events, and the audio that all members hear.

    Every method raises the same errors as :meth:`~voicectl.api.session.Session.send`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def asked(self) -> str:
        """A text that names the API's host and the application, such as ``api.nexmo.com for application ...``."""
        return f"{urlsplit(self._session.origin).netloc} for {self._session.whose}"

    def list(
        self, *, on_cut: Callable[[], None] | None = None, within: float = math.inf
    ) -> Iterator[Conversation]:
        """Yield each of the application's conversations once, newest first (``GET /v1/conversations``).

        Args:
            on_cut: A function that is called if the API lists more conversations than can be read.
            within: The time limit for each page, including retries, in seconds.
        """
        return self._rows(_ALL, "conversations", Conversation.from_json, on_cut=on_cut, within=within)

    def find(self, name: str) -> Conversation | None:
        """Return the conversation named *name*, or None if it is not among the newest 5,000 conversations.

        Since the API cannot look up names, this method searches the list of conversations. Deleted ones are skipped.
        """
        for conversation in self.list():
            if conversation.name == name and conversation.state != ConversationState.DELETED:
                return conversation
        return None

    def get(self, id_: str, *, within: float = math.inf) -> Conversation:
        """Fetch one conversation (``GET /v1/conversations/{id}``).

        Args:
            within: The time limit for all attempts together, in seconds.
        """

        def read(body: Any) -> Conversation:
            conversation = record(body, Conversation.from_json)
            if conversation.id.lower() != id_.lower():
                raise NoAnswer("the response describes a different conversation")
            return conversation

        return self._get(_path(id_), read, within)

    def rename(self, conversation: Conversation, name: str) -> None:
        """Rename a conversation and keep its other settings (``PUT /v1/conversations/{id}``).

        Raises:
            ApiError: The API refused the request. Status 409 means that another conversation is named *name*.
        """
        body = {field: conversation.raw[field] for field in _SETTINGS if field in conversation.raw}
        self._change(Repeat.HARMLESS, "PUT", conversation.id, "", done, body | {"name": name})

    def members(self, id_: str, *, within: float = math.inf) -> Iterator[Member]:
        """Yield the members of a conversation, including former members (``GET /v1/conversations/{id}/members``).

        The list does not contain the members' legs or mute states, which :meth:`member` fetches for one member. The
        newest members come first, since most of the older members of a busy conversation have left. At most
        5,000 members are read.

        Args:
            within: The time limit for each page, including retries, in seconds.
        """
        return self._rows(_path(id_, "/members"), "members", Member.from_json, within=within)

    def member(self, id_: str, member_id: str, *, within: float = math.inf) -> Member:
        """Fetch one member, with the member's leg and mute state (``GET /v1/conversations/{id}/members/{id}``).

        Args:
            within: The time limit for all attempts together, in seconds.
        """

        def read(body: Any) -> Member:
            member = record(body, Member.from_json)
            if member.id != member_id:
                raise NoAnswer("the response describes a different member")
            return member

        path = _path(id_, f"/members/{quote(member_id, safe='')}")
        return self._get(path, read, within)

    def events(
        self, id_: str, *, after: int = 0, on_cut: Callable[[], None] | None = None
    ) -> Iterator[ConversationEvent]:
        """Yield the events of a conversation, newest first (``GET /v1/conversations/{id}/events``).

        Args:
            after: A number. Only events with greater numbers are requested.
            on_cut: A function that is called if the API lists more events than can be read.
        """
        query = {"start_id": str(after + 1)} if after else {}
        found = self._rows(
            _path(id_, "/events"), "events", ConversationEvent.from_json, query=query, on_cut=on_cut
        )
        return takewhile(lambda event: event.number > after, found)

    def start_talk(self, id_: str, body: dict[str, Any]) -> None:
        """Speak text to everyone in a conversation (``PUT /v1/conversations/{id}/talk``)."""
        self._change(Repeat.NEVER, "PUT", id_, "/talk", whole_object, body)

    def stop_talk(self, id_: str) -> None:
        """Stop speaking to everyone in a conversation (``DELETE /v1/conversations/{id}/talk``)."""
        self._change(Repeat.HARMLESS, "DELETE", id_, "/talk", done)

    def start_stream(self, id_: str, body: dict[str, Any]) -> None:
        """Play an audio file to everyone in a conversation (``PUT /v1/conversations/{id}/stream``)."""
        self._change(Repeat.NEVER, "PUT", id_, "/stream", whole_object, body)

    def stop_stream(self, id_: str) -> None:
        """Stop playing an audio file to everyone in a conversation (``DELETE /v1/conversations/{id}/stream``)."""
        self._change(Repeat.HARMLESS, "DELETE", id_, "/stream", done)

    def start_recording(self, id_: str, options: dict[str, Any]) -> None:
        """Start recording a conversation (``PUT /v1/conversations/{id}/record``).

        The request is sent only once, since the API's documentation does not say whether a second request starts a
        second recording, which would also be stored and charged.
        """
        self._change(Repeat.NEVER, "PUT", id_, "/record", done, {"action": "start"} | options)

    def stop_recording(self, id_: str) -> None:
        """Stop recording a conversation (``PUT /v1/conversations/{id}/record``).

        Raises:
            NotFoundError: The conversation does not exist or is not being recorded.
        """
        self._change(Repeat.HARMLESS, "PUT", id_, "/record", done, {"action": "stop"})

    def _change(
        self,
        repeat: Repeat,
        method: str,
        id_: str,
        below: str,
        read: Callable[[Any], object],
        body: dict[str, Any] | None = None,
    ) -> None:
        look = f"Check the conversation before you repeat the request: 'voicectl conversation show {id_}'."
        self._session.send(
            Request(repeat, method, _path(id_, below), read, body, if_absent=_GONE, if_unknown=look)
        )

    def _get(self, target: str, read: Callable[[Any], T], within: float) -> T:
        return self._session.send(Request(Repeat.READ, "GET", target, read, within=within, if_absent=_GONE))

    def _rows(
        self, path: str, name: str, from_json: Callable[[dict[str, Any]], T], **options: Any
    ) -> Iterator[T]:
        return rows(self._session, path, name, from_json, if_absent=_GONE, **options)


def _path(id_: str, below: str = "") -> str:
    return f"{_ALL}/{quote(id_, safe='')}{below}"
