"""Card charges at a constant rate of arrivals, whatever the answers take: one process of several.

python -m tests.bench.generator PORT RATE SECONDS NUMBER: a line each, "id status total_ms late_ms".
The time runs from when the request was due, not from when it was sent: a generator that falls
behind makes the service look slow, never fast. How far behind it sent is the last figure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

PATIENCE_SECONDS = 20.0
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Generator:
    """One process's requests, over as many kept connections as are in use at once."""

    def __init__(self, port: int, number: int) -> None:
        self.port, self.number = port, number
        self.lines: list[str] = []
        self._idle: list[_Connection] = []

    async def run(self, rate: float, seconds: float) -> None:
        """Sends them all and waits for the last answer."""
        tasks = []
        start = time.perf_counter() + 0.2
        for count in range(max(1, round(rate * seconds))):
            due = start + count / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(count, due)))
        await asyncio.wait(tasks)

    async def _one(self, count: int, due: float) -> None:
        name = f"open-{self.number}-{count}"
        late = time.perf_counter() - due
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                status = await self._ask(name, count)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        total = time.perf_counter() - due
        self.lines.append(f"{name} {status} {1000 * total:.2f} {1000 * late:.2f}")

    async def _ask(self, name: str, count: int) -> str:
        connection = self._idle.pop() if self._idle else await self._connect()
        reader, writer = connection
        order = self.number * 10_000_000 + count
        body = json.dumps({"order_id": order, "amount": "10.50", "method": "CARD"}).encode()
        writer.write(
            b"POST /v1/payments/charge HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n"
            b"Idempotency-Key: %s\r\nX-Request-ID: %s\r\n\r\n%s"
            % (len(body), name.encode(), name.encode(), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        await reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return head.split(" ", 2)[1]

    async def _connect(self) -> _Connection:
        return await asyncio.open_connection("127.0.0.1", self.port)


def main() -> None:
    port, rate, seconds, number = sys.argv[1:]
    generator = Generator(int(port), int(number))
    asyncio.run(generator.run(float(rate), float(seconds)))
    print("\n".join(generator.lines))


if __name__ == "__main__":
    main()
