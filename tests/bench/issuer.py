"""What an identity service that hangs does to callers whose tokens are known.

python -m tests.bench.issuer [--seconds 20]

Honest clients charge and read, first alone, then while the issuer is stopped and others send
tokens that name a key which nobody has: the service asks the issuer for it, and waits. /health is
asked all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

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
    token = _token(sandbox)
    port = int(service.url.rsplit(":", 1)[1])
    asyncio.run(honest.clients(port, honest.WARM_SECONDS, token))
    over = threading.Event()
    health: list[float] = []
    threads = [threading.Thread(target=_watch, args=(service, health, over))]
    for thread in threads:
        thread.start()
    honest.show("alone", *asyncio.run(honest.clients(port, seconds, token)))
    honest.show("/health", _taken(health), 0)
    os.killpg(sandbox.pid, signal.SIGSTOP)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    guessing = (service, key, over)
    strangers = [threading.Thread(target=_guess, args=guessing) for _ in range(STRANGERS)]
    try:
        for thread in strangers:
            thread.start()
        beside = asyncio.run(honest.clients(port, seconds, token))
    finally:
        over.set()
        for thread in [*threads, *strangers]:
            thread.join()
        os.killpg(sandbox.pid, signal.SIGCONT)
    honest.show("while the issuer hangs", *beside)
    honest.show("/health", _taken(health), 0)


def _token(sandbox: Sandbox) -> str:
    form = {"grant_type": "client_credentials", "client_id": "bench", "client_secret": "any"}
    form["seconds"] = "3600"
    answer = requests.post(f"{sandbox.url}/identity/token", data=form, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    made: str = answer.json()["access_token"]
    return made


def _taken(times: list[float]) -> list[float]:
    found = times[:]
    times.clear()
    return found


def _watch(service: Service, times: list[float], over: threading.Event) -> None:
    while not over.wait(HEALTH_SECONDS):
        started = time.perf_counter()
        service.get("/health", timeout=PATIENCE_SECONDS).raise_for_status()
        times.append(time.perf_counter() - started)


def _guess(service: Service, key: RSAPrivateKey, over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        number += 1
        named = {"kid": f"nobody-has-it-{threading.get_ident()}-{number}"}
        forged = jwt.encode({"sub": "stranger"}, key, algorithm="RS256", headers=named)
        headers = {"Authorization": f"Bearer {forged}"}
        service.get("/v1/payments/1", headers=headers, timeout=PATIENCE_SECONDS)
        over.wait(1.0)


if __name__ == "__main__":
    main()
