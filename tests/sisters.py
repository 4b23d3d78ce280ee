"""An app whose events go out to sister services, and what those were told."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import requests
from flask import Flask

from payment_service.outbox import relay
from tests.books import execute
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import PATIENCE
from tests.sandbox_server import Sandbox

Make = Callable[..., Flask]
HTTP_SINKS = ("order", "inventory", "notification", "trip", "driver", "rider")


def urls(sisters: Sandbox, *names: str) -> dict[str, str]:
    """The settings that turn on these sinks, all in one sandbox."""
    setting = {name: f"{name}_service_url" for name in HTTP_SINKS} | {
        "trip": "trip_status_service_url"
    }
    return {setting[name]: sisters.url for name in names or HTTP_SINKS}


def apps_on(database: str, make_app: MakeApp) -> Make:
    """Makes apps on one fresh database, which tell nobody but whom the keyword arguments name.

    Its payments have ids that no other test has: they share a sandbox.
    """

    def run(**changes: Any) -> Flask:
        given: dict[str, Any] = {"database_url": database, "redis_url": None}
        return make_app(**given | changes)

    start = secrets.randbelow(2**50) + 1
    execute(run(), f"ALTER TABLE payments ALTER payment_id RESTART WITH {start}")
    return run


def pay(app: Flask, **changes: Any) -> int:
    """A charge; its payment's id."""
    body = an_order(**changes)
    headers = {"Idempotency-Key": a_key()}
    answer = app.test_client().post("/v1/payments/charge", json=body, headers=headers)
    assert answer.status_code in (201, 402), answer.json
    payment_id: int = answer.json["payment_id"]
    return payment_id


def give_back(app: Flask, payment_id: int, amount: str | None = None) -> None:
    """A refund, of all that is left if `amount` is None."""
    answer = app.test_client().post(
        f"/v1/payments/{payment_id}/refund",
        json={"amount": amount} if amount else {},
        headers={"Idempotency-Key": a_key()},
    )
    assert answer.status_code in (200, 201), answer.json


def pay_and_give_back(app: Flask, count: int, **changes: Any) -> list[int]:
    """Payments of 100.00, each refunded in two parts: three events for a sister service."""
    ids = [pay(app, **{"driver_id": 9} | changes) for _ in range(count)]
    for amount in ("40.00", None):
        for payment_id in ids:
            give_back(app, payment_id, amount)
    return ids


def step(app: Flask, *sinks: str) -> dict[str, int]:
    """One step of a relay."""
    with app.app_context():
        return relay.run_once(sinks or None)


def drain(app: Flask, *sinks: str) -> None:
    """Steps until there is nothing to deliver at once."""
    while step(app, *sinks).get("more"):
        pass


def inbox(sisters: Sandbox, service: str, payments: Iterable[int]) -> list[dict[str, Any]]:
    """What a sister service was told about these payments, oldest first."""
    wanted = set(payments)
    answer = requests.get(
        f"{sisters.url}/sandbox/inbox", params={"service": service}, timeout=PATIENCE
    )
    # Of a relay that was killed while it sent, half a body may lie there, as text; and callbacks of
    # the sandbox's own dialects, which are told to the same services, name no payment of ours.
    whole = [found for found in answer.json()["inbox"] if isinstance(found["body"], dict)]
    return [found for found in whole if found["body"].get("payment_id") in wanted]


def heard(entries: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
    """(payment, seq) of each entry, in the order of arrival."""
    return [key(entry["headers"]["webhook-id"]) for entry in entries]


def key(event_id: str) -> tuple[int, int]:
    payment, _, seq = event_id.partition("-")
    return int(payment), int(seq)


def assert_first_deliveries_in_order(told: Iterable[tuple[int, int]]) -> None:
    """Whatever came twice, each event's first coming is after those of all before it."""
    last: dict[int, int] = {}
    seen = set()
    for payment, seq in told:
        if (payment, seq) not in seen:
            assert seq > last.get(payment, 0), f"event {seq} of payment {payment} came too late"
            last[payment] = seq
        seen.add((payment, seq))


def body_of(entry: dict[str, Any]) -> Any:
    return json.loads(entry["raw"])
