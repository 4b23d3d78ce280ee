"""HTTP in: parse, call one service, answer. The route map is here."""

from __future__ import annotations

from flask import Flask

from payment_service.api import (
    answers,
    auth,
    body,
    customers,
    disputes,
    errors,
    health,
    hosts,
    limits,
    metrics_guard,
    pay,
    payment_methods,
    payments,
    providers,
    receipts,
    refunds,
    webhooks,
)
from payment_service.api.auth import OPEN
from payment_service.api.blueprints import Api, Blueprint
from payment_service.api.headers import one_of_each
from payment_service.api.prefix import without_prefix
from payment_service.bounds import MOST_BYTES
from payment_service.domain.callers import RIDERS, Scope
from payment_service.services.moves import answers as endings

# Blueprint, prefix, and for each of its views the scope that a token must have, or that it is open.
# A view that is missing here stops the start, and so does a line without its view.
ROUTES: tuple[tuple[Blueprint, str, auth.Rules], ...] = (
    (
        payments.blueprint,
        "/v1",
        {
            **dict.fromkeys(("charge", "create", "charge_pending"), Scope.WRITE),
            **dict.fromkeys(("capture", "cancel", "delete"), Scope.WRITE),
            "set_status": Scope.ADMIN,
            **dict.fromkeys(("list_payments", "get", "get_of_trip", "get_of_order"), Scope.READ),
            **dict.fromkeys(("get_by_transaction", "get_events"), Scope.READ),
        },
    ),
    (
        refunds.blueprint,
        "/v1",
        {
            **dict.fromkeys(("refund", "create"), Scope.REFUND),
            **dict.fromkeys(("list_refunds", "get", "list_of_payment"), Scope.READ),
            "set_status": Scope.ADMIN,
        },
    ),
    (receipts.blueprint, "/v1", {"get": Scope.READ}),
    (disputes.blueprint, "/v1", dict.fromkeys(("list_disputes", "get"), Scope.ADMIN)),
    (
        customers.blueprint,
        "/v1",
        {
            **dict.fromkeys(("get_mine", "change_mine"), RIDERS),
            "get": Scope.READ,
            **dict.fromkeys(("find", "erase"), Scope.ADMIN),
        },
    ),
    (
        payment_methods.blueprint,
        "/v1",
        {
            **dict.fromkeys(("add_mine", "list_mine", "choose_mine", "remove_mine"), RIDERS),
            **dict.fromkeys(("add", "choose", "remove"), Scope.WRITE),
            "list_theirs": Scope.READ,
        },
    ),
    (providers.blueprint, "/v1", dict.fromkeys(("list_offers", "list_of_country"), OPEN)),
    (
        webhooks.blueprint,
        "/v1",
        dict.fromkeys(("list_webhooks", "get", "replay"), Scope.ADMIN),
    ),
    (
        health.blueprint,
        "",
        # get_ready answers at two paths.
        dict.fromkeys(("get_health", "get_ready", "get_ready_2", "get_metrics"), OPEN),
    ),
)
# What Flask and flask-smorest serve by themselves: the document, its page, what the page loads.
_OF_THE_FRAMEWORK: auth.Rules = dict.fromkeys(
    ("static", "api-docs.openapi_json", "api-docs.openapi_swagger_ui"), OPEN
)


def register(app: Flask) -> None:
    """Puts all routes, the error shape and the prefixes on the app."""
    # One more than is taken: of a body without a length, what is beyond this is cut off unsaid.
    app.config.update(MAX_CONTENT_LENGTH=MOST_BYTES + 1)
    app.url_map.merge_slashes = False  # a path has one spelling
    rules = {
        f"{blueprint.name}.{view}": rule
        for blueprint, _, views in ROUTES
        for view, rule in views.items()
    }
    hosts.guard(app)
    auth.guard(app, {**rules, **_OF_THE_FRAMEWORK})
    limits.guard(app)
    metrics_guard.guard(app)
    app.before_request(body.refuse_surprises)
    api = Api(app)
    for undocumented in (pay, webhooks):
        app.extensions["rules"] = {**app.extensions["rules"], **undocumented.register(app)}
    for blueprint, prefix, views in ROUTES:
        api.register_blueprint(blueprint, rules=views, url_prefix=prefix)
    errors.register(app)
    endings.register(app, answers.write)
    app.wsgi_app = one_of_each(without_prefix(app.wsgi_app))  # type: ignore[method-assign,assignment]
