"""Faults on demand: their names, where each makes sense, and which one a request gets."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from payment_service.sandbox.refusals import Invalid

MONEY = ("charge", "authorize", "capture", "void", "refund")
SAVED = ("customer", "setup", "detach", "erase")
"""What a provider is asked about payers; it moves no money."""
SISTERS = ("trip", "order", "inventory", "notification", "driver", "rider")
PROVIDER = (*MONEY, *SAVED, "lookup")
IDENTITY = ("discovery", "keys", "token")
WEBHOOK = ("webhook",)
OPERATIONS = (*PROVIDER, *SISTERS, *IDENTITY, *WEBHOOK)

_ANYWHERE = {
    "reset_before_reading": "not done; the connection is reset",
    "accept_no_answer": "not done; never answered (let go after ms, default 60000)",
    "do_and_lose_answer": "done; the connection is reset instead of an answer",
    "do_and_hang": "done; never answered (let go after ms, default 60000)",
    "do_and_500": "done; answered 500",
    "do_and_502": "done; answered 502",
    "do_and_503": "done; answered 503",
    "fail_500": "not done; answered 500",
    "fail_502": "not done; answered 502",
    "fail_503": "not done; answered 503",
    "half_body": "done; half of the announced answer, then closed",
    "half_body_not_done": "not done; half of an announced 200, then closed",
    "garbage_200": "done; answered 200 with something that is no JSON",
    "too_many_requests": "not done; answered 429 with Retry-After: 1",
    "slow": "done and answered, ms late (default 2000)",
}
_MONEY_ONLY = {"decline": "declined with code (default do_not_honor), and booked as declined"}
_CHANGES_ONLY = {
    "forget_idempotency": "the next repeat of a reference is done once more",
    "arrive_late": "kept, connection reset, done only after ms (default 2000)",
}
_LOOKUP_ONLY = {
    "lookup_unavailable": "answered 503 (with ms: for that long from now)",
    "lookup_not_found": "answered 404 though it is there (with ms: for that long from now)",
    "lookup_slow": "answered ms late (default 2000)",
}
_IDENTITY_ONLY = {"html_200": "not done; answered 200 with a page of HTML"}
_KEYS_ONLY = {
    "empty_keys": "answered with a set without any key",
    "unknown_key": "answered with a key of an unknown kind before the others",
}
LIES = {
    "bad_signature": "the signature is none of the message",
    "other_key": "signed with another key",
    "other_amount": "speaks of another amount",
    "other_currency": "speaks of another currency",
    "other_merchant": "speaks of another merchant",
}
_WEBHOOK_ONLY = {
    "never": "not sent",
    "twice": "sent a second time",
    "late": "sent ms later (default 2000)",
    "before_the_answer": "sent before the request that it is about is answered",
    "after_the_next": "sent behind the next one of this provider",
    **LIES,
}
_ONLY = (
    (_MONEY_ONLY, MONEY),
    (_CHANGES_ONLY, (*MONEY, *SAVED)),
    (_LOOKUP_ONLY, ("lookup",)),
    (_IDENTITY_ONLY, IDENTITY),
    (_KEYS_ONLY, ("keys",)),
    (_WEBHOOK_ONLY, WEBHOOK),
    (_ANYWHERE, (*PROVIDER, *SISTERS, *IDENTITY)),
)
DESCRIPTIONS = {name: told for names, _ in (_ONLY[-1], *_ONLY[:-1]) for name, told in names.items()}

# For these, ms is how long the fault stays armed, not how long a request waits.
_WINDOWED = ("lookup_unavailable", "lookup_not_found")
_LONGEST_MS = 24 * 3600 * 1000
_FIELDS = {"operation", "fault", "times", "after", "match", "ms", "code"}


@dataclass(frozen=True)
class Ask:
    """What arrived: the operation, how it came, every field a fault may match on, and whether its
    reference was used before."""

    operation: str
    method: str
    path: str
    fields: Mapping[str, Any]
    is_repeat: bool = False

    @property
    def reference(self) -> str | None:
        """Our reference, if the request has one."""
        reference = self.fields.get("reference")
        return reference if isinstance(reference, str) else None


@dataclass
class Fault:
    """One armed fault; `times` None means until it is deleted, `until` on the monotonic clock."""

    id: str
    operation: str
    fault: str
    times: int | None = 1
    after: int = 0
    match: Mapping[str, Any] = field(default_factory=dict)
    ms: int | None = None
    code: str = "do_not_honor"
    until: float | None = None

    def concerns(self, ask: Ask) -> bool:
        """Whether this fault may hit the request."""
        return (
            self.operation in ("*", ask.operation)
            and ask.operation in applicable(self.fault)
            and all(_same(ask.fields.get(name), value) for name, value in self.match.items())
        )

    def wait(self, default_ms: int) -> float:
        """How long this fault makes a request wait, in seconds."""
        return (default_ms if self.ms is None else self.ms) / 1000

    def shown(self) -> dict[str, Any]:
        """The fault as `GET /sandbox/faults` shows it."""
        return {name: value for name, value in vars(self).items() if name != "until"}


@dataclass(frozen=True)
class Whim:
    """How a fault bends one operation: forget that the reference was used, or decline."""

    forget: bool = False
    decline: str | None = None


NO_WHIM = Whim()


def applicable(fault: str) -> tuple[str, ...]:
    """The operations on which a fault makes sense."""
    return next(operations for names, operations in _ONLY if fault in names)


def _same(value: Any, wanted: Any) -> bool:
    """32 and "32" are the same: a path has no integers, a body has."""
    return value == wanted or (value is not None and str(value) == str(wanted))


class Faults:
    """The armed faults. The oldest that concerns a request is taken, one per request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Fault] = []
        self._ids = itertools.count(1)

    def arm(self, wanted: Any) -> Fault:
        """Arm one from its JSON. Raises Invalid with text saying which names there are."""
        fault = _parsed(wanted, f"f{next(self._ids)}")
        with self._lock:
            self._armed.append(fault)
        return fault

    def take(self, ask: Ask) -> Fault | None:
        """The fault for this request, used up by one; None for most."""
        if not self._armed:
            return None
        with self._lock:
            self._armed = [armed for armed in self._armed if not _is_over(armed)]
            for fault in self._armed:
                if not fault.concerns(ask) or (
                    fault.fault == "forget_idempotency" and not ask.is_repeat
                ):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                self._use(fault)
                return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times == 0:
            self._armed.remove(fault)

    def armed(self) -> list[dict[str, Any]]:
        """The armed faults as JSON, oldest first."""
        with self._lock:
            return [fault.shown() for fault in self._armed if not _is_over(fault)]

    def disarm(self, fault_id: str | None = None) -> int:
        """Take back one fault, or all; how many there were."""
        with self._lock:
            kept = [f for f in self._armed if fault_id is not None and f.id != fault_id]
            gone = len(self._armed) - len(kept)
            self._armed = kept
        return gone


def _is_over(fault: Fault) -> bool:
    return fault.until is not None and time.monotonic() > fault.until


def _parsed(wanted: Any, fault_id: str) -> Fault:
    if not isinstance(wanted, dict):
        raise Invalid("the body must be a JSON object")
    if unknown := set(wanted) - _FIELDS:
        raise Invalid(f"unknown: {', '.join(sorted(unknown))}; there are {_listed(_FIELDS)}")
    operation = _one_of(wanted, "operation", ("*", *OPERATIONS))
    name = _one_of(wanted, "fault", tuple(DESCRIPTIONS))
    if operation != "*" and operation not in applicable(name):
        raise Invalid(f"operation: {name} is for {_listed(applicable(name))}")
    match = wanted.get("match")
    if match is not None and not isinstance(match, dict):
        raise Invalid("match: an object of request fields and the values they must have")
    ms = _count(wanted, "ms", None)
    windowed = name in _WINDOWED and ms is not None
    code = wanted.get("code", "do_not_honor")
    if not isinstance(code, str):
        raise Invalid("code: a string")
    return Fault(
        id=fault_id,
        operation=operation,
        fault=name,
        times=_count(wanted, "times", None if windowed else 1) or None,
        after=_count(wanted, "after", 0) or 0,
        match=match or {},
        ms=ms,
        code=code,
        until=time.monotonic() + (ms or 0) / 1000 if windowed else None,
    )


def _one_of(wanted: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = wanted.get(name)
    if value not in allowed:
        raise Invalid(f"{name}: {value!r} is unknown; there are {_listed(allowed)}")
    return str(value)


def _count(wanted: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = wanted.get(name, default)
    if value is not None and (type(value) is not int or not 0 <= value <= _LONGEST_MS):
        raise Invalid(f"{name}: an integer from 0 to {_LONGEST_MS}, or null")
    return value


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
