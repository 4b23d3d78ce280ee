"""An answer on its way to a client that may take its time."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections.abc import Iterable
from typing import Any

from gunicorn.http.wsgi import FileWrapper

PIECE = 64 * 1024


class Outgoing:
    """Stands in for the socket where gunicorn writes a response: nothing blocks here."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting: bytes | memoryview = b""

    def sendall(self, data: bytes) -> None:
        """Keeps it for flush(), so that headers and body go out in one piece."""
        self._waiting = b"".join((self._waiting, data)) if self._waiting else data

    def flush(self) -> bool:
        """Sends what the kernel takes. Whether that was all. Raises OSError."""
        left = memoryview(self._waiting)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                break
        self._waiting = left or b""
        return not left

    def unread(self) -> int:
        """Bytes that the client did not take: those in the kernel, and those that wait here. That
        the kernel takes more says little: it does so in steps of many kilobytes."""
        (queued,) = struct.unpack("i", fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4)))
        return int(queued) + len(self._waiting)

    def waiting(self) -> int:
        """Bytes that wait for the client."""
        return len(self._waiting)


class Pieces(FileWrapper):
    """A file for the app to answer with; Flask would have it sent in pieces of 8 KB."""

    def __init__(self, file: Any, size: int = PIECE) -> None:
        super().__init__(file, max(size, PIECE))


class AnswerInPieces:
    """The app's answer to one request, sent piece by piece."""

    def __init__(self, response: Any, pieces: Iterable[bytes], outgoing: Outgoing) -> None:
        self._response, self._outgoing = response, outgoing
        self._pieces, self._all = iter(pieces), pieces

    def go_on(self) -> bool:
        """Writes until the client takes no more. Whether the app's part is over; the last bytes may
        still wait. Raises what the app raises, and OSError."""
        for piece in self._pieces:
            self._response.write(piece)
            if not self._outgoing.flush():
                return False
        self._response.close()
        self._outgoing.flush()
        self.close()
        return True

    def close(self) -> None:
        """Tells the app that nobody asks for more."""
        self._pieces = iter(())
        pieces, self._all = self._all, ()
        if hasattr(pieces, "close"):
            pieces.close()

    def begun(self) -> bool:
        """Whether the client was sent anything of it."""
        return bool(self._response.headers_sent)

    def keeps_connection(self) -> bool:
        return not self._response.should_close()
