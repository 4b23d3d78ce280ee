"""Tells a payment, or a refund, in three sentences: what happened, what comes next by itself and
when, and what a person can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain import coming, remarks
from payment_service.domain.around import Around
from payment_service.domain.coming import Asked, Standing, Step, StepKind
from payment_service.domain.explanation_table import (
    CAUSES,
    CELLS,
    STEPS,
    WORDS,
    Cell,
    Key,
)
from payment_service.domain.reasons import reason_of
from payment_service.domain.refund_table import HANDED_BACK, REFUND_CELLS, RefundKind
from payment_service.domain.states import Trigger
from payment_service.domain.vocabulary import (
    ASKS,
    PAID,
    PaymentStatus,
    RefundStatus,
    TransactionStatus,
    TransactionType,
)

LATE = timedelta(minutes=1)
"""A step that is due for so long: the worker takes what is due within seconds."""


@dataclass(frozen=True)
class Explanation:
    """Three texts in plain English. `next_at` is when the next step is due, None if nothing comes
    by itself; `late` says that it should have been done by now."""

    happened: str
    next: str
    do: str
    next_at: datetime | None = None
    late: bool = False


def explain(payment: Standing, requests: Sequence[Asked], around: Around) -> Explanation:
    """What became of the payment, with its `requests` by their number."""
    told = telling(payment, requests)
    cell = _cell(payment, told)
    slots = _slots(payment, told, around) | _declined(payment, requests)
    steps = coming.steps(payment, requests)
    happened = [cell.happened.format(**slots), *remarks.of_request(told, around)]
    happened += remarks.of_payment(payment, requests, around)
    # A refund, which a cell of a paid one offers, is refused then.
    do = [] if payment.disputed else [cell.do.format(**slots)]
    do += remarks.to_do(payment, told, around)
    coming_next = _next(steps, cell, around)
    if told is not None and (told.is_open() or payment.status in _MAY_BE_ASKED):
        coming_next += remarks.held_back(told, around)
    return _put(happened, coming_next, do, steps, around)


_MAY_BE_ASKED = (PaymentStatus.AUTHORIZED, PaymentStatus.FAILED, *PAID)
"""Of which the provider may be asked for more: what is held or paid, or is to be charged anew."""


def explain_refund(
    *, status: RefundStatus, payment: Standing, asked: Asked | None, around: Around
) -> Explanation:
    """What became of a refund, of which `asked` is the request; None for one that was imported."""
    if asked is None:
        text = f"It is {status}. No request to a provider is known here."
        return Explanation(text, "Nothing more happens by itself.", "Look where it was given back.")
    pending = status is RefundStatus.PENDING
    by_hand = pending and coming.waits_for_a_person(asked)
    lost = pending and not by_hand and bool(asked.provider_reference and asked.not_found_at)
    cell = REFUND_CELLS[RefundKind(status, by_hand, lost)]
    slots = _slots(payment, asked, around)
    steps = [step for step in coming.steps(payment, [asked]) if step.asked is asked]
    happened = [cell.happened.format(**slots)]
    happened += [] if lost else remarks.of_request(asked, around)
    do = [cell.do.format(**slots), *([] if lost else remarks.alarm(asked, around))]
    coming_next = _next(steps, cell, around)
    if status is not RefundStatus.SUCCESS:
        coming_next += remarks.held_back(asked, around)
    return _put(happened, coming_next, do, steps, around)


def telling(payment: Standing, requests: Sequence[Asked]) -> Asked | None:
    """The request that tells most of how the payment stands: one that is under way, else the newest
    that can have led there."""
    own = [asked for asked in reversed(requests) if not asked.is_beside()]
    under_way = [asked for asked in own if asked.status == TransactionStatus.PROCESSING]
    under_way.sort(key=lambda asked: asked.type == TransactionType.REFUND)
    return next((one for one in [*under_way, *own] if key_of(payment, one) in CELLS), None)


def key_of(payment: Standing, told: Asked | None) -> Key:
    """Under which the table has the payment's cell, if it has one for this request."""
    status = PaymentStatus(payment.status)
    by_person = (status, Trigger.PERSON, None)
    if told is not None and not (told.by_hand and told.type in ASKS and by_person in CELLS):
        return status, Trigger(told.type), TransactionStatus(told.status)
    by_hand = not payment.imported and (payment.cash or status is PaymentStatus.CANCELLED)
    return by_person if by_hand and by_person in CELLS else (status, None, None)


def _cell(payment: Standing, told: Asked | None) -> Cell:
    if told is not None and told.is_open() and coming.waits_for_a_person(told):
        return HANDED_BACK
    return CELLS[key_of(payment, told)]


def _put(
    happened: Sequence[str],
    coming_next: Sequence[str],
    do: Sequence[str],
    steps: Sequence[Step],
    around: Around,
) -> Explanation:
    late = bool(steps) and around.now - steps[0].at > LATE
    return Explanation(
        _joined(happened),
        _joined(coming_next),
        _joined([*do, "That is late: see whether the worker runs."] if late else do),
        steps[0].at if steps else None,
        late,
    )


def _joined(sentences: Sequence[str]) -> str:
    """One text, each sentence beginning with a capital, though a provider's name may come first."""
    words = (" ".join(sentence.split()) for sentence in sentences)
    return " ".join(text[0].upper() + text[1:] for text in words if text)


def _slots(payment: Standing, told: Asked | None, around: Around) -> dict[str, str]:
    """What stands in the braces of a cell."""
    code, message = payment.failure_code, payment.failure_message
    if told is not None:
        code, message = told.failure_code, told.failure_message
    reason = reason_of(code, message)
    asked_at = told.created_at if told else payment.created_at
    ended_at = (told and told.occurred_at) or payment.completed_at or asked_at
    verb = WORDS[told.type] if told else ""
    return {
        "provider": told.provider if told else payment.provider or "the provider",
        "amount": around.written.amount(told.amount if told else payment.amount, payment.currency),
        "captured": around.written.amount(payment.captured, payment.currency),
        "refunded": around.written.amount(payment.refunded, payment.currency),
        "left": around.written.amount(_left(payment), payment.currency),
        "created": around.clock(payment.created_at),
        "completed": around.clock(payment.completed_at or payment.created_at),
        "asked": around.clock(asked_at),
        "ended": around.clock(ended_at),
        "reference": told.reference if told else "",
        "verb": verb,
        "noun": verb,
        "because": CAUSES.get((told and told.cause) or "", ""),
        "why": reason.why,
        "payer": reason.payer,
        "house": reason.house,
    }


def _left(payment: Standing) -> int:
    gone = payment.refunded + payment.refund_pending
    return max(0, payment.captured - gone - (payment.disputed or 0) - (payment.charged_back or 0))


def _declined(payment: Standing, requests: Sequence[Asked]) -> dict[str, str]:
    """Why the payer was declined, where a void ended the wait after that."""
    if payment.status != PaymentStatus.FAILED:
        return {"declined": ""}
    reason = reason_of(payment.failure_code, payment.failure_message)
    by_void = any(one.type == TransactionType.VOID for one in requests)
    return {"declined": reason.why} | ({"payer": reason.payer} if by_void else {})


def _next(steps: Sequence[Step], cell: Cell, around: Around) -> list[str]:
    """What the worker does next, the first of each kind, in its order."""
    if not steps:
        return [cell.rest]
    first_of_kind = {step.kind: step for step in reversed(steps)}
    said = []
    for step in sorted(first_of_kind.values(), key=lambda step: step.at):
        said.append(_said(step, around))
        if step.kind is StepKind.LOOK_UP:
            said.append(cell.then)
    return said


def _said(step: Step, around: Around) -> str:
    asked = step.asked
    if asked is not None and asked.off:
        return f"{asked.provider} is switched off here, so nobody can ask what became of it."
    slots = {
        "when": around.when(step.at),
        "step_provider": asked.provider if asked else "",
        "step_noun": WORDS[asked.type] if asked else "",
    }
    if asked is not None and asked.leased_until == step.at and step.at > around.now:
        slots["when"] = "right now"
    return STEPS[step.kind].format(**slots)
