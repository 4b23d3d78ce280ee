"""What is done to a job: it is stopped, and gone on with; and a verification is asked for."""

from __future__ import annotations

from typing import Any

from flask import flash, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.services import jobs

LONGEST_KEY = 100
"""Characters of what makes a form one: ours have 43."""


def stop_job(job_id: int) -> Any:
    stopped = jobs.stop(job_id=job_id, by=now().by)
    flash("Nothing more of it is begun." if stopped else "It was stopped already.")
    return see(url_for("admin_job.index", job_id=job_id))


def go_on_with_job(job_id: int) -> Any:
    goes_on = jobs.go_on(job_id=job_id, by=now().by)
    flash("It goes on." if goes_on else "It goes on already.")
    return see(url_for("admin_job.index", job_id=job_id))


def verify() -> Any:
    job_id = jobs.ask_verify(by=now().by, asked_key=asked_key(), address=request.remote_addr)
    return see(url_for("admin_job.index", job_id=job_id))


def asked_key() -> str | None:
    """What makes this form one, however often it is sent: its job is there once."""
    return request.form.get("asked_key", "")[:LONGEST_KEY] or None
