"""Fiuu's API over HTTP, under /fiuu."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, request

from payment_service.sandbox.behaviours import answered
from payment_service.sandbox.dialects.fiuu.signatures import MERCHANT, fits, sign
from payment_service.sandbox.dialects.fiuu.till import NoRefund, Till, there
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.memory import Row
from payment_service.sandbox.replies import reply
from payment_service.sandbox.state import the_state

api = Blueprint("fiuu", __name__, url_prefix="/fiuu/RMS")

_REPLY_STATUS = {"pending": "22", "success": "00", "rejected": "11"}


def _form() -> dict[str, str]:
    return request.form.to_dict()


def _till() -> Till:
    return Till(the_state().memory)


def _answered(
    operation: str, fields: Mapping[str, str | None], do: Callable[[Whim], Response]
) -> Response:
    seen = operation == "refund" and _till().refund(fields.get("reference") or "") is not None
    matchable = {**fields, "dialect": "fiuu", "http_method": request.method}
    ask = Ask(operation, request.method, request.path, matchable, seen)
    return answered(the_state(), ask, do)


def _told(fields: dict[str, str]) -> Response:
    """As JSON for type=2, and else a line each."""
    if request.form.get("type") == "2":
        return reply(200, fields)
    lines = "".join(f"{name}={value}\n" for name, value in fields.items())
    return Response(lines, mimetype="text/plain")


def _wrong() -> Response:
    return _told({"StatCode": "", "StatName": "", "ErrorCode": "P05", "ErrorDesc": "wrong key"})


def _shown(row: Row, message: str) -> dict[str, str]:
    told = {
        "StatCode": row["code"],
        "StatName": row["name"],
        "TranID": row["id"],
        "OrderID": row["order"],
        "Amount": row["amount"],
        "Currency": row["currency"],
        "Channel": row["channel"],
        "Domain": MERCHANT,
        "BillingDate": row["paid_at"],
        "ErrorCode": row["error"],
        "ErrorDesc": row["why"],
    }
    return {**told, "VrfKey": sign(message, told)}


@api.post("/query/q_by_oid.php")
def by_order() -> Response:
    """The newest try to pay an order."""
    asked = _form()

    def do(whim: Whim) -> Response:
        if not fits("by_order", asked, asked.get("skey", "")):
            return _wrong()
        tries = [row for row in _till().tries(asked["oID"]) if row["amount"] == asked.get("amount")]
        if tries:
            return _told(_shown(tries[0], "vrf_order"))
        told = {"StatCode": "22", "StatName": "Unknown", "TranID": "", "OrderID": asked["oID"]}
        told |= {"Amount": asked.get("amount", ""), "Domain": MERCHANT}
        return _told({**told, "VrfKey": sign("vrf_order", told)})

    return _answered("lookup", {"reference": asked.get("oID"), "query": "order"}, do)


@api.post("/query/q_oid_batch.php")
def batch() -> Response:
    """The ten newest tries to pay an order."""
    asked = _form()

    def do(whim: Whim) -> Response:
        if not fits("batch", asked, asked.get("skey", "")):
            return _wrong()
        return reply(200, [_shown(row, "vrf_order") for row in _till().tries(asked["oID"])[:10]])

    return _answered("lookup", {"reference": asked.get("oID"), "query": "batch"}, do)


@api.post("/API/gate-query/index.php")
def by_transaction() -> Response:
    """One try to pay, by its number."""
    asked = _form()

    def do(whim: Whim) -> Response:
        row = _till().transaction(asked.get("txID", ""))
        right = fits("by_transaction", asked, asked.get("skey", ""))
        if row is None or not right or row["amount"] != asked.get("amount"):
            return _wrong()
        return _told(_shown(row, "vrf_transaction"))

    row = _till().transaction(asked.get("txID", ""))
    return _answered(
        "lookup", {"reference": row["order"] if row else None, "query": "transaction"}, do
    )


@api.post("/API/capstxn/index.php")
def capture() -> Response:
    """Takes what is held."""
    asked = _form()
    number = asked.get("tranID") or asked.get("txnID", "")

    def do(whim: Whim) -> Response:
        if not fits("capture", {**asked, "id": number}, asked.get("skey", "")):
            return _wrong()
        amount = asked.get("amount", "")
        done = _till().captured(number, amount, refused=whim.decline is not None)
        told = {"TranID": number, "RefID": asked.get("RefID", ""), "Domain": MERCHANT}
        told |= {"StatCode": "00" if done else "11", "StatDate": there(datetime.now(UTC))}
        return reply(200, {**told, "Amount": amount})

    return _answered("capture", _about(number, asked.get("RefID")), do)


@api.post("/API/refundAPI/refund.php")
def void() -> Response:
    """Gives a hold back, or what was paid today."""
    asked = _form()
    number = asked.get("txnID", "")

    def do(whim: Whim) -> Response:
        if not fits("void", asked, asked.get("skey", "")):
            return _wrong()
        done = _till().voided(number, refused=whim.decline is not None)
        return _told({"TranID": number, "Domain": MERCHANT, "StatCode": "00" if done else "11"})

    return _answered("void", _about(number, None), do)


def _about(number: str, reference: str | None) -> dict[str, str | None]:
    """What faults may match on: neither capture nor void has a reference of its own."""
    return {"reference": reference or number, "transaction": number}


@api.post("/API/refundAPI/index.php")
def refund() -> Response:
    """Gives back; the usual answer is 22."""
    asked = _form()

    def do(whim: Whim) -> Response:
        try:
            _check(asked)
            row = _till().refunded(
                {name: asked[name] for name in ("RefundType", "RefID", "TxnID", "Amount")},
                again=whim.forget,
                refused=whim.decline is not None,
            )
        except NoRefund as error:
            return reply(200, {"error_code": error.code, "error_desc": error.words})
        told = {name: row[name] for name in ("RefundType", "RefID", "TxnID", "Amount")}
        told |= {"MerchantID": MERCHANT, "RefundID": row["id"]}
        told["Status"] = _REPLY_STATUS[row["status"]]
        signed = {**told, "Signature": sign("refund_reply", told)}
        return reply(200, {**signed, "RefundID": int(row["id"])})

    fields = {"reference": asked.get("RefID"), "transaction": asked.get("TxnID")}
    return _answered("refund", fields, do)


def _check(asked: Mapping[str, str]) -> None:
    """Raises NoRefund for a request that can't be understood or believed."""
    needed = {"RefundType": "PR001", "MerchantID": "PR002", "RefID": "PR003", "TxnID": "PR004",
              "Amount": "PR005", "Signature": "PR006"}  # fmt: skip
    for name, code in needed.items():
        if not asked.get(name):
            raise NoRefund(code, f"{name} not found.")
    if asked["RefundType"] != "P":
        raise NoRefund("PR001", "Refund type not found.")
    if asked["MerchantID"] != MERCHANT:
        raise NoRefund("PR007", "Merchant ID not valid.")
    if not fits("refund", asked, asked["Signature"]):
        raise NoRefund("PR008", "Signature not match.")


def _refund_row(row: Row) -> dict[str, str]:
    return {
        "TxnID": row["TxnID"],
        "RefID": row["RefID"],
        "RefundID": row["id"],
        "Status": row["status"],
    }


@api.post("/API/refundAPI/q_by_refID.php")
def refund_by_reference() -> Response:
    """The refund under our reference, as a list."""
    asked = _form()

    def do(whim: Whim) -> Response:
        if not fits("refund_by_reference", asked, asked.get("Signature", "")):
            return reply(200, {"error_code": "PR008", "error_desc": "Signature not match."})
        found = _till().refund(asked["RefID"])
        return reply(200, [_refund_row(found)] if found else [])

    return _answered("lookup", {"reference": asked.get("RefID"), "query": "refund"}, do)


@api.post("/API/refundAPI/q_by_txn.php")
def refunds_by_transaction() -> Response:
    """All refunds of a transaction."""
    asked = _form()

    def do(whim: Whim) -> Response:
        if not fits("refund_by_transaction", asked, asked.get("Signature", "")):
            return reply(200, {"error_code": "PR008", "error_desc": "Signature not match."})
        return reply(200, [_refund_row(row) for row in _till().refunds_of(asked["TxnID"])])

    return _answered("lookup", {"reference": asked.get("TxnID"), "query": "refunds"}, do)


@api.post("/API/PSQ/psq-daily.php")
def report() -> Response:
    """What was tried in a time, oldest first; never faulty."""
    asked = _form()
    if not fits("report", asked, asked.get("skey", "")):
        return reply(200, {"error_code": "P05", "error_desc": "wrong key"})
    begin = datetime.fromisoformat(asked["rdate"])
    end = begin + timedelta(seconds=int(asked.get("rduration", "86400")))
    told = [_shown(row, "vrf_order") for row in _till().reported(str(begin), str(end))]
    return reply(200, [_without_key(row) for row in told])


@api.get("/<any(transactions, refunds, captures, voids):noun>")
def everything(noun: str) -> Response:
    """All that was ever done of one kind, oldest first; never faulty, for tests and people."""
    return reply(200, {noun: the_state().memory.rows(f"fiuu.{noun}")})


def _without_key(told: dict[str, str]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "VrfKey"}
