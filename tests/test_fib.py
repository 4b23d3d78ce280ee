"""First Iraqi Bank: odd answers are no outcomes, amounts are compared, callbacks only make us look.
What it does well is in the conformance suite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import (
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Payer,
    Result,
)
from payment_service.providers.fib import FibProvider
from payment_service.providers.webhooks import Incoming, RefusedFor, Trust, WebhookRefused
from tests.canned_server import Canned, canned_server
from tests.patience import LIMITS

ID = "4b4d7b7a-4d5f-4f63-9c2b-0f8a8f3f3c11"
REFERENCE = "PAY-20260101-7K2M9QX4TB3A-1"
OPENED = {
    "paymentId": ID,
    "readableCode": "AB12-CD34",
    "qrCode": "data:image/png;base64,AAAA",
    "validUntil": "2026-01-01T12:15:00.000Z",
    "personalAppLink": "https://personal.fib.example/?id=1",
}


@pytest.fixture
def bank() -> Iterator[Canned]:
    with canned_server() as running:
        running.answer("/token", 200, {"access_token": "token", "expires_in": 3600})
        running.answer("/payments", 201, OPENED)
        yield running


def provider(bank: Canned, **changes: Any) -> FibProvider:
    given: dict[str, Any] = {"public_url": "https://pay.example", "page_seconds": 900.0} | changes
    return FibProvider(bank.url, "us", "secret", LIMITS, **given)


def operation(kind: TransactionType = TransactionType.CHARGE, **changes: Any) -> Operation:
    about: dict[str, Any] = {"known_as": ID}
    if kind is not TransactionType.CHARGE:
        about = {"provider_reference": ID, "charge_reference": REFERENCE}
    usual: dict[str, Any] = {
        "reference": REFERENCE,
        "amount": 1_500_000,
        "currency": "IQD",
        "method": Method.CARD,
        "begun_at": datetime.now(UTC),
        "send_before": datetime.now(UTC) + timedelta(seconds=600),
        "return_url": "https://pay.example/v1/pay/1/mac/return",
    }
    return Operation(type=kind, **usual | about | changes)


def status(**changes: Any) -> dict[str, Any]:
    amount = {"amount": 1500, "currency": "IQD"}
    return {"paymentId": ID, "status": "PAID", "amount": amount} | changes


def looked_up(bank: Canned, found: Any, kind: TransactionType = TransactionType.CHARGE) -> Any:
    bank.answer(f"/{ID}/status", 200, found)
    return provider(bank).lookup(operation(kind))


def test_what_it_is_asked(bank: Canned) -> None:
    payer = Payer(name="secret", phone="+9647800000000")
    asked = operation(known_as=None, payer=payer, description="x" * 80)
    result = provider(bank).charge(asked)
    (sent,) = bank.asked_for("/payments")
    body = json.loads(sent.body)
    callback = body.pop("statusCallbackUrl")
    assert body == {
        "monetaryValue": {"amount": 1500, "currency": "IQD"},
        "redirectUri": "https://pay.example/v1/pay/1/mac/return",
        "description": "x" * 50,
        "expiresIn": "PT15M",
        "refundableFor": "P7D",
    }
    assert callback.startswith("https://pay.example/v1/webhooks/fib?")
    assert result == Result(
        Outcome.REQUIRES_ACTION,
        ID,
        next_action={
            "type": "app",
            "url": OPENED["personalAppLink"],
            "token": "AB12-CD34",
            "qr": OPENED["qrCode"],
            "expires_at": "2026-01-01T12:15:00Z",
        },
    )


@pytest.mark.parametrize("amount", [1_500_001, 1_499_999])
def test_a_part_of_a_dinar_is_not_asked_for(bank: Canned, amount: int) -> None:
    with pytest.raises(NotSent):
        provider(bank).charge(operation(known_as=None, amount=amount))
    assert bank.asked_for("/payments") == []


@pytest.mark.parametrize(
    "odd",
    [
        {"paymentId": None},
        {"paymentId": 7},
        {"paymentId": ""},
        {"personalAppLink": None},
        {"personalAppLink": "javascript:alert(1)"},
        {"personalAppLink": "JavaScript://%0aalert(1)"},
        {"personalAppLink": "data:text/html,x"},
    ],
)
def test_a_page_that_nobody_can_open_is_lost(bank: Canned, odd: dict[str, Any]) -> None:
    bank.answer("/payments", 201, OPENED | odd)
    with pytest.raises(NotSent):
        provider(bank).charge(operation(known_as=None))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b'{"paymentId": "1"}'])
@pytest.mark.parametrize("answered", [201, 400, 404, 500, 302])
def test_nobody_holds_a_page_whose_answer_is_odd(bank: Canned, answered: int, body: bytes) -> None:
    bank.answer("/payments", answered, body)
    with pytest.raises(NotSent):
        provider(bank).charge(operation(known_as=None))


@pytest.mark.parametrize(("answered", "counts"), [(400, False), (422, False), (500, True)])
def test_a_request_that_it_does_not_like_says_nothing_of_its_health(
    bank: Canned, answered: int, counts: bool
) -> None:
    bank.answer("/payments", answered, {"errors": []})
    with pytest.raises(NotSent) as refused:
        provider(bank).charge(operation(known_as=None))
    assert refused.value.counts is counts


def test_a_code_or_picture_that_is_missing_costs_no_page(bank: Canned) -> None:
    bank.answer("/payments", 200, OPENED | {"qrCode": "x", "readableCode": 5, "validUntil": "soon"})
    result = provider(bank).charge(operation(known_as=None))
    assert result.next_action == {"type": "app", "url": OPENED["personalAppLink"]}


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-03:00", "0001-01-01T00:00:00+03:00"])
def test_a_time_that_no_calendar_has_costs_no_page_and_no_outcome(bank: Canned, end: str) -> None:
    bank.answer("/payments", 201, OPENED | {"validUntil": end})
    action = provider(bank).charge(operation(known_as=None)).next_action
    assert "expires_at" not in (action or {})
    assert looked_up(bank, status(paidAt=end)) == PAID


PAID = Result(Outcome.APPROVED, ID, 1_500_000)
CANCELLED = Result(
    Outcome.DECLINED,
    ID,
    failure_code="cancelled_by_payer",
    failure_message="PAYMENT_CANCELLATION",
)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (status(), PAID),
        (status(status="REFUND_REQUESTED"), PAID),
        (status(status="REFUNDED"), PAID),
        (status(amount=1500), PAID),
        (status(amount="1500"), PAID),
        (status(amount={"amount": "1500.000", "currency": "IQD"}), PAID),
        (status(amount={"amount": 1500.0, "currency": "IQD"}), PAID),
        (
            status(paidAt="2026-01-01T12:00:00Z", paidBy={"name": "secret", "iban": "IQ1"}),
            replace(PAID, occurred_at=datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ),
        (status(paidAt="long ago"), PAID),
        (status(status="UNPAID"), Result(Outcome.REQUIRES_ACTION, ID)),
        (status(status="DECLINED", decliningReason="PAYMENT_CANCELLATION"), CANCELLED),
        (
            status(status="DECLINED", decliningReason="PAYMENT_EXPIRATION"),
            Result(Outcome.EXPIRED, ID),
        ),
        (
            status(status="DECLINED", decliningReason="NEW"),
            Result(Outcome.DECLINED, ID, failure_code="provider_declined", failure_message="NEW"),
        ),
        (
            status(status="DECLINED"),
            Result(Outcome.DECLINED, ID, failure_code="provider_declined"),
        ),
    ],
)
def test_a_status_of_a_charge(bank: Canned, found: Any, told: Result) -> None:
    assert looked_up(bank, found) == told


@pytest.mark.parametrize("kind", [TransactionType.CHARGE, TransactionType.REFUND])
@pytest.mark.parametrize(
    "odd",
    [
        {"paymentId": "another"},
        {"paymentId": None},
        {"status": "SETTLED"},
        {"status": None},
        {"status": ["PAID"]},
        {"amount": None},
        {"amount": 1501},
        {"amount": 1500.5},
        {"amount": "1,500"},
        {"amount": True},
        {"amount": {"amount": 1501, "currency": "IQD"}},
        {"amount": {"amount": 1500, "currency": "USD"}},
        {"amount": {"currency": "IQD"}},
    ],
)
def test_what_is_not_ours_or_not_named_is_unknown(
    bank: Canned, odd: dict[str, Any], kind: TransactionType
) -> None:
    paid = {"status": "REFUNDED"} if kind is TransactionType.REFUND else {}
    with pytest.raises(OutcomeUnknown):
        looked_up(bank, status(**paid) | odd, kind)


@pytest.mark.parametrize("found", [b"", b"[]", b"null", b'"PAID"', b"7", b"[[" * 9999])
def test_garbage_is_unknown(bank: Canned, found: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        looked_up(bank, found)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"status": "UNPAID"}, None),
        ({"status": "PAID"}, Result(Outcome.DECLINED, f"{ID}/cancel", failure_code="not_voidable")),
        ({"status": "DECLINED"}, Result(Outcome.APPROVED, f"{ID}/cancel")),
    ],
)
def test_a_status_of_a_void(bank: Canned, found: Any, told: Result | None) -> None:
    assert looked_up(bank, status(**found), TransactionType.VOID) == told


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"status": "PAID"}, None),
        ({"status": "REFUND_REQUESTED"}, Result(Outcome.PENDING, f"{ID}/refund")),
        ({"status": "REFUNDED"}, Result(Outcome.APPROVED, f"{ID}/refund", 1_500_000)),
    ],
)
def test_a_status_of_a_refund(bank: Canned, found: Any, told: Result | None) -> None:
    assert looked_up(bank, status(**found), TransactionType.REFUND) == told


@pytest.mark.parametrize("found", ["UNPAID", "DECLINED"])
def test_a_refund_of_what_was_never_paid_is_unknown(bank: Canned, found: str) -> None:
    with pytest.raises(OutcomeUnknown):
        looked_up(bank, status(status=found), TransactionType.REFUND)


@pytest.mark.parametrize(("kind", "verb"), [("VOID", "cancel"), ("REFUND", "refund")])
@pytest.mark.parametrize("answered", [200, 201, 400, 404, 409, 500, 502, 302])
def test_an_answer_to_a_command_that_is_not_named_is_looked_up(
    bank: Canned, kind: str, verb: str, answered: int
) -> None:
    bank.answer(f"/{ID}/{verb}", answered, {})
    with pytest.raises(OutcomeUnknown):
        provider(bank).ask(operation(TransactionType(kind)))
    assert len(bank.asked_for(f"/{verb}")) == 1


# What it says unasked


def arguments(bank: Canned, **changes: Any) -> dict[str, str]:
    """Those of the address that it was given for its callbacks."""
    provider(bank, **changes).charge(operation(known_as=None))
    sent = json.loads(bank.asked_for("/payments")[-1].body)
    return dict(parse_qsl(urlsplit(sent["statusCallbackUrl"]).query))


def incoming(given: dict[str, str], body: Any) -> Incoming:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming(raw, {}, given, datetime.now(UTC))


@pytest.mark.parametrize("said", ["PAID", "DECLINED", "REFUNDED", "NEW"])
def test_a_callback_makes_us_look_and_says_nothing(bank: Canned, said: str) -> None:
    given = arguments(bank)
    notices = provider(bank).receive(incoming(given, {"id": ID, "status": said}))
    assert notices.trust is Trust.UNSIGNED
    (notice,) = notices.notices
    assert (notice.reference, notice.known_as, notice.result) == (REFERENCE, ID, None)
    assert (notice.event_key, notice.event_type) == (f"{ID}:{said}", said)
    again = provider(bank).receive(incoming(given, {"status": said, "id": ID}))
    assert again == notices
    assert provider(bank).webhook_receipt.status == 202


GOOD = {"id": ID, "status": "PAID"}
NO, BAD, ODD = RefusedFor.NO_SIGNATURE, RefusedFor.BAD_SIGNATURE, RefusedFor.UNREADABLE


@pytest.mark.parametrize(
    ("changed", "body", "reason"),
    [
        ({"mac": None}, GOOD, NO),
        ({"mac": ""}, GOOD, NO),
        ({"reference": None}, GOOD, NO),
        ({"reference": "PAY-20260101-7K2M9QX4TB3A-2"}, GOOD, BAD),
        ({"reference": "\ufffd"}, GOOD, BAD),
        ({"mac": "0" * 64}, GOOD, BAD),
        ({"mac": "é"}, GOOD, BAD),
        ({}, b"", ODD),
        ({}, b"{", ODD),
        ({}, b"[" * 99999, ODD),
        ({}, b"\xff", ODD),
        ({}, b'{"id": "1", "id": "2", "status": "PAID"}', ODD),
        ({}, [], ODD),
        ({}, {"status": "PAID"}, ODD),
        ({}, {"id": ID}, ODD),
        ({}, {"id": 7, "status": "PAID"}, ODD),
        ({}, {"id": ID, "status": ["PAID"]}, ODD),
    ],
)
def test_a_callback_that_is_refused(
    bank: Canned, changed: dict[str, str | None], body: Any, reason: RefusedFor
) -> None:
    given = arguments(bank) | changed
    kept = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(WebhookRefused) as error:
        provider(bank).receive(incoming(kept, body))
    assert error.value.reason is reason


def test_the_mac_is_another_client_s(bank: Canned) -> None:
    theirs = FibProvider(
        bank.url, "them", "theirs", LIMITS, public_url="https://pay.example", page_seconds=60
    )
    with pytest.raises(WebhookRefused) as error:
        theirs.receive(incoming(arguments(bank), GOOD))
    assert error.value.reason is BAD
