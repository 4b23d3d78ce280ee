"""What a request does to the books of the sandbox's Stripe."""

from __future__ import annotations

from typing import Any

from payment_service.sandbox.dialects.stripe import asking, cards, objects
from payment_service.sandbox.dialects.stripe.refusing import StripeSays, bad, missing
from payment_service.sandbox.faults import NO_WHIM, Whim
from payment_service.sandbox.memory import Memory, Row

INTENTS, CHARGES, BALANCE = "stripe.intents", "stripe.charges", "stripe.balance"
REFUNDS, EVENTS, DISPUTES = "stripe.refunds", "stripe.events", "stripe.disputes"
METHODS, CARDS = "stripe.methods", "stripe.cards"


class StripeBooks:
    """One request's view of the books. What happened by it is in `events`, to be sent afterwards.

    Each method writes all that it does as one line of the journal, and raises StripeSays for what
    Stripe answers with an error. Hold the memory's lock around a call.
    """

    def __init__(self, memory: Memory, key: str | None = None) -> None:
        self._memory, self._key = memory, key
        self.events: list[Row] = []

    def create(self, form: dict[str, Any], whim: Whim = NO_WHIM) -> Row:
        """A new intent, tried at once with `confirm`."""
        asked = asking.of_intent(form)
        if form.get("confirm") != "true":
            return self._write(objects.intent(asked))
        card = self._card(form)
        return self._tried(objects.intent(asked), form, card, whim)

    def confirm(self, intent_id: str, form: dict[str, Any], whim: Whim = NO_WHIM) -> Row:
        """Another try: by us, or by a payer who holds the client_secret."""
        asking.expect_known(form, asking.CONFIRM)
        intent = self.find(INTENTS, intent_id, "intent")
        self._expect(intent, "requires_payment_method", "requires_confirmation")
        card = self._card(form)
        return self._tried(intent, form, card, whim)

    def capture(self, intent_id: str, form: dict[str, Any], whim: Whim = NO_WHIM) -> Row:
        """Takes a hold or a part of it, once; the rest is released."""
        asking.expect_known(form, asking.CAPTURE)
        intent = self.find(INTENTS, intent_id, "intent")
        self._expect(intent, "requires_capture")
        amount = intent["amount"]
        if "amount_to_capture" in form:
            amount = asking.number(form, "amount_to_capture")
        if amount > intent["amount_capturable"]:
            raise bad(
                "The amount to capture is greater than what was authorized.",
                code="amount_too_large",
                param="amount_to_capture",
            )
        if whim.decline:
            raise StripeSays(402, objects.error(cards.theirs(whim.decline), of=intent))
        intent = {**intent, "metadata": intent["metadata"] | asking.metadata(form)}
        return self._paid(intent, amount)

    def cancel(self, intent_id: str, form: dict[str, Any], whim: Whim = NO_WHIM) -> Row:
        """Releases a hold, or ends what waits for a payer."""
        asking.expect_known(form, asking.CANCEL)
        intent = self.find(INTENTS, intent_id, "intent")
        waiting = ("requires_payment_method", "requires_confirmation", "requires_action")
        self._expect(intent, *waiting, "requires_capture")
        intent = {
            **intent,
            "status": "canceled",
            "canceled_at": objects.now(),
            "cancellation_reason": form.get("cancellation_reason"),
            "amount_capturable": 0,
            "next_action": None,
        }
        return self._write(intent, event="payment_intent.canceled")

    def act(self, intent_id: str, approves: bool) -> Row:
        """The payer, on the page of the bank."""
        intent = self.find(INTENTS, intent_id, "intent")
        self._expect(intent, "requires_action")
        if not approves:
            return self._failed(intent, cards.NOT_AUTHENTICATED)
        return self._taken({**intent, "next_action": None})

    def refund(self, form: dict[str, Any], whim: Whim = NO_WHIM) -> Row:
        """Gives back what was captured, or a part of it; what is pending counts as given back."""
        asking.expect_known(form, asking.REFUND)
        intent = self.find(INTENTS, form.get("payment_intent"), "payment_intent", 400)
        charge = self._memory.get(CHARGES, intent["latest_charge"] or "")
        if charge is None or not charge["captured"]:
            raise bad(
                "This PaymentIntent does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
            )
        left = charge["amount_captured"] - charge["amount_refunded"]
        amount = asking.number(form, "amount") if "amount" in form else left
        if left == 0:
            raise bad("The charge has already been refunded.", code="charge_already_refunded")
        if amount > left:
            raise bad("Refund amount is greater than unrefunded amount.", param="amount")
        status = "succeeded"
        if intent["payment_method"] == cards.PENDING_REFUND:
            status = "pending"
        asked = {**form, "amount": amount, "metadata": asking.metadata(form)}
        refund = objects.refund(asked, of=intent, status=status)
        if whim.decline:
            refund |= {"status": "failed", "failure_reason": "unknown"}
            return self.put([(REFUNDS, refund)], refund, "refund.failed")
        booked = objects.booking(refund, -amount, 0, "refund")
        refund["balance_transaction"] = booked["id"]
        charge = _given_back(charge, amount)
        self._happened("charge.refunded", charge)
        self._happened("refund.created", refund)
        rows = [(REFUNDS, refund), (BALANCE, booked), (CHARGES, charge)]
        return self.put(rows, refund, "refund.updated" if status == "pending" else None)

    def settle(self, refund_id: str, outcome: str) -> Row:
        """What the bank makes of a refund: "succeed" or "fail", also of one that had succeeded."""
        refund = self.find(REFUNDS, refund_id, "refund")
        if outcome == "succeed":
            return self.put(
                [(REFUNDS, done := {**refund, "status": "succeeded"})], done, "refund.updated"
            )
        failed = {**refund, "status": "failed", "failure_reason": "expired_or_canceled_card"}
        booked = objects.booking(refund, refund["amount"], 0, "refund_failure")
        failed["failure_balance_transaction"] = booked["id"]
        charge = self.find(CHARGES, refund["charge"], "charge")
        rows = [(REFUNDS, failed), (BALANCE, booked)]
        rows.append((CHARGES, _given_back(charge, -refund["amount"])))
        return self.put(rows, failed, "refund.failed")

    def find(self, table: str, row_id: Any, param: str, status: int = 404) -> Row:
        """The object of that id. Raises StripeSays."""
        row = self._memory.get(table, row_id) if isinstance(row_id, str) else None
        if row is None:
            raise missing(param, str(row_id), param, status)
        return row

    def _card(self, form: dict[str, Any]) -> str:
        """The test card by which it behaves: the one that is named, or that was saved, for the
        same customer. Raises StripeSays."""
        token = str(form.get("payment_method"))
        method = self._memory.get(METHODS, token)
        if method is None and token not in cards.KNOWN:
            raise missing("PaymentMethod", token, "payment_method", 400)
        if method is None:
            return token
        if method["customer"] is None or method["customer"] != form.get("customer"):
            raise bad("The provided PaymentMethod is not this customer's.", param="payment_method")
        return str(self.find(CARDS, token, "payment_method")["behaves"])

    def _tried(self, intent: Row, form: dict[str, Any], token: str, whim: Whim) -> Row:
        named = form["payment_method"]
        intent = {**intent, "payment_method": named, "last_payment_error": None}
        no = cards.theirs(whim.decline) if whim.decline else cards.DECLINES.get(token)
        if no is None and token in cards.ACTS and form.get("off_session") == "true":
            no = cards.NEEDS_AUTHENTICATION
        if no is not None:
            failed = self._failed(intent, no)
            raise StripeSays(402, objects.error(no, of=failed))
        if token in cards.ACTS:
            return self._write(_asking(intent, form), event="payment_intent.requires_action")
        return self._taken(intent)

    def _failed(self, intent: Row, no: cards.No) -> Row:
        failed = {
            **intent,
            "status": "requires_payment_method",
            "payment_method": None,
            "next_action": None,
            "last_payment_error": objects.error(no),
        }
        return self._write(failed, event="payment_intent.payment_failed")

    def _taken(self, intent: Row) -> Row:
        """The bank says yes."""
        if intent["capture_method"] != "manual":
            return self._paid(intent, intent["amount"])
        charge = objects.charge(intent, captured=False)
        intent = {
            **intent,
            "status": "requires_capture",
            "amount_capturable": intent["amount"],
            "latest_charge": charge["id"],
        }
        kind = "payment_intent.amount_capturable_updated"
        return self.put([(INTENTS, intent), (CHARGES, charge)], intent, kind)

    def _paid(self, intent: Row, amount: int) -> Row:
        held = self._memory.get(CHARGES, intent["latest_charge"] or "")
        charge = held or objects.charge(intent, captured=True)
        # 2 %, half up: as good as any other, and told in the currency that was charged.
        booked = objects.booking(charge, amount, (amount * 2 + 50) // 100, "charge")
        charge = {
            **charge,
            "captured": True,
            "amount_captured": amount,
            "metadata": intent["metadata"],
            "balance_transaction": booked["id"],
        }
        intent = {
            **intent,
            "status": "succeeded",
            "amount_capturable": 0,
            "amount_received": amount,
            "latest_charge": charge["id"],
        }
        rows = [(INTENTS, intent), (CHARGES, charge), (BALANCE, booked)]
        return self.put(rows, intent, "payment_intent.succeeded")

    def _expect(self, intent: Row, *statuses: str) -> None:
        if intent["status"] not in statuses:
            told = bad(
                f"This PaymentIntent's status is {intent['status']}.",
                code="payment_intent_unexpected_state",
            )
            raise StripeSays(400, told.error | {"payment_intent": intent})

    def _write(self, intent: Row, event: str | None = None) -> Row:
        return self.put([(INTENTS, intent)], intent, event)

    def put(
        self,
        rows: list[tuple[str, Row]],
        of: Row,
        event: str | None,
        previous: Row | None = None,
    ) -> Row:
        """Writes all of it, and what happened by it, as one."""
        if event is not None:
            self._happened(event, of, previous)
        self._memory.put_all([*rows, *((EVENTS, one) for one in self.events)])
        return of

    def _happened(self, kind: str, of: Row, previous: Row | None = None) -> None:
        shown = objects.shown(of, self._memory)
        event = objects.event(kind, shown, self._key)
        if previous is not None:
            event["data"] |= {"previous_attributes": previous}
        self.events.append(event)


def _asking(intent: Row, form: dict[str, Any]) -> Row:
    """The intent, waiting for its payer: on a page, or in an app that holds the client_secret."""
    action: dict[str, Any] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    if url := form.get("return_url"):
        # The address of the page is filled in where it is shown, because it is that of the request.
        redirect = {"return_url": url, "url": f"/stripe/3ds/{intent['id']}"}
        action = {"type": "redirect_to_url", "redirect_to_url": redirect}
    return {**intent, "status": "requires_action", "next_action": action}


def _given_back(charge: Row, amount: int) -> Row:
    refunded = charge["amount_refunded"] + amount
    return {
        **charge,
        "amount_refunded": refunded,
        "refunded": refunded == charge["amount_captured"],
    }
