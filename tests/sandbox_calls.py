"""Asking a sandbox for things, and seeing what it did."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.patience import PATIENCE
from tests.sandbox_server import Sandbox, running_sandbox

TRIPS = """trip_id,rider_id,driver_id,pickup_zone,drop_zone,status,requested_at,distance_km,\
base_fare,surge_multiplier,total_fare
32,101,201,North,South,COMPLETED,2026-01-02 03:04:05,5.43,65.160,1.0,85.80
33,102,202,North,,COMPLETED,2026-01-02 03:04:05,5.43,65.16,1.10,
"""
GONE = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
VERBS = ("charge", "authorize", "capture", "void", "refund")
LISTS = {
    "charge": "charges",
    "authorize": "charges",
    "capture": "captures",
    "void": "voids",
    "refund": "refunds",
}

RECORDERS = [
    ("order", "PATCH", "/v1/orders/17/payment-status"),
    ("inventory", "POST", "/v1/inventory/release"),
    ("notification", "POST", "/v1/notifications"),
    ("trip", "PATCH", "/v1/trips/32/payment-status"),
    ("driver", "PATCH", "/v1/drivers/201/payment-status"),
    ("rider", "PATCH", "/v1/riders/101/payment-status"),
]


@contextmanager
def sandbox_with_trips(directory: Path) -> Iterator[Sandbox]:
    """A running sandbox that knows trips 32 and 33."""
    directory.mkdir(parents=True, exist_ok=True)
    trips = directory / "trips.csv"
    trips.write_text(TRIPS)
    with running_sandbox(directory, SANDBOX_TRIPS=str(trips)) as sandbox:
        yield sandbox


def emptied(sandbox: Sandbox) -> Sandbox:
    """The sandbox, after everything that it held was thrown away."""
    assert requests.delete(f"{sandbox.url}/sandbox/state", timeout=PATIENCE).status_code == 200
    return sandbox


def post(sandbox: Sandbox, path: str, timeout: float = PATIENCE, **body: Any) -> requests.Response:
    return requests.post(sandbox.url + path, json=body, timeout=timeout)


def get(sandbox: Sandbox, path: str) -> Any:
    return requests.get(sandbox.url + path, timeout=PATIENCE).json()


def charge(sandbox: Sandbox, reference: str = "c-1", **fields: Any) -> requests.Response:
    timeout = fields.pop("timeout", PATIENCE)
    body = {"reference": reference, "amount_minor": 10000, "currency": "INR", "method": "CARD"}
    return post(sandbox, "/psp/charges", timeout, **body | fields)


def hold(sandbox: Sandbox, reference: str = "c-1", **fields: Any) -> requests.Response:
    return charge(sandbox, reference, capture=False, **fields)


def capture(sandbox: Sandbox, of: str, amount: int, reference: str = "cap-1") -> requests.Response:
    path = f"/psp/charges/{of}/captures"
    return post(sandbox, path, reference=reference, amount_minor=amount)


def void(sandbox: Sandbox, of: str, reference: str = "v-1") -> requests.Response:
    return post(sandbox, f"/psp/charges/{of}/voids", reference=reference)


def refund(sandbox: Sandbox, of: str, amount: int, reference: str = "r-1") -> requests.Response:
    body: dict[str, Any] = {"reference": reference, "charge_reference": of, "amount_minor": amount}
    return post(sandbox, "/psp/refunds", **body, currency="INR")


def arm(sandbox: Sandbox, operation: str, fault: str, **more: Any) -> str:
    """Arms a fault (docs/sandbox.md says what `more` may be); its id."""
    answer = post(sandbox, "/sandbox/faults", operation=operation, fault=fault, **more)
    assert answer.status_code == 201, answer.text
    fault_id: str = answer.json()["id"]
    return fault_id


def disarm(sandbox: Sandbox) -> None:
    """Takes all faults back, and lets go whatever hangs by one."""
    assert requests.delete(f"{sandbox.url}/sandbox/faults", timeout=PATIENCE).ok


def lookup(sandbox: Sandbox, reference: str) -> requests.Response:
    return requests.get(f"{sandbox.url}/psp/operations/{reference}", timeout=PATIENCE)


def decide(sandbox: Sandbox, reference: str, outcome: str) -> requests.Response:
    return post(sandbox, f"/sandbox/actions/{reference}", outcome=outcome)


def prepare(sandbox: Sandbox, verb: str) -> None:
    """What must be there before a verb can work."""
    if verb in ("capture", "void"):
        assert hold(sandbox).json()["state"] == "authorized"
    elif verb == "refund":
        assert charge(sandbox).json()["state"] == "captured"


def perform(sandbox: Sandbox, verb: str, timeout: float = PATIENCE) -> requests.Response:
    """One verb under the reference x-1, against c-1 where it needs a charge."""
    if verb in ("charge", "authorize"):
        return charge(sandbox, "x-1", capture=verb == "charge", timeout=timeout)
    body: dict[str, Any] = {"reference": "x-1"}
    if verb == "refund":
        body |= {"charge_reference": "c-1", "amount_minor": 4000, "currency": "INR"}
        return post(sandbox, "/psp/refunds", timeout, **body)
    if verb == "capture":
        body["amount_minor"] = 4000
    return post(sandbox, f"/psp/charges/c-1/{verb}s", timeout, **body)


def booked(sandbox: Sandbox, verb: str, reference: str = "x-1") -> int:
    """How often a reference stands in the list of its kind."""
    rows = get(sandbox, f"/psp/{LISTS[verb]}")[LISTS[verb]]
    return sum(row["reference"] == reference for row in rows)


def eventually(condition: Any, seconds: float = PATIENCE) -> None:
    """Returns as soon as the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
