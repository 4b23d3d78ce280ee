"""What a trace says of a delivery."""

from __future__ import annotations

from payment_service.outbox.contract import DeliveryEnding
from payment_service.telemetry import traces


def note(span: traces.Span, ending: DeliveryEnding) -> None:
    """Which event it was, which try, and whether the sink has it."""
    span.note("messaging.message.id", ending.delivery.event_id)
    span.note("payment.event", ending.delivery.type)
    span.note("payment.attempt", ending.delivery.attempts + 1)
    if ending.error is not None:
        span.fail("not_delivered")
