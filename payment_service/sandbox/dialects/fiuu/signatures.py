"""Who signs what, written from Fiuu's own words and not from our client: each name is a message,
and its value the names of what is joined for it, in order."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

MERCHANT = "SB_test"
VERIFY_KEY = "vkey"
SECRET_KEY = "skey"
"""The only merchant here; the service must be set to the same FIUU_MERCHANT_ID and keys."""

ORDERS: Mapping[str, tuple[str, ...]] = {
    "page": ("amount", "merchantID", "orderid", "verify_key"),
    "page_extended": ("amount", "merchantID", "orderid", "verify_key", "currency"),
    "by_order": ("oID", "domain", "verify_key", "amount"),
    "by_transaction": ("txID", "domain", "verify_key", "amount"),
    "batch": ("oID", "domain", "verify_key"),
    "vrf_order": ("Amount", "secret_key", "Domain", "OrderID", "StatCode"),
    "vrf_transaction": ("Amount", "secret_key", "Domain", "TranID", "StatCode"),
    "capture": ("id", "amount", "domain", "verify_key"),
    "void": ("txnID", "domain", "secret_key"),
    "refund": ("RefundType", "MerchantID", "RefID", "TxnID", "Amount", "secret_key"),
    "refund_reply": (
        *("RefundType", "MerchantID", "RefID", "RefundID", "TxnID", "Amount", "Status"),
        "secret_key",
    ),
    "refund_by_reference": ("RefID", "MerchantID", "verify_key"),
    "refund_by_transaction": ("TxnID", "MerchantID", "verify_key"),
    "report": ("rdate", "merchantID", "secret_key"),
    "key0": ("tranID", "orderid", "status", "domain", "amount", "currency"),
    "notification": ("paydate", "domain", "key0", "appcode", "secret_key"),
}


def sign(message: str, fields: Mapping[str, str], secret_key: str = SECRET_KEY) -> str:
    """The signature of a message with these fields; one that lacks counts as empty."""
    known = {**fields, "verify_key": VERIFY_KEY, "secret_key": secret_key}
    joined = "".join(known.get(name, "") for name in ORDERS[message])
    return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()


def fits(message: str, fields: Mapping[str, str], signature: str) -> bool:
    """Whether the message was signed by the merchant."""
    return hmac.compare_digest(sign(message, fields).encode(), signature.encode())


def notification(fields: Mapping[str, str], secret_key: str = SECRET_KEY) -> str:
    """skey: one digest within another."""
    return sign("notification", {**fields, "key0": sign("key0", fields)}, secret_key)
