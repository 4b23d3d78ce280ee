"""The bank's rules: what a payment, its payer, a cancel and a refund do to its books."""

from __future__ import annotations

import re
import secrets
import time
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.times import now, stamp

TABLE = "fib.payments"
USUAL_MINUTES = 15
LONGEST_DESCRIPTION = 50

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


class Bank:
    """Payments by the bank's own id. It knows no reference of the merchant's, so each request opens
    another one."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def create(self, body: Any) -> Row:
        """A payment that waits for its payer. Raises Invalid."""
        asked = body if isinstance(body, dict) else {}
        value = asked.get("monetaryValue")
        if not isinstance(value, dict) or value.get("currency") != "IQD":
            raise Invalid("monetaryValue: an amount, and IQD as its currency")
        description = asked.get("description") or ""
        if not isinstance(description, str) or len(description) > LONGEST_DESCRIPTION:
            raise Invalid(f"description: at most {LONGEST_DESCRIPTION} characters")
        seconds = _seconds(asked.get("expiresIn") or f"PT{USUAL_MINUTES}M")
        payment_id = str(uuid4())
        callback = asked.get("statusCallbackUrl")
        row = {
            "id": payment_id,
            "reference": _named_in(callback) or payment_id,
            "amount": _whole(value.get("amount")),
            "currency": "IQD",
            "status": "UNPAID",
            "decliningReason": None,
            "readableCode": secrets.token_hex(6).upper(),
            "statusCallbackUrl": callback,
            "redirectUri": asked.get("redirectUri") or None,
            "description": description,
            "refundable_until": time.time() + _seconds(asked.get("refundableFor") or "PT0S"),
            "over_at": time.time() + seconds,
            "validUntil": stamp(time.time() + seconds),
            "created_at": now(),
            "paidAt": None,
            "declinedAt": None,
            "cancels": 0,
            "refunds": 0,
        }
        return self._memory.put(TABLE, row)

    def found(self, payment_id: str) -> Row:
        """The payment as it is now. Raises Refused."""
        with self._memory.lock:
            row = self._memory.get(TABLE, payment_id)
            if row is None:
                raise Refused(404, "PAYMENT_NOT_FOUND", "There is no such payment.")
            if row["status"] == "UNPAID" and time.time() >= row["over_at"]:
                row = self._declined(row, "PAYMENT_EXPIRATION")
            return row

    def act(self, payment_id: str, outcome: str) -> Row:
        """The payer pays ("approve") or will not ("decline"), the time is over ("expire"); of a
        refund that was asked for, the bank gives it back or does not. Raises Invalid, Refused."""
        with self._memory.lock:
            row = self.found(payment_id)
            if row["status"] == "REFUND_REQUESTED" and outcome in ("approve", "decline"):
                status = "REFUNDED" if outcome == "approve" else "PAID"
                return self._memory.put(TABLE, {**row, "status": status})
            if row["status"] != "UNPAID":
                raise Refused(409, "not_waiting", f"The payment is {row['status']}.")
            if outcome == "approve":
                return self._memory.put(TABLE, {**row, "status": "PAID", "paidAt": now()})
            reasons = {"decline": "PAYMENT_CANCELLATION", "expire": "PAYMENT_EXPIRATION"}
            if outcome not in reasons:
                raise Invalid('outcome: "approve", "decline" or "expire"')
            return self._declined(row, reasons[outcome])

    def cancel(self, payment_id: str) -> Row:
        """Nobody can pay it any more. Raises Refused where somebody has, or it is over."""
        with self._memory.lock:
            row = self.found(payment_id)
            if row["status"] != "UNPAID":
                raise Refused(400, "PAYMENT_NOT_CANCELLABLE", f"The payment is {row['status']}.")
            return self._declined({**row, "cancels": row["cancels"] + 1}, "PAYMENT_CANCELLATION")

    def refund(self, payment_id: str) -> Row:
        """Gives all of it back, once. Raises Refused."""
        with self._memory.lock:
            row = self.found(payment_id)
            if row["status"] != "PAID" or time.time() >= row["refundable_until"]:
                raise Refused(400, "PAYMENT_NOT_REFUNDABLE", f"The payment is {row['status']}.")
            asked = {**row, "status": "REFUND_REQUESTED", "refunds": row["refunds"] + 1}
            return self._memory.put(TABLE, asked)

    def _declined(self, row: Row, reason: str) -> Row:
        ended = {"status": "DECLINED", "decliningReason": reason, "declinedAt": now()}
        return self._memory.put(TABLE, {**row, **ended})


def _whole(value: Any) -> int:
    """A number or a text, of whole dinars."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(0)
    if isinstance(value, bool) or not amount.is_finite() or amount <= 0 or amount != int(amount):
        raise Invalid("monetaryValue: an amount of whole dinars")
    return int(amount)


def _seconds(duration: Any) -> float:
    found = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if found is None or not any(found.groups()):
        raise Invalid("a duration as in ISO 8601, such as PT15M")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _named_in(callback: Any) -> str | None:
    """The reference that a merchant put into the address of its callbacks: faults match on it."""
    query = urlsplit(callback).query if isinstance(callback, str) else ""
    return next(iter(parse_qs(query).get("reference", [])), None)
