"""In by password, and out."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, url_for
from flask_login import current_user

from payment_service.admin import cookies
from payment_service.admin.admission import leave, now
from payment_service.admin.asking import asking, not_logged_in
from payment_service.admin.forms import LogIn
from payment_service.admin.redirects import entered, see, wanted
from payment_service.config import operators as rules
from payment_service.config import settings, sso
from payment_service.services import log_ins, sessions
from payment_service.services.sessions import Begun


def log_in() -> Any:
    form = LogIn()
    if form.is_submitted():
        if not form.validate():
            return _page(form), 422
        ended = log_ins.by_password(
            email=form.email.data.strip(), password=form.password.data, **asking()
        )
        if isinstance(ended, Begun):
            leave()
            return entered(ended)
        return not_logged_in(ended, lambda said: _page(form, said))
    if current_user.is_authenticated:
        return see(wanted())
    return _page(form)


def _page(form: LogIn, said: str = "") -> str:
    ways = {"by_password": rules.password_lets_in(settings()), "by_sso": sso.is_on(settings())}
    return render_template("admin/login.html", form=form, said=said, **ways)


def log_out() -> Any:
    sessions.log_out(now())
    cookies.drop()
    flash("You are logged out.")
    return see(url_for("admin.log_in"))
