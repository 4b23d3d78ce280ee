"""The audit chain: append-only in the database, and whoever gets around that is found."""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from payment_service.models import Event
from payment_service.services import audit, audit_reading
from tests.books import at_once, execute, post, row, rows
from tests.fixtures import MakeApp
from tests.sisters import Make, apps_on, give_back, pay


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


@pytest.fixture
def books(make: Make) -> tuple[Flask, list[int]]:
    """Three payments with two refunds each: events 2 to 8."""
    app = make()
    ids = [pay(app) for _ in range(3)]
    for payment in ids:
        give_back(app, payment, "40.00")
        give_back(app, payment)
    return app, ids


def verify(app: Flask, *arguments: str, code: int = 0) -> str:
    result = app.test_cli_runner().invoke(args=["audit", "verify", *arguments])
    assert result.exit_code == code, result.output
    return str(result.output)


def tamper(app: Flask, statement: str, **values: Any) -> None:
    """What only the owner of the table can do."""
    execute(app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    assert execute(app, statement, **values) > 0
    execute(app, "ALTER TABLE events ENABLE TRIGGER events_are_append_only")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET reason = 'x'", "DELETE FROM events", "TRUNCATE events CASCADE"],
)
def test_events_are_append_only(books: tuple[Flask, list[int]], statement: str) -> None:
    app, _ = books
    with pytest.raises(IntegrityError, match="append-only"):
        execute(app, statement)


def test_whole_chains_are_walked_to_the_end(books: tuple[Flask, list[int]]) -> None:
    app, ids = books
    events = row(app, "SELECT count(*) AS n FROM events")["n"]
    assert verify(app) == f"3 payments, {events} events, 0 acts: every row and chain fits\n"
    assert verify(app, "--payment", str(ids[1])).startswith("1 payments, ")


@pytest.mark.parametrize("seq", [2, 4, 8])
def test_one_byte_changed_in_any_column_is_found(books: tuple[Flask, list[int]], seq: int) -> None:
    """Of the first event, of one in the middle, and of the last."""
    app, ids = books
    execute(app, "ALTER TABLE events DROP CONSTRAINT fk_events_payment_id_payments")
    tamper(app, "CREATE TABLE was AS TABLE events")
    execute(app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    made = {
        int: "{0} # 64",
        datetime: "{0} + interval '1 microsecond'",
        bytes: "set_byte({0}, 31, get_byte({0}, 31) # 1)",
        str: "overlay(coalesce({0}, ' ') placing '~' from length(coalesce({0}, ' ')) for 1)",
    }
    for column in Event.__table__.c:
        value = made[column.type.python_type].format(column.name)
        change = f"UPDATE events SET {column.name} = {value} WHERE payment_id = :id AND seq = :seq"
        assert execute(app, change, id=ids[1], seq=seq) == 1
        assert f"payment {ids[1]}, its row in " in verify(app, code=1), column
        execute(app, "DELETE FROM events")
        execute(app, "INSERT INTO events TABLE was")
    verify(app)


UNREADABLE = {
    "no year of ours": "'200000-01-01'",
    "before there were years": "'0044-03-15 BC'",
    "never": "'infinity'",
    "too deep": "(repeat('[', 5000) || repeat(']', 5000))::json",
    "too long": "('{\"a\": ' || repeat('9', 5000) || '}')::json",
    "half a character": "'\"\\ud800\"'::json",
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("payments.created_at", name) for name in list(UNREADABLE)[:3]),
        *(("events.occurred_at", name) for name in list(UNREADABLE)[:3]),
        *(("transactions.created_at", name) for name in list(UNREADABLE)[:3]),
        *(("refunds.created_at", name) for name in list(UNREADABLE)[:3]),
        *(("payments.metadata", name) for name in list(UNREADABLE)[3:]),
        *(("payments.fare", name) for name in list(UNREADABLE)[3:]),
    ],
)
def test_a_row_that_can_t_be_read_is_named_and_hides_no_other(
    books: tuple[Flask, list[int]], column: str, value: str
) -> None:
    app, ids = books
    table, _, name = column.partition(".")
    tamper(
        app,
        f"UPDATE {table} SET {name} = {UNREADABLE[value]} WHERE payment_id = :id",
        id=ids[0],
    )
    tamper(app, "UPDATE payments SET amount = amount + 1 WHERE payment_id = :id", id=ids[2])
    said = verify(app, code=1)
    assert f"payment {ids[0]}, " in said
    assert f"payment {ids[2]}, its row in payments: its amount is" in said
    assert app.test_cli_runner().invoke(args=["audit", "digest"]).exit_code == 0


@pytest.mark.parametrize(
    "body", ["repeat('[', 100000)", "'[]'", '\'{"data": {"payment_id": 1e400}}\'']
)
def test_a_body_that_is_none_of_ours_is_named_and_hides_no_other(
    books: tuple[Flask, list[int]], body: str
) -> None:
    app, ids = books
    statement = f"""
        UPDATE events SET body = {body}, snapshot = NULL,
            chain = sha256(convert_to({body}, 'UTF8'))
        WHERE payment_id = :id AND seq = 2"""
    tamper(app, statement, id=ids[0])
    tamper(app, "UPDATE payments SET amount = amount + 1 WHERE payment_id = :id", id=ids[2])
    said = verify(app, code=1)
    assert f"payment {ids[0]}, its row in events, event 2: its body" in said
    assert f"payment {ids[2]}, its row in payments: its amount is" in said


def test_the_walk_goes_in_pieces(
    books: tuple[Flask, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = books
    whole = verify(app)
    monkeypatch.setattr(audit_reading, "CHUNK", 1)
    assert verify(app) == whole


def test_the_hash_is_what_the_docs_say(books: tuple[Flask, list[int]]) -> None:
    app, ids = books
    head = b""
    query = "SELECT body, snapshot, chain FROM events WHERE payment_id = :id ORDER BY seq"
    for event in rows(app, query, id=ids[0]):
        head = hashlib.sha256(head + (event["body"] + event["snapshot"]).encode()).digest()
        assert bytes(event["chain"]) == head


REWRITE = """
    UPDATE events SET body = replace(body, '"amount":"100.00"', '"amount":"1.00"')
    WHERE payment_id = :id AND seq = 4
"""
REHASHED = """
    UPDATE events e SET body = n.body, chain = sha256(
        (SELECT chain FROM events b WHERE b.payment_id = e.payment_id AND b.seq = 3)
        || convert_to(n.body || snapshot, 'UTF8'))
    FROM (SELECT payment_id, seq, replace(body, '"amount":"100.00"', '"amount":"1.00"') AS body
          FROM events) n
    WHERE e.payment_id = :id AND e.seq = 4 AND n.payment_id = e.payment_id AND n.seq = e.seq
"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (REWRITE, "event 4: its chain is not the hash of the one before, its body"),
        (REHASHED, "event 4: its amount is 100, and before it was 10000; it was changed with no"),
        ("DELETE FROM events WHERE payment_id = :id AND seq = 4", "event 5: it follows event 3"),
        ("DELETE FROM events WHERE payment_id = :id AND seq = 2", "event 3: its chain is not"),
        (
            "DELETE FROM events WHERE payment_id = :id AND seq > 5",
            "row in payments: its audit_head",
        ),
        ("DELETE FROM events WHERE payment_id = :id", "row in payments: it has an audit_head, but"),
        ("UPDATE events SET seq = 60 WHERE payment_id = :id AND seq = 6", "event 7: it follows"),
        (
            "UPDATE events SET actor = 'operator' WHERE payment_id = :id AND seq = 3",
            "event 3: its actor is not what its body says",
        ),
        (
            "UPDATE events SET occurred_at = now() WHERE payment_id = :id AND seq = 3",
            "event 3: its occurred_at is not",
        ),
        (
            "UPDATE payments SET audit_head = NULL WHERE payment_id = :id",
            "row in payments: its audit_head",
        ),
        (
            "UPDATE payments SET version = version + 1 WHERE payment_id = :id",
            "row in payments: its version is 9, its last event says 8",
        ),
        (
            "UPDATE payments SET status = 'PARTIALLY_REFUNDED', refunded = refunded - 1"
            " WHERE payment_id = :id",
            'row in payments: its status is "PARTIALLY_REFUNDED", its last event says "REFUNDED"',
        ),
    ],
)
def test_the_first_row_that_does_not_fit_is_named(
    books: tuple[Flask, list[int]], statement: str, found: str
) -> None:
    app, ids = books
    tamper(app, statement, id=ids[1])
    out = verify(app, code=1)
    assert f"payment {ids[1]}, " in out
    assert found in out
    verify(app, "--payment", str(ids[0]))
    verify(app, "--payment", str(ids[1]), code=1)


def test_a_change_between_two_moves_is_named_although_the_second_tells_it(
    books: tuple[Flask, list[int]],
) -> None:
    """Who raises what was captured, has it refunded, and so has an event that says it."""
    app, _ = books
    raised = pay(app)
    of_it = "WHERE payment_id = :id"
    execute(app, f"UPDATE payments SET captured = 99999, authorized = 99999 {of_it}", id=raised)
    assert "its captured is 99999, its last event says 10000" in verify(app, code=1)
    give_back(app, raised, "40.00")
    assert "its authorized is 99999, and before it was 10000" in verify(app, code=1)
    revived = pay(app, payment_token="tok_decline_do_not_honor")
    execute(
        app,
        f"UPDATE payments SET status = 'SUCCESS', captured = 100, authorized = 100 {of_it}",
        id=revived,
    )
    post(app.test_client(), f"/v1/payments/{revived}/refund")
    out = verify(app, "--payment", str(revived), code=1)
    assert "event 3: it comes from SUCCESS, and before it the status was FAILED" in out


def test_all_that_is_broken_is_listed_up_to_a_number(
    books: tuple[Flask, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, ids = books
    execute(app, "UPDATE payments SET description = 'x', caller = 'x'")
    execute(app, "UPDATE refunds SET amount = 1 WHERE payment_id = :id", id=ids[2])
    lines = verify(app, code=1).splitlines()
    assert len(lines) == 3 * 2 + 2 * 2 + 1
    monkeypatch.setattr(audit, "MOST", 4)
    lines = verify(app, code=1).splitlines()
    assert (len(lines), lines[-1]) == (5, "not looked further: these are 4")


REHASH_ALL = """
    WITH RECURSIVE hashed AS (
        SELECT payment_id, seq, convert_to(body || coalesce(snapshot, ''), 'UTF8') AS said
        FROM events
    ), chained AS (
        SELECT payment_id, seq, sha256(said) AS chain FROM hashed e
        WHERE seq = (SELECT min(seq) FROM events f WHERE f.payment_id = e.payment_id)
        UNION ALL
        SELECT e.payment_id, e.seq, sha256(c.chain || said)
        FROM hashed e JOIN chained c ON c.payment_id = e.payment_id AND e.seq = c.seq + 1
    ), heads AS (
        UPDATE payments p SET audit_head = c.chain FROM chained c
        WHERE c.payment_id = p.payment_id AND c.seq = p.version
    )
    UPDATE events e SET chain = c.chain FROM chained c
    WHERE c.payment_id = e.payment_id AND c.seq = e.seq
"""


def test_code_of_before_snapshots_may_run_beside_ours(books: tuple[Flask, list[int]]) -> None:
    """It ends requests that ours began, and we go on with what it began."""
    app, _ = books
    for older in ("seq % 2 = 0", "seq % 2 = 1"):
        paid, held = pay(app), pay(app, capture=False)
        give_back(app, paid)
        assert post(app.test_client(), f"/v1/payments/{held}/capture").status_code in (200, 201)
        tamper(app, f"UPDATE events SET snapshot = NULL WHERE {older}")
        tamper(app, REHASH_ALL)
        verify(app)


def test_events_of_before_there_were_snapshots_fit_and_are_checked(
    books: tuple[Flask, list[int]],
) -> None:
    app, ids = books
    held, paid = pay(app, capture=False), pay(app)
    tamper(app, "UPDATE events SET snapshot = NULL")
    tamper(app, REHASH_ALL)
    verify(app)
    give_back(app, pay(app))
    assert post(app.test_client(), f"/v1/payments/{held}/capture").status_code in (200, 201)
    verify(app)
    for statement, found in (
        ("UPDATE payments SET amount = 1 WHERE payment_id = :id", "its amount is 1, its last"),
        ("UPDATE refunds SET amount = 1 WHERE payment_id = :id", "its amount is 1, the last event"),
        (
            "DELETE FROM transactions WHERE payment_id = :id AND number = 2",
            "number 2: events speak",
        ),
    ):
        execute(app, statement, id=ids[0])
        assert found in verify(app, "--payment", str(ids[0]), code=1)
    execute(app, "UPDATE payments SET refund_pending = 5 WHERE payment_id = :id", id=paid)
    sums = "its refund_pending is 5, its rows in refunds add up to 0"
    assert sums in verify(app, "--payment", str(paid), code=1)


@pytest.mark.slow
def test_a_walk_beside_moves_finds_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is read at one moment, whatever charges and refunds go on meanwhile."""
    monkeypatch.setattr(audit_reading, "CHUNK", 5)
    app = make()
    ended = threading.Event()

    def move() -> int:
        count = 0
        while count < 5 or not ended.is_set():
            give_back(app, pay(app), "40.00")
            count += 1
        return count

    def walk() -> int:
        try:
            for _ in range(30):
                verify(app)
        finally:
            ended.set()
        return 30

    assert at_once([move, move, walk])[2] == 30
