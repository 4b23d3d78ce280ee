"""The campaign's stage, with the waits of a drill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.campaign.stage import ROOT, Stage

WAITS = {
    # The campaign's one second runs out by itself where seven processes start on two cores, and
    # what was not sent for that is tried again a minute later.
    "PROVIDER_SEND_SECONDS": "4",
    "IDEMPOTENCY_LOCK_SECONDS": "6",
}


class DrillStage(Stage):
    """One of everything, of this checkout's code if no other is named."""

    def __init__(self, directory: Path, say: Callable[[str], None], tree: Path = ROOT) -> None:
        super().__init__(directory, tree, say, lambda: None)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | WAITS
