"""A circuit breaker per provider and process: pybreaker's states, without its queue.

pybreaker runs the guarded call itself under its lock, one call at a time. A provider is asked by
many threads at once, so the call runs outside, and pybreaker is told how it ended.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pybreaker

from payment_service.telemetry import metrics

STATES = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_OPEN: 1, pybreaker.STATE_HALF_OPEN: 2}


class CircuitOpen(Exception):
    """The provider failed too often of late; it is not asked for `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"not asked for another {retry_after:.0f} s")
        self.retry_after = max(retry_after, 1.0)


class _Gauge(pybreaker.CircuitBreakerListener):
    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        metrics.CIRCUIT_STATE.labels(cb.name).set(STATES[new_state.name])


class Circuit:
    """Opens after `fail_max` failures in a row; after `reset_seconds` one trial call decides."""

    def __init__(self, name: str, *, fail_max: int, reset_seconds: float) -> None:
        self.breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max,
            reset_timeout=reset_seconds,
            name=name,
            listeners=[_Gauge()],
            throw_new_error_on_trip=False,
        )
        self._trial = threading.Lock()
        metrics.CIRCUIT_STATE.labels(name).set(STATES[pybreaker.STATE_CLOSED])
        self._refused = metrics.CIRCUIT_REFUSED.labels(name)

    @contextmanager
    def watching(self, *failures: type[Exception]) -> Iterator[None]:
        """Runs the block if the circuit lets it, and counts how it ends.

        Raises CircuitOpen without running it. `failures` count against the provider, unless the
        error says `counts = False`.
        """
        trial = self._enter()
        try:
            yield
        except failures as error:
            if getattr(error, "counts", True):
                self._tell(error)
            raise
        else:
            self._tell(None)
        finally:
            if trial:
                self._trial.release()

    def _enter(self) -> bool:
        """Whether this call is the trial of an open circuit."""
        if self.breaker.current_state == pybreaker.STATE_CLOSED:
            return False
        wait = self._left()
        if wait > 0 or not self._trial.acquire(blocking=False):
            self._refused.inc()
            raise CircuitOpen(max(wait, 1.0))
        return True

    def open_until(self) -> datetime | None:
        """Until when nobody is let through; None of one that is closed. Then one trial decides."""
        opened_at = self.breaker._state_storage.opened_at
        if opened_at is None or self.breaker.current_state == pybreaker.STATE_CLOSED:
            return None
        return opened_at + timedelta(seconds=self.breaker.reset_timeout)

    def _left(self) -> float:
        until = self.open_until()
        return 0.0 if until is None else (until - datetime.now(UTC)).total_seconds()

    def _tell(self, error: Exception | None) -> None:
        def replay() -> None:
            if error is not None:
                raise error

        try:
            self.breaker.call(replay)
        except pybreaker.CircuitBreakerError:
            pass  # a call that began before the circuit opened comes home late
        except Exception as replayed:
            if replayed is not error:
                raise
