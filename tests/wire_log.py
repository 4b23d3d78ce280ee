"""What the sandbox's list of requests (docs/sandbox.md) says of who was asked for money, and how
it was looked up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from payment_service.sandbox.faults import MONEY

Row = dict[str, Any]
Asked = tuple[str, str, str | None]
"""Dialect, operation, and what the list calls the request."""

_OPERATIONS = {"AUTHORIZATION": "authorize"}
_OWN = {"sandbox": "psp"}
"""What the sandbox calls its own provider."""
_QUERIES = ("/fiuu/RMS/query/", "/fiuu/RMS/API/gate-query/", "/fiuu/RMS/API/refundAPI/q_by_")
"""Fiuu is asked by POST for everything."""


def asked(provider: str, kind: str, name: str | None) -> Asked:
    """How the list has a request of this type; `name` is what the dialect calls it there."""
    return _OWN.get(provider, provider), _OPERATIONS.get(kind, kind.lower()), name


def read(path: Path, start: int = 0) -> list[Row]:
    """What is in the file of SANDBOX_REQUESTS from that byte on, but for a line that is still being
    written."""
    with path.open("rb") as kept:
        kept.seek(start)
        return [json.loads(line) for line in kept if line.endswith(b"\n")]


def wrong(requests: Iterable[Row], allowed: Counter[Asked]) -> Iterator[str]:
    """Each request for money that is none of the allowed ones, or came more often than these; and
    each look-up that may do more than read."""
    noted = list(requests)
    came = Counter(
        (one["dialect"], one["operation"], one["reference"])
        for one in noted
        if one["operation"] in MONEY
    )
    for key, times in came.items():
        if times > allowed[key]:
            dialect, operation, reference = key
            yield f"{dialect} {reference}: {operation} was asked {times} times, for {allowed[key]}"
    for one in noted:
        reads = one["method"] == "GET" or one["path"].startswith(_QUERIES)
        if one["operation"] == "lookup" and not reads:
            yield f"{one['dialect']} {one['reference']}: looked up by {one['path']}"
