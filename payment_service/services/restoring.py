"""Looks back after a restore, before anybody is let in: what happened since the backup comes back
from the replaced database, providers that can list say what they did, and what is still open is
asked of its provider."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from payment_service.domain.operators import Ended
from payment_service.extensions import db
from payment_service.services import (
    identities,
    lapsing,
    relisting,
    replaced_database,
    returning,
    returning_acts,
    returning_people,
    returning_promises,
)
from payment_service.services.moves import resolution

ASKING_SECONDS = 60.0
"""For look-ups before the service is let in again. What is open then is due, and the worker goes on
with it; a retry looks up its own at once."""

CLOCKS_DIFFER = timedelta(hours=1)
"""Ours and the providers', and the time that a request was under way: asked for that much more."""

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any payment: of an empty backup."""

NAMED = 20
"""Open requests that are printed; more are counted."""

# Whatever the backup or the replaced database said of when to ask: now.
_DUE = text("""
    UPDATE transactions SET due_at = now()
    WHERE status IN ('PROCESSING', 'REQUIRES_ACTION') OR due_at IS NOT NULL
""")
# Operators' sessions and links that were ended or used since the backup are good again in it.
_PUT_OUT = (
    text("UPDATE operator_sessions SET ended_at = now(), ended_why = :why WHERE ended_at IS NULL"),
    text("UPDATE operator_invites SET expires_at = now() WHERE used_at IS NULL"),
)
# What a person stopped since would go on by itself, and skip what was to be delivered.
_STOP_JOBS = text("UPDATE jobs SET state = 'STOPPED', stop_asked_at = now() WHERE state = 'OPEN'")
_JOBS = text("SELECT to_regclass('public.jobs') IS NOT NULL")
_OPERATORS = text("SELECT to_regclass('public.operator_sessions') IS NOT NULL")  # or it is older
_REQUESTS = text("SELECT to_regclass('public.refund_requests') IS NOT NULL")  # or it is older
# History (rows.is_history) bears the dates of its file.
_BACKUP_OF = text("""
    SELECT greatest((SELECT max(updated_at) FROM payments
                     WHERE NOT imported OR audit_head IS NOT NULL),
                    (SELECT max(created_at) FROM idempotency_keys))
""")
_OPEN = text("""
    SELECT t.reference, t.provider, t.type, t.status FROM transactions t
    WHERE t.status IN ('PROCESSING', 'REQUIRES_ACTION') ORDER BY t.payment_id, t.number
""")


@dataclass
class RestoreReport:
    """What came back, and what stays open."""

    backup_of: datetime | None = None
    unreadable: str | None = None
    payments: int = 0
    keys: int = 0
    customers: int = 0
    acts: int = 0
    acts_refused: str | None = None
    jobs_stopped: int = 0
    lapsed: int = 0
    sequences: int = 0
    looked_up: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    open: list[Any] = field(default_factory=list)
    listing: relisting.RelistingReport = field(default_factory=relisting.RelistingReport)
    file: Path | None = None

    def lines(self) -> Iterator[str]:
        """What the command prints: what was done, and what stays open."""
        if self.unreadable:
            yield f"the replaced database gave nothing back: {self.unreadable}"
            yield "OPEN: the keys since the backup are lost: a retry of one of them asks anew"
            yield "OPEN: the acts since the backup are lost: later digests do not fit"
        else:
            yield (
                f"from the replaced database: {self.payments} payments, {self.keys} keys,"
                f" {self.customers} customers, {self.acts} acts"
            )
            if self.acts_refused:
                yield f"OPEN: the audit log there is believed no further: {self.acts_refused}"
        if self.jobs_stopped:
            yield f"OPEN: {self.jobs_stopped} jobs of operators are stopped: see what is left"
        if self.lapsed:
            yield (
                f"OPEN: {self.lapsed} refunds that waited for a decision are lapsed, as nobody here"
                " knows what was decided since: see what went back, and ask for them anew"
            )
        yield from _told(self.listing, self.file, all_providers=bool(self.unreadable))
        yield f"{self.sequences} identities moved on, {self.looked_up} requests looked up"
        for payment_id, why in self.refused.items():
            yield f"OPEN: payment {payment_id} stays as in the backup: {why}"
        for row in self.open[:NAMED]:
            yield f"OPEN: {row.type} {row.reference} at {row.provider} is {row.status}"
        if len(self.open) > NAMED:
            yield f"OPEN: {len(self.open) - NAMED} more requests; flask worker goes on asking"


def _told(
    found: relisting.RelistingReport, file: Path | None, *, all_providers: bool
) -> Iterator[str]:
    """About the providers' lists. That one can't list matters where nothing else can tell."""
    yield (
        f"providers listed {found.listed} operations: {found.adopted} were missing at payments of"
        f" ours, {found.differing} ended otherwise than here"
    )
    for name, why in found.unasked.items():
        if all_providers or why != relisting.CANT_LIST:
            yield f"OPEN: {name} did not say what it did since the backup: {why}"
    if file:
        yield f"OPEN: {len(found.unknown)} operations that no row of ours tells of are in {file}"


def look_back(*, replaced: str, folder: Path) -> RestoreReport:
    """In a restored database that nobody else is in. `replaced` names the database on the same
    server whose place it takes. What nobody here knows goes to a file in `folder`."""
    report = RestoreReport()
    with replaced_database.opened(replaced) as there:
        report.unreadable = replaced_database.why_unreadable(there)
        with db.engine.begin() as connection:
            for statement in _PUT_OUT if connection.scalar(_OPERATORS) else ():
                connection.execute(statement, {"why": Ended.RESTORED})
            if connection.scalar(_JOBS):
                report.jobs_stopped = connection.execute(_STOP_JOBS).rowcount
            report.backup_of = connection.execute(_BACKUP_OF).scalar_one()
            report.sequences = identities.move_beyond(
                connection,
                replaced=None if report.unreadable else there,
                backup_of=report.backup_of,
            )
        if not report.unreadable:
            _bring_back(there, report)
        # Before providers are asked: what was given since finds its room again.
        report.lapsed = _lapse_unknown(there, report)
    _ask_lists(report, (report.backup_of or BEGINNING) - CLOCKS_DIFFER, folder)
    report.looked_up = _look_up_all()
    with db.engine.connect() as connection:
        report.open = list(connection.execute(_OPEN))
    return report


def ask_providers(*, since: datetime, folder: Path) -> list[str]:
    """What providers did since a moment that our rows don't tell of, as lines to print. May be
    asked again at any time, while the service runs."""
    report = RestoreReport()
    _ask_lists(report, since, folder)
    return list(_told(report.listing, report.file, all_providers=True))


def _ask_lists(report: RestoreReport, since: datetime, folder: Path) -> None:
    report.listing = relisting.ask(since=since)
    report.file = relisting.write(report.listing, folder)


def _bring_back(there: Connection, report: RestoreReport) -> None:
    report.payments, report.refused = returning.bring_back(there)
    report.keys = returning_promises.bring_keys_back(there)
    returning_promises.settle_deliveries(there)
    report.customers = returning_people.bring_people_back(there)
    report.acts, report.acts_refused = returning_acts.bring_acts_back(there)


def _lapse_unknown(there: Connection, report: RestoreReport) -> int:
    """Of requests for refunds that the backup has open: those of which nobody here knows whether
    they were decided since, because their payment is not there any more or is not believed."""
    with db.engine.connect() as connection:
        if not connection.scalar(_REQUESTS):
            return 0
    if report.unreadable:
        return lapsing.lapse_all()
    waiting = lapsing.waiting()
    gone = waiting - replaced_database.known(there, waiting)
    return lapsing.lapse_all(gone | report.refused.keys())


def _look_up_all() -> int:
    """Asks about all that is open, once."""
    with db.engine.begin() as connection:
        due = connection.execute(_DUE).rowcount
    deadline, asked = time.monotonic() + ASKING_SECONDS, 0
    while asked < due and time.monotonic() < deadline:
        counts = resolution.run_once()
        asked += counts["looked_up"]
        if not counts["looked_up"]:
            break
    return asked
