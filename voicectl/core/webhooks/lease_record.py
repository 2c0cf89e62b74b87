"""The record of a webhook lease: the old and the new webhooks, and the updates that set and restore them.

Source: Application API v2 reference, "application object".
"""

from __future__ import annotations

import copy
import json
import os
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voicectl import strict_json, times
from voicectl.core.webhooks.application import (
    ANSWER,
    EVENT,
    FALLBACK,
    RTC_EVENT,
    WEBHOOKS,
    Wish,
    address_of,
    find,
)
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.core.webhooks.application import Webhook

VERSION = 1
METHOD = "POST"

_ROUTES = {ANSWER: "answer", EVENT: "event", FALLBACK: "fallback", RTC_EVENT: "rtc"}
_OPTIONS = {ANSWER: "--answer", EVENT: "--event", FALLBACK: "--fallback", RTC_EVENT: "--rtc-event"}
_FILLED_IN = frozenset({"webhooks", "signed_callbacks", "conversations_ttl", "leg_persistence_time"})
"""The fields of a capability that a lease created, including the fields that the platform adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """One of the leased webhooks.

    Attributes:
        webhook: The webhook.
        before: The settings of the webhook before the lease, or None if it was not set.
        ours: The URL of the receiver that holds the lease: as requested and, if different, also as the API returns
            it.
        keeps_method: True if the webhook keeps the HTTP method that it had.
    """

    webhook: Webhook
    before: Mapping[str, Any] | None
    ours: tuple[str, ...]
    keeps_method: bool = False

    def is_ours(self, application: dict[str, Any]) -> bool:
        """Return True if the webhook in *application* still points to the receiver that holds the lease."""
        return address_of(application, self.webhook) in self.ours

    def with_returned(self, application: dict[str, Any]) -> Lent:
        """Return a copy in which *ours* also contains the webhook's URL in *application*, as the API returned it."""
        returned = address_of(application, self.webhook)
        if not returned or returned in self.ours or returned == (self.before or {}).get("address"):
            return self
        return replace(self, ours=(*self.ours, returned))

    @property
    def base(self) -> str | None:
        """The public URL of the receiver to which the webhook may have pointed before the lease, or None."""
        address = str((self.before or {}).get("address") or "").partition("?")[0]
        base, found, _ = address.rpartition(f"/webhooks/{_ROUTES[self.webhook]}")
        return base if found and address.endswith(found) and not self.was_ours else None

    @property
    def was_ours(self) -> bool:
        """True if the webhook already pointed to the receiver before the lease, so there is nothing to restore."""
        return self.before is not None and self.before.get("address") in self.ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The leased webhooks of an application, their earlier settings, and the receiver that leased them.

    Attributes:
        pid: The receiver's process id.
        since: The start of the lease, as an RFC 3339 date-time.
        lent: The leased webhooks.
        created: The capabilities that the lease added to the application.
    """

    application_id: str
    public_url: str
    pid: int
    since: str
    lent: tuple[Lent, ...]
    created: tuple[str, ...]

    @classmethod
    def of(
        cls, application: dict[str, Any], public_url: str, *, now: float, is_answering: bool = True
    ) -> Lease:
        """Return a lease of the webhooks of *application*.

        The lease covers the voice webhooks and, if the application has the rtc capability, the rtc webhook.

        Args:
            is_answering: True if the receiver answers calls. If it does not, the webhooks that request an NCCO are
                not leased.
        """
        capabilities = application.get("capabilities") or {}
        has_rtc = capabilities.get("rtc") is not None
        return cls(
            application_id=application["id"],
            public_url=public_url,
            pid=os.getpid(),
            since=times.utc(now),
            lent=tuple(
                Lent(
                    webhook=webhook,
                    before=(before := find(application, webhook)),
                    ours=(f"{public_url}/webhooks/{route}",),
                    keeps_method=_has_method(before),
                )
                for webhook, route in _ROUTES.items()
                if (has_rtc if webhook is RTC_EVENT else is_answering or webhook is EVENT)
            ),
            created=() if capabilities.get("voice") is not None else ("voice",),
        )

    def with_returned(self, application: dict[str, Any]) -> Lease:
        """Return a copy with the URLs in *application* added, since the API may return a URL in another form."""
        return replace(self, lent=tuple(each.with_returned(application) for each in self.lent))

    @property
    def anothers(self) -> tuple[Lent, ...]:
        """The webhooks that seem to have pointed to another receiver before the lease.

        The URLs of the user's own app may also end in ``/webhooks/answer`` and ``/webhooks/event``. But a receiver
        that answers calls has the fallback URL as well.
        """
        bases = {each.webhook: each.base for each in self.lent}
        base = bases.get(FALLBACK)
        is_receiver = base is not None and base == bases.get(ANSWER) == bases.get(EVENT)
        return tuple(each for each in self.lent if is_receiver and each.base == base)

    @property
    def earlier(self) -> dict[str, str]:
        """The URL of each webhook before the lease, by the last part of this receiver's URL, such as ``answer``."""
        return {
            _ROUTES[each.webhook]: address
            for each in self.lent
            if not each.was_ours and (address := (each.before or {}).get("address"))
        }

    def by_hand(self) -> str:
        """Return the shell command with which the user can restore the webhooks."""
        words = ["voicectl", "app", "urls"]
        for each in self.lent:
            if each.was_ours:
                continue
            option, before = _OPTIONS[each.webhook], each.before or {}
            words += [option, before.get("address") or ""]
            if before.get("address"):
                words += [f"{option}-method", before.get("http_method") or each.webhook.usual]
        return shlex.join(words)

    def to_json(self) -> bytes:
        """Return the content of the lease file."""
        content = {
            "version": VERSION,
            "application_id": self.application_id,
            "public_url": self.public_url,
            "pid": self.pid,
            "since": self.since,
            "created": self.created,
            "lent": [
                {
                    "webhook": each.webhook.path,
                    "before": each.before,
                    "ours": each.ours,
                    "keeps_method": each.keeps_method,
                }
                for each in self.lent
            ],
        }
        return json.dumps(content, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, application_id: str) -> Lease:
        """Return the lease from the content of a file that :meth:`to_json` wrote.

        Raises:
            ValueError: The content is not a lease, or it is the lease of another application.
        """
        try:
            raw = strict_json.loads(content.decode(), has_unique_keys=True)
            lent = [
                (each["webhook"], each["before"], each["ours"], each.get("keeps_method") is True)
                for each in raw["lent"]
            ]
            texts = [raw[name] for name in ("application_id", "public_url", "since")] + raw["created"]
            is_right = raw["version"] == VERSION and isinstance(raw["pid"], int) and _are_texts(texts)
        except (KeyError, TypeError, RecursionError) as exc:
            raise ValueError("it is not a record of webhooks") from exc
        names = {webhook.path: webhook for webhook in WEBHOOKS}
        if not is_right or not all(
            isinstance(name, str) and name in names and _is_hook(before) and _are_texts(ours)
            for name, before, ours, _ in lent
        ):
            raise ValueError("it is not a record of webhooks, or was written by another version of voicectl")
        if raw["application_id"].lower() != application_id.lower():
            raise ValueError("it is for another application")
        return cls(
            application_id=raw["application_id"],
            public_url=raw["public_url"],
            pid=raw["pid"],
            since=raw["since"],
            lent=tuple(
                Lent(webhook=names[name], before=before, ours=tuple(ours), keeps_method=keeps)
                for name, before, ours, keeps in lent
            ),
            created=tuple(raw["created"]),
        )


class Moved(InputError):
    """A webhook no longer matches the record in the lease, and does not point to the lease's receiver either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take(Wish):
    """The update that points the webhooks to the lease's receiver, if they still match the record in the lease."""

    lease: Lease

    @classmethod
    def of(cls, lease: Lease) -> Take:
        """Return the update that sets the webhooks of *lease*."""
        return cls(
            lease=lease,
            addresses={each.webhook: each.ours[0] for each in lease.lent},
            methods={each.webhook: METHOD for each in lease.lent if not each.keeps_method},
        )

    def applied_to(self, application: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of *application* in which the webhooks point to the receiver that holds the lease.

        Raises:
            Moved: A webhook was changed after the lease was recorded.
        """
        for each in self.lease.lent:
            if not each.is_ours(application) and find(application, each.webhook) != each.before:
                raise Moved(f"{each.webhook.path} was changed meanwhile.")
        return Wish.applied_to(self, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class Return(Wish):
    """The update that restores the leased webhooks. Webhooks that someone else has changed are left as they are."""

    lease: Lease

    def applied_to(self, application: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of *application* in which the webhooks that point to the lease's receiver are restored."""
        changed = copy.deepcopy(application)
        for each in self.lease.lent:
            if not each.is_ours(changed):
                continue
            capability, name = each.webhook.capability, each.webhook.name
            hooks = changed["capabilities"][capability]["webhooks"]
            if each.before is None:
                del hooks[name]
                _drop_if_blank(changed, capability, self.lease)
                continue
            _put(hooks[name], each.before, "address")
            if not each.keeps_method and hooks[name].get("http_method") == METHOD:
                _put(hooks[name], each.before, "http_method")
        return changed


def _drop_if_blank(application: dict[str, Any], capability: str, lease: Lease) -> None:
    """Remove a capability that the lease added, unless someone else has added settings to it."""
    found = application["capabilities"][capability]
    if capability in lease.created and not found["webhooks"] and found.keys() <= _FILLED_IN:
        del application["capabilities"][capability]


def _put(hook: dict[str, Any], before: Mapping[str, Any], name: str) -> None:
    if name in before:
        hook[name] = before[name]
    else:
        hook.pop(name, None)


def _has_method(hook: Mapping[str, Any] | None) -> bool:
    """Return True if a webhook has an HTTP method, even if that is only the platform's default for its URL."""
    return bool(hook and (hook.get("http_method") or hook.get("address")))


def _is_hook(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str | None) for name in ("address", "http_method")
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
