"""The sandbox forgets nothing and doubles nothing, whatever kills it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from payment_service.sandbox.dialects.psp.books import Books
from payment_service.sandbox.journal import Journal
from payment_service.sandbox.memory import Memory
from tests.patience import PATIENCE
from tests.sandbox_calls import (
    GONE,
    arm,
    booked,
    capture,
    charge,
    eventually,
    get,
    hold,
    lookup,
    post,
    refund,
    sandbox_with_trips,
    void,
)
from tests.sandbox_server import Sandbox


@pytest.fixture
def sandbox(empty_sandbox: Sandbox) -> Sandbox:
    return empty_sandbox


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that a test may kill."""
    with sandbox_with_trips(tmp_path / "own") as sandbox:
        yield sandbox


A_DAY = 24 * 3600 * 1000  # ms; longer than any test


class SlowJournal(Journal):
    """Gives every other thread the time to get in between a decision and its entry."""

    def append(self, entry: dict[str, Any]) -> None:
        time.sleep(0.002)
        super().append(entry)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_many_threads_at_once(tmp_path: Path) -> None:
    """One reference is one charge, and refunds never exceed it, however threads fall."""
    provider = Books(Memory(SlowJournal(tmp_path / "journal")), success_rate=1.0)
    money = {"amount_minor": 100, "currency": "INR"}
    body = money | {"reference": "c-1", "method": "CARD"}
    assert len({row["id"] for row in at_once(20, lambda _: provider.charge(body))}) == 1
    back = money | {"charge_reference": "c-1", "amount_minor": 60}
    rows = at_once(20, lambda n: provider.refund(back | {"reference": f"r-{n}"}))
    assert sorted(row["state"] for row in rows) == ["declined"] * 19 + ["succeeded"]
    held = money | {"reference": "c-2", "method": "CARD", "capture": False}
    provider.charge(held)
    take = {"amount_minor": 100}
    rows = at_once(20, lambda n: provider.capture("c-2", take | {"reference": f"k-{n}"}))
    assert [row["state"] for row in rows].count("captured") == 1


# Nothing is forgotten


def everything(sandbox: Sandbox) -> dict[str, Any]:
    paths = [f"/psp/{noun}" for noun in ("charges", "captures", "voids", "refunds")]
    paths += ["/sandbox/inbox", "/sandbox/late", "/v1/trips/32", "/v1/trips/900"]
    return {path: get(sandbox, path) for path in paths}


@pytest.mark.slow
def test_kill_9_forgets_nothing(own_sandbox: Sandbox) -> None:
    sandbox = own_sandbox
    charge(sandbox, "c-1")
    charge(sandbox, "c-2", payment_token="tok_decline_expired_card")
    charge(sandbox, "c-3", payment_token="tok_pending")
    charge(sandbox, "c-4", payment_token="tok_refund_pending")
    hold(sandbox, "c-5")
    hold(sandbox, "c-6")
    capture(sandbox, "c-5", 5000)
    void(sandbox, "c-6")
    refund(sandbox, "c-1", 100, "r-1")
    refund(sandbox, "c-4", 100, "r-2")
    refund(sandbox, "c-1", 10**9, "r-3")
    post(sandbox, "/v1/notifications", hello="you")
    requests.put(f"{sandbox.url}/sandbox/trips/900", json={"total_fare": 1}, timeout=PATIENCE)
    arm(sandbox, "charge", "arrive_late", ms=A_DAY)
    with pytest.raises(GONE):
        charge(sandbox, "c-7")
    before = everything(sandbox)
    sandbox.restart()
    assert everything(sandbox) == before
    assert charge(sandbox, "c-1").json() == lookup(sandbox, "c-1").json()
    assert booked(sandbox, "charge", "c-1") == 1
    assert refund(sandbox, "c-1", 9901, "r-9").status_code == 402


@pytest.mark.slow
def test_arrive_late_over_a_kill(own_sandbox: Sandbox) -> None:
    arm(own_sandbox, "charge", "arrive_late", ms=A_DAY)
    with pytest.raises(GONE):
        charge(own_sandbox, "late")
    own_sandbox.kill()
    kept = own_sandbox.journal.read_text()
    assert '["charge"' not in kept
    # Its time comes while nobody is there.
    own_sandbox.journal.write_text(re.sub(r'"due": ?[0-9.]+', '"due":1', kept))
    own_sandbox.start()
    eventually(lambda: lookup(own_sandbox, "late").status_code == 200)
    own_sandbox.restart()
    assert booked(own_sandbox, "charge", "late") == 1
    assert get(own_sandbox, "/sandbox/late") == {"late": []}


@pytest.mark.slow
def test_torn_last_line_is_cut_off(own_sandbox: Sandbox) -> None:
    charge(own_sandbox, "c-1")
    charge(own_sandbox, "c-2")
    own_sandbox.kill()
    whole = own_sandbox.journal.read_bytes()
    own_sandbox.journal.write_bytes(whole[:-40])
    own_sandbox.start()
    assert [row["reference"] for row in get(own_sandbox, "/psp/charges")["charges"]] == ["c-1"]
    assert charge(own_sandbox, "c-3").status_code == 201
    own_sandbox.restart()
    found = [row["reference"] for row in get(own_sandbox, "/psp/charges")["charges"]]
    assert found == ["c-1", "c-3"]


@pytest.mark.slow
def test_journal_cut_anywhere_still_adds_up(tmp_path: Path) -> None:
    """An operation and what it did to its charge are there together or not at all."""
    journal = Journal(tmp_path / "whole")
    provider = Books(Memory(journal), success_rate=1.0)
    money = {"amount_minor": 100, "currency": "INR"}
    provider.charge(money | {"reference": "c-1", "method": "CARD", "capture": False})
    provider.capture("c-1", {"reference": "k-1", "amount_minor": 70})
    provider.refund(money | {"reference": "r-1", "charge_reference": "c-1", "amount_minor": 60})
    journal.close()
    whole = (tmp_path / "whole").read_bytes()
    seen = set()
    for length in range(len(whole) + 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        journal = Journal(tmp_path / "cut")
        memory = Memory(journal)
        journal.close()
        charges = memory.rows("charge")
        captured, refunded = (
            [row["amount_minor"] for row in memory.rows(kind)] for kind in ("capture", "refund")
        )
        assert sum(captured) == sum(row["captured_minor"] for row in charges)
        assert sum(refunded) == sum(row["refunded_minor"] for row in charges)
        seen.add((len(charges), len(captured), len(refunded)))
    assert seen == {(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)}


@pytest.mark.slow
def test_line_in_the_middle_that_can_not_be_read_is_not_skipped(own_sandbox: Sandbox) -> None:
    charge(own_sandbox, "c-1")
    charge(own_sandbox, "c-2")
    own_sandbox.kill()
    lines = own_sandbox.journal.read_bytes().splitlines(keepends=True)
    own_sandbox.journal.write_bytes(lines[0][:-9] + b"\n" + b"".join(lines[1:]))
    with pytest.raises(RuntimeError, match="line 1"):
        own_sandbox.start()


@pytest.mark.slow
def test_kill_under_load_keeps_all_that_was_answered(own_sandbox: Sandbox) -> None:
    answered: list[str] = []

    def keep_charging(worker: int) -> None:
        with requests.Session() as session:
            for number in range(10_000):
                body = {"reference": f"c-{worker}-{number}", "amount_minor": 1, "currency": "INR"}
                body |= {"method": "CARD"}
                try:
                    session.post(f"{own_sandbox.url}/psp/charges", json=body, timeout=PATIENCE)
                except requests.RequestException:
                    return
                answered.append(str(body["reference"]))

    threads = [threading.Thread(target=keep_charging, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answered) > 200)
    own_sandbox.kill()
    for thread in threads:
        thread.join()
    own_sandbox.start()
    known = [row["reference"] for row in get(own_sandbox, "/psp/charges")["charges"]]
    assert set(answered) <= set(known)
    assert len(known) == len(set(known))


def test_state_can_be_emptied(sandbox: Sandbox) -> None:
    charge(sandbox)
    arm(sandbox, "*", "slow", times=0, ms=1)
    post(sandbox, "/sandbox/latency", profile="fixed", ms=1)
    requests.put(f"{sandbox.url}/sandbox/trips/32", json={"status": "X"}, timeout=PATIENCE)
    requests.delete(f"{sandbox.url}/sandbox/state", timeout=PATIENCE)
    assert get(sandbox, "/psp/charges") == {"charges": []}
    assert lookup(sandbox, "c-1").status_code == 404
    assert get(sandbox, "/sandbox/faults")["armed"] == []
    assert get(sandbox, "/sandbox/latency")["profile"] == "off"
    assert get(sandbox, "/v1/trips/32")["status"] == "COMPLETED"
    assert get(sandbox, "/psp/requests")["count"] == 1
    assert sandbox.journal.read_bytes() == b""


@pytest.mark.slow
def test_stopping_does_not_wait_for_what_hangs(own_sandbox: Sandbox) -> None:
    charge(own_sandbox, "c-1")
    arm(own_sandbox, "charge", "accept_no_answer", ms=A_DAY)

    def hang() -> None:
        with pytest.raises(GONE):
            charge(own_sandbox, "c-2")

    thread = threading.Thread(target=hang)
    thread.start()
    eventually(lambda: get(own_sandbox, "/psp/requests")["count"] == 2)
    assert own_sandbox.stop() == 0
    thread.join()
    own_sandbox.start()
    assert booked(own_sandbox, "charge", "c-1") == 1


def test_half_a_request_is_none(sandbox: Sandbox) -> None:
    """As of a client that is killed while it sends."""
    before = get(sandbox, "/psp/requests")["count"]
    head = b"POST /psp/refunds HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 99\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as half:
        half.sendall(head + b'{"reference": "half-1", ')
        half.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert half.recv(1) == b""
    assert get(sandbox, "/psp/requests")["count"] == before


@pytest.mark.slow
def test_each_request_is_in_a_file_over_a_kill(own_sandbox: Sandbox) -> None:
    kept = own_sandbox.directory / "requests.jsonl"
    own_sandbox.restart(SANDBOX_REQUESTS=str(kept))
    charge(own_sandbox, "kept-1")
    own_sandbox.restart()
    lookup(own_sandbox, "kept-1")
    told = [json.loads(line) for line in kept.read_text().splitlines()]
    seen = [(one["dialect"], one["operation"], one["reference"]) for one in told]
    assert seen == [("psp", "charge", "kept-1"), ("psp", "lookup", "kept-1")]
