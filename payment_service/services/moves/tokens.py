"""A provider's token of a way to pay, as a payment keeps it: encrypted, and opened only where a
charge begins, or where audit holds it against what events say.

Payments of before it was encrypted have it in `payments.payment_token` as it was sent, until
`flask keys rotate` has come by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import structlog

from payment_service.domain.errors import InvalidRequest
from payment_service.models import Payment
from payment_service.models.columns import Encrypted, Sealed, Secret, keyring
from payment_service.models.keyring import NoKey, NotGenuine

log = structlog.get_logger(__name__)

_KIND = cast(Encrypted, Payment.__table__.c.token.type)


@dataclass(frozen=True)
class KeptToken:
    """What the row of the payment with this reference holds. Where something stands in
    `payment_token`, too, somebody wrote it behind the service's back, and neither is believed."""

    sealed: Sealed
    reference: str
    is_alone: bool = True

    def opened(self) -> str:
        """The token. Raises NoKey and NotGenuine."""
        if not self.is_alone:
            raise NotGenuine(f"payment {self.reference} has two tokens")
        return self.sealed.opened(self.reference)


Token = str | KeptToken | None
"""As it was sent, as it is kept, or none."""


def expect_keepable(token: str | None) -> None:
    """Raises InvalidRequest where a token can't be kept."""
    if token is not None and keyring().newest is None:
        raise InvalidRequest.field(
            "payment_token", "can't be kept here: ENCRYPTION_KEYS is not set"
        )


def secret(token: str, reference: str) -> Secret:
    """For `payments.token` of the payment with that reference."""
    return Secret(reference, token)


def sealed(token: Token, reference: str) -> bytes | None:
    """The same for a statement that SQLAlchemy does not write. Raises NoKey."""
    return _KIND.seal(secret(opened(token), reference)) if token is not None else None


def opened(token: str | KeptToken) -> str:
    """The token as it was sent. Raises NoKey and NotGenuine."""
    return token.opened() if isinstance(token, KeptToken) else token


def to_charge_with(token: Token) -> str | None:
    """The token of a payment whose charge begins. Raises InvalidRequest for one that no key opens:
    without it the provider would be asked for another way to pay."""
    try:
        return None if token is None else opened(token)
    except (NoKey, NotGenuine):
        log.exception("token_unreadable", reference=getattr(token, "reference", None))
        raise InvalidRequest.field(
            "payment_token", "what is kept of it can't be read; send it anew"
        ) from None


def readable(token: Token) -> str | None:
    """The token, or None where no key of this process opens it: nothing else of the payment is
    stopped by that, and what can't be read is told to nobody."""
    try:
        return None if token is None else opened(token)
    except (NoKey, NotGenuine):
        return None


def of_charge(token: Token) -> str | None:
    """The token of a charge that begins in this process; None where one is looked up, which needs
    none."""
    return token if isinstance(token, str) else None
