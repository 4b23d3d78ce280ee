"""The provider catalog over REST; no token needed."""

from __future__ import annotations

from typing import Any

from payment_service.api.blueprints import Blueprint
from payment_service.domain.errors import BadCountry
from payment_service.schemas.providers import OfferQuery, OfferSchema
from payment_service.services import providers

blueprint = Blueprint("providers", __name__, description="Who takes what where")

COUNTRY = {
    "in": "path",
    "name": "country",
    "description": "ISO 3166-1, two letters, in any case",
    "schema": {"type": "string", "pattern": "^[A-Za-z]{2}$"},
}


@blueprint.get("/payments/providers", operation="listProviders")
@blueprint.arguments(OfferQuery, location="query")
@blueprint.response(200, OfferSchema(many=True))
def list_offers(query: dict[str, Any]) -> list[providers.Offer]:
    """List the providers

    Who takes which method in which country and currency. The filters must all fit.
    """
    return providers.list_offers(**query)


@blueprint.get(
    "/payments/providers/<country>", parameters=[COUNTRY], operation="listCountryProviders"
)
@blueprint.response(200, OfferSchema(many=True))
@blueprint.refuses(400, 404)
def list_of_country(country: str) -> list[providers.Offer]:
    """List the providers of a country

    None for a country without any.
    """
    if len(country) != 2 or not (country.isascii() and country.isalpha()):
        raise BadCountry("send a country code of two letters, such as IN")
    return providers.list_offers(country=country)
