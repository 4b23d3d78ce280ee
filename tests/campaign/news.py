"""What left the service: events at their sinks, the audit chains, the metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from payment_service.domain import money
from payment_service.outbox.routes import ROUTES
from tests.campaign.index import PAID_TWICE, Index


def all_were_heard(index: Index) -> Iterator[str]:
    for route in ROUTES:
        if route.sink not in index.books.heard:
            continue
        heard = index.books.heard[route.sink]
        came = set(heard)
        for row in index.books.events:
            if route.events is not None and row["type"] not in route.events:
                continue
            payment = index.payments[row["payment_id"]]
            if route.needs and payment[route.needs] is None:
                continue
            if (row["payment_id"], row["seq"]) not in came:
                yield f"{route.sink} never heard event {row['seq']} of {row['payment_id']}"
        yield from _out_of_order(route.sink, heard)


def _out_of_order(sink: str, heard: list[tuple[int, int]]) -> Iterator[str]:
    """Whatever came twice, each event's first coming is after those of all before it."""
    last: dict[int, int] = {}
    seen = set()
    for payment, seq in heard:
        if (payment, seq) not in seen and seq < last.get(payment, 0):
            yield f"{sink} heard event {seq} of payment {payment} after {last[payment]}"
        seen.add((payment, seq))
        last[payment] = max(seq, last.get(payment, 0))


def chains_fit(index: Index) -> Iterator[str]:
    if index.books.audit:
        yield index.books.audit
    events: dict[int, list[int]] = defaultdict(list)
    for row in index.books.events:
        events[row["payment_id"]].append(row["seq"])
    for payment in index.books.payments:
        seqs = events[payment["payment_id"]]
        # A charge's payment is born at version 1, without an event; a created one at 0.
        whole = list(range(seqs[0], payment["version"] + 1)) if seqs else []
        if seqs != whole or (seqs and seqs[0] not in (1, 2)):
            yield f"payment {payment['payment_id']} at version {payment['version']}: {seqs[:20]}"


def metrics_agree(index: Index) -> Iterator[str]:
    told = _metrics(index.books.metrics)
    stands: Counter[str] = Counter()
    contradicted = 0
    for payment in index.books.payments:
        currency = payment["currency"]
        stands["payments_created_total"] += 1
        stands[f"payments_by_status {payment['status']}"] += 1
        stands[f"payments_by_method {payment['method']}"] += 1
        stands[f"captured {currency}"] += payment["captured"]
        stands[f"refunded {currency}"] += payment["refunded"]
    for row in index.books.refunds:
        # What was paid twice is beside the payment's amounts, and so is its refund.
        asked = index.transactions[row["payment_id"], row["transaction_number"]]
        own = asked["cause"] != PAID_TWICE
        stands["refunds_processed_total"] += own and row["status"] == "SUCCESS"
    for name, wanted in stands.items():
        found = told.get(name, 0)
        if found != wanted:
            yield f"{name}: {found} in /metrics, {wanted} in the tables"
    for bodies in index.bodies.values():
        contradicted += sum(1 for data in bodies if data.get("contradicted"))
    # Counted before the commit that it is about, so a kill in between counts one too many.
    if told.get("payments_contradicted_total", 0) < contradicted:
        yield f"payments_contradicted_total is less than {contradicted}"


def _metrics(text: str) -> dict[str, int]:
    told: dict[str, int] = {}
    amounts = {"total_amount_processed": "captured", "total_refunds": "refunded"}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in ("payments_by_status", "payments_by_method"):
                told[f"{sample.name} {next(iter(sample.labels.values()))}"] = int(sample.value)
            elif sample.name in amounts:
                currency = sample.labels["currency"]
                minor = sample.value * 10 ** money.exponent(currency)
                told[f"{amounts[sample.name]} {currency}"] = round(minor)
            elif not sample.labels:
                told[sample.name] = int(sample.value)
    return told
