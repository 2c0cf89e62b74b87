"""The parts of a running command, each made on first use: the one file with deferred imports.

So ``--help`` loads no HTTP, no cryptography and no rich, and ``dtmf`` no SQLite.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.cli.output import writer
from voicectl.cli.output.text import is_terminal, may_color, remark, to_json
from voicectl.cli.output.writer import Format, View, Writer
from voicectl.errors import ConfigError, DryRun, GuardError, InputError, RateLimitedError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import typer

    from voicectl.api.applications import ApplicationApi
    from voicectl.api.auth import Bearer, Credentials
    from voicectl.api.client import VoiceApi
    from voicectl.api.conversations import ConversationApi
    from voicectl.api.session import Session
    from voicectl.clock import Clock
    from voicectl.core.calls.ages import Ages
    from voicectl.core.calls.create import Dialler
    from voicectl.core.history import History
    from voicectl.core.identity.account import Account
    from voicectl.core.identity.profiles import ProfileStore
    from voicectl.core.identity.signature_secrets import Secrets
    from voicectl.core.identity.target import Target
    from voicectl.core.recordings.fetch import Fetcher, Progress
    from voicectl.core.sandbox_control import SandboxControl
    from voicectl.core.webhooks.replay import Replayer, Sign
    from voicectl.interrupts import Interrupts
    from voicectl.store.action_log import Notes
    from voicectl.store.events import EventStore
    from voicectl.store.events_spool import Spool
    from voicectl.store.journal import Journal
    from voicectl.store.rate_limiter import SharedPace
    from voicectl.voice.call import Call

MAX_SHOWN = 20
"""Legs that are shown where there are too many to act on."""

MAX_INPUT_BYTES = 1 << 20

ANY_ACCOUNT = "voicectl"
"""The account in a token that we sign where nobody said whose the secret is: who knows no more takes any."""


@dataclass(slots=True)
class Options:
    """The options that every command takes, before or after its name."""

    profile: str | None = None
    output: Format | None = None
    quiet: bool = False
    fields: str | None = None
    request_timeout: str | None = None
    ca_file: str | None = None
    dry_run: bool = False
    yes: bool = False
    debug: bool = False


class App:
    """What a command works with.

    Args:
        clock: Time; tests hand in their own.
        environ: The environment.
        interrupts: Signals.

    Attributes:
        changed: The legs that were changed so far, told on standard error if standard output fails.
        closing: What is closed when the command ends.
    """

    def __init__(self, *, clock: Clock, environ: Mapping[str, str], interrupts: Interrupts) -> None:
        self.clock = clock
        self.environ = environ
        self.interrupts = interrupts
        self.options = Options()
        self.changed: list[str] = []
        self.closing = ExitStack()
        self._stdin_user: str | None = None

    @cached_property
    def profiles(self) -> ProfileStore:
        """The stored profiles."""
        from voicectl.core.identity.profiles import ProfileStore
        from voicectl.core.identity.target import config_directory

        return ProfileStore(config_directory(self.environ))

    @cached_property
    def target(self) -> Target:
        """The application and host to act on."""
        from voicectl.core.identity.target import resolve

        target = resolve(
            self.environ, self.profiles, profile=self.options.profile, ca_file=self.options.ca_file
        )
        if target.is_rehearsal:
            remark(f"rehearsal: VOICECTL_SANDBOX is set, so this acts on the sandbox at {target.base_url}")
        for setting, source in target.sources.items():
            self.debug(f"{setting}: from {source}")
        return target

    @cached_property
    def state_directory(self) -> Path:
        """Where this application's journal and pace are kept; where it cannot be made, each of them says so."""
        from voicectl.core.identity.target import state_directory
        from voicectl.store import files

        path = state_directory(self.environ) / self.target.application_id
        with suppress(ConfigError):
            files.private_directory(path)
        return path

    @cached_property
    def session(self) -> Session:
        """Requests to the API, signed in as the application."""
        return self._session(self.target.base_url, self._bearer, self._identify)

    @cached_property
    def _bearer(self) -> Bearer:
        from voicectl.api.auth import Bearer

        target = self.target
        return Bearer(target.application_id, target.load_key, self.clock, offset=self.clock_offset)

    def fetcher(self, directory: Path, on_progress: Progress | None, *, threaded: bool = False) -> Fetcher:
        """What fetches recordings into *directory*, for one thread.

        Args:
            threaded: It is another thread than the main one, where no signal arrives.
        """
        from voicectl.api.auth import Bearer
        from voicectl.api.files import FileApi
        from voicectl.api.wire import Wire
        from voicectl.core.recordings.fetch import Fetcher
        from voicectl.interrupts import Interrupts

        target = self.target
        interrupts = Interrupts() if threaded else self.interrupts
        bearer = Bearer(target.application_id, target.load_key, self.clock, offset=self.clock_offset)

        def session(origin: str) -> Session:
            return self._session(origin, bearer, self._identify, interrupts)

        def elsewhere(origin: str, is_public_only: bool) -> Wire:
            return Wire(origin, ca_file=target.ca_file, environ=self.environ, is_public_only=is_public_only)

        return Fetcher(directory, FileApi(session, elsewhere), target.hosts, on_progress=on_progress)

    def _session(
        self,
        origin: str,
        credentials: Credentials,
        identify: Callable[[], str],
        interrupts: Interrupts | None = None,
        ca_file: str | None = None,
        closing: ExitStack | None = None,
    ) -> Session:
        from voicectl.api.session import REQUEST_SECONDS, Session
        from voicectl.api.wire import Wire
        from voicectl.core.identity.profiles import SANDBOX
        from voicectl.core.identity.target import request_timeout
        from voicectl.loopback import is_loopback
        from voicectl.store import clock_offset

        is_sandbox = self.target.profile == SANDBOX and is_loopback(urlsplit(origin).hostname or "")
        wire = Wire(origin, ca_file=ca_file or self.target.ca_file, environ=self.environ)
        (closing or self.closing).callback(wire.close)
        timeout = request_timeout(self.environ, self.options.request_timeout)
        return Session(
            wire,
            credentials,
            self.pace,
            self.clock,
            request_timeout=timeout or REQUEST_SECONDS,
            dry_run=self.options.dry_run,
            identify=identify,
            absence_hint="Start it: voicectl sandbox start --detach" if is_sandbox else None,
            on_clock_offset=lambda seconds: clock_offset.write(self._offset_path, seconds),
            debug=self.debug,
            interrupts=interrupts or self.interrupts,
        )

    @cached_property
    def clock_offset(self) -> float:
        """Seconds that the API's clock was ahead of ours when last seen."""
        from voicectl.store import clock_offset

        return clock_offset.read(self._offset_path)

    @property
    def _offset_path(self) -> Path:
        return self.state_directory / "clock-offset"

    @cached_property
    def api(self) -> VoiceApi:
        """The Voice API, which looks for a leg in the other regions where the base URL does not know it."""
        from voicectl.api.client import VoiceApi
        from voicectl.core.calls.regions import Finder, neighbours

        finder = Finder(
            self.target,
            self.session,
            self.notes,
            self.clock,
            self.interrupts,
            session=self.session_at,
            reader=self.reader,
            events=lambda: self.told,
            neighbours=lambda: neighbours(self.target, self.profiles, self.environ, self.reader),
            on_found=remark,
        )
        return VoiceApi(self.session, finder)

    def session_at(self, url: str) -> Session:
        """Requests to another host of the API, signed in as the application."""
        return self._session(url, self._bearer, self._identify)

    @contextmanager
    def reader(self, url: str, target: Target | None = None) -> Iterator[VoiceApi]:
        """Reads at *url* as the application, or as that of *target*, for a thread of its own."""
        from voicectl.api.auth import Bearer
        from voicectl.api.client import VoiceApi
        from voicectl.interrupts import Interrupts

        bearer, ca_file = self._bearer, None
        if target is not None:
            bearer = Bearer(target.application_id, target.load_key, self.clock, offset=self.clock_offset)
            ca_file = target.ca_file
        with ExitStack() as closing:
            yield VoiceApi(self._session(url, bearer, str, Interrupts(), ca_file, closing))

    @cached_property
    def conversations(self) -> ConversationApi:
        """The Conversation API, on the host and with the token of the Voice API."""
        from voicectl.api.conversations import ConversationApi

        return ConversationApi(self.session)

    @cached_property
    def account(self) -> Account:
        """The application's account, its API key and secret.

        Raises:
            ConfigError: There is none, or half of one.
        """
        return self.target.account.load()

    @cached_property
    def applications(self) -> ApplicationApi:
        """The Application API, signed in as the account."""
        return self.application_api(self.interrupts)

    def application_api(self, interrupts: Interrupts) -> ApplicationApi:
        """The same, for one thread; where that is not the main one no signal arrives, and *interrupts* is new."""
        from voicectl.api.applications import ApplicationApi
        from voicectl.api.auth import Basic

        account = self.account
        basic = Basic(account.key, account.secret)
        identify = f"API key {account.key}, from {account.source}"
        return ApplicationApi(self._session(self.target.account_url, basic, lambda: identify, interrupts))

    @cached_property
    def pace(self) -> SharedPace:
        """The pace shared by this user's processes."""
        from voicectl.store.rate_limiter import SharedPace

        return SharedPace(self.state_directory / "pace", self.clock, remark)

    @cached_property
    def journal(self) -> Journal:
        """What this machine asked for.

        Raises:
            JournalError: It cannot be used.
        """
        from voicectl.store.journal import Journal

        journal = Journal(self.state_directory, self.clock)
        self.closing.callback(journal.close)
        return journal

    @cached_property
    def notes(self) -> Notes:
        """What this machine did to legs, and learnt of them."""
        from voicectl.store.action_log import Notes

        return Notes(self.state_directory)

    def dialler(self, *, with_journal: bool = True) -> Dialler:
        """What creates calls; a dry run writes no journal."""
        from voicectl.core.calls.create import Dialler

        journal = self.journal if with_journal and not self.options.dry_run else None
        limit = self.target.policy.max_calls_per_hour
        if limit is not None and not with_journal:
            raise GuardError(
                "This profile limits its calls in an hour, and without the journal nobody counts them.",
                hint="Leave --no-journal out.",
            )
        return Dialler(
            self.api, journal, self.clock, self.interrupts, hourly_limit=limit, history=self.history
        )

    def events(self, store: str | None) -> EventStore:
        """Open the store of webhook events, and make it where there is none.

        Args:
            store: What ``--store`` said; else it is ``VOICECTL_STORE``, or a file in the state directory: always
                that one in a rehearsal, which reaches no other host.

        Raises:
            InputError: It is malformed, or its password stands on the command line.
            StoreError: It cannot be used.
        """
        from voicectl.store.event_stores import open_events

        url = self._store_url(store)
        if url is None and (store or self.environ.get("VOICECTL_STORE")):
            remark("rehearsal: its events are kept on this machine, not in the store that was named")
        found = open_events(url, self.state_directory, self.target.application_id)
        self.closing.callback(found.close)
        for warning in found.warnings:
            remark(f"warning: {warning}")
        return found

    def spool(self, store: str | None) -> Spool:
        """Where events are put aside while their *store*, as :meth:`events` takes it, cannot be used."""
        from voicectl.store.event_stores import spool_of

        return spool_of(self._store_url(store), self.state_directory)

    def _store_url(self, store: str | None) -> str | None:
        """The URL of a store that is not a file of ours."""
        if store is not None:
            _refuse_password(store)
        return None if self.target.is_rehearsal else store or self.environ.get("VOICECTL_STORE") or None

    @cached_property
    def signature_secrets(self) -> Callable[[], Secrets]:
        """The secrets that the platform signs webhooks with.

        Raises:
            ConfigError: None is known, or they are malformed.
        """
        from voicectl.core.identity import signature_secrets

        found = signature_secrets.load(self.target.signature)
        if found is None:
            raise ConfigError(
                "This needs the account's signature secret, and there is none.",
                hint="Give it to the profile (profile add --signature-secret-file FILE), or set"
                " VOICECTL_SIGNATURE_SECRET.",
            )
        return found

    def replayer(self, url: str, *, is_signed: bool) -> Replayer:
        """What sends kept webhooks to *url* again; raises as :attr:`signature_secrets`."""
        from voicectl.api.session import REQUEST_SECONDS
        from voicectl.api.wire import Wire
        from voicectl.core.identity.target import request_timeout
        from voicectl.core.webhooks.replay import Replayer

        parts = urlsplit(url)
        wire = Wire(f"{parts.scheme}://{parts.netloc}", ca_file=self.target.ca_file, environ=self.environ)
        self.closing.callback(wire.close)
        timeout = request_timeout(self.environ, self.options.request_timeout) or REQUEST_SECONDS
        return Replayer(wire, url, timeout=timeout, sign=self._sign() if is_signed else None)

    def _sign(self) -> Sign:
        """What makes the token of a webhook."""
        from voicectl import tokens
        from voicectl.webhook.signature import vouched

        api_key, (secret, *_) = next(iter(self.signature_secrets().items()))

        def sign(method: str, query: bytes, body: bytes) -> str:
            return tokens.webhook_token(
                vouched(method, query, body),
                secret=secret,
                api_key=api_key or ANY_ACCOUNT,
                application_id=self.target.application_id,
                now=self.clock.time(),
            )

        return sign

    @cached_property
    def told(self) -> EventStore | None:
        """The store of webhook events, if there is one already; raises as :meth:`events`."""
        return self.events(None) if self._has_events else None

    @property
    def _has_events(self) -> bool:
        """Whether there is a store of webhook events; it is not opened."""
        return self._store_url(None) is not None or (self.state_directory / "events.db").exists()

    def check_reach(self, url: str) -> None:
        """Refuse to send to *url* in a rehearsal if it is not this machine.

        Raises:
            GuardError: So it is.
        """
        from voicectl.loopback import is_loopback

        if self.target.is_rehearsal and not is_loopback(urlsplit(url).hostname or ""):
            raise GuardError("In a rehearsal no other host is reached.", hint="Name a URL of this machine.")

    @cached_property
    def history(self) -> History | None:
        """What stored events know of legs, None if there is no store; it is opened when it is first asked."""
        if not self._has_events:
            return None
        from voicectl.core.history import History

        return History(lambda: self.events(None), remark)

    @cached_property
    def ages(self) -> Ages:
        """How old legs are, as far as this machine knows."""
        from voicectl.core.calls.ages import Ages

        def journal() -> Journal | None:
            return self.journal if (self.state_directory / "journal.db").exists() else None

        return Ages(self.clock, self.clock_offset, journal, lambda: self.told, remark)

    @cached_property
    def control(self) -> SandboxControl:
        """The sandbox that ``sandbox ...`` commands act on."""
        from voicectl.core.identity.profiles import SANDBOX
        from voicectl.core.sandbox_control import SandboxControl

        url, dry_run = self.environ.get("VOICECTL_SANDBOX"), self.options.dry_run
        if url:
            return SandboxControl(url, source="VOICECTL_SANDBOX", dry_run=dry_run)
        profile = self.profiles.get(SANDBOX)
        return SandboxControl(
            profile.base_url,
            source="The profile 'sandbox'",
            application_id=profile.application_id,
            dry_run=dry_run,
        )

    @cached_property
    def live(self) -> list[Call]:
        """All live legs, asked once a command; completion remembers them for a while."""
        from voicectl.core.calls.live import live_calls
        from voicectl.store.live_cache import Sightings

        found = live_calls(self.api)
        Sightings(self.state_directory).keep(self.clock.time(), found)
        return found

    def leg(
        self, text: str, *, everywhere: bool = False, beside: Callable[[str], Iterable[Call]] | None = None
    ) -> str:
        """The full id of the leg that *text* names; ``-`` reads it from standard input.

        Args:
            everywhere: Match the beginning of an id against all records, not only live legs.
            beside: Gives legs that it may name too, though they may have no record any more; where the API does
                not answer, it names one of them.
        """
        from voicectl.core.calls import references

        if text == "-":
            found = self.read_ids()
            if len(found) != 1:
                raise InputError(
                    f"Standard input names {len(found)} legs; this takes one.", hint="Give it one line."
                )
            text = found[0]
        if everywhere:

            def records() -> Iterable[Call]:
                return references.each_once(self.api.get_calls(), beside(text) if beside else ())

            try:
                return references.resolve(text, candidates=records, last=self.last_created, what="record")
            except (TransportError, RateLimitedError) as exc:
                kept = list(beside(text)) if beside else []
                if not kept:
                    raise
                found_here = references.resolve(
                    text, candidates=lambda: kept, last=self.last_created, what="kept leg"
                )
                remark(f"warning: {text} is looked for only among what is kept here: {exc.message}")
                return found_here
        return references.resolve(text, candidates=lambda: self.live, last=self.last_created)

    def last_created(self) -> str | None:
        """The id of the call created last here, for ``@last``.

        Raises:
            InputError: Nobody is at the keyboard: a script says what it means.
        """
        if not is_terminal(sys.stdin):
            raise InputError(
                "@last works only where standard input is a terminal.",
                hint="In a script keep the id: LEG=$(voicectl call create ... -q)",
            )
        intent = self.journal.last_created()
        return intent.uuid if intent else None

    def read_ids(self) -> list[str]:
        """Leg ids from standard input: the first tab-separated field of each line."""
        lines = self.read_stdin("LEG").decode("utf-8", "surrogateescape").splitlines()
        ids = [field for field in (line.split("\t", 1)[0].strip() for line in lines) if field]
        if "-" in ids:
            raise InputError("Standard input names - for a leg.", hint="Name legs by their ids, one a line.")
        return ids

    def read_stdin(self, what: str) -> bytes:
        """All of standard input, once a command.

        Args:
            what: What it holds, for errors.
        """
        if self._stdin_user:
            raise InputError(
                f"Standard input cannot hold both {self._stdin_user} and {what}.", hint="Write - only once."
            )
        self._stdin_user = what
        if sys.stdin is None:
            raise InputError(f"Standard input is closed; it should hold {what}.")
        content = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        if len(content) > MAX_INPUT_BYTES:
            raise InputError(f"Standard input is over 1 MiB; it should hold {what}.")
        return content

    def read_input(self, name: str, what: str) -> bytes:
        """The content of the file *name*, or of standard input where it is ``-``.

        Raises:
            InputError: It cannot be read or is over 1 MiB.
        """
        from pathlib import Path

        if name == "-":
            return self.read_stdin(what)
        try:
            with Path(name).open("rb") as file:
                content = file.read(MAX_INPUT_BYTES + 1)
        except OSError as exc:
            raise InputError(f"{name} cannot be read: {exc.strerror}.", hint="Check the path.") from exc
        if len(content) > MAX_INPUT_BYTES:
            raise InputError(f"{name} is over 1 MiB.", hint=f"It should hold {what}.")
        return content

    def writer(self, view: View, *, is_many: bool) -> Writer:
        """What writes this command's records; ``--fields help`` ends the command with the fields there are.

        Raises:
            InputError: ``--fields`` is malformed.
        """
        from voicectl import times

        if self.options.fields == "help":
            import typer

            self.write("\n".join((*view.columns, *view.more)) + "\n")
            raise typer.Exit
        return Writer(
            sys.stdout,
            view,
            self.format,
            is_many=is_many,
            fields=None if self.options.fields is None else writer.parse_fields(self.options.fields),
            is_quiet=self.options.quiet,
            normal_time=times.normal,
            is_colored=may_color(self.environ, sys.stdout),
        )

    @property
    def format(self) -> Format:
        """The output format: the option, ``VOICECTL_OUTPUT`` on a terminal, else a table there and TSV in a pipe."""
        chosen = self.options.output
        is_read_by_people = is_terminal(sys.stdout)
        if chosen is None and is_read_by_people and self.environ.get("VOICECTL_OUTPUT"):
            try:
                chosen = Format(self.environ["VOICECTL_OUTPUT"])
            except ValueError as exc:
                raise InputError(
                    "VOICECTL_OUTPUT is not an output format.", hint=f"Use one of {', '.join(Format)}."
                ) from exc
        if chosen is None or chosen is Format.AUTO:
            return Format.TABLE if is_read_by_people else Format.TSV
        return chosen

    @property
    def tells_json(self) -> bool:
        """Whether errors are told as JSON."""
        return self.options.output in (Format.JSON, Format.JSONL)

    def announce(self, url: str | None = None) -> None:
        """On a terminal, say whom a change will act for.

        Args:
            url: Where it goes, if not to the base URL.
        """
        if is_terminal(sys.stderr) and not self.options.dry_run:
            target = self.target
            remark(f"{target.name}: application {target.application_id} on {url or target.base_url}")

    def show_request(self, dry: DryRun, account: Account | None = None) -> None:
        """Print, as curl that runs, the request that ``--dry-run`` held back.

        Args:
            account: Whose key and secret it takes in place of a token; curl reads them, and no process has them
                among its arguments.
        """
        import shlex

        words = ["curl", "-X", dry.method, shlex.quote(dry.url)]
        if account:
            pair = f"{shlex.quote(account.key)} {account.secret_in_shell}"
            words = ["printf", "'user = %s:%s\\n'", pair, "|", "curl", "-K", "-", *words[1:]]
            if self.target.ca_file:
                words += ["--cacert", shlex.quote(self.target.ca_file)]
        elif "/sandbox/" not in dry.url:  # the sandbox's control routes take no token
            profile = self.target.profile
            jwt = f"voicectl jwt create -p {profile}" if profile else "voicectl jwt create"
            words += ["-H", f'"Authorization: Bearer $({jwt})"']
            if self.target.ca_file:
                words += ["--cacert", shlex.quote(self.target.ca_file)]
        if dry.body is not None:
            words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(to_json(dry.body))]
        self.write(" ".join(words) + "\n")

    def refuse_dry_run(self) -> None:
        """Say that this command has no dry run, rather than change something in one.

        Raises:
            InputError: ``--dry-run`` was given.
        """
        if self.options.dry_run:
            raise InputError(
                "This changes what is kept on this machine, and has no --dry-run.", hint="Nothing was done."
            )

    def confirm(
        self, action: str, legs: Iterable[str], *, limit: int, is_selected: bool = False, besides: str = ""
    ) -> None:
        """Ask before acting on legs that were read from a list, or that a selection found.

        Args:
            action: The verb.
            legs: A line for each leg.
            limit: ``--max``.
            is_selected: They were found, so that nobody has seen them yet: they are shown in any case.
            besides: What else will be acted on, which is asked for even if there is no leg yet.

        Raises:
            GuardError: There are too many, or nobody consents.
        """
        shown = list(legs)
        if len(shown) > limit:
            for each in shown[:MAX_SHOWN] if is_selected else ():
                remark(f"  {each}")
            raise GuardError(
                f"{action} would act on {len(shown)} legs, and --max is {limit}.",
                hint=f"Raise --max, or {'select' if is_selected else 'name'} fewer. Nothing was done.",
            )
        has_consent = self.options.yes or self.options.dry_run
        if not (shown or besides) or (has_consent and not is_selected):
            return
        counted = f"{len(shown)} leg{'s' * (len(shown) != 1)}{besides}"
        remark(f"{action} {counted} ({self.target.name}):")
        for each in shown:
            remark(f"  {each}")
        if has_consent:
            return
        if not self.can_ask:
            raise GuardError(
                "Acting on legs that nobody named needs consent, and nobody is asked here."
                if is_selected
                else "Acting on a list needs consent, and standard input is the list.",
                hint="Add --yes.",
            )
        if self.ask("Go on? [y/N]").lower() not in ("y", "yes"):
            raise GuardError("Nothing was done.")

    @property
    def can_ask(self) -> bool:
        """Whether somebody sees a question and can answer it."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)

    def ask(self, question: str, *, is_hidden: bool = False) -> str:
        """What is answered at the terminal; standard output is for results, so the question goes elsewhere.

        Args:
            is_hidden: Do not show what is typed.
        """
        if is_hidden:
            import getpass

            with suppress(EOFError):
                return getpass.getpass(f"{question}: ", stream=sys.stderr).strip()
            return ""
        sys.stderr.write(f"{question}: ")
        sys.stderr.flush()
        line = ""
        try:
            line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):  # what is told next begins a line
                sys.stderr.write("\n")
        return line.strip()

    def write(self, text: str) -> None:
        """Write plain *text* to standard output and flush it."""
        if sys.stdout is None:
            raise OSError("standard output is closed")
        sys.stdout.write(text)
        sys.stdout.flush()

    def debug(self, line: str) -> None:
        """With ``--debug``, say *line* on standard error, telephone numbers masked."""
        if self.options.debug:
            import re

            remark("debug: " + re.sub(r"(?<![0-9a-f-])\+?[1-9][0-9]{6,14}(?![0-9a-f-])", "<number>", line))

    def _identify(self) -> str:
        from voicectl.core.identity import keys

        fingerprint = keys.fingerprint(self.target.load_key().public_key())
        return f"application {self.target.application_id}, public key {fingerprint}, from {self.target.name}"


def _refuse_password(store: str) -> None:
    """Raise InputError where the URL of a store has a password; not a word of it is told."""
    from urllib.parse import parse_qs

    try:
        parts = urlsplit(store)
        has_password = parts.password is not None or any("password" in name for name in parse_qs(parts.query))
    except ValueError:
        has_password = False  # what is no URL is refused elsewhere
    if has_password:
        raise InputError(
            "A password was given with --store, where it is visible to every user of this host.",
            hint="Set VOICECTL_STORE to that URL, or keep the password in a file that PGPASSFILE names."
            " Consider it known to others.",
        )


def current(ctx: typer.Context) -> App:
    """The parts of the command that *ctx* runs."""
    app = ctx.find_object(App)
    assert app is not None  # noqa: S101 (main put it there)
    return app
