"""Calls in doubt, which may or may not exist, since the reply to the "create call" request was lost.

Sending the request again could ring a phone a second time, so voicectl looks for the call instead. It accepts a call
only if the evidence cannot belong to another call, since a wrong match could lead the user to end another call.

There are two kinds of evidence:

1. Proof. Before the POST request, the intent (reference, number, caller, time) is written to the journal. If the
   request has an ``event_url``, the reference is added to the URL as the query parameter ``vc``. A signed event that
   arrives with this parameter proves that the call exists, and contains the call's id. Such an event is as conclusive
   as a reply.
2. A match. If there is no such event, because there is no ``event_url`` or no receiver stored the event, the API's
   call records are compared with the intent. A candidate is the record of an outbound call to the same number that
   did not begin more than one minute before the intent was written. The minute allows for differences between clocks.
   If a caller id was sent, the record must have the same caller id.

A match counts only if it cannot be confused with another call:

- No other intent for the same number is open. If there were one, a record could belong to either intent.
- No other intent has claimed the record. The journal checks this and the previous condition, and writes the claim, in
  one transaction.
- Exactly one candidate is left. If there are several, the call remains in doubt.

Records appear late, so the search is repeated every second for up to eight seconds; ``call reconcile`` searches once.
If nothing is found, the call may still appear later. The outcome is then "in doubt" (exit status 12), never "not
created". Only the user can decide that the call was not created (``call reconcile REF --assume``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from voicectl.errors import ApiError, JournalError, OutcomeUnknown, TransportError
from voicectl.store.intents import Intents
from voicectl.store.journal import IntentState
from voicectl.voice import endpoint
from voicectl.voice.call import is_leg_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.history import History
    from voicectl.store.journal import Intent
    from voicectl.voice.call import Call

LOOK_SECONDS = 8.0
LOOK_PAUSE_SECONDS = 1.0
BEFORE_INTENT_SECONDS = 60.0


J = TypeVar("J", bound=Intents)


class LostCallFinder(Generic[J]):
    """Looks for calls that may or may not have been created: the calls of open intents.

    Args:
        history: The stored events, or None if there is no event store.

    Attributes:
        journal: The journal that contains the intents.
    """

    def __init__(self, api: VoiceApi, journal: J, clock: Clock, history: History | None) -> None:
        self._api = api
        self.journal = journal
        self._clock = clock
        self._history = history

    def find(self, intent: Intent, *, seconds: float = LOOK_SECONDS, why: str) -> Intent:
        """Look for the call of an open intent, record the call in the journal, and return the settled intent.

        Args:
            seconds: How long to keep looking while nothing is found, in seconds; 0 to look once.
            why: The reason why the call is being looked for, as text for the error message.

        Raises:
            OutcomeUnknown: No matching call was found, several calls matched, or the search failed.
        """
        give_up = self._clock.monotonic() + seconds
        try:
            while True:
                if proved := self._proved(intent):
                    return proved
                if self.journal.has_rival(intent):
                    raise in_doubt(intent, f"{why} Another call to {intent.to} is also in doubt.")
                left = max(give_up - self._clock.monotonic(), 1.0) if seconds else LOOK_SECONDS
                candidates = self._candidates(intent, within=left)
                if len(candidates) > 1:
                    raise in_doubt(intent, f"{why} {len(candidates)} calls match.")
                for uuid, raw in candidates.items():
                    if matched := self.journal.match(intent, uuid, raw):
                        return matched
                if self._clock.monotonic() + LOOK_PAUSE_SECONDS > give_up:
                    raise in_doubt(intent, f"{why} No record of the call was found.")
                self._clock.sleep(LOOK_PAUSE_SECONDS)
        except (ApiError, TransportError, JournalError) as exc:
            raise in_doubt(intent, f"{why} Looking for the call failed: {exc.message}") from exc

    def find_again(self, intent: Intent) -> Intent:
        """Look once for the call of an intent that was left open by a process that is no longer running.

        For the errors, see :meth:`find`.
        """
        if intent.state is IntentState.INTENT:
            why = "the process that requested the call has ended"
            self.journal.settle(intent.reference, IntentState.IN_DOUBT, why)
        return self.find(intent, seconds=0, why="voicectl looked for the call again.")

    def find_together(self, intents: Sequence[Intent]) -> list[Intent]:
        """Look once for the calls of several open intents, with one search, and return those that are settled now.

        The evidence is the same as for :meth:`find`. The intents that it does not settle stay in doubt.

        Raises:
            ApiError, TransportError: The search failed.
            JournalError: The journal cannot be used.
        """
        for each in intents:
            if each.state is IntentState.INTENT:
                self.journal.settle(
                    each.reference, IntentState.IN_DOUBT, "the process that requested the call has ended"
                )
        proved = [found for each in intents if (found := self._proved(each)) is not None]
        settled = {each.reference: each for each in proved}
        open_ = [each for each in intents if each.reference not in settled]
        if not open_:
            return proved
        calls = list(self._calls_since(min(each.asked_at for each in open_), within=LOOK_SECONDS))
        for each in open_:
            candidates = self._unclaimed(call for call in calls if _fits(call, each))
            if len(candidates) == 1:
                uuid, raw = next(iter(candidates.items()))
                if matched := self.journal.match(each, uuid, raw):
                    settled[each.reference] = matched
        return list(settled.values())

    def _proved(self, intent: Intent) -> Intent | None:
        """Settle and return the intent if signed events prove that its call exists. If they do not, return None."""
        call = None if self._history is None else self._history.proof(intent.reference, intent.to)
        if call is None:
            return None
        why = "an event carried its reference"
        return self.journal.created(intent.reference, call.uuid, call.raw, reason=why)

    def _candidates(self, intent: Intent, *, within: float) -> dict[str, dict[str, Any]]:
        calls = self._calls_since(intent.asked_at, within=within)
        return self._unclaimed(call for call in calls if _fits(call, intent))

    def _calls_since(self, asked_at: float, *, within: float) -> Iterator[Call]:
        since = datetime.fromtimestamp(asked_at - BEFORE_INTENT_SECONDS, UTC)
        return self._api.get_calls(date_start=f"{since:%Y-%m-%dT%H:%M:%SZ}", within=within)

    def _unclaimed(self, calls: Iterable[Call]) -> dict[str, dict[str, Any]]:
        found = {call.uuid: call.raw for call in calls}
        claimed = self.journal.claimed(list(found))
        return {uuid: raw for uuid, raw in found.items() if uuid not in claimed}


def _fits(call: Call, intent: Intent) -> bool:
    """Return True if the record *call* could be that of the call of *intent*, apart from its time."""
    return (
        call.direction == "outbound"
        and is_leg_id(call.uuid)
        and endpoint.is_same(endpoint.label(call.to), intent.to)
        and (intent.from_ is None or endpoint.is_same(endpoint.label(call.from_), intent.from_))
    )


def in_doubt(intent: Intent, why: str) -> OutcomeUnknown:
    """Return the error for a call that may or may not exist. Its hint lists commands that can settle *intent*."""
    command = f"voicectl call reconcile {intent.reference}"
    return OutcomeUnknown(
        f"The call to {intent.to} may or may not exist; the request was not sent again. {why}",
        hint=f"Look again: {command}. End the call if it is found: {command} --hangup."
        f" Decide the outcome yourself: {command} --assume not-created --reason TEXT. If you know the leg, give"
        " its id instead of not-created",
        reference=intent.reference,
    )
