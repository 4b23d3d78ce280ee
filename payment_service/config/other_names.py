"""Second names of settings, from earlier platforms, in one table.

Under such a name a setting is read as under its own. Both may be set if they say the same. What
has no equivalent here is named at the start, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Convert = Callable[[str], str]


def _same(value: str) -> str:
    return value


def _environment(value: str) -> str:
    return {"prod": "production", "dev": "development"}.get(value.lower(), value.lower())


def _key(value: str) -> str:
    """One key without an id is k1."""
    return value if ":" in value else f"k1:{value}"


def _of_fiuu(value: str) -> str:
    return f"fiuu={value}"


SECOND: dict[str, tuple[str, Convert]] = {
    "PORT": ("SERVICE_PORT", _same),
    "ENVIRONMENT": ("APP_ENV", _environment),
    "DB_PASSWORD": ("DB_PASS", _same),
    "DB_MAX_CONNECTIONS": ("DB_POOL_SIZE", _same),
    "ENCRYPTION_KEY": ("ENCRYPTION_KEYS", _key),
    "HEALTH_CHECK_PORT": ("HEALTH_PORT", _same),
    "WEBHOOK_TIMEOUT": ("OUTBOX_TIMEOUT_SECONDS", _same),
    "WEBHOOK_RETRY_ATTEMPTS": ("OUTBOX_MAX_ATTEMPTS", _same),
    "WEBHOOK_RETRY_MAX_DELAY": ("OUTBOX_BACKOFF_MAX_SECONDS", _same),
    "FIUU_TIMEOUT": ("PROVIDER_TIMEOUT_SECONDS", _of_fiuu),
    "ConnectionStrings__DefaultConnection": ("DATABASE_URL", _same),
    "RabbitMQ__ConnectionString": ("RABBITMQ_URL", _same),
}
"""Each second name with ours, and what makes our value of its value."""

WITHOUT_EFFECT: dict[str, str] = {
    "DB_MAX_IDLE_CONNECTIONS": "idle connections are kept, DB_POOL_SIZE of them at most",
    "DB_CONNECTION_LIFETIME": "a connection is used until it breaks",
    "REDIS_MAX_CONNECTIONS": "as many are opened as threads ask at once",
    "METRICS_ENABLED": "/metrics is always there; METRICS_TOKEN and METRICS_PORT say for whom",
    "HEALTH_CHECK_ENABLED": "/health and /health/ready are always there",
    "FIUU_SANDBOX": "FIUU_PAY_URL and FIUU_API_URL say which of Fiuu's systems is asked",
}

PREFIXES_WITHOUT_EFFECT: dict[str, str] = {
    "WEBHOOK_RETRY_": "events are sent again after pauses that grow to OUTBOX_BACKOFF_MAX_SECONDS",
    "FIUU_RETRY_": "what moves money is never sent twice; its outcome is looked up",
}


def of(name: str) -> dict[str, Convert]:
    """The second names of a setting."""
    return {second: convert for second, (ours, convert) in SECOND.items() if ours == name}


def without_effect(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set and do nothing here, each with the reason."""
    found = {}
    for name in sorted(environ):
        if name not in SECOND and environ[name].strip() and (reason := _reason(name)):
            found[name] = reason
    return found


def _reason(name: str) -> str | None:
    by_prefix = (why for start, why in PREFIXES_WITHOUT_EFFECT.items() if name.startswith(start))
    return WITHOUT_EFFECT.get(name) or next(by_prefix, None)
