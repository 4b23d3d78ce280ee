"""Gateways of existing platforms call /api/v1/... and /api/...: the same endpoints answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

WSGIApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

# Not under /v1, so not moved there.
_AT_THE_ROOT = ("/health", "/ready", "/metrics", "/openapi.json", "/docs", "/static")


def without_prefix(app: WSGIApp) -> WSGIApp:
    """A WSGI wrapper that makes /api/v1/x and /api/x into /v1/x."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/api/"):
            rest = path.removeprefix("/api")
            kept = rest.startswith("/v1/") or rest.startswith(_AT_THE_ROOT)
            environ["PATH_INFO"] = rest if kept else f"/v1{rest}"
        return app(environ, start_response)

    return wrapped
