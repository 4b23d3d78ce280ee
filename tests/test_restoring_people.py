"""Customers and what is kept of who paid, after a restore: as they stood just before it."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.domain.callers import Caller
from payment_service.domain.customers import ChangeCustomer
from payment_service.domain.errors import CustomerNotFound
from payment_service.extensions import db
from payment_service.services import customers
from payment_service.services.moves import pages
from tests.books import a_charged_payment
from tests.fixtures import ENCRYPTION_KEYS, a_number
from tests.restoring import House

pytestmark = pytest.mark.slow

WHO = {"name": "Canary Nameson", "email": "canary@mail.example", "phone": "+46701740605"}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be asked for before the house."""
    monkeypatch.setenv("ENCRYPTION_KEYS", ENCRYPTION_KEYS)
    monkeypatch.setenv("LOOKUP_HMAC_KEY", "a lookup key of tests, which has more than 32 bytes")


def said(payment_id: int) -> str:
    with db.engine.connect() as connection:
        return str(pages.read(connection, payment_id).said.as_json())


def paid_by(house: House, user_id: int) -> int:
    found: Any = a_charged_payment(house.client, rider_id=user_id, payer=WHO)
    return int(found["payment_id"])


def test_they_stand_as_they_stood_and_who_was_erased_is_erased(keys: None, house: House) -> None:
    stays, goes, comes = a_number(), a_number(), a_number()
    whole, caller = ChangeCustomer(WHO), Caller("trip-service")
    with house.app.app_context():
        mine = customers.change(user_id=stays, command=whole)
        erased = customers.change(user_id=goes, command=whole)
    before = [paid_by(house, user) for user in (stays, goes, comes)]
    file = house.backup()
    with house.app.app_context():
        mine = customers.change(user_id=stays, command=ChangeCustomer({"name": "Canary Other"}))
        customers.erase(customer_id=erased.customer_id, caller=caller)
        back = customers.mine(user_id=goes)
        new = customers.change(user_id=comes, command=whole)
        customers.erase(customer_id=new.customer_id, caller=caller)
    later = paid_by(house, stays)
    house.restore(file)
    with house.app.app_context():
        assert customers.get(customer_id=mine.customer_id, rider=None) == mine
        for gone in (erased, new):
            with pytest.raises(CustomerNotFound):
                customers.get(customer_id=gone.customer_id, rider=None)
        assert customers.mine(user_id=goes) == back
        assert ["Canary" in said(payment) for payment in (*before, later)] == [
            True, False, False, True,
        ]  # fmt: skip
        assert customers.mine(user_id=comes).customer_id > new.customer_id
        assert [one.user_id for one in customers.find(filters={"email": WHO["email"]})] == [stays]
