"""What is asked of a provider: the request's row, and the Operation made of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from flask import current_app

from payment_service.domain.callers import Caller
from payment_service.domain.payers import Said
from payment_service.domain.references import transaction_reference
from payment_service.domain.vocabulary import ASKS, TransactionStatus, TransactionType
from payment_service.providers.contract import Operation
from payment_service.providers.registry import Registry
from payment_service.services.moves import links, outcomes, paid_twice
from payment_service.services.moves.rows import PaymentRow, TransactionRow
from payment_service.services.moves.tokens import of_charge
from payment_service.telemetry import traces

ADOPTED = "provider"
"""The cause of a request that nobody here made: it was done at the provider's own page."""


def providers() -> Registry:
    """The running app's providers."""
    registry: Registry = current_app.extensions["providers"]
    return registry


def new_transaction(
    *,
    payment: PaymentRow,
    number: int,
    kind: TransactionType,
    amount: int,
    provider: str,
    caller: Caller,
    moment: datetime,
    cause: str | None = None,
) -> TransactionRow:
    """The row of a request that is about to be sent; `amount` in minor units.

    Due for a look-up once the request can no longer be on its way, should nobody finish it.
    """
    limits = providers().limits(provider)
    send_before = moment + timedelta(seconds=limits.send_window)
    return {
        "payment_id": payment["payment_id"],
        "number": number,
        "type": kind,
        "status": TransactionStatus.PROCESSING,
        "amount": amount,
        "amount_approved": None,
        "currency": payment["currency"],
        "provider": provider,
        "provider_account": None,
        "provider_reference": None,
        "reference": transaction_reference(payment["reference"], number),
        "fee": None,
        "failure_code": None,
        "failure_message": None,
        "description": payment["description"] if number == 1 else None,
        "cause": cause,
        "request_id": caller.request_id,
        "traceparent": traces.traceparent(),
        "created_at": moment,
        "occurred_at": None,
        "send_before": send_before,
        "due_at": send_before + timedelta(seconds=limits.timeout),
        "lookups": 0,
        "not_found_at": None,
        "leased_until": None,
    }


def next_number(earlier: Iterable[TransactionRow]) -> int:
    """That of the payment's next request: one that no reference has borne. There may be gaps, so
    it is not the count."""
    return max((row["number"] for row in earlier), default=0) + 1


def operation_of(
    payment: PaymentRow,
    transaction: TransactionRow,
    earlier: Iterable[TransactionRow] = (),
    said: Said | None = None,
) -> Operation:
    """What the provider is asked, or is asked about. `earlier` are the payment's other requests,
    among which a capture, void or refund finds the charge that it is about. `said` is what is known
    of the payer, whom a charge leads back to a page of ours."""
    earlier = list(earlier)
    charge = outcomes.charge_of(earlier) or _ended_before(transaction, earlier)
    about = paid_twice.given_back_by(transaction, earlier) or charge
    pays = transaction["type"] in ASKS
    payer = said.payer if said else None
    token = (payer and payer.method) or of_charge(payment["payment_token"])
    return Operation(
        type=TransactionType(transaction["type"]),
        reference=transaction["reference"],
        amount=transaction["amount"],
        currency=transaction["currency"],
        method=payment["method"],
        begun_at=transaction["created_at"],
        send_before=transaction["send_before"],
        known_as=transaction["provider_reference"],
        charge_reference=charge["reference"] if charge else None,
        provider_reference=about["provider_reference"] if about else None,
        charge_amount=about["amount"] if about else None,
        payer=payer,
        return_url=links.of_return(payment["payment_id"]) if pays else None,
        channel=said.channel if said else None,
        payer_is_there=said is not None and said.return_url is not None,
        payment_token=token if pays else None,
        description=payment["description"],
        is_adopted=transaction["cause"] == ADOPTED,
    )


def _ended_before(void: TransactionRow, earlier: Iterable[TransactionRow]) -> TransactionRow | None:
    """The charge whose wait a void was to end, where a look-up of the charge was quicker."""
    if void["type"] != TransactionType.VOID:
        return None
    asked = [row for row in earlier if row["type"] in ASKS and not paid_twice.is_beside(row)]
    return asked[-1] if asked else None


class NobodyHasIt(LookupError):
    """No provider has taken, or holds, money of the payment."""


def taken_by(payment: PaymentRow, transactions: Iterable[TransactionRow]) -> str:
    """The name of the provider that has, or holds, the payment's money. Raises NobodyHasIt."""
    charge = outcomes.charge_of(transactions)
    name = charge["provider"] if charge else payment["provider"]
    if name is None:
        raise NobodyHasIt(f"nobody has money of payment {payment['payment_id']}")
    return name
