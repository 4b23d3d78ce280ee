"""Webhooks on the wire, as operators read them."""

from __future__ import annotations

from typing import ClassVar

from marshmallow import fields

from payment_service.domain.vocabulary import Trust, WebhookStatus
from payment_service.schemas import examples, queries
from payment_service.schemas import fields as own
from payment_service.schemas.lists import BESIDE_ROWS, ListQuery, PageSchema


class WebhookQuery(ListQuery):
    """Filters of the list."""

    provider = own.PlainText(longest=100)
    status = own.Word(WebhookStatus)
    payment_id = queries.QueryId()


class WebhookSchema(own.AnswerSchema):
    """What a provider said of one request, however often."""

    example: ClassVar[own.Wire | None] = examples.WEBHOOK

    webhook_id = fields.Integer()
    provider = fields.String()
    event_key = fields.String(metadata={"description": "The same in each repeat"})
    event_type = fields.String(metadata={"description": "The provider's word"})
    trust = own.WordOut(Trust)
    status = own.WordOut(WebhookStatus)
    payment_id = fields.Integer(allow_none=True)
    number = fields.Integer(
        allow_none=True, metadata={"description": "Of the payment's request that it is about"}
    )
    deliveries = fields.Integer(metadata={"description": "How often it came"})
    attempts = fields.Integer(metadata={"description": "How often it was taken in, or tried"})
    received_at = own.UTCTime()
    last_received_at = own.UTCTime()
    processed_at = own.UTCTime(allow_none=True)
    due_at = own.UTCTime(
        allow_none=True,
        metadata={"description": "The next try; null once it is done with, or parked"},
    )
    error = fields.String(allow_none=True)


class WebhookDetailSchema(WebhookSchema):
    """One, with what came; what may be a secret or about a person is masked."""

    example: ClassVar[own.Wire | None] = {
        **examples.WEBHOOK,
        "headers": {"content-type": "application/json"},
        "body": {"id": "evt_1", "type": "payment_intent.succeeded", "name": "[masked]"},
    }

    headers = fields.Dict(keys=fields.String(), values=fields.String())
    body = fields.Raw(metadata={"description": "Masked"})


class WebhookListSchema(PageSchema):
    """A page of webhooks."""

    example: ClassVar[own.Wire] = {"webhooks": [examples.WEBHOOK], **examples.PAGE}

    webhooks = fields.List(fields.Nested(WebhookSchema))

    class Meta:
        fields = ("webhooks", *BESIDE_ROWS)
