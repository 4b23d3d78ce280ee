"""One webhook, masked, and what became of it; and its replay."""

from __future__ import annotations

import json
from typing import Any

from flask import abort, flash, g, request, url_for
from flask_admin import expose

from payment_service.admin.admission import may_see, now
from payment_service.admin.redirects import see
from payment_service.admin.views import Page
from payment_service.domain.errors import WebhookNotFound
from payment_service.domain.operators import Role
from payment_service.services import replaying, webhook_reading


class Webhook(Page):
    path = "/webhooks/<id:webhook_id>"
    within = "admin_webhooks"

    @expose()
    def index(self, webhook_id: int) -> Any:
        try:
            found = webhook_reading.get(webhook_id=webhook_id)
        except WebhookNotFound:
            abort(404, "There is no such webhook; those that are done with are kept for a while.")
        return self.render(
            webhook=found,
            body=json.dumps(found["body"], indent=2, ensure_ascii=False),
            shown=replaying.shown(found),
            why_not=replaying.why_not(found),
            may=may_see(Role.OPERATOR),
        )


def replay_webhook(webhook_id: int) -> Any:
    shown = request.form.get("shown", "")
    try:
        done = replaying.replay(now(), webhook_id=webhook_id, was_shown=shown, caller=g.caller)
    except WebhookNotFound:
        abort(404, "There is no such webhook any more. Nothing was done.")
    if done:
        flash("It was taken in once more. What became of it stands below.")
    else:
        flash("Nothing was done: it is not as the page showed it. Look at it again.")
    return see(url_for("admin_webhook.index", webhook_id=webhook_id))
