"""The wallet's rules: what an order and its payer do to its books."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import UUID, uuid4

from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.times import now, stamp

TABLE = "zaincash.transactions"
MINUTES = 15
LEAST = 250
"""Dinars."""

WAITING = ("PENDING", "OTP_SENT", "CUSTOMER_AUTHENTICATION_REQUIRED")
# What the payer, or the clock, may make of it.
OUTCOMES = {
    "approve": "SUCCESS",
    "decline": "FAILED",
    "phone": "OTP_SENT",
    "authenticate": "CUSTOMER_AUTHENTICATION_REQUIRED",
    "expire": "EXPIRED",
}
_DIGITS = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class Wallet:
    """Transactions by the wallet's own id. A reference may come twice, and opens another one."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def create(self, body: Any) -> Row:
        """A transaction that waits for its payer. Raises Invalid."""
        asked = body if isinstance(body, dict) else {}
        amount, urls = asked.get("amount"), asked.get("redirectUrls")
        if not isinstance(amount, dict) or amount.get("currency") != "IQD":
            raise Invalid("amount: a value, and IQD as its currency")
        value = amount.get("value")
        if not isinstance(value, str) or not _DIGITS.fullmatch(value) or int(value) < LEAST:
            raise Invalid(f"amount.value: a text of whole dinars, at least {LEAST}")
        if not isinstance(urls, dict) or not urls.get("successUrl") or not urls.get("failureUrl"):
            raise Invalid("redirectUrls: successUrl and failureUrl")
        for name in ("language", "orderId", "serviceType"):
            if not isinstance(asked.get(name), str) or not asked[name]:
                raise Invalid(f"{name}: a text")
        over_at = time.time() + MINUTES * 60
        row = {
            "id": str(uuid4()),
            "reference": asked["orderId"],
            "externalReferenceId": _uuid(asked.get("externalReferenceId")),
            "serviceType": asked["serviceType"],
            "value": int(value),
            "currency": "IQD",
            "status": "PENDING",
            "phone": (asked.get("customer") or {}).get("phone"),
            "successUrl": urls["successUrl"],
            "failureUrl": urls["failureUrl"],
            "over_at": over_at,
            "expiryTime": stamp(over_at),
            "createdAt": now(),
            "updatedAt": now(),
        }
        return self._memory.put(TABLE, row)

    def found(self, transaction_id: str) -> Row:
        """The transaction as it is now. Raises Refused."""
        with self._memory.lock:
            row = self._memory.get(TABLE, transaction_id)
            if row is None:
                raise Refused(404, "TRANSACTION_NOT_FOUND", "There is no such transaction.")
            if row["status"] in WAITING and time.time() >= row["over_at"]:
                row = self._moved(row, "EXPIRED")
            return row

    def act(self, transaction_id: str, outcome: str) -> Row:
        """The payer, or the clock, decides. Raises Invalid, Refused."""
        if outcome not in OUTCOMES:
            raise Invalid(f"outcome: one of {', '.join(OUTCOMES)}")
        with self._memory.lock:
            row = self.found(transaction_id)
            if row["status"] not in WAITING:
                raise Refused(409, "not_waiting", f"The transaction is {row['status']}.")
            return self._moved(row, OUTCOMES[outcome])

    def _moved(self, row: Row, status: str) -> Row:
        return self._memory.put(TABLE, {**row, "status": status, "updatedAt": now()})


def _uuid(value: Any) -> str:
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise Invalid("externalReferenceId: a UUID") from None
