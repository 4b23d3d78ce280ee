"""Answers as JSON."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse


def reply(status: int, body: Any, **headers: str) -> Response:
    """JSON; a header's name is written with _ for -."""
    response = Response(json.dumps(body), status, mimetype="application/json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def decided_already(answer: Response) -> BaseResponse:
    """A decision that nobody waits for any more. A person, who sent a form, is led to its page once
    more, which says so; a program is given the `answer`."""
    return redirect(request.path, 303) if "outcome" in request.form else answer


def failed(status: int, code: str, message: str = "") -> Response:
    """The one error shape of the sandbox."""
    return reply(status, {"error": code, "message": message or code.replace("_", " ")})
