"""The sandbox keeps its promises: seen from outside, over real HTTP, through its own books."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox_server import Sandbox, running_sandbox

TRIPS = """trip_id,rider_id,driver_id,pickup_zone,drop_zone,status,requested_at,distance_km,\
base_fare,surge_multiplier,total_fare
32,101,201,North,South,COMPLETED,2026-01-02 03:04:05,5.43,65.160,1.0,85.80
33,102,202,North,,COMPLETED,2026-01-02 03:04:05,5.43,65.16,1.10,
"""
GONE = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
VERBS = ("charge", "authorize", "capture", "void", "refund")
LISTS = {
    "charge": "charges",
    "authorize": "charges",
    "capture": "captures",
    "void": "voids",
    "refund": "refunds",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("sandbox")
    with running_sandbox(directory, **with_trips(directory)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    assert requests.delete(f"{server.url}/sandbox/state", timeout=5).status_code == 200
    return server


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """One that a test may kill."""
    with running_sandbox(tmp_path / "own", **with_trips(tmp_path)) as sandbox:
        yield sandbox


def with_trips(directory: Path) -> dict[str, str]:
    path = directory / "trips.csv"
    path.write_text(TRIPS)
    return {"SANDBOX_TRIPS": str(path)}


def post(sandbox: Sandbox, path: str, timeout: float = 5, **body: Any) -> requests.Response:
    return requests.post(sandbox.url + path, json=body, timeout=timeout)


def get(sandbox: Sandbox, path: str) -> Any:
    return requests.get(sandbox.url + path, timeout=5).json()


def charge(sandbox: Sandbox, reference: str = "c-1", **fields: Any) -> requests.Response:
    timeout = fields.pop("timeout", 5)
    body = {"reference": reference, "amount_minor": 10000, "currency": "INR", "method": "CARD"}
    return post(sandbox, "/psp/charges", timeout, **body | fields)


def hold(sandbox: Sandbox, reference: str = "c-1", **fields: Any) -> requests.Response:
    return charge(sandbox, reference, capture=False, **fields)


def capture(sandbox: Sandbox, of: str, amount: int, reference: str = "cap-1") -> requests.Response:
    path = f"/psp/charges/{of}/captures"
    return post(sandbox, path, reference=reference, amount_minor=amount)


def void(sandbox: Sandbox, of: str, reference: str = "v-1") -> requests.Response:
    return post(sandbox, f"/psp/charges/{of}/voids", reference=reference)


def refund(sandbox: Sandbox, of: str, amount: int, reference: str = "r-1") -> requests.Response:
    body: dict[str, Any] = {"reference": reference, "charge_reference": of, "amount_minor": amount}
    return post(sandbox, "/psp/refunds", **body, currency="INR")


def arm(sandbox: Sandbox, operation: str, fault: str, **more: Any) -> str:
    answer = post(sandbox, "/sandbox/faults", operation=operation, fault=fault, **more)
    assert answer.status_code == 201, answer.text
    fault_id: str = answer.json()["id"]
    return fault_id


def lookup(sandbox: Sandbox, reference: str) -> requests.Response:
    return requests.get(f"{sandbox.url}/psp/operations/{reference}", timeout=5)


def decide(sandbox: Sandbox, reference: str, outcome: str) -> requests.Response:
    return post(sandbox, f"/sandbox/actions/{reference}", outcome=outcome)


def prepare(sandbox: Sandbox, verb: str) -> None:
    """What must be there before a verb can work."""
    if verb in ("capture", "void"):
        assert hold(sandbox).json()["state"] == "authorized"
    elif verb == "refund":
        assert charge(sandbox).json()["state"] == "captured"


def perform(sandbox: Sandbox, verb: str, timeout: float = 5) -> requests.Response:
    """One verb under the reference x-1, against c-1 where it needs a charge."""
    if verb in ("charge", "authorize"):
        return charge(sandbox, "x-1", capture=verb == "charge", timeout=timeout)
    body: dict[str, Any] = {"reference": "x-1"}
    if verb == "refund":
        body |= {"charge_reference": "c-1", "amount_minor": 4000, "currency": "INR"}
        return post(sandbox, "/psp/refunds", timeout, **body)
    if verb == "capture":
        body["amount_minor"] = 4000
    return post(sandbox, f"/psp/charges/c-1/{verb}s", timeout, **body)


def booked(sandbox: Sandbox, verb: str, reference: str = "x-1") -> int:
    """How often a reference stands in the list of its kind."""
    rows = get(sandbox, f"/psp/{LISTS[verb]}")[LISTS[verb]]
    return sum(row["reference"] == reference for row in rows)


def eventually(condition: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


# The verbs


def test_charge_takes_the_money(sandbox: Sandbox) -> None:
    answer = charge(sandbox, amount_minor=10486, payment_token="tok_ok")
    assert answer.status_code == 201
    taken = answer.json()
    assert taken["id"].startswith("ch_")
    assert (taken["kind"], taken["reference"], taken["state"]) == ("charge", "c-1", "captured")
    assert (taken["amount_minor"], taken["amount"], taken["currency"]) == (10486, "104.86", "INR")
    assert (taken["captured_minor"], taken["captured"]) == (10486, "104.86")
    assert (taken["refunded_minor"], taken["refunded"]) == (0, "0.00")
    assert taken["fee_minor"] == 210
    assert taken["authorization_code"]
    assert taken["next_action"] is None
    assert taken["created_at"].endswith("Z")
    assert lookup(sandbox, "c-1").json() == taken
    assert get(sandbox, "/psp/charges") == {"charges": [taken]}
    assert get(sandbox, "/psp/charges/c-1") == taken


@pytest.mark.parametrize(
    ("currency", "minor", "text"),
    [("INR", 5, "0.05"), ("JPY", 1234, "1234"), ("KWD", 12345, "12.345"), ("IQD", 1, "0.001")],
)
def test_amounts_have_the_decimals_of_their_currency(
    sandbox: Sandbox, currency: str, minor: int, text: str
) -> None:
    assert charge(sandbox, currency=currency, amount_minor=minor).json()["captured"] == text


@pytest.mark.parametrize(("minor", "fee"), [(24, 0), (25, 1), (74, 1), (75, 2), (10000, 200)])
def test_card_fee_is_two_percent_half_up(sandbox: Sandbox, minor: int, fee: int) -> None:
    assert charge(sandbox, amount_minor=minor).json()["fee_minor"] == fee
    assert charge(sandbox, "upi", amount_minor=minor, method="UPI").json()["fee_minor"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": True},
        {"amount_minor": 1.5},
        {"amount_minor": "100"},
        {"amount_minor": 2**63},
        {"currency": "ZZZ"},
        {"currency": "XAU"},
        {"reference": ""},
        {"reference": "a/b"},
        {"capture": "yes"},
        {"payment_token": 7},
    ],
)
def test_charge_that_can_not_be_understood_leaves_no_trace(
    sandbox: Sandbox, wrong: dict[str, Any]
) -> None:
    answer = charge(sandbox, **wrong)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert next(iter(wrong)) in answer.json()["message"]
    assert get(sandbox, "/psp/charges") == {"charges": []}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_body_that_is_no_object(sandbox: Sandbox, body: bytes) -> None:
    answer = requests.post(f"{sandbox.url}/psp/charges", data=body, timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_capture_takes_part_of_a_hold_once(sandbox: Sandbox) -> None:
    held = hold(sandbox).json()
    assert (held["state"], held["captured_minor"], held["fee_minor"]) == ("authorized", 0, 0)
    answer = capture(sandbox, "c-1", 6000)
    assert answer.status_code == 201
    taken = answer.json()
    assert (taken["kind"], taken["state"]) == ("capture", "captured")
    assert (taken["charge_reference"], taken["amount"], taken["fee_minor"]) == ("c-1", "60.00", 120)
    now = get(sandbox, "/psp/charges/c-1")
    assert (now["state"], now["captured"], now["amount"]) == ("captured", "60.00", "100.00")
    again = capture(sandbox, "c-1", 1000, "cap-2")
    assert (again.status_code, again.json()["decline_code"]) == (402, "not_capturable")
    assert get(sandbox, "/psp/charges/c-1")["captured_minor"] == 6000


def test_capture_of_more_than_is_held_is_declined_and_leaves_the_hold(sandbox: Sandbox) -> None:
    hold(sandbox)
    answer = capture(sandbox, "c-1", 10001)
    assert answer.status_code == 402
    assert (answer.json()["state"], answer.json()["decline_code"]) == (
        "declined",
        "amount_too_large",
    )
    assert get(sandbox, "/psp/charges/c-1")["state"] == "authorized"
    assert capture(sandbox, "c-1", 10000, "cap-2").status_code == 201


def test_void_releases_a_hold(sandbox: Sandbox) -> None:
    hold(sandbox)
    answer = void(sandbox, "c-1")
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["state"]) == ("void", "voided")
    assert get(sandbox, "/psp/charges/c-1")["state"] == "voided"
    assert capture(sandbox, "c-1", 100).json()["decline_code"] == "not_capturable"
    assert void(sandbox, "c-1", "v-2").json()["decline_code"] == "not_voidable"


def test_captured_charge_is_not_voidable(sandbox: Sandbox) -> None:
    charge(sandbox)
    answer = void(sandbox, "c-1")
    assert (answer.status_code, answer.json()["decline_code"]) == (402, "not_voidable")
    assert get(sandbox, "/psp/charges/c-1")["state"] == "captured"


@pytest.mark.parametrize("token", ["tok_requires_action", "tok_pending"])
def test_void_cancels_what_still_waits(sandbox: Sandbox, token: str) -> None:
    charge(sandbox, payment_token=token)
    assert void(sandbox, "c-1").json()["state"] == "voided"
    now = lookup(sandbox, "c-1").json()
    assert (now["state"], now["decline_code"]) == ("declined", "cancelled")
    assert decide(sandbox, "c-1", "approve").status_code == 409


def test_refunds_up_to_what_was_captured(sandbox: Sandbox) -> None:
    charge(sandbox)
    answer = refund(sandbox, "c-1", 6000)
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["state"]) == ("refund", "succeeded")
    assert (answer.json()["amount"], answer.json()["currency"]) == ("60.00", "INR")
    over = refund(sandbox, "c-1", 4001, "r-2")
    assert (over.status_code, over.json()["decline_code"]) == (402, "refund_exceeds_captured")
    assert refund(sandbox, "c-1", 4000, "r-3").status_code == 201
    assert get(sandbox, "/psp/charges/c-1")["refunded_minor"] == 10000
    states = [(row["reference"], row["state"]) for row in get(sandbox, "/psp/refunds")["refunds"]]
    assert states == [("r-1", "succeeded"), ("r-2", "declined"), ("r-3", "succeeded")]


def test_hold_can_not_be_refunded(sandbox: Sandbox) -> None:
    hold(sandbox)
    assert refund(sandbox, "c-1", 1).json()["decline_code"] == "refund_exceeds_captured"


def test_refund_in_another_currency_is_no_refund(sandbox: Sandbox) -> None:
    charge(sandbox, currency="KWD")
    assert refund(sandbox, "c-1", 1).status_code == 400
    assert booked(sandbox, "refund", "r-1") == 0


@pytest.mark.parametrize("verb", ["capture", "void", "refund"])
def test_unknown_charge(sandbox: Sandbox, verb: str) -> None:
    answer = perform(sandbox, verb)
    assert (answer.status_code, answer.json()["error"]) == (404, "charge_not_found")
    assert lookup(sandbox, "x-1").status_code == 404


@pytest.mark.parametrize("verb", VERBS)
def test_look_up_by_our_reference(sandbox: Sandbox, verb: str) -> None:
    missing = lookup(sandbox, "x-1")
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")
    assert missing.headers["Content-Type"] == "application/json"
    prepare(sandbox, verb)
    done = perform(sandbox, verb).json()
    found = lookup(sandbox, "x-1")
    assert found.status_code == 200
    assert found.json() == done
    assert found.json()["kind"] == ("charge" if verb == "authorize" else verb)


# Idempotency


@pytest.mark.parametrize("verb", VERBS)
def test_repeat_gives_the_same_answer_and_does_nothing(sandbox: Sandbox, verb: str) -> None:
    prepare(sandbox, verb)
    first, second = perform(sandbox, verb), perform(sandbox, verb)
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert booked(sandbox, verb) == 1


def test_declines_replay_too(sandbox: Sandbox) -> None:
    answers = [charge(sandbox, payment_token="tok_decline_expired_card") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [402, 402]
    assert answers[0].content == answers[1].content
    assert booked(sandbox, "charge", "c-1") == 1


def test_reference_used_for_something_else(sandbox: Sandbox) -> None:
    charge(sandbox)
    for answer in (charge(sandbox, amount_minor=1), refund(sandbox, "c-1", 5, "c-1")):
        assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_conflict")
    assert booked(sandbox, "charge", "c-1") == 1
    assert get(sandbox, "/psp/refunds") == {"refunds": []}


def test_same_reference_from_many_threads_is_one_charge(sandbox: Sandbox) -> None:
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(charge(sandbox).content)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert booked(sandbox, "charge", "c-1") == 1


# Tokens


@pytest.mark.parametrize("token", [None, "tok_ok", "pm_of_our_own", "tok_slow_1"])
def test_tokens_that_are_approved(sandbox: Sandbox, token: str | None) -> None:
    assert charge(sandbox, payment_token=token).json()["state"] == "captured"


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_funds",
        "do_not_honor",
        "expired_card",
        "incorrect_cvc",
        "fraud_suspected",
        "limit_exceeded",
        "authentication_required",
        "method_not_supported",
        "provider_declined",
    ],
)
def test_tokens_that_are_declined(sandbox: Sandbox, code: str) -> None:
    answer = charge(sandbox, payment_token=f"tok_decline_{code}")
    assert answer.status_code == 402
    declined = answer.json()
    assert (declined["state"], declined["decline_code"]) == ("declined", code)
    assert declined["message"]
    assert declined["captured_minor"] == 0
    assert get(sandbox, "/psp/charges")["charges"] == [declined]


@pytest.mark.parametrize("token", ["tok_typing_error", "tok_decline_", "tok_decline_not_voidable"])
def test_unknown_tokens_of_ours_are_declined(sandbox: Sandbox, token: str) -> None:
    assert charge(sandbox, payment_token=token).json()["decline_code"] == "provider_declined"


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize(
    ("token", "state", "code"),
    [
        ("tok_requires_action", "requires_action", "authentication_required"),
        ("tok_pending", "pending", "provider_declined"),
    ],
)
def test_charge_waits_for_a_decision(
    sandbox: Sandbox, token: str, state: str, code: str, captured: bool
) -> None:
    answer = charge(sandbox, "yes", payment_token=token, capture=captured)
    assert (answer.status_code, answer.json()["state"]) == (201, state)
    assert answer.json()["captured_minor"] == 0
    charge(sandbox, "no", payment_token=token, capture=captured)
    assert decide(sandbox, "yes", "approve").status_code == 200
    assert decide(sandbox, "no", "decline").status_code == 200
    approved, declined = lookup(sandbox, "yes").json(), lookup(sandbox, "no").json()
    assert approved["state"] == ("captured" if captured else "authorized")
    assert approved["captured_minor"] == (10000 if captured else 0)
    assert (declined["state"], declined["decline_code"]) == ("declined", code)
    assert decide(sandbox, "yes", "decline").status_code == 409


def test_payer_acts_on_a_page(sandbox: Sandbox) -> None:
    action = charge(sandbox, payment_token="tok_requires_action").json()["next_action"]
    assert action["type"] == "redirect"
    page = requests.get(action["url"], timeout=5)
    assert page.status_code == 200
    assert "100.00 INR" in page.text
    assert page.text.count("<button") == 2
    done = requests.post(action["url"], data={"outcome": "approve"}, timeout=5)
    assert (done.status_code, "captured" in done.text) == (200, True)
    assert lookup(sandbox, "c-1").json()["next_action"] is None


def test_decision_that_makes_no_sense(sandbox: Sandbox) -> None:
    assert decide(sandbox, "nothing", "approve").status_code == 404
    charge(sandbox, payment_token="tok_pending")
    assert decide(sandbox, "c-1", "perhaps").status_code == 422
    assert lookup(sandbox, "c-1").json()["state"] == "pending"


def test_slow_token(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert charge(sandbox, payment_token="tok_slow_300").status_code == 201
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("verb", ["capture", "void", "refund"])
def test_tokens_that_decide_over_later_verbs(sandbox: Sandbox, verb: str) -> None:
    held = verb != "refund"
    charge(sandbox, payment_token=f"tok_{verb}_decline", capture=not held)
    before = lookup(sandbox, "c-1").json()
    assert before["state"] == ("authorized" if held else "captured")
    answer = perform(sandbox, verb)
    assert (answer.status_code, answer.json()["decline_code"]) == (402, "provider_declined")
    assert lookup(sandbox, "c-1").json() == before


@pytest.mark.parametrize(("outcome", "refunded"), [("approve", 6000), ("decline", 0)])
def test_pending_refund_counts_until_it_is_settled(
    sandbox: Sandbox, outcome: str, refunded: int
) -> None:
    charge(sandbox, payment_token="tok_refund_pending")
    answer = refund(sandbox, "c-1", 6000)
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")
    assert get(sandbox, "/psp/charges/c-1")["refunded_minor"] == 0
    assert refund(sandbox, "c-1", 4001, "r-2").status_code == 402
    decide(sandbox, "r-1", outcome)
    now = get(sandbox, "/psp/charges/c-1")
    assert (now["refunded_minor"], now["refund_pending_minor"]) == (refunded, 0)
    left = 10000 - refunded
    assert refund(sandbox, "c-1", left + 1, "r-3").status_code == 402
    assert refund(sandbox, "c-1", left, "r-4").status_code == 201


# Sister services


def test_trip_has_its_numbers_as_they_were_written(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/v1/trips/32", timeout=5)
    assert answer.headers["Content-Type"] == "application/json"
    assert '"base_fare": 65.160,' in answer.text
    assert '"total_fare": 85.80}' in answer.text
    assert answer.json() == {
        "trip_id": 32,
        "rider_id": 101,
        "driver_id": 201,
        "pickup_zone": "North",
        "drop_zone": "South",
        "status": "COMPLETED",
        "requested_at": "2026-01-02 03:04:05",
        "distance_km": 5.43,
        "base_fare": 65.16,
        "surge_multiplier": 1.0,
        "total_fare": 85.8,
    }
    assert get(sandbox, "/v1/trips/33")["total_fare"] is None
    assert get(sandbox, "/v1/trips/33")["drop_zone"] is None


def test_unknown_trip(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/v1/trips/999", timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_trip_can_be_added_and_changed(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/sandbox/trips"
    raw = '{"status": "COMPLETED", "total_fare": 12.340, "currency": "KWD"}'
    requests.put(f"{url}/900", data=raw, timeout=5).raise_for_status()
    requests.put(f"{url}/32", json={"status": "CANCELLED"}, timeout=5).raise_for_status()
    added = requests.get(f"{sandbox.url}/v1/trips/900", timeout=5).text
    assert '"total_fare": 12.340,' in added
    assert json.loads(added)["trip_id"] == 900
    assert json.loads(added)["base_fare"] is None
    changed = get(sandbox, "/v1/trips/32")
    assert (changed["status"], changed["total_fare"]) == ("CANCELLED", 85.8)


RECORDERS = [
    ("order", "PATCH", "/v1/orders/17/payment-status"),
    ("inventory", "POST", "/v1/inventory/release"),
    ("notification", "POST", "/v1/notifications"),
    ("trip", "PATCH", "/v1/trips/32/payment-status"),
    ("driver", "PATCH", "/v1/drivers/201/payment-status"),
    ("rider", "PATCH", "/v1/riders/101/payment-status"),
]


@pytest.mark.parametrize(("service", "method", "path"), RECORDERS)
def test_what_a_service_is_told_is_kept(
    sandbox: Sandbox, service: str, method: str, path: str
) -> None:
    raw = '{"status" : "SUCCESS"}'
    headers = {"Content-Type": "application/json", "webhook-id": "e1", "X-Request-ID": "q1"}
    answer = requests.request(method, sandbox.url + path, data=raw, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    held = get(sandbox, f"/sandbox/inbox?service={service}")
    assert held["count"] == 1
    entry = held["inbox"][0]
    assert (entry["service"], entry["method"], entry["path"]) == (service, method, path)
    assert (entry["body"], entry["raw"]) == ({"status": "SUCCESS"}, raw)
    assert entry["headers"]["webhook-id"] == "e1"
    assert entry["headers"]["x-request-id"] == "q1"
    assert entry["received_at"].endswith("Z")
    assert get(sandbox, "/sandbox/inbox?service=nobody") == {"inbox": [], "count": 0}


def test_inbox_has_the_newest_last_and_can_be_emptied(sandbox: Sandbox) -> None:
    for number in range(5):
        post(sandbox, "/v1/notifications", number=number)
    held = get(sandbox, "/sandbox/inbox?limit=2")
    assert [entry["body"]["number"] for entry in held["inbox"]] == [3, 4]
    assert held["count"] == 5
    assert requests.delete(f"{sandbox.url}/sandbox/inbox", timeout=5).status_code == 200
    assert get(sandbox, "/sandbox/inbox") == {"inbox": [], "count": 0}


# Faults: what each promises, seen through the books

DONE = {
    "do_and_lose_answer": None,
    "do_and_hang": None,
    "do_and_500": 500,
    "do_and_502": 502,
    "do_and_503": 503,
    "half_body": None,
    "garbage_200": 200,
    "slow": 201,
}
NOT_DONE = {
    "reset_before_reading": None,
    "accept_no_answer": None,
    "fail_500": 500,
    "fail_502": 502,
    "fail_503": 503,
    "half_body_not_done": None,
    "too_many_requests": 429,
}
HANGS = ("do_and_hang", "accept_no_answer")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", [*DONE, *NOT_DONE])
def test_fault_on_a_verb_that_moves_money(sandbox: Sandbox, verb: str, fault: str) -> None:
    prepare(sandbox, verb)
    before = get(sandbox, "/psp/charges")
    arm(sandbox, verb, fault, ms=200 if fault == "slow" else None)
    status = DONE.get(fault) or NOT_DONE.get(fault)
    if fault in HANGS:
        with pytest.raises(requests.Timeout):
            perform(sandbox, verb, timeout=0.2)
    elif status is None:
        with pytest.raises(GONE):
            perform(sandbox, verb)
    else:
        answer = perform(sandbox, verb)
        assert answer.status_code == status
        if fault == "garbage_200":
            with pytest.raises(requests.JSONDecodeError):
                answer.json()
        if fault == "too_many_requests":
            assert answer.headers["Retry-After"] == "1"
    is_done = fault in DONE
    assert booked(sandbox, verb) == is_done
    assert lookup(sandbox, "x-1").status_code == (200 if is_done else 404)
    assert (get(sandbox, "/psp/charges") == before) is not is_done
    # The fault is used up: a repeat is the plain answer, and nothing was doubled.
    assert get(sandbox, "/sandbox/faults")["armed"] == []
    assert perform(sandbox, verb).status_code == 201
    assert booked(sandbox, verb) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_decline_on_demand_is_booked_and_replays(sandbox: Sandbox, verb: str) -> None:
    prepare(sandbox, verb)
    arm(sandbox, verb, "decline", code="fraud_suspected")
    answers = [perform(sandbox, verb) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [402, 402]
    assert answers[0].content == answers[1].content
    assert lookup(sandbox, "x-1").json()["decline_code"] == "fraud_suspected"
    assert booked(sandbox, verb) == 1


@pytest.mark.parametrize("verb", ["charge", "authorize", "refund"])
def test_forgotten_idempotency_doubles(sandbox: Sandbox, verb: str) -> None:
    prepare(sandbox, verb)
    arm(sandbox, verb, "forget_idempotency")
    first, second, third = (perform(sandbox, verb).json() for _ in range(3))
    assert first["id"] != second["id"]
    assert third["id"] == first["id"]
    assert booked(sandbox, verb) == 2


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_forgotten_idempotency_where_it_can_not_be_done_twice(sandbox: Sandbox, verb: str) -> None:
    prepare(sandbox, verb)
    arm(sandbox, verb, "forget_idempotency")
    assert [perform(sandbox, verb).status_code for _ in range(2)] == [201, 402]
    assert booked(sandbox, verb) == 2


@pytest.mark.parametrize("verb", VERBS)
def test_arrive_late(sandbox: Sandbox, verb: str) -> None:
    prepare(sandbox, verb)
    arm(sandbox, verb, "arrive_late", ms=400)
    with pytest.raises(GONE):
        perform(sandbox, verb)
    assert lookup(sandbox, "x-1").status_code == 404
    assert booked(sandbox, verb) == 0
    assert get(sandbox, "/sandbox/late")["late"][0]["body"]["reference"] == "x-1"
    eventually(lambda: lookup(sandbox, "x-1").status_code == 200)
    assert booked(sandbox, verb) == 1
    assert get(sandbox, "/sandbox/late") == {"late": []}


def test_late_request_after_its_repeat_is_only_a_repeat(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "arrive_late", ms=200)
    with pytest.raises(GONE):
        charge(sandbox)
    assert charge(sandbox).status_code == 201
    eventually(lambda: get(sandbox, "/sandbox/late") == {"late": []})
    assert booked(sandbox, "charge", "c-1") == 1


@pytest.mark.parametrize(
    ("fault", "status"), [("lookup_unavailable", 503), ("lookup_not_found", 404)]
)
def test_look_up_that_does_not_say_the_truth(sandbox: Sandbox, fault: str, status: int) -> None:
    charge(sandbox)
    arm(sandbox, "lookup", fault, times=2)
    assert [lookup(sandbox, "c-1").status_code for _ in range(3)] == [status, status, 200]
    arm(sandbox, "lookup", fault, ms=300)
    assert lookup(sandbox, "c-1").status_code == status
    assert lookup(sandbox, "c-1").status_code == status
    eventually(lambda: lookup(sandbox, "c-1").status_code == 200, 2)
    assert get(sandbox, "/sandbox/faults")["armed"] == []


def test_slow_look_up(sandbox: Sandbox) -> None:
    charge(sandbox)
    arm(sandbox, "lookup", "lookup_slow", ms=300)
    began = time.monotonic()
    assert lookup(sandbox, "c-1").status_code == 200
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("fault", ["reset_before_reading", "half_body", "fail_503", "garbage_200"])
def test_general_faults_hit_look_ups(sandbox: Sandbox, fault: str) -> None:
    charge(sandbox)
    arm(sandbox, "lookup", fault)
    try:
        answer = lookup(sandbox, "c-1")
        assert b'"kind"' not in answer.content
    except GONE:
        assert fault in ("reset_before_reading", "half_body")
    assert lookup(sandbox, "c-1").status_code == 200


@pytest.mark.parametrize(("service", "method", "path"), RECORDERS)
@pytest.mark.parametrize("fault", [*DONE, *NOT_DONE])
def test_fault_on_a_sister_service(
    sandbox: Sandbox, service: str, method: str, path: str, fault: str
) -> None:
    arm(sandbox, service, fault, ms=100 if fault == "slow" else None)
    status = DONE.get(fault) or NOT_DONE.get(fault)
    expected = 200 if fault == "slow" else status
    timeout = 0.2 if fault in HANGS else 5
    try:
        answer = requests.request(method, sandbox.url + path, json={"n": 1}, timeout=timeout)
        assert answer.status_code == expected
    except (*GONE, requests.Timeout):
        assert expected is None
    assert get(sandbox, f"/sandbox/inbox?service={service}")["count"] == (fault in DONE)


@pytest.mark.parametrize("fault", ["fail_503", "reset_before_reading", "garbage_200", "half_body"])
def test_fault_on_a_trip(sandbox: Sandbox, fault: str) -> None:
    arm(sandbox, "trip", fault, match={"trip_id": 32, "http_method": "GET"})
    assert get(sandbox, "/v1/trips/33")["trip_id"] == 33
    try:
        answer = requests.get(f"{sandbox.url}/v1/trips/32", timeout=5)
        assert answer.status_code == 503 or b"total_fare" not in answer.content
    except GONE:
        assert fault in ("reset_before_reading", "half_body")
    assert get(sandbox, "/v1/trips/32")["trip_id"] == 32


def test_reset_is_a_reset_and_not_an_end_of_file(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "reset_before_reading")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        charge(sandbox)


def test_half_a_body_is_announced_whole(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "half_body")
    with pytest.raises(GONE, match="IncompleteRead"):
        charge(sandbox)


def test_times_and_after(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "fail_500", times=2, after=1)
    codes = [charge(sandbox, f"c-{number}").status_code for number in range(5)]
    assert codes == [201, 500, 500, 201, 201]


@pytest.mark.parametrize("times", [0, None])
def test_fault_until_it_is_deleted(sandbox: Sandbox, times: int | None) -> None:
    fault_id = arm(sandbox, "charge", "fail_500", times=times)
    assert {charge(sandbox).status_code for _ in range(5)} == {500}
    url = f"{sandbox.url}/sandbox/faults/{fault_id}"
    assert requests.delete(url, timeout=5).status_code == 200
    assert requests.delete(url, timeout=5).status_code == 404
    assert charge(sandbox).status_code == 201


def test_match(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "fail_500", match={"reference": "c-2"})
    arm(sandbox, "*", "fail_503", match={"token": "mine"})
    arm(sandbox, "charge", "fail_502", match={"amount_minor": 777, "method": "UPI"})
    assert charge(sandbox, "c-1").status_code == 201
    assert charge(sandbox, "c-2").status_code == 500
    assert charge(sandbox, "c-3", amount_minor=777).status_code == 201
    assert charge(sandbox, "c-4", amount_minor=777, method="UPI").status_code == 502
    assert charge(sandbox, "c-5", payment_token="mine").status_code == 503


def test_token_matches_what_is_done_to_its_charge_later(sandbox: Sandbox) -> None:
    charge(sandbox, "theirs", payment_token="theirs")
    charge(sandbox, "mine", payment_token="mine")
    arm(sandbox, "refund", "fail_500", match={"token": "mine"})
    arm(sandbox, "lookup", "fail_503", match={"token": "mine"})
    assert refund(sandbox, "theirs", 1, "r-1").status_code == 201
    assert refund(sandbox, "mine", 1, "r-2").status_code == 500
    assert lookup(sandbox, "r-1").status_code == 200
    assert lookup(sandbox, "mine").status_code == 503


def test_authorize_and_charge_are_two_operations(sandbox: Sandbox) -> None:
    arm(sandbox, "authorize", "fail_500")
    assert charge(sandbox, "c-1").status_code == 201
    assert hold(sandbox, "c-2").status_code == 500


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"operation": "chrge", "fault": "slow"}, "authorize"),
        ({"operation": "charge", "fault": "explode"}, "do_and_lose_answer"),
        ({"operation": "trip", "fault": "decline"}, "refund"),
        ({"operation": "charge", "fault": "slow", "when": 1}, "match"),
        ({"operation": "charge", "fault": "slow", "times": -1}, "times"),
        ({"operation": "charge", "fault": "slow", "ms": "1"}, "ms"),
        ({"operation": "charge", "fault": "slow", "match": []}, "match"),
        ({"fault": "slow"}, "operation"),
    ],
)
def test_fault_that_does_not_exist(sandbox: Sandbox, wrong: dict[str, Any], says: str) -> None:
    answer = post(sandbox, "/sandbox/faults", **wrong)
    assert answer.status_code == 422
    assert says in answer.json()["message"]
    assert get(sandbox, "/sandbox/faults")["armed"] == []


def test_faults_are_listed(sandbox: Sandbox) -> None:
    fault_id = arm(sandbox, "charge", "slow", ms=5)
    listed = get(sandbox, "/sandbox/faults")
    assert set(DONE) | set(NOT_DONE) < set(listed["available"])
    assert [fault["id"] for fault in listed["armed"]] == [fault_id]
    assert requests.delete(f"{sandbox.url}/sandbox/faults", timeout=5).json() == {"disarmed": 1}
    assert get(sandbox, "/sandbox/faults")["armed"] == []


def test_disarming_lets_go_what_hangs(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "accept_no_answer", times=0)
    ended: list[float] = []

    def hang() -> None:
        with pytest.raises(GONE):
            charge(sandbox, timeout=20)
        ended.append(time.monotonic())

    thread = threading.Thread(target=hang)
    thread.start()
    eventually(lambda: get(sandbox, "/psp/requests")["count"] == 1)
    time.sleep(0.1)
    assert not ended
    requests.delete(f"{sandbox.url}/sandbox/faults", timeout=5)
    thread.join(timeout=5)
    assert ended


def test_silence_ends_with_its_time(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "accept_no_answer", ms=200)
    began = time.monotonic()
    with pytest.raises(GONE):
        charge(sandbox)
    assert 0.2 <= time.monotonic() - began < 3


def test_clients_that_left_give_their_threads_back(sandbox: Sandbox) -> None:
    """More abandoned requests than there are threads, and it still answers."""
    arm(sandbox, "charge", "accept_no_answer", times=0)

    def leave() -> None:
        for _ in range(15):
            with pytest.raises(requests.Timeout):
                charge(sandbox, timeout=0.05)

    threads = [threading.Thread(target=leave) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    requests.get(f"{sandbox.url}/health", timeout=2).raise_for_status()


def test_requests_are_counted_with_their_fault(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "do_and_lose_answer")
    with pytest.raises(GONE):
        charge(sandbox)
    charge(sandbox)
    lookup(sandbox, "c-1")
    get(sandbox, "/psp/charges")
    noted = get(sandbox, "/psp/requests")["requests"]
    assert [(n["operation"], n["reference"], n["fault"], n["status"]) for n in noted] == [
        ("charge", "c-1", "do_and_lose_answer", None),
        ("charge", "c-1", None, 201),
        ("lookup", "c-1", None, 200),
    ]
    assert (noted[0]["method"], noted[0]["path"]) == ("POST", "/psp/charges")
    assert noted[0]["time"].endswith("Z")


# Latency and the share of successes


def test_latency_at_run_time(sandbox: Sandbox) -> None:
    assert get(sandbox, "/sandbox/latency") == {"profile": "off", "ms": None}
    assert post(sandbox, "/sandbox/latency", profile="fixed", ms=250).status_code == 200
    began = time.monotonic()
    charge(sandbox)
    assert time.monotonic() - began >= 0.25
    began = time.monotonic()
    get(sandbox, "/v1/trips/32")
    assert time.monotonic() - began < 0.25, "the sister services are not the provider"
    assert post(sandbox, "/sandbox/latency", profile="warp").status_code == 422
    post(sandbox, "/sandbox/latency", profile="off")
    began = time.monotonic()
    charge(sandbox)
    assert time.monotonic() - began < 0.25


def test_slow_provider_holds_up_nobody_else(sandbox: Sandbox) -> None:
    post(sandbox, "/sandbox/latency", profile="fixed", ms=500)
    threads = [
        threading.Thread(target=charge, args=(sandbox, f"c-{number}")) for number in range(20)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    assert requests.get(f"{sandbox.url}/health", timeout=0.4).status_code == 200
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 3
    assert len(get(sandbox, "/psp/charges")["charges"]) == 20


def test_success_rate_is_decided_by_the_reference(tmp_path: Path) -> None:
    outcomes: list[dict[str, str]] = []
    for name in ("one", "two"):
        with running_sandbox(tmp_path / name, SANDBOX_SUCCESS_RATE="0.7") as sandbox:
            with requests.Session() as session:
                for number in range(300):
                    body = {"reference": f"c-{number}", "amount_minor": 1, "currency": "INR"}
                    session.post(f"{sandbox.url}/psp/charges", json=body | {"method": "CARD"})
            rows = get(sandbox, "/psp/charges")["charges"]
            outcomes.append({row["reference"]: row["state"] for row in rows})
            assert {row["decline_code"] for row in rows} == {None, "do_not_honor"}
    assert outcomes[0] == outcomes[1]
    assert 180 < list(outcomes[0].values()).count("captured") < 240


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX_SUCCESS_RATE", "2"),
        ("SANDBOX_SUCCESS_RATE", "often"),
        ("SANDBOX_LATENCY", "slow"),
        ("SANDBOX_TRIPS", "/nowhere/trips.csv"),
    ],
)
def test_setting_that_can_not_be_used_is_named(tmp_path: Path, name: str, value: str) -> None:
    from payment_service.sandbox.settings import SettingError, read_settings
    from payment_service.sandbox.world import World

    with pytest.raises(SettingError, match=name):
        World(read_settings({"SANDBOX_DIR": str(tmp_path), name: value}))


# Nothing is forgotten


def everything(sandbox: Sandbox) -> dict[str, Any]:
    paths = [f"/psp/{noun}" for noun in ("charges", "captures", "voids", "refunds")]
    paths += ["/sandbox/inbox", "/sandbox/late", "/v1/trips/32", "/v1/trips/900"]
    return {path: get(sandbox, path) for path in paths}


def test_kill_9_forgets_nothing(own_sandbox: Sandbox) -> None:
    sandbox = own_sandbox
    charge(sandbox, "c-1")
    charge(sandbox, "c-2", payment_token="tok_decline_expired_card")
    charge(sandbox, "c-3", payment_token="tok_pending")
    charge(sandbox, "c-4", payment_token="tok_refund_pending")
    hold(sandbox, "c-5")
    hold(sandbox, "c-6")
    capture(sandbox, "c-5", 5000)
    void(sandbox, "c-6")
    refund(sandbox, "c-1", 100, "r-1")
    refund(sandbox, "c-4", 100, "r-2")
    refund(sandbox, "c-1", 10**9, "r-3")
    post(sandbox, "/v1/notifications", hello="you")
    requests.put(f"{sandbox.url}/sandbox/trips/900", json={"total_fare": 1}, timeout=5)
    arm(sandbox, "charge", "arrive_late", ms=3_600_000)
    with pytest.raises(GONE):
        charge(sandbox, "c-7")
    before = everything(sandbox)
    sandbox.restart()
    assert everything(sandbox) == before
    assert charge(sandbox, "c-1").json() == lookup(sandbox, "c-1").json()
    assert booked(sandbox, "charge", "c-1") == 1
    assert refund(sandbox, "c-1", 9901, "r-9").status_code == 402


def test_arrive_late_over_a_kill(own_sandbox: Sandbox) -> None:
    for number, ms in enumerate((100, 1500)):
        arm(own_sandbox, "charge", "arrive_late", ms=ms)
        with pytest.raises(GONE):
            charge(own_sandbox, f"late-{number}")
        if number == 0:
            own_sandbox.kill()
            time.sleep(0.2)
            own_sandbox.start()
    own_sandbox.restart()
    assert lookup(own_sandbox, "late-1").status_code == 404
    eventually(lambda: lookup(own_sandbox, "late-1").status_code == 200)
    assert booked(own_sandbox, "charge", "late-0") == booked(own_sandbox, "charge", "late-1") == 1


def test_torn_last_line_is_cut_off(own_sandbox: Sandbox) -> None:
    charge(own_sandbox, "c-1")
    charge(own_sandbox, "c-2")
    own_sandbox.kill()
    whole = own_sandbox.journal.read_bytes()
    own_sandbox.journal.write_bytes(whole[:-40])
    own_sandbox.start()
    assert [row["reference"] for row in get(own_sandbox, "/psp/charges")["charges"]] == ["c-1"]
    assert charge(own_sandbox, "c-3").status_code == 201
    own_sandbox.restart()
    found = [row["reference"] for row in get(own_sandbox, "/psp/charges")["charges"]]
    assert found == ["c-1", "c-3"]


def test_line_in_the_middle_that_can_not_be_read_is_not_skipped(own_sandbox: Sandbox) -> None:
    charge(own_sandbox, "c-1")
    charge(own_sandbox, "c-2")
    own_sandbox.kill()
    lines = own_sandbox.journal.read_bytes().splitlines(keepends=True)
    own_sandbox.journal.write_bytes(lines[0][:-9] + b"\n" + b"".join(lines[1:]))
    with pytest.raises(RuntimeError, match="line 1"):
        own_sandbox.start()


def test_kill_under_load_keeps_all_that_was_answered(own_sandbox: Sandbox) -> None:
    answered: list[str] = []

    def keep_charging(worker: int) -> None:
        with requests.Session() as session:
            for number in range(10_000):
                body = {"reference": f"c-{worker}-{number}", "amount_minor": 1, "currency": "INR"}
                body |= {"method": "CARD"}
                try:
                    session.post(f"{own_sandbox.url}/psp/charges", json=body, timeout=5)
                except requests.RequestException:
                    return
                answered.append(str(body["reference"]))

    threads = [threading.Thread(target=keep_charging, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answered) > 200, 20)
    own_sandbox.kill()
    for thread in threads:
        thread.join()
    own_sandbox.start()
    known = [row["reference"] for row in get(own_sandbox, "/psp/charges")["charges"]]
    assert set(answered) <= set(known)
    assert len(known) == len(set(known))


def test_state_can_be_emptied(sandbox: Sandbox) -> None:
    charge(sandbox)
    arm(sandbox, "*", "slow", times=0, ms=1)
    post(sandbox, "/sandbox/latency", profile="fixed", ms=1)
    requests.put(f"{sandbox.url}/sandbox/trips/32", json={"status": "X"}, timeout=5)
    requests.delete(f"{sandbox.url}/sandbox/state", timeout=5)
    assert get(sandbox, "/psp/charges") == {"charges": []}
    assert lookup(sandbox, "c-1").status_code == 404
    assert get(sandbox, "/sandbox/faults")["armed"] == []
    assert get(sandbox, "/sandbox/latency")["profile"] == "off"
    assert get(sandbox, "/v1/trips/32")["status"] == "COMPLETED"
    assert get(sandbox, "/psp/requests")["count"] == 1
    assert sandbox.journal.read_bytes() == b""


# The page


def test_page_shows_what_is_there_and_escapes_it(sandbox: Sandbox) -> None:
    empty = requests.get(f"{sandbox.url}/", timeout=5).text
    assert "No charges yet." in empty
    assert "Nothing is armed" in empty
    charge(sandbox, amount_minor=10486, payment_token="<script>alert(1)</script>")
    refund(sandbox, "c-1", 486)
    post(sandbox, "/v1/notifications", text="<script>alert(2)</script>")
    page = requests.get(f"{sandbox.url}/", timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "104.86" in page.text
    assert "4.86" in page.text
    assert "<script" not in page.text
    assert "://" not in page.text, "no assets from elsewhere"


def test_page_pulls_the_levers(sandbox: Sandbox) -> None:
    form = {"operation": "charge", "fault": "fail_500", "times": "", "ms": ""}
    form |= {"match_field": "reference", "match_value": "c-2"}
    shown = requests.post(f"{sandbox.url}/page/faults", data=form, timeout=5)
    assert (shown.status_code, "reference = c-2" in shown.text) == (200, True)
    assert charge(sandbox, "c-1").status_code == 201
    assert charge(sandbox, "c-2").status_code == 500
    wrong = requests.post(f"{sandbox.url}/page/faults", data={"operation": "x"}, timeout=5)
    assert (wrong.status_code, 'role="alert"' in wrong.text) == (422, True)
    form = {"profile": "fixed", "ms": "7"}
    requests.post(f"{sandbox.url}/page/latency", data=form, timeout=5).raise_for_status()
    assert get(sandbox, "/sandbox/latency") == {"profile": "fixed", "ms": 7}
    arm(sandbox, "charge", "slow", times=0)
    requests.post(f"{sandbox.url}/page/faults/clear", timeout=5).raise_for_status()
    assert get(sandbox, "/sandbox/faults")["armed"] == []


def test_unknown_paths_answer_json(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/nothing", timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    answer = requests.get(f"{sandbox.url}/sandbox/state", timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
