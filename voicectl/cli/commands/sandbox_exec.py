"""``sandbox exec``: run a command with a private sandbox in place of the platform."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from typing import Annotated

import typer

from voicectl.cli.arguments import grouped
from voicectl.cli.commands.sandbox import Behaviour
from voicectl.cli.context import current
from voicectl.cli.private_sandbox import private_sandbox
from voicectl.core import isolation
from voicectl.errors import InputError

MAX_REPORTED = 10
"""The largest number of remarks on refused connections."""


@grouped
def exec_(
    ctx: typer.Context,
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- CMD...", help="The command and its arguments.", show_default=False),
    ],
    intercept: Annotated[
        bool,
        typer.Option(
            "--intercept",
            help="Also answer for the platform's own hosts, through a proxy that refuses all others.",
        ),
    ] = False,
    isolate: Annotated[
        bool,
        typer.Option(
            "--isolate",
            help="Let the command reach only this sandbox and servers that it starts (Linux only).",
        ),
    ] = False,
    *,
    behaviour: Behaviour,
) -> None:
    """Run a command with a private sandbox in place of the platform.

    Every voicectl command run by CMD uses this sandbox, whichever profile is named, and reaches nothing else, so you
    can rehearse a runbook unchanged. For other programs, the environment contains VONAGE_APPLICATION_ID,
    VONAGE_PRIVATE_KEY, VONAGE_API_HOST and the secrets of the sandbox's account, and no other credentials. The
    command gets a temporary configuration of its own. The exit status is that of the command.

    With --intercept, programs that use the platform's own addresses run unchanged. HTTPS_PROXY names a proxy that
    answers for the platform's hosts and refuses all others, and SSL_CERT_FILE and similar variables make programs
    trust its certificates. Node ignores proxy variables, so NODE_OPTIONS makes Node programs load a module that
    does what the proxy does. Connections to this machine bypass the proxy. A program that ignores the variables can
    still reach other hosts, unless you add --isolate.

    With --isolate, the sandbox and the command have a network of their own, which contains only loopback. They can
    reach neither other machines nor servers outside this network, even on this machine. Unix sockets in the file
    system remain usable, and a command that runs as root can leave this network on purpose. This needs Linux, and
    root or unprivileged user namespaces.

    Examples:
      $ voicectl sandbox exec -- voicectl call create --to 447700900001 --talk Hi
      $ voicectl sandbox exec --intercept -- curl https://api.nexmo.com/v1/calls
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    options = behaviour.options()
    if isolate:
        if options.destinations.allowed:
            raise InputError(
                "--isolate and --allow-host cannot be used together.", hint="Give only one of them."
            )
        isolation.enter()
    with private_sandbox(app.environ, app.clock, options, intercept=intercept) as environ:
        code = _run_child(command, environ)
    if code:
        raise typer.Exit(code)


def _run_child(command: list[str], environ: Mapping[str, str]) -> int:
    """Run *command* and return its exit status.

    SIGTERM and SIGHUP are passed on to the command. SIGINT is ignored, because the terminal also sends it to the
    command.
    """
    try:
        child = subprocess.Popen(command, env=environ)  # noqa: S603 (it is what the user asked to run)
    except OSError as exc:
        raise InputError(
            f"{command[0]} cannot be run: {exc.strerror}.", hint="Check the command after --."
        ) from exc
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    for passed_on in (signal.SIGTERM, signal.SIGHUP):
        before[passed_on] = signal.signal(passed_on, lambda signum, _: child.send_signal(signum))
    try:
        code = child.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return code if code >= 0 else 128 - code
