"""Announce changes and ask for confirmation before they are made. In a dry run, print the requests instead."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from voicectl.cli.output.text import is_terminal, remark, to_json
from voicectl.cli.output.writer import Format
from voicectl.errors import DryRun, GuardError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from voicectl.cli.output.writer import View, Writer
    from voicectl.cli.terminal import Options, Terminal
    from voicectl.core.identity.account import Account
    from voicectl.core.identity.target import Target

_IMPERATIVES = {"hangup": "Hang up", "talk": "Speak to", "dtmf": "Press keys on"}

MAX_SHOWN = 20
"""The maximum number of legs to list before the user is asked for confirmation."""


class Consent:
    """Announces where a change is made, asks for confirmation, and prints requests in a dry run.

    Args:
        target: A function that returns the application and host to act on.
    """

    def __init__(self, terminal: Terminal, options: Options, target: Callable[[], Target]) -> None:
        self._terminal = terminal
        self._options = options
        self._target = target
        self._requests: list[dict[str, Any]] | None = None

    @contextmanager
    def writer(self, view: View, *, is_many: bool) -> Iterator[Writer]:
        """Yield a writer for the records of changes. In a dry run, the requests are printed instead of records.

        Args:
            is_many: True if JSON output should be an array. In a dry run, it is always an array.
        """
        out = self._terminal.writer(view, is_many=is_many)
        if not self._options.dry_run:
            with out:
                yield out
            return
        self._requests = []
        has_failed = True
        try:
            yield out
            has_failed = False
        except DryRun as dry:
            self.show_request(dry)
        finally:
            requests, self._requests = self._requests, None
            if self._terminal.format is Format.JSON and (requests or not has_failed):
                self._write_array(requests)

    def announce(self, url: str | None = None) -> None:
        """On a terminal, print which application and host a command is about to change.

        Args:
            url: The URL to which the change is sent, or None for the target's base URL.
        """
        if is_terminal(sys.stderr) and not self._options.dry_run:
            target = self._target()
            remark(f"{target.name}: application {target.application_id} on {url or target.base_url}")

    def confirm(
        self,
        action: str,
        legs: Iterable[str],
        *,
        limit: int,
        is_selected: bool = False,
        how: str = "",
        later: str | None = None,
    ) -> None:
        """Ask for confirmation before acting on legs from a list or a selection.

        Args:
            action: The verb for the action, such as ``hangup``.
            legs: A line of text for each leg.
            limit: The greatest number of legs to act on, from ``--max``.
            is_selected: True if the legs come from a selection. They are then shown even with ``--yes``.
            how: The text that follows the legs in the question, such as ``to support-17``.
            later: The duration for which legs that match later are acted on too. They need confirmation even if
                *legs* is empty.

        Raises:
            GuardError: There are too many legs, or the user does not confirm.
        """
        shown = list(legs)
        if len(shown) > limit:
            _remark_legs(shown if is_selected else [])
            raise too_many(action, len(shown), limit, "select" if is_selected else "name")
        has_consent = self._options.yes or self._options.dry_run
        if not (shown or later) or (has_consent and not is_selected):
            return
        is_asked = not has_consent and self._terminal.can_ask
        plan = self.plan(action, _all_legs(len(shown), later), how)
        if not is_asked:
            remark(f"{plan}:")
        _remark_legs(shown)
        if has_consent:
            return
        if not is_asked:
            raise GuardError(
                "Acting on selected legs needs confirmation, but standard input or standard error is not a terminal."
                if is_selected
                else "Acting on a list needs confirmation, but standard input is in use for the list.",
                hint="Add --yes.",
            )
        if self._terminal.ask(f"{plan}? [y/N]").lower() not in ("y", "yes"):
            raise GuardError("Nothing was done.")

    def plan(self, action: str, legs: str, how: str) -> str:
        """Return what is about to be done, such as ``Move 2 legs to support-17 on prod``.

        Args:
            legs: The number of legs, such as ``2 legs``.
            how: The text that follows the legs.
        """
        return " ".join(filter(None, [imperative(action), legs, how, self.where()]))

    def where(self) -> str:
        """Return the profile or application to act on, as it ends a question to the user."""
        target = self._target()
        if target.is_rehearsal:
            return "on the sandbox"
        return f"on {target.profile or f'application {target.application_id}'}"

    def show_request(self, dry: DryRun, account: Account | None = None) -> None:
        """Print a request that was not sent because of ``--dry-run``, in the same format as :meth:`show_curl`.

        Args:
            account: The account whose key and secret are used, or None to use a token. curl reads the key and the
                secret from standard input, because other users can see the arguments of a process.
        """
        self.show_curl(dry.method, dry.url, dry.body, self.curl(dry, account))

    def show_curl(self, method: str, url: str, body: Any, curl: str) -> None:
        """Print a request as a curl command that can be run or, with ``-o json`` or ``jsonl``, as an object.

        Args:
            body: The body as a JSON value or, if it is not JSON, as text. None means that the request has no body.
            curl: The curl command that sends the request.
        """
        format_ = self._terminal.format
        request = {"method": method, "url": url, "body": body, "curl": curl}
        if format_ not in (Format.JSON, Format.JSONL):
            self._terminal.write(f"{curl}\n")
        elif format_ is Format.JSONL:
            self._terminal.write(f"{to_json(request)}\n")
        elif self._requests is not None:
            self._requests.append(request)
        else:
            self._write_array([request])

    def _write_array(self, requests: list[dict[str, Any]]) -> None:
        lines = ",\n".join(map(to_json, requests))
        self._terminal.write(f"[\n{lines}\n]\n" if requests else "[]\n")

    def curl(self, dry: DryRun, account: Account | None = None) -> str:
        """Return a curl command that sends a request, with a token or, if given, the key and secret of *account*."""
        words = ["curl", "-X", dry.method, shlex.quote(dry.url)]
        # The sandbox's control routes take no token.
        is_signed = account is not None or "/sandbox/" not in dry.url
        if account:
            pair = f"{shlex.quote(account.key)} {account.secret_in_shell}"
            words = ["printf", "'user = %s:%s\\n'", pair, "|", "curl", "-K", "-", *words[1:]]
        elif is_signed:
            profile = self._target().profile
            jwt = f"voicectl jwt create -p {profile}" if profile else "voicectl jwt create"
            words += ["-H", f'"Authorization: Bearer $({jwt})"']
        if is_signed and (ca_file := self._target().ca_file):
            words += ["--cacert", shlex.quote(ca_file)]
        if dry.body is not None and dry.is_form:
            words += ["-d", shlex.quote(urlencode(dry.body))]
        elif dry.body is not None:
            words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(to_json(dry.body))]
        return " ".join(words)

    def refuse_dry_run(self) -> None:
        """Refuse ``--dry-run`` for a command that does not support it.

        Raises:
            InputError: ``--dry-run`` was given.
        """
        if self._options.dry_run:
            raise InputError(
                "This command does not support --dry-run: it changes data on this machine.",
                hint="Leave out --dry-run. Nothing was done.",
            )


def too_many(action: str, count: int, limit: int, choose: str) -> GuardError:
    """Return the error for an action on more legs than ``--max`` allows.

    Args:
        choose: The verb for choosing legs: ``name``, ``select`` or ``mark``.
    """
    return GuardError(
        f"{action} would act on {count} legs, but --max is {limit}.",
        hint=f"Add --max {count}, or {choose} fewer. Nothing was done.",
    )


def imperative(action: str) -> str:
    """Return the verb for *action* as it begins a question to the user, such as ``Hang up``."""
    return _IMPERATIVES.get(action, action.capitalize())


def _all_legs(count: int, later: str | None) -> str:
    counted = f"{count} leg{'s' * (count != 1)}"
    if later is None:
        return counted
    others = f"that match in the next {later}"
    return f"{counted}, and any others {others}," if count else f"any legs {others}"


def _remark_legs(lines: Sequence[str]) -> None:
    for line in lines[:MAX_SHOWN]:
        remark(f"  {line}")
    if len(lines) > MAX_SHOWN:
        remark(f"  and {len(lines) - MAX_SHOWN} more")
