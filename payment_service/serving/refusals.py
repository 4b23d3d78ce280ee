"""What a client is told whose bytes are no request for the app."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from http import HTTPStatus

import structlog
from gunicorn.http import errors
from gunicorn.util import http_date

from payment_service import problems
from payment_service.problems import Kind
from payment_service.serving.incoming import BodyTooLarge

log = structlog.get_logger(__name__)


class TooSlow(Exception):
    """The request was not all there in its time."""


_IN_A_BROWSER = "".join(f"{name}: {value}\r\n" for name, value in problems.IN_A_BROWSER)

# Shorter than where the app answers: there is no key to ask again with here.
_OURS = replace(problems.INTERNAL_ERROR, says="something went wrong here")
# The nearest class decides. What was sent is in no detail: it may be a secret or a card number.
_REFUSALS: dict[type[BaseException], Kind] = {
    errors.InvalidRequestLine: problems.MALFORMED_REQUEST,
    errors.InvalidRequestMethod: problems.MALFORMED_REQUEST,
    errors.InvalidHTTPVersion: problems.HTTP_VERSION,
    errors.LimitRequestLine: problems.URI_TOO_LONG,
    errors.LimitRequestHeaders: problems.HEADERS_TOO_LARGE,
    errors.InvalidHeader: problems.MALFORMED_HEADER,
    errors.InvalidHeaderName: problems.MALFORMED_HEADER,
    errors.ObsoleteFolding: problems.MALFORMED_HEADER,
    errors.InvalidSchemeHeaders: problems.MALFORMED_HEADER,
    errors.UnsupportedTransferCoding: problems.TRANSFER_CODING,
    errors.ExpectationFailed: problems.EXPECTATION_FAILED,
    errors.InvalidChunkSize: problems.MALFORMED_BODY,
    errors.InvalidChunkExtension: problems.MALFORMED_BODY,
    errors.ChunkMissingTerminator: problems.MALFORMED_BODY,
    BodyTooLarge: problems.BODY_TOO_LARGE,
    TooSlow: problems.REQUEST_TIMEOUT,
    # Of the app's own making.
    errors.InvalidResponseHeader: _OURS,
    errors.InvalidResponseHeaderName: _OURS,
}


def answer_to(error: BaseException) -> bytes:
    """The whole answer, after which the connection is closed. It is logged under its id."""
    kind = _refusal(error)
    status, code = kind.status, kind.code
    request_id = uuid.uuid4().hex
    if status == 500:
        log.error("unexpected_error", request_id=request_id, exc_info=error)
    else:
        log.warning("request_refused", request_id=request_id, status=status, problem=code)
    body = json.dumps(problems.document(status, code, kind.says, {})).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {http_date()}\r\n"
        "Connection: close\r\n"
        f"Content-Type: {problems.MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{_IN_A_BROWSER}"
        f"X-Request-ID: {request_id}\r\n\r\n"
    )
    return head.encode() + body


def _refusal(error: BaseException) -> Kind:
    if isinstance(error, errors.InvalidHTTPVersion) and not isinstance(error.version, tuple):
        return problems.MALFORMED_REQUEST  # no version at all
    for kind in type(error).__mro__:
        if kind in _REFUSALS:
            return _REFUSALS[kind]
    return _REFUSALS[errors.InvalidResponseHeader]
