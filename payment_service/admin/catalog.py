"""The provider catalog: who takes what where, as callers are told."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.admission import may_see
from payment_service.admin.views import Page
from payment_service.domain.operators import Role
from payment_service.services import catalog_edits


class Catalog(Page):
    path = "/catalog"

    @expose()
    def index(self) -> str:
        return self.render(lines=catalog_edits.listed(), may_edit=may_see(Role.ADMIN))
