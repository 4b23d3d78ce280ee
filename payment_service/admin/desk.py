"""The first page."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.views import Page


class Desk(Page):
    path = ""

    @expose()
    def index(self) -> str:
        return self.render()
