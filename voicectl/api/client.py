"""The Voice API: one method per operation, each saying what repeating it would mean.

Source: Voice API reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from voicectl.api.session import HANGUP_SECONDS, Repeat, done
from voicectl.errors import NoAnswer, NotFoundError
from voicectl.voice.call import Call, LegAction, is_leg_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voicectl.api.session import Session

T = TypeVar("T")

PAGE_SIZE = 100
MAX_BARREN_PAGES = 3


@dataclass(frozen=True, slots=True)
class Created:
    """The reply to "create call".

    Attributes:
        uuid: The leg's id.
        raw: The reply as received.
    """

    uuid: str
    raw: dict[str, Any]


class Places(Protocol):
    """Knows on which hosts legs are: a call lives in one region, and every other answers 404."""

    def of(self, uuid: str) -> Session:
        """Where requests about a leg go; nothing is asked."""
        ...

    def find(self, uuid: str, refusal: NotFoundError, *, is_read: bool, within: float) -> Session:
        """Look, by reads, for a leg of which :meth:`of`'s host knows nothing.

        Args:
            refusal: What it said.
            is_read: It was asked for the leg's record, not for a change.
            within: Seconds that this may take.

        Raises:
            NotFoundError: It is not found, or is where it was looked for first: says who was asked.
            TransportError: It is not found, and one of them gave no usable answer.
        """
        ...


class VoiceApi:
    """The eleven operations.

    Every method raises the errors of :meth:`Session.read` or :meth:`Session.change`.

    Args:
        session: Requests to the base URL.
        places: Knows where else a leg may be; None: nowhere.
    """

    def __init__(self, session: Session, places: Places | None = None) -> None:
        self._session = session
        self._places = places

    def get_calls(
        self,
        *,
        status: str | None = None,
        date_start: str | None = None,
        date_end: str | None = None,
        conversation_uuid: str | None = None,
        order: str | None = "desc",
        on_page: Callable[[bool], None] | None = None,
        within: float = math.inf,
    ) -> Iterator[Call]:
        """Search call records, page by page, each leg once (``GET /v1/calls``).

        Args:
            status: One of the filter values; the API takes one at a time.
            date_start: RFC 3339 UTC; records from here on.
            date_end: RFC 3339 UTC; records before.
            order: ``desc``, newest first, or ``asc``.
            on_page: Told after each page whether another follows.
            within: Seconds that each page may take, all tries together.

        Only the query of ``_links.next`` is used: its path and host are not ours to trust. Links that lead to a page
        that was shown, or to one after another without anything new, are followed no further.
        """
        query = urlencode(
            {
                key: value
                for key, value in {
                    "status": status,
                    "date_start": date_start,
                    "date_end": date_end,
                    "conversation_uuid": conversation_uuid,
                    "page_size": PAGE_SIZE,
                    "order": order,
                }.items()
                if value is not None
            }
        )
        seen: set[str] = set()
        asked: set[str] = set()
        barren = 0
        while query not in asked and barren < MAX_BARREN_PAGES:
            asked.add(query)
            known = len(seen)
            page, following = self._session.read(f"/v1/calls?{query}", _page, within=within)
            if on_page:
                on_page(following is not None)
            for call in page:
                if call.uuid not in seen:
                    seen.add(call.uuid)
                    yield call
            if following is None:
                return
            query = following
            barren = 0 if len(seen) > known else barren + 1

    def get_call(self, uuid: str, *, within: float = math.inf, urgent: bool = False) -> Call:
        """Fetch one leg (``GET /v1/calls/{uuid}``).

        Args:
            within: Seconds that it may take, all tries together.
            urgent: Go before other requests, as a hang-up does.
        """

        def read(body: Any) -> Call:
            call = _record(body)
            if _plain(call.uuid) != _plain(uuid):
                raise NoAnswer("the answer is about another leg")
            return call

        def ask(session: Session) -> Call:
            return session.read(_path(uuid), read, within=within, urgent=urgent)

        return self._ask(uuid, ask, is_read=True, within=within)

    def create_call(self, body: dict[str, Any], *, dials: int = 1) -> Created:
        """Place a call (``POST /v1/calls``). Never repeated once a byte was sent.

        Args:
            body: The request as the API takes it.
            dials: Phones that it makes ring: itself, and each ``connect`` of its NCCO.

        Raises:
            OutcomeUnknown: No usable answer came; the call may have been placed.
        """
        return self._session.change("POST", "/v1/calls", body, Repeat.NEVER, _created, dials=dials)

    def hangup(self, uuid: str, *, within: float = HANGUP_SECONDS) -> None:
        """End a leg, repeating for *within* seconds (``PUT /v1/calls/{uuid}``).

        A 404 is looked into by whoever asks for it, with :meth:`get_call`: the leg may be over.
        """
        session = self._at(uuid)
        session.change("PUT", _path(uuid), {"action": "hangup"}, Repeat.HANGUP, done, within=within)

    def modify(self, uuid: str, action: LegAction) -> None:
        """Mute, unmute, earmuff or unearmuff a leg (``PUT /v1/calls/{uuid}``)."""
        self._change(uuid, "PUT", "", {"action": action.value}, Repeat.HARMLESS, done)

    def transfer(self, uuid: str, destination: dict[str, Any], *, dials: int = 0) -> None:
        """Have a leg leave its NCCO and run another (``PUT /v1/calls/{uuid}``).

        Args:
            destination: ``{"type": "ncco", "ncco": [...]}`` or ``{"type": "ncco", "url": [URL]}``.
            dials: How many ``connect`` actions the NCCO holds.
        """
        body = {"action": "transfer", "destination": destination}
        self._change(uuid, "PUT", "", body, Repeat.NEVER, done, dials=dials)

    def start_talk(self, uuid: str, body: dict[str, Any]) -> None:
        """Say a text on a leg (``PUT /v1/calls/{uuid}/talk``)."""
        self._change(uuid, "PUT", "/talk", body, Repeat.NEVER, _object)

    def stop_talk(self, uuid: str) -> None:
        """Stop what is being said (``DELETE /v1/calls/{uuid}/talk``)."""
        self._change(uuid, "DELETE", "/talk", None, Repeat.HARMLESS, done)

    def start_stream(self, uuid: str, body: dict[str, Any]) -> None:
        """Play an audio file on a leg (``PUT /v1/calls/{uuid}/stream``)."""
        self._change(uuid, "PUT", "/stream", body, Repeat.NEVER, _object)

    def stop_stream(self, uuid: str) -> None:
        """Stop the audio file (``DELETE /v1/calls/{uuid}/stream``)."""
        self._change(uuid, "DELETE", "/stream", None, Repeat.HARMLESS, done)

    def send_dtmf(self, uuid: str, digits: str) -> None:
        """Press keys on a leg (``PUT /v1/calls/{uuid}/dtmf``)."""
        self._change(uuid, "PUT", "/dtmf", {"digits": digits}, Repeat.NEVER, _object)

    def subscribe_dtmf(self, uuid: str, event_url: str) -> None:
        """Have the keys a leg presses sent to *event_url* (``PUT /v1/calls/{uuid}/input/dtmf``)."""
        body = {"event_url": [event_url]}
        self._change(uuid, "PUT", "/input/dtmf", body, Repeat.HARMLESS, done)

    def unsubscribe_dtmf(self, uuid: str) -> None:
        """End that (``DELETE /v1/calls/{uuid}/input/dtmf``)."""
        self._change(uuid, "DELETE", "/input/dtmf", None, Repeat.HARMLESS, done)

    def host(self, uuid: str) -> str:
        """Where requests about a leg go, as far as is known: scheme, host and port."""
        return self._at(uuid).origin

    def _at(self, uuid: str) -> Session:
        return self._session if self._places is None else self._places.of(uuid)

    def _change(
        self,
        uuid: str,
        method: str,
        below: str,
        body: dict[str, Any] | None,
        repeat: Repeat,
        read: Callable[[Any], object],
        *,
        dials: int = 0,
    ) -> None:
        def ask(session: Session) -> None:
            session.change(method, _path(uuid, below), body, repeat, read, dials=dials)

        self._ask(uuid, ask, is_read=False)

    def _ask(self, uuid: str, ask: Callable[[Session], T], *, is_read: bool, within: float = math.inf) -> T:
        """Do *ask* where the leg is, once: a 404 changed nothing, and only then it is asked for elsewhere."""
        session = self._at(uuid)
        try:
            return ask(session)
        except NotFoundError as exc:
            if self._places is None:
                raise
            refusal = exc
        return ask(self._places.find(uuid, refusal, is_read=is_read, within=within))


def _plain(uuid: str) -> str:
    """A leg's id without what may be written one way or another."""
    return uuid.replace("-", "").lower()


def _path(uuid: str, below: str = "") -> str:
    return f"/v1/calls/{quote(uuid, safe='')}{below}"


def _page(body: Any) -> tuple[list[Call], str | None]:
    """The records of a page and the query of the next one."""
    if not isinstance(body, dict):
        raise NoAnswer("the list is not an object")
    calls = _dict(body.get("_embedded")).get("calls")
    href = _dict(_dict(body.get("_links")).get("next")).get("href")
    if not isinstance(calls, list):
        raise NoAnswer("the list holds no calls")
    found = [
        Call.from_json(call)
        for call in calls
        if isinstance(call, dict) and isinstance(call.get("uuid"), str) and call["uuid"]
    ]
    try:
        following = urlencode(parse_qsl(urlsplit(href).query)) if isinstance(href, str) else ""
    except ValueError as exc:
        raise NoAnswer("the link to the next page is no URL") from exc
    return found, following or None


def _record(body: Any) -> Call:
    try:
        return Call.from_json(_object(body))
    except ValueError as exc:
        raise NoAnswer(f"the answer is {exc}") from exc


def _created(body: Any) -> Created:
    uuid = _object(body).get("uuid")
    if not isinstance(uuid, str) or not is_leg_id(uuid):
        raise NoAnswer("the answer names no leg id")
    return Created(uuid, body)


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise NoAnswer("the answer is not an object")
    return body


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
