"""Dinars as the Iraqi providers write them: whole ones, though ISO 4217 gives them three
decimals."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import Any

from payment_service.domain import money
from payment_service.providers.contract import NotSent

CURRENCY = "IQD"
STEP = 1000
"""Minor units of a whole one."""
STEPS = MappingProxyType({CURRENCY: STEP})


def whole(amount: int) -> int:
    """Minor units as whole dinars. Raises NotSent for a part of one: less would be asked for."""
    dinars, rest = divmod(amount, STEP)
    if rest:
        raise NotSent("a part of a dinar can't be asked for", counts=False)
    return dinars


def minor(value: Any) -> int:
    """An amount as a provider answers it, a number or a text, in minor units. Raises ValueError."""
    text = str(value) if isinstance(value, int | Decimal | str) else ""
    return money.parse_amount(text, CURRENCY)
