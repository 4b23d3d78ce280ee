"""Who is asked for a payment: by method and currency, and by what each provider can take. What
nobody can take is refused before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from payment_service.config.providers import TOGETHER
from payment_service.providers import registry
from payment_service.providers.registry import routes_of
from payment_service.providers.sandbox import SandboxProvider
from payment_service.providers.stripe import events
from payment_service.services import starting
from tests.books import post, rows
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.logged import logged
from tests.patience import PATIENCE
from tests.running_service import Service
from tests.sandbox_calls import eventually, get
from tests.sandbox_server import Sandbox

ROOT = Path(__file__).parents[1]
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
    least = MappingProxyType({"IQD": 3000, "KWD": 500})


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
    assert routes_of("card:inr = Sandbox, CARD=sandbox>CASH") == {
        ("CARD", "INR"): ["sandbox"],
        ("CARD", None): ["sandbox", "cash"],
    }


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        (ROUTES, []),  # cash is always on, and needs no route
        (
            "CARD=ringgit>swish,CARD:MYR=swish,CASH=cash",
            [
                ("provider_gets_no_charges", "dinar is on, and no route of PROVIDER_ROUTES"),
                ("provider_gets_no_charges", "sandbox is on, and no route of PROVIDER_ROUTES"),
                ("route_leads_nowhere", "PROVIDER_ROUTES names swish, which is off"),
            ],
        ),
        (
            "CASH=ringgit,CARD:MYR=dinar,UPI=sandbox",  # routes of what they don't take
            [
                ("provider_gets_no_charges", "dinar is on, and no route of PROVIDER_ROUTES"),
                ("provider_gets_no_charges", "ringgit is on, and no route of PROVIDER_ROUTES"),
            ],
        ),
    ],
)
def test_who_gets_no_charges_is_told(
    house: Flask, make_app: MakeApp, routes: str, said: list[tuple[str, str]]
) -> None:
    with make_app(provider_routes=routes).app_context(), logged(starting) as lines:
        starting.warn_of_routes()
    assert {line["log_level"] for line in lines} <= {"warning"}
    told = [(line["event"], line["why"]) for line in lines]
    assert [name for name, _ in told] == [name for name, _ in said]
    assert all(why.startswith(begin) for (_, why), (_, begin) in zip(told, said, strict=True))


@pytest.mark.slow
def test_who_gets_no_charges_is_told_by_each_process_at_its_start(
    postgres_url: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    service = Service(
        tmp_path,
        DATABASE_URL=postgres_url,
        SANDBOX_PROVIDER_URL=sandbox.url,
        PROVIDER_ROUTES="CARD=swish,CASH=cash",
    )
    said = ("PROVIDER_ROUTES names swish, which is off", "sandbox is on, and no route")
    try:
        service.start_worker()
        eventually(lambda: all(one in service.log.read_text() for one in said))
        service.kill()
        service.log.unlink()
        service.start()
        eventually(lambda: all(one in service.log.read_text() for one in said))
    finally:
        service.close()


def test_the_recipes_name_what_a_provider_needs() -> None:
    """docs/providers.md, by which somebody sets it up."""
    page = (ROOT / "docs/providers.md").read_text()
    [example] = re.findall(r"^PROVIDER_ROUTES=(.*)$", page, re.MULTILINE)
    led_to = {name for names in routes_of(example).values() for name in names}
    assert led_to == {*TOGETHER, "cash"}
    table = {
        row[0].lower(): row for row in re.findall(r"^\| (\w+) \| (.+?) \| (.+?) \|", page, re.M)
    }
    for provider, needed in TOGETHER.items():
        _, settings, routes = table[provider]
        assert {f"`{name.upper()}`" for name in needed} <= set(
            re.split("[,;] (?:perhaps )?", settings)
        )
        assert provider in routes
    objects = "payment_intent|charge|refund|setup_intent|payment_method"
    ticked = set(re.findall(rf"`((?:{objects})\.[\w.]+)`", page))
    assert ticked == {*events.READERS, *events.SAVED}


def test_a_provider_may_be_named_in_any_case(buyer: FlaskClient) -> None:
    """The catalog spells `Stripe`; what is kept is one spelling."""
    assert charged(buyer, "10.00", "MYR", provider="RingGit")["provider"] == "ringgit"


@pytest.mark.parametrize(
    ("amount", "currency", "provider"),
    [
        ("10.00", "MYR", "ringgit"),
        ("10.000", "IQD", "dinar"),
        ("10.00", "INR", "sandbox"),
        # The next in line takes what the first can't.
        ("10.010", "KWD", "dinar"),
        ("10.005", "KWD", "sandbox"),
        ("0.490", "KWD", "sandbox"),
        ("3.000", "IQD", "dinar"),
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
        ({"currency": "IQD", "amount": "2.000"}, "amount"),
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


def test_what_is_too_little_is_told_with_the_least(buyer: FlaskClient) -> None:
    refused = post(buyer, CHARGE, **an_order(amount="2.000", currency="IQD"))
    assert refused.json["errors"] == {"amount": ["must be at least 3.000 IQD"]}


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
