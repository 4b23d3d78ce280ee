"""Card numbers in free text: found however they are written, and nothing else taken for one."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_service.domain import references
from payment_service.domain.cards import MASK, contains_card_number, in_url, luhn, masked
from tests.sandbox_server import ROOT

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


MARKS = [
    *[" ", "-", ".", " - ", "  ", "\u00a0", "\u2013", "\u2011", "\n", "\r\n", "\t"],
    *["/", "_", ",", ", ", " / ", " , ", ") (", ")(", "--", "...", " " * 7, " " * 200, "\n\n\n\n"],
    *["\u3000", "\u2028", "\u200b \u200b", "\uff0f", "\u2044", "\uff0c", "\u060c", "\u3001"],
    *["\uff3f", "\uff08", "\u2212", "\u00b7"],
]


@pytest.mark.parametrize("mark", MARKS)
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
        "(4111) (1111) (1111) (1111)",
        "(4111)(1111)(1111)(1111)",
        "4111 1111-1111/1111",
        "4111_1111 (1111), 1111",
        "4111,1111,1111,1111,12/28",
        "1/4111/1111/1111/1111/2",
        "3782 822463-10005",
        "3782, (822463) 10005",
        "41 11 - 11 11 11.11 11 11",
        "".join(f"{digit}\ufe0f\u20e3" for digit in "4111111111111111"),
        f"{uuid.UUID(int=1, version=4)} 4111111111111111",
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
        "55081400-4291-4124-8716-446655440000",
        "5508140042914124b716446655440000",
        "30/11/2026 05.30.00.123456",
        "415-555-2671, 415-555-2672",
        "(415) 555-2671, (415) 555-2672 / (415) 555-2673",
        "4155552671,4155552672",
        "12.9715987, 77.5945627",
        "01/02/26, 03/04/26, 30/05/26",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not contains_card_number(text)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=500))
def test_any_text_can_be_searched(text: str) -> None:
    contains_card_number(text)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.text(alphabet="0123456789 -./_,()\n", max_size=500),
    st.sampled_from(sorted(NUMBERS.values())),
    st.sampled_from([(4, 4, 4, 4), (4, 6, 5), (19,)]),
    st.sampled_from(MARKS),
)
def test_words_hide_no_number_beside_them(
    around: str, number: str, sizes: tuple[int, ...], mark: str
) -> None:
    grouped = parted(with_check_digit(number), sizes, mark)
    text = f"{around}x{grouped}x{around}"
    assert contains_card_number(text)
    assert grouped not in masked(text)
    assert not contains_card_number(masked(text))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = [
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H.%M.%S.%f",
    "%Y-%m-%d_%H-%M-%S",
    "%d/%m/%Y, %H:%M",
    "%d/%m/%Y %H.%M.%S.%f",
    "%d.%m.%y %H.%M",
    "%Y%m%d%H%M%S",
    "%Y%m%d-%H%M%S",
    "%Y%m%d%H%M%S%f",
]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.integers(0, 72 * 10**14).map(lambda micros: EPOCH + timedelta(microseconds=micros)),
    st.sampled_from(TIMES),
)
def test_times_are_left_alone(moment: datetime, shape: str) -> None:
    assert not contains_card_number(f"from {moment:{shape}} to {moment:{shape}}")


PHONES = [
    *["+1 (415) 555-{:04}", "(415) 555-{:04}", "415.555.{:04}", "+91 98765 4{:04}"],
    *["+44 20 7946 {:04}", "+49 (30) 901820 {:04}", "+65 6123 {:04}", "0044/20/7946/{:04}"],
]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(PHONES), st.integers(0, 9999), st.sampled_from([", ", " / ", "; ", "\n"]))
def test_telephone_numbers_are_left_alone(shape: str, number: int, mark: str) -> None:
    assert not contains_card_number(f"call {shape.format(number)}")
    both = f"{shape.format(number)} or{mark}{shape.format(number)}"
    assert not contains_card_number(both)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.uuids(version=4), st.sampled_from([str, lambda made: made.hex, lambda made: made.urn]))
def test_uuids_are_left_alone(made: uuid.UUID, spelled: Any) -> None:
    assert not contains_card_number(spelled(made).upper())
    digits = uuid.UUID(f"{made.int % 10**32:032}").hex
    both = f"{digits[:12]}4{digits[13:16]}8{digits[17:]}"
    assert not contains_card_number(spelled(uuid.UUID(both)))


def test_our_references_are_left_alone() -> None:
    for year in range(2026, 2200):
        for _ in range(5):
            made = references.payment_reference(datetime(year, 1, 2, tzinfo=UTC))
            assert not contains_card_number(f"RCP-{made}, {made}-1, {made}-12")


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_in_an_url_it_is_found_however_it_is_encoded(rounds: int) -> None:
    text = "/v1/4111 1111 1111 1111/x"
    for _ in range(rounds):
        text = quote(text, safe="").replace("1", "%31")
    assert in_url(text)
    assert masked(text) == f"/v1/{MASK}/x"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a 4111 1111 1111 1111 12/28", f"a {MASK} 12/28"),
        ("4111111111111111 and 5555-5555-5555-4444", f"{MASK} and {MASK}"),
        ("/v1/4111111111111111/x", f"/v1/{MASK}/x"),
        ("4111111111111111 %34111111111111111", f"{MASK} {MASK}"),
        ("100% of nothing", "100% of nothing"),
        ("caf\u00e9 %C3%A9", "caf\u00e9 %C3%A9"),
        ("", ""),
    ],
)
def test_it_is_masked_and_the_rest_stays(text: str, left: str) -> None:
    assert masked(text) == left


HARD = (
    *("1 ", "1" + " " * 500, "4 1,", "1" * 20 + "-", "(", "1(", "%25", "%31", "4111 1111 1111 "),
    *("411111111111", "4" + "," * 5000, "\u0664\u3000", "550e8400-e29b-4"),
)


def test_no_text_is_hard_to_search() -> None:
    """Nothing is looked at again and again: of these texts, a search whose steps grow with the
    square of the length would take hours."""
    search = (
        "from payment_service.domain.cards import contains_card_number, masked\n"
        f"for part in {HARD!r}:\n"
        "    text = part * (60_000 // len(part)) + 'x'\n"
        "    contains_card_number(text), masked(text)\n"
    )
    subprocess.run([sys.executable, "-c", search], cwd=ROOT, check=True, timeout=120)
