"""First Iraqi Bank: the payer pays in its app, by a link or a QR code. Whole dinars.

Marks as in the facts that this rests on: (c) read in client code that is in use.

| asked | answer | outcome |
|---|---|---|
| create | 201 or 200 with paymentId (c) | REQUIRES_ACTION |
| create | 400, 422 | NotSent, and no word against the bank's health |
| create | anything else, silence | NotSent: nobody has the link |
| cancel | 204 (c) | APPROVED |
| refund | 202 (c) | PENDING, and known there from then on |
| cancel, refund | 401, 403, 429 | NotSent |
| cancel, refund | anything else, silence | unknown |

| status | of a charge | of a void | of a refund |
|---|---|---|---|
| UNPAID (c) | REQUIRES_ACTION | never received | unknown |
| PAID (c) | APPROVED | DECLINED, not_voidable | never received; after a 202 it stays open |
| DECLINED, PAYMENT_CANCELLATION (c) | DECLINED, cancelled_by_payer | APPROVED | unknown |
| DECLINED, PAYMENT_EXPIRATION (c) | EXPIRED | APPROVED | unknown |
| DECLINED for another reason | DECLINED, provider_declined | APPROVED | unknown |
| REFUND_REQUESTED (c) | APPROVED | DECLINED, not_voidable | PENDING |
| REFUNDED (c) | APPROVED | DECLINED, not_voidable | APPROVED |
| any other | unknown | unknown | unknown |

It gives back all of a payment, once, and gives a refund no id. Whose refund it was it can't say, so
one that was given up for lost is found in a later one, too. PAID after it took a refund may be old
news or a no of the bank's: that is not known (?), so it waits for other news, or for a person who
has asked the bank.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.json_objects import each_once
from payment_service.providers import dinars, members
from payment_service.providers.client_credentials import ClientCredentials
from payment_service.providers.contract import (
    Limits,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.providers.provider import Provider
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Notices,
    Receipt,
    RefusedFor,
    Trust,
    WebhookRefused,
)

LONGEST_DESCRIPTION = 50
REFUNDABLE_FOR = "P7D"
"""As its own clients ask. Later than that a person gives it back, at the bank."""

_PAID = frozenset({"PAID", "REFUND_REQUESTED", "REFUNDED"})
_REASONS = {"PAYMENT_CANCELLATION": "cancelled_by_payer"}
_EXPIRED = "PAYMENT_EXPIRATION"


class FibProvider(Provider):
    """It knows no reference of ours: what it was asked is looked up by its own id only."""

    name = "fib"
    methods = frozenset({Method.CARD})
    capabilities = frozenset({TransactionType.CHARGE, TransactionType.VOID, TransactionType.REFUND})
    currencies = frozenset({dinars.CURRENCY})
    steps = dinars.STEPS
    full_refunds_only = True
    event_types = _PAID | {"UNPAID", "DECLINED"}
    webhook_receipt = Receipt(202)

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        limits: Limits,
        *,
        public_url: str,
        page_seconds: float,
    ) -> None:
        """`public_url` is where it reaches us, `page_seconds` how long a payer has to pay."""
        super().__init__(limits)
        base = base_url.rstrip("/")
        self._payments = f"{base}/protected/v1/payments"
        self._bank = ClientCredentials(
            self.name,
            f"{base}/auth/realms/fib-online-shop/protocol/openid-connect/token",
            {"client_id": client_id, "client_secret": client_secret},
        )
        self._callbacks = f"{public_url.rstrip('/')}/v1/webhooks/{self.name}"
        self._callback_key = hashlib.sha256(f"fib callback\0{client_secret}".encode()).digest()
        self._expires_in = f"PT{max(1, round(page_seconds / 60))}M"

    def page(self, operation: Operation) -> bool:
        return operation.type is TransactionType.CHARGE

    def _ask(self, operation: Operation) -> Result:
        if operation.type is TransactionType.CHARGE:
            return self._open(operation)
        known_as = _payment_of(operation)
        if operation.type is TransactionType.VOID:
            self._command(known_as, "cancel", done=204)
            return Result(Outcome.APPROVED, f"{known_as}/cancel")
        self._command(known_as, "refund", done=202)
        return Result(Outcome.PENDING, _refund_of(operation))

    def _open(self, operation: Operation) -> Result:
        asked = {
            "monetaryValue": {
                "amount": dinars.whole(operation.amount),
                "currency": operation.currency,
            },
            "statusCallbackUrl": self._callback_url(operation.reference),
            "description": (operation.description or operation.reference)[:LONGEST_DESCRIPTION],
            "expiresIn": self._expires_in,
            "refundableFor": REFUNDABLE_FOR,
        }
        if operation.return_url:
            asked["redirectUri"] = operation.return_url
        answer = self._bank.call("POST", self._payments, asked, timeout=self.limits.timeout)
        if answer.status in (400, 422):  # it is about this one request, and no sign of ill health
            raise NotSent(f"refused with {answer.status}", counts=False)
        if answer.status not in (200, 201):
            raise OutcomeUnknown(f"answered {answer.status}")
        try:
            found = answer.json()
            action = {
                "type": "app",
                "url": members.link(found["personalAppLink"]),
                "token": members.text_or_none(found.get("readableCode")),
                "qr": members.picture(found.get("qrCode")),
                "expires_at": members.written(found.get("validUntil")),
            }
            known_as = members.text(found["paymentId"])
            told = {name: value for name, value in action.items() if value is not None}
            return Result(Outcome.REQUIRES_ACTION, known_as, next_action=told)
        except (ValueError, KeyError, TypeError) as error:
            raise OutcomeUnknown(f"unreadable answer: {error!r}") from error

    def _command(self, known_as: str, verb: str, *, done: int) -> None:
        answer = self._bank.call(
            "POST", f"{self._payments}/{quote(known_as, '')}/{verb}", timeout=self.limits.timeout
        )
        if answer.status != done:
            raise OutcomeUnknown(f"{verb} answered {answer.status}")

    def _lookup(self, operation: Operation) -> Result | None:
        charge = operation.type is TransactionType.CHARGE
        known_as = operation.known_as if charge else _payment_of(operation)
        answer = self._bank.call(
            "GET",
            f"{self._payments}/{quote(known_as or '', '')}/status",
            timeout=self.limits.timeout,
        )
        if answer.status != 200:
            raise OutcomeUnknown(f"look-up answered {answer.status}")
        try:
            found = answer.json()
            if found["paymentId"] != known_as:
                raise ValueError("another payment")
            _expect_amount(found.get("amount"), operation)
            return _READ[operation.type](found, operation)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutcomeUnknown(f"unreadable answer: {error!r}") from error

    def _callback_url(self, reference: str) -> str:
        asked = {"reference": reference, "mac": self._mac(reference)}
        return f"{self._callbacks}?{urlencode(asked)}"

    def _mac(self, reference: str) -> str:
        return hmac.new(
            self._callback_key, reference.encode(errors="replace"), hashlib.sha256
        ).hexdigest()

    def receive(self, incoming: Incoming) -> Notices:
        """It is unsigned; the MAC that we put into the address says that FIB was given it, and so
        no stranger makes us ask."""
        reference, mac = incoming.arguments.get("reference"), incoming.arguments.get("mac")
        if not reference or not mac:
            raise WebhookRefused(RefusedFor.NO_SIGNATURE)
        if not hmac.compare_digest(self._mac(reference).encode(), mac.encode(errors="replace")):
            raise WebhookRefused(RefusedFor.BAD_SIGNATURE)
        try:
            found = json.loads(incoming.body, object_pairs_hook=each_once)
            known_as, status = members.text(found["id"]), members.text(found["status"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise WebhookRefused(RefusedFor.UNREADABLE) from None
        notice = Notice(f"{known_as}:{status}", status, reference=reference, known_as=known_as)
        return Notices(Trust.UNSIGNED, (notice,))


def _charge(found: dict[str, Any], operation: Operation) -> Result:
    status, known_as = found["status"], operation.known_as
    if status in _PAID:
        paid_at = members.moment(found.get("paidAt"))
        return Result(Outcome.APPROVED, known_as, operation.amount, occurred_at=paid_at)
    if status == "UNPAID":
        return Result(Outcome.REQUIRES_ACTION, known_as)
    if status != "DECLINED":
        raise ValueError("a status that is not known")
    declined_at, reason = members.moment(found.get("declinedAt")), found.get("decliningReason")
    if reason == _EXPIRED:
        return Result(Outcome.EXPIRED, known_as, occurred_at=declined_at)
    return Result(
        Outcome.DECLINED,
        known_as,
        failure_code=_REASONS.get(str(reason), "provider_declined"),
        failure_message=str(reason) if reason else None,
        occurred_at=declined_at,
    )


def _void(found: dict[str, Any], operation: Operation) -> Result | None:
    known_as, status = f"{_payment_of(operation)}/cancel", found["status"]
    if status == "UNPAID":
        return None
    if status in _PAID:
        return Result(Outcome.DECLINED, known_as, failure_code="not_voidable")
    if status == "DECLINED":  # whoever ended it, nobody can pay it any more
        return Result(
            Outcome.APPROVED, known_as, occurred_at=members.moment(found.get("declinedAt"))
        )
    raise ValueError("a status that is not known")


def _refund(found: dict[str, Any], operation: Operation) -> Result | None:
    status = found["status"]
    if status == "PAID":  # believed only after its settling time, and of none that it had taken
        return None
    if status == "REFUND_REQUESTED":
        return Result(Outcome.PENDING, _refund_of(operation))
    if status == "REFUNDED":
        return Result(Outcome.APPROVED, _refund_of(operation), operation.amount)
    raise ValueError("no status of a refund")


_READ: dict[str, Callable[[dict[str, Any], Operation], Result | None]] = {
    TransactionType.CHARGE: _charge,
    TransactionType.VOID: _void,
    TransactionType.REFUND: _refund,
}


def _payment_of(operation: Operation) -> str:
    """Its id of the payment that a void or refund is about."""
    if operation.provider_reference is None:
        raise NotSent("the payment that it is about has no id there", counts=False)
    return operation.provider_reference


def _refund_of(operation: Operation) -> str:
    """Our name for what has none there: that it is set says that the bank took the refund."""
    return f"{_payment_of(operation)}/refund"


def _expect_amount(value: Any, operation: Operation) -> None:
    """Raises ValueError where it is not that of the charge."""
    if isinstance(value, dict):
        if value.get("currency") != operation.currency:
            raise ValueError("another currency")
        value = value["amount"]
    if dinars.minor(value) != (operation.charge_amount or operation.amount):
        raise ValueError("another amount")
