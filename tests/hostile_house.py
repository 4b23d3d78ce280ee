"""A house in which every text of others can be made hostile: which fields there are, which pages,
and what is to be read where."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import Connection, select, update
from sqlalchemy import text as sql

from payment_service.domain.operators import Role
from payment_service.extensions import db
from payment_service.models import Customer, Lookup, Transaction, Webhook
from payment_service.models.columns import Secret
from tests.books import execute, post, row
from tests.fixtures import MakeApp
from tests.four_eyes import acting, asks, declines, number_of
from tests.hooked import an_app, an_event, send, tell
from tests.hostile import PLACE, Read
from tests.panel import Seat
from tests.panelled import paid
from tests.sandbox_server import Sandbox

PAYMENT, LIST, REFUNDS = "/admin/payments/{payment}", "/admin/payments", "/admin/refunds?status=ALL"
ASKED, DECIDED = "/admin/approvals/{asked}", "/admin/approvals/{decided}"
WEBHOOK, JOB, ALARM = "/admin/webhooks/{webhook}", "/admin/jobs/{job}", "/admin/jobs/{alarm}"
OPERATOR, OFFER = "/admin/operators/{other}", "/admin/catalog/{offer}"
DESK, KEYS, EVENTS, AUDIT = "/admin/", "/admin/keys?key=hostile", "/admin/events", "/admin/audit"
OPERATORS, ME, SESSIONS = "/admin/operators", "/admin/me", "/admin/sessions"
BY_KEY = "/admin/find?q=key:hostile"
CUSTOMER, DISPUTE = "/admin/customers/{customer}", "/admin/disputes/{dispute}"

# Every page but those of forms that come after; the names in braces are of the house below.
PAGES = (
    *(DESK, "/admin/now", LIST, "/admin/payments?status=SUCCESS&currency=USD", PAYMENT),
    *("/admin/payments/{payment}/story", "/admin/payments/999999999", REFUNDS, "/admin/refunds"),
    *("/admin/approvals", ASKED, DECIDED, EVENTS, "/admin/webhooks", WEBHOOK),
    *("/admin/webhooks/refused", KEYS, AUDIT, "/admin/catalog", OFFER, OFFER + "?is_active=no"),
    *(OPERATORS, OPERATOR, ME, SESSIONS, "/admin/health", "/admin/help", "/admin/jobs", JOB, ALARM),
    *("/admin/find?q=rider:7", BY_KEY, "/admin/bulk?kind=RESOLVE&key={payment}"),
    *(f"{PAYMENT}/{act}" for act in ("refund", "capture", "cancel", "look-up", "cash-received")),
    *(f"{PAYMENT}/cash-handed-back", f"{PAYMENT}/refund?how=all", "/admin/step-up"),
    *("/admin/second-factor", "/admin/payments/{waits}", "/admin/nothing"),
    *("/admin/customers", CUSTOMER, f"{CUSTOMER}/erase"),
    *("/admin/disputes", "/admin/disputes?status=ALL", DISPUTE),
)
FILES = ("/admin/payments.csv", "/admin/refunds.csv", "/admin/audit.csv")

# What is written into which column, and where it is to be read. `:text` has the field's name in it.
FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "description": ("UPDATE payments SET description = :text", (PAYMENT, FILES[0])),
    "theirs": ("UPDATE payments SET caller_reference = :text", (PAYMENT, FILES[0])),
    "metadata": (
        "UPDATE payments SET metadata = json_build_object(CAST(:text AS text), 'plain')",
        (PAYMENT, FILES[0]),
    ),
    "meta": (
        "UPDATE payments SET metadata = json_build_object('plain', CAST(:text AS text))"
        " WHERE payment_id = :waits",
        ("/admin/payments/{waits}", FILES[0]),
    ),
    "caller": ("UPDATE payments SET caller = :text", (PAYMENT,)),
    "provider": (
        "UPDATE payments SET provider = :text WHERE payment_id = :waits",
        (LIST, FILES[0]),
    ),
    "at-theirs": ("UPDATE payments SET provider_reference = :text", (PAYMENT, FILES[0])),
    "code": ("UPDATE payments SET failure_code = :text", (LIST, FILES[0])),
    "message": ("UPDATE payments SET failure_message = :text", (FILES[0],)),
    "asked-why": (
        "UPDATE transactions SET failure_code = :text, failure_message = :text || 'm',"
        " description = :text, provider = :text, cause = :text, request_id = :text",
        (PAYMENT,),
    ),
    "reason": ("UPDATE refunds SET reason = :text", (REFUNDS, FILES[1])),
    "refunder": ("UPDATE refunds SET caller = :text", (REFUNDS, FILES[1])),
    "refund-code": (
        "UPDATE refunds SET failure_code = :text, failure_message = :text,"
        " provider_reference = :text",
        (REFUNDS, FILES[1]),
    ),
    "event": (
        "UPDATE events SET reason = :text, actor = :text, request_id = :text",
        (PAYMENT, "/admin/payments/{payment}/story"),
    ),
    "asking": (
        "UPDATE refund_requests SET reason = :text",
        (ASKED, DECIDED, "/admin/approvals"),
    ),
    "asker": ("UPDATE refund_requests SET asked_by = :text", (ASKED, DECIDED, "/admin/approvals")),
    "decision": ("UPDATE refund_requests SET decision = :text WHERE state <> 'OPEN'", (DECIDED,)),
    "note": (
        "UPDATE payment_notes SET text = :text",
        (PAYMENT,),
    ),
    "parked": ("UPDATE deliveries SET parked_at = now(), last_error = :text", (EVENTS,)),
    "hook": (
        "UPDATE webhooks SET event_type = :text, event_key = :text || webhook_id,"
        " headers = json_build_object('X-Plain', CAST(:text AS text))",
        ("/admin/webhooks", WEBHOOK),
    ),
    "hook-error": ("UPDATE webhooks SET error = :text", ("/admin/webhooks", WEBHOOK)),
    "refused": (
        "UPDATE webhook_refusals SET provider = :text, address = :text",
        ("/admin/webhooks/refused",),
    ),
    "key": (
        "UPDATE idempotency_keys SET caller = :text, answer_body = :text WHERE key = 'hostile'",
        (KEYS, BY_KEY),
    ),
    "act": (
        "UPDATE audit_log SET actor = :text, object = :text, address = :text, reason = :text,"
        " body = to_json(CAST(:text AS text))::text WHERE audit_id = 1",
        (AUDIT, FILES[2]),
    ),
    "offer": (
        "UPDATE provider_offers SET provider_name = :text, payment_method = :text",
        ("/admin/catalog", OFFER),
    ),
    "name": (
        "UPDATE operators SET name = :text",
        (OPERATORS, OPERATOR, ME, SESSIONS, DESK, PAYMENT, LIST, ASKED, "/admin/help"),
    ),
    "email": (
        "UPDATE operators SET email = lower(:text) || operator_id",
        (OPERATORS, OPERATOR, ME, SESSIONS),
    ),
    "agent": ("UPDATE operator_sessions SET agent = :text", (ME, SESSIONS, OPERATOR)),
    "address": ("UPDATE operator_sessions SET address = :text", (ME, SESSIONS, OPERATOR)),
    "view": ("UPDATE saved_views SET name = :text", (LIST,)),
    "job": (
        "UPDATE jobs SET asked_by = :text, what = json_build_object('reason',"
        " CAST(:text AS text), 'filters', json_build_object('code', CAST(:text AS text)))",
        ("/admin/jobs", JOB),
    ),
    "job-error": (
        "UPDATE job_items SET error = :text, state = 'FAILED', ended_at = now()",
        (JOB, ALARM, DESK, PAYMENT, LIST, ME),
    ),
    "job-key": ("UPDATE job_items SET key = :text WHERE job_id = :job", (JOB,)),
    "beat": (
        "UPDATE worker_beats SET host = :text, error = :text,"
        " counts = json_build_object(CAST(:text AS text), 1)",
        ("/admin/health",),
    ),
    "chart": (
        "UPDATE payment_days SET provider = :text, method = :text, status = :text",
        (DESK, "/admin/now"),
    ),
    "contested": (
        "UPDATE disputes SET provider = :text, provider_dispute_id = :text, reason = :text",
        ("/admin/disputes?status=ALL", DISPUTE),
    ),
    # These are encrypted: _plant_secrets.
    "answer": ("SELECT 1", (PAYMENT, "/admin/payments/{payment}/story")),
    "body": ("SELECT 1", (WEBHOOK,)),
    "customer": ("SELECT 1", (CUSTOMER,)),
}
LONGEST = {"note": 2000, "view": 60, "email": 200}
"""Characters, where more does not get in."""
APPENDED_ONLY = ("events", "audit_log", "payment_notes")


@dataclass
class House:
    """An app, an admin who has just come in, and the numbers of what is in the database."""

    app: Flask
    seat: Seat
    numbers: dict[str, int]

    def read(self, page: str) -> Read:
        answer = self.seat.get(page.format(**self.numbers))
        assert answer.status_code in (200, 404, 422), (page, answer.status, answer.text[:2000])
        assert answer.mimetype == "text/html", page
        return Read(answer.text)

    def plant(self, text: str) -> None:
        """Writes it into each field, as no caller can: past all that is checked at the doors."""
        with self.app.app_context(), db.engine.begin() as connection:
            for table in APPENDED_ONLY:
                connection.execute(sql(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            for name, (statement, _) in FIELDS.items():
                values = {"text": in_field(text, name), **self.numbers}
                query = sql(statement)
                known = {bound: values[bound] for bound in query.compile().params}
                assert connection.execute(query, known).rowcount > 0, name
            _plant_secrets(connection, text)


def _plant_secrets(connection: Connection, text: str) -> None:
    answers = [
        (table, table.c.reference, "answer", reference, in_field(text, "answer"))
        for table in (Transaction.__table__, Lookup.__table__)
        for (reference,) in connection.execute(select(table.c.reference)).all()
    ]
    hooks = Webhook.__table__
    came = json.dumps({in_field(text, "body"): {"status": in_field(text, "body")}})
    bodies = [
        (hooks, hooks.c.webhook_id, "body", number, json.dumps({"body": came}))
        for (number,) in connection.execute(select(hooks.c.webhook_id)).all()
    ]
    people = Customer.__table__
    said = [
        (people, people.c.customer_id, column, number, in_field(text, "customer"))
        for (number,) in connection.execute(select(people.c.customer_id)).all()
        for column in ("name", "email", "phone")
    ]
    for table, key, column, own, kept in (*answers, *bodies, *said):
        connection.execute(update(table).where(key == own).values({column: Secret(own, kept)}))


def in_field(text: str, name: str) -> str:
    """The text as this field holds it."""
    return text.replace(PLACE, f"({name})")[: LONGEST.get(name)]


def a_house(make_app: MakeApp, sandbox: Sandbox, database_url: str) -> House:
    """On an empty database: payments, a refund, requests for refunds, webhooks and all the rest."""
    app = an_app(
        make_app,
        sandbox,
        database_url=database_url,
        operator_mfa="optional",
        order_service_url="http://127.0.0.1:9/",
    )
    seat, client = Seat(app, Role.ADMIN), app.test_client()
    payment, other, waits = (paid(app, rider_id=7)["payment_id"] for _ in range(3))
    refunded = post(client, f"/v1/payments/{payment}/refund", "hostile", amount="5.00")
    assert refunded.status_code == 200, refunded.text
    asker, approver = acting(app), acting(app, Role.APPROVER)
    asked, decided = asks(app, asker, payment, "10.00"), asks(app, asker, other, "10.00")
    declines(app, approver, decided)
    tell(client, an_event("PAY-20260101-AAAAAAAAAAAA-1"))
    send(client, b"{}", sign="wrong")
    numbers = {
        "payment": payment,
        "waits": waits,
        "asked": asked["request_id"],
        "decided": decided["request_id"],
        "other": number_of(asker),
        "me": seat.person.operator_id,
    }
    _fill(app, numbers)
    for noun in ("webhook", "customer", "dispute"):
        numbers[noun] = row(app, f"SELECT min({noun}_id) AS id FROM {noun}s")["id"]
    numbers["offer"] = row(app, "SELECT min(offer_id) AS id FROM provider_offers")["id"]
    jobs = row(app, "SELECT min(job_id) AS id, max(job_id) AS last FROM jobs")
    numbers |= {"job": jobs["id"], "alarm": jobs["last"]}
    return House(app, seat, numbers)


def _fill(app: Flask, numbers: dict[str, int]) -> None:
    """Rows that no short way makes."""
    for statement in (
        "INSERT INTO payment_notes (payment_id, operator_id, form_key, text, at)"
        " VALUES (:payment, :other, 'x', 'x', now())",
        "INSERT INTO saved_views (operator_id, name, query, shared)"
        " VALUES (:me, 'x', '{}', true), (:other, 'x', '{}', true)",
        "INSERT INTO provider_offers (provider_name, country_code, currency, payment_method)"
        " VALUES ('x', 'IN', 'INR', 'CARD')",
        "INSERT INTO jobs (kind, state, what, asked_by, created_at, ended_at) VALUES"
        " ('SKIP', 'ENDED', '{}', 'x', now(), now()), ('VERIFY', 'ENDED', '{}', 'x', now(), now())",
        "INSERT INTO job_items (job_id, key, number, state, due_at, ended_at, error)"
        " SELECT job_id, 'all', 1, 'FAILED', now(), now(), 'x' FROM jobs",
        "INSERT INTO worker_beats (beat, host, last_at, counts) VALUES ('totals', '', now(), '{}')",
        # Three days, so that midnight does not matter.
        "INSERT INTO payment_days (day, provider, method, currency, status, payments)"
        " SELECT CURRENT_DATE + n, 'x', 'x', 'INR', 'x', 1 FROM generate_series(-1, 1) AS n",
        "INSERT INTO idempotency_keys (caller, operation, key, fingerprint, payment_id,"
        " answer_status, created_at, expires_at) SELECT caller, 'other', key, fingerprint, :other,"
        " 200, now(), now() FROM idempotency_keys WHERE key = 'hostile'",
        # One that gave all; what stands in their places is written by _plant_secrets.
        "INSERT INTO customers (user_id, email, email_lookup, phone, phone_lookup, created_at,"
        " updated_at) VALUES (7, 'x', 'x', 'x', 'x', now(), now())",
        "INSERT INTO disputes (payment_id, provider, provider_dispute_id, kind, status, reason,"
        " amount, currency, opened_at, created_at, updated_at) VALUES (:payment, 'x', 'x',"
        " 'CHARGEBACK', 'NEEDS_RESPONSE', 'x', 1, 'INR', now(), now(), now())",
        "INSERT INTO lookups (payment_id, number, n, reference, asked_at, ms, found)"
        " SELECT payment_id, number, 1, reference || '?1', now(), 1, 'PENDING' FROM transactions",
    ):
        bound = sql(statement).compile().params
        execute(app, statement, **{name: numbers[name] for name in bound})
