"""The Voice API: one method per operation, each with the rule for repeating it.

Source: Voice API reference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, urlencode

from voicectl.api.repetition import HANGUP_SECONDS, Repeat, Request
from voicectl.api.replies import done, next_query, record, whole_object
from voicectl.errors import NoAnswer, NotFoundError
from voicectl.strict_json import fields
from voicectl.voice.call import Call, LegAction, is_leg_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.api.session import Session

T = TypeVar("T")

PAGE_SIZE = 100
MAX_BARREN_PAGES = 3


class CreatedCall(NamedTuple):
    """The reply to "create call".

    Attributes:
        uuid: The leg's id.
        raw: The reply as received.
    """

    uuid: str
    raw: dict[str, Any]


class Places(Protocol):
    """A directory of legs and hosts: a call lives in one region, and every other region answers 404."""

    def of(self, uuid: str) -> Session:
        """Return the session for requests about a leg, without asking any host."""
        ...

    def find(self, uuid: str, refusal: NotFoundError, *, is_read: bool, within: float) -> Session:
        """Search other hosts, with reads only, for a leg that the host of :meth:`of` does not know.

        Args:
            refusal: The answer of that host.
            is_read: True if the refused request was a read of the leg's record.
            within: Seconds that the search may take.

        Raises:
            NotFoundError: No other host knows the leg; the error names the hosts that were asked.
            TransportError: No host that answered knows the leg, and one gave no usable answer.
        """
        ...


class VoiceApi:
    """The eleven operations.

    Every method raises the errors of :meth:`~voicectl.api.session.Session.send`.

    Args:
        session: Requests to the base URL.
        places: Finds legs on other hosts; None if there are no others.
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
            on_page: Called after each page; its argument is True if another page follows.
            within: Seconds that each page may take, all tries together.

        Only the query of ``_links.next`` is used, since its path and host cannot be trusted. The search ends at a
        link to a page that was already read, and after :data:`MAX_BARREN_PAGES` pages in a row without a new leg.
        """
        wanted = {
            "status": status,
            "date_start": date_start,
            "date_end": date_end,
            "conversation_uuid": conversation_uuid,
            "page_size": PAGE_SIZE,
            "order": order,
        }
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        seen: set[str] = set()
        asked: set[str] = set()
        barren = 0
        while query not in asked and barren < MAX_BARREN_PAGES:
            asked.add(query)
            known = len(seen)
            page, following = self._session.send(
                Request(Repeat.READ, "GET", f"/v1/calls?{query}", _page, within=within)
            )
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
            within: Seconds that all tries together may take.
            urgent: Go before other requests, as a hangup does.
        """

        def read(body: Any) -> Call:
            call = record(body, Call.from_json)
            if _plain(call.uuid) != _plain(uuid):
                raise NoAnswer("the answer is about another leg")
            return call

        return self._send(
            uuid, Request(Repeat.READ, "GET", _path(uuid), read, within=within, is_urgent=urgent)
        )

    def create_call(self, body: dict[str, Any], *, dials: int = 1) -> CreatedCall:
        """Place a call (``POST /v1/calls``). The request is never repeated once a byte was sent.

        Args:
            body: The request body.
            dials: Number of phones that will ring: the call's own, and one for each ``connect`` of its NCCO.

        Raises:
            OutcomeUnknown: No usable answer came; the call may have been placed.
        """
        return self._session.send(Request(Repeat.NEVER, "POST", "/v1/calls", _created, body, dials))

    def hangup(self, uuid: str, *, within: float = HANGUP_SECONDS) -> None:
        """End a leg, repeating for *within* seconds (``PUT /v1/calls/{uuid}``).

        After a 404 the caller should check with :meth:`get_call`: the leg may be over.
        """
        request = Request(
            Repeat.HANGUP, "PUT", _path(uuid), done, {"action": "hangup"}, within=within, is_urgent=True
        )
        self._at(uuid).send(request)

    def modify(self, uuid: str, action: LegAction) -> None:
        """Mute, unmute, earmuff or unearmuff a leg (``PUT /v1/calls/{uuid}``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "PUT", _path(uuid), done, {"action": action.value}))

    def transfer(self, uuid: str, destination: dict[str, Any], *, dials: int = 0) -> None:
        """Make a leg leave its NCCO and run another (``PUT /v1/calls/{uuid}``).

        Args:
            destination: ``{"type": "ncco", "ncco": [...]}`` or ``{"type": "ncco", "url": [URL]}``.
            dials: Number of ``connect`` actions in the NCCO.
        """
        body = {"action": "transfer", "destination": destination}
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid), done, body, dials=dials))

    def start_talk(self, uuid: str, body: dict[str, Any]) -> None:
        """Speak a text to a leg (``PUT /v1/calls/{uuid}/talk``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid, "/talk"), whole_object, body))

    def stop_talk(self, uuid: str) -> None:
        """Stop the speech (``DELETE /v1/calls/{uuid}/talk``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", _path(uuid, "/talk"), done))

    def start_stream(self, uuid: str, body: dict[str, Any]) -> None:
        """Play an audio file to a leg (``PUT /v1/calls/{uuid}/stream``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid, "/stream"), whole_object, body))

    def stop_stream(self, uuid: str) -> None:
        """Stop the audio file (``DELETE /v1/calls/{uuid}/stream``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", _path(uuid, "/stream"), done))

    def send_dtmf(self, uuid: str, digits: str) -> None:
        """Send DTMF digits to a leg (``PUT /v1/calls/{uuid}/dtmf``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid, "/dtmf"), whole_object, {"digits": digits}))

    def subscribe_dtmf(self, uuid: str, event_url: str) -> None:
        """Send the keys that a leg presses to *event_url* (``PUT /v1/calls/{uuid}/input/dtmf``)."""
        body = {"event_url": [event_url]}
        self._send(uuid, Request(Repeat.HARMLESS, "PUT", _path(uuid, "/input/dtmf"), done, body))

    def unsubscribe_dtmf(self, uuid: str) -> None:
        """Stop sending pressed keys (``DELETE /v1/calls/{uuid}/input/dtmf``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", _path(uuid, "/input/dtmf"), done))

    def host(self, uuid: str) -> str:
        """Return the scheme, host and port that requests about a leg are sent to."""
        return self._at(uuid).origin

    def _at(self, uuid: str) -> Session:
        return self._session if self._places is None else self._places.of(uuid)

    def _send(self, uuid: str, request: Request[T]) -> T:
        """Send *request* to the leg's host; after a 404, which changed nothing, search other hosts for the leg."""
        try:
            return self._at(uuid).send(request)
        except NotFoundError as exc:
            if self._places is None:
                raise
            refusal = exc
        session = self._places.find(uuid, refusal, is_read=request.is_read, within=request.within)
        return session.send(request)


def _plain(uuid: str) -> str:
    """Return a leg's id without hyphens and in lower case, for comparison."""
    return uuid.replace("-", "").lower()


def _path(uuid: str, below: str = "") -> str:
    return f"/v1/calls/{quote(uuid, safe='')}{below}"


def _page(body: Any) -> tuple[list[Call], str | None]:
    """Return the records of a page and the query of the next one."""
    if not isinstance(body, dict):
        raise NoAnswer("the list is not an object")
    calls = fields(body.get("_embedded")).get("calls")
    if not isinstance(calls, list):
        raise NoAnswer("the list holds no calls")
    found = [
        Call.from_json(call)
        for call in calls
        if isinstance(call, dict) and isinstance(call.get("uuid"), str) and call["uuid"]
    ]
    return found, urlencode(next_query(body)) or None


def _created(body: Any) -> CreatedCall:
    uuid = whole_object(body).get("uuid")
    if not isinstance(uuid, str) or not is_leg_id(uuid):
        raise NoAnswer("the answer has no leg id")
    return CreatedCall(uuid, body)
