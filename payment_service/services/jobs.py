"""Jobs that operators have the worker do: asked for, stopped, gone on with, and read.

Who is asked for what, and what is left out of it, is told by services/bulk; this module knows keys
only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from payment_service.domain.acts import Act
from payment_service.domain.jobs import (
    MOST_ITEMS,
    BadJob,
    ItemState,
    JobKind,
    JobOver,
    JobState,
    JobStopped,
    RoleTooLow,
    UnknownJob,
)
from payment_service.domain.operators import By, Role
from payment_service.domain.pages import is_at_least
from payment_service.extensions import db
from payment_service.models import Job as JobModel
from payment_service.models import JobItem as ItemModel
from payment_service.services import audit_log

JOB = JobModel.__table__
ITEM = ItemModel.__table__

NEEDED = Role.OPERATOR
"""The role that a job asks for at least, whatever its kind: a walk over all chains is work, too."""
EVERYTHING = "all"
"""The key of a verification of all payments and acts."""


@dataclass(frozen=True)
class Item:
    """One thing of a job. `said` is what was done, `error` why it could not be."""

    key: str
    state: ItemState
    said: str | None
    error: str | None


@dataclass(frozen=True)
class JobLine:
    """A job in a list, with how many of its items are `done`, have `failed`, and are `left`."""

    job_id: int
    kind: JobKind
    state: JobState
    what: Mapping[str, Any]
    asked_by: str
    created_at: datetime
    started_at: datetime | None
    stop_asked_at: datetime | None
    ended_at: datetime | None
    done: int
    failed: int
    left: int


@dataclass(frozen=True)
class Job(JobLine):
    """A job with its items, in the order in which they are done."""

    items: tuple[Item, ...]


def ask(
    *,
    kind: JobKind,
    keys: Sequence[str],
    by: By,
    what: Mapping[str, Any] | None = None,
    asked_key: str | None = None,
    address: str | None = None,
) -> int:
    """Has the worker do this with each of the keys, in their order. The job's number; asked again
    by the same operator with the same `asked_key`, that of the job which is there.

    `what` holds for all of them, and is kept as JSON. Raises RoleTooLow, and BadJob for no key or
    more than MOST_ITEMS. Commits.
    """
    expect_role(by)
    keys = tuple(dict.fromkeys(keys))
    if not 0 < len(keys) <= MOST_ITEMS:
        raise BadJob(f"A job is of 1 to {MOST_ITEMS} things; these are {len(keys)}.")
    with db.engine.begin() as connection:
        job_id = _new(connection, kind, by, dict(what or {}), asked_key, address)
        if job_id is None:
            same = (JOB.c.asked_by == by.name) & (JOB.c.asked_key == asked_key)
            found: int = connection.execute(select(JOB.c.job_id).where(same)).scalar_one()
            return found
        values = {"job_id": job_id, "state": ItemState.OPEN, "due_at": func.now()}
        rows = [{"key": key, "number": number} for number, key in enumerate(keys, start=1)]
        connection.execute(insert(ITEM).values(values), rows)
        told = {"kind": kind, "items": len(keys), **(what or {})}
        _write(connection, by, Act.JOB_ASKED, job_id, told)
    return job_id


def _new(
    connection: Connection,
    kind: JobKind,
    by: By,
    what: Mapping[str, Any],
    asked_key: str | None,
    address: str | None,
) -> int | None:
    values = {
        "kind": kind,
        "state": JobState.OPEN,
        "what": what,
        "asked_by": by.name,
        "asked_key": asked_key,
        "session_id": by.session_id,
        "address": address,
        "created_at": func.now(),
    }
    once = insert_or(JOB).values(values).on_conflict_do_nothing(constraint=_ONE_OF_A_FORM)
    return connection.execute(once.returning(JOB.c.job_id)).scalar()


_ONE_OF_A_FORM = "uq_jobs_asked_by_asked_key"


def ask_verify(
    *,
    by: By,
    payment_id: int | None = None,
    asked_key: str | None = None,
    address: str | None = None,
) -> int:
    """Has the worker hold all rows against their hash chains, or those of one payment. The job's
    number. Raises RoleTooLow. Commits."""
    key = EVERYTHING if payment_id is None else str(payment_id)
    return ask(kind=JobKind.VERIFY, keys=[key], by=by, asked_key=asked_key, address=address)


def stop(*, job_id: int, by: By) -> bool:
    """Nothing more of the job is begun; the item that is being done is finished, and a walk over
    all chains leaves off. False if it is stopped already. Raises RoleTooLow, UnknownJob, JobOver.
    Commits."""
    return _turn(job_id, by, JobState.OPEN, JobState.STOPPED, Act.JOB_STOPPED)


def go_on(*, job_id: int, by: By) -> bool:
    """What a stop left is done now. False if it is at work already. Raises RoleTooLow, UnknownJob,
    JobOver. Commits."""
    return _turn(job_id, by, JobState.STOPPED, JobState.OPEN, Act.JOB_CONTINUED)


def _turn(job_id: int, by: By, before: JobState, after: JobState, act: Act) -> bool:
    expect_role(by)
    with db.engine.begin() as connection:
        stands = hold(connection, job_id)
        if stands == JobState.ENDED:
            raise JobOver("This job has ended.")
        if stands != before:
            return False
        stop_asked_at = func.now() if after == JobState.STOPPED else None
        values = {"state": after, "stop_asked_at": stop_asked_at}
        connection.execute(update(JOB).where(JOB.c.job_id == job_id).values(values))
        _write(connection, by, act, job_id)
    return True


def hold(connection: Connection, job_id: int) -> JobState:
    """The job's state, held until the transaction ends: always before its items. Raises
    UnknownJob."""
    query = select(JOB.c.state).where(JOB.c.job_id == job_id).with_for_update()
    if (state := connection.execute(query).scalar()) is None:
        raise UnknownJob(f"There is no job {job_id}.")
    return JobState(state)


def expect_not_stopped(job_id: int) -> None:
    """For what does an item that takes long. Raises JobStopped, if it is to leave off."""
    with db.engine.connect() as connection:
        state = connection.execute(select(JOB.c.state).where(JOB.c.job_id == job_id)).scalar()
    if state == JobState.STOPPED:
        raise JobStopped


def read(*, job_id: int) -> Job:
    """The job with all its items. Raises UnknownJob."""
    items = select(ITEM).where(ITEM.c.job_id == job_id).order_by(ITEM.c.number)
    with db.engine.connect() as connection:
        row = connection.execute(_LINES.where(JOB.c.job_id == job_id)).one_or_none()
        if row is None:
            raise UnknownJob(f"There is no job {job_id}.")
        found = connection.execute(items).all()
    shown = (Item(one.key, ItemState(one.state), one.said, one.error) for one in found)
    return Job(**vars(_line(row)), items=tuple(shown))


def newest(*, kind: JobKind | None = None, limit: int = 50) -> list[JobLine]:
    """The last jobs, or those of a kind, the newest first."""
    query = _LINES.order_by(JOB.c.job_id.desc()).limit(limit)
    if kind is not None:
        query = query.where(JOB.c.kind == kind)
    with db.engine.connect() as connection:
        return [_line(row) for row in connection.execute(query)]


_LINES = select(
    *(JOB.c[name] for name in ("job_id", "kind", "state", "what", "asked_by", "created_at")),
    *(JOB.c[name] for name in ("started_at", "stop_asked_at", "ended_at")),
    *(
        select(func.count())
        .where(ITEM.c.job_id == JOB.c.job_id, ITEM.c.state == state)
        .scalar_subquery()
        .label(name)
        for name, state in (
            ("done", ItemState.DONE),
            ("failed", ItemState.FAILED),
            ("left", ItemState.OPEN),
        )
    ),
)


def _line(row: Row[Any]) -> JobLine:
    words = {"kind": JobKind(row.kind), "state": JobState(row.state)}
    return JobLine(**{**row._mapping, **words})


def expect_role(by: By) -> None:
    """Raises RoleTooLow for who may not have anything done. Whoever has the command line may."""
    if by.operator_id is not None and (by.role is None or not is_at_least(by.role, NEEDED)):
        raise RoleTooLow(f"This is for operators with the role {NEEDED}. Yours is {by.role}.")


def _write(
    connection: Connection,
    by: By,
    act: Act,
    job_id: int,
    body: Mapping[str, Any] | None = None,
) -> None:
    audit_log.write(
        actor=by.name,
        act=act,
        object=f"job:{job_id}",
        body=body,
        session_id=by.session_id,
        connection=connection,
    )
