"""The idempotency key of a request, and how it ended made into a response."""

from __future__ import annotations

import hmac
from typing import Any

from flask import Response, g, request

from payment_service.api import answers, limits
from payment_service.api.auth import caller
from payment_service.config import settings
from payment_service.domain import jsontext
from payment_service.domain.errors import (
    IdempotencyKeyConflict,
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
)
from payment_service.idempotency import Key, fingerprint
from payment_service.services.moves.answers import Answer, Ended, Replay

HEADER = "Idempotency-Key"


def required_key() -> Key:
    """The request's key, once there is room for the request under its limit. Raises
    IdempotencyKeyRequired and what optional_key and limits.expect_room_for raise."""
    key = optional_key()
    if key is None:
        raise IdempotencyKeyRequired(
            f"send a key of your own, one per payment, in the {HEADER} header or as idempotency_key"
        )
    limits.expect_room_for(key)
    return key


def optional_key() -> Key | None:
    """The key in the header or in the body, if any.

    It belongs to the caller, the method and the path. Raises IdempotencyKeyConflict where the
    two differ, IdempotencyKeyInvalid for one that is no key.
    """
    body = g.get("body") or {}
    in_header, in_body = request.headers.get(HEADER), body.get("idempotency_key")
    if in_header is not None and in_body is not None and in_header != in_body:
        raise IdempotencyKeyConflict("the header and the body name different keys; send one")
    key = in_header if in_header is not None else in_body
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not all("!" <= char <= "~" for char in key):
        raise IdempotencyKeyInvalid("the key must be 1 to 255 visible ASCII characters")
    fields = {name: value for name, value in body.items() if name != "idempotency_key"}
    if "payer" in fields:
        fields["payer"] = _hidden(fields["payer"])
    return Key(
        caller=caller().name,
        operation=f"{request.method} {request.path}",
        key=key,
        fingerprint=fingerprint(fields),
    )


def _hidden(payer: Any) -> str:
    """What stands for the payer in the fingerprint, which is kept: of a telephone number a plain
    hash would be guessed."""
    key = (settings().secret_key or "").encode()
    return hmac.digest(key, b"payer/" + jsontext.canonical(payer), "sha256").hex()


def respond(ended: Ended) -> Response:
    """The bytes that the key keeps, if there is one, with the header that tells a replay. The
    request's line in the log names the payment."""
    if isinstance(ended, Replay):
        g.payment_id = ended.payment_id
        return _response(ended.answer, replayed=True)
    g.payment_id = ended.payment["payment_id"]
    return _response(ended.answer or answers.write(ended, None), replayed=ended.replayed)


def _response(answer: Answer, *, replayed: bool) -> Response:
    response = Response(answer.body, answer.status, content_type="application/json")
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
