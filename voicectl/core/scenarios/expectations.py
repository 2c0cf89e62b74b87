"""The conditions that a test sets on the whole call (``expect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from voicectl.core.scenarios.kinds import Limit
    from voicectl.core.scenarios.model import Expect
    from voicectl.core.scenarios.stage import Leg, Stage


def unmet(expect: Expect, leg: Leg | None, stage: Stage) -> Iterator[str]:
    """Yield a message for each condition that does not hold, once the calls are over.

    Args:
        leg: The first leg of the test, or None if the application made no call.
    """
    if leg is None and expect.legs is None:
        yield "the application made no call"
    if leg is not None:
        yield from _unmet_by(expect, leg, stage)
    counts = {
        "recordings": sum(entry["kind"] == "record" for entry in stage.log),
        "legs": len(stage.legs),
        "webhooks_failed": sum(map(has_failed, stage.log)),
    }
    yield from _outside(expect, counts)


def _unmet_by(expect: Expect, leg: Leg, stage: Stage) -> Iterator[str]:
    if expect.status is not None and leg.status != expect.status:
        yield f"expected status {expect.status!r}, but the call's last status is {leg.status!r}"
    if expect.events is not None:
        seen = [entry["status"] for entry in stage.log if _is_status_of(leg, entry)]
        if not _in_order(expect.events, seen):
            sent = ", ".join(seen) or "none"
            yield f"expected the events {', '.join(expect.events)} in this order, but the application was sent {sent}"
    yield from _outside(expect, {"duration": duration(leg)})


def _outside(expect: Expect, counts: Mapping[str, float]) -> Iterator[str]:
    """Yield a message for each of *counts* that the test does not allow."""
    for name, found in counts.items():
        limit: Limit | None = getattr(expect, name)
        if limit is not None and not limit.allows(found):
            yield f"expected {name} {limit.text}, but it is {found:g}"


def duration(leg: Leg) -> float:
    """Return the length of a call from its answer to its end in seconds, or 0 if it was not answered."""
    if leg.answered_at is None or leg.ended_at is None:
        return 0.0
    return round(leg.ended_at - leg.answered_at, 3)


def has_failed(entry: dict[str, Any]) -> bool:
    """Return True if *entry* of the sandbox's log is a webhook that failed."""
    if entry["kind"] != "webhook":
        return False
    return not str(entry["outcome"]).startswith("delivered")


def _is_status_of(leg: Leg, entry: dict[str, Any]) -> bool:
    return entry["kind"] == "status" and entry.get("uuid") == leg.uuid and "status" in entry


def _in_order(wanted: Sequence[str], seen: Sequence[str]) -> bool:
    """Return True if *wanted* occurs in *seen* in this order, possibly with others between."""
    rest = iter(seen)
    return all(each in rest for each in wanted)
