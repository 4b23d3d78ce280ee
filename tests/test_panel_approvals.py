"""Refunds and approvals as pages: what waits, who decides on what they saw, and who does not."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from flask import Flask

from payment_service.config import ByCurrency
from payment_service.domain.operators import Role
from payment_service.services import lapsing
from tests.books import a_charged_payment, at_once, execute, payment_row, post, rows
from tests.desk import a_while_ago
from tests.fixtures import MakeApp
from tests.four_eyes import asks, in_session, shown
from tests.operators import KEYS
from tests.panel import Seat, fields_of, told
from tests.patience import CLOCKLESS

ABOVE = ByCurrency(Decimal(0), {"INR": Decimal("50.00")})
LIST = "/admin/approvals"


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Above 50.00 INR of a payment a second one must approve. Nothing is due by itself."""
    url = database_of_module
    return make_app(**KEYS, **CLOCKLESS, database_url=url, four_eyes_above=ABOVE)


@pytest.fixture(scope="module")
def asker(app: Flask) -> Seat:
    return Seat(app)


@pytest.fixture
def approver(app: Flask) -> Seat:
    return Seat(app, Role.APPROVER)


def a_payment(app: Flask, **changes: Any) -> int:
    """Of 100.00 INR, charged."""
    return int(a_charged_payment(app.test_client(), **changes)["payment_id"])


def asked(app: Flask, by: Seat, amount: str = "60.00", reason: str = "Detour") -> tuple[int, str]:
    """A payment, and the path of the page on which its refund is decided."""
    paid = a_payment(app)
    request = asks(app, in_session(by.person), paid, amount, reason=reason)
    return paid, f"{LIST}/{request['request_id']}"


def state(app: Flask, page: str) -> tuple[str, str | None]:
    (found,) = rows(
        app,
        "SELECT state, decided_by FROM refund_requests WHERE request_id = :id",
        id=int(page.rpartition("/")[2]),
    )
    return found["state"], found["decided_by"]


def sums(app: Flask, payment_id: int) -> tuple[str, int, int]:
    found = payment_row(app, payment_id)
    return found["status"], found["refunded"], found["refund_pending"]


def lapse(app: Flask, page: str) -> None:
    execute(
        app,
        "UPDATE refund_requests SET asked_at = asked_at - interval '8 days',"
        " expires_at = expires_at - interval '8 days' WHERE request_id = :id",
        id=int(page.rpartition("/")[2]),
    )


# Lists


def test_the_last_page_is_told_of_requests_that_came_since(
    app: Flask, asker: Seat, approver: Seat
) -> None:
    found = re.search(r'data-newer="([^"]*)"', approver.get(LIST).text)
    assert found
    watched = unescape(found[1])
    assert approver.get(watched).status_code == 204
    asked(app, asker)
    assert approver.get(watched).text == "1 newer: show"


def test_where_nothing_waits(make_app: MakeApp, fresh_database: str) -> None:
    seat = Seat(make_app(**KEYS, database_url=fresh_database), Role.VIEWER)
    assert "No refund waits." in seat.get(LIST).text
    assert "No refund waits." in seat.get("/admin/refunds").text
    assert "There is no such refund." in seat.get("/admin/refunds?status=FAILED").text


def test_what_waits_is_listed(app: Flask, asker: Seat, approver: Seat) -> None:
    paid, page = asked(app, asker, reason='<script>alert(1)</script> \u202e"><img src=x>')
    text = approver.get(LIST).text
    assert f'href="{page}"' in text
    assert f'href="/admin/payments/{paid}"' in text
    assert "60 %" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<img" not in text
    assert "<script>" not in text


def test_refunds_by_status_those_that_wait_first(app: Flask, asker: Seat) -> None:
    client = app.test_client()
    waits = a_payment(app, payment_token="tok_refund_pending")
    post(client, f"/v1/payments/{waits}/refund", amount="10.00")
    done = a_payment(app)
    post(client, f"/v1/payments/{done}/refund", amount="10.00")
    failed = a_payment(app, payment_token="tok_refund_decline")
    post(client, f"/v1/payments/{failed}/refund", amount="10.00")
    ids = {"PENDING": waits, "SUCCESS": done, "FAILED": failed}
    for status, own in ids.items():
        text = asker.get(f"/admin/refunds?status={status}").text
        shown_ones = {one for one in ids.values() if f'"/admin/payments/{one}"' in text}
        assert shown_ones == {own}, status
    usual = asker.get("/admin/refunds").text
    assert f'"/admin/payments/{waits}"' in usual
    assert f'"/admin/payments/{done}"' not in usual
    every = asker.get("/admin/refunds?status=ALL").text
    assert all(f'"/admin/payments/{one}"' in every for one in ids.values())
    assert asker.get("/admin/refunds?status=none&cursor=none").status_code == 200


# Both sides


def test_another_one_approves(app: Flask, asker: Seat, approver: Seat) -> None:
    paid, page = asked(app, asker)
    own = asker.get(page).text
    assert "Withdraw the request" in own
    assert "/approve" not in own
    seen = approver.get(page)
    assert "sixty Indian rupees" in seen.text
    assert f'href="/admin/payments/{paid}"' in seen.text
    answer = approver.send(f"{page}/approve", **fields_of(seen.text))
    assert (answer.status_code, answer.location) == (303, f"/admin/payments/{paid}")
    assert "Approved. 60.00 INR went back" in told(approver.get(answer.location))
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)
    assert state(app, page) == ("APPROVED", approver.name)


def test_approved_twice_it_is_given_back_once(app: Flask, asker: Seat, approver: Seat) -> None:
    paid, page = asked(app, asker)
    form, other = approver.form(page), approver.another()
    calls = [
        lambda who=who: who.send(f"{page}/approve", **form) for who in (approver, other, approver)
    ]
    assert {answer.status_code for answer in at_once(calls[:2])} == {303}
    assert calls[2]().status_code == 303
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)
    made = rows(app, "SELECT refund_id FROM refunds WHERE payment_id = :id", id=paid)
    assert len(made) == 1


def test_nobody_approves_what_they_asked_for(app: Flask) -> None:
    one = Seat(app, Role.ADMIN)
    paid, page = asked(app, one)
    request = {"request_id": int(page.rpartition("/")[2])}
    found = rows(app, "SELECT * FROM refund_requests WHERE request_id = :request_id", **request)[0]
    form = one.form(page) | {"key": "k" * 24, "shown": shown(app, found)}  # type: ignore[arg-type]
    for act in ("approve", "decline"):
        answer = one.send(f"{page}/{act}", **form, decision="Fine")
        assert answer.status_code == 409
        assert "You asked for this refund yourself" in told(answer)
    assert state(app, page) == ("OPEN", None)
    assert sums(app, paid) == ("SUCCESS", 0, 6000)


def test_who_has_not_shown_who_he_is_just_now_does_so_first(
    app: Flask, asker: Seat, approver: Seat
) -> None:
    paid, page = asked(app, asker)
    a_while_ago(approver)
    seen = approver.get(page)
    assert "Show it now" in seen.text
    answer = approver.send(f"{page}/approve", **fields_of(seen.text))
    assert (answer.status_code, answer.location) == (303, f"/admin/step-up?next={page}")
    assert "Show once more who you are" in told(approver.get(answer.location))
    assert sums(app, paid) == ("SUCCESS", 0, 6000)


def test_declined_with_a_reason(app: Flask, asker: Seat, approver: Seat) -> None:
    paid, page = asked(app, asker)
    form = approver.form(page)
    without = approver.send(f"{page}/decline", **form, decision=" ")
    assert without.status_code == 422
    assert "Say why" in told(without)
    for _ in range(2):
        answer = approver.send(f"{page}/decline", **form, decision="No <b>receipt</b>")
        assert (answer.status_code, answer.location) == (303, page)
    assert "No &lt;b&gt;receipt" in asker.get(page).text
    assert state(app, page) == ("DECLINED", approver.name)
    assert sums(app, paid) == ("SUCCESS", 0, 0)


def test_withdrawn_by_who_asked_alone(app: Flask, asker: Seat, approver: Seat) -> None:
    paid, page = asked(app, asker)
    other = approver.send(f"{page}/withdraw", **approver.form(page))
    assert other.status_code == 409
    assert "Only who asked" in told(other)
    form = asker.form(page)
    for _ in range(2):
        assert asker.send(f"{page}/withdraw", **form).status_code == 303
    assert state(app, page) == ("WITHDRAWN", asker.name)
    assert sums(app, paid) == ("SUCCESS", 0, 0)


# Meanwhile


@pytest.mark.parametrize("act", ["approve", "decline"])
def test_decided_meanwhile(app: Flask, asker: Seat, approver: Seat, act: str) -> None:
    paid, page = asked(app, asker)
    form, other = approver.form(page), Seat(app, Role.APPROVER)
    other.send(f"{page}/decline", **other.form(page), decision="No receipt")
    answer = approver.send(f"{page}/{act}", **form, decision="Fine")
    assert answer.status_code == 409
    said = told(answer)
    assert f"declined, by {other.name} at 20" in said
    assert "Nothing was done" in said
    assert "It was decided by" in answer.text
    assert "key" not in fields_of(answer.text)
    assert state(app, page) == ("DECLINED", other.name)
    assert sums(app, paid) == ("SUCCESS", 0, 0)


@pytest.mark.parametrize("act", ["approve", "decline"])
def test_a_payment_that_moved_meanwhile_is_shown_anew(
    app: Flask, asker: Seat, approver: Seat, act: str
) -> None:
    paid, page = asked(app, asker)
    form = approver.form(page)
    post(app.test_client(), f"/v1/payments/{paid}/refund", amount="10.00")
    answer = approver.send(f"{page}/{act}", **form, decision="Fine")
    assert answer.status_code == 409
    assert "not as you saw it" in told(answer)
    assert state(app, page) == ("OPEN", None)
    anew = fields_of(answer.text)
    assert anew["shown"] != form["shown"]
    assert approver.send(f"{page}/approve", **anew).status_code == 303
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 7000, 0)


def test_nobody_decided_in_time(app: Flask, asker: Seat, approver: Seat) -> None:
    paid, page = asked(app, asker)
    form = approver.form(page)
    lapse(app, page)
    assert "Nobody decided until" in approver.get(page).text
    answer = approver.send(f"{page}/approve", **form)
    assert answer.status_code == 409
    assert "Nobody decided on this request" in told(answer)
    assert sums(app, paid) == ("SUCCESS", 0, 6000)
    with app.app_context():
        lapsing.run_once()
    assert "it lapsed by itself" in approver.get(page).text
    assert (state(app, page), sums(app, paid)) == (("LAPSED", "worker"), ("SUCCESS", 0, 0))


# Forged


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("act", ["approve", "decline", "withdraw"])
def test_who_may_decide(app: Flask, asker: Seat, role: Role, act: str) -> None:
    paid, page = asked(app, asker)
    own = Seat(app, role)
    token = Seat.token(own.get("/admin/me").text)
    form = {"csrf_token": token, "key": "k" * 24, "shown": "0" * 64, "decision": "Fine"}
    assert own.send(f"{page}/{act}", **(form | {"csrf_token": ""})).status_code == 400
    answer = own.send(f"{page}/{act}", **form)
    least = Role.OPERATOR if act == "withdraw" else Role.APPROVER
    may = list(Role).index(role) >= list(Role).index(least)
    assert answer.status_code == (409 if may else 403), answer.text
    assert own.get(page).status_code == 200
    assert sums(app, paid) == ("SUCCESS", 0, 6000)


def test_a_form_of_another_session_is_refused(app: Flask, asker: Seat, approver: Seat) -> None:
    _, page = asked(app, asker)
    form = approver.form(page)
    assert Seat(app, Role.APPROVER).send(f"{page}/approve", **form).status_code == 400
    assert approver.send(f"{page}/approve", **(form | {"key": ""})).status_code == 400
    assert state(app, page) == ("OPEN", None)


def test_a_request_that_is_none(approver: Seat, app: Flask, asker: Seat) -> None:
    _, page = asked(app, asker)
    form = approver.form(page)
    assert approver.get(f"{LIST}/999999999").status_code == 404
    for act in ("approve", "decline", "withdraw"):
        assert approver.send(f"{LIST}/999999999/{act}", **form, decision="x").status_code == 404
