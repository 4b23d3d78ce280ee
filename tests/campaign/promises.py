"""What callers were told, held against what stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from payment_service.domain import money
from tests.campaign.index import Index
from tests.campaign.ledger import Row
from tests.campaign.told import KEPT, Answer, Asked


def nothing_is_owed(index: Index) -> Iterator[str]:
    for one in index.books.asked:
        if one.final is None:
            last = one.answers[-1].status if one.answers else "silence"
            yield f"{one.verb} {one.key} ({one.note}): last told {last} after {one.tries} tries"
    for row in index.books.keys:
        if row["answer_body"] is None:
            yield f"key {row['key']} on {row['operation']} has no answer"


def nobody_was_told_internal_error(index: Index) -> Iterator[str]:
    """Who can't be served is told why (503, 202, 409); a 500 is something nobody thought of."""
    for one in index.books.asked:
        for answer in one.answers:
            if answer.status == 500:
                yield f"{one.verb} {one.key} ({one.note or one.path}): {answer.body[:300]}"


def answers_are_true(index: Index) -> Iterator[str]:
    for one in index.books.asked:
        for wrong in _wrong_with(index, one):
            yield f"{one.verb} {one.key} ({one.note or one.path}): {wrong}"


def _wrong_with(index: Index, one: Asked) -> Iterator[str]:
    yield from _steady(index, one)
    final = one.final
    if final is None:
        return
    row = index.keys.get((f"POST {one.path}", one.key))
    if final.status in KEPT:
        if row is None:
            if not _without_key(one, final):
                yield f"{final.status} was told, and nothing stands under the key"
            return
        if (row["answer_status"], row["answer_body"]) != (final.status, final.body):
            yield f"told {final.status} {final.body[:200]}, kept {row['answer_body']!s:.200}"
        yield from _still_true(index, row, final)
    elif row is not None:
        yield f"refused with {final.status}, yet payment {row['payment_id']} stands under the key"
    elif final.json().get("code") == "payment_exists":
        yield from _really_exists(index, one, final)


def _steady(index: Index, one: Asked) -> Iterator[str]:
    """Whatever comes under a key, it is about one payment, and the definite answer stays."""
    definite = {(answer.status, answer.body) for answer in one.answers if answer.definite}
    if one.key in index.replays:
        definite.add(index.replays[one.key])
    if len(definite) > 1:
        yield f"different answers: {[(status, body[:150]) for status, body in definite]}"
    promised = {answer.json().get("payment_id") for answer in one.answers if answer.status == 202}
    if promised and one.final:
        if one.final.status not in KEPT:
            yield f"202 was told, and then {one.final.status} {one.final.body[:150]}"
        elif promised != {one.final.json().get("payment_id")}:
            yield f"202 was about payment {promised}, then it was another"


def _without_key(one: Asked, final: Answer) -> bool:
    """A cancel that finds the payment cancelled already moves nothing, and keeps nothing."""
    return one.verb == "void" and final.json()["status"] == "CANCELLED"


def _still_true(index: Index, key: Row, final: Answer) -> Iterator[str]:
    told, payment_id = final.json(), key["payment_id"]
    if told["payment_id"] != payment_id:
        yield f"told payment {told['payment_id']}, the key stands for {payment_id}"
        return
    if key["transaction_number"] is None:
        return  # created, and nobody was asked
    row = index.transactions.get((payment_id, key["transaction_number"]))
    if row is None:
        yield f"told of payment {payment_id}, and its request is nowhere"
        return
    wanted = "FAILED" if final.status == 402 else "SUCCESS"
    if row["status"] != wanted:
        cause = index.cause(row)
        if not (wanted == "FAILED" and cause and index.contradicted(row)):
            yield f"told {final.status}, and {row['reference']} is {row['status']} ({cause})"
    elif "refund_id" in told:
        yield from _refund_stands(index, told)
    if "amount_captured" in told and not _was_so(index, payment_id, told):
        yield f"payment {payment_id} never stood as told: {_state(told)}"


def _refund_stands(index: Index, told: dict[str, Any]) -> Iterator[str]:
    refund = index.refunds.get(told["refund_id"])
    if refund is None:
        yield f"told of refund {told['refund_id']}, which is nowhere"
        return
    amount = told.get("refund_amount", told.get("amount"))
    status = told.get("refund_status", told["status"])
    stands = money.format_amount(refund["amount"], refund["currency"]), refund["status"]
    if (amount, status) != stands:
        yield f"refund {refund['refund_id']}: told {amount} {status}, it is {stands}"


def _was_so(index: Index, payment_id: int, told: dict[str, Any]) -> bool:
    """Whether the payment really once stood as the answer says: one of its events says the same."""
    return any(_state(data) == _state(told) for data in index.bodies[payment_id])


def _state(body: dict[str, Any]) -> list[Any]:
    names = ("status", "amount", "amount_captured", "amount_refunded", "currency")
    return [body[name] for name in names]


def _really_exists(index: Index, one: Asked, final: Answer) -> Iterator[str]:
    payment = index.payments.get(final.json().get("payment_id", 0))
    # A charge by id is about the trip of the payment that its path names.
    named = one.path.removeprefix("/v1/payments/").partition("/")[0]
    wanted = index.payments[int(named)] if named.isdigit() else one.body
    same = payment and any(
        payment[column] is not None and payment[column] == wanted.get(column)
        for column in ("trip_id", "order_id")
    )
    if not same:
        yield f"payment_exists, but it does not: {json.dumps(final.json())[:150]}"
