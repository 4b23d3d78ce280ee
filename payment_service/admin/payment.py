"""One payment: what it is, what comes next, its money, its story."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, g, make_response, render_template, request, url_for
from flask_admin import expose

from payment_service.admin import notes, story
from payment_service.admin.act_words import OF_ACT
from payment_service.admin.admission import now
from payment_service.admin.shown import written
from payment_service.admin.views import Page
from payment_service.domain.errors import PaymentNotFound, ReceiptNotAvailable
from payment_service.domain.vocabulary import CAPTURED, PaymentStatus
from payment_service.services import (
    browsing,
    cases,
    explanations,
    fitting,
    provider_answers,
    receipts,
    timeline,
)
from payment_service.services.timeline import Timeline

SETTLED = frozenset(PaymentStatus) - {
    PaymentStatus.PENDING,
    PaymentStatus.PROCESSING,
    PaymentStatus.REQUIRES_ACTION,
}
"""What waits for nobody: a page that shows it need not be asked for again."""
_NEAR_SECONDS = 3600


class Payment(Page):
    path = "/payments/<id:payment_id>"
    within = "admin_payments"

    @expose()
    def index(self, payment_id: int) -> Any:
        g.payment_id = payment_id
        try:
            case = cases.get_case(payment_id=payment_id)
        except PaymentNotFound:
            newest = browsing.newest_payment()
            missing = self.render("admin/payment_missing.html", asked=payment_id, newest=newest)
            return missing, 404
        told = timeline.tell(payment_id=payment_id)
        return self.render(
            **_shown(case, told),
            beside=cases.last_of_rider(rider_id=case["rider_id"]),
            **notes.of(payment_id),
            has_receipt=case["status"] in CAPTURED,
            can=_can(payment_id),
        )

    @expose("/story")
    def story(self, payment_id: int) -> Response:
        """The part that changes, for who has an older edition of it; 304 for who has this one."""
        try:
            case = cases.get_case(payment_id=payment_id)
        except PaymentNotFound:
            abort(404)
        shown = _shown(case, timeline.tell(payment_id=payment_id))
        if request.if_none_match.contains(shown["edition"]):
            answer = Response(status=304)
        else:
            answer = make_response(render_template("admin/payment_story.html", **shown))
        answer.set_etag(shown["edition"])
        answer.headers["X-Payment-Status"] = shown["case"]["status"]
        answer.headers["X-Payment-Settled"] = "yes" if shown["settled"] else "no"
        return answer

    @expose("/receipt")
    def receipt(self, payment_id: int) -> Response:
        try:
            _, found = receipts.get(payment_id=payment_id)
        except (PaymentNotFound, ReceiptNotAvailable) as error:
            abort(404, str(error))
        assert found is not None
        answer = Response(receipts.as_pdf(found), mimetype="application/pdf")
        name = f"receipt-{payment_id}.pdf"
        answer.headers.set("Content-Disposition", "attachment", filename=name)
        return answer


def _can(payment_id: int) -> list[dict[str, Any]]:
    """What fits now, and why the rest does not."""
    return [
        {
            "name": OF_ACT[fit.act].name,
            "url": url_for(f"admin.{fit.act.replace('-', '_')}", payment_id=payment_id),
            "why": fit.why,
        }
        for fit in fitting.acts_for(fitting.look(payment_id), now())
    ]


def _shown(case: Mapping[str, Any], told: Timeline) -> dict[str, Any]:
    """What both the page and its fragment are made of. The edition is another one as soon as a
    move, a look-up or a delivery is told; a version alone would miss the last two."""
    explained = explanations.explain(payment_id=case["payment_id"], written=written())
    said = repr((case["version"], told["events"], told["next"], case["refunds"], explained.payment))
    return {
        "case": case,
        "explained": explained.payment,
        "next_in": _seconds_till(explained.payment.next_at),
        "chapters": story.chapters(told, provider_answers.of(case["payment_id"])),
        "settled": case["status"] in SETTLED and told["next"] is None,
        "edition": hashlib.sha256(said.encode()).hexdigest()[:32],
    }


def _seconds_till(moment: datetime | None) -> int | None:
    """For a page that counts down; None for what is not near."""
    if moment is None:
        return None
    left = round((moment - datetime.now(UTC)).total_seconds())
    return max(left, 0) if left < _NEAR_SECONDS else None
