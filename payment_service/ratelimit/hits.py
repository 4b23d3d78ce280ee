"""Hits sent to Redis, where limits' own scripts count them; one round trip each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, cast

from limits.storage import RedisStorage
from redis import Redis
from redis.exceptions import ConnectionError, NoScriptError

from payment_service.patient_redis import REDIS_PATIENCE
from payment_service.ratelimit.windows import Limit, Standing, narrowest

_TIME = b"%017.6f"
_SOME_TIME = _TIME % 0  # as long as any until the year 2286

_BOTH = """
local function count(KEYS, ARGV) {count} end
local function tell(KEYS, ARGV) {tell} end
local words = {{count(KEYS, ARGV) and 1 or 0}}
for _, word in ipairs(tell(KEYS, {{{arguments}}}) or {{}}) do
    words[#words + 1] = tostring(word or 0)
end
return table.concat(words, ' ')
"""
_OF_TIMES = _BOTH.format(
    count=RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode(),
    tell=RedisStorage.SCRIPT_MOVING_WINDOW.decode(),
    arguments="ARGV[1] - ARGV[3], ARGV[2]",
)
_OF_COUNTS = _BOTH.format(
    count=RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode(),
    tell=RedisStorage.SCRIPT_SLIDING_WINDOW.decode(),
    arguments="ARGV[2]",
)
"""The script of limits that counts and the one that tells how it stands then, as one: so a hit that
is counted is told of in any case, and in one line, which is read in half the time."""


class Hits:
    """Sends hits, on connections of redis-py that are kept here: its client and its pool take
    longer for a hit than all else in it. One that Redis has closed meanwhile is replaced when that
    shows."""

    def __init__(self, storage: RedisStorage) -> None:
        self._storage, client = storage, cast(Redis, storage.get_connection())
        self._of_times = client.register_script(_OF_TIMES)
        self._of_counts = client.register_script(_OF_COUNTS)
        pool = client.connection_pool
        self._make = partial(pool.connection_class, **pool.connection_kwargs)
        self._pack = self._make().pack_command  # making a connection takes 60 times as long
        scripts = (self._of_times.script, self._of_counts.script)
        self._lessons = [b"".join(self._pack("SCRIPT", "LOAD", script)) for script in scripts]
        self._free: list[Any] = []
        self._parts = lru_cache(maxsize=4096)(self._packed)

    def send(self, limit: Limit, who: str) -> Sent:
        """Raises RedisError."""
        parts, now = self._parts(limit, who), time.time()
        command = parts[0] if len(parts) == 1 else (_TIME % now).join(parts)
        sent = Sent(self, limit, command, now)
        try:
            used = self._free.pop()
        except IndexError:
            sent.go_anew()
            return sent
        try:
            sent.go(used)
        except ConnectionError:
            self.forget_connections()
            sent.go_anew()
        return sent

    def connected(self, ends: float, *, teach: bool = False) -> Any:
        """A new connection, at the time `ends` at the latest; with `teach` Redis was given the
        scripts once more by it. Raises RedisError."""
        connection = self._make(
            socket_connect_timeout=_left(ends), redis_connect_func=partial(_greet, ends)
        )
        connection.connect()
        if teach:
            try:
                connection.send_packed_command(self._lessons)
                for _ in self._lessons:
                    _read_by(connection.read_response, ends)
            except BaseException:
                connection.disconnect()
                raise
        return connection

    def forget_connections(self) -> None:
        """One was closed, and the others are as old."""
        while self._free:
            with contextlib.suppress(IndexError):
                self._free.pop().disconnect()

    def take_back(self, connection: Any) -> None:
        """A connection on which nothing is left to be read."""
        self._free.append(connection)

    def _packed(self, limit: Limit, who: str) -> list[bytes]:
        """The commands; between any two parts belongs the time."""
        parts = [b""]
        for window in limit.windows:
            key, most = window.item.key_for(limit.name, who), window.most
            if window.keeps_times:
                name = self._storage.prefixed_key(key)
                words = [self._of_times.sha, 1, name, _SOME_TIME, most, window.seconds, 1]
                # Its last time, because a name may look like one.
                head, _, rest = b"".join(self._pack("EVALSHA", *words)).rpartition(_SOME_TIME)
                parts += [parts.pop() + head, rest]
            else:
                # Named as limits does it, so that a cluster has both in one place.
                names = [self._storage.prefixed_key(f"{{{key}}}{end}") for end in ("/-1", "")]
                words = [self._of_counts.sha, 2, *names, most, window.seconds, 1]
                parts.append(parts.pop() + b"".join(self._pack("EVALSHA", *words)))
        return parts


class Sent:
    """A hit that is on its way. Redis is at it while the database reads: its answer is there when
    it is wanted, and nobody has to wait for it."""

    def __init__(self, hits: Hits, limit: Limit, command: bytes, at: float) -> None:
        self._hits, self._limit, self._command, self._at = hits, limit, command, at
        self._connection: Any = None
        self._waited: float | None = None  # seconds, of one whose connection was made for it

    def go(self, connection: Any) -> None:
        """Raises RedisError."""
        try:
            connection.send_packed_command([self._command])
        except BaseException:
            connection.disconnect()
            raise
        self._connection = connection

    def go_anew(self, since: float | None = None, *, teach: bool = False) -> None:
        """On a new connection; what was waited `since` then counts. Raises RedisError."""
        since = since or time.monotonic()
        self.go(self._hits.connected(since + REDIS_PATIENCE, teach=teach))
        self._waited = time.monotonic() - since

    def standing(self) -> Standing:
        """How the limit stands with it. To be asked once. Raises RedisError.

        If the connection broke after Redis had counted, the hit counts twice: better than not.
        """
        since = time.monotonic() - (self._waited or 0.0)
        try:
            return self._read(since)
        except NoScriptError:  # Redis began anew
            self.go_anew(since, teach=True)
        except ConnectionError:
            if self._waited is not None:
                raise
            self._hits.forget_connections()
            self.go_anew(since)
        return self._read(since)

    def drop(self) -> None:
        """Nobody will ask."""
        self._connection.disconnect()

    def _read(self, since: float) -> Standing:
        """All that is told, by REDIS_PATIENCE `since` then. (One answer on a connection that was
        kept has that time by itself, and saying so to each read costs more than reading.)"""
        read: Callable[[], Any] = self._connection.read_response
        if self._waited is not None or len(self._limit.windows) > 1:
            read = partial(_read_by, read, since + REDIS_PATIENCE)
        try:
            standings = [one.standing(read(), self._at) for one in self._limit.windows]
        except BaseException:
            self._connection.disconnect()  # the other answers will not be read
            raise
        self._hits.take_back(self._connection)
        return standings[0] if len(standings) == 1 else narrowest(standings)


def _greet(ends: float, connection: Any) -> None:
    """redis-py's greeting. It is several round trips, and would wait as long for each of them."""
    connection.read_response = partial(_read_by, connection.read_response, ends)
    try:
        connection.on_connect()
    finally:
        del connection.read_response


def _read_by(read: Callable[..., Any], ends: float, *args: Any, **more: Any) -> Any:
    return read(*args, **more, timeout=_left(ends))


def _left(ends: float) -> float:
    """Seconds; never 0, which would be no patience with what is there already."""
    return max(0.001, ends - time.monotonic())
