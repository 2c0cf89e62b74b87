"""``doctor``: is everything in order?"""

from __future__ import annotations

import typer

from voicectl.cli import errors
from voicectl.cli.context import current
from voicectl.cli.output.writer import View
from voicectl.core.doctor import CheckOutcome, examine

VIEW = View(
    columns=("check", "outcome", "detail", "fix"), id="check", line="{outcome:8}{check:13}{detail}  {fix}"
)

_STATUSES = {"credentials": errors.CREDENTIALS, "network": errors.UNREACHABLE, "state": errors.INTERNAL}


def doctor(ctx: typer.Context) -> None:
    """Check the set-up, from the key to the API.

    The key, the application's id, the modes of files, name, connection and TLS, this machine's clock, one cheap
    read, the limiter, the journal and the store of events: a line each, with what to do. Exit status 3: credentials.
    7: not reachable. 1: only what is kept cannot be used.

    Example:
      $ voicectl doctor
    """
    app = current(ctx)
    failed: set[str] = set()
    with app.terminal.writer(VIEW, is_many=True) as out:
        for check in examine(
            app.target,
            api=lambda: app.api,
            pace=lambda: app.pace,
            journal=lambda: app.journal,
            events=lambda: app.event_store,
            spool=lambda: app.spool(None),
            clock=app.clock,
            environ=app.environ,
        ):
            out.add(
                {
                    "check": check.name,
                    "outcome": check.outcome.value,
                    "detail": check.detail,
                    "fix": check.fix,
                }
            )
            out.flush()
            if check.outcome is CheckOutcome.FAIL:
                failed.add(check.kind)
    for kind, status in _STATUSES.items():
        if kind in failed:
            raise typer.Exit(status)
