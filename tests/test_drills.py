"""What the drills measure and how they judge it; the drills themselves are run by `make drills`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.campaign.ledger import Books
from tests.campaign.told import Answer, Asked
from tests.drills.balancer import Balancer
from tests.drills.callers import Came, Watch
from tests.drills.releases import migrations
from tests.drills.scene import counted, lost
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT, reserved_port


def _watched(*came: tuple[float, float, int]) -> Watch:
    watch = Watch()
    for one in came:
        watch.note(Came(*one))
    return watch


def test_refusal_lasts_until_the_last_one_that_was_refused() -> None:
    watch = _watched((8, 9, 201), (9.5, 11, 503), (11, 12, 201), (11, 13.5, 0), (14, 15, 201))
    assert watch.refused_for(10) == 3.5


def test_refusal_lasts_until_somebody_is_served() -> None:
    watch = _watched((8, 9, 201), (9.5, 11, 503), (9, 12, 201), (12, 14, 402))
    assert watch.refused_for(10) == 4, "one that was sent before the blow proves nothing"


def test_nobody_refused_is_no_refusal() -> None:
    watch = _watched((8, 9, 201), (12, 14, 409))
    assert watch.refused_for(10) == 0
    assert watch.longest_refusal() == 0


def test_the_longest_refusal_is_one_in_which_nobody_is_served() -> None:
    watch = _watched(
        (0, 1, 201), (1, 2, 503), (2, 3, 0), (3, 4, 201), (4, 9, 201), (9, 9.5, 500), (9, 10, 201)
    )
    assert watch.longest_refusal() == 3
    assert len(watch.unserved()) == 3


def _told(reference: str, status: int = 201) -> Asked:
    body = json.dumps({"payment_id": 1, "reference": reference, "status": "SUCCESS"})
    answer = Answer(0.0, status, body, replayed=False)
    return Asked("charge", "/v1/payments/charge", {}, "key", None, answers=[answer])


def test_what_was_acknowledged_and_is_no_row_is_lost() -> None:
    books = Books(asked=[_told("PAY-1"), _told("PAY-2"), _told("PAY-3", 402), _told("PAY-4", 503)])
    books.payments = [
        {"payment_id": 1, "reference": "PAY-1", "trip_id": None, "order_id": 1}
        | {"provider": "sandbox", "captured": 0, "refunded": 0}
    ]
    assert lost(books).keys() == {"PAY-2"}
    assert counted("a drill", books).lost == 1


class _Says(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"{self.server.server_address[1]} {self.headers['Idempotency-Key']} ".encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer + body)))
        self.end_headers()
        self.wfile.write(answer + body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def two_services() -> Iterator[list[int]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Says) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [server.server_address[1] for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    made = Balancer()
    yield made
    made.close()


def _asked(balancer: Balancer) -> requests.Response:
    headers = {"Idempotency-Key": "k1"}
    return requests.post(f"{balancer.url}/x", data=b"body", headers=headers, timeout=PATIENCE)


def test_the_balancer_goes_to_those_that_are_in(
    balancer: Balancer, two_services: list[int]
) -> None:
    first, second = two_services
    balancer.let_in(first)
    assert _asked(balancer).text == f"{first} k1 body"
    balancer.let_in(second)
    assert {_asked(balancer).text for _ in range(4)} == {f"{port} k1 body" for port in two_services}
    balancer.take_out(first)
    assert {_asked(balancer).text for _ in range(3)} == {f"{second} k1 body"}
    assert balancer.failed == []


def test_the_balancer_tells_what_it_could_not_pass_on(balancer: Balancer) -> None:
    assert _asked(balancer).status_code == 502, "nobody is in"
    with reserved_port() as gone:
        balancer.let_in(gone.getsockname()[1])
        assert _asked(balancer).status_code == 502
    assert len(balancer.failed) == 2


def test_migrations_are_known_by_their_numbers() -> None:
    assert {"0001", "0016"} <= migrations(ROOT)
