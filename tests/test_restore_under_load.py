"""A backup is brought back while callers go on: nobody is charged twice, no answer becomes untrue,
and no id names two payments. The world, its callers and the judges are the campaign's."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from tests.campaign import backups, ledger, settling
from tests.campaign.faulty import Levers
from tests.campaign.invariants import judge
from tests.campaign.load import Caller, Market
from tests.campaign.payers import Payers
from tests.campaign.settling import Bank
from tests.campaign.stage import ROOT, Stage
from tests.campaign.told import Told

CALLERS = 6
SINCE_THE_BACKUP = 60
"""Requests that are asked between backup and restore."""


def _until_asked(told: Told, more: int) -> None:
    wanted, deadline = len(told.all()) + more, time.monotonic() + 300
    while len(told.all()) < wanted:
        assert time.monotonic() < deadline, "the callers came to a stop"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_restore_in_the_middle_of_it_all(tmp_path: Path) -> None:
    rng = random.Random(20261121)
    stage = Stage(tmp_path, ROOT, print, lambda: None)
    try:
        stage.start()
        ledger.bind_queue(stage)
        levers, told = Levers(stage.sandbox.url, random.Random(rng.random())), Told()
        payers = Payers(random.Random(rng.random()))
        market = Market(stage.url, stage.sandbox.url, levers, told, payers)
        bank = Bank(stage, market, random.Random(rng.random()))
        callers = [Caller(market, random.Random(rng.random())) for _ in range(CALLERS)]
        threads = [threading.Thread(target=caller.run, daemon=True) for caller in callers]
        for thread in threads:
            thread.start()
        try:
            _until_asked(told, 30)
            file = backups.save(stage)
            _until_asked(told, SINCE_THE_BACKUP)
            backups.restore(stage, file)
            _until_asked(told, 30)
            market.closing.set()
            left = settling.settle(
                stage, market, bank, levers,
                lambda: sum(thread.is_alive() for thread in threads), lambda: None,
            )  # fmt: skip
        finally:
            market.closing.set()
            market.giving_up.set()
            bank.close()
            payers.close()
        for thread in threads:
            thread.join(120)
        replays = ledger.replay_all(stage.url, told.all(), 1000)
        books = ledger.read(stage, levers, told.all())
        books.replays, books.left = replays, left
    finally:
        stage.close()
    assert len(books.replays) > SINCE_THE_BACKUP
    assert {verdict.name: verdict.broken for verdict in judge(books) if verdict.broken} == {}
