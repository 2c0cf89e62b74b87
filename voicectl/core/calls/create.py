"""Creating a call at most once.

The intent is on disk before the POST, the outcome after it. When no usable answer comes the request is not sent
again: the call is looked for, and if it cannot be told for certain, that is what the caller is told.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from voicectl.errors import (
    ApiError,
    InputError,
    Interrupted,
    JournalError,
    OutcomeUnknown,
    TransportError,
    VoicectlError,
)
from voicectl.store.journal import IntentState
from voicectl.voice import endpoint, ncco
from voicectl.voice.call import is_leg_id

if TYPE_CHECKING:
    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.history import History
    from voicectl.interrupts import Interrupts
    from voicectl.store.journal import Intent, Journal

LOOK_SECONDS = 8.0
LOOK_PAUSE_SECONDS = 1.0
BEFORE_INTENT_SECONDS = 60.0
REFERENCE_PARAMETER = "vc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A call that exists.

    Attributes:
        raw: What the API said of it.
        certainty: ``matched`` if it was found by looking rather than told, by the API or an event.
        is_replay: An earlier command with the same idempotency key created it.
        unrecorded: Why the journal could not keep its id, if it could not.
    """

    uuid: str
    raw: dict[str, Any]
    reference: str | None = None
    certainty: str | None = None
    is_replay: bool = False
    unrecorded: JournalError | None = None

    def to_json(self) -> dict[str, Any]:
        """The API's record with what voicectl knows beside it."""
        ours = {"reference": self.reference, "certainty": self.certainty, "replayed": self.is_replay or None}
        return self.raw | {name: value for name, value in ours.items() if value is not None}


class Dialler:
    """Creates calls, and finds out about those in doubt.

    Args:
        journal: None if the user does without (``--no-journal``), or for a dry run.
        hourly_limit: How many phones may be made to ring in an hour.
        history: The stored events, if there are any.
    """

    def __init__(
        self,
        api: VoiceApi,
        journal: Journal | None,
        clock: Clock,
        interrupts: Interrupts,
        *,
        hourly_limit: int | None = None,
        history: History | None = None,
    ) -> None:
        self._api = api
        self._journal = journal
        self._clock = clock
        self._interrupts = interrupts
        self._hourly_limit = hourly_limit
        self._history = history

    def create(self, body: dict[str, Any], *, key: str | None = None) -> Placed:
        """Place the call that *body* describes, unless *key* says that it was placed already.

        Args:
            body: The request, with exactly one endpoint in ``to``.
            key: The idempotency key; needs a journal.

        Raises:
            InputError: *key* was used with another body.
            OutcomeUnknown: The call may or may not exist.
            ApiError: Refused. TransportError: nothing was sent.
            JournalError: The intent could not be written: nothing was sent.
        """
        if key is None or self._journal is None:
            return self._create(body, key=None)
        with self._journal.only_one(key):
            earlier = self._journal.by_key(key)
            if earlier and earlier.body_hash != _hash(body):
                raise InputError(
                    "This idempotency key was used for another call.",
                    hint=f"It led to {earlier.uuid or earlier.reference}. Use a new key for a new call.",
                )
            if earlier and earlier.state.is_open:
                why = "An earlier try with this idempotency key is still in doubt."
                return _replayed(self.look(earlier, seconds=LOOK_SECONDS, why=why))
            if earlier and earlier.uuid:
                return _replayed(_placed(earlier))
            return self._create(body, key=key)

    def look(self, intent: Intent, *, seconds: float, why: str) -> Placed:
        """Look for the call that an open intent may have led to.

        A signed event that came with its reference proves it. Else it is the one outbound record to that number (and
        from the caller, if one was sent) since a minute before the intent which no other intent has claimed, while no
        other intent to that number is open.

        Args:
            seconds: For how long, if there is none at first; 0 to look once.
            why: What is said first if it cannot be told.

        Raises:
            OutcomeUnknown: It cannot be told.
        """
        journal = self._journal
        if journal is None:
            raise in_doubt(intent, why)
        give_up = self._clock.monotonic() + seconds
        try:
            while True:
                if proved := self._proved(journal, intent):
                    return proved
                if journal.has_rival(intent):
                    break
                left = max(give_up - self._clock.monotonic(), 1.0) if seconds else LOOK_SECONDS
                found = self._candidates(journal, intent, within=left)
                if len(found) > 1:
                    raise in_doubt(intent, f"{why} {len(found)} calls could be it.")
                for uuid, raw in found.items():
                    if journal.match(intent, uuid, raw):
                        return Placed(uuid=uuid, raw=raw, reference=intent.reference, certainty="matched")
                if self._clock.monotonic() + LOOK_PAUSE_SECONDS > give_up:
                    raise in_doubt(intent, f"{why} No record of it was found.")
                self._clock.sleep(LOOK_PAUSE_SECONDS)
        except (ApiError, TransportError, JournalError) as exc:
            raise in_doubt(intent, f"{why} It could not be looked for: {exc.message}") from exc
        raise in_doubt(intent, f"{why} Another call to that number is in doubt too.")

    def _create(self, body: dict[str, Any], *, key: str | None) -> Placed:
        rung = dialled(body)
        if self._journal is None:
            return self._create_unrecorded(body, rung)
        reference = f"vc-{os.urandom(8).hex()}"
        with self._interrupts.shield(in_doubt=True):
            intent = self._journal.intend(
                reference,
                to=rung[0],
                from_=endpoint.label(body.get("from", {})),
                body_hash=_hash(body),
                key=key,
                dialled=rung,
                hourly_limit=self._hourly_limit,
            )
            try:
                created = self._api.create_call(_with_reference(body, reference), dials=len(rung))
            except OutcomeUnknown as exc:
                return self._find_out(intent, exc.message)
            except ApiError as exc:
                self._note(reference, IntentState.REJECTED, f"{exc.status} {exc.title}")
                raise
            except VoicectlError as exc:
                self._note(reference, IntentState.NOT_SENT, type(exc).__name__)
                raise
            unrecorded = None
            try:
                self._journal.created(reference, created.uuid, created.raw)
            except JournalError as exc:
                unrecorded = exc
        return Placed(uuid=created.uuid, raw=created.raw, reference=reference, unrecorded=unrecorded)

    def _create_unrecorded(self, body: dict[str, Any], rung: list[str]) -> Placed:
        try:
            created = self._api.create_call(body, dials=len(rung))
        except OutcomeUnknown as exc:
            exc.hint = (
                "It was not sent again, and no journal was kept. Look for it:"
                f" voicectl call list --all --since 2m --match-to {rung[0]}"
            )
            raise
        return Placed(uuid=created.uuid, raw=created.raw)

    def _find_out(self, intent: Intent, why: str) -> Placed:
        self._note(intent.reference, IntentState.IN_DOUBT, why)
        try:
            with self._interrupts.waiting():
                return self.look(intent, seconds=LOOK_SECONDS, why=why)
        except Interrupted as exc:
            raise in_doubt(intent, why) from exc

    def _note(self, reference: str, state: IntentState, reason: str) -> None:
        """Settle an intent without a call, if the journal still can; else it stays open, which dials nobody."""
        assert self._journal is not None  # noqa: S101 (its callers have one)
        with suppress(JournalError):
            self._journal.settle(reference, state, reason)

    def _proved(self, journal: Journal, intent: Intent) -> Placed | None:
        """The call that an event names as the one of *intent*; None if none does."""
        if self._history is None:
            return None
        call = self._history.proof(intent.reference, intent.to)
        if call is None:
            return None
        journal.created(intent.reference, call.uuid, call.raw, reason="an event came with its reference")
        return Placed(uuid=call.uuid, raw=call.raw, reference=intent.reference)

    def _candidates(self, journal: Journal, intent: Intent, *, within: float) -> dict[str, dict[str, Any]]:
        since = datetime.fromtimestamp(intent.asked_at - BEFORE_INTENT_SECONDS, UTC)
        found = {
            call.uuid: call.raw
            for call in self._api.get_calls(date_start=f"{since:%Y-%m-%dT%H:%M:%SZ}", within=within)
            if call.direction == "outbound"
            and is_leg_id(call.uuid)
            and _same(endpoint.label(call.to), intent.to)
            and (intent.from_ is None or _same(endpoint.label(call.from_), intent.from_))
        }
        claimed = journal.claimed(list(found))
        return {uuid: raw for uuid, raw in found.items() if uuid not in claimed}


def dialled(body: dict[str, Any]) -> list[str]:
    """Everybody whom a "create call" makes ring: its endpoint, then the ``connect`` actions of its NCCO."""
    return [endpoint.label(each) or "" for each in body["to"]] + list(ncco.dialled(body.get("ncco")))


def in_doubt(intent: Intent, why: str) -> OutcomeUnknown:
    """The error that says what can be done about a call in doubt."""
    command = f"voicectl call reconcile {intent.reference}"
    return OutcomeUnknown(
        f"{why} The call to {intent.to} may or may not exist; it was not sent again.",
        hint=f"Look again: {command}. End it if it is found: {command} --hangup."
        f" Close the matter: {command} --assume not-created --reason TEXT, or --assume LEG if you know it",
        reference=intent.reference,
    )


def _placed(intent: Intent) -> Placed:
    return Placed(
        uuid=intent.uuid or "", raw=intent.reply, reference=intent.reference, certainty=intent.certainty
    )


def _replayed(placed: Placed) -> Placed:
    return replace(placed, is_replay=True)


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _with_reference(body: dict[str, Any], reference: str) -> dict[str, Any]:
    """Let our reference ride on ``event_url``, if the user gave one that is POSTed to."""
    if not body.get("event_url") or body.get("event_method", "POST") != "POST":
        return body
    parts = urlsplit(body["event_url"][0])
    query = "&".join(filter(None, [parts.query, urlencode({REFERENCE_PARAMETER: reference})]))
    return body | {"event_url": [urlunsplit(parts._replace(query=query))]}


def _same(shown: str | None, asked: str) -> bool:
    return shown is not None and shown.removeprefix("+") == asked.removeprefix("+")
