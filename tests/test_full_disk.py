"""A disk without room: what needs it is told so, the rest goes on, and no process dies.

The disks are small tmpfs, which only root may mount. Where that is impossible, this skips; in CI it
fails.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from payment_service import embedded
from scripts.supervisor import Console
from tests.conftest import _migrate
from tests.fixtures import a_key, an_order
from tests.running_service import Service, running_service
from tests.sandbox_calls import eventually
from tests.sandbox_server import Sandbox
from tests.test_metrics import by, scrape

MakeDisk = Callable[[str, int], Path]
COUNTED = "payment_service_http_requests_total"


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Mounts a disk of so many megabytes."""
    mounted: list[Path] = []

    def make(name: str, megabytes: int) -> Path:
        place = tmp_path / name
        place.mkdir()
        options = f"size={megabytes}m,mode=755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            reason = f"no disk can be mounted here: {done.stderr.strip()}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    file = disk / "full"
    with file.open("wb", buffering=0) as out:
        try:
            while out.write(bytes(1_000_000)):
                pass
        except OSError:
            pass
        try:
            while out.write(b"x"):
                pass
        except OSError:
            return file


def charge(service: Service, description: str = "x" * 200) -> requests.Response:
    headers = {"Idempotency-Key": a_key()}
    order = an_order(method="CASH", description=description)
    return service.post("/v1/payments/charge", order, headers=headers)


@pytest.mark.slow
def test_a_full_database(make_disk: MakeDisk, tmp_path: Path, sandbox: Sandbox) -> None:
    disk = make_disk("database", 300)
    postgres = embedded.start_postgres(disk / "postgres", settings={"wal_recycle": "off"})
    try:
        _migrate(postgres.url)
        with running_service(
            tmp_path / "service",
            database_url=postgres.url,
            TRIP_SERVICE_URL=sandbox.url,
            SANDBOX_PROVIDER_URL=sandbox.url,
            LOG_LEVEL="ERROR",
        ) as service:
            processes = service.web_workers()
            paid = charge(service).json()["payment_id"]
            full = fill(disk)
            refused: list[requests.Response] = []

            def is_refused() -> bool:
                refused.append(charge(service))
                return refused[-1].status_code != 201

            eventually(is_refused)  # the pages at hand have some room left
            assert refused[-1].status_code == 503
            assert refused[-1].json()["code"] == "storage_full"
            assert int(refused[-1].headers["Retry-After"]) > 0
            assert {answer.status_code for answer in refused[:-1]} <= {201}
            for path in (f"/v1/payments/{paid}", "/v1/payments", "/health", "/health/ready"):
                assert service.get(path).status_code == 200, path
            full.unlink()
            assert charge(service).status_code == 201
            assert postgres.alive()
            assert service.web_workers() == processes
    finally:
        postgres.stop()


@pytest.mark.slow
def test_a_full_disk_under_the_metrics(
    make_disk: MakeDisk, tmp_path: Path, postgres_url: str, redis_url: str, sandbox: Sandbox
) -> None:
    """It is full before the processes count for the first time, and for many times after."""
    disk = make_disk("metrics", 1)
    fill(disk)
    with running_service(
        tmp_path / "service",
        database_url=postgres_url,
        REDIS_URL=redis_url,
        SANDBOX_PROVIDER_URL=sandbox.url,
        PROMETHEUS_MULTIPROC_DIR=str(disk),
        LOG_LEVEL="ERROR",
    ) as service:
        processes = service.web_workers()
        for _ in range(20):
            assert charge(service).status_code == 201
            assert service.get("/metrics", headers={"Connection": "close"}).status_code == 200
        assert service.web_workers() == processes
        assert "metrics_have_no_room" in service.log.read_text()


@pytest.mark.slow
def test_metrics_that_outgrow_their_disk(
    make_disk: MakeDisk, tmp_path: Path, postgres_url: str, redis_url: str, sandbox: Sandbox
) -> None:
    """What was counted before stays; a process that comes when there is room counts again."""
    disk = make_disk("metrics", 4)
    with running_service(
        tmp_path / "service",
        database_url=postgres_url,
        REDIS_URL=redis_url,
        SANDBOX_PROVIDER_URL=sandbox.url,
        PROMETHEUS_MULTIPROC_DIR=str(disk),
        WEB_WORKERS="1",
        LOG_LEVEL="ERROR",
    ) as service:
        (before,) = service.web_workers()
        assert charge(service).status_code == 201
        full = fill(disk)
        for method in ("GET", "PUT", "PATCH", "DELETE"):  # a series each, of 3 KB
            for number in range(30):
                path = ("/v1/payments", "/health", "/docs", "/nowhere", "/v1/refunds/1")[number % 5]
                assert service.request(method, path).status_code < 500
        counted = by(scrape(service), COUNTED, "route")
        assert counted["/v1/payments/charge"] == 1
        assert service.web_workers() == [before]
        full.unlink()
        before.kill()
        eventually(lambda: before not in service.web_workers() and service.web_workers())
        assert charge(service).status_code == 201
        assert by(scrape(service), COUNTED, "route")["/v1/payments/charge"] == 2


def test_a_log_that_can_not_be_written_ends_nothing(make_disk: MakeDisk) -> None:
    """Not the line, and not the run: neither a new log file nor one that is there."""
    disk = make_disk("logs", 1)
    console = Console(disk / "logs", ["web"])
    console.write("web", "one")
    full = fill(disk)
    for number in range(300):
        console.write("web", f"{number} " + "x" * 100)
        console.write("another", "its file can't even be made")
    full.unlink()
    console.write("web", "two")
    for logger in console._files.values():
        logger.handlers[0].close()
    text = (disk / "logs/web.log").read_text()
    assert text.startswith("one\n")
    assert text.endswith("two\n")
