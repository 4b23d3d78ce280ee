"""Acts on a payment, sent as browsers send forms: asked once more, done once, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from payment_service.config import ByCurrency
from tests.books import a_charged_payment, at_provider, payment_row, rows
from tests.fixtures import MakeApp
from tests.operators import KEYS
from tests.panel import Seat, fields_of, told
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox

ABOVE = ByCurrency(Decimal(0), {"INR": Decimal("50.00")})


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Above 50.00 INR of a payment a second one must approve. Nothing is due by itself."""
    url = database_of_module
    return make_app(**KEYS, **CLOCKLESS, database_url=url, four_eyes_above=ABOVE)


@pytest.fixture
def seat(app: Flask) -> Seat:
    return Seat(app)


def a_payment(app: Flask, **changes: Any) -> int:
    """Of 100.00 INR, charged."""
    return int(a_charged_payment(app.test_client(), **changes)["payment_id"])


def path(payment_id: int, act: str = "") -> str:
    return f"/admin/payments/{payment_id}" + (f"/{act}" if act else "")


def of(payment_id: int, amount: str) -> str:
    """The form of a refund of that amount."""
    return path(payment_id, f"refund?how=part&amount={amount}")


def sums(app: Flask, payment_id: int) -> tuple[str, int, int]:
    found = payment_row(app, payment_id)
    return found["status"], found["refunded"], found["refund_pending"]


def test_a_refund_is_asked_once_more_and_then_done(
    app: Flask, seat: Seat, sandbox: Sandbox
) -> None:
    paid = a_payment(app)
    first = seat.get(path(paid, "refund"))
    assert first.status_code == 200, first.text
    again = seat.get(of(paid, "30.00"))
    assert again.status_code == 200
    assert "thirty Indian rupees" in again.text
    answer = seat.send(
        path(paid, "refund"), **fields_of(again.text), why="Detour", more="By the river"
    )
    assert (answer.status_code, answer.location) == (303, path(paid))
    assert "30.00 INR went back to the payer" in told(seat.get(path(paid)))
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 3000, 0)
    (made,) = rows(app, "SELECT reason, caller FROM refunds WHERE payment_id = :id", id=paid)
    assert made == {"reason": "Detour: By the river", "caller": seat.name}
    assert len(at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])) == 1
