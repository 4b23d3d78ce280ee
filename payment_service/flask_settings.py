"""Our settings as Flask's extensions want them: three database pools, and where requests count."""

from __future__ import annotations

from typing import Any

from payment_service import patient_redis
from payment_service.config import Settings
from payment_service.extensions import HOT, READS, REPLICA
from payment_service.telemetry.database_metrics import MeasuredCursor

# A host that is gone without a word, or a process that stopped while it held a lock, must not hold
# everybody else up.
DATABASE_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "fallback_application_name": "payment-service",  # for whoever asks who is connected
}
# No lock here is held across a call to anyone, so 10 s is an accident already. A pooler in
# transaction mode refuses them; behind one they are the role's (scripts/roles.sql).
LIMITS = {"options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"}


def of(settings: Settings) -> dict[str, Any]:
    """What Flask and its extensions read from app.config."""
    limits = LIMITS if settings.db_prepare else {}
    pool: dict[str, Any] = {
        "pool_size": settings.db_pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.db_pool_timeout,
        "connect_args": {**DATABASE_PATIENCE, **limits, "cursor_factory": MeasuredCursor},
        "hide_parameters": True,  # what callers sent stays out of logged errors
    }
    single = {
        "url": settings.database_url,
        "isolation_level": "AUTOCOMMIT",
        "pool_reset_on_return": None,  # there is no transaction to roll back
        **pool,
    }
    binds = dict.fromkeys((HOT, READS), single)
    if settings.database_read_url is not None:
        # It is only quicker than the primary while it answers.
        soon = {**pool["connect_args"], "connect_timeout": 2}
        binds[REPLICA] = {**single, "url": settings.database_read_url, "connect_args": soon}
    return {
        "DEBUG": settings.flask_debug,
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        # The ordinary pool makes sure of a connection before it is used; the others look at the
        # socket instead (statements.hot).
        "SQLALCHEMY_ENGINE_OPTIONS": {**pool, "pool_pre_ping": True},
        "SQLALCHEMY_BINDS": binds,
        "RATELIMIT_ENABLED": settings.rate_limit_enabled,
        # Where a pool is given, limits takes nothing but its own prefix from the URL.
        "RATELIMIT_STORAGE_URI": "redis://" if settings.redis_url else "memory://",
        # All threads may find at once that Redis has lost the limiter's scripts.
        "RATELIMIT_STORAGE_OPTIONS": (
            {
                "connection_pool": patient_redis.pool(
                    settings.redis_url, max_connections=settings.web_threads + 20
                )
            }
            if settings.redis_url
            else {}
        ),
    }
