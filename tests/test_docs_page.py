"""The page at /docs in a real browser: all operations, one that is tried, and nobody else asked."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PATIENCE = 60_000  # ms; a browser's first page on a busy machine


class Unlogged(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(app: Flask) -> Iterator[str]:
    """The app on a port of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Unlogged)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("CI has to look at the page, and there is no chromium on PATH")
    if found is None:
        pytest.skip("no chromium on PATH to look at the page with")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=QUIET, timeout=PATIENCE)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_it_shows_every_operation_and_asks_nobody_else(
    page: Page, address: str, client: FlaskClient, prefix: str
) -> None:
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(f"{address}{prefix}/docs")
    document = client.get("/openapi.json").json
    count = sum(len(path.keys() - {"parameters"}) for path in document["paths"].values())
    expect(page.locator(".opblock")).to_have_count(count, timeout=PATIENCE)
    expect(page.locator("hgroup.main")).to_contain_text("Payment service")
    assert page.title() == "Payment service API"
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}
    assert all(urlsplit(url).path.startswith(f"{prefix}/") for url in asked)
    assert wrong == []


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
