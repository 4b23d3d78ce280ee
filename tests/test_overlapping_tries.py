"""Two tries of one request at once: neither is refused for what the other did."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from payment_service.domain.callers import Caller
from payment_service.extensions import db
from payment_service.idempotency import Found, Key
from payment_service.services.moves import retries
from tests.books import a_charged_payment, post
from tests.fixtures import a_key, an_order
from tests.sandbox_calls import eventually

WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def _overlapping(app: Flask, payment_id: int, send: Callable[[], Any]) -> list[Any]:
    """Both tries have seen that the key is free before one of them gets the payment's lock."""
    with app.app_context(), db.engine.connect() as connection, ThreadPoolExecutor(2) as pool:
        lock = text("SELECT 1 FROM payments WHERE payment_id = :id FOR UPDATE")
        connection.execute(lock, {"id": payment_id})
        tries = [pool.submit(send) for _ in range(2)]

        def both_wait() -> bool:
            connection.execute(text("SELECT pg_stat_clear_snapshot()"))
            return bool(connection.execute(text(WAITING)).scalar_one() == 2)

        eventually(both_wait)
        connection.rollback()
        return [done.result() for done in tries]


@pytest.mark.parametrize("verb", ["refund", "capture", "cancel", "charge"])
def test_it_is_not_refused_for_its_own_doing(app: Flask, client: Any, verb: str) -> None:
    if verb == "refund":
        payment = a_charged_payment(client)
    elif verb == "charge":
        payment = client.post("/v1/payments", json=an_order()).json
    else:
        payment = post(client, "/v1/payments/charge", **an_order(capture=False)).json
    path, key = f"/v1/payments/{payment['payment_id']}/{verb}", a_key()
    answers = _overlapping(app, payment["payment_id"], lambda: post(app.test_client(), path, key))
    done = 201 if verb == "charge" else 200
    assert done in [answer.status_code for answer in answers]
    for answer in answers:
        code = answer.json.get("code")
        assert answer.status_code in (200, 201, 202) or code == "idempotency_key_in_progress", (
            answer.json
        )
    assert post(client, path, key).status_code == done


def test_a_retry_that_read_the_key_before_it_was_freed_begins_anew(app: Flask, client: Any) -> None:
    """The first try surely sent nothing and gives the key back; a retry that had seen the key
    before that must not tell a definite answer which is kept nowhere."""
    payment = a_charged_payment(client)
    key = Key("local", f"POST /v1/payments/{payment['payment_id']}/refund", a_key(), "{}")
    seen = Found(payment["payment_id"], 1, None, None)
    with app.test_request_context():
        assert retries.resume(key=key, found=seen, caller=Caller("local")) is None
