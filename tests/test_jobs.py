"""Jobs: what operators have the worker do with many rows; killed, stopped, run twice at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from payment_service.domain.jobs import (
    MOST_ITEMS,
    BadJob,
    ItemFailed,
    ItemState,
    JobItem,
    JobKind,
    JobOver,
    JobState,
    RoleTooLow,
    UnknownJob,
)
from payment_service.domain.operators import By, Role
from payment_service.services import audit, audit_reading, audit_rows, bulk, job_items, jobs
from payment_service.services import worker as beats
from payment_service.services.audit_reading import Books
from payment_service.services.bulk import Chosen
from payment_service.services.jobs import Job
from tests.books import at_once, execute, row, rows
from tests.fixtures import MakeApp, a_key
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, disarm
from tests.sandbox_server import Sandbox
from tests.sisters import Make, apps_on, drain, heard, inbox, pay, urls

OPERATOR = By("operator:7", 7, Role.OPERATOR, 70)
VIEWER = By("operator:8", 8, Role.VIEWER, 80)
SEQ = 2
"""Of the event that a charge tells others: the first one only says that it was begun."""
OPEN, DONE, FAILED = ItemState.OPEN, ItemState.DONE, ItemState.FAILED


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


@pytest.fixture
def app(make: Make, sandbox: Sandbox) -> Flask:
    """With one sink, and nothing that is due by itself."""
    return make(**urls(sandbox, "order"), **CLOCKLESS)


def parked(app: Flask, count: int, error: str = "HTTP 500") -> list[str]:
    """The keys of so many deliveries that were parked, the longest parked first."""
    made = [pay(app) for _ in range(count)]
    execute(
        app,
        "UPDATE deliveries SET attempts = 3, last_error = :error,"
        " parked_at = now() - interval '1 hour' + make_interval(secs => place)"
        " FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS of (id, place)"
        " WHERE payment_id = id",
        ids=made,
        error=error,
    )
    return [bulk.key_of("order", payment_id, SEQ) for payment_id in made]


def payment_of(key: str) -> int:
    return int(key.split("/")[1])


def told_of(app: Flask, sandbox: Sandbox, keys: list[str]) -> list[str]:
    """The keys of what the sister service hears now, each as often as it does."""
    drain(app, "order")
    found = heard(inbox(sandbox, "order", map(payment_of, keys)))
    return sorted(bulk.key_of("order", *one) for one in found)


def ask(app: Flask, keys: list[str], kind: JobKind = JobKind.RESEND, **more: Any) -> int:
    with app.app_context():
        return bulk.ask(kind=kind, chosen=Chosen(tuple(keys)), by=OPERATOR, **more)


def step(app: Flask, does: Any = bulk.DOES) -> dict[str, int]:
    with app.app_context():
        return job_items.run_once(does)


def run(app: Flask, does: Any = bulk.DOES) -> None:
    while step(app, does)["more"]:
        pass


def read(app: Flask, job_id: int) -> Job:
    with app.app_context():
        return jobs.read(job_id=job_id)


def states(app: Flask, job_id: int) -> list[ItemState]:
    return [item.state for item in read(app, job_id).items]


def lease_ends(app: Flask) -> None:
    """As if what a killed worker had in hand had waited long enough."""
    execute(app, "UPDATE job_items SET due_at = now() WHERE state = 'OPEN'")


def acts(app: Flask) -> list[tuple[str, str, str | None, Any]]:
    found = rows(app, "SELECT * FROM audit_log ORDER BY audit_id")
    return [
        (one["actor"], one["act"], one["object"], json.loads(one["body"] or "null"))
        for one in found
    ]


# -- What is done


def test_a_resend_does_each_and_tells(app: Flask, sandbox: Sandbox) -> None:
    keys = parked(app, 3)
    job_id = ask(app, keys)
    before = read(app, job_id)
    assert (before.state, before.done, before.failed, before.left) == (JobState.OPEN, 0, 0, 3)
    assert before.started_at is None
    run(app)
    after = read(app, job_id)
    assert (after.state, after.done, after.failed, after.left) == (JobState.ENDED, 3, 0, 0)
    assert [item.key for item in after.items] == keys
    assert {item.said for item in after.items} == {"It is due now."}
    assert after.started_at
    assert after.ended_at
    assert told_of(app, sandbox, keys) == sorted(keys)


def test_who_asked_is_written_down_with_each(app: Flask) -> None:
    (key,) = parked(app, 1)
    job_id = ask(app, [key], JobKind.SKIP, reason="told by telephone", address="10.1.2.3")
    run(app)
    which = {"sink": "order", "payment_id": payment_of(key), "seq": SEQ, "count": 1}
    told = {"kind": "SKIP", "items": 1, "reason": "told by telephone"}
    assert acts(app) == [
        ("operator:7", "job_asked", f"job:{job_id}", told),
        ("operator:7", "deliveries_skipped", None, which),
    ]
    skipped = row(app, "SELECT session_id, address, reason FROM audit_log WHERE body LIKE '%seq%'")
    assert skipped == {"session_id": 70, "address": "10.1.2.3", "reason": "told by telephone"}
    assert row(app, "SELECT last_error FROM deliveries")["last_error"].endswith("telephone")


def test_one_that_fails_holds_up_no_other(app: Flask) -> None:
    keys = parked(app, 4)
    job_id = ask(app, keys)

    def does(item: JobItem) -> str:
        if item.key == keys[1]:
            raise ItemFailed("The sink does not want it.")
        if item.key == keys[2]:
            raise RuntimeError("a secret")
        return bulk.DOES[item.kind](item)

    run(app, {JobKind.RESEND: does})
    job = read(app, job_id)
    assert [item.state for item in job.items] == [DONE, FAILED, FAILED, DONE]
    assert [item.error for item in job.items if item.error] == [
        "The sink does not want it.",
        "Something went wrong here (RuntimeError).",
    ]
    assert (job.state, job.done, job.failed) == (JobState.ENDED, 2, 2)


def test_payments_are_looked_up(app: Flask, sandbox: Sandbox) -> None:
    """One whose provider is silent fails, and can be asked for again."""
    lost = []
    for _ in range(2):
        token = f"card-{a_key()}"
        arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
        lost.append(charge(app, token))
    paid = pay(app)
    first = row(app, "SELECT reference FROM transactions WHERE payment_id = :id", id=lost[0])
    arm(sandbox, "lookup", "lookup_unavailable", times=100, match={"reference": first["reference"]})
    with app.app_context():
        chosen = Chosen(tuple(map(str, [*lost, paid, 2**62])))
        found = bulk.preview(kind=JobKind.RESOLVE, chosen=chosen)
    assert found.will == tuple(map(str, lost))
    assert [left.why for left in found.left_out] == [
        "It is SUCCESS: no provider is asked about it.",
        "There is no such payment.",
    ]
    job_id = ask(app, list(found.will), JobKind.RESOLVE)
    run(app)
    job = read(app, job_id)
    assert [item.state for item in job.items] == [FAILED, DONE]
    assert job.items[0].error
    assert "no certain answer yet" in job.items[0].error
    assert job.items[1].said == "The payment is SUCCESS now."
    disarm(sandbox)
    again = ask(app, [str(lost[0])], JobKind.RESOLVE)
    run(app)
    assert states(app, again) == [DONE]
    told = row(app, "SELECT actor, request_id FROM events WHERE payment_id = :id", id=lost[0])
    assert told == {"actor": "operator", "request_id": f"job-{again}"}


def charge(app: Flask, token: str) -> int:
    body = {"order_id": 1, "amount": "100.00", "method": "CARD", "payment_token": token}
    body["order_id"] = abs(hash(token)) % 10**12
    answer = app.test_client().post(
        "/v1/payments/charge", json=body, headers={"Idempotency-Key": a_key()}
    )
    assert answer.status_code == 202, answer.json
    payment_id: int = answer.json["payment_id"]
    return payment_id


def test_the_chains_are_verified(app: Flask) -> None:
    sound, changed = pay(app), pay(app)
    does = next(beat.run_once for beat in beats.BEATS if beat.name == "verifying")
    with app.app_context():
        before = jobs.ask_verify(by=OPERATOR)
        assert does()["done"] == 1
    (item,) = read(app, before).items
    assert item.said == "2 payments, 2 events, 1 acts: every row and chain fits."
    execute(app, "UPDATE payments SET provider = 'other' WHERE payment_id = :id", id=changed)
    with app.app_context():
        asked = [jobs.ask_verify(by=OPERATOR, payment_id=one) for one in (sound, changed)]
        assert [does()["failed"] for _ in asked] == [0, 1]
        newest = jobs.newest(kind=JobKind.VERIFY)
    (item,) = read(app, asked[1]).items
    assert item.state is FAILED
    assert item.error
    assert f"payment {changed}, its row in payments: its provider is" in item.error
    assert [job.job_id for job in newest] == [*reversed(asked), before]
    assert [job.failed for job in newest] == [1, 0, 0]


# -- What is shown before


def test_a_preview_says_what_is_left_out_and_why(app: Flask) -> None:
    resent, delivered, skipped, still = parked(app, 4)
    run_one = {"id": payment_of(resent)}
    execute(app, "UPDATE deliveries SET parked_at = NULL WHERE payment_id = :id", **run_one)
    done = "UPDATE deliveries SET done_at = now(), parked_at = NULL WHERE payment_id = :id"
    execute(app, done, id=payment_of(delivered))
    ask(app, [skipped], JobKind.SKIP, reason="told by telephone")
    run(app)
    keys = (resent, delivered, skipped, still, "order/9/1", still)
    with app.app_context():
        found = bulk.preview(kind=JobKind.RESEND, chosen=Chosen(keys))
    assert found.will == (still,)
    assert {left.key: left.why for left in found.left_out} == {
        resent: "It is not parked: the relay tries it by itself.",
        delivered: "It was delivered meanwhile.",
        skipped: "It was skipped already.",
        "order/9/1": "It is not there any more; what was delivered is kept for a while only.",
    }


def test_all_that_fit(app: Flask) -> None:
    refused = parked(app, 2, "HTTP 422")
    silent = parked(app, 1, "time-out")
    with app.app_context():
        for filters, found in (
            ({}, [*refused, *silent]),
            ({"sink": "order", "error": "HTTP 422"}, refused),
            ({"payment_id": payment_of(silent[0])}, silent),
            ({"sink": "driver"}, []),
        ):
            shown = bulk.preview(kind=JobKind.RESEND, chosen=Chosen(filters=filters))
            assert sorted(shown.will) == sorted(found)
            assert not shown.more
        chosen = Chosen(filters={"error": "HTTP 422"})
        job_id = bulk.ask(kind=JobKind.RESEND, chosen=chosen, by=OPERATOR)
        waiting = Chosen(filters={"status": "PROCESSING"})
        assert bulk.preview(kind=JobKind.RESOLVE, chosen=waiting).will == ()
    assert [item.key for item in read(app, job_id).items] == refused
    assert read(app, job_id).what == {"filters": {"error": "HTTP 422"}}


def test_no_more_than_a_person_looks_through(app: Flask) -> None:
    (key,) = parked(app, 1)
    more = {"id": payment_of(key), "after": SEQ + 1, "last": SEQ + MOST_ITEMS}
    execute(
        app,
        "INSERT INTO events (payment_id, seq, type, to_status, actor, occurred_at, body, chain)"
        " SELECT :id, n, 'payment.succeeded', 'SUCCESS', 'worker', now(), '{}', ''"
        " FROM generate_series(CAST(:after AS int), :last) AS n",
        **more,
    )
    execute(
        app,
        "INSERT INTO deliveries (payment_id, sink, seq, attempts, due_at, parked_at, created_at)"
        " SELECT :id, 'order', n, 3, now(), now(), now()"
        " FROM generate_series(CAST(:after AS int), :last) AS n",
        **more,
    )
    with app.app_context():
        found = bulk.preview(kind=JobKind.RESEND, chosen=Chosen(filters={"sink": "order"}))
        assert (len(found.will), found.more) == (MOST_ITEMS, True)
        job_id = bulk.ask(kind=JobKind.RESEND, chosen=Chosen(filters={}), by=OPERATOR)
        ticked = Chosen(tuple(f"order/1/{n}" for n in range(1, MOST_ITEMS + 2)))
        with pytest.raises(BadJob, match="501"):
            bulk.preview(kind=JobKind.RESEND, chosen=ticked)
        with pytest.raises(BadJob, match="501"):
            jobs.ask(kind=JobKind.RESEND, keys=ticked.keys, by=OPERATOR)
    assert read(app, job_id).left == MOST_ITEMS


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (JobKind.RESEND, "order/1"),
        (JobKind.RESEND, "order/1/0"),
        (JobKind.RESEND, f"order/{10**19 - 1}/1"),
        (JobKind.SKIP, "order/1/1\n"),
        (JobKind.RESOLVE, "order/1/1"),
        (JobKind.RESOLVE, "\u0661"),
        (JobKind.VERIFY, "all"),
    ],
)
def test_a_key_that_names_nothing(app: Flask, kind: JobKind, key: str) -> None:
    with app.app_context(), pytest.raises(BadJob):
        bulk.ask(kind=kind, chosen=Chosen((key,)), by=OPERATOR, reason="none")
    assert rows(app, "SELECT 1 FROM jobs") == []


def test_what_is_no_job(app: Flask) -> None:
    (key,) = parked(app, 1)
    with app.app_context():
        with pytest.raises(BadJob, match="why"):
            bulk.ask(kind=JobKind.SKIP, chosen=Chosen((key,)), by=OPERATOR)
        with pytest.raises(BadJob, match="these are 0"):
            bulk.ask(kind=JobKind.RESEND, chosen=Chosen(("order/9/1",)), by=OPERATOR)
        with pytest.raises(BadJob, match="colour"):
            bulk.preview(kind=JobKind.RESEND, chosen=Chosen(filters={"colour": "red"}))
        for act in (jobs.stop, jobs.go_on):
            with pytest.raises(UnknownJob):
                act(job_id=9, by=OPERATOR)
        with pytest.raises(UnknownJob):
            jobs.read(job_id=9)


# -- Who may


def test_a_viewer_has_nothing_done(app: Flask) -> None:
    (key,) = parked(app, 1)
    job_id = ask(app, [key])
    refused: list[Callable[[], object]] = [
        lambda: bulk.ask(kind=JobKind.RESEND, chosen=Chosen((key,)), by=VIEWER),
        lambda: jobs.ask(kind=JobKind.RESEND, keys=[key], by=VIEWER),
        lambda: jobs.ask_verify(by=VIEWER),
        lambda: jobs.stop(job_id=job_id, by=VIEWER),
        lambda: jobs.go_on(job_id=job_id, by=VIEWER),
    ]
    with app.app_context():
        for call in refused:
            with pytest.raises(RoleTooLow):
                call()
    assert len(rows(app, "SELECT 1 FROM jobs")) == 1
    assert read(app, job_id).state is JobState.OPEN
    with app.app_context():  # the command line, and whoever may more than an operator
        assert jobs.ask_verify(by=By("cli:test"))
        assert jobs.ask_verify(by=By("operator:9", 9, Role.ADMIN))


def test_one_form_makes_one_job(app: Flask) -> None:
    keys = parked(app, 2)
    form = a_key()
    made = at_once([lambda: ask(app, keys, asked_key=form)] * 4)
    assert len(set(made)) == 1
    assert len(rows(app, "SELECT 1 FROM job_items")) == 2
    assert [act[1] for act in acts(app)] == ["job_asked"]
    with app.app_context():
        other = By("operator:9", 9, Role.OPERATOR)
        chosen = Chosen(tuple(keys))
        theirs = bulk.ask(kind=JobKind.RESEND, chosen=chosen, by=other, asked_key=form)
    assert theirs not in made


# -- Stopped, and gone on with


def test_a_job_is_stopped_and_goes_on(app: Flask) -> None:
    job_id = ask(app, parked(app, 3))
    assert step(app)["done"] == 1
    with app.app_context():
        assert jobs.stop(job_id=job_id, by=OPERATOR)
        assert not jobs.stop(job_id=job_id, by=OPERATOR)
    assert step(app) == {"done": 0, "failed": 0, "more": 0}
    job = read(app, job_id)
    assert (job.state, job.done, job.left) == (JobState.STOPPED, 1, 2)
    assert job.stop_asked_at
    with app.app_context():
        assert jobs.go_on(job_id=job_id, by=OPERATOR)
        assert not jobs.go_on(job_id=job_id, by=OPERATOR)
    run(app)
    job = read(app, job_id)
    assert (job.state, job.done, job.stop_asked_at) == (JobState.ENDED, 3, None)
    with app.app_context():
        for act in (jobs.stop, jobs.go_on):
            with pytest.raises(JobOver):
                act(job_id=job_id, by=OPERATOR)
    named = [act for act in acts(app) if act[1].startswith("job_")]
    assert [act[1] for act in named] == ["job_asked", "job_stopped", "job_continued"]
    assert {act[2] for act in named} == {f"job:{job_id}"}


def test_what_is_being_done_while_it_is_stopped_is_finished(app: Flask) -> None:
    job_id = ask(app, parked(app, 1))

    def does(item: JobItem) -> str:
        jobs.stop(job_id=job_id, by=OPERATOR)
        return bulk.DOES[item.kind](item)

    step(app, {JobKind.RESEND: does})
    assert read(app, job_id).state is JobState.ENDED


def test_a_walk_over_all_chains_leaves_off_and_begins_anew(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as it is stopped: only what never comes to an end is given up."""
    for _ in range(3):
        pay(app)
    does = {JobKind.VERIFY: audit.verify_item}
    walked: list[int] = []
    check = audit_rows.check

    def stopped_at_the_first(books: Books) -> Any:
        walked.append(books.payment_id)
        jobs.stop(job_id=job_id, by=OPERATOR)
        return check(books)

    monkeypatch.setattr(audit_reading, "CHUNK", 1)
    with app.app_context():
        job_id = jobs.ask_verify(by=OPERATOR)
    for turn in range(1, job_items.MOST_TRIES + 2):
        with monkeypatch.context() as now:
            now.setattr(audit_rows, "check", stopped_at_the_first)
            assert step(app, does) == {"done": 0, "failed": 0, "more": 0}
        assert len(walked) == turn
        job = read(app, job_id)
        assert (job.state, job.left) == (JobState.STOPPED, 1)
        with app.app_context():
            jobs.go_on(job_id=job_id, by=OPERATOR)
    assert step(app, does)["done"] == 1
    job = read(app, job_id)
    assert job.state is JobState.ENDED
    assert str(job.items[0].said).startswith("3 payments, ")


# -- Killed, and twice at once


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "before it is marked"])
def test_a_worker_is_killed(app: Flask, sandbox: Sandbox, done: bool) -> None:
    keys = parked(app, 2)
    job_id = ask(app, keys)
    with app.app_context():
        leased = job_items.lease(JobKind.RESEND)
        assert leased
        if done:
            bulk.DOES[JobKind.RESEND](leased.item)
            drain(app, "order")
    run(app)
    assert states(app, job_id) == [OPEN, DONE]  # what the dead one had in hand is still its own
    lease_ends(app)
    run(app)
    job = read(app, job_id)
    assert (job.state, job.done) == (JobState.ENDED, 2)
    said = "There was nothing left to do." if done else "It is due now."
    assert job.items[0].said == said
    assert told_of(app, sandbox, keys) == sorted(keys)


def test_an_item_that_kills_workers_is_given_up(app: Flask) -> None:
    job_id = ask(app, parked(app, 1))
    for _ in range(job_items.MOST_TRIES):
        with app.app_context():
            assert job_items.lease(JobKind.RESEND)
        lease_ends(app)
    did: list[JobItem] = []
    run(app, {JobKind.RESEND: lambda item: did.append(item) or "done"})  # type: ignore[func-returns-value]
    assert not did
    (item,) = read(app, job_id).items
    assert item.error == "It was begun 5 times and never came to an end."
    assert read(app, job_id).state is JobState.ENDED


def test_what_the_database_could_not_do_comes_again(app: Flask) -> None:
    job_id = ask(app, parked(app, 1))

    def does(item: JobItem) -> str:
        raise OperationalError("SELECT 1", {}, Exception("away"))

    assert step(app, {JobKind.RESEND: does}) == {"done": 0, "failed": 0, "more": 0}
    assert states(app, job_id) == [OPEN]
    lease_ends(app)
    run(app)
    assert states(app, job_id) == [DONE]


def test_many_workers_do_each_item_once(app: Flask) -> None:
    keys = parked(app, 12)
    job_id = ask(app, keys)
    did: list[str] = []

    def does(item: JobItem) -> str:
        did.append(item.key)
        return bulk.DOES[item.kind](item)

    at_once([lambda: run(app, {JobKind.RESEND: does})] * 6)
    assert sorted(did) == sorted(keys)
    assert read(app, job_id).state is JobState.ENDED


def test_two_that_mark_the_last_two_end_the_job(app: Flask) -> None:
    keys = parked(app, 2)

    def mark(leased: job_items.Leased) -> None:
        with app.app_context():
            job_items.mark(leased, DONE, "It is due now.")

    for _ in range(10):
        job_id = ask(app, keys)
        with app.app_context():
            first, second = job_items.lease(JobKind.RESEND), job_items.lease(JobKind.RESEND)
        assert first
        assert second
        at_once([lambda one=one: mark(one) for one in (first, second)])
        assert read(app, job_id).state is JobState.ENDED


def test_who_lost_its_lease_may_not_say_that_it_failed(app: Flask) -> None:
    job_id = ask(app, parked(app, 2))
    for told, stands in ((FAILED, OPEN), (DONE, DONE)):
        with app.app_context():
            late = job_items.lease(JobKind.RESEND)
            lease_ends(app)
            now = job_items.lease(JobKind.RESEND)
            assert late
            assert now
            assert late.item.key == now.item.key
            job_items.mark(late, told, "told late")
            assert states(app, job_id)[0] is stands
            if told is FAILED:
                execute(app, "UPDATE job_items SET due_at = '2020-01-01' WHERE number = 1")
