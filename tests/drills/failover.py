"""The primary dies under load and its standby is promoted: once synchronous, where nothing may be
lost, and once asynchronous, where what is lost must be found at the provider."""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.campaign.ledger import Books
from tests.drills.pair import PairStage
from tests.drills.scene import Outcome, Playing, Scene, counted, lost

NOTICED_SECONDS = 2.0
"""How long nobody notices that the primary is dead; then the standby is promoted."""
ALONE_SECONDS = 1.5
"""How long the primary goes on alone before it dies, where replication is asynchronous."""
BEFORE, AFTER = 80, 80
"""Requests."""

Say = Callable[[str], None]


def drill(directory: Path, args: argparse.Namespace, say: Say) -> Iterator[Outcome]:
    yield _synchronous(directory / "sync", say)
    yield _asynchronous(directory / "async", say)


def _synchronous(directory: Path, say: Say) -> Outcome:
    stage = PairStage(directory, say, synchronous=True)
    with Playing(stage, say) as scene:
        scene.until_asked(BEFORE)
        blow = _death(stage, say)
        _promotion(stage, say, blow)
        scene.until_served(blow)
        scene.until_asked(AFTER)
        scene.settled()
        outcome = scene.judged("failover, synchronous")
        outcome.refused_seconds = scene.watch.refused_for(blow)
        outcome.figures += _refusals(scene)
        return outcome


def _asynchronous(directory: Path, say: Say) -> Outcome:
    """What nobody knows any more must be asked of the provider before callers are let in again, or
    a new refund takes the number of one that is lost."""
    stage = PairStage(directory, say, synchronous=False)
    began = datetime.now(UTC) - timedelta(minutes=1)
    with Playing(stage, say) as scene:
        scene.until_asked(BEFORE)
        stage.pair.hold_back()
        time.sleep(ALONE_SECONDS)
        blow = _death(stage, say)
        _stop_service(stage)
        _promotion(stage, say, blow)
        found = _listed(stage, began, say)
        _start_service(stage)
        scene.until_served(blow)
        scene.until_asked(AFTER)
        left = scene.settled()
        outcome = _shown(scene.books(), found)
        outcome.broken += [f"{what}: {count}" for what, count in left.items()]
        outcome.refused_seconds = scene.watch.refused_for(blow)
        outcome.figures += _refusals(scene)
        return outcome


def _death(stage: PairStage, say: Say) -> float:
    """When the primary died; nobody noticed for a while."""
    blow = time.time()
    stage.pair.kill_primary()
    say("the primary is dead (kill -9)")
    time.sleep(NOTICED_SECONDS)
    return blow


def _promotion(stage: PairStage, say: Say, blow: float) -> None:
    stage.pair.promote()
    say(f"the standby is promoted, {time.time() - blow:.1f} s after that")


def _stop_service(stage: PairStage) -> None:
    while stage.workers:
        stage.kill_worker(0)
    stage.kill_master()


def _start_service(stage: PairStage) -> None:
    stage.start_web()
    stage.start_worker()
    stage.start_worker()


def _refusals(scene: Scene) -> list[str]:
    return [
        f"{NOTICED_SECONDS:.1f} s of it until the death was noticed",
        f"{len(scene.watch.unserved())} tries refused",
    ]


def _listed(stage: PairStage, began: datetime, say: Say) -> set[str]:
    """The references of payments that `flask recover listed` finds at the provider, and that no
    row of ours tells of."""
    folder = stage.directory / "found"
    since = f"{began:%Y-%m-%dT%H:%M:%SZ}"
    done = stage.flask("recover", "listed", "--since", since, "--folder", str(folder))
    if done.returncode != 0:
        raise RuntimeError(f"flask recover listed: {done.stderr[-1000:]}")
    told = [line for line in done.stdout.splitlines() if not line.startswith("{")]  # not the log
    for line in told:
        say(f"flask recover listed: {line.replace(str(folder), 'FOLDER')}")
    found = set()
    for path in folder.glob("unknown-*.csv"):
        with path.open(newline="") as file:
            found |= {row["reference"].rpartition("-")[0] for row in csv.DictReader(file)}
    return found


def _shown(books: Books, found: set[str]) -> Outcome:
    """What asynchronous replication lost. It fails if a provider has taken money for a payment
    that was acknowledged and lost, and the look-up did not name it."""
    outcome = counted("failover, asynchronous", books)
    gone = lost(books)
    at_provider = {reference.rpartition("-")[0] for reference in _taken(books)}
    outcome.broken = [
        f"{reference} was acknowledged, is lost, and no look-up names it"
        for reference in sorted((gone.keys() & at_provider) - found)
    ]
    if not gone:
        outcome.broken.append("nothing was lost: the drill did not show what it is for")
    nowhere = len(gone.keys() - at_provider)
    outcome.figures += [
        f"{len(gone.keys() & found)} of the lost named by flask recover listed",
        f"{nowhere} of them with no provider (cash, or created only)",
        f"{len(found)} payments at the provider in all that no row tells of",
    ]
    return outcome


def _taken(books: Books) -> set[str]:
    """The references under which the provider took or held money, or gave it back."""
    return {
        row["reference"]
        for rows in books.provider.values()
        for row in rows
        if row["state"] != "declined"
    }
