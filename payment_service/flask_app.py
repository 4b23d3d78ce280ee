"""The Flask that create_app() wires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask


class SynchronousFlask(Flask):
    """Flask without coroutines: all views and hooks here are plain functions. Flask asks each of
    them at each request whether it is one, 18 times a charge."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function, as it is."""
        return func
