"""``help``: the help of a command, or a topic that concerns all commands."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from voicectl.cli import pages
from voicectl.cli.context import App, current
from voicectl.cli.errors import ERROR_CODES, EXIT_STATUSES
from voicectl.cli.grammar import root
from voicectl.cli.options.common import common_options
from voicectl.cli.tree import COMMANDS, PROGRAM
from voicectl.core.identity.target import config_directory, state_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WIDTH = 80
PAGES = ("answer-rules", "sandbox-choices")
"""The topics that are pages of the documentation."""
_DEEP = " " * 6


class Variable(NamedTuple):
    """A line in the help on environment variables.

    Attributes:
        names: The names of the variables, separated by commas.
        others: The names of other programs' variables that are read as well.
        meaning: A description of what the variables set.
    """

    names: str
    others: str
    meaning: str


VARIABLES = (
    Variable("VOICECTL_APPLICATION_ID", "VONAGE_APPLICATION_ID", "The application's id."),
    Variable(
        "VOICECTL_PRIVATE_KEY",
        "VONAGE_PRIVATE_KEY, VONAGE_PRIVATE_KEY_PATH, VONAGE_APPLICATION_PRIVATE_KEY_PATH",
        "The application's private key: a path, or PEM text (literal \\n and base64 are accepted).",
    ),
    Variable(
        "VOICECTL_API_KEY, VOICECTL_API_SECRET",
        "VONAGE_API_KEY, VONAGE_API_SECRET",
        "The account's API key and secret, which 'app' and 'number' need.",
    ),
    Variable(
        "VOICECTL_SIGNATURE_SECRET",
        "VONAGE_SIGNATURE_SECRET",
        "The secret that signs webhooks; while you rotate it, both secrets, one per line.",
    ),
    Variable("VOICECTL_PROFILE", "", "The profile to use."),
    Variable("VOICECTL_FROM", "", "The caller id of new calls."),
    Variable("VOICECTL_REGION, VOICECTL_BASE_URL", "", "The region, or the base URL, of the API."),
    Variable("VOICECTL_REQUEST_TIMEOUT", "", "Time limit for each request, a DURATION (default 10 s)."),
    Variable(
        "VOICECTL_OUTPUT",
        "",
        "The output format on a terminal; ignored if standard output is not a terminal.",
    ),
    Variable(
        "VOICECTL_STORE",
        "",
        "The store of webhook events, postgresql://... (default: a file on this machine).",
    ),
    Variable("VOICECTL_CONFIG_DIR", "XDG_CONFIG_HOME", "The directory of profiles and keys."),
    Variable(
        "VOICECTL_STATE_DIR",
        "XDG_STATE_HOME",
        "The directory of the journal, the rate limiter's state and the events.",
    ),
    Variable(
        "VOICECTL_SANDBOX", "", "The URL of the sandbox on which every command acts; set by 'sandbox exec'."
    ),
    Variable(
        "",
        "NO_COLOR, CLICOLOR_FORCE, TERM",
        "NO_COLOR turns colours off, CLICOLOR_FORCE turns them on, and TERM=dumb turns off"
        " colours and full-screen output.",
    ),
    Variable(
        "",
        "HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE",
        "The proxy to use, the hosts to reach without it, and the file of CA certificates to trust.",
    ),
)

CONFIGURATION = (
    ("profiles.json", "Profiles, without their secrets."),
    ("keys/", "Private keys and secrets, readable only by you."),
    ("sandbox-tls/", "The key of the sandbox's certificate authority, and the certificates to trust."),
)
STATE = (
    ("sandbox.log", "The output of 'sandbox start --detach'."),
    ("sandbox.json", "The address of the running sandbox."),
    ("APPLICATION-ID/", "What voicectl records for each application:"),
    ("  journal.db", "the calls it created, so that none is created twice;"),
    ("  events.db", "webhook events that 'webhook serve' received;"),
    ("  spool/", "events waiting to be sent to a store on another machine;"),
    ("  notes", "the log of actions on legs, for 'trace' and '--undo';"),
    ("  listed, rooms", "the legs and rooms it listed last, for shell completion;"),
    ("  batches/", "the batches: their people, attempts and outcomes;"),
    ("  unwritten/", "outcomes waiting to be written to a batch's database;"),
    ("  opt-outs", "people who asked not to be called again;"),
    ("  pace", "the state of the rate limiter, which all voicectl processes share;"),
    ("  clock-offset", "how far this machine's clock is off."),
)


def help_(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND|TOPIC...]",
            help="A command (one or more words), or a topic.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show help for a command or topic.

    Topics: options (those that all commands share), exit-statuses, environment, files, answer-rules (the rules of
    'webhook serve --answer'), sandbox-choices (what the sandbox does where the platform's documentation is silent).

    Examples:
      $ voicectl help call create
      $ voicectl help exit-statuses
      $ voicectl help answer-rules
    """
    app = current(ctx)
    words = words or []
    if len(words) == 1 and words[0] in _TOPICS:
        app.terminal.write(_TOPICS[words[0]](app))
        return
    if len(words) == 1 and words[0] in PAGES:
        _show(pages.read(words[0]), app)
        return
    if (
        len(words) == 1
        and words[0] not in COMMANDS
        and (near := get_close_matches(words[0], [*_TOPICS, *PAGES], n=1))
    ):
        ctx.fail(f"No such command or topic {words[0]!r}. Did you mean '{PROGRAM} help {near[0]}'?")
    root().main([*words, "--help"], prog_name=PROGRAM, standalone_mode=False, obj=app)


def _show(page: str, app: App) -> None:
    """Print a page, laid out if standard output is a terminal, else as it is."""
    if not app.terminal.has_screen:
        app.terminal.write(page)
        return
    from rich.markdown import Markdown  # noqa: PLC0415 (on a terminal only)

    from voicectl.cli.output.progress import plain_console  # noqa: PLC0415 (as above)

    plain_console(sys.stdout, is_colored=app.terminal.may_color).print(Markdown(page))


def _options(_app: App) -> str:
    with typer.Context(root(), info_name=PROGRAM) as context:
        records = [option.get_help_record(context) for option in common_options()]
    return f"""\
Options that all commands accept, before or after the command's name:

{_rows(filter(None, records))}
DURATION is a number with a unit, such as 30s, 5m, 2h or 1h30m; without a unit,
it is in seconds. TIME is an RFC 3339 timestamp, such as 2026-01-31T07:45:14Z,
or a DURATION before the current time: 10m means 10 minutes ago.
"""


def _exit_statuses(_app: App) -> str:
    codes = {kind.code: (str(kind.status), kind.meaning) for kind in reversed(ERROR_CODES)}
    return f"""\
Exit statuses:

{_rows(EXIT_STATUSES.items())}
A command with several targets continues after one fails. If all targets fail
for the same reason, the exit status is the one for that reason; if only some
fail, or if they fail for different reasons, it is 10. Status 12 outranks all
others.

With -o json, an error is a JSON object. The possible values of its 'code'
field, with the exit status of each:

{_rows((f"{code:14} {status:>2}", meaning) for code, (status, meaning) in sorted(codes.items()))}"""


def _environment(_app: App) -> str:
    entries = ""
    for names, others, meaning in VARIABLES:
        also = f" Fallback: {others}." if names and others else ""
        text = fill(
            meaning + also, WIDTH, initial_indent=_DEEP, subsequent_indent=_DEEP, break_on_hyphens=False
        )
        entries += f"  {names or others}\n{text}\n"
    return f"""\
Settings are looked up in this order: the option for the setting; the profile
named by --profile or VOICECTL_PROFILE; the other VOICECTL_* variables; the
VONAGE_* variables; the default profile. 'profile show' shows the settings in
use and where each comes from.

{entries}
No environment variable can replace --yes.
"""


def _files(app: App) -> str:
    return f"""\
Configuration, in {config_directory(app.environ)}:

{_rows(CONFIGURATION)}
State, in {state_directory(app.environ)}:

{_rows(STATE)}"""


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    """Return *rows* as two columns, in lines of at most :data:`WIDTH` characters."""
    shown = list(rows)
    width = max(len(name) for name, _ in shown) + 4
    return "".join(
        fill(text, WIDTH, initial_indent=f"  {name}".ljust(width), subsequent_indent=" " * width) + "\n"
        for name, text in shown
    )


_TOPICS: dict[str, Callable[[App], str]] = {
    "options": _options,
    "exit-statuses": _exit_statuses,
    "environment": _environment,
    "files": _files,
}
