"""So many requests per caller's address: Flask-Limiter, asked in one step."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse_many
from limits.storage import RedisStorage
from redis.exceptions import ConnectionError, NoScriptError, RedisError
from werkzeug.exceptions import HTTPException, TooManyRequests

PROBES = "health"
"""The blueprint of those who watch: they are not counted, and never refused."""
CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")


class Hits:
    """Sends hits to Redis, as the storage's own script counts them.

    On connections of redis-py that are kept here: its client and its pool take longer for a hit
    than all else in it. One that Redis has closed meanwhile is replaced when that shows.
    """

    def __init__(self, storage: RedisStorage) -> None:
        self._storage, self._script = storage, storage.lua_incr_expire.sha
        client: Any = storage.get_connection()
        pool = client.connection_pool
        self._make = partial(pool.connection_class, **pool.connection_kwargs)
        self._pack = self._make().pack_commands  # making a connection takes 60 times as long
        self._free: list[Any] = []
        self._commands = lru_cache(maxsize=4096)(self._packed)

    def send(self, limits: tuple[RateLimitItem, ...], address: str) -> Sent:
        """Raises RedisError."""
        commands = self._commands(limits, address)
        try:
            used = self._free.pop()
        except IndexError:
            return Sent(self, limits, address, self._sent(self._make(), commands), fresh=True)
        try:
            return Sent(self, limits, address, self._sent(used, commands), fresh=False)
        except ConnectionError:
            return Sent(self, limits, address, self._anew(commands), fresh=True)

    def over(self, sent: Sent) -> list[RateLimitItem]:
        """The limits that the hit goes beyond. Raises RedisError.

        If the connection broke after Redis had counted, the hit counts twice: better than not.
        """
        try:
            return self._over(sent)
        except ConnectionError:
            if sent.fresh:
                raise
        sent.connection = self._anew(self._commands(sent.limits, sent.address))
        return self._over(sent)

    def _over(self, sent: Sent) -> list[RateLimitItem]:
        try:
            read = sent.connection.read_response
            found = [limit for limit in sent.limits if int(read()) > limit.amount]
        except BaseException:
            sent.connection.disconnect()  # the other answers will not be read
            raise
        self._free.append(sent.connection)
        return found

    def _anew(self, commands: list[bytes]) -> Any:
        """Sends them on a new connection. The others are as old as the one that was closed."""
        while self._free:
            with contextlib.suppress(IndexError):
                self._free.pop().disconnect()
        return self._sent(self._make(), commands)

    @staticmethod
    def _sent(connection: Any, commands: list[bytes]) -> Any:
        try:
            connection.send_packed_command(commands)
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _packed(self, limits: tuple[RateLimitItem, ...], address: str) -> list[bytes]:
        hits = []
        for limit in limits:
            key = self._storage.prefixed_key(limit.key_for(address))
            hits.append(("EVALSHA", self._script, 1, key, limit.get_expiry(), 1))
        return list(self._pack(hits))


@dataclass
class Sent:
    """A hit of each limit that is on its way to Redis.

    Redis is at it while the database reads: its answer is there when it is wanted, and nobody has
    to wait for it.
    """

    hits: Hits
    limits: tuple[RateLimitItem, ...]
    address: str
    connection: Any
    fresh: bool
    """Whether the connection was made for it."""


class OneLimit(Limiter):
    """RATELIMIT_APPLICATION, and nothing else.

    Flask-Limiter gathers the limits of each blueprint and view anew for each request, which took
    an eighth of a charge's time in Python. Where there is but one, its strategy is asked directly.
    """

    def init_app(self, app: Flask) -> None:
        super().init_app(app)
        self._storage_dead = False  # another app's Redis may have been away
        # The app's and not the limiter's, which is one for all apps of a process.
        app.extensions["rate_limits"] = tuple(parse_many(app.config["RATELIMIT_APPLICATION"]))
        if isinstance(self._storage, RedisStorage):
            app.extensions["rate_limit_hits"] = Hits(self._storage)
        app.after_request(self._settle)
        app.teardown_request(_forget)

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:
        """Flask-Limiter's hook before each request. Raises TooManyRequests.

        A request that changes something waits for what Redis says. One that reads does not: it is
        counted like any other, and who is over the limit hears so in place of what was read.
        """
        if request.blueprint == PROBES:
            return
        limits, address = current_app.extensions["rate_limits"], get_remote_address()
        hits: Hits | None = current_app.extensions.get("rate_limit_hits")
        if hits is None:  # this process counts for itself
            over = [limit for limit in limits if not self.limiter.hit(limit, address)]
            self._refuse(over, address)
            return
        try:
            sent = None if self._storage_dead else hits.send(limits, address)
        except RedisError:
            sent = None
        if sent is None:  # Flask-Limiter knows what to do while Redis is away
            super()._check_request_limit(callable_name, in_middleware)
            return
        g.rate_limit = sent
        if request.method not in CHANGE_NOTHING:
            self._expect_room()

    def _settle(self, response: Response) -> Response:
        """After each request: the answer, or the refusal that takes its place."""
        try:
            self._expect_room()
        except HTTPException as refusal:
            return current_app.make_response(current_app.handle_user_exception(refusal))
        return response

    def _expect_room(self) -> None:
        """Raises TooManyRequests if the hit that was sent is one too many."""
        sent: Sent | None = g.pop("rate_limit", None)
        if sent is None:
            return
        try:
            try:
                over = sent.hits.over(sent)
            except NoScriptError:  # it began anew; redis-py's client gives it the script
                over = [limit for limit in sent.limits if not self.limiter.hit(limit, sent.address)]
        except RedisError:
            super()._check_request_limit()
            return
        self._refuse(over, sent.address)

    def _refuse(self, over: list[RateLimitItem], address: str) -> None:
        """Raises TooManyRequests if there are any limits that the request is over."""
        if not over:
            return
        wait = 1.0
        with contextlib.suppress(RedisError):  # it counted, and went away
            reset = max(self.limiter.get_window_stats(limit, address).reset_time for limit in over)
            wait = reset - time.time()
        raise TooManyRequests(
            f"no more than {' and '.join(map(str, over))} from one address",
            retry_after=max(1, round(wait)),
        )


def _forget(_: BaseException | None) -> None:
    """At the end of a request that met no answer of its own."""
    sent: Sent | None = g.pop("rate_limit", None)
    if sent is not None:
        sent.connection.disconnect()


# Without Redis each process counts for itself, rather than refusing or slowing everybody. Of the
# threads that find it gone at the same moment Flask-Limiter turns one to memory, and would fail the
# requests of the others; they pass.
limiter = OneLimit(
    key_func=get_remote_address, in_memory_fallback_enabled=True, swallow_errors=True
)
