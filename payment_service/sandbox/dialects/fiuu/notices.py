"""What Fiuu tells of a payment unasked: the same fields to the merchant and through the browser."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from payment_service.sandbox.dialects.fiuu import signatures
from payment_service.sandbox.memory import Row
from payment_service.sandbox.state import SandboxState

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def fields_of(row: Row, lie: str | None = None) -> dict[str, str]:
    """All that is posted about a try to pay; told wrongly for a lie of faults.LIES."""
    told = {
        "nbcb": "",
        "amount": "0.01" if lie == "other_amount" else row["amount"],
        "orderid": row["order"],
        "tranID": row["id"],
        "domain": "SB_other" if lie == "other_merchant" else signatures.MERCHANT,
        "status": row["code"],
        "appcode": row["appcode"],
        "error_code": row["error"],
        "error_desc": row["why"],
        "currency": "SGD" if lie == "other_currency" else row["currency"],
        "paydate": row["paid_at"],
        "channel": row["channel"],
        "extraP": "",
    }
    key = "another" if lie == "other_key" else signatures.SECRET_KEY
    told["skey"] = signatures.notification(told, key)
    if lie == "bad_signature":
        told["skey"] = told["skey"][::-1]
    return told


def send(state: SandboxState, row: Row, order: Row) -> None:
    """The notification to where the merchant wants them, and if nobody has set that, a callback to
    the address that came with the page."""
    known = state.webhooks.address_of("fiuu")

    def build(lie: str | None) -> tuple[bytes, Mapping[str, str]]:
        told = {**fields_of(row, lie), "nbcb": "2" if known else "1"}
        return urlencode(told).encode(), _FORM

    state.webhooks.send(
        dialect="fiuu",
        event=row["code"],
        reference=row["order"],
        url=known or order.get("callbackurl"),
        build=build,
    )
