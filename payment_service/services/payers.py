"""A payer on the way: what may be said of one, where a link leads, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sqlalchemy import select, update

from payment_service.config import payers as rules
from payment_service.config import settings
from payment_service.config.urls import origin_of
from payment_service.domain import money
from payment_service.domain.errors import InvalidRequest
from payment_service.domain.payers import Said, Stand
from payment_service.domain.vocabulary import ASKS, PaymentStatus
from payment_service.extensions import db
from payment_service.models.columns import keyring
from payment_service.services.moves import hastening, pages, paid_twice, rows
from payment_service.services.moves.pages import PAYER, Page
from payment_service.services.moves.rows import PAYMENT, TRANSACTION, TransactionRow

HASTE = timedelta(seconds=2)
"""A payment is looked up for its payer no oftener, however often the page is asked for: as often as
the page asks by itself."""

_STAND: dict[str, Stand] = {
    PaymentStatus.SUCCESS: Stand.PAID,
    PaymentStatus.AUTHORIZED: Stand.PAID,
    PaymentStatus.PARTIALLY_REFUNDED: Stand.PAID,
    PaymentStatus.REFUNDED: Stand.REFUNDED,
    PaymentStatus.FAILED: Stand.NOT_PAID,
    PaymentStatus.CANCELLED: Stand.NOT_PAID,
    PaymentStatus.EXPIRED: Stand.NOT_PAID,
}


@dataclass(frozen=True)
class Visit:
    """What whoever has the link of a payment may know of it.

    `amount` is written with its currency. `page` is where the payer is to be sent, while the
    payment waits for that; `way_on` is where the caller wants the payer back, with the status that
    stands.
    """

    amount: str
    stand: Stand
    page: Page | None = field(default=None, repr=False)
    way_on: str | None = field(default=None, repr=False)


def expect_usable(said: Said | None) -> None:
    """Raises InvalidRequest for what can't be kept of a payer, or where none can be led."""
    if said is None:
        return
    if keyring().newest is None:
        raise InvalidRequest.field("payer", "can't be kept here: ENCRYPTION_KEYS is not set")
    if said.return_url is None:
        return
    if not settings().public_url:
        raise InvalidRequest.field("return_url", "can't be led to from here: PUBLIC_URL is not set")
    if not _is_led_to(said.return_url):
        mine = "" if settings().app_env == "production" else ", or http:// of this machine"
        raise InvalidRequest.field(
            "return_url", f"must be https://{mine}, and its origin one of RETURN_ORIGINS"
        )


def _is_led_to(url: str) -> bool:
    """Whether a payer may be led there, as the settings are now."""
    return origin_of(url) in rules.origins(settings())


def visit(payment_id: int) -> Visit | None:
    """What the payment's payer may see; None if there is no payment of that id."""
    newest = (
        select(TRANSACTION.c.type)
        .where(TRANSACTION.c.payment_id == PAYMENT.c.payment_id)
        .order_by(TRANSACTION.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    names = ("status", "amount", "currency", "next_action", "expires_at")
    query = select(*(PAYMENT.c[name] for name in names), newest.label("newest"))
    with db.engine.connect() as connection:
        row = connection.execute(query.where(PAYMENT.c.payment_id == payment_id)).one_or_none()
        kept = pages.read(connection, payment_id)
    if row is None:
        return None
    stand = _STAND.get(row.status, Stand.WAITING)
    over = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    # One that is being cancelled has a newer request.
    waits = stand is Stand.WAITING and row.next_action and row.newest in ASKS and not over
    return Visit(
        amount=money.with_code(row.amount, row.currency),
        stand=stand,
        page={**row.next_action, **(kept.page or {})} if waits else None,
        way_on=_way_on(kept.said, payment_id, row.status),
    )


def hasten(payment_id: int) -> None:
    """Somebody says that the payer has acted: the worker looks the payment up at once. Nothing else
    follows from it, because anybody with the link can say so."""
    now = datetime.now(UTC)
    lately = PAYER.c.hastened_at > now - HASTE
    this = update(PAYER).where(PAYER.c.payment_id == payment_id, lately.is_not(True))
    with db.engine.begin() as connection:
        # The payment's row first, as the outcome's statement locks it, which writes the payer last.
        rows.read_payment(connection, payment_id, lock=True)
        if connection.execute(this.values(hastened_at=now)).rowcount:
            for request in rows.read_transactions(connection, payment_id):
                if _is_worth_a_look(request):
                    number = request["number"]
                    hastening.hasten(connection, payment_id=payment_id, number=number)


def _is_worth_a_look(request: TransactionRow) -> bool:
    """What is watched anyway. For a day that is also what has paid on a page which can be paid
    twice: the payer may come from a second window."""
    is_watched = request["due_at"] is not None
    return is_watched and request["type"] in ASKS and not paid_twice.is_beside(request)


def _way_on(said: Said, payment_id: int, status: str) -> str | None:
    """The caller's return_url with what stands in our rows; None if there is none, or none that
    payers are led to any more."""
    if said.return_url is None or not _is_led_to(said.return_url):
        return None
    url = urlsplit(said.return_url)
    ours = {"payment_id": str(payment_id), "status": status}
    others = [
        (name, value)
        for name, value in parse_qsl(url.query, keep_blank_values=True)
        if name not in ours
    ]
    return urlunsplit(url._replace(query=urlencode([*others, *ours.items()])))
