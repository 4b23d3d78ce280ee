"""A Flask view that answers a constant: the price of gunicorn, Flask and the load alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from flask import Flask, Response

from tests.running_service import Service


def create_app() -> Flask:
    """The app that gunicorn serves."""
    app = Flask(__name__)

    @app.get("/health/ready")
    @app.get("/")
    def constant() -> Response:
        return Response('{"status": "UP"}', content_type="application/json")

    return app


class Bare(Service):
    """The bare app under the service's own gunicorn settings."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, DATABASE_URL="postgresql://nobody@127.0.0.1/none")

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        return super()._spawn(*command[:-1], "tests.bench.bare:create_app()")
