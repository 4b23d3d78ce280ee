"""Refunds on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import fields

from payment_service.domain import commands
from payment_service.domain.vocabulary import STATUS_ALIASES, PaymentStatus, RefundStatus
from payment_service.schemas import examples, queries
from payment_service.schemas import fields as own
from payment_service.schemas.commands import AmountInBody, CommandInBody
from payment_service.schemas.lists import BESIDE_ROWS, ListQuery, PageSchema


class RefundPaymentSchema(AmountInBody):
    """An amount, or all that is left."""

    makes: ClassVar[type[commands.RefundPayment]] = commands.RefundPayment
    body_optional = True

    reason = own.PlainText(longest=500)


class CreateRefundSchema(RefundPaymentSchema):
    """A refund of the payment that is named."""

    makes = commands.RefundNamedPayment
    body_optional = False

    payment_id = own.Id(required=True)


class SetRefundStatusSchema(CommandInBody):
    makes = commands.SetRefundStatus

    status = own.Word([RefundStatus.SUCCESS, RefundStatus.FAILED], STATUS_ALIASES, required=True)
    reason = own.PlainText(longest=500)

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        return sent | {"status": RefundStatus(sent["status"])}


class RefundQuery(ListQuery):
    """Filters of the list."""

    payment_id = queries.QueryId()
    status = own.Word(RefundStatus, STATUS_ALIASES)


class RefundSchema(own.AnswerSchema):
    """A refund as a resource."""

    example = examples.REFUND

    refund_id = fields.Integer()
    payment_id = fields.Integer()
    amount = own.Amount()
    currency = fields.String()
    status = own.WordOut(RefundStatus)
    reason = fields.String(allow_none=True)
    transaction_id = fields.String(attribute="provider_reference", allow_none=True)
    failure_code = fields.String(allow_none=True)
    failure_message = fields.String(allow_none=True)
    created_at = own.UTCTime()
    updated_at = own.UTCTime()
    completed_at = own.UTCTime(allow_none=True)


class RefundOutcomeSchema(own.AnswerSchema):
    """What a refund did to its payment."""

    example = examples.REFUND_OUTCOME

    payment_id = fields.Integer()
    refund_id = fields.Integer()
    refund_amount = own.Amount()
    currency = fields.String()
    status = own.WordOut(PaymentStatus)
    refund_status = own.WordOut(RefundStatus)
    failure_code = fields.String(allow_none=True)
    failure_message = fields.String(allow_none=True)
    timestamp = own.UTCTime()


class RefundListSchema(PageSchema):
    """A page of refunds, newest first."""

    example: ClassVar[own.Wire] = {"refunds": [examples.REFUND], **examples.PAGE}

    refunds = fields.List(fields.Nested(RefundSchema))

    class Meta:
        fields = ("refunds", *BESIDE_ROWS)


REFUND = RefundSchema()


def refund_body(refund: Mapping[str, Any]) -> dict[str, Any]:
    """A refund row as the wire shows it."""
    body: dict[str, Any] = REFUND.dump(refund)
    return body
