"""What operators see of deliveries and do about them: commands, time line, metrics."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from payment_service import config
from payment_service.outbox import routes
from tests.books import execute, rows
from tests.fixtures import MakeApp, a_number
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox
from tests.sisters import Make, apps_on, drain, give_back, heard, inbox, pay, step, urls

NOBODY = {"trip_id": None, "order_id": None, "driver_id": None, "rider_id": None}


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


@pytest.fixture
def stuck(make: Make, sandbox: Sandbox) -> tuple[Flask, int, int]:
    """An app, a payment of which the first event is parked at the order service with two events
    behind it, and another payment that nothing is wrong with."""
    app = make(**urls(sandbox, "order", "notification"), outbox_max_attempts=2)
    order = a_number()
    bad, good = pay(app, order_id=order), pay(app)
    arm(sandbox, "order", "fail_500", match={"order_id": order}, times=2)
    for _ in range(2):
        step(app, "order")
        execute(app, "UPDATE deliveries SET due_at = now() WHERE attempts = 1 AND done_at IS NULL")
    for payment in (bad, good):
        give_back(app, payment, "40.00")
        give_back(app, payment)
    drain(app)
    return app, bad, good


def run(app: Flask, *arguments: str, code: int = 0) -> str:
    result = app.test_cli_runner().invoke(args=list(arguments))
    assert result.exit_code == code, result.output
    return str(result.output)


def at_order(app: Flask, payment: int) -> list[tuple[bool, bool]]:
    """(done, parked) of each event that the order service is owed."""
    query = "SELECT * FROM deliveries WHERE payment_id = :id AND sink = 'order' ORDER BY seq"
    return [(bool(d["done_at"]), bool(d["parked_at"])) for d in rows(app, query, id=payment)]


def metrics(app: Flask) -> dict[str, float]:
    lines = app.test_client().get("/metrics").text.splitlines()
    told = (line.rsplit(" ", 1) for line in lines if line.startswith("outbox_"))
    return {name: float(value) for name, value in told}


def moments(app: Flask, payment: int) -> list[dict[str, Any]]:
    answer = app.test_client().get(f"/v1/payments/{payment}/events")
    return [moment for moment in answer.json["events"] if moment["kind"] == "delivery"]


def test_a_parked_one_blocks_only_its_payment_at_its_sink(
    stuck: tuple[Flask, int, int], sandbox: Sandbox
) -> None:
    app, bad, good = stuck
    assert at_order(app, bad) == [(False, True), (False, False), (False, False)]
    assert at_order(app, good) == [(True, False)] * 3
    assert len(inbox(sandbox, "notification", [bad])) == 3
    assert inbox(sandbox, "order", [bad]) == []


def test_parked_lists_it_and_deliver_brings_all_in_order(
    stuck: tuple[Flask, int, int], sandbox: Sandbox
) -> None:
    app, bad, _ = stuck
    listed = run(app, "outbox", "parked")
    assert f"order payment {bad} event 2 payment.succeeded: parked " in listed
    assert "after 2 attempts: PATCH /v1/orders/" in listed
    assert listed.endswith("1 parked\n")
    assert "0 parked" in run(app, "outbox", "parked", "--sink", "notification")
    assert run(app, "outbox", "deliver", "--payment", str(bad)).startswith("1 due now")
    drain(app)
    told = heard(inbox(sandbox, "order", [bad]))
    assert [payment for payment, _ in told] == [bad] * 3
    assert told == sorted(told)
    assert "0 parked" in run(app, "outbox", "parked")


def test_skip_lets_what_is_behind_it_go(stuck: tuple[Flask, int, int], sandbox: Sandbox) -> None:
    app, bad, _ = stuck
    out = run(app, "outbox", "skip", "--sink", "order", "--payment", str(bad), "--reason", "told")
    assert out == "1 skipped\n"
    drain(app)
    assert [seq for _, seq in heard(inbox(sandbox, "order", [bad]))] == [5, 8]
    skipped = next(found for found in moments(app, bad) if "skipped" in found["what"])
    assert (skipped["what"], skipped["actor"], skipped["reason"]) == (
        "event 2 to order: skipped", "operator", "skipped: told",
    )  # fmt: skip
    assert run(app, "outbox", "deliver", "--all").startswith("0 due"), "what is skipped stays so"


def test_skip_waiting_gives_up_all_that_a_sink_is_owed(
    stuck: tuple[Flask, int, int],
) -> None:
    app, bad, _ = stuck
    out = run(app, "outbox", "skip", "--sink", "order", "--waiting", "--reason", "no such service")
    assert out == "3 skipped\n"
    assert all(done for done, _ in at_order(app, bad))


@pytest.mark.parametrize(
    "arguments",
    [
        ("deliver",),
        ("skip", "--all"),
        ("skip", "--reason", "x"),
        ("deliver", "--seq", "2"),
        ("deliver", "--sink", "orders"),
    ],
)
def test_commands_want_to_know_which(app: Flask, arguments: tuple[str, ...]) -> None:
    assert "Usage:" in run(app, "outbox", *arguments, code=2)


def test_the_time_line_shows_who_heard_what(stuck: tuple[Flask, int, int]) -> None:
    app, bad, _ = stuck
    told = {moment["what"]: moment for moment in moments(app, bad)}
    parked = told["event 2 to order: parked"]
    assert parked["reason"].endswith(": 500")
    assert (parked["details"]["attempts"], parked["actor"]) == (2, "worker")
    assert "event 2 to notification: delivered" in told
    assert told["event 5 to order: waits"]["details"]["next_try_at"].endswith("Z")


def test_metrics_say_what_is_owed_and_for_how_long(stuck: tuple[Flask, int, int]) -> None:
    app, _, _ = stuck
    execute(app, "UPDATE deliveries SET created_at = created_at - interval '1 hour'")
    found = metrics(app)
    assert found['outbox_pending{sink="order"}'] == 2
    assert found['outbox_parked{sink="order"}'] == 1
    assert found['outbox_parked_total{sink="order"}'] == 1
    assert found['outbox_delivered_total{sink="order"}'] == 3
    assert found['outbox_delivered_total{sink="notification"}'] == 6
    assert found['outbox_pending{sink="notification"}'] == 0
    assert found['outbox_lag_seconds{sink="order"}'] == 0, "what a parked one blocks is no lag"
    run(app, "outbox", "deliver", "--all")
    found = metrics(app)
    assert 3600 <= found['outbox_lag_seconds{sink="order"}'] < 3700
    assert found['outbox_parked_total{sink="order"}'] == 1, "a total never falls"
    drain(app)
    assert metrics(app)['outbox_lag_seconds{sink="order"}'] == 0


def test_nobody_waits_for_a_sink_that_is_off(stuck: tuple[Flask, int, int], make: Make) -> None:
    off = make()
    found = metrics(off)
    assert found['outbox_pending{sink="order"}'] == 2
    assert found['outbox_lag_seconds{sink="order"}'] == 0
    assert step(off) == {}


def test_routes_ask_for_what_a_sink_needs() -> None:
    every = config.load(
        database_url="postgresql://nowhere/none",
        rabbitmq_url="amqp://b",
        **{f"{name}_service_url": "http://s" for name in ("order", "inventory", "notification")},
        driver_service_url="http://s",
        rider_service_url="http://s",
        trip_status_service_url="http://s",
        trip_service_url="http://t",
    )

    def sinks(event: str, **ids: int) -> set[str]:
        return set(routes.sinks_for(event, NOBODY | ids, every))

    assert sinks("payment.succeeded", order_id=1) == {"rabbitmq", "order", "notification"}
    assert sinks("payment.failed", trip_id=1, driver_id=2) == {
        "rabbitmq", "inventory", "notification", "trip", "driver",
    }  # fmt: skip
    assert sinks("payment.expired", rider_id=1) == {"rabbitmq", "notification", "rider"}
    assert sinks("payment.refunded") == {"rabbitmq", "inventory", "notification"}
    assert sinks("payment.processing", order_id=1) == {"rabbitmq"}
    assert sinks("refund.failed", order_id=1) == {"rabbitmq"}


def test_the_trip_service_that_is_asked_for_fares_is_not_told_by_itself() -> None:
    asked = config.load(database_url="postgresql://nowhere/none", trip_service_url="http://t")
    assert "trip" not in routes.sinks_on(asked)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_no base64", "whsec_abc"])
def test_a_secret_that_cannot_be_read_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("EVENT_SIGNING_SECRET", secret)
    with pytest.raises(config.BadSettings, match="EVENT_SIGNING_SECRET"):
        config.load(database_url="postgresql://nowhere/none")
