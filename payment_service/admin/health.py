"""How all stands that this service needs, its worker, and how it is set."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.views import Page
from payment_service.config import settings
from payment_service.config.shown import not_secret
from payment_service.services import beats, desk, health
from payment_service.version import VERSION

STILL = {
    "database": "Nothing works without it.",
    "redis": "Money moves as always. Requests are counted by each process alone, so limits are"
    " not exact.",
    "rabbitmq": "Money moves as always. Events wait in the database, and are delivered once it is"
    " back.",
    "keys": "Money moves as always for callers whose keys are known. Tokens under a new key are"
    " refused until it is back.",
    "schema": "What needs no new column or table. This process asks for no requests meanwhile.",
}
"""What still works without each."""
WITHOUT_WORKER = (
    "Charges and refunds are made, and their answers are kept. Nothing is looked up, no event is"
    " delivered and no hold runs out until a worker is back."
)
WITHOUT_PROVIDER = (
    "Nothing new is sent to it; payments that have another provider in line go there. What was"
    " asked already is looked up."
)


class Health(Page):
    path = "/health"

    @expose()
    def index(self) -> str:
        states = health.check()
        standing = beats.read()
        return self.render(
            states=states,
            since=health.down_since(),
            warnings=health.warnings(states),
            circuits=desk.circuits(),
            beats=standing,
            silent=[beat for beat in standing if beat.is_silent],
            worker_is_silent=beats.worker_is_silent(standing),
            still=STILL,
            without_worker=WITHOUT_WORKER,
            without_provider=WITHOUT_PROVIDER,
            version=VERSION,
            settings=not_secret(settings()),
        )
