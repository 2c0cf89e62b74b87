"""``call create``: one call a person, at most once."""

from __future__ import annotations

from dataclasses import dataclass
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
    parse_header,
    whole_seconds,
)
from voicectl.cli.commands.wait import parse_status, tell_change, wait_for
from voicectl.cli.context import App, current
from voicectl.cli.ncco_input import NoLint, check_ncco, read_ncco
from voicectl.cli.output import views
from voicectl.cli.output.text import remark
from voicectl.cli.targets import stop, stops_all
from voicectl.core.calls.create import dialled
from voicectl.core.calls.hangup import hang_up
from voicectl.errors import DryRun, InputError, Interrupted, VoicectlError
from voicectl.voice import amd, dtmf, endpoint, ncco

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.cli.output.writer import Writer
    from voicectl.core.calls.create import Dialler, Placed
    from voicectl.voice.call import Call, Until

MAX_RINGING_SECONDS = 120


def create(
    ctx: typer.Context,
    to: Annotated[
        list[str],
        typer.Option(metavar="ENDPOINT", help="Whom to call; repeat it for several.", show_default=False),
    ],
    talk: Annotated[str | None, typer.Option(metavar="TEXT", help="Say this when they answer.")] = None,
    stream: Annotated[str | None, typer.Option(metavar="URL", help="Play this file, after --talk.")] = None,
    join: Annotated[str | None, typer.Option(metavar="ROOM", help="Then let them join this room.")] = None,
    language: Language = None,
    style: Style = None,
    premium: Premium = False,
    ncco_file: NccoFile = None,
    no_lint: NoLint = False,
    answer_url: AnswerUrl = None,
    answer_method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="GET or POST, for --answer-url.")
    ] = None,
    from_: From = None,
    random_from_number: Annotated[
        bool, typer.Option("--random-from-number", help="Call from any number of the application.")
    ] = False,
    event_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Send this call's events there.")
    ] = None,
    event_method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="POST or GET, for --event-url.")
    ] = None,
    machine_detection: Annotated[
        str | None, typer.Option(metavar="WHAT", help="On a machine: continue or hangup.")
    ] = None,
    advanced_machine_detection: Annotated[
        str | None, typer.Option(metavar="K=V,...", help="mode=detect_beep,behavior=continue,beep_timeout=45")
    ] = None,
    ringing_timer: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Ring so long (60 s).")
    ] = None,
    length_timer: Annotated[str | None, typer.Option(metavar="DURATION", help="Talk so long (2 h).")] = None,
    dtmf_answer: Annotated[str | None, typer.Option(metavar="DIGITS", help="Press these on answer.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="A header for a SIP or WebSocket endpoint. Repeatable."),
    ] = None,
    content_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="A WebSocket's audio format.")
    ] = None,
    authorization: Annotated[
        str | None, typer.Option(metavar="WHAT", help="A WebSocket's: 'vonage', or a FILE with the value.")
    ] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Wait until it is there; 'ended' and 'human' too.")
    ] = None,
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="How long --wait waits.")] = "90",
    hangup_on_timeout: Annotated[
        bool, typer.Option("--hangup-on-timeout", help="End the call when --wait is over without success.")
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key again within 24 h never dials twice."),
    ] = None,
    no_journal: Annotated[
        bool, typer.Option("--no-journal", help="Keep no record: a lost reply cannot be looked up.")
    ] = False,
) -> None:
    """Call one or more people, each once.

    What they hear is --talk and --stream, then the room of --join; or an NCCO; or what --answer-url gives. Without
    --join the call ends when the speech does.

    A call is created at most once: if the reply is lost it is looked for, and if that is not conclusive the exit
    status is 12, nothing is printed, and 'call reconcile' goes on from there.

    Examples:
      $ voicectl call create --to 447700900001 --talk "Hello" --join support-17
      $ LEG=$(voicectl call create --to 447700900001 --talk "Hello" -q)
      $ voicectl call create --to 447700900002 --talk "Server down" --wait answered --idempotency-key alert-17
    """
    app = current(ctx)
    if idempotency_key is not None and (len(to) != 1 or no_journal or not idempotency_key.strip()):
        raise InputError("--idempotency-key takes exactly one --to, and the journal.", hint="Give one --to.")
    voice = {"language": language, "style": style, "premium": premium or None}
    flow = _flow(app, talk, stream, join, voice, ncco_file, is_linted=not no_lint)
    if (flow is None) == (answer_url is None):
        raise InputError(
            "What the call does is not said, or said twice.",
            hint="Give --talk, --stream or --join; or --ncco; or --answer-url.",
        )
    if random_from_number and from_ is not None:
        raise InputError("--from and --random-from-number contradict each other.", hint="Give one of them.")
    fields: dict[str, Any] = (
        {"random_from_number": True}
        if random_from_number
        else {"from": endpoint.caller(caller_id(from_, app.target.from_))}
    )
    if flow is not None:
        fields["ncco"] = flow
    if answer_url is not None:
        fields["answer_url"] = [check_url(answer_url, "--answer-url")]
    if event_url is not None:
        fields["event_url"] = [check_url(event_url, "--event-url")]
    fields |= _method("answer_method", answer_method, answer_url)
    fields |= _method("event_method", event_method, event_url)
    fields |= _detection(machine_detection, advanced_machine_detection)
    if ringing_timer is not None:
        fields["ringing_timer"] = whole_seconds(ringing_timer, "--ringing-timer", 1, MAX_RINGING_SECONDS)
    asked = (
        None if length_timer is None else whole_seconds(length_timer, "--length-timer", 1, MAX_LENGTH_SECONDS)
    )
    length = app.target.policy.length_for(asked)
    if length is not None:
        fields["length_timer"] = length
    special = _Special(dtmf_answer, header or [], content_type, _authorization(app, authorization))
    bodies = [{"to": [special.add_to(endpoint.parse(each))]} | fields for each in to]
    _refuse_twice(bodies)
    if hangup_on_timeout and wait is None:
        raise InputError(
            "--hangup-on-timeout goes with --wait.", hint="Say what to wait for: --wait answered"
        )
    until = None if wait is None else parse_status(app, wait)
    _run(
        app,
        bodies,
        key=idempotency_key,
        with_journal=not no_journal,
        until=until,
        seconds=times.duration(timeout),
        hangup_on_timeout=hangup_on_timeout,
    )


def _refuse_twice(bodies: list[dict[str, Any]]) -> None:
    """A number that is named twice is a slip, and would ring twice."""
    named = [dialled(body)[0] for body in bodies]
    for each in named:
        if named.count(each) > 1:
            raise InputError(f"--to names {each} twice.", hint="Name it once; nobody was called.")


def _run(
    app: App,
    bodies: list[dict[str, Any]],
    *,
    key: str | None,
    with_journal: bool,
    until: Until | None,
    seconds: float,
    hangup_on_timeout: bool,
) -> None:
    """Hold the calls against the guards, place each, then wait for them if that was asked."""
    is_many = len(bodies) > 1
    policy = app.target.policy
    for body in bodies:
        policy.check_dialled(dialled(body))
    dialler = app.dialler(with_journal=with_journal)
    if policy.max_calls_per_hour is not None and (is_many or app.options.dry_run):  # all or none
        rung = [each for body in bodies for each in dialled(body)]
        app.journal.check_dials(rung, policy.max_calls_per_hour)
    waits = until is not None and not app.options.dry_run
    placed: dict[str, dict[str, Any]] = {}
    statuses: list[int] = []
    with app.writer(views.CREATED, is_many=is_many) as out:
        app.announce()
        if not with_journal:
            remark("No journal is kept: if the reply is lost, the call cannot be looked up.")
        is_told_at_once = not waits or app.options.quiet
        try:
            for call, to in _place(app, dialler, bodies, key, statuses):
                placed[call.uuid] = {"to": to} | call.to_json()
                app.changed.append(call.uuid)
                if is_told_at_once:
                    out.add(placed[call.uuid])
                    out.flush()
                if call.unrecorded is not None:
                    remark(f"The call exists, and could not be kept in the journal: {call.uuid}")
                    raise call.unrecorded
        except VoicectlError as exc:
            if not is_told_at_once:
                for record in placed.values():
                    out.add(record)
            stop(app, exc, statuses)
        if placed and waits and until is not None:
            try:
                _wait(app, placed, out, until, seconds, hangup_on_timeout=hangup_on_timeout)
            except VoicectlError as exc:
                if isinstance(exc, Interrupted) or not statuses:
                    stop(app, exc, statuses)
                errors.tell(exc, profile=app.target.name, as_json=app.tells_json)
                statuses.append(errors.exit_status(exc))
    if statuses:
        raise typer.Exit(errors.combined_status(statuses, len(bodies)))


def _place(
    app: App, dialler: Dialler, bodies: list[dict[str, Any]], key: str | None, statuses: list[int]
) -> Iterator[tuple[Placed, dict[str, Any]]]:
    """Place the calls one after another; a failed one does not stop the others, unless it is the credentials.

    Args:
        statuses: Gets the exit status of each that failed.

    Yields:
        Each call that exists, and whom it rings.
    """
    for body in bodies:
        app.interrupts.check()
        try:
            yield dialler.create(body, key=key), endpoint.shown(body["to"][0])
        except DryRun as dry:
            app.show_request(dry)
        except VoicectlError as exc:
            if len(bodies) == 1 or stops_all(exc):
                raise
            about = f"to {endpoint.label(body['to'][0])}"
            errors.tell(exc, profile=app.target.name, as_json=app.tells_json, about=about)
            statuses.append(errors.exit_status(exc))


def _wait(
    app: App,
    placed: dict[str, dict[str, Any]],
    out: Writer,
    until: Until,
    seconds: float,
    *,
    hangup_on_timeout: bool,
) -> None:
    """Wait for the calls and write each as last seen, whatever came of it.

    Args:
        placed: The record of each call by its id; brought up to date.
    """

    def note(call: Call) -> None:
        placed[call.uuid] |= call.raw

    def tell(call: Call) -> None:
        note(call)
        tell_change(call)

    try:
        for last in wait_for(app, list(placed), until, seconds, tell):
            note(last)
    except VoicectlError as exc:
        for last in getattr(exc, "calls", ()):
            note(last)
        if hangup_on_timeout:
            app.interrupts.pending = None  # heard: the hang-ups still go out
            exc.hint = "It was hung up, as --hangup-on-timeout asks."
            for uuid in placed:
                _hang_up(app, uuid, note)
        elif isinstance(exc, Interrupted):
            remark(f"It goes on as it is. End it: voicectl hangup {' '.join(placed)}")
        raise
    finally:
        if not app.options.quiet:
            for record in placed.values():
                out.add(record)


def _hang_up(app: App, uuid: str, note: Callable[[Call], None]) -> None:
    """End one of several calls and see what became of it; a failure is told, and the others are ended too."""
    try:
        hang_up(app.api, app.clock, uuid, app.history)
        record = app.api.get_call(uuid)
        note(record if app.history is None else app.history.seen(record))
    except Interrupted:
        raise
    except VoicectlError as exc:
        errors.tell(exc, profile=app.target.name, as_json=app.tells_json, about=f"hanging up {uuid}")


def _flow(
    app: App,
    talk: str | None,
    stream: str | None,
    join: str | None,
    voice: dict[str, Any],
    ncco_file: str | None,
    *,
    is_linted: bool,
) -> ncco.Ncco | None:
    """The NCCO that the options describe, held against the rules if *is_linted*; None if they describe none."""
    given = [value for value in (talk, stream, join) if value is not None]
    if ncco_file is not None:
        if given:
            raise InputError(
                "--ncco does not go with --talk, --stream or --join.", hint="Put them into the NCCO."
            )
        return read_ncco(app, ncco_file, is_linted=is_linted)
    if talk is None and any(value is not None for value in voice.values()):
        raise InputError("--language, --style and --premium go with --talk.", hint="Add --talk TEXT.")
    flow: ncco.Ncco = []
    if talk is not None:
        flow.append(ncco.talk(check_text(talk), **voice))
    if stream is not None:
        flow.append(ncco.stream(check_url(stream, "--stream")))
    if join is not None:
        flow.append(ncco.conversation(check_room(join)))
    if flow and is_linted:
        check_ncco(app, flow)
    return flow or None


def _method(field: str, value: str | None, url: str | None) -> dict[str, str]:
    if value is None:
        return {}
    option = "--" + field.replace("_", "-")
    if value.upper() not in ("GET", "POST") or url is None:
        raise InputError(f"{option} is GET or POST, and goes with its URL.")
    return {field: value.upper()}


def _detection(standard: str | None, advanced: str | None) -> dict[str, Any]:
    if standard is not None and advanced is not None:
        raise InputError("Both kinds of machine detection are asked for.", hint="Give one of them.")
    if standard is not None and standard not in amd.BEHAVIORS:
        raise InputError("--machine-detection is continue or hangup.")
    if advanced is not None:
        return {"advanced_machine_detection": amd.parse(advanced)}
    return {} if standard is None else {"machine_detection": standard}


def _authorization(app: App, what: str | None) -> dict[str, str] | None:
    """A WebSocket's authorization: a secret comes from a file, never from the command line."""
    if what is None:
        return None
    if what == "vonage":
        return {"type": "vonage"}
    value = app.read_input(what, "the Authorization header").decode("ascii", "replace").strip()
    return {"type": "custom", "value": value}


@dataclass(frozen=True, slots=True)
class _Special:
    """What only some types of endpoint take."""

    dtmf_answer: str | None
    headers: list[str]
    content_type: str | None
    authorization: dict[str, str] | None

    def add_to(self, to: dict[str, Any]) -> dict[str, Any]:
        """*to* with the fields that were given.

        Raises:
            InputError: Its type does not take one of them.
        """
        kind = to["type"]
        fields: dict[str, Any] = {}
        if self.dtmf_answer is not None:
            self._need(kind, "--dtmf-answer", "phone")
            fields["dtmfAnswer"] = dtmf.check(self.dtmf_answer)
        if self.headers:
            self._need(kind, "--header", "sip", "websocket")
            fields["headers"] = dict(map(parse_header, self.headers))
        if self.content_type is not None:
            self._need(kind, "--content-type", "websocket")
            fields["content-type"] = self.content_type
        if self.authorization is not None:
            self._need(kind, "--authorization", "websocket")
            fields["authorization"] = self.authorization
        return to | fields

    @staticmethod
    def _need(kind: str, option: str, *kinds: str) -> None:
        if kind not in kinds:
            raise InputError(f"{option} goes with {' and '.join(kinds)} endpoints, not {kind}.")
