"""A sister service that takes whatever it is told, over kept connections.

python -m tests.bench.listener SECONDS: answers so long after it was asked, and prints its port. The
sandbox writes down what it hears, and would be what is measured.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Listener(asyncio.Protocol):
    """One connection. A request is whole when its announced body is there."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or 0):
            self._read = body[int(length or 0) :]
            asyncio.get_running_loop().call_later(self._seconds, self._transport.write, _TAKEN)


async def main(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Listener(seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
