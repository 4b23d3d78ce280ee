"""Random histories against a model: after each step our tables, the provider and what callers were
told are what they should be.

They are always the same: two hundred, and two thousand of the slow tests. `make histories` takes as
many fresh ones.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter

import pytest
import requests
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from payment_service.domain.errors import (
    DomainError,
    IdempotencyKeyReused,
    RefundExceedsCaptured,
)
from payment_service.services import audit, reading
from tests.fixtures import MakeApp, a_key
from tests.model import ENDINGS, Ask
from tests.model_steps import Steps, World
from tests.patience import PATIENCE
from tests.sandbox_calls import disarm
from tests.sandbox_server import Sandbox
from tests.watched_provider import watch_provider

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
PARTS = 4
"""So that several cores share them."""
STEPS = 10
"""A failure shrinks to three to six; so, rather more histories than longer ones."""
pick = st.integers(min_value=0, max_value=99)
endings = st.sampled_from(ENDINGS)


class Histories(Steps):
    """Each rule is one thing that callers, the worker, the network or time may do."""

    # -- what callers do

    @rule(
        order=st.integers(0, 2),
        amount=st.integers(1, 500),
        hold=st.booleans(),
        by_id=st.booleans(),
        ending=endings,
    )
    def charge(self, order: int, amount: int, hold: bool, by_id: bool, ending: str | None) -> None:
        """At once, or created first and then charged by its id."""
        self._charge(order, amount, hold, ending, by_id=by_id)

    @precondition(lambda self: self._some("AUTHORIZED"))
    @rule(which=pick, percent=st.integers(1, 100), void=st.booleans(), ending=endings)
    def end_hold(self, which: int, percent: int, void: bool, ending: str | None) -> None:
        paid = self._pick(which, "AUTHORIZED")
        amount = paid.amount if void else max(1, paid.amount * percent // 100)
        command = {} if void else {"amount_minor": amount}
        path = f"/v1/payments/{paid.payment_id}/{'cancel' if void else 'capture'}"
        verb = "void" if void else "capture"
        self._ask(paid, Ask(verb, self._next(paid), amount, a_key(), path, command), ending)

    @precondition(lambda self: self._some("SUCCESS", "PARTIALLY_REFUNDED"))
    @rule(which=pick, percent=st.integers(1, 120), ending=endings)
    def refund(self, which: int, percent: int, ending: str | None) -> None:
        paid = self._pick(which, "SUCCESS", "PARTIALLY_REFUNDED")
        amount = max(1, paid.captured * percent // 100)
        path = f"/v1/payments/{paid.payment_id}/refund"
        command = {"amount_minor": amount}
        ask = Ask("refund", self._next(paid), amount, a_key(), path, command)
        if amount > paid.left:
            with pytest.raises(RefundExceedsCaptured):
                self._send(paid, ask)
        else:
            self._ask(paid, ask, ending)

    @precondition(lambda self: self._asks())
    @rule(which=pick)
    def retry(self, which: int) -> None:
        """A retry under the same key: at most a look-up, and the answer that was given stays."""
        paid, ask = self._asks()[which % len(self._asks())]
        self._learn(paid, ask)
        answer = self._send(paid, ask)
        self._told(ask, answer)

    @precondition(lambda self: self._asks())
    @rule(which=pick, reuse=st.booleans(), void=st.booleans())
    def nonsense(self, which: int, reuse: bool, void: bool) -> None:
        """The same key for another request, an end to a hold that is none: nothing moves."""
        paid, ask = self._asks()[which % len(self._asks())]
        if reuse:
            # A field that every command takes: an amount is none of a void's or a charge's by id.
            command = {**ask.command, "idempotency_key": a_key()}
            other = Ask(**{**vars(ask), "command": command})
            with pytest.raises(IdempotencyKeyReused):
                self._send(paid, other)
        elif paid.status not in ("AUTHORIZED", "CANCELLED"):
            path, verb = f"/v1/payments/{paid.payment_id}/x", "void" if void else "capture"
            with pytest.raises(DomainError):
                self._send(paid, Ask(verb, 0, 1, a_key(), path, {}))

    # -- what the worker, the network and time do

    @precondition(lambda self: self._asks(open=True))
    @rule(which=pick, in_time=st.booleans())
    def look_up(self, which: int, in_time: bool) -> None:
        """In time, or when nothing can be on its way any more: then it is certain."""
        paid, ask = self._asks(open=True)[which % len(self._asks(open=True))]
        if in_time:
            self._learn(paid, ask)
            self._resolve(paid, ask)
        else:
            self._give_up(paid, ask)

    @precondition(lambda self: self._lost())
    @rule(which=pick)
    def arrives_after_all(self, which: int) -> None:
        """A request that was lost or given up reaches the provider late; evidence wins."""
        self._arrives(*self._lost()[which % len(self._lost())])

    @rule(order=st.integers(0, 2), hold=st.booleans(), again=st.booleans())
    def paid_again_before_it_arrives(self, order: int, hold: bool, again: bool) -> None:
        """The rider pays anew what surely was not received, and then that arrives after all."""
        if any(p.order == self.orders[order] and p.live and not p.surplus for p in self.paid):
            return
        self._charge(order, 3, hold, "reset_before_reading")
        paid = self.paid[-1]
        ask = paid.asks[0]
        self._give_up(paid, ask)
        if again:
            self._charge(order, 3, not hold, None)
        self._arrives(paid, ask)

    @precondition(lambda self: self._some("AUTHORIZED"))
    @rule(which=pick)
    def expire(self, which: int) -> None:
        paid = self._pick(which, "AUTHORIZED")
        self._time_is_over(paid)
        ask = Ask("expire", self._next(paid), paid.amount, "", "", {})
        paid.asks.append(ask)
        paid.provider_does(ask)
        paid.comes_out(ask, well=True)
        self.touched.append(paid)

    # -- what must hold after each step

    @invariant()
    def tables_are_as_they_should_be(self) -> None:
        found = {row["payment_id"]: row for row in self._stored()}
        for paid in self.paid:
            row = found[paid.payment_id]
            ours = (row["status"], row["captured"], row["refunded"], row["refund_pending"])
            assert ours == (paid.status, paid.captured, paid.refunded, paid.pending), vars(paid)
            assert row["numbers"] == [ask.number for ask in paid.asks], vars(paid)
            open_now = [ask.number for ask in paid.asks if ask.open]
            assert (row["open"] or []) == open_now, vars(paid)
            assert row["contradicted"] == paid.contradicted, vars(paid)

    @invariant()
    def the_provider_has_what_it_should(self) -> None:
        for paid in self.touched:
            found = self.world.session.get(
                f"{self.world.sandbox.url}/psp/charges/{paid.reference}-1", timeout=PATIENCE
            ).json()
            theirs = (found.get("captured_minor", 0), found.get("refunded_minor", 0))
            assert theirs == (paid.taken, paid.given), (found, vars(paid))
            assert (found.get("state") == "authorized") == paid.held, (found, vars(paid))
        self.touched.clear()

    @invariant()
    def each_order_is_paid_once(self) -> None:
        kept = Counter(p.order for p in self.paid if p.held or p.taken > p.given)
        settled = [order for order in kept if all(p.still for p in self.paid if p.order == order)]
        assert all(kept[order] <= 1 for order in settled), kept

    @invariant()
    def an_edition_is_one_body(self) -> None:
        """What is shown of a payment does not change unless its edition does."""
        with self.world.app.app_context():
            for paid in self.paid:
                seen = reading.get_payment(payment_id=paid.payment_id)
                assert self.editions.setdefault(seen.edition, seen.row) == seen.row, vars(paid)

    @invariant()
    def nothing_was_sent_twice(self) -> None:
        assert all(count == 1 for count in self.world.sent.values()), self.world.sent

    def teardown(self) -> None:
        self.world.sent.clear()
        with contextlib.suppress(requests.RequestException):
            disarm(self.world.sandbox)


@pytest.fixture
def world(
    make_app: MakeApp, fresh_database: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> World:
    sent: Counter[str] = Counter()
    watch_provider(monkeypatch, lambda operation: sent.update([operation.reference]))
    app = make_app(database_url=fresh_database, redis_url=None, circuit_fail_max=10**9)
    made = World(app, sandbox, sent)
    monkeypatch.setattr(audit, "MOST", 10**9)
    return made


SHARES = [
    *[(part, 40 // PARTS) for part in range(PARTS)],
    *[pytest.param(part, (EXAMPLES or 800) // PARTS, marks=pytest.mark.slow)
      for part in range(PARTS)],
]  # fmt: skip


@pytest.mark.parametrize(("part", "histories"), SHARES)
def test_every_history_ends_as_the_model_says(world: World, part: int, histories: int) -> None:
    start = random.SystemRandom().getrandbits(64) if EXAMPLES else part
    run_state_machine_as_test(
        seed(start)(lambda: Histories(world)),
        settings=settings(
            max_examples=max(1, histories),
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # The steps turn the clock by writing these two, which is just what an auditor should see.
    turned = ("send_before", "expires_at")
    with world.app.app_context():
        found = [str(broken) for broken in audit.verify().broken]
    assert [line for line in found if not any(name in line for name in turned)] == []
