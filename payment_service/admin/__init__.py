"""The operators' pages: HTML in, HTML out, one service call each. Who may see which is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask
from flask_admin import Admin

from payment_service.admin import (
    acts,
    admission,
    approval,
    approvals,
    audit,
    audit_acts,
    bulk,
    catalog,
    customer,
    customer_acts,
    customers,
    deciding,
    desk,
    dispute,
    disputes,
    event_acts,
    events,
    exports,
    find,
    health,
    help,
    invites,
    job,
    job_acts,
    jobs,
    keys,
    log_in,
    me,
    notes,
    offer,
    operator,
    operator_acts,
    operators,
    payment,
    payments,
    refunding,
    refunds,
    saved_views,
    second_factor,
    sessions,
    sso,
    step_up,
    webhook,
    webhooks,
)
from payment_service.admin.shown import amount_in, plain_amount, share_of, since
from payment_service.admin.spelled import spelled
from payment_service.admin.times import time_in
from payment_service.admin.views import Link, Page
from payment_service.domain.operators import Role
from payment_service.domain.pages import ANY_LOG_IN, OPEN, PAGES, PageRule

GET, POST, BOTH = ("GET",), ("POST",), ("GET", "POST")

# Every page that shows and changes nothing, in the order of the menu: the word in the menu (None
# for a page that is reached from others), the page and who may see it. A page is a line here, its
# file admin/<page>.py and its template admin/<page>.html: docs/panel.md.
READING: tuple[tuple[str | None, type[Page], Role], ...] = (
    ("Desk", desk.Desk, Role.VIEWER),
    ("Payments", payments.Payments, Role.VIEWER),
    (None, payment.Payment, Role.VIEWER),
    ("Refunds", refunds.Refunds, Role.VIEWER),
    ("Approvals", approvals.Approvals, Role.VIEWER),
    (None, approval.Approval, Role.VIEWER),
    ("Disputes", disputes.Disputes, Role.VIEWER),
    (None, dispute.Dispute, Role.VIEWER),
    (None, find.Find, Role.VIEWER),
    ("Customers", customers.Customers, Role.OPERATOR),
    (None, customer.Customer, Role.OPERATOR),
    ("Events", events.Events, Role.VIEWER),
    ("Webhooks", webhooks.Webhooks, Role.VIEWER),
    (None, webhook.Webhook, Role.VIEWER),
    ("Health", health.Health, Role.VIEWER),
    ("Jobs", jobs.Jobs, Role.VIEWER),
    (None, job.Job, Role.VIEWER),
    ("Keys", keys.Keys, Role.VIEWER),
    ("Audit", audit.Audit, Role.VIEWER),
    ("Catalog", catalog.Catalog, Role.VIEWER),
    ("Operators", operators.Operators, Role.ADMIN),
    (None, operator.Operator, Role.ADMIN),
    (None, help.Help, Role.VIEWER),
)

# Path, methods, view and who may see it: pages with forms, and acts. What changes anything is a
# POST; a page that is in neither table stops the start, as for the API. Flask-Admin has no part in
# these.
ROUTES: tuple[tuple[str, tuple[str, ...], Callable[..., Any], PageRule], ...] = (
    ("/login", BOTH, log_in.log_in, OPEN),
    ("/logout", POST, log_in.log_out, ANY_LOG_IN),
    ("/sso", GET, sso.sso_start, OPEN),
    ("/sso/callback", GET, sso.sso_callback, OPEN),
    ("/invite/<token>", BOTH, invites.invite, OPEN),
    ("/second-factor", BOTH, second_factor.second_factor, ANY_LOG_IN),
    ("/step-up", BOTH, step_up.step_up, ANY_LOG_IN),
    ("/payments/<id:payment_id>/notes", POST, notes.add_note, Role.OPERATOR),
    ("/views", POST, saved_views.save_view, Role.VIEWER),
    ("/views/<id:view_id>/rename", POST, saved_views.rename_view, Role.VIEWER),
    ("/views/<id:view_id>/share", POST, saved_views.share_view, Role.VIEWER),
    ("/views/<id:view_id>/delete", POST, saved_views.delete_view, Role.VIEWER),
    ("/me", GET, me.me, Role.VIEWER),
    ("/me/password", POST, me.change_password, Role.VIEWER),
    ("/me/preferences", POST, me.set_preferences, Role.VIEWER),
    ("/me/sessions/<id:session_id>/end", POST, me.end_session, Role.VIEWER),
    ("/me/sessions/end-others", POST, me.end_others, Role.VIEWER),
    ("/payments.csv", GET, exports.payments_csv, Role.OPERATOR),
    ("/refunds.csv", GET, exports.refunds_csv, Role.OPERATOR),
    ("/audit.csv", GET, exports.audit_csv, Role.OPERATOR),
    ("/payments/<id:payment_id>/refund", BOTH, refunding.refund, Role.OPERATOR),
    ("/payments/<id:payment_id>/refund/ask", POST, refunding.ask_for_refund, Role.OPERATOR),
    ("/payments/<id:payment_id>/capture", BOTH, acts.capture, Role.OPERATOR),
    ("/payments/<id:payment_id>/cancel", BOTH, acts.cancel, Role.OPERATOR),
    ("/payments/<id:payment_id>/look-up", BOTH, acts.look_up, Role.OPERATOR),
    ("/payments/<id:payment_id>/cash-received", BOTH, acts.cash_received, Role.OPERATOR),
    ("/payments/<id:payment_id>/cash-handed-back", BOTH, acts.cash_handed_back, Role.OPERATOR),
    ("/approvals/<id:request_id>/approve", POST, deciding.approve, Role.APPROVER),
    ("/approvals/<id:request_id>/decline", POST, deciding.decline, Role.APPROVER),
    ("/approvals/<id:request_id>/withdraw", POST, deciding.withdraw, Role.OPERATOR),
    ("/events/resend", POST, event_acts.resend_parked, Role.OPERATOR),
    ("/events/skip", POST, event_acts.skip_parked, Role.OPERATOR),
    ("/webhooks/<id:webhook_id>/replay", POST, webhook.replay_webhook, Role.OPERATOR),
    ("/audit/explain/<id:job_id>", POST, audit_acts.explain_chain, Role.ADMIN),
    ("/bulk", GET, bulk.preview_bulk, Role.OPERATOR),
    ("/bulk/ask", POST, bulk.ask_bulk, Role.OPERATOR),
    ("/customers/find", POST, customer_acts.find_customer, Role.OPERATOR),
    ("/customers/<id:customer_id>/erase", BOTH, customer_acts.erase_customer, Role.ADMIN),
    ("/catalog/<id:offer_id>", GET, offer.look_at_offer, Role.ADMIN),
    ("/catalog/<id:offer_id>/edit", POST, offer.edit_offer, Role.ADMIN),
    ("/jobs/verify", POST, job_acts.verify, Role.OPERATOR),
    ("/jobs/<id:job_id>/stop", POST, job_acts.stop_job, Role.OPERATOR),
    ("/jobs/<id:job_id>/go-on", POST, job_acts.go_on_with_job, Role.OPERATOR),
    ("/operators/invite", POST, operator_acts.make_invite, Role.ADMIN),
    ("/operators/<id:operator_id>/link", POST, operator_acts.make_password_link, Role.ADMIN),
    ("/operators/<id:operator_id>/role", POST, operator_acts.change_role, Role.ADMIN),
    ("/operators/<id:operator_id>/disable", POST, operator_acts.disable, Role.ADMIN),
    ("/operators/<id:operator_id>/enable", POST, operator_acts.enable, Role.ADMIN),
    (
        "/operators/<id:operator_id>/second-factor/reset",
        POST,
        operator_acts.reset_second_factor,
        Role.ADMIN,
    ),
    ("/sessions", GET, sessions.all_sessions, Role.ADMIN),
    ("/sessions/<id:session_id>/end", POST, sessions.end_of_anybody, Role.ADMIN),
)

# Pages of ROUTES that the menu names, after those of READING.
LINKS = (
    ("Sessions", "admin.all_sessions", Role.ADMIN),
    ("My account", "admin.me", Role.VIEWER),
)


def register(app: Flask) -> None:
    """Puts the pages on the app, and their rules beside those of the API's routes."""
    admission.prepare(app)
    blueprint = Blueprint("admin", __name__, url_prefix=PAGES)
    rules: dict[str, PageRule] = {}
    for path, methods, view, rule in ROUTES:
        blueprint.add_url_rule(path, view_func=view, methods=methods)
        rules[f"{blueprint.name}.{view.__name__}"] = rule
    for written in (time_in, amount_in, plain_amount, share_of, since, spelled):
        blueprint.add_app_template_filter(written)
    admission.guard(blueprint)
    app.register_blueprint(blueprint)
    pages = [page(name, role) for name, page, role in READING]
    frame = Admin(app, name="Payments", url=PAGES, index_view=pages[0])
    frame.add_views(*pages[1:])
    frame.add_links(*(Link(*link) for link in LINKS))
    for shown in pages:
        rules |= shown.rules()
    app.extensions["rules"] = {**app.extensions["rules"], **rules}
