"""Blnk: one program from its Go module, and a Redis of its own.

Written after its sources and not run yet: the Go module proxy refused the module when it was asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from payment_service import embedded
from tests.bench.peers.contract import SPREAD, Act, Peer, Running
from tests.bench.peers.fetching import go_program, run
from tests.bench.peers.programs import a_database, a_port, program
from tests.bench.world import Servers

MODULE, VERSION = "github.com/blnkfinance/blnk", "v0.15.2"
DATABASE = "blnk"
# It has no setting for the address, and would listen on all.
LOCAL = {"cmd/server.go": ('Addr:    ":" + port', 'Addr:    "127.0.0.1:" + port')}


def _fetch(folder: Path) -> None:
    go_program(MODULE, VERSION, folder, package="cmd", replaced=LOCAL)


@contextlib.contextmanager
def _start(servers: Servers, folder: Path, directory: Path) -> Iterator[Running]:
    directory = directory / "blnk"
    port = a_port(directory)
    address = a_database(servers, DATABASE)
    redis = embedded.start_redis(directory / "redis")
    try:
        env = {
            "BLNK_DATA_SOURCE_DNS": address.url("postgres"),
            "BLNK_REDIS_DNS": redis.url,
            "BLNK_SERVER_PORT": str(port),
            "BLNK_ENABLE_TELEMETRY": "false",
        }
        blnk = str(folder / f"program-{VERSION}")
        run(folder, blnk, "migrate", "up", env=env)
        url = f"http://127.0.0.1:{port}"
        log = folder / "program.log"
        with program([blnk, "start"], directory, log, f"{url}/health", env) as pid:
            yield Running(
                url=url,
                database=DATABASE,
                parts={"blnk": pid, "redis": redis.process.pid},
                acts=[_transaction()],
                reads="SELECT '/transactions/' || transaction_id FROM blnk.transactions",
            )
    finally:
        redis.stop()


def _transaction() -> Act:
    """skip_queue: the answer means that it is committed. A balance that another request holds is
    waited for three seconds and then refused, so many share the load."""
    return Act(
        name="Blnk 0.15",
        path="/transactions",
        headers={"Content-Type": "application/json"},
        body='{"amount": 10.50, "precision": 100, "currency": "INR", "reference": "{n}", '
        '"source": "@riders-{pick}", "destination": "@drivers-{pick}", '
        '"allow_overdraft": true, "skip_queue": true}',
        picks=[str(number) for number in range(SPREAD)],
        done="SELECT count(*) FROM blnk.transactions WHERE status = 'APPLIED'",
    )


PEER = Peer("Blnk", _fetch, _start)
