"""What the bench wants to know of a service that it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.world import Servers

SPREAD = 20_000
"""How many accounts share the load where accounts are locked: with sixteen requests under way, two
of them then meet at one in a few thousand."""


class Unavailable(Exception):
    """A service can't be fetched, built or started here. The message is one plain line."""


def complaint(log: Path) -> str:
    """What a program that failed had to say: the first line about an error, else the last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    loud = [line for line in lines if "error" in line.lower() or line.startswith("Caused by")]
    return f"{(loud or lines[-1:] or ['it said nothing'])[0][:300]} ({log})"


@dataclass(frozen=True)
class Act:
    """A request that moves money.

    In `path`, `headers` and `body`, {n} stands for a number that no other request has, {pick} for
    one of `picks` by chance. `done` is SQL that counts such acts that are finished.
    """

    name: str
    path: str
    body: str
    done: str
    headers: Mapping[str, str] = field(default_factory=dict)
    picks: Sequence[str] = ("",)


@dataclass(frozen=True)
class Running:
    """A service that is up.

    `parts` names the tops of its process trees, and `beside` those of what only plays a part for
    it, such as a provider. `reads` is SQL that gives the path of each act by its id. `headers` go
    with every request. `warm_seconds` of load are needed until it is at its speed.
    """

    url: str
    database: str
    parts: Mapping[str, int]
    acts: Sequence[Act]
    reads: str
    headers: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, int] = field(default_factory=dict)
    warm_seconds: float = 3.0


@dataclass(frozen=True)
class Peer:
    """How to get it, and how to run it for the length of a with-block.

    `fetch` puts all that it needs into the folder, unless it is there; `start` runs what is in the
    folder, with a directory for what it writes. Both raise Unavailable.
    """

    name: str
    fetch: Callable[[Path], None]
    start: Callable[[Servers, Path, Path], AbstractContextManager[Running]]
