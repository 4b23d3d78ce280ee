"""Two providers that call us: one signs what it says, the other does not. They move money at the
sandbox; what they call with is written here."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.providers import registry
from payment_service.providers.contract import Outcome, Result
from payment_service.providers.sandbox import SandboxProvider
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Notices,
    Receipt,
    RefusedFor,
    Trust,
    WebhookRefused,
)
from tests.books import post
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox

SECRET = b"the other side knows it, too"
MERCHANT = "M-1"
TOO_OLD = timedelta(minutes=5)


class Signed(SandboxProvider):
    """Signs its body by an HMAC over it and a time."""

    name = "signed"
    event_types: ClassVar[frozenset[str]] = frozenset({"payment", "refund"})
    webhook_receipt = Receipt(202, "text/plain", "HEARD")

    def receive(self, incoming: Incoming) -> Notices:
        sent = incoming.headers.get("x-signature")
        if sent is None:
            raise WebhookRefused(RefusedFor.NO_SIGNATURE)
        if not hmac.compare_digest(sent, signature(incoming.body)):
            raise WebhookRefused(RefusedFor.BAD_SIGNATURE)
        try:
            said = json.loads(incoming.body)
            if incoming.received_at - datetime.fromisoformat(said["at"]) > TOO_OLD:
                raise WebhookRefused(RefusedFor.TOO_OLD)
            notices = tuple(map(_notice, said["events"]))
        except (ValueError, KeyError, TypeError):
            raise WebhookRefused(RefusedFor.UNREADABLE) from None
        return Notices(Trust.SIGNED, notices)


class Unsigned(SandboxProvider):
    """Signs nothing; knows requests by its own ids."""

    name = "unsigned"
    event_types: ClassVar[frozenset[str]] = frozenset({"payment"})
    webhook_receipt = Receipt()

    def receive(self, incoming: Incoming) -> Notices:
        said = json.loads(incoming.body)
        key = f"{said['id']}:{said['status']}"
        paid = Result(Outcome.APPROVED)  # as anybody can say
        reference = said.get("reference")
        known_as = None if reference else said["id"]
        notice = Notice(key, "payment", reference=reference, known_as=known_as, result=paid)
        return Notices(Trust.UNSIGNED, (notice,))


class Plain(SandboxProvider):
    """Never calls."""

    name = "plain"


def _notice(said: dict[str, Any]) -> Notice:
    result = None
    if said.get("outcome"):
        result = Result(
            Outcome(said["outcome"]),
            provider_reference=said.get("id"),
            amount_approved=said.get("approved"),
            failure_code=said.get("why"),
        )
    return Notice(
        event_key=said["key"],
        event_type=said.get("type", "payment"),
        reference=said.get("reference"),
        known_as=said.get("id"),
        result=result,
        amount=said.get("amount"),
        currency=said.get("currency"),
        mismatch=None if said.get("merchant", MERCHANT) == MERCHANT else "another merchant",
        taken=said.get("type") != "news",
    )


def signature(body: bytes) -> str:
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def signed_body(*events: dict[str, Any], at: datetime | None = None) -> bytes:
    moment = (at or datetime.now(UTC)).isoformat()
    return json.dumps({"at": moment, "events": events}).encode()


def an_event(reference: str, outcome: str | None = "APPROVED", **changes: Any) -> dict[str, Any]:
    """That 100.00 INR were paid for the request."""
    said = {"key": a_key(), "reference": reference, "outcome": outcome}
    return said | {"amount": 10000, "currency": "INR"} | changes


def tell(client: FlaskClient, *events: dict[str, Any]) -> Any:
    """Sends the events as the signing provider does."""
    return send(client, signed_body(*events))


def send(client: FlaskClient, body: bytes, sign: str | None = None) -> Any:
    headers = {"X-Signature": signature(body) if sign is None else sign}
    return client.post("/v1/webhooks/signed", data=body, headers=headers)


def call(client: FlaskClient, provider_id: str, status: str = "PAID", **more: str) -> Any:
    """Calls as the provider that signs nothing."""
    body = json.dumps({"id": provider_id, "status": status, **more}).encode()
    return client.post("/v1/webhooks/unsigned", data=body, content_type="application/json")


def register(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each app that is made from now on know these providers."""
    for kind in (Signed, Unsigned, Plain):
        monkeypatch.setitem(
            registry.BUILDERS,
            kind.name,
            lambda settings, limits, kind=kind: kind(sandbox.url, limits),
        )


def an_app(make_app: MakeApp, sandbox: Sandbox, **changes: Any) -> Flask:
    """An app that knows these providers, and in which nothing is due by itself."""
    keys = {"encryption_keys": IN_PRODUCTION["encryption_keys"]}
    with pytest.MonkeyPatch.context() as patched:
        register(sandbox, patched)
        return make_app(**CLOCKLESS, **keys, **changes)


def pending(client: FlaskClient, key: str | None = None, **changes: Any) -> dict[str, Any]:
    """A charge that the provider is not sure of, or waits for: its answer."""
    order = {"provider": "signed", "payment_token": "tok_pending"} | changes
    answer = post(client, "/v1/payments/charge", key, **an_order(**order))
    assert answer.status_code == 202, answer.json
    found: dict[str, Any] = answer.json
    return found


def events_of(client: FlaskClient, payment_id: int) -> list[str]:
    """What was told of the payment, oldest first."""
    told = client.get(f"/v1/payments/{payment_id}/events").json["events"]
    return [moment["what"] for moment in told if moment["kind"] == "event"]
