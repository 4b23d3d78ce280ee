"""Swish through the service: payers who say yes, no or nothing, refunds, and callbacks that can do
no more than make us look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from payment_service.providers.swish_callbacks import identifier, instruction_uuid, plain
from payment_service.services import audit, expiry
from tests.books import execute, post, row, rows
from tests.clocks import an_hour_later, look_up
from tests.fixtures import MakeApp, a_key, an_order
from tests.harness_swish import ALIAS, SECRET, a_phone
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_calls import arm, disarm, get
from tests.sandbox_server import Sandbox
from tests.test_swish import GOOD
from tests.test_webhooks import is_due, money_of, status_of

MONEY = ("charge", "void", "refund")


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Flask:
    tls = sandbox.authority.tls(ALIAS)
    return make_app(
        **CLOCKLESS,
        database_url=database_of_module,
        swish_api_url=sandbox.swish_url,
        swish_cert_path=tls.cert,
        swish_key_path=tls.key,
        swish_ca_path=tls.ca,
        swish_payee_alias=ALIAS,
        swish_callback_secret=SECRET,
        public_url="https://pay.example",
        secret_key="k" * 32,
        provider_routes="SWISH=swish",
    )


@pytest.fixture
def client(house: Flask, sandbox: Sandbox) -> Iterator[FlaskClient]:
    yield house.test_client()
    disarm(sandbox)


def charged(client: FlaskClient, habit: str | None = "00") -> Any:
    """The answer to a charge of a payer with a phone of that habit, or with none."""
    payer = {"payer": {"phone": a_phone(habit)}} if habit else {}
    order = an_order(method="SWISH", currency="SEK", amount="104.86") | payer
    return post(client, "/v1/payments/charge", a_key(), **order)


def says(sandbox: Sandbox, reference: str, outcome: str) -> None:
    url = f"{sandbox.url}/swish/phones/{instruction_uuid(reference)}"
    assert requests.post(url, json={"outcome": outcome}, timeout=PATIENCE).ok


def called_back(client: FlaskClient, reference: str, shown: str | None, **changes: Any) -> int:
    """Whatever is said, it is a payment that is paid."""
    uuid = instruction_uuid(reference)
    body = GOOD | {"id": uuid, "payeePaymentReference": plain(reference), "amount": 104.86}
    headers = {"callbackIdentifier": shown} if shown else {}
    return client.post(
        "/v1/webhooks/swish", data=json.dumps(body | changes), headers=headers
    ).status_code


def over(house: Flask, payment_id: int) -> None:
    """The time to pay is over, and the worker has seen it."""
    query = "UPDATE payments SET expires_at = '2020-01-01' WHERE payment_id = :id"
    execute(house, query, id=payment_id)
    with house.app_context():
        expiry.run_once()


def money_requests(sandbox: Sandbox, payment_reference: str) -> list[tuple[str, str]]:
    """What arrived of the payment and moves money: the verb, and the reference."""
    came = get(sandbox, "/psp/requests")["requests"]
    return [
        (one["operation"], one["reference"])
        for one in came
        if (one["reference"] or "").startswith(plain(payment_reference))
        and one["operation"] in MONEY
    ]


def test_a_payer_pays_on_the_phone_and_gets_it_back(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    answer = charged(client)
    assert answer.status_code == 202, answer.json
    asked = answer.json
    assert (asked["status"], asked["next_action"]["type"]) == ("REQUIRES_ACTION", "app")
    payment_id, reference = asked["payment_id"], f"{asked['reference']}-1"
    look_up(house, payment_id)
    assert status_of(client, payment_id) == "REQUIRES_ACTION"
    says(sandbox, reference, "approve")
    assert not is_due(house, payment_id)
    shown = identifier(instruction_uuid(reference), SECRET)
    assert called_back(client, reference, shown) == 200
    assert is_due(house, payment_id)
    assert status_of(client, payment_id) == "REQUIRES_ACTION"  # the callback itself says nothing
    look_up(house, payment_id)
    assert status_of(client, payment_id) == "SUCCESS"
    refund = post(client, f"/v1/payments/{payment_id}/refund", a_key(), amount="4.86")
    assert refund.status_code == 202, refund.json
    look_up(house, payment_id)
    says(sandbox, f"{asked['reference']}-2", "approve")
    look_up(house, payment_id)
    assert status_of(client, payment_id) == "PARTIALLY_REFUNDED"
    assert money_requests(sandbox, asked["reference"]) == [
        ("charge", plain(reference)),
        ("refund", plain(f"{asked['reference']}-2")),
    ]
    with house.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


@pytest.mark.parametrize(("outcome", "code"), [("decline", "cancelled_by_payer"), ("TM01", None)])
def test_a_payer_says_no_or_nothing(
    house: Flask, client: FlaskClient, sandbox: Sandbox, outcome: str, code: str | None
) -> None:
    asked = charged(client).json
    says(sandbox, f"{asked['reference']}-1", outcome)
    look_up(house, asked["payment_id"])
    found = client.get(f"/v1/payments/{asked['payment_id']}").json
    assert (found["status"], found["failure_code"]) == ("FAILED", code or "provider_declined")


def test_a_wait_that_is_over_is_cancelled_at_swish(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    asked = charged(client, None).json
    assert asked["next_action"]["token"]
    over(house, asked["payment_id"])
    assert status_of(client, asked["payment_id"]) == "EXPIRED"
    payments = get(sandbox, "/swish/payments")["payments"]
    uuid = instruction_uuid(f"{asked['reference']}-1")
    (there,) = [one for one in payments if one["id"] == uuid]
    assert there["status"] == "CANCELLED"


def test_who_pays_at_the_last_moment_has_paid(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    asked = charged(client).json
    payment_id = asked["payment_id"]
    says(sandbox, f"{asked['reference']}-1", "approve")
    over(house, payment_id)
    assert status_of(client, payment_id) == "REQUIRES_ACTION"  # the void was refused
    look_up(house, payment_id)
    assert status_of(client, payment_id) == "SUCCESS"


@pytest.mark.parametrize("how", ["do_and_lose_answer", "fail_503", "arrive_late"])
def test_a_phone_whose_answer_was_lost_is_found_again(
    house: Flask, client: FlaskClient, sandbox: Sandbox, how: str
) -> None:
    arm(sandbox, "charge", how)
    answer = charged(client, "11")
    assert (answer.status_code, answer.json["status"]) == (202, "PROCESSING")
    payment_id, reference = answer.json["payment_id"], answer.json["reference"]
    if how == "arrive_late":
        sent = plain(f"{reference}-1")
        assert requests.post(f"{sandbox.url}/sandbox/late/{sent}", timeout=PATIENCE).ok
    for _ in range(3):
        an_hour_later(house, payment_id)
        look_up(house, payment_id)
    assert status_of(client, payment_id) == ("FAILED" if how == "fail_503" else "SUCCESS")
    assert len(money_requests(sandbox, reference)) == 1


def test_a_token_that_got_lost_is_nobody_s(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    arm(sandbox, "charge", "do_and_lose_answer")
    answer = charged(client, None)
    assert answer.status_code == 503, answer.json
    made = row(house, "SELECT * FROM payments ORDER BY payment_id DESC LIMIT 1")
    assert made["status"] == "FAILED"


def test_callbacks_move_nothing(house: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    asked, other = charged(client).json, charged(client).json
    payment_id, reference = asked["payment_id"], f"{asked['reference']}-1"
    before = money_of(house, payment_id)
    shown = identifier(instruction_uuid(reference), SECRET)
    for status, identified, changes in (
        (400, None, {}),
        (400, "0" * 32, {}),
        (400, identifier(instruction_uuid(f"{other['reference']}-1"), SECRET), {}),
        (400, identifier(instruction_uuid(reference), "another secret of callbacks, 1234"), {}),
        (400, shown, {"status": "DONE"}),
        (400, shown, {"id": "x"}),
        (200, shown, {"amount": 1}),
        (200, shown, {"currency": "EUR"}),
        (200, shown, {"payeeAlias": "1239999999"}),
        (200, shown, {"payeePaymentReference": plain(f"{other['reference']}-1")}),
        (200, shown, {"status": "ERROR", "errorCode": "RF07"}),
        (200, shown, {}),
    ):
        assert called_back(client, reference, identified, **changes) == status, changes
        assert money_of(house, payment_id) == before
    look_up(house, payment_id)
    assert money_of(house, payment_id) == before
    unknown = "PAY-20260101-AAAAAAAAAAAA-1"
    right = identifier(instruction_uuid(unknown), SECRET)
    assert called_back(client, unknown, right) == 200
    bodies = rows(house, "SELECT body::text FROM webhooks WHERE provider = 'swish'")
    assert bodies
    assert not any(GOOD["payerAlias"] in one["body"] for one in bodies)
