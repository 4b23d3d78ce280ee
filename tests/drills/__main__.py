"""Drills: python -m tests.drills failover|restore|rollover|upgrade|network ... | all

Exit code 1: an invariant is broken, or what the drill is about did not hold.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from tests.drills import failover, network, restore, rollover
from tests.drills.scene import Outcome

Drill = Callable[[Path, argparse.Namespace, Callable[[str], None]], Iterator[Outcome]]
DRILLS: dict[str, Drill] = {
    "failover": failover.drill,
    "restore": restore.drill,
    "rollover": rollover.rollover,
    "upgrade": rollover.upgrade,
    "network": network.drill,
}
SHOWN = 10
"""Of what broke the first few are printed."""

LOGS = ("web.log", "worker.log", "restore.log", "postgres.log", "server.log", "toxiproxy.log")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} drill: {text}", flush=True)


def _told(outcome: Outcome) -> None:
    for line in outcome.broken[:SHOWN]:
        say(f"BROKEN {line}")
    if len(outcome.broken) > SHOWN:
        say(f"BROKEN and {len(outcome.broken) - SHOWN} more")
    figures = [
        f"{outcome.requests} requests", f"{outcome.payments} payments", f"{outcome.lost} lost",
        f"{outcome.doubled} doubled", f"refused for {outcome.refused_seconds:.1f} s",
        *outcome.figures,
    ]  # fmt: skip
    if outcome.invariants:
        figures.append(f"{outcome.invariants} invariants judged")
    say(f"{outcome.name}: {', '.join(figures)}: {'FAILED' if outcome.broken else 'holds'}")


def _run(name: str, args: argparse.Namespace) -> bool:
    """Whether it held. What was started is ended, and nothing stays but the logs of a failure."""
    directory = Path(tempfile.mkdtemp(prefix=f"drill-{name}-"))
    began, well = time.monotonic(), False
    try:
        outcomes = []
        for outcome in DRILLS[name](directory, args, say):
            _told(outcome)
            outcomes.append(outcome)
        well = bool(outcomes) and not any(outcome.broken for outcome in outcomes)
    except Exception:
        # The next drill is another matter.
        traceback.print_exc()
    finally:
        if not well:
            _keep_logs(directory, args.kept / name)
        shutil.rmtree(directory, ignore_errors=True)
    say(f"drill-{name}: {'holds' if well else 'FAILED'} after {time.monotonic() - began:.0f} s")
    return well


def _keep_logs(directory: Path, kept: Path) -> None:
    for log in directory.rglob("*.log"):
        if log.name.endswith(LOGS):
            place = kept / log.relative_to(directory)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(log, place)
    say(f"what the processes said is in {kept}")


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    parser.add_argument("drills", nargs="+", choices=[*DRILLS, "all"])
    parser.add_argument("--old", help="rollover, upgrade: the revision before, or a folder of it")
    args = parser.parse_args()
    args.kept = Path(os.environ.get("VAR_DIR") or "var").resolve() / "drills"
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    names = list(DRILLS) if "all" in args.drills else args.drills
    try:
        # Each of them, also after one that failed.
        held = [_run(name, args) for name in names]
        return 0 if all(held) else 1
    except KeyboardInterrupt:
        say("stopped before the end; nothing was judged")
        return 130


if __name__ == "__main__":
    sys.exit(main())
