"""Decisions on refunds that were asked for: the page to decide on, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import abort, flash, g, render_template, request, url_for

from payment_service.admin import confirming
from payment_service.admin.admission import now
from payment_service.admin.redirects import see
from payment_service.admin.shown import written
from payment_service.config import settings
from payment_service.domain.errors import DomainError, IdempotencyKeyInProgress
from payment_service.domain.four_eyes import (
    BadReason,
    Decided,
    NotByThisOne,
    ShownOtherwise,
    UnknownRequest,
)
from payment_service.domain.operators import StepUpFirst
from payment_service.domain.pages import MAY, Deed, is_at_least
from payment_service.services import aftermath, refund_requests
from payment_service.services import refund_request_lists as lists
from payment_service.services.refund_request_lists import Shown


def page(request_id: int, said: str = "") -> str:
    """The request as it stands, with a form for each thing that who asks may do with it. Raises
    UnknownRequest."""
    shown = lists.look(request_id)
    g.payment_id = shown.payment["payment_id"]
    return render_template(
        "admin/approval.html",
        asked=shown.request,
        payment=shown.payment,
        hash=shown.hash,
        last=lists.last_of(shown.request["asked_by"]),
        names=lists.names_of([shown.request["asked_by"], shown.request["decided_by"]]),
        over=shown.request["expires_at"] <= datetime.now(UTC),
        shown_lately=_shown_lately(),
        own=_is_own(shown),
        may_decide=is_at_least(now().role, MAY[Deed.APPROVE]),
        approver=MAY[Deed.APPROVE],
        key=confirming.new_key(),
        said=said,
        sent=request.form,
    )


def _is_own(shown: Shown) -> bool:
    return shown.request["asked_by"] == confirming.asks().name


def _shown_lately() -> bool:
    """Whether who asks showed who it is just now; the service asks the database."""
    at, lately = now().stepped_up_at, timedelta(seconds=settings().step_up_seconds)
    return at is not None and at > datetime.now(UTC) - lately


def approve(request_id: int) -> Any:
    def act() -> Any:
        ended = refund_requests.approve(
            request_id=request_id,
            shown=request.form.get("shown", ""),
            key=confirming.sent_key(),
            caller=confirming.asks(),
            decision=request.form.get("decision"),
        )
        payment_id = lists.look(request_id).payment["payment_id"]
        flash(f"Approved. {aftermath.tell(ended, payment_id=payment_id, written=written())}")
        return see(confirming.payment_url(payment_id))

    return _decided(request_id, act)


def decline(request_id: int) -> Any:
    def act() -> Any:
        refund_requests.decline(
            request_id=request_id,
            shown=request.form.get("shown", ""),
            caller=confirming.asks(),
            decision=request.form.get("decision", ""),
        )
        flash("Declined. What was held for it can be given back another way.")
        return _here(request_id)

    return _decided(request_id, act)


def withdraw(request_id: int) -> Any:
    def act() -> Any:
        refund_requests.withdraw(request_id=request_id, caller=confirming.asks())
        flash("Withdrawn. What was held for it is free again.")
        return _here(request_id)

    return _decided(request_id, act)


def _decided(request_id: int, act: Callable[[], Any]) -> Any:
    """Does it; or shows the request anew, with what is in the way."""
    try:
        return act()
    except UnknownRequest as error:
        abort(404, str(error))
    except StepUpFirst as error:
        flash(str(error))
        here = url_for("admin_approval.index", request_id=request_id)
        return see(url_for("admin.step_up", next=here))
    except IdempotencyKeyInProgress:
        flash(confirming.UNDER_WAY)
        return _here(request_id)
    except BadReason as error:
        return page(request_id, str(error)), 422
    except (Decided, ShownOtherwise, NotByThisOne, DomainError) as error:
        return page(request_id, confirming.sentence(error)), 409


def _here(request_id: int) -> Any:
    return see(url_for("admin_approval.index", request_id=request_id))
