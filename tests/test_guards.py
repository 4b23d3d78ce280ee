"""The database says no by itself: every guard, asked directly and behind a missing check."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg2 import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from payment_service.domain.callers import WORKER
from payment_service.domain.vocabulary import TransactionType
from payment_service.extensions import db
from payment_service.services import holds, refunds, standing, takeover
from payment_service.services.moves import outcomes, steps, transitions
from payment_service.services.moves.rows import PaymentChanges, read_payment
from tests.books import (
    a_charged_payment,
    a_pending_payment,
    a_trip,
    arrived,
    at_provider,
    payment_row,
    payments_of,
    post,
    rows,
)
from tests.fixtures import a_key, a_number, an_order
from tests.sandbox_server import Sandbox

NEW = {
    "amount": 100,
    "currency": "INR",
    "method": "CARD",
    "status": "PENDING",
    "caller": "test",
    "authorized": 0,
    "captured": 0,
    "refunded": 0,
    "refund_pending": 0,
    "share": 0,
    "purpose": "FARE",
    "trip_id": None,
    "order_id": None,
}
PAID = {"status": "SUCCESS", "authorized": 100, "captured": 100}


def insert_payment(connection: Connection, **changes: Any) -> int:
    values = {**NEW, "reference": a_key(), **changes}
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    payment_id: int = connection.execute(
        text(
            f"INSERT INTO payments ({names}, created_at, updated_at)"
            f" VALUES ({places}, now(), now()) RETURNING payment_id"
        ),
        values,
    ).scalar_one()
    return payment_id


def insert_transaction(connection: Connection, payment_id: int, **changes: Any) -> None:
    values = {"number": 1, "type": "CHARGE", "status": "PROCESSING", "amount": 100, **changes}
    connection.execute(
        text(
            "INSERT INTO transactions (payment_id, number, type, status, amount, currency,"
            " provider, reference, created_at, send_before) VALUES (:payment_id, :number, :type,"
            " :status, :amount, 'INR', 'sandbox', 'r', now(), now())"
        ),
        {"payment_id": payment_id, **values},
    )


def insert_refund(connection: Connection, payment_id: int, **changes: Any) -> None:
    values = {"amount": 100, "status": "PENDING", **changes}
    connection.execute(
        text(
            "INSERT INTO refunds (payment_id, amount, currency, status, caller, created_at,"
            " updated_at) VALUES (:payment_id, :amount, 'INR', :status, 'test', now(), now())"
        ),
        {"payment_id": payment_id, **values},
    )


def refused(connection: Connection, guard: str, act: Callable[[], Any]) -> None:
    """The act fails because of that constraint or index, and of no other."""
    with pytest.raises(IntegrityError) as caught, connection.begin_nested():
        act()
    assert caught.value.orig.diag.constraint_name == guard


# Asked directly


@pytest.mark.parametrize("column", ["trip_id", "order_id"])
@pytest.mark.parametrize(
    "standing",
    [{"status": "PENDING"}, {"status": "PROCESSING"}, {"status": "REQUIRES_ACTION"}, PAID],
)
def test_one_live_payment_for_a_trip_or_order(
    connection: Connection, column: str, standing: dict[str, Any]
) -> None:
    of = {column: a_number()}
    guard = f"uq_payments_live_{column.removesuffix('_id')}"
    insert_payment(connection, **of, status="FAILED")
    insert_payment(connection, **of, **standing)
    refused(connection, guard, lambda: insert_payment(connection, **of))
    for other in ({"share": 1}, {"purpose": "TIP"}, {"status": "CANCELLED"}, {"status": "EXPIRED"}):
        insert_payment(connection, **of, **other)


def test_a_dead_payment_does_not_come_back_beside_a_live_one(connection: Connection) -> None:
    trip_id = a_number()
    dead = insert_payment(connection, trip_id=trip_id, status="FAILED")
    insert_payment(connection, trip_id=trip_id)
    revive = text("UPDATE payments SET status = 'PROCESSING' WHERE payment_id = :id")
    refused(connection, "uq_payments_live_trip", lambda: connection.execute(revive, {"id": dead}))


def test_a_reference_is_used_once(connection: Connection) -> None:
    reference = a_key()
    insert_payment(connection, reference=reference)
    refused(
        connection,
        "uq_payments_reference",
        lambda: insert_payment(connection, reference=reference),
    )


@pytest.mark.parametrize(
    ("guard", "changes"),
    [
        ("status", {"status": "PAID"}),
        ("status", {"status": "success"}),
        ("method", {"method": "CHEQUE"}),
        ("purpose", {"purpose": "GIFT"}),
        ("amount", {"amount": 0}),
        ("amount", {"amount": -100}),
        ("amount", {"share": -1}),
        ("ceilings", {**PAID, "captured": 101}),
        ("ceilings", {**PAID, "refund_pending": 101}),
        ("ceilings", {**PAID, "refund_pending": -1}),
        (
            "ceilings",
            {**PAID, "status": "PARTIALLY_REFUNDED", "refunded": 60, "refund_pending": 41},
        ),
        ("status_amounts", {**PAID, "captured": 0}),
        ("status_amounts", {**PAID, "refunded": 1}),
        ("status_amounts", {**PAID, "status": "REFUNDED", "refunded": 99}),
        ("status_amounts", {**PAID, "status": "REFUNDED"}),
        ("status_amounts", {"status": "REFUNDED"}),
        ("status_amounts", {**PAID, "status": "PARTIALLY_REFUNDED"}),
        ("status_amounts", {**PAID, "status": "PARTIALLY_REFUNDED", "refunded": 100}),
        ("status_amounts", {"status": "AUTHORIZED"}),
        ("status_amounts", {**PAID, "status": "AUTHORIZED"}),
        ("status_amounts", {**PAID, "status": "FAILED"}),
        ("status_amounts", {**PAID, "status": "PENDING"}),
        ("status_amounts", {**PAID, "status": "CANCELLED"}),
    ],
)
def test_checks_of_payments(connection: Connection, guard: str, changes: dict[str, Any]) -> None:
    refused(connection, f"ck_payments_{guard}", lambda: insert_payment(connection, **changes))


@pytest.mark.parametrize(
    "changes", [{"refunded": -1}, {"captured": 100, "authorized": 100, "refunded": 101}]
)
def test_refunded_stays_within_captured(connection: Connection, changes: dict[str, Any]) -> None:
    """Two guards say so; which one speaks first is PostgreSQL's business."""
    with pytest.raises(IntegrityError) as caught, connection.begin_nested():
        insert_payment(connection, **{**PAID, "status": "PARTIALLY_REFUNDED", **changes})
    assert caught.value.orig.diag.constraint_name in (
        "ck_payments_ceilings",
        "ck_payments_status_amounts",
    )


@pytest.mark.parametrize(
    ("guard", "changes"),
    [
        ("ck_transactions_type", {"type": "PAY"}),
        ("ck_transactions_status", {"status": "DONE"}),
        ("ck_transactions_amount", {"amount": 0}),
        ("ck_transactions_amount", {"amount": -1}),
        ("ck_transactions_amount", {"number": 0}),
        ("pk_transactions", {"status": "FAILED"}),
        ("uq_transactions_open_move", {"number": 2}),
        ("uq_transactions_open_move", {"number": 2, "type": "VOID"}),
        ("uq_transactions_open_move", {"number": 2, "type": "CAPTURE"}),
    ],
)
def test_guards_of_transactions(
    connection: Connection, guard: str, changes: dict[str, Any]
) -> None:
    payment_id = insert_payment(connection, status="PROCESSING")
    insert_transaction(connection, payment_id)
    refused(connection, guard, lambda: insert_transaction(connection, payment_id, **changes))


def test_refunds_are_open_side_by_side(connection: Connection) -> None:
    payment_id = insert_payment(connection, **PAID)
    for number in (1, 2):
        insert_transaction(connection, payment_id, number=number, type="REFUND")


@pytest.mark.parametrize(
    ("guard", "changes"),
    [
        ("ck_refunds_amount", {"amount": 0}),
        ("ck_refunds_amount", {"amount": -5}),
        ("ck_refunds_status", {"status": "DONE"}),
    ],
)
def test_checks_of_refunds(connection: Connection, guard: str, changes: dict[str, Any]) -> None:
    payment_id = insert_payment(connection, **PAID)
    refused(connection, guard, lambda: insert_refund(connection, payment_id, **changes))


@pytest.mark.parametrize(
    ("country", "currency"), [("in", "INR"), ("IND", "INR"), ("IN", "inr"), ("IN", "INRR")]
)
def test_checks_of_offers(connection: Connection, country: str, currency: str) -> None:
    offer = text(
        "INSERT INTO provider_offers (provider_name, country_code, currency, payment_method)"
        " VALUES ('test', :country, :currency, 'CARD')"
    )
    values = {"country": country, "currency": currency}
    refused(connection, "ck_provider_offers_codes", lambda: connection.execute(offer, values))


def test_the_catalog_has_one_version(connection: Connection) -> None:
    another = text("INSERT INTO catalog_version (only_row, version) VALUES (false, 1)")
    refused(connection, "ck_catalog_version_only_row", lambda: connection.execute(another))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET reason = 'x' WHERE payment_id = :id",
        "DELETE FROM events WHERE payment_id = :id",
        "TRUNCATE events CASCADE",
        "UPDATE events SET reason = 'x' WHERE false",
    ],
)
def test_events_are_append_only(
    client: FlaskClient, connection: Connection, statement: str
) -> None:
    payment = a_charged_payment(client)
    with pytest.raises(IntegrityError, match="append-only"), connection.begin_nested():
        connection.execute(text(statement), {"id": payment["payment_id"]})


def test_an_event_is_numbered_once(client: FlaskClient, connection: Connection) -> None:
    payment = a_charged_payment(client)
    again = text(
        "INSERT INTO events SELECT payment_id, seq, 'payment.failed', from_status, to_status,"
        " actor, request_id, reason, occurred_at, body, chain FROM events WHERE payment_id = :id"
    )
    values = {"id": payment["payment_id"]}
    refused(connection, "pk_events", lambda: connection.execute(again, values))


@pytest.mark.parametrize("table", ["transactions", "refunds", "events"])
def test_no_payment_goes_from_under_its_rows(
    client: FlaskClient, connection: Connection, table: str
) -> None:
    payment = a_charged_payment(client)
    post(client, f"/v1/payments/{payment['payment_id']}/refund")
    values = {"id": payment["payment_id"]}
    with pytest.raises(IntegrityError) as caught, connection.begin_nested():
        connection.execute(text("DELETE FROM payments WHERE payment_id = :id"), values)
    assert isinstance(caught.value.orig, errors.ForeignKeyViolation)
    count = text(f"SELECT count(*) FROM {table} WHERE payment_id = :id")
    assert connection.execute(count, values).scalar_one() > 0


# Through the service, with the check taken out


def test_creating_a_second_payment_without_a_look_for_the_first(
    app: Flask, client: FlaskClient
) -> None:
    """There is no look in front of the insert at all: the index alone refuses."""
    created = a_pending_payment(client)
    answer = client.post("/v1/payments", json={"order_id": created["order_id"], "amount": "1.00"})
    assert (answer.status_code, answer.json["code"]) == (409, "payment_exists")
    assert answer.json["payment_id"] == created["payment_id"]
    assert len(payments_of(app, order_id=created["order_id"])) == 1


def test_charging_a_paid_trip_that_nobody_finds_live(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip_id = a_trip(sandbox)
    paid = post(client, "/v1/payments/charge", trip_id=trip_id).json
    monkeypatch.setattr(takeover, "lock_live", lambda *_: [])
    answer = post(client, "/v1/payments/charge", trip_id=trip_id)
    assert answer.status_code == 409
    assert [row["payment_id"] for row in payments_of(app, trip_id=trip_id)] == [paid["payment_id"]]
    assert len(at_provider(sandbox, "charges", paid["reference"])) == 1


def test_refunding_more_than_is_left_without_the_check(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = a_charged_payment(client)
    url = f"/v1/payments/{payment['payment_id']}/refund"
    assert post(client, url, amount="60.00").status_code == 200
    monkeypatch.setattr(refunds, "amount_to_refund", lambda *_: 6000)
    answer = post(client, url, amount="60.00")
    assert answer.status_code >= 400
    stands = payment_row(app, payment["payment_id"])
    assert (stands["refunded"], stands["refund_pending"]) == (6000, 0)
    assert len(at_provider(sandbox, "refunds", payment["reference"])) == 1


def test_refunding_what_was_not_captured_without_the_check(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = post(client, "/v1/payments/charge", **an_order(capture=False)).json
    monkeypatch.setattr(standing, "CAPTURED", ("AUTHORIZED",))
    monkeypatch.setattr(refunds, "amount_to_refund", lambda *_: 100)
    answer = post(client, f"/v1/payments/{held['payment_id']}/refund")
    assert answer.status_code >= 400
    assert payment_row(app, held["payment_id"])["refund_pending"] == 0
    assert arrived(sandbox, held["reference"], "refund") == 0


def test_a_second_move_of_a_hold_without_the_check(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A void while a capture is open: only the index of open moves is left to refuse."""
    held = post(client, "/v1/payments/charge", **an_order(capture=False)).json
    begin = holds.begin_on_hold
    seconds: list[Any] = []
    carry_out = steps.carry_out

    def capture_and_void(move: Any) -> Any:
        if not seconds:
            seconds.append(None)
            url = f"/v1/payments/{held['payment_id']}/cancel"
            seconds[0] = post(app.test_client(), url)
        return carry_out(move)

    def begin_anyway(connection: Connection, *, payment: Any, **more: Any) -> Any:
        if payment["status"] == "PROCESSING":
            payment = {**payment, "status": "AUTHORIZED"}
        return begin(connection, payment=payment, **more)

    monkeypatch.setattr(holds, "expect_free", lambda *_: None)
    monkeypatch.setattr(holds, "begin_on_hold", begin_anyway)
    monkeypatch.setattr(steps, "carry_out", capture_and_void)
    first = post(client, f"/v1/payments/{held['payment_id']}/capture")
    assert (first.status_code, first.json["status"]) == (200, "SUCCESS")
    assert seconds[0].status_code >= 400
    assert arrived(sandbox, held["reference"], "void") == 0
    asked = rows(app, "SELECT type FROM transactions WHERE payment_id = :id", id=held["payment_id"])
    assert sorted(row["type"] for row in asked) == [
        TransactionType.AUTHORIZATION,
        TransactionType.CAPTURE,
    ]


def test_a_refund_that_would_end_wrong_without_the_table_of_edges(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part marked REFUNDED, as it was done elsewhere: the amounts forbid it."""
    payment = a_charged_payment(client)
    whole = transitions.edge_of({"status": "SUCCESS"}, "REFUND", outcomes.Verdict.WHOLLY)
    monkeypatch.setattr(outcomes.transitions, "edge_of", lambda *_: whole)
    answer = post(client, f"/v1/payments/{payment['payment_id']}/refund", amount="1.00")
    assert answer.status_code == 500
    stands = payment_row(app, payment["payment_id"])
    assert (stands["status"], stands["refunded"], stands["refund_pending"]) == ("SUCCESS", 0, 100)


def a_change_of_an_old_row(app: Flask, client: FlaskClient) -> transitions.Change:
    """A failure, planned from a paid payment's row before a part of it was given back."""
    payment_id = a_charged_payment(client)["payment_id"]
    with app.app_context(), db.engine.connect() as connection:
        old = read_payment(connection, payment_id)
    assert old is not None
    url = f"/v1/payments/{payment_id}/refund"
    assert post(client, url, amount="1.00").status_code == 200
    return transitions.plan(
        payment=old,
        moment=datetime.now(UTC),
        news=[transitions.News("payment.failed", WORKER)],
        changes={"status": "FAILED", "captured": 0},
    )


def expect_nothing_written(app: Flask, payment_id: int) -> None:
    assert payment_row(app, payment_id)["status"] == "PARTIALLY_REFUNDED"
    query = "SELECT 1 FROM events WHERE payment_id = :id AND type = 'payment.failed'"
    assert rows(app, query, id=payment_id) == []


def test_a_change_planned_from_an_old_row_is_not_written(app: Flask, client: FlaskClient) -> None:
    """The version is the guard: nothing is told, nothing is moved."""
    change = a_change_of_an_old_row(app, client)
    with app.app_context(), db.engine.begin() as connection:
        assert transitions.apply_unless_moved(connection, change) is False
    expect_nothing_written(app, change.payment["payment_id"])


def test_who_holds_the_lock_hears_that_nothing_was_written(app: Flask, client: FlaskClient) -> None:
    """A payment that moves under its lock is a mistake of ours, which must take back all that its
    transaction wrote."""
    change = a_change_of_an_old_row(app, client)
    payment_id = change.payment["payment_id"]
    earlier = text("UPDATE payments SET description = 'written before' WHERE payment_id = :id")
    with (
        app.app_context(),
        pytest.raises(transitions.NotWritten, match="moved while"),
        db.engine.begin() as connection,
    ):
        connection.execute(earlier, {"id": payment_id})
        transitions.apply(connection, change)
    expect_nothing_written(app, payment_id)
    assert payment_row(app, payment_id)["description"] is None


def test_a_change_that_no_statement_writes_is_refused(app: Flask, client: FlaskClient) -> None:
    """An event would tell of an amount that the row does not have."""
    payment_id = a_charged_payment(client)["payment_id"]
    with app.app_context(), db.engine.connect() as connection:
        payment = read_payment(connection, payment_id)
        assert payment is not None
        unwritten: Any = {"amount": 1}
        with pytest.raises(transitions.NotWritten, match="amount"):
            transitions.plan(
                payment=payment,
                moment=datetime.now(UTC),
                news=[transitions.News("payment.noted", WORKER)],
                changes=unwritten,
            )


def test_all_that_a_change_may_name_is_written(app: Flask, client: FlaskClient) -> None:
    """What plan lets through stands in the row afterwards, each column of it."""
    payment_id = a_charged_payment(client)["payment_id"]
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    changes: PaymentChanges = {
        "status": "SUCCESS",
        "provider": "another",
        "share": 7,
        "authorized": 900_000,
        "captured": 800_000,
        "refunded": 0,
        "refund_pending": 5,
        "disputed": 6,
        "charged_back": 8,
        "provider_reference": "a reference",
        "authorization_code": "a code",
        "failure_code": "a failure",
        "failure_message": "its message",
        "next_action": {"type": "redirect"},
        "completed_at": moment,
        "captured_at": moment,
        "expires_at": moment,
    }
    assert set(changes) == set(PaymentChanges.__annotations__)
    with app.app_context(), db.engine.begin() as connection:
        payment = read_payment(connection, payment_id, lock=True)
        assert payment is not None
        change = transitions.plan(
            payment=payment,
            moment=datetime.now(UTC),
            news=[transitions.News("payment.noted", WORKER)],
            changes=changes,
        )
        transitions.apply(connection, change)
        assert read_payment(connection, payment_id) == {**payment, **change.payment}
    stands = payment_row(app, payment_id)
    assert {name: stands[name] for name in changes} == changes
