"""Time for tests: it passes in the rows, where the service reads it, and never by waiting.

A test that waits for a clock is slow on a quick machine, and wrong on a slow one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from flask import Flask

from payment_service.services.moves import resolution
from tests.books import execute, row


def due(app: Flask, payment_id: int) -> None:
    """The next look-up of the payment is due, before all that other tests have left behind: the
    later this is said, the longer it has been due. No other time passes."""
    execute(
        app,
        "UPDATE transactions SET due_at = timestamptz '2020-01-01' - (now() - '2020-01-01')"
        " WHERE payment_id = :id AND due_at IS NOT NULL",
        id=payment_id,
    )


def an_hour_later(app: Flask, payment_id: int) -> None:
    """An hour passes for the payment's requests: their next look-ups are due, it is too late to
    send them, and the provider has had its time."""
    execute(
        app,
        "UPDATE transactions SET send_before = send_before - interval '1 hour',"
        " not_found_at = not_found_at - interval '1 hour' WHERE payment_id = :id",
        id=payment_id,
    )
    due(app, payment_id)


def look_up(app: Flask, payment_id: int) -> None:
    """The worker looks up what is open of the payment."""
    due(app, payment_id)
    with app.app_context():
        resolution.run_once()


def is_open(app: Flask, payment_id: int) -> bool:
    """Whether a request of the payment waits for its outcome."""
    query = (
        "SELECT count(*) AS n FROM transactions WHERE payment_id = :id"
        " AND status IN ('PROCESSING', 'REQUIRES_ACTION')"
    )
    return bool(row(app, query, id=payment_id)["n"])


@contextlib.contextmanager
def impatient(app: Flask, seconds: float = 1.0) -> Iterator[None]:
    """The sandbox's provider times out after `seconds`: for a call that is never answered. Not so
    soon that a busy machine has not even sent it by then."""
    provider = app.extensions["providers"].get("sandbox")
    patient = provider.limits
    provider.limits = replace(patient, timeout=seconds)
    try:
        yield
    finally:
        provider.limits = patient
