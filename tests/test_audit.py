"""The audit chain: append-only in the database, and whoever gets around that is found."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from payment_service.services import audit
from tests.books import execute, row, rows
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
    assert verify(app) == f"3 payments, {events} events: every chain fits\n"
    assert verify(app, "--payment", str(ids[1])).startswith("1 payments, ")


def test_the_walk_goes_in_pieces(
    books: tuple[Flask, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = books
    whole = verify(app)
    monkeypatch.setattr(audit, "CHUNK", 1)
    assert verify(app) == whole


def test_the_hash_is_what_the_docs_say(books: tuple[Flask, list[int]]) -> None:
    app, ids = books
    head = b""
    query = "SELECT body, chain FROM events WHERE payment_id = :id ORDER BY seq"
    for event in rows(app, query, id=ids[0]):
        head = hashlib.sha256(head + event["body"].encode()).digest()
        assert bytes(event["chain"]) == head


REWRITE = """
    UPDATE events SET body = replace(body, '"amount":"100.00"', '"amount":"1.00"')
    WHERE payment_id = :id AND seq = 4
"""
REHASHED = """
    UPDATE events e SET body = n.body, chain = sha256(
        (SELECT chain FROM events b WHERE b.payment_id = e.payment_id AND b.seq = 3)
        || convert_to(n.body, 'UTF8'))
    FROM (SELECT payment_id, seq, replace(body, '"amount":"100.00"', '"amount":"1.00"') AS body
          FROM events) n
    WHERE e.payment_id = :id AND e.seq = 4 AND n.payment_id = e.payment_id AND n.seq = e.seq
"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (REWRITE, "event 4: its hash does not follow from its body"),
        (REHASHED, "event 5: its hash does not follow"),
        ("DELETE FROM events WHERE payment_id = :id AND seq = 4", "event 5: it follows event 3"),
        ("DELETE FROM events WHERE payment_id = :id AND seq = 2", "event 3: its hash does not"),
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
            "row in payments: its version is 9, its last event is 8",
        ),
        (
            "UPDATE payments SET status = 'PARTIALLY_REFUNDED', refunded = refunded - 1"
            " WHERE payment_id = :id",
            "row in payments: its status is PARTIALLY_REFUNDED, its last event says REFUNDED",
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


def test_a_digest_kept_outside_shows_what_the_chains_cannot(
    books: tuple[Flask, list[int]],
) -> None:
    app, ids = books
    now = f"{row(app, 'SELECT now() + interval $$1 s$$ AS at')['at']:%Y-%m-%dT%H:%M:%SZ}"

    def digest() -> str:
        result = app.test_cli_runner().invoke(args=["audit", "digest", "--until", now])
        assert re.fullmatch(r"\S+Z \d payments sha256:[0-9a-f]{64}\n", result.output)
        return str(result.output)

    before = digest()
    execute(app, "UPDATE payments SET description = 'x'")
    assert digest() == before, "only what was told counts"
    tamper(app, "DELETE FROM events WHERE payment_id = :id", id=ids[2])
    execute(
        app, "UPDATE payments SET audit_head = NULL, version = 1 WHERE payment_id = :id", id=ids[2]
    )
    verify(app)
    assert digest() != before
