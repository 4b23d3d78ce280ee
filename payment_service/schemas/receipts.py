"""The receipt on the wire, and which form of it is wanted."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from payment_service.domain.receipts import LineKey
from payment_service.domain.vocabulary import Method, PaymentStatus
from payment_service.schemas import examples
from payment_service.schemas import fields as own

FORMS = {
    "json": "application/json",
    "html": "text/html",
    "pdf": "application/pdf",
}


class ReceiptQuery(Schema):
    format = fields.String(validate=validate.OneOf(list(FORMS)))


class ReceiptFareSchema(own.AnswerSchema):
    """The trip's fare as it was charged: its parts as far as they are known."""

    sometimes = frozenset({"distance_km", "base_fare", "rate_per_km", "surge_multiplier"})

    distance_km = fields.String()
    base_fare = fields.String()
    rate_per_km = fields.String()
    surge_multiplier = fields.String()
    total_fare = own.Amount()


class ReceiptLineSchema(own.AnswerSchema):
    """A line of the receipt; one without an amount only informs. A refund's amount is negative."""

    line = own.WordOut(LineKey)
    figure = fields.String(allow_none=True)
    amount = fields.String(allow_none=True)
    refund_id = fields.Integer(allow_none=True)


class ReceiptRefundSchema(own.AnswerSchema):
    refund_id = fields.Integer(allow_none=True)
    amount = own.Amount()
    reason = fields.String(allow_none=True)
    refunded_at = own.UTCTime(allow_none=True)
    returned_at = own.UTCTime(allow_none=True)


class ReceiptSchema(own.AnswerSchema):
    """What the payer gets. Documents what domain/receipts writes."""

    example = examples.RECEIPT

    receipt_id = fields.String()
    payment_id = fields.Integer()
    reference = fields.String()
    caller_reference = fields.String(allow_none=True)
    trip_id = fields.Integer(allow_none=True)
    order_id = fields.Integer(allow_none=True)
    rider_id = fields.Integer(allow_none=True)
    driver_id = fields.Integer(allow_none=True)
    user_id = fields.Integer(allow_none=True)
    method = own.WordOut(Method)
    provider = fields.String(allow_none=True)
    status = own.WordOut(PaymentStatus)
    currency = fields.String()
    amount = own.Amount()
    amount_paid = own.Amount()
    amount_refunded = own.Amount()
    net_amount = own.Amount()
    description = fields.String(allow_none=True)
    pickup_zone = fields.String(allow_none=True)
    drop_zone = fields.String(allow_none=True)
    fare = fields.Nested(ReceiptFareSchema, allow_none=True)
    lines = fields.List(fields.Nested(ReceiptLineSchema))
    refunds = fields.List(fields.Nested(ReceiptRefundSchema))
    created_at = own.UTCTime()
    paid_at = own.UTCTime()
