"""HTTP in: parse, call one service, answer. The route map is here."""

from __future__ import annotations

from flask import Flask

from payment_service.api import body, errors, health, payments, providers, receipts, refunds
from payment_service.api.blueprints import Api
from payment_service.api.gateway import without_prefix
from payment_service.version import VERSION

# Blueprint, prefix, and who may call: "open" to all, "caller" with a caller's token. Until tokens
# are here, "caller" is whoever reaches 127.0.0.1.
ROUTES = (
    (health.blueprint, "", "open"),
    (providers.blueprint, "/v1", "open"),
    (payments.blueprint, "/v1", "caller"),
    (refunds.blueprint, "/v1", "caller"),
    (receipts.blueprint, "/v1", "caller"),
)

OPENAPI = {
    "API_TITLE": "Payment service",
    "API_VERSION": VERSION,
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "OPENAPI_SWAGGER_UI_PATH": "/docs",
    "OPENAPI_SWAGGER_UI_URL": "/static/swagger-ui/",
}


def register(app: Flask) -> None:
    """Puts all routes, the error shape and the prefixes on the app."""
    app.config.update(OPENAPI, MAX_CONTENT_LENGTH=body.MOST_BYTES)
    app.before_request(body.refuse_surprises)
    api = Api(app)
    for blueprint, prefix, _ in ROUTES:
        api.register_blueprint(blueprint, url_prefix=prefix)
    errors.register(app)
    app.wsgi_app = without_prefix(app.wsgi_app)  # type: ignore[method-assign,assignment]
