"""What goes in to a provider and comes out of it: frozen values, OutcomeUnknown and NotSent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from payment_service.domain.payers import Payer as Payer
from payment_service.domain.vocabulary import TransactionType


class Outcome(StrEnum):
    """A provider's answer. A decline is a value: it is the provider's normal no."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    EXPIRED = "EXPIRED"
    """The payer has not paid in time, and can't any more."""


DECLINE_CODES = frozenset(
    {
        "insufficient_funds",
        "do_not_honor",
        "expired_card",
        "incorrect_cvc",
        "fraud_suspected",
        "limit_exceeded",
        "authentication_required",
        "method_not_supported",
        "provider_declined",
        "amount_too_large",
        "not_capturable",
        "not_voidable",
        "refund_exceeds_captured",
        "cancelled_by_payer",
        "invalid_token",
    }
)
"""The standard codes; a provider maps its own to these, what it can't map to provider_declined."""


class Extra(StrEnum):
    """What a provider may be able to do beside the verbs. It says so in its `capabilities`."""

    LISTING = "LISTING"
    """It is a Listing (providers/listing.py) too."""
    DISPUTES = "DISPUTES"
    """It tells of disputes (providers/disputes.py)."""
    CUSTOMERS = "CUSTOMERS"
    """It is a Customers (providers/saved_methods.py) too."""
    SAVED_METHODS = "SAVED_METHODS"
    """It is a SavedMethods (providers/saved_methods.py) too, and so a Customers."""


class OutcomeUnknown(Exception):
    """Asked, no certain answer. It is looked up; never guessed, never blindly asked again."""


class NotSent(Exception):
    """Surely nothing left us, or the provider surely refused to look at it: safe to try again.

    `counts` says whether it speaks against the provider's health.
    """

    def __init__(self, detail: str, *, retry_after: float = 1.0, counts: bool = True) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.counts = counts


@dataclass(frozen=True)
class Operation:
    """One request. `amount` is minor units of `currency`.

    `reference` is ours for this request and the provider's idempotency key; `known_as` is the
    provider's id for it, as soon as an answer named one: for look-ups. `charge_reference` and
    `provider_reference` name the charge or hold that a capture, void or refund is about, in our
    words and in the provider's, and `charge_amount` is what it was asked for. The request was
    written down at `begun_at`, and nothing of it may be sent after `send_before`.

    Of a payer who acts on a page of the provider's: `return_url` is the page of ours that it
    leads back to, `channel` the way of paying that the caller wishes for, in the provider's words.

    `is_adopted`: nobody here asked for it, so the provider has it under no reference of ours, and
    finds it by `known_as` alone.
    `payer_is_there`: a payer who is a customer can be asked, and need not have agreed before.
    """

    type: TransactionType
    reference: str
    amount: int
    currency: str
    method: str
    begun_at: datetime
    send_before: datetime
    known_as: str | None = None
    charge_reference: str | None = None
    provider_reference: str | None = None
    charge_amount: int | None = None
    payer: Payer | None = None
    return_url: str | None = field(default=None, repr=False)
    channel: str | None = None
    payer_is_there: bool = False
    payment_token: str | None = field(default=None, repr=False)
    description: str | None = field(default=None, repr=False)
    is_adopted: bool = False


@dataclass(frozen=True)
class Result:
    """One answer. `amount_approved` and `fee` are minor units; None means as asked, unknown.

    `still_open` with a DECLINED: the payer may pay all the same, with what was handed on, until a
    void says otherwise; only of a provider that cancels waits.

    `also`: other payments that came in under the same reference, where a page can be paid twice;
    each APPROVED, with an id of its own. Only a look-up of a charge tells them; the result itself
    is the payment that `known_as` names.

    `names_no_request`: the provider says how a hold ended, and not which capture or void of ours
    ended it, nor how much of it was captured.
    """

    outcome: Outcome
    provider_reference: str | None = None
    amount_approved: int | None = None
    authorization_code: str | None = None
    fee: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    next_action: dict[str, Any] | None = field(default=None, repr=False)
    occurred_at: datetime | None = None
    still_open: bool = False
    also: tuple[Result, ...] = ()
    names_no_request: bool = False


@dataclass(frozen=True)
class Limits:
    """How one provider is asked, as the settings say. Seconds; calls at once and the circuit are
    per process.

    A request may leave within `send_window` of being written down, and then takes at most
    `timeout`; `settling` after that the provider surely shows it, if it ever arrived.
    """

    timeout: float
    concurrency: int
    settling: float
    send_window: float
    circuit_fail_max: int
    circuit_reset: float
