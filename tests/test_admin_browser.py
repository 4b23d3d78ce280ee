"""The operators' pages in a real browser, which runs no script for them: in by a link, a second
factor, my account, out, and back."""

from __future__ import annotations

from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from payment_service.domain.operators import Role
from tests.browsing import PATIENCE, chromium, complaints, fits, serving
from tests.desk import KEYS, PASSWORD, an_email, invited
from tests.fixtures import MakeApp


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.slow
def test_in_by_a_link_and_out_and_back_shows_nothing(make_app: MakeApp, browser: Browser) -> None:
    app, email = make_app(**KEYS, operator_mfa="required"), an_email()
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 360, "height": 740}, color_scheme="dark"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong = complaints(page)
    with serving(app) as address:
        page.goto(f"{address}{invited(app, Role.ADMIN, email)}")
        assert fits(page)
        page.get_by_label("Your name").fill("Ann Example")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Join").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("Set up a second factor")
        assert page.locator(".qr svg").bounding_box()["width"] > 150  # type: ignore[index]
        assert fits(page)
        secret = page.locator("main code").inner_text().replace(" ", "")
        page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator(".codes li")).to_have_count(10)
        assert fits(page)
        page.get_by_role("link", name="I have them").click()

        expect(page.get_by_role("heading", level=1)).to_have_text("Desk")
        page.get_by_role("link", name="Sessions").click()
        expect(page.get_by_role("table")).to_contain_text(email)
        assert fits(page)
        page.get_by_role("link", name="My account").click()
        expect(page.get_by_role("main")).to_contain_text(email)
        assert fits(page)
        page.get_by_label("Colours").select_option("light")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_have_text("Saved.")
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        assert page.evaluate("document.cookie") == ""

        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        assert email not in page.content()
        expect(page.locator("body")).to_have_css("background-color", "rgb(29, 32, 36)")
        assert fits(page)
    context.close()
    assert wrong == []
