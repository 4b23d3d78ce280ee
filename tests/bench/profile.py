"""What a charge or a read costs in Python, by part: py-spy's samples, times its CPU time.

pip install py-spy
python -m tests.bench.profile [--what charge] [--seconds 20] [--svg docs/charge.svg] [--live]

Without --live the requests are made on one thread of one process (tests.bench.loop). Samples are of
whoever holds the GIL: all others would count a busy machine's waiting as the service's work.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench import filling, world
from tests.bench.load import wrk
from tests.bench.world import Servers
from tests.sandbox_server import ROOT

RATE = 500
DATABASE = "profile"
SMALL_ROWS = 10_000

# Each sample counts for the innermost of its frames that one of these names; what none names is
# "the rest". A name is the beginning of a file's path, as py-spy shortens it.
PARTS = {
    "rate limit: flask-limiter, Redis": (
        "payment_service/ratelimit/",
        "payment_service/api/limits.py",
        "flask_limiter/",
        "limits/",
        "redis/",
    ),
    "SQL: psycopg2, statements.py": (
        "payment_service/statements.py",
        "payment_service/queries.py",
    ),
    "pool: SQLAlchemy": ("sqlalchemy/",),
    "logs: structlog": ("structlog/",),
    "metrics: exporter, prometheus": ("prometheus_flask_exporter/", "prometheus_client/"),
    "validation: webargs, marshmallow": ("webargs/", "marshmallow/", "payment_service/schemas/"),
    "answer and event as JSON": (
        "json/",
        "payment_service/domain/jsontext.py",
        "payment_service/domain/events.py",
    ),
    "key and fingerprint": ("payment_service/idempotency.py", "payment_service/api/idem"),
    "provider: fence, circuit": ("payment_service/providers/",),
    "services": ("payment_service/services/", "payment_service/domain/"),
    "request's id, start, finish": ("payment_service/telemetry/",),
    "api, flask-smorest": ("payment_service/api/", "flask_smorest/"),
    "Flask, Werkzeug": ("flask/", "werkzeug/"),
}
REST = "the rest"
_PROGRAM = str(Path(sys.executable).with_name("py-spy"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument(
        "--what", default="charge", choices=["charge", "replay", "get", "list", "events"]
    )
    parser.add_argument("--svg", type=Path, help="also write a flame graph there")
    parser.add_argument("--live", action="store_true", help="a gunicorn worker under load, --gil")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        world.servers(Path(directory)) as servers,
    ):
        servers.migrated(DATABASE)
        filling.fill(servers, DATABASE, SMALL_ROWS)
        if asked.live:
            live(servers, asked.seconds, asked.svg or Path("charge.svg"))
            return
        spent, samples = alone(servers, asked.what, asked.seconds, asked.svg)
        for part, share in shares(samples):
            print(f"{part:<36} {100 * share:5.1f} %  {spent['user_us'] * share:6.0f} us")
        print(f"{'kernel: sockets, the log':<36}          {spent['kernel_us']:6.0f} us")
        total = spent["user_us"] + spent["kernel_us"]
        print(f"{asked.what + ', without gunicorn':<36}          {total:6.0f} us")


def alone(
    servers: Servers, what: str, seconds: int, svg: Path | None
) -> tuple[dict[str, float], list[tuple[str, int]]]:
    """CPU microseconds of a request on one thread, unwatched, and the samples of another run."""
    spent = _looped(servers, what, seconds)
    raw = servers.directory / "samples"
    _looped(servers, what, seconds, ["-f", "raw", "-o", str(raw)])
    if svg:
        _looped(servers, what, seconds, ["-f", "flamegraph", "-o", str(svg)])
        svg.write_text(svg.read_text().replace(_PROGRAM, "py-spy"))  # its title is its command
    lines = (line.rsplit(" ", 1) for line in raw.read_text().splitlines())
    return spent, [(stack, int(count)) for stack, count in lines if "(bench/loop.py" in stack]


def shares(samples: list[tuple[str, int]]) -> list[tuple[str, float]]:
    """Each part's share of the samples, the largest first."""
    found: Counter[str] = Counter()
    for stack, count in samples:
        found[_part(stack)] += count
    total = sum(found.values()) or 1
    return [(part, count / total) for part, count in found.most_common()]


def live(servers: Servers, seconds: int, svg: Path) -> None:
    """A flame graph of one gunicorn worker under load."""
    with world.started(servers.service("live", DATABASE)) as service:
        worker = service.web_workers()[0]
        wrk(service.url, "charge.lua", "1", connections=16, seconds=1)
        spy = _spy(worker.pid, seconds, ["-f", "flamegraph", "-o", str(svg)])
        load = wrk(service.url, "charge.lua", "2", connections=16, seconds=seconds + 1)
        spy.wait(timeout=60)
    print(f"{svg}: {load.rate:.0f} charges/s while it was watched")


def _looped(
    servers: Servers, what: str, seconds: int, spying: list[str] | None = None
) -> dict[str, float]:
    """What the loop printed about its own time."""
    command = [sys.executable, "-m", "tests.bench.loop", str(seconds), what]
    env = servers.service("loop", DATABASE).env
    with (servers.directory / "loop.log").open("ab") as log:
        loop = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.PIPE)
        try:
            if spying:
                time.sleep(2)  # past its start
                _spy(loop.pid, max(1, seconds - 2), spying).wait(timeout=seconds + 60)
            _, said = loop.communicate(timeout=seconds + 60)
        finally:
            loop.kill()
            loop.wait()
    found: dict[str, float] = json.loads(said.decode().strip().splitlines()[-1])
    return found


def _spy(pid: int, seconds: int, options: list[str]) -> subprocess.Popen[bytes]:
    watched = ["record", "-p", str(pid), "-d", str(seconds), "-r", str(RATE), "--gil"]
    return subprocess.Popen(
        [_PROGRAM, *watched, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _part(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        path = frame.rpartition("(")[2]
        for part, names in PARTS.items():
            if path.startswith(names):
                return part
    return REST


if __name__ == "__main__":
    main()
