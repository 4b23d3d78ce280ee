"""Customers in the panel: found, with nothing of it in an address; read; erased by an admin."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from payment_service.domain.customers import ChangeCustomer, Customer
from payment_service.domain.operators import Role
from payment_service.services import customers
from tests.books import execute, row
from tests.desk import KEYS, Desk, a_while_ago
from tests.fixtures import MakeApp, a_number
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_panel_payments import HOSTILE

LIST = "/admin/customers"
WHO = {"name": "Canary Nameson", "phone": "+46701740605"}


@pytest.fixture(scope="module")
def pages(make_app: MakeApp, database_of_module: str) -> Flask:
    key = "a lookup key of tests, which has more than 32 bytes"
    return make_app(
        **KEYS, database_url=database_of_module, lookup_hmac_key=key, operator_mfa="optional"
    )


@pytest.fixture
def operator(pages: Flask) -> Desk:
    return Desk(pages).join(Role.OPERATOR)


@pytest.fixture
def admin(pages: Flask) -> Desk:
    return Desk(pages).join(Role.ADMIN)


def made(app: Flask, **who: Any) -> Customer:
    with app.app_context():
        return customers.change(user_id=a_number(), command=ChangeCustomer(WHO | who))


def at(customer: Customer) -> str:
    return f"{LIST}/{customer.customer_id}"


def found_by(desk: Desk, who: str) -> str:
    """Where the form leads."""
    answer = desk.post(f"{LIST}/find", LIST, who=who)
    assert answer.status_code == 303, answer.text
    return str(answer.location)


def test_one_is_read_and_a_list_has_nothing_personal(operator: Desk) -> None:
    customer = made(operator.app, name=HOSTILE, email="canary@mail.example")
    listed, page = operator.get(LIST), operator.get(at(customer))
    for answer in (listed, page):
        sign_of_a_page(answer)
        assert no_script_but_ours(answer.text)
    assert str(customer.user_id) in listed.text
    assert "canary" not in listed.text
    assert "canary@mail.example" in page.text and WHO["phone"] in page.text
    assert "This is for admins." in page.text


def test_it_is_found_and_the_address_says_nothing(operator: Desk) -> None:
    email = f"canary{a_number()}@mail.example"
    one = made(operator.app, email=email.upper())
    for who in (str(one.user_id), email, f" {email} "):
        assert found_by(operator, who) == at(one)
    other = made(operator.app, email=email)
    both = found_by(operator, email)
    assert both == f"{LIST}?found={other.customer_id}.{one.customer_id}"
    page = operator.get(both).text
    assert str(one.user_id) in page and str(other.user_id) in page


@pytest.mark.parametrize("who", ["nobody@mail.example", "+4670 174 0600", "999999999999999"])
def test_nobody_is_found(operator: Desk, who: str) -> None:
    assert "Nobody is found by that." in operator.get(found_by(operator, who)).text


@pytest.mark.parametrize("who", ["", "Canary", "070 174 06 05", "half@", "\x00"])
def test_what_is_no_whole_address_or_number_is_told(operator: Desk, who: str) -> None:
    assert "Enter a rider&#39;s number" in operator.get(found_by(operator, who)).text


def test_a_viewer_sees_no_customers(pages: Flask) -> None:
    customer, viewer = made(pages), Desk(pages).join(Role.VIEWER)
    for path in (LIST, at(customer), f"{at(customer)}/erase"):
        assert viewer.get(path).status_code == 403
    assert viewer.post(f"{LIST}/find", "/admin/me", who="1").status_code == 403
    assert LIST not in viewer.get("/admin/").text


def test_an_admin_erases_after_asking_once_more(admin: Desk) -> None:
    customer = made(admin.app)
    asks = admin.get(f"{at(customer)}/erase")
    assert "can&#39;t be undone" in asks.text or "can't be undone" in asks.text
    answer = admin.post(f"{at(customer)}/erase", LIST)
    assert (answer.status_code, answer.location) == (303, LIST)
    assert admin.get(at(customer)).status_code == 404
    assert admin.get(f"{at(customer)}/erase").status_code == 404
    assert "erased" in admin.get(LIST).text
    act = "SELECT * FROM audit_log WHERE act = 'customer_erased' AND object = :object"
    done = row(admin.app, act, object=f"customer:{customer.customer_id}")
    assert done["actor"].startswith("operator:") and done["session_id"] is not None


def test_a_browser_that_was_left_open_erases_nobody(admin: Desk) -> None:
    customer = made(admin.app)
    a_while_ago(admin)
    answer = admin.post(f"{at(customer)}/erase", LIST)
    assert answer.location == f"/admin/step-up?next=/admin/customers/{customer.customer_id}/erase"
    assert admin.get(at(customer)).status_code == 200


def test_an_operator_erases_nobody(operator: Desk) -> None:
    customer = made(operator.app)
    assert operator.post(f"{at(customer)}/erase", LIST).status_code == 403
    assert operator.get(at(customer)).status_code == 200


def test_older_ones_are_behind_a_link_and_none_is_a_sentence(operator: Desk) -> None:
    for _ in range(51):
        made(operator.app)
    page = operator.get(LIST).text
    assert page.count('scope="row"') == 50
    assert "Older" in page and "Newer" not in page
    last = row(operator.app, "SELECT min(customer_id) AS n FROM customers")["n"]
    page = operator.get(f"{LIST}?older={last}").text
    assert "There are no customers yet." in page or "Newer" in page
    execute(operator.app, "DELETE FROM customers")
    assert "There are no customers yet." in operator.get(LIST).text
