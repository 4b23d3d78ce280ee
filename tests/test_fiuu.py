"""What is Fiuu's own: signatures, its page, what it says of an order, refunds, the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from prometheus_client import REGISTRY

from payment_service import http, read_settings
from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import NotSent, Operation, Outcome, OutcomeUnknown
from payment_service.providers.fiuu import Fiuu, FiuuProvider, fiuu_of, reading, wire
from payment_service.providers.fiuu.signatures import Keys
from tests.fixtures import IN_PRODUCTION
from tests.harness import an_operation, asked, done, found, prepared
from tests.harness_fiuu import KEYS, FiuuHarness, account
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_calls import get
from tests.sandbox_server import Sandbox

CHARGE, HOLD = TransactionType.CHARGE, TransactionType.AUTHORIZATION
CAPTURE, REFUND = TransactionType.CAPTURE, TransactionType.REFUND


class Altered(FiuuProvider):
    """Somebody between Fiuu and us changes what Fiuu says."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(account(sandbox), LIMITS)
        self.changes: dict[str, dict[str, Any]] = {}

    def _post(self, endpoint: str, fields: dict[str, str]) -> Any:
        said, changes = super()._post(endpoint, fields), self.changes.get(endpoint, {})
        if isinstance(said, list):
            return [{**row, **changes} for row in said]
        return changes if "error_code" in changes else {**said, **changes}


@pytest.fixture
def harness(sandbox: Sandbox) -> Iterator[FiuuHarness]:
    made = FiuuHarness(sandbox)
    yield made
    made.speak_again()


@pytest.fixture
def altered(harness: FiuuHarness, sandbox: Sandbox) -> Altered:
    harness.provider = Altered(sandbox)
    return harness.provider


def a_charge(harness: FiuuHarness, **changes: Any) -> Operation:
    return an_operation(harness, CHARGE, **changes)


def test_the_worked_signatures() -> None:
    """As they were computed, or accepted, by other people's code."""
    told = {
        "tranID": "3012345",
        "orderid": "PAY-1",
        "status": "00",
        "domain": "SB_test",
        "amount": "104.86",
        "currency": "MYR",
        "appcode": "A1B2",
        "paydate": "2026-11-21 12:00:00",
    }
    assert [
        KEYS.query("3012345", "104.86"),
        KEYS.capture("3012345", "100.00"),
        KEYS.void("3012345"),
        KEYS.refund("P", "PAY-1-4", "3012345", "4.86"),
        KEYS.refund_query("3012345"),
        KEYS.notice(told),
    ] == [
        "20b9b2a3302c89e04a516c47babff2c4",
        "9ae6dce83611f4dc09d61fa73c3198c1",
        "3d63e5bee43a710fd81bd6ad92980ec0",
        "33308651bc39bce75c4ba11742bfe6c5",
        "b4d0ebb165f6ecfc681e32103f221a54",
        "2c063ea672f4e7fcd8717c235ad96966",
    ]
    assert "key" not in repr(KEYS)


def test_the_page_is_a_form_that_fiuu_takes(harness: FiuuHarness, sandbox: Sandbox) -> None:
    harness.provider = FiuuProvider(
        account(sandbox, public_url="https://pay.example.com", extended_vcode=True), LIMITS
    )
    charge = a_charge(harness, amount=10_450, channel="fpx", description="two\r\nlines | 1")
    before = len(get(sandbox, "/psp/requests")["requests"])
    action = harness.provider.ask(charge).next_action
    assert action is not None
    assert action == harness.provider.ask(charge).next_action
    assert len(get(sandbox, "/psp/requests")["requests"]) == before
    form = dict(action["form"])
    assert action["url"] == f"{sandbox.url}/fiuu/RMS/pay/SB_test/fpx"
    assert len(form.pop("vcode")) == 32
    assert form == {
        "amount": "104.50",
        "orderid": charge.reference,
        "bill_name": "A   B",
        "bill_email": "payer@example.com",
        "bill_mobile": "+60123456789",
        "bill_desc": "two lines   1",
        "country": "MY",
        "currency": "MYR",
        "channel": "fpx",
        "returnurl": harness.return_url,
        "callbackurl": "https://pay.example.com/v1/webhooks/fiuu",
    }
    assert harness.open_page(charge).status_code == 200
    changed = {**action["form"], "amount": "1.00"}
    assert changed["vcode"]
    assert requests.post(action["url"], data=changed, timeout=PATIENCE).status_code == 400


def test_a_hold_is_said_on_the_page(harness: FiuuHarness, sandbox: Sandbox) -> None:
    harness.provider = FiuuProvider(account(sandbox, hold_field=("kind", "HOLD")), LIMITS)
    for kind, told in ((CHARGE, None), (HOLD, "HOLD")):
        action = harness.provider.ask(an_operation(harness, kind)).next_action
        assert action is not None
        assert action["form"].get("kind") == told


@pytest.mark.parametrize(
    "words", [("yes", "no"), ("no", "yes"), ("no", "no", "yes", "no"), ("yes", "pending")]
)
def test_of_two_windows_the_one_that_paid_counts(harness: FiuuHarness, words: Any) -> None:
    _, known = asked(harness, a_charge(harness))
    for word in words:
        harness.payer_says(known, word)
    result, known = found(harness, known, Outcome.APPROVED)
    assert (result.amount_approved, result.failure_code) == (known.amount, None)
    found(harness, known, Outcome.APPROVED)


@pytest.mark.parametrize("last", ["no", "pending"])
def test_ten_tries_of_which_none_paid_may_not_be_all(harness: FiuuHarness, last: Any) -> None:
    """Only the ten newest are told."""
    _, known = asked(harness, a_charge(harness))
    harness.payer_says(known, "yes")
    for _ in range(9):
        harness.payer_says(known, last)
    found(harness, known, Outcome.APPROVED)
    harness.payer_says(known, last)
    with pytest.raises(OutcomeUnknown, match="more tries"):
        harness.provider.lookup(known)


def test_a_page_paid_twice_stays_with_the_first(harness: FiuuHarness, sandbox: Sandbox) -> None:
    first, known = done(harness, a_charge(harness))
    harness.payer_says(known, "yes")
    again, _ = found(harness, known, Outcome.APPROVED)
    unnamed, _ = found(harness, replace(known, known_as=None), Outcome.APPROVED)
    assert first.provider_reference == again.provider_reference == unnamed.provider_reference
    (other,) = again.also
    assert (first.also, unnamed.also) == ((), (other,))
    assert (other.outcome, other.amount_approved) == (Outcome.APPROVED, known.amount)
    paid = [
        row["id"]
        for row in get(sandbox, "/fiuu/RMS/transactions")["transactions"]
        if row["order"] == known.reference
    ]
    assert paid == [first.provider_reference, other.provider_reference]
    listed = [
        one.provider_reference
        for one in harness.provider.since(known.begun_at)
        if one.reference == known.reference
    ]
    assert listed == paid
    # The second one is given back by its own number.
    back = prepared(harness, REFUND, charge_reference=known.reference, provider_reference=paid[1])
    result, _ = done(harness, back)
    assert result.amount_approved == back.amount


def test_a_pending_payment_waits(harness: FiuuHarness) -> None:
    _, known = asked(harness, a_charge(harness))
    harness.payer_says(known, "pending")
    _, known = found(harness, known, Outcome.PENDING)
    harness.payer_says(known, "yes")
    found(harness, known, Outcome.APPROVED)


@pytest.mark.parametrize(
    ("code", "name", "charge", "hold"),
    [
        ("00", "captured", Outcome.APPROVED, None),
        ("00", "Settled", Outcome.APPROVED, None),
        ("00", "chargeback", Outcome.APPROVED, None),
        ("00", "ReqCancel", Outcome.APPROVED, None),
        ("00", "authorized", Outcome.PENDING, Outcome.APPROVED),
        ("00", "cancelled", Outcome.DECLINED, Outcome.DECLINED),
        ("11", "failed", Outcome.DECLINED, Outcome.DECLINED),
        ("11", "blocked", Outcome.DECLINED, Outcome.DECLINED),
        ("22", "Pending", Outcome.PENDING, Outcome.PENDING),
        ("00", "reject/hold", Outcome.PENDING, Outcome.PENDING),
        ("11", "captured", None, None),
        ("00", "failed", None, None),
        ("00", "", None, None),
        ("33", "captured", None, None),
    ],
)
def test_what_a_status_means(code: str, name: str, charge: Any, hold: Any) -> None:
    told = {"StatCode": code, "StatName": name}
    for kind, outcome in ((CHARGE, charge), (HOLD, hold)):
        if outcome is None:
            with pytest.raises(OutcomeUnknown):
                reading.outcome_of(reading.transaction(told), kind)
        else:
            assert reading.outcome_of(reading.transaction(told), kind) is outcome


@pytest.mark.parametrize("endpoint", ["requery", "batch"])
@pytest.mark.parametrize(
    "change",
    [
        {"Amount": "99.99"},
        {"StatCode": "11"},
        {"Domain": "SB_other"},
        {"OrderID": "PAY-1"},
        {"Currency": "SGD"},
        {"VrfKey": "0" * 32},
        {"VrfKey": None},
        {"StatCode": True},
    ],
)
def test_a_requery_that_was_changed_is_unknown(
    altered: Altered, harness: FiuuHarness, endpoint: str, change: dict[str, Any]
) -> None:
    _, known = done(harness, a_charge(harness))
    altered.changes = {endpoint: change}
    with pytest.raises(OutcomeUnknown):
        altered.lookup(known)
    altered.changes = {}
    found(harness, known, Outcome.APPROVED)


def signed_anew(**told: str) -> dict[str, str]:
    """What Fiuu says of another merchant, order or amount, truly signed with our key."""
    keys = Keys(told["Domain"], KEYS.verify_key, KEYS.secret_key)
    return {**told, "VrfKey": keys.told(told["Amount"], told["OrderID"], told["StatCode"])}


@pytest.mark.parametrize("name", ["Amount", "Domain", "OrderID", "Currency"])
def test_what_is_signed_must_be_ours(altered: Altered, harness: FiuuHarness, name: str) -> None:
    _, known = done(harness, a_charge(harness))
    ours = {"Amount": "100.00", "Domain": "SB_test", "OrderID": known.reference, "StatCode": "00"}
    altered.changes = {"requery": signed_anew(**ours)}
    found(harness, known, Outcome.APPROVED)
    altered.changes = {"requery": signed_anew(**{**ours, "Currency": "MYR", name: "1.00"})}
    with pytest.raises(OutcomeUnknown):
        altered.lookup(known)


def test_a_requery_and_the_batch_must_agree(altered: Altered, harness: FiuuHarness) -> None:
    _, known = done(harness, a_charge(harness))
    altered.changes = {"batch": {"TranID": "7"}}
    with pytest.raises(OutcomeUnknown):
        altered.lookup(known)


@pytest.mark.parametrize(
    "change",
    [
        {"Amount": "1.00"},
        {"Status": "00"},
        {"RefID": "PAY-1-9"},
        {"TxnID": "7"},
        {"RefundID": "7"},
        {"MerchantID": "SB_other"},
        {"RefundType": "F"},
        {"Signature": "0" * 32},
        {"Signature": ""},
    ],
)
def test_a_refund_s_answer_that_was_changed_is_unknown(
    altered: Altered, harness: FiuuHarness, change: dict[str, str]
) -> None:
    refund = prepared(harness, REFUND)
    altered.changes = {"refund": change}
    with pytest.raises(OutcomeUnknown):
        altered.ask(refund)
    assert harness.times_done(refund) == 1
    found(harness, refund, Outcome.PENDING)


@pytest.mark.parametrize(
    "change", [{"RefID": "PAY-1-9"}, {"TxnID": "7"}, {"Amount": "1.00"}, {"Status": "lost"}]
)
def test_a_refund_that_is_not_this_one_is_unknown(
    altered: Altered, harness: FiuuHarness, change: dict[str, str]
) -> None:
    _, known = asked(harness, prepared(harness, REFUND))
    altered.changes = {"refund_query": change}
    with pytest.raises(OutcomeUnknown):
        altered.lookup(known)


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        *((f"PR00{number}", NotSent) for number in range(1, 9)),
        *((code, "provider_declined") for code in ("PR009", "PR010", "PR012", "PR020")),
        ("PR011", "refund_exceeds_captured"),
        ("PR015", OutcomeUnknown),
        ("PR016", OutcomeUnknown),
        ("PR999", OutcomeUnknown),
    ],
)
def test_a_refund_that_fiuu_refuses(
    altered: Altered, harness: FiuuHarness, code: str, ending: Any
) -> None:
    """PR016 says that the reference was used: here by nobody that a look-up finds."""
    refund = prepared(harness, REFUND)
    empty = {"error_code": code, "error_desc": "why"}
    altered.changes = {"refund": empty, "refund_query": {"RefID": ""}}
    if isinstance(ending, str):
        result = altered.ask(refund)
        assert (result.outcome, result.failure_code) == (Outcome.DECLINED, ending)
        assert result.failure_message == f"{code} why"
        return
    with pytest.raises(ending):
        altered.ask(refund)


def refused(how: str) -> http.Response:
    """What meets a request that nobody looked at."""
    if how == "unreachable":
        raise http.Unreachable("no connection")
    headers = {"Content-Type": "text/html"}
    return http.Response(429 if how == "too_many" else 403, headers, b"<p>no</p>")


@pytest.mark.parametrize("how", ["unreachable", "too_many", "refused_in_front"])
@pytest.mark.parametrize("kind", [CAPTURE, TransactionType.VOID, REFUND])
def test_a_read_that_is_not_sent_says_nothing_of_the_write_before_it(
    harness: FiuuHarness, monkeypatch: pytest.MonkeyPatch, kind: TransactionType, how: str
) -> None:
    """A capture or void is told by the requery after it, a used RefID by the refund query; a write
    that was not sent itself is NotSent."""
    operation = prepared(harness, kind)
    if kind is REFUND:
        asked(harness, operation)  # so that the next one is PR016
    call, written = http.call, {wire.PATHS[endpoint] for endpoint in wire.WRITES}

    def reads_fail(method: str, url: str, **kwargs: Any) -> http.Response:
        return call(method, url, **kwargs) if url[url.index("/RMS") :] in written else refused(how)

    monkeypatch.setattr(http, "call", reads_fail)
    with pytest.raises(OutcomeUnknown, match="not told"):
        harness.provider.ask(operation)
    monkeypatch.setattr(http, "call", lambda *_, **__: refused(how))
    with pytest.raises(NotSent):
        harness.provider.ask(operation)
    monkeypatch.setattr(http, "call", call)
    assert harness.times_done(operation) == 1
    found(harness, operation, Outcome.PENDING if kind is REFUND else Outcome.APPROVED)


def test_wrong_keys_are_seen_before_anything_moves(harness: FiuuHarness, sandbox: Sandbox) -> None:
    refund, capture = prepared(harness, REFUND), prepared(harness, CAPTURE)
    keys = Keys("SB_test", "another", "another")
    harness.provider = FiuuProvider(account(sandbox, keys=keys), LIMITS)
    with pytest.raises(NotSent):
        harness.provider.ask(refund)
    for call in (harness.provider.ask, harness.provider.lookup):
        with pytest.raises(OutcomeUnknown):
            call(capture)
    assert harness.times_done(refund) == harness.times_done(capture) == 0


def test_what_nobody_has_paid_is_not_captured_or_given_back(harness: FiuuHarness) -> None:
    for kind in (CAPTURE, TransactionType.VOID, REFUND):
        result = harness.provider.ask(an_operation(harness, kind, charge_reference="PAY-1-1"))
        assert result.outcome is Outcome.DECLINED


def test_a_capture_names_the_hold_as_the_account_has_it(
    harness: FiuuHarness, sandbox: Sandbox
) -> None:
    harness.provider = FiuuProvider(account(sandbox, capture_id="tranID"), LIMITS)
    capture = prepared(harness, CAPTURE, amount=4_000)
    result, _ = done(harness, capture)
    assert result.amount_approved == 4_000
    noted = [one["reference"] for one in get(sandbox, "/psp/requests")["requests"]]
    assert capture.reference in noted


def test_only_cards_are_held(harness: FiuuHarness) -> None:
    hold = an_operation(harness, HOLD, method=Method.WALLET)
    result = harness.provider.ask(hold)
    assert (result.outcome, result.failure_code) == (Outcome.DECLINED, "method_not_supported")
    assert result.next_action is None
    found(harness, hold, Outcome.DECLINED)
    charge = a_charge(harness, method=Method.WALLET)
    assert harness.provider.ask(charge).outcome is Outcome.REQUIRES_ACTION


def test_a_hold_that_was_taken_without_us_is_unknown(
    harness: FiuuHarness, sandbox: Sandbox
) -> None:
    """As it happens on an account that may not hold. One that we know may be captured by us."""
    harness.provider = FiuuProvider(account(sandbox, hold_field=("kind", "HOLD")), LIMITS)
    _, hold = asked(harness, an_operation(harness, HOLD))
    harness.payer_says(hold, "yes")
    with pytest.raises(OutcomeUnknown):
        harness.provider.lookup(hold)
    rows = get(sandbox, "/fiuu/RMS/transactions")["transactions"]
    (number,) = [row["id"] for row in rows if row["order"] == hold.reference]
    found(harness, replace(hold, known_as=number), Outcome.APPROVED)


def test_a_hold_that_was_given_back_is_not_captured(harness: FiuuHarness) -> None:
    void = prepared(harness, TransactionType.VOID)
    done(harness, void)
    about = ("charge_reference", "provider_reference", "charge_amount")
    known = {name: getattr(void, name) for name in about}
    result = harness.provider.ask(an_operation(harness, CAPTURE, **known))
    assert (result.outcome, result.failure_code) == (Outcome.DECLINED, "not_capturable")


def test_times_are_malaysia_s(harness: FiuuHarness) -> None:
    assert reading.moment("2026-11-21 12:00:00") == datetime(2026, 11, 21, 4, tzinfo=UTC)
    assert reading.moment("21/11/2026") is None
    result, known = done(harness, a_charge(harness))
    assert result.occurred_at is not None
    assert known.begun_at.replace(microsecond=0) <= result.occurred_at <= datetime.now(UTC)


def test_the_report_s_later_line_wins(altered: Altered, harness: FiuuHarness) -> None:
    _, known = asked(harness, a_charge(harness))
    for word in ("no", "yes", "no"):
        harness.payer_says(known, word)
    (one,) = [one for one in altered.since(known.begun_at) if one.reference == known.reference]
    assert (one.outcome, one.type, one.amount) == (Outcome.APPROVED, CHARGE, 10_000)
    altered.changes = {"report": {"StatName": "something new"}}
    told = [one for one in altered.since(known.begun_at) if one.reference == known.reference]
    assert [one.outcome for one in told] == [Outcome.PENDING]
    altered.changes = {"report": {"Amount": "?"}}
    with pytest.raises(OutcomeUnknown):
        list(altered.since(known.begun_at))


def counted(endpoint: str, status: str) -> float:
    labels = {"endpoint": endpoint, "method": "POST", "status": status}
    return REGISTRY.get_sample_value("fiuu_requests_total", labels) or 0.0


def test_requests_are_counted_and_the_circuit_is_shown(
    harness: FiuuHarness, sandbox: Sandbox
) -> None:
    before = counted("requery", "200"), counted("requery", "unreachable")
    _, known = asked(harness, a_charge(harness))
    found(harness, known, Outcome.REQUIRES_ACTION)
    nowhere = FiuuProvider(account(sandbox, api_url="http://127.0.0.1:1"), LIMITS)
    with pytest.raises(OutcomeUnknown):
        nowhere.lookup(known)
    after = counted("requery", "200"), counted("requery", "unreachable")
    assert after == (before[0] + 1, before[1] + 1)
    merchant = {"merchant_id": "SB_test"}
    assert REGISTRY.get_sample_value("fiuu_circuit_breaker_state", merchant) == 0
    nowhere.circuit.breaker.open()
    assert REGISTRY.get_sample_value("fiuu_circuit_breaker_state", merchant) == 1


def test_its_settings_make_it() -> None:
    base = {**IN_PRODUCTION, "app_env": "development", "database_url": "postgresql://a@127.0.0.1/b"}
    assert fiuu_of(read_settings(**base), LIMITS) is None
    given = {
        "fiuu_merchant_id": "SB_test",
        "fiuu_verify_key": "vkey",
        "fiuu_secret_key": "skey",
        "fiuu_pay_url": "http://pay",
        "fiuu_api_url": "http://api",
        "public_url": "http://us",
        "fiuu_hold_field": "kind=HOLD",
    }
    found = fiuu_of(read_settings(**base, **given), LIMITS)
    assert isinstance(found, FiuuProvider)
    keys = Keys("SB_test", "vkey", "skey")
    assert found.account == Fiuu(
        keys, "http://pay", "http://api", "http://us", hold_field=("kind", "HOLD")
    )
