"""What generators of clients take from the document: names that stay, one for each thing, examples
that are true, and a word on every error."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from marshmallow import Schema

from payment_service import api, problems
from payment_service.api.errors import kinds, status_of
from payment_service.domain.errors import DomainError

PACKAGE = Path(problems.__file__).parent

# Clients are generated after these: an operation gets a new name only with a new path.
OPERATIONS = {
    "chargePayment": "post /v1/payments/charge",
    "createPayment": "post /v1/payments",
    "listPayments": "get /v1/payments",
    "chargePendingPayment": "post /v1/payments/{payment_id}/charge",
    "capturePayment": "post /v1/payments/{payment_id}/capture",
    "cancelPayment": "post /v1/payments/{payment_id}/cancel",
    "deletePayment": "delete /v1/payments/{payment_id}",
    "getPayment": "get /v1/payments/{payment_id}",
    "setPaymentStatus": "patch /v1/payments/{payment_id}/status",
    "getTripPayment": "get /v1/payments/trip/{trip_id}",
    "getOrderPayment": "get /v1/payments/order/{order_id}",
    "getPaymentByTransaction": "get /v1/payments/transaction/{transaction_id}",
    "getPaymentEvents": "get /v1/payments/{payment_id}/events",
    "refundPayment": "post /v1/payments/{payment_id}/refund",
    "createRefund": "post /v1/refunds",
    "listRefunds": "get /v1/refunds",
    "listDisputes": "get /v1/disputes",
    "getDispute": "get /v1/disputes/{dispute_id}",
    "getRefund": "get /v1/refunds/{refund_id}",
    "listPaymentRefunds": "get /v1/payments/{payment_id}/refunds",
    "setRefundStatus": "patch /v1/refunds/{refund_id}/status",
    "getMyCustomer": "get /v1/customers/me",
    "changeMyCustomer": "patch /v1/customers/me",
    "getCustomer": "get /v1/customers/{customer_id}",
    "findCustomers": "get /v1/customers",
    "eraseCustomer": "delete /v1/customers/{customer_id}",
    "addMyPaymentMethod": "post /v1/customers/me/payment-methods",
    "listMyPaymentMethods": "get /v1/customers/me/payment-methods",
    "chooseMyPaymentMethod": "post /v1/customers/me/payment-methods/{payment_method_id}/default",
    "removeMyPaymentMethod": "delete /v1/customers/me/payment-methods/{payment_method_id}",
    "addPaymentMethod": "post /v1/customers/{customer_id}/payment-methods",
    "listPaymentMethods": "get /v1/customers/{customer_id}/payment-methods",
    "choosePaymentMethod": "post /v1/customers/{customer_id}/payment-methods/{payment_method_id}"
    "/default",
    "removePaymentMethod": "delete /v1/customers/{customer_id}/payment-methods/{payment_method_id}",
    "listWebhooks": "get /v1/webhooks",
    "getWebhook": "get /v1/webhooks/{webhook_id}",
    "replayWebhook": "post /v1/webhooks/{webhook_id}/replay",
    "getReceipt": "get /v1/payments/{payment_id}/receipt",
    "listProviders": "get /v1/payments/providers",
    "listCountryProviders": "get /v1/payments/providers/{country}",
    "getHealth": "get /health",
    "getReadiness": "get /health/ready",
    "getReady": "get /ready",
    "getMetrics": "get /metrics",
}


def _document() -> dict[str, Any]:
    app = Flask(__name__)
    api.register(app)
    document: dict[str, Any] = app.test_client().get("/openapi.json").json
    return document


DOCUMENT = _document()
COMPONENTS = DOCUMENT["components"]
DESCRIBED = {
    f"{method} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if method != "parameters"
}


def _within(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document, but for those that are examples."""
    if isinstance(node, list):
        for item in node:
            yield from _within(item)
    elif isinstance(node, dict):
        yield node
        for name, value in node.items():
            if name not in ("example", "examples"):
                yield from _within(value)


def test_the_operations_have_the_names_that_clients_know() -> None:
    assert {one["operationId"]: place for place, one in DESCRIBED.items()} == OPERATIONS
    assert len(DESCRIBED) == len(OPERATIONS)


def test_a_body_is_called_as_its_operation() -> None:
    for operation in DESCRIBED.values():
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            name = operation["operationId"]
            assert content["schema"]["$ref"].endswith(f"/{name[0].upper()}{name[1:]}")


def test_each_closed_vocabulary_is_one_component() -> None:
    """Where it stands in place, generators make a name of what is around it, and the same words
    get many names, or one name many words."""
    words = [
        tuple(node["enum"])
        for node in _within(DOCUMENT)
        if len(node.get("enum", [])) > 1 and isinstance(node["enum"], list)
    ]
    assert len(words) == len(set(words))


def test_all_components_are_referred_to() -> None:
    referred = {node["$ref"] for node in _within(DOCUMENT) if "$ref" in node}
    there = {
        f"#/components/{kind}/{name}"
        for kind in COMPONENTS.keys() - {"securitySchemes"}
        for name in COMPONENTS[kind]
    }
    assert referred == there


def _modules(*folders: str) -> Iterable[Any]:
    for folder in folders:
        for path in sorted((PACKAGE / folder).glob("*.py")):
            yield importlib.import_module(f"payment_service.{folder}.{path.stem}")


def test_every_answer_of_ours_is_shown_with_an_example_where_it_stands_alone() -> None:
    ours = {
        name.removesuffix("Schema")
        for module in _modules("schemas", "api")
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Schema) and name.endswith("Schema")
    }
    # Those are what others extend.
    assert ours - {"", "Answer", "Page"} <= COMPONENTS["schemas"].keys()
    answers = {
        (content["schema"].get("items") or content["schema"])["$ref"].rsplit("/", 1)[1]
        for operation in DESCRIBED.values()
        for status, answer in operation["responses"].items()
        for kind, content in answer.get("content", {}).items()
        if kind == "application/json"
    }
    assert answers
    assert [name for name in answers if "examples" not in COMPONENTS["schemas"][name]] == []


def _examples() -> Iterator[tuple[dict[str, Any], Any]]:
    for node in _within(DOCUMENT):
        for example in node.get("examples", []) if isinstance(node.get("examples"), list) else []:
            yield node, example
        if "schema" in node:
            if "example" in node:
                yield node["schema"], node["example"]
            for example in node.get("examples", {}).values():
                yield node["schema"], example["value"]


def test_the_examples_are_valid() -> None:
    checked = 0
    for described, example in _examples():
        whole = {**described, "components": COMPONENTS}
        jsonschema_rs.validator_for(whole, validate_formats=True).validate(example)
        checked += 1
    assert checked > 60


def _errors(of: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for error in of.__subclasses__():
        if error.__module__.startswith("payment_service."):
            yield error
        yield from _errors(error)


def test_every_error_of_the_domain_is_described_where_its_status_is() -> None:
    list(_modules("domain", "api", "services", "schemas"))
    errors = list(_errors())
    assert len(errors) > 25
    for error in errors:
        assert error.__doc__, f"{error.__name__} does not say what its code means"
        told = COMPONENTS["responses"][f"Problem{status_of(error)}"]
        assert f"- `{error.code}`: " in told["description"]
        examples = told["content"]["application/problem+json"]["examples"]
        assert examples[error.code]["value"]["code"] == error.code
        assert f"| {status_of(error)} | `{error.code}` | " in DOCUMENT["info"]["description"]


def test_each_code_means_one_thing() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))
    assert all(kind.says for kind in kinds())


def _calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the package, with the last part of what is called."""
    for path in PACKAGE.rglob("*.py"):
        if "sandbox" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    yield path, node, name


def test_no_problem_is_made_of_a_code_that_stands_nowhere_else() -> None:
    """A code is an error's of the domain, or a Kind's; both are in the document."""
    made = [
        (path, node.args[1])
        for path, node, name in _calls()
        if name in ("problem", "document") and len(node.args) > 2
    ]
    assert made
    assert [path for path, code in made if isinstance(code, ast.Constant)] == []
    told = " ".join(kind.code for kind in kinds()).split()
    assert {kind.code for kind in problems.KINDS} <= set(told)


def test_what_a_problem_says_besides_is_described() -> None:
    errors = {error.__name__ for error in _errors()}
    members = {
        name
        for _, node, called in _calls()
        if called in errors
        for keyword in node.keywords
        for name in (
            [keyword.arg]
            if keyword.arg
            else [key.value for key in getattr(keyword.value, "keys", [])]
        )
    }
    described = COMPONENTS["schemas"]["Problem"]["properties"].keys()
    assert {"payment_id", "from", "refundable"} <= members
    assert members - {"retry_after"} <= described  # that one becomes a header


def test_a_token_is_asked_for_but_where_it_is_open() -> None:
    assert COMPONENTS["securitySchemes"]["bearerAuth"]["scheme"] == "bearer"
    assert DOCUMENT["security"] == [{"bearerAuth": []}]
    opened = {one["operationId"] for one in DESCRIBED.values() if one["security"] == []}
    assert opened == {
        *("listProviders", "listCountryProviders"),
        *("getHealth", "getReadiness", "getReady", "getMetrics"),
    }
    for one in DESCRIBED.values():
        assert one["operationId"] in opened or len(one["security"][0]["bearerAuth"]) == 1


@pytest.mark.parametrize("operation", DESCRIBED.values(), ids=DESCRIBED.keys())
def test_an_operation_says_what_it_does(operation: dict[str, Any]) -> None:
    assert operation["summary"] and operation["description"]
    assert not operation["summary"].endswith(".")
