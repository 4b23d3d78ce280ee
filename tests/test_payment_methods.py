"""Saved methods: brought by the payer, seen by its own, charged without it, taken away, erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payment_service.providers.stripe import StripeProvider
from payment_service.sandbox.dialects.stripe.events import SECRET, signed
from payment_service.services import comparing_methods
from tests.books import execute, row, rows
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm
from tests.sandbox_calls import post as told
from tests.sandbox_server import Sandbox
from tests.stripe_calls import ask, listed
from tests.tokens import SECURED, a_token, bearing

ME = "/v1/customers/me"
MINE = f"{ME}/payment-methods"
KEY = "sk_test_a"
"""The journal of what arrives late holds it; one so short is not looked for there as a secret."""
SERVICE = bearing(a_token())


@pytest.fixture(scope="module")
def app(make_app: MakeApp, sandbox: Sandbox) -> Flask:
    return make_app(
        **CLOCKLESS,
        **SECURED,
        trip_service_url=None,
        stripe_api_key=KEY,
        stripe_api_base=f"{sandbox.url}/stripe",
        stripe_publishable_key="pk_test_sandbox",
        stripe_webhook_secret=SECRET,
        provider_routes="CARD=stripe",
    )


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    yield app.test_client()
    execute(app, "UPDATE provider_customers SET due_at = NULL WHERE erase_asked_at IS NULL")


def as_rider(rider: int) -> dict[str, str]:
    return bearing(a_token(sub=str(rider), role="rider", scope=None))


def compare(app: Flask) -> dict[str, int]:
    """All that is waited for is due now."""
    execute(app, "UPDATE provider_customers SET due_at = now() WHERE due_at IS NOT NULL")
    with app.app_context():
        return comparing_methods.run_once()


def begun(client: FlaskClient, rider: int) -> dict[str, Any]:
    answer = client.post(MINE, json={}, headers=as_rider(rider))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def setup_of(begun: dict[str, Any]) -> str:
    """The provider's id: a client_secret begins with it."""
    return str(begun["next_action"]["client_secret"].partition("_secret_")[0])


def brings(sandbox: Sandbox, setup: dict[str, Any], card: str = "pm_card_visa") -> str:
    answer = told(sandbox, f"/stripe/setups/{setup_of(setup)}", payment_method=card)
    assert answer.ok, answer.text
    return str(answer.json()["payment_method"])


def saved(app: Flask, client: FlaskClient, sandbox: Sandbox, rider: int, **more: str) -> Any:
    """A method that the rider has saved."""
    brings(sandbox, begun(client, rider), **more)
    compare(app)
    return of(client, rider)[0]


def of(client: FlaskClient, rider: int) -> list[dict[str, Any]]:
    answer = client.get(MINE, headers=as_rider(rider))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["payment_methods"]
    return found


def charge(client: FlaskClient, method: dict[str, Any], **changes: Any) -> TestResponse:
    return client.post(
        "/v1/payments/charge",
        json=an_order(payment_method_id=method["payment_method_id"], **changes),
        headers={"Idempotency-Key": a_key(), **SERVICE},
    )


def intent_of(sandbox: Sandbox, payment: dict[str, Any]) -> dict[str, Any]:
    mine = f"{payment['reference']}-1"
    found = listed(sandbox, "payment_intents")
    return next(one for one in found if one["metadata"].get("reference") == mine)


def test_a_card_is_saved_and_charged_without_its_payer(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    setup = begun(client, rider)
    assert setup["status"] == "REQUIRES_ACTION"
    assert setup["next_action"]["publishable_key"] == "pk_test_sandbox"
    compare(app)
    assert of(client, rider) == []
    token = brings(sandbox, setup)
    compare(app)
    (method,) = of(client, rider)
    assert (method["brand"], method["last4"], method["status"]) == ("visa", "4242", "ACTIVE")
    answer = charge(client, method, user_id=rider)
    assert (answer.status_code, answer.json["status"]) == (201, "SUCCESS"), answer.text
    intent = intent_of(sandbox, answer.json)
    assert intent["payment_method"] == token
    assert token not in answer.text
    kept = str(rows(app, "SELECT * FROM payments WHERE user_id = :u", u=rider))
    assert token not in kept


def test_what_is_said_twice_is_saved_once(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    first = saved(app, client, sandbox, rider)
    hastened(app, rider)
    compare(app)
    assert of(client, rider) == [first]


def hastened(app: Flask, rider: int) -> None:
    execute(
        app,
        "UPDATE provider_customers SET due_at = now() FROM customers c"
        " WHERE c.customer_id = provider_customers.customer_id AND c.user_id = :u",
        u=rider,
    )


def test_one_method_is_the_default(app: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    rider = a_number()
    old = saved(app, client, sandbox, rider)
    new = saved(app, client, sandbox, rider, card="pm_card_mastercard")
    for method in (old, new):
        path = f"{MINE}/{method['payment_method_id']}/default"
        assert client.post(path, headers=as_rider(rider)).json == method | {"is_default": True}
    assert [one["is_default"] for one in of(client, rider)] == [True, False]


def test_a_stranger_neither_sees_nor_moves_it(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider, other = a_number(), a_number()
    method = saved(app, client, sandbox, rider)
    customer = client.get(ME, headers=as_rider(rider)).json["customer_id"]
    theirs = client.get(ME, headers=as_rider(other)).json["customer_id"]
    number, stranger = method["payment_method_id"], as_rider(other)
    assert of(client, other) == []
    for whose in ("me", customer, theirs):
        path = f"/v1/customers/{whose}/payment-methods"
        for verb, where in (
            (client.post, f"{path}/{number}/default"),
            (client.delete, f"{path}/{number}"),
        ):
            answer = verb(where, headers=stranger)
            assert answer.status_code in (403, 404), where
            if whose == "me":
                assert answer.json["code"] == "payment_method_not_found"
    for answer in (
        client.get(f"/v1/customers/{customer}/payment-methods", headers=stranger),
        client.delete(f"/v1/customers/{theirs}/payment-methods/{number}", headers=SERVICE),
        client.post(f"/v1/customers/{theirs}/payment-methods/{number}/default", headers=SERVICE),
        charge(client, method, user_id=other),
        charge(client, method, user_id=other, rider_id=rider),
        charge(client, method),
    ):
        assert answer.status_code == 404, answer.text
    assert of(client, rider) == [method]
    assert charge(client, method, rider_id=rider).status_code == 201


def test_a_pending_payment_of_another_user_is_not_charged_by_it(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider, order = a_number(), a_number()
    method = saved(app, client, sandbox, rider)
    body = {"order_id": order, "user_id": a_number(), "amount": "100.00"}
    pending = client.post("/v1/payments", json=body, headers=SERVICE).json
    by_id = client.post(
        f"/v1/payments/{pending['payment_id']}/charge",
        json={"payment_method_id": method["payment_method_id"]},
        headers={"Idempotency-Key": a_key(), **SERVICE},
    )
    by_order = charge(client, method, order_id=order, rider_id=rider, amount="100.00")
    assert [answer.status_code for answer in (by_id, by_order)] == [404, 404]


def test_a_token_and_a_method_are_too_much(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    method = saved(app, client, sandbox, rider)
    answer = charge(client, method, user_id=rider, payment_token="pm_card_visa")
    assert (answer.status_code, [*answer.json["errors"]]) == (422, ["payment_method_id"])


def test_who_must_be_asked_is_told_to_come_back(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    method = saved(app, client, sandbox, rider, card="pm_card_authenticationRequired")
    answer = charge(client, method, user_id=rider)
    assert (answer.status_code, answer.json["failure_code"]) == (402, "authentication_required")


def test_a_method_that_was_taken_away_is_charged_no_more(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    method = saved(app, client, sandbox, rider)
    path = f"{MINE}/{method['payment_method_id']}"
    assert client.delete(path, headers=as_rider(rider)).status_code == 204
    assert client.delete(path, headers=as_rider(rider)).status_code == 404
    assert charge(client, method, user_id=rider).status_code == 404
    assert of(client, rider)[0]["status"] == "DETACHED"
    assert kept(app, method)["token"] is None
    hastened(app, rider)
    compare(app)
    assert of(client, rider)[0]["status"] == "DETACHED"


def test_what_was_taken_away_meanwhile_stays_as_it_was(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the provider's list, with a newer expiry, and what is written of it."""
    rider = a_number()
    token = brings(sandbox, begun(client, rider))
    compare(app)
    (method,) = of(client, rider)
    assert told(sandbox, f"/stripe/cards/{token}", exp_year=2040).ok
    path = f"{MINE}/{method['payment_method_id']}"
    lists = StripeProvider.saved_methods

    def is_overtaken(keeper: StripeProvider, customer: str) -> Any:
        found = lists(keeper, customer)
        assert [one.exp_year for one in found] == [2040]
        assert client.delete(path, headers=as_rider(rider)).status_code == 204
        return found

    hastened(app, rider)
    with monkeypatch.context() as patch:
        patch.setattr(StripeProvider, "saved_methods", is_overtaken)
        compare(app)
    (gone,) = of(client, rider)
    assert gone == {**method, "status": "DETACHED", "is_default": gone["is_default"]}


def kept(app: Flask, method: dict[str, Any]) -> dict[str, Any]:
    number = method["payment_method_id"]
    return row(app, "SELECT * FROM payment_methods WHERE payment_method_id = :n", n=number)


LOST = ("do_and_lose_answer", "do_and_500", "do_and_503", "half_body", "garbage_200")
NOT_DONE = ("reset_before_reading", "fail_500", "fail_503", "half_body_not_done")
LATER = ("too_many_requests", "arrive_late")


@pytest.mark.parametrize("fault", [*LOST, *NOT_DONE, *LATER])
def test_a_detach_without_an_answer_is_done_later(
    app: Flask, client: FlaskClient, sandbox: Sandbox, fault: str
) -> None:
    rider = a_number()
    token = brings(sandbox, begun(client, rider))
    compare(app)
    (method,) = of(client, rider)
    arm(sandbox, "detach", fault, ms=10)
    path = f"{MINE}/{method['payment_method_id']}"
    assert client.delete(path, headers=as_rider(rider)).status_code == 204
    assert of(client, rider)[0]["status"] == "DETACHED"
    assert charge(client, method, user_id=rider).status_code == 404
    for _ in range(3):
        compare(app)
    assert kept(app, method)["token"] is None
    assert ask(sandbox, "GET", f"/v1/payment_methods/{token}").json()["customer"] is None


@pytest.mark.parametrize("operation", ["customer", "setup"])
@pytest.mark.parametrize("fault", [*LOST, *NOT_DONE, *LATER])
def test_a_setup_under_each_fault_makes_one_customer(
    app: Flask, client: FlaskClient, sandbox: Sandbox, operation: str, fault: str
) -> None:
    rider = a_number()
    arm(sandbox, operation, fault, ms=10)
    answer = client.post(MINE, json={}, headers=as_rider(rider))
    assert answer.status_code in (201, 503), answer.text
    if answer.status_code == 503:
        assert answer.json["code"] == "provider_unavailable"
        answer = client.post(MINE, json={}, headers=as_rider(rider))
    brings(sandbox, answer.json)
    compare(app)
    assert len(of(client, rider)) == 1
    customer = client.get(ME, headers=as_rider(rider)).json["customer_id"]
    there = [
        one
        for one in listed(sandbox, "customers")
        if (one.get("metadata") or {}).get("reference") == f"CUS-{customer}"
    ]
    assert len(there) == 1


@pytest.mark.parametrize("fault", ["lookup_unavailable", "do_and_500", "garbage_200"])
def test_a_list_that_is_not_told_takes_nothing_away(
    app: Flask, client: FlaskClient, sandbox: Sandbox, fault: str
) -> None:
    rider = a_number()
    method = saved(app, client, sandbox, rider)
    hastened(app, rider)
    arm(sandbox, "lookup", fault)
    assert compare(app)["failed"] == 1
    assert of(client, rider) == [method]


def test_what_an_older_list_said_is_not_written(
    app: Flask, client: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list and its writing another one is asked for, and says more."""
    rider = a_number()
    setup = begun(client, rider)
    asked = comparing_methods.seen_there

    def slowly(*about: Any) -> Any:
        seen = asked(*about)
        monkeypatch.setattr(comparing_methods, "seen_there", asked)
        brings(sandbox, setup)
        compare(app)
        return seen

    monkeypatch.setattr(comparing_methods, "seen_there", slowly)
    compare(app)
    assert [one["status"] for one in of(client, rider)] == ["ACTIVE"]


@pytest.mark.parametrize("fault", [None, *LOST, *NOT_DONE, *LATER])
def test_an_erased_customer_is_erased_at_the_provider(
    app: Flask, client: FlaskClient, sandbox: Sandbox, fault: str | None
) -> None:
    rider = a_number()
    token = brings(sandbox, begun(client, rider))
    compare(app)
    (method,) = of(client, rider)
    customer = client.get(ME, headers=as_rider(rider)).json["customer_id"]
    path = f"/v1/customers/{customer}"
    assert client.delete(path, headers=SERVICE).status_code == 202
    assert client.delete(path, headers=SERVICE).status_code == 202
    assert client.get(path, headers=SERVICE).status_code == 404
    assert charge(client, method, user_id=rider).status_code == 404
    if fault:
        arm(sandbox, "erase", fault, ms=10)
    for _ in range(3):
        compare(app)
    assert client.delete(path, headers=SERVICE).status_code == 404
    assert ask(sandbox, "GET", f"/v1/payment_methods/{token}").json()["customer"] is None
    there = row(app, "SELECT * FROM provider_customers WHERE customer_id = :c", c=customer)
    assert there["erased_at"] is not None
    assert kept(app, method)["last4"] is None


def test_without_a_provider_that_keeps_methods_it_says_so(make_app: MakeApp) -> None:
    client = make_app(**SECURED).test_client()
    for body in ({}, {"provider": "sandbox"}):
        answer = client.post(MINE, json=body, headers=as_rider(a_number()))
        assert (answer.status_code, answer.json["code"]) == (422, "not_supported_by_provider")


def news(sandbox: Sandbox, kind: str, about: str) -> dict[str, Any]:
    """The newest event of that kind about the object."""
    found = listed(sandbox, "events", type=kind)
    return next(one for one in found if one["data"]["object"]["id"] == about)


def hear(client: FlaskClient, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": signed(body, SECRET), "Content-Type": "application/json"}
    assert client.post("/v1/webhooks/stripe", data=body, headers=headers).status_code == 200


def run(app: Flask) -> dict[str, int]:
    with app.app_context():
        return comparing_methods.run_once()


def test_news_of_a_method_has_it_looked_up_at_once(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider = a_number()
    setup = begun(client, rider)
    token = brings(sandbox, setup)
    assert run(app)["compared"] == 0  # its time has not come
    hear(client, news(sandbox, "setup_intent.succeeded", setup_of(setup)))
    assert run(app)["compared"] == 1
    (method,) = of(client, rider)
    assert told(sandbox, f"/stripe/cards/{token}", exp_year=2040).ok
    hear(client, news(sandbox, "payment_method.automatically_updated", token))
    run(app)
    assert of(client, rider) == [method | {"exp_year": 2040}]
    assert ask(sandbox, "POST", f"/v1/payment_methods/{token}/detach").ok
    hear(client, news(sandbox, "payment_method.detached", token))
    run(app)
    assert [one["status"] for one in of(client, rider)] == ["DETACHED"]
    hear(client, news(sandbox, "payment_method.attached", token))
    assert [one["status"] for one in of(client, rider)] == ["DETACHED"]


def test_news_that_lies_about_the_customer_saves_nothing(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    rider, other = a_number(), a_number()
    mine, theirs = begun(client, rider), begun(client, other)
    token = brings(sandbox, mine)
    event = news(sandbox, "payment_method.attached", token)
    customer = ask(sandbox, "GET", f"/v1/setup_intents/{setup_of(theirs)}").json()["customer"]
    event["data"]["object"]["customer"] = customer
    hear(client, event)
    run(app)
    assert of(client, other) == []


class Killed(BaseException):
    """As if the process had died there."""


@pytest.mark.parametrize("step", ["make_customer", "begin_setup", "saved_methods", "detach"])
@pytest.mark.parametrize("after", [False, True], ids=["before it is asked", "after it was asked"])
def test_who_is_killed_leaves_nothing_twice(
    app: Flask,
    client: FlaskClient,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
) -> None:
    rider = a_number()
    asked = getattr(StripeProvider, step)

    def dies(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(StripeProvider, step, asked)
        if after:
            asked(*args, **more)
        raise Killed

    if step in ("make_customer", "begin_setup"):
        monkeypatch.setattr(StripeProvider, step, dies)
        with pytest.raises(Killed):
            client.post(MINE, json={}, headers=as_rider(rider))
    brings(sandbox, begun(client, rider))
    if step == "saved_methods":
        monkeypatch.setattr(StripeProvider, step, dies)
        with pytest.raises(Killed):
            compare(app)
    compare(app)
    (method,) = of(client, rider)
    if step == "detach":
        monkeypatch.setattr(StripeProvider, step, dies)
        path = f"{MINE}/{method['payment_method_id']}"
        with pytest.raises(Killed):
            client.delete(path, headers=as_rider(rider))
        assert charge(client, method, user_id=rider).status_code == 404
        compare(app)
        assert kept(app, method)["token"] is None
    customer = client.get(ME, headers=as_rider(rider)).json["customer_id"]
    named = [(one.get("metadata") or {}).get("reference") for one in listed(sandbox, "customers")]
    assert named.count(f"CUS-{customer}") == 1
