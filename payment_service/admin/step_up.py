"""Shows once more who asks, before what does more than usual."""

from __future__ import annotations

from typing import Any

from flask import render_template

from payment_service.admin import cookies
from payment_service.admin.admission import now
from payment_service.admin.asking import WRONG_CODE, WRONG_PASSWORD, asking, not_logged_in
from payment_service.admin.forms import Code, Password
from payment_service.admin.redirects import see, to_second_factor, wanted
from payment_service.domain.operators import Reach
from payment_service.services import log_ins
from payment_service.services.sessions import Begun


def step_up() -> Any:
    if now().reach is Reach.CODE:
        return to_second_factor()
    form: Any = Code() if now().has_second_factor else Password()
    if not form.is_submitted():
        return _page(form)
    if not form.validate():
        return _page(form), 422
    proof = form.code if now().has_second_factor else form.password
    ended = log_ins.step_up(now(), **{proof.name: proof.data}, **asking())
    if isinstance(ended, Begun):
        cookies.keep(ended.token)
        return see(wanted())
    wrong = WRONG_CODE if now().has_second_factor else WRONG_PASSWORD
    return not_logged_in(ended, lambda said: _page(form, said), wrong)


def _page(form: Any, said: str = "") -> str:
    return render_template("admin/step_up.html", form=form, said=said)
