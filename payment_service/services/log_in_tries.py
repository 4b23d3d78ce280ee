"""How many wrong passwords and codes there were, counted in PostgreSQL, so that a log-in is as safe
without Redis; and who has to wait for the next one.

A try is written down before anything is looked at, and taken out if it was right: of any number at
once no more get through than one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import delete, select, text, update

from payment_service.addresses import counted_as
from payment_service.domain.acts import Act
from payment_service.domain.operators import SURE, operator_name
from payment_service.extensions import db
from payment_service.models import LogInTry, Operator, OperatorSession
from payment_service.services import audit_log
from payment_service.telemetry import metrics

log = structlog.get_logger(__name__)

TRY = LogInTry.__table__
OPERATOR = Operator.__table__
SESSION = OperatorSession.__table__

FREE = 5
"""Of one account and address in WINDOW, before each next one waits."""
WINDOW = 900
FIRST_WAIT, LONGEST_WAIT = 30, 900
"""Seconds; each wait is twice the one before. A person waits half a minute; who guesses has some
ten tries in the first half hour, and four an hour after it."""
FROM_ONE_ADDRESS = 30
"""In WINDOW, whatever the account: a few people's bad day behind one address."""
OF_ONE_ACCOUNT, HOUR = 100, 3600
"""In an HOUR, from anywhere. After that only addresses are heard that it came from before: others
may guess on, and the account's own person still comes in."""

# Any number that no other use of advisory locks in this database has.
ONE_AT_A_TIME = 7_102_394_513


@dataclass(frozen=True)
class Try:
    """One that may be looked at. If it is wrong, the next one waits `waits` seconds."""

    try_id: int
    account: str
    network: str
    waits: int


@dataclass(frozen=True)
class TooEarly:
    """Nothing is looked at for so many seconds more."""

    wait: int


def account_of(operator_id: int | None, name: str) -> str:
    """How tries are counted: for an operator, or for a name that nobody has. It is the same in all
    spellings in which an operator's would be (log_ins), or the waits would tell them apart."""
    if operator_id is not None:
        return str(operator_id)
    return audit_log.unknown_name(name.strip().lower())


def take(*, operator_id: int | None, name: str, address: str) -> Try | TooEarly:
    """Writes down that a password or code came, as if it were wrong. `name` is what was typed where
    there is no such operator. Commits."""
    account, network = account_of(operator_id, name), counted_as(address)
    with db.session.begin():
        db.session.execute(text("SELECT pg_advisory_xact_lock(:one)"), {"one": ONE_AT_A_TIME})
        values = {"account": account, "network": network}
        found = db.session.execute(_LOOK, values).one()
        wait = max(found.here_wait or 0, found.network_wait or 0)
        if found.account_wait and not _came_from(operator_id, network):
            wait = max(wait, found.account_wait)
        if wait <= 0:
            waits = _next_wait(found)
            adding = text("""
                INSERT INTO log_in_tries (account, network, at, waits)
                VALUES (:account, :network, clock_timestamp(), :waits) RETURNING try_id""")
            try_id: int = db.session.execute(adding, values | {"waits": waits}).scalar_one()
            return Try(try_id, account, network, waits)
        _tell(found.last_id, operator_id, account, address, wait)
    metrics.LOG_INS_REFUSED.labels("too_early").inc()
    return TooEarly(math.ceil(wait))


def forget(this: Try) -> None:
    """It was right, or was not looked at. In the current transaction."""
    db.session.execute(delete(TRY).where(TRY.c.try_id == this.try_id))


def forgive(this: Try) -> None:
    """Whoever it is came in with all that is asked of him: what he mistyped before counts no more.
    Nobody can do this for another's account. In the current transaction."""
    here = (TRY.c.account == this.account) & (TRY.c.network == this.network)
    db.session.execute(delete(TRY).where(here))


# Seconds to wait, by the clock once the lock is held. Old rows go as new ones come.
_LOOK = text(f"""
    WITH gone AS (
        DELETE FROM log_in_tries WHERE at < clock_timestamp() - make_interval(secs => {HOUR})),
    recent AS (
        SELECT *, extract(epoch FROM clock_timestamp() - at)::float8 AS ago FROM log_in_tries
        WHERE at > clock_timestamp() - make_interval(secs => {HOUR})
          AND (account = :account OR network = :network)),
    last AS (
        SELECT * FROM recent WHERE account = :account AND network = :network
        ORDER BY try_id DESC LIMIT 1)
    SELECT
        (SELECT waits - ago FROM last) AS here_wait,
        (SELECT waits FROM last) AS last_waits,
        (SELECT ago FROM last) AS last_ago,
        (SELECT count(*) FROM recent
         WHERE account = :account AND network = :network AND ago < {WINDOW}) AS here,
        (SELECT {WINDOW} - ago FROM recent WHERE network = :network AND ago < {WINDOW}
         ORDER BY ago OFFSET {FROM_ONE_ADDRESS - 1} LIMIT 1) AS network_wait,
        (SELECT {HOUR} - ago FROM recent WHERE account = :account
         ORDER BY ago OFFSET {OF_ONE_ACCOUNT - 1} LIMIT 1) AS account_wait,
        (SELECT max(try_id) FROM recent) AS last_id
""")  # noqa: S608 - our own numbers


def _next_wait(found: Any) -> int:
    """What the try that is taken now makes the next one wait, if it is wrong."""
    if found.last_waits and found.last_ago - found.last_waits < WINDOW:
        return int(min(found.last_waits * 2, LONGEST_WAIT))
    return FIRST_WAIT if found.here + 1 >= FREE else 0


def _came_from(operator_id: int | None, network: str) -> bool:
    """Whether the operator was logged in from there, with all that was asked of him: who has only
    his password was not."""
    query = (
        select(SESSION.c.address)
        .join(OPERATOR, OPERATOR.c.operator_id == SESSION.c.operator_id)
        .where(
            SESSION.c.operator_id == operator_id,
            SESSION.c.how.in_(SURE) | OPERATOR.c.totp_last_step.is_(None),
        )
        .distinct()
    )
    return network in map(counted_as, db.session.execute(query).scalars())


def _tell(last_id: int, operator_id: int | None, account: str, address: str, wait: float) -> None:
    """Writes down that somebody has to wait: once for each wrong try, or knocking would fill the
    audit log."""
    log.warning("log_in_delayed", account=account, seconds=math.ceil(wait))
    telling = update(TRY).where(TRY.c.try_id == last_id, ~TRY.c.told).values(told=True)
    if db.session.execute(telling.returning(TRY.c.try_id)).first() is None:
        return
    audit_log.write(
        actor="web",
        act=Act.LOG_IN_DELAYED,
        object=account if operator_id is None else operator_name(operator_id),
        body={"seconds": math.ceil(wait)},
        address=address,
    )
