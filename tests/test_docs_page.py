"""The page at /docs in a real browser: all operations, one that is tried, and nobody else asked."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect

from tests.browsing import PATIENCE, chromium, complaints, serving


@pytest.fixture(scope="module")
def address(app: Flask) -> Iterator[str]:
    with serving(app) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_it_shows_every_operation_and_asks_nobody_else(
    page: Page, address: str, client: FlaskClient, prefix: str
) -> None:
    asked: list[str] = []
    wrong = complaints(page)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}{prefix}/docs")
    document = client.get("/openapi.json").json
    count = sum(len(path.keys() - {"parameters"}) for path in document["paths"].values())
    expect(page.locator(".opblock")).to_have_count(count, timeout=PATIENCE)
    expect(page.locator("hgroup.main")).to_contain_text("Payment service")
    assert page.title() == "Payment service API"
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}
    assert all(urlsplit(url).path.startswith(f"{prefix}/") for url in asked)
    assert wrong == []


@pytest.mark.slow
def test_an_operation_can_be_tried(page: Page, address: str) -> None:
    page.goto(f"{address}/docs")
    operation = page.locator(".opblock", has=page.get_by_text("/v1/payments/providers", exact=True))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table .response-col_status").last
    expect(live).to_contain_text("200", timeout=PATIENCE)


def test_the_page_itself_names_no_other_place(client: FlaskClient) -> None:
    text = client.get("/docs").text
    assert "http" not in text
    assert "//" not in text
