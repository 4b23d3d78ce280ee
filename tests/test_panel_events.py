"""The page of events: what is parked, sent again or given up, once, and by operators only."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from tests.books import a_charged_payment, execute, rows
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page

HOSTILE = '<script>alert(1)</script> "><img src=x> \u202eright {{7*7}} ' + "x" * 5000
PAGE = "/admin/events"


@pytest.fixture
def own(make_app: MakeApp, fresh_database: str) -> Flask:
    return make_app(
        **KEYS,
        operator_mfa="optional",
        database_url=fresh_database,
        order_service_url="http://127.0.0.1:9/",
    )


@pytest.fixture
def operator(own: Flask) -> Desk:
    return Desk(own).join(Role.OPERATOR)


def park(app: Flask, error: str = "500 from there", sink: str = "order") -> int:
    """Parks the last event of a new payment at the sink; the payment's number."""
    payment = int(a_charged_payment(app.test_client())["payment_id"])
    execute(app, "DELETE FROM deliveries WHERE payment_id = :id", id=payment)
    execute(
        app,
        "INSERT INTO deliveries (payment_id, sink, seq, attempts, due_at, created_at, parked_at,"
        " last_error) SELECT payment_id, :sink, max(seq), 9, now(), now(), now(), :error"
        " FROM events WHERE payment_id = :id GROUP BY payment_id",
        id=payment,
        sink=sink,
        error=error,
    )
    return payment


def state(app: Flask, payment: int) -> Any:
    (found,) = rows(
        app,
        "SELECT parked_at IS NOT NULL AS parked, done_at IS NOT NULL AS done, attempts, last_error"
        " FROM deliveries WHERE payment_id = :id",
        id=payment,
    )
    return found


def forms(page: str) -> list[dict[str, str]]:
    """What each form of an act holds, in the order of the page."""
    found = re.findall(r'action="(/admin/events/[a-z]+)">(.*?)</form>', page, re.DOTALL)
    told = []
    for path, form in found:
        fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
        told.append({"path": path, **{name: unescape(value) for name, value in fields}})
    return told


def send(desk: Desk, form: dict[str, str], **more: str) -> Any:
    return desk.send(**form, **more)


def acts(app: Flask) -> list[str]:
    found = rows(app, "SELECT act FROM audit_log WHERE act LIKE 'deliveries%' ORDER BY audit_id")
    return [row["act"] for row in found]


def test_all_was_delivered(own: Flask, operator: Desk) -> None:
    page = operator.get(PAGE)
    sign_of_a_page(page)
    assert "All was delivered." in page.text
    assert "NOTIFICATION_SERVICE_URL is not set" in page.text
    assert "ORDER_SERVICE_URL is not set" not in page.text
    park(own)
    execute(own, "UPDATE deliveries SET parked_at = NULL, done_at = now() - interval '3 hours'")
    page = operator.get(PAGE)
    assert "All was delivered." in page.text
    assert "3 hours ago" in page.text


def test_what_is_parked_is_grouped_by_sink_and_error(own: Flask, operator: Desk) -> None:
    for error, sink in (("a", "order"), ("a", "order"), ("b", "order"), ("a", "rider")):
        park(own, error, sink)
    page = operator.get(PAGE).text
    heads = re.findall(r"<h3>([a-z]+: \d+ events?)</h3>", page)
    assert heads == ["order: 2 events", "order: 1 event", "rider: 1 event"]
    assert "RIDER_SERVICE_URL is not set" in page


def test_resent_once_though_the_form_comes_twice(own: Flask, operator: Desk) -> None:
    first, other = park(own, "a"), park(own, "b")
    form = next(f for f in forms(operator.get(PAGE).text) if f["path"].endswith("resend"))
    for _ in range(2):
        assert send(operator, form).status_code == 303
    told = [state(own, payment) for payment in (first, other)]
    assert [row["parked"] for row in told].count(True) == 1
    assert acts(own) == ["deliveries_delivered"]
    # The relay parks it again: the form of before does not reach what was parked later.
    again = first if not told[0]["parked"] else other
    execute(
        own,
        "UPDATE deliveries SET parked_at = clock_timestamp(), attempts = 9 WHERE payment_id = :id",
        id=again,
    )
    assert "no longer parked as the page showed them" in followed(operator, send(operator, form))
    assert state(own, again)["parked"]
    assert acts(own) == ["deliveries_delivered"]


def followed(desk: Desk, answer: Any) -> str:
    assert answer.status_code == 303
    assert answer.location == PAGE
    return unescape(desk.get(PAGE).text)


def test_skipped_with_a_reason_and_once(own: Flask, operator: Desk) -> None:
    payment = park(own)
    form = next(f for f in forms(operator.get(PAGE).text) if f["path"].endswith("skip"))
    assert "Say why" in followed(operator, send(operator, form, reason="  "))
    assert "500 visible characters" in followed(operator, send(operator, form, reason="x" * 501))
    assert not state(own, payment)["done"]
    page = followed(operator, send(operator, form, reason="The order was deleted"))
    assert "1 event is skipped; order will not hear." in page
    assert state(own, payment)["last_error"] == "skipped: The order was deleted"
    assert "no longer parked" in followed(operator, send(operator, form, reason="Twice"))
    assert state(own, payment)["last_error"] == "skipped: The order was deleted"
    assert acts(own) == ["deliveries_skipped"]


def test_only_operators_act_and_only_by_forms_of_ours(own: Flask, operator: Desk) -> None:
    payment = park(own)
    viewer = Desk(own).join()
    page = viewer.get(PAGE).text
    assert "Your role is viewer." in page
    assert forms(page) == []
    for form in forms(operator.get(PAGE).text):
        path, fields = form["path"], {k: v for k, v in form.items() if k != "path"}
        told = {**fields, "reason": "x"}
        assert viewer.post(path, page="/admin/me", **without_token(told)).status_code == 403
        assert operator.send(path, **without_token(told)).status_code == 400
        assert operator.send(path, **{**told, "csrf_token": "forged"}).status_code == 400
        for wrong in ({"sink": "moon"}, {"error_hash": "x"}, {"until": "soon"}):
            assert operator.send(path, **{**told, **wrong}).status_code == 400
    assert state(own, payment)["parked"]
    assert acts(own) == []


def without_token(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name != "csrf_token"}


def test_texts_of_others_are_text(own: Flask, operator: Desk) -> None:
    payment = park(own, HOSTILE)
    page = operator.get(PAGE)
    sign_of_a_page(page)
    assert no_script_but_ours(page.text)
    assert "{{7*7}}" in page.text
    form = next(f for f in forms(page.text) if f["path"].endswith("resend"))
    assert send(operator, form).status_code == 303
    assert not state(own, payment)["parked"]
