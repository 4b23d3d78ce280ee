"""Views of the list of payments: what each filters, how they are kept, and that no filter walks
through all payments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask

from payment_service.admin.payment_filters import Asked, asked
from payment_service.domain.operators import Role
from payment_service.domain.payment_filters import FILTERS
from payment_service.domain.saved_views import BUILT_IN
from payment_service.schemas.lists import Cursor
from payment_service.services import browsing
from tests.books import execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_key, a_number
from tests.operators import KEYS as OWN
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_panel_payments import HOSTILE, LIST, created, link, paid, rows

VIEWS = "/admin/views"
KOLKATA = "Asia/Kolkata"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp, database_of_module: str) -> Flask:
    """On a database of its own: its payments are moved in time."""
    return make_app(**KEYS, operator_mfa="optional", database_url=database_of_module)


@pytest.fixture
def desk(pages: Flask) -> Desk:
    return Desk(pages).join(Role.OPERATOR)


# What the built-in ones show


def view(desk: Desk, name: str, **more: str) -> list[int]:
    """The rows of a view, as its link on the list leads to it, narrowed to what a test made."""
    page = desk.get(LIST).text.replace("<bdi>", "").replace("</bdi>", "")
    narrowed = "".join(f"&{filter}={value}" for filter, value in more.items())
    return rows(desk.get(link(page, name) + narrowed).text)


def mend(app: Flask, payment: int, changes: str, **values: Any) -> None:
    execute(app, f"UPDATE payments SET {changes} WHERE payment_id = :id", id=payment, **values)


def test_stuck_now(desk: Desk) -> None:
    rider = a_number()
    quick, slow, done, cash = (paid(desk.app, rider_id=rider)["payment_id"] for _ in range(4))
    late = "created_at = now() - interval '1 day'"
    for payment in (quick, slow, cash):
        opened = "UPDATE transactions SET status = 'PROCESSING', due_at = now()"
        execute(desk.app, f"{opened} WHERE payment_id = :id", id=payment)
    for payment in (slow, done, cash):
        execute(desk.app, f"UPDATE transactions SET {late} WHERE payment_id = :id", id=payment)
    by_hand = "UPDATE transactions SET provider = 'cash' WHERE payment_id = :id"
    execute(desk.app, by_hand, id=cash)
    assert view(desk, "Stuck now", rider_id=str(rider)) == [slow]


def test_failed_today(desk: Desk) -> None:
    rider = a_number()
    failed, before, well = (created(desk.app, rider_id=rider)["payment_id"] for _ in range(3))
    for payment in (failed, before):
        mend(desk.app, payment, "status = 'FAILED'")
    # An hour ahead, so that no day ends while this runs.
    mend(desk.app, failed, "created_at = now() + interval '1 hour'")
    mend(desk.app, before, "created_at = now() - interval '25 hours'")
    assert view(desk, "Failed today", rider_id=str(rider)) == [failed]
    assert well not in view(desk, "Failed today")


def test_refunded_this_week_is_by_the_refund_s_time(desk: Desk) -> None:
    rider, client = a_number(), desk.app.test_client()
    old, new, never = (paid(desk.app, rider_id=rider)["payment_id"] for _ in range(3))
    for payment in (old, new):
        answer = client.post(
            f"/v1/payments/{payment}/refund", json={}, headers={"Idempotency-Key": a_key()}
        )
        assert answer.status_code == 200, answer.text
    # It was paid a month ago, and given back just now; and the other way round.
    mend(desk.app, new, "created_at = now() - interval '30 days'")
    # An hour ahead, so that no week ends while this runs.
    later = "UPDATE refunds SET created_at = now() + interval '1 hour' WHERE payment_id = :id"
    execute(desk.app, later, id=new)
    earlier = "UPDATE refunds SET created_at = now() - interval '8 days' WHERE payment_id = :id"
    execute(desk.app, earlier, id=old)
    assert view(desk, "Refunded this week", rider_id=str(rider)) == [new]
    assert never not in view(desk, "Refunded this week")
    failed = "UPDATE refunds SET status = 'FAILED' WHERE payment_id = :id"
    execute(desk.app, failed, id=new)
    assert view(desk, "Refunded this week", rider_id=str(rider)) == []


def test_cash_to_collect(desk: Desk) -> None:
    rider = a_number()
    cash = created(desk.app, rider_id=rider, method="CASH")["payment_id"]
    card = created(desk.app, rider_id=rider, method="CARD")["payment_id"]
    collected = paid(desk.app, rider_id=rider, method="CASH")["payment_id"]
    mend(desk.app, cash, "created_at = now() - interval '400 days'")
    found = view(desk, "Cash to collect", rider_id=str(rider))
    assert found == [cash]
    assert not {card, collected} & set(found)


def test_over_5000(desk: Desk) -> None:
    rider = a_number()
    made = {
        (amount, currency): created(desk.app, rider_id=rider, amount=amount, currency=currency)[
            "payment_id"
        ]
        for amount, currency in (("5000.00", "INR"), ("4999.99", "INR"), ("5000.00", "USD"))
    }
    assert view(desk, "Over 5000", rider_id=str(rider)) == [made["5000.00", "INR"]]
    assert view(desk, "Over 5000", rider_id=str(rider), currency="USD") == [made["5000.00", "USD"]]
    page = desk.get(f"{LIST}?amount_from=5000").text
    assert "Amounts are in INR" in page
    assert "Looks at the last 7 days" in page


def test_contradicted_is_what_the_desk_counts(desk: Desk) -> None:
    one, other = (created(desk.app)["payment_id"] for _ in range(2))
    for payment, days in ((one, 1), (other, 8)):
        adding = (
            "INSERT INTO contradictions (payment_id, seq, at)"
            " VALUES (:id, 1, now() - make_interval(days => :days))"
        )
        execute(desk.app, adding, id=payment, days=days)
    found = rows(desk.get(f"{LIST}?contradicted=yes").text)
    assert one in found
    assert other not in found


def test_refunds_of_a_rider_at_any_time(desk: Desk) -> None:
    rider = a_number()
    one = paid(desk.app, rider_id=rider)["payment_id"]
    desk.app.test_client().post(
        f"/v1/payments/{one}/refund", json={}, headers={"Idempotency-Key": a_key()}
    )
    earlier = "UPDATE refunds SET created_at = now() - interval '400 days' WHERE payment_id = :id"
    execute(desk.app, earlier, id=one)
    assert rows(desk.get(f"{LIST}?refunded=yes&rider_id={rider}").text) == [one]
    assert one not in rows(desk.get(f"{LIST}?refunded=yes").text)


# Times


def at(app: Flask, moment: datetime, **args: str) -> Asked:
    with app.app_context():
        return asked(args, KOLKATA, moment)


def test_days_begin_at_midnight_where_the_service_is(make_app: MakeApp) -> None:
    app = make_app(**KEYS, business_timezone=KOLKATA)
    # In Kolkata it is Wednesday already, half past midnight.
    now = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)
    today = at(app, now, status="FAILED", within="today").filters["created_from"]
    assert today == datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
    week = at(app, now, refunded="yes", within="week").filters
    assert week == {"refunded_from": datetime(2026, 11, 22, 18, 30, tzinfo=UTC)}
    later = at(app, now, within="week", created_from="2026-11-24").filters["created_from"]
    assert later == datetime(2026, 11, 23, 18, 30, tzinfo=UTC)


def test_a_last_day_is_within(pages: Flask) -> None:
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    day = at(pages, now, created_from="2026-11-20", created_to="2026-11-20").filters
    assert day["created_to"] - day["created_from"] == timedelta(days=1)
    exact = at(pages, now, created_to="2026-11-20T10:00:00+00:00").filters["created_to"]
    assert exact == datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_seven_days_end_where_the_asked_time_ends(pages: Flask) -> None:
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    found = at(pages, now, method="CARD", created_to="2026-01-31").filters
    assert found["created_to"] - found["created_from"] == timedelta(days=7)
    assert at(pages, now, method="CARD", within="30d").days == 30
    assert at(pages, now, method="CARD", within="30d", created_from="2020-01-01").days is None
    assert at(pages, now, rider_id="7", method="CARD").days is None


@pytest.mark.parametrize(
    "args",
    [
        {"created_to": "0001-01-03", "method": "CARD"},
        {"created_to": "9999-12-31"},
        {"amount_from": "1.234"},
        {"amount_from": "1.5", "currency": "JPY"},
    ],
)
def test_what_can_not_be_is_told(pages: Flask, args: dict[str, str]) -> None:
    found = at(pages, datetime.now(UTC), **args)
    assert found.wrong
    assert found.filters == {}


# Kept


def saved(desk: Desk) -> dict[str, str]:
    """Names of the operator's own views, with their numbers."""
    page = desk.get(LIST).text
    found = re.findall(r'id="view-(\d+)" name="name" value="([^"]*)"', page)
    return {unescape(name): number for number, name in found}


def save(desk: Desk, name: str, **filters: str) -> Any:
    return desk.post(VIEWS, page=LIST, name=name, **filters)


def test_a_view_is_saved_renamed_shared_and_deleted(pages: Flask, desk: Desk) -> None:
    name = a_key()
    answer = save(desk, name, status="FAILED", method="CARD")
    assert answer.status_code == 303
    assert answer.location == f"{LIST}?status=FAILED&method=CARD"
    page = desk.get(answer.location).text
    assert "The view is saved." in page
    assert re.search(rf'aria-current="true"><bdi>{name}</bdi>', page)
    number = saved(desk)[name]
    other = Desk(pages).join()
    assert name not in other.get(LIST).text
    desk.post(f"{VIEWS}/{number}/share", page=LIST, shared="yes")
    assert name in other.get(LIST).text
    desk.post(f"{VIEWS}/{number}/rename", page=LIST, name=f"{name} again")
    assert saved(desk) == {f"{name} again": number}
    answer = desk.post(f"{VIEWS}/{number}/delete", page=LIST, status="FAILED")
    assert answer.location == f"{LIST}?status=FAILED"
    assert saved(desk) == {}
    assert name not in other.get(LIST).text


def test_a_form_that_comes_twice_saves_once(desk: Desk) -> None:
    name = a_key()
    for _ in range(2):
        assert save(desk, name, status="FAILED").status_code == 303
    page = desk.get(LIST).text
    assert "The view is saved." in page
    assert "already" not in page
    save(desk, name, status="CANCELLED")
    assert "You have a view of this name already." in desk.get(LIST).text
    assert list(saved(desk)) == [name]


@pytest.mark.parametrize("name", ["", "x" * 61, "a\u202eb"])
def test_what_can_not_be_saved_is_told(desk: Desk, name: str) -> None:
    answer = save(desk, name, status="FAILED")
    assert answer.location == f"{LIST}?status=FAILED"
    assert "1 to 60 visible characters" in desk.get(answer.location).text
    assert saved(desk) == {}


def test_a_view_has_one_filter_at_least(desk: Desk) -> None:
    assert save(desk, "None", sort="amount").location == LIST
    assert "one filter at least" in desk.get(LIST).text


def test_nobody_changes_another_s_view(pages: Flask, desk: Desk) -> None:
    name = a_key()
    save(desk, name, status="FAILED")
    number = saved(desk)[name]
    admin = Desk(pages).join(Role.ADMIN)
    for act, fields in (("rename", {"name": "x"}), ("share", {"shared": "yes"}), ("delete", {})):
        assert admin.post(f"{VIEWS}/{number}/{act}", page=LIST, **fields).status_code == 303
        assert "You have no such view." in admin.get(LIST).text
    assert saved(desk) == {name: number}


def test_viewers_share_nothing(pages: Flask) -> None:
    viewer = Desk(pages).join()
    name = a_key()
    save(viewer, name, status="FAILED")
    number = saved(viewer)[name]
    assert ">Share<" not in viewer.get(LIST).text
    assert viewer.post(f"{VIEWS}/{number}/share", page=LIST, shared="yes").status_code == 403
    assert name not in Desk(pages).join().get(LIST).text


def test_without_its_form_nothing_is_done(desk: Desk) -> None:
    name = a_key()
    save(desk, name, status="FAILED")
    number = saved(desk)[name]
    for path in (VIEWS, *(f"{VIEWS}/{number}/{act}" for act in ("rename", "share", "delete"))):
        assert desk.send(path, name="x", status="FAILED").status_code == 400, path
    assert saved(desk) == {name: number}


def test_hostile_names_are_text(pages: Flask, desk: Desk) -> None:
    name = '<script>alert(1)</script> "><img src=x> {{7*7}}'
    save(desk, name, status="FAILED", provider=HOSTILE)
    save(desk, name, status="FAILED")
    desk.post(f"{VIEWS}/{saved(desk)[name]}/share", page=LIST, shared="yes")
    for reader in (desk, Desk(pages).join()):
        page = reader.get(f"{LIST}?status=FAILED")
        sign_of_a_page(page)
        assert no_script_but_ours(page.text)
        assert "<img" not in page.text
        assert "{{7*7}}" in page.text


def test_each_filter_s_value_stands_in_the_form(desk: Desk) -> None:
    """Whoever shows again must not lose a filter on the way."""
    values = {
        "status": "FAILED",
        "method": "CARD",
        "provider": "sandbox",
        "currency": "INR",
        "amount_from": "1.00",
        "amount_to": "2.00",
        "created_from": "2026-01-01",
        "created_to": "2026-01-31T10:00:00",
        "within": "30d",
        "reason": "expired_card",
        **dict.fromkeys(("stuck", "refunded", "contradicted"), "yes"),
        **dict.fromkeys(("trip_id", "order_id", "rider_id", "driver_id", "user_id"), "7"),
    }
    assert set(values) == set(FILTERS)
    page = desk.get(LIST, query_string=values).text
    form = page[page.index('<form class="filters" action') :]
    form = form[: form.index("</form>")]
    for name, value in values.items():
        field = re.search(rf'<(input|select)[^>]* name="{name}"[^>]*>', form)
        assert field, name
        if field.group(1) == "select":
            assert f'selected value="{value}"' in form, name
        else:
            assert f'value="{value}"' in field.group(0), name


# By an index each


@pytest.fixture(scope="module")
def filled(make_app: MakeApp, database_of_module: str) -> Iterator[Flask]:
    """A database in which a scan costs more than an index, an hour between two payments."""
    own = make_app(**OWN, database_url=database_of_module)
    for statement in (
        "INSERT INTO payments (rider_id, trip_id, amount, currency, method, provider, status,"
        " authorized, captured, refunded, failure_code, reference, caller, created_at, updated_at)"
        " SELECT n % 5000, n, 1000, 'INR', CASE WHEN n % 100 = 0 THEN 'CASH' ELSE 'CARD' END, 'p',"
        " status, paid, paid, CASE status WHEN 'REFUNDED' THEN 1000 ELSE 0 END, 'x', 'plan-' || n,"
        " 't', now() - make_interval(hours => n), now()"
        " FROM (SELECT n, status, CASE WHEN status IN ('SUCCESS', 'REFUNDED') THEN 1000 ELSE 0 END"
        " AS paid FROM (SELECT n, CASE WHEN n % 50 = 0 THEN 'PENDING' WHEN n % 25 = 0 THEN 'FAILED'"
        " WHEN n % 20 = 1 THEN 'REFUNDED' ELSE 'SUCCESS' END AS status"
        " FROM generate_series(1, 20000) AS n) AS drawn) AS made",
        "INSERT INTO refunds (payment_id, amount, currency, status, caller, created_at, updated_at)"
        " SELECT payment_id, 1000, 'INR', 'SUCCESS', 't', created_at, now() FROM payments"
        " WHERE provider = 'p' AND status = 'REFUNDED'",
        "INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,"
        " reference, created_at, send_before, due_at)"
        " SELECT payment_id, 1, 'CHARGE', CASE WHEN payment_id % 1000 = 0 THEN 'PROCESSING' ELSE"
        " 'SUCCESS' END, 1, 'INR', 'p', reference, now() - interval '1 day', now(),"
        " CASE WHEN payment_id % 1000 = 0 THEN now() END FROM payments WHERE provider = 'p'",
        "INSERT INTO contradictions (payment_id, seq, at) SELECT payment_id, 1, created_at"
        " FROM payments WHERE provider = 'p' AND payment_id % 20 = 0",
        "ANALYZE payments, transactions, refunds, contradictions",
    ):
        execute(own, statement)
    yield own


WINDOWED = {
    "provider": {"provider": "p"},
    "method": {"method": "CARD", "status": "SUCCESS"},
    "amounts": {"amount_from": "5", "amount_to": "50"},
    "reason": {"reason": "x"},
    "currency, 90 days": {"currency": "INR", "within": "90d"},
}
WHOLE = {
    "all": {},
    "rare": {"status": "FAILED"},
    "rare, and more": {"status": "FAILED", "provider": "p", "reason": "x"},
    "at work": {"status": "PROCESSING"},
    "rider": {"rider_id": "7", "method": "CARD"},
    "trip": {"trip_id": "7"},
    "contradicted": {"contradicted": "yes"},
    "refunds of 90 days": {"refunded": "yes", "within": "90d"},
    "refunds of a rider": {"refunded": "yes", "rider_id": "7"},
    **{one.name: dict(one.query) for one in BUILT_IN},
}

FEW = ("contradicted", "refunds of 90 days", "Stuck now", "Refunded this week")
"""Looked up one by one; a walk through the list would end late where few fit."""


@pytest.mark.slow
@pytest.mark.parametrize("what", [*WINDOWED, *WHOLE])
def test_newer_rows_are_found_without_a_scan(filled: Flask, what: str) -> None:
    args = {**WINDOWED, **WHOLE}[what]
    with filled.app_context():
        cursor = Cursor(datetime.now(UTC) - timedelta(minutes=1), 4000)
        plan = browsing.plan(asked(args, KOLKATA).filters, cursor, back=True)
    assert not [line for line in plan if "Seq Scan on" in line], plan


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("what", [*WINDOWED, *WHOLE])
def test_no_filter_scans_what_grows(filled: Flask, what: str, deep: bool) -> None:
    args = {**WINDOWED, **WHOLE}[what]
    with filled.app_context():
        wanted = asked(args, KOLKATA)
        assert not wanted.wrong
        cursor = Cursor(datetime.now(UTC) - timedelta(days=3), 4000) if deep else None
        plan = browsing.plan(wanted.filters, cursor)
    assert not [line for line in plan if "Seq Scan on" in line], plan
    conditions = [line for line in plan if "Index Cond" in line]
    if what in WINDOWED or (what != "all" and "ix_payments_created_at" in "".join(plan)):
        assert [line for line in conditions if "created_at >=" in line], plan
    if what in FEW:
        assert [line for line in conditions if "payment_id = ANY" in line], plan
