"""What is to be said of a payment beside its cell of the table: what look-ups found, what was paid
twice, what contradicts, who is silent for too long."""

from __future__ import annotations

from collections.abc import Sequence

from payment_service.domain import coming
from payment_service.domain.around import Around
from payment_service.domain.coming import Asked, Standing
from payment_service.domain.reasons import reason_of
from payment_service.domain.vocabulary import (
    ASKS,
    CAPTURED,
    DEAD,
    PaymentStatus,
    TransactionStatus,
)


def of_request(told: Asked | None, around: Around) -> list[str]:
    """What is known of a request that is open: what look-ups found, what the payer tried."""
    if told is None or not told.is_open() or coming.waits_for_a_person(told):
        return []
    found = []
    if told.lookups:
        times = "once" if told.lookups == 1 else f"{told.lookups} times"
        found.append(f"We have asked {times} since what became of it.")
    if told.not_found_at and told.provider_reference:
        found.append(
            f"At {around.clock(told.not_found_at)} it said that it has no such request, though it"
            f" had taken it as {told.provider_reference}: only people can find out."
        )
    elif told.not_found_at:
        found.append(
            f"At {around.clock(told.not_found_at)} it said that it has no such request; that is"
            " believed once it says so again, when nothing can be on its way any more."
        )
    elif told.status == TransactionStatus.PROCESSING and told.provider_reference:
        found.append(f"It has the request, as {told.provider_reference}, and is at work on it.")
    if told.failure_code:
        reason = reason_of(told.failure_code, told.failure_message)
        found.append(f"The last try there was declined. {reason.why}")
    return found


def of_payment(payment: Standing, requests: Sequence[Asked], around: Around) -> list[str]:
    """What is known of the payment beside the request that tells."""
    found = []
    if payment.imported:
        found.append("It was imported from an older system.")
        if payment.failure_code and not requests:
            found.append(reason_of(payment.failure_code, payment.failure_message).why)
    twice = [one for one in requests if one.is_beside() and one.type in ASKS]
    found += [
        "The payer paid a second time on the same page:"
        f" {around.written.amount(one.amount, one.currency)}, which"
        f" {_goes_back(one, requests)}."
        for one in twice
    ]
    if around.contradicted_at and payment.status not in DEAD:
        found.append(
            f"Callers had been told otherwise before: at {around.clock(around.contradicted_at)} the"
            " provider showed that it was done all the same."
        )
    stands_beside = payment.share > 0 and payment.expires_at is not None
    if stands_beside and payment.status in (*CAPTURED, PaymentStatus.AUTHORIZED):
        found.append("Another payment stands for the same trip or order, so this money is surplus.")
    if payment.disputed:
        amount = around.written.amount(payment.disputed, payment.currency)
        found.append(f"The payer contests it at the bank, which has taken {amount} of it back.")
    if payment.charged_back:
        amount = around.written.amount(payment.charged_back, payment.currency)
        found.append(f"{amount} were lost, because the bank decided for the payer.")
    found += [
        f"A webhook of {provider} did not fit ({why}). It moved nothing."
        for provider, why in around.mismatches
    ]
    return found


def _goes_back(charge: Asked, requests: Sequence[Asked]) -> str:
    given = [one for one in requests if one.description == charge.reference and one.is_beside()]
    if any(one.status == TransactionStatus.SUCCESS for one in given):
        return "went back"
    return "is being given back" if any(one.is_open() for one in given) else "is to be given back"


def held_back(told: Asked, around: Around) -> list[str]:
    """New requests to a provider that fails are held back for a while; look-ups never are."""
    until = around.held_back.get(told.provider)
    if until is None or until <= around.now:
        return []
    return [
        f"New requests to {told.provider} are held back until {around.clock(until)}, because it"
        " failed too often; look-ups go on."
    ]


def to_do(payment: Standing, told: Asked | None, around: Around) -> list[str]:
    """What a person can do beside what the cell says."""
    found = alarm(told, around)
    if payment.disputed:
        found.append("Answer the bank before its deadline; the page of disputes says when that is.")
    if around.contradicted_at and payment.status not in DEAD:
        found.append("Tell whoever acted on the first answer.")
    if around.mismatches:
        found.append("Compare the payment with the provider's own dashboard.")
    if around.parked_webhooks:
        found.append("A webhook about it could not be taken in and waits for you: replay it.")
    return found


def alarm(told: Asked | None, around: Around) -> list[str]:
    """A provider that is silent for longer than anybody should have to wait is asked by people."""
    if told is None or told.status != TransactionStatus.PROCESSING:
        return []
    if around.now - told.created_at <= around.alarm_after or coming.waits_for_a_person(told):
        return []
    if told.off:
        return [f"Switch {told.provider} on again, or ask them about {told.reference}."]
    return [f"It takes longer than it should: ask {told.provider} about {told.reference}."]
