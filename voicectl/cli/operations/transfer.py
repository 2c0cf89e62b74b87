"""Transfer legs to another call flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voicectl.cli.arguments import caller_id
from voicectl.cli.options.endpoints import EndpointOptions
from voicectl.cli.targets import LegOperation
from voicectl.errors import JournalError
from voicectl.voice import endpoint, ncco

if TYPE_CHECKING:
    from voicectl.cli.context import App
    from voicectl.voice.ncco import Ncco


class Transfer(LegOperation):
    """Replaces the call flow that legs are running.

    Args:
        destination: ``{"type": "ncco", "ncco": [...]}`` or ``{"type": "ncco", "url": [URL]}``.

    Raises:
        GuardError: The profile does not allow calls to a number in the NCCO.
    """

    def __init__(self, app: App, destination: dict[str, Any], *, how: str = "") -> None:
        super().__init__(app, "transfer", how=how)
        self._destination = destination
        self._rung = list(ncco.dialled(destination.get("ncco", [])))
        app.target.policy.check_dialled(self._rung)

    def run(self, uuid: str) -> bool:
        """Transfer a leg, after recording the dialled numbers in the journal, where a dry run only counts them.

        Raises:
            GuardError: The profile does not allow that many calls per hour.
        """
        app, limit = self.app, self.app.target.policy.max_calls_per_hour
        if self._rung and app.options.dry_run:
            if limit is not None:
                app.journal.check_dials(self._rung, limit)
        elif self._rung:
            try:
                app.journal.note_dials(self._rung, limit)
            except JournalError:
                if limit is not None:
                    raise
        app.api.transfer(uuid, self._destination, dials=len(self._rung))
        return True


def connecting(app: App, to: str, options: EndpointOptions, *, from_: str | None = None) -> Ncco:
    """Return an NCCO that connects a leg to the endpoint *to*.

    Args:
        from_: The caller id, or None for the one of the profile.

    Raises:
        InputError: The endpoint is malformed, or a caller id is needed and none is set.
    """
    party = options.endpoint(to)
    caller = caller_id(from_, app.target.from_) if party["type"] in ("phone", "sip") else None
    return [ncco.connect(endpoint.in_ncco(party), from_=caller, limit=app.target.policy.connect_limit)]
