"""Receipts to test with, and readers of what was printed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pypdf

from payment_service import rendering
from payment_service.domain.fares import Fare
from payment_service.domain.receipts import Receipt, RefundLine

PAID_AT = datetime(2026, 11, 20, 11, 9, 2, tzinfo=UTC)
SCRIPTS = {
    "Hindi": "क्षत्रिय हिन्दी रात की सवारी। क्‍ष",
    "Arabic": "رحلة إلى المطار، مَرْحَبًا",
    "Persian": "می‌خواهم به فرودگاه",
    "Urdu": "ہوائی اڈے تک سواری",
    "Hebrew": "נסיעה לשדה התעופה",
    "Thai": "ค่าโดยสารน้ำผึ้ง",
    "Chinese": "前往機場的车费",
    "Japanese": "空港までお疲れ様ドライブ",
    "Korean": "서울역까지 택시",
    "Tamil": "சென்னை விமான நிலையம்",
    "Telugu": "విమానాశ్రయానికి ప్రయాణం",
    "Kannada": "ವಿಮಾನ ನಿಲ್ದಾಣಕ್ಕೆ ಪ್ರಯಾಣ",
    "Malayalam": "വിമാനത്താവളത്തിലേക്ക്",
    "Bengali": "ক্ষমতা র‍্যাব বিমানবন্দর",
    "Gujarati": "એરપોર્ટ સુધીની સવારી",
    "Punjabi": "ਹਵਾਈ ਅੱਡੇ ਤੱਕ",
    "Odia": "ବିମାନବନ୍ଦର ଯାତ୍ରା",
    "Sinhala": "ශ්‍රී ලංකාව",
    "Burmese": "လေဆိပ်သို့ မြန်မာ",
    "Khmer": "ធ្វើដំណើរទៅព្រលានយន្តហោះ",
    "Lao": "ເດີນທາງໄປສະໜາມບິນ",
    "Georgian": "მგზავრობა აეროპორტში",
    "Armenian": "Ուղևորություն դեպի օդանավակայան",
    "Amharic": "ወደ አየር ማረፊያ",
    "Greek": "Διαδρομή προς το αεροδρόμιο",
    "Russian": "Поездка в аэропорт",
    "Vietnamese": "Chuyến đi tới sân bay",
    "signs": "30 → 45 km ≤ ½ € ₹ ৳ ฿ ₦ ₺ ₴ ★ ✓",
}


def a_receipt(**changes: Any) -> Receipt:
    facts: dict[str, Any] = {
        "reference": "PAY-20261120-7K2M9QX4TB3A",
        "payment_id": 351,
        "trip_id": 32,
        "rider_id": 101,
        "driver_id": 201,
        "method": "CARD",
        "provider": "sandbox",
        "status": "SUCCESS",
        "currency": "INR",
        "amount": 9901,
        "captured": 9901,
        "refunded": 0,
        "created_at": PAID_AT - timedelta(seconds=2),
        "paid_at": PAID_AT,
    }
    return Receipt(**facts | changes)


def a_fare(**changes: Any) -> Fare:
    facts: dict[str, Any] = {
        "total": 9901,
        "currency": "INR",
        "distance_km": Decimal("5.69"),
        "base_fare": Decimal("82.51"),
        "surge_multiplier": Decimal("1.2"),
    }
    return Fare(**facts | changes)


def a_ride(**changes: Any) -> Receipt:
    facts: dict[str, Any] = {
        "fare": a_fare(),
        "pickup_zone": "Marathahalli",
        "drop_zone": "Kormangala",
    }
    return a_receipt(**facts | changes)


def refunds(count: int, amount: int) -> tuple[RefundLine, ...]:
    return tuple(
        RefundLine(number, amount, PAID_AT + timedelta(days=number), "Driver took a longer way")
        for number in range(1, count + 1)
    )


def html(
    receipt: Receipt,
    *,
    issuer: str = "Ride receipt",
    locale: str = "en_IN",
    timezone: str = "Asia/Kolkata",
) -> str:
    return rendering.html(receipt, issuer=issuer, locale=locale, timezone=timezone)


def pdf(
    receipt: Receipt,
    *,
    issuer: str = "Ride receipt",
    locale: str = "en_IN",
    timezone: str = "Asia/Kolkata",
) -> pypdf.PdfReader:
    made = rendering.pdf(receipt, issuer=issuer, locale=locale, timezone=timezone)
    return pypdf.PdfReader(BytesIO(made))


class _Text(HTMLParser):
    """What a reader sees of a page, cell by cell."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("style", "title")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self.hidden and data.strip():
            self.parts.append(" ".join(data.split()))


def seen(document: str) -> list[str]:
    reader = _Text()
    reader.feed(document)
    return reader.parts


def printed(document: pypdf.PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in document.pages).split())


def missing_glyphs(document: pypdf.PdfReader) -> int:
    """How often glyph 0, the box that stands for a character no font has, is shown.

    Typst writes two-byte glyph numbers of its subset fonts, in which .notdef stays 0.
    """
    shown = b"".join(
        bytes(part) if isinstance(part, bytes) else part.original_bytes
        for page in document.pages
        for part in _shown(page)
    )
    return sum(shown[i : i + 2] == b"\0\0" for i in range(0, len(shown), 2))


def _shown(page: pypdf.PageObject) -> Iterator[Any]:
    contents = page.get_contents()
    assert contents is not None
    for operands, operator in contents.operations:
        if operator == b"Tj":
            yield operands[0]
        elif operator == b"TJ":
            yield from (part for part in operands[0] if isinstance(part, bytes | str))
