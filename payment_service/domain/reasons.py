"""Why a request came to nothing, in plain words: each standard code of a provider's no, and ours.

A code that is not here is a provider's own: it is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Reason(NamedTuple):
    """`why` is a sentence. `payer` is what helps where a payer was asked for money, `house` where a
    capture, a release or a refund came to nothing."""

    why: str
    payer: str
    house: str = ""


_OTHER_WAY = "Ask the payer for another card or another way to pay."
_THEIR_DESK = "Look in the provider's own dashboard to see how the money stands there."

REASONS: Mapping[str, Reason] = {
    # Of providers: DECLINE_CODES.
    "insufficient_funds": Reason(
        "There was not enough money in the account.",
        "The payer can try again later, or pay another way.",
        "Look at the balance of our own account at the provider.",
    ),
    "do_not_honor": Reason("The bank said no and gave no reason.", _OTHER_WAY, _THEIR_DESK),
    "expired_card": Reason("The card is out of date.", _OTHER_WAY, _THEIR_DESK),
    "incorrect_cvc": Reason(
        "The card's security code was wrong.",
        "The payer can type the card in again.",
        _THEIR_DESK,
    ),
    "fraud_suspected": Reason(
        "The provider or the bank suspects fraud.",
        "Do not try this card again and do not tell the payer about the suspicion.",
        _THEIR_DESK,
    ),
    "limit_exceeded": Reason(
        "It was more, or more often, than the account or card allows.",
        "The payer can try again tomorrow, or pay another way.",
        "Try it again tomorrow.",
    ),
    "authentication_required": Reason(
        "The bank wanted the payer to confirm it, and the payer was not there to do so.",
        "The payer must pay in the app, where the bank can ask.",
        _THEIR_DESK,
    ),
    "method_not_supported": Reason(
        "The provider does not take this way to pay, or cannot do this with it.",
        "Ask the payer to pay another way.",
        "The provider cannot do this: it has to be done another way, outside of this service.",
    ),
    "provider_declined": Reason(
        "The provider said no, for a reason that has no standard code.", _OTHER_WAY, _THEIR_DESK
    ),
    "amount_too_large": Reason(
        "The amount is more than the provider takes at once.",
        "Ask the payer to pay another way.",
        "Try it with a smaller amount.",
    ),
    "not_capturable": Reason(
        "There was no hold left to take money from.",
        "The trip can be charged anew.",
        "Look at the story: another request may have taken or released the hold.",
    ),
    "not_voidable": Reason(
        "There was nothing left to release.",
        "Look at the story: another request may have ended it.",
        "Look at the story: another request may have taken or released the hold.",
    ),
    "refund_exceeds_captured": Reason(
        "By the provider's books less was left to give back.",
        _THEIR_DESK,
        "Somebody may have refunded it in the provider's own dashboard: look there.",
    ),
    "cancelled_by_payer": Reason(
        "The payer said no on the provider's page.", "The payer can try again."
    ),
    "invalid_token": Reason(
        "The provider does not know the card or account that it was given.",
        "The payer must enter the card or account again.",
        _THEIR_DESK,
    ),
    # Ours.
    "provider_unavailable": Reason(
        "The request was surely never sent: the provider could not be reached, had no room for it,"
        " or had failed so often that it is left alone for a while. No money moved.",
        "It is safe to try again.",
        "It is safe to try again.",
    ),
    "not_received": Reason(
        "The request surely never arrived: when nothing could be on its way any more, the provider"
        " said twice that it has no such request. No money moved.",
        "It is safe to try again.",
        "It is safe to try again.",
    ),
    "expired": Reason(
        "The payer did not pay in time.", "The payer can be asked again.", "It can be asked again."
    ),
    "cancelled": Reason(
        "It was called off before the money was taken.", "The payer can be asked again."
    ),
    "not_handed_over": Reason(
        "A person said that the cash was not handed over.",
        "Agree with the payer on another way to pay.",
        "Agree with the payer on how the money is given back.",
    ),
    "taken_back": Reason(
        "The provider had said that it was given back, and took that back later.",
        _THEIR_DESK,
        "The payer may not have got the money, so refund it again, perhaps another way.",
    ),
}

PLAIN = frozenset({"provider_declined"})
"""Codes that say so little that the provider's own words stand beside them."""

LONGEST_QUOTE = 200
"""Letters of a provider's own words. They are meant for people, and nobody bounds them."""


def reason_of(code: str | None, message: str | None = None) -> Reason:
    """Why, for a failure code. Of a code that is none of ours, and of one that says nothing, the
    code and the provider's own words are shown."""
    if code is None:
        return Reason("No reason was kept.", _OTHER_WAY, _THEIR_DESK)
    known = REASONS.get(code)
    if known is not None and code not in PLAIN:
        return known
    quoted = f' It said: "{_short(message)}".' if message else ""
    if known is not None:
        return known._replace(why=known.why + quoted)
    why = f'The provider gave a code of its own, "{_short(code)}", which has no words here.'
    return Reason(why + quoted, f"{_THEIR_DESK} {_OTHER_WAY}", _THEIR_DESK)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."
