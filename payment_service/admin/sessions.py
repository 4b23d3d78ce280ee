"""Everybody's sessions, for admins."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, url_for

from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.services import sessions


def all_sessions() -> str:
    return render_template("admin/sessions.html", sessions=sessions.list_all())


def end_of_anybody(session_id: int) -> Any:
    ended = sessions.end(session_id=session_id, by=now().by)
    flash("The session is ended." if ended else "That session is over already.")
    return see(url_for("admin.all_sessions"))
