"""Services without HTTP: a job or a page makes the command itself, and is told how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.domain.callers import Caller
from payment_service.domain.commands import (
    Cancel,
    Capture,
    Charge,
    Create,
    RefundPayment,
    SentAmount,
)
from payment_service.domain.errors import InvalidRequest
from payment_service.domain.vocabulary import Method
from payment_service.idempotency import Key, fingerprint
from payment_service.schemas.payments import ChargePaymentSchema, ChargePendingPaymentSchema
from payment_service.schemas.refunds import CreateRefundSchema
from payment_service.services import charges, holds, payments, refunds
from payment_service.services.moves import answers
from payment_service.services.moves.answers import Ending, Replay
from tests.fixtures import a_key, a_number

JOB = Caller("billing")


@pytest.fixture
def inside(app: Flask) -> Iterator[None]:
    """In the app, and in no request."""
    with app.app_context():
        yield


def key_of(operation: str) -> Key:
    return Key(JOB.name, operation, a_key(), fingerprint({}))


def a_charge(**said: Any) -> Charge:
    ten = SentAmount("10.00")
    return Charge(**{"order_id": a_number(), "amount": ten, "currency": "INR"} | said)


def ended(found: Ending | Replay) -> Ending:
    assert isinstance(found, Ending)
    return found


def test_a_charge_ends_with_its_payment_and_its_request(inside: None) -> None:
    key, command = key_of("renewal"), a_charge()
    ending = ended(charges.charge(command=command, key=key, caller=JOB))
    assert (ending.payment["status"], ending.payment["captured"]) == ("SUCCESS", 1000)
    assert ending.request == ending.transactions[-1]
    assert ending.request is not None
    assert (ending.request["type"], ending.request["status"]) == ("CHARGE", "SUCCESS")
    assert ending.definite
    assert not (ending.created or ending.replayed or ending.refund)
    again = charges.charge(command=command, key=key, caller=JOB)
    number, payment_id = ending.request["number"], ending.payment["payment_id"]
    assert ending.answer is not None
    assert again == Replay(payment_id, number, ending.answer)
    stands = answers.tell(payment_id=payment_id, number=number, key=None)
    assert (stands.payment["status"], stands.answer) == ("SUCCESS", None)


def test_a_decline_is_an_ending_too(inside: None) -> None:
    command = a_charge(payment_token="tok_decline_do_not_honor")
    ending = ended(charges.charge(command=command, key=key_of("renewal"), caller=JOB))
    assert ending.request is not None
    assert (ending.payment["status"], ending.request["failure_code"]) == ("FAILED", "do_not_honor")
    assert ending.definite


def test_what_waits_for_the_payer_is_not_definite(inside: None) -> None:
    command = a_charge(payment_token="tok_requires_action")
    key = key_of("renewal")
    ending = ended(charges.charge(command=command, key=key, caller=JOB))
    assert (ending.payment["status"], ending.definite) == ("REQUIRES_ACTION", False)
    again = ended(charges.charge(command=command, key=key, caller=JOB))
    assert (again.replayed, again.definite) == (True, False)


def test_a_hold_and_what_becomes_of_it(inside: None) -> None:
    held = ended(charges.charge(command=a_charge(held=True), key=key_of("hold"), caller=JOB))
    payment_id = held.payment["payment_id"]
    part = Capture(amount=SentAmount(400, in_minor_units=True))
    taken = ended(
        holds.capture(payment_id=payment_id, command=part, key=key_of("take"), caller=JOB)
    )
    assert (taken.payment["status"], taken.payment["captured"]) == ("SUCCESS", 400)
    back = ended(
        refunds.refund(
            payment_id=payment_id,
            command=RefundPayment(reason="detour"),
            key=key_of("give back"),
            caller=JOB,
        )
    )
    assert back.refund is not None
    assert (back.refund["status"], back.refund["amount"]) == ("SUCCESS", 400)
    assert (back.payment["status"], back.definite) == ("REFUNDED", True)


def test_without_a_key_nothing_is_written_for_anybody(inside: None) -> None:
    command = Create(order_id=a_number(), amount=SentAmount(1000, in_minor_units=True))
    made = ended(payments.create(command=command, key=None, caller=JOB))
    assert (made.created, made.request, made.answer) == (True, None, None)
    payment_id = made.payment["payment_id"]
    gone = ended(payments.cancel(payment_id=payment_id, command=Cancel(), key=None, caller=JOB))
    assert (gone.created, gone.payment["status"], gone.answer) == (False, "CANCELLED", None)


def test_the_api_replays_what_a_service_kept(app: Flask, client: FlaskClient) -> None:
    """The bytes are the API's, whoever asked the service first."""
    order = {"order_id": a_number(), "amount": "10.00", "currency": "INR"}
    sent = client.post(
        "/v1/payments/charge", json=order, headers={"Idempotency-Key": (name := a_key())}
    )
    key = Key("local", "POST /v1/payments/charge", name, fingerprint(order))
    with app.app_context():
        again = charges.charge(command=a_charge(), key=key, caller=JOB)
    assert isinstance(again, Replay)
    assert (again.answer.status, again.answer.body.encode()) == (sent.status_code, sent.data)


def test_a_body_is_read_once_into_a_frozen_command() -> None:
    sent: dict[str, Any] = {
        "order_id": 7,
        "payment_method": "upi",
        "capture": False,
        "amount_minor": 250,
    }
    command = ChargePaymentSchema().load(
        sent | {"idempotency_key": "k", "metadata": {"city": "Pune"}}
    )
    wanted = Charge(
        order_id=7,
        method=Method.UPI,
        held=True,
        amount=SentAmount(250, in_minor_units=True),
        metadata={"city": "Pune"},
    )
    assert command == wanted
    with pytest.raises(FrozenInstanceError):
        command.order_id = 8
    assert (
        ChargePendingPaymentSchema().load({"method": "CARD", "payment_method": "CARD"}).held
        is False
    )
    refund = CreateRefundSchema().load({"payment_id": 3, "amount": "1.50"})
    assert (refund.payment_id, refund.amount) == (3, SentAmount("1.50"))


@pytest.mark.parametrize(
    ("sent", "member"),
    [
        ({"method": "CARD", "payment_method": "UPI"}, "payment_method"),
        ({"amount": "1.00", "amount_minor": 100}, "amount_minor"),
    ],
)
def test_two_members_that_say_different_things_are_refused(
    sent: dict[str, Any], member: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ChargePaymentSchema().load({"order_id": 7} | sent)
    assert list(refused.value.members["errors"]) == [member]
