"""Fifty at once against the real service: one payment, one charge, no surprise."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import requests
from flask import Flask

from tests.books import a_trip, at_once, at_provider, payment_row, payments_of, rows, under
from tests.fixtures import StartService, a_key, a_number
from tests.running_service import Service
from tests.sandbox_calls import arm, get
from tests.sandbox_server import Sandbox

THREADS = 50


@pytest.fixture(scope="module")
def service(start_service: StartService) -> Service:
    """gunicorn with two processes."""
    return start_service(WEB_WORKERS="2")


def send(service: Service, path: str, key: str, **body: Any) -> requests.Response:
    return service.post(path, body, headers={"Idempotency-Key": key})


def codes(answers: list[requests.Response]) -> Counter[str]:
    """How often each status was answered, with the code of those that are problems."""
    return Counter(
        f"{answer.status_code} {answer.json().get('code', '')}".strip() for answer in answers
    )


def charges_of_trip(app: Flask, sandbox: Sandbox, trip_id: int) -> list[dict[str, Any]]:
    """What the provider took for any payment of the trip."""
    ours = {row["reference"] for row in payments_of(app, trip_id=trip_id)}
    return [
        found
        for found in get(sandbox, "/psp/charges")["charges"]
        if found["reference"].rpartition("-")[0] in ours
    ]


@pytest.mark.parametrize("slow", [False, True])
def test_fifty_at_once_with_one_key(
    app: Flask, service: Service, sandbox: Sandbox, slow: bool
) -> None:
    trip_id, key, token = a_trip(sandbox), a_key(), a_key()
    if slow:
        arm(sandbox, "charge", "slow", match={"token": token}, ms=700)
    body = {"trip_id": trip_id, "method": "CARD", "payment_token": token}
    answers = at_once([lambda: send(service, "/v1/payments/charge", key, **body)] * THREADS)
    told = codes(answers)
    assert set(told) <= {"201", "409 idempotency_key_in_progress"}, told
    assert told["201"] >= 1
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    firsts = [a for a in answers if a.ok and "Idempotent-Replayed" not in a.headers]
    assert len(firsts) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert int(answer.headers["Retry-After"]) >= 1
    (stands,) = payments_of(app, trip_id=trip_id)
    assert stands["status"] == "SUCCESS"
    assert len(charges_of_trip(app, sandbox, trip_id)) == 1
    replay = send(service, "/v1/payments/charge", key, **body)
    assert (replay.status_code, replay.content) == (201, firsts[0].content)


def test_fifty_keys_for_one_trip(app: Flask, service: Service, sandbox: Sandbox) -> None:
    trip_id = a_trip(sandbox)
    answers = at_once(
        [lambda: send(service, "/v1/payments/charge", a_key(), trip_id=trip_id)] * THREADS
    )
    assert codes(answers) == {"201": 1, "409 payment_exists": THREADS - 1}
    (paid,) = (answer.json() for answer in answers if answer.status_code == 201)
    told = {a.json()["payment_id"] for a in answers if a.status_code == 409}
    assert told == {paid["payment_id"]}
    assert [row["status"] for row in payments_of(app, trip_id=trip_id)] == ["SUCCESS"]
    assert len(charges_of_trip(app, sandbox, trip_id)) == 1


def test_fifty_keys_for_a_trip_with_a_pending_payment(
    app: Flask, service: Service, sandbox: Sandbox
) -> None:
    trip_id = a_trip(sandbox)
    created = service.post("/v1/payments", {"trip_id": trip_id, "amount": "104.86"}).json()
    answers = at_once(
        [lambda: send(service, "/v1/payments/charge", a_key(), trip_id=trip_id)] * THREADS
    )
    assert codes(answers) == {"201": 1, "409 payment_exists": THREADS - 1}
    (stands,) = payments_of(app, trip_id=trip_id)
    assert (stands["payment_id"], stands["status"]) == (created["payment_id"], "SUCCESS")
    assert len(charges_of_trip(app, sandbox, trip_id)) == 1


def test_fifty_keys_for_a_trip_whose_charges_are_declined(
    app: Flask, service: Service, sandbox: Sandbox
) -> None:
    """Each failed payment frees the trip for the next; never two are live."""
    trip_id = a_trip(sandbox)
    body = {"trip_id": trip_id, "payment_token": "tok_decline_do_not_honor"}
    answers = at_once([lambda: send(service, "/v1/payments/charge", a_key(), **body)] * THREADS)
    told = codes(answers)
    assert all(answer.status_code in (402, 409) for answer in answers), told
    stand = payments_of(app, trip_id=trip_id)
    assert {row["status"] for row in stand} == {"FAILED"}
    assert len(stand) == told["402"] == len(charges_of_trip(app, sandbox, trip_id))


def test_fifty_creates_for_one_order(app: Flask, service: Service) -> None:
    body = {"order_id": a_number(), "amount": "5.00"}
    answers = at_once([lambda: service.post("/v1/payments", body)] * THREADS)
    assert codes(answers) == {"201": 1, "409 payment_exists": THREADS - 1}
    assert len(payments_of(app, order_id=body["order_id"])) == 1


def test_fifty_creates_with_one_key(app: Flask, service: Service) -> None:
    body, key = {"order_id": a_number(), "amount": "5.00"}, a_key()
    answers = at_once([lambda: send(service, "/v1/payments", key, **body)] * THREADS)
    assert codes(answers) == {"201": THREADS}
    assert len({answer.content for answer in answers}) == 1
    assert len(payments_of(app, order_id=body["order_id"])) == 1


def a_paid_order(service: Service) -> dict[str, Any]:
    answer = send(service, "/v1/payments/charge", a_key(), order_id=a_number(), amount="100.00")
    assert answer.status_code == 201, answer.text
    paid: dict[str, Any] = answer.json()
    return paid


def test_fifty_refunds_of_60_on_a_payment_of_100(
    app: Flask, service: Service, sandbox: Sandbox
) -> None:
    paid = a_paid_order(service)
    url = f"/v1/payments/{paid['payment_id']}/refund"
    answers = at_once([lambda: send(service, url, a_key(), amount="60.00")] * THREADS)
    assert codes(answers) == {"200": 1, "422 refund_exceeds_captured": THREADS - 1}
    stands = payment_row(app, paid["payment_id"])
    assert (stands["status"], stands["refunded"]) == ("PARTIALLY_REFUNDED", 6000)
    assert stands["refund_pending"] == 0
    (booked,) = at_provider(sandbox, "refunds", paid["reference"])
    assert booked["amount_minor"] == 6000
    kept = rows(app, "SELECT status FROM refunds WHERE payment_id = :id", id=paid["payment_id"])
    assert [row["status"] for row in kept] == ["SUCCESS"]


def test_fifty_refunds_that_fit_exactly(app: Flask, service: Service, sandbox: Sandbox) -> None:
    paid = a_paid_order(service)
    url = f"/v1/payments/{paid['payment_id']}/refund"
    answers = at_once([lambda: send(service, url, a_key(), amount="2.00")] * THREADS)
    assert codes(answers) == {"200": THREADS}
    stands = payment_row(app, paid["payment_id"])
    assert (stands["status"], stands["refunded"]) == ("REFUNDED", 10000)
    booked = at_provider(sandbox, "refunds", paid["reference"])
    assert sum(refund["amount_minor"] for refund in booked) == 10000
    assert len(booked) == THREADS


def test_fifty_refunds_with_one_key(app: Flask, service: Service, sandbox: Sandbox) -> None:
    paid, key = a_paid_order(service), a_key()
    url = f"/v1/payments/{paid['payment_id']}/refund"
    answers = at_once([lambda: send(service, url, key, amount="10.00")] * THREADS)
    told = codes(answers)
    assert set(told) <= {"200", "409 idempotency_key_in_progress"}, told
    assert len({answer.content for answer in answers if answer.ok}) == 1
    assert payment_row(app, paid["payment_id"])["refunded"] == 1000
    assert len(at_provider(sandbox, "refunds", paid["reference"])) == 1


def test_captures_and_cancels_of_one_hold(app: Flask, service: Service, sandbox: Sandbox) -> None:
    body = {"order_id": a_number(), "amount": "100.00", "capture": False}
    held = send(service, "/v1/payments/charge", a_key(), **body).json()
    url = f"/v1/payments/{held['payment_id']}"
    answers = at_once(
        [lambda: send(service, f"{url}/capture", a_key()) for _ in range(THREADS // 2)]
        + [lambda: send(service, f"{url}/cancel", a_key()) for _ in range(THREADS // 2)]
    )
    told = codes(answers)
    assert all(answer.status_code in (200, 409) for answer in answers), told
    stands = payment_row(app, held["payment_id"])
    moves = [*get(sandbox, "/psp/captures")["captures"], *get(sandbox, "/psp/voids")["voids"]]
    states = [move["state"] for move in moves if under(move, held["reference"])]
    assert states in (["captured"], ["voided"])
    assert stands["status"] == ("SUCCESS" if states == ["captured"] else "CANCELLED")
