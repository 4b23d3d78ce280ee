"""The payment service: create_app() wires what the packages below build."""

# Imported in the functions, so that whoever needs one part of it (gunicorn's master and scripts
# read the settings) does not load all of it.
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from payment_service.config import Settings

# The library redis loads OpenTelemetry wherever it is installed, for metrics that nobody asked it
# for. With None here it is told that there is none; telemetry/traces lets in who wants it.
sys.modules.setdefault("opentelemetry", None)  # type: ignore[arg-type]


def read_settings(**overrides: Any) -> Settings:
    """The environment's, held against what there is of providers and currencies; `overrides`
    replace single ones.

    Raises BadSettings, naming every variable that is missing or wrong.
    """
    from payment_service import config, identity
    from payment_service.config import callers, payers, sso
    from payment_service.config import providers as of_providers
    from payment_service.domain import money
    from payment_service.providers import registry

    def currencies_known(most: config.ByCurrency[Any]) -> None:
        for code in most.named:
            money.expect_known(code)

    checks: dict[str, config.Check] = {
        **registry.CHECKS,
        **identity.CHECKS,
        "default_currency": money.expect_known,
        **dict.fromkeys(
            ("max_amount", "four_eyes_above", "operator_daily_limit"), currencies_known
        ),
    }
    rules = [callers.faults, payers.faults, of_providers.faults, sso.faults]
    return config.load(checks, rules, **overrides)


def create_app(settings: Settings | None = None) -> Flask:
    """A wired app. Without `settings` they are read from the environment."""
    from payment_service import admin, api, cli, flask_settings, patient_redis, replica
    from payment_service.api import auth, browser
    from payment_service.api.proxies import behind_proxies
    from payment_service.config import kinds
    from payment_service.domain import cards
    from payment_service.extensions import cache, db, migrate
    from payment_service.flask_app import SynchronousFlask
    from payment_service.identity.sso import sign_on_of
    from payment_service.identity.tokens import tokens_of
    from payment_service.models.keyring import Keyring
    from payment_service.providers.registry import Registry
    from payment_service.telemetry import database_metrics, logs, requests

    settings = settings or read_settings()
    app = SynchronousFlask(__name__, template_folder="../templates", static_folder="../static")
    app.extensions["settings"] = settings
    app.extensions["providers"] = Registry(settings)
    app.extensions["tokens"] = tokens_of(settings)
    app.extensions["sso"] = sign_on_of(settings)
    app.extensions["keyring"] = Keyring(kinds.encryption_keys(settings.encryption_keys or ""))
    app.config.update(flask_settings.of(settings))
    app.json.sort_keys = False  # type: ignore[attr-defined]
    logs.configure(level=settings.log_level, output=settings.log_format, mask=cards.masked)
    db.init_app(app)
    with app.app_context():
        database_metrics.watch_pools(db.engines, settings.db_pool_size)
    migrate.init_app(app, db)
    replica.init_app(app)
    cache.init_app(app, patient_redis.client(settings.redis_url) if settings.redis_url else None)
    guard = browser.guard(settings)
    requests.watch(app, refused=cards.contains_card_number, guard=guard)
    api.register(app)
    admin.register(app)
    wsgi = behind_proxies(app.wsgi_app, settings.trusted_proxies)
    app.wsgi_app = wsgi  # type: ignore[method-assign,assignment]
    cli.register(app)
    auth.expect_rules(app)
    return app
