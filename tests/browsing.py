"""A real browser, and an app on a port of its own for it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.listening import listening

QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PATIENCE = 60_000  # ms; a browser's first page on a busy machine
PHONE: Any = {"width": 360, "height": 740}


class Unlogged(WSGIRequestHandler):
    def log(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(app: Flask, host: str = "127.0.0.1") -> Iterator[str]:
    """The address of the app."""
    server = make_server(host, 0, app, threaded=True, request_handler=Unlogged)
    with listening(server):
        yield f"http://{host}:{server.server_port}"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is none; in CI it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("CI has to look at the page, and there is no chromium on PATH")
    if found is None:
        pytest.skip("no chromium on PATH to look at the page with")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=QUIET, timeout=PATIENCE)
        yield started
        started.close()


def complaints(page: Page) -> list[str]:
    """What the browser has to say against the page from here on: errors of scripts, and what the
    content security policy forbade."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    return said


@contextlib.contextmanager
def on_a_phone(browser: Browser, *, scripts: bool) -> Iterator[Page]:
    """A page on a phone's screen, in the dark where scripts are on, so that both are seen."""
    context = browser.new_context(
        java_script_enabled=scripts,
        viewport=PHONE,
        color_scheme="dark" if scripts else "light",
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def heading(page: Page, text: str) -> None:
    """Waits until the page says so."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text, timeout=PATIENCE)


def fits(page: Page) -> bool:
    """Whether nothing of the page lies beside the window; tables scroll by themselves."""
    page.wait_for_load_state()  # with its style
    wide: bool = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    return wide
