"""The table of explanations of refunds; the slots are those of domain/explanation_table."""

from __future__ import annotations

from typing import NamedTuple

from payment_service.domain.explanation_table import A_PERSON, FINAL, Cell
from payment_service.domain.vocabulary import RefundStatus


class RefundKind(NamedTuple):
    """How a refund stands, and who has to say how it ends."""

    status: RefundStatus
    by_hand: bool = False
    lost: bool = False
    """The provider had taken it, and does not know it any more."""


_HAND_IT_BACK = (
    "Hand it back, or have it handed back. Then say here that it was done, or that it was not."
)

HANDED_BACK = Cell(
    "{captured} were taken. {amount} of it are to be handed back by a person{because}; that was"
    " asked for at {asked}.",
    _HAND_IT_BACK,
    rest=A_PERSON,
)
"""Of a payment with a refund that no provider makes."""

_PAID_OUT = "Do not refund this amount again, and do not pay it out another way."

REFUND_CELLS: dict[RefundKind, Cell] = {
    RefundKind(RefundStatus.PENDING): Cell(
        "We asked {provider} at {asked} to refund {amount}{because}. It has not ended yet.",
        _PAID_OUT + " You can have it looked up now.",
        then="If it was given back, the refund becomes SUCCESS; if surely not, FAILED.",
    ),
    RefundKind(RefundStatus.PENDING, by_hand=True): Cell(
        "{amount} are to be handed back by a person{because}; that was asked for at {asked}.",
        _HAND_IT_BACK,
        rest=A_PERSON,
    ),
    RefundKind(RefundStatus.PENDING, lost=True): Cell(
        "{provider} had taken the refund of {amount} at {asked} and now says that it has no such"
        " refund.",
        "Ask {provider} about {reference}. Then say here whether the money was given back.",
        then="If it is found again, the refund ends as it ended there.",
    ),
    RefundKind(RefundStatus.SUCCESS): Cell(
        "{amount} went back to the payer at {ended}{because}.",
        "Nothing is to be done. The bank may need some days to show it to the payer.",
        rest=FINAL,
    ),
    RefundKind(RefundStatus.FAILED): Cell(
        "The refund of {amount}, asked for at {asked}{because}, came to nothing. {why}",
        "{house} The amount can be refunded again.",
        rest=FINAL,
    ),
}
