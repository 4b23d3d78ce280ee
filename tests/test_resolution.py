"""Look-ups: when a no is believed, how often it is asked, and by how many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from payment_service.domain.callers import WORKER
from payment_service.domain.states import Verdict
from payment_service.extensions import db
from payment_service.providers.contract import Outcome, Result
from payment_service.providers.registry import BUILDERS
from payment_service.services import worker
from payment_service.services.moves import evidence, hastening, resolution
from tests.books import execute
from tests.clocks import an_hour_later, due
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_calls import arm, get
from tests.sandbox_server import Sandbox

FIRST_PAUSE = CLOCKLESS["resolution_first_lookup_seconds"]


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """In whose database nothing grows old that other tests have left open."""
    return make_app(**CLOCKLESS, database_url=database_of_module)


def _lost(client: FlaskClient, sandbox: Sandbox, fault: str = "do_and_lose_answer") -> Any:
    """A charge whose outcome is unknown."""
    token = f"card-{a_key()}"
    arm(sandbox, "charge", fault, match={"token": token})
    headers = {"Idempotency-Key": a_key()}
    answer = client.post("/v1/payments/charge", json=an_order(payment_token=token), headers=headers)
    assert answer.status_code == 202
    return answer.json


def _resolve(app: Flask, payment: dict[str, Any]) -> None:
    with app.app_context():
        resolution.resolve(payment_id=payment["payment_id"], number=1)


def _status(client: FlaskClient, payment: dict[str, Any]) -> str:
    return str(client.get(f"/v1/payments/{payment['payment_id']}").json["status"])


def _due(app: Flask, payment: dict[str, Any], *, column: str = "due_at") -> Any:
    with app.app_context(), db.engine.connect() as connection:
        query = f"SELECT {column} FROM transactions WHERE payment_id = :id"
        return connection.execute(text(query), {"id": payment["payment_id"]}).scalar_one()


def _look_ups(sandbox: Sandbox, payment: dict[str, Any]) -> int:
    reference = payment["transactions"][0]["reference"]
    sent = get(sandbox, "/psp/requests")["requests"]
    return len([r for r in sent if r["reference"] == reference and r["operation"] == "lookup"])


def _hide(sandbox: Sandbox, payment: dict[str, Any], times: int) -> None:
    """Look-ups say not found, that many times."""
    reference = payment["transactions"][0]["reference"]
    arm(sandbox, "lookup", "lookup_not_found", times=times, match={"reference": reference})


def test_one_not_found_is_not_believed_however_late(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = _lost(client, sandbox)
    an_hour_later(app, payment["payment_id"])  # send_before, time-out and settling time are over
    _hide(sandbox, payment, times=1)
    _resolve(app, payment)
    assert _status(client, payment) == "PROCESSING"
    _resolve(app, payment)
    assert _status(client, payment) == "SUCCESS"


def test_two_not_founds_in_one_breath_are_one(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = _lost(client, sandbox)
    an_hour_later(app, payment["payment_id"])
    _hide(sandbox, payment, times=2)
    _resolve(app, payment)
    _resolve(app, payment)
    assert _status(client, payment) == "PROCESSING"
    _resolve(app, payment)
    assert _status(client, payment) == "SUCCESS"


def test_not_founds_before_the_settling_time_count_for_nothing(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = _lost(client, sandbox, "reset_before_reading")
    _resolve(app, payment)
    assert _due(app, payment, column="not_found_at") is None
    assert _status(client, payment) == "PROCESSING"


def test_what_is_due_is_looked_up_by_one_worker(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    lost = [_lost(client, sandbox) for _ in range(5)]
    for payment in lost:
        due(app, payment["payment_id"])

    def work(_: int) -> None:
        with app.app_context():
            resolution.run_once()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert {_status(client, payment) for payment in lost} == {"SUCCESS"}
    assert [_look_ups(sandbox, payment) for payment in lost] == [1] * 5


def test_a_silent_provider_delays_no_other(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """Its beat is its own; and one with more due than it asks at once goes on without a pause."""
    beats = {beat.name: beat for beat in worker.BEATS if beat.name.startswith("resolution-")}
    assert beats.keys() == {f"resolution-{name}" for name in BUILDERS}
    lost = [_lost(client, sandbox) for _ in range(resolution.BATCH + 1)]
    for payment in lost:
        due(app, payment["payment_id"])
    worker.step(app, beats["resolution-cash"])
    assert {_status(client, payment) for payment in lost} == {"PROCESSING"}
    assert worker.step(app, beats["resolution-sandbox"])["more"]
    while worker.step(app, beats["resolution-sandbox"])["more"]:
        pass
    assert {_status(client, payment) for payment in lost} == {"SUCCESS"}


def test_look_ups_grow_seldom_and_never_stop(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = _lost(client, sandbox)
    reference = payment["transactions"][0]["reference"]
    match = {"reference": reference}
    armed = arm(sandbox, "lookup", "lookup_unavailable", times=0, match=match)
    for turn in range(6):
        before = datetime.now(UTC)
        _resolve(app, payment)
        again = _due(app, payment)
        assert again is not None
        wanted = timedelta(seconds=FIRST_PAUSE * 2**turn)
        assert before + wanted * 0.8 <= again <= datetime.now(UTC) + wanted * 1.2
    timeline = client.get(f"/v1/payments/{payment['payment_id']}/events").json
    assert timeline["next"]["what"] == f"look up {reference} at sandbox"
    requests.delete(f"{sandbox.url}/sandbox/faults/{armed}", timeout=PATIENCE)
    _resolve(app, payment)
    assert _status(client, payment) == "SUCCESS"


def test_the_unresolved_are_counted_and_shown(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = _lost(client, sandbox)
    before = _unresolved(client)
    _grows_old(app, payment, timedelta(hours=1))
    assert _unresolved(client) == before + 1
    timeline = client.get(f"/v1/payments/{payment['payment_id']}/events").json["events"]
    asked = next(moment for moment in timeline if moment["kind"] == "transaction")
    assert asked["details"]["unresolved_for_long"] is True
    _resolve(app, payment)
    assert _unresolved(client) == before


def _unresolved(client: FlaskClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(x for x in lines if x.startswith("payments_unresolved ")).split()[1])


def test_a_reference_that_was_given_up_is_watched_for_a_day(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = _lost(client, sandbox, "reset_before_reading")
    for status in ("PROCESSING", "FAILED"):
        an_hour_later(app, payment["payment_id"])
        _resolve(app, payment)
        assert _status(client, payment) == status
    assert _due(app, payment) is not None
    _resolve(app, payment)
    assert _due(app, payment) is not None
    _grows_old(app, payment, timedelta(hours=25))
    _resolve(app, payment)
    assert _due(app, payment) is None


def _grows_old(app: Flask, payment: dict[str, Any], age: timedelta) -> None:
    """Its request was sent, and had its outcome if it has one, that much earlier."""
    execute(
        app,
        "UPDATE transactions SET created_at = created_at - :age, occurred_at = occurred_at - :age"
        " WHERE payment_id = :id",
        age=age,
        id=payment["payment_id"],
    )


def test_a_caller_who_asks_often_puts_no_look_up_off(
    app: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    token, headers = f"card-{a_key()}", {"Idempotency-Key": a_key()}
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    body = an_order(payment_token=token)
    payment = client.post("/v1/payments/charge", json=body, headers=headers).json
    reference = payment["transactions"][0]["reference"]
    arm(sandbox, "lookup", "lookup_unavailable", times=14, match={"reference": reference})
    before = _due(app, payment)
    for _ in range(14):
        answer = client.post("/v1/payments/charge", json=body, headers=headers)
        assert answer.status_code == 202
    after = _due(app, payment)
    assert before is not None
    assert after is not None
    assert after <= before
    assert _due(app, payment, column="lookups") == 0


def test_news_and_the_end_of_a_wait_begin_the_pauses_anew(app: Flask, client: FlaskClient) -> None:
    """Else a payer's page, which has the payment looked up every two seconds, would put the look-up
    that finds a late payment off for a day."""
    order = an_order(payment_token="tok_requires_action")
    payment = client.post("/v1/payments/charge", json=order, headers={"Idempotency-Key": a_key()})
    of = {"id": payment.json["payment_id"]}
    often = "UPDATE transactions SET lookups = 30 WHERE payment_id = :id"
    execute(app, often, **of)
    with app.app_context(), db.engine.begin() as connection:
        hastening.hasten(connection, payment_id=of["id"], number=1)
    assert _due(app, payment.json, column="lookups") == 0
    execute(app, often, **of)
    with app.app_context():
        assert evidence.accept(
            payment_id=of["id"],
            number=1,
            verdict=Verdict.EXPIRED,
            result=Result(Outcome.EXPIRED),
            caller=WORKER,
        )
    assert _due(app, payment.json, column="lookups") == 0
    assert _due(app, payment.json) is not None
