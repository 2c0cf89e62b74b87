"""Run one command: parse its arguments, report its errors, and return its exit status.

Errors that end the command are caught and reported in this module.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.exceptions import TyperException

from voicectl.cli import errors
from voicectl.cli.context import App
from voicectl.cli.grammar import INSTEAD_OF_OPTION, root
from voicectl.cli.output.text import remark
from voicectl.cli.tree import COMPLETION_VARIABLE, PROGRAM
from voicectl.clock import SystemClock
from voicectl.errors import DryRun, InputError, Interrupted, VoicectlError
from voicectl.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voicectl.clock import Clock

_SECRET = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|LS0tLS1CRUdJTi|\AMII[A-Za-z0-9+/\s]{300}"
    r"|\A(?:Bearer\s+)?ey[\w-]{8,}\.ey[\w-]{8,}\.[\w-]{20,}\Z"
)


def run(
    argv: Sequence[str],
    *,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    interrupts: Interrupts | None = None,
    start_refresh: Callable[[Mapping[str, str]], None] | None = None,
) -> int:
    """Run one command on the standard streams of this process, and return its exit status.

    Args:
        argv: The arguments after ``voicectl``.
        clock: The clock that the command uses. The default is the system clock.
        environ: The environment variables. The default is the environment of the process.
        interrupts: The signal handlers. They catch signals only if the caller has installed them.
        start_refresh: A function that starts a process to refresh the listings that shell completion reads. It takes
            the environment of that process. The default is :func:`voicectl.cli.refresh.start`.
    """
    app = App(
        clock=clock or SystemClock(),
        environ=os.environ if environ is None else environ,
        interrupts=interrupts or Interrupts(),
        start_refresh=start_refresh,
    )
    try:
        _prepare_streams()
        with app.closing:
            status = _invoke(app, argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        if status != errors.UNKNOWN:
            app.interrupts.check()
    except Interrupted as exc:
        return errors.exit_status(exc)
    except OSError as exc:
        return _output_failed(app, exc)
    return status


def _invoke(app: App, argv: Sequence[str]) -> int:
    if app.environ.get(COMPLETION_VARIABLE):
        from voicectl.cli import complete  # noqa: PLC0415 (only when a shell completes a word)

        return complete.answer(app)
    try:
        _refuse_secrets(argv)
        status = root().main(list(argv), prog_name=PROGRAM, standalone_mode=False, obj=app)
    except DryRun as dry:
        app.consent.show_request(dry)
        return 0
    except Interrupted:
        raise
    except VoicectlError as exc:
        errors.report(exc, profile=_target_name(app), as_json=_has_json_errors(app, argv))
        return errors.exit_status(exc)
    except typer.Abort:
        remark("Nothing was done.")
        return 128 + signal.SIGINT
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):  # Typer would exit without reporting what was done
            raise exc.__context__ from None
        raise
    except TyperException as exc:
        return _usage_failed(exc, as_json=_has_json_errors(app, argv))
    except OSError:
        raise
    except Exception as exc:
        if isinstance(exc, UnicodeEncodeError) and not all(map(_is_text, argv)):
            fault = InputError(
                "An argument on the command line is not valid in this locale's encoding.",
                hint="Write it in UTF-8, or check LANG and LC_ALL. Nothing was changed.",
            )
            errors.report(fault, profile=_target_name(app), as_json=_has_json_errors(app, argv))
            return errors.USAGE
        if "--debug" in argv:  # the options may not have been read yet
            raise
        bug = VoicectlError(
            f"unexpected internal error: {type(exc).__name__}",
            hint="This is a bug in voicectl. Add --debug to see where it happened.",
        )
        errors.report(bug, profile=None, as_json=_has_json_errors(app, argv))
        return errors.exit_status(bug)
    return status if isinstance(status, int) else 0


def _refuse_secrets(argv: Sequence[str]) -> None:
    """Refuse secrets on the command line, where other users of the machine can read them.

    Raises:
        InputError: An argument contains a private key or is a token.
    """
    for word in argv:
        if _SECRET.search(word):
            raise InputError(
                "A key or token was given on the command line, where it is visible to every user of this host.",
                hint="Give the name of a file, or - for standard input. Replace the secret: others may have seen it.",
            )


def _is_text(word: str) -> bool:
    """Return True if the argument *word* has no surrogates, which stand for bytes that could not be decoded."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _has_json_errors(app: App, argv: Sequence[str]) -> bool:
    """Return True if errors should be written as JSON. This works even if *argv* has not been parsed yet."""
    if app.options.output is not None:
        return app.terminal.has_json_errors
    return re.search(r"(?:^|\0)(?:-o[\0=]?|--output[\0=])jsonl?(?:\0|$)", "\0".join(argv)) is not None


def _usage_failed(exc: TyperException, *, as_json: bool) -> int:
    ctx: Any = getattr(exc, "ctx", None)
    if type(exc).__name__ == "NoArgsIsHelpError":
        remark_lines = ctx.get_help().splitlines()
        for line in remark_lines:
            remark(line)
        return errors.USAGE
    where = ctx.command_path if ctx else PROGRAM
    message = exc.format_message()
    if (meant := INSTEAD_OF_OPTION.get(getattr(exc, "option_name", ""))) is not None:
        message = f"No such option: {getattr(exc, 'option_name', '')}. Did you mean {meant}?"
    fault = InputError(message, hint=f"See '{where} --help'.")
    errors.report(fault, profile=None, as_json=as_json)
    return errors.USAGE


def _output_failed(app: App, exc: OSError) -> int:
    """Handle a failure to write to standard output: report what was changed, and return the exit status.

    If the reader closed the pipe before anything was changed, the exit status is 0.
    """
    has_left = isinstance(exc, BrokenPipeError)
    for uuid in app.changed_ids:
        remark(f"{uuid}: done, but the result could not be written to standard output")
    if not has_left and not app.changed_ids:
        remark(f"{PROGRAM}: {exc.strerror or exc}")
    if sys.stdout is not None:  # otherwise, the interpreter would flush it at exit, and fail
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return errors.INTERNAL if app.changed_ids or not has_left else 0


def _prepare_streams() -> None:
    """Make standard output and error escape unencodable characters, and reopen closed standard descriptors.

    If descriptor 0, 1 or 2 stayed closed, the next file that is opened would get its number.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _target_name(app: App) -> str | None:
    """Return the name of the application and host to act on, or None if they have not been determined yet."""
    target = app.__dict__.get("target")
    return target.name if target else None
