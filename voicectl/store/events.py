"""The common interface of the event stores, in which webhook events are stored before they are acknowledged.

Events can be found by leg, conversation, status and time. There are two event stores: an SQLite database in the state
directory, for one machine, and a PostgreSQL database that several receivers and operators share. The bytes of a
webhook are stored as received. Some of the fields are also stored in columns, for searching.
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
"""The name of the query parameter that contains a call's reference in the call's ``event_url``."""

BATCH_PATH = "/webhooks/batch/"
"""The beginning of the paths at which the keys that people press in calls of a batch are received.

The rest of the path is the token of the attempt, which no one else can guess. It is stored as the reference.
"""

TOKEN_SECONDS = 3600.0
"""How long the id of a token is stored, in seconds. The receiver accepts a token only for a shorter time."""

MAX_INDEXED = 200
"""The maximum length of a text in a column, in characters. The stored webhook still contains the whole text."""

MAX_INTEGER = 2**63 - 1
"""The largest integer that both databases can store."""

_UNFIT = re.compile("[\0\ud800-\udfff]")  # characters that databases cannot store in a text


class Route(StrEnum):
    """The route on which a webhook arrived: the last part of the URL's path."""

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
    """The result of adding an arrival to a store.

    Attributes:
        id: The id of the stored event, or 0 if the outcome is ``replayed``, since nothing is then stored.
    """

    outcome: Outcome
    id: int


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One delivery of a webhook: the bytes as received, and the fields read from them.

    Attributes:
        received: The time of receipt, in Unix seconds.
        query: The query string of the request's URL, as received. In a GET request, it contains all fields.
        is_signed: True if the webhook has a valid signature.
        jti: The id (``jti`` claim) of the token that signed the webhook, or None if there is no such id.
        kind: A ``voicectl.voice.event.Kind`` if the webhook reports an event (even on the fallback route), or the
            route if it does not.
        status: The status in the event or, on the route ``rtc``, the type of the event, such as ``member:joined``.
        conversation_from: The id of the conversation that the leg has left, or None if the event reports no such
            conversation.
        told: The timestamp in the event, in Unix seconds, or None if the event has none.
        reference: The call's reference from the query of the ``event_url``, or the token in a path of a batch, or
            None.
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
        path: bytes = b"",
    ) -> Self:
        """Create an arrival with every field that can be read. Malformed content does not cause an exception."""
        fields, fault = read_fields(method, query, body)
        is_event = route is Route.EVENT or (route is Route.FALLBACK and event.is_about_event(fields))
        kind: str = event.kind_of(fields) if is_event else route
        if kind == event.Kind.UNKNOWN and "original_request" in fields:
            kind = Route.FALLBACK  # it repeats nothing of the event that it replaces
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
            leg=indexed(leg),
            conversation=indexed(conversation),
            conversation_from=indexed(fields.get("conversation_uuid_from")),
            status=indexed(status),
            told=event.time_of(fields),
            reference=_token_in(path) or _reference(query),
            fault=fault,
        )
        vars(arrival)["fields"] = fields  # keep the fields, since reading them takes the most time
        vars(arrival)["path"] = path
        return arrival

    @property
    def asks_for_ncco(self) -> bool:
        """True if a call waits for an NCCO: on the route ``answer``, or on ``fallback`` in place of ``answer``."""
        return self.route is Route.ANSWER or (
            self.route is Route.FALLBACK and not event.is_about_event(self.fields)
        )

    @property
    def key(self) -> bytes:
        """A 32-byte hash that is the same for all deliveries of the same webhook, whatever their signatures.

        The hash includes the route, path and query, since a token signs only the body. Without them, a token and body
        that are replayed on another route would count as another delivery of the same webhook.
        """
        parts = [self.route.encode(), self.method.encode(), self.query, self.body]
        parts += [self.path] if self.path else []
        whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.sha256(whole).digest()

    @cached_property
    def path(self) -> bytes:
        """The path of the request, unless it is one of the receiver's own paths. The stores do not keep it."""
        return b""

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of the webhook, or an empty dictionary if they could not be read."""
        return read_fields(self.method, self.query, self.body)[0]


class Stored(NamedTuple):
    """An event in a store.

    Attributes:
        id: The id of the event. Events that are stored later have larger ids.
        arrival: The first arrival of the event.
        repeats: The number of later arrivals of the same event.
    """

    id: int
    arrival: Arrival
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Conditions that events must match. An attribute that is None imposes no condition.

    Attributes:
        leg_begins: A prefix of a leg's id: hexadecimal digits and hyphens.
        conversation: The id of the conversation that an event is about, or that a leg has left.
        since: The earliest time of receipt, in Unix seconds.
        before: The time before which events must have been received, in Unix seconds.
        after: An id. The ids of matching events must be greater than this id.
        last: The maximum number of events to return. If more events match, the latest ones are returned.
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
            add("(leg >= ? AND leg < ?)", indexed(begins), indexed(f"{begins}~"))  # ~ sorts after all letters
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
    """A store for the events of one application, for use by one thread at a time.

    Each method may raise ``StoreError``. After such an error, the store can still be used, and reconnects to the
    database if necessary.
    """

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user, for example about database settings that may cause the loss of events."""

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Store all *arrivals* in one durable commit, and return the result for each arrival.

        An arrival is not stored if its token was already used for another event; the outcome is then ``replayed``. A
        repeated event is not stored again, but if the new arrival is signed, the stored event becomes signed.
        """

    def find(self, query: Query) -> Iterator[Stored]:
        """Yield the events that match *query*, in the order of their ids.

        Events that are stored after the search begins are left out.
        """

    def wait(self, seconds: float) -> None:
        """Wait for up to *seconds* seconds. Return early if events may have been stored since the last call."""

    def purge(self, before: float) -> int:
        """Delete the events received before the time *before*, erase them from disk, and return their number.

        The time is in Unix seconds.
        """

    def close(self) -> None:
        """Close the store."""


def read_fields(method: str, query: bytes, body: bytes) -> tuple[dict[str, Any], str | None]:
    """Return a webhook's fields, and the reason if they cannot be read.

    If the fields can be read, the reason is None. If not, the fields are an empty dictionary.
    """
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
    """Return the token id *jti*, or a hash of it if it is too long or contains unsuitable characters."""
    if not jti or (len(jti) <= MAX_INDEXED and not _UNFIT.search(jti)):
        return jti or None
    return f"sha256:{hashlib.sha256(jti.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _token_in(path: bytes) -> str | None:
    return indexed(path.decode("latin-1").removeprefix(BATCH_PATH)) if is_for_batch(path) else None


def is_for_batch(path: bytes) -> bool:
    """Return True if a request to *path* reports the keys that a person pressed in a call of a batch."""
    return path.startswith(BATCH_PATH.encode())


def _reference(query: bytes) -> str | None:
    return indexed(dict(_pairs(query)).get(REFERENCE_PARAMETER)) if b"=" in query else None


def indexed(value: object) -> str | None:
    """Return *value* as a string that both databases can store, or None if *value* is empty or not a string.

    The string is truncated to :data:`MAX_INDEXED` characters.
    """
    return _UNFIT.sub("\ufffd", value[:MAX_INDEXED]) if isinstance(value, str) and value else None


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
