"""`make watch-check`: a real Prometheus scrapes a real `make run` under load, every rule loads, and
every expression of the dashboard gives a series.

WATCH_SECONDS is how long there is load (30).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.patience import PATIENCE
from tests.promql_names import MONITORING, RULES, expressions, rules
from tests.sandbox_server import ROOT, reserved_port
from tests.watching_check.empty import EMPTY
from tests.whole_service import Addresses, whole_service

TOKEN = "only-for-this-check-of-watching"
INTERVAL = "10s"
"""For rates, with a scrape each second: four times the interval, and a busy machine's pauses."""


def main() -> int:
    started = time.monotonic()
    if shutil.which("prometheus") is None:
        print("watch-check: there is no prometheus on PATH: apt-get install prometheus")
        return 1
    seconds = float(os.environ.get("WATCH_SECONDS") or 30)
    with tempfile.TemporaryDirectory(prefix="watching-") as made:
        folder, worker = Path(made), reserved_port()
        swish = reserved_port()
        port = worker.getsockname()[1]
        var = folder / "var"
        var.mkdir()
        env = {
            "WORKER_PORT": str(port),
            "METRICS_TOKEN": TOKEN,
            # With it there is a certificate, whose end is told.
            "SANDBOX_SWISH_PORT": str(swish.getsockname()[1]),
        }
        with whole_service(var, **env) as there:
            print(f"watch-check: the service is ready after {time.monotonic() - started:.0f} s")
            note_backup(var, there)
            with prometheus(
                folder,
                {"payment-service": there.service, "payment-worker": f"http://127.0.0.1:{port}"},
            ) as asked:
                with load(folder, there):
                    turned_away(there)
                    time.sleep(seconds)
                faults = [*wrong_rules(asked), *not_scraped(asked), *empty(asked, seconds)]
        worker.close()
        swish.close()
    for fault in faults:
        print(f"watch-check: {fault}")
    shown, took = len(expressions(INTERVAL)), time.monotonic() - started
    print(
        f"watch-check: {shown} expressions, {len(rules())} rules, {len(faults)} faults, "
        f"{took:.0f} s"
    )
    return 1 if faults else 0


def note_backup(var: Path, there: Addresses) -> None:
    """As `make db-backup` does when it has the file."""
    code = "from scripts import db_backup; db_backup.note()"
    command = [sys.executable, "-m", "scripts.run", "--with-database", "--"]
    env = {
        **os.environ,
        "VAR_DIR": str(var),
        "SERVICE_PORT": port_of(there.service),
        "SANDBOX_PORT": port_of(there.sandbox),
    }
    subprocess.run([*command, sys.executable, "-c", code], cwd=ROOT, env=env, check=True)


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


def turned_away(there: Addresses) -> None:
    """Somebody who has no token for the metrics, and a webhook that nobody signed."""
    answer = requests.get(f"{there.service}/metrics", timeout=PATIENCE)
    assert answer.status_code == 401, answer.status_code
    unsigned = requests.post(f"{there.service}/v1/webhooks/stripe", json={}, timeout=PATIENCE)
    assert unsigned.status_code == 400, unsigned.status_code


@contextmanager
def load(folder: Path, there: Addresses) -> Iterator[None]:
    """Ten rides a second of every kind, until the end of the block."""
    env = {
        **os.environ,
        "SERVICE_PORT": port_of(there.service),
        "SANDBOX_PORT": port_of(there.sandbox),
        "DEMO_RATE": "10",
    }
    with (folder / "demo.log").open("wb") as out:
        rides = subprocess.Popen(
            [sys.executable, "-m", "scripts.demo"], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    try:
        yield
        if rides.poll() is not None:
            raise RuntimeError((folder / "demo.log").read_text())
    finally:
        rides.terminate()
        rides.wait(PATIENCE)


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[str]:
    """A Prometheus on loopback, with our rules, scraping each second; gives its address."""
    told = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    told["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    told["rule_files"] = [str(RULES)]
    assert {job["job_name"] for job in told["scrape_configs"]} == targets.keys()
    for job in told["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]].removeprefix("http://")]}]
        job["authorization"] = {"credentials": TOKEN}
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(told))
    reserved = reserved_port()
    address = f"127.0.0.1:{reserved.getsockname()[1]}"
    reserved.close()  # it binds without SO_REUSEADDR
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'series'}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as out:
        running = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
    try:
        until = time.monotonic() + PATIENCE
        while not is_ready(address):
            if running.poll() is not None or time.monotonic() > until:
                raise RuntimeError((folder / "prometheus.log").read_text()[-2000:])
            time.sleep(0.2)
        yield f"http://{address}/api/v1"
    finally:
        running.terminate()
        running.wait(PATIENCE)


def is_ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/-/ready", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def ask(api: str, path: str, **parameters: Any) -> Any:
    answer = requests.get(f"{api}/{path}", params=parameters, timeout=PATIENCE)
    said = answer.json()
    if said["status"] != "success":
        raise RuntimeError(f"{path} {json.dumps(parameters)}: {said}")
    return said["data"]


def wrong_rules(api: str) -> list[str]:
    """Rules that did not load, or can't be evaluated."""
    loaded = {
        rule["name"]: rule for group in ask(api, "rules")["groups"] for rule in group["rules"]
    }
    firing = [name for name, rule in loaded.items() if rule["state"] == "firing"]
    print(f"watch-check: firing at the end: {', '.join(firing) or 'none'}")
    missing = {rule["alert"] for rule in rules()} - loaded.keys()
    bad = [
        f"rule {name}: {rule.get('lastError')}"
        for name, rule in loaded.items()
        if rule["health"] != "ok"
    ]
    return [*(f"rule {name} is not there" for name in sorted(missing)), *bad]


def not_scraped(api: str) -> list[str]:
    return [
        f"{target['labels']['job']} was not scraped: {target['lastError']}"
        for target in ask(api, "targets")["activeTargets"]
        if target["health"] != "up"
    ]


def empty(api: str, seconds: float) -> list[str]:
    """Expressions without one number in all this time, but for those that may have none."""
    faults = []
    now = time.time()
    for where, expression in expressions(INTERVAL).items():
        series = ask(api, "query_range", query=expression, start=now - seconds, end=now, step=1)
        values = [value for one in series["result"] for _, value in one["values"]]
        is_empty = all(value in ("NaN", "+Inf", "-Inf") for value in values)
        if is_empty and where not in EMPTY:
            faults.append(f"{where} gives no series: {expression}")
    return [
        *faults,
        *(
            f"{where} is in EMPTY and no panel"
            for where in EMPTY
            if where not in expressions(INTERVAL)
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
