"""What must hold of the providers beside the sandbox's own: their books, what they were asked, what
they said unasked, and what the service wrote down of all that."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests import wire_log
from tests.campaign.dialects import DIALECTS
from tests.campaign.dialects.dialect import Paid
from tests.campaign.index import ASKS, PAID_TWICE, Index
from tests.campaign.ledger import Row


def books_agree(index: Index) -> Iterator[str]:
    """Payment by payment and refund by refund, from both sides."""
    for name, entries in index.paid.items():
        for one in entries:
            row = index.takings.get((name, one.id))
            if row is not None and row["status"] == "SUCCESS":
                yield from _amounts(index, row, one)
            elif one.captured or one.held:
                ours = row["status"] if row else "nothing"
                yield f"{name} {one.reference}: {_told(one)} there as {one.id}, {ours} here"
        yield from _ours_are_there(index, name, entries)
        yield from _refunds_agree(index, name, entries)


def _amounts(index: Index, row: Row, one: Paid) -> Iterator[str]:
    what = f"{row['provider']} {row['reference']}"
    if row["currency"] != one.currency:
        yield f"{what}: {row['currency']} here, {one.currency} there"
    if row["cause"] == PAID_TWICE:
        ours = row["amount_approved"]
    else:
        payment = index.payments[row["payment_id"]]
        if payment["provider"] != row["provider"]:
            return
        ours = payment["captured"]
        pending = payment["refund_pending"] - index.held[payment["payment_id"]]
        given = payment["refunded"], pending
        if not DIALECTS[row["provider"]].by_hand and given != (one.returned, one.pending):
            yield f"{what}: given back, pending {given} here, {one.returned, one.pending} there"
    if ours != one.captured:
        yield f"{what}: captured {ours} here, {one.captured} there"


def _ours_are_there(index: Index, name: str, entries: list[Paid]) -> Iterator[str]:
    there = {one.id: one for one in entries}
    for row in index.books.transactions:
        if row["provider"] != name or row["status"] != "SUCCESS" or row["type"] not in ASKS:
            continue
        one = there.get(row["provider_reference"])
        if one is None or (row["type"] == "CHARGE" and not one.captured):
            yield f"{name} {row['reference']}: SUCCESS here, {_told(one) if one else 'not'} there"


def _refunds_agree(index: Index, name: str, entries: list[Paid]) -> Iterator[str]:
    """By the name that the books have for each; where several requests share one, all together."""
    dialect = DIALECTS[name]
    if dialect.by_hand:
        return
    ours: dict[str | None, list[int]] = defaultdict(list)
    for row in index.books.transactions:
        if (row["provider"], row["type"], row["status"]) == (name, "REFUND", "SUCCESS"):
            ours[index.name_of(row)].append(row["amount_approved"] or row["amount"])
    theirs: dict[str | None, list[int]] = defaultdict(list)
    for given in (given for one in entries for given in one.given):
        if given.done:
            theirs[given.reference].append(given.amount)
        else:
            yield f"{name} {given.reference}: a refund of {given.amount} still waits there"
    for reference in ours.keys() | theirs.keys():
        if sorted(ours[reference]) != sorted(theirs[reference]):
            yield f"{name} {reference}: refunds {ours[reference]} here, {theirs[reference]} there"


def _told(one: Paid) -> str:
    return f"{one.captured} paid" if one.captured else f"{one.amount} {'held' if one.held else ''}"


def paid_twice_goes_back(index: Index) -> Iterator[str]:
    """Of the payments under one reference one is the payment's own; each other one has a row
    `paid_twice`, and was given back."""
    for name, entries in index.paid.items():
        together: dict[str, list[Paid]] = defaultdict(list)
        for one in entries:
            if one.captured:
                together[one.reference].append(one)
        for reference, paid in together.items():
            rows = [index.takings.get((name, one.id)) for one in paid]
            own = [row for row in rows if row is not None and row["cause"] != PAID_TWICE]
            if len(paid) > 1 and (len(own) != 1 or None in rows):
                missing = rows.count(None)
                yield f"{name} {reference}: paid {len(paid)} times, {missing} without a row"
            for one, row in zip(paid, rows, strict=True):
                if row is None or row["cause"] != PAID_TWICE or DIALECTS[name].by_hand:
                    continue
                if one.captured != one.returned:
                    left = one.captured - one.returned
                    yield f"{name} {reference}: {one.id} was paid beside it, {left} never went back"


def asked_once(index: Index) -> Iterator[str]:
    """What asks for money is a transaction of ours, and is asked once; what looks only reads."""
    allowed = Counter(
        wire_log.asked(row["provider"], row["type"], index.name_of(row))
        for row in index.books.transactions
    )
    yield from wire_log.wrong(index.books.requests, allowed)


def untrue_moved_nothing(index: Index) -> Iterator[str]:
    """A webhook that was not true was refused, or kept and not applied; one that was believed is
    one that the provider sent, and meant; and whatever was taken is kept."""
    kept = {(row["provider"], row["event_key"]) for row in index.books.webhooks}
    true: set[tuple[str, str]] = set()
    for sent in index.books.sent:
        dialect = DIALECTS[sent["dialect"]]
        key, fault = (sent["dialect"], dialect.event_key(sent)), sent["fault"]
        taken = sent["answer"] is not None and 200 <= sent["answer"] < 300
        what = f"{sent['dialect']} {sent['reference']} ({sent['event']}, {fault})"
        if fault in dialect.forged:
            if taken:
                yield f"{what}: was forged, and answered {sent['answer']}"
            continue
        if not dialect.is_untrue(sent):
            true.add(key)
        if taken and key not in kept:
            yield f"{what}: was taken, and is not kept"
    believed = set()
    for row in index.books.webhooks:
        if row["status"] != "APPLIED" or row["trust"] != "SIGNED":
            continue
        believed.add(row["payment_id"])
        key = row["provider"], row["event_key"]
        if key not in true:
            yield f"{key[0]} {key[1]}: applied to payment {row['payment_id']}, and is not true"
    for event in index.books.events:
        if event["actor"] == "provider" and event["payment_id"] not in believed:
            yield f"payment {event['payment_id']}, event {event['seq']}: moved by no true webhook"


def nothing_was_seen(index: Index) -> Iterator[str]:
    yield from index.books.leaks
