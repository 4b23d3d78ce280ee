"""Stripe's events, as the sandbox sends them: only the true one is believed, and of each it is read
what it says of which request of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Operation, Outcome
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Receiver,
    RefusedFor,
    Trust,
    WebhookRefused,
)
from payment_service.sandbox.dialects.stripe.events import SECRET, signed
from tests.harness import asked, prepared
from tests.harness_stripe import StripeHarness
from tests.sandbox_calls import post
from tests.sandbox_server import Sandbox
from tests.stripe_calls import listed, provider

CHARGE, AUTHORIZATION = TransactionType.CHARGE, TransactionType.AUTHORIZATION
CAPTURE, VOID, REFUND = TransactionType.CAPTURE, TransactionType.VOID, TransactionType.REFUND

Event = dict[str, Any]


@pytest.fixture
def harness(sandbox: Sandbox) -> Iterator[StripeHarness]:
    made = StripeHarness(sandbox)
    made.provider = provider(sandbox, webhook_secrets=[SECRET])
    yield made


def incoming(event: Event | bytes, secret: str = SECRET, **changes: Any) -> Incoming:
    """An event as it comes in, signed just now."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    moment = datetime.now(UTC)
    headers = {"stripe-signature": signed(body, secret, int(moment.timestamp()))}
    return replace(Incoming(body, headers, {}, moment), **changes)


def said(harness: StripeHarness, event: Event, **changes: Any) -> Notice:
    assert isinstance(harness.provider, Receiver)
    notices = harness.provider.receive(incoming(event, **changes))
    assert notices.trust is Trust.SIGNED
    (notice,) = notices.notices
    return notice


def refused(harness: StripeHarness, sent: Incoming) -> RefusedFor:
    assert isinstance(harness.provider, Receiver)
    with pytest.raises(WebhookRefused) as told:
        harness.provider.receive(sent)
    return told.value.reason


def newest(sandbox: Sandbox, kind: str) -> Event:
    return listed(sandbox, "events", type=kind)[0]


def event_of(
    harness: StripeHarness, sandbox: Sandbox, kind: TransactionType, name: str, **changes: Any
) -> tuple[Operation, Event]:
    """What was asked for, and the newest event of that name."""
    operation = prepared(harness, kind, **changes)
    _, known = asked(harness, operation)
    return known, newest(sandbox, name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (CHARGE, "payment_intent.succeeded"),
        (AUTHORIZATION, "payment_intent.amount_capturable_updated"),
        (CAPTURE, "payment_intent.succeeded"),
        (VOID, "payment_intent.canceled"),
    ],
)
def test_a_true_one_says_what_a_look_up_says(
    harness: StripeHarness, sandbox: Sandbox, kind: TransactionType, name: str
) -> None:
    operation, event = event_of(harness, sandbox, kind, name)
    told, notice = harness.provider.lookup(operation), said(harness, event)
    assert told is not None
    assert notice.result is not None
    assert (notice.event_key, notice.event_type) == (event["id"], name)
    assert (notice.reference, notice.known_as) == (operation.reference, told.provider_reference)
    assert (notice.result.outcome, notice.result.provider_reference) == (
        Outcome.APPROVED,
        told.provider_reference,
    )
    assert notice.result.amount_approved == told.amount_approved
    assert notice.amount == operation.amount
    assert (notice.currency, notice.mismatch, notice.taken) == ("INR", None, True)


def test_a_part_that_was_captured_names_its_amount(
    harness: StripeHarness, sandbox: Sandbox
) -> None:
    _, event = event_of(harness, sandbox, CAPTURE, "payment_intent.succeeded", amount=4_000)
    assert said(harness, event).amount == 4_000


def test_a_refund_says_how_it_ended(harness: StripeHarness, sandbox: Sandbox) -> None:
    operation, event = event_of(harness, sandbox, REFUND, "charge.refunded")
    notice = said(harness, event)
    assert (notice.reference, notice.result) == (operation.reference, None)  # to be looked up
    assert post(sandbox, f"/stripe/banks/{operation.known_as}", outcome="fail").ok
    notice = said(harness, newest(sandbox, "refund.failed"))
    assert notice.result is not None
    assert notice.result.outcome is Outcome.DECLINED
    assert (notice.reference, notice.known_as) == (operation.reference, operation.known_as)
    assert (notice.amount, notice.currency) == (operation.amount, "INR")


def test_a_failed_try_is_looked_up(harness: StripeHarness, sandbox: Sandbox) -> None:
    declined = {"payment_token": "pm_card_chargeDeclined"}
    operation, event = event_of(
        harness, sandbox, CHARGE, "payment_intent.payment_failed", **declined
    )
    notice = said(harness, event)
    assert (notice.reference, notice.result) == (operation.reference, None)


@pytest.mark.parametrize(
    ("return_url", "kind"), [(None, "sdk"), (StripeHarness.return_url, "redirect")]
)
def test_what_the_payer_has_to_do_is_as_a_look_up_says(
    harness: StripeHarness, sandbox: Sandbox, return_url: str | None, kind: str
) -> None:
    harness.provider = provider(sandbox, webhook_secrets=[SECRET], publishable_key="pk_test_1")
    acts = {"payment_token": harness.token_to_act, "return_url": return_url}
    operation, event = event_of(harness, sandbox, CHARGE, "payment_intent.requires_action", **acts)
    told, notice = harness.provider.lookup(operation), said(harness, event)
    assert told is not None
    assert notice.result is not None
    assert notice.result.next_action == told.next_action
    action = told.next_action or {}
    assert action["type"] == kind
    assert action.get("publishable_key") == ("pk_test_1" if kind == "sdk" else None)


def test_a_page_without_an_address_takes_no_good_one_s_place(
    harness: StripeHarness, sandbox: Sandbox
) -> None:
    acts = {"payment_token": harness.token_to_act}
    _, event = event_of(harness, sandbox, CHARGE, "payment_intent.requires_action", **acts)
    event["data"]["object"]["next_action"]["redirect_to_url"]["url"] = "/3ds"
    assert refused(harness, incoming(event)) is RefusedFor.UNREADABLE


@pytest.mark.parametrize(
    ("kind", "name"), [(VOID, "payment_intent.canceled"), (REFUND, "charge.refunded")]
)
def test_what_is_done_in_the_dashboard_is_no_request_of_ours(
    harness: StripeHarness, sandbox: Sandbox, kind: TransactionType, name: str
) -> None:
    """Its key is a stranger's: the payment's own request is looked at instead."""
    operation, event = event_of(harness, sandbox, kind, name)
    named = event["data"]["object"]["metadata"]["reference"]
    assert said(harness, event).reference == operation.reference != named
    for key in ("6f1c9b9e-8f0e-4b57-9d5c-0d6f2f7d3a10", "PAY-20260101-7K2M9QX4TB3A-1", "key", 7):
        theirs = event | {"request": {"id": "req_1", "idempotency_key": key}}
        assert said(harness, theirs).reference == named
    unnamed = {**event["data"]["object"], "metadata": {}}
    assert said(harness, theirs | {"data": {"object": unnamed}}).reference is None


@pytest.fixture
def event(harness: StripeHarness, sandbox: Sandbox) -> Event:
    return event_of(harness, sandbox, CHARGE, "payment_intent.succeeded")[1]


def test_each_byte_that_is_signed_counts(harness: StripeHarness, event: Event) -> None:
    true = incoming(event)
    header = true.headers["stripe-signature"]
    moment, _, mac = header.partition(",v1=")
    later = f"t={int(moment[2:]) + 1}"
    lies = [
        replace(true, body=true.body.replace(b'"amount": 10000', b'"amount": 10001')),
        replace(true, body=true.body + b" "),
        replace(true, headers={"stripe-signature": f"{later},v1={mac}"}),
        replace(true, headers={"stripe-signature": f"{moment},v1={mac[:-1]}"}),
        replace(true, headers={"stripe-signature": f"{moment},v1={mac[1:]}{mac[0]}"}),
        replace(true, headers={"stripe-signature": f"{moment},v0={mac}"}),
        replace(true, headers={"stripe-signature": f"v1={mac}"}),
        replace(true, headers={"stripe-signature": f"{moment},v1=\u00e9"}),
        replace(true, headers={"stripe-signature": ","}),
        replace(true, body=b"\xff" + true.body),
        incoming(event, secret="whsec_of_somebody_else"),
    ]
    for lie in lies:
        assert refused(harness, lie) is RefusedFor.BAD_SIGNATURE, lie.headers
    assert refused(harness, replace(true, headers={})) is RefusedFor.NO_SIGNATURE
    harness.provider.receive(true)  # type: ignore[attr-defined]


@pytest.mark.parametrize("seconds", [301, -301])
def test_one_that_is_too_old_is_refused(harness: StripeHarness, event: Event, seconds: int) -> None:
    true = incoming(event)
    came = true.received_at + timedelta(seconds=seconds)
    assert refused(harness, replace(true, received_at=came)) is RefusedFor.TOO_OLD
    soon = true.received_at + timedelta(seconds=seconds * 0.99)
    harness.provider.receive(replace(true, received_at=soon))  # type: ignore[attr-defined]


def test_without_a_secret_nobody_is_believed(
    harness: StripeHarness, sandbox: Sandbox, event: Event
) -> None:
    harness.provider = provider(sandbox)
    for secret in (SECRET, ""):
        assert refused(harness, incoming(event, secret)) is RefusedFor.BAD_SIGNATURE


def test_a_secret_is_changed_without_losing_an_event(
    harness: StripeHarness, sandbox: Sandbox, event: Event
) -> None:
    old, new = "whsec_old", "whsec_new"
    harness.provider = provider(sandbox, webhook_secrets=[new, old])
    for secret in (old, new):
        assert said(harness, event, secret=secret).event_key == event["id"]
    body = json.dumps(event).encode()
    both = incoming(event, secret=old)
    more = both.headers["stripe-signature"] + ",v1=" + signed(body, "whsec_third").split("v1=")[1]
    harness.provider.receive(replace(both, headers={"stripe-signature": more}))  # type: ignore[attr-defined]
    harness.provider = provider(sandbox, webhook_secrets=[new])
    assert refused(harness, incoming(event, secret=old)) is RefusedFor.BAD_SIGNATURE
    assert said(harness, event, secret=new).event_key == event["id"]


@pytest.mark.parametrize("created", [10**20, 10**400, "soon", None])
def test_a_time_that_no_calendar_has_is_unreadable(
    harness: StripeHarness, event: Event, created: Any
) -> None:
    lie = {**event["data"]["object"], "created": created}
    sent = incoming(event | {"data": {"object": lie}})
    assert refused(harness, sent) is RefusedFor.UNREADABLE


@pytest.mark.parametrize(
    ("lie", "mismatch"), [({"livemode": True}, "mode"), ({"account": "acct_1"}, "account")]
)
def test_another_s_event_is_told_apart(
    harness: StripeHarness, event: Event, lie: Event, mismatch: str
) -> None:
    assert said(harness, event | lie).mismatch == mismatch
    assert said(harness, event).mismatch is None


def test_another_amount_or_currency_is_told(harness: StripeHarness, event: Event) -> None:
    """Whether they are ours, the rows know."""
    of = event["data"]["object"]
    lie = {**of, "amount": 1, "amount_received": 1, "currency": "sek"}
    notice = said(harness, event | {"data": {"object": lie}})
    assert (notice.amount, notice.currency) == (1, "SEK")
    nobody = said(harness, event | {"data": {"object": {**of, "metadata": {}}}})
    assert nobody.reference is None


def test_one_of_another_api_version_is_looked_up(harness: StripeHarness, event: Event) -> None:
    foreign = event | {"api_version": "2017-08-15"}
    foreign["data"] = {"object": {"id": "pi_1", "metadata": event["data"]["object"]["metadata"]}}
    notice = said(harness, foreign)
    assert notice.reference == event["data"]["object"]["metadata"]["reference"]
    assert (notice.result, notice.amount, notice.known_as) == (None, None, None)
    assert notice.taken


def test_a_type_that_we_do_not_take_is_said_so(harness: StripeHarness, event: Event) -> None:
    for name in ("invoice.paid", "whatever.happened"):
        notice = said(harness, event | {"type": name})
        assert (notice.taken, notice.result, notice.reference) == (False, None, None)
    types = harness.provider.event_types  # type: ignore[attr-defined]
    assert "invoice.paid" in types
    assert "whatever.happened" not in types


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'"evt"',
        b"{" * 9 + b"}",
        b'{"id": "evt_1", "id": "evt_2"}',
        b'{"id": 1, "type": "payment_intent.succeeded"}',
        b'{"id": "evt_1", "type": ["x"], "livemode": false, "api_version": "v"}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_what_can_t_be_read_is_refused(harness: StripeHarness, body: bytes) -> None:
    assert refused(harness, incoming(body)) is RefusedFor.UNREADABLE


@pytest.mark.parametrize("lost", ["id", "type", "livemode", "api_version", "data"])
def test_an_event_without_a_part_is_refused(
    harness: StripeHarness, event: Event, lost: str
) -> None:
    del event[lost]
    assert refused(harness, incoming(event)) is RefusedFor.UNREADABLE
