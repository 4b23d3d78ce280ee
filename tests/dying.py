"""One request to the service in a process that is killed, by kill -9, at one point of it:
`python -m tests.dying POINT`, with the settings in its environment and the request, as the test
client takes it, on its input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from flask import Flask

from payment_service import config, create_app
from payment_service.services import webhooks
from payment_service.services.moves import steps
from tests.sandbox_server import ROOT

FINISH, ANSWER, WEBHOOK = "finish", "answer", "webhook"
"""Once the provider has answered, before that is written; once it is written, before our caller is
answered; once a webhook is kept, before it is taken in."""


def dies(point: str, settings: dict[str, Any], **request: Any) -> None:
    """Sends the request, and sees the process die at that point."""
    given = {name.upper(): str(value) for name, value in settings.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-m", "tests.dying", point],
        cwd=ROOT,
        env={**os.environ, "AUTH_MODE": "off", **given},
        input=json.dumps(request).encode(),
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)


def _kill(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _app(point: str) -> Flask:
    app = create_app(config.load())
    if point == FINISH:
        steps.finish = _kill
    elif point == WEBHOOK:
        webhooks.process = _kill
    else:
        app.after_request(_kill)
    return app


if __name__ == "__main__":
    _app(sys.argv[1]).test_client().open(**json.load(sys.stdin))
