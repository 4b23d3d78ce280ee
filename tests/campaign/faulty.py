"""The sandbox's levers: arms faults for single cards, and counts which verb met which."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Collection
from typing import Any

import requests

from tests.campaign import timing
from tests.patience import PATIENCE

MONEY = ("charge", "authorize", "capture", "void", "refund")
SISTERS = ("order", "inventory", "notification", "trip", "driver", "rider")
LONG_MS = 5000
"""How long a look-up is disturbed."""


class Levers:
    """Deals each fault to each verb in turn, so that a short run has them all."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self._url, self._rng = url, rng
        self._lock = threading.Lock()
        self._decks: dict[str, list[str]] = {}
        found = self._call("GET", "/sandbox/faults")
        self.applicable: dict[str, list[str]] = found["operations"] if found else {}
        self.met: Counter[str] = Counter()
        self.armed: Counter[str] = Counter()
        # Goes up when the sandbox forgets what is armed: what is gone then was not met.
        self.forgotten = 0
        # Cards for whose money the sandbox lied in look-ups, or did things late, on purpose.
        self.lied_about: set[str] = set()

    def deal(self, operation: str, of: str = "", without: Collection[str] = ()) -> str:
        """The next fault for this operation (`of` a provider), but for those that are named."""
        with self._lock:
            deck = self._decks.setdefault(f"{of} {operation}", [])
            if not deck:
                fitting = [name for name, where in self.applicable.items() if operation in where]
                deck += [name for name in fitting if name not in without]
                self._rng.shuffle(deck)
            return deck.pop()

    def arm(self, operation: str, fault: str, **fields: Any) -> str | None:
        """Arms one; its id, or None while the sandbox is down."""
        ms = self._milliseconds(fault)
        body = {"operation": operation, "fault": fault, **({"ms": ms} if ms else {}), **fields}
        found = self._call("POST", "/sandbox/faults", body)
        if found is None:
            return None
        match = fields.get("match", {})
        self.armed[_counted(operation, fault, match.get("dialect"))] += 1
        token = match.get("token")
        if fault == "lookup_not_found" and token:
            self.lied_about.add(token)
        return str(found["id"])

    def collect(
        self, operation: str, fault: str, armed: str | None, forgotten: int, of: str | None = None
    ) -> None:
        """Takes back what nobody met, and counts what was met; `forgotten` as it was before."""
        if armed is None:
            return
        gone = self._call("DELETE", f"/sandbox/faults/{armed}", expect=(200, 404))
        if gone is not None and "error" in gone and forgotten == self.forgotten:
            self.met[_counted(operation, fault, of)] += 1

    def taken(self, armed: str) -> bool:
        """Whether the one request that it was armed for has come."""
        found = self._call("GET", "/sandbox/faults")
        return found is not None and all(fault["id"] != armed for fault in found["armed"])

    def calm(self) -> None:
        """No faults, no latency; whatever hangs is let go."""
        self.forgotten += 1
        self._call("DELETE", "/sandbox/faults")
        self._call("POST", "/sandbox/latency", {"profile": "off"})

    def latency(self, profile: str) -> None:
        self._call("POST", "/sandbox/latency", {"profile": profile})

    def decide(self, reference: str, outcome: str) -> None:
        """The payer, or the bank, makes up its mind."""
        body = {"outcome": outcome}
        self._call("POST", f"/sandbox/actions/{reference}", body, expect=(200, 404, 409))

    def _milliseconds(self, fault: str) -> int | None:
        with self._lock:
            if fault in ("slow", "lookup_slow"):
                return self._rng.randint(*timing.SLOW_MS)
            if fault in ("arrive_late", "late"):
                return self._rng.randint(*timing.LATE_MS)
            if fault in ("lookup_unavailable", "lookup_not_found"):
                return self._rng.randint(500, LONG_MS)
            return None

    def _call(
        self, method: str, path: str, body: Any = None, expect: tuple[int, ...] = (200, 201)
    ) -> dict[str, Any] | None:
        with contextlib.suppress(requests.RequestException):
            answer = requests.request(method, self._url + path, json=body, timeout=PATIENCE)
            if answer.status_code not in expect:
                raise RuntimeError(f"{method} {path} {body}: {answer.status_code} {answer.text}")
            found: dict[str, Any] = answer.json()
            return found
        return None

    def knows(self, reference: str) -> bool:
        """Whether the provider has done something under this reference."""
        found = self._call("GET", f"/psp/operations/{reference}", expect=(200, 404, 503))
        return found is not None and found.get("reference") == reference

    def books(self, noun: str) -> list[dict[str, Any]]:
        """The provider's own list of charges, captures, voids or refunds."""
        found = self._call("GET", f"/psp/{noun}")
        return list(found[noun]) if found else []

    def webhooks(self) -> list[dict[str, Any]]:
        """All that the providers sent unasked, or are about to."""
        found = self._call("GET", "/sandbox/webhooks")
        return list(found["webhooks"]) if found else []

    def late(self) -> int:
        """How many requests the provider has yet to do."""
        found = self._call("GET", "/sandbox/late")
        return len(found["late"]) if found else -1

    def inbox(self) -> list[dict[str, Any]]:
        """All that the sister services were told, oldest first."""
        found = self._call("GET", "/sandbox/inbox")
        return list(found["inbox"]) if found else []


def _counted(operation: str, fault: str, of: str | None) -> str:
    """The operation and who did it, as the report counts it."""
    return f"{of}:{operation} {fault}" if of else f"{operation} {fault}"
