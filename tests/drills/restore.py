"""A backup under load, more charges, and the restore of that backup while callers go on."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.campaign import backups
from tests.drills.scene import Outcome, Playing
from tests.drills.stages import DrillStage

SINCE = 100
"""Requests that are asked between backup and restore."""
AROUND = 50
"""Those before the backup, and those after the restore."""


def drill(
    directory: Path, args: argparse.Namespace, say: Callable[[str], None]
) -> Iterator[Outcome]:
    stage = DrillStage(directory, say)
    with Playing(stage, say) as scene:
        scene.until_asked(AROUND)
        file = backups.save(stage)
        say("a backup is made")
        scene.until_asked(SINCE)
        blow = time.time()
        scene.webhooks += backups.restore(stage, file)
        took = time.time() - blow
        say(f"it is brought back, in {took:.1f} s")
        scene.until_served(blow + took)
        scene.until_asked(AROUND)
        scene.settled()
        outcome = scene.judged("restore")
        outcome.refused_seconds = scene.watch.refused_for(blow)
        outcome.figures += [
            f"{took:.1f} s for the restore",
            f"{SINCE} requests since the backup",
            f"{len(scene.watch.unserved())} tries refused",
        ]
        yield outcome
