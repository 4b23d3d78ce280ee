"""Edits of the provider catalog by an admin: what it would change for callers, and the edit."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update

from payment_service.domain.acts import Act
from payment_service.domain.operators import By, NotAnAdmin, Refused
from payment_service.extensions import db
from payment_service.models import ProviderOffer
from payment_service.services import audit_log

OFFER = ProviderOffer.__table__
LAST_POSITION = 10_000


class UnknownOffer(Refused):
    """There is no such line in the catalog."""


class BadOffer(Refused):
    """A line that can't be like that."""


class OfferChanged(Refused):
    """Somebody else changed the line meanwhile."""


@dataclass(frozen=True)
class CatalogLine:
    """One provider for one country, currency and method."""

    offer_id: int
    provider_name: str
    country_code: str
    currency: str
    payment_method: str
    is_active: bool
    position: int


@dataclass(frozen=True)
class Edit:
    """How a line is to be: offered or not, and at which place among the others."""

    is_active: bool
    position: int


@dataclass(frozen=True)
class Affected:
    """The active providers of the line's country, currency and method, in the order in which
    callers are told them, as they stand and as they would after the edit."""

    line: CatalogLine
    before: tuple[str, ...]
    after: tuple[str, ...]


def listed() -> list[CatalogLine]:
    """All lines, by country, currency and method, and there in the order in which they are told."""
    return _lines()


def preview(*, offer_id: int, edit: Edit) -> Affected:
    """Whom it would affect. Changes nothing. Raises UnknownOffer, BadOffer."""
    if not 0 <= edit.position <= LAST_POSITION:
        raise BadOffer(f"A place is a number from 0 to {LAST_POSITION}.")
    lines = _lines()
    line = next((one for one in lines if one.offer_id == offer_id), None)
    if line is None:
        raise UnknownOffer(f"There is no line {offer_id} in the catalog.")
    beside = [one for one in lines if _place(one) == _place(line)]
    after = [one for one in beside if one is not line]
    after.append(CatalogLine(**{**vars(line), **vars(edit)}))
    return Affected(line, _told(beside), _told(after))


def edit(*, offer_id: int, edit: Edit, was: Edit, by: By) -> bool:
    """Makes the line so, if it still is as it `was` when it was looked at; False if it is so
    already. Raises NotAnAdmin, BadOffer, UnknownOffer, OfferChanged. Commits."""
    if not by.is_admin:
        raise NotAnAdmin("Only an admin does this.")
    preview(offer_id=offer_id, edit=edit)
    same = OFFER.c.offer_id == offer_id
    with db.engine.begin() as connection:
        columns = [OFFER.c.is_active, OFFER.c.position]
        row = connection.execute(select(*columns).where(same).with_for_update()).one()
        stands = Edit(row.is_active, row.position)
        if stands == edit:
            return False
        if stands != was:
            raise OfferChanged("Somebody else changed this line meanwhile. Look at it once more.")
        connection.execute(update(OFFER).where(same).values(**vars(edit)))
        audit_log.write(
            actor=by.name,
            act=Act.CATALOG_EDITED,
            object=f"offer:{offer_id}",
            body={"from": vars(was), "to": vars(edit)},
            session_id=by.session_id,
            connection=connection,
        )
    return True


def _lines() -> list[CatalogLine]:
    order = (OFFER.c.country_code, OFFER.c.currency, OFFER.c.payment_method)
    query = select(OFFER).order_by(*order, OFFER.c.position, OFFER.c.offer_id)
    with db.engine.connect() as connection:
        return [CatalogLine(**row) for row in connection.execute(query).mappings()]


def _place(line: CatalogLine) -> tuple[str, str, str]:
    return line.country_code, line.currency, line.payment_method


def _told(lines: list[CatalogLine]) -> tuple[str, ...]:
    in_order = sorted(lines, key=lambda line: (line.position, line.offer_id))
    return tuple(line.provider_name for line in in_order if line.is_active)
