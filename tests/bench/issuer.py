"""What an identity service that hangs does to callers whose tokens are known.

python -m tests.bench.issuer [--seconds 20]

Honest clients charge and read: alone, then beside strangers whose tokens name keys that nobody has,
so that the service asks the issuer for them, then the same while the issuer is stopped. /health is
asked all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.bench import honest, world
from tests.running_service import Service
from tests.sandbox_server import Sandbox, running_sandbox

STRANGERS = 48
"""At once: as many as threads that a service has with its usual settings."""
HEALTH_SECONDS = 0.1
PATIENCE_SECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two parts")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="issuer-") as directory,
        world.servers(Path(directory)) as servers,
        running_sandbox(Path(directory) / "sandbox") as sandbox,
    ):
        servers.migrated("payments_issuer")
        issuer = f"{sandbox.url}/identity"
        settings = {"AUTH_MODE": "jwt", "JWT_ISSUER": issuer}
        service = servers.service("web", "payments_issuer", **settings)
        with world.started(service, worker=False):
            measure(service, sandbox, asked.seconds)


def measure(service: Service, sandbox: Sandbox, seconds: float) -> None:
    token, forged = _token(sandbox), _forged(round(STRANGERS * seconds))
    port = int(service.url.rsplit(":", 1)[1])
    asyncio.run(honest.clients(port, honest.WARM_SECONDS, token))
    with _health(service):
        honest.show("alone", *asyncio.run(honest.clients(port, seconds, token)))
    with _health(service), _strangers(service, forged):
        honest.show("beside strangers", *asyncio.run(honest.clients(port, seconds, token)))
    os.killpg(sandbox.pid, signal.SIGSTOP)
    try:
        with _health(service), _strangers(service, forged):
            beside = asyncio.run(honest.clients(port, seconds, token))
            honest.show("beside them, while the issuer hangs", *beside)
    finally:
        os.killpg(sandbox.pid, signal.SIGCONT)


def _token(sandbox: Sandbox) -> str:
    form = {"grant_type": "client_credentials", "client_id": "bench", "client_secret": "any"}
    form["seconds"] = "3600"
    answer = requests.post(f"{sandbox.url}/identity/token", data=form, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    made: str = answer.json()["access_token"]
    return made


def _forged(count: int) -> list[str]:
    """Made before, because signing takes this process as long as asking."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return [
        jwt.encode({"sub": "stranger"}, key, algorithm="RS256", headers={"kid": f"nobody-{number}"})
        for number in range(count)
    ]


@contextlib.contextmanager
def _strangers(service: Service, forged: list[str]) -> Iterator[None]:
    """Each sends another of these tokens a second."""
    over, found = threading.Event(), iter(forged)

    def guess(number: int) -> None:
        over.wait(number / STRANGERS)  # or all would come at once, each second
        for token in found:
            headers = {"Authorization": f"Bearer {token}"}
            service.get("/v1/payments/1", headers=headers, timeout=PATIENCE_SECONDS)
            if over.wait(1.0):
                return

    with ThreadPoolExecutor(STRANGERS) as pool:
        for number in range(STRANGERS):
            pool.submit(guess, number)
        try:
            yield
        finally:
            over.set()


@contextlib.contextmanager
def _health(service: Service) -> Iterator[None]:
    """Asks ten times a second, and shows how long it took."""
    over, times = threading.Event(), list[float]()

    def watch() -> None:
        while not over.wait(HEALTH_SECONDS):
            started = time.perf_counter()
            service.get("/health", timeout=PATIENCE_SECONDS).raise_for_status()
            times.append(time.perf_counter() - started)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            over.set()
    watching.result()
    honest.show("  /health", times, 0)


if __name__ == "__main__":
    main()
