"""Payments over REST."""

from __future__ import annotations

from typing import Any

from flask import Response

from payment_service.api.auth import caller
from payment_service.api.blueprints import Blueprint
from payment_service.api.idempotent import optional_key, required_key, respond
from payment_service.schemas import payments as schemas
from payment_service.services import (
    charges,
    holds,
    listings,
    payments,
    settling,
    takeover,
    timeline,
)

blueprint = Blueprint("payments", __name__, description="Charge, watch and steer payments")

ID = "<id:payment_id>"
Body = dict[str, Any]

# What the documentation page offers to send. The trip is in the demo data.
CHARGE = {"trip_id": 32, "method": "CARD"}
PAYMENT = {"order_id": 7001, "amount": "104.86", "currency": "INR", "method": "CARD"}
REASON = {"reason": "Ordered twice"}


@blueprint.post("/payments/charge")
@blueprint.arguments(schemas.ChargeSchema, example=CHARGE)
@blueprint.answers(201, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(409)
def charge(body: Body) -> Response:
    """Charge a finished trip or an order"""
    return respond(charges.charge(command=body, key=required_key(), caller=caller()))


@blueprint.post("/payments")
@blueprint.arguments(schemas.CreateSchema, example=PAYMENT)
@blueprint.answers(201, schemas.PaymentDetailSchema)
@blueprint.keyed
@blueprint.refuses(409)
def create(body: Body) -> Response:
    """Create a PENDING payment"""
    return respond(payments.create(command=body, key=optional_key(), caller=caller()))


@blueprint.post(f"/payments/{ID}/charge")
@blueprint.arguments(schemas.ChargePendingSchema, required=False, example={"method": "CARD"})
@blueprint.answers(201, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def charge_pending(body: Body, payment_id: int) -> Response:
    """Charge a PENDING payment"""
    return respond(
        takeover.charge_pending(
            payment_id=payment_id, command=body, key=required_key(), caller=caller()
        )
    )


@blueprint.post(f"/payments/{ID}/capture")
@blueprint.arguments(schemas.CaptureSchema, required=False, example={"amount": "60.00"})
@blueprint.answers(200, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def capture(body: Body, payment_id: int) -> Response:
    """Take held funds, all or a part"""
    return respond(
        holds.capture(payment_id=payment_id, command=body, key=required_key(), caller=caller())
    )


@blueprint.post(f"/payments/{ID}/cancel")
@blueprint.arguments(schemas.CancelSchema, required=False, example=REASON)
@blueprint.answers(200, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def cancel(body: Body, payment_id: int) -> Response:
    """Cancel a PENDING payment or release a hold"""
    return respond(
        payments.cancel(
            payment_id=payment_id, key=optional_key(), caller=caller(), reason=body.get("reason")
        )
    )


@blueprint.delete(f"/payments/{ID}")
@blueprint.answers(200, schemas.PaymentDetailSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(400, 404, 409)
def delete(payment_id: int) -> Response:
    """The same as cancel, without a body"""
    return respond(payments.cancel(payment_id=payment_id, key=optional_key(), caller=caller()))


@blueprint.patch(f"/payments/{ID}/status")
@blueprint.arguments(schemas.StatusSchema, example={"status": "CANCELLED", **REASON})
@blueprint.answers(200, schemas.PaymentDetailSchema)
@blueprint.refuses(404, 409)
def set_status(body: Body, payment_id: int) -> Response:
    """Settle a PENDING payment by hand"""
    return respond(
        settling.set_status(
            payment_id=payment_id,
            status=body["status"],
            reason=body.get("reason"),
            caller=caller(),
        )
    )


@blueprint.get("/payments")
@blueprint.arguments(schemas.PaymentQuery, location="query")
@blueprint.response(200, schemas.PaymentListSchema)
def list_payments(query: Body) -> Body:
    """List payments, newest first"""
    return listings.list_payments(**query)


@blueprint.get(f"/payments/{ID}")
@blueprint.response(200, schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get(payment_id: int) -> Body:
    """One payment"""
    return listings.get_payment(payment_id=payment_id)


@blueprint.get("/payments/trip/<id:trip_id>")
@blueprint.response(200, schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get_of_trip(trip_id: int) -> Body:
    """The payment of a trip: the live one, else the newest"""
    return listings.get_of(column="trip_id", value=trip_id)


@blueprint.get("/payments/order/<id:order_id>")
@blueprint.response(200, schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get_of_order(order_id: int) -> Body:
    """The payment of an order: the live one, else the newest"""
    return listings.get_of(column="order_id", value=order_id)


@blueprint.get("/payments/transaction/<transaction_id>")
@blueprint.response(200, schemas.PaymentDetailSchema)
@blueprint.refuses(404)
def get_by_transaction(transaction_id: str) -> Body:
    """The payment that the provider knows under this reference"""
    return listings.get_by_transaction(provider_reference=transaction_id)


@blueprint.get(f"/payments/{ID}/events")
@blueprint.response(200, schemas.TimelineSchema)
@blueprint.refuses(404)
def get_events(payment_id: int) -> Body:
    """What happened to a payment, oldest first, and what will happen next"""
    return timeline.tell(payment_id=payment_id)
