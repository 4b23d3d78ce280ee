"""Idempotency: one key, one effect, one answer, whatever is repeated, lost or late."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, text

from payment_service import idempotency
from payment_service.domain.errors import IdempotencyKeyInProgress
from payment_service.extensions import db
from payment_service.services.moves import answers, retries, steps
from tests.books import (
    a_charged_payment,
    a_pending_payment,
    arrived,
    at_provider,
    execute,
    payments_of,
    post,
    row,
    rows,
)
from tests.clocks import look_up
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.sandbox_calls import arm, decide, disarm, eventually
from tests.sandbox_server import Sandbox, running_sandbox

CHARGE = "/v1/payments/charge"
A_DAY = 24 * 3600 * 1000  # ms; longer than any test, and let go before
BLOCKED = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture(autouse=True)
def a_process_that_has_met_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins a move decides alone, as for a retry that comes to another process."""
    monkeypatch.setattr(retries.LATELY, "met", lambda key: False)


@pytest.fixture(scope="module")
def patient(make_app: MakeApp) -> Flask:
    """An app that meets faults: its circuit stays closed, what is open is due at once."""
    return make_app(circuit_fail_max=10**6, resolution_first_lookup_seconds=0.01)


@pytest.fixture
def caller(patient: Flask) -> FlaskClient:
    return patient.test_client()


def send(client: Any, raw: str, path: str = CHARGE, **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, data=raw, headers={"Content-Type": "application/json", **sent})


def key_row(app: Flask, key: str) -> dict[str, Any]:
    return row(app, "SELECT * FROM idempotency_keys WHERE key = :key", key=key)


def settle(app: Flask, order_id: int) -> str:
    """The worker's look-ups until the order's payment has a final status."""
    for payment in payments_of(app, order_id=order_id):
        look_up(app, payment["payment_id"])
    status: str = payments_of(app, order_id=order_id)[-1]["status"]
    return status


# Replays


def test_a_replay_is_the_same_bytes_and_does_nothing(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    key, body = a_key(), an_order()
    first = post(client, CHARGE, key, **body)
    before = rows(app, "SELECT * FROM payments WHERE order_id = :id", id=body["order_id"])
    for _ in range(3):
        again = post(client, CHARGE, key, **body)
        assert (again.status_code, again.data) == (201, first.data)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.content_type == first.content_type
    assert "Idempotent-Replayed" not in first.headers
    assert before == payments_of(app, order_id=body["order_id"])
    assert len(at_provider(sandbox, "charges", first.json["reference"])) == 1


@pytest.mark.parametrize("path", ["refund", "resource"])
def test_a_refund_replays_its_bytes_and_gives_back_once(
    app: Flask, client: FlaskClient, sandbox: Sandbox, path: str
) -> None:
    payment = a_charged_payment(client)
    if path == "refund":
        url, body, status = f"/v1/payments/{payment['payment_id']}/refund", {}, 200
    else:
        url, body, status = "/v1/refunds", {"payment_id": payment["payment_id"]}, 201
    key = a_key()
    first = post(client, url, key, amount="40.00", **body)
    again = post(client, url, key, amount="40.00", **body)
    assert (first.status_code, again.status_code) == (status, status)
    assert first.data == again.data
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(at_provider(sandbox, "refunds", payment["reference"])) == 1


def test_a_replay_stays_as_it_was_told_after_the_payment_moved_on(client: FlaskClient) -> None:
    key, body = a_key(), an_order()
    first = post(client, CHARGE, key, **body)
    post(client, f"/v1/payments/{first.json['payment_id']}/refund")
    again = post(client, CHARGE, key, **body)
    assert again.data == first.data
    assert again.json["status"] == "SUCCESS"


def test_a_created_payment_replays(app: Flask, client: FlaskClient) -> None:
    key, order_id = a_key(), a_number()
    first = post(client, "/v1/payments", key, order_id=order_id, amount="5.00")
    again = post(client, "/v1/payments", key, order_id=order_id, amount="5.00")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(payments_of(app, order_id=order_id)) == 1


# Where the key stands, and whose it is


def test_the_key_in_the_header_and_the_key_in_the_body_are_the_same_key(
    client: FlaskClient,
) -> None:
    key, body = a_key(), an_order()
    in_body = client.post(CHARGE, json={**body, "idempotency_key": key})
    in_header = client.post(CHARGE, json=body, headers={"Idempotency-Key": key})
    in_both = client.post(
        CHARGE, json={**body, "idempotency_key": key}, headers={"Idempotency-Key": key}
    )
    assert {answer.status_code for answer in (in_body, in_header, in_both)} == {201}
    assert in_body.data == in_header.data == in_both.data


def test_two_different_keys_in_one_request_are_refused(app: Flask, client: FlaskClient) -> None:
    body = an_order()
    answer = client.post(
        CHARGE, json={**body, "idempotency_key": "one"}, headers={"Idempotency-Key": "two"}
    )
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_conflict")
    assert payments_of(app, order_id=body["order_id"]) == []


def test_money_does_not_move_without_a_key(app: Flask, client: FlaskClient) -> None:
    body = an_order()
    payment = a_charged_payment(client)
    for path, sent in (
        (CHARGE, body),
        (f"/v1/payments/{payment['payment_id']}/refund", {}),
        ("/v1/refunds", {"payment_id": payment["payment_id"]}),
        (f"/v1/payments/{payment['payment_id']}/capture", {}),
        (f"/v1/payments/{payment['payment_id']}/charge", {}),
    ):
        answer = client.post(path, json=sent)
        assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_required"), path
    assert payments_of(app, order_id=body["order_id"]) == []


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "caf\u00e9", "tab\there"])
def test_a_key_is_1_to_255_visible_ascii_characters(client: FlaskClient, key: str) -> None:
    answer = client.post(CHARGE, json={**an_order(), "idempotency_key": key})
    assert answer.status_code in (400, 422)
    assert answer.json["code"] == "idempotency_key_invalid"


def test_the_longest_key_works(client: FlaskClient) -> None:
    assert post(client, CHARGE, "~" * 239 + a_key(), **an_order()).status_code == 201


def test_a_key_belongs_to_its_path(app: Flask, client: FlaskClient) -> None:
    key = a_key()
    one, two = a_charged_payment(client), a_charged_payment(client)
    for payment in (one, two):
        answer = post(client, f"/v1/payments/{payment['payment_id']}/refund", key, amount="1.00")
        assert answer.status_code == 200
    assert post(client, CHARGE, key, **an_order()).status_code == 201
    assert post(client, "/v1/payments", key, amount="1.00").status_code == 201


def test_a_key_belongs_to_its_caller(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, body = a_key(), an_order()
    first = post(client, CHARGE, key, **body)
    monkeypatch.setattr("payment_service.api.auth.LOCAL", "another-caller")
    other = post(client, CHARGE, key, **an_order())
    assert (first.status_code, other.status_code) == (201, 201)
    assert other.json["payment_id"] != first.json["payment_id"]


def test_the_prefixed_paths_share_their_keys(client: FlaskClient) -> None:
    key, body = a_key(), an_order()
    answers = [
        post(client, path + "/payments/charge", key, **body) for path in ("/v1", "/api/v1", "/api")
    ]
    assert {answer.data for answer in answers} == {answers[0].data}


# The body


def test_member_order_and_white_space_make_no_difference(client: FlaskClient) -> None:
    key, order_id = a_key(), a_number()
    texts = [
        f'{{"order_id":{order_id},"amount":"10.00","metadata":{{"a":"1","b":"2"}}}}',
        f'{{ "metadata" : {{"b": "2", "a": "1"}},\n "amount": "10.00",\t"order_id": {order_id} }}',
    ]
    first, second = (send(client, text, Idempotency_Key=key) for text in texts)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data


def test_another_body_is_refused_with_the_fields_that_differ(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    key, body = a_key(), an_order(description="one")
    first = post(client, CHARGE, key, **body)
    other = {**body, "amount": "99.00", "metadata": {"new": "member"}}
    other.pop("description")
    answer = post(client, CHARGE, key, **other)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert sorted(answer.json["errors"]) == ["amount", "description", "metadata"]
    assert len(payments_of(app, order_id=body["order_id"])) == 1
    assert arrived(sandbox, first.json["reference"], "charge") == 1
    assert post(client, CHARGE, key, **body).data == first.data


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"amount": "100.00"}, {"amount": "100.01"}),
        ({"amount": "100.00"}, {"amount_minor": 10000}),
        ({"metadata": {"a": "1"}}, {"metadata": {"a": "2"}}),
        ({"capture": True}, {"capture": False}),
        ({"rider_id": 1}, {"rider_id": 2}),
        ({"payment_token": "tok_ok"}, {}),
    ],
)
def test_every_field_counts(
    client: FlaskClient, first: dict[str, Any], second: dict[str, Any]
) -> None:
    key, order_id = a_key(), a_number()
    amount = {} if "amount" in first else {"amount": "100.00"}
    assert post(client, CHARGE, key, order_id=order_id, **amount, **first).status_code == 201
    answer = post(client, CHARGE, key, order_id=order_id, **amount, **second)
    assert answer.json["code"] == "idempotency_key_reused"
    changed = {name for name in first | second if first.get(name) != second.get(name)}
    assert set(answer.json["errors"]) - {"amount"} == changed - {"amount"}


# In progress, and taken over


def test_while_the_first_is_at_work_others_are_told_so(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox
) -> None:
    key, token = a_key(), a_key()
    body = an_order(payment_token=token)
    arm(sandbox, "charge", "slow", match={"token": token}, ms=A_DAY)
    done: list[Any] = []
    first = threading.Thread(
        target=lambda: done.append(post(patient.test_client(), CHARGE, key, **body))
    )
    first.start()
    eventually(lambda: rows(patient, "SELECT 1 FROM idempotency_keys WHERE key = :key", key=key))
    second = post(caller, CHARGE, key, **body)
    assert (second.status_code, second.json["code"]) == (409, "idempotency_key_in_progress")
    assert int(second.headers["Retry-After"]) >= 1
    disarm(sandbox)  # lets it go
    first.join()
    assert done[0].status_code == 201
    third = post(caller, CHARGE, key, **body)
    assert (third.status_code, third.data) == (201, done[0].data)
    assert arrived(sandbox, done[0].json["reference"], "charge") == 1


@contextmanager
def killed_before(step: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever comes to this step of a move inside the block ends there, as by a kill."""

    def dies(*_: Any, **__: Any) -> Any:
        raise SystemExit("killed here")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(steps, step, dies)
        yield


def lock_is_stale(app: Flask, key: str) -> None:
    """The first request's time at the key is over."""
    execute(app, "UPDATE idempotency_keys SET locked_until = now() WHERE key = :key", key=key)


def test_a_stale_lock_is_taken_over_by_look_up_only(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request died after the provider had taken the money."""
    key, body = a_key(), an_order()
    with killed_before("finish", monkeypatch):
        post(caller, CHARGE, key, **body)
    assert post(caller, CHARGE, key, **body).json["code"] == "idempotency_key_in_progress"
    lock_is_stale(patient, key)
    taken_over = post(caller, CHARGE, key, **body)
    assert (taken_over.status_code, taken_over.json["status"]) == (201, "SUCCESS")
    reference = taken_over.json["reference"]
    assert arrived(sandbox, reference, "charge") == 1
    assert arrived(sandbox, reference, "lookup") == 1
    assert len(at_provider(sandbox, "charges", reference)) == 1
    assert post(caller, CHARGE, key, **body).data == taken_over.data


def test_a_take_over_of_what_was_never_sent_sends_nothing(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request died before it asked the provider. "Not found" is not yet an answer."""
    key, body = a_key(), an_order()
    with killed_before("carry_out", monkeypatch):
        post(caller, CHARGE, key, **body)
    lock_is_stale(patient, key)
    for _ in range(2):
        told = post(caller, CHARGE, key, **body)
        assert (told.status_code, told.json["status"]) == (202, "PROCESSING")
    reference = told.json["reference"]
    assert arrived(sandbox, reference, "charge") == 0
    assert at_provider(sandbox, "charges", reference) == []


def test_what_was_surely_never_received_ends_as_402_and_stays(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Believed only after the time to send, the time-out and the settling time, and twice."""
    key, body = a_key(), an_order()
    with killed_before("carry_out", monkeypatch):
        post(caller, CHARGE, key, **body)
    assert settle(patient, body["order_id"]) == "PROCESSING"
    execute(
        patient,
        "UPDATE transactions SET send_before = now() - interval '1 hour', not_found_at = NULL"
        " WHERE payment_id = (SELECT payment_id FROM payments WHERE order_id = :id)",
        id=body["order_id"],
    )
    assert settle(patient, body["order_id"]) == "PROCESSING"
    eventually(lambda: settle(patient, body["order_id"]) == "FAILED")
    lock_is_stale(patient, key)
    told = post(caller, CHARGE, key, **body)
    assert (told.status_code, told.json["failure_code"]) == (402, "not_received")
    assert post(caller, CHARGE, key, **body).data == told.data
    assert arrived(sandbox, told.json["reference"], "charge") == 0


# Unknown for now


@pytest.mark.parametrize("who", ["a retry", "the worker"])
def test_a_202_gives_way_to_the_final_answer_which_stays(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox, who: str
) -> None:
    key, token = a_key(), a_key()
    body = an_order(payment_token=token)
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    arm(sandbox, "lookup", "lookup_unavailable", match={"token": token})
    first = post(caller, CHARGE, key, **body)
    assert (first.status_code, first.json["status"]) == (202, "PROCESSING")
    if who == "the worker":
        assert settle(patient, body["order_id"]) == "PROCESSING"
        assert settle(patient, body["order_id"]) == "SUCCESS"
    else:
        told = post(caller, CHARGE, key, **body)
        assert (told.status_code, told.json["status"]) == (202, "PROCESSING")
    final = post(caller, CHARGE, key, **body)
    assert (final.status_code, final.json["status"]) == (201, "SUCCESS")
    assert final.json["payment_id"] == first.json["payment_id"]
    for _ in range(2):
        assert post(caller, CHARGE, key, **body).data == final.data
    assert arrived(sandbox, first.json["reference"], "charge") == 1
    assert len(at_provider(sandbox, "charges", first.json["reference"])) == 1


def test_a_lost_decline_is_told_as_402_by_the_retry(caller: FlaskClient, sandbox: Sandbox) -> None:
    key, order_id = a_key(), a_number()
    body = an_order(payment_token="tok_decline_expired_card", order_id=order_id, description=key)
    arm(sandbox, "charge", "do_and_lose_answer", match={"description": key})
    assert post(caller, CHARGE, key, **body).status_code == 202
    final = post(caller, CHARGE, key, **body)
    assert (final.status_code, final.json["failure_code"]) == (402, "expired_card")
    assert post(caller, CHARGE, key, **body).data == final.data


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_a_payer_who_must_act_is_a_202_until_they_did(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox, outcome: str
) -> None:
    key, body = a_key(), an_order(payment_token="tok_requires_action")
    first = post(caller, CHARGE, key, **body)
    assert (first.status_code, first.json["status"]) == (202, "REQUIRES_ACTION")
    assert first.json["next_action"]["url"]
    again = post(caller, CHARGE, key, **body)
    assert (again.status_code, again.json["status"]) == (202, "REQUIRES_ACTION")
    assert decide(sandbox, f"{first.json['reference']}-1", outcome).ok
    final = post(caller, CHARGE, key, **body)
    wanted = (201, "SUCCESS") if outcome == "approve" else (402, "FAILED")
    assert (final.status_code, final.json["status"]) == wanted
    assert post(caller, CHARGE, key, **body).data == final.data


def test_an_answer_that_is_kept_never_shows_half_of_a_move(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker moves the payment while the retry reads it."""
    key, token = a_key(), a_key()
    body = an_order(payment_token=token)
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    assert post(caller, CHARGE, key, **body).status_code == 202
    workers: list[threading.Thread] = []
    read = steps.rows.read_transactions

    def read_late(connection: Any, payment_id: int) -> Any:
        if not workers and threading.current_thread() is threading.main_thread():
            workers.append(threading.Thread(target=settle, args=(patient, body["order_id"])))
            workers[0].start()
            # It has moved the payment, or waits for us to be done with it.
            eventually(lambda: not workers[0].is_alive() or rows(patient, BLOCKED))
        return read(connection, payment_id)

    monkeypatch.setattr(retries, "resolution", SimpleNamespace(resolve=lambda **_: False))
    monkeypatch.setattr(answers.rows, "read_transactions", read_late)
    told = post(caller, CHARGE, key, **body)
    workers[0].join()
    statuses = {told.json["status"], told.json["transactions"][0]["status"]}
    assert statuses in ({"PROCESSING"}, {"SUCCESS"})
    assert told.status_code == (201 if "SUCCESS" in statuses else 202)


def test_an_unknown_refund_is_a_202_and_then_its_answer(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox
) -> None:
    token, key = a_key(), a_key()
    payment = a_charged_payment(caller, payment_token=token)
    arm(sandbox, "refund", "do_and_lose_answer", match={"token": token})
    url = f"/v1/payments/{payment['payment_id']}/refund"
    first = post(caller, url, key, amount="30.00")
    assert (first.status_code, first.json["refund_status"]) == (202, "PENDING")
    final = post(caller, url, key, amount="30.00")
    assert (final.status_code, final.json["refund_status"]) == (200, "SUCCESS")
    assert final.json["status"] == "PARTIALLY_REFUNDED"
    assert post(caller, url, key, amount="30.00").data == final.data
    assert arrived(sandbox, payment["reference"], "refund") == 1
    assert len(at_provider(sandbox, "refunds", payment["reference"])) == 1


# What leaves the key free


def test_503_leaves_the_key_free_and_a_retry_makes_a_new_payment(
    make_app: MakeApp, tmp_path: Path
) -> None:
    with running_sandbox(tmp_path) as own:
        app = make_app(sandbox_provider_url=own.url, circuit_fail_max=10**6)
        client, key, body = app.test_client(), a_key(), an_order()
        own.kill()
        for _ in range(2):
            refused = post(client, CHARGE, key, **body)
            assert (refused.status_code, refused.json["code"]) == (503, "provider_unavailable")
            assert int(refused.headers["Retry-After"]) >= 1
        assert rows(app, "SELECT 1 FROM idempotency_keys WHERE key = :key", key=key) == []
        own.start()
        charged = post(client, CHARGE, key, **body)
        assert charged.status_code == 201, charged.json
        stand = payments_of(app, order_id=body["order_id"])
        assert [found["status"] for found in stand] == ["FAILED", "FAILED", "SUCCESS"]
        assert {found["failure_code"] for found in stand[:2]} == {"provider_unavailable"}
        assert post(client, CHARGE, key, **body).data == charged.data
        assert len(at_provider(own, "charges", charged.json["reference"])) == 1
        for found in stand[:2]:
            assert at_provider(own, "charges", found["reference"]) == []


def test_429_was_not_sent_either(caller: FlaskClient, sandbox: Sandbox) -> None:
    token, key = a_key(), a_key()
    body = an_order(payment_token=token)
    arm(sandbox, "charge", "too_many_requests", match={"token": token})
    refused = post(caller, CHARGE, key, **body)
    assert (refused.status_code, refused.json["code"]) == (503, "provider_unavailable")
    assert post(caller, CHARGE, key, **body).status_code == 201


def test_a_refund_that_could_not_be_sent_gives_all_back_and_the_key(
    patient: Flask, caller: FlaskClient, sandbox: Sandbox
) -> None:
    token, key = a_key(), a_key()
    payment = a_charged_payment(caller, payment_token=token)
    url = f"/v1/payments/{payment['payment_id']}/refund"
    arm(sandbox, "refund", "too_many_requests", match={"token": token})
    assert post(caller, url, key).status_code == 503
    stand = payments_of(patient, order_id=payment["order_id"])[0]
    assert (stand["status"], stand["refund_pending"], stand["refunded"]) == ("SUCCESS", 0, 0)
    assert post(caller, url, key).json["status"] == "REFUNDED"


def test_other_refusals_leave_the_key_free(app: Flask, client: FlaskClient) -> None:
    key = a_key()
    taken = a_charged_payment(client)
    exists = post(client, CHARGE, key, order_id=taken["order_id"], amount="100.00")
    assert (exists.status_code, exists.json["code"]) == (409, "payment_exists")
    missing = post(client, CHARGE, key, order_id=a_number())
    assert missing.status_code == 422
    unknown = post(client, CHARGE, key, trip_id=a_number())
    assert (unknown.status_code, unknown.json["code"]) == (422, "trip_not_found")
    assert post(client, CHARGE, key, **an_order()).status_code == 201


def test_too_much_of_a_refund_leaves_its_key_free(client: FlaskClient) -> None:
    key, payment = a_key(), a_charged_payment(client)
    url = f"/v1/payments/{payment['payment_id']}/refund"
    assert post(client, url, key, amount="100.01").json["code"] == "refund_exceeds_captured"
    assert post(client, url, key, amount="100.00").json["status"] == "REFUNDED"


# The end of a key's life


@pytest.fixture
def forgetful(make_app: MakeApp) -> FlaskClient:
    """Keys are over as soon as they are written."""
    return make_app(idempotency_key_ttl=0.001).test_client()


def test_an_expired_key_is_free_before_anybody_reaps_it(app: Flask, forgetful: FlaskClient) -> None:
    key, one, two = a_key(), an_order(), an_order()
    first = post(forgetful, CHARGE, key, **one)
    second = post(forgetful, CHARGE, key, **two)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json["order_id"] == two["order_id"]
    assert key_row(app, key)["payment_id"] == second.json["payment_id"]


@pytest.mark.parametrize("path", ["/v1/payments", "refund", "pending"])
def test_an_expired_key_is_free_on_the_other_paths_too(
    app: Flask, client: FlaskClient, forgetful: FlaskClient, path: str
) -> None:
    key = a_key()
    if path == "/v1/payments":
        sent = [(path, {"order_id": a_number(), "amount": "1.00"}) for _ in range(2)]
    elif path == "refund":
        payment = a_charged_payment(client)
        url = f"/v1/payments/{payment['payment_id']}/refund"
        sent = [(url, {"amount": "1.00"}), (url, {"amount": "2.00"})]
    else:
        payment = a_pending_payment(client)
        url = f"/v1/payments/{payment['payment_id']}/charge"
        assert post(forgetful, url, key).status_code == 201
        assert post(forgetful, url, key).json["code"] == "illegal_transition"
        return
    for url, body in sent:
        assert post(forgetful, url, key, **body).status_code in (200, 201)


def test_expired_keys_are_reaped_and_others_stay(
    app: Flask, client: FlaskClient, forgetful: FlaskClient
) -> None:
    over, kept = a_key(), a_key()
    post(forgetful, CHARGE, over, **an_order())
    body = an_order()
    post(client, CHARGE, kept, **body)
    with app.app_context():
        assert idempotency.reap()["reaped"] >= 1
    assert rows(app, "SELECT 1 FROM idempotency_keys WHERE key = :key", key=over) == []
    assert post(client, CHARGE, kept, **body).headers["Idempotent-Replayed"] == "true"


def test_an_open_key_outlives_its_time(patient: Flask, make_app: MakeApp, sandbox: Sandbox) -> None:
    """Nobody was told yet how it ended; to forget the key would be to charge again."""
    client = make_app(
        idempotency_key_ttl=0.001, circuit_fail_max=10**6, resolution_first_lookup_seconds=3600
    ).test_client()
    key, token = a_key(), a_key()
    body = an_order(payment_token=token)
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    arm(sandbox, "lookup", "lookup_unavailable", match={"token": token}, ms=60000)
    first = post(client, CHARGE, key, **body)
    assert first.status_code == 202
    with patient.app_context():
        idempotency.reap()
    assert post(client, CHARGE, key, **body).json["payment_id"] == first.json["payment_id"]
    assert key_row(patient, key)["answer_body"] is None


def test_a_claim_that_is_there_is_not_claimed_again(app: Flask, client: FlaskClient) -> None:
    """The look before it finds most; this is what holds when two looked at the same moment."""
    paid = a_charged_payment(client)
    key = idempotency.Key("local", f"POST /v1/payments/{paid['payment_id']}/refund", a_key(), "{}")
    claim = {"payment_id": paid["payment_id"], "number": 2, "now": datetime.now(UTC)}
    with app.app_context(), db.engine.begin() as connection:
        idempotency.claim(connection, key, **claim)
    with (
        app.app_context(),
        pytest.raises(idempotency.KeyTaken),
        db.engine.begin() as connection,
    ):
        idempotency.claim(connection, key, **claim)


def test_the_first_answer_that_is_kept_stays(app: Flask, client: FlaskClient) -> None:
    paid = a_charged_payment(client)
    key = idempotency.Key("local", f"POST /v1/payments/{paid['payment_id']}/refund", a_key(), "{}")
    claim = {"payment_id": paid["payment_id"], "number": 1, "now": datetime.now(UTC)}
    with app.app_context(), db.engine.begin() as connection:
        idempotency.claim(connection, key, **claim)
        told = [
            idempotency.store(connection, key, payment_id=payment_id, status=status, body=body)
            for payment_id, status, body in (
                (paid["payment_id"], 402, '{"first":1}'),
                (paid["payment_id"], 200, '{"second":2}'),
            )
        ]
    assert told == [(402, '{"first":1}')] * 2
    with app.app_context():
        found = idempotency.find(key)
    assert found is not None
    assert (found.answer_status, found.answer_body) == (402, '{"first":1}')


def test_an_answer_is_kept_under_its_own_payment_s_key_only(
    app: Flask, client: FlaskClient
) -> None:
    """Somebody was stopped so long that the key was given up and claimed for another payment."""
    late, paid = a_charged_payment(client), a_charged_payment(client)
    key = idempotency.Key("local", "POST /v1/payments/charge", a_key(), "{}")
    claim = {"payment_id": paid["payment_id"], "number": 1, "now": datetime.now(UTC)}
    with app.app_context(), db.engine.begin() as connection:
        idempotency.claim(connection, key, **claim)
        answers.tell_locked(connection, payment_id=late["payment_id"], number=1, key=key)
    with app.app_context():
        with pytest.raises(IdempotencyKeyInProgress):
            idempotency.find(key)
        told = answers.tell(payment_id=paid["payment_id"], number=1, key=key).answer
        found = idempotency.find(key)
    assert found is not None
    assert told is not None
    assert (found.answer_status, found.answer_body) == (told.status, told.body)
    assert json.loads(told.body)["payment_id"] == paid["payment_id"]


def test_a_key_whose_retry_was_told_something_is_not_freed(app: Flask, client: FlaskClient) -> None:
    """The first request wakes up late and finds that it may not send; its key is spoken for."""
    paid = a_charged_payment(client)
    key = idempotency.Key("local", f"POST /v1/payments/{paid['payment_id']}/refund", a_key(), "{}")
    claim = {"payment_id": paid["payment_id"], "number": 1, "now": datetime.now(UTC)}
    with app.app_context(), db.engine.begin() as connection:
        idempotency.claim(connection, key, **claim)
        idempotency.release(connection, key)
        assert not idempotency.free(connection, key)
    with app.app_context():
        assert idempotency.find(key) is not None


def test_a_move_goes_on_elsewhere_only_while_its_key_is_its_own(
    app: Flask, client: FlaskClient
) -> None:
    """The next provider in line is not asked by whoever was paused until a retry took over."""
    paid = a_charged_payment(client)
    key = idempotency.Key("local", f"POST /v1/payments/{paid['payment_id']}/refund", a_key(), "{}")
    claim = {"payment_id": paid["payment_id"], "number": 1, "now": datetime.now(UTC)}
    with app.app_context(), db.engine.begin() as connection:
        idempotency.claim(connection, key, **claim)
        assert idempotency.point_to(connection, key, number=2)
        assert idempotency.release(connection, key) == 2
        assert not idempotency.point_to(connection, key, number=3)
        assert idempotency.release(connection, key) == 2


def test_of_two_that_use_a_key_anew_neither_hears_of_its_former_use(
    app: Flask, connection: Connection
) -> None:
    """The key's time is over, and its claim waits behind a lock: whoever comes second must not be
    told what the key kept before."""
    key, order = a_key(), an_order(capture=False)
    client = app.test_client()
    before = post(client, "/v1/payments/charge", key, **order).json
    assert post(client, f"/v1/payments/{before['payment_id']}/cancel").status_code == 200
    execute(
        app,
        "UPDATE idempotency_keys SET expires_at = now() - interval '1 hour' WHERE key = :key",
        key=key,
    )
    connection.execute(
        text("SELECT FROM idempotency_keys WHERE key = :key FOR UPDATE"), {"key": key}
    )
    with ThreadPoolExecutor(2) as pool:
        tries = [
            pool.submit(lambda: post(app.test_client(), "/v1/payments/charge", key, **order))
            for _ in range(2)
        ]
        waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: row(app, waiting)["n"] >= 2)
        connection.rollback()
        told = [one.result() for one in tries]
    assert {answer.status_code for answer in told} <= {201, 409}
    made = {answer.json["payment_id"] for answer in told if answer.status_code == 201}
    assert len(made) == 1
    assert before["payment_id"] not in made
