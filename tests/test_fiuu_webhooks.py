"""Fiuu's notifications and callbacks: only the true ones say anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import requests

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Operation, Outcome
from payment_service.providers.fiuu import FiuuProvider
from payment_service.providers.fiuu.signatures import Keys
from payment_service.providers.webhooks import (
    Incoming,
    Notice,
    Receipt,
    Receiver,
    RefusedFor,
    Trust,
    WebhookRefused,
)
from tests.harness import an_operation
from tests.harness_fiuu import KEYS, FiuuHarness
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, eventually, get
from tests.sandbox_server import Sandbox

TRUE = {
    "nbcb": "",
    "tranID": "3012345",
    "orderid": "PAY-20260101-ABCDEF-1",
    "status": "00",
    "domain": "SB_test",
    "amount": "104.86",
    "currency": "MYR",
    "appcode": "A1B2",
    "error_code": "",
    "error_desc": "",
    "paydate": "2026-11-21 12:00:00",
    "channel": "credit",
    "extraP": "",
}
SIGNED = ("tranID", "orderid", "status", "domain", "amount", "currency", "appcode", "paydate")


@pytest.fixture
def harness(sandbox: Sandbox) -> Iterator[FiuuHarness]:
    made = FiuuHarness(sandbox)
    yield made
    made.speak_again()


@pytest.fixture
def provider(harness: FiuuHarness) -> FiuuProvider:
    return harness.provider


def signed(keys: Keys = KEYS, **changes: str) -> dict[str, str]:
    fields = {**TRUE, **changes}
    return {**fields, "skey": keys.notice(fields)}


def incoming(body: bytes) -> Incoming:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return Incoming(body=body, headers=kind, arguments={}, received_at=datetime.now(UTC))


def read(provider: FiuuProvider, fields: dict[str, str]) -> Notice:
    told = provider.receive(incoming(urlencode(fields).encode()))
    assert told.trust is Trust.SIGNED
    (notice,) = told.notices
    return notice


def refusal(provider: FiuuProvider, body: bytes) -> RefusedFor:
    with pytest.raises(WebhookRefused) as refused:
        provider.receive(incoming(body))
    return refused.value.reason


def test_a_true_one_tells_how_it_ended(provider: FiuuProvider) -> None:
    assert isinstance(provider, Receiver)
    assert provider.webhook_receipt == Receipt(200, "text/plain", "CBTOKEN:MPSTATOK")
    notice = read(provider, signed())
    assert (notice.reference, notice.amount, notice.currency) == (TRUE["orderid"], 10_486, "MYR")
    assert (notice.mismatch, notice.taken, notice.known_as) == (None, True, "3012345")
    result = notice.result
    assert result is not None
    assert (result.outcome, result.amount_approved) == (Outcome.APPROVED, 10_486)
    assert (result.provider_reference, result.authorization_code) == ("3012345", "A1B2")
    assert result.occurred_at == datetime(2026, 11, 21, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "taken"), [("00", True), ("11", True), ("22", True), ("33", False)]
)
def test_what_it_says(provider: FiuuProvider, status: str, taken: bool) -> None:
    """Only that it was paid. Why not is not signed, and another try may have paid."""
    notice = read(provider, signed(status=status, error_code="51", error_desc="no money"))
    assert notice.event_type == status
    assert (notice.result is not None) == (status == "00")
    assert notice.taken == taken == (status in provider.event_types)
    if notice.result is not None:
        assert (notice.result.failure_code, notice.result.failure_message) == (None, None)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("value", ["", "1", "00", "SGD"])
def test_a_signed_field_that_was_changed(provider: FiuuProvider, name: str, value: str) -> None:
    changed = {**signed(status="11"), name: value}
    body = urlencode(changed).encode()
    assert refusal(provider, body) is RefusedFor.BAD_SIGNATURE
    left_out = {key: value for key, value in changed.items() if key != name}
    assert refusal(provider, urlencode(left_out).encode()) is RefusedFor.BAD_SIGNATURE


@pytest.mark.parametrize("keys", [Keys("SB_test", "vkey", "other"), Keys("SB_test", "x", "vkey")])
def test_another_key(provider: FiuuProvider, keys: Keys) -> None:
    assert refusal(provider, urlencode(signed(keys)).encode()) is RefusedFor.BAD_SIGNATURE


@pytest.mark.parametrize("skey", [None, "", "0" * 32, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 32])
def test_no_signature_or_none_of_it(provider: FiuuProvider, skey: str | None) -> None:
    fields = TRUE if skey is None else {**TRUE, "skey": skey}
    reason = RefusedFor.BAD_SIGNATURE if skey else RefusedFor.NO_SIGNATURE
    assert refusal(provider, urlencode(fields).encode()) is reason
    assert refusal(provider, b"") is RefusedFor.NO_SIGNATURE


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"\xff\xfe",
        b"skey=%ff",
        b"&".join(b"a%d=1" % number for number in range(200)),
        urlencode([*signed().items(), ("status", "00")]).encode(),
        urlencode(signed(amount="104.861")).encode(),
        urlencode(signed(amount="-1")).encode(),
        urlencode(signed(currency="RM")).encode(),
        urlencode(signed(orderid="")).encode(),
    ],
)
def test_what_can_t_be_read(provider: FiuuProvider, body: bytes) -> None:
    assert refusal(provider, body) is RefusedFor.UNREADABLE


def test_another_merchant_is_told(provider: FiuuProvider) -> None:
    """Whoever signs with our key may still speak of another account."""
    assert read(provider, signed(domain="SB_other")).mismatch == "domain"


def test_what_is_another_s_is_told_as_it_is(provider: FiuuProvider) -> None:
    """Amount, currency and reference are compared with our rows, and not here."""
    notice = read(provider, signed(amount="1.00", currency="SGD", orderid="X-1"))
    assert (notice.reference, notice.amount, notice.currency) == ("X-1", 100, "SGD")


def test_a_callback_that_repeats_a_notification_has_its_key(provider: FiuuProvider) -> None:
    fields = signed()
    key = read(provider, fields).event_key
    for nbcb in ("1", "2"):
        assert read(provider, {**fields, "nbcb": nbcb}).event_key == key
    assert read(provider, dict(reversed(fields.items()))).event_key == key


def test_what_is_not_signed_makes_no_other_notification(provider: FiuuProvider) -> None:
    fields = signed()
    key = read(provider, fields).event_key
    unsigned = [name for name in (*fields, "anything") if name not in (*SIGNED, "skey")]
    for name in unsigned:
        assert read(provider, {**fields, name: "7"}).event_key == key
    assert read(provider, {**fields, "skey": fields["skey"].upper()}).event_key == key


def test_what_is_signed_makes_another_notification(provider: FiuuProvider) -> None:
    """Also where the same texts stand in other fields, so that the signature is the same."""
    changes = {"status": "11", "domain": "SB_other", "amount": "1.00", "currency": "SGD"}
    others = [signed(**{name: changes.get(name, "7")}) for name in SIGNED]
    shifted = {**signed(), "tranID": "301234", "orderid": f"5{TRUE['orderid']}"}
    keys = {read(provider, one).event_key for one in (signed(), *others, shifted)}
    assert len(keys) == len(SIGNED) + 2


@pytest.fixture
def aimed(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, whose webhooks go where nobody listens: what they were stands in its list."""
    url = f"{sandbox.url}/sandbox/webhooks"
    requests.put(url, json={"url": "http://127.0.0.1:1"}, timeout=PATIENCE)
    yield sandbox
    requests.put(url, json={"url": None}, timeout=PATIENCE)


def sent(sandbox: Sandbox, charge: Operation) -> list[Any]:
    told = get(sandbox, "/sandbox/webhooks")["webhooks"]
    return [one for one in told if one["reference"] == charge.reference]


@pytest.mark.parametrize(
    ("lie", "becomes"),
    [
        (None, None),
        ("bad_signature", RefusedFor.BAD_SIGNATURE),
        ("other_key", RefusedFor.BAD_SIGNATURE),
        ("other_amount", {"amount": 1}),
        ("other_currency", {"currency": "SGD"}),
        ("other_merchant", {"mismatch": "domain"}),
    ],
)
def test_the_sandbox_s_notifications(
    harness: FiuuHarness, aimed: Sandbox, lie: str | None, becomes: Any
) -> None:
    charge = an_operation(harness, TransactionType.CHARGE)
    if lie is not None:
        arm(aimed, "webhook", lie, match={"reference": charge.reference})
    harness.payer_says(charge, "yes")
    eventually(lambda: sent(aimed, charge))
    (one,) = sent(aimed, charge)
    assert one["url"] == "http://127.0.0.1:1/fiuu"
    body = str(one["body"]).encode()
    if isinstance(becomes, RefusedFor):
        assert refusal(harness.provider, body) is becomes
        return
    notice = read(harness.provider, dict(parse_qsl(body.decode(), keep_blank_values=True)))
    ours = {"reference": charge.reference, "amount": 10_000, "currency": "MYR", "mismatch": None}
    assert {name: getattr(notice, name) for name in ours} == {**ours, **(becomes or {})}
    assert notice.result is not None
    assert notice.result.outcome is Outcome.APPROVED
