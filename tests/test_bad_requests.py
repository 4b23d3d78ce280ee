"""Bad queries, paths, methods and headers, and what breaks inside: problem documents, all of it."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.schemas.lists import Cursor
from tests.fixtures import MakeApp, StartService, a_key, an_order
from tests.own_process import printed
from tests.patience import PATIENCE
from tests.refusals import JSON, Refused, assert_problem
from tests.running_service import ENCRYPTION_KEYS, Service
from tests.sandbox_server import reserved_port

BIGINT = 2**63 - 1
LIST = ("GET", "/v1/payments")
LISTS = ["/v1/payments", "/v1/refunds"]
CARD = "4111111111111111"
CARDS = [
    *[CARD, "4111%201111%201111%201111", "4111-1111-1111-1111", "4111%2520111111111111"],
    *[
        "4111_1111_1111_1111",
        "(4111)(1111)(1111)(1111)",
        "4111,1111,1111,1111",
        "%34111111111111111",
    ],
    "4111%20%20%20%20%201111%C2%A01111%E2%80%931111",
]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        *["limit=abc", "limit=0", "limit=-1", "limit=101", "limit=1000000", "limit=", "limit=1.5"],
        *["limit=1e2", "limit=%2B5", "limit=%EF%BC%91", f"limit={'9' * 5000}", "limit=+5"],
        *["offset=-1", "offset=abc", f"offset={BIGINT + 1}", "offset="],
        *["page=0", "page=-1", "page=abc", "page=1&page_size=0", "page_size=101"],
        *["page=1&offset=0", "page=1&limit=5", "page_size=5&offset=5"],
        *["cursor=abc", "cursor=", "cursor=MTIzLjQ1Ng==", "cursor=%00", "cursor=%ED%A0%80"],
        *["cursor=MTIzLjQ1Ng&offset=1", "cursor=MTIzLjQ1Ng&page=2", f"cursor={'A' * 4000}"],
        *["total=yes", "total=", "total=2"],
        *["limit=5&limit=5", "limit=5&limit=6", "colour=red", "limit=5&Limit=5", "%00=1", "=1"],
    ],
)
def test_bad_paging(refused: Refused, path: str, query: str) -> None:
    refused(422, "invalid_request", ("GET", path), query=f"?{query}")


@pytest.mark.parametrize("path", [*LISTS, "/v1/payments/1/refunds"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("offset=10001", "offset"),
        ("limit=1&offset=10001", "offset"),
        (f"limit=100&offset={BIGINT}&total=true", "offset"),
        ("page=102", "page"),
        ("page=10002&page_size=1", "page"),
        ("page=1000000000&page_size=100", "page"),
    ],
)
def test_far_down_a_list_only_a_cursor_leads(
    refused: Refused, path: str, query: str, field: str
) -> None:
    problem = refused(422, "use_cursor", ("GET", path), query=f"?{query}")
    assert list(problem["errors"]) == [field]


@pytest.mark.parametrize(
    ("micros", "row"),
    [(10**18, 5), (-(10**18), 5), (5, BIGINT + 1), ("05", 5), (5, "05"), (5, "5 "), ("", 5)],
)
def test_a_cursor_made_up_by_hand(refused: Refused, micros: Any, row: Any) -> None:
    made_up = base64.urlsafe_b64encode(f"{micros}.{row}".encode()).decode().rstrip("=")
    refused(422, "invalid_request", LIST, query=f"?cursor={made_up}")


@pytest.mark.parametrize(
    "query",
    [
        *[f"{name}={value}" for name in ("trip_id", "order_id", "rider_id", "driver_id", "user_id")
          for value in ("0", "-1", "abc", "1.0", BIGINT + 1, "%EF%BC%91", "")],
        *["status=PAID", "status=", "status=SUCCESS%00", "status=SUCCESS&status=FAILED"],
        *["method=BITCOIN", "method=", "provider=", f"provider={'x' * 51}", "provider=%00"],
        *["reference=", f"reference={'x' * 101}", "reference=a%00b"],
        *["created_from=yesterday", "created_from=", "created_to=2026-13-01", "created_to=0"],
        *["created_from=0001-01-01T00:00:00%2B05:00", "created_to=2026-02-30T00:00:00Z"],
        *["amount=1", "id=1", "transactions=true"],
    ],
)  # fmt: skip
def test_bad_filters(refused: Refused, query: str) -> None:
    refused(422, "invalid_request", LIST, query=f"?{query}")


@pytest.mark.parametrize(
    "query", ["payment_id=0", "payment_id=x", "status=AUTHORIZED", "trip_id=1"]
)
def test_bad_filters_of_refunds(refused: Refused, query: str) -> None:
    refused(422, "invalid_request", ("GET", "/v1/refunds"), query=f"?{query}")


@pytest.mark.parametrize(
    "query",
    [
        "limit=1",
        "limit=100",
        "offset=10000",
        "limit=100&offset=10000",
        "page=101&page_size=100",
        "page=10001&page_size=1",
        "status=completed",
        "status=Succeeded",
        "method=cod",
        "method=debit_card",
        "total=true&limit=1",
        "created_from=2026-11-20",
        "created_from=2026-11-20T10:00:00Z&created_to=2026-11-21T10:00:00+05:30",
        "created_from=0001-01-01&created_to=9999-12-31T23:59:59.999999Z",
        f"cursor={Cursor.read('MTIzLjQ1Ng')}&limit=3",
        "reference=%D1%82%D0%B5%D1%81%D1%82%27%3B--",
    ],
)
def test_queries_at_their_limits(client: FlaskClient, query: str) -> None:
    assert client.get(f"/v1/payments?{query}").status_code == 200


TAKES_NO_QUERY = [
    ("POST", "/v1/payments/charge"),
    ("POST", "/v1/payments"),
    ("GET", "/v1/payments/1"),
    ("DELETE", "/v1/payments/1"),
    ("POST", "/v1/payments/1/refund"),
    ("GET", "/v1/payments/1/events"),
    ("GET", "/v1/payments/trip/1"),
    ("GET", "/v1/payments/providers/IN"),
    ("GET", "/v1/refunds/1"),
    ("PATCH", "/v1/payments/1/status"),
]


@pytest.mark.parametrize("operation", TAKES_NO_QUERY, ids=" ".join)
@pytest.mark.parametrize("query", ["?limit=1", "?x", "?amount=1&amount=2"])
def test_a_query_where_none_is_read(
    refused: Refused, operation: tuple[str, str], query: str
) -> None:
    problem = refused(422, "invalid_request", operation, an_order(), query=query)
    assert problem["errors"]


WITHOUT_A_BODY = [
    *[("GET", "/v1/payments"), ("GET", "/v1/payments/1"), ("DELETE", "/v1/payments/1")],
    *[("GET", "/v1/payments/1/receipt"), ("GET", "/v1/payments/providers/IN")],
    *[("HEAD", "/v1/refunds"), ("GET", "/health"), ("GET", "/metrics"), ("GET", "/openapi.json")],
]


@pytest.mark.parametrize("operation", WITHOUT_A_BODY, ids=" ".join)
def test_a_body_where_none_is_read(client: FlaskClient, operation: tuple[str, str]) -> None:
    method, path = operation
    for body in (b'{"reason": "no ride"}', b"{}", b" ", b"x" * 100_000):
        answer = client.open(path, method=method, data=body, content_type=JSON)
        assert answer.status_code == 422
        if method != "HEAD":
            assert_problem(answer, 422, "invalid_request")
    for body in (b"", None):
        answer = client.open(path, method=method, data=body, content_type=JSON)
        assert answer.status_code in (200, 404, 409)


def test_a_delete_with_a_body_moves_nothing(client: FlaskClient) -> None:
    made = client.post("/v1/payments", json={"amount": "1.00"}).json
    path = f"/v1/payments/{made['payment_id']}"
    assert_problem(client.delete(path, json={"idempotency_key": "a"}), 422, "invalid_request")
    assert client.get(path).json["status"] == "PENDING"
    assert client.delete(path).json["status"] == "CANCELLED"


@pytest.mark.parametrize("query", ["format=xml", "format=", "format=PDF", "format=pdf&format=pdf"])
def test_a_receipt_in_a_form_that_is_not_there(refused: Refused, query: str) -> None:
    refused(422, "invalid_request", ("GET", "/v1/payments/1/receipt"), query=f"?{query}")


@pytest.mark.parametrize("country", ["X", "IND", "1N", "I%00", "%C4%B0N", "%20IN", "I-"])
def test_what_is_no_country_code(client: FlaskClient, country: str) -> None:
    answer = client.get(f"/v1/payments/providers/{country}")
    if "%00" in country:
        assert_problem(answer, 404, "not_found")
    else:
        assert_problem(answer, 400, "invalid_country")


@pytest.mark.parametrize("query", ["country=IND", "country=", "currency=RUPEE", "method=", "a=b"])
def test_bad_filters_of_the_catalog(refused: Refused, query: str) -> None:
    refused(422, "invalid_request", ("GET", "/v1/payments/providers"), query=f"?{query}")


@pytest.mark.parametrize(
    "path",
    [
        *[f"/v1/payments/{bad}" for bad in ("0", "-1", "abc", "1.0", "01", "%EF%BC%91", "1%00")],
        *[f"/v1/payments/{BIGINT + 1}", f"/v1/payments/{'9' * 5000}", "/v1/payments/+1"],
        *["/v1/payments/1/", "/v1/payments/", "/v1//payments", "/v1", "/", ""],
        *["/v1/refunds/0", "/v1/refunds/x", "/v1/payments/0/refunds", "/v1/payments/x/receipt"],
        *["/v1/payments/trip/0", "/v1/payments/order/-1", "/v1/payments/trip/%EF%BC%91"],
        *["/v1/payments/transaction/", "/v1/payments/transaction/%00", "/v1/payments/1%20"],
        *["/v2/payments", "/admin.php", "/.env", "/static/../pyproject.toml"],
        *["/v1/payments/..%2f..%2fetc/passwd", "/static/nothing.css", "/v1/payments/%ED%A0%80"],
    ],
)
def test_paths_that_lead_nowhere(client: FlaskClient, path: str) -> None:
    for prefix in ("", "/api"):
        problem = assert_problem(client.get(prefix + path), 404, "not_found")
        assert problem["title"] == "Not Found"


@pytest.mark.parametrize("reference", ["none", "%ED%A0%80", "%F0%9F%9A%95", "x" * 4000, "a'b"])
def test_a_provider_reference_that_nobody_has(client: FlaskClient, reference: str) -> None:
    answer = client.get(f"/v1/payments/transaction/{reference}")
    assert_problem(answer, 404, "payment_not_found")


def test_ids_that_nobody_has(refused: Refused) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/events", None),
        ("GET", "/receipt", None),
        ("GET", "/refunds", None),
        ("POST", "/charge", {}),
        ("POST", "/capture", {}),
        ("POST", "/cancel", {}),
        ("POST", "/refund", {}),
        ("PATCH", "/status", {"status": "CANCELLED"}),
    ):
        refused(404, "payment_not_found", (method, f"/v1/payments/{BIGINT}{path}"), body)
    refused(404, "payment_not_found", ("GET", f"/v1/payments/trip/{BIGINT}"))
    refused(404, "payment_not_found", ("GET", f"/v1/payments/order/{BIGINT}"))
    refused(404, "payment_not_found", ("POST", "/v1/refunds"), {"payment_id": BIGINT})
    refused(404, "refund_not_found", ("GET", f"/v1/refunds/{BIGINT}"))
    status = {"status": "SUCCESS"}
    refused(404, "refund_not_found", ("PATCH", f"/v1/refunds/{BIGINT}/status"), status)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/payments/charge", {"POST"}),
        ("PUT", "/v1/payments", {"GET", "HEAD", "POST"}),
        ("POST", "/v1/payments/1", {"GET", "HEAD", "DELETE"}),
        ("PATCH", "/v1/payments/1", {"GET", "HEAD", "DELETE"}),
        ("POST", "/v1/payments/1/status", {"PATCH"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("DELETE", "/metrics", {"GET", "HEAD"}),
        ("TRACE", "/v1/payments", {"GET", "HEAD", "POST"}),
        ("PROPFIND", "/v1/payments", {"GET", "HEAD", "POST"}),
    ],
)
def test_a_method_that_is_not_there(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.open(path, method=method)
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed | {"OPTIONS"}


def test_head_and_options(client: FlaskClient) -> None:
    for path in ("/v1/payments", "/health", "/openapi.json"):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.content_type == whole.content_type
    missing = client.head(f"/v1/payments/{BIGINT}")
    assert (missing.status_code, missing.data) == (404, b"")
    options = client.options("/v1/payments/charge")
    assert (options.status_code, options.data) == (200, b"")
    assert set(options.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


@pytest.mark.parametrize("name", ["X-Request-ID", "X-Correlation-ID"])
def test_a_sane_request_id_is_taken(client: FlaskClient, name: str) -> None:
    for sane in ("abc", "A1-b_2.c:3", "x" * 128):
        for path in ("/health", "/v1/payments/x", "/v1/payments?limit=x"):
            assert client.get(path, headers={name: sane}).headers["X-Request-ID"] == sane


@pytest.mark.parametrize("sent", ["", " ", "a b", "x" * 129, "caf\u00e9", "<script>", 'a"b', "a;b"])
def test_an_odd_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    answer = client.get("/health", headers={"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    other = {"X-Request-ID": sent, "X-Correlation-ID": "mine"}
    assert client.get("/health", headers=other).headers["X-Request-ID"] == "mine"


@pytest.mark.parametrize("name", ["X-Request-ID", "X-Correlation-ID"])
@pytest.mark.parametrize(
    "sent", [CARD, f"ride.{CARD}", "4111-1111-1111-1111", "4111.1111.1111.1111"]
)
def test_a_request_id_with_a_card_number_is_replaced(
    client: FlaskClient, name: str, sent: str
) -> None:
    answer = client.get("/health", headers={name: sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.parametrize(
    "path",
    [
        *[f"/v1/payments/transaction/{text}" for text in CARDS],
        *[f"/v1/payments/providers/{text}" for text in CARDS],
        *[f"/nowhere/{text}" for text in CARDS],
        *[f"/v1/payments?reference={text}" for text in CARDS],
        *[f"/v1/payments?{text}=1" for text in CARDS],
        *[f"/v1/payments/1?x={text}" for text in CARDS],
        *[f"/health?{text}" for text in CARDS],
        f"/v1/payments/trip/x{CARD}",
        f"/v1/payments/{CARD}/receipts",
        f"/v1/payments?provider={CARD}",
        "/v1/4111/1111/1111/1111",
    ],
)
def test_a_card_number_in_a_path_or_a_query(client: FlaskClient, path: str) -> None:
    for prefix in ("", "/api"):
        answer = client.get(prefix + path)
        assert_problem(answer, 422, "card_data_refused")
        assert "1111" not in answer.text


@pytest.mark.parametrize("number", [CARD, "4000000000000000006"])
def test_an_id_is_an_integer_and_not_searched(client: FlaskClient, number: str) -> None:
    """Others number their trips and orders; what can be charged can be asked for."""
    made = client.post("/v1/payments", json={"order_id": int(number), "amount": "1.00"})
    assert made.status_code in (201, 409)
    assert client.get(f"/v1/payments/order/{number}").json["order_id"] == int(number)
    assert client.get(f"/v1/payments?order_id={number}").json["count"] == 1
    for path in (f"/v1/payments/{number}", f"/v1/payments/trip/{number}"):
        assert_problem(client.get(path), 404, "payment_not_found")


def test_every_answer_has_an_id_of_its_own(client: FlaskClient) -> None:
    ids = {client.get("/health").headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


def test_a_view_that_fails_is_a_500_that_tells_nothing(make_app: MakeApp) -> None:
    app = make_app(log_level="CRITICAL")

    def fail() -> None:
        raise RuntimeError("SELECT secret FROM vault")

    app.add_url_rule("/v1/fails", view_func=fail)
    answer = app.test_client().get("/v1/fails", headers={"X-Request-ID": "mine"})
    assert_problem(answer, 500, "internal_error")
    assert b"secret" not in answer.data
    assert answer.headers["X-Request-ID"] == "mine"


@pytest.mark.slow
def test_too_many_requests_are_told_when_to_come_back(postgres_url: str) -> None:
    """All views together; but for those of probes and scrapers, which are always answered."""
    script = """
import json
paths = ["/v1/payments/providers/IN", "/health", "/no/such", "/v1/payments/1", "/health"]
answers = [client.get(path) for path in paths]
print(json.dumps([[a.status_code, a.content_type, a.text, dict(a.headers)] for a in answers]))
"""
    env = {"DATABASE_URL": postgres_url, "RATE_LIMIT": "2 per minute", "LOG_LEVEL": "ERROR"}
    [line] = printed(script, **env)
    answers = json.loads(line)
    assert [status for status, *_ in answers] == [200, 200, 404, 429, 200]
    _, content_type, text, headers = answers[3]
    assert content_type == "application/problem+json"
    assert json.loads(text)["code"] == "too_many_requests"
    assert 1 <= int(headers["Retry-After"]) <= 60


@pytest.mark.slow
def test_the_limit_is_one_for_all_processes_and_holds_while_redis_is_away(
    postgres_url: str, redis_url: str
) -> None:
    script = """
for _ in range(3):
    print(client.get("/v1/payments/providers/IN").status_code)
"""
    limit = {"RATE_LIMIT": "4 per year", "LOG_LEVEL": "WARNING", "DATABASE_URL": postgres_url}
    here = {**limit, "REDIS_URL": redis_url}
    assert printed(script, **here) == ["200", "200", "200"]
    assert printed(script, **here) == ["200", "429", "429"]
    with reserved_port() as port:
        away = f"redis://127.0.0.1:{port.getsockname()[1]}/0"
        said = printed(
            "print(client.get('/v1/payments').status_code)" + script,
            **{**limit, "RATE_LIMIT": "3 per year", "REDIS_URL": away},
        )
        assert [line for line in said if line.isdigit()] == ["200", "200", "200", "429"]
        assert sum("rate_limit_redis_away" in line for line in said) == 1


@pytest.fixture
def without_database(make_app: MakeApp) -> Iterator[Flask]:
    """An app whose database's port refuses connections."""
    with reserved_port() as port:
        address = f"127.0.0.1:{port.getsockname()[1]}"
        yield make_app(
            database_url=f"postgresql+psycopg2://nobody:hidden@{address}/none",
            log_level="CRITICAL",
        )


def test_without_its_database_it_says_so(without_database: Flask) -> None:
    client = without_database.test_client()
    key = {"Idempotency-Key": a_key()}
    for answer in (
        client.get("/v1/payments"),
        client.get("/v1/payments/1"),
        client.post("/v1/payments/charge", json=an_order(), headers=key),
        client.post("/v1/payments", json=an_order()),
        client.post("/v1/payments/1/refund", json={}, headers=key),
        client.get("/v1/payments/providers"),
    ):
        assert_problem(answer, 503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert b"hidden" not in answer.data
    health = client.get("/health")
    assert (health.status_code, health.json["database_status"]) == (200, "DOWN")
    assert client.get("/health/ready").status_code == 503
    # Circuits and pools are told all the same, when they are needed most.
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    assert "payment_service_watched 0.0" in metrics.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/payments/providers/IN", 200),
        ("/api/payments/providers/IN", 200),
        ("/api/health", 200),
        ("/api/v1/payments/x", 404),
        ("/api/payments/x", 404),
        ("/apiv1/payments", 404),
        ("/api", 404),
        ("/api/api/v1/payments", 404),
    ],
)
def test_the_prefixes_of_gateways(client: FlaskClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


class Wire:
    """The real service and its log."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def raw(self, request: bytes) -> tuple[int, str]:
        """Status and text of the answer to these bytes."""
        host, port = self.service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
            sock.sendall(request)
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        return int(answer.split(b" ", 2)[1]), answer.decode()


@pytest.fixture(scope="module")
def wire(start_service: StartService) -> Wire:
    return Wire(start_service(WEB_THREADS="4", LOG_LEVEL="DEBUG"))


def test_a_long_request_line(wire: Wire) -> None:
    for path in (f"/v1/payments?cursor={'a' * 9000}", f"/v1/{'x' * 60_000}"):
        assert_problem(wire.service.get(path), 414, "uri_too_long")


def test_chunks_over_64_kib(wire: Wire) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"description": "'
        for _ in range(80):
            yield b"x" * 1024

    answer = wire.service.request(
        "POST",
        "/v1/payments/charge",
        data=chunks(),
        headers={"Content-Type": "application/json"},
    )
    assert_problem(answer, 413, "body_too_large")


def test_chunks_where_no_body_is_read(wire: Wire) -> None:
    for method, path in (("GET", "/v1/payments"), ("DELETE", "/v1/payments/1"), ("GET", "/health")):
        answer = wire.service.request(method, path, data=iter([b"{}"]))
        assert_problem(answer, 422, "invalid_request")
        nothing = wire.raw(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()
        )
        assert nothing[0] in (200, 404, 409)


def test_chunks_within_64_kib_are_a_body(wire: Wire) -> None:
    answer = wire.service.request(
        "POST",
        "/v1/payments",
        data=iter([b'{"amount": ', b'"1.00"}']),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 201


def test_404_and_405_over_the_wire(wire: Wire) -> None:
    assert_problem(wire.service.get("/nowhere"), 404, "not_found")
    answer = wire.service.get("/v1/payments/charge")
    assert_problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_a_key_with_bytes_that_are_no_text(wire: Wire) -> None:
    body = b'{"order_id": 1, "amount": "1.00"}'
    status, text = wire.raw(
        b"POST /v1/payments/charge HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nIdempotency-Key: k\xff\xc3\x28\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert status == 400
    assert "idempotency_key_invalid" in text


def test_no_card_number_is_in_the_log(wire: Wire) -> None:
    number = "4111111111111111"
    grouped = "4111 1111 1111 1111"
    headers = {"X-Request-ID": "looked-for"}
    for text in (number, grouped, f"pay {grouped} 12/28"):
        for changes in (
            {"description": text},
            {"reference": text},
            {"payment_token": text},
            {"metadata": {"note": text}},
        ):
            key = {"Idempotency-Key": a_key()}
            answer = wire.service.post(
                "/v1/payments/charge", an_order(**changes), headers=headers | key
            )
            assert_problem(answer, 422, "card_data_refused")
        for place in ("payments?reference=", "payments/transaction/", "payments/", "nowhere/"):
            for sent in (text, quote(text), quote(quote(text))):
                wire.service.get(f"/v1/{place}{sent}", headers=headers)
        wire.service.get("/health", headers={"X-Request-ID": text.replace(" ", ".")})
        wire.service.get("/health", headers={"X-Correlation-ID": text.replace(" ", "-")})
        wire.service.request("POST", "/v1/payments/charge", data=f'{{"reference": "{text}"')
    log = wire.service.log.read_text()
    assert "looked-for" in log
    assert "[card number]" in log
    for digits in (number, grouped, "1111 1111", "1111%201111", "1111.1111", "1111-1111"):
        assert digits not in log
    # Its beginning may be in an id or a fraction of a second by chance.
    assert not re.search(r"(?<![0-9a-f.])411111(?![0-9a-f])", log)


@pytest.mark.slow
def test_the_log_of_a_failure_holds_no_sent_value(bare_database: str) -> None:
    """The tables are missing, so the statement fails with what was sent among its parameters."""
    body = {
        "amount": "1.00",
        "description": "looked-for-words",
        "payment_token": "looked-for-token",
    }
    script = f"assert client.post('/v1/payments', json={body!r}).status_code == 500"
    env = {"DATABASE_URL": bare_database, "ENCRYPTION_KEYS": ENCRYPTION_KEYS}
    lines = [json.loads(line) for line in printed(script, **env)]
    assert [line["event"] for line in lines] == ["database_error", "request"]
    assert "INSERT INTO payments" in lines[0]["exception"]
    assert "looked-for" not in json.dumps(lines)


def test_the_handlers_know_every_domain_error() -> None:
    from payment_service.api.errors import status_of
    from payment_service.domain import errors

    kinds: list[Callable[..., errors.DomainError]] = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.DomainError)
        and kind is not errors.DomainError
    ]
    for kind in kinds:
        assert 400 <= status_of(kind) < 600


@pytest.mark.slow
def test_redis_going_away_under_many_threads_fails_no_request(postgres_url: str) -> None:
    """All of them find it gone at the same moment."""
    script = """
import threading
meet, found = threading.Barrier(8, timeout=60), []
def ask():
    meet.wait()
    found.append(app.test_client().get("/v1/payments/providers/IN").status_code)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("statuses", *found)
"""
    with reserved_port() as port:
        away = f"redis://127.0.0.1:{port.getsockname()[1]}/0"
        said = printed(script, DATABASE_URL=postgres_url, REDIS_URL=away, LOG_LEVEL="ERROR")
    assert "statuses" + " 200" * 8 in said
