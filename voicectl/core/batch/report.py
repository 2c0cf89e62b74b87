"""Records of batches and of their people, for the commands that show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicectl import times
from voicectl.core.batch.attempts import Outcome, is_reached
from voicectl.store.batches.process import is_gone
from voicectl.store.batches.records import AttemptState, Stop

if TYPE_CHECKING:
    from voicectl.core.batch.ledger import Change
    from voicectl.core.batch.settings import Settings
    from voicectl.store.batches.records import BatchInfo, BatchStore, PersonRecord, Totals

UNDER_WAY = "under-way"
"""Stands for the outcome of people whose call is not over."""


def status(store: BatchStore, now: float) -> dict[str, Any]:
    """Return the state and the counts of a batch."""
    info, totals = store.info(), store.totals()
    holder, confirm_key = info.holder, info.settings.get("confirm_key")
    reached = sum(
        count for outcome, count in totals.outcomes.items() if is_reached(outcome, confirm_key=confirm_key)
    )
    return {
        "batch": info.name,
        "state": _state(info, totals, now),
        "people": totals.people,
        "done": sum(totals.outcomes.values()),
        "reached": reached,
        "under_way": totals.open,
        "waiting": totals.waiting,
        "in_doubt": totals.outcomes.get(Outcome.IN_DOUBT, 0),
        "attempts": totals.attempts,
        "spent": str(totals.spent),
        "created_at": times.utc(info.created_at),
        "pause": info.pause or None,
        "pid": None if holder is None or is_gone(holder, now) else holder.pid,
        "duplicates": store.duplicates(),
        "outcomes": outcomes(totals),
    }


def outcomes(totals: Totals) -> dict[str, int]:
    """Return the number of people with each outcome that occurs, in the order of :class:`Outcome`.

    People who may still be called count as not called. Last come those who are being called.
    """
    found = {each.value: totals.outcomes.get(each.value, 0) for each in Outcome}
    found[Outcome.NOT_CALLED.value] += totals.waiting
    found[UNDER_WAY] = totals.open
    return {outcome: count for outcome, count in found.items() if count}


def person(record: PersonRecord, settings: Settings) -> dict[str, Any]:
    """Return a person as a report shows it."""
    made = record.attempts
    last = made[-1] if made else None
    return {
        "line": record.line,
        "to": record.to,
        "outcome": record.outcome or (Outcome.NOT_CALLED if last is None else None),
        "reached": is_reached(record.outcome, confirm_key=settings.confirm_key),
        "detail": record.detail,
        "attempts": len(made),
        "called_at": None if last is None else times.utc(made[0].asked_at),
        "ended_at": None if last is None or last.ended_at is None else times.utc(last.ended_at),
        "duration": None if last is None else last.duration,
        "price": None if last is None else last.price,
        "detection": None if last is None else last.detection,
        "called": None if last is None else last.to,
        "uuid": None if last is None else last.uuid,
        "reference": None if last is None else last.reference,
        "calls": [
            {
                "to": each.to,
                "called_at": times.utc(each.asked_at),
                "state": each.state.value,
                "outcome": each.outcome,
                "detail": each.detail,
                "uuid": each.uuid,
                "reference": each.reference,
            }
            for each in made
        ],
        "duplicates": list(record.duplicates),
        "row": dict(record.fields),
    }


def change(found: Change) -> dict[str, Any]:
    """Return a change as it is reported while the batch runs."""
    attempt = found.attempt
    return {
        "at": times.utc(found.at, timespec="milliseconds"),
        "person": found.person,
        "to": found.to,
        "state": found.state,
        "outcome": found.outcome,
        "attempt": None if attempt is None else attempt.number,
        "attempt_outcome": None if attempt is None else attempt.outcome,
        "detail": found.detail,
        "uuid": None if attempt is None else attempt.uuid,
        "reference": None if attempt is None else attempt.reference,
    }


def has_process(info: BatchInfo, now: float) -> bool:
    """Return True if a process is running the batch."""
    return info.holder is not None and not is_gone(info.holder, now)


def live_legs(store: BatchStore) -> list[str]:
    """Return the ids of the batch's legs that are under way."""
    return [each.uuid for each in store.open_attempts() if each.state is AttemptState.LIVE and each.uuid]


def _state(info: BatchInfo, totals: Totals, now: float) -> str:
    if has_process(info, now):
        return "running" if info.stop is Stop.NO else "stopping"
    if not totals.waiting and not totals.open:
        return "done"
    if info.pause:
        return "paused"
    return "interrupted" if info.stop is Stop.NO else "stopped"
