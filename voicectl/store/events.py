"""The event store, which stores webhook events before they are acknowledged.

Events can be found by leg, conversation, status and time. There are two databases: SQLite in the state directory, for
one machine, and PostgreSQL, shared by several receivers and operators. This module defines their common interface.
The bytes of a webhook are stored as received. Some of its fields are also stored as columns, for searching.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self
from urllib.parse import parse_qsl

from voicectl import strict_json
from voicectl.voice import event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REFERENCE_PARAMETER = "vc"
"""The query parameter of an ``event_url`` with the reference of the call that voicectl created."""

TOKEN_SECONDS = 3600.0
"""How long the id of a signed token is remembered, in seconds. Verifiers accept a token for a shorter time."""

MAX_INDEXED = 200
"""The maximum length of a text in a column. The stored bytes of the webhook contain the whole text."""

MAX_INTEGER = 2**63 - 1
"""The largest integer that both databases can store."""

_UNFIT = re.compile("[\0\ud800-\udfff]")  # characters that databases cannot store in a text


class Route(StrEnum):
    """The route on which a webhook arrived: the last part of its path."""

    ANSWER = "answer"
    EVENT = "event"
    FALLBACK = "fallback"
    RTC = "rtc"


class Outcome(StrEnum):
    """The outcome of adding an arrival to a store."""

    NEW = "new"
    REPEATED = "repeated"
    REPLAYED = "replayed"


class Kept(NamedTuple):
    """The result of adding an arrival.

    Attributes:
        id: The id of the stored event, whether new or repeated; 0 for ``replayed``, since nothing is stored.
    """

    outcome: Outcome
    id: int


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One webhook: its bytes as received, and the fields read from them.

    Attributes:
        received: The time of receipt, in Unix seconds.
        query: The query of the request's URL as received. For a GET, it contains all fields.
        is_signed: True if the webhook has a valid signature.
        jti: The id of the token that signed the webhook.
        kind: For an event, even one sent to the fallback route, a ``voice.event.Kind``; otherwise the route.
        status: The status of an event. For the route ``rtc``, the event's type, such as ``member:joined``.
        conversation_from: The conversation that a leg left.
        told: The event's own timestamp, in Unix seconds.
        reference: The reference in the ``event_url``, or None if the URL contains none.
        fault: The reason why the fields could not be read, or None if they were read.
    """

    received: float
    route: Route
    method: str
    query: bytes
    body: bytes
    is_signed: bool
    jti: str | None = None
    kind: str
    leg: str | None = None
    conversation: str | None = None
    conversation_from: str | None = None
    status: str | None = None
    told: float | None = None
    reference: str | None = None
    fault: str | None = None

    @classmethod
    def read(
        cls,
        *,
        received: float,
        route: Route,
        method: str,
        query: bytes,
        body: bytes,
        is_signed: bool,
        jti: str | None = None,
    ) -> Self:
        """Create an arrival from a webhook, with every field that can be read. Malformed content raises no error."""
        fields, fault = read_fields(method, query, body)
        is_event = route is Route.EVENT or (route is Route.FALLBACK and event.is_about_event(fields))
        kind: str = event.kind_of(fields) if is_event else route
        if route is Route.RTC:
            status, leg, conversation = event.rtc_of(fields)
        else:
            status, leg, conversation = (
                fields.get("status"),
                event.leg_of(fields),
                event.conversation_of(fields),
            )
        arrival = cls(
            received=received,
            route=route,
            method=method,
            query=query,
            body=body,
            is_signed=is_signed,
            jti=_token_id(jti),
            kind=kind,
            leg=leg,
            conversation=indexed(conversation),
            conversation_from=indexed(fields.get("conversation_uuid_from")),
            status=indexed(status),
            told=event.time_of(fields),
            reference=_reference(query),
            fault=fault,
        )
        vars(arrival)["fields"] = fields  # keep the fields: reading is the most expensive part
        return arrival

    @property
    def key(self) -> bytes:
        """A hash of 32 bytes that is equal for repeated deliveries, whatever their signatures.

        The hash includes the route and query, since a token signs only the body. Otherwise, a replayed token with the
        same body on another route would count as a repetition.
        """
        parts = (self.route.encode(), self.method.encode(), self.query, self.body)
        whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.sha256(whole).digest()

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of the event, or an empty dictionary if they could not be read."""
        return read_fields(self.method, self.query, self.body)[0]


class Stored(NamedTuple):
    """An arrival in a store.

    Attributes:
        id: The id of the event. Events that are stored later have larger ids.
        repeats: The number of repeated deliveries.
    """

    id: int
    arrival: Arrival
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Conditions that events must match. An attribute that is None imposes no condition.

    Attributes:
        leg_begins: The beginning of the leg's id: hexadecimal digits and hyphens.
        conversation: The conversation that an event is about, or that a leg left.
        since: The earliest time of receipt, in Unix seconds.
        before: The time, in Unix seconds, before which events must have been received.
        after: The id that the ids of events must exceed.
        last: The maximum number of events to return. Those with the largest ids are returned.
    """

    ids: tuple[int, ...] | None = None
    leg: str | None = None
    leg_begins: str | None = None
    conversation: str | None = None
    status: str | None = None
    kinds: tuple[str, ...] | None = None
    reference: str | None = None
    since: float | None = None
    before: float | None = None
    after: int | None = None
    last: int | None = None

    def where(self, mark: str) -> tuple[str, list[Any]]:
        """Return the conditions as an SQL expression, and the values for its placeholders.

        Args:
            mark: The placeholder for a value: ``?`` or ``%s``.
        """
        conditions, values = ["1 = 1"], list[Any]()

        def add(condition: str, *given: Any) -> None:
            conditions.append(condition.replace("?", mark))
            values.extend(given)

        if self.ids is not None:
            ids = [each for each in self.ids if 0 < each <= MAX_INTEGER]
            add(f"id IN ({', '.join('?' * len(ids)) or 'NULL'})", *ids)
        for name in ("leg", "status", "reference"):
            if (text := getattr(self, name)) is not None:
                add(f"{name} = ?", indexed(text))
        if self.leg_begins is not None:
            begins = self.leg_begins.lower()
            add("(leg >= ? AND leg < ?)", indexed(begins), indexed(f"{begins}~"))  # ~ is after all letters
        if self.conversation is not None:
            add("(conversation = ? OR conversation_from = ?)", *[indexed(self.conversation)] * 2)
        if self.kinds is not None:
            kinds = [indexed(str(each)) for each in self.kinds]
            add(f"kind IN ({', '.join('?' * len(kinds)) or 'NULL'})", *kinds)
        if self.since is not None:
            add("received >= ?", self.since)
        if self.before is not None:
            add("received < ?", self.before)
        if self.after is not None:
            add("id > ?", min(self.after, MAX_INTEGER))
        return " AND ".join(conditions), values


class EventStore(Protocol):
    """A store of the events of one application, for use by one thread.

    Each method may raise ``StoreError``. After an error, the next call tries again, over a new connection if
    necessary.

    Attributes:
        warnings: Warnings for the user, such as settings of the database that may lose events.
    """

    warnings: list[str]

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Store all *arrivals* in one commit, durable on return.

        An arrival whose token came with another event before is not stored; its outcome is ``replayed``. A repeated
        event is not stored twice, but a stored event without a signature becomes signed if a repetition is signed.
        """

    def find(self, query: Query) -> Iterator[Stored]:
        """Yield the events that match *query*, in order of their ids.

        Events that are stored after the search begins are left out.
        """

    def wait(self, seconds: float) -> None:
        """Wait until new events may have been stored since the last call, but no longer than *seconds*."""

    def purge(self, before: float) -> int:
        """Delete the events received before a time in Unix seconds, also from the disk; return their number."""

    def close(self) -> None:
        """Close the store."""


def read_fields(method: str, query: bytes, body: bytes) -> tuple[dict[str, Any], str | None]:
    """Return the fields of a webhook and None, or no fields and the reason why they cannot be read."""
    if method == "GET":
        return event.from_query(_pairs(query)), None
    try:
        found = strict_json.loads(body.decode(), has_unique_keys=True, max_depth=event.MAX_DEPTH)
    except UnicodeDecodeError:
        return {}, "it is not UTF-8"
    except (ValueError, RecursionError) as exc:
        return {}, f"it is not JSON: {str(exc)[:100]}"
    return (found, None) if isinstance(found, dict) else ({}, "it is not a JSON object")


def _token_id(jti: str | None) -> str | None:
    """Return *jti*, or its hash if it is too long or cannot be stored. Different ids remain different."""
    if not jti or (len(jti) <= MAX_INDEXED and not _UNFIT.search(jti)):
        return jti or None
    return f"sha256:{hashlib.sha256(jti.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _reference(query: bytes) -> str | None:
    return indexed(dict(_pairs(query)).get(REFERENCE_PARAMETER)) if b"=" in query else None


def indexed(value: object) -> str | None:
    """Return *value* as a text that every database accepts, or None if *value* is empty or not a text.

    A text that is longer than :data:`MAX_INDEXED` characters is cut.
    """
    return _UNFIT.sub("\ufffd", value[:MAX_INDEXED]) if isinstance(value, str) and value else None


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
