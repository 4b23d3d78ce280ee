"""Customers on the wire."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validates_schema

from payment_service.domain.customers import ChangeCustomer
from payment_service.schemas import examples, queries
from payment_service.schemas import fields as own
from payment_service.schemas.commands import CommandInBody
from payment_service.schemas.payers import EMail, Phone


class ChangeMyCustomerSchema(CommandInBody):
    """What is given is kept in place of what was; null empties a field."""

    makes: ClassVar[type[Any]] = ChangeCustomer

    name = own.PlainText(longest=200, shortest=1, allow_none=True)
    email = EMail(allow_none=True)
    phone = Phone(allow_none=True)

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        return super().said({"given": sent})


class CustomerQuery(CommandInBody):
    """By what customers are found: one or several of these."""

    makes: ClassVar[type[Any]] = dict

    user_id = queries.QueryId()
    email = EMail()
    phone = Phone()

    @validates_schema
    def _names_somebody(self, sent: dict[str, Any], **_: Any) -> None:
        if not sent:
            raise ValidationError("name one: user_id, email or phone", "email")


class CustomerSchema(own.AnswerSchema):
    """Whose payments belong together."""

    example: ClassVar[own.Wire | None] = examples.CUSTOMER

    customer_id = fields.Integer()
    user_id = fields.Integer(metadata={"description": "The rider's number"})
    name = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    phone = fields.String(allow_none=True, metadata={"description": "E.164"})
    created_at = own.UTCTime()
    updated_at = own.UTCTime()


class FoundCustomersSchema(own.AnswerSchema):
    """The newest first; 100 at most."""

    example: ClassVar[own.Wire | None] = {"customers": [examples.CUSTOMER]}

    customers = fields.List(fields.Nested(CustomerSchema))
