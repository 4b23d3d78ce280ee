"""Whether the last walks over the hash chains found something that does not fit, and nobody has
written down why yet. Each page of the operators says so until an admin does."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, func, select

from payment_service.domain.acts import Act
from payment_service.domain.jobs import BadJob, ItemState, JobKind, UnknownJob
from payment_service.domain.operators import By, NotAnAdmin
from payment_service.extensions import db
from payment_service.services import audit_log
from payment_service.services.audit_log import ENTRY
from payment_service.services.jobs import EVERYTHING, ITEM, JOB

LONGEST_WHY = 1000

_OF_JOB = JOB.c.job_id == ITEM.c.job_id
_NOTED = exists(
    # By the time first, which has an index: what is written of a job comes after its end.
    select(ENTRY.c.audit_id).where(
        ENTRY.c.at >= ITEM.c.ended_at,
        ENTRY.c.act == Act.NOTE_ADDED,
        ENTRY.c.object == "job:" + JOB.c.job_id.cast(ENTRY.c.object.type),
    )
)
_ENDED = (
    select(JOB.c.job_id, ITEM.c.error, ITEM.c.ended_at)
    .join_from(JOB, ITEM, _OF_JOB)
    .where(JOB.c.kind == JobKind.VERIFY, ITEM.c.state != ItemState.OPEN)
    .order_by(JOB.c.job_id.desc(), ITEM.c.number.desc())
)
# What fits is known of a walk over everything only; what does not, of any.
_LAST_WHOLE = _ENDED.with_only_columns(JOB.c.job_id).where(ITEM.c.key == EVERYTHING).limit(1)
_FOUND = _ENDED.where(
    ITEM.c.state == ItemState.FAILED,
    JOB.c.job_id >= func.coalesce(_LAST_WHOLE.correlate(None).scalar_subquery(), 0),
)


@dataclass(frozen=True)
class ChainAlarm:
    """The job that found it, what it said, and when."""

    job_id: int
    error: str
    at: datetime


def standing(*, connection: Connection | None = None) -> ChainAlarm | None:
    """The newest of what the last walk over everything found, and others after it, that nobody has
    written down why yet: what is said of one payment explains none of the others. Read by this
    connection if one is given."""
    with nullcontext(connection) if connection else db.engine.connect() as connection:
        for row in connection.execute(_FOUND).all():
            noted = select(JOB.c.job_id).join(ITEM, _OF_JOB).where(JOB.c.job_id == row.job_id)
            if connection.execute(noted.where(_NOTED)).first() is None:
                return ChainAlarm(row.job_id, row.error, row.ended_at)
    return None


def explain(*, job_id: int, why: str, by: By) -> None:
    """Writes down, for ever, why what this job found does not fit: the alarm is over until another
    walk finds something. Raises NotAnAdmin, UnknownJob where no such alarm stands, and BadJob
    without a reason. Commits."""
    if not by.is_admin:
        raise NotAnAdmin("Only an admin does this.")
    why = " ".join(why.split())
    if not 0 < len(why) <= LONGEST_WHY:
        raise BadJob(f"Say why, in at most {LONGEST_WHY} characters.")
    found = standing()
    if found is None or found.job_id != job_id:
        raise UnknownJob("This was explained meanwhile, or another walk came to another end.")
    with db.session.begin():
        audit_log.write(
            actor=by.name,
            act=Act.NOTE_ADDED,
            object=f"job:{job_id}",
            reason=why,
            session_id=by.session_id,
        )
