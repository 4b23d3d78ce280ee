"""Webhooks: what is believed, what it moves, and what it leaves as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from structlog.contextvars import get_contextvars

from payment_service.domain.callers import WORKER
from payment_service.domain.states import Verdict
from payment_service.extensions import db
from payment_service.providers.contract import Outcome, Result
from payment_service.services import webhook_refusals, webhooks
from payment_service.services.moves import evidence
from tests.books import at_once, execute, post, row, rows
from tests.clocks import look_up
from tests.fixtures import MakeApp, an_order
from tests.hooked import (
    an_app,
    an_event,
    call,
    events_of,
    pending,
    send,
    signature,
    signed_body,
    tell,
)
from tests.sandbox_calls import decide, get
from tests.sandbox_server import Sandbox

MONEY = ("payments", "transactions", "refunds", "events", "deliveries")


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Flask:
    return an_app(make_app, sandbox, database_url=database_of_module)


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    return house.test_client()


def waiting(client: FlaskClient, provider: str = "signed", **changes: Any) -> tuple[int, str]:
    """A charge that the provider is not sure of: the payment and the request's reference."""
    payment = pending(client, provider=provider, **changes)
    return payment["payment_id"], f"{payment['reference']}-1"


def refund_waiting(client: FlaskClient) -> tuple[int, str]:
    """A refund of all, of a payment of 100.00, that the provider is not sure of."""
    order = an_order(provider="signed", payment_token="tok_refund_pending")
    paid = post(client, "/v1/payments/charge", **order).json
    answer = post(client, f"/v1/payments/{paid['payment_id']}/refund")
    assert answer.status_code == 202, answer.json
    return paid["payment_id"], f"{paid['reference']}-2"


def money_of(app: Flask, payment_id: int) -> Any:
    """All that is written of the payment, but for when somebody looks next."""
    return {
        table: rows(
            app,
            f"SELECT (to_jsonb(t) - ARRAY['due_at', 'leased_until', 'lookups'])::text AS it"
            f" FROM {table} t WHERE payment_id = :id ORDER BY 1",
            id=payment_id,
        )
        for table in MONEY
    }


def status_of(client: FlaskClient, payment_id: int) -> str:
    found: str = client.get(f"/v1/payments/{payment_id}").json["status"]
    return found


def kept(app: Flask, key: str) -> dict[str, Any]:
    return row(app, "SELECT * FROM webhooks WHERE event_key = :key", key=key)


def is_due(app: Flask, payment_id: int) -> bool:
    query = "SELECT bool_or(due_at <= now()) AS it FROM transactions WHERE payment_id = :id"
    return bool(row(app, query, id=payment_id)["it"])


# -- what is true


def test_what_is_signed_moves_the_payment_once(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client)
    event = an_event(reference)
    answer = tell(client, event)
    assert (answer.status_code, answer.text) == (202, "HEARD")
    assert status_of(client, payment_id) == "SUCCESS"
    assert tell(client, event).status_code == 202
    assert events_of(client, payment_id).count("payment.succeeded") == 1
    found = kept(house, event["key"])
    assert (found["status"], found["deliveries"], found["number"]) == ("APPLIED", 2, 1)
    assert (found["payment_id"], found["due_at"], found["attempts"]) == (payment_id, None, 1)
    told = client.get(f"/v1/payments/{payment_id}/events").json["events"]
    [heard] = [moment for moment in told if moment["kind"] == "webhook"]
    assert (heard["what"], heard["actor"]) == ("payment from signed: APPLIED", "provider")
    actors = {moment["actor"] for moment in told if moment["what"] == "payment.succeeded"}
    assert actors == {"provider"}


def test_what_is_weaker_or_known_is_no_news(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client)
    tell(client, an_event(reference))
    before = money_of(house, payment_id)
    for outcome in ("APPROVED", "DECLINED", "REQUIRES_ACTION", "PENDING"):
        event = an_event(reference, outcome)
        tell(client, event)
        assert kept(house, event["key"])["status"] == "NO_NEWS", outcome
    assert money_of(house, payment_id) == before


def test_several_notices_of_one_webhook_are_each_kept(house: Flask, client: FlaskClient) -> None:
    first, second = waiting(client), waiting(client)
    events = [an_event(first[1]), an_event(second[1], "DECLINED", why="do_not_honor")]
    assert tell(client, *events).status_code == 202
    assert status_of(client, first[0]) == "SUCCESS"
    assert status_of(client, second[0]) == "FAILED"


def test_a_type_that_is_not_taken_is_kept_and_does_nothing(
    house: Flask, client: FlaskClient
) -> None:
    payment_id, reference = waiting(client)
    event = an_event(reference, type="news")
    assert tell(client, event).status_code == 202
    found = kept(house, event["key"])
    assert (found["status"], found["due_at"]) == ("IGNORED", None)
    assert status_of(client, payment_id) == "PROCESSING"


# -- what is not


def other(change: dict[str, Any]) -> Any:
    return lambda reference: an_event(reference, **change)


MISMATCHES = {
    "amount": other({"amount": 10001}),
    "currency": other({"currency": "USD"}),
    "merchant": other({"merchant": "M-2"}),
    "more approved than asked for": other({"approved": 10001}),
    "nothing approved": other({"approved": 0}),
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_what_does_not_fit_moves_nothing_and_has_it_looked_up(
    house: Flask, client: FlaskClient, what: str
) -> None:
    payment_id, reference = waiting(client)
    before = money_of(house, payment_id)
    event = MISMATCHES[what](reference)
    assert tell(client, event).status_code == 202
    found = kept(house, event["key"])
    assert (found["status"], found["payment_id"]) == ("MISMATCH", payment_id)
    assert found["error"]
    assert money_of(house, payment_id) == before
    assert is_due(house, payment_id)


def test_another_id_for_the_request_does_not_fit(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client)
    event = an_event(reference, id="psp-other")
    tell(client, event)
    assert status_of(client, payment_id) == "PROCESSING"
    assert kept(house, event["key"])["status"] == "MISMATCH"


def test_what_one_of_them_had_hastened_is_looked_up_though_another_ends_it(
    house: Flask, client: FlaskClient
) -> None:
    payment_id, reference = waiting(client)
    tell(client, an_event(reference, id="psp-other"))
    tell(client, an_event(reference))
    assert status_of(client, payment_id) == "SUCCESS"
    assert is_due(house, payment_id)
    look_up(house, payment_id)
    assert not is_due(house, payment_id)


@pytest.mark.parametrize("hastened", [True, False])
def test_what_is_hastened_while_a_look_up_is_under_way_is_looked_up_again(
    house: Flask, client: FlaskClient, hastened: bool
) -> None:
    payment_id, _ = waiting(client)
    execute(house, "UPDATE transactions SET leased_until = now() + interval '1 minute', due_at ="
                   " now() + interval '1 minute' * :late WHERE payment_id = :id",
            id=payment_id, late=0 if hastened else 1)  # fmt: skip
    with house.app_context():
        found = Result(Outcome.APPROVED, provider_reference=id_of(house, payment_id))
        evidence.accept(payment_id=payment_id, number=1, verdict=Verdict.APPROVED, result=found,
                        caller=WORKER)  # fmt: skip
    assert status_of(client, payment_id) == "SUCCESS"
    assert is_due(house, payment_id) is hastened


def test_a_webhook_about_another_providers_payment_moves_nothing(
    house: Flask, client: FlaskClient
) -> None:
    payment_id, reference = waiting(client, provider="plain")
    before = money_of(house, payment_id)
    event = an_event(reference)
    tell(client, event)
    assert kept(house, event["key"])["status"] == "MISMATCH"
    assert money_of(house, payment_id) == before
    execute(house, "UPDATE transactions SET provider_reference = 'p-1' WHERE payment_id = :id",
            id=payment_id)  # fmt: skip
    by_id = an_event(reference, id="p-1") | {"reference": None}
    tell(client, by_id)
    assert kept(house, by_id["key"])["status"] == "ORPHANED"
    assert money_of(house, payment_id)["events"] == before["events"]


@pytest.mark.parametrize(
    "reference", ["PAY-20260101-NOBODYHASIT0-1", "nonsense", "-1", "PAY-1-99999", "PAY-1-²", ""]
)
def test_an_unknown_reference_is_orphaned_and_looked_for_again(
    house: Flask, client: FlaskClient, reference: str
) -> None:
    event = an_event(reference)
    assert tell(client, event).status_code == 202
    found = kept(house, event["key"])
    assert (found["status"], found["payment_id"]) == ("ORPHANED", None)
    assert found["due_at"] > datetime.now(UTC)


def test_one_that_comes_before_its_request_is_known_is_applied_later(
    house: Flask, client: FlaskClient
) -> None:
    payment_id, _ = waiting(client)
    known_as = id_of(house, payment_id)
    execute(house, "UPDATE transactions SET provider_reference = NULL WHERE payment_id = :id",
            id=payment_id)  # fmt: skip
    event = an_event("", id=known_as) | {"reference": None}
    tell(client, event)
    assert kept(house, event["key"])["status"] == "ORPHANED"
    execute(house, "UPDATE transactions SET provider_reference = :it WHERE payment_id = :id",
            id=payment_id, it=known_as)  # fmt: skip
    try_again(house, event["key"])
    assert kept(house, event["key"])["status"] == "APPLIED"
    assert status_of(client, payment_id) == "SUCCESS"


def try_again(app: Flask, key: str) -> None:
    """Its next try is due, and the worker comes."""
    execute(app, "UPDATE webhooks SET due_at = '2020-01-01' WHERE event_key = :key"
                 " AND due_at IS NOT NULL", key=key)  # fmt: skip
    with app.app_context():
        webhooks.run_once()


def test_an_orphan_is_not_looked_for_for_ever(house: Flask, client: FlaskClient) -> None:
    event = an_event("PAY-20260101-NOBODYHASIT0-1")
    tell(client, event)
    for _ in range(12):
        try_again(house, event["key"])
    found = kept(house, event["key"])
    assert (found["status"], found["due_at"], found["attempts"]) == ("ORPHANED", None, 10)


def test_what_is_refused_is_told_the_same_and_leaves_everything(
    house: Flask, client: FlaskClient
) -> None:
    payment_id, reference = waiting(client)
    before = money_of(house, payment_id)
    body = signed_body(an_event(reference))
    old = signed_body(an_event(reference), at=datetime.now(UTC) - timedelta(hours=1))
    count = row(house, "SELECT count(*) AS n FROM webhooks")["n"]
    answers = [
        send(client, body, "0" * 64),
        send(client, body, signature(body)[:-1] + "é"),
        send(client, body.replace(b"10000", b"10001"), signature(body)),
        client.post("/v1/webhooks/signed", data=body),
        send(client, old),
        send(client, b"nonsense"),
        send(client, b"[]"),
        send(client, b""),
        send(client, json.dumps({"at": "x", "events": []}).encode()),
    ]
    told = {(answer.status_code, answer.json["detail"], answer.json["code"]) for answer in answers}
    assert told == {(400, "this is no webhook of that provider's", "webhook_refused")}
    assert row(house, "SELECT count(*) AS n FROM webhooks")["n"] == count
    assert money_of(house, payment_id) == before
    last = rows(house, "SELECT reason FROM webhook_refusals ORDER BY number DESC LIMIT 9")
    assert {one["reason"] for one in last} >= {"no_signature", "bad_signature", "too_old"}


@pytest.mark.parametrize(
    ("sign", "why"), [("0" * 64, "bad_signature"), (signature(b"nonsense"), "unreadable")]
)
def test_the_requests_line_says_why_one_was_refused(
    client: FlaskClient, sign: str, why: str
) -> None:
    assert send(client, b"nonsense", sign).status_code == 400
    assert get_contextvars()["webhook_refused"] == why  # which goes into each line of the request
    client.get("/health")
    assert "webhook_refused" not in get_contextvars()


def test_nobody_waits_for_the_disk_for_a_refused_one(house: Flask) -> None:
    """But for all else that the connection is used for."""
    values = {"keep": 10, "at": datetime.now(UTC), "provider": "signed", "address": None}
    values |= {"size": 1, "hash": "00", "reason": "unreadable"}
    asked = text("SELECT current_setting('synchronous_commit')")
    with house.app_context(), db.engine.connect() as connection:
        with connection.begin():
            usual = connection.execute(asked).scalar_one()
            assert webhook_refusals.WRITE.one(connection, values) is not None
            assert connection.execute(asked).scalar_one() == "off"
        assert usual != "off"
        assert connection.execute(asked).scalar_one() == usual


def test_who_sends_no_webhooks_has_no_door(client: FlaskClient) -> None:
    for name in ("plain", "cash", "nobody", "sandbox"):
        answer = client.post(f"/v1/webhooks/{name}", data=b"x")
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("content_type", [None, "text/html", "application/x-www-form-urlencoded"])
def test_any_content_type_query_and_header_is_taken(
    house: Flask, client: FlaskClient, content_type: str | None
) -> None:
    payment_id, reference = waiting(client)
    body = signed_body(an_event(reference))
    headers = [("X-Signature", signature(body)), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = client.post(
        "/v1/webhooks/signed?token=4111111111111111&token=2",
        data=body,
        headers=headers,
        content_type=content_type,
    )
    assert answer.status_code == 202, answer.text
    assert status_of(client, payment_id) == "SUCCESS"


def test_a_body_may_be_longer_here_and_not_endless(house: Flask, client: FlaskClient) -> None:
    _, reference = waiting(client)
    at_most = 256 * 1024
    body = signed_body(an_event(reference))
    assert send(client, body + b" " * (at_most - len(body))).status_code == 202
    assert send(client, body + b" " * (at_most - len(body) + 1)).status_code == 413


# -- what is not signed


def test_what_is_not_signed_only_has_it_looked_up(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id, reference = waiting(client, provider="unsigned")
    known_as = id_of(house, payment_id)
    before = money_of(house, payment_id)
    assert not is_due(house, payment_id)
    assert call(client, known_as).status_code == 200
    assert money_of(house, payment_id) == before
    assert is_due(house, payment_id)
    decide(sandbox, reference, "approve")
    look_up(house, payment_id)
    assert status_of(client, payment_id) == "SUCCESS"
    call(client, known_as, "AGAIN")
    assert kept(house, f"{known_as}:AGAIN")["status"] == "NO_NEWS"
    assert not is_due(house, payment_id)


def test_an_unsigned_one_makes_us_ask_nobody_else(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client, provider="signed")
    call(client, reference, "PAID", reference=reference)
    assert not rows(house, "SELECT 1 FROM webhooks WHERE event_key = :k", k=f"{reference}:PAID")
    assert not is_due(house, payment_id)


def id_of(app: Flask, payment_id: int) -> str:
    query = "SELECT provider_reference AS it FROM transactions WHERE payment_id = :id"
    found: str = row(app, query, id=payment_id)["it"]
    return found


def test_unsigned_ones_about_nothing_of_ours_fill_nothing(
    house: Flask, client: FlaskClient
) -> None:
    before = row(house, "SELECT count(*) AS n FROM webhooks")["n"]
    for number in range(5):
        assert call(client, f"made-up-{number}").status_code == 200
    payment_id, _ = waiting(client, provider="unsigned")
    for number in range(30):
        assert call(client, id_of(house, payment_id), f"S{number}").status_code == 200
    assert row(house, "SELECT count(*) AS n FROM webhooks")["n"] == before + 20


def test_a_flood_of_unsigned_ones_makes_one_look_up_at_a_time(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id, _ = waiting(client, provider="unsigned")
    known_as = id_of(house, payment_id)
    execute(house, "UPDATE transactions SET due_at = now() + interval '1 minute',"
                   " leased_until = now() + interval '1 minute' WHERE payment_id = :id",
            id=payment_id)  # fmt: skip
    for number in range(3):
        call(client, known_as, f"S{number}")
    assert is_due(house, payment_id)
    asked = lookups(sandbox, known_as)
    look_up(house, payment_id)  # the one that is under way has its time
    assert lookups(sandbox, known_as) == asked
    execute(house, "UPDATE transactions SET leased_until = NULL WHERE payment_id = :id",
            id=payment_id)  # fmt: skip
    look_up(house, payment_id)
    assert lookups(sandbox, known_as) == asked + 1
    call(client, known_as, "S1")  # a repeat so soon
    assert not is_due(house, payment_id)
    execute(house, "UPDATE webhooks SET processed_at = processed_at - interval '1 minute'"
                   " WHERE payment_id = :id", id=payment_id)  # fmt: skip
    call(client, known_as, "S1")
    assert is_due(house, payment_id)


def lookups(sandbox: Sandbox, provider_id: str) -> int:
    charges = {one["id"]: one["reference"] for one in get(sandbox, "/psp/charges")["charges"]}
    came = get(sandbox, "/psp/requests")["requests"]
    return sum(
        one["reference"] == charges[provider_id] and one["operation"] == "lookup" for one in came
    )


# -- look up instead of believing


def test_a_signed_one_without_a_result_has_it_looked_up(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment_id, reference = waiting(client)
    event = an_event(reference, None)
    tell(client, event)
    assert kept(house, event["key"])["status"] == "APPLIED"
    assert status_of(client, payment_id) == "PROCESSING"
    assert is_due(house, payment_id)


@pytest.mark.parametrize("order", [("APPROVED", "DECLINED"), ("DECLINED", "APPROVED")])
def test_what_would_overturn_a_refund_is_looked_up(
    house: Flask, client: FlaskClient, order: tuple[str, str]
) -> None:
    payment_id, reference = refund_waiting(client)
    first, second = (an_event(reference, outcome, type="refund") for outcome in order)
    tell(client, first)
    ended = status_of(client, payment_id)
    assert ended == {"APPROVED": "REFUNDED", "DECLINED": "SUCCESS"}[order[0]]
    before = money_of(house, payment_id)
    tell(client, second)
    assert money_of(house, payment_id) == before
    assert is_due(house, payment_id)


# -- how it is taken in


def test_an_error_of_ours_is_tried_again_then_parked_and_replayed(
    house: Flask, client: FlaskClient
) -> None:
    event = an_event("PAY-1-1")
    tell(client, event)
    whole = kept(house, event["key"])["body"]
    other_body = "UPDATE webhooks SET body = :body WHERE event_key = :key"
    execute(house, other_body, body=bytes(whole)[:-1], key=event["key"])
    for attempts in range(2, 11):
        try_again(house, event["key"])
        found = kept(house, event["key"])
        assert (found["status"], found["error"]) == ("FAILED", "NotGenuine")
        assert found["attempts"] == attempts
    assert found["due_at"] is None
    assert "(parked): NotGenuine" in ran(house, "list", "--status", "FAILED")
    with house.app_context():
        assert webhooks.reap()["reaped"] == 0
    execute(house, other_body, body=bytes(whole), key=event["key"])
    told = client.post(f"/v1/webhooks/{found['webhook_id']}/replay")
    assert (told.status_code, told.json["status"]) == (200, "ORPHANED")
    assert ran(house, "replay", str(found["webhook_id"])).count("ORPHANED") == 1
    query = "SELECT count(*) AS n FROM audit_log WHERE act = 'webhook_replayed' AND object = :it"
    assert row(house, query, it=f"webhook:{found['webhook_id']}")["n"] == 2


def ran(app: Flask, *arguments: str) -> str:
    done = app.test_cli_runner().invoke(args=["webhooks", *arguments])
    assert done.exit_code == 0, done.output
    return str(done.output)


def test_fifty_at_once_are_one(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client)
    event = an_event(reference)
    body = signed_body(event)
    answers = at_once([lambda: send(house.test_client(), body) for _ in range(50)])
    assert {answer.status_code for answer in answers} == {202}
    found = kept(house, event["key"])
    assert (found["deliveries"], found["status"]) == (50, "APPLIED")
    assert events_of(client, payment_id).count("payment.succeeded") == 1


def test_what_came_is_kept_encrypted(house: Flask, client: FlaskClient) -> None:
    _, reference = waiting(client)
    event = an_event(reference, name="Ann Other", iban="IQ98NBIQ850123456789012")
    tell(client, event)
    found = kept(house, event["key"])
    assert b"Ann Other" not in bytes(found["body"])
    shown = client.get(f"/v1/webhooks/{found['webhook_id']}").json
    [said] = shown["body"]["events"]
    assert (said["reference"], said["amount"], said["currency"]) == (reference, 10000, "INR")
    assert (said["name"], said["iban"]) == ("[masked]", "[masked]")


def test_they_are_listed_and_filtered(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client)
    for outcome in ("APPROVED", "DECLINED"):
        tell(client, an_event(reference, outcome))
    found = client.get(f"/v1/webhooks?payment_id={payment_id}").json
    assert [one["status"] for one in found["webhooks"]] == ["NO_NEWS", "APPLIED"]
    assert found["count"] == 2
    first = client.get(f"/v1/webhooks?payment_id={payment_id}&limit=1").json
    rest = client.get(
        f"/v1/webhooks?payment_id={payment_id}&limit=1&cursor={first['next_cursor']}"
    ).json
    assert [first["webhooks"][0], rest["webhooks"][0]] == found["webhooks"]
    narrow = f"/v1/webhooks?payment_id={payment_id}&provider=signed&status=applied&total=true"
    assert client.get(narrow).json["total"] == 1
    assert client.get("/v1/webhooks/999999999").json["code"] == "webhook_not_found"
    assert client.post("/v1/webhooks/999999999/replay").json["code"] == "webhook_not_found"
    assert client.get("/v1/webhooks?provider=signed&status=nonsense").status_code == 422


def test_what_was_done_with_long_ago_is_deleted(house: Flask, client: FlaskClient) -> None:
    _, reference = waiting(client)
    old, orphan, new = an_event(reference), an_event("PAY-1-1"), an_event(reference)
    for event in (old, orphan, new):
        tell(client, event)
    for event in (old, orphan):
        execute(house, "UPDATE webhooks SET received_at = received_at - interval '91 days'"
                       " WHERE event_key = :key", key=event["key"])  # fmt: skip
    with house.app_context():
        webhooks.reap()
    query = "SELECT event_key FROM webhooks WHERE event_key = ANY(:keys)"
    keys = [event["key"] for event in (old, orphan, new)]
    assert {one["event_key"] for one in rows(house, query, keys=keys)} == set(keys[1:])


def test_no_number_of_refused_ones_makes_a_table_grow(make_app: MakeApp, sandbox: Sandbox) -> None:
    changes = {"webhook_refusals_keep": 10, "rate_limit_webhook_refusals": "25 per day"}
    app = an_app(make_app, sandbox, redis_url=None, **changes)
    client = app.test_client()
    told = [client.post("/v1/webhooks/signed", data=b"x").status_code for _ in range(40)]
    assert told.count(400) == 25
    assert told.count(429) == 15
    with app.app_context():
        webhooks.reap()
    assert row(app, "SELECT count(*) AS n FROM webhook_refusals")["n"] == 10
    # Whoever sends nonsense from the address of a provider does not keep it from being heard.
    _, reference = waiting(client)
    assert tell(client, an_event(reference)).status_code == 202


def test_what_is_signed_is_not_counted_against_its_address(
    make_app: MakeApp, sandbox: Sandbox, database_of_module: str
) -> None:
    """A provider has much to tell at once; what is not signed, anybody can have sent."""
    changes = {"redis_url": None, "rate_limit": "3 per day"}
    app = an_app(make_app, sandbox, database_url=database_of_module, **changes)
    client = app.test_client()
    assert {tell(client, an_event("PAY-1-1")).status_code for _ in range(8)} == {202}
    assert [call(client, "made-up").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert tell(client, an_event("PAY-1-1")).status_code == 202


def test_they_are_counted_by_a_closed_list_of_types(house: Flask, client: FlaskClient) -> None:
    payment_id, reference = waiting(client)
    before = counted(client)
    tell(client, an_event(reference))
    tell(client, an_event(reference, "DECLINED", type="a type of its own"))
    tell(client, an_event(reference, amount=1))
    send(client, b"x", "0")
    after = counted(client)
    new = {name: value - before.get(name, 0) for name, value in after.items()}
    assert {name for name, value in new.items() if value == 1} == {
        ("webhooks_received_total", "signed", "payment", "APPLIED"),
        ("webhooks_received_total", "signed", "other", "NO_NEWS"),
        ("webhooks_received_total", "signed", "payment", "MISMATCH"),
        ("webhooks_received_total", "signed", "other", "REFUSED"),
        ("payment_webhook_signature_failures_total", "signed", "bad_signature"),
        ("payment_service_webhooks_received_total", "signed", "other"),
    }
    assert new["payment_service_webhooks_received_total", "signed", "payment"] == 2
    assert new["payment_service_webhook_processing_duration_seconds_count", "signed"] == 3
    assert new["webhook_processing_duration_seconds_count",] == 3
    assert {("webhook_retry_queue_size",), ("webhooks_parked",)} <= after.keys()
    assert payment_id


def counted(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Each sample about webhooks: its name and the values of its labels, in their order."""
    order = ("provider", "source", "event_type", "status", "reason")
    return {
        (sample.name, *(sample.labels[name] for name in order if name in sample.labels)): value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if "webhook" in sample.name and not sample.name.endswith(("_bucket", "_created"))
        for value in [sample.value]
    }
