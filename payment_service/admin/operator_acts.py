"""What an admin does to operators. The services do it only for who has just shown who it
is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort, flash, render_template, request, url_for

from payment_service.admin.admission import now
from payment_service.admin.forms import Invite
from payment_service.admin.redirects import see
from payment_service.config import settings
from payment_service.domain.operators import LastAdmin, OwnRole, Refused, Role, StepUpFirst
from payment_service.services import invites, operators

_View = Callable[..., Any]


def _stepped_up(view: _View) -> _View:
    """Sends who has not shown for a while who it is to do so, and back to the list."""

    @wraps(view)
    def shown(**values: Any) -> Any:
        try:
            return view(**values)
        except StepUpFirst as error:
            flash(str(error))
            then = url_for("admin_operators.index")
            return see(url_for("admin.step_up", next=then))

    return shown


@_stepped_up
def make_invite() -> Any:
    """The link is shown now, and never again."""
    form = Invite()
    if form.validate():
        try:
            made = invites.make(
                email=form.email.data,
                name=form.name.data or "",
                role=Role(form.role.data),
                by=now().by,
            )
        except StepUpFirst:
            raise
        except Refused as error:
            form.email.errors = [str(error)]
        else:
            return _link(made)
    page = render_template(
        "admin/operators.html", people=operators.listed(), form=form, by_link=True
    )
    return page, 422


@_stepped_up
def make_password_link(operator_id: int) -> Any:
    found = [one for one in operators.listed() if one.operator_id == operator_id]
    if not found or found[0].email is None or found[0].by_sso:
        abort(404)
    return _link(invites.make(email=found[0].email, role=None, by=now().by))


def _link(made: invites.Invite) -> str:
    """Shown now and never again. Behind a proxy the request itself may have come by plain HTTP."""
    scheme = "https" if settings().app_env == "production" else None
    link = url_for("admin.invite", token=made.token, _external=True, _scheme=scheme)
    return render_template("admin/invited.html", made=made, link=link)


@_stepped_up
def change_role(operator_id: int) -> Any:
    role = request.form.get("role", "")
    if role not in [str(one) for one in Role]:
        abort(422, "There is no such role")
    done = f"The role is {role} now. Sessions under the one before are ended."
    return _done(operator_id, done, operators.change_role, role=Role(role))


@_stepped_up
def disable(operator_id: int) -> Any:
    return _done(operator_id, "This operator can't come in any more.", operators.disable)


@_stepped_up
def enable(operator_id: int) -> Any:
    return _done(operator_id, "This operator can come in again.", operators.enable)


@_stepped_up
def reset_second_factor(operator_id: int) -> Any:
    return _done(operator_id, "The second factor is gone.", operators.reset_second_factor)


def _done(operator_id: int, said: str, act: Callable[..., None], **more: Any) -> Any:
    try:
        act(who=str(operator_id), by=now().by, **more)
    except (LastAdmin, OwnRole) as error:
        said = str(error)
    flash(said)
    return see(url_for("admin_operator.index", operator_id=operator_id))
