"""The page that looks an idempotency key up."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.books import execute
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_key, an_order
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page

PAGE = "/admin/keys"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, operator_mfa="optional")


@pytest.fixture(scope="module")
def desk(pages: Flask) -> Desk:
    return Desk(pages).join()


def charged(app: Flask, key: str) -> int:
    headers = {"Idempotency-Key": key}
    answer = app.test_client().post("/v1/payments/charge", json=an_order(), headers=headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json["payment_id"])  # type: ignore[index]


def test_a_key_tells_who_what_and_the_answer(desk: Desk) -> None:
    key = a_key()
    payment_id = charged(desk.app, key)
    answer = desk.get(f"{PAGE}?key=%20{key}%20")
    sign_of_a_page(answer)
    assert "POST /v1/payments/charge" in answer.text
    assert f'href="/admin/payments/{payment_id}"' in answer.text
    assert "<dd>201</dd>" in answer.text
    assert "Kept until" in answer.text
    assert "<button>Look up</button>" in answer.text
    assert answer.text.count('method="post"') == 1  # the way out: nothing here changes a key


@pytest.mark.parametrize(("locked", "told"), [(True, "is at work"), (False, "a retry looks")])
def test_what_has_no_answer_yet_says_so(desk: Desk, locked: bool, told: str) -> None:
    key = a_key()
    charged(desk.app, key)
    execute(
        desk.app,
        "UPDATE idempotency_keys SET answer_body = NULL, answer_status = NULL,"
        " locked_until = CASE WHEN :locked THEN now() + interval '1 min' END WHERE key = :key",
        locked=locked,
        key=key,
    )
    page = desk.get(f"{PAGE}?key={key}").text
    assert told in page
    assert "What is answered" not in page


def test_a_key_that_nobody_sent(desk: Desk) -> None:
    assert "Never seen, or older than 24 h." in desk.get(f"{PAGE}?key={a_key()}").text
    assert "Never seen" not in desk.get(PAGE).text


def test_how_long_keys_are_kept_is_as_set(make_app: MakeApp) -> None:
    app = make_app(**KEYS, operator_mfa="optional", idempotency_key_ttl=7200.0)
    assert "Never seen, or older than 2 h." in Desk(app).join().get(f"{PAGE}?key={a_key()}").text


@pytest.mark.parametrize(
    "key", ["%3Cscript%3Ealert%281%29%3C/script%3E", "a%20b", "%00", "x" * 256]
)
def test_what_is_no_key_is_told_and_is_text(desk: Desk, key: str) -> None:
    answer = desk.get(f"{PAGE}?key={key}")
    assert answer.status_code == (200 if "script" in key else 422)
    assert no_script_but_ours(answer.text)


def test_one_key_of_two_callers_is_told_of_both(desk: Desk) -> None:
    key = a_key()
    charged(desk.app, key)
    execute(
        desk.app,
        "INSERT INTO idempotency_keys SELECT (jsonb_populate_record(k, jsonb_build_object("
        "'caller', '<b>another</b>'))).* FROM idempotency_keys k WHERE key = :key",
        key=key,
    )
    page = desk.get(f"{PAGE}?key={key}").text
    assert page.count("<h2>POST /v1/payments/charge</h2>") == 2
    assert "&lt;b&gt;another&lt;/b&gt;" in page


def test_nothing_can_be_changed(desk: Desk) -> None:
    assert desk.send(PAGE, key="x").status_code in (400, 405)
