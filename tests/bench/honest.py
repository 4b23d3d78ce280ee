"""Fifty clients that charge and read at a constant rate on connections that they keep."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import quantiles

HONEST = 50
PACE_SECONDS = 0.25  # of each: 200 requests a second together, half of what two cores can
PATIENCE_SECONDS = 5.0
WARM_SECONDS = 3.0


def show(name: str, times: list[float], unanswered: int) -> None:
    cuts = quantiles(times, n=100) if len(times) > 1 else [float("nan")] * 99
    print(
        f"{name}: {len(times)} answers, {unanswered} without one,"
        f" p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms, longest"
        f" {max(times, default=float('nan')) * 1e3:.0f} ms"
    )


async def clients(port: int, seconds: float, token: str | None = None) -> tuple[list[float], int]:
    """Seconds that each answer took, and how many requests had none in time; each shows the
    token."""
    found = await asyncio.gather(*(_one(port, n, seconds, token) for n in range(HONEST)))
    return [time for times, _ in found for time in times], sum(lost for _, lost in found)


async def _one(
    port: int, number: int, seconds: float, token: str | None
) -> tuple[list[float], int]:
    times: list[float] = []
    lost = turn = 0
    begun = time.perf_counter() + PACE_SECONDS * number / HONEST
    streams = None
    while (due := begun + turn * PACE_SECONDS) < begun + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        turn += 1
        started = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                streams = streams or await asyncio.open_connection("127.0.0.1", port)
                await _ask(*streams, _request(number, turn, token))
            times.append(time.perf_counter() - started)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            lost += 1
            if streams:
                streams[1].close()
            streams = None
    if streams:
        streams[1].close()
    return times, lost


def _request(number: int, turn: int, token: str | None) -> bytes:
    """A charge, then a read."""
    always = "Host: 127.0.0.1\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
    if turn % 2:
        return f"GET /v1/payments?limit=5 HTTP/1.1\r\n{always}\r\n".encode()
    unique = time.time_ns()
    body = json.dumps(
        {"order_id": unique // 1000 * 50 + number, "amount": "1.00", "method": "CASH"}
    )
    return (
        f"POST /v1/payments/charge HTTP/1.1\r\n{always}Idempotency-Key: {unique}-{number}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> None:
    """Raises OSError where the answer is no 2xx."""
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    if head.split(b" ", 2)[1][:1] != b"2":
        raise OSError(head.decode())
