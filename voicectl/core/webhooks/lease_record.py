"""What a lease of webhooks says: which ones are lent, what they were before, and how both are wished for.

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
"""What the platform itself puts into a capability that had nothing but webhooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """One of the webhooks that are lent.

    Attributes:
        before: The webhook as it was; None if there was none.
        ours: The addresses that are ours: the one that was asked for, and the same as the API tells it.
    """

    webhook: Webhook
    before: Mapping[str, Any] | None
    ours: tuple[str, ...]

    def is_ours(self, application: dict[str, Any]) -> bool:
        """Whether it still goes to us."""
        return address_of(application, self.webhook) in self.ours

    def with_told(self, application: dict[str, Any]) -> Lent:
        """The same after it was set to ours: as *application* tells that address, it is ours too."""
        told = address_of(application, self.webhook)
        if not told or told in self.ours or told == (self.before or {}).get("address"):
            return self
        return replace(self, ours=(*self.ours, told))

    @property
    def was_anothers(self) -> bool:
        """Whether it went to another receiver before, by the look of it."""
        address = (self.before or {}).get("address") or ""
        return not self.was_ours and address.endswith(f"/webhooks/{_ROUTES[self.webhook]}")

    @property
    def was_ours(self) -> bool:
        """Whether it went to us before, so that nothing is to be put back."""
        return self.before is not None and self.before.get("address") in self.ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Which webhooks of an application are lent, to whom, and what they were before.

    Attributes:
        pid: Of the receiver.
        since: When it took them, RFC 3339.
        created: The capabilities that the application did not have.
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
        """A lease of the webhooks of *application*: those of voice, and that of rtc if it has that.

        Args:
            is_answering: Calls are answered there; else the webhooks that ask for an answer stay as they are.
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
                    before=find(application, webhook),
                    ours=(f"{public_url}/webhooks/{route}",),
                )
                for webhook, route in _ROUTES.items()
                if (has_rtc if webhook is RTC_EVENT else is_answering or webhook is EVENT)
            ),
            created=() if capabilities.get("voice") is not None else ("voice",),
        )

    def with_told(self, application: dict[str, Any]) -> Lease:
        """The same after it was set: an address that the API writes in its own way is ours too."""
        return replace(self, lent=tuple(each.with_told(application) for each in self.lent))

    def by_hand(self) -> str:
        """The command that puts back what was there before."""
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
        """What the file holds."""
        content = {
            "version": VERSION,
            "application_id": self.application_id,
            "public_url": self.public_url,
            "pid": self.pid,
            "since": self.since,
            "created": self.created,
            "lent": [
                {"webhook": each.webhook.path, "before": each.before, "ours": each.ours} for each in self.lent
            ],
        }
        return json.dumps(content, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, application_id: str) -> Lease:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: It is something else, or about another application.
        """
        try:
            raw = strict_json.loads(content.decode(), has_unique_keys=True)
            lent = [(each["webhook"], each["before"], each["ours"]) for each in raw["lent"]]
            texts = [raw[name] for name in ("application_id", "public_url", "since")] + raw["created"]
            is_right = raw["version"] == VERSION and isinstance(raw["pid"], int) and _are_texts(texts)
        except (KeyError, TypeError, RecursionError) as exc:
            raise ValueError("it is no lease") from exc
        names = {webhook.path: webhook for webhook in WEBHOOKS}
        if not is_right or not all(
            isinstance(name, str) and name in names and _is_hook(before) and _are_texts(ours)
            for name, before, ours in lent
        ):
            raise ValueError("it is no lease, or one of another version")
        if raw["application_id"].lower() != application_id.lower():
            raise ValueError("it is about another application")
        return cls(
            application_id=raw["application_id"],
            public_url=raw["public_url"],
            pid=raw["pid"],
            since=raw["since"],
            lent=tuple(
                Lent(webhook=names[name], before=before, ours=tuple(ours)) for name, before, ours in lent
            ),
            created=tuple(raw["created"]),
        )


class Moved(InputError):
    """A webhook is neither as the lease says it was, nor ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take(Wish):
    """Wishes that the webhooks be ours, as long as they are what the lease says they were."""

    lease: Lease

    @classmethod
    def of(cls, lease: Lease) -> Take:
        """What *lease* is to bring about."""
        return cls(
            lease=lease,
            addresses={each.webhook: each.ours[0] for each in lease.lent},
            methods={each.webhook: METHOD for each in lease.lent},
        )

    def applied_to(self, application: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`Wish.applied_to`."""
        for each in self.lease.lent:
            if not each.is_ours(application) and find(application, each.webhook) != each.before:
                raise Moved(f"{each.webhook.path} was changed meanwhile.")
        return Wish.applied_to(self, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class Return(Wish):
    """Wishes that what is ours be again what it was; what somebody else has changed stays."""

    lease: Lease

    def applied_to(self, application: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`Wish.applied_to`; raises nothing."""
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
            if hooks[name].get("http_method") == METHOD:
                _put(hooks[name], each.before, "http_method")
        return changed


def _drop_if_blank(application: dict[str, Any], capability: str, lease: Lease) -> None:
    """Take away a capability that came with our webhooks and has nothing of anybody else's."""
    found = application["capabilities"][capability]
    if capability in lease.created and not found["webhooks"] and found.keys() <= _FILLED_IN:
        del application["capabilities"][capability]


def _put(hook: dict[str, Any], before: Mapping[str, Any], name: str) -> None:
    if name in before:
        hook[name] = before[name]
    else:
        hook.pop(name, None)


def _is_hook(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and all(
        isinstance(value.get(name), str | None) for name in ("address", "http_method")
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
