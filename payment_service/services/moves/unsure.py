"""What a provider says of a request while it is not sure of the outcome itself: kept as soon as it
is said, so that the next look-up can go by the provider's id, and told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from payment_service.domain import money
from payment_service.domain.callers import Caller
from payment_service.domain.vocabulary import ASKS, TransactionStatus
from payment_service.extensions import db
from payment_service.providers.contract import Result
from payment_service.services.moves import pages, rows, transitions
from payment_service.services.moves.pages import Page
from payment_service.services.moves.rows import (
    PaymentChanges,
    PaymentRow,
    RefundRow,
    TransactionRow,
)
from payment_service.services.moves.transitions import OPEN, Change, News


def keep(*, payment_id: int, number: int, result: Result, caller: Caller) -> None:
    """Writes down what is new in an answer to the payment's request `number` that decides
    nothing."""
    with db.engine.begin() as connection:
        keep_locked(connection, payment_id=payment_id, number=number, result=result, caller=caller)


def keep_locked(
    connection: Connection, *, payment_id: int, number: int, result: Result, caller: Caller
) -> bool:
    """As `keep`, in the connection's transaction, which must end soon: it locks the payment. False
    if nothing of it was new."""
    payment, _, transaction, refund = rows.lock_request(connection, payment_id, number)
    change = plan(
        payment=payment,
        transaction=transaction,
        refund=refund,
        result=result,
        page=pages.page_of(payment, connection) if result.next_action else None,
        caller=caller,
        moment=datetime.now(UTC),
    )
    if change is None:
        return False
    transitions.apply(connection, change)
    return True


def plan(
    *,
    payment: PaymentRow,
    transaction: TransactionRow,
    refund: RefundRow | None,
    result: Result,
    page: Page | None,
    caller: Caller,
    moment: datetime,
) -> Change | None:
    """The id, the fee, what the payer may do and a no after which it may go on, where they were not
    known yet; None if all were, or if the request has succeeded by now. No status moves.

    `refund` is the row that a request of type REFUND is about, `page` what the provider had given
    for the payer before.
    """
    if transaction["status"] == TransactionStatus.SUCCESS:
        return None
    known: TransactionRow = {**transaction}
    noted: dict[str, object] = {}
    if result.provider_reference not in (None, transaction["provider_reference"]):
        known["provider_reference"] = result.provider_reference
        noted["provider_reference"] = result.provider_reference
    if result.fee is not None and result.fee != transaction["fee"]:
        known["fee"] = result.fee
        noted["fee"] = money.format_amount(result.fee, payment["currency"])
    changes = _shown(payment, transaction, result, page)
    if result.still_open and transaction["status"] == TransactionStatus.REQUIRES_ACTION:
        code = result.failure_code or "provider_declined"
        if code != transaction["failure_code"]:
            known["failure_code"], known["failure_message"] = code, result.failure_message
            noted["declined"] = code
            # The wait is over, but only a void makes sure that the payer does not go on trying.
            changes["expires_at"] = moment
    if "next_action" in changes:
        noted["next_action"] = True  # an event is for ever, and no place for a payer's secret
    if not noted and not changes:
        return None
    if refund is not None:
        refund = {**refund, "provider_reference": known["provider_reference"]}
    change = transitions.plan(
        payment=payment,
        transaction=known,
        refund=refund,
        moment=moment,
        news=[News("payment.noted", caller, result.outcome.lower(), {"noted": noted})],
        changes=changes,
    )
    return replace(change, page=result.next_action if "next_action" in changes else None)


def _shown(
    payment: PaymentRow, transaction: TransactionRow, result: Result, page: Page | None
) -> PaymentChanges:
    """What of it the payment shows, while it is this request that it waits for."""
    changes: PaymentChanges = {}
    if transaction["type"] not in ASKS or transaction["status"] not in OPEN:
        return changes
    if result.provider_reference not in (None, payment["provider_reference"]):
        changes["provider_reference"] = result.provider_reference
    if result.next_action not in (None, page):
        changes["next_action"] = pages.public_part(result.next_action)
    return changes
