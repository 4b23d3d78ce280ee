"""The sandbox's provider, which tells a test of every request just before it is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from payment_service.providers import registry
from payment_service.providers.contract import Operation, Result
from payment_service.providers.sandbox import SandboxProvider


def watch_provider(
    monkeypatch: pytest.MonkeyPatch,
    sending: Callable[[Operation], object],
    *,
    looking_up: Callable[[Operation], object] = lambda operation: None,
) -> None:
    """Apps that are made from now on call these before a request, or a look-up, leaves them. What
    the contract refuses to send (busy, too late, circuit open) is not told."""

    class Watched(SandboxProvider):
        def _ask(self, operation: Operation) -> Result:
            sending(operation)
            return super()._ask(operation)

        def _lookup(self, operation: Operation) -> Result | None:
            looking_up(operation)
            return super()._lookup(operation)

    build = lambda settings, limits: Watched(settings.sandbox_provider_url, limits)  # noqa: E731
    monkeypatch.setitem(registry.BUILDERS, "sandbox", build)
