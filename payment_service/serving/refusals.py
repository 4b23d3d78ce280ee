"""What a client is told whose bytes are no request for the app."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus

import structlog
from gunicorn.http import errors
from gunicorn.util import http_date

from payment_service import problems
from payment_service.bounds import MOST_BYTES
from payment_service.serving.incoming import BodyTooLarge

log = structlog.get_logger(__name__)


class TooSlow(Exception):
    """The request was not all there in its time."""


Refusal = tuple[int, str, str]

_LINE: Refusal = (400, "malformed_request", "the request line is not METHOD TARGET HTTP/1.1")
_HEADER: Refusal = (
    400,
    "malformed_header",
    "a header is malformed, doubled or contradicts another",
)
_CHUNK: Refusal = (400, "malformed_body", "the chunked body is malformed")
# The nearest class decides. What was sent is in no detail: it may be a secret or a card number.
_REFUSALS: dict[type[BaseException], Refusal] = {
    errors.InvalidRequestLine: _LINE,
    errors.InvalidRequestMethod: _LINE,
    errors.InvalidHTTPVersion: (505, "http_version_not_supported", "speak HTTP/1.1 here"),
    errors.LimitRequestLine: (414, "uri_too_long", "the request line is too long"),
    errors.LimitRequestHeaders: (431, "headers_too_large", "too many headers, or too long ones"),
    errors.InvalidHeader: _HEADER,
    errors.InvalidHeaderName: _HEADER,
    errors.ObsoleteFolding: _HEADER,
    errors.InvalidSchemeHeaders: _HEADER,
    errors.UnsupportedTransferCoding: (
        501,
        "transfer_coding_not_supported",
        "send the body with a Content-Length, or chunked",
    ),
    errors.ExpectationFailed: (417, "expectation_failed", "only 100-continue can be expected"),
    errors.InvalidChunkSize: _CHUNK,
    errors.InvalidChunkExtension: _CHUNK,
    errors.ChunkMissingTerminator: _CHUNK,
    BodyTooLarge: (413, "body_too_large", f"a body may have {MOST_BYTES} bytes"),
    TooSlow: (408, "request_timeout", "the request took too long to arrive; nothing was begun"),
    # Of the app's own making.
    errors.InvalidResponseHeader: (500, "internal_error", "something went wrong here"),
    errors.InvalidResponseHeaderName: (500, "internal_error", "something went wrong here"),
}


def answer_to(error: BaseException) -> bytes:
    """The whole answer, after which the connection is closed. It is logged under its id."""
    status, code, detail = _refusal(error)
    request_id = uuid.uuid4().hex
    if status == 500:
        log.error("unexpected_error", request_id=request_id, exc_info=error)
    else:
        log.warning("request_refused", request_id=request_id, status=status, code=code)
    body = json.dumps(problems.document(status, code, detail, {})).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {http_date()}\r\n"
        "Connection: close\r\n"
        f"Content-Type: {problems.MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\n\r\n"
    )
    return head.encode() + body


def _refusal(error: BaseException) -> Refusal:
    if isinstance(error, errors.InvalidHTTPVersion) and not isinstance(error.version, tuple):
        return _LINE  # no version at all
    for kind in type(error).__mro__:
        if kind in _REFUSALS:
            return _REFUSALS[kind]
    return _REFUSALS[errors.InvalidResponseHeader]
