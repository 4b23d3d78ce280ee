"""In which order what is done to operators takes its locks: no two acts wait for each other, and
who holds the audit log's chain and hangs does not stop the others for long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from payment_service.domain.acts import Act
from payment_service.domain.operators import InviteOver
from payment_service.extensions import db
from payment_service.services import audit_log, invites, operators, sessions
from tests.fixtures import MakeApp
from tests.operators import AGENT, CLI, KEYS, PASSWORD, a_session, an_operator, begun
from tests.sandbox_calls import eventually

WAITING = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


@pytest.fixture
def app(make_app: MakeApp, fresh_database: str) -> Flask:
    return make_app(**KEYS, database_url=fresh_database)


def while_held(app: Flask, operator_id: int, act: Callable[[], Any], free: str) -> Any:
    """Somebody holds the operator's row, and `act` has to wait for it. Until it gets it the rows
    that the query `free` locks are nobody's: who holds the operator's row may want them."""
    with app.app_context(), db.engine.connect() as holder, ThreadPoolExecutor(1) as pool:
        own = text("SELECT 1 FROM operators WHERE operator_id = :id FOR UPDATE")
        holder.execute(own, {"id": operator_id})
        waiting = pool.submit(act)

        def waits() -> bool:
            with db.engine.connect() as other:
                return bool(other.execute(WAITING).scalar_one())

        eventually(waits)
        try:
            holder.execute(text(f"{free} FOR UPDATE NOWAIT"), {"id": operator_id})
        finally:
            holder.rollback()
        return waiting.result()


def test_a_link_is_used_after_its_operator_is_held(app: Flask) -> None:
    """Who makes another link, or disables him, takes them in this order too."""
    person = an_operator(app, joined=False)
    with app.app_context():
        made = invites.make(email=person.email, role=None, by=CLI)

    def accept() -> None:
        with app.app_context():
            invites.accept(
                token=made.token, name="New", password=PASSWORD, address="10.0.0.1", agent=AGENT
            )

    while_held(
        app,
        person.operator_id,
        accept,
        "SELECT 1 FROM operator_invites WHERE operator_id = :id",
    )


def test_a_link_that_dies_while_somebody_uses_it_is_dead(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment that counts is not that at which his transaction began."""
    person = an_operator(app, joined=False)
    with app.app_context():
        made = invites.make(email=person.email, role=None, by=CLI)
    hold = sessions.hold

    def late(operator_id: int) -> Any:
        monkeypatch.undo()

        def another() -> None:
            with app.app_context():
                invites.make(email=person.email, role=None, by=CLI)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(another).result()
        return hold(operator_id)

    monkeypatch.setattr(sessions, "hold", late)
    with app.app_context(), pytest.raises(InviteOver):
        invites.accept(
            token=made.token, name="New", password=PASSWORD, address="10.0.0.1", agent=AGENT
        )


def test_other_sessions_end_after_their_operator_is_held(app: Flask) -> None:
    person = an_operator(app)
    now, other = a_session(person), begun(person)

    def end_others() -> int:
        with app.app_context():
            return sessions.end_others(now)

    free = "SELECT 1 FROM operator_sessions WHERE operator_id = :id"
    assert while_held(app, person.operator_id, end_others, free) == 1
    with app.app_context():
        assert sessions.current(other.token) is None


def test_who_hangs_with_the_chain_in_hand_lets_go(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database ends him long before those who wait give up."""
    monkeypatch.setattr(audit_log, "LONGEST_HELD", "1500ms")
    with app.app_context():
        with db.engine.connect() as hanging:
            audit_log.write(actor="cli:x", act=Act.LOGGED_IN, connection=hanging)
            operators.add(email="next@example.com", role=operators.Role.VIEWER, by=CLI)
            with pytest.raises(DBAPIError):
                hanging.commit()
                hanging.execute(text("SELECT 1"))
        with db.engine.connect() as connection:
            query = "SELECT audit_id, act FROM audit_log"
            found = [tuple(one) for one in connection.execute(text(query))]
    assert found == [(1, "operator_added")]


def test_only_who_holds_the_chain_must_be_so_quick(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        show = text("SHOW idle_in_transaction_session_timeout")
        before = connection.execute(show).scalar_one()
        audit_log.write(actor="cli:x", act=Act.LOGGED_IN, connection=connection)
        assert connection.execute(show).scalar_one() == audit_log.LONGEST_HELD
        connection.commit()
        assert connection.execute(show).scalar_one() == before == "1min"
