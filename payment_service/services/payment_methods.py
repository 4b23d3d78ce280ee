"""Saved methods: brought by the payer, chosen, taken away, and charged without the payer."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from payment_service.config import settings
from payment_service.domain.commands import HowToCharge
from payment_service.domain.errors import InvalidRequest, PaymentMethodNotFound
from payment_service.domain.payers import Payer, Said
from payment_service.domain.payment_methods import (
    AddMethod,
    BegunSetup,
    PaymentMethod,
    status_on,
)
from payment_service.domain.vocabulary import MethodStatus, SetupStatus
from payment_service.extensions import db
from payment_service.models.columns import keyring
from payment_service.providers.contract import NotSent, OutcomeUnknown
from payment_service.services import comparing_methods, provider_customers
from payment_service.services.comparing_methods import METHOD, SETUP
from payment_service.services.moves.operations import providers
from payment_service.services.moves.rows import PaymentRow
from payment_service.services.provider_customers import CUSTOMER, THERE, WATCHED

C = TypeVar("C", bound=HowToCharge)

MOST = 100
"""Methods that are told of one customer, the newest first."""


def add(*, customer_id: int, command: AddMethod) -> BegunSetup:
    """Has the payer bring a method to the provider. Raises NotSupportedByProvider, InvalidRequest,
    CustomerNotFound and ProviderUnavailable. Commits."""
    provider = provider_customers.saving(command.provider, currency=settings().default_currency)
    if keyring().newest is None:
        raise InvalidRequest.field("provider", "keeps nothing here: ENCRYPTION_KEYS is not set")
    known_as = provider_customers.known_at(provider, customer_id)
    keeper = provider_customers.keeper(provider)
    # A setup whose answer is lost for good is nobody's: its secret was told to no payer.
    reference = f"SET-{customer_id}-{secrets.token_hex(8)}"
    setup = provider_customers.ask(
        lambda: keeper.begin_setup(
            customer=known_as, reference=reference, return_url=command.return_url
        )
    )
    with db.engine.begin() as connection:
        provider_customers.expect_living(connection, customer_id)
        row = {"customer_id": customer_id, "provider": provider.name}
        made = insert(SETUP).values(
            **row,
            provider_setup_id=setup.known_as,
            status=SetupStatus.OPEN,
            created_at=datetime.now(UTC),
        )
        number = connection.execute(made.returning(SETUP.c.setup_id)).scalar_one()
        provider_customers.watch(connection, customer_id, provider.name, after=WATCHED)
    return BegunSetup(number, setup.next_action)


def listed(*, customer_id: int) -> list[PaymentMethod]:
    """Those that the customer has or had, the newest first."""
    query = select(METHOD).where(METHOD.c.customer_id == customer_id)
    newest = query.order_by(METHOD.c.payment_method_id.desc()).limit(MOST)
    with db.engine.connect() as connection:
        return [_read(row) for row in connection.execute(newest).mappings()]


def choose(*, customer_id: int, payment_method_id: int) -> PaymentMethod:
    """Makes it the customer's default, in place of the one before. Raises PaymentMethodNotFound.
    Commits."""
    with db.engine.begin() as connection:
        _lock(connection, customer_id, payment_method_id)
        others = update(METHOD).where(METHOD.c.customer_id == customer_id, METHOD.c.is_default)
        connection.execute(others.values(is_default=False))
        this = update(METHOD).where(METHOD.c.payment_method_id == payment_method_id)
        chosen = this.values(is_default=True, updated_at=func.clock_timestamp())
        return _read(connection.execute(chosen.returning(METHOD)).mappings().one())


def remove(*, customer_id: int, payment_method_id: int) -> None:
    """Takes it away for good: here at once, and at the provider, which the worker asks until it is
    confirmed. Raises PaymentMethodNotFound. Commits."""
    with db.engine.begin() as connection:
        row = _lock(connection, customer_id, payment_method_id)
        this = update(METHOD).where(METHOD.c.payment_method_id == payment_method_id)
        gone = {"status": MethodStatus.DETACHED, "is_default": False}
        connection.execute(this.values(**gone, updated_at=func.clock_timestamp()))
        provider_customers.watch(connection, customer_id, row["provider"], after=WATCHED)
    provider = providers().find(row["provider"])
    if provider is None:
        return  # it is off here; the worker asks once it is on
    try:
        comparing_methods.detach(provider_customers.keeper(provider), row)
    except (OutcomeUnknown, NotSent):
        return


def named(command: C, payment: PaymentRow, connection: Connection | None = None) -> C:
    """The command with what its saved method stands for, if it names one: that of the payment's
    user, or of its rider where there is no user. Raises PaymentMethodNotFound and InvalidRequest.
    """
    if command.payment_method_id is None:
        return command
    if command.payment_token is not None:
        raise InvalidRequest.field("payment_method_id", "send it or payment_token, not both")
    user = payment["user_id"] or payment["rider_id"]
    if connection is None:
        with db.engine.connect() as own:
            row = _of_user(own, command.payment_method_id, user)
    else:
        row = _of_user(connection, command.payment_method_id, user)
    if command.provider not in (None, row["provider"]):
        raise InvalidRequest.field("provider", f"the method is saved at {row['provider']}")
    token = row["token"].opened(command.payment_method_id)
    said = command.said or Said()
    payer = replace(said.payer or Payer(), customer=row["provider_customer_id"], method=token)
    return replace(command, provider=row["provider"], said=replace(said, payer=payer))


def _of_user(connection: Connection, payment_method_id: int, user: int | None) -> RowMapping:
    join = METHOD.join(CUSTOMER, CUSTOMER.c.customer_id == METHOD.c.customer_id).join(
        THERE,
        (THERE.c.customer_id == METHOD.c.customer_id)
        & (THERE.c.provider == METHOD.c.provider)
        & (THERE.c.account == METHOD.c.account),
    )
    query = (
        select(METHOD, THERE.c.provider_customer_id)
        .select_from(join)
        .where(
            METHOD.c.payment_method_id == payment_method_id,
            METHOD.c.status != MethodStatus.DETACHED,
            CUSTOMER.c.user_id == user,
        )
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise _not_found(payment_method_id)
    return row


def _lock(connection: Connection, customer_id: int, payment_method_id: int) -> RowMapping:
    """One that can be charged, with its customer, so that two choices come one after the other."""
    provider_customers.expect_living(connection, customer_id, alone=True)
    query = select(METHOD).where(
        METHOD.c.payment_method_id == payment_method_id,
        METHOD.c.customer_id == customer_id,
        METHOD.c.status != MethodStatus.DETACHED,
    )
    row = connection.execute(query.with_for_update()).mappings().one_or_none()
    if row is None:
        raise _not_found(payment_method_id)
    return row


def _read(row: RowMapping) -> PaymentMethod:
    shown = {name: row[name] for name in PaymentMethod.__dataclass_fields__}
    today = datetime.now(UTC).date()
    expiry = {name: row[name] for name in ("status", "exp_year", "exp_month")}
    return PaymentMethod(**shown | {"status": status_on(today, **expiry)})


def _not_found(payment_method_id: int) -> PaymentMethodNotFound:
    return PaymentMethodNotFound(f"there is no payment method {payment_method_id}")
