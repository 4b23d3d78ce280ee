"""The books at the end: ours, the provider's, what sinks heard, what callers were told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import psycopg2.extras
import requests

from tests import wire_log
from tests.campaign import leaks
from tests.campaign.faulty import SISTERS, Levers
from tests.campaign.stage import Stage
from tests.campaign.told import RETRIED, Asked
from tests.patience import PATIENCE

Row = dict[str, Any]
QUEUE = "campaign"
NOUNS = ("charges", "captures", "voids", "refunds")
WEBHOOKS = "SELECT provider, event_key, trust, status, payment_id, number FROM webhooks"
_TABLES = {
    "payments": "SELECT * FROM payments ORDER BY payment_id",
    "transactions": "SELECT * FROM transactions ORDER BY payment_id, number",
    "refunds": "SELECT * FROM refunds ORDER BY refund_id",
    "refund_requests": "SELECT * FROM refund_requests ORDER BY request_id",
    "events": "SELECT payment_id, seq, type, to_status, actor, occurred_at, body FROM events"
    " ORDER BY payment_id, seq",
    "deliveries": "SELECT payment_id, seq, sink, done_at FROM deliveries",
    "keys": "SELECT * FROM idempotency_keys",
    "webhooks": WEBHOOKS,
}


@dataclass
class Books:
    """Everything that the invariants are held against; filled by `read`, or by hand in tests."""

    payments: list[Row] = field(default_factory=list)
    transactions: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    # What operators asked for, and others decide on.
    refund_requests: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    keys: list[Row] = field(default_factory=list)
    provider: dict[str, list[Row]] = field(default_factory=lambda: {noun: [] for noun in NOUNS})
    journal: dict[str, list[Row]] = field(default_factory=lambda: {noun: [] for noun in NOUNS})
    # The other providers' books by name, as they show them (dialects/).
    others: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    # Each request that any provider ever got, by the sandbox's own list.
    requests: list[Row] = field(default_factory=list)
    # What they said unasked: as it was sent, and as we kept it, also in databases that a restore
    # replaced.
    sent: list[Row] = field(default_factory=list)
    webhooks: list[Row] = field(default_factory=list)
    # When a payer last had a word about our charge; its reference is without hyphens.
    said_at: dict[str, float] = field(default_factory=dict)
    # Where something of a payer, or a secret, was seen.
    leaks: list[str] = field(default_factory=list)
    # References that the provider was made to do late.
    late: set[str] = field(default_factory=set)
    # (payment_id, seq) as each sink heard them, in the order of arrival.
    heard: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    api_payments: list[Row] = field(default_factory=list)
    api_refunds: list[Row] = field(default_factory=list)
    # The time lines of payments whose evidence came late, by id.
    timelines: dict[int, Row] = field(default_factory=dict)
    metrics: str = ""
    audit: str = ""
    asked: list[Asked] = field(default_factory=list)
    # (key, status, body) of each answered request when it was asked again at the end.
    replays: list[tuple[str, int, str]] = field(default_factory=list)
    lied_about: set[str] = field(default_factory=set)
    never_sent: set[str] = field(default_factory=set)
    # When web workers stood still, as (from, to) in seconds since the epoch.
    pauses: list[tuple[float, float]] = field(default_factory=list)
    # When the provider was away. What reaches a port whose server is starting waits there.
    restarts: list[tuple[float, float]] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)


def read(stage: Stage, levers: Levers, asked: list[Asked]) -> Books:
    """Reads all books, once nothing moves any more."""
    books = Books(asked=asked, lied_about=set(levers.lied_about))
    with stage.connect() as connection:
        for name, query in _TABLES.items():
            setattr(books, name, rows(connection, query))
    books.provider = {noun: levers.books(noun) for noun in NOUNS}
    books.others = {one.name: one.open_books(stage.sandbox.url) for one in stage.dialects}
    books.requests = wire_log.read(stage.sandbox.requests)
    books.sent = levers.webhooks()
    books.journal, books.late = _journal(stage.sandbox.journal)
    books.heard = {sink: [] for sink in SISTERS}
    for entry in levers.inbox():
        books.heard.setdefault(entry["service"], []).append(_event(entry["headers"]["webhook-id"]))
    if stage.broker:
        books.heard["rabbitmq"] = list(_queue(stage.broker.url))
    books.api_payments = list(_pages(stage.url, "payments"))
    books.api_refunds = list(_pages(stage.url, "refunds"))
    for row in books.events:
        if '"contradicted":true' in row["body"]:
            found = requests.get(
                f"{stage.url}/v1/payments/{row['payment_id']}/events", timeout=PATIENCE
            )
            books.timelines[row["payment_id"]] = found.json()
    books.metrics = requests.get(f"{stage.url}/metrics", timeout=PATIENCE).text
    secrets = [stage.env[name] for one in stage.dialects for name in one.secrets]
    books.leaks = list(leaks.found(stage.directory, books.events, books.metrics, secrets))
    done = stage.flask("audit", "verify")
    books.audit = "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-300:]
    return books


def bind_queue(stage: Stage) -> None:
    """A durable queue that hears every event from the first on."""
    if stage.broker:
        with pika.BlockingConnection(pika.URLParameters(stage.broker.url)) as connection:
            channel = connection.channel()
            channel.exchange_declare("payments", exchange_type="topic", durable=True)
            channel.queue_declare(QUEUE, durable=True)
            channel.queue_bind(QUEUE, "payments", "#")


def _queue(url: str) -> Iterator[tuple[int, int]]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        while True:
            method, properties, _ = channel.basic_get(QUEUE, auto_ack=True)
            if method is None:
                return
            yield _event(properties.message_id)


def _event(event_id: str) -> tuple[int, int]:
    payment, _, seq = event_id.rpartition("-")
    return int(payment), int(seq)


def rows(connection: Any, query: str) -> list[Row]:
    """What the query finds."""
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(query)
        return [dict(row) for row in cursor.fetchall()]


def _journal(path: Path) -> tuple[dict[str, list[Row]], set[str]]:
    """The provider's books once more, from its file and not from its memory."""
    tables: dict[str, dict[str, Row]] = {noun: {} for noun in NOUNS}
    late = set()
    for line in path.read_text().splitlines():
        for table, row in json.loads(line).get("rows", ()):
            if f"{table}s" in tables:
                tables[f"{table}s"][row["id"]] = row
            elif table == "late":
                late.add(str(row["reference"]))
    return {noun: list(rows.values()) for noun, rows in tables.items()}, late


def _pages(url: str, noun: str) -> Iterator[Row]:
    cursor: str | None = None
    while True:
        query = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = requests.get(f"{url}/v1/{noun}", params=query, timeout=PATIENCE).json()
        yield from page[noun]
        cursor = page["next_cursor"]
        if not page["has_more"] or cursor is None:
            return


def replay_all(url: str, asked: list[Asked], most: int) -> list[tuple[str, int, str]]:
    """Asks again, under the same keys, what was answered for good."""
    session, told = requests.Session(), []
    answered = [one for one in asked if one.final and one.final.status in (200, 201, 402)]
    deadline = time.monotonic() + 60
    for one in answered[-most:]:
        if time.monotonic() > deadline:
            break
        headers = {"Idempotency-Key": one.key}
        while True:
            found = session.post(url + one.path, json=one.body, headers=headers, timeout=PATIENCE)
            # Who is told to come again does, as every caller.
            if found.status_code not in RETRIED or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        told.append((one.key, found.status_code, found.text))
    return told
