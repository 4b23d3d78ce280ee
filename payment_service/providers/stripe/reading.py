"""What Stripe's objects say of a request of ours. Each of these functions raises one of
`answers.UNREADABLE` for an object that does not fit what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from payment_service.domain.vocabulary import ASKS, TransactionType
from payment_service.providers import members
from payment_service.providers.contract import Operation, Outcome, Result
from payment_service.providers.stripe import declines

Found = Mapping[str, Any]

CAPTURE = "capture"
"""The name in an intent's metadata under which our reference of its capture stands. An intent is
captured once; without it, a capture that was given up would be taken for the one after it."""

_REFUNDS = {
    "pending": Outcome.PENDING,
    "requires_action": Outcome.PENDING,
    "succeeded": Outcome.APPROVED,
    "failed": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}


def reference_of(found: Found, name: str = "reference") -> str | None:
    """Our reference in the metadata of an object, if it has one."""
    value = (found.get("metadata") or {}).get(name)
    return value if isinstance(value, str) and value else None


def asked_by(event: Found) -> str | None:
    """The idempotency key of the request that an event comes from: our reference, if that was a
    request of ours."""
    key = (event.get("request") or {}).get("idempotency_key")
    return key if isinstance(key, str) else None


def expect_ours(found: Found, operation: Operation, *, live: bool) -> None:
    """Raises ValueError unless the charge's intent, or the refund, is the one that we asked for."""
    if reference_of(found) != (None if operation.is_adopted else operation.reference):
        raise ValueError("another reference")
    if found["amount"] != operation.amount or found["currency"] != operation.currency.lower():
        raise ValueError("another amount or currency")
    # A refund does not say in which mode it was made; its intent does.
    if found.get("livemode", live) is not live:
        raise ValueError("another mode than the key's")


def charge(intent: Found, *, key: str | None = None) -> Result:
    """How an intent stands as the charge, or the hold, that it was asked for. `key` is the
    publishable one, which a payer's app needs."""
    status, held = intent["status"], intent["capture_method"] == "manual"
    failed = intent.get("last_payment_error")
    known: dict[str, Any] = {
        "provider_reference": members.text(intent["id"]),
        "occurred_at": _born(intent),
    }
    if status == "succeeded" or (held and status == "requires_capture"):
        taken = intent["amount"] if held else members.minor(intent.get("amount_received"))
        return Result(Outcome.APPROVED, amount_approved=taken, **known, **_of_charge(intent))
    if status == "requires_action":
        return Result(Outcome.REQUIRES_ACTION, next_action=_action(intent, key), **known)
    if status == "requires_payment_method" and not failed:
        return Result(Outcome.REQUIRES_ACTION, next_action=_sdk(intent, key), **known)
    if status == "processing":
        return Result(Outcome.PENDING, **known)
    if status in ("requires_payment_method", "canceled"):
        why = failed or {"code": "canceled", "message": intent.get("cancellation_reason")}
        # Whoever was sent away holds the client_secret, and may try it again until it is canceled.
        return declined(why, still_open=status != "canceled", **known)
    raise ValueError(f"an intent that is {status}")


def capture(intent: Found, operation: Operation) -> Result | None:
    """How the capture of a hold stands; None if it never came."""
    status, by = intent["status"], reference_of(intent, CAPTURE)
    if status == "requires_capture":
        return None
    if status == "succeeded" and by in (operation.reference, None):
        taken = members.minor(intent.get("amount_received"))
        return Result(Outcome.APPROVED, members.text(intent["id"]), taken, **_of_charge(intent))
    if status in ("succeeded", "canceled"):
        return Result(
            Outcome.DECLINED,
            members.text(intent["id"]),
            failure_code="not_capturable",
            failure_message=f"the intent is {status}",
        )
    raise ValueError(f"an intent to capture that is {status}")


def void(intent: Found) -> Result | None:
    """How the cancel of an intent stands; None if it never came."""
    status = intent["status"]
    if status == "canceled":
        return Result(Outcome.APPROVED, members.text(intent["id"]))
    if status == "succeeded":
        return Result(
            Outcome.DECLINED,
            members.text(intent["id"]),
            failure_code="not_voidable",
            failure_message="the intent has succeeded",
        )
    if status.startswith("requires_"):
        return None
    raise ValueError(f"an intent to cancel that is {status}")


def refund(found: Found) -> Result:
    """How a refund stands."""
    outcome = _REFUNDS[found["status"]]
    known: dict[str, Any] = {
        "provider_reference": members.text(found["id"]),
        "occurred_at": _born(found),
    }
    if outcome is Outcome.DECLINED:
        why = found.get("failure_reason") or found["status"]
        return declined({"code": why, "message": "the refund failed"}, **known)
    taken = members.minor(found["amount"]) if outcome is Outcome.APPROVED else None
    return Result(outcome, amount_approved=taken, **known)


def declined(error: Found, **known: Any) -> Result:
    """A no for the reason that an error object names."""
    return Result(
        Outcome.DECLINED,
        failure_code=declines.code_of(error),
        failure_message=declines.message_of(error),
        **known,
    )


def of_intent(intent: Found, operation: Operation, *, live: bool, key: str | None) -> Result | None:
    """How the operation stands by its intent; None if it never came.

    Raises ValueError for another intent than that of the operation.
    """
    if operation.type in ASKS:
        expect_ours(intent, operation, live=live)
        if (intent["capture_method"] == "manual") is (operation.type is TransactionType.CHARGE):
            raise ValueError("a hold for a charge, or a charge for a hold")
        return charge(intent, key=key)
    if intent["id"] != operation.provider_reference or intent["livemode"] is not live:
        raise ValueError("another intent, or another mode")
    if intent["currency"] != operation.currency.lower():
        raise ValueError("another currency")
    if operation.type is TransactionType.CAPTURE:
        return capture(intent, operation)
    return void(intent)


def _of_charge(intent: Found) -> dict[str, Any]:
    """What only the charge of an intent knows, where it came along."""
    made = intent.get("latest_charge")
    if not isinstance(made, Mapping):
        return {}
    card = (made.get("payment_method_details") or {}).get("card") or {}
    booked = made.get("balance_transaction")
    same = isinstance(booked, Mapping) and booked["currency"] == intent["currency"]
    return {
        "authorization_code": card.get("authorization_code"),
        "fee": booked["fee"] if same and isinstance(booked, Mapping) else None,
    }


def _action(intent: Found, key: str | None) -> dict[str, Any]:
    action = intent.get("next_action") or {}
    if action.get("type") == "redirect_to_url":
        return {"type": "redirect", "url": members.link(action["redirect_to_url"]["url"])}
    return _sdk(intent, key)


def _sdk(intent: Found, key: str | None) -> dict[str, Any]:
    found = {"type": "sdk", "client_secret": intent["client_secret"]}
    return found | ({"publishable_key": key} if key else {})


def _born(found: Found) -> datetime:
    return datetime.fromtimestamp(int(found["created"]), UTC)
