"""Another version takes over while callers go on: no request without an answer, none from 500 on.

Migrations come first, so the old code must work on the new schema, also on rows that the new code
wrote, because that is where a roll-back leads. The new code never meets the old schema.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.drills.releases import Release, ReleaseStage, before, migrations
from tests.drills.scene import Outcome, Playing, Scene

EACH = 50
"""Requests that are asked between two steps."""

Say = Callable[[str], None]


class Steps:
    """The steps of a change of versions, each told, with load in between."""

    def __init__(self, stage: ReleaseStage, scene: Scene, say: Say) -> None:
        self._stage, self._scene, self._say = stage, scene, say
        self.codes: list[tuple[str, int]] = []

    def migrate(self) -> None:
        took = self._stage.migrate()
        self._done(f"migrated in {took:.1f} s, with the old version at work")

    def let_in(self, release: Release) -> None:
        self._stage.let_in(release)
        self._done(f"the {release.name} version is in")

    def take_out(self, release: Release) -> None:
        self.codes += self._stage.take_out(release).items()
        self._done(
            f"the {release.name} version is out, exit codes {[code for _, code in self.codes]}"
        )

    def _done(self, what: str) -> None:
        self._say(what)
        self._scene.until_asked(EACH)


def rollover(directory: Path, args: argparse.Namespace, say: Say) -> Iterator[Outcome]:
    """Old out, new in."""

    def play(stage: ReleaseStage, steps: Steps) -> None:
        steps.migrate()
        steps.let_in(stage.new)
        steps.take_out(stage.old)

    yield _played("rollover", directory, args, say, play)


def upgrade(directory: Path, args: argparse.Namespace, say: Say) -> Iterator[Outcome]:
    """In, beside the old one, back out, and in once more."""

    def play(stage: ReleaseStage, steps: Steps) -> None:
        steps.migrate()
        steps.let_in(stage.new)
        steps.take_out(stage.new)  # rolled back: the old one has its rows to itself
        steps.let_in(stage.new)
        steps.take_out(stage.old)

    yield _played("upgrade", directory, args, say, play)


def _played(
    name: str,
    directory: Path,
    args: argparse.Namespace,
    say: Say,
    play: Callable[[ReleaseStage, Steps], None],
) -> Outcome:
    old, called = before(directory, args.old)
    stage = ReleaseStage(directory, old, say)
    fresh = sorted(migrations(stage.new.tree) - migrations(stage.old.tree))
    say(f"from {called} to this checkout, migrations {', '.join(fresh) or 'none'}")
    with Playing(stage, say) as scene:
        scene.until_asked(EACH)
        steps = Steps(stage, scene, say)
        play(stage, steps)
        scene.settled()
        outcome = scene.judged(name)
        outcome.broken += scene.dropped() + stage.balancer.failed
        outcome.broken += [f"{who} ended with {code}" for who, code in steps.codes if code]
        outcome.figures += [
            f"{len(scene.dropped())} dropped or told 5xx",
            f"slowest answer {scene.watch.slowest():.1f} s",
            f"{stage.balancer.served[stage.old.port]} requests at the old version",
            f"{stage.balancer.served[stage.new.port]} at the new one",
        ]
        return outcome
