"""What Swish looks at before it takes a request: codes for what is wrong, as a 422 has them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

UUID = re.compile(r"[0-9A-F]{32}", re.ASCII)

AT_ONCE = {
    "FF08": "PaymentReference is invalid.",
    "RP01": "Missing Merchant Swish Number.",
    "RP02": "Wrong formatted message.",
    "RP03": "Callback URL is missing or does not use HTTPS.",
    "RP06": "A payment request already exists for that payer.",
    "RP09": "The given instructionUUID is not available.",
    "PA02": "Amount value is missing or not a valid number.",
    "AM02": "Amount value is too large.",
    "AM03": "Invalid or missing Currency.",
    "AM04": "Insufficient funds in account.",
    "AM06": "Specified transaction amount is less than agreed minimum.",
    "BE18": "Payer alias is invalid.",
    "ACMT01": "Counterpart is not activated.",
    "ACMT03": "Payer not Enrolled.",
    "ACMT07": "Payee not Enrolled.",
    "ACMT17": "Payee not Enrolled.",
    "VR01": "Payer does not meet the age limit.",
    "VR02": "The payer alias is not enrolled with the age limit.",
    "RF01": "Original payment not found.",
    "RF02": "Original payment is more than 13 months old.",
    "RF03": "Payer alias is not the payee alias of the original payment.",
    "RF08": "Amount value is too large or amount exceeds the original payment.",
    "RF09": "Refund already in progress.",
}
"""Said as the answer to a request. One that is the whole message brings the answer about, as with
Swish's own simulator."""

LATER = {
    "RF07": "Transaction declined.",
    "BANKIDCL": "Payer cancelled BankID signing.",
    "FF10": "Bank system processing error.",
    "TM01": "Swish timed out before the payment was started.",
    "DS24": "Swish timed out waiting for an answer from the banks.",
}
"""How a request ends that was taken."""

_LARGEST = Decimal("999999999999.99")
_TOLD = re.compile(r'[A-Za-z0-9ÅÄÖåäö:;.,?!()" ]{0,50}')


def wrong_payment(body: Mapping[str, Any]) -> list[str]:
    """The codes of all that is wrong with it."""
    return [code for code, fits in _PAYMENT if not fits(body)] + _of_amount(body.get("amount"))


def wrong_refund(body: Mapping[str, Any]) -> list[str]:
    """The codes of all that is wrong with it, but for the payment that it names."""
    return [code for code, fits in _REFUND if not fits(body)] + _of_amount(body.get("amount"))


def amount_of(value: Any) -> Decimal | None:
    """An amount as a string or a number; None for what is none."""
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | float) else None
    except InvalidOperation:
        return None
    if number is None or isinstance(value, bool) or not number.is_finite():
        return None
    return number if number == round(number, 2) else None


def _of_amount(value: Any) -> list[str]:
    number = amount_of(value)
    if number is None:
        return ["PA02"]
    if number > _LARGEST:
        return ["AM02"]
    return ["AM06"] if number < Decimal("0.01") else []


def _text(name: str, pattern: str, *, optional: bool = True) -> Callable[[Mapping[str, Any]], bool]:
    def fits(body: Mapping[str, Any]) -> bool:
        value = body.get(name)
        if value is None:
            return optional
        return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None

    return fits


def _callback(body: Mapping[str, Any]) -> bool:
    """HTTPS; this machine's own may do without, for whoever develops here."""
    url = body.get("callbackUrl")
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        return parts.scheme == "https" or (
            parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
        )
    except ValueError:
        return False


def _message(body: Mapping[str, Any]) -> bool:
    told = body.get("message") or ""
    return isinstance(told, str) and _TOLD.fullmatch(told) is not None


_EITHER = (
    ("RP03", _callback),
    ("AM03", lambda body: body.get("currency") == "SEK"),
    ("RP02", _message),
    ("RP03", _text("callbackIdentifier", "[A-Za-z0-9-]{32,36}")),
)
_PAYMENT = (
    *_EITHER,
    ("FF08", _text("payeePaymentReference", "[A-Za-z0-9]{1,35}")),
    ("RP01", _text("payeeAlias", "123[0-9]{7}", optional=False)),
    ("BE18", _text("payerAlias", "[1-9][0-9]{7,14}")),
)
_REFUND = (
    *_EITHER,
    ("FF08", _text("payerPaymentReference", "[A-Za-z0-9]{1,35}")),
    ("RP01", _text("payerAlias", "123[0-9]{7}", optional=False)),
    ("BE18", _text("payeeAlias", "[1-9][0-9]{7,14}")),
    ("RF01", _text("originalPaymentReference", "[0-9A-F]{32}", optional=False)),
)
