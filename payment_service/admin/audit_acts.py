"""An admin writes down why a chain does not fit."""

from __future__ import annotations

from typing import Any

from flask import flash, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.services import chain_alarm


def explain_chain(job_id: int) -> Any:
    chain_alarm.explain(job_id=job_id, why=request.form.get("why", ""), by=now().by)
    flash("It is written down.")
    return see(url_for("admin_audit.index"))
