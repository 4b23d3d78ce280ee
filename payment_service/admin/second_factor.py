"""The second factor: its code at the log-in, and setting one up."""

from __future__ import annotations

from typing import Any

from flask import abort, render_template

from payment_service.admin import cookies
from payment_service.admin.admission import now
from payment_service.admin.asking import WRONG_CODE, asking, not_logged_in
from payment_service.admin.forms import Code
from payment_service.admin.redirects import entered, to_step_up, wanted
from payment_service.domain.operators import Reach, WrongCode
from payment_service.services import log_ins, second_factors, sessions
from payment_service.services.sessions import Begun


def second_factor() -> Any:
    if now().reach is Reach.CODE:
        return _ask()
    if not now().has_password:
        abort(404)  # whose log-in is elsewhere has the second factor there, too
    if not sessions.stepped_up(now()):
        return to_step_up()
    return _set_up()


def _ask() -> Any:
    form = Code()
    if form.is_submitted():
        if not form.validate():
            return _code_page(form), 422
        ended = log_ins.by_code(now(), code=form.code.data.strip(), **asking())
        if isinstance(ended, Begun):
            return entered(ended)
        return not_logged_in(ended, lambda said: _code_page(form, said), WRONG_CODE)
    return _code_page(form)


def _code_page(form: Code, said: str = "") -> str:
    return render_template("admin/code.html", form=form, said=said)


def _set_up() -> Any:
    form = Code()
    if form.is_submitted() and form.validate():
        try:
            done = second_factors.confirm(now(), code=form.code.data.strip(), **asking())
        except WrongCode as error:
            form.code.errors = [str(error)]
        else:
            cookies.keep(done.begun.token)
            return render_template(
                "admin/recovery_codes.html", codes=done.recovery_codes, way_on=wanted()
            )
    offer = second_factors.offer(now())
    page = render_template("admin/second_factor.html", form=form, offer=offer)
    return page, 422 if form.errors else 200
