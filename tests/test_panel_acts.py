"""Acts on a payment, sent as browsers send forms: asked once more, done once, or not at all."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from payment_service.config import ByCurrency
from payment_service.domain.operators import Role
from tests.books import (
    a_charged_payment,
    a_pending_payment,
    at_once,
    at_provider,
    execute,
    payment_row,
    post,
    rows,
)
from tests.clocks import is_open
from tests.fixtures import MakeApp, an_order
from tests.operators import KEYS
from tests.panel import Seat, fields_of, told
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox

ABOVE = ByCurrency(Decimal(0), {"INR": Decimal("50.00")})
ACTS = ("refund", "capture", "cancel", "look-up", "cash-received", "cash-handed-back")


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Above 50.00 INR of a payment a second one must approve. Nothing is due by itself."""
    url = database_of_module
    return make_app(**KEYS, **CLOCKLESS, database_url=url, four_eyes_above=ABOVE)


@pytest.fixture
def seat(app: Flask) -> Seat:
    return Seat(app)


def a_payment(app: Flask, **changes: Any) -> int:
    """Of 100.00 INR, charged."""
    return int(a_charged_payment(app.test_client(), **changes)["payment_id"])


def a_hold(app: Flask, **changes: Any) -> int:
    return a_payment(app, capture=False, **changes)


def path(payment_id: int, act: str = "") -> str:
    return f"/admin/payments/{payment_id}" + (f"/{act}" if act else "")


def of(payment_id: int, amount: str) -> str:
    """The form of a refund of that amount."""
    return path(payment_id, f"refund?how=part&amount={amount}")


def sums(app: Flask, payment_id: int) -> tuple[str, int, int]:
    found = payment_row(app, payment_id)
    return found["status"], found["refunded"], found["refund_pending"]


def refunds(app: Flask, payment_id: int) -> list[dict[str, Any]]:
    query = "SELECT refund_id, amount, status, reason, caller FROM refunds WHERE payment_id = :id"
    return rows(app, query, id=payment_id)


# Giving back


def test_a_refund_is_shown_once_more_and_then_done(
    app: Flask, seat: Seat, sandbox: Sandbox
) -> None:
    paid = a_payment(app)
    first = seat.get(path(paid, "refund"))
    assert "100.00\N{NO-BREAK SPACE}INR can be given back" in unescape(
        re.sub("<[^>]*>", "", first.text)
    )
    again = seat.get(of(paid, "30.00"))
    assert "thirty Indian rupees" in again.text
    assert "sandbox is asked to give 30.00" in again.text
    assert re.search(r'<a class="act back" href="[^"]+" autofocus>Back</a>', again.text)
    assert sums(app, paid) == ("SUCCESS", 0, 0), "looking does nothing"
    answer = seat.send(
        path(paid, "refund"), **fields_of(again.text), why="Detour", more="By the river"
    )
    assert (answer.status_code, answer.location) == (303, path(paid))
    assert "30.00 INR went back to the payer" in told(seat.get(path(paid)))
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 3000, 0)
    (made,) = refunds(app, paid)
    assert (made["reason"], made["caller"]) == ("Detour: By the river", seat.name)
    assert len(at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])) == 1


def test_who_gave_it_back_is_told_wherever_refunds_are(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    seat.act(path(paid, "refund"), of(paid, "10.00"), why="Detour")
    assert seat.name in seat.get("/admin/refunds?status=ALL").text
    (row,) = csv.DictReader(StringIO(seat.get(f"/admin/refunds.csv?payment_id={paid}").text))
    assert row["caller"] == seat.name
    story = seat.get(path(paid)).text
    assert "Asked sandbox to give back" in story
    assert f"by <bdi>{seat.name}</bdi>" in story
    assert "by caller" not in story


def test_a_form_that_is_sent_twice_is_done_once(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.form(of(paid, "10.00"))
    for _ in range(2):
        answer = seat.send(path(paid, "refund"), **form, why="Detour")
        assert (answer.status_code, answer.location) == (303, path(paid))
    assert "nothing was done twice" in told(seat.get(path(paid)))
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)


def test_a_form_that_is_sent_twice_at_once_is_done_once(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.form(of(paid, "10.00"))
    other = seat.another()
    calls = [
        lambda who=who: who.send(path(paid, "refund"), **form, why="Detour")
        for who in (seat, other)
    ]
    assert {answer.status_code for answer in at_once(calls)} == {303}
    assert len(refunds(app, paid)) == 1


def test_the_form_that_the_back_button_draws_again_is_done_once(app: Flask, seat: Seat) -> None:
    """Its address names the form, so going back to it makes no new one."""
    paid = a_payment(app)
    first = seat.form(path(paid, "refund"))
    drawn = f"{of(paid, '10.00')}&key={first['key']}&version={first['version']}"
    for _ in range(2):
        form = seat.form(drawn)
        assert (form["key"], form["version"]) == (first["key"], first["version"])
        assert seat.send(path(paid, "refund"), **form, why="Detour").status_code == 303
    assert "nothing was done twice" in told(seat.get(path(paid)))
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)
    other = seat.form(of(paid, "10.00"))
    assert other["key"] != first["key"]


def test_what_is_under_way_is_told_and_not_done_twice(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.form(of(paid, "10.00"))
    seat.send(path(paid, "refund"), **form, why="Detour")
    seat.get(path(paid))
    execute(
        app,
        "UPDATE idempotency_keys SET answer_body = NULL, answer_status = NULL,"
        " locked_until = now() + interval '1 hour' WHERE key = :key",
        key=form["key"],
    )
    assert seat.send(path(paid, "refund"), **form, why="Detour").status_code == 303
    assert "under way" in told(seat.get(path(paid)))
    assert len(refunds(app, paid)) == 1


def test_a_second_tab_is_told_what_changed_and_asked_again(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    one, two = seat.form(of(paid, "10.00")), seat.form(of(paid, "20.00"))
    assert seat.send(path(paid, "refund"), **one, why="Detour").status_code == 303
    again = seat.send(path(paid, "refund"), **two, why="Goodwill", more="Late")
    assert again.status_code == 409
    assert "changed since you saw it. Nothing was done" in told(again)
    assert "A part was given back" in again.text
    assert f"by {seat.name}" in again.text
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)
    drawn = fields_of(again.text)
    assert drawn["version"] != two["version"]
    assert drawn["key"] != two["key"]
    assert drawn["amount"] == "20.00"
    assert "<option selected>Goodwill</option>" in again.text
    assert 'value="Late"' in again.text
    assert seat.send(path(paid, "refund"), **drawn, why="Goodwill").status_code == 303
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 3000, 0)


def confirmed(seat: Seat, payment_id: int, amount: str) -> str:
    """The address that a browser goes to once the amount is chosen."""
    chosen = fields_of(seat.get(path(payment_id, "refund")).text)
    return f"{of(payment_id, amount)}&{urlencode(chosen)}"


def test_coming_back_to_a_form_that_was_sent_does_nothing_twice(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    address = confirmed(seat, paid, "10.00")
    form = seat.form(address)
    assert seat.send(path(paid, "refund"), **form, why="Detour").status_code == 303
    seat.get(path(paid))
    back = seat.get(address)
    assert "A part was given back" in back.text
    assert fields_of(back.text).items() >= {"key": form["key"], "version": form["version"]}.items()
    again = seat.send(path(paid, "refund"), **fields_of(back.text), why="Detour")
    assert again.status_code == 303
    assert "nothing was done twice" in told(seat.get(path(paid)))
    other = seat.send(path(paid, "refund"), **fields_of(back.text), why="Goodwill")
    assert other.status_code == 409
    assert "A part was given back" in other.text
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)


def test_a_form_whose_reason_was_refused_stays_the_same_form(app: Flask, seat: Seat) -> None:
    """Come back to after it was done, the refused one is sent again by the browser."""
    paid = a_payment(app)
    form = seat.form(of(paid, "10.00"))
    refused = seat.send(path(paid, "refund"), **form, why="")
    assert refused.status_code == 422
    done = seat.send(path(paid, "refund"), **fields_of(refused.text), why="Detour")
    assert done.status_code == 303
    back = seat.send(path(paid, "refund"), **form, why="")
    assert "A part was given back" in back.text
    seat.send(path(paid, "refund"), **fields_of(back.text), why="Detour")
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)


def test_an_amount_that_is_chosen_anew_is_another_form(app: Flask, seat: Seat) -> None:
    """The same part once more, by somebody who goes the whole way again, is meant."""
    paid = a_payment(app)
    for _ in range(2):
        form = seat.form(confirmed(seat, paid, "10.00"))
        assert seat.send(path(paid, "refund"), **form, why="Detour").status_code == 303
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 2000, 0)
    text = re.sub("<[^>]*>", "", unescape(seat.get(path(paid, "refund")).text))
    assert "20.00\N{NO-BREAK SPACE}INR was given back before" in text


def test_what_no_longer_fits_is_chosen_anew(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.form(of(paid, "50.00"))
    post(app.test_client(), f"/v1/payments/{paid}/refund", amount="60.00")
    again = seat.send(path(paid, "refund"), **form, why="Detour")
    assert again.status_code == 409
    assert "at most 40.00 INR" in again.text
    post(app.test_client(), f"/v1/payments/{paid}/refund")
    over = seat.send(path(paid, "refund"), **form, why="Detour")
    assert over.status_code == 409
    assert "All of it was given back." in over.text
    assert "key" not in fields_of(over.text)


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("0.00", "more than 0"),
        ("100.01", "at most 100.00 INR"),
        ("1.001", "INR has 2 decimals"),
        ("", "plain digits"),
        ("-5", "plain digits"),
        ("<b>5</b>", "plain digits"),
    ],
)
def test_an_amount_that_is_none(app: Flask, seat: Seat, amount: str, says: str) -> None:
    paid = a_payment(app)
    answer = seat.get(path(paid, "refund"), query_string={"how": "part", "amount": amount})
    assert answer.status_code == 422
    assert says in answer.text
    assert "<b>5" not in answer.text


def test_what_was_refused_is_told(app: Flask, seat: Seat) -> None:
    paid = a_payment(app, payment_token="tok_refund_decline")
    assert seat.act(path(paid, "refund"), of(paid, "10.00"), why="Detour").status_code == 303
    assert "came to nothing" in told(seat.get(path(paid)))
    assert sums(app, paid) == ("SUCCESS", 0, 0)


def test_what_is_not_known_yet_is_not_to_be_repeated(app: Flask, seat: Seat) -> None:
    paid = a_payment(app, payment_token="tok_refund_pending")
    assert seat.act(path(paid, "refund"), of(paid, "10.00"), why="Detour").status_code == 303
    said = told(seat.get(path(paid)))
    assert re.search(r"not known yet.*Do not repeat it: we look it up at \d\d:\d\d:\d\d", said)
    assert sums(app, paid) == ("SUCCESS", 0, 1000)


@pytest.mark.parametrize(
    ("why", "more", "says"),
    [
        ("", "", "Say why"),
        ("", "card 4111 1111 1111 1111", "card number"),
        ("", "x" * 501, "at most 500"),
        ("", "a\x00b", "can&#39;t be shown"),
    ],
)
def test_a_reason_that_is_none(app: Flask, seat: Seat, why: str, more: str, says: str) -> None:
    paid = a_payment(app)
    answer = seat.act(path(paid, "refund"), of(paid, "10.00"), why=why, more=more)
    assert answer.status_code == 422
    assert says in answer.text
    assert refunds(app, paid) == []


def test_what_is_written_is_text(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    hostile = '<script>alert(1)</script>{{7*7}} \u202e"><img src=x>'
    seat.act(path(paid, "refund"), of(paid, "10.00"), why="", more=hostile)
    for page in (seat.get(path(paid)), seat.get("/admin/refunds?status=ALL")):
        assert "&lt;script&gt;alert(1)" in page.text
        assert "<img" not in page.text
        assert "<script>" not in page.text


# Four eyes


def test_above_the_limit_the_form_asks_for_approval(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.get(of(paid, "50.01"))
    assert "needs a second person above 50.00 INR" in form.text
    assert "<button>Ask for approval</button>" in form.text
    assert f'action="{path(paid, "refund/ask")}"' in form.text
    alone = seat.send(path(paid, "refund"), **fields_of(form.text), why="Detour")
    assert alone.status_code == 409
    assert "a second person" in told(alone)
    assert sums(app, paid) == ("SUCCESS", 0, 0)
    for _ in range(2):
        asked = seat.send(path(paid, "refund/ask"), **fields_of(form.text), why="Detour")
        assert asked.status_code == 303
    page = seat.get(asked.location)
    assert "Nothing is given back until another operator approves it" in told(page)
    assert sums(app, paid) == ("SUCCESS", 0, 5001)
    assert "A refund waits for a decision already." in seat.get(path(paid)).text


def test_splitting_does_not_help(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    seat.act(path(paid, "refund"), of(paid, "30.00"), why="Detour")
    other = Seat(app)
    assert "Ask for approval" in other.get(of(paid, "20.01")).text
    answer = other.act(path(paid, "refund"), of(paid, "20.01"), why="Detour")
    assert answer.status_code == 409
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 3000, 0)


# Holds


def test_what_is_held_is_taken_once(app: Flask, seat: Seat) -> None:
    held = a_hold(app)
    form = seat.form(path(held, "capture"))
    for _ in range(2):
        assert seat.send(path(held, "capture"), **form).status_code == 303
    assert payment_row(app, held)["status"] == "SUCCESS"
    assert payment_row(app, held)["captured"] == 10000
    made = rows(app, "SELECT type FROM transactions WHERE payment_id = :id", id=held)
    assert [one["type"] for one in made] == ["AUTHORIZATION", "CAPTURE"]
    assert "nothing was done twice" in told(seat.get(path(held)))


def test_a_hold_is_given_up_once(app: Flask, seat: Seat) -> None:
    held = a_hold(app)
    form = seat.form(path(held, "cancel"))
    for _ in range(2):
        assert seat.send(path(held, "cancel"), **form).status_code == 303
    assert payment_row(app, held)["status"] == "CANCELLED"


def test_what_nobody_was_asked_for_is_cancelled_once(app: Flask, seat: Seat) -> None:
    pending = a_pending_payment(app.test_client())["payment_id"]
    form = seat.form(path(pending, "cancel"))
    other = seat.another()
    calls = [lambda who=who: who.send(path(pending, "cancel"), **form) for who in (seat, other)]
    assert {answer.status_code for answer in at_once(calls)} == {303}
    found = payment_row(app, pending)
    assert found["status"] == "CANCELLED"
    made = rows(
        app,
        "SELECT actor FROM events WHERE payment_id = :id AND type = 'payment.cancelled'",
        id=pending,
    )
    assert made == [{"actor": "operator"}]


@pytest.mark.parametrize("act", ["capture", "cancel"])
def test_a_hold_that_changed_is_left_alone(app: Flask, seat: Seat, act: str) -> None:
    held = a_hold(app, payment_token="tok_capture_decline")
    form = seat.form(path(held, act))
    post(app.test_client(), f"/v1/payments/{held}/capture")
    assert payment_row(app, held)["status"] == "AUTHORIZED"
    answer = seat.send(path(held, act), **form)
    assert answer.status_code == 409
    assert "The held money could not be taken" in answer.text
    assert payment_row(app, held)["status"] == "AUTHORIZED"


# Looking up


def test_what_is_open_is_looked_up_at_once(app: Flask, seat: Seat) -> None:
    paid = a_payment(app, payment_token="tok_refund_pending")
    post(app.test_client(), f"/v1/payments/{paid}/refund", amount="10.00")
    assert is_open(app, paid)
    form = seat.form(path(paid, "look-up"))
    for _ in range(2):
        assert seat.send(path(paid, "look-up"), **form).status_code == 303
    assert "nothing was done twice" in told(seat.get(path(paid)))


def test_nothing_open_is_nothing_to_look_up(app: Flask, seat: Seat) -> None:
    page = seat.get(path(a_payment(app), "look-up"))
    assert "No request waits for an answer. Nothing can be done." in page.text
    assert "key" not in fields_of(page.text)


# Cash


def test_cash_is_received_once(app: Flask, seat: Seat) -> None:
    pending = a_pending_payment(app.test_client(), method="CASH", driver_id=201)["payment_id"]
    form = seat.form(path(pending, "cash-received"))
    for _ in range(2):
        assert seat.send(path(pending, "cash-received"), **form).status_code == 303
    assert payment_row(app, pending)["status"] == "SUCCESS"
    assert "nothing was done twice" in told(seat.get(path(pending)))


def test_cash_is_handed_back_once(app: Flask, seat: Seat) -> None:
    paid = a_payment(app, method="CASH", driver_id=201)
    assert seat.act(path(paid, "refund"), of(paid, "10.00"), why="Detour").status_code == 303
    assert "handed back by a person" in told(seat.get(path(paid)))
    form = seat.form(path(paid, "cash-handed-back"))
    for _ in range(2):
        assert seat.send(path(paid, "cash-handed-back"), **form).status_code == 303
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)


def test_another_payments_refund_is_not_handed_back(app: Flask, seat: Seat) -> None:
    """The number in the form is of no other payment's refund but by its own version."""
    paid, card = a_payment(app, method="CASH", driver_id=201), a_payment(app)
    seat.act(path(paid, "refund"), of(paid, "10.00"), why="Detour")
    post(app.test_client(), f"/v1/payments/{card}/refund", amount="10.00")
    form = seat.form(path(paid, "cash-handed-back"))
    form["refund_id"] = str(refunds(app, card)[0]["refund_id"])
    assert seat.send(path(paid, "cash-handed-back"), **form).status_code == 409
    assert sums(app, paid) == ("SUCCESS", 0, 1000)


# What fits


def fitting(page: str) -> dict[str, str | None]:
    """The acts of a payment's page, each with why it does not fit."""
    found = re.findall(r'<span class="act no"[^>]*>(.*?) <span class="why">(.*?)</span>', page)
    open_ones = re.findall(r'<a class="act" href="[^"]+">(.*?)</a>', page)
    return {name: unescape(why) for name, why in found} | dict.fromkeys(open_ones)


def test_what_fits_a_paid_one(app: Flask, seat: Seat) -> None:
    assert fitting(seat.get(path(a_payment(app))).text) == {
        "Refund": None,
        "Capture": "Nothing is held.",
        "Cancel": "It is paid: give it back instead.",
        "Look up now": "No request waits for an answer.",
    }


def test_what_fits_a_hold(app: Flask, seat: Seat) -> None:
    assert fitting(seat.get(path(a_hold(app))).text) == {
        "Refund": "Nothing was taken, so nothing can be given back.",
        "Capture": None,
        "Cancel": None,
        "Look up now": "No request waits for an answer.",
    }


def test_what_fits_cash_that_waits(app: Flask, seat: Seat) -> None:
    pending = a_pending_payment(app.test_client(), method="CASH", driver_id=201)["payment_id"]
    found = fitting(seat.get(path(pending)).text)
    assert found["Cash received"] is None
    assert found["Cash handed back"] == "No refund waits to be handed back."
    assert found["Cancel"] is None


def test_a_viewer_is_told_who_may(app: Flask) -> None:
    found = fitting(Seat(app, Role.VIEWER).get(path(a_payment(app))).text)
    assert set(found.values()) == {"For operators with the role operator."}


@pytest.mark.parametrize("act", ACTS)
def test_what_does_not_fit_is_not_done(app: Flask, seat: Seat, act: str) -> None:
    """A form that nobody drew, with all that a form has."""
    declined = an_order(payment_token="tok_decline_do_not_honor")
    failed = int(post(app.test_client(), "/v1/payments/charge", **declined).json["payment_id"])
    before = payment_row(app, failed)
    form = seat.form(of(a_payment(app), "10.00")) | {
        "version": str(before["version"]),
        "refund_id": "1",
    }
    answer = seat.send(path(failed, act), **form, why="Detour")
    assert answer.status_code in (303, 404, 409), answer.text
    assert payment_row(app, failed) == before


# Forged


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("act", [*ACTS, "refund/ask"])
def test_who_may_send_what(app: Flask, role: Role, act: str) -> None:
    paid = a_payment(app)
    own = Seat(app, role)
    token = Seat.token(own.get("/admin/me").text)
    form = {"csrf_token": token, "version": "0", "key": "k" * 24, "refund_id": "1"}
    assert own.send(path(paid, act), **(form | {"csrf_token": "none"})).status_code == 400
    answer = own.send(path(paid, act), **form, amount="1.00", why="Detour")
    assert (answer.status_code == 403) is (role is Role.VIEWER), answer.text
    if role is Role.VIEWER:
        assert "operators with the role operator" in answer.text
    assert sums(app, paid)[0] == "SUCCESS"


def test_what_no_page_of_ours_drew_is_refused(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.form(of(paid, "10.00"))
    for wrong in ({"csrf_token": ""}, {"key": ""}, {"key": "short"}, {"key": "k" * 65},
                  {"version": ""}, {"version": "x"}, {"version": "9" * 30}):  # fmt: skip
        answer = seat.send(path(paid, "refund"), **(form | wrong), why="Detour")
        assert answer.status_code == 400, wrong
    assert Seat(app).send(path(paid, "refund"), **form, why="Detour").status_code == 400
    assert refunds(app, paid) == []


def test_what_a_key_said_can_not_be_changed(app: Flask, seat: Seat) -> None:
    paid = a_payment(app)
    form = seat.form(of(paid, "10.00"))
    seat.send(path(paid, "refund"), **form, why="Detour")
    answer = seat.send(path(paid, "refund"), **(form | {"amount": "20.00"}), why="Detour")
    assert answer.status_code == 409
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)


def test_a_payment_that_is_none(seat: Seat) -> None:
    for act in ACTS:
        assert seat.get(path(999999999, act)).status_code == 404
