"""The campaign's checker is able to fail: each invariant is broken once, in books made by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.campaign.invariants import judge
from tests.campaign.ledger import Books
from tests.campaign.told import Answer, Asked

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REFERENCE = "PAY-20260102-AAAAAAAAAAAA"
PATH = "/v1/payments/charge"


def _whole() -> Books:
    """One charge of 100.00 INR for order 7, of which 40.00 were refunded, as everybody has it."""
    state = {"amount": "100.00", "currency": "INR", "reference": REFERENCE}
    paid = state | {"status": "SUCCESS", "amount_captured": "100.00", "amount_refunded": "0.00"}
    part = state | {"status": "PARTIALLY_REFUNDED", "amount_captured": "100.00"}
    part["amount_refunded"] = "40.00"
    charged = json.dumps(paid | {"payment_id": 1})
    given = json.dumps({"payment_id": 1, "refund_id": 5, "refund_amount": "40.00",
                        "refund_status": "SUCCESS", "status": "PARTIALLY_REFUNDED"})  # fmt: skip
    told = [("charge", PATH, charged, 201), ("refund", "/v1/payments/1/refund", given, 200)]
    charge = {"reference": f"{REFERENCE}-1", "state": "captured", "amount_minor": 10000,
              "payment_token": "card-1",
              "captured_minor": 10000, "refunded_minor": 4000, "refund_pending_minor": 0,
              "currency": "INR", "created_at": BEGUN.isoformat()}  # fmt: skip
    refund = {"reference": f"{REFERENCE}-2", "state": "succeeded", "amount_minor": 4000}
    provider = {"charges": [charge], "captures": [], "voids": [], "refunds": [refund]}
    return Books(
        payments=[{
            "payment_id": 1, "reference": REFERENCE, "trip_id": None, "order_id": 7,
            "driver_id": None, "method": "CARD", "status": "PARTIALLY_REFUNDED",
            "amount": 10000, "authorized": 10000, "captured": 10000,
            "refunded": 4000, "refund_pending": 0, "currency": "INR",
            "provider": "sandbox", "version": 5,
        }],
        transactions=[_asked(1, "CHARGE", 10000), _asked(2, "REFUND", 4000)],
        refunds=[{"refund_id": 5, "payment_id": 1, "transaction_number": 2, "status": "SUCCESS",
                  "amount": 4000, "currency": "INR"}],
        events=[
            _event(2, "payment.succeeded", paid), _event(3, "refund.requested", paid),
            _event(4, "refund.succeeded", part), _event(5, "payment.partially_refunded", part),
        ],
        keys=[
            {"operation": f"POST {path}", "key": f"k-{verb}", "payment_id": 1,
             "transaction_number": number, "answer_status": status, "answer_body": body}
            for number, (verb, path, body, status) in enumerate(told, start=1)
        ],
        provider=provider,
        journal=copy.deepcopy(provider),
        heard={
            "order": [(1, 2), (1, 5)], "notification": [(1, 2), (1, 5), (1, 2)],
            "rabbitmq": [(1, seq) for seq in (2, 3, 4, 5)], "inventory": [],
        },
        api_payments=[{"payment_id": 1, **part}],
        api_refunds=[{"refund_id": 5, "status": "SUCCESS"}],
        metrics=(
            "payments_created_total 1\nrefunds_processed_total 1\n"
            'payments_by_status{status="PARTIALLY_REFUNDED"} 1\n'
            'payments_by_method{method="CARD"} 1\n'
            'total_amount_processed{currency="INR"} 100\ntotal_refunds{currency="INR"} 40\n'
        ),
        asked=[
            Asked(verb, path, {"order_id": 7}, f"k-{verb}", "card-1", tries=1,
                  answers=[Answer(0.0, status, body, False)])
            for verb, path, body, status in told
        ],
        replays=[("k-charge", 201, charged)],
    )  # fmt: skip


def _asked(number: int, kind: str, amount: int) -> dict[str, Any]:
    return {
        "payment_id": 1, "number": number, "type": kind, "status": "SUCCESS", "amount": amount,
        "amount_approved": amount, "reference": f"{REFERENCE}-{number}", "provider": "sandbox",
        "currency": "INR", "provider_reference": f"op_{number}", "cause": None,
        "description": None,
        "created_at": BEGUN, "send_before": BEGUN + timedelta(seconds=1),
    }  # fmt: skip


def _event(seq: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    body = {"data": data | {"transaction_reference": f"{REFERENCE}-1"}}
    return {"payment_id": 1, "seq": seq, "type": kind, "body": json.dumps(body),
            "actor": "caller", "to_status": data["status"], "occurred_at": BEGUN}  # fmt: skip


def _broken(books: Books) -> set[str]:
    return {verdict.name for verdict in judge(books) if verdict.broken}


def test_a_whole_world_passes() -> None:
    assert {v.name: v.broken for v in judge(_whole()) if v.broken} == {}


def _charged_twice(books: Books) -> None:
    twin = books.provider["charges"][0] | {"reference": f"{REFERENCE}-9"}
    books.provider["charges"].append(twin)


def _paid_by_two(books: Books) -> None:
    other = "PAY-20260102-BBBBBBBBBBBB-1"
    books.payments.append(books.payments[0] | {"payment_id": 2, "status": "SUCCESS"})
    books.transactions.append(_asked(1, "CHARGE", 10000) | {"payment_id": 2, "reference": other})
    books.provider["charges"].append(books.provider["charges"][0] | {"reference": other})


def _given_up_wrongly(books: Books) -> None:
    """402 was told; the provider had taken the money all the time."""
    answer = Answer(0.0, 402, books.asked[0].answers[0].body, False)
    books.asked[0].answers[:] = [answer]
    books.keys[0]["answer_status"], books.replays = 402, []
    data = json.loads(books.events[0]["body"])["data"]
    books.events[0]["body"] = json.dumps({"data": data | {"contradicted": True}})
    books.timelines = {1: {}}


def _more_than_captured(books: Books) -> None:
    books.payments[0]["refund_pending"] = 7000


def _other_answer_later(books: Books) -> None:
    books.replays = [("k-charge", 402, "{}")]


def _told_what_never_was(books: Books) -> None:
    body = books.asked[0].answers[0].body.replace('"100.00"', '"90.00"')
    books.asked[0].answers[:] = [Answer(0.0, 201, body, False)]
    books.keys[0]["answer_body"], books.replays = body, []


def _refused_and_done(books: Books) -> None:
    refused = Answer(0.0, 422, '{"code": "refund_exceeds_captured"}', False)
    books.asked[1].answers[:] = [refused]


SABOTAGE: dict[str, tuple[Callable[[Books], Any], str]] = {
    "a charge that is not ours": (_charged_twice, "each request to the provider"),
    "a refund that the provider never did": (
        lambda books: books.provider["refunds"].clear(), "each request to the provider"),
    "another amount at the provider": (
        lambda books: books.provider["charges"][0].update(captured_minor=1), "provider's amounts"),
    "the API says another amount": (
        lambda books: books.api_payments[0].update(amount_refunded="0.00"), "what the API says"),
    "a payment is missing from the API": (
        lambda books: books.api_payments.clear(), "what the API says"),
    "the journal has one more": (
        lambda books: books.journal["charges"].append(books.journal["charges"][0]), "sums over"),
    "a payment hangs": (
        lambda books: books.payments[0].update(status="PROCESSING"), "nothing is PROCESSING"),
    "a request hangs": (
        lambda books: books.transactions[1].update(status="PROCESSING"), "nothing is PROCESSING"),
    "it did not settle": (
        lambda books: books.left.update({"events to deliver": 3}), "nothing is PROCESSING"),
    "a key without an answer": (
        lambda books: books.keys[0].update(answer_body=None), "no answer is owed"),
    "a caller waits": (lambda books: books.asked[0].answers.clear(), "no answer is owed"),
    "an internal error": (
        lambda books: books.asked[0].answers.insert(0, Answer(0.0, 500, "{}", False)),
        "whatever was down"),
    "given up, and it was there": (_given_up_wrongly, "every answer that a caller"),
    "given up without a cause": (_given_up_wrongly, "evidence overturned"),
    "another answer later": (_other_answer_later, "every answer that a caller"),
    "refused, and done": (_refused_and_done, "every answer that a caller"),
    "an answer that never was so": (_told_what_never_was, "every answer that a caller"),
    "an order paid twice": (_paid_by_two, "each trip and each order"),
    "an id given out anew": (
        lambda books: books.payments[0].update(reference="PAY-20260102-CCCCCCCCCCCC"), "no id"),
    "more refunded than captured": (_more_than_captured, "refunded <= captured"),
    "sent in its sleep": (lambda books: books.never_sent.add(f"{REFERENCE}-1"), "who slept"),
    "an event that was lost": (lambda books: books.heard["order"].pop(), "every event reached"),
    "a sink that heard nothing": (
        lambda books: books.heard["rabbitmq"].clear(), "every event reached"),
    "out of order": (lambda books: books.heard["order"].reverse(), "every event reached"),
    "an event is missing": (lambda books: books.events.__delitem__(1), "the audit chains"),
    "the walk found something": (
        lambda books: setattr(books, "audit", "payment 1, event 3: ..."), "the audit chains"),
    "the metrics count what was paid twice and went back": (
        lambda books: books.transactions[1].update(cause="paid_twice"), "the metrics"),
    "the metrics say less": (
        lambda books: setattr(books, "metrics", "payments_created_total 0\n"), "the metrics"),
}  # fmt: skip


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_broken_one_does_not(what: str) -> None:
    books = _whole()
    breaks, name = SABOTAGE[what]
    breaks(books)
    assert any(found.startswith(name) for found in _broken(books)), _broken(books)


def test_a_hold_that_our_void_released_before_we_heard_of_it_is_none() -> None:
    def judged(void: str) -> set[str]:
        books = _whole()
        books.transactions[0].update(type="AUTHORIZATION", status="FAILED")
        for book in (books.provider, books.journal):
            book["charges"][0].update(state="voided")
        books.transactions.append(_asked(9, "VOID", 100) | {"status": void, "provider": "cash"})
        return {name for name in _broken(books) if name.startswith("each request")}

    assert judged("FAILED")
    assert not judged("SUCCESS")


@pytest.mark.parametrize(
    ("state", "pending", "is_broken"),
    [
        ("OPEN", 2000, False),
        # More or less is held than somebody asked for, or for what nobody waits for any more.
        *(("OPEN", 2001, True), ("OPEN", 1999, True), ("OPEN", 0, True)),
        *(("DECLINED", 2000, True), ("APPROVED", 2000, True), ("LAPSED", 0, False)),
    ],
)
def test_what_is_held_for_a_decision_is_known_to_nobody_else(
    state: str, pending: int, is_broken: bool
) -> None:
    books = _whole()
    books.payments[0]["refund_pending"] = pending
    books.refund_requests = [{"request_id": 1, "payment_id": 1, "amount": 2000, "state": state}]
    assert [name[:19] for name in _broken(books)] == ["provider's amounts "] * is_broken


def test_what_the_provider_did_late_is_no_lie() -> None:
    books = _whole()
    _given_up_wrongly(books)
    books.late = {f"{REFERENCE}-1"}
    assert _broken(books) == {"the metrics agree with the tables"}  # nothing counted it
