"""The operators' pages in a real browser: who looks, what is heard of the page, and its time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flask import Flask
from playwright.sync_api import Browser, Page, Request

from payment_service.domain.operators import Role
from tests.browsing import PATIENCE
from tests.desk import Desk
from tests.fixtures import a_key, an_order
from tests.sandbox_calls import arm, eventually
from tests.sandbox_server import Sandbox

LAPTOP: Any = {"width": 1366, "height": 768}
HOSTILE = '<script>alert(1)</script> "><img src=x onerror=alert(2)> \u202eright\u202c {{7*7}} =cmd|'


@contextlib.contextmanager
def looking(
    browser: Browser, address: str, app: Flask, role: Role = Role.OPERATOR, **more: Any
) -> Iterator[Page]:
    """A page of somebody who is logged in with this role."""
    context = browser.new_context(
        base_url=address, locale="en-GB", **{"viewport": LAPTOP, "color_scheme": "light"} | more
    )
    context.set_default_timeout(PATIENCE)
    cookie = Desk(app).join(role).cookie()
    context.add_cookies([{"name": "payments_dev", "value": cookie, "url": address}])
    yield context.new_page()
    context.close()


class Heard:
    """All that the browser says, and all that it asks for, from here on."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.asked: list[Request] = []
        self._unchanged: list[Request] = []
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("console", lambda line: self.said.append(line.text))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("requestfailed", self._refused)
        page.on(
            "response",
            lambda got: self._unchanged.append(got.request) if got.status == 304 else None,
        )
        page.on("request", self._ask)

    def _refused(self, failed: Request) -> None:
        if failed not in self._unchanged:  # of a 304, Chromium says that it was aborted
            self.said.append(f"refused: {failed.url}")

    def _ask(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request)


def stop_time(page: Page) -> None:
    """Timers of the page run only by `until_asked` and page.clock from now on. It is said before
    the page is opened."""
    page.clock.install(time=1_000_000_000)
    page.clock.pause_at(1_000_000_001)
    page.add_init_script(
        "const theirs = window.fetch; window.asked = [];"
        "window.fetch = (...what) => {"
        " if (String(what[0]).endsWith('/story')) asked.push(Date.now());"
        " return theirs(...what); }"
    )


def asked_at(page: Page) -> list[int]:
    """When the page asked for its story again, in ms of its own clock."""
    found: list[int] = page.evaluate("asked")
    return found


def until_asked(page: Page, times: int = 1) -> None:
    """Lets time pass until the page has asked again so often."""
    wanted = len(asked_at(page)) + times

    def enough() -> bool:
        page.clock.run_for(500)
        return len(asked_at(page)) >= wanted

    eventually(enough)


def until_it_says(page: Page, text: str) -> None:
    """Lets time pass until the live region says so."""

    def says() -> bool:
        page.clock.run_for(500)
        return page.locator("[data-said]").inner_text() == text

    eventually(says)


def created(app: Flask, **changes: Any) -> Any:
    """A payment for which no provider was asked, as the API tells it."""
    answer = app.test_client().post("/v1/payments", json=an_order(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json


def paid(app: Flask, **changes: Any) -> Any:
    """A payment that the sandbox was asked for, as the API tells it."""
    answer = app.test_client().post(
        "/v1/payments/charge", json=an_order(**changes), headers={"Idempotency-Key": a_key()}
    )
    assert answer.status_code in (201, 202, 402), answer.text
    return answer.json


def lost(app: Flask, sandbox: Sandbox, **changes: Any) -> Any:
    """A payment that the sandbox took, and whose answer was lost on the way."""
    token = a_key()
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    found = paid(app, payment_token=token, **changes)
    assert found["status"] == "PROCESSING"
    return found
