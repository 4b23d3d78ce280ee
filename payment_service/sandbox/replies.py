"""Answers as JSON."""

from __future__ import annotations

import json
from typing import Any

from flask import Response


def reply(status: int, body: Any, **headers: str) -> Response:
    """JSON; a header's name is written with _ for -."""
    response = Response(json.dumps(body), status, mimetype="application/json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def failed(status: int, code: str, message: str = "") -> Response:
    """The one error shape of the sandbox."""
    return reply(status, {"error": code, "message": message or code.replace("_", " ")})
