"""What the forms of acts say: what will happen, and whether it can be undone."""

from __future__ import annotations

from typing import NamedTuple

from payment_service.services.fitting import PaymentAct


class ActWords(NamedTuple):
    """`name` is on the payment's page, `title` above the form, `button` sends it. `{provider}` and
    `{amount}` stand for those of the payment."""

    name: str
    title: str
    will: str
    undo: str
    button: str


OF_ACT = {
    PaymentAct.REFUND: ActWords(
        "Refund",
        "Refund of payment {payment}",
        "{provider} is asked to give {amount} back to the payer.",
        "It can't be undone: the payer would have to pay anew.",
        "Refund {amount}",
    ),
    PaymentAct.CAPTURE: ActWords(
        "Capture",
        "Capture of payment {payment}",
        "{provider} is asked to take the {amount} that are held.",
        "It can't be undone, but it can be given back afterwards.",
        "Capture {amount}",
    ),
    PaymentAct.CANCEL: ActWords(
        "Cancel",
        "Cancelling payment {payment}",
        "The payment ends unpaid, and its trip or order is free for another payment. What is held"
        " of it is released.",
        "It can't be undone: who wants the money charges anew.",
        "Cancel the payment",
    ),
    PaymentAct.LOOK_UP: ActWords(
        "Look up now",
        "Looking up payment {payment}",
        "{provider} is asked at once what became of the requests that have no answer yet. Nothing"
        " is sent a second time.",
        "There is nothing to undo: it only asks.",
        "Look it up",
    ),
    PaymentAct.CASH_RECEIVED: ActWords(
        "Cash received",
        "Cash for payment {payment}",
        "You say that the driver has {amount} in cash. The payment becomes paid.",
        "It can't be undone, but it can be handed back afterwards.",
        "{amount} were received",
    ),
    PaymentAct.CASH_HANDED_BACK: ActWords(
        "Cash handed back",
        "Handing back of payment {payment}",
        "You say that {amount} were handed back to the payer. The refund becomes done.",
        "It can't be undone.",
        "{amount} were handed back",
    ),
}

REFUND_BY_HAND = (
    "It is written down that {amount} go back. A person hands them over, and then says so here."
)
"""What will happen instead where no provider gives it back."""

REASONS = (
    "Wrong fare",
    "Detour",
    "Trip did not take place",
    "Paid twice",
    "Complaint about the trip",
    "Goodwill",
)
"""Why money is given back, to choose from; another reason is written."""
