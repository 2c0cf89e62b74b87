"""Calls in doubt: the reply was lost, so a call may or may not exist.

The request is not sent again: the call is looked for, and if it cannot be told for certain, that is what the caller
is told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voicectl.errors import ApiError, JournalError, OutcomeUnknown, TransportError
from voicectl.store.journal import IntentState
from voicectl.voice import endpoint
from voicectl.voice.call import is_leg_id

if TYPE_CHECKING:
    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.history import History
    from voicectl.store.journal import Intent, Journal

LOOK_SECONDS = 8.0
LOOK_PAUSE_SECONDS = 1.0
BEFORE_INTENT_SECONDS = 60.0


class LostCallFinder:
    """Looks for the calls that open intents may have led to.

    Args:
        history: The stored events, if there are any.

    Attributes:
        journal: Where the intents are.
    """

    def __init__(self, api: VoiceApi, journal: Journal, clock: Clock, history: History | None) -> None:
        self._api = api
        self.journal = journal
        self._clock = clock
        self._history = history

    def find(self, intent: Intent, *, seconds: float = LOOK_SECONDS, why: str) -> Intent:
        """Look for the call of an open intent, and return the intent with it, as the journal has it then.

        A signed event that came with its reference proves it. Else it is the one outbound record to that number (and
        from the caller, if one was sent) since a minute before the intent which no other intent has claimed, while no
        other intent to that number is open.

        Args:
            seconds: For how long, if there is none at first; 0 to look once.
            why: What is said first if it cannot be told.

        Raises:
            OutcomeUnknown: It cannot be told.
        """
        give_up = self._clock.monotonic() + seconds
        try:
            while True:
                if proved := self._proved(intent):
                    return proved
                if self.journal.has_rival(intent):
                    raise in_doubt(intent, f"{why} Another call to that number is in doubt too.")
                left = max(give_up - self._clock.monotonic(), 1.0) if seconds else LOOK_SECONDS
                candidates = self._candidates(intent, within=left)
                if len(candidates) > 1:
                    raise in_doubt(intent, f"{why} {len(candidates)} calls could be it.")
                for uuid, raw in candidates.items():
                    if matched := self.journal.match(intent, uuid, raw):
                        return matched
                if self._clock.monotonic() + LOOK_PAUSE_SECONDS > give_up:
                    raise in_doubt(intent, f"{why} No record of it was found.")
                self._clock.sleep(LOOK_PAUSE_SECONDS)
        except (ApiError, TransportError, JournalError) as exc:
            raise in_doubt(intent, f"{why} It could not be looked for: {exc.message}") from exc

    def find_again(self, intent: Intent) -> Intent:
        """Look once for the call of an open intent whose process is gone; as :meth:`find`."""
        if intent.state is IntentState.INTENT:
            why = "the process that asked for it ended"
            self.journal.settle(intent.reference, IntentState.IN_DOUBT, why)
        return self.find(intent, seconds=0, why="It was looked for again.")

    def _proved(self, intent: Intent) -> Intent | None:
        """The intent with the call that an event names as its own; None if none does."""
        call = None if self._history is None else self._history.proof(intent.reference, intent.to)
        if call is None:
            return None
        why = "an event came with its reference"
        return self.journal.created(intent.reference, call.uuid, call.raw, reason=why)

    def _candidates(self, intent: Intent, *, within: float) -> dict[str, dict[str, Any]]:
        since = datetime.fromtimestamp(intent.asked_at - BEFORE_INTENT_SECONDS, UTC)
        found = {
            call.uuid: call.raw
            for call in self._api.get_calls(date_start=f"{since:%Y-%m-%dT%H:%M:%SZ}", within=within)
            if call.direction == "outbound"
            and is_leg_id(call.uuid)
            and endpoint.is_same(endpoint.label(call.to), intent.to)
            and (intent.from_ is None or endpoint.is_same(endpoint.label(call.from_), intent.from_))
        }
        claimed = self.journal.claimed(list(found))
        return {uuid: raw for uuid, raw in found.items() if uuid not in claimed}


def in_doubt(intent: Intent, why: str) -> OutcomeUnknown:
    """The error that says what can be done about a call in doubt."""
    command = f"voicectl call reconcile {intent.reference}"
    return OutcomeUnknown(
        f"{why} The call to {intent.to} may or may not exist; it was not sent again.",
        hint=f"Look again: {command}. End it if it is found: {command} --hangup."
        f" Close the matter: {command} --assume not-created --reason TEXT, or --assume LEG if you know it",
        reference=intent.reference,
    )
