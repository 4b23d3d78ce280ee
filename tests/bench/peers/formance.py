"""Formance ledger: one program from its Go module.

Written after its sources and not run yet: the Go module proxy refused the module when it was asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.bench.peers.contract import SPREAD, Act, Peer, Running, Unavailable
from tests.bench.peers.fetching import go_program
from tests.bench.peers.programs import a_database, a_port, program
from tests.bench.world import Servers

MODULE = "github.com/formancehq/ledger"
VERSION = "v0.0.0-20251204132242-3d438e4b28ef"
"""A commit's: the tags say 2, and Go takes those of a module without /v2 in its name for none."""

DATABASE = "formance"
CHAINED, PLAIN = "chained", "plain"
FEATURES: dict[str, dict[str, str]] = {CHAINED: {}, PLAIN: {"HASH_LOGS": "DISABLED"}}


def _fetch(folder: Path) -> None:
    go_program(MODULE, VERSION, folder)


@contextlib.contextmanager
def _start(servers: Servers, folder: Path, directory: Path) -> Iterator[Running]:
    directory = directory / "formance"
    port = a_port(directory)
    address = a_database(servers, DATABASE)
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(folder / f"program-{VERSION}"), "serve", "--auto-upgrade"),
        *("--bind", f"127.0.0.1:{port}", "--experimental-features"),
        # As shipped it keeps no connection, and makes one for each statement.
        *("--postgres-max-idle-conns", "20", "--postgres-max-open-conns", "20"),
    ]
    # In the environment, because everyone can read the arguments of a process.
    env = {"POSTGRES_URI": address.url("postgresql")}
    with program(command, directory, folder / "program.log", f"{url}/_healthcheck", env) as pid:
        for ledger, features in FEATURES.items():
            made = requests.post(f"{url}/v2/{ledger}", json={"features": features}, timeout=60)
            if made.status_code != 204:
                raise Unavailable(f"POST /v2/{ledger} was answered {made.status_code}")
        yield Running(
            url=url,
            database=DATABASE,
            parts={"ledger": pid},
            acts=[_posting("Formance ledger", CHAINED), _posting("Formance, no chain", PLAIN)],
            reads="SELECT '/v2/' || ledger || '/transactions/' || id FROM _default.transactions"
            f" WHERE ledger = '{CHAINED}'",
        )


def _posting(name: str, ledger: str) -> Act:
    return Act(
        name=name,
        path=f"/v2/{ledger}/transactions",
        headers={"Content-Type": "application/json", "Idempotency-Key": "{n}"},
        body='{"postings": [{"source": "world", "destination": "riders:{pick}", '
        '"amount": 1050, "asset": "INR/2"}]}',
        picks=[str(number) for number in range(SPREAD)],
        done=f"SELECT count(*) FROM _default.transactions WHERE ledger = '{ledger}'",
    )


PEER = Peer("Formance ledger", _fetch, _start)
