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
from payment_service.domain.jobs import JobKind
from payment_service.outbox import relay, routes, sinks
from payment_service.services import (
    audit,
    beats,
    bulk,
    comparing_methods,
    digests,
    disputes,
    expiry,
    giving_back,
    health,
    job_items,
    lapsing,
    provider_answers,
    totals,
    webhooks,
)
from payment_service.services.beats import Written
from payment_service.services.moves import resolution

log = structlog.get_logger(__name__)

RunOnce = Callable[[], dict[str, int]]


@dataclass(frozen=True)
class Beat:
    """A job and the seconds between its runs; it runs again at once while it counts `more`."""

    name: str
    run_once: RunOnce
    seconds: float


RUNS: dict[str, RunOnce] = {
    **{beat: partial(resolution.run_once, name) for beat, name in beats.RESOLUTION.items()},
    **{f"relay-{sink}": partial(relay.run_once, [sink]) for sink in routes.SINKS},
    "expiry": expiry.run_once,
    "giving-back": giving_back.run_once,
    "lapsing": lapsing.run_once,
    "totals": totals.run_once,
    "reaping": idempotency.reap,
    "audit-digest": digests.run_once,
    "reaping-deliveries": relay.reap,
    "webhooks": webhooks.run_once,
    "disputes": disputes.run_once,
    "listing-disputes": disputes.list_them,
    "saved-methods": comparing_methods.run_once,
    "reaping-webhooks": webhooks.reap,
    "reaping-hours": totals.reap,
    "reaping-answers": provider_answers.reap,
    "jobs": partial(job_items.run_once, bulk.DOES),
    # By itself: a walk over all chains may take an hour, and nobody's job waits for it.
    "verifying": partial(job_items.run_once, {JobKind.VERIFY: audit.verify_item}),
}
"""What each beat runs; beats.PERIODS says how often."""

BEATS = tuple(Beat(name, run_once, beats.PERIODS[name]) for name, run_once in RUNS.items())


LISTEN_SECONDS = 0.5
"""How often the main thread wakes. Only it runs what a signal is for, and the kernel may give the
signal to another one that is just being started: the main thread would then sleep on for ever."""


def run(app: Flask, stopping: threading.Event, running: tuple[Beat, ...] = BEATS) -> None:
    """Runs all beats until `stopping` is set; the step at hand is finished first."""
    threads = [
        threading.Thread(target=_beat, args=(app, beat, stopping), name=beat.name)
        for beat in running
    ]
    for thread in threads:
        thread.start()
    log.info("worker_started", beats=[beat.name for beat in running])
    for thread in threads:
        while thread.is_alive():
            thread.join(LISTEN_SECONDS)
    with app.app_context():
        sinks.close()
    log.info("worker_stopped")


def standing() -> tuple[bool, list[str]]:
    """Whether the database answers, and the beats of this process that do not come."""
    return health.database() == health.UP, beats.PULSE.silent()


def _beat(app: Flask, beat: Beat, stopping: threading.Event) -> None:
    written = Written(beat.name)
    while not stopping.is_set():
        beats.PULSE.note(beat.name)
        started = time.monotonic()
        counts = step(app, beat, written)
        if counts.get("more"):
            continue
        stopping.wait(max(0.0, beat.seconds - (time.monotonic() - started)))


def step(app: Flask, beat: Beat, written: Written | None = None) -> dict[str, int]:
    """Runs the job once, and lets it be `written` that it came. An error is logged, and the next
    beat tries again."""
    counts: dict[str, int] = {}
    wrong = None
    try:
        with app.app_context():
            counts = beat.run_once()
    except Exception as error:
        log.exception("beat_failed", beat=beat.name)
        wrong = type(error).__name__
    if written is not None:
        with app.app_context():
            written.note(counts, wrong)
    if any(counts.values()):
        log.debug("beat", beat=beat.name, **counts)
    return counts
