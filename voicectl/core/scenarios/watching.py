"""Steps that wait for something that happens to a party, or that the application is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicectl.core.scenarios.driver import StepFailed
from voicectl.core.scenarios.stage import address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicectl.core.scenarios.driver import Driver
    from voicectl.core.scenarios.stage import Leg
    from voicectl.core.scenarios.steps import Awaited, Connected, Event, InRoom, Moved, Muted

MAX_LISTED = 10


def connected(driver: Driver, step: Connected, leg: Leg) -> None:
    """Wait until the party shares a conversation with another party."""
    number = address(step.connected)

    def is_connected() -> bool:
        return leg.is_up and any(other.number == number for other in driver.stage.beside(leg))

    def others() -> str:
        found = [each for each in driver.stage.legs.values() if each is not leg]
        return f"Other legs: {_listed(f'{each.number} ({each.status})' for each in found)}."

    _await(driver, step, is_connected, others)


def in_room(driver: Driver, step: InRoom, leg: Leg) -> None:
    """Wait until the party is in a room."""
    _await(
        driver,
        step,
        lambda: leg.is_up and leg.room == step.in_room,
        lambda: f"The party is in {leg.room!r}." if leg.room else "The party is in no room.",
    )


def muted(driver: Driver, step: Muted, leg: Leg) -> None:
    """Wait until the party is muted or unmuted."""
    _await(
        driver,
        step,
        lambda: leg.is_muted == step.muted,
        lambda: f"The party is {'' if leg.is_muted else 'not '}muted.",
    )


def moved(driver: Driver, step: Moved, leg: Leg) -> None:
    """Wait until the party is in another conversation, unless an earlier step has waited for this move."""
    _await_entry(driver, step, lambda entry: entry["kind"] == "transfer" and entry["uuid"] == leg.uuid)


def event(driver: Driver, step: Event, leg: Leg) -> None:
    """Wait for an event that the application is sent, unless an earlier step has waited for it."""

    def is_wanted(entry: Mapping[str, Any]) -> bool:
        body = entry.get("body")
        if entry["kind"] != "webhook" or not isinstance(body, dict):
            return False
        if step.as_ is not None and entry.get("uuid") != leg.uuid:
            return False
        return all(_same(_at(body, path), value) for path, value in step.event.items())

    _await_entry(driver, step, is_wanted)


def _await_entry(driver: Driver, step: Awaited, is_wanted: Callable[[Mapping[str, Any]], bool]) -> None:
    """Wait for an entry of the sandbox's log for which no earlier step has waited."""

    def position() -> int | None:
        log = driver.stage.log
        return next((at for at, entry in enumerate(log) if at not in driver.used and is_wanted(entry)), None)

    found = driver.wait_for(position, driver.within(step))
    if found is None:
        seen = [_title(entry) for entry in driver.stage.log if entry["kind"] == "webhook"]
        raise StepFailed(
            f"not seen within {driver.within(step):g} s. Events sent: {_listed(seen[-MAX_LISTED:])}."
        )
    driver.used.add(found)


def _title(entry: Mapping[str, Any]) -> str:
    """Return the status or the type of a webhook's event, or else the name of the webhook."""
    body = entry.get("body")
    fields = body if isinstance(body, dict) else {}
    return str(fields.get("status") or fields.get("type") or entry["event"])


def _await(driver: Driver, step: Awaited, is_so: Callable[[], bool], instead: Callable[[], str]) -> None:
    if not driver.wait_until(is_so, driver.within(step)):
        raise StepFailed(f"not the case within {driver.within(step):g} s. {instead()}")


def _at(body: Any, path: str) -> Any:
    """Return the value at a dotted path, whose numbers are indexes of arrays, or None."""
    for name in path.split("."):
        if isinstance(body, dict):
            body = body.get(name)
        elif isinstance(body, list) and name.isdigit() and int(name) < len(body):
            body = body[int(name)]
        else:
            return None
    return body


def _same(found: Any, wanted: Any) -> bool:
    """Return True if the values are equal. A number equals its text, since events have numbers as texts."""
    if found == wanted:
        return True
    is_plain = all(
        isinstance(each, (int, float, str)) and not isinstance(each, bool) for each in (found, wanted)
    )
    return is_plain and str(found) == str(wanted)


def _listed(texts: Any) -> str:
    return ", ".join(texts) or "none"
