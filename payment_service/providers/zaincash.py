"""ZainCash v2: the payer pays on its page. Whole dinars.

Marks as in the facts that this rests on: (c) read in client code that is in use, (?) from memory.

| asked | answer | outcome |
|---|---|---|
| init | 200 or 201 with the id, the page and what we asked for (c) | REQUIRES_ACTION |
| init | 400, 422 | NotSent, and no word against its health |
| init | anything else, silence | NotSent: nobody has the page |
| refund | asked of nobody: how it reverses is not known to us (?) | PENDING, until a person says |

| status of an inquiry | outcome |
|---|---|
| SUCCESS, with the amount that was asked for (c) | APPROVED |
| FAILED (c) | DECLINED, provider_declined |
| PENDING, OTP_SENT, CUSTOMER_AUTHENTICATION_REQUIRED, EXPIRED: not final (c) | REQUIRES_ACTION |
| any other | unknown |

Nothing ends its page but the page's own time, some 15 minutes. It names no reasons for a no.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import jwt
from jwt.types import Options

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

ALGORITHM = "HS256"
LEAST = 250
"""Dinars. Once it was 1000; where it still is, its own no is heard."""
STATUS_CHANGED = "STATUS_CHANGED"
LEEWAY = 60.0
"""Seconds that its clock may be off by, where a token says times."""

_ONLY_TIMES: Options = {"verify_aud": False, "verify_sub": False, "verify_jti": False}

_GATEWAY = "/api/v2/payment-gateway/transaction"
_WAITING = frozenset({"PENDING", "OTP_SENT", "CUSTOMER_AUTHENTICATION_REQUIRED", "EXPIRED"})


class ZainCashProvider(Provider):
    """Our reference is its orderId, and a UUID made of it its externalReferenceId; but what it was
    asked is looked up by its own id only. What it gives back, a person gives back."""

    name = "zaincash"
    methods = frozenset({Method.WALLET})
    capabilities = frozenset({TransactionType.CHARGE, TransactionType.REFUND})
    by_hand = frozenset({TransactionType.REFUND})
    currencies = frozenset({dinars.CURRENCY})
    steps = dinars.STEPS
    least = MappingProxyType({dinars.CURRENCY: LEAST * dinars.STEP})
    cancels_waiting = False
    event_types = frozenset({STATUS_CHANGED})
    webhook_receipt = Receipt()

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        limits: Limits,
        *,
        api_key: str,
        service_type: str,
    ) -> None:
        super().__init__(limits)
        base = base_url.rstrip("/")
        self._gateway = base + _GATEWAY
        self._service_type = service_type
        # Its documents say the one, code that is in use the other.
        self._keys = (api_key, client_secret)
        self._wallet = ClientCredentials(
            self.name,
            f"{base}/oauth2/token",
            {
                "client_id": client_id,
                "client_secret": client_secret,
                "scope": "payment:read payment:write",
            },
        )

    def page(self, operation: Operation) -> bool:
        return operation.type is TransactionType.CHARGE

    def _ask(self, operation: Operation) -> Result:
        if operation.type in self.by_hand:
            return Result(Outcome.PENDING)
        answer = self._wallet.call(
            "POST", f"{self._gateway}/init", self._asked(operation), timeout=self.limits.timeout
        )
        if answer.status in (400, 422):  # it is about this one request, and no sign of ill health
            raise NotSent(f"refused with {answer.status}", counts=False)
        if answer.status not in (200, 201):
            raise OutcomeUnknown(f"answered {answer.status}")
        try:
            found = answer.json()
            details = found["transactionDetails"]
            _expect_ours(details, operation)
            if found["status"] not in _WAITING:
                raise ValueError("a page that does not wait")
            action = {"type": "redirect", "url": members.link(found["redirectUrl"])}
            if expires_at := members.written(found.get("expiryTime")):
                action["expires_at"] = expires_at
            known_as = members.text(details["transactionId"])
            return Result(Outcome.REQUIRES_ACTION, known_as, next_action=action)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutcomeUnknown(f"unreadable answer: {error!r}") from error

    def _asked(self, operation: Operation) -> dict[str, Any]:
        if operation.return_url is None:
            raise NotSent("the payer would have no way back", counts=False)
        asked: dict[str, Any] = {
            "language": "en",  # also ar and ku; its page lets the payer choose
            "externalReferenceId": _external(operation.reference),
            "orderId": operation.reference,
            "serviceType": self._service_type,
            "amount": {
                "value": str(dinars.whole(operation.amount)),
                "currency": operation.currency,
            },
            "redirectUrls": {
                "successUrl": operation.return_url,
                "failureUrl": operation.return_url,
            },
        }
        if operation.payer and operation.payer.phone:
            asked["customer"] = {"phone": operation.payer.phone.removeprefix("+")}
        return asked

    def _lookup(self, operation: Operation) -> Result | None:
        if operation.type in self.by_hand:
            return Result(Outcome.PENDING)
        known_as = operation.known_as or ""
        answer = self._wallet.call(
            "GET", f"{self._gateway}/inquiry/{quote(known_as, '')}", timeout=self.limits.timeout
        )
        if answer.status != 200:
            raise OutcomeUnknown(f"look-up answered {answer.status}")
        try:
            found = answer.json()
            details = found["transactionDetails"]
            if details.get("transactionId", known_as) != known_as:
                raise ValueError("another transaction")
            return _read(found["status"], details, operation)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutcomeUnknown(f"unreadable answer: {error!r}") from error

    def receive(self, incoming: Incoming) -> Notices:
        """It is signed, and says no amount: its yes is looked up."""
        said = self._verified(_token_of(incoming.body))
        try:
            key, kind = members.text(said["eventId"]), members.text(said["eventType"])
            data = said["data"]
            if kind != STATUS_CHANGED:
                return _one(Notice(key, kind, taken=False))
            reference, status = members.text(data["orderId"]), members.text(data["currentStatus"])
            ours = data["merchantReferenceId"] == _external(reference)
            known_as = members.text(data["transactionId"])
        except (ValueError, KeyError, TypeError):
            raise WebhookRefused(RefusedFor.UNREADABLE) from None
        return _one(
            Notice(
                key,
                kind,
                reference=reference,
                known_as=known_as,
                result=_failed(known_as) if status == "FAILED" else None,
                mismatch=None if ours else "merchantReferenceId",
                taken=status not in _WAITING,  # these decide nothing, and a look-up tells no more
            )
        )

    def _verified(self, token: str) -> dict[str, Any]:
        """What the token says. Raises WebhookRefused."""
        reason = RefusedFor.BAD_SIGNATURE
        for key in self._keys:
            try:
                said: dict[str, Any] = jwt.decode(
                    token, key, algorithms=[ALGORITHM], leeway=LEEWAY, options=_ONLY_TIMES
                )
                return said
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                reason = RefusedFor.TOO_OLD
            except jwt.DecodeError:
                reason = RefusedFor.UNREADABLE
            except jwt.PyJWTError:
                pass
            break
        raise WebhookRefused(reason)


def _one(notice: Notice) -> Notices:
    return Notices(Trust.SIGNED, (notice,))


def _token_of(body: bytes) -> str:
    """The JWT, which may be all of the body or a member of it (?). Raises WebhookRefused."""
    try:
        text = body.decode("ascii").strip()
        if not text:
            raise WebhookRefused(RefusedFor.NO_SIGNATURE)
        if not text.startswith("{"):
            return text
        found = json.loads(text, object_pairs_hook=each_once)
    except (ValueError, RecursionError):
        raise WebhookRefused(RefusedFor.UNREADABLE) from None
    for name in ("webhook_token", "token"):
        if isinstance(found.get(name), str):
            token: str = found[name]
            return token
    raise WebhookRefused(RefusedFor.NO_SIGNATURE)


def _external(reference: str) -> str:
    """The UUID by which it knows a reference of ours; the same for the same one."""
    return str(uuid5(NAMESPACE_URL, f"payment-service:{reference}"))


def _expect_ours(details: dict[str, Any], operation: Operation) -> None:
    """Raises ValueError where it is not what we asked for."""
    if details["orderId"] != operation.reference:
        raise ValueError("another order")
    if details["externalReferenceId"] != _external(operation.reference):
        raise ValueError("another reference")
    _expect_amount(details["amount"], operation)


def _expect_amount(amount: dict[str, Any], operation: Operation) -> None:
    if amount.get("currency", operation.currency) != operation.currency:
        raise ValueError("another currency")
    if dinars.minor(amount["value"]) != operation.amount:
        raise ValueError("another amount")


def _read(status: str, details: dict[str, Any], operation: Operation) -> Result:
    known_as = operation.known_as
    if details.get("orderId", operation.reference) != operation.reference:
        raise ValueError("another order")
    _expect_amount(details["amount"], operation)
    if status == "SUCCESS":
        fee = _fee(details["amount"].get("feeValue"))
        return Result(Outcome.APPROVED, known_as, operation.amount, fee=fee)
    if status == "FAILED":
        return _failed(known_as)
    if status in _WAITING:
        return Result(Outcome.REQUIRES_ACTION, known_as)
    raise ValueError("a status that is not known")


def _fee(value: Any) -> int | None:
    """None for what can't be read: it must not keep the outcome from us."""
    try:
        return dinars.minor(value)
    except ValueError:
        return None


def _failed(known_as: str | None) -> Result:
    return Result(Outcome.DECLINED, known_as, failure_code="provider_declined")
