"""Which limit a request counts for: one, the narrowest; and what whoever is over it hears."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payment_service import embedded
from tests.fixtures import MakeApp, StartService, a_key, a_number, an_order
from tests.patience import PATIENCE
from tests.patient_app import PATIENT_APP
from tests.tokens import SECRET, SECURED, a_token, bearing

LIMITS = {"address": 40, "rider": 41, "service": 42, "charge": 43, "refund": 44}
SETTINGS = {
    "rate_limit": f"{LIMITS['address']} per day",
    "rate_limit_default": f"{LIMITS['rider']} per day",
    "rate_limit_service": f"{LIMITS['service']} per day",
    "rate_limit_charge": f"{LIMITS['charge']} per day",
    "rate_limit_refund": f"{LIMITS['refund']} per day",
}
NAMES = ("Limit", "Remaining", "Reset")
_addresses = (f"10.9.{number // 250}.{number % 250 + 1}" for number in itertools.count())


class Asker:
    """A caller, from an address of its own and with a name of its own."""

    def __init__(self, app: Flask, **claims: Any) -> None:
        self._client: FlaskClient = app.test_client()
        self._from = {"REMOTE_ADDR": next(_addresses)}
        self.headers = bearing(a_token(**{"sub": str(a_number()), **claims})) if claims else {}

    def ask(self, method: str, path: str, key: str | None = None, **kwargs: Any) -> TestResponse:
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return self._client.open(
            path, method=method, environ_overrides=self._from, **{"headers": headers, **kwargs}
        )

    def charged(self) -> TestResponse:
        return self.ask("POST", "/v1/payments/charge", a_key(), json=an_order())


def counted_by(answer: TestResponse) -> tuple[str | None, int]:
    """The name of the limit that an answer tells of, and how many requests it has counted."""
    told = [[answer.headers.get(f"{x}RateLimit-{name}") for name in NAMES] for x in ("", "X-")]
    assert told[0] == told[1]
    if told[0] == [None] * 3:
        return None, 0
    most, left, reset = (int(value or "") for value in told[0])
    assert 0 < reset <= 86400
    [name] = [name for name, limit in LIMITS.items() if limit == most]
    return name, most - left


@pytest.fixture(scope="module")
def limited(make_app: MakeApp) -> Flask:
    return make_app(**SECURED, **SETTINGS)


@pytest.fixture
def service(limited: Flask) -> Asker:
    return Asker(limited, scope="payments:read payments:write refunds:write")


def test_who_shows_no_good_token_counts_by_address(limited: Flask) -> None:
    """Whatever that is answered, so that guessing has an end."""
    nobody = Asker(limited)
    guesses = [{}, bearing("guessed"), bearing(a_token(exp=1_600_000_000)), bearing(a_token()[:-3])]
    for number, headers in enumerate(guesses, start=1):
        answer = nobody.ask("GET", "/v1/payments", headers=headers)
        assert (answer.status_code, counted_by(answer)) == (401, ("address", number))
    for path, status in (("/v1/nothing", 404), ("/openapi.json", 200), ("/static/x", 404)):
        answer = nobody.ask("GET", path, headers=bearing(a_token()))
        assert (answer.status_code, counted_by(answer)[0]) == (status, "address")
    assert counted_by(nobody.ask("OPTIONS", "/v1/payments")) == ("address", 8)


def test_guessing_has_an_end(make_app: MakeApp) -> None:
    """Of callers' tokens and of METRICS_TOKEN; who has it reads the metrics all the same."""
    token = "a-token-of-prometheus"
    app = make_app(**SECURED, rate_limit="3 per day", metrics_token=token)
    for path in ("/v1/payments", "/metrics"):
        nobody = Asker(app)
        told = [nobody.ask("GET", path, headers=bearing(f"guess{n}")) for n in range(5)]
        assert [answer.status_code for answer in told] == [401, 401, 401, 429, 429]
        assert told[-1].json["limit"] == "address"
        assert nobody.ask("GET", "/metrics", headers=bearing(token)).status_code == 200
    # A good token does not go by its address.
    known = Asker(app, scope="payments:read")
    for asker in (nobody, known):
        answer = asker.ask("GET", "/v1/payments", headers=known.headers)
        assert answer.status_code == 200


def test_a_good_token_counts_by_its_name(limited: Flask, service: Asker) -> None:
    rider = Asker(limited, role="rider", scope=None)
    assert counted_by(rider.ask("GET", "/v1/payments?limit=1")) == ("rider", 1)
    assert counted_by(rider.ask("POST", "/v1/payments/charge", json={})) == ("rider", 2)  # a 403
    assert counted_by(service.ask("GET", "/v1/payments?limit=1")) == ("service", 1)
    assert counted_by(service.ask("PATCH", "/v1/payments/1/status", json={})) == ("service", 2)
    assert counted_by(service.ask("POST", "/v1/payments", json={"amount": "1"})) == ("service", 3)
    other = Asker(limited, scope="payments:read")
    assert counted_by(other.ask("GET", "/v1/payments?limit=1")) == ("service", 1)


def test_a_charge_and_a_refund_count_by_limits_of_their_own(service: Asker) -> None:
    """By one each, and by no other."""
    paid = service.charged()
    assert (paid.status_code, counted_by(paid)) == (201, ("charge", 1))
    pending = service.ask("POST", "/v1/payments", json=an_order()).json["payment_id"]
    answer = service.ask("POST", f"/v1/payments/{pending}/charge", a_key())
    assert (answer.status_code, counted_by(answer)) == (201, ("charge", 2))
    part = {"amount": "1.00"}
    one = paid.json["payment_id"]
    answer = service.ask("POST", f"/v1/payments/{one}/refund", a_key(), json=part)
    assert (answer.status_code, counted_by(answer)) == (200, ("refund", 1))
    answer = service.ask("POST", "/v1/refunds", a_key(), json={"payment_id": one, **part})
    assert (answer.status_code, counted_by(answer)) == (201, ("refund", 2))
    # A key that is used up asks nobody for money, and neither does what is refused unread.
    order, key = an_order(), a_key()
    first = service.ask("POST", "/v1/payments/charge", key, json=order)
    assert counted_by(first) == ("charge", 3)
    replay = service.ask("POST", "/v1/payments/charge", key, json=order)
    assert (replay.data, counted_by(replay)) == (first.data, ("service", 2))
    reused = service.ask("POST", "/v1/payments/charge", key, json=an_order())
    assert (reused.status_code, counted_by(reused)) == (422, ("service", 3))
    for status, key, body in ((422, a_key(), {"amount": "x"}), (400, None, an_order())):
        answer = service.ask("POST", "/v1/payments/charge", key, json=body)
        assert (answer.status_code, counted_by(answer)[0]) == (status, "service")
    assert counted_by(service.ask("GET", "/v1/payments?limit=1")) == ("service", 6)


def test_without_limits_of_their_own_they_count_as_all_else(make_app: MakeApp) -> None:
    own = {"rate_limit_charge": None, "rate_limit_refund": None}
    service = Asker(make_app(**SECURED, **SETTINGS | own), scope="payments:write refunds:write")
    paid = service.charged()
    assert counted_by(paid) == ("service", 1)
    refund = {"payment_id": paid.json["payment_id"]}
    assert counted_by(service.ask("POST", "/v1/refunds", a_key(), json=refund)) == ("service", 2)


def test_where_no_token_is_asked_for_the_address_counts(make_app: MakeApp) -> None:
    asker = Asker(make_app(**SETTINGS))
    assert counted_by(asker.ask("GET", "/v1/payments?limit=1")) == ("address", 1)
    assert counted_by(asker.charged())[0] == "charge"
    assert counted_by(asker.ask("GET", "/v1/payments?limit=1")) == ("address", 2)


def test_the_address_is_the_clients_behind_proxies_of_ours(make_app: MakeApp) -> None:
    """Who comes past them can claim no other."""
    app = make_app(rate_limit="2 per day", trusted_proxies="10.8.0.0/16")
    client, ours, others = app.test_client(), "10.8.0.1", next(_addresses)

    def left(peer: str, claimed: str) -> str:
        answer = client.get(
            "/v1/nothing",
            environ_overrides={"REMOTE_ADDR": peer},
            headers={"X-Forwarded-For": claimed},
        )
        return answer.headers["RateLimit-Remaining"]

    claims = ("203.0.113.1", "203.0.113.2", "198.51.100.7, 203.0.113.1")
    assert [left(ours, claimed) for claimed in claims] == ["1", "1", "0"]
    assert [left(others, f"203.0.113.{number}") for number in (3, 4)] == ["1", "0"]


def test_who_watches_is_not_counted(limited: Flask) -> None:
    nobody = Asker(limited)
    for path in ("/health", "/ready", "/health/ready", "/metrics"):
        assert counted_by(nobody.ask("GET", path)) == (None, 0)


@pytest.mark.parametrize("kind", [*LIMITS, "off"])
def test_who_is_over_a_limit_hears_which(make_app: MakeApp, kind: str) -> None:
    """And nothing was done for the request that was one too many."""
    settings = dict.fromkeys(SETTINGS, "1 per day")
    app = make_app(**SECURED, **settings, rate_limit_enabled=kind != "off")
    service = Asker(app, scope="payments:read payments:write refunds:write")
    payment_id = service.charged().json["payment_id"]
    refund = {"payment_id": payment_id, "amount": "1.00"}
    asks: dict[str, tuple[Asker, list[Any]]] = {
        "address": (Asker(app), ["GET", "/v1/payments/providers"]),
        "rider": (Asker(app, role="rider", scope=None), ["GET", "/v1/payments"]),
        "service": (service, ["GET", "/v1/payments"]),
        "charge": (Asker(app, scope="payments:write"), ["POST", "/v1/payments/charge"]),
        "refund": (service, ["POST", "/v1/refunds"]),
        "off": (Asker(app, scope="payments:write"), ["POST", "/v1/payments/charge"]),
    }
    asker, words = asks[kind]
    body = refund if kind == "refund" else an_order()

    def ask() -> TestResponse:
        if words[0] == "GET":
            return asker.ask(*words)
        return asker.ask(*words, a_key(), json=body)

    first, second = ask(), ask()
    assert first.status_code < 300, first.text
    if kind == "off":
        assert (second.status_code, second.json["code"]) == (409, "payment_exists")
        assert "RateLimit-Limit" not in second.headers
        return
    assert (second.status_code, second.content_type) == (429, "application/problem+json")
    told = second.json
    assert (told["code"], told["limit"]) == ("too_many_requests", kind)
    assert told["detail"].startswith("no more than 1 per 1 day: ")
    assert second.headers["Retry-After"] == second.headers["RateLimit-Reset"]
    assert second.headers["RateLimit-Remaining"] == "0"
    assert second.headers["X-Request-ID"]


Ask = tuple[dict[str, Any], str]


def new_charges(count: int) -> list[Ask]:
    """Bodies and keys."""
    return [(an_order(), a_key()) for _ in range(count)]


@pytest.mark.slow
def test_a_limit_of_charges_holds_for_all_processes_and_not_for_replays(
    start_service: StartService, tmp_path: Path
) -> None:
    """60 at once, 30 may. Then Redis dies, and nobody hears of it."""
    server = embedded.start_redis(tmp_path)
    services = [
        start_service(
            app=PATIENT_APP,
            AUTH_MODE="jwt",
            JWT_SECRET=SECRET,
            REDIS_URL=server.url,
            RATE_LIMIT_CHARGE="30 per hour",
        )
        for _ in range(3)
    ]

    answered = threading.Semaphore(0)

    def at_once(asks: list[Ask], sub: str = "one") -> list[requests.Response]:
        token = bearing(a_token(sub=sub))

        def charge(number: int) -> requests.Response:
            order, key = asks[number]
            headers = {"Idempotency-Key": key, **token}
            answer = services[number % 3].post("/v1/payments/charge", order, headers=headers)
            answered.release()
            return answer

        with ThreadPoolExecutor(60) as pool:
            return list(pool.map(charge, range(len(asks)), timeout=PATIENCE))

    try:
        asks = new_charges(60)
        told = at_once(asks)
        assert Counter(answer.status_code for answer in told) == {201: 30, 429: 30}
        refused = [answer for answer in told if answer.status_code == 429]
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert {answer.json()["limit"] for answer in refused} == {"charge"}

        paid = [ask for ask, answer in zip(asks, told, strict=True) if answer.status_code == 201]
        again = at_once(paid)
        assert {answer.status_code for answer in again} == {201}
        assert {answer.headers["Idempotent-Replayed"] for answer in again} == {"true"}

        answered = threading.Semaphore(0)
        with ThreadPoolExecutor(1) as other:
            charging = other.submit(at_once, new_charges(60), "another")
            for _ in range(10):
                assert answered.acquire(timeout=PATIENCE)
            server.process.kill()
            told = charging.result(PATIENCE)
        count = Counter(answer.status_code for answer in told)
        assert count.keys() <= {201, 429}
        assert count[201] >= 30  # each process counts for itself now
        assert {answer.status_code for answer in at_once(new_charges(6), "third")} == {201}
        assert {answer.status_code for answer in at_once(paid)} == {201}
        for service in services:
            ready = service.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "DEGRADED")
    finally:
        server.stop()
