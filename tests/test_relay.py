"""The relay: what sister services are told, in which order, and what happens when they fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from payment_service.outbox import relay, sinks
from payment_service.outbox.contract import DeliveryEnding, LeasedDelivery
from payment_service.services import worker
from payment_service.services.worker import Beat
from tests.books import execute, row, rows
from tests.fixtures import MakeApp, a_number
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, disarm, eventually
from tests.sandbox_server import Sandbox
from tests.sisters import (
    Make,
    apps_on,
    assert_first_deliveries_in_order,
    body_of,
    drain,
    give_back,
    heard,
    inbox,
    pay,
    pay_and_give_back,
    step,
    urls,
)

A_DAY = 24 * 3600 * 1000  # ms; longer than any test, and let go before


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


def owed(app: Flask, payment_id: int) -> list[dict[str, Any]]:
    query = "SELECT * FROM deliveries WHERE payment_id = :id ORDER BY sink, seq"
    return rows(app, query, id=payment_id)


def make_due(app: Flask, when: str = "0 s") -> None:
    """Whatever waits for its next try is due now, or that much later."""
    later = "UPDATE deliveries SET due_at = now() + CAST(:when AS interval) WHERE done_at IS NULL"
    execute(app, later, when=when)


def test_every_sister_service_is_told_in_its_own_way(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox), trip_service_url=None)
    order, trip = a_number(), a_number()
    made = pay(app, order_id=order, trip_id=trip, rider_id=7, driver_id=9, user_id=5)
    give_back(app, made)
    drain(app)
    (news, refund) = inbox(sandbox, "order", [made])
    assert (news["method"], news["path"]) == ("PATCH", f"/v1/orders/{order}/payment-status")
    assert news["headers"]["content-type"] == "application/json"
    assert "webhook-signature" not in news["headers"]
    body = body_of(news)
    assert body["id"] == news["headers"]["webhook-id"]
    assert (body["type"], body["status"], body["amount_captured"], body["currency"]) == (
        "payment.succeeded", "SUCCESS", "100.00", "INR",
    )  # fmt: skip
    assert (body["payment_id"], body["rider_id"], body["from_status"]) == (made, 7, "PROCESSING")
    assert body_of(refund)["type"] == "payment.refunded"
    (driver, _) = inbox(sandbox, "driver", [made])
    assert driver["path"] == "/v1/drivers/9/payment-status"
    (rider, _) = inbox(sandbox, "rider", [made])
    assert (rider["method"], rider["path"]) == ("PATCH", "/v1/riders/7/payment-status")
    assert body_of(rider)["rider_id"] == 7
    (trips, _) = inbox(sandbox, "trip", [made])
    assert trips["path"] == f"/v1/trips/{trip}/payment-status"
    (release,) = inbox(sandbox, "inventory", [made])
    assert (release["method"], release["path"]) == ("POST", "/v1/inventory/release")
    assert body_of(release)["order_id"] == order
    (note, _) = inbox(sandbox, "notification", [made])
    assert body_of(note) == {
        "type": "payment.succeeded",
        "payment_id": made,
        "rider_id": 7,
        "driver_id": 9,
        "user_id": 5,
        "status": "SUCCESS",
        "message": "Your payment of 100.00 INR went through.",
        "channel": "push",
    }


def test_a_failed_payment_releases_the_inventory(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox))
    made = pay(app, payment_token="tok_decline_do_not_honor")
    drain(app)
    (release,) = inbox(sandbox, "inventory", [made])
    assert (body_of(release)["type"], body_of(release)["failure_code"]) == (
        "payment.failed", "do_not_honor",
    )  # fmt: skip


def test_nobody_is_owed_what_is_not_about_him(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox))
    made = pay(app)
    assert {found["sink"] for found in owed(app, made)} == {"order", "notification"}
    quiet = make()
    assert owed(quiet, pay(quiet)) == []


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_" + base64.b64encode(b"\0\1 24 random bytes ..\xff").decode(),
         b"\0\1 24 random bytes ..\xff"),
        ("plain words", b"plain words"),
    ],
)  # fmt: skip
def test_the_signature_is_that_of_standard_webhooks(
    make: Make, sandbox: Sandbox, secret: str, key: bytes
) -> None:
    app = make(**urls(sandbox, "order"), event_signing_secret=secret)
    made = pay(app, description="Zürich ₹")
    began = int(time.time())
    drain(app)
    (news,) = inbox(sandbox, "order", [made])
    headers = news["headers"]
    assert began <= int(headers["webhook-timestamp"]) <= time.time()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{news['raw']}".encode()
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize("fault", ["do_and_lose_answer", "do_and_500", "half_body", "do_and_hang"])
def test_a_lost_answer_is_redelivered_under_the_same_id(
    make: Make, sandbox: Sandbox, fault: str
) -> None:
    app = make(**urls(sandbox, "order"))
    hasty = make(**urls(sandbox, "order"), outbox_timeout_seconds=1.0)
    order = a_number()
    made = pay(app, order_id=order)
    arm(sandbox, "order", fault, match={"order_id": order})
    assert step(hasty if fault == "do_and_hang" else app, "order")["failed"] == 1
    (waiting,) = owed(app, made)
    assert (waiting["attempts"], waiting["done_at"], waiting["parked_at"]) == (1, None, None)
    assert waiting["last_error"]
    make_due(app, "1 hour")
    assert step(app, "order") == {"blocked": 0, "more": 0}, "it is not due before its wait is over"
    make_due(app)
    assert step(app, "order")["delivered"] == 1
    eventually(lambda: len(inbox(sandbox, "order", [made])) == 2)
    first, again = inbox(sandbox, "order", [made])
    assert (first["headers"]["webhook-id"], first["raw"]) == (
        again["headers"]["webhook-id"], again["raw"],
    )  # fmt: skip


@pytest.mark.parametrize("fault", ["fail_500", "fail_503", "too_many_requests"])
def test_anything_but_2xx_is_tried_again(make: Make, sandbox: Sandbox, fault: str) -> None:
    app = make(**urls(sandbox, "order"))
    order = a_number()
    made = pay(app, order_id=order)
    arm(sandbox, "order", fault, match={"order_id": order})
    step(app, "order")
    assert inbox(sandbox, "order", [made]) == []
    make_due(app)
    drain(app, "order")
    assert len(inbox(sandbox, "order", [made])) == 1


def test_what_follows_a_failed_one_waits_for_it(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order"))
    order = a_number()
    made = pay(app, order_id=order)
    give_back(app, made, "40.00")
    give_back(app, made)
    arm(sandbox, "order", "fail_503", match={"order_id": order})
    step(app, "order")
    # Everything is due at once, newest first: only the rule about heads keeps the order.
    execute(app, "UPDATE deliveries SET due_at = now() - seq * interval '1 s'")
    drain(app, "order")
    told = heard(inbox(sandbox, "order", [made]))
    assert len(told) == 3
    assert_first_deliveries_in_order(told)


def test_one_that_is_blocked_is_put_off_and_woken(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order"))
    order = a_number()
    made = pay(app, order_id=order)
    give_back(app, made)
    arm(sandbox, "order", "fail_503", match={"order_id": order})
    began = row(app, "SELECT now() AS at")["at"]
    step(app, "order")
    head, follower = owed(app, made)
    assert follower["due_at"] - began >= timedelta(seconds=1), "it was put off"
    make_due(app, "1 hour")
    assert step(app, "order")["blocked"] == 0, "and is not read again at every step"
    execute(app, "UPDATE deliveries SET due_at = now() WHERE seq = :seq", seq=head["seq"])
    assert step(app, "order")["more"] > 0, "the follower is due as soon as its head is done"
    drain(app, "order")
    assert all(found["done_at"] for found in owed(app, made))


def test_relays_share_the_work(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order", "notification"))
    ids = pay_and_give_back(app, 12)
    relays = [make(**urls(sandbox, "order", "notification")) for _ in range(3)]
    threads = [threading.Thread(target=drain, args=(one,)) for one in relays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for service in ("order", "notification"):
        told = heard(inbox(sandbox, service, ids))
        assert_first_deliveries_in_order(told)
        assert len(told) == len(set(told)) == 36, "nothing failed, so nothing comes twice"


def test_a_delivery_is_leased_by_one_relay(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order"))
    for _ in range(30):
        pay(app)
    start = threading.Barrier(6)

    def lease() -> list[int]:
        with app.app_context():
            sink = sinks.get("order")
            assert sink is not None
            start.wait()
            return [delivery.payment_id for delivery in relay.lease("order", sink, 10)[0]]

    with ThreadPoolExecutor(6) as pool:
        for _ in range(20):
            make_due(app)
            leased = [one for many in pool.map(lambda _: lease(), range(6)) for one in many]
            assert len(leased) == len(set(leased)), "two relays hold the same delivery"


@pytest.mark.parametrize("fault", ["fail_500", "do_and_lose_answer", None])
def test_a_relay_that_lost_its_lease_does_not_undo_what_another_did(
    make: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    app = make(**urls(sandbox, "order"))
    order = a_number()
    made = pay(app, order_id=order)
    if fault:
        arm(sandbox, "order", fault, match={"order_id": order})
    marked = relay.mark

    def late(name: str, endings: Any) -> Any:
        monkeypatch.setattr(relay, "mark", marked)
        make_due(app)  # the lease runs out while the first relay sleeps
        drain(make(**urls(sandbox, "order")), "order")
        return marked(name, endings)

    monkeypatch.setattr(relay, "mark", late)
    step(app, "order")
    (found,) = owed(app, made)
    assert found["done_at"] is not None
    assert (found["attempts"], found["last_error"]) == (1, None)
    assert row(app, "SELECT delivered FROM sink_totals")["delivered"] == 1


def test_a_failure_told_late_does_not_end_the_lease_of_another(
    make: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(**urls(sandbox, "order"))
    order = a_number()
    made = pay(app, order_id=order)
    arm(sandbox, "order", "fail_500", match={"order_id": order})
    marked = relay.mark

    def late(name: str, endings: Any) -> Any:
        execute(app, "UPDATE deliveries SET due_at = now() + interval '1 hour'")
        return marked(name, endings)

    monkeypatch.setattr(relay, "mark", late)
    step(app, "order")
    (found,) = owed(app, made)
    assert (found["attempts"], found["last_error"]) == (0, None)
    assert (found["due_at"] - found["created_at"]).total_seconds() > 3000


def test_a_sink_that_is_off_costs_nothing(make: Make, sandbox: Sandbox) -> None:
    both = make(**urls(sandbox, "order", "notification"))
    made = pay(both)
    only = make(**urls(sandbox, "notification"))
    drain(only)
    order = next(found for found in owed(only, made) if found["sink"] == "order")
    assert (order["attempts"], order["done_at"]) == (0, None)
    assert len(inbox(sandbox, "notification", [made])) == 1
    drain(both)
    assert len(inbox(sandbox, "order", [made])) == 1


def test_a_dead_sink_costs_few_attempts(make: Make, sandbox: Sandbox, tmp_path: Any) -> None:
    dead = Sandbox(tmp_path / "dead")
    try:
        app = make(**urls(dead, "order"))
        for _ in range(40):
            pay(app)
        step(app, "order")
        tried = row(app, "SELECT sum(attempts) AS tried FROM deliveries")["tried"]
        assert 8 <= tried <= 23, (
            "it gives up after eight failures in a row; fifteen were on the way"
        )
        assert step(app, "order")["failed"] == 1, "and asks with a single one from then on"
        dead.start()
        step(app, "order")
        drain(app, "order")
        make_due(app)
        drain(app, "order")
        left = row(app, "SELECT count(*) AS n FROM deliveries WHERE done_at IS NULL")
        assert left["n"] == 0
    finally:
        dead.close()


def test_a_hanging_sink_holds_up_no_other(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order", "notification"))
    orders = [a_number() for _ in range(10)]
    for order in orders:
        arm(sandbox, "order", "accept_no_answer", match={"order_id": order}, ms=A_DAY, times=0)
    ids = [pay(app, order_id=order) for order in orders]
    stopping = threading.Event()
    beats = tuple(
        beat for beat in worker.BEATS if beat.name in ("relay-order", "relay-notification")
    )
    running = threading.Thread(target=worker.run, args=(app, stopping, beats))
    tried = "SELECT sum(attempts) AS n FROM deliveries WHERE sink = 'order'"
    running.start()
    try:
        eventually(lambda: len(inbox(sandbox, "notification", ids)) == 10)
        assert row(app, tried)["n"] == 0, "not even the first call to the other has ended"
        assert inbox(sandbox, "order", ids) == []
    finally:
        stopping.set()
        disarm(sandbox)
        running.join()


def test_a_bad_event_harms_only_itself(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order"))
    bad, good = pay(app), pay(app)
    # As if an older version had written an event that this one can't tell.
    execute(app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    execute(app, "UPDATE events SET body = '{}' WHERE payment_id = :id", id=bad)
    counts = step(app, "order")
    assert (counts["delivered"], counts["failed"]) == (1, 1)
    assert len(inbox(sandbox, "order", [good])) == 1


def test_delivered_ones_are_reaped_after_their_time(make: Make, sandbox: Sandbox) -> None:
    app = make(**urls(sandbox, "order", "notification"), outbox_keep_seconds=60.0)
    made = pay(app)
    drain(app, "order")
    execute(app, "UPDATE deliveries SET done_at = now() - interval '61 s' WHERE sink = 'order'")
    with app.app_context():
        assert relay.reap() == {"reaped": 1, "more": 0}
    assert [found["sink"] for found in owed(app, made)] == ["notification"], "it is not done yet"


def test_a_worker_beats_again_at_once_while_there_is_more(app: Flask) -> None:
    left, stopping = [3, 2, 1, 0], threading.Event()

    def run_once() -> dict[str, int]:
        if len(left) == 1:
            stopping.set()
        return {"more": left.pop(0)}

    hanging = threading.Timer(PATIENCE, stopping.set)
    hanging.start()
    worker.run(app, stopping, (Beat("often", run_once, 24 * 3600.0),))
    hanging.cancel()
    assert left == []


def test_waits_double_with_chance_up_to_the_longest(make: Make) -> None:
    def wait(attempts: int, retry_after: float = 0.0) -> float:
        delivery = LeasedDelivery(1, 1, "1-1", "t", "{}", attempts, datetime.now(UTC))
        return relay.seconds_to_wait(DeliveryEnding(delivery, "no", retry_after=retry_after))

    with make(outbox_backoff_max_seconds=100.0).app_context():
        assert all(0.5 <= wait(0) <= 1 for _ in range(50))
        assert all(4 <= wait(3) <= 8 for _ in range(50))
        assert all(50 <= wait(4000) <= 100 for _ in range(50))
        assert len({wait(3) for _ in range(50)}) > 40
        assert wait(0, retry_after=30.0) == 30.0
        assert wait(0, retry_after=1e9) == 100.0
