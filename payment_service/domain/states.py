"""The one table of edges: (from, trigger, verdict) -> (to, the event it emits).

services/moves/transitions is the only code that moves a status, and it moves it along these edges.
`flask states` prints them as a graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from payment_service.domain.vocabulary import PaymentStatus as S
from payment_service.domain.vocabulary import TransactionType


class Trigger(StrEnum):
    """What moves a status: a request to a provider, or a person."""

    AUTHORIZATION = TransactionType.AUTHORIZATION.value
    CHARGE = TransactionType.CHARGE.value
    CAPTURE = TransactionType.CAPTURE.value
    VOID = TransactionType.VOID.value
    REFUND = TransactionType.REFUND.value
    PERSON = "PERSON"


class Verdict(StrEnum):
    """What is held to be true of a request, or was said by a person, as far as a status cares.

    A provider's answer is its Outcome (providers/contract.py); a verdict is what we make of it.
    """

    ASKED = "ASKED"  # the provider is about to be asked
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    NOT_SENT = "NOT_SENT"  # surely never left us
    NOT_RECEIVED = "NOT_RECEIVED"  # surely never reached the provider
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"  # released because its time was over
    NOT_PAID = "NOT_PAID"  # released because the payer had been declined
    PARTLY = "PARTLY"  # a refund that leaves something
    WHOLLY = "WHOLLY"  # a refund that leaves nothing
    TAKEN_BACK_TO_PART = "TAKEN_BACK_TO_PART"  # a refund undone; others stand
    TAKEN_BACK_TO_NONE = "TAKEN_BACK_TO_NONE"  # a refund undone; none stands
    HANDED_OVER = "HANDED_OVER"  # a person says that the cash was handed over
    NOT_HANDED_OVER = "NOT_HANDED_OVER"


class IllegalEdge(Exception):
    """There is no such edge; nothing may move."""


@dataclass(frozen=True)
class Edge:
    """Where it leads, the event it emits, and whether it contradicts what callers were told."""

    to: S
    event: str
    contradicts: bool = False


_Key = tuple[S, Trigger, Verdict]
EDGES: dict[_Key, Edge] = {}


def _edge(start: S, trigger: Trigger, verdict: Verdict, to: S, event: str) -> None:
    EDGES[start, trigger, verdict] = Edge(to, event)


_DEAD_ENDS = (S.FAILED, S.CANCELLED, S.EXPIRED)

for _ask, _taken, _event in (
    (Trigger.CHARGE, S.SUCCESS, "payment.succeeded"),
    (Trigger.AUTHORIZATION, S.AUTHORIZED, "payment.authorized"),
):
    _edge(S.PENDING, _ask, Verdict.ASKED, S.PROCESSING, "payment.processing")
    _edge(S.PROCESSING, _ask, Verdict.REQUIRES_ACTION, S.REQUIRES_ACTION, "payment.requires_action")
    for _open in (S.PROCESSING, S.REQUIRES_ACTION):
        _edge(_open, _ask, Verdict.APPROVED, _taken, _event)
        _edge(_open, _ask, Verdict.DECLINED, S.FAILED, "payment.failed")
        _edge(_open, _ask, Verdict.NOT_RECEIVED, S.FAILED, "payment.failed")
        _edge(_open, _ask, Verdict.CANCELLED, S.CANCELLED, "payment.cancelled")
        _edge(_open, _ask, Verdict.EXPIRED, S.EXPIRED, "payment.expired")
    _edge(S.PROCESSING, _ask, Verdict.NOT_SENT, S.FAILED, "payment.failed")
    for _dead in _DEAD_ENDS:
        # Evidence wins: money moved after we had said that it did not.
        EDGES[_dead, _ask, Verdict.APPROVED] = Edge(_taken, _event, contradicts=True)

for _ask in (Trigger.CAPTURE, Trigger.VOID):
    _edge(S.AUTHORIZED, _ask, Verdict.ASKED, S.PROCESSING, "payment.processing")
    _refused = "payment.capture_failed" if _ask is Trigger.CAPTURE else "payment.void_failed"
    for _no in (Verdict.DECLINED, Verdict.NOT_SENT, Verdict.NOT_RECEIVED):
        _edge(S.PROCESSING, _ask, _no, S.AUTHORIZED, _refused)

for _open in (S.PROCESSING, S.AUTHORIZED):
    # From AUTHORIZED: the answer to a capture or void that we had given up comes in late.
    _late = _open is S.AUTHORIZED
    EDGES[_open, Trigger.CAPTURE, Verdict.APPROVED] = Edge(S.SUCCESS, "payment.succeeded", _late)
    EDGES[_open, Trigger.VOID, Verdict.APPROVED] = Edge(S.CANCELLED, "payment.cancelled", _late)
    EDGES[_open, Trigger.VOID, Verdict.EXPIRED] = Edge(S.EXPIRED, "payment.expired", _late)
# The wait for the payer ends by a void too, but the payer may still act until it is confirmed.
for _verdict in (Verdict.ASKED, Verdict.DECLINED, Verdict.NOT_SENT, Verdict.NOT_RECEIVED):
    _kind = "payment.expiring" if _verdict is Verdict.ASKED else "payment.void_failed"
    _edge(S.REQUIRES_ACTION, Trigger.VOID, _verdict, S.REQUIRES_ACTION, _kind)
_edge(S.REQUIRES_ACTION, Trigger.VOID, Verdict.EXPIRED, S.EXPIRED, "payment.expired")
_edge(S.REQUIRES_ACTION, Trigger.VOID, Verdict.NOT_PAID, S.FAILED, "payment.failed")
for _dead in (S.CANCELLED, S.EXPIRED):
    EDGES[_dead, Trigger.CAPTURE, Verdict.APPROVED] = Edge(S.SUCCESS, "payment.succeeded", True)

for _paid in (S.SUCCESS, S.PARTIALLY_REFUNDED):
    _edge(_paid, Trigger.REFUND, Verdict.PARTLY, S.PARTIALLY_REFUNDED, "payment.partially_refunded")
    _edge(_paid, Trigger.REFUND, Verdict.WHOLLY, S.REFUNDED, "payment.refunded")
for _paid in (S.PARTIALLY_REFUNDED, S.REFUNDED):
    _edge(
        _paid, Trigger.REFUND, Verdict.TAKEN_BACK_TO_PART, S.PARTIALLY_REFUNDED,
        "payment.refund_taken_back",
    )  # fmt: skip
    _edge(_paid, Trigger.REFUND, Verdict.TAKEN_BACK_TO_NONE, S.SUCCESS, "payment.refund_taken_back")

_edge(S.PENDING, Trigger.PERSON, Verdict.HANDED_OVER, S.SUCCESS, "payment.succeeded")
_edge(S.PENDING, Trigger.PERSON, Verdict.NOT_HANDED_OVER, S.FAILED, "payment.failed")
_edge(S.PENDING, Trigger.PERSON, Verdict.CANCELLED, S.CANCELLED, "payment.cancelled")


def edge(start: str, trigger: str, verdict: Verdict) -> Edge:
    """The edge to take. Raises IllegalEdge if there is none."""
    try:
        return EDGES[S(start), Trigger(trigger), verdict]
    except KeyError:
        raise IllegalEdge(f"{start} --{trigger} {verdict}--> nowhere") from None


def graph() -> str:
    """The table as Graphviz DOT."""
    lines = ["digraph payment {", "  rankdir=LR;"]
    for (start, trigger, verdict), to in EDGES.items():
        style = ' style=dashed color="firebrick"' if to.contradicts else ""
        lines.append(f'  {start} -> {to.to} [label="{trigger} {verdict}\\n{to.event}"{style}];')
    return "\n".join([*lines, "}"])
