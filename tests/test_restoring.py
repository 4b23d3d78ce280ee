"""A restore loses no payment, no answer and no id: what moved since the backup comes back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from payment_service.domain.acts import Act
from payment_service.domain.operators import InviteOver
from payment_service.extensions import db
from payment_service.outbox import relay
from payment_service.providers import sandbox as provider
from payment_service.providers.contract import Operation
from payment_service.services import audit_log, invites, rebuilding, sessions, totals
from payment_service.services.moves import resolution
from scripts.postgres import call
from tests.books import a_charged_payment, a_pending_payment, a_trip, post
from tests.fixtures import a_key, a_number
from tests.operators import CLI, an_operator, begun, current
from tests.patience import PATIENCE
from tests.restoring import House, a_hold
from tests.sandbox_calls import arm, eventually, get

TABLES = ("payments", "transactions", "refunds", "events", "deliveries", "idempotency_keys",
          "sink_totals", "refund_requests", "contradictions", "lookups")  # fmt: skip

ASKED_NEXT = ["due_at", "lookups", "not_found_at", "leased_until"]


def tables(house: House, database: str | None = None) -> dict[str, list[str]]:
    """Every row of every table that tells of money, but for when somebody asks next."""
    found = {}
    for name in TABLES:
        less = "" if name != "transactions" else f" - ARRAY{ASKED_NEXT}"
        rows = house.rows(f"SELECT (to_jsonb(t){less})::text FROM {name} t ORDER BY 1", database)
        found[name] = [row for (row,) in rows]
    return found


def sums(house: House, database: str | None = None) -> list[Any]:
    """The totals as /metrics will tell them."""
    counts = "payments, created, entered, captured, refunds, refunded"
    summed = ", ".join(f"sum({name})" for name in counts.split(", "))
    both = f"SELECT provider, method, currency, status, {counts} FROM"
    return house.rows(
        f"SELECT provider, method, currency, status, {summed} FROM"
        f" ({both} payment_totals UNION ALL {both} total_deltas) t GROUP BY 1, 2, 3, 4"
        f" HAVING ({summed}) <> (0, 0, 0, 0, 0, 0) ORDER BY 1, 2, 3, 4",
        database,
    )


@contextmanager
def held_up() -> Iterator[threading.Event]:
    """What is begun is asked of the provider once the event is set."""
    go_on, request_for = threading.Event(), provider.request_for

    def later(operation: Operation) -> tuple[str, dict[str, Any]]:
        go_on.wait(PATIENCE)
        return request_for(operation)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provider, "request_for", later)
        try:
            yield go_on
        finally:
            go_on.set()


def an_import(house: House, folder: Path, *statuses: str, trip_id: int | None = None) -> list[int]:
    """Payments of a file, one of each status, by card unless another method stands behind it; each
    of a trip of its own if none is named."""
    lines = ["payment_id,trip_id,amount,method,status,reference,created_at"]
    ids = [a_trip(house.sandbox) for _ in statuses]
    for n, words in zip(ids, statuses, strict=True):
        status, _, method = words.partition(" ")
        trip, method = trip_id or n, method or "CARD"
        lines.append(f"{n},{trip},12.50,{method},{status},REF-{n},2026-01-02 03:04:05")
    file = folder / "history.csv"
    file.write_text("\n".join(lines) + "\n")
    done = house.run("seed", "--payments", str(file))
    assert done.exit_code == 0, done.output
    return ids


@pytest.mark.slow
def test_what_moved_since_the_backup_comes_back_as_it_was(house: House, tmp_path: Path) -> None:
    client = house.client
    early = a_charged_payment(client)
    held, released = a_hold(house), a_hold(house)
    created = a_pending_payment(client)
    with house.app.app_context():
        totals.run_once()  # some are folded when the backup is made, and some are not
    refunded = a_charged_payment(client)
    file = house.backup()
    keys = {name: a_key() for name in ("refund", "capture", "void", "charge", "by id", "late")}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "refund": (f"/v1/payments/{refunded['payment_id']}/refund", {"amount": "40.00"}),
        "capture": (f"/v1/payments/{held['payment_id']}/capture", {"amount": "60.00"}),
        "void": (f"/v1/payments/{released['payment_id']}/cancel", {}),
        "charge": ("/v1/payments/charge", {"order_id": a_number(), "amount": "9.99",
                                           "method": "CARD", "payment_token": "tok_ok"}),
        "by id": (f"/v1/payments/{created['payment_id']}/charge", {}),
        "late": ("/v1/payments/charge", {"order_id": a_number(), "amount": "5.00",
                                         "method": "CARD",
                                         "payment_token": "tok_decline_do_not_honor"}),
    }  # fmt: skip
    told = {name: post(client, path, keys[name], **body) for name, (path, body) in asked.items()}
    assert [a.status_code for a in told.values()] == [200, 200, 200, 201, 201, 402]
    charge_again = post(client, "/v1/payments/charge", order_id=a_number(), amount="7.00",
                        method="CASH", driver_id=1)  # fmt: skip
    assert charge_again.status_code == 201
    statuses = ("SUCCESS", "REFUNDED", "FAILED", "PENDING", "PENDING", "PENDING CASH")
    imported = an_import(house, tmp_path, *statuses)
    taken_over = post(client, "/v1/payments/charge", trip_id=imported[3], method="WALLET")
    assert taken_over.status_code == 201
    assert post(client, f"/v1/payments/{imported[4]}/cancel").status_code == 200
    settled = client.patch(f"/v1/payments/{imported[5]}/status", json={"status": "SUCCESS"})
    assert settled.status_code == 200
    with house.app.app_context():
        relay.run_once()
    house.rows("INSERT INTO contradictions SELECT payment_id, max(seq), now() FROM events"
               f" WHERE payment_id = {refunded['payment_id']} GROUP BY 1")  # fmt: skip
    with house.app.app_context():
        resolution.resolve(payment_id=refunded["payment_id"], number=1, anyway=True)
    assert house.rows("SELECT n, found FROM lookups") == [(1, "APPROVED")]
    stood, counted = tables(house), sums(house)
    at_provider = len(get(house.sandbox, "/psp/charges")["charges"])

    kept = house.restore(file)

    assert tables(house, kept) == stood, "the replaced database is kept as it was"
    assert tables(house) == stood
    assert sums(house) == counted
    with house.app.app_context():
        totals.run_once()
        rebuilt = rebuilding.rebuild()
    assert (rebuilt.wrong_days, rebuilt.wrong_hours) == (0, 0)
    done = house.run("audit", "verify")
    assert done.exit_code == 0, done.output
    for name, (path, body) in asked.items():
        again = post(house.client, path, keys[name], **body)
        assert (again.status_code, again.data) == (told[name].status_code, told[name].data), name
        assert again.headers["Idempotent-Replayed"] == "true"
    assert len(get(house.sandbox, "/psp/charges")["charges"]) == at_provider
    assert early["payment_id"] < a_charged_payment(house.client)["payment_id"]


@pytest.mark.slow
def test_no_id_is_given_out_again(house: House) -> None:
    a_charged_payment(house.client)
    file = house.backup()
    late = a_charged_payment(house.client)
    refund = post(house.client, f"/v1/payments/{late['payment_id']}/refund").json
    house.rows("SELECT nextval(pg_get_serial_sequence('payments', 'payment_id'))")
    ids = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
    stood = dict(house.rows(ids))
    house.restore(file)
    assert dict(house.rows(ids)) == stood
    fresh = a_charged_payment(house.client)
    again = post(house.client, f"/v1/payments/{fresh['payment_id']}/refund").json
    assert fresh["payment_id"] == late["payment_id"] + 2
    assert again["refund_id"] == refund["refund_id"] + 1


@pytest.mark.slow
def test_tables_of_before_there_were_operators_are_restored(house: House) -> None:
    """The service is newer than the tables: the restore may be because of that."""
    payment = a_charged_payment(house.client)
    house.rows(
        "DROP TABLE operator_invites, operator_sessions, operators, log_in_tries, used_states,"
        " audit_log, saved_views, payment_notes, payment_days, payment_hours, worker_beats,"
        " contradictions, refund_requests, job_items, jobs"
    )
    house.restore(house.backup())
    query = f"SELECT status FROM payments WHERE payment_id = {payment['payment_id']}"
    assert house.rows(query) == [("SUCCESS",)]


@pytest.mark.slow
def test_an_operator_who_was_put_out_since_stays_out(house: House) -> None:
    """And a link that was used since is no link any more."""
    person = an_operator(house.app)
    session = begun(person)
    link = house.run("operators", "invite", person.email).output.strip().rpartition("/")[2]
    file = house.backup()
    with house.app.app_context():
        assert sessions.end(session_id=session.session_id, by=CLI)
    house.restore(file)
    assert current(house.app, session.token) is None
    with house.app.app_context(), pytest.raises(InviteOver):
        invites.look(link)
    assert isinstance(person.log_in(), sessions.Begun)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["do_and_lose_answer", "fail_500"])
def test_what_is_open_is_looked_up_before_anybody_is_let_in(house: House, fault: str) -> None:
    file = house.backup()
    key, token = a_key(), f"card-{a_key()}"
    body = {"order_id": a_number(), "amount": "8.00", "method": "CARD", "payment_token": token}
    arm(house.sandbox, "charge", fault, match={"token": token})
    arm(house.sandbox, "lookup", "lookup_unavailable", match={"token": token}, ms=100)
    told = post(house.client, "/v1/payments/charge", key, **body)
    assert told.status_code == 202
    house.restore(file)
    ((status,),) = house.rows("SELECT status FROM transactions")
    assert status == ("SUCCESS" if fault == "do_and_lose_answer" else "PROCESSING")
    ((lookups, due),) = house.rows("SELECT lookups, due_at IS NOT NULL FROM transactions")
    assert (due, lookups > 0) == ((status == "PROCESSING"), (status == "PROCESSING"))
    again = post(house.client, "/v1/payments/charge", key, **body)
    assert again.json["payment_id"] == told.json["payment_id"]
    assert again.status_code == (201 if status == "SUCCESS" else 202)


@pytest.mark.slow
def test_a_key_that_was_freed_since_is_free(house: House) -> None:
    """At the backup it was claimed; then the provider surely took nothing."""
    key, token = a_key(), f"card-{a_key()}"
    body = {"order_id": a_number(), "amount": "8.00", "method": "CARD", "payment_token": token}
    arm(house.sandbox, "charge", "too_many_requests", match={"token": token})
    with ThreadPoolExecutor(1) as pool, held_up() as go_on:
        first = pool.submit(post, house.client, "/v1/payments/charge", key, **body)
        eventually(lambda: house.rows("SELECT 1 FROM idempotency_keys"))
        file = house.backup()
        assert house.rows("SELECT status FROM payments") == [("PROCESSING",)]
        go_on.set()
        assert first.result().status_code == 503
    house.restore(file)
    assert house.rows("SELECT status FROM payments") == [("FAILED",)]
    again = post(house.client, "/v1/payments/charge", key, **body)
    assert again.status_code == 201, "the caller was told that the key is free"


@pytest.mark.slow
def test_a_key_that_somebody_deleted_goes_on_protecting(house: House) -> None:
    """Two at the backup, one answered and one not, and no keys at all in the replaced database."""
    keys = (a_key(), a_key())
    bodies = [{"order_id": a_number(), "amount": "8.00", "method": "CARD"} for _ in keys]
    told = [post(house.client, "/v1/payments/charge", keys[0], **bodies[0])]
    with ThreadPoolExecutor(1) as pool, held_up() as go_on:
        last = pool.submit(post, house.client, "/v1/payments/charge", keys[1], **bodies[1])
        eventually(lambda: house.rows("SELECT 1 FROM idempotency_keys WHERE answer_body IS NULL"))
        file = house.backup()
        assert house.rows("SELECT 1 FROM payments WHERE status = 'PROCESSING'")
        go_on.set()
        told.append(last.result())
    house.rows("DELETE FROM idempotency_keys")
    house.restore(file)
    house.rows("UPDATE idempotency_keys SET locked_until = now()")  # a minute later
    for key, body, first in zip(keys, bodies, told, strict=True):
        again = post(house.client, "/v1/payments/charge", key, **body)
        assert (again.status_code, again.json["payment_id"]) == (201, first.json["payment_id"])


@pytest.mark.slow
def test_what_went_another_way_since_stays_as_in_the_backup(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """The backup knows that it was cancelled; the replaced database never heard of that."""
    payment_id = a_pending_payment(house.client)["payment_id"]
    before = house.backup().rename(house.folder / "earlier.dump")
    done = house.client.patch(f"/v1/payments/{payment_id}/status",
                              json={"status": "CANCELLED", "reason": "by hand"})  # fmt: skip
    assert done.status_code == 200
    file = house.backup()
    house.leave()
    house.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    call("pg_restore", "--no-owner", f"--dbname={os.environ['PGDATABASE']}", str(before))
    charged = post(house.client, f"/v1/payments/{payment_id}/charge")
    assert charged.status_code == 201
    house.restore(file)
    printed = capfd.readouterr().out
    assert "don't go on from those of the backup" in printed
    assert "operations that no row of ours tells of" in printed, "the money is not forgotten"
    assert house.client.get(f"/v1/payments/{payment_id}").json["status"] == "CANCELLED"
    assert house.run("audit", "verify").exit_code == 0


@pytest.mark.slow
def test_rows_that_their_events_belie_are_not_believed(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of one the row was changed since, of one the end of its chain; the provider knows better."""
    whole, changed, cut = (a_charged_payment(house.client) for _ in range(3))
    file = house.backup()
    for one in (whole, changed, cut):
        answer = post(house.client, f"/v1/payments/{one['payment_id']}/refund", amount="1.00")
        assert answer.status_code == 200
    house.rows("UPDATE payments SET status = 'SUCCESS', refunded = 0"
               f" WHERE payment_id = {changed['payment_id']}")  # fmt: skip
    house.rows(f"UPDATE payments SET audit_head = '\\x00' WHERE payment_id = {cut['payment_id']}")
    house.restore(file)
    printed = capfd.readouterr().out
    for one in (changed, cut):
        assert f"OPEN: payment {one['payment_id']} stays as in the backup" in printed
    assert f"OPEN: payment {whole['payment_id']}" not in printed
    assert "2 were missing at payments of ours" in printed
    found = dict(house.rows("SELECT payment_id, refunded FROM payments"))
    assert found == {one["payment_id"]: 100 for one in (whole, changed, cut)}
    assert house.run("audit", "verify").exit_code == 0


@pytest.mark.slow
def test_a_payment_that_can_not_come_back_is_not_charged_again(house: House) -> None:
    key = a_key()
    body = {"order_id": a_number(), "amount": "8.00", "method": "CARD",
            "payment_token": "tok_requires_action"}  # fmt: skip
    file = house.backup()
    assert post(house.client, "/v1/payments/charge", key, **body).status_code == 202
    house.rows("UPDATE payments SET audit_head = '\\x00'")
    house.restore(file)
    assert house.rows("SELECT payment_id FROM payments") == []
    again = post(house.client, "/v1/payments/charge", key, **body)
    assert (again.status_code, again.json["code"]) == (409, "idempotency_key_in_progress")


@pytest.mark.slow
def test_a_trip_that_was_tried_again_since(house: House) -> None:
    """The payment that lived at the backup is dead, and another one lives for the same order."""
    order = {"order_id": a_number(), "amount": "8.00", "method": "CARD"}
    first = a_pending_payment(house.client, **order)
    file = house.backup()
    done = house.client.patch(f"/v1/payments/{first['payment_id']}/status",
                              json={"status": "CANCELLED", "reason": "by hand"})  # fmt: skip
    assert done.status_code == 200, done.json
    second = a_charged_payment(house.client, **order)
    stood = tables(house)
    house.restore(file)
    assert tables(house) == stood
    exists = post(house.client, "/v1/payments/charge", **order)
    assert exists.json["payment_id"] == second["payment_id"]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["imported", "created"])
def test_a_trip_whose_history_came_in_since_is_still_paid(
    house: House, tmp_path: Path, first: str
) -> None:
    """The import moved the PENDING payment aside: the next charge must not find it in its place."""
    trip_id = a_trip(house.sandbox)
    if first == "imported":
        an_import(house, tmp_path, "PENDING", trip_id=trip_id)
    else:
        assert house.client.post("/v1/payments", json={"trip_id": trip_id}).status_code == 201
    file = house.backup()
    (paid,) = an_import(house, tmp_path, "SUCCESS", trip_id=trip_id)
    stood, counted = tables(house), sums(house)
    house.restore(file)
    assert tables(house) == stood
    assert sums(house) == counted
    again = post(house.client, "/v1/payments/charge", trip_id=trip_id)
    assert (again.status_code, again.json["payment_id"]) == (409, paid)


@pytest.mark.slow
def test_what_was_delivered_is_not_told_again(house: House) -> None:
    before = a_charged_payment(house.client)
    file = house.backup()
    a_charged_payment(house.client)
    with house.app.app_context():
        relay.run_once()
        house.rows("DELETE FROM deliveries")  # as reaping does, days later
    owed = a_charged_payment(house.client)
    house.restore(file)
    told = house.rows("SELECT payment_id, sink FROM deliveries WHERE done_at IS NULL")
    assert told == [(owed["payment_id"], "order")]
    assert before["payment_id"] not in dict(told)


def an_act(house: House) -> None:
    with house.app.app_context():
        audit_log.write(actor="operator:7", act=Act.LOGGED_IN)
        db.session.commit()


def acts(house: House) -> list[Any]:
    return house.rows("SELECT audit_log::text FROM audit_log ORDER BY audit_id")


@pytest.mark.slow
def test_acts_since_the_backup_come_back(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    a_charged_payment(house.client)
    an_act(house)
    file = house.backup()
    for _ in range(3):
        an_act(house)
    stood = acts(house)
    house.restore(file)
    assert "0 keys, 0 customers, 3 acts\n" in capfd.readouterr().out
    assert acts(house) == stood and len(stood) == 4
    an_act(house)
    assert house.run("audit", "verify").exit_code == 0


@pytest.mark.slow
def test_what_operators_keep_is_as_in_the_backup(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Notes and jobs; and no job goes on that somebody may have stopped since."""
    payment = a_charged_payment(house.client)["payment_id"]
    person = an_operator(house.app)
    kept = (
        "SELECT (SELECT array_agg(text) FROM payment_notes),"
        " (SELECT array_agg(kind || ' ' || state ORDER BY job_id) FROM jobs)"
    )

    def note(text: str) -> None:
        values = f"{payment}, {person.operator_id}, '{a_key()}', '{text}', now()"
        names = "payment_id, operator_id, form_key, text, at"
        house.rows(f"INSERT INTO payment_notes ({names}) VALUES ({values})")

    def job(kind: str) -> None:
        names, values = "kind, state, what, asked_by", f"'{kind}', 'OPEN', '{{}}', 'operator:1'"
        house.rows(f"INSERT INTO jobs ({names}, created_at) VALUES ({values}, now())")

    note("before")
    job("SKIP")
    file = house.backup()
    note("since")
    job("RESEND")
    house.restore(file)
    assert house.rows(kept) == [(["before"], ["SKIP STOPPED"])]
    assert "OPEN: 1 jobs of operators are stopped" in capfd.readouterr().out
    note("after")
    numbers = house.rows("SELECT note_id FROM payment_notes ORDER BY 1")
    assert numbers == [(1,), (3,)], "no number is given out again"
