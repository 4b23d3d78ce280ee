"""Everybody who hears events is down for a while and back, and relays are killed meanwhile."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
from flask import Flask

from tests.books import execute, row, rows
from tests.fixtures import MakeApp
from tests.patience import ENVIRONMENT, PATIENCE
from tests.rabbitmq_server import Broker, running_rabbitmq
from tests.running_service import Service
from tests.sandbox_calls import arm, disarm, eventually
from tests.sandbox_server import Sandbox, running_sandbox
from tests.sisters import (
    HTTP_SINKS,
    apps_on,
    assert_first_deliveries_in_order,
    heard,
    inbox,
    key,
    pay,
    pay_and_give_back,
    urls,
)

PERSISTENT = ENVIRONMENT | {
    "OUTBOX_BACKOFF_MAX_SECONDS": "1",
    "OUTBOX_MAX_ATTEMPTS": "100000",
    "LOG_LEVEL": "WARNING",
}
A_DAY = 24 * 3600 * 1000  # ms; longer than any test, and let go before


class Listener:
    """A durable queue bound to everything."""

    def __init__(self, broker: Broker) -> None:
        self.told: list[tuple[int, int]] = []
        self._broker = broker
        link = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = link.channel()
        channel.exchange_declare("payments", "topic", durable=True)
        channel.queue_declare("everything", durable=True)
        channel.queue_bind("everything", "payments", "#")
        link.close()

    def take_all(self) -> list[tuple[int, int]]:
        """(payment, seq) of all messages, oldest first."""
        link = pika.BlockingConnection(pika.URLParameters(self._broker.url))
        channel = link.channel()
        while (message := channel.basic_get("everything", auto_ack=True))[0] is not None:
            self.told.append(key(message[1].message_id))
        link.close()
        return self.told


@contextmanager
def relays(directory: Path, database: str, **env: str) -> Iterator[Service]:
    """Two `flask worker` processes."""
    service = Service(directory, DATABASE_URL=database, **PERSISTENT, **env)
    try:
        for _ in range(2):
            service.start_worker()
        yield service
    finally:
        service.close()


def leases_run_out(app: Flask) -> None:
    """What a killed relay had in hand is free for others, and what waits is due."""
    execute(app, "UPDATE deliveries SET due_at = now() WHERE done_at IS NULL")


def left(app: Flask) -> int:
    found: int = row(app, "SELECT count(*) AS n FROM deliveries WHERE done_at IS NULL")["n"]
    return found


def settings_of(sisters: Sandbox, sandbox: Sandbox) -> dict[str, str]:
    env = {name.upper(): url for name, url in urls(sisters).items()}
    return env | {"SANDBOX_PROVIDER_URL": sandbox.url}


def owed_events(app: Flask, sink: str) -> set[tuple[int, int]]:
    found = rows(app, "SELECT payment_id, seq FROM deliveries WHERE sink = :sink", sink=sink)
    return {(item["payment_id"], item["seq"]) for item in found}


def assert_all_heard(app: Flask, sisters: Sandbox, ids: list[int]) -> int:
    """At least once each, first in order; how many came more than once."""
    repeats = 0
    for sink in HTTP_SINKS:
        told = heard(inbox(sisters, sink, ids))
        assert set(told) == owed_events(app, sink), sink
        assert_first_deliveries_in_order(told)
        repeats += len(told) - len(set(told))
    return repeats


@pytest.mark.slow
def test_outages_of_everybody_and_killed_relays_lose_nothing(
    fresh_database: str, make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> None:
    with (
        running_sandbox(tmp_path / "sisters") as sisters,
        running_rabbitmq(tmp_path / "rabbitmq") as broker,
    ):
        listener = Listener(broker)
        app = apps_on(fresh_database, make_app)(
            **urls(sisters), trip_service_url=None, rabbitmq_url=broker.url
        )
        ids: list[int] = []
        env = settings_of(sisters, sandbox) | {"RABBITMQ_URL": broker.url}
        with relays(tmp_path / "relays", fresh_database, **env) as service:
            selling = _sell(app, 40)
            ids += itertools.islice(selling, 10)
            eventually(lambda: heard(inbox(sisters, "order", ids)))
            sisters.kill()
            broker.kill()
            _kill_one(service)
            ids += itertools.islice(selling, 15)
            # Everybody has tried in vain.
            eventually(lambda: len(_sinks_that_failed(app)) == len(HTTP_SINKS) + 1)
            broker.start()
            sisters.start()
            ids += itertools.islice(selling, 10)
            _kill_one(service)
            ids += selling
            leases_run_out(app)
            eventually(lambda: left(app) == 0)
        assert len(ids) == 40
        assert_all_heard(app, sisters, ids)
        told = listener.take_all()
        assert set(told) == owed_events(app, "rabbitmq")
        assert_first_deliveries_in_order(told)
        assert (
            row(app, "SELECT sum(delivered) AS n FROM sink_totals")["n"]
            == row(app, "SELECT count(*) AS n FROM deliveries")["n"]
        ), "each is counted once, however often it was sent"


@pytest.mark.slow
def test_one_service_down_for_a_while_holds_up_no_other(
    fresh_database: str, make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> None:
    with running_sandbox(tmp_path / "sisters") as sisters:
        app = apps_on(fresh_database, make_app)(**urls(sisters), trip_service_url=None)
        ids: list[int] = []
        with relays(tmp_path / "relays", fresh_database, **settings_of(sisters, sandbox)):
            for sink in HTTP_SINKS:
                others = [name for name in HTTP_SINKS if name != sink]
                arm(sisters, sink, "fail_503", times=0)
                sold = list(_sell(app, 5))
                ids += sold
                eventually(lambda ids=ids, others=others: _all_heard(app, sisters, others, ids))
                assert inbox(sisters, sink, sold) == []
                disarm(sisters)
                eventually(lambda: left(app) == 0)
        assert_all_heard(app, sisters, ids)


def _all_heard(app: Flask, sisters: Sandbox, sinks: list[str], ids: list[int]) -> bool:
    return all(set(heard(inbox(sisters, name, ids))) == owed_events(app, name) for name in sinks)


@pytest.mark.slow
def test_a_relay_killed_between_delivery_and_mark_delivers_again(
    fresh_database: str, make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> None:
    with running_sandbox(tmp_path / "sisters") as sisters:
        app = apps_on(fresh_database, make_app)(**urls(sisters, "order"))
        # It has been told, but hangs before it says so.
        arm(sisters, "order", "do_and_hang", ms=A_DAY, times=0)
        env = {"ORDER_SERVICE_URL": sisters.url, "SANDBOX_PROVIDER_URL": sandbox.url}
        service = Service(tmp_path, DATABASE_URL=fresh_database, **PERSISTENT, **env)
        try:
            first = service.start_worker()
            made = pay(app)
            eventually(lambda: len(inbox(sisters, "order", [made])) == 1)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
            lost = row(app, "SELECT done_at, attempts FROM deliveries")
            assert lost == {"done_at": None, "attempts": 0}
            disarm(sisters)
            leases_run_out(app)
            service.start_worker()
            eventually(lambda: left(app) == 0)
        finally:
            service.close()
        first_time, again = inbox(sisters, "order", [made])
        assert first_time["headers"]["webhook-id"] == again["headers"]["webhook-id"]
        assert first_time["raw"] == again["raw"]


@pytest.mark.slow
def test_sigterm_finishes_the_step_at_hand(
    fresh_database: str, make_app: MakeApp, sandbox: Sandbox, tmp_path: Path
) -> None:
    with running_sandbox(tmp_path / "sisters") as sisters:
        app = apps_on(fresh_database, make_app)(**urls(sisters, "order"))
        arm(sisters, "order", "slow", ms=A_DAY)
        env = {"ORDER_SERVICE_URL": sisters.url, "SANDBOX_PROVIDER_URL": sandbox.url}
        service = Service(tmp_path, DATABASE_URL=fresh_database, **PERSISTENT, **env)
        try:
            process = service.start_worker()
            made = pay(app)
            leased = "SELECT due_at > now() + interval '10 s' AS leased FROM deliveries"
            eventually(lambda: row(app, leased)["leased"])
            process.terminate()
            disarm(sisters)
            assert process.wait(timeout=PATIENCE) == 0
        finally:
            service.close()
        assert left(app) == 0
        assert len(inbox(sisters, "order", [made])) == 1


_TURNS = itertools.count()


def _sell(app: Flask, count: int) -> Iterator[int]:
    """Payments, some of them declined, some of them given back."""
    for turn in range(count):
        more: dict[str, Any] = {"trip_id": 10**12 + next(_TURNS), "driver_id": 9, "rider_id": 8}
        if turn % 5 == 4:
            yield pay(app, payment_token="tok_decline_do_not_honor", **more)
        elif turn % 2:
            yield pay(app, **more)
        else:
            yield from pay_and_give_back(app, 1, **more)


def _sinks_that_failed(app: Flask) -> list[dict[str, Any]]:
    return rows(app, "SELECT DISTINCT sink FROM deliveries WHERE done_at IS NULL AND attempts > 0")


def _kill_one(service: Service) -> None:
    """kill -9 of one relay, and a new one in its place."""
    running = [process for process in service.processes if process.poll() is None]
    victim = random.choice(running)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    service.start_worker()
