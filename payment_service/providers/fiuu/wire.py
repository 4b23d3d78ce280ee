"""One request to Fiuu: a form out, JSON back, timed and counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pybreaker

from payment_service import http
from payment_service.providers.circuit import STATES
from payment_service.providers.contract import NotSent, OutcomeUnknown
from payment_service.telemetry import metrics

PATHS = {
    "requery": "/RMS/query/q_by_oid.php",
    "batch": "/RMS/query/q_oid_batch.php",
    "capture": "/RMS/API/capstxn/index.php",
    "void": "/RMS/API/refundAPI/refund.php",
    "refund": "/RMS/API/refundAPI/index.php",
    "refund_query": "/RMS/API/refundAPI/q_by_refID.php",
    "report": "/RMS/API/PSQ/psq-daily.php",
}
"""Where each thing is asked, under FIUU_API_URL."""

WRITES = frozenset({"capture", "void", "refund"})
"""What moves money; all others only read."""


class Wire:
    """Asks Fiuu's API. It answers JSON to type=2, and else lines of text."""

    def __init__(self, api_url: str) -> None:
        self._base_url = api_url.rstrip("/")

    def post(self, endpoint: str, fields: Mapping[str, str], *, timeout: float) -> Any:
        """What it answers, as JSON.

        Raises OutcomeUnknown, and NotSent for one of WRITES only: a read that was not sent may
        follow a write that was, and says nothing of that one.
        """
        try:
            return self._post(endpoint, fields, timeout)
        except NotSent as error:
            if endpoint in WRITES:
                raise
            raise OutcomeUnknown(f"not told: {error}") from error

    def _post(self, endpoint: str, fields: Mapping[str, str], timeout: float) -> Any:
        started, ending = time.perf_counter(), "silence"
        try:
            answer = http.call(
                "POST", self._base_url + PATHS[endpoint], form=fields, timeout=timeout
            )
            ending = str(answer.status)
        except http.Unreachable as error:
            ending = "unreachable"
            raise NotSent(str(error)) from error
        except http.Silence as error:
            raise OutcomeUnknown(str(error)) from error
        finally:
            seconds = time.perf_counter() - started
            metrics.FIUU_REQUESTS.labels(endpoint, "POST", ending).inc()
            metrics.FIUU_SECONDS.labels(endpoint).observe(seconds)
        if answer.status == 429:
            raise NotSent("asked to slow down", counts=False)
        if answer.status == 403 and answer.headers.get("Content-Type", "").startswith("text/html"):
            raise NotSent("refused by what stands in front of it")  # Fiuu itself answers no HTML
        if answer.status != 200:
            raise OutcomeUnknown(f"answered {answer.status}")
        try:
            return answer.json()
        except ValueError as error:
            raise OutcomeUnknown(f"unreadable answer: {error}") from error


class CircuitGauge(pybreaker.CircuitBreakerListener):
    """Shows Fiuu's circuit by the merchant, as dashboards know it."""

    def __init__(self, merchant: str) -> None:
        self._gauge = metrics.FIUU_CIRCUIT.labels(merchant)
        self._gauge.set(STATES[pybreaker.STATE_CLOSED])

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        self._gauge.set(STATES[new_state.name])


def texts(found: Any) -> dict[str, str]:
    """The fields of one object, all as the texts that its signature is over; nothing is empty.

    Raises OutcomeUnknown for what is no flat object.
    """
    if not isinstance(found, dict):
        raise OutcomeUnknown("unreadable answer: no object")
    for value in found.values():
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal | None):
            raise OutcomeUnknown("unreadable answer: fields within a field")
    return {name: "" if value is None else str(value) for name, value in found.items()}


def rows(found: Any) -> list[dict[str, str]]:
    """The objects of a list. Raises OutcomeUnknown for what is none."""
    if not isinstance(found, list):
        raise OutcomeUnknown("unreadable answer: no list")
    return [texts(one) for one in found]
