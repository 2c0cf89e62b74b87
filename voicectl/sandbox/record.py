"""Call records, and pages of call records, in the format of the Voice API.

Source: Voice API reference, "call record" and ``GET /v1/calls``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from voicectl.sandbox.account.application_body import LEG_PERSISTENCE_TIME
from voicectl.sandbox.account.applications import Application
from voicectl.sandbox.call_clock import DAY_MS
from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.telephony.events import NETWORK, RATE, duration, price
from voicectl.sandbox.telephony.register import Register
from voicectl.sandbox.telephony.state import Leg
from voicectl.times import rfc3339
from voicectl.voice.call import CallStatus

PAGE_SIZE = 10
MAX_PAGE_SIZE = 100


class SortOrder(StrEnum):
    """The order of a list of calls: oldest first or newest first."""

    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The query parameters of ``GET /v1/calls``.

    Attributes:
        date_start: The earliest time at which a call may have been created, in Unix seconds on the host clock. None
            means that there is no limit.
        date_end: The time before which a call must have been created, in Unix seconds on the host clock. None means
            that there is no limit.
        record_index: The number of the page, counted from 0.
        filters: The recognized query parameters, with the values that the client sent. Parameters that select the
            page are omitted.
    """

    status: CallStatus | None
    date_start: float | None
    date_end: float | None
    page_size: int
    record_index: int
    order: SortOrder
    conversation_uuid: str | None
    filters: dict[str, str]


def read_search(query: Mapping[str, str]) -> Search:
    """Read a search from *query*, the query parameters of ``GET /v1/calls``. Unknown parameters are ignored.

    Raises:
        Invalid: A parameter is invalid.
    """
    known = ("status", "date_start", "date_end", "order", "conversation_uuid")
    with Fields(dict(query)) as fields:
        return Search(
            status=fields.choice("status", CallStatus),
            date_start=fields.moment("date_start"),
            date_end=fields.moment("date_end"),
            page_size=fields.digits("page_size", 1, MAX_PAGE_SIZE, default=PAGE_SIZE),
            record_index=fields.digits("record_index", 0, 10**9, default=0),
            order=fields.choice("order", SortOrder) or SortOrder.ASC,
            conversation_uuid=fields.text("conversation_uuid"),
            filters={name: query[name] for name in known if name in query},
        )


def is_kept(leg: Leg, application: Application, now: int) -> bool:
    """Return True if the record of *leg* can still be read at *now*, a time in milliseconds on the call clock.

    After a leg ends, its record is kept for the ``leg_persistence_time`` of *application*.
    """
    return leg.ended_at is None or leg.ended_at > _forgotten(application, now)


def find(
    register: Register, search: Search, application: Application, now: int, *, region: str | None = None
) -> Sequence[Leg]:
    """Return the legs of *application* that match *search* and whose records are kept at *now*, oldest first.

    Unless the search is for dates, or records have been deleted, not every leg of the application is examined.

    Args:
        register: All legs.
        search: The conditions that a record must match.
        application: The application whose legs are searched.
        now: The time on the call clock, in milliseconds. See :func:`is_kept`.
        region: The region to which the search is limited, or None to search all regions.
    """
    own, forgotten = application.id, _forgotten(application, now)
    found = register.of_application(own, search.status)
    if search.conversation_uuid is not None:
        there = register.of_conversation(search.conversation_uuid)
        found = [leg for leg in there if leg.application_id == own and search.status in (None, leg.status)]
    if register.has_ended_by(own, forgotten):
        found = [leg for leg in found if leg.ended_at is None or leg.ended_at > forgotten]
    if region is not None:
        found = [leg for leg in found if leg.region == region]
    if search.date_start is not None:
        found = [leg for leg in found if leg.made_at >= search.date_start]
    if search.date_end is not None:
        found = [leg for leg in found if leg.made_at < search.date_end]
    return found


def page(
    found: Sequence[Leg],
    search: Search,
    url: str,
    *,
    name: str = "calls",
    show: Callable[[Leg], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return one page of the records of the legs in *found*.

    Args:
        found: All legs that match *search*, oldest first.
        search: The search, with the order and the number of the page to return.
        url: The URL of the list, without a query. It must be absolute, because some clients do not accept relative
            links.
        name: The name of the list in ``_embedded``.
        show: A function that returns the record of a leg, or None for :func:`call_record`.
    """
    show = show or call_record
    places = range(len(found))
    if search.order is SortOrder.DESC:
        places = places[::-1]
    start = search.record_index * search.page_size
    last = max(0, math.ceil(len(found) / search.page_size) - 1)

    def link(index: int | None) -> dict[str, str]:
        query = search.filters | {"page_size": str(search.page_size)}
        if index is not None:
            query["record_index"] = str(index)
        return {"href": f"{url}?{urlencode(query)}"}

    links = {"self": link(search.record_index)}
    if found:
        links["first"] = link(None)
        if search.record_index > 0:
            links["prev"] = link(min(search.record_index - 1, last))
        if search.record_index < last:
            links["next"] = link(search.record_index + 1)
        links["last"] = link(last)
    return {
        "count": len(found),
        "page_size": search.page_size,
        "record_index": search.record_index,
        "_embedded": {name: [show(found[i]) for i in places[start : start + search.page_size]]},
        "_links": links,
    }


def call_record(leg: Leg) -> dict[str, Any]:
    """Return the call record of *leg*.

    Only the record of a ``completed`` call contains times, a price and a network.
    """
    return {
        "uuid": leg.uuid,
        "conversation_uuid": leg.conversation.uuid,
        "status": leg.status,
        "direction": leg.direction,
        **_billing(leg),
        "to": {name: value for name, value in leg.to.items() if name != "authorization"},
        "from": leg.from_,
        "_links": {"self": {"href": f"/v1/calls/{leg.uuid}"}},
    }


def created(leg: Leg) -> dict[str, Any]:
    """Return the body of the response to the ``POST /v1/calls`` request that created *leg*."""
    return {
        "uuid": leg.uuid,
        "status": leg.status,
        "direction": leg.direction,
        "conversation_uuid": leg.conversation.uuid,
    }


def _forgotten(application: Application, now: int) -> int:
    """Return the time on the call clock up to which legs must have ended for their records to be deleted at *now*."""
    voice = application.capabilities.get("voice", {})
    return now - int(voice.get("leg_persistence_time", LEG_PERSISTENCE_TIME) * DAY_MS)


def _billing(leg: Leg) -> dict[str, str]:
    if leg.status is not CallStatus.COMPLETED or leg.answered_at is None or leg.ended_at is None:
        return {}
    seconds = duration(leg)
    return {
        "rate": str(RATE),
        "price": price(seconds),
        "duration": str(seconds),
        "network": NETWORK,
        "start_time": rfc3339(leg.answered_at),
        "end_time": rfc3339(leg.ended_at),
    }
