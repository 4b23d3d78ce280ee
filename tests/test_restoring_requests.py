"""Refunds that waited for a decision when the backup was made: whatever was decided since, the
amount goes back once, and the books agree."""

from __future__ import annotations

import pytest

from payment_service.domain.callers import Caller
from payment_service.domain.four_eyes import Decided
from payment_service.domain.operators import Role
from payment_service.services import lapsing
from payment_service.services.moves.refund_holds import RefundRequestRow
from tests.books import a_charged_payment, execute, payment_row
from tests.four_eyes import (
    approves,
    asks,
    declines,
    in_session,
    stands,
    withdraws,
)
from tests.operators import Person, an_operator
from tests.restoring import House
from tests.sandbox_calls import get

pytestmark = pytest.mark.slow


def asked(house: House, by: Caller, amount: str) -> RefundRequestRow:
    """Of a payment of 100.00 INR of its own."""
    return asks(house.app, by, a_charged_payment(house.client)["payment_id"], amount)


def sums(house: House, request: RefundRequestRow) -> tuple[str, int, int]:
    found = payment_row(house.app, request["payment_id"])
    return found["status"], found["refunded"], found["refund_pending"]


def given(house: House, request: RefundRequestRow) -> list[int]:
    """What the provider gave back of its payment, one by one."""
    reference = payment_row(house.app, request["payment_id"])["reference"]
    there = get(house.sandbox, "/psp/refunds")["refunds"]
    return [one["amount_minor"] for one in there if one["reference"].startswith(reference)]


def books_agree(house: House) -> None:
    done = house.run("audit", "verify")
    assert done.exit_code == 0, done.output


def people(house: House) -> tuple[Person, Person]:
    return an_operator(house.app), an_operator(house.app, Role.APPROVER)


def test_what_was_decided_since_comes_back_as_it_was(house: House) -> None:
    asking, deciding = people(house)
    asker, approver = in_session(asking), in_session(deciding)
    requests = [asked(house, asker, "60.00") for _ in range(5)]
    approved, declined, withdrawn, again, waiting = requests
    file = house.backup()
    approves(house.app, approver, approved)
    declines(house.app, approver, declined)
    withdraws(house.app, asker, withdrawn)
    declines(house.app, approver, again)
    anew = asks(house.app, asker, again["payment_id"], "70.00")
    late = asked(house, asker, "10.00")
    stood = [stands(house.app, one) for one in (*requests, anew, late)]
    house.restore(file)
    assert [stands(house.app, one) for one in (*requests, anew, late)] == stood
    assert [sums(house, one) for one in requests] == [
        *(("PARTIALLY_REFUNDED", 6000, 0), ("SUCCESS", 0, 0), ("SUCCESS", 0, 0)),
        *(("SUCCESS", 0, 7000), ("SUCCESS", 0, 6000)),
    ]
    books_agree(house)
    approver = in_session(deciding)
    for one in (approved, declined, withdrawn, again):
        with pytest.raises(Decided):
            approves(house.app, approver, one)
    for one in (anew, late, waiting):
        approves(house.app, approver, one)
    assert [given(house, one) for one in (*requests, late)] == [[6000], [], [], [7000], [6000],
                                                                [1000]]  # fmt: skip
    books_agree(house)


@pytest.mark.parametrize("amount", ["60.00", "40.00"])
def test_on_a_new_machine_what_was_approved_is_not_approved_again(
    house: House, capfd: pytest.CaptureFixture[str], amount: str
) -> None:
    """Of 100.00 there is room for a second refund of 40.00, and for none of 60.00."""
    asking, deciding = people(house)
    asker, approver = in_session(asking), in_session(deciding)
    approved, waiting = asked(house, asker, amount), asked(house, asker, amount)
    file = house.backup()
    approves(house.app, approver, approved)
    house.leave()
    house.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    house.restore(file)
    printed = capfd.readouterr().out
    assert "2 refunds that waited for a decision are lapsed" in printed
    approver = in_session(deciding)
    for one in (approved, waiting):
        assert stands(house.app, one)["state"] == "LAPSED"
        with pytest.raises(Decided):
            approves(house.app, approver, one)
    minor = approved["amount"]
    assert given(house, approved) == [minor]
    assert sums(house, approved) == ("PARTIALLY_REFUNDED", minor, 0)
    assert sums(house, waiting) == ("SUCCESS", 0, 0)
    books_agree(house)


def test_what_does_not_come_back_is_not_approved_again(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Somebody changed its rows, so they are not believed; the other one waits on."""
    asking, deciding = people(house)
    asker, approver = in_session(asking), in_session(deciding)
    changed, waiting = asked(house, asker, "60.00"), asked(house, asker, "60.00")
    file = house.backup()
    approves(house.app, approver, changed)
    house.rows("UPDATE payments SET status = 'SUCCESS', refunded = 0"
               f" WHERE payment_id = {changed['payment_id']}")  # fmt: skip
    house.restore(file)
    assert "1 refunds that waited for a decision are lapsed" in capfd.readouterr().out
    assert stands(house.app, changed)["state"] == "LAPSED"
    assert (given(house, changed), sums(house, changed)[1:]) == ([6000], (6000, 0))
    approves(house.app, in_session(deciding), waiting)
    assert given(house, waiting) == [6000]
    books_agree(house)


def test_of_a_payment_that_is_gone_nothing_is_approved_again(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Somebody deleted it, which is why the backup is brought back. There would be room."""
    asking, deciding = people(house)
    deleted, waiting = (asked(house, in_session(asking), "40.00") for _ in range(2))
    file = house.backup()
    approves(house.app, in_session(deciding), deleted)
    # With all that its events say, or they would still name it.
    execute(house.app, "ALTER TABLE events DISABLE TRIGGER events_are_append_only")
    rows = ("refund_requests", "refunds", "lookups", "transactions", "deliveries", "events")
    for table in (*rows, "payments"):
        execute(house.app, f"DELETE FROM {table} WHERE payment_id = {deleted['payment_id']}")
    house.restore(file)
    assert "1 refunds that waited for a decision are lapsed" in capfd.readouterr().out
    found = stands(house.app, deleted)
    assert (found["state"], found["decision"]) == ("LAPSED", lapsing.RESTORED)
    assert (given(house, deleted), sums(house, deleted)[1:]) == ([4000], (4000, 0))
    assert stands(house.app, waiting)["state"] == "OPEN"
    books_agree(house)
