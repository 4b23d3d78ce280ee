"""Events: past-tense facts as CloudEvents 1.0, chained by hash per payment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from payment_service.domain import jsontext

SOURCE = "/payment-service"
VERSION = "v1"


def iso(moment: datetime) -> str:
    """A moment as the wire writes it: UTC, ISO 8601 with microseconds and Z."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def chained(head: bytes | None, body: str, snapshot: str | None) -> bytes:
    """sha256(previous hash || body || snapshot): removing or changing one event breaks all that
    follow. Events of before snapshots were kept have none."""
    return hashlib.sha256((head or b"") + body.encode() + (snapshot or "").encode()).digest()


def event_id(payment_id: int, seq: int) -> str:
    """The dedupe key of whoever hears it."""
    return f"{payment_id}-{seq}"


def cloud_event(
    *, payment_id: int, seq: int, event_type: str, occurred_at: datetime, data: Mapping[str, Any]
) -> str:
    """The CloudEvents 1.0 JSON text of one event; `data` is described in docs/events.md."""
    return jsontext.dumps(
        {
            "specversion": "1.0",
            "id": event_id(payment_id, seq),
            "source": SOURCE,
            "type": f"{event_type}.{VERSION}",
            "subject": f"payments/{payment_id}",
            "time": iso(occurred_at),
            "datacontenttype": "application/json",
            "data": data,
        },
    )
