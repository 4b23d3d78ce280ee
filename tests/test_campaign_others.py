"""The campaign's checker of the providers beside the sandbox's own is able to fail: each thing that
must hold is broken once, in books made by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.campaign import leaks
from tests.campaign.dialects import DIALECTS, chosen, drawn
from tests.campaign.invariants import judge
from tests.campaign.ledger import Books

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OURS = {name: f"PAY-20260102-{name.upper():A<12}" for name in DIALECTS}
NUMBERS = {name: number for number, name in enumerate(DIALECTS, start=1)}
IDS = {"stripe": "pi_1", "swish": "A" * 32, "fiuu": "301", "zaincash": "z-1", "fib": "f-1"}
CURRENCIES = {"stripe": "EUR", "swish": "SEK", "fiuu": "MYR", "zaincash": "IQD", "fib": "IQD"}
AMOUNT = 500_000
"""Minor units of each: 5000.00 EUR, SEK and MYR, 500 dinars."""
BACK = {"stripe": 40_000, "swish": 40_000, "fiuu": 40_000, "zaincash": 40_000, "fib": AMOUNT}
"""What of it was given back; FIB gives back all."""
TWICE = "302"
"""Fiuu's number of a second payment on the same page."""


def _asked(name: str, number: int, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "payment_id": NUMBERS[name], "number": number, "type": kind, "status": "SUCCESS",
        "amount": AMOUNT, "amount_approved": AMOUNT, "currency": CURRENCIES[name],
        "reference": f"{OURS[name]}-{number}", "provider": name,
        "provider_reference": IDS[name] if kind == "CHARGE" else f"{name}-{number}",
        "cause": None, "description": None, "created_at": BEGUN,
        "send_before": BEGUN + timedelta(seconds=1),
    } | more  # fmt: skip


def _payment(name: str) -> dict[str, Any]:
    return {
        "payment_id": NUMBERS[name], "reference": OURS[name], "trip_id": None,
        "order_id": NUMBERS[name], "driver_id": None, "rider_id": None, "method": "CARD",
        "status": "PARTIALLY_REFUNDED", "amount": AMOUNT, "authorized": AMOUNT,
        "captured": AMOUNT, "refunded": BACK[name], "refund_pending": 0,
        "currency": CURRENCIES[name], "provider": name, "payment_token": None, "version": 2,
    }  # fmt: skip


def _charge(name: str) -> str:
    return f"{OURS[name]}-1"


def _their_books() -> dict[str, dict[str, list[dict[str, Any]]]]:
    stripe = {"id": "pi_1", "metadata": {"reference": _charge("stripe")}, "amount": AMOUNT,
              "currency": "eur", "amount_received": AMOUNT, "status": "succeeded"}  # fmt: skip
    swish = {"id": "B" * 32, "paymentReference": IDS["swish"], "amount": "5000.00",
             "currency": "SEK", "status": "PAID", "errorCode": None, "payerAlias": "46701740605",
             "payeePaymentReference": _charge("swish").replace("-", "")}  # fmt: skip
    fiuu = {"id": "301", "order": _charge("fiuu"), "amount": "5000.00", "currency": "MYR",
            "code": "00", "name": "captured", "captured": "5000.00"}  # fmt: skip
    return {
        "stripe": {"intents": [stripe], "refunds": [
            {"id": "re_1", "metadata": {"reference": f"{OURS['stripe']}-2"}, "amount": 40_000,
             "payment_intent": "pi_1", "status": "succeeded"}]},
        "swish": {"payments": [swish], "refunds": [
            {"id": "C" * 32, "payerPaymentReference": f"{OURS['swish']}-2".replace("-", ""),
             "amount": 400.0, "originalPaymentReference": IDS["swish"], "status": "PAID"}]},
        "fiuu": {"transactions": [fiuu, fiuu | {"id": TWICE}], "refunds": [
            {"RefID": f"{OURS['fiuu']}-2", "TxnID": "301", "Amount": "400.00", "status": "success"},
            {"RefID": f"{OURS['fiuu']}-4", "TxnID": TWICE, "Amount": "5000.00",
             "status": "success"}]},
        "zaincash": {"transactions": [
            {"id": "z-1", "reference": _charge("zaincash"), "value": 500, "currency": "IQD",
             "status": "SUCCESS"}]},
        "fib": {"payments": [
            {"id": "f-1", "reference": _charge("fib"), "amount": 500, "currency": "IQD",
             "status": "REFUNDED"}]},
    }  # fmt: skip


def _requests() -> list[dict[str, Any]]:
    def one(name: str, operation: str, reference: str) -> dict[str, Any]:
        method = "GET" if operation == "lookup" else "POST"
        return {"dialect": name, "operation": operation, "reference": reference, "fault": None,
                "method": method, "path": f"/{name}/{operation}"}  # fmt: skip

    return [
        one("stripe", "charge", _charge("stripe")),
        one("stripe", "refund", f"{OURS['stripe']}-2"),
        one("swish", "charge", _charge("swish").replace("-", "")),
        one("swish", "refund", f"{OURS['swish']}-2".replace("-", "")),
        one("swish", "lookup", _charge("swish").replace("-", "")),
        one("fiuu", "lookup", _charge("fiuu"))
        | {"method": "POST", "path": "/fiuu/RMS/query/q_by_oid.php"},
        one("fiuu", "refund", f"{OURS['fiuu']}-2"),
        one("fiuu", "refund", f"{OURS['fiuu']}-4"),
        one("zaincash", "charge", _charge("zaincash")),
        one("fib", "charge", _charge("fib")),
        one("fib", "refund", f"{_charge('fib')}/refund"),
    ]


NEWS = {"tranID": "301", "orderid": _charge("fiuu"), "status": "00", "domain": "SB_test",
        "amount": "5000.00", "currency": "MYR", "paydate": "2026-01-02 11:04:05",
        "appcode": "A1"}  # fmt: skip
FIUU_KEY = hashlib.sha256(json.dumps(list(NEWS.values())).encode()).hexdigest()


def _jwt(event_id: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"eventId": event_id}).encode()).decode()
    return f"e30.{claims.rstrip('=')}.c2ln"


def _sent(name: str, body: str, fault: str | None = None, answer: int = 200) -> dict[str, Any]:
    return {"dialect": name, "event": "paid", "reference": _charge(name), "body": body,
            "fault": fault, "answer": answer}  # fmt: skip


def _kept(name: str, key: str, status: str, trust: str = "SIGNED") -> dict[str, Any]:
    return {"provider": name, "event_key": key, "trust": trust, "status": status,
            "payment_id": NUMBERS[name], "number": 1}  # fmt: skip


def _whole() -> Books:
    """One payment by each of the five, of which a part (at FIB all) went back; Fiuu's page was paid
    twice."""
    asked = [_asked(name, 1, "CHARGE") for name in DIALECTS]
    asked += [
        _asked(name, 2, "REFUND", amount=BACK[name], amount_approved=BACK[name])
        for name in DIALECTS
    ]
    asked += [
        _asked("fiuu", 3, "CHARGE", cause="paid_twice", provider_reference=TWICE),
        _asked("fiuu", 4, "REFUND", cause="paid_twice", description=f"{OURS['fiuu']}-3"),
    ]
    body = json.dumps({"data": {"status": "SUCCESS"}})
    return Books(
        payments=[_payment(name) for name in DIALECTS],
        transactions=asked,
        events=[
            {"payment_id": NUMBERS["fiuu"], "seq": 2, "type": "payment.succeeded",
             "to_status": "SUCCESS", "actor": "provider", "occurred_at": BEGUN, "body": body}
        ],
        others=_their_books(),
        requests=_requests(),
        sent=[
            _sent("stripe", '{"id": "evt_1"}'),
            _sent("stripe", '{"id": "evt_2"}', "other_amount"),
            _sent("stripe", '{"id": "evt_3"}', "other_key", 400),
            _sent("fiuu", urlencode(NEWS)),
            _sent("zaincash", json.dumps({"webhook_token": _jwt("z-e-1")})),
            _sent("swish", json.dumps({"id": "B" * 32, "status": "PAID"}), "other_amount"),
            _sent("fib", '{"id": "f-1", "status": "PAID"}', "bad_signature"),
        ],
        webhooks=[
            _kept("stripe", "evt_1", "NO_NEWS"), _kept("stripe", "evt_2", "MISMATCH"),
            _kept("fiuu", FIUU_KEY, "APPLIED"), _kept("zaincash", "z-e-1", "NO_NEWS"),
            _kept("swish", f"{'B' * 32}:PAID", "MISMATCH", "UNSIGNED"),
            _kept("fib", "f-1:PAID", "APPLIED", "UNSIGNED"),
        ],
    )  # fmt: skip


CONCERNS = ("the books of the other", "what was paid twice", "no provider was asked",
            "no webhook that", "nothing of a payer", "each trip and each order")  # fmt: skip


def _broken(books: Books) -> set[str]:
    """Of what is about these providers; the rest of the world is not in these books."""
    found = {verdict.name for verdict in judge(books) if verdict.broken}
    return {name for name in found if name.startswith(CONCERNS)}


def test_a_whole_world_passes() -> None:
    assert {v.name: v.broken for v in judge(_whole()) if v.name.startswith(CONCERNS) and v.broken
            } == {}  # fmt: skip


def _transaction(books: Books, name: str, number: int = 1) -> dict[str, Any]:
    return next(row for row in books.transactions
                if (row["provider"], row["number"]) == (name, number))  # fmt: skip


def _first(books: Books, name: str) -> dict[str, Any]:
    """A provider's entry for the payment."""
    return next(iter(books.others[name].values()))[0]


UNPAID: dict[str, dict[str, Any]] = {
    "stripe": {"amount_received": 0, "status": "requires_payment_method"},
    "swish": {"status": "DECLINED"},
    "fiuu": {"name": "cancelled"},
    "zaincash": {"status": "FAILED"},
    "fib": {"status": "DECLINED"},
}
LESS: dict[str, dict[str, Any]] = {
    "stripe": {"amount_received": 1},
    "swish": {"amount": "1.00"},
    "fiuu": {"captured": "1.00"},
    "zaincash": {"value": 400},
    "fib": {"amount": 400},
}
BOOKS = "the books of the other"


@pytest.mark.parametrize("name", DIALECTS)
def test_what_was_not_paid_there_is_no_success_here(name: str) -> None:
    books = _whole()
    _first(books, name).update(UNPAID[name])
    assert any(found.startswith(BOOKS) for found in _broken(books))


@pytest.mark.parametrize("name", DIALECTS)
def test_amounts_are_compared(name: str) -> None:
    books = _whole()
    _first(books, name).update(LESS[name])
    assert any(found.startswith(BOOKS) for found in _broken(books))


@pytest.mark.parametrize("name", DIALECTS)
def test_what_was_paid_there_is_no_failure_here(name: str) -> None:
    books = _whole()
    _transaction(books, name).update(status="FAILED")
    assert any(found.startswith(BOOKS) for found in _broken(books))


@pytest.mark.parametrize("name", DIALECTS)
def test_what_was_paid_there_is_not_unknown_here(name: str) -> None:
    books = _whole()
    noun = DIALECTS[name].nouns[0]
    twin = _first(books, name) | {"id": "another", "paymentReference": "another"}
    books.others[name][noun].append(twin)
    assert any(found.startswith(BOOKS) for found in _broken(books))


@pytest.mark.parametrize("name", ["stripe", "swish", "fiuu", "fib"])
def test_what_was_given_back_there_was_asked_here(name: str) -> None:
    books = _whole()
    books.transactions.remove(_transaction(books, name, 2))
    assert any(found.startswith(BOOKS) for found in _broken(books))


@pytest.mark.parametrize("name", ["stripe", "swish", "fiuu"])
def test_what_was_given_back_here_was_given_there(name: str) -> None:
    books = _whole()
    books.others[name]["refunds"].pop(0)
    assert any(found.startswith(BOOKS) for found in _broken(books))


def _unanswered_twin(books: Books) -> None:
    """The second payment, without our row."""
    books.transactions.remove(_transaction(books, "fiuu", 3))
    books.transactions.remove(_transaction(books, "fiuu", 4))


def _never_went_back(books: Books) -> None:
    books.others["fiuu"]["refunds"].pop()


def _paid_by_two(books: Books) -> None:
    """Another payment of the same order, at another provider."""
    books.payments[NUMBERS["zaincash"] - 1]["order_id"] = NUMBERS["swish"]


def _unsent(books: Books) -> None:
    """A page of the wallet's that no transaction of ours asked for."""
    books.requests.append(_request(books, "zaincash", "charge") | {"reference": "PAY-9"})


def _request(books: Books, name: str, operation: str) -> dict[str, Any]:
    return next(one for one in books.requests
                if (one["dialect"], one["operation"]) == (name, operation))  # fmt: skip


def _applied(books: Books, key: str) -> None:
    next(row for row in books.webhooks if row["event_key"] == key)["status"] = "APPLIED"


SABOTAGE: dict[str, tuple[Callable[[Books], Any], str]] = {
    "paid twice, and no row": (_unanswered_twin, "what was paid twice"),
    "paid twice, and not given back": (_never_went_back, "what was paid twice"),
    "an order paid at two": (_paid_by_two, "each trip and each order"),
    "asked for twice": (
        lambda books: books.requests.append(_request(books, "swish", "charge")),
        "no provider was asked"),
    "looked up by what moves money": (
        lambda books: _request(books, "swish", "lookup").update(method="PUT"),
        "no provider was asked"),
    "looked up where Fiuu refunds": (
        lambda books: _request(books, "fiuu", "lookup").update(
            path="/fiuu/RMS/API/refundAPI/index.php"), "no provider was asked"),
    "a cancel that nobody asked for": (
        lambda books: books.requests.append(
            _request(books, "fib", "refund")
            | {"operation": "void", "reference": f"{_charge('fib')}/cancel"}),
        "no provider was asked"),
    "asked outside of any request": (_unsent, "no provider was asked"),
    "another amount was believed": (
        lambda books: _applied(books, "evt_2"), "no webhook that"),
    "a forged one was taken": (
        lambda books: books.sent[2].update(answer=200), "no webhook that"),
    "one that nobody sent was believed": (
        lambda books: books.webhooks.append(_kept("stripe", "evt_9", "APPLIED")),
        "no webhook that"),
    "one that was taken is lost": (
        lambda books: books.webhooks.pop(0), "no webhook that"),
    "moved by a provider that said nothing": (
        lambda books: books.webhooks[2].update(status="NO_NEWS"), "no webhook that"),
    "a name in the log": (lambda books: books.leaks.append("web.log"), "nothing of a payer"),
}  # fmt: skip


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_broken_one_does_not(what: str) -> None:
    books = _whole()
    breaks, name = SABOTAGE[what]
    breaks(books)
    assert any(found.startswith(name) for found in _broken(books)), _broken(books)


def test_what_only_makes_us_look_may_say_another_amount() -> None:
    """Stripe's event of a charge whose refund it does not name."""
    books = _whole()
    books.sent[1]["event"] = "charge.refunded"
    _applied(books, "evt_2")
    assert not _broken(books)
    books.sent[1]["fault"] = "other_merchant"
    assert _broken(books)


def _contradicted(books: Books, name: str, number: int) -> None:
    """A refund that had been given up came in after all."""
    told = {"contradicted": True, "transaction_reference": f"{OURS[name]}-{number}"}
    books.events.append(
        {"payment_id": NUMBERS[name], "seq": 3, "type": "refund.succeeded", "actor": "worker",
         "to_status": "REFUNDED", "occurred_at": BEGUN, "body": json.dumps({"data": told})}
    )  # fmt: skip
    books.timelines[NUMBERS[name]] = {}


@pytest.mark.parametrize(
    ("name", "called"),
    [("fib", f"{_charge('fib')}/refund"), ("swish", f"{OURS['swish']}-2".replace("-", ""))],
)
def test_what_was_done_late_is_known_by_the_name_that_it_has_there(name: str, called: str) -> None:
    def without_a_cause() -> list[str]:
        return [one for verdict in judge(books) if verdict.name.startswith("evidence")
                for one in verdict.broken]  # fmt: skip

    books = _whole()
    _contradicted(books, name, 2)
    assert without_a_cause()
    books.late = {called}
    assert not without_a_cause()
    books.late = set()
    denied = {"fault": "lookup_not_found", "reference": called}
    books.requests.append(_request(books, "swish", "lookup") | denied)
    assert not without_a_cause()


@pytest.mark.parametrize("late", [True, False])
def test_a_word_that_came_too_late_is_a_cause(late: bool) -> None:
    books = _whole()
    died = books.events[0] | {"to_status": "EXPIRED", "actor": "worker"}
    books.events.insert(0, died)
    _contradicted(books, "fiuu", 1)
    away = 10 if late else -10
    books.said_at[_charge("fiuu").replace("-", "")] = BEGUN.timestamp() + away
    broken = {verdict.name for verdict in judge(books) if verdict.broken}
    assert any(name.startswith("evidence") for name in broken) is not late


def _charge_again_for_the_payment(books: Books) -> None:
    """A retry under another number, which the provider was asked for too: two requests of ours."""
    books.transactions.append(
        _asked("zaincash", 3, "CHARGE", status="FAILED", provider_reference=None)
    )
    row = _request(books, "zaincash", "charge") | {"reference": f"{OURS['zaincash']}-3"}
    books.requests.append(row)


def test_two_requests_of_ours_are_asked_for_twice() -> None:
    books = _whole()
    _charge_again_for_the_payment(books)
    assert not _broken(books)


@pytest.mark.parametrize(
    ("line", "is_seen"),
    [
        ('{"payer": "Campaignpayer 12ab"}', True),
        ("called 467055512345", True),
        ("+46705551234", True),
        ("9647705551234", False),  # of another network
        ("964775551234", True),
        ("amount 1467055512345", False),  # a part of another number
        ("key sk_test_x", True),
        ("pi_1_secret_2", True),
        ("paidBy IQ00SAND000000000000000", True),
        ("paid by A payer of the sandbox", True),
        ("nothing", False),
    ],
)
def test_what_is_looked_for_in_logs(tmp_path: Path, line: str, is_seen: bool) -> None:
    (tmp_path / "web.log").write_text(f"a line\n{line}\n")
    seen = list(leaks.found(tmp_path, [], "", ["sk_test_x"]))
    assert bool(seen) is is_seen
    assert all(one.startswith("web.log, line 2") for one in seen)


@pytest.mark.parametrize("where", ["event", "metrics"])
def test_events_and_metrics_are_looked_at(tmp_path: Path, where: str) -> None:
    text = '{"name": "campaignpayer.1@mail.example"}'
    events = [{"seq": 1, "payment_id": 2, "body": text if where == "event" else ""}]
    metrics = text if where == "metrics" else ""
    (one,) = leaks.found(tmp_path, events, metrics, [])
    assert where in one


def test_providers_are_chosen_by_name() -> None:
    assert [one.name for one in chosen("fib, Stripe,sandbox")] == ["fib", "stripe"]
    assert [one.name for one in chosen("")] == list(DIALECTS)
    assert chosen("sandbox") == []
    with pytest.raises(ValueError, match="acme"):
        chosen("acme")


def test_who_can_not_hold_is_asked_for_no_hold() -> None:
    rng = random.Random(1)
    some = [DIALECTS["fib"], DIALECTS["stripe"]]
    found = {drawn(some, rng, hold=True) for _ in range(50)}
    assert found == {None, DIALECTS["stripe"]}


def test_payers_are_found_where_they_turn_up(tmp_path: Path) -> None:
    """What the campaign's payers are called is what is looked for."""
    rng = random.Random(2)
    for dialect in DIALECTS.values():
        payer = dialect.charge(rng).get("payer", {})
        for said in payer.values():
            (tmp_path / "web.log").write_text(f"x {said} y")
            assert list(leaks.found(tmp_path, [], "", [])), said
