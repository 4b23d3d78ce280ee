"""A replica of the database answers lists, says how old they are, and is never needed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from prometheus_client import REGISTRY

from payment_service import replica
from payment_service.extensions import db
from payment_service.schemas.lists import Cursor
from payment_service.statements import Statement
from tests.desk import KEYS, Desk
from tests.drills.pair import Pair
from tests.fixtures import MakeApp, a_key, an_order
from tests.sandbox_calls import eventually

MIGRATIONS = str(Path(__file__).resolve().parents[1] / "migrations")
AN_HOUR = 3600.0

pytestmark = pytest.mark.slow


class Copied:
    """A primary and its replica, and apps that know both."""

    def __init__(self, pair: Pair, make_app: MakeApp) -> None:
        self.pair, self._make_app = pair, make_app
        self.app = self.another()

    def another(self, *, max_age: float = AN_HOUR, read: str | None = None) -> Flask:
        app = self._make_app(
            **KEYS,
            operator_mfa="optional",
            database_url=self.pair.address(0),
            database_read_url=read or self.pair.address(1),
            database_read_max_age=max_age,
        )
        return app

    def charged(self) -> int:
        answer = self.app.test_client().post(
            "/v1/payments/charge", json=an_order(), headers={"Idempotency-Key": a_key()}
        )
        assert answer.status_code == 201, answer.text
        return int(answer.json["payment_id"])

    def listed(self, app: Flask | None = None, query: str = "") -> tuple[list[int], int | None]:
        """The ids, and the age in seconds that the answer tells."""
        answer = (app or self.app).test_client().get(f"/v1/payments?limit=50{query}")
        assert answer.status_code == 200, answer.text
        age = answer.headers.get("Data-Age")
        return [row["payment_id"] for row in answer.json["payments"]], age and int(age)

    def shows(self, payment_id: int, app: Flask | None = None, *, aged: bool) -> bool:
        """Whether the list has it, from the replica or not."""
        found, age = self.listed(app)
        return payment_id in found and (age is not None) == aged

    def paused(self) -> Any:
        return self._switched("SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()")

    @contextlib.contextmanager
    def _switched(self, on: str, off: str) -> Iterator[None]:
        self.pair.say(1, on)
        try:
            yield
        finally:
            self.pair.say(1, off)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, make_app: MakeApp) -> Iterator[Copied]:
    pair = Pair(tmp_path_factory.mktemp("pair"))
    try:
        pair.start(synchronous=False)
        found = Copied(pair, make_app)
        with found.app.app_context():
            upgrade(MIGRATIONS)
        yield found
    finally:
        pair.close()


@pytest.fixture(autouse=True)
def asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "AWAY_SECONDS", 0.3)
    monkeypatch.setattr(replica, "KNOWN_SECONDS", 0.1)


def holds(of: Callable[[], Any]) -> None:
    eventually(lambda: of() or None)


def test_a_replica_that_stands_still_says_how_old_it_is(copied: Copied) -> None:
    before = copied.charged()
    holds(lambda: copied.shows(before, aged=True))
    impatient = copied.another(max_age=1.0)
    holds(lambda: copied.shows(before, impatient, aged=True))
    desk = Desk(copied.app).join()
    with copied.paused():
        after = copied.charged()
        holds(lambda: (copied.listed()[1] or 0) >= 3)
        found, _ = copied.listed()
        assert before in found
        assert after not in found
        page = desk.get("/admin/payments").text
        assert "Lists and figures here are read from a replica: up to " in page
        assert f"/admin/payments/{after}" not in page
        # Too old for who wants them newer; and nobody who asks for one thing is told what was.
        assert copied.shows(after, impatient, aged=False)
        one = copied.app.test_client().get(f"/v1/payments/{after}")
        assert one.json["status"] == "SUCCESS"
        assert "Data-Age" not in one.headers
        assert copied.listed(query=f"&order_id={one.json['order_id']}") == ([after], None)
        assert "read from a replica" not in desk.get(f"/admin/payments/{after}").text
        assert copied.app.test_client().get("/health/ready").status_code == 200
    holds(lambda: copied.shows(after, aged=True))
    holds(lambda: copied.listed()[1] == 1)
    holds(lambda: copied.shows(after, impatient, aged=True))


def test_a_page_goes_on_where_the_primarys_ended(copied: Copied) -> None:
    """A replica that lacks rows beside the last page's would leave them out."""
    paid = [copied.charged() for _ in range(3)]
    holds(lambda: copied.shows(paid[-1], aged=True))
    with copied.paused():
        paid += [copied.charged() for _ in range(3)]
        primary = copied.another(read="postgresql://nobody:x@127.0.0.1:1/none")
        first = primary.test_client().get("/v1/payments?limit=1").json
        assert first["payments"][0]["payment_id"] == paid[-1]
        second, age = copied.listed(query=f"&cursor={first['next_cursor']}")
        assert age is None
        assert second[:5] == paid[-2::-1]
    holds(lambda: copied.shows(paid[-1], aged=True))
    long_ago = Cursor(datetime.now(UTC) - timedelta(hours=1), 1)
    assert copied.listed(query=f"&cursor={long_ago}")[1] is not None


def test_one_that_was_cut_from_its_primary_gets_older(copied: Copied) -> None:
    """Its receiver still stands, and it has applied all that it has got."""
    before = copied.charged()
    holds(lambda: copied.shows(before, aged=True))
    sender = copied.pair.hold_back()
    try:
        after = copied.charged()
        holds(lambda: (copied.listed()[1] or 0) >= 3)
        assert after not in copied.listed()[0]
    finally:
        sender.resume()
    holds(lambda: copied.shows(after, aged=True))


def test_one_that_gives_up_a_question_is_asked_the_next_one(copied: Copied) -> None:
    holds(lambda: copied.listed()[1] is not None)
    copied.pair.say(1, "ALTER SYSTEM SET max_standby_streaming_delay = 0")
    copied.pair.say(1, "SELECT pg_reload_conf()")
    sleeping = Statement(
        "sleeping", "SELECT count(*), pg_sleep(3) FROM payment_notes", {}, prepared=False
    )
    asked: list[str | None] = []

    def ask(pool: str | None) -> Any:
        asked.append(pool)
        return sleeping.read({}, str(pool))

    def read() -> None:
        with copied.app.app_context(), replica.may_answer():
            replica.answer(ask)

    reader = threading.Thread(target=read)
    reader.start()
    sleeps = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'"
    holds(lambda: copied.pair.say(1, f"{sleeps} AND pid <> pg_backend_pid()"))
    while reader.is_alive():
        with copied.app.app_context(), db.engine.begin() as connection:
            # Nobody reads it there, and the replica has to lock it, too.
            connection.exec_driver_sql("LOCK TABLE payment_notes IN ACCESS EXCLUSIVE MODE")
            connection.exec_driver_sql("SELECT pg_current_xact_id()")
        reader.join(0.2)
    assert asked == ["replica", "reads"]
    assert copied.listed()[1] is not None


def test_without_the_replica_the_primary_answers(copied: Copied) -> None:
    def counted(by: str) -> float:
        name = "payment_service_replica_lists_total"
        return REGISTRY.get_sample_value(name, {"answered_by": by}) or 0.0

    before = copied.charged()
    holds(lambda: copied.shows(before, aged=True))
    copied.pair.stop_standby()
    by_replica, by_primary = counted("replica"), counted("primary")
    after = copied.charged()
    for _ in range(3):
        assert copied.shows(after, aged=False)
    assert counted("replica") == by_replica
    assert counted("primary") == by_primary + 3
    assert copied.app.test_client().get("/health/ready").status_code == 200
    copied.pair.start_standby()
    holds(lambda: copied.shows(after, aged=True))


def test_a_role_that_may_read_nothing_there_is_no_harm(copied: Copied) -> None:
    after = copied.charged()
    copied.pair.say(0, "CREATE ROLE nobody LOGIN PASSWORD 'of-nobody'")
    port = copied.pair.address(1).rpartition(":")[2]
    app = copied.another(read=f"postgresql://nobody:of-nobody@127.0.0.1:{port}")
    for _ in range(3):
        assert copied.shows(after, app, aged=False)
        assert app.test_client().get("/health/ready").status_code == 200
