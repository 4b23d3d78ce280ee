"""Every page of the panel in a real browser, with hostile texts in its rows: wide and narrow, light
and dark, printed, and without scripts. Pages are taken from admin.READING, so a new one is among
them by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from payment_service.admin import LINKS, READING
from payment_service.domain.operators import Role
from payment_service.extensions import db
from tests.books import execute, rows
from tests.browsing import PHONE, chromium, fits, serving
from tests.desk import KEYS
from tests.fixtures import MakeApp, a_number
from tests.panelled import HOSTILE, LAPTOP, Heard, created, looking, lost, paid
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox

pytestmark = pytest.mark.slow

LONG = "x" * 500
NO_SUCH = 999_999_999
REQUESTS, BYTES = 3, 60 * 1024
SERIOUS = ("serious", "critical")
ALL_RULES: dict[str, Any] = {"resultTypes": ["violations"]}
COLOURS = ALL_RULES | {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@dataclass(frozen=True)
class House:
    app: Flask
    address: str
    browser: Browser
    payment_id: int


@pytest.fixture(scope="module")
def house(make_app: MakeApp, database_of_module: str, sandbox: Sandbox) -> Iterator[House]:
    app = make_app(**KEYS, operator_mfa="optional", database_url=database_of_module, **CLOCKLESS)
    payment_id = filled(app, sandbox)
    with chromium() as browser, serving(app) as address:
        yield House(app, address, browser, payment_id)


def filled(app: Flask, sandbox: Sandbox) -> int:
    """Fills the database with what is hard to show; the payment that has most of it."""
    rider = a_number()
    for changes in ({"method": "CASH"}, {"currency": "KWD", "amount": "12345.678"}):
        created(app, rider_id=rider, **changes)
    lost(app, sandbox)
    hostile = paid(
        app,
        rider_id=rider,
        amount="99999.99",
        description=HOSTILE + LONG[:400],
        reference=HOSTILE,
        metadata={"<b>key</b>": HOSTILE, "long": LONG},
    )
    payment_id: int = hostile["payment_id"]
    answer = app.test_client().post(
        f"/v1/payments/{payment_id}/refund",
        json={"amount": "7.31", "reason": HOSTILE + LONG[:400]},
        headers={"Idempotency-Key": "hostile-refund"},
    )
    assert answer.status_code == 200, answer.text
    execute(
        app,
        "UPDATE transactions SET failure_code = :text, failure_message = :text"
        " WHERE payment_id = :id",
        id=payment_id,
        text=HOSTILE[:90],
    )
    return payment_id


def paths(house: House) -> list[str]:
    """The address of each page that a menu or a row leads to; ids are those of rows there are."""
    found = [f"/admin{page.path}" if page.path else "/admin/" for _, page, _ in READING]
    with house.app.test_request_context():
        adapter = house.app.create_url_adapter(None) or house.app.url_map.bind("")
        found += [adapter.build(endpoint) for _, endpoint, _ in LINKS]
    return [
        re.sub(r"<(?:\w+:)?(\w+)>", lambda id_: str(an_id(house, id_[1])), one) for one in found
    ]


def an_id(house: House, name: str) -> int:
    """Of the newest row whose key has this name."""
    if name == "payment_id":
        return house.payment_id
    for table in db.metadata.tables.values():
        if [column.name for column in table.primary_key] == [name]:
            query = f"SELECT coalesce(max({name}), {NO_SUCH}) AS id FROM {table.name}"
            return int(rows(house.app, query)[0]["id"])
    return NO_SUCH


# Boxes of text that lie on each other, and text that is cut off: no pixel is shared by two texts,
# and nothing that hides what overflows has something to hide. What is for screen readers only, and
# what stays in sight while the page moves, is left out.
FAULTS = """() => {
  const faults = [], boxes = [];
  const apart = (element) => element.closest(".hidden, .skip, .find label, dialog, svg, option");
  const sticky = (element) => {
    for (let at = element; at; at = at.parentElement)
      if (["sticky", "fixed"].includes(getComputedStyle(at).position)) return true;
    return false;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility()) continue;
    if (apart(element) || sticky(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const box of range.getClientRects())
      if (box.width > 1 && box.height > 1)
        boxes.push({box, element, said: text.data.trim().slice(0, 40)});
  }
  boxes.sort((one, other) => one.box.top - other.box.top);
  boxes.forEach((one, place) => {
    for (const other of boxes.slice(place + 1)) {
      if (other.box.top > one.box.bottom - 3) break;
      const high = Math.min(one.box.bottom, other.box.bottom) - other.box.top;
      const right = Math.min(one.box.right, other.box.right);
      const wide = right - Math.max(one.box.left, other.box.left);
      if (one.element !== other.element && high > 4 && wide > 2)
        faults.push(`"${one.said}" lies on "${other.said}"`);
    }
  });
  for (const element of document.querySelectorAll("main *, .top *, .foot *")) {
    const style = getComputedStyle(element);
    if (apart(element) || !["hidden", "clip"].includes(style.overflowX)) continue;
    if (element.scrollWidth > element.clientWidth + 1)
      faults.push(`cut: ${element.outerHTML.slice(0, 80)}`);
  }
  return faults;
}"""


@pytest.mark.parametrize(
    ("view", "scheme", "rules"),
    [
        (LAPTOP, "light", ALL_RULES),
        (LAPTOP, "dark", COLOURS),
        (PHONE, "light", COLOURS),
        (PHONE, "dark", ALL_RULES),
    ],
    ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"],
)
def test_every_page_is_whole(
    house: House, view: dict[str, int], scheme: str, rules: dict[str, Any]
) -> None:
    wrong: list[str] = []
    with looking(
        house.browser,
        house.address,
        house.app,
        Role.ADMIN,
        viewport=view,
        color_scheme=scheme,
        user_agent=HOSTILE.encode("ascii", "ignore").decode(),
    ) as page:
        heard = Heard(page)
        for path in paths(house):
            wrong += [f"{path}: {fault}" for fault in faults(page, heard, path, rules)]
    assert wrong == [], "\n".join(wrong)


def faults(page: Page, heard: Heard, path: str, rules: dict[str, Any]) -> list[str]:
    """What is wrong with the page at this path, in words."""
    heard.said.clear()
    heard.asked.clear()
    answer = page.goto(path, wait_until="load")
    assert answer is not None
    found = [] if answer.status == 200 or str(NO_SUCH) in path else [f"answers {answer.status}"]
    sent = [asked for asked in heard.asked if not asked.url.endswith(("/story", "/part"))]
    got = [answer for asked in sent if (answer := asked.response())]
    weight = sum(len(one.body()) for one in got if not 300 <= one.status < 400)
    if len(sent) > REQUESTS or weight > BYTES:
        found.append(f"{len(sent)} requests, {weight} bytes")
    if not fits(page):
        found.append("is wider than the window")
    found += page.evaluate(FAULTS)
    if answer.status == 200:
        found += heard.said
    for violation in Axe().run(page, options=rules).response["violations"]:
        if violation["impact"] in SERIOUS:
            where = [node["target"] for node in violation["nodes"]][:3]
            found.append(f"axe: {violation['id']} at {where}")
    return found


def test_what_lies_on_another_or_is_cut_is_found(house: House) -> None:
    """The look itself can see."""
    with looking(house.browser, house.address, house.app) as page:
        page.goto("/admin/payments")
        page.evaluate(
            "() => { const main = document.querySelector('main');"
            " const one = document.createElement('p'), other = document.createElement('p');"
            " one.textContent = 'first text'; other.textContent = 'second text';"
            " other.style.marginTop = '-30px';"
            " const cut = document.createElement('p'); cut.textContent = 'a very long line';"
            " Object.assign(cut.style, {overflow: 'hidden', whiteSpace: 'nowrap', width: '20px'});"
            " main.append(one, other, cut); }"
        )
        found = page.evaluate(FAULTS)
    assert any("lies on" in fault for fault in found)
    assert any(fault.startswith("cut") for fault in found)


def test_without_scripts_a_payment_is_reached_and_told(house: House) -> None:
    with looking(
        house.browser, house.address, house.app, java_script_enabled=False, viewport=PHONE
    ) as page:
        page.goto("/admin/")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Payments").click()
        page.locator("details.filtering > summary").click()
        page.get_by_label("Status").select_option("PARTIALLY_REFUNDED")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("rowheader").get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Payment {house.payment_id}")
        expect(page.get_by_role("heading", name="Story")).to_be_visible()
        expect(page.get_by_role("main")).to_contain_text("{{7*7}}")
        assert fits(page)


def test_what_is_printed_is_the_payment_alone(house: House) -> None:
    with looking(house.browser, house.address, house.app) as page:
        page.goto(f"/admin/payments/{house.payment_id}")
        page.emulate_media(media="print", color_scheme="light")
        for role in ("banner", "contentinfo", "button", "navigation", "searchbox"):
            assert not any(one.is_visible() for one in page.get_by_role(role).all()), role  # type: ignore[arg-type]
        expect(page.get_by_role("heading", name="Story")).to_be_visible()
        expect(page.locator(".sentence .status")).to_be_visible()
