"""An application's webhooks: reading them, and changing some so that all else stays as it is.

The API replaces applications whole, without a condition. So the application is read, read again just before it is put
back, and put back as it was read but for what was asked: what this program does not know goes back too.

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
"""How often an application that somebody else is changing is looked at."""


class Webhook(NamedTuple):
    """One of an application's webhooks.

    Attributes:
        capability: Where it is; so is ``name``.
        usual: The method of one that is new.
    """

    capability: str
    name: str
    usual: str

    @property
    def path(self) -> str:
        """How it is called: ``voice.answer_url``."""
        return f"{self.capability}.{self.name}"


ANSWER = Webhook("voice", "answer_url", "GET")
FALLBACK = Webhook("voice", "fallback_answer_url", "GET")
EVENT = Webhook("voice", "event_url", "POST")
RTC_EVENT = Webhook("rtc", "event_url", "POST")
WEBHOOKS = (ANSWER, FALLBACK, EVENT, RTC_EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of the webhooks.

    Attributes:
        addresses: The URLs to set; an empty one takes the webhook away.
        methods: The HTTP methods to set.
        signed: Whether they are to be signed; None leaves that as it is.
    """

    addresses: Mapping[Webhook, str] = field(default_factory=dict)
    methods: Mapping[Webhook, str] = field(default_factory=dict)
    signed: bool | None = None

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return bool(self.addresses or self.methods or self.signed is not None)

    def applied_to(self, application: dict[str, Any]) -> dict[str, Any]:
        """*application* as it is to be; the same if it is so already.

        Raises:
            InputError: A method was given for a webhook that is not there, or signing where there is nothing to sign.
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
                    f"There is no {webhook.path} whose method could be set.", hint="Give its URL as well."
                )
            hook["http_method"] = method
        if self.signed is not None:
            there = [each for each in map(_capabilities(changed).get, ("voice", "rtc")) if each is not None]
            if not there:
                raise InputError(
                    "The application has neither voice nor rtc, so there is nothing to sign.",
                    hint="Give it a URL as well, such as --answer URL.",
                )
            for capability in there:
                capability["signed_callbacks"] = self.signed
        return changed


@dataclass(frozen=True, slots=True)
class Update:
    """What came of a wish.

    Attributes:
        before: The application as it was when it was put; so is ``after``, as the API told it then.
        is_changed: Whether it was put at all; if not, the two are the same.
        is_as_asked: Whether what the API told is what was asked for.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    is_changed: bool
    is_as_asked: bool


def webhooks(application: dict[str, Any]) -> list[dict[str, Any]]:
    """The four webhooks, there or not: ``webhook`` names it, ``signed_callbacks`` is its capability's."""
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
    """Have an application be as *wish* asks, and else as it is.

    Where no usable answer comes it is looked at again, and put again if it still is not so: twice within 3 s, since
    nothing happens twice by that.

    Raises:
        InputError: See :meth:`Wish.applied_to`.
        GuardError: Somebody else changes it all the time, or its public key is not told.
        ApiError: Refused: nothing was changed.
        TransportError: No usable answer: it may be changed.
        DryRun: Nothing may be sent.
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
    """Return the error for an application that is another at each look."""
    return GuardError(
        f"Somebody else keeps changing application {application_id}.", hint="Look at it: voicectl app show"
    )


def find(application: dict[str, Any], webhook: Webhook) -> dict[str, Any] | None:
    """Return the webhook of an application; None if it is not there."""
    capability = _capabilities(application).get(webhook.capability) or {}
    found: dict[str, Any] | None = (capability.get("webhooks") or {}).get(webhook.name)
    return found


def address_of(application: dict[str, Any], webhook: Webhook) -> Any:
    """Return where the webhook goes; None if it is not there or goes nowhere."""
    return (find(application, webhook) or {}).get("address")


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What became of the webhooks and their signing, a line for each that is another now."""
    old, new = _told(before), _told(after)
    return [f"{name}: {old[name]} -> {told}" for name, told in new.items() if told != old[name]]


def _told(application: dict[str, Any]) -> dict[str, str]:
    told = {}
    for each in webhooks(application):
        method = f" ({each['http_method']})" if each.get("http_method") else ""
        told[each["webhook"]] = f"{each['address']}{method}" if each["address"] else "none"
        signed = each["signed_callbacks"]
        capability = each["webhook"].partition(".")[0]
        told[f"{capability} signed"] = "yes" if signed is True else "no" if signed is False else "not set"
    return told


def _grants(wish: Wish, application: dict[str, Any]) -> bool:
    try:
        return wish.applied_to(application) == application
    except InputError:
        return False


def _check_key(application: dict[str, Any]) -> None:
    """See that the public key goes back with the rest: without one the platform may make another pair."""
    if not (application.get("keys") or {}).get("public_key"):
        raise GuardError(
            "The API did not tell the application's public key, and putting the rest back may take it away.",
            hint="Change the URLs in the dashboard.",
        )


def _capabilities(application: dict[str, Any]) -> dict[str, Any]:
    return application.get("capabilities") or {}


def _inside(container: dict[str, Any], name: str) -> dict[str, Any]:
    """The object in the field *name*, made if it is absent or null."""
    if container.get(name) is None:
        container[name] = {}
    found: dict[str, Any] = container[name]
    return found
