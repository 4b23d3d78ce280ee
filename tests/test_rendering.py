"""The printed receipt: HTML and PDF say the same, in every script, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import pytest
from receipt_samples import (
    SCRIPTS,
    a_receipt,
    a_ride,
    html,
    missing_glyphs,
    pdf,
    printed,
    refunds,
    seen,
)

from payment_service import rendering
from payment_service.domain import money
from payment_service.domain.receipts import RefundLine


def test_html_and_pdf_show_the_fare_line_by_line() -> None:
    expected = [
        "Distance",
        "5.69 km",
        "Base fare",
        "₹82.51",
        "Surge",
        "\N{MULTIPLICATION SIGN} 1.2",
        "₹16.50",
    ]
    expected += ["Total fare", "₹99.01", "Paid", "Card", "₹99.01"]
    page = seen(html(a_ride()))
    start = page.index("Distance")
    assert page[start : start + len(expected)] == expected
    assert " ".join(expected) in printed(pdf(a_ride()))


@pytest.mark.parametrize("locale", ["en_IN", "de_DE", "fr_FR", "ja_JP"])
def test_html_and_pdf_say_the_same(locale: str) -> None:
    receipt = a_ride(
        refunded=4500,
        refunds=refunds(3, 1500),
        description="Late evening ride, two stops",
        caller_reference="trip-32-charge",
        order_id=77,
        user_id=5,
    )
    paper = printed(pdf(receipt, locale=locale))
    absent = [part for part in seen(html(receipt, locale=locale)) if part.strip(" ·") not in paper]
    assert absent == []


def test_both_name_parties_method_number_and_times() -> None:
    for page in (" ".join(seen(html(a_ride()))), printed(pdf(a_ride()))):
        assert "Receipt RCP-PAY-20261120-7K2M9QX4TB3A" in page
        for fact in ("Payment 351", "Trip 32", "Rider 101", "Driver 201", "Method Card"):
            assert fact in page
        assert "20 Nov 2026, 4:39 pm IST (UTC+05:30)" in page
        assert "All amounts in INR. All times in Asia/Kolkata." in page


def test_a_refund_adds_lines_and_leaves_the_others() -> None:
    before = seen(html(a_ride()))
    after = seen(html(a_ride(refunded=1500, refunds=refunds(1, 1500))))
    start, end = before.index("Distance"), before.index("Details")
    at = after.index("Distance")
    assert after[at : at + end - start] == before[start:end]
    added = " ".join(after[at + end - start : after.index("Details")])
    assert added == (
        "Refund No. 1 · 21 Nov 2026, 4:39 pm IST · Driver took a longer way -₹15.00 Net paid ₹84.01"
    )


@pytest.mark.parametrize(
    ("currency", "minor", "locale", "written"),
    [
        ("INR", 10486000, "en_IN", "₹1,04,860.00"),
        ("INR", 10486, "de-DE", "104,86 ₹"),
        ("JPY", 10400, "ja_JP", "￥10,400"),
        ("KWD", 4250, "en_US", "KWD4.250"),
        ("IQD", 1048600, "en_US", "IQD1,048.600"),
        ("EUR", 1234560, "fr_FR", "12 345,60 €"),
    ],
)
def test_amounts_are_written_the_way_of_the_locale(
    currency: str, minor: int, locale: str, written: str
) -> None:
    receipt = a_receipt(currency=currency, amount=minor, captured=minor)
    assert written in seen(html(receipt, locale=locale))
    assert written in printed(pdf(receipt, locale=locale))


@pytest.mark.parametrize("currency", sorted(money.EXPONENTS))
def test_every_currency_has_its_iso_digits(currency: str) -> None:
    receipt = a_receipt(currency=currency, amount=1_234_567, captured=1_234_567)
    headline = seen(html(receipt, locale="en_US"))[2]
    shown = re.search(r"[0-9][0-9,.]*[0-9]", headline)
    assert shown is not None
    assert shown[0].replace(",", "") == money.format_amount(1_234_567, currency)


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_every_script_prints_with_its_glyphs(script: str) -> None:
    text = SCRIPTS[script]
    page = pdf(a_receipt(description=text, pickup_zone=text), issuer=text)
    assert missing_glyphs(page) == 0
    assert text in html(a_receipt(description=text))


def test_a_glyph_that_no_font_has_is_noticed_here() -> None:
    assert missing_glyphs(pdf(a_receipt(description="\ue000"))) == 1


@pytest.mark.parametrize(
    "text",
    ["🚗🙂❤️👍🏽🇮🇳", "\ue000\U000f0000", "a\x00b\x1b[0m\x85", "\ud800", "\u202eevil", "‍‌", "\ufeff"],
)
def test_strange_characters_break_nothing(text: str) -> None:
    receipt = a_receipt(description=text, caller_reference=text, pickup_zone=text)
    assert "₹99.01" in html(receipt)
    assert "₹99.01" in printed(pdf(receipt, issuer=text))


def test_text_of_others_is_never_markup() -> None:
    attack = '<script>alert(1)</script>"><b>&amp;{{ 7*7 }}'
    page = html(a_ride(description=attack, caller_reference=attack), issuer=attack)
    assert "<script" not in page
    assert "<b>" not in page
    assert attack in seen(page)
    typeset = '#panic("x") *bold* $x$ @ref [a] \\ // {{ 7*7 }}'
    assert typeset in printed(pdf(a_receipt(description=typeset)))


def test_text_of_others_cannot_turn_what_stands_beside_it() -> None:
    page = html(a_ride(description="\u202e10.99\u202c \u2066x"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page)
    assert '<p dir="auto">10.99 x</p>' in page


@pytest.mark.parametrize(
    ("timezone", "when"),
    [
        ("Europe/Berlin", "20 Nov 2026, 12:09 pm CET (UTC+01:00)"),
        ("Asia/Dubai", "20 Nov 2026, 3:09 pm UTC+04:00"),
        ("America/St_Johns", "20 Nov 2026, 7:39 am NST (UTC-03:30)"),
        ("UTC", "20 Nov 2026, 11:09 am UTC"),
    ],
)
def test_times_say_their_zone(timezone: str, when: str) -> None:
    assert when in seen(html(a_ride(), timezone=timezone))
    assert when in printed(pdf(a_ride(), timezone=timezone))


def test_summer_time_is_named_line_by_line() -> None:
    refund = RefundLine(1, 100, datetime(2027, 7, 1, tzinfo=UTC))
    page = seen(html(a_ride(refunded=100, refunds=(refund,)), timezone="Europe/Berlin"))
    assert "1 Jul 2027, 2:00 am CEST" in page


def test_unknown_settings_are_errors() -> None:
    with pytest.raises(ValueError, match="unknown locale"):
        html(a_ride(), locale="tlh_QO")
    with pytest.raises(ZoneInfoNotFoundError):
        pdf(a_ride(), timezone="Mars/Olympus")


SAME_BYTES = """
import hashlib, sys
sys.path.insert(0, "tests")
from receipt_samples import a_ride, refunds, rendering
receipt = a_ride(refunded=3000, refunds=refunds(2, 1500))
settings = {"issuer": "Ride receipt", "locale": "en_IN", "timezone": "Asia/Kolkata"}
print(hashlib.sha256(rendering.pdf(receipt, **settings)).hexdigest())
"""


def test_the_same_receipt_is_the_same_bytes_on_every_machine() -> None:
    made = {
        subprocess.run(
            [sys.executable, "-c", SAME_BYTES],
            env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[1],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for zone, seed in [("UTC", "1"), ("Pacific/Auckland", "2")]
    }
    assert len(made) == 1


def test_the_pdf_names_itself_and_carries_the_receipts_date() -> None:
    receipt = a_ride(refunded=1500, refunds=refunds(1, 1500))
    about = pdf(receipt).metadata
    assert about is not None
    assert about.title == "Receipt RCP-PAY-20261120-7K2M9QX4TB3A"
    assert about.author == "Ride receipt"
    assert about.creation_date == receipt.changed_at


def test_importing_loads_no_typesetter() -> None:
    code = "import sys, payment_service.rendering; sys.exit('typst' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True)


def test_the_fonts_come_with_their_licence_and_stay_small() -> None:
    fonts = list(rendering.FONTS.glob("*.[to]tf"))
    assert "SIL OPEN FONT LICENSE" in (rendering.FONTS / "OFL.txt").read_text()
    assert sum(font.stat().st_size for font in fonts) < 12_000_000
