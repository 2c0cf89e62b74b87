"""The parts of a running command, each created on first use.

Imports are deferred here, so that ``--help`` does not load an HTTP client, cryptography or rich, and
``dtmf`` does not load SQLite.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from voicectl.cli import errors
from voicectl.cli.output.text import remark
from voicectl.cli.terminal import Options, Terminal
from voicectl.errors import ConfigError, VoicectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import typer

    from voicectl.api.applications import ApplicationApi
    from voicectl.api.client import VoiceApi
    from voicectl.api.conversations import ConversationApi
    from voicectl.api.numbers import NumberApi
    from voicectl.api.session import Session
    from voicectl.api.users import UserApi
    from voicectl.cli.consent import Consent
    from voicectl.cli.named_legs import NamedLegs
    from voicectl.clock import Clock
    from voicectl.core.calls.ages import Ages
    from voicectl.core.history import History
    from voicectl.core.identity.account import Account
    from voicectl.core.identity.profiles import ProfileStore
    from voicectl.core.identity.sessions import Sessions
    from voicectl.core.identity.signature_secrets import Secrets
    from voicectl.core.identity.target import Target
    from voicectl.core.recordings.fetch import Fetcher, Progress
    from voicectl.core.sandbox_control import SandboxControl
    from voicectl.interrupts import Interrupts
    from voicectl.store.action_log import ActionLog
    from voicectl.store.events import EventStore
    from voicectl.store.events_spool import Spool
    from voicectl.store.journal import Journal
    from voicectl.store.rate_limiter import RateLimiter
    from voicectl.voice.call import Call


class App:
    """The objects that a command works with. Most are created on first use.

    Args:
        clock: The clock, which is the system clock except in tests.
        environ: The environment variables.
        interrupts: The signal handlers.
        start_refresh: A function that takes an environment, and starts a process that refreshes completion's data.

    Attributes:
        changed_ids: The ids of everything changed so far, such as legs. They are written to standard error if
            standard output fails.
        closing: The resources to close when the command ends.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        interrupts: Interrupts,
        start_refresh: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self.clock = clock
        self.environ = environ
        self.interrupts = interrupts
        self.start_refresh = start_refresh
        self.options = Options()
        self.changed_ids: list[str] = []
        self.closing = ExitStack()
        self.terminal = Terminal(environ, self.options, _read_hidden, clock.time)

    def beside(self) -> App:
        """Return parts for another thread, which must also close them: connections of its own, and no signals."""
        from voicectl.interrupts import Interrupts

        parts = App(clock=self.clock, environ=self.environ, interrupts=Interrupts())
        parts.options, parts.terminal = self.options, self.terminal
        parts.target, parts.profiles = self.target, self.profiles
        parts.state_directory = self.state_directory  # whose warnings are made once
        return parts

    def report(self, exc: VoicectlError, about: str = "") -> None:
        """Write an error to standard error.

        Args:
            about: The leg or other item that the error concerns, if the command acts on several.
        """
        errors.report(exc, profile=self.target.name, as_json=self.terminal.has_json_errors, about=about)

    @cached_property
    def consent(self) -> Consent:
        """The object that announces changes, asks for confirmation, and prints requests in a dry run."""
        from voicectl.cli.consent import Consent

        return Consent(self.terminal, self.options, lambda: self.target)

    @cached_property
    def legs(self) -> NamedLegs:
        """The resolver that converts leg arguments to leg ids."""
        from voicectl.cli.named_legs import NamedLegs

        return NamedLegs(
            self.terminal,
            lambda: self.api,
            lambda: self.live,
            lambda: self.journal,
            lambda text: self.history is not None and self.history.knows(text),
            self.report,
        )

    @cached_property
    def profiles(self) -> ProfileStore:
        """The store of profiles."""
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
            self.terminal.debug(f"{setting}: from {source}")
        return target

    @cached_property
    def state_directory(self) -> Path:
        """The directory for the application's journal, rate limiter and events.

        If the directory cannot be created, the error is reported when the directory is first used.
        """
        from voicectl.core.identity.target import application_state

        return application_state(self.environ, self.target.application_id, remark)

    @cached_property
    def sessions(self) -> Sessions:
        """The HTTP sessions with the API's hosts."""
        from voicectl.api.session import REQUEST_SECONDS
        from voicectl.core.identity.sessions import Sessions
        from voicectl.core.identity.target import request_timeout
        from voicectl.store import clock_offset

        return Sessions(
            target=self.target,
            timeout=request_timeout(self.environ, self.options.request_timeout) or REQUEST_SECONDS,
            dry_run=self.options.dry_run,
            environ=self.environ,
            clock=self.clock,
            interrupts=self.interrupts,
            rate_limiter=self.rate_limiter,
            offset=self.clock_offset,
            on_offset=partial(clock_offset.write, self._offset_path),
            identify=self._identify,
            debug=self.terminal.debug,
            closing=self.closing,
        )

    def fetcher(self, directory: Path, on_progress: Progress | None, *, threaded: bool = False) -> Fetcher:
        """Return a fetcher that saves recordings to *directory*, for use by one thread.

        Args:
            threaded: True if the thread is not the main thread. Only the main thread receives signals.
        """
        from voicectl.api.files import FileApi
        from voicectl.api.wire import Wire
        from voicectl.core.recordings.fetch import Fetcher
        from voicectl.interrupts import Interrupts

        target = self.target
        session = partial(
            self.sessions.make,
            credentials=self.sessions.bearer(target),
            identify=self._identify,
            interrupts=Interrupts() if threaded else self.interrupts,
        )

        def elsewhere(origin: str, is_public_only: bool) -> Wire:
            return Wire(origin, ca_file=target.ca_file, environ=self.environ, is_public_only=is_public_only)

        return Fetcher(directory, FileApi(session, elsewhere), target.hosts, on_progress=on_progress)

    @cached_property
    def clock_offset(self) -> float:
        """How far the API's clock was ahead of this machine's clock when last measured, in seconds."""
        from voicectl.store import clock_offset

        return clock_offset.read(self._offset_path)

    @property
    def _offset_path(self) -> Path:
        return self.state_directory / "clock-offset"

    @cached_property
    def api(self) -> VoiceApi:
        """The Voice API. A leg that is unknown at the base URL is looked for in the other regions."""
        from voicectl.api.client import VoiceApi
        from voicectl.core.calls.regions import RegionFinder

        finder = RegionFinder(
            self.sessions, self.profiles, self.action_log, events=lambda: self.event_store, on_found=remark
        )
        return VoiceApi(self.sessions.home, finder)

    @cached_property
    def conversations(self) -> ConversationApi:
        """The Conversation API, which uses the same host and token as the Voice API."""
        from voicectl.api.conversations import ConversationApi

        return ConversationApi(self.sessions.home)

    @cached_property
    def users(self) -> UserApi:
        """The Users API, which uses the same host and token as the Voice API."""
        from voicectl.api.users import UserApi

        return UserApi(self.sessions.home)

    @cached_property
    def account(self) -> Account:
        """The API key and secret of the application's account.

        Raises:
            ConfigError: The key or the secret is missing.
        """
        return self.target.account.load()

    @cached_property
    def applications(self) -> ApplicationApi:
        """The Application API, which is used with the account's key and secret."""
        return self.application_api(self.interrupts)

    def application_api(self, interrupts: Interrupts) -> ApplicationApi:
        """Return the Application API for use by one thread.

        Args:
            interrupts: The signal handlers of the command, or new ones if the thread is not the main thread.
        """
        from voicectl.api.applications import ApplicationApi

        return ApplicationApi(self._account_session(self.target.account_url, interrupts))

    @cached_property
    def numbers(self) -> NumberApi:
        """The Numbers API, which is used with the account's key and secret."""
        from voicectl.api.numbers import NumberApi

        return NumberApi(self._account_session(self.target.numbers_url, self.interrupts))

    def _account_session(self, url: str, interrupts: Interrupts) -> Session:
        """Return a session with the host at *url* that is authenticated with the account's key and secret."""
        from voicectl.api.auth import Basic

        account = self.account
        basic = Basic(account.key, account.secret)
        identify = f"API key {account.key}, from {account.source}"
        return self.sessions.make(url, basic, lambda: identify, interrupts=interrupts)

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """The rate limiter, which all of the user's processes share."""
        from voicectl.store.rate_limiter import RateLimiter

        return RateLimiter(self.state_directory / "pace", self.clock, remark)

    @cached_property
    def journal(self) -> Journal:
        """The journal of the calls requested from this machine.

        Raises:
            JournalError: The journal cannot be used.
        """
        from voicectl.store.journal import Journal

        journal = Journal(self.state_directory, self.clock)
        self.closing.callback(journal.close)
        return journal

    @cached_property
    def action_log(self) -> ActionLog:
        """The log of actions on legs from this machine, and of the regions in which legs were found."""
        from voicectl.store.action_log import ActionLog

        return ActionLog(self.state_directory)

    def events(self, store: str | None) -> EventStore:
        """Open the store of webhook events, creating it if necessary.

        Args:
            store: The value of ``--store``. The default is ``VOICECTL_STORE`` or, if that is not set, a file in the
                state directory. Under ``sandbox exec``, it is always the file, so that no other host is reached.

        Raises:
            InputError: The URL is malformed, or contains a password on the command line.
            StoreError: The store cannot be used.
        """
        from voicectl.store.event_stores import open_events

        url = self._store_url(store)
        if url is None and (store or self.environ.get("VOICECTL_STORE")):
            remark(
                "rehearsal: VOICECTL_SANDBOX is set, so events are stored on this machine, not in the configured"
                " store"
            )
        found = open_events(url, self.state_directory, self.target.application_id)
        self.closing.callback(found.close)
        for warning in found.warnings:
            remark(f"warning: {warning}")
        return found

    def spool(self, store: str | None) -> Spool:
        """Return a spool, which keeps events while the event store cannot be used.

        Args:
            store: The value of ``--store``, as for :meth:`events`.
        """
        from voicectl.store.event_stores import spool_of

        return spool_of(self._store_url(store), self.state_directory)

    def _store_url(self, store: str | None) -> str | None:
        """Return the URL of the event store, or None for the file in the state directory."""
        if store is not None:
            from voicectl.cli.arguments import refuse_password

            refuse_password(store)
        return None if self.target.is_rehearsal else store or self.environ.get("VOICECTL_STORE") or None

    @cached_property
    def signature_secrets(self) -> Callable[[], Secrets]:
        """A function that returns the secrets with which the platform signs webhooks.

        Raises:
            ConfigError: No secret is set, or the secrets are malformed.
        """
        from voicectl.core.identity import signature_secrets

        found = signature_secrets.load(self.target.signature)
        if found is None:
            raise ConfigError(
                "This command needs the account's signature secret, but none is set.",
                hint="Add it to the profile (profile add --signature-secret-file FILE), or set"
                " VOICECTL_SIGNATURE_SECRET.",
            )
        return found

    @cached_property
    def event_store(self) -> EventStore | None:
        """The store of webhook events, or None if no events are stored.

        This can raise the same errors as :meth:`events`.
        """
        return self.events(None) if self._has_events else None

    @property
    def _has_events(self) -> bool:
        """True if there is a store of webhook events. This check does not open the store."""
        return self._store_url(None) is not None or (self.state_directory / "events.db").exists()

    @property
    def is_receiving(self) -> bool | None:
        """True if a receiver runs on this machine, False if not, None if other machines may have receivers."""
        from voicectl.store import receiver_lock

        return receiver_lock.is_receiving(self.state_directory) or (None if self._store_url(None) else False)

    @cached_property
    def history(self) -> History | None:
        """The history of legs from stored events, or None if there is no store. It opens the store on first use."""
        if not self._has_events:
            return None
        from voicectl.core.history import History

        return History(lambda: self.events(None), remark)

    @cached_property
    def ages(self) -> Ages:
        """The ages of legs, as far as this machine knows them."""
        from voicectl.core.calls.ages import Ages
        from voicectl.store.live_cache import LiveCache

        def journal() -> Journal | None:
            return self.journal if (self.state_directory / "journal.db").exists() else None

        first_seen = cache(LiveCache(self.state_directory).first_seen)
        return Ages(self.clock, self.clock_offset, journal, lambda: self.event_store, remark, first_seen)

    @cached_property
    def control(self) -> SandboxControl:
        """The sandbox on which the ``sandbox`` commands act."""
        from voicectl.core import own_sandbox
        from voicectl.core.identity import rehearsal
        from voicectl.core.identity.profiles import SANDBOX

        dry_run = self.options.dry_run
        if url := self.environ.get(rehearsal.VARIABLE):
            return rehearsal.control(url, self.profiles, dry_run=dry_run)
        return own_sandbox.control(self.profiles.get(SANDBOX), self.profiles, dry_run=dry_run)

    @cached_property
    def live(self) -> list[Call]:
        """All live legs. They are requested once per command, and cached on disk for completion."""
        from voicectl.core.calls.live import live_calls
        from voicectl.store.live_cache import LiveCache

        found = live_calls(self.api)
        LiveCache(self.state_directory).keep(self.clock.time(), found)
        return found

    def _identify(self) -> str:
        from voicectl.core.identity import keys

        fingerprint = keys.fingerprint(self.target.load_key().public_key())
        return f"Used: application {self.target.application_id}, public key {fingerprint}, from {self.target.name}"


def _read_hidden(question: str) -> str:
    from getpass import getpass

    return getpass(question, stream=sys.stderr)


def current(ctx: typer.Context) -> App:
    """Return the :class:`App` of the command to which *ctx* belongs."""
    app = ctx.find_object(App)
    assert app is not None  # noqa: S101 (the caller of the command sets it)
    return app
