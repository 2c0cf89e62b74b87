"""Faults of an application that are always found, without a step that looks for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from voicectl.core.scenarios import audio
from voicectl.core.scenarios.expectations import has_failed
from voicectl.core.scenarios.results import Failure
from voicectl.core.scenarios.stage import PLATFORM
from voicectl.voice.json_places import show
from voicectl.voice.ncco.lint import lint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.scenarios.stage import Leg, Stage

CONNECTS_PER_SECOND = 3
"""The platform's limit of calls that an application may place in one second."""

AUDIO = ("audio", "music")
BAD_NCCO = "bad NCCO"
OF_NCCO = ("Syntax error in NCCO. Invalid value type or action.",)
"""The reasons of errors that are found by other checks, in more detail."""

MAX_SHOWN = 80


class EndlessFlow(Exception):
    """Raised if a call flow would never end by itself."""

    kind = "endless"


def refuse_loop(stage: Stage, loops: int) -> None:
    """Check that the application does not go around in circles.

    Args:
        loops: How many times a party may hear one prompt without having pressed or said anything; 0 for any number.

    Raises:
        EndlessFlow: It does.
    """
    for leg in stage.legs.values() if loops else ():
        since = _last_act(stage, leg)
        prompts = (each.text for each in leg.heard if each.source == PLATFORM and each.at >= since)
        for text, count in Counter(prompts).items():
            if count >= loops:
                raise EndlessFlow(
                    f"{leg.number} heard the same prompt {count} times with nothing pressed or said:"
                    f" {text[:MAX_SHOWN]!r}. The flow does not end by itself."
                )


def _last_act(stage: Stage, leg: Leg) -> float:
    """Return when the party last pressed keys or spoke."""
    acts = (
        stage.since_start(entry["call_time"])
        for entry in stage.log
        if entry["kind"] in ("party", "input") and entry.get("uuid") == leg.uuid and _is_act(entry)
    )
    return max(acts, default=0.0)


def _is_act(entry: dict[str, Any]) -> bool:
    if entry["kind"] == "party":
        return entry["what"] in ("press", "say")
    dtmf, speech = entry.get("dtmf"), entry.get("speech")
    digits = dtmf.get("digits") if isinstance(dtmf, dict) else dtmf
    return bool(digits) or bool(isinstance(speech, dict) and speech.get("results"))


def found(stage: Stage, *, with_webhooks: bool) -> Iterator[Failure]:
    """Yield what is wrong with the application's answers, once the test is over.

    Args:
        with_webhooks: False if the test itself counts the webhooks that failed.
    """
    for entry in stage.log:
        at = stage.since_start(entry["call_time"])
        if entry["kind"] == "webhook":
            yield from _of_webhook(entry, at, with_failed=with_webhooks)
        if entry["kind"] == "error" and entry["reason"] not in OF_NCCO:
            yield Failure(kind="flow", message=f"The platform reports an error: {entry['reason']}", at=at)
        for where, ncco in _nccos(entry):
            yield from _of_ncco(where, ncco, at)
    yield from _connects(stage)
    yield from _audio(stage)


def _of_webhook(entry: dict[str, Any], at: float, *, with_failed: bool) -> Iterator[Failure]:
    outcome = str(entry["outcome"])
    what = f"{entry['event']} to {entry['url']}"
    if entry["fault"] is not None:
        return
    if outcome.startswith(BAD_NCCO):
        yield Failure(
            kind="ncco", message=f"The reply to {what} is not an NCCO: {outcome[len(BAD_NCCO) + 2 :]}", at=at
        )
    elif with_failed and has_failed(entry):
        yield Failure(
            kind="webhook",
            message=f"The webhook {what} was not delivered: {outcome.removeprefix('failed: ')}",
            at=at,
        )


def _nccos(entry: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each NCCO that the application served or sent in *entry* of the log, with its origin."""
    if entry["kind"] == "webhook" and entry.get("ncco") and not str(entry["outcome"]).startswith(BAD_NCCO):
        yield f"in the reply to {entry['event']}", entry["ncco"]
    body = entry.get("body")
    if entry["kind"] == "request" and isinstance(body, dict):
        destination = body.get("destination")
        for holder in (body, destination if isinstance(destination, dict) else {}):
            if isinstance(holder.get("ncco"), list):
                yield f"in {entry['operation']}", holder["ncco"]


def _of_ncco(where: str, ncco: Any, at: float) -> Iterator[Failure]:
    for finding in lint(ncco):
        if finding.is_error:
            message = (
                f"The NCCO {where} has an error at {show(finding.path)}: {finding.message} {finding.hint}"
            )
            yield Failure(kind="lint", message=message.rstrip(), at=at)


def _audio(stage: Stage) -> Iterator[Failure]:
    first: dict[str, float] = {}
    for leg in stage.legs.values():
        for heard in leg.heard:
            if heard.kind in AUDIO and heard.source == PLATFORM:
                first.setdefault(heard.text, heard.at)
    for url, at in first.items():
        if (reason := audio.why_not(url)) is not None:
            yield Failure(kind="audio", message=f"The audio file {url} cannot be fetched: {reason}.", at=at)


def _connects(stage: Stage) -> Iterator[Failure]:
    """Yield a failure if calls were placed faster than the platform allows."""
    times = sorted(leg.created_at for leg in stage.legs.values() if leg.direction == "outbound")
    for first, last in zip(times, times[CONNECTS_PER_SECOND:], strict=False):
        if last - first < 1:
            many = f"More than {CONNECTS_PER_SECOND} calls were placed within one second"
            yield Failure(kind="rate", message=f"{many}; the platform refuses this.", at=last)
            return
