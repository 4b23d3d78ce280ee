"""The service's app, which also says what its process has loaded."""

from __future__ import annotations

import json
import sys
from typing import Any

from flask import Flask

from payment_service import create_app as create_service


def create_app() -> Flask:
    """The app that gunicorn serves."""
    app = create_service()
    inner = app.wsgi_app

    def telling(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/modules":
            return inner(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json")])
        loaded = sorted(name for name, module in sys.modules.items() if module)
        return [json.dumps(loaded).encode()]

    app.wsgi_app = telling  # type: ignore[method-assign]
    return app
