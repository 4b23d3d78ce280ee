"""What a payer was sent to: pages that nobody has opened yet, that are over, that were declined and
can be tried again, that are paid too late, or twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.domain.callers import WORKER
from payment_service.domain.states import Verdict
from payment_service.domain.vocabulary import TransactionType
from payment_service.providers import registry
from payment_service.providers.contract import NotSent, Operation, Outcome, Result
from payment_service.providers.sandbox import SandboxProvider
from payment_service.services import audit, expiry, explanations, giving_back
from payment_service.services.moves import evidence, refund_steps, resolution, unattended
from payment_service.services.moves import paid_twice as twice
from payment_service.services.moves import rows as rows_of
from tests.books import execute, payment_row, post, row, rows
from tests.clocks import an_hour_later, look_up
from tests.fixtures import MakeApp, an_order
from tests.logged import logged
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, decide, disarm
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"


class Pages(SandboxProvider):
    """Sends its payers to a page and can't take it back. A look-up says what `said` says; with
    nothing there, what the sandbox says."""

    name = "pages"
    cancels_waiting = False

    def __init__(self, sandbox: Sandbox, limits: Any) -> None:
        super().__init__(sandbox.url, limits)
        self.said: list[Result | None] = []
        self.also: tuple[Result, ...] = ()
        self.asked: list[Operation] = []
        self.looked_up: list[Operation] = []
        self.refunds: list[Result] = []

    def _ask(self, operation: Operation) -> Result:
        self.asked.append(operation)
        if operation.type is TransactionType.REFUND and self.refunds:
            return self.refunds.pop(0)
        if operation.type is TransactionType.VOID:
            return Result(Outcome.APPROVED)
        result = super()._ask(operation)
        # As a page that we make ourselves, of which the provider has not heard yet.
        return replace(result, provider_reference=None)

    def _lookup(self, operation: Operation) -> Result | None:
        self.looked_up.append(operation)
        if self.said:
            return self.said[-1]
        found = super()._lookup(operation)
        return found and replace(found, also=self.also)


class Cancelling(Pages):
    """Can take its page back."""

    name = "cancelling"
    cancels_waiting = True


@pytest.fixture
def house(make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Flask:
    for kind in (Pages, Cancelling):
        monkeypatch.setitem(
            registry.BUILDERS, kind.name, lambda settings, limits, kind=kind: kind(sandbox, limits)
        )
    return make_app(**CLOCKLESS)


@pytest.fixture
def pages(house: Flask) -> Pages:
    found: Pages = house.extensions["providers"].get("pages")
    return found


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    return house.test_client()


def sent_away(client: FlaskClient, provider: str = "pages", **changes: Any) -> tuple[int, str]:
    """A payment whose payer is on the page: its id, and the reference of its charge."""
    order = an_order(provider=provider, payment_token="tok_requires_action", **changes)
    answer = post(client, CHARGE, **order)
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION"), answer.json
    return answer.json["payment_id"], f"{answer.json['reference']}-1"


def status(app: Flask, payment_id: int) -> str:
    found: str = payment_row(app, payment_id)["status"]
    return found


def charge_row(app: Flask, payment_id: int, number: int = 1) -> dict[str, Any]:
    query = "SELECT * FROM transactions WHERE payment_id = :id AND number = :number"
    return row(app, query, id=payment_id, number=number)


def time_is_over(app: Flask, payment_id: int) -> None:
    """Of the payer. It is written past the service, so the audit can't fit any more."""
    execute(
        app,
        "UPDATE payments SET expires_at = now() - interval '1 second' WHERE payment_id = :id",
        id=payment_id,
    )


def told(app: Flask, payment_id: int) -> list[str]:
    query = "SELECT type FROM events WHERE payment_id = :id ORDER BY seq"
    return [found["type"] for found in rows(app, query, id=payment_id)]


def expire(app: Flask) -> None:
    with app.app_context():
        expiry.run_once()
        giving_back.run_once()


def fits(app: Flask, payment_id: int) -> None:
    with app.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


UNPAID = [None, Result(Outcome.REQUIRES_ACTION)]


@pytest.mark.parametrize("unpaid", UNPAID, ids=["not found", "unpaid"])
def test_a_page_that_nobody_has_paid_yet_is_waiting(
    house: Flask, pages: Pages, client: FlaskClient, unpaid: Result | None
) -> None:
    payment_id, _ = sent_away(client)
    pages.said = [unpaid]
    for _ in range(4):
        an_hour_later(house, payment_id)
        look_up(house, payment_id)
    assert len(pages.looked_up) == 4
    assert status(house, payment_id) == "REQUIRES_ACTION"
    assert charge_row(house, payment_id)["due_at"] <= payment_row(house, payment_id)["expires_at"]


@pytest.mark.parametrize("unpaid", UNPAID, ids=["not found", "unpaid"])
def test_a_page_whose_time_is_over_is_looked_up_and_then_expires(
    house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox, unpaid: Result | None
) -> None:
    payment_id, reference = sent_away(client)
    time_is_over(house, payment_id)
    expire(house)  # no void is asked for
    assert [asked.type for asked in pages.asked] == [TransactionType.CHARGE]
    assert status(house, payment_id) == "REQUIRES_ACTION"
    pages.said = [unpaid]
    look_up(house, payment_id)
    assert status(house, payment_id) == "EXPIRED"
    assert told(house, payment_id)[-1] == "payment.expired"
    closed = charge_row(house, payment_id)
    assert (closed["status"], closed["failure_code"]) == ("FAILED", "expired")
    # As where a void ends it, the payment's status says all.
    assert payment_row(house, payment_id)["failure_code"] is None
    # It may be paid all the same: whoever was sent there has it on the screen.
    pages.said = []
    look_up(house, payment_id)
    assert status(house, payment_id) == "EXPIRED"
    decide(sandbox, reference, "approve")
    look_up(house, payment_id)
    assert status(house, payment_id) == "SUCCESS"


def test_a_page_that_is_paid_at_the_last_moment_is_paid(
    house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id, reference = sent_away(client)
    decide(sandbox, reference, "approve")
    time_is_over(house, payment_id)
    look_up(house, payment_id)
    assert status(house, payment_id) == "SUCCESS"


def test_money_that_is_on_its_way_is_waited_for(
    house: Flask, pages: Pages, client: FlaskClient
) -> None:
    payment_id, _ = sent_away(client)
    pages.said = [Result(Outcome.PENDING)]
    time_is_over(house, payment_id)
    look_up(house, payment_id)
    assert status(house, payment_id) == "REQUIRES_ACTION"


def test_it_is_watched_for_a_day_and_not_for_ever(
    house: Flask, pages: Pages, client: FlaskClient
) -> None:
    payment_id, _ = sent_away(client)
    pages.said = [Result(Outcome.DECLINED, failure_code="do_not_honor")]
    look_up(house, payment_id)
    assert status(house, payment_id) == "FAILED"
    assert charge_row(house, payment_id)["due_at"] is not None
    look_up(house, payment_id)
    assert charge_row(house, payment_id)["due_at"] is not None
    execute(
        house,
        "UPDATE transactions SET occurred_at = now() - interval '25 hours' WHERE payment_id = :id",
        id=payment_id,
    )
    look_up(house, payment_id)
    assert charge_row(house, payment_id)["due_at"] is None
    # What is settled is asked about when somebody wants to know it anyway.
    before = len(pages.looked_up)
    with house.app_context():
        assert not resolution.resolve(payment_id=payment_id, number=1)
        assert len(pages.looked_up) == before
        pages.said = [Result(Outcome.APPROVED, provider_reference="late")]
        assert resolution.resolve(payment_id=payment_id, number=1, anyway=True)
    assert status(house, payment_id) == "SUCCESS"


DECLINE = Result(
    Outcome.DECLINED,
    failure_code="insufficient_funds",
    failure_message="not enough",
    still_open=True,
)


def test_a_payer_who_was_declined_may_go_on_until_a_void_says_no(
    house: Flask, client: FlaskClient
) -> None:
    provider: Pages = house.extensions["providers"].get("cancelling")
    payment_id, _ = sent_away(client, "cancelling")
    provider.said = [DECLINE]
    look_up(house, payment_id)
    look_up(house, payment_id)
    assert status(house, payment_id) == "REQUIRES_ACTION"
    assert told(house, payment_id).count("payment.noted") == 1
    fits(house, payment_id)
    expire(house)
    void = charge_row(house, payment_id, 2)
    assert (void["type"], void["cause"], void["status"]) == ("VOID", "declined", "SUCCESS")
    payment = client.get(f"/v1/payments/{payment_id}").json
    assert (payment["status"], payment["failure_code"]) == ("FAILED", "insufficient_funds")
    assert payment["failure_message"] == "not enough"
    assert told(house, payment_id)[-1] == "payment.failed"
    fits(house, payment_id)
    provider.said = [Result(Outcome.DECLINED, failure_code="do_not_honor")]
    look_up(house, payment_id)
    assert status(house, payment_id) == "FAILED"
    assert charge_row(house, payment_id)["status"] == "FAILED"
    fits(house, payment_id)


def test_a_payer_who_pays_after_the_no_has_paid(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    provider: Pages = house.extensions["providers"].get("cancelling")
    payment_id, reference = sent_away(client, "cancelling")
    provider.said = [DECLINE]
    look_up(house, payment_id)
    provider.said = []
    decide(sandbox, reference, "approve")
    look_up(house, payment_id)
    assert status(house, payment_id) == "SUCCESS"
    assert payment_row(house, payment_id)["failure_code"] is None
    expire(house)
    assert [asked.type for asked in provider.asked] == [TransactionType.CHARGE]
    fits(house, payment_id)


def test_the_same_no_at_once_is_the_end(house: Flask, client: FlaskClient) -> None:
    """Nobody has been sent anywhere yet."""

    provider: Pages = house.extensions["providers"].get("cancelling")
    provider._ask = lambda operation: DECLINE  # type: ignore[method-assign]
    answer = post(client, CHARGE, **an_order(provider="cancelling"))
    assert (answer.status_code, answer.json["failure_code"]) == (402, "insufficient_funds")


def test_a_hold_that_a_wait_led_to_has_a_time_of_its_own(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id, reference = sent_away(client, "cancelling", capture=False)
    wait = payment_row(house, payment_id)["expires_at"]
    decide(sandbox, reference, "approve")
    look_up(house, payment_id)
    assert status(house, payment_id) == "AUTHORIZED"
    hold = payment_row(house, payment_id)["expires_at"]
    assert (hold - wait).days >= 6


def paid_twice(house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox) -> int:
    """A payment whose page was paid a second time."""
    payment_id, reference = sent_away(client)
    decide(sandbox, reference, "approve")
    pages.also = (Result(Outcome.APPROVED, provider_reference="second"),)
    look_up(house, payment_id)
    return payment_id


def test_what_was_paid_twice_is_money_of_its_own_and_goes_back(
    house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox
) -> None:
    before = contradicted(client)
    payment_id = paid_twice(house, pages, client, sandbox)
    assert contradicted(client) == before + 1
    payment = payment_row(house, payment_id)
    beside = charge_row(house, payment_id, 2)
    assert (beside["type"], beside["status"], beside["cause"]) == (
        *("CHARGE", "SUCCESS", "paid_twice"),
    )
    assert (beside["provider_reference"], beside["amount"]) == ("second", payment["amount"])
    assert told(house, payment_id)[-1] == "payment.paid_twice"
    fits(house, payment_id)
    with house.app_context():  # told again, it is the same money
        resolution.resolve(payment_id=payment_id, number=1, anyway=True)
        assert not resolution.resolve(payment_id=payment_id, number=2, anyway=True)
    coming = client.get(f"/v1/payments/{payment_id}/events").json["next"]["what"]
    assert coming == f"give back {beside['reference']}, which was paid twice"
    with house.app_context():
        said = explanations.explain(payment_id=payment_id).payment
    assert "paid a second time on the same page: 100.00 INR" in said.happened
    assert "What was paid a second time is given back" in said.next

    pages.refunds = [Result(Outcome.APPROVED, provider_reference="back")]
    expire(house)
    asked = pages.asked[-1]
    assert asked.type is TransactionType.REFUND
    assert (asked.provider_reference, asked.amount) == ("second", payment["amount"])
    assert asked.charge_reference == f"{payment['reference']}-1"
    given = charge_row(house, payment_id, 3)
    assert (given["status"], given["cause"]) == ("SUCCESS", "paid_twice")
    assert given["description"] == beside["reference"]
    after = payment_row(house, payment_id)
    for name in ("status", "captured", "refunded", "refund_pending", "amount"):
        assert after[name] == payment[name], name
    assert told(house, payment_id)[-2:] == ["refund.requested", "refund.succeeded"]
    fits(house, payment_id)
    assert client.get(f"/v1/payments/{payment_id}/receipt").json["amount_refunded"] == "0.00"

    wake(house, payment_id)
    expire(house)
    assert sum(one.type is TransactionType.REFUND for one in pages.asked) == 1
    assert charge_row(house, payment_id, 2)["due_at"] is None


def test_a_page_that_is_held_twice_is_told(
    house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox
) -> None:
    before = contradicted(client)
    payment_id, reference = sent_away(client, capture=False)
    decide(sandbox, reference, "approve")
    pages.also = (Result(Outcome.APPROVED, provider_reference="second"),)
    with logged(twice) as events:
        look_up(house, payment_id)
    (event,) = [event for event in events if event["event"] == "held_twice"]
    assert (event["log_level"], event["reference"]) == ("error", reference)
    assert contradicted(client) == before + 1
    assert status(house, payment_id) == "AUTHORIZED"
    query = "SELECT 1 FROM transactions WHERE payment_id = :id"
    assert len(rows(house, query, id=payment_id)) == 1
    fits(house, payment_id)


def wake(app: Flask, payment_id: int) -> None:
    execute(
        app,
        "UPDATE transactions SET due_at = now() WHERE payment_id = :id AND due_at IS NOT NULL",
        id=payment_id,
    )


def contradicted(client: FlaskClient) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith("payments_contradicted_total"):
            return float(line.rpartition(" ")[2])
    raise AssertionError("no such metric")


def test_a_refund_of_it_that_fails_is_asked_again_later(
    house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id = paid_twice(house, pages, client, sandbox)
    pages.refunds = [
        Result(Outcome.DECLINED, failure_code="provider_declined"),
        Result(Outcome.PENDING, provider_reference="back"),
    ]

    def refunds() -> int:
        wake(house, payment_id)
        expire(house)
        return sum(one.type is TransactionType.REFUND for one in pages.asked)

    assert refunds() == 1
    assert refunds() == 1  # it is not yes a second later
    execute(
        house,
        "UPDATE transactions SET occurred_at = occurred_at - interval '2 hours'"
        " WHERE payment_id = :id AND number = 3",
        id=payment_id,
    )
    assert refunds() == 2
    assert refunds() == 2  # while it is under way
    assert charge_row(house, payment_id, 4)["status"] == "PROCESSING"
    payment = payment_row(house, payment_id)
    assert (payment["refund_pending"], payment["refunded"]) == (0, 0)
    # The payment's own money goes back beside it.
    back = post(client, f"/v1/payments/{payment_id}/refund")
    assert pages.asked[-1].provider_reference != "second"
    assert back.status_code in (200, 202), back.json


def test_what_can_not_be_given_back_makes_way(
    house: Flask,
    pages: Pages,
    client: FlaskClient,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expire(house)  # what the tests above left
    first, second = (paid_twice(house, pages, client, sandbox) for _ in range(2))
    since = "UPDATE transactions SET due_at = now() - interval '1 hour' WHERE payment_id = :id"
    execute(house, f"{since} AND cause = 'paid_twice'", id=first)
    pages.refunds = [Result(Outcome.APPROVED, provider_reference="back")]
    begin = refund_steps.begin_refund

    def stumbles(*args: Any, payment: Any, **kwargs: Any) -> Any:
        if payment["payment_id"] == first:
            raise RuntimeError("a mistake of ours")
        return begin(*args, payment=payment, **kwargs)

    monkeypatch.setattr(giving_back, "BATCH", 1)
    monkeypatch.setattr(unattended, "MAKES_WAY_SECONDS", 3600.0)
    monkeypatch.setattr(refund_steps, "begin_refund", stumbles)
    with house.app_context():
        assert giving_back.run_once() == {"asked": 0, "more": 1}
        assert giving_back.run_once() == {"asked": 1, "more": 1}
        monkeypatch.setattr(unattended, "MAKES_WAY_SECONDS", 0.0)
        monkeypatch.setattr(refund_steps, "begin_refund", begin)
        assert giving_back.run_once()["asked"] == 1
    assert [charge_row(house, one, 3)["type"] for one in (first, second)] == ["REFUND"] * 2


def test_one_that_was_seen_to_meanwhile_is_not_given_back(
    house: Flask,
    pages: Pages,
    client: FlaskClient,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look for what is due and the payment's lock."""
    expire(house)  # what the tests above left
    payment_id = paid_twice(house, pages, client, sandbox)
    pages.refunds = [Result(Outcome.APPROVED, provider_reference="back")]
    lock = rows_of.lock_request

    def late(*args: Any) -> Any:
        execute(
            house, "UPDATE transactions SET due_at = NULL WHERE payment_id = :id", id=payment_id
        )
        return lock(*args)

    monkeypatch.setattr(rows_of, "lock_request", late)
    with house.app_context():
        assert giving_back.run_once() == {"asked": 0, "more": 0}
    query = "SELECT 1 FROM transactions WHERE type = 'REFUND' AND payment_id = :id"
    assert rows(house, query, id=payment_id) == []


def test_another_payment_without_an_id_is_not_believed(
    house: Flask, pages: Pages, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id, reference = sent_away(client)
    decide(sandbox, reference, "approve")
    pages.also = (Result(Outcome.APPROVED),)
    look_up(house, payment_id)
    assert status(house, payment_id) == "REQUIRES_ACTION"
    assert rows(house, "SELECT 1 FROM transactions WHERE cause = 'paid_twice' AND payment_id = :id",
                id=payment_id) == []  # fmt: skip


def test_a_payer_who_is_sent_on_during_a_look_up_may_go_on_after_its_no(
    house: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a webhook that comes while Stripe is asked: the payer has what it takes to pay."""
    provider: Pages = house.extensions["providers"].get("cancelling")
    order = an_order(provider="cancelling", payment_token="tok_requires_action")
    arm(sandbox, "charge", "do_and_lose_answer")
    payment_id = post(client, CHARGE, **order).json["payment_id"]
    disarm(sandbox)
    assert status(house, payment_id) == "PROCESSING"

    def sent_on(operation: Operation) -> Result:
        sent = Result(Outcome.REQUIRES_ACTION, next_action={"type": "redirect", "url": "https://x"})
        evidence.accept(
            payment_id=payment_id,
            number=1,
            verdict=Verdict.REQUIRES_ACTION,
            result=sent,
            caller=WORKER,
        )
        return DECLINE

    monkeypatch.setattr(provider, "lookup", sent_on)
    look_up(house, payment_id)
    assert status(house, payment_id) == "REQUIRES_ACTION"
    fits(house, payment_id)


def test_a_provider_that_can_t_be_asked_is_asked_ever_more_seldom(
    house: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try is a request of the payment's with events of its own; a provider may be gone for
    weeks."""
    payment_id, _ = sent_away(client, "cancelling")

    def gone(operation: Operation) -> Result:
        raise NotSent("nobody is there")

    monkeypatch.setattr(house.extensions["providers"].get("cancelling"), "ask", gone)
    pauses = []
    for _ in range(3):
        time_is_over(house, payment_id)
        expire(house)
        until = "SELECT expires_at - now() AS pause FROM payments WHERE payment_id = :id"
        pauses.append(row(house, until, id=payment_id)["pause"])
    assert timedelta(minutes=1) < pauses[0] < pauses[1] < pauses[2] < timedelta(hours=1)
