"""Disputes in the panel: those that want evidence, and one with what it moved."""

from __future__ import annotations

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox
from tests.stripe_calls import KEY
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_disputes import SECRET, contested, hear, look_up, news_of, paid, step

LIST = "/admin/disputes"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Flask:
    return make_app(
        **KEYS,
        **CLOCKLESS,
        database_url=database_of_module,
        operator_mfa="optional",
        stripe_api_key=KEY,
        stripe_api_base=f"{sandbox.url}/stripe",
        stripe_webhook_secret=SECRET,
        provider_routes="CARD=stripe",
    )


@pytest.fixture
def viewer(pages: Flask) -> Desk:
    return Desk(pages).join(Role.VIEWER)


def test_none_is_a_sentence(viewer: Desk) -> None:
    page = viewer.get(LIST)
    sign_of_a_page(page)
    assert "No dispute wants evidence." in page.text
    assert viewer.get(f"{LIST}/999999").status_code == 404


def test_one_that_wants_evidence_is_there_until_it_has_ended(
    viewer: Desk, pages: Flask, sandbox: Sandbox
) -> None:
    payment = paid(pages)
    dispute = contested(sandbox, payment, amount=4000)
    hear(pages, news_of(sandbox, dispute)[0])
    look_up(pages)
    listed = viewer.get(LIST)
    assert f"/admin/payments/{payment['payment_id']}" in listed.text and "40.00" in listed.text
    number = pages.test_client().get("/v1/disputes?limit=1").json["disputes"][0]["dispute_id"]
    one = viewer.get(f"{LIST}/{number}")
    for page in (listed, one):
        sign_of_a_page(page)
        assert no_script_but_ours(page.text)
    assert dispute in one.text and "Withdrawn" in one.text and "15.00" in one.text
    step(sandbox, dispute, "lose")
    look_up(pages)
    assert "No dispute wants evidence." in viewer.get(LIST).text
    for status in ("LOST", "ALL", "nonsense&status=all"):
        shown = viewer.get(f"{LIST}?status={status}").text
        assert (f"{LIST}/{number}" in shown) is (status in ("LOST", "ALL"))


def test_an_inquiry_has_moved_nothing(viewer: Desk, pages: Flask, sandbox: Sandbox) -> None:
    dispute = contested(sandbox, paid(pages), inquiry=True)
    hear(pages, news_of(sandbox, dispute)[0])
    number = pages.test_client().get("/v1/disputes?limit=1").json["disputes"][0]["dispute_id"]
    assert "It has moved no money." in viewer.get(f"{LIST}/{number}").text


def test_the_payment_says_that_it_is_contested(pages: Flask, sandbox: Sandbox) -> None:
    payment, operator = paid(pages), Desk(pages).join(Role.OPERATOR)
    here = f"/admin/payments/{payment['payment_id']}"
    assert "In dispute" not in operator.get(here).text
    dispute = contested(sandbox, payment, amount=4000)
    hear(pages, news_of(sandbox, dispute)[0])
    look_up(pages)
    page = operator.get(here)
    sign_of_a_page(page)
    assert "The payer contests it at the bank, which has taken 40.00 INR of it back." in page.text
    assert "You can refund it" not in page.text
    assert "it can be refunded when that has ended" in page.text
    step(sandbox, dispute, "lose")
    look_up(pages)
    page = operator.get(here)
    assert "40.00 INR were lost, because the bank decided for the payer." in page.text
    assert "Lost by disputes" in page.text and "60.00" in page.text
