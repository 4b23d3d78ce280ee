"""Payments beside the charge: created, charged later, settled by hand, cancelled, found, listed."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.books import (
    a_charged_payment,
    a_pending_payment,
    a_trip,
    arrived,
    at_provider,
    execute,
    payment_row,
    payments_of,
    post,
    rows,
)
from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, lookup
from tests.sandbox_server import Sandbox


def url_of(payment: dict[str, Any], rest: str = "") -> str:
    return f"/v1/payments/{payment['payment_id']}{rest}"


def a_hold(client: FlaskClient, **changes: Any) -> dict[str, Any]:
    answer = post(client, "/v1/payments/charge", **an_order(capture=False, **changes))
    assert (answer.status_code, answer.json["status"]) == (201, "AUTHORIZED"), answer.json
    held: dict[str, Any] = answer.json
    return held


# Created


def test_nothing_but_an_amount_is_needed(client: FlaskClient, sandbox: Sandbox) -> None:
    answer = client.post("/v1/payments", json={"amount": "12.30"})
    made = answer.json
    assert (answer.status_code, made["status"], made["method"]) == (201, "PENDING", "CARD")
    assert (made["amount"], made["currency"], made["amount_captured"]) == ("12.30", "INR", "0.00")
    assert (made["transactions"], made["provider"], made["completed_at"]) == ([], None, None)
    assert client.get(url_of(made)).json == made
    assert arrived(sandbox, made["reference"], "charge") == 0


def test_a_created_payment_keeps_what_was_sent(client: FlaskClient, sandbox: Sandbox) -> None:
    sent = {
        "trip_id": a_trip(sandbox, total_fare="9.999", currency="KWD"),
        "order_id": a_number(),
        "rider_id": 1,
        "driver_id": 2,
        "user_id": 3,
        "amount": "9.999",
        "currency": "KWD",
        "method": "UPI",
        "description": "late night",
        "metadata": {"gate": "4"},
        "reference": "mine",
    }
    made = client.post("/v1/payments", json=sent).json
    kept = {**made, "reference": made["caller_reference"]}
    assert {name: kept[name] for name in sent} == sent


def test_one_live_payment_for_an_order_but_any_number_of_dead_ones(client: FlaskClient) -> None:
    first = a_pending_payment(client)
    body = {"order_id": first["order_id"], "amount": "1.00"}
    refused = client.post("/v1/payments", json=body)
    assert (refused.status_code, refused.json["code"]) == (409, "payment_exists")
    assert refused.json["payment_id"] == first["payment_id"]
    assert client.delete(url_of(first)).status_code == 200
    assert client.post("/v1/payments", json=body).status_code == 201


# Charged later


def test_a_created_payment_is_charged(app: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    created, key = a_pending_payment(client), a_key()
    first = post(client, url_of(created, "/charge"), key, payment_token="tok_ok")
    assert (first.status_code, first.json["status"]) == (201, "SUCCESS")
    assert first.json["payment_id"] == created["payment_id"]
    assert (first.json["message"], first.json["amount"]) == ("Payment success", "100.00")
    again = post(client, url_of(created, "/charge"), key, payment_token="tok_ok")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    other = post(client, url_of(created, "/charge"), payment_token="tok_ok")
    assert (other.status_code, other.json["code"]) == (409, "illegal_transition")
    assert other.json["from"] == "SUCCESS"
    assert len(at_provider(sandbox, "charges", created["reference"])) == 1


@pytest.mark.parametrize(
    ("sent", "status", "stands"),
    [
        ({"payment_token": "tok_decline_limit_exceeded"}, 402, "FAILED"),
        ({"payment_token": "tok_requires_action"}, 202, "REQUIRES_ACTION"),
        ({"payment_token": "tok_pending"}, 202, "PROCESSING"),
        ({"capture": False}, 201, "AUTHORIZED"),
        ({"method": "UPI"}, 201, "SUCCESS"),
        ({"method": "CASH"}, 201, "SUCCESS"),
        ({"provider": "sandbox"}, 201, "SUCCESS"),
        ({"provider": "nobody"}, 422, "PENDING"),
        ({"method": "SWISH"}, 201, "SUCCESS"),
    ],
)
def test_a_created_payment_answers_as_a_charge_does(
    app: Flask, client: FlaskClient, sent: dict[str, Any], status: int, stands: str
) -> None:
    created = a_pending_payment(client)
    answer = post(client, url_of(created, "/charge"), **sent)
    assert answer.status_code == status, answer.json
    assert payment_row(app, created["payment_id"])["status"] == stands


def test_a_created_payment_without_a_body(client: FlaskClient) -> None:
    created = a_pending_payment(client, payment_token="tok_ok")
    answer = client.post(url_of(created, "/charge"), headers={"Idempotency-Key": a_key()})
    assert (answer.status_code, answer.json["status"]) == (201, "SUCCESS")


def test_charging_what_is_not_there(client: FlaskClient) -> None:
    answer = post(client, "/v1/payments/999999999/charge")
    assert (answer.status_code, answer.json["code"]) == (404, "payment_not_found")


# By hand


@pytest.mark.parametrize(("status", "captured"), [("SUCCESS", "100.00"), ("FAILED", "0.00")])
def test_a_person_settles_pending_cash(
    app: Flask, client: FlaskClient, status: str, captured: str
) -> None:
    created = a_pending_payment(client, method="CASH")
    answer = client.patch(url_of(created, "/status"), json={"status": status, "reason": "seen"})
    assert (answer.status_code, answer.json["status"]) == (200, status)
    assert (answer.json["amount_captured"], answer.json["completed_at"] is None) == (
        captured,
        False,
    )
    line = client.get(url_of(created, "/events")).json["events"][-1]
    assert line["reason"] == "seen"


def test_cash_that_a_person_took_is_given_back_by_a_person(client: FlaskClient) -> None:
    created = a_pending_payment(client, method="CASH")
    assert client.patch(url_of(created, "/status"), json={"status": "COMPLETED"}).status_code == 200
    refund = post(client, url_of(created, "/refund"), amount="10.00")
    assert (refund.status_code, refund.json["refund_status"]) == (202, "PENDING")
    done = client.patch(
        f"/v1/refunds/{refund.json['refund_id']}/status", json={"status": "SUCCESS"}
    )
    assert (done.status_code, done.json["status"]) == (200, "SUCCESS")
    assert client.get(url_of(created)).json["status"] == "PARTIALLY_REFUNDED"
    assert client.get(url_of(created, "/receipt")).status_code == 200


def test_a_person_cancels(client: FlaskClient) -> None:
    created = a_pending_payment(client)
    answer = client.patch(url_of(created, "/status"), json={"status": "CANCELLED"})
    assert (answer.status_code, answer.json["status"]) == (200, "CANCELLED")


@pytest.mark.parametrize(
    "wanted", ["SUCCESS", "FAILED", "REFUNDED", "AUTHORIZED", "PENDING", "EXPIRED"]
)
def test_no_person_says_that_a_card_was_charged(
    app: Flask, client: FlaskClient, wanted: str
) -> None:
    created = a_pending_payment(client)
    answer = client.patch(url_of(created, "/status"), json={"status": wanted})
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    assert (answer.json["from"], answer.json["to"]) == ("PENDING", wanted)
    assert payment_row(app, created["payment_id"])["status"] == "PENDING"


@pytest.mark.parametrize("wanted", ["CANCELLED", "FAILED", "SUCCESS", "REFUNDED"])
@pytest.mark.parametrize("method", ["CARD", "CASH"])
def test_no_person_moves_what_is_paid(client: FlaskClient, method: str, wanted: str) -> None:
    paid = a_charged_payment(client, method=method)
    answer = client.patch(url_of(paid, "/status"), json={"status": wanted})
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    assert (answer.json["from"], answer.json["to"]) == ("SUCCESS", wanted)


# Cancelled


@pytest.mark.parametrize("how", ["delete", "cancel"])
def test_a_pending_payment_is_cancelled(client: FlaskClient, sandbox: Sandbox, how: str) -> None:
    created = a_pending_payment(client)

    def cancel() -> Any:
        if how == "delete":
            return client.delete(url_of(created))
        return client.post(url_of(created, "/cancel"), json={"reason": "no ride"})

    first, again = cancel(), cancel()
    assert (first.status_code, first.json["status"]) == (200, "CANCELLED")
    assert (again.status_code, again.json["status"]) == (200, "CANCELLED")
    assert again.json["updated_at"] == first.json["updated_at"]
    assert arrived(sandbox, created["reference"], "void") == 0


def test_a_cancel_s_key_is_kept_with_what_was_asked(client: FlaskClient) -> None:
    created, key = a_pending_payment(client), a_key()
    first = post(client, url_of(created, "/cancel"), key, reason="no ride")
    assert (first.status_code, first.json["status"]) == (200, "CANCELLED")
    again = post(client, url_of(created, "/cancel"), key, reason="no ride")
    assert (again.status_code, again.data) == (200, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = post(client, url_of(created, "/cancel"), key, reason="no money")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert list(other.json["errors"]) == ["reason"]
    deleted = client.delete(url_of(created), headers={"Idempotency-Key": key})
    assert (deleted.status_code, "Idempotent-Replayed" in deleted.headers) == (200, False)


def test_the_key_of_what_is_cancelled_already_is_kept_too(client: FlaskClient) -> None:
    created, key = a_pending_payment(client), a_key()
    assert client.delete(url_of(created)).status_code == 200
    first = post(client, url_of(created, "/cancel"), key)
    again = post(client, url_of(created, "/cancel"), key)
    assert (again.status_code, again.data) == (200, first.data)
    assert ("Idempotent-Replayed" in first.headers, "Idempotent-Replayed" in again.headers) == (
        False,
        True,
    )
    other = post(client, url_of(created, "/cancel"), key, reason="no money")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


def test_a_cancel_that_is_refused_leaves_its_key_free(client: FlaskClient) -> None:
    paid, key = a_charged_payment(client), a_key()
    for reason in ("no ride", "no money"):
        refused = post(client, url_of(paid, "/cancel"), key, reason=reason)
        assert (refused.status_code, refused.json["code"]) == (409, "illegal_transition")


def test_cancels_with_one_key_at_once_are_one(app: Flask, client: FlaskClient) -> None:
    created, key, meet = a_pending_payment(client), a_key(), threading.Barrier(8, timeout=PATIENCE)
    told: list[Any] = []

    def cancel() -> None:
        meet.wait()
        told.append(post(app.test_client(), url_of(created, "/cancel"), key, reason="no ride"))

    threads = [threading.Thread(target=cancel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.status_code, answer.data) for answer in told} == {(200, told[0].data)}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in told) == 1


@pytest.mark.parametrize("how", ["delete", "cancel"])
def test_a_hold_is_voided_under_a_key(
    app: Flask, client: FlaskClient, sandbox: Sandbox, how: str
) -> None:
    held, key = a_hold(client), a_key()

    def cancel(headers: dict[str, str]) -> Any:
        if how == "delete":
            return client.delete(url_of(held), headers=headers)
        return client.post(url_of(held, "/cancel"), headers=headers)

    without = cancel({})
    assert (without.status_code, without.json["code"]) == (400, "idempotency_key_required")
    assert arrived(sandbox, held["reference"], "void") == 0
    first, again = cancel({"Idempotency-Key": key}), cancel({"Idempotency-Key": key})
    assert (first.status_code, first.json["status"]) == (200, "CANCELLED")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    later = cancel({})
    assert (later.status_code, later.json["status"]) == (200, "CANCELLED")
    assert cancel({"Idempotency-Key": a_key()}).status_code == 200
    assert arrived(sandbox, held["reference"], "void") == 1
    assert at_provider(sandbox, "charges", held["reference"])[0]["state"] == "voided"
    assert payment_row(app, held["payment_id"])["captured"] == 0


def test_a_void_that_nobody_answered_is_a_202(make_app: MakeApp, sandbox: Sandbox) -> None:
    client = make_app(circuit_fail_max=10**6).test_client()
    token, key = a_key(), a_key()
    held = a_hold(client, payment_token=token)
    arm(sandbox, "void", "do_and_lose_answer", match={"token": token})
    first = post(client, url_of(held, "/cancel"), key)
    assert (first.status_code, first.json["status"]) == (202, "PROCESSING")
    other = post(client, url_of(held, "/cancel"))
    assert (other.status_code, other.json["code"]) == (409, "operation_in_progress")
    final = post(client, url_of(held, "/cancel"), key)
    assert (final.status_code, final.json["status"]) == (200, "CANCELLED")


@pytest.mark.parametrize("key", [None, "with a key"])
def test_what_is_paid_or_under_way_is_not_cancelled(
    make_app: MakeApp, sandbox: Sandbox, key: str | None
) -> None:
    client = make_app(circuit_fail_max=10**6).test_client()
    headers = {"Idempotency-Key": a_key()} if key else {}
    paid = a_charged_payment(client)
    open_one = post(client, "/v1/payments/charge", **an_order(payment_token="tok_pending")).json
    failed = post(
        client, "/v1/payments/charge", **an_order(payment_token="tok_decline_expired_card")
    ).json
    for payment in (paid, open_one, failed):
        answer = client.delete(url_of(payment), headers=headers)
        assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
        assert answer.json["from"] == payment["status"]
        assert answer.json["to"] == "CANCELLED"


# Captured


def test_a_hold_is_captured_in_part_and_no_further(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    held = a_hold(client)
    assert (held["amount_captured"], "expires_at" in held) == ("0.00", True)
    over = post(client, url_of(held, "/capture"), amount="100.01")
    assert over.status_code == 422
    key = a_key()
    first = post(client, url_of(held, "/capture"), key, amount="60.00")
    assert (first.status_code, first.json["status"]) == (200, "SUCCESS")
    assert first.json["amount_captured"] == "60.00"
    assert post(client, url_of(held, "/capture"), key, amount="60.00").data == first.data
    again = post(client, url_of(held, "/capture"))
    assert (again.status_code, again.json["code"]) == (409, "illegal_transition")
    assert at_provider(sandbox, "charges", held["reference"])[0]["captured_minor"] == 6000
    refund = post(client, url_of(held, "/refund"))
    assert refund.json["refund_amount"] == "60.00"


def test_a_declined_capture_leaves_the_hold(client: FlaskClient) -> None:
    held = a_hold(client, payment_token="tok_capture_decline")
    answer = post(client, url_of(held, "/capture"))
    assert (answer.status_code, answer.json["status"]) == (402, "AUTHORIZED")


# Found


def test_by_trip_by_order_and_by_the_providers_reference(
    client: FlaskClient, sandbox: Sandbox
) -> None:
    trip_id, order_id = a_trip(sandbox, total_fare=5), a_number()
    body = {"trip_id": trip_id, "order_id": order_id, "amount": "5.00"}
    created = client.post("/v1/payments", json=body).json
    paid = post(client, url_of(created, "/charge")).json
    wanted = client.get(url_of(paid)).json
    paths = (f"trip/{trip_id}", f"order/{order_id}", f"transaction/{paid['transaction_id']}")
    for path in paths:
        assert client.get(f"/v1/payments/{path}").json == wanted, path
    assert wanted["transactions"][0]["transaction_type"] == "CHARGE"


def test_a_refunds_reference_finds_the_payment_too(client: FlaskClient) -> None:
    paid = a_charged_payment(client)
    refund = post(client, "/v1/refunds", payment_id=paid["payment_id"], amount="1.00").json
    found = client.get(f"/v1/payments/transaction/{refund['transaction_id']}").json
    assert found["payment_id"] == paid["payment_id"]


def test_the_live_payment_else_the_newest(client: FlaskClient) -> None:
    order_id = a_number()
    declined = {"order_id": order_id, "amount": "1.00", "payment_token": "tok_decline_do_not_honor"}
    path = f"/v1/payments/order/{order_id}"
    older, newer = (post(client, "/v1/payments/charge", **declined).json for _ in range(2))
    assert older["payment_id"] < newer["payment_id"]
    assert client.get(path).json["payment_id"] == newer["payment_id"]
    live = client.post("/v1/payments", json={"order_id": order_id, "amount": "1.00"}).json
    assert client.get(path).json["payment_id"] == live["payment_id"]
    assert client.delete(url_of(live)).status_code == 200
    assert client.get(path).json["payment_id"] == live["payment_id"]


@pytest.mark.parametrize(
    "path",
    ["999999999", "trip/999999999", "order/999999999", "transaction/none", "999999999/events"],
)
def test_what_is_not_there(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/v1/payments/{path}")
    assert (answer.status_code, answer.json["code"]) == (404, "payment_not_found")
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("verb", ["delete", "patch", "cancel", "capture", "refund"])
def test_acting_on_what_is_not_there(client: FlaskClient, verb: str) -> None:
    path = "/v1/payments/999999999"
    answer = {
        "delete": lambda: client.delete(path),
        "patch": lambda: client.patch(f"{path}/status", json={"status": "CANCELLED"}),
        "cancel": lambda: post(client, f"{path}/cancel"),
        "capture": lambda: post(client, f"{path}/capture"),
        "refund": lambda: post(client, f"{path}/refund"),
    }[verb]()
    assert (answer.status_code, answer.json["code"]) == (404, "payment_not_found")


# Listed


@pytest.fixture(scope="module")
def listed(app: Flask, sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """Payments of one rider of their own, one of each kind that the filters tell apart."""
    client = app.test_client()
    same = {"rider_id": a_number(), "driver_id": a_number(), "user_id": a_number()}
    made = {
        "paid": a_charged_payment(client, **same),
        "upi": a_charged_payment(client, **same, method="UPI", reference=f"ref {same['rider_id']}"),
        "cash": a_charged_payment(client, **same, method="CASH"),
        "pending": client.post(
            "/v1/payments", json={**same, "trip_id": a_trip(sandbox, total_fare=3)}
        ).json,
        "failed": post(
            client,
            "/v1/payments/charge",
            **an_order(**same, payment_token="tok_decline_do_not_honor"),
        ).json,
        "held": a_hold(client, **same),
        "open": post(
            client, "/v1/payments/charge", **an_order(**same, payment_token="tok_pending")
        ).json,
        "refunded": a_charged_payment(client, **same),
        "parted": a_charged_payment(client, **same),
    }
    post(client, url_of(made["refunded"], "/refund"))
    post(client, url_of(made["parted"], "/refund"), amount="1.00")
    return made


def names(listed: dict[str, dict[str, Any]], body: dict[str, Any]) -> list[str]:
    """The kinds that a page shows, in its order."""
    kinds = {payment["payment_id"]: kind for kind, payment in listed.items()}
    return [kinds[payment["payment_id"]] for payment in body["payments"]]


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", ["parted", "refunded", "open", "held", "failed", "pending", "cash", "upi", "paid"]),
        ("&status=SUCCESS", ["cash", "upi", "paid"]),
        ("&status=completed", ["cash", "upi", "paid"]),
        ("&status=Succeeded&method=upi", ["upi"]),
        ("&status=PENDING", ["pending"]),
        ("&status=PROCESSING", ["open"]),
        ("&status=AUTHORIZED", ["held"]),
        ("&status=FAILED", ["failed"]),
        ("&status=REFUNDED", ["refunded"]),
        ("&status=PARTIALLY_REFUNDED", ["parted"]),
        ("&status=EXPIRED", []),
        ("&method=CASH", ["cash"]),
        ("&method=COD", ["cash"]),
        ("&method=debit_card&status=FAILED", ["failed"]),
        ("&provider=cash", ["cash"]),
        ("&provider=nobody", []),
    ],
)
def test_filters(
    client: FlaskClient, listed: dict[str, dict[str, Any]], query: str, kinds: list[str]
) -> None:
    for column in ("rider_id", "driver_id", "user_id"):
        path = f"/v1/payments?{column}={listed['paid'][column]}{query}"
        body = client.get(path).json
        assert names(listed, body) == kinds
        assert (body["count"], body["has_more"], body["next_cursor"]) == (len(kinds), False, None)
        assert (body["limit"], body["offset"]) == (100, 0)
        assert client.get(f"{path}&total=true").json["total"] == len(kinds)
        assert "total" not in body
        assert all("transactions" not in payment for payment in body["payments"])


def test_filters_by_trip_order_and_reference(
    client: FlaskClient, listed: dict[str, dict[str, Any]]
) -> None:
    for query, kind in (
        (f"trip_id={listed['pending']['trip_id']}", "pending"),
        (f"order_id={listed['failed']['order_id']}", "failed"),
        (f"order_id={listed['paid']['order_id']}&status=SUCCESS", "paid"),
        (f"reference={listed['held']['reference']}", "held"),
        (f"reference={quote(listed['upi']['caller_reference'])}", "upi"),
    ):
        assert names(listed, client.get(f"/v1/payments?{query}").json) == [kind], query


def test_filters_by_time(client: FlaskClient, listed: dict[str, dict[str, Any]]) -> None:
    rider = f"/v1/payments?rider_id={listed['paid']['rider_id']}"
    moment = listed["cash"]["created_at"]
    later = names(listed, client.get(f"{rider}&created_from={moment}").json)
    earlier = names(listed, client.get(f"{rider}&created_to={moment}").json)
    assert (later[-1], earlier) == ("cash", ["upi", "paid"])
    assert len(later) + len(earlier) == len(listed)
    offset = datetime.datetime.fromisoformat(moment).astimezone(
        datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    )
    for text in (quote(offset.isoformat()), offset.isoformat(), moment.removesuffix("Z")):
        assert names(listed, client.get(f"{rider}&created_from={text}").json) == later
    both = client.get(f"{rider}&created_from={moment}&created_to={moment}").json
    assert both["payments"] == []


def pages(client: FlaskClient, first: str, follow: Any) -> Iterator[dict[str, Any]]:
    path: str | None = first
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.json
        yield answer.json
        path = follow(answer.json) if answer.json["has_more"] else None


@pytest.mark.parametrize("query", ["", "&status=SUCCESS", "&status=SUCCESS&method=CARD"])
@pytest.mark.parametrize("size", [1, 2, 3, 9, 100])
def test_three_ways_of_paging_show_the_same(
    client: FlaskClient, listed: dict[str, dict[str, Any]], size: int, query: str
) -> None:
    base = f"/v1/payments?rider_id={listed['paid']['rider_id']}{query}"
    whole = client.get(base).json["payments"]
    by_offset = pages(
        client,
        f"{base}&limit={size}&offset=0",
        lambda body: f"{base}&limit={size}&offset={body['offset'] + body['count']}",
    )
    by_page = pages(
        client,
        f"{base}&page=1&page_size={size}",
        lambda body: f"{base}&page_size={size}&page={body['offset'] // size + 2}",
    )
    by_cursor = pages(
        client,
        f"{base}&limit={size}",
        lambda body: f"{base}&limit={size}&cursor={body['next_cursor']}",
    )
    for way in (by_offset, by_page, by_cursor):
        found = list(way)
        assert [payment for page in found for payment in page["payments"]] == whole
        assert all(page["count"] == len(page["payments"]) <= size for page in found)
        assert all(page["limit"] == size for page in found)
        assert found[-1]["next_cursor"] is None


def test_a_cursor_misses_nothing_and_repeats_nothing_while_others_pay(
    client: FlaskClient,
) -> None:
    rider = a_number()
    made = [a_charged_payment(client, rider_id=rider)["payment_id"] for _ in range(5)]
    base = f"/v1/payments?rider_id={rider}&limit=2"
    seen: list[int] = []

    def follow(body: dict[str, Any]) -> str:
        a_charged_payment(client, rider_id=rider)
        return f"{base}&cursor={body['next_cursor']}"

    for page in pages(client, base, follow):
        seen += [payment["payment_id"] for payment in page["payments"]]
    assert seen == made[::-1]


def test_payments_of_one_instant_are_paged_by_id(app: Flask, client: FlaskClient) -> None:
    rider = a_number()
    made = [a_charged_payment(client, rider_id=rider)["payment_id"] for _ in range(4)]
    execute(app, "UPDATE payments SET created_at = '2026-01-01Z' WHERE rider_id = :id", id=rider)
    base = f"/v1/payments?rider_id={rider}&limit=1"
    way = pages(client, base, lambda body: f"{base}&cursor={body['next_cursor']}")
    assert [page["payments"][0]["payment_id"] for page in way] == made[::-1]


@pytest.mark.parametrize(
    "query",
    [
        "limit=2&page=1",
        "offset=0&page_size=2",
        "page=1&cursor=MC4w",
        "offset=0&cursor=MC4w",
        "cursor=made-up",
        "status=PAID",
        "created_from=yesterday",
        "color=red",
        "limit=1&limit=2",
    ],
)
def test_ways_of_paging_are_not_mixed(client: FlaskClient, query: str) -> None:
    assert client.get(f"/v1/payments?{query}").status_code == 422


# The time line


def test_the_time_line_of_a_payment(client: FlaskClient, sandbox: Sandbox) -> None:
    created = a_pending_payment(client)
    headers = {"Idempotency-Key": a_key(), "X-Request-ID": "ride-7"}
    client.post(url_of(created, "/charge"), headers=headers)
    post(client, url_of(created, "/refund"), amount="1.00", reason="late")
    body = client.get(url_of(created, "/events")).json
    line = body["events"]
    assert (body["payment_id"], body["count"]) == (created["payment_id"], len(line))
    assert body["next"] is None
    assert [moment["at"] for moment in line] == sorted(moment["at"] for moment in line)
    assert [moment["what"] for moment in line if moment["kind"] == "event"] == [
        "payment.created",
        "payment.processing",
        "payment.succeeded",
        "refund.requested",
        "refund.succeeded",
        "payment.partially_refunded",
    ]
    asked = [moment for moment in line if moment["kind"] == "transaction"]
    assert ["charge" in asked[0]["what"], "refund" in asked[1]["what"]] == [True, True]
    assert asked[0]["details"]["reference"] == f"{created['reference']}-1"
    assert lookup(sandbox, asked[1]["details"]["reference"]).json()["amount_minor"] == 100
    assert {moment["actor"] for moment in line} == {"caller"}
    requested = next(moment for moment in line if moment["what"] == "refund.requested")
    assert requested["reason"] == "late"
    succeeded = next(moment for moment in line if moment["what"] == "payment.succeeded")
    assert succeeded["details"]["request_id"] == "ride-7"
    assert (succeeded["details"]["from_status"], succeeded["details"]["to_status"]) == (
        "PROCESSING",
        "SUCCESS",
    )


@pytest.mark.parametrize(
    ("token", "words"), [("tok_pending", "look up"), ("tok_requires_action", None)]
)
def test_the_time_line_says_what_comes_next(
    client: FlaskClient, token: str, words: str | None
) -> None:
    open_one = post(client, "/v1/payments/charge", **an_order(payment_token=token)).json
    coming = client.get(url_of(open_one, "/events")).json["next"]
    assert coming["at"] > open_one["created_at"]
    assert words is None or words in coming["what"]


def test_the_time_line_of_a_hold_names_its_end(client: FlaskClient) -> None:
    held = a_hold(client)
    coming = client.get(url_of(held, "/events")).json["next"]
    assert coming["at"] == held["expires_at"]


def test_the_time_line_of_history_begins_with_the_import(app: Flask, client: FlaskClient) -> None:
    trip_id = a_number()
    execute(
        app,
        "INSERT INTO payments (trip_id, amount, currency, method, provider, status, reference,"
        " caller, created_at, updated_at) VALUES (:trip, 500, 'INR', 'CARD', 'import', 'FAILED',"
        " :reference, 'import', now(), now())",
        trip=trip_id,
        reference=f"OLD-{trip_id}",
    )
    (found,) = payments_of(app, trip_id=trip_id)
    line = client.get(url_of(found, "/events")).json["events"]
    assert [moment["what"] for moment in line] == ["payment.imported"]


# The other prefixes


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_the_same_endpoints_answer_under_the_prefixes(
    app: Flask, client: FlaskClient, prefix: str
) -> None:
    charged = post(client, f"{prefix}/payments/charge", **an_order())
    assert charged.status_code == 201
    payment_id = charged.json["payment_id"]
    for path in (
        f"/payments/{payment_id}",
        f"/payments/order/{charged.json['order_id']}",
        f"/payments?order_id={charged.json['order_id']}",
        f"/payments/{payment_id}/events",
        f"/payments/{payment_id}/receipt",
        f"/payments/{payment_id}/refunds",
        "/payments/providers/IN",
    ):
        assert client.get(prefix + path).json == client.get("/v1" + path).json, path
    refund = post(client, f"{prefix}/payments/{payment_id}/refund", amount="1.00")
    assert refund.status_code == 200
    assert client.get(f"{prefix}/refunds/{refund.json['refund_id']}").status_code == 200
    assert len(rows(app, "SELECT 1 FROM refunds WHERE payment_id = :id", id=payment_id)) == 1


@pytest.mark.parametrize("path", ["/api/health", "/api/health/ready", "/api/metrics"])
def test_what_stands_at_the_root_answers_under_api(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/api", "/api/", "/apiv1/payments", "/api/v2/payments", "/v1"])
def test_other_prefixes_are_not_there(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_a_trips_payment_is_that_of_its_fare_and_not_its_tip(
    app: Flask, client: FlaskClient
) -> None:
    """A tip is a payment of its own beside the fare's, and mostly the newer one."""
    order_id = a_number()
    paid = a_charged_payment(client, order_id=order_id, amount="10.00")
    execute(
        app,
        "INSERT INTO payments (order_id, purpose, amount, currency, method, status, reference,"
        " caller, authorized, captured, created_at, updated_at)"
        " VALUES (:order_id, 'TIP', 100, 'INR', 'CARD', 'SUCCESS', :reference, 'test', 100, 100,"
        " now(), now())",
        order_id=order_id,
        reference=a_key(),
    )
    assert len(payments_of(app, order_id=order_id)) == 2
    found = client.get(f"/v1/payments/order/{order_id}").json
    assert found["payment_id"] == paid["payment_id"]
    execute(app, "UPDATE payments SET trip_id = order_id WHERE order_id = :id", id=order_id)
    found = client.get(f"/v1/payments/trip/{order_id}").json
    assert (found["payment_id"], found["purpose"]) == (paid["payment_id"], "FARE")
