"""Stripe's official SDK, sent through our own http: no retries, no telemetry, no second log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import stripe
from stripe import _util

from payment_service import http
from payment_service.providers.contract import NotSent

# All speak of our requests to others than us: to Stripe how long they took and on what machine; to
# the log, and with STRIPE_LOG to stderr, their bodies, with tokens and client secrets.
stripe.enable_telemetry = False
logging.getLogger("stripe").setLevel(logging.WARNING)
stripe.log = None
_util.STRIPE_LOG = None  # it was read from the environment when the SDK was imported


_KEY = re.compile(r"(?:sk|rk)_(live|test)_[A-Za-z0-9_]+", re.ASCII)


class Transport(stripe.HTTPClient):
    """Each request is one `http.call`, a read one `http.get`.

    What `http` raises comes through the SDK untouched. Its own transport raises one and the same
    error for a refused connection, after which nothing was sent, and for one that broke off.
    """

    name = "payment-service"

    def __init__(self, timeout: Callable[[], float]) -> None:
        """`timeout` is asked before each request; seconds."""
        super().__init__()
        self._timeout = timeout

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Raises http.Unreachable and http.Silence, and NotSent if it is too much for Stripe."""
        if method == "get":
            answer = http.get(url, headers=headers, timeout=self._timeout())
        else:
            data = post_data.encode() if post_data is not None else None
            answer = http.call(
                method.upper(), url, data=data, headers=headers, timeout=self._timeout()
            )
        if answer.status == 429:  # whoever in between says it, and in whatever words
            raise NotSent("asked to slow down", counts=False)
        return answer.body.decode(errors="replace"), answer.status, answer.headers

    def close(self) -> None:
        """Connections are kept by http."""


def client(
    key: str, *, base: str, version: str, timeout: Callable[[], float]
) -> stripe.StripeClient:
    """The SDK's client. `base` is where the API is, with or without a path."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": base.rstrip("/")},
        stripe_version=version,
        max_network_retries=0,
        http_client=Transport(timeout),
    )


def is_live(key: str) -> bool:
    """Whether money is moved with the key. Raises ValueError for what can't be one that moves any:
    a publishable key, a webhook's secret."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError("must be a secret or a restricted key: (sk|rk)_(live|test)_...")
    return found[1] == "live"
