"""Swish's rules: what a payment, its end, and a refund do to its books."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from secrets import token_hex
from typing import Any

from payment_service.sandbox.dialects.swish import checks
from payment_service.sandbox.faults import Whim
from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.state import the_state
from payment_service.sandbox.times import now
from payment_service.sandbox.webhooks import Webhooks

PAYMENTS, REFUNDS = "swish.payments", "swish.refunds"
AT_ONCE = {"11": "approve", "22": "decline"}
"""What payers say at once whose number ends so; others are waited for."""
REFUND_WAITS, REFUND_FAILS = "00", "99"
"""Ends of payers' numbers whose bank thinks about refunds, and takes none; others are paid at
once."""
WHO_SCANS = "46701740605"
"""The payer of a link or code."""
_KEPT = timedelta(days=396)
_HIDDEN = ("token", "callbackIdentifier")
_EITHER = ("callbackUrl", "callbackIdentifier", "payerAlias", "currency", "message")
_PAYMENT = (*_EITHER, "payeePaymentReference", "payeeAlias")
_REFUND = (*_EITHER, "payerPaymentReference", "originalPaymentReference")


class Unacceptable(Exception):
    """422: the codes of all that is wrong, and more about it."""

    def __init__(self, codes: list[str], more: str | None = None) -> None:
        super().__init__(", ".join(codes))
        self.shown = [
            {"errorCode": code, "errorMessage": checks.AT_ONCE[code], "additionalInformation": more}
            for code in codes
        ]


class SwishBooks:
    """Takes payments and refunds, each once under its instructionUUID, and tells the merchant how
    they end."""

    def __init__(self, memory: Memory, webhooks: Webhooks) -> None:
        self._memory, self._webhooks = memory, webhooks

    def pay(self, uuid: str, body: Mapping[str, Any], whim: Whim) -> Row:
        """Asks a payer. Raises Unacceptable."""
        self._expect_new(PAYMENTS, uuid, whim)
        _expect(checks.wrong_payment(body), body)
        with self._memory.lock:
            if any(_waits_for(row, body.get("payerAlias")) for row in self._rows(PAYMENTS)):
                raise Unacceptable(["RP06"])
            new = uuid if self._is_new(PAYMENTS, uuid) else token_hex(16).upper()
            token = None if body.get("payerAlias") else token_hex(16)
            row = self._put(PAYMENTS, _born(new, body, _PAYMENT) | {"token": token})
        habit = AT_ONCE.get(str(row["payerAlias"])[-2:])
        outcome = _said(whim.decline, body) or habit
        return self.end(row["id"], outcome) if outcome else row

    def refund(self, uuid: str, body: Mapping[str, Any], whim: Whim) -> Row:
        """Gives back what was paid. Raises Unacceptable."""
        self._expect_new(REFUNDS, uuid, whim)
        _expect(checks.wrong_refund(body), body)
        with self._memory.lock:
            payment = self._refundable(body)
            new = uuid if self._is_new(REFUNDS, uuid) else token_hex(16).upper()
            row = self._put(
                REFUNDS,
                _born(new, body, _REFUND)
                | {"payeeAlias": payment["payerAlias"], "additionalInformation": None},
            )
        if code := _said(whim.decline, body):
            return self.end(new, code)
        habit = payment["payerAlias"][-2:]
        if habit == REFUND_WAITS:
            return self._move(REFUNDS, row, "DEBITED")
        return self.end(new, "FF10" if habit == REFUND_FAILS else "approve")

    def find(self, name: str) -> tuple[str, Row] | None:
        """A payment or refund by its UUID, its token, or our reference, with its table."""
        for table in (PAYMENTS, REFUNDS):
            for row in self._rows(table):
                if name in (row["id"], row.get("token"), reference_of(row)):
                    return table, row
        return None

    def end(self, name: str, outcome: str) -> Row:
        """How it ends: `approve`, `decline`, `nothing`, or one of the codes. What ended with DS24
        may end again, as Swish learns more. Raises Invalid and Refused."""
        if outcome not in ("approve", "decline", "nothing", *checks.LATER):
            codes = ", ".join(checks.LATER)
            raise Invalid(f'outcome: "approve", "decline", "nothing", or one of {codes}')
        with self._memory.lock:
            found = self.find(name)
            if found is None:
                raise Refused(404, "not_found", "There is nothing of that name.")
            table, row = found
            if outcome == "nothing":
                return row
            if row["status"] not in ("CREATED", "DEBITED") and row["errorCode"] != "DS24":
                raise Refused(409, "not_waiting", f"It is {row['status']}.")
            if outcome == "approve":
                paid = {"paymentReference": token_hex(16).upper(), "datePaid": now()}
                paid["payerAlias"] = row["payerAlias"] or WHO_SCANS
                return self._move(table, row | paid, "PAID")
            code = "RF07" if outcome == "decline" else outcome
            status = "DECLINED" if code == "RF07" and table == PAYMENTS else "ERROR"
            return self._move(table, row, status, code)

    def cancel(self, uuid: str) -> Row:
        """Ends the wait for the payer. Raises Refused for what is not there or over."""
        with self._memory.lock:
            row = self._memory.get(PAYMENTS, uuid)
            if row is None:
                raise Refused(404, "not_found", "There is no such payment.")
            if row["status"] != "CREATED":
                raise Refused(422, "RP07", f"It is {row['status']}.")
            return self._move(PAYMENTS, row, "CANCELLED")

    def get(self, table: str, uuid: str) -> Row | None:
        return self._memory.get(table, uuid)

    def _rows(self, table: str) -> list[Row]:
        return self._memory.rows(table)

    def _put(self, table: str, row: Row) -> Row:
        return self._memory.put(table, row)

    def _is_new(self, table: str, uuid: str) -> bool:
        return self._memory.get(table, uuid) is None

    def _expect_new(self, table: str, uuid: str, whim: Whim) -> None:
        if not self._is_new(table, uuid) and not whim.forget:
            raise Unacceptable(["RP09"])

    def _refundable(self, body: Mapping[str, Any]) -> Row:
        original = body["originalPaymentReference"]
        paid = [row for row in self._rows(PAYMENTS) if row["paymentReference"] == original]
        if not paid:
            raise Unacceptable(["RF01"])
        payment = paid[0]
        if datetime.now(UTC) - datetime.fromisoformat(payment["datePaid"]) > _KEPT:
            raise Unacceptable(["RF02"])
        if payment["payeeAlias"] != body["payerAlias"]:
            raise Unacceptable(["RF03"])
        given = [
            Decimal(row["amount"])
            for row in self._rows(REFUNDS)
            if row["originalPaymentReference"] == original and row["status"] != "ERROR"
        ]
        left = Decimal(payment["amount"]) - sum(given)
        if (checks.amount_of(body["amount"]) or 0) > left:
            raise Unacceptable(["RF08"], str(left))
        return payment

    def _move(self, table: str, row: Row, status: str, code: str | None = None) -> Row:
        why = checks.LATER[code] if code else None
        moved = self._put(table, row | {"status": status, "errorCode": code, "errorMessage": why})
        self._webhooks.send(
            dialect="swish",
            event=status,
            reference=reference_of(row),
            url=row["callbackUrl"],
            build=lambda lie: _told(moved, lie),
        )
        return moved


def the_books() -> SwishBooks:
    """Those of the app that runs."""
    state = the_state()
    return SwishBooks(state.memory, state.webhooks)


def shown(row: Row) -> dict[str, Any]:
    """As GET and callbacks show it. Amounts are numbers in one half of them and text in the other,
    as both are seen in the wild."""
    seen = {name: value for name, value in row.items() if name not in _HIDDEN}
    if int(row["id"][-1], 16) % 2:
        seen["amount"] = float(row["amount"])
    return seen


def _told(row: Row, lie: str | None) -> tuple[bytes, dict[str, str]]:
    body = shown(row)
    if lie == "other_amount":
        body["amount"] = str(Decimal(row["amount"]) + 1)
    elif lie == "other_currency":
        body["currency"] = "EUR"
    elif lie == "other_merchant":
        body["payeeAlias" if "payeePaymentReference" in row else "payerAlias"] = "1239999999"
    headers = {"Content-Type": "application/json"}
    if row["callbackIdentifier"]:
        wrong = lie in ("bad_signature", "other_key")
        headers["callbackIdentifier"] = token_hex(16) if wrong else row["callbackIdentifier"]
    return json.dumps(body).encode(), headers


def _born(uuid: str, body: Mapping[str, Any], names: tuple[str, ...]) -> Row:
    return {
        "id": uuid,
        **{name: body.get(name) for name in names},
        "amount": str(checks.amount_of(body["amount"])),
        "paymentReference": None,
        "status": "CREATED",
        "dateCreated": now(),
        "datePaid": None,
        "errorCode": None,
        "errorMessage": None,
    }


def _expect(wrong: list[str], body: Mapping[str, Any]) -> None:
    told = body.get("message")
    codes = wrong or ([told] if told in checks.AT_ONCE else [])
    if codes:
        raise Unacceptable(list(dict.fromkeys(codes)))


def _said(whim: str | None, body: Mapping[str, Any]) -> str | None:
    """How it is to end at once, if it is: as a fault or the message says."""
    told = body.get("message")
    if told in checks.LATER:
        return str(told)
    return (whim if whim in checks.LATER else "RF07") if whim else None


def _waits_for(row: Row, payer: Any) -> bool:
    return payer is not None and row["status"] == "CREATED" and row["payerAlias"] == payer


def reference_of(row: Mapping[str, Any]) -> str | None:
    """Ours, as it came; of a row or of a body."""
    named = row.get("payeePaymentReference") or row.get("payerPaymentReference")
    return named if isinstance(named, str) else None
