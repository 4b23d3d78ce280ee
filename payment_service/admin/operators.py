"""Who uses the panel: everybody, and the way to one."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.forms import Invite
from payment_service.admin.views import Page
from payment_service.config import operators as rules
from payment_service.config import settings
from payment_service.services import operators


class Operators(Page):
    path = "/operators"

    @expose()
    def index(self) -> str:
        return self.render(
            people=operators.listed(),
            form=Invite(formdata=None),
            by_link=rules.password_lets_in(settings()),
        )
