"""The sandbox's settings, from the environment or from a mapping that overrides it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_TRIPS = Path(__file__).resolve().parents[2] / "seeds" / "trips.csv"


class SettingError(ValueError):
    """A setting that can't be used; the text names it and says what it takes."""


@dataclass(frozen=True)
class Settings:
    """Where the journal lives, where trips come from, and how the provider behaves."""

    directory: Path
    trips: Path | None
    success_rate: float
    latency: str


def read_settings(overrides: Mapping[str, str] | None = None) -> Settings:
    """Read SANDBOX_* settings; an empty value counts as not set. Raises SettingError."""
    source = {**os.environ, **(overrides or {})}
    return Settings(
        directory=Path(source.get("SANDBOX_DIR") or "var/sandbox"),
        trips=_trips(source.get("SANDBOX_TRIPS")),
        success_rate=_rate(source.get("SANDBOX_SUCCESS_RATE") or "1.0"),
        latency=source.get("SANDBOX_LATENCY") or "off",
    )


def _trips(named: str | None) -> Path | None:
    """A file that was named must be there; the default may be missing (no trips, then)."""
    if not named:
        return DEFAULT_TRIPS if DEFAULT_TRIPS.is_file() else None
    path = Path(named)
    if not path.is_file():
        raise SettingError(f"SANDBOX_TRIPS: no such file: {named}")
    return path


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise SettingError(f"SANDBOX_SUCCESS_RATE: a number from 0 to 1, not {text!r}")
    return rate
