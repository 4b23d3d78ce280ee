"""How long a test waits before it says that something hangs, and a service that waits as long."""

from __future__ import annotations

from typing import Any

from payment_service.providers.contract import Limits

PATIENCE = 120.0
"""Seconds. It decides nothing but that something hangs, so it is far beyond what anything takes
here, even on a machine with ten times the work that it can do."""

UNHURRIED: dict[str, Any] = {
    "provider_timeout_seconds": PATIENCE,
    "provider_send_seconds": 600.0,
    "idempotency_lock_seconds": 3600.0,
    "trip_timeout_seconds": PATIENCE,
    "outbox_timeout_seconds": PATIENCE,
    "db_pool_timeout": int(PATIENCE),
}
"""Settings under which no call times out and none comes too late because the machine is busy."""

LIMITS = Limits(
    timeout=PATIENCE,
    concurrency=4,
    settling=0.2,
    send_window=600.0,
    circuit_fail_max=10_000,
    circuit_reset=30.0,
)
"""Of a provider that a test asks by itself."""

CLOCKLESS: dict[str, Any] = {"resolution_first_lookup_seconds": 600.0, "circuit_fail_max": 10**6}
"""Settings under which nothing is due by itself during a test. With them, as they are made by the
fixture make_app, all but the lock of a key is over `an_hour_later` (tests/clocks.py)."""

ENVIRONMENT = {name.upper(): str(value) for name, value in UNHURRIED.items()}
"""UNHURRIED for a service in a process of its own."""
