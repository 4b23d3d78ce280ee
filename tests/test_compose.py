"""What docker-compose.yml says of the service, its secrets, and the sample requests."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from payment_service import config
from payment_service.config import kinds
from payment_service.sandbox import settings as sandbox_settings
from scripts import write_env
from tests.running_service import Service, running_service
from tests.sandbox_server import Sandbox

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def written(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


def test_the_secrets_are_random_and_for_their_owner_alone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert write_env.write(one)
    assert write_env.write(two)
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert not set(written(one).values()) & set(written(two).values())


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DB_PASS=mine\n")
    assert not write_env.write(file)
    assert file.read_text() == "DB_PASS=mine\n"


def test_what_a_later_version_needs_is_put_behind_what_stands(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    write_env.write(file)
    before = [line for line in file.read_text().splitlines() if "LOOKUP" not in line]
    file.write_text("\n".join(before) + "\n")
    assert write_env.write(file)
    assert file.read_text().splitlines()[:-1] == before
    assert "LOOKUP_HMAC_KEY" in written(file)
    assert not write_env.write(file)


def test_the_service_takes_the_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env.write(tmp_path / ".env")
    monkeypatch.setenv("DATABASE_URL", "postgresql://a:b@c/d")
    for name, value in written(tmp_path / ".env").items():
        if hasattr(config.Settings, name.lower()) or name in ("JWT_SECRET", "ENCRYPTION_KEYS"):
            monkeypatch.setenv(name, value)
    read = config.load()
    assert list(kinds.encryption_keys(read.encryption_keys or "")) == ["k1"]


def test_compose_needs_each_secret_and_has_no_default_for_it() -> None:
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE))
    assert needed == {line.split("=", 1)[0] for line in write_env.lines()}
    assert not re.search(r"\$\{[A-Z_]*(PASS|SECRET|KEY)[A-Z_]*:-", COMPOSE)


def test_compose_sets_settings_that_are_there() -> None:
    block = COMPOSE[COMPOSE.index("environment: &environment") : COMPOSE.index("services:")]
    sandbox = COMPOSE[COMPOSE.index("  sandbox:") : COMPOSE.index("  prometheus:")]
    names = set(re.findall(r"^\s+([A-Z_]+):", block + sandbox, re.MULTILINE))
    tables = (config.Settings, config.Parts, sandbox_settings.SandboxSettings)
    known = {field.name.upper() for table in tables for field in dataclasses.fields(table)}
    assert len(names) > 15
    assert names <= known


def made(*arguments: str, **env: str) -> str:
    """What make would run, with no Docker on the machine."""
    clean = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "DB_HOST", "ON")}
    command = ["make", "-n", "COMPOSE=true", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=clean | env, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_one_rule_says_which_database_is_meant() -> None:
    compose = "DB_PORT=${POSTGRES_PORT:-5433}"
    assert compose not in made("db-backup")
    assert compose in made("db-backup", "ON=compose")
    assert "exec postgres psql" in made("db-shell", "ON=compose")
    assert compose in made("db-restore", "COMPOSE=echo", "FILE=x")  # it says that it runs
    assert compose not in made(
        "db-restore", "COMPOSE=echo", "FILE=x", DATABASE_URL="postgresql://x"
    )
    assert "logs -f" in made("logs", "ON=compose")
    for wrong in ("ON=Run", "ON=nonsense", "ON=url"):
        for target in ("db-shell", "db-backup", "db-restore"):
            with pytest.raises(subprocess.CalledProcessError):
                made(target, wrong)
    assert "tail -n 20 -F" in made("logs")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_each_sample_request_is_answered_as_it_says(
    tmp_path: Path, postgres_url: str, sandbox: Sandbox
) -> None:
    def run(service: Service) -> subprocess.CompletedProcess[str]:
        script = str(ROOT / "sample_requests" / "all.sh")
        return subprocess.run([script, service.url], capture_output=True, text=True, check=False)

    with running_service(
        tmp_path, database_url=postgres_url, SANDBOX_PROVIDER_URL=sandbox.url
    ) as service:
        first, second = run(service), run(service)
    assert (first.returncode, first.stderr) == (0, "")
    assert second.returncode == 0
    scripts = {file.stem for file in (ROOT / "sample_requests").glob("*.sh")} - {"send", "all"}
    assert {line.split(":")[0].split()[-1] for line in first.stdout.splitlines()[:-1]} == scripts


def test_the_bodies_are_json() -> None:
    for file in (ROOT / "sample_requests").glob("*.json"):
        assert json.loads(file.read_text())
