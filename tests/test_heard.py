"""What is kept of a provider's answers: to requests in their own rows, to look-ups in one each."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, TextClause, text

from payment_service import http
from payment_service.domain.callers import WORKER, Caller
from payment_service.domain.operators import Role
from payment_service.domain.vocabulary import Found
from payment_service.extensions import db
from payment_service.http import hearing
from payment_service.providers.contract import Outcome, Result
from payment_service.services import audit, keys, provider_answers, timeline
from payment_service.services.moves import heard, lookups, resolution, rows, steps
from payment_service.services.moves.steps import Move
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_key, an_order
from tests.panelled import lost, paid
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, decide, eventually
from tests.sandbox_server import Sandbox
from tests.sisters import apps_on

Scalar = Callable[..., Any]


@pytest.fixture(scope="module")
def house(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, operator_mfa="optional")


def request_of(app: Flask, payment_id: int, number: int = 1) -> Any:
    asked = text(
        "SELECT status, reference, answered_ms, http_status, answer FROM transactions"
        " WHERE payment_id = :id AND number = :number"
    )
    with app.app_context(), db.engine.connect() as connection:
        return connection.execute(asked, {"id": payment_id, "number": number}).one()


def look_ups_of(app: Flask, payment_id: int) -> list[Any]:
    asked = text("SELECT * FROM lookups WHERE payment_id = :id ORDER BY number, n")
    with app.app_context(), db.engine.connect() as connection:
        return list(connection.execute(asked, {"id": payment_id}))


def answers_of(app: Flask, payment_id: int) -> dict[str, str]:
    with app.app_context():
        return dict(provider_answers.of(payment_id))


def look_up(app: Flask, payment_id: int) -> bool:
    with app.app_context():
        return resolution.resolve(payment_id=payment_id, number=1)


# The answer to a request


def test_a_plain_yes_has_its_time_and_status_and_no_body(house: Flask) -> None:
    row = request_of(house, paid(house)["payment_id"])
    assert (row.status, row.http_status, row.answer) == ("SUCCESS", 201, None)
    assert row.answered_ms >= 0


def test_a_no_is_kept_masked_and_encrypted(house: Flask) -> None:
    told = paid(house, payment_token="tok_decline_insufficient_funds")
    row = request_of(house, told["payment_id"])
    assert (row.status, row.http_status) == ("FAILED", 402)
    kept = bytes(row.answer)
    assert kept.startswith(b"k1:")
    assert b"insufficient" not in kept
    shown = json.loads(answers_of(house, told["payment_id"])[row.reference])
    assert shown["decline_code"] == "insufficient_funds"
    assert shown["reference"] == row.reference
    # What no list names is masked, whatever it is.
    assert shown["message"] == "[masked]"


def test_an_answer_that_is_none_is_kept_where_the_outcome_is_unknown(
    house: Flask, sandbox: Sandbox
) -> None:
    token = a_key()
    arm(sandbox, "charge", "fail_500", match={"token": token})
    told = paid(house, payment_token=token)
    row = request_of(house, told["payment_id"])
    assert (row.status, row.http_status) == ("PROCESSING", 500)
    assert row.reference in answers_of(house, told["payment_id"])


def test_silence_has_no_answer(house: Flask, sandbox: Sandbox) -> None:
    row = request_of(house, lost(house, sandbox)["payment_id"])
    assert (row.status, row.answered_ms, row.http_status, row.answer) == (
        "PROCESSING",
        None,
        None,
        None,
    )


def test_a_refund_has_its_own(house: Flask) -> None:
    payment_id = paid(house, payment_token="tok_refund_decline")["payment_id"]
    house.test_client().post(
        f"/v1/payments/{payment_id}/refund", json={}, headers={"Idempotency-Key": a_key()}
    )
    row = request_of(house, payment_id, 2)
    assert (row.status, row.http_status) == ("FAILED", 402)
    assert list(answers_of(house, payment_id)) == [row.reference]


def test_a_later_outcome_leaves_what_was_heard(house: Flask, sandbox: Sandbox) -> None:
    told = paid(house, payment_token="tok_requires_action")
    before = request_of(house, told["payment_id"])
    assert before.status == "REQUIRES_ACTION"
    assert before.http_status is not None
    assert before.answer is not None
    assert decide(sandbox, before.reference, "approve").ok
    assert look_up(house, told["payment_id"])
    after = request_of(house, told["payment_id"])
    assert after.status == "SUCCESS"
    assert after[2:] == before[2:]


def test_who_was_slower_keeps_what_was_heard(house: Flask) -> None:
    """The payment moved while its answer was on the way."""
    payment_id = paid(house)["payment_id"]
    with house.app_context():
        with db.engine.begin() as connection:
            payment = rows.read_payment(connection, payment_id)
            (request,) = rows.read_transactions(connection, payment_id)
            assert payment is not None
            connection.execute(
                text("UPDATE transactions SET answered_ms = NULL WHERE payment_id = :id"),
                {"id": payment_id},
            )
        begun = {"status": "PROCESSING", "version": 1}
        move = Move({**payment, **begun}, {**request, "status": "PROCESSING"}, WORKER)  # type: ignore[typeddict-item]
        approved = Result(Outcome.APPROVED, request["provider_reference"])
        ending = steps.finish(move, approved, {"answered_ms": 7, "http_status": 299})
    assert ending.payment["status"] == "SUCCESS"
    row = request_of(house, payment_id)
    assert (row.status, row.answered_ms, row.http_status) == ("SUCCESS", 7, 299)


def test_what_was_surely_not_done_keeps_what_was_heard(house: Flask, sandbox: Sandbox) -> None:
    token = a_key()
    arm(sandbox, "charge", "too_many_requests", match={"token": token})
    order = an_order(payment_token=token)
    answer = house.test_client().post(
        "/v1/payments/charge", json=order, headers={"Idempotency-Key": a_key()}
    )
    assert answer.status_code == 503
    row = request_of(house, answer.json["payment_id"])
    assert (row.status, row.http_status) == ("FAILED", 429)


def test_without_a_key_the_outcome_is_kept_without_the_answer(
    make_app: MakeApp, empty_sandbox: Sandbox
) -> None:
    """No token can be kept then, so the provider declines by itself."""
    url = empty_sandbox.url
    keyless = make_app(encryption_keys="", sandbox_provider_url=url, trip_service_url=url)
    arm(empty_sandbox, "charge", "decline")
    told = paid(keyless)
    row = request_of(keyless, told["payment_id"])
    assert (row.status, row.http_status, row.answer) == ("FAILED", 402, None)


# What is kept of a body


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"card": "4111111111111111", "token": "tok_x"}', "[masked]"),
        (b'{"status": "4111 1111 1111 1111"}', "[card number]"),
        (b"<html><p class=x>Anna Berg</p></html>", "[masked] 37 bytes"),
        (b"[" * 5000, "[masked] 5000 bytes"),
        (b'{"status": "\\ud800"}', "?"),
        (b"\xff\xfe", "[masked] 2 bytes"),
        (b"[" * 900 + b"]" * 900, "[masked] 1800 bytes"),
        (b'{"status": "%s"}' % (b"x" * heard.LARGEST), f"[masked] {heard.LARGEST + 14} bytes"),
    ],
)
def test_a_body_is_masked_whatever_it_is(body: bytes, shown: str) -> None:
    text = heard.masked(body)
    assert shown in text
    for secret in ("4111", "tok_x", "Anna"):
        assert secret not in text


def test_what_is_over_eight_kilobytes_is_cut_with_a_mark() -> None:
    text = heard.masked(json.dumps({"status": "é" * 9000}, ensure_ascii=False).encode())
    assert len(text.encode()) <= heard.MOST
    assert text.endswith("é [cut]")
    assert heard.cut("x" * heard.MOST) == "x" * heard.MOST


def test_only_the_last_calls_answer_is_heard(sandbox: Sandbox) -> None:
    """The answer to a token's request is none to the charge that was not answered."""
    with hearing.listening() as found:
        assert (found.called, found.status) == (False, None)
        http.get(f"{sandbox.url}/psp/operations/x-1", timeout=5)
        assert (found.called, found.status) == (True, 404)
        with pytest.raises(http.Unreachable):
            http.call("GET", "http://127.0.0.1:1/", timeout=5)
        assert (found.called, found.status, found.ms, found.body) == (True, None, None, None)
    http.get(f"{sandbox.url}/psp/operations/x-1", timeout=5)
    assert found.status is None


# Look-ups


def test_each_look_up_is_a_row(house: Flask, sandbox: Sandbox) -> None:
    told = paid(house, payment_token="tok_pending")
    payment_id = told["payment_id"]
    assert not look_up(house, payment_id)
    arm(
        sandbox,
        "lookup",
        "lookup_unavailable",
        match={"reference": request_of(house, payment_id).reference},
    )
    assert not look_up(house, payment_id)
    first, second = look_ups_of(house, payment_id)
    reference = request_of(house, payment_id).reference
    assert (first.number, first.n, first.found) == (1, 1, Found.PENDING)
    assert (second.n, second.found) == (2, Found.UNKNOWN)
    assert first.ms >= 0
    assert first.asked_at < second.asked_at
    shown = answers_of(house, payment_id)
    assert json.loads(shown[f"{reference}/1"])["state"] == "pending"
    assert f"{reference}/2" in shown
    assert bytes(first.answer).startswith(b"k1:")


def test_a_look_up_that_finds_it_done_has_no_body(house: Flask, sandbox: Sandbox) -> None:
    payment_id = lost(house, sandbox)["payment_id"]
    assert look_up(house, payment_id)
    (row,) = look_ups_of(house, payment_id)
    assert (row.found, row.answer) == (Found.APPROVED, None)


def test_a_look_up_counts_without_its_note(
    house: Flask, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = lost(house, sandbox)["payment_id"]
    monkeypatch.setattr(lookups, "Found", lambda word: "NO SUCH WORD")  # the database refuses it
    assert look_up(house, payment_id)
    assert request_of(house, payment_id).status == "SUCCESS"
    assert look_ups_of(house, payment_id) == []


def test_two_at_once_are_two(make_app: MakeApp, fresh_database: str, sandbox: Sandbox) -> None:
    """The second, which had counted before the first was written, takes the next number."""
    app = apps_on(fresh_database, make_app)(**KEYS)
    payment_id = lost(app, sandbox)["payment_id"]
    first = text(
        "INSERT INTO lookups (payment_id, number, n, reference, asked_at, ms, found)"
        " SELECT payment_id, number, 1, reference || '/1', now(), 5, 'PENDING' FROM transactions"
        " WHERE payment_id = :id"
    )
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    moved: list[bool] = []
    second = threading.Thread(target=lambda: moved.append(look_up(app, payment_id)))
    with app.app_context():
        with db.engine.begin() as connection:
            connection.execute(first, {"id": payment_id})
            second.start()
            with db.engine.connect() as watching:
                eventually(lambda: _by_now(watching, waiting))
        second.join(PATIENCE)
    assert moved == [True]
    assert [(row.n, row.found) for row in look_ups_of(app, payment_id)] == [
        (1, Found.PENDING),
        (2, Found.APPROVED),
    ]


def _by_now(connection: Connection, query: TextClause) -> Any:
    """As it is now: a transaction sees pg_stat_activity as it was at its first look."""
    connection.rollback()
    return connection.execute(query).scalar_one()


def test_who_was_not_asked_is_not_noted(house: Flask, sandbox: Sandbox) -> None:
    payment_id = lost(house, sandbox)["payment_id"]
    with house.app_context():
        with db.engine.begin() as connection:
            transaction = rows.read_transactions(connection, payment_id)[0]
        with hearing.listening() as found:
            pass
        lookups.note(transaction, found, Found.NOT_FOUND)
    assert look_ups_of(house, payment_id) == []


# What people see


def test_the_story_tells_it_to_viewers(house: Flask, sandbox: Sandbox) -> None:
    desk = Desk(house).join(Role.VIEWER)
    told = paid(house, payment_token="tok_decline_insufficient_funds")
    ms = request_of(house, told["payment_id"]).answered_ms
    page = desk.get(f"/admin/payments/{told['payment_id']}").text
    why = "refused. There was not enough money in the account."
    assert f"{why} Answered in {ms} ms, HTTP 402." in page
    assert "<summary>What it answered</summary>" in page
    assert "insufficient_funds" in page
    assert "[masked]" in page
    pending = paid(house, payment_token="tok_pending")["payment_id"]
    look_up(house, pending)
    (row,) = look_ups_of(house, pending)
    page = desk.get(f"/admin/payments/{pending}").text
    assert f"Looked up request 1: the provider is not sure yet, after {row.ms} ms." in page


def test_a_page_shows_the_newest_answers_and_stays_small(
    house: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = paid(house, payment_token="tok_pending")["payment_id"]
    look_up(house, payment_id)
    reference = request_of(house, payment_id).reference
    whole = answers_of(house, payment_id)
    monkeypatch.setattr(provider_answers, "SHOWN", len(whole[f"{reference}/1"]))
    shown = answers_of(house, payment_id)
    assert shown == {f"{reference}/1": whole[f"{reference}/1"], reference: provider_answers.LATER}


def test_what_does_not_open_is_told(house: Flask) -> None:
    told = paid(house, payment_token="tok_decline_do_not_honor")["payment_id"]
    with house.app_context(), db.engine.begin() as connection:
        spoiled = text("UPDATE transactions SET answer = answer || 'x' WHERE payment_id = :id")
        connection.execute(spoiled, {"id": told})
    (shown,) = answers_of(house, told).values()
    assert shown.startswith("can't be opened")


def test_callers_hear_of_look_ups_and_riders_do_not(house: Flask) -> None:
    payment_id = paid(house, payment_token="tok_pending", rider_id=101)["payment_id"]
    look_up(house, payment_id)
    told = house.test_client().get(f"/v1/payments/{payment_id}/events").json["events"]
    (found,) = [entry for entry in told if entry["kind"] == "lookup"]
    assert found["what"] == "look-up 1 of charge 1: pending"
    assert found["details"]["found"] == "PENDING"
    assert "answer" not in found["details"]
    with house.app_context():
        riders = timeline.tell(payment_id=payment_id, rider=101)["events"]
    assert {entry["kind"] for entry in riders} == {"event", "transaction"}
    assert not any("http_status" in entry["details"] for entry in riders)


def test_only_the_newest_look_ups_are_told(house: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = paid(house, payment_token="tok_pending")["payment_id"]
    look_up(house, payment_id)
    more = text(
        "INSERT INTO lookups (payment_id, number, n, reference, asked_at, ms, found)"
        " SELECT payment_id, number, n + m, reference || m, asked_at + m * interval '1 s', 5, found"
        " FROM lookups, generate_series(1, 30) m WHERE payment_id = :id"
    )
    with house.app_context():
        with db.engine.begin() as connection:
            connection.execute(more, {"id": payment_id})
        told = timeline.tell(payment_id=payment_id)["events"]
    numbers = [entry["details"]["n"] for entry in told if entry["kind"] == "lookup"]
    assert numbers == list(range(12, 32))


def test_what_is_old_is_reaped(make_app: MakeApp, fresh_database: str) -> None:
    """And the request stays; what is young stays whole."""
    app = apps_on(fresh_database, make_app)(**KEYS, webhook_keep_days=30)
    old, young = (paid(app, payment_token="tok_pending")["payment_id"] for _ in range(2))
    for payment_id in (old, young):
        look_up(app, payment_id)
    aged = (
        "UPDATE transactions SET created_at = created_at - interval '31 days'"
        " WHERE payment_id = :id",
        "UPDATE lookups SET asked_at = asked_at - interval '31 days' WHERE payment_id = :id",
    )
    with app.app_context():
        with db.engine.begin() as connection:
            for statement in aged:
                connection.execute(text(statement), {"id": old})
        assert provider_answers.reap() == {"reaped": 2, "more": 0}
        assert provider_answers.reap() == {"reaped": 0, "more": 0}
    assert answers_of(app, old) == {}
    assert look_ups_of(app, old) == []
    assert request_of(app, old).http_status == 201
    assert len(answers_of(app, young)) == 2


def test_answers_go_under_the_newest_key(make_app: MakeApp, fresh_database: str) -> None:
    app = apps_on(fresh_database, make_app)(**KEYS)
    payment_id = paid(app, payment_token="tok_pending")["payment_id"]
    look_up(app, payment_id)
    before = answers_of(app, payment_id)
    assert len(before) == 2
    newer = "k2:" + base64.b64encode(b"2" * 16 + bytes(range(16))).decode()
    keys_now = f"{newer},{KEYS['encryption_keys']}"
    later = make_app(**KEYS | {"encryption_keys": keys_now}, database_url=fresh_database)
    with later.app_context():
        places = ("transactions.answer", "lookups.answer", "payments.token")
        assert keys.needed() == {(place, "k1"): 1 for place in places}
        assert keys.rotate(caller=Caller("cli:test"), progress=False).rows == 3
        assert keys.needed() == {(place, "k2"): 1 for place in places}
        audited = audit.verify()
    assert audited.broken == ()
    assert answers_of(later, payment_id) == before
