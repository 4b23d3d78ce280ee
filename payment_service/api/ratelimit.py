"""So many requests per caller's address: Flask-Limiter's counters, asked in one step.

Flask-Limiter's own check gathers the limits of blueprint and view anew for each request, which
took a tenth of a charge's time in Python. Here all views share one limit, so its strategy is asked
directly. Its check is left for when Redis is away: it counts in memory then, and looks from time to
time whether Redis is back.
"""

from __future__ import annotations

import time

from flask import Flask, g, request
from limits import RateLimitItem, parse_many
from limits.strategies import RateLimiter

from payment_service.domain.errors import DomainError
from payment_service.extensions import limiter

PROBES = "health"
"""The blueprint of those who watch: they are not counted, and must never be refused."""


class TooManyRequests(DomainError):
    """The caller's address is over the limit."""

    code = "too_many_requests"


def register(app: Flask) -> None:
    """Refuses what is over RATE_LIMIT."""
    limits = parse_many(app.extensions["settings"].rate_limit)
    usual: RateLimiter
    app.before_request(lambda: _count(limits, usual))  # before Flask-Limiter's own
    limiter.init_app(app)
    usual = limiter.limiter


@limiter.request_filter
def _needs_no_check() -> bool:
    return g.get("is_counted", False) or request.blueprint == PROBES


def _count(limits: list[RateLimitItem], usual: RateLimiter) -> None:
    if request.blueprint == PROBES or limiter.limiter is not usual:
        return
    address = request.remote_addr or "unknown"
    try:
        over = [limit for limit in limits if not usual.hit(limit, address)]
    except usual.storage.base_exceptions:
        return  # Flask-Limiter's check finds the same, and knows what to do
    g.is_counted = True
    if over:
        reset = max(usual.get_window_stats(limit, address).reset_time for limit in over)
        raise TooManyRequests(
            f"no more than {' and '.join(map(str, over))} from one address",
            retry_after=max(1, round(reset - time.time())),
        )
