"""Customers as operators see them: found, listed and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select

from payment_service.domain.customers import Customer
from payment_service.domain.errors import InvalidRequest
from payment_service.domain.pages import Deed
from payment_service.extensions import db
from payment_service.services import customers, rights
from payment_service.services.customers import CUSTOMER
from payment_service.services.sessions import Current

ROWS = 50
"""Of a page."""
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,200}@[^@\s]{1,200}")


@dataclass(frozen=True)
class Row:
    """A customer in a list, without what is personal. `user_id` is None of an erased one."""

    customer_id: int
    user_id: int | None
    created_at: datetime


def newest(now: Current, *, before: int | None) -> list[Row]:
    """The newest ROWS, or those older than that number. Raises NotAllowed, OutOfReach."""
    return _listed(now, *([] if before is None else [CUSTOMER.c.customer_id < before]))


def these(now: Current, *, numbers: Sequence[int]) -> list[Row]:
    """Those of the numbers that there are. Raises NotAllowed, OutOfReach."""
    return _listed(now, CUSTOMER.c.customer_id.in_(numbers))


def one(now: Current, *, customer_id: int) -> Customer:
    """Raises CustomerNotFound, NotAllowed, OutOfReach."""
    rights.expect(now, Deed.SEE_CUSTOMER)
    return customers.get(customer_id=customer_id, rider=None)


def find(now: Current, *, pasted: str) -> list[int]:
    """The numbers of those who have this user's number, e-mail address or telephone number. Raises
    InvalidRequest for a text that is none of these, NotAllowed, OutOfReach."""
    rights.expect(now, Deed.SEE_CUSTOMER)
    text = pasted.strip()
    phone = re.sub(r"[ ()./-]", "", text)
    if _NUMBER.fullmatch(text):
        found = customers.find(filters={"user_id": int(text)})
    elif _EMAIL.fullmatch(text):
        found = customers.find(filters={"email": text})
    elif _PHONE.fullmatch(phone):
        found = customers.find(filters={"phone": phone})
    else:
        raise InvalidRequest(
            "Enter a rider's number, a whole e-mail address, or a telephone number with + and"
            " country code."
        )
    return [customer.customer_id for customer in found]


def _listed(now: Current, *wanted: ColumnElement[bool]) -> list[Row]:
    rights.expect(now, Deed.SEE_CUSTOMER)
    columns = (CUSTOMER.c.customer_id, CUSTOMER.c.user_id, CUSTOMER.c.created_at)
    query = select(*columns).where(*wanted).order_by(CUSTOMER.c.customer_id.desc()).limit(ROWS)
    with db.engine.connect() as connection:
        return [Row(**row) for row in connection.execute(query).mappings()]
