"""The one error shape on the wire (RFC 9457), for the app and for what never gets to it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from payment_service.bounds import MOST_BYTES, MOST_WEBHOOK_BYTES

MEDIA_TYPE = "application/problem+json"
TYPES = "https://errors.payment-service.invalid/"
"""Prefix of `type`: a name for the kind of problem, not an address."""

CSP = "Content-Security-Policy"
IN_A_BROWSER = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    (CSP, "default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of each answer that is no page: whoever shows it loads nothing and runs nothing."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem that no error of the domain stands for.

    `says` describes it in the OpenAPI document, and is the `detail` where nothing more is known.
    """

    status: int
    code: str
    says: str


# Told before the app is asked, by serving/.
MALFORMED_REQUEST = Kind(400, "malformed_request", "the request line is not METHOD TARGET HTTP/1.1")
MALFORMED_HEADER = Kind(
    400, "malformed_header", "a header is malformed, doubled or contradicts another"
)
MALFORMED_BODY = Kind(400, "malformed_body", "the chunked body is malformed")
REQUEST_TIMEOUT = Kind(
    408, "request_timeout", "the request took too long to arrive; nothing was begun"
)
EXPECTATION_FAILED = Kind(417, "expectation_failed", "only 100-continue can be expected")
HEADERS_TOO_LARGE = Kind(431, "headers_too_large", "too many headers, or too long ones")
TRANSFER_CODING = Kind(
    501, "transfer_coding_not_supported", "send the body with a Content-Length, or chunked"
)
HTTP_VERSION = Kind(505, "http_version_not_supported", "speak HTTP/1.1 here")

# Told by both.
BODY_TOO_LARGE = Kind(
    413,
    "body_too_large",
    f"a body may have {MOST_BYTES} bytes, a provider's webhook {MOST_WEBHOOK_BYTES}",
)
URI_TOO_LONG = Kind(414, "uri_too_long", "the request line is too long")
INTERNAL_ERROR = Kind(
    500,
    "internal_error",
    "something went wrong here; ask again with the same idempotency key",
)

# Told by the app: what its framework refuses, and what its database does.
BAD_REQUEST = Kind(400, "bad_request", "the request can't be read")
NOT_FOUND = Kind(404, "not_found", "there is nothing at this path")
METHOD_NOT_ALLOWED = Kind(405, "method_not_allowed", "this path does not take the method")
UNSUPPORTED_MEDIA_TYPE = Kind(415, "unsupported_media_type", "send the body as application/json")
BUSY = Kind(503, "busy", "all database connections are in use; ask again")
STORAGE_FULL = Kind(
    503,
    "storage_full",
    "the database has no room to write this; ask again with the same idempotency key",
)
DATABASE_UNAVAILABLE = Kind(
    503,
    "database_unavailable",
    "the database does not answer; ask again with the same idempotency key",
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))


def document(status: int, code: str, detail: str, members: dict[str, Any]) -> dict[str, Any]:
    """The members of a problem document with our stable `code`; `members` are further ones."""
    return {
        "type": TYPES + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }
