"""Clients that send or read slowly hold no thread, and in time they are closed and counted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import requests
from flask import Flask

from tests.books import at_once, rows
from tests.fixtures import StartService, a_key, an_order
from tests.patience import PATIENCE
from tests.running_service import Service
from tests.sandbox_calls import arm, eventually
from tests.sandbox_server import ROOT, Sandbox
from tests.slow import BIG, Crowd, Slow, slow_client
from tests.test_metrics import by, scrape

SECONDS = 3.0
CUT = "payment_service_connections_cut_total"
MakeService = Callable[..., Service]


@pytest.fixture
def make_service(
    tmp_path: Path, postgres_url: str, redis_url: str, sandbox: Sandbox
) -> Iterator[MakeService]:
    """Starts a service; settings are keyword arguments."""
    made: list[Service] = []

    def make(kind: type[Service] = Service, **env: str) -> Service:
        given = {
            "DATABASE_URL": postgres_url,
            "REDIS_URL": redis_url,
            "SANDBOX_PROVIDER_URL": sandbox.url,
            "TRIP_SERVICE_URL": sandbox.url,
            "LOG_LEVEL": "WARNING",
            "REQUEST_READ_SECONDS": str(SECONDS),
        }
        made.append(kind(tmp_path / str(len(made)), **(given | env)))
        made[-1].start()
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture(scope="module")
def service(start_service: StartService) -> Service:
    """One process, so that its counts are at hand, and few threads."""
    return start_service(WEB_THREADS="4", REQUEST_READ_SECONDS=str(SECONDS))


@pytest.fixture(scope="module")
def patient(start_service: StartService) -> Service:
    """It cuts nobody off, however busy the machine is with which an honest client shares it."""
    return start_service(WEB_THREADS="4", REQUEST_READ_SECONDS=str(PATIENCE))


def port_of(service: Service) -> int:
    return int(service.url.rsplit(":", 1)[1])


def connected(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(service)), timeout=PATIENCE)


def a_charge(**headers: str) -> tuple[bytes, bytes]:
    """The head and the body of a charge."""
    body = json.dumps(an_order(method="CASH")).encode()
    lines = [
        "POST /v1/payments/charge HTTP/1.1",
        "Host: localhost",
        f"Idempotency-Key: {a_key()}",
        "Content-Type: application/json",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode(), body


def read_answer(file: BinaryIO) -> tuple[int, bytes]:
    """Status and body of the next answer on a connection's makefile('rb')."""
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, file.read(length)


def cuts(service: Service) -> dict[str, float]:
    return by(scrape(service), CUT, "reason")


@pytest.mark.slow
def test_more_slow_clients_than_threads(make_service: MakeService) -> None:
    """50 of each kind on 96 threads: whoever is honest is served, and they are closed in time."""
    service = make_service()
    crowd = Crowd(port_of(service), 150)
    try:
        answers = at_once([lambda: service.get("/health")] * 20)
        answers += at_once(
            [
                lambda: service.post(
                    "/v1/payments/charge",
                    an_order(method="CASH"),
                    headers={"Idempotency-Key": a_key()},
                )
            ]
            * 20
        )
        assert {answer.status_code for answer in answers} == {200, 201}
        deadline = time.monotonic() + PATIENCE
        crowd.watch(lambda: not crowd.here or time.monotonic() > deadline, again=False)
    finally:
        crowd.leave()
    assert crowd.closed == dict.fromkeys(Slow, 50)
    assert cuts(service) == {"headers": 50, "body": 50, "answer": 50}


@pytest.mark.slow
def test_who_sends_nothing_is_closed(service: Service) -> None:
    before = cuts(service).get("nothing", 0)
    with connected(service) as sock:
        assert_closed(sock)
    assert cuts(service)["nothing"] == before + 1


def assert_closed(sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Slow.HEADERS, Slow.BODY])
def test_a_drip_is_one_request_with_one_time(service: Service, kind: Slow) -> None:
    """Each byte comes in time, and all of them do not."""
    before = cuts(service).get(kind, 0)
    sock = slow_client(port_of(service), kind)
    with sock, sock.makefile("rb") as answer:
        sock.settimeout(0.1)
        begun = time.monotonic()
        while True:
            try:
                sock.send(b" ")
                if sock.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                assert time.monotonic() < begun + 20 * SECONDS, "it drips for ever"
        sock.settimeout(PATIENCE)
        status, body = read_answer(answer)
        assert (status, json.loads(body)["code"]) == (408, "request_timeout")
        assert answer.read() == b""
    assert cuts(service)[kind] == before + 1


@pytest.mark.slow
def test_who_reads_slowly_gets_all_of_it(service: Service) -> None:
    """For longer than the time, but never without taking some of it."""
    wanted = (ROOT / BIG.removeprefix("/")).read_bytes()
    sock = slow_client(port_of(service), Slow.ANSWER)
    digest, size, begun = hashlib.sha256(), 0, time.monotonic()
    with sock, sock.makefile("rb") as answer:
        while answer.readline() != b"\r\n":
            pass
        while size < len(wanted):
            piece = answer.read(min(len(wanted) // 40, len(wanted) - size))
            digest.update(piece)
            size += len(piece)
            assert piece
            time.sleep(2 * SECONDS / 40)
    assert time.monotonic() > begun + SECONDS
    assert digest.digest() == hashlib.sha256(wanted).digest()


@pytest.mark.slow
def test_a_body_that_is_waited_for(patient: Service) -> None:
    """curl and others send `Expect: 100-continue` and hold a larger body back."""
    head, body = a_charge(Expect="100-continue")
    with connected(patient) as sock, sock.makefile("rb") as answers:
        sock.sendall(head)
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answers.readline() == b"\r\n"
        sock.sendall(body)
        assert read_answer(answers)[0] == 201
        sock.sendall(head.replace(b"Key: ", b"Key: again-") + body)  # not held back after all
        assert read_answer(answers)[0] == 409  # the order is paid


@pytest.mark.slow
def test_requests_in_one_piece_and_in_many(patient: Service) -> None:
    """Pipelined, on one connection; and each split where it hurts."""
    one, two = b"".join(a_charge()), b"".join(a_charge())
    three = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(patient) as sock, sock.makefile("rb") as answers:
        sock.sendall(one + two + three + three[:10])
        assert [read_answer(answers)[0] for _ in range(3)] == [201, 201, 200]
        sock.sendall(three[10:])
        assert read_answer(answers)[0] == 200
        for cut in (1, 20, len(three) - 3, len(three) - 1):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(three[:cut])
            sock.sendall(three[cut:])
            assert read_answer(answers)[0] == 200


@pytest.mark.slow
def test_where_all_places_are_taken_the_oldest_half_request_goes(
    make_service: MakeService,
) -> None:
    service = make_service(
        WEB_WORKERS="1", GUNICORN_CMD_ARGS="--worker-connections 20", REQUEST_READ_SECONDS="60"
    )
    crowd = Crowd(port_of(service), 40, [Slow.HEADERS])
    try:
        assert service.get("/health").status_code == 200
        assert cuts(service)["crowded"] >= 20
    finally:
        crowd.leave()


@pytest.mark.slow
def test_an_end_in_good_order(make_service: MakeService, app: Flask, sandbox: Sandbox) -> None:
    """What is under way is answered; half a request holds nobody up, however long it may take."""
    service = make_service(REQUEST_READ_SECONDS="600", WEB_GRACEFUL_TIMEOUT="300")
    token = a_key()
    order = an_order(payment_token=token)
    arm(sandbox, "charge", "slow", match={"token": token}, ms=1500)
    crowd = Crowd(port_of(service), 20)
    answers: list[requests.Response] = []

    def charge() -> None:
        headers = {"Idempotency-Key": a_key()}
        answers.append(service.post("/v1/payments/charge", order, headers=headers))

    charging = threading.Thread(target=charge)
    charging.start()
    try:
        begun = f"SELECT 1 FROM payments WHERE order_id = {order['order_id']}"
        eventually(lambda: rows(app, begun))
        assert service.web
        service.web.send_signal(signal.SIGTERM)
        charging.join()
        assert [answer.status_code for answer in answers] == [201]
        crowd.leave()
        assert service.web.wait(PATIENCE) == 0
    finally:
        charging.join()


class Patient(Service):
    """The service with a route that has times of its own."""

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        return super()._spawn(*command[:-1], "tests.patient_app:create_app()")


@pytest.mark.slow
def test_a_route_with_times_of_its_own(make_service: MakeService) -> None:
    service = make_service(Patient)
    half = (
        b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nab"
    )
    with connected(service) as usual, connected(service) as patient:
        patient.sendall(b"POST /patient" + half)
        usual.sendall(b"POST /v1/payments" + half)
        assert usual.recv(100).startswith(b"HTTP/1.1 408 ")
        assert cuts(service) == {"body": 1}
        patient.sendall(b"cd")
        # The app has it, and takes no body there.
        assert patient.recv(100).startswith(b"HTTP/1.1 422 ")


@pytest.mark.slow
def test_a_large_answer_needs_no_thread(patient: Service) -> None:
    """More clients that take some of theirs now and then than there are threads."""
    socks = [slow_client(port_of(patient), Slow.ANSWER) for _ in range(12)]
    try:
        for sock in socks:
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        assert patient.get("/health").status_code == 200
    finally:
        for sock in socks:
            sock.close()
