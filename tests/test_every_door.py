"""Random histories of one trip through every door: at the provider and in cash together at most one
fare is kept for it, it is the fare, and none once history had paid."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from payment_service.extensions import db
from payment_service.providers import sandbox as wire
from payment_service.services import expiry
from payment_service.services.moves import resolution, rows
from payment_service.services.moves.operations import operation_of
from tests.books import a_trip, change_trip, execute, payments_of
from tests.books import rows as rows_of
from tests.fixtures import MakeApp, a_key, a_number
from tests.histories import a_row, loader, next_id
from tests.patience import PATIENCE
from tests.restoring import House, house_on
from tests.sandbox_calls import arm, disarm
from tests.sandbox_server import Sandbox
from tests.watched_provider import watch_provider

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0")) // 5
PARTS = 4
"""So that several cores share them."""
FARE = 10486
RIGHT = {"status": "COMPLETED", "currency": "INR", "total_fare": "104.86"}
TAKES = ("CHARGE", "AUTHORIZATION", "CAPTURE")
DEFINITE = (200, 201, 402)
DEAD = ("FAILED", "CANCELLED", "EXPIRED")

pick = st.integers(0, 20)
endings = st.sampled_from(
    (None, None, None, "decline", "too_many_requests", "do_and_lose_answer", "reset_before_reading")
)
subjects = st.sampled_from(("trip", "trip", "trip and order", "order"))
methods = st.sampled_from(("CARD", "CARD", "CASH"))


Sent = list[tuple[str, str]]


class World:
    """The app, its provider, and what was sent there: (our reference, type)."""

    def __init__(self, app: Flask, sandbox: Sandbox, folder: Path, sent: Sent) -> None:
        self.app, self.sandbox, self.folder, self.sent = app, sandbox, folder, sent
        self.client = app.test_client()


class HouseWorld(World):
    """A world whose database may be replaced."""

    def __init__(self, house: House, folder: Path, sent: Sent) -> None:
        super().__init__(house.app, house.sandbox, folder, sent)
        self.house = house


class OneTrip(RuleBasedStateMachine):
    """`asked` are the requests under keys, for retries; `paid_before` is how many requests had gone
    to the provider when history came in that had paid the trip."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.sent.clear()
        self.trip_id = a_trip(world.sandbox, **RIGHT)
        self.order_id = a_number()
        self.asked: list[tuple[str, str, dict[str, Any], Any]] = []
        self.paid_before: int | None = None
        self.asked_for: int | None = None
        self.backup: Path | None = None

    # -- the doors

    @rule(method=methods, hold=st.booleans(), named=subjects, ending=endings)
    def charge(self, method: str, hold: bool, named: str, ending: str | None) -> None:
        body = self._card(ending) | self._named(named) | {"method": method}
        self._post("/v1/payments/charge", body | ({"capture": False} if hold else {}))

    @rule(
        amount=st.sampled_from((None, "104.86", "1.00", "99999.00")), named=subjects, method=methods
    )
    def create(self, amount: str | None, named: str, method: str) -> None:
        body = self._named(named) | {"method": method} | ({"amount": amount} if amount else {})
        made = self._post("/v1/payments", body)
        if made.status_code == 201 and "trip" in named:
            assert made.json["amount"] == "104.86", made.json

    @precondition(lambda self: self._stored())
    @rule(which=pick, method=methods, hold=st.booleans(), ending=endings)
    def charge_by_id(self, which: int, method: str, hold: bool, ending: str | None) -> None:
        body = self._card(ending) | {"method": method} | ({"capture": False} if hold else {})
        self._post(f"{self._one(which)}/charge", body)

    @precondition(lambda self: self._stored())
    @rule(which=pick)
    def capture(self, which: int) -> None:
        self._post(f"{self._one(which)}/capture", {})

    @precondition(lambda self: self._stored())
    @rule(which=pick)
    def cancel(self, which: int) -> None:
        self._post(f"{self._one(which)}/cancel", {})

    @precondition(lambda self: self._stored())
    @rule(which=pick, status=st.sampled_from(("SUCCESS", "SUCCESS", "FAILED")))
    def settle_by_hand(self, which: int, status: str) -> None:
        self.world.client.patch(f"{self._one(which)}/status", json={"status": status})

    @rule(
        statuses=st.lists(st.sampled_from(("PENDING", "PENDING", "SUCCESS", "FAILED")), max_size=3),
        method=methods,
        amount=st.sampled_from(("104.86", "55.00")),
    )
    def history_comes_in(self, statuses: list[str], method: str, amount: str) -> None:
        with self.world.app.app_context():
            lines = [
                a_row(next_id(db.engine), trip_id=self.trip_id, amount=amount, method=method,
                      status=status, reference=f"OLD-{a_key()}")
                for status in statuses
            ]  # fmt: skip
            loader(db.engine, self.world.folder)(*lines, progress=False)
        taken = [row for row in self._stored() if row["provider"] != "import" and _takes(row)]
        if "SUCCESS" in statuses and not taken and self.paid_before is None:
            self.paid_before = len(self._taken())

    @precondition(lambda self: self.asked)
    @rule(which=pick)
    def ask_again(self, which: int) -> None:
        """The same request under its key; what was answered for good is answered again."""
        path, key, body, first = self.asked[which % len(self.asked)]
        again = self._send(path, key, body)
        if first.status_code in DEFINITE:
            assert (again.status_code, again.data) == (first.status_code, first.data)

    @rule(
        trip=st.sampled_from(
            ({"status": "CANCELLED"}, {"status": "ONGOING"}, {"total_fare": "99999999.00"})
        )
    )
    def the_trip_is_wrong(self, trip: dict[str, Any]) -> None:
        """Cancelled, under way, or beyond what is ever charged: nobody is asked for its money until
        it is right again."""
        change_trip(self.world.sandbox, self.trip_id, **trip)
        self.asked_for = len(self._asked_for())

    @rule()
    def the_trip_is_right(self) -> None:
        change_trip(self.world.sandbox, self.trip_id, **RIGHT)
        self.asked_for = None

    # -- what the worker, the network and time do

    @rule(given_up=st.booleans())
    def look_up(self, given_up: bool) -> None:
        """In time, or when nothing can be on its way any more."""
        for row in self._requests("status = 'PROCESSING' AND type <> 'REFUND'"):
            for _ in range(2 if given_up else 1):
                if given_up:
                    self._long_ago(row)
                self._resolve(row)

    @rule()
    def what_was_lost_arrives(self) -> None:
        """The provider does after all what it had not heard of; evidence wins, a surplus goes."""
        for row in self._requests("provider = 'sandbox' AND status IN ('PROCESSING', 'FAILED')"):
            if row["failure_code"] not in (None, "not_received") or self._is_known(row):
                continue
            self._deliver(row)
            self._resolve(row)
        self._time_passes()

    @rule()
    def holds_are_over(self) -> None:
        execute(
            self.world.app,
            "UPDATE payments SET expires_at = now() - interval '1 minute'"
            " WHERE trip_id = :trip AND expires_at IS NOT NULL",
            trip=self.trip_id,
        )
        self._time_passes()

    # -- what must hold after each step

    @invariant()
    def at_most_one_fare_is_kept(self) -> None:
        kept = [charge for row in self._stored() for charge in self._charges(row)]
        held = [charge for charge in kept if charge["state"] == "authorized"]
        taken = [charge["captured_minor"] - charge["refunded_minor"] for charge in kept]
        cash = [row["captured"] for row in self._stored() if row["provider"] == "cash"]
        fares = [FARE for _ in held] + [n for n in (*taken, *cash) if n > 0]
        assert fares in ([], [FARE]), (fares, self._stored())

    @invariant()
    def nothing_is_taken_once_history_had_paid(self) -> None:
        if self.paid_before is not None:
            assert len(self._taken()) == self.paid_before, self.world.sent

    @invariant()
    def nobody_is_asked_for_a_trip_that_is_wrong(self) -> None:
        if self.asked_for is not None:
            assert len(self._asked_for()) == self.asked_for, self.world.sent

    def teardown(self) -> None:
        with contextlib.suppress(requests.RequestException):
            disarm(self.world.sandbox)

    # -- how it is done

    def _named(self, named: str) -> dict[str, Any]:
        """What a request is for. The order may have a payment that is not the trip's, or one that
        becomes the trip's."""
        trip = {"trip_id": self.trip_id} if "trip" in named else {"amount": "104.86"}
        return trip | ({"order_id": self.order_id} if "order" in named else {})

    def _card(self, ending: str | None) -> dict[str, Any]:
        token = f"card-{a_key()}"
        if ending is not None:
            for verb in ("charge", "authorize"):
                arm(self.world.sandbox, verb, ending, match={"token": token})
        return {"payment_token": token}

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        key = a_key()
        answer = self._send(path, key, body)
        self.asked.append((path, key, body, answer))
        return answer

    def _send(self, path: str, key: str, body: dict[str, Any]) -> Any:
        answer = self.world.client.post(path, json=body, headers={"Idempotency-Key": key})
        assert answer.status_code < 500 or answer.status_code == 503, answer.json
        return answer

    def _one(self, which: int) -> str:
        found = self._stored()
        return f"/v1/payments/{found[which % len(found)]['payment_id']}"

    def _stored(self) -> list[dict[str, Any]]:
        return payments_of(self.world.app, trip_id=self.trip_id)

    def _taken(self) -> list[tuple[str, str]]:
        return self._sent(*TAKES)

    def _sent(self, *types: str) -> list[tuple[str, str]]:
        """What was sent about the trip's payments."""
        ours = {row["reference"] for row in self._stored()}
        return [
            sent for sent in self.world.sent
            if sent[1] in types and sent[0].rpartition("-")[0] in ours
        ]  # fmt: skip

    def _asked_for(self) -> list[tuple[str, str]]:
        return self._sent("CHARGE", "AUTHORIZATION")

    def _requests(self, condition: str) -> list[dict[str, Any]]:
        query = (
            "SELECT * FROM transactions WHERE payment_id IN (SELECT payment_id FROM payments"
            f" WHERE trip_id = :trip) AND {condition} ORDER BY payment_id, number"
        )
        return rows_of(self.world.app, query, trip=self.trip_id)

    def _long_ago(self, row: dict[str, Any]) -> None:
        execute(
            self.world.app,
            "UPDATE transactions SET send_before = send_before - interval '1 hour',"
            " not_found_at = not_found_at - interval '1 hour' WHERE transaction_id = :id",
            id=row["transaction_id"],
        )

    def _resolve(self, row: dict[str, Any]) -> None:
        with self.world.app.app_context():
            resolution.resolve(payment_id=row["payment_id"], number=row["number"])

    def _is_known(self, row: dict[str, Any]) -> bool:
        url = f"{self.world.sandbox.url}/psp/operations/{row['reference']}"
        return requests.get(url, timeout=PATIENCE).status_code == 200

    def _deliver(self, row: dict[str, Any]) -> None:
        with self.world.app.app_context(), db.engine.connect() as connection:
            payment = rows.read_payment(connection, row["payment_id"])
            asked = rows.read_transactions(connection, row["payment_id"])
            assert payment is not None
            earlier = [one for one in asked if one["number"] != row["number"]]
            path, body = wire.request_for(operation_of(payment, row, earlier))
        requests.post(self.world.sandbox.url + path, json=body, timeout=PATIENCE)

    def _time_passes(self) -> None:
        """The worker ends what is over, until nothing is."""
        with self.world.app.app_context():
            while expiry.run_once()["ended"]:
                pass

    def _charges(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What the provider has under the payment's references."""
        url = f"{self.world.sandbox.url}/psp/charges/{row['reference']}"
        for number in range(1, 8):
            found = requests.get(f"{url}-{number}", timeout=PATIENCE)
            if found.status_code == 200:
                yield found.json()


class OneTripAndBackups(OneTrip):
    """The same, and the database is replaced by a backup of it now and then."""

    world: HouseWorld

    @rule()
    def back_up(self) -> None:
        self.backup = self.world.house.backup()

    @precondition(lambda self: self.backup)
    @rule()
    def restore(self) -> None:
        """All is as it was: the invariants and every answer under a key see no difference."""
        assert self.backup is not None
        before = self._stored()
        self.world.house.restore(self.backup)
        after = self._stored()
        assert [_standing(row) for row in after] == [_standing(row) for row in before]
        for path, key, body, first in self.asked[-3:]:
            if first.status_code in DEFINITE:
                again = self._send(path, key, body)
                assert (again.status_code, again.data) == (first.status_code, first.data)


def _standing(row: dict[str, Any]) -> dict[str, Any]:
    """What a look-up after the restore may not have moved: it learns how open requests ended."""
    names = ("payment_id", "trip_id", "share", "reference", "amount", "currency", "method")
    return {name: row[name] for name in names}


def _takes(row: dict[str, Any]) -> bool:
    return row["status"] not in (*DEAD, "PENDING")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What the apps that are made after this send to the provider."""
    noted: Sent = []
    watch_provider(
        monkeypatch, lambda operation: noted.append((operation.reference, str(operation.type)))
    )
    return noted


@pytest.fixture
def world(
    sent: Sent, make_app: MakeApp, fresh_database: str, sandbox: Sandbox, tmp_path: Path
) -> World:
    app = make_app(database_url=fresh_database, redis_url=None, circuit_fail_max=10**9)
    return World(app, sandbox, tmp_path, sent)


@pytest.fixture
def world_with_backups(
    sent: Sent,
    fresh_database: str,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[HouseWorld]:
    monkeypatch.setenv("CIRCUIT_FAIL_MAX", "1000000")
    with house_on(fresh_database, sandbox, tmp_path, monkeypatch) as house:
        yield HouseWorld(house, tmp_path, sent)


def play(machine: Callable[[], OneTrip], **bounds: int) -> None:
    """Random histories of that machine."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            **bounds, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_a_trip_is_paid_once_through_whatever_doors(world: World, part: int) -> None:
    start = random.SystemRandom().getrandbits(64) if EXAMPLES else part
    examples = max(1, (EXAMPLES or 8) // PARTS)
    made = seed(start)(lambda: OneTrip(world))
    play(made, max_examples=examples, stateful_step_count=12)


def test_a_charge_that_was_lost_arrives_late(world: World) -> None:
    """One of these histories, which chance finds among thousands only."""
    trip = OneTrip(world)
    trip.charge(ending="reset_before_reading", hold=False, method="CARD", named="trip")
    trip.what_was_lost_arrives()
    trip.at_most_one_fare_is_kept()
    trip.teardown()


@pytest.mark.slow
def test_a_trip_is_paid_once_whatever_backup_is_brought_back(
    world_with_backups: HouseWorld,
) -> None:
    start = random.SystemRandom().getrandbits(64) if EXAMPLES else 0
    made = seed(start)(lambda: OneTripAndBackups(world_with_backups))
    examples = max(10, EXAMPLES // 20)  # each takes seconds: a restore is a new database
    play(made, max_examples=examples, stateful_step_count=10)
