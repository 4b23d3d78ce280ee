"""`make clients`: the OpenAPI document in the hands of tools that nobody here wrote. It is linted,
clients in Python and TypeScript are generated from it and checked for types, and the Python one
charges, refunds and reads a receipt from a running service.

All of it happens in .clients: what stands here is copied there, to the tools, which make installs
from requirements.txt and package-lock.json, and to what they generate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flask import Flask

from payment_service import api
from tests.whole_service import whole_service

HERE = Path(__file__).parent
WORK = HERE.parents[1] / ".clients"
GENERATED = WORK / "generated"
DOCUMENT = "generated/openapi.json"
PYTHON_CLIENT = "generated/payments_client"
PYTHON_TOOLS = WORK / "venv/bin"
NODE_TOOLS = WORK / "node_modules/.bin"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


class Failed(Exception):
    """A tool found fault. What it said is on the screen."""


def main() -> None:
    if not (PYTHON_TOOLS / "node").exists() or not NODE_TOOLS.exists():
        raise Failed("Node.js or its tools are missing: run it as make clients")
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    for file in (
        *HERE.glob("walk.*"),
        *HERE.glob("*.yaml"),
        HERE / "mypy.ini",
        HERE / "tsconfig.json",
    ):
        shutil.copy(file, WORK)
    (WORK / DOCUMENT).write_text(document())
    node("spectral", "lint", DOCUMENT, "--ruleset", "spectral.yaml", "--fail-severity", "hint")
    node("redocly", "lint", DOCUMENT, "--config", "redocly.yaml")
    node("openapi-typescript", DOCUMENT, "--output", "generated/payments.ts")
    node("tsc", "--project", "tsconfig.json")
    python(
        *("openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none"),
        *("--output-path", PYTHON_CLIENT, "--fail-on-warning"),
    )
    python("mypy", "walk.py", PYTHON_CLIENT)
    with tempfile.TemporaryDirectory(prefix="clients-") as var, whole_service(Path(var)) as run:
        python("python", "walk.py", run.service, PYTHONPATH=str(GENERATED))


def document() -> str:
    """The document as the service serves it; it needs no database for that."""
    app = Flask(__name__)
    api.register(app)
    return json.dumps(app.test_client().get("/openapi.json").json, indent=2)


def node(tool: str, *arguments: str) -> None:
    _run(NODE_TOOLS / tool, *arguments)


def python(tool: str, *arguments: str, **environ: str) -> None:
    _run(PYTHON_TOOLS / tool, *arguments, **environ)


def _run(tool: Path, *arguments: str, **more: str) -> None:
    """Raises Failed if the tool does not end well."""
    path = f"{PYTHON_TOOLS}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, **QUIET, "PATH": path, **more}
    began = time.monotonic()
    print(f"clients: {tool.name} {' '.join(arguments)}", flush=True)
    done = subprocess.run([str(tool), *arguments], cwd=WORK, env=environ, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"{tool.name} ended with {done.returncode}")
    print(f"clients: {tool.name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (Failed, RuntimeError) as error:
        sys.exit(f"clients: {error}")
    print("clients: all is well")
