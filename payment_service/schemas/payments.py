"""Payments on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from marshmallow import fields, validate

from payment_service.domain import commands
from payment_service.domain.vocabulary import (
    STATUS_ALIASES,
    Method,
    PaymentStatus,
    TransactionStatus,
    TransactionType,
)
from payment_service.schemas import examples, queries
from payment_service.schemas import fields as own
from payment_service.schemas.commands import (
    AmountInBody,
    CommandInBody,
    HowInBody,
    KeyInBody,
    MethodField,
)
from payment_service.schemas.lists import BESIDE_ROWS, ListQuery, PageSchema
from payment_service.schemas.payers import PayerInBody


class CreatePaymentSchema(AmountInBody, HowInBody):
    """What a payment is made of."""

    makes = commands.Create

    trip_id = own.Id()
    order_id = own.Id()
    rider_id = own.Id()
    driver_id = own.Id()
    user_id = own.Id()
    currency = own.Currency()
    reference = own.PlainText(longest=100, shortest=1)
    description = own.PlainText(longest=500)
    metadata = own.Metadata()


class ChargePaymentSchema(PayerInBody, CreatePaymentSchema):
    makes = commands.Charge

    capture = own.Flag()


class ChargePendingPaymentSchema(PayerInBody, HowInBody):
    """How a payment that exists is to be charged."""

    makes = commands.ChargePending
    body_optional = True

    capture = own.Flag()


class CapturePaymentSchema(AmountInBody):
    """An amount, or all that is held."""

    makes = commands.Capture
    body_optional = True


class CancelPaymentSchema(KeyInBody):
    """Why, if anybody wants to know."""

    makes = commands.Cancel
    body_optional = True

    reason = own.PlainText(longest=500)


class SetPaymentStatusSchema(CommandInBody):
    makes = commands.SetStatus

    status = own.Word(PaymentStatus, STATUS_ALIASES, required=True)
    reason = own.PlainText(longest=500)

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        return sent | {"status": PaymentStatus(sent["status"])}


class PaymentQuery(ListQuery):
    """Filters of the list."""

    trip_id = queries.QueryId()
    order_id = queries.QueryId()
    rider_id = queries.QueryId()
    driver_id = queries.QueryId()
    user_id = queries.QueryId()
    status = own.Word(PaymentStatus, STATUS_ALIASES)
    method = MethodField()
    provider = own.PlainText(longest=50, shortest=1, searched=False)
    reference = own.PlainText(longest=100, shortest=1, searched=False)
    created_from = queries.QueryTime()
    created_to = queries.QueryTime()


class TransactionSchema(own.AnswerSchema):
    """One request to a provider."""

    transaction_log_id = fields.Integer(attribute="transaction_id")
    transaction_type = own.WordOut(TransactionType, attribute="type")
    amount = own.Amount()
    status = own.WordOut(TransactionStatus)
    description = fields.String(allow_none=True)
    reference = fields.String()
    provider = fields.String()
    failure_code = fields.String(allow_none=True)
    created_at = own.UTCTime()


class PaymentSchema(own.AnswerSchema):
    """A payment, without its transactions."""

    example = examples.PAYMENT
    sometimes = frozenset({"next_action", "expires_at", "amount_disputed", "amount_charged_back"})

    payment_id = fields.Integer()
    trip_id = fields.Integer(allow_none=True)
    order_id = fields.Integer(allow_none=True)
    rider_id = fields.Integer(allow_none=True)
    driver_id = fields.Integer(allow_none=True)
    user_id = fields.Integer(allow_none=True)
    amount = own.Amount()
    currency = fields.String()
    amount_captured = own.Amount(attribute="captured")
    amount_refunded = own.Amount(attribute="refunded")
    amount_disputed = own.Amount(
        attribute="disputed",
        allow_none=True,
        metadata={"description": "What banks took back while payers contest it"},
    )
    amount_charged_back = own.Amount(
        attribute="charged_back",
        allow_none=True,
        metadata={"description": "What was lost by disputes"},
    )
    method = own.WordOut(Method)
    provider = fields.String(allow_none=True)
    status = own.WordOut(PaymentStatus)
    reference = fields.String()
    caller_reference = fields.String(allow_none=True)
    purpose = fields.String()
    transaction_id = fields.String(
        attribute="provider_reference",
        allow_none=True,
        metadata={"description": "The provider's reference"},
    )
    authorization_code = fields.String(allow_none=True)
    failure_code = fields.String(allow_none=True)
    failure_message = fields.String(allow_none=True)
    next_action = fields.Dict(
        allow_none=True,
        metadata={
            "description": "What the payer must do. `type`: redirect (send the payer to `url`), app"
            " (have `url` opened, or `qr` read, by the payer's app) or sdk (`client_secret` and"
            " `publishable_key` are for the provider's SDK); until `expires_at`. Answers of charges"
            " and getPayment tell all of it, others `type` and `expires_at`"
        },
    )
    description = fields.String(allow_none=True)
    metadata = fields.Dict(keys=fields.String(), values=fields.String())
    created_at = own.UTCTime()
    updated_at = own.UTCTime()
    completed_at = own.UTCTime(allow_none=True)
    captured_at = own.UTCTime(allow_none=True)
    expires_at = own.UTCTime(allow_none=True)


class PaymentDetailSchema(PaymentSchema):
    """A payment with its transactions; a charge's answer also has message and timestamp."""

    example = examples.PAYMENT_DETAIL
    sometimes = PaymentSchema.sometimes | {"message", "timestamp"}

    transactions = fields.List(fields.Nested(TransactionSchema))
    message = fields.String()
    timestamp = own.UTCTime()


class PaymentListSchema(PageSchema):
    """A page of payments, newest first."""

    example: ClassVar[own.Wire] = {"payments": [examples.PAYMENT], **examples.PAGE}

    payments = fields.List(fields.Nested(PaymentSchema))

    class Meta:
        fields = ("payments", *BESIDE_ROWS)


class TimelineEntrySchema(own.AnswerSchema):
    """One entry of a payment's time line."""

    at = own.UTCTime()
    kind = fields.String(
        validate=validate.OneOf(
            ["event", "transaction", "lookup", "delivery", "webhook", "operator"]
        )
    )
    what = fields.String()
    actor = fields.String(allow_none=True)
    reason = fields.String(allow_none=True)
    details = fields.Dict()


class NextStepSchema(own.AnswerSchema):
    """What will happen by itself, and when."""

    what = fields.String()
    at = own.UTCTime()


class TimelineSchema(own.AnswerSchema):
    """What happened to a payment, oldest first."""

    example = examples.TIMELINE

    payment_id = fields.Integer()
    events = fields.List(fields.Nested(TimelineEntrySchema))
    count = fields.Integer()
    next = fields.Nested(NextStepSchema, allow_none=True)


DETAIL = PaymentDetailSchema()


def detail_body(
    payment: Mapping[str, Any], transactions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A payment row with its transactions as the wire shows it."""
    body: dict[str, Any] = DETAIL.dump({**payment, "transactions": transactions})
    return body
