"""The sandbox's settings, from the environment or from a mapping that overrides it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from payment_service.config import kinds
from payment_service.config.reading import load, setting
from payment_service.sandbox import latency, trips

DEFAULT_TRIPS = Path(__file__).resolve().parents[2] / "seeds" / "trips.csv"

LATENCY = kinds.text(
    latency.from_setting, f"must be off, profile, or such as 2000ms, up to {latency.LONGEST_MS}ms"
)
TRIPS = kinds.text(
    lambda path: Path(path).is_file() and trips.load(Path(path)) is not None,
    "must be a CSV file that can be read, with a trip_id or id in each row",
)


@dataclass(frozen=True)
class SandboxSettings:
    """Where the journal lives, where trips come from, and how the provider behaves."""

    sandbox_host: str = setting(kinds.HOST, "127.0.0.1")
    sandbox_port: int = setting(kinds.PORT, 8081)
    sandbox_dir: str = setting(kinds.FOLDER, "var/sandbox")
    # The default may be missing; there are no trips, then.
    sandbox_trips: str | None = setting(
        TRIPS, str(DEFAULT_TRIPS) if DEFAULT_TRIPS.is_file() else None
    )
    sandbox_success_rate: float = setting(kinds.SHARE, 1.0)
    sandbox_latency: str = setting(LATENCY, "off")
    sandbox_swish_port: int | None = setting(kinds.PORT, None)
    sandbox_swish_dir: str = setting(kinds.FOLDER, "var/swish")
    sandbox_requests: str | None = setting(kinds.FILE, None)
    sandbox_webhook_url: str | None = setting(kinds.HTTP_URL, None)


def read_settings(overrides: Mapping[str, str] | None = None) -> SandboxSettings:
    """The SANDBOX_* settings. Raises BadSettings, naming all that are wrong."""
    return load(SandboxSettings, {**os.environ, **(overrides or {})})
