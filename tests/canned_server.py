"""A server that answers what a test has laid down, where the sandbox says nothing odd enough."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.listening import listening


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    bearer: str | None
    body: bytes


Answer = Callable[[Asked], tuple[int, Any]]
"""The status, and what is sent as JSON; bytes are sent as they are."""


class Canned:
    """`answers` by how the path ends; `asked` is all that came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self._lock = threading.Lock()

    def answer(self, path: str, status: int, body: Any) -> None:
        """The same each time."""
        self.answers[path] = lambda asked: (status, body)

    def asked_for(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path.endswith(path)]

    def served(self, asked: Asked) -> tuple[int, Any]:
        with self._lock:
            self.asked.append(asked)
        fitting = [found for path, found in self.answers.items() if asked.path.endswith(path)]
        return fitting[0](asked) if fitting else (404, {})


@contextmanager
def canned_server() -> Iterator[Canned]:
    """On a port of its own, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            _, _, bearer = self.headers.get("Authorization", "").partition("Bearer ")
            asked = Asked(self.command, urlsplit(self.path).path, bearer or None, body)
            status, found = canned.served(asked)
            sent = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: Any) -> None:
            """Clients may leave in the middle."""

    server = Server(("127.0.0.1", 0), Handler)
    canned = Canned(f"http://127.0.0.1:{server.server_address[1]}")
    with listening(server):
        yield canned
