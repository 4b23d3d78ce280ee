"""`make demo`: rides beside a running `make run`, until Ctrl-C.

SERVICE_PORT and SANDBOX_PORT are those of `make run`; DEMO_RATE is how many rides begin in a second
(2), TOKEN the bearer token where the service asks for one.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TextIO

from payment_service import config
from payment_service.config.reading import read
from payment_service.sandbox.settings import SandboxSettings
from scripts.rides import RIDES, Gone, Otherwise, World
from scripts.run import Stop, host_to_ask

SAY_EVERY = 5.0
"""Seconds between two lines."""
FASTEST = 20.0
"""Rides a second; one after the other does not come to more."""
GOES_ON_AFTER = 6
"""Rides that begin before one goes on that waits, so that its story has some time in it."""


def main() -> int:
    stop = Stop().asked
    try:
        pause = 1 / rate(os.environ.get("DEMO_RATE", ""))
        world = there()
        say(f"rides go to {world.service}; Ctrl-C ends them")
        demo(world, stop, pause)
    except (ValueError, Gone) as error:
        say(str(error), sys.stderr)
        return 1
    return 0


def rate(text: str) -> float:
    """Rides a second. Raises ValueError with a plain line."""
    with contextlib.suppress(ValueError):
        if 0 < (found := float(text or 2)) <= FASTEST:
            return found
    raise ValueError(f"DEMO_RATE: must be a number above 0, up to {FASTEST:.0f} rides a second")


def there() -> World:
    """The service and the sandbox of `make run`. Raises Gone, with what to do, if they are not
    there."""
    service = f"http://{host_to_ask()}:{config.look()[0].service_port}"
    sandbox = f"http://127.0.0.1:{read(SandboxSettings, os.environ)[0]['sandbox_port']}"
    world = World(service, sandbox, os.environ.get("TOKEN") or None)
    try:
        world.ask("GET", "/health")
        world.tell("GET", "/sandbox/faults")
    except Gone as error:
        raise Gone(
            f"{error}. Start `make run` in another terminal, and give both the same SERVICE_PORT"
            " and SANDBOX_PORT"
        ) from error
    return world


def demo(world: World, stop: threading.Event, pause: float) -> None:
    """Rides until `stop` is set; then a last line, and nothing of ours is left armed."""
    counts: Counter[str] = Counter()
    last = ""
    told = due = time.monotonic()
    try:
        for began in begun(world):
            try:
                counts[began()] += 1
            except Otherwise as error:
                counts["otherwise"] += 1
                last = str(error)
            if time.monotonic() - told >= SAY_EVERY:
                told = time.monotonic()
                say(line(counts, last))
            # What was late is not made up for: the rate is modest even after a pause.
            due = max(due + pause, time.monotonic())
            if stop.wait(due - time.monotonic()):
                break
    finally:
        say(line(counts, last))
        world.disarm()


def begun(world: World) -> Iterator[Callable[[], str]]:
    """What is to be done next, without end: rides of all kinds, and now and then one goes on that
    has begun."""
    while True:
        deck = [ride for ride, times in RIDES for _ in range(times)]
        world.dice.shuffle(deck)
        for number, ride in enumerate(deck):
            yield partial(ride, world)
            if len(world.later) > GOES_ON_AFTER or (world.later and number % 3 == 2):
                yield world.later.pop(0)


def line(counts: Counter[str], last: str) -> str:
    """One plain line: how many of what."""
    shown = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    return f"{shown or 'no ride yet'}{f' (the last: {last})' if last else ''}"


def say(text: str, to: TextIO | None = None) -> None:
    print(f"demo: {text}", file=to, flush=True)


if __name__ == "__main__":
    sys.exit(main())
