"""Explanations, purely: every cell of the table, every code, and what comes next."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from payment_service.domain import coming, reasons
from payment_service.domain.around import Around, Written
from payment_service.domain.coming import Asked, Standing, StepKind
from payment_service.domain.explanation_table import CELLS, Key, key_after
from payment_service.domain.explanations import Explanation, explain, explain_refund, telling
from payment_service.domain.refund_table import REFUND_CELLS, RefundKind
from payment_service.domain.states import EDGES, Trigger, Verdict
from payment_service.domain.vocabulary import (
    PaymentStatus,
    RefundStatus,
    TransactionStatus,
    TransactionType,
)
from payment_service.providers.contract import DECLINE_CODES

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
ASKED_AT = NOON - timedelta(minutes=2)
SOON = NOON + timedelta(minutes=3)
LATER = NOON + timedelta(minutes=8)
AROUND = Around(NOON)
OURS = frozenset(
    {
        *("provider_unavailable", "not_received", "expired", "cancelled", "not_handed_over"),
        "taken_back",
    }
)
"""Failure codes that no provider gives."""

S, K, T = PaymentStatus, TransactionType, TransactionStatus


def a_standing(status: str, **changes: Any) -> Standing:
    """A payment of 100.00 INR."""
    standing = Standing(
        status=status,
        amount=10000,
        currency="INR",
        captured=10000,
        refunded=2500,
        refund_pending=0,
        share=0,
        provider="psp",
        imported=False,
        failure_code=None,
        failure_message=None,
        created_at=ASKED_AT,
        completed_at=ASKED_AT,
        expires_at=None,
    )
    return replace(standing, **changes)


def a_request(
    kind: str = "CHARGE", status: str = "PROCESSING", number: int = 1, **changes: Any
) -> Asked:
    """A request for 100.00 INR that was made at 11:58 UTC."""
    asked = Asked(
        number=number,
        reference=f"PAY-1-{number}",
        type=kind,
        status=status,
        amount=10000,
        currency="INR",
        provider="psp",
        provider_reference=None,
        cause=None,
        description=None,
        failure_code=None,
        failure_message=None,
        created_at=ASKED_AT,
        occurred_at=None,
        due_at=None,
        lookups=0,
        not_found_at=None,
        leased_until=None,
    )
    return replace(asked, **changes)


def told(status: str, *requests: Asked, around: Around = AROUND, **changes: Any) -> Explanation:
    return explain(a_standing(status, **changes), requests, around)


def is_plain(said: Explanation) -> None:
    """Three texts, each of whole sentences, with nothing left to be filled in."""
    for text in (said.happened, said.next, said.do):
        assert re.fullmatch(r"[A-Z0-9][^{}]*[.]", text), text
        assert "None" not in text
        assert "  " not in text
        assert all(word[0].isupper() or word[0].isdigit() for word in text.split(". ")), text


def of_cell(key: Key, **changes: Any) -> tuple[Standing, list[Asked]]:
    """A payment that this cell is for."""
    status, trigger, outcome = key
    if trigger is None or outcome is None:
        person = trigger is Trigger.PERSON
        imported = not person and status is not S.PENDING
        return a_standing(status, cash=person, imported=imported, **changes), []
    return a_standing(status, **changes), [a_request(trigger, outcome, due_at=SOON)]


# Every cell


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: "-".join(edge))
def test_each_edge_leads_to_a_cell(edge: tuple[S, Trigger, Verdict]) -> None:
    _, trigger, verdict = edge
    assert key_after(EDGES[edge].to, trigger, verdict) in CELLS


@pytest.mark.parametrize("status", S)
def test_each_status_has_a_cell_without_any_request(status: S) -> None:
    assert (status, None, None) in CELLS


@pytest.mark.parametrize("key", CELLS, ids=lambda key: "-".join(map(str, key)))
def test_each_cell_is_told_in_three_sentences(key: Key) -> None:
    payment, requests = of_cell(key)
    said = explain(payment, requests, AROUND)
    is_plain(said)
    own = CELLS[key].happened.split("{")[0].split(".")[0]
    assert said.happened.startswith(own)
    assert said.next_at == (SOON if requests else None)


@pytest.mark.parametrize("key", CELLS, ids=lambda key: "-".join(map(str, key)))
def test_each_cell_is_told_with_each_code(key: Key) -> None:
    for code in sorted(DECLINE_CODES | OURS):
        payment, requests = of_cell(key, failure_code=code)
        requests = [replace(one, failure_code=code) for one in requests]
        said = explain(payment, requests, AROUND)
        is_plain(said)
        if "{why}" in CELLS[key].happened:
            assert reasons.REASONS[code].why in said.happened


def test_each_standard_code_has_words_of_its_own() -> None:
    assert reasons.REASONS.keys() == DECLINE_CODES | OURS
    assert len({reason.why for reason in reasons.REASONS.values()}) == len(reasons.REASONS)


def test_a_code_of_the_providers_own_is_shown_with_its_words() -> None:
    request = a_request(status="FAILED", failure_code="E-77", failure_message="Kontakta din bank")
    said = told("FAILED", request)
    assert '"E-77", which has no words here. It said: "Kontakta din bank".' in said.happened
    assert "dashboard" in said.do


def test_a_no_without_a_standard_code_quotes_the_provider() -> None:
    request = a_request(
        status="FAILED", failure_code="provider_declined", failure_message="x" * 900
    )
    said = told("FAILED", request)
    assert f'It said: "{"x" * reasons.LONGEST_QUOTE}...".' in said.happened


def test_braces_in_a_providers_words_are_words() -> None:
    request = a_request(status="FAILED", failure_code="{amount}", failure_message="{0} {why}")
    assert '"{0} {why}"' in told("FAILED", request).happened


@pytest.mark.parametrize("kind", REFUND_CELLS, ids=str)
def test_each_cell_of_refunds_is_told_in_three_sentences(kind: RefundKind) -> None:
    status = {"PENDING": "PROCESSING"}.get(kind.status, kind.status)
    request = a_request("REFUND", status, by_hand=kind.by_hand, due_at=SOON)
    if kind.lost:
        request = replace(request, provider_reference="re_1", not_found_at=ASKED_AT)
    said = explain_refund(
        status=kind.status, payment=a_standing("SUCCESS"), asked=request, around=AROUND
    )
    is_plain(said)
    assert ("person's word" in said.next) == kind.by_hand
    assert ("no such refund" in said.happened) == kind.lost


def test_each_status_of_a_refund_has_a_cell() -> None:
    assert {kind.status for kind in REFUND_CELLS} == set(RefundStatus)


def test_a_refund_without_a_request_is_told_too() -> None:
    said = explain_refund(
        status=RefundStatus.SUCCESS, payment=a_standing("REFUNDED"), asked=None, around=AROUND
    )
    is_plain(said)


# Which request tells


def test_what_is_under_way_tells_before_what_has_ended() -> None:
    charge = a_request(status="SUCCESS")
    refund = a_request("REFUND", "PROCESSING", 2)
    failed = a_request("REFUND", "FAILED", 3)
    assert telling(a_standing("SUCCESS"), [charge, refund, failed]) is refund
    assert telling(a_standing("SUCCESS"), [charge, failed]) is failed


def test_what_cannot_have_led_there_does_not_tell() -> None:
    capture = a_request("CAPTURE", "SUCCESS", 2)
    void = a_request("VOID", "FAILED", 3)
    assert telling(a_standing("SUCCESS"), [a_request("AUTHORIZATION"), capture, void]) is capture


def test_what_lies_beside_the_payment_does_not_tell() -> None:
    charge = a_request(status="SUCCESS")
    second = a_request(status="SUCCESS", number=2, cause=coming.PAID_TWICE)
    assert telling(a_standing("SUCCESS"), [charge, second]) is charge


# What comes next


def test_a_silent_provider_is_told_with_the_time_of_the_look_up() -> None:
    said = told("PROCESSING", a_request(due_at=SOON, lookups=2))
    assert said == Explanation(
        "We asked psp at 11:58:00 UTC to charge 100.00 INR. It has given no certain answer yet."
        " We have asked 2 times since what became of it.",
        "We ask psp at 12:03:00 UTC what became of the charge."
        " If it did so, the payment becomes SUCCESS; if surely not, FAILED.",
        "Do not charge again: the money may have been taken. You can have it looked up now.",
        SOON,
    )


def test_times_are_told_in_the_readers_zone_and_with_the_day_if_it_is_another() -> None:
    around = Around(NOON, Written(ZoneInfo("Asia/Kolkata")))
    tomorrow = NOON + timedelta(hours=8)
    said = told("PROCESSING", a_request(due_at=tomorrow), around=around)
    assert "at 17:28:00 to charge" in said.happened
    assert "at 01:30 on 3 Jan 2026 what" in said.next


@pytest.mark.parametrize(("seconds", "late"), [(30, False), (90, True)])
def test_what_is_due_is_told_as_now_and_later_as_late(seconds: int, late: bool) -> None:
    due_at = NOON - timedelta(seconds=seconds)
    said = told("PROCESSING", a_request(due_at=due_at))
    assert "We ask psp now what" in said.next
    assert (said.late, "whether the worker runs" in said.do) == (late, late)


def test_a_look_up_under_way_is_told_as_such() -> None:
    said = told("PROCESSING", a_request(due_at=SOON, leased_until=SOON))
    assert "We ask psp right now what" in said.next


def test_what_look_ups_found_is_told() -> None:
    missing = told("PROCESSING", a_request(lookups=1, not_found_at=ASKED_AT, due_at=SOON))
    assert "We have asked once since" in missing.happened
    assert "At 11:58:00 UTC it said that it has no such request" in missing.happened
    at_work = told("PROCESSING", a_request(provider_reference="ch_7", due_at=SOON))
    assert "as ch_7, and is at work on it" in at_work.happened


def test_a_provider_that_is_off_is_told_as_such() -> None:
    asked = a_request(off=True, due_at=SOON, created_at=NOON - timedelta(hours=1))
    said = told("PROCESSING", asked)
    assert "psp is switched off here".capitalize() in said.next
    assert "Switch psp on again" in said.do


def test_who_is_silent_for_too_long_is_to_be_asked_by_people() -> None:
    asked = a_request(due_at=SOON, created_at=NOON - timedelta(minutes=16))
    assert "ask psp about PAY-1-1" in told("PROCESSING", asked).do
    fresh = a_request(due_at=SOON)
    assert "ask psp about" not in told("PROCESSING", fresh).do


def test_new_requests_that_are_held_back_are_told() -> None:
    around = Around(NOON, held_back={"psp": LATER})
    said = told("PROCESSING", a_request(due_at=SOON), around=around)
    assert "held back until 12:08:00 UTC" in said.next
    unsent = a_request(status="FAILED", failure_code="provider_unavailable")
    assert "held back" in told("FAILED", unsent, around=around).next
    over = Around(NOON, held_back={"psp": NOON})
    assert "held back" not in told("FAILED", unsent, around=over).next
    ended = a_request("REFUND", "SUCCESS")
    assert "held back" not in told("REFUNDED", ended, around=around).next


def test_a_wait_for_a_payer_tells_the_look_up_and_its_end() -> None:
    said = told(
        "REQUIRES_ACTION", a_request(status="REQUIRES_ACTION", due_at=SOON), expires_at=LATER
    )
    assert "We ask psp at 12:03:00 UTC what became of the charge." in said.next
    assert "If the payer has not paid before, the wait ends at 12:08:00 UTC." in said.next
    assert said.next_at == SOON


def test_a_no_on_the_page_is_told_while_the_payer_may_go_on() -> None:
    asked = a_request(status="REQUIRES_ACTION", failure_code="insufficient_funds", due_at=SOON)
    said = told("REQUIRES_ACTION", asked, expires_at=LATER)
    assert "The last try there was declined. There was not enough money" in said.happened


def test_a_hold_tells_when_it_is_released() -> None:
    said = told("AUTHORIZED", a_request("AUTHORIZATION", "SUCCESS"), expires_at=SOON)
    assert said.next == "If nobody captures it before, the hold is released at 12:03:00 UTC."


# What is told beside


def test_money_that_was_paid_twice_is_told() -> None:
    charge = a_request(status="SUCCESS")
    second = a_request(status="SUCCESS", number=2, cause=coming.PAID_TWICE, due_at=SOON)
    said = told("SUCCESS", charge, second)
    assert "a second time on the same page: 100.00 INR, which is to be given back." in said.happened
    assert "given back at 12:03:00 UTC" in said.next
    back = a_request("REFUND", "SUCCESS", 3, cause=coming.PAID_TWICE, description=second.reference)
    assert (
        "which went back." in told("SUCCESS", charge, replace(second, due_at=None), back).happened
    )


def test_surplus_is_told() -> None:
    said = told("SUCCESS", a_request(status="SUCCESS"), share=1, expires_at=SOON)
    assert "this money is surplus" in said.happened
    assert said.next == "The surplus is given back at 12:03:00 UTC."


def test_a_contradiction_is_told() -> None:
    around = Around(NOON, contradicted_at=ASKED_AT)
    said = told("SUCCESS", a_request(status="SUCCESS"), around=around)
    assert "Callers had been told otherwise before: at 11:58:00 UTC" in said.happened
    assert "Tell whoever acted on the first answer." in said.do


def test_webhooks_that_need_a_person_are_told() -> None:
    around = Around(NOON, mismatches=[("psp", "another amount was asked for")], parked_webhooks=1)
    said = told("SUCCESS", a_request(status="SUCCESS"), around=around)
    assert "A webhook of psp did not fit (another amount was asked for)." in said.happened
    assert "dashboard" in said.do
    assert "replay it" in said.do


def test_history_that_failed_tells_why() -> None:
    said = told("FAILED", imported=True, failure_code="expired_card")
    assert "imported from an older system. The card is out of date." in said.happened


def test_cash_waits_for_a_person() -> None:
    pending = told("PENDING", cash=True)
    assert pending.next == "Nothing happens by itself: it waits for a person's word."
    received = told("SUCCESS", a_request(status="SUCCESS", by_hand=True), cash=True)
    assert "received in cash" in received.happened
    refund = a_request("REFUND", "PROCESSING", 2, by_hand=True, due_at=SOON)
    handed = told("SUCCESS", a_request(status="SUCCESS"), refund, cash=True)
    assert "100.00 INR of it are to be handed back by a person" in handed.happened
    assert (handed.next, handed.next_at) == (pending.next, None)


def test_a_refund_tells_why_the_worker_asked() -> None:
    asked = a_request("REFUND", "PROCESSING", due_at=SOON, cause="surplus")
    said = told("SUCCESS", asked)
    assert "because another payment had paid" in said.happened


# The rule itself: what the time line said wrongly, or never


def steps_of(status: str, *requests: Asked, **changes: Any) -> list[tuple[StepKind, str]]:
    found = coming.steps(a_standing(status, **changes), requests)
    return [(step.kind, step.what) for step in found]


def test_the_time_of_a_hold_means_nothing_while_its_capture_is_under_way() -> None:
    capture = a_request("CAPTURE", due_at=LATER)
    assert steps_of("PROCESSING", capture, expires_at=SOON) == [
        (StepKind.LOOK_UP, "look up PAY-1-1 at psp")
    ]


def test_a_wait_that_is_being_ended_does_not_end_a_second_time() -> None:
    waiting = a_request(status="REQUIRES_ACTION", due_at=LATER)
    void = a_request("VOID", number=2, due_at=SOON)
    found = steps_of("REQUIRES_ACTION", waiting, void, expires_at=NOON)
    assert found[0] == (StepKind.LOOK_UP, "look up PAY-1-2 at psp")
    assert StepKind.END_WAIT not in dict(found)


def test_a_wait_that_a_look_up_ends_is_not_over_before_that() -> None:
    waiting = a_request(status="REQUIRES_ACTION", due_at=LATER, ends_by_itself=True)
    found = coming.steps(a_standing("REQUIRES_ACTION", expires_at=NOON), [waiting])
    assert [(step.kind, step.at) for step in found] == [
        (StepKind.LOOK_UP, LATER),
        (StepKind.END_WAIT, LATER),
    ]


def test_a_surplus_whose_refund_is_under_way_is_not_given_back_a_second_time() -> None:
    refund = a_request("REFUND", due_at=LATER)
    changes: dict[str, Any] = {"expires_at": NOON, "refund_pending": 7500}
    assert dict(steps_of("SUCCESS", refund, **changes)).keys() == {StepKind.LOOK_UP}


def test_what_was_paid_twice_is_not_given_back_while_that_is_under_way() -> None:
    second = a_request(status="SUCCESS", number=2, cause=coming.PAID_TWICE, due_at=SOON)
    refund = a_request(
        "REFUND", number=3, cause=coming.PAID_TWICE, description="PAY-1-2", due_at=LATER
    )
    assert steps_of("SUCCESS", second)[0][0] is StepKind.GIVE_BACK
    assert steps_of("SUCCESS", second, refund) == [(StepKind.LOOK_UP, "look up PAY-1-3 at psp")]


def test_a_refund_by_hand_is_looked_up_in_vain() -> None:
    assert steps_of("SUCCESS", a_request("REFUND", by_hand=True, due_at=SOON)) == []
    assert steps_of("PROCESSING", a_request("CHARGE", by_hand=True, due_at=SOON)) != []


@pytest.mark.parametrize(
    ("kind", "status", "code", "why"),
    [
        ("CHARGE", "SUCCESS", None, "it was not paid twice"),
        ("REFUND", "SUCCESS", None, "it still stands"),
        ("CHARGE", "FAILED", "not_received", "it was not received"),
        ("CHARGE", "FAILED", "expired", "nothing was paid"),
        ("REFUND", "FAILED", "not_handed_over", "nothing was given back"),
        ("CAPTURE", "FAILED", "do_not_honor", "nothing was taken"),
        ("VOID", "FAILED", "do_not_honor", "the hold was not released"),
    ],
)
def test_why_what_has_ended_is_looked_up_once_more(
    kind: str, status: str, code: str | None, why: str
) -> None:
    asked = a_request(kind, status, failure_code=code, due_at=SOON)
    what = f"look up PAY-1-1 at psp once more, to be sure that {why}"
    assert steps_of("SUCCESS", asked) == [(StepKind.CHECK, what)]


def test_a_provider_that_is_off_is_asked_when_it_is_on_again() -> None:
    found = steps_of("PROCESSING", a_request(off=True, due_at=SOON))
    assert found[0][1] == "look up PAY-1-1 at psp, as soon as that is on again"
