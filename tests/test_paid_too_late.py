"""A payer who pays after the time is over, with another payment of the same order by then, at each
of the five: the money is ours by evidence and goes back, or the page takes none any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask

from payment_service.services import expiry
from payment_service.services.moves import resolution
from tests import five
from tests.books import execute, payment_row, post, rows
from tests.clocks import look_up
from tests.fixtures import MakeApp, an_order
from tests.patience import PATIENCE
from tests.sandbox_server import Sandbox


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Iterator[Flask]:
    with five.told_nowhere(sandbox):
        yield make_app(database_url=database_of_module, **five.settings_of(sandbox))


def expired(house: Flask, name: str) -> dict[str, Any]:
    """A payment whose payer did nothing in time."""
    payment = five.waiting(house.test_client(), name)
    over = "UPDATE payments SET expires_at = now() - interval '1 second' WHERE payment_id = :id"
    execute(house, over, id=payment["payment_id"])
    end_what_is_over(house)
    look_up(house, payment["payment_id"])
    assert status(house, payment) == "EXPIRED"
    return payment


def end_what_is_over(house: Flask) -> None:
    with house.app_context():
        while expiry.run_once()["ended"]:
            pass


def status(house: Flask, payment: dict[str, Any]) -> str:
    found: str = payment_row(house, payment["payment_id"])["status"]
    return found


def heard(house: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
    """The payer pays, and we hear of it."""
    sent = five.pay(house, sandbox, payment)
    client = house.test_client()
    assert five.deliver(client, payment["provider"], sent).status_code in (200, 202)
    with house.app_context():
        resolution.run_once()  # where it only made us look


@pytest.mark.parametrize("name", ["fiuu", "zaincash"])
def test_what_comes_too_late_goes_back(house: Flask, sandbox: Sandbox, name: str) -> None:
    """By itself, or where it has no refunds by a person."""
    late, client = expired(house, name), house.test_client()
    order = an_order(order_id=late["order_id"], amount=five.AMOUNT, **five.WAYS[name].order)
    second = post(client, "/v1/payments/charge", **order).json
    heard(house, sandbox, second)
    assert status(house, second) == "SUCCESS"
    heard(house, sandbox, late)
    found = payment_row(house, late["payment_id"])
    assert (found["status"], found["captured"]) == ("SUCCESS", found["amount"])
    end_what_is_over(house)
    query = "SELECT refund_id, amount, status FROM refunds WHERE payment_id = :id"
    [given] = rows(house, query, id=late["payment_id"])
    assert (given["amount"], given["status"]) == (found["amount"], "PENDING")
    ends(client, sandbox, name, given["refund_id"], five.reference_of(late)[:-1] + "2")
    look_up(house, late["payment_id"])
    assert (status(house, late), status(house, second)) == ("REFUNDED", "SUCCESS")


def ends(client: Any, sandbox: Sandbox, name: str, refund_id: int, reference: str) -> None:
    """The bank's yes, or a person's word."""
    if name == "fiuu":
        url = f"{sandbox.url}/fiuu/refunds/{reference}"
        requests.post(url, data={"status": "success"}, timeout=PATIENCE).raise_for_status()
    else:
        done = client.patch(f"/v1/refunds/{refund_id}/status", json={"status": "SUCCESS"})
        assert done.status_code == 200, done.json


@pytest.mark.parametrize("name", ["stripe", "fib", "swish"])
def test_a_page_that_was_cancelled_takes_no_money(
    house: Flask, sandbox: Sandbox, name: str
) -> None:
    late = expired(house, name)
    known_as = late["transaction_id"]
    answer = five.WAYS[name].pays(sandbox, five.reference_of(late), known_as)
    assert answer.status_code in (400, 409), answer.text
    look_up(house, late["payment_id"])
    assert status(house, late) == "EXPIRED"
