"""The sandbox's provider, over real HTTP: the plainest example of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from payment_service import http
from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers import members
from payment_service.providers.contract import (
    DECLINE_CODES,
    Extra,
    Limits,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.providers.listing import Listed
from payment_service.providers.provider import Provider

_OUTCOMES = {
    "captured": Outcome.APPROVED,
    "authorized": Outcome.APPROVED,
    "succeeded": Outcome.APPROVED,
    "voided": Outcome.APPROVED,
    "declined": Outcome.DECLINED,
    "pending": Outcome.PENDING,
    "requires_action": Outcome.REQUIRES_ACTION,
}


class SandboxProvider(Provider):
    """Speaks the wire that docs/sandbox.md describes. Amounts are minor units there too."""

    name = "sandbox"
    methods = frozenset(Method) - {Method.CASH}
    capabilities = frozenset(TransactionType) | {Extra.LISTING}

    def __init__(self, base_url: str, limits: Limits) -> None:
        super().__init__(limits)
        self._base_url = base_url.rstrip("/")

    def _ask(self, operation: Operation) -> Result:
        path, body = request_for(operation)
        try:
            answer = http.call(
                "POST",
                self._base_url + path,
                body=body,
                headers={"Idempotency-Key": operation.reference},
                timeout=self.limits.timeout,
            )
        except http.Unreachable as error:
            raise NotSent(str(error)) from error
        except http.Silence as error:
            raise OutcomeUnknown(str(error)) from error
        if answer.status == 429:
            raise NotSent("asked to slow down", retry_after=_seconds(answer), counts=False)
        if answer.status not in (200, 201, 402):
            raise OutcomeUnknown(f"answered {answer.status}")
        return _read(answer, operation)

    def _lookup(self, operation: Operation) -> Result | None:
        url = f"{self._base_url}/psp/operations/{quote(operation.reference, '')}"
        try:
            answer = http.get(url, timeout=self.limits.timeout)
        except (http.Unreachable, http.Silence) as error:
            raise OutcomeUnknown(str(error)) from error
        if answer.status == 404 and _error(answer) == "not_found":
            return None
        if answer.status != 200:
            raise OutcomeUnknown(f"look-up answered {answer.status}")
        return _read(answer, operation)

    def since(self, moment: datetime) -> Iterator[Listed]:
        asked = {"since": moment.astimezone(UTC).isoformat()}
        while True:
            url = f"{self._base_url}/psp/operations?{urlencode(asked)}"
            try:
                page = http.get(url, timeout=self.limits.timeout).json()
                yield from map(_listed, page["operations"])
                if (following := page["next"]) is None:
                    return
            except (http.Unreachable, http.Silence) as error:
                raise OutcomeUnknown(str(error)) from error
            except (ValueError, KeyError, TypeError) as error:
                raise OutcomeUnknown(f"unreadable list: {error!r}") from error
            asked["after"] = str(following)


def _listed(found: dict[str, Any]) -> Listed:
    kind = TransactionType(found["kind"].upper())
    if kind is TransactionType.CHARGE and not found["capture"]:
        kind = TransactionType.AUTHORIZATION
    return Listed(
        type=kind,
        reference=found["reference"],
        amount=int(found["amount_minor"]),
        currency=found["currency"],
        outcome=_outcome(found),
        provider_reference=found["id"],
        occurred_at=datetime.fromisoformat(found["created_at"]),
        charge_reference=found.get("charge_reference"),
    )


def _outcome(found: dict[str, Any]) -> Outcome:
    if found["kind"] == "charge" and found["state"] == "voided":
        return Outcome.DECLINED  # asked for as a hold or charge, it holds nothing now
    return _OUTCOMES[found["state"]]


def request_for(operation: Operation) -> tuple[str, dict[str, Any]]:
    """The path and the body by which the provider is asked for the operation."""
    body: dict[str, Any] = {"reference": operation.reference}
    charge = quote(operation.charge_reference or "", "")
    if operation.type is TransactionType.VOID:
        return f"/psp/charges/{charge}/voids", body
    body["amount_minor"] = operation.amount
    if operation.type is TransactionType.CAPTURE:
        return f"/psp/charges/{charge}/captures", body
    body["currency"] = operation.currency
    if operation.type is TransactionType.REFUND:
        return "/psp/refunds", body | {"charge_reference": operation.charge_reference}
    if operation.return_url:
        body["return_url"] = operation.return_url
    return "/psp/charges", body | {
        "method": operation.method,
        "payment_token": operation.payment_token,
        "capture": operation.type is TransactionType.CHARGE,
        "description": operation.description,
    }


def _read(answer: http.Response, operation: Operation) -> Result:
    """The provider's object as a Result. Whatever does not fit what we asked is unknown."""
    try:
        found = answer.json()
        outcome = _outcome(found)
        if found["reference"] != operation.reference:
            raise ValueError("another reference")
        if found["currency"] != operation.currency:
            raise ValueError("another currency")
        return Result(
            outcome=outcome,
            provider_reference=members.text(found["id"]),
            amount_approved=members.minor(found.get("amount_minor")) or operation.amount,
            authorization_code=found.get("authorization_code"),
            fee=found.get("fee_minor"),
            failure_code=_decline_code(found) if outcome is Outcome.DECLINED else None,
            failure_message=found.get("message"),
            next_action=found.get("next_action"),
            occurred_at=datetime.fromisoformat(found["created_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutcomeUnknown(f"unreadable answer: {error}") from error


def _decline_code(found: dict[str, Any]) -> str:
    code = found.get("decline_code")
    return code if code in DECLINE_CODES else "provider_declined"


def _error(answer: http.Response) -> Any:
    try:
        return answer.json().get("error")
    except (ValueError, AttributeError):
        return None


def _seconds(answer: http.Response) -> float:
    value = answer.headers.get("Retry-After", "1")
    return min(float(value), 60.0) if value.isdigit() else 1.0
