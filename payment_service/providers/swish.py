"""Swish (Sweden): payers pay with their bank's app; a merchant is known by a client certificate.

A request is named by an instructionUUID that is made of our reference, so whatever became of it is
found without anything stored. A payer whose phone is known is asked on that phone at once; without
it Swish gives a token for an app link or a QR code, with which nobody can pay before we hand it on.

What each answer means; (?) is what no document at hand says.

| answer                                   | outcome                                        |
|------------------------------------------|------------------------------------------------|
| 201 to a payment                         | REQUIRES_ACTION                                |
| 201 to a refund                          | PENDING; its money is back at PAID             |
| 422 RP09                                 | our first request arrived: as a look-up says   |
| 422 RF09 (a refund is in progress)       | NotSent                                        |
| 422 with other codes                     | DECLINED, by the map below                     |
| 400, 401, 403                            | NotSent: nothing was done, and it is our fault |
| 429                                      | NotSent (?)                                    |
| any other, unreadable, other amount      | unknown                                        |
| no TLS, our certificate refused          | NotSent                                        |
| silence                                  | unknown; NotSent for a token that got lost     |
| look-up: 404                             | never heard of it (?)                          |
| look-up: 404 with a page of HTML         | unknown: it came from what stands in front     |
| payment CREATED                          | REQUIRES_ACTION                                |
| payment PAID, refund PAID                | APPROVED                                       |
| payment DECLINED, ERROR, CANCELLED       | DECLINED                                       |
| refund CREATED, VALIDATED, DEBITED       | PENDING                                        |
| refund ERROR                             | DECLINED                                       |
| ERROR with DS24                          | unknown: Swish does not know it itself         |
| void (PATCH cancelled): CANCELLED        | APPROVED                                       |
| void of what is PAID, DECLINED or ERROR  | DECLINED, not_voidable                         |

Codes: AM04 insufficient_funds; AM02 limit_exceeded; ACMT03, VR01, VR02 method_not_supported; BE18
invalid_token; RF07, BANKIDCL cancelled_by_payer; RF08 refund_exceeds_captured; all others
provider_declined. Swish's own code stands in the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509

from payment_service import http
from payment_service.config import Settings
from payment_service.domain import money
from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers import swish_callbacks, swish_objects
from payment_service.providers.contract import (
    Limits,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.providers.provider import Provider
from payment_service.providers.webhooks import Incoming, Notices, Receipt

log = structlog.get_logger(__name__)

_NOUNS = {
    TransactionType.CHARGE: "paymentrequests",
    TransactionType.VOID: "paymentrequests",
    TransactionType.REFUND: "refunds",
}
_PENDING = ("CREATED", "VALIDATED", "DEBITED")
_ALREADY_THERE, _REFUND_IN_PROGRESS = "RP09", "RF09"
_CANCEL = [{"op": "replace", "path": "/status", "value": "cancelled"}]


@dataclass(frozen=True)
class Merchant:
    """Who we are at Swish: the Swish number, and the secret of our callback identifiers."""

    alias: str
    secret: str = field(repr=False)
    callback_url: str


class SwishProvider(Provider):
    """Our reference is its payeePaymentReference, and the instructionUUID is made of it."""

    name = "swish"
    methods = frozenset({Method.SWISH})
    capabilities = frozenset(_NOUNS)
    currencies = frozenset({"SEK"})
    event_types = swish_callbacks.STATUSES
    webhook_receipt = Receipt()

    def __init__(self, base_url: str, tls: http.Tls, merchant: Merchant, limits: Limits) -> None:
        super().__init__(limits)
        self._base_url = f"{base_url.rstrip('/')}/swish-cpcapi/api"
        self._tls = tls
        self._merchant = merchant

    def page(self, operation: Operation) -> bool:
        """A charge without a payer's phone: its token is nobody's until we hand it on."""
        return operation.type is TransactionType.CHARGE and _phone(operation) is None

    def receive(self, incoming: Incoming) -> Notices:
        """Reads a callback. Nobody signs it, so it only makes us look."""
        merchant = self._merchant
        return swish_callbacks.read(incoming, payee=merchant.alias, secret=merchant.secret)

    def certificate_ends(self) -> datetime | None:
        """When the certificate by which Swish knows us is over."""
        if self._tls.cert is None:
            return None
        found = x509.load_pem_x509_certificates(Path(self._tls.cert).read_bytes())
        return min(one.not_valid_after_utc for one in found)

    def _never_handed_on(self, operation: Operation) -> bool:
        return False  # the look-up itself tells, as our reference finds it

    def _ask(self, operation: Operation) -> Result:
        if operation.type is TransactionType.VOID:
            return self._cancel(operation)
        answer = self._call("PUT", "v2", operation, self._body(operation))
        if answer.status == 201:
            return self._created(answer, operation)
        if answer.status != 422:
            raise OutcomeUnknown(f"answered {answer.status}")
        refused = swish_objects.refusals(answer)
        if _ALREADY_THERE in refused:
            return self._found(operation)
        if _REFUND_IN_PROGRESS in refused:
            raise NotSent("another refund of the payment is in progress", counts=False)
        code, says = next(iter(refused.items()))
        return swish_objects.declined(code, says)

    def _cancel(self, operation: Operation) -> Result:
        answer = self._call("PATCH", "v1", operation, _CANCEL)
        if answer.status == 422:  # it is over; how, it does not say in a way that we know
            return self._found(operation)
        if answer.status != 200:
            raise OutcomeUnknown(f"answered {answer.status}")
        read = self._read(answer, operation)
        if read is None:
            raise OutcomeUnknown("asked to cancel, it goes on waiting")
        return read

    def _found(self, operation: Operation) -> Result:
        """What stands there, when it has said that the request is there: so nothing that keeps us
        from looking makes it one that was not sent."""
        try:
            found = self._lookup(operation)
        except NotSent as error:
            raise OutcomeUnknown(f"it is there, and can't be looked up: {error}") from error
        if found is None:
            raise OutcomeUnknown("it is there, and not found")
        return found

    def _lookup(self, operation: Operation) -> Result | None:
        answer = self._call("GET", "v1", operation)
        if answer.status == 404:
            if swish_objects.is_page(answer):
                raise OutcomeUnknown("a page says 404, and Swish answers none")
            if operation.type is TransactionType.VOID:
                raise OutcomeUnknown("the payment that was to be cancelled is not found")
            return None
        if answer.status != 200:
            raise OutcomeUnknown(f"look-up answered {answer.status}")
        return self._read(answer, operation)

    def _call(
        self, method: str, version: str, operation: Operation, body: Any = None
    ) -> http.Response:
        url = f"{self._base_url}/{version}/{_NOUNS[operation.type]}/{_uuid(operation)}"
        timeout = self.limits.timeout
        kind = "application/json-patch+json" if method == "PATCH" else "application/json"
        try:
            if method == "GET":
                answer = http.get(url, timeout=timeout, tls=self._tls)
            else:
                headers = {"Content-Type": kind}
                answer = http.call(
                    method, url, body=body, headers=headers, timeout=timeout, tls=self._tls
                )
        except http.Unreachable as error:
            log.warning("swish_not_reached", reference=operation.reference, why=str(error))
            raise NotSent(str(error)) from error
        except http.Silence as error:
            raise OutcomeUnknown(str(error)) from error
        if answer.status in (400, 401, 403):
            # By its document nothing was done; it is our certificate, our number or our code.
            log.error("swish_refused_us", reference=operation.reference, status=answer.status)
            raise NotSent(f"it does not take us: {answer.status}")
        if answer.status == 429:
            raise NotSent("asked to slow down", counts=False)
        return answer

    def _body(self, operation: Operation) -> dict[str, Any]:
        refund = operation.type is TransactionType.REFUND
        plain = swish_callbacks.plain(operation.reference)
        body = {
            "callbackUrl": self._merchant.callback_url,
            "callbackIdentifier": swish_callbacks.identifier(
                _uuid(operation), self._merchant.secret
            ),
            "amount": money.format_amount(operation.amount, operation.currency),
            "currency": operation.currency,
            "message": swish_objects.message(operation.description),
        }
        if refund:
            body["originalPaymentReference"] = operation.provider_reference
            body["payerAlias"] = self._merchant.alias
            body["payerPaymentReference"] = plain
        else:
            body["payerAlias"] = _phone(operation)
            body["payeeAlias"] = self._merchant.alias
            body["payeePaymentReference"] = plain
        return {name: value for name, value in body.items() if value is not None}

    def _created(self, answer: http.Response, operation: Operation) -> Result:
        if operation.type is TransactionType.REFUND:
            return Result(Outcome.PENDING, _uuid(operation))
        action = {"type": "app"}
        if self.page(operation):
            token = answer.headers.get("PaymentRequestToken")
            if not token:
                raise OutcomeUnknown("it gave no token")
            action |= swish_objects.handed_on(token, operation.return_url)
        return Result(Outcome.REQUIRES_ACTION, _uuid(operation), next_action=action)

    def _read(self, answer: http.Response, operation: Operation) -> Result | None:
        """Its object as a Result; None where it shows that the request was not received, or is one
        that nobody can ever pay."""
        try:
            found = answer.json()
            self._expect_ours(found, operation)
            if operation.type is TransactionType.VOID:
                return swish_objects.of_cancel(found)
            status = found["status"]
            if status == "PAID":
                own = _uuid(operation) if operation.type is TransactionType.REFUND else None
                return swish_objects.paid(found, operation.amount, known_as=own)
            if status == "CANCELLED" and operation.type is TransactionType.CHARGE:
                return swish_objects.declined(status, None, _uuid(operation))
            if status in ("DECLINED", "ERROR"):
                code = str(found.get("errorCode") or status)
                return swish_objects.declined(code, found.get("errorMessage"), _uuid(operation))
            if status not in _PENDING:
                raise ValueError("another status")
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise OutcomeUnknown(f"unreadable answer: {type(error).__name__}") from error
        if operation.type is TransactionType.REFUND:
            return Result(Outcome.PENDING, _uuid(operation))
        if self.page(operation) and operation.known_as is None and not found.get("payerAlias"):
            return None  # its token was lost, as nobody kept an answer
        told = self.page(operation) or operation.known_as is not None
        action = None if told else {"type": "app"}
        return Result(Outcome.REQUIRES_ACTION, _uuid(operation), next_action=action)

    def _expect_ours(self, found: Mapping[str, Any], operation: Operation) -> None:
        """Raises ValueError for an object about something else than what was asked."""
        refund = operation.type is TransactionType.REFUND
        void = operation.type is TransactionType.VOID
        asked = operation.charge_amount if void else operation.amount
        reference = operation.charge_reference if void else operation.reference
        named = found.get("payerPaymentReference" if refund else "payeePaymentReference")
        plain = swish_callbacks.plain(reference or "")
        if found["id"] != _uuid(operation) or named not in (None, plain):
            raise ValueError("another request")
        if found["payerAlias" if refund else "payeeAlias"] != self._merchant.alias:
            raise ValueError("another merchant")
        if found["currency"] != operation.currency:
            raise ValueError("another currency")
        if swish_objects.minor(found["amount"], operation.currency) != (asked or operation.amount):
            raise ValueError("another amount")


def swish_of(settings: Settings, limits: Limits) -> SwishProvider | None:
    """What the settings say of Swish; None if it is off."""
    url, alias = settings.swish_api_url, settings.swish_payee_alias
    secret, public = settings.swish_callback_secret, settings.public_url
    if not (url and alias and secret and public):
        return None
    tls = http.Tls(settings.swish_cert_path, settings.swish_key_path, settings.swish_ca_path)
    callback = f"{public.rstrip('/')}/v1/webhooks/{SwishProvider.name}"
    return SwishProvider(url, tls, Merchant(alias, secret, callback), limits)


def _uuid(operation: Operation) -> str:
    """The instructionUUID of what the operation is about: a void is about its charge."""
    void = operation.type is TransactionType.VOID
    return swish_callbacks.instruction_uuid(
        (operation.charge_reference or "") if void else operation.reference
    )


def _phone(operation: Operation) -> str | None:
    """As Swish has it, without a plus sign."""
    phone = operation.payer.phone if operation.payer else None
    return phone.lstrip("+") if phone else None
