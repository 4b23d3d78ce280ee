"""The desk: what needs a person now, and figures that are what a count over payments gives."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import event

from payment_service.extensions import db
from payment_service.services import beats, desk, figures, totals
from payment_service.services.beats import Written
from payment_service.services.desk import Desk, Need, Wants
from payment_service.services.figures import Figures, Sums
from tests.books import a_charged_payment, a_pending_payment, execute, post, rows
from tests.fixtures import MakeApp, a_key, an_order
from tests.random_moves import a_payment_made_at, move
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox

ZONE = "Asia/Kolkata"
WELL = ("SUCCESS", "PARTIALLY_REFUNDED", "REFUNDED", "AUTHORIZED")
NOON = datetime(2026, 1, 14, 12, 20, tzinfo=ZoneInfo(ZONE))
"""A Wednesday, for figures that are asked of a moment."""


@pytest.fixture
def own(make_app: MakeApp, fresh_database: str) -> Flask:
    return make_app(
        database_url=fresh_database, business_timezone=ZONE, resolution_first_lookup_seconds=600.0
    )


def read(app: Flask) -> Desk:
    with app.app_context():
        return desk.read()


def needs(app: Flask) -> dict[Wants, Need]:
    return {need.wants: need for need in read(app).needs}


def all_beats_came(app: Flask) -> None:
    with app.app_context():
        for name in beats.PERIODS:
            Written(name).note({}, None)


def test_nothing_waits_where_nothing_is(own: Flask) -> None:
    all_beats_came(own)
    found = read(own)
    assert found.needs == ()
    assert found.figures.today == Sums(0, 0, 0, {}, {})
    assert found.figures.today.success_rate is None
    assert found.figures.speed.p95_seconds is None
    assert len(found.figures.by_day) == 30
    assert {circuit.state for circuit in found.circuits} == {"closed"}
    assert not found.figures_are_old


def test_a_worker_that_never_came_is_silent_and_the_figures_are_old(own: Flask) -> None:
    found = read(own)
    (need,) = found.needs
    assert (need.wants, need.count, need.oldest) == (
        Wants.WORKERS_SILENT, len(beats.PERIODS), None
    )  # fmt: skip
    assert found.figures_at is None
    assert found.figures_are_old
    all_beats_came(own)
    execute(own, "UPDATE worker_beats SET last_at = now() - interval '20 s' WHERE beat = 'totals'")
    found = read(own)
    assert found.needs == ()
    assert found.figures_are_old


def test_what_is_unresolved_past_the_alarm(own: Flask, sandbox: Sandbox) -> None:
    all_beats_came(own)
    token = a_key()
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    body = an_order(payment_token=token)
    answer = post(own.test_client(), "/v1/payments/charge", **body)
    assert answer.status_code == 202
    assert needs(own) == {}
    execute(own, "UPDATE transactions SET created_at = created_at - interval '901 s'")
    need = needs(own)[Wants.UNRESOLVED]
    (asked,) = rows(own, "SELECT created_at FROM transactions")
    assert (need.count, need.more, need.oldest) == (1, False, asked["created_at"])


def test_cash_to_collect_and_to_hand_back(own: Flask) -> None:
    all_beats_came(own)
    client = own.test_client()
    a_pending_payment(client)
    waits = a_pending_payment(client, method="CASH")
    need = needs(own)[Wants.CASH_TO_COLLECT]
    assert (need.count, need.page) == (1, "payments")
    assert need.only == {"status": "PENDING", "method": "CASH"}
    path = f"/v1/payments/{waits['payment_id']}"
    assert client.patch(f"{path}/status", json={"status": "SUCCESS"}).status_code == 200
    assert needs(own) == {}
    assert post(client, f"{path}/refund", amount="10.00").status_code == 202
    assert {wants: need.count for wants, need in needs(own).items()} == {Wants.CASH_TO_HAND_BACK: 1}


def test_a_count_ends_at_a_hundred_and_the_oldest_is_told(own: Flask) -> None:
    all_beats_came(own)
    execute(
        own,
        "INSERT INTO payments (amount, currency, method, status, reference, caller, created_at,"
        " updated_at) SELECT 1, 'INR', 'CASH', 'PENDING', 'c' || n, 't',"
        " timestamptz '2025-01-01Z' + n * interval '1 day', now()"
        " FROM generate_series(1, 101) AS n",
    )
    need = needs(own)[Wants.CASH_TO_COLLECT]
    assert (need.count, need.more) == (100, True)
    assert need.oldest == datetime(2025, 1, 2, tzinfo=UTC)
    execute(own, "DELETE FROM payments WHERE reference = 'c101'")
    need = needs(own)[Wants.CASH_TO_COLLECT]
    assert (need.count, need.more) == (100, False)


def test_what_is_parked(own: Flask) -> None:
    all_beats_came(own)
    a_charged_payment(own.test_client())
    execute(
        own,
        "INSERT INTO deliveries (payment_id, sink, seq, due_at, created_at, parked_at)"
        " SELECT payment_id, 'order', seq, now(), now(), '2025-01-02Z' FROM events",
    )
    execute(
        own,
        "INSERT INTO webhooks (provider, event_key, event_type, trust, body, headers, received_at,"
        " last_received_at, status, due_at) SELECT 'sandbox', n, 'x', 'SIGNED', 'k:x', '{}',"
        " '2025-01-03Z', now(), 'FAILED', CASE n WHEN 1 THEN now() END"
        " FROM generate_series(1, 2) AS n",
    )
    found = needs(own)
    assert found[Wants.EVENTS_PARKED].count == 1
    assert found[Wants.EVENTS_PARKED].oldest == datetime(2025, 1, 2, tzinfo=UTC)
    assert found[Wants.WEBHOOKS_PARKED].count == 1, "one is tried again by itself"
    assert found[Wants.WEBHOOKS_PARKED].page == "webhooks"


def test_what_was_contradicted_stays_for_a_week(own: Flask) -> None:
    """tests/test_evidence.py holds that it is written down."""
    all_beats_came(own)
    execute(own, "INSERT INTO contradictions VALUES (1, 2, now() - interval '6 days')")
    execute(own, "INSERT INTO contradictions VALUES (2, 2, now() - interval '8 days')")
    assert needs(own)[Wants.CONTRADICTED].count == 1


def figures_at(app: Flask, moment: datetime) -> Figures:
    with app.app_context():
        totals.run_once()
        return figures.read(now=moment)


def sums_of(found: list[dict[str, Any]]) -> Sums:
    captured: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for one in found:
        captured[one["currency"]] += one["captured"]
        refunded[one["currency"]] += one["refunded"]
    return Sums(
        len(found),
        sum(one["status"] in WELL for one in found),
        sum(one["status"] in ("FAILED", "EXPIRED") for one in found),
        dict(+captured),
        dict(+refunded),
    )


def far_from_midnight() -> str:
    """A zone half an hour off, without summer time, whose day does not end during a test."""
    is_near = not 3 <= datetime.now(ZoneInfo(ZONE)).hour < 21
    return "Pacific/Marquesas" if is_near else ZONE


def test_the_figures_are_a_count_over_payments(make_app: MakeApp, fresh_database: str) -> None:
    """PROCESSING ones too, of which no delta tells."""
    zone = far_from_midnight()
    own = make_app(database_url=fresh_database, business_timezone=zone)
    now = datetime.now(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
    offsets = [timedelta(minutes=90 * number) for number in range(-10, 1)]
    offsets += [timedelta(days=-7, minutes=90 * number) for number in range(-10, 11)]
    offsets += [timedelta(days=-days) for days in (1, 2, 12, 28, 29, 30, 40)]
    for number, offset in enumerate(offsets):
        made = a_payment_made_at(own, (now + offset).astimezone(UTC), pending=number % 3 == 0)
        for turn in range(number % 5):
            move(own, made, number + turn, number)
    execute(
        own,
        "INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,"
        " reference, created_at, send_before) SELECT payment_id, 1, 'CHARGE', status, amount,"
        " currency, 'sandbox', reference, created_at, created_at FROM payments"
        " WHERE status = 'PROCESSING'",
    )
    seen = figures_at(own, now)
    payments = rows(own, "SELECT * FROM payments")
    for one in payments:
        one["local"] = one["created_at"].astimezone(ZoneInfo(zone))
    today = [one for one in payments if one["local"].date() == now.date()]
    week = (now - timedelta(days=7)).date()
    then = [one for one in payments if one["local"].date() == week]
    assert seen.day == now.date()
    assert seen.today == sums_of(today)
    assert seen.last_week == sums_of(then)
    by_now = [
        one for one in then if one["local"].hour <= now.hour and one["status"] != "PROCESSING"
    ]
    assert seen.last_week_by_now == sums_of(by_now)
    assert {day: found for day, found in seen.by_day.items() if found.payments} == {
        day: sums_of([one for one in payments if one["local"].date() == day])
        for day in {one["local"].date() for one in payments}
        if day > now.date() - timedelta(days=30)
    }
    assert len(seen.by_day) == 30
    for name, column in (
        ("by_status", "status"), ("by_method", "method"), ("by_provider", "provider")
    ):  # fmt: skip
        assert getattr(seen, name) == {
            word: sums_of([one for one in today if (one[column] or "none") == word])
            for word in {one[column] or "none" for one in today}
        }
    assert len(seen.by_hour) == now.hour + 1
    assert {hour: found for hour, found in seen.by_hour.items() if found.payments} == {
        hour: sums_of([one for one in today if one["local"].replace(minute=0) == hour])
        for hour in {one["local"].replace(minute=0) for one in today}
    }


def test_refunds_are_those_of_today_and_of_a_week_ago_until_now(own: Flask) -> None:
    a_charged_payment(own.test_client())
    for number, at in enumerate(
        (NOON, NOON - timedelta(days=7), NOON - timedelta(days=7, minutes=1), NOON.replace(hour=0),
         NOON - timedelta(minutes=1), NOON - timedelta(days=1)), start=1
    ):  # fmt: skip
        execute(
            own,
            "INSERT INTO refunds (payment_id, amount, currency, status, caller, created_at,"
            " updated_at) SELECT payment_id, :amount, currency, :status, 't', :at, :at"
            " FROM payments",
            amount=10**number, at=at, status="FAILED" if number == 5 else "SUCCESS",
        )  # fmt: skip
    seen = figures_at(own, NOON)
    assert (seen.refunds.count, seen.refunds.amounts) == (1, {"INR": 10**4})
    then = seen.refunds_last_week_by_now
    assert (then.count, then.amounts) == (1, {"INR": 10**3})


def test_speed_is_of_charges_that_were_answered(own: Flask) -> None:
    client = own.test_client()
    for _ in range(4):
        a_charged_payment(client)
    a_pending_payment(client)
    execute(
        own,
        "UPDATE payments p SET completed_at = t.created_at + p.payment_id * interval '1 s',"
        " created_at = t.created_at FROM transactions t WHERE t.payment_id = p.payment_id",
    )
    (numbers,) = rows(own, "SELECT array_agg(payment_id ORDER BY 1) AS ids FROM transactions")
    execute(
        own, "UPDATE transactions SET lookups = 1 WHERE payment_id = :id", id=numbers["ids"][-1]
    )
    first, _, last = numbers["ids"][:3]
    speed = figures_at(own, datetime.now(UTC)).speed
    assert speed.charges == 3
    assert speed.p95_seconds is not None
    assert speed.p95_seconds == pytest.approx(first + 0.95 * (last - first))


def test_the_desk_scans_no_table_that_grows(own: Flask) -> None:
    """Every statement of it, explained: with a million payments it reads no more."""
    execute(
        own,
        "INSERT INTO payments (amount, currency, method, status, reference, caller, authorized,"
        " captured, created_at, updated_at) SELECT 1, 'INR', 'CARD', 'SUCCESS', 'r' || n, 't',"
        " 1, 1, now() - n * interval '1 h', now() FROM generate_series(1, 5000) AS n",
    )
    execute(
        own,
        "INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,"
        " reference, created_at, send_before) SELECT payment_id, 1, 'CHARGE', 'SUCCESS', 1, 'INR',"
        " 'sandbox', reference, now(), now() FROM payments",
    )
    execute(
        own,
        "INSERT INTO refunds (payment_id, amount, currency, status, caller, created_at, updated_at)"
        " SELECT payment_id, 1, 'INR', 'SUCCESS', 't', created_at, created_at FROM payments",
    )
    execute(
        own,
        "INSERT INTO webhooks (provider, event_key, event_type, trust, body, headers, received_at,"
        " last_received_at, status) SELECT 'sandbox', n, 'x', 'SIGNED', 'k:x', '{}', now(), now(),"
        " 'APPLIED' FROM generate_series(1, 5000) AS n",
    )
    for table in ("payments", "transactions", "refunds", "webhooks"):
        execute(own, f"ANALYZE {table}")
    said: list[tuple[str, Any]] = []

    def listen(_: Any, __: Any, statement: str, parameters: Any, *more: Any) -> None:
        said.append((statement, parameters))

    with own.app_context():
        event.listen(db.engine, "before_cursor_execute", listen)
        try:
            desk.read()
        finally:
            event.remove(db.engine, "before_cursor_execute", listen)
    assert len(said) > 10
    grown = ("payments", "transactions", "events", "refunds", "webhooks")
    with own.app_context(), db.engine.connect() as connection:
        for statement, parameters in said:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
            scans = [line.split("Seq Scan on ")[1] for line in plan if "Seq Scan on" in line]
            assert not [scan for scan in scans if scan.split()[0] in grown], plan
