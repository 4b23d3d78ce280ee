"""Headers that must be one and come twice: one value is one, two values are refused, over a real
socket and in Flask's client."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.books import at_provider, row
from tests.fixtures import StartService, a_key, an_order
from tests.patience import PATIENCE
from tests.refusals import assert_problem
from tests.running_service import Service
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"
Lines = list[tuple[str, str]]
Send = Callable[..., Any]

TWICE = [
    ("Idempotency-Key", "a-key", "b-key"),
    ("Idempotency-Key", "a,b", "a,b,"),
    ("Idempotency-Key", "A-KEY", "a-key"),
    ("Content-Type", "application/json", "text/plain"),
    ("Content-Type", "application/json", "application/json; charset=utf-8"),
    ("Authorization", "Bearer one", "Bearer two"),
    ("X-Request-ID", "one", "two"),
    ("X-Correlation-ID", "one", "two"),
]


@pytest.fixture(scope="module")
def service(start_service: StartService) -> Service:
    return start_service(WEB_THREADS="4")


class Told:
    """An answer off the socket, as the tests of problem documents read one."""

    def __init__(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status_code = int(status.split(" ")[1])
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.text = body.decode()

    def json(self) -> Any:
        return json.loads(self.text)


@pytest.fixture
def send(service: Service) -> Send:
    """Sends header lines as they are given, byte by byte."""

    def run(path: str, body: Any = None, *, lines: Lines, method: str = "POST") -> Told:
        data = b"" if body is None else json.dumps(body).encode()
        given = {name.lower() for name, _ in lines}
        if body is not None and "content-type" not in given:
            lines = [("Content-Type", "application/json"), *lines]
        lines = [
            *lines,
            ("Host", "localhost"),
            ("Connection", "close"),
            ("Content-Length", str(len(data))),
        ]
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as sock:
            sock.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data)
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        return Told(answer)

    return run


def keys(*values: str) -> Lines:
    return [("Idempotency-Key", value) for value in values]


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_a_retry_that_sends_its_key_twice_refunds_once(
    app: Flask, sandbox: Sandbox, send: Send, name: str
) -> None:
    charged = send(CHARGE, an_order(), lines=keys(a_key())).json()
    path, key = f"/v1/payments/{charged['payment_id']}/refund", a_key()
    first = send(path, {"amount": "10.00"}, lines=keys(key))
    again = send(path, {"amount": "10.00"}, lines=[("Idempotency-Key", key), (name, key)])
    thrice = send(path, {"amount": "10.00"}, lines=keys(key, key, key))
    assert (first.status_code, again.status_code, thrice.status_code) == (200, 200, 200)
    assert first.text == again.text == thrice.text
    assert again.headers["Idempotent-Replayed"] == thrice.headers["Idempotent-Replayed"] == "true"
    refunds = "SELECT count(*) AS n FROM refunds WHERE payment_id = :id"
    assert row(app, refunds, id=charged["payment_id"])["n"] == 1
    assert len(at_provider(sandbox, "refunds", charged["reference"])) == 1


def test_a_comma_within_one_key_is_part_of_it(send: Send) -> None:
    half = a_key()
    told = [
        send(CHARGE, an_order(), lines=keys(*values))
        for values in ([half], [f"{half},{half}"], [f"{half},"], [f",{half}"])
    ]
    assert [answer.status_code for answer in told] == [201] * 4
    assert len({answer.json()["payment_id"] for answer in told}) == 4
    body = an_order()
    first = send(CHARGE, body, lines=keys(f"{half},x"))
    again = send(CHARGE, body, lines=keys(f"{half},x", f"{half},x"))
    assert first.text == again.text


def test_what_others_joined_by_a_comma_and_a_blank_is_the_same(send: Send) -> None:
    body, key = an_order(), a_key()
    first = send(CHARGE, body, lines=keys(key))
    assert send(CHARGE, body, lines=keys(f"{key}, {key}")).text == first.text
    refused = send(CHARGE, body, lines=keys(f"{key}, other"))
    assert_problem(refused, 400, "header_repeated")


@pytest.mark.parametrize(("name", "one", "other"), TWICE)
def test_two_values_are_refused(send: Send, name: str, one: str, other: str) -> None:
    lines = [] if name == "Idempotency-Key" else keys(a_key())
    for values in ((one, other), (other, one), (one, one, other), (one, ""), ("", one)):
        order = an_order()
        sent = [*lines, *((name, value) for value in values)]
        refused = assert_problem(send(CHARGE, order, lines=sent), 400, "header_repeated")
        assert name in refused["detail"]
        for path in ("/health", "/nowhere"):
            told = send(path, method="GET", lines=[(name, value) for value in values])
            assert_problem(told, 400, "header_repeated")
        listed = send(f"/v1/payments?order_id={order['order_id']}", method="GET", lines=[])
        assert listed.json()["count"] == 0


@pytest.mark.parametrize(("name", "one"), {name: one for name, one, _ in TWICE[3:]}.items())
def test_the_same_value_twice_is_one(send: Send, name: str, one: str) -> None:
    told = send(CHARGE, an_order(), lines=[*keys(a_key()), (name, one), (name, one)])
    assert told.status_code == 201
    if name.startswith("X-"):
        assert told.headers["X-Request-ID"] == one


def test_a_list_may_come_in_several_lines(send: Send) -> None:
    """Accept is a list, so its lines are joined."""
    charged = send(CHARGE, an_order(), lines=keys(a_key())).json()
    path = f"/v1/payments/{charged['payment_id']}/receipt"
    told = send(path, method="GET", lines=[("Accept", "image/png"), ("Accept", "text/html")])
    assert told.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("name", ["Content-Length", "Host"])
def test_what_frames_a_request_is_never_repeated(send: Send, name: str) -> None:
    value = {"Content-Length": "0", "Host": "localhost"}[name]
    assert send("/health", method="GET", lines=[(name, value)]).status_code == 400


@pytest.mark.parametrize(
    ("name", "one", "other"), [case for case in TWICE if case[0] != "Content-Type"]
)
def test_in_flask_s_client_too(client: FlaskClient, name: str, one: str, other: str) -> None:
    """Which joins by a comma and a blank; of Content-Type it sends the first."""
    lines = [] if name == "Idempotency-Key" else keys(a_key())
    body = an_order()
    refused = client.post(CHARGE, json=body, headers=[*lines, (name, one), (name, other)])
    assert_problem(refused, 400, "header_repeated")
    if name == "Idempotency-Key":
        one += a_key()
    told = client.post(CHARGE, json=body, headers=[*lines, (name, one), (name, one)])
    assert told.status_code == 201
    if name == "Idempotency-Key":
        again = client.post(CHARGE, json=body, headers=[(name, one)])
        assert (again.status_code, again.data) == (201, told.data)


def test_parameters_of_one_authorization_are_one_value(client: FlaskClient) -> None:
    sent = {"Authorization": 'Signature keyId="a", algorithm="b", signature="c"'}
    assert client.get("/v1/payments?limit=1", headers=sent).status_code == 200
