"""The words of the pages and the keys, explained."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.views import Page

OF_PAYMENT = {
    "PENDING": "It was created, and no provider was asked yet.",
    "PROCESSING": "The provider was asked, and its answer is not known yet.",
    "REQUIRES_ACTION": "The payer must do something before it is paid.",
    "AUTHORIZED": "The money is held for us, and not taken yet.",
    "SUCCESS": "It was paid.",
    "FAILED": "It was not paid.",
    "CANCELLED": "It was cancelled, and nothing was kept.",
    "EXPIRED": "Its time was over before it was paid.",
    "PARTIALLY_REFUNDED": "It was paid, and a part of it was given back.",
    "REFUNDED": "It was paid, and all of it was given back.",
}
OF_REFUND = {
    "PENDING": "The provider was asked to give the money back, and has not said how it ended.",
    "SUCCESS": "The money was given back.",
    "FAILED": "It could not be given back; the payment keeps it, and it can be tried again.",
}
OF_JOB = {
    "OPEN": "The worker does it, one thing after the other.",
    "STOPPED": "Nothing more of it is begun until somebody has it go on.",
    "ENDED": "All of it was tried. Its page says what failed, and why.",
}
WORDS = {
    "Payment": "One intent to collect an amount.",
    "Request": "One question to a provider about a payment: to charge, hold, take, give back.",
    "Hold": "Money that a provider keeps for us and that was not taken yet.",
    "Provider": "The company that moves the money.",
    "Look-up": "To ask a provider what became of a request. It moves no money.",
    "Outcome not known": "The provider was asked, and no certain answer came. It is looked up, and"
    " never guessed or sent again.",
    "Contradiction": "The provider showed something else than callers had been told. What it shows"
    " counts.",
    "Surplus": "Money that came in although another payment had paid already. It is given back by"
    " itself.",
    "Idempotency key": "A caller's name for one request: whoever sends it again gets the answer"
    " that was kept.",
    "Event, sink": "What happened, told to another service; and the way to that service.",
    "Parked": "An event that failed too often. It waits for an operator, and holds up only its own"
    " payment at its own sink.",
    "Skip": "To give a parked event up: its sink never hears of it.",
    "Circuit": "What stops asking a provider that fails too often, for a while.",
    "Beat": "A job of the worker that runs by itself. It is silent if it did not come for a minute"
    " or more.",
    "Act": "What somebody did in the panel or at a command line. Acts are kept for ever, and each"
    " holds the hash of the one before.",
    "Step up": "To show once more who one is, before something delicate.",
    "Four eyes": "Above an amount, one operator asks for a refund and another one decides.",
}
ROLES = {
    "viewer": "sees all pages but those about operators.",
    "operator": "also acts: gives back, takes, cancels, looks up, sends events again.",
    "approver": "also decides on refunds that others ask for.",
    "admin": "also edits the catalog and looks after operators.",
}
KEYS = {
    "?": "lists the keys, on every page",
    "/": "puts the cursor into the box that finds",
    "j, k": "go to the next row of a list, and to the one before",
    "g, then d, p, r, e or a": "opens the desk, payments, refunds, events or approvals",
    "f": "opens the filters of a list",
    "r": "refunds the payment that is open",
    "Tab": "goes on to the next link, field or button",
    "Enter": "opens what is marked",
}


class Help(Page):
    path = "/help"

    @expose()
    def index(self) -> str:
        return self.render(
            of_payment=OF_PAYMENT,
            of_refund=OF_REFUND,
            of_job=OF_JOB,
            words=WORDS,
            roles=ROLES,
            keys=KEYS,
        )
