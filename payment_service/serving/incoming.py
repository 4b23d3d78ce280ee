"""The bytes of a connection, until a whole request is there.

gunicorn's own parser reads heads and chunks, so that there is one opinion of what a request is.
Here is only decided when it may begin, and when enough is enough.
"""

from __future__ import annotations

import io
import re
from enum import StrEnum
from typing import Any

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import InvalidChunkSize, LimitRequestHeaders
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader

from payment_service.bounds import most_bytes

MOST_HEAD = 64 * 1024
"""Bytes of request line and headers; gunicorn's own limits allow 800 KB for each connection."""
CHUNKING = 2
"""How many times its length a chunked body may have as it is sent, with sizes and extensions."""
MOST_LINE = 8190
"""Bytes of a chunk's size line, and of the trailers."""

_BARE_LF = re.compile(rb"(?<!\r)\n")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})(?:[ \t]*;|\Z)")


class BodyTooLarge(Exception):
    """The body is longer than any that is taken."""


class Stage(StrEnum):
    """What a connection has sent of its next request."""

    NOTHING = "nothing"
    HEADERS = "headers"
    BODY = "body"


class NotYet(Exception):
    """gunicorn's parser asks for bytes that have not come."""


class Received(Unreader):
    """Hands gunicorn's parser what is here."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buf.write(data)

    def chunk(self, size_hint: int | None = None) -> bytes:
        raise NotYet


class Incoming:
    """The requests of one connection, one after the other."""

    def __init__(self, cfg: Any, peer: Any) -> None:
        self._cfg, self._peer, self._count = cfg, peer, 0
        self._bytes = bytearray()
        self._clear()

    def _clear(self) -> None:
        self.request: Any = None
        """gunicorn's Request once its head is here."""
        self.expects_continue = False
        self._seen = 0
        self._line_seen = False
        self._chunks: Chunks | None = None
        self._length = 0

    @property
    def stage(self) -> Stage:
        if self.request is not None:
            return Stage.BODY
        return Stage.HEADERS if self._bytes else Stage.NOTHING

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def is_whole(self) -> bool:
        """Whether the next request is all here. To be asked after each feed().

        Raises BodyTooLarge, and what gunicorn's parser raises, as soon as that is certain.
        """
        if self.request is None and self._bytes:
            self._read_head()
        if self.request is None:
            return False
        if self._chunks is None:
            return len(self._bytes) >= self._length
        end = self._chunks.end(self._bytes)
        if end is None and len(self._bytes) > CHUNKING * self._chunks.most:
            raise BodyTooLarge
        self._length = end or 0
        return end is not None

    def take(self) -> tuple[Any, bytes]:
        """The whole request and its body as it was sent; then comes the next one's turn."""
        request, body = self.request, bytes(self._bytes[: self._length])
        del self._bytes[: self._length]
        self._clear()
        return request, body

    def _read_head(self) -> None:
        seen, self._seen = self._seen, len(self._bytes)
        if self._bytes.find(b"\r\n\r\n", max(0, seen - 3)) < 0:
            if len(self._bytes) > MOST_HEAD:
                raise LimitRequestHeaders("request line and headers")
            if not self._refusable(seen):
                return
        received = Received(bytes(self._bytes))
        try:
            request = Request(self._cfg, received, self._peer, self._count + 1)
        except NotYet:
            return
        self._count += 1
        self._bytes = bytearray(received.take_buffered())
        self.request = request
        # gunicorn would say it when the app starts, and here that is when the body is all there.
        self.expects_continue, request._expected_100_continue = (
            request._expected_100_continue,
            False,
        )
        most = most_bytes(request.path)
        if isinstance(request.body.reader, ChunkedReader):
            self._chunks = Chunks(most)
        else:
            self._length = request.body.reader.length
            if self._length > most:
                raise BodyTooLarge

    def _refusable(self, seen: int) -> bool:
        """Whether an unfinished head may be wrong already: once its first line is here or is too
        long, and where a line ends in a way that no head's line ends."""
        has_line = self._bytes.find(b"\n", seen) >= 0
        first, self._line_seen = not self._line_seen and has_line, self._line_seen or has_line
        too_long = not self._line_seen and len(self._bytes) > self._cfg.limit_request_line + 2
        return first or too_long or bool(_BARE_LF.search(self._bytes, max(0, seen - 1)))


class Chunks:
    """Looks for the end of a chunked body. What is malformed ends at once: gunicorn's parser then
    says what is wrong with it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._at = 0  # where the next size line begins; the bytes before it may not be here yet
        self._decoded = 0

    def end(self, data: bytearray) -> int | None:
        """Where it ends; None if that has not come. Raises BodyTooLarge and gunicorn's errors."""
        while len(data) >= self._at:
            if self._at and data[self._at - 2 : self._at] != b"\r\n":
                return len(data)
            line_end = data.find(b"\r\n", self._at)
            if line_end < 0:
                if len(data) - self._at > MOST_LINE:
                    raise InvalidChunkSize(b"too long")
                return None
            size = _SIZE.match(data[self._at : line_end])
            if size is None:
                return len(data)
            if not (length := int(size[1], 16)):
                end = data.find(b"\r\n\r\n", line_end)
                if end < 0 and len(data) - line_end > MOST_LINE:
                    raise LimitRequestHeaders("trailers")
                return end + 4 if end >= 0 else None
            self._decoded += length
            if self._decoded > self.most:
                raise BodyTooLarge
            self._at = line_end + 2 + length + 2
        return None


def decoded(request: Any, body: bytes) -> io.BytesIO:
    """The body of a whole request for the app. Raises what gunicorn's parser raises."""
    if not isinstance(request.body.reader, ChunkedReader):
        return io.BytesIO(body)
    unreader = request.unreader
    unreader.unread(body)
    try:
        data = request.body.read()
    except NotYet:
        raise InvalidChunkSize(b"the body ends within a chunk") from None
    if unreader.take_buffered():
        raise InvalidChunkSize(b"bytes behind the last chunk")
    return io.BytesIO(data)
