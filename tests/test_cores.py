"""Which core each of gunicorn's processes keeps to."""

from __future__ import annotations

import os

import psutil
import pytest

from tests.fixtures import StartService
from tests.running_service import Service
from tests.sandbox_calls import eventually

CORES = sorted(os.sched_getaffinity(0))


def kept(service: Service) -> list[list[int]]:
    """Nothing while one of them is dying."""
    try:
        return sorted(worker.cpu_affinity() for worker in service.web_workers())
    except psutil.Error:
        return []


@pytest.mark.slow
def test_as_many_processes_as_cores_have_one_each(start_service: StartService) -> None:
    """One that dies is followed by one on the core that it left."""
    service = start_service(WEB_WORKERS=str(len(CORES)), WEB_THREADS="2")
    one_each = [[core] for core in CORES]
    eventually(lambda: kept(service) == one_each)
    for _ in range(2):
        victim = service.web_workers()[-1]
        victim.kill()
        eventually(lambda gone=victim: gone not in service.web_workers())
        eventually(lambda: kept(service) == one_each)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"WEB_CORE_EACH": "false"}, {"WEB_WORKERS": str(len(CORES) + 1)}]
)
def test_otherwise_they_run_where_there_is_room(
    start_service: StartService, settings: dict[str, str]
) -> None:
    service = start_service(**{"WEB_WORKERS": str(len(CORES)), "WEB_THREADS": "2", **settings})
    assert {tuple(cores) for cores in kept(service)} == {tuple(CORES)}
