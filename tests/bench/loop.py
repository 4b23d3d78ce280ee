"""Charges through the app in this process, one after the other on one thread: without gunicorn,
HTTP parsing and the turns that threads take at the interpreter. Profiled by tests.bench.profile.

python -m tests.bench.loop SECONDS: prints the charges and the CPU microseconds of each, those of
the kernel (sockets, the log) apart.
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


def charge(app: Callable[..., Any], number: int) -> None:
    """One cash charge of an order of its own."""
    body = {"order_id": number, "rider_id": number % 100_000 + 1, "driver_id": number % 20_000 + 1}
    sent = json.dumps({**body, "amount": "10.50", "method": "CASH"}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/v1/payments/charge",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(sent)),
        "HTTP_IDEMPOTENCY_KEY": f"loop-{number}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(sent),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    statuses: list[str] = []
    answer = app(environ, lambda status, headers: statuses.append(status))
    b"".join(answer)
    answer.close()
    if not statuses[0].startswith("201"):
        raise RuntimeError(f"a charge was answered {statuses[0]}")


def main() -> None:
    app, first = create_app(), time.time_ns() // 1000
    for number in range(WARM):
        charge(app.wsgi_app, first + number)
    count, before, end = 0, os.times(), time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        charge(app.wsgi_app, first + WARM + count)
        count += 1
    after = os.times()
    spent = {
        "charges": count,
        "user_us": 1e6 * (after.user - before.user) / count,
        "kernel_us": 1e6 * (after.system - before.system) / count,
    }
    print(json.dumps(spent), file=sys.stderr)


if __name__ == "__main__":
    main()
