"""Swish's API, for merchants with a client certificate: on SANDBOX_SWISH_PORT only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from flask import Blueprint, Response, request

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.bodies import parsed
from payment_service.sandbox.dialects.swish.books import (
    PAYMENTS,
    REFUNDS,
    Unacceptable,
    reference_of,
    shown,
    the_books,
)
from payment_service.sandbox.dialects.swish.checks import UUID
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.memory import Row
from payment_service.sandbox.postponed import LATE
from payment_service.sandbox.refusals import Refused
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.state import the_state

swish = Blueprint("swish", __name__, url_prefix="/swish-cpcapi/api")

DIALECT = "swish"
CANCEL = [{"op": "replace", "path": "/status", "value": "cancelled"}]
_CERTIFICATE = "SSL_CLIENT_CERT"
"""In the environ of a request that came in by TLS, whose handshake has checked it."""


@swish.before_request
def merchants_only() -> Response | None:
    """Nobody is served without a certificate; one who arrives late had shown it."""
    if _CERTIFICATE in request.environ or LATE in request.environ:
        return None
    return failed(404, "not_found", "Swish is on a port of its own, with TLS.")


@swish.put("/v2/paymentrequests/<uuid>")
def pay(uuid: str) -> Response:
    """Ask a payer to pay."""
    return _create("charge", PAYMENTS, uuid, "payeeAlias", the_books().pay)


@swish.put("/v2/refunds/<uuid>")
def refund(uuid: str) -> Response:
    """Give back what was paid."""
    return _create("refund", REFUNDS, uuid, "payerAlias", the_books().refund)


def _create(
    operation: str, table: str, uuid: str, merchant: str, do: Callable[[str, Any, Whim], Row]
) -> Response:
    body = parsed(request.get_data())
    if not UUID.fullmatch(uuid) or not isinstance(body, dict):
        return Response(status=400)
    named = reference_of(body)
    fields = {**body, "reference": named, "id": uuid, "dialect": DIALECT}
    fields["http_method"] = request.method
    repeat = the_books().get(table, uuid) is not None
    ask = Ask(operation, request.method, request.path, fields, is_repeat=repeat)

    def create(whim: Whim) -> Response:
        if not _is_of(body.get(merchant)):
            return Response(status=403)
        try:
            row = do(uuid, body, whim)
        except Unacceptable as wrong:
            return Response(json.dumps(wrong.shown), 422, mimetype="application/json")
        answer = Response(status=201)
        noun = "paymentrequests" if table == PAYMENTS else "refunds"
        host = request.host_url.rstrip("/")
        answer.headers["Location"] = f"{host}{swish.url_prefix}/v1/{noun}/{uuid}"
        if row.get("token"):
            answer.headers["PaymentRequestToken"] = row["token"]
        return answer

    return answered(the_state(), ask, create)


def _is_of(alias: Any) -> bool:
    """Whether the certificate is the merchant's: its CN is the Swish number."""
    if LATE in request.environ:
        return True
    found = x509.load_pem_x509_certificate(request.environ[_CERTIFICATE].encode())
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [name.value for name in names] == [alias]


@swish.get("/v1/paymentrequests/<uuid>")
def show_payment(uuid: str) -> Response:
    """A payment as it is now."""
    return _show(PAYMENTS, uuid)


@swish.get("/v1/refunds/<uuid>")
def show_refund(uuid: str) -> Response:
    """A refund as it is now."""
    return _show(REFUNDS, uuid)


def _show(table: str, uuid: str) -> Response:
    def do(whim: Whim) -> Response:
        row = the_books().get(table, uuid)
        return Response(status=404) if row is None else reply(200, shown(row))

    return answered(the_state(), _about("lookup", table, uuid), do)


@swish.patch("/v1/paymentrequests/<uuid>")
def cancel(uuid: str) -> Response:
    """End the wait for the payer."""
    if request.mimetype != "application/json-patch+json" or parsed(request.get_data()) != CANCEL:
        return Response(status=400)

    def do(whim: Whim) -> Response:
        try:
            return reply(200, shown(the_books().cancel(uuid)))
        except Refused as refused:
            if refused.status == 404:
                return Response(status=404)
            wrong = [{"errorCode": refused.code, "errorMessage": refused.message}]
            return Response(json.dumps(wrong), 422, mimetype="application/json")

    return answered(the_state(), _about("void", PAYMENTS, uuid), do)


def _about(operation: str, table: str, uuid: str) -> Ask:
    row = the_books().get(table, uuid)
    named = reference_of(row) if row else None
    fields = {"reference": named, "id": uuid, "dialect": DIALECT, "http_method": request.method}
    return Ask(operation, request.method, request.path, fields)
