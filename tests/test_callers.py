"""Who may call what: every route and every kind of token, by a table written from the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payment_service import api
from payment_service.domain.callers import Scope
from payment_service.domain.pages import is_page, is_payers_page
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.own_process import printed
from tests.tokens import SCOPES, SECURED, a_token, bearing

READ, WRITE, REFUND, ADMIN = SCOPES
RIDERS = "riders"
"""No scope: who is no rider is refused."""

# Every route, and the scope that it needs; None is open to all. The contract is the source, not
# the code: "GETs; create, charge, capture, cancel; POST refunds; both PATCH status".
TABLE: dict[tuple[str, str], str | None] = {
    ("POST", "/v1/payments/charge"): WRITE,
    ("POST", "/v1/payments"): WRITE,
    ("POST", "/v1/payments/{id}/charge"): WRITE,
    ("POST", "/v1/payments/{id}/capture"): WRITE,
    ("POST", "/v1/payments/{id}/cancel"): WRITE,
    ("DELETE", "/v1/payments/{id}"): WRITE,
    ("PATCH", "/v1/payments/{id}/status"): ADMIN,
    ("GET", "/v1/payments"): READ,
    ("GET", "/v1/payments/{id}"): READ,
    ("GET", "/v1/payments/trip/{trip}"): READ,
    ("GET", "/v1/payments/order/{order}"): READ,
    ("GET", "/v1/payments/transaction/{transaction}"): READ,
    ("GET", "/v1/payments/{id}/events"): READ,
    ("GET", "/v1/payments/{id}/receipt"): READ,
    ("GET", "/v1/payments/{id}/refunds"): READ,
    ("POST", "/v1/payments/{id}/refund"): REFUND,
    ("POST", "/v1/refunds"): REFUND,
    ("GET", "/v1/refunds"): READ,
    ("GET", "/v1/refunds/{refund}"): READ,
    ("PATCH", "/v1/refunds/{refund}/status"): ADMIN,
    ("GET", "/v1/customers/me"): RIDERS,
    ("PATCH", "/v1/customers/me"): RIDERS,
    ("GET", "/v1/customers/{customer}"): READ,
    ("GET", "/v1/customers"): ADMIN,
    ("GET", "/v1/customers/me/payment-methods"): RIDERS,
    ("POST", "/v1/customers/me/payment-methods"): RIDERS,
    ("DELETE", "/v1/customers/me/payment-methods/{method}"): RIDERS,
    ("POST", "/v1/customers/me/payment-methods/{method}/default"): RIDERS,
    ("GET", "/v1/customers/{customer}/payment-methods"): READ,
    ("POST", "/v1/customers/{customer}/payment-methods"): WRITE,
    ("DELETE", "/v1/customers/{customer}/payment-methods/{method}"): WRITE,
    ("POST", "/v1/customers/{customer}/payment-methods/{method}/default"): WRITE,
    ("DELETE", "/v1/customers/{customer}"): ADMIN,
    ("GET", "/v1/disputes"): ADMIN,
    ("GET", "/v1/disputes/{dispute}"): ADMIN,
    ("POST", "/v1/webhooks/{provider}"): None,
    ("GET", "/v1/webhooks"): ADMIN,
    ("GET", "/v1/webhooks/{webhook}"): ADMIN,
    ("POST", "/v1/webhooks/{webhook}/replay"): ADMIN,
    ("GET", "/v1/payments/providers"): None,
    ("GET", "/v1/payments/providers/{country}"): None,
    ("GET", "/health"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/ready"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
    ("GET", "/static/{file}"): None,
}
LISTS = {"/v1/payments", "/v1/refunds"}
NOT_THERE = ("/trip/{trip}", "/webhooks/", "{method}", "{dispute}")
"""In paths of what this house has none of."""

TOKENS: dict[str, Callable[[], dict[str, str]]] = {
    "none": dict,
    "garbage": lambda: bearing("garbage"),
    "expired": lambda: bearing(a_token(exp=1_600_000_000)),
    **{scope: (lambda scope=scope: bearing(a_token(scope=scope))) for scope in SCOPES},
    "all scopes": lambda: bearing(a_token()),
    "rider": lambda: bearing(a_token(sub="101", role="rider", scope=None)),
    "rider with all scopes": lambda: bearing(a_token(sub="101", role="rider")),
    "other rider": lambda: bearing(a_token(sub="102", role="rider", scope=None)),
    "rider of no number": lambda: bearing(a_token(sub="ann", role="rider", scope=None)),
    "service of no scope": lambda: bearing(a_token(scope=None)),
}


@pytest.fixture(scope="module")
def secured(make_app: MakeApp) -> Flask:
    return make_app(**SECURED)


@pytest.fixture
def asked(secured: Flask) -> FlaskClient:
    return secured.test_client()


def charged(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    """A payment of rider 101, as the trip service charges it."""
    answer = client.post(
        "/v1/payments/charge",
        json=an_order(rider_id=101, **changes),
        headers={"Idempotency-Key": a_key(), **bearing(a_token())},
    )
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json
    return body


def refunded(client: FlaskClient, payment_id: int) -> int:
    answer = client.post(
        "/v1/refunds",
        json={"payment_id": payment_id, "amount": "1.00", "reason": "a private word"},
        headers={"Idempotency-Key": a_key(), **bearing(a_token())},
    )
    assert answer.status_code == 201, answer.text
    refund_id: int = answer.json["refund_id"]
    return refund_id


def routes(app: Flask) -> set[tuple[str, str]]:
    """As TABLE writes them; pages take no token: the operators' have a table of their own, and the
    payers' let in whoever has the link."""
    names = {
        "<id:payment_id>": "{id}",
        "<id:refund_id>": "{refund}",
        "<id:trip_id>": "{trip}",
        "<name:provider>": "{provider}",
        "<id:webhook_id>": "{webhook}",
        "<id:customer_id>": "{customer}",
        "<id:payment_method_id>": "{method}",
        "<id:dispute_id>": "{dispute}",
        "<id:order_id>": "{order}",
        "<transaction_id>": "{transaction}",
        "<country>": "{country}",
        "<path:filename>": "{file}",
    }
    return {
        (method, re.sub(r"<[^>]*>", lambda found: names.get(found[0], found[0]), rule.rule))
        for rule in app.url_map.iter_rules()
        if not is_page(rule.rule) and not is_payers_page(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_the_table_has_every_route(secured: Flask) -> None:
    assert routes(secured) == TABLE.keys()


def expected(token: str, scope: str | None, path: str) -> tuple[int, str] | None:
    """The status and code of a refusal; None where it is let in."""
    if scope is None:
        return None
    if token in ("none", "garbage", "expired"):
        return 401, "invalid_token"
    if scope == RIDERS:
        if token == "rider of no number":
            return 403, "rider_unknown"
        return None if "rider" in token else (403, "riders_only")
    if token == "all scopes" or token == scope:
        return None
    if "rider" in token and scope == READ:
        if token == "rider of no number":
            return 403, "rider_unknown"
        own = token != "other rider" or path in LISTS
        return None if own else (404, "")
    return 403, "insufficient_scope"


@pytest.mark.parametrize("token", TOKENS)
def test_every_route_and_every_token(asked: FlaskClient, token: str) -> None:
    """What is let in gets some answer of the operation's own: a 2xx, or that a body is missing."""
    paid = charged(asked)
    refund_id = refunded(asked, paid["payment_id"])
    values = {
        "id": paid["payment_id"],
        "refund": refund_id,
        "trip": a_number(),
        "order": paid["order_id"],
        "transaction": paid["transaction_id"],
        "country": "IN",
        "file": "swagger-ui/swagger-ui.css",
        "provider": "cash",
        **dict.fromkeys(("webhook", "method", "dispute"), 1),
        "customer": asked.get("/v1/customers/me", headers=TOKENS["rider"]()).json["customer_id"],
    }
    for (method, path), scope in TABLE.items():
        answer = asked.open(path.format(**values), method=method, headers=TOKENS[token]())
        told = expected(token, scope, path)
        where = f"{method} {path} with {token}: {answer.status_code} {answer.text[:200]}"
        if told is None:
            assert answer.status_code not in (401, 403, 500), where
            if not any(noun in path for noun in NOT_THERE):
                assert answer.status_code != 404, where
        else:
            status, code = told
            assert answer.status_code == status, where
            assert answer.content_type == "application/problem+json"
            assert not code or answer.json["code"] == code, where
        check_challenge(answer, scope)
        answer.close()


def check_challenge(answer: TestResponse, scope: str | None) -> None:
    """RFC 6750: what is wrong is in a header, too."""
    told = answer.headers.get("WWW-Authenticate")
    if answer.status_code == 401:
        assert told == 'Bearer error="invalid_token"'
        assert answer.json["reason"] in ("missing", "malformed", "expired")
    elif answer.status_code == 403 and answer.json["code"] == "insufficient_scope":
        assert told == f'Bearer error="insufficient_scope", scope="{scope}"'
        assert answer.json["scope"] == scope
    else:
        assert told is None


def test_the_document_says_the_same(asked: FlaskClient) -> None:
    document = asked.get("/openapi.json").json
    braces = {"{payment_id}": "{id}", "{refund_id}": "{refund}", "{trip_id}": "{trip}"}
    braces |= {"{webhook_id}": "{webhook}", "{provider}": "{provider}"}
    braces |= {"{customer_id}": "{customer}", "{payment_method_id}": "{method}"}
    braces |= {"{dispute_id}": "{dispute}"}
    braces |= {"{order_id}": "{order}", "{transaction_id}": "{transaction}"}
    for path, operations in document["paths"].items():
        ours = re.sub(r"{\w+}", lambda found: braces.get(found[0], found[0]), path)
        for method, operation in operations.items():
            if method != "parameters":
                scope = TABLE[method.upper(), ours]
                assert operation["security"] == ([{"bearerAuth": [scope]}] if scope else []), path
                assert {"401", "403"} <= operation["responses"].keys() or not scope, path


@pytest.mark.parametrize("wrong", ["missing", "surplus"])
def test_a_route_without_a_rule_stops_the_start(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    blueprint, prefix, views = api.ROUTES[0]
    if wrong == "missing":
        changed = {view: rule for view, rule in views.items() if view != "get_events"}
    else:
        changed = {**views, "get_secrets": Scope.READ}
    monkeypatch.setattr(api, "ROUTES", ((blueprint, prefix, changed), *api.ROUTES[1:]))
    named = "payments.get_events" if wrong == "missing" else "payments.get_secrets"
    with pytest.raises(RuntimeError, match=named):
        make_app(**SECURED)


def test_keys_belong_to_the_caller(asked: FlaskClient, scalar: Callable[..., Any]) -> None:
    key, order = a_key(), an_order()

    def charge(sub: str) -> TestResponse:
        headers = {"Idempotency-Key": key, **bearing(a_token(sub=sub))}
        return asked.post("/v1/payments/charge", json=order, headers=headers)

    first, again, other = charge("one"), charge("one"), charge("two")
    assert again.data == first.data and again.headers["Idempotent-Replayed"] == "true"
    assert other.json["code"] == "payment_exists"  # it is a request of its own
    query = "SELECT caller FROM payments WHERE payment_id = :id"
    assert scalar(query, id=first.json["payment_id"]) == "one"


@pytest.mark.slow
def test_refusals_are_counted_and_logged_without_the_token(postgres_url: str) -> None:
    good, rider = a_token(scope=READ), a_token(role="rider", sub="x")
    sent = ["", "not.a.token", f"{good[:-4]}AAAA", good, rider]
    script = f"""
import sys
for token in {sent!r}:
    method, path = ("POST", "/v1/payments/charge") if token == {good!r} else ("GET", "/v1/payments")
    headers = {{"Authorization": f"Bearer {{token}}"}} if token else {{}}
    client.open(path, method=method, headers=headers).close()
print(client.get("/metrics").text, file=sys.stdout)
"""
    secured = {name.upper(): str(value) for name, value in SECURED.items()}
    lines = printed(script, DATABASE_URL=postgres_url, LOG_LEVEL="INFO", **secured)
    names = ["missing", "malformed", "untrusted", "insufficient_scope", "rider_unknown"]
    told = [json.loads(line) for line in lines if line.startswith('{"')]
    refused = [line for line in told if line["event"] == "refused"]
    assert [line["why"] for line in refused] == names
    assert refused[3] == refused[3] | {"caller": "trip-service", "needed": WRITE}
    assert all("request_id" in line for line in refused)
    for why in names:
        assert f'payment_service_refused_total{{why="{why}"}} 1.0' in lines
    out = "".join(lines)
    assert all(part not in out for token in (good, rider) for part in token.split(".")[1:])


def test_two_different_tokens_are_not_one(asked: FlaskClient) -> None:
    both = ", ".join(f"Bearer {a_token(sub=sub)}" for sub in ("one", "two"))
    answer = asked.get("/v1/payments", headers={"Authorization": both})
    assert (answer.status_code, answer.json["code"]) == (400, "header_repeated")


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer  {}"])
def test_how_a_token_may_be_written(asked: FlaskClient, form: str) -> None:
    headers = {"Authorization": form.format(a_token())}
    assert asked.get("/v1/payments", headers=headers).status_code == 200


@pytest.mark.parametrize("form", ["{}", "Basic {}", "Bearer", "Bearer{}", "Token {}"])
def test_how_a_token_may_not_be_written(asked: FlaskClient, form: str) -> None:
    headers = {"Authorization": form.format(a_token())}
    assert asked.get("/v1/payments", headers=headers).status_code == 401


def test_no_cookie_and_no_query_is_a_token(asked: FlaskClient) -> None:
    token = a_token()
    asked.set_cookie("Authorization", f"Bearer {token}")
    asked.set_cookie("token", token)
    assert asked.get(f"/v1/payments?access_token={token}").status_code == 401
