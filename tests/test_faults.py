"""The table of faults: whatever the provider does to a request, the truth is told, once.

Each cell is one fault on one verb, over real HTTP: what the caller hears first, what stands here
and at the provider once it is settled, and what a retry hears. Where the fault is that no answer
ever comes, a real time-out ends the waiting; all other time passes in the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.clocks import an_hour_later, impatient, is_open, look_up
from tests.fixtures import a_key, an_order
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_calls import post as tell
from tests.sandbox_server import Sandbox

VERBS = ("charge", "authorize", "capture", "void", "refund")
DONE = {"charge": 201, "authorize": 201, "capture": 200, "void": 200, "refund": 200}
AFTER = {
    "charge": "SUCCESS",
    "authorize": "AUTHORIZED",
    "capture": "SUCCESS",
    "void": "CANCELLED",
    "refund": "REFUNDED",
}
UNDONE = {
    "charge": "FAILED",
    "authorize": "FAILED",
    "capture": "AUTHORIZED",
    "void": "AUTHORIZED",
    "refund": "SUCCESS",
}
HANGS = ("accept_no_answer", "do_and_hang")

# fault -> (what the first request hears, whether the provider did it)
DONE_SILENTLY = ("do_and_lose_answer", "do_and_hang", "do_and_500", "do_and_502", "do_and_503")
NOT_DONE = ("reset_before_reading", "accept_no_answer", "fail_500", "fail_503")
GARBLED = ("half_body", "garbage_200")


@pytest.fixture(scope="module")
def app(clockless_app: Flask) -> Flask:
    return clockless_app


@pytest.fixture(autouse=True)
def no_faults_left(sandbox: Sandbox) -> Iterator[None]:
    yield
    disarm(sandbox)


class Cell:
    """One verb on a payment of its own, which a fault is armed for by its token."""

    def __init__(self, client: FlaskClient, sandbox: Sandbox, verb: str) -> None:
        self.client, self.app = client, client.application
        self.sandbox, self.verb = sandbox, verb
        self.token, self.key = f"card-{a_key()}", a_key()
        self.order = an_order(payment_token=self.token, capture=verb not in ("authorize",))
        self.payment_id: int | None = None
        if verb in ("capture", "void", "refund"):
            held = verb != "refund"
            self.order["capture"] = not held
            made = self._post("/v1/payments/charge", self.order, a_key())
            assert made.status_code == 201, made.json
            self.payment_id = made.json["payment_id"]

    def arm(self, fault: str, operation: str | None = None, **fields: Any) -> str:
        return arm(
            self.sandbox, operation or self.verb, fault, match={"token": self.token}, **fields
        )

    def meets(self, fault: str, **fields: Any) -> Any:
        """The answer to the request that meets this fault."""
        self.arm(fault, **fields)
        with impatient(self.app) if fault in HANGS else nullcontext():
            return self.send()

    def send(self) -> Any:
        """The request, and with the same key its retry."""
        if self.payment_id is None or self.verb in ("charge", "authorize"):
            answer = self._post("/v1/payments/charge", self.order, self.key)
            self.payment_id = answer.json.get("payment_id", self.payment_id)
            return answer
        path = {"capture": "capture", "void": "cancel", "refund": "refund"}[self.verb]
        return self._post(f"/v1/payments/{self.payment_id}/{path}", {}, self.key)

    def standing(self) -> Any:
        return self.client.get(f"/v1/payments/{self.payment_id}").json

    def settle(self) -> Any:
        """The worker looks up until nothing of the payment is open; the payment then."""
        assert self.payment_id is not None

        def settled() -> bool:
            look_up(self.app, self.payment_id or 0)
            return not is_open(self.app, self.payment_id or 0)

        eventually(settled)
        return self.standing()

    def give_up(self) -> Any:
        """Two look-ups, each when nothing can be on its way any more; the payment then."""
        assert self.payment_id is not None
        for _ in range(2):
            assert is_open(self.app, self.payment_id)
            an_hour_later(self.app, self.payment_id)
            look_up(self.app, self.payment_id)
        assert not is_open(self.app, self.payment_id)
        return self.standing()

    def asked(self) -> list[dict[str, Any]]:
        """What arrived at the provider under this verb's reference, look-ups aside."""
        sent = get(self.sandbox, "/psp/requests")["requests"]
        ours = {t["reference"] for t in self.standing()["transactions"]}
        return [r for r in sent if r["reference"] in ours and r["operation"] == self.verb]

    def done_at_provider(self) -> int:
        """How many operations of this verb the provider took for this payment."""
        name = {"charge": "charges", "authorize": "charges"}.get(self.verb, f"{self.verb}s")
        taken = get(self.sandbox, f"/psp/{name}")[name]
        ours = {t["reference"] for t in self.standing()["transactions"]}
        return len([t for t in taken if t["reference"] in ours and t["state"] != "declined"])

    def _post(self, path: str, body: dict[str, Any], key: str) -> Any:
        return self.client.post(path, json=body, headers={"Idempotency-Key": key})


@pytest.fixture
def cell(client: FlaskClient, sandbox: Sandbox) -> Callable[[str], Cell]:
    return lambda verb: Cell(client, sandbox, verb)


def _status_told(cell: Cell, answer: Any) -> str:
    return str(answer.json["status"])


@pytest.mark.parametrize("fault", [*DONE_SILENTLY, *GARBLED])
@pytest.mark.parametrize("verb", VERBS)
def test_what_was_done_in_silence_is_found(
    cell: Callable[[str], Cell], verb: str, fault: str
) -> None:
    it = cell(verb)
    first = it.meets(fault)
    assert first.status_code == 202, first.json
    payment = it.settle()
    assert payment["status"] == AFTER[verb]
    again = it.send()
    assert (again.status_code, _status_told(it, again)) == (DONE[verb], AFTER[verb])
    assert it.send().data == again.data
    assert (len(it.asked()), it.done_at_provider()) == (1, 1)


@pytest.mark.parametrize("fault", NOT_DONE)
@pytest.mark.parametrize("verb", VERBS)
def test_what_was_never_done_is_given_up_only_for_sure(
    cell: Callable[[str], Cell], verb: str, fault: str
) -> None:
    it = cell(verb)
    assert it.meets(fault).status_code == 202
    # A retry right away looks up, finds nothing, and still does not give up.
    assert it.send().status_code == 202
    eventually(it.asked)
    payment = it.give_up()
    assert payment["status"] == UNDONE[verb]
    assert payment["transactions"][-1]["failure_code"] == "not_received"
    again = it.send()
    assert again.status_code == 402, again.json
    assert it.send().data == again.data
    assert (len(it.asked()), it.done_at_provider()) == (1, 0)


@pytest.mark.parametrize("verb", VERBS)
def test_a_retry_before_the_worker_looks_up_at_once(cell: Callable[[str], Cell], verb: str) -> None:
    it = cell(verb)
    assert it.meets("do_and_lose_answer").status_code == 202
    again = it.send()
    assert (again.status_code, _status_told(it, again)) == (DONE[verb], AFTER[verb])
    assert (len(it.asked()), it.done_at_provider()) == (1, 1)


@pytest.mark.parametrize("verb", VERBS)
def test_a_decline_is_an_answer(cell: Callable[[str], Cell], verb: str) -> None:
    it = cell(verb)
    first = it.meets("decline", code="do_not_honor")
    assert first.status_code == 402, first.json
    assert it.settle()["status"] == UNDONE[verb]
    assert it.send().data == first.data
    assert (len(it.asked()), it.done_at_provider()) == (1, 0)


@pytest.mark.parametrize("verb", VERBS)
def test_too_many_requests_frees_the_key(cell: Callable[[str], Cell], verb: str) -> None:
    it = cell(verb)
    first = it.meets("too_many_requests")
    assert (first.status_code, first.json["code"]) == (503, "provider_unavailable")
    assert first.headers["Retry-After"] == "1"
    failed = it.payment_id
    assert it.standing()["status"] == UNDONE[verb]
    again = it.send()
    assert again.status_code == DONE[verb], again.json
    assert it.standing()["status"] == AFTER[verb]
    assert (it.payment_id != failed) == (verb in ("charge", "authorize"))
    assert it.done_at_provider() == 1


@pytest.mark.parametrize("verb", VERBS)
def test_slow_but_in_time_is_just_slow(cell: Callable[[str], Cell], verb: str) -> None:
    it = cell(verb)
    assert it.meets("slow", ms=200).status_code == DONE[verb]
    assert it.standing()["status"] == AFTER[verb]


@pytest.mark.parametrize("fault", ["lookup_unavailable", "lookup_not_found"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_failing_look_up_decides_nothing(
    app: Flask, cell: Callable[[str], Cell], verb: str, fault: str
) -> None:
    it = cell(verb)
    it.arm(fault, "lookup", times=2)
    assert it.meets("do_and_lose_answer").status_code == 202
    assert it.send().status_code == 202
    assert it.payment_id is not None
    look_up(app, it.payment_id)
    assert is_open(app, it.payment_id)
    assert it.settle()["status"] == AFTER[verb]
    assert (it.send().status_code, len(it.asked())) == (DONE[verb], 1)


@pytest.mark.parametrize("verb", VERBS)
def test_we_do_not_rely_on_the_providers_idempotency(
    cell: Callable[[str], Cell], verb: str
) -> None:
    it = cell(verb)
    it.arm("do_and_lose_answer")
    it.arm("forget_idempotency", times=None)
    assert it.send().status_code == 202
    for _ in range(3):
        it.send()
    it.settle()
    assert it.done_at_provider() == 1


@pytest.mark.parametrize("verb", VERBS)
def test_late_evidence_wins_over_not_received(cell: Callable[[str], Cell], verb: str) -> None:
    it = cell(verb)
    assert it.meets("arrive_late", ms=24 * 3600 * 1000).status_code == 202
    payment = it.give_up()
    assert payment["status"] == UNDONE[verb]
    told = it.send()
    assert told.status_code == 402
    (late,) = it.asked()
    assert tell(it.sandbox, f"/sandbox/late/{late['reference']}").json() == {"done": 1}
    look_up(it.app, payment["payment_id"])
    assert (it.standing()["status"], it.done_at_provider()) == (AFTER[verb], 1)
    assert it.send().data == told.data  # what a caller was told under a key stays
    assert len(it.asked()) == 1
