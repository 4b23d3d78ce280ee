"""What is known of a client's connection."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

from payment_service.serving.incoming import Incoming
from payment_service.serving.outgoing import AnswerInPieces, Outgoing

RESET = struct.pack("ii", 1, 0)
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class TooManyOpen(Exception):
    """Somebody waits, and no file is left for the connection."""


class Connection:
    """A client's connection. One thread at a time has it: the main one or one of the pool."""

    def __init__(self, sock: socket.socket, client: Any, server: Any, cfg: Any) -> None:
        self.sock, self.client = sock, client
        # A Unix socket has no port. gunicorn would take the one that the Host header names, and
        # that is for anybody to write.
        self.server = (server, "") if isinstance(server, str | bytes) else server
        self.incoming, self.outgoing = Incoming(cfg, client), Outgoing(sock)
        self.request: Any = None  # the one that is answered
        self.answer: AnswerInPieces | None = None  # until the app's part of it is over
        self.keep = False
        self.group: dict[Connection, None] | None = None  # in which of the worker's it waits
        self.deadline = 0.0
        self.unread = 0  # bytes of the answer, when its time began
        self.discarded = 0  # bytes that came after the end

    def reset_at_close(self) -> None:
        """Its client hears that something broke, and no plain end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def waiting_at(listener: socket.socket, cfg: Any) -> Connection | None:
    """The next connection that waits there, or None if none does. Raises TooManyOpen."""
    while True:
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno == errno.ECONNABORTED:  # this one went away while it waited
                continue
            if error.errno in NO_DESCRIPTORS:
                raise TooManyOpen from None
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                raise
            return None
        sock.setblocking(False)
        return Connection(sock, client, listener.getsockname(), cfg)
