"""One limit for all processes: reads are counted while the database is at work, and exactly."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redis
import requests
from flask import Flask, g
from sqlalchemy import event

from payment_service import embedded
from payment_service.extensions import db
from payment_service.ratelimit import limiter
from tests.books import payments_of
from tests.fixtures import MakeApp, StartService, a_key, an_order
from tests.patience import PATIENCE

PROCESSES = 3
ALLOWED, ASKED = 45, 90


def a_limit(days: int) -> str:
    """Each test names days of its own, because one window is one count."""
    return f"{ALLOWED} per {days} day"


def test_the_count_of_three_processes_is_exact(start_service: StartService) -> None:
    """Reads, charges and what is refused at once: as many are answered as the limit says, and each
    of the others is told that it is one too many. Who is over it charges nothing."""
    limit = a_limit(2)
    urls = [start_service(RATE_LIMIT=limit).url for _ in range(PROCESSES)]

    def ask(number: int) -> tuple[str, int]:
        url = urls[number % PROCESSES]
        if number % 4 == 0:
            sent = requests.post(
                f"{url}/v1/payments/charge",
                json=an_order(),
                headers={"Idempotency-Key": a_key()},
                timeout=PATIENCE,
            )
            return "charge", sent.status_code
        path = "/v1/payments?limit=1" if number % 4 == 1 else "/v1/payments/999999999999"
        return "read", requests.get(url + path, timeout=PATIENCE).status_code

    with ThreadPoolExecutor(12) as pool:
        told = Counter(pool.map(ask, range(ASKED)))
    refused = sum(count for (_, status), count in told.items() if status == 429)
    assert ASKED - refused == ALLOWED, told
    assert {status for _, status in told} == {200, 201, 404, 429}, told


def test_a_read_does_not_wait_for_its_count(make_app: MakeApp) -> None:
    """The hit is on its way while the database is asked; a change is counted before it begins."""
    app = make_app(rate_limit=a_limit(3))
    on_its_way: list[bool] = []
    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "checkout", lambda *_: on_its_way.append("rate_limit" in g))
    client = app.test_client()
    assert client.get("/v1/payments?limit=1").status_code == 200
    assert on_its_way == [True]
    client.post("/v1/payments/1/cancel")
    assert set(on_its_way[1:]) == {False}


def test_each_request_hears_its_own_count(make_app: MakeApp) -> None:
    """One is answered in the middle of another, whose hit is on its way."""
    app = make_app(rate_limit="3 per 8 day")
    path = "/v1/payments?limit=1"
    for _ in range(2):  # the first may give Redis its script; the second leaves its connection
        assert app.test_client().get(path).status_code == 200
    told: list[int] = []

    def ask(*_: object) -> None:
        if not told:
            told.append(0)
            told.append(app.test_client().get(path).status_code)

    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "checkout", ask)
    assert app.test_client().get(path).status_code == 200
    assert told == [0, 429]


def test_who_is_over_the_limit_changes_nothing(make_app: MakeApp, app: Flask) -> None:
    client = make_app(rate_limit="2 per 9 day").test_client()
    for _ in range(2):
        assert client.get("/v1/payments?limit=1").status_code == 200
    order = an_order()
    refused = [
        client.post("/v1/payments/charge", json=order, headers={"Idempotency-Key": a_key()}),
        client.get("/v1/payments?limit=1"),
        client.get("/v1/no/such/page"),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["X-Request-ID"]
    assert payments_of(app, order_id=order["order_id"]) == []


def test_redis_has_a_connection_for_each_thread(make_app: MakeApp) -> None:
    """All of them may find at once that Redis has lost the script."""
    make_app(web_threads=300)
    client: Any = limiter.storage
    assert client.get_connection().connection_pool.max_connections >= 300


def test_a_connection_that_redis_has_closed_is_replaced(make_app: MakeApp, tmp_path: Path) -> None:
    """That shows when the hit's answer is to be read, and the count is none the worse."""
    server = embedded.start_redis(tmp_path)
    try:
        client = make_app(rate_limit=a_limit(5), redis_url=server.url).test_client()
        asked: Any = redis.Redis.from_url(server.url)
        told = []
        for number in range(ALLOWED + 1):
            if number % 5 == 3:
                asked.client_kill_filter(_type="normal", skipme=True)
            path = "/v1/payments?limit=1" if number % 2 else "/v1/no/such/page"
            told.append(client.get(path).status_code)
        assert told == [404, 200] * (ALLOWED // 2) + [404, 429]
    finally:
        server.stop()


def test_nobody_is_told_what_another_may(make_app: MakeApp) -> None:
    """Threads take turns with the connections to Redis, and each hit has two answers there."""
    app = make_app(rate_limit="6 per 6 day; 1000 per 7 day")
    asks = {f"10.0.0.{number}": 4 if number % 2 else 12 for number in range(8)}

    def ask(address: str) -> Counter[int]:
        client = app.test_client()
        come_from = {"REMOTE_ADDR": address}
        return Counter(
            client.get("/v1/payments?limit=1", environ_overrides=come_from).status_code
            for _ in range(asks[address])
        )

    with ThreadPoolExecutor(8) as pool:
        told = dict(zip(asks, pool.map(ask, asks), strict=True))
    for address, count in asks.items():
        assert told[address] == Counter({200: min(count, 6), 429: max(0, count - 6)}) - Counter()


def test_a_redis_that_may_take_no_script_is_no_internal_error(
    make_app: MakeApp, tmp_path: Path
) -> None:
    server = embedded.start_redis(tmp_path)
    try:
        client = make_app(rate_limit=a_limit(8), redis_url=server.url).test_client()
        asked: Any = redis.Redis.from_url(server.url)
        asked.script_flush()
        for name in ("default", *asked.acl_users()):
            asked.execute_command("ACL", "SETUSER", name, "-script")
        for _ in range(2):
            assert client.get("/v1/payments?limit=1").status_code == 200
    finally:
        server.stop()


def test_a_redis_that_tells_only_half_is_no_internal_error(
    make_app: MakeApp, tmp_path: Path
) -> None:
    """It counts, and can't be asked when the window ends."""
    server = embedded.start_redis(tmp_path)
    try:
        client = make_app(rate_limit="1 per 2 day", redis_url=server.url).test_client()
        assert client.get("/v1/payments?limit=1").status_code == 200
        for name in ("default", *redis.Redis.from_url(server.url).acl_users()):
            redis.Redis.from_url(server.url).execute_command("ACL", "SETUSER", name, "-ttl", "-get")
        for answer in (client.get("/v1/payments?limit=1"), client.post("/v1/payments/1/cancel")):
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    finally:
        server.stop()


def test_a_redis_that_has_lost_its_scripts_counts_on(make_app: MakeApp, redis_url: str) -> None:
    client = make_app(rate_limit=a_limit(4)).test_client()
    assert client.get("/v1/payments?limit=1").status_code == 200
    server: Any = redis.Redis.from_url(redis_url)
    server.script_flush()
    told = [client.get("/v1/payments?limit=1").status_code for _ in range(ALLOWED)]
    assert told == [200] * (ALLOWED - 1) + [429]
