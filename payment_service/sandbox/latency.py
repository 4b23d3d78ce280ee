"""How long the provider takes when nothing is wrong, and how often something is."""

from __future__ import annotations

import math
import random
import re
from typing import Any, NamedTuple

from payment_service.sandbox.faults import MONEY
from payment_service.sandbox.refusals import Invalid

# Log-normal with a median of 120 ms and a 99th percentile of 380 ms; 2.3263 is the normal
# distribution's 99 % point.
_MU = math.log(0.120)
_SIGMA = math.log(380 / 120) / 2.3263478740408408
_FAULT_SHARE = 0.007
_FAULTS = ("do_and_lose_answer", "do_and_503", "fail_503")

PROFILES = ("off", "lognormal", "fixed")
_FIXED = re.compile(r"([0-9]{1,6})\s*ms")
LONGEST_MS = 600_000


class Delay(NamedTuple):
    """Seconds to wait before the work, and a fault of the profile's share."""

    seconds: float
    fault: str | None


class Latency:
    """The current profile; may change at any time."""

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self.profile, self.ms = from_setting(setting)

    def set(self, wanted: Any) -> None:
        """Take {"profile": ..., "ms": N}. Raises Invalid."""
        if not isinstance(wanted, dict) or set(wanted) - {"profile", "ms"}:
            raise Invalid('an object with "profile" and, for fixed, "ms"')
        profile, ms = wanted.get("profile"), wanted.get("ms", 0) or 0
        if profile == "profile":
            profile = "lognormal"
        if profile not in PROFILES:
            raise Invalid(f"profile: {profile!r} is unknown; there are {', '.join(PROFILES)}")
        if type(ms) is not int or not 0 <= ms <= LONGEST_MS:
            raise Invalid(f"ms: an integer from 0 to {LONGEST_MS}")
        self.profile, self.ms = str(profile), ms

    def reset(self) -> None:
        """Back to what the environment said."""
        self.profile, self.ms = from_setting(self._setting)

    def shown(self) -> dict[str, Any]:
        """The profile as `GET /sandbox/latency` shows it; `ms` is null unless it is `fixed`."""
        return {"profile": self.profile, "ms": self.ms if self.profile == "fixed" else None}

    def draw(self, operation: str) -> Delay:
        """For one request to the provider; only verbs that move money have faults."""
        if self.profile == "off":
            return Delay(0.0, None)
        if self.profile == "fixed":
            return Delay(self.ms / 1000, None)
        unlucky = operation in MONEY and random.random() < _FAULT_SHARE
        fault = random.choice(_FAULTS) if unlucky else None
        return Delay(random.lognormvariate(_MU, _SIGMA), fault)


def from_setting(setting: str) -> tuple[str, int]:
    """The profile and its milliseconds. Raises ValueError."""
    if setting == "off":
        return "off", 0
    if setting in ("profile", "lognormal"):
        return "lognormal", 0
    found = _FIXED.fullmatch(setting)
    if found and int(found[1]) <= LONGEST_MS:
        return "fixed", int(found[1])
    raise ValueError("no latency")
