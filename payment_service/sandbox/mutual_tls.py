"""The sandbox a second time, on a port where both sides show certificates: for providers that know
merchants by theirs. In the same process, because what the sandbox holds is in memory.

gunicorn has TLS for all of its addresses or for none, so werkzeug's server, which comes with Flask,
serves this one.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from payment_service.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for a handshake, and for a client to hear why there is none."""

CA, CERTIFICATE, KEY = "ca.pem", "server.cert.pem", "server.key.pem"
"""In the folder: whom we believe, and who we are."""


def begin(app: Flask, settings: SandboxSettings) -> None:
    """Serves the app on SANDBOX_SWISH_PORT too, if that is set, for as long as the process lives.
    Raises OSError for a port or file that can't be had."""
    if settings.sandbox_swish_port is not None:
        server = _Server(settings.sandbox_swish_port, app, Path(settings.sandbox_swish_dir))
        threading.Thread(target=server.serve_forever, name="mutual-tls", daemon=True).start()


class _Handler(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """gunicorn writes no line for each request either."""


class _Server(ThreadedWSGIServer):
    def __init__(self, port: int, app: Flask, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
        context.load_verify_locations(folder / CA)
        context.verify_mode = ssl.CERT_REQUIRED
        super().__init__("127.0.0.1", port, app, handler=_Handler)
        self.ssl_context = context  # by which the handler knows that it is https

    def finish_request(self, request: Any, client_address: Any) -> None:
        """On the connection's own thread, so that nobody who is slow to agree on TLS holds up
        others."""
        assert self.ssl_context is not None
        request.settimeout(PATIENCE)
        with self.ssl_context.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        ) as connection:
            try:
                connection.do_handshake()
            except OSError as error:
                log.warning("no TLS with %s: %s", client_address[0], error)
                _let_hear(connection)
                return
            connection.settimeout(None)
            _Handler(connection, client_address, self)
            _let_hear(connection)


def _let_hear(connection: ssl.SSLSocket) -> None:
    """Waits until the client has left: with bytes of its unread, closing would reset the connection
    before it has read what we said last."""
    with contextlib.suppress(OSError, ValueError):
        connection.settimeout(PATIENCE)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
