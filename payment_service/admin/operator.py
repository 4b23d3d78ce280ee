"""One operator: role, place, second factor and sessions."""

from __future__ import annotations

from flask import abort
from flask_admin import expose

from payment_service.admin.views import Page
from payment_service.config import operators as rules
from payment_service.config import settings
from payment_service.domain.operators import Role
from payment_service.services import operators, sessions


class Operator(Page):
    path = "/operators/<id:operator_id>"
    within = "admin_operators"

    @expose()
    def index(self, operator_id: int) -> str:
        found = next((one for one in operators.listed() if one.operator_id == operator_id), None)
        if found is None:
            abort(404)
        return self.render(
            one=found,
            roles=list(Role),
            sessions=sessions.list_of(operator_id=operator_id),
            by_link=rules.password_lets_in(settings()) and not found.by_sso,
        )
