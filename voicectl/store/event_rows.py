"""What both databases of events do alike: what of a batch is new, and how rows are written and read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from voicectl.store.events import MAX_INTEGER, Arrival, Kept, Outcome, Query, Route, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COLUMNS = tuple(field.name for field in fields(Arrival))
"""The columns that hold an arrival."""

EVENT_COLUMNS = ("id", "key", "repeats", *COLUMNS)
TOKEN_COLUMNS = ("jti", "key", "seen")
PRUNE_SECONDS = 60.0
"""How often tokens that are no longer fresh are deleted, at most."""

_NARROW = ("leg", "leg_begins", "conversation", "reference")

PAGE = 200
"""Events read at once: at most 13 MiB of bodies."""


@dataclass(slots=True)
class EventRow:
    """An event, with all that a batch has of it.

    Attributes:
        id: 0 until it is known.
        arrival: The first that told it.
        count: How many did.
        is_signed: Whether one of them is, and ``jti`` the token that one has.
    """

    key: bytes
    arrival: Arrival
    id: int = 0
    count: int = 0
    is_signed: bool = False
    jti: str | None = None

    def add(self, arrival: Arrival) -> None:
        """Take one more that tells it."""
        self.count += 1
        self.is_signed = self.is_signed or arrival.is_signed
        self.jti = self.jti or arrival.jti

    def values(self) -> tuple[Any, ...]:
        """Return the values of :data:`EVENT_COLUMNS`, of plain types only."""
        arrival = self.arrival
        found = vars(arrival) | {
            "route": arrival.route.value,
            "kind": str(arrival.kind),
            "is_signed": self.is_signed,
            "jti": self.jti,
        }
        return (self.id, self.key, self.count - 1, *(found[name] for name in COLUMNS))


class Batch:
    """Arrivals for one commit: what a database has to be asked of them, and what is then to be written.

    Hashes are made at once, before a database is locked.

    Attributes:
        keys: Of its events. Of those that are kept already, the ids are asked for.
        token_ids: Of its tokens. Of those that came before, the keys of what they came with are asked for.
        newest: When the last of it was received.
        new: The events to be kept, without ids; there once it is sorted, as is all below.
        again: Those that are kept already, with their ids.
        tokens: The tokens that did not come before, each with the hash and when it was received.
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
        """Sort it, given what was asked for."""
        vouched = dict(tokens)
        found: dict[bytes, EventRow] = {}
        for arrival, key in self._arrivals:
            if jti := _token_of(arrival):
                if jti not in vouched:
                    vouched[jti] = key
                    self.tokens.append((jti, key, arrival.received))
                elif vouched[jti] != key:
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
        """What became of each arrival, once what is new has its id."""
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
    """What *query* asks for, read in pages: between them nothing is held open, however slowly they are taken.

    Args:
        select: Gives the rows of a ``SELECT`` with these values.
        among: The table and a condition: ``events WHERE 1 = 1``; *given* are its values.
        mark: What stands for a value: ``?`` or ``%s``.
    """
    oldest: int | None = 1
    ((newest,),) = select(f"SELECT max(id) FROM {among}", [*given])  # noqa: S608 (ours, as all below)
    if query.since is not None:
        # + 0: or an index of ids would be searched for times, from the very first event on.
        bounds, times = Query(since=query.since, before=query.before).where(mark)
        between = f"SELECT min(id + 0), max(id + 0) FROM {among} AND {bounds}"  # noqa: S608
        ((oldest, newest),) = select(between, [*given, *times])
    if newest is None:
        return
    condition, values = query.where(mark)
    asked = f"{among} AND {condition} AND id <= {mark}"
    values = [*given, *values, newest]
    # + 0 for few events: or an index of ids would be searched for them, all of it, by a planner that expects more
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
    found |= {"route": Route(found["route"]), "is_signed": bool(found["is_signed"])}
    return Stored(number, Arrival(**found), repeats)
