"""The world outside, for development and tests: a provider, the sister services and an identity
service over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from payment_service.sandbox.control import control
from payment_service.sandbox.dialects.fib.routes import fib
from payment_service.sandbox.dialects.fiuu.page import page as fiuu_page
from payment_service.sandbox.dialects.fiuu.routes import api as fiuu_api
from payment_service.sandbox.dialects.psp.routes import psp
from payment_service.sandbox.dialects.stripe.payers import payers
from payment_service.sandbox.dialects.stripe.routes import stripe
from payment_service.sandbox.dialects.swish.phones import phones
from payment_service.sandbox.dialects.swish.routes import swish
from payment_service.sandbox.dialects.zaincash.routes import zaincash
from payment_service.sandbox.identity import identity
from payment_service.sandbox.page import page
from payment_service.sandbox.people import people
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.settings import read_settings
from payment_service.sandbox.sisters import sisters
from payment_service.sandbox.state import SandboxState
from payment_service.sandbox.wire import Reset

# Larger than anything the service sends; a sandbox needs no more protection than this.
_LARGEST_BODY = 1024 * 1024


def create_app(overrides: Mapping[str, str] | None = None) -> Flask:
    """A WSGI app with a state of its own; `overrides` win over the environment.

    It holds its journal alone: one process, any number of threads.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    state = SandboxState(read_settings(overrides))
    app.extensions["sandbox"] = state
    dialects = (psp, fib, fiuu_api, fiuu_page, stripe, payers, swish, phones, zaincash)
    for blueprint in (*dialects, sisters, identity, people, control, page):
        app.register_blueprint(blueprint)
    app.before_request(_expect_whole)
    app.add_url_rule("/health", view_func=health)
    app.register_error_handler(HTTPException, _http_error)
    state.postponed.start(app)
    state.webhooks.start()
    return app


def _expect_whole() -> Response | None:
    """Of a client that dies while it sends, half a request may come. That is none: gunicorn hands
    on what there is of it."""
    if len(request.get_data()) < (request.content_length or 0):
        return Reset()
    return None


def health() -> Response:
    """Whether the sandbox answers."""
    return reply(200, {"status": "UP"})


def _http_error(error: HTTPException) -> Response:
    code = (error.name or "error").lower().replace(" ", "_")
    return failed(error.code or 500, code, error.description or "")
