"""The desk's page: what needs a person, with a link to it; figures; what is silent or gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask import Flask

from payment_service.admin.desk import OF_WANT
from payment_service.domain import payment_filters
from payment_service.domain.operators import Role
from payment_service.services import beats, desk
from payment_service.services.beats import Written
from payment_service.services.desk import Need, Wants
from tests.books import a_charged_payment, a_pending_payment, execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp
from tests.hooked import pending
from tests.test_admin_pages import sign_of_a_page


@pytest.fixture(scope="module")
def own(make_app: MakeApp, database_of_module: str) -> Flask:
    return make_app(**KEYS, operator_mfa="optional", database_url=database_of_module)


@pytest.fixture(scope="module")
def viewer(own: Flask) -> Desk:
    return Desk(own).join()


@pytest.fixture(autouse=True)
def beats_come(own: Flask) -> None:
    with own.app_context():
        for name in beats.PERIODS:
            Written(name).note({}, None)


def only(monkeypatch: pytest.MonkeyPatch, *needs: Need) -> None:
    """Has the desk find just these."""
    monkeypatch.setattr(desk, "needs", lambda *_: needs)


def test_nothing_waits(own: Flask, viewer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    page = viewer.get("/admin/")
    sign_of_a_page(page)
    assert "Nothing waits for you." in page.text
    assert re.search(r"Looked at <time datetime=", page.text)
    assert "alarm" not in page.text


@pytest.mark.parametrize("wants", list(Wants))
def test_each_need_is_told_in_words(
    viewer: Desk, monkeypatch: pytest.MonkeyPatch, wants: Wants
) -> None:
    one, several, what = OF_WANT[wants]
    only(monkeypatch, Need(wants, 1, False, None, "none"))
    assert f"1 {one} {what}" in viewer.get("/admin/").text
    only(monkeypatch, Need(wants, 100, True, None, "none"))
    assert f"More than 100 {several} {what}" in viewer.get("/admin/").text


def test_a_need_leads_to_the_list_that_shows_just_it(own: Flask, viewer: Desk) -> None:
    a_pending_payment(own.test_client(), method="CASH")
    page = viewer.get("/admin/").text
    (link,) = re.findall(r'<a href="([^"]+)">[^<]*payments? in cash[^<]*</a>', page)
    assert unescape(link) == "/admin/payments?status=PENDING&method=CASH"
    assert viewer.get(unescape(link)).status_code == 200
    assert re.search(r"the oldest (\d+ s ago|\d+ min ago|now)", page)


def test_each_link_is_one_that_its_list_takes(own: Flask, viewer: Desk) -> None:
    client = own.test_client()
    payment = a_charged_payment(client)["payment_id"]
    execute(
        own, "INSERT INTO contradictions (payment_id, seq, at) VALUES (:id, 1, now())", id=payment
    )
    a_pending_payment(client, method="CASH")
    pending(client, provider="sandbox")
    execute(
        own,
        "UPDATE transactions SET created_at = created_at - interval '901 s'"
        " WHERE due_at IS NOT NULL AND status = 'PROCESSING'",
    )
    with own.app_context():
        found = desk.needs([], datetime.now(UTC))
    wanted = {Wants.UNRESOLVED, Wants.CONTRADICTED, Wants.CASH_TO_COLLECT}
    assert wanted <= {need.wants for need in found}
    page = unescape(viewer.get("/admin/").text)
    for need in found:
        if need.page == "payments":
            assert payment_filters.FILTERS.keys() >= need.only.keys()
        query = "&".join(f"{name}={value}" for name, value in need.only.items())
        address = f"/admin/{need.page}?{query}".rstrip("?")
        assert f'href="{address}"' in page
        assert viewer.get(address).status_code == 200


def test_approvals_are_those_that_this_operator_may_decide(own: Flask) -> None:
    asker, other = Desk(own).join(Role.APPROVER), Desk(own).join(Role.APPROVER)
    operator = Desk(own).join(Role.OPERATOR)
    payment = a_charged_payment(own.test_client())["payment_id"]
    execute(
        own,
        "INSERT INTO refund_requests (payment_id, amount, currency, reason, asked_by, asked_at,"
        " expires_at, state) SELECT :payment, 1, 'INR', 'x', 'operator:' || operator_id, now(),"
        " now() + interval '7 days', 'OPEN' FROM operators WHERE email = :email",
        payment=payment,
        email=asker.email,
    )
    told = "1 refund waits for your decision"
    assert told in other.get("/admin/").text
    assert told not in asker.get("/admin/").text
    assert told not in operator.get("/admin/").text
    execute(own, "DELETE FROM refund_requests")


def test_a_worker_that_is_gone_is_a_red_bar_and_the_figures_are_old(
    own: Flask, viewer: Desk
) -> None:
    assert "The worker is silent" not in viewer.get("/admin/").text
    execute(own, "UPDATE worker_beats SET last_at = now() - interval '1 hour'")
    page = viewer.get("/admin/")
    assert page.status_code == 200
    assert re.search(r'class="alarm"[^>]*><strong>The worker is silent', page.text)
    assert "These figures are old: they are of 1 hour ago." in page.text
    execute(own, "DELETE FROM worker_beats")
    assert "the worker has not added up any yet" in viewer.get("/admin/").text


def test_charts_have_the_same_figures_as_their_tables(own: Flask, viewer: Desk) -> None:
    page = viewer.get("/admin/").text
    charts = re.findall(r'<figure class="chart">(.*?)</figure>', page, re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        titles = [unescape(title) for title in re.findall(r"<title>([^<]*)</title>", chart)]
        cells = re.findall(r'<th scope="row">([^<]*)</th><td class="number">([^<]*)</td>', chart)
        assert titles == [f"{unescape(label)}: {figure}" for label, figure in cells]
    assert len(re.findall(r"<title>", charts[1])) == 30


def test_who_has_this_edition_gets_none(viewer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told = monkeypatched_reads(monkeypatch)
    first = viewer.get("/admin/now")
    assert first.status_code == 200
    assert "<html" not in first.text
    tag = first.headers["ETag"]
    same = viewer.get("/admin/now", headers={"If-None-Match": tag})
    assert (same.status_code, same.text) == (304, "")
    told["needs"] = (Need(Wants.UNRESOLVED, 1, False, None, "payments"),)
    other = viewer.get("/admin/now", headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert other.headers["ETag"] != tag


def test_what_a_page_asks_by_itself_keeps_no_session_open(own: Flask) -> None:
    """An hour of a desk that nobody sits at, and one of a desk that is looked at."""
    by_itself = {"X-By-Itself": "yes"}
    for headers, is_in in (({}, True), (by_itself, False)):
        desk = Desk(own).join()
        for path in ("/admin/now", "/admin/payments"):
            a_while_unused(desk, 20)
            assert desk.get(path, headers=headers).status_code in (200, 303)
        assert desk.is_in() == is_in


def a_while_unused(desk: Desk, minutes: int) -> None:
    execute(
        desk.app,
        "UPDATE operator_sessions SET seen_at = seen_at - make_interval(mins => :minutes) WHERE"
        " operator_id = (SELECT operator_id FROM operators WHERE email = :email)",
        minutes=minutes,
        email=desk.email,
    )


def monkeypatched_reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Has the desk stand still, but for what is put into the answer."""
    told: dict[str, Any] = {"needs": ()}
    kept: list[Any] = []
    read: Callable[..., Any] = desk.read

    def still(**how: Any) -> Any:
        if not kept:
            kept.append(read(**how))
        return replace(kept[0], figures_are_old=False, **told)

    monkeypatch.setattr(desk, "read", still)
    return told
