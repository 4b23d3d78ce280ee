"""My account: sessions, password, second factor, and how the pages look."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, url_for

from payment_service.admin import cookies
from payment_service.admin.admission import now
from payment_service.admin.asking import asking
from payment_service.admin.forms import ChangePassword, Preferences
from payment_service.admin.log_in import log_out
from payment_service.admin.redirects import see
from payment_service.domain.operators import Numbers, Theme, WeakPassword, WrongPassword
from payment_service.services import own_settings, sessions


def me() -> str:
    return _page(ChangePassword(formdata=None), Preferences(formdata=None, **_chosen()))


def _chosen() -> dict[str, str]:
    return {"timezone": now().timezone, "theme": now().theme, "numbers": now().numbers}


def _page(password: ChangePassword, preferences: Preferences) -> str:
    return render_template(
        "admin/me.html",
        sessions=sessions.list_of(operator_id=now().operator_id),
        password=password,
        preferences=preferences,
    )


def _again() -> Any:
    return see(url_for("admin.me"))


def change_password() -> Any:
    form = ChangePassword()
    if form.validate():
        try:
            begun = own_settings.change_password(
                now(), old=form.old.data, new=form.new.data, **asking()
            )
        except WrongPassword as error:
            form.old.errors = [str(error)]
        except WeakPassword as error:
            form.new.errors = [str(error)]
        else:
            cookies.keep(begun.token)
            flash("Your password is changed. All your other sessions are ended.")
            return _again()
    return _page(form, Preferences(formdata=None, **_chosen())), 422


def set_preferences() -> Any:
    form = Preferences()
    if not form.validate():
        return _page(ChangePassword(formdata=None), form), 422
    own_settings.set_preferences(
        now(),
        timezone=form.timezone.data,
        theme=Theme(form.theme.data),
        numbers=Numbers(form.numbers.data),
    )
    flash("Saved.")
    return _again()


def end_session(session_id: int) -> Any:
    """One of one's own."""
    if session_id == now().session_id:
        return log_out()
    ended = sessions.end(session_id=session_id, by=now().by)
    flash("The session is ended." if ended else "That session is over already.")
    return _again()


def end_others() -> Any:
    count = sessions.end_others(now())
    flash(f"Ended {count} other session{'s' * (count != 1)}.")
    return _again()
