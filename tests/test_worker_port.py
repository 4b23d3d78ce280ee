"""WORKER_PORT: a real worker tells what it counted, and whether its beats come."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

from payment_service.cli import worker_port
from payment_service.services import beats
from payment_service.telemetry.metrics import CONTRADICTED
from tests.fixtures import MakeApp
from tests.patience import PATIENCE
from tests.running_service import Service
from tests.sandbox_calls import eventually
from tests.sandbox_server import Sandbox, reserved_port
from tests.tokens import bearing

TOKEN = "a-token-of-prometheus"


class Worker:
    """`flask worker` alone, on a port of its own."""

    def __init__(self, directory: Path, database_url: str, sandbox: str, **env: str) -> None:
        self._reserved = reserved_port()
        port = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.service = Service(
            directory,
            DATABASE_URL=database_url,
            SANDBOX_PROVIDER_URL=sandbox,
            WORKER_PORT=str(port),
            **env,
        )
        self.process: subprocess.Popen[bytes] = self.service.start_worker()

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=PATIENCE)

    def answers(self) -> bool:
        try:
            return self.get("/health").status_code == 200
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        self.service.close()
        self._reserved.close()


@pytest.fixture
def worker(tmp_path: Path, fresh_database: str, sandbox: Sandbox) -> Iterator[Worker]:
    started = Worker(tmp_path, fresh_database, sandbox.url, METRICS_TOKEN=TOKEN)
    try:
        eventually(started.answers)
        yield started
    finally:
        started.close()


@pytest.mark.slow
def test_a_worker_answers_on_its_port_and_ends_as_before(worker: Worker) -> None:
    eventually(lambda: worker.get("/health/ready").json()["beats"] == len(beats.PERIODS))
    ready = worker.get("/health/ready")
    assert (ready.status_code, ready.json()["silent_beats"]) == (200, [])
    assert worker.get("/metrics").status_code == 401
    told = worker.get("/metrics", **bearing(TOKEN))
    assert told.headers["Content-Type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(told.text)}
    assert families["payments_contradicted"].samples[0].value == 0
    assert families["process_resident_memory_bytes"].samples[0].value > 10_000_000
    assert "payments_by_status" not in families, "the web tells what the database says"
    assert worker.get("/v1/payments").status_code == 404
    assert requests.post(f"{worker.url}/metrics", timeout=PATIENCE).status_code == 405
    # Somebody who connects and says nothing keeps it from nothing.
    with socket.create_connection(("127.0.0.1", int(worker.url.rpartition(":")[2]))):
        os.kill(worker.process.pid, signal.SIGTERM)
        assert worker.process.wait(PATIENCE) == 0, worker.service.log.read_text()[-2000:]


def test_without_a_database_it_lives_and_is_not_ready(make_app: MakeApp) -> None:
    with reserved_port() as nobody:
        url = f"postgresql://nobody@127.0.0.1:{nobody.getsockname()[1]}/nothing"
        client = Client(worker_port.answering(make_app(database_url=url)))
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json["dependencies"]) == (503, {"database": "DOWN"})
        assert client.get("/health").status_code == 200


@pytest.fixture
def asked(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> tuple[Flask, Client]:
    """The port's answers in this process, with a pulse of its own."""
    monkeypatch.setattr(beats, "PULSE", beats.Pulse())
    app = make_app()
    return app, Client(worker_port.answering(app))


def test_a_beat_of_this_process_that_does_not_come_is_seen(
    asked: tuple[Flask, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = asked
    for beat in ("totals", "verifying"):
        beats.PULSE.note(beat)
    assert client.get("/health/ready").status_code == 200
    beats.PULSE.came["totals"] -= 61
    beats.PULSE.came["verifying"] -= 61  # which may walk for an hour
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json["silent_beats"]) == (503, ["totals"])
    assert client.get("/health").status_code == 200
    beats.PULSE.note("totals")
    assert client.get("/health/ready").status_code == 200


def test_what_is_counted_here_is_told(asked: tuple[Flask, Client]) -> None:
    _, client = asked

    def contradicted() -> float:
        told = client.get("/metrics").text
        families = {family.name: family for family in text_string_to_metric_families(told)}
        return next(
            sample.value
            for sample in families["payments_contradicted"].samples
            if sample.name.endswith("_total")
        )

    before = contradicted()
    CONTRADICTED.inc()
    assert contradicted() == before + 1
