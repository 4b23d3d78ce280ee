"""An open payment's page tells what becomes of it without being loaded again, and keys: in a real
browser, whose clock stands still until a test lets it run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.browsing import PHONE, chromium, serving
from tests.clocks import look_up
from tests.desk import KEYS
from tests.fixtures import MakeApp, a_number
from tests.panelled import (
    Heard,
    asked_at,
    created,
    looking,
    lost,
    paid,
    stop_time,
    until_asked,
    until_it_says,
)
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, eventually
from tests.sandbox_server import Sandbox

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class House:
    app: Flask
    address: str
    browser: Browser


@pytest.fixture(scope="module")
def house(make_app: MakeApp, database_of_module: str) -> Iterator[House]:
    app = make_app(**KEYS, operator_mfa="optional", database_url=database_of_module, **CLOCKLESS)
    with chromium() as browser, serving(app) as address:
        yield House(app, address, browser)


@pytest.fixture
def page(house: House) -> Iterator[Page]:
    with looking(house.browser, house.address, house.app) as opened:
        yield opened


def hide(page: Page, hidden: bool) -> None:
    """The tab goes to the back, or comes to the front."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden',"
        " {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def never_asks(page: Page) -> bool:
    """Whether ten minutes pass without a question."""
    before = len(asked_at(page))
    page.clock.run_for(600_000)
    return len(asked_at(page)) == before


def test_a_lost_answer_goes_from_processing_to_success_on_its_page(
    house: House, page: Page, sandbox: Sandbox
) -> None:
    one = lost(house.app, sandbox)
    heard = Heard(page)
    answers: list[int] = []
    page.on("response", lambda got: got.url.endswith("/story") and answers.append(got.status))
    stop_time(page)
    page.goto(f"/admin/payments/{one['payment_id']}")
    page.evaluate("window.loaded = 1")
    status, here = page.locator(".sentence .status"), page.locator("[data-here]")
    expect(status).to_have_text("Processing")
    until_asked(page, 3)
    assert set(answers) == {304}

    # A look-up alone moves no status, and is told.
    reference = one["transactions"][0]["reference"]
    arm(sandbox, "lookup", "lookup_not_found", match={"reference": reference})
    look_up(house.app, one["payment_id"])
    until_asked(page, 2)
    expect(here).to_contain_text("Looked up once")
    expect(status).to_have_text("Processing")
    expect(page.locator("[data-said]")).to_have_text("")

    # Nothing moves under the pointer; that there is something new is told all the same.
    line = page.locator("[data-here] .lines li").last
    line.hover()
    details = line.locator("details")
    where = line.bounding_box()
    look_up(house.app, one["payment_id"])
    until_it_says(page, "It is success now.")
    expect(page.get_by_role("button", name="Show what is new")).to_be_visible()
    expect(status).to_have_text("Processing")
    assert line.bounding_box() == where
    details.locator("summary").click()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(500)
    expect(status).to_have_text("Success")
    expect(page.get_by_role("button", name="Show what is new")).to_be_hidden()
    expect(page.locator("[data-here] details[open]")).to_have_count(1)
    expect(page.locator("dl[data-fresh]")).to_contain_text("RCP-")
    assert page.evaluate("window.loaded") == 1

    # And that was all; nothing of it was somebody at work.
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    assert never_asks(page)
    by_script = [request for request in heard.asked if request.resource_type == "fetch"]
    assert any(not request.url.endswith("/story") for request in by_script)
    assert all("x-by-itself" in request.headers for request in by_script)
    assert heard.said == []


def test_a_list_says_that_there_are_newer_rows(house: House, page: Page) -> None:
    rider = a_number()
    first = created(house.app, rider_id=rider)["payment_id"]
    heard = Heard(page)
    page.clock.install(time=1_000_000_000)
    page.clock.pause_at(1_000_000_001)
    page.goto(f"/admin/payments?rider_id={rider}")
    page.evaluate("window.loaded = 1")
    link = page.locator("[data-newer]")
    expect(link).to_have_text("Refresh")
    asked = len(heard.asked)
    hide(page, True)
    page.clock.run_for(600_000)
    assert len(heard.asked) == asked
    hide(page, False)
    second = created(house.app, rider_id=rider)["payment_id"]
    where = page.locator("table.list").bounding_box()

    def says() -> bool:
        page.clock.run_for(15_000)
        return link.inner_text() == "1 newer: show"

    eventually(says)
    assert page.locator("table.list").bounding_box() == where
    assert page.evaluate("window.loaded") == 1
    by_script = [request for request in heard.asked if request.resource_type == "fetch"]
    assert by_script and all("x-by-itself" in request.headers for request in by_script)
    link.click()
    expect(page.locator("table.list tbody th a")).to_have_text([str(second), str(first)])
    assert heard.said == []


def test_pause_and_tabs_that_nobody_looks_at(house: House, page: Page) -> None:
    one = created(house.app)
    stop_time(page)
    page.goto(f"/admin/payments/{one['payment_id']}")
    until_asked(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("Paused.")
    assert never_asks(page)
    page.get_by_role("button", name="Go on").click()
    until_asked(page)
    hide(page, True)
    assert never_asks(page)
    hide(page, False)
    until_asked(page)


def test_it_asks_every_two_seconds_for_a_minute_and_then_every_ten(
    house: House, page: Page
) -> None:
    one = created(house.app)
    stop_time(page)
    page.goto(f"/admin/payments/{one['payment_id']}")
    begun = page.evaluate("Date.now()")
    until_asked(page, 3)
    page.clock.run_for(60_000)
    until_asked(page, 3)
    at = asked_at(page)
    gaps = [(after, after - before) for before, after in itertools.pairwise(at)]
    assert all(gap >= 2000 for _, gap in gaps)
    assert at[0] - begun >= 2000
    # A timer that was set within the minute is a short one.
    assert all(gap >= 10_000 for after, gap in gaps if after - gap - begun > 60_000)
    assert len([gap for after, gap in gaps if after - gap - begun > 60_000]) >= 2


def test_who_was_logged_out_is_told(house: House, page: Page) -> None:
    one = created(house.app)
    stop_time(page)
    page.goto(f"/admin/payments/{one['payment_id']}")
    page.context.clear_cookies()
    until_it_says(page, "You are logged out. Refresh the page.")
    assert never_asks(page)


def test_the_next_step_is_counted_down(house: House, page: Page, sandbox: Sandbox) -> None:
    one = lost(house.app, sandbox)
    stop_time(page)
    page.goto(f"/admin/payments/{one['payment_id']}")
    hide(page, True)
    coming = page.locator(".coming .soft")
    left = int(page.locator(".coming").get_attribute("data-in") or "")
    page.clock.run_for(1000)
    page.evaluate("document.querySelector('.coming').dataset.in = 100")
    page.clock.run_for(10_000)
    expect(coming).to_have_text("in 1 min 30 s")
    page.clock.run_for(3_600_000)
    expect(coming).to_have_text("now")
    assert 0 < left <= 600


@pytest.mark.parametrize("view", [{}, {"viewport": PHONE}], ids=["laptop", "phone"])
def test_without_scripts_there_is_a_link(
    house: House, sandbox: Sandbox, view: dict[str, object]
) -> None:
    one = lost(house.app, sandbox)
    with looking(
        house.browser, house.address, house.app, java_script_enabled=False, **view
    ) as page:
        page.goto(f"/admin/payments/{one['payment_id']}")
        expect(page.locator(".sentence .status")).to_have_text("Processing")
        for script_only in ("Pause", "Copy", "Show what is new", "Close"):
            expect(page.get_by_role("button", name=script_only)).to_have_count(0)
        look_up(house.app, one["payment_id"])
        page.get_by_role("link", name="Refresh").click()
        expect(page.locator(".sentence .status")).to_have_text("Success")


def test_keys(house: House, page: Page) -> None:
    first, second = (paid(house.app)["payment_id"] for _ in range(2))
    heard = Heard(page)
    page.goto("/admin/")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/admin/payments")
    focused = page.locator(":focus")
    for key, there in (("j", second), ("j", first), ("k", second), ("j", first)):
        page.keyboard.press(key)
        expect(focused).to_have_text(str(there))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/admin/payments/{first}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/admin/payments")
    page.keyboard.press("f")
    expect(focused).to_have_attribute("id", "status")

    # Dead in fields, and where this browser was told so.
    page.get_by_label("At least").focus()
    for key in "gd?":
        page.keyboard.press(key)
    expect(page.get_by_label("At least")).to_have_value("gd?")
    page.goto("/admin/me")
    page.get_by_label("Single keys in this browser").uncheck()
    page.goto("/admin/payments")
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("table a:focus")).to_have_count(0)
    page.goto("/admin/me")
    page.get_by_label("Single keys in this browser").check()
    page.goto("/admin/payments")
    page.keyboard.press("j")
    expect(focused).to_have_text(str(second))
    assert heard.said == []
