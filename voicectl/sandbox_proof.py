"""The proof with which a sandbox shows a client that it knows their shared secret, without revealing the secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NONCE = 128


def proof(secret: str, nonce: str, identity: Mapping[str, object]) -> str:
    """Return the proof for an identity that a sandbox reports.

    Args:
        secret: The signature secret of the sandbox's account, which is itself never sent.
        nonce: Text that the client has chosen at random for this request.
        identity: The reported identity, without the proof. The proof covers all its fields.
    """
    text = json.dumps(["voicectl sandbox", nonce, dict(identity)], sort_keys=True)
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
