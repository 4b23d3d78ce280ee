"""The served OpenAPI document: valid, complete, and true: schemathesis takes it at its word and
finds no 5xx and no answer outside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
)
from schemathesis.generation.modes import GenerationMode

from payment_service import api
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.tokens import SECURED, a_token, bearing

# With these all operations take about 20 s together; make it hundreds after a change of the wire.
EXAMPLES = 10


class Late:
    """A WSGI app that is there when a test runs; the document is needed to collect the tests."""

    app: Any = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self.app(environ, start_response)


def _document() -> dict[str, Any]:
    app = Flask(__name__)
    api.register(app)
    document: dict[str, Any] = app.test_client().get("/openapi.json").json
    return document


def _loaded() -> Any:
    generation = GenerationConfig(max_examples=EXAMPLES, deterministic=True)
    # What the document can't say, such as that an amount is over the limit, is a 422.
    checks = ChecksConfig(positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False))
    project = ProjectConfig(generation=generation, checks=checks)
    config = schemathesis.Config(seed=1, projects=ProjectsConfig(default=project))
    loaded = schemathesis.openapi.from_dict(_document(), config=config)
    loaded.app = Late()
    return loaded


schema = _loaded()


@pytest.fixture(scope="module")
def served(make_app: MakeApp, database_of_module: str) -> Flask:
    """On a database of its own: a payment of another test, whose provider has gone since, would
    rightly be answered with a 503."""
    app: Flask = make_app(database_url=database_of_module, **SECURED)
    schema.app.app = app
    return app


@pytest.fixture(scope="module")
def payment_id(served: Flask) -> int:
    """A payment that can be captured, refunded, and so on, whichever comes first."""
    charged = served.test_client().post(
        "/v1/payments/charge",
        json=an_order(capture=False),
        headers={"Idempotency-Key": a_key(), **bearing(a_token())},
    )
    found: int = charged.json["payment_id"]
    return found


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_is_outside_the_document(case: schemathesis.Case, payment_id: int) -> None:
    if "Authorization" in case.headers:
        case.headers.update(bearing(a_token()))
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        _lead_further(case, payment_id)
    case.call_and_validate()


def _lead_further(case: schemathesis.Case, payment_id: int) -> None:
    """Past what chance nearly never gets past: a key that fits and a payment that is there."""
    if "payment_id" in case.path_parameters:
        case.path_parameters["payment_id"] = payment_id
    if isinstance(case.body, dict):
        case.body.pop("idempotency_key", None)
        case.body.pop("trip_id", None)
        if "order_id" in case.body:
            case.body["order_id"] = a_number()
    if case.method in ("POST", "DELETE"):
        case.headers["Idempotency-Key"] = a_key()


@pytest.fixture
def said() -> Callable[..., Any]:
    """Sends a request and checks the answer against what the document says of the operation."""

    def send(method: str, path: str, status: int, **case: Any) -> Any:
        kind = {"media_type": "application/json"} if "body" in case else {}
        case["headers"] = {**case.get("headers", {}), **bearing(a_token())}
        answer = schema[path][method].Case(**kind, **case).call_and_validate()
        assert answer.status_code == status, answer.text
        return answer

    return send


def test_answers_that_chance_does_not_reach(said: Callable[..., Any]) -> None:
    def charge(status: int, **changes: Any) -> dict[str, Any]:
        key = {"Idempotency-Key": a_key()}
        answer = said("POST", "/v1/payments/charge", status, body=an_order(**changes), headers=key)
        body: dict[str, Any] = answer.json()
        return body

    charge(202, payment_token="tok_requires_action")
    charge(202, payment_token="tok_pending")
    charge(402, payment_token="tok_decline_do_not_honor")
    held = {"payment_id": charge(201, capture=False)["payment_id"]}
    taken = {"payment_id": charge(201, metadata={"a": "b"}, description="x")["payment_id"]}
    key = {"Idempotency-Key": a_key()}
    one = "/v1/payments/{payment_id}"
    for _ in range(2):  # the second is a replay
        said("POST", f"{one}/refund", 200, path_parameters=taken, body={"amount": "1"}, headers=key)
    key = {"Idempotency-Key": a_key()}
    body = {**taken, "amount": "2.00", "reason": "late"}
    refund = said("POST", "/v1/refunds", 201, body=body, headers=key).json()
    said("GET", "/v1/refunds/{refund_id}", 200, path_parameters={"refund_id": refund["refund_id"]})
    said("GET", f"{one}/refunds", 200, path_parameters=taken)
    said("GET", "/v1/refunds", 200, query={"total": "true"})
    said("GET", one, 200, path_parameters=taken)
    said("GET", f"{one}/events", 200, path_parameters=taken)
    for form in ("json", "html", "pdf"):
        said("GET", f"{one}/receipt", 200, path_parameters=taken, query={"format": form})
    said("GET", f"{one}/receipt", 409, path_parameters=held)
    key = {"Idempotency-Key": a_key()}
    said("POST", f"{one}/capture", 200, path_parameters=held, body={}, headers=key)
    voided = {"payment_id": charge(201, capture=False)["payment_id"]}
    said("POST", f"{one}/cancel", 400, path_parameters=voided, body={})
    said("DELETE", one, 200, path_parameters=voided, headers={"Idempotency-Key": a_key()})
    said("PATCH", f"{one}/status", 409, path_parameters=voided, body={"status": "SUCCESS"})
    made = said("POST", "/v1/payments", 201, body={"amount": 5, "method": "CASH"}).json()
    pending = {"payment_id": made["payment_id"]}
    said("PATCH", f"{one}/status", 200, path_parameters=pending, body={"status": "SUCCESS"})
    for noun in ("trip", "order"):
        missing = {f"{noun}_id": 2**62}
        said("GET", f"/v1/payments/{noun}/{{{noun}_id}}", 404, path_parameters=missing)


def test_the_document_is_openapi_3_1_and_its_schemas_are_json_schema() -> None:
    assert schema.raw_schema["openapi"] == "3.1.0"
    schema.validate()
    for name, described in schema.raw_schema["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(described), name


def test_what_is_served_is_what_is_tested(client: FlaskClient) -> None:
    served = client.get("/openapi.json")
    assert served.content_type == "application/json"
    assert served.json == _document()


def test_every_route_is_in_the_document(app: Flask) -> None:
    """But for the document itself, its page and what the page loads, pages for people, and the
    door of providers."""
    described = {
        (method.upper(), path)
        for path, operations in schema.raw_schema["paths"].items()
        for method in operations.keys() - {"parameters"}
    }
    unlisted = ("/openapi.json", "/docs", "/static/", "/admin/", "/v1/pay/", "/v1/webhooks/<name:")
    routed = {
        (method, "".join(f"{{{part}}}" if dynamic else part for dynamic, part in rule._trace[1:]))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(unlisted)
    }
    assert {(m, p.lstrip("|")) for m, p in routed} == described


OPERATIONS = [
    (method, path, operation)
    for path, operations in schema.raw_schema["paths"].items()
    for method, operation in operations.items()
    if method != "parameters"
]


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=lambda value: str(value)[:40]
)
def test_each_operation_tells_its_problems(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    components = schema.raw_schema["components"]
    answers = operation["responses"]
    assert operation["summary"]
    assert "500" in answers and "429" in answers
    if path.startswith("/v1"):
        assert "422" in answers and "503" in answers
    if "requestBody" in operation:
        assert {"400", "413", "415"} <= answers.keys()
        [(kind, content)] = operation["requestBody"]["content"].items()
        assert kind == "application/json"
        name = content["schema"]["$ref"].rsplit("/", 1)[1]
        assert components["schemas"][name]["additionalProperties"] is False
    for status, answer in answers.items():
        if "$ref" in answer:
            problem = components["responses"][answer["$ref"].rsplit("/", 1)[1]]
            assert int(status) >= 400
            assert list(problem["content"]) == ["application/problem+json"]


def test_operations_that_take_a_key_say_so() -> None:
    keyed = {
        (method, path)
        for method, path, operation in OPERATIONS
        if {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", [])
    }
    payment = "/v1/payments/{payment_id}"
    assert keyed == {
        ("post", "/v1/payments"),
        ("post", "/v1/payments/charge"),
        ("post", "/v1/refunds"),
        ("post", f"{payment}/charge"),
        ("post", f"{payment}/capture"),
        ("post", f"{payment}/cancel"),
        ("post", f"{payment}/refund"),
        ("delete", payment),
    }
