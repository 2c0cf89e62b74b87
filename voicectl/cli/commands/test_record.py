"""``test record``: a scenario from a call that took place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.arguments import LEG_FORMS
from voicectl.cli.context import App, current
from voicectl.cli.output.text import remark
from voicectl.core.identity.profiles import SANDBOX
from voicectl.core.timeline.sources import Gatherer, kept_legs
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.core.scenarios.recording import Recording


def record(
    ctx: typer.Context,
    leg: Annotated[
        str | None,
        typer.Argument(metavar="LEG", help=f"The leg, live or ended: {LEG_FORMS}.", show_default=False),
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="Use the most recent call to the application.")
    ] = False,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Let the scenario start the application with this command, in which {port} stands for a free port.",
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Let the scenario use the application at this URL.")
    ] = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help="The name of the test.")] = "recorded call",
) -> None:
    r"""Write a scenario from a call to your application, for 'test run'.

    In the sandbox, call the application with 'sandbox ring' and play the caller with 'sandbox press', 'say' and
    'hangup'. The scenario expects what the caller heard, and does what the caller did.

    For a call on the platform, the scenario is made from the events that 'webhook serve' stored: the keys pressed,
    the words recognised and, if RTC events were sent, the text spoken. Give --run or --url, as events do not name
    the application.

    Read the scenario before you keep it: names, numbers and dates that differ from call to call are expected exactly
    as they were in this call.

    Examples:
      $ voicectl -p sandbox test record --last --url http://127.0.0.1:3000
      $ voicectl -p sandbox test record "$CALLER" \
          --run 'python ivr.py {port}' > sales.call.toml
    """
    # The sandbox's log is long, and the TOML writer is slow to load.
    from voicectl.core.scenarios.writing import written  # noqa: PLC0415

    app = current(ctx)
    found = _recording(app, leg, is_last=last)
    if not found.callers:
        raise InputError(
            "The application made this call itself. Only calls to the application can be recorded.",
            hint="Write a test with 'create', which asks the application to make the call.",
        )
    app.terminal.write(written(found, name=name, run=run, url=url))
    if found.status is None:
        remark("The call has not ended. The scenario covers what happened so far.")
    if not any("hear" in step for step in found.steps):
        remark("It is not known what was spoken in the call. Add 'hear' steps.")


def _recording(app: App, leg: str | None, *, is_last: bool) -> Recording:
    from voicectl.core.scenarios import recording  # noqa: PLC0415 (after the arguments are checked)

    if (leg is None) is not is_last:
        raise InputError("Name one call: give either LEG or --last.")
    if app.target.is_rehearsal or app.target.profile == SANDBOX:
        app.control.prove()
        uuid = _last(recording.callers_of_log(app.control.log())) if leg is None else app.legs.any_leg(leg)
        return recording.of_sandbox(app.control, uuid)
    events = app.event_store
    if events is None:
        raise InputError(
            "There are no stored events for this application.",
            hint="Run 'voicectl webhook serve' while somebody calls; or record a call in the sandbox: -p sandbox",
        )
    if leg is None:
        uuid = _last(recording.callers_of_events(events))
    else:
        uuid = app.legs.any_leg(leg, partial(kept_legs, events))
    gathered = Gatherer(
        app.api, app.clock, app.action_log, events=events, journal=app.journal, gaps=[]
    ).of_leg(uuid)
    return recording.of_events(gathered.events.values(), uuid)


def _last(callers: Iterable[str]) -> str:
    found = list(callers)
    if not found:
        raise InputError("No one has called the application.")
    return found[-1]
