"""Answers of Stripe's that are no yes, and what is no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import stripe

from payment_service import http
from payment_service.providers.contract import NotSent, OutcomeUnknown

UNREADABLE = (
    *(ValueError, TypeError, AttributeError, RecursionError),
    *(LookupError, ArithmeticError, OSError),  # an empty page; times that no calendar has
)
"""What reading an object raises if it does not fit."""


@contextmanager
def understood() -> Iterator[None]:
    """Silence is unknown, and so is what comes back and does not fit what was asked."""
    try:
        yield
    except http.Silence as error:
        raise OutcomeUnknown(str(error)) from error
    except UNREADABLE as error:
        raise OutcomeUnknown(f"unreadable answer: {error!r}") from error


@contextmanager
def only_read() -> Iterator[None]:
    """Of a question, every answer that is none is unknown."""
    try:
        with understood():
            yield
    except (http.Unreachable, NotSent, stripe.StripeError) as error:
        raise OutcomeUnknown(f"not told: {shown(error)}") from error


def error_in(error: stripe.StripeError) -> Mapping[str, Any] | None:
    """Stripe's error object, if this answer is Stripe's."""
    body = error.json_body
    told = body.get("error") if isinstance(body, Mapping) else None
    return told if isinstance(told, Mapping) else None


def shown(error: Exception) -> str:
    """Without its message, in which a key or a token may stand."""
    if not isinstance(error, stripe.StripeError):
        return str(error)
    found = error_in(error) or {}
    return f"answered {error.http_status}, {found.get('type')}, {found.get('code')}"
