"""The payer's way in a real browser: on a phone's screen, with scripts and without."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from payment_service.providers import registry
from payment_service.services import worker
from payment_service.services.moves import resolution
from tests.browsing import chromium, complaints, fits, heading, on_a_phone, serving
from tests.fixtures import MakeApp
from tests.patience import CLOCKLESS
from tests.patience import PATIENCE as SECONDS
from tests.sandbox_server import Sandbox
from tests.test_pay_pages import Paged, charged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox) -> Iterator[Flask]:
    """A service that its own browser reaches, with a worker that looks up what is due. The shop to
    which payers are led back is the sandbox's first page."""
    with pytest.MonkeyPatch.context() as patch:
        builders = registry.BUILDERS
        patch.setitem(builders, "paged", lambda settings, limits: Paged(sandbox, limits))
        app = make_app(return_origins=sandbox.url, **CLOCKLESS)
        stopping = threading.Event()
        beats = [
            worker.Beat(name, partial(resolution.run_once, name), 0.2)
            for name in ("sandbox", "paged")
        ]
        with serving(app) as address:
            settings = app.extensions["settings"]
            app.extensions["settings"] = dataclasses.replace(settings, public_url=address)
            thread = threading.Thread(target=worker.run, args=(app, stopping, tuple(beats)))
            thread.start()
            yield app
            stopping.set()
            thread.join()


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    with on_a_phone(browser, scripts=request.param) as opened:
        yield opened


def begun(house: Flask, sandbox: Sandbox, **changes: Any) -> Any:
    """A charge whose payer must act, and is led back to the shop."""
    answer = charged(house.test_client(), return_url=f"{sandbox.url}/?cart=7", **changes)
    assert answer.status_code == 202
    return answer


def charges_of(sandbox: Sandbox, answer: Any) -> list[dict[str, Any]]:
    """What the provider has of the payment."""
    listed = requests.get(f"{sandbox.url}/psp/charges", timeout=SECONDS).json()["charges"]
    return [one for one in listed if one["reference"].startswith(answer.json["reference"])]


def test_to_the_page_and_back_to_the_shop(house: Flask, sandbox: Sandbox, page: Page) -> None:
    answer = begun(house, sandbox)
    link, wrong = answer.json["next_action"]["url"], complaints(page)
    page.goto(link)
    page.get_by_role("button", name="Approve").click()
    heading(page, "Paid")
    assert fits(page)
    page.wait_for_url(
        f"{sandbox.url}/?cart=7&payment_id={answer.json['payment_id']}&status=SUCCESS"
    )

    page.goto(link)  # once more, as from the history
    heading(page, "Paid")
    assert fits(page)
    page.reload()
    heading(page, "Paid")
    [charge] = charges_of(sandbox, answer)
    assert (charge["state"], charge["captured_minor"]) == ("captured", 10_000)
    assert wrong == []


def test_a_no_is_told_and_leads_back_too(house: Flask, sandbox: Sandbox, page: Page) -> None:
    answer = begun(house, sandbox)
    page.goto(answer.json["next_action"]["url"])
    page.get_by_role("button", name="Decline").click()
    heading(page, "Not paid")
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(f"{sandbox.url}/?cart=7&payment_id={answer.json['payment_id']}&status=FAILED")


def test_two_tabs_and_the_way_back_pay_once(house: Flask, sandbox: Sandbox, page: Page) -> None:
    answer = begun(house, sandbox)
    link, other = answer.json["next_action"]["url"], page.context.new_page()
    for tab in (page, other):
        tab.goto(link)
        expect(tab.get_by_role("button", name="Approve")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    heading(page, "Paid")
    other.get_by_role("button", name="Approve").click()  # the provider refuses it
    other.goto(link)
    heading(other, "Paid")
    page.go_back()
    page.goto(link)
    heading(page, "Paid")
    [charge] = charges_of(sandbox, answer)
    assert charge["captured_minor"] == 10_000


def test_who_comes_back_undecided_waits_and_is_told(
    house: Flask, sandbox: Sandbox, page: Page
) -> None:
    """The page asks by itself, without a script."""
    answer = begun(house, sandbox)
    page.goto(f"{answer.json['next_action']['url']}/return")
    heading(page, "One moment")
    assert fits(page)
    reference = answer.json["transactions"][0]["reference"]
    decided = {"outcome": "approve"}
    requests.post(f"{sandbox.url}/sandbox/actions/{reference}", json=decided, timeout=SECONDS)
    heading(page, "Paid")


def test_a_form_sends_itself_or_has_a_button(
    house: Flask, sandbox: Sandbox, page: Page, request: pytest.FixtureRequest
) -> None:
    """To a page that leads straight back to ours."""
    provider: Paged = house.extensions["providers"].get("paged")
    url = f"{sandbox.url}/sandbox/actions/REFERENCE"
    provider.gives = {"type": "redirect", "url": url, "form": {"outcome": "approve"}}
    answer, wrong = begun(house, sandbox, provider="paged"), complaints(page)
    page.goto(answer.json["next_action"]["url"], wait_until="commit")
    if "no scripts" in request.node.name:
        heading(page, "To the payment page")
        assert fits(page)
        page.get_by_role("button", name="Go on").click()
    heading(page, "Paid")
    assert wrong == []
