"""Requests through the app in this process, one after the other on one thread: without gunicorn,
HTTP parsing and the turns that threads take at the interpreter. Profiled by tests.bench.profile.

python -m tests.bench.loop SECONDS [WHAT]: prints how many and the CPU microseconds of each, those
of the kernel (sockets, the log) apart. WHAT is charge, replay, get, list or events.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from payment_service import create_app

WARM = 50


def charge(number: int) -> tuple[str, str, bytes, str]:
    """One cash charge of an order of its own: method, path, body and key."""
    body = {"order_id": number, "rider_id": number % 100_000 + 1, "driver_id": number % 20_000 + 1}
    sent = json.dumps({**body, "amount": "10.50", "method": "CASH"}).encode()
    return "POST", "/v1/payments/charge", sent, f"loop-{number}"


def read(path: str) -> tuple[str, str, bytes, str]:
    return "GET", f"/v1/payments{path}", b"", ""


def ask(app: Callable[..., Any], method: str, path: str, body: bytes, key: str) -> bytes:
    """The answer's body. Raises RuntimeError unless it is a 2xx."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "limit=20" if path.endswith("/payments") else "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if body:
        environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
        environ["HTTP_IDEMPOTENCY_KEY"] = key
    statuses: list[str] = []
    answer = app(environ, lambda status, headers: statuses.append(status))
    told = b"".join(answer)
    answer.close()
    if not statuses[0].startswith("2"):
        raise RuntimeError(f"{method} {path} was answered {statuses[0]}: {told[:300]!r}")
    return told


def main() -> None:
    app, first = create_app().wsgi_app, time.time_ns() // 1000
    made = json.loads(ask(app, *charge(first)))["payment_id"]
    asks: dict[str, Callable[[int], tuple[str, str, bytes, str]]] = {
        "charge": lambda number: charge(first + 1 + number),
        "replay": lambda _: charge(first),
        "get": lambda _: read(f"/{made}"),
        "list": lambda _: read(""),
        "events": lambda _: read(f"/{made}/events"),
    }
    one = asks[sys.argv[2] if len(sys.argv) > 2 else "charge"]
    for number in range(WARM):
        ask(app, *one(number))
    count, before, end = 0, os.times(), time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        ask(app, *one(WARM + count))
        count += 1
    after = os.times()
    spent = {
        "requests": count,
        "user_us": 1e6 * (after.user - before.user) / count,
        "kernel_us": 1e6 * (after.system - before.system) / count,
    }
    print(json.dumps(spent), file=sys.stderr)


if __name__ == "__main__":
    main()
