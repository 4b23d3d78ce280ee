"""Each provider's own limits reach the rows: how long a request may be sent, when it is looked up,
and for how long a look-up has it to itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from payment_service.config import ByProvider
from payment_service.domain.callers import WORKER
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers import registry
from payment_service.providers.contract import Operation, Result
from payment_service.providers.sandbox import SandboxProvider
from payment_service.services.moves import resolution
from payment_service.services.moves.operations import new_transaction
from tests.books import post, row
from tests.clocks import due
from tests.fixtures import MakeApp, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox


def test_a_request_has_its_provider_s_own_times(make_app: MakeApp) -> None:
    app = make_app(
        provider_send_seconds=ByProvider(600.0, {"sandbox": 200.0}),
        provider_timeout_seconds=ByProvider(100.0, {"sandbox": 30.0}),
    )
    payment = {"payment_id": 1, "reference": "PAY-1", "currency": "INR", "description": None}
    moment = datetime.now(UTC)
    times = {}
    with app.app_context():
        for provider in ("sandbox", "cash"):
            request = new_transaction(
                payment=payment,
                number=1,
                kind=TransactionType.CHARGE,
                amount=100,
                provider=provider,
                caller=WORKER,
                moment=moment,
            )
            left, late = request["send_before"], request["due_at"]
            times[provider] = ((left - moment).seconds, (late - left).seconds)
    assert times == {"sandbox": (200, 30), "cash": (600, 100)}


def test_a_look_up_is_leased_for_its_provider_s_own_time(
    make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice its time-out, because a read is tried twice, and a little more; for the longest of all
    where no provider is named."""
    leased: list[timedelta] = []

    class Watched(SandboxProvider):
        name = "watched"

        def _lookup(self, operation: Operation) -> Result | None:
            until = row(app, "SELECT due_at FROM transactions WHERE reference = :reference",
                        reference=operation.reference)["due_at"]  # fmt: skip
            leased.append(until - datetime.now(UTC))
            return super()._lookup(operation)

    monkeypatch.setitem(
        registry.BUILDERS, "watched", lambda settings, limits: Watched(sandbox.url, limits)
    )
    timeouts = ByProvider(1000.0, {"watched": 600.0, "cash": 2000.0})
    app = make_app(**CLOCKLESS, provider_timeout_seconds=timeouts)
    order = an_order(provider="watched", payment_token="tok_pending")
    payment_id = post(app.test_client(), "/v1/payments/charge", **order).json["payment_id"]
    for provider in ("watched", None):
        due(app, payment_id)
        with app.app_context():
            resolution.run_once(provider)
    own, anyones = (found.total_seconds() for found in leased)
    assert 1205 - 120 < own <= 1205
    assert 4005 - 120 < anyones <= 4005
