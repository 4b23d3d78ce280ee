"""A payer who comes back while the outcome is being written: neither is in the other's way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from sqlalchemy import text

from payment_service.extensions import db
from payment_service.services import payers
from tests.books import post, row
from tests.fixtures import an_order
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually

WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def test_it_waits_for_the_payment_before_it_locks_the_payer(clockless_app: Flask) -> None:
    """The parts of the outcome's statement have no order among them, but that the payment is locked
    first. So it is taken apart here, in the order that would be the worst."""
    app = clockless_app
    order = an_order(payment_token="tok_requires_action", payer={"name": "A"})
    of = {"id": post(app.test_client(), "/v1/payments/charge", **order).json["payment_id"]}

    def comes_back() -> None:
        with app.app_context():
            payers.hasten(of["id"])

    with app.app_context(), db.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        lock = text("SELECT 1 FROM payments WHERE payment_id = :id FOR UPDATE")
        connection.execute(lock, of)
        request = text("UPDATE transactions SET fee = 7 WHERE payment_id = :id")
        connection.execute(request, of)
        coming = pool.submit(comes_back)

        def it_waits() -> bool:
            connection.execute(text("SELECT pg_stat_clear_snapshot()"))
            return bool(connection.execute(text(WAITING)).scalar_one())

        eventually(it_waits)
        page = text("UPDATE payers SET page = NULL WHERE payment_id = :id")
        connection.execute(page, of)
        connection.commit()
        coming.result(PATIENCE)
    query = "SELECT fee, due_at <= now() AS due FROM transactions WHERE payment_id = :id"
    assert row(app, query, **of) == {"fee": 7, "due": True}
