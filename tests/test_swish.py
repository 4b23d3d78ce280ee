"""Swish beyond the conformance suite: pages, what its answers mean, certificates, and callbacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from payment_service.domain import money
from payment_service.domain.vocabulary import TransactionType
from payment_service.http import Tls
from payment_service.providers import swish, swish_objects
from payment_service.providers.contract import (
    NotSent,
    Operation,
    Outcome,
    OutcomeUnknown,
    Payer,
)
from payment_service.providers.swish import Merchant, SwishProvider
from payment_service.providers.swish_callbacks import HEADER, identifier, instruction_uuid, plain
from payment_service.providers.webhooks import Incoming, Notice, Trust, WebhookRefused
from tests.certificates import Authority
from tests.fixtures import MakeApp
from tests.harness import an_operation
from tests.harness_swish import ALIAS, SECRET, SwishHarness, a_phone, a_provider, says
from tests.listening import listening
from tests.logged import logged
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_server import Sandbox

CHARGE, VOID, REFUND = TransactionType.CHARGE, TransactionType.VOID, TransactionType.REFUND


@pytest.fixture
def harness(sandbox: Sandbox) -> Iterator[SwishHarness]:
    yield SwishHarness(sandbox)
    disarm(sandbox)


def a_charge(harness: SwishHarness, habit: str | None = "00", **changes: Any) -> Operation:
    """With a phone of that habit, or with none."""
    payer = Payer(phone=a_phone(habit)) if habit else None
    return an_operation(harness, CHARGE, payer=payer, **changes)


def paid(harness: SwishHarness, habit: str = "00") -> Operation:
    """A charge that is paid, with its name at Swish."""
    charge = a_charge(harness, habit)
    harness.provider.ask(charge)
    harness.payer_says(charge, "yes")
    found = harness.provider.lookup(charge)
    assert found is not None
    return replace(charge, known_as=found.provider_reference)


def a_refund(harness: SwishHarness, of: Operation, **changes: Any) -> Operation:
    about = {
        "charge_reference": of.reference,
        "provider_reference": of.known_as,
        "charge_amount": of.amount,
    }
    return an_operation(harness, REFUND, **about | changes)


def a_void(harness: SwishHarness, of: Operation) -> Operation:
    return an_operation(
        harness, VOID, charge_reference=of.reference, charge_amount=of.amount, amount=of.amount
    )


# Pages


def test_without_a_phone_it_is_a_page(harness: SwishHarness, sandbox: Sandbox) -> None:
    charge = a_charge(harness, None, return_url="https://pay.example/back?a=1")
    assert harness.provider.page(charge)
    result = harness.provider.ask(charge)
    assert result.outcome is Outcome.REQUIRES_ACTION
    assert result.next_action is not None
    token = result.next_action["token"]
    back = "https%3A%2F%2Fpay.example%2Fback%3Fa%3D1"
    assert result.next_action == {
        "type": "app",
        "token": token,
        "url": f"swish://paymentrequest?token={token}&callbackurl={back}",
        "qr": result.next_action["qr"],
    }
    assert result.next_action["qr"].startswith("data:image/png;base64,")
    known = replace(charge, known_as=result.provider_reference)
    waiting = harness.provider.lookup(known)
    assert waiting is not None
    assert (waiting.outcome, waiting.next_action) == (Outcome.REQUIRES_ACTION, None)
    assert harness.provider.lookup(charge) is None  # nobody kept the answer: nobody has the token
    url = f"{sandbox.url}/swish/phones/{token}"
    assert requests.post(url, json={"outcome": "approve"}, timeout=PATIENCE).ok
    for operation in (charge, known):
        found = harness.provider.lookup(operation)
        assert found is not None
        assert (found.outcome, found.amount_approved) == (Outcome.APPROVED, charge.amount)


@pytest.mark.parametrize("how", ["do_and_lose_answer", "do_and_500", "reset_before_reading"])
def test_a_token_that_is_lost_was_not_sent(harness: SwishHarness, how: str) -> None:
    charge = a_charge(harness, None)
    harness.fall_silent(charge, how)
    with pytest.raises(NotSent):
        harness.provider.ask(charge)
    assert harness.provider.lookup(charge) is None
    if how != "reset_before_reading":
        with pytest.raises(NotSent):  # RP09: it is there, and its token is still lost
            harness.provider.ask(charge)


def test_a_phone_that_rings_is_waiting_even_if_the_answer_was_lost(harness: SwishHarness) -> None:
    charge = a_charge(harness)
    assert not harness.provider.page(charge)
    harness.fall_silent(charge, "do_and_lose_answer")
    with pytest.raises(OutcomeUnknown):
        harness.provider.ask(charge)
    found = harness.provider.lookup(charge)
    assert found is not None
    assert (found.outcome, found.next_action) == (Outcome.REQUIRES_ACTION, {"type": "app"})
    # And also where the phone itself was not kept: Swish shows whom it asked.
    found = harness.provider.lookup(replace(charge, payer=None))
    assert found is not None
    assert found.outcome is Outcome.REQUIRES_ACTION


# What was asked for twice


@pytest.mark.parametrize("fault", ["too_many_requests", "lookup_unavailable", "lookup_not_found"])
@pytest.mark.parametrize("kind", [CHARGE, REFUND])
def test_what_is_there_is_never_told_as_not_sent(
    harness: SwishHarness, sandbox: Sandbox, kind: TransactionType, fault: str
) -> None:
    operation = a_charge(harness) if kind is CHARGE else a_refund(harness, paid(harness))
    first = harness.provider.ask(operation)
    assert harness.provider.ask(operation).outcome is first.outcome
    match = {"id": instruction_uuid(operation.reference)}
    arm(sandbox, "lookup", fault, times=0, match=match)
    with pytest.raises(OutcomeUnknown):
        harness.provider.ask(operation)
    assert harness.times_done(operation) == 1


def test_a_request_that_hangs_is_unknown(harness: SwishHarness) -> None:
    charge = a_charge(harness)
    harness.fall_silent(charge, "do_and_hang")
    harness.provider.limits = replace(LIMITS, timeout=1.5)
    with pytest.raises(OutcomeUnknown):
        harness.provider.ask(charge)
    harness.provider.limits = LIMITS
    found = harness.provider.lookup(charge)
    assert found is not None
    assert found.outcome is Outcome.REQUIRES_ACTION


# Its words


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("AM04", "insufficient_funds"),
        ("AM02", "limit_exceeded"),
        ("ACMT03", "method_not_supported"),
        ("VR01", "method_not_supported"),
        ("VR02", "method_not_supported"),
        ("BE18", "invalid_token"),
        ("RP06", "provider_declined"),
        ("ACMT07", "provider_declined"),
    ],
)
def test_what_is_refused_is_declined(harness: SwishHarness, code: str, ours: str) -> None:
    charge = a_charge(harness, description=code)
    result = harness.provider.ask(charge)
    assert (result.outcome, result.failure_code) == (Outcome.DECLINED, ours)
    assert (result.failure_message or "").startswith(code)
    assert harness.provider.lookup(charge) is None


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("RF07", "cancelled_by_payer"),
        ("BANKIDCL", "cancelled_by_payer"),
        ("FF10", "provider_declined"),
        ("TM01", "provider_declined"),
    ],
)
def test_what_ends_without_money_is_declined(
    harness: SwishHarness, sandbox: Sandbox, code: str, ours: str
) -> None:
    charge = a_charge(harness)
    harness.provider.ask(charge)
    says(sandbox, charge, code)
    found = harness.provider.lookup(charge)
    assert found is not None
    assert (found.outcome, found.failure_code) == (Outcome.DECLINED, ours)
    assert (found.failure_message or "").startswith(code)


@pytest.mark.parametrize("kind", [CHARGE, REFUND])
def test_what_swish_does_not_know_is_unknown_until_it_does(
    harness: SwishHarness, sandbox: Sandbox, kind: TransactionType
) -> None:
    operation = a_charge(harness) if kind is CHARGE else a_refund(harness, paid(harness))
    harness.provider.ask(operation)
    says(sandbox, operation, "DS24")
    with pytest.raises(OutcomeUnknown):
        harness.provider.lookup(operation)
    says(sandbox, operation, "approve")
    found = harness.provider.lookup(operation)
    assert found is not None
    assert found.outcome is Outcome.APPROVED


def test_a_wait_ends_by_a_void_and_what_is_paid_does_not(harness: SwishHarness) -> None:
    charge = a_charge(harness)
    void = a_void(harness, charge)
    with pytest.raises(OutcomeUnknown):  # nothing is there that could be cancelled
        harness.provider.lookup(void)
    harness.provider.ask(charge)
    assert harness.provider.lookup(void) is None  # it waits: nobody has cancelled it
    assert harness.provider.ask(void).outcome is Outcome.APPROVED
    ended = harness.provider.lookup(charge)
    assert ended is not None
    assert ended.outcome is Outcome.DECLINED
    void = a_void(harness, paid(harness))
    for result in (harness.provider.ask(void), harness.provider.lookup(void)):
        assert result is not None
        assert (result.outcome, result.failure_code) == (Outcome.DECLINED, "not_voidable")


def test_refunds_in_parts_and_no_more_than_there_is(harness: SwishHarness) -> None:
    charge = paid(harness, "33")  # whose bank takes refunds at once
    for amount, outcome in ((4_000, Outcome.PENDING), (6_000, Outcome.PENDING)):
        refund = a_refund(harness, charge, amount=amount)
        assert harness.provider.ask(refund).outcome is outcome
        found = harness.provider.lookup(refund)
        assert found is not None
        assert (found.outcome, found.amount_approved) == (Outcome.APPROVED, amount)
    refused = harness.provider.ask(a_refund(harness, charge, amount=1))
    assert (refused.outcome, refused.failure_code) == (
        Outcome.DECLINED,
        "refund_exceeds_captured",
    )
    with pytest.raises(NotSent):
        harness.provider.ask(a_refund(harness, paid(harness), description="RF09"))
    refund = a_refund(harness, paid(harness, "99"))
    harness.provider.ask(refund)
    failed = harness.provider.lookup(refund)
    assert failed is not None
    assert failed.outcome is Outcome.DECLINED


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("100.00", 10_000),
        ("100", 10_000),
        (100, 10_000),
        (Decimal("100.0"), 10_000),
        (Decimal("104.86"), 10_486),
        ("1E+2", 10_000),
        ("0.01", 1),
    ],
)
def test_amounts_are_read_by_value(written: Any, minor: int) -> None:
    assert swish_objects.minor(written, "SEK") == minor


@pytest.mark.parametrize(
    "written",
    [None, True, "", "ten", "1.001", "NaN", "Infinity", "1E+999999999", [], Decimal("NaN")],
)
def test_what_is_no_amount_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match=r"amount|decimals"):
        swish_objects.minor(written, "SEK")


def test_amounts_as_numbers_and_as_text_are_the_same(
    harness: SwishHarness, sandbox: Sandbox
) -> None:
    """The sandbox writes them in both ways, by the last digit of the UUID."""
    seen = set()
    while len(seen) < 2:
        charge = a_charge(harness, "11", amount=10_450)
        harness.provider.ask(charge)
        found = harness.provider.lookup(charge)
        assert found is not None
        assert found.outcome is Outcome.APPROVED
        rows = get(sandbox, "/swish/payments")["payments"]
        (row,) = [row for row in rows if row["id"] == instruction_uuid(charge.reference)]
        seen.add(type(row["amount"]))
    assert seen == {str, float}


def test_messages_have_only_signs_that_swish_takes() -> None:
    assert swish_objects.message("Resa 32 <b>Åre & Malmö</b> +46701234567") == (
        "Resa 32  b Åre   Malmö  b   46701234567"
    )
    assert swish_objects.message("x" * 60) == "x" * 50
    assert swish_objects.message("<>") is None
    assert swish_objects.message(None) is None


class Canned(BaseHTTPRequestHandler):
    """Answers as it is told."""

    status = 200
    body: Any = None

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_PATCH = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def a_server() -> Iterator[tuple[SwishProvider, type[Canned]]]:
    class Own(Canned):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    url = f"http://127.0.0.1:{server.server_port}"
    with listening(server):
        yield SwishProvider(url, Tls(), Merchant(ALIAS, SECRET, "https://x.example"), LIMITS), Own


def test_each_answer_to_a_request_means_what_the_table_says(harness: SwishHarness) -> None:
    charge, refund = a_charge(harness), a_refund(harness, a_charge(harness))
    with a_server() as (provider, told):
        for status, expected in {
            **dict.fromkeys((400, 401, 403, 429), NotSent),
            **dict.fromkeys(
                (200, 202, 204, 301, 404, 405, 409, 418, 500, 502, 503), OutcomeUnknown
            ),
        }.items():
            told.status, told.body = status, b""
            for operation in (charge, refund, a_void(harness, charge)):
                with pytest.raises(expected):
                    provider.ask(operation)
        told.status = 422
        for body in (b"", b"<html>", {}, [], [{}], ["AM04"], [{"errorCode": "DS24"}], None):
            told.body = body
            with pytest.raises(OutcomeUnknown):
                provider.ask(charge)
        told.body = [{"errorCode": "FF08", "errorMessage": None}, {"errorCode": "RP03"}]
        assert provider.ask(charge).failure_code == "provider_declined"
        told.status, told.body = 201, b""
        with pytest.raises(NotSent):  # a page without a token is none
            provider.ask(replace(charge, payer=None))


def test_a_404_that_is_no_answer_of_swish_s_says_nothing(harness: SwishHarness) -> None:
    """What stands in front of it, or another address, answers with a page."""
    charge, refund = a_charge(harness), a_refund(harness, a_charge(harness))
    with a_server() as (provider, told):
        told.status = 404
        for operation in (charge, refund):
            for body in (b"", {}, [{"errorCode": "RP04"}]):
                told.body = body
                assert provider.lookup(operation) is None
            for page in (b"<html><h1>404</h1>", b"\r\n <!DOCTYPE html>"):
                told.body = page
                with pytest.raises(OutcomeUnknown):
                    provider.lookup(operation)


GOOD: dict[str, Any] = {
    "payerAlias": "46701234567",
    "payeeAlias": ALIAS,
    "amount": 100,
    "currency": "SEK",
    "status": "PAID",
    "paymentReference": "0123456789ABCDEF0123456789ABCDEF",
    "datePaid": "2026-11-22T12:00:00.123Z",
}


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "0" * 32},
        {"payeePaymentReference": "PAY20260101AAAAAAAAAAAA1"},
        {"amount": "100.01"},
        {"amount": None},
        {"currency": "EUR"},
        {"payeeAlias": "1239999999"},
        {"status": "DONE"},
        {"status": None},
        {"status": ["PAID"]},
        {"paymentReference": None},
        {"paymentReference": 7},
    ],
)
def test_an_object_that_does_not_fit_tells_nothing(
    harness: SwishHarness, odd: dict[str, Any]
) -> None:
    charge = a_charge(harness)
    names = {
        "id": instruction_uuid(charge.reference),
        "payeePaymentReference": plain(charge.reference),
    }
    with a_server() as (provider, told):
        told.body = GOOD | names
        found = provider.lookup(charge)
        assert found is not None
        assert found.outcome is Outcome.APPROVED
        assert found.occurred_at == datetime(2026, 11, 22, 12, 0, 0, 123000, UTC)
        for body in (GOOD | names | odd, [GOOD | names], None):
            told.body = body
            with pytest.raises(OutcomeUnknown):
                provider.lookup(charge)


@pytest.mark.parametrize("named", [{"paymentReference": None}, {}])
def test_a_refund_is_done_also_without_a_payment_reference(
    harness: SwishHarness, named: dict[str, Any]
) -> None:
    refund = a_refund(harness, a_charge(harness))
    uuid = instruction_uuid(refund.reference)
    names = {"id": uuid, "payerPaymentReference": plain(refund.reference), "payerAlias": ALIAS}
    done = {name: GOOD[name] for name in ("currency", "status", "datePaid")}
    with a_server() as (provider, told):
        told.body = {**done, **names, **named, "amount": money.format_amount(refund.amount, "SEK")}
        found = provider.lookup(refund)
    assert found is not None
    assert (found.outcome, found.provider_reference) == (Outcome.APPROVED, uuid)
    assert found.amount_approved == refund.amount


# Certificates


def test_who_shows_no_good_certificate_has_sent_nothing(
    harness: SwishHarness, sandbox: Sandbox, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").vouch_for(ALIAS)
    good = sandbox.authority.tls(ALIAS)
    over = sandbox.authority.tls(ALIAS, lasts=-timedelta(hours=1))
    other = sandbox.authority.tls("1239999999")
    nothing = Tls(ca=good.ca)
    missing = replace(good, cert=str(tmp_path / "gone.pem"))
    unbelieved = replace(good, ca=str(tmp_path / "stranger.pem"))
    foreign = Tls(str(stranger[0]), str(stranger[1]), good.ca)
    for kind in (CHARGE, REFUND):
        for tls, why in (
            (nothing, "certificate"),
            (foreign, "certificate"),
            (over, "certificate"),
            (missing, "certificate"),
            (unbelieved, "certificate"),
            (other, None),
        ):
            operation = (
                a_charge(harness) if kind is CHARGE else a_refund(harness, a_charge(harness))
            )
            with logged(swish) as told, pytest.raises(NotSent):
                a_provider(sandbox, tls).ask(operation)
            assert [line["reference"] for line in told] == [operation.reference]
            if why is None:
                assert (told[0]["event"], told[0]["status"]) == ("swish_refused_us", 403)
            else:
                assert why in told[0]["why"].lower()
            assert harness.times_done(operation) == 0


def test_on_the_other_port_there_is_no_swish(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/swish-cpcapi/api/v1/paymentrequests/{'0' * 32}"
    assert requests.get(url, timeout=PATIENCE).json()["error"] == "not_found"
    assert requests.put(url.replace("v1", "v2"), json={}, timeout=PATIENCE).status_code == 404


@pytest.mark.parametrize(
    ("days", "told"), [(400, None), (31, None), (29, "ends at"), (-1, "ends at"), (None, "read")]
)
def test_a_certificate_that_ends_soon_is_told(
    make_app: MakeApp, tmp_path: Path, days: int | None, told: str | None
) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.vouch_for(ALIAS, lasts=timedelta(days=days or 1))
    if days is None:
        cert.write_text("no certificate")
    app = make_app(
        swish_api_url="https://127.0.0.1:1",
        swish_cert_path=str(cert),
        swish_key_path=str(key),
        swish_ca_path=str(authority.ca),
        swish_payee_alias=ALIAS,
        swish_callback_secret=SECRET,
        public_url="https://pay.example",
    )
    client = app.test_client()
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    warnings = ready.json.get("warnings")
    assert (warnings is None) == (told is None)
    if told is not None:
        (warning,) = warnings
        assert told in warning
        assert "swish" in warning
    name = "payment_service_provider_certificate_ends_timestamp_seconds"
    lines = client.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith(f'{name}{{provider="swish"}}')]
    ends = float(line.split()[1])
    left = ends - datetime.now(UTC).timestamp()
    assert ends == 0 if days is None else abs(left - days * 86400) < 3600


# Callbacks


def a_callback(operation: Operation, **changes: Any) -> dict[str, Any]:
    ours = "payerPaymentReference" if operation.type is REFUND else "payeePaymentReference"
    merchant = "payerAlias" if operation.type is REFUND else "payeeAlias"
    body = GOOD | {"payerAlias": "46701234567", "payeeAlias": "46701234567"}
    return (
        body
        | {"id": instruction_uuid(operation.reference), ours: plain(operation.reference)}
        | {merchant: ALIAS}
        | changes
    )


def incoming(body: Any, shown: str | None) -> Incoming:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | ({HEADER: shown} if shown else {})
    return Incoming(body=raw, headers=headers, arguments={}, received_at=datetime.now(UTC))


def shown_for(operation: Operation, secret: str = SECRET) -> str:
    return identifier(instruction_uuid(operation.reference), secret)


@pytest.mark.parametrize("kind", [CHARGE, REFUND])
def test_a_callback_only_makes_us_look(harness: SwishHarness, kind: TransactionType) -> None:
    operation = an_operation(harness, kind)
    read = harness.provider.receive(incoming(a_callback(operation), shown_for(operation)))
    uuid = instruction_uuid(operation.reference)
    assert read.trust is Trust.UNSIGNED
    assert read.notices == (
        Notice(
            event_key=f"{uuid}:PAID",
            event_type="PAID",
            reference=operation.reference,
            amount=10_000,
            currency="SEK",
        ),
    )
    again = harness.provider.receive(incoming(a_callback(operation), shown_for(operation)))
    assert again == read


def test_callbacks_that_are_none_of_swish_s_are_refused(harness: SwishHarness) -> None:
    charge, other = a_charge(harness), a_charge(harness)
    true = a_callback(charge)
    for body, shown, reason in (
        (true, None, "no_signature"),
        (true, "", "no_signature"),
        (true, "0" * 32, "bad_signature"),
        (true, shown_for(charge, "another secret of callbacks, 1234"), "bad_signature"),
        (true, shown_for(other), "bad_signature"),
        (true, "\u00e9" * 32, "bad_signature"),
        (true | {"id": instruction_uuid(other.reference)}, shown_for(charge), "bad_signature"),
        (true | {"id": None}, shown_for(charge), "unreadable"),
        (true | {"id": "../etc"}, shown_for(charge), "unreadable"),
        (true | {"status": "DONE"}, shown_for(charge), "unreadable"),
        (true | {"status": None}, shown_for(charge), "unreadable"),
        ([true], shown_for(charge), "unreadable"),
        (b"", shown_for(charge), "unreadable"),
        (b"\xff", shown_for(charge), "unreadable"),
        (b"[" * 100_000, shown_for(charge), "unreadable"),
        (b'{"id": 1, "id": 2}', shown_for(charge), "unreadable"),
    ):
        with pytest.raises(WebhookRefused) as refused:
            harness.provider.receive(incoming(body, shown))
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"amount": 101}, {"amount": 10_100}),
        ({"amount": "100.000"}, {"amount": 10_000}),
        ({"amount": "much"}, {"amount": None}),
        ({"currency": "EUR"}, {"currency": "EUR"}),
        ({"currency": 7}, {"currency": None, "amount": None}),
        ({"payeeAlias": "1239999999"}, {"mismatch": "another merchant"}),
        ({"payeeAlias": None}, {"mismatch": "another merchant"}),
        ({"status": "ERROR"}, {"event_type": "ERROR"}),
        ({"payeePaymentReference": "PAY20260101AAAAAAAAAAAA1"}, {"reference": None}),
        ({"payeePaymentReference": None}, {"reference": None}),
    ],
)
def test_what_a_callback_says_is_told_as_it_says_it(
    harness: SwishHarness, changed: dict[str, Any], told: dict[str, Any]
) -> None:
    charge = a_charge(harness)
    body = a_callback(charge, **changed)
    read = harness.provider.receive(incoming(body, shown_for(charge)))
    (notice,) = read.notices
    assert read.trust is Trust.UNSIGNED
    assert notice.result is None
    assert {name: getattr(notice, name) for name in told} == told
    if notice.reference is None:
        assert notice.known_as == instruction_uuid(charge.reference)


@pytest.mark.parametrize(
    "lie", [None, "bad_signature", "other_key", "other_amount", "other_merchant"]
)
def test_the_sandbox_calls_back(harness: SwishHarness, sandbox: Sandbox, lie: str | None) -> None:
    charge = a_charge(harness)
    provider = a_provider(sandbox, callback_url=f"{sandbox.url}/v1/notifications")
    if lie:
        arm(sandbox, "webhook", lie, match={"reference": plain(charge.reference)})
    provider.ask(charge)
    says(sandbox, charge, "approve")

    def heard() -> list[Any]:
        inbox = get(sandbox, "/sandbox/inbox?service=notification")["inbox"]
        return [one for one in inbox if plain(charge.reference) in one["raw"]]

    eventually(lambda: len(heard()) == 1)
    (one,) = heard()
    arrived = Incoming(
        body=one["raw"].encode(),
        headers=one["headers"],
        arguments={},
        received_at=datetime.now(UTC),
    )
    if lie in ("bad_signature", "other_key"):
        with pytest.raises(WebhookRefused):
            provider.receive(arrived)
        return
    (notice,) = provider.receive(arrived).notices
    assert (notice.reference, notice.event_type) == (charge.reference, "PAID")
    assert (notice.amount == charge.amount) == (lie != "other_amount")
    assert (notice.mismatch is None) == (lie != "other_merchant")
