"""The jobs that operators have the worker do, the newest first."""

from __future__ import annotations

from flask_admin import expose

from payment_service.admin.job_words import OF_KIND
from payment_service.admin.views import Page
from payment_service.services import beats, jobs


class Jobs(Page):
    path = "/jobs"

    @expose()
    def index(self) -> str:
        return self.render(jobs=jobs.newest(), words=OF_KIND, silent=beats.silent_for())
