"""So many requests per caller's address: Flask-Limiter, asked in one step."""

from __future__ import annotations

import time

from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse_many
from werkzeug.exceptions import TooManyRequests

PROBES = "health"
"""The blueprint of those who watch: they are not counted, and never refused."""


class OneLimit(Limiter):
    """RATELIMIT_APPLICATION, and nothing else.

    Flask-Limiter gathers the limits of each blueprint and view anew for each request, which took
    an eighth of a charge's time in Python. Where there is but one, its strategy is asked directly.
    """

    def init_app(self, app: Flask) -> None:
        super().init_app(app)
        # The app's and not the limiter's, which is one for all apps of a process.
        app.extensions["rate_limits"] = parse_many(app.config["RATELIMIT_APPLICATION"])

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:
        """Flask-Limiter's hook before each request. Raises TooManyRequests."""
        if request.blueprint == PROBES:
            return
        if not self._storage_dead:
            address = get_remote_address()
            try:
                limits = current_app.extensions["rate_limits"]
                over = [limit for limit in limits if not self.limiter.hit(limit, address)]
                if over:
                    self._refuse(over, address)
                return
            except self.storage.base_exceptions:
                pass  # it finds the same, and knows what to do while Redis is away
        super()._check_request_limit(callable_name, in_middleware)

    def _refuse(self, over: list[RateLimitItem], address: str) -> None:
        reset = max(self.limiter.get_window_stats(limit, address).reset_time for limit in over)
        raise TooManyRequests(
            f"no more than {' and '.join(map(str, over))} from one address",
            retry_after=max(1, round(reset - time.time())),
        )


# Without Redis each process counts for itself, rather than refusing or slowing everybody. Of the
# threads that find it gone at the same moment Flask-Limiter turns one to memory, and would fail the
# requests of the others; they pass.
limiter = OneLimit(
    key_func=get_remote_address, in_memory_fallback_enabled=True, swallow_errors=True
)
