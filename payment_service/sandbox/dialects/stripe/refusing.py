"""Answers of the sandbox's Stripe that are no yes."""

from __future__ import annotations

from typing import Any


class StripeSays(Exception):
    """An answer that is no 2xx: its status, and the error object in its body."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.error = error


def bad(message: str, *, code: str | None = None, param: str | None = None) -> StripeSays:
    """400 invalid_request_error: nothing was done, and no key keeps it."""
    told = {"code": code, "param": param, "message": message, "type": "invalid_request_error"}
    return StripeSays(400, {name: value for name, value in told.items() if value is not None})


def missing(noun: str, row_id: str, param: str, status: int = 404) -> StripeSays:
    """There is no such object. 404 where the path names it, 400 where a parameter does."""
    found = bad(f"No such {noun}: '{row_id}'", code="resource_missing", param=param)
    return StripeSays(status, found.error)
