"""Money: integers and decimal strings, never a float, never a rounding that nobody asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_service.domain import money

quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
currencies = st.sampled_from(sorted(money.EXPONENTS))


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("104.86", "INR", 10486),
        ("104.8", "INR", 10480),
        ("104", "INR", 10400),
        (104, "INR", 10400),
        (Decimal("104.86"), "INR", 10486),
        (Decimal("0.1"), "INR", 10),
        ("0.29", "INR", 29),
        ("1", "JPY", 1),
        ("1.234", "KWD", 1234),
        ("1.5", "BHD", 1500),
        ("0.001", "IQD", 1),
        ("007", "INR", 700),
        ("999999999999999999", "JPY", 999999999999999999),
    ],
)
def test_an_amount_is_read_exactly(value: str | int | Decimal, currency: str, minor: int) -> None:
    assert money.parse_amount(value, currency) == minor


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        *[(text, "INR") for text in ("", " ", " 1", "1 ", "-1", "+1", "1e2", "1E2", "NaN", "inf")],
        *[(text, "INR") for text in ("1.", ".5", "1,00", "1_000", "0x10", "1.2.3", "1\n")],
        *[(text, "INR") for text in ("\uff11", "\u0661", "\u00bd", "1\u00a0", "1" * 5000)],
        *[
            (Decimal(text), "INR")
            for text in ("1e2", "1e-7", "NaN", "Infinity", "-1", "1e999999999")
        ],
        (-1, "INR"),
        ("1.234", "INR"),
        ("1.230", "INR"),
        ("1.5", "JPY"),
        ("1.0", "JPY"),
        ("1.2345", "KWD"),
    ],
)
def test_what_is_no_amount_of_the_currency_is_refused(value: str | Decimal, currency: str) -> None:
    with pytest.raises(money.BadAmount):
        money.parse_amount(value, currency)


@quick
@given(st.integers(0, 10**17), currencies)
def test_what_is_written_is_read_back(minor: int, currency: str) -> None:
    text = money.format_amount(minor, currency)
    assert money.parse_amount(text, currency) == minor
    assert money.to_decimal(minor, currency) == Decimal(text)
    assert len(text.partition(".")[2]) == money.exponent(currency)


@quick
@given(st.integers(-(10**17), -1), currencies)
def test_a_negative_figure_keeps_its_sign(minor: int, currency: str) -> None:
    assert money.format_amount(minor, currency) == "-" + money.format_amount(-minor, currency)


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("1.005", "INR", 101),
        ("1.004999", "INR", 100),
        ("2.5", "JPY", 3),
        ("0.0005", "KWD", 1),
        ("104.865", "INR", 10487),
    ],
)
def test_a_computed_amount_is_rounded_half_up(value: str, currency: str, minor: int) -> None:
    assert money.round_to_minor(Decimal(value), currency) == minor


def test_the_currencies_are_money_in_use_with_their_decimals() -> None:
    wanted = {"INR": 2, "JPY": 0, "KWD": 3, "BHD": 3, "OMR": 3, "IQD": 3, "CLP": 0, "USD": 2}
    assert {code: money.EXPONENTS.get(code) for code in wanted} == wanted
    not_money = {"XXX", "XTS", "XAU", "XAG", "XDR", "XSU", "XUA", "XBA", "CHE", "CHW", "CLF"}
    assert not not_money & money.EXPONENTS.keys()
