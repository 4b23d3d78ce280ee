"""The ways from the list of payments to what is done with all that fit its filters."""

from __future__ import annotations

from datetime import datetime

from flask import url_for

from payment_service.admin.payment_filters import Asked
from payment_service.domain.jobs import JobKind
from payment_service.schemas.payments import PaymentQuery

_OF_FILES = frozenset(PaymentQuery().fields)


def all_that_fit(asked: Asked) -> str | None:
    """None where nothing narrows it."""
    if not asked.chosen or asked.wrong:
        return None
    return url_for("admin.preview_bulk", kind=JobKind.RESOLVE, all=1, **asked.chosen)  # type: ignore[arg-type]


def export_of(asked: Asked) -> str | None:
    """The list as a file; None where a file can't be narrowed as the list is."""
    if asked.wrong or asked.filters.keys() - _OF_FILES:
        return None
    said = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in asked.filters.items()
    }
    return url_for("admin.payments_csv", **said)  # type: ignore[arg-type]
