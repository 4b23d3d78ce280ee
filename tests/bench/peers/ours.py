"""This service as it is, on the same terms as the others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.bench import world
from tests.bench.peers.contract import Act, Peer, Running
from tests.bench.world import Servers
from tests.sandbox_server import running_sandbox

DATABASE = "ours"


def _nothing_to_fetch(folder: Path) -> None:
    """It is this checkout."""


def _act(method: str) -> Act:
    return Act(
        name=f"this service, {method}",
        path="/v1/payments/charge",
        headers={"Content-Type": "application/json", "Idempotency-Key": "peers-{n}"},
        body='{"order_id": {n}, "rider_id": 7, "driver_id": 8, "amount": "10.50", '
        f'"method": "{method}"}}',
        done=f"SELECT count(*) FROM payments WHERE status = 'SUCCESS' AND method = '{method}'",
    )


@contextlib.contextmanager
def _start(servers: Servers, folder: Path, directory: Path) -> Iterator[Running]:
    servers.migrated(DATABASE)
    with (
        running_sandbox(directory / "sandbox") as sandbox,
        world.started(
            servers.service("service", DATABASE, SANDBOX_PROVIDER_URL=sandbox.url)
        ) as service,
    ):
        names = ("web", "worker")
        pids = [process.pid for process in service.processes]
        yield Running(
            url=service.url,
            database=DATABASE,
            parts={**dict(zip(names, pids, strict=True)), "redis": servers.redis.process.pid},
            beside={"sandbox": sandbox.pid},
            acts=[_act("CASH"), _act("CARD")],
            reads="SELECT '/v1/payments/' || payment_id FROM payments",
        )


PEER = Peer("this service", _nothing_to_fetch, _start)
