"""A small HTTP proxy on one port before several services, as an ingress is: a request goes to one
of those that are in, once, and is never sent again."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "trailer"}
PATIENCE_SECONDS = 30.0
JSON = [("Content-Type", "application/json")]


class Balancer:
    """`url` stays; who is behind it changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in: list[int] = []
        self._under_way: Counter[int] = Counter()
        self._turns = itertools.count()
        # Requests that nobody answered, and how many each port had.
        self.failed: list[str] = []
        self.served: Counter[int] = Counter()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.balancer = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def let_in(self, port: int) -> None:
        """Requests go there too, from now on."""
        with self._lock:
            self._in.append(port)

    def take_out(self, port: int) -> None:
        """No request goes there from now on; returns once it has answered those it has."""
        with self._lock:
            self._in.remove(port)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._under_way[port]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._under_way[port]} requests do not end")
            time.sleep(0.01)

    @contextlib.contextmanager
    def one_of_them(self):  # type: ignore[no-untyped-def]
        """The port of a service that is in, counted as busy meanwhile; None if nobody is."""
        with self._lock:
            port = self._in[next(self._turns) % len(self._in)] if self._in else None
            if port is not None:
                self._under_way[port] += 1
                self.served[port] += 1
        try:
            yield port
        finally:
            with self._lock:
                if port is not None:
                    self._under_way[port] -= 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    balancer: Balancer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kept = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        with self.server.balancer.one_of_them() as port:
            try:
                if port is None:
                    raise OSError("nobody is in")
                status, headers, answer = _asked(port, self.command, self.path, body, kept)
            except (OSError, HTTPException) as error:
                self.server.balancer.failed.append(f"{self.command} {self.path}: {error!r}")
                status, headers, answer = 502, JSON, b'{"code": "nobody_answered"}'
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass_on

    def log_message(self, *_: object) -> None:
        """The drill prints what matters."""


def _asked(
    port: int, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """What the service there answers, on a connection of the request's own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body, headers | {"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()
