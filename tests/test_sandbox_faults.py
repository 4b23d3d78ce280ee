"""What each fault promises, done or not done, seen through the books."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from payment_service.config import BadSettings
from payment_service.sandbox.latency import Latency
from payment_service.sandbox.settings import read_settings
from tests.patience import PATIENCE
from tests.sandbox_calls import (
    GONE,
    RECORDERS,
    VERBS,
    arm,
    booked,
    charge,
    disarm,
    eventually,
    get,
    hold,
    lookup,
    perform,
    post,
    prepare,
    refund,
)
from tests.sandbox_server import Sandbox, running_sandbox


@pytest.fixture
def sandbox(empty_sandbox: Sandbox) -> Sandbox:
    return empty_sandbox


A_DAY = 24 * 3600 * 1000  # ms; longer than any test

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
        eventually(lambda: get(sandbox, "/psp/requests")["requests"][-1]["fault"] == fault)
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
    eventually(lambda: booked(sandbox, verb) == is_done)
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
    arm(sandbox, verb, "arrive_late", ms=A_DAY)
    with pytest.raises(GONE):
        perform(sandbox, verb)
    assert lookup(sandbox, "x-1").status_code == 404
    assert booked(sandbox, verb) == 0
    assert get(sandbox, "/sandbox/late")["late"][0]["reference"] == "x-1"
    assert post(sandbox, "/sandbox/late/x-1").json() == {"done": 1}
    assert lookup(sandbox, "x-1").status_code == 200
    assert booked(sandbox, verb) == 1
    assert get(sandbox, "/sandbox/late") == {"late": []}
    assert post(sandbox, "/sandbox/late/x-1").status_code == 404


def test_late_request_arrives_by_itself(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "arrive_late", ms=100)
    with pytest.raises(GONE):
        charge(sandbox)
    eventually(lambda: get(sandbox, "/sandbox/late") == {"late": []})
    assert booked(sandbox, "charge", "c-1") == 1


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
    arm(sandbox, "lookup", fault, ms=A_DAY)
    assert [lookup(sandbox, "c-1").status_code for _ in range(2)] == [status, status]
    disarm(sandbox)
    arm(sandbox, "lookup", fault, ms=100)
    eventually(lambda: lookup(sandbox, "c-1").status_code == 200)
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
    timeout = 0.2 if fault in HANGS else PATIENCE
    try:
        answer = requests.request(method, sandbox.url + path, json={"n": 1}, timeout=timeout)
        assert answer.status_code == expected
    except (*GONE, requests.Timeout):
        assert expected is None
    inbox = f"/sandbox/inbox?service={service}"
    eventually(lambda: get(sandbox, inbox)["count"] == (fault in DONE))


@pytest.mark.parametrize("fault", ["fail_503", "reset_before_reading", "garbage_200", "half_body"])
def test_fault_on_a_trip(sandbox: Sandbox, fault: str) -> None:
    arm(sandbox, "trip", fault, match={"trip_id": 32, "http_method": "GET"})
    assert get(sandbox, "/v1/trips/33")["trip_id"] == 33
    try:
        answer = requests.get(f"{sandbox.url}/v1/trips/32", timeout=PATIENCE)
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
    assert requests.delete(url, timeout=PATIENCE).status_code == 200
    assert requests.delete(url, timeout=PATIENCE).status_code == 404
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
    assert requests.delete(f"{sandbox.url}/sandbox/faults", timeout=PATIENCE).json() == {
        "disarmed": 1
    }
    assert get(sandbox, "/sandbox/faults")["armed"] == []


def test_disarming_lets_go_what_hangs(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "accept_no_answer", times=0, ms=A_DAY)
    ended: list[bool] = []

    def hang() -> None:
        with pytest.raises(GONE):
            charge(sandbox)
        ended.append(True)

    thread = threading.Thread(target=hang)
    thread.start()
    eventually(lambda: get(sandbox, "/psp/requests")["count"] == 1)
    time.sleep(0.1)
    assert not ended
    disarm(sandbox)
    thread.join(timeout=PATIENCE)
    assert ended


def test_silence_ends_with_its_time(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "accept_no_answer", ms=200)
    began = time.monotonic()
    with pytest.raises(GONE):
        charge(sandbox, timeout=50)  # without ms it ends after 60 s
    assert time.monotonic() - began >= 0.2


def test_clients_that_left_give_their_threads_back(sandbox: Sandbox) -> None:
    """More abandoned requests than there are threads, and it still answers."""
    arm(sandbox, "charge", "accept_no_answer", times=0, ms=A_DAY)

    def leave() -> None:
        for _ in range(15):
            with pytest.raises(requests.Timeout):
                charge(sandbox, timeout=0.05)

    threads = [threading.Thread(target=leave) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    requests.get(f"{sandbox.url}/health", timeout=PATIENCE).raise_for_status()


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
    assert post(sandbox, "/sandbox/latency", profile="fixed", ms=300).status_code == 200
    began = time.monotonic()
    charge(sandbox)
    assert time.monotonic() - began >= 0.3
    # The sister services are not the provider.
    assert post(sandbox, "/sandbox/latency", profile="fixed", ms=600_000).status_code == 200
    assert get(sandbox, "/v1/trips/32")["trip_id"] == 32
    assert post(sandbox, "/sandbox/latency", profile="warp").status_code == 422
    post(sandbox, "/sandbox/latency", profile="off")
    assert charge(sandbox, "c-2").status_code == 201


def test_latency_profile_is_what_load_tests_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payment_service.sandbox.latency.random", random.Random(7))
    latency = Latency("profile")
    draws = [latency.draw("charge") for _ in range(40_000)]
    seconds = sorted(draw.seconds for draw in draws)
    assert seconds[20_000] == pytest.approx(0.120, rel=0.03)
    assert seconds[39_600] == pytest.approx(0.380, rel=0.06)
    faults = [draw.fault for draw in draws if draw.fault]
    assert 0.005 < len(faults) / 40_000 < 0.009
    assert set(faults) == {"do_and_lose_answer", "do_and_503", "fail_503"}
    assert not any(latency.draw("lookup").fault for _ in range(5000))


def test_slow_provider_holds_up_nobody_else(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "slow", times=0, ms=A_DAY)
    threads = [
        threading.Thread(target=charge, args=(sandbox, f"c-{number}")) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: get(sandbox, "/psp/requests")["count"] == 20)
    assert requests.get(f"{sandbox.url}/health", timeout=PATIENCE).status_code == 200
    disarm(sandbox)
    for thread in threads:
        thread.join()
    assert len(get(sandbox, "/psp/charges")["charges"]) == 20


@pytest.mark.slow
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
    with pytest.raises(BadSettings, match=name):
        read_settings({"SANDBOX_DIR": str(tmp_path), name: value})
