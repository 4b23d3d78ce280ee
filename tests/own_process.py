"""An app in a process of its own: the loggers and the registry of metrics are one per process, and
take their settings from its first app."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.sandbox_server import ROOT


def printed(script: str, **env: str) -> list[str]:
    """The lines that `script` prints; in it `app` is an app of this environment, `client` its
    client."""
    made = (
        "from payment_service import create_app\napp = create_app()\nclient = app.test_client()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", made + script],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
