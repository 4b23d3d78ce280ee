"""The provider catalog: who takes what where, cached in Redis and never stale."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict, cast

import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import select

from payment_service.extensions import cache, db
from payment_service.models import CatalogVersion, ProviderOffer

log = structlog.get_logger(__name__)

OFFER = ProviderOffer.__table__
KEPT_SECONDS = 3600
"""An old version's copy is unreachable; this only clears it away."""


class Offer(TypedDict):
    """Who takes what where, as the wire says it."""

    providerName: str
    countryCode: str
    currency: str
    paymentMethod: str
    isActive: bool


def list_offers(
    *, country: str | None = None, currency: str | None = None, method: str | None = None
) -> list[Offer]:
    """The offers that fit all that is given (any case), in the catalog's order."""
    wanted = {"countryCode": country, "currency": currency, "paymentMethod": method}
    asked = {name: value.upper() for name, value in wanted.items() if value is not None}
    return [
        offer
        for offer in _catalog()
        if all(_word(offer, name) == value for name, value in asked.items())
    ]


def _word(offer: Mapping[str, object], name: str) -> str:
    return str(offer[name]).upper()


def _catalog() -> list[Offer]:
    """The whole catalog, a few dozen rows. The copy's key holds the version that the database
    raises at every edit, so a copy from before an edit is not found any more."""
    with db.engine.connect() as connection:
        version = connection.execute(select(CatalogVersion.version)).scalar_one()
        name = f"catalog:{db.engine.url.database}:{version}"
        redis = cache.client
        if redis is not None and (kept := _kept(redis, name)) is not None:
            return kept
        query = select(OFFER).order_by(OFFER.c.position, OFFER.c.offer_id)
        offers = [_offer(row) for row in connection.execute(query)]
    if redis is not None:
        _keep(redis, name, offers)
    return offers


def _offer(row: Any) -> Offer:
    return {
        "providerName": row.provider_name,
        "countryCode": row.country_code,
        "currency": row.currency,
        "paymentMethod": row.payment_method,
        "isActive": row.is_active,
    }


def _kept(redis: Redis, name: str) -> list[Offer] | None:
    try:
        text: Any = redis.get(name)
        return cast(list[Offer], json.loads(text)) if text else None
    except (RedisError, ValueError):
        log.warning("catalog_cache_unavailable")
        return None


def _keep(redis: Redis, name: str, offers: list[Offer]) -> None:
    try:
        redis.set(name, json.dumps(offers), ex=KEPT_SECONDS)
    except RedisError:
        log.warning("catalog_cache_unavailable")
