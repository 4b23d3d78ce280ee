"""Does the items of jobs, in the worker: leases one, does it, marks it.

No transaction is open while an item is done. A lease is `due_at` pushed into the future, so what a
killed worker had in hand comes back by itself, and is done once more: what does it must be harmless
the second time. Any number of workers may run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from psycopg2 import Error as DriverError
from sqlalchemy import exists, func, text, update
from sqlalchemy.exc import SQLAlchemyError

from payment_service.domain.callers import Caller
from payment_service.domain.errors import DomainError
from payment_service.domain.jobs import ItemState, JobItem, JobKind, JobState, JobStopped
from payment_service.domain.operators import Refused
from payment_service.domain.vocabulary import Actor
from payment_service.extensions import db
from payment_service.services.jobs import ITEM, JOB, hold
from payment_service.statements import Disconnected

log = structlog.get_logger(__name__)

Does = Callable[[JobItem], str]
"""Does one item, and says what was done. What it raises of Refused and DomainError is why it can't
be done, and is kept for whoever asked. After JobStopped the item is open as before."""

LEASE_SECONDS = {JobKind.VERIFY: 3600.0}
"""A hundred million payments are walked in less than an hour."""
USUAL_LEASE_SECONDS = 300.0
"""Longer than a payment's look-ups take at a provider that hangs: who is asked about three of its
requests waits twice for 10 s at each."""
MOST_TRIES = 5
"""An item during which the worker dies again and again must not kill it for ever."""

# What the database could not do now, it may in a minute. The item's lease brings it back.
_LATER = (SQLAlchemyError, DriverError, Disconnected)

_LEASE = text("""
    UPDATE job_items i
    SET due_at = clock_timestamp() + make_interval(secs => :lease), attempts = attempts + 1
    FROM jobs j
    WHERE j.job_id = i.job_id AND (i.job_id, i.key) IN (
        SELECT open.job_id, open.key FROM job_items open JOIN jobs USING (job_id)
        WHERE open.state = 'OPEN' AND open.due_at <= clock_timestamp()
          AND jobs.state = 'OPEN' AND jobs.kind = :kind
        ORDER BY open.due_at, open.number LIMIT 1
        FOR UPDATE OF open SKIP LOCKED)
    RETURNING i.job_id, i.key, i.attempts, i.due_at AS leased_until, j.kind, j.what, j.asked_by,
              j.session_id, j.address, j.started_at
""")


class Leased(NamedTuple):
    """An item that is this worker's until then; `attempts` counts this one."""

    item: JobItem
    attempts: int
    leased_until: datetime


def run_once(does: Mapping[JobKind, Does]) -> dict[str, int]:
    """Does one item of each of these kinds of jobs, if one is open. Counts what was `done` and has
    `failed`; `more` says that there may be others. A worker that is to stop finishes one item, and
    not a job."""
    ended = [_step(kind, do) for kind, do in does.items()]
    return {
        "done": ended.count(ItemState.DONE),
        "failed": ended.count(ItemState.FAILED),
        "more": len([state for state in ended if state is not None]),
    }


def _step(kind: JobKind, do: Does) -> ItemState | None:
    leased = lease(kind)
    if leased is None:
        return None
    try:
        state, told = _done(leased, do)
    except _LATER:
        log.exception("job_item_put_off", job_id=leased.item.job_id, key=leased.item.key)
        return None
    except JobStopped:
        give_back(leased)
        return None
    mark(leased, state, told)
    log.info("job_item", job_id=leased.item.job_id, key=leased.item.key, state=str(state))
    return state


def lease(kind: JobKind) -> Leased | None:
    """The item of this kind that is due the longest, and is this worker's now."""
    values = {"kind": kind, "lease": LEASE_SECONDS.get(kind, USUAL_LEASE_SECONDS)}
    with db.engine.begin() as connection:
        row = connection.execute(_LEASE, values).one_or_none()
    if row is None:
        return None
    if row.started_at is None:
        # By itself: who marks an item holds the job first, and then the item.
        with db.engine.begin() as connection:
            begun = update(JOB).where(JOB.c.job_id == row.job_id, JOB.c.started_at.is_(None))
            connection.execute(begun.values(started_at=func.now()))
    return Leased(_item(row), row.attempts, row.leased_until)


def _item(row: Any) -> JobItem:
    caller = Caller(
        row.asked_by,
        Actor.OPERATOR,
        # Into the payment's events: its story leads to the job.
        request_id=f"job-{row.job_id}",
        session_id=row.session_id,
        address=row.address,
    )
    return JobItem(row.job_id, JobKind(row.kind), row.key, row.what, caller)


def _done(leased: Leased, do: Does) -> tuple[ItemState, str]:
    if leased.attempts > MOST_TRIES:
        return ItemState.FAILED, f"It was begun {MOST_TRIES} times and never came to an end."
    try:
        return ItemState.DONE, do(leased.item)
    except (Refused, DomainError) as error:
        return ItemState.FAILED, str(error)
    except (*_LATER, JobStopped):
        raise
    except Exception as error:
        log.exception("job_item_failed", job_id=leased.item.job_id, key=leased.item.key)
        return ItemState.FAILED, f"Something went wrong here ({type(error).__name__})."


def give_back(leased: Leased) -> None:
    """The item is as it was before it was begun."""
    item = leased.item
    which = (ITEM.c.job_id == item.job_id) & (ITEM.c.key == item.key)
    which &= ITEM.c.due_at == leased.leased_until
    values = {"due_at": func.now(), "attempts": ITEM.c.attempts - 1}
    with db.engine.begin() as connection:
        connection.execute(update(ITEM).where(which).values(values))
    log.info("job_item_given_back", job_id=item.job_id, key=item.key)


def mark(leased: Leased, state: ItemState, told: str) -> None:
    """Writes down how an item ended, and with the last one that the job has. Who lost the lease
    meanwhile may still say that it was done, and not that it failed."""
    item, at = leased.item, func.now()
    which = (ITEM.c.job_id == item.job_id) & (ITEM.c.key == item.key)
    which &= ITEM.c.state == ItemState.OPEN
    values: dict[str, Any] = {"state": state, "ended_at": at}
    if state is ItemState.DONE:
        values["said"] = told
    else:
        which &= ITEM.c.due_at == leased.leased_until
        values["error"] = told
    # The job is held first: of two that mark its last two items, the second sees the first.
    left = exists().where(ITEM.c.job_id == item.job_id, ITEM.c.state == ItemState.OPEN)
    ending = update(JOB).where(JOB.c.job_id == item.job_id, JOB.c.state != JobState.ENDED, ~left)
    with db.engine.begin() as connection:
        hold(connection, item.job_id)
        connection.execute(update(ITEM).where(which).values(values))
        connection.execute(ending.values(state=JobState.ENDED, ended_at=at))
