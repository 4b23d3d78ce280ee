"""The settings that the service runs with here: all waits are seconds instead of minutes."""

from __future__ import annotations

SEND_SECONDS = 1.0
TIMEOUT_SECONDS = 1.0
# The sandbox does at once what reaches it; what is armed to be slow stays below this, and only
# `arrive_late` goes beyond.
SETTLING_SECONDS = 1.5
SLOW_MS = (200, 1100)
LATE_MS = (3000, 6000)
LOCK_SECONDS = 3.0

# Longer than the send window, the provider's time-out and settling, and the lock of a key.
PAUSE_SECONDS = SEND_SECONDS + TIMEOUT_SECONDS + SETTLING_SECONDS + LOCK_SECONDS

ACTION_SECONDS = 8.0
# What was paid twice is given back again a minute after a refund that came to nothing.
SETTLED_SECONDS = 360.0
CALLER_TIMEOUT_SECONDS = 8.0
LONGEST_PAUSE_SECONDS = 2.0

SERVICE = {
    "WEB_WORKERS": "3",
    "WEB_THREADS": "16",
    "WEB_GRACEFUL_TIMEOUT": "3",
    "DB_POOL_TIMEOUT": "5",
    "PROVIDER_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
    "PROVIDER_SEND_SECONDS": str(SEND_SECONDS),
    "PROVIDER_SETTLING_SECONDS": f"{SETTLING_SECONDS},fiuu={SETTLING_SECONDS}",
    "IDEMPOTENCY_LOCK_SECONDS": str(LOCK_SECONDS),
    "RESOLUTION_FIRST_LOOKUP_SECONDS": "0.3",
    "RESOLUTION_ALARM_SECONDS": "20",
    # Some holds are captured or voided in time and some are not; what waits for its payer ends.
    "AUTHORIZATION_TTL": "12",
    "ACTION_TTL": str(ACTION_SECONDS),
    "CIRCUIT_FAIL_MAX": "8",
    "CIRCUIT_RESET_SECONDS": "1",
    "TRIP_TIMEOUT_SECONDS": "1",
    "OUTBOX_TIMEOUT_SECONDS": "1",
    "OUTBOX_BACKOFF_MAX_SECONDS": "2",
    # Nobody is there to release what is parked; it would stand for a delivery that was lost.
    "OUTBOX_MAX_ATTEMPTS": "100000",
    # All callers come from one address, and all webhooks.
    "RATE_LIMIT": "1000000 per second",
    "RATE_LIMIT_WEBHOOK_REFUSALS": "1000000 per second",
    "LOG_LEVEL": "INFO",
}


def longest_pause(seconds: float) -> float:
    """Between two look-ups, in a campaign of so many seconds. What was given up is looked up for a
    day, so it only gets more in a long one: every 2 s it would take a whole core after half an
    hour."""
    return max(LONGEST_PAUSE_SECONDS, seconds / 100)
