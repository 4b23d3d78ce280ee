"""Fiuu (Malaysia): a page of its own for cards, wallets and banks; requeries, refunds, holds.

A charge is no request: the payer's browser posts the form that we write here. So nothing of it can
be lost, and an order that Fiuu has not heard of waits for its payer. Marks as in the facts: (c)
read in clients in use, (o) official, (?) from memory.

How an order's transactions are read, by StatCode and StatName (c):

    00 captured, settled, chargeback, ReqCancel, ReqChargeback   APPROVED as a charge; as a hold
                             only if it is known as ours, which we may have captured: else unknown
    00 authorized             APPROVED as a hold; as a charge it is not taken yet: PENDING
    00 cancelled              DECLINED: the hold, or the payment, was given up
    11 failed, blocked, cancelled                                DECLINED
    22, Pending, release, reject/hold                            PENDING
    Unknown, without TranID   nobody has opened the page, or nobody has paid: REQUIRES_ACTION (?)
    anything else             unknown

Of several transactions under one order the first that paid is the charge's; each other that paid
is money that came beside it. Of an order with ten or more we are told the ten newest (c): if none
of those paid, it is unknown whether an older one did.

Replies to captures and voids bear no signature that is known, so they are not believed: the signed
requery after them is. A refund's reply is signed; 22 is the usual one. The refund query is a list
without signatures; it is believed because we asked for it over TLS. A refund's error codes (o):

    PR009, PR010, PR012-014, PR017-020   DECLINED, provider_declined
    PR011                                DECLINED, refund_exceeds_captured
    PR001-008                            refused before it was looked at, our mistake: not sent
    PR015 (busy), anything else          unknown
    PR016 (RefID was used)               looked up

Declines by error_code, where it is an ISO 8583 number (?): 51 insufficient_funds; 05, 57
do_not_honor; 54 expired_card; N7 incorrect_cvc; 41, 43, 59 fraud_suspected; 61, 65 limit_exceeded;
all others provider_declined, with Fiuu's own code and text in the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from payment_service.config import Settings
from payment_service.domain import money
from payment_service.domain.vocabulary import ASKS, Method, TransactionType
from payment_service.providers.contract import (
    Extra,
    Limits,
    Operation,
    Outcome,
    OutcomeUnknown,
    Result,
)
from payment_service.providers.fiuu import notices, refunds, report
from payment_service.providers.fiuu.page import form_of
from payment_service.providers.fiuu.reading import (
    GONE,
    HELD,
    TAKEN,
    UNHEARD,
    Order,
    Transaction,
    in_order,
    result,
    vouched_for,
)
from payment_service.providers.fiuu.signatures import Keys
from payment_service.providers.fiuu.wire import CircuitGauge, Wire, rows, texts
from payment_service.providers.listing import Listed
from payment_service.providers.provider import Provider
from payment_service.providers.webhooks import Incoming, Notices, Receipt

MOST_TOLD = 10
"""Transactions in a batch; older ones are left out of it."""

_IN_VAIN = {
    TransactionType.CAPTURE: "not_capturable",
    TransactionType.VOID: "not_voidable",
    TransactionType.REFUND: "provider_declined",
}


@dataclass(frozen=True)
class Fiuu:
    """A merchant's account, and what is set up for it: whether vcode has the currency in it too
    (the extended mode), what a page needs to hold only, and what a capture calls the hold's
    number."""

    keys: Keys
    pay_url: str
    api_url: str
    public_url: str | None = None
    extended_vcode: bool = False
    hold_field: tuple[str, str] = ("tcctype", "AUTH")
    capture_id: str = "txnID"


class FiuuProvider(Provider):
    """Our reference is its orderid, and a refund's RefID, which it takes once. Amounts are decimal
    texts there."""

    name = "fiuu"
    methods = frozenset({Method.CARD, Method.WALLET})
    capabilities = frozenset(TransactionType) | {Extra.LISTING}
    currencies = frozenset({"MYR"})
    cancels_waiting = False
    pages_can_be_paid_twice = True
    event_types = notices.STATUSES
    webhook_receipt = Receipt(body="CBTOKEN:MPSTATOK")

    def __init__(self, account: Fiuu, limits: Limits) -> None:
        super().__init__(limits)
        self.account = account
        self._keys = account.keys
        self._wire = Wire(account.api_url)
        self.circuit.breaker.add_listener(CircuitGauge(self._keys.merchant))

    def receive(self, incoming: Incoming) -> Notices:
        return notices.read(incoming, self._keys)

    def since(self, moment: datetime) -> Iterator[Listed]:
        return report.since(moment, self._keys, self._post)

    def _ask(self, operation: Operation) -> Result:
        if operation.type in ASKS:
            return self._page(operation)
        if operation.provider_reference is None:  # nobody has paid there
            return Result(Outcome.DECLINED, failure_code=_IN_VAIN[operation.type])
        if operation.type is TransactionType.REFUND:
            return refunds.ask(operation, operation.provider_reference, self._keys, self._post)
        return self._on_hold(operation, operation.provider_reference)

    def _lookup(self, operation: Operation) -> Result | None:
        if operation.type is TransactionType.REFUND:
            return refunds.look_up(operation, self._keys, self._post)
        if operation.type in ASKS:
            return self._paid(operation)
        return self._of_hold(operation)

    # The page

    def _page(self, operation: Operation) -> Result:
        """The payer's browser opens it; nobody is asked. Only cards can be held."""
        if operation.type is TransactionType.AUTHORIZATION and operation.method != Method.CARD:
            return Result(Outcome.DECLINED, failure_code="method_not_supported")
        account = self.account
        url = f"{account.pay_url.rstrip('/')}/RMS/pay/{quote(self._keys.merchant, '')}/"
        form = form_of(
            operation,
            self._keys,
            extended=account.extended_vcode,
            hold=account.hold_field,
            callback=account.public_url and f"{account.public_url}/v1/webhooks/{self.name}",
        )
        action = {"type": "redirect", "url": url + quote(operation.channel or "", ""), "form": form}
        return Result(Outcome.REQUIRES_ACTION, next_action=action)

    def _paid(self, operation: Operation) -> Result:
        order = Order(operation.reference, operation.amount, operation.currency)
        found = self._transactions(order)
        if not found:
            return self._page(operation)  # not heard of, and nobody can have taken it back
        told = [self._told(one, operation) for one in found]
        paid = [one for one in told if one.outcome is Outcome.APPROVED]
        if paid:
            known = [one for one in paid if one.provider_reference == operation.known_as]
            own = (known or paid)[0]
            return replace(own, also=tuple(one for one in paid if one is not own))
        if len(found) >= MOST_TOLD:
            raise OutcomeUnknown("there may be more tries than are told")
        return next((one for one in told if one.outcome is Outcome.PENDING), told[-1])

    def _told(self, one: Transaction, operation: Operation) -> Result:
        """One try as the outcome of the operation."""
        ours = one.number == operation.known_as and one.name in TAKEN  # a hold captured since then
        kind = TransactionType.CHARGE if ours else operation.type
        return result(one, kind, operation.amount)

    def _transactions(self, order: Order) -> list[Transaction]:
        """The transactions of an order, oldest first, the newest MOST_TOLD of them; none if Fiuu
        has not heard of it.

        A requery tells of one transaction. Whatever became of it, all are asked for: a payer with
        two windows may have paid in one and given up or wait in the other, or paid in both.
        """
        amount, keys = money.format_amount(order.amount, order.currency), self._keys
        fields = {"oID": order.number, "domain": keys.merchant, "type": "2"}
        asked = fields | {"amount": amount, "skey": keys.query(order.number, amount)}
        one = vouched_for(texts(self._post("requery", asked)), keys, order)
        if not one.number:
            if one.name != UNHEARD:
                raise OutcomeUnknown(f"{one.name} without a number")
            return []
        told = rows(self._post("batch", fields | {"skey": keys.batch(order.number)}))
        every = in_order(vouched_for(row, keys, order) for row in told)
        if one.number not in {other.number for other in every}:
            raise OutcomeUnknown("a transaction is not among those of its order")
        return every

    # Holds

    def _on_hold(self, operation: Operation, number: str) -> Result:
        keys, capture_id = self._keys, self.account.capture_id
        if operation.type is TransactionType.CAPTURE:
            amount = money.format_amount(operation.amount, operation.currency)
            fields = {capture_id: number, "amount": amount, "skey": keys.capture(number, amount)}
            if capture_id == "tranID":
                fields["RefID"] = operation.reference
            said = self._post("capture", fields | {"domain": keys.merchant, "type": "2"})
        else:
            fields = {"txnID": number, "skey": keys.void(number)}
            said = self._post("void", fields | {"domain": keys.merchant, "type": "2"})
        status = texts(said).get("StatCode")
        found = self._of_hold(operation)
        if found is not None:
            return found
        if status == "11":
            return Result(Outcome.DECLINED, failure_code=_IN_VAIN[operation.type])
        raise OutcomeUnknown(f"the hold stands after an answer of {status}")

    def _of_hold(self, operation: Operation) -> Result | None:
        """What became of the hold that a capture or void is about; None if it stands."""
        amount = operation.charge_amount or operation.amount
        order = Order(operation.charge_reference or "", amount, operation.currency)
        found = self._transactions(order)
        hold = next((one for one in found if one.number == operation.provider_reference), None)
        if hold is None:
            raise OutcomeUnknown("the hold is not among the transactions of its order")
        if hold.name in HELD:
            return None
        wanted = TAKEN if operation.type is TransactionType.CAPTURE else GONE
        if hold.name in wanted:
            return Result(
                Outcome.APPROVED,
                provider_reference=hold.number,
                amount_approved=operation.amount,
                occurred_at=hold.at,
                names_no_request=True,
            )
        if hold.name in TAKEN | GONE:
            return Result(Outcome.DECLINED, failure_code=_IN_VAIN[operation.type])
        raise OutcomeUnknown(f"the hold is {hold.name}")

    def _post(self, endpoint: str, fields: dict[str, str]) -> Any:
        return self._wire.post(endpoint, fields, timeout=self.limits.timeout)


def fiuu_of(settings: Settings, limits: Limits) -> FiuuProvider | None:
    """What the settings say of Fiuu; None if it is off."""
    merchant, verify_key = settings.fiuu_merchant_id, settings.fiuu_verify_key
    secret_key = settings.fiuu_secret_key
    pay_url, api_url = settings.fiuu_pay_url, settings.fiuu_api_url
    if not (merchant and verify_key and secret_key and pay_url and api_url):
        return None
    field, _, value = settings.fiuu_hold_field.partition("=")
    account = Fiuu(
        keys=Keys(merchant, verify_key, secret_key),
        pay_url=pay_url,
        api_url=api_url,
        public_url=settings.public_url,
        extended_vcode=settings.fiuu_extended_vcode,
        hold_field=(field, value),
        capture_id=settings.fiuu_capture_id,
    )
    return FiuuProvider(account, limits)
