"""stripe-mock, Stripe's own: it takes each request that our provider can make, by Stripe's OpenAPI
document, and that document knows each answer of our sandbox."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import OutcomeUnknown, Payer
from payment_service.providers.stripe import StripeProvider
from tests.harness import Harness, an_operation
from tests.patience import LIMITS
from tests.sandbox_calls import post
from tests.sandbox_server import ROOT, Sandbox, reserved_port
from tests.strangers.processes import running
from tests.stripe_calls import DECLINES, VERSION, ask, listed

BUILT = ROOT / ".strangers"
MOCK, DOCUMENT = BUILT / "bin" / "stripe-mock", BUILT / "stripe-openapi.json"
CHARGE, AUTHORIZATION = TransactionType.CHARGE, TransactionType.AUTHORIZATION
CAPTURE, VOID, REFUND = TransactionType.CAPTURE, TransactionType.VOID, TransactionType.REFUND

pytestmark = [
    pytest.mark.slow,  # it takes five seconds to start
    pytest.mark.skipif(not DOCUMENT.exists(), reason="stripe-mock is built by make strangers"),
]


class Mock(Harness):
    method = Method.CARD
    token = "pm_card_visa"

    def __init__(self, url: str) -> None:
        self.provider = StripeProvider("sk_test_mock", LIMITS, base=url, version=VERSION)


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    log: Path = tmp_path_factory.mktemp("stripe-mock") / "server.log"
    with reserved_port() as port:
        at = f"127.0.0.1:{port.getsockname()[1]}"
        with running([str(MOCK), "-http-addr", at], f"http://{at}/", log):
            yield Mock(f"http://{at}")


def taken(call: Callable[[], object]) -> None:
    """The request was one. What is answered is the mock's fixture and not what was asked for, so it
    may well be unreadable."""
    try:
        call()
    except OutcomeUnknown as error:
        assert "answered" not in str(error), error
        assert "unreadable answer" in str(error), error


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"payment_token": None},
        {"return_url": "https://rides.example/back", "description": "Ride 32"},
        {"payer": Payer(customer="cus_1")},
    ],
    ids=["plain", "no token", "with a page", "saved"],
)
@pytest.mark.parametrize("kind", [CHARGE, AUTHORIZATION])
def test_a_charge_and_its_look_ups(
    mock: Mock, kind: TransactionType, changes: dict[str, Any]
) -> None:
    operation = an_operation(mock, kind, **changes)
    taken(lambda: mock.provider.ask(operation))
    taken(lambda: mock.provider.lookup(operation))
    taken(lambda: mock.provider.lookup(replace(operation, known_as="pi_1")))


@pytest.mark.parametrize("kind", [CAPTURE, VOID, REFUND])
def test_what_is_asked_about_a_charge(mock: Mock, kind: TransactionType) -> None:
    operation = an_operation(mock, kind, provider_reference="pi_1", charge_reference="PAY-1-1")
    taken(lambda: mock.provider.ask(operation))
    taken(lambda: mock.provider.lookup(operation))
    taken(lambda: mock.provider.lookup(replace(operation, known_as="re_1")))


def test_the_lists_of_a_restore(mock: Mock) -> None:
    assert isinstance(mock.provider, StripeProvider)
    provider = mock.provider
    taken(lambda: list(provider.since(datetime.now(UTC) - timedelta(days=1))))


@functools.cache
def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    document = json.loads(DOCUMENT.read_text())
    schemas = _in_json_schema(document["components"]["schemas"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return jsonschema_rs.Draft202012Validator(schema)


@functools.cache
def fields(name: str) -> frozenset[str]:
    document = json.loads(DOCUMENT.read_text())
    return frozenset(document["components"]["schemas"][name]["properties"])


def _in_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable` beside a schema, JSON Schema does not know it."""
    if isinstance(schema, list):
        return [_in_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _in_json_schema(value) for name, value in schema.items()}
    if found.pop("nullable", None) is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found


def fits(found: dict[str, Any], name: str | None = None) -> None:
    """The object is one of Stripe's, and has no field that Stripe has not."""
    name = name or found["object"]
    validator(name).validate(found)
    assert found.keys() <= fields(name)


def intents_of(sandbox: Sandbox) -> Iterator[dict[str, Any]]:
    """An intent in each state that there is, and errors beside them."""
    usual = {"amount": 1000, "currency": "sek", "metadata[reference]": "PAY-1-1"}
    tries: list[dict[str, Any]] = [
        {},
        {"confirm": "true", "payment_method": "pm_card_visa"},
        {"confirm": "true", "payment_method": "pm_card_visa", "capture_method": "manual"},
        {"confirm": "true", "payment_method": "pm_card_authenticationRequired"},
        *({"confirm": "true", "payment_method": token} for token in DECLINES.values()),
        {"confirm": "true", "payment_method": "pm_none"},
        {"confirm": "true", "amonut": 1},
    ]
    tries.append(tries[3] | {"return_url": "https://rides.example/back"})
    for one in tries:
        yield ask(sandbox, "POST", "/v1/payment_intents", data=usual | one).json()


def test_each_answer_of_the_sandbox_is_one_of_stripe_s(sandbox: Sandbox) -> None:
    for found in intents_of(sandbox):
        if "error" in found:
            validator("error").validate(found)
            fits(found["error"], "api_errors")
        else:
            fits(found)
    intents = listed(sandbox, "payment_intents")
    states = {"requires_payment_method", "succeeded", "requires_capture", "requires_action"}
    assert {one["status"] for one in intents} >= states
    held = next(one["id"] for one in intents if one["status"] == "requires_capture")
    fits(ask(sandbox, "POST", f"/v1/payment_intents/{held}/cancel").json())
    paid = next(one["id"] for one in intents if one["status"] == "succeeded")
    expand = {"expand[]": "latest_charge.balance_transaction"}
    whole = ask(sandbox, "GET", f"/v1/payment_intents/{paid}", params=expand).json()
    fits(whole)
    fits(whole["latest_charge"])
    fits(whole["latest_charge"]["balance_transaction"])
    refund = ask(sandbox, "POST", "/v1/refunds", data={"payment_intent": paid}).json()
    fits(refund)
    assert post(sandbox, f"/stripe/banks/{refund['id']}", outcome="fail").ok
    for noun in ("payment_intents", "refunds", "events"):
        rows = listed(sandbox, noun)
        assert rows
        for row in rows:
            fits(row)
    for event in listed(sandbox, "events"):
        fits(event["data"]["object"])
