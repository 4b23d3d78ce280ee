"""payment_days and payment_hours say what payments say, whatever moves and rebuilds meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.services import rebuilding, totals
from payment_service.services.rebuilding import Rebuilt
from tests.books import a_charged_payment, at_once, execute, post, rows
from tests.fixtures import MakeApp
from tests.histories import a_row, connected, loader
from tests.random_moves import (
    OFFSETS,
    a_payment_made_at,
    counted,
    day_in,
    figures_agree,
    kept,
    midnight,
    move,
)
from tests.sandbox_calls import eventually

ZONE = "Asia/Kolkata"
YESTERDAY = midnight(ZONE) - timedelta(days=1)
"""One moment for a whole test, also where a day ends meanwhile."""
WAITING = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def own(make_app: MakeApp, fresh_database: str) -> Flask:
    return make_app(database_url=fresh_database, business_timezone=ZONE)


def fold(app: Flask) -> None:
    with app.app_context():
        totals.run_once()


def rebuilt(app: Flask) -> Rebuilt:
    with app.app_context():
        return rebuilding.rebuild()


def some_payments(app: Flask) -> list[int]:
    """One at each of the offsets, every third created first."""
    start = midnight(ZONE)
    return [
        a_payment_made_at(app, (start + offset).astimezone(UTC), pending=number % 3 == 0)
        for number, offset in enumerate(OFFSETS)
    ]


steps = st.lists(
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 999), st.booleans()),
    min_size=5,
    max_size=25,
)


def walk(app: Flask, payments: list[int], moves: list[tuple[int, int, int, bool]]) -> None:
    for which, choice, share, folded in moves:
        move(app, payments[which % len(payments)], choice, share)
        if folded:
            fold(app)


def nothing_is_wrong(app: Flask) -> None:
    fold(app)
    figures_agree(app, ZONE)
    done = rebuilt(app)
    assert (done.wrong_days, done.wrong_hours) == (0, 0)
    figures_agree(app, ZONE)


def test_figures_are_what_payments_say(own: Flask) -> None:
    payments = some_payments(own)

    @settings(
        max_examples=5, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(moves=steps)
    def histories(moves: list[tuple[int, int, int, bool]]) -> None:
        walk(own, payments, moves)
        fold(own)
        figures_agree(own, ZONE)

    histories()
    nothing_is_wrong(own)
    days = {day for day, *_ in counted(own, day_in(ZONE))}
    utc = {day for day, *_ in counted(own, day_in("UTC"))}
    assert days != utc, "what lies about a midnight must tell the zones apart"


@pytest.mark.slow
def test_two_thousand_moves(own: Flask) -> None:
    drawn = random.Random(2000)
    payments = [one for _ in range(4) for one in some_payments(own)]
    moves = [
        (
            drawn.randrange(10_000),
            drawn.randrange(100),
            drawn.randrange(1000),
            not drawn.randrange(9),
        )
        for _ in range(2000)
    ]
    walk(own, payments, moves)
    nothing_is_wrong(own)


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York", "Pacific/Apia"])
def test_a_rebuild_makes_the_days_of_another_zone(
    own: Flask, make_app: MakeApp, fresh_database: str, zone: str
) -> None:
    for payment_id in some_payments(own):
        move(own, payment_id, 3, 1)
    fold(own)
    elsewhere = make_app(database_url=fresh_database, business_timezone=zone)
    done = rebuilt(elsewhere)
    assert done.days > 0
    figures_agree(elsewhere, zone)
    assert (rebuilt(elsewhere).wrong_days, rebuilt(elsewhere).wrong_hours) == (0, 0)


def test_the_zone_is_the_receipts_unless_it_is_set(make_app: MakeApp) -> None:
    with make_app(receipt_timezone="Asia/Tokyo").app_context():
        assert totals.zone() == "Asia/Tokyo"
    with make_app(receipt_timezone="Asia/Tokyo", business_timezone=ZONE).app_context():
        assert totals.zone() == ZONE


def test_an_hour_that_clocks_have_twice_is_two(make_app: MakeApp, fresh_database: str) -> None:
    """And the day on which that happens has all of it."""
    zone = "America/New_York"
    app = make_app(database_url=fresh_database, business_timezone=zone)
    turned = datetime(2025, 11, 2, 4, 30, tzinfo=UTC)
    for hours in range(4):
        move(app, a_payment_made_at(app, turned + timedelta(hours=hours), pending=False), 6, 1)
    rebuilt(app)
    assert {day for day, *_ in kept(app, "payment_days", "day")} == {turned.date()}
    assert kept(app, "payment_days", "day") == counted(app, day_in(zone))


def test_history_that_is_imported_counts_in_its_days(
    own: Flask, fresh_database: str, tmp_path: Any
) -> None:
    times = ("2024-01-31 18:29:59", "2024-01-31 18:30:00", "2024-02-29 10:00:00")
    with connected(fresh_database) as engine:
        lines = [a_row(number, created_at=at) for number, at in enumerate(times, start=1)]
        lines.append(a_row(9, created_at=times[0], status="REFUNDED"))
        loader(engine, tmp_path)(*lines)
    nothing_is_wrong(own)
    days = {str(day) for day, *_ in kept(own, "payment_days", "day")}
    assert days == {"2024-01-31", "2024-02-01", "2024-02-29"}


def test_deltas_of_the_code_before_are_in_no_day_until_a_rebuild(own: Flask) -> None:
    (payment_id, *_) = some_payments(own)
    move(own, payment_id, 0, 1)
    execute(own, "UPDATE total_deltas SET at = NULL")
    fold(own)
    assert kept(own, "payment_days", "day") == {}
    assert rebuilt(own).wrong_days > 0
    nothing_is_wrong(own)


def test_what_is_wrong_is_mended_and_what_nobody_made_is_gone(own: Flask) -> None:
    for payment_id in some_payments(own):
        move(own, payment_id, 3, 1)
    fold(own)
    execute(own, "UPDATE payment_days SET payments = payments + 3, captured_now = 5")
    execute(own, "DELETE FROM payment_hours WHERE payments = 1")
    execute(
        own,
        "INSERT INTO payment_days (day, provider, method, currency, status, payments)"
        " VALUES ('2001-01-01', 'sandbox', 'CARD', 'INR', 'SUCCESS', 4)",
    )
    done = rebuilt(own)
    assert done.wrong_days > 0
    assert done.wrong_hours > 0
    nothing_is_wrong(own)


def test_hours_go_after_eight_days_and_a_late_move_brings_none_back(own: Flask) -> None:
    old = a_payment_made_at(own, YESTERDAY - timedelta(days=9), pending=True)
    new = a_payment_made_at(own, YESTERDAY - timedelta(days=5), pending=True)
    execute(
        own,
        "INSERT INTO payment_hours (hour, provider, method, currency, status, payments)"
        " SELECT created_at, 'none', method, currency, status, 1 FROM payments"
        " WHERE payment_id = :old", old=old,
    )  # fmt: skip
    fold(own)
    with own.app_context():
        assert totals.reap() == {"reaped": 1}
    for payment_id in (old, new):
        move(own, payment_id, 0, 1)
    fold(own)
    found = rows(own, "SELECT hour FROM payment_hours")
    assert {one["hour"] for one in found} == {YESTERDAY - timedelta(days=5)}
    nothing_is_wrong(own)


def test_deltas_that_wait_are_not_counted_twice(
    own: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come in between the rebuild's own fold and its statement."""
    for payment_id in some_payments(own):
        move(own, payment_id, 3, 1)
    with monkeypatch.context() as patched:
        patched.setattr(totals, "run_once", dict)
        rebuilt(own)
    nothing_is_wrong(own)


@pytest.fixture
def held(own: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs calls that all want to write one day, one behind the other, so that each has its
    snapshot before another commits: the day's row is locked until all of them wait."""

    def run(*calls: Callable[[], Any]) -> None:
        locked, free = threading.Event(), threading.Event()

        def hold() -> None:
            with own.app_context(), totals.db.engine.begin() as connection:
                connection.exec_driver_sql("SELECT FROM payment_days FOR UPDATE")
                locked.set()
                assert free.wait(120)

        with ThreadPoolExecutor() as pool:
            holding = pool.submit(hold)
            assert locked.wait(120)
            try:
                running = []
                for number, call in enumerate(calls, start=1):
                    running.append(pool.submit(call))
                    eventually(lambda n=number: len(rows(own, WAITING)) == n)
            finally:
                free.set()
            holding.result()
            for one in running:
                one.result()

    return run


def a_wrong_day(app: Flask) -> None:
    """One row, which says too much, while a delta of it waits."""
    at = YESTERDAY
    move(app, a_payment_made_at(app, at, pending=True), 1, 1)
    fold(app)
    execute(app, "DELETE FROM payment_days WHERE payments = 0")
    execute(app, "UPDATE payment_days SET payments = payments + 7")


def test_a_fold_that_commits_behind_the_rebuilds_snapshot_counts_once(
    own: Flask, held: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_wrong_day(own)
    (standing,) = rows(own, "SELECT * FROM payment_days")
    again = a_payment_made_at(own, YESTERDAY, pending=True)
    execute(
        own,
        "INSERT INTO total_deltas (provider, method, currency, status, payments, at)"
        " VALUES (:provider, :method, :currency, :status, 1, :at)",
        at=YESTERDAY,
        **{name: standing[name] for name in totals.LABELS},
    )
    # The delta is of this one, which begins to stand where the day's row is.
    execute(
        own,
        "UPDATE payments SET (provider, method, currency) = (:provider, :method, :currency),"
        " status = :status, captured = CASE WHEN :status = 'SUCCESS' THEN 1 ELSE 0 END,"
        " authorized = 1000 WHERE payment_id = :id",
        id=again, **{name: standing[name] for name in totals.LABELS},
    )  # fmt: skip
    execute(own, "DELETE FROM total_deltas WHERE status = 'PENDING'")
    folding = totals.run_once
    monkeypatch.setattr(totals, "run_once", dict)

    def fold_now() -> None:
        with own.app_context():
            folding()

    held(fold_now, lambda: rebuilt(own))
    counts = {key: one[0] for key, one in kept(own, "payment_days", "day").items()}
    assert counts == {key: one[0] for key, one in counted(own, day_in(ZONE)).items()}


def test_two_rebuilds_mend_once(own: Flask, held: Callable[..., None]) -> None:
    a_wrong_day(own)
    held(lambda: rebuilt(own), lambda: rebuilt(own))
    nothing_is_wrong(own)


def test_a_rebuild_beside_charges_refunds_and_folds(own: Flask) -> None:
    def pay() -> None:
        client = own.test_client()
        for number in range(5):
            paid = a_charged_payment(client)
            if number % 2:
                path = f"/v1/payments/{paid['payment_id']}/refund"
                assert post(client, path, amount="30.00").status_code == 200

    def work(step: Callable[[Flask], Any]) -> None:
        for _ in range(8):
            step(own)

    at_once([pay, pay, pay, *[lambda: work(fold)] * 2, *[lambda: work(rebuilt)] * 2])
    assert len(rows(own, "SELECT FROM payments")) == 15
    nothing_is_wrong(own)


def test_the_command_says_what_was_wrong(own: Flask) -> None:
    (payment_id, *_) = some_payments(own)
    move(own, payment_id, 0, 1)
    fold(own)
    execute(own, "UPDATE payment_days SET payments = 9")
    said = own.test_cli_runner().invoke(args=["totals", "rebuild"])
    assert said.exit_code == 0, said.output
    assert "rows of days were wrong" in said.output
    again = own.test_cli_runner().invoke(args=["totals", "rebuild"])
    assert ": 0 rows of days were wrong, 0 of hours" in again.output
    nothing_is_wrong(own)
