"""A web worker that sleeps between begin and call must not wake up and charge."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2
import requests
from sqlalchemy.engine import make_url

from tests.fixtures import a_key, an_order
from tests.running_service import Service, running_service
from tests.sandbox_server import Sandbox

QUICK = {
    "PROVIDER_SEND_SECONDS": "1",
    "PROVIDER_TIMEOUT_SECONDS": "1",
    "IDEMPOTENCY_LOCK_SECONDS": "2.5",
    "PROVIDER_SETTLING_SECONDS": "sandbox=0.5",
    "RESOLUTION_FIRST_LOOKUP_SECONDS": "0.2",
    "WEB_WORKERS": "1",
}


def _service(directory: Path, url: str, sandbox: Sandbox, **env: str) -> Any:
    return running_service(
        directory, database_url=url, SANDBOX_PROVIDER_URL=sandbox.url, **QUICK, **env
    )


def test_it_does_not_charge(tmp_path: Path, fresh_database: str, sandbox: Sandbox) -> None:
    key, order = a_key(), an_order()
    with (
        _service(tmp_path / "a", fresh_database, sandbox) as sleeper,
        _service(tmp_path / "b", fresh_database, sandbox) as other,
    ):
        (worker,) = sleeper.web_workers()
        # Its connection has begin prepared from here on, so that the lock meets begin itself.
        assert _charge(sleeper, a_key(), an_order()).status_code == 201
        first: list[requests.Response] = []
        asking = threading.Thread(target=lambda: first.append(_charge(sleeper, key, order)))
        _pause_after_begin(fresh_database, worker.pid, asking)
        try:
            background = other.start_worker()
            told = _until_not_409(other, key, order)
            assert told.status_code in (202, 402), told.text
            time.sleep(1.5)  # past send_before, the lock, and the provider's settling time
            final = _until_definite(other, key, order)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        asking.join(30)
        background.terminate()
        assert (final.status_code, final.json()["failure_code"]) == (402, "not_received")
        # The sleeper tells its caller the same truth, and the provider never heard of it.
        assert first[0].json()["failure_code"] == "not_received", first[0].text
    reference = final.json()["transactions"][0]["reference"]
    sent = requests.get(f"{sandbox.url}/psp/requests", timeout=5).json()["requests"]
    arrived = [r["operation"] for r in sent if r["reference"] == reference]
    assert arrived and set(arrived) == {"lookup"}


def _charge(service: Service, key: str, order: dict[str, Any]) -> requests.Response:
    headers = {"Idempotency-Key": key}
    return service.post("/v1/payments/charge", order, headers=headers, timeout=60)


def _pause_after_begin(url: str, pid: int, asking: threading.Thread) -> None:
    """Holds begin at a lock in the database, stops the process, and lets begin commit: the process
    then stands exactly between begin and call."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg2.connect(plain) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE idempotency_keys IN EXCLUSIVE MODE")
        asking.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"
        )
        _poll(lambda: _one(cursor, waiting) >= 1)
        os.kill(pid, signal.SIGSTOP)
    connection.close()
    with psycopg2.connect(plain) as connection, connection.cursor() as cursor:
        _poll(
            lambda: _one(cursor, "SELECT count(*) FROM transactions WHERE status='PROCESSING'") >= 1
        )
    connection.close()


def _one(cursor: Any, query: str) -> int:
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute(query)
    return int(cursor.fetchone()[0])


def _poll(condition: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def _until_not_409(service: Service, key: str, order: dict[str, Any]) -> requests.Response:
    _poll(lambda: _charge(service, key, order).status_code != 409)
    return _charge(service, key, order)


def _until_definite(service: Service, key: str, order: dict[str, Any]) -> requests.Response:
    _poll(lambda: _charge(service, key, order).status_code not in (202, 409))
    return _charge(service, key, order)
