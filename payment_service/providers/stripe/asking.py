"""What Stripe is asked for with."""

from __future__ import annotations

from typing import Any

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import NotSent, Operation

EXPAND = ("latest_charge.balance_transaction",)
"""Where an intent's fee stands."""


def intent_for(operation: Operation) -> dict[str, Any]:
    """What a charge, or a hold, is asked for with. A payer who is a customer has agreed to be
    charged without being there, unless it is; with no token, the payer's app brings the card."""
    customer = operation.payer.customer if operation.payer else None
    charge = operation.type is TransactionType.CHARGE
    asked: dict[str, Any] = {
        "amount": operation.amount,
        "currency": operation.currency.lower(),
        # Said in each request, because the API's own default books the fee later.
        "capture_method": "automatic" if charge else "manual",
        "payment_method_types": ["card"],
        "metadata": {"reference": operation.reference},
        "description": operation.description,
        "customer": customer,
    }
    if operation.payment_token is not None:
        alone = customer and not operation.payer_is_there
        there = {"off_session": True} if alone else {"return_url": operation.return_url}
        asked |= {"confirm": True, "payment_method": operation.payment_token, **there}
    return {name: value for name, value in asked.items() if value is not None}


def intent_id(operation: Operation) -> str:
    """The intent that a capture, void or refund is about. Raises NotSent if nobody named it."""
    if operation.provider_reference is None:
        raise NotSent("the id of its charge is not known", counts=False)
    return operation.provider_reference
