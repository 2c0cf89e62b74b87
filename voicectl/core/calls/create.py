"""Creating each call at most once. The intent is stored before the POST request, and the outcome after it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.core.calls.in_doubt import in_doubt
from voicectl.errors import (
    ApiError,
    InputError,
    Interrupted,
    JournalError,
    OutcomeUnknown,
    VoicectlError,
)
from voicectl.store.journal import IntentState

if TYPE_CHECKING:
    from voicectl.api.client import VoiceApi
    from voicectl.core.calls.in_doubt import LostCallFinder
    from voicectl.core.calls.order import CallOrder
    from voicectl.interrupts import Interrupts
    from voicectl.store.intents import Intents
    from voicectl.store.journal import Intent, Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCall:
    """A call that has been created on the platform.

    Attributes:
        raw: The API's reply, or the call's record if a search found the call.
        reference: The call's reference in the journal, or None if the call is not in the journal.
        certainty: ``matched`` if the call was found only by a search, None if a reply or an event gave the call's id.
        is_replay: True if an earlier command with the same idempotency key created the call.
        unrecorded: The error that prevented the call's id from being recorded in the journal, or None if there was no
            error.
    """

    order: CallOrder
    uuid: str
    raw: dict[str, Any]
    reference: str | None = None
    certainty: str | None = None
    is_replay: bool = False
    unrecorded: JournalError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return *raw* with the fields that voicectl adds."""
        ours = {"reference": self.reference, "certainty": self.certainty, "replayed": self.is_replay or None}
        known = {name: value for name, value in ours.items() if value is not None}
        return {"to": self.order.shown_to} | self.raw | known


class CallPlacer:
    """Places calls, each with an intent in a journal. Calls whose response is lost are not looked for.

    Args:
        hourly_limit: The maximum number of phones that may be rung per hour, or None if there is no limit.
    """

    def __init__(self, api: VoiceApi, journal: Intents, hourly_limit: int | None) -> None:
        self._api = api
        self._journal = journal
        self._hourly_limit = hourly_limit

    def place(self, order: CallOrder, *, reference: str, key: str) -> PlacedCall:
        """Write the intent for a call, and send the request.

        The caller must ensure that no other process or thread uses *key* or *reference*. The errors are the same as
        for :meth:`CallCreator.create`.
        """
        return self.request(order, self.intend(order, reference=reference, key=key))

    def intend(self, order: CallOrder, *, reference: str, key: str | None) -> Intent:
        """Write the intent for a call durably to the journal."""
        return self._journal.intend(
            reference,
            to=order.label,
            from_=order.from_,
            body_hash=order.body_hash,
            key=key,
            dialled=order.dialled,
            hourly_limit=self._hourly_limit,
        )

    def request(self, order: CallOrder, intent: Intent) -> PlacedCall:
        """Send the request for *intent*, and record its outcome in the journal."""
        reference = intent.reference
        try:
            created = self._api.create_call(order.body_with(reference), dials=len(order.dialled))
        except VoicectlError as exc:
            with suppress(JournalError):  # if this fails, the intent stays open: the call is in doubt
                self._journal.settle(reference, *_outcome(exc))
            raise
        unrecorded = None
        try:
            self._journal.created(reference, created.uuid, created.raw)
        except JournalError as exc:
            unrecorded = exc
        return PlacedCall(
            order=order, uuid=created.uuid, raw=created.raw, reference=reference, unrecorded=unrecorded
        )


class CallCreator:
    """Creates calls, each at most once.

    Args:
        finder: The object that looks for calls that may or may not have been created, and that provides the journal.
            If *finder* is None, calls are created without a journal, as in a dry run.
        hourly_limit: The maximum number of phones that may be rung per hour, or None if there is no limit.
    """

    def __init__(
        self,
        api: VoiceApi,
        finder: LostCallFinder[Journal] | None,
        interrupts: Interrupts,
        hourly_limit: int | None,
    ) -> None:
        self._api = api
        self._finder = finder
        self._interrupts = interrupts
        self._hourly_limit = hourly_limit

    def create(self, order: CallOrder, *, key: str | None = None) -> PlacedCall:
        """Place a call, or return the call that an earlier command placed with the same *key*.

        Args:
            order: The call to place.
            key: The idempotency key, or None. A key has an effect only if there is a journal.

        Raises:
            InputError: *key* was already used for a different call.
            OutcomeUnknown: The call may or may not exist.
            ApiError: The API refused the call.
            TransportError: The request could not be sent.
            JournalError: The intent to create the call could not be written to the journal, so the request was not
                sent.
        """
        finder = self._finder
        if finder is None:
            return self._create_unrecorded(order)
        if key is None:
            return self._create(order, finder, None)
        with finder.journal.only_one(key):
            earlier = finder.journal.by_key(key)
            if earlier and earlier.body_hash != order.body_hash:
                raise InputError(
                    "This idempotency key was used for another call.",
                    hint=f"The key belongs to {earlier.uuid or earlier.reference}. Use a new key for a new call.",
                )
            if earlier and earlier.state.is_open:
                why = "An earlier attempt with this idempotency key is still in doubt."
                return _placed(order, finder.find(earlier, why=why), is_replay=True)
            if earlier and earlier.uuid:
                return _placed(order, earlier, is_replay=True)
            return self._create(order, finder, key)

    def _create(self, order: CallOrder, finder: LostCallFinder[Journal], key: str | None) -> PlacedCall:
        with self._interrupts.shield(in_doubt=True):
            placer = CallPlacer(self._api, finder.journal, self._hourly_limit)
            intent = placer.intend(order, reference=f"vc-{os.urandom(8).hex()}", key=key)
            try:
                return placer.request(order, intent)
            except OutcomeUnknown as exc:
                return _placed(order, self._find(finder, intent, exc.message))

    def _create_unrecorded(self, order: CallOrder) -> PlacedCall:
        try:
            created = self._api.create_call(order.body, dials=len(order.dialled))
        except OutcomeUnknown as exc:
            exc.hint = (
                "The request was not sent again, and the journal has no record of it. Look for the call:"
                f" voicectl call list --all --since 2m --match-to {order.label}"
            )
            raise
        return PlacedCall(order=order, uuid=created.uuid, raw=created.raw)

    def _find(self, finder: LostCallFinder[Journal], intent: Intent, why: str) -> Intent:
        try:
            with self._interrupts.waiting():
                return finder.find(intent, why=why)
        except Interrupted as exc:
            raise in_doubt(intent, why) from exc


def _placed(order: CallOrder, intent: Intent, *, is_replay: bool = False) -> PlacedCall:
    return PlacedCall(
        order=order,
        uuid=intent.uuid or "",
        raw=intent.reply,
        reference=intent.reference,
        certainty=intent.certainty,
        is_replay=is_replay,
    )


def _outcome(exc: VoicectlError) -> tuple[IntentState, str]:
    """Return the new state of an intent whose request failed with *exc*, and the reason to record for this state."""
    if isinstance(exc, OutcomeUnknown):
        return IntentState.IN_DOUBT, exc.message
    if isinstance(exc, ApiError):
        return IntentState.REJECTED, f"{exc.status} {exc.title}"
    return IntentState.NOT_SENT, type(exc).__name__
