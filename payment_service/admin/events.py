"""Events that are still owed: how each sink stands, and what is parked."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.views import Page
from payment_service.config import settings
from payment_service.outbox.routes import ROUTES
from payment_service.services import deliveries, parked


class Events(Page):
    path = "/events"

    @expose()
    def index(self) -> str:
        standings = deliveries.standings()
        return self.render(
            standings=standings,
            waits=any(sink.pending or sink.parked for sink in standings),
            found=parked.groups(),
            last=parked.last_delivered(),
            off={route.sink: route.setting.upper() for route in ROUTES if not route.on(settings())},
            most=parked.MOST,
            longest=parked.LONGEST_REASON,
        )
