"""In by a link that was given out: to join, or to choose a new password."""

from __future__ import annotations

from typing import Any

from flask import render_template

from payment_service.admin.admission import leave
from payment_service.admin.asking import asking
from payment_service.admin.forms import Accept, NewPassword
from payment_service.admin.redirects import entered
from payment_service.domain.operators import BadText, InviteOver, InvitePurpose, WeakPassword
from payment_service.services import invites


def invite(token: str) -> Any:
    """To look at it does not use it: programs that read e-mails open each link."""
    try:
        invited = invites.look(token)
        joins = invited.purpose is InvitePurpose.JOIN
        form = Accept(name=invited.name) if joins else NewPassword()
        if not form.is_submitted():
            return _page(invited, form)
        if not form.validate():
            return _page(invited, form), 422
        begun = invites.accept(
            token=token,
            name=form.name.data.strip() if joins else "",
            password=form.password.data,
            **asking(),
        )
    except InviteOver as error:
        return render_template("admin/over.html", says=str(error)), 410
    except BadText as error:
        form.name.errors = [str(error)]
        return _page(invited, form), 422
    except WeakPassword as error:
        form.password.errors = [str(error)]
        return _page(invited, form), 422
    leave()
    return entered(begun)


def _page(invited: invites.Invited, form: Any) -> str:
    return render_template("admin/invite.html", invited=invited, form=form)
