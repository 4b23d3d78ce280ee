"""Disputes on the wire."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import fields

from payment_service.domain.disputes import DisputeKind, DisputeStatus, MovementKind
from payment_service.schemas import examples, queries
from payment_service.schemas import fields as own
from payment_service.schemas.lists import ListQuery, PageSchema


class DisputeQuery(ListQuery):
    """Filters of the list."""

    payment_id = queries.QueryId()
    status = own.Word(DisputeStatus, {})
    due_before = queries.QueryTime(metadata={"description": "Evidence is due before that"})


class DisputeSchema(own.AnswerSchema):
    """What a payer contests at the bank."""

    example: ClassVar[own.Wire | None] = examples.DISPUTE

    dispute_id = fields.Integer()
    payment_id = fields.Integer()
    provider = fields.String()
    provider_dispute_id = fields.String()
    kind = own.WordOut(DisputeKind)
    status = own.WordOut(DisputeStatus)
    reason = fields.String(metadata={"description": "In the provider's words"})
    amount = own.Amount()
    currency = fields.String()
    evidence_due_at = own.UTCTime(allow_none=True)
    submissions = fields.Integer(metadata={"description": "How often evidence was submitted"})
    opened_at = own.UTCTime()
    closed_at = own.UTCTime(allow_none=True)
    created_at = own.UTCTime()
    updated_at = own.UTCTime()


class DisputeMovementSchema(own.AnswerSchema):
    """One booking at the provider."""

    example: ClassVar[own.Wire | None] = {
        "provider_movement_id": "txn_1PgafmB7WZ01zgkW",
        "kind": "WITHDRAWN",
        "amount": "104.86",
        "currency": "INR",
        "occurred_at": "2026-01-02T15:04:05.000000Z",
    }

    provider_movement_id = fields.String()
    kind = own.WordOut(MovementKind)
    amount = own.Amount()
    currency = fields.String()
    occurred_at = own.UTCTime()


class DisputeDetailSchema(DisputeSchema):
    """A dispute with what it moved."""

    example: ClassVar[own.Wire | None] = {
        **examples.DISPUTE,
        "movements": [DisputeMovementSchema.example],
    }

    movements = fields.List(fields.Nested(DisputeMovementSchema))


class DisputeListSchema(PageSchema):
    """A page of disputes, newest first."""

    example: ClassVar[own.Wire] = {"disputes": [examples.DISPUTE], **examples.PAGE}

    disputes: Any = fields.List(fields.Nested(DisputeSchema))
