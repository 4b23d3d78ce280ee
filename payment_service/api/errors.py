"""Errors as problem documents, and the one table from error to status."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import psycopg2
import structlog
from flask import Flask, Response
from marshmallow import Schema, fields
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from payment_service import problems
from payment_service.api.body import BadJSON
from payment_service.api.headers import HeaderRepeated
from payment_service.domain import errors as domain
from payment_service.domain.errors import DomainError
from payment_service.statements import Disconnected, is_full, is_silence

log = structlog.get_logger(__name__)

STATUS: dict[type[DomainError], int] = {
    BadJSON: 400,
    HeaderRepeated: 400,
    domain.IdempotencyKeyRequired: 400,
    domain.IdempotencyKeyInvalid: 400,
    domain.IdempotencyKeyConflict: 400,
    domain.PaymentNotFound: 404,
    domain.RefundNotFound: 404,
    domain.BadCountry: 400,
    domain.TripNotCompleted: 409,
    domain.PaymentExists: 409,
    domain.IllegalTransition: 409,
    domain.OperationInProgress: 409,
    domain.NotRefundable: 409,
    domain.ReceiptNotAvailable: 409,
    domain.IdempotencyKeyInProgress: 409,
    domain.InvalidRequest: 422,
    domain.ProviderUnavailable: 503,
    domain.TripServiceUnavailable: 503,
}

PROBLEM = problems.MEDIA_TYPE


class ProblemSchema(Schema):
    """RFC 9457 problem details, with our stable `code`."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    errors = fields.Dict(metadata={"description": "Field to messages"})

    class Meta:
        # Some problems carry more, such as payment_id.
        unknown = "include"


FULL_SECONDS = 30
"""Retry-After of a full disk: somebody has to come and make room."""


def problem(
    status: int, code: str, detail: str, *, members: dict[str, Any] | None = None
) -> Response:
    """A problem document as a response. `retry_after` among the members becomes a header."""
    members = dict(members or {})
    retry_after = members.pop("retry_after", None)
    body = problems.document(status, code, detail, members)
    response = Response(json.dumps(body), status, content_type=PROBLEM)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def register(app: Flask) -> None:
    """Makes every error of the app a problem document, whatever raised it."""
    app.register_error_handler(DomainError, _of_domain)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(PoolTimeout, _busy)
    app.register_error_handler(DBAPIError, _of_database)
    app.register_error_handler(Disconnected, _no_database)
    app.register_error_handler(psycopg2.Error, _of_driver)
    app.register_error_handler(Exception, _of_anything)


def status_of(error: DomainError) -> int:
    """The status of the error's class or of the nearest class that it descends from."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _of_domain(error: DomainError) -> Response:
    return problem(status_of(error), error.code, error.detail, members=error.members)


def _of_http(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return Response(error.get_body(), error.code or 500, error.get_headers())
    phrase = HTTPStatus(error.code).phrase
    code = _CODES.get(error.code, phrase.lower().replace(" ", "_"))
    made = problem(error.code, code, error.description or phrase)
    if error.code == 429:
        made.headers["Retry-After"] = "1"
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            made.headers[name] = value
    return made


_CODES = {413: "body_too_large", 414: "uri_too_long", 415: "unsupported_media_type"}


def _busy(error: PoolTimeout) -> Response:
    return problem(
        503,
        "busy",
        "all database connections are in use; ask again",
        members={"retry_after": 1},
    )


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
    return problem(
        503,
        "storage_full",
        "the database has no room to write this; ask again with the same idempotency key",
        members={"retry_after": FULL_SECONDS},
    )


def _no_database(error: Exception) -> Response:
    return problem(
        503,
        "database_unavailable",
        "the database does not answer; ask again with the same idempotency key",
        members={"retry_after": 1},
    )


def _of_anything(error: Exception) -> Response:
    log.exception("unexpected_error", exc_info=error)
    return _internal()


def _internal() -> Response:
    return problem(
        500,
        "internal_error",
        "something went wrong here; ask again with the same idempotency key",
    )
