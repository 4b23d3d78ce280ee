"""receipt -> HTML -> PDF: one page of strings, laid out twice from templates/.

The PDF is set by Typst: it shapes and orders every script, and takes milliseconds.
"""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from payment_service.domain import money
from payment_service.domain.receipts import Line, LineKey, Receipt, RefundLine, lines

if TYPE_CHECKING:
    import typst

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "templates"
FONTS = ROOT / "static" / "fonts"

LABELS = {
    LineKey.DISTANCE: "Distance",
    LineKey.BASE_FARE: "Base fare",
    LineKey.SURGE: "Surge",
    LineKey.TOTAL_FARE: "Total fare",
    LineKey.ADJUSTMENT: "Adjustment",
    LineKey.PAID: "Paid",
    LineKey.REFUND: "Refund",
    LineKey.REFUND_RETURNED: "Refund returned",
    LineKey.NET: "Net paid",
}
SUMS = frozenset({LineKey.TOTAL_FARE, LineKey.PAID, LineKey.NET})
METHODS = {"UPI": "UPI", "NET_BANKING": "Net banking"}
LONG_WORD = 40
"""Characters after which a word without spaces may be broken: about half a line of the PDF."""
_LONG_WORD = re.compile(rf"\S{{{LONG_WORD + 1},}}")
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


@dataclass(frozen=True)
class PrintedLine:
    """One printed line; each part of `detail` is read by itself, whatever its script."""

    label: str
    detail: tuple[str, ...]
    amount: str
    is_sum: bool


@dataclass(frozen=True)
class PrintedReceipt:
    """All that a receipt prints, as text; both templates show exactly this."""

    issuer: str
    number: str
    amount: str
    states: tuple[tuple[str, ...], ...]
    route: tuple[str, ...]
    description: str
    rows: tuple[PrintedLine, ...]
    ids: tuple[tuple[str, str], ...]
    records: tuple[tuple[str, str], ...]
    footer: str


def html(receipt: Receipt, *, issuer: str, locale: str, timezone: str) -> str:
    """The receipt as one HTML document without outside parts; prints on one page.

    `locale` such as en_IN or de-DE, `timezone` an IANA name. Raises ValueError for an unknown
    locale and ZoneInfoNotFoundError for an unknown zone.
    """
    page = _printed(receipt, issuer=issuer, locale=_locale(locale), zone=ZoneInfo(timezone))
    return _templates().get_template("receipt.html").render(page=page)


def pdf(receipt: Receipt, *, issuer: str, locale: str, timezone: str) -> bytes:
    """The same page as PDF (A4). The same receipt gives the same bytes; raises as `html`."""
    # Here, not at the top: a web worker that never prints doesn't load the typesetter.
    import typst

    page = _printed(receipt, issuer=issuer, locale=_locale(locale), zone=ZoneInfo(timezone))
    document: bytes = typst.compile(
        TEMPLATES / "receipt.typ",
        root=TEMPLATES,
        font_paths=_fonts(),
        sys_inputs={"page": json.dumps(_typeset(asdict(page)))},
        timestamp=int(receipt.changed_at.timestamp()),
    )
    return document


@lru_cache(maxsize=1)
def _templates() -> Environment:
    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    """Our fonts only, so that a receipt looks the same on every machine."""
    import typst

    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])


def _printed(receipt: Receipt, *, issuer: str, locale: Locale, zone: ZoneInfo) -> PrintedReceipt:
    writer = _Writer(receipt.currency, locale, zone)
    return PrintedReceipt(
        issuer=_plain(issuer),
        number=receipt.receipt_id,
        amount=writer.amount(receipt.captured),
        states=tuple(_states(receipt, writer)),
        route=tuple(_plain(name) for name in (receipt.pickup_zone, receipt.drop_zone) if name),
        description=_plain(receipt.description or ""),
        rows=tuple(writer.row(line, receipt) for line in lines(receipt)),
        ids=_known(_ids(receipt)),
        records=_known(_records(receipt, writer)),
        footer=f"All amounts in {receipt.currency}. All times in {zone.key}.",
    )


def _states(receipt: Receipt, writer: _Writer) -> Iterator[tuple[str, ...]]:
    yield ("Paid", _method(receipt.method), writer.time(receipt.paid_at))
    if receipt.refunded:
        label = "Partly refunded" if receipt.net else "Refunded"
        returned, net = writer.amount(receipt.refunded), writer.amount(receipt.net)
        yield (label, f"returned {returned}", f"net paid {net}")


def _method(method: str) -> str:
    return METHODS.get(method, method.replace("_", " ").capitalize())


def _ids(receipt: Receipt) -> dict[str, object]:
    return {
        "Payment": receipt.payment_id,
        "Trip": receipt.trip_id,
        "Order": receipt.order_id,
        "Rider": receipt.rider_id,
        "Driver": receipt.driver_id,
        "Customer": receipt.user_id,
        "Method": _method(receipt.method),
        "Provider": receipt.provider,
    }


def _records(receipt: Receipt, writer: _Writer) -> dict[str, object]:
    return {
        "Requested": writer.time(receipt.created_at, with_offset=True),
        "Paid": writer.time(receipt.paid_at, with_offset=True),
        "Reference": receipt.reference,
        "Caller's reference": receipt.caller_reference,
    }


def _known(facts: dict[str, object]) -> tuple[tuple[str, str], ...]:
    """The lines whose value is known; the others are left out."""
    return tuple((label, _plain(str(value))) for label, value in facts.items() if value is not None)


class _Writer:
    """Numbers and times of one receipt the way of its locale."""

    def __init__(self, currency: str, locale: Locale, zone: ZoneInfo) -> None:
        self.currency = currency
        self.locale = locale
        self.dates = _english(locale)
        self.zone = zone

    def amount(self, minor: int) -> str:
        return self.money(money.to_decimal(minor, self.currency))

    def money(self, value: Decimal) -> str:
        """With exactly the currency's ISO 4217 digits, or with more where `value` has more.

        Babel's own digits come from CLDR, which rounds IQD to whole dinars.
        """
        digits = money.exponent(self.currency)
        pattern = copy.copy(self.locale.currency_formats["standard"])
        pattern.frac_prec = (digits, digits)
        return format_currency(
            value,
            self.currency,
            format=pattern,
            locale=self.locale,
            currency_digits=False,
            decimal_quantization=False,
        )

    def number(self, value: Decimal) -> str:
        return format_decimal(value, locale=self.locale, decimal_quantization=False)

    def time(self, when: datetime, *, with_offset: bool = False) -> str:
        """Date, time and zone; with the offset if that is asked for: three countries call
        their zone IST."""
        local = when.astimezone(self.zone)
        sign_and_hours, minutes = f"{local:%z}"[:3], f"{local:%z}"[3:5]
        offset = f"UTC{sign_and_hours}:{minutes}" if local.utcoffset() else "UTC"
        name = local.tzname() or ""
        zone = name if name.isalpha() else offset
        day = format_date(local, "medium", locale=self.dates)
        clock = format_time(local, "short", locale=self.dates)
        return f"{day}, {clock} {zone}" + (f" ({offset})" if with_offset and zone != offset else "")

    def row(self, line: Line, receipt: Receipt) -> PrintedLine:
        return PrintedLine(
            label=LABELS[line.key],
            detail=tuple(part for part in self._detail(line, receipt) if part),
            amount="" if line.amount is None else self.amount(line.amount),
            is_sum=line.key in SUMS,
        )

    def _detail(self, line: Line, receipt: Receipt) -> tuple[str, ...]:
        if line.refund is not None:
            return self._refund(line.key, line.refund)
        if line.key is LineKey.PAID:
            return (_method(receipt.method),)
        if line.key is LineKey.ADJUSTMENT:
            return ("The payment differs from the fare",)
        return () if line.figure is None else self._figure(line, line.figure, receipt)

    def _figure(self, line: Line, figure: Decimal, receipt: Receipt) -> tuple[str, ...]:
        if line.key is LineKey.BASE_FARE:
            return () if line.amount is not None else (self.money(figure),)
        if line.key is LineKey.SURGE:
            return (f"\N{MULTIPLICATION SIGN} {self.number(figure)}",)
        rate = receipt.fare.rate_per_km if receipt.fare and line.amount is not None else None
        return f"{self.number(figure)} km", "" if rate is None else f"at {self.money(rate)} per km"

    def _refund(self, key: LineKey, refund: RefundLine) -> tuple[str, ...]:
        number = "" if refund.refund_id is None else f"No. {refund.refund_id}"
        at = refund.reversed_at if key is LineKey.REFUND_RETURNED else refund.at
        return number, self.time(at) if at else "", _plain(refund.reason or "")


def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except UnknownLocaleError as error:
        raise ValueError(f"unknown locale {name!r}") from error


def _english(locale: Locale) -> Locale:
    """English as it is written in the locale's country, for dates: the receipt's own words are
    English too."""
    try:
        return Locale("en", locale.territory)
    except UnknownLocaleError:
        return Locale("en", "001")


def _plain(text: str) -> str:
    """Foreign text as one line: no control characters, and nothing that turns its neighbours.

    Explicit directional marks go, so that a description cannot reorder what stands beside it;
    joiners stay, as Indic scripts and Persian are written with them.
    """
    kept = (c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(c for c in kept if unicodedata.bidirectional(c) not in _TURNS)


def _typeset(value: Any) -> Any:
    """What the PDF template gets for each string: breakable text, and which ways it runs.

    `rtl` is the paragraph's direction by its first strong character, as dir=auto has it; `mixed`
    says that some of it runs leftward.
    """
    if isinstance(value, str):
        kinds = [unicodedata.bidirectional(c) for c in value]
        first = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
        mixed = not {"R", "AL", "AN"}.isdisjoint(kinds)
        return {"text": _LONG_WORD.sub(_break_up, value), "rtl": first != "L", "mixed": mixed}
    if isinstance(value, dict):
        return {name: _typeset(part) for name, part in value.items()}
    return [_typeset(part) for part in value] if isinstance(value, list | tuple) else value


def _break_up(word: re.Match[str]) -> str:
    """A zero-width space after every LONG_WORD characters, never before a mark or a joiner."""
    broken, since = "", 0
    for char in word[0]:
        if since >= LONG_WORD and unicodedata.category(char)[0] in "LNPS":
            broken, since = broken + "\u200b", 0
        broken, since = broken + char, since + 1
    return broken
