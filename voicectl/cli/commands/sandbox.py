"""``sandbox start|stop|status|reset``: run the sandbox, a local stand-in for the platform."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import typer

from voicectl import times
from voicectl.cli import errors
from voicectl.cli.arguments import grouped
from voicectl.cli.context import App, current
from voicectl.cli.output.text import is_terminal, remark
from voicectl.cli.output.writer import View
from voicectl.cli.private_sandbox import store_address, stored_identity
from voicectl.cli.sandbox_certificates import DIRECTORY as TLS_DIRECTORY
from voicectl.cli.sandbox_certificates import stored_authority
from voicectl.core import own_sandbox
from voicectl.core.identity import rehearsal, target
from voicectl.core.own_sandbox import LOOK_SECONDS, OwnSandbox
from voicectl.core.sandbox_control import SandboxControl
from voicectl.errors import InputError, VoicectlError
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.destinations import Destinations, read_mappings
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import MAX_PORT, PORT, PortTaken, serve
from voicectl.store import files

START_SECONDS = 15.0
_TO_USE = "Use it with -p sandbox, or: export VOICECTL_PROFILE=sandbox"

VIEW = View(
    columns=(
        "url",
        "application_id",
        "call_time",
        "legs_live",
        "legs",
        "conversations",
        "faults",
        "webhooks_pending",
        "speed",
        "frozen",
    ),
    more=("regions", "tls_url", "pid", "seed", "settle", "limits"),
    id="url",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The options that determine how a new sandbox behaves."""

    speed: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="Run the sandbox's call clock, which times its calls, N times as fast as real time.",
        ),
    ] = 1.0
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Freeze the call clock; only 'sandbox advance' moves it.")
    ] = False
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed for ids and random choices (default: random)."),
    ] = None
    settle: Annotated[
        str, typer.Option(metavar="DURATION", help="Refuse changes to a new leg for this long.")
    ] = "0s"
    no_limits: Annotated[
        bool, typer.Option("--no-limits", help="Do not enforce rate limits (status 429).")
    ] = False
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Also allow webhooks, streams and WebSockets to reach this host. Repeatable.",
        ),
    ] = None
    map_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST=URL",
            help="Send webhooks and WebSockets for this host to a URL on this machine instead. Repeatable.",
        ),
    ] = None

    def options(self) -> Options:
        """Return the :class:`Options` with which to create the sandbox.

        Raises:
            InputError: An option is out of bounds, or two options cannot be used together.
        """
        if not 0 < self.speed <= 10_000:
            raise InputError("--speed must be above 0 and at most 10000.")
        if self.frozen and self.speed != 1:
            raise InputError("--speed and --frozen cannot be used together.", hint="Give only one of them.")
        return Options(
            seed=secrets.randbelow(1 << 31) if self.seed is None else self.seed,
            speed=self.speed,
            frozen=self.frozen,
            settle=times.duration(self.settle),
            limits=not self.no_limits,
            destinations=Destinations(
                allowed=frozenset(host.lower() for host in self.allow_host or ()),
                mapped=read_mappings(self.map_host or ()),
            ),
        )


@grouped
def start(
    ctx: typer.Context,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background; return once it is ready.")
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_PORT,
            metavar="PORT",
            help="Listen on this port and the next six (0: any free ports).",
        ),
    ] = PORT,
    tls: Annotated[
        bool, typer.Option("--tls", help="Also serve HTTPS, on the port after those of the regions.")
    ] = False,
    *,
    behaviour: Behaviour,
) -> None:
    r"""Start a sandbox on this machine.

    The first start creates the profile 'sandbox', with its own key. Each time it starts, the sandbox stores its
    address in that profile; select the profile with -p sandbox. This address serves the calls of all regions. Each
    region also has an address of its own, on one of the next six ports, which serves only that region's calls:
    'sandbox status --fields regions' lists them. The sandbox runs until Ctrl-C or 'sandbox stop'.

    With --tls, it also serves HTTPS, for programs that accept only HTTPS. Its certificates come from a certificate
    authority of its own, whose key stays in the configuration directory. 'sandbox env' makes programs in your shell
    trust it.

    Examples:
      $ voicectl sandbox start --detach --port 0
      $ voicectl sandbox start --detach --port 0 --frozen --seed 7
      $ voicectl sandbox start --detach --port 0 \
          --map-host demo.example.com=http://127.0.0.1:3000
      $ voicectl sandbox start --detach --port 0 --tls
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    options = behaviour.options()
    _refuse_second(app)
    if detach:
        _start_detached(app, port, options, tls=tls)
        return
    identity = stored_identity(app.profiles)
    authority = stored_authority(app.profiles.directory / TLS_DIRECTORY, app.clock.time) if tls else None
    sandbox = Sandbox(identity, options, clock=app.clock)

    states = target.state_directory(app.environ)
    started: list[OwnSandbox] = []

    def ready(url: str) -> None:
        regions = sandbox.region_urls
        store_address(app.profiles, sandbox)
        started.append(OwnSandbox(url, identity.application_id))
        own_sandbox.record(states, started[0])
        with app.terminal.writer(VIEW, is_many=False) as out:
            found = {"url": url, "application_id": identity.application_id, "regions": regions}
            out.add(found | {"tls_url": sandbox.tls_url})
        also = f" and {sandbox.tls_url}" if tls else ""
        remark(f"The sandbox is running at {url}{also}. Press Ctrl-C to stop it. {_TO_USE}")

    try:
        signum = serve(sandbox, port=port, tls=authority, on_ready=ready)
    except PortTaken as exc:
        raise _cannot_listen(exc) from exc
    finally:
        for each in started:
            own_sandbox.forget(states, each)
    if signum is not None:
        raise typer.Exit(128 + signum)


def stop(ctx: typer.Context) -> None:
    """Stop the sandbox.

    A sandbox that you started is found even if its profile is gone.

    Example:
      $ voicectl sandbox stop
    """
    app = current(ctx)
    found = _stoppable(app)
    if found is None:
        remark("No sandbox has been started on this machine yet.")
        return
    control = SandboxControl(found.url, source="The sandbox's address", dry_run=app.options.dry_run)
    if not control.stop(found.application_id):
        remark(f"No sandbox is running at {found.url}.")


def _stoppable(app: App) -> OwnSandbox | None:
    """Return the sandbox that should be stopped, or None if this machine knows no sandbox."""
    if url := app.environ.get(rehearsal.VARIABLE):
        profile = rehearsal.profile_at(url, app.profiles)
        return OwnSandbox(profile.base_url, profile.application_id)
    return own_sandbox.known(app.profiles, target.state_directory(app.environ))


def status(ctx: typer.Context) -> None:
    """Show the state of the sandbox.

    Example:
      $ voicectl sandbox status -o json
    """
    app = current(ctx)
    with app.terminal.writer(VIEW, is_many=False) as out:
        out.add(app.control.status())


def reset(ctx: typer.Context) -> None:
    """Delete the sandbox's calls and faults; its credentials are kept.

    Example:
      $ voicectl sandbox reset
    """
    current(ctx).control.post("/sandbox/reset")


def _refuse_second(app: App) -> None:
    """Refuse to start a second sandbox, because its address would replace that of the first in the profile."""
    found = own_sandbox.known(app.profiles, target.state_directory(app.environ))
    if found is not None and found.is_running:
        raise InputError(
            f"The sandbox is already running at {found.url}.",
            hint="Stop it first: voicectl sandbox stop",
        )


def _start_detached(app: App, port: int, options: Options, *, tls: bool) -> None:
    """Run ``sandbox start`` in a new process, and wait until the sandbox answers."""
    stored_identity(app.profiles)  # first, so that this process reports errors
    log = files.private_directory(target.state_directory(app.environ)) / "sandbox.log"
    words = [sys.executable, "-m", "voicectl", "sandbox", "start", "--port", str(port), "-q"]
    words += ["--speed", str(options.speed), "--seed", str(options.seed), "--settle", f"{options.settle:g}"]
    words += ["--frozen"] * options.frozen + ["--no-limits"] * (not options.limits)
    words += ["--tls"] * tls
    for host in sorted(options.destinations.allowed):
        words += ["--allow-host", host]
    for host, origin in options.destinations.mapped.items():
        words += ["--map-host", f"{host}={origin}"]
    log.unlink(missing_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        child = subprocess.Popen(  # noqa: S603 (it is this program)
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env=dict(app.environ),
            start_new_session=True,
            cwd="/",
        )
    assert child.stdout is not None  # noqa: S101 (it is a pipe)
    url = child.stdout.readline().decode().strip()  # empty if the child ended before it was ready
    if not url:
        child.wait(START_SECONDS)
        for line in log.read_text(errors="replace").splitlines():
            remark(line)
        raise typer.Exit(child.returncode or errors.INTERNAL)
    with app.terminal.writer(VIEW, is_many=False) as out:
        out.add(SandboxControl(url, source="The new sandbox").status())
    if is_terminal(sys.stderr) and not app.options.quiet:
        remark(_TO_USE)


def _cannot_listen(exc: PortTaken) -> VoicectlError:
    hint = "Choose another with --port, or stop the program that is using it."
    with suppress(VoicectlError):
        SandboxControl(f"http://127.0.0.1:{exc.port}", source="--port").identity(timeout=LOOK_SECONDS)
        hint = "Another sandbox is using this port: choose another port with --port."
    return InputError(f"Port {exc.port} cannot be used: {exc.strerror}.", hint=hint)
