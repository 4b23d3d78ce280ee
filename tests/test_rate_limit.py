"""How requests are counted: by all processes together, exactly, in one round trip, while the
database is at work; and in each process's memory while Redis is away."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from flask import Flask, g
from sqlalchemy import event

from payment_service import embedded, ratelimit
from payment_service.extensions import db
from payment_service.patient_redis import REDIS_PATIENCE
from payment_service.ratelimit import windows
from payment_service.ratelimit.full import MOST_NAMES, Full
from payment_service.ratelimit.windows import MOST_KEPT, Limit, Standing, narrowest
from tests.books import payments_of
from tests.fixtures import MakeApp, StartService, a_key, an_order
from tests.patience import PATIENCE
from tests.patient_app import PATIENT_APP
from tests.sandbox_calls import eventually

PROCESSES = 3
ALLOWED, ASKED = 45, 90


def a_limit(days: int) -> str:
    """Each test names days of its own, because one window is one count."""
    return f"{ALLOWED} per {days} day"


@pytest.mark.slow
def test_the_count_of_three_processes_is_exact(start_service: StartService) -> None:
    """Reads, charges and what is refused at once: as many are answered as the limit says, and each
    of the others is told that it is one too many. Who is over it charges nothing."""
    limit = a_limit(2)
    urls = [start_service(app=PATIENT_APP, RATE_LIMIT=limit).url for _ in range(PROCESSES)]

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
        event.listen(engine, "checkout", lambda *_: on_its_way.append(g.hit.sent is not None))
    client = app.test_client()
    assert client.get("/v1/payments?limit=1").status_code == 200
    assert on_its_way == [True]
    client.post("/v1/payments/1/cancel")
    assert set(on_its_way[1:]) == {False}


def test_each_request_hears_its_own_count(make_app: MakeApp) -> None:
    """One is answered in the middle of another, whose hit is on its way."""
    app = make_app(rate_limit="3 per 8 day")
    path = "/v1/payments?limit=1"
    for _ in range(2):  # the first may give Redis its scripts; the second leaves its connection
        assert app.test_client().get(path).status_code == 200
    told: list[int] = []

    def ask(*_: object) -> None:
        if not told:
            told.append(0)
            with ThreadPoolExecutor(1) as other:  # with a context of its own
                told.append(other.submit(app.test_client().get, path).result().status_code)

    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "checkout", ask)
    assert app.test_client().get(path).status_code == 200
    assert told == [0, 429]


def test_who_is_over_the_limit_has_no_receipt_rendered(make_app: MakeApp) -> None:
    """Nothing is even read for him: a PDF takes as long as a few hundred reads."""
    app = make_app(rate_limit="2 per 10 day")
    client = app.test_client()
    paid = client.post("/v1/payments/charge", json=an_order(), headers={"Idempotency-Key": a_key()})
    receipt = f"/v1/payments/{paid.json['payment_id']}/receipt?format=pdf"
    assert client.get(receipt).status_code == 200
    read: list[object] = []
    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "checkout", lambda *_: read.append(1))
    assert client.get(receipt).status_code == 429
    assert read == []


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
    """All of them may find at once that Redis has lost the scripts."""
    [limiter] = make_app(web_threads=300).extensions["limiter"]
    client: Any = limiter.storage.get_connection()
    assert client.connection_pool.max_connections >= 300


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
    """It counts, and can't be asked how many there are: memory takes over."""
    server = embedded.start_redis(tmp_path)
    try:
        client = make_app(rate_limit="2 per 2 day", redis_url=server.url).test_client()
        assert client.get("/v1/payments?limit=1").status_code == 200
        asked: Any = redis.Redis.from_url(server.url)
        for name in ("default", *asked.acl_users()):
            asked.execute_command("ACL", "SETUSER", name, "-lindex")
        told = [client.get("/v1/payments?limit=1"), client.post("/v1/payments/1/cancel")]
        assert [answer.headers["RateLimit-Remaining"] for answer in told] == ["1", "0"]
        assert client.get("/v1/payments?limit=1").status_code == 429
    finally:
        server.stop()


def test_a_redis_that_has_lost_its_scripts_counts_on(make_app: MakeApp, redis_url: str) -> None:
    """For all processes: another app hears the same."""
    client = make_app(rate_limit=a_limit(4)).test_client()
    assert client.get("/v1/payments?limit=1").status_code == 200
    server: Any = redis.Redis.from_url(redis_url)
    server.script_flush()
    told = [client.get("/v1/payments?limit=1").status_code for _ in range(ALLOWED)]
    assert told == [200] * (ALLOWED - 1) + [429]
    other = make_app(rate_limit=a_limit(4)).test_client()
    assert other.get("/v1/payments?limit=1").status_code == 429


def test_a_request_is_one_round_trip(make_app: MakeApp, tmp_path: Path) -> None:
    """Whatever is asked, how many windows there are, and although its headers say what is left."""
    server = embedded.start_redis(tmp_path)
    try:
        limit = "9 per 3 day; 5000 per 4 day"
        client = make_app(rate_limit=limit, redis_url=server.url).test_client()
        asked: Any = redis.Redis.from_url(server.url)

        def reads() -> int:
            """How often Redis has read something from somebody; this call, too."""
            return int(asked.info("stats")["total_reads_processed"])

        for path in ("/v1/payments?limit=1", "/v1/no/such/page"):
            client.get(path)  # connects
            before = reads()
            for _ in range(3):
                assert "RateLimit-Remaining" in client.get(path).headers
            assert reads() - before == 3 + 1
    finally:
        server.stop()


def test_nobody_is_asked_about_who_is_known_to_have_no_room(
    make_app: MakeApp, tmp_path: Path
) -> None:
    """Of what anybody may send any number of. The others are counted as ever, and so is he where
    another limit is in question."""
    server = embedded.start_redis(tmp_path)
    try:
        counter = make_app(redis_url=server.url).extensions["limits"].counter
        asked: Any = redis.Redis.from_url(server.url)

        def reads() -> int:
            return int(asked.info("stats")["total_reads_processed"])

        narrow, both = Limit("a", "", "2 per day"), Limit("b", "", "2 per day; 9 per 2 day")
        told = [counter.hit_unless_full(narrow, "he").standing() for _ in range(3)]
        assert [one.taken for one in told] == [True, True, False]
        before = reads()
        known = counter.hit_unless_full(narrow, "he").standing()
        assert (known.taken, known.remaining, known.window) == (False, 0, told[2].window)
        assert 0 < known.reset <= told[2].reset
        assert reads() - before == 1  # that of asking how many there were
        assert counter.hit_unless_full(narrow, "she").standing().taken
        assert [counter.hit_unless_full(both, "he").standing().taken for _ in range(4)] == [
            *(True, True, False, False)
        ]
        assert reads() - before == 1 + 1 + 5
    finally:
        server.stop()


def test_what_is_known_of_who_had_no_room_ends_with_the_time_that_was_told() -> None:
    full, limit = Full(), Limit("a", "", "2 per day")
    [window] = limit.windows
    full.keep(limit, "he", Standing(window, False, 0, 1000.0))
    full.keep(limit, "she", Standing(window, True, 0, 1000.0))
    assert full.standing(limit, "he") is not None
    assert full.standing(limit, "she") is None
    full.keep(limit, "he", Standing(window, False, 0, 0.0))
    assert full.standing(limit, "he") is None


def test_no_number_of_names_without_room_fills_anything() -> None:
    full, limit = Full(), Limit("a", "", "2 per day")
    [window] = limit.windows
    for number in range(MOST_NAMES + 5):
        full.keep(limit, str(number), Standing(window, False, 0, 1000.0))
    known = sum(full.standing(limit, str(number)) is not None for number in range(MOST_NAMES + 5))
    assert known == 5


@pytest.mark.parametrize(("most", "kind"), [(MOST_KEPT - 1, b"list"), (MOST_KEPT, b"string")])
def test_what_is_kept_of_a_limit_for_many_does_not_grow(
    make_app: MakeApp, tmp_path: Path, most: int, kind: bytes
) -> None:
    """The time of each request where few may come; two numbers where many may."""
    server = embedded.start_redis(tmp_path)
    try:
        client = make_app(rate_limit=f"{most} per day", redis_url=server.url).test_client()
        for left in (1, 2):
            answer = client.get("/v1/payments?limit=1")
            assert answer.headers["RateLimit-Remaining"] == str(most - left)
        asked: Any = redis.Redis.from_url(server.url)
        [key] = asked.keys()
        assert asked.type(key) == kind
        assert kind == b"string" or asked.llen(key) == 2
    finally:
        server.stop()


@pytest.mark.parametrize("in_redis", [True, False])
@pytest.mark.parametrize("most_kept", [0, MOST_KEPT])
def test_there_is_room_again_when_the_answer_says(
    make_app: MakeApp,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    in_redis: bool,
    most_kept: int,
) -> None:
    """Of both kinds of windows, in Redis and in memory."""
    monkeypatch.setattr(windows, "MOST_KEPT", most_kept)
    app = make_app(rate_limit="2 per second", redis_url=redis_url if in_redis else None)
    client, come_from = app.test_client(), {"REMOTE_ADDR": f"10.1.{in_redis:d}.{most_kept % 7}"}
    path = "/v1/no/such/page"
    while (answer := client.get(path, environ_overrides=come_from)).status_code == 404:
        pass
    assert answer.headers["RateLimit-Remaining"] == "0"
    time.sleep(int(answer.headers["Retry-After"]))  # as a caller does that is told so
    assert client.get(path, environ_overrides=come_from).status_code == 404


def a_stop(server: embedded.Server) -> None:
    server.process.send_signal(signal.SIGSTOP)


@pytest.mark.usefixtures("redis_is_not_waited_for")
@pytest.mark.parametrize("gone", [embedded.Server.stop, a_stop])
def test_memory_takes_over_while_redis_is_away(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: Any
) -> None:
    """Each process counts for itself then. What Redis counted before stands when it is back."""
    monkeypatch.setattr(ratelimit, "AWAY_SECONDS", 1.0)
    server = embedded.start_redis(tmp_path)
    client = make_app(rate_limit="3 per 2 day", redis_url=server.url).test_client()

    def told() -> list[int]:
        return [client.get("/v1/payments?limit=1").status_code for _ in range(4)]

    try:
        assert client.get("/v1/payments?limit=1").status_code == 200
        gone(server)
        assert told() == [200, 200, 200, 429]
        assert client.get("/health/ready").json["status"] == "DEGRADED"
        if server.alive():
            server.process.send_signal(signal.SIGCONT)
        else:
            server = embedded.start_redis(tmp_path)
        # In memory there is no more room for two days; in Redis there is.
        eventually(lambda: client.get("/v1/payments?limit=1").status_code == 200)
        assert 429 in told()
        eventually(lambda: client.get("/health/ready").json["status"] == "UP")
        gone(server)  # and memory has forgotten everybody meanwhile
        assert told() == [200, 200, 200, 429]
    finally:
        if server.alive():
            server.process.send_signal(signal.SIGCONT)
        server.stop()


@pytest.mark.usefixtures("redis_is_not_waited_for")
@pytest.mark.parametrize("answer", [b"+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
@pytest.mark.parametrize("protocol", [2, 3])
def test_what_is_no_redis_is_no_internal_error(
    make_app: MakeApp, answer: bytes, protocol: int
) -> None:
    """It talks of something else, from the greeting on or when it should count; or hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=talk, args=(server, answer), daemon=True).start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0?protocol={protocol}"
        client = make_app(rate_limit="1 per 2 day", redis_url=url).test_client()
        assert client.get("/v1/no/such/page").status_code == 404
        assert client.get("/v1/no/such/page").status_code == 429
        server.shutdown(socket.SHUT_RDWR)


def talk(server: socket.socket, answer: bytes, seconds: float = 0.0) -> int:
    """Answers whatever comes, each time after so many seconds. How often it did."""
    times = 0
    try:
        while True:
            connection, _ = server.accept()
            with connection:
                while answer and connection.recv(65536):
                    time.sleep(seconds)
                    connection.sendall(answer)
                    times += 1
    except OSError:
        return times


@pytest.mark.usefixtures("redis_is_not_waited_for")
def test_the_greeting_of_a_slow_redis_is_not_waited_for_word_by_word(make_app: MakeApp) -> None:
    """Each of its answers comes within the patience, and all of them together do not."""
    slow = REDIS_PATIENCE * 0.6
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        url = f"redis://:secret@127.0.0.1:{server.getsockname()[1]}/3?protocol=2"
        client = make_app(rate_limit="1 per 2 day", redis_url=url).test_client()
        times = pool.submit(talk, server, b"+OK\r\n", slow)
        assert client.get("/v1/no/such/page").headers["RateLimit-Remaining"] == "0"
        server.shutdown(socket.SHUT_RDWR)
        assert times.result(PATIENCE) <= 2


@pytest.mark.usefixtures("redis_is_not_waited_for")
def test_a_redis_that_has_lost_its_scripts_is_not_waited_for_word_by_word(
    make_app: MakeApp,
) -> None:
    """It is told them within the patience of the hit that noticed, or this one is not counted."""
    slow, forgetful, hits = REDIS_PATIENCE * 0.4, threading.Event(), []

    def converse(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while words := connection.recv(65536):
                for command in re.findall(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n", words):
                    is_hit = command == b"EVALSHA"
                    if forgetful.is_set() and is_hit:
                        hits.append(command)
                    if forgetful.is_set() and command in (b"EVALSHA", b"SCRIPT"):
                        time.sleep(slow)
                    connection.sendall(b"-NOSCRIPT No such script.\r\n" if is_hit else b"+OK\r\n")

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=converse, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0?protocol=2"

        def told() -> list[bytes]:
            """On a busy machine even the connection may take longer than the patience."""
            forgetful.clear()
            client = make_app(rate_limit="1 per 2 day", redis_url=url).test_client()
            forgetful.set()
            assert client.get("/v1/no/such/page").headers["RateLimit-Remaining"] == "0"
            return hits

        eventually(told)
        server.shutdown(socket.SHUT_RDWR)
    assert len(hits) == 1


def test_memory_forgets_before_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MOST_COUNTS", 10)
    memory, limit = windows.Memory(), Limit("service", "requests", "2 per day; 5000 per day")
    for number in range(100):
        told = [memory.hit(limit, str(number)).taken for _ in range(3)]
        assert told.count(True) >= 2
        assert memory.counts() <= 10 + 2
    assert [memory.hit(limit, "99").taken for _ in range(3)][-1] is False


def test_of_two_windows_without_room_the_longer_wait_is_told() -> None:
    second, minute = Limit("service", "requests", "5 per second; 9 per minute").windows
    full = [Standing(second, False, 0, 0.5), Standing(minute, False, 0, 40.0)]
    assert narrowest(full).reset == narrowest(full[::-1]).reset == 40.0
