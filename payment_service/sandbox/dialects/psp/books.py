"""The provider's rules: what a charge, a capture, a void and a refund do to its books."""

from __future__ import annotations

import secrets
from typing import Any

from payment_service.sandbox import amounts
from payment_service.sandbox.bodies import checked, fingerprint
from payment_service.sandbox.dialects.psp import tokens
from payment_service.sandbox.dialects.psp.fields import (
    CAPTURE_FIELDS,
    CHARGE_FIELDS,
    REFUND_FIELDS,
    VOID_FIELDS,
)
from payment_service.sandbox.faults import NO_WHIM, Whim
from payment_service.sandbox.memory import Memory, Row
from payment_service.sandbox.refusals import Invalid, Refused
from payment_service.sandbox.times import now


class Books:
    """Takes charges, captures, voids and refunds; our reference is its idempotency key.

    Every verb returns the operation as it is now, declined or not. It raises Invalid for a bad
    body and Refused for a reference that was used for something else or a charge that does not
    exist; neither leaves a trace.
    """

    def __init__(self, memory: Memory, success_rate: float) -> None:
        self._memory = memory
        self._success_rate = success_rate

    def perform(self, operation: str, target: str | None, body: Any, whim: Whim = NO_WHIM) -> Row:
        """Do one operation; `target` is the charge that a capture or a void is about."""
        if operation in ("charge", "authorize"):
            return self.charge(body, whim)
        if operation == "refund":
            return self.refund(body, whim)
        verb = self.capture if operation == "capture" else self.void
        return verb(target or "", body, whim)

    def charge(self, body: Any, whim: Whim = NO_WHIM) -> Row:
        """Authorize, and take the money at once unless `capture` is false."""
        asked = checked(body, CHARGE_FIELDS)
        if amounts.exponent(asked["currency"]) is None:
            raise Invalid(f"currency: {asked['currency']} has no minor unit in ISO 4217")
        with self._memory.lock:
            return self._seen("charge", body, None, whim) or self._new_charge(asked, body, whim)

    def _new_charge(self, asked: Row, body: Any, whim: Whim) -> Row:
        state, code = tokens.first_state(asked["payment_token"])
        if whim.decline:
            state, code = "declined", whim.decline
        elif state == "approved" and tokens.is_unlucky(asked["reference"], self._success_rate):
            state, code = "declined", "do_not_honor"
        row = {
            **_born("ch", "charge", asked["reference"], fingerprint("charge", None, body)),
            **asked,
            "state": state,
            "decline_code": code,
            "captured_minor": 0,
            "refunded_minor": 0,
            "refund_pending_minor": 0,
            "fee_minor": 0,
            "authorization_code": None,
        }
        return self._memory.put("charge", _approved(row) if state == "approved" else row)

    def capture(self, target: str, body: Any, whim: Whim = NO_WHIM) -> Row:
        """Take a held amount, once; what is not taken is released."""
        asked = checked(body, CAPTURE_FIELDS)
        with self._memory.lock:
            if seen := self._seen("capture", body, target, whim):
                return seen
            charge = self._charge(target)
            code = whim.decline or _why_not_captured(charge, asked["amount_minor"])
            row = self._about(charge, "cap", "capture", asked["reference"], body)
            row |= {"amount_minor": asked["amount_minor"], "decline_code": code}
            row |= {"state": "declined" if code else "captured", "fee_minor": 0}
            if code is None:
                taken = _captured(charge, asked["amount_minor"])
                row["fee_minor"] = taken["fee_minor"]
                return self._both("capture", row, taken)
            return self._memory.put("capture", row)

    def void(self, target: str, body: Any, whim: Whim = NO_WHIM) -> Row:
        """Release a hold, or cancel a charge that still waits for its payer."""
        asked = checked(body, VOID_FIELDS)
        with self._memory.lock:
            if seen := self._seen("void", body, target, whim):
                return seen
            charge = self._charge(target)
            code = whim.decline or _why_not_voided(charge)
            row = self._about(charge, "void", "void", asked["reference"], body)
            row |= {"amount_minor": charge["amount_minor"], "decline_code": code}
            row["state"] = "declined" if code else "voided"
            if code is None:
                return self._both("void", row, _released(charge))
            return self._memory.put("void", row)

    def refund(self, body: Any, whim: Whim = NO_WHIM) -> Row:
        """Give back captured money; what is pending counts against what is left."""
        asked = checked(body, REFUND_FIELDS)
        with self._memory.lock:
            if seen := self._seen("refund", body, None, whim):
                return seen
            charge = self._charge(asked["charge_reference"])
            if charge["currency"] != asked["currency"]:
                raise Invalid(f"currency: the charge is in {charge['currency']}")
            amount: int = asked["amount_minor"]
            code = whim.decline or _why_not_refunded(charge, amount)
            row = self._about(charge, "re", "refund", asked["reference"], body)
            row |= {"amount_minor": amount, "decline_code": code}
            if code is not None:
                return self._memory.put("refund", row | {"state": "declined"})
            pending = tokens.wants(charge["payment_token"], "refund_pending")
            field = "refund_pending_minor" if pending else "refunded_minor"
            row["state"] = "pending" if pending else "succeeded"
            return self._both("refund", row, _touched(charge, **{field: charge[field] + amount}))

    def act(self, reference: str, outcome: str) -> Row:
        """Settle what waits for the payer or for the bank: outcome "approve" or "decline"."""
        if outcome not in ("approve", "decline"):
            raise Invalid('outcome: "approve" or "decline"')
        with self._memory.lock:
            row = self._memory.by_reference(reference)
            if row is None:
                raise Refused(404, "not_found", "Nothing was done under this reference.")
            if row["state"] not in ("requires_action", "pending"):
                raise Refused(409, "not_waiting", f"The {row['kind']} is {row['state']}.")
            if row["kind"] == "refund":
                return self._settle_refund(row, outcome)
            return self._memory.put("charge", _settled_charge(row, outcome))

    def _settle_refund(self, row: Row, outcome: str) -> Row:
        charge = self._memory.get("charge", row["charge_id"]) or {}
        amount = row["amount_minor"]
        moved = {"refund_pending_minor": charge["refund_pending_minor"] - amount}
        if outcome == "approve":
            moved["refunded_minor"] = charge["refunded_minor"] + amount
            row = _touched(row, state="succeeded")
        else:
            row = _touched(row, state="declined", decline_code="provider_declined")
        return self._both("refund", row, _touched(charge, **moved))

    def _both(self, table: str, row: Row, charge: Row) -> Row:
        """Write an operation and its charge as one journal line: a kill can't part them."""
        return self._memory.put_all([(table, row), ("charge", charge)])[0]

    def _seen(self, kind: str, body: Row, target: str | None, whim: Whim) -> Row | None:
        earlier = self._memory.by_reference(body["reference"])
        if earlier is None or whim.forget:
            return None
        if earlier["fingerprint"] != fingerprint(kind, target, body):
            raise Refused(409, "idempotency_conflict", "This reference was used for another.")
        return earlier

    def _charge(self, reference: str) -> Row:
        row = self._memory.by_reference(reference)
        if row is None or row["kind"] != "charge":
            raise Refused(404, "charge_not_found", f"No charge under {reference}.")
        return row

    def _about(self, charge: Row, prefix: str, kind: str, reference: str, body: Any) -> Row:
        target = None if kind == "refund" else charge["reference"]
        return {
            **_born(prefix, kind, reference, fingerprint(kind, target, body)),
            "charge_id": charge["id"],
            "charge_reference": charge["reference"],
            "currency": charge["currency"],
        }


def _born(prefix: str, kind: str, reference: str, mark: str) -> Row:
    moment = now()
    return {
        "id": f"{prefix}_{secrets.token_hex(12)}",
        "kind": kind,
        "reference": reference,
        "fingerprint": mark,
        "created_at": moment,
        "updated_at": moment,
    }


def _touched(row: Row, **changes: Any) -> Row:
    return {**row, **changes, "updated_at": now()}


def _approved(charge: Row) -> Row:
    held = _touched(charge, authorization_code=secrets.token_hex(3).upper())
    if charge["capture"]:
        return _captured(held, charge["amount_minor"])
    return {**held, "state": "authorized"}


def _captured(charge: Row, amount: int) -> Row:
    return _touched(
        charge,
        state="captured",
        captured_minor=amount,
        fee_minor=_fee(amount, charge["method"]),
    )


def _fee(captured_minor: int, method: str) -> int:
    """What the provider keeps: 2 % of a captured card payment, half up; nothing otherwise."""
    return (captured_minor * 2 + 50) // 100 if method == "CARD" else 0


def _released(charge: Row) -> Row:
    """A hold is voided; a charge that never came about is declined, for it held nothing."""
    if charge["state"] == "authorized":
        return _touched(charge, state="voided")
    return _touched(charge, state="declined", decline_code="cancelled")


def _settled_charge(charge: Row, outcome: str) -> Row:
    if outcome == "approve":
        return _approved(charge)
    waited_for_payer = charge["state"] == "requires_action"
    code = "authentication_required" if waited_for_payer else "provider_declined"
    return _touched(charge, state="declined", decline_code=code)


def _why_not_captured(charge: Row, amount: int) -> str | None:
    if tokens.wants(charge["payment_token"], "capture_decline"):
        return "provider_declined"
    if charge["state"] != "authorized":
        return "not_capturable"
    return "amount_too_large" if amount > charge["amount_minor"] else None


def _why_not_voided(charge: Row) -> str | None:
    if tokens.wants(charge["payment_token"], "void_decline"):
        return "provider_declined"
    voidable = ("authorized", "requires_action", "pending")
    return None if charge["state"] in voidable else "not_voidable"


def _why_not_refunded(charge: Row, amount: int) -> str | None:
    if tokens.wants(charge["payment_token"], "refund_decline"):
        return "provider_declined"
    left = charge["captured_minor"] - charge["refunded_minor"] - charge["refund_pending_minor"]
    return "refund_exceeds_captured" if amount > left else None
