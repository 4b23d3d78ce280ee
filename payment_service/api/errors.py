"""Errors as problem documents, or as pages where a page was asked for, and the one table from
error to status."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

import psycopg2
import structlog
from flask import Flask, Response, g
from marshmallow import Schema, fields
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from payment_service import problems
from payment_service.api.body import BadJSON
from payment_service.api.error_pages import error_page
from payment_service.api.headers import HeaderRepeated
from payment_service.domain import errors as domain
from payment_service.domain.errors import DomainError
from payment_service.problems import Kind
from payment_service.statements import Disconnected, is_full, is_silence

log = structlog.get_logger(__name__)

STATUS: dict[type[DomainError], int] = {
    BadJSON: 400,
    HeaderRepeated: 400,
    domain.IdempotencyKeyRequired: 400,
    domain.IdempotencyKeyInvalid: 400,
    domain.IdempotencyKeyConflict: 400,
    domain.InvalidToken: 401,
    domain.InsufficientScope: 403,
    domain.ForeignPage: 403,
    domain.RiderUnknown: 403,
    domain.RidersOnly: 403,
    domain.PaymentNotFound: 404,
    domain.RefundNotFound: 404,
    domain.WebhookNotFound: 404,
    domain.CustomerNotFound: 404,
    domain.PaymentMethodNotFound: 404,
    domain.UnverifiedWebhook: 400,
    domain.BadCountry: 400,
    domain.TripNotCompleted: 409,
    domain.PaymentExists: 409,
    domain.IllegalTransition: 409,
    domain.OperationInProgress: 409,
    domain.NotRefundable: 409,
    domain.PaymentDisputed: 409,
    domain.DisputeNotFound: 404,
    domain.CustomerBusy: 409,
    domain.ReceiptNotAvailable: 409,
    domain.IdempotencyKeyInProgress: 409,
    domain.InvalidRequest: 422,
    domain.TooManyRequests: 429,
    domain.ProviderUnavailable: 503,
    domain.TripServiceUnavailable: 503,
    domain.KeysUnavailable: 503,
}

PROBLEM = problems.MEDIA_TYPE


class ProblemSchema(Schema):
    """RFC 9457 problem details, with our stable `code`."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(
        required=True,
        metadata={"description": "Stable. All codes are listed at the top; more may come"},
    )
    # What some problems say besides.
    errors = fields.Dict(metadata={"description": "Field to messages"})
    payment_id = fields.Integer(metadata={"description": "The payment that is in the way"})
    payment_status = fields.String()
    trip_id = fields.Integer()
    trip_status = fields.String()
    currency = fields.String()
    expected_amount = fields.String()
    fare = fields.String()
    authorized = fields.String(metadata={"description": "What is held"})
    from_ = fields.String(data_key="from", metadata={"description": "The status that stands"})
    to = fields.String(metadata={"description": "The status that was asked for"})
    refundable = fields.String(metadata={"description": "What is left to refund"})
    amount_disputed = fields.String(metadata={"description": "What is in dispute"})
    reason = fields.String(metadata={"description": "What is wrong with the token"})
    scope = fields.String(metadata={"description": "The scope that is missing"})
    limit = fields.String(metadata={"description": "The limit that is reached"})

    class Meta:
        unknown = "include"  # more members may come


FULL_SECONDS = 30
"""Retry-After of a full disk: somebody has to come and make room."""


def problem(
    status: int, code: str, detail: str, *, members: dict[str, Any] | None = None
) -> Response:
    """A problem document as a response; a page, where one was asked for. `retry_after` among the
    members becomes a header."""
    members = dict(members or {})
    if "payment_id" in members:
        g.payment_id = members["payment_id"]  # for the log
    retry_after = members.pop("retry_after", None)
    response = error_page(status, code, detail)
    if response is None:
        body = problems.document(status, code, detail, members)
        response = Response(json.dumps(body), status, content_type=PROBLEM)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def register(app: Flask) -> None:
    """Makes every error of the app a problem document or a page, whatever raised it."""
    app.register_error_handler(DomainError, _of_domain)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(PoolTimeout, _busy)
    app.register_error_handler(DBAPIError, _of_database)
    app.register_error_handler(Disconnected, _no_database)
    app.register_error_handler(psycopg2.Error, _of_driver)
    app.register_error_handler(Exception, _of_anything)


def status_of(error: type[DomainError]) -> int:
    """The status of the class or of the nearest class that it descends from."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def kinds() -> list[Kind]:
    """Each code that an answer can carry, by status and code, with what it means: what an error of
    the domain means is its docstring."""
    ours = [
        Kind(status_of(error), error.code, cleandoc(error.__doc__ or ""))
        for error in _descendants(DomainError)
        if error.__module__.startswith("payment_service.")
    ]
    return sorted([*ours, *problems.KINDS], key=lambda kind: (kind.status, kind.code))


def _descendants(error: type[DomainError]) -> Iterable[type[DomainError]]:
    for child in error.__subclasses__():
        yield child
        yield from _descendants(child)


def _of_domain(error: DomainError) -> Response:
    made = problem(status_of(type(error)), error.code, error.detail, members=error.members)
    if isinstance(error, domain.InvalidToken | domain.InsufficientScope):  # RFC 6750, 3
        scope = error.members.get("scope")
        made.headers["WWW-Authenticate"] = f'Bearer error="{error.code}"' + (
            f', scope="{scope}"' if scope else ""
        )
    return made


def _of_http(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return Response(error.get_body(), error.code or 500, error.get_headers())
    phrase = HTTPStatus(error.code).phrase
    known = _OF_HTTP.get(error.code)
    code = known.code if known else phrase.lower().replace(" ", "_")
    made = problem(error.code, code, error.description or phrase)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            made.headers[name] = value
    return made


_OF_HTTP = {
    kind.status: kind
    for kind in (
        problems.BAD_REQUEST,
        problems.NOT_FOUND,
        problems.METHOD_NOT_ALLOWED,
        problems.BODY_TOO_LARGE,
        problems.URI_TOO_LONG,
        problems.UNSUPPORTED_MEDIA_TYPE,
        problems.INTERNAL_ERROR,
    )
}


def _busy(error: PoolTimeout) -> Response:
    return _told(problems.BUSY, retry_after=1)


def _of_database(error: DBAPIError) -> Response:
    log.exception("database_error", exc_info=error)
    if is_full(error.orig):
        return _no_room()
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return _no_database(error)
    return _internal()


def _of_driver(error: psycopg2.Error) -> Response:
    """What SQLAlchemy lets through as it is: the database went away while it was connected to."""
    log.exception("database_error", exc_info=error)
    if is_full(error):
        return _no_room()
    return _no_database(error) if is_silence(error) else _internal()


def _no_room() -> Response:
    return _told(problems.STORAGE_FULL, retry_after=FULL_SECONDS)


def _no_database(error: Exception) -> Response:
    return _told(problems.DATABASE_UNAVAILABLE, retry_after=1)


def _of_anything(error: Exception) -> Response:
    log.exception("unexpected_error", exc_info=error)
    return _internal()


def _internal() -> Response:
    return _told(problems.INTERNAL_ERROR)


def _told(kind: Kind, **members: Any) -> Response:
    return problem(kind.status, kind.code, kind.says, members=members)
