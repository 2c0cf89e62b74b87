"""The applications of the account: who may sign tokens, and where their webhooks are.

Source: Application API v2 reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from voicectl.sandbox.telephony.leg import DEFAULT_REGION

if TYPE_CHECKING:
    from voicectl.sandbox.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook of an application.

    Attributes:
        connect_seconds: How long to try to connect, on the host clock.
        read_seconds: How long to wait for the answer after that.
    """

    url: str
    method: str
    connect_seconds: float = 1.0
    read_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One application.

    Attributes:
        id: A UUID, the ``application_id`` of tokens.
        public_key: What checks its tokens.
        capabilities: As the Application API has them, checked: ``voice``, ``rtc`` ...
    """

    id: str
    name: str
    public_key: RSAPublicKey
    capabilities: dict[str, Any]

    @property
    def answer(self) -> Hook | None:
        """Whom to ask for the NCCO of an inbound call."""
        return self._hook("voice", "answer_url", "GET", 5.0)

    @property
    def fallback(self) -> Hook | None:
        """Whom to ask when ``answer_url`` fails, or an ``event_url`` whose reply may bring an NCCO."""
        return self._hook("voice", "fallback_answer_url", "GET", 5.0)

    @property
    def event(self) -> Hook | None:
        """Whom to tell of the events of calls that name no URL of their own."""
        return self._hook("voice", "event_url", "POST", 10.0)

    @property
    def rtc_event(self) -> Hook | None:
        """Whom to tell of the events of conversations."""
        return self._hook("rtc", "event_url", "POST", 10.0)

    def signs(self, capability: str) -> bool:
        """Whether webhooks of *capability*, ``voice`` or ``rtc``, carry a signed token."""
        return bool(self.capabilities.get(capability, {}).get("signed_callbacks", True))

    @property
    def region(self) -> str:
        """Where its calls live unless a regional host is asked."""
        return str(self.capabilities.get("voice", {}).get("region", DEFAULT_REGION))

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
    """All of them; at first the one whose keys the sandbox's profile holds.

    Args:
        identity: That one, and the account.

    Attributes:
        by_id: By their ids.
        own: The id of the first.
    """

    def __init__(self, identity: Identity) -> None:
        key = load_pem_public_key(identity.public_key.encode())
        if not isinstance(key, RSAPublicKey):
            raise TypeError("the application's public key is not an RSA key")
        self.own = identity.application_id
        first = Application(
            id=self.own, name="sandbox", public_key=key, capabilities={"voice": {}, "rtc": {}}
        )
        self.by_id = {first.id: first}
