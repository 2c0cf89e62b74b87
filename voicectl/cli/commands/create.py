"""``call create``: call each person at most once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli import errors
from voicectl.cli.arguments import (
    MAX_LENGTH_SECONDS,
    AnswerUrl,
    From,
    Language,
    NccoFile,
    Premium,
    Style,
    caller_id,
    check_room,
    check_text,
    check_url,
    whole_seconds,
)
from voicectl.cli.commands.wait import NO_RECEIVER, parse_status, report_change, wait_for
from voicectl.cli.context import App, current
from voicectl.cli.ncco_input import NoLint, check_endpoints, check_ncco, read_ncco
from voicectl.cli.options import endpoints as endpoint_options
from voicectl.cli.options.endpoints import EndpointOptions, Shaken, UserToUser
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.cli.targets import stop, stops_all
from voicectl.core.calls.create import CallCreator
from voicectl.core.calls.entry_terms import entry_detail
from voicectl.core.calls.hangup import hang_up
from voicectl.core.calls.in_doubt import LostCallFinder
from voicectl.core.calls.order import CallOrder, greeting
from voicectl.errors import DryRun, GuardError, InputError, Interrupted, VoicectlError
from voicectl.store.action_log import ENTERS
from voicectl.voice import amd
from voicectl.voice.call import HUMAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.core.calls.create import PlacedCall
    from voicectl.voice.call import Call, Until
    from voicectl.voice.ncco import Ncco

MAX_RINGING_SECONDS = 120


def create(
    ctx: typer.Context,
    to: Annotated[
        list[str],
        typer.Option(
            metavar="ENDPOINT",
            help="Number, sip: or ws: URI, app:USER or vbc:EXTENSION to call. Repeatable.",
            show_default=False,
        ),
    ],
    talk: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Say this when the call is answered.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="URL", help="Play the audio file at this URL (after --talk).")
    ] = None,
    join: Annotated[str | None, typer.Option(metavar="ROOM", help="Then join this room.")] = None,
    language: Language = None,
    style: Style = None,
    premium: Premium = False,
    ncco_file: NccoFile = None,
    no_lint: NoLint = False,
    answer_url: AnswerUrl = None,
    answer_method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="HTTP method for --answer-url: GET or POST.")
    ] = None,
    from_: From = None,
    random_from_number: Annotated[
        bool,
        typer.Option("--random-from-number", help="Call from a random number linked to the application."),
    ] = False,
    event_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Send the events of this call to this URL.")
    ] = None,
    event_method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="HTTP method for --event-url: POST or GET.")
    ] = None,
    machine_detection: Annotated[
        str | None, typer.Option(metavar="WHAT", help="What to do if a machine answers: continue or hangup.")
    ] = None,
    advanced_machine_detection: Annotated[
        str | None,
        typer.Option(
            metavar="K=V,...",
            help="Settings for machine detection, such as mode=detect_beep,beep_timeout=45.",
        ),
    ] = None,
    ringing_timer: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Ring for at most this long (default 60 s).")
    ] = None,
    length_timer: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End the call after this long (default 2 h).")
    ] = None,
    dtmf_answer: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="Press these keys when the call is answered.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=V", help="Send this header to a SIP endpoint (as X-K) or a WebSocket. Repeatable."
        ),
    ] = None,
    content_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Audio format for a WebSocket endpoint.")
    ] = None,
    authorization: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Authorization header for a WebSocket: 'vonage' (a token signed by the platform, as in webhooks), or"
            " a FILE that contains the header.",
        ),
    ] = None,
    user_to_user: UserToUser = None,
    shaken: Shaken = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            help="Wait for this status, or for 'ended' (any final status) or 'human' (a person answered, not a"
            " machine; needs 'webhook serve' and machine detection).",
        ),
    ] = None,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="With --wait, wait at most this long.")
    ] = "90s",
    hangup_on_timeout: Annotated[
        bool,
        typer.Option(
            "--hangup-on-timeout", help="End the call if --wait times out, fails or is interrupted."
        ),
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Never dial twice with the same key within 24 h."),
    ] = None,
    no_journal: Annotated[
        bool,
        typer.Option(
            "--no-journal",
            help="Do not record the call in the journal on this machine; if the API's response is lost, voicectl"
            " cannot find the call later.",
        ),
    ] = False,
) -> None:
    """Call one or more people, at most once each.

    Each person hears the --talk text, then the --stream file, and then joins the --join room; without --join, the
    call ends there. Alternatively, give a complete NCCO with --ncco, or its URL with --answer-url.

    A call is created at most once. If the API's response is lost, voicectl looks for the call. If the search is
    inconclusive, voicectl prints nothing to standard output for this call, reports its reference on standard error,
    and exits with status 12; continue with 'call reconcile'.

    In the output, 'certainty' is set only if neither the API's response nor an event contained the call's id. It says
    how the call was found: 'matched' (by a search of the API's records) or 'assumed' (by 'call reconcile --assume').
    'replayed' is true if an earlier command with the same --idempotency-key created the call.

    Examples:
      $ voicectl call create --to 447700900001 --talk "Hello" --join support-17
      $ LEG=$(voicectl call create --to 447700900001 --talk "Hello" -q)
      $ voicectl call create --to 447700900002 --talk "Alert 17" --wait answered
      $ voicectl call create --to 447700900003 --join ops --idempotency-key a-17
    """
    app = current(ctx)
    if idempotency_key is not None and (len(to) != 1 or no_journal or not idempotency_key.strip()):
        raise InputError(
            "--idempotency-key must not be blank, and needs exactly one --to and the journal.",
            hint="Give a key and one --to, and leave out --no-journal.",
        )
    voice = {"language": language, "style": style, "premium": premium or None}
    flow = _flow(app, talk, stream, join, voice, ncco_file, is_linted=not no_lint)
    if (flow is None) == (answer_url is None):
        raise InputError(
            "A call needs exactly one source for its NCCO.",
            hint="Give --talk, --stream or --join; or --ncco; or --answer-url.",
        )
    if random_from_number and from_ is not None:
        raise InputError(
            "--from and --random-from-number cannot be used together.", hint="Give only one of them."
        )
    order = partial(
        CallOrder,
        from_=None if random_from_number else caller_id(from_, app.target.from_),
        ncco=flow,
        answer_url=None if answer_url is None else check_url(answer_url, "--answer-url"),
        event_url=None if event_url is None else check_url(event_url, "--event-url"),
        answer_method=_method("--answer-method", answer_method, answer_url),
        event_method=_method("--event-method", event_method, event_url),
        machine_detection=_detection(machine_detection, advanced_machine_detection),
        advanced_machine_detection=(
            None if advanced_machine_detection is None else amd.parse(advanced_machine_detection)
        ),
        ringing_timer=_timer("--ringing-timer", ringing_timer, MAX_RINGING_SECONDS),
        length_timer=app.target.policy.length_for(_timer("--length-timer", length_timer, MAX_LENGTH_SECONDS)),
    )
    special = EndpointOptions.of(
        dtmf_answer=dtmf_answer,
        header=header,
        content_type=content_type,
        authorization=endpoint_options.authorization(app.terminal, authorization),
        user_to_user=user_to_user,
        shaken=shaken,
    )
    orders = [order(to=special.endpoint(each)) for each in to]
    _refuse_twice(orders)
    if not no_lint:
        check_endpoints(app.terminal, [each.to for each in orders])
    if hangup_on_timeout and wait is None:
        raise InputError(
            "--hangup-on-timeout needs --wait.", hint="Add a status to wait for: --wait answered"
        )
    until = None if wait is None else parse_status(app, wait)
    if until == HUMAN and app.is_receiving is False:
        remark(f"warning: {NO_RECEIVER}")
    seconds = times.duration(timeout)
    waiting = None if until is None else _Waiting(until, seconds, hangup_on_timeout)
    _run(app, orders, idempotency_key, waiting, with_journal=not no_journal)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The status to wait for, the time limit in seconds, and whether to hang up if the wait does not succeed."""

    until: Until
    seconds: float
    hangs_up: bool


def _flow(
    app: App,
    talk: str | None,
    stream: str | None,
    join: str | None,
    voice: dict[str, Any],
    ncco_file: str | None,
    *,
    is_linted: bool,
) -> Ncco | None:
    """Return the NCCO that the options describe, or None if they describe none. If *is_linted*, check the NCCO."""
    if ncco_file is not None:
        if (talk, stream, join) != (None, None, None):
            raise InputError(
                "--ncco cannot be used with --talk, --stream or --join.", hint="Put them into the NCCO."
            )
        return read_ncco(app.terminal, ncco_file, is_linted=is_linted)
    if talk is None and any(value is not None for value in voice.values()):
        raise InputError("--language, --style and --premium need --talk.", hint="Add --talk TEXT.")
    flow = greeting(
        None if talk is None else check_text(talk),
        None if stream is None else check_url(stream, "--stream"),
        None if join is None else check_room(join),
        **voice,
    )
    if flow and is_linted:
        check_ncco(app.terminal, flow)
    return flow or None


def _method(option: str, value: str | None, url: str | None) -> str | None:
    if value is not None and value.upper() not in ("GET", "POST"):
        raise InputError(f"{option} must be GET or POST.")
    if value is not None and url is None:
        raise InputError(f"{option} needs {option.replace('method', 'url')}.")
    return value and value.upper()


def _detection(standard: str | None, advanced: str | None) -> str | None:
    if standard is not None and advanced is not None:
        raise InputError(
            "--machine-detection and --advanced-machine-detection cannot be used together.",
            hint="Give only one of them.",
        )
    if standard not in (None, *amd.BEHAVIORS):
        raise InputError("--machine-detection must be continue or hangup.")
    return standard


def _timer(option: str, value: str | None, most: int) -> int | None:
    return None if value is None else whole_seconds(value, option, 1, most)


def _refuse_twice(orders: list[CallOrder]) -> None:
    """Refuse *orders* if two of them have the same endpoint, which would be called twice."""
    named = [order.label for order in orders]
    for each in named:
        if named.count(each) > 1:
            raise InputError(f"--to names {each} twice.", hint="Name it once. No call was made.")


def _run(
    app: App, orders: list[CallOrder], key: str | None, waiting: _Waiting | None, *, with_journal: bool
) -> None:
    """Place the calls if the profile allows all of them, and then wait for them if *waiting* is not None."""
    creator = _guarded(app, orders, with_journal=with_journal)
    is_printed_at_once = waiting is None or app.options.quiet
    placed: dict[str, dict[str, Any]] = {}
    statuses: list[int] = []
    with app.consent.writer(views.CREATED, is_many=len(orders) > 1) as out:
        app.consent.announce()
        if not with_journal:
            remark("The journal is off: if the response is lost, the call cannot be looked up.")
        try:
            for call in _place(app, creator, orders, key, statuses):
                placed[call.uuid] = call.to_json()
                app.changed_ids.append(call.uuid)
                _note_room(app, call)
                if is_printed_at_once:
                    out.add(placed[call.uuid])
                    out.flush()
                if call.unrecorded is not None:
                    remark(f"Call {call.uuid} was created, but could not be recorded in the journal.")
                    raise call.unrecorded
            if placed and waiting is not None:
                _wait(app, placed, waiting, statuses)
        except VoicectlError as exc:
            stop(app, exc, statuses)
        finally:
            if not is_printed_at_once:
                for record in placed.values():
                    out.add(record)
    if statuses:
        raise typer.Exit(errors.combined_status(statuses, len(orders)))


def _note_room(app: App, call: PlacedCall) -> None:
    """Record which room the call enters and with which options, since the platform does not report the options."""
    detail = None if call.is_replay else entry_detail(call.order.ncco)
    if detail is not None:
        app.action_log.add(app.clock.time(), call.uuid, ENTERS, detail=detail)


def _guarded(app: App, orders: list[CallOrder], *, with_journal: bool) -> CallCreator:
    """Return a :class:`CallCreator` if the profile allows all calls. In a dry run, the creator uses no journal.

    Raises:
        GuardError: The profile does not allow all of the calls.
    """
    dialled = [each for order in orders for each in order.dialled]
    app.target.policy.check_dialled(dialled)
    limit = app.target.policy.max_calls_per_hour
    if limit is not None and not with_journal:
        raise GuardError(
            "This profile limits calls per hour, and they cannot be counted without the journal.",
            hint="Leave out --no-journal.",
        )
    finder = None
    if with_journal and not app.options.dry_run:
        finder = LostCallFinder(app.api, app.journal, app.clock, app.history)
    if limit is not None and (len(orders) > 1 or app.options.dry_run):  # check all calls before placing any
        app.journal.check_dials(dialled, limit)
    return CallCreator(app.api, finder, app.interrupts, limit)


def _place(
    app: App, creator: CallCreator, orders: list[CallOrder], key: str | None, statuses: list[int]
) -> Iterator[PlacedCall]:
    """Place the calls one after another, and yield each placed call.

    If a call fails, the others are still placed, unless the credentials were refused.

    Args:
        statuses: A list to which the exit status of each failed call is added.
    """
    for order in orders:
        app.interrupts.check()
        try:
            yield creator.create(order, key=key)
        except DryRun as dry:
            app.consent.show_request(dry)
        except VoicectlError as exc:
            if len(orders) == 1 or stops_all(exc):
                raise
            app.report(exc, f"call to {order.label}")
            statuses.append(errors.exit_status(exc))


def _wait(app: App, placed: dict[str, dict[str, Any]], waiting: _Waiting, statuses: list[int]) -> None:
    """Wait for the placed calls. If the wait fails, raise the error or, if a call has already failed, report it.

    Args:
        placed: The record of each call, by leg id. The records are updated as the calls change.
        statuses: The exit statuses of the failed calls. If an error of the wait is reported, its status is added.
    """

    def note(call: Call) -> None:
        placed[call.uuid] |= call.raw

    def report(call: Call) -> None:
        note(call)
        report_change(call)

    try:
        for last in wait_for(app, list(placed), waiting.until, waiting.seconds, report):
            note(last)
    except VoicectlError as exc:
        for last in getattr(exc, "calls", ()):
            note(last)
        if waiting.hangs_up:
            app.interrupts.pending = None  # the signal has been handled; the hang-ups are still sent
            was = "call was" if len(placed) == 1 else "calls were"
            exc.hint = f"The {was} hung up because of --hangup-on-timeout."
            for uuid in placed:
                _hang_up(app, uuid, note)
        elif isinstance(exc, Interrupted):
            go_on = "call continues. To end it" if len(placed) == 1 else "calls continue. To end them"
            remark(f"The {go_on}: voicectl hangup {' '.join(placed)}")
        if isinstance(exc, Interrupted) or not statuses:
            raise
        app.report(exc)
        statuses.append(errors.exit_status(exc))


def _hang_up(app: App, uuid: str, note: Callable[[Call], None]) -> None:
    """End a call and pass its record to *note*. An error is only reported, so that other calls are still ended."""
    try:
        hang_up(app.api, app.clock, uuid, app.history)
        record = app.api.get_call(uuid)
        note(record if app.history is None else app.history.seen(record))
    except Interrupted:
        raise
    except VoicectlError as exc:
        app.report(exc, f"hanging up {uuid}")
