"""A client for the Voice API, with one method per operation.

Each method specifies whether and how its request may be retried (see :class:`~voicectl.api.repetition.Repeat`).

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
from voicectl.voice.call import Call, LegAction, is_leg_id, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.api.session import Session

T = TypeVar("T")

PAGE_SIZE = 100
MAX_BARREN_PAGES = 3


class CreatedCall(NamedTuple):
    """The reply to a "create call" request.

    Attributes:
        uuid: The id of the created leg.
        raw: The whole reply, decoded from JSON.
    """

    uuid: str
    raw: dict[str, Any]


class Places(Protocol):
    """A directory that maps each leg to its API host.

    A call exists in only one region. The hosts of all other regions respond to requests about the call with 404.
    """

    def of(self, uuid: str) -> Session:
        """Return the session for requests about the leg *uuid*. This method sends no request."""
        ...

    def spelling(self, uuid: str) -> str:
        """Return the leg id *uuid* as the API spells it, or unchanged if no search has found another spelling."""
        ...

    def find(
        self, uuid: str, refusal: NotFoundError, *, is_read: bool, within: float, is_exact: bool = False
    ) -> Session:
        """Search for the leg *uuid*, and return the session for the host that has the leg.

        Call this method if the host chosen by :meth:`of` responded with 404. The search also asks for the other
        spellings of the id (see :func:`~voicectl.voice.call.spellings`), and changes nothing.

        Args:
            refusal: The error for the 404 response.
            is_read: True if the refused request only reads the leg's record.
            within: The time limit for the search, in seconds.
            is_exact: True if no other spelling of the id need be asked for.

        Raises:
            NotFoundError: No host has the leg. The error names the hosts that were searched.
            TransportError: At least one host gave no usable response, and no other host has the leg.
        """
        ...


class VoiceApi:
    """A client for all operations of the Voice API.

    Every method that sends a request raises the same errors as :meth:`~voicectl.api.session.Session.send`.

    Args:
        session: The session for requests to the base URL.
        places: The directory of legs on all hosts, or None if there is only one host.
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
        """Search the API's call records page by page, and yield each leg once (``GET /v1/calls``).

        Only the query string of the link ``_links.next`` is used, since the path and host of the link cannot be
        trusted. The search ends when a link leads to a page that was already read, or after :data:`MAX_BARREN_PAGES`
        consecutive pages without a new leg.

        Args:
            status: The status to search for. The API accepts only one status.
            date_start: The start of the time range to search, in UTC and RFC 3339 format.
            date_end: The end of the time range to search (exclusive), in UTC and RFC 3339 format.
            order: ``desc`` for the newest records first, or ``asc`` for the oldest records first.
            on_page: A function that is called after each page, with True if another page follows.
            within: The time limit for each page, including retries, in seconds.
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

    def get_call(
        self, uuid: str, *, within: float = math.inf, urgent: bool = False, is_exact: bool = False
    ) -> Call:
        """Fetch one leg (``GET /v1/calls/{uuid}``).

        Args:
            within: The time limit for all attempts together, in seconds.
            urgent: True to send the request before others, with the same priority as a hangup.
            is_exact: True if the platform has reported the id as it is, so that no other spelling need be asked for.
        """

        def read(body: Any) -> Call:
            call = record(body, Call.from_json)
            if plain(call.uuid) != plain(uuid):
                raise NoAnswer("the response describes a different leg")
            return call

        request = Request(Repeat.READ, "GET", "", read, within=within, is_urgent=urgent)
        return self._send(uuid, request, is_exact=is_exact)

    def create_call(self, body: dict[str, Any], *, dials: int = 1) -> CreatedCall:
        """Place a call (``POST /v1/calls``). The request is never retried once any part of it has been sent.

        Args:
            body: The request body.
            dials: The number of phones that will ring: the called phone, and one for each ``connect`` action in the
                NCCO.

        Raises:
            OutcomeUnknown: No usable response was received, so the call may or may not have been placed.
        """
        return self._session.send(Request(Repeat.NEVER, "POST", "/v1/calls", _created, body, dials))

    def hangup(self, uuid: str, *, within: float = HANGUP_SECONDS) -> None:
        """End a leg (``PUT /v1/calls/{uuid}``). Failed requests are retried for up to *within* seconds.

        A 404 response may mean that the leg has already ended. The caller should check this with :meth:`get_call`.
        """
        request = Request(Repeat.HANGUP, "PUT", "", done, {"action": "hangup"}, within=within, is_urgent=True)
        self._at(uuid).send(self._about(uuid, request))

    def modify(self, uuid: str, action: LegAction) -> None:
        """Mute, unmute, earmuff or unearmuff a leg (``PUT /v1/calls/{uuid}``).

        An earmuffed leg cannot hear the other legs.
        """
        self._send(uuid, Request(Repeat.HARMLESS, "PUT", "", done, {"action": action.value}))

    def transfer(self, uuid: str, destination: dict[str, Any], *, dials: int = 0) -> None:
        """Replace the NCCO that a leg runs (``PUT /v1/calls/{uuid}``).

        Args:
            destination: ``{"type": "ncco", "ncco": [...]}`` or ``{"type": "ncco", "url": [URL]}``.
            dials: The number of ``connect`` actions in the new NCCO.
        """
        body = {"action": "transfer", "destination": destination}
        self._send(uuid, Request(Repeat.NEVER, "PUT", "", done, body, dials=dials))

    def start_talk(self, uuid: str, body: dict[str, Any]) -> None:
        """Speak text to a leg (``PUT /v1/calls/{uuid}/talk``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", "/talk", whole_object, body))

    def stop_talk(self, uuid: str) -> None:
        """Stop speaking to a leg (``DELETE /v1/calls/{uuid}/talk``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", "/talk", done))

    def start_stream(self, uuid: str, body: dict[str, Any]) -> None:
        """Play an audio file to a leg (``PUT /v1/calls/{uuid}/stream``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", "/stream", whole_object, body))

    def stop_stream(self, uuid: str) -> None:
        """Stop playing an audio file to a leg (``DELETE /v1/calls/{uuid}/stream``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", "/stream", done))

    def send_dtmf(self, uuid: str, digits: str) -> None:
        """Send DTMF digits to a leg (``PUT /v1/calls/{uuid}/dtmf``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", "/dtmf", whole_object, {"digits": digits}))

    def subscribe_dtmf(self, uuid: str, event_url: str) -> None:
        """Make the platform report key presses on a leg to *event_url* (``PUT /v1/calls/{uuid}/input/dtmf``)."""
        body = {"event_url": [event_url]}
        self._send(uuid, Request(Repeat.HARMLESS, "PUT", "/input/dtmf", done, body))

    def unsubscribe_dtmf(self, uuid: str) -> None:
        """Make the platform stop reporting key presses on a leg (``DELETE /v1/calls/{uuid}/input/dtmf``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", "/input/dtmf", done))

    def spelling(self, uuid: str) -> str:
        """Return the leg id *uuid* as the API spells it, or unchanged if it was accepted or was not sent yet."""
        return uuid if self._places is None else self._places.spelling(uuid)

    def host(self, uuid: str) -> str:
        """Return the scheme, host and port to which requests about a leg are sent, as a URL."""
        return self._at(uuid).origin

    def _at(self, uuid: str) -> Session:
        return self._session if self._places is None else self._places.of(uuid)

    def _send(self, uuid: str, request: Request[T], *, is_exact: bool = False) -> T:
        """Send *request* to the leg's host.

        After a 404 response, the request is sent again if the leg is found on another host or by another spelling of
        its id.

        Args:
            request: The request. Its target is what follows the leg's id in the path, such as ``/talk``.
            is_exact: True if no other spelling of the id need be asked for.
        """
        try:
            return self._at(uuid).send(self._about(uuid, request))
        except NotFoundError as exc:
            if self._places is None:
                raise
            refusal = exc
        session = self._places.find(
            uuid, refusal, is_read=request.is_read, within=request.within, is_exact=is_exact
        )
        return session.send(self._about(uuid, request))

    def _about(self, uuid: str, request: Request[T]) -> Request[T]:
        return request._replace(target=_path(self.spelling(uuid), request.target))


def _path(uuid: str, below: str = "") -> str:
    return f"/v1/calls/{quote(uuid, safe='')}{below}"


def _page(body: Any) -> tuple[list[Call], str | None]:
    """Return the calls on a page, and the query string for the next page (None on the last page)."""
    if not isinstance(body, dict):
        raise NoAnswer("the response is not an object")
    calls = fields(body.get("_embedded")).get("calls")
    if not isinstance(calls, list):
        raise NoAnswer("the response contains no list of calls")
    found = [
        Call.from_json(call)
        for call in calls
        if isinstance(call, dict) and isinstance(call.get("uuid"), str) and call["uuid"]
    ]
    return found, urlencode(next_query(body)) or None


def _created(body: Any) -> CreatedCall:
    uuid = whole_object(body).get("uuid")
    if not isinstance(uuid, str) or not is_leg_id(uuid):
        raise NoAnswer("the response has no leg id")
    return CreatedCall(uuid, body)
