"""The background beats: each runs its job's run_once() over and over, on its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
from flask import Flask

from payment_service import idempotency
from payment_service.outbox import relay, routes, sinks
from payment_service.providers.registry import BUILDERS
from payment_service.services import digests, expiry, giving_back, totals, webhooks
from payment_service.services.moves import resolution

log = structlog.get_logger(__name__)

RunOnce = Callable[[], dict[str, int]]


@dataclass(frozen=True)
class Beat:
    """A job and the seconds between its runs; it runs again at once while it counts `more`."""

    name: str
    run_once: RunOnce
    seconds: float


BEATS = (
    # A beat for each provider and each sink: one that is slow or dead holds up no other.
    *(Beat(f"resolution-{name}", partial(resolution.run_once, name), 1.0) for name in BUILDERS),
    *(Beat(f"relay-{sink}", partial(relay.run_once, [sink]), 0.5) for sink in routes.SINKS),
    Beat("expiry", expiry.run_once, 1.0),
    Beat("giving-back", giving_back.run_once, 1.0),
    # /metrics promises to be at most 5 s behind.
    Beat("totals", totals.run_once, 1.0),
    Beat("reaping", idempotency.reap, 60.0),
    # Once a day; whoever looks first after midnight does it.
    Beat("audit-digest", digests.run_once, 60.0),
    Beat("reaping-deliveries", relay.reap, 60.0),
    Beat("webhooks", webhooks.run_once, 1.0),
    Beat("reaping-webhooks", webhooks.reap, 60.0),
)


def run(app: Flask, stopping: threading.Event, beats: tuple[Beat, ...] = BEATS) -> None:
    """Runs all beats until `stopping` is set; the step at hand is finished first."""
    threads = [
        threading.Thread(target=_beat, args=(app, beat, stopping), name=beat.name) for beat in beats
    ]
    for thread in threads:
        thread.start()
    log.info("worker_started", beats=[beat.name for beat in beats])
    for thread in threads:
        thread.join()
    with app.app_context():
        sinks.close()
    log.info("worker_stopped")


def _beat(app: Flask, beat: Beat, stopping: threading.Event) -> None:
    while not stopping.is_set():
        started = time.monotonic()
        counts = step(app, beat)
        if counts.get("more"):
            continue
        stopping.wait(max(0.0, beat.seconds - (time.monotonic() - started)))


def step(app: Flask, beat: Beat) -> dict[str, int]:
    """Runs the job once. An error is logged, and the next beat tries again."""
    try:
        with app.app_context():
            counts = beat.run_once()
    except Exception:
        log.exception("beat_failed", beat=beat.name)
        return {}
    if any(counts.values()):
        log.debug("beat", beat=beat.name, **counts)
    return counts
