"""ZainCash: odd answers are no outcomes, amounts are compared, only signed news come in. What it
does well is in the conformance suite."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
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
from payment_service.providers.webhooks import Incoming, RefusedFor, Trust, WebhookRefused
from payment_service.providers.zaincash import ZainCashProvider
from payment_service.sandbox.dialects.zaincash.signing import news_of, signed
from tests.canned_server import Asked, Canned, canned_server
from tests.patience import LIMITS

ID = "7d3b6a1e-0d0d-4c7b-8a57-7d2c6a0b9f11"
REFERENCE = "PAY-20260101-7K2M9QX4TB3A-1"
UUID_OF_IT = "b85c65e6-d87e-5d0c-8fc5-385ebd29f0ea"
"""Written down: were it made in another way, what is open would not be found to be ours."""
BACK = "https://pay.example/v1/pay/1/mac/return"
API_KEY = "the-api-key-has-more-than-32-bytes"
SECRET = "the-secret-of-the-client-is-longer"


@pytest.fixture
def wallet() -> Iterator[Canned]:
    with canned_server() as running:
        running.answer("/oauth2/token", 200, {"access_token": "token", "expires_in": 3600})
        running.answers["/init"] = lambda asked: (200, opened(asked))
        yield running


def opened(asked: Asked, **changes: Any) -> dict[str, Any]:
    sent = json.loads(asked.body)
    details = {
        "transactionId": ID,
        "externalReferenceId": sent["externalReferenceId"],
        "orderId": sent["orderId"],
        "amount": {"value": int(sent["amount"]["value"]), "currency": "IQD"},
    }
    return {
        "status": changes.pop("status", "PENDING"),
        "redirectUrl": changes.pop("redirectUrl", "https://zain.example/pay?id=1"),
        "expiryTime": changes.pop("expiryTime", "2026-01-01T15:15:00+03:00"),
        "createdAt": "2026-01-01T15:00:00+03:00",
        "transactionDetails": details | changes,
    }


def provider(url: str) -> ZainCashProvider:
    return ZainCashProvider(url, "us", SECRET, LIMITS, api_key=API_KEY, service_type="Rides")


def operation(**changes: Any) -> Operation:
    usual: dict[str, Any] = {
        "type": TransactionType.CHARGE,
        "reference": REFERENCE,
        "amount": 1_500_000,
        "currency": "IQD",
        "method": Method.WALLET,
        "begun_at": datetime.now(UTC),
        "send_before": datetime.now(UTC) + timedelta(seconds=600),
        "return_url": BACK,
    }
    return Operation(**usual | changes)


def test_what_it_is_asked(wallet: Canned) -> None:
    result = provider(wallet.url).charge(operation(payer=Payer(phone="+9647800000000")))
    (sent,) = wallet.asked_for("/init")
    body = json.loads(sent.body)
    assert body == {
        "externalReferenceId": UUID_OF_IT,
        "language": "en",
        "orderId": REFERENCE,
        "serviceType": "Rides",
        "amount": {"value": "1500", "currency": "IQD"},
        "redirectUrls": {"successUrl": BACK, "failureUrl": BACK},
        "customer": {"phone": "9647800000000"},
    }
    action = {
        "type": "redirect",
        "url": "https://zain.example/pay?id=1",
        "expires_at": "2026-01-01T12:15:00Z",
    }
    assert result == Result(Outcome.REQUIRES_ACTION, ID, next_action=action)


def test_the_same_reference_has_the_same_uuid(wallet: Canned) -> None:
    for reference in (REFERENCE, REFERENCE, f"{REFERENCE}0"):
        provider(wallet.url).charge(operation(reference=reference))
    first, again, other = (
        json.loads(asked.body)["externalReferenceId"] for asked in wallet.asked_for("/init")
    )
    assert first == again != other


@pytest.mark.parametrize("odd", [{"amount": 1_500_001}, {"return_url": None}])
def test_what_can_t_be_asked_is_not_sent(wallet: Canned, odd: dict[str, Any]) -> None:
    with pytest.raises(NotSent):
        provider(wallet.url).charge(operation(**odd))
    assert wallet.asked == []


@pytest.mark.parametrize(
    "odd",
    [
        {"redirectUrl": None},
        {"redirectUrl": "javascript:alert(1)"},
        {"redirectUrl": "//zain.example"},
        {"status": "SUCCESS"},
        {"status": "FAILED"},
        {"status": "NEW"},
        {"status": None},
        {"transactionId": None},
        {"transactionId": ""},
        {"externalReferenceId": "another"},
        {"orderId": "another"},
        {"amount": {"value": 1501, "currency": "IQD"}},
        {"amount": {"value": 1500, "currency": "USD"}},
        {"amount": 1500},
        {"amount": {}},
    ],
)
def test_a_page_that_is_not_what_we_asked_for_is_shown_to_nobody(
    wallet: Canned, odd: dict[str, Any]
) -> None:
    wallet.answers["/init"] = lambda asked: (200, opened(asked, **odd))
    with pytest.raises(NotSent):
        provider(wallet.url).charge(operation())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"{}"])
@pytest.mark.parametrize("answered", [200, 302, 400, 403, 500, 503])
def test_nobody_holds_a_page_whose_answer_is_odd(
    wallet: Canned, answered: int, body: bytes
) -> None:
    wallet.answer("/init", answered, body)
    with pytest.raises(NotSent):
        provider(wallet.url).charge(operation())


@pytest.mark.parametrize(("answered", "counts"), [(400, False), (422, False), (500, True)])
def test_a_request_that_it_does_not_like_says_nothing_of_its_health(
    wallet: Canned, answered: int, counts: bool
) -> None:
    wallet.answer("/init", answered, {"error": "no"})
    with pytest.raises(NotSent) as refused:
        provider(wallet.url).charge(operation())
    assert refused.value.counts is counts


# Look-ups


def inquiry(status: Any = "SUCCESS", **changes: Any) -> dict[str, Any]:
    details = {"transactionId": ID, "amount": {"value": 1500, "feeValue": 7.5}}
    return {
        "status": status,
        "transactionDetails": details | changes,
        "customer": {"phone": "9647800000000"},
    }


def looked_up(wallet: Canned, found: Any) -> Result | None:
    wallet.answer(f"/inquiry/{ID}", 200, found)
    return provider(wallet.url).lookup(operation(known_as=ID))


PAID = Result(Outcome.APPROVED, ID, 1_500_000, fee=7_500)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (inquiry(), PAID),
        (inquiry(amount={"value": "1500", "feeValue": "7.5"}), PAID),
        (inquiry(amount={"value": 1500.0, "currency": "IQD"}), replace(PAID, fee=None)),
        (inquiry(amount={"value": 1500, "feeValue": "a little"}), replace(PAID, fee=None)),
        (inquiry("FAILED"), Result(Outcome.DECLINED, ID, failure_code="provider_declined")),
        (inquiry("PENDING"), Result(Outcome.REQUIRES_ACTION, ID)),
        (inquiry("OTP_SENT"), Result(Outcome.REQUIRES_ACTION, ID)),
        (inquiry("CUSTOMER_AUTHENTICATION_REQUIRED"), Result(Outcome.REQUIRES_ACTION, ID)),
        (inquiry("EXPIRED"), Result(Outcome.REQUIRES_ACTION, ID)),
    ],
)
def test_a_status(wallet: Canned, found: Any, told: Result) -> None:
    assert looked_up(wallet, found) == told


@pytest.mark.parametrize(
    "found",
    [
        inquiry("REVERSED"),
        inquiry(None),
        inquiry(["SUCCESS"]),
        inquiry(transactionId="another"),
        inquiry(orderId="another"),
        inquiry(amount={"value": 1501}),
        inquiry(amount={"value": 1500.5}),
        inquiry(amount={"value": True}),
        inquiry(amount={"value": 1500, "currency": "USD"}),
        inquiry(amount={}),
        inquiry(amount=None),
        {"status": "SUCCESS"},
        [],
        None,
        b"",
        b"<html>",
    ],
)
def test_what_is_not_ours_or_not_named_is_unknown(wallet: Canned, found: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        looked_up(wallet, found)


@pytest.mark.parametrize("answered", [204, 302, 400, 401, 403, 404, 429, 500, 503])
def test_a_look_up_without_an_answer_is_unknown(wallet: Canned, answered: int) -> None:
    wallet.answer(f"/inquiry/{ID}", answered, {})
    with pytest.raises(OutcomeUnknown):
        provider(wallet.url).lookup(operation(known_as=ID))


def test_a_refund_is_nobody_s_but_a_person_s(wallet: Canned) -> None:
    refund = operation(type=TransactionType.REFUND, provider_reference=ID, amount=500_000)
    assert provider(wallet.url).ask(refund) == Result(Outcome.PENDING)
    assert provider(wallet.url).lookup(refund) == Result(Outcome.PENDING)
    assert wallet.asked == []


# What it says unasked


def a_row(**changes: Any) -> dict[str, Any]:
    """The transaction, as the sandbox keeps it."""
    return {
        "id": ID,
        "reference": REFERENCE,
        "externalReferenceId": UUID_OF_IT,
        "status": "SUCCESS",
        "updatedAt": "2026-01-01T12:00:00Z",
    } | changes


def claims(**changes: Any) -> dict[str, Any]:
    data = {
        "transactionId": ID,
        "merchantReferenceId": UUID_OF_IT,
        "orderId": REFERENCE,
        "currentStatus": "SUCCESS",
    }
    data |= changes.pop("data", {})
    usual = {"eventType": "STATUS_CHANGED", "eventId": "evt-1", "timestamp": 1, "data": data}
    return usual | changes


def receive(body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    incoming = Incoming(raw, {}, {}, datetime.now(UTC))
    return provider("http://127.0.0.1:9").receive(incoming)


@pytest.mark.parametrize("key", [API_KEY, SECRET])
def test_either_key_is_good_and_a_yes_is_looked_up(key: str) -> None:
    token = signed(claims(), key)
    for body in (token.encode(), {"webhook_token": token}, {"token": token}):
        notices = receive(body)
        assert notices.trust is Trust.SIGNED
        (notice,) = notices.notices
        assert (notice.event_key, notice.event_type) == ("evt-1", "STATUS_CHANGED")
        assert (notice.reference, notice.known_as) == (REFERENCE, ID)
        assert (notice.result, notice.mismatch, notice.taken) == (None, None, True)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"currentStatus": "FAILED"}, ("DECLINED", None, True)),
        ({"currentStatus": "NEW"}, (None, None, True)),
        ({"currentStatus": "PENDING"}, (None, None, False)),
        ({"currentStatus": "OTP_SENT"}, (None, None, False)),
        ({"currentStatus": "EXPIRED"}, (None, None, False)),
        ({"merchantReferenceId": "another"}, (None, "merchantReferenceId", True)),
        (
            {"merchantReferenceId": None, "currentStatus": "FAILED"},
            ("DECLINED", "merchantReferenceId", True),
        ),
        ({"orderId": "PAY-20260101-ANOTHER00000-1"}, (None, "merchantReferenceId", True)),
    ],
)
def test_what_it_says(said: dict[str, Any], told: tuple[Any, ...]) -> None:
    (notice,) = receive(signed(claims(data=said), API_KEY).encode()).notices
    outcome = notice.result and notice.result.outcome.value
    assert (outcome, notice.mismatch, notice.taken) == told


def test_another_type_is_not_taken() -> None:
    (notice,) = receive(signed(claims(eventType="REVERSED", data={}), API_KEY).encode()).notices
    assert (notice.event_type, notice.taken, notice.result) == ("REVERSED", False, None)


def by_library(algorithm: str, key: Any, **headers: Any) -> bytes:
    return jwt.encode(claims(), key, algorithm, headers=headers or None).encode()


def tampered(member: str, value: str) -> bytes:
    """The signature of a true one under other claims."""
    header, _, mac = signed(claims(), API_KEY).split(".")
    data = {member: value} if member in claims()["data"] else {}
    changed = claims(data=data, **({} if data else {member: value}))
    return ".".join([header, signed(changed, "x" * 40).split(".")[1], mac]).encode()


NO, BAD, OLD, ODD = (
    RefusedFor.NO_SIGNATURE,
    RefusedFor.BAD_SIGNATURE,
    RefusedFor.TOO_OLD,
    RefusedFor.UNREADABLE,
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda: b"", NO),
        (lambda: b"  ", NO),
        (lambda: b"{}", NO),
        (lambda: {"token": None}, NO),
        (lambda: b"{", ODD),
        (lambda: b'{"token": "a", "token": "b"}', ODD),
        (lambda: b"\xff", ODD),
        (lambda: b"a.b.c", ODD),
        (lambda: b"not a token", ODD),
        (lambda: by_library("HS256", "x" * 40), BAD),
        (lambda: by_library("HS512", API_KEY * 2), BAD),
        (lambda: by_library("none", None), BAD),
        (lambda: by_library("HS384", API_KEY * 2), BAD),
        (lambda: tampered("eventId", "evt-2"), BAD),
        (lambda: tampered("eventType", "OTHER"), BAD),
        (lambda: tampered("transactionId", "another"), BAD),
        (lambda: tampered("merchantReferenceId", "another"), BAD),
        (lambda: tampered("orderId", "another"), BAD),
        (lambda: tampered("currentStatus", "FAILED"), BAD),
        (lambda: {"webhook_token": news_of(a_row(), "bad_signature")}, BAD),
        (lambda: {"webhook_token": news_of(a_row(), "other_key")}, BAD),
        (lambda: signed(claims(exp=int(time.time()) - 3600), API_KEY).encode(), OLD),
        (lambda: signed(claims(eventId=None), API_KEY).encode(), ODD),
        (lambda: signed(claims(eventId=["1"]), API_KEY).encode(), ODD),
        (lambda: signed({"eventType": "STATUS_CHANGED", "eventId": "1"}, API_KEY).encode(), ODD),
        (lambda: signed(claims() | {"data": "x"}, API_KEY).encode(), ODD),
        (lambda: signed(claims() | {"data": None}, API_KEY).encode(), ODD),
        (lambda: signed(claims(data={"orderId": None}), API_KEY).encode(), ODD),
        (lambda: signed(claims(data={"currentStatus": 1}), API_KEY).encode(), ODD),
        (lambda: signed(claims(data={"transactionId": None}), API_KEY).encode(), ODD),
    ],
)
def test_a_webhook_that_is_refused(body: Any, reason: RefusedFor) -> None:
    with pytest.raises(WebhookRefused) as error:
        receive(body())
    assert error.value.reason is reason


def test_a_true_one_of_the_sandbox_is_taken() -> None:
    """Written there by hand, and read here by a library."""
    mine = ZainCashProvider(
        "http://127.0.0.1:9",
        "us",
        SECRET,
        LIMITS,
        api_key="the-sandbox-signs-as-zaincash-with-this-key",
        service_type="Rides",
    )
    body = json.dumps({"webhook_token": news_of(a_row())}).encode()
    (notice,) = mine.receive(Incoming(body, {}, {}, datetime.now(UTC))).notices
    assert (notice.reference, notice.mismatch) == (REFERENCE, None)
