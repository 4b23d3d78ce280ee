"""What many rows at once are for: which of them can be resent, skipped or looked up, which are left
out and why, and what is done with each. Nothing here gives money back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select, tuple_

from payment_service.domain.jobs import MOST_ITEMS, BadJob, ItemFailed, JobItem, JobKind
from payment_service.domain.operators import By
from payment_service.extensions import db
from payment_service.schemas.fields import BIGINT
from payment_service.services import browsing, deliveries, jobs
from payment_service.services.deliveries import DELIVERY, Which
from payment_service.services.moves import resolution
from payment_service.services.moves.rows import PAYMENT, TRANSACTION
from payment_service.services.moves.transitions import OPEN
from payment_service.statements import TookTooLong

_DELIVERY_KEY = re.compile(r"([a-z]{1,40})/([1-9][0-9]{0,18})/([1-9][0-9]{0,8})\Z", re.ASCII)
_PAYMENT_KEY = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)


@dataclass(frozen=True)
class Chosen:
    """The rows of these ticked `keys`, or, without any, all that fit the `filters`. Those of
    deliveries are `sink`, `payment_id` and `error`; of payments what services/browsing takes."""

    keys: tuple[str, ...] = ()
    filters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class LeftOut:
    """A row with which it is not done, and why."""

    key: str
    why: str


@dataclass(frozen=True)
class Preview:
    """The keys with which it `will` be done, and what is left out. With `more` there are others
    that fit: the job takes the first MOST_ITEMS of them."""

    will: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    more: bool = False


def key_of(sink: str, payment_id: int, seq: int) -> str:
    """The key of a delivery."""
    return f"{sink}/{payment_id}/{seq}"


def preview(*, kind: JobKind, chosen: Chosen) -> Preview:
    """What a job of this kind would do now. Raises BadJob where it can't be told what is meant."""
    if kind not in _LOOKS:
        raise BadJob("This is not done with many at once.")
    if len(chosen.keys) > MOST_ITEMS:
        raise BadJob(f"At most {MOST_ITEMS} at once; these are {len(chosen.keys)}.")
    found, fits = _LOOKS[kind]
    keys = tuple(dict.fromkeys(chosen.keys)) or found(dict(chosen.filters or {}))
    more, keys = len(keys) > MOST_ITEMS, keys[:MOST_ITEMS]
    why = fits(keys)
    left_out = tuple(LeftOut(key, why[key]) for key in keys if key in why)
    return Preview(tuple(key for key in keys if key not in why), left_out, more)


def ask(
    *,
    kind: JobKind,
    chosen: Chosen,
    by: By,
    reason: str | None = None,
    asked_key: str | None = None,
    address: str | None = None,
) -> int:
    """Has the worker do it with all that a preview of now would name. The job's number.

    To skip needs a `reason`. Raises RoleTooLow, and BadJob where nothing is to be done. Commits.
    """
    jobs.expect_role(by)
    if kind is JobKind.SKIP and not reason:
        raise BadJob("Say why they are skipped: it is kept with each.")
    will = preview(kind=kind, chosen=chosen).will
    what = {"filters": _plain(chosen.filters), "reason": reason}
    said = {name: value for name, value in what.items() if value}
    return jobs.ask(kind=kind, keys=will, by=by, what=said, asked_key=asked_key, address=address)


def _plain(filters: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (filters or {}).items()}


# -- deliveries


def _parked(filters: Mapping[str, Any]) -> tuple[str, ...]:
    """The parked deliveries that fit, the longest parked first, and one more than are done."""
    if unknown := filters.keys() - {"sink", "payment_id", "error"}:
        raise BadJob(f"Deliveries are not chosen by {', '.join(sorted(unknown))}.")
    which = Which(**{name: value for name, value in filters.items() if name != "error"})
    found = deliveries.parked(which=which, limit=MOST_ITEMS + 1, error=filters.get("error"))
    return tuple(key_of(row["sink"], row["payment_id"], row["seq"]) for row in found)


def _which(key: str) -> Which:
    match = _DELIVERY_KEY.match(key)
    if match is None or int(match[2]) > BIGINT:
        raise BadJob(f"{key[:100]!r} names no delivery.")
    return Which(match[1], int(match[2]), int(match[3]))


def _not_parked(keys: Sequence[str]) -> dict[str, str]:
    """Those of the deliveries that are not parked, each with what it is instead."""
    wanted = [_which(key) for key in keys]
    same = tuple_(DELIVERY.c.sink, DELIVERY.c.payment_id, DELIVERY.c.seq)
    query = select(DELIVERY).where(same.in_([(w.sink, w.payment_id, w.seq) for w in wanted]))
    with db.engine.connect() as connection:
        rows = {key_of(r.sink, r.payment_id, r.seq): r for r in connection.execute(query)}
    why = {key: _instead(rows.get(key)) for key in keys}
    return {key: told for key, told in why.items() if told}


def _instead(row: Row[Any] | None) -> str | None:
    if row is None:
        return "It is not there any more; what was delivered is kept for a while only."
    if row.done_at is None:
        return None if row.parked_at else "It is not parked: the relay tries it by itself."
    return "It was skipped already." if row.parked_at else "It was delivered meanwhile."


def _resend(item: JobItem) -> str:
    """Twice is harmless: it is due at once, or by then delivered."""
    if deliveries.deliver(which=_which(item.key), caller=item.caller):
        return "It is due now."
    return "There was nothing left to do."


def _skip(item: JobItem) -> str:
    skipped = deliveries.skip(
        which=_which(item.key), caller=item.caller, reason=str(item.what["reason"])
    )
    return "It was skipped." if skipped else "There was nothing left to do."


# -- payments


def _listed(filters: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that the list of the panel shows under these filters, leaf by leaf, and one more than
    are done."""
    found: list[str] = []
    older = None
    while len(found) <= MOST_ITEMS:
        try:
            leaf = browsing.look_through(filters=filters, older=older)
        except TookTooLong:
            raise BadJob("This takes too long. Narrow it: name a status or fewer days.") from None
        found += [str(row["payment_id"]) for row in leaf.rows]
        older = leaf.older
        if older is None:
            break
    return tuple(found[: MOST_ITEMS + 1])


def _payment_id(key: str) -> int:
    if not _PAYMENT_KEY.match(key) or int(key) > BIGINT:
        raise BadJob(f"{key[:100]!r} names no payment.")
    return int(key)


def _not_waiting(keys: Sequence[str]) -> dict[str, str]:
    """Those of the payments of which nothing is asked of a provider, and why."""
    ids = [_payment_id(key) for key in keys]
    known = select(PAYMENT.c.payment_id, PAYMENT.c.status).where(PAYMENT.c.payment_id.in_(ids))
    with db.engine.connect() as connection:
        status = {row.payment_id: row.status for row in connection.execute(known)}
        open_ = {row.payment_id for row in connection.execute(_open_requests(ids))}
    why = {}
    for key, payment_id in zip(keys, ids, strict=True):
        if payment_id not in status:
            why[key] = "There is no such payment."
        elif payment_id not in open_:
            why[key] = f"It is {status[payment_id]}: no provider is asked about it."
    return why


def _open_requests(ids: Iterable[int]) -> Any:
    return (
        select(TRANSACTION.c.payment_id, TRANSACTION.c.number)
        .where(TRANSACTION.c.payment_id.in_(ids), TRANSACTION.c.status.in_(OPEN))
        .order_by(TRANSACTION.c.payment_id, TRANSACTION.c.number)
    )


def _resolve(item: JobItem) -> str:
    """Looks up each request of the payment that is open: a read, so twice is harmless."""
    payment_id = _payment_id(item.key)
    with db.engine.connect() as connection:
        numbers = [row.number for row in connection.execute(_open_requests([payment_id]))]
    if not numbers:
        return "There was nothing left to look up."
    for number in numbers:
        resolution.resolve(payment_id=payment_id, number=number, caller=item.caller)
    with db.engine.connect() as connection:
        left = connection.execute(_open_requests([payment_id])).all()
        now = select(PAYMENT.c.status).where(PAYMENT.c.payment_id == payment_id)
        status = connection.execute(now).scalar_one()
    if left:
        raise ItemFailed(f"The provider has no certain answer yet; the payment is {status}.")
    return f"The payment is {status} now."


_Finds = Callable[[Mapping[str, Any]], tuple[str, ...]]
_Fits = Callable[[Sequence[str]], dict[str, str]]
_LOOKS: dict[JobKind, tuple[_Finds, _Fits]] = {
    JobKind.RESEND: (_parked, _not_parked),
    JobKind.SKIP: (_parked, _not_parked),
    JobKind.RESOLVE: (_listed, _not_waiting),
}

DOES: dict[JobKind, Callable[[JobItem], str]] = {
    JobKind.RESEND: _resend,
    JobKind.SKIP: _skip,
    JobKind.RESOLVE: _resolve,
}
"""What the worker does with one item of a job, by its kind."""
