"""Every statement of the operators' pages, explained on tables in which a scan costs more than an
index: with a million payments a page reads no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from payment_service.domain.operators import Role
from payment_service.extensions import db
from payment_service.statements import Statement
from tests.books import execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp

pytestmark = pytest.mark.slow

GROWN = frozenset(
    {
        *("payments", "transactions", "refunds", "events", "deliveries", "webhooks"),
        *("idempotency_keys", "refund_requests", "audit_log", "jobs", "job_items"),
        *("payment_notes", "contradictions"),
    }
)
SCAN = re.compile(r"Seq Scan on (\w+)")
WALK = re.compile(r"Index (?:Only )?Scan (?:Backward )?using (\w+) on (\w+)")
FEW = frozenset({"ix_transactions_due_at", "uq_refund_requests_open", "ix_job_items_due"})
"""Indexes of what still waits: few rows, however many there were."""
NUMBERS = "FROM generate_series(1, 5000) AS n"
FILLING = (
    "INSERT INTO payments (order_id, rider_id, amount, currency, method, provider, status,"
    " reference, caller, authorized, captured, created_at, updated_at) SELECT n, n % 500, 100,"
    " 'INR', 'CARD', 'sandbox', CASE WHEN n % 100 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,"
    " 'plan-' || n, 't', CASE WHEN n % 100 = 0 THEN 0 ELSE 100 END, CASE WHEN n % 100 = 0 THEN 0"
    f" ELSE 100 END, now() - n * interval '1 hour', now() {NUMBERS}",
    "INSERT INTO payments (order_id, amount, currency, method, status, reference, caller,"
    " created_at, updated_at) SELECT 10000 + n, 100, 'INR', CASE WHEN n % 10 = 0 THEN 'CASH' ELSE"
    " 'CARD' END, 'PENDING', 'waits-' || n, 't', now() - n * interval '1 hour', now()"
    " FROM generate_series(1, 500) AS n",
    "INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,"
    " reference, created_at, send_before, answer) SELECT payment_id, 1, 'CHARGE', 'SUCCESS', 100,"
    " 'INR', 'sandbox', reference, created_at, created_at, 'k:x' FROM payments WHERE"
    " status <> 'PENDING'",
    "INSERT INTO refunds (payment_id, amount, currency, status, caller, created_at, updated_at)"
    " SELECT payment_id, 1, 'INR', 'SUCCESS', 't', created_at, created_at FROM payments",
    "INSERT INTO refund_requests (payment_id, amount, currency, reason, asked_by, asked_at,"
    " expires_at, state, decided_by, decided_at, decision) SELECT payment_id, 1, 'INR', 'x',"
    " 'operator:' || payment_id % 100, created_at, created_at, 'DECLINED', 'operator:101',"
    " created_at, 'No' FROM payments",
    "INSERT INTO refund_requests (payment_id, amount, currency, reason, asked_by, asked_at,"
    " expires_at) SELECT payment_id, 1, 'INR', 'x', 'operator:99', now(), now() FROM payments"
    " WHERE order_id < 10",
    "INSERT INTO events (payment_id, seq, type, to_status, actor, occurred_at, body, chain)"
    " SELECT payment_id, 1, 'payment.succeeded', status, 'caller', created_at,"
    " '{\"data\": {}}', '' FROM payments",
    "INSERT INTO deliveries (payment_id, sink, seq, due_at, done_at, parked_at, last_error,"
    " created_at) SELECT payment_id, 'redis', 1, created_at,"
    " CASE WHEN order_id % 500 > 0 THEN created_at END,"
    " CASE WHEN order_id % 500 = 0 THEN created_at END, 'HTTP 500', created_at FROM payments",
    "INSERT INTO webhooks (provider, event_key, event_type, trust, body, headers, received_at,"
    " last_received_at, status, payment_id) SELECT CASE WHEN n % 1000 = 0 THEN 'rare' ELSE"
    " 'sandbox' END, n, 'x', 'SIGNED', 'k:x', '{}', now() - n * interval '1 hour', now(),"
    f" CASE WHEN n % 500 = 0 THEN 'FAILED' ELSE 'APPLIED' END, n {NUMBERS}",
    "INSERT INTO idempotency_keys (caller, operation, key, fingerprint, created_at, expires_at)"
    f" SELECT 't', 'POST /x', 'key-' || n, '{{}}', now(), now() {NUMBERS}",
    "INSERT INTO jobs (kind, state, what, asked_by, created_at, ended_at) SELECT 'RESEND',"
    f" 'ENDED', '{{}}', 't', now(), now() {NUMBERS}",
    "INSERT INTO jobs (kind, state, what, asked_by, created_at, ended_at) SELECT 'VERIFY',"
    " 'ENDED', '{}', 't', now(), now() FROM generate_series(1, 20)",
    "INSERT INTO job_items (job_id, key, number, state, due_at, ended_at) SELECT job_id,"
    " CASE kind WHEN 'VERIFY' THEN 'all' ELSE 'x' END, 1, 'DONE', now(), now() FROM jobs",
    "INSERT INTO payment_notes (payment_id, operator_id, form_key, text, at) SELECT payment_id,"
    " (SELECT min(operator_id) FROM operators), payment_id, 'x', now() FROM payments",
    "INSERT INTO audit_log (audit_id, at, actor, act, object, chain) SELECT last + n, now() -"
    " interval '5 hours' * (5000 - n), 'operator:7', 'logged_in', 'operator:' || n % 50, ''"
    f" {NUMBERS}, (SELECT max(audit_id) AS last FROM audit_log) AS acts",
    "INSERT INTO contradictions (payment_id, seq, at) SELECT payment_id, 1, created_at FROM"
    " payments",
    f"ANALYZE {', '.join(sorted(GROWN))}",
)


@pytest.fixture(scope="module")
def desk(make_app: MakeApp, database_of_module: str) -> Iterator[Desk]:
    """An admin's, on tables that have grown."""
    app = make_app(**KEYS, database_url=database_of_module, operator_mfa="optional")
    found = Desk(app).join(Role.ADMIN)
    for statement in FILLING:
        execute(app, statement)
    yield found


def walked(plan: list[str]) -> set[str]:
    """The tables of which an index is gone through from end to end for rows that fit a filter."""
    found = set()
    for place, line in enumerate(plan):
        if not (walk := WALK.search(line)) or walk.group(1) in FEW:
            continue
        own = list(takewhile(lambda more: "->" not in more, plan[place + 1 :]))
        about = [more.strip().partition(":")[0] for more in own]
        if "Filter" in about and "Index Cond" not in about:
            found.add(walk.group(2))
    return found


Said = list[tuple[str, list[str]]]


@contextmanager
def explained(app: Flask) -> Iterator[Said]:
    """What is read of the database meanwhile, each statement with its plan."""
    said: Said = []
    by_hand: list[tuple[str, Any]] = []
    prepared: list[tuple[Statement, Mapping[str, object]]] = []

    def listen(_: Any, __: Any, statement: str, parameters: Any, *more: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            by_hand.append((statement, parameters))

    run = Statement.rows

    def noted(
        self: Statement, connection: Any, values: Mapping[str, object], *more: Any
    ) -> list[tuple[Any, ...]]:
        prepared.append((self, values))
        return run(self, connection, values, *more)

    with app.app_context():
        engines = list({id(one): one for one in db.engines.values()}.values())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Statement, "rows", noted)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", listen)
        try:
            yield said
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", listen)
    with app.app_context(), db.engine.connect() as connection:
        for statement, parameters in by_hand:
            found = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
            said.append((statement, list(found)))
        said.extend((one.name, one.plan(values)) for one, values in prepared)


PAGES = {
    "/admin/": (
        *("ix_deliveries_parked", "ix_webhooks_status", "ix_transactions_due_at"),
        *("ix_payments_cash_to_collect", "uq_refund_requests_open", "ix_contradictions_at"),
    ),
    "/admin/now": ("ix_deliveries_parked", "ix_payments_cash_to_collect"),
    "/admin/payments": ("ix_payments_created_at",),
    "/admin/payments?status=FAILED": ("ix_payments_rare_status",),
    "/admin/payments?rider_id=7": ("ix_payments_rider_id",),
    "/admin/payments?contradicted=yes": ("ix_contradictions_at",),
    "/admin/payments/4711": ("pk_payments", "ix_payment_notes_payment_id"),
    "/admin/payments/4711/story": ("pk_payments", "ix_webhooks_payment_id"),
    "/admin/find?q=4711": ("pk_payments",),
    "/admin/find?q=order:4700": ("uq_payments_live_order", "ix_payments_dead_order"),
    "/admin/find?q=key:key-4711": ("ix_idempotency_keys_key",),
    "/admin/find?q=1.00": ("ix_payments_created_at",),
    "/admin/refunds": ("ix_refunds_pending",),
    "/admin/refunds?status=SUCCESS": ("ix_refunds_created_at",),
    "/admin/approvals": ("uq_refund_requests_open", "pk_payments"),
    "/admin/approvals/5001": ("pk_refund_requests", "pk_payments", "ix_refund_requests_asked_by"),
    "/admin/events": ("ix_deliveries_parked", "ix_deliveries_due", "ix_deliveries_done"),
    "/admin/webhooks": ("ix_webhooks_received_at",),
    "/admin/webhooks?provider=rare": ("uq_webhooks_provider_event_key",),
    "/admin/webhooks?status=FAILED": ("ix_webhooks_status",),
    "/admin/webhooks?payment_id=4711": ("ix_webhooks_payment_id",),
    "/admin/webhooks/4711": ("pk_webhooks",),
    "/admin/keys?key=key-4711": ("ix_idempotency_keys_key",),
    "/admin/audit": ("audit_log", "ix_jobs_kind"),
    "/admin/audit?act=note_added": ("ix_audit_log_at",),
    "/admin/audit?object=operator:7": ("ix_audit_log_at",),
    "/admin/jobs": ("pk_jobs", "pk_job_items"),
    "/admin/jobs/4711": ("pk_jobs", "pk_job_items"),
    "/admin/operators": (),
    "/admin/operators/1": (),
    "/admin/sessions": (),
    "/admin/catalog": (),
    "/admin/help": (),
    "/admin/health": (),
    "/admin/me": (),
}
"""Each page, and by which indexes it must be seen to read: who reads by none reads all."""


@pytest.mark.parametrize("path", PAGES)
def test_no_page_scans_a_table_that_grows(desk: Desk, path: str) -> None:
    with explained(desk.app) as said:
        assert desk.get(path).status_code in (200, 303)
    assert said
    for statement, plan in said:
        scanned = {table for line in plan for table in SCAN.findall(line)} | walked(plan)
        assert not scanned & GROWN, (statement, plan)
    lines = "\n".join(line for _, plan in said for line in plan)
    for index in PAGES[path]:
        assert index in lines, lines
