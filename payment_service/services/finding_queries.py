"""The look-ups of services/finding: one SELECT for each reading, all of them in one statement, each
by an index of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    not_,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from payment_service.domain.finding import Kind, Reading
from payment_service.models import IdempotencyKey
from payment_service.queries import Query, Row
from payment_service.services.moves.rows import PAYMENT, REFUND, TRANSACTION

KEY = IdempotencyKey.__table__

AT_MOST = 6
"""Rows of a kind: what is told apart at a glance. Who wants more has the lists."""
AMOUNT_DAYS = 7
AMOUNT_PAYMENTS = 50_000
"""No index has amounts: so many of the newest payments of those days are looked at, some 50 ms."""
NEWEST_REQUESTS = 5_000
"""Nor has one the ids of requests; each charge would pay for it. Looked at in a few ms."""
SECONDS = 2.0
"""As browsing gives a list: an amount on a cold disk may take longer, and holds up nobody."""

_COLUMN = {
    Kind.RIDER: "rider_id",
    Kind.DRIVER: "driver_id",
    Kind.USER: "user_id",
    Kind.CALLER_REFERENCE: "caller_reference",
}
_PLACE = {Kind.TRIP: "trip_id", Kind.ORDER: "order_id"}
_SHOWN = (
    *("payment_id", "reference", "status", "amount", "currency", "method", "provider"),
    *("trip_id", "order_id", "rider_id", "created_at"),
)
_NEWEST_FIRST = (PAYMENT.c.created_at.desc(), PAYMENT.c.payment_id.desc())


def look_up(readings: Sequence[Reading]) -> list[tuple[int, Row]]:
    """All rows that a reading fits, each with the reading's place among them, in one round trip.
    Raises TookTooLong."""
    query = statement(tuple(one.kind for one in readings))
    rows = query.rows_within(SECONDS, **_values(readings))
    return [(row.pop("place"), row) for row in rows]


def plan(readings: Sequence[Reading]) -> list[str]:
    """How PostgreSQL would look these up."""
    return statement(tuple(one.kind for one in readings)).plan(**_values(readings))


def nearest(reading: Reading) -> list[Row]:
    """The payments just below and just above a number or a reference that there is not.
    Raises TookTooLong."""
    column = "payment_id" if reading.kind == Kind.PAYMENT else "reference"
    return NEAREST[column].rows_within(SECONDS, v0=reading.value)


def _values(readings: Sequence[Reading]) -> dict[str, object]:
    found: dict[str, object] = {}
    for place, one in enumerate(readings):
        if isinstance(one.value, tuple):
            found[f"c{place}"] = [currency for currency, _ in one.value]
            found[f"a{place}"] = [minor for _, minor in one.value]
        else:
            found[f"v{place}"] = one.value
    return found


@lru_cache(maxsize=500)
def statement(kinds: tuple[Kind, ...]) -> Query:
    parts = [part for place, kind in enumerate(kinds) for part in _look_ups(kind, place)]
    found = union_all(*parts).subquery("found")
    return Query("find", select(*found.c), prepared=False)


def _look_ups(kind: Kind, place: int) -> Iterator[Select[Any]]:
    """The SELECTs of one reading: more than one where an index has but a part of the rows."""
    number, word = _given(place, BigInteger), _given(place, Text)
    if kind in _PLACE:
        same = PAYMENT.c[_PLACE[kind]] == number
        for live in (PAYMENT.c.live, not_(PAYMENT.c.live)):
            yield payments(place, same, live).order_by(*_NEWEST_FIRST)
    elif kind in _COLUMN:
        value = word if kind == Kind.CALLER_REFERENCE else number
        yield payments(place, PAYMENT.c[_COLUMN[kind]] == value).order_by(*_NEWEST_FIRST)
    elif kind == Kind.PAYMENT:
        yield payments(place, PAYMENT.c.payment_id == number)
    elif kind == Kind.REFERENCE:
        yield payments(place, PAYMENT.c.reference == word)
    elif kind == Kind.REFUND:
        yield _refunds(place, REFUND.c.refund_id == number)
    elif kind == Kind.PROVIDER_REFERENCE:
        yield _through(place, _requests(word))
        yield _refunds(place, REFUND.c.provider_reference == word)
    elif kind == Kind.KEY:
        yield _keys(place, word)
    elif kind == Kind.AMOUNT:
        yield _amounts(place)
    else:
        yield _through(place, _newest_requests(word))


def _given(place: int, kind: Any, letter: str = "v") -> BindParameter[Any]:
    return bindparam(f"{letter}{place}", type_=kind, required=True)


def _columns(place: int, payment: FromClause, **others: Any) -> list[ColumnElement[Any]]:
    """What a find shows. `others` take the place of the payment's own."""
    named = {name: payment.c[name] for name in _SHOWN} | {
        "refund_id": literal_column("NULL::bigint", BigInteger),
        **dict.fromkeys(("key", "operation", "caller"), literal_column("NULL::text", Text)),
    }
    named |= others
    own = literal_column(str(place), BigInteger).label("place")
    return [own, *(column.label(name) for name, column in named.items())]


def payments(place: int, *where: ColumnElement[bool] | Any) -> Select[Any]:
    return select(*_columns(place, PAYMENT)).where(*where).limit(AT_MOST)


def _refunds(place: int, where: ColumnElement[bool] | Any) -> Select[Any]:
    own = {name: REFUND.c[name] for name in ("refund_id", "status", "amount", "created_at")}
    columns = _columns(place, PAYMENT, **own)
    return select(*columns).select_from(REFUND.join(PAYMENT)).where(where).limit(AT_MOST)


def _keys(place: int, value: ColumnElement[str]) -> Select[Any]:
    own = {name: KEY.c[name] for name in ("key", "operation", "caller", "created_at")}
    both = KEY.outerjoin(PAYMENT, PAYMENT.c.payment_id == KEY.c.payment_id)
    columns = _columns(place, PAYMENT, **own)
    return select(*columns).select_from(both).where(KEY.c.key == value).limit(AT_MOST)


def _requests(value: ColumnElement[str]) -> Select[Any]:
    # Unordered: an order by the key would make the key's index the better one in some eyes.
    few = select(TRANSACTION.c.payment_id).where(TRANSACTION.c.provider_reference == value)
    return few.limit(AT_MOST * 4)


def _newest_requests(value: ColumnElement[str]) -> Select[Any]:
    newest = (
        select(TRANSACTION.c.payment_id, TRANSACTION.c.request_id)
        .order_by(TRANSACTION.c.payment_id.desc(), TRANSACTION.c.number.desc())
        .limit(NEWEST_REQUESTS)
        .subquery("newest")
    )
    return select(newest.c.payment_id).where(newest.c.request_id == value).limit(AT_MOST * 4)


def _through(place: int, ids: Select[Any]) -> Select[Any]:
    """The payments of these requests, each once."""
    few = ids.subquery(f"ids_{place}")
    each = select(few.c.payment_id).distinct().subquery(f"each_{place}")
    both = each.join(PAYMENT, PAYMENT.c.payment_id == each.c.payment_id)
    return select(*_columns(place, PAYMENT)).select_from(both).limit(AT_MOST)


def _amounts(place: int) -> Select[Any]:
    since = func.now() - text(f"interval '{AMOUNT_DAYS} days'")
    recent = (
        select(*(PAYMENT.c[name] for name in _SHOWN))
        .where(PAYMENT.c.created_at >= since)
        .order_by(*_NEWEST_FIRST)
        .limit(AMOUNT_PAYMENTS)
        .subquery(f"recent_{place}")
    )
    wanted = func.unnest(_given(place, ARRAY(Text), "c"), _given(place, ARRAY(BigInteger), "a"))
    pairs = wanted.table_valued("currency", "minor", name=f"wanted_{place}").render_derived()
    fits = tuple_(recent.c.currency, recent.c.amount).in_(select(pairs.c.currency, pairs.c.minor))
    return select(*_columns(place, recent)).where(fits).limit(AT_MOST)


def beside(column: str, kind: Any) -> Query:
    own, value = PAYMENT.c[column], _given(0, kind)
    below = payments(0, own < value).order_by(own.desc()).limit(1)
    above = payments(0, own > value).order_by(own).limit(1)
    found = union_all(below, above).subquery("found")
    return Query(f"beside_{column}", select(*found.c), prepared=False)


NEAREST = {
    "payment_id": beside("payment_id", BigInteger),
    "reference": beside("reference", Text),
}
