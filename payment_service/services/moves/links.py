"""The links by which a payer's browser reaches us, each good for one payment.

Whoever has a link may see how the payment stands and be sent on to the provider's page, and no
more. So it is made of SECRET_KEY and kept nowhere.
"""

from __future__ import annotations

import base64
import hmac

from payment_service.config import settings

_LABEL = b"payment-service/payer-link/1"
"""What the key that is made of SECRET_KEY is for, so that nothing else is ever made by it."""

BYTES = 20
"""Of the SHA-256: 160 bits, which base32 writes as 32 letters and digits, all of one case and
without a sign at the end that a messenger would leave out of the link."""


def mac(payment_id: int) -> str:
    """What stands behind the payment's id in its link. Raises LookupError without a SECRET_KEY."""
    secret = settings().secret_key
    if not secret:
        raise LookupError("SECRET_KEY is not set, and links are made by it")
    key = hmac.digest(secret.encode(), _LABEL, "sha256")
    made = hmac.digest(key, str(payment_id).encode(), "sha256")[:BYTES]
    return base64.b32encode(made).decode().lower()


def is_genuine(payment_id: int, said: str) -> bool:
    """Whether we made the link. Takes the same time for each one that we did not."""
    return bool(settings().secret_key) and hmac.compare_digest(
        mac(payment_id).encode(), said.encode()
    )


def of_payment(payment_id: int) -> str | None:
    """Where the payer is sent; None where nobody outside reaches us."""
    base = settings().public_url
    return base and f"{base.rstrip('/')}/v1/pay/{payment_id}/{mac(payment_id)}"


def of_return(payment_id: int) -> str | None:
    """Where the provider's page leads back to; None as above."""
    link = of_payment(payment_id)
    return link and f"{link}/return"
