"""What happens to the service: kills at the boundaries, and random deaths of everything."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import psutil

from tests.campaign import backups, timing
from tests.campaign.boundaries import Cells, all_cells
from tests.campaign.faulty import MONEY, SISTERS, Levers
from tests.campaign.history import History
from tests.campaign.ledger import Row
from tests.campaign.stage import Stage

GAP_SECONDS = (0.05, 0.5)
CELLS_IN_A_ROW = 2
EXTRA_SECONDS = 240.0
"""How long a full run may go on for a cell that its time left empty."""

Say = Callable[[str], None]


class Chaos:
    """One thread does everything in turn, so that no two blows spoil each other; only what needs
    nobody's attention (a pause, a server that is away) goes on beside it."""

    def __init__(
        self,
        stage: Stage,
        cells: Cells,
        levers: Levers,
        history: History,
        rng: random.Random,
        say: Say,
    ) -> None:
        self.history = history
        self.stage, self.cells, self.levers, self.rng, self.say = stage, cells, levers, rng, say
        self.done: Counter[str] = Counter()
        # When the provider was away, as (from, to) in seconds since the epoch.
        self.restarts: list[tuple[float, float]] = []
        # What was kept of webhooks in databases that a restore replaced.
        self.webhooks: list[Row] = []
        self._beside: dict[str, threading.Thread] = {}
        self._deck: list[Callable[[], None]] = []

    def run(self, seconds: float, whole: bool, check: Callable[[], None]) -> None:
        """Blows for that long; a `whole` run goes on for a while until each cell has its kill.
        Raises what `check` raises, between two blows."""
        self.backup = backups.save(self.stage)
        deadline = time.monotonic() + seconds
        waiting = all_cells()
        self.rng.shuffle(waiting)
        turn = 0
        while time.monotonic() < deadline or (
            whole and waiting and time.monotonic() < deadline + EXTRA_SECONDS
        ):
            turn += 1
            check()
            self._await_service()
            if turn % (CELLS_IN_A_ROW + 1):
                cell = waiting.pop(0) if waiting else self.rng.choice(all_cells())
                if not self.cells.kill(*cell) and not self.cells.killed[cell]:
                    waiting.append(cell)
            else:
                self._next()()
            time.sleep(self.rng.uniform(*GAP_SECONDS))

    def heal(self) -> None:
        """Brings everything back."""
        self.wait_for_all()
        self.levers.calm()
        while len(self.stage.workers) < 2:
            self.stage.start_worker()
        self.stage.start_web()

    def wait_for_all(self) -> None:
        """Waits until all that was started in threads of its own has ended."""
        for thread in self._beside.values():
            thread.join(timing.PAUSE_SECONDS + 60)

    def _await_service(self) -> None:
        """A service that is not there can't be hit; but it is not waited for for ever."""
        until = time.monotonic() + 10
        while not self.stage.answers() and time.monotonic() < until:
            time.sleep(0.1)

    def _next(self) -> Callable[[], None]:
        if not self._deck:
            self._deck = [
                *[self.kill_web] * 3, *[self.kill_flask_worker] * 3, *[self.kill_sandbox] * 2,
                *[self.pause_web] * 2, *[self.pause_sender] * 2, *[self.disturb_sister] * 4,
                self.kill_master, self.crash_postgres, self.lose_redis, self.lose_rabbitmq,
                self.slow_provider, *[self.history.comes_in] * 3,
            ]  # fmt: skip
            self.rng.shuffle(self._deck)
            # So early that a run of two minutes has one.
            self._deck.insert(len(self._deck) - self.rng.randrange(3, 8), self.restore)
        return self._deck.pop()

    # -- blows

    def kill_web(self) -> None:
        workers = self.stage.web_workers()
        if workers:
            with contextlib.suppress(psutil.Error):
                self.rng.choice(workers).kill()
                self.done["kill -9 of a web worker"] += 1

    def kill_master(self) -> None:
        self._join("pause")  # a stopped worker would hold the port
        self.stage.kill_master()
        self.stage.start_web()
        self.done["kill -9 of the gunicorn master"] += 1

    def kill_flask_worker(self) -> None:
        self.stage.kill_worker(self.rng.randrange(len(self.stage.workers)))
        self.stage.start_worker()
        self.done["kill -9 of a flask worker"] += 1

    def kill_sandbox(self) -> None:
        self.levers.forgotten += 1
        gone = time.time()
        self.stage.sandbox.kill()
        time.sleep(self.rng.uniform(0, 1.0))
        self.stage.sandbox.start()
        self.restarts.append((gone, time.time()))
        self.done["kill -9 of the sandbox"] += 1

    def crash_postgres(self) -> None:
        self.stage.crash_postgres()
        time.sleep(self.rng.uniform(0, 1.0))
        self.stage.start_postgres()
        self.done["PostgreSQL stopped at once"] += 1

    def restore(self) -> None:
        """The database as it was some time ago takes its place, while everybody goes on asking."""
        self.webhooks += backups.restore(self.stage, self.backup)
        self.backup = backups.save(self.stage)
        self.done["restore of an earlier backup"] += 1

    def pause_web(self) -> None:
        """SIGSTOP; SIGCONT comes after every lock and time-out is over."""
        workers = self.stage.web_workers()
        if self._is_on("pause") or not workers:
            return
        stopped = self.rng.choice(workers)

        def wake() -> None:
            with contextlib.suppress(psutil.Error):
                stopped.resume()

        with contextlib.suppress(psutil.Error):
            stopped.suspend()
            self.cells.pauses.append((time.time(), time.time() + timing.PAUSE_SECONDS + 1))
            self.done["SIGSTOP of a web worker"] += 1
        self._start("pause", threading.Timer(timing.PAUSE_SECONDS, wake))

    def pause_sender(self) -> None:
        if self._is_on("pause"):
            return
        if awake := self.cells.pause_sender(self.rng.choice(MONEY)):
            self._beside["pause"] = awake
            self.done["SIGSTOP between begin and call"] += 1

    def lose_redis(self) -> None:
        def away() -> None:
            self.stage.kill_redis()
            time.sleep(2.0)
            self.stage.start_redis()
            self.done["Redis gone and back"] += 1

        if not self._is_on("redis"):
            self._start("redis", threading.Thread(target=away))

    def lose_rabbitmq(self) -> None:
        broker = self.stage.broker

        def away() -> None:
            assert broker is not None
            broker.restart()
            self.done["RabbitMQ gone and back"] += 1

        if broker is not None and not self._is_on("rabbitmq"):
            self._start("rabbitmq", threading.Thread(target=away))

    def disturb_sister(self) -> None:
        service = self.rng.choice(SISTERS)
        fault = self.levers.deal(service)
        times = self.rng.randint(1, 6)
        if self.levers.arm(service, fault, times=times):
            self.done[f"faults of the {service} service"] += 1

    def slow_provider(self) -> None:
        """The latency profile, with its own faults, for a few seconds."""

        def slow() -> None:
            self.levers.latency("lognormal")
            time.sleep(5.0)
            self.levers.latency("off")

        if not self._is_on("latency"):
            self._start("latency", threading.Thread(target=slow))
            self.done["provider slow by profile"] += 1

    # -- what goes on beside

    def _is_on(self, name: str) -> bool:
        return name in self._beside and self._beside[name].is_alive()

    def _start(self, name: str, thread: threading.Thread) -> None:
        self._beside[name] = thread
        thread.daemon = True
        thread.start()

    def _join(self, name: str) -> None:
        if name in self._beside:
            self._beside[name].join(timing.PAUSE_SECONDS + 5)
