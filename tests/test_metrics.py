"""/metrics over three gunicorn processes and a worker: what the database says, and never less."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from payment_service.domain.money import to_decimal
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.extensions import db
from payment_service.services import totals
from tests.books import at_once, execute, rows
from tests.fixtures import MakeApp, a_key, a_number
from tests.patience import PATIENCE
from tests.running_service import Service, running_service
from tests.sandbox_calls import arm, disarm, eventually
from tests.sandbox_server import Sandbox

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

NAMES = {
    "payment_service_http_requests_total": {"method", "route", "status"},
    "payment_service_http_request_duration_seconds_count": {"method", "route", "status"},
    "payment_service_payments_total": {"provider", "method", "status"},
    "payments_created_total": set(),
    "payments_failed_total": set(),
    "total_amount_processed": {"currency"},
    "refunds_processed_total": set(),
    "total_refunds": {"currency"},
    "payment_processing_errors": {"provider", "ending"},
    "payments_by_status": {"status"},
    "payments_by_method": {"method"},
}


@pytest.fixture
def service(
    tmp_path: Path, fresh_database: str, redis_url: str, sandbox: Sandbox
) -> Iterator[Service]:
    """Three processes and a worker, on a database of their own."""
    with running_service(
        tmp_path,
        database_url=fresh_database,
        REDIS_URL=redis_url,
        TRIP_SERVICE_URL=sandbox.url,
        SANDBOX_PROVIDER_URL=sandbox.url,
        WEB_WORKERS="3",
        CIRCUIT_FAIL_MAX="1000000",
        LOG_LEVEL="WARNING",
    ) as running:
        running.start_worker()
        yield running


@pytest.fixture
def own(make_app: MakeApp, fresh_database: str) -> Flask:
    """An app of this process on the service's database, to look into it."""
    return make_app(database_url=fresh_database)


def scrape(service: Service) -> Samples:
    """All samples of one scrape, on a connection of its own so that any process may answer."""
    answer = service.get("/metrics", headers={"Connection": "close"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def by(samples: Samples, name: str, *labels: str) -> dict[Any, float]:
    """A family's samples by the values of these labels; zeros are left out."""
    found: dict[Any, float] = defaultdict(float)
    for (sample, pairs), value in samples.items():
        if sample == name and value:
            key = tuple(dict(pairs)[label] for label in labels)
            found[key[0] if len(key) == 1 else key] += value
    return dict(found)


def folded(own: Flask) -> None:
    """Returns once the worker has folded all deltas; it may have to start first."""
    eventually(lambda: not rows(own, "SELECT 1 FROM total_deltas"))


def send(service: Service, path: str, **body: Any) -> requests.Response:
    headers = {"Idempotency-Key": a_key(), "Connection": "close"}
    return service.post(path, body, headers=headers)


def a_charge(service: Service, **changes: Any) -> requests.Response:
    body = {"order_id": a_number(), "amount": "10.00", **changes}
    return send(service, "/v1/payments/charge", **body)


def make_history(service: Service, sandbox: Sandbox) -> None:
    """A payment of every kind that a metric tells apart, over all processes."""
    token = a_key()
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token}, times=2)
    arm(sandbox, "lookup", "lookup_unavailable", match={"token": token}, ms=600_000)
    charges = [
        *[{} for _ in range(8)],
        *[{"method": "UPI"} for _ in range(4)],
        *[{"method": "CASH", "amount": "7.50"} for _ in range(3)],
        *[{"currency": "JPY", "amount": "1200"} for _ in range(3)],
        *[{"currency": "KWD", "amount": "1.234", "method": "WALLET"} for _ in range(3)],
        *[{"payment_token": "tok_decline_do_not_honor"} for _ in range(5)],
        *[{"capture": False} for _ in range(2)],
        *[{"payment_token": "tok_requires_action"} for _ in range(2)],
        *[{"payment_token": token, "method": "NET_BANKING"} for _ in range(2)],
    ]
    answers = at_once([lambda c=charge: a_charge(service, **c) for charge in charges])
    assert all(answer.status_code in (201, 202, 402) for answer in answers)
    paid = [a.json()["payment_id"] for a in answers if a.json()["status"] == "SUCCESS"]
    assert send(service, f"/v1/payments/{paid[0]}/refund").status_code == 200
    for _ in range(2):
        assert send(service, f"/v1/payments/{paid[1]}/refund", amount="1.00").status_code == 200
    assert send(service, f"/v1/payments/{paid[-1]}/refund", amount="0.001").status_code == 200
    held = next(a.json() for a in answers if a.json()["status"] == "AUTHORIZED")
    assert send(service, f"/v1/payments/{held['payment_id']}/cancel").status_code == 200
    pending = [service.post("/v1/payments", {"amount": "3.00"}).json() for _ in range(3)]
    assert service.request("DELETE", f"/v1/payments/{pending[0]['payment_id']}").status_code == 200


@pytest.mark.slow
def test_metrics_agree_with_the_database(service: Service, own: Flask, sandbox: Sandbox) -> None:
    """Any of the three processes answers a scrape; all must say the same."""
    make_history(service, sandbox)
    payments = rows(own, "SELECT * FROM payments")
    assert len(payments) == 35
    folded(own)
    for samples in (scrape(service) for _ in range(6)):
        agrees(samples, payments, rows(own, "SELECT * FROM refunds WHERE status = 'SUCCESS'"))
    names_are_there(samples)
    requests_are_counted(service)

    # What was unknown is looked up in the end, and is counted like the rest.
    disarm(sandbox)
    execute(own, "UPDATE transactions SET due_at = now() WHERE status = 'PROCESSING'")
    eventually(lambda: not rows(own, "SELECT 1 FROM payments WHERE status = 'PROCESSING'"))
    folded(own)
    samples = scrape(service)
    agrees(
        samples,
        rows(own, "SELECT * FROM payments"),
        rows(own, "SELECT * FROM refunds WHERE status = 'SUCCESS'"),
    )
    assert samples["payments_created_total", ()] == 35


def agrees(samples: Samples, payments: list[Any], refunds: list[Any]) -> None:
    wanted: dict[str, dict[str, float]] = {"status": defaultdict(int), "method": defaultdict(int)}
    captured: dict[str, float] = defaultdict(float)
    refunded: dict[str, float] = defaultdict(float)
    for row in payments:
        wanted["status"][row["status"]] += 1
        wanted["method"][row["method"]] += 1
        captured[row["currency"]] += float(to_decimal(row["captured"], row["currency"]))
    for row in refunds:
        refunded[row["currency"]] += float(to_decimal(row["amount"], row["currency"]))
    assert by(samples, "payments_by_status", "status") == wanted["status"]
    assert by(samples, "payments_by_method", "method") == wanted["method"]
    # One that a charge created is counted as created with its first outcome.
    outcomes = [row for row in payments if row["audit_head"] is not None]
    assert samples["payments_created_total", ()] == len(outcomes)
    assert samples["payments_failed_total", ()] == wanted["status"]["FAILED"] == 5
    assert samples["refunds_processed_total", ()] == len(refunds) == 4
    money = by(samples, "total_amount_processed", "currency")
    assert money == pytest.approx({code: sum_ for code, sum_ in captured.items() if sum_})
    assert by(samples, "total_refunds", "currency") == pytest.approx(refunded)
    entered = by(samples, "payment_service_payments_total", "provider", "method", "status")
    assert entered["sandbox", "CARD", "FAILED"] == 5
    assert entered["cash", "CASH", "SUCCESS"] == 3
    assert entered["sandbox", "UPI", "SUCCESS"] == 4
    assert entered["sandbox", "CARD", "REFUNDED"] == 1
    assert entered["none", "CARD", "PENDING"] == 3


def names_are_there(samples: Samples) -> None:
    for name, labels in NAMES.items():
        found = [set(dict(pairs)) for sample, pairs in samples if sample == name]
        assert found, name
        assert all(one == labels for one in found), name
    statuses = {dict(pairs)["status"] for name, pairs in samples if name == "payments_by_status"}
    assert statuses == set(PaymentStatus)
    unknown = ("payment_processing_errors", (("ending", "unknown"), ("provider", "sandbox")))
    assert samples[unknown] >= 2


def requests_are_counted(service: Service) -> None:
    for _ in range(20):
        service.get("/v1/payments/999999999", headers={"Connection": "close"})
    for _ in range(7):
        service.get("/no/such/path", headers={"Connection": "close"})
    samples = scrape(service)
    counted = by(samples, "payment_service_http_requests_total", "method", "route", "status")
    (missing,) = (
        value for (_, route, status), value in counted.items() if status == "404" and "<" in route
    )
    assert missing == 20
    assert counted["GET", "unknown", "404"] == 7
    name = "payment_service_http_request_duration_seconds_count"
    assert by(samples, name, "method", "route", "status") == counted


def is_counter(name: str) -> bool:
    """Names that may only grow; the two amounts are gauges by name only."""
    grows = name.endswith(("_total", "_count", "_sum", "_bucket"))
    return grows or name in ("total_amount_processed", "total_refunds", "payment_processing_errors")


@pytest.mark.slow
def test_counters_never_go_down(service: Service, own: Flask, sandbox: Sandbox) -> None:
    """While charges come in, while a process dies, and over a restart of the worker."""
    stopping = threading.Event()
    refused: list[int] = []

    def keep_charging() -> None:
        while not stopping.is_set():
            try:
                paid = a_charge(service)
                if paid.status_code == 201:
                    send(service, f"/v1/payments/{paid.json()['payment_id']}/refund", amount="1.00")
            except requests.RequestException:
                refused.append(1)  # the process that was killed had it

    chargers = [threading.Thread(target=keep_charging) for _ in range(4)]
    for charger in chargers:
        charger.start()
    try:
        highest: Samples = {}
        victim = service.web_workers()[0]
        made, turn = ("payments_created_total", ()), 0
        deadline = time.monotonic() + PATIENCE
        # Until the worker has folded totals, and for a while after.
        while turn < 40 or not highest[made]:
            assert time.monotonic() < deadline
            samples = scrape(service)
            for sample, value in samples.items():
                if is_counter(sample[0]):
                    assert value >= highest.get(sample, 0), sample
                    highest[sample] = value
            gone = [sample for sample in highest if sample not in samples]
            assert gone == []
            if turn == 15:
                victim.kill()
            turn += 1
        eventually(lambda: not victim.is_running())
    finally:
        stopping.set()
        for charger in chargers:
            charger.join()
    # The process that was killed may have left some without an outcome yet, and so without an
    # event: one for each request that broke off. They are counted once they have one, which the
    # worker may find between any two lines here.
    broken_off = "SELECT 1 FROM payments WHERE audit_head IS NULL"
    assert len(rows(own, broken_off)) <= len(refused)

    def all_are_counted() -> bool:
        folded(own)
        counted = scrape(service)["payments_created_total", ()]
        return counted == len(rows(own, "SELECT DISTINCT payment_id FROM events"))

    eventually(all_are_counted)


@pytest.mark.slow
def test_two_workers_fold_nothing_twice(service: Service, own: Flask) -> None:
    service.start_worker()
    answers = at_once([lambda: a_charge(service) for _ in range(40)])
    assert {answer.status_code for answer in answers} == {201}
    folded(own)
    samples = scrape(service)
    assert samples["payments_created_total", ()] == 40
    assert by(samples, "payments_by_status", "status") == {"SUCCESS": 40}
    assert by(samples, "total_amount_processed", "currency") == {"INR": 400.0}


def test_sums_fit_any_amounts_and_a_group_that_does_not_add_up_stops_no_other(
    make_app: MakeApp, fresh_database: str
) -> None:
    own = make_app(database_url=fresh_database)
    delta = (
        "INSERT INTO total_deltas (provider, method, currency, status, captured, payments)"
        " VALUES ('import', 'CARD', :currency, 'SUCCESS', :captured, :payments)"
    )
    largest = 2**63 - 1
    for currency, captured, payments in (
        ("INR", largest, 1), ("INR", largest, 1), ("JPY", 5, largest), ("JPY", 5, largest),
        ("USD", 7, 1),
    ):  # fmt: skip
        execute(own, delta, currency=currency, captured=captured, payments=payments)
    with own.app_context():
        assert totals.run_once() == {"totals": 2}
    found = rows(own, "SELECT currency, captured FROM payment_totals ORDER BY currency")
    assert [tuple(row.values()) for row in found] == [("INR", 2 * largest), ("USD", 7)]
    assert len(rows(own, "SELECT 1 FROM total_deltas")) == 2  # what does not add up is kept
    told = own.test_client().get("/metrics").text
    assert 'total_amount_processed{currency="USD"} 0.07' in told


def test_a_scrape_scans_no_table_that_grows(own: Flask) -> None:
    """Every statement of a scrape, explained: with a million payments it reads no more."""
    said: list[tuple[str, Any]] = []

    def listen(_: Any, __: Any, statement: str, parameters: Any, *more: Any) -> None:
        said.append((statement, parameters))

    with own.app_context(), db.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO payments (amount, currency, method, status, reference, caller, authorized,"
            " captured, created_at, updated_at) SELECT 1, 'INR', 'CARD', 'SUCCESS', 'r' || n, 't',"
            " 1, 1, now(), now() FROM generate_series(1, 5000) AS n"
        )
        connection.exec_driver_sql(
            "INSERT INTO transactions (payment_id, number, type, status, amount, currency,"
            " provider, reference, created_at, send_before) SELECT payment_id, 1, 'CHARGE',"
            " 'SUCCESS', 1, 'INR', 'sandbox', reference, now(), now() FROM payments"
        )
        engine = db.engine
    execute(own, "ANALYZE payments")
    execute(own, "ANALYZE transactions")
    event.listen(engine, "before_cursor_execute", listen)
    try:
        assert own.test_client().get("/metrics").status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    assert said
    with own.app_context(), db.engine.connect() as connection:
        for statement, parameters in said:
            if statement.startswith("SET "):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
            scans = [line for line in plan if "Seq Scan on" in line]
            grown = ("payments", "transactions", "events", "refunds", "idempotency_keys")
            assert not [s for s in scans if s.split("Seq Scan on ")[1].split()[0] in grown], plan
