"""Jobs in words, and the way to what one of their items is about."""

from __future__ import annotations

from flask import url_for

from payment_service.domain.jobs import JobKind

OF_KIND = {
    JobKind.RESEND: "Send events again",
    JobKind.SKIP: "Skip events",
    JobKind.RESOLVE: "Look up payments",
    JobKind.VERIFY: "Verify the hash chains",
}


def way_to(kind: JobKind, key: str) -> str | None:
    """The page of the payment that an item is of; None where it is of none."""
    payment_id = key.split("/")[1] if key.count("/") == 2 else key
    if not payment_id.isdecimal():
        return None
    return url_for("admin_payment.index", payment_id=int(payment_id))
