"""Providers that can be looked up by their own id only. The suite in test_conformance.py asks
providers by themselves; whether their ids are kept and come back shows only with the service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers import registry
from payment_service.providers.contract import Operation, Outcome, OutcomeUnknown, Result
from payment_service.providers.sandbox import SandboxProvider
from payment_service.services import audit
from payment_service.services.moves.rows import TRANSACTION
from tests.books import post, row
from tests.clocks import look_up
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import decide, get
from tests.sandbox_server import Sandbox

WAITING = {
    TransactionType.CHARGE: {"payment_token": "tok_pending"},
    TransactionType.AUTHORIZATION: {"payment_token": "tok_pending", "capture": False},
    TransactionType.REFUND: {"payment_token": "tok_refund_pending"},
}
"""What is charged so that the request of this type is not decided at once."""


class ById(SandboxProvider):
    """Says its id with every answer, and finds nothing by a reference of ours."""

    name = "by_id"

    def __init__(self, sandbox: Sandbox, limits: Any) -> None:
        super().__init__(sandbox.url, limits)
        self._sandbox = sandbox
        self.asked_by_id = 0

    def _lookup(self, operation: Operation) -> Result | None:
        if operation.known_as is None:
            raise OutcomeUnknown("without its id nothing can be found")
        self.asked_by_id += 1
        noun = "refunds" if operation.type is TransactionType.REFUND else "charges"
        done = {one["id"]: one for one in get(self._sandbox, f"/psp/{noun}")[noun]}
        found = super()._lookup(replace(operation, reference=done[operation.known_as]["reference"]))
        assert found is not None
        return found


class ByIdLater(ById):
    """Takes a request without saying its id. Our reference finds it for as long as it has none; the
    second look-up tells the id, and from then on only that finds it."""

    name = "by_id_later"
    asked_by_reference = 0

    def _ask(self, operation: Operation) -> Result:
        result = super()._ask(operation)
        if result.outcome is Outcome.PENDING:
            return replace(result, provider_reference=None)
        return result

    def _lookup(self, operation: Operation) -> Result | None:
        if operation.known_as is not None:
            return super()._lookup(operation)
        self.asked_by_reference += 1
        found = SandboxProvider._lookup(self, operation)
        assert found is not None
        if self.asked_by_reference == 1:
            return replace(found, provider_reference=None)
        if self.asked_by_reference == 2:
            return found
        raise OutcomeUnknown("it is filed under its id by now")


@pytest.fixture
def house(make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Flask:
    for kind in (ById, ByIdLater):
        monkeypatch.setitem(
            registry.BUILDERS, kind.name, lambda settings, limits, kind=kind: kind(sandbox, limits)
        )
    return make_app(**CLOCKLESS)


def asked(
    client: FlaskClient, provider: str, kind: TransactionType, key: str
) -> tuple[int, str, Any]:
    """A request of the type that is not decided yet: its payment, its reference, and how to ask for
    it again under its key."""
    order = an_order(provider=provider, **WAITING[kind])

    def send() -> Any:
        if kind is TransactionType.REFUND:
            return post(client, f"/v1/payments/{payment_id}/refund", key)
        return post(client, "/v1/payments/charge", key, **order)

    if kind is TransactionType.REFUND:
        payment_id = post(client, "/v1/payments/charge", **order).json["payment_id"]
        assert send().status_code == 202
        return payment_id, f"{_reference(client, payment_id)}-2", send
    answer = send()
    assert answer.status_code == 202, answer.json
    payment_id = answer.json["payment_id"]
    return payment_id, f"{answer.json['reference']}-1", send


def _reference(client: FlaskClient, payment_id: int) -> str:
    found: str = client.get(f"/v1/payments/{payment_id}").json["reference"]
    return found


def kept_id(app: Flask, reference: str) -> str | None:
    query = f"SELECT provider_reference FROM {TRANSACTION} WHERE reference = :reference"
    found: str | None = row(app, query, reference=reference)["provider_reference"]
    return found


def status(app: Flask, reference: str) -> str:
    query = f"SELECT status FROM {TRANSACTION} WHERE reference = :reference"
    found: str = row(app, query, reference=reference)["status"]
    return found


def fits(app: Flask, payment_id: int) -> None:
    """Audit finds every column as the events say."""
    with app.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


@pytest.mark.parametrize("kind", WAITING)
def test_the_id_of_an_undecided_answer_finds_the_request(
    house: Flask, sandbox: Sandbox, kind: TransactionType
) -> None:
    client = house.test_client()
    payment_id, reference, again = asked(client, ById.name, kind, a_key())
    assert kept_id(house, reference)
    look_up(house, payment_id)
    assert status(house, reference) == "PROCESSING"
    decide(sandbox, reference, "approve")
    look_up(house, payment_id)
    assert status(house, reference) == "SUCCESS"
    assert house.extensions["providers"].get(ById.name).asked_by_id >= 2
    assert again().status_code in (200, 201)
    fits(house, payment_id)


@pytest.mark.parametrize("kind", WAITING)
def test_an_id_that_comes_with_the_second_look_up_finds_the_request(
    house: Flask, sandbox: Sandbox, kind: TransactionType
) -> None:
    client = house.test_client()
    payment_id, reference, again = asked(client, ByIdLater.name, kind, a_key())
    assert kept_id(house, reference) is None
    look_up(house, payment_id)
    assert kept_id(house, reference) is None
    look_up(house, payment_id)
    assert kept_id(house, reference)
    decide(sandbox, reference, "approve")
    look_up(house, payment_id)
    assert status(house, reference) == "SUCCESS"
    assert house.extensions["providers"].get(ByIdLater.name).asked_by_reference == 2
    assert again().status_code in (200, 201)
    fits(house, payment_id)
