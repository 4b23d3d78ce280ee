"""Every setting in one table, read once from the environment; all bad ones are named at boot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask import current_app

from payment_service.config import kinds, production, urls
from payment_service.config.by_name import ByCurrency as ByCurrency
from payment_service.config.by_name import ByProvider as ByProvider
from payment_service.config.reading import BadSettings as BadSettings
from payment_service.config.reading import Faults, read, setting

DAY = 86400.0

Check = Callable[[Any], object]
"""Raises ValueError for a value that can't be used; its text, which repeats no value, says why."""
Rule = Callable[["Settings", Faults], Faults]
"""What several settings at once get wrong, where that is not everybody's business; it is told what
is wrong already."""


@dataclass(frozen=True)
class Settings:
    """What the environment says. Durations are seconds, amounts major units."""

    # How it runs
    app_env: str = setting(kinds.APP_ENV, "development")
    secret_key: str | None = setting(kinds.PASSWORD, None)
    encryption_keys: str | None = setting(kinds.ENCRYPTION_KEYS, None)
    lookup_hmac_key: str | None = setting(kinds.LONG_SECRET, None)
    cluster_domain: str = setting(kinds.HOST, "cluster.local")
    flask_debug: bool = setting(kinds.YES_OR_NO, False)
    build_commit: str = setting(kinds.SHORT_TEXT, "unknown")
    # Where things are
    database_url: str = setting(kinds.DATABASE_URL, "")
    database_read_url: str | None = setting(kinds.DATABASE_URL, None)
    database_read_max_age: float = setting(kinds.SECONDS, 30.0)
    redis_url: str | None = setting(kinds.REDIS_URL, None)
    service_host: str = setting(kinds.HOST, "127.0.0.1")
    service_port: int = setting(kinds.PORT, 8082)
    request_read_seconds: float = setting(kinds.SECONDS, 15.0)
    allowed_hosts: str | None = setting(kinds.HOSTS, None)
    allowed_origins: str | None = setting(kinds.ORIGINS, None)
    public_url: str | None = setting(kinds.HTTP_URL, None)
    return_origins: str | None = setting(kinds.ORIGINS, None)
    trusted_proxies: str | None = setting(kinds.NETWORKS, None)
    trip_service_url: str | None = setting(kinds.HTTP_URL, None)
    trip_timeout_seconds: float = setting(kinds.CALL, 3.0)
    # Who may call
    auth_mode: str = setting(kinds.AUTH_MODE, "jwt")
    jwt_issuer: str | None = setting(kinds.HTTP_URL, None)
    jwt_jwks_url: str | None = setting(kinds.DOCUMENT_URL, None)
    jwt_public_key_url: str | None = setting(kinds.DOCUMENT_URL, None)
    jwt_public_key: str | None = setting(kinds.PUBLIC_KEY, None)
    jwt_secret: str | None = setting(kinds.LONG_SECRET, None)
    jwt_algorithms: tuple[str, ...] = setting(kinds.ALGORITHMS, ())
    jwt_audience: str = setting(kinds.SHORT_TEXT, "payment-service")
    jwt_leeway_seconds: float = setting(kinds.LEEWAY, 30.0)
    jwt_keys_stale_seconds: float = setting(kinds.SECONDS, DAY)
    jwt_scope_claims: tuple[str, ...] = setting(kinds.CLAIMS, ("scope", "scp", "roles", "role"))
    jwt_role_scopes: str | None = setting(kinds.ROLE_SCOPES, None)
    jwt_rider_claim: str = setting(kinds.SHORT_TEXT, "sub")
    metrics_token: str | None = setting(kinds.VISIBLE_SECRET, None)
    metrics_port: int | None = setting(kinds.PORT, None)
    health_port: int | None = setting(kinds.PORT, None)
    worker_port: int | None = setting(kinds.PORT, None)
    # Operators
    operator_mfa: str | None = setting(kinds.OPERATOR_MFA, None)
    session_idle_seconds: float = setting(kinds.SECONDS, 1800.0)
    session_max_seconds: float = setting(kinds.SECONDS, 43200.0)
    step_up_seconds: float = setting(kinds.SECONDS, 600.0)
    four_eyes_above: ByCurrency[Decimal] = setting(
        kinds.LIMIT_OF_CURRENCIES, ByCurrency(Decimal(0))
    )
    operator_daily_limit: ByCurrency[Decimal | None] = setting(
        kinds.LIMIT_OF_CURRENCIES, ByCurrency(None)
    )
    export_max_rows: int = setting(kinds.COUNT, 1_000_000)
    # Single sign-on of operators
    operator_login: str = setting(kinds.OPERATOR_LOGIN, "password")
    operator_sso_issuer: str | None = setting(kinds.HTTP_URL, None)
    operator_sso_client_id: str | None = setting(kinds.SHORT_TEXT, None)
    operator_sso_client_secret: str | None = setting(kinds.PASSWORD, None)
    operator_sso_role_claim: str = setting(kinds.SHORT_TEXT, "roles")
    operator_sso_roles: str | None = setting(kinds.OPERATOR_ROLES, None)
    # Money
    default_currency: str = setting(kinds.CURRENCY, "INR")
    max_amount: ByCurrency[Decimal] = setting(
        kinds.LIMIT_BY_CURRENCY, ByCurrency(Decimal("100000.00"))
    )
    base_fare: Decimal | None = setting(kinds.AMOUNT, None)
    rate_per_km: Decimal | None = setting(kinds.AMOUNT, None)
    # Providers
    provider_routes: str = setting(
        kinds.ROUTES,
        "CARD=sandbox,WALLET=sandbox,UPI=sandbox,NET_BANKING=sandbox,SWISH=sandbox,CASH=cash",
    )
    provider_timeout_seconds: ByProvider[float] = setting(kinds.CALL_BY_PROVIDER, ByProvider(10.0))
    provider_concurrency: ByProvider[int] = setting(kinds.THREADS_BY_PROVIDER, ByProvider(40))
    provider_settling_seconds: ByProvider[float] = setting(
        kinds.WAIT_BY_PROVIDER, ByProvider(60.0, {"fiuu": 300.0, "sandbox": 5.0})
    )
    provider_send_seconds: ByProvider[float] = setting(kinds.SECONDS_BY_PROVIDER, ByProvider(5.0))
    circuit_fail_max: ByProvider[int] = setting(kinds.COUNT_BY_PROVIDER, ByProvider(5))
    circuit_reset_seconds: ByProvider[float] = setting(kinds.SECONDS_BY_PROVIDER, ByProvider(30.0))
    sandbox_provider_url: str | None = setting(kinds.HTTP_URL, None)
    # Swish
    swish_api_url: str | None = setting(kinds.HTTP_URL, None)
    swish_cert_path: str | None = setting(kinds.READABLE, None)
    swish_key_path: str | None = setting(kinds.READABLE, None)
    swish_ca_path: str | None = setting(kinds.READABLE, None)
    swish_payee_alias: str | None = setting(kinds.DIGITS, None)
    swish_callback_secret: str | None = setting(kinds.LONG_SECRET, None)
    # ZainCash
    zaincash_url: str | None = setting(kinds.HTTP_URL, None)
    zaincash_client_id: str | None = setting(kinds.SHORT_TEXT, None)
    zaincash_client_secret: str | None = setting(kinds.PASSWORD, None)
    zaincash_api_key: str | None = setting(kinds.PASSWORD, None)
    zaincash_service_type: str | None = setting(kinds.SHORT_TEXT, None)
    # FIB
    fib_url: str | None = setting(kinds.HTTP_URL, None)
    fib_client_id: str | None = setting(kinds.SHORT_TEXT, None)
    fib_client_secret: str | None = setting(kinds.PASSWORD, None)
    # Webhooks in
    webhook_max_attempts: int = setting(kinds.COUNT, 10)
    webhook_keep_days: int = setting(kinds.DAYS, 90)
    webhook_refusals_keep: int = setting(kinds.COUNT, 1000)
    # Fiuu
    fiuu_merchant_id: str | None = setting(kinds.SHORT_TEXT, None)
    fiuu_verify_key: str | None = setting(kinds.PASSWORD, None)
    fiuu_secret_key: str | None = setting(kinds.PASSWORD, None)
    fiuu_pay_url: str | None = setting(kinds.HTTP_URL, None)
    fiuu_api_url: str | None = setting(kinds.HTTP_URL, None)
    fiuu_extended_vcode: bool = setting(kinds.YES_OR_NO, False)
    fiuu_hold_field: str = setting(kinds.FIELD_AND_VALUE, "tcctype=AUTH")
    fiuu_capture_id: str = setting(kinds.FIUU_CAPTURE_ID, "txnID")
    stripe_api_key: str | None = setting(kinds.PASSWORD, None)
    stripe_webhook_secret: str | None = setting(kinds.PASSWORD, None)
    stripe_publishable_key: str | None = setting(kinds.TEXT, None)
    stripe_api_base: str = setting(kinds.HTTP_URL, "https://api.stripe.com")
    stripe_api_version: str = setting(kinds.SHORT_TEXT, "2026-10-28.endive")
    # Holds and actions
    authorization_ttl: float = setting(kinds.SECONDS, 7 * DAY)
    action_ttl: float = setting(kinds.SECONDS, 900.0)
    # Resolution
    resolution_first_lookup_seconds: float = setting(kinds.SECONDS, 5.0)
    resolution_backoff_max_seconds: float = setting(kinds.SECONDS, DAY)
    resolution_alarm_seconds: float = setting(kinds.SECONDS, 900.0)
    # Disputes
    dispute_alarm_hours: int = setting(kinds.HOURS, 72)
    # Events out
    outbox_max_attempts: int = setting(kinds.COUNT, 20)
    outbox_timeout_seconds: float = setting(kinds.CALL, 5.0)
    outbox_backoff_max_seconds: float = setting(kinds.SECONDS, 3600.0)
    outbox_keep_seconds: float = setting(kinds.SECONDS, 7 * DAY)
    rabbitmq_url: str | None = setting(kinds.RABBITMQ_URL, None)
    event_signing_secret: str | None = setting(kinds.SECRET, None)
    order_service_url: str | None = setting(kinds.HTTP_URL, None)
    inventory_service_url: str | None = setting(kinds.HTTP_URL, None)
    notification_service_url: str | None = setting(kinds.HTTP_URL, None)
    trip_status_service_url: str | None = setting(kinds.HTTP_URL, None)
    driver_service_url: str | None = setting(kinds.HTTP_URL, None)
    rider_service_url: str | None = setting(kinds.HTTP_URL, None)
    # Audit
    audit_digest_path: str | None = setting(kinds.FILE, None)
    # Idempotency
    idempotency_lock_seconds: float = setting(kinds.SECONDS, 60.0)
    idempotency_key_ttl: float = setting(kinds.SECONDS, DAY)
    # Database pool
    db_pool_size: int = setting(kinds.CONNECTIONS, 10)
    db_pool_timeout: int = setting(kinds.WHOLE_SECONDS, 10)
    db_prepare: bool = setting(kinds.YES_OR_NO, True)
    # Limits
    rate_limit_enabled: bool = setting(kinds.YES_OR_NO, True)
    rate_limit: str = setting(kinds.RATE_LIMIT, "2000 per second")
    rate_limit_default: str = setting(kinds.RATE_LIMIT, "100 per minute")
    rate_limit_service: str = setting(kinds.RATE_LIMIT, "2000 per second")
    rate_limit_charge: str | None = setting(kinds.RATE_LIMIT, None)
    rate_limit_refund: str | None = setting(kinds.RATE_LIMIT, None)
    rate_limit_webhook_refusals: str = setting(kinds.RATE_LIMIT, "60 per minute")
    # The rest
    business_timezone: str | None = setting(kinds.ZONE, None)
    receipt_timezone: str = setting(kinds.ZONE, "Asia/Kolkata")
    receipt_locale: str = setting(kinds.LOCALE, "en_IN")
    receipt_issuer: str = setting(kinds.SHORT_TEXT, "Ride receipt")
    seed_timezone: str = setting(kinds.ZONE, "UTC")
    seed_demo: bool = setting(kinds.YES_OR_NO, True)
    log_level: str = setting(kinds.LOG_LEVEL, "INFO")
    log_format: str = setting(kinds.LOG_FORMAT, "json")
    otel_exporter_otlp_endpoint: str | None = setting(kinds.HTTP_URL, None)
    otel_exporter_otlp_headers: str | None = setting(kinds.HEADERS, None)
    otel_service_name: str = setting(kinds.SHORT_TEXT, "payment-service")
    otel_traces_sampler: str = setting(kinds.SAMPLER, "parentbased_always_on")
    otel_traces_sampler_arg: float = setting(kinds.SHARE, 1.0)
    wait_seconds: float = setting(kinds.WAIT, 60.0)
    # gunicorn
    web_workers: int = setting(kinds.PROCESSES, 2)
    web_threads: int = setting(kinds.THREADS, 48)
    web_core_each: bool = setting(kinds.YES_OR_NO, True)
    web_graceful_timeout: int = setting(kinds.WHOLE_WAIT, 20)
    web_keepalive: int = setting(kinds.WHOLE_WAIT, 75)
    prometheus_multiproc_dir: str | None = setting(kinds.FOLDER, None)


@dataclass(frozen=True)
class Parts:
    """What can be set instead of DATABASE_URL and REDIS_URL, and where files with settings are."""

    db_host: str | None = setting(kinds.HOST, None)
    db_port: int = setting(kinds.PORT, 5432)
    db_name: str = setting(kinds.TEXT, "payments")
    db_user: str = setting(kinds.TEXT, "postgres")
    db_pass: str | None = setting(kinds.PASSWORD, None)
    db_ssl_mode: str | None = setting(kinds.SSL_MODE, None)
    redis_host: str | None = setting(kinds.HOST, None)
    redis_port: int = setting(kinds.PORT, 6379)
    redis_password: str | None = setting(kinds.PASSWORD, None)
    redis_db: int = setting(kinds.REDIS_NUMBER, 0)
    secrets_dir: str | None = setting(kinds.SECRETS_FOLDER, None)


def load(
    checks: Mapping[str, Check] | None = None, rules: Iterable[Rule] = (), **overrides: Any
) -> Settings:
    """Settings of this process's environment; `overrides` replace single ones (for tests).

    `checks`, by a setting's name, know more than this module: which providers there are. `rules`
    hold for the service, and not for whoever reads its settings beside it.
    Raises BadSettings, naming every variable that is missing or wrong.
    """
    found, faults = look(checks, **overrides)
    for rule in rules:
        faults = rule(found, faults) | faults
    if faults:
        raise BadSettings(faults)
    return found


def look(checks: Mapping[str, Check] | None = None, **overrides: Any) -> tuple[Settings, Faults]:
    """Like `load`, but does not raise: what is wrong keeps its default, and is named in the second
    value."""
    parts, faults = read(Parts, os.environ)
    values, more = read(Settings, os.environ, overrides)
    faults = more | faults
    if not values["database_url"] and parts["db_host"]:
        values["database_url"] = urls.postgres_of(parts)
    values["database_url"] = urls.postgres(values["database_url"])
    if values["database_read_url"]:
        values["database_read_url"] = urls.postgres(values["database_read_url"])
    if not values["redis_url"] and parts["redis_host"] and "redis_url" not in overrides:
        values["redis_url"] = urls.redis_of(parts)
    for name, check in (checks or {}).items():
        try:
            check(values[name])
        except ValueError as error:
            faults.setdefault(name.upper(), [str(error)])
    found = Settings(**values)
    unsafe = production.refused(found) if found.app_env == "production" else {}
    return found, unsafe | _together(found, faults) | faults


def _together(found: Settings, faults: Faults) -> Faults:
    """What only several settings at once can get wrong, unless one of them is wrong by itself."""
    told: Faults = {}
    if not found.database_url and not {"DATABASE_URL", "DB_HOST"} & faults.keys():
        told["DATABASE_URL"] = ["missing; set it, or DB_HOST and its companions"]
    parts = {"IDEMPOTENCY_LOCK_SECONDS", "PROVIDER_TIMEOUT_SECONDS", "PROVIDER_SEND_SECONDS"}
    timeout, send = found.provider_timeout_seconds, found.provider_send_seconds
    slowest = max(timeout.of(name) + send.of(name) for name in ("", *timeout.named, *send.named))
    if found.idempotency_lock_seconds <= slowest and not parts & faults.keys():
        told["IDEMPOTENCY_LOCK_SECONDS"] = [
            "must be more than PROVIDER_SEND_SECONDS + PROVIDER_TIMEOUT_SECONDS of each provider, "
            "or a second request would take over while the first is still at work"
        ]
    taken = [found.service_port]
    for name, port in (("METRICS_PORT", found.metrics_port), ("HEALTH_PORT", found.health_port)):
        if port in taken and name not in faults:
            other = "SERVICE_PORT" if port == found.service_port else "METRICS_PORT"
            told[name] = [f"must be another port than {other}"]
        if port is not None:
            taken.append(port)
    return told


def settings() -> Settings:
    """The running app's settings."""
    found: Settings = current_app.extensions["settings"]
    return found
