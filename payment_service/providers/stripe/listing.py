"""What was done at Stripe since a moment: intents and refunds by their lists, captures and voids by
the events of their intents, because Stripe keeps no object for these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Outcome, OutcomeUnknown
from payment_service.providers.listing import Listed
from payment_service.providers.stripe import reading
from payment_service.providers.stripe.pages import Pages

EVENTS_KEPT = timedelta(days=30)
"""How far back Stripe lists events (o)."""


def since(pages: Pages, moment: datetime, *, live: bool) -> Iterator[Listed]:
    """Raises OutcomeUnknown at the end where captures and voids are asked for of a time that Stripe
    has forgotten, and ValueError, KeyError or TypeError for what can't be read."""
    created = {"created": {"gte": int(moment.timestamp())}}
    for intent in pages.intents(created, None):
        if reading.reference_of(intent) and intent["livemode"] is live:
            result = reading.charge(intent)
            held = intent["capture_method"] == "manual"
            kind = TransactionType.AUTHORIZATION if held else TransactionType.CHARGE
            yield _listed(kind, intent, reading.reference_of(intent), result.outcome)
    for refund in pages.refunds({**created, "expand": ["data.payment_intent"]}, None):
        if reading.reference_of(refund):
            intent = refund.get("payment_intent") or {}
            yield _listed(
                TransactionType.REFUND,
                refund,
                reading.reference_of(refund),
                reading.refund(refund).outcome,
                of=reading.reference_of(intent),
            )
    types = ["payment_intent.succeeded", "payment_intent.canceled"]
    for event in pages.events({**created, "types": types}, None):
        intent, charge = event["data"]["object"], reading.reference_of(event["data"]["object"])
        if charge is None or event["livemode"] is not live:
            continue
        asked = reading.asked_by(event)
        if event["type"] == "payment_intent.succeeded":
            kind, asked = TransactionType.CAPTURE, reading.reference_of(intent, reading.CAPTURE)
            intent = {**intent, "amount": intent["amount_received"]}
        else:
            kind = TransactionType.VOID
        if asked and asked != charge:
            intent = {**intent, "created": event["created"]}
            yield _listed(kind, intent, asked, Outcome.APPROVED, of=charge)
    if moment < datetime.now(UTC) - EVENTS_KEPT:
        raise OutcomeUnknown("captures and voids of more than 30 days ago can't be listed")


def _listed(
    kind: TransactionType,
    found: Mapping[str, Any],
    reference: str | None,
    outcome: Outcome,
    *,
    of: str | None = None,
) -> Listed:
    return Listed(
        type=kind,
        reference=reference or "",
        amount=found["amount"],
        currency=found["currency"].upper(),
        outcome=outcome,
        provider_reference=found["id"],
        occurred_at=datetime.fromtimestamp(found["created"], UTC),
        charge_reference=of,
    )
