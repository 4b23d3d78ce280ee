"""The words of jobs, which the worker does for an operator, and what is refused of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from payment_service.domain.callers import Caller
from payment_service.domain.operators import Refused

MOST_ITEMS = 500
"""Of one job: what a person can still look through in its preview. There is no kind that gives
money back."""


class JobKind(StrEnum):
    RESEND = "RESEND"
    """Parked deliveries are due again."""
    SKIP = "SKIP"
    """Parked deliveries are given up."""
    RESOLVE = "RESOLVE"
    """Payments that wait for a provider are looked up."""
    VERIFY = "VERIFY"
    """The hash chains are walked."""


class JobState(StrEnum):
    OPEN = "OPEN"
    STOPPED = "STOPPED"
    """Nothing more of it is begun until somebody has it go on."""
    ENDED = "ENDED"


class ItemState(StrEnum):
    OPEN = "OPEN"
    DONE = "DONE"
    FAILED = "FAILED"


@dataclass(frozen=True)
class JobItem:
    """One thing of a job, as whoever does it is told. `what` is the job's, `caller` who asked."""

    job_id: int
    kind: JobKind
    key: str
    what: Mapping[str, Any]
    caller: Caller


class UnknownJob(Refused):
    """There is no job with this number."""


class BadJob(Refused):
    """Nothing is to be done, or too much at once, or it can't be told what."""


class JobOver(Refused):
    """The job has ended."""


class JobStopped(Exception):
    """The job was stopped in the middle of an item, which is begun anew when the job goes on."""


class RoleTooLow(Refused):
    """The operator's role does not reach that far."""


class ItemFailed(Refused):
    """What was to be done with one item can't be done; the text is kept with it."""
