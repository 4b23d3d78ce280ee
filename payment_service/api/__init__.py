"""HTTP in: parse, call one service, answer. The route map is here."""

from __future__ import annotations

from flask import Flask

from payment_service.api import (
    answers,
    body,
    errors,
    health,
    payments,
    providers,
    receipts,
    refunds,
)
from payment_service.api.blueprints import Api
from payment_service.api.headers import one_of_each
from payment_service.api.prefix import without_prefix
from payment_service.bounds import MOST_BYTES
from payment_service.services.moves import answers as endings

# Blueprint, prefix, and who may call: "open" to all, "caller" with a caller's token. Until tokens
# are here, "caller" is whoever reaches 127.0.0.1.
ROUTES = (
    (payments.blueprint, "/v1", "caller"),
    (refunds.blueprint, "/v1", "caller"),
    (receipts.blueprint, "/v1", "caller"),
    (providers.blueprint, "/v1", "open"),
    (health.blueprint, "", "open"),
)


def register(app: Flask) -> None:
    """Puts all routes, the error shape and the prefixes on the app."""
    # One more than is taken: of a body without a length, what is beyond this is cut off unsaid.
    app.config.update(MAX_CONTENT_LENGTH=MOST_BYTES + 1)
    app.url_map.merge_slashes = False  # a path has one spelling
    app.before_request(body.refuse_surprises)
    api = Api(app)
    for blueprint, prefix, access in ROUTES:
        api.register_blueprint(blueprint, access=access, url_prefix=prefix)
    errors.register(app)
    endings.register(app, answers.write)
    app.wsgi_app = one_of_each(without_prefix(app.wsgi_app))  # type: ignore[method-assign,assignment]
