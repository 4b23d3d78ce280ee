"""Finds payments by whatever a person has of them, for the box on each page of the operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from payment_service.domain import finding
from payment_service.domain.finding import Kind, Reading
from payment_service.domain.pages import Deed
from payment_service.services import finding_queries, rights
from payment_service.services.finding_queries import AT_MOST
from payment_service.services.sessions import Current

LIKE_ENOUGH = len("PAY-20260102-7K2M")
"""Characters that a reference and its nearest have in common: the day, and four by chance."""

HOW_FAR = {
    Kind.AMOUNT: f"Amounts are looked for in the last {finding_queries.AMOUNT_DAYS} days, among the"
    f" newest {finding_queries.AMOUNT_PAYMENTS:,} payments of them at most.",
    Kind.REQUEST: "Request ids are looked for among the newest"
    f" {finding_queries.NEWEST_REQUESTS:,} requests to providers; older ones are in the log.",
}
"""Sentences about what is not looked for everywhere, because no index has it."""


@dataclass(frozen=True)
class Hit:
    """A payment, or a refund or an idempotency key of one. Amounts are in minor units; status and
    amount are the refund's where `refund_id` is. A key may have no payment yet: then all that would
    be the payment's is None."""

    kind: Kind
    payment_id: int | None
    refund_id: int | None
    key: str | None
    operation: str | None
    caller: str | None
    reference: str | None
    status: str | None
    amount: int | None
    currency: str | None
    method: str | None
    provider: str | None
    trip_id: int | None
    order_id: int | None
    rider_id: int | None
    created_at: datetime

    @property
    def opens(self) -> tuple[str, int | str | None]:
        """Which page shows it: `payment` and its number, or `key` and the key."""
        return ("key", self.key) if self.payment_id is None else ("payment", self.payment_id)


@dataclass(frozen=True)
class Finds:
    """What came of a search. `hits` are by kind, the newest first, at most AT_MOST of each; `more`
    are the kinds that may have more, and `numbers` what was sought of each kind that has numbers.
    `one` is what to open if all hits are of one payment or key.

    Where there is none, `tried` says as what it was looked for, `nearest` what is there beside it,
    `why_none` why there can be nothing such; `how_far` what was not looked for everywhere.
    """

    text: str
    hits: Mapping[Kind, tuple[Hit, ...]]
    more: frozenset[Kind]
    numbers: Mapping[Kind, int]
    one: Hit | None
    tried: tuple[Kind, ...]
    how_far: tuple[str, ...]
    nearest: tuple[Hit, ...]
    beyond_newest: bool
    why_none: str | None


def find(now: Current, *, pasted: str) -> Finds:
    """Looks for all that the text may be, in one round trip; one more where nothing is found.
    Whatever is pasted, there is an answer, unless the database takes longer than it is given.
    Raises TookTooLong, NotAllowed, OutOfReach and Disconnected."""
    rights.expect(now, Deed.READ)
    sought = finding.read(pasted)
    readings = sought.readings
    found = finding_queries.look_up(readings) if readings else []
    by_kind: dict[Kind, list[Hit]] = {kind: [] for kind in sought.kinds}
    for place, row in found:
        kind = readings[place].kind
        by_kind[kind].append(_hit(kind, row))
    hits = {kind: _newest(of_kind) for kind, of_kind in by_kind.items() if of_kind}
    near = () if hits else _nearest(readings)
    return Finds(
        text=sought.text,
        hits={kind: of_kind[:AT_MOST] for kind, of_kind in hits.items()},
        more=frozenset(kind for kind, of_kind in hits.items() if len(of_kind) >= AT_MOST),
        numbers={one.kind: one.value for one in readings if isinstance(one.value, int)},
        one=_only(hit for of_kind in hits.values() for hit in of_kind),
        tried=sought.kinds,
        how_far=tuple(HOW_FAR[kind] for kind in sought.kinds if kind in HOW_FAR),
        nearest=near,
        beyond_newest=_is_beyond(readings, near),
        why_none=sought.why_none,
    )


def _hit(kind: Kind, row: Mapping[str, Any]) -> Hit:
    return Hit(kind, **{field.name: row[field.name] for field in fields(Hit)[1:]})


def _newest(hits: list[Hit]) -> tuple[Hit, ...]:
    """Each once, in whatever spelling it was found."""
    once = {
        (hit.payment_id, hit.refund_id, hit.key, hit.operation, hit.caller): hit for hit in hits
    }
    return tuple(
        sorted(once.values(), key=lambda hit: (hit.created_at, hit.payment_id or 0), reverse=True)
    )


def _only(hits: Iterable[Hit]) -> Hit | None:
    """The first hit, if all of them open one page."""
    all_of_them = list(hits)
    pages = {hit.opens for hit in all_of_them}
    return all_of_them[0] if len(pages) == 1 else None


def _nearest(readings: tuple[Reading, ...]) -> tuple[Hit, ...]:
    """What is there beside a payment's number, or beside a reference that is much like it."""
    near: list[Hit] = []
    for one in readings:
        if one.kind == Kind.PAYMENT:
            near += [_hit(one.kind, row) for row in finding_queries.nearest(one)]
        elif one.kind == Kind.REFERENCE and len(str(one.value)) > LIKE_ENOUGH:
            like = str(one.value)[:LIKE_ENOUGH]
            beside = [_hit(one.kind, row) for row in finding_queries.nearest(one)]
            near += [hit for hit in beside if str(hit.reference).startswith(like)]
    return _newest(near)


def _is_beyond(readings: tuple[Reading, ...], near: tuple[Hit, ...]) -> bool:
    """Whether a payment's number was sought that was never given out yet."""
    numbers = [one.value for one in readings if one.kind == Kind.PAYMENT]
    below = [hit.payment_id for hit in near if hit.kind == Kind.PAYMENT and hit.payment_id]
    return bool(numbers and near) and all(int(str(numbers[0])) > one for one in below)
