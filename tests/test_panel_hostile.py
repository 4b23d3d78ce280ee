"""Texts of others that try to be more than text, in each field, on each page and in each file."""

from __future__ import annotations

import csv
import itertools
import json
from io import StringIO

import pytest

from tests.fixtures import MakeApp
from tests.hostile import TEXTS, Read
from tests.hostile_house import (
    ASKED,
    AUDIT,
    DESK,
    EVENTS,
    FIELDS,
    FILES,
    ME,
    OFFER,
    OPERATOR,
    OPERATORS,
    PAGES,
    PAYMENT,
    House,
    a_house,
    in_field,
)
from tests.sandbox_server import Sandbox

CONFIRM = "/admin/payments/{waits}/refund?how=all"
GIVE = {"why": "Detour", "more": "", "amount": "1.00"}
INVITED = {"email": "new@example.com", "name": "New", "role": "viewer"}


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> House:
    return a_house(make_app, sandbox, database_of_module)


@pytest.fixture(scope="module", params=TEXTS)
def text(request: pytest.FixtureRequest, house: House) -> str:
    """In each field, until the next one is."""
    planted = TEXTS[request.param]
    house.plant(planted)
    return planted


def test_in_each_field_it_is_text_on_each_page(house: House, text: str) -> None:
    read = {page: house.read(page) for page in PAGES}
    assert {page: found.wrong for page, found in read.items() if found.wrong} == {}
    places = {(name, page) for name, (_, pages) in FIELDS.items() for page in pages}
    missing = [
        (name, page)
        for name, page in sorted(places)
        if page not in FILES and not read[page].has(in_field(text, name))
    ]
    assert missing == []


def test_a_chart_s_titles_are_text(house: House, text: str) -> None:
    titles = [title.lower() for title in house.read(DESK).titles]
    assert any(in_field(text, "chart").lower() in title for title in titles)


def test_no_cell_of_a_file_is_run(house: House, text: str) -> None:
    there = set()
    for file in FILES:
        answer = house.seat.get(file)
        assert answer.status_code == 200
        cells = [cell for line in csv.reader(StringIO(answer.text)) for cell in line]
        assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
        for name in FIELDS:
            planted = in_field(text, name)
            forms = (planted, json.dumps(planted, ensure_ascii=False), json.dumps(planted))
            if any(form in cell for form in forms for cell in cells):
                there.add((name, file))
    places = {(name, page) for name, (_, pages) in FIELDS.items() for page in pages}
    assert there == {(name, page) for name, page in places if page in FILES}


def test_no_page_is_left_out(house: House) -> None:
    """What is neither read here nor asked for with hostile filters."""
    match = house.app.url_map.bind("localhost").match
    paths = [page.format(**house.numbers).partition("?")[0] for page in (*PAGES, *FILES, *QUERIES)]
    seen = {match(path)[0] for path in paths if path != "/admin/nothing"}
    pages = {
        rule.endpoint
        for rule in house.app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and rule.methods and "GET" in rule.methods
    }
    assert pages - seen == {"admin.invite", "admin.sso_start", "admin_payment.receipt"}


# What is asked and sent


# Names of filters, and of what else stands in an address.
QUERIES = {
    "/admin/payments": "status method provider currency within created_from created_to amount_from"
    " amount_to reason rider_id stuck refunded older",
    "/admin/refunds": "status older",
    "/admin/approvals": "after",
    "/admin/webhooks": "status provider payment_id older",
    "/admin/audit": "act actor object from to days older",
    "/admin/keys": "key",
    "/admin/find": "q",
    "/admin/customers": "found older",
    "/admin/disputes": "status cursor",
    "/admin/bulk": "kind key",
    "/admin/catalog/{offer}": "is_active position",
    "/admin/login": "next",
    "/admin/step-up": "next",
    "/admin/sso/callback": "code state error",
    "/admin/payments/{payment}/refund": "how amount key version",
    "/admin/payments/newer": "than status",
    "/admin/refunds/newer": "than",
    "/admin/webhooks/newer": "than",
    "/admin/approvals/newer": "after",
    "/admin/audit/newer": "than act actor object",
    "/admin/payments.csv": "status provider",
}


@pytest.mark.parametrize("asked", TEXTS.values(), ids=TEXTS)
def test_what_is_asked_for_comes_back_as_text(house: House, asked: str) -> None:
    wrong = []
    for path, names in QUERIES.items():
        for name in names.split():
            answer = house.seat.get(path.format(**house.numbers), query_string={name: asked})
            assert answer.status_code < 500, (path, name)
            assert "=cmd" not in answer.headers.get("Content-Disposition", "")
            if answer.mimetype == "text/html" and answer.status_code not in (302, 303):
                wrong += [(path, name, said) for said in Read(answer.text).wrong]
    assert wrong == []


# The form's path, the page that it is on, the fields that a text goes into one after the other,
# and what else it needs besides what is hidden in the page.
SENT: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("/admin/payments/{payment}/notes", PAYMENT, "text form_key", {}),
    ("/admin/views", "/admin/payments?status=FAILED", "name status", {}),
    ("/admin/payments/{waits}/refund", CONFIRM, "amount why more key version", GIVE),
    ("/admin/payments/{waits}/refund/ask", CONFIRM, "amount key version why more", GIVE),
    ("/admin/payments/{other}/cancel", "/admin/payments/{waits}/look-up", "key version", {}),
    ("/admin/approvals/{asked}/approve", ASKED, "shown key", {}),
    ("/admin/approvals/{asked}/decline", ASKED, "shown decision", {}),
    ("/admin/events/skip", EVENTS, "sink error_hash until reason", {}),
    ("/admin/operators/invite", OPERATORS, "email name role", INVITED),
    ("/admin/operators/{other}/role", OPERATOR, "role", {}),
    ("/admin/catalog/{offer}/edit", OFFER + "?is_active=no&position=1", "position is_active", {}),
    ("/admin/bulk/ask", ME, "key kind asked_key reason", {"kind": "RESOLVE", "key": "1"}),
    ("/admin/audit/explain/{alarm}", AUDIT, "why", {}),
    ("/admin/me/preferences", ME, "timezone theme numbers", {}),
    ("/admin/customers/find", "/admin/customers", "who", {}),
)

# What is shown again, so that it can be mended, or is kept and shown. The rest is told to be wrong.
COMES_BACK = {
    ("/admin/payments/{payment}/notes", "text"),
    ("/admin/views", "status"),
    ("/admin/payments/{waits}/refund", "amount"),
    ("/admin/payments/{waits}/refund", "more"),
    ("/admin/payments/{waits}/refund/ask", "amount"),
    ("/admin/payments/{waits}/refund/ask", "why"),
    ("/admin/approvals/{asked}/decline", "decision"),
    ("/admin/operators/invite", "email"),
    ("/admin/operators/invite", "name"),
    ("/admin/operators/invite", "role"),
    ("/admin/audit/explain/{alarm}", "why"),
}


def test_what_is_sent_comes_back_as_text(
    make_app: MakeApp, sandbox: Sandbox, fresh_database: str
) -> None:
    """From a page that shows it again, or on the one that it leads to."""
    house = a_house(make_app, sandbox, fresh_database)
    wrong, came = [], set()
    for path, page, names, more in SENT:
        fields = house.seat.form(page.format(**house.numbers))
        for name, (kind, asked) in itertools.product(names.split(), TEXTS.items()):
            sent = fields | more | {name: asked}
            answer = house.seat.send(path.format(**house.numbers), **sent)
            if answer.status_code == 303:
                answer = house.seat.get(answer.location)
            assert answer.status_code < 500, (path, name, answer.text)
            read = Read(answer.text)
            wrong += [(path, name, kind, said) for said in read.wrong]
            if read.has(asked):
                came.add((path, name))
    assert wrong == []
    assert came == COMES_BACK
