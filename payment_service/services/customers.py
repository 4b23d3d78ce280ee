"""Customers: made when first asked for, changed by themselves, erased for good."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from payment_service.config import settings
from payment_service.domain import jsontext
from payment_service.domain.acts import Act
from payment_service.domain.callers import Caller
from payment_service.domain.customers import PERSONAL, ChangeCustomer, Customer, for_lookup
from payment_service.domain.errors import CustomerBusy, CustomerNotFound, InvalidRequest
from payment_service.domain.pages import Deed
from payment_service.domain.vocabulary import UNDECIDED, Actor
from payment_service.extensions import db
from payment_service.models import Customer as CustomerRow
from payment_service.models import Payer, Payment
from payment_service.models.columns import Sealed, Secret, keyring
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.services import acting, audit_log, comparing_methods, provider_customers

CUSTOMER = CustomerRow.__table__
PAYER = Payer.__table__
PAYMENT = Payment.__table__

LOOKED_UP = ("email", "phone")
"""The personal fields by which a customer is found."""
MOST_FOUND = 100
"""Customers who say they have the same address or number."""


def mine(*, user_id: int) -> Customer:
    """The customer of that user; made now if there is none. Commits."""
    with db.engine.begin() as connection:
        return _read(_of_user(connection, user_id))


def change(*, user_id: int, command: ChangeCustomer) -> Customer:
    """Keeps what is given of the customer of that user, which is made if there is none. Raises
    InvalidRequest where personal data can't be kept here, CustomerNotFound if it is erased at that
    moment. Commits."""
    _expect_keys(command.given)
    with db.engine.begin() as connection:
        customer_id, given = _of_user(connection, user_id)["customer_id"], command.given
        locked = select(CUSTOMER.c.user_id).where(CUSTOMER.c.customer_id == customer_id)
        # Who it was when it was asked for: after an erasure nobody new is made of what is given.
        if connection.execute(locked.with_for_update()).scalar_one() is None:
            raise _not_found(customer_id)
        this = update(CUSTOMER).where(CUSTOMER.c.customer_id == customer_id)
        changed = this.values(
            **{name: text and Secret(customer_id, text) for name, text in given.items()},
            **{f"{name}_lookup": _lookup(name, given[name]) for name in LOOKED_UP if name in given},
            updated_at=func.clock_timestamp(),
        ).returning(CUSTOMER)
        return _read(connection.execute(changed).mappings().one())


def get(*, customer_id: int, rider: int | None) -> Customer:
    """Raises CustomerNotFound; also for another one's than the rider who asks, and for an erased
    one."""
    query = select(CUSTOMER).where(
        CUSTOMER.c.customer_id == customer_id, CUSTOMER.c.user_id.is_not(None)
    )
    if rider is not None:
        query = query.where(CUSTOMER.c.user_id == rider)
    with db.engine.connect() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise _not_found(customer_id)
    return _read(row)


def find(*, filters: Mapping[str, Any]) -> list[Customer]:
    """Those who have this `user_id`, `email` or `phone`, the newest first; no more than MOST_FOUND.
    Raises InvalidRequest where nothing can be found by what is given."""
    _expect_keys({name: filters[name] for name in LOOKED_UP if name in filters})
    wanted = [
        CUSTOMER.c[f"{name}_lookup"] == _lookup(name, value)
        if name in LOOKED_UP
        else CUSTOMER.c[name] == value
        for name, value in filters.items()
    ]
    query = select(CUSTOMER).where(*wanted).order_by(CUSTOMER.c.customer_id.desc())
    with db.engine.connect() as connection:
        return [_read(row) for row in connection.execute(query.limit(MOST_FOUND)).mappings()]


def erase(*, customer_id: int, caller: Caller) -> bool:
    """Takes away what is personal of the customer, and of who paid its payments; payments, amounts,
    references and chains stay. Whether it is done: where a provider knows the customer, the worker
    has it erased there, and asks until that is confirmed. Raises CustomerNotFound, and CustomerBusy
    while one of its payments waits for the payer, whose name the provider may still ask for; of
    operators also what acting.hold raises. Commits."""
    with db.engine.begin() as connection:
        locked = select(CUSTOMER).where(CUSTOMER.c.customer_id == customer_id).with_for_update()
        row = connection.execute(locked).mappings().one_or_none()
        if row is None or row["user_id"] is None:
            if provider_customers.is_being_erased(connection, customer_id):
                return False
            raise _not_found(customer_id)
        _forget_payers(connection, row["user_id"])
        if caller.actor is Actor.OPERATOR:
            acting.hold(connection, caller, Deed.ERASE_CUSTOMER, stepped_up=True)
        connection.execute(
            update(CUSTOMER)
            .where(CUSTOMER.c.customer_id == customer_id)
            .values(
                user_id=None,
                **dict.fromkeys(PERSONAL),
                **{f"{name}_lookup": None for name in LOOKED_UP},
                updated_at=func.clock_timestamp(),
                erased_at=func.clock_timestamp(),
            )
        )
        audit_log.write(
            actor=caller.name,
            act=Act.CUSTOMER_ERASED,
            object=f"customer:{customer_id}",
            connection=connection,
        )
        provider_customers.erase(connection, customer_id)
        comparing_methods.forget(connection, customer_id)
        return not provider_customers.is_being_erased(connection, customer_id)


def _of_user(connection: Connection, user_id: int) -> RowMapping:
    """The row of that user, made if there is none: by one of all who ask at once."""
    query = select(CUSTOMER).where(CUSTOMER.c.user_id == user_id)
    now = datetime.now(UTC)
    making = insert(CUSTOMER).values(user_id=user_id, created_at=now, updated_at=now)
    once = making.on_conflict_do_nothing(index_elements=["user_id"])
    while True:
        if row := connection.execute(query).mappings().one_or_none():
            return row
        connection.execute(once)  # and if it was erased meanwhile, this makes the next one


def _expect_keys(given: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for what can't be kept or found without the keys."""
    for name, value in given.items():
        if value is not None and keyring().newest is None:
            raise InvalidRequest.field(name, "can't be kept here: ENCRYPTION_KEYS is not set")
        if value is not None and name in LOOKED_UP and not settings().lookup_hmac_key:
            raise InvalidRequest.field(name, "can't be kept here: LOOKUP_HMAC_KEY is not set")


def _lookup(name: str, value: str | None) -> bytes | None:
    """HMAC-SHA256 (RFC 2104) of the field and its value, if it has one. With the field in it, no
    two columns show that they hold the same."""
    if value is None:
        return None
    key = (settings().lookup_hmac_key or "").encode()
    text = f"customers.{name}:{for_lookup(name, value)}"
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _read(row: RowMapping) -> Customer:
    opened = {name: row[name] and row[name].opened(row["customer_id"]) for name in PERSONAL}
    others = ("customer_id", "user_id", "created_at", "updated_at")
    return Customer(**opened, **{name: row[name] for name in others})


def _forget_payers(connection: Connection, user_id: int) -> None:
    """Takes the name, address and number out of what callers said of who paid this user's payments,
    and the pages that providers gave for them; where the payer was led stays. What no key opens
    goes as a whole. Raises CustomerBusy."""
    theirs = or_(
        PAYMENT.c.user_id == user_id,
        and_(PAYMENT.c.user_id.is_(None), PAYMENT.c.rider_id == user_id),
    )
    columns = (PAYER.c.payment_id, PAYER.c.reference, PAYER.c.said, PAYMENT.c.status)
    # The payment before its payer, as an outcome's statement locks them.
    query = select(*columns).join_from(PAYER, PAYMENT).where(theirs)
    rows = connection.execute(query.order_by(PAYER.c.payment_id).with_for_update(of=PAYMENT))
    for row in rows.all():
        said, names_somebody = _without_payer(row.said, row.reference)
        if row.status in UNDECIDED and names_somebody:
            raise CustomerBusy(
                f"payment {row.payment_id} is not decided yet; erase the customer once it is",
                payment_id=row.payment_id,
            )
        if row.status not in UNDECIDED:
            this = update(PAYER).where(PAYER.c.payment_id == row.payment_id)
            connection.execute(this.values(said=said, page=None))


def _without_payer(said: Sealed | None, reference: str) -> tuple[Secret | None, bool]:
    """What was said without who pays, and whether it names somebody, which is also to be feared of
    what no key opens."""
    if said is None:
        return None, False
    try:
        kept = json.loads(said.opened(reference))
    except (NoKey, NotGenuine):
        return None, True
    names_somebody = bool(kept.pop("payer", None))
    return Secret(reference, jsontext.dumps(kept)), names_somebody


def _not_found(customer_id: int) -> CustomerNotFound:
    return CustomerNotFound(f"there is no customer {customer_id}")
