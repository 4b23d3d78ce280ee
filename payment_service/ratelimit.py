"""So many requests per caller's address: Flask-Limiter, asked in one step."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse_many
from limits.storage import RedisStorage
from redis.exceptions import NoScriptError, RedisError
from werkzeug.exceptions import HTTPException, TooManyRequests

PROBES = "health"
"""The blueprint of those who watch: they are not counted, and never refused."""
CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")


class Sent:
    """A hit of each limit that is on its way to Redis, as the storage's own script counts it.

    Redis is at it while the database reads: its answer is there when it is wanted, and nobody has
    to wait for it. It is sent on a connection of redis-py's pool, whose client takes longer.
    """

    def __init__(self, storage: RedisStorage, limits: list[RateLimitItem], address: str) -> None:
        self.limits, self.address = limits, address
        client: Any = storage.get_connection()
        self._pool = client.connection_pool
        self._connection: Any = self._pool.get_connection()
        script = storage.lua_incr_expire.sha
        try:
            for limit in limits:
                key = storage.prefixed_key(limit.key_for(address))
                self._connection.send_command("EVALSHA", script, 1, key, limit.get_expiry(), 1)
        except BaseException:
            self.forget()
            raise

    def over(self) -> list[RateLimitItem]:
        """The limits that this hit goes beyond. Raises RedisError."""
        try:
            found = [
                limit
                for limit in self.limits
                if int(self._connection.read_response()) > limit.amount
            ]
        except BaseException:
            self.forget()
            raise
        self._pool.release(self._connection)
        return found

    def forget(self) -> None:
        """Its answers will not be read, so nobody may use the connection any more."""
        self._connection.disconnect()
        self._pool.release(self._connection)


class OneLimit(Limiter):
    """RATELIMIT_APPLICATION, and nothing else.

    Flask-Limiter gathers the limits of each blueprint and view anew for each request, which took
    an eighth of a charge's time in Python. Where there is but one, its strategy is asked directly.
    """

    def init_app(self, app: Flask) -> None:
        super().init_app(app)
        self._storage_dead = False  # another app's Redis may have been away
        # The app's and not the limiter's, which is one for all apps of a process.
        app.extensions["rate_limits"] = parse_many(app.config["RATELIMIT_APPLICATION"])
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
        if not isinstance(self.storage, RedisStorage):  # this process counts for itself
            over = [limit for limit in limits if not self.limiter.hit(limit, address)]
            self._refuse(over, address)
            return
        try:
            sent = None if self._storage_dead else Sent(self.storage, limits, address)
        except self.storage.base_exceptions:
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
            over = sent.over()
        except NoScriptError:  # it began anew; redis-py's client gives it the script
            over = [limit for limit in sent.limits if not self.limiter.hit(limit, sent.address)]
        except self.storage.base_exceptions:
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
        sent.forget()


# Without Redis each process counts for itself, rather than refusing or slowing everybody. Of the
# threads that find it gone at the same moment Flask-Limiter turns one to memory, and would fail the
# requests of the others; they pass.
limiter = OneLimit(
    key_func=get_remote_address, in_memory_fallback_enabled=True, swallow_errors=True
)
