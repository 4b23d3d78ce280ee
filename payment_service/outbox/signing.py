"""Standard Webhooks: who sent it, and that nobody changed it. https://www.standardwebhooks.com"""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The HMAC key: what follows whsec_ is base64 (config sees to that), any other secret is taken
    as it is."""
    if secret.startswith(PREFIX):
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    return secret.encode()


def headers(event_id: str, body: bytes, *, timestamp: int, secret: str | None) -> dict[str, str]:
    """webhook-id and webhook-timestamp (Unix seconds), and the signature if there is a secret."""
    sent = {"webhook-id": event_id, "webhook-timestamp": str(timestamp)}
    if secret:
        signed = f"{event_id}.{timestamp}.".encode() + body
        digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
        sent["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return sent
