"""The world outside, for development and tests: a provider, the sister services and an identity
service over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from payment_service.sandbox.control import control
from payment_service.sandbox.dialects.psp.routes import psp
from payment_service.sandbox.identity import identity
from payment_service.sandbox.page import page
from payment_service.sandbox.people import people
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.settings import read_settings
from payment_service.sandbox.sisters import sisters
from payment_service.sandbox.state import SandboxState

# Larger than anything the service sends; a sandbox needs no more protection than this.
_LARGEST_BODY = 1024 * 1024


def create_app(overrides: Mapping[str, str] | None = None) -> Flask:
    """A WSGI app with a state of its own; `overrides` win over the environment.

    It holds its journal alone: one process, any number of threads.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    app.extensions["sandbox"] = SandboxState(read_settings(overrides))
    for blueprint in (psp, sisters, identity, people, control, page):
        app.register_blueprint(blueprint)
    app.add_url_rule("/health", view_func=health)
    app.register_error_handler(HTTPException, _http_error)
    return app


def health() -> Response:
    """Whether the sandbox answers."""
    return reply(200, {"status": "UP"})


def _http_error(error: HTTPException) -> Response:
    code = (error.name or "error").lower().replace(" ", "_")
    return failed(error.code or 500, code, error.description or "")
