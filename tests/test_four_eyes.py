"""Four eyes: what one operator gives back alone, and what another one has to approve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from payment_service.config import ByCurrency
from payment_service.domain import four_eyes
from payment_service.domain.callers import Caller
from payment_service.domain.errors import DomainError, RefundExceedsCaptured
from payment_service.domain.four_eyes import (
    BadReason,
    Decided,
    NotByThisOne,
    OneIsOpen,
    PaymentChanged,
    SecondPersonNeeded,
    ShownOtherwise,
    UnknownRequest,
)
from payment_service.domain.operators import By, OutOfReach, Refused, Role, StepUpFirst
from payment_service.domain.pages import MAY, Deed, NotAllowed, is_at_least
from payment_service.services import (
    audit,
    invites,
    lapsing,
    makers,
    operators,
    refund_requests,
    refunds_asked_for,
)
from payment_service.services.moves import steps, unattended
from payment_service.services.moves.answers import Ended, Replay
from payment_service.services.moves.refund_holds import RefundRequestRow
from tests import clocks
from tests.books import (
    a_charged_payment,
    arrived,
    at_once,
    at_provider,
    execute,
    payment_row,
    post,
    row,
    rows,
)
from tests.fixtures import MakeApp, a_key
from tests.four_eyes import (
    acting,
    approves,
    asks,
    declines,
    gives,
    in_session,
    number_of,
    of,
    refund_of,
    shown,
    stands,
    version,
    withdraws,
)
from tests.operators import CLI, KEYS, an_operator
from tests.patience import CLOCKLESS
from tests.sandbox_server import Sandbox

ABOVE = ByCurrency(Decimal(0), {"INR": Decimal("50.00")})
DAILY = ByCurrency[Decimal | None](None, {"INR": Decimal("70.00")})


@pytest.fixture(scope="module")
def app(make_app: MakeApp, database_of_module: str) -> Flask:
    """Above 50.00 INR of a payment a second one must approve. Nothing is due by itself."""
    url = database_of_module
    return make_app(**KEYS, **CLOCKLESS, database_url=url, four_eyes_above=ABOVE)


@pytest.fixture(scope="module")
def asker(app: Flask) -> Caller:
    return acting(app)


@pytest.fixture
def approver(app: Flask) -> Caller:
    return acting(app, Role.APPROVER)


def a_payment(app: Flask, **changes: Any) -> int:
    """Of 100.00 INR, charged."""
    return int(a_charged_payment(app.test_client(), **changes)["payment_id"])


def sums(app: Flask, payment_id: int) -> tuple[str, int, int]:
    found = payment_row(app, payment_id)
    return found["status"], found["refunded"], found["refund_pending"]


def told(app: Flask, payment_id: int) -> list[str]:
    query = "SELECT type FROM events WHERE payment_id = :id ORDER BY seq"
    return [found["type"] for found in rows(app, query, id=payment_id)]


def acts(app: Flask, request: RefundRequestRow) -> list[tuple[str, str]]:
    query = "SELECT act, actor FROM audit_log WHERE object = :name ORDER BY audit_id"
    found = rows(app, query, name=f"refund_request:{request['request_id']}")
    return [(one["act"], one["actor"]) for one in found]


def fits(app: Flask, payment_id: int | None = None) -> None:
    with app.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()


# -- alone


def test_up_to_the_limit_an_operator_gives_back_alone(
    app: Flask, asker: Caller, sandbox: Sandbox
) -> None:
    paid = a_payment(app)
    given = refund_of(gives(app, asker, paid, "50.00"))
    assert (given["status"], given["caller"]) == ("SUCCESS", asker.name)
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 5000, 0)
    made = row(app, "SELECT actor FROM events WHERE type = 'refund.requested' AND payment_id = :id",
               id=paid)  # fmt: skip
    assert made["actor"] == "operator"
    assert len(at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])) == 1
    fits(app, paid)


def test_splitting_does_not_help(app: Flask, asker: Caller, approver: Caller) -> None:
    """The sum counts, whoever of them gave it back, and what was approved too."""
    paid = a_payment(app)
    gives(app, asker, paid, "30.00")
    with pytest.raises(SecondPersonNeeded, match=r"above 50\.00 INR"):
        gives(app, acting(app), paid, "20.01")
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 3000, 0)
    approves(app, approver, asks(app, asker, paid, "20.00"))
    with pytest.raises(SecondPersonNeeded):
        gives(app, acting(app), paid, "0.01")
    answer = post(app.test_client(), f"/v1/payments/{paid}/refund", amount="50.00")
    assert answer.status_code == 200, "callers of the API are services"


def test_what_failed_was_not_given_back(app: Flask, asker: Caller) -> None:
    paid = a_payment(app, payment_token="tok_refund_decline")
    for _ in range(2):
        assert refund_of(gives(app, asker, paid, "50.00"))["status"] == "FAILED"


def test_what_is_not_known_yet_counts(app: Flask, asker: Caller) -> None:
    paid = a_payment(app, payment_token="tok_refund_pending")
    assert refund_of(gives(app, asker, paid, "50.00"))["status"] == "PENDING"
    with pytest.raises(SecondPersonNeeded):
        gives(app, asker, paid, "0.01")


def test_a_currency_that_is_not_named_always_needs_two(app: Flask, asker: Caller) -> None:
    paid = a_payment(app, currency="KWD", amount="1.000")
    with pytest.raises(SecondPersonNeeded, match="in KWD always"):
        gives(app, asker, paid, "0.001")


def test_not_set_it_is_always(make_app: MakeApp, app: Flask) -> None:
    url = app.extensions["settings"].database_url
    strict = make_app(**KEYS, **CLOCKLESS, database_url=url)
    with pytest.raises(SecondPersonNeeded):
        gives(strict, acting(strict), a_payment(strict), "0.01")


def test_a_page_can_ask_before(app: Flask, asker: Caller) -> None:
    paid = a_payment(app)
    with app.app_context():
        why = [
            refund_requests.why_not_alone(payment_id=paid, command=of(amount), caller=asker)
            for amount in ("50.00", None)
        ]
    assert why[0] is None
    assert why[1] is not None


def test_a_double_click_gives_back_once(app: Flask, asker: Caller, sandbox: Sandbox) -> None:
    paid, key = a_payment(app), a_key()
    seen = version(app, paid)
    first = refund_of(gives(app, asker, paid, "10.00", key=key, seen=seen))
    again = gives(app, asker, paid, "10.00", key=key, seen=seen)
    assert isinstance(again, Replay)
    assert (again.payment_id, sums(app, paid)[1]) == (first["payment_id"], 1000)


def test_a_payment_that_changed_meanwhile_stays_as_it_is(app: Flask, asker: Caller) -> None:
    paid = a_payment(app)
    seen = version(app, paid)
    gives(app, asker, paid, "10.00")
    for act in (gives, asks):
        with pytest.raises(PaymentChanged, match="changed since you saw it"):
            act(app, asker, paid, "10.00", seen=seen)
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 1000, 0)


# -- the operator's day


@pytest.fixture(scope="module")
def daily(make_app: MakeApp, app: Flask) -> Flask:
    """The same, and 70.00 INR a day alone."""
    url = app.extensions["settings"].database_url
    return make_app(
        **KEYS,
        **CLOCKLESS,
        database_url=url,
        four_eyes_above=ABOVE,
        operator_daily_limit=DAILY,
    )


def on_another_day(app: Flask, payment_id: int, days: int) -> None:
    execute(app, "UPDATE refunds SET created_at = created_at + make_interval(days => :days)"
                 " WHERE payment_id = :id", id=payment_id, days=days)  # fmt: skip


def test_above_so_much_a_day_a_second_one_must_approve(daily: Flask) -> None:
    one = acting(daily)
    first = a_payment(daily)
    gives(daily, one, first, "50.00")
    on_another_day(daily, first, 1)  # so that no midnight comes between
    second = a_payment(daily)
    with pytest.raises(SecondPersonNeeded, match=r"You gave back 50\.00 INR alone today"):
        gives(daily, one, second, "20.01")
    gives(daily, acting(daily), second, "20.01")
    gives(daily, one, a_payment(daily), "20.00")


def test_yesterdays_refunds_are_yesterdays(daily: Flask) -> None:
    one, first = acting(daily), a_payment(daily)
    gives(daily, one, first, "50.00")
    on_another_day(daily, first, -2)
    gives(daily, one, a_payment(daily), "50.00")


def test_what_two_gave_back_is_nobodys_day(daily: Flask) -> None:
    one, asking = acting(daily, Role.APPROVER), acting(daily)
    paid = a_payment(daily)
    approves(daily, one, asks(daily, asking, paid))
    on_another_day(daily, paid, 1)
    for who in (one, asking):
        gives(daily, who, a_payment(daily), "50.00")


@pytest.mark.parametrize(
    ("at", "zone", "begins"),
    [
        ("2026-03-01T18:29:59+00:00", "Asia/Kolkata", "2026-02-28T18:30:00+00:00"),
        ("2026-03-01T18:30:00+00:00", "Asia/Kolkata", "2026-03-01T18:30:00+00:00"),
        ("2026-03-29T12:00:00+00:00", "Europe/Berlin", "2026-03-28T23:00:00+00:00"),
        ("2026-03-01T00:00:00+00:00", "UTC", "2026-03-01T00:00:00+00:00"),
    ],
)
def test_when_a_day_begins(at: str, zone: str, begins: str) -> None:
    found = four_eyes.day_begins(datetime.fromisoformat(at), ZoneInfo(zone))
    assert found == datetime.fromisoformat(begins)


def test_two_refunds_at_once_do_not_both_find_room(
    daily: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day_ago = datetime.now(UTC) - timedelta(days=1)  # so that no midnight comes between
    monkeypatch.setattr(four_eyes, "day_begins", lambda *_: a_day_ago)
    one = acting(daily)
    payments = [a_payment(daily) for _ in range(4)]

    def give(payment_id: int) -> str:
        try:
            gives(daily, one, payment_id, "50.00")
        except SecondPersonNeeded:
            return "needs two"
        return "given"

    found = Counter(at_once([lambda paid=paid: give(paid) for paid in payments]))  # type: ignore[misc]
    assert found == {"given": 1, "needs two": 3}


# -- asking


def test_asking_holds_the_amount(app: Flask, asker: Caller, sandbox: Sandbox) -> None:
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")
    assert (request["state"], request["asked_by"]) == ("OPEN", asker.name)
    assert request["expires_at"] - request["asked_at"] == timedelta(days=7)
    assert sums(app, paid) == ("SUCCESS", 0, 6000)
    assert told(app, paid)[-1] == "refund.asked"
    assert acts(app, request) == [("approval_asked", asker.name)]
    refused = post(app.test_client(), f"/v1/payments/{paid}/refund", amount="40.01")
    assert refused.json["code"] == "refund_exceeds_captured"
    with pytest.raises(RefundExceedsCaptured):
        gives(app, asker, paid, "40.01")
    assert not arrived(sandbox, payment_row(app, paid)["reference"], "refund")
    fits(app, paid)


def test_one_request_at_a_time(app: Flask, asker: Caller) -> None:
    paid = a_payment(app)
    asks(app, asker, paid, "60.00")
    with pytest.raises(OneIsOpen):
        asks(app, acting(app), paid, "10.00")
    assert sums(app, paid)[2] == 6000


def test_a_form_sent_twice_asks_once(app: Flask, asker: Caller) -> None:
    paid, key = a_payment(app), a_key()
    seen = version(app, paid)
    found = at_once([lambda: asks(app, asker, paid, "60.00", key=key, seen=seen)] * 8)
    assert len({request["request_id"] for request in found}) == 1
    assert sums(app, paid)[2] == 6000
    assert asks(app, asker, paid, "60.00", key=key, seen=seen) == found[0]


@pytest.mark.parametrize("reason", [None, " ", "x" * 501])
def test_who_asks_says_why(app: Flask, asker: Caller, reason: str | None) -> None:
    with pytest.raises(BadReason):
        asks(app, asker, a_payment(app), reason=reason)


# -- deciding


def test_an_approved_request_becomes_the_refund(
    app: Flask, asker: Caller, approver: Caller, sandbox: Sandbox
) -> None:
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")
    refund = refund_of(approves(app, approver, request))
    assert (refund["status"], refund["amount"], refund["caller"], refund["reason"]) == (
        *("SUCCESS", 6000, approver.name, "Detour"),
    )
    found = stands(app, request)
    assert (found["state"], found["decided_by"]) == ("APPROVED", approver.name)
    assert found["refund_id"] == refund["refund_id"]
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)
    assert told(app, paid)[-4:] == [
        *("refund.asked", "refund.requested", "refund.succeeded", "payment.partially_refunded"),
    ]
    assert acts(app, request)[1:] == [("approval_given", approver.name)]
    assert len(at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])) == 1
    fits(app, paid)


def test_the_sum_does_not_dip_between(app: Flask, asker: Caller, approver: Caller) -> None:
    """Each event keeps what it left in refund_pending."""
    paid = a_payment(app)
    approves(app, approver, asks(app, asker, paid, "60.00"))
    query = (
        "SELECT type, (snapshot::json->'payment'->>'refund_pending')::int AS pending FROM events"
        " WHERE payment_id = :id AND type IN ('refund.asked', 'refund.requested') ORDER BY seq"
    )
    found = rows(app, query, id=paid)
    assert [(one["type"], one["pending"]) for one in found] == [
        ("refund.asked", 6000),
        ("refund.requested", 6000),
    ]


def test_a_refusal_and_a_withdrawal_give_it_back(
    app: Flask, asker: Caller, approver: Caller
) -> None:
    paid = a_payment(app)
    ends: list[tuple[Callable[[RefundRequestRow], RefundRequestRow], str, str]] = [
        (lambda request: declines(app, approver, request), "DECLINED", "approval_refused"),
        (lambda request: withdraws(app, asker, request), "WITHDRAWN", "approval_withdrawn"),
    ]
    for end, state, act in ends:
        request = asks(app, asker, paid, "60.00")
        ended = end(request)
        assert ended["state"] == state
        assert sums(app, paid) == ("SUCCESS", 0, 0)
        assert told(app, paid)[-1] == "refund.not_approved"
        assert acts(app, request)[1:] == [(act, ended["decided_by"])]
        before = version(app, paid)
        assert end(request) == ended, "sent twice"
        assert version(app, paid) == before
    fits(app, paid)


def test_what_can_not_be_lapsed_makes_way(
    app: Flask, asker: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        lapsing.run_once()  # what the tests above left
    first, second = (asks(app, asker, a_payment(app), "60.00") for _ in range(2))
    for request, hours in ((first, 2), (second, 1)):
        execute(
            app,
            "UPDATE refund_requests SET expires_at = now() - make_interval(hours => :hours)"
            " WHERE request_id = :id",
            id=request["request_id"],
            hours=hours,
        )
    end = refunds_asked_for.end

    def stumbles(connection: Any, payment: Any, request: RefundRequestRow, *others: Any) -> Any:
        if request["request_id"] == first["request_id"]:
            raise RuntimeError("a mistake of ours")
        return end(connection, payment, request, *others)

    monkeypatch.setattr(lapsing, "BATCH", 1)
    monkeypatch.setattr(unattended, "MAKES_WAY_SECONDS", 3600.0)
    monkeypatch.setattr(refunds_asked_for, "end", stumbles)
    with app.app_context():
        assert lapsing.run_once() == {"lapsed": 0, "more": 1}
        assert lapsing.run_once() == {"lapsed": 1, "more": 1}
        assert lapsing.run_once() == {"lapsed": 0, "more": 0}
        monkeypatch.setattr(unattended, "MAKES_WAY_SECONDS", 0.0)
        monkeypatch.setattr(refunds_asked_for, "end", end)
        assert lapsing.run_once()["lapsed"] == 1
    assert [stands(app, one)["state"] for one in (first, second)] == ["LAPSED"] * 2


def test_what_nobody_decides_on_lapses(app: Flask, asker: Caller, approver: Caller) -> None:
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")
    with app.app_context():
        lapsing.run_once()
    assert stands(app, request)["state"] == "OPEN"
    execute(app, "UPDATE refund_requests SET expires_at = now() WHERE request_id = :id",
            id=request["request_id"])  # fmt: skip
    over = stands(app, request)
    with pytest.raises(Decided, match="Nobody decided"):
        approves(app, approver, over)
    with app.app_context():
        found = [lapsing.run_once()["lapsed"] for _ in range(2)]
    assert found == [1, 0]
    assert stands(app, request)["state"] == "LAPSED"
    assert sums(app, paid) == ("SUCCESS", 0, 0)
    assert acts(app, request)[1:] == [("approval_lapsed", "worker")]
    fits(app, paid)
    asks(app, asker, paid, "100.00")


def test_nobody_approves_what_they_asked_for(app: Flask) -> None:
    """An admin neither."""
    for role in (Role.APPROVER, Role.ADMIN):
        who, paid = acting(app, role), a_payment(app)
        request = asks(app, who, paid)
        for decide in (approves, declines):
            with pytest.raises(NotByThisOne, match="somebody else"):
                decide(app, who, request)
        assert stands(app, request)["state"] == "OPEN"


def test_another_session_or_another_role_is_the_same_person(app: Flask) -> None:
    """Who asked as an operator and was raised since, logged in anew."""
    person, paid = an_operator(app), a_payment(app)
    request = asks(app, in_session(person), paid)
    with app.app_context():
        operators.change_role(who=str(person.operator_id), role=Role.ADMIN, by=CLI)
    for decide in (approves, declines):
        with pytest.raises(NotByThisOne, match="somebody else"):
            decide(app, in_session(person), request)
    assert sums(app, paid) == ("SUCCESS", 0, 10000)


def test_the_hash_of_one_request_opens_no_other(app: Flask, asker: Caller) -> None:
    """Nor does the one of a request like it that was withdrawn before."""
    paid = a_payment(app)
    old = asks(app, asker, paid, "60.00")
    seen = shown(app, old)
    withdraws(app, asker, old)
    new = asks(app, asker, paid, "60.00")
    foreign = shown(app, asks(app, asker, a_payment(app), "60.00"))
    for hash_ in (seen, foreign):
        with pytest.raises(ShownOtherwise):
            approves(app, acting(app, Role.APPROVER), new, seen=hash_)
    assert sums(app, paid) == ("SUCCESS", 0, 6000)


def test_two_tabs_of_two_operators_do_not_both_find_room(app: Flask, sandbox: Sandbox) -> None:
    """Of one payment, below the limit each and above it together."""
    paid = a_payment(app)
    seen, who = version(app, paid), [acting(app) for _ in range(4)]

    def give(one: Caller) -> str:
        return outcome(lambda: gives(app, one, paid, "30.00", seen=seen))

    found = Counter(at_once([lambda one=one: give(one) for one in who]))  # type: ignore[misc]
    assert found == {"done": 1, "PaymentChanged": 3}
    assert len(at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])) == 1


def test_the_database_refuses_it_too(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    who, paid = acting(app, Role.ADMIN), a_payment(app)
    request = asks(app, who, paid)
    monkeypatch.setattr(refund_requests, "expect_another", lambda *_: None)
    monkeypatch.setattr(makers, "are_one_hand", lambda *_: False)
    for decide in (approves, declines):
        with pytest.raises(IntegrityError, match="four_eyes"):
            decide(app, who, request)
    monkeypatch.undo()
    for state, more in (("APPROVED", ", refund_id = (SELECT min(refund_id) FROM refunds)"),
                        ("DECLINED", "")):  # fmt: skip
        with pytest.raises(IntegrityError, match="four_eyes"):
            execute(app, f"UPDATE refund_requests SET state = '{state}', decided_at = now(),"
                         f" decided_by = asked_by{more} WHERE request_id = :id",
                    id=request["request_id"])  # fmt: skip
    assert sums(app, paid) == ("SUCCESS", 0, 10000)
    fits(app, paid)


@pytest.mark.parametrize(
    ("change", "guard"),
    [
        ("state = 'WITHDRAWN', decided_by = 'operator:0', decided_at = now()", "own_withdrawn"),
        ("state = 'DECLINED', decided_at = now()", "decided"),
        ("decided_by = 'operator:0'", "decided"),
        ("state = 'APPROVED', decided_by = 'operator:0', decided_at = now()", "refund"),
        ("state = 'FORGOTTEN', decided_by = 'operator:0', decided_at = now()", "state"),
        ("amount = 0", "amount"),
    ],
)
def test_the_database_holds_the_rows_to_their_words(
    app: Flask, asker: Caller, change: str, guard: str
) -> None:
    request = asks(app, asker, a_payment(app))
    with pytest.raises(IntegrityError, match=f"ck_refund_requests_{guard}"):
        execute(app, f"UPDATE refund_requests SET {change} WHERE request_id = :id",
                id=request["request_id"])  # fmt: skip


def test_the_database_takes_one_open_request_of_a_payment(app: Flask, asker: Caller) -> None:
    request = asks(app, asker, a_payment(app), "10.00")
    with pytest.raises(IntegrityError, match="uq_refund_requests_open"):
        execute(app, "INSERT INTO refund_requests (payment_id, amount, currency, reason, asked_by,"
                     " asked_at, expires_at) SELECT payment_id, 1, currency, reason, asked_by,"
                     " asked_at, expires_at FROM refund_requests WHERE request_id = :id",
                id=request["request_id"])  # fmt: skip


def test_only_the_asker_withdraws(app: Flask, asker: Caller, approver: Caller) -> None:
    request = asks(app, asker, a_payment(app))
    with pytest.raises(NotByThisOne):
        withdraws(app, approver, request)


def test_what_is_decided_is_decided(app: Flask, asker: Caller, approver: Caller) -> None:
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")
    seen, key = shown(app, request), a_key()
    first = approves(app, approver, request, seen=seen, key=key)
    other = acting(app, Role.APPROVER)
    by = f"approved, by {approver.name}"
    for late in (
        lambda: approves(app, other, request, seen=seen),
        lambda: approves(app, approver, request, seen=seen),
        lambda: declines(app, other, request, seen=seen),
        lambda: withdraws(app, asker, request),
    ):
        with pytest.raises(Decided, match=by):
            late()
    again = approves(app, approver, request, seen=seen, key=key)
    assert isinstance(again, Replay), "a double click"
    assert refund_of(first)["refund_id"] == stands(app, request)["refund_id"]
    assert sums(app, paid)[1] == 6000


def test_it_is_approved_as_it_was_shown(app: Flask, asker: Caller, approver: Caller) -> None:
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")
    seen = shown(app, request)
    assert post(app.test_client(), f"/v1/payments/{paid}/refund", amount="1.00").status_code == 200
    for decide in (approves, declines):
        for other in (seen, "0" * 64):
            with pytest.raises(ShownOtherwise):
                decide(app, approver, request, seen=other)
    assert stands(app, request)["state"] == "OPEN"
    refund_of(approves(app, approver, request))


@pytest.mark.parametrize("column", ["amount", "reason", "asked_by", "payment_id", "expires_at"])
def test_the_hash_is_of_all_that_is_shown(column: str) -> None:
    request: Any = {
        **dict.fromkeys(("request_id", "payment_id", "amount"), 1),
        **dict.fromkeys(("currency", "reason", "asked_by"), "x"),
        **dict.fromkeys(("asked_at", "expires_at"), datetime(2026, 1, 2, tzinfo=UTC)),
    }
    other = {int: 2, str: "y", datetime: datetime(2026, 1, 3, tzinfo=UTC)}[type(request[column])]
    changed = {**request, column: other}
    assert four_eyes.shown(request, 1) == four_eyes.shown(dict(request), 1)
    assert four_eyes.shown(request, 1) != four_eyes.shown(changed, 1)
    assert four_eyes.shown(request, 1) != four_eyes.shown(request, 2)


def test_there_is_no_such_request(app: Flask, approver: Caller) -> None:
    with app.app_context(), pytest.raises(UnknownRequest):
        refund_requests.withdraw(request_id=2**40, caller=approver)


# -- who


def test_who_approves_showed_who_they_are_lately(
    app: Flask, asker: Caller, approver: Caller
) -> None:
    request = asks(app, asker, a_payment(app))
    execute(app, "UPDATE operator_sessions SET stepped_up_at = now() - interval '11 minutes'"
                 " WHERE session_id = :id", id=approver.session_id)  # fmt: skip
    with pytest.raises(StepUpFirst):
        approves(app, approver, request)
    assert stands(app, request)["state"] == "OPEN"
    execute(app, "UPDATE operator_sessions SET stepped_up_at = NULL WHERE session_id = :id",
            id=approver.session_id)  # fmt: skip
    with pytest.raises(StepUpFirst):
        approves(app, approver, request)


def an_admin(app: Flask) -> tuple[Caller, By]:
    admin = acting(app, Role.ADMIN)
    return admin, By(admin.name, number_of(admin), Role.ADMIN, admin.session_id)


def raised(app: Flask, by: By, was: Role) -> Caller:
    person = an_operator(app, was)
    with app.app_context():
        operators.change_role(who=str(person.operator_id), role=Role.APPROVER, by=by)
    return in_session(person)


def invited(app: Flask, by: By, _: Role) -> Caller:
    person = an_operator(app, Role.APPROVER, joined=False)
    with app.app_context():
        invites.make(email=person.email, role=None, by=by)
    return in_session(person)


def enabled(app: Flask, by: By, was: Role) -> Caller:
    person = an_operator(app, was)
    with app.app_context():
        operators.disable(who=str(person.operator_id), by=CLI)
        operators.enable(who=str(person.operator_id), by=by)
    return in_session(person)


@pytest.mark.parametrize(
    ("make", "was"),
    [(raised, Role.OPERATOR), (invited, Role.APPROVER), (enabled, Role.APPROVER)],
)
def test_who_made_the_approver_lately_gets_nothing_approved_by_that_one(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Flask, By, Role], Caller],
    was: Role,
) -> None:
    admin, by = an_admin(app)
    new = make(app, by, was)
    request = asks(app, admin, a_payment(app))
    with pytest.raises(NotByThisOne, match="within 24 hours"):
        approves(app, new, request)
    approves(app, new, asks(app, acting(app), a_payment(app)))
    monkeypatch.setattr(makers, "NOT_BY_WHOM_ONE_MADE", timedelta(0))
    approves(app, new, request)


def test_a_link_counts_from_when_somebody_came_in_by_it(app: Flask) -> None:
    """It is good for as long as its maker has to wait: or he would keep it until then."""
    admin, _ = an_admin(app)
    other = an_operator(app, Role.APPROVER)
    execute(
        app,
        "INSERT INTO operator_invites (operator_id, token_hash, purpose, created_by, created_at,"
        " expires_at, used_at) VALUES (:id, sha256(:mark), 'password', :by,"
        " now() - interval '25 hours', now() - interval '1 hour', now() - interval '2 hours')",
        id=other.operator_id, mark=a_key().encode(), by=admin.name,
    )  # fmt: skip
    with pytest.raises(NotByThisOne, match="within 24 hours"):
        approves(app, in_session(other), asks(app, admin, a_payment(app)))


def test_one_person_is_not_two_by_way_of_others(app: Flask) -> None:
    """Neither by one whom he made and who makes the next one, nor as the one who approves, nor by
    two whom he made both."""
    admin, by = an_admin(app)
    made = an_operator(app, Role.OPERATOR)
    with app.app_context():
        operators.change_role(who=str(made.operator_id), role=Role.ADMIN, by=by)
    middle = in_session(made)
    as_middle = By(middle.name, made.operator_id, Role.ADMIN, middle.session_id)
    last, other = raised(app, as_middle, Role.OPERATOR), raised(app, by, Role.VIEWER)
    for asking, deciding in ((admin, last), (last, admin), (other, middle), (last, other)):
        with pytest.raises(NotByThisOne, match="within 24 hours"):
            approves(app, deciding, asks(app, asking, a_payment(app)))
    approves(app, acting(app, Role.APPROVER), asks(app, last, a_payment(app)))


def test_who_was_lowered_was_not_raised(app: Flask) -> None:
    admin, by = an_admin(app)
    approves(app, raised(app, by, Role.ADMIN), asks(app, admin, a_payment(app)))


def try_all(app: Flask, caller: Caller, open_: RefundRequestRow, own: RefundRequestRow) -> None:
    """Each act once, in its deed's name: what the role does not reach says so."""
    role = Role(row(app, "SELECT role FROM operators WHERE operator_id = :id",
                    id=number_of(caller))["role"])  # fmt: skip
    acts_of: dict[Deed, Callable[[], Any]] = {
        Deed.REFUND: lambda: gives(app, caller, a_payment(app), "1.00"),
        Deed.ASK: lambda: asks(app, caller, a_payment(app)),
        Deed.WITHDRAW: lambda: withdraws(app, caller, own),
        Deed.DECLINE: lambda: declines(app, caller, open_),
        Deed.APPROVE: lambda: approves(app, caller, asks(app, acting(app), a_payment(app))),
    }
    for deed, act in acts_of.items():
        if is_at_least(role, MAY[deed]):
            act()
        else:
            with pytest.raises(NotAllowed, match=f"the role {MAY[deed]}. Yours is {role}"):
                act()


@pytest.mark.parametrize("role", Role)
def test_each_role_does_what_the_table_says(app: Flask, asker: Caller, role: Role) -> None:
    who = acting(app, role)
    own = asks(app, asker, a_payment(app))
    if is_at_least(role, MAY[Deed.ASK]):
        own = asks(app, who, a_payment(app))
    try_all(app, who, asks(app, asker, a_payment(app)), own)


def test_the_table_says_what_roles_are_for() -> None:
    least = {role: {deed for deed, needed in MAY.items() if needed is role} for role in Role}
    assert set(MAY) == set(Deed)
    assert least[Role.VIEWER] == {Deed.READ, Deed.KEEP_VIEWS}
    assert least[Role.APPROVER] == {Deed.APPROVE, Deed.DECLINE}
    assert least[Role.ADMIN] == {Deed.EDIT_CATALOG, Deed.EDIT_OPERATORS, Deed.ERASE_CUSTOMER}


def test_who_is_gone_does_nothing(app: Flask, asker: Caller) -> None:
    """Whatever the page had seen: ended, disabled, another's session, or lowered meanwhile."""
    request = asks(app, asker, a_payment(app))
    gone = [acting(app, Role.APPROVER) for _ in range(3)]
    execute(app, "UPDATE operator_sessions SET ended_at = now(), ended_why = 'log-out'"
                 " WHERE session_id = :id", id=gone[0].session_id)  # fmt: skip
    execute(app, "UPDATE operators SET active = false WHERE operator_id = :id",
            id=number_of(gone[1]))  # fmt: skip
    gone[2] = replace(gone[2], session_id=asker.session_id)
    for who in (*gone, replace(asker, session_id=None)):
        with pytest.raises(OutOfReach):
            approves(app, who, request)
        with pytest.raises(OutOfReach):
            gives(app, who, a_payment(app), "1.00")
    lowered = acting(app, Role.APPROVER)
    execute(app, "UPDATE operators SET role = 'viewer' WHERE operator_id = :id",
            id=number_of(lowered))  # fmt: skip
    with pytest.raises(NotAllowed):
        approves(app, lowered, request)
    assert stands(app, request)["state"] == "OPEN"


# -- killed on the way


class Killed(BaseException):
    """As kill -9: nothing of ours runs after it."""


def test_killed_between_the_approval_and_the_provider(
    app: Flask,
    asker: Caller,
    approver: Caller,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is recovered like any refund: surely not received, so nothing was given back."""
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")

    def die(_: Any) -> Ended:
        raise Killed

    monkeypatch.setattr(steps, "carry_out", die)
    with pytest.raises(Killed):
        approves(app, approver, request)
    monkeypatch.undo()
    assert (stands(app, request)["state"], sums(app, paid)) == ("APPROVED", ("SUCCESS", 0, 6000))
    fits(app, paid)
    for _ in range(2):
        clocks.an_hour_later(app, paid)
        clocks.look_up(app, paid)
    assert sums(app, paid) == ("SUCCESS", 0, 0)
    assert not at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])
    approves(app, approver, asks(app, asker, paid, "60.00"))
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)


# -- all at once


def outcome(call: Callable[[], Any]) -> str:
    """What became of it, in a word."""
    try:
        call()
    except (DomainError, Refused) as error:
        return type(error).__name__
    return "done"


def test_fifty_approvals_of_one_request_are_one_refund(
    app: Flask, asker: Caller, sandbox: Sandbox
) -> None:
    paid = a_payment(app)
    request = asks(app, asker, paid, "60.00")
    seen = shown(app, request)
    approvers = [acting(app, Role.APPROVER) for _ in range(5)]
    found = Counter(
        at_once(
            [
                lambda who=approvers[n % 5]: outcome(  # type: ignore[misc]
                    lambda: approves(app, who, request, seen=seen)
                )
                for n in range(50)
            ]
        )
    )
    assert found == {"done": 1, "Decided": 49}
    assert sums(app, paid) == ("PARTIALLY_REFUNDED", 6000, 0)
    assert len(at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])) == 1
    fits(app, paid)


def one_round(app: Flask, sandbox: Sandbox, who: list[Caller]) -> str:
    """All that can happen to one request, from eight threads; what became of it."""
    asking, first, second, third = who
    paid = a_payment(app)
    request = asks(app, asking, paid, "60.00")
    seen = shown(app, request)
    execute(app, "UPDATE refund_requests SET expires_at = now() + interval '1 hour'"
                 " WHERE request_id = :id", id=request["request_id"])  # fmt: skip
    seen = shown(app, stands(app, request))

    def lapse() -> None:
        execute(app, "UPDATE refund_requests SET expires_at = now() WHERE request_id = :id",
                id=request["request_id"])  # fmt: skip
        with app.app_context():
            lapsing.run_once()

    def over_the_api() -> None:
        answer = post(app.test_client(), f"/v1/payments/{paid}/refund", amount="40.00")
        assert answer.status_code in (200, 422), answer.json

    found = at_once(
        [
            *(lambda one=one: outcome(lambda: approves(app, one, request, seen=seen))
              for one in (first, second, third)),
            lambda: outcome(lambda: declines(app, second, request, seen=seen)),
            lambda: outcome(lambda: withdraws(app, asking, request)),
            lambda: outcome(lapse),
            lambda: outcome(over_the_api),
            lambda: outcome(over_the_api),
        ]
    )  # fmt: skip
    state = stands(app, request)["state"]
    approved = 6000 * (state == "APPROVED")
    given = approved + 4000 * (2 if not approved and found[6:] == ["done", "done"] else 1)
    status, refunded, pending = sums(app, paid)
    there = at_provider(sandbox, "refunds", payment_row(app, paid)["reference"])
    assert pending == 0
    assert refunded == sum(refund["amount_minor"] for refund in there)
    assert refunded in (given, approved + 4000)
    assert status == ("REFUNDED" if refunded == 10000 else "PARTIALLY_REFUNDED")
    assert found[:5].count("done") == (state != "LAPSED")
    fits(app, paid)
    return state


def rounds(app: Flask, sandbox: Sandbox, count: int) -> None:
    who = [acting(app), *(acting(app, Role.APPROVER) for _ in range(3))]
    found = Counter(one_round(app, sandbox, who) for _ in range(count))
    assert found.total() == count
    assert "OPEN" not in found


def test_all_at_once(app: Flask, sandbox: Sandbox) -> None:
    rounds(app, sandbox, 3)


@pytest.mark.slow
def test_all_at_once_two_hundred_times(app: Flask, sandbox: Sandbox) -> None:
    rounds(app, sandbox, 200)
