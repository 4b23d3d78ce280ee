"""Explained, over the sandbox's faults: a payment that is stuck tells the right cause, the right
next step and when that is due, from what stands in the database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.domain.explanations import Explanation
from payment_service.sandbox.faults import LIES
from payment_service.services import explanations
from payment_service.services.explanations import Explained
from tests.books import execute, payment_row, post, row
from tests.clocks import an_hour_later, due, impatient, is_open, look_up
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_calls import post as tell
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"
VERBS = ("charge", "authorize", "capture", "void", "refund")
TYPES = {"authorize": "AUTHORIZATION"} | {verb: verb.upper() for verb in VERBS if verb[0] != "a"}
NOUNS = {"authorize": "hold", "void": "release"}
HANGS = ("accept_no_answer", "do_and_hang")
DONE = ("do_and_lose_answer", "do_and_hang", "do_and_500", "do_and_502", "do_and_503")
UNREADABLE = ("half_body", "half_body_not_done", "garbage_200")
NOT_DONE = ("reset_before_reading", "accept_no_answer", "fail_500", "fail_502", "fail_503")
SILENT = (*DONE, *UNREADABLE, *NOT_DONE)
PATHS = {"capture": "capture", "void": "cancel", "refund": "refund"}


@pytest.fixture(scope="module")
def app(clockless_app: Flask) -> Flask:
    return clockless_app


@pytest.fixture(autouse=True)
def no_faults_left(sandbox: Sandbox) -> Iterator[None]:
    yield
    disarm(sandbox)


class Stuck:
    """A payment that meets a fault in one verb, armed by its own token, and how it is explained."""

    def __init__(self, client: FlaskClient, sandbox: Sandbox, verb: str) -> None:
        self.client, self.app, self.sandbox = client, client.application, sandbox
        self.verb, self.token, self.payment_id = verb, f"card-{a_key()}", 0
        if verb in PATHS:
            self._charge(capture=verb == "refund")

    def arm(self, fault: str, operation: str | None = None, **fields: Any) -> None:
        match = {"token": self.token}
        arm(self.sandbox, operation or self.verb, fault, match=match, **fields)

    def meets(self, fault: str, **fields: Any) -> None:
        self.arm(fault, **fields)
        with impatient(self.app) if fault in HANGS else nullcontext():
            self.send()

    def send(self) -> None:
        if self.verb in PATHS:
            post(self.client, f"/v1/payments/{self.payment_id}/{PATHS[self.verb]}")
        else:
            self._charge(capture=self.verb == "charge")

    def _charge(self, *, capture: bool) -> None:
        order = an_order(payment_token=self.token, capture=capture)
        answer = post(self.client, CHARGE, **order).json
        found = answer.get("payment_id")
        self.payment_id = (
            found
            or row(
                self.app,
                "SELECT payment_id FROM payments WHERE order_id = :id",
                id=order["order_id"],
            )["payment_id"]
        )

    def request(self) -> dict[str, Any]:
        """The newest request of the payment."""
        query = "SELECT * FROM transactions WHERE payment_id = :id ORDER BY number DESC LIMIT 1"
        return row(self.app, query, id=self.payment_id)

    def explained(self, now: datetime | None = None) -> Explained:
        with self.app.app_context():
            return explanations.explain(payment_id=self.payment_id, now=now)

    def told(self, now: datetime | None = None) -> Explanation:
        return self.explained(now).payment

    def gives_up(self) -> None:
        """Two look-ups, each when nothing can be on its way any more."""
        for _ in range(2):
            an_hour_later(self.app, self.payment_id)
            look_up(self.app, self.payment_id)
        assert not is_open(self.app, self.payment_id)


@pytest.fixture
def stuck(client: FlaskClient, sandbox: Sandbox) -> Callable[[str], Stuck]:
    return lambda verb: Stuck(client, sandbox, verb)


def clock(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%H:%M")


TOLD = {
    *SILENT,
    *("decline", "too_many_requests", "slow", "forget_idempotency", "arrive_late"),
    *("lookup_unavailable", "lookup_not_found", "lookup_slow"),
}
ELSEWHERE = {
    *("html_200", "empty_keys", "unknown_key"),  # of who asks us: no payment is begun
    # Without a webhook a look-up tells; those that are not true are in test_webhook_lies.
    *("never", "twice", "late", "before_the_answer", "after_the_next", *LIES),
}


def test_no_fault_of_the_sandbox_is_left_out(sandbox: Sandbox) -> None:
    assert set(get(sandbox, "/sandbox/faults")["available"]) == TOLD | ELSEWHERE


# Each silent fault, with each verb in turn: what the provider did is not known here, whichever it
# was, so each is told as it is.


@pytest.mark.parametrize(
    ("fault", "verb"),
    list(zip(SILENT, itertools.cycle(VERBS), strict=False)),
)
def test_silence_is_told_with_the_time_of_the_look_up(
    stuck: Callable[[str], Stuck], fault: str, verb: str
) -> None:
    it = stuck(verb)
    it.meets(fault)
    request = it.request()
    assert (request["type"], request["status"]) == (TYPES[verb], "PROCESSING")
    said = it.told(request["created_at"])
    at = clock(request["created_at"])
    assert f"at {at}" in said.happened
    assert "asked" in said.happened
    assert ("no certain answer" in said.happened) == (verb != "refund")
    assert ("has not ended yet" in said.happened) == (verb == "refund")
    noun = NOUNS.get(verb, verb)
    assert said.next.startswith("We ask sandbox at ")
    assert f"what became of the {noun}." in said.next
    assert clock(request["due_at"]) in said.next
    assert (said.next_at, said.late) == (request["due_at"], False)
    assert said.do.startswith("Do n")
    if verb == "refund":
        (refund,) = it.explained(request["created_at"]).refunds.values()
        assert f"We asked sandbox at {at}" in refund.happened
        assert refund.next_at == request["due_at"]


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_done_in_silence_is_told_as_done_once_it_is_found(
    stuck: Callable[[str], Stuck], verb: str
) -> None:
    it = stuck(verb)
    it.meets("do_and_lose_answer")
    look_up(it.app, it.payment_id)
    said = it.told()
    done = {
        "charge": "Sandbox took 100.00 INR",
        "authorize": "Sandbox holds 100.00 INR",
        "capture": "Sandbox took 100.00 INR of the hold",
        "void": "Sandbox released the hold of 100.00 INR",
        "refund": "All of it, 100.00 INR, went back to the payer",
    }
    assert said.happened.startswith(done[verb])
    if verb == "authorize":
        assert said.next_at == payment_row(it.app, it.payment_id)["expires_at"]
    else:
        assert said.next == "Nothing more happens by itself: this is final."


@pytest.mark.parametrize("verb", VERBS)
def test_what_never_arrived_is_told_and_looked_for_once_more(
    stuck: Callable[[str], Stuck], verb: str
) -> None:
    it = stuck(verb)
    it.meets("fail_503")
    an_hour_later(it.app, it.payment_id)
    look_up(it.app, it.payment_id)
    said, request = it.told(), it.request()
    assert f"At {clock(request['not_found_at'])}" in said.happened
    assert "it said that it has no such request" in said.happened
    assert said.next_at == request["due_at"]
    it.gives_up()
    said, request = it.told(), it.request()
    assert "The request surely never arrived" in said.happened
    assert "It is safe to try again." in said.do
    assert f"To be sure, we ask sandbox once more about the {NOUNS.get(verb, verb)}" in said.next
    assert said.next_at == request["due_at"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_decline_is_told_with_its_reason(stuck: Callable[[str], Stuck], verb: str) -> None:
    it = stuck(verb)
    it.meets("decline", code="limit_exceeded")
    said = it.told()
    assert "It was more, or more often, than the account or card allows." in said.happened
    assert "try" in said.do.lower()
    at = None
    if verb in ("capture", "void"):
        at = payment_row(it.app, it.payment_id)["expires_at"]
    assert said.next_at == at


@pytest.mark.parametrize("verb", VERBS)
def test_too_many_requests_are_told_as_never_sent(stuck: Callable[[str], Stuck], verb: str) -> None:
    it = stuck(verb)
    it.meets("too_many_requests")
    said = it.told()
    assert "The request was surely never sent" in said.happened
    assert "It is safe to try again." in said.do


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_slow_in_time_is_told_as_done(stuck: Callable[[str], Stuck], verb: str) -> None:
    it = stuck(verb)
    it.meets("slow", ms=50)
    assert "no certain answer" not in it.told().happened


@pytest.mark.parametrize("fault", ["lookup_unavailable", "lookup_not_found", "lookup_slow"])
def test_look_ups_in_vain_are_counted_and_the_next_is_told(
    stuck: Callable[[str], Stuck], fault: str
) -> None:
    it = stuck("charge")
    slow = {"ms": 50} if fault == "lookup_slow" else {}
    it.arm(fault, "lookup", times=0, **slow)
    it.meets("do_and_lose_answer")
    look_up(it.app, it.payment_id)
    said, request = it.told(), it.request()
    if fault == "lookup_slow":
        assert said.happened.startswith("Sandbox took 100.00 INR")
        return
    assert "We have asked once since what became of it." in said.happened
    assert "Do not charge again" in said.do
    assert said.next_at == request["due_at"] > datetime.now(UTC)


def test_what_arrives_late_is_told_as_a_contradiction(stuck: Callable[[str], Stuck]) -> None:
    it = stuck("charge")
    it.meets("arrive_late", ms=24 * 3600 * 1000)
    assert "no certain answer" in it.told().happened
    it.gives_up()
    assert "surely never arrived" in it.told().happened
    late = it.request()["reference"]
    asked = get(it.sandbox, "/psp/requests")["requests"]
    eventually(lambda: any(one["reference"] == late for one in asked))
    assert tell(it.sandbox, f"/sandbox/late/{late}").json() == {"done": 1}
    look_up(it.app, it.payment_id)
    said = it.told()
    assert said.happened.startswith("Sandbox took 100.00 INR")
    assert "Callers had been told otherwise before" in said.happened
    assert "Tell whoever acted on the first answer." in said.do


def test_a_provider_that_forgets_idempotency_is_told_as_any_silence(
    stuck: Callable[[str], Stuck],
) -> None:
    it = stuck("charge")
    it.arm("do_and_lose_answer")
    it.arm("forget_idempotency", times=None)
    it.send()
    assert "Do not charge again" in it.told().do


# What waits for somebody


@pytest.mark.parametrize("capture", [True, False])
def test_a_payer_on_the_page_is_told_with_the_end_of_the_wait(
    app: Flask, stuck: Callable[[str], Stuck], capture: bool
) -> None:
    it = stuck("charge" if capture else "authorize")
    it.token = "tok_requires_action"
    it.send()
    payment, request = payment_row(app, it.payment_id), it.request()
    assert payment["status"] == "REQUIRES_ACTION"
    now = request["created_at"]
    said = it.told(now)
    assert "The payer was sent to sandbox" in said.happened
    assert clock(payment["expires_at"]) in said.next
    assert said.next_at == min(payment["expires_at"], request["due_at"])


def test_a_provider_at_work_is_told_as_such(stuck: Callable[[str], Stuck]) -> None:
    it = stuck("charge")
    it.token = "tok_pending"
    it.send()
    request = it.request()
    said = it.told()
    assert f"It has the request, as {request['provider_reference']}" in said.happened
    assert said.next_at == request["due_at"]


def test_a_bank_at_work_on_a_refund_is_told(stuck: Callable[[str], Stuck]) -> None:
    it = stuck("charge")
    it.token = "tok_refund_pending"
    it.send()
    it.verb = "refund"
    it.send()
    explained, request = it.explained(), it.request()
    assert "A refund of 100.00 INR was asked of sandbox" in explained.payment.happened
    (refund,) = explained.refunds.values()
    assert "is at work on it" in refund.happened
    assert refund.next_at == explained.payment.next_at == request["due_at"]


def test_cash_waits_for_a_person_to_take_and_to_hand_back(
    app: Flask, client: FlaskClient, stuck: Callable[[str], Stuck]
) -> None:
    it = stuck("charge")
    created = post(client, "/v1/payments", **an_order(method="CASH", driver_id=201)).json
    it.payment_id = created["payment_id"]
    assert "to be paid in cash" in it.told().happened
    url = f"/v1/payments/{it.payment_id}/status"
    taken = client.patch(url, json={"status": "SUCCESS", "reason": "taken"})
    assert taken.status_code == 200, taken.json
    assert "100.00 INR were received in cash" in it.told().happened
    it.verb = "refund"
    it.send()
    said = it.explained()
    (refund,) = said.refunds.values()
    for one in (said.payment, refund):
        assert "handed back by a person" in one.happened
        assert one.next == "Nothing happens by itself: it waits for a person's word."
        assert one.next_at is None
    assert client.get(f"/v1/payments/{it.payment_id}/events").json["next"] is None


def test_the_time_of_a_hold_is_not_told_while_its_capture_is_under_way(
    stuck: Callable[[str], Stuck],
) -> None:
    it = stuck("capture")
    it.meets("do_and_lose_answer")
    execute(
        it.app,
        "UPDATE payments SET expires_at = now() - interval '1 hour' WHERE payment_id = :id",
        id=it.payment_id,
    )
    request, said = it.request(), it.told()
    assert (said.next_at, said.late) == (request["due_at"], False)
    coming = it.client.get(f"/v1/payments/{it.payment_id}/events").json["next"]
    assert coming["what"] == f"look up {request['reference']} at sandbox"


def test_a_worker_that_does_not_run_is_told(stuck: Callable[[str], Stuck]) -> None:
    it = stuck("charge")
    it.meets("do_and_lose_answer")
    due(it.app, it.payment_id)
    said = it.told()
    assert (said.late, "see whether the worker runs" in said.do) == (True, True)


def test_a_webhook_that_waits_for_a_person_is_told(
    app: Flask, stuck: Callable[[str], Stuck]
) -> None:
    it = stuck("charge")
    it.send()
    execute(
        app,
        "INSERT INTO webhooks (provider, event_key, event_type, trust, body, headers, received_at,"
        " last_received_at, status, payment_id, number) VALUES ('sandbox', :key, 'charge',"
        " 'SIGNED', '', '{}', now(), now(), 'FAILED', :id, 1)",
        key=a_key(),
        id=it.payment_id,
    )
    said = it.told()
    execute(app, "DELETE FROM webhooks WHERE payment_id = :id", id=it.payment_id)
    assert "replay it" in said.do
    assert "replay it" not in it.told().do


def test_an_open_circuit_is_told_with_its_end(make_app: MakeApp, sandbox: Sandbox) -> None:
    app = make_app(**CLOCKLESS | {"circuit_fail_max": 1, "circuit_reset_seconds": 3600.0})
    it = Stuck(app.test_client(), sandbox, "charge")
    it.meets("fail_503")
    until = app.extensions["providers"].get("sandbox").circuit.open_until()
    said = it.told()
    assert f"New requests to sandbox are held back until {clock(until)}" in said.next
    it.send()
    refused = it.told()
    assert "The request was surely never sent" in refused.happened
    assert "held back until" in refused.next


def test_a_provider_that_was_switched_off_is_told(
    app: Flask, make_app: MakeApp, stuck: Callable[[str], Stuck]
) -> None:
    it = stuck("charge")
    it.meets("do_and_lose_answer")
    it.app = make_app(**CLOCKLESS | {"sandbox_provider_url": None})
    said = it.told()
    assert "Sandbox is switched off here" in said.next
    assert "Do not charge again" in said.do
