"""One suite that every provider passes. A new provider adds one harness to HARNESSES.

A harness knows how to make its provider's other side give an outcome or fall silent; what must
come back is the same for all.
"""

from __future__ import annotations

import abc
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers import registry
from payment_service.providers.cash import CashProvider
from payment_service.providers.contract import (
    DECLINE_CODES,
    Extra,
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Provider,
    Result,
)
from payment_service.providers.listing import Listing
from payment_service.providers.sandbox import SandboxProvider
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_server import Sandbox

HANGS_SECONDS = 0.3
ASKS = (TransactionType.CHARGE, TransactionType.AUTHORIZATION)
TYPES = list(TransactionType)


class Harness(abc.ABC):
    """What is empty here, the provider has not. `hangs` are the silences that our time-out ends."""

    provider: Provider
    method: Method
    silences: tuple[str, ...] = ()
    hangs: tuple[str, ...] = ()
    declines: tuple[str, ...] = ()
    pending: tuple[TransactionType, ...] = ()
    acts = False

    def token_for_decline(self, code: str) -> str | None:
        return None

    def fall_silent(self, operation: Operation, how: str) -> None:
        raise NotImplementedError

    def times_done(self, operation: Operation) -> int | None:
        """How often the other side did it, by its own books; None where it keeps none."""
        return None


class SandboxHarness(Harness):
    method = Method.CARD
    silences = (
        "accept_no_answer",
        "reset_before_reading",
        "do_and_lose_answer",
        "do_and_hang",
        "do_and_500",
        "do_and_502",
        "do_and_503",
        "fail_500",
        "half_body",
        "half_body_not_done",
        "garbage_200",
    )
    hangs = ("accept_no_answer", "do_and_hang")
    declines = ("insufficient_funds", "do_not_honor", "expired_card", "fraud_suspected")
    acts = True

    def __init__(self, sandbox: Sandbox) -> None:
        self.provider = SandboxProvider(sandbox.url, LIMITS)
        self._sandbox = sandbox

    def token_for_decline(self, code: str) -> str:
        return f"tok_decline_{code}"

    def fall_silent(self, operation: Operation, how: str) -> None:
        names = {TransactionType.AUTHORIZATION: "authorize"}
        verb = names.get(operation.type, operation.type.lower())
        arm(self._sandbox, verb, how, match={"reference": operation.reference})

    def times_done(self, operation: Operation) -> int:
        names = {"CHARGE": "charges", "AUTHORIZATION": "charges", "CAPTURE": "captures"}
        name = names.get(operation.type, f"{operation.type.lower()}s")
        done = get(self._sandbox, f"/psp/{name}")[name]
        return len([one for one in done if one["reference"] == operation.reference])


class CashHarness(Harness):
    method = Method.CASH
    pending = (TransactionType.REFUND,)

    def __init__(self, sandbox: Sandbox) -> None:
        self.provider = CashProvider(LIMITS)


HARNESSES: dict[str, Any] = {"sandbox": SandboxHarness, "cash": CashHarness}


def test_every_provider_is_here() -> None:
    assert set(HARNESSES) == set(registry.BUILDERS)


@pytest.fixture(params=sorted(HARNESSES))
def harness(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Harness]:
    yield HARNESSES[request.param](sandbox)
    disarm(sandbox)


_numbers = itertools.count(1)


def an_operation(harness: Harness, kind: TransactionType, **changes: Any) -> Operation:
    return Operation(
        type=kind,
        reference=f"PAY-20260101-{secrets.token_hex(6).upper()}-{next(_numbers)}",
        amount=changes.pop("amount", 10_000),
        currency="INR",
        method=harness.method,
        send_before=changes.pop("send_before", datetime.now(UTC) + timedelta(seconds=60)),
        **changes,
    )


def prepared(harness: Harness, kind: TransactionType, **changes: Any) -> Operation:
    """An operation that the provider can do: what it is about was done before."""
    needs = {
        TransactionType.CAPTURE: TransactionType.AUTHORIZATION,
        TransactionType.VOID: TransactionType.AUTHORIZATION,
        TransactionType.REFUND: TransactionType.CHARGE,
    }
    if kind not in needs:
        return an_operation(harness, kind, **changes)
    first = an_operation(harness, needs[kind])
    done = harness.provider.ask(first)
    assert done.outcome is Outcome.APPROVED
    about = {
        "charge_reference": first.reference,
        "provider_reference": done.provider_reference,
    }
    return an_operation(harness, kind, **about, **changes)


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


@pytest.mark.parametrize("kind", TYPES)
def test_who_can_list_tells_what_was_done(harness: Harness, kind: TransactionType) -> None:
    provider = harness.provider
    assert isinstance(provider, Listing) == (Extra.LISTING in provider.capabilities)
    if not isinstance(provider, Listing) or not declared(kind, harness):
        return
    moment = datetime.now(UTC)
    operation = prepared(harness, kind)
    done = provider.ask(operation)
    (one,) = [one for one in provider.since(moment) if one.reference == operation.reference]
    assert (one.type, one.outcome, one.currency) == (kind, done.outcome, operation.currency)
    assert (one.amount, one.provider_reference) == (operation.amount, done.provider_reference)
    assert one.charge_reference == operation.charge_reference
    later = provider.since(datetime.now(UTC) + timedelta(minutes=1))
    assert operation.reference not in {one.reference for one in later}


@pytest.mark.parametrize("kind", TYPES)
def test_each_verb_is_done_replayed_and_looked_up(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness):
        return
    operation = prepared(harness, kind)
    result = harness.provider.ask(operation)
    if kind in harness.pending:
        assert result.outcome is Outcome.PENDING
    else:
        assert result.outcome is Outcome.APPROVED
        assert result.amount_approved in (operation.amount, None)
        assert result.provider_reference
        assert result.failure_code is None
    same(result, harness.provider.ask(operation))
    same(result, harness.provider.lookup(operation))
    assert harness.times_done(operation) in (1, None)


@pytest.mark.parametrize("kind", ASKS)
def test_a_decline_is_a_value_with_a_standard_code(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness):
        return
    for code in harness.declines:
        token = harness.token_for_decline(code)
        operation = an_operation(harness, kind, payment_token=token)
        result = harness.provider.ask(operation)
        assert (result.outcome, result.failure_code) == (Outcome.DECLINED, code)
        assert result.failure_code in DECLINE_CODES
        same(result, harness.provider.ask(operation))
        same(result, harness.provider.lookup(operation))


@pytest.mark.parametrize("kind", [TransactionType.CAPTURE, TransactionType.REFUND])
def test_too_much_is_declined(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness) or kind in harness.pending:
        return
    result = harness.provider.ask(prepared(harness, kind, amount=10_001))
    assert result.outcome is Outcome.DECLINED
    assert result.failure_code in DECLINE_CODES


def test_a_part_is_captured_and_refunded(harness: Harness) -> None:
    for kind in (TransactionType.CAPTURE, TransactionType.REFUND):
        if not declared(kind, harness) or kind in harness.pending:
            continue
        result = harness.provider.ask(prepared(harness, kind, amount=4_000))
        assert (result.outcome, result.amount_approved) == (Outcome.APPROVED, 4_000)


def test_a_payer_who_must_act_is_an_outcome(harness: Harness) -> None:
    if not harness.acts:
        return
    asked = an_operation(harness, TransactionType.CHARGE, payment_token="tok_requires_action")
    result = harness.provider.ask(asked)
    assert result.outcome is Outcome.REQUIRES_ACTION
    assert result.next_action
    same(result, harness.provider.lookup(asked))


@pytest.mark.parametrize("kind", TYPES)
def test_every_silence_is_unknown_and_never_a_no(harness: Harness, kind: TransactionType) -> None:
    if not declared(kind, harness):
        return
    for how in harness.silences:
        operation = prepared(harness, kind)
        harness.fall_silent(operation, how)
        timeout = HANGS_SECONDS if how in harness.hangs else PATIENCE
        harness.provider.limits = replace(LIMITS, timeout=timeout)
        with pytest.raises(OutcomeUnknown):
            harness.provider.ask(operation)
        harness.provider.limits = LIMITS
        # After our time-out the other side may still be about to do it.
        eventually(
            lambda op=operation: bool(harness.provider.lookup(op)) == bool(harness.times_done(op))
        )
        found = harness.provider.lookup(operation)
        assert found is None or found.outcome is Outcome.APPROVED


def test_what_was_never_asked_is_not_found(harness: Harness) -> None:
    if harness.method is Method.CASH:
        return  # nobody else could know
    assert harness.provider.lookup(an_operation(harness, TransactionType.CHARGE)) is None


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
    assert harness.provider.ask(operation).outcome is Outcome.APPROVED


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
        send_before=datetime.now(UTC) + timedelta(seconds=60),
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


def test_tokens_and_descriptions_are_not_shown(harness: Harness) -> None:
    shown = repr(an_operation(harness, TransactionType.CHARGE, payment_token="secret-token"))
    assert "secret-token" not in shown
