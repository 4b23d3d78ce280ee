"""The box on each page that finds, and notes on a payment's page."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import BigInteger

from payment_service.admin import find
from payment_service.domain.notes import LONGEST
from payment_service.domain.operators import Role
from payment_service.services import finding_queries
from payment_service.telemetry import requests
from tests.books import execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_key, a_number
from tests.logged import logged
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_panel_payments import HOSTILE, LIST, created, paid, rows, sleeping

FIND = "/admin/find"
KEY = re.compile(r'name="form_key" value="([^"]+)"')


@pytest.fixture(scope="module")
def pages(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, operator_mfa="optional")


@pytest.fixture(scope="module")
def desk(pages: Flask) -> Desk:
    return Desk(pages).join(Role.OPERATOR)


def look_for(desk: Desk, pasted: str) -> Any:
    answer = desk.get(FIND, query_string={"q": pasted})
    sign_of_a_page(answer)
    return answer


# Find


def test_the_box_is_on_each_page_and_keeps_what_was_asked(desk: Desk) -> None:
    for path in ("/admin/", LIST, f"{LIST}/999999999", "/admin/me", FIND):
        page = desk.get(path).text
        assert re.search(r'<form class="find" role="search" action="/admin/find">', page), path
    asked = "nothing like it <b>"
    assert 'name="q" value="nothing like it &lt;b&gt;"' in look_for(desk, asked).text


def test_one_hit_is_opened(desk: Desk) -> None:
    one = paid(desk.app, order_id=a_number())
    for pasted in (
        one["reference"],
        f"RCP-{one['reference']}",
        f"order:{one['order_id']}",
        f" #order:{one['order_id']}".replace("#", ""),
        f"https://pay.example/v1/payments/{one['payment_id']}?x=1",
    ):
        answer = look_for(desk, pasted)
        assert answer.status_code == 303, pasted
        assert answer.location == f"{LIST}/{one['payment_id']}"


def test_several_are_listed_by_kind_and_lead_to_the_list(desk: Desk) -> None:
    rider = a_number()
    made = [created(desk.app, rider_id=rider)["payment_id"] for _ in range(7)]
    answer = look_for(desk, f"rider:{rider}")
    assert answer.status_code == 200
    assert rows(answer.text) == sorted(made, reverse=True)[:6]
    assert "<h2>Rider</h2>" in answer.text
    assert "100.00" in answer.text
    assert "Pending" in answer.text
    whole = re.search(r'href="([^"]*)">All of rider', answer.text)
    assert whole
    assert sorted(set(rows(desk.get(unescape(whole.group(1))).text))) == sorted(made)


def test_a_number_that_is_several_things_is_listed_as_each(desk: Desk) -> None:
    one = created(desk.app)
    other = created(desk.app, rider_id=one["payment_id"])
    page = look_for(desk, str(one["payment_id"])).text
    assert {one["payment_id"], other["payment_id"]} <= set(rows(page))
    assert page.index("<h2>Payment</h2>") < page.index("<h2>Rider</h2>")


def test_none_says_what_was_tried_and_what_is_nearest(desk: Desk) -> None:
    newest = created(desk.app)["payment_id"]
    page = look_for(desk, "payment:9223372036854775807").text
    assert "It was looked for as payment." in page
    assert "beyond the newest" in page
    assert rows(page)[0] >= newest
    assert "<h2>Nearest</h2>" in page
    assert "How far" not in page
    assert "in the last 7 days" in look_for(desk, "INR 0.07").text


@pytest.mark.parametrize(
    "pasted", ["", "\0", "x" * 5000, "\ud800".encode("utf8", "replace"), HOSTILE]
)
def test_whatever_is_pasted_there_is_a_page(desk: Desk, pasted: Any) -> None:
    answer = desk.get(FIND, query_string={"q": pasted})
    assert answer.status_code == 200
    assert "What can be found" in answer.text
    assert "<img" not in answer.text
    assert no_script_but_ours(answer.text)


def test_a_key_without_a_payment_is_shown(desk: Desk) -> None:
    """And opened, as soon as there is a page that shows keys."""
    key = f"k{a_key()}<b>k"
    adding = (
        "INSERT INTO idempotency_keys (caller, operation, key, fingerprint, created_at,"
        " expires_at) VALUES ('t', 'POST /x', :key, '{}', now(), now())"
    )
    execute(desk.app, adding, key=key)
    answer = look_for(desk, f"key:{key}")
    if find.KEYS in desk.app.view_functions:
        assert answer.status_code == 303
    else:
        assert "No payment yet" in answer.text
        assert key not in answer.text
        assert key.replace("<", "&lt;").replace(">", "&gt;") in answer.text


def test_what_is_looked_for_is_not_in_the_log(desk: Desk) -> None:
    secret = a_key()
    with logged(requests) as lines:
        look_for(desk, secret)
    assert [line["path"] for line in lines] == [FIND]
    assert secret not in repr(lines)


@pytest.mark.parametrize("what", ["what is there", "what is beside it"])
def test_what_takes_too_long_says_narrow_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """And the box finds again afterwards."""
    one = paid(desk.app)
    number = one["payment_id"] if what == "what is there" else 9223372036854775807
    quick = finding_queries.payments
    slow = lambda place, *where: quick(place, *where, sleeping())  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr(finding_queries, "SECONDS", 0.05)
        patched.setattr(finding_queries, "payments", slow)
        beside = finding_queries.beside("payment_id", BigInteger)
        if what == "what is there":
            finding_queries.statement.cache_clear()
        else:
            patched.setattr(finding_queries, "payments", quick)
        patched.setitem(finding_queries.NEAREST, "payment_id", beside)
        answer = look_for(desk, f"payment:{number}")
    finding_queries.statement.cache_clear()
    assert answer.status_code == 200
    assert "Narrow it" in answer.text
    assert "What can be found" in answer.text
    assert f'value="payment:{number}"' in answer.text
    assert look_for(desk, f"payment:{one['payment_id']}").status_code == 303


@pytest.mark.parametrize("role", Role)
def test_every_role_finds(pages: Flask, role: Role) -> None:
    assert Desk(pages).join(role).get(FIND).status_code == 200


def test_who_is_not_logged_in_comes_back_to_it(pages: Flask) -> None:
    answer = Desk(pages).get(f"{FIND}?q=trip%3A4711")
    assert answer.status_code == 303
    assert "trip" in answer.location


# Notes


def key_of(desk: Desk, payment: int) -> str:
    found = KEY.search(desk.get(f"{LIST}/{payment}").text)
    assert found
    return found.group(1)


def write(desk: Desk, payment: int, text: str, key: str | None = None) -> Any:
    page = f"{LIST}/{payment}"
    form_key = key or key_of(desk, payment)
    return desk.post(f"{page}/notes", page=page, text=text, form_key=form_key)


def test_a_note_stands_on_the_payment_s_page(desk: Desk) -> None:
    one = created(desk.app)["payment_id"]
    assert "Nobody has written a note yet." in desk.get(f"{LIST}/{one}").text
    answer = write(desk, one, "The rider called.")
    assert (answer.status_code, answer.location) == (303, f"{LIST}/{one}#notes")
    page = desk.get(f"{LIST}/{one}").text
    assert "The rider called." in page
    assert "Ann Example" in page


def test_a_form_that_comes_twice_writes_once(desk: Desk) -> None:
    one = created(desk.app)["payment_id"]
    key = key_of(desk, one)
    for _ in range(2):
        assert write(desk, one, "Once only.", key).status_code == 303
    assert desk.get(f"{LIST}/{one}").text.count("Once only.") == 1
    assert key_of(desk, one) != key


@pytest.mark.parametrize("text", ["", "x" * (LONGEST + 1), "4111 1111 1111 1111"])
def test_what_is_no_note_says_why_and_keeps_the_text(desk: Desk, text: str) -> None:
    one = created(desk.app)["payment_id"]
    answer = write(desk, one, text)
    assert answer.status_code == 422
    sign_of_a_page(answer)
    assert 'role="alert"' in answer.text
    assert f">{text}</textarea>" in answer.text
    assert "Nobody has written a note yet." in desk.get(f"{LIST}/{one}").text


def test_a_hostile_note_is_text(desk: Desk) -> None:
    one = created(desk.app)["payment_id"]
    write(desk, one, HOSTILE)
    page = desk.get(f"{LIST}/{one}").text
    assert no_script_but_ours(page)
    assert "<img" not in page
    assert "{{7*7}}" in page


def test_viewers_read_notes_and_write_none(pages: Flask, desk: Desk) -> None:
    one = created(desk.app)["payment_id"]
    write(desk, one, "For all to read.")
    viewer = Desk(pages).join()
    page = viewer.get(f"{LIST}/{one}").text
    assert "For all to read." in page
    assert "Add the note" not in page
    assert write(viewer, one, "No.", a_key() * 2).status_code == 403
    assert "No." not in desk.get(f"{LIST}/{one}").text


def test_a_note_needs_its_form_and_its_payment(desk: Desk) -> None:
    one = created(desk.app)["payment_id"]
    path = f"{LIST}/{one}/notes"
    assert desk.send(path, text="x", form_key=a_key() * 2).status_code == 400
    assert write(desk, one, "x", "short").status_code == 400
    assert (
        desk.post(f"{LIST}/999999999/notes", page=LIST, text="x", form_key=a_key() * 2).status_code
        == 404
    )
    assert "Nobody has written a note yet." in desk.get(f"{LIST}/{one}").text
