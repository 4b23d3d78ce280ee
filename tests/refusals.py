"""What a refused request looks like, asserted in one place: a problem document, and no row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from payment_service.extensions import db
from tests.fixtures import a_key, a_number

KNOWN = {"type", "title", "status", "detail", "code", "errors"}
JSON = "application/json"

Refused = Callable[..., dict[str, Any]]


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Every operation that reads a body: method, path, and a body that it would take.

    The payments and refunds that they name don't exist: what is wrong with a body is told first.
    """
    nobody = 2**62 + a_number()
    order = {"order_id": a_number(), "amount": "100.00"}
    return {
        "charge": ("POST", "/v1/payments/charge", order),
        "create": ("POST", "/v1/payments", order),
        "charge_pending": ("POST", f"/v1/payments/{nobody}/charge", {}),
        "capture": ("POST", f"/v1/payments/{nobody}/capture", {}),
        "cancel": ("POST", f"/v1/payments/{nobody}/cancel", {}),
        "set_status": ("PATCH", f"/v1/payments/{nobody}/status", {"status": "CANCELLED"}),
        "refund": ("POST", f"/v1/payments/{nobody}/refund", {}),
        "refunds": ("POST", "/v1/refunds", {"payment_id": nobody}),
        "refund_status": ("PATCH", f"/v1/refunds/{nobody}/status", {"status": "SUCCESS"}),
    }


OPERATIONS = tuple(operations())
WITHOUT_BODY = ("charge_pending", "capture", "cancel", "refund")
"""Those whose body may be left out."""


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of a response of Flask's client or of requests; it leaks nothing."""
    whole = response.text
    assert response.status_code == status, whole
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(whole)
    assert KNOWN - {"errors"} <= problem.keys()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["type"].endswith(code)
    assert problem["detail"]
    assert response.headers["X-Request-ID"]
    for leak in (
        "Traceback",
        "psycopg2",
        "sqlalchemy",
        "INSERT INTO",
        "SELECT ",
        "/site-packages/",
    ):
        assert leak not in whole
    return problem


@pytest.fixture
def row_counts(app: Flask) -> Callable[[], dict[str, int]]:
    """Counts the rows of every table."""
    with app.app_context():
        names = sorted(db.metadata.tables)
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in names)

    def count() -> dict[str, int]:
        with app.app_context(), db.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(text(query))}

    return count


@pytest.fixture
def refused(client: FlaskClient, row_counts: Callable[[], dict[str, int]]) -> Refused:
    """Sends a request that must be refused with this status and code, and must leave no row."""

    def send(
        status: int,
        code: str,
        operation: str | tuple[str, str],
        body: Any = None,
        *,
        raw: bytes | str | None = None,
        content_type: str | None = JSON,
        key: str | None = "",
        query: str = "",
        **kwargs: Any,
    ) -> dict[str, Any]:
        method, path = operations()[operation][:2] if isinstance(operation, str) else operation
        headers = kwargs.pop("headers", {})
        if key is not None:
            headers = {"Idempotency-Key": key or a_key()} | headers
        data = raw if raw is not None or body is None else json.dumps(body)
        before = row_counts()
        response = client.open(
            path + query,
            method=method,
            data=data,
            content_type=content_type,
            headers=headers,
            **kwargs,
        )
        problem = assert_problem(response, status, code)
        assert row_counts() == before
        return problem

    return send
