"""All that a running sandbox holds, and the app's own."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import current_app

from payment_service.sandbox import trips
from payment_service.sandbox.codes import Codes
from payment_service.sandbox.dialects.psp.books import Books
from payment_service.sandbox.faults import Faults
from payment_service.sandbox.journal import Journal
from payment_service.sandbox.latency import Latency
from payment_service.sandbox.memory import Memory
from payment_service.sandbox.postponed import Postponed
from payment_service.sandbox.settings import SandboxSettings
from payment_service.sandbox.signing_keys import SigningKeys
from payment_service.sandbox.webhooks import Webhooks
from payment_service.sandbox.wire import Alarm

# Enough for any test that counts what was sent, bounded for load tests.
REQUESTS_KEPT = 10_000


class SandboxState:
    """The provider, the sister services' records, and what is wrong with them right now."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self._seeded = trips.load(Path(settings.sandbox_trips)) if settings.sandbox_trips else {}
        self.latency = Latency(settings.sandbox_latency)
        self.memory = Memory(Journal(Path(settings.sandbox_dir) / "journal.jsonl"))
        self.books = Books(self.memory, settings.sandbox_success_rate)
        self.faults = Faults()
        self.alarm = Alarm()
        self.signing_keys = SigningKeys()
        self.codes = Codes()
        self.requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._kept = _opened(settings.sandbox_requests)
        self.postponed = Postponed(self.memory)
        self.webhooks = Webhooks(self.memory, self.faults, settings.sandbox_webhook_url)

    def note(self, noted: dict[str, Any]) -> None:
        """Keeps what arrived: in memory, where its status is still filled in, and in the file that
        the settings name, before anything is done for it."""
        self.requests.append(noted)
        if self._kept is not None:
            # One write to the end for each line, so that threads don't mix theirs.
            os.write(self._kept, json.dumps(noted).encode() + b"\n")

    def trip(self, trip_id: str) -> trips.Trip | None:
        """A trip as it was changed here, else as it was seeded."""
        changed = self.memory.get("trip", trip_id)
        return changed["trip"] if changed else self._seeded.get(trip_id)

    def change_trip(self, trip_id: str, changes: Mapping[str, Any]) -> trips.Trip:
        """Add a trip, or replace some of its fields."""
        with self.memory.lock:
            trip = trips.changed(trip_id, self.trip(trip_id) or {}, changes)
            self.memory.put("trip", {"id": trip_id, "trip": trip})
        return trip

    def trip_count(self) -> int:
        """How many trips there are, those of the file and those that were added."""
        added = {row["id"] for row in self.memory.rows("trip")}
        return len(added | self._seeded.keys())

    def clear(self) -> None:
        """Empty everything and behave again as the environment says."""
        self.faults.disarm()
        self.alarm.ring()
        self.latency.reset()
        self.requests.clear()
        self.memory.clear()
        self.webhooks.reset()


def _opened(path: str | None) -> int | None:
    if path is None:
        return None
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def the_state() -> SandboxState:
    """The state of the app that runs."""
    state: SandboxState = current_app.extensions["sandbox"]
    return state
