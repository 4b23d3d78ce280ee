"""A payer's way through every provider's page to the end, in a real browser on a phone's screen, at
a `make run` for which nobody set anything but Swish's port."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browsing import chromium, complaints, fits, heading, on_a_phone
from tests.fixtures import a_key, an_order
from tests.patience import PATIENCE as SECONDS
from tests.sandbox_calls import eventually
from tests.sandbox_server import reserved_port
from tests.whole_service import Addresses, whole_service

pytestmark = pytest.mark.slow

YES, NO = 0, 1


@dataclass(frozen=True)
class Way:
    """A provider of payers. `asked` leads a charge to it, `buttons` are its yes and its no;
    `paid` is how often the payment was paid at the provider, by the provider's own books."""

    asked: dict[str, str]
    buttons: tuple[str, str]
    paid: Callable[[Addresses, dict[str, Any]], int]


def books(at: Addresses, path: str, noun: str, **query: str) -> list[dict[str, Any]]:
    key = {"Authorization": "Bearer sk_test_sandbox"}  # only Stripe asks for one
    answer = requests.get(f"{at.sandbox}{path}", params=query, headers=key, timeout=SECONDS)
    found: list[dict[str, Any]] = answer.json()[noun]
    return found


def at_stripe(at: Addresses, payment: dict[str, Any]) -> int:
    intents = books(at, "/stripe/v1/payment_intents", "data", limit="100")
    ours = [one for one in intents if one["metadata"]["reference"] == reference_of(payment)]
    return sum(one["amount_received"] > 0 for one in ours)


def at_fiuu(at: Addresses, payment: dict[str, Any]) -> int:
    tries = books(at, "/fiuu/RMS/transactions", "transactions")
    ours = [one for one in tries if one["order"] == reference_of(payment)]
    back = books(at, "/fiuu/RMS/refunds", "refunds")
    given = {one["TxnID"] for one in back if one["Amount"] == payment["amount"]}
    return sum(one["name"] == "captured" and one["id"] not in given for one in ours)


def at_zaincash(at: Addresses, payment: dict[str, Any]) -> int:
    rows = books(at, "/zaincash/books", "transactions")
    ours = [one for one in rows if one["reference"] == reference_of(payment)]
    return sum(one["status"] == "SUCCESS" for one in ours)


def at_fib(at: Addresses, payment: dict[str, Any]) -> int:
    rows = books(at, "/fib/books", "payments")
    ours = [one for one in rows if one["reference"] == reference_of(payment)]
    return sum(one["status"] == "PAID" for one in ours)


def at_swish(at: Addresses, payment: dict[str, Any]) -> int:
    rows = books(at, "/swish/payments", "payments")
    ours = [one for one in rows if one["id"] == payment["transaction_id"]]
    return sum(one["status"] == "PAID" for one in ours)


WAYS = {
    "stripe": Way(
        {
            "amount": "104.86",
            "currency": "SEK",
            "method": "CARD",
            "payment_token": "pm_card_authenticationRequired",
        },
        ("Approve", "Decline"),
        at_stripe,
    ),
    "fiuu": Way(
        {"amount": "20.00", "currency": "MYR", "method": "CARD"}, ("Pay", "Decline"), at_fiuu
    ),
    "zaincash": Way(
        {"amount": "25000", "currency": "IQD", "method": "WALLET"},
        ("Pay", "Do not pay"),
        at_zaincash,
    ),
    "fib": Way(
        {"amount": "25000", "currency": "IQD", "method": "CARD"}, ("Pay", "Do not pay"), at_fib
    ),
    "swish": Way(
        {"amount": "104.86", "currency": "SEK", "method": "SWISH"}, ("Pay", "Decline"), at_swish
    ),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@contextlib.contextmanager
def all_providers(folder: Path, **env: str) -> Iterator[Addresses]:
    """A `make run` with all of them."""
    with reserved_port() as swish:
        port = str(swish.getsockname()[1])
        with whole_service(folder, SANDBOX_SWISH_PORT=port, SEED_DEMO="0", **env) as addresses:
            yield addresses


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    with all_providers(tmp_path_factory.mktemp("run")) as addresses:
        yield addresses


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def page(browser: Browser, scripts: bool) -> Iterator[Page]:
    with on_a_phone(browser, scripts=scripts) as opened:
        yield opened


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """Without scripts."""
    with on_a_phone(browser, scripts=False) as opened:
        yield opened


def charged(at: Addresses, name: str) -> dict[str, Any]:
    """A charge that waits for its payer, who is led back to the sandbox's first page."""
    body = an_order(return_url=f"{at.sandbox}/?cart=7") | WAYS[name].asked
    answer = requests.post(
        f"{at.service}/v1/payments/charge",
        json=body,
        headers={"Idempotency-Key": a_key()},
        timeout=SECONDS,
    )
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, found["status"]) == (202, "REQUIRES_ACTION"), answer.text
    assert found["provider"] == name
    return found


def reference_of(payment: dict[str, Any]) -> str:
    return str(payment["transactions"][0]["reference"])


def status_of(at: Addresses, payment: dict[str, Any]) -> str:
    url = f"{at.service}/v1/payments/{payment['payment_id']}"
    return str(requests.get(url, timeout=SECONDS).json()["status"])


def link_of(at: Addresses, payment: dict[str, Any]) -> str:
    """Ours, also where the caller is told the app's."""
    url = str(payment["next_action"]["url"])
    if payment["provider"] == "swish":
        url = parse_qs(urlsplit(url).query)["callbackurl"][0]
    if payment["provider"] == "fib":
        rows = books(at, "/fib/books", "payments")
        [url] = [one["redirectUri"] for one in rows if one["reference"] == reference_of(payment)]
    return url.removesuffix("/return")


def to_the_provider(
    at: Addresses, page: Page, payment: dict[str, Any], *, scripts: bool = False
) -> None:
    """By our link to where the payer decides; for an app that is another screen of the phone, which
    the link or the picture opens."""
    page.goto(link_of(at, payment), wait_until="commit")
    if payment["provider"] == "swish":
        heading(page, "Go on in your app")
        assert fits(page)
        expect(page.get_by_role("img")).to_be_visible()
        expect(page.get_by_role("link", name="I have paid")).to_be_visible()
        link = page.get_by_role("link", name="Open the app").get_attribute("href")
        assert link == payment["next_action"]["url"]
        page.goto(f"{at.sandbox}/swish/phones/{payment['next_action']['token']}")
    elif payment["provider"] == "fib":
        heading(page, "Go on in your app")
        expect(page.get_by_role("img")).to_be_visible()
        page.get_by_role("link", name="Open the app").click()
    elif payment["provider"] == "fiuu" and not scripts:
        page.get_by_role("button", name="Go on").click()
    expect(the(page, payment, YES)).to_be_visible()
    assert fits(page)


def the(page: Page, payment: dict[str, Any], word: int) -> Any:
    """The provider's button."""
    name = WAYS[payment["provider"]].buttons[word]
    return page.get_by_role("button", name=name, exact=True)


def decide(
    at: Addresses, page: Page, payment: dict[str, Any], word: int, *, scripts: bool = False
) -> None:
    """Say it, and be led back; from Swish's app by the address in its link."""
    the(page, payment, word).click()
    if payment["provider"] == "swish":
        expect(the(page, payment, word)).not_to_be_visible()
        page.goto(f"{link_of(at, payment)}/return")
    elif payment["provider"] == "fiuu" and not scripts:
        page.get_by_role("button", name="Back to the shop").click()


def is_led_on(page: Page, at: Addresses, payment: dict[str, Any], status: str) -> None:
    """By itself, a few seconds after the page said how it went."""
    page.wait_for_url(f"{at.sandbox}/?cart=7&payment_id={payment['payment_id']}&status={status}")
    expect(page.get_by_text(f"payment {payment['payment_id']}, {status}")).to_be_visible()


@pytest.mark.parametrize("name", WAYS)
def test_yes(at: Addresses, page: Page, scripts: bool, name: str) -> None:
    payment, wrong = charged(at, name), complaints(page)
    to_the_provider(at, page, payment, scripts=scripts)
    decide(at, page, payment, YES, scripts=scripts)
    heading(page, "Paid")
    assert fits(page)
    is_led_on(page, at, payment, "SUCCESS")
    assert status_of(at, payment) == "SUCCESS"
    assert WAYS[name].paid(at, payment) == 1
    assert wrong == []


@pytest.mark.parametrize("name", WAYS)
def test_no(at: Addresses, plain: Page, name: str) -> None:
    payment = charged(at, name)
    to_the_provider(at, plain, payment)
    decide(at, plain, payment, NO)
    heading(plain, "Not paid")
    is_led_on(plain, at, payment, "FAILED")
    assert status_of(at, payment) == "FAILED"
    assert WAYS[name].paid(at, payment) == 0


@pytest.mark.parametrize("name", WAYS)
def test_who_came_back_without_a_word_may_still_pay(at: Addresses, plain: Page, name: str) -> None:
    """The provider's page is kept, whatever was looked up or told by a webhook since."""
    payment = charged(at, name)
    to_the_provider(at, plain, payment)
    plain.goto(f"{link_of(at, payment)}/return")
    heading(plain, "One moment")
    eventually(lambda: looked_up(at, payment))
    to_the_provider(at, plain, payment)
    decide(at, plain, payment, YES)
    heading(plain, "Paid")
    assert WAYS[name].paid(at, payment) == 1


def time_line(at: Addresses, payment: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    url = f"{at.service}/v1/payments/{payment['payment_id']}/events"
    found = requests.get(url, timeout=SECONDS).json()["events"]
    return [one for one in found if one["kind"] == kind]


def is_taken_in(webhook: dict[str, Any]) -> bool:
    return str(webhook["what"]).endswith((": APPLIED", ": NO_NEWS"))


def looked_up(at: Addresses, payment: dict[str, Any]) -> bool:
    [asked] = time_line(at, payment, "transaction")
    return bool(asked["details"].get("lookups"))


def test_a_webhook_that_tells_the_page_leads_there_too(at: Addresses, plain: Page) -> None:
    """Stripe says at once, by an event, where the payer has to go; no look-up says it again."""
    payment, faults = charged(at, "stripe"), f"{at.sandbox}/sandbox/faults"
    silent = {"operation": "lookup", "fault": "lookup_unavailable", "times": 0}
    silent |= {"match": {"intent": payment["transaction_id"]}}
    armed = requests.post(faults, json=silent, timeout=SECONDS).json()
    eventually(lambda: [one for one in time_line(at, payment, "webhook") if is_taken_in(one)])
    to_the_provider(at, plain, payment)
    requests.delete(f"{faults}/{armed['id']}", timeout=SECONDS)


@pytest.mark.parametrize("name", WAYS)
def test_two_tabs_a_reload_and_the_way_back_pay_once(
    at: Addresses, page: Page, scripts: bool, name: str
) -> None:
    """At Fiuu a page can be paid twice: one of them is given back."""
    payment, other = charged(at, name), page.context.new_page()
    for tab in (page, other):
        to_the_provider(at, tab, payment, scripts=scripts)
    page.reload()
    decide(at, page, payment, YES, scripts=scripts)
    heading(page, "Paid")
    page.reload()
    heading(page, "Paid")
    if name == "fiuu":
        decide(at, other, payment, YES, scripts=scripts)
    else:
        the(other, payment, YES).click()
        expect(other.get_by_role("status")).to_have_text("There is nothing left to decide.")
        other.goto(link_of(at, payment))
    heading(other, "Paid")
    page.go_back(wait_until="commit")
    page.goto(link_of(at, payment))
    heading(page, "Paid")
    if name == "fiuu":
        eventually(lambda: is_given_back(at, payment))
    assert WAYS[name].paid(at, payment) == 1
    assert status_of(at, payment) == "SUCCESS"


def is_given_back(at: Addresses, payment: dict[str, Any]) -> bool:
    """Whether a refund of what came in beside was asked for."""
    tries = books(at, "/fiuu/RMS/transactions", "transactions")
    ours = [one["id"] for one in tries if one["order"] == reference_of(payment)]
    assert len(ours) == 2
    refunds = [one["TxnID"] for one in books(at, "/fiuu/RMS/refunds", "refunds")]
    return sum(one in refunds for one in ours) == 1


def test_who_never_says_a_word_is_told_that_nothing_was_paid(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For none of them longer than ACTION_TTL."""
    with all_providers(tmp_path_factory.mktemp("run"), ACTION_TTL="3") as at:
        payments = [charged(at, name) for name in WAYS]
        for payment in payments:
            eventually(lambda one=payment: status_of(at, one) == "EXPIRED")  # type: ignore[misc]
        with on_a_phone(browser, scripts=False) as page:
            for payment in payments:
                page.goto(link_of(at, payment))
                heading(page, "Not paid")
                assert WAYS[payment["provider"]].paid(at, payment) == 0
