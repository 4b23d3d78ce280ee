"""Customers: made once, seen by who may, found by what they said, erased."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from payment_service.domain.callers import Caller
from payment_service.extensions import db
from payment_service.models.columns import Secret
from payment_service.models.keyring import NotGenuine
from payment_service.services import customers, keys
from payment_service.services.moves import pages
from tests.books import execute, row
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key, a_number, an_order
from tests.patience import PATIENCE
from tests.tokens import SECURED, a_token, bearing

ME = "/v1/customers/me"
KEY = {"lookup_hmac_key": "a lookup key of tests, which has more than 32 bytes"}
WHO = {"name": "Canary Nameson", "email": "Canary@mail.example", "phone": "+46701740605"}


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    return make_app(**SECURED, **KEY, trip_service_url=None)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def as_rider(rider: int) -> dict[str, str]:
    return bearing(a_token(sub=str(rider), role="rider", scope=None))


SERVICE = bearing(a_token())


def made(client: FlaskClient, **who: str | None) -> dict[str, Any]:
    """A customer of a new user, with what it says of itself."""
    answer = client.patch(ME, json=who or WHO, headers=as_rider(a_number()))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def find(client: FlaskClient, **by: Any) -> list[Any]:
    answer = client.get("/v1/customers", query_string=by, headers=SERVICE)
    assert answer.status_code == 200, answer.text
    return [customer["customer_id"] for customer in answer.json["customers"]]


def at(customer: dict[str, Any]) -> str:
    return f"/v1/customers/{customer['customer_id']}"


def test_a_rider_is_a_customer_from_its_first_call(client: FlaskClient) -> None:
    rider = a_number()
    first = client.get(ME, headers=as_rider(rider))
    assert first.status_code == 200, first.text
    assert first.json == {
        "customer_id": first.json["customer_id"],
        "user_id": rider,
        **dict.fromkeys(("name", "email", "phone")),
        "created_at": first.json["updated_at"],
        "updated_at": first.json["updated_at"],
    }
    assert first.headers["Cache-Control"] == "no-store"
    assert client.get(ME, headers=as_rider(rider)).json == first.json


def test_twenty_first_calls_make_one(app: Flask) -> None:
    rider, told, start = a_number(), [], threading.Barrier(20)

    def call() -> None:
        start.wait()
        told.append(app.test_client().get(ME, headers=as_rider(rider)))

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in told} == {200}
    assert len({answer.json["customer_id"] for answer in told}) == 1


def test_a_field_is_changed_kept_and_emptied(client: FlaskClient) -> None:
    rider = as_rider(a_number())
    whole = client.patch(ME, json=WHO, headers=rider).json
    assert {name: whole[name] for name in WHO} == WHO
    part = client.patch(ME, json={"email": None, "name": "Canary Other"}, headers=rider).json
    assert part == whole | {
        "email": None, "name": "Canary Other", "updated_at": part["updated_at"],
    }  # fmt: skip
    assert part["updated_at"] > whole["updated_at"]
    assert client.get(ME, headers=rider).json == part


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"phone": "0701740605"}, "phone"),
        ({"name": ""}, "name"),
        ({"name": "4111 1111 1111 1111"}, "name"),
        ({"user_id": 7}, "user_id"),
    ],
)
def test_what_can_not_be_kept_is_refused_by_its_field(
    client: FlaskClient, sent: dict[str, Any], field: str
) -> None:
    answer = client.patch(ME, json=sent, headers=as_rider(a_number()))
    assert (answer.status_code, [*answer.json["errors"]]) == (422, [field])


def test_only_a_rider_is_me(client: FlaskClient) -> None:
    for answer in (
        client.get(ME, headers=SERVICE),
        client.patch(ME, json=WHO, headers=SERVICE),
    ):
        assert (answer.status_code, answer.json["code"]) == (403, "riders_only")


def test_without_tokens_nobody_is_me(make_app: MakeApp) -> None:
    answer = make_app().test_client().get(ME)
    assert (answer.status_code, answer.json["code"]) == (403, "riders_only")


def test_another_ones_is_not_there(client: FlaskClient) -> None:
    mine, other = made(client), as_rider(a_number())
    assert client.get(at(mine), headers=as_rider(mine["user_id"])).json == mine
    assert client.get(at(mine), headers=SERVICE).json == mine
    for answer in (
        client.get(at(mine), headers=other),
        client.get(f"/v1/customers/{2**62}", headers=SERVICE),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "customer_not_found")
    assert client.get("/v1/customers", headers=other).status_code == 403
    assert client.delete(at(mine), headers=other).status_code == 403
    assert client.get(at(mine), headers=SERVICE).json == mine


def test_customers_are_found_by_what_they_said(client: FlaskClient) -> None:
    phone = f"+4670{a_number() % 10**8:08}"
    mine, other = made(client, **WHO | {"phone": phone}), made(client, phone=phone)
    both = [other["customer_id"], mine["customer_id"]]
    assert find(client, phone=phone) == both
    assert find(client, user_id=mine["user_id"]) == both[1:]
    assert both[1] in find(client, email="canary@MAIL.example")
    assert find(client, email=WHO["email"], phone=phone) == both[1:]
    assert find(client, phone="+46701740000") == []
    client.patch(ME, json={"phone": None}, headers=as_rider(mine["user_id"]))
    assert find(client, phone=phone) == both[:1]


@pytest.mark.parametrize("by", [{}, {"email": "half"}, {"name": "Canary"}, {"user_id": "me"}])
def test_a_search_for_nobody_is_refused(client: FlaskClient, by: dict[str, str]) -> None:
    answer = client.get("/v1/customers", query_string=by, headers=SERVICE)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")


def charged(client: FlaskClient, **changes: Any) -> TestResponse:
    return client.post(
        "/v1/payments/charge",
        json=an_order(trip_id=a_number(), payer=WHO, **changes),
        headers={"Idempotency-Key": a_key(), **SERVICE},
    )


def said(app: Flask, payment_id: int) -> str:
    """What is kept of who paid, opened."""
    with app.app_context(), db.engine.connect() as connection:
        return str(pages.read(connection, payment_id).said.as_json())


def test_an_erased_customer_is_found_nowhere(app: Flask, client: FlaskClient) -> None:
    mine = made(client)
    paid = charged(client, rider_id=mine["user_id"]).json["payment_id"]
    of_other = charged(client, rider_id=mine["user_id"], user_id=a_number()).json["payment_id"]
    assert "Canary" in said(app, paid)
    assert client.delete(at(mine), headers=SERVICE).status_code == 204
    for again in (client.get, client.delete):
        assert again(at(mine), headers=SERVICE).status_code == 404
    assert find(client, user_id=mine["user_id"]) == []
    assert mine["customer_id"] not in find(client, email=WHO["email"])
    assert "anary" not in said(app, paid)
    assert "Canary" in said(app, of_other)
    told = client.get(f"/v1/payments/{paid}", headers=SERVICE).json
    assert (told["status"], told["rider_id"]) == ("SUCCESS", mine["user_id"])
    kept = row(app, "SELECT * FROM customers WHERE customer_id = :id", id=mine["customer_id"])
    assert {name for name, value in kept.items() if value is not None} == {
        "customer_id", "created_at", "updated_at", "erased_at",
    }  # fmt: skip
    act = row(app, "SELECT * FROM audit_log WHERE object = :o", o=f"customer:{mine['customer_id']}")
    assert (act["act"], act["actor"]) == ("customer_erased", "trip-service")
    back = client.get(ME, headers=as_rider(mine["user_id"])).json
    assert (back["customer_id"] > mine["customer_id"], back["email"]) == (True, None)


def test_what_the_provider_gave_for_the_payer_is_erased_too(
    app: Flask, client: FlaskClient
) -> None:
    """Some pages have the payer's name in their form."""
    mine = made(client)
    paid = charged(client, rider_id=mine["user_id"]).json
    form = Secret(paid["reference"], '{"type": "redirect", "form": {"bill_name": "Canary"}}')
    with app.app_context(), db.engine.begin() as connection:
        this = update(pages.PAYER).where(pages.PAYER.c.payment_id == paid["payment_id"])
        assert connection.execute(this.values(page=form)).rowcount == 1
    assert client.delete(at(mine), headers=SERVICE).status_code == 204
    kept = row(app, "SELECT page FROM payers WHERE payment_id = :id", id=paid["payment_id"])
    assert kept["page"] is None


def test_what_no_key_opens_is_erased_all_the_same(app: Flask, client: FlaskClient) -> None:
    mine = made(client)
    paid = charged(client, rider_id=mine["user_id"]).json["payment_id"]
    damaged = "UPDATE payers SET said = set_byte(said, 20, get_byte(said, 20) # 1)"
    assert execute(app, f"{damaged} WHERE payment_id = :id", id=paid) == 1
    execute(app, "UPDATE customers SET name = set_byte(name, 20, get_byte(name, 20) # 1)"
            " WHERE customer_id = :id", id=mine["customer_id"])  # fmt: skip
    assert client.delete(at(mine), headers=SERVICE).status_code == 204
    kept = row(app, "SELECT said FROM payers WHERE payment_id = :id", id=paid)
    assert kept["said"] is None


def test_a_change_that_waits_for_an_erasure_makes_nobody_new(
    app: Flask, client: FlaskClient
) -> None:
    mine = made(client)
    user, told = mine["user_id"], []

    def change() -> None:
        told.append(app.test_client().patch(ME, json=WHO, headers=as_rider(user)).status_code)

    waits = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE customers SET user_id = NULL, name = NULL, email = NULL, phone = NULL,"
                " email_lookup = NULL, phone_lookup = NULL, erased_at = now()"
                " WHERE customer_id = :id"
            ),
            {"id": mine["customer_id"]},
        )
        thread = threading.Thread(target=change)
        thread.start()
        until = time.monotonic() + PATIENCE
        while not row(app, waits)["n"] and time.monotonic() < until:
            time.sleep(0.02)
    thread.join(PATIENCE)
    assert told == [404]
    assert find(client, user_id=user) == []


def test_a_customer_is_not_erased_while_a_payment_waits_for_it(
    app: Flask, client: FlaskClient
) -> None:
    mine = made(client)
    answer = charged(client, user_id=mine["user_id"], payment_token="tok_requires_action")
    waiting = answer.json["payment_id"]
    refused = client.delete(at(mine), headers=SERVICE)
    assert (refused.status_code, refused.json["code"]) == (409, "customer_busy")
    assert refused.json["payment_id"] == waiting
    assert client.get(at(mine), headers=SERVICE).json == mine


def test_erased_beside_its_own_changes_nothing_comes_back(app: Flask, client: FlaskClient) -> None:
    for _ in range(5):
        mine, start = made(client), threading.Barrier(2)

        def change(mine: Any = mine, start: Any = start) -> None:
            start.wait()
            app.test_client().patch(ME, json=WHO, headers=as_rider(mine["user_id"]))

        thread = threading.Thread(target=change)
        thread.start()
        start.wait()
        assert client.delete(at(mine), headers=SERVICE).status_code == 204
        thread.join()
        assert client.get(at(mine), headers=SERVICE).status_code == 404


def test_no_personal_word_is_in_the_table(app: Flask, client: FlaskClient) -> None:
    mine = made(client)
    whole = row(app, "SELECT * FROM customers WHERE customer_id = :id", id=mine["customer_id"])
    kept = str([bytes(value) for value in whole.values() if isinstance(value, memoryview)])
    assert len(kept) > 100
    for word in ("Canary", "canary", "46701740605"):
        assert word not in kept


@pytest.fixture
def two(app: Flask, client: FlaskClient) -> Iterator[list[dict[str, Any]]]:
    """Two customers, whose rows are put right again afterwards."""
    pair = [made(client), made(client)]
    yield pair
    ids = [customer["customer_id"] for customer in pair]
    execute(app, "DELETE FROM customers WHERE customer_id = ANY (:ids)", ids=ids)


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE customers SET name = (SELECT name FROM customers WHERE customer_id = :b)"
        " WHERE customer_id = :a",
        "UPDATE customers SET name = phone WHERE customer_id = :a",
        "UPDATE customers SET name = set_byte(name, 20, get_byte(name, 20) # 1)"
        " WHERE customer_id = :a",
    ],
    ids=["of another row", "of another column", "one bit"],
)
def test_a_ciphertext_that_was_moved_or_changed_does_not_open(
    app: Flask, two: list[dict[str, Any]], forged: str
) -> None:
    mine, other = (customer["customer_id"] for customer in two)
    execute(app, forged, a=mine, b=other)
    with app.app_context(), pytest.raises(NotGenuine, match=f"customers.name/{mine}") as error:
        customers.get(customer_id=mine, rider=None)
    assert "Canary" not in str(error.value)


def test_keys_are_changed_under_it(make_app: MakeApp, fresh_database: str) -> None:
    first = IN_PRODUCTION["encryption_keys"]
    second = f"k2:{'b5pBd0mR8sYw3vQe7uXz1kLj9hGf2nTc4aWq6iOlPrA'}="
    settings = {**SECURED, **KEY, "database_url": fresh_database}
    mine = made(make_app(**settings, encryption_keys=first).test_client())
    both = make_app(**settings, encryption_keys=f"{second},{first}")
    with both.app_context():
        assert keys.rotate(caller=Caller("cli:tests"), progress=False).rows == 3
    after = make_app(**settings, encryption_keys=second)
    assert after.test_client().get(at(mine), headers=SERVICE).json == mine
    kept = row(after, "SELECT * FROM customers")
    assert {bytes(kept[name])[:3] for name in WHO} == {b"k2:"}


@pytest.mark.parametrize(
    ("missing", "sent"),
    [("encryption_keys", {"name": "A"}), ("lookup_hmac_key", {"email": WHO["email"]})],
)
def test_without_keys_it_says_which_setting_is_missing(
    make_app: MakeApp, missing: str, sent: dict[str, str]
) -> None:
    client = make_app(**{**SECURED, **KEY, missing: None}).test_client()
    answer = client.patch(ME, json=sent, headers=as_rider(a_number()))
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert missing.upper() in answer.text


def test_one_user_is_one_customer_whatever_the_code_does(app: Flask, client: FlaskClient) -> None:
    mine = made(client)
    again = "INSERT INTO customers (user_id, created_at, updated_at) VALUES (:user, now(), now())"
    with pytest.raises(IntegrityError, match="uq_customers_user_id"):
        execute(app, again, user=mine["user_id"])
