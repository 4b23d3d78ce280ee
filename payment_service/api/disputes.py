"""Disputes over REST."""

from __future__ import annotations

from typing import Any

from flask import Response

from payment_service import replica
from payment_service.api import openapi, reads
from payment_service.api.auth import rider
from payment_service.api.blueprints import Blueprint
from payment_service.schemas import disputes as schemas
from payment_service.services import listings, reading

blueprint = Blueprint("disputes", __name__, description="What payers contest at their banks")

PAGE, DETAIL = schemas.DisputeListSchema(), schemas.DisputeDetailSchema()


@blueprint.get("/disputes", operation="listDisputes")
@blueprint.arguments(schemas.DisputeQuery, location="query")
@blueprint.response(200, schemas.DisputeListSchema, headers=openapi.AGED)
def list_disputes(query: dict[str, Any]) -> Response:
    """List disputes, newest first

    Paged as payments are.
    """
    with replica.may_answer(query["filters"], beside=query["page"].beside):
        found = listings.list_disputes(**query, rider=rider())
    return reads.written(PAGE.write(found))


@blueprint.get("/disputes/<id:dispute_id>", operation="getDispute")
@blueprint.tagged(schemas.DisputeDetailSchema)
@blueprint.refuses(404)
def get(dispute_id: int) -> Response:
    """Read one dispute

    With what it moved, each booking once.
    """
    seen = reading.get_dispute(dispute_id=dispute_id, known=reads.known(), rider=rider())
    return reads.tell(seen, DETAIL.write)
