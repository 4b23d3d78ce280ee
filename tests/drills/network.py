"""Bad network between the service and its database, Redis, RabbitMQ and provider, under load: late
answers, connections that are cut in the middle of one, and connections over which nothing comes."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from payment_service import embedded
from tests.drills.scene import Outcome, Playing, Scene
from tests.drills.stages import DrillStage
from tests.drills.toxics import Toxiproxy
from tests.redis_watched import Watched, until

Say = Callable[[str], None]

AROUND = 40
"""Requests before the first blow, and after each."""
SECONDS = 3.5
"""How long each blow lasts."""
LATENCY_MS = {"postgres": 15, "redis": 60, "rabbitmq": 100, "provider": 250}
CUT_BYTES = {"postgres": 3000, "redis": 100, "rabbitmq": 300, "provider": 150}
"""After how much of what is answered a connection is cut: in the middle of an answer."""
HALF_OPEN_MS = 2500
"""How long nothing comes before the connection is closed. Without an end nobody could tell it from
a server that thinks, since the proxy itself answers the keepalives of TCP."""
PATIENT_MS, HURRIED_MS = 60_000, 1000
"""After how long the Sentinel takes a silent master for dead."""


class NetworkStage(DrillStage):
    """The service reaches nothing but by a proxy; the drill itself goes past it."""

    def __init__(self, directory: Path, say: Say) -> None:
        super().__init__(directory, say)
        self.toxiproxy = Toxiproxy(directory)
        self.redis = Watched(directory / "redis")
        self._ports: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """Of what there is a proxy before."""
        return list(self._ports)

    def start_postgres(self) -> None:
        """By TCP, as there is no proxy before a Unix socket."""
        place = self.directory / "postgres"
        settings = {"client_connection_check_interval": "200ms"}
        self._servers["postgres"] = embedded.start_postgres(place, settings=settings, by_tcp=True)

    def start_redis(self) -> None:
        """With a replica and a Sentinel, to whom the proxy is the master until that is killed. It
        is patient until then, or a half-open connection would do as well."""
        self.toxiproxy.start()
        self.redis.start(met_at=self._proxied, down_after_ms=PATIENT_MS)
        self._servers |= {f"redis {port}": one for port, one in self.redis.servers.items()}

    def _proxied(self, port: int) -> int:
        self._ports["redis"] = self.toxiproxy.stands_before("redis", port)
        return self._ports["redis"]

    def fail_redis_over(self) -> float:
        """Kills the master; the seconds until its replica takes what is written."""
        first, second = self.redis.servers
        self.redis.in_a_hurry(HURRIED_MS)
        began = time.monotonic()
        self.redis.servers[first].process.kill()
        until(lambda: self.redis.master() == second)
        return time.monotonic() - began

    def counts(self) -> int:
        """How many counts the master has."""
        return int(self.redis.client(self.redis.master()).dbsize())

    @property
    def redis_url(self) -> str:
        return self.redis.url()

    def _environment(self) -> dict[str, str]:
        found = super()._environment()
        for name, variable, port in self._upstreams():
            self._ports[name] = self.toxiproxy.stands_before(name, port)
            found[variable] = found[variable].replace(str(port), str(self._ports[name]))
        return found

    def _upstreams(self) -> Iterator[tuple[str, str, int]]:
        yield "postgres", "DATABASE_URL", int((self.directory / "postgres/port").read_text())
        yield "provider", "SANDBOX_PROVIDER_URL", self.sandbox.port
        if self.broker:
            yield "rabbitmq", "RABBITMQ_URL", int(urlsplit(self.broker.url).port or 0)

    def close(self) -> None:
        super().close()
        self.redis.stop()
        self.toxiproxy.close()


def drill(directory: Path, args: argparse.Namespace, say: Say) -> Iterator[Outcome]:
    stage = NetworkStage(directory, say)
    with Playing(stage, say) as scene:
        scene.until_asked(AROUND)
        _late(stage, scene, say)
        for name in stage.names:
            _cut(stage, scene, say, name)
            _half_open(stage, scene, say, name)
        seconds = _fail_redis_over(stage, scene, say)
        scene.settled()
        outcome = scene.judged("network")
        outcome.refused_seconds = scene.watch.longest_refusal()
        outcome.figures += [
            f"{len(scene.watch.unserved())} of {len(scene.watch.all())} tries refused",
            f"slowest answer {scene.watch.slowest():.1f} s",
            f"Redis failed over in {seconds:.1f} s",
            f"between the service and {', '.join(stage.names)}",
        ]
        if not stage.broker:
            outcome.figures.append("not tried: RabbitMQ, which is not installed")
        yield outcome


def _late(stage: NetworkStage, scene: Scene, say: Say) -> None:
    say("everything answers late")
    with contextlib.ExitStack() as late:
        for name in stage.names:
            ms = LATENCY_MS[name]
            late.enter_context(
                stage.toxiproxy.poisoned(name, "latency", "downstream", latency=ms, jitter=ms // 2)
            )
        time.sleep(SECONDS)
    scene.until_asked(AROUND)


def _cut(stage: NetworkStage, scene: Scene, say: Say, name: str) -> None:
    say(f"{name}: cut in the middle of answers")
    began = time.time()
    with stage.toxiproxy.poisoned(name, "limit_data", "downstream", bytes=CUT_BYTES[name]):
        time.sleep(SECONDS)
    scene.until_served(began + SECONDS)


def _half_open(stage: NetworkStage, scene: Scene, say: Say, name: str) -> None:
    say(f"{name}: half open, answers and then questions are swallowed")
    for stream in ("downstream", "upstream"):
        began = time.time()
        with stage.toxiproxy.poisoned(name, "timeout", stream, timeout=HALF_OPEN_MS):
            time.sleep(SECONDS)
        scene.until_served(began + SECONDS)


def _fail_redis_over(stage: NetworkStage, scene: Scene, say: Say) -> float:
    say("redis: the master is killed, the Sentinel names another")
    seconds = stage.fail_redis_over()
    began = time.time()
    scene.until_asked(AROUND)
    until(lambda: stage.counts() > 0)
    scene.until_served(began)
    return seconds
