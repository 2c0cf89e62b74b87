"""``doctor``: check the set-up."""

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
    """Check the set-up, from the private key to the API.

    This command checks the key, the application id, file permissions, DNS, the connection, TLS, this machine's clock,
    the rate limiter, the journal and the event store, and sends one small API request. For each check, it prints one
    line, which says how to fix the problem if the check failed. The exit status is 3 if the credentials are missing,
    malformed or refused. It is 7 if the API cannot be reached, and 1 if the only problem is that local files cannot
    be used.

    Example:
      $ voicectl doctor
    """
    app = current(ctx)
    failed: set[str] = set()
    with app.terminal.writer(VIEW, is_many=True) as out:
        for check in examine(
            app.target,
            api=lambda: app.api,
            rate_limiter=lambda: app.rate_limiter,
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
