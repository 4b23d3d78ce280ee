"""Pictures of the operators' pages for docs/panel.md: python -m tests.screenshots

It needs a `make run`, with `make demo` beside it for some minutes, on the same SERVICE_PORT and
VAR_DIR. Its operator, screenshots@localhost, comes in by a link as everybody does.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, Page

from tests.browsing import PHONE, chromium
from tests.sandbox_server import ROOT
from tests.small_png import small

FOLDER = ROOT / "docs" / "panel"
MOST_BYTES = 150_000
WHO = "screenshots@localhost"
LAPTOP: Any = {"width": 1366, "height": 900}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": LAPTOP, "color_scheme": "light"},
    "dark": {"viewport": LAPTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2},
}


def pages(page: Page, service: str) -> dict[str, str]:
    """Each picture's name, and the page on it."""
    story = newest(service, "status=PARTIALLY_REFUNDED")
    taken = newest(service, "status=SUCCESS&method=UPI")  # in INR, so one may refund it alone
    return {
        "desk": "/admin/",
        "payments": "/admin/payments",
        "payment": f"/admin/payments/{story['payment_id']}",
        "found": "/admin/find?q=32",
        "refund": f"/admin/payments/{taken['payment_id']}/refund?how=all",
        "refunds": "/admin/refunds",
        "approvals": "/admin/approvals",
        "approval": a_request(page, service),
        "events": "/admin/events",
        "webhooks": "/admin/webhooks",
        "keys": "/admin/keys?key=trip-32-charge",
        "audit": "/admin/audit",
        "health": "/admin/health",
        "catalog": "/admin/catalog",
        "operators": "/admin/operators",
        "sessions": "/admin/sessions",
        "me": "/admin/me",
        "jobs": "/admin/jobs",
        "bulk": "/admin/bulk?kind=RESOLVE&all=1&status=PROCESSING",
        "help": "/admin/help",
    }


def a_request(page: Page, service: str) -> str:
    """The page of a refund that waits for another operator; one is asked for if none does."""
    page.goto(f"{service}/admin/approvals")
    if not (first := page.locator("tbody th a")).count():
        # `make run` names a limit for INR only, so any other currency needs a second operator.
        page.goto(f"{service}/admin/payments?status=SUCCESS&currency=AED")
        page.goto(f"{service}{page.locator('tbody th a').first.get_attribute('href')}/refund")
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Ask for approval").click()
        page.goto(f"{service}/admin/approvals")
    return str(first.first.get_attribute("href"))


def newest(service: str, query: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"} if os.environ.get("TOKEN") else {}
    address = f"{service}/v1/payments?limit=1&{query}"
    try:
        rows = requests.get(address, headers=headers, timeout=10).json()["payments"]
    except requests.ConnectionError:
        raise SystemExit(f"screenshots: {service} does not answer: start `make run`") from None
    if not rows:
        raise SystemExit(f"screenshots: no payment with {query} yet: let `make demo` run a while")
    found: dict[str, Any] = rows[0]
    return found


def link() -> str:
    """For an admin who is made by the first one; later, to a new password."""
    flask = [sys.executable, "-m", "scripts.run", "--with-database", "--", "flask", "operators"]
    subprocess.run(
        [*flask, "add", WHO, "--role", "admin"], cwd=ROOT, capture_output=True, check=False
    )
    made = subprocess.run(
        [*flask, "invite", WHO], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return made.stdout.split()[-1]


@contextmanager
def logged_in(browser: Browser, service: str) -> Iterator[Any]:
    """The cookies of somebody who came in by a link."""
    context = browser.new_context(viewport=LAPTOP)
    page = context.new_page()
    page.goto(service + "/" + link().split("/", 3)[3])
    if (name := page.get_by_label("Your name")).count():
        name.fill("The first admin")
    page.get_by_label("Password").fill(f"{secrets.token_hex(8)} brown kettles")
    page.locator("main form button").click()
    yield context.storage_state()
    context.close()


def take(page: Page, blank: Page, service: str, path: str, name: str) -> None:
    answer = page.goto(service + path)
    if answer is None or answer.status == 404:
        print(f"screenshots: {path} is not there, {name} is left out")
        return
    file = FOLDER / f"{name}.png"
    size = file.write_bytes(small(blank, page.screenshot(animations="disabled")))
    print(f"screenshots: {file.relative_to(ROOT)}, {size // 1000} KB")
    if size > MOST_BYTES:
        raise SystemExit(f"screenshots: {file.name} has more than {MOST_BYTES // 1000} KB")


def main() -> None:
    service = f"http://127.0.0.1:{os.environ.get('SERVICE_PORT') or 8082}"
    FOLDER.mkdir(exist_ok=True)
    with chromium() as browser, logged_in(browser, service) as cookies:
        context = browser.new_context(storage_state=cookies)
        wanted = pages(context.new_page(), service)
        context.close()
        for look, options in LOOKS.items():
            context = browser.new_context(storage_state=cookies, **options)
            page, blank = context.new_page(), context.new_page()
            for name, path in wanted.items():
                take(page, blank, service, path, f"{name}-{look}")
            context.close()


if __name__ == "__main__":
    main()
