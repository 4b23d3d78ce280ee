"""Single sign-on in a real browser, which keeps and sends cookies as browsers do: panel on
localhost, issuer on 127.0.0.1, because two ports of one host are one site."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import PATIENCE, chromium, complaints, serving
from tests.fixtures import MakeApp, a_key
from tests.lying_issuer import lying_issuer
from tests.oidc_provider import Issuer, running_issuer
from tests.test_sso import LIES, single_sign_on


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with running_issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text, timeout=PATIENCE)


@pytest.mark.slow
def test_in_and_out_and_the_role_taken_away(make_app: MakeApp, issuer: Issuer, page: Page) -> None:
    person, app = a_key(), make_app(**single_sign_on(issuer.url))
    issuer.people(**{person: ["payments-operator"]})
    wrong = complaints(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with serving(app, "localhost") as panel:
        page.goto(f"{panel}/admin/me")
        heading(page, "Log in")
        page.get_by_role("link", name="Log in with single sign-on").click()
        assert page.url.startswith(issuer.url)
        page.get_by_label("Who are you?").fill(person)
        page.get_by_role("button", name="Log in").click()
        heading(page, "My account")
        expect(page.get_by_role("main")).to_contain_text("operator")

        [back] = [url for url in asked if "/admin/sso/callback" in url]
        page.goto(back)  # a code and a state are for once
        heading(page, "Single sign-on did not work")
        page.goto(f"{panel}/admin/")
        heading(page, "Desk")

        page.get_by_role("button", name="Log out").click()
        heading(page, "Log in")
        page.goto(f"{panel}/admin/")
        heading(page, "Log in")
        issuer.people()
        page.get_by_role("link", name="Log in with single sign-on").click()
        heading(page, "Single sign-on did not work")
        expect(page.get_by_role("main")).to_contain_text("None of your roles")
        page.goto(f"{panel}/admin/")
        heading(page, "Log in")
    assert [line for line in wrong if "403" not in line] == []


@pytest.mark.slow
def test_what_another_browser_began_lets_nobody_in(
    make_app: MakeApp, issuer: Issuer, browser: Browser, page: Page
) -> None:
    """Whoever sends somebody a link by which he himself would come in."""
    person = a_key()
    issuer.people(**{person: ["payments-admin"]})
    with serving(make_app(**single_sign_on(issuer.url)), "localhost") as panel:
        page.route("**/admin/sso/callback*", lambda route: route.abort())
        page.goto(f"{panel}/admin/sso")
        page.get_by_label("Who are you?").fill(person)
        with page.expect_request("**/admin/sso/callback*") as came:
            page.get_by_role("button", name="Log in").click()
        context = browser.new_context(java_script_enabled=False)
        other = context.new_page()
        other.goto(came.value.url)
        heading(other, "Single sign-on did not work")
        other.goto(f"{panel}/admin/")
        heading(other, "Log in")
        context.close()


@pytest.mark.slow
def test_a_lie_lets_no_browser_in(make_app: MakeApp, page: Page) -> None:
    """The certified one tells none, so another does. Without its lies it is believed."""
    with lying_issuer() as issuer:
        app = make_app(**single_sign_on(issuer.url))
        with serving(app, "localhost") as panel:
            for lie in ("another nonce", "another audience", "another issuer", "another key"):
                issuer.honest()
                issuer.subject = a_key()
                for name, value in LIES[lie][0].items():
                    setattr(issuer, name, value)
                page.goto(f"{panel}/admin/sso")
                heading(page, "Single sign-on did not work")
                expect(page.get_by_role("main")).to_contain_text("not to be trusted")
                page.goto(f"{panel}/admin/me")
                heading(page, "Log in")
            issuer.honest()
            issuer.subject = a_key()
            page.goto(f"{panel}/admin/sso")
            heading(page, "Desk")
