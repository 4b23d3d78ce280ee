"""One refund that was asked for: what is to be decided, and by whom it was."""

from __future__ import annotations

from typing import Any

from flask import abort
from flask_admin import expose

from payment_service.admin import deciding
from payment_service.admin.views import Page
from payment_service.domain.four_eyes import UnknownRequest


class Approval(Page):
    path = "/approvals/<id:request_id>"
    within = "admin_approvals"

    @expose()
    def index(self, request_id: int) -> Any:
        try:
            return deciding.page(request_id)
        except UnknownRequest as error:
            abort(404, str(error))
