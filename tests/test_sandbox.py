"""The sandbox: verbs, idempotency, tokens, sister services and page, over real HTTP."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from tests.patience import PATIENCE
from tests.sandbox_calls import (
    RECORDERS,
    VERBS,
    arm,
    booked,
    capture,
    charge,
    decide,
    get,
    hold,
    lookup,
    perform,
    post,
    prepare,
    refund,
    void,
)
from tests.sandbox_server import Sandbox


@pytest.fixture
def sandbox(empty_sandbox: Sandbox) -> Sandbox:
    return empty_sandbox


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
    answer = requests.post(f"{sandbox.url}/psp/charges", data=body, timeout=PATIENCE)
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
    page = requests.get(action["url"], timeout=PATIENCE)
    assert page.status_code == 200
    assert "100.00 INR" in page.text
    assert page.text.count("<button") == 2
    done = requests.post(action["url"], data={"outcome": "approve"}, timeout=PATIENCE)
    assert (done.status_code, "captured" in done.text) == (200, True)
    assert lookup(sandbox, "c-1").json()["next_action"] is None
    again = requests.post(action["url"], data={"outcome": "decline"}, timeout=PATIENCE)
    assert (again.status_code, "nothing left to decide" in again.text) == (200, True)
    assert decide(sandbox, "c-1", "decline").status_code == 409


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
    answer = requests.get(f"{sandbox.url}/v1/trips/32", timeout=PATIENCE)
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
    answer = requests.get(f"{sandbox.url}/v1/trips/999", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_trip_can_be_added_and_changed(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/sandbox/trips"
    raw = '{"status": "COMPLETED", "total_fare": 12.340, "currency": "KWD"}'
    requests.put(f"{url}/900", data=raw, timeout=PATIENCE).raise_for_status()
    requests.put(f"{url}/32", json={"status": "CANCELLED"}, timeout=PATIENCE).raise_for_status()
    added = requests.get(f"{sandbox.url}/v1/trips/900", timeout=PATIENCE).text
    assert '"total_fare": 12.340,' in added
    assert json.loads(added)["trip_id"] == 900
    assert json.loads(added)["base_fare"] is None
    changed = get(sandbox, "/v1/trips/32")
    assert (changed["status"], changed["total_fare"]) == ("CANCELLED", 85.8)


@pytest.mark.parametrize(("service", "method", "path"), RECORDERS)
def test_what_a_service_is_told_is_kept(
    sandbox: Sandbox, service: str, method: str, path: str
) -> None:
    raw = '{"status" : "SUCCESS"}'
    headers = {"Content-Type": "application/json", "webhook-id": "e1", "X-Request-ID": "q1"}
    answer = requests.request(
        method, sandbox.url + path, data=raw, headers=headers, timeout=PATIENCE
    )
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
    assert requests.delete(f"{sandbox.url}/sandbox/inbox", timeout=PATIENCE).status_code == 200
    assert get(sandbox, "/sandbox/inbox") == {"inbox": [], "count": 0}


# The page


def test_page_shows_what_is_there_and_escapes_it(sandbox: Sandbox) -> None:
    empty = requests.get(f"{sandbox.url}/", timeout=PATIENCE).text
    assert "No charges yet." in empty
    assert "Nothing is armed" in empty
    charge(sandbox, amount_minor=10486, payment_token="<script>alert(1)</script>")
    refund(sandbox, "c-1", 486)
    post(sandbox, "/v1/notifications", text="<script>alert(2)</script>")
    page = requests.get(f"{sandbox.url}/", timeout=PATIENCE)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "104.86" in page.text
    assert "4.86" in page.text
    assert "<script" not in page.text
    assert "://" not in page.text, "no assets from elsewhere"


def test_page_pulls_the_levers(sandbox: Sandbox) -> None:
    form = {"operation": "charge", "fault": "fail_500", "times": "", "ms": ""}
    form |= {"match_field": "reference", "match_value": "c-2"}
    shown = requests.post(f"{sandbox.url}/page/faults", data=form, timeout=PATIENCE)
    assert (shown.status_code, "reference = c-2" in shown.text) == (200, True)
    assert charge(sandbox, "c-1").status_code == 201
    assert charge(sandbox, "c-2").status_code == 500
    wrong = requests.post(f"{sandbox.url}/page/faults", data={"operation": "x"}, timeout=PATIENCE)
    assert (wrong.status_code, 'role="alert"' in wrong.text) == (422, True)
    form = {"profile": "fixed", "ms": "7"}
    requests.post(f"{sandbox.url}/page/latency", data=form, timeout=PATIENCE).raise_for_status()
    assert get(sandbox, "/sandbox/latency") == {"profile": "fixed", "ms": 7}
    arm(sandbox, "charge", "slow", times=0)
    requests.post(f"{sandbox.url}/page/faults/clear", timeout=PATIENCE).raise_for_status()
    assert get(sandbox, "/sandbox/faults")["armed"] == []


def test_unknown_paths_answer_json(sandbox: Sandbox) -> None:
    answer = requests.get(f"{sandbox.url}/nothing", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    answer = requests.get(f"{sandbox.url}/sandbox/state", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
