"""The Voice API: one method per operation, each saying what repeating it would mean.

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

    Every method raises the errors of :meth:`~voicectl.api.session.Session.send`.

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
            within: Seconds that it may take, all tries together.
            urgent: Go before other requests, as a hang-up does.
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
        """Place a call (``POST /v1/calls``). Never repeated once a byte was sent.

        Args:
            body: The request as the API takes it.
            dials: Phones that it makes ring: itself, and each ``connect`` of its NCCO.

        Raises:
            OutcomeUnknown: No usable answer came; the call may have been placed.
        """
        return self._session.send(Request(Repeat.NEVER, "POST", "/v1/calls", _created, body, dials))

    def hangup(self, uuid: str, *, within: float = HANGUP_SECONDS) -> None:
        """End a leg, repeating for *within* seconds (``PUT /v1/calls/{uuid}``).

        A 404 is looked into by whoever asks for it, with :meth:`get_call`: the leg may be over.
        """
        request = Request(
            Repeat.HANGUP, "PUT", _path(uuid), done, {"action": "hangup"}, within=within, is_urgent=True
        )
        self._at(uuid).send(request)

    def modify(self, uuid: str, action: LegAction) -> None:
        """Mute, unmute, earmuff or unearmuff a leg (``PUT /v1/calls/{uuid}``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "PUT", _path(uuid), done, {"action": action.value}))

    def transfer(self, uuid: str, destination: dict[str, Any], *, dials: int = 0) -> None:
        """Have a leg leave its NCCO and run another (``PUT /v1/calls/{uuid}``).

        Args:
            destination: ``{"type": "ncco", "ncco": [...]}`` or ``{"type": "ncco", "url": [URL]}``.
            dials: How many ``connect`` actions the NCCO holds.
        """
        body = {"action": "transfer", "destination": destination}
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid), done, body, dials=dials))

    def start_talk(self, uuid: str, body: dict[str, Any]) -> None:
        """Say a text on a leg (``PUT /v1/calls/{uuid}/talk``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid, "/talk"), whole_object, body))

    def stop_talk(self, uuid: str) -> None:
        """Stop what is being said (``DELETE /v1/calls/{uuid}/talk``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", _path(uuid, "/talk"), done))

    def start_stream(self, uuid: str, body: dict[str, Any]) -> None:
        """Play an audio file on a leg (``PUT /v1/calls/{uuid}/stream``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid, "/stream"), whole_object, body))

    def stop_stream(self, uuid: str) -> None:
        """Stop the audio file (``DELETE /v1/calls/{uuid}/stream``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", _path(uuid, "/stream"), done))

    def send_dtmf(self, uuid: str, digits: str) -> None:
        """Press keys on a leg (``PUT /v1/calls/{uuid}/dtmf``)."""
        self._send(uuid, Request(Repeat.NEVER, "PUT", _path(uuid, "/dtmf"), whole_object, {"digits": digits}))

    def subscribe_dtmf(self, uuid: str, event_url: str) -> None:
        """Have the keys a leg presses sent to *event_url* (``PUT /v1/calls/{uuid}/input/dtmf``)."""
        body = {"event_url": [event_url]}
        self._send(uuid, Request(Repeat.HARMLESS, "PUT", _path(uuid, "/input/dtmf"), done, body))

    def unsubscribe_dtmf(self, uuid: str) -> None:
        """End that (``DELETE /v1/calls/{uuid}/input/dtmf``)."""
        self._send(uuid, Request(Repeat.HARMLESS, "DELETE", _path(uuid, "/input/dtmf"), done))

    def host(self, uuid: str) -> str:
        """Where requests about a leg go, as far as is known: scheme, host and port."""
        return self._at(uuid).origin

    def _at(self, uuid: str) -> Session:
        return self._session if self._places is None else self._places.of(uuid)

    def _send(self, uuid: str, request: Request[T]) -> T:
        """Send *request* where the leg is, once: a 404 changed nothing, and only then it is asked for elsewhere."""
        try:
            return self._at(uuid).send(request)
        except NotFoundError as exc:
            if self._places is None:
                raise
            refusal = exc
        session = self._places.find(uuid, refusal, is_read=request.is_read, within=request.within)
        return session.send(request)


def _plain(uuid: str) -> str:
    """A leg's id without what may be written one way or another."""
    return uuid.replace("-", "").lower()


def _path(uuid: str, below: str = "") -> str:
    return f"/v1/calls/{quote(uuid, safe='')}{below}"


def _page(body: Any) -> tuple[list[Call], str | None]:
    """The records of a page and the query of the next one."""
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
