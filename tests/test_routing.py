"""Who is asked for a payment: by method and currency, and by what each provider can take. What
nobody can take is refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from payment_service.providers import registry
from payment_service.providers.registry import routes_of
from payment_service.providers.sandbox import SandboxProvider
from tests.books import post, rows
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.patience import PATIENCE
from tests.sandbox_calls import get
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"
ROUTES = "CARD:MYR=ringgit,CARD:IQD=dinar,CARD:KWD=dinar>sandbox,CARD=sandbox,UPI:MYR=ringgit"


class Ringgit(SandboxProvider):
    name = "ringgit"
    currencies = frozenset({"MYR"})
    full_refunds_only = True


class Dinar(SandboxProvider):
    name = "dinar"
    currencies = frozenset({"IQD", "KWD"})
    steps = MappingProxyType({"IQD": 1000, "KWD": 10})


@pytest.fixture
def house(make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    for kind in (Ringgit, Dinar):
        monkeypatch.setitem(
            registry.BUILDERS,
            kind.name,
            lambda settings, limits, kind=kind: kind(sandbox.url, limits),
        )
    yield make_app(provider_routes=ROUTES)


@pytest.fixture
def buyer(house: Flask) -> FlaskClient:
    return house.test_client()


def charged(client: FlaskClient, amount: str, currency: str, **changes: Any) -> dict[str, Any]:
    answer = post(client, CHARGE, **an_order(amount=amount, currency=currency, **changes))
    assert answer.status_code == 201, answer.json
    found: dict[str, Any] = answer.json
    return found


def test_routes_are_read_by_method_and_currency() -> None:
    assert routes_of("card:inr = sandbox, CARD=sandbox>cash") == {
        ("CARD", "INR"): ["sandbox"],
        ("CARD", None): ["sandbox", "cash"],
    }


@pytest.mark.parametrize(
    ("amount", "currency", "provider"),
    [
        ("10.00", "MYR", "ringgit"),
        ("10.000", "IQD", "dinar"),
        ("10.00", "INR", "sandbox"),
        # The next in line takes what the first can't.
        ("10.010", "KWD", "dinar"),
        ("10.005", "KWD", "sandbox"),
    ],
)
def test_the_most_exact_route_wins(
    buyer: FlaskClient, amount: str, currency: str, provider: str
) -> None:
    assert charged(buyer, amount, currency)["provider"] == provider


def test_a_trip_s_currency_decides(buyer: FlaskClient, sandbox: Sandbox) -> None:
    """It is priced first, and routed then: nobody sent a currency."""
    trip_id = a_number()
    requests.put(
        f"{sandbox.url}/sandbox/trips/{trip_id}",
        json={"status": "COMPLETED", "total_fare": "12.00", "currency": "MYR"},
        timeout=PATIENCE,
    ).raise_for_status()
    answer = post(buyer, CHARGE, trip_id=trip_id, method="CARD")
    assert (answer.status_code, answer.json["currency"]) == (201, "MYR")
    assert answer.json["provider"] == "ringgit"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"method": "WALLET"}, "method"),
        ({"method": "UPI"}, "method"),  # only MYR has a route
        ({"currency": "MYR", "provider": "dinar"}, "provider"),
        ({"method": "CASH", "provider": "sandbox"}, "provider"),
        ({"currency": "IQD", "amount": "10.500"}, "amount"),
        ({"currency": "IQD", "amount_minor": 10_001}, "amount"),
        ({"method": "CASH", "provider": "cash", "capture": False}, "capture"),
    ],
)
def test_what_nobody_takes_is_refused_and_nothing_is_written(
    house: Flask, buyer: FlaskClient, sandbox: Sandbox, changes: dict[str, Any], field: str
) -> None:
    order = an_order(**changes)
    if "amount_minor" in changes:
        del order["amount"]
    key, asked = a_key(), len(get(sandbox, "/psp/charges")["charges"])
    refused = post(buyer, CHARGE, key, **order)
    assert (refused.status_code, refused.json["code"]) == (422, "method_not_supported")
    assert list(refused.json["errors"]) == [field]
    written = "SELECT 1 FROM payments WHERE order_id = :id"
    assert rows(house, written, id=order["order_id"]) == []
    assert len(get(sandbox, "/psp/charges")["charges"]) == asked
    # The key is free for a request that can be done.
    assert post(buyer, CHARGE, key, **an_order(order_id=order["order_id"])).status_code == 201


def test_a_pending_payment_is_routed_by_what_it_costs(house: Flask, buyer: FlaskClient) -> None:
    """At every door: where one is created with a provider, and where one is charged."""
    refused = buyer.post("/v1/payments", json={"amount": "5.00", "provider": "ringgit"})
    assert (refused.status_code, refused.json["code"]) == (422, "method_not_supported")
    created = buyer.post("/v1/payments", json={"amount": "5.00", "currency": "MYR"}).json
    path = f"/v1/payments/{created['payment_id']}/charge"
    refused = post(buyer, path, provider="dinar")
    assert (refused.status_code, refused.json["code"]) == (422, "method_not_supported")
    assert post(buyer, path).json["provider"] == "ringgit"


def test_a_part_of_a_whole_only_refund_is_refused(house: Flask, buyer: FlaskClient) -> None:
    payment = charged(buyer, "10.00", "MYR")
    path, key = f"/v1/payments/{payment['payment_id']}/refund", a_key()
    for amount in ("9.99", "0.01"):
        refused = post(buyer, path, key, amount=amount)
        assert (refused.status_code, refused.json["code"]) == (422, "partial_refund_not_supported")
        assert (refused.json["refundable"], refused.json["currency"]) == ("10.00", "MYR")
        assert list(refused.json["errors"]) == ["amount"]
    assert post(buyer, path, key, amount="10.01").json["code"] == "refund_exceeds_captured"
    assert (
        rows(house, "SELECT 1 FROM refunds WHERE payment_id = :id", id=payment["payment_id"]) == []
    )
    assert post(buyer, path, key).json["status"] == "REFUNDED"


def test_a_part_of_a_hold_and_of_a_refund_is_in_whole_steps(buyer: FlaskClient) -> None:
    held = charged(buyer, "10.000", "IQD", capture=False)
    path = f"/v1/payments/{held['payment_id']}"
    for verb, amount, status in (
        ("capture", "4.500", 422),
        ("capture", "4.000", 200),
        ("refund", "1.500", 422),
        ("refund", "1.000", 200),
    ):
        answer = post(buyer, f"{path}/{verb}", amount=amount)
        assert answer.status_code == status, answer.json
        if status == 422:
            assert answer.json["errors"] == {"amount": ["must be a multiple of 1.000 IQD"]}
