"""The applications of the sandbox's account, with their public keys and webhooks.

Source: Application API v2 reference.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from voicectl.sandbox.account.application_body import (
    CONVERSATIONS_TTL,
    Draft,
    PublicKey,
    read_application,
    read_public_key,
)
from voicectl.sandbox.account.identity import APPLICATION_ID_PREFIX, Identity
from voicectl.sandbox.telephony.state import DEFAULT_REGION

ROOM_HOURS = CONVERSATIONS_TTL
"""The lifetime of a named conversation whose application was deleted or has no ``voice`` capability, in hours."""

ANSWER_SECONDS = 5.0
"""The default time limit for the response from an ``answer_url``, in seconds on the host clock."""

EVENT_SECONDS = 10.0
"""The default time limit for the response from an ``event_url``, in seconds on the host clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook of an application.

    Attributes:
        connect_seconds: The time limit for connecting, in seconds on the host clock.
        read_seconds: The time limit for the response after the connection is made, in seconds on the host clock.
    """

    url: str
    method: str
    connect_seconds: float = 1.0
    read_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application of the account.

    Attributes:
        id: The application's UUID, which is the ``application_id`` in its tokens.
        key: The public key with which the application's tokens are verified.
        capabilities: The checked capabilities in the format of the Application API, keyed by name, such as ``voice``.
        more: All other fields: ``privacy``, and the fields that the API reference does not mention.
    """

    id: str
    name: str
    key: PublicKey
    capabilities: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def answer(self) -> Hook | None:
        """The webhook that returns the NCCO for an inbound call, or None if no webhook is set."""
        return self._hook("voice", "answer_url", "GET", ANSWER_SECONDS)

    @property
    def fallback(self) -> Hook | None:
        """The fallback webhook, or None if no such webhook is set.

        If a request to ``answer_url`` or ``event_url`` fails, and its reply could have been an NCCO, the NCCO is
        requested from the fallback webhook.
        """
        return self._hook("voice", "fallback_answer_url", "GET", ANSWER_SECONDS)

    @property
    def event(self) -> Hook | None:
        """The webhook for the events of calls that have no event URL of their own, or None if no webhook is set."""
        return self._hook("voice", "event_url", "POST", EVENT_SECONDS)

    @property
    def rtc_event(self) -> Hook | None:
        """The webhook for the events of conversations, or None if no webhook is set."""
        return self._hook("rtc", "event_url", "POST", EVENT_SECONDS)

    @property
    def room_hours(self) -> int:
        """The lifetime of the application's named conversations, in hours (``conversations_ttl``)."""
        return int(self.capabilities.get("voice", {}).get("conversations_ttl", ROOM_HOURS))

    def signs(self, capability: str) -> bool:
        """Return True if webhook requests for *capability* (``voice`` or ``rtc``) carry a signed token."""
        return bool(self.capabilities.get(capability, {}).get("signed_callbacks", True))

    @property
    def region(self) -> str:
        """The region of the application's calls.

        Calls that are created through a regional host have that host's region.
        """
        return str(self.capabilities.get("voice", {}).get("region", DEFAULT_REGION))

    def to_json(self) -> dict[str, Any]:
        """Return the application in the format of the Application API, without the private key."""
        return {
            "id": self.id,
            "name": self.name,
            "keys": {"public_key": self.key.pem},
            **self.more,
            "capabilities": self.capabilities,
            "_links": {"self": {"href": f"/v2/applications/{self.id}"}},
        }

    def _hook(self, capability: str, name: str, method: str, read_seconds: float) -> Hook | None:
        given = self.capabilities.get(capability, {}).get("webhooks", {}).get(name, {})
        if not given.get("address"):
            return None
        return Hook(
            url=given["address"],
            method=given.get("http_method", method),
            connect_seconds=given.get("connect_timeout", 1000) / 1000,
            read_seconds=given.get("socket_timeout", read_seconds * 1000) / 1000,
        )


class Applications:
    """The applications of the account.

    At first, there is only the sandbox's own application, whose keys are in the sandbox's profile. A reset of the
    sandbox does not remove applications, because they are settings.

    Args:
        identity: The identity of the sandbox's own application and of the account.
        seed: The seed for the ids of new applications.

    Attributes:
        by_id: The applications, keyed by id, in order of creation.
        own: The id of the sandbox's own application.
    """

    def __init__(self, identity: Identity, *, seed: int = 0) -> None:
        draft = read_application({"name": "sandbox", "capabilities": {"voice": {}, "rtc": {}}})
        self.own = identity.application_id
        self._first = _application(self.own, draft, read_public_key(identity.public_key))
        self._random = random.Random(f"applications {seed}")  # noqa: S311 (the same ids in each run)
        self.by_id = {self.own: self._first}

    def create(self, draft: Draft, key: PublicKey) -> Application:
        """Create and return an application with the settings in *draft* and the public key *key*."""
        return self._add(_application(self._new_id(), draft, key))

    def replace(self, application: Application, draft: Draft) -> Application:
        """Replace the settings of *application* with *draft*, and return the new application.

        If *draft* contains no key, the old key is kept.
        """
        return self._add(_application(application.id, draft, draft.key or application.key))

    def remove(self, application: Application) -> None:
        """Remove *application*, so that its tokens are no longer accepted."""
        del self.by_id[application.id]

    def restore(self) -> bool:
        """Restore the sandbox's own application with its original settings, and return True.

        If it was not removed, do nothing and return False. This application is needed because the sandbox's profile
        refers to it.
        """
        if self.own in self.by_id:
            return False
        self.by_id = {self.own: self._first, **self.by_id}
        return True

    def room_hours(self, application_id: str) -> float:
        """Return the lifetime of an application's named conversations, in hours."""
        application = self.by_id.get(application_id)
        return ROOM_HOURS if application is None else application.room_hours

    def has_rtc_webhook(self, application_id: str) -> bool:
        """Return True if the application exists and has a webhook for the events of conversations."""
        application = self.by_id.get(application_id)
        return application is not None and application.rtc_event is not None

    def _add(self, application: Application) -> Application:
        self.by_id[application.id] = application
        return application

    def _new_id(self) -> str:
        """Return a new UUID that begins with :data:`APPLICATION_ID_PREFIX`."""
        made = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return APPLICATION_ID_PREFIX + made[len(APPLICATION_ID_PREFIX) :]


def _application(id_: str, draft: Draft, key: PublicKey) -> Application:
    return Application(id=id_, name=draft.name, key=key, capabilities=draft.capabilities, more=draft.more)
