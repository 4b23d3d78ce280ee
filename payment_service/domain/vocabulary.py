"""The closed lists of words: statuses, methods, transaction types, purposes, actors."""

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

CAPTURED = (PaymentStatus.SUCCESS, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED)
"""Statuses of which funds were captured."""


class TransactionType(StrEnum):
    AUTHORIZATION = "AUTHORIZATION"
    CHARGE = "CHARGE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"


class TransactionStatus(StrEnum):
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


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


class Actor(StrEnum):
    """Who made a status move."""

    CALLER = "caller"
    OPERATOR = "operator"
    WORKER = "worker"
    PROVIDER = "provider"
