"""The one error shape on the wire (RFC 9457), for the app and for what never gets to it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
TYPES = "https://errors.payment-service.invalid/"
"""Prefix of `type`: a name for the kind of problem, not an address."""


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
