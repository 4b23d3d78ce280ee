"""The provider catalog on the wire."""

from __future__ import annotations

from marshmallow import Schema, fields

from payment_service.schemas import examples
from payment_service.schemas import fields as own


class OfferSchema(own.AnswerSchema):
    """One provider for one country, currency and method."""

    example = examples.OFFER

    providerName = fields.String()
    countryCode = fields.String()
    currency = fields.String()
    paymentMethod = fields.String()
    isActive = fields.Boolean()


class OfferQuery(Schema):
    """Filters, all optional, any case."""

    country = own.PlainText(longest=2, shortest=2, searched=False)
    currency = own.PlainText(longest=3, shortest=3, searched=False)
    method = own.PlainText(longest=50, shortest=1, searched=False)
