"""Signing webhooks as the platform does, and in all the ways of a forger."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from typing import Any

APPLICATION = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
API_KEY = "a1b2c3d4"
SECRET = "RRNgL6JOwa5OajQFBqSBLkYAbzCCqvsI"
NOW = 1_770_000_000
LEG = "9a8b7c6d-5e4f-4321-8fed-cba987654321"
CONVERSATION = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"
GONE = object()
"""Value of a claim that is to be left out."""


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def segment(value: object) -> str:
    return base64url(value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode())


def claims(payload: bytes, *, now: float = NOW, **changes: Any) -> dict[str, Any]:
    """Return the platform's claims for *payload*, with *changes*."""
    usual = {
        "iat": int(now),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(payload).hexdigest(),
        "api_key": API_KEY,
        "application_id": APPLICATION,
    }
    return {name: value for name, value in (usual | changes).items() if value is not GONE}


def signed(content: object, *, secret: str = SECRET, header: object = None, digest: str = "sha256") -> str:
    """Return a token of *content*, which is claims or raw bytes."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    signing = f"{segment(head)}.{segment(content)}"
    return f"{signing}.{base64url(hmac.digest(secret.encode(), signing.encode(), digest))}"


def token(payload: bytes, *, secret: str = SECRET, now: float = NOW, **changes: Any) -> str:
    return signed(claims(payload, now=now, **changes), secret=secret)


def bearer(payload: bytes, **changes: Any) -> list[str]:
    return [f"Bearer {token(payload, **changes)}"]


def event(**changes: Any) -> bytes:
    """Return the body of a status event."""
    fields = {
        "from": "447700900456",
        "to": "447700900123",
        "uuid": LEG,
        "conversation_uuid": CONVERSATION,
        "status": "ringing",
        "direction": "outbound",
        "timestamp": "2026-02-03T09:15:00.120Z",
    }
    return json.dumps(fields | changes).encode()
