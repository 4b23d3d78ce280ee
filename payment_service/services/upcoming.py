"""Rows as domain/coming reads them, with what only the registry of providers knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from payment_service.domain.coming import Asked, Standing
from payment_service.domain.vocabulary import TransactionType
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PAYMENT, TRANSACTION

STANDING = [
    PAYMENT.c[name]
    for name in ("method", *(field.name for field in fields(Standing)))
    if name in PAYMENT.c
]
"""The columns of payments that `standing_of` needs."""

ASKED = [TRANSACTION.c[field.name] for field in fields(Asked) if field.name in TRANSACTION.c]
"""Those of transactions that `asked_of` needs."""


def standing_of(payment: Mapping[str, Any]) -> Standing:
    """How the payment of that row stands."""
    return Standing.of(payment, cash=bool(providers().charged_by_hand(payment["method"])))


def asked_of(transactions: Iterable[Mapping[str, Any]]) -> list[Asked]:
    """The requests of these rows, in their order."""
    return [_asked(row) for row in transactions]


def _asked(row: Mapping[str, Any]) -> Asked:
    provider = providers().find(row["provider"])
    if provider is None:
        return Asked.of(row, off=True)
    return Asked.of(
        row,
        by_hand=TransactionType(row["type"]) in provider.by_hand,
        ends_by_itself=provider.waits_are_over_by_themselves(),
    )
