"""Logs: one JSON object a line with the request's id, whatever was sent; nothing secret in them."""

from __future__ import annotations

import http.server
import json
import re
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, clear_contextvars

from payment_service import http as outbound
from tests.listening import listening
from tests.own_process import printed
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow  # each starts a process of its own

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def logged(script: str, **env: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed(script, **env)]


def test_each_request_is_one_line(postgres_url: str) -> None:
    script = """
sent = {"X-Request-ID": "mine", "Authorization": "Bearer hidden-token"}
client.get("/v1/payments?reference=hidden-reference", headers=sent)
client.post("/v1/payments/charge", json={"payment_token": "hidden-too"}, headers=sent)
client.get("/nowhere")
"""
    lines = logged(script, DATABASE_URL=postgres_url)
    assert [(line["event"], line["method"], line["path"], line["status"]) for line in lines] == [
        ("request", "GET", "/v1/payments", 200),
        ("request", "POST", "/v1/payments/charge", 400),
        ("request", "GET", "/nowhere", 404),
    ]
    assert [line["request_id"] for line in lines[:2]] == ["mine", "mine"]
    assert re.fullmatch("[0-9a-f]{32}", lines[2]["request_id"])
    for line in lines:
        assert line["level"] == "info"
        assert TIME.fullmatch(line["timestamp"])
        assert line["milliseconds"] >= 0
    assert "hidden" not in json.dumps(lines)


def test_no_sent_text_makes_a_line_of_its_own(postgres_url: str) -> None:
    script = r"""
for path in ("/a%0A%7B%22event%22%3A%22forged%22%7D", "/%E2%80%A8", "/%1B%5B2J", "/%ED%A0%80"):
    assert client.get(path).status_code == 404
assert client.get("/x", headers={"X-Request-ID": "a\x1b[2J"}).status_code == 404
"""
    lines = printed(script, DATABASE_URL=postgres_url, PYTHONIOENCODING="ascii")
    assert len(lines) == 5
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert {json.loads(line)["event"] for line in lines} == {"request"}


def test_what_breaks_is_logged_with_its_stack_and_the_request(postgres_url: str) -> None:
    script = """
@app.get("/v1/breaks")
def breaks():
    raise RuntimeError("what went wrong")
assert client.get("/v1/breaks", headers={"X-Request-ID": "mine"}).status_code == 500
"""
    error, request = logged(script, DATABASE_URL=postgres_url)
    assert (error["event"], error["level"]) == ("unexpected_error", "error")
    assert error["request_id"] == request["request_id"] == "mine"
    assert error["exception"].endswith("RuntimeError: what went wrong")
    assert "in breaks" in error["exception"]


def test_no_card_number_is_logged_whatever_says_it(postgres_url: str) -> None:
    script = """
import logging
import structlog
log = structlog.get_logger()
number = "4111 1111 1111 1111"
@app.get("/v1/breaks")
def breaks():
    raise RuntimeError(f"{number} can't be read")
client.get("/v1/breaks")
log.info("provider_call", reference=number, more={"told": [number, 4111111111111111]})
url, error = "/x?y=4111%20111111111111", KeyError(number)
logging.getLogger("a.library").warning("GET %s", url, exc_info=error)
"""
    error, request, call, library = logged(script, DATABASE_URL=postgres_url)
    assert error["exception"].endswith("RuntimeError: [card number] can't be read")
    assert request["path"] == "/v1/breaks"
    assert call["reference"] == "[card number]"
    assert call["more"] == {"told": ["[card number]", 4111111111111111]}
    assert library["event"] == "GET /x?y=[card number]"
    assert library["exception"] == "KeyError: '[card number]'"


def test_nothing_secret_is_logged_whatever_says_it(postgres_url: str) -> None:
    script = """
import logging
import structlog
log = structlog.get_logger()
token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJoaWRkZW4ifQ.c2lnbmF0dXJlX2hpZGRlbg"
@app.get("/v1/breaks")
def breaks():
    raise RuntimeError(f"jane.hidden@example.com sent {token} and sk_live_hidden123")
client.get("/v1/breaks", headers={"Authorization": f"Bearer {token}", "Cookie": "a=hidden"})
log.info("said", payment_token="hidden", more={"Set-Cookie": "hidden"}, sent=b"x=hidden@a.example")
try:
    breaks()
except RuntimeError:
    logging.getLogger("a.library").exception("whsec_hidden of %s", {"password": "hidden"})
"""
    error, request, said, library = logged(script, DATABASE_URL=postgres_url)
    for line in (error, request, said, library):
        assert not re.search("hidden|eyJhb", json.dumps({**line, "exception": ""}))
    for line in (error, library):
        assert line["exception"].endswith("RuntimeError: [e-mail] sent [secret] and [secret]")


def test_a_request_s_line_names_caller_and_payment(postgres_url: str) -> None:
    script = """
def sent(**changes):
    body = {"order_id": 7001, "amount": "104.86", "method": "CASH"} | changes
    return client.post("/v1/payments/charge", json=body, headers={"Idempotency-Key": "one"})
number = sent().json["payment_id"]
sent()
client.get("/v1/payments/order/7001")
client.get(f"/v1/payments/{number}")
client.post("/v1/payments", json={"order_id": 7001, "amount": "104.86"})
client.get("/health")
print("{" + f'"number": {number}' + "}")
"""
    *lines, last = logged(script, DATABASE_URL=postgres_url)
    told = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in told] == [201, 201, 200, 200, 409, 200]
    assert [line.get("payment_id") for line in told] == [*[last["number"]] * 5, None]
    assert [line.get("caller") for line in told][:2] == ["local", "local"]


def test_an_endless_path_is_no_endless_line(postgres_url: str) -> None:
    [line] = printed("client.get('/' + 'x' * 100_000)", DATABASE_URL=postgres_url)
    assert len(line) < 9000


def test_one_request_s_id_is_not_another_s(postgres_url: str) -> None:
    script = """
client.get("/health", headers={"X-Request-ID": "first"})
client.get("/health")
"""
    first, second = logged(script, DATABASE_URL=postgres_url)
    assert first["request_id"] == "first" != second["request_id"]


def test_libraries_log_the_same_way(postgres_url: str) -> None:
    script = """
import logging
logging.getLogger("a.library").warning("something %s", "odd")
logging.getLogger("a.library").info("nothing")
"""
    [line] = logged(script, DATABASE_URL=postgres_url)
    assert (line["event"], line["level"]) == ("something odd", "warning")
    assert TIME.fullmatch(line["timestamp"])


@pytest.mark.parametrize(("level", "count"), [("INFO", 1), ("WARNING", 0), ("ERROR", 0)])
def test_the_level_is_a_setting(postgres_url: str, level: str, count: int) -> None:
    assert (
        len(printed("client.get('/health')", DATABASE_URL=postgres_url, LOG_LEVEL=level)) == count
    )


def test_the_console_is_for_people(postgres_url: str) -> None:
    [line] = printed("client.get('/health')", DATABASE_URL=postgres_url, LOG_FORMAT="console")
    assert "request" in line
    assert "path=/health" in line
    assert "\x1b" not in line


def test_the_request_s_id_is_passed_on() -> None:
    clear_contextvars()  # an earlier test in this process may have left its request's id
    heard: list[str | None] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("X-Request-ID"))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    with listening(server):
        url = f"http://127.0.0.1:{server.server_port}/"
        with bound_contextvars(request_id="mine"):
            outbound.get(url, timeout=PATIENCE)
        outbound.get(url, timeout=PATIENCE)
    assert heard == ["mine", None]
