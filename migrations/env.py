"""Alembic's environment: the app's own engine and models, with a lock time-out."""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import text

from payment_service import (
    models,  # noqa: F401  (fills the metadata)
    pooler,
)

config = context.config
database = current_app.extensions["migrate"].db

# A migration that can't get its lock soon gives up, rather than queueing every request behind it.
LOCK_TIMEOUT = "5s"


def run() -> None:
    if pooler.lends():
        # The lock time-out is a SET: it would be left on somebody else's connection, and not ours.
        raise CommandError("migrations need the database's own address, not that of a pooler")
    with database.engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            compare_type=True,
            compare_server_default=False,
            # Each holds its locks no longer than it needs them itself.
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
