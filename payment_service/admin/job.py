"""One job: what of it is done, what is left, and what has failed and why."""

from __future__ import annotations

from flask import abort
from flask_admin import expose

from payment_service.admin import admission
from payment_service.admin.job_words import OF_KIND, way_to
from payment_service.admin.views import Page
from payment_service.domain.jobs import UnknownJob
from payment_service.services import beats, jobs


class Job(Page):
    path = "/jobs/<id:job_id>"
    within = "admin_jobs"

    @expose()
    def index(self, job_id: int) -> str:
        try:
            job = jobs.read(job_id=job_id)
        except UnknownJob as error:
            abort(404, str(error))
        silent = beats.silent_for(job.kind)
        may_act = admission.may_see(jobs.NEEDED)
        return self.render(job=job, words=OF_KIND, way_to=way_to, silent=silent, may_act=may_act)
