"""What is no request at all is refused as everything else is: with a problem document."""

from __future__ import annotations

import json
import socket

import pytest

from payment_service.problems import MEDIA_TYPE, TYPES
from tests.fixtures import StartService, a_key
from tests.patience import PATIENCE
from tests.running_service import Service

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def service(start_service: StartService) -> Service:
    return start_service(WEB_THREADS="2")


def answer_to(service: Service, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; the service closes the connection, or this waits in vain."""
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(sent)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


REFUSED = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "malformed_request"),
    "words": (b"hello there, is it you\r\n", 400, "malformed_request"),
    "no version": (b"GET /health\r\n\r\n", 400, "malformed_request"),
    "bare LF": (b"GET /health HTTP/1.1\nHost: localhost\n\n", 400, "malformed_request"),
    "a method of its own": (b"get /health HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "HTTP/9.9": (
        b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        505,
        "http_version_not_supported",
    ),
    "HTTP/2": (b"GET /health HTTP/2.0\r\n\r\n", 505, "http_version_not_supported"),
    "HTTP/x": (b"GET /health HTTP/x\r\n\r\n", 400, "malformed_request"),
    "a long line": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
    "an endless line": (b"GET /" + b"x" * 10_000, 414, "uri_too_long"),
    "a long header": (GET + b"X: " + b"x" * 10_000 + b"\r\n\r\n", 431, "headers_too_large"),
    "endless headers": (GET + b"X: " + b"x" * 70_000, 431, "headers_too_large"),
    "many headers": (GET + b"X: 1\r\n" * 150 + b"\r\n", 431, "headers_too_large"),
    "no colon": (GET + b"no colon\r\n\r\n", 400, "malformed_header"),
    "a folded header": (GET + b"X: 1\r\n 2\r\n\r\n", 400, "malformed_header"),
    "a bad name": (GET + b"X Y: 1\r\n\r\n", 400, "malformed_header"),
    "a control character": (GET + b"X: a\x00b\r\n\r\n", 400, "malformed_header"),
    "two hosts": (GET + b"Host: y\r\n\r\n", 400, "malformed_header"),
    "two lengths": (
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        400,
        "malformed_header",
    ),
    "no length": (POST + b"Content-Length: two\r\n\r\n{}", 400, "malformed_header"),
    "length and chunks": (
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        400,
        "malformed_header",
    ),
    "an unknown coding": (
        POST + b"Transfer-Encoding: magic\r\n\r\n",
        501,
        "transfer_coding_not_supported",
    ),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
        400,
        "malformed_header",
    ),
    "a bad chunk": (CHUNKED + b"2\r\n{}\r\nxx\r\n", 400, "malformed_body"),
    "a chunk that is longer": (CHUNKED + b"1\r\n{}\r\n0\r\n\r\n", 400, "malformed_body"),
    "a long body": (POST + b"Content-Length: 9999999999\r\n\r\n{", 413, "body_too_large"),
    "long chunks": (CHUNKED + b"fffffff\r\n{", 413, "body_too_large"),
    "another expectation": (
        POST + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n{}",
        417,
        "expectation_failed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_a_problem_and_the_connection_ends(service: Service, name: str) -> None:
    sent, status, code = REFUSED[name]
    told, headers, body = answer_to(service, sent)
    problem = json.loads(body)
    assert (told, problem["code"]) == (status, code)
    assert (problem["status"], problem["type"]) == (status, TYPES + code)
    assert problem["title"] and problem["detail"]
    assert headers["content-type"] == MEDIA_TYPE
    assert headers["connection"] == "close"
    assert headers["x-request-id"] in service.log.read_text()


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO"])
def test_a_caller_does_not_say_where_the_service_is_mounted(service: Service, name: str) -> None:
    line = f"{name}: /v1\r\nConnection: close\r\n\r\n".encode()
    status, _, body = answer_to(service, GET + line)
    assert (status, json.loads(body)["status"]) == (200, "UP")


def test_a_refusal_comes_after_the_answers_before_it(service: Service) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(GET + b"\r\nnonsense\r\n")
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 400 Bad Request\r\n") == 1


def test_what_was_sent_is_neither_echoed_nor_logged(service: Service) -> None:
    secret = f"4111111111111111-{a_key()}".encode()
    for sent in (
        secret + b"\r\n\r\n",
        GET + secret + b"\r\n\r\n",
        GET + b"X-" + secret + b": \x01\r\n\r\n",
        CHUNKED + secret + b"\r\n",
    ):
        _, _, body = answer_to(service, sent)
        assert secret not in body
    assert secret.decode() not in service.log.read_text()
