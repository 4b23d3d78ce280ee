"""What operators do with payments, walked in a real browser from page to page: in, find, two of
them over one refund, many rows at once, a file, a view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from payment_service.config import ByCurrency
from payment_service.domain.operators import Role
from payment_service.services import bulk, job_items, lapsing
from tests.books import a_charged_payment, a_trip, execute, payment_row, rows
from tests.browsing import PATIENCE, chromium, complaints, fits, heading, serving
from tests.desk import KEYS, PASSWORD, Desk
from tests.fixtures import MakeApp, a_key, a_number
from tests.operators import Person, an_operator, begun
from tests.panelled import LAPTOP, lost, paid
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox
from tests.test_panel_events import park

pytestmark = pytest.mark.slow

ABOVE = ByCurrency(Decimal(0), {"INR": Decimal("50.00")})
EXPECTED = re.compile(r"status of (403|409|429)")
"""What a browser says of a wrong password and of a refund that has lapsed."""
DARK: dict[str, Any] = {"color_scheme": "dark"}


@dataclass(frozen=True)
class House:
    app: Flask
    address: str
    browser: Browser

    @contextmanager
    def window(self, person: Person | None = None, **look: Any) -> Iterator[Page]:
        """A browser of this operator, or of somebody who is not in. It has nothing to complain of
        and its last page fits the screen."""
        context = self.browser.new_context(
            base_url=self.address, locale="en-GB", **{"viewport": LAPTOP} | look
        )
        context.set_default_timeout(PATIENCE)
        if person:
            cookie = {"name": "payments_dev", "value": begun(person).token, "url": self.address}
            context.add_cookies([cookie])  # type: ignore[list-item]
        page = context.new_page()
        wrong = complaints(page)
        yield page
        assert fits(page)
        context.close()
        assert [said for said in wrong if not EXPECTED.search(said)] == []


@pytest.fixture(scope="module")
def house(make_app: MakeApp, database_of_module: str) -> Iterator[House]:
    app = make_app(
        **KEYS,
        **CLOCKLESS,
        operator_mfa="optional",
        database_url=database_of_module,
        four_eyes_above=ABOVE,
        order_service_url="http://127.0.0.1:9/",
    )
    with chromium() as browser, serving(app) as address:
        yield House(app, address, browser)


@pytest.fixture(scope="module")
def operator(house: House) -> Person:
    return an_operator(house.app)


def a_payment(house: House, **changes: Any) -> int:
    """Of 100.00 INR, charged."""
    return int(a_charged_payment(house.app.test_client(), **changes)["payment_id"])


def sums(house: House, payment_id: int) -> tuple[str, int, int]:
    found = payment_row(house.app, payment_id)
    return found["status"], found["refunded"], found["refund_pending"]


def main(page: Page) -> Any:
    return expect(page.get_by_role("main"))


def refund(page: Page, payment_id: int, amount: str) -> None:
    """As far as the last page before it is done."""
    page.goto(f"/admin/payments/{payment_id}/refund")
    page.get_by_label("A part", exact=True).check()
    page.get_by_label("Amount of the part").fill(amount)
    page.get_by_role("button", name="Go on").click()
    heading(page, f"Refund of payment {payment_id}")


# In, and find


def test_five_wrong_passwords_and_even_the_right_one_waits(house: House) -> None:
    desk = Desk(house.app).join()
    with house.window(**DARK) as page:
        page.goto("/admin/payments")
        heading(page, "Log in")
        for _ in range(5):
            page.get_by_label("E-mail").fill(desk.email)
            page.get_by_label("Password").fill("wrong, and long enough")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("Too many tries")
        page.get_by_label("E-mail").fill(desk.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("Too many tries")


def test_each_kind_of_id_is_found_from_the_box(
    house: House, operator: Person, sandbox: Sandbox
) -> None:
    numbers = {name: a_number() for name in ("order", "rider", "driver", "user")}
    numbers["trip"] = a_trip(sandbox)  # its fare is 104.86 INR
    of_all = {f"{name}_id": number for name, number in numbers.items()}
    one = paid(house.app, amount="104.86", **of_all)
    where = f"{house.address}/admin/payments/{one['payment_id']}"
    (known,) = rows(
        house.app,
        "SELECT k.key, e.request_id, t.provider_reference FROM transactions t"
        " JOIN idempotency_keys k USING (payment_id)"
        " JOIN events e USING (payment_id) WHERE payment_id = :id"
        " ORDER BY e.seq LIMIT 1",
        id=one["payment_id"],
    )
    pasted = [
        *(f"{name}:{number}" for name, number in numbers.items() if name != "user"),
        *(str(one["payment_id"]), one["reference"], f"{one['reference']}-1"),
        *(f"RCP-{one['reference']}", f"  {one['reference'].lower()} "),
        *(known["provider_reference"], known["request_id"], f"#{one['payment_id']}"),
        f"https://pay.example/v1/payments/{one['payment_id']}?from=mail",
    ]
    with house.window(operator) as page:
        for text in pasted:
            page.goto("/admin/help")
            page.keyboard.press("/")
            expect(page.get_by_role("searchbox")).to_be_focused()
            page.keyboard.type(text)
            with page.expect_navigation():
                page.keyboard.press("Enter")
            if text == str(one["payment_id"]) and "/find?" in page.url:  # others', too
                main_part = page.get_by_role("main")
                main_part.get_by_role("link", name=text, exact=True).first.click()
            expect(page).to_have_url(where)
        page.goto("/admin/help")
        page.get_by_role("searchbox").fill("PAY-nothing-like-it")
        page.keyboard.press("Enter")
        main(page).to_contain_text("Nothing was found for")


# One refund, and two of everything


def test_two_tabs_of_one_payment_give_back_once(house: House, operator: Person) -> None:
    paid_one = a_payment(house)
    with house.window(operator) as first:
        second = first.context.new_page()
        for tab in (first, second):
            refund(tab, paid_one, "20.00")
        first.get_by_role("button", name="Refund 20.00").click()
        heading(first, f"Payment {paid_one}")
        second.get_by_role("button", name="Refund 20.00").click()
        # Drawn of a version that is gone: it tells, and asks again.
        heading(second, f"Refund of payment {paid_one}")
        changed = second.get_by_label("What changed")
        expect(changed).to_contain_text("A part was given back")
        assert sums(house, paid_one) == ("PARTIALLY_REFUNDED", 2000, 0)
        assert fits(second)


def test_above_the_limit_another_one_approves(house: House, operator: Person) -> None:
    paid_one = a_payment(house)
    with house.window(operator) as page, house.window(an_operator(house.app, Role.APPROVER)) as own:
        refund(page, paid_one, "60.00")
        main(page).to_contain_text("another operator decides")
        page.get_by_label("In your words").fill("By the river")
        page.get_by_role("button", name="Ask for approval").click()
        main(page).to_contain_text("another operator must decide")
        assert sums(house, paid_one) == ("SUCCESS", 0, 6000)

        # Who asked can't decide.
        decided = page.url
        expect(page.get_by_role("button", name="Withdraw the request")).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)

        own.goto("/admin/")
        own.get_by_role("link", name="Approvals").first.click()
        own.get_by_role("row").filter(has_text=str(paid_one)).get_by_role("link").first.click()
        main(own).to_contain_text("sixty Indian rupees")
        main(own).to_contain_text("By the river")
        expect(own.get_by_role("link", name="Back")).to_be_focused()
        own.keyboard.press("Tab")
        expect(own.get_by_role("button", name="Approve 60.00")).to_be_focused()
        own.keyboard.press("Enter")
        heading(own, f"Payment {paid_one}")
        main(own).to_contain_text("Approved. 60.00 INR went back")
        page.goto(decided)
        main(page).to_contain_text("It was decided by")
        assert sums(house, paid_one) == ("PARTIALLY_REFUNDED", 6000, 0)


def test_an_approver_who_asks_is_not_asked_to_decide(house: House) -> None:
    paid_one = a_payment(house)
    with house.window(an_operator(house.app, Role.APPROVER)) as page:
        refund(page, paid_one, "60.00")
        page.get_by_role("button", name="Ask for approval").click()
        main(page).to_contain_text("another operator must decide")
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        page.get_by_role("button", name="Withdraw the request").click()
        assert sums(house, paid_one) == ("SUCCESS", 0, 0)


def test_to_split_it_does_not_help(house: House, operator: Person) -> None:
    paid_one = a_payment(house)
    with house.window(operator) as page:
        refund(page, paid_one, "30.00")
        page.get_by_role("button", name="Refund 30.00").click()
        heading(page, f"Payment {paid_one}")
        refund(page, paid_one, "30.00")
        expect(page.get_by_role("button", name="Ask for approval")).to_be_visible()
        expect(page.get_by_role("button", name="Refund 30.00")).to_have_count(0)
    assert sums(house, paid_one) == ("PARTIALLY_REFUNDED", 3000, 0)


def test_what_nobody_decides_lapses(house: House, operator: Person) -> None:
    paid_one = a_payment(house)
    with house.window(operator) as page, house.window(an_operator(house.app, Role.APPROVER)) as own:
        refund(page, paid_one, "60.00")
        page.get_by_role("button", name="Ask for approval").click()
        main(page).to_contain_text("another operator must decide")
        own.goto("/admin/approvals")
        own.get_by_role("row").filter(has_text=str(paid_one)).get_by_role("link").first.click()
        approve = own.get_by_role("button", name="Approve 60.00")
        expect(approve).to_be_visible()
        execute(
            house.app,
            "UPDATE refund_requests SET asked_at = asked_at - interval '8 days',"
            " expires_at = expires_at - interval '8 days' WHERE payment_id = :id",
            id=paid_one,
        )
        with house.app.app_context():
            lapsing.run_once()
        approve.click()
        main(own).to_contain_text("it lapsed by itself")
        expect(own.get_by_role("button", name="Approve")).to_have_count(0)
    assert sums(house, paid_one) == ("SUCCESS", 0, 0)


# Many at once


def worked(house: House) -> None:
    with house.app.app_context():
        while job_items.run_once(bulk.DOES)["more"]:
            pass


def test_parked_events_are_resent_by_a_job(house: House, operator: Person) -> None:
    error = f"HTTP 500 {a_key()}"
    first, other = park(house.app, error), park(house.app, error)
    with house.window(operator) as page:
        page.goto("/admin/events")
        group = page.get_by_role("article").filter(has_text=error)
        group.get_by_role("link", name="Resend them one by one").click()
        main(page).to_contain_text("It will be done with 2")
        page.get_by_role("button", name="Send events again: 2").click()
        main(page).to_contain_text("0 of 2")

        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        worked(house)
        page.reload()
        main(page).to_contain_text("0 of 2")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        worked(house)
        page.get_by_role("link", name="Refresh").click()
        main(page).to_contain_text("2 of 2")
        for one in (first, other):
            line = page.get_by_role("row").filter(has_text=f"order/{one}/")
            expect(line).to_contain_text("It is due now.")


def test_what_is_ticked_is_looked_up_and_one_fails(
    house: House, operator: Person, sandbox: Sandbox
) -> None:
    rider = a_number()
    settled = a_payment(house, rider_id=rider)
    well, silent = (lost(house.app, sandbox, rider_id=rider) for _ in range(2))
    reference = silent["transactions"][0]["reference"]
    arm(sandbox, "lookup", "lookup_unavailable", times=100, match={"reference": reference})
    with house.window(operator) as page:
        page.goto(f"/admin/payments?rider_id={rider}")
        for one in (well["payment_id"], silent["payment_id"], settled):
            page.get_by_label(f"Tick payment {one}").check()
        page.get_by_role("button", name="Look up what is ticked").click()
        main(page).to_contain_text("It will be done with 2")
        main(page).to_contain_text("Left out: 1")
        page.get_by_role("button", name="Look up payments: 2").click()
        worked(house)
        page.get_by_role("link", name="Refresh").click()
        main(page).to_contain_text("1 of 2")
        main(page).to_contain_text("The payment is SUCCESS now.")
        main(page).to_contain_text("no certain answer yet")


def test_a_list_becomes_a_file_and_a_view(house: House, operator: Person, tmp_path: Path) -> None:
    rider, name = a_number(), f"Rider of today {a_key()[:8]}"
    mine = a_payment(house, rider_id=rider)
    with house.window(operator) as page:
        page.goto(f"/admin/payments?rider_id={rider}")
        with page.expect_download() as got:
            page.get_by_role("link", name="Export as CSV").click()
        got.value.save_as(tmp_path / "payments.csv")
        header, line = (tmp_path / "payments.csv").read_text("utf-8").splitlines()
        assert "payment_id" in header
        assert str(mine) in line

        page.get_by_text("Save these filters as a view").click()
        page.get_by_label("Name of the view").fill(name)
        page.get_by_role("button", name="Save", exact=True).click()
        page.goto("/admin/payments")
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("link", name=str(mine), exact=True)).to_be_visible()
        page.get_by_text("Change my views").click()
        page.get_by_role("button", name=f"Delete: {name}").click()
        expect(page.get_by_role("link", name=name)).to_have_count(0)
