"""worker_beats: each beat is written now and then, and one that does not come is seen."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from payment_service.services import beats, worker
from payment_service.services.beats import BeatStanding, Written
from payment_service.services.worker import Beat
from tests.books import execute, row, rows
from tests.fixtures import MakeApp
from tests.sandbox_calls import eventually


@pytest.fixture
def own(make_app: MakeApp, fresh_database: str) -> Flask:
    return make_app(database_url=fresh_database)


def standing(app: Flask, name: str, now: datetime | None = None) -> BeatStanding:
    with app.app_context():
        return next(beat for beat in beats.read(now=now) if beat.beat == name)


def note(app: Flask, written: Written, counts: dict[str, int], error: str | None = None) -> None:
    with app.app_context():
        written.note(counts, error)


def test_every_beat_has_its_period() -> None:
    assert set(worker.RUNS) == set(beats.PERIODS)
    assert {beat.name: beat.seconds for beat in worker.BEATS} == beats.PERIODS


def test_a_beat_is_written_once_in_five_seconds_with_all_it_did(own: Flask) -> None:
    written = Written("totals")
    note(own, written, {"totals": 3})
    first = standing(own, "totals")
    assert (first.counts, first.error, first.is_silent) == ({"totals": 3}, None, False)
    written.again_at = float("inf")  # five seconds are not over
    note(own, written, {"totals": 2})
    note(own, written, {}, "OperationalError")
    assert standing(own, "totals") == first
    written.again_at = 0.0
    note(own, written, {"totals": 1, "more": 0})
    second = standing(own, "totals")
    assert (second.counts, second.error) == ({"totals": 3}, "OperationalError")
    assert first.last_at is not None
    assert second.last_at is not None
    assert second.last_at > first.last_at
    written.again_at = 0.0
    note(own, written, {})
    third = standing(own, "totals")
    assert (third.counts, third.error) == ({}, None)
    assert len(rows(own, "SELECT FROM worker_beats")) == 1


def test_the_worker_writes_its_beats_and_the_kind_of_an_error(own: Flask) -> None:
    def fail() -> dict[str, int]:
        raise ValueError("card 4111111111111111")

    stopping = threading.Event()
    running = (Beat("well", lambda: {"done": 1}, 60.0), Beat("wrong", fail, 60.0))
    thread = threading.Thread(target=worker.run, args=(own, stopping, running))
    thread.start()
    try:
        eventually(lambda: len(rows(own, "SELECT FROM worker_beats")) == 2)
    finally:
        stopping.set()
        thread.join()
    found = {one["beat"]: one for one in rows(own, "SELECT * FROM worker_beats")}
    assert found["well"]["counts"] == {"done": 1}
    assert found["well"]["host"]
    assert found["wrong"]["error"] == "ValueError"


def test_a_database_that_does_not_take_it_stops_no_beat(own: Flask) -> None:
    execute(own, "ALTER TABLE worker_beats RENAME TO elsewhere")
    written = Written("totals")
    note(own, written, {"totals": 3})
    execute(own, "ALTER TABLE elsewhere RENAME TO worker_beats")
    written.again_at = 0.0
    note(own, written, {"totals": 1})
    assert row(own, "SELECT counts FROM worker_beats")["counts"] == {"totals": 4}


@pytest.mark.parametrize(
    ("name", "silence"),
    [("totals", 60), ("reaping", 300), ("relay-order", 60), ("verifying", 3600)],
)
def test_silent_is_what_did_not_come_for_five_periods_and_a_minute(
    own: Flask, name: str, silence: int
) -> None:
    never = standing(own, name)
    assert never.is_silent
    assert never.last_at is None
    note(own, Written(name), {})
    last = standing(own, name).last_at
    assert last is not None
    assert not standing(own, name, last + timedelta(seconds=silence)).is_silent
    assert standing(own, name, last + timedelta(seconds=silence + 1)).is_silent


def test_a_beat_that_this_version_does_not_have_is_nobodys_concern(own: Flask) -> None:
    note(own, Written("of-old"), {})
    execute(own, "UPDATE worker_beats SET last_at = '2020-01-01'")
    with own.app_context():
        found = beats.read(now=datetime.now(UTC))
    assert [beat.beat for beat in found] == list(beats.PERIODS)
