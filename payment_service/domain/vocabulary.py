"""The closed lists of words: statuses, methods, transaction types, purposes, actors,
what becomes of webhooks."""

from __future__ import annotations

from enum import StrEnum


class PaymentStatus(StrEnum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    AUTHORIZED = "AUTHORIZED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"


DEAD = frozenset({PaymentStatus.FAILED, PaymentStatus.CANCELLED, PaymentStatus.EXPIRED})
"""Statuses that free the trip for another payment; all others are live."""

UNDECIDED = frozenset(
    {PaymentStatus.PENDING, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION}
)
"""Statuses in which nothing was paid yet, and the payer may still be asked for."""

CAPTURED = (PaymentStatus.SUCCESS, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED)
"""Statuses of which funds were captured."""

PAID = (PaymentStatus.SUCCESS, PaymentStatus.PARTIALLY_REFUNDED)
"""Those of them of which some has not gone back."""


class TransactionType(StrEnum):
    AUTHORIZATION = "AUTHORIZATION"
    CHARGE = "CHARGE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"


ASKS = (TransactionType.CHARGE, TransactionType.AUTHORIZATION)
"""Those by which a payer is asked for money; each of the others is about one of these."""


class TransactionStatus(StrEnum):
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class SetupStatus(StrEnum):
    """Of the saving of a method: the payer may still bring one, has, or can't any more."""

    OPEN = "OPEN"
    DONE = "DONE"
    OVER = "OVER"


class MethodStatus(StrEnum):
    """Of a saved method. EXPIRED is its card, which may be renewed; DETACHED is for good."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    DETACHED = "DETACHED"


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class Method(StrEnum):
    CARD = "CARD"
    WALLET = "WALLET"
    UPI = "UPI"
    CASH = "CASH"
    NET_BANKING = "NET_BANKING"
    SWISH = "SWISH"


METHOD_ALIASES = {"CREDIT_CARD": "CARD", "DEBIT_CARD": "CARD", "COD": "CASH"}
STATUS_ALIASES = {"COMPLETED": "SUCCESS", "SUCCEEDED": "SUCCESS"}


class Purpose(StrEnum):
    FARE = "FARE"
    TIP = "TIP"
    CANCELLATION_FEE = "CANCELLATION_FEE"
    ARREARS = "ARREARS"


class Found(StrEnum):
    """What a look-up found."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    EXPIRED = "EXPIRED"
    NOT_FOUND = "NOT_FOUND"
    """The provider has not seen the request."""
    UNKNOWN = "UNKNOWN"
    """No certain answer came."""


class Actor(StrEnum):
    """Who made a status move."""

    CALLER = "caller"
    OPERATOR = "operator"
    WORKER = "worker"
    PROVIDER = "provider"


class WebhookStatus(StrEnum):
    """What became of something that a provider said unasked."""

    RECEIVED = "RECEIVED"
    """Kept, and not looked at yet."""
    APPLIED = "APPLIED"
    """It moved the request that it is about, or made us look it up."""
    NO_NEWS = "NO_NEWS"
    """It said what was known, or what is weaker than what was known."""
    ORPHANED = "ORPHANED"
    """We have no such request; it is looked for again for a while."""
    MISMATCH = "MISMATCH"
    """It names our request and does not fit it. Nothing moved; the request is looked up."""
    IGNORED = "IGNORED"
    """Of a type that we do nothing with."""
    FAILED = "FAILED"
    """Something went wrong here; it is tried again, or parked."""


class Trust(StrEnum):
    """How far a webhook can be believed."""

    SIGNED = "SIGNED"
    """The provider surely said it."""

    UNSIGNED = "UNSIGNED"
    """Anybody could have said it: it makes us look, and decides nothing."""
