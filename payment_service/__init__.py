"""The payment service: create_app() wires what the packages below build."""

from __future__ import annotations

from flask import Flask

from payment_service import config
from payment_service.extensions import HOT, db, migrate


def create_app(settings: config.Settings | None = None) -> Flask:
    """A wired app. Without `settings` they are read from the environment."""
    settings = settings or config.load()
    app = Flask(__name__, template_folder="../templates", static_folder="../static")
    app.extensions["settings"] = settings
    pool = {"pool_size": settings.db_pool_size, "pool_timeout": settings.db_pool_timeout}
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=pool,
        SQLALCHEMY_BINDS={
            HOT: {"url": settings.database_url, "isolation_level": "AUTOCOMMIT", **pool}
        },
    )
    db.init_app(app)
    migrate.init_app(app, db)
    return app
