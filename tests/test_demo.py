"""`make demo` beside a real service and sandbox: rides of each kind come, nothing of it stays
armed, and what is missing is said in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from scripts.demo import rate
from scripts.rides import RIDES, World
from tests.patience import PATIENCE
from tests.running_service import Service, running_service
from tests.sandbox_calls import emptied, eventually
from tests.sandbox_server import ROOT, Sandbox, reserved_port

CAME = (
    *("status=SUCCESS", "status=FAILED", "status=PARTIALLY_REFUNDED", "status=REFUNDED"),
    *("status=REQUIRES_ACTION", "method=CASH", "method=UPI"),
)
TOLD = ("paid", "refused", "lost", "refunded in part", "refunded whole", "captured")


def demo(service: str, sandbox: str, **env: str) -> subprocess.Popen[str]:
    ports = {"SERVICE_PORT": service, "SANDBOX_PORT": sandbox, "DEMO_RATE": "20"}
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.demo"],
        cwd=ROOT,
        env=os.environ | ports | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_there(service: Service, query: str) -> bool:
    return bool(service.get(f"/v1/payments?limit=1&{query}").json()["payments"])


def booked(sandbox: Sandbox, noun: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = requests.get(
        f"{sandbox.url}/psp/{noun}", timeout=PATIENCE
    ).json()[noun]
    return found


@pytest.mark.slow
def test_rides_of_each_kind_come_until_ctrl_c(
    tmp_path: Path, fresh_database: str, redis_url: str, sandbox: Sandbox
) -> None:
    emptied(sandbox)
    world = dict.fromkeys(("SANDBOX_PROVIDER_URL", "TRIP_SERVICE_URL"), sandbox.url)
    with running_service(
        tmp_path, database_url=fresh_database, REDIS_URL=redis_url, **world
    ) as service:
        running = demo(service.url.rpartition(":")[2], str(sandbox.port), TOKEN="not-to-be-shown")
        said: list[str] = []
        out = running.stdout
        assert out is not None
        reader = threading.Thread(target=lambda: [said.append(line) for line in out])
        reader.start()
        try:
            for query in CAME:
                eventually(lambda query=query: is_there(service, query))
            for noun in ("captures", "refunds"):
                eventually(lambda noun=noun: booked(sandbox, noun))
            eventually(lambda: is_there(service, "method=CASH&status=SUCCESS"))
            eventually(lambda: {"INR"} < {row["currency"] for row in booked(sandbox, "charges")})
            # A line comes each five seconds, and counts the rides that are done.
            eventually(lambda: bool(said) and all(f" {word}" in said[-1] for word in TOLD))
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(PATIENCE)
            reader.join(PATIENCE)
            out.close()
        assert running.returncode == 0, said
        assert not any("otherwise" in line or "not-to-be-shown" in line for line in said)
        armed = requests.get(f"{sandbox.url}/sandbox/faults", timeout=PATIENCE).json()["armed"]
        assert armed == []


def test_a_fault_that_met_no_ride_is_taken_back(sandbox: Sandbox) -> None:
    world = World("http://127.0.0.1:9", sandbox.url)
    world.arm("charge", "fail_500", "demo-never-charged")
    theirs = world.tell("POST", "/sandbox/faults", {"operation": "void", "fault": "slow"})["id"]
    world.disarm()
    armed = [fault["id"] for fault in world.tell("GET", "/sandbox/faults")["armed"]]
    world.tell("DELETE", f"/sandbox/faults/{theirs}")
    assert armed == [theirs]


def test_nobody_there_is_one_line_that_says_what_to_do() -> None:
    with reserved_port() as nobody:
        port = str(nobody.getsockname()[1])
        running = demo(port, port)
        said, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert said.count("\n") == 1
    assert said.startswith(f"demo: http://127.0.0.1:{port} does not answer. Start `make run`")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "21", "two"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^DEMO_RATE: must be a number above 0"):
        rate(text)


def test_a_deck_of_thirty_has_each_kind() -> None:
    assert sum(times for _, times in RIDES) == 30
    assert all(times > 0 for _, times in RIDES)
