"""Half of a payment given back in a real browser: by keyboard alone, and with a double click."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.books import a_charged_payment, payment_row, rows
from tests.browsing import PATIENCE, PHONE, chromium, complaints, fits, heading, serving
from tests.fixtures import MakeApp
from tests.operators import KEYS, an_operator, begun
from tests.patience import CLOCKLESS
from tests.test_panel_acts import ABOVE


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, **CLOCKLESS, four_eyes_above=ABOVE)


def logged_in(app: Flask, browser: Browser, address: str, **look: object) -> Page:
    context = browser.new_context(**look)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    token = begun(an_operator(app)).token
    context.add_cookies([{"name": "payments_dev", "value": token, "url": address}])
    return context.new_page()


@pytest.mark.slow
def test_half_is_given_back_by_keyboard_and_with_a_double_click(
    app: Flask, browser: Browser
) -> None:
    paid = int(a_charged_payment(app.test_client())["payment_id"])
    with serving(app) as address:
        page = logged_in(app, browser, address)
        wrong = complaints(page)
        page.goto(f"{address}/admin/payments/{paid}")
        page.get_by_role("link", name="Refund", exact=True).focus()
        page.keyboard.press("Enter")
        heading(page, f"Refund of payment {paid}")
        expect(page.get_by_role("link", name="Back")).to_be_focused()
        page.get_by_label("A part", exact=True).focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        expect(page.get_by_label("Amount of the part, in INR")).to_be_focused()
        page.keyboard.type("50.00")
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_contain_text("fifty Indian rupees")
        expect(page.get_by_role("link", name="Back")).to_be_focused()
        page.keyboard.press("Tab")
        button = page.get_by_role("button", name="Refund 50.00")
        expect(button).to_be_focused()
        button.dblclick(no_wait_after=True)
        heading(page, f"Payment {paid}")
        page.goto(f"{address}/admin/payments/{paid}")
        expect(page.get_by_role("main")).to_contain_text("Given back")
        assert fits(page)
        page.context.close()
    assert wrong == []
    found = payment_row(app, paid)
    assert found["refunded"] + found["refund_pending"] == 5000
    assert len(rows(app, "SELECT 1 FROM refunds WHERE payment_id = :id", id=paid)) == 1


@pytest.mark.slow
def test_the_back_button_draws_the_same_form_without_scripts_on_a_phone(
    app: Flask, browser: Browser
) -> None:
    paid = int(a_charged_payment(app.test_client())["payment_id"])
    with serving(app) as address:
        page = logged_in(app, browser, address, java_script_enabled=False, viewport=PHONE)
        page.goto(f"{address}/admin/payments/{paid}/refund")
        page.get_by_label("A part", exact=True).check()
        page.get_by_label("Amount of the part, in INR").fill("20.00")
        page.get_by_role("button", name="Go on").click()
        assert fits(page)
        page.get_by_role("button", name="Refund 20.00").click()
        heading(page, f"Payment {paid}")
        assert fits(page)
        page.go_back()
        heading(page, f"Refund of payment {paid}")
        expect(page.get_by_label("What changed")).to_contain_text("A part was given back")
        page.get_by_role("button", name="Refund 20.00").click()
        heading(page, f"Payment {paid}")
        expect(page.get_by_role("main")).to_contain_text("nothing was done twice")
        page.context.close()
    assert payment_row(app, paid)["refunded"] == 2000
