"""Refunds over REST."""

from __future__ import annotations

from typing import Any

from flask import Response

from payment_service.api.auth import caller
from payment_service.api.blueprints import Blueprint
from payment_service.api.idempotent import required_key, respond
from payment_service.schemas import refunds as schemas
from payment_service.schemas.lists import ListQuery
from payment_service.services import listings, refunds

blueprint = Blueprint("refunds", __name__, description="Give captured funds back")

ID = "<id:payment_id>"
REFUND_ID = "<id:refund_id>"
Body = dict[str, Any]
PART = {"amount": "10.00", "reason": "Detour"}


@blueprint.post(f"/payments/{ID}/refund")
@blueprint.arguments(schemas.RefundRequestSchema, required=False, example=PART)
@blueprint.answers(200, schemas.RefundOutcomeSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def refund(body: Body, payment_id: int) -> Response:
    """Refund a payment, all that is left or a part"""
    return respond(
        refunds.refund(payment_id=payment_id, command=body, key=required_key(), caller=caller())
    )


@blueprint.post("/refunds")
@blueprint.arguments(schemas.CreateRefundSchema, example={"payment_id": 1, **PART})
@blueprint.answers(201, schemas.RefundSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def create(body: Body) -> Response:
    """Refund a payment; the answer is the refund as a resource"""
    return respond(
        refunds.refund(
            payment_id=body["payment_id"], command=body, key=required_key(), caller=caller()
        )
    )


@blueprint.get("/refunds")
@blueprint.arguments(schemas.RefundQuery, location="query")
@blueprint.response(200, schemas.RefundListSchema)
def list_refunds(query: Body) -> Body:
    """List refunds, newest first"""
    return listings.list_refunds(**query)


@blueprint.get(f"/refunds/{REFUND_ID}")
@blueprint.response(200, schemas.RefundSchema)
@blueprint.refuses(404)
def get(refund_id: int) -> Body:
    """One refund"""
    return listings.get_refund(refund_id=refund_id)


@blueprint.get(f"/payments/{ID}/refunds")
@blueprint.arguments(ListQuery, location="query")
@blueprint.response(200, schemas.RefundListSchema)
@blueprint.refuses(404)
def list_of_payment(query: Body, payment_id: int) -> Body:
    """A payment's refunds, newest first"""
    return listings.list_refunds_of(payment_id=payment_id, page=query["page"])


@blueprint.patch(f"/refunds/{REFUND_ID}/status")
@blueprint.arguments(schemas.RefundStatusSchema, example={"status": "SUCCESS"})
@blueprint.response(200, schemas.RefundSchema)
@blueprint.refuses(404, 409)
def set_status(body: Body, refund_id: int) -> Body:
    """Say whether cash was handed back"""
    return refunds.set_status(
        refund_id=refund_id, status=body["status"], reason=body.get("reason"), caller=caller()
    )
