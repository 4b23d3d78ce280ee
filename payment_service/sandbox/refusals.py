"""Why a request is not even looked at. Whoever raises one of these has written nothing."""

from __future__ import annotations


class Invalid(ValueError):
    """The body can't be understood; the text names the field."""


class Refused(Exception):
    """Not an outcome but a refusal to look at the request: HTTP status and stable code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
