"""One campaign: python -m tests.campaign [--seconds N] [--seed N]
[--providers NAME,NAME] [--service-tree DIR].

Exit code 1: an invariant is broken, or (from 120 s on) a boundary of a verb saw no kill.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from tests.campaign import holds, ledger, report, settling, timing
from tests.campaign.boundaries import Cells
from tests.campaign.chaos import Chaos
from tests.campaign.dialects import chosen
from tests.campaign.faulty import Levers
from tests.campaign.history import History
from tests.campaign.invariants import Verdict, judge
from tests.campaign.load import Caller, Market
from tests.campaign.payers import Payers
from tests.campaign.settling import Bank
from tests.campaign.stage import ROOT, Stage
from tests.campaign.told import Told

WHOLE_SECONDS = 120.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPLAYED = 1500
"""How many of the newest answers are asked for once more at the end."""


class Stopped(Exception):
    """The campaign was told to end."""


class Stop:
    """What the signals said. Heard where nothing is half started; the second time at once."""

    def __init__(self) -> None:
        self.asked = False
        for number in SIGNALS:
            # SIGINT is ignored in a shell's background job, and still meant; SIGHUP under nohup.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._hear)

    def check(self) -> None:
        """Raises Stopped if the campaign was told to end."""
        if self.asked:
            raise Stopped

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        say(f"{signal.Signals(number).name}: stopping; once more to hurry")
        self.asked = True


class Run:
    """One campaign on one stage."""

    def __init__(self, args: argparse.Namespace, stage: Stage, stop: Stop) -> None:
        self.args, self.stage, self.stop = args, stage, stop
        self.whole = args.seconds >= WHOLE_SECONDS
        self.started = time.monotonic()

    def play(self) -> dict[str, Any]:
        """Runs the whole campaign; its report."""
        rng = random.Random(self.args.seed)
        self.stage.start()
        holds.install(self.stage)
        ledger.bind_queue(self.stage)
        self.levers = Levers(self.stage.sandbox.url, random.Random(rng.random()))
        self.told = Told()
        url, sandbox_url = self.stage.url, self.stage.sandbox.url
        self.payers = Payers(random.Random(rng.random()))
        others = self.stage.dialects
        self.market = Market(url, sandbox_url, self.levers, self.told, self.payers, others)
        self.cells = Cells(self.stage, self.market, self.levers, random.Random(rng.random()))
        self.history = History(self.stage, self.market, random.Random(rng.random()))
        parts = (self.stage, self.cells, self.levers, self.history)
        self.chaos = Chaos(*parts, random.Random(rng.random()), say)
        say(f"ready after {self._took():.0f} s; {self.args.callers} callers")
        self.bank = Bank(self.stage, self.market, random.Random(rng.random()))
        callers = self._callers(rng)
        try:
            self.chaos.run(self.args.seconds, self.whole, self.stop.check)
            left = self._settle(callers)
        finally:
            self.market.closing.set()
            self.market.giving_up.set()
            self.bank.close()
            self.payers.close()
            self.chaos.wait_for_all()  # or a server that is away would come back after the end
        return self._judged(left)

    def _callers(self, rng: random.Random) -> list[threading.Thread]:
        callers = [
            Caller(self.market, random.Random(rng.random())) for _ in range(self.args.callers)
        ]
        threads = [threading.Thread(target=caller.run, daemon=True) for caller in callers]
        for thread in threads:
            thread.start()
        return threads

    def _settle(self, callers: list[threading.Thread]) -> dict[str, int]:
        say(f"time is up; {len(self.told.owed())} requests are on their way, all comes back")
        self.market.closing.set()
        self.chaos.heal()
        left = settling.settle(
            self.stage, self.market, self.bank, self.levers,
            lambda: sum(caller.is_alive() for caller in callers), self.stop.check,
        )  # fmt: skip
        self.market.giving_up.set()
        for caller in callers:
            caller.join(120)
        self.cells.finish()
        say(f"settled after {self._took():.0f} s: {left}")
        return left

    def _judged(self, left: dict[str, int]) -> dict[str, Any]:
        asked = self.told.all()
        replays = ledger.replay_all(self.stage.url, asked, REPLAYED)
        books = ledger.read(self.stage, self.levers, asked)
        books.webhooks += self.chaos.webhooks
        books.replays, books.left = replays, left
        books.never_sent, books.pauses = set(self.cells.never_sent), self.cells.pauses
        books.restarts, books.said_at = self.chaos.restarts, self.payers.said_at
        self.heard = Counter(
            f"{row['provider']} {row['status']}" for row in books.webhooks
        ) + Counter(f"{row['dialect']} sent, {row['fault'] or 'true'}" for row in books.sent)
        verdicts = judge(books)
        if any(verdict.broken for verdict in verdicts):
            # Whoever looks for the reason wants to see the rows.
            asked_too = {"asked": [dataclasses.asdict(one) for one in books.asked]}
            report.written(self.args.kept / "books.json", vars(books) | asked_too)
        return self._report(verdicts)

    def _report(self, verdicts: list[Verdict]) -> dict[str, Any]:
        empty = report.empty_cells(self.cells.killed)
        answers = Counter(str(a.status) for one in self.told.all() for a in one.answers)
        answers["silence"] = sum(one.silences for one in self.told.all())
        return report.as_json(
            seed=self.args.seed,
            seconds=self.args.seconds,
            took=self._took(),
            versions=self._versions(),
            not_tried=[] if self.stage.broker else ["RabbitMQ: rabbitmq-server is not installed"],
            killed=self.cells.killed,
            counts={
                "how": self.cells.how,
                "missed": self.cells.missed,
                "blows": self.chaos.done | self.history.done,
                "requests": self.told.by_outcome(),
                "answers": answers,
                "payers": self.payers.done,
                "webhooks": self.heard,
                "faults_armed": self.levers.armed,
                "faults_met": self.levers.met,
            },
            verdicts=verdicts,
            empty=empty,
        )

    def _versions(self) -> dict[str, str]:
        names = ("flask", "gunicorn", "sqlalchemy", "psycopg2-binary", "pika", "redis")
        found = {name: version(name) for name in names}
        return found | {"postgresql": self.stage.postgres_version(), "service": _revision()}

    def _took(self) -> float:
        return time.monotonic() - self.started


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} faults: {text}", flush=True)


def _revision() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    described = [git, "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(described, capture_output=True, text=True).stdout.strip() or "unknown"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    seconds = float(os.environ.get("FAULTS_SECONDS") or 120)
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(10**6))
    tree = Path(os.environ.get("FAULTS_SERVICE_TREE") or ROOT)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--callers", type=int, default=8)
    providers = os.environ.get("FAULTS_PROVIDERS") or ""
    parser.add_argument("--providers", default=providers, help="those beside the sandbox's own")
    parser.add_argument("--service-tree", type=Path, default=tree, help="the code that is tried")
    args = parser.parse_args()
    try:
        args.dialects = chosen(args.providers)
    except ValueError as error:
        parser.error(str(error))
    args.kept = Path(os.environ.get("VAR_DIR") or "var").resolve() / "faults"
    return args


def main() -> int:
    args = _arguments()
    stop = Stop()
    kept = args.kept
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    say(f"seed {args.seed}, {args.seconds:.0f} s, the service of {args.service_tree}")
    say(f"providers: {', '.join(('sandbox, cash', *(one.name for one in args.dialects)))}")
    stage = Stage(directory, args.service_tree.resolve(), say, stop.check, args.dialects)
    stage.longest_pause = timing.longest_pause(args.seconds)
    try:
        found = Run(args, stage, stop).play()
    except (Stopped, KeyboardInterrupt):
        say("stopped before the end; nothing was judged")
        return 130
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # what was started is ended first
        stage.close()
        _keep_logs(directory, kept)
        shutil.rmtree(directory, ignore_errors=True)
    report.written(kept / "report.json", found)
    print(report.as_text(found))
    broken = sum(1 for verdict in found["invariants"] if verdict["broken"])
    gaps = len(found["empty_cells"]) if args.seconds >= WHOLE_SECONDS else 0
    say(
        f"seed {args.seed}: {broken} of {len(found['invariants'])} invariants broken, {gaps} cells"
        f" empty, {found['took_seconds']} s; {kept / 'report.json'}"
    )
    return 1 if broken or gaps else 0


def _keep_logs(directory: Path, kept: Path) -> None:
    """What the processes said, for whoever asks why."""
    kept.mkdir(parents=True, exist_ok=True)
    for log in (directory / f"{name}.log" for name in ("web", "worker", "restore")):
        if log.exists():
            shutil.copy2(log, kept / log.name)


if __name__ == "__main__":
    sys.exit(main())
