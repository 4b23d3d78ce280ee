"""A receipt's lines: they add up, they stay, and nothing is made up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receipt_samples import PAID_AT, a_fare, a_receipt, a_ride

from payment_service.domain.fares import Fare
from payment_service.domain.receipts import LineKey, Receipt, RefundLine, as_dict, lines

PARTS = (LineKey.DISTANCE, LineKey.BASE_FARE, LineKey.SURGE)


def a_refund(number: int, amount: int, *, days: int, **changes: Any) -> RefundLine:
    return replace(RefundLine(number, amount, PAID_AT + timedelta(days=days)), **changes)


def amounts(receipt: Receipt) -> dict[str, int | None]:
    return {str(line.key): line.amount for line in lines(receipt)}


def test_a_total_that_follows_from_base_and_surge_is_taken_apart() -> None:
    assert amounts(a_ride()) == {
        "distance": None,
        "base_fare": 8251,
        "surge": 1650,
        "total_fare": 9901,
        "paid": 9901,
    }


def test_a_total_that_does_not_follow_gets_no_made_up_parts() -> None:
    receipt = a_ride(fare=a_fare(total=9950), captured=9950, amount=9950)
    assert amounts(receipt) == {
        "distance": None,
        "base_fare": None,
        "surge": None,
        "total_fare": 9950,
        "paid": 9950,
    }


def test_the_formula_is_shown_with_what_the_distance_cost() -> None:
    fare = Fare(
        total=16248,
        currency="INR",
        distance_km=Decimal("5.69"),
        base_fare=Decimal("50.00"),
        rate_per_km=Decimal("10.25"),
        surge_multiplier=Decimal("1.5"),
    )
    found = amounts(a_ride(fare=fare, captured=16248, amount=16248))
    assert (found["base_fare"], found["distance"], found["surge"]) == (5000, 5832, 5416)


def test_no_surge_no_line_about_it() -> None:
    fare = a_fare(total=8251, surge_multiplier=Decimal("1.0"))
    assert "surge" not in amounts(a_ride(fare=fare, captured=8251, amount=8251))


def test_what_was_paid_beside_the_fare_is_named() -> None:
    assert amounts(a_ride(captured=9000))["adjustment"] == -901


def test_a_payment_without_a_trip_has_one_line() -> None:
    assert amounts(a_receipt()) == {"paid": 9901}


@given(
    base=st.decimals(0, 500, places=2),
    surge=st.none() | st.decimals("0.5", 4, places=1),
    km=st.none() | st.decimals(0, 99, places=2),
    rate=st.none() | st.decimals(0, 30, places=2),
    slip=st.integers(-1, 1),
)
def test_parts_with_amounts_always_make_the_total(
    base: Decimal, surge: Decimal | None, km: Decimal | None, rate: Decimal | None, slip: int
) -> None:
    exact = (base + (km or 0) * (rate or 0)) * (1 if surge is None else surge)
    total = max(0, int(exact * 100) + slip)
    fare = Fare(
        total, "INR", distance_km=km, base_fare=base, rate_per_km=rate, surge_multiplier=surge
    )
    receipt = a_ride(fare=fare, amount=total, captured=total)
    parts = [line.amount for line in lines(receipt) if line.key in PARTS]
    shown = [amount for amount in parts if amount is not None]
    assert not shown or sum(shown) == total


def test_refunds_add_lines_and_change_none() -> None:
    before = a_ride()
    once = replace(before, refunded=1500, refunds=(a_refund(1, 1500, days=1),))
    twice = replace(once, refunded=4000, refunds=(*once.refunds, a_refund(2, 2500, days=2)))
    assert lines(once)[: len(lines(before))] == lines(before)
    assert lines(twice)[: len(lines(once)) - 1] == lines(once)[:-1]
    assert [line.amount for line in lines(twice)[-3:]] == [-1500, -2500, 5901]
    assert before.receipt_id == twice.receipt_id == "RCP-PAY-20261120-7K2M9QX4TB3A"


def test_a_refund_that_came_back_stays_and_is_answered_by_a_line() -> None:
    refund = a_refund(7, 1500, days=1, reversed_at=PAID_AT + timedelta(days=3))
    found = amounts(a_ride(refunded=0, refunds=(refund,)))
    assert (found["refund"], found["refund_returned"], found["net"]) == (-1500, 1500, 9901)


def test_refunds_known_only_as_a_sum_are_shown() -> None:
    receipt = a_ride(refunded=9901, status="REFUNDED")
    assert amounts(receipt)["refund"] == -9901
    assert as_dict(receipt)["refunds"] == [
        {
            "refund_id": None,
            "amount": "99.01",
            "reason": None,
            "refunded_at": None,
            "returned_at": None,
        }
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"refunded": 100, "refunds": (a_refund(1, 200, days=1),)},
        {"refunded": 9902},
        {"paid_at": PAID_AT.replace(tzinfo=None)},
        {"refunded": 1, "refunds": (RefundLine(1, 1, PAID_AT.replace(tzinfo=None)),)},
        {"currency": "USD"},
    ],
)
def test_facts_that_do_not_fit_make_no_receipt(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"refund|zone|fare"):
        a_ride(**wrong)


def test_json_has_exact_amounts_and_utc_times() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    receipt = a_ride(
        paid_at=PAID_AT.astimezone(india), refunded=1500, refunds=(a_refund(1, 1500, days=1),)
    )
    found = json.loads(json.dumps(as_dict(receipt)))
    assert found["amount_paid"] == "99.01"
    assert found["amount_refunded"] == "15.00"
    assert found["net_amount"] == "84.01"
    assert found["fare"] == {
        "distance_km": "5.69",
        "base_fare": "82.51",
        "surge_multiplier": "1.2",
        "total_fare": "99.01",
    }
    assert found["paid_at"] == "2026-11-20T11:09:02Z"
    assert found["refunds"][0]["refunded_at"] == "2026-11-21T11:09:02Z"
    assert [line["amount"] for line in found["lines"]][-3:] == ["99.01", "-15.00", "84.01"]


@pytest.mark.parametrize(
    ("currency", "amount"), [("KWD", "9.901"), ("IQD", "9.901"), ("JPY", "9901")]
)
def test_json_amounts_have_the_currencys_decimals(currency: str, amount: str) -> None:
    assert as_dict(a_receipt(currency=currency))["amount"] == amount
