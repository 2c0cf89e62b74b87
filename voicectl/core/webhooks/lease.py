"""Leases an application's webhooks: they point to a receiver while it runs, and are restored when it ends.

The old webhooks are written to disk before any update is sent. If the receiver crashes, the next receiver restores
them. Changes that someone else makes during the lease are kept.

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

from voicectl.background import BackgroundThread
from voicectl.core.hosts import SANDBOX_PREFIX
from voicectl.core.webhooks.application import MAX_READS, address_of, differences, find, keeps_changing
from voicectl.core.webhooks.application import update as update_application
from voicectl.core.webhooks.lease_record import Lease, Moved, Return, Take
from voicectl.errors import ConfigError, GuardError, InputError, Interrupted, TransportError, VoicectlError
from voicectl.loopback import is_loopback
from voicectl.store import files, receiver_lock

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
"""How long restoring the webhooks may take when the receiver ends, in seconds.

The time is short because supervisors wait only a short time for a process to exit.
"""

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
    on_lease: Callable[[Lease], None] = lambda _: None,
) -> Iterator[dict[str, Any] | None]:
    """Point an application's webhooks to ``PUBLIC_URL/webhooks/...`` for the duration of the ``with`` block.

    After the block, the webhooks are restored.

    If there is no lease on disk, no calls can arrive yet. So the webhooks are set before the block starts, and the
    updated application is yielded.

    If there is a lease on disk, an earlier receiver was killed. The webhooks may still point to *public_url*, and
    calls may arrive at any time. So the block starts immediately, and None is yielded. Meanwhile, a thread restores
    the webhooks and sets them again. Errors in the thread are passed to *remark*.

    If the webhooks cannot be restored within :data:`END_SECONDS`, the lease stays on disk, so that the next receiver
    can restore them.

    Args:
        api: A client for the Application API that is used in threads. It must have its own session, and must not hold
            back signals.
        directory: The directory with the application's state, in which the lease is stored.
        public_url: The URL at which the platform reaches the receiver; see :func:`check_public_url`.
        remark: A function that is called with a line of text about each change, and with each warning.
        is_answering: True if the receiver answers calls. If it does not, only the event webhooks are set.
        interrupts: The signal handler, or None to ignore signals. The first signal ends the block, and the webhooks
            are restored. A second signal stops this cleanup.
        on_lease: Called with the lease before the webhooks point to the receiver, possibly from a thread.

    Raises:
        InputError: *public_url* is not usable.
        GuardError: Another receiver is using the webhooks, or
            :func:`~voicectl.core.webhooks.application.update` raised this error.
        ConfigError: The lease cannot be written to disk. No update was sent.
        ApiError: The API refused an update. If it refused to restore the webhooks, the hint names the command that
            restores them.
        TransportError: The API gave no usable response when the webhooks were set or restored.
    """
    public_url = check_public_url(public_url)
    _warn(application_id, public_url, remark)
    with _only_one(directory, application_id):
        loan = _Loan(api, clock, directory / FILE, remark, is_answering=is_answering, on_lease=on_lease)
        left = loan.read(application_id)
        is_over = False
        taking: BackgroundThread[Any] | None = None
        try:
            if left is None:
                taking = BackgroundThread(partial(loan.take, application_id, public_url))
                yield taking.wait()
            else:
                loan.lease = left
                on_lease(left)
                taking = BackgroundThread(partial(loan.take_again, left, public_url))
                yield None
            is_over = True
        finally:
            with _calm(interrupts):
                loan.end(taking, is_remark_only=not is_over)


def restore_left(
    api: ApplicationApi, clock: Clock, application_id: str, directory: Path, remark: Remark
) -> None:
    """Restore the webhooks that a killed receiver leased, if there is a lease on disk.

    Raises:
        GuardError: Another receiver of this application is running.
        ConfigError: The directory cannot be used.
        ApiError: The API refused the update. The lease stays on disk.
        TransportError: There was no usable response. The lease stays on disk.
    """
    with _only_one(directory, application_id):
        loan = _Loan(api, clock, directory / FILE, remark)
        lease = loan.read(application_id)
        if lease is None:
            return
        try:
            loan.give_back(lease)
        except VoicectlError as exc:
            loan.warn_left(lease, exc)
            raise


def is_left(directory: Path) -> bool:
    """Return True if *directory* contains a lease whose receiver is no longer running. No request is sent."""
    if not os.path.lexists(directory / FILE):
        return False
    try:
        with _only_one(directory, ""):
            return True
    except VoicectlError:
        return False


def running_url(directory: Path, application_id: str) -> str | None:
    """Return the public URL of the receiver that holds the lease, or None if no receiver is running with a lease.

    Args:
        directory: The directory with the application's state.
    """
    if not receiver_lock.is_receiving(directory):
        return None
    try:
        content = files.read_private(directory / FILE, what="record of webhooks")
        return Lease.from_json(content, application_id).public_url
    except (ConfigError, ValueError):
        return None


def check_public_url(text: str) -> str:
    """Check a public URL, and return it without trailing slashes.

    Raises:
        InputError: The URL is neither an https URL nor an http URL on this machine, or it has a user name, password,
            query or fragment.
    """
    hint = "Write it as https://HOST[:PORT][/PATH], such as https://voice.example.org."
    try:
        parts = urlsplit(text)
        is_url = _URL.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.scheme not in ("http", "https"):
        raise InputError(f"The public URL {text!r} is not an https URL.", hint=hint)
    if parts.username is not None or "?" in text or "#" in text:
        raise InputError("The public URL must not have a user name, password, query or fragment.", hint=hint)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise InputError(
            f"The public URL {text} is not https: others could read and change the webhooks in transit.",
            hint=hint,
        )
    return text.rstrip("/")


@dataclass(slots=True)
class _Loan:
    """Sets and restores webhooks. The lease stays on disk as long as the webhooks may point to this receiver."""

    api: ApplicationApi
    clock: Clock
    path: Path
    remark: Remark
    is_answering: bool = True
    on_lease: Callable[[Lease], None] = lambda _: None
    lease: Lease | None = field(default=None, init=False)

    def take(self, application_id: str, public_url: str) -> dict[str, Any]:
        """Set the webhooks, and return the application after the update."""
        for _ in range(MAX_READS):
            application = self.api.get_application(application_id)
            lease = Lease.of(application, public_url, now=self.clock.time(), is_answering=self.is_answering)
            self._write(lease)
            try:
                update = update_application(self.api, self.clock, application_id, Take.of(lease))
            except Moved:
                continue
            if (returned := lease.with_returned(update.after)) != lease:
                self._write(returned)
            self._remark_changes(update)
            for each in lease.anothers:
                address = (each.before or {}).get("address")
                self.remark(
                    f"warning: {each.webhook.path} was set to {address}, apparently by another receiver. Stop this"
                    " receiver before you stop that one; otherwise the original URL, from before either was started,"
                    " is lost"
                )
            return update.after
        raise keeps_changing(application_id)

    def take_again(self, left: Lease, public_url: str) -> None:
        """Restore the webhooks that a killed receiver leased, and set them again. Errors are reported, not raised."""
        try:
            self.give_back(left)
            self.take(left.application_id, public_url)
        except VoicectlError as exc:
            if self.lease is None:
                self.remark(f"warning: the webhooks were restored, but could not be set again: {exc.message}")
            else:
                self.warn_left(self.lease, exc)

    def give_back(self, lease: Lease) -> None:
        """Restore the webhooks that still point to this receiver, and delete the lease.

        Raises:
            VoicectlError: The webhooks were not restored, or it is not known whether they were. The lease stays on
                disk.
        """
        self.lease = lease
        update = update_application(self.api, self.clock, lease.application_id, Return(lease=lease))
        gone = []
        for each in lease.lent:
            if each.was_ours:
                continue
            if each.is_ours(update.after):
                raise TransportError(
                    f"The API accepted the old {each.webhook.path}, but still returns this receiver's URL."
                )
            if not each.is_ours(update.before) and find(update.after, each.webhook) != each.before:
                now = address_of(update.after, each.webhook)
                self.remark(
                    f"{each.webhook.path} was changed in the meantime, and was left as it is: {now or 'none'}"
                )
                gone.append(each)
        if gone:
            self.remark(f"To restore the earlier value: {replace(lease, lent=tuple(gone)).by_hand()}")
        self._remark_changes(update)
        self.path.unlink(missing_ok=True)
        self.lease = None

    def end(self, taking: BackgroundThread[Any] | None, *, is_remark_only: bool) -> None:
        """Restore the webhooks within :data:`END_SECONDS`. If that fails, tell the user how to restore them.

        Args:
            taking: The thread that sets the webhooks, which may still be running, or None if there is no such thread.
            is_remark_only: True to report an error only as a remark, because another exception is already being
                raised; False to raise the error.
        """
        until = time.monotonic() + END_SECONDS
        try:
            if taking is not None:
                taking.end(END_SECONDS)
            if self.lease is not None:
                BackgroundThread(partial(self.give_back, self.lease)).wait(until - time.monotonic())
        except BaseException as exc:
            lease = self.lease
            is_fault = isinstance(exc, VoicectlError) and not isinstance(exc, Interrupted)
            if isinstance(exc, VoicectlError) and lease is not None and is_fault and not is_remark_only:
                message, exc.hint = _left(lease, exc)
                exc.message = message[0].upper() + message[1:]
                raise
            if lease is not None:
                self.warn_left(lease, exc)
            if not is_fault:
                raise

    def warn_left(self, lease: Lease, exc: BaseException) -> None:
        """Warn that the webhooks may still point to this receiver, and tell the user how to restore them."""
        message, hint = _left(lease, exc)
        self.remark(f"warning: {message}")
        self.remark(hint)

    def read(self, application_id: str) -> Lease | None:
        """Return the lease on disk, or None if there is no valid one. An invalid file is renamed and reported."""
        if not os.path.lexists(self.path):
            return None
        try:
            return Lease.from_json(files.read_private(self.path, what="record of webhooks"), application_id)
        except (ConfigError, ValueError) as exc:
            why = exc.message if isinstance(exc, ConfigError) else str(exc)
        aside = self.path.with_name(f"{FILE}.damaged")
        try:
            self.path.replace(aside)
        except OSError as exc:
            raise ConfigError(
                f"{self.path} is not a valid record of the original webhooks, and cannot be renamed: {exc.strerror}.",
                hint="Remove it, then check the webhooks with: voicectl app urls",
            ) from exc
        self.remark(f"warning: {self.path} cannot be used ({why}); it was renamed to {aside.name}")
        self.remark("The earlier webhooks are not known. Check the current ones with: voicectl app urls")
        return None

    def _write(self, lease: Lease) -> None:
        files.write_private(self.path, lease.to_json())
        self.lease = lease
        self.on_lease(lease)

    def _remark_changes(self, update: Update) -> None:
        if update.is_changed:
            for line in differences(update.before, update.after):
                self.remark(line)
            if not update.is_as_asked:
                self.remark(
                    "warning: the API accepted the change, but returned webhooks other than those requested"
                )


def _left(lease: Lease, exc: BaseException) -> tuple[str, str]:
    """Return a warning that the webhooks still point to this receiver, and a hint that says how to restore them."""
    why = exc.message if isinstance(exc, VoicectlError) else type(exc).__name__
    return (
        f"the webhooks of application {lease.application_id} still go to {lease.public_url}: {why}",
        f"The next 'voicectl webhook serve' restores them. To do it now: {lease.by_hand()}",
    )


@contextmanager
def _only_one(directory: Path, application_id: str) -> Iterator[None]:
    """Hold a lock that only one receiver can hold. Unlike a file with a process id, it does not outlive a crash."""
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
                f"Another receiver{_holder(directory, application_id)} is already using this application's webhooks.",
                hint="Stop that receiver first, or start this one without --set-urls.",
            ) from exc
        except OSError as exc:
            raise ConfigError(f"{directory / LOCK} cannot be locked: {exc.strerror}.") from exc
        yield
    finally:
        os.close(handle)


def _holder(directory: Path, application_id: str) -> str:
    try:
        lease = Lease.from_json(
            files.read_private(directory / FILE, what="record of webhooks"), application_id
        )
    except (ConfigError, ValueError):
        return ""
    return f" (process {lease.pid}, since {lease.since})"


@contextmanager
def _calm(interrupts: Interrupts | None) -> Iterator[None]:
    """Let the cleanup in the ``with`` block finish even if a signal was received before. A further signal ends it."""
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
    """Warn if the platform or the sandbox cannot reach *public_url*."""
    host = urlsplit(public_url).hostname or ""
    is_sandbox = application_id.lower().startswith(SANDBOX_PREFIX)
    if is_sandbox and not is_loopback(host):
        remark(
            f"warning: {public_url} is not on this machine, and a sandbox sends webhooks to loopback only, unless it"
            f" was started with 'voicectl sandbox start --allow-host {host}', or with --map-host {host}=URL"
        )
    elif not is_sandbox and is_loopback(host):
        remark(f"warning: {public_url} is on this machine, so the platform cannot reach it")
