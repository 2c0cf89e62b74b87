"""``demo``: walk through a call from dialling to hang-up, on a private sandbox."""

from __future__ import annotations

import contextlib
import io
import shlex
import tempfile
from pathlib import Path

import typer

from voicectl.cli.app import run
from voicectl.cli.context import App, current
from voicectl.cli.private_sandbox import store_address, stored_identity
from voicectl.core.identity.profiles import SANDBOX, ProfileStore
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running

PAUSE_SECONDS = 0.4

_STEPS = (
    (
        "Call somebody, and wait until they answer.",
        "call create --to 447700900001 --talk Hello --join demo --wait answered",
    ),
    ("See who is on the line.", "call list"),
    ("Say something to them alone.", "talk LEG 'One moment.'"),
    ("Press keys, as you would for an IVR.", "dtmf LEG '12#'"),
    ("Move them into another conversation.", "move LEG support"),
    ("Mute them: the others do not hear them.", "mute LEG"),
    ("Ask the sandbox what they heard.", "sandbox hear LEG"),
    ("Hang up.", "hangup LEG"),
    ("Look at the record.", "call show LEG"),
)


def demo(ctx: typer.Context) -> None:
    """Watch a call from dialling to hang-up, in a private sandbox: no account, no phone, no cost.

    voicectl shows each command as you would type it, followed by the command's output.

    Example:
      $ voicectl demo
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    with tempfile.TemporaryDirectory(prefix="voicectl-") as directory:
        room = Path(directory)
        store = ProfileStore(room / "config")
        sandbox = Sandbox(stored_identity(store), Options(seed=0), clock=app.clock)
        with running(sandbox):
            store_address(store, sandbox)
            _walk(app, _environment(app, room))
    app.terminal.write(
        "\nThat was the whole call. To start a sandbox of your own: voicectl sandbox start --detach\n"
        "To use your application: voicectl profile add NAME --application-id ID --private-key FILE\n"
    )


def _walk(app: App, environ: dict[str, str]) -> None:
    """Run the steps of the demo. Each step is a complete command that sends real HTTP requests."""
    leg = ""
    for number, (why, words) in enumerate(_STEPS, 1):
        line = words.replace("LEG", leg)
        command = line if line.startswith("sandbox ") else f"-p {SANDBOX} {line}"
        shown = f"$ voicectl {command}"
        if app.terminal.may_color:
            shown = f"\x1b[1m{shown}\x1b[0m"
        app.terminal.write(f"\n# {number}. {why}\n{shown}\n")
        status = run(shlex.split(command), clock=app.clock, environ=environ)
        if status:
            raise typer.Exit(status)
        leg = leg or _newest_leg(app, environ)
        app.clock.sleep(PAUSE_SECONDS)  # the user needs time to read, and the party to hear the text


def _newest_leg(app: App, environ: dict[str, str]) -> str:
    """Return the id of the leg that the first step created, as printed by ``call list -q``."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(["-p", SANDBOX, "call", "list", "-q"], clock=app.clock, environ=environ)
    return printed.getvalue().strip()


def _environment(app: App, room: Path) -> dict[str, str]:
    """Return the environment, but with directories in *room* in place of the user's settings and credentials."""
    others = ("VOICECTL_", "VONAGE_")
    kept = {name: value for name, value in app.environ.items() if not name.startswith(others)}
    return kept | {"VOICECTL_CONFIG_DIR": str(room / "config"), "VOICECTL_STATE_DIR": str(room / "state")}
