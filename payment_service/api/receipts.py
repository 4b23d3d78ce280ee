"""The receipt over REST: JSON, a page, or a PDF."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Response, request

from payment_service.api import reads
from payment_service.api.auth import rider
from payment_service.api.blueprints import Blueprint
from payment_service.api.browser import PDF, RECEIPT
from payment_service.domain.jsontext import dumps
from payment_service.domain.receipts import Receipt, as_dict
from payment_service.problems import CSP
from payment_service.schemas.receipts import FORMS, ReceiptQuery, ReceiptSchema
from payment_service.services import receipts

blueprint = Blueprint("receipts", __name__, description="What the payer gets")

ID = "<id:payment_id>"


@blueprint.after_request
def say_what_decides(response: Response) -> Response:
    """A cache must not hand a page to who asked for JSON; refusals have one form, but may be kept
    in place of the receipt."""
    response.vary.add("Accept")
    return response


@blueprint.get(f"/payments/{ID}/receipt", operation="getReceipt")
@blueprint.arguments(ReceiptQuery, location="query")
# The uppermost is the first in the document, which is the one that generators read.
@blueprint.tagged(ReceiptSchema)
@blueprint.response(200, {"type": "string"}, content_type=FORMS["html"])
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type=FORMS["pdf"])
@blueprint.refuses(404, 409)
def get(query: dict[str, Any], payment_id: int) -> Response:
    """Read the receipt of a captured payment

    As JSON, as a page or as a PDF: by `format`, else by Accept, else JSON. A refund adds lines and
    never changes earlier ones.
    """
    wanted = FORMS.get(query.get("format", "")) or request.accept_mimetypes.best_match(
        list(FORMS.values()), default=FORMS["json"]
    )
    form = _form(wanted)
    edition, receipt = receipts.get(payment_id=payment_id, known=reads.known(form), rider=rider())
    if receipt is None:
        return reads.unchanged(edition, form)
    return reads.tagged(_written(receipt, wanted), edition, form)


def _form(wanted: str) -> str:
    """What the answer depends on beside the receipt: its type and, as a page, its looks."""
    looks = repr(sorted(receipts.style().items()))
    return f"{wanted.rpartition('/')[2]}-{hashlib.sha256(looks.encode()).hexdigest()[:8]}"


def _written(receipt: Receipt, wanted: str) -> Response:
    if wanted == FORMS["html"]:
        page = Response(receipts.as_html(receipt), content_type="text/html; charset=utf-8")
        page.headers[CSP] = RECEIPT
        return page
    if wanted == FORMS["pdf"]:
        name = f'inline; filename="{receipt.receipt_id}.pdf"'
        return Response(
            receipts.as_pdf(receipt),
            content_type=FORMS["pdf"],
            headers={"Content-Disposition": name, CSP: PDF},
        )
    return Response(dumps(as_dict(receipt)), content_type=FORMS["json"])
