"""What sets Stripe apart from other providers: keys, look-ups by the list of a time, intents that
can be tried again, and what each of its refusals is. The rest is in the conformance suite."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from payment_service.config import load
from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers import stripe as stripe_provider
from payment_service.providers.contract import (
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Payer,
    Result,
)
from payment_service.providers.stripe import reading
from payment_service.providers.stripe.pages import Pages
from payment_service.providers.stripe.transport import client
from payment_service.telemetry.masking import event_mask
from tests.canned_server import canned_server
from tests.harness import an_operation, asked, found, prepared
from tests.harness_stripe import StripeHarness
from tests.logged import logged
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, disarm, eventually, get, post
from tests.sandbox_server import Sandbox, reserved_port
from tests.stripe_calls import KEY, ask, listed, provider

CHARGE, AUTHORIZATION = TransactionType.CHARGE, TransactionType.AUTHORIZATION
CAPTURE, VOID, REFUND = TransactionType.CAPTURE, TransactionType.VOID, TransactionType.REFUND
ACTS = "pm_card_authenticationRequired"


@pytest.fixture
def harness(sandbox: Sandbox) -> StripeHarness:
    return StripeHarness(sandbox)


def confirmed(sandbox: Sandbox, intent: str, token: str = "pm_card_visa") -> int:
    """A payer's app, which holds the client_secret, tries the intent again."""
    path = f"/v1/payment_intents/{intent}/confirm"
    return ask(sandbox, "POST", path, data={"payment_method": token}).status_code


def test_the_version_is_the_one_that_the_sdk_was_made_for() -> None:
    assert load(database_url="postgresql://h/d").stripe_api_version == stripe.api_version


def test_no_telemetry_and_no_body_in_the_log(
    harness: StripeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    harness.provider.ask(an_operation(harness, CHARGE))
    assert stripe.enable_telemetry is False
    assert not [record for record in caplog.records if record.name == "stripe"]
    assert KEY not in caplog.text
    assert "pm_card_visa" not in caplog.text


def test_no_setting_of_the_sdk_s_own_prints_a_body() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _ASKS_NOBODY],
        env=os.environ | {"STRIPE_LOG": "debug"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert told.stdout == "nobody there\n"
    assert told.stderr == ""


_ASKS_NOBODY = """
from payment_service import http
from payment_service.providers.stripe.transport import client
from payment_service.telemetry.masking import event_mask

asked = client("sk_test_1", base="http://127.0.0.1:9", version="v", timeout=lambda: 1.0).v1
try:
    asked.payment_intents.create({"amount": 1, "currency": "sek", "payment_method": "pm_secret"})
except http.Unreachable:
    print("nobody there")
"""


def test_a_charge_tells_its_fee(harness: StripeHarness) -> None:
    operation = an_operation(harness, CHARGE)
    assert harness.provider.ask(operation).fee == 200
    told = harness.provider.lookup(operation)
    assert told is not None
    assert told.fee == 200


@pytest.mark.parametrize(
    ("currency", "amount", "fits"), [("KWD", 1230, True), ("KWD", 1234, False), ("JPY", 7, True)]
)
def test_thousandths_end_in_0(
    harness: StripeHarness, currency: str, amount: int, fits: bool
) -> None:
    assert (amount % harness.provider.step(currency) == 0) is fits
    operation = an_operation(harness, CHARGE, currency=currency, amount=amount)
    if fits:
        assert harness.provider.ask(operation).amount_approved == amount
    else:
        with pytest.raises(NotSent):
            harness.provider.ask(operation)


def test_a_currency_that_it_counts_otherwise_is_not_its_own(harness: StripeHarness) -> None:
    for code in ("IQD", "ISK", "MGA", "UGX"):
        assert not harness.provider.takes(method=Method.CARD, currency=code)


def test_an_intent_is_found_by_the_reference_among_those_of_its_time(
    harness: StripeHarness,
) -> None:
    mine, others = an_operation(harness, CHARGE), [an_operation(harness, CHARGE) for _ in range(3)]
    for one in (*others[:2], mine, others[2]):
        harness.provider.ask(one)
    told = harness.provider.lookup(mine)
    assert told is not None
    assert told.provider_reference == harness.provider.ask(mine).provider_reference
    assert harness.provider.lookup(an_operation(harness, CHARGE)) is None


def test_the_list_begins_before_and_ends_after_the_request_can_have_arrived(
    harness: StripeHarness, sandbox: Sandbox
) -> None:
    operation = an_operation(harness, CHARGE)
    harness.provider.ask(operation)
    (intent,) = [
        one
        for one in listed(sandbox, "payment_intents")
        if one["metadata"]["reference"] == operation.reference
    ]
    created = datetime.fromtimestamp(intent["created"], UTC)
    limits = replace(harness.provider.limits, timeout=10.0, settling=60.0)
    harness.provider.limits = limits
    second = timedelta(seconds=1)
    for begun, until, seen in (
        (created + 29 * second, created + 34 * second, True),
        (created + 32 * second, created + 37 * second, False),
        (created - 200 * second, created - 99 * second, True),
        (created - 200 * second, created - 102 * second, False),
    ):
        told = harness.provider.lookup(replace(operation, begun_at=begun, send_before=until))
        assert bool(told) is seen, (begun - created, until - created)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/payment_intents", {"object": "list", "data": [], "has_more": True}),
        ("/v1/payment_intents/pi_1", {"created": 10**20}),
    ],
)
def test_an_odd_answer_tells_nothing(
    harness: StripeHarness, sandbox: Sandbox, path: str, body: dict[str, Any]
) -> None:
    """An empty page that more follow, a time that no calendar has."""
    operation = an_operation(harness, CHARGE)
    known_as = "pi_1" if path.endswith("pi_1") else None
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "processing",
        "metadata": {"reference": operation.reference},
        "amount": operation.amount,
        "currency": operation.currency.lower(),
        "livemode": False,
        "capture_method": "automatic",
    }
    with canned_server() as server:
        server.answer(path, 200, intent | body if known_as else body)
        harness.provider = provider(sandbox, base=server.url)
        with pytest.raises(OutcomeUnknown):
            harness.provider.lookup(replace(operation, known_as=known_as))
        assert server.asked


def test_more_pages_than_can_be_read_tell_nothing(harness: StripeHarness, sandbox: Sandbox) -> None:
    for number in range(101):
        body = {"amount": 100, "currency": "inr", "description": str(number)}
        assert ask(sandbox, "POST", "/v1/payment_intents", data=body).ok
    v1 = client(KEY, base=f"{sandbox.url}/stripe", version="v", timeout=lambda: PATIENCE).v1
    pages = Pages(v1)
    with pytest.raises(OutcomeUnknown):
        list(pages.intents({}, most=1))
    every = list(pages.intents({}, most=None))
    assert len({one["id"] for one in every}) == len(every) >= 101


def test_a_saved_method_is_charged_without_its_payer(harness: StripeHarness) -> None:
    away = Payer(customer="cus_1")
    done = harness.provider.ask(an_operation(harness, CHARGE, payer=away))
    assert done.outcome is Outcome.APPROVED
    operation = an_operation(harness, CHARGE, payer=away, payment_token=ACTS)
    for told in (harness.provider.ask(operation), harness.provider.lookup(operation)):
        assert told is not None
        assert (told.outcome, told.failure_code) == (Outcome.DECLINED, "authentication_required")


def test_without_a_token_the_payer_s_app_brings_the_card(
    harness: StripeHarness, sandbox: Sandbox
) -> None:
    harness.provider = provider(sandbox, publishable_key="pk_test_1")
    result, known = asked(harness, an_operation(harness, CHARGE, payment_token=None))
    assert result.outcome is Outcome.REQUIRES_ACTION
    assert result.next_action is not None
    assert result.next_action["type"] == "sdk"
    assert result.next_action["publishable_key"] == "pk_test_1"
    assert result.next_action["client_secret"].startswith(f"{known.known_as}_secret_")
    assert confirmed(sandbox, known.known_as or "") == 200
    found(harness, known, Outcome.APPROVED)


def test_after_a_payer_s_no_only_a_void_is_the_end(
    harness: StripeHarness, sandbox: Sandbox
) -> None:
    """Whoever was sent away holds the client_secret, and may try again."""
    _, known = asked(harness, an_operation(harness, CHARGE, payment_token=ACTS))
    harness.payer_says(known, "no")
    result, _ = found(harness, known, Outcome.DECLINED)
    assert (result.failure_code, result.still_open) == ("authentication_required", True)
    void = an_operation(
        harness, VOID, charge_reference=known.reference, provider_reference=known.known_as
    )
    assert harness.provider.ask(void).outcome is Outcome.APPROVED
    assert confirmed(sandbox, known.known_as or "") == 400
    again, _ = found(harness, known, Outcome.DECLINED)
    assert (again.failure_code, again.still_open) == ("authentication_required", False)


def test_a_payer_who_tries_again_pays(harness: StripeHarness, sandbox: Sandbox) -> None:
    _, known = asked(harness, an_operation(harness, CHARGE, payment_token=ACTS))
    harness.payer_says(known, "no")
    found(harness, known, Outcome.DECLINED)
    assert confirmed(sandbox, known.known_as or "") == 200
    found(harness, known, Outcome.APPROVED)
    void = an_operation(
        harness, VOID, charge_reference=known.reference, provider_reference=known.known_as
    )
    assert harness.provider.ask(void).failure_code == "not_voidable"
    told = harness.provider.lookup(void)
    assert told is not None
    assert told.failure_code == "not_voidable"


def test_one_capture_is_not_taken_for_another(harness: StripeHarness) -> None:
    capture = prepared(harness, CAPTURE)
    never = replace(capture, reference=f"{capture.reference}0")
    assert harness.provider.lookup(never) is None
    harness.provider.ask(capture)
    for told in (harness.provider.lookup(never), harness.provider.ask(never)):
        assert told is not None
        assert (told.outcome, told.failure_code) == (Outcome.DECLINED, "not_capturable")


def test_what_is_voided_is_not_captured(harness: StripeHarness) -> None:
    void = prepared(harness, VOID)
    harness.provider.ask(void)
    again = harness.provider.ask(replace(void, reference=f"{void.reference}0"))
    assert again.outcome is Outcome.APPROVED  # it is as it was wanted
    capture = replace(void, type=CAPTURE, reference=f"{void.reference}1")
    assert harness.provider.ask(capture).failure_code == "not_capturable"


@pytest.mark.parametrize(
    ("word", "outcome"), [("succeed", Outcome.APPROVED), ("fail", Outcome.DECLINED)]
)
def test_a_pending_refund_ends(
    harness: StripeHarness, sandbox: Sandbox, word: str, outcome: Outcome
) -> None:
    first = an_operation(harness, CHARGE, payment_token="pm_card_pendingRefund")
    of = harness.provider.ask(first).provider_reference
    about = {"charge_reference": first.reference, "provider_reference": of}
    result, known = asked(harness, an_operation(harness, REFUND, **about))
    assert result.outcome is Outcome.PENDING
    assert post(sandbox, f"/stripe/banks/{known.known_as}", outcome=word).ok
    for operation in (known, replace(known, known_as=None)):
        found(harness, operation, outcome)


def test_a_refund_that_had_succeeded_fails(harness: StripeHarness, sandbox: Sandbox) -> None:
    result, known = asked(harness, prepared(harness, REFUND))
    assert result.outcome is Outcome.APPROVED
    assert post(sandbox, f"/stripe/banks/{known.known_as}", outcome="fail").ok
    told, _ = found(harness, known, Outcome.DECLINED)
    assert "expired_or_canceled_card" in (told.failure_message or "")


def test_the_same_reference_for_another_amount_is_unknown(harness: StripeHarness) -> None:
    operation = an_operation(harness, CHARGE)
    harness.provider.ask(operation)
    with pytest.raises(OutcomeUnknown, match="idempotency_error"):
        harness.provider.ask(replace(operation, amount=operation.amount + 1))


def test_a_request_while_the_first_is_at_work_is_unknown(
    harness: StripeHarness, sandbox: Sandbox
) -> None:
    operation, results = an_operation(harness, CHARGE), []
    match = {"reference": operation.reference}
    arm(sandbox, "charge", "slow", ms=int(PATIENCE * 1000), match=match)
    first = threading.Thread(target=lambda: results.append(harness.provider.ask(operation)))
    first.start()
    eventually(lambda: _is_asked(sandbox, operation))
    with pytest.raises(OutcomeUnknown, match="409"):
        harness.provider.ask(operation)
    disarm(sandbox)
    first.join(PATIENCE)
    assert [one.outcome for one in results] == [Outcome.APPROVED]


def _is_asked(sandbox: Sandbox, operation: Operation) -> bool:
    asked = get(sandbox, "/psp/requests")["requests"]
    return any(one["reference"] == operation.reference for one in asked)


@pytest.mark.parametrize("kind", [CHARGE, REFUND])
def test_a_key_that_is_refused_has_sent_nothing(
    sandbox: Sandbox, harness: StripeHarness, kind: TransactionType
) -> None:
    operation = prepared(harness, kind)
    foreign = provider(sandbox, api_key="sk_live_1")
    with logged(stripe_provider) as events, pytest.raises(NotSent, match="401"):
        foreign.ask(operation)
    [told] = [event for event in events if event["event"] == "stripe_refuses_us"]
    shown = event_mask(str)(None, "error", told)
    assert (shown["status"], shown["error"]) == (401, "invalid_request_error")
    with pytest.raises(OutcomeUnknown, match="401"):
        foreign.lookup(operation)


def test_an_unknown_method_is_a_no(harness: StripeHarness) -> None:
    told = harness.provider.ask(an_operation(harness, CHARGE, payment_token="pm_gone"))
    assert (told.outcome, told.failure_code) == (Outcome.DECLINED, "invalid_token")


def test_an_id_that_is_not_there_is_unknown(harness: StripeHarness) -> None:
    """We have it from Stripe: the account, or the mode, must be another one."""
    for operation in (
        an_operation(harness, CHARGE, known_as="pi_gone"),
        an_operation(harness, CAPTURE, provider_reference="pi_gone"),
        an_operation(harness, REFUND, known_as="re_gone", provider_reference="pi_gone"),
    ):
        with pytest.raises(OutcomeUnknown, match="404"):
            harness.provider.lookup(operation)


@pytest.mark.parametrize("fault", ["too_many_requests", None])
def test_what_was_not_taken_in_was_not_sent(
    harness: StripeHarness, sandbox: Sandbox, fault: str | None
) -> None:
    operation = an_operation(harness, CHARGE)
    if fault:
        arm(sandbox, "charge", fault, match={"reference": operation.reference})
    else:
        with reserved_port() as port:
            base = f"http://127.0.0.1:{port.getsockname()[1]}"
        harness.provider = provider(sandbox, base=base)
    with pytest.raises(NotSent):
        harness.provider.ask(operation)


def read(intent: dict[str, Any], operation: Operation) -> Result | None:
    return reading.of_intent(intent, operation, live=False, key=None)


@pytest.mark.parametrize(
    "lie",
    [
        {"metadata": {"reference": "PAY-20260101-OF-ANOTHER-1"}},
        {"metadata": {}},
        {"amount": 10_001},
        {"currency": "sek"},
        {"livemode": True},
        {"capture_method": "manual"},
        {"status": "shipped"},
        {"id": None},
        {"amount_received": "10000"},
    ],
    ids=lambda lie: next(iter(lie)),
)
def test_an_intent_that_is_not_the_one_says_nothing(
    harness: StripeHarness, sandbox: Sandbox, lie: dict[str, Any]
) -> None:
    operation = an_operation(harness, CHARGE)
    intent_id = harness.provider.ask(operation).provider_reference
    intent = ask(sandbox, "GET", f"/v1/payment_intents/{intent_id}").json()
    told = read(intent, operation)
    assert told is not None
    assert told.outcome is Outcome.APPROVED
    with pytest.raises(ValueError):
        read(intent | lie, operation)


def test_the_sandbox_shows_its_books(harness: StripeHarness, sandbox: Sandbox) -> None:
    charge = prepared(harness, REFUND)
    books = get(sandbox, "/stripe/books")
    intents = {one["id"]: one for one in books["intents"]}
    assert intents[charge.provider_reference]["amount_received"] == charge.amount
    assert {"charges", "refunds"} < books.keys()
