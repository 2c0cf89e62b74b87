"""An application's webhooks, pointed at a receiver for as long as it runs, and put back however it ends.

What was there before is on disk before anything is sent. So after a crash the next start puts it back, and whatever
somebody else has changed meanwhile stays as they want it.

Source: Application API v2 reference, "application object".
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicectl.background import Beside
from voicectl.core.hosts import SANDBOX_PREFIX
from voicectl.core.webhooks.application import MAX_READS, address_of, differences, find, keeps_changing
from voicectl.core.webhooks.application import update as update_application
from voicectl.core.webhooks.lease_record import Lease, Moved, Return, Take
from voicectl.errors import ConfigError, GuardError, InputError, Interrupted, TransportError, VoicectlError
from voicectl.loopback import is_loopback
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voicectl.api.applications import ApplicationApi
    from voicectl.clock import Clock
    from voicectl.core.webhooks.application import Update
    from voicectl.interrupts import Interrupts

    Remark = Callable[[str], None]

FILE = "webhooks.lease"
LOCK = "webhooks.lock"
END_SECONDS = 5.0
"""How long putting back may take at the end: whoever ends a receiver, or its supervisor, does not wait for long."""

_URL = re.compile(r"[\x21-\x7e]+")


@contextmanager
def urls(
    api: ApplicationApi,
    clock: Clock,
    application_id: str,
    directory: Path,
    public_url: str,
    remark: Remark,
    *,
    is_answering: bool = True,
    interrupts: Interrupts | None = None,
) -> Iterator[dict[str, Any] | None]:
    """Point an application's webhooks at ``PUBLIC_URL/webhooks/...`` inside, and put them back at the end.

    Yields the application as it is then; or None where a receiver was killed that had the webhooks. They may have
    pointed here all the time, and calls come in. So the block begins at once; beside it what that one left is put
    back, and the webhooks are taken anew; what goes wrong with that is told. Where there was no such receiver nobody
    calls here yet, and whoever starts the block wants to know first that the webhooks are its own.

    What cannot be put back within :data:`END_SECONDS` stays on disk: the next start puts it back.

    Args:
        api: For threads: of a session of its own, that holds back no signals.
        directory: Where the lease is kept: the application's state.
        public_url: Where the platform reaches us; see :func:`check_public_url`.
        remark: Told what was changed, and what is doubtful.
        is_answering: Calls are answered there; else only the webhooks of events are taken.
        interrupts: What catches signals. One that ends the block does not keep the webhooks from being put back;
            another one does.

    Raises:
        InputError: *public_url* is none.
        GuardError: Another receiver has the webhooks; or see :func:`~voicectl.core.webhooks.application.update`.
        ConfigError: The lease cannot be written: nothing was sent.
        ApiError: Refused; at the end too, with the command that puts them back.
        TransportError: No usable answer; at the end too.
    """
    public_url = check_public_url(public_url)
    _warn(application_id, public_url, remark)
    with _only_one(directory, application_id):
        loan = _Loan(api, clock, directory / FILE, remark, is_answering=is_answering)
        left = loan.read(application_id)
        is_over = False
        taking: Beside[Any] | None = None
        try:
            if left is None:
                taking = Beside(partial(loan.take, application_id, public_url))
                yield taking.wait()
            else:
                loan.lease = left
                taking = Beside(partial(loan.take_again, left, public_url))
                yield None
            is_over = True
        finally:
            with _calm(interrupts):
                loan.end(taking, is_told=not is_over)


def restore_left(
    api: ApplicationApi, clock: Clock, application_id: str, directory: Path, remark: Remark
) -> None:
    """Put back the webhooks of a receiver that ended without doing so; nothing to do if none did.

    Raises:
        GuardError: That receiver runs.
        ConfigError: The directory cannot be used.
        ApiError: Refused.
        TransportError: No usable answer; the lease stays.
    """
    with _only_one(directory, application_id):
        loan = _Loan(api, clock, directory / FILE, remark)
        lease = loan.read(application_id)
        if lease is None:
            return
        try:
            loan.give_back(lease)
        except VoicectlError as exc:
            loan.tell_left(lease, exc)
            raise


def is_left(directory: Path) -> bool:
    """Whether there is a lease whose receiver is gone: cheap, and asks nobody."""
    if not os.path.lexists(directory / FILE):
        return False
    try:
        with _only_one(directory, ""):
            return True
    except VoicectlError:
        return False


def check_public_url(text: str) -> str:
    """*text* without a slash at its end, if the platform, or a sandbox on this machine, can be given it.

    Raises:
        InputError: It is not https (or http to this machine), or has more than host, port and path.
    """
    hint = "Write it as https://voice.example.org: scheme, host, port and path."
    try:
        parts = urlsplit(text)
        is_url = _URL.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.scheme not in ("http", "https"):
        raise InputError(f"The public URL {text!r} is not an https URL.", hint=hint)
    if parts.username is not None or "?" in text or "#" in text:
        raise InputError("The public URL has a password, query or fragment.", hint=hint)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise InputError(
            f"The public URL {text} is not https: what passes there could be read and changed on the way.",
            hint=hint,
        )
    return text.rstrip("/")


@dataclass(slots=True)
class _Loan:
    """Takes webhooks and gives them back, with the lease on disk for as long as they may be ours."""

    api: ApplicationApi
    clock: Clock
    path: Path
    remark: Remark
    is_answering: bool = True
    lease: Lease | None = field(default=None, init=False)

    def take(self, application_id: str, public_url: str) -> dict[str, Any]:
        """Set the webhooks, and return the application as it is then."""
        for _ in range(MAX_READS):
            application = self.api.get_application(application_id)
            lease = Lease.of(application, public_url, now=self.clock.time(), is_answering=self.is_answering)
            self._write(lease)
            try:
                update = update_application(self.api, self.clock, application_id, Take.of(lease))
            except Moved:
                continue
            if (told := lease.with_told(update.after)) != lease:
                self._write(told)
            self._tell(update)
            for each in (lent for lent in lease.lent if lent.was_anothers):
                address = (each.before or {}).get("address")
                self.remark(
                    f"warning: {each.webhook.path} went to {address}, another receiver's by the look of it. End this"
                    " one before that one, or what was there before both is lost"
                )
            return update.after
        raise keeps_changing(application_id)

    def take_again(self, left: Lease, public_url: str) -> None:
        """Put back what a receiver that was killed has left, and take the webhooks anew; tell what goes wrong."""
        try:
            self.give_back(left)
            self.take(left.application_id, public_url)
        except VoicectlError as exc:
            if self.lease is None:
                self.remark(f"warning: the webhooks were put back, and could not be taken: {exc.message}")
            else:
                self.tell_left(self.lease, exc)

    def give_back(self, lease: Lease) -> None:
        """Put back what is still ours, and forget the lease.

        Raises:
            VoicectlError: It could not be done, or not for certain; the lease stays.
        """
        self.lease = lease
        update = update_application(self.api, self.clock, lease.application_id, Return(lease=lease))
        gone = []
        for each in lease.lent:
            if each.was_ours:
                continue
            if each.is_ours(update.after):
                raise TransportError(f"The API took the old {each.webhook.path}, and still tells ours.")
            if not each.is_ours(update.before) and find(update.after, each.webhook) != each.before:
                now = address_of(update.after, each.webhook)
                self.remark(f"{each.webhook.path} was changed meanwhile, and stays as it is: {now or 'none'}")
                gone.append(each)
        if gone:
            self.remark(f"As it was before: {replace(lease, lent=tuple(gone)).by_hand()}")
        self._tell(update)
        self.path.unlink(missing_ok=True)
        self.lease = None

    def end(self, taking: Beside[Any] | None, *, is_told: bool) -> None:
        """Give back, within :data:`END_SECONDS` in all, or say what is left to be done.

        Args:
            taking: What takes the webhooks; it may still be at it.
            is_told: Tell it, since something else ends the block; else raise it.
        """
        until = time.monotonic() + END_SECONDS
        try:
            if taking is not None:
                taking.end(END_SECONDS)
            if self.lease is not None:
                Beside(partial(self.give_back, self.lease)).wait(until - time.monotonic())
        except BaseException as exc:
            lease = self.lease
            is_fault = isinstance(exc, VoicectlError) and not isinstance(exc, Interrupted)
            if isinstance(exc, VoicectlError) and lease is not None and is_fault and not is_told:
                message, exc.hint = _left(lease, exc)
                exc.message = message[0].upper() + message[1:]
                raise
            if lease is not None:
                self.tell_left(lease, exc)
            if not is_fault:
                raise

    def tell_left(self, lease: Lease, exc: BaseException) -> None:
        """Say that the webhooks may still be ours, and what to do."""
        message, hint = _left(lease, exc)
        self.remark(f"warning: {message}")
        self.remark(hint)

    def read(self, application_id: str) -> Lease | None:
        """The lease on disk; one that cannot be read is told and set aside."""
        if not os.path.lexists(self.path):
            return None
        try:
            return Lease.from_json(files.read_private(self.path, what="lease"), application_id)
        except (ConfigError, ValueError) as exc:
            why = exc.message if isinstance(exc, ConfigError) else str(exc)
        aside = self.path.with_name(f"{FILE}.damaged")
        try:
            self.path.replace(aside)
        except OSError as exc:
            raise ConfigError(
                f"{self.path} is no lease, and cannot be set aside: {exc.strerror}.",
                hint="Remove it, and look where the webhooks go: voicectl app urls",
            ) from exc
        self.remark(f"warning: {self.path} cannot be used ({why}); it is {aside.name} now")
        self.remark("What the webhooks were before is not known. Look where they go: voicectl app urls")
        return None

    def _write(self, lease: Lease) -> None:
        files.write_private(self.path, lease.to_json())
        self.lease = lease

    def _tell(self, update: Update) -> None:
        if update.is_changed:
            for line in differences(update.before, update.after):
                self.remark(line)
            if not update.is_as_asked:
                self.remark(
                    "warning: the API took it, and answered with other webhooks than it was asked for"
                )


def _left(lease: Lease, exc: BaseException) -> tuple[str, str]:
    """That the webhooks may still be ours, and what to do."""
    why = exc.message if isinstance(exc, VoicectlError) else type(exc).__name__
    return (
        f"the webhooks of application {lease.application_id} still go to {lease.public_url}: {why}",
        f"The next 'voicectl webhook serve' puts them back, and so does: {lease.by_hand()}",
    )


@contextmanager
def _only_one(directory: Path, application_id: str) -> Iterator[None]:
    """One receiver at a time. A lock says so, which no crash leaves behind: ids of processes are given again."""
    try:
        files.private_directory(directory)
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ConfigError(f"{directory / LOCK} cannot be used: {exc.strerror}.") from exc
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise GuardError(
                f"Another receiver{_holder(directory, application_id)} has this application's webhooks.",
                hint="Stop that one first, or start this one without --set-urls.",
            ) from exc
        except OSError as exc:
            raise ConfigError(f"{directory / LOCK} cannot be locked: {exc.strerror}.") from exc
        yield
    finally:
        os.close(handle)


def _holder(directory: Path, application_id: str) -> str:
    try:
        lease = Lease.from_json(files.read_private(directory / FILE, what="lease"), application_id)
    except (ConfigError, ValueError):
        return ""
    return f" (process {lease.pid}, since {lease.since})"


@contextmanager
def _calm(interrupts: Interrupts | None) -> Iterator[None]:
    """Let the end be done though a signal has ended the rest; another signal ends this as well."""
    if interrupts is None:
        yield
        return
    held, interrupts.pending = interrupts.pending, None
    try:
        yield
    finally:
        if interrupts.pending is None:
            interrupts.pending = held


def _warn(application_id: str, public_url: str, remark: Remark) -> None:
    """Say what is doubtful about a URL that the platform, or a sandbox, is to use."""
    host = urlsplit(public_url).hostname or ""
    is_sandbox = application_id.lower().startswith(SANDBOX_PREFIX)
    if is_sandbox and not is_loopback(host):
        remark(
            f"warning: {public_url} is not this machine: a sandbox's webhooks go to loopback only, unless it was"
            f" started with 'sandbox start --allow-host {host}'"
        )
    elif not is_sandbox and is_loopback(host):
        remark(f"warning: {public_url} is this machine: the platform cannot reach it")
