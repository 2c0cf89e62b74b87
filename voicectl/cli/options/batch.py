"""The options of ``batch run``, and the settings that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import (
    MAX_LENGTH_SECONDS,
    AnswerUrl,
    From,
    Language,
    NccoFile,
    Premium,
    Style,
    caller_id,
    check_text,
    check_url,
    whole_seconds,
)
from voicectl.cli.ncco_input import check_ncco, read_ncco
from voicectl.core.batch.attempts import REPEATABLE, USUALLY_REPEATED
from voicectl.core.batch.hours import Window
from voicectl.core.batch.people import zone
from voicectl.core.batch.settings import Settings
from voicectl.core.calls.order import greeting
from voicectl.core.webhooks import lease
from voicectl.errors import GuardError, InputError
from voicectl.loopback import is_loopback_url
from voicectl.store.rate_limiter import CREATES_PER_SECOND

if TYPE_CHECKING:
    from voicectl.cli.context import App

MAX_RINGING_SECONDS = 120
MAX_ATTEMPTS = 20
KEYS = "0123456789*#"

_RETRY_HELP = (
    f"Call again after these outcomes (default {','.join(USUALLY_REPEATED)}); also possible:"
    f" {', '.join(each for each in REPEATABLE if each not in USUALLY_REPEATED)}."
)

Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Ring at most this many phones per second (default 3, shared with all other commands). A higher rate"
        " needs 'profile add --max-calls-per-second', except on a sandbox.",
    ),
]
BatchStoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Use the batches in this database, postgresql://USER@HOST/DATABASE, which several machines can share.",
    ),
]
Concurrent = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Have at most this many calls under way.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOptions:
    """The options that say what people hear."""

    talk: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Say this. {COLUMN} stands for the value in the person's row."),
    ] = None
    language: Language = None
    style: Style = None
    premium: Premium = False
    ncco_file: NccoFile = None
    answer_url: AnswerUrl = None
    from_: From = None
    ringing_timer: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Ring for at most this long (default 60 s).")
    ] = None
    length_timer: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End the call after this long (default 2 h).")
    ] = None
    no_machine_detection: Annotated[
        bool, typer.Option("--no-machine-detection", help="Do not detect whether a machine answers.")
    ] = False
    on_machine: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What to do if a machine answers: 'hangup', or 'leave-message' (after the beep; this"
            " detection is charged).",
        ),
    ] = "hangup"

    confirm_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Count a person as reached only if they press this key; needs --talk and 'webhook serve'.",
        ),
    ] = None
    opt_out_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Never call people again, in any batch, if they press this key; needs --talk and 'webhook serve'.",
        ),
    ] = None
    public_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="URL at which the platform reaches 'webhook serve', which receives the keys (default: that of the"
            " running 'webhook serve', if it set the webhooks).",
        ),
    ] = None

    def settings(self, app: App) -> dict[str, Any]:
        """Return the settings that these options describe.

        Raises:
            InputError: An option is invalid, or there is not exactly one source of the call flow.
        """
        sources = [each for each in (self.talk, self.ncco_file, self.answer_url) if each is not None]
        if len(sources) != 1:
            raise InputError(
                "A batch needs exactly one source for its call flow.",
                hint="Give --talk, --ncco or --answer-url.",
            )
        if self.on_machine not in ("hangup", "leave-message"):
            raise InputError("--on-machine must be hangup or leave-message.")
        if self.no_machine_detection and self.on_machine != "hangup":
            raise InputError("--on-machine and --no-machine-detection cannot be used together.")
        return {
            "ncco": self._ncco(app),
            "is_own_flow": self.talk is not None,
            "answer_url": None if self.answer_url is None else check_url(self.answer_url, "--answer-url"),
            "from_": caller_id(self.from_, app.target.from_),
            "ringing_timer": _timer("--ringing-timer", self.ringing_timer, MAX_RINGING_SECONDS),
            "length_timer": app.target.policy.length_for(
                _timer("--length-timer", self.length_timer, MAX_LENGTH_SECONDS)
            ),
            "detects": not self.no_machine_detection,
            "leaves_message": self.on_machine == "leave-message",
            **self._keys(app),
        }

    def _keys(self, app: App) -> dict[str, str | None]:
        keys = [each for each in (self.confirm_key, self.opt_out_key) if each is not None]
        if not keys:
            return {}
        if any(key not in KEYS or len(key) != 1 for key in keys) or len(set(keys)) < len(keys):
            raise InputError("--confirm-key and --opt-out-key must be two different phone keys.")
        public_url = self.public_url or lease.running_url(app.state_directory, app.target.application_id)
        if self.talk is None or public_url is None:
            raise InputError(
                "--confirm-key and --opt-out-key need --talk, and a receiver for the keys: voicectl asks for the key"
                " after the message, and 'webhook serve' receives it.",
                hint="Add --talk TEXT, which should name the keys. Run 'voicectl webhook serve --set-urls URL', or"
                " add --public-url URL.",
            )
        url = lease.check_public_url(public_url)
        app.target.check_reach(url)
        return {"confirm_key": self.confirm_key, "opt_out_key": self.opt_out_key, "public_url": url}

    def _ncco(self, app: App) -> Any:
        voice = {"language": self.language, "style": self.style, "premium": self.premium or None}
        if self.talk is None and any(value is not None for value in voice.values()):
            raise InputError("--language, --style and --premium need --talk.", hint="Add --talk TEXT.")
        if self.ncco_file is not None:
            return read_ncco(app.terminal, self.ncco_file, is_linted=True)
        if self.talk is None:
            return None
        flow = greeting(check_text(self.talk), None, None, **voice)
        check_ncco(app.terminal, flow)
        return flow


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleOptions:
    """The options that say who is called, and when."""

    to_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column with the number (default: to, number or phone)."),
    ] = None
    second_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column with another number of the same person, for the next attempt."
        ),
    ] = None
    consent_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Call only people with 'yes' in this column.")
    ] = None
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Do not call the numbers in this file, one per line; it is read again before each call.",
        ),
    ] = None
    attempts: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_ATTEMPTS,
            metavar="N",
            help="Call each person at most this many times (default 1; or 2 with --second-column).",
        ),
    ] = None
    retry_on: Annotated[
        str | None,
        typer.Option(
            metavar="OUTCOME,...",
            help=_RETRY_HELP,
        ),
    ] = None
    gap: Annotated[str, typer.Option(metavar="DURATION", help="Wait this long between two attempts.")] = "4m"
    window: Annotated[
        str | None,
        typer.Option(
            metavar="HOURS", help="Call only during these hours: '09:00-20:00', 'mon-fri 09:00-20:00'."
        ),
    ] = None
    timezone: Annotated[
        str | None, typer.Option(metavar="TZ", help="Time zone of --window, such as Europe/London.")
    ] = None
    timezone_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column with each person's time zone.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that these options describe.

        Raises:
            InputError: An option is invalid.
        """
        attempts = self.attempts or (1 if self.second_column is None else 2)
        return {
            "to_column": self.to_column,
            "second_column": self.second_column,
            "consent_column": self.consent_column,
            "exclude": None if self.exclude is None else str(self.exclude.absolute()),
            "attempts": attempts,
            "retry_on": _outcomes(self.retry_on, attempts),
            "gap": times.duration(self.gap),
            "window": self._window(),
            "timezone": self.timezone,
            "timezone_column": self.timezone_column,
        }

    def _window(self) -> str | None:
        if self.window is None:
            if self.timezone is not None or self.timezone_column is not None:
                raise InputError(
                    "--timezone and --timezone-column need --window.", hint="Add --window HOURS."
                )
            return None
        if self.timezone is None and self.timezone_column is None:
            raise InputError(
                "--window needs a time zone.", hint="Add --timezone Europe/London, or --timezone-column NAME."
            )
        Window.parse(self.window)
        if self.timezone is not None:
            zone(self.timezone)
        return self.window


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """The options that limit a batch."""

    rate: Rate = None
    concurrent: Concurrent = None
    max_people: Annotated[
        int, typer.Option("--max", min=1, metavar="N", help="Refuse to call more than N people.")
    ] = 10
    max_cost: Annotated[
        str | None,
        typer.Option(
            metavar="EUR",
            help="Make no call that might raise the cost above this amount; needs --price-per-minute.",
        ),
    ] = None
    price_per_minute: Annotated[
        str | None,
        typer.Option(metavar="EUR", help="Highest price per minute, used to check --max-cost."),
    ] = None

    def settings(self, app: App) -> dict[str, Any]:
        """Return the settings that these options describe.

        Raises:
            InputError: An option is invalid.
            GuardError: The rate is too high.
        """
        if self.max_cost is not None and self.price_per_minute is None:
            raise InputError("--max-cost needs --price-per-minute.", hint="Add --price-per-minute EUR.")
        return {
            "rate": check_rate(app, self.rate),
            "concurrent": self.concurrent,
            "max_cost": _amount("--max-cost", self.max_cost),
            "price_per_minute": _amount("--price-per-minute", self.price_per_minute),
        }


def check_rate(app: App, rate: float | None) -> float:
    """Return the number of phones that may be rung per second.

    Raises:
        InputError: The rate is not positive.
        GuardError: The rate is above what the profile allows, and the base URL is not on this machine.
    """
    if rate is None:
        return CREATES_PER_SECOND
    if not 0 < rate <= 10_000:
        raise InputError("--rate must be more than 0.", hint="The default is 3 per second.")
    most = app.target.policy.max_calls_per_second or CREATES_PER_SECOND
    if rate > most and not is_loopback_url(app.target.base_url):
        raise GuardError(
            f"--rate {rate:g} is above the limit of {most:g} calls per second.",
            hint="Leave out --rate. If the platform has raised the account's limit, store it in the profile:"
            " voicectl profile add NAME --replace --max-calls-per-second N ...",
        )
    return rate


def settings_of(app: App, message: MessageOptions, people: PeopleOptions, limits: LimitOptions) -> Settings:
    """Return the settings of a batch. The errors are those of the options' own methods."""
    return Settings(**message.settings(app), **people.settings(), **limits.settings(app))


def check_receiver(app: App, settings: Settings) -> None:
    """Check that a receiver has run on this machine if people are asked to press a key.

    Raises:
        InputError: It has not.
    """
    if settings.asks_for_keys and app.history is None:
        raise InputError(
            "No receiver has run on this machine, so the keys that people press would be lost.",
            hint="Start it first: voicectl webhook serve",
        )


def _timer(option: str, value: str | None, most: int) -> int | None:
    return None if value is None else whole_seconds(value, option, 1, most)


def _outcomes(text: str | None, attempts: int) -> tuple[str, ...]:
    if text is None:
        return tuple(each.value for each in USUALLY_REPEATED) if attempts > 1 else ()
    if attempts == 1:
        raise InputError("--retry-on needs --attempts.", hint="Add --attempts N, with N at least 2.")
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in REPEATABLE:
            raise InputError(
                f"--retry-on: {name!r} is not an outcome after which a person can be called again.",
                hint=f"Use {', '.join(REPEATABLE)}.",
            )
    return tuple(sorted(set(names)))


def _amount(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found < 0:
        raise InputError(f"{option} {text!r} is not an amount.", hint="Write it as 12.50.")
    return str(found)
