"""Fiuu's signatures: MD5 of texts joined without anything between them, in the order that it says.

MD5 is Fiuu's choice. `verify_key` signs what is asked, `secret_key` what moves money back, and what
Fiuu says. Amounts are the texts that are sent: 20 and 20.00 have different signatures.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

NOTICED = ("tranID", "orderid", "status", "domain", "amount", "currency", "paydate", "appcode")
"""What of a notification or callback is signed, and nothing else of it."""


def md5(*parts: str) -> str:
    """Of the parts in UTF-8, in lower-case hex."""
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def same(theirs: str | None, ours: str) -> bool:
    """Whether a signature is ours, in the same time whether it is or not."""
    return hmac.compare_digest((theirs or "").lower().encode(), ours.encode())


@dataclass(frozen=True)
class Keys:
    """A merchant's own; `merchant` is what Fiuu calls merchantID, MerchantID and domain."""

    merchant: str
    verify_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    def page(self, amount: str, order: str, currency: str | None) -> str:
        """vcode of a page; with the currency for a merchant in the extended mode."""
        return md5(amount, self.merchant, order, self.verify_key, currency or "")

    def query(self, number: str, amount: str) -> str:
        """Of a requery by a transaction's number or an order's."""
        return md5(number, self.merchant, self.verify_key, amount)

    def batch(self, order: str) -> str:
        """Of the question for all transactions of an order."""
        return md5(order, self.merchant, self.verify_key)

    def told(self, amount: str, number: str, status: str) -> str:
        """VrfKey, which a requery is answered with; the number is the transaction's or order's."""
        return md5(amount, self.secret_key, self.merchant, number, status)

    def capture(self, transaction: str, amount: str) -> str:
        return md5(transaction, amount, self.merchant, self.verify_key)

    def void(self, transaction: str) -> str:
        return md5(transaction, self.merchant, self.secret_key)

    def refund(self, kind: str, reference: str, transaction: str, amount: str) -> str:
        return md5(kind, self.merchant, reference, transaction, amount, self.secret_key)

    def refunded(self, reply: dict[str, str]) -> str:
        """Of the reply to a refund, made of its fields; one that is missing counts as empty."""
        names = ("RefundType", "MerchantID", "RefID", "RefundID", "TxnID", "Amount", "Status")
        return md5(*(reply.get(name, "") for name in names), self.secret_key)

    def refund_query(self, number: str) -> str:
        """Of the question for a refund by our reference, or for all of a transaction's."""
        return md5(number, self.merchant, self.verify_key)

    def report(self, begin: str) -> str:
        return md5(begin, self.merchant, self.secret_key)

    def notice(self, fields: dict[str, str]) -> str:
        """skey of a notification or callback, made of its fields; one that is missing counts as
        empty."""
        said = {name: fields.get(name, "") for name in NOTICED}
        key = md5(*(said[name] for name in NOTICED[:6]))
        return md5(said["paydate"], said["domain"], key, said["appcode"], self.secret_key)
