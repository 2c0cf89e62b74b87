"""A scenario file: the application under test, and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.core.scenarios.kinds import (
    Anything,
    Comparison,
    Duration,
    Flag,
    Many,
    Named,
    Table,
    Text,
    Whole,
)
from voicectl.core.scenarios.steps import COMMAND, NUMBER, Step, StepKind, option
from voicectl.voice.call import Region

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.core.scenarios.kinds import Limit

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NUMBER_CALLED = "442079460000"
CALLER = "447700900000"
STEP_SECONDS = 10.0
START_SECONDS = 30.0
SETTLE_SECONDS = 0.0
LOOPS = 5
LINGER_SECONDS = 60.0

_URL_OR_PATH = Text(pattern=r"/.*|https?://.+", right="a path such as /answer, or a URL")
_METHOD = Text(values=("GET", "POST"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The application under test, and its settings on the platform."""

    run: str | tuple[str, ...] | None = option(
        COMMAND, "Command that starts the application; {port} stands for a free port.", default=None
    )
    url: str | None = option(
        Text(pattern=r"https?://[^/]+/?", right="a URL such as http://127.0.0.1:3000"),
        "URL of an application that is already running.",
        default=None,
    )
    ready: str | None = option(
        Text(pattern=r"/.*", right="a path"),
        "Path that answers once the application is ready (default: once it accepts connections).",
        default=None,
    )
    start_within: float = option(
        Duration(most=600), "How long the application may take to start, in real time.", default=START_SECONDS
    )
    cwd: str = option(Text(), "Working directory, relative to this file.", default=".")
    env: dict[str, str] = option(
        Named(value=Text(may_be_empty=True, may_be_number=True)),
        "Environment variables.",
        default_factory=dict,
    )
    restart: bool = option(Flag(), "Start the application anew for each test.", default=False)
    intercept: bool = option(
        Flag(),
        "Intercept requests to the platform's own hosts, for applications that have those addresses built in.",
        default=False,
    )
    settle: float = option(
        Duration(most=60),
        "How long, in real time, the application must send no request before the call clock moves on; for"
        " applications that act after they have answered a webhook.",
        default=SETTLE_SECONDS,
    )
    answer_url: str | None = option(_URL_OR_PATH, "The application's answer_url.", default=None)
    answer_method: str = option(_METHOD, "Method for answer_url.", default="GET")
    event_url: str | None = option(_URL_OR_PATH, "The application's event_url.", default=None)
    event_method: str = option(_METHOD, "Method for event_url.", default="POST")
    fallback_url: str | None = option(_URL_OR_PATH, "The application's fallback_answer_url.", default=None)
    rtc_event_url: str | None = option(_URL_OR_PATH, "URL for the events of conversations.", default=None)
    region: str | None = option(
        Text(values=tuple(Region)), "The application's region on the platform.", default=None
    )
    numbers: tuple[str, ...] = option(
        Many(item=Text(pattern="[0-9]{5,15}", right="a number")),
        "Further numbers that are linked to the application.",
        default=(),
    )
    far_ends: dict[str, str] = option(
        Named(value=Text(pattern="[0-9]{3}", right="three digits, as in 447700900200")),
        'How other parties behave, by number: with { "15551230001" = "200" }, 15551230001 is busy, as'
        " 447700900200 is.",
        default_factory=dict,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to the application."""

    from_: str = option(Text(right="a number", may_be_number=True), "The caller.", default=CALLER)
    to: str = option(NUMBER, "The number that is called.", default=NUMBER_CALLED)
    region: str | None = option(Text(values=tuple(Region)), "Region of the call.", default=None)
    sip_headers: dict[str, str] = option(
        Named(value=Text()), "SIP headers, such as X-Account.", default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A request to the application that makes it call someone."""

    path: str = option(Text(pattern="/.*", right="a path"), "Path and query of the request.")
    method: str = option(Text(values=("GET", "POST", "PUT")), "Method.", default="POST")
    json: Any = option(Anything(), "Body of the request, sent as JSON.", default=None)
    headers: dict[str, str] = option(Named(value=Text()), "Headers.", default_factory=dict)
    status: int | None = option(
        Whole(least=100, most=599), "Status that the response must have (default: any 2xx).", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """Conditions that must hold once the call is over."""

    duration: Limit | None = option(
        Comparison(), 'Length of the call from answer to end, such as "<30s".', default=None
    )
    status: str | None = option(Text(), "Last status of the call.", default=None)
    events: tuple[str, ...] | None = option(
        Many(item=Text()), "Call statuses that must be sent to the application, in this order.", default=None
    )
    recordings: Limit | None = option(Comparison(), "Number of recordings.", default=None)
    legs: Limit | None = option(Comparison(), "Number of legs, including the callers' own.", default=None)
    webhooks_failed: Limit | None = option(
        Comparison(),
        "Number of webhooks that failed. If it is set, a failed webhook does not by itself fail the test.",
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Settings for all tests of a file."""

    within: float = option(Duration(), "How long a step may wait.", default=STEP_SECONDS)
    linger: float = option(
        Duration(), "How long callers stay on the line after their last step.", default=LINGER_SECONDS
    )
    loops: int = option(
        Whole(most=1000),
        "Fail when one prompt is heard this many times with nothing pressed or said; 0 turns this off.",
        default=LOOPS,
    )
    checks: bool = option(Flag(), "Also check every webhook, NCCO and audio file.", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A test: a call, and the steps of the people in it."""

    name: str = option(Text(), "Name of the test.")
    call: Call | None = option(Table(record=Call), "Someone calls the application.", default=None)
    callers: dict[str, Call] = option(
        Named(value=Table(record=Call)),
        "Several callers by name; each calls when its first step is reached, the first one at once.",
        default_factory=dict,
    )
    create: Create | None = option(
        Table(record=Create), "A request to the application that makes it call someone.", default=None
    )
    steps: tuple[Step, ...] = option(Many(item=StepKind()), "What happens, in order.", default=())
    expect: Expect | None = option(Table(record=Expect), "Conditions on the whole call.", default=None)
    defaults: Defaults | None = option(
        Table(record=Defaults), "Settings for this test alone, in place of the file's defaults.", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario file that has been read.

    Attributes:
        path: The file.
        tests: Its tests, in order.
    """

    path: Path
    app: Application
    tests: tuple[Test, ...]
