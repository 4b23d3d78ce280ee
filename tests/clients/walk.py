"""What a caller writes with the generated Python client: a charge, its replay, a refund, the
receipt, and a refusal. mypy checks it, and it runs against a service: walk.py BASE_URL.
"""

from __future__ import annotations

import sys
import time
from decimal import Decimal

import httpx
from payments_client import AuthenticatedClient
from payments_client.api.payments import charge_payment, get_payment, list_payments
from payments_client.api.receipts import get_receipt
from payments_client.api.refunds import refund_payment
from payments_client.models import (
    ChargePayment,
    Currency,
    MethodInput,
    PaymentDetail,
    PaymentList,
    PaymentStatus,
    Problem,
    Receipt,
    RefundOutcome,
    RefundPayment,
    RefundStatus,
)


def walk(client: AuthenticatedClient, order: int) -> str:
    """Charges the order 12.50, gives 2.50 back, and returns the receipt's id."""
    body = ChargePayment(
        order_id=order, amount="12.50", currency=Currency.INR, method=MethodInput.CARD
    )
    key = f"client-{order}"
    charged = charge_payment.sync_detailed(client=client, body=body, idempotency_key=key)
    payment = charged.parsed
    assert isinstance(payment, PaymentDetail), charged
    assert charged.status_code == 201
    assert payment.status is PaymentStatus.SUCCESS
    assert payment.transactions[0].amount == payment.amount_captured == "12.50"

    again = charge_payment.sync_detailed(client=client, body=body, idempotency_key=key)
    assert again.content == charged.content
    assert again.headers["Idempotent-Replayed"] == "true"

    refused = charge_payment.sync(client=client, body=body, idempotency_key=f"{key}-other")
    assert isinstance(refused, Problem), refused
    assert refused.code == "payment_exists"
    assert refused.payment_id == payment.payment_id

    refund = refund_payment.sync(
        payment.payment_id,
        client=client,
        body=RefundPayment(amount="2.50", reason="walk"),
        idempotency_key=f"{key}-refund",
    )
    assert isinstance(refund, RefundOutcome), refund
    assert refund.refund_status is RefundStatus.SUCCESS
    assert refund.status is PaymentStatus.PARTIALLY_REFUNDED

    listed = list_payments.sync(client=client, order_id=order)
    assert isinstance(listed, PaymentList), listed
    assert [one.payment_id for one in listed.payments] == [payment.payment_id]
    found = get_payment.sync(payment.payment_id, client=client)
    assert isinstance(found, PaymentDetail), found
    assert found.amount_refunded == "2.50"

    receipt = get_receipt.sync(payment.payment_id, client=client)
    assert isinstance(receipt, Receipt), receipt
    assert Decimal(receipt.net_amount) == Decimal("10.00")
    assert [line.refund_id for line in receipt.lines if line.refund_id] == [refund.refund_id]
    return receipt.receipt_id


if __name__ == "__main__":
    # The service runs with AUTH_MODE=off, and looks at no token.
    client = AuthenticatedClient(base_url=sys.argv[1], token="none", timeout=httpx.Timeout(120.0))
    print(walk(client, order=time.time_ns() // 1000))
