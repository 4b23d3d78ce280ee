"""Servers that answer in a thread of the test's own process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from socketserver import BaseServer

POLL_SECONDS = 0.01
"""How often a server looks whether it is to end. The library's half second is what each test that
has one waits for at its end."""


@contextlib.contextmanager
def listening(server: BaseServer) -> Iterator[None]:
    """It answers within the block, and is closed after it."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
