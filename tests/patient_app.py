"""The service's app, which waits for Redis as long as tests wait for anything; with one more route,
which waits longer for its clients than others."""

from __future__ import annotations

from flask import Flask, request

from payment_service import create_app as create_service
from payment_service import patient_redis
from payment_service.bounds import patient
from payment_service.ratelimit import hits
from tests.patience import PATIENCE

PATIENT_APP = "tests.patient_app:create_app()"


def create_app() -> Flask:
    """The app that gunicorn serves."""
    patient_redis.REDIS_PATIENCE = hits.REDIS_PATIENCE = PATIENCE
    app = create_service()

    @app.post("/patient")
    @patient(read=60, answer=60)
    def take() -> bytes:
        return request.get_data()

    return app
