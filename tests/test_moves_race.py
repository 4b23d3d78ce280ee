"""Capture, void, expiry and refund against each other: the amounts agree in each round."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from payment_service.extensions import db
from payment_service.services import expiry
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import PATIENCE
from tests.sandbox_calls import get
from tests.sandbox_server import Sandbox

THREADS = 8
AHEAD = (
    ("capture", {"SUCCESS", "PARTIALLY_REFUNDED"}),
    ("void", {"CANCELLED"}),
    ("expire", {"EXPIRED"}),
)
"""What is through before the others start, in every second round, and where it may end then. In the
rounds between, the machine chooses who comes first, and it may choose one kind each time."""


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    return make_app(circuit_fail_max=10_000)


class Round:
    """One hold of 100.00, and what may be done to it."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        held = self._post("/v1/payments/charge", an_order(capture=False))
        assert held.status_code == 201, held.json
        self.payment_id = held.json["payment_id"]
        self.reference = held.json["transactions"][0]["reference"]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": a_key()}
        return self.app.test_client().post(path, json=body, headers=headers)

    def capture(self) -> int:
        amount = random.choice([{}, {"amount": "60.00"}])
        return self._post(f"/v1/payments/{self.payment_id}/capture", amount).status_code

    def void(self) -> int:
        return self._post(f"/v1/payments/{self.payment_id}/cancel", {}).status_code

    def refund(self) -> int:
        body = {"amount": "35.00"}
        return self._post(f"/v1/payments/{self.payment_id}/refund", body).status_code

    def expire(self) -> int:
        with self.app.app_context():
            with db.engine.begin() as connection:
                connection.execute(
                    text(
                        "UPDATE payments SET expires_at = timestamptz '2020-01-01'"
                        " - (now() - '2020-01-01') WHERE payment_id = :id AND status = 'AUTHORIZED'"
                    ),
                    {"id": self.payment_id},
                )
            expiry.run_once()
        return 200

    def check(self, sandbox: Sandbox) -> str:
        """Both sides tell the same, amount by amount; the status that they agree on."""
        ours = self.app.test_client().get(f"/v1/payments/{self.payment_id}").json
        theirs = get(sandbox, f"/psp/charges/{self.reference}")
        assert ours["amount_captured"] == theirs["captured"], (ours, theirs)
        assert ours["amount_refunded"] == theirs["refunded"], (ours, theirs)
        assert {t["status"] for t in ours["transactions"]} <= {"SUCCESS", "FAILED"}, ours
        released = theirs["state"] == "voided"
        assert released == (ours["status"] in ("CANCELLED", "EXPIRED")), (ours, theirs)
        return str(ours["status"])


@pytest.mark.parametrize("rounds", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_all_against_all(app: Flask, sandbox: Sandbox, rounds: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(rounds):
            one = Round(app)
            ahead, ends = AHEAD[number // 2 % len(AHEAD)]
            if number % 2:
                getattr(one, ahead)()
            moves = [one.capture, one.void, one.expire, one.refund] * (THREADS // 4)
            random.shuffle(moves)
            together = threading.Barrier(THREADS)

            def move(what: Any, gate: threading.Barrier = together) -> int:
                gate.wait(PATIENCE)
                return int(what())

            answers = list(pool.map(move, moves))
            assert not {status for status in answers if status >= 500}, answers
            end = one.check(sandbox)
            assert not number % 2 or end in ends, (ahead, end)
