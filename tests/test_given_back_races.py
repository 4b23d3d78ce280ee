"""Refunds of ours, refunds made at the provider's page, and disputes, all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from tests.books import payment_row, post
from tests.clocks import look_up as look_up_payment
from tests.patience import PATIENCE
from tests.sandbox_server import Sandbox
from tests.stripe_calls import ask
from tests.test_adopting import given_back, in_the_end
from tests.test_disputes import contested, fits, hear, house, look_up, news_of, paid

__all__ = ["house"]

ROUNDS = 25
"""Each with eight threads; the campaign has more."""


def at_once(works: list[Callable[[], Any]]) -> None:
    begins = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        begins.wait(PATIENCE)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result(PATIENCE)


@pytest.mark.slow
def test_no_more_is_given_back_than_the_provider_shows(house: Flask, sandbox: Sandbox) -> None:
    client = house.test_client()
    for turn in range(ROUNDS):
        payment = paid(house)
        path = f"/v1/payments/{payment['payment_id']}/refund"
        theirs = [given_back(sandbox, payment, 1000) for _ in range(2)]
        dispute = contested(sandbox, payment, amount=3000)
        told_of = news_of(sandbox, dispute)
        works: list[Callable[[], Any]] = [
            *(lambda path=path: post(house.test_client(), path, amount="40.00") for _ in range(2)),
            *(lambda event=event: hear(house, event) for event in theirs * 2),
            *(lambda event=event: hear(house, event) for event in told_of),
        ]
        at_once(works)
        look_up_payment(house, payment["payment_id"])
        look_up(house)
        in_the_end(house)
        stands = payment_row(house, payment["payment_id"])
        intent = ask(sandbox, "GET", f"/v1/payment_intents/{payment['transaction_id']}").json()
        charge = ask(sandbox, "GET", f"/v1/charges/{intent['latest_charge']}").json()
        assert stands["refunded"] + stands["refund_pending"] == charge["amount_refunded"], turn
        assert (stands["disputed"], stands["charged_back"]) == (3000, 0), turn
        assert fits(house, payment), turn
        # From here on nothing goes back.
        assert post(client, path, amount="1.00").status_code == 409
