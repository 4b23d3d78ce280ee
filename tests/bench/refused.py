"""What refused webhooks do: python -m tests.bench.refused [--webhooks 100000] [--rate 100]
[--seconds 15] [--limit "1000000 per second"]

Charges alone and beside webhooks at a constant rate, in alternating rounds; then all the rest of
them as fast as they go. Before and after, what every table holds, and how many were counted. Each
has a signature of nobody's. With the default `--limit` each is written down, which is the dearest
case; with the service's own default of 60 a minute nearly all of one address are answered 429.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.bench import charges, report, world
from tests.bench.load import Missing, require_wrk
from tests.bench.report import Report
from tests.bench.world import Servers
from tests.running_service import Service

DATABASE = "payments_refused"
ROUNDS = 3
CONNECTIONS = 16
SENDERS = 8
"""Connections of the webhooks; each is kept."""
MOST_SECONDS = 1800.0
"""For those that go as fast as they can: at a hundred a second 100,000 take less."""
KEEP = 1000
"""WEBHOOK_REFUSALS_KEEP: as many lines at most, however many come."""
AIM_LOST = 0.1
STRIPE = {
    "STRIPE_API_KEY": "sk_test_bench",
    "STRIPE_API_BASE": "http://127.0.0.1:9",  # never asked: charges here are of cash
    "STRIPE_WEBHOOK_SECRET": "whsec_of_this_bench",
    "WEBHOOK_REFUSALS_KEEP": str(KEEP),
}


class Sender:
    """Sends webhooks that nobody signed, and counts the answers."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[int] = Counter()
        self._port = port
        self._lock = threading.Lock()

    @property
    def sent(self) -> int:
        return self.answers.total()

    def flood(self, count: int) -> float:
        """So many, as fast as they go; how many seconds that took."""
        started = time.monotonic()
        shares = [count // SENDERS + (number < count % SENDERS) for number in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda share: self._run(share, started + MOST_SECONDS), shares))
        return time.monotonic() - started

    @contextmanager
    def trickling(self, rate: float) -> Iterator[None]:
        """At a constant rate while the block runs; less only if the answers take longer."""
        over = threading.Event()
        pace = SENDERS / rate
        threads = [
            threading.Thread(target=self._trickle, args=(over, pace)) for _ in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _trickle(self, over: threading.Event, pace: float) -> None:
        connection = self._connect()
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            self._one(connection)
            due += pace
        connection.close()

    def _run(self, count: int, until: float) -> None:
        connection = self._connect()
        for _ in range(count):
            if time.monotonic() > until:
                break
            self._one(connection)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)

    def _one(self, connection: http.client.HTTPConnection) -> None:
        body = json.dumps({"id": "evt_1", "type": "payment_intent.succeeded"})
        headers = {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"}
        connection.request("POST", "/v1/webhooks/stripe", body, headers)
        answer = connection.getresponse()
        answer.read()
        with self._lock:
            self.answers[answer.status] += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--webhooks", type=int, default=100_000, help="in all")
    parser.add_argument("--rate", type=float, default=100.0, help="a second, beside charges")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each round of charges")
    parser.add_argument("--limit", default="1000000 per second", help="of refused ones")
    asked = parser.parse_args()
    require_wrk()
    with (
        tempfile.TemporaryDirectory(prefix="refused-") as directory,
        world.servers(Path(directory)) as servers,
    ):
        servers.migrated(DATABASE)
        limit = {"RATE_LIMIT_WEBHOOK_REFUSALS": asked.limit}
        service = servers.service("web", DATABASE, **STRIPE, **limit)
        found = Report(report.machine(asked.seconds, 0, servers.settings()))
        with world.started(service):
            measure(servers, service, found, asked)
    print(found.table())
    sys.exit(any(line.met is False for line in found.lines))


def measure(servers: Servers, service: Service, found: Report, asked: argparse.Namespace) -> None:
    sender = Sender(int(service.url.rsplit(":", 1)[1]))
    rates: dict[str, list[float]] = {"alone": [], "beside": []}
    charges.one_round(servers, service, CONNECTIONS, 1)  # warm
    for _ in range(ROUNDS):
        alone = charges.one_round(servers, service, CONNECTIONS, asked.seconds)
        with sender.trickling(asked.rate):
            beside = charges.one_round(servers, service, CONNECTIONS, asked.seconds)
        rates["alone"].append(alone.load.rate)
        rates["beside"].append(beside.load.rate)
    lost = 1 - median(
        beside / alone for alone, beside in zip(rates["alone"], rates["beside"], strict=True)
    )
    for name, of in rates.items():
        shown = f"{median(of):,.0f} ({', '.join(f'{one:,.0f}' for one in of)})"
        found.add(f"charges/s, {name}", shown)
    what = f"charges lost beside {asked.rate:g} refused webhooks a second"
    found.add(what, f"{lost:.1%}", f"< {AIM_LOST:.0%}", lost < AIM_LOST)
    sender.flood(KEEP)  # all slots are full from here on, and the last charges have ended
    before, pages = held(servers), size(servers)
    left = max(0, asked.webhooks - sender.sent)
    took = sender.flood(left)
    after = held(servers)
    found.add("as fast as they go", f"{left:,} in {took:.0f} s, {left / max(took, 1e-9):,.0f}/s")
    found.add("answers by status", f"{dict(sender.answers)}")
    grown = {
        name: after[name] - before[name]
        for name in after
        if name != "webhook_refusals" and after[name] != before[name]
    }
    found.add("tables that grew", f"{grown or 'none'}", "none", not grown)
    lines = after["webhook_refusals"]
    found.add("lines of refusals", f"{lines:,}", f"<= {KEEP:,}", lines <= KEEP)
    found.add("their table, MB before and after", f"{pages:.1f}, {size(servers):.1f}")
    counted = refused(service)
    found.add("counted", f"{counted:,}", f"{sender.sent:,}", counted == sender.sent)


def held(servers: Servers) -> dict[str, int]:
    """How many rows each table of the service has. What the worker folds or delivers meanwhile is
    left out: charges have made it."""
    names = servers.query(
        DATABASE,
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE relkind = 'r' AND nspname = 'public'"
        " AND relname NOT IN ('total_deltas', 'payment_totals', 'sink_totals', 'deliveries')",
    )
    counts = {}
    for (name,) in names:
        [(count,)] = servers.query(DATABASE, f'SELECT count(*) FROM "{name}"')
        counts[str(name)] = int(count)
    return counts


def size(servers: Servers) -> float:
    """Of the table of refusals, with its indexes, in MB."""
    [(found,)] = servers.query(DATABASE, "SELECT pg_total_relation_size('webhook_refusals')")
    return float(found) / 2**20


def refused(service: Service) -> int:
    """How many the service says it has refused."""
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "payment_webhook_signature_failures_total"
    )


if __name__ == "__main__":
    try:
        main()
    except Missing as error:
        sys.exit(f"bench: {error}")
