"""What Fiuu keeps: orders that a payer was sent for, the tries to pay them, and refunds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from secrets import randbelow, token_hex

from payment_service.sandbox.memory import Memory, Row

ORDERS, TRANSACTIONS, REFUNDS = "fiuu.orders", "fiuu.transactions", "fiuu.refunds"
CAPTURES, VOIDS = "fiuu.captures", "fiuu.voids"

MALAYSIA = timezone(timedelta(hours=8))
REFUNDABLE = timedelta(days=180)

WORDS = {"yes": "00", "no": "11", "pending": "22"}
"""What a payer can do on the page, and the status that comes of it."""


def there(moment: datetime) -> str:
    """A time as Fiuu writes it."""
    return f"{moment.astimezone(MALAYSIA):%Y-%m-%d %H:%M:%S}"


def cents(amount: str) -> int | None:
    """None for what is no amount with two decimals at most."""
    try:
        found = Decimal(amount) * 100
    except InvalidOperation:
        return None
    return int(found) if found.is_finite() and found == int(found) > 0 else None


class NoRefund(Exception):
    """A refund that is not even begun: Fiuu's code and words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Till:
    """All in one journal with the rest of the sandbox; a row is put under its own id."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def order(self, number: str) -> Row | None:
        return self._memory.get(ORDERS, number)

    def opened(self, fields: Mapping[str, str]) -> Row:
        """A payer has come to the page. The first time counts, what comes later changes nothing."""
        with self._memory.lock:
            seen = self.order(fields["orderid"])
            return seen or self._memory.put(ORDERS, {"id": fields["orderid"], **fields})

    def decided(self, order: Row, word: str, error: str, why: str) -> Row:
        """A try to pay. The page can be paid as often as somebody pays: so it is there."""
        held = order.get("tcctype") == "AUTH"
        names = {"yes": "authorized" if held else "captured", "no": "failed", "pending": "Pending"}
        row = {
            "id": str(time.time_ns() // 1000 + randbelow(1000)),
            "order": order["id"],
            "amount": order["amount"],
            "currency": order["currency"],
            "channel": order.get("channel") or "credit",
            "code": WORDS[word],
            "name": names[word],
            "appcode": token_hex(3).upper() if word == "yes" else "",
            "error": error if word == "no" else "",
            "why": why if word == "no" else "",
            "paid_at": there(datetime.now(UTC)),
            "captured": order["amount"] if word == "yes" and not held else None,
        }
        return self._memory.put(TRANSACTIONS, row)

    def transaction(self, number: str) -> Row | None:
        return self._memory.get(TRANSACTIONS, number)

    def tries(self, order: str) -> list[Row]:
        """Those of an order, the newest first."""
        found = [row for row in self._memory.rows(TRANSACTIONS) if row["order"] == order]
        return found[::-1]

    def reported(self, begin: str, end: str) -> list[Row]:
        """What was tried in that time, oldest first."""
        return [row for row in self._memory.rows(TRANSACTIONS) if begin <= row["paid_at"] < end]

    def captured(self, number: str, amount: str, *, refused: bool = False) -> bool:
        """Takes what is held, all or a part, once."""
        with self._memory.lock:
            held = self.transaction(number)
            wanted = cents(amount)
            if held is None or held["name"] != "authorized" or refused:
                return False
            if wanted is None or wanted > (cents(held["amount"]) or 0):
                return False
            note = {"id": f"cap_{token_hex(8)}", "transaction": number, "amount": amount}
            taken = {**held, "name": "captured", "captured": amount}
            self._memory.put_all([(CAPTURES, note), (TRANSACTIONS, taken)])
            return True

    def voided(self, number: str, *, refused: bool = False) -> bool:
        """Gives a hold back, or what was paid on the same day there."""
        with self._memory.lock:
            row = self.transaction(number)
            today = there(datetime.now(UTC))[:10]
            if row is None or row["name"] not in ("authorized", "captured") or refused:
                return False
            if row["paid_at"][:10] != today:
                return False
            note = {"id": f"void_{token_hex(8)}", "transaction": number}
            self._memory.put_all([(VOIDS, note), (TRANSACTIONS, {**row, "name": "cancelled"})])
            return True

    def refunded(self, asked: Mapping[str, str], *, again: bool, refused: bool) -> Row:
        """Begins a refund: it waits for the bank. Raises NoRefund."""
        with self._memory.lock:
            if not again and self.refund(asked["RefID"]) is not None:
                raise NoRefund("PR016", "Duplicate RefID found")
            paid = self.transaction(asked["TxnID"])
            if paid is None:
                raise NoRefund("PR009", "Transaction not found")
            if paid["name"] not in ("captured", "settled"):
                raise NoRefund("PR010", "Transaction must be in correct status")
            if (wanted := cents(asked["Amount"])) is None:
                raise NoRefund("PR006", "Amount not valid")
            if wanted > self._left(paid):
                raise NoRefund("PR011", "Exceeds refund amount for this transaction")
            row = {
                "id": str(10**8 + randbelow(10**9)),
                "status": "rejected" if refused else "pending",
                "made_at": there(datetime.now(UTC)),
            }
            return self._memory.put(REFUNDS, {**row, **asked})

    def _left(self, paid: Row) -> int:
        given = [
            cents(row["Amount"]) or 0
            for row in self._memory.rows(REFUNDS)
            if row["TxnID"] == paid["id"] and row["status"] != "rejected"
        ]
        return (cents(paid["captured"]) or 0) - sum(given)

    def refund(self, reference: str) -> Row | None:
        """The first one under our reference."""
        found = [row for row in self._memory.rows(REFUNDS) if row["RefID"] == reference]
        return found[0] if found else None

    def refunds_of(self, transaction: str) -> list[Row]:
        return [row for row in self._memory.rows(REFUNDS) if row["TxnID"] == transaction]

    def settle(self, reference: str, status: str) -> Row | None:
        """The bank has done a refund, or will not; None if there is none under this RefID."""
        with self._memory.lock:
            row = self.refund(reference)
            return row and self._memory.put(REFUNDS, {**row, "status": status})
