"""How long the operators' pages take at two sizes: python -m tests.bench.panel [--payments 5000000]

Two databases, of 5,000 payments and of so many more, each with a gunicorn of one worker, and an
operator who is logged in. The desk, the list's first and a deep page, a find, a payment with forty
events and a rare status at a rare provider, asked for by HTTP, one after the other: what a person
waits for. The sizes take turns, and so does a bare view, so that what else the machine does is in
all of them.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from statistics import quantiles

import requests

from payment_service import config, create_app
from payment_service.domain.operators import How, Role
from payment_service.schemas.lists import Cursor
from tests.bench import bulk_filling, report, world
from tests.bench.bare import Bare
from tests.bench.report import Report
from tests.bench.world import Servers
from tests.fixtures import ENCRYPTION_KEYS, IN_PRODUCTION
from tests.operators import an_operator, begun

SMALL = 5_000
AIM_RATIO, AIM_PAGE_MS, AIM_RARE_MS = 1.5, 150.0, 2200.0
WARM = 5
"""Asks of each page that are not counted: on caches that are cold."""
STORY, RARE = f"payment with {bulk_filling.LONG_STORY} events", "rare status, rare provider"
NARROW = "Narrow it"
LIST = "/admin/payments"
KEYS = {"secret_key": IN_PRODUCTION["secret_key"], "encryption_keys": ENCRYPTION_KEYS}

Path_ = Callable[[], str]


@dataclass(frozen=True)
class Panel:
    """The pages on one database, as an operator's browser asks for them."""

    url: str
    browser: requests.Session
    pages: dict[str, Path_]

    def ask(self, what: str) -> tuple[float, str]:
        """The milliseconds until the whole page is here, and its text."""
        path = self.pages[what]()
        begun_at = time.perf_counter()
        answer = self.browser.get(self.url + path, allow_redirects=False, timeout=60)
        taken = 1e3 * (time.perf_counter() - begun_at)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} was answered {answer.status_code}: {answer.text[:500]}")
        return taken, answer.text


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=5_000_000)
    parser.add_argument("--asks", type=int, default=100, help="of each page")
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="panel-") as directory,
        world.servers(Path(directory)) as servers,
    ):
        for rows in (SMALL, wanted.payments):
            begun_at = time.monotonic()
            servers.migrated(f"panel_{rows}")
            bulk_filling.fill(servers, f"panel_{rows}", rows)
            print(
                f"{rows:,} payments were filled in {time.monotonic() - begun_at:.0f} s", flush=True
            )
        found = measured(servers, wanted.payments, wanted.asks)
    print(found.table())
    sys.exit(any(line.met is False for line in found.lines))


def measured(servers: Servers, many: int, asks: int) -> Report:
    """All pages at both sizes. The databases are there, as bulk_filling made them."""
    found = Report(report.machine(0, many, servers.settings()))
    with ExitStack() as stack:
        few_panel, many_panel = (
            stack.enter_context(opened(servers, f"panel_{rows}", rows)) for rows in (SMALL, many)
        )
        bare = stack.enter_context(world.started(Bare(servers.directory / "bare"), worker=False))
        yardstick = Panel(
            bare.url, requests.Session(), {what: lambda: "/" for what in few_panel.pages}
        )
        found.add("ms: least, p50, p95", f"a bare view; {SMALL:,}; {many:,}")
        for what in few_panel.pages:
            tell(found, what, [yardstick, few_panel, many_panel], asks)
    return found


@contextmanager
def opened(servers: Servers, database: str, rows: int) -> Iterator[Panel]:
    """One worker of gunicorn on that database, and a browser in which an approver is logged in."""
    url = servers.url(database).render_as_string(hide_password=False)
    app = create_app(
        config.load(database_url=url, redis_url=servers.redis.url, log_level="ERROR", **KEYS)
    )
    browser = requests.Session()
    token = begun(an_operator(app, Role.APPROVER), How.CODE).token
    browser.headers["Cookie"] = f"payments_dev={token}"
    settings = {name.upper(): str(value) for name, value in KEYS.items()}
    service = servers.service(database, database, WEB_WORKERS="1", **settings)
    with world.started(service, worker=False):
        yield Panel(service.url, browser, pages(servers, database, rows))


def pages(servers: Servers, database: str, rows: int) -> dict[str, Path_]:
    """What is asked for, each time another one where there are others."""
    cursors = _cursors(servers, database, rows)
    return {
        "desk": lambda: "/admin/",
        "list, first page": lambda: LIST,
        "list, deep page": lambda: f"{LIST}?older={random.choice(cursors)}",
        # A bare number, as six kinds; as many hits at either size.
        "find": lambda: f"/admin/find?q={bulk_filling.NUMBER}",
        STORY: lambda: f"{LIST}/{bulk_filling.TELLS}",
        RARE: lambda: f"{LIST}?status=FAILED&provider=none",
    }


def _cursors(servers: Servers, database: str, rows: int) -> list[Cursor]:
    """Places all over the list."""
    ids = ",".join(str(random.randint(100, rows)) for _ in range(500))
    found = servers.query(
        database,
        f"SELECT created_at, payment_id FROM payments WHERE payment_id = ANY (ARRAY[{ids}])",
    )
    return [Cursor(created_at.astimezone(UTC), row_id) for created_at, row_id in found]


def tell(found: Report, what: str, panels: list[Panel], asks: int) -> None:
    """Asks each in turn; the ratio is that of the middles, which a busy machine disturbs least."""
    taken: list[list[float]] = [[] for _ in panels]
    narrowed = 0
    for turn in range(WARM + asks):
        for place, panel in enumerate(panels):
            ms, text = panel.ask(what)
            if turn >= WARM:
                taken[place].append(ms)
                narrowed += NARROW in text
        if sum(map(sum, taken)) > 60_000:  # of what takes 2 s each time, a minute is enough
            break
    figure = "; ".join(
        f"{min(one):6.1f} {_cut(one, 50):6.1f} {_cut(one, 95):6.1f}" for one in taken
    )
    _, few, many = taken
    high = _cut(many, 95)
    aim = AIM_RARE_MS if what == RARE else AIM_PAGE_MS
    found.add(what, figure, f"p95 < {aim:,.0f} ms", high < aim)
    if what == RARE:
        found.add("  of these, with the offer to narrow", f"{narrowed} of {len(many)}")
        return
    ratio = _cut(many, 50) / _cut(few, 50)
    found.add(f"  {what}, many to few", f"{ratio:.2f}", f"< {AIM_RATIO}", ratio < AIM_RATIO)


def _cut(taken: list[float], percent: int) -> float:
    return quantiles(taken, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
