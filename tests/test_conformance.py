"""One suite that every provider passes. A new provider adds one harness to HARNESSES, in a file of
its own, tests/harness_<name>.py; tests/harness.py says what it must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from payment_service.config.providers import CALLING, REACHED, TOGETHER
from payment_service.domain import money
from payment_service.domain.vocabulary import ASKS, Method, TransactionType
from payment_service.providers import registry
from payment_service.providers.cash import CashProvider
from payment_service.providers.contract import (
    DECLINE_CODES,
    Extra,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Payer,
    Result,
)
from payment_service.providers.listing import Listing
from payment_service.providers.sandbox import SandboxProvider
from payment_service.providers.webhooks import Receiver
from tests import wire_log
from tests.campaign.dialects import DIALECTS
from tests.harness import (
    TYPES,
    Build,
    Harness,
    an_operation,
    asked,
    done,
    found,
    prepared,
)
from tests.harness_cash import CashHarness
from tests.harness_fib import FibHarness
from tests.harness_fiuu import FiuuHarness
from tests.harness_sandbox import SandboxHarness
from tests.harness_stripe import StripeHarness
from tests.harness_swish import SwishHarness
from tests.harness_zaincash import ZainCashHarness
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_calls import disarm, eventually
from tests.sandbox_server import Sandbox

HANGS_SECONDS = 0.8
"""Long enough that a busy machine has sent the request by then."""

HARNESSES: dict[str, Build] = {
    "cash": CashHarness,
    "fib": FibHarness,
    "fiuu": FiuuHarness,
    "sandbox": SandboxHarness,
    "swish": SwishHarness,
    "zaincash": ZainCashHarness,
    "stripe": StripeHarness,
}


def test_every_provider_is_here() -> None:
    assert set(HARNESSES) == set(registry.BUILDERS)


ASKED: Counter[wire_log.Asked] = Counter()
"""What was asked for in this module: a request that our time-out ended may arrive during a later
test."""


@pytest.fixture(params=sorted(HARNESSES))
def harness(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Harness]:
    """Whatever a test does with it, money is moved by `ask` only, once each time, and look-ups
    only read."""
    made = HARNESSES[request.param](sandbox)
    ask, look_up, start = made.provider.ask, made.provider.lookup, sandbox.requests.stat().st_size

    def noted(operation: Operation) -> Result:
        if operation.type in made.provider.capabilities:
            ASKED[asked_of(made.provider.name, operation)] += 1
        return ask(operation)

    def watched(operation: Operation) -> Result | None:
        found = look_up(operation)
        nothing_else_was_asked()
        return found

    def nothing_else_was_asked() -> None:
        assert list(wire_log.wrong(wire_log.read(sandbox.requests, start), ASKED)) == []

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(made.provider, "ask", noted)
        patched.setattr(made.provider, "lookup", watched)
        try:
            yield made
        finally:
            disarm(sandbox)
            made.close()
    nothing_else_was_asked()


def asked_of(provider: str, operation: Operation) -> wire_log.Asked:
    """As the sandbox's list of requests has it."""
    asked = {"type": operation.type, "reference": operation.reference}
    charge = {
        "reference": operation.charge_reference or operation.reference,
        "provider_reference": operation.provider_reference,
    }
    dialect = DIALECTS.get(provider)
    name = dialect.name_of(asked, charge) if dialect else operation.reference
    return wire_log.asked(provider, operation.type, name)


def declared(kind: TransactionType, harness: Harness) -> bool:
    """Whether the provider has the verb; one that it has not is a decline, not an accident."""
    if kind in harness.provider.capabilities:
        return True
    result = harness.provider.ask(an_operation(harness, kind))
    assert (result.outcome, result.failure_code) == (Outcome.DECLINED, "method_not_supported")
    return False


def same(first: Result, second: Result | None) -> None:
    assert second is not None
    told = ("outcome", "provider_reference", "amount_approved", "failure_code")
    for name in told:
        assert getattr(first, name) == getattr(second, name), name


def test_it_says_what_it_takes(harness: Harness) -> None:
    provider, currency = harness.provider, harness.currency
    assert provider.takes(method=harness.method, currency=currency)
    assert harness.method in provider.methods
    assert provider.currencies is None or provider.currencies <= money.EXPONENTS.keys()
    others = money.EXPONENTS.keys() - (provider.currencies or money.EXPONENTS.keys())
    assert not any(provider.takes(method=harness.method, currency=code) for code in others)
    assert not any(
        provider.takes(method=method, currency=currency)
        for method in set(Method) - provider.methods
    )
    assert harness.amount % provider.step(currency) == 0
    assert all(kind in provider.capabilities for kind in harness.acts | harness.pending)


def test_the_settings_know_whether_it_has_webhooks(harness: Harness) -> None:
    provider = harness.provider
    assert isinstance(provider, Receiver) == (provider.name in CALLING)
    assert provider.name in TOGETHER or provider.name not in CALLING | REACHED


@pytest.mark.parametrize("kind", TYPES)
def test_who_can_list_tells_what_was_done(harness: Harness, kind: TransactionType) -> None:
    provider = harness.provider
    assert isinstance(provider, Listing) == (Extra.LISTING in provider.capabilities)
    if not isinstance(provider, Listing) or not declared(kind, harness):
        return
    if kind not in harness.lists:
        return
    moment = datetime.now(UTC)
    operation = prepared(harness, kind)
    result, _ = done(harness, operation)
    (one,) = [one for one in provider.since(moment) if one.reference == operation.reference]
    assert (one.type, one.outcome, one.currency) == (kind, result.outcome, operation.currency)
    assert (one.amount, one.provider_reference) == (operation.amount, result.provider_reference)
    assert one.charge_reference == operation.charge_reference
    later = provider.since(datetime.now(UTC) + timedelta(minutes=1))
    assert operation.reference not in {one.reference for one in later}


@pytest.mark.parametrize("kind", TYPES)
def test_each_verb_is_done_replayed_and_looked_up(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness):
        return
    operation = prepared(harness, kind)
    result, known = asked(harness, operation)
    assert result.outcome is harness.begins(kind)
    assert result.amount_approved in (operation.amount, None)
    assert result.failure_code is None
    if result.outcome is Outcome.APPROVED:
        assert result.provider_reference
    if kind in harness.replays:
        same(result, harness.provider.ask(operation))
    same(result, harness.provider.lookup(known))
    if result.outcome is Outcome.APPROVED:
        assert harness.times_done(operation) in (1, None)


@pytest.mark.parametrize("kind", ASKS)
def test_a_decline_is_a_value_with_a_standard_code(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness) or harness.begins(kind) is Outcome.REQUIRES_ACTION:
        return
    for code in harness.declines:
        token = harness.token_for_decline(code)
        operation = an_operation(harness, kind, payment_token=token)
        result, known = asked(harness, operation)
        assert (result.outcome, result.failure_code) == (Outcome.DECLINED, code)
        assert result.failure_code in DECLINE_CODES
        if kind in harness.replays:
            same(result, harness.provider.ask(operation))
        same(result, harness.provider.lookup(known))


@pytest.mark.parametrize("kind", [TransactionType.CAPTURE, TransactionType.REFUND])
def test_too_much_is_declined(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness) or kind not in harness.refuses_too_much:
        return
    more = harness.amount + harness.provider.step(harness.currency)
    result = harness.provider.ask(prepared(harness, kind, amount=more))
    assert result.outcome is Outcome.DECLINED
    assert result.failure_code in DECLINE_CODES


def test_a_part_is_captured_and_refunded(harness: Harness) -> None:
    part = harness.amount * 4 // 10
    for kind in (TransactionType.CAPTURE, TransactionType.REFUND):
        if not declared(kind, harness) or kind in harness.provider.by_hand:
            continue
        if kind is TransactionType.REFUND and harness.provider.full_refunds_only:
            continue
        result, _ = done(harness, prepared(harness, kind, amount=part))
        assert result.amount_approved == part


def sent_to_the_payer(harness: Harness, kind: TransactionType) -> Operation:
    """A charge or hold that waits for the payer, as look-ups name it."""
    charge = an_operation(harness, kind, payment_token=harness.token_to_act or harness.token)
    result, known = asked(harness, charge)
    assert result.outcome is Outcome.REQUIRES_ACTION
    assert result.failure_code is None
    assert result.next_action
    assert result.next_action["type"] in ("redirect", "app", "sdk")
    if result.next_action["type"] == "redirect":
        assert result.next_action["url"].startswith(("http://", "https://"))
    return known


@pytest.mark.parametrize("kind", ASKS)
def test_a_payer_says_nothing_yes_or_no(harness: Harness, kind: TransactionType) -> None:
    if kind not in harness.acts:
        return
    for word, outcome in (("yes", Outcome.APPROVED), ("no", harness.after_no)):
        known = sent_to_the_payer(harness, kind)
        for _ in range(2):  # as long as the payer says nothing, nothing is decided
            _, known = found(harness, known, Outcome.REQUIRES_ACTION)
        harness.payer_says(known, word)
        result, known = found(harness, known, outcome)
        if outcome is Outcome.APPROVED:
            assert result.amount_approved in (known.amount, None)
            assert result.provider_reference
        if outcome is Outcome.DECLINED:
            assert result.failure_code in DECLINE_CODES
        same(result, harness.provider.lookup(known))
        assert harness.times_done(known) in ((1, None) if word == "yes" else (0, 1, None))


@pytest.mark.parametrize("kind", ASKS)
def test_why_a_payer_s_no_was_a_no(harness: Harness, kind: TransactionType) -> None:
    if kind not in harness.acts or harness.token_to_act or not declared(kind, harness):
        return
    for code in harness.declines:
        known = sent_to_the_payer(harness, kind)
        harness.payer_says(known, "no", code)
        result, _ = found(harness, known, harness.after_no)
        assert result.failure_code == code
        assert code in DECLINE_CODES


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_pending_ends(harness: Harness, kind: TransactionType) -> None:
    if kind not in harness.pending or kind in harness.provider.by_hand:
        return
    for word, outcome in (("yes", Outcome.APPROVED), ("no", harness.after_bank_no)):
        operation = prepared(harness, kind)
        result, known = asked(harness, operation)
        assert result.outcome is Outcome.PENDING
        same(result, harness.provider.lookup(known))
        harness.bank_says(known, word)
        if outcome is None:
            assert harness.provider.lookup(known) is None
            continue
        result, known = found(harness, known, outcome)
        if outcome is Outcome.APPROVED:
            assert result.amount_approved in (operation.amount, None)
        else:
            assert result.failure_code in DECLINE_CODES
        same(result, harness.provider.lookup(known))


@pytest.mark.parametrize("kind", TYPES)
def test_every_silence_is_unknown_and_never_a_no(harness: Harness, kind: TransactionType) -> None:
    """But for a page: that one is lost, and nobody has it."""
    if not declared(kind, harness):
        return
    opens = harness.provider.page(an_operation(harness, kind))
    for how in harness.silences if kind in harness.sends else ():
        operation = prepared(harness, kind)
        harness.fall_silent(operation, how)
        timeout = HANGS_SECONDS if how in harness.hangs else PATIENCE
        harness.provider.limits = replace(LIMITS, timeout=timeout)
        with pytest.raises(NotSent if opens else OutcomeUnknown):
            harness.provider.ask(operation)
        harness.provider.limits = LIMITS
        if opens:
            assert harness.provider.lookup(operation) is None
            continue
        # After our time-out the other side may still be about to do it.
        eventually(
            lambda op=operation: bool(harness.provider.lookup(op)) == bool(harness.times_done(op))
        )
        told = harness.provider.lookup(operation)
        assert told is None or told.outcome is harness.begins(kind)


@pytest.mark.parametrize("kind", TYPES)
def test_a_look_up_that_meets_silence_tells_nothing(
    harness: Harness, kind: TransactionType
) -> None:
    if not harness.lookup_silences or not declared(kind, harness):
        return
    if kind in harness.provider.by_hand:
        return
    result, known = asked(harness, prepared(harness, kind))
    for how in harness.lookup_silences:
        harness.fall_silent_at_lookup(known, how)
        with pytest.raises(OutcomeUnknown):
            harness.provider.lookup(known)
        harness.speak_again()
    same(result, harness.provider.lookup(known))


def test_what_was_never_asked_is_not_found(harness: Harness) -> None:
    told = harness.provider.lookup(an_operation(harness, TransactionType.CHARGE))
    assert (told and told.outcome) is harness.never_asked


def test_nothing_is_sent_too_late(harness: Harness) -> None:
    late = an_operation(harness, TransactionType.CHARGE, send_before=datetime.now(UTC))
    with pytest.raises(NotSent):
        harness.provider.ask(late)
    assert harness.times_done(late) in (0, None)


def test_beyond_its_places_nothing_is_sent(harness: Harness) -> None:
    operation = an_operation(harness, TransactionType.CHARGE)
    places = harness.provider.places
    taken = [places.acquire(blocking=False) for _ in range(LIMITS.concurrency)]
    assert all(taken)
    with pytest.raises(NotSent):
        harness.provider.ask(operation)
    for _ in taken:
        places.release()
    assert harness.provider.ask(operation).outcome is harness.begins(operation.type)


class Careless(CashProvider):
    """Answers whatever it is set to."""

    def __init__(self, answer: Result) -> None:
        super().__init__(LIMITS)
        self._answer = answer

    def _ask(self, operation: Operation) -> Result:
        return self._answer


def a_cash_charge() -> Operation:
    return Operation(
        type=TransactionType.CHARGE,
        reference="PAY-20260101-CARELESS-1",
        amount=10_000,
        currency="INR",
        method=Method.CASH,
        begun_at=datetime.now(UTC),
        send_before=datetime.now(UTC) + timedelta(seconds=600),
    )


@pytest.mark.parametrize("answered", [0, -1, 10_001])
def test_another_amount_is_no_answer(answered: int) -> None:
    provider = Careless(Result(Outcome.APPROVED, "careless", amount_approved=answered))
    for call in (provider.ask, provider.lookup):
        with pytest.raises(OutcomeUnknown):
            call(a_cash_charge())


@pytest.mark.parametrize(
    ("odd", "kept"), [("a\0b", "a?b"), ("half \ud83d of a pair", "half ? of a pair"), (7, "7")]
)
def test_texts_that_can_t_be_kept_cost_no_outcome(odd: Any, kept: str) -> None:
    answer = Result(Outcome.APPROVED, odd, authorization_code=odd, failure_message=odd, fee=2**63)
    for call in (Careless(answer).ask, Careless(answer).lookup):
        found = call(a_cash_charge())
        assert found == Result(
            Outcome.APPROVED, kept, authorization_code=kept, failure_message=kept
        )


@pytest.mark.parametrize(
    "odd", [{"fee": True}, {"occurred_at": datetime.fromisoformat("2026-01-01")}]
)
def test_a_fee_or_a_time_that_can_t_be_kept_is_left_out(odd: dict[str, Any]) -> None:
    answer = Result(Outcome.APPROVED, "careless", **odd)
    for call in (Careless(answer).ask, Careless(answer).lookup):
        assert call(a_cash_charge()) == Result(Outcome.APPROVED, "careless")


@pytest.mark.parametrize(
    "odd", [{"wait": Decimal("1.5")}, {"url": "\ud800"}, {"id": 2**64}, {"url": "\0"}]
)
def test_a_next_action_that_can_t_be_kept_is_left_out(odd: dict[str, Any]) -> None:
    """And not the answer with it: what the payer is to do, the provider tells the payer too."""
    provider = Careless(Result(Outcome.REQUIRES_ACTION, "careless", next_action=odd))
    for call in (provider.ask, provider.lookup):
        found = call(a_cash_charge())
        assert found is not None
        assert (found.outcome, found.next_action) == (Outcome.REQUIRES_ACTION, None)


def test_tokens_and_payers_are_not_shown(harness: Harness) -> None:
    payer = Payer(name="secret-name", email="secret@example.com", phone="+60secret")
    shown = repr(an_operation(harness, TransactionType.CHARGE, payment_token="secret", payer=payer))
    assert "secret" not in shown


class Opener(SandboxProvider):
    """Each of its charges only opens a page."""

    def page(self, operation: Operation) -> bool:
        return operation.type is TransactionType.CHARGE


def test_a_page_that_is_lost_was_not_sent(sandbox: Sandbox) -> None:
    harness = SandboxHarness(sandbox)
    harness.provider = Opener(sandbox.url, LIMITS)
    charge = an_operation(harness, TransactionType.CHARGE)
    harness.fall_silent(charge, "do_and_lose_answer")
    with pytest.raises(NotSent):
        harness.provider.ask(charge)
    assert harness.provider.lookup(charge) is None
    done = harness.provider.ask(charge)
    known = replace(charge, known_as=done.provider_reference)
    same(done, harness.provider.lookup(known))
    refund = an_operation(harness, TransactionType.REFUND, charge_reference=charge.reference)
    harness.fall_silent(refund, "do_and_lose_answer")
    with pytest.raises(OutcomeUnknown):
        harness.provider.ask(refund)
