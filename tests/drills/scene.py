"""A stage with callers on it: load, a drill in the middle of it, and the verdict."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.campaign import ledger, settling
from tests.campaign.index import Index
from tests.campaign.invariants import Verdict, judge, paid_once
from tests.campaign.ledger import Books
from tests.campaign.load import Market
from tests.campaign.payers import Payers
from tests.campaign.settling import Bank
from tests.campaign.stage import Stage
from tests.campaign.told import Told
from tests.drills.callers import BUSY, CalmLevers, Watch, WatchedCaller

CALLERS = 6
SEED = 20261123
REPLAYED = 400
"""How many of the newest answers are asked for once more at the end."""

PATIENCE_SECONDS = 60.0
SETTLED_SECONDS = 90.0
"""For all that is owed to come to its end; what takes longer is told as open."""

# Later than any time to live that the stage sets, so it was put off.
_PUT_OFF = "UPDATE payments SET expires_at = now() WHERE expires_at > now() + interval '20 s'"


@dataclass
class Outcome:
    """What a drill found. `figures` go into its last line, `broken` make it fail."""

    name: str
    requests: int = 0
    payments: int = 0
    lost: int = 0
    doubled: int = 0
    refused_seconds: float = 0.0
    figures: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    invariants: int = 0


class Scene:
    """Starts with `load`; ends with `settled` and `judged`, and always with `close`."""

    def __init__(self, stage: Stage, say: Callable[[str], None], callers: int = CALLERS) -> None:
        self.stage, self.say = stage, say
        self.rng = random.Random(SEED)
        self.levers = CalmLevers(stage.sandbox.url, random.Random(self.rng.random()))
        self.told, self.watch = Told(), Watch()
        self.payers = Payers(random.Random(self.rng.random()))
        self.market = Market(
            stage.url, stage.sandbox.url, self.levers, self.told, self.payers, stage.dialects
        )
        self.bank = Bank(stage, self.market, random.Random(self.rng.random()))
        self._threads = [
            threading.Thread(target=self._caller().run, daemon=True) for _ in range(callers)
        ]
        self._left: dict[str, int] = {}
        # What was kept of webhooks in databases that a restore replaced.
        self.webhooks: list[ledger.Row] = []

    def _caller(self) -> WatchedCaller:
        return WatchedCaller(self.market, random.Random(self.rng.random()), self.watch)

    def load(self) -> None:
        """Callers at work, once the workers are; a worker that starts meets no database that is
        away, because that would be another drill."""
        ledger.bind_queue(self.stage)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while workers_started(self.stage) < len(self.stage.workers):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no worker in {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.1)
        for thread in self._threads:
            thread.start()

    def until_asked(self, more: int) -> None:
        """Returns once so many more requests were asked. Raises TimeoutError if callers stop."""
        wanted, deadline = len(self.told.all()) + more, time.monotonic() + PATIENCE_SECONDS
        while len(self.told.all()) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{more} requests did not come in {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.05)

    def until_served(self, since: float, enough: int = 10) -> None:
        """Returns once so many requests that were sent since then were served."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum(one.served and one.sent > since for one in self.watch.all()) < enough:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody is served {PATIENCE_SECONDS:.0f} s after the blow")
            time.sleep(0.05)

    def settled(self) -> dict[str, int]:
        """The callers stop, the bank decides, and all that is owed comes to its end."""
        self.market.closing.set()
        self._left = settling.settle(
            self.stage, self.market, self.bank, self.levers,
            lambda: sum(thread.is_alive() for thread in self._threads), self._hurry,
            SETTLED_SECONDS,
        )  # fmt: skip
        still = {what: count for what, count in self._left.items() if count}
        self.say(f"settled; open: {still or 'nothing'}")
        return still

    def _hurry(self) -> None:
        """A release that met silence is asked for again after minutes; here these are over."""
        with self.stage.connect() as connection, connection.cursor() as cursor:
            cursor.execute(_PUT_OFF)

    def books(self) -> Books:
        """All books, once nothing moves any more."""
        asked = self.told.all()
        replays = ledger.replay_all(self.stage.url, asked, REPLAYED)
        books = ledger.read(self.stage, self.levers, asked)
        books.webhooks += self.webhooks
        books.replays, books.left, books.said_at = replays, self._left, self.payers.said_at
        return books

    def close(self) -> None:
        """Nobody asks any more; what waits gives up."""
        self.market.closing.set()
        self.market.giving_up.set()
        self.bank.close()
        self.payers.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(PATIENCE_SECONDS)

    def judged(self, name: str) -> Outcome:
        """The campaign's verdict over the books."""
        books = self.books()
        verdicts = judge(books)
        outcome = counted(name, books)
        outcome.invariants = len(verdicts)
        outcome.broken = [line for verdict in verdicts for line in _broken(verdict)]
        outcome.broken += [
            f"flask worker {worker.pid} ended by itself, {worker.returncode}"
            for worker in self.stage.workers
            if worker.poll() is not None
        ]
        if outcome.lost or outcome.doubled:
            outcome.broken.append(f"{outcome.lost} lost, {outcome.doubled} doubled")
        return outcome

    def dropped(self) -> list[str]:
        """What a change without downtime must not do: silence, and answers from 500 on."""
        found = [
            f"{one.verb} {one.key}: no answer, {one.silences} times"
            for one in self.told.all() if one.silences
        ]  # fmt: skip
        for one in self.told.all():
            bad = [f"{answer.status} {answer.body[:160]}" for answer in one.answers
                   if answer.status >= BUSY]  # fmt: skip
            found += [f"{one.verb} {one.key}: {what}" for what in bad]
        return found


class Playing:
    """A started stage with its callers at work; both ended at the end, whatever happens."""

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        self._stage, self._say = stage, say
        self._scene: Scene | None = None

    def __enter__(self) -> Scene:
        self._stage.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._stage.start()
            self._scene = Scene(self._stage, self._say)
            self._scene.load()
        except BaseException:
            self.__exit__()
            raise
        return self._scene

    def __exit__(self, *_: object) -> None:
        if self._scene is not None:
            self._scene.close()
        self._stage.close()


def workers_started(stage: Stage) -> int:
    """How many of the workers say in their log that they are at work."""
    logs = stage.directory.glob("*worker.log")
    return sum(log.read_text(errors="replace").count('"worker_started"') for log in logs)


def counted(name: str, books: Books) -> Outcome:
    """How much was asked, and of it what is lost or doubled, by the books of both sides."""
    index = Index(books)
    return Outcome(
        name,
        requests=len(books.asked),
        payments=len(books.payments),
        lost=len(lost(books)),
        doubled=sum(1 for _ in paid_once(index)),
    )


def lost(books: Books) -> dict[str, dict[str, Any]]:
    """The payments that callers were told of for good, by reference, and that no row tells of."""
    ours = {row["reference"] for row in books.payments}
    told = [one.final.json() for one in books.asked if one.final and one.final.status in (200, 201)]
    named = [body.get("payment", body) for body in told]
    return {
        body["reference"]: body
        for body in named
        if str(body.get("reference", "")).startswith("PAY-") and "refund_id" not in body
        and body["reference"] not in ours
    }  # fmt: skip


def _broken(verdict: Verdict) -> list[str]:
    return [f"{verdict.name}: {line}" for line in verdict.broken]
