"""What a client may take of us: bytes of a body, and time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from werkzeug.exceptions import HTTPException

MOST_BYTES = 64 * 1024
"""Of a body."""
MOST_WEBHOOK_BYTES = 256 * 1024
"""Of a provider's webhook: an event of Stripe's carries whole objects."""
READ_SECONDS = 15.0
"""REQUEST_READ_SECONDS where it is not set."""

_WEBHOOK = re.compile(r"/webhooks/[^/]+\Z")

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Patience:
    """Seconds. `read` is from a request's first byte to its last; `answer` how long the client may
    take no byte of what it is sent."""

    read: float
    answer: float


def most_bytes(path: str) -> int:
    """Of a body that is sent there. By the path alone, because it is asked before there is an app,
    and a gateway may keep a prefix."""
    return MOST_WEBHOOK_BYTES if _WEBHOOK.search(path) else MOST_BYTES


def patient(*, read: float | None = None, answer: float | None = None) -> Callable[[View], View]:
    """For a view with times of its own, such as an upload or an export; below the route's
    decorator. What is not given is REQUEST_READ_SECONDS."""

    def decorate(view: View) -> View:
        view.patience = (read, answer)  # type: ignore[attr-defined]
        return view

    return decorate


def of_route(app: Any, path: str, method: str, usual: Patience) -> Patience:
    """The times of the view that answers there; `usual` where there is none, or no Flask app."""
    try:
        endpoint, _ = app.url_map.bind("").match(path, method)
    except (AttributeError, HTTPException):
        return usual
    read, answer = getattr(app.view_functions.get(endpoint), "patience", (None, None))
    return Patience(read or usual.read, answer or usual.answer)
