"""Who is asking. Until callers hold tokens the service listens on 127.0.0.1 only, and whoever
reaches it is one caller."""

from __future__ import annotations

from flask import g

from payment_service.domain.callers import Caller

LOCAL = "local"


def caller() -> Caller:
    """The caller of this request, with the request's id."""
    return Caller(LOCAL, request_id=g.get("request_id"))
