"""One dispute: what it is about, until when it wants evidence, and what it moved."""

from __future__ import annotations

from flask import abort
from flask_admin import expose

from payment_service.admin.views import Page
from payment_service.domain.errors import DisputeNotFound
from payment_service.services import reading


class Dispute(Page):
    path = "/disputes/<id:dispute_id>"
    within = "admin_disputes"

    @expose()
    def index(self, dispute_id: int) -> str:
        try:
            seen = reading.get_dispute(dispute_id=dispute_id)
        except DisputeNotFound as error:
            abort(404, str(error))
        return self.render(dispute=seen.row)
