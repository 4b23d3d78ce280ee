"""The forms in which the address of a Redis comes: its own, or that of the Sentinels that know it.

redis+sentinel://user:password@host1:26379,host2:26379/master/number?sentinel_password=...
(rediss+sentinel:// where Redis and Sentinels are met by TLS)
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

SENTINEL = "+sentinel"
PORT = 26379
"""What a Sentinel listens on if nobody says otherwise."""


@dataclass(frozen=True)
class Watched:
    """A Redis that Sentinels watch. `redis_url` says how to speak to the master they name: its
    user, password, number and options; the host in it is a Sentinel's."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    sentinel_password: str | None
    redis_url: str


def watched(text: str) -> Watched | None:
    """None for a URL that names a Redis itself. Raises ValueError."""
    scheme, _, rest = text.partition("://")
    if not scheme.endswith(SENTINEL):
        return None
    url = urlsplit(f"//{rest}")
    user, at, hosts = url.netloc.rpartition("@")
    sentinels = tuple(map(_place, hosts.split(",")))
    master, _, number = url.path.removeprefix("/").partition("/")
    if not master:
        raise ValueError("no master is named")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    password = options.pop("sentinel_password", None)
    query = f"?{urlencode(options)}" if options else ""
    host = hosts.split(",")[0]
    plain = f"{scheme.removesuffix(SENTINEL)}://{user}{at}{host}/{number}{query}"
    return Watched(sentinels, master, password, plain)


def _place(text: str) -> tuple[str, int]:
    url = urlsplit(f"//{text}")
    if not url.hostname:
        raise ValueError("a host is missing")
    return url.hostname, PORT if url.port is None else url.port
