"""scripts/smoke.sh against the real service, and against what is not well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.running_service import running_service
from tests.sandbox_server import Sandbox

ROOT = Path(__file__).resolve().parents[1]
STEPS = ["health", "charge", "replay", "get", "list", "refund", "receipt", "metrics"]


def smoke(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts/smoke.sh"), url], capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.mark.slow
def test_it_walks_through_a_healthy_service(
    tmp_path: Path, fresh_database: str, redis_url: str, sandbox: Sandbox
) -> None:
    places = {"SANDBOX_PROVIDER_URL": sandbox.url, "REDIS_URL": redis_url}
    with running_service(tmp_path, database_url=fresh_database, **places) as service:
        done = smoke(service.url)
        assert done.returncode == 0, done.stderr
        said = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  ok")]
        assert said == STEPS


@pytest.mark.slow
def test_it_names_the_first_thing_that_is_wrong(
    tmp_path: Path, fresh_database: str, redis_url: str
) -> None:
    """Here no provider can be reached."""
    places = {"SANDBOX_PROVIDER_URL": "http://127.0.0.1:9", "REDIS_URL": redis_url}
    with running_service(tmp_path, database_url=fresh_database, **places) as service:
        done = smoke(service.url)
    assert done.returncode == 1
    assert "smoke: charge: POST /v1/payments/charge answered 503, not 201" in done.stderr
    assert "replay" not in done.stdout


def test_nobody_there_is_wrong_too() -> None:
    done = smoke("http://127.0.0.1:9")
    assert done.returncode == 1
    assert "smoke: health: no answer from http://127.0.0.1:9/health" in done.stderr
