"""Unbound extensions; create_app() binds them. Imports nothing of ours."""

from __future__ import annotations

from flask import Flask, current_app
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from sqlalchemy import MetaData

# Constraint names that migrations and error handling can rely on.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

HOT, READS = "hot", "reads"
"""Bind keys of the AUTOCOMMIT engines: of the charge path, one round trip per phase, and of what is
read and shown. Apart, so that no number of long lists keeps a charge waiting for a connection."""
REPLICA = "replica"
"""Bind key, as READS, of DATABASE_READ_URL, where it is set."""


class Cache:
    """A Redis client per app; `client` is None where no Redis is set."""

    def init_app(self, app: Flask, client: Redis | None) -> None:
        app.extensions["redis"] = client

    @property
    def client(self) -> Redis | None:
        client: Redis | None = current_app.extensions["redis"]
        return client


db = SQLAlchemy(metadata=MetaData(naming_convention=NAMING))
migrate = Migrate(compare_type=True)
cache = Cache()
