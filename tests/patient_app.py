"""The service's app with one more route, which waits longer for its clients than others."""

from __future__ import annotations

from flask import Flask, request

from payment_service import create_app as create_service
from payment_service.bounds import patient


def create_app() -> Flask:
    """The app that gunicorn serves."""
    app = create_service()

    @app.post("/patient")
    @patient(read=60, answer=60)
    def take() -> bytes:
        return request.get_data()

    return app
