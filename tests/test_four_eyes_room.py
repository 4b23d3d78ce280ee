"""A refund that had been given up was given after all, while another one waits for a decision."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.callers import WORKER, Caller
from payment_service.domain.four_eyes import Decided, ShownOtherwise
from payment_service.domain.operators import Role
from payment_service.domain.states import Verdict
from payment_service.providers.contract import Outcome, Result
from payment_service.services import audit
from payment_service.services.moves import evidence, resolution
from payment_service.services.moves.refund_holds import RefundRequestRow
from tests.books import a_charged_payment, at_provider, payment_row, post, row, rows
from tests.fixtures import MakeApp, a_key
from tests.four_eyes import acting, approves, asks, refund_of, shown, stands
from tests.operators import KEYS
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm
from tests.sandbox_calls import post as post_to
from tests.sandbox_server import Sandbox

LATE = 24 * 3600 * 1000  # ms; not before it is told to
GIVEN_UP = 2
"""The number of the refund's request, behind the charge's."""


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Any refund by an operator needs two. Nothing is due by itself."""
    return make_app(**KEYS, **CLOCKLESS, database_url=database_of_module)


@pytest.fixture
def asker(app: Flask) -> Caller:
    return acting(app)


@pytest.fixture
def approver(app: Flask) -> Caller:
    return acting(app, Role.APPROVER)


def under_way(app: Flask, sandbox: Sandbox, amount: str) -> int:
    """A payment of 100.00 INR, a refund of which the network keeps."""
    token = f"card-{a_key()}"
    paid: int = a_charged_payment(app.test_client(), payment_token=token)["payment_id"]
    arm(sandbox, "refund", "arrive_late", ms=LATE, match={"token": token})
    asked = post(app.test_client(), f"/v1/payments/{paid}/refund", amount=amount)
    assert asked.status_code == 202, asked.json
    return paid


def given_up(app: Flask, sandbox: Sandbox, amount: str) -> int:
    """One whose refund is kept until it is FAILED."""
    paid = under_way(app, sandbox, amount)
    assert said(app, paid, Verdict.NOT_RECEIVED, Outcome.DECLINED)
    assert sums(app, paid) == ("SUCCESS", 0, 0)
    return paid


def said(app: Flask, payment_id: int, verdict: Verdict, outcome: Outcome) -> bool:
    """Whether the provider's word about the refund is news."""
    with app.app_context():
        return evidence.accept(
            payment_id=payment_id,
            number=GIVEN_UP,
            verdict=verdict,
            result=Result(outcome),
            caller=WORKER,
        )


def arrives(app: Flask, sandbox: Sandbox, payment_id: int) -> None:
    """The network delivers the refund after all, and the next look-up finds it."""
    reference = payment_row(app, payment_id)["reference"]
    late = post_to(sandbox, f"/sandbox/late/{reference}-{GIVEN_UP}")
    assert late.json() == {"done": 1}
    with app.app_context():
        assert resolution.resolve(payment_id=payment_id, number=GIVEN_UP)


def sums(app: Flask, payment_id: int) -> tuple[str, int, int]:
    found = payment_row(app, payment_id)
    return found["status"], found["refunded"], found["refund_pending"]


def given(app: Flask, sandbox: Sandbox, payment_id: int) -> list[int]:
    """What the provider gave back, one by one."""
    there = at_provider(sandbox, "refunds", payment_row(app, payment_id)["reference"])
    return [one["amount_minor"] for one in there]


def told(app: Flask, payment_id: int) -> list[dict[str, Any]]:
    query = "SELECT type, actor, body FROM events WHERE payment_id = :id ORDER BY seq"
    return [{**one, **json.loads(one["body"])["data"]} for one in rows(app, query, id=payment_id)]


def fits(app: Flask, payment_id: int) -> None:
    with app.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


def has_lapsed(app: Flask, request: RefundRequestRow) -> None:
    """By itself, and it says for which refund."""
    found = stands(app, request)
    assert (found["state"], found["decided_by"], found["refund_id"]) == ("LAPSED", "worker", None)
    reference = payment_row(app, request["payment_id"])["reference"]
    assert f"{reference}-{GIVEN_UP} had counted as failed" in (found["decision"] or "")


def test_a_request_lapses_where_what_it_holds_went_back_already(
    app: Flask, sandbox: Sandbox, asker: Caller, approver: Caller
) -> None:
    paid = given_up(app, sandbox, "60.00")
    request = asks(app, asker, paid, "60.00")
    seen = shown(app, request)
    arrives(app, sandbox, paid)
    for hash_ in (seen, None):
        with pytest.raises(Decided, match="lapsed, by worker"):
            approves(app, approver, request, seen=hash_)
    assert given(app, sandbox, paid) == [6000]
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)
    has_lapsed(app, request)
    news = told(app, paid)[-3:]
    assert [(one["type"], one["actor"]) for one in news] == [
        ("refund.not_approved", "worker"),
        ("refund.succeeded", "worker"),
        ("payment.partially_refunded", "worker"),
    ]
    assert news[0]["refund_request"]["state"] == "LAPSED"
    assert news[1]["contradicted"] is True
    fits(app, paid)
    refund_of(approves(app, approver, asks(app, asker, paid, "40.00")))
    assert sums(app, paid) == ("REFUNDED", 10000, 0)
    fits(app, paid)


def test_one_that_still_has_its_room_waits_on(
    app: Flask, sandbox: Sandbox, asker: Caller, approver: Caller
) -> None:
    """To the last unit. But whoever saw it before looks again: something else stands beside it."""
    paid = given_up(app, sandbox, "40.00")
    request = asks(app, asker, paid, "60.00")
    seen = shown(app, request)
    arrives(app, sandbox, paid)
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 4000, 6000)
    assert stands(app, request)["state"] == "OPEN"
    with pytest.raises(ShownOtherwise):
        approves(app, approver, request, seen=seen)
    refund_of(approves(app, approver, request))
    assert sums(app, paid) == ("REFUNDED", 10000, 0)
    assert given(app, sandbox, paid) == [4000, 6000]
    fits(app, paid)


def test_a_refund_that_never_failed_has_its_room_already(
    app: Flask, sandbox: Sandbox, asker: Caller, approver: Caller
) -> None:
    """It is counted in what is held; counted once more, it would push the request out."""
    paid = under_way(app, sandbox, "60.00")
    request = asks(app, asker, paid, "40.00")
    arrives(app, sandbox, paid)
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 4000)
    assert stands(app, request)["state"] == "OPEN"
    refund_of(approves(app, approver, request))
    assert sums(app, paid) == ("REFUNDED", 10000, 0)
    fits(app, paid)


def test_where_too_much_went_back_no_request_adds_to_it(
    app: Flask, sandbox: Sandbox, asker: Caller, approver: Caller
) -> None:
    """Another refund took the room first. No row can say what was given beyond it (the log does),
    but nothing more goes out."""
    paid = given_up(app, sandbox, "60.00")
    again = post(app.test_client(), f"/v1/payments/{paid}/refund", amount="60.00")
    assert again.status_code == 200, again.json
    request = asks(app, asker, paid, "40.00")
    for _ in range(2):
        assert not said(app, paid, Verdict.APPROVED, Outcome.APPROVED)
    has_lapsed(app, request)
    with pytest.raises(Decided):
        approves(app, approver, request)
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)
    query = "SELECT status FROM refunds WHERE payment_id = :id AND transaction_number = :number"
    assert row(app, query, id=paid, number=GIVEN_UP)["status"] == "FAILED"
    assert [one["type"] for one in told(app, paid)].count("refund.not_approved") == 1
    fits(app, paid)
