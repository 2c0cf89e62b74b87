"""What webhooks told: kept before it is acknowledged, and found again by leg, conversation, status and time.

Two databases keep it: SQLite in the state directory, for one machine, and PostgreSQL, for several receivers and
operators that share one. What both agree on is here. Bytes are kept as they came, whatever they hold; what was read
in them stands beside them, and serves to find them.
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
"""The parameter of an ``event_url`` in which the reference of a call that we created comes back."""

TOKEN_SECONDS = 3600.0
"""How long the id of a signed token is remembered: longer than any verifier takes such a token for fresh."""

MAX_INDEXED = 200
"""Characters of a text by which an event is found; all of it is in the bytes."""

MAX_INTEGER = 2**63 - 1
"""The largest that a database counts to."""

_UNFIT = re.compile("[\0\ud800-\udfff]")  # what no database takes for text


class Route(StrEnum):
    """Where a webhook came in: the last part of its path."""

    ANSWER = "answer"
    EVENT = "event"
    FALLBACK = "fallback"
    RTC = "rtc"


class Outcome(StrEnum):
    """What became of an arrival."""

    NEW = "new"
    REPEATED = "repeated"
    REPLAYED = "replayed"


class Kept(NamedTuple):
    """What became of an arrival that was kept.

    Attributes:
        id: Its own, or that of the same one which came before; 0 for ``replayed``, which was not kept.
    """

    outcome: Outcome
    id: int


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One webhook, as it came and as it was read.

    Attributes:
        received: When, in Unix seconds.
        query: The query of its URL, as it came; that of a GET holds all that is told.
        is_signed: Whether a signature was there, and good.
        jti: The id of the token it was signed with.
        kind: One of ``voice.event.Kind``, also where a fallback stands in for an event; the route for what is none.
        status: What an event tells; of the route ``rtc`` its type: ``member:joined``.
        conversation_from: The conversation that a leg left.
        told: Its own timestamp, in Unix seconds.
        reference: Ours, if it came to an ``event_url`` that had one.
        fault: Why its fields could not be read; None if they could.
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
        """Read what came, as far as it can be read; raises for nothing in it."""
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
        vars(arrival)["fields"] = fields  # they are wanted again, and reading is what costs most
        return arrival

    @property
    def key(self) -> bytes:
        """The same for the same thing told again, whoever signed it and when: 32 bytes.

        A token may come again with nothing else: it vouches for a body, and not for where that is sent.
        """
        parts = (self.route.encode(), self.method.encode(), self.query, self.body)
        whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.sha256(whole).digest()

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What it tells; empty if it could not be read."""
        return read_fields(self.method, self.query, self.body)[0]


class Stored(NamedTuple):
    """An arrival in a store.

    Attributes:
        id: Grows with each one that is kept; what is kept later never has a smaller one.
        repeats: How often it came again.
    """

    id: int
    arrival: Arrival
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which events to find; None asks for all.

    Attributes:
        leg_begins: With what the id of its leg begins: hexadecimal digits and hyphens.
        conversation: One that an event is about, or that a leg left.
        since: Received at or after this time, in Unix seconds; so ``before``: before it.
        after: Of larger ids only.
        last: Only so many of those with the largest ids.
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
        """The condition in SQL, and its values.

        Args:
            mark: What stands for a value: ``?`` or ``%s``.
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
            add("(leg >= ? AND leg < ?)", indexed(begins), indexed(f"{begins}~"))  # ~ is beyond every letter
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
    """The events of one application. A store is used by one thread; each method raises ``StoreError``.

    After an error the next call tries anew, over a new connection if need be.

    Attributes:
        warnings: What its user should know of: why less may be kept, or deleted, than is promised here.
    """

    warnings: list[str]

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Keep all of *arrivals*, durable on return, in one commit.

        One whose token came before with something else is not kept (``replayed``). One that came before is not kept
        twice, and is signed from then on if this one is.
        """

    def find(self, query: Query) -> Iterator[Stored]:
        """The events that *query* asks for and that are there when it is first asked, by their ids."""

    def wait(self, seconds: float) -> None:
        """Wait until more may have been kept than there was at the last call, but no longer than *seconds*."""

    def purge(self, before: float) -> int:
        """Delete, from the disk too, what was received before that time; how many that were."""

    def close(self) -> None:
        """Let go of it."""


def read_fields(method: str, query: bytes, body: bytes) -> tuple[dict[str, Any], str | None]:
    """What a webhook tells, and why that cannot be read: fields and None, or no fields and the reason."""
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
    """*jti*, or where no database takes it, or it is long, a hash of it: two tokens never become one."""
    if not jti or (len(jti) <= MAX_INDEXED and not _UNFIT.search(jti)):
        return jti or None
    return f"sha256:{hashlib.sha256(jti.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _reference(query: bytes) -> str | None:
    return indexed(dict(_pairs(query)).get(REFERENCE_PARAMETER)) if b"=" in query else None


def indexed(value: object) -> str | None:
    """*value* as a text that every database takes, cut to :data:`MAX_INDEXED`; None if it is no text."""
    return _UNFIT.sub("\ufffd", value[:MAX_INDEXED]) if isinstance(value, str) and value else None


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
