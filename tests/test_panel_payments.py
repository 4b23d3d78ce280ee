"""The list of payments and the page of one, asked as a browser without scripts asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from markupsafe import escape

from payment_service.admin import refunds
from payment_service.admin.shown import amount_in
from payment_service.domain.around import Written
from payment_service.domain.operators import Role
from payment_service.services import browsing, explanations
from tests.books import execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page

LIST = "/admin/payments"
HOSTILE = '<script>alert(1)</script> "><img src=x onerror=y> \u202eright\u202c {{7*7}} '


@pytest.fixture(scope="module")
def pages(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, operator_mfa="optional")


@pytest.fixture(scope="module")
def desk(pages: Flask) -> Desk:
    return Desk(pages).join()


def paid(app: Flask, **changes: Any) -> Any:
    """A payment as the API tells it."""
    answer = app.test_client().post(
        "/v1/payments/charge", json=an_order(**changes), headers={"Idempotency-Key": a_key()}
    )
    assert answer.status_code in (201, 202, 402), answer.text
    return answer.json


def rows(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<a href="/admin/payments/(\d+)">', page)]


def link(page: str, word: str) -> str:
    found = re.search(rf'<a href="([^"]*)"[^>]*>{word}</a>', page)
    assert found, word
    return unescape(found.group(1))


# The list


def test_older_and_newer_meet_every_payment_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "ROWS", 2)
    browsing.leafed.cache_clear()
    status, made = {"method": "WALLET", "currency": "SEK"}, []
    for _ in range(5):
        made.append(created(desk.app, **status)["payment_id"])
    page = desk.get(f"{LIST}?method=WALLET&currency=SEK").text
    seen = [rows(page)]
    for _ in range(2):
        page = desk.get(link(page, "Older")).text
        seen.append(rows(page))
    newest_first = sorted(made, reverse=True)
    assert [one for leaf in seen for one in leaf][:5] == newest_first
    assert rows(desk.get(link(page, "Newer")).text) == newest_first[2:4]
    top = desk.get(link(desk.get(link(page, "Newer")).text, "Newer")).text
    assert rows(top) == newest_first[:2]
    assert ">Newer<" not in top
    browsing.leafed.cache_clear()


def created(app: Flask, **changes: Any) -> Any:
    answer = app.test_client().post("/v1/payments", json=an_order(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json


def test_filters_stand_in_the_address(desk: Desk) -> None:
    one = created(desk.app, amount="77.31", currency="NOK")
    for query, there in (
        ("status=PENDING&currency=nok&amount_from=77.31&amount_to=77.31", True),
        ("currency=NOK&amount_from=77.32", False),
        ("currency=NOK&created_from=2000-01-01&created_to=2000-01-02", False),
        ("currency=NOK&created_from=2000-01-01", True),
        ("status=REFUNDED&currency=NOK", False),
    ):
        page = desk.get(f"{LIST}?{query}")
        assert page.status_code == 200
        assert (one["payment_id"] in rows(page.text)) is there, query


def test_where_no_index_serves_it_says_how_far_back_it_looks(desk: Desk) -> None:
    page = desk.get(f"{LIST}?currency=INR").text
    assert "Looks at the last 7 days" in page
    assert re.findall(r"within=(\d+)d", page) == ["30", "90"]
    assert "Looks at the last 30 days" in desk.get(f"{LIST}?currency=INR&within=30d").text
    for indexed in ("", "?status=FAILED&currency=INR", "?currency=INR&created_from=2020-01-01"):
        assert "Looks at the last" not in desk.get(f"{LIST}{indexed}").text


def test_no_payment_fits_and_which_filter_to_drop(desk: Desk) -> None:
    page = desk.get(f"{LIST}?status=FAILED&provider=none&created_from=2020-01-01").text
    assert "No payment fits." in page
    dropped = {unescape(way) for way in re.findall(r"Drop a filter.*", page, re.S)[:1]}
    assert "status=FAILED" in next(iter(dropped))
    assert desk.get(link(page, "Provider: none")).status_code == 200
    assert "provider" not in link(page, "Provider: none")


@pytest.mark.parametrize(
    "query",
    [
        "status=NO",
        "method=x",
        "currency=XXX",
        "created_from=yesterday",
        "created_to=9999-12-31",
        "amount_from=1,5",
        "amount_from=-1",
        "provider=a%00b",
    ],
)
def test_what_is_not_understood_is_told(desk: Desk, query: str) -> None:
    answer = desk.get(f"{LIST}?{query}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    sign_of_a_page(answer)


def test_a_cursor_that_we_did_not_give_out_is_the_first_page(desk: Desk) -> None:
    assert desk.get(f"{LIST}?older=nonsense").status_code == 200


def test_what_takes_too_long_says_narrow_it(
    pages: Flask, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the connection lives on, without the limit."""
    paid(pages)
    monkeypatch.setattr(browsing, "wanted", lambda *_: [sleeping()])
    monkeypatch.setattr(browsing, "SECONDS", 0.05)
    browsing.leafed.cache_clear()
    page = desk.get(f"{LIST}?status=FAILED")
    assert page.status_code == 200
    assert "Narrow it" in page.text
    monkeypatch.undo()
    browsing.leafed.cache_clear()
    assert desk.get(LIST).status_code == 200


def sleeping() -> Any:
    from sqlalchemy import text

    return text("pg_sleep(60) IS NOT NULL")


# One payment


def test_a_payment_tells_its_story(desk: Desk) -> None:
    one = paid(desk.app, description="By night")
    answer = desk.get(f"{LIST}/{one['payment_id']}")
    assert answer.status_code == 200
    sign_of_a_page(answer)
    page = answer.text
    for part in (
        "100.00",
        one["reference"],
        "By night",
        "Asked sandbox to charge",
        "<h3>Asked</h3>",
        "<h3>Settled</h3>",
        "RCP-",
        "Refresh",
    ):
        assert part in page.replace("\N{NO-BREAK SPACE}", " "), part
    with desk.app.app_context():
        told = explanations.explain(
            payment_id=one["payment_id"], written=Written(ZoneInfo("UTC"), amount_in)
        ).payment
    assert str(escape(told.happened)) in page
    assert str(escape(told.do)) in page
    receipt = desk.get(f"{LIST}/{one['payment_id']}/receipt")
    assert receipt.mimetype == "application/pdf"


def test_what_waits_is_not_settled_and_has_no_receipt(desk: Desk) -> None:
    one = created(desk.app)
    page = desk.get(f"{LIST}/{one['payment_id']}").text
    assert 'data-settled="no"' in page
    assert "RCP-" not in page
    assert desk.get(f"{LIST}/{one['payment_id']}/receipt").status_code == 404


def test_an_unknown_number_says_whether_it_is_beyond_the_newest(desk: Desk) -> None:
    newest = created(desk.app)["payment_id"]
    beyond = desk.get(f"{LIST}/{newest + 10_000_000}")
    assert beyond.status_code == 404
    assert "beyond the newest" in beyond.text
    sign_of_a_page(beyond)


def test_the_story_is_sent_again_only_if_it_is_another_one(
    desk: Desk, scalar: Callable[..., Any]
) -> None:
    one = created(desk.app)
    path = f"{LIST}/{one['payment_id']}"
    first = desk.get(f"{path}/story")
    assert first.status_code == 200
    assert "<html" not in first.text
    assert first.headers["X-Payment-Status"] == "PENDING"
    tag = first.headers["ETag"]
    assert f'data-tag="{tag.strip(chr(34))}"' in desk.get(path).text
    same = desk.get(f"{path}/story", headers={"If-None-Match": tag})
    assert (same.status_code, same.text) == (304, "")
    desk.app.test_client().post(f"/v1/payments/{one['payment_id']}/cancel")
    after = desk.get(f"{path}/story", headers={"If-None-Match": tag})
    assert (after.status_code, after.headers["X-Payment-Settled"]) == (200, "yes")
    assert "Cancelled" in after.text


def test_hostile_text_is_text(desk: Desk) -> None:
    one = created(
        desk.app,
        description=HOSTILE,
        reference=HOSTILE[:100],
        metadata={"<b>key</b>": HOSTILE, "long": "x" * 500},
    )
    page = desk.get(f"{LIST}/{one['payment_id']}").text
    assert no_script_but_ours(page)
    assert "<img" not in page
    assert "<b>key" not in page
    assert "{{7*7}}" in page
    answer = desk.get(LIST, query_string={"provider": HOSTILE * 50})
    assert no_script_but_ours(answer.text)
    assert "<img" not in answer.text


def test_long_text_of_others_is_text(desk: Desk) -> None:
    """Longer than what callers may send: a provider's words, and what an import brought."""
    one = created(desk.app, rider_id=a_number())
    text = f"{HOSTILE}\U0001f695\U0001f469\u200d\U0001f467 =cmd|{'x' * 5000}"
    execute(
        desk.app,
        "UPDATE payments SET description = :text, failure_message = :text,"
        " metadata = CAST(:metadata AS json) WHERE payment_id = :id",
        id=one["payment_id"],
        text=text,
        metadata=json.dumps({text[:200]: text}),
    )
    for path in (f"{LIST}/{one['payment_id']}", f"{LIST}?rider_id={one['rider_id']}"):
        page = desk.get(path)
        assert page.status_code == 200
        assert no_script_but_ours(page.text)
        assert "<img" not in page.text
        assert len(page.data) < 60 * 1024
    page = desk.get(f"{LIST}/{one['payment_id']}").text
    assert str(escape(text)) in page


# What came in since


def newer(desk: Desk, **filters: str | int) -> str | None:
    """The address by which the list asks for newer rows."""
    found = re.search(r'data-newer="([^"]*)"', desk.get(LIST, query_string=filters).text)
    return unescape(found.group(1)) if found else None


def test_a_list_is_told_of_newer_rows_that_fit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "ROWS", 3)
    rider = a_number()
    one = paid(desk.app, rider_id=rider)["payment_id"]
    watched = newer(desk, rider_id=rider, method="CARD")
    assert watched
    assert desk.get(watched).status_code == 204
    created(desk.app, rider_id=rider, method="UPI")
    created(desk.app)
    assert desk.get(watched).status_code == 204
    for says in ("1 newer: show", "2 newer: show", "3 or more newer: show"):
        paid(desk.app, rider_id=rider)
        told = desk.get(watched)
        assert (told.text, told.mimetype) == (says, "text/plain")
    paid(desk.app, rider_id=rider)
    assert desk.get(watched).text == "3 or more newer: show"
    # The link that says so leads to the first page, where they are.
    page = desk.get(link(desk.get(f"{LIST}?rider_id={rider}&method=CARD").text, "Refresh")).text
    assert len(rows(page)) == 3
    assert one not in rows(page)


def test_an_empty_list_is_told_as_well(desk: Desk) -> None:
    rider = a_number()
    watched = newer(desk, rider_id=rider)
    assert watched
    one = created(desk.app, rider_id=rider)["payment_id"]
    assert desk.get(watched).text == "1 newer: show"
    assert rows(desk.get(f"{LIST}?rider_id={rider}").text) == [one]


def test_the_list_of_refunds_is_told_of_newer_ones(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunds, "SHOWN", 2)

    def refund() -> None:
        payment, key = paid(desk.app)["payment_id"], {"Idempotency-Key": a_key()}
        client = desk.app.test_client()
        answer = client.post(f"/v1/payments/{payment}/refund", json={}, headers=key)
        assert answer.status_code == 200, answer.text

    for _ in range(3):
        refund()
    address = "/admin/refunds?status=SUCCESS"
    first = desk.get(address).text
    watched = re.search(r'data-newer="([^"]*)"', first)
    assert watched
    newest, failed = unescape(watched[1]), unescape(watched[1]).replace("SUCCESS", "FAILED")
    assert desk.get(newest).status_code == 204
    for says in ("1 newer: show", "2 or more newer: show", "2 or more newer: show"):
        refund()
        assert desk.get(newest).text == says
    assert desk.get(failed).status_code == 204
    assert link(first, "Refresh") == address
    assert "data-newer" not in desk.get(link(first, "Older")).text


def test_nothing_is_asked_where_new_rows_do_not_come_in_on_top(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "ROWS", 1)
    rider = a_number()
    for _ in range(3):
        created(desk.app, rider_id=rider)
    first = desk.get(f"{LIST}?rider_id={rider}").text
    assert "data-newer" in first
    second = desk.get(link(first, "Older"))
    assert "data-newer" not in second.text
    assert link(second.text, "Refresh") == f"{LIST}?rider_id={rider}"
    for name in ("stuck", "refunded", "contradicted"):
        assert newer(desk, **{name: "yes"}) is None
    assert newer(desk, provider="x" * 200) is None


@pytest.mark.parametrize("query", ["", "?than=x", "?than=MTAw", "?than="])
def test_a_row_that_the_list_did_not_have_is_refused(desk: Desk, query: str) -> None:
    assert desk.get(f"{LIST}/newer{query}").status_code == 422


# Sizes


def test_a_page_is_three_requests_and_60_kb_at_most(desk: Desk) -> None:
    one = paid(desk.app, rider_id=a_number())
    for _ in range(browsing.ROWS):
        created(desk.app)
    for path in ("/admin/", LIST, f"{LIST}/{one['payment_id']}", "/admin/me"):
        page = desk.get(path)
        loaded = set(re.findall(r'(?:src|<link[^>]* href)="(/[^"]*)"', page.text))
        assert loaded == {"/static/admin/panel.css", "/static/admin/panel.js"}, path
        weight = len(page.data)
        for file in loaded:
            with desk.get(file) as sent:
                weight += len(sent.data)
        assert weight <= 60 * 1024, (path, weight)


@pytest.mark.parametrize("role", Role)
def test_every_role_reads_payments(pages: Flask, role: Role) -> None:
    assert Desk(pages).join(role).get(LIST).status_code == 200
