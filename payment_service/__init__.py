"""The payment service: create_app() wires what the packages below build."""

from __future__ import annotations

from flask import Flask

from payment_service import api, cli, config
from payment_service.extensions import HOT, cache, db, limiter, migrate
from payment_service.providers.registry import Registry
from payment_service.telemetry import logs, requests


def create_app(settings: config.Settings | None = None) -> Flask:
    """A wired app. Without `settings` they are read from the environment."""
    settings = settings or config.load()
    app = Flask(__name__, template_folder="../templates", static_folder="../static")
    app.extensions["settings"] = settings
    app.extensions["providers"] = Registry(settings)
    pool = {
        "pool_size": settings.db_pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.db_pool_timeout,
        "hide_parameters": True,  # what callers sent stays out of logged errors
    }
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        # The ordinary pool makes sure of a connection before it is used; the charge path does not
        # pay for that, and repeats its first read instead (idempotency.find).
        SQLALCHEMY_ENGINE_OPTIONS={**pool, "pool_pre_ping": True},
        SQLALCHEMY_BINDS={
            HOT: {"url": settings.database_url, "isolation_level": "AUTOCOMMIT", **pool}
        },
        RATELIMIT_DEFAULT=settings.rate_limit,
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    logs.configure(level=settings.log_level, output=settings.log_format)
    db.init_app(app)
    migrate.init_app(app, db)
    cache.init_app(app, settings.redis_url)
    requests.watch(app)
    limiter.init_app(app)
    api.register(app)
    cli.register(app)
    return app
