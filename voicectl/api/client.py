"""The Voice API: one method per operation, each saying what repeating it would mean.

Source: Voice API reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from voicectl.api.session import HANGUP_SECONDS, Repeat, done
from voicectl.api.wire import NoAnswer
from voicectl.voice.call import Call, is_leg_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voicectl.api.session import Session

PAGE_SIZE = 100
MAX_BARREN_PAGES = 3


class LegAction(StrEnum):
    """What ``PUT /v1/calls/{uuid}`` does that is harmless twice."""

    MUTE = "mute"
    UNMUTE = "unmute"
    EARMUFF = "earmuff"
    UNEARMUFF = "unearmuff"


@dataclass(frozen=True, slots=True)
class Created:
    """The reply to "create call".

    Attributes:
        uuid: The leg's id.
        raw: The reply as received.
    """

    uuid: str
    raw: dict[str, Any]


class VoiceApi:
    """The eleven operations.

    Every method raises the errors of :meth:`Session.read` or :meth:`Session.change`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

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

        return self._session.read(_path(uuid), read, within=within, urgent=urgent)

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
        """End a leg, repeating for *within* seconds (``PUT /v1/calls/{uuid}``)."""
        self._session.change("PUT", _path(uuid), {"action": "hangup"}, Repeat.HANGUP, done, within=within)

    def modify(self, uuid: str, action: LegAction) -> None:
        """Mute, unmute, earmuff or unearmuff a leg (``PUT /v1/calls/{uuid}``)."""
        self._session.change("PUT", _path(uuid), {"action": action.value}, Repeat.HARMLESS, done)

    def transfer(self, uuid: str, destination: dict[str, Any], *, dials: int = 0) -> None:
        """Have a leg leave its NCCO and run another (``PUT /v1/calls/{uuid}``).

        Args:
            destination: ``{"type": "ncco", "ncco": [...]}`` or ``{"type": "ncco", "url": [URL]}``.
            dials: How many ``connect`` actions the NCCO holds.
        """
        body = {"action": "transfer", "destination": destination}
        self._session.change("PUT", _path(uuid), body, Repeat.NEVER, done, dials=dials)

    def start_talk(self, uuid: str, body: dict[str, Any]) -> None:
        """Say a text on a leg (``PUT /v1/calls/{uuid}/talk``)."""
        self._session.change("PUT", _path(uuid, "/talk"), body, Repeat.NEVER, _object)

    def stop_talk(self, uuid: str) -> None:
        """Stop what is being said (``DELETE /v1/calls/{uuid}/talk``)."""
        self._session.change("DELETE", _path(uuid, "/talk"), None, Repeat.HARMLESS, done)

    def start_stream(self, uuid: str, body: dict[str, Any]) -> None:
        """Play an audio file on a leg (``PUT /v1/calls/{uuid}/stream``)."""
        self._session.change("PUT", _path(uuid, "/stream"), body, Repeat.NEVER, _object)

    def stop_stream(self, uuid: str) -> None:
        """Stop the audio file (``DELETE /v1/calls/{uuid}/stream``)."""
        self._session.change("DELETE", _path(uuid, "/stream"), None, Repeat.HARMLESS, done)

    def send_dtmf(self, uuid: str, digits: str) -> None:
        """Press keys on a leg (``PUT /v1/calls/{uuid}/dtmf``)."""
        self._session.change("PUT", _path(uuid, "/dtmf"), {"digits": digits}, Repeat.NEVER, _object)

    def subscribe_dtmf(self, uuid: str, event_url: str) -> None:
        """Have the keys a leg presses sent to *event_url* (``PUT /v1/calls/{uuid}/input/dtmf``)."""
        body = {"event_url": [event_url]}
        self._session.change("PUT", _path(uuid, "/input/dtmf"), body, Repeat.HARMLESS, done)

    def unsubscribe_dtmf(self, uuid: str) -> None:
        """End that (``DELETE /v1/calls/{uuid}/input/dtmf``)."""
        self._session.change("DELETE", _path(uuid, "/input/dtmf"), None, Repeat.HARMLESS, done)


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
