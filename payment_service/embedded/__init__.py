"""A real PostgreSQL and a real Redis from wheels, for `make run` and the tests only.

All that a server writes stays in the directory it is given, and nobody else on the machine gets
in: that directory is 0700, and both servers want a random password, kept there in a 0600 file.
"""

from __future__ import annotations

from payment_service.embedded.postgres import bin_dir, running_postgres, start_postgres
from payment_service.embedded.redis import running_redis, start_redis
from payment_service.embedded.server import EmbeddedError, Server, lives

__all__ = [
    "EmbeddedError",
    "Server",
    "bin_dir",
    "lives",
    "running_postgres",
    "running_redis",
    "start_postgres",
    "start_redis",
]
