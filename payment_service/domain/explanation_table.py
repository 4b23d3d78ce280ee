"""The table of explanations: what a payment's status and its telling request mean, in plain words.

A cell stands for (status, type of the request, its outcome). Beside it stand the failure code
(domain/reasons) and what comes next (domain/coming); domain/explanations puts them together.

Words in braces are filled in: {provider}, {amount} and {asked} are the request's, {ended} is when
its outcome was known, {why} is the sentence of its failure code, {because} why the worker asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from payment_service.domain.coming import StepKind
from payment_service.domain.states import Trigger, Verdict
from payment_service.domain.vocabulary import ASKS
from payment_service.domain.vocabulary import PaymentStatus as P
from payment_service.domain.vocabulary import TransactionStatus as T
from payment_service.domain.vocabulary import TransactionType as K


class Cell(NamedTuple):
    """`then` follows what the worker does next; `rest` is said where it does nothing."""

    happened: str
    do: str
    then: str = ""
    rest: str = "Nothing more happens by itself."


Key = tuple[P, Trigger | None, T | None]
"""Without a type: no request is known here. PERSON: a person's word decides, or decided."""

OUTCOMES: Mapping[Verdict, T] = {
    Verdict.ASKED: T.PROCESSING,
    Verdict.REQUIRES_ACTION: T.REQUIRES_ACTION,
    **dict.fromkeys(
        (
            *(Verdict.DECLINED, Verdict.NOT_SENT, Verdict.NOT_RECEIVED, Verdict.CANCELLED),
            *(Verdict.TAKEN_BACK_TO_PART, Verdict.TAKEN_BACK_TO_NONE),
        ),
        T.FAILED,
    ),
    **dict.fromkeys(
        (Verdict.APPROVED, Verdict.NOT_PAID, Verdict.PARTLY, Verdict.WHOLLY), T.SUCCESS
    ),
}
"""How a verdict leaves its request. EXPIRED is not here: it is the yes to a void, and the no to
what asked for the money."""


def key_after(to: P, trigger: Trigger, verdict: Verdict) -> Key:
    """The cell of a payment that an edge of domain/states has just led to."""
    if trigger is Trigger.PERSON:
        return to, trigger, None
    if verdict is Verdict.EXPIRED:
        return to, trigger, T.SUCCESS if trigger is Trigger.VOID else T.FAILED
    return to, trigger, OUTCOMES[verdict]


WORDS: Mapping[str, str] = {
    K.CHARGE: "charge",
    K.AUTHORIZATION: "hold",
    K.CAPTURE: "capture",
    K.VOID: "release",
    K.REFUND: "refund",
}
"""What we ask for, as operators say it. The same word serves as a verb and as a noun."""

_SILENT = "We asked {provider} at {asked} to {verb} {amount}. It has given no certain answer yet."
A_PERSON = "Nothing happens by itself: it waits for a person's word."
FINAL = "Nothing more happens by itself: this is final."
_MAY_REFUND = "You can refund it, all or a part."
_REFUND_REST = "Until then this part cannot be refunded a second time."

CELLS: dict[Key, Cell] = {
    (P.PENDING, None, None): Cell(
        "The payment was created at {created}. No provider was asked for money yet.",
        "Whoever made it has to charge it. You can cancel it, if nobody wants it any more.",
        rest="Nothing happens by itself: it waits until it is charged.",
    ),
    (P.PENDING, Trigger.PERSON, None): Cell(
        "{amount} are to be paid in cash since {created}.",
        "Ask the driver. Then say here that the cash was received, or that it was not.",
        rest=A_PERSON,
    ),
    (P.PROCESSING, Trigger.CAPTURE, T.PROCESSING): Cell(
        _SILENT,
        "Do not charge the trip another way: the money may have been taken. You can have it looked"
        " up now.",
        then="If it was taken, the payment becomes SUCCESS; if surely not, the hold stands again.",
    ),
    (P.PROCESSING, Trigger.VOID, T.PROCESSING): Cell(
        "We asked {provider} at {asked} to release the hold of {amount}{because}. It has given no"
        " certain answer yet.",
        "Do nothing: the hold may still stand, or be gone. You can have it looked up now.",
        then="If it was released, the payment is over; if surely not, the hold stands again.",
    ),
    (P.REQUIRES_ACTION, Trigger.VOID, T.PROCESSING): Cell(
        "The payer was sent to {provider} and the wait is being ended{because}: we asked at {asked}"
        " to call it off. It has given no certain answer yet.",
        "Do not ask for the money another way until this has ended: the payer may just have paid.",
        then="If it was called off, the trip is free; if the payer was quicker, it is paid.",
    ),
    (P.REQUIRES_ACTION, Trigger.VOID, T.FAILED): Cell(
        "The payer was sent to {provider}. We tried to end the wait at {asked}, and that came to"
        " nothing. {why}",
        "Do not ask for the money another way: the payer can still pay. {house}",
    ),
    (P.AUTHORIZED, Trigger.AUTHORIZATION, T.SUCCESS): Cell(
        "{provider} holds {amount} since {ended}. Nothing was taken yet.",
        "You can capture it, all or a part, or cancel it.",
    ),
    (P.AUTHORIZED, Trigger.CAPTURE, T.FAILED): Cell(
        "{provider} holds the money. The capture of {amount}, asked for at {asked}, came to"
        " nothing. {why}",
        "{house} You can capture it again, or cancel it.",
    ),
    (P.AUTHORIZED, Trigger.VOID, T.FAILED): Cell(
        "{provider} holds the money. Its release, asked for at {asked}{because}, came to nothing."
        " {why}",
        "{house} You can cancel it again, or capture it.",
    ),
    (P.SUCCESS, Trigger.CHARGE, T.SUCCESS): Cell(
        "{provider} took {captured} at {ended}.", _MAY_REFUND, rest=FINAL
    ),
    (P.SUCCESS, Trigger.CAPTURE, T.SUCCESS): Cell(
        "{provider} took {captured} of the hold at {ended}; the rest of it, if any, was released.",
        _MAY_REFUND,
        rest=FINAL,
    ),
    (P.SUCCESS, Trigger.PERSON, None): Cell(
        "{captured} were received in cash at {completed}, by a person's word.",
        "You can refund it; then a person hands it back.",
        rest=FINAL,
    ),
    (P.FAILED, Trigger.PERSON, None): Cell(
        "The cash was not received. {why}", "{payer} The trip can be charged anew.", rest=FINAL
    ),
    (P.CANCELLED, Trigger.PERSON, None): Cell(
        "It was cancelled at {completed}, before anybody was asked for money.",
        "Nothing is to be done. The trip can be charged anew.",
        rest=FINAL,
    ),
    (P.FAILED, Trigger.VOID, T.SUCCESS): Cell(
        "The payer's try on the page of {provider} was declined, and the page was closed at"
        " {ended}. {declined} No money was taken.",
        "{payer} The trip can be charged anew.",
        rest=FINAL,
    ),
    (P.CANCELLED, Trigger.VOID, T.SUCCESS): Cell(
        "{provider} released the hold of {amount} at {ended}, as it was asked to. No money was"
        " taken.",
        "Nothing is to be done. The trip can be charged anew.",
        rest=FINAL,
    ),
    (P.EXPIRED, Trigger.VOID, T.SUCCESS): Cell(
        "Its time was over, so we had {provider} end it at {ended}. No money was taken.",
        "Nothing is to be done. The trip can be charged anew.",
        rest=FINAL,
    ),
    (P.SUCCESS, Trigger.REFUND, T.FAILED): Cell(
        "{captured} were taken. The refund of {amount}, asked for at {asked}{because}, came to"
        " nothing. {why}",
        "{house} Look with the payer whether it is still to be given back.",
    ),
    (P.PARTIALLY_REFUNDED, Trigger.REFUND, T.SUCCESS): Cell(
        "{refunded} of {captured} went back to the payer, the last of it at {ended}{because}.",
        "You can refund what is left: {left}.",
        rest=FINAL,
    ),
    (P.PARTIALLY_REFUNDED, Trigger.REFUND, T.FAILED): Cell(
        "{refunded} of {captured} went back to the payer. The last refund, of {amount}, came to"
        " nothing. {why}",
        "{house} You can refund what is left: {left}.",
    ),
    (P.REFUNDED, Trigger.REFUND, T.SUCCESS): Cell(
        "All of it, {refunded}, went back to the payer, the last at {ended}{because}.",
        "Nothing is to be done. The bank may need some days to show it to the payer.",
        rest=FINAL,
    ),
    **{
        (paid, Trigger.REFUND, T.PROCESSING): Cell(
            "{captured} were taken. A refund of {amount} was asked of {provider} at"
            " {asked}{because}, and has not ended yet.",
            "Do not refund this amount again, and do not pay it out another way.",
            then=_REFUND_REST,
        )
        for paid in (P.SUCCESS, P.PARTIALLY_REFUNDED)
    },
    **{
        (status, None, None): Cell(
            f"It is {status}. No request to a provider is known here.",
            "Whatever has to be done is done where it was paid.",
            rest=FINAL,
        )
        for status in P
        if status is not P.PENDING
    },
}

for _kind in ASKS:
    _ask = Trigger(_kind.value)
    _done = "SUCCESS" if _kind is K.CHARGE else "AUTHORIZED"
    CELLS |= {
        (P.PROCESSING, _ask, T.PROCESSING): Cell(
            _SILENT,
            "Do not charge again: the money may have been taken. You can have it looked up now.",
            then=f"If it did so, the payment becomes {_done}; if surely not, FAILED.",
        ),
        (P.REQUIRES_ACTION, _ask, T.REQUIRES_ACTION): Cell(
            "The payer was sent to {provider} at {asked} to confirm {amount}, and has not done so"
            " yet.",
            "Do not ask for the money another way: the payer can still pay.",
        ),
        (P.FAILED, _ask, T.FAILED): Cell(
            "The {noun} of {amount}, asked of {provider} at {asked}, failed. {why}",
            "{payer} The trip can be charged anew.",
            rest=FINAL,
        ),
        (P.CANCELLED, _ask, T.FAILED): Cell(
            "The {noun} of {amount} was called off at {ended}. No money was taken.",
            "Nothing is to be done. The trip can be charged anew.",
            rest=FINAL,
        ),
        (P.EXPIRED, _ask, T.FAILED): Cell(
            "The payer did not confirm {amount} in time; the wait ended at {ended}. No money was"
            " taken.",
            "Nothing is to be done. The trip can be charged anew.",
            rest=FINAL,
        ),
    }


STEPS: Mapping[StepKind, str] = {
    StepKind.LOOK_UP: "We ask {step_provider} {when} what became of the {step_noun}.",
    StepKind.CHECK: "To be sure, we ask {step_provider} once more about the {step_noun} {when}.",
    StepKind.RELEASE: "If nobody captures it before, the hold is released {when}.",
    StepKind.END_WAIT: "If the payer has not paid before, the wait ends {when}.",
    StepKind.GIVE_BACK: "What was paid a second time is given back {when}.",
    StepKind.GIVE_BACK_SURPLUS: "The surplus is given back {when}.",
}
"""What the worker will do; {when} is "at 14:03:10 UTC" or "now"."""

CAUSES: Mapping[str, str] = {
    "expiry": " because its time was over",
    "declined": " because the payer had been declined",
    "surplus": " because another payment had paid",
    "paid_twice": " because it was paid twice",
    "provider": " (made at the provider's own page)",
}
"""Why the worker asked by itself, by the request's cause."""
