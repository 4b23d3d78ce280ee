"""The page of words and keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from payment_service.admin.help import KEYS as OF_HELP
from payment_service.admin.help import OF_JOB, OF_PAYMENT, OF_REFUND, ROLES
from payment_service.domain.jobs import JobState
from payment_service.domain.operators import Role
from payment_service.domain.vocabulary import PaymentStatus, RefundStatus
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp
from tests.test_admin_pages import sign_of_a_page

SCRIPT = Path(__file__).resolve().parents[1] / "static" / "admin" / "panel.js"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, operator_mfa="optional")


def test_each_status_and_role_is_explained() -> None:
    assert OF_PAYMENT.keys() == {str(status) for status in PaymentStatus}
    assert OF_REFUND.keys() == {str(status) for status in RefundStatus}
    assert OF_JOB.keys() == {str(state) for state in JobState}
    assert list(ROLES) == [str(role) for role in Role]


def test_it_is_reached_from_each_page(pages: Flask) -> None:
    desk = Desk(pages).join()
    assert '<a href="/admin/help" data-help>' in desk.get("/admin/me").text
    answer = desk.get("/admin/help")
    sign_of_a_page(answer)
    for said in (*OF_PAYMENT.values(), *OF_JOB.values(), "<kbd>?</kbd>"):
        assert said in answer.text


def test_the_keys_that_are_listed_are_those_of_the_script() -> None:
    """Tab and Enter are the browser's own."""
    script = SCRIPT.read_text()
    of_keys = re.search(r"const KEYS = \{(.*?)\n  \};", script, re.S)
    of_pages = re.search(r"const PAGES = \{(.*?)\}", script)
    assert of_keys and of_pages
    in_script = {"g", *re.findall(r'^    "?([^\s"])"?: \(\)', of_keys[1], re.M)}
    in_script |= {*re.findall(r"(\w): ", of_pages[1])}
    told = {key for line in OF_HELP for key in re.split(", then |, | or ", line)}
    assert told - {"Tab", "Enter"} == in_script
