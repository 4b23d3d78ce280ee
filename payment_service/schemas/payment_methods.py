"""Saved methods on the wire."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import fields

from payment_service.domain.payment_methods import AddMethod
from payment_service.domain.vocabulary import MethodStatus, PaymentStatus
from payment_service.schemas import examples
from payment_service.schemas import fields as own
from payment_service.schemas.commands import CommandInBody


class AddPaymentMethodSchema(CommandInBody):
    """Where a method is to be saved."""

    makes: ClassVar[type[Any]] = AddMethod
    body_optional = True

    provider = own.PlainText(longest=50, shortest=1, searched=False)
    return_url = own.PlainText(
        longest=2000,
        shortest=1,
        metadata={"description": "Where a payer is led from a provider's page, if it has one"},
    )


class AddMyPaymentMethodSchema(AddPaymentMethodSchema):
    """Where a method is to be saved."""


class SetupSchema(own.AnswerSchema):
    """What the payer must do, as `next_action` of a payment says it."""

    example: ClassVar[own.Wire | None] = examples.SETUP

    setup_id = fields.Integer()
    status = own.WordOut(PaymentStatus)
    next_action = fields.Dict(allow_none=True)


class PaymentMethodSchema(own.AnswerSchema):
    """What a customer has saved at a provider."""

    example: ClassVar[own.Wire | None] = examples.PAYMENT_METHOD

    payment_method_id = fields.Integer()
    provider = fields.String()
    kind = fields.String()
    brand = fields.String(allow_none=True)
    last4 = fields.String(allow_none=True)
    exp_month = fields.Integer(allow_none=True)
    exp_year = fields.Integer(allow_none=True)
    is_default = fields.Boolean()
    status = own.WordOut(MethodStatus)
    created_at = own.UTCTime()


class PaymentMethodListSchema(own.AnswerSchema):
    """The newest first; 100 at most."""

    example: ClassVar[own.Wire | None] = {"payment_methods": [examples.PAYMENT_METHOD]}

    payment_methods = fields.List(fields.Nested(PaymentMethodSchema))
