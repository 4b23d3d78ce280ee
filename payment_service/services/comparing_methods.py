"""What is saved at a provider, compared with our rows: the one way in which a method appears,
changes or goes here. Webhooks only make it happen sooner."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, RowMapping, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.vocabulary import MethodStatus, SetupStatus
from payment_service.extensions import db
from payment_service.models import MethodSetup, PaymentMethod
from payment_service.models.columns import Secret
from payment_service.providers.contract import NotSent, OutcomeUnknown
from payment_service.providers.saved_methods import SavedMethod, SavedMethods
from payment_service.services import provider_customers
from payment_service.services.moves.operations import providers
from payment_service.services.provider_customers import CUSTOMER, THERE, WATCHED

log = structlog.get_logger(__name__)

METHOD = PaymentMethod.__table__
SETUP = MethodSetup.__table__

LEASE_SECONDS = 60.0
"""For one customer; whoever is killed leaves it for as long."""
BATCH = 20
SETUP_LIVES = timedelta(days=1)
"""A payer who has not brought a method by then is not waited for."""
SHOWN = ("kind", "brand", "last4", "exp_month", "exp_year", "fingerprint")

_LEASE = text("""
    UPDATE provider_customers
    SET due_at = clock_timestamp() + make_interval(secs => :lease), version = version + 1
    WHERE (customer_id, provider, account) IN (
        SELECT customer_id, provider, account FROM provider_customers
        WHERE due_at <= clock_timestamp() AND provider = ANY (:on)
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING customer_id, provider, account, provider_customer_id, version, erase_asked_at
""")
_NEXT_ID = text("SELECT nextval(pg_get_serial_sequence('payment_methods', 'payment_method_id'))")


@dataclass(frozen=True)
class Compared:
    """What the provider said, of one moment."""

    methods: list[SavedMethod]
    ended: dict[int, SetupStatus]
    still_open: bool


def run_once() -> dict[str, int]:
    """Compares, or erases, those who are due. Any number of workers may run it at once."""
    on = [found.name for found in providers().all()]
    with db.engine.begin() as connection:
        values = {"lease": LEASE_SECONDS, "batch": BATCH, "on": on}
        due = connection.execute(_LEASE, values).mappings().all()
    done = [_one(row) for row in due]
    return {"compared": done.count(True), "failed": done.count(False), "more": len(due) // BATCH}


def _one(row: RowMapping) -> bool:
    provider = providers().get(row["provider"])
    keeper = provider_customers.keeper(provider)
    try:
        if row["erase_asked_at"] is not None:
            _erase(row, keeper)
        elif row["provider_customer_id"] is not None:
            _compare(row, keeper)
    except (OutcomeUnknown, NotSent) as error:
        log.warning("saved_methods_not_compared", provider=provider.name, why=str(error))
        return False  # the lease's end is the next try
    return True


def _erase(row: RowMapping, keeper: SavedMethods) -> None:
    """Where no answer named the customer, it is asked for under its key once more: it may be there,
    and is then known."""
    reference = provider_customers.reference_of(row["customer_id"])
    known_as = row["provider_customer_id"] or keeper.make_customer(reference)
    keeper.erase_customer(known_as)
    with db.engine.begin() as connection:
        values = {"erased_at": datetime.now(UTC), "due_at": None, "provider_customer_id": known_as}
        connection.execute(update(THERE).where(_same(row)).values(values))


def _compare(row: RowMapping, keeper: SavedMethods) -> None:
    _detach_left(row, keeper)
    seen = seen_there(row, keeper)
    with db.engine.begin() as connection:
        # Older than what another one has asked since: then that one writes.
        this = and_(_same(row), THERE.c.version == row["version"])
        query = select(THERE.c.version).where(this).with_for_update()
        if connection.execute(query).one_or_none() is None:
            return
        marks = [_keep(connection, row, method) for method in seen.methods]
        _end_missing(connection, row, marks)
        for setup_id, status in seen.ended.items():
            one = update(SETUP).where(SETUP.c.setup_id == setup_id)
            connection.execute(one.values(status=status))
        again = datetime.now(UTC) + WATCHED if seen.still_open else None
        connection.execute(update(THERE).where(this).values(due_at=again))


def seen_there(row: RowMapping, keeper: SavedMethods) -> Compared:
    """Setups first: what one that is done has brought is in the list that is asked for after it."""
    with db.engine.connect() as connection:
        open_ = select(SETUP).where(_whose(SETUP, row), SETUP.c.status == SetupStatus.OPEN)
        setups = connection.execute(open_).all()
    ended: dict[int, SetupStatus] = {}
    now = datetime.now(UTC)
    for setup in setups:
        status = keeper.look_up_setup(setup.provider_setup_id).status
        if status is SetupStatus.OPEN and setup.created_at < now - SETUP_LIVES:
            status = SetupStatus.OVER
        if status is not SetupStatus.OPEN:
            ended[setup.setup_id] = status
    methods = keeper.saved_methods(row["provider_customer_id"])
    return Compared(methods, ended, still_open=len(ended) < len(setups))


def _detach_left(row: RowMapping, keeper: SavedMethods) -> None:
    """Takes away at the provider what was taken away here and not confirmed there."""
    left = (METHOD.c.status == MethodStatus.DETACHED, METHOD.c.token.is_not(None))
    with db.engine.connect() as connection:
        found = connection.execute(select(METHOD).where(_whose(METHOD, row), *left)).all()
    for method in found:
        detach(keeper, method)


def detach(keeper: SavedMethods, method: Any) -> None:
    """At the provider; then its token is nowhere any more. Raises OutcomeUnknown, NotSent."""
    keeper.detach(method.token.opened(method.payment_method_id))
    with db.engine.begin() as connection:
        one = METHOD.c.payment_method_id == method.payment_method_id
        connection.execute(update(METHOD).where(one).values(token=None))


def _keep(connection: Connection, row: RowMapping, method: SavedMethod) -> bytes:
    """Writes it once, as this customer's: what is another's, or was taken away here, stays so."""
    mark = mark_of(method.token)
    number: int = connection.execute(_NEXT_ID).scalar_one()
    now = datetime.now(UTC)
    shown = {name: getattr(method, name) for name in SHOWN}
    making = insert(METHOD).values(
        payment_method_id=number,
        **{name: row[name] for name in ("customer_id", "provider", "account")},
        token=Secret(number, method.token),
        token_mark=mark,
        **shown,
        status=MethodStatus.ACTIVE,
        created_at=now,
        updated_at=now,
    )
    connection.execute(
        making.on_conflict_do_update(
            index_elements=["provider", "account", "token_mark"],
            set_={**shown, "updated_at": now},
            where=and_(
                METHOD.c.customer_id == row["customer_id"],
                METHOD.c.status != MethodStatus.DETACHED,
            ),
        )
    )
    return mark


def _end_missing(connection: Connection, row: RowMapping, marks: list[bytes]) -> None:
    """What the provider has no more is gone here, too."""
    gone = update(METHOD).where(
        _whose(METHOD, row),
        METHOD.c.status != MethodStatus.DETACHED,
        METHOD.c.token_mark.not_in(marks),
    )
    ended = {"status": MethodStatus.DETACHED, "is_default": False, "token": None}
    connection.execute(gone.values(**ended, updated_at=func.clock_timestamp()))


def forget(connection: Connection, customer_id: int) -> None:
    """Of a customer that is erased nothing is left but that there was something."""
    this = update(METHOD).where(METHOD.c.customer_id == customer_id)
    gone = {"status": MethodStatus.DETACHED, "is_default": False, "token": None}
    emptied = dict.fromkeys(("brand", "last4", "exp_month", "exp_year", "fingerprint"))
    connection.execute(this.values(**gone, **emptied))


def after_restore(connection: Connection) -> None:
    """What is saved is compared anew, because much may have changed since the backup; of who was
    erased since, it is erased."""
    connection.execute(
        update(THERE).where(THERE.c.erased_at.is_(None)).values(due_at=func.clock_timestamp())
    )
    gone = select(CUSTOMER.c.customer_id).where(CUSTOMER.c.erased_at.is_not(None))
    for customer_id in connection.execute(
        gone.join(THERE, THERE.c.customer_id == CUSTOMER.c.customer_id).where(
            THERE.c.erase_asked_at.is_(None)
        )
    ).scalars():
        provider_customers.erase(connection, customer_id)
        forget(connection, customer_id)


def mark_of(token: str) -> bytes:
    """By which a method is known again."""
    return hashlib.sha256(token.encode()).digest()


def _whose(table: Any, row: RowMapping) -> Any:
    names = ("customer_id", "provider", "account")
    return and_(*(table.c[name] == row[name] for name in names))


def _same(row: RowMapping) -> Any:
    return _whose(THERE, row)
