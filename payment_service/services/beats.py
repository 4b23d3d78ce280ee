"""worker_beats: the worker writes that its beats come, and the desk reads which do not."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.jobs import JobKind
from payment_service.extensions import db
from payment_service.models import WorkerBeat
from payment_service.outbox import routes
from payment_service.providers.registry import BUILDERS

log = structlog.get_logger(__name__)

BEAT = WorkerBeat.__table__

RESOLUTION = {f"resolution-{provider}": provider for provider in BUILDERS}
"""The provider of each beat that resolves."""

PERIODS = {
    # A beat for each provider and each sink: one that is slow or dead holds up no other.
    **dict.fromkeys(RESOLUTION, 1.0),
    **{f"relay-{sink}": 0.5 for sink in routes.SINKS},
    "expiry": 1.0,
    "giving-back": 1.0,
    "lapsing": 60.0,
    # /metrics promises to be at most 5 s behind.
    "totals": 1.0,
    "reaping": 60.0,
    # Once a day; whoever looks first after midnight does it.
    "audit-digest": 60.0,
    "reaping-deliveries": 60.0,
    "webhooks": 1.0,
    "disputes": 1.0,
    "listing-disputes": 3600.0,
    "saved-methods": 1.0,
    "reaping-webhooks": 60.0,
    "reaping-hours": 60.0,
    "reaping-answers": 60.0,
    "jobs": 1.0,
    "verifying": 1.0,
}
"""The seconds between two runs of each beat. services/worker says what a beat runs; who only wants
to know whether they come need not import all of that."""

WRITTEN_EVERY = 5.0
"""Seconds. Some twenty beats come each second; what a person looks at need not be as new."""
PERIODS_TO_SILENCE, LEAST_SILENCE = 5, timedelta(seconds=60)
"""A beat is silent that was not written for five of its periods, and for a minute at least: it is
written each 5 s, and a run that waits for a provider's time-out takes half a minute and is well."""
ONCE_A_MINUTE = 60.0
LONGEST_WALK = timedelta(hours=1)
WALKS = frozenset({"audit-digest", "verifying"})
"""Beats that may walk over all payments; a hundred million are walked in less than an hour, at the
end of which such a beat is written. A worker that is gone is seen by the others."""


@dataclass(frozen=True)
class BeatStanding:
    """One beat: when it was last written, by which host, what it did and the kind of its last error
    since the time before. A beat that never came has none of them."""

    beat: str
    seconds: float
    last_at: datetime | None
    host: str | None
    counts: Mapping[str, int]
    error: str | None
    is_silent: bool


@dataclass
class Written:
    """One beat in the worker that runs it: what was done since it was last written."""

    beat: str
    counts: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    again_at: float = 0.0

    def note(self, counts: Mapping[str, int], error: str | None) -> None:
        """The beat came. Written at once the first time, and then each 5 s at most; where the
        database does not take it, it is tried as late again."""
        self.counts.update(counts)
        self.error = error or self.error
        if time.monotonic() < self.again_at:
            return
        self.again_at = time.monotonic() + WRITTEN_EVERY
        try:
            _write(self.beat, {name: n for name, n in self.counts.items() if n}, self.error)
        except Exception as failed:  # whatever it is, the beat goes on
            log.warning("beat_not_written", beat=self.beat, error=type(failed).__name__)
            return
        self.counts.clear()
        self.error = None


def _write(beat: str, counts: Mapping[str, int], error: str | None) -> None:
    values = {
        "host": socket.gethostname(),
        "last_at": datetime.now(UTC),
        "counts": counts,
        "error": error,
    }
    query = insert(BEAT).values(beat=beat, **values)
    with db.engine.begin() as connection:
        connection.execute(query.on_conflict_do_update(index_elements=["beat"], set_=values))


def read(
    *, now: datetime | None = None, connection: Connection | None = None
) -> list[BeatStanding]:
    """All beats that a worker of this version runs, in their order; read by this connection if one
    is given."""
    with nullcontext(connection) if connection else db.engine.connect() as reading:
        found = {row.beat: row for row in reading.execute(select(BEAT))}
    moment = now or datetime.now(UTC)
    return [_standing(beat, seconds, found.get(beat), moment) for beat, seconds in PERIODS.items()]


def _standing(beat: str, seconds: float, row: Any, now: datetime) -> BeatStanding:
    if row is None:
        return BeatStanding(beat, seconds, None, None, {}, None, is_silent=True)
    silent = now - row.last_at > silence(beat, seconds)
    return BeatStanding(beat, seconds, row.last_at, row.host, row.counts, row.error, silent)


def silence(beat: str, seconds: float) -> timedelta:
    """After how long a beat with this period is silent."""
    least = LONGEST_WALK if beat in WALKS else LEAST_SILENCE
    return max(timedelta(seconds=PERIODS_TO_SILENCE * seconds), least)


@dataclass
class Pulse:
    """When each beat of this process came last, on its own clock: worker_beats says it of all
    workers together, and a worker that hangs must not hide behind one that is well."""

    came: dict[str, float] = field(default_factory=dict)

    def note(self, beat: str) -> None:
        """It came, or is about to run for the first time."""
        self.came[beat] = time.monotonic()

    def silent(self) -> list[str]:
        """The beats that have been silent for too long, in order."""
        now = time.monotonic()
        return sorted(
            beat
            for beat, at in self.came.items()
            if now - at > silence(beat, PERIODS.get(beat, 0.0)).total_seconds()
        )


PULSE = Pulse()
"""This process's."""


def worker_is_silent(standing: Iterable[BeatStanding]) -> bool:
    """Whether no worker runs, as far as its beats tell: those that come each minute, or more often,
    are all silent. One that comes each hour is not missed for some hours."""
    return all(one.is_silent for one in standing if one.seconds <= ONCE_A_MINUTE)


def silent_for(kind: JobKind | None = None) -> BeatStanding | None:
    """The beat that does jobs of this kind, or the one beside it in the same worker, if it is
    silent: until it comes, they wait."""
    beats = {"jobs", "verifying"} if kind is JobKind.VERIFY else {"jobs"}
    return next((one for one in read() if one.beat in beats and one.is_silent), None)
