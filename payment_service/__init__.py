"""The payment service: create_app() wires what the packages below build."""

from __future__ import annotations

from flask import Flask

from payment_service import api, cli, config, flask_settings
from payment_service.domain import cards
from payment_service.extensions import cache, db, migrate
from payment_service.providers.registry import Registry
from payment_service.ratelimit import limiter
from payment_service.telemetry import logs, requests


def create_app(settings: config.Settings | None = None) -> Flask:
    """A wired app. Without `settings` they are read from the environment."""
    settings = settings or config.load()
    app = Flask(__name__, template_folder="../templates", static_folder="../static")
    app.extensions["settings"] = settings
    app.extensions["providers"] = Registry(settings)
    app.config.update(flask_settings.of(settings))
    app.json.sort_keys = False  # type: ignore[attr-defined]
    logs.configure(level=settings.log_level, output=settings.log_format, mask=cards.masked)
    db.init_app(app)
    migrate.init_app(app, db)
    cache.init_app(app, settings.redis_url)
    requests.watch(app, refused=cards.contains_card_number)
    limiter.init_app(app)
    api.register(app)
    cli.register(app)
    return app
