"""Fiuu through the service: a page, its payer, notifications, a page that was paid twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from sqlalchemy.exc import IntegrityError

from payment_service.providers.contract import Operation, Result
from payment_service.services import giving_back, notices
from payment_service.services.moves import links, resolution
from tests.books import execute, payment_row, post, rows
from tests.clocks import an_hour_later, is_open, look_up
from tests.fixtures import MakeApp, an_order
from tests.harness_fiuu import KEYS
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_server import Sandbox


@pytest.fixture
def app(make_app: MakeApp, database_of_module: str, sandbox: Sandbox) -> Iterator[Flask]:
    """Whatever the sandbox would tell it by itself goes nowhere: the tests deliver it."""
    url = f"{sandbox.url}/sandbox/webhooks"
    requests.put(url, json={"url": "http://127.0.0.1:1"}, timeout=PATIENCE)
    yield make_app(
        database_url=database_of_module,
        provider_routes="CARD=fiuu,CASH=cash",
        public_url="http://127.0.0.1:8082",
        fiuu_merchant_id=KEYS.merchant,
        fiuu_verify_key=KEYS.verify_key,
        fiuu_secret_key=KEYS.secret_key,
        fiuu_pay_url=f"{sandbox.url}/fiuu",
        fiuu_api_url=f"{sandbox.url}/fiuu",
        **CLOCKLESS,
    )
    requests.put(url, json={"url": None}, timeout=PATIENCE)


def charged(app: Flask, **changes: Any) -> tuple[int, str]:
    """A payment whose payer is on Fiuu's page: its id, and Fiuu's orderid."""
    order = an_order(amount="104.86", currency="MYR", method="CARD", **changes)
    answer = post(app.test_client(), "/v1/payments/charge", **order)
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION"), answer.json
    link = answer.json["next_action"]["url"]
    page = app.test_client().get(urlsplit(link).path).get_data(as_text=True)
    action = re.search(r'action="([^"]+/RMS/pay/[^"]*)"', page)
    assert action is not None, page
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
    form = {name: unescape(value) for name, value in fields.items()}
    opened = requests.post(unescape(action[1]), data=form, timeout=PATIENCE)
    assert opened.status_code == 200, opened.text
    return answer.json["payment_id"], form["orderid"]


def pay(sandbox: Sandbox, order: str, word: str = "yes") -> bytes:
    """The payer says it on Fiuu's page; the notification that comes of it."""
    before = len(sent(sandbox, order))
    said = {"word": word, "as": "json"}
    answer = requests.post(f"{sandbox.url}/fiuu/orders/{order}", data=said, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    eventually(lambda: len(sent(sandbox, order)) > before)
    return str(sent(sandbox, order)[-1]["body"]).encode()


def sent(sandbox: Sandbox, order: str) -> list[Any]:
    told = get(sandbox, "/sandbox/webhooks")["webhooks"]
    return [one for one in told if one["reference"] == order]


def notify(app: Flask, body: bytes) -> None:
    answer = app.test_client().post(
        "/v1/webhooks/fiuu", data=body, content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer.get_data()) == (200, b"CBTOKEN:MPSTATOK")


def status(app: Flask, payment_id: int) -> str:
    found: str = payment_row(app, payment_id)["status"]
    return found


def test_a_notification_tells_it(app: Flask, sandbox: Sandbox) -> None:
    payment_id, order = charged(app)
    notify(app, pay(sandbox, order))
    assert status(app, payment_id) == "SUCCESS"


@pytest.mark.parametrize(("words", "ending"), [(("no",), "FAILED"), (("yes", "no"), "SUCCESS")])
def test_after_a_try_that_failed_the_order_is_looked_up(
    app: Flask, sandbox: Sandbox, words: tuple[str, ...], ending: str
) -> None:
    """Another one may have paid, even if its news did not come."""
    payment_id, order = charged(app)
    *_, news = [pay(sandbox, order, word) for word in words]
    notify(app, news)
    assert status(app, payment_id) == "REQUIRES_ACTION"
    with app.app_context():
        resolution.run_once("fiuu")
    assert status(app, payment_id) == ending


def test_a_look_up_tells_it(app: Flask, sandbox: Sandbox) -> None:
    payment_id, order = charged(app)
    look_up(app, payment_id)
    assert status(app, payment_id) == "REQUIRES_ACTION"
    pay(sandbox, order)
    look_up(app, payment_id)
    assert status(app, payment_id) == "SUCCESS"


def test_of_two_windows_the_one_that_paid_counts(app: Flask, sandbox: Sandbox) -> None:
    """Also if the other one's news came first."""
    payment_id, order = charged(app)
    for word in ("no", "yes"):
        notify(app, pay(sandbox, order, word))
    look_up(app, payment_id)
    assert status(app, payment_id) == "SUCCESS"


def test_a_callback_tells_it_once_more(app: Flask, sandbox: Sandbox) -> None:
    """The same news, so it is the same webhook."""
    payment_id, order = charged(app)
    news = pay(sandbox, order)
    number = get(sandbox, "/fiuu/RMS/transactions")["transactions"][-1]["id"]
    url = f"{sandbox.url}/fiuu/transactions/{number}/callback"
    assert requests.post(url, timeout=PATIENCE).json()["order"] == order
    eventually(lambda: len(sent(sandbox, order)) == 2)
    assert sent(sandbox, order)[-1]["body"].encode() == news
    notify(app, news)
    assert status(app, payment_id) == "SUCCESS"


def test_the_refund_of_what_was_paid_twice_ends(app: Flask, sandbox: Sandbox) -> None:
    """It waits for its bank, as each of Fiuu's refunds does."""
    payment_id, order = charged(app)
    for _ in range(2):
        notify(app, pay(sandbox, order))
    with app.app_context():
        resolution.run_once("fiuu")
        giving_back.run_once()
    (asked,) = rows(
        app,
        "SELECT reference, status FROM transactions WHERE payment_id = :id AND type = 'REFUND'",
        id=payment_id,
    )
    assert asked["status"] == "PROCESSING"
    url = f"{sandbox.url}/fiuu/refunds/{asked['reference']}"
    assert requests.post(url, data={"status": "success"}, timeout=PATIENCE).ok
    look_up(app, payment_id)
    assert not is_open(app, payment_id)


def give_back(app: Flask) -> None:
    """The worker looks up what is due, and gives back what came in a second time."""
    with app.app_context():
        resolution.run_once("fiuu")
        for _ in range(3):
            giving_back.run_once()


def paid_on(sandbox: Sandbox, order: str) -> list[str]:
    """What Fiuu calls the payments of an order, oldest first."""
    told = get(sandbox, "/fiuu/RMS/transactions")["transactions"]
    return [one["id"] for one in told if one["order"] == order]


def given_back(sandbox: Sandbox, order: str) -> list[tuple[str, str]]:
    """Which of them went back, and how much of each."""
    told = get(sandbox, "/fiuu/RMS/refunds")["refunds"]
    payment = order.rpartition("-")[0]
    return [(one["TxnID"], one["Amount"]) for one in told if one["RefID"].startswith(payment)]


def test_what_is_paid_twice_goes_back_once(app: Flask, sandbox: Sandbox) -> None:
    """And is no alarm: that webhook has a word of its own."""
    payment_id, order = charged(app)
    for _ in range(2):
        notify(app, pay(sandbox, order))
    give_back(app)  # the second notification has made it due
    paid = paid_on(sandbox, order)
    assert len(paid) == 2
    assert given_back(sandbox, order) == [(paid[1], "104.86")]
    heard = rows(
        app,
        "SELECT status, error FROM webhooks WHERE payment_id = :id ORDER BY webhook_id",
        id=payment_id,
    )
    assert [(one["status"], one["error"]) for one in heard] == [
        ("APPLIED", None),
        ("APPLIED", notices.ANOTHER_PAYMENT),
    ]
    assert status(app, payment_id) == "SUCCESS"
    charges = rows(
        app,
        "SELECT provider_reference FROM transactions WHERE payment_id = :id AND type = 'CHARGE'"
        " ORDER BY number",
        id=payment_id,
    )
    assert [one["provider_reference"] for one in charges] == paid


def test_a_payment_that_only_a_look_up_saw_is_not_forgotten(
    app: Flask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is on its way back the payer pays again, and that is booked by its notification."""
    payment_id, order = charged(app)
    pay(sandbox, order)
    provider = app.extensions["providers"].get("fiuu")
    ask = provider.lookup

    def then_it_is_paid_again(operation: Operation) -> Result | None:
        found: Result | None = ask(operation)
        monkeypatch.undo()
        notify(app, pay(sandbox, order))
        return found

    monkeypatch.setattr(provider, "lookup", then_it_is_paid_again)
    look_up(app, payment_id)
    first, second = paid_on(sandbox, order)
    assert payment_row(app, payment_id)["provider_reference"] == second
    give_back(app)
    assert given_back(sandbox, order) == [(first, "104.86")]


def comes_back(app: Flask, payment_id: int) -> None:
    """The payer comes back to our page, some time after it was last opened."""
    execute(app, "UPDATE payers SET hastened_at = NULL WHERE payment_id = :id", id=payment_id)
    with app.app_context():
        link = links.of_return(payment_id)
    assert link is not None
    assert app.test_client().get(urlsplit(link).path).status_code == 303


def test_a_payer_who_comes_back_from_a_second_window_has_it_looked_up(
    app: Flask, sandbox: Sandbox
) -> None:
    """Its notification never came. A provider that is silent then is asked again."""
    payment_id, order = charged(app)
    notify(app, pay(sandbox, order))
    passes(app, payment_id, "16 minutes")
    give_back(app)  # it would be looked up by itself a day later
    pay(sandbox, order)
    comes_back(app, payment_id)
    arm(sandbox, "lookup", "lookup_unavailable", match={"reference": order}, times=0)
    give_back(app)
    assert given_back(sandbox, order) == []
    minutes = next_look(app, payment_id)
    assert minutes is not None
    assert minutes < 60
    disarm(sandbox)
    look_up(app, payment_id)
    give_back(app)
    assert given_back(sandbox, order) == [(paid_on(sandbox, order)[1], "104.86")]


@pytest.mark.parametrize("looks", [1, 2])
def test_a_second_payment_whose_news_is_lost_is_found_all_the_same(
    app: Flask, sandbox: Sandbox, looks: int
) -> None:
    """Once the page's time is over, or, if it came later, a day after the first one. Then no more,
    and nothing is counted as without an outcome meanwhile."""
    payment_id, order = charged(app)
    notify(app, pay(sandbox, order))
    minutes = next_look(app, payment_id)
    assert minutes is not None
    assert 5 < minutes <= 15
    assert not is_open(app, payment_id)
    coming = app.test_client().get(f"/v1/payments/{payment_id}/events").json["next"]["what"]
    assert coming == f"look up {order} at fiuu once more, to be sure that it was not paid twice"
    if looks == 1:
        pay(sandbox, order)
    passes(app, payment_id, "16 minutes")
    give_back(app)
    minutes = next_look(app, payment_id)
    assert minutes is not None
    assert 23.5 * 60 < minutes < 24 * 60
    if looks == 2:
        assert given_back(sandbox, order) == []
        pay(sandbox, order)
        passes(app, payment_id, "1 day")
        give_back(app)
        assert next_look(app, payment_id) is None
    assert given_back(sandbox, order) == [(paid_on(sandbox, order)[1], "104.86")]


def next_look(app: Flask, payment_id: int) -> float | None:
    """In how many minutes the payment's first charge is looked up by itself."""
    query = (
        "SELECT (extract(epoch FROM due_at - now()) / 60)::float AS minutes FROM transactions"
        " WHERE payment_id = :id AND number = 1"
    )
    found: float | None = rows(app, query, id=payment_id)[0]["minutes"]
    return found


def passes(app: Flask, payment_id: int, time: str) -> None:
    """So much time passes for the payment's first charge."""
    execute(
        app,
        "UPDATE transactions SET created_at = created_at - i, occurred_at = occurred_at - i,"
        " due_at = due_at - i FROM (SELECT CAST(:time AS interval) AS i) AS passed"
        " WHERE payment_id = :id AND number = 1",
        id=payment_id,
        time=time,
    )


def test_a_payment_of_long_ago_is_looked_up_for_no_payer(app: Flask, sandbox: Sandbox) -> None:
    payment_id, order = charged(app)
    notify(app, pay(sandbox, order))
    for _ in range(2):
        passes(app, payment_id, "25 hours")
        give_back(app)
    comes_back(app, payment_id)
    due = "SELECT count(*) AS n FROM transactions WHERE payment_id = :id AND due_at IS NOT NULL"
    assert rows(app, due, id=payment_id) == [{"n": 0}]


def test_news_of_what_ended_long_ago_is_looked_up_until_the_provider_was_heard(
    app: Flask, sandbox: Sandbox
) -> None:
    """It is silent when the second payment of a page is told, days after the first."""
    payment_id, order = charged(app)
    notify(app, pay(sandbox, order))
    passes(app, payment_id, "3 days")
    arm(sandbox, "lookup", "lookup_unavailable", match={"reference": order}, times=0)
    notify(app, pay(sandbox, order))
    give_back(app)
    assert given_back(sandbox, order) == []
    disarm(sandbox)
    look_up(app, payment_id)
    give_back(app)
    assert given_back(sandbox, order) == [(paid_on(sandbox, order)[1], "104.86")]


def test_a_look_up_that_tells_of_two_payments_is_taken_in_whole_or_not_at_all(
    app: Flask, sandbox: Sandbox
) -> None:
    """What it moved is not looked up again, so the second one would be nobody's."""
    payment_id, order = charged(app)
    for _ in range(2):
        pay(sandbox, order)
    refuse = "ADD CONSTRAINT no_second CHECK (cause IS DISTINCT FROM 'paid_twice') NOT VALID"
    execute(app, f"ALTER TABLE transactions {refuse}")
    try:
        with app.app_context(), pytest.raises(IntegrityError):
            resolution.resolve(payment_id=payment_id, number=1)
    finally:
        execute(app, "ALTER TABLE transactions DROP CONSTRAINT no_second")
    assert status(app, payment_id) == "REQUIRES_ACTION"
    look_up(app, payment_id)
    assert status(app, payment_id) == "SUCCESS"
    give_back(app)
    assert given_back(sandbox, order) == [(paid_on(sandbox, order)[1], "104.86")]


def test_of_a_hold_a_notification_is_not_believed(app: Flask, sandbox: Sandbox) -> None:
    """It does not say whether the money is held, or was taken at once; a look-up does."""
    payment_id, order = charged(app, capture=False)
    notify(app, pay(sandbox, order))
    assert status(app, payment_id) == "REQUIRES_ACTION"
    with app.app_context():
        resolution.run_once("fiuu")
    assert status(app, payment_id) == "AUTHORIZED"


def given_up_capture(app: Flask, sandbox: Sandbox) -> int:
    """A payment whose hold stands, after a capture of 2.01 (request 2) that never reached Fiuu."""
    payment_id, order = charged(app, capture=False)
    pay(sandbox, order)
    look_up(app, payment_id)
    path = f"/v1/payments/{payment_id}/capture"
    arm(sandbox, "capture", "reset_before_reading", match={"dialect": "fiuu"})
    assert post(app.test_client(), path, amount="2.01").status_code == 202
    for _ in range(2):
        an_hour_later(app, payment_id)
        look_up(app, payment_id)
    assert status(app, payment_id) == "AUTHORIZED"
    return payment_id


def captures(app: Flask, payment_id: int) -> list[tuple[str, str | None, int | None]]:
    asked = rows(
        app,
        "SELECT status, failure_code, amount_approved FROM transactions"
        " WHERE payment_id = :id AND type = 'CAPTURE' ORDER BY number",
        id=payment_id,
    )
    return [tuple(one.values()) for one in asked]


def test_of_two_captures_the_newer_one_took_the_hold(app: Flask, sandbox: Sandbox) -> None:
    """Fiuu says that the hold is captured, and neither by which request nor how much: the first,
    which had been given up and is looked up before the second, is not credited with it."""
    payment_id = given_up_capture(app, sandbox)
    path = f"/v1/payments/{payment_id}/capture"
    arm(sandbox, "capture", "do_and_lose_answer", match={"dialect": "fiuu"})
    assert post(app.test_client(), path, "again").status_code == 202
    with app.app_context():
        assert not resolution.resolve(payment_id=payment_id, number=2)
        assert status(app, payment_id) == "PROCESSING"
        assert resolution.resolve(payment_id=payment_id, number=3)
        assert not resolution.resolve(payment_id=payment_id, number=2)
    assert captures(app, payment_id) == [("FAILED", "not_received", None), ("SUCCESS", None, 10486)]
    assert payment_row(app, payment_id)["captured"] == 10486
    told = post(app.test_client(), path, "again")
    assert (told.status_code, told.json["amount_captured"]) == (200, "104.86")


def test_of_two_captures_that_were_given_up_the_newer_one_took_the_hold(
    app: Flask, sandbox: Sandbox
) -> None:
    """The second one reached Fiuu after all, later than anything should."""
    payment_id = given_up_capture(app, sandbox)
    path = f"/v1/payments/{payment_id}/capture"
    arm(sandbox, "capture", "reset_before_reading", match={"dialect": "fiuu"})
    assert post(app.test_client(), path, "again").status_code == 202
    for _ in range(2):
        an_hour_later(app, payment_id)
        with app.app_context():
            resolution.resolve(payment_id=payment_id, number=3)
    assert status(app, payment_id) == "AUTHORIZED"
    capture_there(sandbox, payment_row(app, payment_id)["provider_reference"], "104.86")
    with app.app_context():
        assert not resolution.resolve(payment_id=payment_id, number=2)
        assert resolution.resolve(payment_id=payment_id, number=3)
    assert captures(app, payment_id) == [("FAILED", "not_received", None), ("SUCCESS", None, 10486)]


def test_a_capture_that_was_given_up_is_credited_where_the_next_one_was_refused(
    app: Flask, sandbox: Sandbox
) -> None:
    payment_id = given_up_capture(app, sandbox)
    path = f"/v1/payments/{payment_id}/capture"
    arm(sandbox, "capture", "decline", match={"dialect": "fiuu"})
    assert post(app.test_client(), path, "again").status_code == 402
    capture_there(sandbox, payment_row(app, payment_id)["provider_reference"], "2.01")
    with app.app_context():
        assert resolution.resolve(payment_id=payment_id, number=2)
    assert captures(app, payment_id) == [("SUCCESS", None, 201), ("FAILED", "not_capturable", None)]
    assert payment_row(app, payment_id)["captured"] == 201


def capture_there(sandbox: Sandbox, hold: str, amount: str) -> None:
    """The capture arrives at Fiuu late."""
    fields = {"txnID": hold, "amount": amount, "skey": KEYS.capture(hold, amount)}
    url = f"{sandbox.url}/fiuu/RMS/API/capstxn/index.php"
    said = requests.post(url, fields | {"domain": KEYS.merchant, "type": "2"}, timeout=PATIENCE)
    assert said.json()["StatCode"] == "00", said.text
