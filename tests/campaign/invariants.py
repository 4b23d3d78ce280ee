"""What must hold when all is over: pure functions from the books to what is wrong with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from payment_service.domain import money
from tests.campaign import news, others, promises
from tests.campaign.index import ASKS, NOUN_OF, Index
from tests.campaign.ledger import NOUNS, Books, Row

Check = Callable[[Index], Iterator[str]]

# An operation of the provider that moved money or held it; anything else must be a decline.
TAKEN = {
    "CHARGE": ("captured",),
    "AUTHORIZATION": ("authorized", "captured", "voided"),
    "CAPTURE": ("captured",),
    "VOID": ("voided",),
    "REFUND": ("succeeded",),
}


@dataclass(frozen=True)
class Verdict:
    """One invariant: over how many things it was checked, and which of them break it."""

    name: str
    checked: int
    broken: list[str]


def requests_agree(index: Index) -> Iterator[str]:
    for row in index.books.transactions:
        if row["provider"] != "sandbox":
            continue
        found, reference = index.operation(row), row["reference"]
        states = [operation["state"] for operation in found]
        if row["status"] == "SUCCESS":
            if len(found) != 1 or states[0] not in TAKEN[row["type"]]:
                yield f"{reference}: SUCCESS here, {states or 'nothing'} at the provider"
            elif row["amount_approved"] != found[0]["amount_minor"]:
                theirs = found[0]["amount_minor"]
                yield f"{reference}: {row['amount_approved']} here, {theirs} at the provider"
        elif any(state != "declined" for state in states) and not _released(index, row, states):
            yield f"{reference}: {row['status']} here, {states} at the provider"
    ours = {(NOUN_OF[row["type"]], row["reference"]) for row in index.books.transactions}
    for stranger in index.operations.keys() - ours:
        yield f"{stranger}: at the provider, and not ours"


def _released(index: Index, row: Row, states: list[str]) -> bool:
    """The payer acted in the moment before our void of the wait came in: the provider had a hold,
    and released it by that void. For us it never came about."""
    asked = index.asked_of[row["payment_id"]]
    voided = any(other["type"] == "VOID" and other["status"] == "SUCCESS" for other in asked)
    return states == ["voided"] and voided


def payments_agree(index: Index) -> Iterator[str]:
    for payment in index.books.payments:
        charge = index.charge(payment["payment_id"])
        if payment["provider"] != "sandbox":
            continue
        what = f"payment {payment['payment_id']} ({payment['status']})"
        pending = payment["refund_pending"] - index.held[payment["payment_id"]]
        ours = payment["captured"], payment["refunded"], pending
        if charge is None:
            if any(ours):
                yield f"{what}: {ours} here, no charge at the provider"
            continue
        names = ("captured_minor", "refunded_minor", "refund_pending_minor")
        theirs = tuple(charge[name] for name in names)
        if ours != theirs:
            yield f"{what}: captured, refunded, pending {ours} here, {theirs} at the provider"
        released = payment["status"] in ("CANCELLED", "EXPIRED")
        if released != (charge["state"] == "voided"):
            yield f"{what}: {charge['state']} at the provider"


def api_tells(index: Index) -> Iterator[str]:
    told = {row["payment_id"]: row for row in index.books.api_payments}
    if told.keys() != index.payments.keys():
        yield f"payments told by one side only: {sorted(told.keys() ^ index.payments.keys())[:5]}"
    for payment_id in told.keys() & index.payments.keys():
        ours, theirs = index.payments[payment_id], told[payment_id]
        as_told = [theirs[name] for name in ("status", "amount_captured", "amount_refunded")]
        minor = (ours["captured"], ours["refunded"])
        stands = [ours["status"], *(money.format_amount(n, ours["currency"]) for n in minor)]
        if as_told != stands:
            yield f"payment {payment_id}: {stands} in the table, {as_told} by the API"
    refunds = {row["refund_id"]: row["status"] for row in index.books.api_refunds}
    stored = {row["refund_id"]: row["status"] for row in index.books.refunds}
    if refunds != stored:
        yield f"refunds differ: {list(refunds.items() ^ stored.items())[:5]}"


def sums_agree(index: Index) -> Iterator[str]:
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    for payment in index.books.payments:
        if payment["provider"] == "sandbox":
            ours[f"captured {payment['currency']}"] += payment["captured"]
            ours[f"refunded {payment['currency']}"] += payment["refunded"]
    for charge in index.books.journal["charges"]:
        theirs[f"captured {charge['currency']}"] += charge["captured_minor"]
        theirs[f"refunded {charge['currency']}"] += charge["refunded_minor"]
    for row in index.books.transactions:
        if row["provider"] == "sandbox" and row["status"] == "SUCCESS":
            ours[f"{NOUN_OF[row['type']]} done"] += 1
        elif row["provider"] == "sandbox":
            states = [operation["state"] for operation in index.operation(row)]
            theirs[f"{NOUN_OF[row['type']]} done"] -= _released(index, row, states)
    for noun in NOUNS:
        done = [row for row in index.books.journal[noun] if row["state"] != "declined"]
        theirs[f"{noun} done"] += len(done)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours[name] != theirs[name]:
            yield f"{name}: {ours[name]} in our tables, {theirs[name]} in the provider's journal"


def nothing_is_open(index: Index) -> Iterator[str]:
    for what, count in index.books.left.items():
        if count:
            yield f"{what}: {count}"
    for payment in index.books.payments:
        if payment["status"] == "PENDING" and payment["provider"] == "import":
            continue  # history that nobody has charged
        if payment["status"] in ("PENDING", "PROCESSING", "REQUIRES_ACTION", "AUTHORIZED"):
            yield f"payment {payment['payment_id']} is {payment['status']}"
    for row in index.books.transactions:
        if row["status"] in ("PROCESSING", "REQUIRES_ACTION"):
            yield f"{row['reference']} is {row['status']}"
    for row in index.books.refunds:
        if row["status"] == "PENDING":
            yield f"refund {row['refund_id']} is PENDING"


def paid_once(index: Index) -> Iterator[str]:
    for column in ("trip_id", "order_id"):
        paying: dict[int, list[int]] = defaultdict(list)
        for payment in index.books.payments:
            if payment[column] is not None and _pays(index, payment):
                paying[payment[column]].append(payment["payment_id"])
        for subject, payments in paying.items():
            if len(payments) > 1:
                yield f"{column} {subject} is paid by payments {payments}"


def _pays(index: Index, payment: Row) -> bool:
    """Whether the provider keeps or holds money of it, whatever our tables say; or a person took
    it, or history says so."""
    for row in index.asked_of[payment["payment_id"]]:
        if row["type"] in ASKS:
            for found in index.operation(row):
                left = found["captured_minor"] - found["refunded_minor"]
                if left > 0 or found["state"] == "authorized":
                    return True
    if payment["payment_id"] in index.kept_elsewhere:
        return True
    by_hand = payment["provider"] in ("cash", "import")
    return by_hand and bool(payment["captured"] > payment["refunded"])


def ceilings(index: Index) -> Iterator[str]:
    for row in index.books.payments:
        given = row["refunded"] + row["refund_pending"]
        if not 0 <= row["refunded"] <= given <= row["captured"] <= row["authorized"]:
            yield f"payment {row['payment_id']}: {given} <= {row['captured']} <= " + str(
                row["authorized"]
            )
    for charge in index.books.provider["charges"]:
        given = charge["refunded_minor"] + charge["refund_pending_minor"]
        if not given <= charge["captured_minor"] <= charge["amount_minor"]:
            yield f"{charge['reference']} at the provider: {given} <= {charge['captured_minor']}"


def evidence_has_a_cause(index: Index) -> Iterator[str]:
    references = {row["reference"]: row for row in index.books.transactions}
    for payment_id, bodies in index.bodies.items():
        for data in bodies:
            if not data.get("contradicted"):
                continue
            row = references[data["transaction_reference"]]
            if index.cause(row) is None:
                there = [found["created_at"] for found in index.operation(row)]
                yield (
                    f"payment {payment_id}: {row['type']} {row['reference']}, asked at"
                    f" {row['created_at']}, was given up, and the provider did it at {there}"
                )
            if payment_id not in index.books.timelines:
                yield f"payment {payment_id}: its time line could not be read"


def sleepers_do_not_send(index: Index) -> Iterator[str]:
    for reference in index.books.never_sent:
        for noun in NOUNS:
            if (noun, reference) in index.operations:
                yield f"{reference} was sent by a worker that had slept past its time"


def ids_name_one(index: Index) -> Iterator[str]:
    """Whatever anybody was ever told, and what stands: an id is one payment's, or one refund's."""
    names: dict[tuple[str, int], set[object]] = defaultdict(set)
    for payment in index.books.payments:
        names["payment", payment["payment_id"]].add(payment["reference"])
    for refund in index.books.refunds:
        names["refund", refund["refund_id"]].add(refund["payment_id"])
    for one in index.books.asked:
        for told in (answer.json() for answer in one.answers):
            if "refund_id" in told:
                names["refund", told["refund_id"]].add(told["payment_id"])
            elif "payment_id" in told and "reference" in told:
                names["payment", told["payment_id"]].add(told["reference"])
    for (noun, number), found in names.items():
        if len(found) > 1:
            yield f"{noun} {number} is the name of {sorted(map(str, found))}"


def _rows_of(others: dict[str, dict[str, list[Row]]]) -> int:
    return sum(len(rows) for nouns in others.values() for rows in nouns.values())


CHECKS: dict[str, tuple[Check, Callable[[Books], int]]] = {
    "each request to the provider ended the same on both sides": (
        requests_agree, lambda books: len(books.transactions)),
    "provider's amounts = ours, payment by payment": (
        payments_agree, lambda books: len(books.payments)),
    "the books of the other providers = our tables, payment by payment": (
        others.books_agree, lambda books: _rows_of(books.others)),
    "what was paid twice is a row of its own, and went back": (
        others.paid_twice_goes_back, lambda books: _rows_of(books.others)),
    "no provider was asked for money but by a transaction, and once": (
        others.asked_once, lambda books: len(books.requests)),
    "no webhook that was not true moved anything": (
        others.untrue_moved_nothing, lambda books: len(books.sent)),
    "nothing of a payer and no secret is in logs, events and metrics": (
        others.nothing_was_seen, lambda books: len(books.events)),
    "what the API says = our tables": (
        api_tells, lambda books: len(books.api_payments) + len(books.api_refunds)),
    "sums over the provider's journal = sums over our tables": (
        sums_agree, lambda books: sum(map(len, books.journal.values()))),
    "nothing is PROCESSING or open": (nothing_is_open, lambda books: len(books.payments)),
    "no answer is owed": (promises.nothing_is_owed, lambda books: len(books.asked)),
    "whatever was down, nobody was told internal_error": (
        promises.nobody_was_told_internal_error,
        lambda books: sum(len(one.answers) for one in books.asked)),
    "every answer that a caller was given is true": (
        promises.answers_are_true, lambda books: sum(len(one.answers) for one in books.asked)),
    "evidence overturned only what it had to, and said so": (
        evidence_has_a_cause, lambda books: len(books.timelines)),
    "each trip and each order is paid at most once": (
        paid_once, lambda books: len(books.payments)),
    "no id names two payments": (ids_name_one, lambda books: len(books.payments)),
    "refunded <= captured <= authorized": (ceilings, lambda books: len(books.payments)),
    "who slept past its time did not send": (
        sleepers_do_not_send, lambda books: len(books.never_sent)),
    "every event reached every sink, first deliveries in order": (
        news.all_were_heard, lambda books: sum(map(len, books.heard.values()))),
    "the audit chains fit, with no gap": (news.chains_fit, lambda books: len(books.events)),
    "the metrics agree with the tables": (news.metrics_agree, lambda books: len(books.payments)),
}  # fmt: skip


def judge(books: Books) -> list[Verdict]:
    """A verdict for each invariant."""
    index = Index(books)
    return [
        Verdict(name, count(books), list(check(index))) for name, (check, count) in CHECKS.items()
    ]
