"""Card numbers in free text: found however they are written, and nothing else taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_service.domain.cards import contains_card_number, luhn

# The networks' and providers' published test numbers.
NUMBERS = {
    "visa": "4111111111111111",
    "visa of 13": "4222222222222",
    "visa of 19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard, 2 series": "2223003122003222",
    "amex": "378282246310005",
    "diners": "30569309025904",
    "discover": "6011111111111117",
    "jcb": "3530111333300000",
    "unionpay": "6200000000000005",
    "rupay": "6076590000000000",
    "maestro of 18": "676770000000000009",
    "mir": "2200000000000004",
}


def with_check_digit(number: str) -> str:
    """`number` with the last digit that Luhn wants."""
    return next(number[:-1] + digit for digit in "0123456789" if luhn(number[:-1] + digit))


def parted(number: str, sizes: tuple[int, ...], mark: str) -> str:
    groups, rest = [], number
    for size in sizes:
        groups.append(rest[:size])
        rest = rest[size:]
    return mark.join([*groups, rest] if rest else groups)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("around", ["{}", "card {} please", "tok_{}x", "({})", "№{}."])
def test_a_card_number_is_found(number: str, around: str) -> None:
    assert contains_card_number(around.format(with_check_digit(number)))


@pytest.mark.parametrize("mark", [" ", "-", ".", " - ", "  ", "\u00a0", "\u2013", "\u2011", "\n"])
@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        ("4111111111111111", (4, 4, 4, 4)),
        ("4111111111111111", (8, 8)),
        ("4111111111111111", (1,) * 16),
        ("4111111111111111", (2,) * 8),
        ("378282246310005", (4, 6, 5)),
        ("30569309025904", (4, 6, 4)),
        ("4222222222222", (4, 3, 3, 3)),
        ("4000000000000000006", (4, 4, 4, 4, 3)),
    ],
)
def test_grouped_as_on_a_card_it_is_found(number: str, sizes: tuple[int, ...], mark: str) -> None:
    assert contains_card_number(f"see {parted(with_check_digit(number), sizes, mark)}, thanks")


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111 12/28",
        "4111 1111 1111 1111 123",
        "4111111111111111 1228 123",
        "2 4111 1111 1111 1111",
        "12 x 4111111111111111",
        "order 77 4111-1111-1111-1111",
        "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
        "\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661",
        "4111\u200b1111\u200b1111\u200b1111",
    ],
)
def test_what_stands_beside_it_does_not_hide_it(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PAY-20261120-7K2M9QX4TB3A",
        "RCP-PAY-20261120-012345678901",
        "2026-11-20T10:00:00.123456Z",
        "2026-11-20 10.30.00.123456",
        "20261120103000123456",
        "1763712345678",  # milliseconds since 1970
        "4111111111111112",  # no Luhn
        "9111111111111114",  # nobody's prefix
        "41111111111111110000000",  # too long for a card
        "411111111111",  # too short
        "+91 98765 43210, +91 98765 43211",
        "ORD-4532-2026-11-20-0001-7",
        "550e8400-e29b-41d4-a716-446655440000",
        "4111, 1111, 1111, 1111",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not contains_card_number(text)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=500))
def test_any_text_can_be_searched(text: str) -> None:
    contains_card_number(text)
