"""Lists as CSV files, under the filters that their pages take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, request
from marshmallow import ValidationError
from werkzeug.exceptions import ServiceUnavailable

from payment_service.admin.admission import now
from payment_service.bounds import patient
from payment_service.schemas.audit_log import ActQuery
from payment_service.schemas.lists import ListQuery
from payment_service.schemas.payments import PaymentQuery
from payment_service.schemas.refunds import RefundQuery
from payment_service.services import exports
from payment_service.services.exports import Sheet, TooManyExports

READER_SECONDS = 180.0
"""A spreadsheet that asks its user what to do with the file reads nothing meanwhile."""

_PAGING = tuple(ListQuery().fields)
_PAYMENTS, _REFUNDS, _ACTS = (
    query(exclude=_PAGING) for query in (PaymentQuery, RefundQuery, ActQuery)
)


@patient(answer=READER_SECONDS)
def payments_csv() -> Response:
    return _csv(Sheet.PAYMENTS, _PAYMENTS)


@patient(answer=READER_SECONDS)
def refunds_csv() -> Response:
    return _csv(Sheet.REFUNDS, _REFUNDS)


@patient(answer=READER_SECONDS)
def audit_csv() -> Response:
    return _csv(Sheet.AUDIT, _ACTS)


def _csv(sheet: Sheet, query: ListQuery) -> Response:
    filters = _filters(query)
    try:
        export = exports.export(sheet=sheet, filters=filters, by=now().by)
    except TooManyExports as error:
        raise ServiceUnavailable(str(error), retry_after=exports.RETRY_SECONDS) from None
    name = f"{sheet}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(export, content_type="text/csv; charset=utf-8; header=present", headers=headers)


def _filters(query: ListQuery) -> Any:
    """Aborts with 422 for what is no filter: a file of more than was meant is worse than none."""
    try:
        return query.load(request.args.to_dict())["filters"]
    except ValidationError as error:
        told = ", ".join(map(str, error.messages_dict))[:200]
        abort(422, f"This is no filter of the list: {told}.")
