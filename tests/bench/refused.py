"""What refused webhooks do: python -m tests.bench.refused [--webhooks 100000] [--rate 100]
[--rounds 12] [--seconds 5] [--limit "1000000 per second"]

Charges alone and beside webhooks at a constant rate, in many short rounds by turns, because the
machine is quicker in one minute than in the next; then all the rest of
them as fast as they go. Before and after, what every table holds, and how many were counted. Each
has a signature of nobody's. With the default `--limit` each is written down, which is the dearest
case; with the service's own default of 60 a minute nearly all of one address are answered 429.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.bench import charges, report, world
from tests.bench.load import Missing, require_wrk
from tests.bench.processes import Meter
from tests.bench.report import Report
from tests.bench.unsigned import Sender, own_seconds
from tests.bench.world import Servers
from tests.running_service import Service

DATABASE = "payments_refused"
CONNECTIONS = 16
KEEP = 1000
"""WEBHOOK_REFUSALS_KEEP: as many lines at most, however many come."""
AIM_LOST = 0.1
STRIPE = {
    "STRIPE_API_KEY": "sk_test_bench",
    "STRIPE_API_BASE": "http://127.0.0.1:9",  # never asked: charges here are of cash
    "STRIPE_WEBHOOK_SECRET": "whsec_of_this_bench",
    "WEBHOOK_REFUSALS_KEEP": str(KEEP),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--webhooks", type=int, default=100_000, help="in all")
    parser.add_argument("--rate", type=float, default=100.0, help="a second, beside charges")
    parser.add_argument("--rounds", type=int, default=12, help="of charges, of each kind")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round of charges")
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


@dataclass
class Rounds:
    """Charges, by turns alone and beside the webhooks."""

    alone: list[charges.Round] = field(default_factory=list)
    beside: list[charges.Round] = field(default_factory=list)

    def lost(self) -> float:
        """Share of the charges; the median over rounds."""
        pairs = zip(self.alone, self.beside, strict=True)
        return 1 - median(beside.load.rate / alone.load.rate for alone, beside in pairs)

    def charge_us(self) -> float:
        """All CPU time of a charge alone, wrk's too."""
        return median(1e6 * _spent(one.cpu) / one.load.requests for one in self.alone)

    def cores(self) -> float:
        """How many the charges took while they were alone."""
        return median(_spent(one.cpu) / one.load.seconds for one in self.alone)


def _spent(cpu: dict[str, float]) -> float:
    return sum(seconds for name, seconds in cpu.items() if name != "machine")


def measure(servers: Servers, service: Service, found: Report, asked: argparse.Namespace) -> None:
    sender = Sender(int(service.url.rsplit(":", 1)[1]))
    rounds = Rounds()
    charges.one_round(servers, service, CONNECTIONS, 1)  # warm
    for number in range(2 * asked.rounds):
        if number % 4 in (0, 3):  # neither kind is always the first of a pair
            rounds.alone.append(charges.one_round(servers, service, CONNECTIONS, asked.seconds))
            continue
        with sender.trickling(asked.rate):
            rounds.beside.append(charges.one_round(servers, service, CONNECTIONS, asked.seconds))
    for name, of in (("alone", rounds.alone), ("beside", rounds.beside)):
        rates = [one.load.rate for one in of]
        shown = f"{median(rates):,.0f} ({', '.join(f'{one:,.0f}' for one in rates)})"
        found.add(f"charges/s, {name}", shown)
    what, lost = f"charges lost beside {asked.rate:g} refused webhooks a second", rounds.lost()
    found.add(what, f"{lost:.1%}", f"< {AIM_LOST:.0%}", lost < AIM_LOST)
    sender.flood(KEEP)  # all slots are full from here on, and the last charges have ended
    before, pages = held(servers), size(servers)
    left = max(0, asked.webhooks - sender.sent)
    parts = flood(servers, service, sender, left, found)
    add_cpu(found, rounds, parts, asked.rate)
    after = held(servers)
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


def flood(
    servers: Servers, service: Service, sender: Sender, count: int, found: Report
) -> dict[str, float]:
    """Sends so many with nothing beside them; the CPU microseconds that each took, by part."""
    meter = Meter(charges.parts(servers, service))
    own = own_seconds()
    meter.start()
    took = sender.flood(count)
    spent = {name: meter.seconds()[name] for name in ("gunicorn", "postgres", "redis")}
    spent["sender"] = own_seconds() - own
    rate = count / max(took, 1e-9)
    found.add("as fast as they go", f"{count:,} in {took:.0f} s, {rate:,.0f}/s")
    return {name: 1e6 * seconds / max(1, count) for name, seconds in spent.items()}


def add_cpu(found: Report, rounds: Rounds, parts: dict[str, float], rate: float) -> None:
    """What a webhook takes of the cores, which says more than rates do where others work on them,
    too. Whoever sends webhooks is elsewhere in truth, so that one is told apart."""
    webhook = sum(us for name, us in parts.items() if name != "sender")
    shown = ", ".join(f"{name} {us:,.0f}" for name, us in parts.items())
    found.add("CPU us of a refused webhook, without its sender", f"{webhook:,.0f} ({shown})")
    charge, cores = rounds.charge_us(), rounds.cores()
    found.add("CPU us of a charge, and cores that charges took", f"{charge:,.0f}, {cores:.2f}")
    taken = rate * webhook / 1e6
    shares = f"{taken / cores:.1%}, {taken / (os.cpu_count() or 1):.1%}"
    found.add(f"what {rate:g} of them a second take of these, and of all cores", shares)


def held(servers: Servers) -> dict[str, int]:
    """How many rows each table of the service has. What the worker folds or delivers meanwhile is
    left out, because charges have made it, and so is what it writes down of its own start."""
    names = servers.query(
        DATABASE,
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE relkind = 'r' AND nspname = 'public'"
        " AND relname NOT IN ('total_deltas', 'payment_totals', 'sink_totals', 'deliveries',"
        " 'audit_log', 'audit_digests')",
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
