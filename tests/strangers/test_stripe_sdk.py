"""Stripe's own SDK, as it comes, is content with the sandbox's Stripe, and believes its events."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import requests
import stripe

from payment_service.sandbox.dialects.stripe.events import SECRET
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually, get, post
from tests.sandbox_server import Sandbox, reserved_port
from tests.stripe_calls import DECLINES, KEY, VERSION


@pytest.fixture
def intents(client: stripe.StripeClient) -> Any:
    return client.v1.payment_intents


@pytest.fixture
def client(sandbox: Sandbox) -> stripe.StripeClient:
    return stripe.StripeClient(
        KEY,
        base_addresses={"api": f"{sandbox.url}/stripe"},
        max_network_retries=0,
        http_client=stripe.RequestsClient(),
    )


def a_charge(**changes: Any) -> dict[str, Any]:
    usual = {
        "amount": 10_000,
        "currency": "sek",
        "capture_method": "automatic",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "payment_method_types": ["card"],
        "metadata": {"reference": secrets.token_hex(8)},
    }
    return usual | changes


def test_it_charges_and_refunds(client: stripe.StripeClient, intents: Any) -> None:
    asked = a_charge(expand=["latest_charge.balance_transaction"])
    intent = intents.create(asked)
    assert (intent.status, intent.amount_received) == ("succeeded", 10_000)
    assert intent.latest_charge.balance_transaction.net == 9_800
    assert intents.retrieve(intent.id).metadata.to_dict() == asked["metadata"]
    for amount, refunded in ((4_000, False), (6_000, True)):
        refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": amount})
        assert refund.status == "succeeded"
        charge = client.v1.charges.retrieve(intent.latest_charge.id)
        assert charge.refunded is refunded
    with pytest.raises(stripe.InvalidRequestError) as told:
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    assert told.value.code == "charge_already_refunded"
    listed = client.v1.refunds.list({"payment_intent": intent.id})
    assert sorted(one.amount for one in listed.auto_paging_iter()) == [4_000, 6_000]


def test_it_holds_and_captures_a_part(intents: Any) -> None:
    intent = intents.create(a_charge(capture_method="manual"))
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 10_000)
    with pytest.raises(stripe.InvalidRequestError) as told:
        intents.capture(intent.id, {"amount_to_capture": 10_001})
    assert told.value.code == "amount_too_large"
    intent = intents.capture(intent.id, {"amount_to_capture": 4_000})
    assert (intent.status, intent.amount_received, intent.amount) == ("succeeded", 4_000, 10_000)
    with pytest.raises(stripe.InvalidRequestError) as told:
        intents.cancel(intent.id)
    assert told.value.code == "payment_intent_unexpected_state"


def test_it_cancels(intents: Any) -> None:
    intent = intents.create(a_charge(capture_method="manual"))
    intent = intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (intent.status, intent.cancellation_reason) == ("canceled", "abandoned")


@pytest.mark.parametrize("token", DECLINES.values())
def test_a_decline_is_a_card_error(intents: Any, token: str) -> None:
    with pytest.raises(stripe.CardError) as told:
        intents.create(a_charge(payment_method=token))
    error = told.value.error
    assert error is not None
    assert error.code in ("card_declined", "expired_card", "incorrect_cvc", "processing_error")
    assert error.payment_intent is not None
    intent = intents.retrieve(error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == error.code


@pytest.mark.parametrize(("word", "status"), [("approve", "succeeded"), ("decline", "failed")])
def test_a_payer_is_sent_to_the_bank_and_back(intents: Any, word: str, status: str) -> None:
    back = "https://rides.example/back?payment=1"
    intent = intents.create(
        a_charge(payment_method="pm_card_threeDSecure2Required", return_url=back)
    )
    assert intent.status == "requires_action"
    page = intent.next_action.redirect_to_url
    assert page.return_url == back
    assert "Your bank asks" in requests.get(page.url, timeout=PATIENCE).text
    answer = requests.post(
        page.url, data={"outcome": word}, allow_redirects=False, timeout=PATIENCE
    )
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{back}&payment_intent={intent.id}&")
    assert answer.headers["Location"].endswith(f"redirect_status={status}")
    told = intents.retrieve(intent.id)
    assert told.status == {"succeeded": "succeeded", "failed": "requires_payment_method"}[status]


def test_a_key_answers_once_for_all(intents: Any, sandbox: Sandbox) -> None:
    key, asked = {"idempotency_key": secrets.token_hex(8)}, a_charge()
    first = intents.create(asked, key)
    again = intents.create(asked, key)
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        intents.create(asked | {"amount": 20_000}, key)
    # A no is kept as well, but not what was wrong with a request.
    for kept, token in ((True, DECLINES["do_not_honor"]), (False, "pm_none")):
        key = {"idempotency_key": secrets.token_hex(8)}
        with pytest.raises(stripe.StripeError):
            intents.create(asked | {"payment_method": token}, key)
        if kept:
            with pytest.raises(stripe.CardError):
                intents.create(asked | {"payment_method": token}, key)
        else:
            assert intents.create(asked, key).status == "succeeded"


def test_a_list_is_of_its_time_and_has_pages(intents: Any) -> None:
    made = [intents.create(a_charge()) for _ in range(5)]
    window = {"gte": made[0].created, "lte": made[-1].created}
    page = intents.list({"created": window, "limit": 2})
    assert page.has_more
    found = [one.id for one in page.auto_paging_iter()]
    assert found[:5] == [one.id for one in reversed(made)]
    for bound in ({"gt": made[-1].created}, {"lt": made[0].created}):
        listed = [one.id for one in intents.list({"created": bound, "limit": 100}).data]
        assert not {one.id for one in made} & set(listed)


@pytest.mark.parametrize(
    "wrong",
    [{"ammount": 1}, {"amount": 0}, {"currency": "xyz"}, {"capture_method": "later"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_stripe_does_not_know_is_refused(intents: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as told:
        intents.create(a_charge(**wrong))
    assert told.value.param == next(iter(wrong))


def test_a_key_of_another_mode_is_refused(sandbox: Sandbox) -> None:
    base = {"api": f"{sandbox.url}/stripe"}
    live = stripe.StripeClient("sk_live_1", base_addresses=base, max_network_retries=0)  # type: ignore[typeddict-item]
    with pytest.raises(stripe.AuthenticationError):
        live.v1.payment_intents.list()


def test_its_events_are_believed(
    client: stripe.StripeClient, intents: Any, sandbox: Sandbox
) -> None:
    with reserved_port() as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        requests.put(f"{sandbox.url}/sandbox/webhooks", json={"url": url}, timeout=PATIENCE)
        key = secrets.token_hex(8)
        intent = intents.create(a_charge(), {"idempotency_key": key})
        eventually(lambda: _sent(sandbox, intent.id))
        sent = _sent(sandbox, intent.id)[0]
        requests.put(f"{sandbox.url}/sandbox/webhooks", json={"url": None}, timeout=PATIENCE)
    header = sent["headers"]["Stripe-Signature"]
    event = client.construct_event(sent["body"].encode(), header, SECRET)
    assert (event.type, event.api_version) == ("payment_intent.succeeded", VERSION)
    assert event.data.object["id"] == intent.id
    assert event.request is not None
    assert event.request.idempotency_key == key
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(sent["body"].encode() + b" ", header, SECRET)
    assert client.v1.events.retrieve(event.id).type == event.type


def _sent(sandbox: Sandbox, intent: str) -> list[dict[str, Any]]:
    return [
        one
        for one in get(sandbox, "/sandbox/webhooks")["webhooks"]
        if one["dialect"] == "stripe" and intent in str(one["body"])
    ]


def test_a_refund_fails_days_later(
    client: stripe.StripeClient, intents: Any, sandbox: Sandbox
) -> None:
    intent = intents.create(a_charge())
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert post(sandbox, f"/stripe/banks/{refund.id}", outcome="fail").ok
    told = client.v1.refunds.retrieve(refund.id)
    assert (told.status, told.failure_reason) == ("failed", "expired_or_canceled_card")
    assert client.v1.charges.retrieve(intent.latest_charge).amount_refunded == 0
