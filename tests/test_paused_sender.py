"""A web worker that sleeps between begin and call must not wake up and charge."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from flask import Flask
from sqlalchemy import text

from payment_service.extensions import db
from tests.books import execute, payments_of, row
from tests.campaign.boundaries import stop
from tests.clocks import an_hour_later
from tests.fixtures import MakeApp, a_key, an_order
from tests.running_service import Service, running_service
from tests.sandbox_calls import eventually, get
from tests.sandbox_server import Sandbox

SEND_SECONDS = 1.0


@pytest.mark.slow
def test_it_does_not_charge(
    tmp_path: Path, fresh_database: str, sandbox: Sandbox, make_app: MakeApp
) -> None:
    key, order = a_key(), an_order()
    books = make_app(database_url=fresh_database, redis_url=None)
    places = {"database_url": fresh_database, "SANDBOX_PROVIDER_URL": sandbox.url}
    short = {"PROVIDER_SEND_SECONDS": str(SEND_SECONDS), "WEB_WORKERS": "1"}
    with (
        running_service(tmp_path / "a", **places, **short) as sleeper,
        running_service(tmp_path / "b", **places) as other,
    ):
        (worker,) = sleeper.web_workers()
        # Its connection has begin prepared from here on, so that the lock meets begin itself.
        eventually(lambda: _charge(sleeper, a_key(), an_order()).status_code == 201)
        first: list[requests.Response] = []
        asking = threading.Thread(target=lambda: first.append(_charge(sleeper, key, order)))
        _pause_after_begin(books, worker.pid, asking)
        try:
            (asleep,) = payments_of(books, order_id=order["order_id"])
            too_late = "SELECT now() > send_before AS yes FROM transactions WHERE payment_id = :id"
            eventually(lambda: row(books, too_late, id=asleep["payment_id"])["yes"])
            assert _charge(other, key, order).status_code == 409
            background = other.start_worker()
            over = "UPDATE idempotency_keys SET locked_until = now() WHERE key = :key"
            execute(books, over, key=key)
            assert _charge(other, key, order).status_code == 202
            eventually(lambda: _an_hour_later(books, other, key, order).status_code == 402)
            final = _charge(other, key, order)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        asking.join()
        background.terminate()
        assert (final.status_code, final.json()["failure_code"]) == (402, "not_received")
        # The sleeper tells its caller the same truth, and the provider never heard of it.
        assert first[0].json()["failure_code"] == "not_received", first[0].text
    reference = final.json()["transactions"][0]["reference"]
    sent = get(sandbox, "/psp/requests")["requests"]
    arrived = [r["operation"] for r in sent if r["reference"] == reference]
    assert arrived and set(arrived) == {"lookup"}


def _charge(service: Service, key: str, order: dict[str, Any]) -> requests.Response:
    headers = {"Idempotency-Key": key}
    return service.post("/v1/payments/charge", order, headers=headers)


def _an_hour_later(
    books: Flask, service: Service, key: str, order: dict[str, Any]
) -> requests.Response:
    (payment,) = payments_of(books, order_id=order["order_id"])
    an_hour_later(books, payment["payment_id"])
    return _charge(service, key, order)


def _pause_after_begin(books: Flask, pid: int, asking: threading.Thread) -> None:
    """Holds begin at a lock in the database, stops the process, and lets begin commit: the process
    then stands exactly between begin and call."""
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    with books.app_context(), db.engine.begin() as connection:
        connection.execute(text("LOCK TABLE idempotency_keys IN EXCLUSIVE MODE"))
        asking.start()
        eventually(lambda: row(books, waiting)["n"])
        stop(psutil.Process(pid))
    begun = "SELECT count(*) AS n FROM transactions WHERE status = 'PROCESSING'"
    eventually(lambda: row(books, begun)["n"])
