"""A backup on a new machine: the replaced database knows nothing, so the providers are asked."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask_migrate import downgrade

from payment_service.domain.vocabulary import TransactionType
from payment_service.providers.contract import Outcome, OutcomeUnknown
from payment_service.providers.listing import Listed
from payment_service.providers.sandbox import SandboxProvider
from payment_service.services import relisting
from tests.books import a_charged_payment, a_pending_payment, post
from tests.fixtures import a_key, a_number
from tests.patience import LIMITS
from tests.restoring import House, a_hold
from tests.sandbox_calls import arm, charge, get, refund
from tests.sandbox_server import Sandbox

pytestmark = pytest.mark.slow

MIGRATIONS = str(Path(__file__).resolve().parents[1] / "migrations")


def elsewhere(house: House, file: Path, printed: pytest.CaptureFixture[str]) -> str:
    """The backup is brought back where there is nothing yet. What was printed."""
    house.leave()
    house.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    house.restore(file)
    return printed.readouterr().out


def unknown(printed: str) -> list[dict[str, str]]:
    """What the file says that was printed."""
    found = re.search(r"are in (\S+)$", printed, re.MULTILINE)
    if found is None:
        return []
    path = Path(found[1])
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_nobody_here_knows_goes_to_a_file(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    known = a_charged_payment(house.client)
    file = house.backup()
    lost = a_charged_payment(house.client, amount="12.34")
    given = post(house.client, f"/v1/payments/{lost['payment_id']}/refund", amount="2.00")
    assert given.status_code == 200
    declined = post(house.client, "/v1/payments/charge", order_id=a_number(), amount="1.00",
                    method="CARD", payment_token="tok_decline_do_not_honor")  # fmt: skip
    assert declined.status_code == 402
    printed = elsewhere(house, file, capfd)
    rows = [row for row in unknown(printed) if row["reference"].startswith(lost["reference"])]
    assert {(row["type"], row["amount"], row["currency"], row["outcome"]) for row in rows} == {
        ("CHARGE", "12.34", "INR", "APPROVED"), ("REFUND", "2.00", "INR", "APPROVED"),
    }  # fmt: skip
    everything = {row["reference"] for row in unknown(printed)}
    assert not any(known["reference"] in one for one in everything)
    assert not any(declined.json["reference"] in one for one in everything), "nothing moved"
    assert "gave nothing back: it has no payments" in printed
    assert "keys since the backup are lost" in printed
    assert "cash did not say what it did since the backup: it can't list" in printed


def test_ids_go_beyond_all_that_can_have_been_given_out(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    a_charged_payment(house.client)
    file = house.backup()
    lost = a_charged_payment(house.client)
    printed = elsewhere(house, file, capfd)
    assert "identities moved on" in printed
    fresh = a_charged_payment(house.client)
    assert fresh["payment_id"] >= lost["payment_id"] + 1000
    assert fresh["payment_id"] < 2**53, "a JSON number that every language reads"
    transaction = fresh["transactions"][0]["transaction_log_id"]
    assert transaction >= lost["transactions"][0]["transaction_log_id"] + 1000


def test_what_became_of_our_payments_is_adopted(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Captured, voided, refunded and charged since the backup: each under the number that its
    reference has at the provider, so that no later request bears the same."""
    client = house.client
    held, released, paid = a_hold(house), a_hold(house), a_charged_payment(client)
    created = a_pending_payment(client)
    gone = a_hold(house)
    file = house.backup()
    ids = {name: one["payment_id"] for name, one in
           {"held": held, "released": released, "paid": paid, "created": created,
            "gone": gone}.items()}  # fmt: skip
    for path, body in (
        (f"{ids['held']}/capture", {"amount": "60.00"}),
        (f"{ids['held']}/refund", {"amount": "10.00"}),
        (f"{ids['released']}/cancel", {}),
        (f"{ids['paid']}/refund", {"amount": "40.00"}),
        (f"{ids['paid']}/refund", {"amount": "5.00"}),
        (f"{ids['created']}/charge", {}),
    ):
        assert post(client, f"/v1/payments/{path}", **body).status_code in (200, 201), path
    printed = elsewhere(house, file, capfd)
    assert "6 were missing at payments of ours" in printed
    mine = [one["reference"] for one in (held, released, paid, created, gone)]
    assert not [row for row in unknown(printed) if row["reference"][:25] in mine]
    shown = {name: client.get(f"/v1/payments/{number}").json for name, number in ids.items()}
    stands = {name: (one["status"], one["amount_captured"], one["amount_refunded"])
              for name, one in shown.items()}  # fmt: skip
    assert stands == {
        "held": ("PARTIALLY_REFUNDED", "60.00", "10.00"),
        "released": ("CANCELLED", "0.00", "0.00"),
        "paid": ("PARTIALLY_REFUNDED", "100.00", "45.00"),
        "created": ("SUCCESS", "100.00", "0.00"),
        "gone": ("AUTHORIZED", "0.00", "0.00"),
    }
    again = post(client, f"/v1/payments/{ids['paid']}/refund", amount="1.00")
    assert again.status_code == 200
    numbers = house.rows("SELECT array_agg(number ORDER BY number) FROM transactions"
                         f" WHERE payment_id = {ids['paid']}")  # fmt: skip
    assert numbers == [([1, 2, 3, 4],)]
    at_provider = get(house.sandbox, "/psp/refunds")["refunds"]
    refunded = [row["amount_minor"] for row in at_provider if paid["reference"] in row["reference"]]
    assert sorted(refunded) == [100, 500, 4000]
    assert house.run("audit", "verify").exit_code == 0


def test_a_gap_in_the_numbers_is_no_number_that_is_given_out_again(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refund 2 never reached the provider, refund 3 did."""
    paid = a_charged_payment(house.client, payment_token=f"card-{a_key()}")
    file = house.backup()
    reference = f"{paid['reference']}-1"
    done = refund(house.sandbox, reference, 700, reference=f"{paid['reference']}-3")
    assert done.status_code == 201
    elsewhere(house, file, capfd)
    again = post(house.client, f"/v1/payments/{paid['payment_id']}/refund", amount="1.00")
    assert again.status_code == 200
    assert house.client.get(f"/v1/payments/{paid['payment_id']}").json["amount_refunded"] == "8.00"
    assert house.rows("SELECT max(number) FROM transactions") == [(4,)]


def test_a_refund_for_which_the_backup_has_no_room_goes_to_the_file(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refund 2 is under way in the backup. It never was done, and refund 3 was, instead."""
    paid = a_charged_payment(house.client)
    second, third = (f"{paid['reference']}-{number}" for number in (2, 3))
    arm(house.sandbox, "refund", "fail_500", match={"reference": second})
    path = f"/v1/payments/{paid['payment_id']}/refund"
    assert post(house.client, path, amount="60.00").status_code == 202
    file = house.backup()
    assert refund(house.sandbox, f"{paid['reference']}-1", 6000, third).ok
    rows = unknown(elsewhere(house, file, capfd))
    assert [row["why"] for row in rows if row["reference"] == third] == [
        f"it does not fit its payment, {paid['payment_id']}"
    ]


def test_a_backup_of_older_tables_is_brought_up_to_date(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    paid = a_charged_payment(house.client)
    versions = "SELECT version_num FROM alembic_version"
    newest = house.rows(versions)
    with house.app.app_context():
        downgrade(MIGRATIONS)
    file = house.backup()
    assert house.rows(versions) != newest
    assert refund(house.sandbox, f"{paid['reference']}-1", 700, f"{paid['reference']}-2").ok
    elsewhere(house, file, capfd)
    assert house.rows(versions) == newest
    shown = house.client.get(f"/v1/payments/{paid['payment_id']}").json
    assert shown["amount_refunded"] == "7.00"


def test_what_ended_otherwise_there_is_looked_up(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the backup it was given up for good; the provider did it after all."""
    token = f"card-{a_key()}"
    body = {"order_id": a_number(), "amount": "8.00", "method": "CARD", "payment_token": token}
    arm(house.sandbox, "charge", "too_many_requests", match={"token": token})
    assert post(house.client, "/v1/payments/charge", **body).status_code == 503
    file = house.backup()
    ((reference, payment_id),) = house.rows("SELECT reference, payment_id FROM transactions")
    assert charge(house.sandbox, reference, amount_minor=800, payment_token=token).ok
    printed = elsewhere(house, file, capfd)
    assert "1 ended otherwise than here" in printed
    assert house.client.get(f"/v1/payments/{payment_id}").json["status"] == "SUCCESS"


def test_what_was_done_twice_under_one_reference_goes_to_the_file(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    token = f"card-{a_key()}"
    paid = a_charged_payment(house.client, payment_token=token)
    file = house.backup()
    arm(house.sandbox, "charge", "forget_idempotency", match={"token": token})
    again = {"amount_minor": 10000, "payment_token": token}
    assert charge(house.sandbox, f"{paid['reference']}-1", **again).ok
    rows = unknown(elsewhere(house, file, capfd))
    assert [row["why"] for row in rows if paid["reference"] in row["reference"]] == [
        "done twice under one reference"
    ]


def test_a_provider_that_does_not_answer_is_named(
    house: House, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = house.backup()
    monkeypatch.setenv("SANDBOX_PROVIDER_URL", "http://127.0.0.1:9")
    printed = elsewhere(house, file, capfd)
    assert "OPEN: sandbox did not say what it did since the backup" in printed


def test_the_providers_can_be_asked_again_later(house: House) -> None:
    lost = charge(house.sandbox, f"PAY-20260102-{a_key().upper()}-1", amount_minor=4200).json()
    since = datetime.now(UTC) - timedelta(minutes=5)
    done = house.run("recover", "listed", "--since", f"{since:%Y-%m-%dT%H:%M:%SZ}",
                     "--folder", str(house.folder))  # fmt: skip
    assert done.exit_code == 0, done.output
    found = {row["reference"]: row["amount"] for row in unknown(done.output)}
    assert found[lost["reference"]] == "42.00"


@pytest.mark.parametrize("kind", [TransactionType.REFUND, TransactionType.CAPTURE])
def test_a_list_that_broke_off_before_the_charge_stops_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: TransactionType
) -> None:
    """What came after it is listed, and nobody here knows who has the money."""
    created = a_pending_payment(house.client)
    now = datetime.now(UTC)
    alone = Listed(kind, f"{created['reference']}-2", 1000, "INR", Outcome.APPROVED, "their-1", now)
    provider = house.app.extensions["providers"].get("sandbox")
    monkeypatch.setattr(provider, "since", lambda moment: iter([alone]))
    with house.app.app_context():
        found = relisting.ask(since=now)
    why = f"it does not fit its payment, {created['payment_id']}"
    assert found.unknown == [("sandbox", alone, why)]
    assert house.client.get(f"/v1/payments/{created['payment_id']}").json["status"] == "PENDING"


def test_the_sandbox_lists_by_pages_what_changed_since(provider: Sandbox) -> None:
    references = [f"page-{n}-{a_key()}" for n in range(7)]
    early = charge(provider, references[0]).json()
    for reference in references[1:]:
        assert charge(provider, reference).ok
    found, after = [], ""
    while after is not None:
        query = f"since={early['created_at']}&limit=3" + (f"&after={after}" if after else "")
        page = get(provider, f"/psp/operations?{query}")
        assert len(page["operations"]) <= 3
        found += [row["reference"] for row in page["operations"]]
        after = page["next"]
    assert [one for one in found if one in references] == references
    later = datetime.fromisoformat(early["created_at"]) + timedelta(days=1)
    asked = SandboxProvider(provider.url, LIMITS)
    assert list(asked.since(later)) == []
    listed = {one.reference: one for one in asked.since(datetime(2026, 1, 1, tzinfo=UTC))}
    assert listed[references[0]].outcome is Outcome.APPROVED
    assert listed[references[0]].amount == 10000
    for query in ("", "?since=yesterday"):
        assert get(provider, f"/psp/operations{query}")["error"] == "invalid_request"


def test_a_list_that_can_not_be_read_is_no_answer(provider: Sandbox) -> None:
    asked = SandboxProvider(f"{provider.url}/nowhere", LIMITS)
    with pytest.raises(OutcomeUnknown):
        list(asked.since(datetime.now(UTC)))
