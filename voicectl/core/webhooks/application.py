"""Reads an application's webhooks, and changes some of them without changing anything else in the application.

An update replaces the whole application, and the API cannot make an update conditional on the current state. So the
application is read, then read again just before the update to detect changes by others, and written back with only
the requested changes. Unknown fields are written back too.

Source: Application API v2 reference, "application object".
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.errors import GuardError, InputError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.api.applications import ApplicationApi
    from voicectl.clock import Clock

REPEAT_SECONDS = 3.0
MAX_REPEATS = 2
PAUSE_SECONDS = 0.5
MAX_READS = 5
"""How many times an application is read, at most, while someone else keeps changing it."""


class Webhook(NamedTuple):
    """A kind of webhook that an application may have.

    Attributes:
        capability: The capability that the webhook belongs to.
        name: The webhook's name in the capability.
        usual: The HTTP method that the webhook gets if it was not set before, and no method is requested.
    """

    capability: str
    name: str
    usual: str

    @property
    def path(self) -> str:
        """The webhook's full name, such as ``voice.answer_url``."""
        return f"{self.capability}.{self.name}"


ANSWER = Webhook("voice", "answer_url", "GET")
FALLBACK = Webhook("voice", "fallback_answer_url", "GET")
EVENT = Webhook("voice", "event_url", "POST")
RTC_EVENT = Webhook("rtc", "event_url", "POST")
WEBHOOKS = (ANSWER, FALLBACK, EVENT, RTC_EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The changes to make to the webhooks of an application.

    Attributes:
        addresses: The URLs to set, by webhook. An empty URL removes the webhook.
        methods: The HTTP methods to set, by webhook.
        signed: True to turn signing on, False to turn it off, or None to leave it unchanged.
    """

    addresses: Mapping[Webhook, str] = field(default_factory=dict)
    methods: Mapping[Webhook, str] = field(default_factory=dict)
    signed: bool | None = None

    def __bool__(self) -> bool:
        """Return True if there is a change to make."""
        return bool(self.addresses or self.methods or self.signed is not None)

    def applied_to(self, application: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of *application* with the changes made.

        Raises:
            InputError: A method is to be set for a webhook that has no URL, or signing is to be turned on or off in
                an application that has neither the voice nor the rtc capability.
        """
        changed = copy.deepcopy(application)
        for webhook, address in self.addresses.items():
            if address:
                hooks = _inside(_inside(_inside(changed, "capabilities"), webhook.capability), "webhooks")
                hook = _inside(hooks, webhook.name)
                if not hook:
                    hook["http_method"] = webhook.usual
                hook["address"] = address
            elif address_of(changed, webhook):
                del changed["capabilities"][webhook.capability]["webhooks"][webhook.name]
        for webhook, method in self.methods.items():
            hook = find(changed, webhook) or {}
            if not hook.get("address"):
                raise InputError(
                    f"{webhook.path} is not set, so it has no method to change.", hint="Give its URL as well."
                )
            hook["http_method"] = method
        if self.signed is not None:
            there = [each for each in map(_capabilities(changed).get, ("voice", "rtc")) if each is not None]
            if not there:
                raise InputError(
                    "The application has neither the voice nor the rtc capability, so there is nothing to sign.",
                    hint="Give it a URL as well, such as --answer URL.",
                )
            for capability in there:
                capability["signed_callbacks"] = self.signed
        return changed


@dataclass(frozen=True, slots=True)
class Update:
    """The outcome of an update.

    Attributes:
        before: The application before the update.
        after: The application after the update, as the API returned it.
        is_changed: True if an update was sent. If not, *before* and *after* are the same.
        is_as_asked: True if the API returned the webhooks as they were requested.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    is_changed: bool
    is_as_asked: bool


def webhooks(application: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record for each of an application's four webhooks, including those that are not set.

    In each record, ``webhook`` is the webhook's full name, and ``signed_callbacks`` is the setting of that name in
    the webhook's capability.
    """
    capabilities = _capabilities(application)
    return [
        {"webhook": webhook.path, "address": None}
        | (find(application, webhook) or {})
        | {
            "webhook": webhook.path,
            "signed_callbacks": (capabilities.get(webhook.capability) or {}).get("signed_callbacks"),
        }
        for webhook in WEBHOOKS
    ]


def update(api: ApplicationApi, clock: Clock, application_id: str, wish: Wish) -> Update:
    """Make the changes in *wish* to an application, and change nothing else.

    If there is no usable response, the application is read again and, if necessary, the update is sent again, at most
    twice and within 3 seconds. This is safe, because sending an update twice has the same effect as sending it once.

    Raises:
        InputError: The changes cannot be made; see :meth:`Wish.applied_to`.
        GuardError: Someone else keeps changing the application, or the API did not return the application's public
            key.
        ApiError: The API refused the update. Nothing was changed.
        TransportError: There was no usable response. The application may have been changed.
        DryRun: This is a dry run, which sends no update.
    """
    give_up = clock.monotonic() + REPEAT_SECONDS
    put: dict[str, Any] | None = None
    failures = 0
    seen = api.get_application(application_id)
    for _ in range(MAX_READS):
        wanted = wish.applied_to(seen)
        if wanted == seen:
            return Update(put or seen, seen, is_changed=put is not None, is_as_asked=True)
        _check_key(seen)
        now = api.get_application(application_id)
        if now != seen:
            seen = now
            continue
        put = seen
        try:
            after = api.update_application(application_id, wanted)
        except TransportError:
            failures += 1
            if failures > MAX_REPEATS or clock.monotonic() + PAUSE_SECONDS > give_up:
                raise
        else:
            return Update(seen, after, is_changed=True, is_as_asked=_grants(wish, after))
        clock.sleep(PAUSE_SECONDS)
        seen = api.get_application(application_id)
    raise keeps_changing(application_id)


def keeps_changing(application_id: str) -> GuardError:
    """Return the error for an application that was different each time it was read."""
    return GuardError(
        f"Application {application_id} is being changed repeatedly by someone else.",
        hint="Run the command again when the other changes are finished. To see the current settings:"
        " voicectl app show",
    )


def find(application: dict[str, Any], webhook: Webhook) -> dict[str, Any] | None:
    """Return the settings of a webhook in an application, or None if the webhook is not set."""
    capability = _capabilities(application).get(webhook.capability) or {}
    found: dict[str, Any] | None = (capability.get("webhooks") or {}).get(webhook.name)
    return found


def address_of(application: dict[str, Any], webhook: Webhook) -> Any:
    """Return the URL of a webhook in an application, or None if the webhook is not set."""
    return (find(application, webhook) or {}).get("address")


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return a line of text for each webhook and each signing setting that differs between *before* and *after*."""
    old, new = _settings(before), _settings(after)
    return [f"{name}: {old[name]} -> {shown}" for name, shown in new.items() if shown != old[name]]


def _settings(application: dict[str, Any]) -> dict[str, str]:
    shown = {}
    for each in webhooks(application):
        method = f" ({each['http_method']})" if each.get("http_method") else ""
        shown[each["webhook"]] = f"{each['address']}{method}" if each["address"] else "none"
        signed = each["signed_callbacks"]
        capability = each["webhook"].partition(".")[0]
        shown[f"{capability} signed"] = "yes" if signed is True else "no" if signed is False else "not set"
    return shown


def _grants(wish: Wish, application: dict[str, Any]) -> bool:
    try:
        return wish.applied_to(application) == application
    except InputError:
        return False


def _check_key(application: dict[str, Any]) -> None:
    """Check that *application* contains its public key, since an update without it may create a new key pair."""
    if not (application.get("keys") or {}).get("public_key"):
        raise GuardError(
            "The API did not return the application's public key, so an update could remove the key.",
            hint="Change the URLs in the dashboard.",
        )


def _capabilities(application: dict[str, Any]) -> dict[str, Any]:
    return application.get("capabilities") or {}


def _inside(container: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object in the field *name* of *container*. A missing or null field is first set to ``{}``."""
    if container.get(name) is None:
        container[name] = {}
    found: dict[str, Any] = container[name]
    return found
