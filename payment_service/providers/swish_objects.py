"""What Swish's objects and refusals say, as results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode

import segno

from payment_service import http
from payment_service.domain import money
from payment_service.providers import members
from payment_service.providers.contract import Outcome, OutcomeUnknown, Result

NOT_KNOWN_THERE = "DS24"
"""Swish does not know whether the payer has paid."""
LONGEST_MESSAGE = 50
LONGEST_AMOUNT = 12
"""Digits before the point; Swish's own limit, and int() of far more would take long."""

_CODES = {
    "AM04": "insufficient_funds",
    "AM02": "limit_exceeded",
    "ACMT03": "method_not_supported",
    "VR01": "method_not_supported",
    "VR02": "method_not_supported",
    "BE18": "invalid_token",
    "RF07": "cancelled_by_payer",
    "BANKIDCL": "cancelled_by_payer",
    "RF08": "refund_exceeds_captured",
}
_NOT_IN_A_MESSAGE = re.compile(r"[^A-Za-z0-9ÅÄÖåäö:;.,?!() ]")


def message(text: str | None) -> str | None:
    """The text as the payer may read it: other signs than these make Swish refuse the whole
    request."""
    return _NOT_IN_A_MESSAGE.sub(" ", text)[:LONGEST_MESSAGE].strip() or None if text else None


def handed_on(token: str, return_url: str | None) -> dict[str, str]:
    """The token as the payer gets it: for an app, as a link on the phone, as a QR code elsewhere.
    A QR code of Swish's is `D` and the token."""
    link = {"token": token} | ({"callbackurl": return_url} if return_url else {})
    return {
        "url": f"swish://paymentrequest?{urlencode(link, quote_via=quote)}",
        "token": token,
        "qr": segno.make(f"D{token}", micro=False, error="m").png_data_uri(scale=4),
    }


def minor(value: Any, currency: str) -> int:
    """An amount in minor units; Swish writes "100.00", 100 and 100.0. Raises ValueError."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise ValueError("no amount")
        number = Decimal(value)
        if not number.is_finite() or number.adjusted() > LONGEST_AMOUNT:
            raise ValueError("no amount")
        return money.exact_minor(number, currency)
    except (InvalidOperation, ArithmeticError):
        raise ValueError("no amount") from None


def is_page(answer: http.Response) -> bool:
    """Whether it is HTML: Swish answers none, so it came from what stands in front of it, or from
    another address."""
    return answer.body.lstrip().startswith(b"<")


def refusals(answer: http.Response) -> dict[str, str | None]:
    """The codes of a 422, in their order, with what is said to each. Raises OutcomeUnknown."""
    try:
        codes = {str(one["errorCode"]): one.get("errorMessage") for one in answer.json()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutcomeUnknown(f"unreadable refusal: {type(error).__name__}") from error
    if not codes:
        raise OutcomeUnknown("a refusal without a reason")
    return codes


def declined(code: str, says: Any, known_as: str | None = None) -> Result:
    """Raises OutcomeUnknown where the code says that Swish does not know."""
    if code == NOT_KNOWN_THERE:
        raise OutcomeUnknown("it does not know itself whether it was paid (DS24)")
    return Result(
        Outcome.DECLINED,
        known_as,
        failure_code=_CODES.get(code, "provider_declined"),
        failure_message=f"{code}: {says}" if isinstance(says, str) else code,
    )


def paid(found: Mapping[str, Any], amount: int, *, known_as: str | None = None) -> Result:
    """A payment or refund that is done. Its own paymentReference is by what a refund names it, and
    by what the bank's file does. A refund may have none: clients in use read null there, or
    nothing; then it is what it was `known_as`."""
    return Result(
        Outcome.APPROVED,
        members.text(found.get("paymentReference") or known_as),
        amount_approved=amount,
        occurred_at=members.moment(found.get("datePaid")),
    )


def of_cancel(found: Mapping[str, Any]) -> Result | None:
    """How the wait for the payer stands, as an answer to its end; None while it goes on."""
    status = found["status"]
    if status == "CANCELLED":
        return Result(Outcome.APPROVED, str(found["id"]))
    if status in ("PAID", "DECLINED", "ERROR"):
        return Result(
            Outcome.DECLINED, failure_code="not_voidable", failure_message=f"it is {status}"
        )
    if status == "CREATED":
        return None
    raise ValueError("another status")
