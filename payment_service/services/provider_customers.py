"""Customers at providers: made when first needed, compared with what is saved there, erased."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.errors import (
    CustomerNotFound,
    InvalidRequest,
    NotSupportedByProvider,
    ProviderUnavailable,
)
from payment_service.domain.vocabulary import Method
from payment_service.extensions import db
from payment_service.models import Customer, ProviderCustomer
from payment_service.providers.contract import Extra, NotSent, OutcomeUnknown
from payment_service.providers.provider import Provider
from payment_service.providers.saved_methods import Customers, SavedMethods
from payment_service.services.moves.operations import providers

CUSTOMER = Customer.__table__
THERE = ProviderCustomer.__table__

WATCHED = timedelta(seconds=10)
"""After which what a payer may have saved is looked up, should nobody tell us."""

T = TypeVar("T")


def saving(name: str | None, *, currency: str) -> Provider:
    """The provider of that name, or the first that cards are routed to, if it keeps methods.
    Raises NotSupportedByProvider, and InvalidRequest for a name that is not on."""
    if name is not None:
        found = providers().find(name)
        if found is None:
            raise InvalidRequest.field("provider", f"{name} is not on here")
        if Extra.SAVED_METHODS not in found.capabilities:
            raise NotSupportedByProvider.field("provider", f"{name} keeps no methods")
        return found
    for found in [*providers().route(Method.CARD, currency), *providers().all()]:
        if Extra.SAVED_METHODS in found.capabilities:
            return found
    raise NotSupportedByProvider.field("provider", "no provider here keeps methods")


def keeper(provider: Provider) -> SavedMethods:
    """The provider as the one that it says to be."""
    return cast(SavedMethods, provider)


def reference_of(customer_id: int) -> str:
    """Ours at each provider, and the key under which it is made there."""
    return f"CUS-{customer_id}"


def ask(call: Callable[[], T]) -> T:
    """Asks for what moves no money, a second time under the same key if the answer was lost.
    Raises ProviderUnavailable."""
    try:
        try:
            return call()
        except OutcomeUnknown:
            return call()
    except NotSent as error:
        raise _unavailable(error.retry_after) from error
    except OutcomeUnknown as error:
        raise _unavailable(1.0) from error


def _unavailable(seconds: float) -> ProviderUnavailable:
    return ProviderUnavailable(
        "the provider gave no certain answer; ask again", retry_after=max(1, round(seconds))
    )


def known_at(provider: Provider, customer_id: int) -> str:
    """The provider's id of the customer, which is made there if it is not known. Raises
    CustomerNotFound, also if it is erased meanwhile, and ProviderUnavailable. Commits."""
    with db.engine.begin() as connection:
        expect_living(connection, customer_id)
        row = {"customer_id": customer_id, "provider": provider.name}
        making = insert(THERE).values(**row, created_at=datetime.now(UTC))
        connection.execute(making.on_conflict_do_nothing())
        this = _this(customer_id, provider.name)
        found = connection.execute(select(THERE.c.provider_customer_id).where(*this)).scalar_one()
    if found is not None:
        return str(found)
    made = ask(lambda: cast(Customers, provider).make_customer(reference_of(customer_id)))
    with db.engine.begin() as connection:
        # Of two that were made, the first to be written is kept.
        kept = func.coalesce(THERE.c.provider_customer_id, made)
        this = (*_this(customer_id, provider.name), THERE.c.erase_asked_at.is_(None))
        write = update(THERE).where(*this).values(provider_customer_id=kept)
        told = connection.execute(write.returning(THERE.c.provider_customer_id)).scalar()
    if told is None:
        raise CustomerNotFound(f"there is no customer {customer_id}")
    return str(told)


def expect_living(connection: Connection, customer_id: int, *, alone: bool = False) -> None:
    """Holds the customer until the connection's transaction ends: it is not erased meanwhile, and
    nobody else holds it `alone`. Raises CustomerNotFound."""
    living = (CUSTOMER.c.customer_id == customer_id, CUSTOMER.c.user_id.is_not(None))
    query = select(CUSTOMER.c.customer_id).where(*living).with_for_update(read=not alone)
    if connection.execute(query).one_or_none() is None:
        raise CustomerNotFound(f"there is no customer {customer_id}")


def watch(connection: Connection, customer_id: int, provider: str, *, after: timedelta) -> None:
    """Has it compared with the provider then, or before."""
    at = datetime.now(UTC) + after
    due = func.least(func.coalesce(THERE.c.due_at, at), at)
    connection.execute(update(THERE).where(*_this(customer_id, provider)).values(due_at=due))


def hasten(connection: Connection, *, provider: str, known_as: str) -> bool:
    """The provider has news of its customer: it is compared at once, also if somebody is about it.
    False if that is no customer of ours."""
    this = (THERE.c.provider == provider, THERE.c.provider_customer_id == known_as)
    now = {"due_at": datetime.now(UTC), "version": THERE.c.version + 1}
    return bool(connection.execute(update(THERE).where(*this).values(**now)).rowcount)


def erase(connection: Connection, customer_id: int) -> None:
    """The customer is to be erased wherever it was made, by the worker."""
    this = update(THERE).where(THERE.c.customer_id == customer_id)
    now = datetime.now(UTC)
    connection.execute(this.values(erase_asked_at=now, due_at=now, version=THERE.c.version + 1))


def is_being_erased(connection: Connection, customer_id: int) -> bool:
    """Whether a provider has yet to confirm."""
    open_ = (THERE.c.erase_asked_at.is_not(None), THERE.c.erased_at.is_(None))
    query = select(THERE.c.provider).where(THERE.c.customer_id == customer_id, *open_)
    return connection.execute(query.limit(1)).one_or_none() is not None


def _this(customer_id: int, provider: str) -> tuple[Any, ...]:
    return THERE.c.customer_id == customer_id, THERE.c.provider == provider
