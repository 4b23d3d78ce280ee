"""Puts faults in the way of single requests, and counts those that were met."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.campaign.dialects import Dialect
from tests.campaign.faulty import Levers

FAULTY = 0.45
"""The share of requests in whose way a fault is put."""
LOOKUPS = 0.25
"""Of these, those of which a look-up meets one too."""
WEBHOOKS = 0.5
"""And those at other providers of which a webhook meets one: a few of each kind in two minutes."""

# Nobody repeats a request with the same reference. And what must be given back is asked for again
# an hour after a provider refused it, which is later than any run: a refund that is owed, and the
# hold that expired, whose void may meet the fault that was meant for a caller's.
_NEVER_MET = frozenset({"forget_idempotency"})
_REFUSED = frozenset({"decline"})
_MUST_BE_GIVEN = frozenset({"refund", "void"})


@dataclass(frozen=True)
class Armed:
    """One fault that lies in wait; `fault_id` None: the sandbox was down."""

    operation: str
    fault: str
    fault_id: str | None
    of: str | None


def arm(
    levers: Levers, rng: random.Random, verb: str, token: str | None, dialect: Dialect | None
) -> list[Armed]:
    """Faults for one request; at the sandbox's own provider they lie in wait for its card, at the
    others for whatever comes next there."""
    if rng.random() > FAULTY:
        return []
    if dialect is not None:
        operations = [verb] if verb in dialect.verbs else []
        operations += ["lookup"] if rng.random() < LOOKUPS else []
        operations += ["webhook"] if rng.random() < WEBHOOKS else []
        match = {"dialect": dialect.name}
    elif token and token.startswith("card-"):
        operations = [verb, "lookup"] if rng.random() < LOOKUPS else [verb]
        match = {"token": token}
    else:
        return []
    return [_armed(levers, one, match, dialect) for one in operations]


def _armed(levers: Levers, operation: str, match: dict[str, str], of: Dialect | None) -> Armed:
    without: frozenset[str] = frozenset()
    if of is not None:
        without = _NEVER_MET | _REFUSED if operation in _MUST_BE_GIVEN else _NEVER_MET
    name = of.name if of else None
    fault = levers.deal(operation, name or "", without)
    return Armed(operation, fault, levers.arm(operation, fault, match=match), name)


def collect(levers: Levers, armed: list[Armed], forgotten: int) -> None:
    """Takes back what nobody met; `forgotten` as it was before."""
    for one in armed:
        levers.collect(one.operation, one.fault, one.fault_id, forgotten, one.of)
