"""Refunds over REST."""

from __future__ import annotations

from typing import Any

from flask import Response

from payment_service import replica
from payment_service.api import openapi, reads
from payment_service.api.auth import caller, rider
from payment_service.api.blueprints import Blueprint
from payment_service.api.idempotent import required_key, respond
from payment_service.domain import commands
from payment_service.schemas import refunds as schemas
from payment_service.schemas.lists import ListQuery
from payment_service.services import listings, reading, refunds

blueprint = Blueprint("refunds", __name__, description="Give captured funds back")

PAGE = schemas.RefundListSchema()

ID = "<id:payment_id>"
REFUND_ID = "<id:refund_id>"
Body = dict[str, Any]
PART = {"amount": "10.00", "reason": "Detour"}


@blueprint.post(f"/payments/{ID}/refund", operation="refundPayment")
@blueprint.arguments(schemas.RefundPaymentSchema, required=False, example=PART)
@blueprint.answers(200, schemas.RefundOutcomeSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def refund(command: commands.RefundPayment, payment_id: int) -> Response:
    """Refund a payment, all that is left or a part

    `status` is the payment's, `refund_status` the refund's. 202: not decided yet; ask again with
    the same key, or read the refund. 402: declined; nothing was given back.
    """
    return respond(
        refunds.refund(payment_id=payment_id, command=command, key=required_key(), caller=caller())
    )


@blueprint.post("/refunds", operation="createRefund")
@blueprint.arguments(schemas.CreateRefundSchema, example={"payment_id": 1, **PART})
@blueprint.answers(201, schemas.RefundSchema, 202, 402)
@blueprint.keyed
@blueprint.refuses(404, 409)
def create(command: commands.RefundNamedPayment) -> Response:
    """Create a refund

    Does what refundPayment does; the answer is the refund as a resource.
    """
    return respond(
        refunds.refund(
            payment_id=command.payment_id, command=command, key=required_key(), caller=caller()
        )
    )


@blueprint.get("/refunds", operation="listRefunds")
@blueprint.arguments(schemas.RefundQuery, location="query")
@blueprint.response(200, schemas.RefundListSchema, headers=openapi.AGED)
def list_refunds(query: Body) -> Response:
    """List refunds, newest first

    Paged as payments are.
    """
    with replica.may_answer(query["filters"], beside=query["page"].beside):
        found = listings.list_refunds(**query, rider=rider())
    return reads.written(PAGE.write(found))


@blueprint.get(f"/refunds/{REFUND_ID}", operation="getRefund")
@blueprint.tagged(schemas.RefundSchema)
@blueprint.refuses(404)
def get(refund_id: int) -> Response:
    """Read one refund

    What it gave back, and whether the money is on its way.
    """
    seen = reading.get_refund(refund_id=refund_id, known=reads.known(), rider=rider())
    return reads.tell(seen, schemas.REFUND.write)


@blueprint.get(f"/payments/{ID}/refunds", operation="listPaymentRefunds")
@blueprint.arguments(ListQuery, location="query")
@blueprint.response(200, schemas.RefundListSchema)
@blueprint.refuses(404)
def list_of_payment(query: Body, payment_id: int) -> Response:
    """List the refunds of a payment, newest first

    Paged as payments are.
    """
    found = listings.list_refunds_of(payment_id=payment_id, page=query["page"], rider=rider())
    return reads.written(PAGE.write(found))


@blueprint.patch(f"/refunds/{REFUND_ID}/status", operation="setRefundStatus")
@blueprint.arguments(schemas.SetRefundStatusSchema, example={"status": "SUCCESS"})
@blueprint.response(200, schemas.RefundSchema)
@blueprint.refuses(404, 409)
def set_status(command: commands.SetRefundStatus, refund_id: int) -> Response:
    """Say whether cash was handed back

    A refund of cash is PENDING until a person says so. All others are a provider's to settle, but
    for one that it took and then says it has not got: ask the provider first.
    """
    refund = refunds.set_status(refund_id=refund_id, command=command, caller=caller())
    return reads.written(schemas.REFUND.write(refund))
