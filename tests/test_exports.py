"""Lists as CSV files: what is in them, who gets them, and that none looks whole that is not."""

from __future__ import annotations

import csv
import gc
import io
import json
from typing import Any

import psycopg2
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from payment_service.domain.operators import By, Role
from payment_service.extensions import db
from payment_service.services import exports
from payment_service.services.exports import Sheet, TooManyExports, TooManyRows
from tests.books import execute, rows
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_number

OPERATOR = By("operator:7", 7, Role.OPERATOR, 70)


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    return make_app(**KEYS, operator_mfa="optional", database_url=database_of_module)


@pytest.fixture
def desk(app: Flask) -> Desk:
    return Desk(app).join(Role.OPERATOR)


def fill(app: Flask, count: int, rider: int, description: str | None = None) -> None:
    """So many payments of this rider, each of another moment."""
    execute(
        app,
        "INSERT INTO payments (amount, currency, method, status, reference, caller, rider_id,"
        " authorized, captured, description, created_at, updated_at)"
        " SELECT n, 'INR', 'CARD', 'SUCCESS', CAST(:rider AS bigint) || '-' || n, 't',"
        " CAST(:rider AS bigint), n, n, CAST(:description AS text),"
        " timestamptz '2026-01-01' + make_interval(secs => n), now()"
        " FROM generate_series(1, CAST(:count AS int)) AS n",
        count=count,
        rider=rider,
        description=description,
    )


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read(app: Flask, sheet: Sheet = Sheet.PAYMENTS, by: By = OPERATOR, **filters: Any) -> str:
    with app.app_context():
        export = exports.export(sheet=sheet, filters=filters, by=by)
        try:
            return "".join(export)
        finally:
            export.close()


def acts(app: Flask, email: str | None = None) -> list[tuple[str, Any]]:
    """Acts of exports, oldest first, since the last that was asked for."""
    found = rows(app, "SELECT act, body FROM audit_log WHERE act LIKE 'export%' ORDER BY audit_id")
    return [(one["act"], json.loads(one["body"])) for one in found]


# -- What is in a file


def test_amounts_times_and_nothing(app: Flask) -> None:
    rider = a_number()
    execute(
        app,
        "INSERT INTO payments (amount, currency, method, status, reference, caller, rider_id,"
        " authorized, captured, metadata, created_at, updated_at) VALUES"
        " (10486, 'INR', 'CARD', 'SUCCESS', 'a' || :rider, 't', :rider, 10486, 10486,"
        """ '{"zone": "n\u00f6rd, \\"7\\""}', '2026-01-02 05:30:00.5+05:30', now()),"""
        " (5, 'KWD', 'CASH', 'PENDING', 'b' || :rider, 't', :rider, 0, 0, '{}',"
        " '2026-01-02T00:00:01Z', now()),"
        " (7, 'JPY', 'CASH', 'PENDING', 'c' || :rider, 't', :rider, 0, 0, '{}',"
        " '2026-01-02T00:00:02Z', now())",
        rider=rider,
    )
    text = read(app, rider_id=rider)
    assert text.endswith("\r\n")
    yen, dinars, rupees = table(text)
    assert (yen["amount"], yen["currency"], yen["captured"]) == ("7", "JPY", "0")
    assert (dinars["amount"], dinars["currency"]) == ("0.005", "KWD")
    assert (rupees["amount"], rupees["captured"], rupees["refunded"]) == (
        "104.86",
        "104.86",
        "0.00",
    )
    assert rupees["created_at"] == "2026-01-02T00:00:00.500000Z"
    assert rupees["metadata"] == '{"zone": "n\u00f6rd, \\"7\\""}'
    assert (rupees["trip_id"], dinars["metadata"]) == ("", "")
    assert next(iter(rupees)) == "payment_id"
    assert not {"payment_token", "next_action", "fare", "caller", "audit_head"} & rupees.keys()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ('a",=1\r\nb,"', 'a",=1\r\nb,"'),
        ("<script>{{7*7}}\u202e\U0001f600", "<script>{{7*7}}\u202e\U0001f600"),
        ("x" * 5000, "x" * 5000),
    ],
)
def test_no_cell_is_a_formula(app: Flask, said: str, kept: str) -> None:
    rider = a_number()
    fill(app, 1, rider, said)
    (row,) = table(read(app, rider_id=rider))
    assert row["description"] == kept


def test_refunds_and_acts(app: Flask, desk: Desk) -> None:
    rider = a_number()
    fill(app, 1, rider)
    (payment,) = rows(app, "SELECT payment_id FROM payments WHERE rider_id = :r", r=rider)
    execute(
        app,
        "INSERT INTO refunds (payment_id, amount, currency, status, reason, caller, created_at,"
        " updated_at) VALUES (:id, 1, 'INR', 'PENDING', '=1+1', 't', now(), now())",
        id=payment["payment_id"],
    )
    (refund,) = table(read(app, Sheet.REFUNDS, payment_id=payment["payment_id"]))
    assert (refund["amount"], refund["currency"], refund["reason"]) == ("0.01", "INR", "'=1+1")
    done = table(read(app, Sheet.AUDIT, act="invite_used"))
    assert {one["act"] for one in done} == {"invite_used"}
    assert "chain" not in done[0]
    everything = table(read(app, Sheet.AUDIT))
    ids = [int(one["audit_id"]) for one in everything]
    # The first of its own two is in it; the second follows its last chunk.
    assert ids == sorted(ids, reverse=True)
    assert ids[-1] == 1


def test_every_row_once_however_many_chunks(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 7)
    for count in (0, 1, 7, 8, 22):
        rider = a_number()
        fill(app, count, rider)
        found = table(read(app, rider_id=rider))
        assert [row["amount"] for row in found] == [f"{n / 100:.2f}" for n in range(count, 0, -1)]


# -- Who gets it, and what is written down


def test_a_file_by_its_page(app: Flask, desk: Desk) -> None:
    rider = a_number()
    fill(app, 3, rider)
    before = len(acts(app))
    answer = desk.get(f"/admin/payments.csv?rider_id={rider}&created_from=2026-01-01T00:00:02Z")
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="payments-2')
    assert [row["amount"] for row in table(answer.text)] == ["0.03", "0.02"]
    filters = {"created_from": "2026-01-01T00:00:02.000000Z", "rider_id": rider}
    assert acts(app)[before:] == [
        ("export_begun", {"filters": filters}),
        ("exported", {"filters": filters, "rows": 2}),
    ]
    last = rows(app, "SELECT * FROM audit_log ORDER BY audit_id DESC LIMIT 2")
    assert {row["actor"].split(":")[0] for row in last} == {"operator"}
    assert {row["object"] for row in last} == {"export:payments"}
    assert {row["address"] for row in last} == {desk.client.environ_base["REMOTE_ADDR"]}
    assert all(row["session_id"] for row in last)
    for path in ("/admin/refunds.csv?status=PENDING", "/admin/audit.csv?actor=cli:test"):
        assert desk.get(path).mimetype == "text/csv"


@pytest.mark.parametrize(
    "query", ["rider=1", "rider_id=x", "limit=5", "cursor=MQ", "status=none", "offset=1"]
)
def test_what_is_no_filter_is_no_file(app: Flask, desk: Desk, query: str) -> None:
    before = acts(app)
    answer = desk.get(f"/admin/payments.csv?{query}")
    assert (answer.status_code, answer.mimetype) == (422, "text/html")
    assert acts(app) == before


def test_a_viewer_gets_none(app: Flask) -> None:
    before = acts(app)
    assert Desk(app).join().get("/admin/payments.csv").status_code == 403
    for role in (Role.VIEWER, None):
        with pytest.raises(exports.RoleTooLow):
            read(app, by=By("operator:8", 8, role))
    assert acts(app) == before
    assert read(app, by=By("cli:test"), rider_id=a_number())


def test_too_many_rows_are_told_before(make_app: MakeApp, database_of_module: str) -> None:
    app = make_app(**KEYS, database_url=database_of_module, export_max_rows=3)
    rider = a_number()
    fill(app, 3, rider)
    assert len(table(read(app, rider_id=rider))) == 3
    rider = a_number()
    fill(app, 4, rider)
    before = acts(app)
    with pytest.raises(TooManyRows, match="More than 3 rows"):
        read(app, rider_id=rider)
    assert acts(app) == before


# -- Three at once


def test_a_third_at_once_is_told_to_wait(app: Flask, desk: Desk) -> None:
    with app.app_context():
        under_way = [exports.export(sheet=s, filters={}, by=OPERATOR) for s in list(Sheet)[:2]]
    answer = desk.get("/admin/audit.csv")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert int(answer.headers["Retry-After"]) > 0
    assert "try again in a while" in answer.text
    for export in under_way:
        export.close()
        export.close()  # gives its place back once
    with app.app_context():
        again = [exports.export(sheet=Sheet.AUDIT, filters={}, by=OPERATOR) for _ in range(2)]
        with pytest.raises(TooManyExports):
            exports.export(sheet=Sheet.AUDIT, filters={}, by=OPERATOR)
    # One that was lost before anybody read it gives its place back, too.
    again.pop()
    gc.collect()
    assert desk.get("/admin/audit.csv").status_code == 200
    again.pop().close()


def test_what_can_not_begin_keeps_no_place(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: Any) -> Any:
        raise RuntimeError("away")

    shape = exports.LAYOUTS[Sheet.AUDIT]
    with monkeypatch.context() as patch:
        patch.setitem(exports.LAYOUTS, Sheet.AUDIT, exports.Layout("acts", away, shape.columns))
        for _ in range(3):
            with pytest.raises(RuntimeError):
                read(app, Sheet.AUDIT)
    assert read(app, Sheet.AUDIT)


def test_a_head_and_a_file_to_its_end_keep_no_place(desk: Desk) -> None:
    for _ in range(3):
        assert desk.client.head("/admin/audit.csv", base_url=desk.base).status_code == 200
        assert _whole(desk.get("/admin/audit.csv"))


def _whole(answer: TestResponse) -> bool:
    return answer.text.endswith("\r\n")


def test_between_chunks_no_connection_is_held(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 2)
    rider = a_number()
    fill(app, 5, rider)
    with app.app_context():
        engines = list(db.engines.values())
        export = exports.export(sheet=Sheet.PAYMENTS, filters={"rider_id": rider}, by=OPERATOR)
        for _ in export:
            assert [engine.pool.checkedout() for engine in engines] == [0] * len(engines)  # type: ignore[attr-defined]
        export.close()


def test_an_error_in_the_middle_is_raised_and_not_written_down_as_whole(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 2)
    rider = a_number()
    fill(app, 5, rider)
    before = len(acts(app))
    with app.app_context():
        export = exports.export(sheet=Sheet.PAYMENTS, filters={"rider_id": rider}, by=OPERATOR)
        next(export)
        execute(app, "ALTER TABLE payments RENAME TO gone")
        try:
            with pytest.raises(psycopg2.Error):
                next(export)
        finally:
            execute(app, "ALTER TABLE gone RENAME TO payments")
        export.close()
        with pytest.raises(StopIteration):
            next(export)
    assert [act for act, _ in acts(app)[before:]] == ["export_begun"]
