"""A rider's token: it sees that rider's own payments, and another's is not there at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.fixtures import MakeApp, a_key, a_number, an_order
from tests.four_eyes import acting, asks, withdraws
from tests.tokens import SECURED, a_token, bearing

Paid = dict[str, Any]


@pytest.fixture(scope="module")
def secured(make_app: MakeApp) -> Flask:
    return make_app(**SECURED, trip_service_url=None)


@pytest.fixture
def asked(secured: Flask) -> FlaskClient:
    return secured.test_client()


def charged(client: FlaskClient, **changes: Any) -> Paid:
    """A payment, charged and refunded in part by a service."""
    headers = bearing(a_token())
    answer = client.post(
        "/v1/payments/charge",
        json=an_order(trip_id=a_number(), **changes),
        headers={"Idempotency-Key": a_key(), **headers},
    )
    assert answer.status_code == 201, answer.text
    paid: Paid = answer.json
    refund = client.post(
        "/v1/refunds",
        json={"payment_id": paid["payment_id"], "amount": "1.00", "reason": "a word of support"},
        headers={"Idempotency-Key": a_key(), **headers},
    )
    assert refund.status_code == 201, refund.text
    return paid | {"refund_id": refund.json["refund_id"]}


def as_rider(client: FlaskClient, rider: int, path: str, **headers: str) -> TestResponse:
    token = a_token(sub=str(rider), role="rider", scope=None)
    return client.get(path, headers={**bearing(token), **headers})


def places(paid: Paid) -> list[str]:
    """Where a payment and what belongs to it are read."""
    one = f"/v1/payments/{paid['payment_id']}"
    return [
        one,
        *(f"{one}/{part}" for part in ("events", "receipt", "refunds")),
        *(f"{one}/receipt?format={form}" for form in ("html", "pdf")),
        *(f"/v1/payments/{noun}/{paid[f'{noun}_id']}" for noun in ("order", "trip")),
        f"/v1/payments/transaction/{paid['transaction_id']}",
        f"/v1/refunds/{paid['refund_id']}",
    ]


@pytest.mark.parametrize("column", ["rider_id", "user_id"])
def test_a_rider_reads_what_is_their_own(asked: FlaskClient, column: str) -> None:
    rider = a_number()
    paid = charged(asked, **{column: rider})
    for path in places(paid):
        answer = as_rider(asked, rider, path)
        assert answer.status_code == 200, path
    refunds = as_rider(asked, rider, f"/v1/payments/{paid['payment_id']}/refunds?total=true").json
    assert (refunds["count"], refunds["total"]) == (1, 1)


def without_numbers(answer: TestResponse, *numbers: object) -> tuple[int, bytes, list[str]]:
    body = answer.data
    for number in numbers:
        body = body.replace(str(number).encode(), b"N")
    other = ("X-Request-ID", "Content-Length", "RateLimit-")  # those of each answer
    lines = [f"{name}: {value}" for name, value in answer.headers]
    return answer.status_code, body, [line for line in lines if not any(x in line for x in other)]


def test_a_foreign_payment_is_the_same_bytes_as_one_that_is_not_there(asked: FlaskClient) -> None:
    paid = charged(asked, rider_id=a_number(), driver_id=a_number())
    while {str(paid["payment_id"]), str(paid["refund_id"])} & {"4", "0", "40", "404"}:
        paid = charged(asked, rider_id=a_number(), driver_id=a_number())  # not a part of the status
    missing = paid | {
        "payment_id": 10**17,
        "order_id": 10**17,
        "trip_id": 10**17,
        "refund_id": 10**17,
        "transaction_id": "not-there",
    }
    stranger = a_number()
    for foreign, nowhere in zip(places(paid), places(missing), strict=True):
        told = without_numbers(as_rider(asked, stranger, foreign), *paid_numbers(paid))
        assert told == without_numbers(as_rider(asked, stranger, nowhere), 10**17), foreign
        assert told[0] == 404


def paid_numbers(paid: Paid) -> list[Any]:
    return [
        paid["order_id"],
        paid["trip_id"],
        paid["payment_id"],
        paid["refund_id"],
    ]  # the longest first


def test_a_tag_opens_nothing(asked: FlaskClient) -> None:
    """304 would tell that a payment is there, and that it has not changed."""
    rider, stranger = a_number(), a_number()
    paid = charged(asked, rider_id=rider)
    tagged = 0
    for path in places(paid):
        tag = as_rider(asked, rider, path).headers.get("ETag")
        if tag is None:
            continue  # a list
        tagged += 1
        known = {"If-None-Match": tag}
        assert as_rider(asked, rider, path, **known).status_code == 304, path
        assert as_rider(asked, stranger, path, **known).status_code == 404, path
        every = {"If-None-Match": "*"}
        assert as_rider(asked, stranger, path, **every).status_code == 404, path
    assert tagged == 9


def test_lists_are_narrowed(asked: FlaskClient) -> None:
    rider, other = a_number(), a_number()
    own = [charged(asked, rider_id=rider), charged(asked, user_id=rider)]
    foreign = charged(asked, rider_id=other)

    def listed(path: str, noun: str) -> list[int]:
        answer = as_rider(asked, rider, f"/v1/{noun}s{path}")
        assert answer.status_code == 200, answer.text
        return [row[f"{noun}_id"] for row in answer.json[f"{noun}s"]]

    ours = {noun: [paid[f"{noun}_id"] for paid in reversed(own)] for noun in ("payment", "refund")}
    for noun in ours:
        for query in ("", "?limit=20", "?limit=50&total=true"):
            assert listed(query, noun) == ours[noun], (noun, query)
        assert listed("?limit=1&offset=1", noun) == ours[noun][1:]
        first = as_rider(asked, rider, f"/v1/{noun}s?limit=1").json
        assert listed(f"?cursor={first['next_cursor']}", noun) == ours[noun][1:]
        assert as_rider(asked, rider, f"/v1/{noun}s?total=true").json["total"] == 2
    assert listed(f"?payment_id={foreign['payment_id']}", "refund") == []
    for query in (
        f"?rider_id={other}",
        f"?rider_id={other}&created_from=2020-01-01T00:00:00Z",
        f"?order_id={foreign['order_id']}",
        f"?reference={foreign['reference']}",
        f"?rider_id={other}&user_id={rider}",
    ):
        assert listed(query, "payment") == [], query
    assert listed(f"?order_id={own[0]['order_id']}", "payment") == [own[0]["payment_id"]]


def test_a_riders_time_line_tells_what_concerns_riders(asked: FlaskClient) -> None:
    rider = a_number()
    paid = charged(asked, rider_id=rider)
    path = f"/v1/payments/{paid['payment_id']}/events"
    whole = asked.get(path, headers=bearing(a_token())).json
    told = as_rider(asked, rider, path).json
    assert any("word of support" in json.dumps(moment) for moment in whole["events"])
    assert any("caller" in moment["details"] for moment in whole["events"])
    kinds = {moment["kind"] for moment in told["events"]}
    assert kinds == {"event", "transaction"}
    assert [moment["reason"] for moment in told["events"]] == [None] * told["count"]
    text = json.dumps(told)
    for word in ("word of support", "trip-service"):
        assert word not in text, word
    for name in ("request_id", "fee", "provider_reference"):
        assert f'"{name}"' not in text, name
    assert [m["what"] for m in told["events"]] == [
        m["what"] for m in whole["events"] if m["kind"] in kinds
    ]


@pytest.mark.parametrize(
    ("settings", "claims"),
    [
        ({}, {"role": "rider"}),
        ({}, {"roles": ["RIDER"]}),
        ({"jwt_scope_claims": ("scope",)}, {"role": "rider"}),
        (
            {"jwt_scope_claims": ("realm_access.roles",), "jwt_rider_claim": "ride.number"},
            {"realm_access": {"roles": ["rider"]}, "sub": "b2c", "ride": {"number": None}},
        ),
        (
            {"jwt_rider_claim": "https://rides.example/rider"},
            {"role": "rider", "sub": "auth0|1", "https://rides.example/rider": None},
        ),
    ],
)
def test_where_a_token_says_which_rider_it_is(
    make_app: MakeApp, settings: dict[str, Any], claims: dict[str, Any]
) -> None:
    client = make_app(**SECURED, **settings).test_client()
    rider, other = a_number(), a_number()
    paid = charged(make_app(trip_service_url=None).test_client(), rider_id=rider)

    def status(number: object) -> int:
        said = json.loads(json.dumps(claims).replace("null", json.dumps(number)))
        said = {"sub": str(number), **said}
        answer = client.get(f"/v1/payments/{paid['payment_id']}", headers=bearing(a_token(**said)))
        return answer.status_code

    assert (status(rider), status(other), status("ann"), status(-1)) == (200, 404, 403, 403)


def test_a_rider_reads_no_reasons_of_refunds(asked: FlaskClient) -> None:
    """They are what people wrote for the house. A tag of one who reads them opens nothing."""
    rider = a_number()
    paid = charged(asked, rider_id=rider)
    one = f"/v1/payments/{paid['payment_id']}"
    refund = f"/v1/refunds/{paid['refund_id']}"
    lists = (f"{one}/refunds", "/v1/refunds?limit=5", "/v1/refunds?limit=20")
    for path in (refund, *lists, f"{one}/receipt", f"{one}/receipt?format=html"):
        whole = asked.get(path, headers=bearing(a_token()))
        assert "word of support" in whole.text, path
        known = {"If-None-Match": whole.headers["ETag"]} if "ETag" in whole.headers else {}
        told = as_rider(asked, rider, path, **known)
        assert told.status_code == 200
        assert "1.00" in told.text and "word of support" not in told.text, path
    assert as_rider(asked, rider, refund).json["reason"] is None


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_a_rider_moves_no_money(asked: FlaskClient, method: str) -> None:
    """Not even their own, and whatever scopes the token has."""
    rider = a_number()
    paid = charged(asked, rider_id=rider)
    paths = {
        "POST": [
            *("/v1/payments/charge", "/v1/payments", "/v1/refunds"),
            *(f"/v1/payments/{paid['payment_id']}/{verb}" for verb in ("refund", "cancel")),
        ],
        "DELETE": [f"/v1/payments/{paid['payment_id']}"],
        "PATCH": [
            f"/v1/payments/{paid['payment_id']}/status",
            f"/v1/refunds/{paid['refund_id']}/status",
        ],
    }
    for path in paths[method]:
        body = None if method == "DELETE" else an_order()
        token = a_token(sub=str(rider), role="rider")
        headers = {"Idempotency-Key": a_key(), **bearing(token)}
        answer = asked.open(path, method=method, json=body, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "insufficient_scope"), path


def test_what_operators_ask_of_each_other_is_no_riders_to_see(
    secured: Flask, asked: FlaskClient
) -> None:
    """A refund that somebody asked for, and that was not approved: neither the word nor the why."""
    rider = a_number()
    paid = charged(asked, rider_id=rider)
    asker = acting(secured)
    secret = f"looks like fraud {a_key()}"
    request = asks(secured, asker, paid["payment_id"], "60.00", reason=secret)
    withdraws(secured, asker, request)
    asks(secured, asker, paid["payment_id"], "50.00", reason=secret)
    line = asked.get(f"/v1/payments/{paid['payment_id']}/events", headers=bearing(a_token()))
    told = [one["what"] for one in line.json["events"] if one["kind"] == "event"]
    assert told[-3:] == ["refund.asked", "refund.not_approved", "refund.asked"]
    assert secret in line.text
    for path in places(paid):
        seen = as_rider(asked, rider, path).data
        for hidden in ("refund.asked", "refund.not_approved", secret, asker.name):
            assert hidden.encode() not in seen, path
