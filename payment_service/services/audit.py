"""Holds every payment's rows against its hash chain, and the audit log against its own: what was
changed or taken away is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from payment_service.domain.jobs import ItemFailed, JobItem
from payment_service.services import audit_entries, audit_reading, audit_rows, jobs
from payment_service.services.audit_entries import BrokenEntry
from payment_service.services.audit_rows import Broken

MOST = 100
"""Lines that a person still reads; a table that was rewritten whole would give millions."""


@dataclass(frozen=True)
class AuditReport:
    """How much was walked, and what does not fit; at MOST of these the walk ends."""

    payments: int
    events: int
    acts: int
    broken: tuple[Broken | BrokenEntry, ...]


def verify_item(item: JobItem) -> str:
    """What an operator's job to verify does: its key is a payment, or all. Says what was walked.
    Raises ItemFailed with a line for each row that does not fit, and JobStopped."""
    payment_id = int(item.key) if item.key.isdecimal() else None
    go_on = partial(jobs.expect_not_stopped, item.job_id)
    report = verify(payment_id=payment_id, on_the_way=go_on)
    if report.broken:
        raise ItemFailed("\n".join(map(str, report.broken)))
    acts = "" if payment_id is not None else f", {report.acts} acts"
    return f"{report.payments} payments, {report.events} events{acts}: every row and chain fits."


def verify(
    *, payment_id: int | None = None, on_the_way: Callable[[], None] = lambda: None
) -> AuditReport:
    """Checks all payments, oldest first, and then the audit log; or one payment. What the rows were
    is known from the events, from the seals of imports, and from each other. `on_the_way` is called
    after each thousand payments; what it raises ends the walk."""
    payments = events = acts = 0
    broken: list[Broken | BrokenEntry] = []
    with audit_reading.snapshots() as connection:
        for number, books in enumerate(audit_reading.read(connection, payment_id), start=1):
            payments += books.payment is not None
            events += len(books.events)
            broken.extend(islice(audit_rows.check(books), MOST - len(broken)))
            if len(broken) == MOST:
                break
            if number % audit_reading.CHUNK == 0:
                on_the_way()
        if payment_id is None and len(broken) < MOST:
            acts, faults = audit_entries.check(connection, most=MOST - len(broken))
            broken.extend(faults)
    return AuditReport(payments, events, acts, tuple(broken))
