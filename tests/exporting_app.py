"""The service's app whose exports wait no longer for a reader than other answers do."""

from __future__ import annotations

from flask import Flask

from payment_service import create_app as create_service

SECONDS = 1.0


def create_app() -> Flask:
    """The app that gunicorn serves."""
    app = create_service()
    app.view_functions["admin.payments_csv"].patience = (None, SECONDS)  # type: ignore[attr-defined]
    return app
