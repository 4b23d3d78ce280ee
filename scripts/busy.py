"""Runs a command while every core has two other things to do: python -m scripts.busy -- COMMAND

The loops have the command's priority. They end when it does, and when this process is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types

LOOPS_PER_CORE = 2
# Every second it looks whether its parent lives, so that not even a kill -9 of that leaves it here.
LOOP = """
import os, time
parent = os.getppid()
while os.getppid() == parent:
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        pass
"""


def main(command: list[str]) -> int:
    """The command's exit code; 128 and its number if a signal ended it."""
    count = LOOPS_PER_CORE * (os.cpu_count() or 1)
    loops = [subprocess.Popen([sys.executable, "-IS", "-c", LOOP]) for _ in range(count)]
    try:
        child = subprocess.Popen(command)

        def pass_on(number: int, _: types.FrameType | None) -> None:
            child.send_signal(number)

        signal.signal(signal.SIGINT, lambda *_: None)  # a terminal tells the command itself
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        code = child.wait()
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(words[1:] if words[:1] == ["--"] else words))
