"""Reads: one round trip each, and a tag by which a caller hears that nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg2
import pytest
from flask import Flask
from flask import json as flask_json
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import event, text

from payment_service.domain.jsontext import ascii_line
from payment_service.extensions import READS, db
from payment_service.idempotency import Key
from payment_service.services import reading
from payment_service.services.moves import retries
from tests.books import a_trip, execute, post
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.sandbox_server import Sandbox

Payment = dict[str, Any]


@pytest.fixture
def paid(client: FlaskClient, sandbox: Sandbox) -> Payment:
    """A trip's payment of 100.00, of which 10.00 were given back."""
    trip_id = a_trip(sandbox, total_fare="100.00")
    told = {"description": "spät \U0001f697", "metadata": {"gate": "\u0967"}}
    made = post(
        client,
        "/v1/payments/charge",
        trip_id=trip_id,
        order_id=a_number(),
        method="CARD",
        **told,
    )
    assert made.status_code == 201
    found: Payment = made.json
    part = post(client, f"/v1/payments/{found['payment_id']}/refund", amount="10.00")
    return found | {"refund_id": part.json["refund_id"]}


PATHS = [
    "/v1/payments/{payment_id}",
    "/v1/payments/trip/{trip_id}",
    "/v1/payments/order/{order_id}",
    "/v1/payments/transaction/{transaction_id}",
    "/v1/payments/{payment_id}/events",
    "/v1/payments/{payment_id}/refunds",
    "/v1/payments/{payment_id}/refunds?total=true",
    "/v1/payments/{payment_id}/receipt",
    "/v1/refunds/{refund_id}",
    "/v1/refunds?limit=20",
    "/v1/payments?limit=20",
    "/v1/payments?order_id={order_id}&total=true&offset=1",
    "/v1/payments?status=PROCESSING&limit=7",
]
TAGGED = [url for url in PATHS if "?" not in url and not url.endswith("/refunds")]


class Told(psycopg2.extensions.cursor):
    """A cursor that notes what it sends."""

    sent: ClassVar[list[str]] = []

    def execute(self, query: Any, values: Any = None) -> None:
        self.sent.append(str(query).split(" (")[0])
        super().execute(query, values)


@contextmanager
def sent_to_database(app: Flask) -> Iterator[list[str]]:
    """What is sent to the database inside, trip by trip: the statements, and what a connection that
    is not in AUTOCOMMIT sends around them."""
    watched = []

    def taken(connection: Any, record: Any, proxy: Any) -> None:
        if not connection.autocommit:
            Told.sent.append("BEGIN and ROLLBACK")
        watched.append((connection, connection.cursor_factory))
        connection.cursor_factory = Told

    with app.app_context():
        engines = set(db.engines.values())
    Told.sent.clear()
    for engine in engines:
        event.listen(engine, "checkout", taken)
    try:
        yield Told.sent
    finally:
        for engine in engines:
            event.remove(engine, "checkout", taken)
        for connection, factory in watched:
            connection.cursor_factory = factory


@pytest.fixture(scope="module")
def app_of_one(make_app: MakeApp) -> Flask:
    """With one connection in each pool, so that what was prepared once stays prepared."""
    return make_app(db_pool_size=1)


@pytest.mark.parametrize("url", PATHS)
def test_a_read_is_one_round_trip(app_of_one: Flask, paid: Payment, url: str) -> None:
    path, client = url.format(**paid), app_of_one.test_client()
    client.get(path)
    with sent_to_database(app_of_one) as sent:
        assert client.get(path).status_code == 200
    assert len(sent) == 1, sent


@pytest.mark.parametrize(
    ("trip", "elsewhere", "asked"),
    [(True, False, "find_key"), (False, False, "find_key"), (False, True, "begin_charge")],
)
def test_a_replay_is_one_round_trip(
    app_of_one: Flask,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    trip: bool,
    elsewhere: bool,
    asked: str,
) -> None:
    """A trip's key is looked at first, and one that this process has met; that of an order which
    was charged elsewhere comes back from what would have begun it."""
    body = {"trip_id": a_trip(sandbox, total_fare="5.00"), "method": "CARD"} if trip else an_order()
    key, client = a_key(), app_of_one.test_client()
    first = post(client, "/v1/payments/charge", key, **body)
    post(client, "/v1/payments/charge", key, **body)
    if elsewhere:
        monkeypatch.setattr(retries, "LATELY", retries.Lately())
    with sent_to_database(app_of_one) as sent:
        again = post(client, "/v1/payments/charge", key, **body)
    assert sent == [f"EXECUTE {asked}"]
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_process_remembers_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "REMEMBERED", 10)
    lately = retries.Lately()
    keys = [Key("local", "POST /", str(number), "{}") for number in range(25)]
    assert [lately.met(key) for key in keys] == [False] * 25
    assert all(lately.met(key) for key in keys[10:])
    assert not lately.met(keys[0])


@pytest.mark.parametrize("url", PATHS)
def test_the_bytes_are_those_of_flask(client: FlaskClient, paid: Payment, url: str) -> None:
    answer = client.get(url.format(**paid))
    if not url.endswith("receipt"):
        again = flask_json.dumps(answer.json, sort_keys=False, separators=(",", ":")) + "\n"
        assert answer.data == again.encode()
    assert answer.content_type == "application/json"


def test_a_pooler_that_keeps_no_statements_reads_the_same(
    make_app: MakeApp, client: FlaskClient, paid: Payment
) -> None:
    plain = make_app(db_prepare=False).test_client()
    for url in PATHS:
        path = url.format(**paid)
        assert plain.get(path).data == client.get(path).data, path


def test_reads_that_take_long_keep_no_charge_waiting(make_app: MakeApp) -> None:
    app = make_app(db_pool_size=1, db_pool_timeout=0.2)
    client = app.test_client()
    with app.app_context(), db.engines[READS].connect():  # a long list
        assert client.get("/v1/payments?limit=20").status_code == 503
        made = post(client, "/v1/payments/charge", **an_order())
        assert made.status_code == 201
    assert client.get(f"/v1/payments/{made.json['payment_id']}").json["status"] == "SUCCESS"


JSON: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.lists(JSON, max_size=4)
        | st.dictionaries(st.text(), JSON, max_size=4)
    )
)


@given(value=JSON)
@example(value={"deleted": "\x7f", "far": 2**64, "name": "R\u014dd \U0001f697"})
def test_json_is_written_as_flask_writes_it(value: Any) -> None:
    assert ascii_line(value) == (json.dumps(value, separators=(",", ":")) + "\n").encode()


# Tags


@pytest.mark.parametrize("url", TAGGED)
def test_who_has_it_is_not_sent_it_again(client: FlaskClient, paid: Payment, url: str) -> None:
    path = url.format(**paid)
    first = client.get(path)
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    for known in (tag, f'W/{tag}, "another"', f'"another",{tag}', "*"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.data) == (304, b""), known
        assert again.headers["ETag"] == tag
    for other in ('"another"', '"', '""', "W/", tag.strip('"') + "0", tag.upper() + "x", ""):
        again = client.get(path, headers={"If-None-Match": other})
        assert (again.status_code, again.data) == (200, first.data), other


def test_what_is_known_is_not_read(app: Flask, client: FlaskClient, paid: Payment) -> None:
    """The requests to providers stay in the database, and nothing is written of the rest."""
    path = f"/v1/payments/{paid['payment_id']}"
    tag = client.get(path).headers["ETag"].strip('"')
    edition = tag.partition("-")[2]
    with app.app_context():
        assert reading.get_payment(payment_id=paid["payment_id"], known=[edition]).row is None
        whole = reading.get_payment(payment_id=paid["payment_id"], known=["another"]).row
        assert whole is not None
        assert len(whole["transactions"]) == 2


Step = Callable[[], object]


def test_whatever_is_shown_changes_the_tag(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """A body that differs has another tag, and a tag comes with one body, whatever move is made.
    (The model of histories holds the same for all histories.)"""
    order = {"order_id": a_number()}
    made = post(client, "/v1/payments", amount="100.00", method="CARD", **order).json
    payment_id = made["payment_id"]
    path = f"/v1/payments/{payment_id}"
    seen: dict[str, dict[str, bytes]] = {}

    def look() -> int:
        new = 0
        for url in (path, f"/v1/payments/order/{order['order_id']}", f"{path}/events"):
            answer = client.get(url)
            bodies = seen.setdefault(url, {})
            new += answer.headers["ETag"] not in bodies
            assert bodies.setdefault(answer.headers["ETag"], answer.data) == answer.data, url
        return new

    steps: list[Step] = [
        lambda: post(client, f"{path}/charge", capture=False),
        lambda: post(client, f"{path}/capture", amount="60.00"),
        lambda: post(client, f"{path}/refund", amount="10.00", reason="one"),
        lambda: post(client, f"{path}/refund", amount="999.00"),
        lambda: post(client, f"{path}/refund"),
    ]
    look()
    changed = []
    for step in steps:
        step()
        changed.append(look() > 0)
        assert look() == 0  # nothing happened since
    assert changed == [True, True, True, False, True]


def test_a_delivery_changes_the_tag_of_the_time_line(
    app: Flask, client: FlaskClient, paid: Payment
) -> None:
    path = f"/v1/payments/{paid['payment_id']}/events"
    before = client.get(path)
    execute(
        app,
        "INSERT INTO deliveries (sink, payment_id, seq, due_at, created_at)"
        " SELECT 'trip', payment_id, max(seq), now(), now() FROM events"
        " WHERE payment_id = :payment_id GROUP BY payment_id",
        payment_id=paid["payment_id"],
    )
    waits = client.get(path)
    execute(app, "UPDATE deliveries SET attempts = 1 WHERE payment_id = :id", id=paid["payment_id"])
    failed = client.get(path)
    tags = [answer.headers["ETag"] for answer in (before, waits, failed)]
    assert len(set(tags)) == len({answer.data for answer in (before, waits, failed)}) == 3


def test_a_refund_that_is_settled_has_another_tag(client: FlaskClient, sandbox: Sandbox) -> None:
    trip_id = a_trip(sandbox, total_fare="100.00", driver_id=7)
    made = post(client, "/v1/payments/charge", trip_id=trip_id, method="CASH").json
    waits = post(client, "/v1/refunds", payment_id=made["payment_id"], amount="1.00").json
    path = f"/v1/refunds/{waits['refund_id']}"
    before = client.get(path)
    done = client.patch(f"{path}/status", json={"status": "SUCCESS"})
    assert done.status_code == 200
    after = client.get(path, headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json["status"]) == (200, "SUCCESS")
    assert after.headers["ETag"] != before.headers["ETag"]


def test_a_receipt_has_a_tag_for_each_form_and_look(
    make_app: MakeApp, client: FlaskClient, paid: Payment
) -> None:
    path = f"/v1/payments/{paid['payment_id']}/receipt"
    elsewhere = make_app(receipt_timezone="Asia/Tokyo").test_client()
    asked = [(client, "json"), (client, "html"), (client, "pdf"), (elsewhere, "html")]
    tags = [who.get(f"{path}?format={form}").headers["ETag"] for who, form in asked]
    assert len(set(tags)) == len(asked)
    post(client, f"/v1/payments/{paid['payment_id']}/refund", amount="1.00")
    for (who, form), tag in zip(asked, tags, strict=True):
        again = who.get(f"{path}?format={form}", headers={"If-None-Match": tag})
        assert (again.status_code, again.headers["ETag"] != tag) == (200, True), form


def test_a_version_that_comes_again_has_another_tag(
    app: Flask, client: FlaskClient, paid: Payment
) -> None:
    """After a backup was restored, it counts from where that stood."""
    path = f"/v1/payments/{paid['payment_id']}"
    tag = client.get(path).headers["ETag"]
    execute(
        app,
        "UPDATE payments SET updated_at = updated_at + interval '1 s', description = 'restored'"
        " WHERE payment_id = :id",
        id=paid["payment_id"],
    )
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.json["description"]) == (200, "restored")


# What may happen to the database


def test_a_column_of_another_type_is_read_at_once(make_app: MakeApp, fresh_database: str) -> None:
    """A migration runs beside the processes of before it, which have prepared what they read."""
    app = make_app(database_url=fresh_database, db_pool_size=1)
    client = app.test_client()
    made = post(client, "/v1/payments/charge", **an_order(description="as before")).json
    paths = [f"/v1/payments/{made['payment_id']}", "/v1/payments?limit=20"]
    before = [client.get(path).data for path in paths]
    execute(app, "ALTER TABLE payments ALTER COLUMN description TYPE varchar(600)")
    assert [client.get(path).data for path in paths] == before
    assert post(client, "/v1/payments/charge", **an_order()).status_code == 201


def test_a_read_that_waited_for_a_lock_in_vain_is_not_begun_again(
    make_app: MakeApp, fresh_database: str
) -> None:
    app = make_app(database_url=fresh_database, db_pool_size=1)
    client = app.test_client()
    with app.app_context():
        connection = db.engines[READS].raw_connection()  # the pool's only one
        connection.cursor().execute("SET lock_timeout = '100ms'")
        connection.close()
        with db.engine.begin() as migration:
            migration.execute(text("LOCK TABLE refunds IN ACCESS EXCLUSIVE MODE"))
            with sent_to_database(app) as sent:
                assert client.get("/v1/refunds?limit=7").status_code == 503
    assert len(sent) == 1, sent
