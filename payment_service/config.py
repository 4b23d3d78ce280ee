"""Every setting, typed, read once from the environment; a bad one is named at boot."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from environs import EnvValidationError, FileAwareEnv, ValidationError, validate
from flask import current_app
from iso4217 import Currency
from limits import parse_many


class BadSettings(SystemExit):
    """The environment does not describe a service that can run; the message lists all faults."""


@dataclass(frozen=True)
class Settings:
    """What the environment says. Durations are seconds, amounts major units."""

    # Where things are
    database_url: str
    redis_url: str | None
    service_port: int
    trip_service_url: str | None
    trip_timeout_seconds: float
    # Money
    default_currency: str
    max_amount: Decimal
    base_fare: Decimal | None
    rate_per_km: Decimal | None
    # Providers
    provider_routes: str
    provider_timeout_seconds: float
    provider_concurrency: int
    provider_settling_seconds: dict[str, float]
    provider_send_seconds: float
    sandbox_provider_url: str | None
    circuit_fail_max: int
    circuit_reset_seconds: float
    # Holds and actions
    authorization_ttl: float
    action_ttl: float
    # Resolution
    resolution_first_lookup_seconds: float
    resolution_backoff_max_seconds: float
    resolution_alarm_seconds: float
    # Events out
    outbox_max_attempts: int
    outbox_timeout_seconds: float
    outbox_backoff_max_seconds: float
    outbox_keep_seconds: float
    rabbitmq_url: str | None
    event_signing_secret: str | None
    order_service_url: str | None
    inventory_service_url: str | None
    notification_service_url: str | None
    trip_status_service_url: str | None
    driver_service_url: str | None
    # Idempotency
    idempotency_lock_seconds: float
    idempotency_key_ttl: float
    # Database pool
    db_pool_size: int
    db_pool_timeout: int
    db_prepare: bool
    # The rest
    rate_limit: str
    receipt_timezone: str
    receipt_locale: str
    receipt_issuer: str
    seed_timezone: str
    log_level: str
    log_format: str


def _known_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValidationError(f"{name} is no IANA time zone, such as Asia/Kolkata") from error


def _rate_limit(text: str) -> None:
    try:
        parse_many(text)
    except ValueError as error:
        raise ValidationError(f"{text} is no rate limit, such as 2000 per second") from error


def _known_currency(code: str) -> None:
    if code not in {currency.code for currency in Currency if currency.exponent is not None}:
        raise ValidationError(f"{code} is no ISO 4217 code of money, such as INR")


def _known_locale(name: str) -> None:
    try:
        Locale.parse(name)
    except (ValueError, UnknownLocaleError) as error:
        raise ValidationError(f"{name} is no locale, such as en_IN") from error


def _positive(value: float | Decimal) -> None:
    if not Decimal(value).is_finite() or value <= 0:
        raise ValidationError("must be more than 0")


def _amount(value: Decimal | None) -> None:
    """Major units; beyond a million millions, minor units would leave the database's bigint."""
    if value is not None and not (value.is_finite() and 0 <= value <= 10**12):
        raise ValidationError("must be from 0 to 1000000000000")


def _database_url(env: FileAwareEnv) -> str:
    """DATABASE_URL, or one made of DB_HOST and its companions.

    SQLAlchemy 2.1 reads postgresql:// as psycopg 3; the driver here is psycopg2.
    """
    url = env.str("DATABASE_URL", None)
    if url is None:
        host = env.str("DB_HOST", None)
        if host is None:
            return ""
        user, password = (
            quote(env.str("DB_USER", "postgres"), ""),
            quote(env.str("DB_PASS", ""), ""),
        )
        url = f"postgresql://{user}:{password}@{host}:{env.int('DB_PORT', 5432)}/" + quote(
            env.str("DB_NAME", "payments"), ""
        )
        if mode := env.str("DB_SSL_MODE", None):
            url += f"?sslmode={quote(mode)}"
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg2://{rest}" if scheme in ("postgres", "postgresql") else url


def _redis_url(env: FileAwareEnv) -> str | None:
    if url := env.str("REDIS_URL", None):
        return url
    if host := env.str("REDIS_HOST", None):
        password = env.str("REDIS_PASSWORD", "")
        login = f":{quote(password, '')}@" if password else ""
        return f"redis://{login}{host}:{env.int('REDIS_PORT', 6379)}/{env.int('REDIS_DB', 0)}"
    return None


def load(**overrides: Any) -> Settings:
    """Settings of this process's environment; `overrides` replace single ones (for tests).

    Raises BadSettings, naming every variable that is missing or wrong.
    """
    # A secret's file ends in a new line more often than not, which is no part of the secret.
    env = FileAwareEnv(eager=False, strip_whitespace=True)
    seconds = {"validate": _positive}
    values: dict[str, Any] = {
        "database_url": _database_url(env),
        "redis_url": _redis_url(env),
        "service_port": env.int("SERVICE_PORT", 8082),
        "trip_service_url": env.str("TRIP_SERVICE_URL", None),
        "trip_timeout_seconds": env.float("TRIP_TIMEOUT_SECONDS", 3.0, **seconds),
        "default_currency": env.str("DEFAULT_CURRENCY", "INR", validate=_known_currency),
        "max_amount": env.decimal(
            "MAX_AMOUNT", Decimal("100000.00"), validate=[_positive, _amount]
        ),
        "base_fare": env.decimal("BASE_FARE", None, validate=_amount),
        "rate_per_km": env.decimal("RATE_PER_KM", None, validate=_amount),
        "provider_routes": env.str(
            "PROVIDER_ROUTES",
            "CARD=sandbox,WALLET=sandbox,UPI=sandbox,NET_BANKING=sandbox,SWISH=sandbox,CASH=cash",
        ),
        "provider_timeout_seconds": env.float("PROVIDER_TIMEOUT_SECONDS", 10.0, **seconds),
        "provider_concurrency": env.int("PROVIDER_CONCURRENCY", 40, validate=_positive),
        "provider_settling_seconds": env.dict(
            "PROVIDER_SETTLING_SECONDS", {"sandbox": 5.0}, subcast_values=float
        ),
        "provider_send_seconds": env.float("PROVIDER_SEND_SECONDS", 5.0, **seconds),
        "sandbox_provider_url": env.str("SANDBOX_PROVIDER_URL", None),
        "circuit_fail_max": env.int("CIRCUIT_FAIL_MAX", 5, validate=_positive),
        "circuit_reset_seconds": env.float("CIRCUIT_RESET_SECONDS", 30.0, **seconds),
        "authorization_ttl": env.float("AUTHORIZATION_TTL", 7 * 86400.0, **seconds),
        "action_ttl": env.float("ACTION_TTL", 900.0, **seconds),
        "resolution_first_lookup_seconds": env.float(
            "RESOLUTION_FIRST_LOOKUP_SECONDS", 5.0, **seconds
        ),
        "resolution_backoff_max_seconds": env.float(
            "RESOLUTION_BACKOFF_MAX_SECONDS", 86400.0, **seconds
        ),
        "resolution_alarm_seconds": env.float("RESOLUTION_ALARM_SECONDS", 900.0, **seconds),
        "outbox_max_attempts": env.int("OUTBOX_MAX_ATTEMPTS", 20, validate=_positive),
        "outbox_timeout_seconds": env.float("OUTBOX_TIMEOUT_SECONDS", 5.0, **seconds),
        "outbox_backoff_max_seconds": env.float("OUTBOX_BACKOFF_MAX_SECONDS", 3600.0, **seconds),
        "outbox_keep_seconds": env.float("OUTBOX_KEEP_SECONDS", 7 * 86400.0, **seconds),
        "rabbitmq_url": env.str("RABBITMQ_URL", None),
        "event_signing_secret": env.str("EVENT_SIGNING_SECRET", None),
        "order_service_url": env.str("ORDER_SERVICE_URL", None),
        "inventory_service_url": env.str("INVENTORY_SERVICE_URL", None),
        "notification_service_url": env.str("NOTIFICATION_SERVICE_URL", None),
        "trip_status_service_url": env.str("TRIP_STATUS_SERVICE_URL", None),
        "driver_service_url": env.str("DRIVER_SERVICE_URL", None),
        "idempotency_lock_seconds": env.float("IDEMPOTENCY_LOCK_SECONDS", 60.0, **seconds),
        "idempotency_key_ttl": env.float("IDEMPOTENCY_KEY_TTL", 86400.0, **seconds),
        "db_pool_size": env.int("DB_POOL_SIZE", 10, validate=_positive),
        "db_pool_timeout": env.int("DB_POOL_TIMEOUT", 10, **seconds),
        "db_prepare": env.bool("DB_PREPARE", True),
        "rate_limit": env.str("RATE_LIMIT", "2000 per second", validate=_rate_limit),
        "receipt_timezone": env.str("RECEIPT_TIMEZONE", "Asia/Kolkata", validate=_known_zone),
        "receipt_locale": env.str("RECEIPT_LOCALE", "en_IN", validate=_known_locale),
        "receipt_issuer": env.str("RECEIPT_ISSUER", "Ride receipt"),
        "seed_timezone": env.str("SEED_TIMEZONE", "UTC", validate=_known_zone),
        "log_level": env.str(
            "LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
        ),
        "log_format": env.str("LOG_FORMAT", "json", validate=validate.OneOf(["json", "console"])),
    }
    try:
        env.seal()
    except EnvValidationError as error:
        raise BadSettings(_explain(error.error_messages)) from None
    read = Settings(**{**values, **overrides})
    faults = _faults(read)
    if faults:
        raise BadSettings(_explain(faults))
    return read


def _faults(read: Settings) -> dict[str, list[str]]:
    faults: dict[str, list[str]] = {}
    if not read.database_url:
        faults["DATABASE_URL"] = ["missing; set it, or DB_HOST and its companions"]
    if read.idempotency_lock_seconds <= read.provider_timeout_seconds + read.provider_send_seconds:
        faults["IDEMPOTENCY_LOCK_SECONDS"] = [
            "must be more than PROVIDER_SEND_SECONDS + PROVIDER_TIMEOUT_SECONDS, or a second "
            "request would take over while the first is still at work"
        ]
    if not _is_secret(read.event_signing_secret):
        faults["EVENT_SIGNING_SECRET"] = ["what follows whsec_ must be base64"]
    return faults


def _is_secret(secret: str | None) -> bool:
    if secret is None or not secret.startswith("whsec_"):
        return True
    try:
        return bool(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        return False


def _explain(faults: Any) -> str:
    lines = [f"  {name}: {'; '.join(map(str, messages))}" for name, messages in faults.items()]
    return "\n".join(["These settings of the environment are missing or wrong:", *lines])


def settings() -> Settings:
    """The running app's settings."""
    found: Settings = current_app.extensions["settings"]
    return found
