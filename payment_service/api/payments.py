"""Payments over REST."""

from __future__ import annotations

from typing import Any

from flask import Response

from payment_service import replica
from payment_service.api import openapi, reads
from payment_service.api.auth import caller, rider
from payment_service.api.blueprints import Blueprint
from payment_service.api.idempotent import optional_key, required_key, respond
from payment_service.domain import commands
from payment_service.schemas import payments as schemas
from payment_service.services import (
    charges,
    holds,
    listings,
    payments,
    reading,
    settling,
    takeover,
    timeline,
)

blueprint = Blueprint("payments", __name__, description="Charge, watch and steer payments")

PAGE, TIMELINE = schemas.PaymentListSchema(), schemas.TimelineSchema()

ID = "<id:payment_id>"
Body = dict[str, Any]

# What the documentation page offers to send. The trip is in the demo data.
CHARGE = {"trip_id": 32, "method": "CARD"}
PAYMENT = {"order_id": 7001, "amount": "104.86", "currency": "INR", "method": "CARD"}
REASON = {"reason": "Ordered twice"}


@blueprint.post("/payments/charge", operation="chargePayment")
@blueprint.arguments(schemas.ChargePaymentSchema, example=CHARGE)
@blueprint.answers(201, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(409)
def charge(command: commands.Charge) -> Response:
    """Charge a finished trip or an order

    Names a trip_id or an order_id. A trip costs what the trip service says; an order needs an
    amount. 201: the money was taken (or is held, with capture false). 202: not decided yet, or the
    payer must act (`next_action`); ask again with the same key, or read the payment. 402: declined;
    the next try needs a new key.
    """
    return respond(charges.charge(command=command, key=required_key(), caller=caller()))


@blueprint.post("/payments", operation="createPayment")
@blueprint.arguments(schemas.CreatePaymentSchema, example=PAYMENT)
@blueprint.answers(201, schemas.PaymentDetailSchema)
@blueprint.keyed
@blueprint.refuses(409)
def create(command: commands.Create) -> Response:
    """Create a PENDING payment

    No provider is asked. It is charged, settled by hand or cancelled later.
    """
    return respond(payments.create(command=command, key=optional_key(), caller=caller()))


@blueprint.post(f"/payments/{ID}/charge", operation="chargePendingPayment")
@blueprint.arguments(schemas.ChargePendingPaymentSchema, required=False, example={"method": "CARD"})
@blueprint.answers(201, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def charge_pending(command: commands.ChargePending, payment_id: int) -> Response:
    """Charge a PENDING payment

    Answers as chargePayment does.
    """
    return respond(
        takeover.charge_pending(
            payment_id=payment_id, command=command, key=required_key(), caller=caller()
        )
    )


@blueprint.post(f"/payments/{ID}/capture", operation="capturePayment")
@blueprint.arguments(schemas.CapturePaymentSchema, required=False, example={"amount": "60.00"})
@blueprint.answers(200, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def capture(command: commands.Capture, payment_id: int) -> Response:
    """Take held funds, all or a part

    Of an AUTHORIZED payment. What is not taken is released. 402: declined, and still held.
    """
    return respond(
        holds.capture(payment_id=payment_id, command=command, key=required_key(), caller=caller())
    )


@blueprint.post(f"/payments/{ID}/cancel", operation="cancelPayment")
@blueprint.arguments(schemas.CancelPaymentSchema, required=False, example=REASON)
@blueprint.answers(200, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def cancel(command: commands.Cancel, payment_id: int) -> Response:
    """Cancel a PENDING payment or release a hold

    202: the provider has not said yet that the hold is released. Cancelled already: 200. A hold is
    released under an idempotency key.
    """
    return respond(
        payments.cancel(payment_id=payment_id, command=command, key=optional_key(), caller=caller())
    )


@blueprint.delete(f"/payments/{ID}", operation="deletePayment")
@blueprint.answers(200, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(400, 404, 409)
def delete(payment_id: int) -> Response:
    """Cancel a payment, without a body

    The same as cancelPayment.
    """
    command = commands.Cancel()
    return respond(
        payments.cancel(payment_id=payment_id, command=command, key=optional_key(), caller=caller())
    )


@blueprint.patch(f"/payments/{ID}/status", operation="setPaymentStatus")
@blueprint.arguments(schemas.SetPaymentStatusSchema, example={"status": "CANCELLED", **REASON})
@blueprint.answers(200, schemas.PaymentDetailSchema)
@blueprint.refuses(404, 409)
def set_status(command: commands.SetStatus, payment_id: int) -> Response:
    """Settle a PENDING payment by hand

    SUCCESS or FAILED for cash, CANCELLED for any. All other moves are a provider's to make.
    """
    return respond(settling.set_status(payment_id=payment_id, command=command, caller=caller()))


@blueprint.get("/payments", operation="listPayments")
@blueprint.arguments(schemas.PaymentQuery, location="query")
@blueprint.response(200, schemas.PaymentListSchema, headers=openapi.AGED)
def list_payments(query: Body) -> Response:
    """List payments, newest first

    By limit and offset, by page and page_size, or by cursor, which costs the same on every page.
    The filters must all fit.
    """
    with replica.may_answer(query["filters"], beside=query["page"].beside):
        found = listings.list_payments(**query, rider=rider())
    return reads.written(PAGE.write(found))


@blueprint.get(f"/payments/{ID}", operation="getPayment")
@blueprint.tagged(schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get(payment_id: int) -> Response:
    """Read one payment

    With its transactions, which are the requests to providers about it.
    """
    seen = reading.get_payment(payment_id=payment_id, known=reads.known(), rider=rider())
    return reads.tell(seen, schemas.DETAIL.write)


@blueprint.get("/payments/trip/<id:trip_id>", operation="getTripPayment")
@blueprint.tagged(schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get_of_trip(trip_id: int) -> Response:
    """Read the payment of a trip

    The one for its fare: the live one, else the newest. A tip is another payment.
    """
    seen = reading.get_of(column="trip_id", value=trip_id, known=reads.known(), rider=rider())
    return reads.tell(seen, schemas.DETAIL.write)


@blueprint.get("/payments/order/<id:order_id>", operation="getOrderPayment")
@blueprint.tagged(schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get_of_order(order_id: int) -> Response:
    """Read the payment of an order

    The live one, else the newest.
    """
    seen = reading.get_of(column="order_id", value=order_id, known=reads.known(), rider=rider())
    return reads.tell(seen, schemas.DETAIL.write)


@blueprint.get("/payments/transaction/<transaction_id>", operation="getPaymentByTransaction")
@blueprint.tagged(schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get_by_transaction(transaction_id: str) -> Response:
    """Read a payment by the provider's reference

    The payment that the provider knows under it.
    """
    seen = reading.get_by_transaction(
        provider_reference=transaction_id, known=reads.known(), rider=rider()
    )
    return reads.tell(seen, schemas.DETAIL.write)


@blueprint.get(f"/payments/{ID}/events", operation="getPaymentEvents")
@blueprint.tagged(schemas.TimelineSchema)
@blueprint.refuses(404)
def get_events(payment_id: int) -> Response:
    """Read what happened to a payment

    Oldest first: events, transactions and what operators did; and what will happen next, and when,
    if something is due.
    """
    found = timeline.tell(payment_id=payment_id, rider=rider())
    return reads.tagged(reads.written(TIMELINE.write(found)))
