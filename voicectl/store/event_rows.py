"""Code that both event databases share: it determines which events in a batch are new, and converts rows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from voicectl.errors import StoreError
from voicectl.store.events import MAX_INTEGER, Arrival, Kept, Outcome, Query, Route, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COLUMNS = tuple(field.name for field in fields(Arrival))
"""The names of the columns that contain the attributes of an :class:`Arrival`."""

EVENT_COLUMNS = ("id", "key", "repeats", *COLUMNS)
TOKEN_COLUMNS = ("jti", "key", "seen")
PRUNE_SECONDS = 60.0
"""The minimum interval between two deletions of expired token ids, in seconds."""

_NARROW = ("leg", "leg_begins", "conversation", "reference")

PAGE = 200
"""The maximum number of events on a page. The bodies on a page take up at most 13 MiB."""


@dataclass(slots=True)
class EventRow:
    """An event, with a summary of its arrivals in a batch.

    An arrival is one delivery of a webhook. The platform may deliver the same event more than once.

    Attributes:
        id: The id of the event in the database, or 0 if it is not yet known.
        arrival: The first arrival of the event.
        count: The number of arrivals of the event in the batch.
        is_signed: True if at least one of the arrivals is signed.
        jti: The id of the first token that signed one of the arrivals, or None if there is no such token.
    """

    key: bytes
    arrival: Arrival
    id: int = 0
    count: int = 0
    is_signed: bool = False
    jti: str | None = None

    def add(self, arrival: Arrival) -> None:
        """Count an arrival of the event, and record whether the arrival is signed."""
        self.count += 1
        self.is_signed = self.is_signed or arrival.is_signed
        self.jti = self.jti or arrival.jti

    def values(self) -> tuple[Any, ...]:
        """Return the event's values for the columns :data:`EVENT_COLUMNS`, as types that databases accept."""
        arrival = self.arrival
        found = vars(arrival) | {
            "route": arrival.route.value,
            "kind": str(arrival.kind),
            "is_signed": self.is_signed,
            "jti": self.jti,
        }
        return (self.id, self.key, self.count - 1, *(found[name] for name in COLUMNS))


class Batch:
    """The arrivals to store in one commit: the keys to look up in the database, and the rows to write.

    The keys are computed when a batch is created, before the database is locked.

    Attributes:
        keys: The keys (hashes) of all events in the batch, for looking up the ids of events that are already stored.
        token_ids: The ids of all tokens in the batch, for looking up the events for which the tokens were used
            before.
        newest: The time at which the latest arrival was received, in Unix seconds.
        new: The events to insert, which have no ids yet. :meth:`sort` sets this attribute and the following ones.
        again: The events that are already stored, with their ids.
        tokens: The tokens to insert, each as its id, the key of its event, and the time of receipt in Unix seconds.
    """

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self._arrivals = [(arrival, arrival.key) for arrival in arrivals]
        self._outcomes: list[tuple[Outcome, EventRow | None]] = []
        self.keys = list(dict.fromkeys(key for _, key in self._arrivals))
        self.token_ids = list(dict.fromkeys(jti for each in arrivals if (jti := _token_of(each))))
        self.newest = max(arrival.received for arrival in arrivals)
        self.new: list[EventRow] = []
        self.again: list[EventRow] = []
        self.tokens: list[tuple[str, bytes, float]] = []

    def sort(self, ids: Mapping[bytes, int], tokens: Mapping[str, bytes]) -> None:
        """Determine which arrivals are new, which repeat an event, and which reuse the token of another event.

        Args:
            ids: The id of each event that is already stored, by the event's key.
            tokens: The key of the event that each stored token was used for, by the token's id.
        """
        signed = dict(tokens)
        found: dict[bytes, EventRow] = {}
        for arrival, key in self._arrivals:
            if jti := _token_of(arrival):
                if jti not in signed:
                    signed[jti] = key
                    self.tokens.append((jti, key, arrival.received))
                elif signed[jti] != key:
                    self._outcomes.append((Outcome.REPLAYED, None))
                    continue
            row = found.get(key)
            outcome = Outcome.NEW if row is None and key not in ids else Outcome.REPEATED
            if row is None:
                row = found[key] = EventRow(key, arrival, ids.get(key, 0))
                (self.again if key in ids else self.new).append(row)
            row.add(arrival)
            self._outcomes.append((outcome, row))

    def kept(self) -> list[Kept]:
        """Return the result for each arrival in the batch. The caller must first set the ids of the new events."""
        return [Kept(outcome, row.id if row else 0) for outcome, row in self._outcomes]


def _token_of(arrival: Arrival) -> str | None:
    return arrival.jti if arrival.is_signed else None


def paged(
    query: Query,
    select: Callable[[str, list[Any]], Sequence[Sequence[Any]]],
    *,
    among: str,
    given: Sequence[Any] = (),
    mark: str,
) -> Iterator[Stored]:
    """Yield the events that match *query*. The events are read in pages, and no transaction stays open between pages.

    Args:
        select: A function that runs a ``SELECT`` statement with the given values, and returns the rows.
        among: The table to search and an initial condition, such as ``events WHERE 1 = 1``.
        given: The values for the placeholders in *among*.
        mark: The placeholder for a value: ``?`` or ``%s``.
    """
    oldest: int | None = 1
    ((newest,),) = select(f"SELECT max(id) FROM {among}", [*given])  # noqa: S608 (no text from outside, here and below)
    if query.since is not None:
        # + 0 keeps the planner from looking for the times by reading the index of ids from the first event on.
        bounds, times = Query(since=query.since, before=query.before).where(mark)
        between = f"SELECT min(id + 0), max(id + 0) FROM {among} AND {bounds}"  # noqa: S608
        ((oldest, newest),) = select(between, [*given, *times])
    if newest is None:
        return
    condition, values = query.where(mark)
    asked = f"{among} AND {condition} AND id <= {mark}"
    values = [*given, *values, newest]
    # + 0 if few events match, so that a planner that expects many matches does not read the whole index of ids.
    order = "id + 0" if any(getattr(query, name) is not None for name in _NARROW) else "id"
    if query.last is not None:
        most = min(query.last, MAX_INTEGER)
        ids = f"SELECT id FROM {asked} ORDER BY {order} DESC LIMIT {mark}"  # noqa: S608
        ((oldest,),) = select(f"SELECT min(id) FROM ({ids}) AS ids", [*values, most])  # noqa: S608
    columns = ", ".join(("id", "repeats", *COLUMNS))
    page = f"SELECT {columns} FROM {asked} AND id >= {mark} ORDER BY {order} LIMIT {PAGE}"  # noqa: S608
    while oldest is not None:
        rows = select(page, [*values, oldest])
        yield from map(_stored, rows)
        oldest = rows[-1][0] + 1 if len(rows) == PAGE else None


def _stored(row: Sequence[Any]) -> Stored:
    number, repeats, *values = row
    found = dict(zip(COLUMNS, values, strict=True))
    try:
        route = Route(found["route"])
    except ValueError as exc:
        raise StoreError(
            f"Event {number} in the event store is damaged.",
            hint="Delete old events: voicectl webhook purge",
        ) from exc
    found |= {"route": route, "is_signed": bool(found["is_signed"])}
    return Stored(number, Arrival(**found), repeats)
