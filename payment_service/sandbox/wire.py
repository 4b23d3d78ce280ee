"""Answers that misbehave below HTTP: a reset, silence, half a body."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Response

# A peer that has closed its side; where the system can't say so, silence ends by time alone.
_CLOSED = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
# How long a client may take to notice half a body before the socket is closed under it.
_HALF_BODY_LINGER_SECONDS = 10.0


class Alarm:
    """Wakes everybody who waits, any number of times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ring, self._heard = socket.socketpair()

    def ring(self) -> None:
        """Let every waiter go on."""
        with self._lock:
            self._ring.close()
            self._ring, self._heard = socket.socketpair()

    def wait(self, seconds: float, peer: socket.socket | None = None) -> None:
        """Return after that long, when the alarm rings, or when the peer has closed."""
        with self._lock:
            heard = self._heard
        poll = select.poll()
        poll.register(heard, select.POLLIN | select.POLLHUP)
        if peer is not None:
            poll.register(peer, _CLOSED)
        poll.poll(max(0.0, seconds) * 1000)


def _socket_of(environ: WSGIEnvironment) -> socket.socket | None:
    """The client's socket as gunicorn or werkzeug hand it over; None under a test client."""
    found = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    return found if isinstance(found, socket.socket) else None


def _put_away(sock: socket.socket) -> None:
    """Close the connection but leave the server a valid, dead descriptor.

    The server still owns the socket object and will close it; were it closed already, the server
    would stumble, and the number could belong to another connection by then.
    """
    spare, other = socket.socketpair()
    other.close()
    with spare:
        os.dup2(spare.fileno(), sock.fileno(), inheritable=False)


def reset(environ: WSGIEnvironment) -> None:
    """Reset the connection: the client sees ECONNRESET, not an end of file."""
    sock = _socket_of(environ)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _put_away(sock)


def _gone() -> ConnectionResetError:
    """What tells any server that there is nobody left to answer."""
    return ConnectionResetError(errno.ECONNRESET, "on demand")


class Reset(Response):
    """No answer but a connection reset."""

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        reset(environ)
        raise _gone()


class NoAnswer(Response):
    """The connection stays open until the client, the time or the alarm ends it."""

    def __init__(self, alarm: Alarm, seconds: float) -> None:
        super().__init__()
        self._alarm, self._seconds = alarm, seconds

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        self._alarm.wait(self._seconds, _socket_of(environ))
        reset(environ)
        raise _gone()


class HalfBody(Response):
    """Announces a whole body, sends half of it and closes."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.get_data(), whole.status, content_type=whole.content_type)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        body = self.get_data()
        start(self.status, self.get_wsgi_headers(environ).to_wsgi_list())
        return self._half(body[: len(body) // 2], environ)

    def _half(self, body: bytes, environ: WSGIEnvironment) -> Iterator[bytes]:
        yield body
        sock = _socket_of(environ)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
                _await_close(sock)
                _put_away(sock)
        raise _gone()


def _await_close(sock: socket.socket) -> None:
    """Give the client the time to read; closing earlier could turn the half into a reset."""
    deadline = time.monotonic() + _HALF_BODY_LINGER_SECONDS
    poll = select.poll()
    poll.register(sock, _CLOSED)
    poll.poll((deadline - time.monotonic()) * 1000)
