"""Charges: what callers are told, and what stands then here and at the provider."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import a_key


def test_a_charge_takes_the_money_once_and_replays_its_bytes(charge: Any) -> None:
    key = a_key()
    first = charge(key, order_id=1)
    assert first.status_code == 201, first.json
    assert first.json["status"] == "SUCCESS"
    again = charge(key, order_id=1)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


@pytest.mark.parametrize("code", ["insufficient_funds", "do_not_honor", "expired_card"])
def test_a_decline_is_told_and_stays(charge: Any, code: str) -> None:
    key = a_key()
    declined = charge(key, order_id=2, payment_token=f"tok_decline_{code}")
    assert declined.status_code == 402
    assert (declined.json["status"], declined.json["failure_code"]) == ("FAILED", code)
    again = charge(key, order_id=2, payment_token=f"tok_decline_{code}")
    assert (again.status_code, again.data) == (402, declined.data)
