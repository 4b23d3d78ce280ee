"""The wallet's JWTs: HS256, written out by hand, so that nobody's library judges itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from payment_service.sandbox.memory import Row

KEY = "the-sandbox-signs-as-zaincash-with-this-key"
OTHER_KEY = "another-merchant-has-this-key-with-zaincash"


def news_of(row: Row, lie: str | None = None) -> str:
    """The JWT that says how the transaction stands."""
    data = {
        "transactionId": row["id"],
        "merchantReferenceId": row["externalReferenceId"],
        "orderId": row["reference"],
        "currentStatus": row["status"],
    }
    if lie == "other_merchant":
        data["merchantReferenceId"] = "00000000-0000-0000-0000-000000000000"
    told = {
        "eventType": "STATUS_CHANGED",
        "eventId": secrets.token_hex(12),
        "timestamp": row["updatedAt"],
        "iat": int(time.time()),
        "data": data,
    }
    token = signed(told, OTHER_KEY if lie == "other_key" else KEY)
    if lie == "bad_signature":
        header, _, mac = token.split(".")
        return f"{header}.{_part({**told, 'eventId': 'forged'})}.{mac}"
    return token


def signed(claims: dict[str, Any], key: str) -> str:
    """A JWT by HS256."""
    parts = [_part({"alg": "HS256", "typ": "JWT"}), _part(claims)]
    mac = hmac.new(key.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _written(mac)])


def _part(value: dict[str, Any]) -> str:
    return _written(json.dumps(value).encode())


def _written(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
